//! XEP-0163: Personal Eventing Protocol - every account is a publish-subscribe service for those who see its presence.
//! Spec 1.2.2, https://xmpp.org/extensions/xep-0163.html. Not done: the `replyto` of section 4.3.1 (a SHOULD); the last item
//! for whoever is no contact when a node becomes open (XEP-0060 12.2, 5). A stranger who asks for a node that is not there hears what those
//! hear who ask for nobody.
//!
//! The state machine is XEP-0060's; here is what an account adds: who is what to its owner, where nodes and items are kept
//! (`SHELVES`), who is told of news (`deliver`), who gets the last item (`last`) and pages of what a node holds (`archive`,
//! XEP-0442). Payloads are read by tasks when somebody asks;
//! in memory are the nodes, the index of items and small last payloads.

pub(crate) mod archive;
mod deliver;
mod last;
mod satellites;
#[cfg(test)]
pub(crate) mod tests;

pub use last::send_last;
pub use satellites::{last_serial, publish, retract, with_last};

use std::collections::HashMap;
use std::sync::Arc;

use bytes::Bytes;
use iris_core::store::{Read, Rows, Shelf};
use iris_core::task::{Cx, Finish, TaskFuture};
use iris_core::xml::{Build, El};
use iris_core::{
    At, BareJid, Bounce, Card, Condition, Disco, Event, Flow, GetOrSet, Jid, Kind, Mount, MountError, Relation, Reply, Room,
    StateSlot, Status, Step, Turn, ns,
};
use serde::Deserialize;

use crate::{xep0060_pubsub as pubsub, xep0313_archive as mam};
use pubsub::{Answer, Asker, Change, Config, Context, Fetch, Outcome, Quotas, Request, Service, Shelves, Standing, event};

pub const ROOM: Room = Room {
    card: Card {
        xep: Some(163),
        name: "Personal Eventing Protocol",
        version: "1.2.2",
        status: Status::Partial,
        needs: &[30, 60, 115],
    },
    mount,
};

#[derive(Clone, Deserialize)]
#[serde(default, deny_unknown_fields)]
struct Settings {
    nodes_max: usize,
    items_max: usize,
    total_size_bytes_max: usize,
    item_size_bytes_max: usize,
    subscriptions_per_node_max: usize,
}

impl Default for Settings {
    fn default() -> Settings {
        Settings {
            nodes_max: 1_000,
            items_max: 10_000,
            total_size_bytes_max: 16 * 1024 * 1024,
            item_size_bytes_max: 192 * 1024,
            subscriptions_per_node_max: 1_000,
        }
    }
}

impl iris_core::mount::Settings for Settings {
    const TABLE: &'static str = "pep";
    const REFERENCE: &'static str = "\
# Nodes of one account, and items in all of them; also the meaning of pubsub#max_items = max.
nodes_max = 1000
items_max = 10000
# All items of one account together, and one of them, in bytes.
total_size_bytes_max = 16777216
item_size_bytes_max = 196608
# Explicit subscriptions of one node.
subscriptions_per_node_max = 1000
";
}

pub const SHELVES: Shelves = Shelves {
    nodes: Shelf::map("pep_nodes"),
    subscriptions: Shelf::map("pep_subscriptions"),
    index: Shelf::map("pep_index"),
    moved: Shelf::map("pep_moved"),
};
/// Key: `pubsub::serial_key`; what an item holds. Never woken.
pub const ITEMS: Shelf = Shelf::map("pep_items");

/// The service of an account that is awake.
pub struct Pep {
    pub service: Service,
}

/// What the configuration says (`Mount::rules`).
struct Rules {
    quotas: Quotas,
    /// Section 5.
    default: Config,
}

pub static PEP: StateSlot<Pep> = StateSlot::new();

