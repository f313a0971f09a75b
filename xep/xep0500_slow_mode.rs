//! XEP-0500: MUC Slow Mode - a pause between two messages of one person.
//! Spec 0.1.1, https://xmpp.org/extensions/xep-0500.html. Not done: nothing. The room does it (`xep0045_muc/pace.rs`).

use iris_core::{Card, Room, Status};

pub const ROOM: Room = Room {
    card: Card { xep: Some(500), name: "MUC Slow Mode", version: "0.1.1", status: Status::Complete, needs: &[45] },
    mount: Room::no_door,
};
