//! The turn of a domain, of a service of it (`conference.domain`), or of what lives behind one (`room@conference.domain`). Each is an
//! entity as an account is one: it has an owner in the store under its own name, states that were read from its shelves, and one
//! place where everything for it arrives in order. Domains and services stay awake; what lives behind a service sleeps when nothing
//! keeps it awake (`stay_awake`).

use std::any::Any;
use std::collections::HashMap;
use std::marker::PhantomData;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use bytes::Bytes;
use jid::{BareJid, Jid};

use crate::effects::{Effect, Effects};
use crate::envelope::{Envelope, Said};
use crate::mount::{Doors, GetOrSet};
use crate::store::{EntryId, OwnerId, Shelf, Write};
use crate::task::{Cx, TaskFuture};
use crate::time::{Mono, Now};
use crate::turn::{House, StateSlot, Turn};
use crate::xml::scan::XmlError;
use crate::xml::stanza::{Stanza, StanzaType};
use crate::xml::wire::{Stamps, Wire};

pub struct HostTurn<'a> {
    pub now: Now,
    pub house: &'a House,
    pub doors: &'a Doors,
    /// Whose turn it is.
    pub jid: &'a Jid,
    /// Who speaks; the domain itself when the house or a task does something in its turn.
    pub from: &'a Jid,
    /// Who speaks is a guest (XEP-0175).
    pub guest: bool,
    /// What was spoken to: the domain, or the account that lets the domain answer (`Reply::Domain`).
    pub to: &'a Jid,
    pub owner: OwnerId,
    /// By `StateSlot::index`.
    pub states: &'a mut [Option<Box<dyn Any>>],
    pub awake: &'a mut bool,
    pub disowned: &'a mut bool,
    /// What it has asked and was not told yet.
    pub questions: &'a mut HostQuestions,
    pub fx: &'a mut Effects,
}

