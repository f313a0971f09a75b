//! XEP-0472: Pubsub Social Feed - channels of posts that people read.
//! Spec 0.2.1, https://xmpp.org/extensions/xep-0472.html. Not done: the links that a service might add to a post (4.3, a SHOULD): posts
//! stay as they were published. Done are the options of nodes of these types (5: feed, gallery, and the microblog of XEP-0277), what a
//! post is (4.2), a text beside notifications (4.6.2); posts and threads are the clients'. Nodes of accounts have the same rules when
//! they have the type (`xep0060_pubsub/social.rs`).

use iris_core::{Card, Room, Status};

pub const ROOM: Room = Room {
    card: Card { xep: Some(472), name: "Pubsub Social Feed", version: "0.2.1", status: Status::Partial, needs: &[60] },
    mount: Room::no_door,
};
