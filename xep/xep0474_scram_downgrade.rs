//! XEP-0474: SASL SCRAM Downgrade Protection - nobody in between takes mechanisms away unnoticed.
//! Spec 0.5.0, https://xmpp.org/extensions/xep-0474.html. Not done: nothing. Part of SCRAM:
//! `engine/negotiate/sasl/downgrade.rs`.

use iris_core::{Card, Room, Status};

pub const ROOM: Room = Room {
    card: Card {
        xep: Some(474),
        name: "SASL SCRAM Downgrade Protection",
        version: "0.5.0",
        status: Status::Complete,
        needs: &[],
    },
    mount: Room::no_door,
};
