//! A session begins: bound by RFC 6120 7, or by XEP-0386 with everything that is asked for inside `<bind/>`.

use std::cell::RefCell;
use std::rc::Rc;
use std::sync::Arc;

use iris_core::effects::{Effect, StreamError};
use iris_core::error::Bounce;
use iris_core::mount::{Doors, SaslInline};
use iris_core::task::{Cx, Finish, Pending};
use iris_core::turn::{Reply, Turn};
use iris_core::xml::El;
use iris_core::{SessionRef, ns};

use super::enable;
use crate::account::AccountEntity;
use crate::path::{self, Ctx};

/// What a client asks for.
#[derive(Debug)]
pub struct Bind {
    pub wanted: Option<String>,
    /// 128 random bits as text: the resource when none is wanted.
    pub random: String,
    /// The login that was proved (`Login::since_us`). `None`: a guest, or nobody who came by a stream.
    pub login_us: Option<u64>,
    /// The client's installation (XEP-0388, `<user-agent id=…/>`): its earlier sessions end.
    pub agent: Option<u128>,
    /// The same, as its owner knows it.
    pub client: Option<Arc<str>>,
    /// It came in with a certificate.
    pub by_certificate: bool,
    pub inline: Option<Inline>,
}

impl Bind {
    /// RFC 6120 7.
    pub fn resource(wanted: Option<String>, random: String) -> Bind {
        Bind { wanted, random, login_us: None, agent: None, client: None, by_certificate: false, inline: None }
    }
}

/// XEP-0386's `<bind/>`.
#[derive(Debug)]
pub struct Inline {
    /// The element, as a document of its own.
    pub request: Vec<u8>,
    /// 128 random bits as text: the id to resume with (XEP-0198).
    pub sm_id: String,
}

/// The answer.
#[derive(Debug, PartialEq, Eq)]
pub struct Bound {
    pub session: SessionRef,
    /// What `<bound/>` holds; nothing for RFC 6120's bind.
    pub inline: String,
}

/// The session, or why not.
pub type BindReply = Box<dyn FnOnce(Result<Bound, Bounce>)>;

pub(super) fn bind(
    entity: &mut AccountEntity,
    cx: &mut Ctx<'_>,
    bind: Bind,
    pipe: u64,
    reply: BindReply,
) -> Option<SessionRef> {
    if !entity.is_open_to(bind.login_us) {
        reply(Err(Bounce::new(iris_core::Condition::NotAllowed)));
        return None;
    }
    if entity.guest && !entity.sessions.is_empty() {
        // XEP-0175 3, rule 6.
        reply(Err(Bounce::over("a guest has one session", iris_core::Changed::ByNobody("end the other one"))));
        return None;
    }
    let session = match entity.bind(cx, bind.wanted.as_deref(), &bind.random, pipe) {
        Ok(session) => session,
        Err(why) => {
            reply(Err(why));
            return None;
        }
    };
    if let Some(session) = cx.sessions.get_mut(session) {
        (session.client, session.by_certificate) = (bind.client, bind.by_certificate);
    }
    if let Some(agent) = bind.agent {
        replace(entity, cx, session, agent);
    }
    match bind.inline {
        None => reply(Ok(Bound { session, inline: String::new() })),
        Some(inline) => answer_inline(entity, cx, session, &inline, reply),
    }
    Some(session)
}

/// XEP-0386 4.2: earlier sessions of the same client are over; it knows nothing of them any more.
fn replace(entity: &mut AccountEntity, cx: &mut Ctx<'_>, session: SessionRef, agent: u128) {
    let same = |at: &SessionRef| *at != session && cx.sessions.get(*at).is_some_and(|it| it.agent == Some(agent));
    let earlier: Vec<SessionRef> = entity.sessions.iter().copied().filter(same).collect();
    for at in earlier {
        entity.end(cx, at, StreamError::new("conflict").text("the same client has begun a new session"));
    }
    if let Some(session) = cx.sessions.get_mut(session) {
        session.agent = Some(agent);
    }
}

fn answer_inline(entity: &mut AccountEntity, cx: &mut Ctx<'_>, session: SessionRef, inline: &Inline, reply: BindReply) {
    let doors = cx.doors;
    let mut replies = Vec::new();
    if let Some(asked) = El::parse(&inline.request) {
        for door in &doors.bind_inline {
            if let Some(el) = asked.child(&door.ns, &door.name) {
                replies.push(with_turn(entity, cx, session, |turn| (door.f)(turn, el)));
            }
        }
        if let Some(el) = offers(doors, SaslInline::StreamManagement).then(|| asked.child(ns::SM, "enable")).flatten()
            && let Some(session) = cx.sessions.get_mut(session)
        {
            // XEP-0198 9.1: counted from the first stanza behind `<success/>`.
            replies.push(Reply::Result(match enable(session, el.attr("resume"), cx.house, || inline.sm_id.clone()) {
                Ok((id, enabled)) => {
                    session.enable_sm_inline(id);
                    enabled
                }
                Err(failed) => failed,
            }));
        }
    }
    for door in &doors.bound {
        replies.push(with_turn(entity, cx, session, door));
    }
    collect(cx, session, replies, reply);
}

pub(crate) fn offers(doors: &Doors, what: SaslInline) -> bool {
    doors.sasl2_inline.contains(&what)
}

fn with_turn(
    entity: &mut AccountEntity,
    cx: &mut Ctx<'_>,
    session: SessionRef,
    f: impl FnOnce(&mut Turn<'_>) -> Reply,
) -> Reply {
    path::with_turn(entity, cx, path::About { session: Some(session), ..path::About::default() }, f)
}

/// The answers of the rooms, in their order; some are there, some a task brings.
struct Answers {
    session: SessionRef,
    parts: Vec<String>,
    missing: usize,
    reply: Option<BindReply>,
}

impl Answers {
    fn send_when_complete(&mut self) {
        if self.missing == 0
            && let Some(reply) = self.reply.take()
        {
            reply(Ok(Bound { session: self.session, inline: self.parts.concat() }));
        }
    }
}

fn collect(cx: &mut Ctx<'_>, session: SessionRef, replies: Vec<Reply>, reply: BindReply) {
    let parts = vec![String::new(); replies.len()];
    let answers = Rc::new(RefCell::new(Answers { session, parts, missing: 0, reply: Some(reply) }));
    for (at, reply) in replies.into_iter().enumerate() {
        match reply {
            Reply::Result(xml) => answers.borrow_mut().parts[at] = xml,
            Reply::Task(begin) => {
                answers.borrow_mut().missing += 1;
                let shared = Cx::default();
                let (work, answers) = (begin(shared.clone()), answers.clone());
                let future = Box::pin(async move {
                    let finish = work.await;
                    Finish::Turn(Box::new(move |turn| {
                        let xml = match finish {
                            Finish::Answer { result, .. } => result,
                            Finish::Turn(then) => match then(turn) {
                                Reply::Result(xml) => xml,
                                _ => String::new(),
                            },
                            Finish::Error(_) | Finish::HostTurn(_) | Finish::Done => String::new(),
                        };
                        let mut answers = answers.borrow_mut();
                        answers.parts[at] = xml;
                        answers.missing -= 1;
                        answers.send_when_complete();
                        Reply::Sent
                    }))
                });
                cx.fx.list.push(Effect::Task(Pending { future, cx: shared, asked: None }));
            }
            Reply::Error(_) | Reply::Sent | Reply::Domain => {}
        }
    }
    answers.borrow_mut().send_when_complete();
}
