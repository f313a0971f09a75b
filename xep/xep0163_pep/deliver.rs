//! Section 4.3: who is told what, where.

use std::sync::Arc;

use iris_core::effects::To;
use iris_core::xml::wire::{self, Hold, Stamps, Wire};
use iris_core::xml::{Build, El};
use iris_core::{BareJid, Envelope, Jid, SessionRef, Stanza, Turn};

use super::{PEP, asker, last};
use crate::xep0060_pubsub::{Asker, MaxItems, Node, Notice, Notification, Subscription, event, text};
use crate::xep0115_caps::far;

pub(super) fn tell(turn: &mut Turn<'_>, who: &Asker, notice: Notice, removed: Option<&Node>) {
    match notice {
        Notice::News { node, xml, kind, body, .. } => news(turn, &node, &event::message(&xml, None), body, kind, removed),
        // There are no collections here.
        Notice::OfCollection { .. } => {}
        Notice::Message { to, xml, kind } => {
            if let Some(stanza) = message(turn, &xml, kind.as_str(), None) {
                let from = Jid::from(turn.me().clone());
                turn.send_guarded(Envelope::new(stanza, from, to));
            }
        }
        Notice::Owners { node, xml, id } => owners(turn, &node, &xml, &id),
        Notice::Last { node, to } => {
            // Whoever has just subscribed is whoever asks, unless an owner has approved of somebody.
            let who = if who.bare == to.to_bare() { who.clone() } else { asker(turn, &to) };
            last::on_subscription(turn, &who, &node, to);
        }
    }
}

/// A message of this account, complete but for the addresses.
pub(super) fn message(turn: &Turn<'_>, inside: &str, kind: &str, id: Option<&str>) -> Option<Arc<Stanza>> {
    let id = id.map_or_else(|| format!("news-{:x}", turn.mint().0), str::to_owned);
    let xml = format!("<message type='{kind}' id='{id}'>{inside}</message>");
    let stanza = Stanza::parse(xml.as_bytes(), &turn.house.names);
    debug_assert!(stanza.is_ok(), "our own message is not XML: {stanza:?}");
    stanza.ok().map(Arc::new)
}

/// News of a node: one event per contact's account, which gives it to those of its sessions that want it; explicit subscribers
/// by the address that they have subscribed, with a text for people where they want that; our own sessions here.
fn news(turn: &mut Turn<'_>, node: &Arc<str>, inside: &str, body: Option<String>, kind: Notification, removed: Option<&Node>) {
    let hold = hold(turn, node, inside);
    let Some(plain) = rendered(turn, inside, kind, hold) else { return };
    let Some((subscribers, open)) = subscribers(turn, node, removed) else { return };
    let with_body = match body.filter(|_| subscribers.iter().any(|it| it.body)) {
        Some(body) => {
            let mut xml = Build::new();
            xml.leaf("body", &body).raw(inside.as_bytes());
            rendered(turn, &text(xml), kind, hold)
        }
        None => None,
    };
    let me = Jid::from(turn.me().clone());
    // Our own, each once: those that want it, and those that have subscribed.
    let own = me.to_bare();
    let wants = |turn: &Turn<'_>, at: SessionRef| {
        let card = turn.account.card(at).filter(|card| card.available.is_some())?;
        let of_card = |jid: &Jid| jid.to_bare() == own && (jid.resource().is_none() || *jid == card.jid);
        let subscribed = subscribers.iter().find(|it| of_card(&it.jid));
        (subscribed.is_some() || card.interests.has(node)).then(|| subscribed.is_some_and(|it| it.body))
    };
    let sessions: Vec<(SessionRef, bool)> =
        turn.account.sessions().iter().filter_map(|at| Some((*at, wants(turn, *at)?))).collect();
    let of = |body: bool| with_body.as_ref().filter(|_| body).unwrap_or(&plain);
    for (session, body) in sessions {
        turn.push_wire(session, of(body).1.clone(), To::Full);
    }
    let envelope = |to: Jid, body: bool| {
        let (stanza, wire) = of(body);
        let mut envelope = Envelope::new(stanza.clone(), me.clone(), to);
        envelope.wire = Some(wire.clone());
        envelope
    };
    for it in subscribers.iter().filter(|it| it.jid.to_bare() != own) {
        turn.send_guarded(envelope(it.jid.clone(), it.body));
    }
    if !open {
        return;
    }
    for contact in watchers(turn, node, removed) {
        // Whoever has subscribed with the bare JID has it on every device.
        if !far::is_far(turn, &contact)
            && !subscribers.iter().any(|it| it.jid.resource().is_none() && it.jid.to_bare() == contact)
        {
            let mut envelope = envelope(contact.into(), false);
            envelope.news_of = Some(node.clone());
            turn.send_guarded(envelope);
        }
    }
    for client in far_clients(turn, node, removed) {
        let has = |it: &Subscriber| it.jid == client || it.jid.resource().is_none() && it.jid.to_bare() == client.to_bare();
        if !subscribers.iter().any(has) {
            turn.send_guarded(envelope(client, false));
        }
    }
}

