//! Section 4.3.4: what somebody has missed: the last item of each node that they want to hear of and may read.

use std::collections::BTreeSet;
use std::sync::Arc;

use bytes::Bytes;
use iris_core::effects::To;
use iris_core::store::{Read, Rows};
use iris_core::task::{Cx, Finish, TaskFuture};
use iris_core::xml::wire::{self, Stamps};
use iris_core::{BareJid, Envelope, Flow, Interests, Jid, Reply, SessionRef, Turn};

use super::{ITEMS, PEP, Pep, asker, deliver, host, sweep};
use crate::xep0060_pubsub::{Asker, Request, SendLast, event, serial_key};
use crate::xep0115_caps::far;

/// Where it goes.
#[derive(Clone)]
enum Target {
    Session(SessionRef),
    Jid(Jid),
    /// Those of their sessions that want to hear of the node.
    Contacts(Arc<[BareJid]>),
}

/// A contact's session asks, with its probe or for itself.
pub(super) fn probed(turn: &mut Turn<'_>) -> Flow {
    let Some(envelope) = turn.envelope.as_deref() else { return Flow::Go };
    if !envelope.interests.is_empty() {
        let (from, interests) = (envelope.from.clone(), envelope.interests.clone());
        let who = asker(turn, &from);
        let nodes = wanted(turn, &interests);
        send(turn, &who, &nodes, &Target::Jid(from), false);
    }
    Flow::Go
}

/// A client of which it is known now that it wants these.
pub fn send_last(turn: &mut Turn<'_>, client: &Jid, interests: &Interests) {
    let who = asker(turn, client);
    let nodes = wanted(turn, interests);
    send(turn, &who, &nodes, &Target::Jid(client.clone()), false);
}

/// One of our own sessions.
pub(super) fn interested(turn: &mut Turn<'_>) {
    let Some(session) = turn.session else { return };
    let Some(full) = turn.account.card(session).map(|card| Jid::from(card.jid.clone())) else { return };
    let who = asker(turn, &full);
    let interests = turn.interests.clone();
    let nodes = wanted(turn, &interests);
    send(turn, &who, &nodes, &Target::Session(session), false);
}

/// XEP-0060 6.1.7.
pub(super) fn on_subscription(turn: &mut Turn<'_>, who: &Asker, node: &Arc<str>, to: Jid) {
    send(turn, who, std::slice::from_ref(node), &Target::Jid(to), true);
}

/// To whom a node is open whose options are about to change.
pub(super) fn closed(turn: &mut Turn<'_>, who: &Asker, request: &Request) -> Option<(Arc<str>, BTreeSet<BareJid>)> {
    let Request::SetConfig { node, .. } = request else { return None };
    turn.state(&PEP)?.service.node(node)?.must_own(who).ok()?;
    Some((Arc::from(node.as_str()), deliver::watchers(turn, node, None).into_iter().collect()))
}

/// XEP-0060 12.2: "The entity gains access to the node because of a change to the node access model; as a result, the service sends the
/// last published item to the entity".
pub(super) fn opened(turn: &mut Turn<'_>, node: &Arc<str>, before: &BTreeSet<BareJid>) {
    let contacts = deliver::watchers(turn, node, None).into_iter().filter(|contact| !before.contains(contact));
    let contacts: Arc<[BareJid]> = contacts.collect();
    if !contacts.is_empty() {
        let host = host(turn);
        send(turn, &host, std::slice::from_ref(node), &Target::Contacts(contacts), false);
    }
}

fn wanted(turn: &mut Turn<'_>, interests: &Interests) -> Vec<Arc<str>> {
    let Some(pep) = turn.state(&PEP) else { return Vec::new() };
    pep.service.nodes().filter(|(name, _)| interests.has(name)).map(|(name, _)| name.clone()).collect()
}

