//! One node: its options, who is what to it, and which items there are. Payloads lie elsewhere.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::sync::Arc;

use bytes::Bytes;
use iris_core::BareJid;

use super::{Affiliation, Config, Subscriptions};

/// An item without its payload.
#[derive(Clone, Debug, PartialEq)]
pub struct Entry {
    /// Its place in the order of publication (12.1), and the moment: microseconds of the house clock.
    pub serial: u64,
    pub id: Arc<str>,
    /// Of the payload.
    pub size_bytes: u32,
    /// Who published it; of items of before with their device.
    pub publisher: Arc<str>,
}

#[derive(Clone, Debug)]
pub struct Node {
    pub config: Config,
    /// Microseconds since 1970, of the house clock: no other node has the same.
    pub created_us: u64,
    pub creator: BareJid,
    /// Without "none".
    pub affiliations: BTreeMap<BareJid, Affiliation>,
    pub subscriptions: Subscriptions,
    /// Those who follow in public (XEP-0465).
    pub followers: BTreeSet<BareJid>,
    /// Subscriptions are kept with the node, as they once were, and not each for itself.
    pub(super) in_one_piece: bool,
    /// Ascending by serial. Changed by the methods below only.
    pub entries: Vec<Entry>,
    /// The serial of each id.
    serials: HashMap<Arc<str>, u64>,
    /// The payload of the last entry, when it is at hand.
    pub last: Option<Bytes>,
}

impl Node {
    pub fn new(config: Config, created_us: u64, creator: BareJid) -> Node {
        Node {
            config,
            created_us,
            creator,
            affiliations: BTreeMap::new(),
            subscriptions: Subscriptions::default(),
            followers: BTreeSet::new(),
            in_one_piece: false,
            entries: Vec::new(),
            serials: HashMap::new(),
            last: None,
        }
    }

    pub fn find(&self, id: &str) -> Option<usize> {
        let serial = self.serials.get(id)?;
        self.entries.binary_search_by_key(serial, |entry| entry.serial).ok()
    }

    /// The newest one.
    pub(super) fn push(&mut self, entry: Entry) {
        self.serials.insert(entry.id.clone(), entry.serial);
        self.entries.push(entry);
    }

    pub(super) fn remove(&mut self, at: usize) -> Option<Entry> {
        if at >= self.entries.len() {
            return None;
        }
        if at + 1 == self.entries.len() {
            self.last = None;
        }
        let entry = self.entries.remove(at);
        if self.serials.get(&entry.id) == Some(&entry.serial) {
            self.serials.remove(&entry.id);
        }
        Some(entry)
    }

    pub(super) fn clear(&mut self) -> Vec<Entry> {
        self.last = None;
        self.serials.clear();
        std::mem::take(&mut self.entries)
    }
}

impl Entry {
    /// A bare address.
    pub fn published_by(&self) -> &str {
        iris_core::jids::bare(&self.publisher)
    }

    /// What it costs: an empty item is not free.
    pub fn weight(&self) -> usize {
        self.size_bytes as usize + self.id.len() + 64
    }
}
