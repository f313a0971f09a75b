//! Invitations that the room passes on, and what became of them (7.8.2, 9.5). A direct one (XEP-0249) is none of the room's business.

use std::collections::VecDeque;
use std::sync::Arc;

use iris_core::store::{Item, Shelf};
use iris_core::xml::{Build, El, Stanza};
use iris_core::{Bounce, Changed, Condition, HostTurn, Jid, Reply, jids};

use super::affiliations::{Affiliated, address};
use super::association::{Affiliation, Role};
use super::away::Became;
use super::pace::{SENT_PER_PERSON_MAX, Sent};
use super::room::{Room, bare};
use super::stanzas::Actor;
use super::{USER, bubble, pace, stanzas};

/// Invitations of one message, and of one room that are not answered yet: the oldest are forgotten.
const INVITEES_MAX: usize = 20;
const OPEN_MAX: usize = 1_000;
/// Of one inviter: a bubble may begin with so many.
const OPEN_PER_INVITER_MAX: usize = 500;
const REASON_BYTES_MAX: usize = 4_096;

/// What comes back from an address that is nobody's (RFC 6121 8.5.1, RFC 6120 8.3.3), or whose owner wants nothing from here.
const NO_SUCH_ADDRESS: &[Condition] = &[
    Condition::ServiceUnavailable,
    Condition::ItemNotFound,
    Condition::Gone,
    Condition::JidMalformed,
    Condition::RemoteServerNotFound,
];

/// Invitations of a room that stays. Key: the bare JIDs of invitee and inviter with a space between.
pub const SHELF: Shelf = Shelf::map("muc-invitation");

/// Who was invited by whom and has neither come nor declined: only they may decline, and only the inviter is told. People answer when
/// they come home, and nobody may be in the room by then.
#[derive(Debug, Default)]
pub struct Invitations {
    open: VecDeque<(Arc<str>, Jid)>,
    /// Who has invited whom within the last minute, whatever has become of it.
    sent: Sent,
}

impl Invitations {
    pub fn load<'a>(items: impl Iterator<Item = &'a Item>) -> Invitations {
        let read = |item: &Item| item.key.split_once(' ').and_then(|(of, by)| Some((Arc::from(of), Jid::new(by).ok()?)));
        Invitations { open: items.filter_map(read).take(OPEN_MAX).collect(), sent: Sent::default() }
    }

    /// The one that is forgotten for it, if any: of who invites many the oldest of theirs, not those of others.
    fn add(&mut self, invitee: &str, inviter: Jid) -> Option<(Arc<str>, Jid)> {
        let is_theirs = |(_, by): &(Arc<str>, Jid)| bare(by) == bare(&inviter);
        let oldest = self.open.iter().position(is_theirs).filter(|_| {
            let theirs = self.open.iter().filter(|it| is_theirs(it)).count();
            theirs >= OPEN_PER_INVITER_MAX
        });
        let over = oldest.or_else(|| (self.open.len() >= OPEN_MAX).then_some(0));
        let forgotten = over.and_then(|at| self.open.remove(at));
        self.open.push_back((Arc::from(invitee), inviter));
        forgotten
    }

    /// Sent within the last minute, and neither accepted nor refused: whoever has it needs no other.
    fn is_fresh(&self, invitee: &str, inviter: &str) -> bool {
        self.sent.count(inviter, invitee) > 0 && self.open.iter().any(|(of, by)| **of == *invitee && bare(by) == inviter)
    }

    pub fn keys(&self) -> impl Iterator<Item = String> {
        self.open.iter().map(|(of, by)| key(of, by))
    }
}

fn key(invitee: &str, inviter: &Jid) -> String {
    format!("{invitee} {}", bare(inviter))
}

/// What an inviter says.
#[derive(Default)]
pub struct Words {
    pub reason: Option<String>,
    /// `<continue/>` (7.9) with its thread.
    pub continues: Option<Option<String>>,
    /// What they were before it made them a member, and who has done that.
    pub became: Option<(Affiliation, Option<Actor>)>,
}

