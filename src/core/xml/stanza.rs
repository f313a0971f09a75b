//! A first-level element: head and child ranges over the bytes as received. Immutable.

use crate::jids::address;
use std::borrow::Cow;
use std::fmt;
use std::sync::Arc;

use jid::Jid;

use super::declare::Scope;
use super::el::El;
use super::escape::unescape_attr;
use super::names::{NameId, NameTable};
use super::ns;
use super::scan::StreamHeader;
use super::walk;

/// What a first-level element is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Default)]
pub enum Kind {
    /// `<message/>` in the content namespace.
    Message,
    /// `<presence/>` in the content namespace.
    Presence,
    /// `<iq/>` in the content namespace.
    Iq,
    /// Anything else: negotiation, stream management, errors; or no stanza at all.
    #[default]
    Other,
}

/// The `type` of a stanza, RFC 6120 8.1.4. Which values are possible depends on [`Kind`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Default)]
pub enum StanzaType {
    /// Message: `normal`, or none.
    Normal,
    /// Message.
    Chat,
    /// Message.
    Groupchat,
    /// Message.
    Headline,
    /// Presence without a type.
    Available,
    /// Presence.
    Unavailable,
    /// Presence.
    Subscribe,
    /// Presence.
    Subscribed,
    /// Presence.
    Unsubscribe,
    /// Presence.
    Unsubscribed,
    /// Presence.
    Probe,
    /// Iq.
    Get,
    /// Iq.
    Set,
    /// Iq.
    Result,
    /// Message, presence or iq.
    Error,
    /// An attribute this kind does not have, an iq without any, or no stanza.
    #[default]
    Unknown,
}

impl StanzaType {
    /// How a message is to be handled: RFC 6121 5.2.2 wants unknown types treated as `normal`.
    pub fn of_message(self) -> Self {
        match self {
            Self::Chat | Self::Groupchat | Self::Headline | Self::Error => self,
            _ => Self::Normal,
        }
    }

    /// An iq that wants an answer (RFC 6120 8.2.3).
    pub fn is_request(self) -> bool {
        matches!(self, Self::Get | Self::Set)
    }
}

/// A range of the stanza's bytes. Nothing of interest begins at byte 0, which is `<`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Span {
    start: u32,
    len: u32,
}

impl Span {
    pub(super) fn new(start: u32, len: u32) -> Self {
        Self { start, len }
    }

    pub(super) fn of<'a>(&self, text: &'a str) -> Option<&'a str> {
        if self.start == 0 {
            return None;
        }
        text.get(self.start as usize..self.start as usize + self.len as usize)
    }
}

/// Where a namespace name is written.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
pub(super) enum Ns {
    /// No namespace.
    #[default]
    None,
    /// The content namespace of the stream.
    Content,
    /// The namespace of `xml:`.
    Xml,
    /// In the stanza's own bytes: start and length.
    Own(u32, u16),
    /// A prefix declared by the stream header.
    Stream(u16),
}

impl Ns {
    /// A declaration stands behind it, so it is lost when the bytes travel without that.
    pub(super) fn is_declared(self) -> bool {
        !matches!(self, Self::None | Self::Xml)
    }
}

/// What first-level elements inherit from the stream header.
#[derive(Debug)]
pub(super) struct Inherited {
    /// Content namespace on the wire.
    pub(super) content: Box<str>,
    /// What the rooms call it: see [`canonical`].
    canonical: Box<str>,
    /// Prefix and namespace name.
    pub(super) prefixes: Vec<(Box<str>, Box<str>)>,
    pub(super) lang: Option<Box<str>>,
}

impl Inherited {
    pub(super) fn from_header(header: &StreamHeader) -> Self {
        let content = header.default_ns.as_str();
        // The stanzas of RFC 6120 are the same in all three; one name spares every room the
        // question where a stanza came from.
        let canonical = match content {
            ns::SERVER | ns::COMPONENT => ns::CLIENT,
            other => other,
        };
        Self {
            content: content.into(),
            canonical: canonical.into(),
            prefixes: header.prefixes.iter().map(|(p, u)| (p.as_str().into(), u.as_str().into())).collect(),
            lang: header.lang.as_deref().filter(|l| !l.is_empty()).map(Into::into),
        }
    }

    /// Whether a stanza that uses none of the prefixes has to remember it.
    pub(super) fn matters(&self) -> bool {
        self.lang.is_some() || &*self.content != ns::CLIENT
    }
}

/// The content namespace as rooms know it: `jabber:client` also on server and component streams.
pub(super) fn canonical(inherited: Option<&Inherited>) -> &str {
    inherited.map_or(ns::CLIENT, |i| &i.canonical)
}

