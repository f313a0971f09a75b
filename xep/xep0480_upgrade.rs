//! XEP-0480: SASL Upgrade Tasks - keys for a better hash function, made with the help of a client that knows the password.
//! Spec 0.2.0, https://xmpp.org/extensions/xep-0480.html. Not done: nothing. (To SHA-1 nothing is upgraded; the older keys stay.)
//!
//! For accounts that came from another server with one kind of keys: those made here have all of them. The task is part of SASL2
//! (`engine/negotiate/upgrade.rs`).

use iris_core::mount::SaslInline;
use iris_core::{Card, Mount, MountError, Room, Status};

pub const ROOM: Room = Room {
    card: Card { xep: Some(480), name: "SASL Upgrade Tasks", version: "0.2.0", status: Status::Complete, needs: &[388] },
    mount,
};

fn mount(m: &mut Mount<'_>) -> Result<(), MountError> {
    m.sasl2_inline(SaslInline::Upgrade);
    Ok(())
}
