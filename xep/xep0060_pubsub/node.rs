//! One node: its options, who is what to it, and which items there are. Payloads lie elsewhere.

use std::collections::BTreeMap;
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
    /// Ascending by serial.
    pub entries: Vec<Entry>,
    /// The payload of the last entry, when it is at hand.
    pub last: Option<Bytes>,
}

impl Node {
    pub fn new(config: Config, created_us: u64, creator: BareJid) -> Node {
        let (affiliations, subscriptions, entries) = (BTreeMap::new(), Vec::new(), Vec::new());
        Node { config, created_us, creator, affiliations, subscriptions, entries, last: None }
    }

    pub fn find(&self, id: &str) -> Option<usize> {
        // Most items that are asked for are new.
        self.entries.iter().rposition(|entry| *entry.id == *id)
    }
}

impl Entry {
    /// What it costs: an empty item is not free.
    pub fn weight(&self) -> usize {
        self.size_bytes as usize + self.id.len() + 64
    }
}
