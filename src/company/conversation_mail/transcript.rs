//! A conversation as a text for people. What servers and clients say to each other has no line; what was corrected stands as it was
//! corrected, what was taken back is a note that it was.
//!
//! ```text
//! 2026-11-26 10:03:12  <romeo@house> a message
//!     and its second line
//! 2026-11-26 10:03:15  * <juliet@house> does something (/me)
//! 2026-11-26 10:03:20  -- <romeo@house> has taken back a message
//! ```
//! Everything in front of the name is the server's, and nothing that somebody writes can begin a line: the lines of a message that
//! follow its first are indented, and names have no angle brackets. In a room `<romeo|romeo@house>` says who that was, or `<romeo|2>` that it was
//! not the first of that name.

use std::collections::HashMap;

use iris_core::xml::El;

use super::line;
use super::message::{Message, Said};

/// What stands above the messages; a name of a room that is longer is cut.
const HEAD_BYTES_MAX: usize = 2_048;
const OF_CHARS_MAX: usize = 300;

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
    /// In a room: those who had a name, in their order.
    senders: HashMap<String, Vec<String>>,
}

impl Transcript {
    pub fn new(is_room: bool, bytes_max: usize) -> Transcript {
        Transcript {
            is_room,
            bytes_max,
            bytes: HEAD_BYTES_MAX,
            lines: Vec::new(),
            by_id: HashMap::new(),
            senders: HashMap::new(),
        }
    }

    /// The next message, which was kept at this moment. `real`: the sender's address, in a room that tells it.
    pub fn add(&mut self, at_us: u64, message: &El<'_>, real: Option<&str>) -> Result<(), TooLarge> {
        let Some(Message { sender, name, id, replaces, takes_back, is_fallback, said }) = Message::read(message, self.is_room)
        else {
            return Ok(());
        };
        let before = |id: &Option<String>| self.by_id.get(&(sender.clone(), id.clone()?)).copied();
        if let Some(line) = before(&takes_back).and_then(|at| self.lines.get_mut(at)) {
            // Where the archive is kept by this house it has a tombstone already; one that moved in may have none.
            if !matches!(line.said, Said::TakenBack { .. }) {
                line.said = Said::TakenBack { by_moderator: false, reason: None };
            }
            if is_fallback {
                return Ok(());
            }
        }
        let Some(said) = said else { return Ok(()) };
        // XEP-0308 3: only whoever sent a message corrects it.
        if let Some((at, line)) = before(&replaces).and_then(|at| Some((at, self.lines.get_mut(at)?))) {
            if !matches!(line.said, Said::TakenBack { .. }) {
                (line.said, line.corrected_us) = (said, Some(at_us));
            }
            return self.grow(at);
        }
        // Sent again because an answer was lost, and kept twice.
        if before(&id).and_then(|at| self.lines.get(at)).is_some_and(|line| line.said == said) {
            return Ok(());
        }
        let name = self.name(name, &sender, real);
        let corrected_us = replaces.is_some().then_some(at_us);
        let at = self.lines.len();
        // Further corrections name the first message too, also one that is not here.
        if let Some(id) = replaces.or(id) {
            self.by_id.insert((sender, id), at);
        }
        self.lines.push(Line { at_us, corrected_us, name, said });
        self.grow(at)
    }

