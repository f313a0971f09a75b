//! The service: its nodes, what it may hold, and the way of a request through it.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::sync::Arc;

use bytes::Bytes;
use iris_core::xml::Build;
use iris_core::{BareJid, Bounce, Jid};

use super::config::{Config, ItemReply, Notification};
use super::moved::{self, Moved};
use super::node::{Entry, Node};
use super::presence::Watched;
use super::public;
use super::request::Request;
use super::root::ROOT;
use super::{Asker, NS, NodeType, OWNER, Standing, Subject, Subscription, error, stored};
use crate::xep0059_rsm as rsm;

/// What one service may hold (D3): nodes, items and bytes are counted for whoever has made the nodes.
#[derive(Clone, Debug)]
pub struct Quotas {
    /// A service of its own, and not an account: there are collections (XEP-0248), and items expire.
    pub is_service: bool,
    /// Of everybody together.
    pub all_nodes_max: usize,
    pub all_items_max: usize,
    pub nodes_max: usize,
    pub items_max: usize,
    pub items_per_node_max: usize,
    pub total_size_bytes_max: usize,
    pub item_size_bytes_max: usize,
    pub subscriptions_per_node_max: usize,
    /// Of all people whose presence is not seen and who are of the same domain, to one node: who is no person of this house.
    pub subscriptions_per_server_max: usize,
    /// Of one person, with their resources, to one node.
    pub subscriptions_per_person_max: usize,
    pub affiliations_per_node_max: usize,
    /// Nodes in one collection.
    pub children_max: usize,
    /// Of one answer.
    pub page_items_max: usize,
    pub page_size_bytes_max: usize,
}

impl Quotas {
    /// Of a service whose configuration says nothing: what has a bound of its own has it.
    pub const NONE: Quotas = Quotas {
        is_service: true,
        all_nodes_max: usize::MAX,
        all_items_max: usize::MAX,
        nodes_max: usize::MAX,
        items_max: usize::MAX,
        items_per_node_max: usize::MAX,
        total_size_bytes_max: usize::MAX,
        item_size_bytes_max: usize::MAX,
        subscriptions_per_node_max: usize::MAX,
        subscriptions_per_server_max: usize::MAX,
        subscriptions_per_person_max: SUBSCRIPTIONS_PER_PERSON_MAX,
        affiliations_per_node_max: AFFILIATIONS_PER_NODE_MAX,
        children_max: usize::MAX,
        page_items_max: PAGE_ITEMS_MAX,
        page_size_bytes_max: PAGE_SIZE_BYTES_MAX,
    };
}

/// To one node: a resource is any text, so addresses are for nothing.
const SUBSCRIPTIONS_PER_PERSON_MAX: usize = 16;
const AFFILIATIONS_PER_NODE_MAX: usize = 1_000;
/// One answer: well below what a session's queue holds.
pub const PAGE_ITEMS_MAX: usize = 1_000;
const PAGE_SIZE_BYTES_MAX: usize = 1024 * 1024;

/// What a request comes with.
pub struct Context<'a> {
    pub quotas: &'a Quotas,
    /// The options of a new node.
    pub default: &'a Config,
    pub who: &'a Asker,
    /// What the subscribers of the node are, where the request may close it to them (4.5). Who is not in there is a stranger.
    pub others: &'a HashMap<BareJid, Standing>,
    /// Whether `who` may make a node (8.1.1), or why not.
    pub may_create: Result<(), Bounce>,
    /// The account whose nodes all of these are.
    pub host: Option<&'a str>,
    /// Whether the service hears when somebody comes and goes: then subscriptions may depend on it.
    pub sees: &'a dyn Fn(&BareJid) -> bool,
    /// Microseconds since 1970.
    pub now_us: u64,
    /// The service itself.
    pub service: &'a str,
    /// Ids of the house clock: ascending, each once.
    pub mint: &'a dyn Fn() -> u64,
}

/// What follows from a request: all of it, or an error and nothing.
#[derive(Debug)]
pub struct Outcome {
    pub answer: Answer,
    pub changes: Vec<Change>,
    pub notices: Vec<Notice>,
    /// Who was to be told of the end of these nodes can be read here.
    pub removed: Vec<(Arc<str>, Node)>,
}

#[derive(Debug)]
pub enum Answer {
    /// The payload of the iq's result; empty for none.
    Payload(String),
    /// The payloads of these items are to be read first.
    Items(Fetch),
}

