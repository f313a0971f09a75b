use iris_engine::testing::{Client, House};

use crate::ROOMS;

const JULIET: &str = "juliet@house/balcony";
const AGENT: Option<u128> = Some(0xd4565fa7_4d72_4749_b3d3_740edbf87770);

fn said(house: &mut House, to: &str, body: &str) {
    let romeo = house.online("romeo@house/orchard");
    house.send(&romeo, &format!("<message to='{to}' type='chat' id='{body}'><body>{body}</body></message>"));
    house.close(&romeo);
}

fn is_over(house: &House, client: &Client) -> Option<&'static str> {
    let session = house.shards[usize::from(client.at.shard)].session(client.at);
    session.and_then(|session| session.over.as_ref()).map(|error| error.condition)
}

#[test]
fn s4_2_a_bind_that_asks_for_nothing_is_a_plain_session() {
    let mut house = House::with(ROOMS);
    house.user("juliet@house");
    let (juliet, bound) = house.bind2(JULIET, None, "<tag>Dino</tag>");
    assert_eq!(bound, "<metadata xmlns='urn:xmpp:mam:2'/>");
    house.send(&juliet, "<presence/>");
    assert!(house.one(&juliet).as_str().contains("<presence"));
    house.send(&juliet, "<enable xmlns='urn:xmpp:sm:3' resume='true'/>");
    assert!(house.one(&juliet).is("urn:xmpp:sm:3", "enabled"), "it can be enabled later");
}

#[test]
fn s4_2_stream_management_is_enabled_inside_bound_and_counts_from_the_first_stanza() {
    let mut house = House::with(ROOMS);
    house.user("juliet@house");
    let (juliet, bound) = house.bind2(JULIET, None, "<enable xmlns='urn:xmpp:sm:3' resume='true'/>");
    assert!(bound.starts_with("<enabled xmlns='urn:xmpp:sm:3' id='sm-1' resume='true' max='600'/>"), "{bound}");
    house.send(&juliet, "<presence/>");
    assert!(house.hear(&juliet)[0].contains("<presence"), "no second <enabled/>");
    house.send(&juliet, "<r xmlns='urn:xmpp:sm:3'/>");
    assert_eq!(house.one(&juliet).attr("h").as_deref(), Some("1"));
    house.cut(&juliet);
    let (juliet, h) = house.resume(&juliet, "sm-1", 0).expect("an answer").expect("resumed");
    assert_eq!(h, 1);
    assert!(house.hear(&juliet).iter().any(|it| it.contains("<presence")), "it was not acknowledged, so it comes again");
}

#[test]
fn s4_2_without_resumption_enabled_has_no_id() {
    let mut house = House::with(ROOMS);
    house.user("juliet@house");
    let (_, bound) = house.bind2(JULIET, None, "<enable xmlns='urn:xmpp:sm:3'/>");
    assert!(bound.starts_with("<enabled xmlns='urn:xmpp:sm:3'/>"), "{bound}");
}

#[test]
fn s4_2_carbons_are_on_from_the_first_stanza() {
    let mut house = House::with(ROOMS);
    let balcony = house.online(JULIET);
    let (phone, _) = house.bind2("juliet@house/phone", AGENT, "<enable xmlns='urn:xmpp:carbons:2'/>");
    house.send(&balcony, "<message to='romeo@house' type='chat'><body>hello</body></message>");
    assert!(house.hear(&phone).iter().any(|it| it.contains("<sent xmlns='urn:xmpp:carbons:2'")));
}

#[test]
fn s4_2_the_session_begins_inactive_when_it_says_so() {
    let mut house = House::with(ROOMS);
    house.friends("romeo@house", "juliet@house");
    let romeo = house.online("romeo@house/orchard");
    let (juliet, _) = house.bind2(JULIET, None, "<inactive xmlns='urn:xmpp:csi:0'/>");
    house.send(&juliet, "<presence/>");
    house.recv(&juliet);
    house.send(&romeo, "<presence><show>away</show></presence>");
    house.nothing(&juliet);
    house.send(&juliet, "<active xmlns='urn:xmpp:csi:0'/>");
    assert!(house.hear(&juliet).iter().any(|it| it.contains("<show>away</show>")));
}

#[test]
fn s4_2_bound_tells_both_ends_of_the_archive() {
    let mut house = House::with(ROOMS);
    house.user("juliet@house");
    said(&mut house, "juliet@house", "one");
    said(&mut house, "juliet@house", "two");
    let (_, bound) = house.bind2(JULIET, None, "");
    assert!(bound.contains("<start id='") && bound.contains("<end id='"), "{bound}");
}

#[test]
fn s4_2_what_the_archive_has_is_not_sent_as_offline_messages() {
    let mut house = House::with(ROOMS);
    house.user("juliet@house");
    for body in ["one", "two"] {
        said(&mut house, "juliet@house", body);
    }
    let (juliet, _) = house.bind2(JULIET, None, "");
    house.send(&juliet, "<presence/>");
    assert!(!house.hear(&juliet).iter().any(|it| it.contains("<body>")));
    house.close(&juliet);
    // Nor later, nor to a client that binds the old way.
    let old = house.login("juliet@house/old");
    house.send(&old, "<presence/>");
    assert!(!house.hear(&old).iter().any(|it| it.contains("<body>")));
}

#[test]
fn what_the_archive_does_not_have_is_not_lost() {
    let mut house = House::with(ROOMS);
    let juliet = house.login(JULIET);
    house.iq(&juliet, "set", None, "<prefs xmlns='urn:xmpp:mam:2' default='never'><always/><never/></prefs>");
    house.close(&juliet);
    said(&mut house, "juliet@house", "precious");
    let (juliet, _) = house.bind2(JULIET, None, "");
    house.send(&juliet, "<presence/>");
    let bodies: Vec<String> = house.hear(&juliet).into_iter().filter(|it| it.contains("<body>")).collect();
    assert!(bodies.len() == 1 && bodies[0].contains("precious"), "{bodies:?}");
}

#[test]
fn s4_2_an_earlier_session_of_the_same_client_ends_and_others_do_not() {
    let mut house = House::with(ROOMS);
    house.user("juliet@house");
    let (first, _) = house.bind2("juliet@house/a", AGENT, "<enable xmlns='urn:xmpp:sm:3' resume='true'/>");
    let (other, _) = house.bind2("juliet@house/b", Some(7), "");
    let (nameless, _) = house.bind2("juliet@house/c", None, "");
    house.cut(&first);
    let (second, _) = house.bind2("juliet@house/d", AGENT, "");
    assert!(house.resume(&first, "sm-1", 0).expect("an answer").is_err(), "detached or not, it is over");
    assert_eq!((is_over(&house, &other), is_over(&house, &nameless)), (None, None));
    let (_, _) = house.bind2("juliet@house/e", AGENT, "");
    assert_eq!(is_over(&house, &second), Some("conflict"));
}
