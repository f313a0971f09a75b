//! Plays with an app server at `app.house`: it notes what is published there, and answers as the node's name says.

use std::time::Duration;

use iris_core::{At, Bounce, Card, Condition, GetOrSet, Mount, MountError, Reply, Room, StateSlot, Status};
use iris_engine::testing::{Client, House};

use crate::ROOMS;

mod quiet;
mod rooms;
mod silent;
mod web;

const APP_SERVER: Room = Room {
    card: Card { xep: None, name: "App server", version: "0", status: Status::Complete, needs: &[] },
    mount: app_server,
};

static PUBLISHED: StateSlot<Vec<String>> = StateSlot::new();

fn app_server(m: &mut Mount<'_>) -> Result<(), MountError> {
    m.serve("app", |s| {
        s.identity(At::Host, "pubsub", "push", None);
        s.host_state(&PUBLISHED, &[], |_| Vec::new())?;
        s.host_iq_stanza(GetOrSet::Set, super::PUBSUB, "pubsub", |turn, stanza, pubsub| {
            let node = pubsub.child(super::PUBSUB, "publish").and_then(|it| Some(it.attr("node")?.into_owned()));
            let from = turn.from.to_string();
            turn.state(&PUBLISHED).expect("the state").push(format!("{from} {}", stanza.as_str()));
            match node.as_deref() {
                Some("missing") => Bounce::new(Condition::ItemNotFound).into(),
                Some("gone") => Bounce::new(Condition::Gone).into(),
                Some("later") => Bounce::new(Condition::ResourceConstraint).into(),
                _ => Reply::empty(),
            }
        })
    })
}

fn rooms() -> Vec<Room> {
    [ROOMS, &[APP_SERVER]].concat()
}

/// Juliet has a phone with push, which is not connected; Romeo is online.
fn house() -> (House, Client) {
    configured("")
}

fn configured(config: &str) -> (House, Client) {
    let mut house = House::with_config(&rooms(), config);
    house.friends("romeo@house", "juliet@house");
    let phone = house.online("juliet@house/phone");
    enable(&mut house, &phone, "phone");
    house.close(&phone);
    let romeo = house.online("romeo@house/orchard");
    (house, romeo)
}

fn enable(house: &mut House, client: &Client, node: &str) {
    ok(house, client, &format!("<enable xmlns='urn:xmpp:push:0' jid='app.house' node='{node}'/>"));
}

#[track_caller]
fn ok(house: &mut House, client: &Client, payload: &str) {
    let answer = house.iq(client, "set", None, payload);
    assert_eq!(answer.attr("type").as_deref(), Some("result"), "{}", answer.as_str());
}

#[track_caller]
fn refused(house: &mut House, client: &Client, payload: &str, condition: &str) {
    let answer = house.iq(client, "set", None, payload);
    assert!(answer.as_str().contains("type='error'") && answer.as_str().contains(condition), "{}", answer.as_str());
}

/// What the app server has been told since the last time.
fn published(house: &mut House) -> Vec<String> {
    let take = |turn: &mut iris_core::HostTurn<'_>| turn.state(&PUBLISHED).map(std::mem::take).unwrap_or_default();
    house.host("app.house", take).expect("an answer").expect("kept")
}

fn say(house: &mut House, from: &Client, text: &str) {
    house.send(from, &format!("<message to='juliet@house' type='chat' id='{text}'><body>{text}</body></message>"));
}

#[track_caller]
fn has(published: &str, parts: &[&str]) {
    for part in parts {
        assert!(published.contains(part), "{part} in {published}");
    }
}

fn field(var: &str, value: &str) -> String {
    format!("<field var='{var}'><value>{value}</value></field>")
}

#[test]
fn s4_1_the_account_says_so_and_nobody_else() {
    let mut house = House::with(&rooms());
    let juliet = house.online("juliet@house/balcony");
    let info = "<query xmlns='http://jabber.org/protocol/disco#info'/>";
    let of = |house: &mut House, to| house.iq(&juliet, "get", Some(to), info).as_str().contains("urn:xmpp:push:0");
    assert!(of(&mut house, "juliet@house"));
    assert!(!of(&mut house, "house"));
}

