//! Rooms that live on an account's nodes: they are told what happened to the nodes they watch, and publish in the owner's name.

use iris_core::{Bounce, Turn};

use super::{Happened, PEP, ask, host, settle};
use crate::xep0060_pubsub::form::Filled;
use crate::xep0060_pubsub::{NewItem, PUBLISH_OPTIONS, Request};
use crate::{xep0292_vcard4, xep0398_avatar_conversion, xep0402_bookmarks};

type Satellite = (&'static [&'static str], fn(&mut Turn<'_>, &Happened<'_>));

/// Each with the nodes it watches.
const SATELLITES: &[Satellite] = &[
    (xep0292_vcard4::WATCHED, xep0292_vcard4::happened),
    (xep0398_avatar_conversion::WATCHED, xep0398_avatar_conversion::happened),
    (xep0402_bookmarks::WATCHED, xep0402_bookmarks::happened),
];

/// What a request will have done to a node that somebody watches, if it succeeds.
pub(super) fn watched(request: &Request) -> Option<Request> {
    let node = request.node()?;
    let is_watched = SATELLITES.iter().any(|(nodes, _)| nodes.contains(&node));
    let changes =
        matches!(request, Request::Publish { .. } | Request::Retract { .. } | Request::Purge { .. } | Request::Delete { .. });
    (is_watched && changes).then(|| request.clone())
}

pub(super) fn tell(turn: &mut Turn<'_>, done: &Request) {
    let happened = match done {
        Request::Publish { node, item: Some(NewItem { payload: Some(payload), .. }), .. } => {
            Happened::Published { node, payload }
        }
        Request::Retract { node, .. } => Happened::Retracted { node },
        Request::Purge { node } | Request::Delete { node, .. } => Happened::Emptied { node },
        _ => return,
    };
    tell_all(turn, &happened);
}

fn tell_all(turn: &mut Turn<'_>, happened: &Happened<'_>) {
    for (nodes, satellite) in SATELLITES {
        if nodes.contains(&happened.node()) {
            satellite(turn, happened);
        }
    }
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
