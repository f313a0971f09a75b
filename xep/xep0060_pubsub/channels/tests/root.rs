//! XEP-0248 8.1: the root, which has no name.

use super::*;

const SUBSCRIBE: &str = "<subscribe jid='juliet@house'/>";

#[test]
fn s8_1_who_follows_the_root_hears_of_new_nodes_and_of_what_goes() {
    let (mut house, [romeo, juliet, nurse]) = scene(&[]);
    let answer = ask(&mut house, &juliet, "set", SUBSCRIBE);
    let sub = "<subscription jid='juliet@house' subscription='subscribed'/>";
    assert!(answer.as_str().contains(sub), "{}", answer.as_str());
    assert!(ask(&mut house, &juliet, "get", "<subscriptions/>").as_str().contains(sub));
    let through = "<header name='Collection'/>";
    ok(&create(&mut house, &romeo, "news", &[]));
    let heard = house.one(&juliet);
    assert!(heard.as_str().contains("<create node='news'/>") && heard.as_str().contains(through), "{}", heard.as_str());
    // By default the first level, and nodes alone.
    ok(&publish(&mut house, &romeo, "news", "1", X));
    ok(&create(&mut house, &romeo, "shelf", &[("node_type", "collection")]));
    house.one(&juliet);
    ok(&create(&mut house, &romeo, "deep", &[("collection", "shelf")]));
    house.nothing(&juliet);
    let into = |how: &str| format!("<collection node='shelf'><{how} node='news'/></collection>");
    for (how, event) in [("associate", "dissociate"), ("dissociate", "associate")] {
        ok(&own(&mut house, &romeo, "set", &into(how)));
        let heard = house.one(&juliet);
        assert!(heard.as_str().contains(&format!("<collection><{event} node='news'/>")), "{}", heard.as_str());
    }
    ok(&own(&mut house, &romeo, "set", "<delete node='news'/>"));
    assert!(house.one(&juliet).as_str().contains("<delete node='news'/>"));
    // Closed nodes are nobody's news.
    ok(&create(&mut house, &romeo, "closed", &[("access_model", "whitelist")]));
    house.nothing(&juliet);
    ok(&ask(&mut house, &juliet, "set", "<unsubscribe jid='juliet@house'/>"));
    ok(&create(&mut house, &romeo, "more", &[]));
    house.nothing(&juliet);
    house.nothing(&nurse);
}

#[test]
fn s8_1_everything_that_is_published_and_a_restart_forgets_nobody() {
    let (mut house, [romeo, juliet, _]) = scene(&[]);
    let options = form("subscribe_options", &[("subscription_type", "items"), ("subscription_depth", "all")]);
    ok(&ask(&mut house, &juliet, "set", &format!("{SUBSCRIBE}<options>{options}</options>")));
    ok(&create(&mut house, &romeo, "shelf", &[("node_type", "collection")]));
    ok(&create(&mut house, &romeo, "deep", &[("collection", "shelf")]));
    house.nothing(&juliet);
    ok(&publish(&mut house, &romeo, "deep", "1", X));
    assert!(house.one(&juliet).as_str().contains("<items node='deep'>"));
    let mut house = house.restart(crate::ROOMS, std::time::Duration::from_secs(1));
    let (romeo, juliet) = (house.online("romeo@house/orchard"), house.online("juliet@house/balcony"));
    ok(&publish(&mut house, &romeo, "n", "1", X));
    assert!(house.one(&juliet).as_str().contains("<items node='n'>"));
    let got = ask(&mut house, &juliet, "get", "<options jid='juliet@house'/>").as_str().to_owned();
    assert!(got.contains("<options jid='juliet@house'>") && got.contains("<value>all</value>"), "{got}");
}

/// "an entity SHOULD NOT be allowed create, delete, or configure the root node".
#[test]
fn s8_1_the_root_is_the_services_own() {
    let (mut house, [romeo, juliet, _]) = scene(&[]);
    error(&own(&mut house, &romeo, "set", "<delete/>"), "cancel", "not-allowed", "");
    error(&own(&mut house, &romeo, "get", "<configure/>"), "modify", "bad-request", "nodeid-required");
    error(&own(&mut house, &romeo, "set", "<purge/>"), "modify", "bad-request", "nodeid-required");
    error(&ask(&mut house, &romeo, "get", "<items/>"), "cancel", "feature-not-implemented", "unsupported");
    error(&own(&mut house, &romeo, "get", "<subscriptions/>"), "auth", "forbidden", "");
    error(&own(&mut house, &romeo, "get", "<affiliations/>"), "modify", "bad-request", "nodeid-required");
    let top = items_of(&mut house, &juliet, "");
    assert_eq!(top.matches("<item ").count(), 1, "the root is in no list: {top}");
    assert!(!ask(&mut house, &romeo, "get", "<affiliations/>").as_str().contains("node=''"));
    // "it MUST reflect that in the node configuration data form".
    let config = own(&mut house, &romeo, "get", "<configure node='n'/>").as_str().to_owned();
    let field = config.split_once("var='pubsub#collection' ").and_then(|(_, it)| it.split_once("</field>")).map(|(it, _)| it);
    assert!(field.is_some_and(|it| it.ends_with("<value/>")), "{config}");
}
