//! RFC 6121 sections 3 and 4: who sees whom.

use std::sync::Arc;

use iris_core::effects::{Effect, To};
use iris_core::turn::Available;
use iris_core::xml::names::NameTable;
use iris_core::xml::wire::{self, Wire};
use iris_core::{Envelope, Event, Flow, Interests, Jid, SessionRef, Stanza, StanzaType, Step};

use super::subscription::{self, Kind, State};
use super::{AccountEntity, push, roster_iq, settle, stopped};
use crate::path::{self, Ctx};
use crate::router::bare_str;
use crate::sessions::Sessions;

/// From one of our clients.
pub(super) fn sent(entity: &mut AccountEntity, cx: &mut Ctx<'_>, at: SessionRef, envelope: Box<Envelope>) {
    let addressed = envelope.stanza.to().is_some();
    let kind = envelope.stanza.stype();
    if let Some(kind) = Kind::of(kind) {
        if addressed {
            subscribe_out(entity, cx, at, envelope, kind);
        } else {
            refuse(cx, envelope, "a subscription needs a to");
        }
        return;
    }
    match (kind, addressed) {
        (StanzaType::Available, false) => broadcast(entity, cx, at, envelope),
        (StanzaType::Unavailable, false) => {
            let mut envelope = envelope;
            unavailable(entity, cx, at, envelope.stanza.clone());
            settle(cx, &mut envelope);
        }
        (StanzaType::Available | StanzaType::Unavailable | StanzaType::Error, true) => directed(entity, cx, at, envelope),
        (StanzaType::Probe, true) => probe_out(entity, cx, at, envelope),
        _ => refuse(cx, envelope, "that type of presence needs a to, or is none"),
    }
}

fn refuse(cx: &mut Ctx<'_>, mut envelope: Box<Envelope>, why: &str) {
    // A presence error is only ever sent for a request that somebody waits for; the others are dropped (RFC 6121 4.7.1).
    tracing::debug!(why, "presence dropped");
    settle(cx, &mut envelope);
}

// --- our own availability -------------------------------------------------------------------------------------------------

/// RFC 6121 4.2.2, 4.4.2: initial presence, and every change of it.
fn broadcast(entity: &mut AccountEntity, cx: &mut Ctx<'_>, at: SessionRef, mut envelope: Box<Envelope>) {
    let priority = priority(&envelope.stanza);
    let Some(session) = cx.sessions.get_mut(at) else { return };
    let (presence, stamps) = (envelope.stanza.clone(), wire::Stamps::default());
    let before = session.card.available.replace(Available { priority, presence, stamps, since: cx.now });
    if before.is_none() {
        session.card.informed = Interests::default();
    }
    match path::step(entity, cx, Step::PresenceOut, &mut envelope, Some(at)) {
        Flow::Go => {}
        stop => return stopped(cx, envelope, stop),
    }
    if let Some(available) = cx.sessions.get_mut(at).and_then(|session| session.card.available.as_mut()) {
        available.stamps = envelope.stamps.clone();
    }
    let wire = show(&envelope);
    let invisible = cx.sessions.get(at).is_some_and(|session| session.card.invisible);
    if invisible {
        // XEP-0186 3.1.2: to nobody else.
        push(cx, at, wire, To::Bare);
    } else {
        let contacts: Vec<Jid> = entity.roster.watchers().map(|jid| jid.clone().into()).collect();
        send_to(entity, cx, at, &envelope, contacts, &wire);
        // 4.2.2: also to the user's own available resources, this one among them.
        for other in entity.available(cx) {
            push(cx, other, wire.clone(), To::Bare);
        }
    }
    if before.is_none() {
        arrive(entity, cx, at);
    }
    if priority >= 0 && before.as_ref().is_none_or(|before| before.priority < 0) {
        path::event(entity, cx, Event::SessionAvailable, Some(at));
    }
    interested(entity, cx, at, before.is_none());
    settle(cx, &mut envelope);
}

