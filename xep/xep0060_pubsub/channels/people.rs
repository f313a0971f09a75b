//! What people do elsewhere: they answer requests (8.6), change their rosters, cannot be reached any more (12.4), and go.

use std::sync::Arc;
use std::time::Duration;

use iris_core::store::StoreError;
use iris_core::task::{Cx, Finish};
use iris_core::xml::El;
use iris_core::{BareJid, Bounce, HostTurn, Jid, Reply, Stanza, StanzaType, Turn, ns};

use super::super::{Approval, Asker, Node};
use super::{CHANNELS, answer, deliver, standing};

/// How often leases and items are looked at that may be over.
pub(super) const SWEEP: Duration = Duration::from_secs(60);

pub(super) fn sweep(turn: &mut HostTurn<'_>) {
    let now_us = turn.now.wall_us;
    let Some(channels) = turn.state(&CHANNELS) else { return };
    let over = [channels.service.end_leases(now_us), channels.service.end_items(now_us)];
    for outcome in over.into_iter().flatten() {
        answer::settle(turn, outcome);
    }
}

/// A message to the service.
pub(super) fn hear(turn: &mut HostTurn<'_>, stanza: &Stanza) -> Option<Result<(), Bounce>> {
    if stanza.stype() == StanzaType::Error {
        unreachable(turn, stanza);
        return Some(Ok(()));
    }
    let form = stanza.children().iter().map(|child| stanza.child_el(child)).find(|el| el.is(ns::DATA_FORMS, "x"))?;
    let approval = Approval::parse(&form)?;
    let who = answer::stranger(turn.from);
    if let Some(outcome) = turn.state(&CHANNELS).and_then(|it| it.service.approve(&who, &approval)) {
        answer::settle(turn, outcome);
    }
    // What is not theirs to answer, or is answered already, changes nothing, and says nothing.
    Some(Ok(()))
}

/// 12.4: there is nobody of that address any more, says whoever would know.
fn unreachable(turn: &mut HostTurn<'_>, stanza: &Stanza) {
    let is_gone = |error: &El<'_>| ["gone", "item-not-found"].iter().any(|name| error.child(ns::STANZAS, name).is_some());
    let error = stanza.children().iter().map(|child| stanza.child_el(child)).find(|el| el.local() == "error");
    let jid = turn.from.clone();
    if error.as_ref().is_some_and(is_gone)
        && let Some(outcome) = turn.state(&CHANNELS).and_then(|it| it.service.forget_address(&jid))
    {
        answer::settle(turn, outcome);
    }
}

/// In the turn of an account: somebody may be another to its owner than before.
pub(super) fn roster_changed(turn: &mut Turn<'_>, service: &Arc<str>) {
    let owner = turn.me().clone();
    let counts = turn.facts.get(service, &standing::ROSTERS).is_some_and(|rosters| rosters.contains(&owner));
    let Some(contact) = turn.subject.clone().filter(|_| counts) else { return };
    turn.tell(service, move |turn| {
        review(turn, &owner, contact);
    });
}

/// In the turn of an account: one of its sessions is online, and may have missed something (6.1.7).
pub(super) fn available(turn: &mut Turn<'_>, service: &Arc<str>) {
    let person = turn.me().clone();
    let is_awaited = turn.facts.get(service, &standing::AWAITED).is_some_and(|awaited| awaited.contains(&person));
    let Some(to) = turn.card().filter(|_| is_awaited).map(|card| Jid::from(card.jid.clone())) else { return };
    turn.tell(service, move |turn| {
        let nodes: Vec<_> = turn.state(&CHANNELS).map_or_else(Vec::new, |it| {
            let hears = |node: &Node| {
                let of = node.subscriptions.of(&person);
                of.iter().any(|it| it.jid == to || it.jid.resource().is_none())
            };
            standing::greeting(&it.service).filter(|(_, node)| hears(node)).map(|(name, _)| name.clone()).collect()
        });
        nodes.into_iter().for_each(|node| deliver::send_last(turn, node, &to));
    });
}

/// In the turn of an account: one of its sessions is not online any more (12.5).
pub(super) fn unavailable(turn: &mut Turn<'_>, service: &Arc<str>) {
    let person = turn.me().clone();
    if !turn.facts.get(service, &standing::FLEETING).is_some_and(|fleeting| fleeting.contains(&person)) {
        return;
    }
    let here: Vec<Jid> = turn.cards().filter(|card| card.available.is_some()).map(|card| card.jid.clone().into()).collect();
    turn.tell(service, move |turn| {
        if let Some(outcome) = turn.state(&CHANNELS).and_then(|it| it.service.end_fleeting(&person, &here)) {
            answer::settle(turn, outcome);
        }
    });
}

/// All owners are asked anew: one of them may still let the contact in.
fn review(turn: &mut HostTurn<'_>, owner: &BareJid, contact: BareJid) {
    for (name, owners) in standing::concerned(turn, owner, &contact) {
        let who = answer::stranger(&contact.clone().into());
        turn.spawn(move |cx: Cx| {
            Box::pin(async move {
                let who = Asker { standing: standing::ask(&cx, &who, &owners).await, ..who };
                Finish::HostTurn(Box::new(move |turn| {
                    if let Some(outcome) = turn.state(&CHANNELS).and_then(|it| it.service.review_node(&name, &who)) {
                        answer::settle(turn, outcome);
                    }
                    Reply::Sent
                }))
            })
        });
    }
}

/// An account has ended: what it follows is followed no more, and what it alone owns goes with it.
pub(super) async fn farewell(person: BareJid, services: Arc<[Arc<str>]>, cx: Cx) -> Result<(), StoreError> {
    for service in services.iter() {
        let person = person.clone();
        let forget = move |turn: &mut HostTurn<'_>| {
            let outcomes = turn.state(&CHANNELS).map(|it| it.service.forget_person(&person)).unwrap_or_default();
            for outcome in outcomes {
                answer::settle(turn, outcome);
            }
        };
        cx.host(service, forget).await?;
    }
    Ok(())
}
