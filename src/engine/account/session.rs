//! A session: the value that survives its pipe. It owns the one output deque and the home of the receipts.
//!
//! XEP-0198 lives here, not in its room: counters, `<r/>`, `<a/>` and what is still unacknowledged *are* the deque, with
//! acknowledged, sent and unsent as cursors into it.

use std::collections::VecDeque;
use std::sync::Arc;
use std::time::Duration;

use iris_core::effects::{Out, StreamError, To, Undelivered};
use iris_core::error::{Bounce, Condition};
use iris_core::jids::address;
use iris_core::limits::Limits;
use iris_core::store::{Progress, Ticket};
use iris_core::time::{Mono, Now};
use iris_core::turn::SessionCard;
use iris_core::xml::stanza::Stanza;
use iris_core::xml::wire::{Hold, Output, Sender};
use iris_core::{Kind, Receipt, ns};

use super::reply;
use crate::shard::Census;

pub struct Session {
    pub card: SessionCard,
    /// The bare JID of the account, as the map of entities has it.
    pub account: Arc<str>,
    /// Ended: nothing is accepted or sent any more.
    pub over: Option<StreamError>,
    /// Ended by its own wish: it hears that, once it is kept, and then no more.
    pub parting: bool,
    /// Wants roster pushes (RFC 6121 2.1.6).
    pub interested: bool,
    /// While it is invisible (XEP-0186): may the server ask after others for it?
    pub probes: bool,
    /// Which pipe holds the other end now; a pipe that is not this one has been replaced.
    pub pipe: Option<u64>,
    /// When it was bound, microseconds since 1970.
    pub since_us: u64,
    /// Where its pipe comes from.
    pub address: Option<core::net::IpAddr>,
    /// The last time the client said anything at all.
    pub heard: Mono,
    /// A stream between servers, one way: ours to them, or theirs to us.
    pub peer: bool,
    /// Of such a stream: the last time that something was said on it.
    pub spoke: Mono,
    /// Of such a stream: what was refused of it, whose senders hear that another way.
    pub refusals: Vec<(Arc<Stanza>, Bounce)>,
    /// Its pipe waits for credit.
    pub thirsty: bool,
    /// XEP-0198: since when an `<r/>` is not answered, as far as anybody has looked.
    pub owes_since: Option<Mono>,
    /// Somebody will look.
    pub owes_timer: bool,
    /// Asked whether it lives; no answer yet.
    pub asked_alive: bool,
    /// When its timer fires.
    pub looked_at: Mono,
    /// Detached since, and can be resumed until its time is over.
    pub detached_at: Option<Mono>,
    /// Which installation of a client it is (XEP-0388, `<user-agent id=…/>`).
    pub agent: Option<u128>,
    /// The same as its owner knows it (XEP-0494), if it was remembered.
    pub client: Option<Arc<str>>,
    /// It showed a certificate, no password.
    pub by_certificate: bool,
    /// Full or bare JIDs that got directed presence (RFC 6121 4.6.1).
    pub directed: Vec<jid::Jid>,
    /// Whom the last stanza was to: the next one mostly is too, and an address that was prepared is not prepared again.
    spoke_to: Option<jid::Jid>,
    pub sm: Option<Sm>,
    queue: VecDeque<Out>,
    /// Items of `queue` that are written but not acknowledged (always 0 without XEP-0198).
    sent: usize,
    queue_bytes: usize,
    /// What may wait while nobody looks (XEP-0352), oldest first.
    held: Vec<Out>,
    inbound: Inbound,
    /// A new pipe waits until everything in flight is settled and committed.
    pub resuming: Option<Resuming>,
    /// Marks whose items have left for good.
    pub marks: Vec<u64>,
    /// The largest ticket this session waits for already.
    pub waits_for: Ticket,
}

/// A `<resume/>` that is not answered yet.
pub struct Resuming {
    pub h: u32,
    pub pipe: u64,
    pub reply: crate::shard::ResumeReply,
}

/// XEP-0198 once it is enabled.
#[derive(Debug)]
pub struct Sm {
    /// 128 random bits, when resumption was asked for.
    pub id: Option<String>,
    /// `<enabled/>` has been written: from here stanzas are counted.
    started: bool,
    /// Stanzas the client has acknowledged.
    acked: u32,
    /// Stanzas handled for the client: settled and committed, in order.
    handled: u32,
    /// Written since the last `<r/>`.
    unasked: u32,
    /// The client asked with `<r/>` when it had sent this many.
    asked: Option<u32>,
    /// Stanzas received since enabling.
    received: u32,
    /// An `<r/>` is not answered.
    owed: bool,
}

