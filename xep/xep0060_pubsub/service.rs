//! The service: its nodes, what it may hold, and the way of a request through it.

use std::collections::BTreeMap;
use std::sync::Arc;

use bytes::Bytes;
use iris_core::xml::Build;
use iris_core::{Bounce, Jid};

use super::config::{Config, Notification};
use super::node::{Entry, Node};
use super::request::Request;
use super::{Asker, NS, OWNER, error, stored};
use crate::xep0059_rsm as rsm;

/// What one service may hold (D3).
#[derive(Clone, Debug)]
pub struct Quotas {
    pub nodes_max: usize,
    pub items_max: usize,
    pub items_per_node_max: usize,
    pub total_size_bytes_max: usize,
    pub item_size_bytes_max: usize,
    pub subscriptions_per_node_max: usize,
    pub affiliations_per_node_max: usize,
    /// Of one answer.
    pub page_items_max: usize,
    pub page_size_bytes_max: usize,
}

impl Quotas {
    /// As if there were none.
    pub const NONE: Quotas = Quotas {
        nodes_max: usize::MAX,
        items_max: usize::MAX,
        items_per_node_max: usize::MAX,
        total_size_bytes_max: usize::MAX,
        item_size_bytes_max: usize::MAX,
        subscriptions_per_node_max: usize::MAX,
        affiliations_per_node_max: usize::MAX,
        page_items_max: usize::MAX,
        page_size_bytes_max: usize::MAX,
    };
}

/// What a request comes with.
pub struct Context<'a> {
    pub quotas: &'a Quotas,
    /// The options of a new node.
    pub default: &'a Config,
    pub who: &'a Asker,
    /// The service itself.
    pub service: &'a str,
    /// Ids of the house clock: ascending, each once.
    pub mint: &'a dyn Fn() -> u64,
}

/// What follows from a request: all of it, or an error and nothing.
#[derive(Debug)]
pub struct Outcome {
    pub answer: Answer,
    pub changes: Vec<Change>,
    pub notices: Vec<Notice>,
    /// Who was to be told of the end of this node can be read here.
    pub removed: Option<Node>,
}

#[derive(Debug)]
pub enum Answer {
    /// The payload of the iq's result; empty for none.
    Payload(String),
    /// The payloads of these items are to be read first.
    Items(Fetch),
}

/// Items on their way to whoever has asked.
#[derive(Debug)]
pub struct Fetch {
    pub node: Arc<str>,
    pub entries: Vec<Entry>,
    /// The asker is told what else there is.
    pub page: Option<rsm::Given>,
}

/// What is to be kept.
#[derive(Debug, PartialEq)]
pub enum Change {
    PutNode(Arc<str>, Bytes),
    DeleteNode(Arc<str>),
    /// Serial, entry, payload.
    PutItem(u64, Bytes, Bytes),
    DeleteItem(u64),
}

/// Whom to tell what.
#[derive(Debug, PartialEq)]
pub enum Notice {
    /// To everybody who is subscribed, in whatever way: `xml` stands inside `<event/>`.
    News { node: Arc<str>, xml: String, kind: Notification },
    /// To one address: `xml` is what the message holds.
    Message { to: Jid, xml: String, kind: Notification },
    /// To the node's owners, wherever they listen.
    Owners { node: Arc<str>, xml: String, id: String },
    /// The last item, to a new subscriber (6.1.7).
    Last { node: Arc<str>, to: Jid },
}

impl Outcome {
    pub fn empty() -> Outcome {
        Outcome::payload(String::new())
    }

    pub fn payload(xml: String) -> Outcome {
        Outcome { answer: Answer::Payload(xml), changes: Vec::new(), notices: Vec::new(), removed: None }
    }

    pub fn build(xml: Build) -> Outcome {
        Outcome::payload(text(xml))
    }
}

pub fn text(xml: Build) -> String {
    String::from_utf8_lossy(&xml.finish()).into_owned()
}

#[derive(Debug, Default)]
pub struct Service {
    pub(super) nodes: BTreeMap<Arc<str>, Node>,
    items: usize,
    bytes: usize,
}

impl Service {
    /// As it was kept: nodes by name, entries with the name of their node.
    pub fn restore(nodes: Vec<(Arc<str>, Node)>, mut entries: Vec<(Arc<str>, Entry)>) -> Service {
        let mut service = Service { nodes: nodes.into_iter().collect(), ..Service::default() };
        entries.sort_unstable_by_key(|(_, entry)| entry.serial);
        for (node, entry) in entries {
            if let Some(node) = service.nodes.get_mut(&node) {
                service.items += 1;
                service.bytes += entry.weight();
                node.push(entry);
            }
        }
        service
    }

    pub fn node(&self, name: &str) -> Option<&Node> {
        self.nodes.get(name)
    }

    pub fn nodes(&self) -> impl Iterator<Item = (&Arc<str>, &Node)> {
        self.nodes.iter()
    }