/// Items on their way to whoever has asked.
#[derive(Debug)]
pub struct Fetch {
    /// What was asked for.
    pub node: Arc<str>,
    /// Of a leaf one; of a collection one for each leaf that has some.
    pub lists: Vec<Listed>,
    /// The asker is told what else there is.
    pub page: Option<rsm::Given>,
}

/// Items of one node, as it shows them.
#[derive(Debug)]
pub struct Listed {
    pub node: Arc<str>,
    pub reply: ItemReply,
    pub entries: Vec<Entry>,
}

impl Listed {
    pub fn new(name: &Arc<str>, node: &Node, entries: Vec<Entry>) -> Listed {
        Listed { node: name.clone(), reply: node.config.item_reply, entries }
    }
}

impl Fetch {
    pub fn entries(&self) -> impl Iterator<Item = &Entry> {
        self.lists.iter().flat_map(|list| &list.entries)
    }
}

/// What is to be kept.
#[derive(Debug, PartialEq)]
pub enum Change {
    PutNode(Arc<str>, Bytes),
    DeleteNode(Arc<str>),
    /// By `stored::subscription_key`.
    PutSubscription(String, Bytes),
    DeleteSubscription(String),
    PutItem(Box<Kept>),
    DeleteItem(u64),
    /// Of a node that is not there any more.
    PutMoved(Arc<str>, Bytes),
    DeleteMoved(Arc<str>),
}

/// An item that is to be kept.
#[derive(Debug, PartialEq)]
pub struct Kept {
    pub node: Arc<str>,
    /// `Node::created_us`: the same name may come again.
    pub node_number: u64,
    pub entry: Entry,
    pub payload: Bytes,
}

/// Whom to tell what.
#[derive(Debug, PartialEq)]
pub enum Notice {
    /// To everybody who is subscribed, in whatever way: `xml` stands inside `<event/>`; `body` beside it, for who wants it.
    News { node: Arc<str>, xml: String, kind: Notification, subject: Subject, body: Option<String> },
    /// To those subscribed to a collection, or to one above it: this node came, or went.
    OfCollection { collection: Arc<str>, node: Arc<str>, xml: String, kind: Notification },
    /// To one address: `xml` is what the message holds.
    Message { to: Jid, xml: String, kind: Notification },
    /// To the node's owners, wherever they listen.
    Owners { node: Arc<str>, xml: String, id: String },
    /// The last item, to a new subscriber (6.1.7).
    Last { node: Arc<str>, to: Jid },
}

impl Outcome {
    pub fn empty() -> Outcome {
        Outcome::payload(String::new())
    }

    pub fn payload(xml: String) -> Outcome {
        Outcome { answer: Answer::Payload(xml), changes: Vec::new(), notices: Vec::new(), removed: Vec::new() }
    }

    pub fn build(xml: Build) -> Outcome {
        Outcome::payload(text(xml))
    }
}

pub fn text(xml: Build) -> String {
    String::from_utf8_lossy(&xml.finish()).into_owned()
}

/// What somebody's nodes hold.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Usage {
    pub nodes: usize,
    pub items: usize,
    pub bytes: usize,
}

#[derive(Debug, Default)]
pub struct Service {
    pub(super) nodes: BTreeMap<Arc<str>, Node>,
    /// By creator.
    usage: HashMap<BareJid, Usage>,
    items: usize,
    /// How many of the nodes are lists of followers (XEP-0465).
    pub(super) lists: usize,
    /// No lease ends before this moment.
    next_lease_us: Option<u64>,
    /// What is in a collection. The nodes themselves say it; this is the way down.
    pub(super) children: HashMap<Arc<str>, BTreeSet<Arc<str>>>,
    /// Where nodes went that were deleted.
    pub(super) moved: moved::ByName,
    /// What goes with presence.
    pub(super) watched: Watched,
}

