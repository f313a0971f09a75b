//! XEP-0004: Data Forms - questions and answers in fields.
//! Spec 2.13.2, https://xmpp.org/extensions/xep-0004.html. Not done: nothing that a server does.
//!
//! Forms live in `core/form.rs`, because the doors of commands speak in them; their tests, and the corpus that fuzzing has
//! found, too.

use iris_core::{Card, Room, Status};

pub const ROOM: Room = Room {
    card: Card { xep: Some(4), name: "Data Forms", version: "2.13.2", status: Status::Complete, needs: &[] },
    mount: Room::no_door,
};
