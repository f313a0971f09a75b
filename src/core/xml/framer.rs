//! The state machine under the scanner: tokens. What tags mean is in `tags.rs`.
//!
//! All positions are relative to the first byte of the current first-level element, so the
//! machine can stop after any byte and go on later without looking back.

use std::sync::Arc;

use super::chars::{self, Decoded, NAME, NAME_START, SPACE, decode, is, skip_text, skip_value};
use super::error::{XmlError, XmlErrorKind as Kind, refuse};
use super::letters;
use super::limits::{NAME_BYTES_MAX, XmlLimits};
use super::names::NameTable;
use super::scan::StreamHeader;
use super::stanza::{Child, Inherited, Stanza};
use super::tags::{Attr, Binding, Frame, Head};

/// Longest reference: `&#x0010FFFF;` with room for a few more zeros.
const REFERENCE_BYTES_MAX: usize = 16;
/// Longest XML declaration.
const DECLARATION_BYTES_MAX: usize = 256;

#[derive(Clone, Copy, PartialEq, Eq)]
enum State {
    /// At the very beginning of a stream: an XML declaration may stand here.
    Start,
    /// Behind the declaration, before the header.
    Declared,
    /// Before the header, after white space.
    Prolog,
    /// Between first-level elements.
    Between,
    /// After the end of the stream.
    Closed,
    Content,
    Cdata,
    /// After `<`.
    Less,
    StartName,
    /// In a start tag, between attributes.
    Tag,
    AttrName,
    /// Before `=`.
    Equals,
    /// After `=`.
    Quote,
    Value,
    /// After `/` in a start tag.
    Slash,
    EndName,
    /// After the name in an end tag.
    EndSpace,
}

#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Mode {
    /// A header first, then elements.
    Stream,
    /// Elements that stand for themselves.
    Fragments,
    /// Elements in `jabber:client`.
    Own,
}

pub(super) enum Step {
    More,
    Header(usize, Box<StreamHeader>),
    Element(usize, Stanza),
    Close(usize),
}

pub(super) struct Framer {
    pub(super) limits: XmlLimits,
    pub(super) mode: Mode,
    /// What first-level elements inherit from the stream; `None`: default namespace
    /// `jabber:client` and nothing else ([`Mode::Own`]), or nothing at all.
    pub(super) inherited: Option<Arc<Inherited>>,
    pub(super) work: u64,
    /// The header has been read.
    pub(super) opened: bool,
    /// This is not the connection's first stream: what white space stood behind the last element of the one before
    /// (go-xmpp writes a line feed after `<auth/>`, against RFC 6120 6.3.5) is not this one's.
    restarted: bool,
    state: State,
    pos: usize,
    name_start: usize,
    pub(super) name_len: usize,
    /// Position of the colon in the current name, 0 if none.
    colon: usize,
    value_start: usize,
    quote: u8,
    space_seen: bool,
    attr: Attr,
    pub(super) elements: u32,
    pub(super) attrs: Vec<Attr>,
    pub(super) frames: Vec<Frame>,
    pub(super) bindings: Vec<Binding>,
    pub(super) children: Vec<Child>,
    pub(super) head: Head,
}

/// Leaves the machine where it is until more has been received.
macro_rules! more {
    ($self:ident, $p:expr, $state:expr) => {{
        $self.pos = $p;
        $self.state = $state;
        return Ok(Step::More);
    }};
}

impl Framer {
    pub(super) fn stream(limits: XmlLimits) -> Self {
        Self::new(limits, Mode::Stream)
    }

    pub(super) fn fragments(limits: XmlLimits) -> Self {
        Self::new(limits, Mode::Fragments)
    }

    pub(super) fn own(limits: XmlLimits) -> Self {
        Self::new(limits, Mode::Own)
    }

