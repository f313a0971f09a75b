//! Escaping and unescaping, with the normalisation XML 1.0 wants.

use std::borrow::Cow;

use super::chars;

/// Escapes character data.
pub fn escape_text(text: &str) -> Cow<'_, str> {
    escape(text, in_text)
}

/// Escapes an attribute value for either kind of quote.
pub fn escape_attr(value: &str) -> Cow<'_, str> {
    escape(value, in_attr)
}

/// Appends escaped character data.
pub fn push_text(text: &str, out: &mut Vec<u8>) {
    push(text, in_text, out);
}

/// Appends an escaped attribute value, without the quotes.
pub fn push_attr(value: &str, out: &mut Vec<u8>) {
    push(value, in_attr, out);
}

/// What to write instead of a character; `None`: the character itself. Characters XML cannot carry
/// become U+FFFD: a reference to them is as forbidden as they are.
fn in_text(c: char) -> Option<&'static str> {
    match c {
        '&' => Some("&amp;"),
        '<' => Some("&lt;"),
        // Only `]]>` needs it, but then it does.
        '>' => Some("&gt;"),
        // XML 1.0 section 2.11: a literal one would come out as a line feed.
        '\r' => Some("&#xD;"),
        '\t' | '\n' | ' '..='\u{FFFD}' | '\u{10000}'.. => None,
        _ => Some("\u{FFFD}"),
    }
}

fn in_attr(c: char) -> Option<&'static str> {
    match c {
        '"' => Some("&quot;"),
        '\'' => Some("&apos;"),
        // XML 1.0 section 3.3.3: literal ones would come out as spaces.
        '\t' => Some("&#x9;"),
        '\n' => Some("&#xA;"),
        _ => in_text(c),
    }
}

type Replace = fn(char) -> Option<&'static str>;

fn escape(text: &str, replace: Replace) -> Cow<'_, str> {
    match next(text, replace) {
        None => Cow::Borrowed(text),
        Some(_) => {
            let mut out = Vec::with_capacity(text.len() + text.len() / 8 + 16);
            push(text, replace, &mut out);
            // Only whole characters were copied.
            Cow::Owned(String::from_utf8_lossy(&out).into_owned())
        }
    }
}

fn push(mut text: &str, replace: Replace, out: &mut Vec<u8>) {
    while let Some((at, c, instead)) = next(text, replace) {
        out.extend_from_slice(&text.as_bytes()[..at]);
        out.extend_from_slice(instead.as_bytes());
        text = &text[at + c.len_utf8()..];
    }
    out.extend_from_slice(text.as_bytes());
}

fn next(text: &str, replace: Replace) -> Option<(usize, char, &'static str)> {
    let from = plain(text.as_bytes());
    text.get(from..)?.char_indices().find_map(|(at, c)| replace(c).map(|instead| (from + at, c, instead)))
}

/// How many bytes from the beginning stand for themselves in any place. A word of them at a time: they are all of nearly every value.
fn plain(bytes: &[u8]) -> usize {
    const STEP: usize = size_of::<u64>();
    let is_plain = |step: &[u8; STEP]| !any_special(u64::from_le_bytes(*step));
    let (steps, rest) = bytes.as_chunks::<STEP>();
    let all = steps.iter().take_while(|step| is_plain(step)).count();
    let mut last = [b' '; STEP];
    match bytes.last_chunk::<STEP>() {
        // Over bytes that were looked at already.
        Some(end) => last = *end,
        None => last.iter_mut().zip(rest).for_each(|(to, from)| *to = *from),
    }
    if all == steps.len() && is_plain(&last) {
        return bytes.len();
    }
    let (from, left) = (all * STEP, bytes.get(all * STEP..).unwrap_or_default());
    from + left.iter().position(|c| any_special(u64::from_le_bytes([*c; STEP]))).unwrap_or(left.len())
}

/// Is one of these eight bytes to be looked at? U+FFFE and U+FFFF, which begin with 0xEF, are the only forbidden characters above
/// U+001F. What a subtraction carries into the next byte it carries from one that is special.
fn any_special(word: u64) -> bool {
    const ONES: u64 = 0x0101_0101_0101_0101;
    let below = |word: u64, c: u8| word.wrapping_sub(ONES * u64::from(c)) & !word;
    let is = |word: u64, c: u8| below(word ^ (ONES * u64::from(c)), 1);
    // `&` and `'` differ in the lowest bit, `<` and `>` in the one above.
    let any = below(word, b' ') | is(word | ONES, b'\'') | is(word | ONES << 1, b'>') | is(word, b'"') | is(word, 0xEF);
    any & (ONES << 7) != 0
}

