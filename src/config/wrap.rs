//! Lines that fit a terminal of 80 columns.

pub(crate) const WIDTH: usize = 80;

/// Breaks at blanks; the first line is indented by `first` columns, the others by `rest`. Words longer than a line stay whole.
pub(crate) fn wrap(text: &str, first: usize, rest: usize) -> String {
    let mut out = String::new();
    for (i, paragraph) in text.lines().enumerate() {
        let indent = if i == 0 { first } else { rest };
        let mut column = 0;
        if i > 0 {
            out.push('\n');
        }
        for word in paragraph.split(' ') {
            let length = word.chars().count();
            if column == 0 {
                out.push_str(&" ".repeat(indent));
                column = indent;
            } else if column + 1 + length > WIDTH {
                out.push('\n');
                out.push_str(&" ".repeat(rest));
                column = rest;
            } else {
                out.push(' ');
                column += 1;
            }
            out.push_str(word);
            column += length;
        }
    }
    out
}
