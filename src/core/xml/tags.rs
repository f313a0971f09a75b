//! What a start tag means: namespaces, duplicates, the head of a stanza, its children.

use std::sync::Arc;

use super::chars::is_namespace_name;
use super::error::{XmlError, XmlErrorKind as Kind, refuse};
use super::escape::unescape_attr;
use super::framer::{Framer, Mode, Step};
use super::limits::{DECLARATIONS_IN_SCOPE_MAX, NAME_BYTES_MAX};
use super::names::{NameId, NameTable};
use super::ns;
use super::scan::StreamHeader;
use super::stanza::{self, Child, Inherited, Ns, Span, Stanza};

/// An attribute of the start tag at hand; ranges of the buffer.
#[derive(Clone, Copy, Default)]
pub(super) struct Attr {
    pub(super) name: u32,
    pub(super) name_len: u16,
    /// 0: no prefix.
    pub(super) prefix_len: u16,
    pub(super) value: u32,
    pub(super) value_len: u32,
}

impl Attr {
    fn name<'b>(&self, b: &'b [u8]) -> &'b [u8] {
        &b[self.name as usize..self.name as usize + usize::from(self.name_len)]
    }

    fn prefix<'b>(&self, b: &'b [u8]) -> &'b [u8] {
        &b[self.name as usize..self.name as usize + usize::from(self.prefix_len)]
    }

    /// Name without prefix and colon.
    fn local<'b>(&self, b: &'b [u8]) -> &'b [u8] {
        match self.prefix_len {
            0 => self.name(b),
            n => &self.name(b)[usize::from(n) + 1..],
        }
    }

    fn value<'b>(&self, b: &'b [u8]) -> &'b [u8] {
        &b[self.value as usize..self.value as usize + self.value_len as usize]
    }

    fn span(&self) -> Span {
        Span::new(self.value, self.value_len)
    }
}

/// A namespace declaration in scope; an empty prefix is the default namespace.
#[derive(Clone, Copy)]
pub(super) struct Binding {
    prefix: u32,
    prefix_len: u16,
    ns: Ns,
}

/// An open element.
#[derive(Clone, Copy)]
pub(super) struct Frame {
    pub(super) name: u32,
    pub(super) name_len: u16,
    /// Declarations in scope around it.
    bindings: u16,
    default_ns: Ns,
    /// How many declarations must be in scope for the default namespace to be what it is.
    default_from: u16,
}

/// What is known about the first-level element at hand.
#[derive(Clone, Copy, Default)]
pub(super) struct Head {
    /// Start and colon (0: none) of the name of the start tag at hand.
    pub(super) tag: (usize, usize),
    pub(super) stanza: stanza::Head,
    /// Declarations made by the first-level element: what is found below this is above a child.
    floor: u16,
    child_open: bool,
}

impl Framer {
    /// A start tag is complete; `p` is the position behind its `>`.
    #[inline]
    pub(super) fn start_tag(&mut self, names: &NameTable, b: &[u8], p: usize, empty: bool) -> Result<Option<Step>, XmlError> {
        let (start, colon) = self.head.tag;
        let name = &b[start..start + self.name_len];
        let around = self.bindings.len();
        let (mut default_ns, mut default_from) = match self.frames.last() {
            Some(f) => (f.default_ns, f.default_from),
            None => (self.stream_default(), 0),
        };
        let level = self.frames.len();
        if level == 1 {
            self.head.floor = around as u16;
            self.head.child_open = false;
        }
        if !self.attrs.is_empty() && self.attributes(b)? {
            for (i, binding) in self.bindings.iter().enumerate().skip(around) {
                if binding.prefix_len == 0 {
                    (default_ns, default_from) = (binding.ns, i as u16 + 1);
                }
            }
        }
        if !self.opened {
            return self.header(b, p, empty).map(Some);
        }
        let (ns, from) = if colon == 0 {
            (default_ns, default_from)
        } else {
            self.resolve(b, &b[start..colon]).ok_or(XmlError { kind: Kind::NotWellFormed, at: start })?
        };
        let local_at = if colon == 0 { start } else { colon + 1 };
        let local = &b[local_at..start + self.name_len];
        // RFC 6120 4.2: one stream header per stream; a second one inside is an attempt to confuse.
        if local == b"stream" && self.uri(b, ns) == ns::STREAMS.as_bytes() {
            return refuse(Kind::NotWellFormed, start);
        }
        if level == 0 {
            self.first_level(names, b, p, (ns, default_ns), local_at)?;
        } else {
            if from <= self.head.floor && ns.is_declared() {
                self.head.child_open = true;
            }
            if level == 1 {
                self.children.push(Child {
                    name: self.name_id(names, b, ns, local),
                    open: false,
                    start: (start - 1) as u32,
                    end: 0,
                    local: local_at as u32,
                    local_len: local.len() as u16,
                    ns,
                });
            }
        }
        if empty {
            self.bindings.truncate(around);
            if level <= 1 {
                return self.ended(b, p, level);
            }
        } else {
            self.frames.push(Frame {
                name: start as u32,
                name_len: name.len() as u16,
                bindings: around as u16,
                default_ns,
                default_from,
            });
        }
        Ok(None)
    }

