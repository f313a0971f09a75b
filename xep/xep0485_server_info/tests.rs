use iris_core::connected::{Connection, Way};
use iris_engine::testing::{Client, House};

use super::others::{ANSWER_HOLDS, LOOK, PACE, PATIENCE};
use crate::ROOMS;

const ON: &str = "[xep.server_info]\npublish = true\n";

fn disco(house: &mut House, who: &Client, to: &str, what: &str) -> String {
    house.iq(who, "get", Some(to), &format!("<query xmlns='http://jabber.org/protocol/disco#{what}'/>")).as_str().to_owned()
}

fn items(house: &mut House, who: &Client) -> String {
    let items = "<pubsub xmlns='http://jabber.org/protocol/pubsub'><items node='serverinfo'/></pubsub>";
    house.iq(who, "get", Some("pubsub.house"), items).as_str().to_owned()
}

#[test]
fn s3_and_s5_it_is_published_where_discovery_says() {
    for contact in ["", "[xep.contact]\nadmin = [\"mailto:a@house\"]\n"] {
        let mut house = House::with_config(ROOMS, &format!("{ON}{contact}"));
        let romeo = house.online("romeo@house/orchard");
        let info = disco(&mut house, &romeo, "house", "info");
        assert!(info.contains("<feature var='urn:xmpp:serverinfo:0'/>"), "{info}");
        assert!(info.contains("<value>xmpp:pubsub.house?;node=serverinfo</value>"), "{info}");
        assert_eq!(info.matches("<value>http://jabber.org/network/serverinfo</value>").count(), 1, "one form of a type");
        let got = items(&mut house, &romeo);
        assert!(got.contains("<serverinfo xmlns='urn:xmpp:serverinfo:0'><domain name='house'/>"), "{got}");
        assert!(disco(&mut house, &romeo, "pubsub.house", "items").contains("node='serverinfo'"));
    }
}

#[test]
fn s7_nothing_is_published_unless_somebody_says_so_and_then_no_more() {
    let mut house = House::with(ROOMS);
    let romeo = house.online("romeo@house/orchard");
    assert!(!disco(&mut house, &romeo, "house", "info").contains("serverinfo"));
    assert!(items(&mut house, &romeo).contains("item-not-found"));
    // "under common service configuration, non-administrative users are allowed to create such nodes": not here.
    let create = "<pubsub xmlns='http://jabber.org/protocol/pubsub'><create node='serverinfo'/></pubsub>";
    assert!(house.iq(&romeo, "set", Some("pubsub.house"), create).as_str().contains("<forbidden "));
    let mut house = House::with_config(ROOMS, ON);
    let romeo = house.online("romeo@house/orchard");
    assert!(items(&mut house, &romeo).contains("type='result'"));
    let mut house = house.restart(ROOMS, std::time::Duration::from_secs(1));
    let romeo = house.online("romeo@house/orchard");
    assert!(items(&mut house, &romeo).contains("item-not-found"));
}

#[test]
fn r15_a_reload_publishes_it_and_takes_it_back() {
    let mut house = House::with(ROOMS);
    let romeo = house.online("romeo@house/orchard");
    for (config, is_there) in [(ON, true), ("", false), (ON, true)] {
        house.reload(ROOMS, config);
        assert_eq!(items(&mut house, &romeo).contains("<serverinfo "), is_there);
        assert_eq!(disco(&mut house, &romeo, "house", "info").contains("urn:xmpp:serverinfo:0"), is_there);
    }
}

/// Who follows it is not told what they know.
#[test]
fn r15_a_reload_says_nothing_twice() {
    let mut house = House::with_config(ROOMS, ON);
    let romeo = house.online("romeo@house/orchard");
    let subscribe =
        "<pubsub xmlns='http://jabber.org/protocol/pubsub'><subscribe node='serverinfo' jid='romeo@house'/></pubsub>";
    assert!(house.iq(&romeo, "set", Some("pubsub.house"), subscribe).as_str().contains("type='result'"));
    house.recv(&romeo);
    house.reload(ROOMS, ON);
    house.nothing(&romeo);
}

/// What the last item says of others; `romeo` may see it as everybody may.
fn federation(house: &mut House, romeo: &Client) -> String {
    let item = items(house, romeo);
    let (_, federation) = item.split_once("<domain name='house'").unwrap_or_else(|| panic!("{item}"));
    federation.split_once("<query ").unwrap_or_else(|| panic!("{item}")).0.replace("</domain>", "")
}

/// A house that speaks with others, and one of its people.
fn federated() -> (House, Client) {
    let mut house = House::with_config(ROOMS, ON);
    house.federate();
    let romeo = house.online("romeo@house/orchard");
    (house, romeo)
}

fn connect(house: &mut House, theirs: &'static str, ours: &'static str, way: Way) -> Connection {
    house.host("house", move |turn| turn.house.connected.open(theirs, ours, way)).expect("a turn").expect("a connection")
}

/// Whom the domain has asked since the last time; each answers with these features.
fn asked(house: &mut House, features: &dyn Fn(&str) -> Option<&'static str>) -> Vec<String> {
    let questions = house.far();
    for question in &questions {
        let (to, id) = (question.attr("to").expect("to").into_owned(), question.id().expect("an id").into_owned());
        assert_eq!(question.attr("from").as_deref(), Some("house"));
        assert!(question.as_str().contains("disco#info"), "{question:?}");
        if let Some(feature) = features(&to) {
            house.far_says(&format!(
                "<iq type='result' from='{to}' to='house' id='{id}'><query xmlns='http://jabber.org/protocol/disco#info'>\
                 <identity category='server' type='im'/><feature var='{feature}'/></query></iq>"
            ));
        }
    }
    questions.iter().map(|question| question.attr("to").expect("to").into_owned()).collect()
}

