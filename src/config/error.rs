//! What is wrong with a configuration, as an operator reads it: place, line, caret, remedy.

use std::fmt;
use std::io;
use std::ops::Range;
use std::path::{Path, PathBuf};

use super::wrap::{WIDTH, wrap};

/// One thing that is wrong.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Problem {
    /// Bytes of the file; an empty range is a point.
    pub place: Option<Range<usize>>,
    pub message: String,
    /// What to do about it: whole sentences.
    pub remedy: String,
}

impl Problem {
    pub fn new(place: Option<Range<usize>>, message: impl Into<String>, remedy: impl Into<String>) -> Problem {
        Problem { place, message: message.into(), remedy: remedy.into() }
    }
}

/// Everything that is wrong with one configuration, in the order of the file. `Display` is the message for a terminal.
#[derive(Debug, PartialEq, Eq)]
pub struct ConfigError {
    file: Option<PathBuf>,
    text: String,
    problems: Vec<Problem>,
}

/// More than these are not shown at once: the first mistakes often cause the others.
const SHOWN_MAX: usize = 8;

impl ConfigError {
    pub(super) fn new(file: Option<&Path>, text: &str, mut problems: Vec<Problem>) -> ConfigError {
        problems.sort_by_key(|problem| problem.place.as_ref().map(|place| place.start));
        ConfigError { file: file.map(Path::to_owned), text: text.to_owned(), problems }
    }

    pub(super) fn unreadable(path: &Path, error: &io::Error) -> ConfigError {
        let (message, remedy) = match error.kind() {
            io::ErrorKind::NotFound => (
                "there is no such file".to_owned(),
                "Write one with `iris init example.org`, or leave --config away to serve `localhost` with the defaults.",
            ),
            io::ErrorKind::InvalidData => ("is not UTF-8 text".to_owned(), "Save the file as UTF-8."),
            io::ErrorKind::PermissionDenied => ("permission denied".to_owned(), "Let the user that runs iris read the file."),
            _ => (format!("cannot be read: {error}"), ""),
        };
        ConfigError::new(Some(path), "", vec![Problem::new(None, message, remedy)])
    }

    pub fn problems(&self) -> &[Problem] {
        &self.problems
    }

    /// Does the message begin with a file's name?
    pub fn has_file(&self) -> bool {
        self.file.is_some()
    }

    /// Line and column, both from 1, columns in characters.
    pub fn line_column(&self, offset: usize) -> (usize, usize) {
        line_column(&self.text, offset)
    }

    /// Each problem with its place, in one line, and what to do about it.
    pub fn lines(&self) -> impl Iterator<Item = (String, &str)> {
        self.problems.iter().map(|problem| (self.line(problem), problem.remedy.as_str()))
    }

    fn line(&self, problem: &Problem) -> String {
        let file = self.file.as_ref().map(|file| file.display());
        let at = match (file, &problem.place) {
            (Some(file), Some(place)) => {
                let (line, column) = self.line_column(place.start);
                format!("{file}:{line}:{column}: ")
            }
            (Some(file), None) => format!("{file}: "),
            (None, _) => String::new(),
        };
        format!("{at}{}", problem.message)
    }

    fn write_problem(&self, f: &mut fmt::Formatter<'_>, problem: &Problem) -> fmt::Result {
        write!(f, "{}", wrap(&self.line(problem), 0, 2))?;
        if let Some(place) = problem.place.as_ref().filter(|_| self.has_file()) {
            write!(f, "\n{}", excerpt(&self.text, place))?;
        }
        if !problem.remedy.is_empty() {
            write!(f, "\n{}", wrap(&problem.remedy, 2, 2))?;
        }
        Ok(())
    }
}

impl fmt::Display for ConfigError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (i, problem) in self.problems.iter().take(SHOWN_MAX).enumerate() {
            if i > 0 {
                f.write_str("\n\n")?;
            }
            self.write_problem(f, problem)?;
        }
        match self.problems.len().saturating_sub(SHOWN_MAX) {
            0 => Ok(()),
            more => write!(f, "\n\nand {more} more."),
        }
    }
}

impl std::error::Error for ConfigError {}

fn line_column(text: &str, offset: usize) -> (usize, usize) {
    let before = before(text, offset);
    let line_start = before.rfind('\n').map_or(0, |at| at + 1);
    let column = before.get(line_start..).unwrap_or_default().chars().count() + 1;
    (before.matches('\n').count() + 1, column)
}

/// Everything up to an offset, which may lie in the middle of a character or behind the end.
fn before(text: &str, offset: usize) -> &str {
    let mut end = offset.min(text.len());
    while !text.is_char_boundary(end) {
        end -= 1;
    }
    text.get(..end).unwrap_or_default()
}

