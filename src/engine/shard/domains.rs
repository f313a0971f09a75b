//! Domains of the house: each lives on the shard its name hashes to, from the start to the end.

use std::any::Any;

use super::*;
use crate::domain::{Around, DomainEntity, Outcome, listens_to};

/// What the asker gets: what the function returned, when its writes are on disk.
pub type HostReply = Box<dyn FnOnce(Result<Box<dyn Any + Send>, StoreError>) + Send>;

/// The same for an account; `None`: there is none.
pub type TurnReply = Box<dyn FnOnce(Result<Option<Box<dyn Any + Send>>, StoreError>) + Send>;

impl Shard {
    /// Do something in the turn of an account of this shard.
    pub(super) fn in_account(&mut self, account: &BareJid, f: AccountFn, reply: TurnReply) {
        self.inbox.push_back((Arc::from(account.as_str()), Input::Turn(f, reply)));
    }

    /// Those that live here are read at once: what they publish, accounts want to know.
    pub(super) fn wake_domains(&mut self) {
        let shards = self.inbound.len() as u16;
        let here: Vec<Arc<str>> = self
            .hosts
            .iter()
            .filter(|doors| shard_of(&doors.domain, shards) == self.id)
            .map(|doors| Arc::from(doors.domain.as_str()))
            .collect();
        for key in here {
            if !self.entities.contains_key(&key) {
                self.domains += 1;
                let jobs = self.hosts.get(&key).map_or(0, |doors| doors.every.len());
                (0..jobs).for_each(|index| self.arm(self.now.mono, Timer::Every(key.clone(), index)));
                self.entities.insert(key.clone(), Slot::Loading { waiting: Vec::new(), sessions: Vec::new() });
                self.read_account(key, 0);
            }
        }
    }

    /// It is time for one of the things that a domain does again and again.
    pub(super) fn again(&mut self, domain: Arc<str>, index: usize) {
        let Some(period) = self.hosts.get(&domain).and_then(|doors| Some(doors.every.get(index)?.0)) else { return };
        let f: HostFn = Box::new(move |turn| {
            let doors = turn.doors;
            if let Some((_, f)) = doors.every.get(index) {
                f(turn);
            }
            Box::new(())
        });
        self.in_host(&domain, f, Box::new(|_| {}));
        self.arm(self.now.mono + period, Timer::Every(domain, index));
    }

    /// Do something in the turn of a domain, wherever it lives.
    pub fn in_host(&mut self, domain: &str, f: HostFn, reply: HostReply) {
        if self.hosts.get(domain).is_none() {
            return reply(Err(StoreError::Unavailable(format!("{domain} is not served here"))));
        }
        let home = shard_of(domain, self.inbound.len() as u16);
        if home == self.id {
            self.inbox.push_back((Arc::from(domain), Input::Host(f, reply)));
        } else {
            self.outbox[usize::from(home)].push(Post::InHost(Arc::from(domain), f, reply));
        }
    }

    /// A stanza for the domain of its `to`.
    pub(super) fn send_host(&mut self, mut envelope: Envelope) {
        match listens_to(&envelope.stanza, &envelope.to) {
            Ok(()) => {}
            Err(None) => return self.done(&mut envelope),
            Err(Some(why)) => return self.bounce(envelope, &why),
        }
        let home = shard_of(envelope.to.domain().as_str(), self.inbound.len() as u16);
        if home == self.id {
            self.accept_host(envelope);
        } else {
            self.outbox[usize::from(home)].push(Post::Host(envelope));
        }
    }

    pub(super) fn accept_host(&mut self, envelope: Envelope) {
        let key = match self.entities.get_key_value(envelope.to.domain().as_str()) {
            Some((key, _)) => key.clone(),
            None => Arc::from(envelope.to.domain().as_str()),
        };
        self.inbox.push_back((key, Input::Stanza(envelope)));
    }

    pub(super) fn domain_loaded(&mut self, key: &Arc<str>, woken: Option<&Woken>, waiting: Vec<Input>) {
        let (Some(doors), Ok(jid)) = (self.hosts.get(key).cloned(), iris_core::Jid::new(key)) else {
            return waiting.into_iter().for_each(|input| self.reject(input, &Bounce::nobody()));
        };
        let new_owner = || iris_core::store::OwnerId(self.house.clock.mint(self.now).0);
        let entity = DomainEntity::load(jid, doors, woken, new_owner);
        self.entities.insert(key.clone(), Slot::Domain(Box::new(entity)));
        self.with_domain(key, 0, |entity, cx| {
            entity.woken(cx);
            Outcome::Nothing
        });
        for input in waiting {
            self.run_domain(key, input);
        }
    }

