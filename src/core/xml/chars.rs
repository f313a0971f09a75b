//! Which bytes and characters XML 1.0 (fifth edition) and XMPP allow, where.

/// An ASCII byte that may begin a name (`:` is handled apart).
pub(super) const NAME_START: u8 = 1;
/// An ASCII byte that may go on in a name (`:` is handled apart).
pub(super) const NAME: u8 = 2;
/// `S` of XML 1.0 section 2.3.
pub(super) const SPACE: u8 = 4;
/// An ASCII byte that is character data and nothing else.
pub(super) const PLAIN_TEXT: u8 = 8;
/// An ASCII byte that is attribute value and nothing else, whatever the quote.
pub(super) const PLAIN_VALUE: u8 = 16;

/// A byte that may stand in a namespace name, see [`is_namespace_name`].
const URI: u8 = 32;

pub(super) static CLASS: [u8; 256] = classes();

const fn classes() -> [u8; 256] {
    let mut t = [0u8; 256];
    let mut i = 0x20;
    while i < 0x80 {
        let b = i as u8;
        if b.is_ascii_alphabetic() || b == b'_' {
            t[i] |= NAME_START | NAME;
        }
        if b.is_ascii_digit() || b == b'-' || b == b'.' {
            t[i] |= NAME;
        }
        // U+007F is discouraged but a Char (XML 1.0 section 2.2).
        if b != b'<' && b != b'&' && b != b']' {
            t[i] |= PLAIN_TEXT;
        }
        if b != b'<' && b != b'&' && b != b'"' && b != b'\'' {
            t[i] |= PLAIN_VALUE;
        }
        if !matches!(b, b' ' | b'<' | b'>' | b'"' | b'{' | b'}' | b'|' | b'\\' | b'^' | b'`' | b'&' | b'[' | b']' | 0x7F) {
            t[i] |= URI;
        }
        i += 1;
    }
    t[b' ' as usize] |= SPACE;
    t[b'\t' as usize] = SPACE | PLAIN_TEXT;
    t[b'\n' as usize] = SPACE | PLAIN_TEXT;
    t[b'\r' as usize] = SPACE | PLAIN_TEXT;
    t
}

#[inline(always)]
pub(super) fn is(b: u8, class: u8) -> bool {
    CLASS[usize::from(b)] & class != 0
}

/// The same byte eight times.
const fn all(b: u8) -> u64 {
    u64::from_le_bytes([b; 8])
}

/// High bit of each byte that is below 0x20, above 0x7F or one of three; exact up to and including
/// the lowest such byte. In bytes below 0x80 no addition carries, and from a byte above carries only
/// reach bytes behind it.
#[inline(always)]
const fn stops(w: u64, x: u8, y: u8, z: u8) -> u64 {
    let no_control = w.wrapping_add(all(0x60));
    let not_x = (w ^ all(x)).wrapping_add(all(0x7F));
    let not_y = (w ^ all(y)).wrapping_add(all(0x7F));
    let not_z = (w ^ all(z)).wrapping_add(all(0x7F));
    (!(no_control & not_x & not_y & not_z) | w) & all(0x80)
}

/// First position from `p` on that is not plain character data.
#[inline(always)]
pub(super) fn skip_text(b: &[u8], mut p: usize) -> usize {
    while let Some(chunk) = b.get(p..).and_then(|rest| rest.first_chunk::<8>()) {
        let w = u64::from_le_bytes(*chunk);
        let stop = stops(w, b'<', b'&', b']');
        if stop == 0 {
            p += 8;
            continue;
        }
        p += (stop.trailing_zeros() / 8) as usize;
        match b.get(p) {
            Some(&c) if is(c, PLAIN_TEXT) => p += 1,
            _ => return p,
        }
    }
    while let Some(&c) = b.get(p)
        && is(c, PLAIN_TEXT)
    {
        p += 1;
    }
    p
}

/// First position from `p` on that is not plain attribute value.
#[inline(always)]
pub(super) fn skip_value(b: &[u8], mut p: usize, quote: u8) -> usize {
    while let Some(chunk) = b.get(p..).and_then(|rest| rest.first_chunk::<8>()) {
        let w = u64::from_le_bytes(*chunk);
        let stop = stops(w, b'<', b'&', quote);
        if stop == 0 {
            p += 8;
            continue;
        }
        return p + (stop.trailing_zeros() / 8) as usize;
    }
    while let Some(&c) = b.get(p)
        && is(c, PLAIN_VALUE)
    {
        p += 1;
    }
    p
}

