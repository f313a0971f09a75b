//! Another server's domain, as one of ours speaks to it: what is said to it waits here until there is a stream, and goes back to who
//! said it when there is none for too long. One for each pair of domains, so that what one entity says to another keeps its order.
//!
//! A message counts as handled when the other server has acknowledged it (XEP-0198; or the socket has taken it, where that is not to be
//! had), or else when it is on disk: at once if there is no stream, after a second if the stream does not get on.

use std::collections::VecDeque;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use iris_core::effects::{Out, To};
use iris_core::store::{Item, OwnerId, Progress, Shelf, Ticket, Woken, Write, WriteSet};
use iris_core::time::{Mono, Now};
use iris_core::turn::House;
use iris_core::xml::wire;
use iris_core::{Envelope, Kind, Receipt, SessionRef, Stanza, hash};

/// What waits for another server, by the order in which it was said.
pub(crate) const SHELF: Shelf = Shelf::map("remote.waiting");

/// The first wait after a stream could not be opened; each further one is twice as long, up to the last. Nothing waits so long that it
/// goes back without a try.
const WAIT_FIRST: Duration = Duration::from_secs(1);
const WAIT_LAST: Duration = Duration::from_secs(300);

/// A stream that has ended before this is one more that has come to nothing; after so many of them what waits goes back.
const LIFE_MIN: Duration = Duration::from_secs(10);
const FAILURES_MAX: u32 = 8;

/// What is not acknowledged by then is put on disk, and its sender waits no longer.
const UNACKNOWLEDGED_MAX: Duration = Duration::from_secs(1);

/// However many streams are being opened, and however long each takes: by then there is one, or there will be none.
pub(crate) const OPENING_TIME_MAX: Duration = Duration::from_secs(300);

/// `remote/local`: where its entity is found. No domain has a `/`.
pub(crate) fn key(remote: &str, local: &str) -> String {
    format!("{remote}/{local}")
}

/// Remote, local.
pub fn pair(key: &str) -> Option<(&str, &str)> {
    key.split_once('/').filter(|_| !key.contains('@'))
}

/// Under which name the store knows it: those are found together (`Read::Owners`).
pub(crate) fn stored_name(key: &str) -> Arc<str> {
    Arc::from(format!("{key}{STORED_SUFFIX}"))
}

pub(crate) const STORED_SUFFIX: &str = "@";

/// One stanza on its way.
pub(crate) struct Said {
    /// Ascending; its name on disk.
    number: u64,
    pub envelope: Box<Envelope>,
    stored: bool,
    /// Its sender is told what becomes of the set that it is in now: so it stands on that.
    promised: bool,
    since: Mono,
    /// Then it goes back.
    until: Mono,
    /// It was on a stream that has ended.
    again: bool,
}

impl Said {
    pub fn new(envelope: Box<Envelope>, house: &House, now: Now) -> Said {
        Said {
            number: house.clock.mint(now).0,
            envelope,
            stored: false,
            promised: false,
            since: now.mono,
            until: now.mono + house.limits.peer_queue_timeout,
            again: false,
        }
    }

    /// Its sender will not say it again.
    fn is_worth_keeping(&self) -> bool {
        self.envelope.stanza.kind() == Kind::Message && crate::account::reply::answerable(&self.envelope.stanza)
    }

    fn stands_on(&mut self, ticket: Ticket) {
        if std::mem::take(&mut self.promised) {
            self.envelope.after = self.envelope.after.max(ticket);
        }
    }

    /// As it goes out: with its addresses.
    fn size(&self) -> usize {
        let envelope = &self.envelope;
        envelope.stanza.size() + envelope.from.as_str().len() + envelope.to.as_str().len() + 32
    }

    /// As it goes into the deque of a stream.
    pub fn out(&self) -> Out {
        let envelope = &self.envelope;
        let wire = Arc::new(wire::render_to(&envelope.stanza, &envelope.stamps, envelope.to.as_str()));
        Out { after: envelope.after, mark: self.number, ..Out::new(wire, To::Nobody) }
    }
}

