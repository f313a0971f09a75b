//! XEP-0386: Bind 2 - a session begins in one step, with everything it wants to have from its first stanza on.
//! Spec 1.1.0, https://xmpp.org/extensions/xep-0386.html. Not done: nothing.
//!
//! Binding itself is the engine's (`engine/shard/binding.rs`); what may be asked for inside `<bind/>` is said by the rooms it
//! belongs to (`Mount::bind_inline`), and what `<bound/>` tells unasked as well (`Mount::on_bind2`). Here are the card, the
//! feature and the plays.

use iris_core::mount::SaslInline;
use iris_core::{Card, Mount, MountError, Room, Status};

pub const ROOM: Room =
    Room { card: Card { xep: Some(386), name: "Bind 2", version: "1.1.0", status: Status::Complete, needs: &[388] }, mount };

fn mount(m: &mut Mount<'_>) -> Result<(), MountError> {
    m.sasl2_inline(SaslInline::Bind);
    Ok(())
}

#[cfg(test)]
mod tests;
