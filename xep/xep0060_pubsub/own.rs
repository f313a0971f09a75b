//! 8: what owners do with their nodes.

use std::collections::{BTreeSet, HashMap};
use std::sync::Arc;

use iris_core::xml::Build;
use iris_core::{BareJid, Bounce, Changed, Condition, Jid};

use super::config::Notification;
use super::form::Filled;
use super::node::Node;
use super::root::named;
use super::service::{Context, Notice, Outcome, Service, open_answer, text};
use super::subscribe::set_state;
use super::{Affiliation, Config, NS, OWNER, State, Subject, Subscription, error, event, lists, moved, public};
use crate::xep0059_rsm as rsm;

impl Service {
    /// 8.1.1: who may make a node, and is there room for it?
    pub(super) fn may_create(&self, cx: &Context<'_>, name: &str) -> Result<(), Bounce> {
        cx.may_create.clone()?;
        // XEP-0465 5: those the service makes of itself.
        if public::is_reserved(name) {
            return Err(error::forbidden());
        }
        // XEP-0485 7: it would be taken for what the server says of itself.
        if cx.quotas.is_service && name == "serverinfo" && cx.who.bare.as_str() != cx.service {
            return Err(error::forbidden());
        }
        let nodes = self.usage(&cx.who.bare).nodes;
        if nodes >= cx.quotas.nodes_max {
            return Err(error::quota(format!("you have {nodes} nodes, as many as you may")));
        }
        if self.count() >= cx.quotas.all_nodes_max {
            return Err(error::quota(format!("this service has {} nodes, as many as it may", self.count())));
        }
        Ok(())
    }

    /// 8.1.
    pub(super) fn create(&mut self, cx: &Context<'_>, name: Option<String>, form: Option<&Filled>) -> Result<Outcome, Bounce> {
        let made = (cx.mint)();
        // Instant nodes: the service finds a name.
        let name: Arc<str> = name.map_or_else(|| Arc::from(format!("node-{made:x}")), Arc::from);
        self.may_create(cx, &name)?;
        if self.nodes.contains_key(&name) {
            return Err(Bounce::new(Condition::Conflict));
        }
        let config = form.map_or_else(|| Ok(cx.default.clone()), |form| cx.default.apply(form, cx.quotas))?;
        let mut outcome = Outcome::payload(text(open_answer("create", &name)));
        self.begin(cx, &name, config, made, &mut outcome)?;
        Ok(outcome)
    }

    /// A new node, in the collections that its options name. Nothing has happened when this is an error.
    pub(super) fn begin(
        &mut self,
        cx: &Context<'_>,
        name: &Arc<str>,
        mut config: Config,
        made: u64,
        outcome: &mut Outcome,
    ) -> Result<(), Bounce> {
        self.may_be_in(cx, name, &[], &config.collections)?;
        let children = config.children.take().unwrap_or_default();
        if !children.is_empty() && !config.is_collection() {
            return Err(error::not_allowed("invalid-options").text("a leaf holds no nodes"));
        }
        let (kind, is_in) = (config.notification, !self.parents(&config.collections).is_empty());
        let mut node = Node::new(config, made, cx.who.bare.clone());
        if cx.host.is_none() {
            node.affiliations.insert(cx.who.bare.clone(), Affiliation::Owner);
        }
        self.insert(name.clone(), node, &mut outcome.changes);
        // XEP-0248 7.2.1: whether they may be in it is asked of the collection, so it is there already.
        let moves = match self.with_children(cx, name, &children) {
            Ok(moves) => moves,
            Err(why) => {
                self.unlink(name, &mut Vec::new());
                return Err(why);
            }
        };
        self.lead_no_more(name, &mut outcome.changes);
        // XEP-0248 5.3.1.
        if is_in {
            let xml = event::of_node("create", name, None);
            outcome.notices.push(Notice::News { node: name.clone(), xml, kind, subject: Subject::Node, body: None });
        }
        for (child, collections) in moves {
            self.move_to(&child, collections, outcome);
        }
        Ok(())
    }

    /// 8.2.1.
    pub(super) fn get_config(&self, cx: &Context<'_>, name: &str) -> Result<Outcome, Bounce> {
        let (name, node) = self.owned(cx, name)?;
        let mut xml = Build::new();
        xml.open_ns("pubsub", OWNER).open("configure").attr("node", &name);
        self.shown(&name, &node.config).write_form(&mut xml, cx.quotas);
        Ok(Outcome::build(xml))
    }

