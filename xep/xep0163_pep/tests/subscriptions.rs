//! XEP-0060 6 and 8.6 to 8.9: explicit subscriptions.

use super::*;
use iris_engine::testing::{Client, House};

const X: &str = "<x xmlns='urn:x'/>";

fn scene(model: &str) -> (House, Client, Client) {
    let mut house = house();
    house.friends("romeo@house", "juliet@house");
    let juliet = house.online("juliet@house/balcony");
    let romeo = house.online("romeo@house/orchard");
    house.recv(&juliet);
    ok(&publish_with(&mut house, &juliet, None, "n", "1", X, &[("access_model", model)]));
    (house, juliet, romeo)
}

fn subscribe(house: &mut House, who: &Client, jid: &str) -> iris_core::Stanza {
    ask(house, who, "set", Some("juliet@house"), &format!("<subscribe node='n' jid='{jid}'/>"))
}

#[test]
fn s6_1_a_bare_jid_hears_on_every_device_without_capabilities() {
    let (mut house, juliet, romeo) = scene("presence");
    let second = house.online("romeo@house/phone");
    house.recv(&romeo);
    let answer = subscribe(&mut house, &romeo, "romeo@house");
    let sub = "<subscription node='n' jid='romeo@house' subscription='subscribed'/>";
    assert!(answer.as_str().contains(sub), "{}", answer.as_str());
    // 6.1.7.
    assert_eq!(events(&house.recv(&second)).len(), 1, "the last item");
    house.recv(&romeo);
    ok(&publish(&mut house, &juliet, "n", "2", X));
    for client in [&romeo, &second] {
        assert_eq!(events(&house.recv(client)).len(), 1, "once each");
    }
    ok(&subscribe(&mut house, &romeo, "romeo@house"));
    let list = ask(&mut house, &romeo, "get", Some("juliet@house"), "<subscriptions/>").as_str().to_owned();
    assert_eq!(list.matches("<subscription node=").count(), 1, "{list}");
    ok(&ask(&mut house, &romeo, "set", Some("juliet@house"), "<unsubscribe node='n' jid='romeo@house'/>"));
    ok(&publish(&mut house, &juliet, "n", "3", X));
    house.nothing(&romeo);
}

#[test]
fn s6_1_a_full_jid_hears_there_only() {
    let (mut house, juliet, romeo) = scene("presence");
    let second = house.online("romeo@house/phone");
    ok(&subscribe(&mut house, &second, "romeo@house/phone"));
    house.recv(&romeo);
    house.recv(&second);
    ok(&publish(&mut house, &juliet, "n", "2", X));
    assert_eq!(events(&house.recv(&second)).len(), 1);
    house.nothing(&romeo);
}

#[test]
fn s6_1_our_own_resources() {
    let (mut house, juliet, _) = scene("whitelist");
    ok(&ask(&mut house, &juliet, "set", None, "<subscribe node='n' jid='juliet@house'/>"));
    house.recv(&juliet);
    let heard = {
        house.send(&juliet, "<iq type='set' id='p'><pubsub xmlns='http://jabber.org/protocol/pubsub'><publish node='n'><item><x xmlns='urn:x'/></item></publish></pubsub></iq>");
        house.recv(&juliet)
    };
    assert_eq!(events(&heard).len(), 1, "once");
}

#[test]
fn s6_1_3_and_s6_2_3_errors() {
    let (mut house, juliet, romeo) = scene("presence");
    let mallory = house.online("mallory@house/x");
    error(&subscribe(&mut house, &romeo, "juliet@house"), "modify", "bad-request", "invalid-jid");
    error(&subscribe(&mut house, &romeo, "a@@b"), "modify", "bad-request", "invalid-jid");
    error(&subscribe(&mut house, &mallory, "mallory@house"), "auth", "not-authorized", "presence-subscription-required");
    let to = Some("juliet@house");
    error(&ask(&mut house, &romeo, "set", to, "<subscribe node='n'/>"), "modify", "bad-request", "jid-required");
    error(&ask(&mut house, &romeo, "set", to, "<subscribe node='none' jid='romeo@house'/>"), "cancel", "item-not-found", "");
    error(
        &ask(&mut house, &romeo, "set", to, "<unsubscribe node='n' jid='romeo@house'/>"),
        "cancel",
        "unexpected-request",
        "not-subscribed",
    );
    error(&ask(&mut house, &romeo, "set", to, "<unsubscribe node='n' jid='juliet@house'/>"), "auth", "forbidden", "");
    error(&ask(&mut house, &romeo, "set", to, "<unsubscribe node='none' jid='romeo@house'/>"), "cancel", "item-not-found", "");
    ok(&configure(&mut house, &juliet, "n", &[("subscribe", "0")]));
    error(&subscribe(&mut house, &romeo, "romeo@house"), "cancel", "feature-not-implemented", "unsupported");
    ok(&configure(&mut house, &juliet, "n", &[("subscribe", "1"), ("access_model", "whitelist")]));
    error(&subscribe(&mut house, &romeo, "romeo@house"), "cancel", "not-allowed", "closed-node");
    ok(&configure(&mut house, &juliet, "n", &[("access_model", "roster"), ("roster_groups_allowed", "loves")]));
    error(&subscribe(&mut house, &romeo, "romeo@house"), "auth", "not-authorized", "not-in-roster-group");
}

