//! XEP-0050: Ad-Hoc Commands - what a service can be told to do, step by step, by forms.
//! Spec 1.3.0, https://xmpp.org/extensions/xep-0050.html. Not done: other languages than English (3.6 would have a request in
//! another language refused with `bad-locale`; it is answered in English instead, and says so), and the unasked announcement of
//! the list (2.3).
//!
//! Commands are other rooms' (`Mount::command`). They are executed in the turn of the domain, which also answers for each
//! account's own bare JID; there lie the sessions, each for the full JID that began it.

use std::rc::Rc;

use iris_core::command::{Command, Done, Next, Note, Stage, Who};
use iris_core::form::Submitted;
use iris_core::task::Finish;
use iris_core::xml::{Build, El};
use iris_core::{
    At, Bounce, Card, Changed, Condition, ErrorType, GetOrSet, HostTurn, Mount, MountError, Reply, Room, StateSlot, Status, ns,
};

use crate::result;

mod sessions;
use sessions::{Session, Sessions, Step, Taken};

pub const NS: &str = "http://jabber.org/protocol/commands";

pub const ROOM: Room = Room {
    card: Card { xep: Some(50), name: "Ad-Hoc Commands", version: "1.3.0", status: Status::Complete, needs: &[4, 30] },
    mount,
};

static SESSIONS: StateSlot<Sessions> = StateSlot::new();

fn mount(m: &mut Mount<'_>) -> Result<(), MountError> {
    m.feature(At::Host, NS);
    m.feature(At::Host, ns::DATA_FORMS);
    m.feature(At::OwnAccount, NS);
    open(m)?;
    // The domain knows who is an administrator, and keeps the sessions.
    m.iq_named(At::OwnAccount, GetOrSet::Set, NS, "command", |_, _| Reply::Domain)
}

/// What the commands of a domain, or of a service of it, need to be executed.
pub fn open(m: &mut Mount<'_>) -> Result<(), MountError> {
    m.host_state(&SESSIONS, &[], |_| Sessions::default())?;
    m.host_iq_named(GetOrSet::Set, NS, "command", |turn, command| match execute(turn, &command) {
        Ok(reply) => reply,
        Err(why) => why.into(),
    })
}

/// Section 2.2 for disco#info: what is behind a node, if it is one of ours.
pub fn info(turn: &mut HostTurn<'_>, node: &str) -> Option<Reply> {
    let (kind, name) = if node == NS {
        ("command-list", None)
    } else {
        let command = turn.doors.commands.iter().find(|command| command.node == node)?;
        let who = command.who;
        let name = command.name;
        if !turn.may(who) {
            return Some(forbidden().into());
        }
        ("command-node", Some(name))
    };
    let mut xml = Build::new();
    xml.open_ns("query", crate::xep0030_disco::INFO).attr("node", node);
    xml.open("identity").attr("category", "automation").attr("type", kind).attr_opt("name", name).close();
    for feature in [NS, ns::DATA_FORMS] {
        xml.open("feature").attr("var", feature).close();
    }
    xml.close();
    Some(result(xml))
}

