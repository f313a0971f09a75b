//! What a handler sees and may do while it has the turn of an account, or of a domain.

use std::any::Any;
use std::marker::PhantomData;
use std::sync::Arc;
use std::sync::OnceLock;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use bytes::Bytes;
use jid::{BareJid, FullJid, Jid};

use crate::clients::ClientAccess;
use crate::connected::Connected;
use crate::effects::{Effect, Effects, Out, StreamError, To, Undelivered, made};
use crate::enrolled::Enrolled;
use crate::entitlements::Plan;
use crate::envelope::Envelope;
use crate::error::Bounce;
use crate::host::{Fact, Facts, HostTurn};
use crate::ids::IdSeal;
use crate::interest::Interests;
use crate::keyed::Keyed;
use crate::limits::Limits;
use crate::login::Census;
use crate::mount::{Doors, GetOrSet};
use crate::ports::Ports;
use crate::receipt::SessionRef;
use crate::step::{Flow, Step};
use crate::store::{EntryId, OwnerId, Shelf, Write};
use crate::task::{Cx, TaskFuture};
use crate::time::{HouseClock, Mono, Now};
use crate::xml::names::NameTable;
use crate::xml::stanza::Stanza;
use crate::xml::wire::{Hold, Stamps, Wire};

/// Facts of the process that every turn may read.
#[derive(Clone)]
pub struct House {
    pub names: Arc<NameTable>,
    pub clock: Arc<HouseClock>,
    /// How ids of entries are shown.
    pub ids: IdSeal,
    /// Names that only this house can make.
    pub keyed: Keyed,
    pub limits: Limits,
    pub version: &'static str,
    /// When the process began.
    pub started: Now,
    pub ports: Ports,
    /// What keys the accounts have.
    pub census: Arc<Census>,
    /// Who wants to hear of what is said in rooms while away.
    pub enrolled: Arc<Enrolled>,
    /// Which other domains there are connections with.
    pub connected: Arc<Connected>,
}

/// Who asks, as the account sees them.
#[derive(Clone, Debug)]
pub struct Caller {
    pub jid: Jid,
    pub relation: Relation,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Relation {
    Own,
    /// On the roster. `from`: they get our presence; `to`: we get theirs.
    Contact {
        from: bool,
        to: bool,
    },
    Stranger,
}

impl Relation {
    /// May this one see our presence and what hangs on it (RFC 6121 3.1)?
    pub fn sees_us(self) -> bool {
        matches!(self, Relation::Own | Relation::Contact { from: true, .. })
    }
}

/// The answer to an iq.
pub enum Reply {
    /// The payload of the result; empty for none.
    Result(String),
    Error(Bounce),
    /// The handler has queued the answer itself.
    Sent,
    /// Work that ends in the answer.
    Task(Box<dyn FnOnce(Cx) -> TaskFuture>),
    /// From the turn of an account, to an iq for the account itself: the domain answers it in the account's name (its handler
    /// finds the account's address in `HostTurn::to`).
    Domain,
}

impl Reply {
    pub fn empty() -> Reply {
        Reply::Result(String::new())
    }
}

impl From<Bounce> for Reply {
    fn from(bounce: Bounce) -> Reply {
        Reply::Error(bounce)
    }
}

/// What others may know of one session.
#[derive(Debug)]
pub struct SessionCard {
    pub this: SessionRef,
    pub jid: FullJid,
    /// The full JID once, for the stamps of everything it sends.
    pub from: Arc<str>,
    pub available: Option<Available>,
    /// The bits of [`SessionFlag`]s.
    pub flags: u64,
    /// XEP-0186: it takes part in everything, and nobody is shown it.
    pub invisible: bool,
    /// XEP-0352: nobody looks at this client now.
    pub inactive: bool,
    /// It has no pipe and waits to be resumed.
    pub detached: bool,
    /// It has a pipe and owes an acknowledgement (XEP-0198) for so long that nobody can say whether it is there.
    pub silent: bool,
    /// Which news it wants; a room that has verified its capabilities says so (XEP-0115).
    pub interests: Interests,
    /// Of which nodes it has been given the last news since it became available.
    pub informed: Interests,
}

#[derive(Clone, Debug)]
pub struct Available {
    pub priority: i8,
    /// As sent; what `Step::PresenceOut` had to say stands beside it.
    pub presence: Arc<Stanza>,
    pub stamps: Stamps,
    pub since: Now,
}

impl SessionCard {
    /// Of a session that has just begun.
    pub fn new(this: SessionRef, jid: FullJid) -> SessionCard {
        SessionCard {
            this,
            from: Arc::from(jid.as_str()),
            jid,
            available: None,
            flags: 0,
            invisible: false,
            inactive: false,
            detached: false,
            silent: false,
            interests: Interests::default(),
            informed: Interests::default(),
        }
    }

