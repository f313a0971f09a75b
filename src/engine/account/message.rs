//! A message's way through its sender's and its recipient's account: the two halves of the hop table.

use std::sync::Arc;

use iris_core::effects::{Effect, Out, To, Undelivered};
use iris_core::error::Bounce;
use iris_core::time::datetime;
use iris_core::xml::wire::{self, StanzaId, Wire};
use iris_core::{Envelope, Flow, SessionRef, Step, ns};
use smallvec::smallvec;

use super::delivery::{Addressed, Delivery, deliver};
use super::{AccountEntity, Listening, bounce, settle, stopped};
use crate::path::{self, Ctx};
use crate::router::bare_str;

/// Hop 3: the sender's turn.
pub(super) fn sent(entity: &mut AccountEntity, cx: &mut Ctx<'_>, at: SessionRef, mut envelope: Box<Envelope>) {
    for step in [Step::SentGuard, Step::SentArchive, Step::SentCopy] {
        match path::step(entity, cx, step, &mut envelope, Some(at)) {
            Flow::Go => {}
            stop => return stopped(cx, envelope, stop),
        }
    }
    cx.fx.list.push(Effect::Send(envelope));
}

/// Hops 5 and 6: the recipient's turn.
pub(super) fn received(entity: &mut AccountEntity, cx: &mut Ctx<'_>, mut envelope: Box<Envelope>) {
    match path::step(entity, cx, Step::ReceivedGuard, &mut envelope, None) {
        Flow::Go => {}
        stop => return stopped(cx, envelope, stop),
    }
    if let Some(node) = &envelope.news_of {
        return news(entity, cx, node.clone(), envelope);
    }
    let addressed = address(entity, cx, &envelope);
    let listening = entity.listening(cx);
    let plan = deliver(envelope.stanza.stype(), addressed, !listening.is_empty());
    match plan {
        Delivery::Drop => return settle(cx, &mut envelope),
        Delivery::Bounce => return bounce(cx, envelope, &Bounce::nobody()),
        _ => {}
    }
    // What is rendered already is free of them (`HostTurn::fan_out`).
    if envelope.wire.is_none() {
        strip_forged(entity, cx, &mut envelope);
    }
    match path::step(entity, cx, Step::ReceivedArchive, &mut envelope, None) {
        Flow::Go => {}
        stop => return stopped(cx, envelope, stop),
    }
    // XEP-0359 3: the id says where the archive has it, so only what was archived gets one.
    if let Some(id) = envelope.kept_id {
        envelope.stamps.stanza_id =
            Some(StanzaId { by: entity.bare.clone(), id: Arc::from(cx.house.ids.show(entity.owner, id)) });
        // What was rendered before it came here does not say it.
        envelope.wire = None;
    }
    hand_over(entity, cx, envelope, plan, listening, false);
}

/// XEP-0163 4.3.2: to each available session whose verified capabilities say that it wants news of the node, and to no other.
fn news(entity: &AccountEntity, cx: &mut Ctx<'_>, node: Arc<str>, mut envelope: Box<Envelope>) {
    let wants = |at: &SessionRef| {
        let card = cx.sessions.get(*at).map(|session| &session.card);
        card.is_some_and(|card| card.available.is_some() && card.interests.has(&node))
    };
    let wanting: Vec<SessionRef> = entity.sessions.iter().copied().filter(wants).collect();
    if !wanting.is_empty() {
        let wire = render(&envelope);
        for session in wanting {
            cx.fx.list.push(Effect::Out(session, Out { after: envelope.after, ..Out::new(wire.clone(), To::Full) }));
        }
    }
    settle(cx, &mut envelope);
}