    /// 8.2.4.
    pub(super) fn set_config(&mut self, cx: &Context<'_>, name: &str, form: &Filled) -> Result<Outcome, Bounce> {
        let (name, node) = self.owned(cx, name)?;
        let was = node.config.clone();
        let mut config = was.apply(form, cx.quotas)?;
        let children = config.children.take();
        // XEP-0248 7.2.3.
        if was.is_collection() && !config.is_collection() {
            return Err(error::not_allowed("invalid-options").text("a collection stays one"));
        }
        if !config.is_collection() && children.as_ref().is_some_and(|children| !children.is_empty()) {
            return Err(error::not_allowed("invalid-options").text("a leaf holds no nodes"));
        }
        self.may_be_in(cx, &name, &was.collections, &config.collections)?;
        self.may_depend(cx, node, &config)?;
        let moves = children.map_or_else(|| Ok(Vec::new()), |children| self.with_children(cx, &name, &children))?;
        // XEP-0248 7.2.3: each alone may be right, and both together a circle.
        let is_inside = |child: &str| config.collections.iter().any(|above| child == above || self.is_above(child, above));
        if moves.iter().any(|(child, into)| into.iter().any(|it| **it == *name) && is_inside(child)) {
            return Err(error::not_allowed("invalid-options").text("a collection cannot be in itself"));
        }
        let mut outcome = Outcome::empty();
        for (child, collections) in moves {
            self.move_to(&child, collections, &mut outcome);
        }
        if config.collections != was.collections {
            self.move_to(&name, config.collections.clone(), &mut outcome);
        }
        if config == was {
            return Ok(outcome);
        }
        let is_kept = config.persist_items && !config.is_collection();
        let most = if is_kept { config.max_items.within(cx.quotas) } else { 0 };
        let notify = config.notify_config.then(|| event::configuration(&name, &config));
        let kind = config.notification;
        let is_closed = config.access != was.access || config.groups != was.groups;
        let node = self.known_mut(&name)?;
        node.config = config;
        if is_closed {
            let people = node.subscriptions.people().map(|(person, _)| person.clone()).collect();
            self.review_people(cx, &name, people, &mut outcome);
        }
        self.depend(cx, &name, &was, &mut outcome);
        // What the node may not hold any more goes, oldest first.
        while self.node(&name).is_some_and(|node| node.entries.len() > most) {
            if self.drop_entry(&name, 0, &mut outcome.changes).is_none() {
                break;
            }
        }
        self.keep(&name, &mut outcome.changes);
        if let Some(xml) = notify {
            outcome.notices.push(Notice::News { node: name, xml, kind, subject: Subject::Node, body: None });
        }
        Ok(outcome)
    }

    /// 8.4.
    pub(super) fn delete(&mut self, cx: &Context<'_>, name: &str, redirect: Option<&str>) -> Result<Outcome, Bounce> {
        let (name, node) = self.owned(cx, name)?;
        let moved = moved::word(node, redirect, cx.now_us);
        let mut outcome = Outcome::empty();
        self.end_node(&name, redirect, &mut outcome);
        if let Some(moved) = moved {
            self.lead(&name, moved, &mut outcome.changes);
        }
        Ok(outcome)
    }

    pub(super) fn end_node(&mut self, name: &Arc<str>, redirect: Option<&str>, outcome: &mut Outcome) {
        self.drop_all(name, &mut outcome.changes);
        self.orphan(name, outcome);
        let Some(node) = self.unlink(name, &mut outcome.changes) else { return };
        if node.config.notify_delete {
            let (xml, kind) = (event::of_node("delete", name, redirect), node.config.notification);
            outcome.notices.push(Notice::News { node: name.clone(), xml, kind, subject: Subject::Node, body: None });
        }
        outcome.removed.push((name.clone(), node));
        self.end_list(name, outcome);
    }

    /// 8.5.
    pub(super) fn purge(&mut self, cx: &Context<'_>, name: &str) -> Result<Outcome, Bounce> {
        let (name, node) = self.owned(cx, name)?;
        // 8.5.3.3.
        if node.config.is_collection() || !node.config.persist_items {
            return Err(error::unsupported("persistent-items"));
        }
        let kind = node.config.notification;
        let mut outcome = Outcome::empty();
        self.drop_all(&name, &mut outcome.changes);
        let xml = event::of_node("purge", &name, None);
        outcome.notices.push(Notice::News { node: name, xml, kind, subject: Subject::Items, body: None });
        Ok(outcome)
    }

    /// 8.8.1: pending ones are not in the list.
    pub(super) fn get_subscriptions(
        &self,
        cx: &Context<'_>,
        name: &str,
        page: Option<&rsm::Wanted>,
    ) -> Result<Outcome, Bounce> {
        let (name, node) = self.owned(cx, name)?;
        let mut xml = Build::new();
        xml.open_ns("pubsub", OWNER).open("subscriptions").attr_opt("node", named(&name));
        let rows: Vec<&Subscription> = node.subscriptions.iter().filter(|it| it.is_active()).collect();
        lists::write(
            &mut xml,
            &rows,
            page,
            cx.quotas,
            |it| it.jid.to_string(),
            |xml, it| {
                xml.open("subscription").attr("jid", it.jid.as_str()).attr("subscription", it.state.as_str()).close();
            },
        )?;
        Ok(Outcome::build(xml))
    }

