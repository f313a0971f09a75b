//! Answers the server writes: results and errors, without a `to` (it is written while copying).

use std::sync::Arc;

use iris_core::effects::made;
use iris_core::error::Bounce;
use iris_core::xml::escape::escape_attr;
use iris_core::xml::wire::{Hold, Wire};
use iris_core::{Kind, Stanza, StanzaType};

/// May this stanza be answered with an error at all? An error or result never is (RFC 6120 8.3.1); of presences only a request
/// for a subscription or a directed one that somebody waits for.
pub fn answerable(stanza: &Stanza) -> bool {
    match stanza.kind() {
        Kind::Message => stanza.stype() != StanzaType::Error,
        Kind::Iq => matches!(stanza.stype(), StanzaType::Get | StanzaType::Set),
        Kind::Presence | Kind::Other => false,
    }
}

fn name(stanza: &Stanza) -> &'static str {
    match stanza.kind() {
        Kind::Message => "message",
        Kind::Presence => "presence",
        Kind::Iq | Kind::Other => "iq",
    }
}

/// The error stanza for `stanza`, as the entity it was addressed to would send it: the id is copied, the payload is not.
pub fn error_xml(stanza: &Stanza, from: Option<&str>, bounce: &Bounce) -> String {
    let name = name(stanza);
    let mut xml = format!("<{name}");
    if let Some(from) = from {
        push_attr(&mut xml, "from", from);
    }
    if let Some(id) = stanza.id() {
        push_attr(&mut xml, "id", &id);
    }
    xml.push_str(" type='error'>");
    bounce.write(&mut xml);
    xml.push_str("</");
    xml.push_str(name);
    xml.push('>');
    xml
}

/// For a stanza that never left its sender's session. `None`: it must not be answered.
pub fn error_to_sender(stanza: &Stanza, bounce: &Bounce) -> Option<Arc<Wire>> {
    // Whoever asks for a subscription, or wants to enter a room (XEP-0045 7.2), waits for an answer.
    let is_awaited = match stanza.stype() {
        StanzaType::Subscribe | StanzaType::Subscribed => true,
        StanzaType::Available => stanza.to().is_some(),
        _ => false,
    };
    if !(answerable(stanza) || stanza.kind() == Kind::Presence && is_awaited) {
        return None;
    }
    // RFC 6120 8.3.1: from the address the stanza was sent to. What is no address stands nowhere: without a `from` it comes from the
    // account's server (8.1.2.1), and every library can read it.
    let to = stanza.to().filter(|to| jid::Jid::new(to).is_ok());
    Some(made(error_xml(stanza, to.as_deref(), bounce), Hold::Flush))
}

/// The same for one of the addresses of a component.
pub fn addressed(wire: &Wire, to: &str) -> Arc<Wire> {
    let mut xml = Vec::with_capacity(wire.bytes.len() + to.len() + 8);
    wire.write_to(Some(to), &mut xml);
    made(xml, wire.hold)
}

/// An iq result.
pub fn result_xml(stanza: &Stanza, from: Option<&str>, payload: &str) -> String {
    let mut xml = String::with_capacity(payload.len() + 96);
    xml.push_str("<iq");
    if let Some(from) = from {
        push_attr(&mut xml, "from", from);
    }
    if let Some(id) = stanza.id() {
        push_attr(&mut xml, "id", &id);
    }
    if payload.is_empty() {
        xml.push_str(" type='result'/>");
    } else {
        xml.push_str(" type='result'>");
        xml.push_str(payload);
        xml.push_str("</iq>");
    }
    xml
}

fn push_attr(xml: &mut String, name: &str, value: &str) {
    xml.push(' ');
    xml.push_str(name);
    xml.push_str("='");
    xml.push_str(&escape_attr(value));
    xml.push('\'');
}
