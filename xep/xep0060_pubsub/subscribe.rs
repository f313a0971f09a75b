//! 6: who wants to hear of a node, says so, and says so no more.

use std::sync::Arc;

use iris_core::time::datetime;
use iris_core::xml::Build;
use iris_core::{BareJid, Bounce, Jid, ns};

use super::config::{Config, Notification, SendLast};
use super::form::Filled;
use super::node::Node;
use super::options::{Offered, Options};
use super::request::Approval;
use super::root::named;
use super::service::{Context, Notice, Outcome, Service, text};
use super::{
    Affiliation, Asker, NS, SUBSCRIBE_AUTHORIZATION, Standing, State, Subscription, error, event, form, public, social,
};

impl Service {
    /// 6.1; with options 6.3.7.
    pub(super) fn subscribe(
        &mut self,
        cx: &Context<'_>,
        name: &str,
        jid: Jid,
        options: Option<&Filled>,
        public: bool,
    ) -> Result<Outcome, Bounce> {
        // 6.1.3.1.
        if jid.to_bare() != cx.who.bare {
            return Err(error::bad_request("invalid-jid"));
        }
        let (name, node) = self.known(name)?;
        let granted = node.may_subscribe(cx.who)?;
        if !node.config.subscribe {
            return Err(error::unsupported("subscribe"));
        }
        cx.may_be_told(&node.config, &cx.who.bare)?;
        let is_collection = node.config.is_collection();
        let known = node.subscriptions.get(&jid);
        let before = known.map_or_else(Options::default, |it| it.options.clone());
        let offered = offered(cx, &node.config);
        let asked = options.map_or_else(|| Ok(before.clone()), |form| before.apply(form, cx.now_us, offered))?;
        let shown = options.map(|_| offered);
        if let Some(known) = known {
            let state = known.state;
            // 6.1.3.7; 6.1.6: of an address there is one subscription. To ask again may change its options (XEP-0465 4.3: and
            // whether it is public).
            if state == State::Pending {
                return Err(error::not_authorized("pending-subscription"));
            }
            let mut outcome = Outcome::payload(answer(&name, &jid, state, (&asked, shown)));
            if known.public != public || known.options != asked {
                let changed = Subscription { jid: jid.clone(), state, options: asked, public };
                self.known_mut(&name)?.subscriptions.put(changed);
                self.keep_subscription(&name, &jid, &mut outcome);
            }
            return Ok(outcome);
        }
        if node.subscriptions.len() >= cx.quotas.subscriptions_per_node_max {
            return Err(error::too_many_subscribers(cx.quotas));
        }
        let domain = cx.who.bare.domain();
        let most = cx.quotas.subscriptions_per_server_max;
        if node.subscriptions.len() >= most && !(cx.sees)(&cx.who.bare) {
            let is_theirs = |(person, of): (&BareJid, &[Subscription])| if person.domain() == domain { of.len() } else { 0 };
            if node.subscriptions.people().map(is_theirs).sum::<usize>() >= most {
                return Err(error::too_many_of_server(cx.quotas, domain.as_str()));
            }
        }
        if node.subscriptions.of(&cx.who.bare).len() >= cx.quotas.subscriptions_per_person_max {
            return Err(error::too_many_of_one(cx.quotas));
        }
        let (send_last, notify_sub) = (node.config.send_last, node.config.notify_sub);
        let mut outcome = Outcome::payload(answer(&name, &jid, granted, (&asked, shown)));
        let subscription = Subscription { jid: jid.clone(), state: granted, options: asked, public };
        self.known_mut(&name)?.subscriptions.put(subscription);
        self.keep_subscription(&name, &jid, &mut outcome);
        match granted {
            State::Pending => outcome.notices.push(request_approval(&name, &jid, (cx.mint)())),
            State::Subscribed => {
                if send_last != SendLast::Never && !is_collection {
                    outcome.notices.push(Notice::Last { node: name.clone(), to: jid.clone() });
                }
                if notify_sub && !cx.who.is_host() {
                    let xml = event::subscription(&name, &jid, Some(granted));
                    outcome.notices.push(Notice::Owners { node: name, xml, id: format!("sub-{:x}", (cx.mint)()) });
                }
            }
        }
        Ok(outcome)
    }

