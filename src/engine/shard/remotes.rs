//! Other servers: what is for them goes into the deque of a stream to them, or waits for one; what streams of theirs bring is routed.

use iris_core::error::ErrorType;
use iris_core::limit::Changed;
use iris_core::turn::SessionCard;
use iris_core::{FullJid, ns};

use super::*;
use crate::remote::{self, OPENING_TIME_MAX, Remote, SHELF, STORED_SUFFIX, Said, Stream};

/// Pairs of domains that one shard remembers at once (security E5).
const REMOTES_MAX: usize = 10_000;

/// Of these, so many that are not spoken with yet because of one and the same sender: whoever writes to names that lead nowhere keeps
/// nobody else from speaking.
const OPENINGS_PER_SENDER_MAX: usize = 256;
/// Of what waits for all of them on one shard.
const WAITING_BYTES_MAX: usize = 64 << 20;

/// Which pairs are not spoken with yet, and whose first word is to blame.
#[derive(Default)]
pub(super) struct Openings {
    of_pair: HashMap<Arc<str>, Arc<str>>,
    of_sender: HashMap<Arc<str>, usize>,
}

impl Openings {
    fn begin(&mut self, pair: &Arc<str>, sender: &str) {
        let sender: Arc<str> = Arc::from(sender);
        *self.of_sender.entry(sender.clone()).or_default() += 1;
        self.of_pair.insert(pair.clone(), sender);
    }

    /// It is spoken with, or there is nothing to be said any more.
    fn end(&mut self, pair: &str) {
        let Some(sender) = self.of_pair.remove(pair) else { return };
        let count = self.of_sender.get_mut(&sender).map_or(0, |count| {
            *count -= 1;
            *count
        });
        if count == 0 {
            self.of_sender.remove(&sender);
        }
    }
}

/// Why no stream could be opened.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Unreached {
    /// `remote-server-not-found` or `remote-server-timeout` (RFC 6120 8.3.3.16, 8.3.3.17).
    pub condition: Condition,
    /// Trying again soon will not help.
    pub for_good: bool,
    /// For whoever has said something: half a sentence.
    pub why: String,
}

impl Shard {
    /// Hop 4 for another domain: the shard of that pair of domains.
    pub(super) fn send_remote(&mut self, mut envelope: Box<Envelope>) {
        let (theirs, ours) = (envelope.to.domain().as_str(), envelope.from.domain().as_str());
        if self.hosts.get(ours).is_none() {
            // Between others nobody carries anything here.
            return self.done(&mut envelope);
        }
        if !self.hosts.speaks_with(theirs) {
            let why = self.by_rule();
            return self.unreachable(envelope, &why);
        }
        let key = remote::key(theirs, ours);
        let home = shard_of(&key, self.inbound.len() as u16);
        if home == self.id {
            self.accept_remote(Arc::from(key), envelope);
        } else {
            self.outbox[usize::from(home)].push(Post::Remote(Arc::from(key), envelope));
        }
    }

    pub(super) fn accept_remote(&mut self, key: Arc<str>, envelope: Box<Envelope>) {
        self.inbox.push_back((key, Input::Stanza(envelope)));
    }

    /// Why nobody speaks with that domain.
    fn by_rule(&self) -> Bounce {
        let why = match self.hosts.has_peers() {
            true => "this server does not speak with that domain; its administrator decides ([federation])",
            false => "this server speaks with no others; its administrator decides (a listener of kind s2s)",
        };
        Bounce::new(Condition::RemoteServerNotFound).text(why)
    }

    /// Room for one more, about which this is the first word?
    pub(super) fn take_remote(&mut self, pair: &Arc<str>, first: &Input) -> Result<(), Bounce> {
        if self.remotes >= REMOTES_MAX {
            let what = format!("at most {REMOTES_MAX} pairs of domains are spoken for at once");
            return Err(Bounce::over(what, Changed::ByNobody("try again later")));
        }
        if let Input::Stanza(envelope) = first {
            let sender = bare_str(&envelope.from);
            if self.openings.of_sender.get(sender).is_some_and(|count| *count >= OPENINGS_PER_SENDER_MAX) {
                let what =
                    format!("at most {OPENINGS_PER_SENDER_MAX} other servers are looked for at once because of one sender");
                return Err(Bounce::over(what, Changed::ByNobody("try again later")));
            }
            self.openings.begin(pair, sender);
        }
        self.remotes += 1;
        Ok(())
    }

