//! Who is told what. Each circle of subscribers is told with one stanza, rendered once and carried to each shard once.

use std::sync::Arc;

use bytes::Bytes;
use iris_core::effects::Effect;
use iris_core::xml::Build;
use iris_core::{Envelope, HostTurn, Jid, SessionCard, Stanza, ns};

use super::super::{Affiliation, Circle, Node, Notice, Notification, Shows, event, text};
use super::{CHANNELS, Rules, items};

pub(super) fn tell(turn: &mut HostTurn<'_>, notice: Notice, removed: &[(Arc<str>, Node)]) {
    let now_us = turn.now.wall_us;
    match notice {
        Notice::News { node, xml, kind, subject, body } => {
            let circles = turn.state(&CHANNELS).map(|it| it.service.audience(&node, removed, subject, now_us));
            news(turn, circles.unwrap_or_default(), &xml, kind, body.as_deref());
        }
        Notice::OfCollection { collection, node, xml, kind } => {
            let circles = turn.state(&CHANNELS).map(|it| it.service.audience_of_collection(&collection, &node, now_us));
            news(turn, circles.unwrap_or_default(), &xml, kind, None);
        }
        Notice::Message { to, xml, kind } => {
            if let Some(stanza) = message(turn, &xml, kind.as_str(), None) {
                turn.send_stanza(to, stanza);
            }
        }
        Notice::Owners { node, xml, id } => {
            let is_owner = |node: &Node| -> Vec<Jid> {
                let owners = node.affiliations.iter().filter(|(_, it)| **it == Affiliation::Owner);
                owners.map(|(jid, _)| jid.clone().into()).collect()
            };
            let owners = turn.state(&CHANNELS).and_then(|it| it.service.node(&node).map(is_owner)).unwrap_or_default();
            if let Some(stanza) = message(turn, &xml, "normal", Some(&id)) {
                owners.into_iter().for_each(|owner| turn.send_stanza(owner, stanza.clone()));
            }
        }
        // In a turn of its own, so that it comes behind the answer to who has subscribed.
        Notice::Last { node, to } => {
            let me = turn.jid.to_string();
            turn.tell(&me, move |turn| send_last(turn, node, &to));
        }
    }
}

/// The last item of a node, to one address that is subscribed.
pub(super) fn send_last(turn: &mut HostTurn<'_>, node: Arc<str>, to: &Jid) {
    let held = turn.state(&CHANNELS).and_then(|it| {
        let node = it.service.node(&node)?;
        Some((node.entries.last()?.serial, node.last.clone()))
    });
    match held {
        Some((_, Some(payload))) => last(turn, &node, to, &payload),
        Some((serial, None)) => items::read_last(turn, node, serial, to.clone()),
        None => {}
    }
}

fn news(turn: &mut HostTurn<'_>, circles: Vec<Circle>, xml: &str, kind: Notification, body: Option<&str>) {
    for Circle { collection, bodies, shows, jids } in circles {
        let mut inside = Build::new();
        if let Some(body) = body.filter(|_| bodies) {
            inside.leaf("body", body);
        }
        inside.raw(event::message(xml, None).as_bytes());
        if let Some(collection) = collection {
            inside.raw(event::through(&collection).as_bytes());
        }
        let Some(stanza) = message(turn, &text(inside), kind.as_str(), None) else { continue };
        match shows {
            None => turn.fan_out(turn.jid.clone(), stanza, jids.into()),
            Some(shows) => jids.into_iter().for_each(|jid| if_shown(turn, stanza.clone(), jid, shows)),
        }
    }
}

/// 12.6: to somebody of this house, if they are online in one of these states when it comes to them. Of others, who may hear of such a
/// node by a collection that it is in, nobody knows whether they are.
fn if_shown(turn: &mut HostTurn<'_>, stanza: Arc<Stanza>, to: Jid, shows: Shows) {
    if !turn.doors.rules::<Rules>().is_some_and(|rules| rules.sees(&to.to_bare())) {
        return;
    }
    let from = turn.jid.clone();
    turn.tell_account(to.to_bare(), move |turn| {
        let is_shown = |card: &SessionCard| {
            let is_it = to.resource().is_none() || *to.as_str() == *card.jid.as_str();
            let presence = card.available.as_ref().filter(|_| is_it).map(|available| &available.presence);
            presence.is_some_and(|presence| {
                let show = presence.child_named(ns::CLIENT, "show").map(|show| presence.child_el(show).text().into_owned());
                shows.has(show.as_deref())
            })
        };
        if turn.cards().any(is_shown) {
            turn.fx.list.push(Effect::Send(Envelope::new(stanza, from, to)));
        }
    });
}

/// 6.1.7: it is no news, so it says when it was.
pub(super) fn last(turn: &mut HostTurn<'_>, name: &Arc<str>, to: &Jid, payload: &Bytes) {
    let (me, now_us) = (turn.jid.to_string(), turn.now.wall_us);
    let made = turn.state(&CHANNELS).and_then(|it| {
        let node = it.service.node(name)?;
        let entry = node.entries.last()?;
        // The subscription may have ended while it was read. That of the bare address is for all, but what a device has chosen counts more.
        let person = to.to_bare();
        let of = node.subscriptions.of(&person).iter().filter(|it| it.hears(now_us));
        let hears = of.filter(|it| it.jid == *to || it.jid.resource().is_none()).max_by_key(|it| it.jid == *to)?;
        node.may_hear(&person, true).then_some(())?;
        let payload = node.config.deliver_payloads.then_some(payload);
        Some((event::item(name, entry, payload, &node.config, &me), entry.serial, node.config.notification, node.when(hears)))
    });
    let Some((xml, serial, kind, shows)) = made else { return };
    if let Some(stanza) = message(turn, &event::message(&xml, Some((serial, &me))), kind.as_str(), None) {
        match shows {
            None => turn.send_stanza(to.clone(), stanza),
            Some(shows) => if_shown(turn, stanza, to.clone(), shows),
        }
    }
}

/// A message of the service, complete but for the addresses.
pub(super) fn message(turn: &HostTurn<'_>, inside: &str, kind: &str, id: Option<&str>) -> Option<Arc<Stanza>> {
    let id = id.map_or_else(|| format!("news-{:x}", turn.mint().0), str::to_owned);
    let stanza = Stanza::parse(format!("<message type='{kind}' id='{id}'>{inside}</message>").as_bytes(), &turn.house.names);
    debug_assert!(stanza.is_ok(), "our own message is not XML: {stanza:?}");
    stanza.ok().map(Arc::new)
}