    fn new(limits: XmlLimits, mode: Mode) -> Self {
        Self {
            limits,
            mode,
            inherited: None,
            work: 0,
            restarted: false,
            opened: mode != Mode::Stream,
            state: if mode == Mode::Stream { State::Start } else { State::Between },
            pos: 0,
            name_start: 0,
            name_len: 0,
            colon: 0,
            value_start: 0,
            quote: 0,
            space_seen: false,
            attr: Attr::default(),
            elements: 0,
            attrs: Vec::new(),
            frames: Vec::new(),
            bindings: Vec::new(),
            children: Vec::new(),
            head: Head::default(),
        }
    }

    pub(super) fn reset(&mut self) {
        let work = self.work;
        *self = Self::new(self.limits, self.mode);
        self.work = work;
        self.restarted = true;
    }

    pub(super) fn park(&mut self) {
        self.attrs.shrink_to_fit();
        self.frames.shrink_to_fit();
        self.bindings.shrink_to_fit();
        self.children.shrink_to_fit();
    }

    pub(super) fn mid_element(&self) -> bool {
        !matches!(self.state, State::Start | State::Prolog | State::Between | State::Closed | State::Declared)
    }

    pub(super) fn size_max(&self) -> usize {
        if self.opened { self.limits.stanza_size_bytes_max } else { self.limits.header_size_bytes_max }
    }

    /// White space before a first-level element; it belongs to none and counts for no limit.
    pub(super) fn leading_space(&mut self, buf: &[u8]) -> usize {
        // `pos` is beyond 0 only when an element or a declaration has begun.
        let outside = matches!(self.state, State::Start | State::Prolog | State::Between | State::Closed);
        if !outside || self.pos != 0 {
            return 0;
        }
        let n = buf.iter().take_while(|&&c| is(c, SPACE)).count();
        self.work += n as u64;
        if n > 0 && self.state == State::Start && !self.restarted {
            // XML 1.0 section 2.8: a declaration stands at the very beginning or nowhere.
            self.state = State::Prolog;
        }
        n
    }

    /// Ready for the next first-level element.
    pub(super) fn rest(&mut self) {
        /// Beyond this the scratch of one unusual stanza is not kept.
        const KEEP: usize = 16;
        self.pos = 0;
        self.elements = 0;
        self.state = State::Between;
        self.attrs.clear();
        self.frames.clear();
        self.bindings.clear();
        self.children.clear();
        self.attrs.shrink_to(KEEP);
        self.frames.shrink_to(KEEP);
        self.bindings.shrink_to(KEEP);
        self.children.shrink_to(KEEP);
        self.head = Head::default();
    }

    /// Goes on where it stopped. `b` begins with the current first-level element.
    pub(super) fn run(&mut self, names: &NameTable, b: &[u8]) -> Result<Step, XmlError> {
        let before = self.pos;
        if before > b.len() {
            // The limit was lowered below what has been accepted already.
            return refuse(Kind::PolicyViolation, b.len());
        }
        let result = self.tokens(names, b);
        let after = match &result {
            Ok(Step::More) => self.pos,
            Ok(Step::Header(n, _) | Step::Element(n, _) | Step::Close(n)) => *n,
            Err(e) => e.at,
        };
        self.work += after.saturating_sub(before) as u64;
        result
    }