/// `subscribed`: just now, so that also those nodes count that send on subscription only.
fn send(turn: &mut Turn<'_>, who: &Asker, nodes: &[Arc<str>], target: &Target, subscribed: bool) {
    sweep(turn);
    let mut missing: Vec<(Arc<str>, u64)> = Vec::new();
    let mut ready: Vec<(Arc<str>, Bytes)> = Vec::new();
    if let Some(pep) = turn.state(&PEP) {
        for name in nodes {
            let Some(node) = pep.service.node(name) else { continue };
            let when = node.config.send_last;
            let is_due = when == SendLast::OnSubAndPresence || (subscribed && when == SendLast::OnSub);
            let Some(entry) = node.entries.last() else { continue };
            if is_due && node.may_read(who).is_ok() {
                match &node.last {
                    Some(payload) => ready.push((name.clone(), payload.clone())),
                    None => missing.push((name.clone(), entry.serial)),
                }
            }
        }
    }
    for (name, payload) in ready {
        send_one(turn, &name, &payload, target);
    }
    if !missing.is_empty() {
        read_then_send(turn, who.jid.clone(), missing, target.clone());
    }
}

/// Payloads that are not at hand. When they are there, somebody may have lost access, and the item may not be the last any more.
fn read_then_send(turn: &mut Turn<'_>, who: Jid, missing: Vec<(Arc<str>, u64)>, target: Target) {
    let owner = turn.account.owner();
    let keys: Arc<[Arc<str>]> = missing.iter().map(|(_, serial)| Arc::from(serial_key(*serial))).collect();
    turn.spawn(move |cx: Cx| -> TaskFuture {
        Box::pin(async move {
            let Ok(Rows::Map(found)) = cx.read(Read::Values { owner, shelf: ITEMS, keys }).await else { return Finish::Done };
            Finish::Turn(Box::new(move |turn| {
                let who = asker(turn, &who);
                for (name, serial) in missing {
                    let key = serial_key(serial);
                    let Some((_, payload)) = found.iter().find(|(at, _)| **at == *key) else { continue };
                    let Some(pep) = turn.state(&PEP) else { break };
                    let still = pep.service.hold_last(&name, serial, payload);
                    if still && pep.service.node(&name).is_some_and(|node| node.may_read(&who).is_ok()) {
                        send_one(turn, &name, payload, &target);
                    }
                }
                Reply::Sent
            }))
        })
    });
}

fn send_one(turn: &mut Turn<'_>, name: &Arc<str>, payload: &Bytes, target: &Target) {
    let me = turn.me().clone();
    let Some((xml, serial, kind)) = turn.state(&PEP).and_then(|pep| {
        let node = pep.service.node(name)?;
        let entry = node.entries.last()?;
        let payload = node.config.deliver_payloads.then_some(payload);
        Some((event::item(name, entry, payload, &node.config, me.as_str()), entry.serial, node.config.notification))
    }) else {
        return;
    };
    let inside = event::message(&xml, Some((serial, me.as_str())));
    let Some(stanza) = deliver::message(turn, &inside, kind.as_str(), None) else { return };
    match target {
        Target::Session(session) => {
            let stamps = Stamps { from: Some(Arc::from(me.as_str())), ..Stamps::default() };
            turn.push_wire(*session, Arc::new(wire::render(&stanza, &stamps)), To::Full);
        }
        Target::Jid(to) => {
            turn.send_guarded(Envelope::new(stanza, me.into(), to.clone()));
        }
        Target::Contacts(contacts) => {
            let near: Vec<BareJid> = contacts.iter().filter(|contact| !far::is_far(turn, contact)).cloned().collect();
            for contact in near.into_iter().map(Jid::from) {
                let who = asker(turn, &contact);
                let may_read = |pep: &mut Pep| pep.service.node(name).is_some_and(|node| node.may_read(&who).is_ok());
                if turn.state(&PEP).is_some_and(may_read) {
                    let mut envelope = Envelope::new(stanza.clone(), me.clone().into(), contact);
                    envelope.news_of = Some(name.clone());
                    turn.send_guarded(envelope);
                }
            }
            for client in deliver::far_clients(turn, name, None) {
                if contacts.contains(&client.to_bare()) {
                    turn.send_guarded(Envelope::new(stanza.clone(), me.clone().into(), client));
                }
            }
        }
    }
}
