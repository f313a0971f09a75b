//! XEP-0060 6, 8.6 to 8.8: subscriptions, their options, and who has to approve them.

use std::time::Duration;

use iris_core::Stanza;
use iris_engine::testing::{Client, House};

use super::*;

fn options(house: &mut House, who: &Client, kind: &str, jid: &str, inside: &str) -> Stanza {
    ask(house, who, kind, &format!("<options node='n' jid='{jid}'>{inside}</options>"))
}

#[test]
fn s6_1_subscribing_and_its_errors() {
    let (mut house, [romeo, juliet, _]) = scene(&[]);
    let answer = subscribe(&mut house, &juliet, "n");
    let sub = "<subscription node='n' jid='juliet@house' subscription='subscribed'/>";
    assert!(answer.as_str().contains(sub), "{}", answer.as_str());
    let own_list = ask(&mut house, &juliet, "get", "<subscriptions/>").as_str().to_owned();
    assert!(own_list.contains(sub), "{own_list}");
    let all = own(&mut house, &romeo, "get", "<subscriptions node='n'/>").as_str().to_owned();
    assert!(all.contains("<subscription jid='juliet@house' subscription='subscribed'/>"), "{all}");
    let refuse = |house: &mut House, inside: &str| ask(house, &juliet, "set", inside);
    error(&refuse(&mut house, "<subscribe node='n' jid='romeo@house'/>"), "modify", "bad-request", "invalid-jid");
    error(&refuse(&mut house, "<subscribe node='n'/>"), "modify", "bad-request", "jid-required");
    error(&refuse(&mut house, "<subscribe node='none' jid='juliet@house'/>"), "cancel", "item-not-found", "");
    // 6.2.3.5: "If … SubIDs are not supported …, the service SHOULD ignore the SubID and simply unsubscribe the entity".
    ok(&refuse(&mut house, "<unsubscribe node='n' jid='juliet@house' subid='7'/>"));
    error(&refuse(&mut house, "<unsubscribe node='n' jid='juliet@house'/>"), "cancel", "unexpected-request", "not-subscribed");
    ok(&publish(&mut house, &romeo, "n", "1", X));
    house.nothing(&juliet);
    ok(&affiliate(&mut house, &romeo, "n", "juliet@house", "outcast"));
    house.recv(&juliet);
    error(&subscribe(&mut house, &juliet, "n"), "auth", "forbidden", "");
}

#[test]
fn s6_1_7_a_new_subscriber_gets_the_last_item() {
    let (mut house, [romeo, juliet, nurse]) = scene(&[]);
    ok(&publish(&mut house, &romeo, "n", "1", X));
    // One that is at hand, and one that has to be read.
    let subscribing = |house: &mut House, who: &Client, person: &str| {
        let subscribe = format!("<subscribe node='n' jid='{person}@house'/>");
        let pubsub = format!("<pubsub xmlns='http://jabber.org/protocol/pubsub'>{subscribe}</pubsub>");
        house.send(who, &format!("<iq type='set' id='s' to='{SERVICE}'>{pubsub}</iq>"));
        house.hear(who)
    };
    let heard = subscribing(&mut house, &juliet, "juliet");
    assert!(heard.len() == 2 && heard[0].contains("type='result'"), "the answer first: {heard:?}");
    assert!(heard[1].contains("<item id='1'") && heard[1].contains("<delay "), "{heard:?}");
    ok(&publish(&mut house, &romeo, "n", "2", &format!("<x xmlns='urn:x'>{}</x>", "long ".repeat(2_000))));
    let heard = subscribing(&mut house, &nurse, "nurse");
    assert!(heard.len() == 2 && heard[1].contains("<item id='2'"), "{heard:?}");
    ok(&configure(&mut house, &romeo, "n", &[("send_last_published_item", "never")]));
    ok(&ask(&mut house, &nurse, "set", "<unsubscribe node='n' jid='nurse@house'/>"));
    ok(&subscribe(&mut house, &nurse, "n"));
    house.nothing(&nurse);
}

