//! What is said to everybody (7.4), to one (7.5), and what the subject is (8.1).

use std::sync::Arc;
use std::time::Duration;

use iris_core::store::{EntryId, Write};
use iris_core::xml::wire::{self};
use iris_core::xml::{Stanza, Strip};
use iris_core::{Bounce, Condition, HostTurn, Kind, Reply, Said, hash, ns};

use super::association::{Affiliation, Role};
use super::history::{self, ARCHIVE, Past};
use super::pace::ACTIVITY;
use super::room::{Room, SUBJECT};
use super::{USER, stanzas, whispers};

/// RFC 6121, 8.5.3; XEP-0045 17.2.2: errors that say that nobody is there.
const NOBODY_THERE: &[Condition] = &[
    Condition::Gone,
    Condition::ItemNotFound,
    Condition::RecipientUnavailable,
    Condition::Redirect,
    Condition::RemoteServerNotFound,
    Condition::RemoteServerTimeout,
    Condition::ServiceUnavailable,
    Condition::InternalServerError,
    Condition::JidMalformed,
];

/// After a start, messages may be sent again.
const SENT_AGAIN_TIME: Duration = Duration::from_secs(600);

impl Room {
    /// 7.4.
    pub fn say(&mut self, turn: &mut HostTurn<'_>, stanza: &Arc<Stanza>) -> Reply {
        let Some(speaker) = self.speaker(turn) else { return Bounce::new(Condition::NotAcceptable).into() };
        let names = self.service.names;
        if names.pretends_moderation(stanza) {
            return Bounce::new(Condition::Forbidden).text("what a moderator takes back the room says itself").into();
        }
        // 8.1: "only a message that contains a <subject/> but no <body/>" (and no <thread/>) changes the subject.
        let is_subject = stanza.has(names.subject) && !stanza.has(names.body) && !stanza.has(names.thread);
        if is_subject && !self.may_change_subject(speaker.role) {
            return Bounce::new(Condition::Forbidden).text("the subject is the moderators'").into();
        }
        if !is_subject && speaker.role < Role::Participant {
            return Bounce::new(Condition::Forbidden).text("only those with voice may speak here").into();
        }
        let (person, affiliation) = (speaker.person.clone(), speaker.affiliation);
        let (from, occupant_id) = (speaker.jid.clone(), stanzas::occupant_id(&speaker.id));
        // XEP-0500 5: "Room administrators and owners MUST NOT be rate limited."
        if names.speaks(stanza)
            && affiliation < Affiliation::Admin
            && let Err(why) = self.slow.speak(&person, turn.now.mono, self.config.slow_mode)
        {
            return why.into();
        }
        let strip = self.forged(turn, stanza);
        let mut stamps = stanzas::stamps(&from, strip, occupant_id, None);
        if let Some(id) = self.said_before(turn, &person, stanza) {
            stamps.stanza_id = Some(history::stanza_id(turn, id));
            turn.fan_out_stamped(from, stanza.clone(), stamps, self.occupants.everybody());
            return Reply::Sent;
        }
        let heard = Said { public: self.is_public(), mentioned: false, author: hash::stable(&[person.as_bytes()]) };
        let is_content = self.service.policy.is_content(stanza);
        // The subject is the room's, whatever its author wishes for the archive (XEP-0334).
        let id = turn.mint();
        if is_content || is_subject {
            let real = turn.from.as_str();
            let entry = history::encode(real, stanza, &stamps);
            if self.config.archive && is_content {
                let peer = hash::stable(&[from.as_str().as_bytes()]);
                let tag = history::tag(&person, &stanza.el());
                let owner = turn.owner;
                turn.write(Write::Append { owner, shelf: ARCHIVE, id, peer, tag, entry: entry.clone() });
            }
            stamps.stanza_id = Some(history::stanza_id(turn, id));
            self.remember(turn, Past::new(id, entry), is_subject);
            if is_content {
                self.tell_absent(turn, &from, stanza, &stamps);
            }
        }
        turn.fan_out_said(from, stanza.clone(), stamps, self.occupants.everybody(), heard);
        // XEP-0502 5: bodies, and no corrections.
        if stanza.has(names.body) && !stanza.has(names.replace) && self.activity.count(turn.now.wall_us) && self.is_kept() {
            turn.put(ACTIVITY, "", self.activity.encode());
        }
        if stanza.has(names.retract) {
            self.retracted(turn, stanza, id);
        }
        Reply::Sent
    }

