//! 8: what owners do with their nodes.

use std::sync::Arc;

use iris_core::xml::Build;
use iris_core::{BareJid, Bounce, Condition, Jid};

use super::config::Notification;
use super::form::Filled;
use super::node::{Node, State, Subscription};
use super::service::{Context, Notice, Outcome, Service, open_answer, text};
use super::subscribe::{set_state, told};
use super::{Affiliation, NS, OWNER, error, event};

impl Service {
    /// 8.1.1: who may make a node, and is there room for it?
    pub(super) fn may_create(&self, cx: &Context<'_>) -> Result<(), Bounce> {
        if !cx.who.is_host() {
            return Err(error::forbidden());
        }
        if self.nodes.len() >= cx.quotas.nodes_max {
            return Err(error::quota("this account has as many nodes as it may have"));
        }
        Ok(())
    }

    /// 8.1.
    pub(super) fn create(&mut self, cx: &Context<'_>, name: Option<String>, form: Option<&Filled>) -> Result<Outcome, Bounce> {
        self.may_create(cx)?;
        let made = (cx.mint)();
        // Instant nodes: the service finds a name.
        let name: Arc<str> = name.map_or_else(|| Arc::from(format!("node-{made:x}")), Arc::from);
        if self.nodes.contains_key(&name) {
            return Err(Bounce::new(Condition::Conflict));
        }
        let config = form.map_or_else(|| Ok(cx.default.clone()), |form| cx.default.apply(form, cx.quotas))?;
        let mut outcome = Outcome::payload(text(open_answer("create", &name)));
        self.insert(name, Node::new(config, made, cx.who.bare.clone()), &mut outcome.changes);
        Ok(outcome)
    }

    /// 8.2.1.
    pub(super) fn get_config(&self, cx: &Context<'_>, name: &str) -> Result<Outcome, Bounce> {
        let (name, node) = self.owned(cx, name)?;
        let mut xml = Build::new();
        xml.open_ns("pubsub", OWNER).open("configure").attr("node", &name);
        node.config.write_form(&mut xml);
        Ok(Outcome::build(xml))
    }

    /// 8.2.4.
    pub(super) fn set_config(&mut self, cx: &Context<'_>, name: &str, form: &Filled) -> Result<Outcome, Bounce> {
        let (name, node) = self.owned(cx, name)?;
        let config = node.config.apply(form, cx.quotas)?;
        let mut outcome = Outcome::empty();
        if config == node.config {
            return Ok(outcome);
        }
        let most = if config.persist_items { config.max_items.within(cx.quotas) } else { 0 };
        let notify = config.notify_config.then(|| event::configuration(&name, &config));
        let kind = config.notification;
        self.known_mut(&name)?.config = config;
        // What the node may not hold any more goes, oldest first.
        while self.node(&name).is_some_and(|node| node.entries.len() > most) {
            if self.drop_entry(&name, 0, &mut outcome.changes).is_none() {
                break;
            }
        }
        self.keep(&name, &mut outcome.changes);
        if let Some(xml) = notify {
            outcome.notices.push(Notice::News { node: name, xml, kind });
        }
        Ok(outcome)
    }

    /// 8.4.
    pub(super) fn delete(&mut self, cx: &Context<'_>, name: &str, redirect: Option<&str>) -> Result<Outcome, Bounce> {
        let (name, node) = self.owned(cx, name)?;
        let (notify, kind) = (node.config.notify_delete, node.config.notification);
        let mut outcome = Outcome::empty();
        self.drop_all(&name, &mut outcome.changes);
        outcome.removed = self.nodes.remove(&name);
        outcome.changes.push(super::Change::DeleteNode(name.clone()));
        if notify {
            let xml = event::of_node("delete", &name, redirect);
            outcome.notices.push(Notice::News { node: name, xml, kind });
        }
        Ok(outcome)
    }

    /// 8.5.
    pub(super) fn purge(&mut self, cx: &Context<'_>, name: &str) -> Result<Outcome, Bounce> {
        let (name, node) = self.owned(cx, name)?;
        if !node.config.persist_items {
            return Err(error::unsupported("persistent-items"));
        }
        let kind = node.config.notification;
        let mut outcome = Outcome::empty();
        self.drop_all(&name, &mut outcome.changes);
        let xml = event::of_node("purge", &name, None);
        outcome.notices.push(Notice::News { node: name, xml, kind });
        Ok(outcome)
    }