impl HostTurn<'_> {
    pub fn host(&self) -> &str {
        &self.doors.domain
    }

    /// Has the one who speaks an account of this domain (of a service: of the domain it belongs to)? A guest has none.
    pub fn is_local(&self) -> bool {
        !self.guest && self.from.domain().as_str() == self.doors.home()
    }

    /// The room's state of this domain. `None` only for a room that did not mount the slot.
    pub fn state<T: 'static>(&mut self, slot: &StateSlot<T>) -> Option<&mut T> {
        self.states.get_mut(slot.index())?.as_deref_mut()?.downcast_mut()
    }

    /// Work with the state and have the turn at the same time. What is in the slot meanwhile: nothing.
    pub fn with_state<T: 'static, R>(&mut self, slot: &StateSlot<T>, f: impl FnOnce(&mut Self, &mut T) -> R) -> Option<R> {
        let mut state = self.states.get_mut(slot.index())?.take()?;
        let result = state.downcast_mut().map(|state| f(self, state));
        if let Some(place) = self.states.get_mut(slot.index()) {
            *place = Some(state);
        }
        result
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

    /// Behind a service: forget everything that is kept for it. What is written after this turn belongs to a new owner.
    pub fn disown(&mut self) {
        self.fx.write.writes.retain(|write| !matches!(write, Write::Put { .. } | Write::Delete { .. } | Write::Append { .. }));
        self.write(Write::Disown { owner: self.owner });
        *self.disowned = true;
    }

    /// Ask anybody with an iq from this domain: `payload` is the one child. `then` has the answer (a result or an error), or nothing
    /// when there is none within `deadline`. False: so many questions are open already, and nothing was sent.
    pub fn iq(
        &mut self,
        to: Jid,
        kind: GetOrSet,
        payload: &str,
        deadline: Duration,
        then: impl FnOnce(&mut HostTurn<'_>, Option<&Stanza>) + 'static,
    ) -> bool {
        self.iq_for(None, to, kind, payload, deadline, then)
    }

    /// The same on behalf of somebody, of whom so many questions are open and no more (`HOST_QUESTIONS_PER_PERSON_MAX`).
    pub fn iq_for(
        &mut self,
        person: Option<&BareJid>,
        to: Jid,
        kind: GetOrSet,
        payload: &str,
        deadline: Duration,
        then: impl FnOnce(&mut HostTurn<'_>, Option<&Stanza>) + 'static,
    ) -> bool {
        let until = self.now.mono + deadline;
        let Some(id) = self.questions.add(to.clone(), person, until, Box::new(then)) else { return false };
        let sent = self.send(to, &kind.question(&id, payload));
        debug_assert!(sent.is_ok(), "our own question is not XML: {sent:?}");
        self.fx.list.push(Effect::Alarm(until));
        true
    }

    /// To anybody, from the domain. `xml` is a stanza without from and to.
    pub fn send(&mut self, to: Jid, xml: &str) -> Result<(), XmlError> {
        let stanza = Arc::new(Stanza::parse(xml.as_bytes(), &self.house.names)?);
        self.send_stanza(to, stanza);
        Ok(())
    }

    /// The same stanza to many is parsed once.
    pub fn send_stanza(&mut self, to: Jid, stanza: Arc<Stanza>) {
        self.send_as(self.jid.clone(), to, stanza);
    }

    /// From a resource of this entity: an occupant of a room.
    pub fn send_as(&mut self, from: Jid, to: Jid, stanza: Arc<Stanza>) {
        debug_assert_eq!(from.to_bare(), self.jid.to_bare());
        self.fx.list.push(Effect::Send(Envelope::new(stanza, from, to)));
    }

    /// The same to all of these, from a resource of this entity. It is rendered once, and goes to each shard as one item.
    ///
    /// No child of it may claim to be added by a recipient's server (`<stanza-id by=.../>` of an account): what is rendered once is
    /// not looked through again for each of them.
    pub fn fan_out(&mut self, from: Jid, stanza: Arc<Stanza>, to: Arc<[Jid]>) {
        self.fan_out_stamped(from, stanza, Stamps::default(), to);
    }

    /// The same with what this entity leaves out of it and adds to it. (`Stamps::from` is `from`.)
    pub fn fan_out_stamped(&mut self, from: Jid, stanza: Arc<Stanza>, stamps: Stamps, to: Arc<[Jid]>) {
        self.fan_out_with(from, stanza, stamps, to, None);
    }

    fn fan_out_with(&mut self, from: Jid, stanza: Arc<Stanza>, stamps: Stamps, to: Arc<[Jid]>, said: Option<Said>) {
        debug_assert_eq!(from.to_bare(), self.jid.to_bare());
        if !to.is_empty() {
            let stamps = Stamps { from: Some(Arc::from(from.as_str())), ..stamps };
            let mut envelope = Envelope::new(stanza, from, self.jid.clone());
            (envelope.stamps, envelope.said) = (stamps, said);
            self.fx.list.push(Effect::FanOut(envelope, to));
        }
    }

    /// The same, and what its recipients' accounts are to know of it.
    pub fn fan_out_said(&mut self, from: Jid, stanza: Arc<Stanza>, stamps: Stamps, to: Arc<[Jid]>, said: Said) {
        self.fan_out_with(from, stanza, stamps, to, Some(said));
    }

    /// To one, from a resource of this entity; `wire` is the stanza with its stamps, rendered already.
    pub fn send_wire(&mut self, from: Jid, to: Jid, stanza: Arc<Stanza>, stamps: Stamps, wire: Arc<Wire>) {
        debug_assert_eq!(from.to_bare(), self.jid.to_bare());
        let stamps = Stamps { from: Some(Arc::from(from.as_str())), ..stamps };
        let mut envelope = Envelope::new(stanza, from, to);
        (envelope.stamps, envelope.wire) = (stamps, Some(wire));
        self.fx.list.push(Effect::Send(envelope));
    }

    /// Behind a service: whether it stays in memory when nothing happens to it for a while. What was not stored is forgotten then.
    /// Said anew in any turn; `false` at the beginning.
    pub fn stay_awake(&mut self, awake: bool) {
        *self.awake = awake;
    }

    /// Have a turn at this moment (`Mount::on_alarm`), if it is awake then.
    pub fn alarm(&mut self, at: Mono) {
        self.fx.list.push(Effect::Alarm(at));
    }

    /// Do something in the turn of another domain, service or entity behind one, once what this turn writes is on disk. Nobody
    /// learns what became of it.
    pub fn tell(&mut self, jid: &str, f: impl FnOnce(&mut HostTurn<'_>) + Send + 'static) {
        self.fx.tell(jid, f);
    }

    /// The same in the turn of an account; nothing happens if there is none.
    pub fn tell_account(&mut self, account: BareJid, f: impl FnOnce(&mut Turn<'_>) + Send + 'static) {
        self.fx.list.push(Effect::TellAccount(
            account,
            Box::new(move |turn| {
                f(turn);
                Box::new(())
            }),
        ));
    }

    /// Begin work that nobody waits for.
    pub fn spawn(&mut self, task: impl FnOnce(Cx) -> TaskFuture) {
        self.fx.spawn(task);
    }

    /// Let every account of the domain know: `Turn::fact` gives it, on all shards, once this turn's writes are on disk.
    pub fn publish<T: Send + Sync + 'static>(&mut self, fact: &Fact<T>, value: T) {
        self.fx.list.push(Effect::Publish(fact.index(), Arc::new(value)));
    }
}

/// What to do with the answer to a question of a domain: an iq of type result or error, or nothing in time.
pub type HostThen = Box<dyn FnOnce(&mut HostTurn<'_>, Option<&Stanza>)>;

/// Questions of one domain that are not answered yet.
pub const HOST_QUESTIONS_MAX: usize = 8_192;
/// Of these on behalf of one person: one who asks the silent keeps nobody else from asking.
pub const HOST_QUESTIONS_PER_PERSON_MAX: usize = 32;

/// What a domain has asked others (`HostTurn::iq`).
#[derive(Default)]
pub struct HostQuestions {
    open: HashMap<u64, HostQuestion>,
    of_person: HashMap<BareJid, usize>,
    last: u64,
}

struct HostQuestion {
    /// Only this one can answer.
    of: Jid,
    person: Option<BareJid>,
    until: Mono,
    then: HostThen,
}

/// The id of an answer that is a domain's begins so.
const QUESTION: &str = "ask-d";

impl HostQuestions {
    fn add(&mut self, of: Jid, person: Option<&BareJid>, until: Mono, then: HostThen) -> Option<String> {
        if self.open.len() >= HOST_QUESTIONS_MAX {
            return None;
        }
        if let Some(person) = person {
            let count = self.of_person.entry(person.clone()).or_default();
            if *count >= HOST_QUESTIONS_PER_PERSON_MAX {
                return None;
            }
            *count += 1;
        }
        self.last += 1;
        self.open.insert(self.last, HostQuestion { of, person: person.cloned(), until, then });
        Some(format!("{QUESTION}{:x}", self.last))
    }

    /// Might this iq be an answer to some domain?
    pub fn may_be_answer(stanza: &Stanza) -> bool {
        matches!(stanza.stype(), StanzaType::Result | StanzaType::Error)
            && stanza.id().is_some_and(|id| id.starts_with(QUESTION))
    }

    /// Is this the answer of the one who was asked?
    pub fn answered(&mut self, by: &Jid, stanza: &Stanza) -> Option<HostThen> {
        let id = u64::from_str_radix(stanza.id()?.strip_prefix(QUESTION)?, 16).ok()?;
        if self.open.get(&id)?.of != *by {
            return None;
        }
        self.take(id)
    }

    fn take(&mut self, id: u64) -> Option<HostThen> {
        let question = self.open.remove(&id)?;
        if let Some(person) = &question.person
            && let Some(count) = self.of_person.get_mut(person)
        {
            *count -= 1;
            if *count == 0 {
                self.of_person.remove(person);
            }
        }
        Some(question.then)
    }

    pub fn overdue(&mut self, now: Mono) -> Vec<HostThen> {
        let late: Vec<u64> = self.open.iter().filter(|(_, it)| it.until <= now).map(|(id, _)| *id).collect();
        late.into_iter().filter_map(|id| self.take(id)).collect()
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_person_has_so_many_questions_asked_at_once() {
        let mut questions = HostQuestions::default();
        let [romeo, juliet] = ["romeo@house", "juliet@house"].map(|jid| BareJid::new(jid).expect("a JID"));
        let silent = Jid::new("silent.test").expect("a JID");
        let until = Mono(Duration::from_secs(60));
        let ask = |questions: &mut HostQuestions, person: &BareJid| {
            questions.add(silent.clone(), Some(person), until, Box::new(|_, _| {})).is_some()
        };
        assert!((0..HOST_QUESTIONS_PER_PERSON_MAX).all(|_| ask(&mut questions, &romeo)));
        assert!(!ask(&mut questions, &romeo) && ask(&mut questions, &juliet));
        // Answered or overdue, they count no more.
        assert_eq!(questions.overdue(until).len(), HOST_QUESTIONS_PER_PERSON_MAX + 1);
        assert!(ask(&mut questions, &romeo) && questions.of_person.len() == 1);
    }
}
