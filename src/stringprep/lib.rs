//! How addresses and passwords are prepared: stringprep (RFC 3454) with the profiles of RFC 6122 and RFC 4013.
//!
//! The crate `jid` asks the crate `stringprep`, and `[patch.crates-io]` of the workspace puts this one in its place, for one reason. Stringprep
//! knows the Unicode of 2002 and refuses what has come since. For names of accounts and domains that is as good a rule as any; but a
//! resource is also what people call themselves in a room, and many do so with an emoji. RFC 7622 3.4 (OpaqueString, of the FreeformClass of
//! RFC 8264 4.3) lets them. So younger letters, marks, digits, punctuation and symbols are let through in resources, and all else is as it
//! was, NFKC and the rule for both directions too: what is prepared like this is prepared for who follows RFC 7622 as well.
//!
//! Held against that crate (0.1.5) over all code points, alone and beside others: the same, but for what this one is there for.

mod unassigned;

use std::borrow::Cow;
use std::fmt;

use caseless::Caseless;
use unicode_bidi::{BidiClass, bidi_class};
use unicode_normalization::UnicodeNormalization;
use unicode_properties::{GeneralCategoryGroup, UnicodeGeneralCategory};

use unassigned::is_unassigned;

/// Why a text cannot be prepared.
#[derive(Debug)]
pub enum Error {
    /// This may not be in it (section 5), or nobody knows yet what it is (section 7).
    Prohibited(char),
    /// Letters of both directions are mixed (section 6).
    Directions,
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Error::Prohibited(c) => write!(f, "the character {c:?} is not allowed"),
            Error::Directions => f.write_str("letters of both directions are mixed"),
        }
    }
}

impl std::error::Error for Error {}

/// A domain (RFC 3491).
///
/// # Errors
/// It cannot be one.
pub fn nameprep(text: &str) -> Result<Cow<'_, str>, Error> {
    if text.bytes().all(|b| matches!(b, b'a'..=b'z' | b'0'..=b'9' | b'.' | b'-')) {
        return Ok(text.into());
    }
    finished(folded(text), |c| is_prohibited(c) || is_unassigned(c))
}

/// The local part of an address (RFC 6122 Appendix A).
///
/// # Errors
/// It cannot be one.
pub fn nodeprep(text: &str) -> Result<Cow<'_, str>, Error> {
    let is_plain = |b: u8| matches!(b, b'!' | b'#'..=b'%' | b'('..=b'.' | b'0'..=b'9' | b';' | b'=' | b'?' | b'['..=b'~');
    if text.bytes().all(is_plain) {
        return Ok(text.into());
    }
    // A.5: white space, controls, and what an address or XML has its own use for.
    let is_separator =
        |c: char| c == ' ' || c.is_ascii_control() || matches!(c, '"' | '&' | '\'' | '/' | ':' | '<' | '>' | '@');
    finished(folded(text), |c| is_separator(c) || is_prohibited(c) || is_unassigned(c))
}

/// A resource (RFC 6122 Appendix B), with what Unicode has got since.
///
/// # Errors
/// It cannot be one.
pub fn resourceprep(text: &str) -> Result<Cow<'_, str>, Error> {
    if text.bytes().all(|b| matches!(b, b' '..=b'~')) {
        return Ok(text.into());
    }
    let mapped = text.chars().filter(|c| !is_nothing(*c)).nfkc().collect();
    finished(mapped, |c| c.is_ascii_control() || is_prohibited(c) || (is_unassigned(c) && !is_younger(c)))
}

/// A password or the name that is said with it (RFC 4013).
///
/// # Errors
/// It cannot be one.
pub fn saslprep(text: &str) -> Result<Cow<'_, str>, Error> {
    if text.bytes().all(|b| b.is_ascii() && !b.is_ascii_control()) {
        return Ok(text.into());
    }
    let mapped = text.chars().map(|c| if is_space(c) { ' ' } else { c }).filter(|c| !is_nothing(*c)).nfkc().collect();
    finished(mapped, |c| c.is_ascii_control() || is_prohibited(c) || is_unassigned(c))
}

