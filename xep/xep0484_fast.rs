//! XEP-0484: Fast Authentication Streamlining Tokens - a client that has logged in once comes in again in one round trip, without
//! its password.
//! Spec 0.2.0, https://xmpp.org/extensions/xep-0484.html. Not done: `tls-0rtt` (early data is refused, see `net/tls/config.rs`),
//! and HT-SHA-256-UNIQ (TLS 1.3 has no tls-unique).
//!
//! Tokens belong to the negotiation (`engine/negotiate/fast.rs`) and to the clients of an account (`engine/account/clients.rs`).
//! Here are the card, the feature and the plays.

use iris_core::mount::SaslInline;
use iris_core::{Card, Mount, MountError, Room, Status};

pub const ROOM: Room = Room {
    card: Card {
        xep: Some(484),
        name: "Fast Authentication Streamlining Tokens",
        version: "0.2.0",
        status: Status::Complete,
        needs: &[82, 388],
    },
    mount,
};

fn mount(m: &mut Mount<'_>) -> Result<(), MountError> {
    m.sasl2_inline(SaslInline::Fast);
    Ok(())
}

#[cfg(test)]
mod tests;