impl Words {
    fn of(invite: &El<'_>) -> Words {
        let reason = invite.child(USER, "reason").map(|it| it.text().into_owned()).filter(|it| !it.is_empty());
        let continues = invite.child(USER, "continue").map(|it| it.attr("thread").map(std::borrow::Cow::into_owned));
        Words { reason, continues, became: None }
    }
}

impl Room {
    fn remember_invitation(&mut self, turn: &mut HostTurn<'_>, invitee: &str, inviter: Jid) {
        self.take_invitations(turn, |of, by| of == invitee && bare(by) == bare(&inviter));
        if self.is_kept() {
            turn.put(SHELF, &key(invitee, &inviter), "");
        }
        if let Some((of, by)) = self.invitations.add(invitee, inviter)
            && self.is_kept()
        {
            turn.delete(SHELF, &key(&of, &by));
        }
    }

    fn take_invitations(&mut self, turn: &mut HostTurn<'_>, which: impl Fn(&str, &Jid) -> bool) -> Vec<Jid> {
        let is_kept = self.is_kept();
        let mut inviters = Vec::new();
        self.invitations.open.retain(|(of, by)| {
            let taken = which(of, by);
            if taken {
                inviters.push(by.clone());
                if is_kept {
                    turn.delete(SHELF, &key(of, by));
                }
            }
            !taken
        });
        inviters
    }

    /// Somebody has come, or will not come: everybody who has invited them.
    pub fn answered(&mut self, turn: &mut HostTurn<'_>, invitee: &str) -> Vec<Jid> {
        self.take_invitations(turn, |of, _| of == invitee)
    }

    /// The person is no more: neither invited, nor told what became of invitations.
    pub fn forget_invitations(&mut self, turn: &mut HostTurn<'_>, person: &str) {
        self.take_invitations(turn, |of, by| of == person || bare(by) == person);
    }

    /// 7.8.2: "If the inviter supplies a non-existent JID, the room SHOULD return an <item-not-found/> error to the inviter."
    pub fn invitation_failed(&mut self, turn: &mut HostTurn<'_>, condition: Option<Condition>) {
        let invitee = bare(turn.from).to_owned();
        let inviters = self.answered(turn, &invitee);
        if inviters.is_empty() {
            return;
        }
        for inviter in inviters {
            if self.occupants.by_session(&inviter).is_none() {
                // An error to a bare JID is dropped (RFC 6121 8.5.2): whoever made a bubble by command, or has gone, reads a message.
                let name = if self.config.name.is_empty() { turn.jid.as_str() } else { &self.config.name };
                let text = format!("Your invitation of {invitee} to {name} did not arrive: nobody can be reached there.");
                let inside = format!("<body>{}</body>", iris_core::xml::escape_text(&text));
                self.tell_one(turn, inviter.to_bare().into(), &inside);
                continue;
            }
            let mut xml = Build::new();
            xml.open_ns("x", USER).open("invite").attr("to", &invitee).close().close();
            let mut inside = stanzas::text(xml);
            Bounce::new(Condition::ItemNotFound).text("the invitation did not arrive").write(&mut inside);
            if let Some(told) = stanzas::made(turn, &format!("<message type='error'>{inside}</message>")) {
                turn.send_stanza(inviter, told);
            }
        }
        // They would hold a place of the plan for ever. Whose server could not be asked may still come.
        let is_nobody =
            condition.is_some_and(|it| NO_SUCH_ADDRESS.contains(&it)) && self.affiliations.of(&invitee) == Affiliation::Member;
        if self.config.bubble.is_some() && is_nobody {
            self.set_affiliation(turn, &invitee, Affiliated::new(Affiliation::None), None);
        }
    }

    /// Whoever has left meanwhile hears of it on whatever device.
    fn where_inviter_is(&self, inviter: Jid) -> Jid {
        if self.occupants.by_session(&inviter).is_some() { inviter } else { inviter.to_bare().into() }
    }

