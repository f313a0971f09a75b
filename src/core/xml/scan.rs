//! The door: bytes of a stream in, stream header and first-level elements out.
//!
//! What comes out is a function of the bytes alone, never of how they were cut into packets: every
//! byte is looked at once, in order, and a refusal is found at the same byte.

use std::sync::Arc;

use super::error::refuse;
pub use super::error::{XmlError, XmlErrorKind};
use super::framer::{Framer, Step};
pub use super::limits::XmlLimits;
use super::names::NameTable;
use super::stanza::{Inherited, Stanza};

/// What one look at the buffer found.
#[derive(Debug)]
pub enum Scanned {
    /// No complete element yet.
    NeedMore {
        /// White space (keep-alives, RFC 6120 4.6.1) at the beginning of the buffer, in bytes. The
        /// scanner has moved its origin behind it, so the caller must drop exactly that much.
        skipped: usize,
    },
    /// The stream header.
    Open {
        /// Bytes to drop from the buffer.
        consumed: usize,
        /// What it said.
        header: Box<StreamHeader>,
    },
    /// A first-level element: a stanza or a nonza.
    Stanza {
        /// Bytes to drop from the buffer, leading white space included.
        consumed: usize,
        /// The element.
        stanza: Stanza,
    },
    /// `</stream:stream>`. Nothing but white space is accepted after it.
    Close {
        /// Bytes to drop from the buffer.
        consumed: usize,
    },
}

/// The attributes of a stream header, unescaped (RFC 6120 4.7).
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct StreamHeader {
    /// `to`
    pub to: Option<String>,
    /// `from`
    pub from: Option<String>,
    /// `id`
    pub id: Option<String>,
    /// `version`
    pub version: Option<String>,
    /// `xml:lang`
    pub lang: Option<String>,
    /// The default namespace, empty if there is none. Whether it is the right content namespace
    /// (RFC 6120 4.8.2) is the negotiator's business.
    pub default_ns: String,
    /// The prefix `stream` is bound to `http://etherx.jabber.org/streams`. Always so: a header
    /// without is refused.
    pub stream_ns_ok: bool,
    /// Declared prefixes and their namespaces, usable by every first-level element.
    pub prefixes: Vec<(String, String)>,
}

/// A resumable strict scanner for one direction of one stream.
pub struct Scanner {
    names: Arc<NameTable>,
    framer: Framer,
    failed: Option<XmlError>,
}

impl Scanner {
    /// A scanner that expects a stream header (RFC 6120 4.7).
    pub fn new(limits: XmlLimits, names: Arc<NameTable>) -> Self {
        Self { names, framer: Framer::stream(limits), failed: None }
    }

    /// A scanner without stream header: each top-level element stands for itself and declares its
    /// own namespaces (WebSocket, RFC 7395 3.3).
    pub fn for_fragments(limits: XmlLimits, names: Arc<NameTable>) -> Self {
        Self { names, framer: Framer::fragments(limits), failed: None }
    }

    /// What an `<open/>` says instead of a stream header: the language of elements that have none (RFC 7395 3.3.1).
    pub fn set_header(&mut self, header: &StreamHeader) {
        self.framer.inherited = Some(Arc::new(Inherited::from_header(header)));
    }

    /// New limits from the next byte on, for example after authentication.
    pub fn set_limits(&mut self, limits: XmlLimits) {
        self.framer.limits = limits;
    }

    /// The limits in force.
    pub fn limits(&self) -> XmlLimits {
        self.framer.limits
    }

    /// Stream restart (RFC 6120 4.3.3): a new header is expected, nothing is remembered.
    pub fn reset(&mut self) {
        self.framer.reset();
        self.failed = None;
    }

    /// Gives scratch memory back; for a connection that has nothing to say. Nothing is lost.
    pub fn park(&mut self) {
        self.framer.park();
    }

    /// Whether an element has begun and not ended: what a deadline for slow senders asks.
    pub fn mid_element(&self) -> bool {
        self.framer.mid_element()
    }

    /// Bytes looked at so far, second looks included: proof that the work is linear.
    pub fn bytes_looked_at(&self) -> u64 {
        self.framer.work
    }

    /// Looks for the next element. `buf` is everything received and not yet consumed: the same
    /// beginning as at the last call, only ever appended to.
    ///
    /// After an error the stream is over: the same error comes back until [`Scanner::reset`].
    pub fn scan(&mut self, buf: &[u8]) -> Result<Scanned, XmlError> {
        if let Some(error) = self.failed {
            return Err(error);
        }
        let result = self.next(buf);
        if let Err(error) = &result {
            self.failed = Some(*error);
            self.framer.park();
        }
        result
    }

    fn next(&mut self, buf: &[u8]) -> Result<Scanned, XmlError> {
        let skipped = self.framer.leading_space(buf);
        let b = buf.get(skipped..).unwrap_or_default();
        let max = self.framer.size_max();
        // Looking no further than the limit makes the answer independent of how much is buffered.
        let cut = b.get(..max).unwrap_or(b);
        match self.framer.run(&self.names, cut)? {
            Step::More if b.len() > max => refuse(XmlErrorKind::PolicyViolation, max),
            Step::More => Ok(Scanned::NeedMore { skipped }),
            Step::Header(len, header) => Ok(Scanned::Open { consumed: skipped + len, header }),
            Step::Element(len, stanza) => Ok(Scanned::Stanza { consumed: skipped + len, stanza }),
            Step::Close(len) => Ok(Scanned::Close { consumed: skipped + len }),
        }
    }
}

impl Stanza {
    /// Reads one element this server wrote itself or stored: the default namespace is
    /// `jabber:client` unless the element says otherwise, and nothing may follow it.
    pub fn parse(bytes: &[u8], names: &NameTable) -> Result<Stanza, XmlError> {
        let mut framer = Framer::own(XmlLimits::OWN);
        match framer.run(names, bytes)? {
            Step::Element(len, stanza) if len == bytes.len() => Ok(stanza),
            Step::Element(len, _) => refuse(XmlErrorKind::NotWellFormed, len),
            _ => refuse(XmlErrorKind::NotWellFormed, bytes.len()),
        }
    }

    /// The same, ready to be shared between entities.
    pub fn parse_shared(bytes: &[u8], names: &NameTable) -> Result<Arc<Stanza>, XmlError> {
        Self::parse(bytes, names).map(Arc::new)
    }
}
