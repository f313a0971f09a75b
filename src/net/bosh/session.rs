//! One BOSH session, sans-IO: requests in the order of their ids on one side, elements in and out on the other.
//!
//! The stream looks like a WebSocket's from inside: `<open/>`, elements, `<close/>` (RFC 7395); XEP-0206's attributes are made of
//! these. Several streams in one session (XEP-0124 16) are not done, and not offered.

use std::collections::{BTreeMap, VecDeque};
use std::fmt::Write;
use std::time::{Duration, Instant};

use bytes::Bytes;
use iris_core::ns;
use iris_core::xml::escape::escape_attr;
use tokio::sync::oneshot;

use super::body::Body;
use super::keys::Keys;

/// The answer to one request.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Answer {
    /// For a client of a time when errors were HTTP's (XEP-0124 17.2); otherwise 200.
    pub status: u16,
    pub content_type: String,
    pub body: Bytes,
}

impl Answer {
    /// The session has ended while the request waited.
    pub fn gone() -> Answer {
        terminal(ITEM_NOT_FOUND, true)
    }
}

pub type Reply = oneshot::Sender<Answer>;

/// What clients may ask for at most, and what they are told.
pub const WAIT_MAX: Duration = Duration::from_secs(60);
pub const HOLD_MAX: u64 = 4;
pub const INACTIVITY: Duration = Duration::from_secs(30);
/// A session that polls is silent for longer.
pub const INACTIVITY_POLLING: Duration = Duration::from_secs(60);
pub const PAUSE_MAX: Duration = Duration::from_secs(120);
pub const POLLING: Duration = Duration::from_secs(2);
/// The version of XEP-0124 that is spoken.
const VERSION: (u32, u32) = (1, 11);
/// How often the same request may be made.
const REPEATS_MAX: u32 = 8;
/// For a header and what follows it.
const FEATURES_TIME_MAX: Duration = Duration::from_secs(5);
/// What the client has sent and the stream has not read: beyond it requests wait.
const INBOX_BYTES_MAX: usize = 64 * 1024;
/// What the stream has for the client: beyond it the stream's own queue fills.
const OUTBOX_BYTES_MAX: usize = 64 * 1024;

pub struct Session {
    sid: String,
    content_type: String,
    first_rid: u64,
    /// The domain.
    to: Option<String>,
    /// A client without `ver` gets HTTP's errors.
    modern: Option<(u32, u32)>,
    wait: Duration,
    hold: usize,
    acks: bool,
    /// The next request to be read.
    next: u64,
    /// Came before their turn.
    early: BTreeMap<u64, (Body, Reply)>,
    /// Read and not answered.
    waiting: VecDeque<Waiting>,
    keys: Keys,
    /// For who asks again.
    answered: VecDeque<(u64, Bytes)>,
    inbox: Vec<u8>,
    outbox: Vec<u8>,
    /// Attributes that the next answer carries: XEP-0206 3.
    header: String,
    /// The stream is over: how the last answer says so.
    over: Option<Option<&'static str>>,
    /// It has been said.
    told: bool,
    /// The client has ended it, or is gone.
    left: Left,
    /// When the last empty request came, if its answer had nothing either.
    polled: Option<Instant>,
    /// Since when no request is here.
    silent: Option<Instant>,
    paused: Option<Duration>,
}