#[test]
fn s6_3_options_are_read_changed_and_kept() {
    let (mut house, [romeo, juliet, _]) = scene(&[]);
    error(&options(&mut house, &juliet, "get", "juliet@house", ""), "cancel", "unexpected-request", "not-subscribed");
    ok(&subscribe(&mut house, &juliet, "n"));
    let form_of = options(&mut house, &juliet, "get", "juliet@house", "");
    let text = form_of.as_str();
    assert!(text.contains("<options node='n' jid='juliet@house'>") && text.contains("var='pubsub#deliver'"), "{text}");
    assert!(!text.contains("pubsub#subscription_depth"), "a leaf has no depth: {text}");
    let set = |house: &mut House, fields: &[(&str, &str)]| {
        options(house, &juliet, "set", "juliet@house", &form("subscribe_options", fields))
    };
    ok(&set(&mut house, &[("deliver", "0"), ("digest", "0")]));
    ok(&publish(&mut house, &romeo, "n", "1", X));
    house.nothing(&juliet);
    ok(&set(&mut house, &[("deliver", "1"), ("include_body", "true")]));
    ok(&publish(&mut house, &romeo, "n", "2", "<entry xmlns='http://www.w3.org/2005/Atom'><title>Soliloquy</title></entry>"));
    assert!(house.one(&juliet).as_str().contains("<body>Soliloquy</body>"));
    // What is registered and not to be had is refused; what nobody has heard of is passed over (XEP-0004 3.2).
    for wrong in [
        ("digest", "1"),
        ("digest_frequency", "60000"),
        ("show-values", "online|asleep"),
        ("deliver", "maybe"),
        ("expire", "yesterday"),
        ("expire", "2001-01-01T00:00:00Z"),
    ] {
        error(&set(&mut house, &[("include_body", "0"), wrong]), "modify", "bad-request", "invalid-options");
    }
    ok(&set(&mut house, &[("nothing", "1"), ("show-values", "away|chat|dnd|online|xa")]));
    let mut house = house.restart(crate::ROOMS, Duration::from_secs(1));
    let (romeo, juliet) = (house.online("romeo@house/orchard"), house.online("juliet@house/balcony"));
    ok(&publish(&mut house, &romeo, "n", "3", "<entry xmlns='http://www.w3.org/2005/Atom'><title>t</title></entry>"));
    assert!(house.one(&juliet).as_str().contains("<body>"), "all of a form or nothing, and it is kept");
    error(&options(&mut house, &romeo, "get", "juliet@house", ""), "auth", "forbidden", "");
    error(&ask(&mut house, &juliet, "get", "<options node='n'/>"), "modify", "bad-request", "jid-required");
    error(&ask(&mut house, &juliet, "get", "<options node='m' jid='juliet@house'/>"), "cancel", "item-not-found", "");
    ok(&ask(&mut house, &juliet, "get", "<options node='n' jid='juliet@house' subid='1'/>"));
}

#[test]
fn s6_3_7_subscribe_and_configure_at_once() {
    let (mut house, [romeo, juliet, nurse]) = scene(&[]);
    let answer = subscribe_with(&mut house, &juliet, "n", &[("deliver", "0")]);
    let text = answer.as_str();
    assert!(
        text.contains("subscription='subscribed'") && text.contains("<options><x xmlns='jabber:x:data' type='result'>"),
        "{text}"
    );
    ok(&publish(&mut house, &romeo, "n", "1", X));
    house.nothing(&juliet);
    error(&subscribe_with(&mut house, &nurse, "n", &[("deliver", "x")]), "modify", "bad-request", "invalid-options");
    let list = own(&mut house, &romeo, "get", "<subscriptions node='n'/>");
    assert!(!list.as_str().contains("nurse"), "{}", list.as_str());
    let form = form("subscribe_options", &[("deliver", "1")]);
    for wrong in [
        format!("<subscribe node='n' jid='nurse@house'/><options node='n'>{form}</options>"),
        format!("<options>{form}</options><subscribe node='n' jid='nurse@house'/>"),
    ] {
        error(&ask(&mut house, &nurse, "set", &wrong), "modify", "bad-request", "");
    }
}

#[test]
fn s6_4_defaults() {
    let (mut house, [_, juliet, _]) = scene(&[]);
    let text = ask(&mut house, &juliet, "get", "<default node='n'/>").as_str().to_owned();
    assert!(text.contains("<default node='n'>") && text.contains("pubsub#subscribe_options"), "{text}");
    let text = ask(&mut house, &juliet, "get", "<default/>").as_str().to_owned();
    assert!(text.contains("pubsub#subscription_type"), "{text}");
    error(&ask(&mut house, &juliet, "get", "<default node='m'/>"), "cancel", "item-not-found", "");
}