    /// 6.2.
    pub(super) fn unsubscribe(&mut self, cx: &Context<'_>, name: &str, jid: &Jid) -> Result<Outcome, Bounce> {
        let (name, node) = self.known(name)?;
        // 6.2.3.3.
        if jid.to_bare() != cx.who.bare {
            return Err(error::forbidden());
        }
        let notify_sub = node.config.notify_sub;
        node.subscriptions.get(jid).ok_or_else(error::not_subscribed)?;
        self.known_mut(&name)?.subscriptions.remove(jid);
        let mut outcome = Outcome::empty();
        self.keep_subscription(&name, jid, &mut outcome);
        if notify_sub && !cx.who.is_host() {
            let xml = event::subscription(&name, jid, None);
            outcome.notices.push(Notice::Owners { node: name, xml, id: format!("sub-{:x}", (cx.mint)()) });
        }
        Ok(outcome)
    }

    /// 6.3.2.
    pub(super) fn get_options(&self, cx: &Context<'_>, name: &str, jid: &Jid) -> Result<Outcome, Bounce> {
        let (name, node, subscription) = self.own_subscription(cx, name, jid)?;
        let mut xml = Build::new();
        xml.open_ns("pubsub", NS).open("options").attr_opt("node", named(&name)).attr("jid", jid.as_str());
        subscription.options.write(&mut xml, "form", offered(cx, &node.config));
        Ok(Outcome::build(xml))
    }

    /// 6.3.5.
    pub(super) fn set_options(&mut self, cx: &Context<'_>, name: &str, jid: &Jid, form: &Filled) -> Result<Outcome, Bounce> {
        let (name, node, subscription) = self.own_subscription(cx, name, jid)?;
        let options = subscription.options.apply(form, cx.now_us, offered(cx, &node.config))?;
        let mut outcome = Outcome::empty();
        if options != subscription.options {
            if let Some(it) = self.known_mut(&name)?.subscriptions.get_mut(jid) {
                it.options = options;
            }
            self.keep_subscription(&name, jid, &mut outcome);
        }
        Ok(outcome)
    }

    /// The errors of 6.3.4, in their order.
    fn own_subscription(&self, cx: &Context<'_>, name: &str, jid: &Jid) -> Result<(Arc<str>, &Node, &Subscription), Bounce> {
        let (name, node) = self.known(name)?;
        if jid.to_bare() != cx.who.bare {
            return Err(error::forbidden());
        }
        let subscription = node.subscriptions.get(jid).ok_or_else(error::not_subscribed)?;
        Ok((name, node, subscription))
    }

    /// 6.4.
    pub(super) fn default_options(&self, cx: &Context<'_>, name: Option<&str>) -> Result<Outcome, Bounce> {
        let presence = (cx.sees)(&cx.who.bare);
        let offered = match name {
            Some(name) => {
                let (_, node) = self.known(public::subject(name))?;
                node.may_subscribe(cx.who)?;
                match public::is_reserved(name) {
                    true => Offered { collection: false, body: false, presence, temporary: false },
                    false => offered(cx, &node.config),
                }
            }
            None => Offered { collection: cx.quotas.is_service, body: true, presence, temporary: false },
        };
        let mut xml = Build::new();
        xml.open_ns("pubsub", NS).open("default").attr_opt("node", name);
        Options::default().write(&mut xml, "form", offered);
        Ok(Outcome::build(xml))
    }

    /// 8.6: an owner has answered. What is not theirs to answer, or not pending, changes nothing.
    pub fn approve(&mut self, who: &Asker, approval: &Approval) -> Option<Outcome> {
        let (name, node) = self.nodes.get_key_value(approval.node.as_str())?;
        node.must_own(who).ok()?;
        let name = name.clone();
        let node = self.nodes.get_mut(&name)?;
        node.subscriptions.get(&approval.subscriber).filter(|it| it.state == State::Pending)?;
        let state = approval.allow.then_some(State::Subscribed);
        set_state(node, &approval.subscriber, state);
        let mut outcome = Outcome::empty();
        self.changed(&name, &approval.subscriber, state, &mut outcome);
        Some(outcome)
    }

    /// 12.11: a subscription is another than before, by an owner: whoever has it is told, and gets the last item (12.10) with it.
    pub(super) fn changed(&mut self, name: &Arc<str>, jid: &Jid, state: Option<State>, outcome: &mut Outcome) {
        self.keep_subscription(name, jid, outcome);
        outcome.notices.push(told(name, jid, state));
        let sends = |node: &Node| node.config.send_last != SendLast::Never && !node.config.is_collection();
        if state == Some(State::Subscribed) && self.node(name).is_some_and(sends) {
            outcome.notices.push(Notice::Last { node: name.clone(), to: jid.clone() });
        }
    }