pub(crate) enum Stream {
    /// Nobody has asked for one.
    None,
    /// The pipes are at it, and are not waited for any longer than that.
    Opening(Mono),
    Open(SessionRef),
    /// It could not be had; again from then on.
    Later(Mono),
}

pub struct Remote {
    pub(crate) stream: Stream,
    waiting: VecDeque<Said>,
    /// In the deque of the stream, or written and not acknowledged.
    underway: VecDeque<Said>,
    /// Of both.
    bytes: usize,
    /// What the shard has counted of what waits.
    pub(crate) counted: usize,
    /// Streams that could not be opened, or did not last, one after the other.
    failures: u32,
    opened: Mono,
    owner: Option<OwnerId>,
    /// Something on disk could not be read, and stays there.
    is_damaged: bool,
    /// The set in which the store learned of the owner.
    owned: Ticket,
    pub last_state: Ticket,
    /// The earliest timer that is armed.
    armed: Option<Mono>,
}

impl Remote {
    pub fn load(woken: Option<&Woken>, house: &House, now: Now) -> Remote {
        let mut remote = Remote {
            stream: Stream::None,
            waiting: VecDeque::new(),
            underway: VecDeque::new(),
            bytes: 0,
            counted: 0,
            failures: 0,
            opened: Mono::default(),
            owner: woken.map(|woken| woken.owner),
            is_damaged: false,
            owned: 0,
            last_state: 0,
            armed: None,
        };
        for item in woken.iter().flat_map(|woken| &woken.items) {
            match read(item, house) {
                Some((number, envelope)) => {
                    remote.push(Said { number, stored: true, ..Said::new(envelope, house, now) });
                }
                None => {
                    tracing::error!("what waits for another server cannot be read, and stays where it is");
                    remote.is_damaged = true;
                }
            }
        }
        remote
    }

    pub fn is_idle(&self) -> bool {
        self.waiting.is_empty() && matches!(self.stream, Stream::None | Stream::Opening(_))
    }

    pub(crate) fn has_waiting(&self) -> bool {
        !self.waiting.is_empty()
    }

    /// With a stream it waits no more: it is underway.
    pub(crate) fn waiting_bytes(&self) -> usize {
        if self.waiting.is_empty() { 0 } else { self.bytes }
    }

    pub(crate) fn waiting(&self) -> usize {
        self.waiting.len()
    }

    pub(crate) fn is_open(&self) -> Option<SessionRef> {
        match self.stream {
            Stream::Open(at) => Some(at),
            _ => None,
        }
    }

    /// What is underway on this stream has been so for too long: they do not read, or their machine is gone.
    pub(crate) fn stalled(&self, now: Mono, house: &House) -> Option<SessionRef> {
        let since = self.underway.front()?.since;
        self.is_open().filter(|_| since + house.limits.peer_queue_timeout <= now)
    }

    /// Is there room for one more?
    pub(crate) fn has_room(&self, house: &House) -> bool {
        let stanzas = self.waiting.len() + self.underway.len();
        stanzas < house.limits.output_stanzas_max && self.bytes < house.limits.output_bytes_max
    }

    fn push(&mut self, said: Said) {
        self.bytes += said.size();
        self.waiting.push_back(said);
    }

    /// When something has to be done about what is here, if that is earlier than anybody will look.
    pub(crate) fn next_timeout(&mut self, now: Mono, house: &House) -> Option<Mono> {
        if self.armed.is_some_and(|armed| armed <= now + UNACKNOWLEDGED_MAX) {
            return None;
        }
        let oldest = self.waiting.front().map(|said| said.until);
        let unacknowledged =
            self.underway.iter().find(|said| said.envelope.receipt.is_some()).map(|said| said.since + UNACKNOWLEDGED_MAX);
        let stalled = self.underway.front().map(|said| said.since + house.limits.peer_queue_timeout);
        let again = match self.stream {
            Stream::Later(at) | Stream::Opening(at) => Some(at),
            Stream::None | Stream::Open(_) => None,
        };
        let next = [oldest, unacknowledged, stalled, again].into_iter().flatten().min()?;
        let earlier = self.armed.is_none_or(|armed| next < armed);
        earlier.then(|| *self.armed.insert(next))
    }

    /// Somebody looks.
    pub(crate) fn fired(&mut self) {
        self.armed = None;
    }

