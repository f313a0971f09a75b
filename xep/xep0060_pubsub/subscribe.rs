//! 6: who wants to hear of a node, says so, and says so no more.

use std::sync::Arc;

use iris_core::xml::Build;
use iris_core::{Bounce, Jid, ns};

use super::config::{Notification, SendLast};
use super::node::{Node, State, Subscription};
use super::request::Approval;
use super::service::{Context, Notice, Outcome, Service, text};
use super::{Asker, NS, SUBSCRIBE_AUTHORIZATION, error, event, form};

impl Service {
    /// 6.1.
    pub(super) fn subscribe(&mut self, cx: &Context<'_>, name: &str, jid: Jid) -> Result<Outcome, Bounce> {
        // 6.1.3.1.
        if jid.to_bare() != cx.who.bare {
            return Err(error::bad_request("invalid-jid"));
        }
        let (name, node) = self.known(name)?;
        let granted = node.may_subscribe(cx.who)?;
        if !node.config.subscribe {
            return Err(error::unsupported("subscribe"));
        }
        if let Some(known) = node.subscriptions.iter().find(|it| it.jid == jid) {
            // 6.1.3.7; 6.1.6: of an address there is one subscription.
            return match known.state {
                State::Pending => Err(error::not_authorized("pending-subscription")),
                State::Subscribed => Ok(Outcome::payload(answer(&name, &jid, State::Subscribed))),
            };
        }
        if node.subscriptions.len() >= cx.quotas.subscriptions_per_node_max {
            return Err(error::too_many_subscriptions());
        }
        let (send_last, notify_sub) = (node.config.send_last, node.config.notify_sub);
        let node = self.known_mut(&name)?;
        node.subscriptions.push(Subscription { jid: jid.clone(), state: granted });
        let mut outcome = Outcome::payload(answer(&name, &jid, granted));
        self.keep(&name, &mut outcome.changes);
        match granted {
            State::Pending => outcome.notices.push(request_approval(&name, &jid, (cx.mint)())),
            State::Subscribed => {
                if send_last != SendLast::Never {
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
        // 6.2.3.3.
        if jid.to_bare() != cx.who.bare {
            return Err(error::forbidden());
        }
        let (name, node) = self.known(name)?;
        let notify_sub = node.config.notify_sub;
        let node = self.known_mut(&name)?;
        let before = node.subscriptions.len();
        node.subscriptions.retain(|it| it.jid != *jid);
        if node.subscriptions.len() == before {
            return Err(error::not_subscribed());
        }
        let mut outcome = Outcome::empty();
        self.keep(&name, &mut outcome.changes);
        if notify_sub && !cx.who.is_host() {
            let xml = event::subscription(&name, jid, None);
            outcome.notices.push(Notice::Owners { node: name, xml, id: format!("sub-{:x}", (cx.mint)()) });
        }
        Ok(outcome)
    }

    /// 8.6: an owner has answered. What is not theirs to answer, or not pending, changes nothing.
    pub fn approve(&mut self, who: &Asker, approval: &Approval) -> Option<Outcome> {
        let (name, node) = self.nodes.get_key_value(approval.node.as_str())?;
        node.must_own(who).ok()?;
        let name = name.clone();
        let node = self.nodes.get_mut(&name)?;
        let at = node.subscriptions.iter().position(|it| it.jid == approval.subscriber && it.state == State::Pending)?;
        let state = approval.allow.then_some(State::Subscribed);
        set_state(node, at, state);
        let send_last = node.config.send_last;
        let mut outcome = Outcome::empty();
        self.keep(&name, &mut outcome.changes);
        outcome.notices.push(told(&name, &approval.subscriber, state));
        if state.is_some() && send_last != SendLast::Never {
            outcome.notices.push(Notice::Last { node: name, to: approval.subscriber.clone() });
        }
        Some(outcome)
    }

    /// XEP-0163 7.1: what somebody is to the owner has changed. Subscriptions that they may not have any more end.
    pub fn review(&mut self, who: &Asker) -> Option<Outcome> {
        let mut outcome = Outcome::empty();
        let names: Vec<Arc<str>> = self.nodes.keys().cloned().collect();
        for name in names {
            let Some(node) = self.nodes.get_mut(&name) else { continue };
            if !node.subscriptions.iter().any(|it| it.jid.to_bare() == who.bare) || node.may_subscribe(who).is_ok() {
                continue;
            }
            let (gone, kept) = std::mem::take(&mut node.subscriptions).into_iter().partition(|it| it.jid.to_bare() == who.bare);
            node.subscriptions = kept;
            outcome.notices.extend(Vec::into_iter(gone).map(|it: Subscription| told(&name, &it.jid, None)));
            self.keep(&name, &mut outcome.changes);
        }
        (!outcome.changes.is_empty()).then_some(outcome)
    }
}

pub(super) fn set_state(node: &mut Node, at: usize, state: Option<State>) {
    match (state, node.subscriptions.get_mut(at)) {
        (Some(state), Some(subscription)) => subscription.state = state,
        (None, Some(_)) => {
            node.subscriptions.remove(at);
        }
        (_, None) => {}
    }
}

/// 12.11: a subscription is not what it was.
pub(super) fn told(node: &str, jid: &Jid, state: Option<State>) -> Notice {
    let xml = event::subscription(node, jid, state);
    Notice::Message { to: jid.clone(), xml, kind: Notification::Headline }
}

fn answer(node: &str, jid: &Jid, state: State) -> String {
    let mut xml = Build::new();
    xml.open_ns("pubsub", NS).open("subscription").attr("node", node).attr("jid", jid.as_str());
    xml.attr("subscription", state.as_str());
    text(xml)
}

/// 8.6.
fn request_approval(node: &Arc<str>, jid: &Jid, id: u64) -> Notice {
    let mut xml = Build::new();
    xml.open_ns("x", ns::DATA_FORMS).attr("type", "form").leaf("title", "Subscription request");
    xml.leaf("instructions", "Somebody wants to subscribe to one of your nodes. Submit the form to allow or to deny it.");
    form::field(&mut xml, "FORM_TYPE", Some("hidden"), None, &[], &[SUBSCRIBE_AUTHORIZATION.to_owned()]);
    form::field(&mut xml, "pubsub#node", Some("text-single"), Some("Node"), &[], &[node.to_string()]);
    form::field(&mut xml, "pubsub#subscriber_jid", Some("jid-single"), Some("Subscriber"), &[], &[jid.to_string()]);
    form::field(&mut xml, "pubsub#allow", Some("boolean"), Some("Allow it?"), &[], &["false".to_owned()]);
    xml.close();
    Notice::Owners { node: node.clone(), xml: text(xml), id: format!("approve-{id:x}") }
}
