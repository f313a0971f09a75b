//! XEP-0280: Message Carbons - a user's other devices see what this one says and hears.
//! Spec 1.0.1, https://xmpp.org/extensions/xep-0280.html. Not done: `urn:xmpp:carbons:rules:0` is not claimed, because copies
//! of private messages to a room's occupants go to all devices, joined or not (section 6.1 wants them limited).
//!
//! A device that has carbons before it has presence is copied what is kept offline as well, and has it twice, with the same stanza-id
//! (XEP-0359), if it is the one that comes: nobody knows of a copy whether it has arrived, so it takes nothing from what is kept.

use std::collections::VecDeque;
use std::sync::Arc;

use iris_core::effects::{To, made};
use iris_core::xml::escape_attr;
use iris_core::xml::names::NameId;
use iris_core::xml::wire::{Hold, Stamps, StanzaId, Wire, render_forwarded};
use iris_core::{
    At, Card, Flow, GetOrSet, Jid, Mount, MountError, Reply, Room, SessionCard, SessionFlag, Stanza, StanzaType, StateSlot,
    Status, Step, Turn, hash, ns,
};

pub const NS: &str = "urn:xmpp:carbons:2";
const MUC_USER: &str = "http://jabber.org/protocol/muc#user";

pub const ROOM: Room = Room {
    card: Card { xep: Some(280), name: "Message Carbons", version: "1.0.1", status: Status::Complete, needs: &[30, 297, 334] },
    mount,
};

static ON: SessionFlag = SessionFlag::new();
static RECENT: StateSlot<Recent> = StateSlot::new();

fn mount(m: &mut Mount<'_>) -> Result<(), MountError> {
    let names = Names::intern(m);
    m.feature(At::Host, NS);
    m.state(&RECENT, &[], |_| Recent::default())?;
    m.iq_named(At::OwnAccount, GetOrSet::Set, NS, "enable", |turn, _| switch(turn, true))?;
    m.iq_named(At::OwnAccount, GetOrSet::Set, NS, "disable", |turn, _| switch(turn, false))?;
    m.bind_inline(NS, "enable", |turn, _| switch(turn, true));
    m.on(Step::SentCopy, move |turn| copy_sent(turn, &names));
    m.on(Step::ReceivedCopy, move |turn| copy_received(turn, &names));
    m.on(Step::Unseen, move |turn| copy_received(turn, &names));
    Ok(())
}

/// Section 10.1: as often as it likes.
fn switch(turn: &mut Turn<'_>, on: bool) -> Reply {
    turn.set_flag(&ON, on);
    Reply::empty()
}

/// Section 8: the sender's other devices, whether or not the sending one takes part.
fn copy_sent(turn: &mut Turn<'_>, names: &Names) -> Flow {
    if nobody_listens(turn) {
        return Flow::Go;
    }
    let sender = turn.session;
    let Some(envelope) = turn.envelope.as_deref() else { return Flow::Go };
    // To ourselves: every device hears it as the recipient, once.
    if envelope.to.to_bare() == *turn.account.jid() {
        return Flow::Go;
    }
    let (stanza, to, sent_id) = (envelope.stanza.clone(), envelope.to.clone(), envelope.sent.as_ref().map(|sent| sent.id));
    let sent_id = sent_id.map(|id| turn.shown(id));
    let mut stamps = envelope.stamps.clone();
    let is_new = |card: &SessionCard| Some(card.this) != sender;
    copy(turn, names, "sent", Way::Out, &stanza, &to, is_new, |me| {
        // Only our archive says what id it gave (XEP-0359 6).
        for (index, child) in stanza.children().iter().enumerate() {
            if child.name == names.stanza_id && stanza.child_el(child).attr("by").as_deref() == Some(me) {
                stamps.strip.add(index);
            }
        }
        stamps.stanza_id = sent_id.map(|id| StanzaId { by: me.into(), id: id.into() });
        stamps
    })
}

/// Section 7: devices that delivery has passed over.
fn copy_received(turn: &mut Turn<'_>, names: &Names) -> Flow {
    if nobody_listens(turn) {
        return Flow::Go;
    }
    let addressed = turn.session;
    let Some(envelope) = turn.envelope.as_deref() else { return Flow::Go };
    let (stanza, from, stamps) = (envelope.stanza.clone(), envelope.from.clone(), envelope.stamps.clone());
    let has_not = |card: &SessionCard| match addressed {
        // The one it was addressed to has it, and the one that sent it knows it.
        Some(one) => card.this != one && card.jid != from,
        // Everybody who listens has it; what is left are those with a negative priority or without presence.
        None => card.available.as_ref().is_none_or(|it| it.priority < 0) && card.jid != from,
    };
    copy(turn, names, "received", Way::In, &stanza, &from.clone(), has_not, |_| stamps)
}

fn nobody_listens(turn: &Turn<'_>) -> bool {
    !turn.cards().any(|card| card.flag(&ON))
}

