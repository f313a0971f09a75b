//! XEP-0220: Server Dialback - another server shows a key, and the server of its domain says whether it is theirs.
//! Spec 1.1.1, https://xmpp.org/extensions/xep-0220.html. Not done: streams of ours are for one pair of domains each (2.6: others'
//! may be for many), and a key is verified over a connection of its own.
//!
//! Keys are shown and answered always, in TLS; that one alone proves something is for `[federation] certificate_required` to say.
//! `engine/negotiate/peer` has both sides, `net/peers.rs` asks.

use iris_core::{Card, Room, Status};

pub const ROOM: Room = Room {
    card: Card { xep: Some(220), name: "Server Dialback", version: "1.1.1", status: Status::Complete, needs: &[] },
    mount: Room::no_door,
};
