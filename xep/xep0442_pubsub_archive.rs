//! XEP-0442: Pubsub Message Archive Management - what was published in a node, a page at a time.
//! Spec 0.2.0, https://xmpp.org/extensions/xep-0442.html. Not done: "SHOULD store each of the items published" of items that a
//! node keeps no more. The archive is the node's items, as many as its options keep: what was retracted, purged, replaced or has made room
//! is in neither, or what somebody has taken back, or was never to be kept, would be read there. Items come as they would be announced
//! now: with the type of the news, and without payload where news have none (`pubsub#deliver_payloads`). The service does it (`xep0060_pubsub/channels/archive.rs`), and each
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
