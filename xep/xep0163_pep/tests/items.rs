//! XEP-0060 6.5, 7 and 12: items come, are read, and go.

use std::time::Duration;

use iris_engine::testing::House;

use super::*;

const JULIET: &str = "juliet@house/balcony";
const X: &str = "<x xmlns='urn:x'/>";

#[test]
fn s12_1_items_are_in_the_order_of_publication_and_an_id_is_there_once() {
    let mut house = house();
    let juliet = house.login(JULIET);
    publish_with(&mut house, &juliet, None, "n", "a", X, &[("max_items", "3")]);
    for id in ["b", "c"] {
        publish(&mut house, &juliet, "n", id, X);
    }
    publish(&mut house, &juliet, "n", "a", "<x xmlns='urn:x'>new</x>");
    assert_eq!(ids(&items(&mut house, &juliet, None, "n")), ["b", "c", "a"]);
    publish(&mut house, &juliet, "n", "d", X);
    let all = items(&mut house, &juliet, None, "n");
    assert_eq!(ids(&all), ["c", "a", "d"], "the oldest goes");
    assert!(all.contains("<item id='a'><x xmlns='urn:x'>new</x></item>"), "{all}");
    let mut house = house.restart(crate::ROOMS, Duration::from_secs(1));
    let juliet = house.login(JULIET);
    assert_eq!(items(&mut house, &juliet, None, "n").split("<pubsub").nth(1), all.split("<pubsub").nth(1));
}

#[test]
fn s6_5_some_items_are_asked_for() {
    let mut house = house();
    let juliet = house.login(JULIET);
    publish_with(&mut house, &juliet, None, "n", "0", X, &[("max_items", "max")]);
    for id in 1..10 {
        publish(&mut house, &juliet, "n", &id.to_string(), X);
    }
    let get =
        |house: &mut iris_engine::testing::House, inside: &str| ask(house, &juliet, "get", None, inside).as_str().to_owned();
    assert_eq!(ids(&get(&mut house, "<items node='n' max_items='2'/>")), ["8", "9"]);
    assert_eq!(ids(&get(&mut house, "<items node='n' max_items='99999999999999999999999'/>")).len(), 10);
    assert_eq!(ids(&get(&mut house, "<items node='n'><item id='3'/><item id='none'/><item id='1'/></items>")), ["3", "1"]);
    let page = get(&mut house, "<items node='n'/><set xmlns='http://jabber.org/protocol/rsm'><max>3</max></set>");
    assert_eq!(ids(&page), ["0", "1", "2"]);
    assert!(page.contains("<first index='0'>0</first><last>2</last><count>10</count>"), "{page}");
    let page =
        get(&mut house, "<items node='n'/><set xmlns='http://jabber.org/protocol/rsm'><max>3</max><after>2</after></set>");
    assert_eq!(ids(&page), ["3", "4", "5"]);
    let page = get(&mut house, "<items node='n'/><set xmlns='http://jabber.org/protocol/rsm'><max>3</max><before/></set>");
    assert_eq!(ids(&page), ["7", "8", "9"]);
    assert!(page.contains("<first index='7'>"), "{page}");
    let page =
        get(&mut house, "<items node='n'/><set xmlns='http://jabber.org/protocol/rsm'><max>2</max><before>7</before></set>");
    assert_eq!(ids(&page), ["5", "6"]);
    let count = get(&mut house, "<items node='n'/><set xmlns='http://jabber.org/protocol/rsm'><max>0</max></set>");
    assert!(count.contains("<count>10</count>") && ids(&count).is_empty());
}

