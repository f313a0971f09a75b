//! Security D3: what somebody sends who means no good, at a service.

use super::*;

#[test]
fn d3_names_and_ids_of_any_shape_are_data() {
    let (mut house, [romeo, juliet, _]) = scene(&[]);
    for name in ["'; DROP TABLE log; --", "100%", "a&amp;b", "../../etc", "x y", "\u{202e}", "a\u{301}", "&#10;"] {
        let name = name.replace('\'', "&apos;");
        ok(&create(&mut house, &romeo, &name, &[]));
        ok(&publish(&mut house, &romeo, &name, &name, X));
        ok(&subscribe(&mut house, &juliet, &name));
        house.recv(&juliet);
        assert_eq!(items(&mut house, &juliet, &name).len(), 1, "{name}");
        assert!(info(&mut house, &juliet, &name).contains("type='leaf'"), "{name}");
    }
    let long = "x".repeat(1_024);
    error(&create(&mut house, &romeo, &long, &[]), "modify", "not-acceptable", "");
    error(&publish(&mut house, &romeo, "n", &long, X), "modify", "not-acceptable", "");
    // A node with everything in its name survives a restart as it was.
    let mut house = house.restart(crate::ROOMS, std::time::Duration::from_secs(1));
    let juliet = house.online("juliet@house/balcony");
    assert_eq!(items(&mut house, &juliet, "&apos;; DROP TABLE log; --").len(), 1);
}

#[test]
fn d3_numbers_of_any_size() {
    let (mut house, [romeo, ..]) = scene(&[]);
    for max in ["-1", "0", "1000000000000", "1e3", "", "max "] {
        error(&configure(&mut house, &romeo, "n", &[("max_items", max)]), "modify", "not-acceptable", "");
    }
    for max in ["-1", "0", "x"] {
        error(&ask(&mut house, &romeo, "get", &format!("<items node='n' max_items='{max}'/>")), "modify", "bad-request", "");
    }
    ok(&ask(&mut house, &romeo, "get", "<items node='n' max_items='99999999999999999999'/>"));
    let page = |set: &str| format!("<items node='n'/><set xmlns='http://jabber.org/protocol/rsm'>{set}</set>");
    for set in ["<after>&apos; OR 1=1--</after>", "<before>&apos; OR 1=1--</before>"] {
        error(&ask(&mut house, &romeo, "get", &page(set)), "cancel", "item-not-found", "");
    }
    for expire in ["0", "-5", "1e9", "99999999999999999999"] {
        error(&configure(&mut house, &romeo, "n", &[("item_expire", expire)]), "modify", "not-acceptable", "");
    }
}

#[test]
fn d3_nobody_does_anything_to_somebody_elses_node() {
    let (mut house, [romeo, juliet, nurse]) = scene(&[]);
    ok(&publish(&mut house, &romeo, "n", "1", X));
    ok(&subscribe(&mut house, &nurse, "n"));
    house.recv(&nurse);
    for (kind, inside) in [
        ("get", "<configure node='n'/>"),
        ("set", "<delete node='n'/>"),
        ("set", "<purge node='n'/>"),
        ("get", "<subscriptions node='n'/>"),
        ("set", "<subscriptions node='n'><subscription jid='nurse@house' subscription='none'/></subscriptions>"),
        ("get", "<affiliations node='n'/>"),
        ("set", "<affiliations node='n'><affiliation jid='juliet@house' affiliation='owner'/></affiliations>"),
    ] {
        error(&own(&mut house, &juliet, kind, inside), "auth", "forbidden", "");
    }
    error(&configure(&mut house, &juliet, "n", &[("publish_model", "open")]), "auth", "forbidden", "");
    error(&ask(&mut house, &juliet, "set", "<retract node='n'><item id='1'/></retract>"), "auth", "forbidden", "");
    error(&ask(&mut house, &juliet, "set", "<unsubscribe node='n' jid='nurse@house'/>"), "auth", "forbidden", "");
    assert_eq!(items(&mut house, &romeo, "n"), ["1"]);
    house.nothing(&nurse);
}

/// A claim of a payload to come from somebody else is not believed: the service says who published.
#[test]
fn d3_nobody_publishes_in_another_name() {
    let (mut house, [romeo, juliet, _]) = scene(&[("publish_model", "open")]);
    let forged = format!("<publish node='n'><item id='1' publisher='romeo@house'>{X}</item></publish>");
    ok(&ask(&mut house, &juliet, "set", &forged));
    let got = ask(&mut house, &romeo, "get", "<items node='n'/>");
    assert!(got.as_str().contains("publisher='juliet@house'") && !got.as_str().contains("romeo@house'>"), "{}", got.as_str());
}