/// What the server adds to this session's presence has changed: everybody who sees it sees it anew.
pub(crate) fn present_again(entity: &mut AccountEntity, cx: &mut Ctx<'_>, at: SessionRef) {
    let Some(session) = cx.sessions.get(at) else { return };
    let Some(available) = &session.card.available else { return };
    let since = available.since;
    let mut envelope = Envelope::new(available.presence.clone(), session.card.jid.clone().into(), entity.jid.clone().into());
    envelope.stamps.from = Some(session.card.from.clone());
    broadcast(entity, cx, at, envelope);
    if let Some(available) = cx.sessions.get_mut(at).and_then(|session| session.card.available.as_mut()) {
        available.since = since;
    }
}

/// XEP-0163 4.3.4: a session is available, and it is known which news it wants: whatever it was not told since it became
/// available it is told now, by our own account and by those whose presence we see. `asked`: they were, with their presence.
pub(super) fn interested(entity: &mut AccountEntity, cx: &mut Ctx<'_>, at: SessionRef, asked: bool) {
    let Some(session) = cx.sessions.get_mut(at) else { return };
    let card = &mut session.card;
    if card.available.is_none() || card.interests == card.informed {
        return;
    }
    let new = card.interests.beyond(&card.informed);
    card.informed = card.interests.clone();
    if new.is_empty() {
        return;
    }
    path::interested(entity, cx, at, &new);
    // XEP-0186 3.1.2: no probes for who does not want any.
    let probes = cx.sessions.get(at).is_some_and(|session| session.probes);
    if !asked && probes {
        let contacts: Vec<Jid> = entity.roster.watched().map(|jid| jid.clone().into()).collect();
        for contact in contacts {
            ask_news(entity, cx, at, contact, &new);
        }
    }
}

/// A probe that asks a contact's account for news only.
fn ask_news(entity: &mut AccountEntity, cx: &mut Ctx<'_>, at: SessionRef, contact: Jid, interests: &Interests) {
    let Some(session) = cx.sessions.get(at) else { return };
    let Ok(probe) = Stanza::parse(b"<presence type='probe'/>", &cx.house.names) else { return };
    let mut question = Envelope::new(Arc::new(probe), session.card.jid.clone().into(), contact);
    question.interests = interests.clone();
    question.news_only = true;
    if path::step(entity, cx, Step::SentGuard, &mut question, Some(at)) == Flow::Go {
        cx.fx.list.push(Effect::Send(question));
    }
}

/// What a session that has just become available is told, and whom it asks.
fn arrive(entity: &mut AccountEntity, cx: &mut Ctx<'_>, at: SessionRef) {
    for other in entity.available(cx) {
        if other != at
            && let Some(wire) = present(cx.sessions, other)
        {
            push(cx, at, wire, To::Bare);
        }
    }
    if cx.sessions.get(at).is_some_and(|session| session.probes) {
        ask_contacts(entity, cx, at);
    }
    // 3.1.3: requests that came while nobody was there to answer are shown again until they are answered.
    let requests: Vec<bytes::Bytes> = entity.roster.requests().map(|(_, request)| request.clone()).collect();
    for request in requests {
        if let Ok(stanza) = Stanza::parse(&request, &cx.house.names) {
            let from = stanza.from().map(|from| Arc::from(&*from));
            let stamps = wire::Stamps { from, ..wire::Stamps::default() };
            push(cx, at, Arc::new(wire::render(&stanza, &stamps)), To::Bare);
        }
    }
}

/// 4.3.1: ask everybody whose presence we are subscribed to.
pub(super) fn ask_contacts(entity: &mut AccountEntity, cx: &mut Ctx<'_>, at: SessionRef) {
    let Some(from) = cx.sessions.get(at).map(|session| Jid::from(session.card.jid.clone())) else { return };
    if let Ok(probe) = Stanza::parse(b"<presence type='probe'/>", &cx.house.names) {
        let probe = Arc::new(probe);
        let asked: Vec<Jid> = entity.roster.watched().map(|jid| jid.clone().into()).collect();
        let interests = cx.sessions.get(at).map(|session| session.card.interests.clone()).unwrap_or_default();
        for contact in asked {
            let mut question = Envelope::new(probe.clone(), from.clone(), contact);
            question.interests = interests.clone();
            // Whoever is blocked is not even asked: the question alone says that we are here (XEP-0191 3.3).
            if path::step(entity, cx, Step::SentGuard, &mut question, Some(at)) == Flow::Go {
                cx.fx.list.push(Effect::Send(question));
            }
        }
    }
}