    /// It is remembered no more.
    pub(super) fn leave_remote(&mut self, pair: &str) {
        self.openings.end(pair);
        self.remotes -= 1;
    }

    /// Other rules hold: what waits for whom they exclude goes back, and what is said to them ends.
    pub(super) fn remotes_reloaded(&mut self) {
        let of_remotes = |(key, slot): (&Arc<str>, &Slot)| matches!(slot, Slot::Remote(_)).then(|| key.clone());
        let keys: Vec<Arc<str>> = self.entities.iter().filter_map(of_remotes).collect();
        for key in keys {
            self.go_on(&key);
        }
    }

    pub(super) fn is_remote(key: &str) -> bool {
        remote::pair(key).is_some()
    }

    /// Those for whom something waits on disk, after a start.
    pub(super) fn wake_remotes(&mut self) {
        if self.id != 0 || !self.hosts.has_peers() {
            return;
        }
        let shards = self.inbound.clone();
        let max = (REMOTES_MAX * shards.len()) as u32;
        let read = Read::Owners { suffix: Arc::from(STORED_SUFFIX), after: None, max, shelf: SHELF };
        let then = Box::new(move |rows: Result<Rows, StoreError>| {
            let Ok(Rows::Owners(owners)) = rows else {
                return tracing::error!("what waits for other servers cannot be read from storage");
            };
            for key in owners.iter().filter_map(|owned| owned.name.strip_suffix(STORED_SUFFIX)) {
                if Shard::is_remote(key) {
                    shards[usize::from(shard_of(key, shards.len() as u16))].post_one(Post::WakeRemote(Arc::from(key)));
                }
            }
        });
        self.store.read(0, read, then);
    }

    pub(super) fn wake_remote(&mut self, key: Arc<str>) {
        if let std::collections::hash_map::Entry::Vacant(place) = self.entities.entry(key.clone()) {
            place.insert(Slot::Loading { waiting: Vec::new(), sessions: Vec::new() });
            self.remotes += 1;
            let after = if self.progress.is_refused(self.last_ticket) { 0 } else { self.last_ticket };
            self.read_account(key, after);
        }
    }

    pub(super) fn remote_loaded(&mut self, key: &Arc<str>, woken: Option<&Woken>, waiting: Vec<Input>) {
        let remote = Remote::load(woken, &self.house, self.now);
        self.entities.insert(key.clone(), Slot::Remote(Box::new(remote)));
        for input in waiting {
            // One of them may be its last for now.
            self.handle(key.clone(), input);
        }
        self.go_on(key);
    }

    /// Nothing can panic here that others would not survive: there are no handlers of rooms in it.
    pub(super) fn run_remote(&mut self, key: &Arc<str>, input: Input) {
        match input {
            Input::Stanza(envelope) => self.say_to_remote(key, envelope),
            // Nobody may speak to us on a stream that we have opened.
            Input::FromSession(at, _, receipt) => {
                self.settled(receipt.settle());
                self.inbox.push_back((key.clone(), Input::End(at, StreamError::new("not-authorized"))));
            }
            Input::End(at, error) => self.remote_ended(key, at, error),
            Input::Marks(at) => {
                let marks = self.sessions.get_mut(at).map(|session| std::mem::take(&mut session.marks)).unwrap_or_default();
                if let (Some(upto), Some(Slot::Remote(remote))) = (marks.last(), self.entities.get_mut(key)) {
                    let receipts = remote.gone(*upto, &mut self.fx.write);
                    self.perform(key, 0);
                    receipts.into_iter().for_each(|(receipt, after)| self.settle_after(receipt, after));
                }
            }
            // It waits here as well.
            Input::Redeliver(_) => {}
            other => self.reject(other, &Bounce::nobody()),
        }
        self.go_on(key);
    }