#[test]
fn d3_malformed_requests_have_their_errors() {
    let (mut house, [romeo, ..]) = scene(&[]);
    for (kind, inside) in [
        ("set", ""),
        ("set", "<dance node='n'/>"),
        ("get", "<publish node='n'/>"),
        ("set", "<items node='n'/>"),
        ("set", "<options node='n' jid='romeo@house'/>"),
        ("set", "<create node='n'/><configure node='n'/>"),
        // The schema: one thing at a time.
        ("set", "<create node='m'/><subscribe node='m' jid='romeo@house'/>"),
        ("set", "<subscribe node='n' jid='romeo@house'/><unsubscribe node='n' jid='romeo@house'/>"),
    ] {
        let answer = ask(&mut house, &romeo, kind, inside);
        assert_eq!(answer.attr("type").as_deref(), Some("error"), "{inside}: {}", answer.as_str());
    }
    for inside in ["<collection node='n'/>", "<collection node='n'><associate/></collection>", "<configure node='n'/>"] {
        error(&own(&mut house, &romeo, "set", inside), "modify", "bad-request", "");
    }
    house.send(&romeo, &format!("<message to='{SERVICE}'><x xmlns='jabber:x:data' type='submit'/></message>"));
    assert!(house.one(&romeo).as_str().contains("service-unavailable"));
}

/// A resource is any text: one person does not take the places of all.
#[test]
fn d3_one_person_has_few_subscriptions_to_a_node() {
    let (mut house, [romeo, juliet, nurse]) = scene(&[]);
    let full = |who: &iris_engine::testing::Client, n: usize| format!("<subscribe node='n' jid='{}/x{n}'/>", who.jid.to_bare());
    for n in 0..16 {
        ok(&ask(&mut house, &juliet, "set", &full(&juliet, n)));
    }
    error(&ask(&mut house, &juliet, "set", &full(&juliet, 16)), "wait", "policy-violation", "too-many-subscriptions");
    ok(&ask(&mut house, &juliet, "set", &full(&juliet, 7)));
    ok(&subscribe(&mut house, &nurse, "n"));
    // Nor by an owner's hand.
    let more = "<subscriptions node='n'><subscription jid='juliet@house/more' subscription='subscribed'/></subscriptions>";
    ok(&affiliate(&mut house, &romeo, "n", "juliet@house", "member"));
    error(&own(&mut house, &romeo, "set", more), "wait", "policy-violation", "too-many-subscriptions");
}

#[test]
fn d3_a_node_does_not_hide_the_commands_of_the_service() {
    let (mut house, [romeo, ..]) = scene(&[]);
    let commands = "http://jabber.org/protocol/commands";
    let before = items_of(&mut house, &romeo, commands);
    assert!(before.contains("pubsub#get-pending"), "{before}");
    create(&mut house, &romeo, commands, &[]);
    create(&mut house, &romeo, "http://jabber.org/protocol/pubsub#get-pending", &[]);
    let after = items_of(&mut house, &romeo, commands);
    assert!(after.contains("pubsub#get-pending"), "{after}");
    assert!(info(&mut house, &romeo, "http://jabber.org/protocol/pubsub#get-pending").contains("command-node"));
}

/// More at once than the house works on for one account: those over are refused, and what comes later is not held up.
#[test]
fn d3_requests_that_were_refused_leave_nothing_behind() {
    let (mut house, [romeo, ..]) = scene(&[]);
    for n in 0..100 {
        let create = format!("<pubsub xmlns='http://jabber.org/protocol/pubsub'><create node='many{n}'/></pubsub>");
        house.feed(&romeo, &format!("<iq type='set' id='c{n}' to='{SERVICE}'>{create}</iq>"));
    }
    house.run();
    let heard = house.hear(&romeo);
    assert!(heard.iter().any(|it| it.contains("type='error'")) && heard.len() == 100, "{}", heard.len());
    for n in 0..100 {
        let publish = format!("<publish node='n'><item id='{n}'>{X}</item></publish>");
        let pubsub = format!("<pubsub xmlns='http://jabber.org/protocol/pubsub'>{publish}</pubsub>");
        house.feed(&romeo, &format!("<iq type='set' id='p{n}' to='{SERVICE}'>{pubsub}</iq>"));
    }
    house.run();
    let heard = house.hear(&romeo);
    assert!(heard.len() == 100 && !heard.iter().any(|it| it.contains("type='error'")), "{heard:?}");
}
