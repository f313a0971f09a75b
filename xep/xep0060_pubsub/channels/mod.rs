//! The service `pubsub.DOMAIN`: channels. One entity with all its nodes, so a request is one turn and one set of writes, whatever
//! nodes and collections it touches; what is announced goes out when that is on disk, and not at all when it cannot be kept.
//!
//! `answer` requests; `standing` what has to be asked elsewhere first (a plan, a roster); `deliver` the news; `items` where payloads
//! lie; `disco`; `archive` (XEP-0442); `people` who answer requests, change their rosters and go; `pending` (8.7).

use std::collections::HashMap;
use std::sync::Arc;

use iris_core::store::{Item, Shelf};
use iris_core::{At, BareJid, Event, GetOrSet, Mount, MountError, StateSlot};

use super::{Config, FEATURES, NS, OWNER, PUBLIC, Quotas, Service, social};
use crate::{xep0030_disco as disco, xep0050_commands as commands, xep0313_archive as mam};

mod answer;
mod archive;
mod deliver;
mod disco_nodes;
mod items;
mod pending;
mod people;
pub mod settings;
mod standing;
#[cfg(test)]
mod tests;

use settings::Settings;

/// Key: the node's name.
const NODES: Shelf = Shelf::map("pubsub_nodes");
/// Key: `stored::subscription_key`.
const SUBSCRIPTIONS: Shelf = Shelf::map("pubsub_subscriptions");
/// Key: `stored::serial_key`; which items there are.
const INDEX: Shelf = Shelf::map("pubsub_index");
/// The items, by serial; the peer is the number of the node. Read by tasks, never woken.
const ITEMS: Shelf = Shelf::log("pubsub_items");

static CHANNELS: StateSlot<Channels> = StateSlot::new();

/// The service that is awake.
struct Channels {
    service: Service,
    rules: Arc<Rules>,
    /// Requests that wait for an answer from elsewhere, by who asks: what the same one asks meanwhile waits behind them.
    waiting: HashMap<BareJid, usize>,
}

struct Rules {
    quotas: Quotas,
    default: Config,
    pages: mam::Config,
}

pub fn mount(m: &mut Mount<'_>) -> Result<(), MountError> {
    let settings = m.config::<Settings>()?;
    let label = settings.service.clone();
    let rules = Arc::new(Rules { quotas: settings.quotas(), default: settings.default_node(), pages: m.config()? });
    let address: Arc<str> = format!("{label}.{}", m.domain()).into();
    let of_roster = address.clone();
    m.on_event(Event::RosterChanged, move |turn| people::roster_changed(turn, &of_roster));
    m.on_event(Event::AccountRemoved, move |turn| people::account_removed(turn, &address));
    m.serve(&label, |s| {
        s.named_identity(At::Host, "pubsub", "service", &settings.name);
        for feature in
            [disco::INFO, disco::ITEMS, NS, mam::NS, PUBLIC, social::FEED, social::GALLERY, commands::NS, "urn:xmpp:ping"]
        {
            s.feature(At::Host, feature);
        }
        let own = [
            "access-authorize",
            "access-open",
            "access-presence",
            "access-roster",
            "access-whitelist",
            "auto-create",
            "collections",
            "get-pending",
            "multi-collections",
        ];
        for feature in FEATURES.iter().chain(&own) {
            s.feature(At::Host, &format!("{NS}#{feature}"));
        }
        for shelf in [NODES, SUBSCRIPTIONS, INDEX, ITEMS] {
            s.shelf(shelf)?;
        }
        s.host_state(&CHANNELS, &[NODES, SUBSCRIPTIONS, INDEX], move |items| load(items, &rules))?;
        for ns in [NS, OWNER] {
            s.host_iq_named(GetOrSet::Get, ns, "pubsub", |turn, it| answer::answer(turn, &it, false))?;
            s.host_iq_named(GetOrSet::Set, ns, "pubsub", |turn, it| answer::answer(turn, &it, true))?;
        }
        s.host_iq_named(GetOrSet::Get, disco::INFO, "query", |turn, query| disco_nodes::info(turn, &query))?;
        s.host_iq_named(GetOrSet::Get, disco::ITEMS, "query", |turn, query| disco_nodes::items(turn, &query))?;
        s.host_iq_named(GetOrSet::Get, "urn:xmpp:ping", "ping", |_, _| iris_core::Reply::empty())?;
        s.host_iq_named(GetOrSet::Get, mam::NS, "query", |turn, query| archive::form(turn, &query))?;
        s.host_iq_named(GetOrSet::Set, mam::NS, "query", |turn, query| archive::query(turn, &query))?;
        commands::open(s)?;
        s.command(pending::command())?;
        s.host_message(people::hear);
        s.every(people::SWEEP, people::sweep);
        s.on_host_woken(standing::publish_rosters);
        Ok(())
    })
}

fn load(items: &[Item], rules: &Arc<Rules>) -> Channels {
    let of = |shelf: Shelf| items.iter().filter(move |item| item.shelf == shelf);
    let nodes = of(NODES).filter_map(|it| Some((it.key.clone(), super::decode_node(&it.value, &rules.default)?))).collect();
    let subscriptions = of(SUBSCRIPTIONS).filter_map(|it| super::decode_subscription(&it.key, &it.value)).collect();
    let entries = of(INDEX).filter_map(|it| super::decode_entry(&it.key, &it.value)).collect();
    Channels { service: Service::restore(nodes, subscriptions, entries), rules: rules.clone(), waiting: HashMap::new() }
}