#[test]
fn s7_1_3_what_is_wrong_with_an_item() {
    let mut house = House::with_config(crate::ROOMS, "[xep.pep]\nitem_size_bytes_max = 1000\n");
    let juliet = house.login(JULIET);
    ok(&publish(&mut house, &juliet, "n", "1", X));
    let mut set = |inside: &str| ask(&mut house, &juliet, "set", None, inside);
    error(&set("<publish node='n'/>"), "modify", "bad-request", "item-required");
    error(&set("<publish node='n'><item/></publish>"), "modify", "bad-request", "payload-required");
    error(&set(&format!("<publish node='n'><item>{X}{X}</item></publish>")), "modify", "bad-request", "invalid-payload");
    error(
        &set(&format!("<publish node='n'><item>{X}</item><item>{X}</item></publish>")),
        "modify",
        "bad-request",
        "invalid-payload",
    );
    error(&set(&format!("<publish><item>{X}</item></publish>")), "modify", "bad-request", "nodeid-required");
    let long = format!("<x xmlns='urn:x'>{}</x>", "x".repeat(1_000));
    error(&set(&format!("<publish node='n'><item>{long}</item></publish>")), "modify", "not-acceptable", "payload-too-big");
    error(&set("<retract node='n'/>"), "modify", "bad-request", "item-required");
    error(&set("<retract node='n'><item/></retract>"), "modify", "bad-request", "item-required");
    error(&set("<retract><item id='1'/></retract>"), "modify", "bad-request", "nodeid-required");
    error(&set("<retract node='n'><item id='2'/></retract>"), "cancel", "item-not-found", "");
    error(&set("<retract node='m'><item id='1'/></retract>"), "cancel", "item-not-found", "");
    error(&set("<options node='n' jid='juliet@house'/>"), "modify", "bad-request", "");
}

#[test]
fn s7_2_retract_tells_those_who_are_to_be_told() {
    let mut house = house();
    house.friends("romeo@house", "juliet@house");
    let juliet = house.login(JULIET);
    let romeo = house.login("romeo@house/orchard");
    wants(&mut house, &romeo, &["n"]);
    publish_with(&mut house, &juliet, None, "n", "a", X, &[("max_items", "5")]);
    publish(&mut house, &juliet, "n", "b", X);
    house.recv(&romeo);
    ok(&ask(&mut house, &juliet, "set", None, "<retract node='n'><item id='a'/></retract>"));
    house.nothing(&romeo);
    ok(&ask(&mut house, &juliet, "set", None, "<retract node='n' notify='true'><item id='b'/></retract>"));
    let told = house.one(&romeo).as_str().to_owned();
    assert!(told.contains("<items node='n'><retract id='b'/></items>"), "{told}");
    assert!(items(&mut house, &juliet, None, "n").contains("<items node='n'/>"));
}

#[test]
fn s7_1_2_5_a_full_node() {
    let mut house = house();
    house.friends("romeo@house", "juliet@house");
    let juliet = house.login(JULIET);
    let romeo = house.login("romeo@house/orchard");
    wants(&mut house, &romeo, &["n", "r"]);
    let options = [("max_items", "1"), ("publish_node_full", "reject")];
    ok(&publish_with(&mut house, &juliet, None, "n", "a", X, &options));
    error(&publish(&mut house, &juliet, "n", "b", X), "cancel", "conflict", "node-full");
    ok(&publish(&mut house, &juliet, "n", "a", X));
    ok(&publish_with(&mut house, &juliet, None, "r", "a", X, &[("notify_retract", "1")]));
    house.recv(&romeo);
    ok(&publish(&mut house, &juliet, "r", "b", X));
    let told = events(&house.recv(&romeo)).concat();
    assert!(told.contains("<retract id='a'/>") && told.contains("<item id='b'>"), "{told}");
}

#[test]
fn s4_3_transient_nodes_and_nodes_without_payloads() {
    let mut house = house();
    house.friends("romeo@house", "juliet@house");
    let juliet = house.login(JULIET);
    let romeo = house.login("romeo@house/orchard");
    wants(&mut house, &romeo, &["t", "p", "tp"]);
    let make = |house: &mut House, node: &str, fields: &[(&str, &str)]| {
        let create = format!("<create node='{node}'/><configure>{}</configure>", form("node_config", fields));
        ok(&ask(house, &juliet, "set", None, &create));
    };
    make(&mut house, "t", &[("persist_items", "0")]);
    ok(&publish(&mut house, &juliet, "t", "1", X));
    assert!(house.one(&romeo).as_str().contains("<item id='1'><x xmlns='urn:x'/></item>"));
    error(&ask(&mut house, &juliet, "get", None, "<items node='t'/>"), "cancel", "feature-not-implemented", "unsupported");
    make(&mut house, "p", &[("deliver_payloads", "0")]);
    ok(&publish(&mut house, &juliet, "p", "1", X));
    assert!(house.one(&romeo).as_str().contains("<items node='p'><item id='1'/></items>"));
    assert!(items(&mut house, &romeo, Some("juliet@house"), "p").contains(X));
    make(&mut house, "tp", &[("persist_items", "0"), ("deliver_payloads", "0")]);
    error(&publish(&mut house, &juliet, "tp", "1", X), "modify", "bad-request", "item-forbidden");
    ok(&ask(&mut house, &juliet, "set", None, "<publish node='tp'/>"));
    assert!(house.one(&romeo).as_str().contains("<items node='tp'/>"));
}