/// What stands behind the first `=` of a line that names a secret is for nobody who reads a log.
fn without_secret(line: Vec<char>) -> Vec<char> {
    let names = line.iter().collect::<String>().to_lowercase();
    let after = line.iter().position(|c| *c == '=').filter(|_| names.contains("secret") || names.contains("access_key"));
    let hidden = |(at, c): (usize, char)| if after.is_some_and(|after| at > after) && c != ' ' { '*' } else { c };
    line.into_iter().enumerate().map(hidden).collect()
}

/// The line of a place, with its number and a caret under it; a long line is cut to the terminal's width.
fn excerpt(text: &str, place: &Range<usize>) -> String {
    let (number, column) = line_column(text, place.start);
    let line = text.lines().nth(number - 1).unwrap_or_default();
    let line = without_secret(line.chars().map(|c| if c == '\t' { ' ' } else { c }).collect());
    let gutter = number.to_string().len();
    let room = WIDTH - gutter - 4;
    let from = if column > room { (column - room / 2).min(line.len().saturating_sub(room)) } else { 0 };
    let shown: String = line.iter().skip(from).take(room).collect();
    let carets = text.get(place.clone()).map_or(1, |marked| marked.lines().next().unwrap_or_default().chars().count());
    let caret_from = column - 1 - from;
    let carets = carets.clamp(1, room.saturating_sub(caret_from).max(1));
    let (blank, before, marks) = (" ".repeat(gutter), " ".repeat(caret_from), "^".repeat(carets));
    format!(" {number} | {}\n {blank} | {before}{marks}", shown.trim_end())
}

/// The key, value or table header that begins at an offset.
pub(super) fn word_at(text: &str, start: usize) -> Range<usize> {
    let rest = text.get(start..).unwrap_or_default();
    let ends = |c: char| c.is_whitespace() || matches!(c, '=' | ',' | '#');
    start..start + rest.find(ends).unwrap_or(rest.len())
}

/// serde's words for a room's table, in ours: message and remedy.
pub(super) fn serde_message(text: &str) -> (String, String) {
    let quoted = |text: &str| -> Vec<String> { text.split('`').skip(1).step_by(2).map(str::to_owned).collect() };
    let Some((before, known)) = text.split_once(", expected ") else { return (text.to_owned(), String::new()) };
    let (Some(unknown), true) = (quoted(before).pop(), before.contains("unknown field")) else {
        return (text.to_owned(), String::new());
    };
    let known = quoted(known);
    let names: Vec<&str> = known.iter().map(String::as_str).collect();
    let message = before.replace("unknown field", "unknown key").replace('`', "\"");
    (message, remedy_for_unknown(&unknown, &names))
}

/// A longer list of names would hide the rest of the message.
const LISTED_MAX: usize = 12;

/// "Did you mean", and the names that would have been right.
pub(super) fn remedy_for_unknown(name: &str, known: &[&str]) -> String {
    let list = match known.len() {
        ..=LISTED_MAX => format!("Known here: {}.", known.join(", ")),
        _ => "All keys: `iris config-reference`.".to_owned(),
    };
    match closest(name, known) {
        Some(near) => format!("Did you mean \"{near}\"? {list}"),
        None => list,
    }
}

/// The known name that a typing error could have turned into this one.
pub(super) fn closest<'a>(name: &str, known: &[&'a str]) -> Option<&'a str> {
    let flat = |text: &str| text.to_lowercase().replace('-', "_");
    let name = flat(name);
    known
        .iter()
        .map(|candidate| {
            let flat = flat(candidate);
            // A forgotten unit (`ban_time` for `ban_time_max`) is near too, whatever its length.
            let part = flat.len() > 3 && name.len() > 3 && (flat.starts_with(&name) || name.starts_with(&flat));
            (if part { 1 } else { distance(&name, &flat) }, *candidate)
        })
        .filter(|(distance, candidate)| *distance <= 1 + candidate.len() / 4)
        .min_by_key(|(distance, _)| *distance)
        .map(|(_, candidate)| candidate)
}

/// Edit distance (Levenshtein), a swap of neighbours counts one.
fn distance(a: &str, b: &str) -> usize {
    let (a, b): (Vec<char>, Vec<char>) = (a.chars().collect(), b.chars().collect());
    let mut two_above: Vec<usize> = Vec::new();
    let mut above: Vec<usize> = (0..=b.len()).collect();
    for (i, from) in a.iter().enumerate() {
        let mut row = vec![i + 1];
        for (j, to) in b.iter().enumerate() {
            let cost = usize::from(from != to);
            let mut best = (above[j] + cost).min(above[j + 1] + 1).min(row[j] + 1);
            if i > 0 && j > 0 && a[i - 1] == *to && *from == b[j - 1] {
                best = best.min(two_above[j - 1] + 1);
            }
            row.push(best);
        }
        two_above = std::mem::replace(&mut above, row);
    }
    above.last().copied().unwrap_or_default()
}
