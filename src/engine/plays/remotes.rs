//! Other servers: what is said to them, when they are there and when they are not.

use std::time::Duration;

use iris_core::Condition;
use iris_core::limits::Limits;

use super::*;
use crate::shard::Unreached;

const BENVOLIO: &str = "benvolio@montague.test/street";

fn refused() -> Unreached {
    Unreached { condition: Condition::RemoteServerTimeout, for_good: false, why: "connection refused".into() }
}

fn unknown() -> Unreached {
    Unreached { condition: Condition::RemoteServerNotFound, for_good: true, why: "there is no such name".into() }
}

fn open() -> House {
    let mut house = House::with(&[]);
    house.federate();
    house
}

fn chat(n: u32) -> String {
    format!("<message to='benvolio@montague.test' type='chat' id='m{n}'><body>{n}</body></message>")
}

fn ids(stanzas: &[Stanza]) -> Vec<String> {
    stanzas.iter().filter_map(|stanza| Some(stanza.id()?.into_owned())).collect()
}

#[test]
fn people_of_other_servers_are_spoken_with() {
    let mut house = open();
    for name in [ROMEO, JULIET] {
        let client = house.online(name);
        house.send(&client, &chat(1));
        house.send(&client, &chat(2));
        let heard = house.far();
        assert_eq!(ids(&heard), ["m1", "m2"], "in the order in which they were said");
        assert_eq!(heard[0].from().as_deref(), Some(name));
        assert_eq!(heard[0].to().as_deref(), Some("benvolio@montague.test"));
        house.far_says(&format!("<message from='{BENVOLIO}' to='{name}' type='chat'><body>good morrow</body></message>"));
        assert_eq!(house.one(&client).from().as_deref(), Some(BENVOLIO));
        // Nobody has that name here: they hear it, and not how it is with others.
        house.far_says(&format!("<iq from='{BENVOLIO}' to='nobody@house' type='get' id='q'><x xmlns='y'/></iq>"));
        let answer = house.far().pop().expect("an answer");
        assert!(answer.as_str().contains("service-unavailable") && answer.to().as_deref() == Some(BENVOLIO));
    }
}

#[test]
fn e5_what_is_for_a_server_that_does_not_exist_comes_back_with_the_reason() {
    let mut house = open();
    let romeo = house.online(ROMEO);
    house.send(&romeo, &chat(1));
    house.send(&romeo, "<iq to='montague.test' type='get' id='q1'><x xmlns='y'/></iq>");
    house.send(&romeo, "<presence to='room@montague.test/me' id='p1'/>");
    let wanted = house.dials();
    assert_eq!(wanted.len(), 1, "one stream for all of it");
    house.fail_link(&wanted[0], &unknown());
    let heard = house.recv(&romeo);
    assert_eq!(ids(&heard), ["m1", "q1", "p1"]);
    for stanza in &heard {
        assert!(stanza.as_str().contains("<remote-server-not-found "), "{}", stanza.as_str());
        assert!(stanza.as_str().contains("montague.test: there is no such name"), "{}", stanza.as_str());
    }
    // Each further word is a try of its own.
    house.send(&romeo, &chat(2));
    assert_eq!(house.dials().len(), 1);
}

#[test]
fn r18_what_is_for_a_server_that_is_away_waits_and_keeps_its_order() {
    let mut house = open();
    let romeo = house.online(ROMEO);
    house.send(&romeo, &chat(1));
    let key = house.dials().remove(0);
    house.fail_link(&key, &refused());
    house.send(&romeo, &chat(2));
    assert!(house.dials().is_empty(), "not at once again");
    house.advance(Duration::from_secs(2));
    assert_eq!(house.dials(), std::slice::from_ref(&key));
    house.fail_link(&key, &refused());
    house.advance(Duration::from_secs(1));
    house.send(&romeo, &chat(3));
    house.advance(Duration::from_secs(2));
    assert_eq!(house.dials(), std::slice::from_ref(&key));
    house.nothing(&romeo);
    house.open_link(&key, false);
    assert_eq!(ids(&house.far()), ["m1", "m2", "m3"]);
    house.nothing(&romeo);
}

#[test]
fn r18_and_comes_back_when_that_is_too_long() {
    let mut house = open();
    let romeo = house.online(ROMEO);
    house.send(&romeo, &chat(1));
    house.advance(Duration::from_secs(30));
    house.send(&romeo, &chat(2));
    let mut tries = 0;
    for _ in 0..29 {
        for key in house.dials() {
            tries += 1;
            house.fail_link(&key, &refused());
        }
        house.advance(Duration::from_secs(1));
    }
    assert!((2..=8).contains(&tries), "{tries} tries in half a minute");
    house.nothing(&romeo);
    house.advance(Duration::from_secs(2));
    let heard = house.one(&romeo);
    assert_eq!(heard.id().as_deref(), Some("m1"));
    assert!(heard.as_str().contains("<remote-server-timeout "), "{}", heard.as_str());
    house.advance(Duration::from_secs(30));
    assert_eq!(ids(&house.recv(&romeo)), ["m2"]);
    assert!(house.restart(&[], Duration::from_secs(1)).dials().is_empty(), "nothing is left on disk");
}

