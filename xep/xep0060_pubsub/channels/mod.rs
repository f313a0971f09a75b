//! The service `pubsub.DOMAIN`: channels. One entity with all its nodes, so a request is one turn and one set of writes, whatever
//! nodes and collections it touches; what is announced goes out when that is on disk, and not at all when it cannot be kept.
//!
//! `answer` requests; `standing` what has to be asked elsewhere first (a plan, a roster); `deliver` the news; `items` where payloads
//! lie; `disco`; `archive` (XEP-0442); `people` who answer requests, change their rosters and go; `pending` (8.7).

use std::cell::RefCell;
use std::collections::HashMap;
use std::rc::{Rc, Weak};
use std::sync::Arc;

use iris_core::store::Shelf;
use iris_core::{At, BareJid, Event, GetOrSet, HostTurn, Mount, MountError, StateSlot, Turn};

use super::{self as pubsub, Config, FEATURES, NS, NewItem, OWNER, PUBLIC, Quotas, Request, Service, Shelves, form, social};
use crate::{xep0030_disco as disco, xep0050_commands as commands, xep0313_archive as mam, xep0485_server_info};

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

const SHELVES: Shelves = Shelves {
    nodes: Shelf::map("pubsub_nodes"),
    subscriptions: Shelf::map("pubsub_subscriptions"),
    index: Shelf::map("pubsub_index"),
    moved: Shelf::map("pubsub_moved"),
};
/// The items, by serial; the peer is the number of the node. Read by tasks, never woken.
const ITEMS: Shelf = Shelf::log("pubsub_items");

static CHANNELS: StateSlot<Channels> = StateSlot::new();

/// The service that is awake.
struct Channels {
    service: Service,
    /// Who has a request that waits for an answer from elsewhere: what the same one asks meanwhile waits behind it.
    waiting: Waiting,
    /// A node greets whoever comes online: who is subscribed to one is on `standing::AWAITED`.
    awaits: bool,
    /// Who is on `standing::FLEETING`.
    fleeting: standing::People,
}

/// Each request holds its place until it is answered, or is given up.
#[derive(Default)]
struct Waiting(HashMap<BareJid, Weak<Place>>);

/// What those who hold it wait for.
type Place = RefCell<answer::Wanted>;

/// So many names may be in there whose requests are over.
const STALE_MAX: usize = 256;

impl Waiting {
    fn has(&self, who: &BareJid) -> bool {
        self.0.get(who).is_some_and(|place| place.strong_count() > 0)
    }

    fn hold(&mut self, who: &BareJid) -> Rc<Place> {
        if let Some(place) = self.0.get(who).and_then(Weak::upgrade) {
            return place;
        }
        if self.0.len() >= STALE_MAX {
            self.0.retain(|_, place| place.strong_count() > 0);
        }
        let place = Rc::new(Place::default());
        self.0.insert(who.clone(), Rc::downgrade(&place));
        place
    }
}

/// What the configuration says (`Mount::rules`).
struct Rules {
    quotas: Quotas,
    default: Config,
    pages: mam::Config,
    /// Of the house: accounts there say when they come and go.
    domains: Vec<String>,
}

impl Rules {
    /// Does the service hear when this one comes and goes?
    fn sees(&self, person: &BareJid) -> bool {
        person.node().is_some() && self.domains.iter().any(|domain| domain == person.domain().as_str())
    }
}

/// The service's.
pub fn address(m: &mut Mount<'_>) -> Result<String, MountError> {
    let label = m.config::<Settings>()?.service;
    Ok(format!("{label}.{}", m.domain()))
}

/// In the service's own name; a node that is not there is made with these options (`pubsub#` is added).
pub fn publish(turn: &mut HostTurn<'_>, node: &str, id: &str, payload: Vec<u8>, options: &[(&str, &str)]) {
    let who = answer::stranger(turn.jid);
    let there = turn.state(&CHANNELS).and_then(|it| it.service.node(node));
    // Whoever follows knows it already.
    if there.is_some_and(|node| node.last.as_ref().is_some_and(|last| *last == payload)) {
        return;
    }
    let is_new = there.is_none();
    let fields = options.iter().map(|(var, value)| (format!("pubsub#{var}"), vec![(*value).to_owned()])).collect();
    let options = is_new.then(|| form::Filled { cancelled: false, form_type: super::PUBLISH_OPTIONS.to_owned(), fields });
    let item = Some(NewItem { id: Some(id.to_owned()), payload: Some(payload) });
    if let Err(why) =
        answer::perform(turn, &who, answer::Known::no_more(Ok(())), Request::Publish { node: node.to_owned(), item, options })
    {
        tracing::warn!(
            service = turn.host(),
            node,
            condition = why.condition.as_str(),
            "the service cannot publish in its own node"
        );
    }
}

