use iris_core::Stanza;
use iris_engine::testing::{Client, House};
use xmpp_parsers::carbons::{Received, Sent};

use crate::ROOMS;

const ENABLE: &str = "<enable xmlns='urn:xmpp:carbons:2'/>";
const DISABLE: &str = "<disable xmlns='urn:xmpp:carbons:2'/>";

/// Romeo at home and in the garden, Juliet on her balcony; carbons are on for both of his.
struct Scene {
    house: House,
    home: Client,
    garden: Client,
    juliet: Client,
}

fn scene() -> Scene {
    let mut house = House::with(ROOMS);
    let home = house.online("romeo@house/home");
    let garden = house.online("romeo@house/garden");
    let juliet = house.online("juliet@house/balcony");
    for client in [&home, &garden] {
        assert_eq!(house.iq(client, "set", None, ENABLE).attr("type").as_deref(), Some("result"));
    }
    house.recv(&home);
    Scene { house, home, garden, juliet }
}

/// The message inside a copy for this client. The wrapper is checked on the way.
#[track_caller]
fn copied(copy: &Stanza, wrapper: &str, to: &str) -> String {
    assert_eq!(copy.from().as_deref(), Some("romeo@house"), "from the own bare JID: {}", copy.as_str());
    assert_eq!(copy.to().as_deref(), Some(to), "to the full JID");
    let child = copy.child_named("urn:xmpp:carbons:2", wrapper).unwrap_or_else(|| panic!("no {wrapper}: {}", copy.as_str()));
    assert_eq!(copy.children().len(), 1);
    if wrapper == "sent" {
        copy.parse_child::<Sent>(child).expect("as the schema has it");
    } else {
        copy.parse_child::<Received>(child).expect("as the schema has it");
    }
    let el = copy.child_el(child);
    let forwarded = el.child("urn:xmpp:forward:0", "forwarded").expect("a forwarded");
    let message = forwarded.child("jabber:client", "message").expect("in jabber:client");
    String::from_utf8_lossy(message.bytes()).into_owned()
}

#[test]
fn s7_what_one_device_hears_the_other_hears_too() {
    let Scene { mut house, home, garden, juliet } = scene();
    house.send(&juliet, "<message to='romeo@house/garden' type='chat' id='m'><body>What man art thou</body></message>");
    let original = house.one(&garden);
    assert!(original.as_str().contains("What man") && !original.as_str().contains("carbons"));
    let copy = house.one(&home);
    assert_eq!(copy.attr("type").as_deref(), Some("chat"));
    let message = copied(&copy, "received", "romeo@house/home");
    assert!(message.contains("from='juliet@house/balcony'") && message.contains("to='romeo@house/garden'"), "{message}");
    assert!(message.contains("id='m'") && message.contains("<body>What man art thou</body>"), "{message}");
}

#[test]
fn s8_what_one_device_says_the_other_hears_also_when_the_first_has_no_carbons() {
    let Scene { mut house, home, garden, juliet } = scene();
    let _ = house.iq(&home, "set", None, DISABLE);
    house.send(&home, "<message to='juliet@house/balcony' type='chat' id='m'><body>Neither</body></message>");
    assert!(house.one(&juliet).as_str().contains("Neither"));
    let message = copied(&house.one(&garden), "sent", "romeo@house/garden");
    assert!(message.contains("from='romeo@house/home'") && message.contains("to='juliet@house/balcony'"), "{message}");
    house.nothing(&home);
}

#[test]
fn s7_to_the_bare_jid_everybody_who_listens_has_it_already() {
    let Scene { mut house, home, garden, juliet } = scene();
    let hidden = house.login("romeo@house/hidden");
    let low = house.login("romeo@house/low");
    for client in [&hidden, &low] {
        house.iq(client, "set", None, ENABLE);
    }
    house.send(&low, "<presence><priority>-1</priority></presence>");
    for client in [&home, &garden, &low] {
        house.recv(client);
    }
    house.send(&juliet, "<message to='romeo@house' type='chat'><body>all</body></message>");
    for client in [&home, &garden] {
        assert!(!house.one(client).as_str().contains("carbons"), "the message itself, once");
    }
    // Delivery passes over a negative priority and over who has not said that it is there; carbons do not.
    for client in [&hidden, &low] {
        assert!(copied(&house.one(client), "received", client.jid.as_str()).contains("all"));
    }
}

#[test]
fn s7_nobody_listens_and_a_device_with_carbons_hears_it_all_the_same() {
    let mut house = House::with(ROOMS);
    let hidden = house.login("romeo@house/hidden");
    house.iq(&hidden, "set", None, ENABLE);
    let juliet = house.online("juliet@house/balcony");
    house.send(&juliet, "<message to='romeo@house' type='chat'><body>anybody?</body></message>");
    assert!(copied(&house.one(&hidden), "received", "romeo@house/hidden").contains("anybody?"));
}