    fn tokens(&mut self, names: &NameTable, b: &[u8]) -> Result<Step, XmlError> {
        let mut p = self.pos;
        let mut state = self.state;
        loop {
            match state {
                State::Content => {
                    p = skip_text(b, p);
                    match b.get(p) {
                        Some(b'<') => {
                            p += 1;
                            state = State::Less;
                        }
                        Some(b'&') => match self.reference(b, p)? {
                            Some(next) => p = next,
                            None => more!(self, p, state),
                        },
                        // XML 1.0 section 2.4: `]]>` must not appear in content.
                        Some(b']') => match b.get(p..p + 3) {
                            Some(b"]]>") => return refuse(Kind::NotWellFormed, p),
                            None if b"]]>".starts_with(&b[p..]) => more!(self, p, state),
                            _ => p += 1,
                        },
                        Some(_) => match self.odd_char(b, p)? {
                            (next, true) => p = next,
                            (next, false) => more!(self, next, state),
                        },
                        None => more!(self, p, state),
                    }
                }
                State::Less => {
                    let Some(&c) = b.get(p) else { more!(self, p, state) };
                    match c {
                        b'/' => {
                            p += 1;
                            self.name_start = p;
                            state = State::EndName;
                        }
                        b'!' => match self.declaration_or_cdata(b, p)? {
                            Some(next) => {
                                p = next;
                                state = State::Cdata;
                            }
                            None => more!(self, p, state),
                        },
                        // A processing instruction, or an XML declaration in the wrong place.
                        b'?' => return refuse(Kind::RestrictedXml, p),
                        _ if is(c, NAME_START) || c >= 0x80 => {
                            self.elements += 1;
                            if self.elements > self.limits.elements_max
                                || self.frames.len() >= usize::from(self.limits.depth_max)
                            {
                                return refuse(Kind::PolicyViolation, p);
                            }
                            self.name_start = p;
                            self.colon = 0;
                            state = State::StartName;
                        }
                        _ => return refuse(Kind::NotWellFormed, p),
                    }
                }
                State::StartName => {
                    let (next, ended) = self.name(b, p)?;
                    p = next;
                    if !ended {
                        more!(self, p, state);
                    }
                    self.name_len = p - self.name_start;
                    self.head.tag = (self.name_start, self.colon);
                    self.attrs.clear();
                    self.space_seen = false;
                    state = State::Tag;
                }
                State::Tag => {
                    while let Some(&c) = b.get(p)
                        && is(c, SPACE)
                    {
                        self.space_seen = true;
                        p += 1;
                    }
                    let Some(&c) = b.get(p) else { more!(self, p, state) };
                    match c {
                        b'>' => {
                            p += 1;
                            self.state = State::Content;
                            if let Some(step) = self.start_tag(names, b, p, false)? {
                                return Ok(step);
                            }
                            state = State::Content;
                        }
                        b'/' => {
                            p += 1;
                            state = State::Slash;
                        }
                        _ if self.space_seen && (is(c, NAME_START) || c >= 0x80) => {
                            if self.attrs.len() >= usize::from(self.limits.attributes_max) {
                                return refuse(Kind::PolicyViolation, p);
                            }
                            self.name_start = p;
                            self.colon = 0;
                            state = State::AttrName;
                        }
                        _ => return refuse(Kind::NotWellFormed, p),
                    }
                }
                State::AttrName => {
                    let (next, ended) = self.name(b, p)?;
                    p = next;
                    if !ended {
                        more!(self, p, state);
                    }
                    self.attr = Attr {
                        name: self.name_start as u32,
                        name_len: (p - self.name_start) as u16,
                        prefix_len: self.colon.saturating_sub(self.name_start) as u16,
                        ..Attr::default()
                    };
                    // Nearly always `='` follows at once.
                    match b.get(p..).and_then(|rest| rest.first_chunk::<2>()) {
                        Some(&[b'=', quote @ (b'\'' | b'"')]) => {
                            self.quote = quote;
                            p += 2;
                            self.value_start = p;
                            state = State::Value;
                        }
                        _ => state = State::Equals,
                    }
                }
                State::Equals => {
                    while b.get(p).is_some_and(|&c| is(c, SPACE)) {
                        p += 1;
                    }
                    match b.get(p) {
                        Some(b'=') => p += 1,
                        Some(_) => return refuse(Kind::NotWellFormed, p),
                        None => more!(self, p, state),
                    }
                    state = State::Quote;
                }
                State::Quote => {
                    while b.get(p).is_some_and(|&c| is(c, SPACE)) {
                        p += 1;
                    }
                    match b.get(p) {
                        Some(&c @ (b'"' | b'\'')) => self.quote = c,
                        Some(_) => return refuse(Kind::NotWellFormed, p),
                        None => more!(self, p, state),
                    }
                    p += 1;
                    self.value_start = p;
                    state = State::Value;
                }
                State::Value => {
                    p = skip_value(b, p, self.quote);
                    match b.get(p) {
                        Some(&c) if c == self.quote => {
                            self.attr.value = self.value_start as u32;
                            self.attr.value_len = (p - self.value_start) as u32;
                            self.attrs.push(self.attr);
                            p += 1;
                            self.space_seen = false;
                            state = State::Tag;
                        }
                        Some(b'"' | b'\'') => p += 1,
                        // A bare carriage return is legal, but rxml, and with it every client built on it, gives up on
                        // the stream: nobody shall send that to his contacts through us.
                        Some(b'\r') => match b.get(p + 1) {
                            Some(b'\n') => p += 2,
                            Some(_) => return refuse(Kind::NotWellFormed, p),
                            None => more!(self, p, state),
                        },
                        // XML 1.0 section 3.1: no `<` in attribute values.
                        Some(b'<') => return refuse(Kind::NotWellFormed, p),
                        Some(b'&') => match self.reference(b, p)? {
                            Some(next) => p = next,
                            None => more!(self, p, state),
                        },
                        Some(_) => match self.odd_char(b, p)? {
                            (next, true) => p = next,
                            (next, false) => more!(self, next, state),
                        },
                        None => more!(self, p, state),
                    }
                }
                State::Slash => match b.get(p) {
                    Some(b'>') => {
                        p += 1;
                        self.state = State::Content;
                        if let Some(step) = self.start_tag(names, b, p, true)? {
                            return Ok(step);
                        }
                        state = State::Content;
                    }
                    Some(_) => return refuse(Kind::NotWellFormed, p),
                    None => more!(self, p, state),
                },
                State::EndName => {
                    let done = p - self.name_start;
                    let expected: &[u8] = match self.frames.last() {
                        Some(f) => &b[f.name as usize..f.name as usize + usize::from(f.name_len)],
                        // RFC 6120 4.4: the stream ends.
                        None if self.opened && self.mode == Mode::Stream => b"stream:stream",
                        None => return refuse(Kind::NotWellFormed, p),
                    };
                    let wanted = &expected[done..];
                    let have = &b[p..];
                    if have.starts_with(wanted) {
                        p += wanted.len();
                        state = State::EndSpace;
                    } else if wanted.starts_with(have) {
                        p = b.len();
                        more!(self, p, state);
                    } else {
                        let same = wanted.iter().zip(have).take_while(|(a, b)| a == b).count();
                        return refuse(Kind::NotWellFormed, p + same);
                    }
                }
                State::EndSpace => {
                    while b.get(p).is_some_and(|&c| is(c, SPACE)) {
                        p += 1;
                    }
                    match b.get(p) {
                        Some(b'>') => p += 1,
                        Some(_) => return refuse(Kind::NotWellFormed, p),
                        None => more!(self, p, state),
                    }
                    if self.frames.is_empty() {
                        self.rest();
                        self.state = State::Closed;
                        return Ok(Step::Close(p));
                    }
                    if let Some(step) = self.end_tag(b, p)? {
                        return Ok(step);
                    }
                    state = State::Content;
                }
                State::Cdata => {
                    p = skip_text(b, p);
                    match b.get(p) {
                        Some(b']') => match b.get(p..p + 3) {
                            Some(b"]]>") => {
                                p += 3;
                                state = State::Content;
                            }
                            None if b"]]>".starts_with(&b[p..]) => more!(self, p, state),
                            _ => p += 1,
                        },
                        Some(b'<' | b'&') => p += 1,
                        Some(_) => match self.odd_char(b, p)? {
                            (next, true) => p = next,
                            (next, false) => more!(self, next, state),
                        },
                        None => more!(self, p, state),
                    }
                }
                State::Between => match b.get(p) {
                    Some(b'<') => {
                        p += 1;
                        state = State::Less;
                    }
                    // RFC 6120 4.9.3.1: well-formed, but not what a stream consists of.
                    Some(_) => return refuse(Kind::BadFormat, p),
                    None => more!(self, p, state),
                },
                State::Start => match self.xml_declaration(b)? {
                    Some(next) => {
                        p = next;
                        state = if p == 0 { State::Prolog } else { State::Declared };
                    }
                    None => more!(self, p, state),
                },
                State::Declared | State::Prolog => {
                    while b.get(p).is_some_and(|&c| is(c, SPACE)) {
                        p += 1;
                    }
                    match b.get(p) {
                        Some(b'<') => {
                            p += 1;
                            state = State::Less;
                        }
                        Some(_) => return refuse(Kind::NotWellFormed, p),
                        None => more!(self, p, state),
                    }
                }
                State::Closed => match b.get(p) {
                    Some(_) => return refuse(Kind::NotWellFormed, p),
                    None => more!(self, p, state),
                },
            }
        }
    }

