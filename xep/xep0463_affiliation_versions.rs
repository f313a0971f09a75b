//! XEP-0463: MUC Affiliations Versioning - who comes into a room again is told what has changed.
//! Spec 0.2.0, https://xmpp.org/extensions/xep-0463.html. Not done: nothing. Versions outlive sleep and restarts. The room does it (`xep0045_muc/versions.rs`).

use iris_core::{Card, Room, Status};

pub const ROOM: Room = Room {
    card: Card {
        xep: Some(463),
        name: "MUC Affiliations Versioning",
        version: "0.2.0",
        status: Status::Complete,
        needs: &[45],
    },
    mount: Room::no_door,
};
