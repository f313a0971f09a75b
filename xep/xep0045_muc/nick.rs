//! Nicknames: which one is the same as another (7.2.8 leaves that to us), and which is none.

use iris_core::{Bounce, Changed, Condition};

/// Two nicknames with the same key are the same for people: case, spaces at the ends and between, and what has no width do not count.
pub fn key(nick: &str) -> String {
    let mut key = String::with_capacity(nick.len());
    for word in nick.split_whitespace() {
        if !key.is_empty() {
            key.push(' ');
        }
        key.extend(word.chars().filter(|c| !is_invisible(*c)).flat_map(char::to_lowercase));
    }
    key
}

/// Drawn as nothing, or changes how its neighbours are drawn.
fn is_invisible(c: char) -> bool {
    matches!(c,
        '\u{ad}' | '\u{34f}' | '\u{61c}' | '\u{115f}' | '\u{1160}' | '\u{17b4}' | '\u{17b5}' | '\u{180b}'..='\u{180f}'
        | '\u{200b}'..='\u{200f}' | '\u{202a}'..='\u{202e}' | '\u{2060}'..='\u{206f}' | '\u{3164}' | '\u{fe00}'..='\u{fe0f}'
        | '\u{feff}' | '\u{ffa0}' | '\u{fff0}'..='\u{fffb}' | '\u{1d173}'..='\u{1d17a}' | '\u{e0000}'..='\u{e0fff}')
}

/// Can it be one? The resource of a JID was prepared already (RFC 7622 3.4): it has no control characters.
pub fn is_one(nick: &str, bytes_max: usize) -> bool {
    nick.len() <= bytes_max && !nick.chars().any(char::is_control) && !key(nick).is_empty()
}

/// Why it cannot.
pub fn refused(nick: &str, bytes_max: usize, condition: Condition) -> Bounce {
    let why = Bounce::new(condition);
    if nick.len() > bytes_max {
        return why.limit(format!("a nickname has at most {bytes_max} bytes"), Changed::ByOperator);
    }
    why.text("that is no nickname: nobody could see it")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn d2_a_look_alike_is_the_same_nickname() {
        for other in ["Juliet", "juliet ", " JULIET", "jul\u{200b}iet", "juliet\u{feff}", "\u{202e}juliet"] {
            assert_eq!(key(other), "juliet", "{other:?}");
        }
        assert_eq!(key("third  Witch"), "third witch");
        assert_ne!(key("juliet"), key("juliett"));
    }

    #[test]
    fn d2_what_nobody_can_see_is_no_nickname() {
        for bad in ["", " ", "\u{200b}", "\u{2060}\u{feff}", "a\u{7}b"] {
            assert!(!is_one(bad, 100), "{bad:?}");
        }
        assert!(is_one("é", 2) && !is_one("é", 1));
    }
}
