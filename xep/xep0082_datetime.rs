//! XEP-0082: XMPP Date and Time Profiles - how a moment is written.
//! Spec 1.1.1, https://xmpp.org/extensions/xep-0082.html. Not done: nothing. `core/time.rs` writes and reads them.

use iris_core::{Card, Room, Status};

pub const ROOM: Room = Room {
    card: Card { xep: Some(82), name: "XMPP Date and Time Profiles", version: "1.1.1", status: Status::Complete, needs: &[] },
    mount: Room::no_door,
};
