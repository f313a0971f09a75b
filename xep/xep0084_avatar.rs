//! XEP-0084: User Avatar - a picture at one node, what it is at another.
//! Spec 1.1.4, https://xmpp.org/extensions/xep-0084.html. Not done: nothing; the nodes are an account's (XEP-0163), and XEP-0398 keeps
//! vCards and presence in step with them.

use iris_core::{Card, Room, Status};

pub const DATA: &str = "urn:xmpp:avatar:data";
pub const METADATA: &str = "urn:xmpp:avatar:metadata";

pub const ROOM: Room = Room {
    card: Card { xep: Some(84), name: "User Avatar", version: "1.1.4", status: Status::Complete, needs: &[163] },
    mount: Room::no_door,
};