/// RFC 6121 4.5.2: a session says that it goes.
fn unavailable(entity: &mut AccountEntity, cx: &mut Ctx<'_>, at: SessionRef, stanza: Arc<Stanza>) {
    let Some(session) = cx.sessions.get_mut(at) else { return };
    let was = session.card.available.take();
    session.card.interests = Interests::default();
    let was_shown = was.is_some() && !session.card.invisible;
    let directed = std::mem::take(&mut session.directed);
    let (full, from) = (session.card.jid.clone(), session.card.from.clone());
    let mut envelope = Envelope::new(stanza, full.into(), entity.jid.clone().into());
    envelope.stamps.from = Some(from);
    let wire = show(&envelope);
    if was_shown {
        if let Flow::Go = path::step(entity, cx, Step::PresenceOut, &mut envelope, Some(at)) {
            let contacts: Vec<Jid> = entity.roster.watchers().map(|jid| jid.clone().into()).collect();
            send_to(entity, cx, at, &envelope, contacts, &wire);
        }
        for other in entity.available(cx) {
            push(cx, other, wire.clone(), To::Bare);
        }
    }
    // 4.6.3: those who were shown presence directly are told, unless the roster told them.
    let untold = directed.into_iter().filter(|contact| !was_shown || !entity.relation(&contact.to_bare()).sees_us()).collect();
    send_to(entity, cx, at, &envelope, untold, &wire);
    if was.is_some() {
        path::event(entity, cx, Event::SessionUnavailable, Some(at));
    }
}

/// A session ended without saying so (4.5.2: the server says it for the client).
pub(super) fn session_gone(entity: &mut AccountEntity, cx: &mut Ctx<'_>, at: SessionRef) {
    let says = cx.sessions.get(at).is_some_and(|it| it.card.available.is_some() || !it.directed.is_empty());
    if says && let Ok(stanza) = Stanza::parse(b"<presence type='unavailable'/>", &cx.house.names) {
        unavailable(entity, cx, at, Arc::new(stanza));
    }
}

/// RFC 6121 4.6: presence to somebody in particular.
fn directed(entity: &mut AccountEntity, cx: &mut Ctx<'_>, at: SessionRef, mut envelope: Box<Envelope>) {
    match path::step(entity, cx, Step::SentGuard, &mut envelope, Some(at)) {
        Flow::Go => {}
        stop => return stopped(cx, envelope, stop),
    }
    if envelope.stanza.stype() == StanzaType::Available {
        match path::step(entity, cx, Step::PresenceDirected, &mut envelope, Some(at)) {
            Flow::Go => {}
            stop => return stopped(cx, envelope, stop),
        }
    }
    if let Some(session) = cx.sessions.get_mut(at) {
        match envelope.stanza.stype() {
            StanzaType::Available if !session.directed.contains(&envelope.to) => session.directed.push(envelope.to.clone()),
            StanzaType::Unavailable => session.directed.retain(|to| *to != envelope.to),
            _ => {}
        }
        // A list that only grows is cut at its oldest: that contact learns of the end from nobody, as with any lost stanza.
        if session.directed.len() > DIRECTED_MAX {
            session.directed.remove(0);
        }
    }
    cx.fx.list.push(Effect::Send(envelope));
}

const DIRECTED_MAX: usize = 1_000;

/// A client may ask after those who show themselves to it; asking after others would tell whether they are there.
fn probe_out(entity: &mut AccountEntity, cx: &mut Ctx<'_>, at: SessionRef, mut envelope: Box<Envelope>) {
    if !entity.roster.state(&envelope.to.to_bare()).to {
        return settle(cx, &mut envelope);
    }
    match path::step(entity, cx, Step::SentGuard, &mut envelope, Some(at)) {
        Flow::Go => cx.fx.list.push(Effect::Send(envelope)),
        stop => stopped(cx, envelope, stop),
    }
}

