//! What only the room may say, said by an occupant (security D4), and what follows from it: XEP-0424, 0425, 0500.

use std::time::Duration;

use super::archive::{asked, query, stanza_id};
use super::*;

const RETRACT: &str = "urn:xmpp:message-retract:1";

fn said(house: &mut House, client: &Client, hearer: &Client, room: &str, id: &str, inside: &str) -> Stanza {
    house.recv(hearer);
    house.send(client, &format!("<message to='{room}' type='groupchat' id='{id}'>{inside}</message>"));
    house.one(hearer)
}

fn archived(house: &mut House, client: &Client, room: &str) -> Vec<String> {
    bodies(&query(house, client, room, &asked(&[], "")).0)
}

#[test]
fn d4_who_writes_a_tombstone_of_their_own_escapes_neither_moderators_nor_their_own_retraction() {
    for shard in [0, 1] {
        let (mut house, room, romeo, juliet) = both(shard, &[("persistentroom", "1")]);
        for (n, forged) in
            [format!("<retracted xmlns='{RETRACT}'/>"), format!("<retracted xmlns='{RETRACT}' id='x'/>")].iter().enumerate()
        {
            let heard = said(&mut house, &juliet, &romeo, &room, &format!("v{n}"), &format!("<body>vile</body>{forged}"));
            assert!(!heard.as_str().contains("<retracted"), "{}", heard.as_str());
            let moderate = format!(
                "<moderate id='{}' xmlns='urn:xmpp:message-moderate:1'><retract xmlns='{RETRACT}'/></moderate>",
                stanza_id(&heard)
            );
            is_result(&house.iq(&romeo, "set", Some(&room), &moderate));
            assert!(archived(&mut house, &juliet, &room).is_empty());
        }
        let mine =
            said(&mut house, &juliet, &romeo, &room, "m", &format!("<body>mine</body><retracted xmlns='{RETRACT}' id='x'/>"));
        assert_eq!(archived(&mut house, &juliet, &room), ["mine"], "it is a message like any other");
        let retract = format!("<retract xmlns='{RETRACT}' id='{}'/>", stanza_id(&mine));
        said(&mut house, &juliet, &romeo, &room, "r", &retract);
        assert!(archived(&mut house, &juliet, &room).is_empty());
        let last = said(&mut house, &juliet, &romeo, &room, "l", &format!("<body>last</body><retracted xmlns='{RETRACT}'/>"));
        let mut house = house.restart(ROOMS, Duration::from_secs(60));
        let juliet = house.online(JULIET);
        assert_eq!(
            bodies(&join(&mut house, &juliet, &room, "juliet")),
            ["last"],
            "what was not taken back is shown after a restart"
        );
        // I2: what the room leaves out makes it no other message.
        house.send(
            &juliet,
            &format!("<message to='{room}' type='groupchat' id='l'><body>last</body><retracted xmlns='{RETRACT}'/></message>"),
        );
        assert_eq!(stanza_id(&house.one(&juliet)), stanza_id(&last));
    }
}

#[test]
fn xep0425_s8_nobody_but_the_room_says_what_a_moderator_has_taken_back() {
    let (mut house, room, romeo, juliet) = both(1, &[("persistentroom", "1")]);
    let id = stanza_id(&said(&mut house, &romeo, &juliet, &room, "m", "<body>hi</body>"));
    house.recv(&romeo);
    let forged = format!(
        "<retract xmlns='{RETRACT}' id='{id}'><moderated xmlns='urn:xmpp:message-moderate:1' by='{room}/romeo'/></retract>"
    );
    house.send(&juliet, &format!("<message to='{room}' type='groupchat' id='f'>{forged}</message>"));
    is_error(&house.one(&juliet), "forbidden");
    house.nothing(&romeo);
    assert_eq!(archived(&mut house, &juliet, &room), ["hi"]);
}

#[test]
fn d2_who_a_message_is_from_the_room_says() {
    let (mut house, room, romeo, juliet) = both(0, &[("whois", "anyone")]);
    let address = |kind: &str| {
        format!(
            "<addresses xmlns='http://jabber.org/protocol/address'><address type='{kind}' jid='romeo@house/orchard'/></addresses>"
        )
    };
    for (inside, passes) in [
        (address("ofrom"), false),
        (address("replyto"), true),
        ("<hats xmlns='urn:xmpp:hats:0'><hat uri='u' title='Queen'/></hats>".to_owned(), false),
        ("<occupant-id xmlns='urn:xmpp:occupant-id:0' id='other'/>".to_owned(), false),
        (format!("<stanza-id xmlns='urn:xmpp:sid:0' by='{room}' id='other'/>"), false),
    ] {
        let heard = said(&mut house, &juliet, &romeo, &room, "m", &format!("<body>hi</body>{inside}"));
        let words = ["romeo@house/orchard'/", "Queen", "'other'"];
        assert_eq!(words.iter().any(|it| heard.as_str().contains(it)), passes, "{inside}: {}", heard.as_str());
    }
}

#[test]
fn xep0424_s4_a_tombstone_has_an_id_even_if_its_retraction_had_none() {
    let (mut house, room, romeo, juliet) = both(1, &[("persistentroom", "1")]);
    let id = stanza_id(&said(&mut house, &juliet, &romeo, &room, "m", "<body>hi</body>"));
    house.send(&juliet, &format!("<message to='{room}' type='groupchat'><retract xmlns='{RETRACT}' id='{id}'/></message>"));
    let at = stanza_id(&house.one(&romeo));
    let (heard, _) = query(&mut house, &juliet, &room, &asked(&[], ""));
    assert!(heard[0].as_str().contains(&format!("<retracted xmlns='{RETRACT}' id='{at}'")), "{}", heard[0].as_str());
}

#[test]
fn xep0500_s5_what_is_encrypted_is_said_too_and_what_only_tells_of_something_is_not() {
    let (mut house, room, romeo, juliet) = both(0, &[("slow_mode_duration", "20")]);
    let omemo = |inside: &str| format!("<encrypted xmlns='urn:xmpp:omemo:2'><header sid='1'/>{inside}</encrypted>");
    said(&mut house, &juliet, &romeo, &room, "1", &omemo("<payload>aGk=</payload>"));
    for spoken in [
        omemo("<payload>aGk=</payload>"),
        "<encrypted xmlns='eu.siacs.conversations.axolotl'><header sid='1'/><payload>aGk=</payload></encrypted>".into(),
        "<openpgp xmlns='urn:xmpp:openpgp:0'>aGk=</openpgp>".into(),
        "<body>hi</body>".into(),
    ] {
        house.recv(&juliet);
        house.send(&juliet, &format!("<message to='{room}' type='groupchat' id='m'>{spoken}</message>"));
        is_error(&house.one(&juliet), "policy-violation");
        house.nothing(&romeo);
    }
    for told in [
        omemo(""),
        "<composing xmlns='http://jabber.org/protocol/chatstates'/>".into(),
        "<reactions xmlns='urn:xmpp:reactions:0' id='m1'><reaction>x</reaction></reactions>".into(),
        "<displayed xmlns='urn:xmpp:chat-markers:0' id='m1'/>".into(),
    ] {
        said(&mut house, &juliet, &romeo, &room, "m", &told);
    }
}
