//! XEP-0465 at a service: who is subscribed to a node and lets everybody know. A node that the service makes of that when it is asked.

use iris_core::xml::Build;
use iris_core::{BareJid, Bounce};

use super::service::{Answer, Context, Outcome, Service, text};
use super::{NS, PUBLIC, Request, error, lists, subscription::Subscription};
use crate::xep0059_rsm as rsm;

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
        Request::Items { page, .. } => subscribers(service, cx, name, page.as_ref()).map(|outcome| outcome.answer),
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

fn subscribers(service: &Service, cx: &Context<'_>, name: &str, page: Option<&rsm::Wanted>) -> Result<Outcome, Bounce> {
    let of = name.strip_prefix(SUBSCRIBERS).ok_or_else(error::not_found)?;
    let node = service.node(of).ok_or_else(error::not_found)?;
    node.may_read(cx.who)?;
    let mut xml = Build::new();
    xml.open_ns("pubsub", NS).open("items").attr("node", name);
    let shows = |it: &Subscription| it.public && it.is_active() && !it.options.is_over(cx.now_us);
    let rows: Vec<&BareJid> = node.subscriptions.people().filter(|(_, of)| of.iter().any(shows)).map(|(jid, _)| jid).collect();
    lists::write(
        &mut xml,
        &rows,
        page,
        cx.quotas,
        |jid| jid.to_string(),
        |xml, jid| {
            xml.open("item").attr("id", jid.as_str());
            xml.open_ns("subscriber", PUBLIC).attr("jid", jid.as_str()).close().close();
        },
    )?;
    Ok(Outcome::payload(text(xml)))
}