    /// Kept before the house went down, and its sender has not heard so: the same message, the same id.
    fn said_before(&mut self, turn: &HostTurn<'_>, person: &str, stanza: &Stanza) -> Option<EntryId> {
        if self.kept_before.is_empty() {
            return None;
        }
        if turn.now.mono.since(turn.house.started.mono) > SENT_AGAIN_TIME {
            self.kept_before.clear();
            return None;
        }
        self.kept_before.get(&history::tag(person, &stanza.el())).copied()
    }

    fn may_change_subject(&self, role: Role) -> bool {
        role == Role::Moderator || (self.config.change_subject && role >= Role::Participant)
    }

    fn remember(&mut self, turn: &mut HostTurn<'_>, past: Past, is_subject: bool) {
        if is_subject {
            if self.is_kept() {
                turn.put(SUBJECT, "", past.keep());
            }
            self.subject = Some(past);
            return;
        }
        self.history.push_back(past);
        self.trim_history();
    }

    /// Nobody is shown more than this, so no more is in memory: neither in number nor in bytes.
    pub fn trim_history(&mut self) {
        let mut bytes: usize = self.history.iter().map(|past| past.entry.len()).sum();
        while self.history.len() > self.service.settings.history_messages_max || bytes > history::SHOWN_BYTES_MAX {
            bytes -= self.history.pop_front().map_or(bytes, |past| past.entry.len());
        }
    }

    /// 7.5.
    pub fn whisper(&mut self, turn: &mut HostTurn<'_>, stanza: &Arc<Stanza>) -> Reply {
        let Some(speaker) = self.speaker(turn) else { return Bounce::new(Condition::NotAcceptable).into() };
        let nick = turn.to.resource().map_or("", |nick| nick.as_str());
        let Some(to) = self.occupants.by_nick(nick) else { return Bounce::new(Condition::ItemNotFound).into() };
        if !self.config.allow_pm.lets(speaker.role) {
            return Bounce::new(Condition::Forbidden).text("private messages are not allowed here").into();
        }
        let from = speaker.jid.clone();
        let extra = stanzas::occupant_id(&speaker.id) + &format!("<x xmlns='{USER}'/>");
        let stamps = stanzas::stamps(&from, self.forged(turn, stanza), extra, None);
        let wire = Arc::new(wire::render(stanza, &stamps));
        for session in &to.sessions {
            self.whispers.add(turn.now.mono, stanza, (turn.from, &from), (&to.jid, &session.jid));
            turn.send_wire(from.clone(), session.jid.clone(), stanza.clone(), stamps.clone(), wire.clone());
        }
        Reply::Sent
    }

    /// An error from somebody who is there: they cannot be reached (11.1, 17.2.2), or whoever had told them something is to know.
    pub fn hear_error(&mut self, turn: &mut HostTurn<'_>, stanza: &Arc<Stanza>) -> Reply {
        let error = stanza.child_named(ns::CLIENT, "error").map(|child| stanza.child_el(child));
        let condition = error.as_ref().and_then(whispers::condition);
        let Some(occupant_id) = self.speaker(turn).map(|it| stanzas::occupant_id(&it.id)) else {
            if stanza.kind() == Kind::Message && turn.to.resource().is_none() {
                self.invitation_failed(turn, condition);
            }
            return Reply::Sent;
        };
        let is_message = stanza.kind() == Kind::Message;
        let answers = if is_message { self.whispers.answered(turn.now.mono, stanza, turn.from, turn.to) } else { None };
        // XEP-0191 3.3: for somebody whom they have blocked nobody is there, and yet they are.
        let is_private = condition == Some(Condition::ServiceUnavailable) && answers.is_some();
        if !is_private && condition.is_none_or(|condition| NOBODY_THERE.contains(&condition)) {
            self.gone_by_error(turn);
            return Reply::Sent;
        }
        if let (Some(it), Some(error)) = (answers.filter(|it| self.occupants.by_session(&it.by).is_some()), error)
            && let Some(told) = stanzas::made(turn, &whispers::rewritten(&error, stanza.id().as_deref()))
        {
            let stamps = stanzas::stamps(&it.to_occupant, Strip::default(), occupant_id, None);
            turn.fan_out_stamped(it.to_occupant, told, stamps, [it.by].into());
        }
        Reply::Sent
    }
}
