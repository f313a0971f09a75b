//! What goes with presence: subscriptions that last as long as somebody is online (12.5), news for those who are (12.6), and items that go
//! with whoever has published them (16.4.4: "when the relevant publisher goes offline"). The node may ask for it, or each subscriber for
//! themselves.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::sync::Arc;

use iris_core::{BareJid, Bounce, Condition, Jid};

use super::config::Config;
use super::node::{Entry, Node};
use super::options::Shows;
use super::service::{Context, Notice, Outcome, Service};
use super::subscribe::told;
use super::{Subject, Subscription, event};

impl Config {
    /// May only those subscribe whose presence is seen?
    pub(super) fn needs_presence(&self) -> bool {
        self.temporary || self.by_presence
    }
}

impl Node {
    /// 12.5.
    pub(super) fn is_fleeting(&self, it: &Subscription) -> bool {
        self.config.temporary || it.options.until_offline
    }

    /// 12.6: in which states of presence this one is told; `None`: whatever it is.
    pub fn when(&self, it: &Subscription) -> Option<Shows> {
        (self.config.by_presence || it.options.shows != Shows::ALL).then_some(it.options.shows)
    }
}

impl Context<'_> {
    /// May this one subscribe to such a node? Section 11: the owner has disabled it for them.
    pub(super) fn may_be_told(&self, config: &Config, person: &BareJid) -> Result<(), Bounce> {
        if !config.needs_presence() || (self.sees)(person) {
            return Ok(());
        }
        let text = format!("this node has subscribers whose presence is seen here; that of {person} is not");
        Err(Bounce::new(Condition::NotAllowed).text(text))
    }

    /// May this one publish in such a node?
    pub(super) fn may_leave(&self, config: &Config, person: &BareJid) -> Result<(), Bounce> {
        if !config.purge_offline || !config.persist_items || (self.sees)(person) {
            return Ok(());
        }
        let text =
            format!("items of this node go when their publisher goes offline; the presence of {person} is not seen here");
        Err(Bounce::new(Condition::NotAllowed).text(text))
    }
}

/// Of whom it matters that they go offline: looked at for each of them alone, because many go at once.
#[derive(Debug, Default)]
pub(super) struct Watched {
    people: HashMap<BareJid, Tied>,
    /// Of whom it has changed since somebody asked (`Service::turned`); and whether they have one more subscription.
    turned: BTreeMap<BareJid, bool>,
}

/// What goes with one person, by the names of nodes.
#[derive(Debug, Default)]
struct Tied {
    /// These last as long as their address is online (12.5).
    subscriptions: BTreeSet<(Arc<str>, Jid)>,
    /// How many items.
    items: BTreeMap<Arc<str>, usize>,
}

impl Watched {
    pub(super) fn tie(&mut self, name: &Arc<str>, jid: &Jid) {
        let person = jid.to_bare();
        let tied = self.people.entry(person.clone()).or_default();
        if tied.subscriptions.insert((name.clone(), jid.clone())) {
            self.turned.insert(person, true);
        }
    }

    pub(super) fn untie(&mut self, name: &Arc<str>, jid: &Jid) {
        let person = jid.to_bare();
        if self.people.get_mut(&person).is_some_and(|tied| tied.subscriptions.remove(&(name.clone(), jid.clone()))) {
            self.forget_if_free(person);
        }
    }

    /// One more goes with whoever has published it.
    pub(super) fn count_in(&mut self, name: &Arc<str>, entry: &Entry) {
        let Ok(publisher) = BareJid::new(entry.published_by()) else { return };
        let tied = self.people.entry(publisher.clone()).or_default();
        if tied.items.is_empty() {
            self.turned.entry(publisher).or_default();
        }
        *tied.items.entry(name.clone()).or_default() += 1;
    }

    pub(super) fn count_out(&mut self, name: &str, entry: &Entry) {
        let Ok(publisher) = BareJid::new(entry.published_by()) else { return };
        let Some(tied) = self.people.get_mut(&publisher) else { return };
        if let Some(items) = tied.items.get_mut(name) {
            *items -= 1;
            if *items == 0 {
                tied.items.remove(name);
            }
        }
        self.forget_if_free(publisher);
    }

    fn forget_if_free(&mut self, person: BareJid) {
        if self.people.get(&person).is_some_and(|tied| tied.subscriptions.is_empty() && tied.items.is_empty()) {
            self.people.remove(&person);
            self.turned.entry(person).or_default();
        }
    }
}

/// Somebody of whom it has changed whether it matters that they go offline.
#[derive(Debug, PartialEq)]
pub struct Turned {
    pub person: BareJid,
    pub matters: bool,
    /// They have a subscription more than before that ends with their presence.
    pub subscribed: bool,
}

