//! What accounts have beside messages, over real sockets and a real database: avatars in both formats (XEP-0398) and bookmarks in
//! all three (XEP-0402), also after the process was killed. No public suite covers these.

use std::time::{Duration, Instant};

use crate::client::{Client, DOMAIN, PATIENCE, between};
use crate::server::Data;

const IMAGE_BASE64: &str = "iVBORw0KGgogbm90IHJlYWxseSBhIHBpY3R1cmU=";
const IMAGE_SHA1: &str = "96746c2cf930517da49fa7469d248f0cf2324d35";

fn pubsub(client: &mut Client, kind: &str, to: Option<&str>, inside: &str) -> String {
    client.iq(kind, to, &format!("<pubsub xmlns='http://jabber.org/protocol/pubsub'>{inside}</pubsub>"))
}

fn publish(client: &mut Client, node: &str, id: &str, payload: &str, options: &[(&str, &str)]) {
    let mut form = String::from(
        "<publish-options><x xmlns='jabber:x:data' type='submit'><field var='FORM_TYPE' type='hidden'>\
         <value>http://jabber.org/protocol/pubsub#publish-options</value></field>",
    );
    for (var, value) in options {
        form.push_str(&format!("<field var='pubsub#{var}'><value>{value}</value></field>"));
    }
    form.push_str("</x></publish-options>");
    let item = format!("<publish node='{node}'><item id='{id}'>{payload}</item></publish>{form}");
    let answer = pubsub(client, "set", None, &item);
    assert!(answer.contains("type='result'"), "{answer}");
}

fn befriend(alice: &mut Client, bob: &mut Client) {
    alice.send(&format!("<presence type='subscribe' to='bob@{DOMAIN}'/>"));
    bob.expect("type='subscribe'");
    bob.send(&format!("<presence type='subscribed' to='alice@{DOMAIN}'/><presence type='subscribe' to='alice@{DOMAIN}'/>"));
    alice.expect("type='subscribe'");
    alice.send(&format!("<presence type='subscribed' to='bob@{DOMAIN}'/>"));
    // Nobody has asked for the roster, so nobody is told of the approval itself (RFC 6121 3.1.6); its presence follows it.
    bob.expect(&format!("from='alice@{DOMAIN}/desk'"));
}

/// The hash in the next presence that has one.
fn photo(client: &mut Client) -> String {
    let presence = client.expect("vcard-temp:x:update");
    between(&presence, "<photo>", "</photo>").unwrap_or_default().to_owned()
}

#[test]
fn xep0398_an_avatar_both_ways_and_after_a_kill() {
    let data = Data::with_users(["alice", "bob"]);
    let server = data.start();
    let mut alice = Client::online(server.plain, "alice", "desk");
    let mut bob = Client::online(server.plain, "bob", "phone");
    befriend(&mut alice, &mut bob);

    // From a vCard to PEP and into presence.
    let card = format!(
        "<vCard xmlns='vcard-temp'><FN>Alice</FN><PHOTO><TYPE>image/png</TYPE><BINVAL>{IMAGE_BASE64}</BINVAL></PHOTO></vCard>"
    );
    assert!(alice.iq("set", None, &card).contains("type='result'"));
    assert_eq!(photo(&mut bob), IMAGE_SHA1);
    let alice_jid = format!("alice@{DOMAIN}");
    let get = format!("<items node='urn:xmpp:avatar:data'><item id='{IMAGE_SHA1}'/></items>");
    assert!(pubsub(&mut bob, "get", Some(&alice_jid), &get).contains(IMAGE_BASE64));

    // What was acknowledged survives.
    server.kill();
    let server = data.start();
    let mut bob = Client::online(server.plain, "bob", "phone");
    let mut alice = Client::online(server.plain, "alice", "desk");
    assert_eq!(photo(&mut bob), IMAGE_SHA1);
    let seen = bob.iq("get", Some(&alice_jid), "<vCard xmlns='vcard-temp'/>");
    assert!(seen.contains("<FN>Alice</FN>") && seen.contains(IMAGE_BASE64), "{seen}");

    // From PEP: the avatar is disabled, and comes back.
    let metadata = "<metadata xmlns='urn:xmpp:avatar:metadata'/>";
    publish(&mut alice, "urn:xmpp:avatar:metadata", "none", metadata, &[]);
    assert_eq!(photo(&mut bob), "");
    assert!(!bob.iq("get", Some(&alice_jid), "<vCard xmlns='vcard-temp'/>").contains("PHOTO"));
    let metadata =
        format!("<metadata xmlns='urn:xmpp:avatar:metadata'><info bytes='29' id='{IMAGE_SHA1}' type='image/png'/></metadata>");
    publish(&mut alice, "urn:xmpp:avatar:metadata", IMAGE_SHA1, &metadata, &[]);
    assert_eq!(photo(&mut bob), IMAGE_SHA1);
    assert!(bob.iq("get", Some(&alice_jid), "<vCard xmlns='vcard-temp'/>").contains(IMAGE_BASE64));
}

