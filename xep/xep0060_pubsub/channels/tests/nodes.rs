//! XEP-0060 5, 7 and 8: nodes and items.

use std::time::Duration;

use iris_engine::testing::House;

use super::*;

#[test]
fn s5_1_a_domain_leads_to_its_service_and_the_service_to_its_nodes() {
    let (mut house, [romeo, juliet, _]) = scene(&[("title", "News of Verona"), ("type", "urn:x")]);
    let of_domain = house.iq(&juliet, "get", Some("house"), "<query xmlns='http://jabber.org/protocol/disco#items'/>");
    assert!(of_domain.as_str().contains("<item jid='pubsub.house'/>"), "{}", of_domain.as_str());
    let service = info(&mut house, &juliet, "");
    assert!(service.contains("category='pubsub' type='service'"), "{service}");
    for feature in ["collections", "subscription-options", "instant-nodes", "get-pending", "access-whitelist", "rsm"] {
        assert!(service.contains(&format!("http://jabber.org/protocol/pubsub#{feature}'")), "{feature}: {service}");
    }
    let list = items_of(&mut house, &juliet, "");
    assert!(list.contains("<item jid='pubsub.house' node='n' name='News of Verona'/>"), "{list}");
    let node = info(&mut house, &juliet, "n");
    assert!(node.contains("category='pubsub' type='leaf' name='News of Verona'"), "{node}");
    assert!(node.contains("<field var='pubsub#creator' type='jid-single' label='Node creator'><value>romeo@house</value>"));
    assert_eq!(node.matches("<value>romeo@house</value>").count(), 2, "creator and owner: {node}");
    for id in ["1", "2"] {
        ok(&publish(&mut house, &romeo, "n", id, X));
    }
    let list = items_of(&mut house, &juliet, "n");
    assert!(list.contains("<item jid='pubsub.house' name='1'/><item jid='pubsub.house' name='2'/>"), "{list}");
    error(&disco(&mut house, &juliet, "info", "none"), "cancel", "item-not-found", "");
    error(&disco(&mut house, &juliet, "items", "none"), "cancel", "item-not-found", "");
}

#[test]
fn s5_2_a_long_list_of_nodes_comes_in_pages() {
    let (mut house, [romeo, ..]) = scene(&[]);
    for node in ["a", "b", "c"] {
        ok(&create(&mut house, &romeo, node, &[]));
    }
    let page = |house: &mut iris_engine::testing::House, set: &str| {
        let query = format!(
            "<query xmlns='http://jabber.org/protocol/disco#items'><set xmlns='http://jabber.org/protocol/rsm'>{set}</set></query>"
        );
        house.iq(&romeo, "get", Some(SERVICE), &query)
    };
    let first = page(&mut house, "<max>2</max>");
    let text = first.as_str();
    assert!(text.contains("node='a'") && text.contains("node='b'") && !text.contains("node='c'"), "{text}");
    assert!(text.contains("<count>4</count>") && text.contains("<first index='0'>a</first><last>b</last>"), "{text}");
    let text = page(&mut house, "<max>2</max><after>b</after>").as_str().to_owned();
    assert!(text.contains("node='c'") && text.contains("node='n'") && !text.contains("node='a'"), "{text}");
    let text = page(&mut house, "<max>1</max><before/>").as_str().to_owned();
    assert!(text.contains("node='n'") && text.contains("index='3'") && !text.contains("node='c'"), "{text}");
    error(&page(&mut house, "<after>nowhere</after>"), "cancel", "item-not-found", "");
}

