//! XEP-0410: MUC Self-Ping - am I still in that room?
//! Spec 1.1.0, https://xmpp.org/extensions/xep-0410.html. Not done: nothing. The room answers (`xep0045_muc/relay.rs`).

use iris_core::{Card, Room, Status};

pub const ROOM: Room = Room {
    card: Card { xep: Some(410), name: "MUC Self-Ping", version: "1.1.0", status: Status::Complete, needs: &[45, 199] },
    mount: Room::no_door,
};