    pub fn ask(&mut self, cx: &Context<'_>, request: Request) -> Result<Outcome, Bounce> {
        match request {
            Request::Subscribe { node, jid } => self.subscribe(cx, &node, jid),
            Request::Unsubscribe { node, jid } => self.unsubscribe(cx, &node, &jid),
            Request::Subscriptions { node } => self.own_subscriptions(cx, node.as_deref()),
            Request::Affiliations { node } => self.own_affiliations(cx, node.as_deref()),
            Request::Items { node, ids, newest, page } => self.retrieve(cx, &node, &ids, newest, page),
            Request::Publish { node, item, options } => self.publish(cx, &node, item, options.as_ref()),
            Request::Retract { node, ids, notify } => self.retract(cx, &node, &ids, notify),
            Request::Create { node, config } => self.create(cx, node, config.as_ref()),
            Request::GetConfig { node } => self.get_config(cx, &node),
            Request::SetConfig { node, form } => self.set_config(cx, &node, &form),
            Request::GetDefault => {
                let mut xml = Build::new();
                xml.open_ns("pubsub", OWNER).open("default");
                cx.default.write_form(&mut xml);
                Ok(Outcome::build(xml))
            }
            Request::Delete { node, redirect } => self.delete(cx, &node, redirect.as_deref()),
            Request::Purge { node } => self.purge(cx, &node),
            Request::GetSubscriptions { node } => self.get_subscriptions(cx, &node),
            Request::SetSubscriptions { node, changes } => self.set_subscriptions(cx, &node, changes),
            Request::GetAffiliations { node } => self.get_affiliations(cx, &node),
            Request::SetAffiliations { node, changes } => self.set_affiliations(cx, &node, changes),
        }
    }

    pub(super) fn known(&self, name: &str) -> Result<(Arc<str>, &Node), Bounce> {
        self.nodes.get_key_value(name).map(|(name, node)| (name.clone(), node)).ok_or_else(error::not_found)
    }

    pub(super) fn known_mut(&mut self, name: &str) -> Result<&mut Node, Bounce> {
        self.nodes.get_mut(name).ok_or_else(error::not_found)
    }

    // --- items: the only places where they come and go --------------------------------------------------------------------

    pub(super) fn add(&mut self, name: &Arc<str>, entry: Entry, payload: &Bytes, changes: &mut Vec<Change>) {
        let Some(node) = self.nodes.get_mut(name) else { return };
        self.items += 1;
        self.bytes += entry.weight();
        changes.push(Change::PutItem(entry.serial, stored::encode_entry(name, &entry), payload.clone()));
        node.push(entry);
        node.last = (payload.len() <= LAST_SIZE_BYTES_MAX).then(|| payload.clone());
    }

    /// The payload of the item with that serial was read. False: it is not the last one of its node any more.
    pub fn hold_last(&mut self, name: &str, serial: u64, payload: &Bytes) -> bool {
        let Some(node) = self.nodes.get_mut(name) else { return false };
        let is_last = node.entries.last().is_some_and(|entry| entry.serial == serial);
        if is_last && payload.len() <= LAST_SIZE_BYTES_MAX {
            node.last = Some(payload.clone());
        }
        is_last
    }

    pub(super) fn drop_entry(&mut self, name: &str, at: usize, changes: &mut Vec<Change>) -> Option<Entry> {
        let entry = self.nodes.get_mut(name)?.remove(at)?;
        self.items -= 1;
        self.bytes -= entry.weight();
        changes.push(Change::DeleteItem(entry.serial));
        Some(entry)
    }

    pub(super) fn drop_all(&mut self, name: &str, changes: &mut Vec<Change>) {
        let Some(node) = self.nodes.get_mut(name) else { return };
        for entry in node.clear() {
            self.items -= 1;
            self.bytes -= entry.weight();
            changes.push(Change::DeleteItem(entry.serial));
        }
    }

    /// Is there room for one more of that weight, when one of `freed` weight goes?
    pub(super) fn has_room(&self, quotas: &Quotas, weight: usize, freed: Option<usize>) -> Result<(), Bounce> {
        let items = self.items + 1 - usize::from(freed.is_some()).min(self.items);
        let bytes = (self.bytes + weight).saturating_sub(freed.unwrap_or(0));
        if items > quotas.items_max {
            return Err(error::quota("this account has as many items as it may have"));
        }
        // What makes it less may always be done.
        if bytes > quotas.total_size_bytes_max && bytes > self.bytes {
            return Err(error::quota("the items of this account are as large as they may be"));
        }
        Ok(())
    }

    pub(super) fn insert(&mut self, name: Arc<str>, node: Node, changes: &mut Vec<Change>) {
        changes.push(Change::PutNode(name.clone(), stored::encode_node(&node)));
        self.nodes.insert(name, node);
    }

    pub(super) fn keep(&self, name: &Arc<str>, changes: &mut Vec<Change>) {
        if let Some(node) = self.nodes.get(name) {
            changes.push(Change::PutNode(name.clone(), stored::encode_node(node)));
        }
    }
}

/// A payload up to this size stays in memory while it is the last one of its node: it is what goes out most often.
const LAST_SIZE_BYTES_MAX: usize = 4 * 1024;

/// `<pubsub xmlns='…'>` with one element that names a node.
pub(super) fn open_answer(action: &str, node: &str) -> Build {
    let mut xml = Build::new();
    xml.open_ns("pubsub", NS).open(action).attr("node", node);
    xml
}
