//! An account that is awake: one person's sessions, roster and room states, on one thread.

use std::any::Any;
use std::collections::HashMap;
use std::sync::Arc;

use iris_core::ask::{GuestPlace, Seen};
use iris_core::effects::{Effect, Out, StreamError, To};
use iris_core::entitlements;
use iris_core::error::Bounce;
use iris_core::login::{self, Login};
use iris_core::mount::Doors;
use iris_core::store::{EntryId, Epoch, Item, OwnerId, Shelf, Ticket, Woken, Write};
use iris_core::time::Mono;
use iris_core::turn::Relation;
use iris_core::xml::wire::{Hold, Wire};
use iris_core::{BareJid, Envelope, Event, FullJid, Kind, Receipt, SessionRef, Stanza};
use smallvec::SmallVec;

use crate::path::{self, Ctx};

pub(crate) mod befriend;
pub mod clients;
pub mod delivery;
mod invisible;
mod iq;
mod message;
pub mod pace;
pub mod presence;
pub(crate) mod questions;
pub(crate) mod reply;
pub mod roster;
mod roster_iq;
pub mod seen;
pub mod session;
pub mod subscription;

use questions::Questions;
use roster::Roster;
use session::Session;

pub(crate) use iq::answer;
pub(crate) use message::redeliver;

/// Who takes a message: of most accounts a few, and every message asks.
pub(crate) type Listening = SmallVec<[SessionRef; 4]>;

pub struct AccountEntity {
    pub jid: BareJid,
    /// The same as text, shared by everything that stamps it.
    pub bare: Arc<str>,
    pub owner: OwnerId,
    pub doors: Arc<Doors>,
    pub login: Option<Login>,
    pub clients: clients::Clients,
    /// When it was last here.
    pub seen: Option<Seen>,
    /// How often it came lately.
    pub logins: seen::Logins,
    /// Stanzas its clients sent lately, by the second.
    pub stanzas: pace::Pace<60>,
    /// The name of the plan that is on it.
    pub plan: Option<Arc<str>>,
    pub roster: Roster,
    /// By `StateSlot::index`.
    pub states: Vec<Option<Box<dyn Any>>>,
    pub sessions: Vec<SessionRef>,
    /// The last set that this memory stands on.
    pub last_state: Ticket,
    /// Tags of messages kept shortly before the last restart, or before storage last refused something.
    pub tags: Vec<(Shelf, HashMap<u64, EntryId>)>,
    /// The refusals of the store that `tags` knows of.
    pub tags_epoch: Epoch,
    /// Tasks underway.
    pub tasks: usize,
    pub idle_since: Mono,
    /// A timer looks whether it may sleep.
    pub resting: bool,
    /// Made in this turn; `Ask::Provision` writes it down.
    pub new: bool,
    /// Removed: it does not outlive its turn.
    pub gone: bool,
    /// What the server has asked and was not told yet.
    pub questions: Questions,
    /// Has no account (XEP-0175): what it writes is forgotten with its last session.
    pub guest: bool,
    /// The place it takes until it is gone.
    pub guest_place: Option<GuestPlace>,
}

impl AccountEntity {
    /// As read from disk. `sessions` are those that lived through a reload.
    pub fn load(jid: BareJid, doors: Arc<Doors>, woken: &Woken, sessions: Vec<SessionRef>, now: Mono) -> AccountEntity {
        let of = |shelf: Shelf| -> Vec<Item> { woken.items.iter().filter(|item| item.shelf == shelf).cloned().collect() };
        let login = of(login::SHELF).first().and_then(|item| Login::decode(&item.value));
        let seen = of(seen::SHELF).first().and_then(|item| seen::decode(&item.value));
        let (seen, logins) = seen.map_or_else(Default::default, |(seen, logins)| (Some(seen), logins));
        let plan = of(entitlements::SHELF).first().and_then(|item| std::str::from_utf8(&item.value).ok().map(Arc::from));
        let mut states: Vec<Option<Box<dyn Any>>> = Vec::new();
        for state in &doors.states {
            let items: Vec<Item> = state.shelves.iter().flat_map(|shelf| of(*shelf)).collect();
            if states.len() <= state.index {
                states.resize_with(state.index + 1, || None);
            }
            states[state.index] = Some((state.load)(&items));
        }
        let clients = clients::Clients::load(&of(clients::SHELF));
        let roster = Roster::load(&of(roster::SHELF)).born(woken.owner);
        let bare: Arc<str> = Arc::from(jid.as_str());
        AccountEntity {
            jid,
            bare,
            owner: woken.owner,
            doors,
            login,
            clients,
            seen,
            logins,
            stanzas: pace::Pace::default(),
            plan,
            roster,
            states,
            sessions,
            last_state: 0,
            tags: Vec::new(),
            tags_epoch: 0,
            tasks: 0,
            idle_since: now,
            resting: false,
            new: false,
            gone: false,
            questions: Questions::default(),
            guest: false,
            guest_place: None,
        }
    }