    pub fn hear_invitation(&mut self, turn: &mut HostTurn<'_>, x: &El<'_>) -> Reply {
        if let Some(decline) = x.child(USER, "decline") {
            return self.decline(turn, &decline);
        }
        let invites: Vec<El<'_>> = x.children().filter(|child| child.is(USER, "invite")).take(INVITEES_MAX + 1).collect();
        if invites.is_empty() || invites.len() > INVITEES_MAX {
            let what = format!("a message holds from one to {INVITEES_MAX} invitations");
            return Bounce::new(Condition::BadRequest).limit(what, Changed::ByNobody("send several")).into();
        }
        if self.config.archived {
            return bubble::is_archived().into();
        }
        if let Err(why) = self.may_invite(turn) {
            return why.into();
        }
        let mut invitees: Vec<(Jid, Words)> = Vec::with_capacity(invites.len());
        for invite in &invites {
            let Some(Ok(to)) = invite.attr("to").map(|to| jids::address(&to)) else {
                return Bounce::new(Condition::JidMalformed).into();
            };
            let words = Words::of(invite);
            if words.reason.as_ref().is_some_and(|reason| reason.len() > REASON_BYTES_MAX) {
                let what = format!("a reason has at most {REASON_BYTES_MAX} bytes");
                let help = Changed::ByNobody("say it in fewer words");
                return Bounce::new(Condition::NotAcceptable).limit(what, help).into();
            }
            if self.affiliation_of(&to) == Affiliation::Outcast {
                return Bounce::new(Condition::NotAllowed).text("whom you invite is banned here").into();
            }
            if invitees.iter().all(|(other, _)| bare(other) != bare(&to)) {
                invitees.push((to, words));
            }
        }
        let (inviter, now) = (turn.from.clone(), turn.now.mono);
        self.invitations.sent.forget_before(now);
        let joining = |to: &Jid| self.config.members_only && self.affiliation_of(to) < Affiliation::Member;
        let more = invitees.iter().filter(|(to, _)| joining(to)).count();
        if let Err(why) = self.has_place(more).and_then(|()| self.has_place_for_members(more)) {
            return why.into();
        }
        // Whom that makes a member has something new to hear.
        invitees.retain(|(to, _)| joining(to) || !self.invitations.is_fresh(bare(to), bare(&inviter)));
        if let Err(wait) = self.invitations.sent.has_place(bare(&inviter), invitees.len(), now) {
            let what = format!("one person invites at most {SENT_PER_PERSON_MAX} people a minute into a room");
            return pace::soon(what, wait).into();
        }
        for (to, words) in invitees {
            self.invitations.sent.add(bare(&inviter), bare(&to), now);
            // 9.5: "any invitation sent SHOULD automatically trigger the addition of the invitee to the member list"; in an open room
            // it MUST NOT.
            if self.config.members_only && self.affiliation_of(&to) < Affiliation::Member {
                let actor = self.actor(turn);
                let old = self.affiliation_of(&to);
                self.set_affiliation(turn, &address(&to), Affiliated::new(Affiliation::Member), Some(&actor));
                self.invite(turn, &inviter, to, &Words { became: Some((old, Some(actor))), ..words });
            } else {
                self.invite(turn, &inviter, to, &words);
            }
        }
        Reply::Sent
    }

    /// 5.1.1, 7.8.2: whoever is here; into a room of members its admins, or all members if its owners say so.
    fn may_invite(&self, turn: &HostTurn<'_>) -> Result<(), Bounce> {
        let affiliation = self.affiliation_of(turn.from);
        let Some(role) = self.speaker(turn).map(|it| it.role) else {
            // An admin need not be here.
            return if affiliation >= Affiliation::Admin { Ok(()) } else { Err(Bounce::new(Condition::NotAcceptable)) };
        };
        let is_allowed = match (self.config.members_only, self.config.allow_invites) {
            (true, true) => affiliation >= Affiliation::Member,
            (true, false) => affiliation >= Affiliation::Admin,
            (false, _) => role > Role::None,
        };
        if is_allowed { Ok(()) } else { Err(Bounce::new(Condition::Forbidden).text("only admins may invite here")) }
    }