#[test]
fn s6_and_s7_what_is_published_goes_to_who_has_subscribed() {
    let (mut house, [romeo, juliet, nurse]) = scene(&[]);
    ok(&subscribe(&mut house, &juliet, "n"));
    ok(&publish(&mut house, &romeo, "n", "1", "<x xmlns='urn:x'>hello &amp; goodbye</x>"));
    let heard = house.one(&juliet);
    assert_eq!(heard.from().as_deref(), Some(SERVICE));
    assert_eq!(heard.attr("type").as_deref(), Some("headline"));
    let item = "<items node='n'><item id='1' publisher='romeo@house'><x xmlns='urn:x'>hello &amp; goodbye</x></item></items>";
    assert!(heard.as_str().contains(item), "{}", heard.as_str());
    house.nothing(&nurse);
    let got = ask(&mut house, &nurse, "get", "<items node='n'/>");
    assert!(got.as_str().contains(item), "{}", got.as_str());
    ok(&ask(&mut house, &romeo, "set", "<retract node='n'><item id='1'/></retract>"));
    assert!(house.one(&juliet).as_str().contains("<items node='n'><retract id='1'/></items>"));
    assert!(items(&mut house, &nurse, "n").is_empty());
    ok(&publish(&mut house, &romeo, "n", "2", X));
    house.recv(&juliet);
    ok(&own(&mut house, &romeo, "set", "<purge node='n'/>"));
    assert!(house.one(&juliet).as_str().contains("<purge node='n'/>"));
    ok(&own(&mut house, &romeo, "set", "<delete node='n'><redirect uri='xmpp:pubsub.house?;node=m'/></delete>"));
    assert!(house.one(&juliet).as_str().contains("<delete node='n'><redirect uri='xmpp:pubsub.house?;node=m'/></delete>"));
    error(&ask(&mut house, &nurse, "get", "<items node='n'/>"), "modify", "gone", "");
    ok(&create(&mut house, &romeo, "n", &[]));
    ok(&publish(&mut house, &romeo, "n", "3", X));
    house.nothing(&juliet);
}

#[test]
fn everything_survives_a_restart() {
    let (mut house, [romeo, juliet, nurse]) = scene(&[("title", "A &lt;title&gt;"), ("access_model", "whitelist")]);
    ok(&affiliate(&mut house, &romeo, "n", "juliet@house", "member"));
    house.recv(&juliet);
    ok(&subscribe_with(&mut house, &juliet, "n", &[("include_body", "1")]));
    let big = format!("<x xmlns='urn:x'>{}</x>", "long ".repeat(4_000));
    for id in ["1", "2"] {
        ok(&publish(&mut house, &romeo, "n", id, &big));
    }
    ok(&ask(&mut house, &romeo, "set", "<retract node='n'><item id='1'/></retract>"));
    drop((juliet, nurse));
    let mut house = house.restart(crate::ROOMS, Duration::from_secs(60));
    let romeo = house.online("romeo@house/orchard");
    let (juliet, nurse) = (house.online("juliet@house/balcony"), house.online("nurse@house/hall"));
    let got = ask(&mut house, &juliet, "get", "<items node='n'/>");
    assert_eq!(ids(&got), ["2"]);
    assert!(got.as_str().contains(&big));
    error(&ask(&mut house, &nurse, "get", "<items node='n'/>"), "cancel", "not-allowed", "closed-node");
    ok(&publish(&mut house, &romeo, "n", "3", X));
    let heard = house.one(&juliet);
    assert!(heard.as_str().contains("<item id='3'") && !heard.as_str().contains("<body"), "12.7: {}", heard.as_str());
    let config = own(&mut house, &romeo, "get", "<configure node='n'/>");
    assert!(config.as_str().contains("<value>A &lt;title&gt;</value>"), "{}", config.as_str());
}

/// "A node that cannot be stored is not announced."
#[test]
fn what_cannot_be_stored_is_not_announced() {
    use iris_core::store::MemoryStore;
    let store = std::sync::Arc::new(MemoryStore::manual());
    let mut house = iris_engine::testing::House::build(crate::ROOMS, "", iris_core::limits::Limits::default(), store.clone());
    for jid in ["romeo@house", "juliet@house"] {
        house.ask(jid, iris_core::Ask::Provision { credentials: bytes::Bytes::new() });
    }
    store.commit();
    let romeo = house.try_login("romeo@house/orchard").expect("a session");
    let juliet = house.try_login("juliet@house/balcony").expect("a session");
    house.send(&romeo, "<presence/>");
    house.send(&juliet, "<presence/>");
    let send = |house: &mut iris_engine::testing::House, who: &iris_engine::testing::Client, id: &str, inside: &str| {
        let pubsub = format!("<pubsub xmlns='http://jabber.org/protocol/pubsub'>{inside}</pubsub>");
        house.send(who, &format!("<iq type='set' id='{id}' to='{SERVICE}'>{pubsub}</iq>"));
    };
    send(&mut house, &romeo, "a", "<create node='n'/>");
    store.commit();
    house.run();
    send(&mut house, &juliet, "b", "<subscribe node='n' jid='juliet@house'/>");
    store.commit();
    house.run();
    house.recv(&romeo);
    house.recv(&juliet);
    send(&mut house, &romeo, "c", &format!("<publish node='n'><item id='1'>{X}</item></publish>"));
    send(&mut house, &romeo, "d", "<create node='m'/>");
    house.nothing(&juliet);
    store.refuse();
    house.run();
    house.nothing(&juliet);
    let answers = house.hear(&romeo);
    assert!(answers.iter().all(|it| !it.contains("type='result'")), "{answers:?}");
    let list = items_of(&mut house, &juliet, "");
    assert!(list.contains("node='n'") && !list.contains("node='m'"), "{list}");
    assert!(items(&mut house, &juliet, "n").is_empty());
}

