//! Lives: accounts wake and sleep, sessions are bound, detached, resumed and end, timers fire.

use std::cmp::Reverse;
use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use iris_core::effects::StreamError;
use iris_core::error::Bounce;
use iris_core::store::{EntryId, Read, Rows, Shelf, StoreError, Ticket};
use iris_core::task::Answered;
use iris_core::time::{Mono, Now};
use iris_core::{BareJid, Event, SessionRef, login};

use super::{AccountEntity, Input, Post, ResumeError, ResumeReply, Shard, Slot, Timer, new_account};
use crate::account::session::{Resuming, SILENCE, Session};
use crate::path::{self, Ctx};
use crate::remote;
use iris_core::Ask;

/// After a restart a message may be sent again by a client that never got its ack, and after a refusal by one that was told to try
/// again, though a part of it was kept (its sender's copy; or all of it, when nobody knows what a failed fsync left): for this long
/// accounts read the tags of what they kept last, so that it is known.
const RESENT_WINDOW: Duration = Duration::from_secs(600);
pub(super) const RESENT_TAGS_MAX: u32 = 1_000;

/// Names that nobody has, remembered by one shard.
const NOBODIES_MAX: usize = 4_096;

impl Shard {
    // --- accounts ---------------------------------------------------------------------------------------------------------

    /// The first input of an account that exists only on disk.
    pub(super) fn wake(&mut self, key: Arc<str>, input: Input) {
        if let Input::Finished(..)
        | Input::End(..)
        | Input::Out(..)
        | Input::Redeliver(_)
        | Input::Marks(_)
        | Input::Resumed(_)
        | Input::Detached(_)
        | Input::Silence(_)
        | Input::Overdue
        | Input::Present(_) = input
        {
            // It is about something that is over; nothing on disk needs to know.
            return self.reject(input, &Bounce::nobody());
        }
        if matches!(input, Input::Ask(Ask::Credentials, _)) && self.is_nobody(&key) {
            return self.nobody(vec![input], Vec::new());
        }
        if Shard::is_remote(&key)
            && let Err(why) = self.take_remote(&key, &input)
        {
            return self.reject(input, &why);
        }
        self.entities.insert(key.clone(), Slot::Loading { waiting: vec![input], sessions: Vec::new() });
        let after = if self.progress.is_refused(self.last_ticket) { 0 } else { self.last_ticket };
        self.read_account(key, after);
    }

    pub(super) fn read_account(&mut self, key: Arc<str>, after: Ticket) {
        if Shard::is_remote(&key) {
            let home = self.inbound[usize::from(self.id)].clone();
            let read = Read::Wake { name: remote::stored_name(&key), shelves: Arc::from([remote::SHELF]) };
            return self.store.read(after, read, Box::new(move |rows| home.post_one(Post::Woken(key, rows))));
        }
        let shelves_of = key.find('@').map_or(&*key, |at| &key[at..]);
        let Some(shelves) = self.shelves.get(shelves_of).cloned() else {
            return self.loaded(key, Ok(Rows::Woken(None)));
        };
        let home = self.inbound[usize::from(self.id)].clone();
        let read = Read::Wake { name: key.clone(), shelves };
        self.store.read(after, read, Box::new(move |rows| home.post_one(Post::Woken(key, rows))));
    }

