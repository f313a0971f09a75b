//! XEP-0248: nodes that hold nodes.

use iris_engine::testing::{Client, House};

use super::*;

const NODE_TYPE: (&str, &str) = ("node_type", "collection");

/// root > branch > leaf, all Romeo's.
fn tree() -> (House, [Client; 3]) {
    let (mut house, people) = scene(&[]);
    let romeo = &people[0];
    ok(&create(&mut house, romeo, "root", &[NODE_TYPE]));
    ok(&create(&mut house, romeo, "branch", &[NODE_TYPE, ("collection", "root")]));
    ok(&create(&mut house, romeo, "leaf", &[("collection", "branch")]));
    (house, people)
}

fn associate(house: &mut House, who: &Client, collection: &str, how: &str, node: &str) -> iris_core::Stanza {
    own(house, who, "set", &format!("<collection node='{collection}'><{how} node='{node}'/></collection>"))
}

fn through(collection: &str) -> String {
    format!("<headers xmlns='http://jabber.org/protocol/shim'><header name='Collection'>{collection}</header></headers>")
}

#[test]
fn s5_2_the_hierarchy_is_discovered_level_by_level() {
    let (mut house, [romeo, juliet, _]) = tree();
    let top = items_of(&mut house, &juliet, "");
    assert!(top.contains("node='root'") && top.contains("node='n'"), "{top}");
    assert!(!top.contains("node='branch'") && !top.contains("node='leaf'"), "{top}");
    let root = items_of(&mut house, &juliet, "root");
    assert!(root.contains("<item jid='pubsub.house' node='branch'/>") && !root.contains("node='leaf'"), "{root}");
    assert!(info(&mut house, &juliet, "root").contains("category='pubsub' type='collection'"));
    let config = own(&mut house, &romeo, "get", "<configure node='root'/>").as_str().to_owned();
    let children = config.split_once("var='pubsub#children' ").and_then(|(_, it)| it.split_once("</field>")).map(|(it, _)| it);
    assert!(children.is_some_and(|it| it.contains("<value>branch</value>")), "{config}");
    assert!(!config.contains("var='pubsub#persist_items'"), "{config}");
}

#[test]
fn s5_3_and_s6_1_news_go_up_the_tree_as_far_as_asked() {
    for (kind, depth, items, nodes) in [
        ("items", "1", false, false),
        ("items", "2", true, false),
        ("items", "all", true, false),
        ("nodes", "all", false, true),
        ("all", "2", true, true),
        ("nodes", "1", false, false),
    ] {
        let (mut house, [romeo, juliet, nurse]) = tree();
        let options = [("subscription_type", kind), ("subscription_depth", depth)];
        let answer = subscribe_with(&mut house, &juliet, "root", &options);
        ok(&answer);
        assert!(answer.as_str().contains(&format!("<value>{depth}</value>")), "{}", answer.as_str());
        ok(&publish(&mut house, &romeo, "leaf", "1", X));
        let heard = house.hear(&juliet);
        assert_eq!(heard.len(), usize::from(items), "{kind} {depth}: {heard:?}");
        for it in heard {
            assert!(it.contains("<items node='leaf'>") && it.contains(&through("root")), "{it}");
        }
        ok(&configure(&mut house, &romeo, "leaf", &[("notify_config", "1")]));
        ok(&own(&mut house, &romeo, "set", "<delete node='leaf'/>"));
        let heard = house.hear(&juliet);
        assert_eq!(heard.len(), 2 * usize::from(nodes), "{kind} {depth}: {heard:?}");
        assert!(heard.iter().all(|it| it.contains(&through("root"))), "{heard:?}");
        house.nothing(&nurse);
    }
}

#[test]
fn s6_1_by_default_new_nodes_of_the_first_level() {
    let (mut house, [romeo, juliet, _]) = tree();
    ok(&subscribe(&mut house, &juliet, "root"));
    ok(&create(&mut house, &romeo, "twig", &[("collection", "root")]));
    let heard = house.one(&juliet);
    assert!(
        heard.as_str().contains("<create node='twig'/>") && heard.as_str().contains(&through("root")),
        "{}",
        heard.as_str()
    );
    ok(&create(&mut house, &romeo, "deeper", &[("collection", "branch")]));
    ok(&publish(&mut house, &romeo, "twig", "1", X));
    house.nothing(&juliet);
}

#[test]
fn who_has_subscribed_twice_is_told_once_and_by_the_nearest() {
    let (mut house, [romeo, juliet, _]) = tree();
    let all = [("subscription_type", "items"), ("subscription_depth", "all")];
    for node in ["root", "branch"] {
        ok(&subscribe_with(&mut house, &juliet, node, &all));
    }
    ok(&publish(&mut house, &romeo, "leaf", "1", X));
    assert!(house.one(&juliet).as_str().contains(&through("branch")));
    ok(&subscribe(&mut house, &juliet, "leaf"));
    house.recv(&juliet);
    ok(&publish(&mut house, &romeo, "leaf", "2", X));
    assert!(!house.one(&juliet).as_str().contains("<headers"));
}