    /// 8.7: the nodes of this owner that somebody waits for. 8.7.3.3: who owns none has nothing to approve.
    pub fn awaited(&self, who: &Asker) -> Result<Vec<Arc<str>>, Bounce> {
        let waits = |node: &Node| node.subscriptions.iter().any(|it| it.state == State::Pending);
        let mut owned = self.nodes.iter().filter(|(_, node)| node.must_own(who).is_ok()).peekable();
        if owned.peek().is_none() {
            return Err(error::forbidden());
        }
        Ok(owned.filter(|(_, node)| waits(node)).map(|(name, _)| name.clone()).collect())
    }

    /// 8.7: the requests once more; the content of one message each, and its id.
    pub fn requests(&self, who: &Asker, name: &str, mint: &dyn Fn() -> u64) -> Result<Vec<(String, String)>, Bounce> {
        let (name, node) = self.known(name)?;
        node.must_own(who)?;
        let pending = node.subscriptions.iter().filter(|it| it.state == State::Pending);
        Ok(pending.map(|it| approval_form(&name, &it.jid, mint())).collect())
    }

    /// XEP-0163 7.1: what somebody is to the owner has changed. Subscriptions that they may not have any more end.
    pub fn review(&mut self, who: &Asker) -> Option<Outcome> {
        let lost = |node: &Node| !node.subscriptions.of(&who.bare).is_empty() && node.may_subscribe(who).is_err();
        self.end_where(&who.bare, lost)
    }

    /// The same in one node.
    pub fn review_node(&mut self, name: &str, who: &Asker) -> Option<Outcome> {
        let (name, node) = self.known(name).ok()?;
        node.may_subscribe(who).err()?;
        let mut outcome = Outcome::empty();
        self.end_all_of(&name, &who.bare, &mut outcome);
        (!outcome.changes.is_empty()).then_some(outcome)
    }

    /// 4.5: the node is another than before, or these are another to it.
    pub(super) fn review_people(&mut self, cx: &Context<'_>, name: &Arc<str>, people: Vec<BareJid>, outcome: &mut Outcome) {
        for bare in people {
            let standing = cx.others.get(&bare).cloned().unwrap_or(Standing::Stranger);
            let who = Asker { jid: bare.clone().into(), bare, standing };
            if self.node(name).is_some_and(|node| node.may_subscribe(&who).is_err()) {
                self.end_all_of(name, &who.bare, outcome);
            }
        }
    }

    fn end_where(&mut self, person: &BareJid, ends: impl Fn(&Node) -> bool) -> Option<Outcome> {
        let mut outcome = Outcome::empty();
        let names: Vec<Arc<str>> = self.nodes.iter().filter(|(_, node)| ends(node)).map(|(name, _)| name.clone()).collect();
        names.iter().for_each(|name| self.end_all_of(name, person, &mut outcome));
        (!outcome.changes.is_empty()).then_some(outcome)
    }

    /// Those of one person in one node; they are told.
    pub(super) fn end_all_of(&mut self, name: &Arc<str>, person: &BareJid, outcome: &mut Outcome) {
        let of = self.node(name).map_or(&[][..], |node| node.subscriptions.of(person));
        let jids: Vec<Jid> = of.iter().map(|it| it.jid.clone()).collect();
        for jid in jids {
            self.end_subscription(name, &jid, outcome);
            outcome.notices.push(told(name, &jid, None));
        }
    }

    pub(super) fn end_subscription(&mut self, name: &Arc<str>, jid: &Jid, outcome: &mut Outcome) {
        if self.nodes.get_mut(name).and_then(|node| node.subscriptions.remove(jid)).is_some() {
            self.keep_subscription(name, jid, outcome);
        }
    }

    /// 12.4: nobody is to be reached there.
    pub fn forget_address(&mut self, jid: &Jid) -> Option<Outcome> {
        let mut outcome = Outcome::empty();
        let has = |(_, node): &(&Arc<str>, &Node)| node.subscriptions.get(jid).is_some();
        let names: Vec<Arc<str>> = self.nodes.iter().filter(has).map(|(name, _)| name.clone()).collect();
        for name in names {
            self.end_subscription(&name, jid, &mut outcome);
        }
        (!outcome.changes.is_empty()).then_some(outcome)
    }

