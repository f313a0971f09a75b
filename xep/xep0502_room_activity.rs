//! XEP-0502: MUC Activity Indicator - how much is said in a room.
//! Spec 0.1.0, https://xmpp.org/extensions/xep-0502.html. Not done: nothing. The room counts (`xep0045_muc/pace.rs`).

use iris_core::{Card, Room, Status};

pub const ROOM: Room = Room {
    card: Card { xep: Some(502), name: "MUC Activity Indicator", version: "0.1.0", status: Status::Complete, needs: &[45] },
    mount: Room::no_door,
};