#[test]
fn s7_1_options_are_met_or_refused_and_make_a_new_node() {
    let (mut house, [romeo, juliet, _]) = scene(&[("access_model", "open")]);
    let with = |access: &str, node: &str| {
        let options = form("publish-options", &[("access_model", access)]);
        format!("<publish node='{node}'><item id='1'>{X}</item></publish><publish-options>{options}</publish-options>")
    };
    error(&ask(&mut house, &romeo, "set", &with("whitelist", "n")), "cancel", "conflict", "precondition-not-met");
    ok(&ask(&mut house, &romeo, "set", &with("open", "n")));
    ok(&ask(&mut house, &romeo, "set", &with("whitelist", "made")));
    error(&ask(&mut house, &juliet, "get", "<items node='made'/>"), "cancel", "not-allowed", "closed-node");
    assert_eq!(items(&mut house, &romeo, "made"), ["1"]);
}

/// Movim says so when it puts a room into a space.
#[test]
fn s7_1_5_options_are_options_without_a_form_type_too() {
    let (mut house, [romeo, ..]) = scene(&[("access_model", "open")]);
    for (type_is, good) in [("", true), ("publish-options", true), ("node_config", true), ("subscribe_options", false)] {
        for (access, is_met) in [("open", true), ("whitelist", false)] {
            let untyped = |form: String| {
                let (open, rest) = form.split_once("<field var='FORM_TYPE'").expect("a type");
                format!("{open}{}", rest.split_once("</field>").expect("its end").1)
            };
            let form = form(type_is, &[("access_model", access)]);
            let form = if type_is.is_empty() { untyped(form) } else { form };
            let publish =
                format!("<publish node='n'><item id='1'>{X}</item></publish><publish-options>{form}</publish-options>");
            let answer = ask(&mut house, &romeo, "set", &publish);
            match (good, is_met) {
                (true, true) => ok(&answer),
                (true, false) => error(&answer, "cancel", "conflict", "precondition-not-met"),
                (false, _) => error(&answer, "modify", "bad-request", ""),
            }
        }
    }
}

#[test]
fn s7_1_3_errors_of_publishing() {
    let (mut house, [romeo, juliet, _]) = scene(&[("max_payload_size", "100")]);
    error(&publish(&mut house, &juliet, "n", "1", X), "auth", "forbidden", "");
    error(&ask(&mut house, &romeo, "set", "<publish node='n'/>"), "modify", "bad-request", "item-required");
    error(&ask(&mut house, &romeo, "set", "<publish node='n'><item/></publish>"), "modify", "bad-request", "payload-required");
    error(&publish(&mut house, &romeo, "n", "1", &format!("{X}{X}")), "modify", "bad-request", "invalid-payload");
    let big = format!("<x xmlns='urn:x'>{}</x>", "x".repeat(100));
    error(&publish(&mut house, &romeo, "n", "1", &big), "modify", "not-acceptable", "payload-too-big");
    error(
        &ask(&mut house, &romeo, "set", &format!("<publish><item>{X}</item></publish>")),
        "modify",
        "bad-request",
        "nodeid-required",
    );
    ok(&configure(&mut house, &romeo, "n", &[("persist_items", "0"), ("deliver_payloads", "0")]));
    error(&publish(&mut house, &romeo, "n", "1", X), "modify", "bad-request", "item-forbidden");
    ok(&subscribe(&mut house, &juliet, "n"));
    ok(&ask(&mut house, &romeo, "set", "<publish node='n'/>"));
    assert!(house.one(&juliet).as_str().contains("<items node='n'/>"));
    error(&ask(&mut house, &romeo, "get", "<items node='n'/>"), "cancel", "feature-not-implemented", "unsupported");
}

