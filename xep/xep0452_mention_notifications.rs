//! XEP-0452: MUC Mention Notifications - who belongs to a room and is away is told when mentioned there.
//! Spec 0.2.2, https://xmpp.org/extensions/xep-0452.html. Not done: nothing. The room does it (`xep0045_muc/mentions.rs`).

use iris_core::{Card, Room, Status};

pub const ROOM: Room = Room {
    card: Card {
        xep: Some(452),
        name: "MUC Mention Notifications",
        version: "0.2.2",
        status: Status::Complete,
        needs: &[45, 297],
    },
    mount: Room::no_door,
};
