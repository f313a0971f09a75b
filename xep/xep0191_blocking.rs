//! XEP-0191: Blocking Command - whom one does not want to hear from.
//! Spec 1.3, https://xmpp.org/extensions/xep-0191.html. Not done: nothing. Blocking is polite (section 4): subscriptions
//! stay. A block never stands between one's own resources (section 5, note), nor between a client and its own server.

mod list;

use std::collections::BTreeSet;
use std::sync::Arc;

use iris_core::jids::address;
use iris_core::store::{Item, Shelf};
use iris_core::xml::names::NameId;
use iris_core::xml::{Build, El};
use iris_core::{
    At, BareJid, Bounce, Card, Changed, Condition, ErrorType, Flow, GetOrSet, Jid, Kind, Mount, MountError, Relation, Reply,
    Room, SessionFlag, Stanza, StanzaType, StateSlot, Status, Step, Turn,
};

use crate::xep0377_reporting as reporting;
use crate::{error_to_sender, result};
use list::List;

const NS: &str = "urn:xmpp:blocking";
const ERRORS: &str = "urn:xmpp:blocking:errors";
const MUC_USER: &str = "http://jabber.org/protocol/muc#user";

pub const ROOM: Room = Room {
    card: Card { xep: Some(191), name: "Blocking Command", version: "1.3", status: Status::Complete, needs: &[30] },
    mount,
};

/// One key per blocked JID; nothing behind it.
pub(crate) const SHELF: Shelf = Shelf::map("blocked");

static LIST: StateSlot<List> = StateSlot::new();
/// It has asked for the list and gets its changes (section 3.3).
static INTERESTED: SessionFlag = SessionFlag::new();

fn mount(m: &mut Mount<'_>) -> Result<(), MountError> {
    m.feature(At::Host, NS);
    m.shelf(SHELF)?;
    m.state(&LIST, &[SHELF], |items: &[Item]| items.iter().map(|item| item.key.clone()).collect::<List>())?;
    m.iq_named(At::OwnAccount, GetOrSet::Get, NS, "blocklist", |turn, _| get(turn))?;
    m.iq_named(At::OwnAccount, GetOrSet::Set, NS, "block", block)?;
    m.iq_named(At::OwnAccount, GetOrSet::Set, NS, "unblock", unblock)?;
    m.on(Step::SentGuard, sent);
    let muc_user = m.name(MUC_USER, "x");
    m.on(Step::ReceivedGuard, move |turn| received(turn, muc_user));
    Ok(())
}

/// Section 3.2.
fn get(turn: &mut Turn<'_>) -> Reply {
    turn.set_flag(&INTERESTED, true);
    let Some(list) = turn.state(&LIST) else { return Reply::empty() };
    let mut xml = Build::new();
    xml.open_ns("blocklist", NS);
    for jid in list.iter() {
        xml.open("item").attr("jid", jid).close();
    }
    xml.close();
    result(xml)
}

/// Section 3.3.
fn block(turn: &mut Turn<'_>, command: El<'_>) -> Reply {
    let jids = match items(&command) {
        Ok(jids) if jids.is_empty() => return Bounce::bad_request("nobody to block").into(),
        Ok(jids) => jids,
        Err(why) => return why.into(),
    };
    let blocked_max = turn.house.limits.blocked_max;
    let Some(list) = turn.state(&LIST) else { return Bounce::new(Condition::InternalServerError).into() };
    let new: Vec<Jid> = jids.iter().filter(|jid| !list.has(jid.as_str())).cloned().collect();
    if list.len() + new.len() > blocked_max {
        return Bounce::over(format!("a list has at most {blocked_max} who are blocked"), Changed::ByOperator).into();
    }
    // Who loses sight of us: those who are not hidden by the list as it was.
    let mut hidden = watchers_of(turn, &new);
    hidden.extend(shown_directly_of(turn, &new));
    for jid in &new {
        turn.put(SHELF, jid.as_str(), Vec::new());
    }
    if let Some(list) = turn.state(&LIST) {
        new.iter().for_each(|jid| list.add(jid.as_str()));
    }
    for contact in hidden {
        turn.account.present_to(&contact, false, turn.fx);
    }
    push(turn, "block", &jids);
    reporting::keep(turn, reports(&command))
}