fn mount(m: &mut Mount<'_>) -> Result<(), MountError> {
    let settings: Settings = m.config()?;
    let quotas = Quotas {
        is_service: false,
        children_max: 0,
        nodes_max: settings.nodes_max,
        items_max: settings.items_max,
        items_per_node_max: settings.items_max,
        total_size_bytes_max: settings.total_size_bytes_max,
        item_size_bytes_max: settings.item_size_bytes_max,
        subscriptions_per_node_max: settings.subscriptions_per_node_max,
        ..Quotas::NONE
    };
    let default = Config::base(settings.item_size_bytes_max);
    m.rules(Rules { quotas, default: default.clone() });
    m.identity(At::Account, "pubsub", "pep", None);
    // The domain names them too: Smack looks nowhere else before it offers OMEMO or keeps an OpenPGP key.
    for at in [At::Account, At::Host] {
        m.feature(at, pubsub::NS);
    }
    let own = [
        "access-authorize",
        "access-open",
        "access-presence",
        "access-roster",
        "access-whitelist",
        "auto-create",
        "auto-subscribe",
        "filtered-notifications",
        "presence-subscribe",
        "pubsub-on-a-jid",
    ];
    for feature in pubsub::FEATURES.iter().chain(&own) {
        for at in [At::Account, At::Host] {
            m.feature(at, &format!("{}#{feature}", pubsub::NS));
        }
    }
    for shelf in SHELVES.all().into_iter().chain([ITEMS]) {
        m.shelf(shelf)?;
    }
    m.state(&PEP, &SHELVES.all(), move |items| Pep { service: SHELVES.load(items, &default, None) })?;
    for ns in [pubsub::NS, pubsub::OWNER] {
        m.iq_named(At::Account, GetOrSet::Get, ns, "pubsub", |turn, it| answer(turn, &it, false))?;
        m.iq_named(At::Account, GetOrSet::Set, ns, "pubsub", |turn, it| answer(turn, &it, true))?;
    }
    // XEP-0442. Whoever is not the account itself; the account's own questions come by XEP-0313's room.
    let pages: mam::Config = m.config()?;
    m.iq_named(At::Account, GetOrSet::Get, mam::NS, "query", |turn, it| archive::form(turn, &it))?;
    m.iq_named(At::Account, GetOrSet::Set, mam::NS, "query", move |turn, it| archive::query(turn, &it, &pages))?;
    m.iq_named(At::Account, GetOrSet::Get, mam::NS, "metadata", |turn, it| archive::metadata(turn, &it))?;
    m.disco_node(disco_node);
    m.account_items(disco_items);
    m.on(Step::Probed, last::probed);
    m.on_event(Event::Interested, last::interested);
    m.on_event(Event::RosterChanged, roster_changed);
    let form = m.name(ns::DATA_FORMS, "x");
    m.on(Step::ReceivedGuard, move |turn| approve(turn, form));
    Ok(())
}

// --- who asks -------------------------------------------------------------------------------------------------------------

/// What somebody is to this account.
pub fn asker(turn: &Turn<'_>, jid: &Jid) -> Asker {
    let bare = jid.to_bare();
    let relation = if bare == *turn.account.jid() { Relation::Own } else { turn.account.relation(&bare) };
    let standing = match relation {
        Relation::Own => Standing::Host,
        relation if relation.sees_us() => Standing::Watcher { groups: turn.account.groups(&bare) },
        _ => Standing::Stranger,
    };
    Asker { jid: jid.clone(), bare, standing }
}

/// Is there a node that this one may read?
pub fn shows_something(turn: &mut Turn<'_>, jid: &Jid) -> bool {
    let who = asker(turn, jid);
    turn.state(&PEP).is_some_and(|pep| pep.service.nodes().any(|(_, node)| node.may_read(&who).is_ok()))
}

// --- requests -------------------------------------------------------------------------------------------------------------

fn answer(turn: &mut Turn<'_>, pubsub: &El<'_>, set: bool) -> Reply {
    let Some(from) = turn.caller().map(|caller| caller.jid) else { return Bounce::nobody().into() };
    let who = asker(turn, &from);
    let request = Request::parse(pubsub, set);
    if who.standing == Standing::Stranger && !concerns(turn, &who, request.as_ref().ok()) {
        return Bounce::nobody().into();
    }
    match request {
        Ok(request) => serve(turn, who, request, FETCHES_MAX),
        Err(why) => why.into(),
    }
}

/// May a stranger know that somebody is here (security B10)? Only when it is about a node that is.
fn concerns(turn: &mut Turn<'_>, who: &Asker, request: Option<&Request>) -> bool {
    let Some(pep) = turn.state(&PEP) else { return false };
    match request.map(Request::node) {
        Some(Some(node)) => pep.service.node(node).is_some(),
        Some(None) => pep
            .service
            .nodes()
            .any(|(_, node)| node.affiliations.contains_key(&who.bare) || !node.subscriptions.of(&who.bare).is_empty()),
        None => false,
    }
}

/// What was done to a node, for the rooms that live on it (`satellites`).
pub enum Happened<'a> {
    Published {
        node: &'a str,
        payload: &'a [u8],
    },
    /// `was_last`: it was the node's last item, so that another one is it now, or none.
    Retracted {
        node: &'a str,
        was_last: bool,
    },
    /// Purged or deleted.
    Emptied {
        node: &'a str,
    },
    /// Made, or given other options: others may read it now.
    Configured {
        node: &'a str,
    },
}