/// Stanzas of the client that are not settled yet: the home of their receipts.
#[derive(Default)]
struct Inbound {
    first: u32,
    open: VecDeque<Underway>,
    bytes: usize,
}

struct Underway {
    stanza: Arc<Stanza>,
    fate: Option<(Ticket, Option<Bounce>)>,
    counts: bool,
}

/// What a pull gave.
#[derive(Debug, PartialEq, Eq)]
pub enum Pulled {
    /// Everything that may be sent has been.
    Empty,
    /// The buffer is full; pull again when it is written.
    More,
    /// The stream is over: write what there is, then close.
    Over,
}

/// Of different people and things that many may wait (XEP-0352); one more, and all of it goes out.
const HELD_STANZAS_MAX: usize = 1_000;

/// Whoever has not acknowledged for so long what was asked about may not be there. Far less than a dead connection takes to be found out,
/// and more than a phone on a bad network takes to answer.
pub const SILENCE: Duration = Duration::from_secs(30);

/// Ask for an acknowledgement after this many stanzas.
const ASK_AFTER: u32 = 8;

impl Session {
    pub fn new(card: SessionCard, account: Arc<str>, now: Now) -> Session {
        Session {
            card,
            account,
            since_us: now.wall_us,
            address: None,
            over: None,
            parting: false,
            interested: false,
            probes: true,
            pipe: None,
            heard: now.mono,
            peer: false,
            spoke: now.mono,
            refusals: Vec::new(),
            thirsty: false,
            asked_alive: false,
            owes_since: None,
            owes_timer: false,
            looked_at: Mono::default(),
            detached_at: None,
            agent: None,
            client: None,
            by_certificate: false,
            directed: Vec::new(),
            spoke_to: None,
            sm: None,
            queue: VecDeque::new(),
            sent: 0,
            queue_bytes: 0,
            held: Vec::new(),
            inbound: Inbound::default(),
            resuming: None,
            marks: Vec::new(),
            waits_for: 0,
        }
    }

    /// Whom a stanza of this session is to; `None`: it does not say.
    ///
    /// # Errors
    /// It says something that is no address.
    pub fn address_of(&mut self, stanza: &Stanza) -> Result<Option<jid::Jid>, jid::Error> {
        let Some(to) = stanza.to() else { return Ok(None) };
        if let Some(known) = self.spoke_to.as_ref().filter(|known| known.as_str() == to) {
            return Ok(Some(known.clone()));
        }
        let jid = address(&to)?;
        self.spoke_to = Some(jid.clone());
        Ok(Some(jid))
    }

    /// The stream of a component (XEP-0114), which is a whole domain: what it is sent has a `to` of its own.
    pub fn is_component(&self) -> bool {
        !self.account.contains('@')
    }

    // --- receipts -----------------------------------------------------------------------------------------------------

    /// A stanza of the client begins its way.
    pub fn receive(&mut self, stanza: Arc<Stanza>) -> Receipt {
        let seq = self.inbound.first.wrapping_add(self.inbound.open.len() as u32);
        self.inbound.bytes += stanza.size();
        // XEP-0198 4 counts stanzas: an element that is none (XEP-0352) has a receipt, but no number.
        let counts = self.sm.is_some() && stanza.kind() != Kind::Other;
        if let (true, Some(sm)) = (counts, &mut self.sm) {
            sm.received = sm.received.wrapping_add(1);
        }
        self.inbound.open.push_back(Underway { stanza, fate: None, counts });
        Receipt::new(self.card.this, seq)
    }

    /// May the client's next stanza begin? Only the sender itself ever waits.
    pub fn has_credit(&self, limits: &Limits) -> bool {
        self.inbound.open.len() < limits.unsettled_stanzas_max && self.inbound.bytes < limits.unsettled_bytes_max
    }

    pub fn all_settled(&self) -> bool {
        self.inbound.open.is_empty()
    }

    pub fn settle(&mut self, seq: u32, after: Ticket, refused: Option<Bounce>) {
        let at = seq.wrapping_sub(self.inbound.first) as usize;
        if let Some(underway) = self.inbound.open.get_mut(at) {
            underway.fate.get_or_insert((after, refused));
        }
    }

