//! XEP-0402: PEP Native Bookmarks - each room of a user is an item.
//! Spec 1.2.0, https://xmpp.org/extensions/xep-0402.html. Not done: nothing. The items are the only place where rooms are kept
//! (`#compat`, `#compat-pep`): the list of XEP-0048 in private XML is made of them when somebody asks, a list that an old client
//! writes changes the items that differ, and a list at the node `storage:bookmarks` is written anew after each change: a client that
//! knows only that node takes away what is not in its list, so it has to be there before it writes. A list from before this room was
//! built becomes items when its owner next logs in.

mod conference;

use std::collections::BTreeMap;
use std::sync::Arc;

use bytes::Bytes;
use iris_core::store::{Read, Rows, StoreError};
use iris_core::task::{Cx, Finish, TaskFuture};
use iris_core::xml::El;
use iris_core::{At, Bounce, Card, Condition, Event, Mount, MountError, Reply, Room, Status, Turn};

use crate::xep0049_private as private;
use crate::xep0060_pubsub::serial_key;
use crate::xep0163_pep::{self as pep, Happened, PEP};
use conference::Conference;

pub const NODE: &str = "urn:xmpp:bookmarks:1";
/// XEP-0048: both the namespace and the node.
pub const OLD: &str = "storage:bookmarks";
/// As `xep0049_private` calls it.
pub const PRIVATE_KEY: &str = "{storage:bookmarks}storage";

pub const ROOM: Room = Room {
    card: Card {
        xep: Some(402),
        name: "PEP Native Bookmarks",
        version: "1.2.0",
        status: Status::Complete,
        needs: &[48, 49, 163, 223],
    },
    mount,
};

pub const WATCHED: &[&str] = &[NODE, OLD];

/// Section 3.3: what clients rely on when they publish.
const OPTIONS: &[(&str, &str)] =
    &[("persist_items", "true"), ("max_items", "max"), ("send_last_published_item", "never"), ("access_model", "whitelist")];
/// XEP-0223: one item, for oneself.
const OLD_OPTIONS: &[(&str, &str)] = &[("persist_items", "true"), ("access_model", "whitelist")];

fn mount(m: &mut Mount<'_>) -> Result<(), MountError> {
    m.feature(At::Account, "urn:xmpp:bookmarks:1#compat");
    m.feature(At::Account, "urn:xmpp:bookmarks:1#compat-pep");
    m.on_event(Event::SessionBound, adopt);
    Ok(())
}

/// Payloads of the items, as they were when they were read, by serial.
type Payloads = BTreeMap<u64, Bytes>;

/// The serial and the id of each item.
fn entries(turn: &mut Turn<'_>) -> Vec<(u64, Arc<str>)> {
    let node = turn.state(&PEP).and_then(|pep| pep.service.node(NODE));
    node.map(|node| node.entries.iter().map(|entry| (entry.serial, entry.id.clone())).collect()).unwrap_or_default()
}

fn has_node(turn: &mut Turn<'_>, name: &str) -> bool {
    turn.state(&PEP).is_some_and(|pep| pep.service.node(name).is_some())
}

/// Read items and the private list, then go on in a turn.
fn with_all(
    turn: &mut Turn<'_>,
    then: impl FnOnce(&mut Turn<'_>, Payloads, Option<Bytes>) -> Reply + 'static,
) -> impl FnOnce(Cx) -> TaskFuture + 'static {
    let owner = turn.account.owner();
    let serials: Vec<u64> = entries(turn).into_iter().map(|(serial, _)| serial).collect();
    move |cx: Cx| -> TaskFuture {
        Box::pin(async move {
            let keys = serials.iter().map(|serial| Arc::from(serial_key(*serial))).collect();
            let items = cx.read(Read::Values { owner, shelf: pep::ITEMS, keys });
            let list = cx.read(Read::Value { owner, shelf: private::SHELF, key: PRIVATE_KEY.into() });
            match (items.await, list.await) {
                (Ok(Rows::Map(items)), Ok(Rows::Value(list))) => {
                    let serial = |key: &str| u64::from_str_radix(key, 16).ok();
                    let items = items.into_iter().filter_map(|(key, value)| Some((serial(&key)?, value))).collect();
                    Finish::Turn(Box::new(move |turn| then(turn, items, list)))
                }
                (Err(error), _) | (_, Err(error)) => Finish::Error(error.into()),
                _ => Finish::Error(StoreError::Refused.into()),
            }
        })
    }
}

/// The rooms, in the order of their publication.
fn conferences(turn: &mut Turn<'_>, items: &Payloads) -> Vec<Conference> {
    let entries = entries(turn);
    entries.into_iter().filter_map(|(serial, id)| Conference::of_item(&id, items.get(&serial)?)).collect()
}

// --- section 6.3.2: the list of old clients -----------------------------------------------------------------------------------