#[test]
fn s8_1_instant_nodes_and_names_that_are_taken() {
    let (mut house, [romeo, juliet, _]) = scene(&[]);
    let made = ask(&mut house, &romeo, "set", "<create/>");
    let name = made.as_str().split_once("<create node='").and_then(|(_, rest)| rest.split_once('\'')).map(|(name, _)| name);
    let name = name.expect("a name").to_owned();
    ok(&publish(&mut house, &romeo, &name, "1", X));
    error(&create(&mut house, &juliet, "n", &[]), "cancel", "conflict", "");
    error(
        &create(&mut house, &romeo, "m", &[("access_model", "nonsense")]),
        "modify",
        "not-acceptable",
        "unsupported-access-model",
    );
    let fixed = create(&mut house, &romeo, "m", &[("body_xslt", "x.xsl")]);
    error(&fixed, "modify", "not-acceptable", "");
    assert!(fixed.as_str().contains("there is no pubsub#body_xslt here"), "{}", fixed.as_str());
    error(&disco(&mut house, &romeo, "info", "m"), "cancel", "item-not-found", "");
    // XEP-0004 3.2: "the form-processing entity MUST ignore any fields that it does not understand".
    ok(&create(&mut house, &romeo, "m", &[("no_such_thing", "1"), ("contact", "nurse@house")]));
    assert!(info(&mut house, &juliet, "m").contains("<value>nurse@house</value>"), "16.4.3");
}

/// RFC 6120 10.1: what one says is done in its order, though the first of it waits for an account's answer.
#[test]
fn requests_in_a_row_are_answered_in_their_order() {
    let mut house = house();
    let romeo = house.online("romeo@house/orchard");
    let iq = |id: &str, ns: &str, inside: &str| {
        format!(
            "<iq type='set' id='{id}' to='{SERVICE}'><pubsub xmlns='http://jabber.org/protocol/pubsub{ns}'>{inside}</pubsub></iq>"
        )
    };
    for xml in [
        iq("a", "", "<create node='n'/>"),
        iq("b", "", &format!("<publish node='n'><item id='1'>{X}</item></publish>")),
        iq("c", "", "<subscribe node='n' jid='romeo@house'/>"),
        iq("d", "#owner", "<delete node='n'/>"),
        iq("e", "", "<create node='n'/>"),
    ] {
        house.feed(&romeo, &xml);
    }
    house.run();
    let answers: Vec<String> = house
        .recv(&romeo)
        .iter()
        .filter(|it| it.as_str().starts_with("<iq"))
        .map(|it| format!("{} {}", it.id().unwrap_or_default(), it.attr("type").unwrap_or_default()))
        .collect();
    assert_eq!(answers, ["a result", "b result", "c result", "d result", "e result"]);
}

#[test]
fn s8_2_and_s8_3_forms_show_what_there_is() {
    let (mut house, [romeo, juliet, _]) = scene(&[]);
    let default = own(&mut house, &romeo, "get", "<default/>").as_str().to_owned();
    for field in ["access_model", "max_items", "item_expire", "node_type", "collection"] {
        assert!(default.contains(&format!("var='pubsub#{field}'")), "{field}: {default}");
    }
    assert!(!default.contains("pubsub#children"), "{default}");
    let collection = own(&mut house, &romeo, "get", "<default type='collection'/>").as_str().to_owned();
    assert!(collection.contains("pubsub#children_max") && !collection.contains("pubsub#max_items"), "{collection}");
    error(&own(&mut house, &juliet, "get", "<configure node='n'/>"), "auth", "forbidden", "");
    ok(&configure(&mut house, &romeo, "n", &[("notify_config", "1")]));
    ok(&subscribe(&mut house, &juliet, "n"));
    ok(&configure(&mut house, &romeo, "n", &[("title", "Other")]));
    let heard = house.one(&juliet);
    assert!(heard.as_str().contains("<configuration node='n'>") && heard.as_str().contains("<value>Other</value>"));
}

#[test]
fn items_expire_when_their_node_says_so() {
    let (mut house, [romeo, juliet, _]) = scene(&[("item_expire", "300")]);
    ok(&subscribe(&mut house, &juliet, "n"));
    ok(&publish(&mut house, &romeo, "n", "old", X));
    house.advance(Duration::from_secs(240));
    ok(&publish(&mut house, &romeo, "n", "new", X));
    assert_eq!(items(&mut house, &juliet, "n"), ["old", "new"]);
    house.recv(&juliet);
    house.advance(Duration::from_secs(61));
    house.advance(Duration::from_secs(61));
    assert_eq!(items(&mut house, &romeo, "n"), ["new"]);
    assert!(house.one(&juliet).as_str().contains("<retract id='old'/>"));
}

