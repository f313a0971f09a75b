//! XEP-0248: nodes that hold other nodes. Each node says which collections it is in (`Config::collections`); who is subscribed to a
//! collection hears of what happens below it.

use std::collections::{BTreeMap, BTreeSet, HashSet};
use std::sync::Arc;

use iris_core::{Bounce, Jid};

use super::access::Standing;
use super::config::{Children, Config};
use super::node::Node;
use super::options::{Shows, Subject};
use super::root::ROOT;
use super::service::{Context, Notice, Outcome, Service};
use super::{Affiliation, Subscription, error, event, public};

/// So far up news go, and so deep a tree may be.
const DEPTH_MAX: u32 = 16;

/// A node, and the collections that it is to be in.
pub(super) type Move = (Arc<str>, Vec<String>);

/// Those who are told the same in the same way.
#[derive(Debug, PartialEq)]
pub struct Circle {
    /// The collection by which they hear of it (5.3.1); `None`: they are subscribed to the node itself.
    pub collection: Option<Arc<str>>,
    /// They want a text for people beside it.
    pub bodies: bool,
    /// They are told only while they are online like this; `None`: in any case.
    pub shows: Option<Shows>,
    pub jids: Vec<Jid>,
}

/// Those who wish for the same, together.
fn circles<'a>(
    collection: Option<&Arc<str>>,
    all: impl Iterator<Item = &'a Subscription>,
    when: impl Fn(&Subscription) -> Option<Shows>,
) -> impl Iterator<Item = Circle> {
    let mut by_wish: BTreeMap<(bool, Option<Shows>), Vec<Jid>> = BTreeMap::new();
    for it in all {
        by_wish.entry((it.options.include_body, when(it))).or_default().push(it.jid.clone());
    }
    let collection = collection.cloned();
    by_wish.into_iter().map(move |((bodies, shows), jids)| Circle { collection: collection.clone(), bodies, shows, jids })
}

impl Service {
    /// Who is to be told of something about this node: everybody once, by the nearest subscription. `removed`: nodes that are no more.
    pub fn audience(&self, name: &str, removed: &[(Arc<str>, Node)], subject: Subject, now_us: u64) -> Vec<Circle> {
        let find = |name: &str| removed.iter().find(|(it, _)| **it == *name).map(|(_, node)| node).or_else(|| self.node(name));
        // XEP-0465: a list is for whoever may read the node that it is about, and in no collection.
        let is_list = public::is_reserved(name);
        let Some((node, about)) = find(name).zip(find(public::subject(name))) else { return Vec::new() };
        let mut told = HashSet::new();
        // Nobody can be told twice of a node that is in no collection but a root to which nobody listens.
        let alone =
            is_list || node.config.collections.is_empty() && self.node(ROOT).is_none_or(|root| root.subscriptions.is_empty());
        let may = node.subscriptions.people().filter(|(person, _)| about.may_hear(person, !is_list));
        let is_gone = removed.iter().any(|(it, _)| **it == *name);
        let hears = |it: &Subscription| if is_gone { it.hears_end(now_us) } else { it.hears(now_us) };
        let mut all: Vec<Circle> =
            circles(None, may.flat_map(|(_, of)| of).filter(|it| hears(it)), |it| node.when(it)).collect();
        if !alone {
            told.extend(all.iter().flat_map(|circle| &circle.jids).cloned());
            self.above(node, self.parents(&node.config.collections), subject, now_us, told, &mut all);
        }
        all
    }

    /// Who is to be told that a node came into a collection, or went out.
    pub fn audience_of_collection(&self, collection: &str, name: &str, now_us: u64) -> Vec<Circle> {
        let mut all = Vec::new();
        if let Some(node) = self.node(name) {
            self.above(node, vec![collection], Subject::Node, now_us, HashSet::new(), &mut all);
        }
        all
    }