#[test]
fn s5_and_s7_a_message_for_somebody_who_is_away_is_published_by_the_domain() {
    let (mut house, romeo) = house();
    let form = "<x xmlns='jabber:x:data' type='submit'><field var='FORM_TYPE'><value>http://jabber.org/protocol/pubsub#publish-options\
                </value></field><field var='secret'><value>a&lt;b</value></field></x>";
    let tablet = house.login("juliet@house/tablet");
    ok(&mut house, &tablet, &format!("<enable xmlns='urn:xmpp:push:0' jid='app.house' node='tablet'>{form}</enable>"));
    house.close(&tablet);
    say(&mut house, &romeo, "hi");
    let told = published(&mut house);
    assert_eq!(told.len(), 2, "{told:?}");
    let summary = [field("FORM_TYPE", "urn:xmpp:push:summary"), field("message-count", "1")];
    for (told, node) in told.iter().zip(["phone", "tablet"]) {
        assert!(told.starts_with("house <iq type='set' "), "{told}");
        has(told, &[&format!("<publish node='{node}'><item><notification xmlns='urn:xmpp:push:0'>"), &summary[0], &summary[1]]);
        assert!(!told.contains("romeo") && !told.contains(">hi<"), "{told}");
    }
    assert!(!told[0].contains("publish-options"));
    has(&told[1], &[&format!("</publish><publish-options>{form}</publish-options></pubsub>")]);
}

#[test]
fn s5_the_same_service_and_node_once_more_replaces_the_options() {
    let (mut house, romeo) = house();
    let phone = house.online("juliet@house/phone");
    let form = |secret: &str| {
        format!(
            "<x xmlns='jabber:x:data' type='submit'><field var='FORM_TYPE'><value>http://jabber.org/protocol/pubsub#publish-options\
             </value></field><field var='secret'><value>{secret}</value></field></x>"
        )
    };
    for secret in ["one", "two"] {
        let form = form(secret);
        ok(&mut house, &phone, &format!("<enable xmlns='urn:xmpp:push:0' jid='app.house' node='phone'>{form}</enable>"));
    }
    house.close(&phone);
    say(&mut house, &romeo, "hi");
    let told = published(&mut house);
    assert_eq!(told.len(), 1, "{told:?}");
    has(&told[0], &["<value>two</value>"]);
}

#[test]
fn s6_disabling_one_node_or_all_of_a_service() {
    let (mut house, romeo) = house();
    let phone = house.online("juliet@house/phone");
    for node in ["a", "b"] {
        enable(&mut house, &phone, node);
    }
    ok(&mut house, &phone, "<enable xmlns='urn:xmpp:push:0' jid='app.house'/>");
    ok(&mut house, &phone, "<disable xmlns='urn:xmpp:push:0' jid='app.house' node='a'/>");
    house.close(&phone);
    say(&mut house, &romeo, "one");
    assert_eq!(published(&mut house).len(), 3);
    let phone = house.online("juliet@house/phone");
    ok(&mut house, &phone, "<disable xmlns='urn:xmpp:push:0' jid='app.house'/>");
    ok(&mut house, &phone, "<disable xmlns='urn:xmpp:push:0' jid='app.house'/>");
    house.close(&phone);
    say(&mut house, &romeo, "two");
    assert!(published(&mut house).is_empty(), "MUST NOT attempt publishing");
    assert!(!house.shards[0].house().enrolled.has("juliet@house"));
}

