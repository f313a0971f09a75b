//! XEP-0388: Extensible SASL Profile - authenticated without a second stream, and with what comes inline.
//! Spec 1.0.4, https://xmpp.org/extensions/xep-0388.html. The profile is the engine's (`engine/negotiate/sasl2.rs`).
//!
//! Differs in one thing: a client whose white space comes amid an exchange is not disconnected ("During Authentication"), elements and
//! text are what ends its stream. Stacks that are in use write a line feed behind every `<response/>`, SASL2's too (go-xmpp), where
//! nothing tells it from a keep-alive; and it harms nobody, since no mechanism here has a security layer whose first byte it could be.

use iris_core::{Card, Room, Status};

pub const ROOM: Room = Room {
    card: Card { xep: Some(388), name: "Extensible SASL Profile", version: "1.0.4", status: Status::Complete, needs: &[440] },
    mount: Room::no_door,
};