    pub fn relation(&self, jid: &BareJid) -> Relation {
        if *jid == self.jid {
            return Relation::Own;
        }
        self.roster.relation(jid)
    }

    /// Does what was proved of a login (`Login::since_us`) still open the account? Guests, who have none, come in without a proof.
    pub(crate) fn is_open_to(&self, login_us: Option<u64>) -> bool {
        match &self.login {
            Some(login) => login.enabled && login_us.is_none_or(|proved| proved == login.since_us),
            None => self.guest && login_us.is_none(),
        }
    }

    /// The session bound to this full JID.
    pub(crate) fn session_of(&self, cx: &Ctx<'_>, jid: &str) -> Option<SessionRef> {
        let is = |at: &&SessionRef| cx.sessions.get(**at).is_some_and(|session| session.card.jid.as_str() == jid);
        self.sessions.iter().find(is).copied()
    }

    /// Sessions that take messages to the bare JID: available, and not with a negative priority.
    pub(crate) fn listening(&self, cx: &Ctx<'_>) -> Listening {
        self.sessions.iter().copied().filter(|at| listens(cx, *at)).collect()
    }

    pub(crate) fn available(&self, cx: &Ctx<'_>) -> Vec<SessionRef> {
        let is = |at: &SessionRef| cx.sessions.get(*at).is_some_and(|session| session.card.available.is_some());
        self.sessions.iter().copied().filter(is).collect()
    }

    /// Sessions that have asked for the roster.
    pub(crate) fn interested(&self, cx: &Ctx<'_>) -> Vec<SessionRef> {
        self.sessions.iter().copied().filter(|at| cx.sessions.get(*at).is_some_and(|session| session.interested)).collect()
    }

    // --- inputs -------------------------------------------------------------------------------------------------------

    /// From one of our own clients.
    pub(crate) fn hear_session(&mut self, cx: &mut Ctx<'_>, at: SessionRef, stanza: Arc<Stanza>, receipt: Receipt) {
        let Some(session) = cx.sessions.get_mut(at) else {
            // The session ended before its stanza's turn came; its home is gone as well.
            cx.fx.list.push(Effect::Settle(receipt.settle()));
            return;
        };
        let from = session.card.jid.clone();
        let from_text = session.card.from.clone();
        if stanza.kind() != Kind::Other {
            self.stanzas.count(cx.now.mono.0.as_secs());
        }
        // A client says who it speaks to; who it is, the session knows (RFC 6120 8.1.2.1: a wrong `from` is overridden).
        let to = match session.address_of(&stanza) {
            Ok(to) => to.unwrap_or_else(|| self.jid.clone().into()),
            Err(_) => {
                let why = Bounce::new(iris_core::Condition::JidMalformed);
                cx.fx.list.push(Effect::Settle(receipt.refuse(why)));
                return;
            }
        };
        let mut envelope = Envelope::new(stanza, from.into(), to);
        envelope.stamps.from = Some(from_text);
        envelope.receipt = Some(receipt);
        match envelope.stanza.kind() {
            Kind::Message => message::sent(self, cx, at, envelope),
            Kind::Presence => presence::sent(self, cx, at, envelope),
            Kind::Iq => iq::sent(self, cx, at, envelope),
            Kind::Other => {
                if let Some(nonza) = cx.doors.nonzas.get(&envelope.stanza.name_id()) {
                    let stanza = envelope.stanza.clone();
                    let about = path::About { session: Some(at), ..path::About::default() };
                    path::with_turn(self, cx, about, |turn| nonza(turn, &stanza));
                } else {
                    cx.fx.list.push(Effect::End(at, StreamError::new("unsupported-stanza-type")));
                }
                settle(cx, &mut envelope);
            }
        }
    }

    /// From anybody, by this account's address.
    pub(crate) fn hear_route(&mut self, cx: &mut Ctx<'_>, envelope: Box<Envelope>) {
        match envelope.stanza.kind() {
            Kind::Message => message::received(self, cx, envelope),
            Kind::Presence => presence::received(self, cx, envelope),
            Kind::Iq => iq::received(self, cx, envelope),
            Kind::Other => {}
        }
    }

