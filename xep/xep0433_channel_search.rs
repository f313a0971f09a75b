//! XEP-0433: Extended Channel Search - rooms are found by words.
//! Spec 0.1.0, https://xmpp.org/extensions/xep-0433.html. Not done: nothing. The service answers (`xep0045_muc/search.rs`).

use iris_core::{Card, Room, Status};

pub const ROOM: Room = Room {
    card: Card {
        xep: Some(433),
        name: "Extended Channel Search",
        version: "0.1.0",
        status: Status::Complete,
        needs: &[4, 45, 59],
    },
    mount: Room::no_door,
};
