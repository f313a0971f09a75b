//! XEP-0060 8.4.1 and 6.1.3.11: a node that was deleted with a word where to.

use std::time::Duration;

use super::*;

const TO: &str = "xmpp:pubsub.house?;node=m";

fn delete(
    house: &mut iris_engine::testing::House,
    who: &iris_engine::testing::Client,
    node: &str,
    to: &str,
) -> iris_core::Stanza {
    own(house, who, "set", &format!("<delete node='{node}'><redirect uri='{to}'/></delete>"))
}

#[test]
fn s6_1_3_11_whoever_asks_for_a_node_that_has_moved_is_led_there() {
    let (mut house, [romeo, juliet, _]) = scene(&[]);
    ok(&delete(&mut house, &romeo, "n", TO));
    let led = format!("<error type='modify'><gone xmlns='urn:ietf:params:xml:ns:xmpp-stanzas'>{TO}</gone>");
    // It is kept.
    let mut house = house.restart(crate::ROOMS, Duration::from_secs(1));
    let [romeo, juliet] = [romeo, juliet].map(|it| house.online(&it.jid.to_string()));
    let archive = "<query xmlns='urn:xmpp:mam:2' node='n'/>";
    for answer in [
        subscribe(&mut house, &juliet, "n"),
        ask(&mut house, &juliet, "get", "<items node='n'/>"),
        own(&mut house, &romeo, "get", "<configure node='n'/>"),
        house.iq(&juliet, "set", Some(SERVICE), archive),
        disco(&mut house, &juliet, "info", "n"),
        disco(&mut house, &juliet, "items", "n"),
    ] {
        assert!(answer.as_str().contains(&led), "{}", answer.as_str());
    }
    // Whoever makes a node of that name again ends it, on disk too.
    ok(&create(&mut house, &juliet, "n", &[]));
    ok(&subscribe(&mut house, &romeo, "n"));
    ok(&own(&mut house, &juliet, "set", "<delete node='n'/>"));
    error(&subscribe(&mut house, &romeo, "n"), "cancel", "item-not-found", "");
    let mut house = house.restart(crate::ROOMS, Duration::from_secs(1));
    let romeo = house.online("romeo@house/orchard");
    error(&subscribe(&mut house, &romeo, "n"), "cancel", "item-not-found", "");
}

#[test]
fn of_a_node_that_was_not_for_everybody_a_stranger_learns_nothing() {
    for model in ["whitelist", "presence", "roster"] {
        let (mut house, [romeo, juliet, _]) = scene(&[("access_model", model)]);
        ok(&delete(&mut house, &romeo, "n", TO));
        error(&subscribe(&mut house, &juliet, "n"), "cancel", "item-not-found", "");
    }
    let (mut house, [romeo, juliet, _]) = scene(&[("access_model", "authorize")]);
    ok(&delete(&mut house, &romeo, "n", TO));
    error(&subscribe(&mut house, &juliet, "n"), "modify", "gone", "");
}

#[test]
fn s8_4_1_a_redirect_names_an_address() {
    let (mut house, [romeo, juliet, _]) = scene(&[]);
    for wrong in ["", "pubsub.house", "xmpp:a b"] {
        error(&delete(&mut house, &romeo, "n", wrong), "modify", "bad-request", "");
    }
    let long = delete(&mut house, &romeo, "n", &format!("xmpp:{}", "x".repeat(2_000)));
    error(&long, "modify", "not-acceptable", "");
    assert!(long.as_str().contains("at most 2000 bytes; that is the same for everybody"), "{}", long.as_str());
    error(&delete(&mut house, &juliet, "n", TO), "auth", "forbidden", "");
    ok(&subscribe(&mut house, &juliet, "n"));
}

#[test]
fn d3_of_one_persons_many_redirects_the_oldest_are_forgotten() {
    let (mut house, [romeo, juliet, nurse]) = scene(&[]);
    ok(&create(&mut house, &juliet, "hers", &[]));
    ok(&delete(&mut house, &juliet, "hers", TO));
    for n in 0..101 {
        ok(&create(&mut house, &romeo, &format!("n{n}"), &[]));
        ok(&delete(&mut house, &romeo, &format!("n{n}"), TO));
        house.advance(Duration::from_millis(1));
    }
    error(&subscribe(&mut house, &nurse, "n0"), "cancel", "item-not-found", "");
    for kept in ["n1", "n100", "hers"] {
        error(&subscribe(&mut house, &nurse, kept), "modify", "gone", "");
    }
}