/// Head of a first-level element: ranges of its bytes.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Head {
    pub(super) kind: Kind,
    pub(super) stype: StanzaType,
    pub(super) name: NameId,
    pub(super) uses_stream: bool,
    pub(super) ns: Ns,
    /// Default namespace inside the element.
    pub(super) default_ns: Ns,
    pub(super) local: Span,
    /// Behind the name in the start tag.
    pub(super) name_end: u32,
    /// Behind the `>` of the start tag.
    pub(super) open_end: u32,
    pub(super) to: Span,
    pub(super) from: Span,
    pub(super) id: Span,
    pub(super) typed: Span,
    pub(super) lang: Span,
    pub(super) xmlns: Span,
}

impl Head {
    pub(super) fn set_kind(&mut self, ns: Ns, local: &[u8], typed: &[u8]) {
        use StanzaType as T;
        let kind = match (ns, local) {
            (Ns::Content, b"message") => Kind::Message,
            (Ns::Content, b"presence") => Kind::Presence,
            (Ns::Content, b"iq") => Kind::Iq,
            _ => Kind::Other,
        };
        let absent = self.typed == Span::default();
        self.kind = kind;
        self.stype = match (kind, typed) {
            (Kind::Message, b"chat") => T::Chat,
            (Kind::Message, b"groupchat") => T::Groupchat,
            (Kind::Message, b"headline") => T::Headline,
            (Kind::Message, b"normal") => T::Normal,
            (Kind::Message, _) if absent => T::Normal,
            (Kind::Presence, _) if absent => T::Available,
            (Kind::Presence, b"unavailable") => T::Unavailable,
            (Kind::Presence, b"subscribe") => T::Subscribe,
            (Kind::Presence, b"subscribed") => T::Subscribed,
            (Kind::Presence, b"unsubscribe") => T::Unsubscribe,
            (Kind::Presence, b"unsubscribed") => T::Unsubscribed,
            (Kind::Presence, b"probe") => T::Probe,
            (Kind::Iq, b"get") => T::Get,
            (Kind::Iq, b"set") => T::Set,
            (Kind::Iq, b"result") => T::Result,
            (Kind::Message | Kind::Presence | Kind::Iq, b"error") => T::Error,
            _ => T::Unknown,
        };
    }
}

/// A child of a first-level element.
#[derive(Clone, Copy, Debug)]
pub struct Child {
    /// Its name, if some room asked for it.
    pub name: NameId,
    /// The slice uses a prefix or a default namespace declared above it: it means something else,
    /// or nothing, without. [`Stanza::closed`] makes it stand alone.
    pub open: bool,
    pub(super) start: u32,
    pub(super) end: u32,
    pub(super) local: u32,
    pub(super) local_len: u16,
    pub(super) ns: Ns,
}

/// A first-level element as received. Never changed; shared as `Arc<Stanza>`.
pub struct Stanza {
    text: Box<str>,
    children: Box<[Child]>,
    pub(super) inherited: Option<Arc<Inherited>>,
    pub(super) head: Head,
}

impl Stanza {
    pub(super) fn new(text: &str, head: Head, children: &[Child], inherited: Option<Arc<Inherited>>) -> Self {
        Self { text: text.into(), children: children.into(), inherited, head }
    }

    /// The element's bytes, exactly as received.
    #[inline]
    pub fn bytes(&self) -> &[u8] {
        self.text.as_bytes()
    }

    /// The same, as text.
    #[inline]
    pub fn as_str(&self) -> &str {
        &self.text
    }

    /// Length in bytes.
    #[inline]
    pub fn size(&self) -> usize {
        self.text.len()
    }

    /// Message, presence, iq or something else.
    #[inline]
    pub fn kind(&self) -> Kind {
        self.head.kind
    }

    /// The `type` attribute, RFC 6120 8.1.4.
    #[inline]
    pub fn stype(&self) -> StanzaType {
        self.head.stype
    }

