//! Errors that answer private messages (7.5). Who may send a private message, and who has a voice, is no matter for an error: so it comes
//! through only as the answer to a message that the room has passed on not long ago, once, to the client that has sent it, and it says
//! what an error says and nothing else.

use std::collections::VecDeque;
use std::time::Duration;

use iris_core::time::Mono;
use iris_core::xml::{Build, El, Stanza};
use iris_core::{Condition, ErrorType, Jid, hash, ns};

use super::stanzas;

/// Private messages of one room of which an error may still come, and for how long: a message may wait for a client that comes again to
/// its stream.
const WHISPERS_MAX: usize = 2_000;
const WHISPER_TIME: Duration = Duration::from_secs(15 * 60);

const TEXT_BYTES_MAX: usize = 1_024;
const LANG_BYTES_MAX: usize = 35;
/// Of the name and the namespace of an application's condition.
const NAME_BYTES_MAX: usize = 256;

/// A private message as one client has got it.
#[derive(Debug)]
pub struct Whisper {
    key: u64,
    /// The client that has sent it, and to which occupant.
    pub by: Jid,
    pub to_occupant: Jid,
    until: Mono,
}

#[derive(Debug, Default)]
pub struct Whispers {
    sent: VecDeque<Whisper>,
}

/// Who has got it, from which occupant, under which id.
fn key(to: &Jid, from: &Jid, stanza: &Stanza) -> u64 {
    hash::stable(&[to.as_str().as_bytes(), from.as_str().as_bytes(), stanza.id().unwrap_or_default().as_bytes()])
}

impl Whispers {
    /// `to` gets this stanza of `by` from the occupant `from`.
    pub fn add(&mut self, now: Mono, stanza: &Stanza, (by, from): (&Jid, &Jid), (to_occupant, to): (&Jid, &Jid)) {
        if self.sent.len() >= WHISPERS_MAX {
            self.sent.pop_front();
        }
        let (by, to_occupant) = (by.clone(), to_occupant.clone());
        self.sent.push_back(Whisper { key: key(to, from, stanza), by, to_occupant, until: now + WHISPER_TIME });
    }

    /// What this error of `by` to the occupant `to` answers. Nothing else answers it again.
    pub fn answered(&mut self, now: Mono, error: &Stanza, by: &Jid, to: &Jid) -> Option<Whisper> {
        let over = self.sent.iter().take_while(|it| it.until <= now).count();
        self.sent.drain(..over);
        let key = key(by, to, error);
        let at = self.sent.iter().position(|it| it.key == key)?;
        self.sent.remove(at)
    }
}

/// Which of the conditions of RFC 6120 8.3.3 it is; `None` if it names none.
pub fn condition(error: &El<'_>) -> Option<Condition> {
    let named = error.children().find(|child| child.ns() == ns::STANZAS && child.local() != "text")?;
    Some(Condition::parse(named.local()).unwrap_or(Condition::UndefinedCondition))
}

/// The same error without what could be said beside: its type, condition, text and application's condition (RFC 6120 8.3.1), without
/// `by`, which would be a real address.
pub fn rewritten(error: &El<'_>, id: Option<&str>) -> String {
    let condition = condition(error).unwrap_or(Condition::UndefinedCondition);
    let kind = error.attr("type").and_then(|kind| ErrorType::parse(&kind)).unwrap_or(condition.default_type());
    let mut xml = Build::new();
    xml.open("message").attr("type", "error").attr_opt("id", id);
    xml.open("error").attr("type", kind.as_str()).open_ns(condition.as_str(), ns::STANZAS).close();
    if let Some(text) = error.child(ns::STANZAS, "text") {
        let lang = text.attr("xml:lang").filter(|lang| lang.len() <= LANG_BYTES_MAX);
        let said = text.text();
        let end = said.floor_char_boundary(TEXT_BYTES_MAX);
        xml.open_ns("text", ns::STANZAS).attr_opt("xml:lang", lang.as_deref()).text(&said[..end]).close();
    }
    let is_of_others = |it: &El<'_>| ![ns::STANZAS, ns::CLIENT, ""].contains(&it.ns());
    let own = error.children().find(is_of_others).filter(|it| it.ns().len() + it.local().len() <= NAME_BYTES_MAX);
    if let Some(own) = own {
        xml.empty(own.local(), own.ns());
    }
    xml.close().close();
    stanzas::text(xml)
}
