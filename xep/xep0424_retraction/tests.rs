//! Plays about taking things back.

use std::time::Duration;

use iris_core::Stanza;
use iris_engine::testing::{Client, House};

use crate::ROOMS;
use crate::testing::{archived as archive, of_words};

const ROMEO: &str = "romeo@house/orchard";
const JULIET: &str = "juliet@house/balcony";

fn say(house: &mut House, from: &Client, to: &str, id: &str, inside: &str) {
    house.send(from, &format!("<message to='{to}' type='chat' id='{id}'>{inside}</message>"));
}

fn retract(house: &mut House, from: &Client, to: &str, id: &str, target: &str) {
    let inside = format!(
        "<retract xmlns='urn:xmpp:message-retract:1' id='{target}'/><fallback xmlns='urn:xmpp:fallback:0' \
         for='urn:xmpp:message-retract:1'/><body>/me took something back</body><store xmlns='urn:xmpp:hints'/>"
    );
    say(house, from, to, id, &inside);
}

#[test]
fn s4_what_is_taken_back_becomes_a_tombstone_on_both_sides_and_the_retraction_stays() {
    let mut house = House::with(ROOMS);
    let (romeo, juliet) = (house.online(ROMEO), house.online(JULIET));
    say(&mut house, &romeo, "juliet@house", "1", "<body>before</body>");
    say(&mut house, &romeo, "juliet@house", "wrong", "<body>secret</body><x xmlns='urn:x'>secret</x>");
    say(&mut house, &romeo, "juliet@house", "3", "<body>after</body>");
    house.recv(&juliet);
    house.advance(Duration::from_secs(72));
    retract(&mut house, &romeo, "juliet@house", "r", "wrong");
    assert!(house.one(&juliet).as_str().contains("<retract "), "who is there hears of it");
    for (client, other) in [(&romeo, "juliet@house"), (&juliet, "romeo@house/orchard")] {
        let all = archive(&mut house, client, "");
        assert_eq!(all.len(), 4, "{all:?}");
        assert!(all.iter().all(|message| !message.contains("secret")), "{all:?}");
        assert!(
            all[1].starts_with("<message xmlns='jabber:client' to='juliet@house' from='romeo@house/orchard'"),
            "{}",
            all[1]
        );
        assert!(all[1].contains("id='wrong'") && all[1].contains("type='chat'"), "{}", all[1]);
        let stone = "<retracted xmlns='urn:xmpp:message-retract:1' id='r' stamp='2026-01-01T00:01:12";
        assert!(all[1].contains(stone), "{}", all[1]);
        assert!(all[3].contains("<retract xmlns='urn:xmpp:message-retract:1' id='wrong'/>"), "{}", all[3]);
        // Queries stay consistent (0313 3.2): the other side is still who it was.
        let with = format!("<field var='with'><value>{other}</value></field>");
        assert_eq!(archive(&mut house, client, &with).len(), 4);
    }
}

#[test]
fn s5_1_only_who_wrote_it_takes_it_back_from_whatever_device() {
    let mut house = House::with(ROOMS);
    let (romeo, juliet) = (house.online(ROMEO), house.online(JULIET));
    let garden = house.online("romeo@house/garden");
    let mallory = house.online("mallory@house/x");
    say(&mut house, &romeo, "juliet@house", "m", "<body>secret</body>");
    say(&mut house, &mallory, "juliet@house", "n", "<body>hers</body>");
    // Neither the recipient nor a third one, nor its author in another conversation.
    retract(&mut house, &juliet, "romeo@house", "r1", "m");
    retract(&mut house, &mallory, "juliet@house", "r2", "m");
    retract(&mut house, &romeo, "mallory@house", "r3", "m");
    for client in [&romeo, &juliet] {
        assert!(archive(&mut house, client, "").iter().any(|message| message.contains("secret")), "{}", client.jid);
    }
    retract(&mut house, &garden, "juliet@house", "r4", "m");
    for client in [&romeo, &juliet] {
        assert!(archive(&mut house, client, "").iter().all(|message| !message.contains("secret")), "{}", client.jid);
    }
    assert!(archive(&mut house, &mallory, "").iter().any(|message| message.contains("hers")));
}

