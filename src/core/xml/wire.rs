//! From received to sent: stamps stand beside the bytes until one render per variant.

use std::hash::BuildHasher;
use std::sync::Arc;

use bytes::Bytes;
use smallvec::SmallVec;

use super::declare::missing;
use super::el::El;
use super::escape::push_attr;
use super::names::Mix;
use super::ns;
use super::payload::push_declarations;
use super::stanza::{Kind, Ns, Stanza, StanzaType};
use super::walk;
use crate::jids;

/// What may happen to a stanza while its client is inactive (XEP-0352).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Default)]
pub enum Hold {
    /// It goes out at once, and with it all that waits.
    #[default]
    Flush,
    /// It goes out at once, and before it what waits of the same sender: order is between two (RFC 6120 10.1).
    Pass(Sender),
    /// It waits; a later one with the same key takes its place. The key says what it is about.
    Coalesce { key: u64, from: Origin },
    /// It is not sent at all.
    Drop,
}

/// Who has sent what waits.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Origin {
    full: u64,
    bare: u64,
}

/// Of whom nothing may wait any longer.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Sender {
    /// Of this address alone: an occupant of a room.
    Full(u64),
    /// Of this address and all its resources.
    Bare(u64),
}

impl Sender {
    pub fn has_sent(self, from: Origin) -> bool {
        match self {
            Sender::Full(full) => from.full == full,
            Sender::Bare(bare) => from.bare == bare,
        }
    }
}

impl Origin {
    fn new(from: &str) -> Origin {
        Origin { full: key(from), bare: key(jids::bare(from)) }
    }
}

fn key(of: impl std::hash::Hash) -> u64 {
    Mix::default().hash_one(of)
}

impl Hold {
    /// What XEP-0352 section 3.2 suggests: presence waits, chat states alone are worthless later, everything else is somebody waiting.
    /// `from` is whose presence it is.
    pub fn of(stanza: &Stanza, from: &str) -> Self {
        let from = Origin::new(from);
        match (stanza.kind(), stanza.stype()) {
            // XEP-0045 7.2.2: the last of those that tell a client that it has come in.
            (Kind::Presence, _) if is_own_in_room(stanza) => Self::Pass(Sender::Bare(from.bare)),
            (Kind::Presence, StanzaType::Available | StanzaType::Unavailable) => Self::Coalesce { key: from.full, from },
            (Kind::Message, kind) if kind != StanzaType::Error => {
                // Of a room only the one who speaks has to be there first; of a person, their devices and news.
                let sender = match kind {
                    StanzaType::Groupchat => Sender::Full(from.full),
                    _ => Sender::Bare(from.bare),
                };
                let mut only = false;
                for child in stanza.children() {
                    match (stanza.child_ns(child), stanza.child_local(child)) {
                        (ns::CHAT_STATES, _) => only = true,
                        // It names the conversation the state belongs to (RFC 6121 5.2.5).
                        (ns::CLIENT, "thread") => {}
                        _ => return Self::Pass(sender),
                    }
                }
                if only { Self::Drop } else { Self::Pass(sender) }
            }
            _ => Self::Pass(Sender::Full(from.full)),
        }
    }

    /// What a room of ours says of an occupant stands beside what that one has sent.
    fn in_room(said: &[u8], from: &str) -> Option<Self> {
        let says = |code: &[u8]| memchr::memmem::find(said, code).is_some();
        let origin = Origin::new(from);
        if says(b"code='110'") {
            return Some(Self::Pass(Sender::Bare(origin.bare)));
        }
        if says(b"code='303'") {
            // XEP-0045 7.6: who goes on under another nickname is nobody else, and that is heard before they are heard under it.
            let x = El::parse(said.get(memchr::memmem::find(said, X_OF_ROOM)?..)?)?;
            let next = x.child(MUC_USER, "item")?.attr("nick")?;
            let full = key(&*format!("{}/{next}", jids::bare(from)));
            return Some(Self::Coalesce { key: origin.full, from: Origin { full, ..origin } });
        }
        None
    }

