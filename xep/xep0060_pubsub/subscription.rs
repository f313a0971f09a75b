//! Who hears of a node: one subscription for each address (6.1.6 leaves it to the service whether there may be several).

use std::collections::BTreeMap;

use iris_core::{BareJid, Jid};

use super::options::Options;

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
    pub options: Options,
    /// XEP-0465: everybody may know of it.
    pub public: bool,
}

impl Subscription {
    pub fn new(jid: Jid, state: State) -> Subscription {
        Subscription { jid, state, options: Options::default(), public: false }
    }

    pub fn is_active(&self) -> bool {
        self.state == State::Subscribed
    }

    /// 8.4.2: of the end of the node, whoever waits for an owner is told too.
    pub fn hears_end(&self, now_us: u64) -> bool {
        self.state == State::Pending || self.hears(now_us)
    }

    /// Is it to be told of what happens at this moment? `now_us`: microseconds since 1970.
    pub fn hears(&self, now_us: u64) -> bool {
        self.is_active() && self.options.deliver && !self.options.is_over(now_us)
    }
}

/// All of one node, found by whose they are.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Subscriptions {
    by_person: BTreeMap<BareJid, Vec<Subscription>>,
    len: usize,
}

impl Subscriptions {
    pub fn len(&self) -> usize {
        self.len
    }

    pub fn is_empty(&self) -> bool {
        self.len == 0
    }

    pub fn iter(&self) -> impl Iterator<Item = &Subscription> {
        self.by_person.values().flatten()
    }

    /// By whose they are.
    pub fn people(&self) -> impl Iterator<Item = (&BareJid, &[Subscription])> {
        self.by_person.iter().map(|(person, of)| (person, of.as_slice()))
    }

    /// Those of one person: of the bare address and of its resources.
    pub fn of(&self, person: &BareJid) -> &[Subscription] {
        self.by_person.get(person).map_or(&[], Vec::as_slice)
    }

    pub fn get(&self, jid: &Jid) -> Option<&Subscription> {
        self.of(&jid.to_bare()).iter().find(|it| it.jid == *jid)
    }

    pub fn get_mut(&mut self, jid: &Jid) -> Option<&mut Subscription> {
        self.by_person.get_mut(&jid.to_bare())?.iter_mut().find(|it| it.jid == *jid)
    }

    /// In the place of the one of the same address.
    pub fn put(&mut self, it: Subscription) {
        let of = self.by_person.entry(it.jid.to_bare()).or_default();
        match of.iter_mut().find(|other| other.jid == it.jid) {
            Some(other) => *other = it,
            None => {
                of.push(it);
                self.len += 1;
            }
        }
    }

    pub fn remove(&mut self, jid: &Jid) -> Option<Subscription> {
        let person = jid.to_bare();
        let of = self.by_person.get_mut(&person)?;
        let at = of.iter().position(|it| it.jid == *jid)?;
        let gone = of.remove(at);
        if of.is_empty() {
            self.by_person.remove(&person);
        }
        self.len -= 1;
        Some(gone)
    }
}
