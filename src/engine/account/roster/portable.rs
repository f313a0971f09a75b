//! A roster on its way from one server to another (XEP-0227, sections "Rosters" and "Incoming Subscription Requests").

use std::sync::Arc;

use bytes::Bytes;
use iris_core::store::Item;
use iris_core::xml::{Build, El};
use iris_core::{BareJid, Jid, ns};

use super::{Contact, REQUEST_SIZE_BYTES_MAX, Roster, groups_of, name_of, render, stored};
use crate::account::subscription::State;

/// The `<query/>` (nothing: there are no items), and the `<presence type='subscribe'/>` that wait for an answer. `items`: of the
/// roster's shelf.
pub fn move_out(items: &[Item]) -> (Option<String>, Vec<String>) {
    let roster = Roster::load(items);
    let query = (!roster.is_empty()).then(|| render::query(roster.ver(), roster.items()));
    let requests = roster.requests().map(|(_, request)| String::from_utf8_lossy(request).into_owned());
    (query, requests.collect())
}

/// One item of a roster as it will be kept: its key and its value. `ver`: of the house clock.
///
/// # Errors
/// Why it cannot be kept, for the operator.
pub fn item(item: &El<'_>, ver: u64) -> Result<(Arc<str>, Bytes), String> {
    let contact = contact(item, ver)?;
    Ok((Arc::from(contact.jid.as_str()), stored::encode(&contact)))
}

/// All that is known of whoever stands in `items` and `requests`: somebody may be in both.
///
/// # Errors
/// One for each item and request that cannot be kept; the others are.
pub fn move_in<'a>(
    items: impl Iterator<Item = El<'a>>,
    requests: impl Iterator<Item = El<'a>>,
    ver: u64,
) -> (Vec<(Arc<str>, Bytes)>, Vec<String>) {
    let (mut contacts, mut problems): (Vec<Contact>, Vec<String>) = (Vec::new(), Vec::new());
    for (item, ver) in items.zip(ver..) {
        match contact(&item, ver) {
            Ok(contact) => contacts.push(contact),
            Err(why) => problems.push(why),
        }
    }
    for request in requests {
        match self::request(&request) {
            Err(why) => problems.push(why),
            Ok((jid, pending)) => {
                let at = contacts.iter().position(|contact| contact.jid == jid).unwrap_or_else(|| {
                    contacts.push(Contact::new(jid));
                    contacts.len() - 1
                });
                let Some(contact) = contacts.get_mut(at) else { continue };
                contact.state = State { pending_in: true, ..contact.state }.defined();
                contact.pending = contact.state.pending_in.then_some(pending);
            }
        }
    }
    let kept = contacts.iter().map(|contact| (Arc::from(contact.jid.as_str()), stored::encode(contact))).collect();
    (kept, problems)
}

/// Contacts of a roster with these items; of two with the same key the later counts.
pub fn contacts(items: &[Item]) -> usize {
    Roster::load(items).items().count()
}

fn contact(item: &El<'_>, ver: u64) -> Result<Contact, String> {
    let jid = bare(item, "jid")?;
    let about = |why: &str| format!("contact {jid}: {why}");
    let said = |bounce: iris_core::Bounce| about(bounce.text.as_deref().unwrap_or("it cannot be kept"));
    let (to, from) = match item.attr("subscription").as_deref() {
        None | Some("none" | "") => (false, false),
        Some("to") => (true, false),
        Some("from") => (false, true),
        Some("both") => (true, true),
        Some(other) => return Err(about(&format!("subscription {other:?} is none of none, to, from, both"))),
    };
    let ask = item.attr("ask").as_deref() == Some("subscribe");
    let approved = matches!(item.attr("approved").as_deref(), Some("true" | "1"));
    let state = State { to, from, ask, pending_in: false, approved }.defined();
    let (name, groups) = (name_of(item).map_err(said)?, groups_of(item).map_err(said)?);
    Ok(Contact { name, groups, state, pending: None, ver, listed: true, jid })
}