struct Waiting {
    rid: u64,
    until: Instant,
    /// Waits for an answer even if nothing is held: without the features that follow a header the client can do nothing.
    keep: bool,
    repeats: u32,
    poll: bool,
    reply: Reply,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Left {
    No,
    /// With a word: what came before it is still to be read.
    Terminated,
    /// Without one.
    Vanished,
}

/// Terminal binding conditions (XEP-0124 17.2).
pub const BAD_REQUEST: &str = "bad-request";
pub const ITEM_NOT_FOUND: &str = "item-not-found";
pub const POLICY_VIOLATION: &str = "policy-violation";
const HOST_UNKNOWN: &str = "host-unknown";
pub const IMPROPER_ADDRESSING: &str = "improper-addressing";
const REMOTE_STREAM_ERROR: &str = "remote-stream-error";
const REMOTE_CONNECTION_FAILED: &str = "remote-connection-failed";

/// Content types that clients may ask for (7.1); whatever is in the body, it is not run.
const CONTENT_TYPES: [&str; 6] =
    ["text/xml; charset=utf-8", "text/xml;charset=utf-8", "text/xml", "application/xml", "text/plain", "text/html"];

/// The end of a session that is none (any more).
pub fn terminal(condition: &str, modern: bool) -> Answer {
    let status = match condition {
        _ if modern => 200,
        BAD_REQUEST => 400,
        POLICY_VIOLATION => 403,
        ITEM_NOT_FOUND => 404,
        _ => 200,
    };
    let body = format!("<body xmlns='{}' type='terminate' condition='{condition}'/>", ns::HTTP_BIND);
    Answer { status, content_type: CONTENT_TYPES[0].to_owned(), body: body.into() }
}

impl Session {
    /// A new one, for the request that asks for it. The error is a condition.
    pub fn new(sid: String, body: &Body, now: Instant) -> Result<Session, &'static str> {
        let content_type = body.content.clone().unwrap_or_else(|| CONTENT_TYPES[0].to_owned());
        if !CONTENT_TYPES.contains(&content_type.to_ascii_lowercase().as_str()) || body.terminate || body.restart {
            return Err(BAD_REQUEST);
        }
        let wait = Duration::from_secs(body.wait_seconds.unwrap_or(0)).min(WAIT_MAX);
        let hold = if wait.is_zero() { 0 } else { body.hold.unwrap_or(1).min(HOLD_MAX) as usize };
        let mut open = format!("<open xmlns='{}'", ns::FRAMING);
        // XEP-0206 4: the client SHOULD say its version; what speaks this has no other.
        let version = body.version.as_deref().unwrap_or("1.0");
        for (name, value) in [("to", body.to.as_deref()), ("version", Some(version)), ("xml:lang", body.lang.as_deref())] {
            if let Some(value) = value {
                let _ = write!(open, " {name}='{}'", escape_attr(value));
            }
        }
        open.push_str("/>");
        Ok(Session {
            sid,
            content_type,
            first_rid: body.rid,
            to: body.to.clone(),
            modern: body.ver,
            wait,
            hold,
            acks: body.ack == Some(1),
            next: body.rid,
            early: BTreeMap::new(),
            waiting: VecDeque::new(),
            keys: Keys::default(),
            answered: VecDeque::new(),
            inbox: open.into_bytes(),
            outbox: Vec::new(),
            header: String::new(),
            over: None,
            told: false,
            left: Left::No,
            polled: None,
            silent: Some(now),
            paused: None,
        })
    }

    /// Requests at once.
    fn requests(&self) -> u64 {
        self.hold as u64 + 1
    }

    fn inactivity(&self) -> Duration {
        self.paused.unwrap_or(if self.hold == 0 { INACTIVITY_POLLING } else { INACTIVITY })
    }

    // --- the client's side ------------------------------------------------------------------------------------------------

    /// A request of this session. `reply` is answered now or later, or dropped when somebody asked again.
    pub fn request(&mut self, body: Body, reply: Reply, now: Instant) {
        if self.left != Left::No {
            let _ = reply.send(terminal(ITEM_NOT_FOUND, self.modern.is_some()));
            return;
        }
        let (rid, extra) = (body.rid, u64::from(body.terminate || body.pause_seconds.is_some()));
        if rid < self.next {
            return match self.keys.was(rid, body.key.as_deref()) {
                true => self.again(rid, reply),
                false => self.fail(ITEM_NOT_FOUND, reply),
            };
        }
        if self.told {
            let _ = reply.send(terminal(ITEM_NOT_FOUND, self.modern.is_some()));
            return;
        }
        // 14.2: the window; 11: one more to pause or to end.
        if rid >= self.next + self.requests() + extra {
            return self.fail(ITEM_NOT_FOUND, reply);
        }
        if let Some((_, old)) = self.early.insert(rid, (body, reply)) {
            let _ = old.send(self.recoverable());
        }
        self.read(now);
    }

    /// Requests whose turn has come, as long as the stream keeps up.
    fn read(&mut self, now: Instant) {
        while self.left == Left::No && self.inbox.len() < INBOX_BYTES_MAX {
            let Some((body, reply)) = self.early.remove(&self.next) else { break };
            self.take(body, reply, now);
        }
        self.answer(now);
    }

