//! XEP-0421: Occupant identifiers for semi-anonymous MUCs - the same person, whatever nickname.
//! Spec 1.0.1, https://xmpp.org/extensions/xep-0421.html. Not done: nothing.
//!
//! Every room gives them: the keyed hash (`iris_core::keyed`) of room and bare JID, beside everything an occupant says, also in history
//! and archive; what claims to be one is taken out (`xep0045_muc/stanzas.rs`).

use iris_core::{Card, Room, Status};

pub const ROOM: Room = Room {
    card: Card {
        xep: Some(421),
        name: "Occupant identifiers for semi-anonymous MUCs",
        version: "1.0.1",
        status: Status::Complete,
        needs: &[45],
    },
    mount: Room::no_door,
};
