//! Section "Personal Eventing Protocol": the nodes of an account, their options and their people apart from their items.

use std::collections::{BTreeMap, HashSet};
use std::sync::Arc;

use bytes::Bytes;
use iris_core::store::{Item, Shelf};
use iris_core::xml::{Build, El};
use iris_core::{BareJid, Jid, ns};

use crate::xep0060_pubsub::form::Filled;
use crate::xep0060_pubsub::{self as pubsub, Affiliation, Config, Entry, Node, State, Subscription};
use crate::xep0163_pep::{ITEMS, SHELVES};

/// What moves in, until the last child was read: items may stand before their node.
#[derive(Default)]
pub(super) struct Nodes {
    nodes: BTreeMap<String, Node>,
    /// The node, the id if there is one, and the payload.
    items: Vec<(String, Option<String>, Bytes)>,
    notes: Vec<String>,
}

fn default() -> Config {
    Config::base(192 * 1024)
}

impl Nodes {
    /// `<pubsub/>` of an owner: one `<configure/>` for each node, and who is what to it. What we do not know of its options is
    /// passed over ("importers SHOULD ignore node configuration options that the target server doesn't recognise"), but for the one
    /// that protects it: an access model that is none of ours is the strictest.
    pub(super) fn owned(&mut self, pubsub: &El<'_>, owner: &BareJid, now_us: u64) {
        let children = || pubsub.children().filter(|child| child.ns() == pubsub::OWNER);
        for configure in children().filter(|child| child.local() == "configure") {
            let Some(name) = configure.attr("node").filter(|name| !name.is_empty()) else {
                self.notes.push("PEP: the options of a node without a name were left out".into());
                continue;
            };
            let mut config = default();
            if let Some(form) = configure.child(ns::DATA_FORMS, "x") {
                match Filled::told(&form) {
                    Ok(filled) => self.configure(&name, &mut config, &filled),
                    Err(_) => {
                        config.access = pubsub::Access::Whitelist;
                        self.notes.push(format!("PEP: the options of {name} cannot be read; only you may read it now"));
                    }
                }
            }
            // Each its own number: subscriptions lie under it.
            let number = now_us + self.nodes.len() as u64;
            self.nodes.insert(name.into_owned(), Node::new(config, number, owner.clone()));
        }
        for child in children() {
            let Some(node) = child.attr("node").and_then(|name| self.nodes.get_mut(&*name)) else { continue };
            for it in child.children() {
                let Some(jid) = it.attr("jid").and_then(|jid| iris_core::jids::address(&jid).ok()) else { continue };
                people(node, &it, jid);
            }
        }
    }

    fn configure(&mut self, name: &str, config: &mut Config, filled: &Filled) {
        config.restore(filled, &pubsub::Quotas::NONE);
        let access = filled.value("pubsub#access_model");
        if access.is_some_and(|access| pubsub::Access::parse(access).is_none()) {
            config.access = pubsub::Access::Whitelist;
            self.notes.push(format!("PEP: the access model of {name} is not known here; only you may read it now"));
        }
    }

    /// `<pubsub/>` with the items.
    pub(super) fn published(&mut self, pubsub: &El<'_>) {
        for items in pubsub.children().filter(|child| child.is(pubsub::NS, "items")) {
            let node = items.attr("node").unwrap_or_default().into_owned();
            for item in items.children().filter(|child| child.is(pubsub::NS, "item")) {
                let payload = item.children().next().map(|payload| Bytes::from(payload.closed().into_owned()));
                let id = item.attr("id").map(|id| id.into_owned());
                self.items.push((node.clone(), id, payload.unwrap_or_default()));
            }
        }
    }

    /// What the account is to keep. Items get new places from `now_us` on, in their order; one that is there keeps its place.
    pub(super) fn finish(
        self,
        owner: &BareJid,
        now_us: u64,
        there: &[Item],
        notes: &mut Vec<String>,
    ) -> Vec<(Shelf, Arc<str>, Bytes)> {
        let Nodes { mut nodes, items, notes: mut more } = self;
        // The number of a node is part of where its subscriptions lie.
        for item in there.iter().filter(|item| item.shelf == SHELVES.nodes) {
            let known = pubsub::decode_node(&item.value, &default());
            if let (Some(node), Some(known)) = (nodes.get_mut(&*item.key), known) {
                node.created_us = known.created_us;
            }
        }
        let there: BTreeMap<(Arc<str>, Arc<str>), u64> =
            entries(there).map(|(node, entry)| ((node, entry.id), entry.serial)).collect();
        let mut orphans = BTreeMap::new();
        let mut taken = HashSet::new();
        let mut kept = Vec::new();
        // The newest of one id is the one that counts, so the last comes first.
        for (at, (name, id, payload)) in items.into_iter().enumerate().rev() {
            let Some(node) = nodes.get_mut(&name) else {
                *orphans.entry(name).or_insert(0_usize) += 1;
                continue;
            };
            let serial = now_us + at as u64;
            let id = id.unwrap_or_else(|| pubsub::serial_key(serial));
            if !taken.insert((name.clone(), id.clone()))
                || node.entries.len() >= node.config.max_items.within(&pubsub::Quotas::NONE)
            {
                continue;
            }
            let serial = there.get(&(Arc::from(name.as_str()), Arc::from(id.as_str()))).copied().unwrap_or(serial);
            let size_bytes = u32::try_from(payload.len()).unwrap_or(u32::MAX);
            let entry = Entry { serial, id: id.into(), size_bytes, publisher: owner.as_str().into() };
            let key: Arc<str> = pubsub::serial_key(serial).into();
            kept.push((SHELVES.index, key.clone(), pubsub::encode_entry(&name, &entry)));
            kept.push((ITEMS, key, payload));
            node.entries.push(entry);
        }
        for (name, count) in orphans {
            // "Any node listed in this element MUST have a corresponding configuration": without it nobody knows who may read them.
            more.push(format!("PEP: {count} items of {name} were left out: nothing says who may read them"));
        }
        notes.append(&mut more);
        for (name, node) in &nodes {
            kept.push((SHELVES.nodes, Arc::from(name.as_str()), pubsub::encode_node(node)));
            for it in node.subscriptions.iter() {
                let key = pubsub::subscription_key(node, &it.jid);
                kept.push((SHELVES.subscriptions, key.into(), pubsub::encode_subscription(it)));
            }
        }
        kept
    }
}

