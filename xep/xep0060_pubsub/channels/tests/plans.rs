//! Who may make channels, and how much of everything: each limit is said with who can change it.

use iris_engine::testing::House;

use super::*;
use crate::ROOMS;

#[track_caller]
fn says(answer: &iris_core::Stanza, words: &str) {
    assert!(answer.as_str().contains(words), "{words}: {}", answer.as_str());
}

#[test]
fn the_plan_says_who_makes_channels_and_everybody_follows() {
    let config = "[plans]\ndefault = \"essential\"\n[plans.loud]\nchannels_create = true\n";
    let mut house = House::with_config(ROOMS, config);
    house.user("juliet@house");
    house.ask("juliet@house", iris_core::Ask::SetPlan(Some("loud".into())));
    let (romeo, juliet) = (house.online("romeo@house/orchard"), house.online("juliet@house/balcony"));
    for answer in [create(&mut house, &romeo, "n", &[]), ask(&mut house, &romeo, "set", "<create/>")] {
        error(&answer, "cancel", "not-allowed", "");
        says(&answer, "your plan (essential)");
        says(&answer, "whoever runs this server can change your plan");
    }
    error(&publish(&mut house, &romeo, "n", "1", X), "cancel", "item-not-found", "");
    ok(&create(&mut house, &juliet, "n", &[]));
    ok(&subscribe(&mut house, &romeo, "n"));
    ok(&publish(&mut house, &juliet, "n", "1", X));
    assert_eq!(house.recv(&romeo).len(), 1);
    ok(&publish(&mut house, &juliet, "made", "1", X));
}

#[test]
fn each_limit_has_its_error() {
    let config = "[xep.pubsub]\nnodes_per_user_max = 2\nitems_per_user_max = 3\nbytes_per_user_max = 2000\n\
        items_per_node_max = 2\nitem_size_bytes_max = 1000\nsubscriptions_per_node_max = 1\n";
    let mut house = House::with_config(ROOMS, config);
    let [romeo, juliet, nurse] =
        ["romeo@house/orchard", "juliet@house/balcony", "nurse@house/hall"].map(|jid| house.online(jid));
    for node in ["a", "b"] {
        ok(&create(&mut house, &romeo, node, &[]));
    }
    let third = create(&mut house, &romeo, "c", &[]);
    error(&third, "wait", "resource-constraint", "");
    says(&third, "you have 2 nodes");
    says(&third, "whoever runs this server can change that");
    ok(&create(&mut house, &juliet, "c", &[]));
    // `max` is what the service allows.
    for id in ["1", "2", "3"] {
        ok(&publish(&mut house, &romeo, "a", id, X));
    }
    assert_eq!(items(&mut house, &romeo, "a"), ["2", "3"]);
    ok(&publish(&mut house, &romeo, "b", "1", X));
    let more = publish(&mut house, &romeo, "b", "2", X);
    error(&more, "wait", "resource-constraint", "");
    says(&more, "3 items");
    let big = |size: usize| format!("<x xmlns='urn:x'>{}</x>", "x".repeat(size));
    error(&publish(&mut house, &romeo, "b", "1", &big(1_000)), "modify", "not-acceptable", "payload-too-big");
    ok(&publish(&mut house, &romeo, "b", "1", &big(900)));
    ok(&publish(&mut house, &romeo, "a", "2", &big(700)));
    let full = publish(&mut house, &romeo, "a", "3", &big(900));
    error(&full, "wait", "resource-constraint", "");
    says(&full, "2000 bytes");
    ok(&publish(&mut house, &juliet, "c", "1", &big(900)));
    ok(&subscribe(&mut house, &juliet, "a"));
    error(&subscribe(&mut house, &nurse, "a"), "wait", "policy-violation", "too-many-subscriptions");
    error(&configure(&mut house, &romeo, "a", &[("max_items", "3")]), "modify", "not-acceptable", "");
    // What is deleted is free again.
    ok(&own(&mut house, &romeo, "set", "<delete node='b'/>"));
    ok(&create(&mut house, &romeo, "d", &[]));
    ok(&publish(&mut house, &romeo, "a", "3", &big(900)));
}

