//! The `<query xmlns='jabber:iq:roster'/>` of results and pushes (RFC 6121 2.1.4, 2.1.6).

use std::fmt::Write as _;

use iris_core::xml::escape_attr;
use iris_core::xml::escape_text;
use iris_core::{BareJid, ns};

use super::Contact;

/// Brackets, quotes and the longest `subscription`, `ask` and `approved`, and those of one group.
const ITEM_BYTES: usize = 80;
const GROUP_BYTES: usize = 15;
const QUERY_BYTES: usize = 64;

/// A whole roster.
pub(super) fn query<'a>(ver: u64, items: impl Iterator<Item = &'a Contact> + Clone) -> String {
    let mut out = String::with_capacity(query_len(items.clone()));
    open(ver, &mut out);
    for contact in items {
        item(contact, &mut out);
    }
    out.push_str("</query>");
    out
}

/// One contact: as it is, or that it is removed.
pub(super) fn push(contact: &Contact) -> String {
    let mut out = String::with_capacity(push_len(contact));
    open(contact.ver, &mut out);
    item(contact, &mut out);
    out.push_str("</query>");
    out
}

/// About how long [`query`] will be.
pub(super) fn query_len<'a>(items: impl Iterator<Item = &'a Contact>) -> usize {
    items.map(item_len).sum::<usize>() + QUERY_BYTES
}

/// About how long [`push`] will be.
pub(super) fn push_len(contact: &Contact) -> usize {
    item_len(contact) + QUERY_BYTES
}

/// The least that says who asks.
pub(super) fn bare_request(contact: &BareJid) -> String {
    format!("<presence xmlns='{}' from='{}' type='subscribe'/>", ns::CLIENT, escape_attr(contact.as_str()))
}

fn open(ver: u64, out: &mut String) {
    // Writing into a String does not fail.
    let _ = write!(out, "<query xmlns='{}' ver='{ver}'>", ns::ROSTER);
}

fn item(contact: &Contact, out: &mut String) {
    let state = contact.state;
    out.push_str("<item jid='");
    out.push_str(&escape_attr(contact.jid.as_str()));
    if !contact.listed {
        out.push_str("' subscription='remove'/>");
        return;
    }
    if let Some(name) = &contact.name {
        out.push_str("' name='");
        out.push_str(&escape_attr(name));
    }
    out.push_str("' subscription='");
    out.push_str(state.subscription());
    if state.ask {
        out.push_str("' ask='subscribe");
    }
    if state.approved {
        out.push_str("' approved='true");
    }
    if contact.groups.is_empty() {
        out.push_str("'/>");
        return;
    }
    out.push_str("'>");
    for group in &contact.groups {
        out.push_str("<group>");
        out.push_str(&escape_text(group));
        out.push_str("</group>");
    }
    out.push_str("</item>");
}

fn item_len(contact: &Contact) -> usize {
    let groups: usize = contact.groups.iter().map(|group| group.len() + GROUP_BYTES).sum();
    contact.jid.as_str().len() + contact.name.as_ref().map_or(0, |name| name.len()) + groups + ITEM_BYTES
}
