//! Plays about what waits while nobody listens.

use std::sync::{Arc, Mutex};
use std::time::Duration;

use iris_core::Stanza;
use iris_core::limits::Limits;
use iris_core::store::{LogQuery, Read, Rows, Shelf, Store};
use iris_engine::testing::{Client, House};

use crate::ROOMS;

const ROMEO: &str = "romeo@house/orchard";
const JULIET: &str = "juliet@house/balcony";

/// Romeo, and Juliet who has an account.
fn begin() -> (House, Client) {
    begin_with(Limits::default())
}

fn begin_with(limits: Limits) -> (House, Client) {
    let mut house = House::with_limits(ROOMS, limits);
    let romeo = house.online(ROMEO);
    house.user("juliet@house");
    (house, romeo)
}

fn say(house: &mut House, from: &Client, body: &str) {
    house.send(from, &format!("<message to='juliet@house' type='chat' id='{body}'><body>{body}</body></message>"));
}

/// A session that sends initial presence and has read nothing yet.
fn come(house: &mut House, full: &str) -> Client {
    let client = house.login(full);
    house.send(&client, "<presence/>");
    client
}

fn messages(house: &mut House, client: &Client) -> Vec<Stanza> {
    house.recv(client).into_iter().filter(|it| it.name().1 == "message").collect()
}

fn bodies(messages: &[Stanza]) -> Vec<String> {
    let body = |it: &Stanza| it.el().children().find(|child| child.local() == "body").map(|body| body.text().into_owned());
    messages.iter().filter_map(body).collect()
}

fn hear(house: &mut House, client: &Client) -> Vec<String> {
    bodies(&messages(house, client))
}

/// Until nothing comes any more: a page comes when the one before it has gone.
fn hear_all(house: &mut House, client: &Client) -> Vec<String> {
    let mut all = Vec::new();
    loop {
        let heard = hear(house, client);
        if heard.is_empty() {
            return all;
        }
        all.extend(heard);
    }
}

fn numbers(from: u32, to: u32) -> Vec<String> {
    (from..to).map(|n| n.to_string()).collect()
}

fn ask(house: &House, read: Read) -> Rows {
    let slot = Arc::new(Mutex::new(None));
    let answer = slot.clone();
    house.store.read(0, read, Box::new(move |rows| *answer.lock().expect("a slot") = Some(rows)));
    let rows = slot.lock().expect("a slot").take();
    rows.expect("an answer").expect("rows")
}

/// What lies there: the log's entries and what the record says they are.
fn waiting(house: &House) -> (usize, usize) {
    let shelves: Arc<[Shelf]> = [super::COUNT].into();
    let Rows::Woken(Some(woken)) = ask(house, Read::Wake { name: "juliet@house".into(), shelves }) else { panic!("nobody") };
    let query = LogQuery { max: 1_000, ..LogQuery::default() };
    let Rows::Log(page) = ask(house, Read::Log { owner: woken.owner, shelf: super::SHELF, query }) else { panic!("no log") };
    (page.entries.len(), woken.items.first().map_or(0, super::count_of))
}

#[test]
fn s2_it_comes_with_the_first_available_session_once_and_says_since_when_it_waited() {
    let (mut house, romeo) = begin();
    say(&mut house, &romeo, "1");
    house.advance(Duration::from_secs(60));
    say(&mut house, &romeo, "2");
    house.nothing(&romeo);
    assert_eq!(waiting(&house), (2, 2));
    let juliet = come(&mut house, JULIET);
    let heard = messages(&mut house, &juliet);
    assert_eq!(bodies(&heard), ["1", "2"]);
    let xml = heard[0].as_str();
    assert_eq!((heard[0].from().as_deref(), heard[0].to().as_deref()), (Some(ROMEO), Some("juliet@house")));
    let delay = heard[0].child_el(heard[0].child_named("urn:xmpp:delay", "delay").expect("a delay"));
    assert_eq!((delay.attr("from").as_deref(), &*delay.text()), (Some("house"), "Offline Storage"));
    assert!(delay.attr("stamp").expect("a stamp").starts_with("2026-01-01T00:00:00."), "{xml}");
    assert_eq!(waiting(&house), (0, 0));
    assert!(hear(&mut house, &juliet).is_empty());
    house.close(&juliet);
    let juliet = come(&mut house, JULIET);
    assert!(hear(&mut house, &juliet).is_empty());
}

