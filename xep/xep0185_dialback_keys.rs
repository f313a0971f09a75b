//! XEP-0185: Dialback Key Generation and Validation - keys that need no memory: their maker makes them again to know them.
//! Spec 1.0, https://xmpp.org/extensions/xep-0185.html. Not done: nothing. `engine/negotiate/peer/mod.rs`, from the secret of the house.

use iris_core::{Card, Room, Status};

pub const ROOM: Room = Room {
    card: Card {
        xep: Some(185),
        name: "Dialback Key Generation and Validation",
        version: "1.0",
        status: Status::Complete,
        needs: &[220],
    },
    mount: Room::no_door,
};