    /// What others see of it.
    pub fn shown(&self) -> Option<&Available> {
        self.available.as_ref().filter(|_| !self.invisible)
    }
    pub fn flag(&self, flag: &SessionFlag) -> bool {
        self.flags & flag.bit() != 0
    }
    pub fn set_flag(&mut self, flag: &SessionFlag, on: bool) {
        if on { self.flags |= flag.bit() } else { self.flags &= !flag.bit() }
    }
}

/// A yes or no of each session that a room remembers (carbons on). A static of the room; the bit is given at first use.
pub struct SessionFlag(OnceLock<u64>);

impl SessionFlag {
    pub const fn new() -> SessionFlag {
        SessionFlag(OnceLock::new())
    }
    fn bit(&self) -> u64 {
        static NEXT: AtomicUsize = AtomicUsize::new(0);
        *self.0.get_or_init(|| 1u64.checked_shl(NEXT.fetch_add(1, Ordering::Relaxed) as u32).expect("64 session flags at most"))
    }
}

impl Default for SessionFlag {
    fn default() -> Self {
        SessionFlag::new()
    }
}

/// What a room remembers of each account while it is awake. A static of the room; an index, no map by type.
pub struct StateSlot<T> {
    index: OnceLock<usize>,
    of: PhantomData<fn() -> T>,
}

static STATE_SLOTS: AtomicUsize = AtomicUsize::new(0);

impl<T: 'static> StateSlot<T> {
    pub const fn new() -> StateSlot<T> {
        StateSlot { index: OnceLock::new(), of: PhantomData }
    }
    pub fn index(&self) -> usize {
        *self.index.get_or_init(|| STATE_SLOTS.fetch_add(1, Ordering::Relaxed))
    }
}

impl<T: 'static> Default for StateSlot<T> {
    fn default() -> Self {
        StateSlot::new()
    }
}