/// Unescapes character data or an attribute value as [`unescape_attr`] does.
pub fn unescape(value: &str) -> Cow<'_, str> {
    unescape_attr(value)
}

/// The value of an attribute as written: references resolved, white space normalised (XML 1.0
/// sections 2.11 and 3.3.3, CDATA type).
pub fn unescape_attr(value: &str) -> Cow<'_, str> {
    resolve(value, true)
}

/// Character data as written: references resolved, line ends normalised (XML 1.0 section 2.11).
pub fn unescape_text(text: &str) -> Cow<'_, str> {
    resolve(text, false)
}

/// The content of a CDATA section: line ends normalised, nothing resolved.
pub(super) fn line_ends(text: &str) -> Cow<'_, str> {
    if text.as_bytes().contains(&b'\r') {
        Cow::Owned(text.replace("\r\n", "\n").replace('\r', "\n"))
    } else {
        Cow::Borrowed(text)
    }
}

fn resolve(text: &str, attribute: bool) -> Cow<'_, str> {
    let special = |c: u8| c == b'&' || c == b'\r' || (attribute && (c == b'\n' || c == b'\t'));
    if !text.bytes().any(special) {
        return Cow::Borrowed(text);
    }
    let mut out = String::with_capacity(text.len());
    let mut rest = text;
    while let Some(at) = rest.bytes().position(special) {
        let (before, from) = rest.split_at(at);
        out.push_str(before);
        let len = match from.as_bytes() {
            [b'&', ..] => match reference(from) {
                Some((c, len)) => {
                    out.push(c);
                    len
                }
                // The scanner lets none through; kept as it is rather than guessed.
                None => {
                    out.push('&');
                    1
                }
            },
            [b'\r', b'\n', ..] => {
                out.push(if attribute { ' ' } else { '\n' });
                2
            }
            _ => {
                out.push(if attribute { ' ' } else { '\n' });
                1
            }
        };
        rest = from.get(len..).unwrap_or_default();
    }
    out.push_str(rest);
    Cow::Owned(out)
}

fn reference(text: &str) -> Option<(char, usize)> {
    let end = memchr::memchr(b';', text.as_bytes())?;
    let c = chars::reference(text.as_bytes().get(1..end)?)?;
    Some((c, end + 1))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn escaped_comes_back_unchanged() {
        for s in ["", "plain", "a<b>&\"'c", "\r\n\t x", "]]>", "ä€😀\u{FFFD}", "&amp;"] {
            assert_eq!(unescape_text(&escape_text(s)), s);
            assert_eq!(unescape_attr(&escape_attr(s)), s);
        }
    }

    #[test]
    fn what_xml_cannot_carry_is_replaced() {
        assert_eq!(escape_text("a\u{0}\u{8}\u{FFFE}\u{FFFF}b"), "a\u{FFFD}\u{FFFD}\u{FFFD}\u{FFFD}b");
    }

    #[test]
    fn xml_2_11_and_3_3_3_normalise_white_space() {
        assert_eq!(unescape_text("a\r\nb\rc\nd\te"), "a\nb\nc\nd\te");
        assert_eq!(unescape_attr("a\r\nb\rc\nd\te"), "a b c d e");
        assert_eq!(unescape_attr("&#xD;&#10;&#9;"), "\r\n\t");
        assert_eq!(unescape_text("&#x1F600;&lt;"), "😀<");
    }

    #[test]
    fn what_is_special_is_found_wherever_it_stands() {
        for len in 0..40 {
            for at in 0..len {
                let mut text = vec![b'x'; len];
                text[at] = b'<';
                let text = String::from_utf8(text).expect("ASCII");
                assert_eq!(escape_text(&text), text.replace('<', "&lt;"), "{text}");
            }
        }
    }

    #[test]
    fn exactly_the_special_bytes_are_looked_at_whatever_stands_beside_them() {
        for c in 0..=u8::MAX {
            let special = c < b' ' || b"&<>\"'\xEF".contains(&c);
            for beside in [b' ', b'x', 0x7F, 0x80, 0xFF] {
                for at in 0..8 {
                    let mut word = [beside; 8];
                    word[at] = c;
                    assert_eq!(any_special(u64::from_le_bytes(word)), special, "{c:#x} at {at} beside {beside:#x}");
                }
            }
        }
    }

    #[test]
    fn plain_text_is_borrowed() {
        assert!(matches!(escape_text("ümlaut and plain"), Cow::Borrowed(_)));
        assert!(matches!(unescape_attr("a@b/c"), Cow::Borrowed(_)));
    }
}
