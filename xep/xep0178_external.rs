//! XEP-0178: Best Practices for Use of SASL EXTERNAL with Certificates - a certificate instead of a password.
//! Spec 1.2, https://xmpp.org/extensions/xep-0178.html. Not done: nothing.
//!
//! Off unless `[tls] client_ca` says who issues certificates to clients; only then are they asked for one. The handshake judges it
//! (`net/certs/client.rs`), `engine/negotiate/passwordless.rs` looks whom it names. Between
//! servers (section 3) both show one, and `[federation]` says whose are believed: `engine/negotiate/peer`, `net/certs/peer.rs`.

use iris_core::{Card, Room, Status};

pub const ROOM: Room = Room {
    card: Card {
        xep: Some(178),
        name: "Best Practices for Use of SASL EXTERNAL with Certificates",
        version: "1.2",
        status: Status::Complete,
        needs: &[],
    },
    mount: Room::no_door,
};
