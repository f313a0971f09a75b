//! XEP-0048: Bookmarks - the rooms of a user in one list.
//! Spec 1.2, https://xmpp.org/extensions/xep-0048.html. Not done: nothing. The list is made of XEP-0402's items, in private XML and at the
//! node `storage:bookmarks`; its URLs stay in private XML.

use iris_core::{Card, Room, Status};

pub const ROOM: Room = Room {
    card: Card { xep: Some(48), name: "Bookmarks", version: "1.2", status: Status::Complete, needs: &[49, 163, 402] },
    mount: Room::no_door,
};