/// The end of a node of the service's own, if there is one.
pub fn withdraw(turn: &mut HostTurn<'_>, node: &str) {
    let who = answer::stranger(turn.jid);
    let is_ours = turn.state(&CHANNELS).is_some_and(|it| it.service.node(node).is_some_and(|node| node.must_own(&who).is_ok()));
    if is_ours {
        let request = Request::Delete { node: node.to_owned(), redirect: None };
        // It was looked at above: it is there, and ours.
        let _ = answer::perform(turn, &who, answer::Known::no_more(Ok(())), request);
    }
}

pub fn mount(m: &mut Mount<'_>) -> Result<(), MountError> {
    let settings = m.config::<Settings>()?;
    let label = settings.service.clone();
    m.check_label::<Settings>(&label)?;
    let root = pubsub::root(jid(&label, m.domain())?, &settings.default_node());
    let (default, pages) = (settings.default_node(), m.config()?);
    // Whoever has an account in this house may be something to a node of each of its domains.
    let addresses: Arc<[Arc<str>]> = m.domains().iter().map(|domain| format!("{label}.{domain}").into()).collect();
    let domains = m.domains().to_vec();
    for (event, hear) in [
        (Event::RosterChanged, people::roster_changed as fn(&mut Turn<'_>, &Arc<str>)),
        (Event::SessionAvailable, people::available),
        (Event::SessionUnavailable, people::unavailable),
        (Event::SessionEnded, people::unavailable),
    ] {
        let addresses = addresses.clone();
        m.on_event(event, move |turn| addresses.iter().for_each(|service| hear(turn, service)));
    }
    m.on_farewell(move |account, cx| people::farewell(account, addresses.clone(), cx));
    m.serve(&label, |s| {
        s.rules(Rules { quotas: settings.quotas(), default: default.clone(), pages, domains });
        s.named_identity(At::Host, "pubsub", "service", &settings.name);
        for feature in [disco::INFO, disco::ITEMS, NS, PUBLIC, social::FEED, social::GALLERY, commands::NS, "urn:xmpp:ping"]
            .into_iter()
            .chain(archive::FEATURES)
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
            "presence-notifications",
        ];
        for feature in FEATURES.iter().chain(&own) {
            s.feature(At::Host, &format!("{NS}#{feature}"));
        }
        for shelf in SHELVES.all().into_iter().chain([ITEMS]) {
            s.shelf(shelf)?;
        }
        s.host_state(&CHANNELS, &SHELVES.all(), move |items| Channels {
            service: SHELVES.load(items, &default, Some(root.clone())),
            waiting: Waiting::default(),
            awaits: false,
            fleeting: standing::People::default(),
        })?;
        for ns in [NS, OWNER] {
            s.host_iq_named(GetOrSet::Get, ns, "pubsub", |turn, it| answer::answer(turn, &it, false))?;
            s.host_iq_named(GetOrSet::Set, ns, "pubsub", |turn, it| answer::answer(turn, &it, true))?;
        }
        s.host_iq_named(GetOrSet::Get, disco::INFO, "query", |turn, query| disco_nodes::info(turn, &query))?;
        s.host_iq_named(GetOrSet::Get, disco::ITEMS, "query", |turn, query| disco_nodes::items(turn, &query))?;
        s.host_iq_named(GetOrSet::Get, "urn:xmpp:ping", "ping", |_, _| iris_core::Reply::empty())?;
        s.host_iq_named(GetOrSet::Get, mam::NS, "query", |turn, query| archive::form(turn, &query))?;
        s.host_iq_named(GetOrSet::Set, mam::NS, "query", |turn, query| archive::query(turn, &query))?;
        s.host_iq_named(GetOrSet::Get, mam::NS, "metadata", |turn, asked| archive::metadata(turn, &asked))?;
        commands::open(s)?;
        s.command(pending::command())?;
        s.host_message(people::hear);
        s.every(people::SWEEP, people::sweep);
        s.on_host_woken(standing::publish_rosters);
        s.on_host_woken(|turn| standing::publish_awaited(turn, true));
        s.on_host_woken(standing::publish_fleeting);
        xep0485_server_info::serve(s)
    })
}

/// The service's address, of whom nothing is asked.
fn jid(label: &str, domain: &str) -> Result<BareJid, MountError> {
    let wrong = |_| MountError { at: None, text: format!("{label}.{domain} is no address") };
    BareJid::new(&format!("{label}.{domain}")).map_err(wrong)
}
