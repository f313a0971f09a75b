//! 8.4.1: nodes that were deleted with a word where to. Whoever asks for one of them is led there (6.1.3.11).

use std::collections::BTreeMap;
use std::sync::Arc;

use bytes::Bytes;
use iris_core::xml::{Build, El};
use iris_core::{BareJid, Bounce};

use super::service::{Change, Service};
use super::{Access, Node, error};

/// An address in a redirect, in bytes.
pub const URI_SIZE_BYTES_MAX: usize = 2_000;
/// Of the nodes that one person has made; of more of them the oldest are forgotten.
const OF_ONE_MAX: usize = 100;
/// Of everybody.
const ALL_MAX: usize = 10_000;

#[derive(Clone, Debug, PartialEq)]
pub struct Moved {
    pub uri: String,
    /// When, in microseconds since 1970.
    pub at_us: u64,
    /// Who had made it.
    pub creator: BareJid,
}

impl Moved {
    pub fn encode(&self) -> Bytes {
        let mut xml = Build::new();
        xml.open("moved").attr("to", &self.uri).attr("at", &self.at_us.to_string()).attr("creator", self.creator.as_str());
        xml.finish().into()
    }

    pub fn decode(value: &[u8]) -> Option<Moved> {
        let el = El::parse(value)?;
        Some(Moved {
            uri: el.attr("to")?.into_owned(),
            at_us: el.attr("at")?.parse().ok()?,
            creator: BareJid::new(&el.attr("creator")?).ok()?,
        })
    }
}

/// RFC 3986 3: a scheme, and what it is about; no control characters, no spaces.
pub fn is_uri(text: &str) -> bool {
    let Some((scheme, rest)) = text.split_once(':') else { return false };
    let is_scheme = |c: char| c.is_ascii_alphanumeric() || matches!(c, '+' | '-' | '.');
    let starts = scheme.starts_with(|c: char| c.is_ascii_alphabetic()) && scheme.chars().all(is_scheme);
    starts && !rest.is_empty() && !rest.contains(|c: char| c.is_whitespace() || c.is_control())
}

/// Where to, if others than those who are told of the end may know it: of a node to which not everybody could ask to subscribe, a
/// stranger learns neither that it was there nor where it went.
pub(super) fn word(node: &Node, uri: Option<&str>, now_us: u64) -> Option<Moved> {
    let uri = uri.filter(|_| matches!(node.config.access, Access::Open | Access::Authorize))?;
    Some(Moved { uri: uri.to_owned(), at_us: now_us, creator: node.creator.clone() })
}

impl Service {
    /// The error for a node that is not there.
    pub fn missing(&self, name: &str) -> Bounce {
        self.moved.get(name).map_or_else(error::not_found, |moved| error::gone(&moved.uri))
    }

    pub(super) fn lead(&mut self, name: &Arc<str>, moved: Moved, changes: &mut Vec<Change>) {
        let creator = moved.creator.clone();
        changes.push(Change::PutMoved(name.clone(), moved.encode()));
        self.moved.insert(name.clone(), moved);
        if self.moved.values().filter(|it| it.creator == creator).count() > OF_ONE_MAX {
            self.forget_oldest(|it| it.creator == creator, changes);
        }
        if self.moved.len() > ALL_MAX {
            self.forget_oldest(|_| true, changes);
        }
    }

    fn forget_oldest(&mut self, of: impl Fn(&Moved) -> bool, changes: &mut Vec<Change>) {
        let oldest = self.moved.iter().filter(|(_, it)| of(it)).min_by_key(|(_, it)| it.at_us);
        if let Some(name) = oldest.map(|(name, _)| name.clone()) {
            self.lead_no_more(&name, changes);
        }
    }

    /// There is a node of this name again.
    pub(super) fn lead_no_more(&mut self, name: &str, changes: &mut Vec<Change>) {
        if let Some((name, _)) = self.moved.remove_entry(name) {
            changes.push(Change::DeleteMoved(name));
        }
    }
}

pub(super) type ByName = BTreeMap<Arc<str>, Moved>;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_round_trips_and_nothing_else_decodes() {
        let creator = BareJid::new("romeo@house").expect("an address");
        let moved = Moved { uri: "xmpp:pubsub.house?;node='<&>'".into(), at_us: 7, creator };
        assert_eq!(Moved::decode(&moved.encode()), Some(moved));
        assert_eq!(Moved::decode(b"<moved to='x:y' at='7'/>"), None);
    }

    #[test]
    fn an_address_has_a_scheme() {
        for uri in ["xmpp:a@b?;node=c", "https://house/x", "urn:x"] {
            assert!(is_uri(uri), "{uri}");
        }
        for text in ["", "xmpp:", "house/x", "1x:y", "x y:z", "xmpp:a b", "xmpp:a\nb", ":x"] {
            assert!(!is_uri(text), "{text}");
        }
    }
}