    /// A resource is bound (RFC 6120 7). The full JID, or why not.
    pub(crate) fn bind(
        &mut self,
        cx: &mut Ctx<'_>,
        wanted: Option<&str>,
        random: &str,
        pipe: u64,
    ) -> Result<SessionRef, Bounce> {
        let resource = wanted.filter(|name| !name.is_empty()).unwrap_or(random);
        let jid: FullJid = self
            .jid
            .with_resource_str(resource)
            .map_err(|_| Bounce::new(iris_core::Condition::BadRequest).text("that is no resource name"))?;
        if let Some(old) = self.session_of(cx, jid.as_str()) {
            // RFC 6120 7.7.2.2: the newer one stays; the older one may be a connection that nobody told us is dead.
            self.end(cx, old, StreamError::new("conflict").text("replaced by a new connection"));
        }
        if self.sessions.len() >= cx.house.limits.sessions_per_account_max {
            // Connections that broke wait to be resumed; whoever comes now needs the place more than the one that has waited longest.
            let waits_since = |at: &SessionRef| cx.sessions.get(*at).and_then(|session| Some((session.detached_at?, *at)));
            if let Some((_, longest)) = self.sessions.iter().filter_map(waits_since).min_by_key(|(since, _)| *since) {
                self.end(cx, longest, StreamError::new("resource-constraint").text("too many sessions of this account"));
            }
        }
        if self.sessions.len() >= cx.house.limits.sessions_per_account_max {
            let most = cx.house.limits.sessions_per_account_max;
            return Err(Bounce::over(format!("an account has at most {most} sessions"), iris_core::Changed::ByOperator));
        }
        let (now, account) = (cx.now, self.bare.clone());
        let at = cx.sessions.insert(|this| {
            let mut session = Session::new(iris_core::SessionCard::new(this, jid), account, now);
            session.pipe = Some(pipe);
            session
        });
        self.sessions.push(at);
        self.logins.count(now.wall_us / 1_000_000);
        path::event(self, cx, Event::SessionBound, Some(at));
        // Only a prefix of a change that touches two accounts can survive a crash: ask again (idempotent).
        presence::ask_again(self, cx);
        Ok(at)
    }

    /// A session is over for good.
    pub(crate) fn end(&mut self, cx: &mut Ctx<'_>, at: SessionRef, error: StreamError) {
        if !self.sessions.contains(&at) {
            return;
        }
        presence::session_gone(self, cx, at);
        self.sessions.retain(|other| *other != at);
        path::event(self, cx, Event::SessionEnded, Some(at));
        let Some(session) = cx.sessions.get_mut(at) else { return };
        let undelivered = session.take_undelivered();
        let login_us = session.since_us;
        session.over = Some(error);
        session.card.detached = true;
        if let Some(resuming) = session.resuming.take() {
            (resuming.reply)(Err(crate::shard::ResumeError::NotFound));
        }
        if session.pipe.is_none() {
            cx.sessions.remove(at);
        } else {
            cx.sessions.ended.push(at);
        }
        for out in undelivered {
            message::redeliver(self, cx, &out);
        }
        if self.sessions.is_empty() {
            self.idle_since = cx.now.mono;
            self.gone |= self.guest;
            if self.login.is_some() {
                let seen = Seen { login_us, end_us: cx.now.wall_us };
                self.seen = Some(seen);
                let (owner, key) = (self.owner, Arc::from(""));
                cx.fx.write.push_unhurried(Write::Put {
                    owner,
                    shelf: seen::SHELF,
                    key,
                    value: seen::encode(seen, self.logins),
                });
            }
        }
    }

    /// Is there nothing left that keeps it awake?
    pub(crate) fn may_sleep(&self, now: Mono, grace: std::time::Duration) -> bool {
        self.sessions.is_empty() && self.tasks == 0 && self.questions.is_empty() && now.since(self.idle_since) >= grace
    }
}

fn listens(cx: &Ctx<'_>, at: SessionRef) -> bool {
    cx.sessions.get(at).and_then(|session| session.card.available.as_ref()).is_some_and(|it| it.priority >= 0)
}

/// The stanza's way ends here, well.
pub(crate) fn settle(cx: &mut Ctx<'_>, envelope: &mut Envelope) {
    if let Some(receipt) = envelope.receipt.take() {
        cx.fx.list.push(Effect::Settle(receipt.settle()));
    }
}

/// The stanza's way ends here, and its sender is told, if it is a stanza that may be answered.
pub(crate) fn bounce(cx: &mut Ctx<'_>, mut envelope: Box<Envelope>, why: &Bounce) {
    if reply::answerable(&envelope.stanza)
        && let Ok(stanza) = Stanza::parse(reply::error_xml(&envelope.stanza, None, why).as_bytes(), &cx.house.names)
    {
        let mut answer = Envelope::new(Arc::new(stanza), envelope.to.clone(), envelope.from.clone());
        answer.hops = envelope.hops;
        cx.fx.list.push(Effect::Send(answer));
    }
    settle(cx, &mut envelope);
}

/// What a guard said.
pub(crate) fn stopped(cx: &mut Ctx<'_>, mut envelope: Box<Envelope>, flow: iris_core::Flow) {
    match flow {
        iris_core::Flow::Bounce(why) => bounce(cx, envelope, &why),
        iris_core::Flow::Drop(why) => {
            tracing::debug!(why, "stanza dropped");
            settle(cx, &mut envelope);
        }
        iris_core::Flow::Go => {}
    }
}

pub(crate) fn push(cx: &mut Ctx<'_>, at: SessionRef, wire: Arc<Wire>, to: To) {
    cx.fx.list.push(Effect::Out(at, Out::new(wire, to)));
}

pub(crate) fn push_xml(cx: &mut Ctx<'_>, at: SessionRef, xml: String) {
    push(cx, at, iris_core::effects::made(xml, Hold::Flush), To::Full);
}
