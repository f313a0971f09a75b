//! Rooms that live on an account's nodes: they are told what happened to the nodes they watch, and publish in the owner's name.

use bytes::Bytes;
use iris_core::store::{Read, Rows};
use iris_core::task::{Cx, Finish, TaskFuture};
use iris_core::{Bounce, Reply, Turn};

use super::{Happened, ITEMS, PEP, ask, host, settle};
use crate::xep0060_pubsub::form::Filled;
use crate::xep0060_pubsub::{NewItem, PUBLISH_OPTIONS, Request, serial_key};
use crate::{xep0292_vcard4, xep0398_avatar_conversion, xep0402_bookmarks};

type Satellite = (&'static [&'static str], fn(&mut Turn<'_>, &Happened<'_>));

/// Each with the nodes it watches.
const SATELLITES: &[Satellite] = &[
    (xep0292_vcard4::WATCHED, xep0292_vcard4::happened),
    (xep0398_avatar_conversion::WATCHED, xep0398_avatar_conversion::happened),
    (xep0402_bookmarks::WATCHED, xep0402_bookmarks::happened),
];

/// What a request will have done to a node that somebody watches, if it succeeds; and what was the node's last item before.
pub(super) struct Watched {
    request: Request,
    last: Option<u64>,
}

pub(super) fn watched(turn: &mut Turn<'_>, request: &Request) -> Option<Watched> {
    let (Request::Publish { node, .. }
    | Request::Retract { node, .. }
    | Request::Purge { node }
    | Request::Delete { node, .. }
    | Request::Create { node: Some(node), .. }
    | Request::SetConfig { node, .. }) = request
    else {
        return None;
    };
    let is_watched = SATELLITES.iter().any(|(nodes, _)| nodes.contains(&node.as_str()));
    is_watched.then(|| Watched { request: request.clone(), last: last_serial(turn, node) })
}

pub(super) fn tell(turn: &mut Turn<'_>, done: &Watched) {
    let happened = match &done.request {
        Request::Publish { node, item: Some(NewItem { payload: Some(payload), .. }), .. } => {
            Happened::Published { node, payload }
        }
        Request::Retract { node, .. } => Happened::Retracted { node, was_last: last_serial(turn, node) != done.last },
        Request::Purge { node } | Request::Delete { node, .. } => Happened::Emptied { node },
        Request::Create { node: Some(node), .. } | Request::SetConfig { node, .. } => Happened::Configured { node },
        _ => return,
    };
    tell_all(turn, &happened);
}

/// Where the last item of a node lies; `None`: there is no node, or nothing at it.
pub fn last_serial(turn: &mut Turn<'_>, node: &str) -> Option<u64> {
    turn.state(&PEP)?.service.node(node)?.entries.last().map(|entry| entry.serial)
}

fn tell_all(turn: &mut Turn<'_>, happened: &Happened<'_>) {
    for (nodes, satellite) in SATELLITES {
        if nodes.contains(&happened.node()) {
            satellite(turn, happened);
        }
    }
}

/// Read the last item of a node, and go on if it still is the last one then. `None`: there is none.
pub fn with_last(turn: &mut Turn<'_>, node: &'static str, then: impl FnOnce(&mut Turn<'_>, Option<Bytes>) + 'static) {
    let Some(serial) = last_serial(turn, node) else { return then(turn, None) };
    let owner = turn.account.owner();
    turn.spawn(move |cx: Cx| -> TaskFuture {
        Box::pin(async move {
            let read = cx.read(Read::Value { owner, shelf: ITEMS, key: serial_key(serial).into() });
            let Ok(Rows::Value(Some(payload))) = read.await else { return Finish::Done };
            Finish::Turn(Box::new(move |turn| {
                // Whoever has put another one there meanwhile has told of it.
                if last_serial(turn, node) == Some(serial) {
                    then(turn, Some(payload));
                }
                Reply::Sent
            }))
        })
    });
}

/// Publish in the owner's name. A node that is not there is made with these options (`pubsub#` is added). `quiet`: satellites are
/// not told, because one of them does it.
pub fn publish(
    turn: &mut Turn<'_>,
    node: &str,
    id: &str,
    payload: Vec<u8>,
    options: &[(&str, &str)],
    quiet: bool,
) -> Result<(), Bounce> {
    let is_new = turn.state(&PEP).is_none_or(|pep| pep.service.node(node).is_none());
    let fields = options.iter().map(|(var, value)| (format!("pubsub#{var}"), vec![(*value).to_owned()])).collect();
    let options = is_new.then(|| Filled { cancelled: false, form_type: PUBLISH_OPTIONS.to_owned(), fields });
    let item = Some(NewItem { id: Some(id.to_owned()), payload: Some(payload.clone()) });
    let who = host(turn);
    let outcome = ask(turn, &who, Request::Publish { node: node.to_owned(), item, options })?;
    settle(turn, &who, outcome);
    if !quiet {
        tell_all(turn, &Happened::Published { node, payload: &payload });
    }
    Ok(())
}

/// Retract in the owner's name, and tell those who hear of the node.
pub fn retract(turn: &mut Turn<'_>, node: &str, id: &str) -> Result<(), Bounce> {
    let who = host(turn);
    let outcome = ask(turn, &who, Request::Retract { node: node.to_owned(), ids: vec![id.to_owned()], notify: true })?;
    settle(turn, &who, outcome);
    Ok(())
}