/// Tables B.1 and B.2, then NFKC (section 4).
fn folded(text: &str) -> String {
    text.chars().filter(|c| !is_nothing(*c)).flat_map(fold).nfkc().collect()
}

/// Table B.2: once for the letter, once more for what NFKC makes of it. Unicode 3.2 knew no other case of some letters.
fn fold(c: char) -> Vec<char> {
    let twice = |c: char| -> Vec<char> {
        let once: String = std::iter::once(c).default_case_fold().nfkc().collect();
        once.chars().default_case_fold().nfkc().collect()
    };
    if is_unassigned(c) {
        return vec![c];
    }
    let folded = twice(c);
    let has_changed = folded.iter().copied().ne(std::iter::once(c).nfkc());
    if folded.iter().any(|c| is_unassigned(*c)) || !has_changed { vec![c] } else { folded }
}

fn finished<'a>(prepared: String, is_refused: impl Fn(char) -> bool) -> Result<Cow<'a, str>, Error> {
    if let Some(c) = prepared.chars().find(|c| is_refused(*c)) {
        return Err(Error::Prohibited(c));
    }
    if has_one_direction(&prepared) { Ok(prepared.into()) } else { Err(Error::Directions) }
}

/// Section 6.
fn has_one_direction(text: &str) -> bool {
    let from_the_right = |c: char| matches!(bidi_class(c), BidiClass::R | BidiClass::AL);
    if !text.contains(from_the_right) {
        return true;
    }
    let ends = [text.chars().next(), text.chars().next_back()];
    !text.contains(|c| bidi_class(c) == BidiClass::L) && ends.into_iter().flatten().all(from_the_right)
}

/// Table B.1.
fn is_nothing(c: char) -> bool {
    matches!(c,
        '\u{ad}' | '\u{34f}' | '\u{1806}' | '\u{180b}'..='\u{180d}' | '\u{200b}'..='\u{200d}' | '\u{2060}' | '\u{fe00}'..='\u{fe0f}'
        | '\u{feff}')
}

/// Table C.1.2.
fn is_space(c: char) -> bool {
    matches!(c, '\u{a0}' | '\u{1680}' | '\u{2000}'..='\u{200b}' | '\u{202f}' | '\u{205f}' | '\u{3000}')
}

/// Tables C.1.2 to C.9, but for ASCII.
fn is_prohibited(c: char) -> bool {
    // C.2.2: controls; C.3: for private use; C.4: no characters; C.6: not for plain text; C.7: descriptions of ideographs;
    // C.8: directions, and what is deprecated; C.9: tags.
    is_space(c)
        || u32::from(c) & 0xFFFE == 0xFFFE
        || matches!(c,
            '\u{80}'..='\u{9f}' | '\u{6dd}' | '\u{70f}' | '\u{180e}' | '\u{200c}' | '\u{200d}' | '\u{2028}' | '\u{2029}'
            | '\u{2060}'..='\u{2063}' | '\u{206a}'..='\u{206f}' | '\u{feff}' | '\u{fff9}'..='\u{fffd}' | '\u{1d173}'..='\u{1d17a}'
            | '\u{e000}'..='\u{f8ff}' | '\u{f0000}'..='\u{10ffff}'
            | '\u{fdd0}'..='\u{fdef}'
            | '\u{2ff0}'..='\u{2ffb}'
            | '\u{340}' | '\u{341}' | '\u{200e}' | '\u{200f}' | '\u{202a}'..='\u{202e}'
            | '\u{e0001}' | '\u{e0020}'..='\u{e007f}')
}

