//! The turn of a domain. A domain is an entity as an account is one: it has an owner in the store under its own name, states of
//! its rooms that were read from its shelves, and one place where everything for it arrives in order. It stays awake.

use std::any::Any;
use std::marker::PhantomData;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, OnceLock};

use bytes::Bytes;
use jid::Jid;

use crate::effects::{Effect, Effects};
use crate::envelope::Envelope;
use crate::mount::Doors;
use crate::store::{EntryId, OwnerId, Shelf, Write};
use crate::task::{Cx, Pending, TaskFuture};
use crate::time::Now;
use crate::turn::{House, StateSlot};
use crate::xml::scan::XmlError;
use crate::xml::stanza::Stanza;

pub struct HostTurn<'a> {
    pub now: Now,
    pub house: &'a House,
    pub doors: &'a Doors,
    /// Who speaks; the domain itself when the house or a task does something in its turn.
    pub from: &'a Jid,
    /// What was spoken to: the domain, or the account that lets the domain answer (`Reply::Domain`).
    pub to: &'a Jid,
    pub owner: OwnerId,
    /// By `StateSlot::index`.
    pub states: &'a mut [Option<Box<dyn Any>>],
    pub fx: &'a mut Effects,
}

impl HostTurn<'_> {
    pub fn host(&self) -> &str {
        &self.doors.domain
    }

    /// Is the one who speaks somebody of this domain?
    pub fn is_local(&self) -> bool {
        self.from.domain().as_str() == self.doors.domain
    }

    /// The room's state of this domain. `None` only for a room that did not mount the slot.
    pub fn state<T: 'static>(&mut self, slot: &StateSlot<T>) -> Option<&mut T> {
        self.states.get_mut(slot.index())?.as_deref_mut()?.downcast_mut()
    }

    /// A new id of the house clock.
    pub fn mint(&self) -> EntryId {
        self.house.clock.mint(self.now)
    }

    pub fn write(&mut self, write: Write) {
        self.fx.write.push(write);
    }

    pub fn put(&mut self, shelf: Shelf, key: &str, value: impl Into<Bytes>) {
        self.write(Write::Put { owner: self.owner, shelf, key: Arc::from(key), value: value.into() });
    }

    pub fn delete(&mut self, shelf: Shelf, key: &str) {
        self.write(Write::Delete { owner: self.owner, shelf, key: Arc::from(key) });
    }

    /// Append to a log of the domain; `peer` and `tag` as in `Write::Append`.
    pub fn append(&mut self, shelf: Shelf, peer: u64, tag: u64, entry: impl Into<Bytes>) -> EntryId {
        let id = self.mint();
        self.write(Write::Append { owner: self.owner, shelf, id, peer, tag, entry: entry.into() });
        id
    }

    /// To anybody, from the domain. `xml` is a stanza without from and to.
    pub fn send(&mut self, to: Jid, xml: &str) -> Result<(), XmlError> {
        let stanza = Arc::new(Stanza::parse(xml.as_bytes(), &self.house.names)?);
        self.send_stanza(to, stanza);
        Ok(())
    }

    /// The same stanza to many is parsed once.
    pub fn send_stanza(&mut self, to: Jid, stanza: Arc<Stanza>) {
        if let Ok(from) = Jid::new(&self.doors.domain) {
            self.fx.list.push(Effect::Send(Envelope::new(stanza, from, to)));
        }
    }

    /// Begin work that nobody waits for.
    pub fn spawn(&mut self, task: impl FnOnce(Cx) -> TaskFuture) {
        let cx = Cx::default();
        let future = task(cx.clone());
        self.fx.list.push(Effect::Task(Pending { future, cx, asked: None }));
    }

    /// Let every account of the domain know: `Turn::fact` gives it, on all shards, once this turn's writes are on disk.
    pub fn publish<T: Send + Sync + 'static>(&mut self, fact: &Fact<T>, value: T) {
        self.fx.list.push(Effect::Publish(fact.index(), Arc::new(value)));
    }
}

/// Something that a domain lets all its accounts know. A static of the room.
pub struct Fact<T> {
    index: OnceLock<usize>,
    of: PhantomData<fn() -> T>,
}

static FACTS: AtomicUsize = AtomicUsize::new(0);

impl<T: Send + Sync + 'static> Fact<T> {
    pub const fn new() -> Fact<T> {
        Fact { index: OnceLock::new(), of: PhantomData }
    }

    pub fn index(&self) -> usize {
        *self.index.get_or_init(|| FACTS.fetch_add(1, Ordering::Relaxed))
    }
}

impl<T: Send + Sync + 'static> Default for Fact<T> {
    fn default() -> Self {
        Fact::new()
    }
}

pub type Known = Arc<dyn Any + Send + Sync>;

/// What the domains of the house have published, as one shard knows it. Few domains, few facts: looked through.
#[derive(Default)]
pub struct Facts {
    domains: Vec<(Arc<str>, Vec<Option<Known>>)>,
}

impl Facts {
    pub fn get<T: Send + Sync + 'static>(&self, domain: &str, fact: &Fact<T>) -> Option<&T> {
        let (_, facts) = self.domains.iter().find(|(name, _)| **name == *domain)?;
        facts.get(fact.index())?.as_deref()?.downcast_ref()
    }

    pub fn set(&mut self, domain: &str, index: usize, value: Known) {
        let at = self.domains.iter().position(|(name, _)| **name == *domain).unwrap_or_else(|| {
            self.domains.push((Arc::from(domain), Vec::new()));
            self.domains.len() - 1
        });
        let facts = &mut self.domains[at].1;
        if facts.len() <= index {
            facts.resize_with(index + 1, || None);
        }
        facts[index] = Some(value);
    }
}
