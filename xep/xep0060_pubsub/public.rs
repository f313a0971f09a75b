//! XEP-0465 at a service: who is subscribed to a node and lets everybody know. A node that the service makes of that when it is asked.

use iris_core::Bounce;
use iris_core::xml::Build;

use super::service::{Answer, Context, Outcome, Service, text};
use super::{NS, PUBLIC, Request, error, subscription::Subscription};

/// Section 4.4; what stands behind it is the name of a node.
const SUBSCRIBERS: &str = "urn:xmpp:pps:subscribers:0/";
/// Names that nobody else gives.
pub(super) const RESERVED: &str = "urn:xmpp:pps:";

/// The node that this name is about.
pub fn subject(name: &str) -> &str {
    name.strip_prefix(SUBSCRIBERS).unwrap_or(name)
}

/// `None`: the request is about other things.
pub fn answer(service: &Service, cx: &Context<'_>, request: &Request) -> Option<Result<Answer, Bounce>> {
    let name = request.node().filter(|name| name.starts_with(RESERVED))?;
    Some(match request {
        Request::Items { .. } => subscribers(service, cx, name).map(|outcome| outcome.answer),
        // Section 5: "create, purge or delete a special node …, or … manually publish or retract items".
        Request::Create { .. }
        | Request::Purge { .. }
        | Request::Delete { .. }
        | Request::Publish { .. }
        | Request::Retract { .. } => Err(error::forbidden()),
        Request::Subscribe { .. } => Err(error::unsupported("subscribe")),
        _ => Err(error::not_found()),
    })
}

fn subscribers(service: &Service, cx: &Context<'_>, name: &str) -> Result<Outcome, Bounce> {
    let of = name.strip_prefix(SUBSCRIBERS).ok_or_else(error::not_found)?;
    let node = service.node(of).ok_or_else(error::not_found)?;
    node.may_read(cx.who)?;
    let mut xml = Build::new();
    xml.open_ns("pubsub", NS).open("items").attr("node", name);
    let shown = |it: &&Subscription| it.public && it.is_active() && !it.options.is_over(cx.now_us);
    for it in node.subscriptions.iter().filter(shown).take(cx.quotas.page_items_max) {
        let jid = it.jid.to_bare();
        xml.open("item").attr("id", jid.as_str());
        xml.open_ns("subscriber", PUBLIC).attr("jid", jid.as_str()).close().close();
    }
    Ok(Outcome::payload(text(xml)))
}
