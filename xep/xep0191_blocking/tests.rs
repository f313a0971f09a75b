use std::time::Duration;

use iris_core::limits::Limits;
use iris_engine::testing::{Client, House};

use crate::ROOMS;
use crate::testing::anonymous;

const ROMEO: &str = "romeo@house/orchard";
const JULIET: &str = "juliet@house/balcony";

fn command(house: &mut House, who: &Client, name: &str, jids: &[&str]) -> String {
    let items: String = jids.iter().map(|jid| format!("<item jid='{jid}'/>")).collect();
    house.iq(who, "set", None, &format!("<{name} xmlns='urn:xmpp:blocking'>{items}</{name}>")).as_str().to_owned()
}

fn list(house: &mut House, who: &Client) -> String {
    house.iq(who, "get", None, "<blocklist xmlns='urn:xmpp:blocking'/>").as_str().to_owned()
}

/// Romeo and Juliet, online, who see each other.
fn lovers() -> (House, Client, Client) {
    let mut house = House::with(ROOMS);
    house.friends("romeo@house", "juliet@house");
    let romeo = house.online(ROMEO);
    let juliet = house.online(JULIET);
    house.recv(&romeo);
    (house, romeo, juliet)
}

#[test]
fn s3_2_the_list_is_kept_and_given() {
    let (mut house, _, juliet) = lovers();
    assert!(list(&mut house, &juliet).contains("<blocklist xmlns='urn:xmpp:blocking'/>"));
    assert!(command(&mut house, &juliet, "block", &["Romeo@House", "iago@house"]).contains("type='result'"));
    let two = "<blocklist xmlns='urn:xmpp:blocking'><item jid='iago@house'/><item jid='romeo@house'/></blocklist>";
    assert!(list(&mut house, &juliet).contains(two));
    let mut house = house.restart(ROOMS, Duration::from_secs(1));
    let juliet = house.login(JULIET);
    assert!(list(&mut house, &juliet).contains(two));
    // "The duration of the block is potentially unlimited": and it holds at once.
    let romeo = house.online(ROMEO);
    house.send(&romeo, "<message to='juliet@house' type='chat' id='m'><body>?</body></message>");
    assert!(house.recv(&romeo).iter().any(|it| it.as_str().contains("service-unavailable")));
    house.nothing(&juliet);
}

#[test]
fn s3_3_all_sessions_that_asked_for_the_list_get_the_changes() {
    let (mut house, _, juliet) = lovers();
    let chamber = house.online("juliet@house/chamber");
    let hall = house.online("juliet@house/hall");
    list(&mut house, &juliet);
    list(&mut house, &chamber);
    for client in [&juliet, &chamber, &hall] {
        house.recv(client);
    }
    command(&mut house, &hall, "block", &["iago@house"]);
    let push = house.one(&chamber);
    assert!(push.as_str().contains("<block xmlns='urn:xmpp:blocking'><item jid='iago@house'/></block>"), "{}", push.as_str());
    assert_eq!((push.to().as_deref(), push.attr("type").as_deref()), (Some("juliet@house/chamber"), Some("set")));
    assert_eq!(house.recv(&juliet).len(), 1);
    house.nothing(&hall);
    command(&mut house, &hall, "unblock", &[]);
    assert!(house.one(&chamber).as_str().contains("<unblock xmlns='urn:xmpp:blocking'/>"));
}

