//! XEP-0203: Delayed Delivery - a stanza that waited says since when.
//! Spec 2.0, https://xmpp.org/extensions/xep-0203.html. Not done: nothing. Stamped where a stanza waits: rooms 0160 and 0313.

use iris_core::{Card, Room, Status};

pub const ROOM: Room = Room {
    card: Card { xep: Some(203), name: "Delayed Delivery", version: "2.0", status: Status::Complete, needs: &[82] },
    mount: Room::no_door,
};