#[test]
fn s6_1_4_and_s8_6_an_owner_approves() {
    let (mut house, juliet, romeo) = scene("authorize");
    let answer = subscribe(&mut house, &romeo, "romeo@house");
    assert!(answer.as_str().contains("subscription='pending'"), "{}", answer.as_str());
    error(&subscribe(&mut house, &romeo, "romeo@house"), "auth", "not-authorized", "pending-subscription");
    let request = house.one(&juliet);
    let text = request.as_str();
    assert!(text.contains("pubsub#subscribe_authorization") && text.contains("<value>romeo@house</value>"), "{text}");
    let id = request.id().expect("an id").into_owned();
    let reply = |allow: &str, kind: &str| {
        format!(
            "<message to='juliet@house' id='{id}'><x xmlns='jabber:x:data' type='{kind}'><field var='FORM_TYPE'>\
             <value>http://jabber.org/protocol/pubsub#subscribe_authorization</value></field>\
             <field var='pubsub#node'><value>n</value></field>\
             <field var='pubsub#subscriber_jid'><value>romeo@house</value></field>\
             <field var='pubsub#allow'><value>{allow}</value></field></x></message>"
        )
    };
    // Romeo cannot approve himself.
    house.send(&romeo, &reply("1", "submit"));
    house.recv(&juliet);
    error(&subscribe(&mut house, &romeo, "romeo@house"), "auth", "not-authorized", "pending-subscription");
    house.send(&juliet, &reply("1", "cancel"));
    error(&subscribe(&mut house, &romeo, "romeo@house"), "auth", "not-authorized", "pending-subscription");
    house.recv(&romeo);
    house.send(&juliet, &reply("true", "submit"));
    let heard: Vec<String> = house.hear(&romeo);
    assert!(
        heard.iter().any(|it| it.contains("<subscription node='n' jid='romeo@house' subscription='subscribed'/>")),
        "{heard:?}"
    );
    assert!(heard.iter().any(|it| it.contains("<item id='1'>")), "the last item: {heard:?}");
    ok(&ask(&mut house, &romeo, "get", Some("juliet@house"), "<items node='n'/>"));
    // Denied: from the beginning.
    ok(&ask(&mut house, &romeo, "set", Some("juliet@house"), "<unsubscribe node='n' jid='romeo@house'/>"));
    ok(&subscribe(&mut house, &romeo, "romeo@house"));
    house.recv(&romeo);
    house.send(&juliet, &reply("false", "submit"));
    assert!(house.one(&romeo).as_str().contains("subscription='none'"));
}

#[test]
fn s8_8_the_owner_manages_them() {
    let (mut house, juliet, romeo) = scene("whitelist");
    let change = "<subscriptions node='n'><subscription jid='romeo@house' subscription='subscribed'/></subscriptions>";
    ok(&own(&mut house, &juliet, "set", change));
    assert!(house.one(&romeo).as_str().contains("subscription='subscribed'"));
    let list = own(&mut house, &juliet, "get", "<subscriptions node='n'/>").as_str().to_owned();
    assert!(list.contains("<subscription jid='romeo@house' subscription='subscribed'/>"), "{list}");
    // Still not on the whitelist: then it hears nothing (4.5).
    ok(&publish(&mut house, &juliet, "n", "2", X));
    house.nothing(&romeo);
    ok(&own(
        &mut house,
        &juliet,
        "set",
        "<affiliations node='n'><affiliation jid='romeo@house' affiliation='member'/></affiliations>",
    ));
    house.recv(&romeo);
    ok(&publish(&mut house, &juliet, "n", "3", X));
    assert_eq!(events(&house.recv(&romeo)).len(), 1);
    ok(&own(&mut house, &juliet, "set", &change.replace("'subscribed'", "'none'")));
    assert!(house.one(&romeo).as_str().contains("subscription='none'"));
}

#[test]
fn s7_1_a_subscription_ends_with_the_access() {
    let (mut house, juliet, romeo) = scene("presence");
    ok(&subscribe(&mut house, &romeo, "romeo@house"));
    house.recv(&romeo);
    house.send(&juliet, "<presence type='unsubscribed' to='romeo@house'/>");
    let heard = house.hear(&romeo);
    assert!(heard.iter().any(|it| it.contains("<subscription node='n' jid='romeo@house' subscription='none'/>")), "{heard:?}");
    let list = own(&mut house, &juliet, "get", "<subscriptions node='n'/>").as_str().to_owned();
    assert!(!list.contains("romeo"), "{list}");
    ok(&publish(&mut house, &juliet, "n", "2", X));
    house.nothing(&romeo);
}