#[test]
fn s3_3_what_the_blocked_one_sends_is_answered_as_if_nobody_were_there() {
    let (mut house, romeo, juliet) = lovers();
    command(&mut house, &juliet, "block", &["romeo@house"]);
    house.recv(&romeo);
    let mut told = |to: &str, xml: &str| {
        house.send(&romeo, &xml.replace("TO", to));
        house.recv(&romeo).iter().map(anonymous).collect::<Vec<_>>()
    };
    for xml in [
        "<message to='TO' type='chat' id='1'><body>x</body></message>",
        "<message to='TO' id='1'><body>x</body></message>",
        "<iq to='TO' type='get' id='1'><query xmlns='jabber:iq:version'/></iq>",
        "<iq to='TO' type='get' id='1'><query xmlns='http://jabber.org/protocol/disco#info'/></iq>",
        "<iq to='TO' type='get' id='1'><vCard xmlns='vcard-temp'/></iq>",
        "<iq to='TO' type='get' id='1'><query xmlns='jabber:iq:last'/></iq>",
        "<iq to='TO/balcony' type='get' id='1'><ping xmlns='urn:xmpp:ping'/></iq>",
    ] {
        let blocked = told("juliet@house", xml);
        assert_eq!(blocked, told("nobody@house", xml), "{xml}");
        assert!(blocked[0].contains("service-unavailable"), "{xml}");
    }
    // Presence and answers vanish without a word (C7).
    for xml in [
        "<presence to='TO'/>",
        "<presence to='TO' type='unavailable'/>",
        "<presence to='TO' type='probe'/>",
        "<presence to='TO' type='unsubscribe'/>",
        "<iq to='TO/balcony' type='result' id='1'/>",
        "<message to='TO/balcony' type='groupchat' id='1'><body>x</body></message>",
        "<message to='TO/balcony' type='error' id='1'><error type='cancel'/></message>",
    ] {
        let own = |it: &String| !it.contains("jabber:iq:roster");
        assert_eq!(told("juliet@house", xml).into_iter().filter(own).count(), 0, "{xml}");
    }
    house.nothing(&juliet);
}

#[test]
fn s3_3_nothing_goes_to_the_blocked_one_and_the_client_is_told_why() {
    let (mut house, romeo, juliet) = lovers();
    command(&mut house, &juliet, "block", &["romeo@house"]);
    house.recv(&romeo);
    for (name, xml) in [
        ("message", "<message to='romeo@house/orchard' type='chat' id='m1'><body>x</body></message>"),
        ("iq", "<iq to='romeo@house/orchard' type='get' id='m1'><x xmlns='y'/></iq>"),
        ("presence", "<presence to='romeo@house/orchard' id='m1'/>"),
        ("presence", "<presence to='romeo@house' type='subscribe' id='m1'/>"),
    ] {
        house.send(&juliet, xml);
        let error = house.one(&juliet);
        let text = error.as_str();
        assert!(text.starts_with(&format!("<{name} ")) && error.id().as_deref() == Some("m1"), "{text}");
        assert!(error.from().is_some_and(|from| from.starts_with("romeo@house")), "{text}");
        assert!(
            text.contains(
                "<error type='cancel'><not-acceptable xmlns='urn:ietf:params:xml:ns:xmpp-stanzas'/>\
                 <blocked xmlns='urn:xmpp:blocking:errors'/></error>"
            ),
            "{text}"
        );
    }
    house.send(&juliet, "<message to='romeo@house' type='error' id='m1'><error type='cancel'/></message>");
    house.nothing(&juliet);
    house.nothing(&romeo);
}

#[test]
fn s3_3_and_s3_4_the_blocked_one_sees_the_user_go_and_come_back() {
    let (mut house, romeo, juliet) = lovers();
    command(&mut house, &juliet, "block", &["romeo@house"]);
    let seen = house.one(&romeo);
    assert_eq!((seen.from().as_deref(), seen.attr("type").as_deref()), (Some(JULIET), Some("unavailable")));
    // Nothing more is seen while it lasts, nor is there a word about it.
    house.send(&juliet, "<presence><show>away</show></presence>");
    assert_eq!(house.recv(&juliet).len(), 1, "her own reflection");
    house.nothing(&romeo);
    command(&mut house, &juliet, "block", &["romeo@house"]);
    house.nothing(&romeo);
    // What romeo shows meanwhile is dropped; afterwards both see what is.
    house.send(&romeo, "<presence><status>waiting</status></presence>");
    house.recv(&romeo);
    house.nothing(&juliet);
    let unblock = "<unblock xmlns='urn:xmpp:blocking'><item jid='romeo@house'/></unblock>";
    house.send(&juliet, &format!("<iq type='set' id='u'>{unblock}</iq>"));
    let seen = house.hear(&romeo);
    assert!(seen.iter().any(|it| it.contains("<show>away</show>") && it.contains(JULIET)), "{seen:?}");
    let seen = house.hear(&juliet);
    assert!(seen.iter().any(|it| it.contains("<status>waiting</status>")), "{seen:?}");
    house.send(&romeo, "<message to='juliet@house' type='chat'><body>again</body></message>");
    assert!(house.one(&juliet).as_str().contains("again"));
}