/// What to do with the answer to a question of the server: an iq of type result or error, or nothing in time.
pub type Then = Box<dyn FnOnce(&mut Turn<'_>, Option<&Stanza>)>;

/// The account whose turn it is; implemented by the engine.
pub trait Account {
    fn jid(&self) -> &BareJid;
    fn owner(&self) -> OwnerId;
    fn sessions(&self) -> &[SessionRef];
    fn card(&self, session: SessionRef) -> Option<&SessionCard>;
    fn card_mut(&mut self, session: SessionRef) -> Option<&mut SessionCard>;
    fn relation(&self, jid: &BareJid) -> Relation;
    /// Roster contacts with their relation.
    fn contacts(&self) -> Vec<(BareJid, Relation)>;
    /// The state that the room mounted at this index.
    fn state(&mut self, index: usize) -> Option<&mut dyn Any>;
    /// Begin or end holding back what may wait (XEP-0352).
    fn hold(&mut self, session: SessionRef, inactive: bool);
    /// Came in without an account (XEP-0175): nothing of it is kept.
    fn is_guest(&self) -> bool;
    /// Another number after each change of the password and when the account is disabled: what was signed before is worth nothing
    /// then. 0: it has no login.
    fn login_mark(&self) -> u64;
    /// Since when its password is what it is (`Login::since_us`); `None`: it has no login, or it is disabled.
    fn login_since_us(&self) -> Option<u64>;
    /// Requests for a subscription that its user has not answered.
    fn pending_requests(&self) -> usize;
    /// Messages of a session that its client has not shown to have, oldest first.
    fn undelivered(&self, session: SessionRef) -> Vec<Arc<Undelivered>>;
    /// The name of the plan that is on it.
    fn plan_name(&self) -> Option<&str>;
    /// Who has access to this account.
    fn clients(&self, now: Now) -> Vec<ClientAccess>;
    /// End a client's sessions and kill its tokens. `None`: there is no such client; otherwise as it was.
    fn revoke(&mut self, now: Now, client: &str, fx: &mut Effects) -> Option<ClientAccess>;
    /// Those who were shown presence directly and not told yet that it is over (RFC 6121 4.6).
    fn shown_directly(&self) -> Vec<Jid>;
    /// Show our presence to one contact anew: as it is, or as unavailable.
    fn present_to(&mut self, contact: &Jid, available: bool, fx: &mut Effects);
    /// The groups that our user has put a contact in.
    fn groups(&self, jid: &BareJid) -> Vec<Box<str>>;
    /// Remember a question: `then` runs in a turn of this account when `of` answers, or with nothing at `until`. The id of the iq;
    /// `None`: so many questions are open already.
    fn await_answer(&mut self, of: Jid, until: Mono, then: Then) -> Option<u64>;
    /// The id under which a message with this tag was kept shortly before the last restart: it is being sent again.
    fn kept_before(&self, shelf: Shelf, tag: u64) -> Option<EntryId>;
}

/// The turn of an account.
pub struct Turn<'a> {
    pub now: Now,
    pub house: &'a House,
    pub doors: &'a Doors,
    pub account: &'a mut dyn Account,
    pub fx: &'a mut Effects,
    /// The stanza underway (message steps, guards, iq).
    pub envelope: Option<&'a mut Envelope>,
    /// The session that speaks, or that the event is about.
    pub session: Option<SessionRef>,
    /// Who the event is about.
    pub subject: Option<BareJid>,
    /// The mark of `Event::MarkPassed`.
    pub mark: u64,
    /// What the domain lets all its accounts know.
    pub facts: &'a Facts,
    /// The news of `Event::Interested`.
    pub interests: Interests,
}

