//! Streams between servers, sans-IO (RFC 6120, XEP-0178, XEP-0220): whom another server speaks for, and how we show whom we speak for.
//!
//! A stream carries stanzas one way. `receiving.rs` is the side that is connected to, `initiating.rs` the side that connects. TLS
//! comes first on both; certificates are judged by the pipe when somebody asks (`PeerEnv::judge`), so that policy decides what one
//! that proves nothing is worth.

mod initiating;
mod receiving;
#[cfg(test)]
mod tests;

use iris_core::effects::StreamError;
use iris_core::error::Condition;
use iris_core::jids::address;
use iris_core::limits::Limits;
use iris_core::xml::escape::escape_attr;
use iris_core::{hex, ns};
use subtle::ConstantTimeEq;

use super::HouseSecret;
use super::sasl::Hash;
use crate::router::Hosts;

pub use initiating::{Heard, Initiating, Purpose};
pub use receiving::{Receiving, Said, Verify, what_went_wrong};

/// XEP-0220.
pub const DIALBACK: &str = "jabber:server:dialback";
/// XEP-0220 2.4.2.
const DIALBACK_FEATURE: &str = "urn:xmpp:features:dialback";

/// What the operator decides about other servers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct PeerRules {
    /// A certificate has to prove whom a server speaks for. Otherwise a key that it can have verified does (XEP-0220).
    pub certificate_required: bool,
}

/// What the machines borrow for one step.
pub struct PeerEnv<'a> {
    pub hosts: &'a Hosts,
    pub limits: &'a Limits,
    pub secret: &'a HouseSecret,
    pub rules: PeerRules,
    /// Does the certificate of this connection's peer speak for this domain? Why not.
    pub judge: &'a dyn Fn(&str) -> Result<(), String>,
    pub random: &'a mut dyn FnMut(&mut [u8]),
    /// What is to be written to the peer.
    pub out: &'a mut Vec<u8>,
}

impl PeerEnv<'_> {
    fn say(&mut self, xml: &str) {
        self.out.extend_from_slice(xml.as_bytes());
    }

    fn header(&mut self, id: Option<&str>, from: Option<&str>, to: Option<&str>) {
        let mut xml = format!(
            "<?xml version='1.0'?><stream:stream xmlns='jabber:server' xmlns:db='{DIALBACK}' xmlns:stream='{}'",
            ns::STREAMS
        );
        for (name, value) in [("id", id), ("from", from), ("to", to)] {
            if let Some(value) = value {
                xml.push_str(&format!(" {name}='{}'", escape_attr(value)));
            }
        }
        xml.push_str(" version='1.0' xml:lang='en'>");
        self.say(&xml);
    }

    /// The end of the stream, behind its header.
    fn end(&mut self, error: Option<&StreamError>) {
        self.say(&error.map(StreamError::to_xml).unwrap_or_default());
        self.say("</stream:stream>");
    }
}

/// A domain as it stands in `from` and `to` of headers and keys; prepared, so that it can be compared.
fn domain(text: Option<&str>) -> Option<String> {
    let jid = address(text?).ok()?;
    (jid.node().is_none() && jid.resource().is_none()).then(|| jid.domain().as_str().to_owned())
}

/// The key by which we show that a stream is ours: HMAC-SHA256 of receiving domain, originating domain and stream id, each apart from
/// the next (XEP-0185; security E2: the same letters cut elsewhere are another key).
fn key(secret: &HouseSecret, receiving: &str, originating: &str, id: &str) -> String {
    key_of(&hex::write(&secret.derive("dialback", &[])), receiving, originating, id)
}

fn key_of(secret: &str, receiving: &str, originating: &str, id: &str) -> String {
    let secret = hex::write(Hash::Sha256.digest(secret.as_bytes()).as_slice());
    let parts: [&[u8]; 5] = [receiving.as_bytes(), b" ", originating.as_bytes(), b" ", id.as_bytes()];
    hex::write(Hash::Sha256.hmac(secret.as_bytes(), &parts).as_slice())
}

fn is_key(secret: &HouseSecret, receiving: &str, originating: &str, id: &str, shown: &str) -> bool {
    bool::from(key(secret, receiving, originating, id).as_bytes().ct_eq(shown.trim().as_bytes()))
}

/// `<db:result/>` and `<db:verify/>` (XEP-0220 2.1 to 2.4).
fn dialback(name: &str, from: &str, to: &str, id: Option<&str>, kind: Option<&str>, inside: &str) -> String {
    let mut xml = format!("<db:{name}");
    for (name, value) in [("from", Some(from)), ("to", Some(to)), ("id", id), ("type", kind)] {
        if let Some(value) = value {
            xml.push_str(&format!(" {name}='{}'", escape_attr(value)));
        }
    }
    match inside {
        "" => xml.push_str("/>"),
        _ => xml.push_str(&format!(">{inside}</db:{name}>")),
    }
    xml
}

/// XEP-0220 2.5.
fn dialback_error(condition: Condition, text: &str) -> String {
    let mut xml = String::new();
    iris_core::error::Bounce::new(condition).text(text).write(&mut xml);
    xml
}