#[test]
fn xep0402_bookmarks_in_three_places_and_after_a_kill() {
    let data = Data::with_users(["alice"]);
    let server = data.start();
    let mut new = Client::online(server.plain, "alice", "new");
    let mut old = Client::online(server.plain, "alice", "old");
    let private = [("access_model", "whitelist"), ("max_items", "max"), ("send_last_published_item", "never")];
    let conference = "<conference xmlns='urn:xmpp:bookmarks:1' name='The Play' autojoin='true'><nick>A</nick>\
        <extensions><notify xmlns='urn:xmpp:notification-settings:1'><never/></notify></extensions></conference>";
    publish(&mut new, "urn:xmpp:bookmarks:1", "play@rooms.example", conference, &private);

    let query = |inside: &str| format!("<query xmlns='jabber:iq:private'>{inside}</query>");
    let list = old.iq("get", None, &query("<storage xmlns='storage:bookmarks'/>"));
    assert!(list.contains("<conference jid='play@rooms.example' name='The Play' autojoin='true'>"), "{list}");
    let changed = "<storage xmlns='storage:bookmarks'><conference jid='play@rooms.example' name='The Play' autojoin='false'/>\
        <conference jid='cave@rooms.example' name='Cave'/></storage>";
    assert!(old.iq("set", None, &query(changed)).contains("type='result'"));

    server.kill();
    let server = data.start();
    let mut new = Client::online(server.plain, "alice", "new");
    let all = pubsub(&mut new, "get", None, "<items node='urn:xmpp:bookmarks:1'/>");
    assert!(all.contains("<item id='play@rooms.example'>") && all.contains("<item id='cave@rooms.example'>"), "{all}");
    assert!(all.contains("autojoin='false'") && all.contains("urn:xmpp:notification-settings:1"), "{all}");
    let retract = "<retract node='urn:xmpp:bookmarks:1' notify='true'><item id='play@rooms.example'/></retract>";
    assert!(pubsub(&mut new, "set", None, retract).contains("type='result'"));

    // The old node, made by a client that knows nothing else.
    let list = "<storage xmlns='storage:bookmarks'><conference jid='lab@rooms.example' name='Lab'/></storage>";
    publish(&mut new, "storage:bookmarks", "current", list, &[("access_model", "whitelist")]);
    // The publisher has its answer at once; the other places follow.
    let begun = Instant::now();
    let is_taken_over = |all: &str| all.contains("lab@rooms.example") && !all.contains("cave@rooms.example");
    loop {
        let all = pubsub(&mut new, "get", None, "<items node='urn:xmpp:bookmarks:1'/>");
        if is_taken_over(&all) {
            break;
        }
        assert!(begun.elapsed() < PATIENCE, "{all}");
        std::thread::sleep(Duration::from_millis(20));
    }
}