    /// 8.8.2.
    pub(super) fn set_subscriptions(
        &mut self,
        cx: &Context<'_>,
        name: &str,
        changes: Vec<(Jid, Option<State>)>,
    ) -> Result<Outcome, Bounce> {
        let (name, node) = self.owned(cx, name)?;
        each_once(changes.iter().map(|(jid, _)| jid.clone()))?;
        let untouched = |why: Bounce| {
            let is = |jid: &Jid| node.subscriptions.get(jid).map_or("none", |it| it.state.as_str());
            untouched(why, "subscription", &name, changes.iter().map(|(jid, _)| (jid.to_string(), is(jid))))
        };
        let mut new: HashMap<BareJid, usize> = HashMap::new();
        for (jid, _) in changes.iter().filter(|(jid, state)| state.is_some() && node.subscriptions.get(jid).is_none()) {
            *new.entry(jid.to_bare()).or_default() += 1;
        }
        // 8.8.2 speaks of the states of those who are in the list. Whoever has not asked is brought in by an affiliation: of these
        // there are few, and nobody sends their news to thousands of strangers.
        let is_none = |jid: &&BareJid| matches!(node.affiliations.get(*jid), None | Some(Affiliation::Outcast));
        if let Some(jid) = new.keys().find(is_none).filter(|_| cx.quotas.is_service) {
            let text = format!("{jid} has not subscribed and has no affiliation here");
            return Err(untouched(Bounce::new(Condition::NotAcceptable).text(text)));
        }
        if let Some(why) = new.keys().find_map(|jid| cx.may_be_told(&node.config, jid).err()) {
            return Err(untouched(why));
        }
        // Security B10: it would end when they go, or at once, and so say whether they are there to somebody whom they have not told.
        if let Some(jid) = new.keys().find(|jid| **jid != cx.who.bare).filter(|_| node.config.temporary) {
            let text = format!("subscriptions to this node last as long as somebody is online: {jid} asks for it, or nobody");
            return Err(untouched(Bounce::new(Condition::NotAllowed).text(text)));
        }
        let is_much =
            |(jid, new): (&BareJid, &usize)| node.subscriptions.of(jid).len() + new > cx.quotas.subscriptions_per_person_max;
        let all_new: usize = new.values().sum();
        if node.subscriptions.len() + all_new > cx.quotas.subscriptions_per_node_max && all_new > 0 {
            return Err(untouched(error::too_many_subscribers(cx.quotas)));
        }
        if new.iter().any(is_much) {
            return Err(untouched(error::too_many_of_one(cx.quotas)));
        }
        let mut outcome = Outcome::empty();
        for (jid, state) in changes {
            let node = self.known_mut(&name)?;
            if node.subscriptions.get(&jid).map(|it| it.state) != state {
                set_state(node, &jid, state);
                self.changed(&name, &jid, state, &mut outcome);
            }
        }
        Ok(outcome)
    }

    /// 8.9.1.
    pub(super) fn get_affiliations(&self, cx: &Context<'_>, name: &str, page: Option<&rsm::Wanted>) -> Result<Outcome, Bounce> {
        let (name, node) = self.owned(cx, name)?;
        let mut xml = Build::new();
        xml.open_ns("pubsub", OWNER).open("affiliations").attr("node", &name);
        let host = cx.host.map(|host| (host, Affiliation::Owner));
        let others = node.affiliations.iter().map(|(jid, it)| (jid.as_str(), *it));
        let rows: Vec<(&str, Affiliation)> = host.into_iter().chain(others).collect();
        lists::write(
            &mut xml,
            &rows,
            page,
            cx.quotas,
            |(jid, _)| (*jid).to_owned(),
            |xml, (jid, it)| {
                xml.open("affiliation").attr("jid", jid).attr("affiliation", it.as_str()).close();
            },
        )?;
        Ok(Outcome::build(xml))
    }