    fn above(
        &self,
        node: &Node,
        first: Vec<&str>,
        subject: Subject,
        now_us: u64,
        mut told: HashSet<Jid>,
        all: &mut Vec<Circle>,
    ) {
        let mut level: BTreeSet<&str> = first.into_iter().collect();
        let mut seen = level.clone();
        // The root is above all of them.
        for depth in 1..=DEPTH_MAX + 1 {
            let mut next = BTreeSet::new();
            for name in level {
                let Some((name, collection)) = self.nodes.get_key_value(name) else { continue };
                let wants = collection.subscriptions.iter().filter(|it| {
                    let is_near = it.options.depth.is_none_or(|most| depth <= most);
                    is_near && it.options.kind.has(subject) && it.hears(now_us)
                });
                // 10.1 warns that a collection may open closed nodes: here it opens nobody a node that is not open to them.
                let may = wants.filter(|it| node.may_hear(&it.jid.to_bare(), false));
                // The node's owner has a say, and the collection's.
                let when = |it: &Subscription| node.when(it).or_else(|| collection.when(it));
                all.extend(circles(Some(name), may.filter(|it| told.insert(it.jid.clone())), when));
                if **name != *ROOT {
                    next.extend(self.parents(&collection.config.collections).into_iter().filter(|above| seen.insert(above)));
                }
            }
            level = next;
        }
    }

    /// The names of what is in a collection.
    pub fn children(&self, collection: &str) -> impl Iterator<Item = &Arc<str>> {
        self.children.get(collection).into_iter().flatten()
    }

    /// 7.5, 7.6.
    pub(super) fn associate(&mut self, cx: &Context<'_>, collection: &str, name: &str, is: bool) -> Result<Outcome, Bounce> {
        let (name, node) = self.known(name)?;
        let (collection, above) = self.known(collection)?;
        if is {
            node.must_own(cx.who)?;
        } else {
            node.must_own(cx.who).or_else(|why| above.must_own(cx.who).map_err(|_| why))?;
        }
        let mut collections = node.config.collections.clone();
        match (collections.iter().position(|it| **it == *collection), is) {
            (Some(at), false) => drop(collections.remove(at)),
            (None, true) => collections.push(collection.to_string()),
            (Some(_), true) => return Ok(Outcome::empty()),
            // 7.6.3.1.
            (None, false) => return Err(Bounce::bad_request("that node is not in that collection")),
        }
        collections.sort_unstable();
        self.may_be_in(cx, &name, &node.config.collections, &collections)?;
        let mut outcome = Outcome::empty();
        self.move_to(&name, collections, &mut outcome);
        Ok(outcome)
    }

    /// The errors of 7.2.3 for a node that was in some collections and is to be in these.
    pub(super) fn may_be_in(&self, cx: &Context<'_>, name: &str, before: &[String], after: &[String]) -> Result<(), Bounce> {
        if after.len() > super::fields::PARENTS_MAX {
            return Err(error::not_allowed("max-nodes-exceeded"));
        }
        for collection in after.iter().filter(|it| !before.contains(it)) {
            let (above, node) = self.may_enter(cx, name, collection)?;
            let most = room_in(cx, &node.config);
            if self.children(&above).count() >= most {
                return Err(error::not_allowed("max-nodes-exceeded").text(format!("{above} may hold {most} nodes")));
            }
        }
        Ok(())
    }

    /// The same but for the room there is.
    fn may_enter(&self, cx: &Context<'_>, name: &str, collection: &str) -> Result<(Arc<str>, &Node), Bounce> {
        let (above, node) = self.known(collection)?;
        if !node.config.is_collection() {
            return Err(error::not_allowed("invalid-options").text("only a collection holds nodes"));
        }
        if !may_associate(cx, node) {
            return Err(error::forbidden());
        }
        if *above == *name || self.is_above(name, &above) || self.height(&above) >= DEPTH_MAX {
            return Err(error::not_allowed("invalid-options").text("a collection cannot be in itself, nor so deep"));
        }
        Ok((above, node))
    }

    /// Does the way up from `from` come to `name`?
    pub(super) fn is_above(&self, name: &str, from: &str) -> bool {
        let (mut open, mut seen) = (vec![from], HashSet::new());
        while let Some(at) = open.pop() {
            let Some(node) = self.node(at) else { continue };
            for above in &node.config.collections {
                if above == name {
                    return true;
                }
                if seen.insert(above.as_str()) {
                    open.push(above);
                }
            }
        }
        false
    }

