//! How the archive keeps a message: ready to be sent.
//!
//! ```text
//! byte 0   version: 1
//! byte 1.. the <message/> as it stands in <forwarded/>: content namespace declared, true `from` and `to`, forged ids left out
//! ```
//! So a page is a concatenation, and who wrote to whom is read from the start tag when a query asks for it.

use std::borrow::Cow;

use bytes::Bytes;
use iris_core::Stanza;
use iris_core::ns;
use iris_core::xml::El;
use iris_core::xml::wire::{Stamps, render_forwarded};

use crate::xep0428_fallback as fallback;

const VERSION: u8 = 1;

pub fn encode(stanza: &Stanza, stamps: &Stamps, to: &str) -> Bytes {
    let mut out = Vec::with_capacity(stanza.size() + to.len() + 128);
    out.push(VERSION);
    render_forwarded(stanza, stamps, Some(to), &mut out);
    Bytes::from(out)
}

/// An entry of a message that is written already.
pub fn made(message: &[u8]) -> Bytes {
    let mut out = Vec::with_capacity(message.len() + 1);
    out.push(VERSION);
    out.extend_from_slice(message);
    Bytes::from(out)
}

/// What a search looks at (XEP-0431): what people wrote, without what stands there for older clients (XEP-0428). `None`: nothing of
/// it can be read here.
pub fn text(entry: &[u8]) -> Option<String> {
    let (&VERSION, message) = entry.split_first()? else { return None };
    text_of(message)
}

/// The same of a complete message.
pub fn text_of(message: &[u8]) -> Option<String> {
    let message = El::parse(message)?;
    let mut text = String::new();
    for child in message.children() {
        // Beside what is encrypted stands a body that only says so (XEP-0380, 0384).
        if matches!(child.local(), "encrypted" | "encryption") {
            return None;
        }
        if child.is(ns::CLIENT, "body") || child.is(ns::CLIENT, "subject") {
            text.push_str(&fallback::own_text(&message, &child));
            text.push('\n');
        }
    }
    (!text.trim().is_empty()).then_some(text)
}

/// The message. `None`: not an entry that we wrote.
pub fn message(entry: &Bytes) -> Option<&[u8]> {
    match entry.split_first() {
        Some((&VERSION, message)) => Some(message),
        _ => None,
    }
}

/// The addresses of sender and recipient, unescaped.
pub fn ends(message: &[u8]) -> Option<(Cow<'_, str>, Cow<'_, str>)> {
    if let Some((from, to)) = plain_ends(message) {
        return Some((Cow::Borrowed(from), Cow::Borrowed(to)));
    }
    let message = El::parse(message)?;
    Some((message.attr("from")?, message.attr("to")?))
}

/// The same from where `encode` puts them, when nothing in them is escaped: a page with a filter reads them fifty times.
fn plain_ends(message: &[u8]) -> Option<(&str, &str)> {
    let rest = message.strip_prefix(b"<message xmlns='jabber:client' to='")?;
    let (to, rest) = rest.split_at_checked(rest.iter().position(|byte| *byte == b'\'')?)?;
    let rest = rest.strip_prefix(b"' from='")?;
    let from = rest.get(..rest.iter().position(|byte| *byte == b'\'')?)?;
    let plain = |text| std::str::from_utf8(text).ok().filter(|text: &&str| !text.contains('&'));
    Some((plain(from)?, plain(to)?))
}

#[cfg(test)]
mod tests {
    use super::*;
    use iris_core::xml::NameTable;
    use std::sync::Arc;

    #[test]
    fn an_entry_is_the_message_with_its_true_addresses() {
        let xml = "<message from='mallory@house' to='JULIET@house' id='1'><body>a&lt;b</body></message>";
        let stanza = Stanza::parse(xml.as_bytes(), &NameTable::new()).expect("a stanza");
        let stamps = Stamps { from: Some(Arc::from("romeo@house/o'rchard")), ..Stamps::default() };
        let entry = encode(&stanza, &stamps, "juliet@house");
        let message = message(&entry).expect("ours");
        let text = std::str::from_utf8(message).expect("UTF-8");
        assert!(
            text.starts_with("<message xmlns='jabber:client'") && text.ends_with("<body>a&lt;b</body></message>"),
            "{text}"
        );
        let (from, to) = ends(message).expect("both");
        assert_eq!((&*from, &*to), ("romeo@house/o'rchard", "juliet@house"));
        assert_eq!(plain_ends(message), None);
        let stamps = Stamps { from: Some(Arc::from("romeo@house/orchard")), ..Stamps::default() };
        let entry = encode(&stanza, &stamps, "juliet@house");
        assert_eq!(plain_ends(&entry[1..]), Some(("romeo@house/orchard", "juliet@house")));
    }

    #[test]
    fn what_we_did_not_write_is_no_entry() {
        assert_eq!(message(&Bytes::from_static(b"\x02<message/>")), None);
        assert_eq!(message(&Bytes::new()), None);
        assert_eq!(ends(b"<message/>"), None);
    }
}
