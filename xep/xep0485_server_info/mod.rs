//! XEP-0485: PubSub Server Information - what this server is, and with which others it speaks, in a node that everybody can read.
//! Spec 1.0.0, https://xmpp.org/extensions/xep-0485.html. Not done: nothing. Off unless `[xep.server_info]` says otherwise: a domain that
//! says so lets others name it (section 7). Connections are those of the domain, of
//! one other domain at most 16 each way; those of its services are not told.
//!
//! The domain knows what there is to say (`others`: who is connected, and who may be named). The service of channels publishes it in its
//! own name, in the node `serverinfo`, which nobody else can make.

mod others;
#[cfg(test)]
mod tests;

use std::sync::Arc;

use iris_core::xml::Build;
use iris_core::{At, Card, HostTurn, Mount, MountError, Room, Status};
use serde::Deserialize;

use self::others::{OTHERS, Others};
use crate::xep0060_pubsub::channels;

const NS: &str = "urn:xmpp:serverinfo:0";
/// Section 5.
const NODE: &str = "serverinfo";
/// Section 3, in the form of XEP-0157.
pub const FIELD: &str = "serverinfo-pubsub-node";

pub const ROOM: Room = Room {
    card: Card {
        xep: Some(485),
        name: "PubSub Server Information",
        version: "1.0.0",
        status: Status::Complete,
        needs: &[30, 60],
    },
    mount,
};

#[derive(Clone, Copy, Debug, Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
struct Settings {
    publish: bool,
}

impl iris_core::mount::Settings for Settings {
    const TABLE: &'static str = "server_info";
    const REFERENCE: &'static str = "\
# Publish the name of the domain, the version of the server and how many other domains it is connected with (XEP-0485) in the node
# \"serverinfo\" of pubsub.DOMAIN, for everybody, and say so in service discovery. Other domains are named if they publish the same of
# themselves, and may then name this one: they are asked. Sites that draw maps of the network read it.
publish = false
";
}

fn mount(m: &mut Mount<'_>) -> Result<(), MountError> {
    let is_published = is_published(m)?;
    if is_published {
        m.feature(At::Host, NS);
    }
    let service: Arc<str> = channels::address(m)?.into();
    m.host_state(&OTHERS, &[], |_| Others::default())?;
    m.every(others::LOOK, move |turn| {
        if is_published {
            others::look(turn);
            tell(turn, &service, false);
        }
    });
    Ok(())
}

/// Where it is, if it is published: for the form of XEP-0157, because there is one form of a type (section 8).
pub fn address(m: &mut Mount<'_>) -> Result<Option<String>, MountError> {
    let is_published = is_published(m)?;
    let service = channels::address(m)?;
    Ok(is_published.then(|| format!("xmpp:{service}?;node={NODE}")))
}

fn is_published(m: &mut Mount<'_>) -> Result<bool, MountError> {
    Ok(m.config::<Settings>()?.publish)
}

/// What the service does of it (`Mount::rules`).
struct Publishes(bool);

/// For the service of channels. What is published no longer is taken back.
pub fn serve(m: &mut Mount<'_>) -> Result<(), MountError> {
    let is_published = is_published(m)?;
    m.rules(Publishes(is_published));
    m.on_host_woken(move |turn| {
        if !is_published {
            return channels::withdraw(turn, NODE);
        }
        let (home, service) = (turn.doors.home().to_owned(), turn.host().into());
        turn.tell(&home, move |turn| tell(turn, &service, true));
    });
    Ok(())
}

/// The domain has the service publish what there is to say, if it is something else than the last time or `anyhow`.
fn tell(turn: &mut HostTurn<'_>, service: &Arc<str>, anyhow: bool) {
    let Some(said) = turn.with_state(&OTHERS, |turn, others| {
        let federation = others.federation(&turn.house.connected.of(turn.host()));
        (anyhow || others.is_news(&federation, turn.now.mono)).then(|| {
            others.said(federation.clone(), turn.now.mono);
            server_info(turn, &federation)
        })
    }) else {
        return;
    };
    let Some(said) = said else { return };
    turn.tell(service, move |turn| {
        // A reload may have come between.
        if turn.doors.rules::<Publishes>().is_some_and(|it| it.0) {
            // Section 5: "an open access model and contain a maximum of 1 item".
            channels::publish(turn, NODE, "current", said, &[("access_model", "open"), ("max_items", "1")]);
        }
    });
}

/// Section 4.
fn server_info(turn: &HostTurn<'_>, federation: &[u8]) -> Vec<u8> {
    let mut xml = Build::new();
    xml.open_ns("serverinfo", NS).open("domain").attr("name", turn.host()).raw(federation).close();
    xml.open_ns("query", "jabber:iq:version").leaf("name", "Iris").leaf("version", turn.house.version);
    xml.finish()
}
