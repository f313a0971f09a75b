//! Runs the frozen handler tables: the only place that builds a `Turn` for an account.

use std::any::Any;
use std::sync::Arc;

use iris_core::clients::ClientAccess;
use iris_core::effects::{Effect, Effects, Undelivered};
use iris_core::host::Facts;
use iris_core::mount::Doors;
use iris_core::store::{EntryId, OwnerId, Shelf};
use iris_core::time::{Mono, Now};
use iris_core::turn::{self, House, Relation, SessionCard, Then, Turn};
use iris_core::{BareJid, Envelope, Event, Flow, Interests, Jid, SessionRef, Step};

use crate::account::{AccountEntity, clients, presence};
use crate::known::Known;
use crate::sessions::Sessions;

/// Everything of the shard that a turn may touch, beside the entity itself.
pub(crate) struct Ctx<'a> {
    pub now: Now,
    pub house: &'a House,
    pub known: &'a Known,
    pub facts: &'a Facts,
    /// Of the account's domain. Held by the turn: counting those who hold it at every step would be felt by all threads.
    pub doors: &'a Doors,
    pub sessions: &'a mut Sessions,
    pub fx: &'a mut Effects,
}

/// The account as rooms see it.
struct View<'a> {
    entity: &'a mut AccountEntity,
    sessions: &'a mut Sessions,
    questions_max: usize,
}

impl turn::Account for View<'_> {
    fn jid(&self) -> &BareJid {
        &self.entity.jid
    }
    fn owner(&self) -> OwnerId {
        self.entity.owner
    }
    fn sessions(&self) -> &[SessionRef] {
        &self.entity.sessions
    }
    fn card(&self, session: SessionRef) -> Option<&SessionCard> {
        self.sessions.get(session).map(|session| &session.card)
    }
    fn card_mut(&mut self, session: SessionRef) -> Option<&mut SessionCard> {
        self.sessions.get_mut(session).map(|session| &mut session.card)
    }
    fn relation(&self, jid: &BareJid) -> Relation {
        self.entity.relation(jid)
    }
    fn contacts(&self) -> Vec<(BareJid, Relation)> {
        self.entity.roster.contacts().map(|(jid, relation)| (jid.clone(), relation)).collect()
    }
    fn login_mark(&self) -> u64 {
        let login = self.entity.login.as_ref().filter(|login| login.enabled);
        login.map_or(0, |login| iris_core::hash::stable(&[&login.encode()]))
    }
    fn login_since_us(&self) -> Option<u64> {
        self.entity.login.as_ref().filter(|login| login.enabled).map(|login| login.since_us)
    }
    fn pending_requests(&self) -> usize {
        self.entity.roster.requests().count()
    }
    fn undelivered(&self, session: SessionRef) -> Vec<Arc<Undelivered>> {
        self.sessions.get(session).map(|session| session.undelivered().cloned().collect()).unwrap_or_default()
    }
    fn plan_name(&self) -> Option<&str> {
        self.entity.plan.as_deref()
    }
    fn is_guest(&self) -> bool {
        self.entity.guest
    }
    fn clients(&self, now: Now) -> Vec<ClientAccess> {
        clients::list(self.entity, self.sessions, now.wall_us)
    }
    fn revoke(&mut self, now: Now, client: &str, fx: &mut Effects) -> Option<ClientAccess> {
        let revoked = clients::revoke(self.entity, self.sessions, now.wall_us, client)?;
        fx.list.extend(revoked.ended.into_iter().map(|at| Effect::End(at, clients::logged_out())));
        if let Some(write) = revoked.write {
            fx.write.push(write);
        }
        Some(revoked.access)
    }
    fn shown_directly(&self) -> Vec<Jid> {
        self.entity
            .sessions
            .iter()
            .filter_map(|at| self.sessions.get(*at))
            .flat_map(|session| session.directed.clone())
            .collect()
    }
    fn state(&mut self, index: usize) -> Option<&mut dyn Any> {
        self.entity.states.get_mut(index)?.as_deref_mut()
    }
    fn hold(&mut self, session: SessionRef, inactive: bool) {
        if let Some(session) = self.sessions.get_mut(session) {
            session.card.inactive = inactive;
            if !inactive {
                session.release_held();
            }
        }
    }
    fn present_to(&mut self, contact: &Jid, available: bool, fx: &mut Effects) {
        presence::present_to(self.entity, self.sessions, contact, available, |envelope| fx.list.push(Effect::Send(envelope)));
    }
    fn groups(&self, jid: &BareJid) -> Vec<Box<str>> {
        self.entity.roster.contact(jid).map(|contact| contact.groups.to_vec()).unwrap_or_default()
    }
    fn await_answer(&mut self, of: Jid, until: Mono, then: Then) -> Option<u64> {
        self.entity.questions.add(of, until, then, self.questions_max)
    }
    fn kept_before(&self, shelf: Shelf, tag: u64) -> Option<EntryId> {
        self.entity.tags.iter().find(|(of, _)| *of == shelf)?.1.get(&tag).copied()
    }
}

