//! XEP-0248: PubSub Collection Nodes - nodes that hold other nodes.
//! Spec 0.5.0, https://xmpp.org/extensions/xep-0248.html. Left out of what the text leaves to the service: two subscriptions of one
//! address, one for items and one for nodes (6.1.3; one of type `all` is both); the items of the whole service at once (6.2.3); what
//! is in a collection that ends goes nowhere with it (8.2). Stricter than 10.1: a collection opens
//! nobody a node whose own access model does not let them in. Pages of a collection's items (XEP-0059) go by the order of publication.
//! The service does it (`xep0060_pubsub/collection.rs`, `below.rs`, `root.rs`).

use iris_core::{Card, Room, Status};

pub const ROOM: Room = Room {
    card: Card { xep: Some(248), name: "PubSub Collection Nodes", version: "0.5.0", status: Status::Complete, needs: &[60] },
    mount: Room::no_door,
};