#[test]
fn s12_14_items_carry_whom_the_node_says() {
    let mut house = house();
    let juliet = house.login(JULIET);
    publish_with(&mut house, &juliet, None, "n", "1", X, &[("itemreply", "publisher")]);
    assert!(items(&mut house, &juliet, None, "n").contains("<item id='1' publisher='juliet@house'>"));
    ok(&configure(&mut house, &juliet, "n", &[("itemreply", "none")]));
    let forged = "<publish node='n'><item id='1' publisher='romeo@house'><x xmlns='urn:x'/></item></publish>";
    ok(&ask(&mut house, &juliet, "set", None, forged));
    assert!(!items(&mut house, &juliet, None, "n").contains("publisher="));
}

#[test]
fn ten_thousand_items_and_a_quota() {
    let mut house = House::with_config(crate::ROOMS, "[xep.pep]\nitems_max = 3\ntotal_size_bytes_max = 1000\n");
    let juliet = house.login(JULIET);
    for node in ["a", "b", "c"] {
        ok(&publish(&mut house, &juliet, node, "1", X));
    }
    let answer = publish(&mut house, &juliet, "d", "1", X);
    assert!(answer.as_str().contains("<error type='wait'><resource-constraint"), "{}", answer.as_str());
    error(&ask(&mut house, &juliet, "get", None, "<items node='d'/>"), "cancel", "item-not-found", "");
    ok(&publish(&mut house, &juliet, "a", "2", X));
    let long = format!("<x xmlns='urn:x'>{}</x>", "x".repeat(900));
    assert!(publish(&mut house, &juliet, "a", "3", &long).as_str().contains("resource-constraint"));
    ok(&own(&mut house, &juliet, "set", "<delete node='b'/>"));
    ok(&publish(&mut house, &juliet, "d", "1", X));
}

#[test]
fn r15_a_reload_changes_the_limits_of_an_account_that_is_awake() {
    let mut house = House::with_config(crate::ROOMS, "[xep.pep]\nnodes_max = 1\n");
    let juliet = house.login(JULIET);
    ok(&publish(&mut house, &juliet, "a", "1", X));
    assert!(publish(&mut house, &juliet, "b", "1", X).as_str().contains("resource-constraint"));
    house.reload(crate::ROOMS, "[xep.pep]\nnodes_max = 2\n");
    ok(&publish(&mut house, &juliet, "b", "1", X));
}

/// XEP-0501 3.1: stories are of an account, and last a day.
#[test]
fn items_of_an_account_expire_when_their_node_says_so() {
    let mut house = house();
    let juliet = house.online("juliet@house/balcony");
    let x = "<x xmlns='urn:x'/>";
    let options = [("item_expire", "86400"), ("max_items", "max"), ("notify_retract", "true"), ("access_model", "presence")];
    ok(&publish_with(&mut house, &juliet, None, "stories", "old", x, &options));
    house.advance(std::time::Duration::from_secs(80_000));
    ok(&publish_with(&mut house, &juliet, None, "stories", "new", x, &options));
    assert_eq!(ids(&items(&mut house, &juliet, None, "stories")), ["old", "new"]);
    let mut house = house.restart(crate::ROOMS, std::time::Duration::from_secs(10_000));
    let juliet = house.online("juliet@house/balcony");
    assert_eq!(ids(&items(&mut house, &juliet, None, "stories")), ["new"]);
    house.advance(std::time::Duration::from_secs(80_000));
    assert_eq!(ids(&items(&mut house, &juliet, None, "stories")), Vec::<String>::new());
    let other = publish_with(&mut house, &juliet, None, "stories", "3", x, &[("item_expire", "60")]);
    error(&other, "cancel", "conflict", "precondition-not-met");
}