#[test]
fn s4_what_leaks_the_original_goes_with_it_and_nothing_else() {
    let mut house = House::with(ROOMS);
    let (romeo, juliet) = (house.online(ROMEO), house.online(JULIET));
    say(&mut house, &romeo, "juliet@house", "m", "<body>secrt</body>");
    say(&mut house, &romeo, "juliet@house", "c1", "<body>secret</body><replace xmlns='urn:xmpp:message-correct:0' id='m'/>");
    say(&mut house, &juliet, "romeo@house", "m", "<body>hers under the same id</body>");
    say(&mut house, &romeo, "juliet@house", "c2", "<body>secret!</body><replace xmlns='urn:xmpp:message-correct:0' id='m'/>");
    retract(&mut house, &romeo, "juliet@house", "r", "m");
    // A retraction is never a target itself (section 5: it MUST be stored).
    retract(&mut house, &romeo, "juliet@house", "r2", "r");
    for client in [&romeo, &juliet] {
        let all = archive(&mut house, client, "");
        assert_eq!(all.iter().filter(|message| message.contains("<retracted ")).count(), 3, "{all:?}");
        assert!(all.iter().all(|message| !message.contains("secr")), "{all:?}");
        assert!(all[2].contains("hers") && all[4].contains("<retract ") && all[5].contains("<retract "), "{all:?}");
    }
}

#[test]
fn s5_offline_devices_get_the_retraction_and_never_the_message() {
    let mut house = House::with(ROOMS);
    let romeo = house.online(ROMEO);
    house.user("juliet@house");
    say(&mut house, &romeo, "juliet@house", "1", "<body>before</body>");
    say(&mut house, &romeo, "juliet@house", "wrong", "<body>secret</body>");
    retract(&mut house, &romeo, "juliet@house", "r", "wrong");
    say(&mut house, &romeo, "juliet@house", "4", "<body>after</body>");
    let juliet = house.login(JULIET);
    house.send(&juliet, "<presence/>");
    let heard: Vec<Stanza> = house.recv(&juliet).into_iter().filter(|it| it.id().is_some()).collect();
    let ids: Vec<_> = heard.iter().filter_map(|it| it.id().map(|id| id.into_owned())).collect();
    assert_eq!(ids, ["1", "r", "4"], "{:?}", heard.iter().map(Stanza::as_str).collect::<Vec<_>>());
    // They are counted right: nothing is left, and what comes next is not held up.
    house.close(&juliet);
    say(&mut house, &romeo, "juliet@house", "5", "<body>later</body>");
    let juliet = house.login(JULIET);
    house.send(&juliet, "<presence/>");
    let heard: Vec<Stanza> = house.recv(&juliet).into_iter().filter(|it| it.id().is_some()).collect();
    assert_eq!(heard.len(), 1);
}

/// The addressee's archive has no place for the retraction: there is one all the same.
#[test]
fn s5_what_waits_is_taken_back_also_where_no_archive_keeps_it() {
    for (who, default) in [("romeo@house/orchard", "never"), ("mallory@house/x", "roster")] {
        let mut house = House::with(ROOMS);
        house.friends("romeo@house", "juliet@house");
        let juliet = house.login(JULIET);
        let prefs = format!("<prefs xmlns='urn:xmpp:mam:2' default='{default}'><always/><never/></prefs>");
        assert_eq!(house.iq(&juliet, "set", None, &prefs).attr("type").as_deref(), Some("result"));
        house.close(&juliet);
        let writer = house.online(who);
        say(&mut house, &writer, "juliet@house", "wrong", "<body>secret</body>");
        say(&mut house, &writer, "juliet@house", "2", "<body>after</body>");
        retract(&mut house, &writer, "juliet@house", "r", "wrong");
        let juliet = house.login(JULIET);
        house.send(&juliet, "<presence/>");
        let heard = house.recv(&juliet);
        let ids: Vec<String> = heard.iter().filter_map(|it| it.id().map(|id| id.into_owned())).collect();
        assert_eq!(ids, ["2", "r"], "{default}: {:?}", heard.iter().map(Stanza::as_str).collect::<Vec<_>>());
        assert!(archive(&mut house, &juliet, "").is_empty());
    }
}