/// A get of `<storage xmlns='storage:bookmarks'/>` in private XML.
pub fn private_get(turn: &mut Turn<'_>) -> Reply {
    let work = with_all(turn, |turn, items, list| {
        let rooms = conferences(turn, &items);
        // Rooms are items from the first item on.
        let old = list.as_deref().and_then(El::parse);
        let kept = old.map(|old| conference::others(&old, has_node(turn, NODE))).unwrap_or_default();
        Reply::Result(private::wrapped(&conference::storage(&rooms, &kept)))
    });
    Reply::Task(Box::new(work))
}

/// A set of it: `storage` is the whole element, empty to delete it.
pub fn private_set(turn: &mut Turn<'_>, storage: &[u8]) -> Reply {
    let (wanted, rest) = match El::parse(storage) {
        Some(storage) => (conference::of_storage(&storage), conference::others(&storage, true)),
        None => (Vec::new(), Vec::new()),
    };
    let work = with_all(turn, move |turn, items, _| {
        if let Err(why) = change(turn, &items, &wanted, false) {
            return why.into();
        }
        let rest = if rest.is_empty() { Vec::new() } else { conference::storage(&[], &rest).into_bytes() };
        match private::keep(turn, PRIVATE_KEY, rest) {
            Ok(()) => Reply::empty(),
            Err(why) => why.into(),
        }
    });
    Reply::Task(Box::new(work))
}

/// Make the items what an old client wants: publish what differs, retract what is gone, leave the rest alone. `quiet`: the list at
/// the old node is what the client has just written.
fn change(turn: &mut Turn<'_>, items: &Payloads, wanted: &[Conference], quiet: bool) -> Result<(), Bounce> {
    // An item whose id is no address is in no list, so nobody takes it away by leaving it out.
    let entries: Vec<(u64, Arc<str>, String)> =
        entries(turn).into_iter().filter_map(|(serial, id)| conference::address(&id).map(|jid| (serial, id, jid))).collect();
    let mut changed = false;
    for room in wanted {
        let known = entries.iter().rfind(|(.., jid)| *jid == room.jid);
        // What was published since the items were read is not among them: then it is written.
        let before = known.and_then(|(serial, id, _)| Conference::of_item(id, items.get(serial)?));
        let after = room.keeping(before.as_ref());
        if before.as_ref() != Some(&after) {
            let id = known.map_or(room.jid.as_str(), |(_, id, _)| id);
            pep::publish(turn, NODE, id, after.to_item(), OPTIONS, true)?;
            changed = true;
        }
    }
    for (_, id, _) in entries.iter().filter(|(.., jid)| !wanted.iter().any(|room| room.jid == *jid)) {
        pep::retract(turn, NODE, id)?;
        changed = true;
    }
    if changed && !quiet {
        rewrite_old(turn);
    }
    Ok(())
}

// --- section 6.3.1 ------------------------------------------------------------------------------------------------------------

/// A client has published, or taken back.
pub fn happened(turn: &mut Turn<'_>, what: &Happened<'_>) {
    match what {
        Happened::Published { node, payload } if *node == OLD => {
            let Some(wanted) = El::parse(payload).filter(|it| it.is(OLD, "storage")).map(|it| conference::of_storage(&it))
            else {
                return;
            };
            let work = with_all(turn, move |turn, items, _| {
                if let Err(why) = change(turn, &items, &wanted, true) {
                    debug_assert!(why.condition == Condition::ResourceConstraint, "{why:?}");
                }
                Reply::Sent
            });
            turn.spawn(work);
        }
        // Whoever takes the old list away has not taken its rooms away.
        _ if what.node() == OLD => {}
        Happened::Configured { .. } => {}
        _ => rewrite_old(turn),
    }
}

/// The list at the old node, for clients that look there (5.1.1: "the server MAY collate all items").
fn rewrite_old(turn: &mut Turn<'_>) {
    if !has_node(turn, OLD) && entries(turn).is_empty() {
        return;
    }
    let work = with_all(turn, |turn, items, _| {
        let list = conference::storage(&conferences(turn, &items), &[]);
        // It does not fit any more: old clients keep the list they have.
        let _ = pep::publish(turn, OLD, "current", list.into_bytes(), OLD_OPTIONS, true);
        Reply::Sent
    });
    turn.spawn(work);
}

/// A list from before; and rooms from before, of which there is no list.
fn adopt(turn: &mut Turn<'_>) {
    if has_node(turn, NODE) {
        if !has_node(turn, OLD) {
            rewrite_old(turn);
        }
        return;
    }
    if !private::has(turn, PRIVATE_KEY) {
        return;
    }
    let work = with_all(turn, |turn, items, list| {
        let list = list.as_deref().and_then(El::parse);
        let rooms = list.as_ref().map(conference::of_storage).unwrap_or_default();
        if rooms.is_empty() || has_node(turn, NODE) {
            return Reply::Sent;
        }
        let rest = list.map(|list| conference::others(&list, true)).unwrap_or_default();
        if change(turn, &items, &rooms, false).is_ok() {
            let rest = if rest.is_empty() { Vec::new() } else { conference::storage(&[], &rest).into_bytes() };
            let _ = private::keep(turn, PRIVATE_KEY, rest);
        }
        Reply::Sent
    });
    turn.spawn(work);
}

#[cfg(test)]
mod tests;
