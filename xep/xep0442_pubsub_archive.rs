//! XEP-0442: Pubsub Message Archive Management - what was published in a node, a page at a time.
//! Spec 0.2.0, https://xmpp.org/extensions/xep-0442.html. Not done: items that a node keeps no more. The archive is
//! the node's items (as many as its configuration keeps), so what was retracted, replaced or made room is in neither; payloads are in it
//! also where news come without (`pubsub#deliver_payloads`). The service does it (`xep0060_pubsub/channels/archive.rs`), and each
//! account for its nodes (`xep0163_pep/archive.rs`): what is asked of an account with a node in it is about that node, whoever may read it.

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
