//! XEP-0156: Discovering Alternative XMPP Connection Methods - host-meta in XML and JSON (`src/web/discovery.rs`).
//! Spec 1.4.0, https://xmpp.org/extensions/xep-0156.html. Not done: looking it up, which is for whoever connects to other servers.

use iris_core::{Card, Room, Status};

pub const ROOM: Room = Room {
    card: Card {
        xep: Some(156),
        name: "Discovering Alternative XMPP Connection Methods",
        version: "1.4.0",
        status: Status::Complete,
        needs: &[],
    },
    mount: Room::no_door,
};
