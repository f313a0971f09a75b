//! XEP-0488: MUC Token Invite - an invitation to somebody whose address nobody knows.
//! Spec 0.1.0, https://xmpp.org/extensions/xep-0488.html. Not done: nothing. The room does it (`xep0045_muc/tokens.rs`).

use iris_core::{Card, Room, Status};

pub const ROOM: Room = Room {
    card: Card { xep: Some(488), name: "MUC Token Invite", version: "0.1.0", status: Status::Complete, needs: &[45] },
    mount: Room::no_door,
};