    /// 8.8.1: pending ones are not in the list.
    pub(super) fn get_subscriptions(&self, cx: &Context<'_>, name: &str) -> Result<Outcome, Bounce> {
        let (name, node) = self.owned(cx, name)?;
        let mut xml = Build::new();
        xml.open_ns("pubsub", OWNER).open("subscriptions").attr("node", &name);
        for it in node.subscriptions.iter().filter(|it| it.is_active()) {
            xml.open("subscription").attr("jid", it.jid.as_str()).attr("subscription", it.state.as_str()).close();
        }
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
        let new = changes.iter().filter(|(jid, _)| !node.subscriptions.iter().any(|it| it.jid == *jid)).count();
        if node.subscriptions.len() + new > cx.quotas.subscriptions_per_node_max {
            return Err(error::too_many_subscriptions());
        }
        let node = self.known_mut(&name)?;
        let mut outcome = Outcome::empty();
        for (jid, state) in changes {
            let known = node.subscriptions.iter().position(|it| it.jid == jid);
            match (known, state) {
                (None, None) => continue,
                (None, Some(state)) => node.subscriptions.push(Subscription { jid: jid.clone(), state }),
                (Some(at), state) => {
                    if node.subscriptions.get(at).map(|it| it.state) == state {
                        continue;
                    }
                    set_state(node, at, state);
                }
            }
            outcome.notices.push(told(&name, &jid, state));
        }
        self.keep(&name, &mut outcome.changes);
        Ok(outcome)
    }

    /// 8.9.1.
    pub(super) fn get_affiliations(&self, cx: &Context<'_>, name: &str) -> Result<Outcome, Bounce> {
        let (name, node) = self.owned(cx, name)?;
        let mut xml = Build::new();
        xml.open_ns("pubsub", OWNER).open("affiliations").attr("node", &name);
        xml.open("affiliation").attr("jid", cx.service).attr("affiliation", Affiliation::Owner.as_str()).close();
        for (jid, it) in &node.affiliations {
            xml.open("affiliation").attr("jid", jid.as_str()).attr("affiliation", it.as_str()).close();
        }
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
        let mut after = node.affiliations.clone();
        let mut changed: Vec<(BareJid, Affiliation)> = Vec::new();
        for (jid, affiliation) in changes {
            // 4.1: "All affiliations MUST be based on a bare JID."
            let jid = jid.to_bare();
            if jid.as_str() == cx.service {
                // 8.9.2.4: the service's own account stays an owner.
                if affiliation == Affiliation::Owner {
                    continue;
                }
                return Err(Bounce::new(Condition::NotAcceptable).text("the account itself owns its nodes"));
            }
            let before = match affiliation {
                Affiliation::None => after.remove(&jid),
                other => after.insert(jid.clone(), other),
            };
            if before.unwrap_or(Affiliation::None) != affiliation {
                changed.push((jid, affiliation));
            }
        }
        if after.len() > cx.quotas.affiliations_per_node_max && after.len() > node.affiliations.len() {
            return Err(error::quota("this node has as many affiliations as it may have"));
        }
        let node = self.known_mut(&name)?;
        node.affiliations = after;
        let mut outcome = Outcome::empty();
        for (jid, affiliation) in changed {
            outcome.notices.push(affiliated(&name, &jid, affiliation));
            // 8.7.4: pending requests follow; 4.1: an outcast hears nothing more.
            let next = match affiliation {
                Affiliation::Owner | Affiliation::Publisher | Affiliation::Member => Some(State::Subscribed),
                Affiliation::Outcast | Affiliation::PublishOnly => None,
                Affiliation::None => continue,
            };
            let concerned = |it: &Subscription| it.jid.to_bare() == jid && Some(it.state) != next;
            while let Some(at) = node.subscriptions.iter().position(concerned) {
                let who = node.subscriptions.get(at).map(|it| it.jid.clone());
                set_state(node, at, next);
                outcome.notices.extend(who.map(|who| told(&name, &who, next)));
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

/// 8.9.4.
fn affiliated(node: &str, jid: &BareJid, affiliation: Affiliation) -> Notice {
    let mut xml = Build::new();
    xml.open_ns("pubsub", NS).open("affiliations").attr("node", node);
    xml.open("affiliation").attr("jid", jid.as_str()).attr("affiliation", affiliation.as_str());
    Notice::Message { to: jid.clone().into(), xml: text(xml), kind: Notification::Headline }
}
