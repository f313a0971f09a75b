//! XEP-0472: Pubsub Social Feed - channels of posts that people read.
//! Spec 0.2.1, https://xmpp.org/extensions/xep-0472.html. Not done: nothing that is a service's: the options of a node of that type and
//! its galleries (5), what a post is (4.2), a text beside notifications (4.6.2). Posts and threads are the clients'. Nodes of accounts
//! have the same rules when they have the type (`xep0060_pubsub/social.rs`); those of XEP-0277 are what its clients make them.

use iris_core::{Card, Room, Status};

pub const ROOM: Room = Room {
    card: Card { xep: Some(472), name: "Pubsub Social Feed", version: "0.2.1", status: Status::Complete, needs: &[60] },
    mount: Room::no_door,
};