#[test]
fn they_survive_a_restart() {
    let (mut house, _, romeo) = scene("presence");
    ok(&subscribe(&mut house, &romeo, "romeo@house"));
    let mut house = house.restart(crate::ROOMS, std::time::Duration::from_secs(1));
    let romeo = house.online("romeo@house/orchard");
    let juliet = house.online("juliet@house/balcony");
    house.recv(&romeo);
    ok(&publish(&mut house, &juliet, "n", "2", X));
    assert_eq!(events(&house.recv(&romeo)).len(), 1);
}

#[test]
fn s6_3_options_of_a_subscription_to_an_account() {
    let (mut house, juliet, romeo) = scene("presence");
    let set = |house: &mut House, fields: &[(&str, &str)]| {
        let options = form("subscribe_options", fields);
        let inside = format!("<options node='n' jid='romeo@house'>{options}</options>");
        ask(house, &romeo, "set", Some("juliet@house"), &inside)
    };
    error(&set(&mut house, &[("deliver", "0")]), "cancel", "unexpected-request", "not-subscribed");
    ok(&subscribe(&mut house, &romeo, "romeo@house"));
    house.recv(&romeo);
    ok(&set(&mut house, &[("deliver", "0")]));
    ok(&publish(&mut house, &juliet, "n", "2", X));
    house.nothing(&romeo);
    ok(&set(&mut house, &[("deliver", "1"), ("include_body", "1")]));
    let post = "<entry xmlns='http://www.w3.org/2005/Atom'><title/></entry>";
    ok(&publish(&mut house, &juliet, "n", "3", post));
    let heard = house.one(&romeo);
    assert!(heard.as_str().contains("<body>There is something new in n.</body>"), "{}", heard.as_str());
    ok(&publish(&mut house, &juliet, "n", "4", X));
    assert!(!house.one(&romeo).as_str().contains("<body"), "12.7: of what nobody here understands");
    let text =
        ask(&mut house, &romeo, "get", Some("juliet@house"), "<options node='n' jid='romeo@house'/>").as_str().to_owned();
    assert!(text.contains("var='pubsub#include_body'") && !text.contains("subscription_depth"), "{text}");
    // Nodes of accounts are leaves.
    let collection = own(&mut house, &juliet, "get", "<default type='collection'/>");
    error(&collection, "cancel", "feature-not-implemented", "unsupported");
    let config = configure(&mut house, &juliet, "n", &[("node_type", "collection")]);
    error(&config, "cancel", "feature-not-implemented", "unsupported");
}

/// XEP-0060 8.4.2.
#[test]
fn s8_4_2_who_waits_for_the_owner_hears_of_the_end_too() {
    let (mut house, juliet, romeo) = scene("authorize");
    assert!(subscribe(&mut house, &romeo, "romeo@house/orchard").as_str().contains("subscription='pending'"));
    house.recv(&romeo);
    ok(&own(&mut house, &juliet, "set", "<delete node='n'/>"));
    let news: String = house.recv(&romeo).iter().map(|it| it.as_str().to_owned()).collect();
    assert!(news.contains("<delete node='n'/>"), "{news}");
}

/// Security D3, XEP-0060 12.18: a lease that is over lets nobody read, and takes nobody's place.
#[test]
fn d3_a_lease_that_is_over_is_no_subscription() {
    let (mut house, juliet, romeo) = scene("authorize");
    let end = iris_core::time::datetime(house.now.wall_us + 60_000_000);
    let options = form("subscribe_options", &[("expire", &end)]);
    let inside = format!("<subscribe node='n' jid='romeo@house'/><options>{options}</options>");
    ok(&ask(&mut house, &romeo, "set", Some("juliet@house"), &inside));
    let change = "<subscriptions node='n'><subscription jid='romeo@house' subscription='subscribed'/></subscriptions>";
    ok(&own(&mut house, &juliet, "set", change));
    house.recv(&romeo);
    let read = "<items node='n'/>";
    ok(&ask(&mut house, &romeo, "get", Some("juliet@house"), read));
    house.advance(std::time::Duration::from_secs(61));
    error(&ask(&mut house, &romeo, "get", Some("juliet@house"), read), "auth", "not-authorized", "not-subscribed");
    let list = own(&mut house, &juliet, "get", "<subscriptions node='n'/>").as_str().to_owned();
    assert!(!list.contains("romeo"), "{list}");
    // And one asks anew as everybody does.
    assert!(subscribe(&mut house, &romeo, "romeo@house").as_str().contains("subscription='pending'"));
}