#[test]
fn s6_1_recommended_rules_which_messages_are_copied() {
    let yes = [
        "<message type='chat' TO><body>x</body></message>",
        "<message type='chat' TO><composing xmlns='http://jabber.org/protocol/chatstates'/></message>",
        "<message type='chat' TO><encrypted xmlns='eu.siacs.conversations.axolotl'/></message>",
        "<message TO><body>x</body></message>",
        "<message type='normal' TO><body>x</body></message>",
        "<message type='of-no-kind' TO><body>x</body></message>",
        "<message TO><received xmlns='urn:xmpp:receipts' id='1'/></message>",
        "<message TO><displayed xmlns='urn:xmpp:chat-markers:0' id='1'/></message>",
        "<message TO><active xmlns='http://jabber.org/protocol/chatstates'/></message>",
        "<message TO><x xmlns='jabber:x:conference' jid='r@c'/></message>",
        "<message TO><x xmlns='http://jabber.org/protocol/muc#user'><invite to='a@b'/></x></message>",
    ];
    let no = [
        "<message TO><x xmlns='some:app'/></message>",
        "<message type='headline' TO><body>x</body></message>",
        "<message type='groupchat' TO><body>x</body></message>",
        "<message type='chat' TO><body>x</body><private xmlns='urn:xmpp:carbons:2'/></message>",
        "<message type='chat' TO><body>x</body><no-copy xmlns='urn:xmpp:hints'/></message>",
        "<message type='chat' TO><sent xmlns='urn:xmpp:carbons:2'/><body>x</body></message>",
        "<message type='chat' TO><received xmlns='urn:xmpp:carbons:2'/><body>x</body></message>",
        "<message type='error' TO><error type='cancel'/></message>",
    ];
    let Scene { mut house, home, garden, juliet } = scene();
    for (xml, copies) in yes.map(|xml| (xml, 1)).into_iter().chain(no.map(|xml| (xml, 0))) {
        house.send(&juliet, &xml.replace("TO", "to='romeo@house/garden'"));
        assert_eq!(house.recv(&garden).len(), 1, "{xml}");
        assert_eq!(house.recv(&home).len(), copies, "received: {xml}");
        house.send(&garden, &xml.replace("TO", "to='juliet@house/balcony'"));
        assert_eq!(house.recv(&juliet).len(), 1, "{xml}");
        assert_eq!(house.recv(&home).len(), copies, "sent: {xml}");
        house.nothing(&garden);
    }
}

#[test]
fn s6_1_muc_rules_a_private_message_is_copied_when_sent_and_not_when_received() {
    let Scene { mut house, home, garden, juliet } = scene();
    let x = "<x xmlns='http://jabber.org/protocol/muc#user'/>";
    house.send(&juliet, &format!("<message to='romeo@house/garden' type='chat'><body>psst</body>{x}</message>"));
    house.one(&garden);
    house.nothing(&home);
    house.send(&garden, &format!("<message to='juliet@house/balcony' type='chat'><body>psst</body>{x}</message>"));
    copied(&house.one(&home), "sent", "romeo@house/home");
}

#[test]
fn s6_1_an_error_is_copied_when_it_answers_what_was_copied() {
    let Scene { mut house, home, garden, juliet } = scene();
    let error = "<message to='romeo@house/garden' type='error' id='ID'><error type='cancel'/></message>";
    house.send(&garden, "<message to='juliet@house/balcony' type='chat' id='m1'><body>x</body></message>");
    house.recv(&home);
    house.send(&juliet, &error.replace("ID", "m1"));
    assert_eq!(house.one(&garden).attr("type").as_deref(), Some("error"));
    copied(&house.one(&home), "received", "romeo@house/home");
    // Of another message, or from somebody else, it answers nothing.
    house.send(&juliet, &error.replace("ID", "m2"));
    let nurse = house.online("nurse@house/kitchen");
    house.send(&nurse, &error.replace("ID", "m1"));
    house.nothing(&home);
}

#[test]
fn s9_private_stays_in_the_message() {
    let Scene { mut house, garden, juliet, .. } = scene();
    let private = "<private xmlns='urn:xmpp:carbons:2'/><no-copy xmlns='urn:xmpp:hints'/>";
    house.send(&juliet, &format!("<message to='romeo@house/garden' type='chat'><body>x</body>{private}</message>"));
    assert!(house.one(&garden).as_str().contains(private));
}

#[test]
fn s10_1_as_often_as_one_likes() {
    let Scene { mut house, home, garden, juliet } = scene();
    for payload in [ENABLE, ENABLE, DISABLE, DISABLE] {
        let answer = house.iq(&home, "set", None, payload);
        assert!(answer.attr("type").as_deref() == Some("result") && answer.children().is_empty());
    }
    house.send(&juliet, "<message to='romeo@house/garden' type='chat'><body>x</body></message>");
    house.one(&garden);
    house.nothing(&home);
}