    /// It was read; what waited plays in order.
    pub(super) fn loaded(&mut self, key: Arc<str>, rows: Result<Rows, StoreError>) {
        let Some(Slot::Loading { .. }) = self.entities.get(&key) else { return };
        let Some(Slot::Loading { mut waiting, sessions }) = self.entities.remove(&key) else { return };
        let woken = match rows {
            Ok(Rows::Woken(woken)) => woken,
            Err(StoreError::Refused) => {
                // It was to wait for writes that were refused meanwhile: what is on disk now is the truth.
                self.entities.insert(key.clone(), Slot::Loading { waiting, sessions });
                return self.read_account(key, 0);
            }
            Ok(_) | Err(_) => {
                tracing::error!("an account cannot be read from storage");
                if Shard::is_remote(&key) {
                    self.leave_remote(&key);
                }
                let why = Bounce::new(iris_core::Condition::InternalServerError);
                waiting.drain(..).for_each(|input| self.reject(input, &why));
                return self.abandon(sessions);
            }
        };
        if Shard::is_remote(&key) {
            return self.remote_loaded(&key, woken.as_ref(), waiting);
        }
        if !key.contains('@') || self.hosts.is_behind_service(&key) {
            return self.domain_loaded(&key, woken, waiting);
        }
        // C9: nobody lives under a name that is another's when it is read again (`jids::address`).
        let jid = BareJid::new(&key).ok().filter(|jid| *jid.as_str() == *key);
        let (Some(jid), Some(doors)) = (jid, key.split_once('@').and_then(|(_, domain)| self.hosts.get(domain))) else {
            return self.nobody(waiting, sessions);
        };
        let farewell = woken.as_ref().filter(|woken| woken.items.iter().any(|item| item.shelf == login::FAREWELL));
        if let Some(owner) = farewell.map(|woken| woken.owner) {
            let doors = doors.clone();
            self.entities.insert(key.clone(), Slot::Loading { waiting, sessions });
            return self.say_farewell(key, &jid, &doors, owner);
        }
        let makes = waiting.iter().any(|input| matches!(input, Input::Ask(ask, _) if ask.makes()));
        let (woken, new) = match woken {
            Some(woken) => (woken, false),
            None if makes => (new_account(iris_core::store::OwnerId(self.house.clock.mint(self.now).0)), true),
            None => {
                if waiting.iter().any(|input| matches!(input, Input::Ask(Ask::Credentials, _))) {
                    self.note_nobody(key);
                }
                return self.nobody(waiting, sessions);
            }
        };
        self.nobodies.remove(&key);
        let mut entity = AccountEntity::load(jid, doors.clone(), &woken, sessions, self.now.mono);
        entity.new = new;
        entity.tags_epoch = self.progress.epoch;
        let tagged = if new { Vec::new() } else { entity.doors.tagged.clone() };
        self.entities.insert(key.clone(), Slot::Awake(Box::new(entity)));
        match self.resent_since().filter(|_| !tagged.is_empty()) {
            Some(since) => self.read_tags(&key, &tagged, since, waiting, true),
            None => self.live(&key, waiting, true),
        }
    }

    fn live(&mut self, key: &Arc<str>, waiting: Vec<Input>, woken: bool) {
        if woken {
            self.with_entity(key, |entity, cx| path::event(entity, cx, Event::Woken, None));
        }
        for input in waiting {
            self.handle(key.clone(), input);
        }
        self.rest_when_idle(key);
    }

