//! XEP-0465 at a service: who is subscribed to a node and lets everybody know. A node beside it has the list: its items are what
//! `Node::followers` says and nobody publishes them. It is there to whoever may read the node that it is about; as a node of the service
//! it is made when somebody subscribes to it, so that there is a place for what they want to hear.

use std::sync::Arc;

use iris_core::xml::Build;
use iris_core::{BareJid, Bounce};

use super::config::{Access, Config, Notification, SendLast};
use super::node::Node;
use super::service::{Context, Notice, Outcome, Service, text};
use super::{Asker, NS, PUBLIC, Request, Subject, Subscription, error, lists};
use crate::xep0059_rsm as rsm;

/// Section 4.4; what stands behind it is the name of a node.
const SUBSCRIBERS: &str = "urn:xmpp:pps:subscribers:0/";
/// Names that nobody else gives.
const RESERVED: &str = "urn:xmpp:pps:";

/// The node that this name is about.
pub fn subject(name: &str) -> &str {
    name.strip_prefix(SUBSCRIBERS).unwrap_or(name)
}

/// Is it one of those that the service makes of itself?
pub fn is_reserved(name: &str) -> bool {
    name.starts_with(RESERVED)
}

impl Service {
    /// The node that this list is about, if there is such a list.
    pub(super) fn listed(&self, list: &str) -> Result<&Node, Bounce> {
        let of = list.strip_prefix(SUBSCRIBERS).filter(|of| !is_reserved(of));
        self.node(of.ok_or_else(error::not_found)?).ok_or_else(error::not_found)
    }

    /// A request about a list. `None`: it is answered like one about any node.
    pub(super) fn ask_list(&mut self, cx: &Context<'_>, request: &Request) -> Option<Result<Outcome, Bounce>> {
        use Request as R;
        let name = request.node().filter(|name| is_reserved(name))?;
        // Section 5: "create, purge or delete a special node …, or … manually publish or retract items". Nor does anybody own one.
        if request.is_of_owner() || matches!(request, R::Create { .. } | R::Publish { .. } | R::Retract { .. }) {
            return Some(Err(error::forbidden()));
        }
        let node = match self.listed(name) {
            Ok(node) => node,
            Err(why) => return Some(Err(why)),
        };
        // What somebody has they may give back, whatever they may see.
        if let Some(why) = node.may_read(cx.who).err().filter(|_| !matches!(request, R::Unsubscribe { .. })) {
            return Some(Err(why));
        }
        match request {
            R::Items { ids, newest, page, .. } => Some(self.followers(cx, name, ids, *newest, page.as_ref())),
            // Whom a roster has let in is known again by a subscription to the node itself.
            R::Subscribe { .. } if !node.may_hear(&cx.who.bare, false) => Some(Err(error::not_authorized("not-subscribed"))),
            R::Subscribe { jid, options, public, .. } => {
                let name: Arc<str> = Arc::from(name);
                let is_new = !self.nodes.contains_key(&name);
                if is_new {
                    self.begin_list(cx, &name);
                }
                let outcome = self.subscribe(cx, &name, jid.clone(), options.as_ref(), *public);
                if is_new && outcome.is_err() {
                    self.unlink(&name, &mut Vec::new());
                }
                Some(outcome)
            }
            R::Unsubscribe { .. } | R::GetOptions { .. } | R::SetOptions { .. } if self.node(name).is_none() => {
                Some(Err(error::not_subscribed()))
            }
            _ => None,
        }
    }

    fn begin_list(&mut self, cx: &Context<'_>, name: &Arc<str>) {
        let config = Config {
            access: Access::Open,
            send_last: SendLast::Never,
            notification: Notification::Headline,
            notify_delete: true,
            ..cx.default.clone()
        };
        let Ok(service) = BareJid::new(cx.service) else { return };
        // It is kept with its first subscription.
        let mut node = Node::new(config, (cx.mint)(), service);
        node.in_one_piece = true;
        self.link(name.clone(), node);
    }

    /// The list ends with the node that it is about.
    pub(super) fn end_list(&mut self, of: &str, outcome: &mut Outcome) {
        if let Some((name, _)) = self.list_of(of) {
            self.end_node(&name, None, outcome);
        }
    }

    fn list_of(&self, node: &str) -> Option<(Arc<str>, &Node)> {
        // Few nodes have one: no name is made for the others.
        if self.lists == 0 || is_reserved(node) {
            return None;
        }
        self.known(&format!("{SUBSCRIBERS}{node}")).ok()
    }

    /// A subscription has come, gone or changed. Whoever hears of the list is told when that one is in it now, or is not any more.
    pub(super) fn review_list(&mut self, name: &str, person: &BareJid) -> Option<Notice> {
        let is = self.nodes.get_mut(name)?.review_follower(person)?;
        let (list, _) = self.list_of(name).filter(|(_, list)| !list.subscriptions.is_empty())?;
        let mut xml = Build::new();
        xml.open("items").attr("node", &list);
        if is {
            write_follower(&mut xml, person);
        } else {
            xml.open("retract").attr("id", person.as_str()).close();
        }
        xml.close();
        let (xml, kind) = (text(xml), Notification::Headline);
        Some(Notice::News { node: list, xml, kind, subject: Subject::Items, body: None })
    }

    /// XEP-0060 5.3.
    pub(super) fn describe_list(&self, name: &str, who: &Asker) -> Option<String> {
        self.listed(name).ok()?.may_read(who).ok()?;
        let mut xml = Build::new();
        xml.open("identity").attr("category", "pubsub").attr("type", "leaf").close();
        xml.open("feature").attr("var", NS).close();
        Some(text(xml))
    }

    fn followers(
        &self,
        cx: &Context<'_>,
        name: &str,
        ids: &[String],
        newest: Option<usize>,
        page: Option<&rsm::Wanted>,
    ) -> Result<Outcome, Bounce> {
        let all = &self.listed(name)?.followers;
        // XEP-0060 6.5.7, 6.5.8; those there are have no order of their own.
        let rows: Vec<&BareJid> = match ids {
            [] => all.iter().take(newest.unwrap_or(usize::MAX)).collect(),
            ids => ids.iter().filter_map(|id| all.get(&BareJid::new(id).ok()?)).collect(),
        };
        let mut xml = Build::new();
        xml.open_ns("pubsub", NS).open("items").attr("node", name);
        lists::write(&mut xml, &rows, page, cx.quotas, |jid| jid.to_string(), |xml, jid| write_follower(xml, jid))?;
        Ok(Outcome::payload(text(xml)))
    }
}

impl Node {
    /// Does this one follow in public? `None`: as before.
    pub(super) fn review_follower(&mut self, person: &BareJid) -> Option<bool> {
        let shows = |it: &Subscription| it.public && it.is_active();
        let is = self.subscriptions.of(person).iter().any(shows);
        let is_other = if is { self.followers.insert(person.clone()) } else { self.followers.remove(person) };
        is_other.then_some(is)
    }
}

fn write_follower(xml: &mut Build, jid: &BareJid) {
    xml.open("item").attr("id", jid.as_str());
    xml.open_ns("subscriber", PUBLIC).attr("jid", jid.as_str()).close().close();
}