impl Service {
    /// As it was kept: nodes by name, subscriptions by the number of their node, entries with the name of it, where nodes went.
    pub fn restore(
        nodes: Vec<(Arc<str>, Node)>,
        subscriptions: Vec<(u64, Subscription)>,
        mut entries: Vec<(Arc<str>, Entry)>,
        moved: Vec<(Arc<str>, Moved)>,
    ) -> Service {
        let mut service = Service { moved: moved.into_iter().collect(), ..Service::default() };
        let names: HashMap<u64, Arc<str>> = nodes.iter().map(|(name, node)| (node.created_us, name.clone())).collect();
        for (name, node) in nodes {
            service.link(name, node);
        }
        for (number, subscription) in subscriptions {
            let name = names.get(&number);
            if let Some((name, node)) = name.and_then(|name| Some((name, service.nodes.get_mut(name)?))) {
                if node.is_fleeting(&subscription) {
                    service.watched.tie(name, &subscription.jid);
                }
                service.next_lease_us = earlier(service.next_lease_us, subscription.options.expire_us);
                let person = subscription.jid.to_bare();
                node.subscriptions.put(subscription);
                node.review_follower(&person);
            }
        }
        entries.sort_unstable_by_key(|(_, entry)| entry.serial);
        for (name, entry) in entries {
            if let Some(node) = service.nodes.get_mut(&name) {
                let usage = service.usage.entry(node.creator.clone()).or_default();
                usage.items += 1;
                usage.bytes += entry.weight();
                service.items += 1;
                if node.config.purge_offline {
                    service.watched.count_in(&name, &entry);
                }
                node.push(entry);
            }
        }
        service
    }

    /// Of the nodes that this one has made.
    pub fn usage(&self, creator: &BareJid) -> Usage {
        self.usage.get(creator).copied().unwrap_or_default()
    }

    pub fn node(&self, name: &str) -> Option<&Node> {
        self.nodes.get(name)
    }

    /// But for those that the service makes of itself.
    pub fn nodes(&self) -> impl Iterator<Item = (&Arc<str>, &Node)> {
        self.nodes.iter().filter(|(name, _)| &***name != ROOT && !public::is_reserved(name))
    }

    /// How many that is.
    pub(super) fn count(&self) -> usize {
        self.nodes.len() - self.lists - usize::from(self.has_root())
    }

    pub fn ask(&mut self, cx: &Context<'_>, request: Request) -> Result<Outcome, Bounce> {
        if request.node() == Some(ROOT) {
            self.may_ask_root(&request)?;
        }
        if let Some(answer) = cx.quotas.is_service.then(|| self.ask_list(cx, &request)).flatten() {
            return answer;
        }
        match request {
            Request::Subscribe { node, jid, options, public } => self.subscribe(cx, &node, jid, options.as_ref(), public),
            Request::Unsubscribe { node, jid } => self.unsubscribe(cx, &node, &jid),
            Request::GetOptions { node, jid } => self.get_options(cx, &node, &jid),
            Request::SetOptions { node, jid, form } => self.set_options(cx, &node, &jid, &form),
            Request::DefaultOptions { node } => self.default_options(cx, node.as_deref()),
            Request::Associate { .. } | Request::GetDefault { collection: true } if !cx.quotas.is_service => {
                Err(error::unsupported("collections"))
            }
            Request::Associate { collection, node, is } => self.associate(cx, &collection, &node, is),
            Request::Subscriptions { node, page } => self.own_subscriptions(cx, node.as_deref(), page.as_ref()),
            Request::Affiliations { node, page } => self.own_affiliations(cx, node.as_deref(), page.as_ref()),
            Request::Items { node, ids, newest, page } => self.retrieve(cx, &node, &ids, newest, page),
            Request::Publish { node, item, options } => self.publish(cx, &node, item, options.as_ref()),
            Request::Retract { node, ids, notify } => self.retract(cx, &node, &ids, notify),
            Request::Create { node, config } => self.create(cx, node, config.as_ref()),
            Request::GetConfig { node } => self.get_config(cx, &node),
            Request::SetConfig { node, form } => self.set_config(cx, &node, &form),
            Request::GetDefault { collection } => {
                let node_type = if collection { NodeType::Collection } else { NodeType::Leaf };
                let mut xml = Build::new();
                xml.open_ns("pubsub", OWNER).open("default");
                Config { node_type, ..cx.default.clone() }.write_form(&mut xml, cx.quotas);
                Ok(Outcome::build(xml))
            }
            Request::Delete { node, redirect } => self.delete(cx, &node, redirect.as_deref()),
            Request::Purge { node } => self.purge(cx, &node),
            Request::GetSubscriptions { node, page } => self.get_subscriptions(cx, &node, page.as_ref()),
            Request::SetSubscriptions { node, changes } => self.set_subscriptions(cx, &node, changes),
            Request::GetAffiliations { node, page } => self.get_affiliations(cx, &node, page.as_ref()),
            Request::SetAffiliations { node, changes } => self.set_affiliations(cx, &node, changes),
        }
    }

