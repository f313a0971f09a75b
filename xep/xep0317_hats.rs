//! XEP-0317: Hats - what people are in a room beside what the protocol knows.
//! Spec 0.3.1, https://xmpp.org/extensions/xep-0317.html. Not done: nothing. The room does it (`xep0045_muc/hats.rs`).

use iris_core::{Card, Room, Status};

pub const ROOM: Room = Room {
    card: Card { xep: Some(317), name: "Hats", version: "0.3.1", status: Status::Complete, needs: &[4, 45, 50] },
    mount: Room::no_door,
};