    /// An end tag is complete; `p` is the position behind its `>`.
    #[inline]
    pub(super) fn end_tag(&mut self, b: &[u8], p: usize) -> Result<Option<Step>, XmlError> {
        if let Some(frame) = self.frames.pop() {
            self.bindings.truncate(usize::from(frame.bindings));
        }
        let level = self.frames.len();
        if level <= 1 { self.ended(b, p, level) } else { Ok(None) }
    }

    fn ended(&mut self, b: &[u8], p: usize, level: usize) -> Result<Option<Step>, XmlError> {
        if level == 1 {
            if let Some(child) = self.children.last_mut() {
                child.end = p as u32;
                child.open = self.head.child_open;
            }
            return Ok(None);
        }
        // The scanner has checked every byte; this second, independent check is what makes the
        // text `str`, and it costs a twentieth of the first.
        let Ok(text) = std::str::from_utf8(&b[..p]) else {
            return refuse(Kind::NotWellFormed, 0);
        };
        let inherited = match &self.inherited {
            Some(i) if i.matters() || self.head.stanza.uses_stream => Some(Arc::clone(i)),
            _ => None,
        };
        let stanza = Stanza::new(text, self.head.stanza, &self.children, inherited);
        self.rest();
        Ok(Some(Step::Element(p, stanza)))
    }

    /// Checks the attributes of the start tag at hand and takes its declarations in; whether there
    /// are any.
    fn attributes(&mut self, b: &[u8]) -> Result<bool, XmlError> {
        let mut declared = false;
        let mut prefixed = 0;
        for i in 0..self.attrs.len() {
            let attr = self.attrs[i];
            let name = attr.name(b);
            // XML 1.0 section 3.1: unique attribute names.
            for other in &self.attrs[..i] {
                if other.name_len == attr.name_len && other.name(b) == name {
                    return refuse(Kind::NotWellFormed, attr.name as usize);
                }
            }
            if attr.prefix_len == 0 {
                if attr.name_len == 5 && name == b"xmlns" {
                    self.declare(b, attr, b"")?;
                    declared = true;
                }
            } else if attr.prefix_len == 5 && attr.prefix(b) == b"xmlns" {
                self.declare(b, attr, attr.local(b))?;
                declared = true;
            } else {
                prefixed += 1;
            }
        }
        if prefixed > 0 {
            self.prefixed_attributes(b)?;
        }
        Ok(declared)
    }

    /// Namespaces in XML 1.0 sections 5 and 6.3: every prefix declared, no expanded name twice.
    fn prefixed_attributes(&mut self, b: &[u8]) -> Result<(), XmlError> {
        let mut expanded: smallvec::SmallVec<[(Ns, Attr); 4]> = smallvec::SmallVec::new();
        for i in 0..self.attrs.len() {
            let attr = self.attrs[i];
            if attr.prefix_len == 0 || attr.prefix(b) == b"xmlns" {
                continue;
            }
            let Some((ns, from)) = self.resolve(b, attr.prefix(b)) else {
                return refuse(Kind::NotWellFormed, attr.name as usize);
            };
            // Ids of a document, where a stream is one: two messages with the same one would be too many for libxml2.
            if ns == Ns::Xml && attr.local(b) == b"id" {
                return refuse(Kind::RestrictedXml, attr.name as usize);
            }
            if self.opened && !self.frames.is_empty() && from <= self.head.floor && ns.is_declared() {
                self.head.child_open = true;
            }
            for (other_ns, other) in &expanded {
                if other.local(b) == attr.local(b) && self.uri(b, *other_ns) == self.uri(b, ns) {
                    return refuse(Kind::NotWellFormed, attr.name as usize);
                }
            }
            expanded.push((ns, attr));
        }
        Ok(())
    }