    pub fn invite(&mut self, turn: &mut HostTurn<'_>, inviter: &Jid, to: Jid, words: &Words) {
        let mut xml = Build::new();
        xml.open_ns("x", USER).open("invite").attr("from", bare(inviter));
        if let Some(reason) = &words.reason {
            xml.leaf("reason", reason);
        }
        if let Some(thread) = &words.continues {
            xml.open("continue").attr_opt("thread", thread.as_deref()).close();
        }
        xml.close();
        if let Some(password) = &self.config.password {
            xml.leaf("password", password);
        }
        if let Some((old, actor)) = words.became.as_ref().filter(|_| !self.is_here(bare(&to))) {
            let it = Became { old: *old, new: self.affiliations.of(bare(&to)), actor: actor.as_ref(), reason: None };
            self.write_became(bare(&to), &it, &mut xml);
        }
        xml.close();
        self.remember_invitation(turn, bare(&to), inviter.clone());
        self.tell_one(turn, to, &stanzas::text(xml));
    }

    /// 9.5: somebody was made a member of a room of members. Who is not here is asked to come.
    pub fn make_member(&mut self, turn: &mut HostTurn<'_>, address: &str, affiliated: Affiliated, actor: &Actor) {
        let (old, reason) = (self.affiliations.of(address), affiliated.reason.clone());
        let is_here = self.is_here(address);
        self.set_affiliation(turn, address, affiliated, Some(actor));
        if let (false, Ok(to)) = (is_here, Jid::new(address))
            && self.may_tell(turn, actor, address, true)
        {
            let words = Words { reason, continues: None, became: Some((old, Some(actor.clone()))) };
            let inviter = turn.from.clone();
            self.invite(turn, &inviter, to, &words);
        }
    }

    fn decline(&mut self, turn: &mut HostTurn<'_>, decline: &El<'_>) -> Reply {
        let reason = decline.child(USER, "reason").map(|it| it.text().into_owned());
        let reason = reason.filter(|reason| !reason.is_empty() && reason.len() <= REASON_BYTES_MAX);
        let person = bare(turn.from).to_owned();
        let mut inviters = self.answered(turn, &person);
        // A bubble's members were all invited, also if the invitation was forgotten for later ones.
        let refuses = self.config.bubble.is_some() && self.affiliations.of(&person) == Affiliation::Member;
        if inviters.is_empty() && refuses {
            inviters = self.affiliations.having(Affiliation::Owner).filter_map(|(owner, _)| Jid::new(owner).ok()).collect();
        }
        if inviters.is_empty() {
            return Bounce::new(Condition::ItemNotFound).text("nobody has invited you").into();
        }
        let mut xml = Build::new();
        xml.open_ns("x", USER).open("decline").attr("from", bare(turn.from));
        if let Some(reason) = &reason {
            xml.leaf("reason", reason);
        }
        xml.close().close();
        let inside = stanzas::text(xml);
        // Feature 33, for whoever made the bubble and reads it somewhere: as when somebody has come.
        let reason = reason.map_or_else(String::new, |reason| format!(" Reason: {reason}"));
        let text = format!("{person} does not want to come into {}.{reason}", self.called(turn));
        let in_words = format!("<body>{}</body>{inside}", iris_core::xml::escape_text(&text));
        for inviter in inviters {
            let in_words = if self.config.bubble.is_some() && !self.is_here(bare(&inviter)) { &in_words } else { &inside };
            let to = self.where_inviter_is(inviter);
            self.tell_one(turn, to, in_words);
        }
        if refuses {
            self.set_affiliation(turn, &person, Affiliated::new(Affiliation::None), None);
        }
        Reply::Sent
    }

    /// A message to the room itself that is not for everybody.
    pub fn hear_request(&mut self, turn: &mut HostTurn<'_>, stanza: &Arc<Stanza>) -> Reply {
        let names = self.service.names;
        if let Some(x) = stanza.child(names.user).map(|child| stanza.child_el(child)) {
            return self.hear_invitation(turn, &x);
        }
        if let Some(form) = stanza.child(names.form).map(|child| stanza.child_el(child)) {
            return self.hear_form(turn, &form);
        }
        match self.speaker(turn) {
            None => Bounce::new(Condition::NotAcceptable).into(),
            Some(_) => Bounce::bad_request("what is said to all is of type groupchat").into(),
        }
    }
}
