//! XEP-0297: Stanza Forwarding - a stanza inside another.
//! Spec 1.0, https://xmpp.org/extensions/xep-0297.html. Not done: nothing. `core/xml/wire.rs` writes them; rooms 0280 and
//! 0313 wrap them.

use iris_core::{Card, Room, Status};

pub const ROOM: Room = Room {
    card: Card { xep: Some(297), name: "Stanza Forwarding", version: "1.0", status: Status::Complete, needs: &[203] },
    mount: Room::no_door,
};