    /// Goes on in a qualified name; whether it has ended. Namespaces in XML 1.0 section 4: at most
    /// one colon, with a name on either side.
    fn name(&mut self, b: &[u8], mut p: usize) -> Result<(usize, bool), XmlError> {
        let end = b.len().min(self.name_start + NAME_BYTES_MAX + 1);
        loop {
            p += b[p..end].iter().take_while(|&&c| is(c, NAME)).count();
            if p >= end {
                if p - self.name_start > NAME_BYTES_MAX {
                    return refuse(Kind::PolicyViolation, p);
                }
                return Ok((p, false));
            }
            let c = b[p];
            if c == b':' {
                if self.colon != 0 || p == self.name_start {
                    return refuse(Kind::NotWellFormed, p);
                }
                self.colon = p;
                p += 1;
            } else if c >= 0x80 {
                let first = p == self.name_start || p == self.colon + 1;
                match decode(b, p) {
                    Decoded::Char(c, _) if first && !letters::is_name_start(c) => {
                        return refuse(Kind::NotWellFormed, p);
                    }
                    Decoded::Char(c, len) if letters::is_name(c) => p += len,
                    Decoded::Cut => return Ok((p, false)),
                    _ => return refuse(Kind::NotWellFormed, p),
                }
            } else {
                break;
            }
        }
        // `colon` is never 0 when there is one: a first-level element begins with `<`.
        if self.colon != 0 {
            let local = b[self.colon + 1];
            if p == self.colon + 1 || (local < 0x80 && !is(local, NAME_START)) {
                return refuse(Kind::NotWellFormed, self.colon);
            }
        }
        Ok((p, true))
    }

