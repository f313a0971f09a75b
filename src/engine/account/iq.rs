//! Questions: to ourselves, to others, from others.

use std::sync::Arc;

use iris_core::effects::Effect;
use iris_core::error::{Bounce, Condition};
use iris_core::host::HostQuestions;
use iris_core::mount::{At, GetOrSet};
use iris_core::task::{Asked, Cx, Pending};
use iris_core::turn::Reply;
use iris_core::xml::stanza::Child;
use iris_core::{Changed, Envelope, Flow, SessionRef, Stanza, StanzaType, Step};

use super::{AccountEntity, bounce, invisible, push, push_xml, questions, reply, roster_iq, settle, stopped};
use crate::path::{self, About, Ctx};
use crate::router::bare_str;
use iris_core::effects::To;
use iris_core::xml::wire;

/// RFC 6120 8.2.3: an id, a known type, and exactly one child in a request.
pub(crate) fn check(stanza: &Stanza) -> Result<(), Bounce> {
    if stanza.id().is_none_or(|id| id.is_empty()) {
        return Err(Bounce::bad_request("an iq needs an id"));
    }
    match stanza.stype() {
        StanzaType::Get | StanzaType::Set if stanza.children().len() != 1 => {
            Err(Bounce::bad_request("an iq of type get or set has exactly one child"))
        }
        StanzaType::Get | StanzaType::Set | StanzaType::Result | StanzaType::Error => Ok(()),
        _ => Err(Bounce::bad_request("the type of an iq is get, set, result or error")),
    }
}

/// From one of our clients.
pub(super) fn sent(entity: &mut AccountEntity, cx: &mut Ctx<'_>, at: SessionRef, mut envelope: Box<Envelope>) {
    if let Err(why) = check(&envelope.stanza) {
        // Of a type that is none, or without an id: there is nobody to answer by the book, so the sender gets an error all
        // the same (RFC 6120 8.3.3.1), unless it is itself a result or an error.
        if !matches!(envelope.stanza.stype(), StanzaType::Result | StanzaType::Error) {
            push_xml(cx, at, reply::error_xml(&envelope.stanza, None, &why));
        }
        return settle(cx, &mut envelope);
    }
    let request = matches!(envelope.stanza.stype(), StanzaType::Get | StanzaType::Set);
    let to_self = envelope.to.resource().is_none() && bare_str(&envelope.to) == &*entity.bare;
    let to_house = envelope.to.node().is_none()
        && envelope.to.resource().is_none()
        && envelope.to.domain().as_str() == entity.doors.domain;
    if !request && to_house && HostQuestions::may_be_answer(&envelope.stanza) {
        // The answer to something the domain has asked.
        return cx.fx.list.push(Effect::Send(envelope));
    }
    if !request && (to_self || to_house) {
        // The answer to something the server asked. (Of the question whether the client lives, hearing it was all that mattered.)
        questions::hear(entity, cx, &envelope);
        return settle(cx, &mut envelope);
    }
    if to_self {
        return ask_self(entity, cx, at, envelope);
    }
    match path::step(entity, cx, Step::SentGuard, &mut envelope, Some(at)) {
        Flow::Go => cx.fx.list.push(Effect::Send(envelope)),
        stop => stopped(cx, envelope, stop),
    }
}

/// To our own account: the roster is the engine's, everything else is a room's.
fn ask_self(entity: &mut AccountEntity, cx: &mut Ctx<'_>, at: SessionRef, envelope: Box<Envelope>) {
    let stanza = envelope.stanza.clone();
    let Some(child) = stanza.children().first() else { return };
    let asked = Asked { envelope, session: Some(at) };
    let outcome = if child.name == cx.known.roster_query && entity.guest && stanza.stype() == StanzaType::Set {
        // XEP-0175 3, rule 4: no relation that would have to be undone.
        Reply::Error(Bounce::new(Condition::NotAllowed).text("a guest has no contacts"))
    } else if child.name == cx.known.roster_query {
        roster_iq::ask(entity, cx, at, &stanza, child)
    } else if child.name == cx.known.session {
        // RFC 6121 had it removed, old clients still send it; it does nothing.
        Reply::empty()
    } else if child.name == cx.known.invisible || child.name == cx.known.visible {
        invisible::command(entity, cx, at, &stanza, child)
    } else if child.name == cx.known.bind {
        Reply::Error(Bounce::new(Condition::NotAllowed).text("a resource is bound already"))
    } else {
        let kind = get_or_set(&stanza);
        let doors = cx.doors;
        let name = stanza.name_in(child, &cx.house.names);
        let room = doors.iq.get(&(At::OwnAccount, kind, name)).or_else(|| doors.iq.get(&(At::Account, kind, name)));
        return run(entity, cx, asked, child, room);
    };
    answer(entity, cx, asked, outcome);
}

