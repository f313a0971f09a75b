//! XEP-0186: a session that takes part in everything and is shown to nobody. Here because what is shown to whom is (`presence.rs`);
//! its room in `xep/` holds card, feature and tests.

use std::sync::Arc;

use iris_core::error::Bounce;
use iris_core::turn::{Available, Reply};
use iris_core::xml::stanza::Child;
use iris_core::xml::wire::Stamps;
use iris_core::{Event, SessionRef, Stanza, StanzaType};

use super::{AccountEntity, presence};
use crate::path::{self, Ctx};

pub(super) fn command(entity: &mut AccountEntity, cx: &mut Ctx<'_>, at: SessionRef, stanza: &Stanza, child: &Child) -> Reply {
    if stanza.stype() != StanzaType::Set {
        return Reply::Error(Bounce::nobody());
    }
    if child.name == cx.known.visible {
        show(entity, cx, at);
        return Reply::empty();
    }
    // Section 3.1.1: "the default is false".
    let probe = match stanza.child_el(child).attr("probe").as_deref() {
        Some("true" | "1") => true,
        Some("false" | "0") | None => false,
        Some(_) => return Reply::Error(Bounce::bad_request("probe is true or false")),
    };
    hide(entity, cx, at, probe);
    Reply::empty()
}

/// Section 3.1.
fn hide(entity: &mut AccountEntity, cx: &mut Ctx<'_>, at: SessionRef, probe: bool) {
    let Some(session) = cx.sessions.get(at) else { return };
    let (was, already) = (session.card.available.clone(), session.card.invisible);
    // It goes on wanting news.
    let (interests, informed) = (session.card.interests.clone(), session.card.informed.clone());
    let Ok(presence) = Stanza::parse(b"<presence/>", &cx.house.names) else { return };
    if was.is_some() && !already {
        // All who would see it go if it went, see it go.
        presence::session_gone(entity, cx, at);
    }
    let Some(session) = cx.sessions.get_mut(at) else { return };
    session.card.invisible = true;
    (session.card.interests, session.card.informed) = (interests, informed);
    session.probes = probe;
    // Section 3.1.2: messages to the bare JID come to it as to any other, whether it has ever said that it is here or not.
    let available =
        was.unwrap_or(Available { priority: 0, presence: Arc::new(presence), stamps: Stamps::default(), since: cx.now });
    let listens = available.priority >= 0;
    session.card.available = Some(available);
    if already {
        return;
    }
    if probe {
        presence::ask_contacts(entity, cx, at);
    }
    if listens {
        path::event(entity, cx, Event::SessionAvailable, Some(at));
    }
}

/// Section 3.2: as before initial presence; but whoever was shown something directly is still told when it goes.
fn show(entity: &mut AccountEntity, cx: &mut Ctx<'_>, at: SessionRef) {
    let Some(session) = cx.sessions.get_mut(at) else { return };
    if !std::mem::take(&mut session.card.invisible) {
        return;
    }
    session.probes = true;
    if session.card.available.take().is_some() {
        path::event(entity, cx, Event::SessionUnavailable, Some(at));
    }
}
