//! XEP-0445: Pre-Authenticated In-Band Registration - who has an invitation may make an account.
//! Spec 0.2.0, https://xmpp.org/extensions/xep-0445.html. Not done: nothing. The wire is in the engine
//! (`negotiate/register.rs`), since it comes before authentication; the ledger is XEP-0401's, the account XEP-0077's.

use iris_core::{Card, Mount, MountError, Room, Status, When};

pub const ROOM: Room = Room {
    card: Card {
        xep: Some(445),
        name: "Pre-Authenticated In-Band Registration",
        version: "0.2.0",
        status: Status::Complete,
        needs: &[77, 401],
    },
    mount,
};

fn mount(m: &mut Mount<'_>) -> Result<(), MountError> {
    // The second is what Conversations looks for: the name that XEP-0401 had before this was a XEP of its own.
    m.stream_feature(When::Registering, |_| {
        "<register xmlns='urn:xmpp:ibr-token:0'/><register xmlns='urn:xmpp:invite'/>".to_owned()
    });
    Ok(())
}
