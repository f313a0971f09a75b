//! Domains of the house and their services: each lives on the shard its name hashes to, from the start to the end. What lives behind a
//! service (a room) is the same kind of entity: it is read when something is sent to it, and sleeps when nothing keeps it.

use std::time::Duration;

use iris_core::mount::Tail;

use super::lives::RESENT_TAGS_MAX;
use super::*;
use crate::domain::{Around, DomainEntity, Found, Outcome, listens_to};

/// What the asker gets: what the function returned, when its writes are on disk.
pub type HostReply = Box<dyn FnOnce(Result<Box<dyn Any + Send>, StoreError>) + Send>;

/// The same for an account; `None`: there is none.
pub type TurnReply = Box<dyn FnOnce(Result<Option<Box<dyn Any + Send>>, StoreError>) + Send>;

/// How often it is looked whether a domain that a reload took away is back.
const GONE_PERIOD: Duration = Duration::from_secs(60);

impl Shard {
    /// Do something in the turn of an account of this shard.
    pub fn in_account(&mut self, account: &BareJid, f: AccountFn, reply: TurnReply) {
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
                let jobs = self.hosts.get(&key).map_or(0, |doors| doors.every.len());
                (0..jobs).for_each(|index| self.arm(self.now.mono, Timer::Every(key.clone(), index)));
                self.entities.insert(key.clone(), Slot::Loading { waiting: Vec::new(), sessions: Vec::new() });
                self.read_account(key, 0);
            }
        }
    }

    pub(super) fn domains_reloaded(&mut self) {
        let is_awake = |(_, slot): &(&Arc<str>, &Slot)| matches!(slot, Slot::Domain(entity) if !entity.is_behind());
        let keys: Vec<Arc<str>> = self.entities.iter().filter(is_awake).map(|(key, _)| key.clone()).collect();
        for key in keys.into_iter().filter(|key| self.hosts.of_key(key).is_some()) {
            let f: HostFn = Box::new(|turn| {
                let doors = turn.doors;
                doors.host_woken.iter().for_each(|f| f(turn));
                Box::new(())
            });
            self.inbox.push_back((key, Input::Host(f, Box::new(|_| {}))));
        }
    }

    /// It is time for one of the things that a domain does again and again.
    pub(super) fn again(&mut self, domain: Arc<str>, index: usize) {
        let Some(period) = self.hosts.get(&domain).and_then(|doors| Some(doors.every.get(index)?.0)) else {
            // Another reload may bring it back, and what it was is still here.
            if self.entities.contains_key(&domain) {
                self.arm(self.now.mono + GONE_PERIOD, Timer::Every(domain, index));
            }
            return;
        };
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

    /// The house is about to close, and what lives behind services says so to those who can still hear it. How much of what is to be
    /// heard is not written yet: asked again until it is nothing, or until there is no more time.
    pub fn closing(&mut self) -> usize {
        let behind = |slot: &Slot| matches!(slot, Slot::Domain(entity) if entity.is_behind());
        let keys: Vec<Arc<str>> = self.entities.iter().filter(|(_, slot)| behind(slot)).map(|(key, _)| key.clone()).collect();
        for key in keys {
            let f: HostFn = Box::new(|turn| {
                let doors = turn.doors;
                doors.entities.iter().flat_map(|entities| &entities.closing).for_each(|f| f(turn));
                Box::new(())
            });
            self.run_domain_guarded(&key, Input::Host(f, Box::new(|_| {})));
        }
        self.flush();
        self.inbox.len() + self.sessions.iter().map(Session::unwritten).sum::<usize>()
    }

    /// A domain or a service, or an address behind a service (whether or not anything lives there).
    pub(super) fn is_host(&self, address: &str) -> bool {
        self.hosts.of_key(address).is_some_and(|doors| doors.entities.is_some() || !address.contains('@'))
    }

    /// Do something in the turn of a domain, of a service or of what lives behind one, wherever it lives.
    pub fn in_host(&mut self, domain: &str, f: HostFn, reply: HostReply) {
        if !self.is_host(domain) {
            return reply(Err(StoreError::Unavailable(format!("{domain} is not served here"))));
        }
        let home = shard_of(domain, self.inbound.len() as u16);
        if home == self.id {
            self.inbox.push_back((Arc::from(domain), Input::Host(f, reply)));
        } else {
            self.outbox[usize::from(home)].push(Post::InHost(Arc::from(domain), f, reply));
        }
    }

    /// Whose turn a stanza for a domain or a service of ours is: its own, or that of what lives behind it.
    fn host_key<'a>(&self, to: &'a Jid) -> &'a str {
        let domain = to.domain().as_str();
        let behind = to.node().is_some() && self.hosts.get(domain).is_some_and(|doors| doors.entities.is_some());
        if behind { bare_str(to) } else { domain }
    }

    /// A stanza for the domain of its `to`.
    pub(super) fn send_host(&mut self, mut envelope: Box<Envelope>) {
        let Some(doors) = self.hosts.get(envelope.to.domain().as_str()) else {
            return self.bounce(envelope, &Bounce::nobody());
        };
        match listens_to(doors, &envelope.stanza, &envelope.to) {
            Ok(()) => {}
            Err(None) => return self.done(&mut envelope),
            Err(Some(why)) => return self.bounce(envelope, &why),
        }
        let home = shard_of(self.host_key(&envelope.to), self.inbound.len() as u16);
        if home == self.id {
            self.accept_host(envelope);
        } else {
            self.outbox[usize::from(home)].push(Post::Host(envelope));
        }
    }

    pub(super) fn accept_host(&mut self, envelope: Box<Envelope>) {
        let key = self.host_key(&envelope.to);
        let key = match self.entities.get_key_value(key) {
            Some((key, _)) => key.clone(),
            None => Arc::from(key),
        };
        self.inbox.push_back((key, Input::Stanza(envelope)));
    }

    pub(super) fn domain_loaded(&mut self, key: &Arc<str>, woken: Option<Woken>, waiting: Vec<Input>) {
        let Some(doors) = self.hosts.of_key(key) else {
            return waiting.into_iter().for_each(|input| self.reject(input, &Bounce::nobody()));
        };
        let tail = doors.entities.as_ref().filter(|_| key.contains('@')).and_then(|entities| entities.tail);
        let Some((woken, (shelf, max))) = woken.clone().zip(tail) else {
            return self.domain_read(key, woken.as_ref(), Tail::default(), waiting);
        };
        let (home, key, owner) = (self.inbound[usize::from(self.id)].clone(), key.clone(), woken.owner);
        self.entities.insert(key.clone(), Slot::Loading { waiting, sessions: Vec::new() });
        let query = LogQuery { max, last: true, ..LogQuery::default() };
        let after = if self.progress.is_refused(self.last_ticket) { 0 } else { self.last_ticket };
        let then = Box::new(move |rows| home.post_one(Post::Tail(key, Box::new(woken), rows)));
        self.store.read(after, Read::Log { owner, shelf, query }, then);
    }

    /// The last entries of its log are there as well; soon after a restart or a refusal, one more read before it lives.
    pub(super) fn tail_loaded(&mut self, key: Arc<str>, woken: Box<Woken>, rows: Result<Rows, StoreError>) {
        let Some(Slot::Loading { .. }) = self.entities.get(&key) else { return };
        let entries = match rows {
            Ok(Rows::Log(page)) => page.entries,
            Ok(_) => return self.unread(&key, &StoreError::Broken("another answer than was asked for".into())),
            Err(why) => return self.unread(&key, &why),
        };
        let tail = self.hosts.of_key(&key).and_then(|doors| doors.entities.as_ref()?.tail);
        let Some((since, (shelf, _))) = self.resent_since().zip(tail) else {
            return self.tail_read(&key, &woken, Tail { entries: &entries, tags: &[] });
        };
        let read = Read::Tags { owner: woken.owner, shelf, since, max: RESENT_TAGS_MAX };
        let home = self.inbound[usize::from(self.id)].clone();
        let then = Box::new(move |rows| home.post_one(Post::TailTags(key, woken, entries, rows)));
        self.store.read(0, read, then);
    }

    pub(super) fn tail_tags_loaded(
        &mut self,
        key: &Arc<str>,
        woken: &Woken,
        entries: &[Entry],
        rows: Result<Rows, StoreError>,
    ) {
        match rows {
            Ok(Rows::Tags(tags)) => self.tail_read(key, woken, Tail { entries, tags: &tags }),
            Ok(_) => self.unread(key, &StoreError::Broken("another answer than was asked for".into())),
            Err(why) => self.unread(key, &why),
        }
    }

    fn tail_read(&mut self, key: &Arc<str>, woken: &Woken, tail: Tail<'_>) {
        if let Some(Slot::Loading { .. }) = self.entities.get(key)
            && let Some(Slot::Loading { waiting, .. }) = self.entities.remove(key)
        {
            self.domain_read(key, Some(woken), tail, waiting);
        }
    }

    fn unread(&mut self, key: &Arc<str>, why: &StoreError) {
        let Some(Slot::Loading { .. }) = self.entities.get(key) else { return };
        if *why == StoreError::Refused {
            return self.read_account(key.clone(), 0);
        }
        tracing::error!(entity = &**key, "its log cannot be read from storage");
        let Some(Slot::Loading { waiting, .. }) = self.entities.remove(key) else { return };
        let why = Bounce::new(Condition::InternalServerError);
        waiting.into_iter().for_each(|input| self.reject(input, &why));
    }

    fn domain_read(&mut self, key: &Arc<str>, woken: Option<&Woken>, tail: Tail<'_>, waiting: Vec<Input>) {
        let jid = Jid::new(key).ok().filter(|jid| *jid.as_str() == **key);
        let (Some(doors), Some(jid)) = (self.hosts.of_key(key).cloned(), jid) else {
            return waiting.into_iter().for_each(|input| self.reject(input, &Bounce::nobody()));
        };
        let new_owner = || iris_core::store::OwnerId(self.house.clock.mint(self.now).0);
        let found = Found { woken, tail, before: self.reloading.remove(key) };
        let entity = DomainEntity::load(jid, doors, found, new_owner);
        self.entities.insert(key.clone(), Slot::Domain(Box::new(entity)));
        self.with_domain(key, 0, |entity, cx| {
            entity.woken(cx);
            Outcome::Nothing
        });
        for input in waiting {
            self.run_domain(key, input);
        }
        self.rest_entity(key);
    }

    /// When nothing keeps it awake any more, look again after its grace.
    fn rest_entity(&mut self, key: &Arc<str>) {
        if let Some(Slot::Domain(entity)) = self.entities.get_mut(key)
            && entity.is_idle()
            && !entity.resting
        {
            entity.resting = true;
            self.arm(self.now.mono + self.house.limits.account_grace, Timer::Entity(key.clone()));
        }
    }

    pub(super) fn entity_rested(&mut self, key: &Arc<str>) {
        let (now, grace) = (self.now.mono, self.house.limits.account_grace);
        let Some(Slot::Domain(entity)) = self.entities.get_mut(key) else { return };
        entity.resting = false;
        if entity.may_sleep(now, grace) && entity.last_state <= self.progress.resolved {
            self.entities.remove(key);
        } else {
            self.rest_entity(key);
        }
    }

    // --- to many, and to each other ---------------------------------------------------------------------------------------

    /// The same to many accounts: one item for each shard. Whoever is no account of ours gets a stanza of their own.
    pub(super) fn fan_out(&mut self, mut envelope: Box<Envelope>, to: &[Jid]) {
        envelope.stamps.from = Some(Arc::from(envelope.from.as_str()));
        envelope.hops += 1;
        if envelope.wire.is_none() {
            envelope.wire = Some(Arc::new(iris_core::xml::wire::render(&envelope.stanza, &envelope.stamps)));
        }
        let shards = self.inbound.len() as u16;
        let mut parts: Vec<Vec<Jid>> = vec![Vec::new(); usize::from(shards)];
        for to in to {
            match decide(&self.hosts, to) {
                Route::Account => parts[usize::from(shard_of(bare_str(to), shards))].push(to.clone()),
                Route::Host | Route::Remote => self.route(envelope.copy_to(to.clone())),
            }
        }
        for (shard, to) in parts.into_iter().enumerate() {
            if shard == usize::from(self.id) {
                self.fan_out_here(&envelope, to);
            } else if !to.is_empty() {
                self.outbox[shard].push(Post::FanOut(envelope.copy_to(envelope.to.clone()), to));
            }
        }
    }

    pub(super) fn fan_out_here(&mut self, envelope: &Envelope, to: Vec<Jid>) {
        for to in to {
            self.accept(envelope.copy_to(to));
        }
    }

    /// What a client has asked for. Of a client elsewhere each is a stanza of its own.
    pub(super) fn burst(&mut self, to: Jid, outs: Vec<Out>) {
        if decide(&self.hosts, &to) != Route::Account {
            for out in outs {
                let Ok(stanza) = Stanza::parse(&out.wire.bytes, &self.house.names) else { continue };
                let Some(from) = stanza.from_jid().ok().flatten() else { continue };
                let after = out.after;
                let mut envelope = Envelope::new(Arc::new(stanza), from, to.clone());
                envelope.after = after;
                self.route(envelope);
            }
            return;
        }
        let home = shard_of(bare_str(&to), self.inbound.len() as u16);
        if home != self.id {
            return self.outbox[usize::from(home)].push(Post::Burst(to, outs));
        }
        let Some(Slot::Awake(entity)) = self.entities.get(bare_str(&to)) else { return };
        let is_it = |at: &&SessionRef| self.sessions.get(**at).is_some_and(|it| it.card.jid.as_str() == to.as_str());
        if let Some(at) = entity.sessions.iter().find(is_it).copied() {
            outs.into_iter().for_each(|out| self.out(at, out));
        }
    }

    /// Something for another turn, when this one's writes are on disk.
    pub(super) fn tell(&mut self, ticket: Ticket, key: Arc<str>, f: HostFn) {
        if self.hosts.of_key(&key).is_none() {
            return;
        }
        let home = self.inbound[usize::from(shard_of(&key, self.inbound.len() as u16))].clone();
        let then: AfterCommit = Box::new(move |kept| {
            if kept.is_ok() {
                home.post_one(Post::InHost(key, f, Box::new(|_| {})));
            }
        });
        self.when_committed(ticket, then);
    }

    pub(super) fn tell_account(&mut self, ticket: Ticket, account: BareJid, f: AccountFn) {
        let home = self.inbound[usize::from(shard_of(account.as_str(), self.inbound.len() as u16))].clone();
        let then: AfterCommit = Box::new(move |kept| {
            if kept.is_ok() {
                home.post_one(Post::InAccount(account, f, Box::new(|_| {})));
            }
        });
        self.when_committed(ticket, then);
    }

    /// As `run_guarded`: a panic is a bug, and the domain is read anew.
    pub(super) fn run_domain_guarded(&mut self, key: &Arc<str>, input: Input) {
        let turn = std::panic::AssertUnwindSafe(|| self.run_domain(key, input));
        if std::panic::catch_unwind(turn).is_ok() {
            return self.rest_entity(key);
        }
        tracing::error!(domain = &**key, "a turn of a domain has panicked: this is a bug; the domain is read anew");
        self.counters().panics.one();
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
            Input::Finished(asked, finish) => {
                self.with_domain(key, 0, |entity, cx| entity.finish(cx, asked, finish));
                let Some(Slot::Domain(entity)) = self.entities.get_mut(key) else { return };
                for envelope in entity.take_released() {
                    self.run_domain(key, Input::Stanza(envelope));
                }
            }
            Input::Host(f, reply) => self.with_domain(key, 0, |entity, cx| {
                let result = entity.with_turn(cx, None, f);
                cx.fx.list.push(Effect::AfterCommit(Box::new(move |kept| reply(kept.map(|()| result)))));
                Outcome::Nothing
            }),
            Input::Overdue => self.with_domain(key, 0, |entity, cx| {
                entity.alarm(cx);
                Outcome::Nothing
            }),
            Input::FromSession(at, stanza, receipt) => self.with_domain(key, 0, |entity, cx| {
                entity.hear_component(cx, at, stanza, receipt);
                Outcome::Nothing
            }),
            Input::Link { pipe, reply } => self.linked(key, pipe, reply),
            Input::End(at, error) => self.unlinked(key, at, error),
            Input::Redeliver(out) => self.undelivered(&out),
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
                // Who wants to enter a room waits for an answer (XEP-0045 7.2).
                match (envelope.stanza.kind(), envelope.stanza.stype()) {
                    (Kind::Presence, StanzaType::Available) => {
                        let xml = reply::error_xml(&envelope.stanza, Some(envelope.to.as_str()), &why);
                        self.answer_from(envelope, xml);
                    }
                    _ => self.bounce(envelope, &why),
                }
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