    /// The `to` attribute, unescaped; whether it is a JID is another question.
    pub fn to(&self) -> Option<Cow<'_, str>> {
        self.head.to.of(&self.text).map(unescape_attr)
    }

    /// The `from` attribute, unescaped. Never trust it: the session says who speaks.
    pub fn from(&self) -> Option<Cow<'_, str>> {
        self.head.from.of(&self.text).map(unescape_attr)
    }

    /// The `id` attribute, unescaped.
    pub fn id(&self) -> Option<Cow<'_, str>> {
        self.head.id.of(&self.text).map(unescape_attr)
    }

    /// The language: its own `xml:lang`, else that of the stream (RFC 6120 8.1.5).
    pub fn lang(&self) -> Option<Cow<'_, str>> {
        match self.head.lang.of(&self.text) {
            Some(own) => Some(unescape_attr(own)),
            None => self.stream_lang().map(Cow::Borrowed),
        }
    }

    /// The language of the stream, if the stanza has none of its own.
    pub(super) fn stream_lang(&self) -> Option<&str> {
        if self.head.lang != Span::default() {
            return None;
        }
        self.inherited.as_deref()?.lang.as_deref()
    }

    /// An attribute by its qualified name as written (`id`, `xml:lang`), unescaped.
    pub fn attr(&self, name: &str) -> Option<Cow<'_, str>> {
        walk::attributes(self.open_tag()).find(|a| a.name == name).map(|a| unescape_attr(a.value))
    }

    /// The `to` attribute as a JID; `None` if there is none.
    pub fn to_jid(&self) -> Result<Option<Jid>, jid::Error> {
        self.to().map(|to| address(&to)).transpose()
    }

    /// The `from` attribute as a JID; `None` if there is none.
    pub fn from_jid(&self) -> Result<Option<Jid>, jid::Error> {
        self.from().map(|from| address(&from)).transpose()
    }

    /// Namespace and local name. The content namespace is always called `jabber:client`.
    pub fn name(&self) -> (&str, &str) {
        (self.uri(self.head.ns), self.head.local.of(&self.text).unwrap_or_default())
    }

    /// The interned name of a nonza; [`NameId::UNKNOWN`] for message, presence and iq, which
    /// [`Stanza::kind`] tells apart.
    #[inline]
    pub fn name_id(&self) -> NameId {
        self.head.name
    }

    /// Whether this is the element `local` in `ns`.
    pub fn is(&self, ns: &str, local: &str) -> bool {
        self.name() == (ns, local)
    }

    /// The child elements in document order.
    #[inline]
    pub fn children(&self) -> &[Child] {
        &self.children
    }

    /// The first child of that name.
    #[inline]
    pub fn child(&self, name: NameId) -> Option<&Child> {
        self.children.iter().find(|c| c.name == name && name != NameId::UNKNOWN)
    }

    /// Whether there is a child of that name.
    #[inline]
    pub fn has(&self, name: NameId) -> bool {
        self.child(name).is_some()
    }

    /// The first child of that name, for names nobody interned.
    pub fn child_named(&self, ns: &str, local: &str) -> Option<&Child> {
        self.children.iter().find(|c| self.child_local(c) == local && self.child_ns(c) == ns)
    }

    /// The character data directly inside, unescaped.
    pub fn text(&self) -> Cow<'_, str> {
        self.el().text()
    }

    /// A child's bytes, exactly as received.
    pub fn child_bytes(&self, child: &Child) -> &[u8] {
        self.child_str(child).as_bytes()
    }

    pub(super) fn child_str(&self, child: &Child) -> &str {
        self.text.get(child.start as usize..child.end as usize).unwrap_or_default()
    }

    /// A child's namespace, empty if it has none. The content namespace is called `jabber:client`.
    pub fn child_ns(&self, child: &Child) -> &str {
        self.uri(child.ns)
    }

    /// A child's local name.
    pub fn child_local(&self, child: &Child) -> &str {
        Span::new(child.local, u32::from(child.local_len)).of(&self.text).unwrap_or_default()
    }

    /// The number of a child's name in this table. A stream that began before the configuration was read anew does not know what was
    /// asked for since.
    pub fn name_in(&self, child: &Child, names: &NameTable) -> NameId {
        match child.name {
            NameId::UNKNOWN => names.get(self.child_ns(child), self.child_local(child)),
            name => name,
        }
    }

    /// A view of a child.
    pub fn child_el(&self, child: &Child) -> El<'_> {
        El::within(self.child_str(child), &self.scope())
    }

    /// A view of the whole element.
    pub fn el(&self) -> El<'_> {
        El::within(&self.text, &self.outer_scope())
    }

    /// The start tag.
    pub(super) fn open_tag(&self) -> &str {
        self.text.get(..self.head.open_end as usize).unwrap_or_default()
    }

    fn uri(&self, ns: Ns) -> &str {
        match ns {
            Ns::None => "",
            Ns::Content => canonical(self.inherited.as_deref()),
            Ns::Xml => ns::XML,
            Ns::Own(at, len) => Span::new(at, u32::from(len)).of(&self.text).unwrap_or_default(),
            Ns::Stream(i) => self.inherited.as_deref().and_then(|x| x.prefixes.get(usize::from(i))).map_or("", |(_, uri)| uri),
        }
    }

    /// The declarations that hold where the element stands.
    pub(super) fn outer_scope(&self) -> Scope<'_> {
        let mut scope = Scope::default();
        if let Some(inherited) = self.inherited.as_deref() {
            scope.alias = Some((&inherited.content, &inherited.canonical));
        }
        if self.head.xmlns == Span::default() {
            scope.default_ns = self.uri(self.head.default_ns);
        }
        if self.head.uses_stream
            && let Some(inherited) = self.inherited.as_deref()
        {
            scope.prefixes.extend(inherited.prefixes.iter().map(|(p, u)| (&**p, &**u)));
        }
        scope
    }

    /// The declarations that hold inside the element.
    pub(super) fn scope(&self) -> Scope<'_> {
        let mut scope = self.outer_scope();
        scope.enter(self.open_tag());
        scope.default_ns = self.uri(self.head.default_ns);
        scope
    }
}

impl fmt::Debug for Stanza {
    /// Without content: bodies never reach a log.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Stanza")
            .field("kind", &self.head.kind)
            .field("type", &self.head.stype)
            .field("size", &self.size())
            .field("children", &self.children.len())
            .finish()
    }
}
