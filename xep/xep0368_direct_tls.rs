//! XEP-0368: SRV records for XMPP over TLS - TLS from the first byte, without STARTTLS.
//! Spec 1.1.0, https://xmpp.org/extensions/xep-0368.html. Not done: nothing. Clients come in on listeners of
//! kind `c2s-tls` and `https`, other servers on `s2s-tls`; where those are the records say (`fetch/servers.rs`).

use iris_core::{Card, Room, Status};

pub const ROOM: Room = Room {
    card: Card {
        xep: Some(368),
        name: "SRV records for XMPP over TLS",
        version: "1.1.0",
        status: Status::Complete,
        needs: &[],
    },
    mount: Room::no_door,
};