#[test]
fn s3_3_the_domain_hides_its_contacts_too() {
    let mut house = House::with(ROOMS);
    house.friends("juliet@house", "romeo@away");
    let romeo = house.online("romeo@away/orchard");
    let juliet = house.online(JULIET);
    house.recv(&romeo);
    command(&mut house, &juliet, "block", &["away"]);
    assert_eq!(house.one(&romeo).attr("type").as_deref(), Some("unavailable"));
    // One block is as good as two: taking one away shows nothing.
    command(&mut house, &juliet, "block", &["romeo@away"]);
    command(&mut house, &juliet, "unblock", &["away"]);
    house.nothing(&romeo);
    command(&mut house, &juliet, "unblock", &[]);
    assert!(house.hear(&romeo).iter().any(|it| it.contains(JULIET) && !it.contains("unavailable")));
}

#[test]
fn s3_3_a_stranger_learns_nothing_from_being_blocked() {
    let mut house = House::with(ROOMS);
    let iago = house.online("iago@house/x");
    let juliet = house.online(JULIET);
    command(&mut house, &juliet, "block", &["iago@house"]);
    house.nothing(&iago);
    command(&mut house, &juliet, "unblock", &["iago@house"]);
    house.nothing(&iago);
}

#[test]
fn s5_note_not_applicable_between_ones_own_resources_and_ones_server() {
    let mut house = House::with(ROOMS);
    let balcony = house.online(JULIET);
    let chamber = house.online("juliet@house/chamber");
    house.recv(&balcony);
    command(&mut house, &balcony, "block", &["juliet@house", "house", "juliet@house/chamber"]);
    house.send(&balcony, "<message to='juliet@house/chamber' type='chat'><body>me</body></message>");
    assert!(house.one(&chamber).as_str().contains("me"));
    assert!(house.iq(&balcony, "get", Some("house"), "<ping xmlns='urn:xmpp:ping'/>").as_str().contains("type='result'"));
    assert!(command(&mut house, &chamber, "unblock", &[]).contains("type='result'"));
}

#[test]
fn c7_the_list_is_nobody_elses_business() {
    let (mut house, romeo, juliet) = lovers();
    command(&mut house, &juliet, "block", &["iago@house"]);
    let answer = house.iq(&romeo, "get", Some("juliet@house"), "<blocklist xmlns='urn:xmpp:blocking'/>");
    assert!(answer.as_str().contains("service-unavailable"));
    let block = "<block xmlns='urn:xmpp:blocking'><item jid='iago@house'/></block>";
    assert!(house.iq(&romeo, "set", Some("juliet@house"), block).as_str().contains("service-unavailable"));
}

#[test]
fn errors_of_the_commands() {
    let mut house = House::with_limits(ROOMS, Limits { blocked_max: 2, ..Limits::default() });
    let juliet = house.online(JULIET);
    assert!(command(&mut house, &juliet, "block", &[]).contains("bad-request"));
    assert!(command(&mut house, &juliet, "block", &["@"]).contains("jid-malformed"));
    assert!(
        house.iq(&juliet, "set", None, "<block xmlns='urn:xmpp:blocking'><item/></block>").as_str().contains("bad-request")
    );
    assert!(command(&mut house, &juliet, "block", &["a@house", "b@house", "c@house"]).contains("resource-constraint"));
    assert!(list(&mut house, &juliet).contains("<blocklist xmlns='urn:xmpp:blocking'/>"), "all or nothing");
    assert!(command(&mut house, &juliet, "unblock", &["x@house"]).contains("type='result'"));
}

#[test]
fn a_roster_push_is_not_touched() {
    let (mut house, _, juliet) = lovers();
    house.iq(&juliet, "get", None, "<query xmlns='jabber:iq:roster'/>");
    command(&mut house, &juliet, "block", &["romeo@house"]);
    house.send(
        &juliet,
        "<iq type='set' id='r'><query xmlns='jabber:iq:roster'><item jid='romeo@house' name='him'/></query></iq>",
    );
    let heard = house.hear(&juliet);
    assert!(heard.iter().any(|it| it.contains("type='set'") && it.contains("name='him'")), "{heard:?}");
    // C7: a request for a subscription neither arrives nor is answered.
    let romeo = house.online("romeo@house/2");
    house.send(&romeo, "<presence to='juliet@house' type='unsubscribe'/>");
    house.recv(&romeo);
    house.nothing(&juliet);
}