/// Security D3: a collection is no way around the access model of what is in it.
#[test]
fn d3_a_collection_opens_no_closed_node() {
    let (mut house, [romeo, juliet, nurse]) = tree();
    ok(&configure(&mut house, &romeo, "leaf", &[("access_model", "whitelist")]));
    ok(&affiliate(&mut house, &romeo, "leaf", "nurse@house", "member"));
    for who in [&juliet, &nurse] {
        ok(&subscribe_with(&mut house, who, "root", &[("subscription_type", "all"), ("subscription_depth", "all")]));
        house.recv(who);
    }
    ok(&publish(&mut house, &romeo, "leaf", "1", X));
    house.nothing(&juliet);
    assert_eq!(house.recv(&nurse).len(), 1);
    assert!(!items_of(&mut house, &juliet, "branch").contains("leaf"));
    assert!(items_of(&mut house, &nurse, "branch").contains("leaf"));
}

#[test]
fn s7_5_and_s7_6_nodes_are_put_in_and_taken_out() {
    let (mut house, [romeo, juliet, nurse]) = tree();
    ok(&subscribe(&mut house, &juliet, "root"));
    ok(&associate(&mut house, &romeo, "root", "associate", "n"));
    assert!(house.one(&juliet).as_str().contains("<collection node='root'><associate node='n'/></collection>"));
    assert!(items_of(&mut house, &juliet, "root").contains("node='n'"));
    ok(&associate(&mut house, &romeo, "root", "associate", "n"));
    house.nothing(&juliet);
    // Whoever has no say in the collection, or in the node.
    ok(&create(&mut house, &nurse, "hers", &[]));
    error(&associate(&mut house, &nurse, "root", "associate", "hers"), "auth", "forbidden", "");
    error(&associate(&mut house, &romeo, "root", "associate", "hers"), "auth", "forbidden", "");
    ok(&configure(
        &mut house,
        &romeo,
        "root",
        &[("children_association_policy", "whitelist"), ("children_association_whitelist", "nurse@house")],
    ));
    ok(&associate(&mut house, &nurse, "root", "associate", "hers"));
    ok(&associate(&mut house, &romeo, "root", "dissociate", "hers"));
    ok(&associate(&mut house, &romeo, "root", "disassociate", "n"));
    error(&associate(&mut house, &romeo, "root", "disassociate", "n"), "modify", "bad-request", "");
    error(&associate(&mut house, &romeo, "nowhere", "associate", "n"), "cancel", "item-not-found", "");
    assert!(items_of(&mut house, &juliet, "").contains("node='n'"));
}

#[test]
fn s7_2_3_what_a_collection_cannot_be() {
    let (mut house, [romeo, ..]) = tree();
    let refused = |house: &mut House, node: &str, config: &[(&str, &str)], specific: &str| {
        error(&configure(house, &romeo, node, config), "cancel", "not-allowed", specific);
    };
    // Loops, of one and of several.
    refused(&mut house, "root", &[("collection", "root")], "invalid-options");
    refused(&mut house, "root", &[("collection", "branch")], "invalid-options");
    refused(&mut house, "branch", &[("children", "leaf|root")], "invalid-options");
    error(&associate(&mut house, &romeo, "branch", "associate", "root"), "cancel", "not-allowed", "invalid-options");
    // Leaves hold nothing; collections stay what they are.
    refused(&mut house, "leaf", &[("children", "n")], "invalid-options");
    refused(&mut house, "n", &[("collection", "leaf")], "invalid-options");
    refused(&mut house, "root", &[("node_type", "leaf")], "invalid-options");
    ok(&configure(&mut house, &romeo, "root", &[("children_max", "1")]));
    refused(&mut house, "n", &[("collection", "root")], "max-nodes-exceeded");
    refused(&mut house, "root", &[("children", "branch|n")], "max-nodes-exceeded");
    error(&publish(&mut house, &romeo, "root", "1", X), "cancel", "feature-not-implemented", "unsupported");
    // XEP-0060 7.2.3.5, 8.5.3.3: "because it is a collection node".
    let retract = "<retract node='root'><item id='1'/></retract>";
    let refused = [ask(&mut house, &romeo, "set", retract), own(&mut house, &romeo, "set", "<purge node='root'/>")];
    for refused in refused {
        error(&refused, "cancel", "feature-not-implemented", "unsupported");
        assert!(refused.as_str().contains("feature='persistent-items'"), "{}", refused.as_str());
    }
    error(&create(&mut house, &romeo, "m", &[("collection", "nowhere")]), "cancel", "item-not-found", "");
    error(&disco(&mut house, &romeo, "info", "m"), "cancel", "item-not-found", "");
}

