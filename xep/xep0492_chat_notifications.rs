//! XEP-0492: Chat Notification Settings - when a chat makes noise, in the extensions of a bookmark.
//! Spec 0.2.0, https://xmpp.org/extensions/xep-0492.html. Not done: nothing; XEP-0402 keeps what bookmarks hold, also when an old client
//! rewrites the list, and what is told while nobody is connected is told as the settings say (`xep0357_push/quiet.rs`).

use iris_core::{Card, Room, Status};

pub const ROOM: Room = Room {
    card: Card {
        xep: Some(492),
        name: "Chat Notification Settings",
        version: "0.2.0",
        status: Status::Complete,
        needs: &[402],
    },
    mount: Room::no_door,
};
