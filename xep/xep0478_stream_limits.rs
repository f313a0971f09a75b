//! XEP-0478: Stream Limits Advertisement - how large a stanza may be, how long a silence.
//! Spec 0.2.0, https://xmpp.org/extensions/xep-0478.html. Not done: nothing. The engine says what its scanner keeps
//! (`engine/negotiate/features.rs`).

use iris_core::{Card, Room, Status};

pub const ROOM: Room = Room {
    card: Card { xep: Some(478), name: "Stream Limits Advertisement", version: "0.2.0", status: Status::Complete, needs: &[] },
    mount: Room::no_door,
};
