//! XEP-0124: Bidirectional-streams Over Synchronous HTTP (BOSH) - `src/net/bosh.rs` (sessions) and `src/web/bosh.rs` (HTTP).
//! Spec 1.11.2, https://xmpp.org/extensions/xep-0124.html. Not done: several streams in one session (16), content
//! encodings, `report` and `time` in acknowledgements. A session is bound to the address that began it. There is no JSONP.

use iris_core::{Card, Room, Status};

pub const ROOM: Room = Room {
    card: Card {
        xep: Some(124),
        name: "Bidirectional-streams Over Synchronous HTTP (BOSH)",
        version: "1.11.2",
        status: Status::Partial,
        needs: &[],
    },
    mount: Room::no_door,
};
