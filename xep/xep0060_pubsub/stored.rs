//! How nodes and the index of items are kept: as XML, so that a person can read a database and a later version can add to it.
//! What cannot be read is left out.

use std::sync::Arc;

use bytes::Bytes;
use iris_core::store::{Item, OwnerId, Shelf, Write};
use iris_core::xml::{Build, El};
use iris_core::{BareJid, Jid, ns};

use super::form::Filled;
use super::moved::Moved;
use super::node::{Entry, Node};
use super::options::{Offered, Options};
use super::service::{Change, Quotas, Service};
use super::{Affiliation, Config, State, Subscription};

/// Where a service keeps what it has in memory. What items hold lies elsewhere.
pub struct Shelves {
    /// Key: the node's name.
    pub nodes: Shelf,
    /// Key: `subscription_key`.
    pub subscriptions: Shelf,
    /// Key: `serial_key`; which items there are.
    pub index: Shelf,
    /// Key: the name of a node that is no more; where it went.
    pub moved: Shelf,
}

impl Shelves {
    pub const fn all(&self) -> [Shelf; 4] {
        [self.nodes, self.subscriptions, self.index, self.moved]
    }

    /// As it was kept; `root`: beside what was.
    pub fn load(&self, items: &[Item], default: &Config, root: Option<(Arc<str>, Node)>) -> Service {
        let of = |shelf: Shelf| items.iter().filter(move |item| item.shelf == shelf);
        let nodes = of(self.nodes).filter_map(|it| Some((it.key.clone(), decode_node(&it.value, default)?)));
        let subscriptions = of(self.subscriptions).filter_map(|it| decode_subscription(&it.key, &it.value)).collect();
        let entries = of(self.index).filter_map(|it| decode_entry(&it.key, &it.value)).collect();
        let moved = of(self.moved).filter_map(|it| Some((it.key.clone(), Moved::decode(&it.value)?))).collect();
        Service::restore(nodes.chain(root).collect(), subscriptions, entries, moved)
    }

    pub fn write(&self, owner: OwnerId, change: &Change) -> Write {
        let put = |shelf, key: Arc<str>, value: &Bytes| Write::Put { owner, shelf, key, value: value.clone() };
        let delete = |shelf, key: Arc<str>| Write::Delete { owner, shelf, key };
        match change {
            Change::PutNode(name, value) => put(self.nodes, name.clone(), value),
            Change::DeleteNode(name) => delete(self.nodes, name.clone()),
            Change::PutSubscription(key, value) => put(self.subscriptions, Arc::from(key.as_str()), value),
            Change::DeleteSubscription(key) => delete(self.subscriptions, Arc::from(key.as_str())),
            Change::PutItem(it) => put(self.index, Arc::from(serial_key(it.entry.serial)), &encode_entry(&it.node, &it.entry)),
            Change::DeleteItem(serial) => delete(self.index, Arc::from(serial_key(*serial))),
            Change::PutMoved(name, value) => put(self.moved, name.clone(), value),
            Change::DeleteMoved(name) => delete(self.moved, name.clone()),
        }
    }
}

/// The key of an item on its shelf, and of its entry in the index: keys ascend with the order of publication.
pub fn serial_key(serial: u64) -> String {
    format!("{serial:016x}")
}

pub fn encode_node(node: &Node) -> Bytes {
    let mut xml = Build::new();
    xml.open("node").attr("created", &node.created_us.to_string()).attr("creator", node.creator.as_str());
    node.config.write_values(&mut xml, "submit");
    for (jid, affiliation) in &node.affiliations {
        xml.open("affiliation").attr("jid", jid.as_str()).attr("is", affiliation.as_str()).close();
    }
    xml.finish().into()
}

/// Where a subscription lies: by the number of its node, so that a node that is made again under the same name has none.
pub fn subscription_key(node: &Node, jid: &Jid) -> String {
    format!("{:016x} {jid}", node.created_us)
}

pub fn encode_subscription(it: &Subscription) -> Bytes {
    let mut xml = Build::new();
    xml.open("subscription").attr("is", it.state.as_str()).attr_opt("public", it.public.then_some("1"));
    if !it.options.is_default() {
        it.options.write(&mut xml, "submit", Offered::ALL);
    }
    xml.finish().into()
}

/// The number of its node, and the subscription.
pub fn decode_subscription(key: &str, value: &[u8]) -> Option<(u64, Subscription)> {
    let (node, jid) = key.split_once(' ')?;
    let el = El::parse(value)?;
    let options = Options::restore(&el);
    let public = el.attr("public").as_deref() == Some("1");
    let subscription = Subscription { jid: Jid::new(jid).ok()?, state: state(&el.attr("is")?), options, public };
    Some((u64::from_str_radix(node, 16).ok()?, subscription))
}

fn state(word: &str) -> State {
    if word == State::Pending.as_str() { State::Pending } else { State::Subscribed }
}

/// Quotas may have become smaller: what was granted stays granted.
pub fn decode_node(value: &[u8], default: &Config) -> Option<Node> {
    let el = El::parse(value)?;
    let creator = BareJid::new(&el.attr("creator")?).ok()?;
    let mut node = Node::new(default.clone(), el.attr("created")?.parse().ok()?, creator);
    if let Some(form) = el.child(ns::DATA_FORMS, "x") {
        node.config.restore(&Filled::parse(&form).ok()?, &Quotas::NONE);
    }
    for child in el.children() {
        let (Some(jid), Some(is)) = (child.attr("jid").and_then(|jid| Jid::new(&jid).ok()), child.attr("is")) else { continue };
        match child.local() {
            "affiliation" => {
                if let Some(affiliation) = Affiliation::parse(&is) {
                    node.affiliations.insert(jid.to_bare(), affiliation);
                }
            }
            // As it once was: all of them with the node.
            "subscription" => {
                node.subscriptions.put(Subscription::new(jid, state(&is)));
                node.in_one_piece = true;
            }
            _ => {}
        }
    }
    Some(node)
}

pub fn encode_entry(node: &str, entry: &Entry) -> Bytes {
    let mut xml = Build::new();
    xml.open("item").attr("node", node).attr("id", &entry.id);
    xml.attr("size", &entry.size_bytes.to_string()).attr("publisher", &entry.publisher);
    xml.finish().into()
}

/// The name of its node, and the entry.
pub fn decode_entry(key: &str, value: &[u8]) -> Option<(Arc<str>, Entry)> {
    let el = El::parse(value)?;
    let entry = Entry {
        serial: u64::from_str_radix(key, 16).ok()?,
        id: Arc::from(el.attr("id")?),
        size_bytes: el.attr("size")?.parse().ok()?,
        publisher: Arc::from(el.attr("publisher")?),
    };
    Some((Arc::from(el.attr("node")?), entry))
}
