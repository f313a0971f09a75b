//! XEP-0153: vCard-Based Avatars - the picture of a vCard, and its hash in presence.
//! Spec 1.1.1, https://xmpp.org/extensions/xep-0153.html. Not done: nothing; XEP-0398 stamps presence and keeps the picture.

use iris_core::{Card, Room, Status};

pub const ROOM: Room = Room {
    card: Card { xep: Some(153), name: "vCard-Based Avatars", version: "1.1.1", status: Status::Complete, needs: &[54, 398] },
    mount: Room::no_door,
};
