//! Security D3: what somebody sends who means no good, at a service.

use iris_engine::testing::House;

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

/// "Over a limit … an error whose text says which limit and who can change it."
#[test]
fn d3_whoever_reaches_a_limit_hears_which_and_who_can_change_it() {
    let (mut house, [romeo, juliet, _]) = scene(&[]);
    let (everybody, operator) = ("that is the same for everybody: ", "whoever runs this server can change that");
    let named = |n: usize| (0..n).map(|n| format!("a{n}@b")).collect::<Vec<_>>().join("|");
    let (long, many, collections) = ("x".repeat(1_025), named(65), named(9));
    for (var, value, limit, who) in [
        ("title", long.as_str(), "pubsub#title: at most 1024 bytes; ", everybody),
        ("contact", &many, "pubsub#contact: at most 64 addresses; ", everybody),
        ("roster_groups_allowed", &many, "at most 64 groups of 1024 bytes each; ", everybody),
        ("max_items", "1001", "pubsub#max_items: at most 1000 items; ", operator),
        ("max_payload_size", "999999999", "pubsub#max_payload_size: at most 196608 bytes; ", operator),
        ("collection", &collections, "pubsub#collection: at most 8 collections; ", everybody),
    ] {
        let refused = configure(&mut house, &romeo, "n", &[(var, value)]);
        error(&refused, "modify", "not-acceptable", "");
        assert!(refused.as_str().contains(&format!("{limit}{who}")), "{var}: {}", refused.as_str());
    }
    for n in 0..16 {
        let jid = format!("juliet@house/{n}");
        ok(&ask(&mut house, &juliet, "set", &format!("<subscribe node='n' jid='{jid}'/>")));
    }
    let refused = subscribe(&mut house, &juliet, "n");
    error(&refused, "wait", "policy-violation", "too-many-subscriptions");
    assert!(refused.as_str().contains(&format!("at most 16 subscriptions to a node; {everybody}")), "{}", refused.as_str());
    let items: String = (0..1_001).map(|n| format!("<item id='{n}'/>")).collect();
    let refused = ask(&mut house, &romeo, "get", &format!("<items node='n'>{items}</items>"));
    assert!(refused.as_str().contains(&format!("one request names at most 1000 items; {everybody}")), "{}", refused.as_str());
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

/// XEP-0465: a list of followers takes nobody's place, stands in no collection and has no list of its own.
#[test]
fn d3_a_list_of_followers_is_nobodys_node() {
    let mut house = House::with_config(crate::ROOMS, "[xep.pubsub]\nnodes_max = 2\nnodes_per_user_max = 9\n");
    let [romeo, juliet, nurse] =
        ["romeo@house/orchard", "juliet@house/balcony", "nurse@house/hall"].map(|jid| house.online(jid));
    let list = "urn:xmpp:pps:subscribers:0/n";
    ok(&create(&mut house, &romeo, "n", &[]));
    error(
        &ask(&mut house, &juliet, "set", &format!("<unsubscribe node='{list}' jid='juliet@house'/>")),
        "cancel",
        "unexpected-request",
        "not-subscribed",
    );
    ok(&subscribe(&mut house, &juliet, list));
    ok(&create(&mut house, &romeo, "c", &[("node_type", "collection")]));
    error(&create(&mut house, &romeo, "third", &[]), "wait", "resource-constraint", "");
    for name in
        ["urn:xmpp:pps:subscribers:0/none", "urn:xmpp:pps:other", "urn:xmpp:pps:subscribers:0/urn:xmpp:pps:subscribers:0/n"]
    {
        error(&subscribe(&mut house, &juliet, name), "cancel", "item-not-found", "");
        error(&disco(&mut house, &juliet, "info", name), "cancel", "item-not-found", "");
    }
    error(&configure(&mut house, &romeo, "c", &[("children", list)]), "auth", "forbidden", "");
    error(&configure(&mut house, &romeo, "n", &[("collection", list)]), "cancel", "not-allowed", "invalid-options");
    let archive = format!("<query xmlns='urn:xmpp:mam:2' node='{list}'/>");
    error(&house.iq(&juliet, "set", Some(SERVICE), &archive), "cancel", "feature-not-implemented", "");
    // Whoever hears of everything in the service hears nothing of who follows what.
    ok(&subscribe_with(&mut house, &nurse, "", &[("subscription_type", "all"), ("subscription_depth", "all")]));
    ok(&ask(&mut house, &romeo, "set", "<subscribe node='n' jid='romeo@house'><public xmlns='urn:xmpp:pps:0'/></subscribe>"));
    assert_eq!(house.recv(&juliet).len(), 1);
    house.nothing(&nurse);
    // A subscription that is refused leaves no list behind.
    ok(&own(&mut house, &romeo, "set", "<delete node='c'/>"));
    ok(&create(&mut house, &romeo, "m", &[]));
    let wrong = form("subscribe_options", &[("deliver", "perhaps")]);
    let subscribe = "<subscribe node='urn:xmpp:pps:subscribers:0/m' jid='juliet@house'/>";
    error(
        &ask(&mut house, &juliet, "set", &format!("{subscribe}<options>{wrong}</options>")),
        "modify",
        "bad-request",
        "invalid-options",
    );
    assert_eq!(ask(&mut house, &juliet, "get", "<subscriptions/>").as_str().matches("<subscription ").count(), 1);
}