#[expect(clippy::too_many_arguments)]
fn copy(
    turn: &mut Turn<'_>,
    names: &Names,
    wrapper: &str,
    way: Way,
    stanza: &Arc<Stanza>,
    peer: &Jid,
    wants: impl Fn(&SessionCard) -> bool,
    stamps: impl FnOnce(&str) -> Stamps,
) -> Flow {
    let key = hash::stable(&[peer.to_bare().as_str().as_bytes(), stanza.id().unwrap_or_default().as_bytes()]);
    let eligible = match stanza.stype() {
        StanzaType::Error => turn.state(&RECENT).is_some_and(|recent| recent.answers(key)),
        _ => eligible(stanza, names, way, peer),
    };
    if !eligible {
        return Flow::Go;
    }
    if stanza.stype() != StanzaType::Error
        && stanza.id().is_some()
        && let Some(recent) = turn.state(&RECENT)
    {
        recent.note(key);
    }
    let targets: Vec<_> = turn.cards().filter(|card| card.flag(&ON) && wants(card)).map(|card| card.this).collect();
    if targets.is_empty() {
        return Flow::Go;
    }
    let to = turn.envelope.as_deref().map(|envelope| envelope.to.as_str().to_owned());
    let me = turn.me().as_str().to_owned();
    let wire = wrap(stanza, wrapper, &me, to.as_deref(), &stamps(&me));
    for session in targets {
        turn.push_wire(session, wire.clone(), To::Full);
    }
    Flow::Go
}

/// From the user's own bare JID, which is what tells a copy from a forgery (section 11).
fn wrap(stanza: &Stanza, wrapper: &str, me: &str, to: Option<&str>, stamps: &Stamps) -> Arc<Wire> {
    let mut xml = format!("<message from='{}'", escape_attr(me)).into_bytes();
    if let Some(kind) = stanza.attr("type") {
        xml.extend_from_slice(format!(" type='{}'", escape_attr(&kind)).as_bytes());
    }
    xml.extend_from_slice(format!("><{wrapper} xmlns='{NS}'><forwarded xmlns='{}'>", ns::FORWARD).as_bytes());
    render_forwarded(stanza, stamps, to, &mut xml);
    xml.extend_from_slice(format!("</forwarded></{wrapper}></message>").as_bytes());
    // A copy may wait, or be left out, when the original may (XEP-0352).
    made(xml, Hold::of(stanza, ""))
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Way {
    Out,
    In,
}

/// Section 6.1.
fn eligible(stanza: &Stanza, names: &Names, way: Way, peer: &Jid) -> bool {
    let has = |name| stanza.has(name);
    if stanza.stype() == StanzaType::Groupchat || has(names.private) || has(names.no_copy) {
        return false;
    }
    // A copy is never copied, nor what pretends to be one (security C2).
    if has(names.sent) || has(names.received) {
        return false;
    }
    if has(names.direct_invitation) {
        return true;
    }
    if let Some(muc) = stanza.child(names.muc_user) {
        if stanza.child_el(muc).child(MUC_USER, "invite").is_some() {
            return true;
        }
        // A room sends its private messages to every joined device itself.
        if way == Way::In && peer.resource().is_some() {
            return false;
        }
    }
    match stanza.stype().of_message() {
        StanzaType::Chat => true,
        StanzaType::Normal if has(names.body) => true,
        _ => stanza.children().iter().any(|child| IM_PAYLOADS.contains(&stanza.child_ns(child))),
    }
}

/// XEP-0184, XEP-0085, XEP-0333.
const IM_PAYLOADS: [&str; 3] = ["urn:xmpp:receipts", "http://jabber.org/protocol/chatstates", "urn:xmpp:chat-markers:0"];

/// Names that are looked for on each message: integers.
#[derive(Clone, Copy)]
struct Names {
    private: NameId,
    sent: NameId,
    received: NameId,
    no_copy: NameId,
    body: NameId,
    muc_user: NameId,
    direct_invitation: NameId,
    stanza_id: NameId,
}

impl Names {
    fn intern(m: &mut Mount<'_>) -> Names {
        Names {
            private: m.name(NS, "private"),
            sent: m.name(NS, "sent"),
            received: m.name(NS, "received"),
            no_copy: m.name(ns::HINTS, "no-copy"),
            body: m.name(ns::CLIENT, "body"),
            muc_user: m.name(MUC_USER, "x"),
            direct_invitation: m.name("jabber:x:conference", "x"),
            stanza_id: m.name(ns::STANZA_ID, "stanza-id"),
        }
    }
}

/// The last eligible messages of a conversation: an error is copied when it answers one of them (section 6.1).
#[derive(Default)]
struct Recent(VecDeque<u64>);

const RECENT_MESSAGES_MAX: usize = 64;

impl Recent {
    fn note(&mut self, message: u64) {
        if self.0.len() >= RECENT_MESSAGES_MAX {
            self.0.pop_front();
        }
        self.0.push_back(message);
    }

    fn answers(&self, message: u64) -> bool {
        self.0.contains(&message)
    }
}

#[cfg(test)]
mod tests;