/// What a turn is about, beside the account.
#[derive(Default)]
pub(crate) struct About<'a> {
    pub envelope: Option<&'a mut Envelope>,
    pub session: Option<SessionRef>,
    pub subject: Option<BareJid>,
    pub mark: u64,
    pub interests: Interests,
}

/// Give one handler the turn.
pub(crate) fn with_turn<R>(
    entity: &mut AccountEntity,
    cx: &mut Ctx<'_>,
    about: About<'_>,
    f: impl FnOnce(&mut Turn<'_>) -> R,
) -> R {
    let mut view = View { entity, sessions: cx.sessions, questions_max: cx.house.limits.questions_per_account_max };
    f(&mut Turn {
        now: cx.now,
        house: cx.house,
        doors: cx.doors,
        account: &mut view,
        fx: cx.fx,
        envelope: about.envelope,
        session: about.session,
        subject: about.subject,
        mark: about.mark,
        facts: cx.facts,
        interests: about.interests,
    })
}

/// All rooms of one step, in order, until one says otherwise.
pub(crate) fn step(
    entity: &mut AccountEntity,
    cx: &mut Ctx<'_>,
    step: Step,
    envelope: &mut Envelope,
    session: Option<SessionRef>,
) -> Flow {
    let handlers = &cx.doors.steps[step as usize];
    if handlers.is_empty() {
        return Flow::Go;
    }
    let about = About { envelope: Some(envelope), session, ..About::default() };
    with_turn(entity, cx, about, |turn| {
        for handler in handlers {
            match handler(turn) {
                Flow::Go => {}
                stop => return stop,
            }
        }
        Flow::Go
    })
}

/// Tell all rooms that watch.
pub(crate) fn event(entity: &mut AccountEntity, cx: &mut Ctx<'_>, event: Event, session: Option<SessionRef>) {
    event_about(entity, cx, event, session, None, 0);
}

pub(crate) fn event_about(
    entity: &mut AccountEntity,
    cx: &mut Ctx<'_>,
    event: Event,
    session: Option<SessionRef>,
    subject: Option<BareJid>,
    mark: u64,
) {
    for handler in &cx.doors.events[event as usize] {
        let about = About { session, subject: subject.clone(), mark, ..About::default() };
        with_turn(entity, cx, about, handler);
    }
}

/// This session wants to hear of these nodes, and did not before.
pub(crate) fn interested(entity: &mut AccountEntity, cx: &mut Ctx<'_>, session: SessionRef, interests: &Interests) {
    for handler in &cx.doors.events[Event::Interested as usize] {
        let about = About { session: Some(session), interests: interests.clone(), ..About::default() };
        with_turn(entity, cx, about, handler);
    }
}
