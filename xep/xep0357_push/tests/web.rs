//! The service for browsers at `push.house`.

use super::*;
use base64::Engine;
use base64::prelude::BASE64_URL_SAFE_NO_PAD;
use iris_core::ports::WebPush;

fn options(endpoint: &str) -> String {
    let point = BASE64_URL_SAFE_NO_PAD.encode([&[4_u8][..], &[7; 64]].concat());
    let field = |var: &str, value: &str| format!("<field var='{var}'><value>{value}</value></field>");
    let fields = [
        field("FORM_TYPE", "http://jabber.org/protocol/pubsub#publish-options"),
        field("endpoint", endpoint),
        field("p256dh", &point),
        field("auth", "BTBZMqHH6r4Tts7J_aSIgg"),
    ];
    format!("<x xmlns='jabber:x:data' type='submit'>{}</x>", fields.concat())
}

fn subscribe(node: &str, endpoint: &str) -> String {
    format!("<enable xmlns='urn:xmpp:push:0' jid='push.house' node='{node}'>{}</enable>", options(endpoint))
}

/// Juliet's browser is closed; Romeo is online.
fn browsing(endpoint: &str) -> (House, Client) {
    let mut house = House::with(&rooms());
    house.friends("romeo@house", "juliet@house");
    let page = house.online("juliet@house/page");
    ok(&mut house, &page, &subscribe("firefox", endpoint));
    house.close(&page);
    let romeo = house.online("romeo@house/orchard");
    (house, romeo)
}

fn pushed(house: &House) -> Vec<WebPush> {
    std::mem::take(&mut *house.pushed.lock().expect("what is pushed"))
}

#[test]
fn a_page_finds_the_service_and_its_key() {
    let mut house = House::with(&rooms());
    let page = house.online("juliet@house/page");
    let items = house.iq(&page, "get", Some("house"), "<query xmlns='http://jabber.org/protocol/disco#items'/>");
    assert!(items.as_str().contains("jid='push.house'"), "{}", items.as_str());
    let info = house.iq(&page, "get", Some("push.house"), "<query xmlns='http://jabber.org/protocol/disco#info'/>");
    has(info.as_str(), &["category='pubsub'", "type='push'", "urn:xmpp:push:0", "urn:iris:webpush:0", "<value>BKey</value>"]);
}

#[test]
fn a_browser_that_is_closed_is_told() {
    let (mut house, romeo) = browsing("https://push.test/one");
    say(&mut house, &romeo, "hi");
    house.send(
        &romeo,
        "<message to='juliet@house' type='chat' id='c'><propose xmlns='urn:xmpp:jingle-message:0' id='c'/></message>",
    );
    let told = pushed(&house);
    assert_eq!(told.len(), 2);
    let json = |push: &WebPush| String::from_utf8(push.payload.to_vec()).expect("UTF-8");
    assert_eq!(json(&told[0]), "{\"messages\":1,\"requests\":0,\"call\":false}");
    assert_eq!((told[0].endpoint.as_str(), told[0].urgent, told[0].topic), ("https://push.test/one", false, Some("summary")));
    assert_eq!(told[0].contact, "https://house");
    assert!(json(&told[1]).contains("\"call\":true") && told[1].urgent && told[1].topic.is_none() && told[1].ttl < told[0].ttl);
}

#[test]
fn a_subscription_that_is_gone_is_removed_and_one_that_is_busy_is_not() {
    for (endpoint, stays) in
        [("https://push.test/gone", false), ("https://push.test/later", true), ("https://push.test/one", true)]
    {
        let (mut house, romeo) = browsing(endpoint);
        say(&mut house, &romeo, "one");
        assert_eq!(pushed(&house).len(), 1, "{endpoint}");
        house.advance(Duration::from_secs(31));
        say(&mut house, &romeo, "two");
        assert_eq!(pushed(&house).len(), usize::from(stays), "{endpoint}");
        assert_eq!(house.shards[0].house().enrolled.has("juliet@house"), stays);
    }
}

/// Section 7.1 is about services that fail; RFC 8030 8.4 about one that has enough for now.
#[test]
fn s7_1_a_service_that_asks_for_patience_is_not_disabled_and_one_that_cannot_be_reached_is_in_the_end() {
    for (endpoint, stays) in [("https://push.test/waits", true), ("https://push.test/later", false)] {
        let (mut house, romeo) = browsing(endpoint);
        for n in 0..30 {
            say(&mut house, &romeo, &format!("message {n}"));
            house.advance(Duration::from_secs(31));
        }
        assert_eq!(house.shards[0].house().enrolled.has("juliet@house"), stays, "{endpoint}");
    }
}

#[test]
fn d9_what_is_no_subscription_is_refused_and_nobody_else_publishes_there() {
    let (mut house, romeo) = browsing("https://push.test/one");
    let page = house.online("juliet@house/page");
    for payload in [
        subscribe("n", "http://push.test/one"),
        subscribe("n", "http://127.0.0.1/"),
        subscribe("n", "file:///etc/passwd"),
        subscribe("", "https://push.test/one"),
        "<enable xmlns='urn:xmpp:push:0' jid='push.house' node='n'/>".to_owned(),
    ] {
        let answer = house.iq(&page, "set", None, &payload);
        assert!(answer.as_str().contains("type='error'"), "{payload}");
    }
    let publish = format!(
        "<pubsub xmlns='http://jabber.org/protocol/pubsub'><publish node='n'><item><notification xmlns='urn:xmpp:push:0'/></item>\
         </publish><publish-options>{}</publish-options></pubsub>",
        options("https://victim.test/")
    );
    let answer = house.iq(&romeo, "set", Some("push.house"), &publish);
    assert!(answer.as_str().contains("<forbidden"), "{}", answer.as_str());
    assert!(pushed(&house).is_empty());
}
