//! Text of people on lines of a file: nothing in it can begin a line of its own, or turn a line around.

use iris_core::time;

/// `2026-11-26 10:03:12`.
pub fn moment(wall_us: u64) -> String {
    let text = time::datetime(wall_us - wall_us % 1_000_000);
    text.trim_end_matches('Z').replacen('T', " ", 1)
}

const INDENT: &str = "    ";

/// One message: its first line behind `front`, those that follow indented.
pub fn write(front: &str, body: &str, text: &mut String) {
    text.push_str(front);
    let mut lines = lines(body);
    while lines.last().is_some_and(|line| line.trim().is_empty()) {
        lines.pop();
    }
    for (n, line) in lines.iter().enumerate() {
        if n > 0 {
            text.push_str("\r\n");
            text.push_str(INDENT);
        }
        text.push_str(line);
    }
    text.truncate(text.trim_end_matches([' ', '\t']).len());
    text.push_str("\r\n");
}

/// As one line.
pub fn one(text: &str) -> String {
    let mut lines = lines(text);
    lines.retain(|line| !line.trim().is_empty());
    lines.join(" ")
}

/// A name between angle brackets, in front of a bar: it has none of these itself.
pub fn name(text: &str) -> String {
    one(text).chars().map(|c| if matches!(c, '<' | '>' | '|') { '_' } else { c }).collect()
}

/// What is between the line breaks, of whatever kind, without what a terminal or an editor would obey.
fn lines(text: &str) -> Vec<String> {
    let mut lines = vec![String::new()];
    let mut before = ' ';
    for c in text.chars() {
        // Vertical tab, form feed, NEL, and the separators of Unicode are line breaks to some programs.
        let is_break = matches!(c, '\n' | '\r' | '\u{B}' | '\u{C}' | '\u{85}' | '\u{2028}' | '\u{2029}');
        if is_break {
            if !(c == '\n' && before == '\r') {
                lines.push(String::new());
            }
        } else if let Some(line) = lines.last_mut() {
            match c {
                '\t' => line.push(c),
                // UAX #9: embeddings, overrides and isolates; they show text in another order than it has.
                '\u{202A}'..='\u{202E}' | '\u{2066}'..='\u{2069}' => {}
                c if c.is_control() => line.push('\u{FFFD}'),
                c => line.push(c),
            }
        }
        before = c;
    }
    lines
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_message_cannot_begin_a_line() {
        let forged = "2026-11-26 10:00:00  <juliet@house> yes";
        for line_break in ["\n", "\r\n", "\r", "\u{B}", "\u{C}", "\u{85}", "\u{2028}", "\u{2029}", "\n\n", "\n\r"] {
            let mut text = String::new();
            write("<romeo> ", &format!("hello{line_break}{forged}{line_break}"), &mut text);
            let lines: Vec<&str> = text.strip_suffix("\r\n").expect("an end").split("\r\n").collect();
            assert!(lines[0] == "<romeo> hello" && lines.last() == Some(&&*format!("    {forged}")), "{text:?}");
            assert!(lines.iter().skip(1).all(|line| line.trim().is_empty() || line.starts_with("    ")), "{text:?}");
            assert_eq!(one(&format!("a{line_break}b")), "a b");
        }
    }

    #[test]
    fn a_name_does_not_end_early() {
        assert_eq!(name("juliet> yes <romeo"), "juliet_ yes _romeo");
        assert_eq!(name("ju\nliet"), "ju liet");
    }

    #[test]
    fn what_turns_text_around_or_rings_is_left_out() {
        assert_eq!(one("a\u{202E}b\u{2066}c\u{2069}d"), "abcd");
        assert_eq!(one("a\u{1b}[2Jb\u{9b}"), "a\u{FFFD}[2Jb\u{FFFD}");
        assert_eq!(
            one("שלום\u{200F} ok \u{1F468}\u{200D}\u{1F469}"),
            "שלום\u{200F} ok \u{1F468}\u{200D}\u{1F469}",
            "real text stays"
        );
    }
}
