//! A conversation as a text for people. What servers and clients say to each other has no line; what was corrected stands as it was
//! corrected, what was taken back is a note that it was.
//!
//! ```text
//! 2026-11-26 10:03:12  <romeo@house> a message
//!     and its second line
//! 2026-11-26 10:03:15  * juliet@house does something (/me)
//! 2026-11-26 10:03:20  -- romeo@house has taken back a message
//! ```
//! Everything in front of the name is the server's, and nothing that somebody writes can begin a line: the lines of a message that
//! follow its first are indented, and names have no angle brackets.

use std::collections::HashMap;

use iris_core::xml::El;

use super::line;
use super::message::{Message, Said};

/// The text has more bytes than it may have.
#[derive(Debug, PartialEq, Eq)]
pub struct TooLarge;

/// What stands above the messages.
pub struct Head<'a> {
    /// Whose conversation with whom, in a sentence.
    pub of: String,
    /// Days, as they were asked for.
    pub first: Option<&'a str>,
    pub last: Option<&'a str>,
    pub made_us: u64,
}

#[derive(Debug)]
struct Line {
    at_us: u64,
    corrected_us: Option<u64>,
    name: String,
    said: Said,
}

#[derive(Debug)]
pub struct Transcript {
    is_room: bool,
    bytes_max: usize,
    bytes: usize,
    lines: Vec<Line>,
    /// By sender and id.
    by_id: HashMap<(String, String), usize>,
}

impl Transcript {
    pub fn new(is_room: bool, bytes_max: usize) -> Transcript {
        Transcript { is_room, bytes_max, bytes: 0, lines: Vec::new(), by_id: HashMap::new() }
    }

    /// The next message, which was kept at this moment.
    pub fn add(&mut self, at_us: u64, message: &El<'_>) -> Result<(), TooLarge> {
        let Some(Message { sender, name, id, replaces, takes_back, said }) = Message::read(message, self.is_room) else {
            return Ok(());
        };
        let before = |id: Option<String>| self.by_id.get(&(sender.clone(), id?)).copied();
        if takes_back.is_some() {
            // Where the archive is kept by this house it has a tombstone already; one that moved in may have none.
            if let Some(line) = before(takes_back).and_then(|at| self.lines.get_mut(at)) {
                line.said = Said::TakenBack { by_moderator: false, reason: None };
            }
            return Ok(());
        }
        let Some(said) = said else { return Ok(()) };
        // XEP-0308 3: only whoever sent a message corrects it.
        if let Some((at, line)) = before(replaces.clone()).and_then(|at| Some((at, self.lines.get_mut(at)?))) {
            if !matches!(line.said, Said::TakenBack { .. }) {
                (line.said, line.corrected_us) = (said, Some(at_us));
            }
            return self.grow(at);
        }
        // Sent again because an answer was lost, and kept twice.
        if before(id.clone()).and_then(|at| self.lines.get(at)).is_some_and(|line| line.said == said) {
            return Ok(());
        }
        let corrected_us = replaces.is_some().then_some(at_us);
        let at = self.lines.len();
        // Further corrections name the first message too, also one that is not here.
        if let Some(id) = replaces.or(id) {
            self.by_id.insert((sender, id), at);
        }
        self.lines.push(Line { at_us, corrected_us, name, said });
        self.grow(at)
    }

    /// By what this line is now. (What a correction saves is not given back.)
    fn grow(&mut self, line: usize) -> Result<(), TooLarge> {
        self.bytes += self.lines.get(line).map_or(0, Line::bytes);
        if self.bytes > self.bytes_max { Err(TooLarge) } else { Ok(()) }
    }

    /// Messages, and notes of what was one.
    pub fn len(&self) -> usize {
        self.lines.len()
    }

    /// The whole text; lines end with CRLF, as text in a mail does (RFC 2046 4.1.1).
    pub fn write(&self, head: &Head<'_>) -> String {
        let mut text = String::with_capacity(self.bytes + 1024);
        let mut line = |parts: &[&str]| {
            parts.iter().for_each(|part| text.push_str(part));
            text.push_str("\r\n");
        };
        line(&[&line::one(&head.of)]);
        let period = match (head.first, head.last) {
            (None, None) => "all that is kept".to_owned(),
            (Some(first), None) => format!("from {first}"),
            (None, Some(last)) => format!("until {last}"),
            (Some(first), Some(last)) => format!("from {first} to {last}"),
        };
        line(&["Period: ", &period]);
        line(&["Made: ", &line::moment(head.made_us), " UTC"]);
        line(&["Messages: ", &self.lines.len().to_string()]);
        line(&[]);
        line(&[
            "All times are UTC. What is indented belongs to the message above it. \"*\": what somebody did (/me); \"--\": what",
        ]);
        line(&["the server notes; \"(corrected ...)\": it was sent again with this text at that time."]);
        line(&[]);
        self.lines.iter().for_each(|it| it.write(&mut text));
        text
    }
}

impl Line {
    /// At least as many as it will have.
    fn bytes(&self) -> usize {
        const AROUND: usize = 64;
        const INDENT: usize = 8;
        AROUND + self.name.len() + self.said.bytes() + INDENT * self.said.line_breaks()
    }

    fn write(&self, text: &mut String) {
        text.push_str(&line::moment(self.at_us));
        if let Some(corrected_us) = self.corrected_us {
            text.push_str(&format!(" (corrected {})", line::moment(corrected_us)));
        }
        text.push_str("  ");
        let name = line::name(&self.name);
        match &self.said {
            Said::Text(body) => match body.strip_prefix("/me ") {
                Some(does) => line::write(&format!("* {name} "), does, text),
                None => line::write(&format!("<{name}> "), body, text),
            },
            Said::Subject(subject) => {
                let subject = line::one(subject);
                line::write(&format!("-- {name} has set the subject: "), &subject, text);
            }
            Said::TakenBack { by_moderator: false, .. } => {
                line::write("", &format!("-- {name} has taken back a message"), text);
            }
            Said::TakenBack { by_moderator: true, reason } => {
                let why = reason.as_deref().map(|reason| format!(": {}", line::one(reason))).unwrap_or_default();
                line::write("", &format!("-- a moderator has removed a message of {name}{why}"), text);
            }
        }
    }
}
