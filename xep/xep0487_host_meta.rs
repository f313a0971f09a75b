//! XEP-0487: Host Meta 2 - one document that says how to connect (`src/web/discovery.rs`), once the operator has said where the
//! server is reached (`[web] public_addresses`).
//! Spec 0.1.0, https://xmpp.org/extensions/xep-0487.html. Not done: public key pins, ECH, QUIC, links of servers, looking it up.

use iris_core::{Card, Room, Status};

pub const ROOM: Room = Room {
    card: Card {
        xep: Some(487),
        name: "Host Meta 2 - One Method To Rule Them All",
        version: "0.1.0",
        status: Status::Partial,
        needs: &[],
    },
    mount: Room::no_door,
};