/// XEP-0377: what is told about those who are blocked.
fn reports(command: &El<'_>) -> Vec<reporting::Report> {
    let items = command.children().filter(|child| child.is(NS, "item"));
    let report = |item: El<'_>| reporting::Report::of_item(&item, &Jid::new(&item.attr("jid")?).ok()?);
    items.filter_map(report).collect()
}

/// Sections 3.4 and 3.5: some, or all.
fn unblock(turn: &mut Turn<'_>, command: El<'_>) -> Reply {
    let jids = match items(&command) {
        Ok(jids) => jids,
        Err(why) => return why.into(),
    };
    let Some(list) = turn.state(&LIST) else { return Bounce::new(Condition::InternalServerError).into() };
    let gone: Vec<Jid> = if jids.is_empty() {
        list.iter().filter_map(|jid| Jid::new(jid).ok()).collect()
    } else {
        jids.iter().filter(|jid| list.has(jid.as_str())).cloned().collect()
    };
    gone.iter().for_each(|jid| list.remove(jid.as_str()));
    for jid in &gone {
        turn.delete(SHELF, jid.as_str());
    }
    // Whoever is not hidden by what is left of the list sees us again.
    for contact in watchers_of(turn, &gone) {
        turn.account.present_to(&contact, true, turn.fx);
    }
    // And we them: what they showed meanwhile was dropped.
    for contact in watched_of(turn, &gone) {
        if let Err(error) = turn.send(contact.into(), "<presence type='probe'/>") {
            debug_assert!(false, "our own probe is not XML: {error:?}");
        }
    }
    push(turn, "unblock", &jids);
    Reply::empty()
}

/// Addresses behind these items that get our presence and that the list as it is now does not hide.
fn watchers_of(turn: &mut Turn<'_>, items: &[Jid]) -> Vec<Jid> {
    let is_domain = |item: &&Jid| item.node().is_none() && item.resource().is_none();
    let domains: BTreeSet<&str> = items.iter().filter(is_domain).map(|item| item.domain().as_str()).collect();
    let mut found: BTreeSet<Jid> =
        items.iter().filter(|item| turn.account.relation(&item.to_bare()).sees_us()).cloned().collect();
    if !domains.is_empty() {
        let contacts = turn.account.contacts().into_iter();
        let behind = contacts.filter(|(jid, relation)| relation.sees_us() && domains.contains(jid.domain().as_str()));
        found.extend(behind.map(|(jid, _)| Jid::from(jid)));
    }
    let me = turn.me().clone();
    match turn.state(&LIST) {
        Some(list) => found.into_iter().filter(|jid| jid.to_bare() != me && !list.blocks(jid)).collect(),
        None => Vec::new(),
    }
}

/// Addresses behind these items that were shown presence directly: they too are told that it is over (RFC 6121 4.6.3), now,
/// because
/// later nothing reaches them.
fn shown_directly_of(turn: &mut Turn<'_>, items: &[Jid]) -> Vec<Jid> {
    let items: List = items.iter().map(|jid| Arc::from(jid.as_str())).collect();
    let mut shown = turn.account.shown_directly();
    shown.sort();
    shown.dedup();
    shown.retain(|jid| items.blocks(jid) && !is_blocked(turn, jid) && !turn.account.relation(&jid.to_bare()).sees_us());
    shown
}

/// Contacts behind these items whose presence we get, when nothing hides them any more.
fn watched_of(turn: &mut Turn<'_>, items: &[Jid]) -> Vec<BareJid> {
    let items: List = items.iter().map(|item| Arc::from(item.to_bare().as_str())).collect();
    let is_watched = |relation: &Relation| matches!(relation, Relation::Contact { to: true, .. });
    let contacts = turn.account.contacts().into_iter();
    let watched: Vec<BareJid> = contacts.filter(|(_, relation)| is_watched(relation)).map(|(jid, _)| jid).collect();
    let Some(list) = turn.state(&LIST) else { return Vec::new() };
    let is_free = |jid: &BareJid| {
        let jid = Jid::from(jid.clone());
        items.blocks(&jid) && !list.blocks(&jid)
    };
    watched.into_iter().filter(is_free).collect()
}

/// The items of a command, normalised, so that "Romeo@House" and "romeo@house" are one.
fn items(command: &El<'_>) -> Result<Vec<Jid>, Bounce> {
    let mut jids = BTreeSet::new();
    for item in command.children().filter(|child| child.is(NS, "item")) {
        let jid = item.attr("jid").ok_or_else(|| Bounce::bad_request("an item needs a jid"))?;
        let jid = address(&jid).map_err(|_| Bounce::new(Condition::JidMalformed))?;
        jids.insert(jid);
    }
    Ok(jids.into_iter().collect())
}

