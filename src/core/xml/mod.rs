//! XML for XMPP: one strict scanner, immutable stanzas, views and writers over exact bytes.
//!
//! A stream's bytes are looked at once, by [`Scanner`], which cuts out the first-level elements
//! (RFC 6120 4.1) and refuses everything RFC 6120 11.1 forbids and everything two parsers could
//! read differently. What it lets through is a [`Stanza`]: the bytes as received, the head and the
//! ranges of the children. Nothing is rebuilt on the way; [`render`] writes the start tag anew and
//! copies the rest.
//!
//! Nothing here does IO, knows a clock or holds a global.

pub mod build;
mod chars;
mod declare;
pub mod el;
pub mod error;
pub mod escape;
mod framer;
mod letters;
pub mod limits;
pub mod names;
pub mod payload;
pub mod scan;
pub mod stanza;
mod tags;
mod walk;
pub mod wire;

#[cfg(test)]
mod tests;

pub use build::Build;
pub use el::El;
pub use error::{XmlError, XmlErrorKind};
pub use escape::{escape_attr, escape_text, push_attr, push_text, unescape, unescape_attr, unescape_text};
pub use limits::XmlLimits;
pub use names::{NameId, NameTable};
pub use payload::{PayloadError, to_bytes, try_to_bytes};
pub use scan::{Scanned, Scanner, StreamHeader};
pub use stanza::{Child, Kind, Stanza, StanzaType};
pub use wire::{Hold, Stamps, StanzaId, Strip, Wire, render, render_forwarded};

/// Namespaces the XML core itself has to know. All others belong to the rooms.
pub mod ns {
    /// Content namespace of client streams, RFC 6120 4.8.2.
    pub const CLIENT: &str = "jabber:client";
    /// Content namespace of server streams, RFC 6120 4.8.2.
    pub const SERVER: &str = "jabber:server";
    /// Content namespace of component streams, XEP-0114.
    pub const COMPONENT: &str = "jabber:component:accept";
    /// RFC 6120 4.8.1.
    pub const STREAMS: &str = "http://etherx.jabber.org/streams";
    /// Bound to the prefix `xml` by definition, Namespaces in XML 1.0 section 3.
    pub const XML: &str = "http://www.w3.org/XML/1998/namespace";
    /// Bound to the prefix `xmlns` by definition, Namespaces in XML 1.0 section 3.
    pub const XMLNS: &str = "http://www.w3.org/2000/xmlns/";
    /// XEP-0359.
    pub const SID: &str = "urn:xmpp:sid:0";
    /// XEP-0085.
    pub const CHAT_STATES: &str = "http://jabber.org/protocol/chatstates";
}