    /// A namespace declaration; Namespaces in XML 1.0 section 3 and errata NE05.
    fn declare(&mut self, b: &[u8], attr: Attr, prefix: &[u8]) -> Result<(), XmlError> {
        let at = attr.name as usize;
        let uri = attr.value(b);
        if uri.len() > NAME_BYTES_MAX || self.bindings.len() >= DECLARATIONS_IN_SCOPE_MAX {
            return refuse(Kind::PolicyViolation, at);
        }
        if !is_namespace_name(uri) {
            return refuse(Kind::InvalidNamespace, at);
        }
        if prefix == b"xmlns"
            || uri == ns::XMLNS.as_bytes()
            || (prefix == b"xml") != (uri == ns::XML.as_bytes())
            // Undeclaring a prefix is Namespaces in XML 1.1.
            || (uri.is_empty() && !prefix.is_empty())
        {
            return refuse(Kind::NotWellFormed, at);
        }
        // The prefix of the stream means one thing everywhere: a stanza that gives it another
        // meaning is out to fool a parser that goes by prefixes.
        if self.opened && prefix == b"stream" && uri != ns::STREAMS.as_bytes() {
            return refuse(Kind::BadNamespacePrefix, at);
        }
        if prefix == b"xml" {
            return Ok(());
        }
        let ns = if uri.is_empty() {
            Ns::None
        } else if self.opened && uri == self.content() {
            Ns::Content
        } else {
            Ns::Own(attr.value, uri.len() as u16)
        };
        let prefix_len = prefix.len() as u16;
        let prefix = attr.name + u32::from(attr.name_len - prefix_len);
        self.bindings.push(Binding { prefix, prefix_len, ns });
        Ok(())
    }

    /// What a prefix is bound to, and how many declarations must be in scope for that (0: it comes
    /// from the stream header).
    fn resolve(&mut self, b: &[u8], prefix: &[u8]) -> Option<(Ns, u16)> {
        for (i, binding) in self.bindings.iter().enumerate().rev() {
            if usize::from(binding.prefix_len) == prefix.len() {
                let at = binding.prefix as usize;
                if &b[at..at + prefix.len()] == prefix {
                    return Some((binding.ns, i as u16 + 1));
                }
            }
        }
        if prefix == b"xml" {
            return Some((Ns::Xml, 0));
        }
        let inherited = self.inherited.as_deref()?;
        let i = inherited.prefixes.iter().position(|(p, _)| p.as_bytes() == prefix)?;
        self.head.stanza.uses_stream = true;
        Some((Ns::Stream(i as u16), 0))
    }

    /// The namespace name as text.
    fn uri<'a>(&'a self, b: &'a [u8], ns: Ns) -> &'a [u8] {
        match ns {
            Ns::None => b"",
            Ns::Xml => ns::XML.as_bytes(),
            Ns::Content => self.content(),
            Ns::Own(at, len) => &b[at as usize..at as usize + usize::from(len)],
            Ns::Stream(i) => {
                self.inherited.as_deref().and_then(|x| x.prefixes.get(usize::from(i))).map_or(b"", |(_, uri)| uri.as_bytes())
            }
        }
    }

    /// The content namespace (RFC 6120 4.8.2) as it stands on the wire.
    fn content(&self) -> &[u8] {
        match self.inherited.as_deref() {
            Some(inherited) => inherited.content.as_bytes(),
            None => ns::CLIENT.as_bytes(),
        }
    }

    fn stream_default(&self) -> Ns {
        match self.mode {
            Mode::Own => Ns::Content,
            Mode::Fragments => Ns::None,
            Mode::Stream if self.content().is_empty() => Ns::None,
            Mode::Stream => Ns::Content,
        }
    }