    pub(super) fn known(&self, name: &str) -> Result<(Arc<str>, &Node), Bounce> {
        self.nodes.get_key_value(name).map(|(name, node)| (name.clone(), node)).ok_or_else(|| self.missing(name))
    }

    pub(super) fn known_mut(&mut self, name: &str) -> Result<&mut Node, Bounce> {
        self.nodes.get_mut(name).ok_or_else(error::not_found)
    }

    // --- items: the only places where they come and go --------------------------------------------------------------------

    pub(super) fn add(&mut self, name: &Arc<str>, entry: Entry, payload: &Bytes, changes: &mut Vec<Change>) {
        let Some(node) = self.nodes.get_mut(name) else { return };
        let usage = self.usage.entry(node.creator.clone()).or_default();
        usage.items += 1;
        usage.bytes += entry.weight();
        self.items += 1;
        changes.push(Change::PutItem(Box::new(Kept {
            node: name.clone(),
            node_number: node.created_us,
            entry: entry.clone(),
            payload: payload.clone(),
        })));
        if node.config.purge_offline {
            self.watched.count_in(name, &entry);
        }
        node.push(entry);
        node.last = (payload.len() <= LAST_SIZE_BYTES_MAX).then(|| payload.clone());
    }

    /// The payload of the item with that serial was read. False: it is not the last one of its node any more.
    pub fn hold_last(&mut self, name: &str, serial: u64, payload: &Bytes) -> bool {
        let Some(node) = self.nodes.get_mut(name) else { return false };
        let is_last = node.entries.last().is_some_and(|entry| entry.serial == serial);
        if is_last && payload.len() <= LAST_SIZE_BYTES_MAX {
            node.last = Some(payload.clone());
        }
        is_last
    }

    pub(super) fn drop_entry(&mut self, name: &str, at: usize, changes: &mut Vec<Change>) -> Option<Entry> {
        let node = self.nodes.get_mut(name)?;
        let entry = node.remove(at)?;
        let (creator, passes) = (node.creator.clone(), node.config.purge_offline);
        self.dropped(name, &creator, passes, &entry, changes);
        Some(entry)
    }

    pub(super) fn drop_all(&mut self, name: &str, changes: &mut Vec<Change>) {
        let Some(node) = self.nodes.get_mut(name) else { return };
        let (entries, creator, passes) = (node.clear(), node.creator.clone(), node.config.purge_offline);
        entries.iter().for_each(|entry| self.dropped(name, &creator, passes, entry, changes));
    }

    fn dropped(&mut self, name: &str, creator: &BareJid, passes: bool, entry: &Entry, changes: &mut Vec<Change>) {
        self.items = self.items.saturating_sub(1);
        if let Some(usage) = self.usage.get_mut(creator) {
            usage.items = usage.items.saturating_sub(1);
            usage.bytes = usage.bytes.saturating_sub(entry.weight());
        }
        if passes {
            self.watched.count_out(name, entry);
        }
        changes.push(Change::DeleteItem(entry.serial));
    }

    /// Is there room for one more of that weight in this one's nodes, when one of `freed` weight goes?
    pub(super) fn has_room(
        &self,
        quotas: &Quotas,
        creator: &BareJid,
        weight: usize,
        freed: Option<usize>,
    ) -> Result<(), Bounce> {
        let usage = self.usage(creator);
        let more = usize::from(freed.is_none());
        if usage.items + more > quotas.items_max && more > 0 {
            return Err(error::quota(format!("all nodes of {creator} hold {} items, as many as they may", usage.items)));
        }
        if self.items + more > quotas.all_items_max && more > 0 {
            return Err(error::quota(format!("this service holds {} items, as many as it may", self.items)));
        }
        let bytes = (usage.bytes + weight).saturating_sub(freed.unwrap_or(0));
        // What makes it less may always be done.
        if bytes > quotas.total_size_bytes_max && bytes > usage.bytes {
            let most = quotas.total_size_bytes_max;
            return Err(error::quota(format!("the items of all nodes of {creator} may have {most} bytes")));
        }
        Ok(())
    }

    // --- nodes ------------------------------------------------------------------------------------------------------------

    pub(super) fn insert(&mut self, name: Arc<str>, node: Node, changes: &mut Vec<Change>) {
        changes.push(Change::PutNode(name.clone(), stored::encode_node(&node)));
        self.link(name, node);
    }

