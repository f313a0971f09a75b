//! What goes with presence: subscriptions that last as long as somebody is online (12.5), news for those who are (12.6), and items that go
//! with whoever has published them (16.4.4: "when the relevant publisher goes offline"). The node may ask for it, or each subscriber for
//! themselves.

use std::sync::Arc;

use iris_core::{BareJid, Bounce, Condition, Jid};

use super::config::Config;
use super::node::Node;
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

    /// Whose items go with them.
    fn passing<'a>(&'a self) -> impl Iterator<Item = BareJid> + 'a {
        let entries = self.entries.iter().filter(|_| self.config.purge_offline);
        entries.filter_map(|entry| BareJid::new(entry.published_by()).ok())
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
            self.fleeting.retain(|(of, _)| of != name);
            let fleeting = node.subscriptions.iter().filter(|it| node.is_fleeting(it));
            self.fleeting.extend(fleeting.map(|it| (name.clone(), it.jid.clone())));
        }
        if node.config.purge_offline != was.purge_offline {
            let publishers = node.entries.iter().filter_map(|entry| BareJid::new(entry.published_by()).ok());
            let (publishers, is): (Vec<BareJid>, bool) = (publishers.collect(), node.config.purge_offline);
            for publisher in publishers {
                if is { self.count_in(publisher) } else { self.count_out(&publisher) }
            }
        }
    }

    /// One more item of this one goes with them.
    pub(super) fn count_in(&mut self, publisher: BareJid) {
        *self.passing.entry(publisher).or_default() += 1;
    }

    pub(super) fn count_out(&mut self, publisher: &BareJid) {
        if let Some(items) = self.passing.get_mut(publisher) {
            *items -= 1;
            if *items == 0 {
                self.passing.remove(publisher);
            }
        }
    }

    /// As it was kept.
    pub(super) fn restore_passing(&mut self) {
        let all: Vec<BareJid> = self.nodes.values().flat_map(Node::passing).collect();
        all.into_iter().for_each(|publisher| self.count_in(publisher));
    }

    /// Whom it matters of that they go offline.
    pub fn fleeting(&self) -> impl Iterator<Item = BareJid> {
        self.fleeting.iter().map(|(_, jid)| jid.to_bare()).chain(self.passing.keys().cloned())
    }

    /// Of this person only these are online. Subscriptions of others that were to last no longer end; they are told, wherever they
    /// listen next. When nobody of them is there any more, their items go.
    pub fn end_fleeting(&mut self, person: &BareJid, here: &[Jid]) -> Option<Outcome> {
        let is_here = |jid: &Jid| if jid.resource().is_some() { here.contains(jid) } else { !here.is_empty() };
        let of_person = self.fleeting.iter().filter(|(_, jid)| jid.to_bare() == *person);
        let over: Vec<(Arc<str>, Jid)> = of_person.filter(|(_, jid)| !is_here(jid)).cloned().collect();
        let mut outcome = Outcome::empty();
        for (name, jid) in over {
            self.end_subscription(&name, &jid, &mut outcome);
            outcome.notices.push(told(&name, &jid, None));
        }
        if here.is_empty() && self.passing.contains_key(person) {
            let nodes = self.nodes.iter().filter(|(_, node)| node.config.purge_offline);
            let names: Vec<Arc<str>> = nodes.map(|(name, _)| name.clone()).collect();
            names.iter().for_each(|name| self.purge_of(name, person, &mut outcome));
        }
        (!outcome.changes.is_empty()).then_some(outcome)
    }

    /// What this one has published in a node goes. When that is all there is it is a purge (8.5.2: "a single notification").
    fn purge_of(&mut self, name: &Arc<str>, publisher: &BareJid, outcome: &mut Outcome) {
        let mut gone = Vec::new();
        let theirs = |node: &Node| node.entries.iter().position(|entry| entry.published_by() == publisher.as_str());
        while let Some(at) = self.node(name).and_then(theirs) {
            match self.drop_entry(name, at, &mut outcome.changes) {
                Some(entry) => gone.push(entry.id),
                None => break,
            }
        }
        let Some(node) = self.node(name).filter(|_| !gone.is_empty()) else { return };
        let xml = match node.entries.is_empty() {
            true => event::of_node("purge", name, None),
            false if node.config.notify_retract => event::retracted(name, gone.iter().map(|id| &**id)),
            false => return,
        };
        let kind = node.config.notification;
        outcome.notices.push(Notice::News { node: name.clone(), xml, kind, subject: Subject::Items, body: None });
    }
}
