//! XEP-0509: Initial Authentication Pipelining - a client that knows what it would be offered does not wait to hear it.
//! Spec 0.2.0, https://xmpp.org/extensions/xep-0509.html. Not done: nothing. The version is a hash of the features
//! (`engine/negotiate/features.rs`).

use iris_core::{Card, Room, Status};

pub const ROOM: Room = Room {
    card: Card {
        xep: Some(509),
        name: "Initial Authentication Pipelining",
        version: "0.2.0",
        status: Status::Complete,
        needs: &[388],
    },
    mount: Room::no_door,
};