#[test]
fn s12_18_a_lease_ends_and_says_so() {
    let (mut house, [romeo, juliet, _]) = scene(&[]);
    let end = iris_core::time::datetime(house.now.wall_us + 120_000_000);
    let answer = subscribe_with(&mut house, &juliet, "n", &[("expire", &end)]);
    assert!(answer.as_str().contains(&format!("expiry='{end}'")), "{}", answer.as_str());
    ok(&publish(&mut house, &romeo, "n", "1", X));
    assert_eq!(house.recv(&juliet).len(), 1);
    for _ in 0..3 {
        house.advance(Duration::from_secs(60));
    }
    assert!(house.hear(&juliet).iter().any(|it| it.contains("subscription='none'")));
    let list = own(&mut house, &romeo, "get", "<subscriptions node='n'/>");
    assert!(!list.as_str().contains("juliet"), "{}", list.as_str());
    ok(&publish(&mut house, &romeo, "n", "2", X));
    house.nothing(&juliet);
}

#[test]
fn s8_6_and_s8_7_an_owner_approves_now_or_when_asked_again() {
    let (mut house, [romeo, juliet, nurse]) = scene(&[("access_model", "authorize")]);
    for who in [&juliet, &nurse] {
        assert!(subscribe(&mut house, who, "n").as_str().contains("subscription='pending'"));
    }
    error(&subscribe(&mut house, &juliet, "n"), "auth", "not-authorized", "pending-subscription");
    assert_eq!(house.recv(&romeo).len(), 2, "one request each");
    // 8.7: forgotten, and asked for.
    let command = |house: &mut House, who: &Client, inside: &str| {
        let node = "http://jabber.org/protocol/pubsub#get-pending";
        let command = format!("<command xmlns='http://jabber.org/protocol/commands' node='{node}' {inside}</command>");
        house.iq(who, "set", Some(SERVICE), &command)
    };
    let first = command(&mut house, &romeo, "action='execute'>").as_str().to_owned();
    assert!(first.contains("var='pubsub#node'") && first.contains("<value>n</value>"), "{first}");
    let session = first.split_once("sessionid='").and_then(|(_, it)| it.split_once('\'')).map(|(id, _)| id.to_owned());
    let inside = format!("sessionid='{}'>{}", session.expect("a session"), form("subscribe_authorization", &[("node", "n")]));
    house.send(&romeo, &{
        let node = "http://jabber.org/protocol/pubsub#get-pending";
        let command = format!("<command xmlns='http://jabber.org/protocol/commands' node='{node}' {inside}</command>");
        format!("<iq type='set' id='pending' to='{SERVICE}'>{command}</iq>")
    });
    let heard = house.hear(&romeo);
    assert_eq!(heard.iter().filter(|it| it.contains("pubsub#subscribe_authorization")).count(), 2, "{heard:?}");
    assert!(heard.iter().any(|it| it.contains("id='pending'") && it.contains("status='completed'")), "{heard:?}");
    let theirs = command(&mut house, &juliet, "action='execute'>");
    error(&theirs, "auth", "forbidden", "");
    ok(&create(&mut house, &juliet, "hers", &[]));
    let theirs = command(&mut house, &juliet, "action='execute'>");
    assert!(theirs.as_str().contains("Nobody waits"), "{}", theirs.as_str());
    // 8.6.
    let reply = |jid: &str, allow: &str| {
        let fields = [("node", "n"), ("subscriber_jid", jid), ("allow", allow)];
        format!("<message to='{SERVICE}'>{}</message>", form("subscribe_authorization", &fields))
    };
    house.send(&juliet, &reply("juliet@house", "1"));
    house.nothing(&juliet);
    house.send(&romeo, &reply("juliet@house", "1"));
    assert!(house.one(&juliet).as_str().contains("subscription='subscribed'"));
    house.send(&romeo, &reply("nurse@house", "0"));
    assert!(house.one(&nurse).as_str().contains("subscription='none'"));
    ok(&publish(&mut house, &romeo, "n", "1", X));
    assert_eq!(house.recv(&juliet).len(), 1);
    house.nothing(&nurse);
    error(&ask(&mut house, &nurse, "get", "<items node='n'/>"), "auth", "not-authorized", "not-subscribed");
}