fn people(node: &mut Node, it: &El<'_>, jid: Jid) {
    match it.local() {
        "affiliation" => {
            let is = it.attr("affiliation").and_then(|is| Affiliation::parse(&is));
            node.affiliations.extend(is.filter(|is| *is != Affiliation::None).map(|is| (jid.to_bare(), is)));
        }
        "subscription" => {
            let state = match it.attr("subscription").as_deref() {
                Some("subscribed" | "unconfigured") => State::Subscribed,
                Some("pending") => State::Pending,
                _ => return,
            };
            if node.subscriptions.get(&jid).is_none() {
                node.subscriptions.put(Subscription::new(jid, state));
            }
        }
        _ => {}
    }
}

/// The two elements for all nodes of an account; nothing for an account without.
pub(super) fn move_out(items: &[Item]) -> Vec<String> {
    let of = |shelf: Shelf| items.iter().filter(move |item| item.shelf == shelf);
    let config = default();
    let nodes = of(SHELVES.nodes).filter_map(|item| Some((&*item.key, pubsub::decode_node(&item.value, &config)?)));
    let mut nodes: Vec<(&str, Node)> = nodes.collect();
    for (number, it) in of(SHELVES.subscriptions).filter_map(|item| pubsub::decode_subscription(&item.key, &item.value)) {
        if let Some((_, node)) = nodes.iter_mut().find(|(_, node)| node.created_us == number) {
            node.subscriptions.put(it);
        }
    }
    if nodes.is_empty() {
        return Vec::new();
    }
    let (mut owner, mut published) = (Build::new(), Build::new());
    owner.open_ns("pubsub", pubsub::OWNER);
    published.open_ns("pubsub", pubsub::NS);
    let entries: Vec<(Arc<str>, Entry)> = entries(items).collect();
    let payloads: BTreeMap<&str, &Bytes> = of(ITEMS).map(|item| (&*item.key, &item.value)).collect();
    for (name, node) in &nodes {
        owner.open("configure").attr("node", name);
        node.config.write_values(&mut owner, "form");
        owner.close();
        if !node.affiliations.is_empty() {
            owner.open("affiliations").attr("node", name);
            for (jid, is) in &node.affiliations {
                owner.open("affiliation").attr("jid", jid.as_str()).attr("affiliation", is.as_str()).close();
            }
            owner.close();
        }
        if !node.subscriptions.is_empty() {
            owner.open("subscriptions").attr("node", name);
            for it in node.subscriptions.iter() {
                owner.open("subscription").attr("jid", it.jid.as_str()).attr("subscription", it.state.as_str()).close();
            }
            owner.close();
        }
        published.open("items").attr("node", name);
        let mut its: Vec<&Entry> = entries.iter().filter(|(of, _)| **of == **name).map(|(_, entry)| entry).collect();
        its.sort_unstable_by_key(|entry| entry.serial);
        for entry in its {
            published.open("item").attr("id", &entry.id);
            if let Some(payload) = payloads.get(pubsub::serial_key(entry.serial).as_str()) {
                published.raw(payload);
            }
            published.close();
        }
        published.close();
    }
    owner.close();
    published.close();
    vec![super::text(&owner.finish()), super::text(&published.finish())]
}

/// May everybody read this node?
pub(super) fn is_open(items: &[Item], node: &str) -> bool {
    let node = items.iter().find(|item| item.shelf == SHELVES.nodes && *item.key == *node);
    let node = node.and_then(|item| pubsub::decode_node(&item.value, &default()));
    node.is_some_and(|node| node.config.access == pubsub::Access::Open)
}

/// What an item holds.
pub(super) fn payload<'a>(items: &'a [Item], node: &str, id: &str) -> Option<&'a Bytes> {
    let (_, entry) = entries(items).find(|(of, entry)| **of == *node && entry.id.eq_ignore_ascii_case(id))?;
    let key = pubsub::serial_key(entry.serial);
    items.iter().find(|item| item.shelf == ITEMS && *item.key == *key).map(|item| &item.value)
}

fn entries(items: &[Item]) -> impl Iterator<Item = (Arc<str>, Entry)> + '_ {
    items.iter().filter(|item| item.shelf == SHELVES.index).filter_map(|item| pubsub::decode_entry(&item.key, &item.value))
}