impl Happened<'_> {
    pub fn node(&self) -> &str {
        match self {
            Happened::Published { node, .. }
            | Happened::Retracted { node, .. }
            | Happened::Emptied { node }
            | Happened::Configured { node } => node,
        }
    }
}

/// How often items are read anew because they were replaced while they were read.
const FETCHES_MAX: u8 = 3;

fn serve(turn: &mut Turn<'_>, who: Asker, request: Request, fetches: u8) -> Reply {
    let again = matches!(request, Request::Items { .. }).then(|| request.clone());
    let watched = satellites::watched(turn, &request);
    let opened = last::closed(turn, &who, &request);
    let answer = match ask(turn, &who, request) {
        Err(why) => return why.into(),
        Ok(outcome) => settle(turn, &who, outcome),
    };
    if let Some(done) = watched {
        satellites::tell(turn, &done);
    }
    if let Some((node, before)) = opened {
        last::opened(turn, &node, &before);
    }
    match answer {
        Answer::Payload(xml) => Reply::Result(xml),
        Answer::Items(fetch) => read_items(turn, who, fetch, again, fetches),
    }
}

/// One request through the state machine, in this turn.
fn ask(turn: &mut Turn<'_>, who: &Asker, request: Request) -> Result<Outcome, Bounce> {
    let (house, now, service) = (turn.house, turn.now, turn.me().to_string());
    let mint = move || house.clock.mint(now).0;
    sweep(turn);
    let others = others(turn, &request);
    let rules = turn.doors.rules::<Rules>();
    let Some((pep, rules)) = turn.state(&PEP).zip(rules) else { return Err(Bounce::new(Condition::InternalServerError)) };
    // XEP-0163 4.1: the account owns what is here, and nobody else makes nodes.
    let may_create = if who.is_host() { Ok(()) } else { Err(Bounce::new(Condition::Forbidden)) };
    let cx = Context {
        quotas: &rules.quotas,
        default: &rules.default,
        who,
        others: &others,
        may_create,
        host: Some(&service),
        // Of contacts it hears as their sessions do, by their wish for news: that is finer than any option.
        sees: &|_| false,
        now_us: now.wall_us,
        service: &service,
        mint: &mint,
    };
    pep.service.ask(&cx, request)
}

/// Leases and items that are over. An account sleeps when nobody asks, so they go before anything is answered: nobody sees them.
fn sweep(turn: &mut Turn<'_>) {
    let now_us = turn.now.wall_us;
    let Some(pep) = turn.state(&PEP) else { return };
    let over = [pep.service.end_leases(now_us), pep.service.end_items(now_us)];
    for outcome in over.into_iter().flatten() {
        let host = host(turn);
        settle(turn, &host, outcome);
    }
}

/// What the subscribers of a node are to us, where the request may close it to them.
fn others(turn: &mut Turn<'_>, request: &Request) -> HashMap<BareJid, Standing> {
    let (Request::SetConfig { node, .. } | Request::SetAffiliations { node, .. }) = request else { return HashMap::new() };
    let people = |pep: &mut Pep| -> Vec<BareJid> {
        let node = pep.service.node(node);
        node.into_iter().flat_map(|node| node.subscriptions.people()).map(|(person, _)| person.clone()).collect()
    };
    let people = turn.state(&PEP).map(people).unwrap_or_default();
    people.into_iter().map(|person| (person.clone(), asker(turn, &person.into()).standing)).collect()
}

/// Keep what is to be kept, and tell who is to be told.
fn settle(turn: &mut Turn<'_>, who: &Asker, outcome: Outcome) -> Answer {
    let owner = turn.account.owner();
    for change in outcome.changes {
        turn.write(SHELVES.write(owner, &change));
        match change {
            Change::PutItem(kept) => turn.put(ITEMS, &pubsub::serial_key(kept.entry.serial), kept.payload),
            Change::DeleteItem(serial) => turn.delete(ITEMS, &pubsub::serial_key(serial)),
            _ => {}
        }
    }
    for notice in outcome.notices {
        deliver::tell(turn, who, notice, outcome.removed.first().map(|(_, node)| node));
    }
    outcome.answer
}

