//! XEP-0465: Pubsub Public Subscriptions - who follows a channel, for those who want it known.
//! Spec 0.1.1, https://xmpp.org/extensions/xep-0465.html. Not done: a user's own list of what they follow (4.2, it needs the proxy of
//! XEP-0376), and the lists of accounts' nodes. The service does it (`xep0060_pubsub/public.rs`). The list of a node of the models
//! `presence` and `roster` is followed by those who follow the node.

use iris_core::{Card, Room, Status};

pub const ROOM: Room = Room {
    card: Card { xep: Some(465), name: "Pubsub Public Subscriptions", version: "0.1.1", status: Status::Partial, needs: &[60] },
    mount: Room::no_door,
};