    /// In a room a name is anybody's once it is free: with the address, or else with a number for everybody but the first.
    fn name(&mut self, name: String, sender: &str, real: Option<&str>) -> String {
        let name = line::name(&name);
        if !self.is_room {
            return name;
        }
        if let Some(real) = real.filter(|real| !real.is_empty()) {
            return format!("{name}|{}", line::name(real));
        }
        let senders = self.senders.entry(name.clone()).or_default();
        let at = senders.iter().position(|it| it == sender).unwrap_or_else(|| {
            senders.push(sender.to_owned());
            senders.len() - 1
        });
        if at == 0 { name } else { format!("{name}|{}", at + 1) }
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
        let of: String = line::one(&head.of).chars().take(OF_CHARS_MAX).collect();
        line(&[&of]);
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
    /// No fewer than it will have.
    fn bytes(&self) -> usize {
        // Time and line break, the longest words around a name, and what a line break becomes.
        const AROUND: usize = 24;
        const CORRECTED: usize = 34;
        const NOTE: usize = 48;
        const INDENT: usize = 6;
        let note = if matches!(self.said, Said::Text(_)) { 5 } else { NOTE };
        let corrected = self.corrected_us.map_or(0, |_| CORRECTED);
        AROUND + corrected + note + self.name.len() + self.said.bytes() + INDENT * self.said.line_breaks()
    }

    fn write(&self, text: &mut String) {
        text.push_str(&line::moment(self.at_us));
        if let Some(corrected_us) = self.corrected_us {
            text.push_str(&format!(" (corrected {})", line::moment(corrected_us)));
        }
        text.push_str("  ");
        let name = &self.name;
        match &self.said {
            Said::Text(body) => match body.strip_prefix("/me ") {
                Some(does) => line::write(&format!("* <{name}> "), does, text),
                None => line::write(&format!("<{name}> "), body, text),
            },
            Said::Subject(subject) => {
                let subject = line::one(subject);
                line::write(&format!("-- <{name}> has set the subject: "), &subject, text);
            }
            Said::TakenBack { by_moderator: false, .. } => {
                line::write("", &format!("-- <{name}> has taken back a message"), text);
            }
            Said::TakenBack { by_moderator: true, reason } => {
                let why = reason.as_deref().map(|reason| format!(": {}", line::one(reason))).unwrap_or_default();
                line::write("", &format!("-- a moderator has removed a message of <{name}>{why}"), text);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn add(transcript: &mut Transcript, from: &str, inside: &str) {
        add_real(transcript, from, inside, None);
    }

    fn add_real(transcript: &mut Transcript, from: &str, inside: &str, real: Option<&str>) {
        let xml = format!("<message xmlns='jabber:client' from='{from}' to='a@b' {inside}</message>");
        transcript.add(0, &El::parse(xml.as_bytes()).expect("XML"), real).expect("room enough");
    }

    fn lines(transcript: &Transcript) -> Vec<String> {
        let text = transcript.write(&Head { of: "of".into(), first: None, last: None, made_us: 0 });
        text.split("\r\n")
            .skip(8)
            .filter(|line| !line.is_empty())
            .map(|line| line.strip_prefix("1970-01-01 00:00:00  ").unwrap_or(line).to_owned())
            .collect()
    }

    #[test]
    fn a_retraction_that_hides_something_hides_nothing() {
        let mut transcript = Transcript::new(false, 1 << 20);
        let retract = |id: &str| format!("<retract xmlns='urn:xmpp:message-retract:1' id='{id}'/>");
        add(&mut transcript, "a@b/c", "id='1'><body>one</body>");
        add(&mut transcript, "x@y/z", &format!("id='2'><body>not mine to take back</body>{}", retract("1")));
        add(&mut transcript, "a@b/c", &format!("id='3'><body>a threat</body>{}", retract("nowhere")));
        add(&mut transcript, "a@b/c", &format!("id='4'><body>another</body>{}", retract("1")));
        let fallback = "<fallback xmlns='urn:xmpp:fallback:0' for='urn:xmpp:message-retract:1'/>";
        add(&mut transcript, "a@b/c", &format!("id='5'><body>This person attempted</body>{fallback}{}", retract("4")));
        assert_eq!(
            lines(&transcript),
            [
                "-- <a@b> has taken back a message",
                "<x@y> not mine to take back",
                "<a@b> a threat",
                "-- <a@b> has taken back a message"
            ]
        );
    }

    #[test]
    fn a_moderator_removes_with_a_reason_and_a_correction_brings_nothing_back() {
        let mut transcript = Transcript::new(true, 1 << 20);
        let gone = "<retracted xmlns='urn:xmpp:message-retract:1' id='i' stamp='2026-01-01T00:00:00Z'>\
                    <moderated xmlns='urn:xmpp:message-moderate:1' by='r@c/boss'/><reason>rude&#10;words</reason></retracted>";
        add(&mut transcript, "r@c/nick", &format!("id='1'>{gone}"));
        add(&mut transcript, "r@c/nick", "id='2'><body>rude</body><replace xmlns='urn:xmpp:message-correct:0' id='1'/>");
        assert_eq!(lines(&transcript), ["-- a moderator has removed a message of <nick>: rude words"]);
    }

    #[test]
    fn a_message_that_was_kept_twice_stands_once() {
        let mut transcript = Transcript::new(false, 1 << 20);
        for (id, body) in [("1", "one"), ("1", "one"), ("1", "another"), ("2", "one")] {
            add(&mut transcript, "a@b/c", &format!("id='{id}'><body>{body}</body>"));
        }
        assert_eq!(lines(&transcript), ["<a@b> one", "<a@b> another", "<a@b> one"]);
        assert_eq!(transcript.len(), 3);
    }

    #[test]
    fn in_a_room_nobody_is_taken_for_another() {
        let mut transcript = Transcript::new(true, 1 << 20);
        let occupant = |id: &str| format!("><body>hi</body><occupant-id xmlns='urn:xmpp:occupant-id:0' id='{id}'/>");
        add(&mut transcript, "r@c/juliet", &occupant("1"));
        add(&mut transcript, "r@c/juliet", &occupant("2"));
        add(&mut transcript, "r@c/juliet", &occupant("1"));
        add(&mut transcript, "r@c/juliet|2&gt; hi &lt;romeo", &occupant("3"));
        add_real(&mut transcript, "r@c/juliet", &occupant("2"), Some("mallory@house"));
        assert_eq!(
            lines(&transcript),
            ["<juliet> hi", "<juliet|2> hi", "<juliet> hi", "<juliet_2_ hi _romeo> hi", "<juliet|mallory@house> hi"]
        );
    }

    #[test]
    fn what_only_programs_say_has_no_line() {
        let mut transcript = Transcript::new(false, 1 << 20);
        for inside in [
            "><received xmlns='urn:xmpp:receipts' id='1'/>",
            "><displayed xmlns='urn:xmpp:chat-markers:0' id='1'/>",
            "><composing xmlns='http://jabber.org/protocol/chatstates'/>",
            "><body/>",
            "type='error'><body>came back</body>",
            "><encrypted xmlns='eu.siacs.conversations.axolotl'><header sid='1'/></encrypted>",
            "><reactions xmlns='urn:xmpp:reactions:0' id='1'><reaction>+</reaction></reactions>",
        ] {
            add(&mut transcript, "a@b/c", inside);
        }
        assert_eq!(transcript.len(), 0);
    }

    #[test]
    fn subjects_files_invitations_and_languages() {
        let mut transcript = Transcript::new(false, 1 << 20);
        for inside in [
            "><subject>A word</subject><body>in two\nlines</body>",
            "><body xml:lang='de'>eins</body><body>one</body>",
            "><body>see</body><x xmlns='jabber:x:oob'><url>https://h/a\nb</url></x>",
            "><x xmlns='jabber:x:conference' jid='r@c'/>",
            "><body>?OTRv3?</body><encryption xmlns='urn:xmpp:eme:0' namespace='urn:xmpp:otr:0' name='OTR'/>",
        ] {
            add(&mut transcript, "a@b/c", inside);
        }
        assert_eq!(
            lines(&transcript),
            [
                "<a@b> [subject: A word]",
                "    in two",
                "    lines",
                "<a@b> one",
                "<a@b> see",
                "    [file] https://h/a b",
                "<a@b> [invitation to r@c]",
                "<a@b> [encrypted message]",
                "    ?OTRv3?",
            ]
        );
    }

    #[test]
    fn it_is_never_larger_than_it_was_taken_for() {
        let mut transcript = Transcript::new(true, 1 << 20);
        let bodies = ["a\nb\n\nc", "\t\t\t", "&#x85;&#x85;x", "/me does", "\u{2028}\u{2028}x", "é🌹"];
        for (n, body) in bodies.iter().enumerate() {
            add(&mut transcript, &format!("r@c/n{n}"), &format!("id='{n}'><body>{body}</body>"));
            add(&mut transcript, &format!("r@c/n{n}"), &format!("id='s{n}'><subject>{body}</subject>"));
            let correction = format!("id='c{n}'><body>{body}</body><replace xmlns='urn:xmpp:message-correct:0' id='{n}'/>");
            add(&mut transcript, &format!("r@c/n{n}"), &correction);
        }
        add(
            &mut transcript,
            "r@c/n",
            "id='t'><retracted xmlns='urn:xmpp:message-retract:1'><moderated xmlns='urn:xmpp:message-moderate:1'/></retracted>",
        );
        let of = "x".repeat(10_000);
        let text = transcript.write(&Head { of, first: Some("2026-11-26"), last: Some("2026-11-26"), made_us: u64::MAX / 2 });
        assert!(text.len() <= transcript.bytes, "{} {}", text.len(), transcript.bytes);
    }
}
