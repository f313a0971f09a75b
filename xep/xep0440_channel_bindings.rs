//! XEP-0440: SASL Channel-Binding Type Capability - which channel bindings a server can check.
//! Spec 1.0.0, https://xmpp.org/extensions/xep-0440.html. Not done: nothing. The engine offers them with the mechanisms
//! (`engine/negotiate/features.rs`).

use iris_core::{Card, Room, Status};

pub const ROOM: Room = Room {
    card: Card {
        xep: Some(440),
        name: "SASL Channel-Binding Type Capability",
        version: "1.0.0",
        status: Status::Complete,
        needs: &[],
    },
    mount: Room::no_door,
};
