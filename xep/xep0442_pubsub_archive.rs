//! XEP-0442: Pubsub Message Archive Management - what was published in a node, a page at a time.
//! Spec 0.2.0, https://xmpp.org/extensions/xep-0442.html. Not done: nodes of accounts (the text asks it of a service that offers it, and an
//! account's own archive, which clients do ask for, answers the same element; its items lie in a map, for they are few and replaced,
//! not in a log that pages are cut from); items that a node keeps no more. The archive is
//! the node's items (as many as its configuration keeps), so what was retracted, replaced or made room is in neither; payloads are in it
//! also where news come without (`pubsub#deliver_payloads`). The service does it (`xep0060_pubsub/channels/archive.rs`).

use iris_core::{Card, Room, Status};

pub const ROOM: Room = Room {
    card: Card {
        xep: Some(442),
        name: "Pubsub Message Archive Management",
        version: "0.2.0",
        status: Status::Partial,
        needs: &[60, 313],
    },
    mount: Room::no_door,
};