/// Nor does a message stay in the archive because its author, or its reader, no longer keeps what comes.
#[test]
fn s4_what_the_archive_has_is_taken_back_also_where_it_does_not_keep_the_retraction() {
    let mut house = House::with(ROOMS);
    let (romeo, juliet) = (house.online(ROMEO), house.online(JULIET));
    say(&mut house, &romeo, "juliet@house", "wrong", "<body>secret</body>");
    for client in [&romeo, &juliet] {
        house.iq(client, "set", None, "<prefs xmlns='urn:xmpp:mam:2' default='never'><always/><never/></prefs>");
    }
    retract(&mut house, &romeo, "juliet@house", "r", "wrong");
    for client in [&romeo, &juliet] {
        let all = archive(&mut house, client, "");
        assert!(all.len() == 1 && all[0].contains("<retracted "), "{all:?}");
    }
}

#[test]
fn d4_retracted_content_is_found_by_nobody() {
    let mut house = House::with(ROOMS);
    let (romeo, juliet) = (house.online(ROMEO), house.online(JULIET));
    say(&mut house, &romeo, "juliet@house", "m", "<body>a secret rendezvous</body>");
    let words = &of_words("rendezvous");
    assert_eq!(archive(&mut house, &juliet, words).len(), 1);
    retract(&mut house, &romeo, "juliet@house", "r", "m");
    for client in [&romeo, &juliet] {
        assert!(archive(&mut house, client, words).is_empty());
    }
}

#[test]
fn a_retraction_that_a_crash_interrupted_is_done_when_the_account_wakes() {
    let mut house = House::manual(ROOMS);
    for user in ["romeo@house", "juliet@house"] {
        house.user(user);
    }
    house.store.commit();
    house.run();
    let romeo = house.login(ROMEO);
    say(&mut house, &romeo, "juliet@house", "m", "<body>secret</body>");
    house.store.commit();
    house.run();
    house.store.commit();
    house.run();
    retract(&mut house, &romeo, "juliet@house", "r", "m");
    // The retraction is on disk, what follows from it is not yet.
    house.store.commit();
    let mut house = house.restart(ROOMS, Duration::from_secs(3));
    for _ in 0..4 {
        house.store.commit();
        house.run();
    }
    let romeo = house.login(ROMEO);
    for _ in 0..4 {
        house.store.commit();
        house.run();
    }
    let all = archive(&mut house, &romeo, "");
    assert!(all.len() == 2 && all[0].contains("<retracted ") && all[1].contains("<retract "), "{all:?}");
}

#[test]
fn who_takes_back_too_much_at_once_is_asked_to_wait() {
    let mut house = House::manual(ROOMS);
    for user in ["romeo@house", "juliet@house"] {
        house.user(user);
    }
    house.store.commit();
    house.run();
    let romeo = house.login(ROMEO);
    // Nothing is committed: nothing can be looked for.
    for n in 0..70 {
        retract(&mut house, &romeo, "juliet@house", &format!("r{n}"), "m");
    }
    for _ in 0..200 {
        house.store.commit();
        house.run();
    }
    let refused = house.hear(&romeo).iter().filter(|it| it.contains("<resource-constraint")).count();
    assert_eq!(refused, 6);
    retract(&mut house, &romeo, "juliet@house", "later", "m");
    house.store.commit();
    house.run();
    assert!(house.hear(&romeo).iter().all(|it| !it.contains("<resource-constraint")), "there is room again");
}

#[test]
fn s3_server_and_account_say_so() {
    let mut house = House::with(ROOMS);
    let romeo = house.online(ROMEO);
    for (to, features) in [
        ("house", &["urn:xmpp:message-retract:1"][..]),
        ("romeo@house", &["urn:xmpp:message-retract:1", "urn:xmpp:message-retract:1#tombstone"]),
    ] {
        let info = house.iq(&romeo, "get", Some(to), "<query xmlns='http://jabber.org/protocol/disco#info'/>");
        for feature in features {
            assert!(info.as_str().contains(&format!("<feature var='{feature}'/>")), "{to}: {}", info.as_str());
        }
    }
}

#[test]
fn not_applicable_a_retraction_without_ids_is_an_ordinary_message() {
    let mut house = House::with(ROOMS);
    let romeo = house.online(ROMEO);
    house.user("juliet@house");
    say(&mut house, &romeo, "juliet@house", "m", "<body>stays</body>");
    house.send(&romeo, "<message to='juliet@house' type='chat'><retract xmlns='urn:xmpp:message-retract:1' id='m'/></message>");
    say(&mut house, &romeo, "juliet@house", "r", "<retract xmlns='urn:xmpp:message-retract:1'/>");
    let all = archive(&mut house, &romeo, "");
    assert!(all.len() == 3 && all[0].contains("stays"), "{all:?}");
}