/// 12.10: "… upon successful processing of a subscription request or approval by a node owner", in whatever way the owner says it.
#[test]
fn s12_10_who_is_approved_gets_the_last_item() {
    let (mut house, [romeo, juliet, nurse]) = scene(&[("access_model", "authorize")]);
    ok(&publish(&mut house, &romeo, "n", "1", X));
    for who in [&juliet, &nurse] {
        assert!(subscribe(&mut house, who, "n").as_str().contains("subscription='pending'"));
    }
    let change = "<subscriptions node='n'><subscription jid='juliet@house' subscription='subscribed'/></subscriptions>";
    ok(&own(&mut house, &romeo, "set", change));
    ok(&affiliate(&mut house, &romeo, "n", "nurse@house", "member"));
    for who in [&juliet, &nurse] {
        let heard: String = house.recv(who).iter().map(|it| it.as_str().to_owned()).collect();
        assert!(heard.contains("subscription='subscribed'") && heard.contains("<item id='1'"), "{heard}");
    }
}

/// 8.4.2: "notification of node deletion to all subscribers (which SHOULD include pending and unconfigured subscriptions)".
#[test]
fn s8_4_2_who_waits_for_an_owner_hears_of_the_end_too() {
    let (mut house, [romeo, juliet, nurse]) = scene(&[("access_model", "authorize")]);
    assert!(subscribe(&mut house, &juliet, "n").as_str().contains("subscription='pending'"));
    ok(&publish(&mut house, &romeo, "n", "1", X));
    house.nothing(&juliet);
    ok(&own(&mut house, &romeo, "set", "<delete node='n'><redirect uri='xmpp:pubsub.house?;node=m'/></delete>"));
    assert!(house.one(&juliet).as_str().contains("<delete node='n'><redirect uri='xmpp:pubsub.house?;node=m'/></delete>"));
    house.nothing(&nurse);
}

#[test]
fn s8_8_owners_manage_subscriptions() {
    let (mut house, [romeo, juliet, nurse]) = scene(&[]);
    // Whoever has never asked is not brought in by thousands: by an affiliation (D3).
    let stranger = "<subscriptions node='n'><subscription jid='nurse@house' subscription='subscribed'/></subscriptions>";
    let refused = own(&mut house, &romeo, "set", stranger);
    error(&refused, "modify", "not-acceptable", "");
    // 8.8.2.4: "Returned entities which failed to be modified MUST include the existing 'subscription' attribute".
    let as_it_was =
        "<subscriptions node='n'><subscription jid='nurse@house' subscription='none'/></subscriptions></pubsub><error ";
    assert!(refused.as_str().contains(as_it_was), "{}", refused.as_str());
    house.nothing(&nurse);
    for who in [&juliet, &nurse] {
        ok(&affiliate(&mut house, &romeo, "n", who.jid.to_bare().as_str(), "member"));
        house.recv(who);
    }
    let change = "<subscriptions node='n'><subscription jid='juliet@house' subscription='subscribed'/>\
        <subscription jid='nurse@house' subscription='pending'/></subscriptions>";
    ok(&own(&mut house, &romeo, "set", change));
    assert!(house.one(&juliet).as_str().contains("subscription='subscribed'"));
    assert!(house.one(&nurse).as_str().contains("subscription='pending'"));
    ok(&publish(&mut house, &romeo, "n", "1", X));
    assert_eq!(house.recv(&juliet).len(), 1);
    house.nothing(&nurse);
    ok(&own(&mut house, &romeo, "set", &change.replace("'subscribed'", "'none'")));
    assert!(house.one(&juliet).as_str().contains("subscription='none'"));
    error(&own(&mut house, &juliet, "set", change), "auth", "forbidden", "");
    error(&own(&mut house, &romeo, "set", &change.replace("'pending'", "'perhaps'")), "modify", "bad-request", "");
    error(&own(&mut house, &romeo, "set", &change.replace("'n'", "'m'")), "cancel", "item-not-found", "");
}