fn push(turn: &mut Turn<'_>, name: &str, jids: &[Jid]) {
    let interested: Vec<_> = turn.cards().filter(|card| card.flag(&INTERESTED)).map(|card| card.this).collect();
    for session in interested {
        let mut xml = Build::new();
        xml.open("iq").attr("type", "set").attr("id", &format!("block-{:x}", turn.mint().0)).open_ns(name, NS);
        for jid in jids {
            xml.open("item").attr("jid", jid.as_str()).close();
        }
        turn.push(session, xml.finish());
    }
}

/// Most people block nobody: then a stanza costs one look.
fn blocks_nobody(turn: &mut Turn<'_>) -> bool {
    turn.state(&LIST).is_none_or(|list| list.is_empty())
}

/// Is this one blocked? Never we ourselves, nor the server.
pub(crate) fn is_blocked(turn: &mut Turn<'_>, peer: &Jid) -> bool {
    let own_server = peer.node().is_none() && peer.domain().as_str() == turn.host();
    let blocks = turn.state(&LIST).is_some_and(|list| list.blocks(peer));
    blocks && !own_server && peer.to_bare() != *turn.me()
}

/// Section 3.3: nothing goes to somebody who is blocked, and the client is told why.
fn sent(turn: &mut Turn<'_>) -> Flow {
    if blocks_nobody(turn) {
        return Flow::Go;
    }
    let Some(envelope) = turn.envelope.as_deref() else { return Flow::Go };
    let (to, stanza) = (envelope.to.clone(), envelope.stanza.clone());
    if !is_blocked(turn, &to) {
        return Flow::Go;
    }
    // Presence to everybody passes over the blocked ones without a word; so does what is itself an answer.
    let wants_answer = stanza.to().is_some() && !matches!(stanza.stype(), StanzaType::Error | StanzaType::Result);
    if let (true, Some(session)) = (wants_answer, turn.session) {
        // Not `Flow::Bounce`: an error that comes from the blocked one would be stopped at our own door.
        turn.push(session, blocked(&stanza, &to));
    }
    Flow::Drop("its recipient is blocked")
}

fn blocked(stanza: &Stanza, to: &Jid) -> String {
    let why = Bounce::new(Condition::NotAcceptable).kind(ErrorType::Cancel).extra(format!("<blocked xmlns='{ERRORS}'/>"));
    error_to_sender(stanza, to, &why)
}

/// Section 3.3: nothing comes from somebody who is blocked, and nobody is here for them.
fn received(turn: &mut Turn<'_>, muc_user: NameId) -> Flow {
    if blocks_nobody(turn) {
        return Flow::Go;
    }
    let Some(envelope) = turn.envelope.as_deref() else { return Flow::Go };
    let (from, stanza) = (envelope.from.clone(), envelope.stanza.clone());
    let (kind, stype) = (stanza.kind(), stanza.stype());
    if !is_blocked(turn, &from) {
        let invites = inviter(&stanza, muc_user).is_some_and(|inviter| is_blocked(turn, &inviter));
        return if invites { Flow::Drop("a room speaks for somebody who is blocked") } else { Flow::Go };
    }
    match (kind, stype) {
        // A room would take the error for the end of an occupant.
        (Kind::Message, StanzaType::Error | StanzaType::Groupchat | StanzaType::Headline) => {
            Flow::Drop("its sender is blocked")
        }
        (Kind::Message, _) | (Kind::Iq, StanzaType::Get | StanzaType::Set) => Flow::Bounce(Bounce::nobody()),
        _ => Flow::Drop("its sender is blocked"),
    }
}

/// Who lets a room say that one is invited, or that an invitation is declined (XEP-0045 7.8.2): a block holds for what somebody lets
/// others say too (security C7). Silently, for a room may tell the inviter what came back.
fn inviter(stanza: &Stanza, muc_user: NameId) -> Option<Jid> {
    let said = stanza.child_el(stanza.child(muc_user)?);
    let by = said.child(MUC_USER, "invite").or_else(|| said.child(MUC_USER, "decline"))?;
    Jid::new(&by.attr("from")?).ok()
}

#[cfg(test)]
mod tests;
