//! XEP-0221: Data Forms Media Element - a picture beside a field of a form.
//! Spec 1.0, https://xmpp.org/extensions/xep-0221.html. Not done: data inside the stanza (`cid:`, XEP-0231); what is shown is fetched
//! from the web side of the domain, and a form without one has no pictures. `core/form.rs` writes it (`Field::picture`); invitations
//! (XEP-0401) show their QR code with it.

use iris_core::{Card, Room, Status};

pub const ROOM: Room = Room {
    card: Card { xep: Some(221), name: "Data Forms Media Element", version: "1.0", status: Status::Complete, needs: &[4] },
    mount: Room::no_door,
};