#[test]
fn to_oneself_each_device_hears_it_exactly_once() {
    let Scene { mut house, home, garden, .. } = scene();
    house.send(&home, "<message to='romeo@house' type='chat'><body>note</body></message>");
    assert!(house.one(&garden).as_str().contains("note"));
    assert!(house.one(&home).as_str().contains("note"));
    let third = house.online("romeo@house/third");
    house.iq(&third, "set", None, ENABLE);
    for client in [&home, &garden] {
        house.recv(client);
    }
    house.send(&home, "<message to='romeo@house/garden' type='chat'><body>there</body></message>");
    assert!(!house.one(&garden).as_str().contains("carbons"));
    copied(&house.one(&third), "received", "romeo@house/third");
    house.nothing(&home);
    let hidden = house.login("romeo@house/hidden");
    house.iq(&hidden, "set", None, ENABLE);
    house.send(&hidden, "<message to='romeo@house' type='chat'><body>from the dark</body></message>");
    house.nothing(&hidden);
}

#[test]
fn c2_a_forged_copy_comes_from_who_made_it() {
    let Scene { mut house, home, garden, .. } = scene();
    let mallory = house.online("mallory@house/x");
    let forged = "<received xmlns='urn:xmpp:carbons:2'><forwarded xmlns='urn:xmpp:forward:0'><message xmlns='jabber:client' \
                  from='juliet@house/balcony' to='romeo@house/home' type='chat'><body>!</body></message></forwarded></received>";
    house.send(&mallory, &format!("<message to='romeo@house/home' from='romeo@house' type='chat'>{forged}</message>"));
    assert_eq!(house.one(&home).from().as_deref(), Some("mallory@house/x"));
    house.nothing(&garden);
}

#[test]
fn xep0352_a_copy_of_a_chat_state_does_not_wake_a_client() {
    let Scene { mut house, home, garden, juliet } = scene();
    house.send(&home, "<inactive xmlns='urn:xmpp:csi:0'/>");
    let state = "<composing xmlns='http://jabber.org/protocol/chatstates'/>";
    house.send(&juliet, &format!("<message to='romeo@house/garden' type='chat'>{state}</message>"));
    house.one(&garden);
    house.nothing(&home);
    house.send(&juliet, "<message to='romeo@house/garden' type='chat'><body>x</body></message>");
    copied(&house.one(&home), "received", "romeo@house/home");
}

#[test]
fn not_applicable_to_somebody_elses_account() {
    let Scene { mut house, juliet, .. } = scene();
    assert!(house.iq(&juliet, "set", Some("romeo@house"), ENABLE).as_str().contains("service-unavailable"));
    assert!(house.iq(&juliet, "get", None, ENABLE).as_str().contains("service-unavailable"));
}

#[test]
fn s6_1_an_error_that_our_own_server_gives_is_copied_like_any_other() {
    let Scene { mut house, home, garden, .. } = scene();
    for (to, id) in [("nobody@house", "m1"), ("tybalt@house", "m2"), ("somebody@elsewhere.example", "m3")] {
        house.send(&garden, &format!("<message to='{to}' type='chat' id='{id}'><body>x</body></message>"));
        assert_eq!(house.one(&garden).attr("type").as_deref(), Some("error"), "{to}");
        let heard = house.recv(&home);
        assert_eq!(heard.len(), 2, "the message and its error: {to}");
        copied(&heard[0], "sent", "romeo@house/home");
        assert!(copied(&heard[1], "received", "romeo@house/home").contains("type='error'"));
    }
}

#[test]
fn c3_a_copy_says_under_which_id_our_archive_has_it_and_no_forged_one() {
    let Scene { mut house, home, garden, juliet } = scene();
    let ids = |message: &str| -> Vec<(String, String)> {
        let el = iris_core::xml::El::parse(message.as_bytes()).expect("an element");
        let attr = |it: &iris_core::xml::El<'_>, name: &str| it.attr(name).unwrap_or_default().into_owned();
        el.children().filter(|it| it.is("urn:xmpp:sid:0", "stanza-id")).map(|it| (attr(&it, "by"), attr(&it, "id"))).collect()
    };
    let forged = "<body>x</body><stanza-id xmlns='urn:xmpp:sid:0' by='romeo@house' id='forged'/>";
    house.send(&garden, &format!("<message to='juliet@house/balcony' type='chat'>{forged}</message>"));
    let sent = ids(&copied(&house.one(&home), "sent", "romeo@house/home"));
    assert!(matches!(sent.as_slice(), [(by, id)] if by == "romeo@house" && id != "forged"), "{sent:?}");
    house.recv(&juliet);
    house.send(&juliet, &format!("<message to='romeo@house/garden' type='chat'>{forged}</message>"));
    let original = ids(house.one(&garden).as_str());
    assert!(matches!(original.as_slice(), [(by, id)] if by == "romeo@house" && id != "forged"), "{original:?}");
    assert_eq!(ids(&copied(&house.one(&home), "received", "romeo@house/home")), original);
}