impl Turn<'_> {
    pub fn me(&self) -> &BareJid {
        self.account.jid()
    }

    pub fn host(&self) -> &str {
        &self.doors.domain
    }

    /// What this user may have.
    pub fn plan(&self) -> Arc<Plan> {
        self.doors.plan(self.account.plan_name())
    }

    /// Who sent the stanza underway, and what they are to this account.
    pub fn caller(&self) -> Option<Caller> {
        let jid = self.envelope.as_ref()?.from.clone();
        let bare = jid.to_bare();
        let relation = if bare == *self.account.jid() { Relation::Own } else { self.account.relation(&bare) };
        Some(Caller { jid, relation })
    }

    pub fn stanza(&self) -> Option<&Arc<Stanza>> {
        self.envelope.as_ref().map(|envelope| &envelope.stanza)
    }

    pub fn card(&self) -> Option<&SessionCard> {
        self.account.card(self.session?)
    }

    pub fn cards(&self) -> impl Iterator<Item = &SessionCard> {
        self.account.sessions().iter().filter_map(|session| self.account.card(*session))
    }

    pub fn flag(&self, flag: &SessionFlag) -> bool {
        self.card().is_some_and(|card| card.flag(flag))
    }

    pub fn set_flag(&mut self, flag: &SessionFlag, on: bool) {
        if let Some(card) = self.session.and_then(|session| self.account.card_mut(session)) {
            card.set_flag(flag, on);
        }
    }

    /// The room's state of this account. `None` only for a room that did not mount the slot.
    pub fn state<T: 'static>(&mut self, slot: &StateSlot<T>) -> Option<&mut T> {
        self.account.state(slot.index())?.downcast_mut()
    }

    /// What the domain has published, if it has.
    pub fn fact<T: Send + Sync + 'static>(&self, fact: &Fact<T>) -> Option<&T> {
        self.facts.get(&self.doors.domain, fact)
    }

    /// A new id of the house clock.
    pub fn mint(&self) -> EntryId {
        self.house.clock.mint(self.now)
    }

    /// An id of this account's logs, as others see it.
    pub fn shown(&self, id: EntryId) -> String {
        self.house.ids.show(self.account.owner(), id)
    }

    pub fn write(&mut self, write: Write) {
        self.fx.write.push(write);
    }

    pub fn put(&mut self, shelf: Shelf, key: &str, value: impl Into<Bytes>) {
        let owner = self.account.owner();
        self.write(Write::Put { owner, shelf, key: Arc::from(key), value: value.into() });
    }

    pub fn delete(&mut self, shelf: Shelf, key: &str) {
        let owner = self.account.owner();
        self.write(Write::Delete { owner, shelf, key: Arc::from(key) });
    }

    /// To one of our own sessions: a stanza the server wrote, without a `to`.
    pub fn push(&mut self, session: SessionRef, xml: impl Into<Vec<u8>>) {
        self.push_out(session, Out::new(made(xml, Hold::Flush), To::Full));
    }

    pub fn push_out(&mut self, session: SessionRef, out: Out) {
        self.fx.list.push(Effect::Out(session, out));
    }

    /// To one of our own sessions, rendered already.
    pub fn push_wire(&mut self, session: SessionRef, wire: Arc<Wire>, to: To) {
        self.push_out(session, Out::new(wire, to));
    }

    /// To anybody, from this account's bare JID. `xml` is a stanza without from and to.
    pub fn send(&mut self, to: Jid, xml: &str) -> Result<(), crate::xml::scan::XmlError> {
        let stanza = Arc::new(Stanza::parse(xml.as_bytes(), &self.house.names)?);
        let from = Jid::from(self.account.jid().clone());
        self.fx.list.push(Effect::Send(Envelope::new(stanza, from, to)));
        Ok(())
    }

    /// As `send`, from an address of this account and not to those whom a guard keeps apart from us (XEP-0191 3.3). False: a
    /// guard has kept it.
    pub fn send_guarded(&mut self, mut envelope: Box<Envelope>) -> bool {
        let passes = self.take(Step::SentGuard, &mut envelope);
        if passes {
            self.fx.list.push(Effect::Send(envelope));
        }
        passes
    }

    /// A message that is not delivered here, for those who want to know of it (`Step::SaidInRoom`).
    pub fn overhear(&mut self, step: Step, mut envelope: Box<Envelope>) {
        self.take(step, &mut envelope);
    }

    /// The rooms of a step, in this turn and about another stanza. False: one of them has stopped it.
    fn take(&mut self, step: Step, envelope: &mut Envelope) -> bool {
        let doors = self.doors;
        doors.steps[step as usize].iter().all(|room| {
            let flow = room(&mut Turn {
                now: self.now,
                house: self.house,
                doors,
                account: &mut *self.account,
                fx: &mut *self.fx,
                envelope: Some(envelope),
                session: None,
                subject: None,
                mark: 0,
                facts: self.facts,
                interests: Interests::default(),
            });
            flow == Flow::Go
        })
    }

    /// Ask a client (or anybody) with an iq from this account's bare JID: `payload` is the one child. `then` has the answer, or
    /// nothing when there is none within `deadline`. False: so many questions are open already, and nothing was sent.
    pub fn iq(
        &mut self,
        to: Jid,
        kind: GetOrSet,
        payload: &str,
        deadline: Duration,
        then: impl FnOnce(&mut Turn<'_>, Option<&Stanza>) + 'static,
    ) -> bool {
        let until = self.now.mono + deadline;
        let Some(id) = self.account.await_answer(to.clone(), until, Box::new(then)) else { return false };
        let sent = self.send(to, &kind.question(&format!("ask-{id:x}"), payload));
        debug_assert!(sent.is_ok(), "our own question is not XML: {sent:?}");
        self.fx.list.push(Effect::Alarm(until));
        true
    }

    /// Do something in the turn of a domain, a service or an entity behind one, once what this turn writes is on disk. Nobody learns
    /// what became of it.
    pub fn tell(&mut self, jid: &str, f: impl FnOnce(&mut HostTurn<'_>) + Send + 'static) {
        self.fx.tell(jid, f);
    }

    /// Begin work that nobody waits for.
    pub fn spawn(&mut self, task: impl FnOnce(Cx) -> TaskFuture) {
        self.fx.spawn(task);
    }

    pub fn end_session(&mut self, session: SessionRef, error: StreamError) {
        self.fx.list.push(Effect::End(session, error));
    }
}