/// What the configuration says holds from when it is read, for who is there already too.
#[test]
fn r15_a_reload_changes_the_limits_of_a_service_that_is_awake() {
    let mut house = House::with_config(ROOMS, "[xep.pubsub]\nnodes_per_user_max = 1\n");
    let romeo = house.online("romeo@house/orchard");
    ok(&create(&mut house, &romeo, "a", &[]));
    says(&create(&mut house, &romeo, "b", &[]), "you have 1 nodes, as many as you may");
    house.reload(ROOMS, "[xep.pubsub]\nnodes_per_user_max = 2\nitem_size_bytes_max = 100\n");
    ok(&create(&mut house, &romeo, "b", &[]));
    says(&create(&mut house, &romeo, "c", &[]), "you have 2 nodes, as many as you may");
    let large = format!("<x xmlns='urn:x'>{}</x>", "x".repeat(100));
    error(&publish(&mut house, &romeo, "a", "1", &large), "modify", "not-acceptable", "payload-too-big");
    ok(&publish(&mut house, &romeo, "a", "1", X));
}

/// A service that gets another name and its own again goes on as before.
#[test]
fn r15_a_service_that_comes_back_still_looks_for_what_is_over() {
    let mut house = House::with(ROOMS);
    let romeo = house.online("romeo@house/orchard");
    ok(&create(&mut house, &romeo, "n", &[("item_expire", "30")]));
    ok(&publish(&mut house, &romeo, "n", "1", X));
    house.reload(ROOMS, "[xep.pubsub]\nservice = \"news\"\n");
    error(&publish(&mut house, &romeo, "n", "2", X), "cancel", "remote-server-not-found", "");
    house.advance(std::time::Duration::from_secs(70));
    house.reload(ROOMS, "");
    assert_eq!(items(&mut house, &romeo, "n"), ["1"]);
    house.advance(std::time::Duration::from_secs(70));
    assert!(items(&mut house, &romeo, "n").is_empty());
}

/// D3: a server says itself how many people it has; they do not take all places from others.
#[test]
fn people_of_another_server_have_half_of_the_subscriptions_of_a_node() {
    let config = "[xep.pubsub]\nsubscriptions_per_node_max = 6\n\
        [[xep.components.component]]\ndomain = \"bot.house\"\nsecret = \"northnorthwest\"\n";
    let mut house = House::with_config(ROOMS, config);
    let (romeo, juliet) = (house.online("romeo@house/orchard"), house.online("juliet@house/balcony"));
    ok(&create(&mut house, &romeo, "n", &[]));
    let far = house.component("bot.house");
    let from_afar = |house: &mut House, n: usize| {
        let subscribe = format!("<subscribe node='n' jid='p{n}@bot.house'/>");
        let pubsub = format!("<pubsub xmlns='http://jabber.org/protocol/pubsub'>{subscribe}</pubsub>");
        house.send(&far, &format!("<iq type='set' id='s{n}' from='p{n}@bot.house' to='{SERVICE}'>{pubsub}</iq>"));
        house.recv(&far).pop().expect("an answer")
    };
    (0..3).for_each(|n| ok(&from_afar(&mut house, n)));
    let over = from_afar(&mut house, 3);
    error(&over, "wait", "policy-violation", "too-many-subscriptions");
    says(&over, "people of bot.house have at most 3 subscriptions");
    for who in [&romeo, &juliet] {
        ok(&subscribe(&mut house, who, "n"));
    }
    // Whoever has one may ask again.
    ok(&from_afar(&mut house, 2));
    // Those of the house are people whom it knows.
    ok(&create(&mut house, &romeo, "m", &[]));
    for n in 0..6 {
        let who = house.login(&format!("p{n}@house/x"));
        ok(&subscribe(&mut house, &who, "m"));
    }
}