#[test]
fn s2_a_negative_priority_listens_to_nothing_until_it_rises() {
    let (mut house, romeo) = begin();
    say(&mut house, &romeo, "1");
    let juliet = house.login(JULIET);
    house.send(&juliet, "<presence><priority>-1</priority></presence>");
    assert!(hear(&mut house, &juliet).is_empty());
    say(&mut house, &romeo, "2");
    house.send(&juliet, "<presence/>");
    assert_eq!(hear(&mut house, &juliet), ["1", "2"]);
}

#[test]
fn s2_it_has_the_id_that_the_archive_gave_it() {
    let (mut house, romeo) = begin();
    say(&mut house, &romeo, "1");
    let juliet = come(&mut house, JULIET);
    let heard = messages(&mut house, &juliet);
    let id = heard[0].child_el(heard[0].child_named("urn:xmpp:sid:0", "stanza-id").expect("an id"));
    let id = id.attr("id").expect("an id").into_owned();
    house.send(&juliet, "<iq type='set' id='q'><query xmlns='urn:xmpp:mam:2'/></iq>");
    let archive = house.hear(&juliet);
    assert!(archive[0].contains(&format!("<result xmlns='urn:xmpp:mam:2' id='{id}'>")), "{archive:?}");
    let stamp = |xml: &str| xml.split_once("stamp='").and_then(|(_, rest)| rest.split_once('\'')).map(|(it, _)| it.to_owned());
    assert_eq!(stamp(&archive[0]), stamp(heard[0].as_str()), "both say when it came");
}

#[test]
fn s3_what_waits_and_what_does_not() {
    let (mut house, romeo) = begin();
    for (xml, waits) in [
        ("<message TO><body>x</body></message>", true),
        ("<message TO type='normal'><x xmlns='some:app'/></message>", true),
        ("<message TO type='chat'><body>x</body><active xmlns='http://jabber.org/protocol/chatstates'/></message>", true),
        ("<message TO type='chat'><received xmlns='urn:xmpp:receipts' id='1'/></message>", true),
        ("<message TO type='chat'><body>x</body><no-permanent-store xmlns='urn:xmpp:hints'/></message>", true),
        ("<message TO type='chat'><body>x</body><no-store xmlns='urn:xmpp:hints'/></message>", false),
        ("<message TO type='chat'><thread>t</thread><gone xmlns='http://jabber.org/protocol/chatstates'/></message>", false),
        (
            "<message TO type='chat'><composing xmlns='http://jabber.org/protocol/chatstates'/>\
             <no-copy xmlns='urn:xmpp:hints'/></message>",
            false,
        ),
        ("<message TO type='headline'><body>x</body></message>", false),
        ("<message TO type='groupchat'><body>x</body></message>", false),
        ("<message TO type='error'><body>x</body></message>", false),
        ("<message TO type='chat'/>", true),
    ] {
        let before = waiting(&house).0;
        house.send(&romeo, &xml.replace("TO", "to='juliet@house'"));
        house.recv(&romeo);
        assert_eq!(waiting(&house).0 - before, usize::from(waits), "{xml}");
    }
}

#[test]
fn s2_step_3_when_no_more_can_be_kept_the_sender_is_told_unless_the_archive_has_it() {
    let (mut house, romeo) = begin_with(Limits { offline_messages_max: 3, ..Limits::default() });
    let unarchived = |n: u32| {
        format!(
            "<message to='juliet@house' type='chat' id='u{n}'><body>{n}</body>\
             <no-permanent-store xmlns='urn:xmpp:hints'/></message>"
        )
    };
    for n in 0..3 {
        house.send(&romeo, &unarchived(n));
    }
    house.nothing(&romeo);
    house.send(&romeo, &unarchived(3));
    let told = house.one(&romeo);
    assert_eq!(told.id().as_deref(), Some("u3"));
    assert!(told.as_str().contains("<service-unavailable"), "{}", told.as_str());
    say(&mut house, &romeo, "archived");
    house.nothing(&romeo);
    assert_eq!(waiting(&house), (3, 3));
    let juliet = come(&mut house, JULIET);
    assert_eq!(hear(&mut house, &juliet), ["0", "1", "2"]);
    // There is room again.
    house.close(&juliet);
    house.send(&romeo, &unarchived(4));
    house.nothing(&romeo);
    assert_eq!(waiting(&house), (1, 1));
}

