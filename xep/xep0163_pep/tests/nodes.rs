//! XEP-0060 5 and 8: nodes, as their owner makes them and others find them.

use super::*;

const JULIET: &str = "juliet@house/balcony";

#[test]
fn s3_a_node_is_made_by_the_first_item_with_the_defaults_of_section_5() {
    let mut house = house();
    let juliet = house.login(JULIET);
    ok(&publish(&mut house, &juliet, TUNE, "current", SONG));
    let form = own(&mut house, &juliet, "get", &format!("<configure node='{TUNE}'/>"));
    let text = form.as_str();
    for (var, value) in [
        ("access_model", "presence"),
        ("max_items", "1"),
        ("persist_items", "1"),
        ("deliver_payloads", "1"),
        ("send_last_published_item", "on_sub_and_presence"),
        ("notification_type", "headline"),
    ] {
        let field = text.split(&format!("var='pubsub#{var}'")).nth(1).and_then(|it| it.split("</field>").next());
        assert!(field.is_some_and(|field| field.ends_with(&format!("<value>{value}</value>"))), "{var}: {text}");
    }
    assert!(own(&mut house, &juliet, "get", "<default/>").as_str().contains("pubsub#access_model"));
}

#[test]
fn s8_1_create_configure_delete_purge() {
    let mut house = house();
    let juliet = house.login(JULIET);
    ok(&ask(&mut house, &juliet, "set", None, "<create node='princely_musings'/>"));
    error(&ask(&mut house, &juliet, "set", None, "<create node='princely_musings'/>"), "cancel", "conflict", "");
    let instant = ask(&mut house, &juliet, "set", None, "<create/>");
    assert!(instant.as_str().contains("<create node='node-"), "{}", instant.as_str());
    let with = format!(
        "<create node='two'/><configure>{}</configure>",
        form("node_config", &[("access_model", "open"), ("max_items", "5")])
    );
    ok(&ask(&mut house, &juliet, "set", None, &with));
    let bad = format!("<create node='x'/><configure>{}</configure>", form("node_config", &[("access_model", "everybody")]));
    error(&ask(&mut house, &juliet, "set", None, &bad), "modify", "not-acceptable", "unsupported-access-model");
    let bad = format!("<create node='x'/><configure node='x'>{}</configure>", form("node_config", &[]));
    error(&ask(&mut house, &juliet, "set", None, &bad), "modify", "bad-request", "");
    error(&configure(&mut house, &juliet, "nowhere", &[]), "cancel", "item-not-found", "");
    ok(&configure(&mut house, &juliet, "two", &[("no_such_option", "1")]));
    error(&configure(&mut house, &juliet, "two", &[("presence_based_delivery", "1")]), "modify", "not-acceptable", "");
    // XEP-0248 7.1.3.1.
    let collection = configure(&mut house, &juliet, "two", &[("node_type", "collection")]);
    error(&collection, "cancel", "feature-not-implemented", "unsupported");
    ok(&configure(&mut house, &juliet, "two", &[("title", "Two"), ("node_type", "leaf"), ("item_expire", "max")]));
    error(&own(&mut house, &juliet, "get", "<configure/>"), "modify", "bad-request", "nodeid-required");

    for id in ["a", "b", "c"] {
        publish(&mut house, &juliet, "two", id, "<x xmlns='urn:x'/>");
    }
    assert_eq!(ids(&items(&mut house, &juliet, None, "two")), ["a", "b", "c"]);
    ok(&configure(&mut house, &juliet, "two", &[("max_items", "2")]));
    assert_eq!(ids(&items(&mut house, &juliet, None, "two")), ["b", "c"], "the oldest goes");
    ok(&own(&mut house, &juliet, "set", "<purge node='two'/>"));
    assert!(items(&mut house, &juliet, None, "two").contains("<items node='two'/>"));
    ok(&own(&mut house, &juliet, "set", "<delete node='two'/>"));
    error(&own(&mut house, &juliet, "set", "<delete node='two'/>"), "cancel", "item-not-found", "");
    let gone = ask(&mut house, &juliet, "get", None, "<items node='two'/>");
    error(&gone, "cancel", "item-not-found", "");
}

#[test]
fn s8_2_5_3_s8_4_2_s8_5_2_subscribers_are_told() {
    let mut house = house();
    house.friends("romeo@house", "juliet@house");
    let juliet = house.login(JULIET);
    let romeo = house.login("romeo@house/orchard");
    wants(&mut house, &romeo, &["n"]);
    ok(&ask(&mut house, &juliet, "set", None, "<create node='n'/>"));
    ok(&configure(&mut house, &juliet, "n", &[("notify_config", "1"), ("title", "N")]));
    let told = house.one(&romeo).as_str().to_owned();
    assert!(told.contains("<configuration node='n'><x xmlns='jabber:x:data' type='result'>"), "{told}");
    ok(&own(&mut house, &juliet, "set", "<purge node='n'/>"));
    assert!(house.one(&romeo).as_str().contains("<purge node='n'/>"));
    ok(&own(&mut house, &juliet, "set", "<delete node='n'><redirect uri='xmpp:juliet@house?;node=m'/></delete>"));
    let told = house.one(&romeo).as_str().to_owned();
    assert!(told.contains("<delete node='n'><redirect uri='xmpp:juliet@house?;node=m'/></delete>"), "{told}");
}