#[test]
fn s7_2_a_form_says_what_is_in_a_collection() {
    let (mut house, [romeo, juliet, _]) = tree();
    ok(&configure(&mut house, &romeo, "root", &[("children", "n|leaf")]));
    let root = items_of(&mut house, &juliet, "root");
    assert!(root.contains("node='n'") && root.contains("node='leaf'") && !root.contains("node='branch'"), "{root}");
    // Of two collections at once.
    assert!(items_of(&mut house, &juliet, "branch").contains("node='leaf'"));
    // 7.2.4: a leaf becomes a collection, and its items go.
    ok(&publish(&mut house, &romeo, "n", "1", X));
    ok(&configure(&mut house, &romeo, "n", &[NODE_TYPE]));
    ok(&configure(&mut house, &romeo, "n", &[("children", "branch")]));
    assert!(items_of(&mut house, &juliet, "n").contains("node='branch'"));
    // 8.2: what was in it is there all the same.
    ok(&own(&mut house, &romeo, "set", "<delete node='n'/>"));
    assert!(items_of(&mut house, &juliet, "").contains("node='branch'"));
    let mut house = house.restart(crate::ROOMS, std::time::Duration::from_secs(1));
    let juliet = house.online("juliet@house/balcony");
    let root = items_of(&mut house, &juliet, "root");
    assert!(root.contains("node='leaf'") && !root.contains("node='branch'"), "{root}");
}

#[test]
fn s7_2_1_children_are_named_when_a_collection_is_made() {
    let (mut house, [romeo, juliet, nurse]) = tree();
    ok(&subscribe_with(&mut house, &nurse, "root", &[("subscription_type", "nodes"), ("subscription_depth", "all")]));
    ok(&affiliate(&mut house, &romeo, "root", "juliet@house", "owner"));
    ok(&create(&mut house, &juliet, "hers", &[]));
    house.recv(&juliet);
    let made = [NODE_TYPE, ("collection", "root"), ("children", "hers")];
    ok(&create(&mut house, &juliet, "new", &made));
    let news: String = house.recv(&nurse).iter().map(|it| it.as_str().to_owned()).collect();
    assert!(news.contains("<create node='new'/>") && news.contains("<associate node='hers'/>"), "{news}");
    assert!(items_of(&mut house, &nurse, "new").contains("node='hers'"));
    let config = own(&mut house, &juliet, "get", "<configure node='hers'/>").as_str().to_owned();
    assert!(config.contains("<value>new</value>"), "section 8.3: the node's own options say it too: {config}");

    // Nothing is made where one of them cannot be had.
    for (children, kind, condition, specific) in [
        ("hers|n", "auth", "forbidden", ""),
        ("hers|nowhere", "cancel", "item-not-found", ""),
        ("hers|other", "cancel", "not-allowed", "invalid-options"),
    ] {
        error(&create(&mut house, &juliet, "other", &[NODE_TYPE, ("children", children)]), kind, condition, specific);
        error(&disco(&mut house, &juliet, "info", "other"), "cancel", "item-not-found", "");
    }
    let few = [NODE_TYPE, ("children_max", "0"), ("children", "hers")];
    error(&create(&mut house, &juliet, "other", &few), "cancel", "not-allowed", "max-nodes-exceeded");
    let circle = [NODE_TYPE, ("collection", "branch"), ("children", "root")];
    error(&create(&mut house, &romeo, "other", &circle), "cancel", "not-allowed", "invalid-options");
    error(&create(&mut house, &juliet, "other", &[("children", "hers")]), "cancel", "not-allowed", "invalid-options");
    let mut house = house.restart(crate::ROOMS, std::time::Duration::from_secs(1));
    let nurse = house.online("nurse@house/hall");
    assert!(items_of(&mut house, &nurse, "new").contains("node='hers'"));
    let root = items_of(&mut house, &nurse, "root");
    assert!(root.contains("node='branch'") && root.contains("node='new'") && !root.contains("node='other'"), "{root}");
}

/// No chain of collections is so long that news would have to go up it for ever.
#[test]
fn collections_stand_only_so_deep() {
    let (mut house, [romeo, ..]) = scene(&[]);
    ok(&create(&mut house, &romeo, "c0", &[NODE_TYPE]));
    let refused = (1..30).find(|at| {
        let above = format!("c{}", at - 1);
        let answer = create(&mut house, &romeo, &format!("c{at}"), &[NODE_TYPE, ("collection", &above)]);
        answer.attr("type").as_deref() == Some("error")
    });
    assert_eq!(refused, Some(16));
}

/// 7.2.3: also where one form says both.
#[test]
fn s7_2_3_a_form_makes_no_circle() {
    let (mut house, [romeo, ..]) = scene(&[]);
    for name in ["a", "x", "y"] {
        ok(&create(&mut house, &romeo, name, &[("node_type", "collection")]));
    }
    ok(&configure(&mut house, &romeo, "y", &[("collection", "x")]));
    for above in ["x", "y"] {
        let circle = [("children", "x"), ("collection", above)];
        error(&configure(&mut house, &romeo, "a", &circle), "cancel", "not-allowed", "invalid-options");
        assert!(items_of(&mut house, &romeo, "").contains("node='a'"), "{above}");
    }
    ok(&configure(&mut house, &romeo, "a", &[("children", "x"), ("collection", "")]));
}
