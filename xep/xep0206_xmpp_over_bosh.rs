//! XEP-0206: XMPP Over BOSH - XMPP's attributes on BOSH bodies, restarts (`src/net/bosh/`).
//! Spec 1.4, https://xmpp.org/extensions/xep-0206.html. Not done: nothing.

use iris_core::{Card, Room, Status};

pub const ROOM: Room = Room {
    card: Card { xep: Some(206), name: "XMPP Over BOSH", version: "1.4", status: Status::Complete, needs: &[124] },
    mount: Room::no_door,
};
