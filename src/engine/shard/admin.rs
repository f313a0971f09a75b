//! Questions to an account that come from the house: who may log in, and the administrator's orders.

use bytes::Bytes;
use iris_core::effects::{Effect, StreamError};
use iris_core::store::{StoreError, Write};
use iris_core::{Event, Jid};

use crate::account::AccountEntity;
use crate::account::login::{self, Login};
use crate::account::presence;
use crate::account::subscription::Kind;
use crate::path::{self, Ctx};

/// What is asked.
#[derive(Clone, Debug)]
pub enum Ask {
    /// The login record, before anybody has proved anything.
    Credentials,
    /// Make the account.
    Provision {
        credentials: Bytes,
    },
    SetCredentials {
        credentials: Bytes,
    },
    SetEnabled(bool),
    Remove,
}

/// All answers but `Credentials` come after the commit.
#[derive(Clone, Debug, PartialEq)]
pub enum AskAnswer {
    Credentials(Option<Login>),
    Done,
    NotFound,
    Exists,
    Failed(String),
}

pub type AskReply = Box<dyn FnOnce(AskAnswer) + Send>;

pub(super) fn answer(entity: &mut AccountEntity, cx: &mut Ctx<'_>, ask: Ask, reply: AskReply) {
    match ask {
        Ask::Credentials => return reply(AskAnswer::Credentials(entity.login.clone())),
        Ask::Provision { credentials } => {
            if !entity.new {
                return reply(AskAnswer::Exists);
            }
            entity.new = false;
            let name = entity.bare.clone();
            cx.fx.write.push(Write::Own { owner: entity.owner, name });
            keep(entity, cx, Login { enabled: true, created_us: cx.now.wall_us, credentials });
        }
        Ask::SetCredentials { credentials } => {
            let Some(login) = entity.login.clone() else { return reply(AskAnswer::NotFound) };
            keep(entity, cx, Login { credentials, ..login });
            // RFC 6120 4.9.3.16: whoever is logged in with the old password logs in anew.
            end_all(entity, cx, &StreamError::new("reset").text("the password was changed"));
        }
        Ask::SetEnabled(enabled) => {
            let Some(login) = entity.login.clone() else { return reply(AskAnswer::NotFound) };
            keep(entity, cx, Login { enabled, ..login });
            if !enabled {
                end_all(entity, cx, &StreamError::new("not-authorized").text("the account was disabled"));
            }
        }
        Ask::Remove => {
            remove(entity, cx);
        }
    }
    let then = Box::new(move |result: Result<(), StoreError>| {
        reply(match result {
            Ok(()) => AskAnswer::Done,
            Err(why) => AskAnswer::Failed(why.to_string()),
        });
    });
    cx.fx.list.push(Effect::AfterCommit(then));
}

fn keep(entity: &mut AccountEntity, cx: &mut Ctx<'_>, login: Login) {
    cx.fx.write.push(Write::Put {
        owner: entity.owner,
        shelf: login::SHELF,
        key: std::sync::Arc::from(""),
        value: login.encode(),
    });
    entity.login = Some(login);
}

/// Sessions, and those that could be resumed, are over at once.
fn end_all(entity: &mut AccountEntity, cx: &mut Ctx<'_>, error: &StreamError) {
    for at in entity.sessions.clone() {
        entity.end(cx, at, error.clone());
    }
}

/// Contacts are told that nobody is here any more, then everything is forgotten.
fn remove(entity: &mut AccountEntity, cx: &mut Ctx<'_>) {
    path::event(entity, cx, Event::AccountRemoved, None);
    end_all(entity, cx, &StreamError::new("not-authorized").text("the account was removed"));
    let contacts: Vec<(Jid, bool, bool)> = entity
        .roster
        .contacts()
        .map(|(jid, _)| {
            let state = entity.roster.state(jid);
            (jid.clone().into(), state.to || state.ask, state.from)
        })
        .collect();
    for (contact, ours, theirs) in contacts {
        if ours {
            presence::send_kind(entity, cx, &contact, Kind::Unsubscribe);
        }
        if theirs {
            presence::send_kind(entity, cx, &contact, Kind::Unsubscribed);
        }
    }
    cx.fx.write.push(Write::Disown { owner: entity.owner });
    entity.gone = true;
}