#[test]
fn s6_disco_of_the_account_and_of_its_nodes() {
    let mut house = house();
    house.friends("romeo@house", "juliet@house");
    let juliet = house.login(JULIET);
    let romeo = house.online("romeo@house/orchard");
    let mallory = house.online("mallory@house/x");
    let info = |house: &mut iris_engine::testing::House, who, node: &str| {
        let node = if node.is_empty() { String::new() } else { format!(" node='{node}'") };
        let query = format!("<query xmlns='http://jabber.org/protocol/disco#info'{node}/>");
        house.iq(who, "get", Some("juliet@house"), &query).as_str().to_owned()
    };
    publish(&mut house, &juliet, TUNE, "1", SONG);
    publish_with(&mut house, &juliet, None, "urn:private", "1", "<p xmlns='urn:private'/>", &[("access_model", "whitelist")]);
    publish_with(
        &mut house,
        &juliet,
        None,
        "urn:open",
        "1",
        "<o xmlns='urn:open'/>",
        &[("access_model", "open"), ("title", "Open")],
    );
    for client in [&juliet, &romeo] {
        let answer = info(&mut house, client, "");
        assert!(answer.contains("<identity category='pubsub' type='pep'/>"), "{answer}");
        for feature in [
            "publish-options",
            "auto-create",
            "filtered-notifications",
            "access-authorize",
            "access-open",
            "access-presence",
            "access-roster",
            "access-whitelist",
            "multi-items",
            "config-node-max",
        ] {
            assert!(answer.contains(&format!("<feature var='http://jabber.org/protocol/pubsub#{feature}'/>")), "{feature}");
        }
    }
    assert!(info(&mut house, &mallory, "").contains("service-unavailable"));
    let about = info(&mut house, &romeo, TUNE);
    for part in
        ["<identity category='pubsub' type='leaf'/>", "pubsub#meta-data", "pubsub#creation_date", "pubsub#num_subscribers"]
    {
        assert!(about.contains(part), "{part}: {about}");
    }
    assert!(info(&mut house, &romeo, "urn:private").contains("item-not-found"), "not even its name");
    assert!(info(&mut house, &juliet, "urn:private").contains("pubsub#meta-data"));
    assert!(info(&mut house, &mallory, TUNE).contains("service-unavailable"));
    assert!(info(&mut house, &mallory, "urn:open").contains("pubsub#meta-data"));

    let list = |house: &mut iris_engine::testing::House, who, node: &str| {
        let node = if node.is_empty() { String::new() } else { format!(" node='{node}'") };
        let query = format!("<query xmlns='http://jabber.org/protocol/disco#items'{node}/>");
        house.iq(who, "get", Some("juliet@house"), &query).as_str().to_owned()
    };
    let seen = list(&mut house, &romeo, "");
    assert!(seen.contains(&format!("<item jid='juliet@house' node='{TUNE}'/>")), "{seen}");
    assert!(seen.contains("node='urn:open' name='Open'") && !seen.contains("urn:private"), "{seen}");
    let seen = list(&mut house, &mallory, "");
    assert!(seen.contains("urn:open") && !seen.contains(TUNE) && !seen.contains("balcony"), "{seen}");
    assert!(list(&mut house, &romeo, TUNE).contains("<item jid='juliet@house' name='1'/>"));
    assert!(list(&mut house, &mallory, TUNE).contains("service-unavailable"));
}

#[test]
fn s7_1_5_publish_options_are_met_or_the_item_is_refused() {
    let mut house = house();
    let juliet = house.login(JULIET);
    let whitelist = [("access_model", "whitelist"), ("persist_items", "true"), ("max_items", "max")];
    ok(&publish_with(&mut house, &juliet, None, "urn:b", "1", "<b xmlns='urn:b'/>", &whitelist));
    // 0223: what was asked for is what the node has.
    let form = own(&mut house, &juliet, "get", "<configure node='urn:b'/>").as_str().to_owned();
    assert!(form.contains("<value>max</value>") && form.contains("</option><value>whitelist</value>"), "{form}");
    ok(&publish_with(&mut house, &juliet, None, "urn:b", "2", "<b xmlns='urn:b'/>", &whitelist));
    for options in [
        &[("access_model", "open")][..],
        &[("access_model", "whitelist"), ("max_items", "10")],
        &[("access_model", "nonsense")],
        &[("unheard_of", "1")],
    ] {
        let answer = publish_with(&mut house, &juliet, None, "urn:b", "3", "<b xmlns='urn:b'/>", options);
        error(&answer, "cancel", "conflict", "precondition-not-met");
    }
    assert_eq!(ids(&items(&mut house, &juliet, None, "urn:b")), ["1", "2"]);
    // A node that is not there is not made with something else.
    for options in
        [&[("unheard_of", "1")][..], &[("max_items", "0")], &[("max_items", "-1")], &[("max_items", "1000000000000")]]
    {
        let answer = publish_with(&mut house, &juliet, None, "urn:c", "3", "<b xmlns='urn:b'/>", options);
        error(&answer, "modify", "not-acceptable", "");
    }
    error(&ask(&mut house, &juliet, "get", None, "<items node='urn:c'/>"), "cancel", "item-not-found", "");
    let empty = "<publish node='urn:c'><item id='1'><b xmlns='urn:b'/></item></publish><publish-options/>";
    error(&ask(&mut house, &juliet, "set", None, empty), "modify", "bad-request", "");
}