/// Clients that want news of this node and may read it, and of which nobody else in the house knows that they do (XEP-0060 9.1, 9.2).
pub(super) fn far_clients(turn: &mut Turn<'_>, node: &str, removed: Option<&Node>) -> Vec<Jid> {
    let clients = far::interested(turn, node).into_iter().map(|client| asker(turn, &client));
    let mut clients: Vec<Asker> = clients.collect();
    // Who has become a contact since is told by their account.
    clients.retain(|who| far::is_far(turn, &who.bare) || !turn.account.relation(&who.bare).sees_us());
    let may = |node: &Node| clients.iter().filter(|who| node.may_read(who).is_ok()).map(|who| who.jid.clone()).collect();
    match removed {
        Some(node) => may(node),
        None => turn.state(&PEP).and_then(|pep| pep.service.node(node)).map(may).unwrap_or_default(),
    }
}

/// A message of this account, and as it goes out.
fn rendered(turn: &Turn<'_>, inside: &str, kind: Notification, hold: Hold) -> Option<(Arc<Stanza>, Arc<Wire>)> {
    let stanza = message(turn, inside, kind.as_str(), None)?;
    let from: Arc<str> = Arc::from(turn.me().as_str());
    let wire = wire::render(&stanza, &Stamps { from: Some(from), ..Stamps::default() });
    Some((stanza, Arc::new(Wire { hold, ..wire })))
}

/// What of it a client gets that nobody looks at now (XEP-0352 3.2): of a node that has one item the newest, of others the newest of each.
fn hold(turn: &mut Turn<'_>, node: &str, inside: &str) -> Hold {
    let has_one = turn
        .state(&PEP)
        .and_then(|pep| pep.service.node(node))
        .is_some_and(|node| matches!(node.config.max_items, MaxItems::Count(1)));
    let event = El::parse(inside.as_bytes()).filter(|_| !has_one);
    let happened = event.and_then(|event| event.children().next());
    let ids = happened.map(|happened| happened.children().filter_map(|item| item.attr("id")).collect::<Vec<_>>().join(" "));
    Hold::news(turn.me().as_str(), node, &ids.unwrap_or_default())
}

struct Subscriber {
    jid: Jid,
    /// It wants a text for people.
    body: bool,
}

/// Addresses with a subscription that still may read; and whether anybody else might.
fn subscribers(turn: &mut Turn<'_>, node: &str, removed: Option<&Node>) -> Option<(Vec<Subscriber>, bool)> {
    let now_us = turn.now.wall_us;
    let of = |node: &Node| -> Vec<Subscriber> {
        let hears = |it: &&Subscription| if removed.is_some() { it.hears_end(now_us) } else { it.hears(now_us) };
        let hears = node.subscriptions.iter().filter(hears);
        hears.map(|it| Subscriber { jid: it.jid.clone(), body: it.options.include_body }).collect()
    };
    let all = match removed {
        Some(node) => of(node),
        None => of(turn.state(&PEP)?.service.node(node)?),
    };
    let askers: Vec<Asker> = all.iter().map(|it| asker(turn, &it.jid)).collect();
    let may = |node: &Node| -> Vec<Subscriber> {
        let may = |who: &Asker| if removed.is_some() { node.may_subscribe(who).is_ok() } else { node.may_read(who).is_ok() };
        all.into_iter().zip(&askers).filter(|(_, who)| may(who)).map(|(it, _)| it).collect()
    };
    // A node that only its owner reads needs no look at the roster.
    let open = |node: &Node| node.config.access != crate::xep0060_pubsub::Access::Whitelist || !node.affiliations.is_empty();
    Some(match removed {
        Some(node) => (may(node), open(node)),
        None => {
            let node = turn.state(&PEP)?.service.node(node)?;
            (may(node), open(node))
        }
    })
}

/// Contacts who see our presence and may read this node (XEP-0060 9.1.2).
pub(super) fn watchers(turn: &mut Turn<'_>, node: &str, removed: Option<&Node>) -> Vec<BareJid> {
    let contacts = turn.account.contacts();
    let watching = contacts.into_iter().filter(|(_, relation)| relation.sees_us());
    let askers: Vec<Asker> = watching.map(|(jid, _)| asker(turn, &Jid::from(jid))).collect();
    let may = |node: &Node| askers.iter().filter(|who| node.may_read(who).is_ok()).map(|who| who.bare.clone()).collect();
    match removed {
        Some(node) => may(node),
        None => turn.state(&PEP).and_then(|pep| pep.service.node(node)).map(may).unwrap_or_default(),
    }
}

/// To the account itself, whoever of it listens or will, and to whom it has made an owner beside it.
fn owners(turn: &mut Turn<'_>, node: &str, inside: &str, id: &str) {
    let Some(stanza) = message(turn, inside, "normal", Some(id)) else { return };
    let me = turn.me().clone();
    let others = turn.state(&PEP).and_then(|pep| pep.service.node(node)).map(|node| {
        let is_owner = |it: &&crate::xep0060_pubsub::Affiliation| **it == crate::xep0060_pubsub::Affiliation::Owner;
        node.affiliations.iter().filter(|(_, it)| is_owner(it)).map(|(jid, _)| jid.clone()).collect::<Vec<_>>()
    });
    for owner in std::iter::once(me.clone()).chain(others.unwrap_or_default()) {
        turn.send_guarded(Envelope::new(stanza.clone(), me.clone().into(), owner.into()));
    }
}