    /// Count the settled and committed prefix. True when something became sendable (an error, an `<a/>`) or credit came free.
    pub fn advance(&mut self, progress: &Progress, limits: &Limits) -> bool {
        let mut moved = false;
        while let Some(Underway { fate: Some((after, _)), .. }) = self.inbound.open.front() {
            if *after > progress.resolved {
                break;
            }
            let Some(done) = self.inbound.open.pop_front() else { break };
            moved = true;
            self.inbound.first = self.inbound.first.wrapping_add(1);
            self.inbound.bytes -= done.stanza.size();
            let refused = match done.fate {
                Some((_, Some(bounce))) => Some(bounce),
                Some((after, None)) if progress.is_refused(after) => {
                    Some(Bounce::new(Condition::ResourceConstraint).text("storage did not take it; try again later"))
                }
                _ => None,
            };
            // A refusal is told first, then the stanza counts as handled: it was answered.
            if self.peer {
                self.refusals.extend(refused.map(|bounce| (done.stanza, bounce)));
            } else if let Some(error) = refused.and_then(|bounce| reply::error_to_sender(&done.stanza, &bounce)) {
                let out = match self.is_component() {
                    // For whom it spoke; what is no address stands nowhere, and the component hears of it itself.
                    true => {
                        let from = done.stanza.from_jid().ok().flatten();
                        let to = from.as_ref().map_or(self.card.jid.domain().as_str(), |from| from.as_str());
                        Out::new(reply::addressed(&error, to), To::Nobody)
                    }
                    false => Out::new(error, To::Full),
                };
                self.push(out, limits);
            }
            if let (true, Some(sm)) = (done.counts, &mut self.sm) {
                sm.handled = sm.handled.wrapping_add(1);
            }
        }
        moved
    }

    // --- output -------------------------------------------------------------------------------------------------------

    /// Queue one item, or give it back: the deque is full (the caller detaches or ends the session).
    pub fn try_push(&mut self, out: Out, limits: &Limits) -> Result<(), Out> {
        if self.over.is_some() && !self.parting {
            return Ok(());
        }
        // What a stream to another server holds, that server's entity bounds (`remote.rs`).
        let is_bounded = self.peer && !self.account.is_empty();
        let full =
            self.queue.len() + self.held.len() >= limits.output_stanzas_max || self.queue_bytes >= limits.output_bytes_max;
        if full && !is_bounded {
            return Err(out);
        }
        self.enqueue(out);
        Ok(())
    }

    /// The one item that did not fit any more when the pipe was detached: a stream that is resumed has no hole in it.
    pub fn push_last(&mut self, out: Out) {
        self.enqueue(out);
    }

    fn enqueue(&mut self, out: Out) {
        self.queue_bytes += out.wire.bytes.len();
        if self.card.inactive {
            match out.wire.hold {
                Hold::Drop => {
                    self.queue_bytes -= out.wire.bytes.len();
                    return;
                }
                Hold::Coalesce { key, .. } => {
                    let is_it = |other: &Out| matches!(other.wire.hold, Hold::Coalesce { key: of, .. } if of == key);
                    if let Some(at) = self.held.iter().position(is_it) {
                        let old = self.held.remove(at);
                        self.queue_bytes -= old.wire.bytes.len();
                    }
                    self.held.push(out);
                    if self.held.len() >= HELD_STANZAS_MAX {
                        self.release_held();
                    }
                    return;
                }
                Hold::Pass(sender) => self.release_of(sender),
                Hold::Flush => self.release_held(),
            }
        }
        self.queue.push_back(out);
    }

    fn push(&mut self, out: Out, limits: &Limits) {
        if self.try_push(out, limits).is_err() {
            self.over.get_or_insert(StreamError::new("resource-constraint"));
        }
    }

    /// XEP-0352: what was held goes out, in order.
    pub fn release_held(&mut self) {
        self.queue.extend(self.held.drain(..));
    }

    /// What waits of this one goes out, in order.
    fn release_of(&mut self, sender: Sender) {
        let is_theirs = |out: &mut Out| matches!(out.wire.hold, Hold::Coalesce { from, .. } if sender.has_sent(from));
        self.queue.extend(self.held.extract_if(.., is_theirs));
    }

    /// The earliest ticket that something of this session waits for: the next unsent item, or the client's oldest stanza.
    pub fn waits(&self, resolved: Ticket) -> Option<Ticket> {
        let gate = self.queue.get(self.sent).map(|out| out.after).filter(|after| *after > resolved);
        let oldest = self.inbound.open.front().and_then(|it| it.fate.as_ref()).map(|(after, _)| *after);
        match (gate, oldest.filter(|after| *after > resolved)) {
            (Some(a), Some(b)) => Some(a.min(b)),
            (a, b) => a.or(b),
        }
    }

    /// Anything for the pipe to write right now?
    pub fn sendable(&self, resolved: Ticket) -> bool {
        self.is_over(resolved)
            || self.queue.get(self.sent).is_some_and(|out| out.after <= resolved)
            || self.sm.as_ref().is_some_and(Sm::ack_is_due)
    }

