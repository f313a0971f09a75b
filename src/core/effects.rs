//! What a turn may cause. Collected here, performed by the shard after the turn; the shard alone knows tickets.

use std::sync::Arc;

use bytes::Bytes;

use crate::envelope::Envelope;
use crate::host::HostTurn;
use crate::receipt::{SessionRef, Settled};
use crate::store::{StoreError, Ticket, WriteSet};
use crate::task::{AccountFn, Cx, HostFn, Pending, TaskFuture};
use crate::time::Mono;
use crate::xml::stanza::Stanza;
use crate::xml::wire::{Hold, Wire};

/// Which `to` a stanza gets while it is copied into the connection's buffer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum To {
    /// The bare JID of the session's account.
    Bare,
    /// The full JID of the session.
    Full,
    /// None: the stanza goes out without.
    Nobody,
}

/// One item of a session's output deque.
#[derive(Clone, Debug)]
pub struct Out {
    pub wire: Arc<Wire>,
    pub to: To,
    /// Not to be seen before this is on disk.
    pub after: Ticket,
    /// A message of somebody that must not get lost with the session: it is delivered elsewhere when this one ends.
    pub origin: Option<Arc<Undelivered>>,
    /// No stanza: XEP-0198 does not count it, and it is written once.
    pub nonza: bool,
    /// Not 0: `Event::MarkPassed` fires with it when the item has left for good.
    pub mark: u64,
}

/// What is needed to deliver a message a second time.
#[derive(Debug)]
pub struct Undelivered {
    pub stanza: Arc<Stanza>,
    pub from: jid::Jid,
    pub to: jid::Jid,
    pub stamps: crate::xml::wire::Stamps,
    pub kept_id: Option<crate::store::EntryId>,
    pub said: Option<crate::envelope::Said>,
    /// The sessions that were given it, if it was for the bare JID.
    pub shared: Vec<SessionRef>,
}

impl Out {
    pub fn new(wire: Arc<Wire>, to: To) -> Out {
        Out { wire, to, after: 0, origin: None, nonza: false, mark: 0 }
    }
}

/// A stanza that the server itself has written: `xml` is one element without a `to`.
pub fn made(xml: impl Into<Vec<u8>>, hold: Hold) -> Arc<Wire> {
    let bytes: Vec<u8> = xml.into();
    let to_at = bytes.iter().position(|b| matches!(b, b' ' | b'/' | b'>')).unwrap_or(bytes.len());
    Arc::new(Wire { to_at: u32::try_from(to_at).unwrap_or(u32::MAX), bytes: Bytes::from(bytes), hold })
}

/// Why a stream ends, as RFC 6120 4.9.3 names it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct StreamError {
    pub condition: &'static str,
    pub text: Option<String>,
    /// An application-specific condition: a complete element with its own namespace.
    pub extra: Option<String>,
}

impl StreamError {
    pub const fn new(condition: &'static str) -> StreamError {
        StreamError { condition, text: None, extra: None }
    }

    pub fn text(mut self, text: impl Into<String>) -> StreamError {
        self.text = Some(text.into());
        self
    }

    pub fn to_xml(&self) -> String {
        let text = self.text.as_ref().map_or(String::new(), |text| {
            let text = crate::xml::escape::escape_text(text).into_owned();
            format!("<text xmlns='{}' xml:lang='en'>{text}</text>", crate::ns::STREAM_ERRORS)
        });
        let extra = self.extra.as_deref().unwrap_or_default();
        format!("<stream:error><{} xmlns='{}'/>{text}{extra}</stream:error>", self.condition, crate::ns::STREAM_ERRORS)
    }
}

/// Runs when the turn's writes are on disk (`Ok`) or refused.
pub type AfterCommit = Box<dyn FnOnce(Result<(), StoreError>) + Send>;

pub enum Effect {
    /// To another entity, by `envelope.to`.
    Send(Box<Envelope>),
    /// The same to each of these; the envelope's own `to` says nothing.
    FanOut(Box<Envelope>, Arc<[jid::Jid]>),
    /// These, in this order, to the client with this address if it has a session; nobody looks whether it wants them: it has asked.
    Burst(jid::Jid, Vec<Out>),
    /// To be done in another hosted entity's turn, or in an account's, after the commit.
    Tell(Arc<str>, HostFn),
    TellAccount(jid::BareJid, AccountFn),
    /// To one of this account's own sessions.
    Out(SessionRef, Out),
    Settle(Settled),
    /// Long work that began in this turn.
    Task(Pending),
    /// End a session with a stream error; it can not be resumed.
    End(SessionRef, StreamError),
    AfterCommit(AfterCommit),
    /// To the domain, which answers in the name of `envelope.to` (see `Reply::Domain`).
    ToDomain(Box<Envelope>),
    /// A domain's fact (`Fact::index`), for all shards after the commit.
    Publish(usize, Arc<dyn std::any::Any + Send + Sync>),
    /// Look at this account's open questions at this moment.
    Alarm(Mono),
    /// Show this session's presence to everybody anew: what the server adds to it has changed.
    Present(SessionRef),
}

/// One per shard, used again for each turn.
#[derive(Default)]
pub struct Effects {
    pub list: Vec<Effect>,
    pub write: WriteSet,
}

impl Effects {
    /// In the turn of a domain, a service or an entity behind one, once what this turn writes is on disk. Nobody learns what became of it.
    pub fn tell(&mut self, key: &str, f: impl FnOnce(&mut HostTurn<'_>) + Send + 'static) {
        let f: HostFn = Box::new(move |turn| {
            f(turn);
            Box::new(())
        });
        self.list.push(Effect::Tell(Arc::from(key), f));
    }

    /// Begin work that nobody waits for.
    pub fn spawn(&mut self, task: impl FnOnce(Cx) -> TaskFuture) {
        let cx = Cx::default();
        let future = task(cx.clone());
        self.list.push(Effect::Task(Pending { future, cx, asked: None }));
    }
}