    /// As `run_guarded`: a panic is a bug, and the domain is read anew.
    pub(super) fn run_domain_guarded(&mut self, key: &Arc<str>, input: Input) {
        let turn = std::panic::AssertUnwindSafe(|| self.run_domain(key, input));
        if std::panic::catch_unwind(turn).is_ok() {
            return;
        }
        tracing::error!(domain = &**key, "a turn of a domain has panicked: this is a bug; the domain is read anew");
        self.fx = Effects::default();
        self.entities.insert(key.clone(), Slot::Loading { waiting: Vec::new(), sessions: Vec::new() });
        self.read_account(key.clone(), if self.progress.is_refused(self.last_ticket) { 0 } else { self.last_ticket });
    }

    fn run_domain(&mut self, key: &Arc<str>, input: Input) {
        match input {
            // As in `run`: what it stands on was refused after it had left.
            Input::Stanza(mut envelope) if self.progress.is_refused(envelope.after) => self.done(&mut envelope),
            Input::Stanza(envelope) => {
                let cause = envelope.after;
                self.with_domain(key, cause, |entity, cx| entity.hear(cx, envelope));
            }
            Input::Finished(asked, finish) => self.with_domain(key, 0, |entity, cx| entity.finish(cx, asked, finish)),
            Input::Host(f, reply) => self.with_domain(key, 0, |entity, cx| {
                let result = entity.with_turn(cx, None, f);
                cx.fx.list.push(Effect::AfterCommit(Box::new(move |kept| reply(kept.map(|()| result)))));
                Outcome::Nothing
            }),
            other => self.reject(other, &Bounce::nobody()),
        }
    }

    fn with_domain(&mut self, key: &Arc<str>, cause: Ticket, f: impl FnOnce(&mut DomainEntity, &mut Around<'_>) -> Outcome) {
        let Some(Slot::Domain(entity)) = self.entities.get_mut(key) else { return };
        let mut around = Around { now: self.now, house: &self.house, fx: &mut self.fx };
        let outcome = f(entity, &mut around);
        let ticket = self.perform(key, cause);
        match outcome {
            Outcome::Answer(mut envelope, xml) => {
                envelope.after = envelope.after.max(ticket);
                self.answer_from(envelope, xml);
            }
            Outcome::Bounce(mut envelope, why) => {
                envelope.after = envelope.after.max(ticket);
                self.bounce(envelope, &why);
            }
            Outcome::Done(mut envelope) => {
                envelope.after = envelope.after.max(ticket);
                self.done(&mut envelope);
            }
            Outcome::Nothing => {}
        }
    }

    /// Tell all shards what a domain has published, after the commit.
    pub(super) fn publish(&mut self, key: &Arc<str>, ticket: Ticket, index: usize, value: iris_core::host::Known) {
        let (domain, shards) = (key.clone(), self.inbound.clone());
        let then: AfterCommit = Box::new(move |kept| {
            if kept.is_ok() {
                for shard in &shards {
                    shard.post_one(Post::Published(domain.clone(), index, value.clone()));
                }
            }
        });
        self.when_committed(ticket, then);
    }

    /// Everybody of a domain who has a session on this shard.
    pub(super) fn present(&self, domain: &str) -> Vec<iris_core::ask::Present> {
        let of_domain = |key: &str| key.split_once('@').is_some_and(|(_, of)| of == domain);
        let awake = self.entities.iter().filter_map(|(key, slot)| match slot {
            Slot::Awake(entity) if of_domain(key) && !entity.sessions.is_empty() => Some(entity),
            _ => None,
        });
        awake
            .map(|entity| {
                let facts = admin::sessions(entity, &self.sessions, self.now);
                let active = facts.iter().any(iris_core::ask::SessionFacts::is_active);
                iris_core::ask::Present { jid: entity.jid.clone(), sessions: facts.len(), active }
            })
            .collect()
    }
}