    fn say_to_remote(&mut self, key: &Arc<str>, mut envelope: Box<Envelope>) {
        if self.progress.is_refused(envelope.after) {
            return self.done(&mut envelope);
        }
        let Some(Slot::Remote(remote)) = self.entities.get_mut(key) else { return };
        let (after, said) = (envelope.after, Said::new(envelope, &self.house, self.now));
        if !remote.has_room(&self.house) {
            let limits = &self.house.limits;
            let what = format!(
                "at most {} stanzas (limits.output_stanzas_max), {} bytes (limits.output_bytes_max) wait for another server",
                limits.output_stanzas_max, limits.output_bytes_max
            );
            return self.unreachable(said.envelope, &Bounce::over(what, Changed::ByOperator));
        }
        if remote.is_open().is_none() && self.waiting_bytes >= WAITING_BYTES_MAX {
            let what = format!("at most {} MiB wait for other servers", WAITING_BYTES_MAX >> 20);
            return self.unreachable(said.envelope, &Bounce::over(what, Changed::ByNobody("try again later")));
        }
        if let Some(at) = remote.is_open() {
            let out = said.out();
            let receipt = remote.goes(said);
            self.out(at, out);
            return receipt.into_iter().for_each(|receipt| self.settle_after(receipt, after));
        }
        let receipt = remote.keep(key, said, &self.house, self.now, &mut self.fx.write);
        let ticket = self.perform(key, after);
        if let Some(Slot::Remote(remote)) = self.entities.get_mut(key) {
            remote.kept_with(ticket);
        }
        receipt.into_iter().for_each(|receipt| self.settle_after(receipt, ticket));
    }

    fn settle_after(&mut self, receipt: Receipt, after: Ticket) {
        let mut settled = receipt.settle();
        settled.after = after;
        self.settled(settled);
    }

    /// After each turn: is there something to be done about the stream, or about what waits?
    fn go_on(&mut self, key: &Arc<str>) {
        let now = self.now.mono;
        let Some(Slot::Remote(remote)) = self.entities.get_mut(key) else { return };
        if !remote::pair(key).is_some_and(|(theirs, ours)| self.hosts.speaks_with(theirs) && self.hosts.get(ours).is_some()) {
            if let Some(at) = remote.is_open() {
                let why = StreamError::new("policy-violation").text("this server speaks with you no more");
                self.inbox.push_back((key.clone(), Input::End(at, why)));
            }
            let why = self.by_rule();
            self.give_all_back(key, &why);
        }
        let Some(Slot::Remote(remote)) = self.entities.get_mut(key) else { return };
        let overdue = remote.take_overdue(now, &mut self.fx.write);
        if let Stream::Later(at) | Stream::Opening(at) = remote.stream
            && at <= now
        {
            remote.stream = Stream::None;
        }
        if matches!(remote.stream, Stream::None) && remote.has_waiting() {
            remote.stream = Stream::Opening(now + OPENING_TIME_MAX);
            self.dials.push(key.clone());
        }
        if let Some(when) = remote.next_timeout(now, &self.house) {
            self.arm(when, Timer::Remote(key.clone()));
        }
        if !self.fx.write.is_empty() {
            self.perform(key, 0);
        }
        overdue.into_iter().for_each(|said| self.unreachable(said.envelope, &timed_out()));
        if let Some(Slot::Remote(remote)) = self.entities.get_mut(key)
            && remote.is_idle()
        {
            self.waiting_bytes -= remote.counted;
            remote.disown(&mut self.fx.write);
            self.perform(key, 0);
            self.entities.remove(key);
            self.leave_remote(key);
        } else if let Some(Slot::Remote(remote)) = self.entities.get_mut(key) {
            let now = remote.waiting_bytes();
            let before = std::mem::replace(&mut remote.counted, now);
            self.waiting_bytes = self.waiting_bytes - before + now;
        }
    }

    pub(super) fn remote_timer(&mut self, key: &Arc<str>) {
        if let Some(Slot::Remote(remote)) = self.entities.get_mut(key) {
            remote.fired();
            if let Some(at) = remote.stalled(self.now.mono, &self.house) {
                let why = StreamError::new("connection-timeout").text("you do not acknowledge what you are told");
                self.remote_ended(key, at, why);
            }
            self.spill(key);
            self.go_on(key);
        }
    }