    /// Somebody is no more: nothing goes to them, they are nothing to any node, and what only they own ends.
    pub fn forget_person(&mut self, person: &BareJid) -> Vec<Outcome> {
        let mut outcomes = Vec::new();
        let names: Vec<Arc<str>> = self.nodes.keys().cloned().collect();
        for name in names {
            let mut outcome = Outcome::empty();
            let Some(node) = self.nodes.get_mut(&name) else { continue };
            let was = node.affiliations.remove(person);
            if was == Some(Affiliation::Owner) && !node.affiliations.values().any(|it| *it == Affiliation::Owner) {
                self.end_node(&name, None, &mut outcome);
            } else {
                if was.is_some() {
                    self.keep(&name, &mut outcome.changes);
                }
                let of = self.node(&name).map_or(&[][..], |node| node.subscriptions.of(person));
                let jids: Vec<Jid> = of.iter().map(|it| it.jid.clone()).collect();
                jids.iter().for_each(|jid| self.end_subscription(&name, jid, &mut outcome));
            }
            if !outcome.changes.is_empty() {
                outcomes.push(outcome);
            }
        }
        outcomes
    }

    /// 12.18: leases that are over end, and whoever had them is told. Asked before anything else is: nobody reads on a lease that is over.
    pub fn end_leases(&mut self, now_us: u64) -> Option<Outcome> {
        if !self.has_lease_until(now_us) {
            return None;
        }
        let mut outcome = Outcome::empty();
        let over = |(name, node): (&Arc<str>, &Node)| -> Vec<(Arc<str>, Jid)> {
            node.subscriptions.iter().filter(|it| it.options.is_over(now_us)).map(|it| (name.clone(), it.jid.clone())).collect()
        };
        let over: Vec<(Arc<str>, Jid)> = self.nodes.iter().flat_map(over).collect();
        for (name, jid) in over {
            self.end_subscription(&name, &jid, &mut outcome);
            outcome.notices.push(told(&name, &jid, None));
        }
        self.seek_next_lease();
        (!outcome.changes.is_empty()).then_some(outcome)
    }
}

pub(super) fn set_state(node: &mut Node, jid: &Jid, state: Option<State>) {
    match (state, node.subscriptions.get_mut(jid)) {
        (Some(state), Some(subscription)) => subscription.state = state,
        (Some(state), None) => node.subscriptions.put(Subscription::new(jid.clone(), state)),
        (None, _) => {
            node.subscriptions.remove(jid);
        }
    }
}

/// 12.11: a subscription is not what it was.
pub(super) fn told(node: &str, jid: &Jid, state: Option<State>) -> Notice {
    let xml = event::subscription(node, jid, state);
    Notice::Message { to: jid.clone(), xml, kind: Notification::Headline }
}

/// What may be chosen of a node.
fn offered(cx: &Context<'_>, config: &Config) -> Offered {
    let collection = config.is_collection();
    let body = collection || social::has_body(config);
    Offered { collection, body, presence: (cx.sees)(&cx.who.bare), temporary: config.temporary }
}

/// `shown`: they were asked for.
fn answer(node: &str, jid: &Jid, state: State, (options, shown): (&Options, Option<Offered>)) -> String {
    let mut xml = Build::new();
    xml.open_ns("pubsub", NS).open("subscription").attr_opt("node", named(node)).attr("jid", jid.as_str());
    xml.attr("subscription", state.as_str());
    // 12.18.
    xml.attr_opt("expiry", options.expire_us.map(datetime).as_deref());
    xml.close();
    // 6.3.7.
    if let Some(offered) = shown {
        xml.open("options");
        options.write(&mut xml, "result", offered);
        xml.close();
    }
    text(xml)
}

/// 8.6.
fn request_approval(node: &Arc<str>, jid: &Jid, id: u64) -> Notice {
    let (xml, id) = approval_form(node, jid, id);
    Notice::Owners { node: node.clone(), xml, id }
}

fn approval_form(node: &str, jid: &Jid, id: u64) -> (String, String) {
    let mut xml = Build::new();
    xml.open_ns("x", ns::DATA_FORMS).attr("type", "form").leaf("title", "Subscription request");
    xml.leaf("instructions", "Somebody wants to subscribe to one of your nodes. Submit the form to allow or to deny it.");
    form::field(&mut xml, "FORM_TYPE", Some("hidden"), None, &[], &[SUBSCRIBE_AUTHORIZATION.to_owned()]);
    form::field(&mut xml, "pubsub#node", Some("text-single"), Some("Node"), &[], &[node.to_owned()]);
    form::field(&mut xml, "pubsub#subscriber_jid", Some("jid-single"), Some("Subscriber"), &[], &[jid.to_string()]);
    form::field(&mut xml, "pubsub#allow", Some("boolean"), Some("Allow it?"), &[], &["false".to_owned()]);
    xml.close();
    (text(xml), format!("approve-{id:x}"))
}