/// Section 2.2 for disco#items: "not required to send the same list of commands to all requesters".
pub fn items(turn: &mut HostTurn<'_>, node: &str) -> Option<Reply> {
    if node != NS {
        // A command has nothing below it.
        let command = turn.doors.commands.iter().find(|command| command.node == node)?;
        let who = command.who;
        if !turn.may(who) {
            return Some(forbidden().into());
        }
    }
    let (admin, user) = (turn.may(Who::Admin), turn.may(Who::User));
    let mut xml = Build::new();
    xml.open_ns("query", crate::xep0030_disco::ITEMS).attr("node", node);
    let shown = |command: &&Command| match command.who {
        Who::Admin => admin,
        Who::User => user,
    };
    let jid = turn.to.as_str();
    for command in turn.doors.commands.iter().filter(|_| node == NS).filter(shown) {
        xml.open("item").attr("jid", jid).attr("node", command.node).attr("name", command.name).close();
    }
    xml.close();
    Some(result(xml))
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Action {
    Execute,
    Cancel,
    Prev,
    Next,
    Complete,
}

impl Action {
    fn parse(text: Option<&str>) -> Option<Action> {
        Some(match text {
            None | Some("execute") => Action::Execute,
            Some("cancel") => Action::Cancel,
            Some("prev") => Action::Prev,
            Some("next") => Action::Next,
            Some("complete") => Action::Complete,
            Some(_) => return None,
        })
    }
}

/// Section 4.4: the errors with a condition of their own.
fn refuse(condition: &str, text: &str) -> Bounce {
    let (general, kind) = match condition {
        "session-expired" => (Condition::NotAllowed, ErrorType::Cancel),
        _ => (Condition::BadRequest, ErrorType::Modify),
    };
    Bounce::new(general).kind(kind).text(text).extra(format!("<{condition} xmlns='{NS}'/>"))
}

fn forbidden() -> Bounce {
    Bounce::new(Condition::Forbidden).kind(ErrorType::Cancel)
}

fn execute(turn: &mut HostTurn<'_>, el: &El<'_>) -> Result<Reply, Bounce> {
    let node = el.attr("node").ok_or_else(|| Bounce::bad_request("a command needs a node"))?;
    let doors = turn.doors;
    let command = doors.commands.iter().find(|command| command.node == node);
    let command = command.ok_or_else(|| Bounce::new(Condition::ItemNotFound))?;
    // Asked at each step: an administrator may be one no longer.
    if !turn.may(command.who) {
        return Err(forbidden());
    }
    let action = Action::parse(el.attr("action").as_deref())
        .ok_or_else(|| refuse("malformed-action", "an action is execute, cancel, prev, next or complete"))?;
    match el.attr("sessionid").filter(|id| !id.is_empty()) {
        // "Complete": whoever wants only the result says so from the beginning. What has questions asks them.
        None if matches!(action, Action::Execute | Action::Complete) => begin(turn, command),
        None => Err(refuse("bad-action", "a command begins with execute")),
        Some(id) => go_on(turn, command, &id, action, el),
    }
}

fn begin(turn: &mut HostTurn<'_>, command: &Command) -> Result<Reply, Bounce> {
    let id = turn.house.ports.random_id();
    let (caller, now) = (turn.from.clone(), turn.now);
    let sessions = turn.state(&SESSIONS).ok_or_else(|| Bounce::new(Condition::InternalServerError))?;
    if !sessions.begin(&id, Session::new(caller, command.node, now.mono)) {
        let help = "finish one, or wait for a minute";
        return Err(Bounce::over("as many commands are being executed as may be at once", Changed::ByNobody(help)));
    }
    Ok(run(turn, command, id, None))
}

fn go_on(turn: &mut HostTurn<'_>, command: &Command, id: &str, action: Action, el: &El<'_>) -> Result<Reply, Bounce> {
    let (caller, now) = (turn.from.clone(), turn.now.mono);
    let sessions = turn.state(&SESSIONS).ok_or_else(|| Bounce::new(Condition::InternalServerError))?;
    let session = match sessions.take(id, &caller, now) {
        Taken::Session(session) => session,
        Taken::Expired => return Err(refuse("session-expired", "that command is over, or has waited too long")),
        // D11: an id that somebody else was given.
        Taken::Foreign => return Err(forbidden()),
        Taken::Unknown => return Err(refuse("bad-sessionid", "there is no such command underway")),
    };
    if session.node != command.node {
        return Err(refuse("bad-sessionid", "that is the session of another command"));
    }
    if action == Action::Cancel {
        // Also while a step is being worked on: what it comes to is then told nobody.
        sessions.end(id);
        return Ok(answer(command, id, "canceled", |_| {}));
    }
    if session.busy {
        return Err(Bounce::new(Condition::UnexpectedRequest).text("the step before is still being worked on"));
    }
    let Some(step) = session.steps.last() else { return Err(Bounce::new(Condition::InternalServerError)) };
    let more = step.more;
    let wanted = match action {
        Action::Execute if more => Action::Next,
        Action::Execute => Action::Complete,
        other => other,
    };
    match wanted {
        Action::Prev if session.steps.len() > 1 => {
            session.steps.pop();
            let Some(step) = session.steps.last() else { return Err(Bounce::new(Condition::InternalServerError)) };
            let (form, more, back) = (step.form.to_ask(), step.more, session.steps.len() > 1);
            return Ok(answer(command, id, "executing", |xml| ask(xml, &form, more, back)));
        }
        Action::Next if more => {}
        Action::Complete if !more => {}
        _ => return Err(refuse("bad-action", "that action is not one of those offered for this step")),
    }
    let x = el.child(ns::DATA_FORMS, "x").ok_or_else(|| refuse("bad-payload", "the form that was asked for is missing"))?;
    let answers = step.form.check(&x).map_err(|problem| refuse("bad-payload", &problem.0))?;
    session.busy = true;
    let state = step.state.clone();
    Ok(run(turn, command, id.to_owned(), Some((state, answers))))
}

/// A step of the command, as a task of the domain; what it comes to is remembered in the turn that ends it.
fn run(turn: &mut HostTurn<'_>, command: &Command, id: String, input: Option<(Rc<dyn std::any::Any>, Submitted)>) -> Reply {
    let (state, form) = input.unzip();
    let stage = Stage { caller: turn.from.clone(), domain: turn.host().into(), now: turn.now, state, form };
    let (step, node) = (command.step.clone(), command.node);
    Reply::Task(Box::new(move |cx| {
        let step = step(stage, cx);
        Box::pin(async move {
            let came_to = step.await;
            Finish::HostTurn(Box::new(move |turn| conclude(turn, node, &id, came_to)))
        })
    }))
}

fn conclude(turn: &mut HostTurn<'_>, node: &'static str, id: &str, came_to: Result<Next, Bounce>) -> Reply {
    let doors = turn.doors;
    let Some(command) = doors.commands.iter().find(|command| command.node == node) else {
        // The configuration was read anew meanwhile.
        return Bounce::new(Condition::ItemNotFound).into();
    };
    let now = turn.now.mono;
    let Some(sessions) = turn.state(&SESSIONS) else { return Bounce::new(Condition::InternalServerError).into() };
    match came_to {
        Ok(Next::Ask { form, state, more }) => {
            let Some(session) = sessions.open(id) else {
                return refuse("session-expired", "that command was canceled").into();
            };
            let asked = form.to_ask();
            let back = !session.steps.is_empty();
            session.steps.push(Step { form, state, more });
            session.busy = false;
            session.touched = now;
            answer(command, id, "executing", |xml| ask(xml, &asked, more, back))
        }
        Ok(Next::Done(done)) => {
            sessions.end(id);
            answer(command, id, "completed", |xml| tell(xml, &done))
        }
        // What is wrong with the answers can be mended: the form is still there.
        Err(why) if why.kind == ErrorType::Modify => {
            match sessions.open(id) {
                Some(session) if !session.steps.is_empty() => {
                    session.busy = false;
                    session.touched = now;
                }
                _ => sessions.end(id),
            }
            let why = if why.extra.is_none() && why.condition == Condition::BadRequest {
                why.extra(format!("<bad-payload xmlns='{NS}'/>"))
            } else {
                why
            };
            why.into()
        }
        Err(why) => {
            sessions.end(id);
            why.into()
        }
    }
}

fn answer(command: &Command, id: &str, status: &str, inside: impl FnOnce(&mut Build)) -> Reply {
    let mut xml = Build::new();
    // 3.6: "SHOULD be included by the responder to indicate the language/locale in use".
    xml.open_ns("command", NS).attr("node", command.node).attr("sessionid", id).attr("status", status).attr("xml:lang", "en");
    inside(&mut xml);
    xml.close();
    result(xml)
}

/// Sections 3.4 and 4.2: the allowed actions, and the default among them.
fn ask(xml: &mut Build, form: &str, more: bool, back: bool) {
    let default = if more { "next" } else { "complete" };
    xml.open("actions").attr("execute", default);
    if back {
        xml.open("prev").close();
    }
    xml.open(default).close();
    xml.close();
    xml.raw(form.as_bytes());
}

fn tell(xml: &mut Build, done: &Done) {
    for (kind, text) in &done.notes {
        let kind = match kind {
            Note::Info => "info",
            Note::Warn => "warn",
            Note::Error => "error",
        };
        xml.open("note").attr("type", kind).text(text).close();
    }
    xml.raw(done.payload.as_bytes());
}

#[cfg(test)]
mod tests;
