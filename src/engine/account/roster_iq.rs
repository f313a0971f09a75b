//! `jabber:iq:roster` (RFC 6121 2), and the pushes of every change, whoever made it.

use iris_core::store::{Shelf, Write};
use iris_core::turn::Reply;
use iris_core::xml::stanza::Child;
use iris_core::{BareJid, Event, SessionRef, Stanza, StanzaType};

use super::roster::{self, Answer, Change};
use super::subscription::State;
use super::{AccountEntity, presence, push_xml};
use crate::path::{self, Ctx};

const SHELF: Shelf = roster::SHELF;

/// A get or a set by our own client.
pub(super) fn ask(entity: &mut AccountEntity, cx: &mut Ctx<'_>, at: SessionRef, stanza: &Stanza, child: &Child) -> Reply {
    let query = stanza.child_el(child);
    if stanza.stype() == StanzaType::Get {
        // 2.1.6: whoever asks for the roster gets its changes from now on.
        if let Some(session) = cx.sessions.get_mut(at) {
            session.interested = true;
        }
        return match entity.roster.get(query.attr("ver").as_deref()) {
            Answer::Full(xml) => {
                push_xml(cx, at, super::reply::result_xml(stanza, stanza.to().as_deref(), &xml));
                Reply::Sent
            }
            Answer::Unchanged => Reply::empty(),
            Answer::Changes(pushes) => {
                // 2.6.3: an empty result, then a push per change; the result is queued first.
                let result = super::reply::result_xml(stanza, stanza.to().as_deref(), "");
                push_xml(cx, at, result);
                for payload in pushes {
                    push_xml(cx, at, push_of(cx, &payload));
                }
                Reply::Sent
            }
        };
    }
    let ver = cx.house.clock.mint(cx.now).0;
    match entity.roster.set(query, ver, &cx.house.limits) {
        Err(why) => Reply::Error(why),
        Ok(change) => {
            let (contact, before, cancel) = (BareJid::new(&change.key), change.before, change.cancel.clone());
            if let Ok(contact) = &contact {
                removed(entity, cx, contact, before, &cancel);
            }
            keep(entity, cx, change);
            path::event_about(entity, cx, Event::RosterChanged, Some(at), contact.ok(), 0);
            Reply::empty()
        }
    }
}

/// 2.5.2: whoever is taken off the roster is told, and sees us no more.
fn removed(
    entity: &mut AccountEntity,
    cx: &mut Ctx<'_>,
    contact: &BareJid,
    before: State,
    cancel: &[super::subscription::Kind],
) {
    let to: iris_core::Jid = contact.clone().into();
    if before.from && !entity.roster.state(contact).from {
        let list = &mut cx.fx.list;
        presence::present_to(entity, cx.sessions, &to, false, |envelope| {
            list.push(iris_core::effects::Effect::Send(envelope));
        });
    }
    for kind in cancel {
        presence::send_kind(entity, cx, &to, *kind);
    }
}

/// A subscription has changed.
pub(super) fn apply(
    entity: &mut AccountEntity,
    cx: &mut Ctx<'_>,
    contact: &BareJid,
    next: State,
    pending: Option<bytes::Bytes>,
) {
    let ver = cx.house.clock.mint(cx.now).0;
    if let Some(change) = entity.roster.apply(contact, next, pending, ver) {
        keep(entity, cx, change);
        path::event_about(entity, cx, Event::RosterChanged, None, Some(contact.clone()), 0);
    }
}

/// Write a change and tell every session that has asked for the roster.
fn keep(entity: &AccountEntity, cx: &mut Ctx<'_>, change: Change) {
    let owner = entity.owner;
    for (key, value) in std::iter::once((change.key, change.value)).chain(change.extra_writes) {
        cx.fx.write.push(match value {
            Some(value) => Write::Put { owner, shelf: SHELF, key, value },
            None => Write::Delete { owner, shelf: SHELF, key },
        });
    }
    let Some(payload) = change.push else { return };
    for at in &entity.sessions {
        if cx.sessions.get(*at).is_some_and(|session| session.interested) {
            let xml = push_of(cx, &payload);
            push_xml(cx, *at, xml);
        }
    }
}

/// 2.1.6: a push comes from nobody else than the account itself, and has an id of its own.
fn push_of(cx: &Ctx<'_>, payload: &str) -> String {
    format!("<iq type='set' id='push-{:x}'>{payload}</iq>", cx.house.clock.mint(cx.now).0)
}