/// One character outside ASCII.
pub(super) enum Decoded {
    /// The code point and its length in bytes.
    Char(u32, usize),
    /// A correct beginning; the rest has not been received.
    Cut,
    /// Not UTF-8 (RFC 3629) or not a Char (XML 1.0 section 2.2).
    Bad,
}

/// Decodes the character at `p`, which must not be ASCII. Strict: no overlong forms, no surrogates,
/// nothing above U+10FFFF, no U+FFFE and U+FFFF.
pub(super) fn decode(b: &[u8], p: usize) -> Decoded {
    let Some(&lead) = b.get(p) else {
        return Decoded::Cut;
    };
    // Allowed range of the second byte: RFC 3629 section 4.
    let (len, low, high) = match lead {
        0xC2..=0xDF => (2, 0x80, 0xBF),
        0xE0 => (3, 0xA0, 0xBF),
        0xE1..=0xEC | 0xEE..=0xEF => (3, 0x80, 0xBF),
        0xED => (3, 0x80, 0x9F),
        0xF0 => (4, 0x90, 0xBF),
        0xF1..=0xF3 => (4, 0x80, 0xBF),
        0xF4 => (4, 0x80, 0x8F),
        _ => return Decoded::Bad,
    };
    let mut c = u32::from(lead) & (0x7F >> len);
    for i in 1..len {
        let Some(&next) = b.get(p + i) else {
            return Decoded::Cut;
        };
        let fits = if i == 1 { low <= next && next <= high } else { next & 0xC0 == 0x80 };
        if !fits {
            return Decoded::Bad;
        }
        c = (c << 6) | u32::from(next & 0x3F);
    }
    if c == 0xFFFE || c == 0xFFFF {
        return Decoded::Bad;
    }
    Decoded::Char(c, len)
}

/// Char, XML 1.0 section 2.2.
pub(super) fn is_char(c: u32) -> bool {
    matches!(c, 0x9 | 0xA | 0xD | 0x20..=0xD7FF | 0xE000..=0xFFFD | 0x10000..=0x10FFFF)
}

/// Whether these bytes may be a namespace name. Namespace names are URIs (Namespaces in XML 1.0
/// section 2.1), so white space and the characters RFC 3986 excludes cannot occur, and a parser that
/// uses one of them to separate namespace and local name (CVE-2022-25236) is not led astray.
/// References are legal but never needed, and two parsers disagree about them easily: refused.
///
/// And it has the shape of a URI or a relative reference (RFC 3986 4.1), because libxml2 ends its document at one that has not. No IRI: it
/// would not be the same name for everybody. Nor an address in brackets, which nothing is named by.
pub(super) fn is_namespace_name(uri: &[u8]) -> bool {
    uri.iter().all(|&b| is(b, URI)) && has_shape(uri)
}

fn has_shape(uri: &[u8]) -> bool {
    let (uri, fragment) = cut(uri, b'#').unwrap_or((uri, &[]));
    let first = uri.iter().position(|b| matches!(b, b'/' | b'?')).unwrap_or(uri.len());
    let (scheme, rest) = match uri.iter().take(first).position(|&b| b == b':') {
        Some(at) => (uri.get(..at), uri.get(at + 1..).unwrap_or_default()),
        None => (None, uri),
    };
    let is_scheme = |name: &[u8]| {
        name.first().is_some_and(u8::is_ascii_alphabetic)
            && name.iter().all(|b| b.is_ascii_alphanumeric() || matches!(b, b'+' | b'-' | b'.'))
    };
    let is_authority = |rest: &[u8]| {
        let end = rest.iter().position(|b| matches!(b, b'/' | b'?')).unwrap_or(rest.len());
        let authority = rest.get(..end).unwrap_or_default();
        let (_, host) = cut(authority, b'@').unwrap_or((&[], authority));
        // libxml2 wants digits behind the colon, RFC 3986 does not insist.
        let is_port = |(_, port): (&[u8], &[u8])| !port.is_empty() && port.iter().all(u8::is_ascii_digit);
        !host.contains(&b'@') && cut(host, b':').is_none_or(is_port)
    };
    scheme.is_none_or(is_scheme)
        && rest.strip_prefix(b"//").is_none_or(is_authority)
        && !fragment.contains(&b'#')
        && [uri, fragment].iter().all(|part| has_whole_escapes(part))
}