#[test]
fn s3_3_who_comes_online_does_not_ask_after_the_blocked_one() {
    let (mut house, romeo, juliet) = lovers();
    command(&mut house, &juliet, "block", &["romeo@house"]);
    house.close(&juliet);
    house.recv(&romeo);
    let juliet = house.online(JULIET);
    house.nothing(&romeo);
    house.nothing(&juliet);
}

#[test]
fn s3_3_who_was_shown_presence_directly_sees_the_user_go_as_well() {
    let mut house = House::with(ROOMS);
    let iago = house.online("iago@house/x");
    let cassio = house.online("cassio@house/x");
    let juliet = house.online(JULIET);
    for to in ["iago@house/x", "cassio@house/x"] {
        house.send(&juliet, &format!("<presence to='{to}'/>"));
    }
    house.recv(&iago);
    house.recv(&cassio);
    command(&mut house, &juliet, "block", &["iago@house"]);
    assert_eq!(house.one(&iago).attr("type").as_deref(), Some("unavailable"));
    house.nothing(&cassio);
    house.close(&juliet);
    house.nothing(&iago);
    assert_eq!(house.one(&cassio).attr("type").as_deref(), Some("unavailable"));
}

#[test]
fn s3_3_a_request_that_was_not_answered_is_not_repeated_to_the_blocked_one() {
    let mut house = House::with(ROOMS);
    let iago = house.online("iago@house/x");
    let juliet = house.online(JULIET);
    let ask = |house: &mut House, juliet: &Client| house.send(juliet, "<presence type='subscribe' to='iago@house'/>");
    ask(&mut house, &juliet);
    assert!(house.hear(&iago).iter().any(|it| it.contains("type='subscribe'")));
    command(&mut house, &juliet, "block", &["iago@house"]);
    // His answer does not come through, so that she still waits for one.
    house.send(&iago, "<presence type='unsubscribed' to='juliet@house'/>");
    house.recv(&iago);
    house.close(&juliet);
    let juliet = house.online(JULIET);
    house.nothing(&iago);
    command(&mut house, &juliet, "unblock", &[]);
    house.close(&juliet);
    house.online(JULIET);
    assert!(house.hear(&iago).iter().any(|it| it.contains("type='subscribe'")), "unblocked she asks again");
}

#[test]
fn c7_nobody_who_is_blocked_invites_through_a_room() {
    let (mut house, romeo, juliet) = lovers();
    let tybalt = house.online("tybalt@house/square");
    let enter = |house: &mut House, who: &Client, nick: &str| {
        let muc = "<x xmlns='http://jabber.org/protocol/muc'/>";
        house.send(who, &format!("<presence to='hall@conference.house/{nick}'>{muc}</presence>"));
        house.recv(who);
    };
    enter(&mut house, &romeo, "romeo");
    let instant = "<query xmlns='http://jabber.org/protocol/muc#owner'><x xmlns='jabber:x:data' type='submit'/></query>";
    house.iq(&romeo, "set", Some("hall@conference.house"), instant);
    enter(&mut house, &tybalt, "tybalt");
    house.recv(&romeo);
    let said = |inside: &str| {
        format!("<message to='hall@conference.house'><x xmlns='http://jabber.org/protocol/muc#user'>{inside}</x></message>")
    };
    let invite = |to: &str| said(&format!("<invite to='{to}'/>"));
    house.send(&romeo, &invite("juliet@house"));
    assert!(house.one(&juliet).as_str().contains("<invite from='romeo@house"));
    command(&mut house, &juliet, "block", &["romeo@house"]);
    house.recv(&romeo);
    house.send(&romeo, &invite("juliet@house"));
    house.nothing(&juliet);
    house.nothing(&romeo);
    // Nor does anybody decline an invitation of somebody who has blocked them meanwhile.
    let decline = said("<decline to='romeo@house'/>");
    house.send(&romeo, &invite("tybalt@house"));
    house.send(&tybalt, &decline);
    assert!(house.one(&romeo).as_str().contains("<decline from='tybalt@house"));
    house.send(&romeo, &invite("tybalt@house"));
    command(&mut house, &romeo, "block", &["tybalt@house"]);
    house.recv(&tybalt);
    house.send(&tybalt, &decline);
    house.nothing(&romeo);
}
