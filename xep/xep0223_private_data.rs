//! XEP-0223: Persistent Storage of Private Data via PubSub - data for oneself.
//! Spec 1.1.1, https://xmpp.org/extensions/xep-0223.html. Not done: nothing; publish-options are honoured or the item is refused (XEP-0060):
//! what was to be private never is anything else.

use iris_core::{Card, Room, Status};

pub const ROOM: Room = Room {
    card: Card {
        xep: Some(223),
        name: "Persistent Storage of Private Data via PubSub",
        version: "1.1.1",
        status: Status::Complete,
        needs: &[60, 163],
    },
    mount: Room::no_door,
};