/// What Unicode 3.2 does not know and RFC 8264 4.3.1 lets be: nothing that is unassigned still, controls, spaces, or cannot be seen.
fn is_younger(c: char) -> bool {
    use GeneralCategoryGroup::{Letter, Mark, Number, Punctuation, Symbol};
    // Default_Ignorable_Code_Point among marks: selectors of variants.
    let is_invisible = matches!(c, '\u{180f}' | '\u{e0100}'..='\u{e01ef}');
    matches!(c.general_category_group(), Letter | Mark | Number | Punctuation | Symbol) && !is_invisible
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(text: &str) -> Option<String> {
        resourceprep(text).ok().map(Cow::into_owned)
    }

    #[test]
    fn rfc7622_3_4_a_nickname_may_have_an_emoji() {
        for name in ["Al 😀", "😀", "Zoë 🎉🎉", "🇮🇹", "👍🏽", "ꟿ", "Ɀ", "𞤀", "₿"] {
            assert_eq!(of(name).as_deref(), Some(name), "{name:?}");
        }
        // Joiners and selectors are nothing, as they have always been.
        assert_eq!(of("👩\u{200d}🚀\u{fe0f}").as_deref(), Some("👩🚀"));
        assert!(nodeprep("al😀").is_err() && saslprep("al😀").is_err() && nameprep("al😀").is_err());
    }

    #[test]
    fn c9_what_cannot_be_seen_or_is_nothing_yet_is_still_refused() {
        let odd = [
            "a\u{2066}b",
            "a\u{2069}",
            "a\u{180f}",
            "a\u{e0101}",
            "a\u{e0041}",
            "a\u{378}",
            "a\u{e000}",
            "a\u{fffe}",
            "a\u{1bca0}",
            "a\u{206a}",
            "😀\u{0}",
            "😀\u{2028}",
            "😀\u{7f}",
            "é\u{7}",
        ];
        for odd in odd {
            assert_eq!(of(odd), None, "{odd:?}");
        }
    }

    #[test]
    fn rfc3454_6_two_directions_in_one_name_are_refused_with_emoji_too() {
        assert_eq!(of("שלום").as_deref(), Some("שלום"));
        for mixed in ["שלום a 😀 ש", "😀 שלום", "שלום 😀"] {
            assert_eq!(of(mixed), None, "{mixed:?}");
        }
    }

    #[test]
    fn rfc3454_3_2_case_is_folded_and_compatible_forms_are_one() {
        for (said, meant) in [
            ("JULIET", "juliet"),
            ("Straße", "strasse"),
            ("ΣΑΣ", "σασ"),
            ("Ⅸ", "ix"),
            ("ﬁ", "fi"),
            ("Ａ", "a"),
            ("㎒", "mhz"),
            ("ϒ\u{301}", "ύ"),
        ] {
            assert_eq!(nodeprep(said).expect("a local part"), meant, "{said}");
        }
        for said in ["a b", "a@b", "a/b", "a\u{7f}", "a\u{3000}b", "\u{221}"] {
            assert!(nodeprep(said).is_err(), "{said:?}");
        }
    }

    #[test]
    fn rfc4013_3_the_examples() {
        for (said, meant) in [("I\u{ad}X", "IX"), ("user", "user"), ("USER", "USER"), ("\u{aa}", "a"), ("\u{2168}", "IX")] {
            assert_eq!(saslprep(said).expect("a password"), meant);
        }
        assert!(matches!(saslprep("\u{7}"), Err(Error::Prohibited('\u{7}'))));
        assert!(matches!(saslprep("\u{627}1"), Err(Error::Directions)));
    }

    proptest::proptest! {
        #![proptest_config(proptest::test_runner::Config { cases: 2_000, failure_persistence: None, ..Default::default() })]
        #[test]
        fn what_is_a_resource_stays_the_same_when_it_is_said_again(text in "\\PC{0,12}") {
            if let Some(prepared) = of(&text) {
                assert_eq!(of(&prepared).as_deref(), Some(&*prepared), "{text:?}");
            }
        }
    }
}