/// Deliver what has passed all steps before delivery.
fn hand_over(
    entity: &mut AccountEntity,
    cx: &mut Ctx<'_>,
    mut envelope: Box<Envelope>,
    plan: Delivery<SessionRef>,
    listening: Listening,
    again: bool,
) {
    let (targets, to) = match plan {
        Delivery::One(session) => (smallvec![session], To::Full),
        Delivery::All => (listening, To::Bare),
        Delivery::Offline | Delivery::Drop | Delivery::Bounce => (Listening::new(), To::Bare),
    };
    if targets.is_empty() {
        match path::step(entity, cx, Step::Unseen, &mut envelope, None) {
            Flow::Go => {}
            stop => return stopped(cx, envelope, stop),
        }
        return settle(cx, &mut envelope);
    }
    // `session` tells the copying room which one has it already; with several, nobody is left to be copied to.
    let one = matches!(to, To::Full).then(|| targets[0]);
    // A second delivery was copied the first time. (Whatever a room says to it, the message itself is delivered.)
    if !again {
        path::step(entity, cx, Step::ReceivedCopy, &mut envelope, one);
    }
    let wire = render(&envelope);
    let Envelope { stanza, from, to: addressed, stamps, kept_id, said, after, receipt, .. } = *envelope;
    let shared = if to == To::Bare { targets.to_vec() } else { Vec::new() };
    let origin = Arc::new(Undelivered { stanza, from, to: addressed, stamps, kept_id, said, shared });
    for session in targets {
        let out = Out { origin: Some(origin.clone()), after, ..Out::new(wire.clone(), to) };
        cx.fx.list.push(Effect::Out(session, out));
    }
    if let Some(receipt) = receipt {
        cx.fx.list.push(Effect::Settle(receipt.settle()));
    }
}

/// A session ended with this message not shown to have arrived: whoever else can take it, does; it was archived already.
pub(crate) fn redeliver(entity: &mut AccountEntity, cx: &mut Ctx<'_>, out: &Out) {
    let Some(origin) = &out.origin else { return };
    let listening = entity.listening(cx);
    // To the bare JID, and another session that was given it too is still there; who came later has not got it.
    if origin.shared.iter().any(|at| entity.sessions.contains(at)) {
        return;
    }
    let mut envelope = Envelope::new(origin.stanza.clone(), origin.from.clone(), origin.to.clone());
    envelope.stamps = origin.stamps.clone();
    envelope.kept_id = origin.kept_id;
    envelope.said = origin.said;
    // It may not even be on disk yet: a second delivery waits for the same commit as the first.
    envelope.after = out.after;
    // XEP-0198 4: whoever gets it later is told when it came (what is stored gets its stamp from whoever stores it).
    if !listening.is_empty() {
        let stamp = datetime(origin.kept_id.map_or(cx.now.wall_us, |id| id.0));
        let delay = format!("<delay xmlns='{}' from='{}' stamp='{stamp}'/>", ns::DELAY, entity.doors.domain);
        envelope.stamps.extra = Some(Arc::from(delay.as_bytes()));
    }
    let addressed = if out.to == To::Bare { Addressed::Bare } else { Addressed::Gone };
    match deliver(envelope.stanza.stype(), addressed, !listening.is_empty()) {
        Delivery::Drop => {}
        Delivery::Bounce => bounce(cx, envelope, &Bounce::nobody()),
        plan => hand_over(entity, cx, envelope, plan, listening, true),
    }
}

fn address(entity: &AccountEntity, cx: &Ctx<'_>, envelope: &Envelope) -> Addressed<SessionRef> {
    if envelope.to.resource().is_none() {
        return Addressed::Bare;
    }
    match entity.session_of(cx, envelope.to.as_str()) {
        Some(session) => Addressed::Full(session),
        None => Addressed::Gone,
    }
}

/// A stanza-id that claims to be ours was forged by the sender (XEP-0359 6, security C3).
fn strip_forged(entity: &AccountEntity, cx: &Ctx<'_>, envelope: &mut Envelope) {
    let stanza = &envelope.stanza;
    for (index, child) in stanza.children().iter().enumerate() {
        if child.name == cx.known.stanza_id
            && stanza.child_el(child).attr("by").is_some_and(|by| is_same_bare(&by, &entity.bare))
        {
            envelope.stamps.strip.add(index);
        }
    }
}

fn is_same_bare(claimed: &str, bare: &str) -> bool {
    claimed == bare || jid::Jid::new(claimed).is_ok_and(|claimed| bare_str(&claimed) == bare)
}

fn render(envelope: &Envelope) -> Arc<Wire> {
    match &envelope.wire {
        Some(wire) => wire.clone(),
        None => Arc::new(wire::render(&envelope.stanza, &envelope.stamps)),
    }
}