#[test]
fn s7_1_2_5_a_full_node_makes_room_or_refuses() {
    let (mut house, [romeo, juliet, _]) = scene(&[("max_items", "2")]);
    ok(&subscribe(&mut house, &juliet, "n"));
    for id in ["1", "2", "3"] {
        ok(&publish(&mut house, &romeo, "n", id, X));
    }
    assert_eq!(items(&mut house, &romeo, "n"), ["2", "3"]);
    assert!(house.hear(&juliet).iter().any(|it| it.contains("<retract id='1'/>")));
    ok(&configure(&mut house, &romeo, "n", &[("publish_node_full", "reject")]));
    error(&publish(&mut house, &romeo, "n", "4", X), "cancel", "conflict", "node-full");
    ok(&publish(&mut house, &romeo, "n", "3", "<x xmlns='urn:x'>again</x>"));
}

/// What follows an account that is removed: nothing of it is left at the service.
#[test]
fn an_account_that_is_removed_leaves_nothing_behind() {
    let (mut house, [romeo, juliet, nurse]) = scene(&[]);
    ok(&create(&mut house, &juliet, "hers", &[]));
    ok(&subscribe(&mut house, &juliet, "n"));
    ok(&affiliate(&mut house, &romeo, "n", "juliet@house", "publisher"));
    ok(&subscribe(&mut house, &nurse, "hers"));
    house.ask("juliet@house", iris_core::Ask::Remove);
    house.run();
    assert!(house.hear(&nurse).iter().any(|it| it.contains("<delete node='hers'/>")));
    error(&disco(&mut house, &nurse, "info", "hers"), "cancel", "item-not-found", "");
    for list in ["affiliations", "subscriptions"] {
        let got = own(&mut house, &romeo, "get", &format!("<{list} node='n'/>"));
        assert!(!got.as_str().contains("juliet"), "{}", got.as_str());
    }
}

/// 8.2.4: what most clients do with the form: they send it back with everything that is in it.
#[test]
fn s8_2_4_a_form_can_be_sent_back_as_it_came() {
    let (mut house, [romeo, ..]) = scene(&[]);
    ok(&create(&mut house, &romeo, "c", &[("node_type", "collection"), ("children", "n")]));
    let show =
        |house: &mut House, node: &str| own(house, &romeo, "get", &format!("<configure node='{node}'/>")).as_str().to_owned();
    for node in ["n", "c"] {
        let before = show(&mut house, node);
        let form = before.split_once("<x ").and_then(|(_, it)| it.split_once("</x>")).map(|(form, _)| form.to_owned());
        let form = form.expect("a form").replace("type='form'", "type='submit'");
        ok(&own(&mut house, &romeo, "set", &format!("<configure node='{node}'><x {form}</x></configure>")));
        let without_id = |text: &str| text.split_once("<pubsub").map(|(_, it)| it.to_owned());
        assert_eq!(without_id(&show(&mut house, node)), without_id(&before));
    }
}

#[test]
fn s7_1_3_6_a_payload_is_of_the_type_of_its_node() {
    let (mut house, [romeo, ..]) = scene(&[("type", "urn:x")]);
    ok(&publish(&mut house, &romeo, "n", "1", "<x xmlns='urn:x'/>"));
    error(&publish(&mut house, &romeo, "n", "2", "<x xmlns='urn:y'/>"), "modify", "bad-request", "invalid-payload");
    // Of a feed or a space the type is no namespace of payloads.
    ok(&create(&mut house, &romeo, "space", &[("type", "urn:xmpp:spaces:0")]));
    ok(&publish(&mut house, &romeo, "space", "1", "<conference xmlns='urn:xmpp:bookmarks:1'/>"));
}

#[test]
fn s4_1_an_owner_is_banned_by_nobody_in_one_step() {
    let (mut house, [romeo, juliet, _]) = scene(&[]);
    ok(&affiliate(&mut house, &romeo, "n", "juliet@house", "owner"));
    error(&affiliate(&mut house, &romeo, "n", "juliet@house", "outcast"), "cancel", "not-allowed", "");
    ok(&own(&mut house, &juliet, "get", "<affiliations node='n'/>"));
    ok(&affiliate(&mut house, &romeo, "n", "juliet@house", "none"));
    ok(&affiliate(&mut house, &romeo, "n", "juliet@house", "outcast"));
}
