//! XEP-0486: MUC Avatars - the picture of a room.
//! Spec 0.1.0, https://xmpp.org/extensions/xep-0486.html. Not done: nothing. The room keeps it (`xep0045_muc/vcard.rs`).

use iris_core::{Card, Room, Status};

pub const ROOM: Room = Room {
    card: Card { xep: Some(486), name: "MUC Avatars", version: "0.1.0", status: Status::Complete, needs: &[45, 54, 153] },
    mount: Room::no_door,
};
