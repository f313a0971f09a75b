//! XEP-0334: Message Processing Hints - what a sender wishes for its message.
//! Spec 1.0.0, https://xmpp.org/extensions/xep-0334.html. Not done: nothing. Room 0280 keeps no-copy, room 0313 no-store,
//! no-permanent-store and store.

use iris_core::{Card, Room, Status};

pub const ROOM: Room = Room {
    card: Card { xep: Some(334), name: "Message Processing Hints", version: "1.0.0", status: Status::Complete, needs: &[] },
    mount: Room::no_door,
};