    fn take(&mut self, body: Body, reply: Reply, now: Instant) {
        // 15.4: "MUST NOT process the element, MUST terminate the session".
        if !self.keys.take(&body, self.hold) {
            return self.fail(ITEM_NOT_FOUND, reply);
        }
        if self.is_overactive(&body, now) {
            return self.fail(POLICY_VIOLATION, reply);
        }
        self.next += 1;
        self.paused = None;
        self.silent = None;
        if let Some(ack) = body.ack.filter(|_| self.acks) {
            self.answered.retain(|(rid, _)| *rid > ack);
        }
        self.inbox.extend_from_slice(&body.payloads);
        if body.restart {
            // XEP-0206 5: the stream begins anew, with the `to` of the request or the old one.
            let to = body.to.as_ref().or(self.to.as_ref()).map_or(String::new(), |to| format!(" to='{}'", escape_attr(to)));
            let lang = body.lang.as_ref().map_or(String::new(), |lang| format!(" xml:lang='{}'", escape_attr(lang)));
            let open = format!("<open xmlns='{}'{to}{lang} version='1.0'/>", ns::FRAMING);
            self.inbox.extend_from_slice(open.as_bytes());
        }
        if let Some(pause) = body.pause_seconds {
            let pause = Duration::from_secs(pause);
            if pause > PAUSE_MAX {
                return self.fail(POLICY_VIOLATION, reply);
            }
            // 10: everything is answered, this one with nothing in it and without being kept.
            while let Some(waiting) = self.waiting.pop_front() {
                self.send(waiting);
            }
            let _ = reply.send(self.envelope(body.rid, ""));
            self.paused = Some(pause);
            self.silent = Some(now);
            return;
        }
        let poll = body.is_poll() && body.rid != self.first_rid;
        let keep = body.restart || body.rid == self.first_rid;
        let until = now + if keep { self.wait.max(FEATURES_TIME_MAX) } else { self.wait };
        self.waiting.push_back(Waiting { rid: body.rid, until, keep, repeats: 0, poll, reply });
        if body.terminate {
            self.inbox.extend_from_slice(format!("<close xmlns='{}'/>", ns::FRAMING).as_bytes());
            self.left = Left::Terminated;
            self.over.get_or_insert(None);
        }
    }

    /// 11 and 12: polls follow each other too soon.
    fn is_overactive(&mut self, body: &Body, now: Instant) -> bool {
        if !body.is_poll() || body.rid == self.first_rid {
            self.polled = None;
            return false;
        }
        let soon = self.polled.is_some_and(|last| now.duration_since(last) < POLLING);
        self.polled = Some(now);
        // A session that holds: only when every other request is still here, and was empty too.
        soon && (self.hold == 0 || self.waiting.iter().filter(|it| it.poll).count() >= self.hold)
    }

    /// 14.3: a request that was read already.
    fn again(&mut self, rid: u64, reply: Reply) {
        if let Some((_, body)) = self.answered.iter().find(|(answered, _)| *answered == rid) {
            let body = body.clone();
            let _ = reply.send(self.answer_of(body));
            return;
        }
        let recoverable = self.recoverable();
        match self.waiting.iter_mut().find(|waiting| waiting.rid == rid) {
            Some(waiting) if waiting.repeats < REPEATS_MAX => {
                waiting.repeats += 1;
                let _ = std::mem::replace(&mut waiting.reply, reply).send(recoverable);
            }
            Some(_) => self.fail(POLICY_VIOLATION, reply),
            None => self.fail(ITEM_NOT_FOUND, reply),
        }
    }

    /// The client broke the rules: the session is over, and its stream lost.
    fn fail(&mut self, condition: &'static str, reply: Reply) {
        let answer = terminal(condition, self.modern.is_some());
        for waiting in self.waiting.drain(..) {
            let _ = waiting.reply.send(answer.clone());
        }
        for (_, (_, early)) in std::mem::take(&mut self.early) {
            let _ = early.send(answer.clone());
        }
        let _ = reply.send(answer);
        self.left = Left::Vanished;
    }

    // --- answers ----------------------------------------------------------------------------------------------------------

    /// Answer what can be, and what has to be.
    fn answer(&mut self, now: Instant) {
        while let Some(front) = self.waiting.front() {
            let have = !self.outbox.is_empty() || self.over.is_some();
            let held = front.keep || self.waiting.len() <= self.hold;
            if !have && held && now < front.until {
                break;
            }
            if let Some(front) = self.waiting.pop_front() {
                self.send(front);
            }
        }
        if self.waiting.is_empty() && self.silent.is_none() {
            self.silent = Some(now);
        }
    }

    fn send(&mut self, waiting: Waiting) {
        let content = String::from_utf8(std::mem::take(&mut self.outbox)).unwrap_or_default();
        if !content.is_empty() {
            self.polled = None;
        }
        let answer = self.envelope(waiting.rid, &content);
        self.answered.push_back((waiting.rid, answer.body.clone()));
        while self.answered.len() as u64 > self.requests() {
            self.answered.pop_front();
        }
        // Who has gone meanwhile asks again, and is told the same.
        let _ = waiting.reply.send(answer);
    }

    fn answer_of(&self, body: Bytes) -> Answer {
        Answer { status: 200, content_type: self.content_type.clone(), body }
    }

    fn recoverable(&self) -> Answer {
        self.answer_of(format!("<body xmlns='{}' type='error'/>", ns::HTTP_BIND).into())
    }

