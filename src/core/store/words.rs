//! What is a word, for full-text search: the same for whoever asks and for every driver.
//!
//! A word is a run of letters and digits without case and accents: "Élan" and "elan" are one. Scripts that do not part their words
//! are sought character by character. A query finds what has, for each of its words, a word that begins with it.

use std::collections::BTreeSet;

use unicode_normalization::UnicodeNormalization;
use unicode_normalization::char::is_combining_mark;

/// What follows in a longer word is not looked at, neither in what is kept nor in what is asked.
pub const WORD_BYTES_MAX: usize = 64;
/// Different words of one entry; what a longer text says after that is not found.
pub const ENTRY_WORDS_MAX: usize = 2_000;

/// The text of an entry; `None`: there is nothing in it to be found.
pub type TextOf = fn(&[u8]) -> Option<String>;

/// The words of a text, each once.
pub fn of(text: &str) -> BTreeSet<String> {
    let mut words = BTreeSet::new();
    if text.is_ascii() {
        // The same, for most.
        for word in text.split(|c: char| !c.is_ascii_alphanumeric()).filter(|word| !word.is_empty()) {
            let word = word.get(..WORD_BYTES_MAX).unwrap_or(word);
            words.insert(word.to_ascii_lowercase());
            if words.len() >= ENTRY_WORDS_MAX {
                break;
            }
        }
        return words;
    }
    let mut word = String::new();
    let folded = text.nfkd().filter(|c| !is_combining_mark(*c)).flat_map(char::to_lowercase);
    for c in folded {
        if !c.is_alphanumeric() || is_unparted(c) {
            take(&mut word, &mut words);
        }
        if c.is_alphanumeric() && word.len() + c.len_utf8() <= WORD_BYTES_MAX {
            word.push(c);
        }
        if is_unparted(c) {
            take(&mut word, &mut words);
        }
        if words.len() >= ENTRY_WORDS_MAX {
            return words;
        }
    }
    take(&mut word, &mut words);
    words
}

fn take(word: &mut String, words: &mut BTreeSet<String>) {
    if !word.is_empty() {
        words.insert(std::mem::take(word));
    }
}

/// Chinese, Japanese, Thai, Lao, Burmese, Khmer. (Korean parts its words; here it is in its letters, as NFKD leaves it.)
fn is_unparted(c: char) -> bool {
    matches!(u32::from(c), 0x0e00..=0x0eff | 0x1000..=0x109f | 0x1780..=0x17ff | 0x3040..=0x30ff | 0x3400..=0x9fff | 0xf900..=0xfaff
        | 0x2_0000..=0x3_ffff)
}

/// Does a text have all of `wanted` (made by [`of`])?
pub fn has_all(text: &str, wanted: &[String]) -> bool {
    let words = of(text);
    let has = |wanted: &String| words.range(wanted.clone()..).next().is_some_and(|word| word.starts_with(wanted.as_str()));
    wanted.iter().all(has)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn words(text: &str) -> Vec<String> {
        of(text).into_iter().collect()
    }

    #[test]
    fn a_word_has_neither_case_nor_accents() {
        assert_eq!(words("Élan, élan! ÉLAN? <b>x1</b>"), ["b", "elan", "x1"]);
        assert_eq!(words("Straße ΣΊΣΥΦΟΣ ﬁn"), ["fin", "straße", "σισυφοσ"]);
        assert_eq!(words(" \u{1f600} -- ' \" * "), Vec::<String>::new());
    }

    #[test]
    fn scripts_without_spaces_are_parted_by_character() {
        assert_eq!(words("你好world"), ["world", "你", "好"]);
        assert!(has_all("東京都に行く", &words("京都")) && !has_all("東京", &words("大阪")));
        assert!(has_all("안녕하세요 여러분", &words("안녕")));
    }

    #[test]
    fn each_word_that_is_asked_begins_one_that_is_there() {
        let wanted = |text: &str| has_all("Call me but love, and I'll be new baptized", &words(text));
        assert!(wanted("bapt LOVE") && wanted("i") && wanted(""));
        assert!(!wanted("aptized") && !wanted("love hate") && !wanted("lovely"));
    }

    #[test]
    fn a_text_has_a_limit_and_so_has_a_word() {
        let long = "é".repeat(200);
        assert_eq!(words(&long), ["e".repeat(64)]);
        let many: String = (0..10_000).map(|n| format!("{n} ")).collect();
        assert_eq!(of(&many).len(), ENTRY_WORDS_MAX);
        assert_eq!(of(&format!("{many}é")).len(), ENTRY_WORDS_MAX);
        assert_eq!(words(&"e".repeat(200)), ["e".repeat(64)]);
    }
}