#[test]
fn what_waits_is_on_disk_before_it_counts_as_handled() {
    let mut house = House::manual(&[]);
    house.federate();
    house.user("romeo@house");
    house.store.commit();
    let romeo = house.online(ROMEO);
    house.send(&romeo, "<enable xmlns='urn:xmpp:sm:3'/>");
    house.recv(&romeo);
    house.send(&romeo, &chat(1));
    house.send(&romeo, "<r xmlns='urn:xmpp:sm:3'/>");
    house.nothing(&romeo);
    house.store.commit();
    house.run();
    assert!(house.one(&romeo).as_str().contains("h='1'"));
    // A crash: it is said by the life after.
    let mut house = house.restart(&[], Duration::from_secs(1));
    let heard = house.far();
    assert_eq!(ids(&heard), ["m1"]);
    assert_eq!(heard[0].from().as_deref(), Some(ROMEO));
    house.store.commit();
    assert!(house.restart(&[], Duration::from_secs(1)).far().is_empty(), "and once is enough");
}

#[test]
fn what_storage_does_not_take_comes_back_and_is_not_said() {
    let mut house = House::manual(&[]);
    house.federate();
    house.user("romeo@house");
    house.store.commit();
    let romeo = house.online(ROMEO);
    house.send(&romeo, &chat(1));
    house.store.refuse();
    house.run();
    let heard = house.one(&romeo);
    assert!(heard.id().as_deref() == Some("m1") && heard.as_str().contains("<resource-constraint "), "{}", heard.as_str());
    assert!(house.far().is_empty());
    house.send(&romeo, &chat(2));
    house.store.commit();
    house.run();
    assert_eq!(ids(&house.far()), ["m2"]);
}

#[test]
fn what_was_not_acknowledged_is_said_again_on_the_next_stream() {
    let mut house = open();
    let romeo = house.online(ROMEO);
    house.send(&romeo, &chat(1));
    let key = house.dials().remove(0);
    house.open_link(&key, true);
    let said = house.far();
    assert!(said[0].as_str().starts_with("<enable ") && said.last().is_some_and(|it| it.as_str().starts_with("<r ")));
    assert_eq!(ids(&said), ["m1"]);
    house.link_says("montague.test", "<enabled xmlns='urn:xmpp:sm:3'/>");
    house.link_says("montague.test", "<a xmlns='urn:xmpp:sm:3' h='1'/>");
    house.send(&romeo, &chat(2));
    house.send(&romeo, &chat(3));
    assert_eq!(ids(&house.far()), ["m2", "m3"]);
    house.link_says("montague.test", "<a xmlns='urn:xmpp:sm:3' h='2'/>");
    house.cut_links("montague.test");
    house.advance(Duration::from_secs(2));
    assert_eq!(ids(&house.far()), ["m3"]);
    house.nothing(&romeo);
}

#[test]
fn who_speaks_to_a_server_that_does_not_acknowledge_waits_a_second_and_no_longer() {
    let mut house = open();
    let romeo = house.online(ROMEO);
    house.send(&romeo, &chat(0));
    let key = house.dials().remove(0);
    house.open_link(&key, true);
    house.far();
    house.send(&romeo, "<enable xmlns='urn:xmpp:sm:3'/>");
    house.recv(&romeo);
    house.send(&romeo, &chat(1));
    house.send(&romeo, "<r xmlns='urn:xmpp:sm:3'/>");
    house.nothing(&romeo);
    house.advance(Duration::from_millis(1_100));
    assert!(house.one(&romeo).as_str().contains("h='1'"));
    // Because it is on disk.
    assert_eq!(ids(&house.restart(&[], Duration::from_secs(1)).far()), ["m0", "m1"]);
}

#[test]
fn a_server_that_ends_each_stream_at_once_is_given_up() {
    let mut house = open();
    let romeo = house.online(ROMEO);
    house.send(&romeo, &chat(1));
    for _ in 0..8 {
        house.advance(Duration::from_secs(25));
        for key in house.dials() {
            house.open_link(&key, true);
        }
        house.cut_links("montague.test");
    }
    house.advance(Duration::from_secs(60));
    assert_eq!(ids(&house.recv(&romeo)), ["m1"]);
}

#[test]
fn e6_a_server_that_does_not_read_costs_a_queue_and_no_more() {
    let limits = Limits { output_stanzas_max: 20, ..Limits::default() };
    let mut house = House::with_limits(&[], limits);
    house.federate();
    let romeo = house.online(ROMEO);
    house.send(&romeo, &chat(0));
    let key = house.dials().remove(0);
    house.open_link(&key, true);
    for n in 1..=25 {
        house.send(&romeo, &chat(n));
    }
    let heard = house.recv(&romeo);
    assert_eq!(ids(&heard), ["m20", "m21", "m22", "m23", "m24", "m25"]);
    assert!(heard[0].as_str().contains("limits.output_stanzas_max"), "{}", heard[0].as_str());
    assert_eq!(house.far().len(), 22, "with what asks for acknowledgements");
    // It acknowledges nothing, and its stream ends; what it was told it is told again.
    house.advance(Duration::from_secs(61));
    house.links_that_ended("montague.test");
    house.advance(Duration::from_secs(2));
    assert_eq!(ids(&house.far()).len(), 20);
    // Without a stream the same holds.
    house.cut_links("montague.test");
    house.advance(Duration::from_secs(61));
    house.recv(&romeo);
    for n in 100..=130 {
        house.send(&romeo, &chat(n));
    }
    let heard = house.recv(&romeo);
    assert_eq!(heard.len(), 11);
    assert!(heard[0].as_str().contains("limits.output_stanzas_max"), "{}", heard[0].as_str());
}

#[test]
fn e1_nobody_carries_anything_between_others() {
    let mut house = open();
    house.far_says("<message from='a@montague.test' to='b@capulet.test' id='m'><body>x</body></message>");
    assert!(house.far().is_empty());
}