#[test]
fn d9_what_cannot_be_a_push_service_is_refused() {
    let (mut house, _) = house();
    let juliet = house.online("juliet@house/balcony");
    for jid in [
        "juliet@house",
        "romeo@house/orchard",
        "romeo@house",
        "victim@away/phone",
        "house",
        "127.0.0.1",
        "[::1]",
        "10.0.0.1",
        "2130706433",
        "0x7f.1",
        "127.0x1",
    ] {
        refused(&mut house, &juliet, &format!("<enable xmlns='urn:xmpp:push:0' jid='{jid}' node='n'/>"), "not-acceptable");
    }
    refused(&mut house, &juliet, "<enable xmlns='urn:xmpp:push:0' node='n'/>", "bad-request");
    refused(&mut house, &juliet, "<enable xmlns='urn:xmpp:push:0' jid='@@' node='n'/>", "jid-malformed");
    let long = "n".repeat(1_025);
    refused(&mut house, &juliet, &format!("<enable xmlns='urn:xmpp:push:0' jid='app.house' node='{long}'/>"), "bad-request");
    let form = "<x xmlns='jabber:x:data' type='submit'><field var='FORM_TYPE'><value>urn:other</value></field></x>";
    refused(&mut house, &juliet, &format!("<enable xmlns='urn:xmpp:push:0' jid='app.house'>{form}</enable>"), "bad-request");
    for n in 0..15 {
        enable(&mut house, &juliet, &format!("n{n}"));
    }
    refused(&mut house, &juliet, "<enable xmlns='urn:xmpp:push:0' jid='app.house' node='more'/>", "resource-constraint");
    // Of somebody else's account nobody enables anything.
    let romeo = house.login("romeo@house/orchard");
    let answer = house.iq(&romeo, "set", Some("juliet@house"), "<enable xmlns='urn:xmpp:push:0' jid='app.house' node='r'/>");
    assert_eq!(answer.attr("type").as_deref(), Some("error"));
}

#[test]
fn a_device_that_is_connected_is_not_told_and_one_that_is_away_is() {
    let (mut house, romeo) = house();
    let phone = house.online("juliet@house/phone");
    say(&mut house, &romeo, "one");
    assert!(published(&mut house).is_empty(), "it has got it");
    let balcony = house.online("juliet@house/balcony");
    house.close(&phone);
    say(&mut house, &romeo, "two");
    assert_eq!(published(&mut house).len(), 1, "the other device has it, the phone has not");
    house.recv(&balcony);
}

#[test]
fn one_notification_a_burst_until_the_device_has_been_back() {
    let (mut house, romeo) = house();
    for text in ["one", "two", "three"] {
        say(&mut house, &romeo, text);
    }
    assert_eq!(published(&mut house).len(), 1);
    // Another conversation is another burst.
    let nurse = house.online("nurse@house/kitchen");
    say(&mut house, &nurse, "four");
    let told = published(&mut house);
    assert_eq!(told.len(), 1);
    has(&told[0], &[&field("message-count", "4")]);
    let phone = house.online("juliet@house/phone");
    house.close(&phone);
    say(&mut house, &romeo, "five");
    assert_eq!(published(&mut house).len(), 1, "it has been back");
    house.advance(Duration::from_secs(30));
    say(&mut house, &romeo, "six");
    assert_eq!(published(&mut house).len(), 1, "another burst");
}

#[test]
fn a_call_does_not_wait_for_the_end_of_a_burst() {
    let (mut house, romeo) = house();
    say(&mut house, &romeo, "one");
    house.send(
        &romeo,
        "<message to='juliet@house' type='chat' id='c'><propose xmlns='urn:xmpp:jingle-message:0' id='c'/><store xmlns='urn:xmpp:hints'/>\
         </message>",
    );
    assert_eq!(published(&mut house).len(), 2);
}

#[test]
fn what_nobody_is_woken_for_is_not_published() {
    let (mut house, romeo) = house();
    for inside in [
        "<composing xmlns='http://jabber.org/protocol/chatstates'/>",
        "<received xmlns='urn:xmpp:receipts' id='1'/>",
        "<displayed xmlns='urn:xmpp:chat-markers:0' id='1'/>",
    ] {
        house.send(&romeo, &format!("<message to='juliet@house' type='chat'>{inside}</message>"));
    }
    house.send(&romeo, "<message to='juliet@house' type='headline'><body>news</body></message>");
    house.send(&romeo, "<presence><show>away</show></presence>");
    assert!(published(&mut house).is_empty());
}