    /// Ended, and it has heard what it is to hear.
    pub(crate) fn is_over(&self, resolved: Ticket) -> bool {
        self.over.is_some() && !self.parts_later(resolved)
    }

    /// Its last word waits for the disk.
    fn parts_later(&self, resolved: Ticket) -> bool {
        self.parting && self.queue.get(self.sent).is_some_and(|out| out.after > resolved)
    }

    /// Copy what may be sent into the connection's buffer, up to about `bytes_max`.
    pub fn pull(&mut self, progress: &Progress, out: &mut Output, bytes_max: usize) -> Pulled {
        let mut full = false;
        while let Some(front) = self.queue.get(self.sent) {
            if front.after > progress.resolved {
                break;
            }
            if out.bytes.len() >= bytes_max {
                full = true;
                break;
            }
            if front.after != 0 && progress.is_refused(front.after) {
                // What stood on a refused write was never true: it is not shown, and its mark has not passed.
                if let Some(out) = self.queue.remove(self.sent) {
                    self.queue_bytes -= out.wire.bytes.len();
                }
                continue;
            }
            let to = match front.to {
                To::Bare => Some(&*self.account),
                To::Full => Some(self.card.jid.as_str()),
                To::Nobody => None,
            };
            let nonza = front.nonza;
            if nonza {
                out.nonza(&front.wire.bytes)
            } else {
                out.stanza(&front.wire, to)
            }
            match &mut self.sm {
                Some(sm) if sm.started && !nonza => {
                    self.sent += 1;
                    sm.unasked = sm.unasked.saturating_add(1);
                }
                Some(sm) => {
                    sm.started |= nonza;
                    self.forget(self.sent);
                }
                None => self.forget(0),
            }
        }
        if let Some(sm) = &mut self.sm {
            sm.write_control(self.sent, self.queue.len(), out);
        }
        match (&self.over, full) {
            (_, true) => Pulled::More,
            (Some(_), false) if self.parts_later(progress.resolved) => Pulled::Empty,
            (Some(_), false) => Pulled::Over,
            (None, false) => Pulled::Empty,
        }
    }

    /// An item has left the deque for good.
    fn forget(&mut self, at: usize) {
        if let Some(out) = self.queue.remove(at) {
            self.queue_bytes -= out.wire.bytes.len();
            if out.mark != 0 {
                self.marks.push(out.mark);
            }
        }
    }

    /// The same, while it goes on: its client may have some of them.
    pub fn undelivered(&self) -> impl Iterator<Item = &Arc<Undelivered>> {
        self.queue.iter().chain(&self.held).filter_map(|out| out.origin.as_ref())
    }

    /// Messages that this session can not be shown to have got.
    pub fn take_undelivered(&mut self) -> Vec<Out> {
        self.release_held();
        self.sent = 0;
        self.queue_bytes = 0;
        self.queue.drain(..).filter(|out| out.origin.is_some()).collect()
    }

    /// What its pipe has not taken yet.
    pub(crate) fn unwritten(&self) -> usize {
        if self.pipe.is_some() && self.over.is_none() { self.queue.len() - self.sent } else { 0 }
    }

    pub(crate) fn count(&self, census: &mut Census) {
        census.output_stanzas += (self.queue.len() + self.held.len()) as u64;
        census.output_bytes += self.queue_bytes as u64;
        census.held_stanzas += self.held.len() as u64;
        census.unacked_stanzas += self.sent as u64;
        census.unsettled_stanzas += self.inbound.open.len() as u64;
    }

    // --- XEP-0198 -----------------------------------------------------------------------------------------------------

    /// It was asked for and is not to be had: what was written has left for good.
    pub fn disable_sm(&mut self) {
        (0..std::mem::take(&mut self.sent)).for_each(|_| self.forget(0));
        self.sm = None;
    }

    /// `<enable/>`: `answer` is `<enabled/>`; what was queued before it is not counted.
    pub fn enable_sm(&mut self, id: Option<String>, answer: String, limits: &Limits) {
        self.answer_nonza(answer, limits);
        self.sm = Some(Sm { id, started: false, acked: 0, handled: 0, unasked: 0, asked: None, received: 0, owed: false });
    }

    /// `<enable/>` inside XEP-0386's `<bind/>`: everything behind `<success/>` is counted.
    pub fn enable_sm_inline(&mut self, id: Option<String>) {
        self.sm = Some(Sm { id, started: true, acked: 0, handled: 0, unasked: 0, asked: None, received: 0, owed: false });
    }