/// From anybody, by our address.
pub(super) fn received(entity: &mut AccountEntity, cx: &mut Ctx<'_>, mut envelope: Box<Envelope>) {
    match path::step(entity, cx, Step::ReceivedGuard, &mut envelope, None) {
        Flow::Go => {}
        stop => return stopped(cx, envelope, stop),
    }
    if envelope.to.resource().is_some() {
        // RFC 6121 8.5.3: to that session or to nobody.
        return match entity.session_of(cx, envelope.to.as_str()) {
            Some(session) => {
                let rendered = wire::render(&envelope.stanza, &envelope.stamps);
                push(cx, session, Arc::new(rendered), To::Full);
                settle(cx, &mut envelope);
            }
            None => bounce(cx, envelope, &Bounce::nobody()),
        };
    }
    if !matches!(envelope.stanza.stype(), StanzaType::Get | StanzaType::Set) {
        questions::hear(entity, cx, &envelope);
        return settle(cx, &mut envelope);
    }
    let stanza = envelope.stanza.clone();
    let Some(child) = stanza.children().first() else { return bounce(cx, envelope, &Bounce::bad_request("no child")) };
    let room = cx.doors.iq.get(&(At::Account, get_or_set(&stanza), stanza.name_in(child, &cx.house.names)));
    run(entity, cx, Asked { envelope, session: None }, child, room);
}

fn get_or_set(stanza: &Stanza) -> GetOrSet {
    if stanza.stype() == StanzaType::Set { GetOrSet::Set } else { GetOrSet::Get }
}

fn run(entity: &mut AccountEntity, cx: &mut Ctx<'_>, mut asked: Asked, child: &Child, room: Option<&iris_core::mount::IqFn>) {
    // One answer whether nothing serves this or nobody is here: it tells nothing about the account (RFC 6121 8.5.1).
    let Some(room) = room else { return answer(entity, cx, asked, Reply::Error(Bounce::nobody())) };
    let stanza = asked.envelope.stanza.clone();
    let about = About { session: asked.session, envelope: Some(&mut asked.envelope), ..About::default() };
    let outcome = path::with_turn(entity, cx, about, |turn| room(turn, &stanza, child));
    answer(entity, cx, asked, outcome);
}

/// The end of a question, or the beginning of the work that ends it.
pub(crate) fn answer(entity: &mut AccountEntity, cx: &mut Ctx<'_>, mut asked: Asked, outcome: Reply) {
    let stanza = asked.envelope.stanza.clone();
    let xml = match outcome {
        Reply::Task(begin) => {
            if entity.tasks >= cx.house.limits.tasks_per_account_max {
                let why = Bounce::over(
                    "as many requests are being worked on as may be at once",
                    Changed::ByNobody("wait for an answer"),
                );
                return answer(entity, cx, asked, Reply::Error(why));
            }
            entity.tasks += 1;
            let shared = Cx::default();
            let future = begin(shared.clone());
            cx.fx.list.push(Effect::Task(Pending { future, cx: shared, asked: Some(asked) }));
            return;
        }
        Reply::Sent => return settle(cx, &mut asked.envelope),
        Reply::Domain => return cx.fx.list.push(Effect::ToDomain(asked.envelope)),
        Reply::Result(payload) => reply::result_xml(&stanza, from_of(&asked, &stanza).as_deref(), &payload),
        Reply::Error(why) => reply::error_xml(&stanza, from_of(&asked, &stanza).as_deref(), &why),
    };
    match asked.session {
        Some(session) => push_xml(cx, session, xml),
        None => {
            if let Ok(answer) = Stanza::parse(xml.as_bytes(), &cx.house.names) {
                let mut envelope = Envelope::new(Arc::new(answer), asked.envelope.to.clone(), asked.envelope.from.clone());
                envelope.hops = asked.envelope.hops;
                cx.fx.list.push(Effect::Send(envelope));
            }
        }
    }
    settle(cx, &mut asked.envelope);
}

/// Our own client gets the answer from where it asked: an iq without a `to` is answered without a `from`.
fn from_of(asked: &Asked, stanza: &Stanza) -> Option<String> {
    asked.session.and_then(|_| stanza.to().map(std::borrow::Cow::into_owned))
}