    /// News: the latest about `item` of `node` is enough. (An empty `item`: about the node.)
    pub fn news(from: &str, node: &str, item: &str) -> Self {
        Self::Coalesce { key: key((from, node, item)), from: Origin::new(from) }
    }
}

const MUC_USER: &str = "http://jabber.org/protocol/muc#user";
const X_OF_ROOM: &[u8] = b"<x xmlns='http://jabber.org/protocol/muc#user'>";

/// Status 110.
fn is_own_in_room(stanza: &Stanza) -> bool {
    let Some(x) = stanza.child_named(MUC_USER, "x") else { return false };
    stanza.child_el(x).children().any(|status| status.local() == "status" && status.attr("code").as_deref() == Some("110"))
}

/// A rendered stanza: shared by all who get it, complete but for `to`.
#[derive(Clone, Debug)]
pub struct Wire {
    /// The stanza without `to`, for any stream: it declares no content namespace.
    pub bytes: Bytes,
    /// Where ` to='…'` is put in: an offset in `bytes`, behind the element's name.
    pub to_at: u32,
    /// What may wait.
    pub hold: Hold,
}

impl Wire {
    /// One element this server wrote itself, without `to`. `None` if it does not begin like one.
    pub fn own(element: Vec<u8>, hold: Hold) -> Option<Wire> {
        let end = element.iter().position(|c| matches!(c, b' ' | b'\t' | b'\n' | b'\r' | b'/' | b'>'))?;
        (element.first() == Some(&b'<') && element.get(1) != Some(&b'/') && end > 1).then(|| Wire {
            to_at: end as u32,
            bytes: element.into(),
            hold,
        })
    }

    /// Appends the stanza as it goes to `to`.
    pub fn write_to(&self, to: Option<&str>, out: &mut Vec<u8>) {
        self.write(None, to, out);
    }

    /// Appends the stanza as it goes to `to` on a WebSocket, where it declares its content
    /// namespace itself (RFC 7395 3.3.3).
    pub fn write_to_framed(&self, to: Option<&str>, out: &mut Vec<u8>) {
        self.write(Some(ns::CLIENT), to, out);
    }

    fn write(&self, xmlns: Option<&str>, to: Option<&str>, out: &mut Vec<u8>) {
        let at = (self.to_at as usize).min(self.bytes.len());
        let (head, tail) = self.bytes.split_at(at);
        out.reserve(self.bytes.len() + to.map_or(0, |t| t.len() + 8));
        out.extend_from_slice(head);
        push_attribute("xmlns", xmlns, out);
        push_attribute("to", to, out);
        out.extend_from_slice(tail);
    }
}

/// Elements on their way to one connection.
#[derive(Clone, Debug, Default)]
pub struct Output {
    pub bytes: Vec<u8>,
    /// Each element is a document of its own (WebSocket, BOSH): it declares its content namespace, and `ends` says where it ends.
    pub framed: bool,
    pub ends: Vec<usize>,
    /// How many stanzas there are: message, presence, iq.
    pub stanzas: [u32; 3],
}

impl Output {
    /// Appends a stanza, as it goes to `to`.
    pub fn stanza(&mut self, wire: &Wire, to: Option<&str>) {
        // Its name is written by this server, without a prefix.
        match wire.bytes.get(1) {
            Some(b'm') => self.stanzas[0] += 1,
            Some(b'p') => self.stanzas[1] += 1,
            Some(b'i') => self.stanzas[2] += 1,
            _ => {}
        }
        if self.framed {
            wire.write_to_framed(to, &mut self.bytes);
            self.ends.push(self.bytes.len());
        } else {
            wire.write_to(to, &mut self.bytes);
        }
    }