#[test]
fn owners_are_told_of_subscribers_if_they_want() {
    let (mut house, [romeo, juliet, _]) = scene(&[("notify_sub", "1")]);
    ok(&subscribe(&mut house, &juliet, "n"));
    assert!(house.one(&romeo).as_str().contains("<subscription node='n' jid='juliet@house' subscription='subscribed'/>"));
    ok(&ask(&mut house, &juliet, "set", "<unsubscribe node='n' jid='juliet@house'/>"));
    assert!(house.one(&romeo).as_str().contains("subscription='none'"));
}

/// XEP-0465 4.
#[test]
fn x0465_who_follows_publicly_is_known_and_nobody_else() {
    let (mut house, [romeo, juliet, nurse]) = scene(&[]);
    let public = "<subscribe node='n' jid='juliet@house'><public xmlns='urn:xmpp:pps:0'/></subscribe>";
    ok(&ask(&mut house, &juliet, "set", public));
    ok(&subscribe(&mut house, &nurse, "n"));
    let name = "urn:xmpp:pps:subscribers:0/n";
    let list = ask(&mut house, &romeo, "get", &format!("<items node='{name}'/>")).as_str().to_owned();
    assert!(list.contains("<subscriber xmlns='urn:xmpp:pps:0' jid='juliet@house'/>") && !list.contains("nurse"), "{list}");
    // "by subscribing again to the node without the <public> element".
    ok(&subscribe(&mut house, &juliet, "n"));
    let list = ask(&mut house, &romeo, "get", &format!("<items node='{name}'/>")).as_str().to_owned();
    assert!(!list.contains("juliet"), "{list}");
    error(&publish(&mut house, &romeo, name, "1", X), "auth", "forbidden", "");
    error(&create(&mut house, &romeo, name, &[]), "auth", "forbidden", "");
    error(&own(&mut house, &romeo, "set", &format!("<delete node='{name}'/>")), "auth", "forbidden", "");
    ok(&configure(&mut house, &romeo, "n", &[("access_model", "whitelist")]));
    error(&ask(&mut house, &nurse, "get", &format!("<items node='{name}'/>")), "cancel", "not-allowed", "closed-node");
}

/// XEP-0465 4.4: "a node which can be subscribed to normally, but whose items can't be publised or retracted directly".
#[test]
fn x0465_who_follows_is_news_to_whoever_has_subscribed_to_the_list() {
    let (mut house, [romeo, juliet, nurse]) = scene(&[]);
    let list = "urn:xmpp:pps:subscribers:0/n";
    ok(&subscribe(&mut house, &nurse, list));
    let mine = format!("<subscriptions node='{list}'/>");
    assert!(ask(&mut house, &nurse, "get", &mine).as_str().contains("jid='nurse@house' subscription='subscribed'"));
    assert!(!ask(&mut house, &juliet, "get", &mine).as_str().contains("<subscription "), "and of nobody else");
    let public = "<subscribe node='n' jid='juliet@house'><public xmlns='urn:xmpp:pps:0'/></subscribe>";
    ok(&ask(&mut house, &juliet, "set", public));
    let news = house.one(&nurse).as_str().to_owned();
    let item = "<item id='juliet@house'><subscriber xmlns='urn:xmpp:pps:0' jid='juliet@house'/></item>";
    assert!(news.contains(&format!("<items node='{list}'>{item}</items>")), "{news}");
    ok(&ask(&mut house, &juliet, "set", public));
    assert!(house.recv(&nurse).is_empty(), "nothing is new");
    ok(&subscribe(&mut house, &juliet, "n"));
    assert!(house.one(&nurse).as_str().contains("<retract id='juliet@house'/>"), "not in public any more");
    ok(&ask(&mut house, &juliet, "set", public));
    assert!(house.one(&nurse).as_str().contains("<item id='juliet@house'>"));

    // It is kept, and it is no node that anybody has.
    let mut house = house.restart(crate::ROOMS, std::time::Duration::from_secs(1));
    let [romeo, juliet, nurse] = [romeo, juliet, nurse].map(|it| house.online(&it.jid.to_string()));
    assert!(
        items_of(&mut house, &romeo, "").contains("node='n'") && !items_of(&mut house, &romeo, "").contains("urn:xmpp:pps")
    );
    assert!(items_of(&mut house, &romeo, list).contains("name='juliet@house'"));
    assert!(info(&mut house, &romeo, list).contains("type='leaf'"));
    assert_eq!(items(&mut house, &romeo, list), ["juliet@house"]);
    let one = format!("<items node='{list}'><item id='nurse@house'/></items>");
    assert_eq!(ids(&ask(&mut house, &romeo, "get", &one)), Vec::<String>::new());
    error(&own_of(&mut house, &romeo, list), "auth", "forbidden", "");
    ok(&ask(&mut house, &juliet, "set", "<unsubscribe node='n' jid='juliet@house'/>"));
    assert!(house.one(&nurse).as_str().contains("<retract id='juliet@house'/>"));

    // Whoever may not read the node hears nothing of who follows it, and may go.
    ok(&affiliate(&mut house, &romeo, "n", "nurse@house", "outcast"));
    house.recv(&nurse);
    ok(&ask(&mut house, &juliet, "set", public));
    assert!(house.recv(&nurse).is_empty());
    error(&subscribe(&mut house, &nurse, list), "auth", "forbidden", "");
    ok(&ask(&mut house, &nurse, "set", &format!("<unsubscribe node='{list}' jid='nurse@house'/>")));

    // It ends with the node.
    ok(&subscribe(&mut house, &juliet, list));
    ok(&own(&mut house, &romeo, "set", "<delete node='n'/>"));
    let news: String = house.recv(&juliet).iter().map(|it| it.as_str().to_owned()).collect();
    assert!(news.contains("<delete node='n'/>") && news.contains(&format!("<delete node='{list}'/>")), "{news}");
    error(&subscribe(&mut house, &juliet, list), "cancel", "item-not-found", "");
    assert_eq!(ask(&mut house, &juliet, "get", "<subscriptions/>").as_str().matches("<subscription ").count(), 0);
}