/// The presence of one session to these, as far as the guards let it: one item for each shard.
fn send_to(
    entity: &mut AccountEntity,
    cx: &mut Ctx<'_>,
    at: SessionRef,
    shown: &Envelope,
    mut contacts: Vec<Jid>,
    wire: &Arc<Wire>,
) {
    let mut copy = shown.copy_to(shown.to.clone());
    copy.wire = Some(wire.clone());
    contacts.retain(|contact| {
        copy.to.clone_from(contact);
        path::step(entity, cx, Step::SentGuard, &mut copy, Some(at)) == Flow::Go
    });
    if !contacts.is_empty() {
        cx.fx.list.push(Effect::FanOut(copy, contacts.into()));
    }
}

/// Show all our sessions to one contact anew: as they are, or as gone (an approval, a block).
pub(crate) fn present_to(
    entity: &AccountEntity,
    sessions: &Sessions,
    contact: &Jid,
    available: bool,
    mut send: impl FnMut(Box<Envelope>),
) {
    let Ok(gone) = Stanza::parse(b"<presence type='unavailable'/>", &NameTable::new()).map(Arc::new) else { return };
    for at in &entity.sessions {
        let Some(session) = sessions.get(*at) else { continue };
        let Some(shown) = session.card.shown() else { continue };
        let stanza = if available { shown.presence.clone() } else { gone.clone() };
        let mut envelope = Envelope::new(stanza, session.card.jid.clone().into(), contact.clone());
        if available {
            envelope.stamps = shown.stamps.clone();
        }
        envelope.stamps.from = Some(session.card.from.clone());
        send(envelope);
    }
}

fn priority(stanza: &Stanza) -> i8 {
    let text = stanza.child_named(iris_core::ns::CLIENT, "priority").map(|child| stanza.child_el(child).text().into_owned());
    text.and_then(|text| text.trim().parse().ok()).unwrap_or(0)
}

/// Rendered once for everybody who sees it.
fn show(envelope: &Envelope) -> Arc<Wire> {
    Arc::new(wire::render(&envelope.stanza, &envelope.stamps))
}

/// The presence of a session that is available, as others see it.
fn present(sessions: &Sessions, at: SessionRef) -> Option<Arc<Wire>> {
    let session = sessions.get(at)?;
    let shown = session.card.shown()?;
    let mut envelope = Envelope::new(shown.presence.clone(), session.card.jid.clone().into(), session.card.jid.clone().into());
    envelope.stamps = shown.stamps.clone();
    envelope.stamps.from = Some(session.card.from.clone());
    Some(show(&envelope))
}

// --- subscriptions --------------------------------------------------------------------------------------------------------

/// RFC 6121 3: what the user asks, grants or takes back.
fn subscribe_out(entity: &mut AccountEntity, cx: &mut Ctx<'_>, at: SessionRef, mut envelope: Box<Envelope>, kind: Kind) {
    // 3.1.2: from the bare JID to the bare JID, whatever the client wrote.
    let contact = envelope.to.to_bare();
    envelope.to = contact.clone().into();
    envelope.from = entity.jid.clone().into();
    envelope.stamps.from = Some(entity.bare.clone());
    if contact == entity.jid {
        return refuse(cx, envelope, "one does not subscribe to oneself");
    }
    match path::step(entity, cx, Step::SentGuard, &mut envelope, Some(at)) {
        Flow::Go => {}
        stop => return stopped(cx, envelope, stop),
    }
    let before = entity.roster.state(&contact);
    let outcome = subscription::outbound(kind, before);
    let to = envelope.to.clone();
    if outcome.changed {
        // To refuse or to take back needs no place on the roster.
        if outcome.next.shown() != State::NONE && !entity.roster.has_room(&contact, &cx.house.limits) {
            let why = super::roster::full(&cx.house.limits);
            if let Some(receipt) = envelope.receipt.take() {
                cx.fx.list.push(Effect::Settle(receipt.refuse(why)));
            }
            return;
        }
        roster_iq::apply(entity, cx, &contact, outcome.next, None);
    }
    // 3.2.2: whoever may not see us any longer sees us go first, then is told why.
    if before.from && !outcome.next.from {
        show_all(entity, cx, &to, false);
    }
    if outcome.route {
        cx.fx.list.push(Effect::Send(envelope));
    } else {
        settle(cx, &mut envelope);
    }
    // 3.1.5: whoever may see us now is shown us.
    if !before.from && outcome.next.from {
        show_all(entity, cx, &to, true);
    }
}