    // --- a stream -----------------------------------------------------------------------------------------------------

    /// There is one: what has waited, for its deque.
    pub(crate) fn opened(&mut self, at: SessionRef, now: Mono) -> Vec<Out> {
        self.stream = Stream::Open(at);
        self.opened = now;
        self.underway.extend(self.waiting.drain(..).map(|said| Said { since: now, ..said }));
        self.underway.iter().map(Said::out).collect()
    }

    /// Its deque has it now. What nobody would miss after a crash is handled with that.
    pub(crate) fn goes(&mut self, mut said: Said) -> Option<Receipt> {
        let receipt = if said.is_worth_keeping() { None } else { said.envelope.receipt.take() };
        self.bytes += said.size();
        self.underway.push_back(said);
        receipt
    }

    /// Everything up to this number has left. The receipts of that, each with what it stands on.
    pub(crate) fn gone(&mut self, upto: u64, set: &mut WriteSet) -> Vec<(Receipt, Ticket)> {
        let mut receipts = Vec::new();
        while let Some(mut said) = self.underway.pop_front_if(|said| said.number <= upto) {
            self.bytes -= said.size();
            self.forget(&said, set);
            receipts.extend(said.envelope.receipt.take().map(|receipt| (receipt, said.envelope.after)));
        }
        receipts
    }

    /// It is over: what has not left waits for another one. False: that has happened too often by now for anybody to wait longer.
    pub(crate) fn ended(&mut self, key: &str, now: Now, house: &House) -> bool {
        self.stream = Stream::None;
        for mut said in std::mem::take(&mut self.underway).into_iter().rev() {
            if !std::mem::replace(&mut said.again, true) {
                said.until = now.mono + house.limits.peer_queue_timeout;
            }
            self.waiting.push_front(said);
        }
        if now.mono.since(self.opened) >= LIFE_MIN {
            self.failures = 0;
            return true;
        }
        self.not_opened(key, now, house);
        self.failures < FAILURES_MAX
    }

    /// When the next try is: half to one and a half of the wait, so that not all servers come back at once.
    pub(crate) fn not_opened(&mut self, key: &str, now: Now, house: &House) {
        let last = WAIT_LAST.min(house.limits.peer_queue_timeout / 3);
        let wait = WAIT_FIRST.saturating_mul(1 << self.failures.min(16)).min(last);
        self.failures += 1;
        let jitter = hash::stable(&[key.as_bytes(), &now.wall_us.to_be_bytes()]) % 1_000;
        self.stream = Stream::Later(now.mono + wait.mul_f64(0.5 + jitter as f64 / 1_000.0));
    }

    // --- giving back --------------------------------------------------------------------------------------------------

    /// All that waits.
    pub(crate) fn take_all(&mut self, set: &mut WriteSet) -> Vec<Said> {
        let all: Vec<Said> = self.waiting.drain(..).collect();
        self.bytes -= all.iter().map(Said::size).sum::<usize>();
        all.iter().for_each(|said| self.forget(said, set));
        all
    }

    /// Those whose time is over; the oldest come first.
    pub(crate) fn take_overdue(&mut self, now: Mono, set: &mut WriteSet) -> Vec<Said> {
        let over = self.waiting.iter().take_while(|said| said.until <= now).count();
        let taken: Vec<Said> = self.waiting.drain(..over).collect();
        self.bytes -= taken.iter().map(Said::size).sum::<usize>();
        taken.iter().for_each(|said| self.forget(said, set));
        taken
    }

    // --- on disk ------------------------------------------------------------------------------------------------------

    /// It waits, on disk if nobody will say it again. What it may count as handled with, when this set is kept.
    pub(crate) fn keep(&mut self, key: &str, mut said: Said, house: &House, now: Now, set: &mut WriteSet) -> Option<Receipt> {
        self.store(key, &mut said, house, now, set);
        let receipt = said.envelope.receipt.take();
        said.promised = receipt.is_some() && said.stored;
        self.push(said);
        receipt
    }