    /// Appends an element that declares its namespace already.
    pub fn nonza(&mut self, element: &[u8]) {
        self.bytes.extend_from_slice(element);
        if self.framed {
            self.ends.push(self.bytes.len());
        }
    }

    pub fn clear(&mut self) {
        self.bytes.clear();
        self.ends.clear();
        self.stanzas = [0; 3];
    }
}

/// Which children are left out, because only this server may say such a thing.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Strip(SmallVec<[u32; 4]>);

impl Strip {
    /// Leaves out the child at `index` of [`Stanza::children`].
    pub fn add(&mut self, index: usize) {
        if let (Err(at), Ok(index)) = (self.0.binary_search(&(index as u32)), u32::try_from(index)) {
            self.0.insert(at, index);
        }
    }

    /// Whether the child at `index` is left out.
    pub fn contains(&self, index: usize) -> bool {
        u32::try_from(index).is_ok_and(|i| self.0.binary_search(&i).is_ok())
    }

    /// Whether nothing is left out.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }
}

/// A stanza id, XEP-0359.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct StanzaId {
    /// Who gave it: a bare JID.
    pub by: Arc<str>,
    /// The id.
    pub id: Arc<str>,
}

/// What this server has to say about a stanza that passes, kept beside the bytes.
#[derive(Clone, Debug, Default)]
pub struct Stamps {
    /// Who sent it, whatever the stanza says (RFC 6120 8.1.2.1).
    pub from: Option<Arc<str>>,
    /// The id the archive gave it.
    pub stanza_id: Option<StanzaId>,
    /// Forged children to leave out.
    pub strip: Strip,
    /// More children, written already, that stand alone (`<delay/>`).
    pub extra: Option<Arc<[u8]>>,
}

/// The stanza as it goes out, for everybody but its `to`.
///
/// The start tag is written anew: `from` from the stamps, the content namespace left to the stream
/// it goes out on, prefixes of the stream it came in on declared; all other attributes and all
/// children are copied as received. RFC 6120 8.1.5: a stanza without `xml:lang` gets that of the
/// stream it came in on.
pub fn render(stanza: &Stanza, stamps: &Stamps) -> Wire {
    let mut out = Vec::with_capacity(room(stanza, stamps));
    out.push(b'<');
    out.extend_from_slice(name(stanza).as_bytes());
    let to_at = out.len() as u32;
    push_rest(stanza, stamps, false, &mut out);
    let from = match &stamps.from {
        Some(from) => std::borrow::Cow::Borrowed(&**from),
        None => stanza.from().unwrap_or_default(),
    };
    let hold = match (stanza.kind(), &stamps.extra) {
        (Kind::Presence, Some(said)) => Hold::in_room(said, &from).unwrap_or_else(|| Hold::of(stanza, &from)),
        _ => Hold::of(stanza, &from),
    };
    Wire { bytes: out.into(), to_at, hold }
}

/// The same with its `to`: for somebody who has many addresses (XEP-0114).
pub fn render_to(stanza: &Stanza, stamps: &Stamps, to: &str) -> Wire {
    let mut wire = render(stanza, stamps);
    let mut bytes = Vec::with_capacity(wire.bytes.len() + to.len() + 8);
    wire.write_to(Some(to), &mut bytes);
    wire.bytes = bytes.into();
    wire
}

/// Appends the stanza as the child of `<forwarded/>` (XEP-0297 3.1): with its content namespace and
/// with `to`, the given one or else the one it came with.
pub fn render_forwarded(stanza: &Stanza, stamps: &Stamps, to: Option<&str>, out: &mut Vec<u8>) {
    out.reserve(room(stanza, stamps) + 64);
    out.push(b'<');
    out.extend_from_slice(name(stanza).as_bytes());
    if stanza.head.ns == Ns::Content {
        push_attribute("xmlns", Some(stanza.name().0), out);
    }
    push_attribute("to", to, out);
    push_rest(stanza, stamps, to.is_none(), out);
}

