//! Typed payloads, on exact ranges only.
//!
//! The typed parsers recurse per nesting level and accept trailing junk; they see nothing but what
//! the scanner has capped in depth and size and cut out exactly.

use std::borrow::Cow;
use std::fmt;

use super::declare::{Scope, missing};
use super::escape::push_attr;
use super::stanza::{Child, Stanza};
use super::walk;

/// Why a payload is not what it was taken for. The peer's fault: `bad-request` (RFC 6120 8.3.3.1).
#[derive(Debug)]
pub struct PayloadError(xso::error::Error);

impl fmt::Display for PayloadError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "payload does not fit its schema: {}", self.0)
    }
}

impl std::error::Error for PayloadError {}

impl Stanza {
    /// A child's bytes as a document of their own: what it used of the declarations above it, and
    /// the stanza's own `xml:lang`, is declared again on it. This is what may be stored or put
    /// elsewhere. (The *stream's* default language is not written into it.)
    pub fn closed(&self, child: &Child) -> Cow<'_, [u8]> {
        let lang = walk::attributes(self.open_tag()).find(|a| a.name == "xml:lang");
        self.close(child, lang.map(|a| Cow::Borrowed(a.value)))
    }

    /// A child as a typed payload.
    pub fn parse_child<T: xso::FromXml>(&self, child: &Child) -> Result<T, PayloadError> {
        let document = self.close(
            child,
            self.lang().map(|l| {
                let mut escaped = Vec::new();
                push_attr(&l, &mut escaped);
                Cow::Owned(String::from_utf8_lossy(&escaped).into_owned())
            }),
        );
        xso::from_bytes(&document).map_err(PayloadError)
    }

    /// The whole element as a typed value, for nonzas.
    pub fn parse_self<T: xso::FromXml>(&self) -> Result<T, PayloadError> {
        let document = declare(self.as_str(), &self.outer_scope(), None);
        xso::from_bytes(&document).map_err(PayloadError)
    }

    /// `lang` is still escaped.
    fn close(&self, child: &Child, lang: Option<Cow<'_, str>>) -> Cow<'_, [u8]> {
        let text = self.child_str(child);
        if !child.open && lang.is_none() {
            return Cow::Borrowed(text.as_bytes());
        }
        declare(text, &self.scope(), lang.as_deref())
    }
}

/// The element with the declarations it needs from `scope` and, unless it has one, the (escaped)
/// language.
pub(super) fn declare<'t>(text: &'t str, scope: &Scope<'_>, lang: Option<&str>) -> Cow<'t, [u8]> {
    let missing = missing(text, scope);
    let name_end = 1 + walk::name(text).len();
    let lang = lang.filter(|_| {
        let tag = walk::Tags::new(text).next();
        let Some((_, _, walk::Tag::Start(tag, _))) = tag else {
            return false;
        };
        !walk::attributes(tag).any(|a| a.name == "xml:lang")
    });
    if missing.is_empty() && lang.is_none() {
        return Cow::Borrowed(text.as_bytes());
    }
    let (head, tail) = text.split_at_checked(name_end).unwrap_or((text, ""));
    let mut out = Vec::with_capacity(text.len() + 64);
    out.extend_from_slice(head.as_bytes());
    push_declarations(&missing, &mut out);
    if let Some(lang) = lang {
        out.extend_from_slice(b" xml:lang='");
        out.extend_from_slice(lang.replace('\'', "&apos;").as_bytes());
        out.push(b'\'');
    }
    out.extend_from_slice(tail.as_bytes());
    Cow::Owned(out)
}

/// Writes ` xmlns='…' xmlns:p='…'`.
pub(super) fn push_declarations(declarations: &[(&str, &str)], out: &mut Vec<u8>) {
    for (prefix, uri) in declarations {
        out.extend_from_slice(b" xmlns");
        if !prefix.is_empty() {
            out.push(b':');
            out.extend_from_slice(prefix.as_bytes());
        }
        out.extend_from_slice(b"='");
        push_attr(uri, out);
        out.push(b'\'');
    }
}

/// A typed value as XML, without XML declaration.
///
/// A value that cannot be written (a character XML forbids in a field this server filled) is a bug
/// of ours: debug builds stop, release builds write nothing. Use [`try_to_bytes`] where a peer may
/// have chosen the text.
pub fn to_bytes<T: xso::AsXml>(value: &T) -> Vec<u8> {
    let written = try_to_bytes(value);
    debug_assert!(written.is_ok(), "value cannot be written: {written:?}");
    written.unwrap_or_default()
}

/// A typed value as XML, without XML declaration.
pub fn try_to_bytes<T: xso::AsXml>(value: &T) -> Result<Vec<u8>, PayloadError> {
    xso::to_vec(value).map_err(PayloadError)
}
