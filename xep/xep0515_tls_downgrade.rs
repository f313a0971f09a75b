//! XEP-0515: TLS Channel-Binding Downgrade Protection - nobody in between lowers the version of TLS unnoticed.
//! Spec 0.1.0, https://xmpp.org/extensions/xep-0515.html. Not done: nothing. Part of SCRAM:
//! `engine/negotiate/sasl/downgrade.rs`.

use iris_core::{Card, Room, Status};

pub const ROOM: Room = Room {
    card: Card {
        xep: Some(515),
        name: "TLS Channel-Binding Downgrade Protection",
        version: "0.1.0",
        status: Status::Complete,
        needs: &[474],
    },
    mount: Room::no_door,
};
