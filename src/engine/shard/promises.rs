//! What was promised and is kept, or is not: receipts, commits, refusals; and the gates of sessions that stand on them.

use super::*;

impl Shard {
    pub(super) fn settled(&mut self, settled: Settled) {
        if settled.home.shard != self.id {
            self.outbox[usize::from(settled.home.shard)].push(Post::Settled(settled));
            return;
        }
        if let Some(session) = self.sessions.get_mut(settled.home) {
            session.settle(settled.seq, settled.after, settled.refused);
            self.look_at(settled.home);
        }
    }

    pub(super) fn when_committed(&mut self, ticket: Ticket, then: AfterCommit) {
        if ticket <= self.progress.resolved {
            then(if self.progress.is_refused(ticket) { Err(StoreError::Refused) } else { Ok(()) });
        } else {
            self.impatient = true;
            self.after_commit.push_back((ticket, then));
        }
    }

    /// The store has come further: open gates, count what is kept, and forget what was refused.
    pub(super) fn take_progress(&mut self) {
        let progress = self.store.progress();
        if progress == self.progress {
            return;
        }
        let refused_more = progress.epoch != self.progress.epoch;
        self.progress = progress;
        while let Some((ticket, _)) = self.waiting.front() {
            if *ticket > self.progress.resolved {
                break;
            }
            let Some((_, at)) = self.waiting.pop_front() else { break };
            if let Some(session) = self.sessions.get_mut(at) {
                session.waits_for = 0;
            }
            self.look_at(at);
        }
        while self.after_commit.front().is_some_and(|(ticket, _)| *ticket <= self.progress.resolved) {
            let Some((ticket, then)) = self.after_commit.pop_front() else { break };
            then(if self.progress.is_refused(ticket) { Err(StoreError::Refused) } else { Ok(()) });
        }
        if refused_more {
            self.last_refusal = Some(self.now);
            self.reload_refused();
        }
    }

    /// Whose memory stands on a refused set reads itself anew before its next turn.
    pub(super) fn reload_refused(&mut self) {
        let refused = |ticket: Ticket| self.progress.is_refused(ticket);
        let is_stale = |slot: &Slot| match slot {
            Slot::Awake(entity) => refused(entity.last_state),
            Slot::Domain(entity) => refused(entity.last_state),
            Slot::Loading { .. } | Slot::Tagging { .. } | Slot::Remote(_) => false,
        };
        let progress = &self.progress;
        for slot in self.entities.values_mut() {
            if let Slot::Remote(remote) = slot {
                remote.forget_refused(progress);
            }
        }
        let stale: Vec<Arc<str>> =
            self.entities.iter().filter(|(_, slot)| is_stale(slot)).map(|(key, _)| key.clone()).collect();
        for key in stale {
            let sessions = match self.entities.remove(&key) {
                Some(Slot::Awake(entity)) => entity.sessions,
                Some(Slot::Domain(entity)) => {
                    if let Some(before) = entity.into_state() {
                        self.reloading.insert(key.clone(), before);
                    }
                    Vec::new()
                }
                _ => Vec::new(),
            };
            tracing::warn!("read anew: storage refused its last change");
            self.entities.insert(key.clone(), Slot::Loading { waiting: Vec::new(), sessions });
            self.read_account(key, 0);
        }
    }

    pub(super) fn out(&mut self, at: SessionRef, out: Out) {
        let Some(session) = self.sessions.get_mut(at) else { return };
        let Err(out) = session.try_push(out, &self.house.limits) else { return self.look_at(at) };
        // The deque is full: a reader that does not read costs this much and no more.
        self.inbound[usize::from(self.id)].counters.outputs_full.one();
        if session.pipe.is_some() && session.sm.as_ref().is_some_and(|sm| sm.id.is_some()) {
            session.push_last(out);
            session.pipe = None;
            self.detach(self.now.mono, at);
            return self.wakes.push(at);
        }
        let key = session.account.clone();
        let error = StreamError::new("resource-constraint").text("you do not read what you are sent");
        self.inbox.push_back((key.clone(), Input::End(at, error)));
        if out.origin.is_some() {
            self.inbox.push_back((key, Input::Redeliver(Box::new(out))));
        }
    }

    /// The store is told once of all that has begun to wait for it.
    pub(super) fn hurry(&mut self) {
        if std::mem::take(&mut self.impatient) {
            self.store.hurry();
        }
    }

    /// Something about this session has changed: wake its pipe when there is anything to do for it.
    pub(super) fn look_at(&mut self, at: SessionRef) {
        let Some(session) = self.sessions.get_mut(at) else { return };
        let moved = session.advance(&self.progress, &self.house.limits);
        if !session.refusals.is_empty() {
            self.tell_refused(at);
        }
        let Some(session) = self.sessions.get_mut(at) else { return };
        if lives::complete_resume(session, self.now.mono) {
            self.wakes.push(at);
            let key = session.account.clone();
            self.inbox.push_back((key.clone(), Input::Resumed(at)));
            self.inbox.push_back((key, Input::Marks(at)));
            return self.arm_session(at, self.now.mono + self.house.limits.idle_timeout);
        }
        if (moved && session.thirsty) || session.sendable(self.progress.resolved) {
            self.wakes.push(at);
        }
        if let Some(ticket) = session.waits(self.progress.resolved)
            && (session.waits_for == 0 || ticket < session.waits_for)
        {
            session.waits_for = ticket;
            self.impatient = true;
            self.waiting.push_back((ticket, at));
        }
    }
}
