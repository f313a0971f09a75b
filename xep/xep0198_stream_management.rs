//! XEP-0198: Stream Management - both sides know what has arrived, and a broken connection is taken up again.
//! Spec 1.6.3, https://xmpp.org/extensions/xep-0198.html. Not done: `location`, and the `max` that a client asks
//! for (the house's own holds).
//!
//! The rules are kept by the engine, because the queue of a session *is* what XEP-0198 counts: `engine/account/session.rs`.
//! Here are the card, the stream feature and the plays.

use iris_core::mount::SaslInline;
use iris_core::{Card, Mount, MountError, Room, Status, When, ns};

pub const ROOM: Room = Room {
    card: Card { xep: Some(198), name: "Stream Management", version: "1.6.3", status: Status::Complete, needs: &[] },
    mount,
};

fn mount(m: &mut Mount<'_>) -> Result<(), MountError> {
    m.stream_feature(When::Authenticated, |_| format!("<sm xmlns='{}'/>", ns::SM));
    // Section 9.
    m.sasl2_inline(SaslInline::StreamManagement);
    Ok(())
}

#[cfg(test)]
mod tests;
