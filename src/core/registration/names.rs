//! Names that people may choose for themselves.

use jid::{BareJid, DomainPart};

use super::Refused;
use crate::jids::localpart;

/// An address that has to be typed is no longer.
pub const CHARS_MAX: usize = 64;

/// The address that this name gives: prepared, so that `Juliet` and `juliet` are one (security C9).
pub fn address(username: &str, domain: &str) -> Result<BareJid, Refused> {
    let username = username.trim();
    if username.is_empty() || username.chars().count() > CHARS_MAX {
        return Err(Refused::UsernameInvalid);
    }
    if username.chars().any(deceives) {
        return Err(Refused::UsernameInvalid);
    }
    let node = localpart(username).map_err(|_| Refused::UsernameInvalid)?;
    let domain = DomainPart::new(domain).map_err(|_| Refused::UsernameInvalid)?;
    // Preparing makes other letters of some: a small `﹨` becomes the `\`, with which XEP-0106 writes what no name may have.
    if !node.as_str().chars().any(char::is_alphanumeric) || node.as_str().chars().any(deceives) {
        return Err(Refused::UsernameInvalid);
    }
    Ok(BareJid::from_parts(Some(&node), &domain))
}

/// What separates the parts of an address is in none of them (XEP-0029 and its heirs); some more is only there to deceive.
fn deceives(c: char) -> bool {
    c.is_whitespace() || c.is_control() || "\"&'/:<>@\\".contains(c) || is_invisible(c)
}

/// Joiners, marks of direction, fillers: two names that differ by these look the same.
fn is_invisible(c: char) -> bool {
    matches!(c,
        '\u{ad}' | '\u{34f}' | '\u{61c}' | '\u{115f}' | '\u{1160}' | '\u{17b4}' | '\u{17b5}' | '\u{180b}'..='\u{180f}'
        | '\u{200b}'..='\u{200f}' | '\u{202a}'..='\u{202e}' | '\u{2060}'..='\u{206f}' | '\u{3164}' | '\u{fe00}'..='\u{fe0f}'
        | '\u{feff}' | '\u{ffa0}' | '\u{e0000}'..='\u{e0fff}')
}

/// Names behind which people expect the house itself (RFC 2142 among them).
const OFFICIAL: &[&str] = &[
    "abuse",
    "admin",
    "administration",
    "administrator",
    "contact",
    "help",
    "helpdesk",
    "hostmaster",
    "info",
    "iris",
    "legal",
    "mailer-daemon",
    "moderator",
    "noc",
    "nobody",
    "noreply",
    "no-reply",
    "official",
    "operator",
    "postmaster",
    "privacy",
    "register",
    "root",
    "security",
    "server",
    "staff",
    "support",
    "system",
    "team",
    "webmaster",
    "xmpp",
];

/// Is this a name, or does it look like one, that is the house's (security D10, C9)? `names`: further ones, as prepared.
pub fn is_official<'a>(local: &str, names: impl IntoIterator<Item = &'a str>) -> bool {
    let looks = skeleton(local);
    OFFICIAL.iter().copied().chain(names).any(|name| skeleton(name) == looks)
}

/// What the eye makes of a name: letters of other scripts and digits that look alike are one, punctuation is none.
fn skeleton(name: &str) -> String {
    let mut out = String::with_capacity(name.len());
    for c in name.chars().flat_map(char::to_lowercase) {
        let alike = match c {
            'а' | 'α' | 'ɑ' | 'à'..='å' | 'ā' | 'ă' | 'ą' => 'a',
            'в' | 'ь' | 'β' => 'b',
            'с' | 'ϲ' | 'ç' => 'c',
            'ԁ' | 'đ' => 'd',
            'е' | 'ε' | 'є' | 'è'..='ë' | 'ē' | 'ė' | 'ę' | '3' => 'e',
            'ɡ' | 'ġ' | 'ğ' => 'g',
            'һ' | 'н' | 'ħ' => 'h',
            'і' | 'ι' | 'ı' | 'ì'..='ï' | 'ī' | 'į' | 'l' | 'ӏ' | 'ł' | '1' | '|' | '!' => 'i',
            'ј' => 'j',
            'к' | 'κ' => 'k',
            'м' | 'μ' => 'm',
            'п' | 'η' | 'ñ' | 'ń' => 'n',
            'о' | 'ο' | 'σ' | 'ò'..='ö' | 'ø' | 'ō' | '0' => 'o',
            'р' | 'ρ' => 'p',
            'г' => 'r',
            'ѕ' | 'ś' | 'š' | '5' | '$' => 's',
            'т' | 'τ' | '7' => 't',
            'υ' | 'ù'..='ü' | 'ū' | 'ų' => 'u',
            'ν' => 'v',
            'ѡ' | 'ω' => 'w',
            'х' | 'χ' => 'x',
            'у' | 'γ' | 'ý' | 'ÿ' => 'y',
            c if !c.is_alphanumeric() => continue,
            c => c,
        };
        out.push(alike);
    }
    // "rn" looks like "m", and who squints does not count.
    out.replace("rn", "m").replace("vv", "w")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(username: &str) -> Result<String, Refused> {
        address(username, "house").map(|jid| jid.to_string())
    }

    #[test]
    fn c9_what_looks_the_same_is_the_same_or_refused() {
        assert_eq!(of("ALICE"), Ok("alice@house".into()));
        assert_eq!(of("ａｌｉｃｅ"), Ok("alice@house".into()));
        for odd in
            ["alice\u{200d}", "ali\u{ad}ce", "\u{202e}ecila", "al ice", "alice@house", "alice/x", "", "   ", "..", "a\u{0}"]
        {
            assert_eq!(of(odd), Err(Refused::UsernameInvalid), "{odd:?}");
        }
        assert_eq!(of(&"a".repeat(CHARS_MAX)).map(|jid| jid.len()), Ok(CHARS_MAX + "@house".len()));
        assert_eq!(of(&"a".repeat(CHARS_MAX + 1)), Err(Refused::UsernameInvalid));
    }

    #[test]
    fn c9_what_preparing_makes_of_a_name_may_be_asked_for_too() {
        for small in ["romeo\u{fe68}", "romeo\u{fe68}20montague", "romeo＼40house"] {
            assert_eq!(of(small), Err(Refused::UsernameInvalid), "{small:?}");
        }
    }

    #[test]
    fn names_of_all_languages_are_names() {
        for name in ["zoë", "жанна", "数学", "юлия.м", "o-brien_2"] {
            assert!(of(name).is_ok(), "{name}");
        }
    }

    #[test]
    fn d10_nobody_calls_himself_administrator() {
        for name in ["admin", "Admin", "аdmin", "adm1n", "a.d.m.i.n", "adrnin", "postmaster", "rооt", "no.reply", "supp0rt"]
        {
            assert!(is_official(name, []), "{name}");
        }
        assert!(is_official("jul1a", ["julia"]), "an administrator of the house");
        for name in ["adam", "juliet", "rose", "information", "roots"] {
            assert!(!is_official(name, ["boss"]), "{name}");
        }
    }
}
