//! How much XML one stream may bring at a time.

/// Limits of one stream. Sizes are in bytes of the wire, counts are per first-level element.
///
/// RFC 6120 13.12 asks for at least 10,000 bytes once a peer has authenticated; what is enforced
/// here is what XEP-0478 advertises.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct XmlLimits {
    /// From `<` to the last `>` of a first-level element.
    pub stanza_size_bytes_max: usize,
    /// XML declaration and stream header together.
    pub header_size_bytes_max: usize,
    /// Nesting; the first-level element itself is depth 1.
    pub depth_max: u16,
    /// Elements in one first-level element, itself included.
    pub elements_max: u32,
    /// Attributes and namespace declarations of one start tag.
    pub attributes_max: u16,
}

/// Longest qualified name or namespace name, in bytes. Real ones stay below 100.
pub(super) const NAME_BYTES_MAX: usize = 1024;

/// Namespace declarations in scope at one point: with this bound a prefix look-up is constant work.
pub(super) const DECLARATIONS_IN_SCOPE_MAX: usize = 256;

impl XmlLimits {
    /// Before authentication.
    pub const PRE_AUTH: Self = Self {
        stanza_size_bytes_max: 8 * 1024,
        header_size_bytes_max: 8 * 1024,
        depth_max: 64,
        elements_max: 64,
        attributes_max: 64,
    };

    /// An authenticated client.
    pub const C2S: Self = Self { stanza_size_bytes_max: 256 * 1024, elements_max: 25_000, ..Self::PRE_AUTH };

    /// An authenticated server.
    pub const S2S: Self = Self { stanza_size_bytes_max: 512 * 1024, ..Self::C2S };

    /// What this server writes itself: a wrapped, forwarded stanza is deeper and larger than any
    /// stanza that may come in, and a roster or an archive page larger still.
    pub const OWN: Self = Self {
        stanza_size_bytes_max: 16 * 1024 * 1024,
        header_size_bytes_max: 8 * 1024,
        depth_max: 96,
        elements_max: 1_000_000,
        attributes_max: 256,
    };
}
