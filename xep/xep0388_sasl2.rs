//! XEP-0388: Extensible SASL Profile - authenticated without a second stream, and with what comes inline.
//! Spec 1.0.4, https://xmpp.org/extensions/xep-0388.html. Not done: nothing. The profile is the engine's
//! (`engine/negotiate/sasl2.rs`).

use iris_core::{Card, Room, Status};

pub const ROOM: Room = Room {
    card: Card { xep: Some(388), name: "Extensible SASL Profile", version: "1.0.4", status: Status::Complete, needs: &[440] },
    mount: Room::no_door,
};