/// The payloads come from disk. What was replaced meanwhile is not there any more: then the question is asked again.
fn read_items(turn: &mut Turn<'_>, who: Asker, fetch: Fetch, request: Option<Request>, fetches: u8) -> Reply {
    let service = turn.me().to_string();
    let owner = turn.account.owner();
    let keys: Arc<[Arc<str>]> = fetch.entries().map(|entry| Arc::from(pubsub::serial_key(entry.serial))).collect();
    if keys.is_empty() {
        return Reply::Result(event::items(&fetch, &service, |_| None));
    }
    let count = keys.len();
    Reply::Task(Box::new(move |cx: Cx| -> TaskFuture {
        Box::pin(async move {
            let found: Vec<(Arc<str>, Bytes)> = match cx.read(Read::Values { owner, shelf: ITEMS, keys }).await {
                Ok(Rows::Map(found)) => found,
                Ok(_) => return Finish::Error(Bounce::new(Condition::InternalServerError)),
                Err(error) => return Finish::Error(error.into()),
            };
            if let Some(request) = request.filter(|_| found.len() < count && fetches > 1) {
                return Finish::Turn(Box::new(move |turn| {
                    let who = asker(turn, &who.jid);
                    serve(turn, who, request, fetches - 1)
                }));
            }
            let payload = |key: String| found.iter().find(|(at, _)| **at == *key).map(|(_, payload)| payload.clone());
            let result = event::items(&fetch, &service, |entry| payload(pubsub::serial_key(entry.serial)));
            Finish::Answer { before: Vec::new(), result }
        })
    }))
}

// --- disco ----------------------------------------------------------------------------------------------------------------

/// XEP-0060 5.3, 5.4, 5.5.
fn disco_node(turn: &mut Turn<'_>, disco: Disco, node: &str) -> Option<String> {
    sweep(turn);
    let who = asker(turn, &turn.caller()?.jid);
    let (me, host) = (turn.me().to_string(), turn.me().clone());
    let pep = turn.state(&PEP)?;
    if disco == Disco::Info {
        return pep.service.describe(node, &who, Some(&host), &[mam::NS, "urn:xmpp:mam:2#extended"]);
    }
    let node = pep.service.node(node)?;
    node.may_read(&who).ok()?;
    let mut xml = Build::new();
    // The newest: a list without pages is for people to look at.
    for entry in node.entries.iter().rev().take(pubsub::PAGE_ITEMS_MAX).rev() {
        xml.open("item").attr("jid", &me).attr("name", &entry.id).close();
    }
    Some(String::from_utf8_lossy(&xml.finish()).into_owned())
}

/// XEP-0060 5.2, section 6.2.
fn disco_items(turn: &mut Turn<'_>) -> String {
    let Some(caller) = turn.caller() else { return String::new() };
    let who = asker(turn, &caller.jid);
    let me = turn.me().to_string();
    let Some(pep) = turn.state(&PEP) else { return String::new() };
    let mut xml = Build::new();
    for (name, node) in pep.service.visible(&who) {
        let title = (!node.config.title.is_empty()).then_some(&*node.config.title);
        xml.open("item").attr("jid", &me).attr("node", name).attr_opt("name", title).close();
    }
    String::from_utf8_lossy(&xml.finish()).into_owned()
}

// --- what else changes a service --------------------------------------------------------------------------------------------

/// Section 7.1: access is what the roster says, from now on.
fn roster_changed(turn: &mut Turn<'_>) {
    let Some(contact) = turn.subject.clone() else { return };
    let who = asker(turn, &Jid::from(contact));
    let Some(outcome) = turn.state(&PEP).and_then(|pep| pep.service.review(&who)) else { return };
    let host = host(turn);
    settle(turn, &host, outcome);
}

/// XEP-0060 8.6: an owner answers a request for a subscription.
fn approve(turn: &mut Turn<'_>, form: iris_core::xml::NameId) -> Flow {
    let Some(envelope) = turn.envelope.as_deref() else { return Flow::Go };
    if envelope.stanza.kind() != Kind::Message || envelope.to.resource().is_some() {
        return Flow::Go;
    }
    let Some(child) = envelope.stanza.child(form) else { return Flow::Go };
    let Some(approval) = pubsub::Approval::parse(&envelope.stanza.child_el(child)) else { return Flow::Go };
    let from = envelope.from.clone();
    let who = asker(turn, &from);
    match turn.state(&PEP).and_then(|pep| pep.service.approve(&who, &approval)) {
        Some(outcome) => {
            settle(turn, &who, outcome);
            Flow::Drop("the answer to a request for a subscription")
        }
        None => Flow::Go,
    }
}

/// The account itself, as an asker.
fn host(turn: &Turn<'_>) -> Asker {
    let bare: BareJid = turn.account.jid().clone();
    Asker { jid: bare.clone().into(), bare, standing: Standing::Host }
}