    /// How many collections stand above each other from here.
    fn height(&self, from: &str) -> u32 {
        let mut level: BTreeSet<&str> = BTreeSet::from([from]);
        let mut height = 0;
        while !level.is_empty() && height <= DEPTH_MAX {
            height += 1;
            let above = |at: &&str| self.node(at).into_iter().flat_map(|node| &node.config.collections);
            level = level.iter().flat_map(above).map(String::as_str).collect();
        }
        height
    }

    /// It is in these collections from now on.
    pub(super) fn move_to(&mut self, name: &Arc<str>, after: Vec<String>, outcome: &mut Outcome) {
        let Some(node) = self.nodes.get_mut(name) else { return };
        let kind = node.config.notification;
        let before = std::mem::replace(&mut node.config.collections, after.clone());
        self.leave(name, &before);
        self.enter(name, &after);
        self.keep(name, &mut outcome.changes);
        let (before, after) = (self.parents(&before), self.parents(&after));
        let other = |these: &[&str], those: &[&str]| -> Vec<Arc<str>> {
            these.iter().filter(|it| !those.contains(it)).map(|it| Arc::from(*it)).collect()
        };
        for (collections, is) in [(other(&before, &after), false), (other(&after, &before), true)] {
            for collection in collections {
                let xml = event::associated(&collection, name, is);
                outcome.notices.push(Notice::OfCollection { collection, node: name.clone(), xml, kind });
            }
        }
    }

    /// 7.2.1: a form has said what is to be in a collection. The errors first; what is to be moved where.
    pub(super) fn with_children(&self, cx: &Context<'_>, collection: &str, wanted: &[String]) -> Result<Vec<Move>, Bounce> {
        let now: BTreeSet<&str> = self.children(collection).map(|it| &**it).collect();
        let wanted: BTreeSet<&str> = wanted.iter().map(String::as_str).collect();
        if self.node(collection).is_some_and(|node| wanted.len() > room_in(cx, &node.config)) {
            return Err(error::not_allowed("max-nodes-exceeded"));
        }
        let mut moves = Vec::new();
        for name in now.difference(&wanted) {
            let (name, node) = self.known(name)?;
            moves.push((name, node.config.collections.iter().filter(|it| *it != collection).cloned().collect()));
        }
        for name in wanted.difference(&now) {
            let (name, node) = self.known(name)?;
            node.must_own(cx.who)?;
            let mut after = node.config.collections.clone();
            after.push(collection.to_owned());
            after.sort_unstable();
            if after.len() > super::fields::PARENTS_MAX {
                return Err(error::not_allowed("max-nodes-exceeded"));
            }
            self.may_enter(cx, &name, collection)?;
            moves.push((name, after));
        }
        Ok(moves)
    }

    /// 8.2: what was in a collection that ends is there all the same.
    pub(super) fn orphan(&mut self, name: &str, outcome: &mut Outcome) {
        let children: Vec<Arc<str>> = self.children(name).cloned().collect();
        for child in children {
            if let Some(node) = self.nodes.get_mut(&child) {
                node.config.collections.retain(|it| it != name);
                self.keep(&child, &mut outcome.changes);
            }
        }
        self.children.remove(name);
    }

    /// A collection's options with what is in it, as a form shows it.
    pub(super) fn shown(&self, name: &str, config: &Config) -> Config {
        let children = config.is_collection().then(|| self.children(name).map(|it| it.to_string()).collect());
        Config { children, ..config.clone() }
    }
}

fn room_in(cx: &Context<'_>, config: &Config) -> usize {
    config.children_max.map_or(cx.quotas.children_max, |max| (max as usize).min(cx.quotas.children_max))
}

/// 7.2.1: the policy of the collection.
fn may_associate(cx: &Context<'_>, collection: &Node) -> bool {
    if collection.affiliation_of(cx.who) == Affiliation::Owner || cx.who.standing == Standing::Administrator {
        return true;
    }
    match collection.config.children_by {
        Children::All => collection.affiliation_of(cx.who) != Affiliation::Outcast,
        Children::Owners => false,
        Children::Whitelist => collection.config.children_whitelist.iter().any(|jid| *jid == *cx.who.bare.as_str()),
    }
}
