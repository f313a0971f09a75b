//! Tests of the XML core, by subject.

mod differential;
mod oracle;
mod scanning;
mod security;
mod stanzas;
mod writing;

use std::sync::Arc;

use super::*;
use crate::xml;

/// A client's stream header.
pub(super) const HEADER: &str = "<?xml version='1.0'?><stream:stream to='house' version='1.0' \
    xmlns='jabber:client' xmlns:stream='http://etherx.jabber.org/streams'>";

/// The chat message of the measurements: 485 bytes, five children.
pub(super) const CHAT: &str = "<message to='juliet@capulet.example/balcony' \
from='romeo@montague.example/orchard' id='6e4b3b0e-6a0a-4b7e-9f1e-2f3c1f6b2a11' type='chat' \
xml:lang='en'><body>Wherefore art thou, Romeo? Deny thy father and refuse thy name -- or, if thou wilt not, be but sworn</body>\
<origin-id xmlns='urn:xmpp:sid:0' id='6e4b3b0e-6a0a-4b7e-9f1e-2f3c1f6b2a11'/>\
<active xmlns='http://jabber.org/protocol/chatstates'/><request xmlns='urn:xmpp:receipts'/>\
<markable xmlns='urn:xmpp:chat-markers:0'/></message>";

pub(super) fn names() -> Arc<NameTable> {
    let mut names = NameTable::new();
    names.intern(ns::CLIENT, "body");
    names.intern(ns::SID, "origin-id");
    names.intern(ns::CHAT_STATES, "active");
    names.intern("urn:ietf:params:xml:ns:xmpp-sasl", "auth");
    Arc::new(names)
}

/// What became of a stream, in words that compare.
#[derive(Debug, Clone, PartialEq)]
pub(super) enum Seen {
    Open(StreamHeader),
    Stanza(String),
    Close,
    Refused(XmlError),
}

/// Feeds a stream in the given pieces, dropping what is consumed as a pipe does.
pub(super) fn feed(scanner: &mut Scanner, pieces: &[&[u8]]) -> Vec<Seen> {
    let mut buf: Vec<u8> = Vec::new();
    let mut seen = Vec::new();
    for piece in pieces {
        buf.extend_from_slice(piece);
        loop {
            let (n, what) = match scanner.scan(&buf) {
                Ok(Scanned::NeedMore { skipped }) => {
                    buf.drain(..skipped);
                    break;
                }
                Ok(Scanned::Open { consumed, header }) => (consumed, Seen::Open(*header)),
                Ok(Scanned::Stanza { consumed, stanza }) => (consumed, Seen::Stanza(stanza.as_str().to_owned())),
                Ok(Scanned::Close { consumed }) => (consumed, Seen::Close),
                Err(e) => {
                    seen.push(Seen::Refused(e));
                    return seen;
                }
            };
            buf.drain(..n);
            seen.push(what);
        }
    }
    seen
}

/// One stream at once, with the limits of a client.
pub(super) fn once(stream: &[u8]) -> Vec<Seen> {
    feed(&mut Scanner::new(XmlLimits::C2S, names()), &[stream])
}

/// What follows a client's header.
pub(super) fn after_header(rest: &[u8]) -> Vec<Seen> {
    let mut seen = once(&[HEADER.as_bytes(), rest].concat());
    assert!(matches!(seen.first(), Some(Seen::Open(_))), "{seen:?}");
    seen.remove(0);
    seen
}

/// The refusal of what follows a client's header, and that nothing came out before.
pub(super) fn refusal(rest: &[u8]) -> XmlErrorKind {
    match after_header(rest).as_slice() {
        [Seen::Refused(e)] => e.kind,
        other => panic!("{}: {other:?}", String::from_utf8_lossy(rest)),
    }
}

/// The one stanza of a client's stream.
pub(super) fn stanza(xml: &str) -> Stanza {
    stanza_of(HEADER, xml)
}

pub(super) fn stanza_of(header: &str, xml: &str) -> Stanza {
    let mut scanner = Scanner::new(XmlLimits::S2S, names());
    let all = [header, xml].concat();
    let Ok(Scanned::Open { consumed, .. }) = scanner.scan(all.as_bytes()) else {
        panic!("{header}");
    };
    match scanner.scan(&all.as_bytes()[consumed..]) {
        Ok(Scanned::Stanza { stanza, consumed }) if consumed == xml.len() => stanza,
        other => panic!("{xml}: {other:?}"),
    }
}
