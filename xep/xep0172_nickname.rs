//! XEP-0172: User Nickname - the name one gives oneself, at a node of the account.
//! Spec 1.1, https://xmpp.org/extensions/xep-0172.html. Not done: nothing; a server only keeps and tells (XEP-0163), and what travels in
//! presence and messages passes untouched.

use iris_core::{Card, Room, Status};

pub const ROOM: Room = Room {
    card: Card { xep: Some(172), name: "User Nickname", version: "1.1", status: Status::Complete, needs: &[163] },
    mount: Room::no_door,
};