    fn spill(&mut self, key: &Arc<str>) {
        let Some(Slot::Remote(remote)) = self.entities.get_mut(key) else { return };
        let receipts = remote.spill(key, &self.house, self.now, &mut self.fx.write);
        if !self.fx.write.is_empty() {
            let ticket = self.perform(key, 0);
            if let Some(Slot::Remote(remote)) = self.entities.get_mut(key) {
                remote.spilled_with(ticket);
            }
            receipts.into_iter().for_each(|receipt| self.settle_after(receipt, ticket));
        }
    }

    // --- streams of ours to them --------------------------------------------------------------------------------------

    /// Pairs of domains (`remote::pair`) for which a stream is wanted; each is answered with `linked_to` or `not_reached`.
    pub fn take_dials(&mut self, into: &mut Vec<Arc<str>>) {
        into.append(&mut self.dials);
    }

    /// Is there still something to be said? A dial that has waited its turn asks.
    pub fn wants_link(&self, key: &Arc<str>) -> bool {
        matches!(self.entities.get(key), Some(Slot::Remote(remote)) if remote.has_waiting() && remote.is_open().is_none())
    }

    /// A stream is open and may be spoken on; `acknowledges`: it knows XEP-0198. `None`: nobody needs it any more.
    pub fn linked_to(&mut self, now: Now, key: &Arc<str>, pipe: u64, acknowledges: bool) -> Option<SessionRef> {
        self.now = now;
        let jid = peer_name(remote::pair(key)?.0);
        let Some(Slot::Remote(remote)) = self.entities.get_mut(key) else { return None };
        if remote.is_open().is_some() {
            return None;
        }
        let at = self.sessions.insert(|this| {
            let mut session = Session::new(SessionCard::new(this, jid), key.clone(), now);
            session.pipe = Some(pipe);
            session.peer = true;
            session
        });
        self.openings.end(key);
        let mut outs = remote.opened(at, now.mono);
        outs.retain(|out| !self.progress.is_refused(out.after));
        if acknowledges && let Some(session) = self.sessions.get_mut(at) {
            session.enable_sm(None, format!("<enable xmlns='{}'/>", ns::SM), &self.house.limits);
        }
        outs.into_iter().for_each(|out| self.out(at, out));
        self.arm_session(at, now.mono + self.house.limits.peer_idle_timeout);
        self.go_on(key);
        Some(at)
    }

    /// No stream could be opened.
    pub fn not_reached(&mut self, now: Now, key: &Arc<str>, unreached: &Unreached) {
        self.now = now;
        let Some((theirs, _)) = remote::pair(key) else { return };
        tracing::info!(domain = theirs, why = unreached.why, "another server cannot be reached");
        let Some(Slot::Remote(remote)) = self.entities.get_mut(key) else { return };
        // Whoever has tried for too long is not the one that is waited for.
        if !matches!(remote.stream, Stream::Opening(_)) {
            return;
        }
        remote.not_opened(key, now, &self.house);
        if unreached.for_good {
            remote.stream = Stream::None;
            // RFC 6120 8.3.3.17: "wait" only where that helps.
            let why = Bounce::new(unreached.condition).kind(ErrorType::Cancel).text(format!("{theirs}: {}", unreached.why));
            self.give_all_back(key, &why);
        }
        self.go_on(key);
    }

    /// A stream of ours is over. What it has not said waits for the next one.
    fn remote_ended(&mut self, key: &Arc<str>, at: SessionRef, error: StreamError) {
        // What has left since is no longer to be said.
        let gone = self.sessions.get_mut(at).and_then(|session| session.marks.last().copied());
        // It does not read: what it has not read is worth no second try.
        let mut hopeless = error.condition == "resource-constraint";
        if let Some(session) = self.sessions.get_mut(at) {
            session.take_undelivered();
            session.over = Some(error);
            match session.pipe {
                Some(_) => self.wakes.push(at),
                None => drop(self.sessions.remove(at)),
            }
        }
        let Some(Slot::Remote(remote)) = self.entities.get_mut(key) else { return };
        if remote.is_open() != Some(at) {
            return;
        }
        let receipts = gone.map(|upto| remote.gone(upto, &mut self.fx.write)).unwrap_or_default();
        hopeless |= !remote.ended(key, self.now, &self.house);
        remote.forget_refused(&self.progress);
        self.perform(key, 0);
        receipts.into_iter().for_each(|(receipt, after)| self.settle_after(receipt, after));
        match hopeless {
            true => {
                let why = Bounce::new(Condition::RemoteServerTimeout)
                    .text("that server ends each stream, or does not take what it is told");
                self.give_all_back(key, &why);
            }
            false => self.spill(key),
        }
    }