#[test]
fn xep0198_a_session_whose_connection_broke_is_told_of_what_it_has_not_acknowledged_and_of_what_comes() {
    let (mut house, romeo) = house();
    let phone = house.online("juliet@house/phone");
    house.send(&phone, "<enable xmlns='urn:xmpp:sm:3' resume='true'/>");
    let id = house.recv(&phone)[0].attr("id").expect("an id").into_owned();
    say(&mut house, &romeo, "unacknowledged");
    house.recv(&phone);
    assert!(published(&mut house).is_empty());
    house.cut(&phone);
    let told = published(&mut house);
    assert_eq!(told.len(), 1, "{told:?}");
    has(&told[0], &[&field("message-count", "1")]);
    let nurse = house.online("nurse@house/kitchen");
    say(&mut house, &nurse, "more");
    assert_eq!(published(&mut house).len(), 1);
    let (phone, _) = house.resume(&phone, &id, 0).expect("an answer").expect("resumed");
    house.recv(&phone);
    say(&mut house, &romeo, "again");
    assert!(published(&mut house).is_empty(), "it is back");
    // What it has acknowledged is nobody's news.
    house.recv(&phone);
    house.send(&phone, "<a xmlns='urn:xmpp:sm:3' h='3'/>");
    house.cut(&phone);
    assert!(published(&mut house).is_empty());
    // The session ends: what it was told of is not told again when it is laid down for later.
    say(&mut house, &romeo, "last");
    assert_eq!(published(&mut house).len(), 1);
    house.advance(Duration::from_secs(601));
    assert!(published(&mut house).is_empty());
}

#[test]
fn s7_sender_and_body_only_if_configured_and_nothing_of_what_is_encrypted() {
    let (mut house, romeo) = configured("[xep.push]\ninclude_sender = true\ninclude_body = true\nplaceholder_body = 'New'\n");
    say(&mut house, &romeo, "hi");
    let told = published(&mut house);
    has(&told[0], &[&field("last-message-sender", "romeo@house/orchard"), &field("last-message-body", "hi")]);
    house.advance(Duration::from_secs(31));
    house.send(
        &romeo,
        "<message to='juliet@house' type='chat'><body>fallback</body><encrypted xmlns='urn:xmpp:omemo:2'/></message>",
    );
    let told = published(&mut house);
    has(&told[0], &[&field("last-message-body", "New")]);
}

#[test]
fn s7_a_request_for_a_subscription_is_counted() {
    let (mut house, _) = house();
    let nurse = house.online("nurse@house/kitchen");
    house.send(&nurse, "<presence type='subscribe' to='juliet@house'/>");
    let told = published(&mut house);
    assert_eq!(told.len(), 1, "{told:?}");
    has(&told[0], &[&field("pending-subscription-count", "1"), &field("message-count", "0")]);
    house.send(&nurse, "<presence type='subscribe' to='juliet@house'/>");
    assert!(published(&mut house).is_empty());
}

#[test]
fn s7_1_a_service_that_refuses_three_times_in_a_row_is_disabled_and_one_that_is_gone_at_once() {
    let (mut house, romeo) = house();
    let phone = house.online("juliet@house/phone");
    for node in ["missing", "gone", "later"] {
        enable(&mut house, &phone, node);
    }
    house.close(&phone);
    let mut told = Vec::new();
    for n in 0..5 {
        say(&mut house, &romeo, &format!("m{n}"));
        let nodes = published(&mut house);
        told.push(["phone", "missing", "gone", "later"].map(|node| nodes.iter().any(|it| it.contains(&format!("'{node}'")))));
        house.advance(Duration::from_secs(31));
    }
    let all = [true; 4];
    let without_gone = [true, true, false, true];
    let rest = [true, false, false, true];
    assert_eq!(told, [all, without_gone, without_gone, rest, rest]);
}

