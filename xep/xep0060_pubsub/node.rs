//! One node: its options, who is what to it, and which items there are. Payloads lie elsewhere.

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;

use bytes::Bytes;
use iris_core::{BareJid, Jid};

use super::{Affiliation, Config};

/// 4.2.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum State {
    Pending,
    Subscribed,
}

impl State {
    pub const fn as_str(self) -> &'static str {
        match self {
            State::Pending => "pending",
            State::Subscribed => "subscribed",
        }
    }
}

#[derive(Clone, Debug, PartialEq)]
pub struct Subscription {
    /// Bare or full.
    pub jid: Jid,
    pub state: State,
}

impl Subscription {
    pub fn is_active(&self) -> bool {
        self.state == State::Subscribed
    }
}

/// An item without its payload.
#[derive(Clone, Debug, PartialEq)]
pub struct Entry {
    /// Its place in the order of publication (12.1), and the moment: microseconds of the house clock.
    pub serial: u64,
    pub id: Arc<str>,
    /// Of the payload.
    pub size_bytes: u32,
    /// Who published it, as they spoke.
    pub publisher: Arc<str>,
}

#[derive(Clone, Debug)]
pub struct Node {
    pub config: Config,
    /// Microseconds since 1970.
    pub created_us: u64,
    pub creator: BareJid,
    /// Without "none".
    pub affiliations: BTreeMap<BareJid, Affiliation>,
    pub subscriptions: Vec<Subscription>,
    /// Ascending by serial. Changed by the methods below only.
    pub entries: Vec<Entry>,
    /// The serial of each id.
    serials: HashMap<Arc<str>, u64>,
    /// The payload of the last entry, when it is at hand.
    pub last: Option<Bytes>,
}

impl Node {
    pub fn new(config: Config, created_us: u64, creator: BareJid) -> Node {
        let (affiliations, subscriptions, entries) = (BTreeMap::new(), Vec::new(), Vec::new());
        Node { config, created_us, creator, affiliations, subscriptions, entries, serials: HashMap::new(), last: None }
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
    /// What it costs: an empty item is not free.
    pub fn weight(&self) -> usize {
        self.size_bytes as usize + self.id.len() + 64
    }
}