    pub(super) fn link(&mut self, name: Arc<str>, node: Node) {
        if public::is_reserved(&name) {
            self.lists += 1;
        } else if *name != *ROOT {
            self.usage.entry(node.creator.clone()).or_default().nodes += 1;
        }
        for collection in &node.config.collections {
            self.children.entry(Arc::from(collection.as_str())).or_default().insert(name.clone());
        }
        self.nodes.insert(name, node);
    }

    /// The end of a node, when its items are gone.
    pub(super) fn unlink(&mut self, name: &Arc<str>, changes: &mut Vec<Change>) -> Option<Node> {
        let node = self.nodes.remove(name)?;
        if public::is_reserved(name) {
            self.lists = self.lists.saturating_sub(1);
        } else if let Some(usage) = self.usage.get_mut(&node.creator) {
            usage.nodes = usage.nodes.saturating_sub(1);
            if *usage == Usage::default() {
                self.usage.remove(&node.creator);
            }
        }
        self.leave(name, &node.config.collections);
        node.subscriptions.iter().for_each(|it| self.watched.untie(name, &it.jid));
        if !node.in_one_piece {
            let keys = node.subscriptions.iter().map(|it| stored::subscription_key(&node, &it.jid));
            changes.extend(keys.map(Change::DeleteSubscription));
        }
        changes.push(Change::DeleteNode(name.clone()));
        Some(node)
    }

    pub(super) fn leave(&mut self, name: &str, collections: &[String]) {
        for collection in collections {
            if let Some(children) = self.children.get_mut(collection.as_str()) {
                children.remove(name);
                if children.is_empty() {
                    self.children.remove(collection.as_str());
                }
            }
        }
    }

    pub(super) fn enter(&mut self, name: &Arc<str>, collections: &[String]) {
        for collection in collections {
            self.children.entry(Arc::from(collection.as_str())).or_default().insert(name.clone());
        }
    }

    pub(super) fn keep(&mut self, name: &Arc<str>, changes: &mut Vec<Change>) {
        let Some(node) = self.nodes.get_mut(name) else { return };
        if std::mem::take(&mut node.in_one_piece) {
            for it in node.subscriptions.iter() {
                changes.push(Change::PutSubscription(stored::subscription_key(node, &it.jid), stored::encode_subscription(it)));
            }
        }
        changes.push(Change::PutNode(name.clone(), stored::encode_node(node)));
    }

    /// Is it time to look for leases that are over?
    pub(super) fn has_lease_until(&self, now_us: u64) -> bool {
        self.next_lease_us.is_some_and(|next| next <= now_us)
    }

    /// All that were over are gone.
    pub(super) fn seek_next_lease(&mut self) {
        let all = self.nodes.values().flat_map(|node| node.subscriptions.iter());
        self.next_lease_us = all.filter_map(|it| it.options.expire_us).min();
    }

    /// The subscription of an address is as it is now, or is not there.
    pub(super) fn keep_subscription(&mut self, name: &Arc<str>, jid: &Jid, outcome: &mut Outcome) {
        outcome.notices.extend(self.review_list(name, &jid.to_bare()));
        if self.nodes.get(name).is_some_and(|node| node.in_one_piece) {
            self.keep(name, &mut outcome.changes);
        }
        let Some(node) = self.nodes.get(name) else { return };
        let expire_us = node.subscriptions.get(jid).and_then(|it| it.options.expire_us);
        self.next_lease_us = earlier(self.next_lease_us, expire_us);
        match node.subscriptions.get(jid).is_some_and(|it| node.is_fleeting(it)) {
            true => self.watched.tie(name, jid),
            false => self.watched.untie(name, jid),
        }
        let key = stored::subscription_key(node, jid);
        outcome.changes.push(match node.subscriptions.get(jid) {
            Some(it) => Change::PutSubscription(key, stored::encode_subscription(it)),
            None => Change::DeleteSubscription(key),
        });
    }
}

fn earlier(one: Option<u64>, other: Option<u64>) -> Option<u64> {
    one.into_iter().chain(other).min()
}

/// A payload up to this size stays in memory while it is the last one of its node: it is what goes out most often.
const LAST_SIZE_BYTES_MAX: usize = 4 * 1024;

/// `<pubsub xmlns='…'>` with one element that names a node.
pub(super) fn open_answer(action: &str, node: &str) -> Build {
    let mut xml = Build::new();
    xml.open_ns("pubsub", NS).open(action).attr("node", node);
    xml
}
