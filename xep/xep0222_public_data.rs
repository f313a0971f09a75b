//! XEP-0222: Persistent Storage of Public Data via PubSub - data for everybody.
//! Spec 1.0, https://xmpp.org/extensions/xep-0222.html. Not done: nothing; publish-options are honoured or the item is refused (XEP-0060).

use iris_core::{Card, Room, Status};

pub const ROOM: Room = Room {
    card: Card {
        xep: Some(222),
        name: "Persistent Storage of Public Data via PubSub",
        version: "1.0",
        status: Status::Complete,
        needs: &[60, 163],
    },
    mount: Room::no_door,
};