    fn envelope(&mut self, rid: u64, content: &str) -> Answer {
        let mut body = format!("<body xmlns='{}'", ns::HTTP_BIND);
        if content.contains("<stream:") {
            // XEP-0206 2.
            let _ = write!(body, " xmlns:stream='{}'", ns::STREAMS);
        }
        if rid == self.first_rid {
            let _ = write!(
                body,
                " sid='{}' wait='{}' hold='{}' requests='{}' inactivity='{}' maxpause='{}' polling='{}'",
                self.sid,
                self.wait.as_secs(),
                self.hold,
                self.requests(),
                self.inactivity().as_secs(),
                PAUSE_MAX.as_secs(),
                POLLING.as_secs(),
            );
            let (major, minor) = self.modern.unwrap_or(VERSION).min(VERSION);
            let _ = write!(body, " ver='{major}.{minor}'");
            if self.acks {
                let _ = write!(body, " ack='{rid}'");
            }
        } else if self.acks && rid != self.next - 1 {
            // 9: what has been received without a hole.
            let _ = write!(body, " ack='{}'", self.next - 1);
        }
        body.push_str(&std::mem::take(&mut self.header));
        // 13: the end is said once, to the oldest request; the others get nothing.
        if let Some(condition) = self.over.filter(|_| !std::mem::replace(&mut self.told, true)) {
            body.push_str(" type='terminate'");
            if let Some(condition) = condition {
                let _ = write!(body, " condition='{condition}'");
            }
        }
        if content.is_empty() {
            body.push_str("/>");
        } else {
            let _ = write!(body, ">{content}</body>");
        }
        self.answer_of(body.into())
    }

    /// Requests that have waited long enough; a client that has been silent for too long.
    pub fn on_time(&mut self, now: Instant) {
        self.answer(now);
        if self.left == Left::No
            && self.waiting.is_empty()
            && self.silent.is_some_and(|silent| now.duration_since(silent) >= self.inactivity())
        {
            // 10: "terminate the session without informing the client".
            self.left = Left::Vanished;
        }
    }

    // --- the stream's side ------------------------------------------------------------------------------------------------

    /// What the client has sent goes to `pending`. False: it will send nothing more.
    pub fn pull(&mut self, pending: &mut Vec<u8>, now: Instant) -> bool {
        pending.append(&mut self.inbox);
        self.read(now);
        // What was read just now is for the next pull.
        !(self.has_left() && self.inbox.is_empty())
    }

    /// Anything for the stream to read, the end included?
    pub fn is_readable(&self) -> bool {
        !self.inbox.is_empty() || self.has_left()
    }

    fn has_left(&self) -> bool {
        self.left == Left::Vanished
    }

    pub fn is_full(&self) -> bool {
        self.outbox.len() >= OUTBOX_BYTES_MAX
    }

    /// One element of the stream, standing alone; `flush` follows.
    pub fn push(&mut self, element: &str) {
        if self.over.is_some() {
            return;
        }
        if let Some(rest) = element.strip_prefix("<open ") {
            // XEP-0206 3: who is there, and the version; `authid` is for clients of before SASL.
            let attribute = |name: &str| Some(rest.split_once(&format!(" {name}='"))?.1.split_once('\'')?.0);
            self.header = format!(" xmlns:xmpp='{0}' xmpp:version='1.0' xmpp:restartlogic='true'", ns::XBOSH);
            for (ours, theirs) in [("authid", "id"), ("from", "from")] {
                if let Some(value) = attribute(theirs) {
                    let _ = write!(self.header, " {ours}='{value}'");
                }
            }
        } else if element.starts_with("<close ") {
            self.over = Some(None);
        } else if element.starts_with("<stream:error") && element.contains("<host-unknown ") {
            // It is about the `to` of a body, so BOSH has a word of its own for it. With a stream error in it the body would be
            // `remote-stream-error` (XEP-0206 2).
            self.over = Some(Some(HOST_UNKNOWN));
        } else {
            if element.starts_with("<stream:error") {
                self.over = Some(Some(REMOTE_STREAM_ERROR));
            }
            self.outbox.extend_from_slice(element.as_bytes());
        }
    }

    pub fn flush(&mut self, now: Instant) {
        self.answer(now);
    }

    /// The stream is gone, whatever it has said.
    pub fn close(&mut self, now: Instant) {
        self.over.get_or_insert(Some(REMOTE_CONNECTION_FAILED));
        self.answer(now);
    }

    /// Nobody is there any more who could ask. (An end that the client has not heard of can be asked for until it has been silent
    /// for too long, which `on_time` sees.)
    pub fn is_done(&self) -> bool {
        self.left != Left::No
    }
}

#[cfg(test)]
mod tests;