    /// A reference at `p`; the position behind it, `None` if it has not been received.
    fn reference(&self, b: &[u8], p: usize) -> Result<Option<usize>, XmlError> {
        let end = b.len().min(p + REFERENCE_BYTES_MAX);
        let window = &b[p + 1..end];
        match window.iter().position(|c| !c.is_ascii_alphanumeric() && *c != b'#') {
            Some(n) if window[n] == b';' && chars::reference(&window[..n]).is_some() => Ok(Some(p + n + 2)),
            None if end < p + REFERENCE_BYTES_MAX => Ok(None),
            _ => refuse(Kind::NotWellFormed, p),
        }
    }

    /// A byte that is neither plain nor markup: white space, characters outside ASCII, or nothing
    /// that XML allows. The position behind them, and whether the last character is complete.
    #[inline]
    fn odd_char(&self, b: &[u8], mut p: usize) -> Result<(usize, bool), XmlError> {
        if is(b[p], SPACE) {
            return Ok((p + 1, true));
        }
        if b[p] < 0x80 {
            return refuse(Kind::NotWellFormed, p);
        }
        // Text outside ASCII comes in runs.
        while b.get(p).is_some_and(|&c| c >= 0x80) {
            match decode(b, p) {
                Decoded::Char(_, len) => p += len,
                Decoded::Cut => return Ok((p, false)),
                Decoded::Bad => return refuse(Kind::NotWellFormed, p),
            }
        }
        Ok((p, true))
    }