#[test]
fn s8_a_service_can_end_its_service() {
    let (mut house, romeo) = house();
    let dismissal = |from_app: bool, house: &mut House| {
        let xml = "<message><pubsub xmlns='http://jabber.org/protocol/pubsub' node='phone'><affiliation jid='juliet@house' \
                   affiliation='none'/></pubsub></message>";
        if from_app {
            house.host("app.house", move |turn| turn.send(iris_core::Jid::new("juliet@house").expect("a JID"), xml));
        } else {
            house.send(&romeo, &xml.replace("<message>", "<message to='juliet@house'>"));
        }
    };
    dismissal(false, &mut house);
    say(&mut house, &romeo, "one");
    assert_eq!(published(&mut house).len(), 1, "only the service itself can");
    dismissal(true, &mut house);
    house.advance(Duration::from_secs(31));
    say(&mut house, &romeo, "two");
    assert!(published(&mut house).is_empty());
}

#[test]
fn enabling_outlives_the_process() {
    for account in ["juliet@house", "romeo@house"] {
        let mut house = House::with(&rooms());
        let phone = house.online(&format!("{account}/phone"));
        enable(&mut house, &phone, "phone");
        let mut house = house.restart(&rooms(), Duration::from_secs(1));
        assert!(house.shards[0].house().enrolled.has(account));
        let nurse = house.online("nurse@house/kitchen");
        house.send(&nurse, &format!("<message to='{account}' type='chat' id='1'><body>hi</body></message>"));
        assert_eq!(published(&mut house).len(), 1);
    }
}

#[test]
fn the_number_that_a_phone_shows_does_not_fall_because_the_house_was_started_anew() {
    let (mut house, romeo) = house();
    // The desktop gets everything, so nothing waits for whoever logs in next: the number is all that the phone has.
    let desktop = house.online("juliet@house/desktop");
    for text in ["one", "two"] {
        say(&mut house, &romeo, text);
        house.advance(Duration::from_secs(31));
    }
    has(&published(&mut house)[1], &[&field("message-count", "2")]);
    house.recv(&desktop);

    let mut house = house.restart(&rooms(), Duration::from_secs(1));
    let (romeo, _desktop) = (house.online("romeo@house/orchard"), house.online("juliet@house/desktop"));
    say(&mut house, &romeo, "three");
    has(&published(&mut house)[0], &[&field("message-count", "3")]);
    // And it begins anew when the phone has been here, which is kept as well.
    let phone = house.online("juliet@house/phone");
    house.close(&phone);
    let mut house = house.restart(&rooms(), Duration::from_secs(1));
    let (romeo, _desktop) = (house.online("romeo@house/orchard"), house.online("juliet@house/desktop"));
    say(&mut house, &romeo, "four");
    has(&published(&mut house)[0], &[&field("message-count", "1")]);
}

#[test]
fn b18_what_was_enabled_with_an_old_password_is_told_nothing() {
    let (mut house, romeo) = house();
    house.advance(Duration::from_secs(1));
    let credentials = bytes::Bytes::from_static(b"new");
    house.ask("juliet@house", iris_core::Ask::SetCredentials { credentials }).expect("an answer");
    say(&mut house, &romeo, "hi");
    assert!(published(&mut house).is_empty());
    house.ask("juliet@house", iris_core::Ask::Remove).expect("an answer");
    assert!(!house.shards[0].house().enrolled.has("juliet@house"));
}

#[test]
fn a_refused_write_enables_nothing() {
    let mut house = House::manual(&rooms());
    house.store.commit();
    let phone = {
        house.user("juliet@house");
        house.store.commit();
        house.run();
        house.login("juliet@house/phone")
    };
    house.store.commit();
    house.run();
    house.send(&phone, "<iq type='set' id='e'><enable xmlns='urn:xmpp:push:0' jid='app.house' node='n'/></iq>");
    house.nothing(&phone);
    house.store.refuse();
    house.run();
    assert!(!house.hear(&phone).concat().contains("type='result'"));
    assert!(!house.shards[0].house().enrolled.has("juliet@house"));
}