impl Service {
    /// The options of a node are about to be others: can what is there be kept so? Whoever has published something has not chosen that
    /// everybody sees by it when they go.
    pub(super) fn may_depend(&self, cx: &Context<'_>, node: &Node, config: &Config) -> Result<(), Bounce> {
        if !config.purge_offline || node.config.purge_offline {
            return Ok(());
        }
        let other = node.entries.iter().map(|entry| entry.published_by()).find(|publisher| *publisher != cx.who.bare.as_str());
        if let Some(publisher) = other {
            let text = format!("items of {publisher} are here, which were not published to go when {publisher} goes offline");
            return Err(Bounce::new(Condition::NotAllowed).text(text));
        }
        if node.entries.is_empty() { Ok(()) } else { cx.may_leave(config, &cx.who.bare) }
    }

    /// They are others: who may not be subscribed any more, and whose subscriptions and items go with their presence now. Nobody's presence
    /// is shown to the owner of a node because the owner wants to see it (security B10): a subscription that was to last ends, and
    /// whoever wants a temporary one subscribes again.
    pub(super) fn depend(&mut self, cx: &Context<'_>, name: &Arc<str>, was: &Config, outcome: &mut Outcome) {
        let Some(node) = self.nodes.get(name) else { return };
        let (becomes_temporary, needs) = (node.config.temporary && !was.temporary, node.config.needs_presence());
        let ends = |it: &&Subscription| {
            let person = it.jid.to_bare();
            needs && !(cx.sees)(&person) || becomes_temporary && !it.options.until_offline && person != cx.who.bare
        };
        let over: Vec<Jid> = node.subscriptions.iter().filter(ends).map(|it| it.jid.clone()).collect();
        for jid in over {
            self.end_subscription(name, &jid, outcome);
            outcome.notices.push(told(name, &jid, None));
        }
        let Some(node) = self.nodes.get(name) else { return };
        if node.config.temporary != was.temporary {
            for it in node.subscriptions.iter() {
                if node.is_fleeting(it) { self.watched.tie(name, &it.jid) } else { self.watched.untie(name, &it.jid) }
            }
        }
        if node.config.purge_offline != was.purge_offline {
            for entry in &node.entries {
                if node.config.purge_offline { self.watched.count_in(name, entry) } else { self.watched.count_out(name, entry) }
            }
        }
    }

    /// Since this was last asked.
    pub fn turned(&mut self) -> Vec<Turned> {
        let turned = std::mem::take(&mut self.watched.turned).into_iter();
        let people = &self.watched.people;
        turned.map(|(person, subscribed)| Turned { matters: people.contains_key(&person), person, subscribed }).collect()
    }

    /// Of this person only these are online. Subscriptions of others that were to last no longer end; they are told, wherever they
    /// listen next. When nobody of them is there any more, their items go.
    pub fn end_fleeting(&mut self, person: &BareJid, here: &[Jid]) -> Option<Outcome> {
        let tied = self.watched.people.get(person)?;
        let is_here = |jid: &Jid| if jid.resource().is_some() { here.contains(jid) } else { !here.is_empty() };
        let over: Vec<(Arc<str>, Jid)> = tied.subscriptions.iter().filter(|(_, jid)| !is_here(jid)).cloned().collect();
        let nodes: Vec<Arc<str>> = tied.items.keys().filter(|_| here.is_empty()).cloned().collect();
        let mut outcome = Outcome::empty();
        for (name, jid) in over {
            self.end_subscription(&name, &jid, &mut outcome);
            outcome.notices.push(told(&name, &jid, None));
        }
        nodes.iter().for_each(|name| self.purge_of(name, person, &mut outcome));
        (!outcome.changes.is_empty()).then_some(outcome)
    }

    /// What this one has published in a node goes. When that is all there is it is a purge (8.5.2: "a single notification").
    fn purge_of(&mut self, name: &Arc<str>, publisher: &BareJid, outcome: &mut Outcome) {
        let Some(node) = self.node(name) else { return };
        let theirs = node.entries.iter().filter(|entry| entry.published_by() == publisher.as_str());
        let gone: Vec<Arc<str>> = theirs.map(|entry| entry.id.clone()).collect();
        for id in &gone {
            if let Some(at) = self.node(name).and_then(|node| node.find(id)) {
                self.drop_entry(name, at, &mut outcome.changes);
            }
        }
        let Some(node) = self.node(name) else { return };
        let xml = match node.entries.is_empty() {
            true => event::of_node("purge", name, None),
            false if node.config.notify_retract => event::retracted(name, gone.iter().map(|id| &**id)),
            false => return,
        };
        let kind = node.config.notification;
        outcome.notices.push(Notice::News { node: name.clone(), xml, kind, subject: Subject::Items, body: None });
    }
}
