//! XEP-0442: the archive of a node. It is the items themselves, in the order of their publication: what was retracted, replaced or has
//! made room is in neither.

use iris_core::xml::El;
use iris_core::{Bounce, Condition, HostTurn, Reply};

use super::super::{Access, EVENT, Node};
use super::{CHANNELS, ITEMS, answer, items};
use crate::xep0313_archive as mam;
use mam::query::{Asked, Query, With};
use mam::source::{Index, Source};

const SOURCE: Source = Source {
    shelf: ITEMS,
    // By whoever has published it, where the items say so.
    index: |_, _, _| Index::Unknown,
    matches: |_, with, entry| {
        let Some(With { bare, .. }) = with else { return true };
        items::parts(entry).is_some_and(|(head, _)| items::publisher(&head).is_some_and(|publisher| publisher == *bare))
    },
    write: |entry, _, out| {
        let Some((head, payload)) = items::parts(entry) else { return };
        // "in the same manner as the notifications sent to subscribers".
        out.extend_from_slice(b"<message xmlns='jabber:client'><event xmlns='");
        out.extend_from_slice(EVENT.as_bytes());
        out.extend_from_slice(b"'>");
        out.extend_from_slice(&head);
        out.extend_from_slice(&payload);
        out.extend_from_slice(b"</item></items></event></message>");
    },
};

pub(super) fn form(turn: &mut HostTurn<'_>, query: &El<'_>) -> Reply {
    match archived(turn, query) {
        Ok(_) => mam::query::form(),
        Err(why) => why.into(),
    }
}

/// The number of the node.
fn archived(turn: &mut HostTurn<'_>, query: &El<'_>) -> Result<u64, Bounce> {
    let name = query.attr("node").filter(|name| !name.is_empty());
    let name = name.ok_or_else(|| Bounce::bad_request("the archives here are those of nodes: which one?"))?;
    let who = answer::stranger(turn.from);
    let node = turn.state(&CHANNELS).and_then(|it| it.service.node(&name));
    let node = node.ok_or_else(|| Bounce::new(Condition::ItemNotFound))?;
    if node.config.is_collection() {
        return Err(Bounce::new(Condition::FeatureNotImplemented).text("a collection has no archive"));
    }
    may_read(node, &who)?;
    Ok(node.created_us)
}

/// Whom a roster would let in has it by being subscribed.
fn may_read(node: &Node, who: &super::super::Asker) -> Result<(), Bounce> {
    let by_roster = matches!(node.config.access, Access::Presence | Access::Roster);
    if by_roster && node.subscriptions.of(&who.bare).iter().any(super::super::Subscription::is_active) {
        return if node.may_hear(&who.bare, true) { Ok(()) } else { Err(Bounce::new(Condition::Forbidden)) };
    }
    node.may_read(who)
}

pub(super) fn query(turn: &mut HostTurn<'_>, el: &El<'_>) -> Reply {
    let number = match archived(turn, el) {
        Ok(number) => number,
        Err(why) => return why.into(),
    };
    let (me, owner, ids) = (turn.jid.to_string(), turn.owner, turn.house.ids);
    let Some(rules) = turn.state(&CHANNELS).map(|it| it.rules.clone()) else {
        return Bounce::new(Condition::InternalServerError).into();
    };
    let asked = Asked { source: SOURCE, me: &me, owner, ids, reveal: false, node: Some(number), config: &rules.pages };
    match Query::parse(el, &asked) {
        Ok(query) => Reply::Task(Box::new(move |cx| Box::pin(mam::page::answer(query, cx)))),
        Err(why) => why.into(),
    }
}