    /// `<!` has been read up to `p`, the `!`. Only CDATA goes on.
    fn declaration_or_cdata(&self, b: &[u8], p: usize) -> Result<Option<usize>, XmlError> {
        const CDATA: &[u8] = b"![CDATA[";
        match b.get(p + 1) {
            None => return Ok(None),
            Some(b'[') if !self.frames.is_empty() => {}
            Some(b'[') if self.opened => return refuse(Kind::BadFormat, p),
            Some(b'[') => return refuse(Kind::NotWellFormed, p),
            // RFC 6120 11.1: comments, DTD subsets, entity references.
            Some(b'-' | b'D') => return refuse(Kind::RestrictedXml, p),
            Some(_) => return refuse(Kind::NotWellFormed, p),
        }
        let have = &b[p..];
        if have.starts_with(CDATA) {
            Ok(Some(p + CDATA.len()))
        } else if CDATA.starts_with(have) {
            Ok(None)
        } else {
            refuse(Kind::NotWellFormed, p)
        }
    }

    /// `<?xml version='1.0' encoding='UTF-8'?>` at the very beginning (RFC 6120 11.5, 11.6): the
    /// position behind it, 0 if there is none, `None` if it has not been received.
    fn xml_declaration(&self, b: &[u8]) -> Result<Option<usize>, XmlError> {
        const OPEN: &[u8] = b"<?xml";
        let common = OPEN.iter().zip(b).take_while(|(x, y)| x == y).count();
        if common < OPEN.len() {
            return match common {
                // `<` alone may still become a declaration.
                0 | 1 if b.len() > common => Ok(Some(0)),
                n if b.len() == n => Ok(None),
                n => refuse(Kind::RestrictedXml, n),
            };
        }
        match b.get(OPEN.len()) {
            None => return Ok(None),
            Some(&c) if is(c, SPACE) => {}
            Some(_) => return refuse(Kind::RestrictedXml, OPEN.len()),
        }
        let window = b.get(..DECLARATION_BYTES_MAX).unwrap_or(b);
        let Some(end) = memchr::memmem::find(window, b"?>") else {
            return if window.len() < DECLARATION_BYTES_MAX { Ok(None) } else { refuse(Kind::NotWellFormed, window.len()) };
        };
        declared_attributes(&b[OPEN.len()..end]).map(|()| Some(end + 2)).map_err(|kind| XmlError { kind, at: OPEN.len() })
    }
}

/// The inside of an XML declaration: version, then perhaps encoding, then perhaps standalone.
fn declared_attributes(mut rest: &[u8]) -> Result<(), Kind> {
    let mut next = 0;
    loop {
        let spaced = rest.first().is_some_and(|&c| is(c, SPACE));
        rest = trim(rest);
        if rest.is_empty() {
            return if next > 0 { Ok(()) } else { Err(Kind::NotWellFormed) };
        }
        let equals = memchr::memchr(b'=', rest).ok_or(Kind::NotWellFormed)?;
        let name = &rest[..equals];
        let name = &name[..name.iter().rposition(|&c| !is(c, SPACE)).map_or(0, |n| n + 1)];
        let value = trim(&rest[equals + 1..]);
        let quote = *value.first().ok_or(Kind::NotWellFormed)?;
        if !spaced || (quote != b'"' && quote != b'\'') {
            return Err(Kind::NotWellFormed);
        }
        let close = memchr::memchr(quote, &value[1..]).ok_or(Kind::NotWellFormed)?;
        let text = &value[1..=close];
        next = match (next, name) {
            (0, b"version") if text == b"1.0" => 1,
            (1, b"encoding") if text.eq_ignore_ascii_case(b"utf-8") => 2,
            (1, b"encoding") if text.iter().all(u8::is_ascii_graphic) && !text.is_empty() => {
                return Err(Kind::UnsupportedEncoding);
            }
            (1 | 2, b"standalone") if text == b"yes" || text == b"no" => 3,
            _ => return Err(Kind::NotWellFormed),
        };
        rest = &value[close + 2..];
    }
}

fn trim(b: &[u8]) -> &[u8] {
    &b[b.iter().take_while(|&&c| is(c, SPACE)).count()..]
}