    /// Rooms know the content namespace as `jabber:client`, whatever the stream calls it.
    fn name_id(&self, names: &NameTable, b: &[u8], ns: Ns, local: &[u8]) -> NameId {
        match ns {
            Ns::Content => names.get(stanza::canonical(self.inherited.as_deref()), local),
            _ => names.get(self.uri(b, ns), local),
        }
    }

    /// The head of a first-level element.
    fn first_level(
        &mut self,
        names: &NameTable,
        b: &[u8],
        p: usize,
        (ns, default_ns): (Ns, Ns),
        local_at: usize,
    ) -> Result<(), XmlError> {
        let (start, colon) = self.head.tag;
        let local = &b[local_at..start + self.name_len];
        // RFC 6120 4.8.3: elements in the content namespace carry no prefix.
        if ns == Ns::Content && colon != 0 {
            return refuse(Kind::BadNamespacePrefix, start);
        }
        let mut head = stanza::Head {
            ns,
            default_ns,
            local: Span::new(local_at as u32, local.len() as u32),
            name_end: (start + self.name_len) as u32,
            open_end: p as u32,
            uses_stream: self.head.stanza.uses_stream,
            ..stanza::Head::default()
        };
        let mut kind: &[u8] = b"";
        for attr in &self.attrs {
            match attr.name(b) {
                b"to" => head.to = attr.span(),
                b"from" => head.from = attr.span(),
                b"id" => head.id = attr.span(),
                b"xml:lang" => head.lang = attr.span(),
                b"type" => {
                    head.typed = attr.span();
                    kind = attr.value(b);
                }
                b"xmlns" => head.xmlns = attr.span(),
                _ => {}
            }
        }
        head.set_kind(ns, local, kind);
        if head.kind == stanza::Kind::Other {
            head.name = self.name_id(names, b, ns, local);
        }
        self.head.stanza = head;
        Ok(())
    }

    /// The stream header, RFC 6120 4.7 and 4.8.
    fn header(&mut self, b: &[u8], p: usize, empty: bool) -> Result<Step, XmlError> {
        let (start, colon) = self.head.tag;
        let name = &b[start..start + self.name_len];
        let (prefix, local) = match colon {
            0 => (&b""[..], name),
            _ => (&b[start..colon], &b[colon + 1..start + self.name_len]),
        };
        let ns = self
            .bindings
            .iter()
            .find(|x| &b[x.prefix as usize..][..usize::from(x.prefix_len)] == prefix)
            .map(|x| self.uri(b, x.ns));
        let kind = match ns {
            Some(uri) if uri == ns::STREAMS.as_bytes() => {
                // 4.9.3.2 against 4.9.3.1: the right element under a prefix nobody else uses, or
                // another element.
                match (local, prefix) {
                    (b"stream", b"stream") if !empty => None,
                    (b"stream", b"stream") => Some(Kind::BadFormat),
                    (b"stream", _) => Some(Kind::BadNamespacePrefix),
                    _ => Some(Kind::BadFormat),
                }
            }
            None if local == b"stream" => Some(Kind::BadNamespacePrefix),
            None if !prefix.is_empty() => Some(Kind::NotWellFormed),
            Some(_) if local == b"stream" => Some(Kind::InvalidNamespace),
            _ => Some(Kind::BadFormat),
        };
        if let Some(kind) = kind {
            return refuse(kind, start);
        }
        let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
        let value = |name: &[u8]| {
            let attr = self.attrs.iter().find(|a| a.name(b) == name)?;
            Some(unescape_attr(&String::from_utf8_lossy(attr.value(b))).into_owned())
        };
        let mut header = StreamHeader {
            to: value(b"to"),
            from: value(b"from"),
            id: value(b"id"),
            version: value(b"version"),
            lang: value(b"xml:lang"),
            default_ns: String::new(),
            stream_ns_ok: true,
            prefixes: Vec::new(),
        };
        for binding in &self.bindings {
            let uri = text(self.uri(b, binding.ns));
            if binding.prefix_len == 0 {
                header.default_ns = uri;
            } else {
                let prefix = &b[binding.prefix as usize..][..usize::from(binding.prefix_len)];
                header.prefixes.push((text(prefix), uri));
            }
        }
        self.inherited = Some(Arc::new(Inherited::from_header(&header)));
        self.opened = true;
        self.rest();
        Ok(Step::Header(p, Box::new(header)))
    }
}
