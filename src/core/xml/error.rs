//! Why a stream was refused, and what RFC 6120 calls it.

use std::fmt;

/// What was wrong, one variant per stream error condition of RFC 6120 4.9.3 that XML can cause.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum XmlErrorKind {
    /// Not XML 1.0, or not namespace-well-formed (4.9.3.13).
    NotWellFormed,
    /// Comment, processing instruction, DTD (4.9.3.18, 11.1); an id of the document (`xml:id`), which is a thing of DTDs.
    RestrictedXml,
    /// A limit of [`XmlLimits`](super::XmlLimits) was passed (4.9.3.14).
    PolicyViolation,
    /// An XML declaration that names another encoding than UTF-8 (4.9.3.22, 11.6).
    UnsupportedEncoding,
    /// The stream header lacks the prefix `stream`, or a stanza has one (4.9.3.2).
    BadNamespacePrefix,
    /// The streams namespace is not the one RFC 6120 4.8.1 names, or a namespace name holds
    /// characters that no URI has (4.9.3.10).
    InvalidNamespace,
    /// XML, but not what a stream may consist of: text between stanzas, another root (4.9.3.1).
    BadFormat,
}

/// A refusal: fatal for the stream it came from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct XmlError {
    /// What was wrong.
    pub kind: XmlErrorKind,
    /// Where, in bytes from the beginning of the element (or of the stream header). For the log
    /// only: never tell a peer, it would reflect his input.
    pub at: usize,
}

impl XmlError {
    /// The condition's element name in `urn:ietf:params:xml:ns:xmpp-streams`.
    pub fn condition(&self) -> &'static str {
        match self.kind {
            XmlErrorKind::NotWellFormed => "not-well-formed",
            XmlErrorKind::RestrictedXml => "restricted-xml",
            XmlErrorKind::PolicyViolation => "policy-violation",
            XmlErrorKind::UnsupportedEncoding => "unsupported-encoding",
            XmlErrorKind::BadNamespacePrefix => "bad-namespace-prefix",
            XmlErrorKind::InvalidNamespace => "invalid-namespace",
            XmlErrorKind::BadFormat => "bad-format",
        }
    }
}

impl fmt::Display for XmlError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} at byte {}", self.condition(), self.at)
    }
}

impl std::error::Error for XmlError {}

/// Shorthand for the scanner's many refusals.
#[cold]
pub(super) fn refuse<T>(kind: XmlErrorKind, at: usize) -> Result<T, XmlError> {
    Err(XmlError { kind, at })
}