pub(super) fn show_all(entity: &mut AccountEntity, cx: &mut Ctx<'_>, contact: &Jid, available: bool) {
    let list = &mut cx.fx.list;
    present_to(entity, cx.sessions, contact, available, |envelope| list.push(Effect::Send(envelope)));
}

/// RFC 6121 3: what a contact asks, grants or takes back.
fn subscribe_in(entity: &mut AccountEntity, cx: &mut Ctx<'_>, mut envelope: Box<Envelope>, kind: Kind) {
    let contact = envelope.from.to_bare();
    let before = entity.roster.state(&contact);
    let outcome = subscription::inbound(kind, before);
    envelope.stamps.from = Some(Arc::from(contact.as_str()));
    let rendered = Arc::new(wire::render(&envelope.stanza, &envelope.stamps));
    if outcome.changed && kind == Kind::Subscribe && !entity.roster.has_room_for_request(&contact) {
        // So many requests wait already: a stranger must not be able to fill it (security F8).
        return settle(cx, &mut envelope);
    }
    // 3.1.3: a request to every available resource; 3.1.6, 3.2.3, 3.3.3: a notification to those that know the roster,
    // before the push that follows from it.
    let told = if kind == Kind::Subscribe { entity.available(cx) } else { entity.interested(cx) };
    if outcome.deliver {
        for session in told {
            push(cx, session, rendered.clone(), To::Bare);
        }
    }
    if outcome.changed {
        let pending = (kind == Kind::Subscribe).then(|| {
            let mut xml = Vec::new();
            rendered.write_to(Some(&entity.bare), &mut xml);
            bytes::Bytes::from(xml)
        });
        roster_iq::apply(entity, cx, &contact, outcome.next, pending);
        // What the contact has to tell is ours to hear from now on.
        if kind == Kind::Subscribed {
            for at in entity.available(cx) {
                let interests = cx.sessions.get(at).map(|session| session.card.interests.clone()).unwrap_or_default();
                if !interests.is_empty() {
                    ask_news(entity, cx, at, contact.clone().into(), &interests);
                }
            }
        }
    }
    if let Some(kind) = outcome.auto_reply {
        send_kind(entity, cx, &contact.clone().into(), kind);
        if kind == Kind::Subscribed {
            show_all(entity, cx, &contact.clone().into(), true);
        }
    }
    // 3.3.3: the contact no longer wants to see us: the last it sees is that we go.
    if before.from && !outcome.next.from {
        show_all(entity, cx, &contact.into(), false);
    }
    settle(cx, &mut envelope);
}

/// A subscription stanza that the server sends for the user.
pub(crate) fn send_kind(entity: &AccountEntity, cx: &mut Ctx<'_>, to: &Jid, kind: Kind) {
    let xml = format!("<presence type='{}'/>", kind.as_str());
    if let Ok(stanza) = Stanza::parse(xml.as_bytes(), &cx.house.names) {
        let from: Jid = entity.jid.clone().into();
        cx.fx.list.push(Effect::Send(Envelope::new(Arc::new(stanza), from, to.clone())));
    }
}

/// Requests whose answer never came are asked again when a session is bound: of a change that touches two accounts, a crash may
/// have kept only the first half.
pub(super) fn ask_again(entity: &mut AccountEntity, cx: &mut Ctx<'_>) {
    let asked: Vec<Jid> = entity.roster.asked().map(|jid| jid.clone().into()).collect();
    let Ok(question) = Stanza::parse(b"<presence type='subscribe'/>", &cx.house.names).map(Arc::new) else { return };
    for contact in asked {
        let mut envelope = Envelope::new(question.clone(), entity.jid.clone().into(), contact);
        // Not those whom the user has blocked since (XEP-0191 3.3).
        if path::step(entity, cx, Step::SentGuard, &mut envelope, None) == Flow::Go {
            cx.fx.list.push(Effect::Send(envelope));
        }
    }
}

