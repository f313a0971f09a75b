//! Those whose affiliation somebody else changes while they are not here (17.1): "Out of courtesy, a MUC service MAY send an out-of-room
//! <message/> …; the message SHOULD be sent from the room to the user's bare JID, MAY contain a <body/> …, and MUST contain a status
//! code of 101". It waits for them as any message with a body does.
//!
//! Security D2: so an admin could have the room write to whomever they like, as often as they like. Who is made more than they were is
//! told, and of these there are so many a minute (`may_disturb`); what takes something away always holds, and beyond that is told to nobody.
//! One and the same person hears of ten changes a minute.

use iris_core::xml::Build;
use iris_core::{Bounce, HostTurn, Jid};

use super::affiliations::Affiliated;
use super::association::Affiliation;
use super::pace::SENT_PER_PERSON_MAX;
use super::room::{Room, bare};
use super::stanzas::Actor;
use super::{USER, pace, stanzas};

/// Changes in a minute of one and the same person.
const TOLD_OF_ONE_MAX: usize = 10;

/// What somebody has become.
pub struct Became<'a> {
    pub old: Affiliation,
    pub new: Affiliation,
    pub actor: Option<&'a Actor>,
    pub reason: Option<&'a str>,
}

impl Room {
    /// For people.
    pub fn called(&self, turn: &HostTurn<'_>) -> String {
        let name = if self.config.name.is_empty() { turn.jid.as_str() } else { &self.config.name };
        match (&self.config.bubble, self.config.archived) {
            (None, _) => name.to_owned(),
            (Some(_), false) => format!("the bubble {name}"),
            (Some(_), true) => format!("the archived bubble {name}"),
        }
    }

    pub fn is_here(&self, person: &str) -> bool {
        self.occupants.of_person(person).next().is_some()
    }

    /// `set_affiliation` by somebody else than the person it is about, who is told of it.
    pub fn affiliate(&mut self, turn: &mut HostTurn<'_>, address: &str, affiliated: Affiliated, actor: Option<&Actor>) {
        let (old, new) = (self.affiliations.at(address).map_or(Affiliation::None, |it| it.affiliation), affiliated.affiliation);
        let reason = affiliated.reason.clone();
        let is_here = self.is_here(address);
        self.set_affiliation(turn, address, affiliated, actor);
        if !is_here
            && old != new
            && self.may_know(address, old, new)
            && actor.is_none_or(|actor| actor.jid != address && self.may_tell(turn, actor, address, new > old))
        {
            let it = Became { old, new, actor, reason: reason.as_deref() };
            let text = text(&self.called(turn), &it);
            self.tell_became(turn, address, &it, &text);
        }
    }

    /// Is this one, who is not here, told of it now? Then they have been.
    pub fn may_tell(&mut self, turn: &HostTurn<'_>, actor: &Actor, address: &str, is_more: bool) -> bool {
        let now = turn.now.mono;
        self.told_away.forget_before(now);
        let may = self.told_away.count(&actor.jid, address) < TOLD_OF_ONE_MAX
            && (is_more || self.told_away.has_place(&actor.jid, 1, now).is_ok());
        if may {
            self.told_away.add(&actor.jid, address, now);
        }
        may
    }

    /// May whoever speaks make so many who are not here more than they were?
    pub fn may_disturb(&mut self, turn: &HostTurn<'_>, people: usize) -> Result<(), Bounce> {
        let now = turn.now.mono;
        self.told_away.forget_before(now);
        self.told_away.has_place(bare(turn.from), people, now).map_err(|wait| {
            let what = "of people who are not here one person lets in, raises or pardons at most";
            pace::soon(format!("{what} {SENT_PER_PERSON_MAX} a minute"), wait)
        })
    }

    /// A ban of somebody who has never been able to come in would only tell them that there is a room. A domain that is banned is nobody
    /// who reads.
    fn may_know(&self, address: &str, old: Affiliation, new: Affiliation) -> bool {
        let belongs = old.max(new) >= Affiliation::Member;
        belongs || (self.is_public() && address.contains('@'))
    }

    pub fn tell_became(&self, turn: &mut HostTurn<'_>, address: &str, it: &Became<'_>, text: &str) {
        let Ok(to) = Jid::new(address) else { return };
        let mut xml = Build::new();
        xml.leaf("body", text).open_ns("x", USER);
        self.write_became(address, it, &mut xml);
        xml.close();
        self.tell_one(turn, to, &stanzas::text(xml));
    }

    /// `<item/>` and the code. Whose real address the person may not see here is named by nickname, or not at all.
    pub fn write_became(&self, address: &str, it: &Became<'_>, xml: &mut Build) {
        let sees = self.config.non_anonymous || it.new >= Affiliation::Admin;
        xml.open("item").attr("affiliation", it.new.as_str()).attr("jid", address).attr("role", "none");
        xml.attr_opt("nick", self.affiliations.nick_of(address));
        if let Some(actor) = it.actor {
            let jid = sees.then_some(actor.jid.as_str());
            if actor.nick.is_some() || jid.is_some() {
                xml.open("actor").attr_opt("nick", actor.nick.as_deref()).attr_opt("jid", jid).close();
            }
        }
        if let Some(reason) = it.reason {
            xml.leaf("reason", reason);
        }
        xml.close().open("status").attr("code", "101").close();
    }
}

fn text(room: &str, it: &Became<'_>) -> String {
    let said = match (it.old, it.new) {
        (_, Affiliation::Owner) => format!("You own {room} now."),
        (_, Affiliation::Admin) => format!("You administer {room} now."),
        (Affiliation::Owner | Affiliation::Admin, Affiliation::Member) => format!("You are only a member of {room} now."),
        (_, Affiliation::Member) => format!("You are a member of {room} now."),
        (Affiliation::Outcast, Affiliation::None) => format!("You are no longer banned from {room}."),
        (_, Affiliation::None) => format!("You no longer belong to {room}."),
        (_, Affiliation::Outcast) => format!("You are banned from {room}."),
    };
    it.reason.map_or_else(|| said.clone(), |reason| format!("{said} Reason: {reason}"))
}