fn request(presence: &El<'_>) -> Result<(BareJid, Bytes), String> {
    let jid = bare(presence, "from")?;
    let mut xml = Build::new();
    xml.open_ns("presence", ns::CLIENT).attr("from", jid.as_str()).attr("type", "subscribe");
    xml.attr_opt("id", presence.attr("id").as_deref());
    for child in presence.children() {
        xml.raw(&child.closed());
    }
    xml.close();
    let whole = xml.finish();
    let pending = if whole.len() <= REQUEST_SIZE_BYTES_MAX { whole } else { render::bare_request(&jid).into_bytes() };
    Ok((jid, Bytes::from(pending)))
}

fn bare(el: &El<'_>, attribute: &str) -> Result<BareJid, String> {
    let text = el.attr(attribute).ok_or_else(|| format!("<{}/> has no {attribute}", el.local()))?;
    Jid::new(&text).map(|jid| jid.to_bare()).map_err(|why| format!("{attribute}={text:?} is no address: {why}"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::account::roster::SHELF;

    fn parsed(xml: &str) -> El<'_> {
        El::parse(xml.as_bytes()).expect("XML")
    }

    #[test]
    fn a_roster_travels_with_its_requests() {
        let xml = "<query xmlns='jabber:iq:roster'>\
            <item jid='romeo@montague.net' name='Romeo &amp; co' subscription='both'><group>Friends</group><group>It</group></item>\
            <item jid='nurse@capulet.com' subscription='none' ask='subscribe'/>\
            <item jid='paris@capulet.com' subscription='to'/></query>";
        let asks = "<presence xmlns='jabber:client' type='subscribe' id='x1' from='paris@capulet.com'>\
            <nick xmlns='http://jabber.org/protocol/nick'>Paris</nick></presence>";
        let stranger = "<presence xmlns='jabber:client' type='subscribe' from='mercutio@montague.net/phone'/>";
        let query = parsed(xml);
        let (kept, problems) = move_in(query.children(), [parsed(asks), parsed(stranger)].into_iter(), 1_000);
        assert_eq!((kept.len(), problems), (4, vec![]));
        let items: Vec<Item> = kept.into_iter().map(|(key, value)| Item { shelf: SHELF, key, value }).collect();
        let (query, requests) = move_out(&items);
        let query = query.expect("a roster");
        for said in [
            "jid='romeo@montague.net' name='Romeo &amp; co' subscription='both'><group>Friends</group><group>It</group>",
            "jid='nurse@capulet.com' subscription='none' ask='subscribe'/>",
            "jid='paris@capulet.com' subscription='to'/>",
        ] {
            assert!(query.contains(said), "{said}: {query}");
        }
        assert!(!query.contains("mercutio"), "a request makes no item: {query}");
        assert_eq!(requests.len(), 2);
        assert!(requests.iter().any(|it| it.contains("id='x1'") && it.contains(">Paris</nick>")), "{requests:?}");
        assert!(requests.iter().any(|it| it.contains("from='mercutio@montague.net' type='subscribe'")), "{requests:?}");
    }

    #[test]
    fn what_cannot_be_kept_is_named_and_the_rest_is_kept() {
        let xml = "<query xmlns='jabber:iq:roster'><item jid='a@b' subscription='maybe'/><item/><item jid='@'/>\
            <item jid='c@d' subscription='both'><group/></item><item jid='e@f'/></query>";
        let answered = "<presence xmlns='jabber:client' type='subscribe'/>";
        let (kept, problems) = move_in(parsed(xml).children(), std::iter::once(parsed(answered)), 1);
        assert_eq!(kept.len(), 1);
        assert_eq!(problems.len(), 5, "{problems:?}");
        assert!(problems.contains(&"contact c@d: a group has no name".to_owned()), "{problems:?}");
    }
}
