//! Rooms when the house closes, and when an account ends while it is closed.

use crate::client::{Client, DOMAIN, PASSWORD, PATIENCE};
use crate::server::Data;

const MUC: &str = "http://jabber.org/protocol/muc";

fn room() -> String {
    format!("hall@conference.{DOMAIN}")
}

fn enter(client: &mut Client, nick: &str) -> String {
    client.send(&format!("<presence to='{}/{nick}'><x xmlns='{MUC}'/></presence>", room()));
    client.expect(&format!("/{nick}'"))
}

/// A room of members that stays, and of which both are owners.
fn opened(romeo: &mut Client, other: &str) {
    enter(romeo, "romeo");
    let fields = ["persistentroom", "membersonly"]
        .map(|var| format!("<field var='muc#roomconfig_{var}'><value>1</value></field>"))
        .concat();
    let form = format!("<query xmlns='{MUC}#owner'><x xmlns='jabber:x:data' type='submit'>{fields}</x></query>");
    assert!(romeo.iq("set", Some(&room()), &form).contains("type='result'"));
    let item = format!("<query xmlns='{MUC}#admin'><item affiliation='owner' jid='{other}@{DOMAIN}'/></query>");
    assert!(romeo.iq("set", Some(&room()), &item).contains("type='result'"));
}

#[test]
fn s11_2_rooms_say_that_the_house_closes_before_streams_end() {
    let data = Data::with_users(["romeo", "juliet"]);
    let mut server = data.start();
    let mut romeo = Client::online(server.plain, "romeo", "orchard");
    let mut juliet = Client::online(server.plain, "juliet", "balcony");
    opened(&mut romeo, "juliet");
    enter(&mut juliet, "juliet");
    romeo.expect("/juliet'");
    let (status, _) = server.terminate(PATIENCE);
    assert!(status.success());
    for (client, nick) in [(&mut romeo, "romeo"), (&mut juliet, "juliet")] {
        let heard = client.read_to_end(PATIENCE).expect("a clean end").concat();
        let (gone, after) = heard.split_once("<status code='332'/>").unwrap_or_else(|| panic!("{nick}: {heard}"));
        assert!(gone.contains(&format!("/{nick}'")) && after.contains("<system-shutdown"), "{nick}: {heard}");
        assert_eq!(heard.matches("type='unavailable'").count(), 1, "of the others nobody has gone first: {heard}");
    }
}

#[test]
fn c9_an_account_that_ends_while_the_house_is_closed_is_nobody_in_its_rooms() {
    let data = Data::with_users(["romeo", "juliet"]);
    let mut server = data.start();
    let mut romeo = Client::online(server.plain, "romeo", "orchard");
    opened(&mut romeo, "juliet");
    server.terminate(PATIENCE);
    let juliet = format!("juliet@{DOMAIN}");
    // A program that ends with its order; the rooms are told when the house opens.
    data.iris(&["user", "remove", &juliet]);
    let server = data.start();
    let mut romeo = Client::online(server.plain, "romeo", "orchard");
    let owners = format!("<query xmlns='{MUC}#admin'><item affiliation='owner'/></query>");
    let end = std::time::Instant::now() + PATIENCE;
    while romeo.iq("get", Some(&room()), &owners).contains(&juliet) {
        assert!(std::time::Instant::now() < end, "{}", data.logged());
        std::thread::sleep(std::time::Duration::from_millis(20));
    }
    data.iris(&["user", "add", &juliet, "--password", PASSWORD]);
    let mut juliet = Client::online(server.plain, "juliet", "balcony");
    assert!(enter(&mut juliet, "juliet").contains("<registration-required"));
}