// --- from others ----------------------------------------------------------------------------------------------------------

pub(super) fn received(entity: &mut AccountEntity, cx: &mut Ctx<'_>, mut envelope: Box<Envelope>) {
    match path::step(entity, cx, Step::ReceivedGuard, &mut envelope, None) {
        Flow::Go => {}
        stop => return stopped(cx, envelope, stop),
    }
    if let Some(kind) = Kind::of(envelope.stanza.stype()) {
        return subscribe_in(entity, cx, envelope, kind);
    }
    match envelope.stanza.stype() {
        StanzaType::Probe => answer_probe(entity, cx, envelope),
        StanzaType::Available | StanzaType::Unavailable => {
            match path::step(entity, cx, Step::PresenceIn, &mut envelope, None) {
                Flow::Go => {}
                stop => return stopped(cx, envelope, stop),
            }
            let wire = envelope.wire.clone().unwrap_or_else(|| show(&envelope));
            match envelope.to.resource() {
                // 8.5.2.1.2: to the bare JID, every available resource.
                None => {
                    for session in entity.available(cx) {
                        push(cx, session, wire.clone(), To::Bare);
                    }
                }
                Some(_) => deliver_to_full(entity, cx, &envelope, wire),
            }
            settle(cx, &mut envelope);
        }
        _ => {
            let wire = show(&envelope);
            deliver_to_full(entity, cx, &envelope, wire);
            settle(cx, &mut envelope);
        }
    }
}

fn deliver_to_full(entity: &AccountEntity, cx: &mut Ctx<'_>, envelope: &Envelope, wire: Arc<Wire>) {
    // 8.5.3.1; and 8.5.3.2.2: without such a session a presence is silently ignored.
    if let Some(session) = entity.session_of(cx, envelope.to.as_str()) {
        push(cx, session, wire, To::Full);
    }
}

/// RFC 6121 4.3.2. Somebody who may not see us is told `unsubscribed`, so that a roster that believes otherwise heals; clients
/// cannot ask after people who never let them (`probe_out`), so this tells nobody anything new.
fn answer_probe(entity: &mut AccountEntity, cx: &mut Ctx<'_>, mut envelope: Box<Envelope>) {
    let asker = envelope.from.clone();
    if entity.relation(&asker.to_bare()).sees_us() {
        let list = &mut cx.fx.list;
        match envelope.to.resource() {
            _ if envelope.news_only => {}
            None => present_to(entity, cx.sessions, &asker, true, |shown| list.push(Effect::Send(shown))),
            Some(_) => {
                let wanted = envelope.to.as_str().to_owned();
                present_to(entity, cx.sessions, &asker, true, |shown| {
                    if shown.from.as_str() == wanted {
                        list.push(Effect::Send(shown));
                    }
                });
            }
        }
        if let stop @ (Flow::Drop(_) | Flow::Bounce(_)) = path::step(entity, cx, Step::Probed, &mut envelope, None) {
            return stopped(cx, envelope, stop);
        }
    } else if bare_str(&asker) != &*entity.bare {
        send_kind(entity, cx, &asker.to_bare().into(), Kind::Unsubscribed);
    }
    settle(cx, &mut envelope);
}

/// Somebody shows themselves to this account alone, or has a server of their own, which says it to each of us: and how their client can be
/// asked what it wants to hear (XEP-0115, XEP-0390). An account has that to tell also while it sleeps (XEP-0163 4.3.3), and whoever is told
/// only while somebody is here would know it by that.
pub(crate) fn shows_client(envelope: &Envelope) -> bool {
    let stanza = &envelope.stanza;
    let has = |ns: &str| stanza.child_named(ns, "c").is_some();
    stanza.stype() == StanzaType::Available && stanza.to().is_some() && (has(iris_core::ns::CAPS) || has("urn:xmpp:caps"))
}

/// A client asks after somebody in particular (XEP-0318); what a server asks at each login has no address in it.
pub(crate) fn asks_itself(envelope: &Envelope) -> bool {
    envelope.stanza.stype() == StanzaType::Probe && envelope.stanza.to().is_some()
}
