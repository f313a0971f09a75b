//! A read-only view of an element in bytes the scanner has passed. Nothing is built.

use std::borrow::Cow;

use super::declare::Scope;
use super::escape::{unescape_attr, unescape_text};
use super::walk::{self, Tag, Tags};

/// An element: a slice and the declarations that hold inside it. Cheap to make and to clone.
#[derive(Clone, Debug)]
pub struct El<'a> {
    text: &'a str,
    /// The start tag.
    tag: &'a str,
    local: &'a str,
    ns: &'a str,
    scope: Scope<'a>,
}

impl<'a> El<'a> {
    /// A view of stored bytes that stand alone, such as [`Stanza::closed`](super::Stanza::closed)
    /// gives. `None` if they are not one element; what the scanner never passed may also give a
    /// view of nonsense, but no panic.
    pub fn parse(bytes: &'a [u8]) -> Option<El<'a>> {
        let text = std::str::from_utf8(bytes).ok()?;
        let (start, _, tag) = Tags::new(text).next()?;
        match tag {
            Tag::Start(..) if start == 0 => Some(Self::within(text, &Scope::default())),
            _ => None,
        }
    }

    /// The element `text` consists of, standing where `scope` holds.
    pub(super) fn within(text: &'a str, scope: &Scope<'a>) -> El<'a> {
        let tag = match Tags::new(text).next() {
            Some((0, _, Tag::Start(tag, _))) => tag,
            _ => "",
        };
        let mut scope = scope.clone();
        scope.enter(tag);
        let (prefix, local) = walk::split(walk::name(tag));
        El { text, tag, local, ns: scope.element_ns(prefix), scope }
    }

    /// The namespace name, empty if there is none.
    pub fn ns(&self) -> &'a str {
        self.ns
    }

    /// The local name.
    pub fn local(&self) -> &'a str {
        self.local
    }

    /// Whether it is the element `local` in `ns`.
    pub fn is(&self, ns: &str, local: &str) -> bool {
        self.local == local && self.ns == ns
    }

    /// An attribute by its qualified name as written (`id`, `xml:lang`), unescaped.
    pub fn attr(&self, name: &str) -> Option<Cow<'a, str>> {
        walk::attributes(self.tag).find(|a| a.name == name).map(|a| unescape_attr(a.value))
    }

    /// An attribute by its expanded name, unescaped.
    pub fn attr_ns(&self, ns: &str, local: &str) -> Option<Cow<'a, str>> {
        walk::attributes(self.tag)
            .find(|a| {
                let (prefix, name) = walk::split(a.name);
                name == local && !prefix.is_empty() && self.scope.prefix_ns(prefix) == ns
            })
            .map(|a| unescape_attr(a.value))
    }

    /// The attributes in document order, without namespace declarations: qualified name as
    /// written, value unescaped.
    pub fn attrs(&self) -> impl Iterator<Item = (&'a str, Cow<'a, str>)> + use<'a> {
        walk::attributes(self.tag).filter(|a| a.declares().is_none()).map(|a| (a.name, unescape_attr(a.value)))
    }

    /// The attributes by expanded name, without namespace declarations: namespace name (empty for
    /// none), local name, value unescaped.
    pub fn attrs_expanded(&self) -> impl Iterator<Item = (&'a str, &'a str, Cow<'a, str>)> + use<'a> {
        let scope = self.scope.clone();
        walk::attributes(self.tag).filter(|a| a.declares().is_none()).map(move |a| {
            let (prefix, local) = walk::split(a.name);
            let ns = if prefix.is_empty() { "" } else { scope.prefix_ns(prefix) };
            (ns, local, unescape_attr(a.value))
        })
    }

    /// The child elements in document order.
    pub fn children(&self) -> Children<'a> {
        Children { rest: self.inside(), scope: self.scope.clone() }
    }

    /// The first child of that name.
    pub fn child(&self, ns: &str, local: &str) -> Option<El<'a>> {
        self.children().find(|c| c.is(ns, local))
    }

    /// The character data directly inside, unescaped, without that of children.
    pub fn text(&self) -> Cow<'a, str> {
        let inside = self.inside();
        if !inside.as_bytes().contains(&b'<') {
            return unescape_text(inside);
        }
        let mut text = String::new();
        let mut rest = inside;
        while let Some(at) = memchr::memchr(b'<', rest.as_bytes()) {
            text.push_str(&unescape_text(rest.get(..at).unwrap_or_default()));
            let markup = rest.get(at..).unwrap_or_default();
            let cdata = markup.strip_prefix("<![CDATA[").and_then(|m| m.split_once("]]>"));
            if let Some((data, after)) = cdata {
                text.push_str(&super::escape::line_ends(data));
                rest = after;
            } else {
                let len = element_len(markup).unwrap_or(markup.len());
                rest = markup.get(len..).unwrap_or_default();
            }
        }
        text.push_str(&unescape_text(rest));
        Cow::Owned(text)
    }

    /// The element's bytes, exactly as received. They may need declarations from above.
    pub fn bytes(&self) -> &'a [u8] {
        self.text.as_bytes()
    }

    /// The element's bytes as a document of its own: declarations from above are made again.
    pub fn closed(&self) -> Cow<'a, [u8]> {
        super::payload::declare(self.text, &self.scope, None)
    }

    fn inside(&self) -> &'a str {
        if self.tag.ends_with("/>") {
            return "";
        }
        let end = memchr::memrchr(b'<', self.text.as_bytes()).unwrap_or(0);
        self.text.get(self.tag.len()..end).unwrap_or_default()
    }
}

/// Iterator over the children of an [`El`].
#[derive(Clone, Debug)]
pub struct Children<'a> {
    rest: &'a str,
    scope: Scope<'a>,
}

impl<'a> Iterator for Children<'a> {
    type Item = El<'a>;

    fn next(&mut self) -> Option<El<'a>> {
        let (start, _, _) = Tags::new(self.rest).next()?;
        let from = self.rest.get(start..)?;
        let len = element_len(from)?;
        self.rest = from.get(len..)?;
        Some(El::within(from.get(..len)?, &self.scope))
    }
}

/// Length of the element a text begins with.
fn element_len(text: &str) -> Option<usize> {
    let mut depth = 0usize;
    for (_, end, tag) in Tags::new(text) {
        match tag {
            Tag::Start(_, false) => depth += 1,
            Tag::Start(_, true) => {}
            Tag::End => depth = depth.checked_sub(1)?,
        }
        if depth == 0 {
            return Some(end);
        }
    }
    None
}
