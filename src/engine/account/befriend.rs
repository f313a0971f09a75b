//! Two who want each other for contacts, as the house knows from an invitation: nobody has to ask, or to answer.

use iris_core::{BareJid, Jid};

use super::subscription::{Kind, State};
use super::{AccountEntity, presence, roster_iq};
use crate::path::Ctx;

/// XEP-0401 4.5: each sees the other. This is one half; the other account makes the other. False: the roster is full.
pub(crate) fn befriend(entity: &mut AccountEntity, cx: &mut Ctx<'_>, contact: &BareJid) -> bool {
    if *contact == entity.jid {
        return true;
    }
    if !entity.roster.has_room(contact, &cx.house.limits) {
        return false;
    }
    let before = entity.roster.state(contact);
    let both = State { to: true, from: true, ..State::NONE };
    roster_iq::apply(entity, cx, contact, both, None);
    if !before.from {
        presence::show_all(entity, cx, &contact.clone().into(), true);
    }
    true
}

/// XEP-0379 3.5: a request is granted for the user, and the user asks in return. False: the roster is full.
pub(crate) fn approve(entity: &mut AccountEntity, cx: &mut Ctx<'_>, contact: &BareJid) -> bool {
    if *contact == entity.jid {
        return true;
    }
    if !entity.roster.has_room(contact, &cx.house.limits) {
        return false;
    }
    let before = entity.roster.state(contact);
    let next = State { from: true, to: before.to, ask: !before.to, ..State::NONE };
    roster_iq::apply(entity, cx, contact, next, None);
    let to: Jid = contact.clone().into();
    presence::send_kind(entity, cx, &to, Kind::Subscribed);
    if !before.from {
        // RFC 6121 3.1.5: whoever may see us now is shown us.
        presence::show_all(entity, cx, &to, true);
    }
    if !before.to {
        presence::send_kind(entity, cx, &to, Kind::Subscribe);
    }
    true
}