fn own_of(house: &mut House, who: &Client, node: &str) -> Stanza {
    own(house, who, "get", &format!("<configure node='{node}'/>"))
}

/// 12.4: whoever says that nobody is there is not told again.
#[test]
fn s12_4_an_address_that_is_gone_is_forgotten() {
    let (mut house, [romeo, juliet, _]) = scene(&[]);
    let full = juliet.jid.to_string();
    ok(&ask(&mut house, &juliet, "set", &format!("<subscribe node='n' jid='{full}'/>")));
    ok(&publish(&mut house, &romeo, "n", "1", X));
    assert_eq!(house.recv(&juliet).len(), 1);
    let gone = "<error type='cancel'><gone xmlns='urn:ietf:params:xml:ns:xmpp-stanzas'/></error>";
    house.send(&juliet, &format!("<message to='{SERVICE}' type='error' id='x'>{gone}</message>"));
    let list = own(&mut house, &romeo, "get", "<subscriptions node='n'/>");
    assert!(!list.as_str().contains("juliet"), "{}", list.as_str());
}

#[test]
fn s6_1_7_whoever_comes_online_gets_the_last_item_where_the_node_says_so() {
    let (mut house, [romeo, juliet, nurse]) = scene(&[("send_last_published_item", "on_sub_and_presence")]);
    ok(&subscribe(&mut house, &juliet, "n"));
    ok(&publish(&mut house, &romeo, "n", "1", X));
    house.recv(&juliet);
    let phone = house.login("juliet@house/phone");
    house.send(&phone, "<presence/>");
    let heard = house.hear(&phone);
    assert!(heard.iter().any(|it| it.contains("<item id='1'") && it.contains("<delay ")), "{heard:?}");
    assert!(!house.hear(&juliet).iter().any(|it| it.contains("<item ")), "only who has come");
    let other = house.login("nurse@house/phone");
    house.send(&other, "<presence/>");
    assert!(!house.hear(&other).iter().any(|it| it.contains("<item ")));
    house.recv(&nurse);
    // And after a restart, of which the accounts know nothing.
    let mut house = house.restart(crate::ROOMS, Duration::from_secs(1));
    let juliet = house.login("juliet@house/balcony");
    house.send(&juliet, "<presence/>");
    assert!(house.hear(&juliet).iter().any(|it| it.contains("<item id='1'")));
    ok(&ask(&mut house, &juliet, "set", "<unsubscribe node='n' jid='juliet@house'/>"));
    let phone = house.login("juliet@house/phone");
    house.send(&phone, "<presence/>");
    assert!(!house.hear(&phone).iter().any(|it| it.contains("<item ")));
}