#[test]
fn a_flood_comes_in_order_page_by_page_and_is_forgotten_as_it_goes() {
    let (mut house, romeo) = begin();
    for n in 0..120 {
        say(&mut house, &romeo, &n.to_string());
    }
    let juliet = come(&mut house, JULIET);
    assert_eq!(hear(&mut house, &juliet), numbers(0, 50), "the next page waits until this one has gone");
    assert_eq!(waiting(&house), (70, 70));
    assert_eq!(hear_all(&mut house, &juliet), numbers(50, 120));
    assert_eq!(waiting(&house), (0, 0));
    say(&mut house, &romeo, "live");
    assert_eq!(hear(&mut house, &juliet), ["live"]);
    assert_eq!(waiting(&house), (0, 0));
}

#[test]
fn a_page_is_limited_in_bytes() {
    let (mut house, romeo) = begin();
    let long = "x".repeat(super::PAGE_BYTES_MAX / 3);
    for _ in 0..4 {
        house.send(&romeo, &format!("<message to='juliet@house' type='chat'><body>{long}</body></message>"));
    }
    let juliet = come(&mut house, JULIET);
    assert_eq!(hear(&mut house, &juliet).len(), 2);
    assert_eq!(hear_all(&mut house, &juliet).len(), 2);
    assert_eq!(waiting(&house), (0, 0));
}

#[test]
fn two_sessions_that_come_at_once_do_not_both_get_it() {
    let (mut house, romeo) = begin();
    for n in 0..120 {
        say(&mut house, &romeo, &n.to_string());
    }
    let one = house.login(JULIET);
    let other = house.login("juliet@house/chamber");
    house.feed(&one, "<presence/>");
    house.feed(&other, "<presence/>");
    house.run();
    assert_eq!(hear_all(&mut house, &one), numbers(0, 120));
    assert!(hear_all(&mut house, &other).is_empty());
}

#[test]
fn what_has_not_arrived_goes_to_another_who_listens_when_the_session_ends() {
    let (mut house, romeo) = begin();
    for n in 0..60 {
        say(&mut house, &romeo, &n.to_string());
    }
    let one = come(&mut house, JULIET);
    let other = come(&mut house, "juliet@house/chamber");
    house.cut(&one);
    assert_eq!(hear_all(&mut house, &other), numbers(0, 60));
    assert_eq!(waiting(&house), (0, 0));
}

#[test]
fn when_the_session_goes_unavailable_the_rest_goes_to_another_who_listens() {
    let (mut house, romeo) = begin();
    for n in 0..60 {
        say(&mut house, &romeo, &n.to_string());
    }
    let one = come(&mut house, JULIET);
    let other = come(&mut house, "juliet@house/chamber");
    house.send(&one, "<presence type='unavailable'/>");
    assert_eq!(hear_all(&mut house, &one), numbers(0, 50));
    assert_eq!(hear_all(&mut house, &other), numbers(50, 60));
}

#[test]
fn with_0198_it_is_kept_until_the_client_has_it() {
    let (mut house, romeo) = begin();
    say(&mut house, &romeo, "1");
    say(&mut house, &romeo, "2");
    let juliet = house.login(JULIET);
    house.send(&juliet, "<enable xmlns='urn:xmpp:sm:3' resume='true'/>");
    house.recv(&juliet);
    house.send(&juliet, "<presence/>");
    assert_eq!(hear(&mut house, &juliet), ["1", "2"]);
    assert_eq!(waiting(&house), (2, 2), "written is not read");
    // The client is never heard of again.
    house.cut(&juliet);
    house.advance(Limits::default().resume_timeout + Duration::from_secs(1));
    let juliet = house.login(JULIET);
    house.send(&juliet, "<enable xmlns='urn:xmpp:sm:3'/>");
    house.recv(&juliet);
    house.send(&juliet, "<presence/>");
    assert_eq!(hear(&mut house, &juliet), ["1", "2"]);
    // Presence and two messages.
    house.send(&juliet, "<a xmlns='urn:xmpp:sm:3' h='3'/>");
    assert_eq!(waiting(&house), (0, 0));
}

#[test]
fn what_a_session_took_to_its_grave_waits_again() {
    let (mut house, romeo) = begin();
    let juliet = house.online(JULIET);
    say(&mut house, &romeo, "1");
    house.cut(&juliet);
    assert_eq!(waiting(&house), (1, 1));
    let juliet = come(&mut house, JULIET);
    assert_eq!(hear(&mut house, &juliet), ["1"]);
}