    /// An element that is no stanza and that XEP-0198 does not count.
    pub fn answer_nonza(&mut self, xml: String, limits: &Limits) {
        let out = Out { nonza: true, ..Out::new(iris_core::effects::made(xml, Hold::Flush), To::Nobody) };
        self.push(out, limits);
    }

    /// How many more that are, if the client has `h`. More than we sent ends the stream (XEP-0198 4).
    pub fn may_acknowledge(&self, h: u32) -> Result<usize, StreamError> {
        let Some(sm) = &self.sm else { return Ok(0) };
        let count = h.wrapping_sub(sm.acked) as usize;
        if count <= self.sent {
            return Ok(count);
        }
        // XEP-0198 4, handled-count-too-high.
        let sent = sm.acked.wrapping_add(self.sent as u32);
        let extra = format!("<handled-count-too-high xmlns='{}' h='{h}' send-count='{sent}'/>", ns::SM);
        let error = StreamError::new("undefined-condition").text("you acknowledged more stanzas than you were sent");
        Err(StreamError { extra: Some(extra), ..error })
    }

    /// `<a h=…/>`: the client has that many.
    pub fn acked(&mut self, h: u32) -> Result<(), StreamError> {
        let count = self.may_acknowledge(h)?;
        let Some(sm) = &mut self.sm else { return Ok(()) };
        sm.acked = h;
        sm.owed = self.sent > count;
        for _ in 0..count {
            self.sent -= 1;
            self.forget(0);
        }
        Ok(())
    }

    /// Has an `<r/>` been written that was not answered?
    pub fn owes(&self) -> bool {
        self.sm.as_ref().is_some_and(|sm| sm.owed)
    }

    /// `<r/>`: answered when everything sent before it is settled and committed.
    pub fn ack_asked(&mut self) {
        if let Some(sm) = &mut self.sm {
            sm.asked = Some(sm.received);
        }
    }

    /// A new pipe takes over: what was written and not acknowledged is written again.
    pub fn resume(&mut self, h: u32) -> Result<u32, StreamError> {
        self.acked(h)?;
        self.sent = 0;
        // XEP-0352 5.2: every stream begins active, a resumed one too.
        self.card.inactive = false;
        self.release_held();
        let Some(sm) = &mut self.sm else { return Ok(0) };
        sm.unasked = 0;
        sm.asked = None;
        sm.owed = false;
        Ok(sm.handled)
    }

    /// Stanzas handled so far, for `<failed h=…/>` and `<resumed h=…/>`.
    pub fn handled(&self) -> u32 {
        self.sm.as_ref().map_or(0, |sm| sm.handled)
    }

    /// Ask the client whether it lives, in the cheapest way it knows.
    pub fn ask_alive(&mut self, host: &str, limits: &Limits) {
        self.asked_alive = true;
        match &mut self.sm {
            Some(sm) => sm.unasked = u32::MAX,
            None => {
                let ping = format!("<iq from='{host}' type='get' id='iris-alive'><ping xmlns='urn:xmpp:ping'/></iq>");
                self.push(Out::new(iris_core::effects::made(ping, Hold::Flush), To::Full), limits);
            }
        }
    }

    #[cfg(any(test, feature = "testing"))]
    pub fn queued(&self) -> (usize, usize) {
        (self.queue.len() + self.held.len(), self.queue_bytes)
    }

    /// As if so many stanzas had gone each way: a play has no time for four thousand million.
    #[cfg(any(test, feature = "testing"))]
    pub fn count_from(&mut self, number: u32) {
        if let Some(sm) = &mut self.sm {
            (sm.acked, sm.handled, sm.received) = (number, number, number);
        }
    }
}

impl Sm {
    fn ack_is_due(&self) -> bool {
        self.asked.is_some_and(|asked| self.handled.wrapping_sub(asked) as i32 >= 0) || self.unasked == u32::MAX
    }

    /// `<a/>` when it is due, `<r/>` when enough was sent or nothing more waits behind it.
    fn write_control(&mut self, sent: usize, queued: usize, out: &mut Output) {
        if self.asked.is_some_and(|asked| self.handled.wrapping_sub(asked) as i32 >= 0) {
            self.asked = None;
            out.nonza(format!("<a xmlns='{}' h='{}'/>", ns::SM, self.handled).as_bytes());
        }
        if self.unasked >= ASK_AFTER || (self.unasked > 0 && sent == queued) {
            self.unasked = 0;
            self.owed = true;
            out.nonza(b"<r xmlns='urn:xmpp:sm:3'/>");
        }
    }
}