    /// 8.9.2.
    pub(super) fn set_affiliations(
        &mut self,
        cx: &Context<'_>,
        name: &str,
        changes: Vec<(Jid, Affiliation)>,
    ) -> Result<Outcome, Bounce> {
        let (name, node) = self.owned(cx, name)?;
        // 4.1: "All affiliations MUST be based on a bare JID."
        let changes: Vec<(BareJid, Affiliation)> = changes.into_iter().map(|(jid, it)| (jid.to_bare(), it)).collect();
        each_once(changes.iter().map(|(jid, _)| jid.clone()))?;
        let untouched = |why: Bounce| {
            let is = |jid: &BareJid| {
                let is_host = Some(jid.as_str()) == cx.host;
                if is_host { Affiliation::Owner } else { node.affiliations.get(jid).copied().unwrap_or(Affiliation::None) }
            };
            untouched(why, "affiliation", &name, changes.iter().map(|(jid, _)| (jid.to_string(), is(jid).as_str())))
        };
        let mut after = node.affiliations.clone();
        let mut changed: Vec<(BareJid, Affiliation)> = Vec::new();
        for (jid, affiliation) in changes.iter().cloned() {
            if Some(jid.as_str()) == cx.host {
                // 8.9.2.4: the service's own account stays an owner.
                if affiliation == Affiliation::Owner {
                    continue;
                }
                return Err(untouched(Bounce::new(Condition::NotAcceptable).text("the account itself owns its nodes")));
            }
            // 4.1, the chart of states: nothing leads from an owner to an outcast.
            if affiliation == Affiliation::Outcast && after.get(&jid) == Some(&Affiliation::Owner) {
                let why = Bounce::new(Condition::NotAllowed).text("an owner is banned by nobody: let them be none first");
                return Err(untouched(why));
            }
            let before = match affiliation {
                Affiliation::None => after.remove(&jid),
                other => after.insert(jid.clone(), other),
            };
            if before.unwrap_or(Affiliation::None) != affiliation {
                changed.push((jid, affiliation));
            }
        }
        // 8.9.2.4: somebody has to own it.
        if cx.host.is_none() && !after.values().any(|it| *it == Affiliation::Owner) {
            return Err(untouched(Bounce::new(Condition::NotAcceptable).text("a node has at least one owner")));
        }
        if after.len() > cx.quotas.affiliations_per_node_max && after.len() > node.affiliations.len() {
            let most = cx.quotas.affiliations_per_node_max;
            let why = Bounce::over(
                format!("a node has at most {most} affiliations"),
                Changed::ByNobody("take one from somebody first"),
            );
            return Err(untouched(why));
        }
        self.known_mut(&name)?.affiliations = after;
        let mut outcome = Outcome::empty();
        for (jid, affiliation) in changed {
            outcome.notices.push(affiliated(&name, &jid, affiliation));
            // 8.7.4: pending requests follow; 4.1: an outcast hears nothing more.
            let next = match affiliation {
                Affiliation::Owner | Affiliation::Publisher | Affiliation::Member => Some(State::Subscribed),
                Affiliation::Outcast | Affiliation::PublishOnly => None,
                // 4.5: it may have been what let them in.
                Affiliation::None => {
                    self.review_people(cx, &name, vec![jid], &mut outcome);
                    continue;
                }
            };
            let of = self.node(&name).map_or(&[][..], |node| node.subscriptions.of(&jid));
            let concerned: Vec<Jid> = of.iter().filter(|it| Some(it.state) != next).map(|it| it.jid.clone()).collect();
            for who in concerned {
                set_state(self.known_mut(&name)?, &who, next);
                self.changed(&name, &who, next, &mut outcome);
            }
        }
        self.keep(&name, &mut outcome.changes);
        Ok(outcome)
    }

    fn owned(&self, cx: &Context<'_>, name: &str) -> Result<(Arc<str>, &Node), Bounce> {
        let (name, node) = self.known(name)?;
        node.must_own(cx.who)?;
        Ok((name, node))
    }
}

/// 8.8.2.4, 8.9.2.4: nobody twice in one request.
fn each_once<J: Ord>(jids: impl Iterator<Item = J>) -> Result<(), Bounce> {
    let mut seen = BTreeSet::new();
    for jid in jids {
        if !seen.insert(jid) {
            return Err(Bounce::bad_request("the same address is named twice"));
        }
    }
    Ok(())
}

/// 8.8.2.4, 8.9.2.4: what is not returned with an error counts as done. Here nothing is: each comes back as it was, and is.
fn untouched<'a>(why: Bounce, what: &str, node: &str, rows: impl Iterator<Item = (String, &'a str)>) -> Bounce {
    let mut xml = Build::new();
    xml.open_ns("pubsub", OWNER).open(&format!("{what}s")).attr_opt("node", named(node));
    for (jid, is) in rows {
        xml.open(what).attr("jid", &jid).attr(what, is).close();
    }
    why.beside(text(xml))
}

/// 8.9.4.
fn affiliated(node: &str, jid: &BareJid, affiliation: Affiliation) -> Notice {
    let mut xml = Build::new();
    xml.open_ns("pubsub", NS).open("affiliations").attr("node", node);
    xml.open("affiliation").attr("jid", jid.as_str()).attr("affiliation", affiliation.as_str());
    Notice::Message { to: jid.clone().into(), xml: text(xml), kind: Notification::Headline }
}