    /// The same of whatever is underway for too long, and of what came back from a stream that has ended.
    pub(crate) fn spill(&mut self, key: &str, house: &House, now: Now, set: &mut WriteSet) -> Vec<Receipt> {
        let is_late = |said: &&mut Said| said.since + UNACKNOWLEDGED_MAX <= now.mono;
        let mut receipts = Vec::new();
        let mut underway = std::mem::take(&mut self.underway);
        let mut waiting = std::mem::take(&mut self.waiting);
        let late = underway.iter_mut().take_while(is_late).filter(|said| said.envelope.receipt.is_some());
        for said in late.chain(waiting.iter_mut().take_while(|said| said.again).filter(|said| !said.stored)) {
            self.store(key, said, house, now, set);
            let receipt = said.envelope.receipt.take();
            said.promised = receipt.is_some();
            receipts.extend(receipt);
        }
        (self.underway, self.waiting) = (underway, waiting);
        receipts
    }

    fn store(&mut self, key: &str, said: &mut Said, house: &House, now: Now, set: &mut WriteSet) {
        if said.stored || !said.is_worth_keeping() {
            return;
        }
        let owner = match self.owner {
            Some(owner) => owner,
            None => {
                let owner = OwnerId(house.clock.mint(now).0);
                set.push(Write::Own { owner, name: stored_name(key) });
                self.owner = Some(owner);
                self.owned = NOT_YET;
                owner
            }
        };
        let envelope = &said.envelope;
        let value = Bytes::from(wire::render_to(&envelope.stanza, &envelope.stamps, envelope.to.as_str()).bytes.to_vec());
        set.push(Write::Put { owner, shelf: SHELF, key: number_key(said.number), value });
        said.stored = true;
    }

    /// The ticket of the set that `keep` has written into.
    pub(crate) fn kept_with(&mut self, ticket: Ticket) {
        self.owned_with(ticket);
        self.waiting.iter_mut().next_back().into_iter().for_each(|said| said.stands_on(ticket));
    }

    /// The same of `spill`.
    pub(crate) fn spilled_with(&mut self, ticket: Ticket) {
        self.owned_with(ticket);
        self.waiting.iter_mut().chain(&mut self.underway).for_each(|said| said.stands_on(ticket));
    }

    fn owned_with(&mut self, ticket: Ticket) {
        if self.owned == NOT_YET {
            self.owned = ticket;
        }
    }

    /// It has left, or has gone back. Soon, or a crash says it again, and to a server that is away by then: its sender would hear that it
    /// did not arrive.
    fn forget(&self, said: &Said, set: &mut WriteSet) {
        if let (Some(owner), true) = (self.owner, said.stored) {
            set.push(Write::Delete { owner, shelf: SHELF, key: number_key(said.number) });
        }
    }

    /// Nothing waits: its name need not be on disk either, or there would be one of every domain that anybody has ever thought of.
    pub(crate) fn disown(&mut self, set: &mut WriteSet) {
        if let Some(owner) = self.owner.take_if(|_| !self.is_damaged) {
            set.push_unhurried(Write::Disown { owner });
        }
    }

    /// What it stands on was refused: whoever said it is told by the session it came from. And nobody knows what is on disk of the rest.
    pub(crate) fn forget_refused(&mut self, progress: &Progress) {
        self.waiting.retain(|said| !progress.is_refused(said.envelope.after));
        self.bytes = self.waiting.iter().chain(&self.underway).map(Said::size).sum();
        if progress.is_refused(self.owned) {
            self.owner = None;
        }
        if progress.is_refused(self.last_state) {
            self.waiting.iter_mut().chain(&mut self.underway).for_each(|said| said.stored = false);
        }
        self.last_state = 0;
    }
}

/// Of a set that has no ticket yet.
const NOT_YET: Ticket = Ticket::MAX;

/// Ascending as text.
fn number_key(number: u64) -> Arc<str> {
    Arc::from(format!("{number:020}"))
}

fn read(item: &Item, house: &House) -> Option<(u64, Box<Envelope>)> {
    let stanza = Stanza::parse(&item.value, &house.names).ok()?;
    let (from, to) = (stanza.from_jid().ok()??, stanza.to_jid().ok()??);
    Some((item.key.parse().ok()?, Envelope::new(Arc::new(stanza), from, to)))
}
