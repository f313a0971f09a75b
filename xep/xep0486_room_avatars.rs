//! XEP-0486: MUC Avatars - the picture of a room.
//! Spec 0.1.0, https://xmpp.org/extensions/xep-0486.html. Not done: nothing. The room keeps it (`xep0045_muc/vcard.rs`).
//! A room with a picture shows its hash in a presence of its own too (4.2), which the text does not encourage: it is the only way in which Monal,
//! Movim and Cheogram hear of it, ejabberd sends such a presence for each room, and one without a picture sends none.

use iris_core::{Card, Room, Status};

pub const ROOM: Room = Room {
    card: Card { xep: Some(486), name: "MUC Avatars", version: "0.1.0", status: Status::Complete, needs: &[45, 54, 153] },
    mount: Room::no_door,
};