    fn give_all_back(&mut self, key: &Arc<str>, why: &Bounce) {
        let Some(Slot::Remote(remote)) = self.entities.get_mut(key) else { return };
        let all = remote.take_all(&mut self.fx.write);
        self.perform(key, 0);
        all.into_iter().for_each(|said| self.unreachable(said.envelope, why));
    }

    // --- streams of theirs to us --------------------------------------------------------------------------------------

    /// A stream of another server has shown whom it speaks for.
    pub fn hear_from(&mut self, now: Now, domain: &str, pipe: u64) -> SessionRef {
        self.now = now;
        let jid = peer_name(domain);
        let at = self.sessions.insert(|this| {
            let mut session = Session::new(SessionCard::new(this, jid), Arc::from(INBOUND), now);
            session.pipe = Some(pipe);
            session.peer = true;
            session
        });
        self.arm_session(at, now.mono + self.house.limits.peer_idle_timeout);
        at
    }

    /// A stanza of one whose right to speak for `from` was seen, to somebody here.
    pub fn heard_from(&mut self, now: Now, at: SessionRef, stanza: Stanza, from: Jid, to: Jid) {
        self.now = now;
        let Some(session) = self.sessions.get_mut(at) else { return };
        session.heard = now.mono;
        let stanza = Arc::new(stanza);
        let receipt = session.receive(stanza.clone());
        let mut envelope = Envelope::new(stanza, from, to);
        envelope.receipt = Some(receipt);
        self.route(envelope);
    }

    /// Was that of a stream of theirs, which nobody here waits for?
    pub(super) fn is_inbound(session: &Session) -> bool {
        session.peer && &*session.account == INBOUND
    }

    /// What a session of another server's stream cannot say on it goes the usual way.
    pub(super) fn tell_refused(&mut self, at: SessionRef) {
        let Some(session) = self.sessions.get_mut(at) else { return };
        for (stanza, why) in std::mem::take(&mut session.refusals) {
            if let (Ok(Some(from)), Ok(Some(to))) = (stanza.from_jid(), stanza.to_jid()) {
                self.bounce(Envelope::new(stanza, from, to), &why);
            }
        }
    }

    /// Nothing was said on it for long: whoever has something to say opens another one.
    pub(super) fn peer_timer(&mut self, at: SessionRef) {
        let (now, idle) = (self.now.mono, self.house.limits.peer_idle_timeout);
        let Some(session) = self.sessions.get_mut(at) else { return };
        let last = session.heard.max(session.spoke);
        if now.since(last) < idle || session.unwritten() > 0 {
            let when = (last + idle).max(now + std::time::Duration::from_secs(1));
            return self.arm_session(at, when);
        }
        let key = session.account.clone();
        if Self::is_inbound(session) {
            session.over = Some(StreamError::new("connection-timeout"));
            return self.wakes.push(at);
        }
        self.inbox.push_back((key, Input::End(at, StreamError::new("connection-timeout"))));
    }
}

/// In place of an account: whoever speaks on the stream says for whom with each stanza.
const INBOUND: &str = "";

/// What stands where the sessions of clients have their address.
fn peer_name(domain: &str) -> FullJid {
    const NOBODY: &str = "peer.invalid/stream";
    FullJid::new(&format!("{domain}/stream")).or_else(|_| FullJid::new(NOBODY)).expect("an address")
}

fn timed_out() -> Bounce {
    Bounce::new(Condition::RemoteServerTimeout).text("that server could not be reached in time")
}