#[test]
fn after_a_crash_in_the_middle_what_was_not_forgotten_comes_again_with_its_ids() {
    let (mut house, romeo) = begin();
    for n in 0..60 {
        say(&mut house, &romeo, &n.to_string());
    }
    let juliet = come(&mut house, JULIET);
    let first = messages(&mut house, &juliet);
    assert_eq!(first.len(), 50);
    // The second page is in the queue of a process that is no more.
    let mut house = house.restart(ROOMS, Duration::from_secs(5));
    let juliet = come(&mut house, JULIET);
    assert_eq!(hear_all(&mut house, &juliet), numbers(50, 60));
    assert_eq!(waiting(&house), (0, 0));
    let mut house = house.restart(ROOMS, Duration::from_secs(5));
    let juliet = come(&mut house, JULIET);
    assert!(hear_all(&mut house, &juliet).is_empty());
}

#[test]
fn a_message_sent_again_after_a_restart_waits_once() {
    let (mut house, romeo) = begin();
    say(&mut house, &romeo, "1");
    let mut house = house.restart(ROOMS, Duration::from_secs(5));
    let romeo = house.online(ROMEO);
    say(&mut house, &romeo, "1");
    assert_eq!(waiting(&house), (1, 1));
    let juliet = come(&mut house, JULIET);
    assert_eq!(hear_all(&mut house, &juliet), ["1"]);
}

#[test]
fn what_storage_refused_does_not_wait_and_the_sender_is_told() {
    let mut house = House::manual(ROOMS);
    house.user("romeo@house");
    house.user("juliet@house");
    house.store.commit();
    house.run();
    let romeo = house.login(ROMEO);
    say(&mut house, &romeo, "1");
    house.store.refuse();
    house.run();
    assert!(house.one(&romeo).as_str().contains("type='error'"));
    assert_eq!(waiting(&house), (0, 0));
    // What the account remembers is what is on disk.
    say(&mut house, &romeo, "2");
    house.store.commit();
    house.run();
    house.nothing(&romeo);
    assert_eq!(waiting(&house), (1, 1));
    let juliet = come(&mut house, JULIET);
    assert_eq!(hear(&mut house, &juliet), ["2"]);
    // Forgetting is refused too: they come once more, to whoever listens.
    assert_eq!(house.store.queued(), 1);
    house.store.refuse();
    house.run();
    assert_eq!(hear(&mut house, &juliet), ["2"]);
    house.store.commit();
    house.run();
    assert_eq!(waiting(&house), (0, 0));
}

#[test]
fn c3_a_delay_in_the_name_of_the_house_is_believed_of_nobody_and_others_stay() {
    let (mut house, romeo) = begin();
    let forged = "<message to='juliet@house' type='chat'><body>x</body><delay xmlns='urn:xmpp:delay' from='house' stamp='forged'/>\
         <delay xmlns='urn:xmpp:delay' from='romeo@house' stamp='1999-01-01T00:00:00Z'/></message>";
    house.send(&romeo, forged);
    let juliet = come(&mut house, JULIET);
    let heard = messages(&mut house, &juliet);
    house.send(&romeo, forged);
    let live = house.one(&juliet);
    assert!(!live.as_str().contains("forged") && live.as_str().contains("1999"), "{}", live.as_str());
    let xml = heard[0].as_str();
    assert_eq!((xml.matches("from='house'").count(), xml.contains("forged"), xml.contains("1999")), (1, false, true), "{xml}");
}

#[test]
fn s4_the_house_says_that_it_keeps_what_nobody_hears() {
    let (mut house, romeo) = begin();
    let info = house.iq(&romeo, "get", Some("house"), "<query xmlns='http://jabber.org/protocol/disco#info'/>");
    assert!(info.as_str().contains("<feature var='msgoffline'/>"), "{}", info.as_str());
}

#[test]
fn a_burst_to_somebody_who_sleeps_waits_until_the_account_is_read() {
    let (mut house, romeo) = begin();
    house.advance(Duration::from_secs(120));
    house.recv(&romeo);
    for n in 0..200 {
        house.feed(&romeo, &format!("<message to='juliet@house' type='chat' id='{n}'><body>{n}</body></message>"));
    }
    house.run();
    house.nothing(&romeo);
    let mut got = Vec::new();
    while got.len() < 200 {
        let juliet = come(&mut house, JULIET);
        let some = messages(&mut house, &juliet);
        assert!(!some.is_empty(), "{} came", got.len());
        got.extend(some);
        house.close(&juliet);
    }
}
