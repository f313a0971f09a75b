//! Questions of occupants to each other (6.6, 16.4): an iq to an occupant's address goes to that occupant's client under the asker's
//! occupant address, and so does the answer back. XEP-0410: a ping to oneself is answered here.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use iris_core::time::Mono;
use iris_core::xml::{Build, Stanza};
use iris_core::{Bounce, Changed, Condition, HostTurn, Jid, Reply, StanzaType, ns};

use super::occupants::Occupant;
use super::room::{Room, bare};
use super::stanzas;

const PING: &str = "urn:xmpp:ping";
const VCARD: &str = "vcard-temp";
/// Questions of one room that wait for an answer, those of one client, and how long.
const OPEN_MAX: usize = 1_000;
const OPEN_PER_ASKER_MAX: usize = 100;
const OPEN_TIME: Duration = Duration::from_secs(120);

/// What was asked and not yet answered.
#[derive(Debug)]
struct Question {
    asker: Jid,
    id: String,
    /// Who answers, and as whom.
    of: Jid,
    as_occupant: Jid,
    until: Mono,
}

#[derive(Debug, Default)]
pub struct Relay {
    open: HashMap<u64, Question>,
    next: u64,
}

impl Relay {
    /// Somebody has left: nobody waits for them, and they wait for nothing.
    pub fn forget(&mut self, occupant: &Occupant) {
        let is_theirs = |jid: &Jid| occupant.sessions.iter().any(|session| session.jid == *jid);
        self.open.retain(|_, question| !is_theirs(&question.asker) && !is_theirs(&question.of));
    }

    fn add(&mut self, now: Mono, question: Question) -> Option<u64> {
        if self.open.len() >= OPEN_MAX {
            self.open.retain(|_, question| question.until > now);
        }
        let theirs = self.open.values().filter(|other| other.asker == question.asker && other.until > now).count();
        if self.open.len() >= OPEN_MAX || theirs >= OPEN_PER_ASKER_MAX {
            return None;
        }
        self.next += 1;
        self.open.insert(self.next, question);
        Some(self.next)
    }
}

fn relayed_id(number: u64) -> String {
    format!("relay-{number:x}")
}

impl Room {
    /// To an occupant's address.
    pub fn relay_iq(&mut self, turn: &mut HostTurn<'_>, stanza: &Arc<Stanza>) -> Reply {
        if matches!(stanza.stype(), StanzaType::Result | StanzaType::Error) {
            return self.relay_answer(turn, stanza);
        }
        let nick = turn.to.resource().map_or("", |nick| nick.as_str());
        let is_ping = stanza.children().first().is_some_and(|child| stanza.child_ns(child) == PING);
        let Some(asker) = self.speaker(turn) else {
            // 6.6: "If a non-occupant attempts to send a disco request …, a MUC service MUST return a <bad-request/> error."
            let disco = stanza.children().first().is_some_and(|child| stanza.child_ns(child).contains("/protocol/disco#"));
            let condition = if disco { Condition::BadRequest } else { Condition::NotAcceptable };
            return Bounce::new(condition).into();
        };
        let Some(target) = self.occupants.by_nick(nick) else { return Bounce::new(Condition::ItemNotFound).into() };
        if is_ping && stanza.stype() == StanzaType::Get && target.nick == asker.nick {
            return Reply::empty();
        }
        let (Some(child), Some(session)) = (stanza.children().first(), target.sessions.last()) else {
            return Bounce::bad_request("an iq of type get or set has exactly one child").into();
        };
        // What an account keeps, the account answers.
        let of = if stanza.child_ns(child) == VCARD { Jid::new(bare(&session.jid)).ok() } else { None };
        let of = of.unwrap_or_else(|| session.jid.clone());
        let (from, until) = (asker.jid.clone(), turn.now.mono + OPEN_TIME);
        let id = stanza.id().unwrap_or_default().into_owned();
        let question = Question { asker: turn.from.clone(), id, of: of.clone(), as_occupant: target.jid.clone(), until };
        let Some(number) = self.relay.add(turn.now.mono, question) else {
            let what = "too many questions in this room, or of yours, wait for an answer";
            return Bounce::over(what, Changed::ByNobody("ask again when some are answered")).into();
        };
        if let Some(asked) = rewritten(turn, stanza, &relayed_id(number)) {
            turn.send_as(from, of, asked);
        }
        Reply::Sent
    }

    fn relay_answer(&mut self, turn: &mut HostTurn<'_>, stanza: &Arc<Stanza>) -> Reply {
        let number = stanza.id().and_then(|id| u64::from_str_radix(id.strip_prefix("relay-")?, 16).ok());
        let Some(number) = number else { return Reply::Sent };
        if self.relay.open.get(&number).is_none_or(|question| question.of != *turn.from) {
            return Reply::Sent;
        }
        if let Some(question) = self.relay.open.remove(&number)
            && let Some(answer) = rewritten(turn, stanza, &question.id)
        {
            turn.send_as(question.as_occupant, question.asker, answer);
        }
        Reply::Sent
    }
}

/// The same iq under another id. An error's child does not name the content namespace: it is ours as well.
fn rewritten(turn: &HostTurn<'_>, stanza: &Stanza, id: &str) -> Option<Arc<Stanza>> {
    let mut xml = Build::new();
    xml.open_ns("iq", ns::CLIENT).attr_opt("type", stanza.attr("type").as_deref()).attr("id", id);
    xml.attr_opt("xml:lang", stanza.lang().as_deref());
    for child in stanza.children() {
        let el = stanza.child_el(child);
        if el.is(ns::CLIENT, "error") {
            // Without `by` (RFC 6120 8.3.1): whose server or client it was, would be a real address.
            xml.open("error").attr_opt("type", el.attr("type").as_deref()).attr_opt("code", el.attr("code").as_deref());
            for it in el.children() {
                xml.raw(&it.closed());
            }
            xml.close();
        } else {
            xml.raw(&stanza.closed(child));
        }
    }
    xml.close();
    stanzas::made(turn, &stanzas::text(xml))
}
