//! XEP-0494: Client Access Management - who has access to my account, and who shall have it no longer.
//! Spec 0.1.0, https://xmpp.org/extensions/xep-0494.html. Not done: grants (there is no OAuth here).
//!
//! The text revokes one client at a time. All at once, and by an administrator (its section 5), are commands (XEP-0050): `clients` at
//! one's own address or the domain, `clients-of-user` for administrators; `iris user clients` and `iris user logout` do the same.
//!
//! What is known of a client is what it says itself (XEP-0388, `<user-agent/>`); one that says nothing is listed while it has a
//! session. `[limits] client_memory` says how long one that came no more is remembered.

use iris_core::clients::ClientAccess;
use iris_core::time::datetime;
use iris_core::xml::{Build, El};
use iris_core::{At, Bounce, Card, Condition, GetOrSet, Mount, MountError, Reply, Room, Status, Turn};

use crate::result;

mod commands;

const NS: &str = "urn:xmpp:cam:0";

pub const ROOM: Room = Room {
    card: Card {
        xep: Some(494),
        name: "Client Access Management",
        version: "0.1.0",
        status: Status::Complete,
        needs: &[4, 50, 82, 388, 484],
    },
    mount,
};

fn mount(m: &mut Mount<'_>) -> Result<(), MountError> {
    m.feature(At::Account, NS);
    m.iq_named(At::OwnAccount, GetOrSet::Get, NS, "list", |turn, _| list(turn))?;
    m.iq_named(At::OwnAccount, GetOrSet::Set, NS, "revoke", |turn, el| revoke(turn, &el))?;
    commands::mount(m)
}

/// Section 3.1.
fn list(turn: &mut Turn<'_>) -> Reply {
    let mut xml = Build::new();
    xml.open_ns("clients", NS);
    for client in turn.account.clients(turn.now) {
        write(&mut xml, &client);
    }
    xml.close();
    result(xml)
}

fn write(xml: &mut Build, client: &ClientAccess) {
    xml.open("client")
        .attr("connected", if client.connected { "true" } else { "false" })
        .attr("id", &client.id)
        .attr("type", "session");
    xml.leaf("first-seen", &datetime(in_seconds(client.first_seen_us)));
    xml.leaf("last-seen", &datetime(in_seconds(client.last_seen_us)));
    xml.open("auth");
    for (name, has) in [("password", client.password), ("fast", client.token)] {
        if has {
            xml.open(name).close();
        }
    }
    if client.certificate {
        // Section 3.1: extensible, in a namespace of its own.
        xml.empty("certificate", "urn:xmpp:saslcert:1");
    }
    xml.close();
    xml.open("permission").attr("status", "unrestricted").close();
    if client.software.is_some() || client.device.is_some() {
        xml.open("user-agent");
        for (name, text) in [("software", &client.software), ("device", &client.device)] {
            if let Some(text) = text {
                xml.leaf(name, text);
            }
        }
        xml.close();
    }
    xml.close();
}

fn in_seconds(us: u64) -> u64 {
    us - us % 1_000_000
}

/// Section 3.2. Its sessions end and its tokens die in any case; who has the password can come again, and that is told.
fn revoke(turn: &mut Turn<'_>, el: &El<'_>) -> Reply {
    let Some(id) = el.attr("id") else { return Reply::Error(Bounce::bad_request("<revoke/> needs the id of a client")) };
    match turn.account.revoke(turn.now, &id, turn.fx) {
        None => Reply::Error(Bounce::new(Condition::ItemNotFound)),
        Some(client) if client.password => Reply::Error(
            Bounce::new(Condition::ServiceUnavailable)
                .text("its sessions have ended; only another password keeps it out")
                .extra(format!("<password-reset-required xmlns='{NS}'/>")),
        ),
        Some(_) => Reply::empty(),
    }
}

#[cfg(test)]
mod tests;
