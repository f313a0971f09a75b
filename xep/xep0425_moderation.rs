//! XEP-0425: Moderated Message Retraction - a moderator takes back what somebody has said.
//! Spec 0.3.0, https://xmpp.org/extensions/xep-0425.html. Not done: nothing. The room does it (`xep0045_muc/retract.rs`).

use iris_core::{Card, Room, Status};

pub const ROOM: Room = Room {
    card: Card {
        xep: Some(425),
        name: "Moderated Message Retraction",
        version: "0.3.0",
        status: Status::Complete,
        needs: &[45, 313, 421, 424],
    },
    mount: Room::no_door,
};