fn opted_in(domain: &str) -> Option<&'static str> {
    Some(if domain.starts_with("open") { super::NS } else { "urn:xmpp:ping" })
}

#[test]
fn s4_a_connected_domain_is_named_if_it_publishes_the_same_of_itself() {
    let (mut house, romeo) = federated();
    assert_eq!(federation(&mut house, &romeo), "/>", "nobody is connected");
    let _first = connect(&mut house, "open.example", "house", Way::In);
    let second = connect(&mut house, "open.example", "house", Way::Out);
    let _third = connect(&mut house, "a.silent.example", "house", Way::In);
    let _of_a_service = connect(&mut house, "open.example", "conference.house", Way::Out);
    house.advance(LOOK);
    assert_eq!(asked(&mut house, &opted_in), ["a.silent.example", "open.example"]);
    house.advance(LOOK);
    let nameless = "<remote-domain><connection type='incoming'/></remote-domain>";
    let both = "<remote-domain name='open.example'><connection type='incoming'/><connection type='outgoing'/></remote-domain>";
    assert_eq!(federation(&mut house, &romeo), format!("><federation>{both}{nameless}</federation>"));
    // Section 6: not with each connection.
    drop(second);
    house.advance(LOOK);
    assert!(federation(&mut house, &romeo).contains(both));
    house.advance(PACE);
    let one = "<remote-domain name='open.example'><connection type='incoming'/></remote-domain>";
    assert_eq!(federation(&mut house, &romeo), format!("><federation>{one}{nameless}</federation>"));
}

#[test]
fn s7_who_does_not_say_so_is_not_named() {
    let error = "<iq type='error' from='open.example' to='house' id='{id}'><query xmlns='http://jabber.org/protocol/disco#info'>\
        <feature var='urn:xmpp:serverinfo:0'/></query><error type='cancel'>\
        <service-unavailable xmlns='urn:ietf:params:xml:ns:xmpp-stanzas'/></error></iq>";
    for answer in ["", error] {
        let (mut house, romeo) = federated();
        let _open = connect(&mut house, "open.example", "house", Way::In);
        house.advance(LOOK);
        let questions = house.far();
        assert_eq!(questions.len(), 1);
        assert_eq!(federation(&mut house, &romeo), "/>", "it has not answered yet");
        match answer {
            "" => house.advance(PATIENCE),
            _ => house.far_says(&answer.replace("{id}", &questions[0].id().expect("an id"))),
        }
        house.advance(LOOK);
        let nameless = "<remote-domain><connection type='incoming'/></remote-domain>";
        assert_eq!(federation(&mut house, &romeo), format!("><federation>{nameless}</federation>"));
    }
}

#[test]
fn s7_what_a_domain_has_said_of_itself_is_asked_again() {
    let (mut house, romeo) = federated();
    let _open = connect(&mut house, "open.example", "house", Way::In);
    house.advance(LOOK);
    assert_eq!(asked(&mut house, &opted_in), ["open.example"]);
    house.advance(PACE);
    assert!(asked(&mut house, &opted_in).is_empty(), "it was asked");
    assert!(federation(&mut house, &romeo).contains("name='open.example'"));
    house.advance(ANSWER_HOLDS);
    let no_more = |_: &str| Some("urn:xmpp:ping");
    assert_eq!(asked(&mut house, &no_more), ["open.example"]);
    house.advance(LOOK);
    let said = federation(&mut house, &romeo);
    assert!(said.contains("<remote-domain>") && !said.contains("open.example"), "{said}");
}

#[test]
fn s7_a_domain_that_publishes_nothing_asks_nobody() {
    let mut house = House::with(ROOMS);
    house.federate();
    let _open = connect(&mut house, "open.example", "house", Way::In);
    house.advance(LOOK);
    assert!(house.far().is_empty());
}

#[test]
fn r15_a_reload_keeps_what_is_known_of_others() {
    let (mut house, romeo) = federated();
    let _open = connect(&mut house, "open.example", "house", Way::In);
    house.advance(LOOK);
    asked(&mut house, &opted_in);
    house.advance(LOOK);
    for (config, is_there) in [("", false), (ON, true), (ON, true)] {
        house.reload(ROOMS, config);
        assert_eq!(items(&mut house, &romeo).contains("name='open.example'"), is_there);
    }
}

#[test]
fn an_item_has_room_for_more_connections_than_are_told() {
    let (mut house, _) = federated();
    let names: Vec<&'static str> = (0..2_000).map(|n| &*format!("other{n:04}.example").leak()).collect();
    let _open: Vec<Connection> = names.iter().map(|name| connect(&mut house, name, "house", Way::In)).collect();
    let _often: Vec<Connection> = (0..5_000).map(|_| connect(&mut house, names[0], "house", Way::In)).collect();
    for _ in 0..63 {
        house.advance(LOOK);
        asked(&mut house, &|_| Some(super::NS));
    }
    house.advance(PACE);
    // The first stream has been silent for too long.
    let romeo = house.online("romeo@house/balcony");
    let said = federation(&mut house, &romeo);
    assert!((60_000..70_000).contains(&said.len()), "{}", said.len());
    assert!(said.contains("name='other0000.example'") && !said.contains("name='other1999.example'"));
    assert_eq!(
        said.matches("<connection ").count(),
        said.matches("<remote-domain ").count() + 15,
        "no more than 16 of one domain"
    );
}