/// The same without any `to`: said to many (XEP-0313, archives of rooms).
pub fn render_unaddressed(stanza: &Stanza, stamps: &Stamps, out: &mut Vec<u8>) {
    out.reserve(room(stanza, stamps) + 64);
    out.push(b'<');
    out.extend_from_slice(name(stanza).as_bytes());
    if stanza.head.ns == Ns::Content {
        push_attribute("xmlns", Some(stanza.name().0), out);
    }
    push_rest(stanza, stamps, false, out);
}

fn room(stanza: &Stanza, stamps: &Stamps) -> usize {
    stanza.size()
        + stamps.from.as_ref().map_or(0, |f| f.len() + 8)
        + stamps.stanza_id.as_ref().map_or(0, |s| s.by.len() + s.id.len() + 48)
        + stamps.extra.as_ref().map_or(0, |e| e.len())
        + name(stanza).len()
        + 16
}

fn name(stanza: &Stanza) -> &str {
    stanza.as_str().get(1..stanza.head.name_end as usize).unwrap_or_default()
}

/// Everything behind the name and what the caller has put there.
fn push_rest(stanza: &Stanza, stamps: &Stamps, keep_to: bool, out: &mut Vec<u8>) {
    push_attribute("from", stamps.from.as_deref(), out);
    for attribute in walk::attributes(stanza.open_tag()) {
        let skip = match attribute.name {
            "to" => !keep_to,
            "from" => stamps.from.is_some(),
            "xmlns" => stanza.head.ns == Ns::Content,
            _ => false,
        };
        if !skip {
            out.push(b' ');
            out.extend_from_slice(attribute.whole.as_bytes());
        }
    }
    if stanza.kind() != Kind::Other {
        push_attribute("xml:lang", stanza.stream_lang(), out);
    }
    if stanza.head.uses_stream {
        let mut scope = stanza.outer_scope();
        scope.default_ns = "";
        push_declarations(&missing(stanza.as_str(), &scope), out);
    }
    let open = out.len();
    out.push(b'>');
    push_content(stanza, &stamps.strip, out);
    if let Some(extra) = &stamps.extra {
        out.extend_from_slice(extra);
    }
    if let Some(StanzaId { by, id }) = &stamps.stanza_id {
        out.extend_from_slice(b"<stanza-id xmlns='");
        out.extend_from_slice(ns::SID.as_bytes());
        out.push(b'\'');
        push_attribute("by", Some(by), out);
        push_attribute("id", Some(id), out);
        out.extend_from_slice(b"/>");
    }
    if out.len() == open + 1 {
        out.truncate(open);
        out.extend_from_slice(b"/>");
    } else {
        out.extend_from_slice(b"</");
        out.extend_from_slice(name(stanza).as_bytes());
        out.push(b'>');
    }
}

/// What lies between the tags, without the stripped children.
fn push_content(stanza: &Stanza, strip: &Strip, out: &mut Vec<u8>) {
    let bytes = stanza.bytes();
    let mut at = stanza.head.open_end as usize;
    let end = memchr::memrchr(b'<', bytes).unwrap_or(0);
    if !strip.is_empty() {
        for (i, child) in stanza.children().iter().enumerate() {
            if strip.contains(i) {
                out.extend_from_slice(bytes.get(at..child.start as usize).unwrap_or_default());
                at = child.end as usize;
            }
        }
    }
    // An empty-element tag ends before `end`'s successor: then there is nothing to copy.
    out.extend_from_slice(bytes.get(at..end).unwrap_or_default());
}

fn push_attribute(name: &str, value: Option<&str>, out: &mut Vec<u8>) {
    if let Some(value) = value {
        out.push(b' ');
        out.extend_from_slice(name.as_bytes());
        out.extend_from_slice(b"='");
        push_attr(value, out);
        out.push(b'\'');
    }
}
