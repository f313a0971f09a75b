//! What subscribers are told: the inside of `<event/>`, and items in answers.

use bytes::Bytes;
use iris_core::time::datetime;
use iris_core::xml::Build;
use iris_core::{Jid, ns};

use super::config::{Config, ItemReply};
use super::node::Entry;
use super::root::named;
use super::service::{Fetch, text};
use super::{EVENT, NS, State};

/// XEP-0131.
const SHIM: &str = "http://jabber.org/protocol/shim";

/// A message's content: `<event/>` around what happened; `at_us`: it is no news, this is when it was.
pub fn message(inside: &str, delay: Option<(u64, &str)>) -> String {
    let mut xml = Build::new();
    xml.open_ns("event", EVENT).raw(inside.as_bytes()).close();
    if let Some((at_us, from)) = delay {
        xml.open_ns("delay", ns::DELAY).attr("from", from).attr("stamp", &datetime(at_us)).close();
    }
    text(xml)
}

/// 7.1.2.1, 7.1.2.2.
pub fn item(node: &str, entry: &Entry, payload: Option<&Bytes>, config: &Config, service: &str) -> String {
    let mut xml = Build::new();
    xml.open("items").attr("node", node);
    write_item(&mut xml, entry, payload, reply_to(config.item_reply, entry, service));
    xml.close();
    text(xml)
}

/// Of a node that has neither items nor payloads.
pub fn no_item(node: &str) -> String {
    let mut xml = Build::new();
    xml.open("items").attr("node", node).close();
    text(xml)
}

/// 7.2.2.1.
pub fn retracted<'a>(node: &str, ids: impl Iterator<Item = &'a str>) -> String {
    let mut xml = Build::new();
    xml.open("items").attr("node", node);
    for id in ids {
        xml.open("retract").attr("id", id).close();
    }
    xml.close();
    text(xml)
}

/// 8.4.2, 8.5.2.
pub fn of_node(what: &str, node: &str, redirect: Option<&str>) -> String {
    let mut xml = Build::new();
    xml.open(what).attr("node", node);
    if let Some(uri) = redirect {
        xml.open("redirect").attr("uri", uri).close();
    }
    xml.close();
    text(xml)
}

/// 8.2.5.3.
pub fn configuration(node: &str, config: &Config) -> String {
    let mut xml = Build::new();
    xml.open("configuration").attr("node", node);
    if config.deliver_payloads {
        config.write_values(&mut xml, "result");
    }
    xml.close();
    text(xml)
}

/// XEP-0248 5.3.2.
pub fn associated(collection: &str, node: &str, is: bool) -> String {
    let mut xml = Build::new();
    xml.open("collection").attr_opt("node", named(collection));
    xml.open(if is { "associate" } else { "dissociate" }).attr("node", node).close().close();
    text(xml)
}

/// XEP-0248 5.3.1: by which collection it was come to.
pub fn through(collection: &str) -> String {
    let mut xml = Build::new();
    xml.open_ns("headers", SHIM).open("header").attr("name", "Collection").text(collection);
    text(xml)
}

/// 12.11: `None`: no subscription any more.
pub fn subscription(node: &str, jid: &Jid, state: Option<State>) -> String {
    let mut xml = Build::new();
    xml.open_ns("event", EVENT).open("subscription").attr_opt("node", named(node)).attr("jid", jid.as_str());
    xml.attr("subscription", state.map_or("none", State::as_str));
    text(xml)
}

/// The answer to a request for items: those whose payload was found.
pub fn items(fetch: &Fetch, service: &str, payload: impl Fn(&Entry) -> Option<Bytes>) -> String {
    let mut xml = Build::new();
    xml.open_ns("pubsub", NS);
    for list in &fetch.lists {
        xml.open("items").attr("node", &list.node);
        for entry in &list.entries {
            if let Some(payload) = payload(entry) {
                write_item(&mut xml, entry, Some(&payload), reply_to(list.reply, entry, service));
            }
        }
        xml.close();
    }
    // Of a collection with nothing in it.
    if fetch.lists.is_empty() {
        xml.open("items").attr("node", &fetch.node).close();
    }
    if let Some(page) = &fetch.page {
        page.write(&mut xml);
    }
    text(xml)
}

fn write_item(xml: &mut Build, entry: &Entry, payload: Option<&Bytes>, publisher: Option<&str>) {
    xml.open("item").attr("id", &entry.id).attr_opt("publisher", publisher);
    if let Some(payload) = payload {
        xml.raw(payload);
    }
    xml.close();
}

/// 12.14: whose address the item carries; never what the publisher wrote (7.1.2.3).
fn reply_to<'a>(reply: ItemReply, entry: &'a Entry, service: &'a str) -> Option<&'a str> {
    match reply {
        ItemReply::None => None,
        ItemReply::Owner => Some(service),
        ItemReply::Publisher => Some(entry.published_by()),
    }
}
