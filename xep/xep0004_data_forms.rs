//! XEP-0004: Data Forms - questions and answers in fields.
//! Spec 2.13.2, https://xmpp.org/extensions/xep-0004.html. Not done: forms that people fill in; the forms of rooms 0030 and
//! 0313 are for programs.

use iris_core::{Card, Room, Status};

pub const ROOM: Room = Room {
    card: Card { xep: Some(4), name: "Data Forms", version: "2.13.2", status: Status::Partial, needs: &[] },
    mount: Room::no_door,
};