fn cut(text: &[u8], at: u8) -> Option<(&[u8], &[u8])> {
    let at = memchr::memchr(at, text)?;
    Some((text.get(..at)?, text.get(at + 1..)?))
}

/// `%` and two digits.
fn has_whole_escapes(text: &[u8]) -> bool {
    let is_whole = |at: usize| text.get(at + 1..at + 3).is_some_and(|digits| digits.iter().all(u8::is_ascii_hexdigit));
    memchr::memchr_iter(b'%', text).all(is_whole)
}

/// The character a reference `&name;` stands for; `name` is what lies between `&` and `;`.
/// Only the five of XML 1.0 section 4.6 and characters exist: RFC 6120 11.1 forbids all others.
pub(super) fn reference(name: &[u8]) -> Option<char> {
    let c = match name {
        b"lt" => '<',
        b"gt" => '>',
        b"amp" => '&',
        b"quot" => '"',
        b"apos" => '\'',
        [b'#', b'x', digits @ ..] => number(digits, 16)?,
        [b'#', digits @ ..] => number(digits, 10)?,
        _ => return None,
    };
    Some(c)
}

fn number(digits: &[u8], radix: u32) -> Option<char> {
    if digits.is_empty() {
        return None;
    }
    let mut c = 0u32;
    for &d in digits {
        c = c.checked_mul(radix)?.checked_add(char::from(d).to_digit(radix)?)?;
    }
    if is_char(c) { char::from_u32(c) } else { None }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a7_a_namespace_name_is_a_uri() {
        let good = [
            "jabber:client",
            "vcard-temp",
            "storage:bookmarks",
            "http://jabber.org/protocol/muc#user",
            "urn:xmpp:mam:2",
            "urn:x:%41~b",
            "eu.siacs.conversations.axolotl",
            "http://a@b.example:80/x?y=z:1#?/",
            "x/y:z",
            "//host/x",
            "mailto:a@b",
            "google:mail:notify",
        ];
        for uri in good {
            assert!(is_namespace_name(uri.as_bytes()), "{uri}");
        }
        let bad = [
            "::urn:x",
            ":x",
            "-urn:2",
            "1a:b",
            "urn:é",
            "urn:\u{2028}",
            "http;://a",
            "urn:x#y#z",
            "urn:%4",
            "urn:%zz",
            "http://a:b/c",
            "http://a@b@c/",
            "http://[::1]/",
            "urn: x",
            "urn:x}",
            "a b",
        ];
        for uri in bad {
            assert!(!is_namespace_name(uri.as_bytes()), "{uri}");
        }
    }

    /// Eight bytes at a time find what one byte at a time finds, for every byte at every place.
    #[test]
    fn runs_end_at_the_first_byte_that_is_not_plain() {
        for byte in 0..=255u8 {
            for place in 0..20 {
                for behind in [b'a', 0xFF, b'<', 0] {
                    let mut text = [b'x'; 24];
                    text[place] = byte;
                    text[place + 1] = behind;
                    let end = text.iter().position(|&c| !is(c, PLAIN_TEXT)).unwrap_or(24);
                    assert_eq!(skip_text(&text, 0), end, "{byte:x} at {place}");
                    // The other quote, tab and line ends may stop it or not; the caller looks again.
                    let stop = skip_value(&text, 0, b'"');
                    let hard = text.iter().position(|&c| !is(c, PLAIN_VALUE)).unwrap_or(24);
                    assert!(stop >= hard, "{byte:x} at {place}");
                    assert!(text[..stop].iter().all(|&c| is(c, PLAIN_VALUE) || c == b'\''), "{byte:x} at {place}");
                }
            }
        }
    }

    #[test]
    fn namespace_names_are_uris() {
        assert!(is_namespace_name(b"http://jabber.org/protocol/caps#x?y=%20'(a)*"));
        for bad in [" ", "\t", "\n", "\x0c", "\x1f", "\x7f", "<", ">", "\"", "{", "}", "|", "\\", "^", "`", "&amp;"] {
            assert!(!is_namespace_name(bad.as_bytes()), "{bad}");
        }
    }
}