    fn with_entity(&mut self, key: &Arc<str>, f: impl FnOnce(&mut AccountEntity, &mut Ctx<'_>)) {
        if let Some(Slot::Awake(entity)) = self.entities.get_mut(key) {
            let doors = entity.doors.clone();
            let mut cx = Ctx {
                now: self.now,
                house: &self.house,
                known: &self.known,
                facts: &self.facts,
                doors: &doors,
                sessions: &mut self.sessions,
                fx: &mut self.fx,
            };
            f(entity, &mut cx);
            self.perform(key, 0);
        }
    }

    /// From when on what was kept may be sent again; `None`: nothing is, any more.
    pub(super) fn resent_since(&self) -> Option<EntryId> {
        let recent = |moment: &Now| self.now.mono.since(moment.mono) < RESENT_WINDOW;
        let moments = [Some(self.house.started), self.last_refusal];
        let earliest = moments.into_iter().flatten().filter(recent).map(|moment| moment.wall_us).min()?;
        Some(EntryId(earliest.saturating_sub(RESENT_WINDOW.as_micros() as u64)))
    }

    /// The store has refused something since this account was read.
    pub(super) fn tag_again(&mut self, key: &Arc<str>, input: Input) {
        let Some(Slot::Awake(entity)) = self.entities.get_mut(key) else { return };
        entity.tags_epoch = self.progress.epoch;
        entity.tags.clear();
        // Its timer finds nobody to let sleep meanwhile.
        entity.resting = false;
        let logs = entity.doors.tagged.clone();
        match self.resent_since().filter(|_| !logs.is_empty()) {
            Some(since) => self.read_tags(key, &logs, since, vec![input], false),
            None => drop(self.run_guarded(key, input)),
        }
    }

    /// Soon after a restart or a refusal: one more read before it goes on.
    fn read_tags(&mut self, key: &Arc<str>, logs: &[Shelf], since: EntryId, waiting: Vec<Input>, woken: bool) {
        let Some(Slot::Awake(entity)) = self.entities.remove(key) else { return };
        let owner = entity.owner;
        self.entities.insert(key.clone(), Slot::Tagging { entity, waiting, left: logs.len(), woken });
        for log in logs {
            let (home, name, shelf) = (self.inbound[usize::from(self.id)].clone(), key.clone(), *log);
            let read = Read::Tags { owner, shelf, since, max: RESENT_TAGS_MAX };
            self.store.read(0, read, Box::new(move |rows| home.post_one(Post::Tags(name, shelf, rows))));
        }
    }

    pub(super) fn tags_loaded(&mut self, key: &Arc<str>, log: Shelf, rows: Result<Rows, StoreError>) {
        let Some(Slot::Tagging { entity, left, .. }) = self.entities.get_mut(key) else { return };
        if let Ok(Rows::Tags(tags)) = rows {
            entity.tags.push((log, tags.into_iter().collect::<HashMap<_, _>>()));
        }
        *left -= 1;
        if *left > 0 {
            return;
        }
        if let Some(Slot::Tagging { entity, waiting, woken, .. }) = self.entities.remove(key) {
            self.entities.insert(key.clone(), Slot::Awake(entity));
            self.live(key, waiting, woken);
        }
    }

    /// Was that found out as short a time ago as an account stays awake?
    fn is_nobody(&mut self, key: &str) -> bool {
        let (now, grace) = (self.now.mono, self.house.limits.account_grace);
        let known = self.nobodies.get_mut(key).filter(|until| now < **until);
        known.map(|until| *until = now + grace).is_some()
    }

    fn note_nobody(&mut self, key: Arc<str>) {
        let now = self.now.mono;
        if self.nobodies.len() >= NOBODIES_MAX {
            self.nobodies.retain(|_, until| now < *until);
        }
        if self.nobodies.len() < NOBODIES_MAX {
            self.nobodies.insert(key, now + self.house.limits.account_grace);
        }
    }

    /// No such account: the same answer for everybody (RFC 6121 8.5.1).
    fn nobody(&mut self, waiting: Vec<Input>, sessions: Vec<SessionRef>) {
        for input in waiting {
            match input {
                Input::Ask(Ask::Credentials, reply) => reply(super::AskAnswer::Credentials(None)),
                Input::Ask(_, reply) => reply(super::AskAnswer::NotFound),
                Input::Turn(_, reply) => reply(Ok(None)),
                other => self.reject(other, &Bounce::nobody()),
            }
        }
        self.abandon(sessions);
    }

    /// Sessions of an account that is no more.
    fn abandon(&mut self, sessions: Vec<SessionRef>) {
        for at in sessions {
            if let Some(session) = self.sessions.get_mut(at) {
                session.over = Some(StreamError::new("internal-server-error"));
                if session.pipe.is_none() {
                    self.sessions.remove(at);
                } else {
                    self.wakes.push(at);
                }
            }
        }
    }

    /// When nothing keeps it awake any more, look again after its grace.
    pub(super) fn rest_when_idle(&mut self, key: &Arc<str>) {
        let Some(Slot::Awake(entity)) = self.entities.get_mut(key) else { return };
        if entity.gone {
            self.entities.remove(key);
        } else if entity.sessions.is_empty() && !entity.resting {
            entity.resting = true;
            let at = self.now.mono + self.house.limits.account_grace;
            self.arm(at, Timer::Account(key.clone()));
        }
    }

    fn rested(&mut self, key: &Arc<str>) {
        let grace = self.house.limits.account_grace;
        let now = self.now.mono;
        let Some(Slot::Awake(entity)) = self.entities.get_mut(key) else { return };
        entity.resting = false;
        if entity.may_sleep(now, grace) && entity.last_state <= self.progress.resolved {
            self.entities.remove(key);
        } else {
            self.rest_when_idle(key);
        }
    }

    // --- sessions ---------------------------------------------------------------------------------------------------------

    /// The pipe is gone, the session waits to be resumed.
    pub(super) fn detach(&mut self, now: Mono, at: SessionRef) {
        if let Some(session) = self.sessions.get_mut(at) {
            session.detached_at = Some(now);
            session.card.detached = true;
            (session.card.silent, session.owes_since) = (false, None);
            let key = session.account.clone();
            self.inbox.push_back((key, Input::Detached(at)));
            self.arm_session(at, now + self.house.limits.resume_timeout);
        }
    }

    /// Look at this session at that moment, and no more at the one before: a session has one timer.
    pub(super) fn arm_session(&mut self, at: SessionRef, when: Mono) {
        if let Some(session) = self.sessions.get_mut(at) {
            session.looked_at = when;
            self.arm(when, Timer::Session(at.slot, at.generation));
        }
    }

    // --- timers -----------------------------------------------------------------------------------------------------------

    pub(super) fn arm(&mut self, at: Mono, timer: Timer) {
        self.timers.push(Reverse((at, timer)));
    }

    pub(super) fn fire_timers(&mut self) {
        while self.timers.peek().is_some_and(|Reverse((at, _))| *at <= self.now.mono) {
            let Some(Reverse((when, timer))) = self.timers.pop() else { break };
            match timer {
                Timer::Session(slot, generation) => self.session_timer(SessionRef { shard: self.id, slot, generation }, when),
                Timer::Silence(slot, generation) => self.silence_timer(SessionRef { shard: self.id, slot, generation }),
                Timer::Account(key) => self.rested(&key),
                Timer::Every(domain, index) => self.again(domain, index),
                Timer::Question(task, question) => self.answer_task(task, question, Answered::Lost),
                Timer::Entity(key) => self.entity_rested(&key),
                Timer::Overdue(key) => self.inbox.push_back((key, Input::Overdue)),
                Timer::Remote(key) => self.remote_timer(&key),
            }
        }
    }

    /// What was written to the client asks for an acknowledgement.
    pub(super) fn await_ack(&mut self, at: SessionRef) {
        let now = self.now.mono;
        let Some(session) = self.sessions.get_mut(at).filter(|session| session.owes()) else { return };
        session.owes_since.get_or_insert(now);
        if !session.owes_timer {
            session.owes_timer = true;
            self.arm(now + SILENCE, Timer::Silence(at.slot, at.generation));
        }
    }

    /// The client has said something: it is there, and whatever it owes it owes from now on.
    pub(super) fn not_silent(&mut self, at: SessionRef) {
        let now = self.now.mono;
        let Some(session) = self.sessions.get_mut(at) else { return };
        session.owes_since = session.owes().then_some(now);
        if std::mem::take(&mut session.card.silent) {
            let key = session.account.clone();
            self.inbox.push_back((key, Input::Silence(at)));
            self.await_ack(at);
        }
    }

    /// One timer a session, however often it is asked.
    fn silence_timer(&mut self, at: SessionRef) {
        let now = self.now.mono;
        let Some(session) = self.sessions.get_mut(at) else { return };
        session.owes_timer = false;
        let Some(since) = session.owes_since.filter(|_| session.owes() && session.pipe.is_some()) else { return };
        if now < since + SILENCE {
            session.owes_timer = true;
            return self.arm(since + SILENCE, Timer::Silence(at.slot, at.generation));
        }
        if !std::mem::replace(&mut session.card.silent, true) {
            let key = session.account.clone();
            self.inbox.push_back((key, Input::Silence(at)));
        }
    }

    /// Is the client still there? Has a detached session waited long enough?
    fn session_timer(&mut self, at: SessionRef, when: Mono) {
        let house = self.house.clone();
        let limits = &house.limits;
        let now = self.now.mono;
        let Some(session) = self.sessions.get_mut(at).filter(|session| session.looked_at == when) else { return };
        if session.peer {
            return self.peer_timer(at);
        }
        let key = session.account.clone();
        if let Some(since) = session.detached_at {
            if now >= since + limits.resume_timeout {
                self.inbox.push_back((key, Input::End(at, StreamError::new("connection-timeout"))));
            }
            return;
        }
        if now.since(session.heard) < limits.idle_timeout {
            let when = session.heard + limits.idle_timeout;
            return self.arm_session(at, when);
        }
        if !session.asked_alive {
            let host = self.hosts.of_key(&key).map_or("", |doors| doors.home());
            session.ask_alive(host, limits);
            self.arm_session(at, now + limits.ping_timeout);
            return self.look_at(at);
        }
        // It did not answer: the connection is dead, whatever TCP believes.
        if session.sm.as_ref().is_some_and(|sm| sm.id.is_some()) {
            session.pipe = None;
            self.wakes.push(at);
            self.detach(now, at);
        } else {
            self.inbox.push_back((key, Input::End(at, StreamError::new("connection-timeout"))));
        }
    }

    /// End the streams of this shard, those with other servers (`peers`) or all the rest (the process stops).
    pub fn end_all(&mut self, error: &StreamError, peers: bool) {
        let all: Vec<SessionRef> = self.sessions.iter_refs().collect();
        for at in all {
            let Some(session) = self.sessions.get_mut(at).filter(|session| session.peer == peers) else { continue };
            if Shard::is_inbound(session) {
                session.over = Some(error.clone());
                self.wakes.push(at);
                continue;
            }
            let key = session.account.clone();
            self.inbox.push_back((key, Input::End(at, error.clone())));
        }
    }
}

/// XEP-0198 5: find the session; it answers when everything that was in flight for it is settled and committed.
pub(super) fn resume(
    entity: &mut AccountEntity,
    cx: &mut Ctx<'_>,
    previd: &str,
    h: u32,
    pipe: u64,
    reply: ResumeReply,
) -> Option<SessionRef> {
    let found = entity.sessions.iter().copied().find(|at| {
        let id = cx.sessions.get(*at).and_then(|session| session.sm.as_ref()).and_then(|sm| sm.id.as_deref());
        id.is_some_and(|id| constant_time_eq(id.as_bytes(), previd.as_bytes()))
    });
    let Some(session) = found.and_then(|at| cx.sessions.get_mut(at)) else {
        reply(Err(ResumeError::NotFound));
        return None;
    };
    // A client that counts wrong has lost nothing but this attempt: whoever has the session keeps it.
    if let Err(error) = session.may_acknowledge(h) {
        reply(Err(ResumeError::TooMany(error)));
        return None;
    }
    // One winner: a second resume that comes while the first waits takes over from it, and the first is over. It must not go on
    // to bind: a client's new session ends its earlier ones.
    if let Some(earlier) = session.resuming.take() {
        (earlier.reply)(Err(ResumeError::Superseded));
    }
    session.pipe = None;
    session.resuming = Some(Resuming { h, pipe, reply });
    found
}

/// True when the session has a pipe again. Its time to be resumed goes on otherwise.
pub(super) fn complete_resume(session: &mut Session, now: Mono) -> bool {
    if session.resuming.is_none() || !session.all_settled() {
        return false;
    }
    let Some(Resuming { h, pipe, reply }) = session.resuming.take() else { return false };
    match session.resume(h) {
        Ok(handled) => {
            session.pipe = Some(pipe);
            session.detached_at = None;
            session.card.detached = false;
            session.heard = now;
            session.asked_alive = false;
            (session.card.silent, session.owes_since) = (false, None);
            reply(Ok((session.card.this, handled)));
            true
        }
        Err(error) => {
            reply(Err(ResumeError::TooMany(error)));
            false
        }
    }
}

fn constant_time_eq(a: &[u8], b: &[u8]) -> bool {
    use subtle::ConstantTimeEq;
    a.ct_eq(b).into()
}
