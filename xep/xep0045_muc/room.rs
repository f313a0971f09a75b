//! A room: what is kept of it, who is there, and how it tells people.

use std::cell::Cell;
use std::collections::{BTreeMap, VecDeque};
use std::sync::Arc;

use iris_core::mount::Tail;
use iris_core::store::{EntryId, Item, Shelf};
use iris_core::time::Mono;
use iris_core::xml::{Stamps, Stanza, Strip};
use iris_core::{Bounce, Condition, HostTurn, Jid, Kind, Reply, StanzaType, jids};

use super::affiliations::{Affiliated, Affiliations};
use super::association::{Affiliation, Role};
use super::config::RoomConfig;
use super::hats::{self, Hats};
use super::history::Past;
use super::invite::{self, Invitations};
use super::occupants::{Occupant, Occupants, Session};
use super::pace::{ACTIVITY, Activity, Lately, Sent, SlowMode};
use super::relay::Relay;
use super::requests;
use super::service::{self, Service};
use super::stanzas::{self, Actor, Says};
use super::tokens::{self, Token};
use super::versions::{self, Versions};
use super::voices::{self, Voices};
use super::whispers::Whispers;

/// The configuration, under the key ``; the last change of the subject (`history::Past`) under its own.
pub const ROOM: Shelf = Shelf::record("muc-room");
pub const SUBJECT: Shelf = Shelf::record("muc-subject");
/// See `affiliations`.
pub const AFFILIATIONS: Shelf = Shelf::map("muc-affiliation");
/// Requests for membership that wait for an administrator (7.10). Key: the bare JID. Value: the nickname.
pub const REQUESTS: Shelf = Shelf::map("muc-request");

/// Bytes of what the clients of others say of themselves that somebody is shown who comes in (as `history::SHOWN_BYTES_MAX`). Of those
/// beyond it is said who they are, and no more: a service "MAY choose to discard extended presence information" (15).
const SHOWN_BYTES_MAX: usize = 2 * 1024 * 1024;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Stage {
    /// There is none of this name.
    Absent,
    /// Made and not yet configured: only its owner is let in (10.1.1).
    Locked,
    Open,
}

#[derive(Debug)]
pub struct Room {
    pub service: Arc<Service>,
    pub stage: Stage,
    pub config: RoomConfig,
    pub affiliations: Affiliations,
    /// Bare JID and nickname of those who want to be members.
    pub requests: Vec<(Arc<str>, String)>,
    pub occupants: Occupants,
    pub subject: Option<Past>,
    pub history: VecDeque<Past>,
    /// What was said shortly before the house started, by `history::tag`: some of it may be sent again.
    pub kept_before: BTreeMap<u64, EntryId>,
    pub invitations: Invitations,
    pub slow: SlowMode,
    /// See `requests`: who has asked for voice, and who to become a member.
    pub asked_for_voice: Lately,
    pub asked_for_membership: Lately,
    /// See `away`: who has made others something who are not here.
    pub told_away: Sent,
    pub tokens: BTreeMap<Arc<str>, Token>,
    pub hats: Hats,
    pub versions: Versions,
    pub voices: Voices,
    /// What is said with a change of an affiliation while it is being told (XEP-0463).
    pub changing: String,
    pub activity: Activity,
    pub relay: Relay,
    /// When changes of presence that wait are told (`enter`).
    pub round: Option<Mono>,
    pub whispers: Whispers,
    /// There is none, and yet something lies on disk under its name: of one that was not to outlive its occupants, when the house died.
    pub left_over: bool,
    /// Somebody had no place in this bubble.
    pub was_full: Cell<bool>,
}

/// What everybody is told of an occupant.
pub struct Announcement<'a> {
    pub stanza: &'a Arc<Stanza>,
    pub strip: &'a Strip,
    /// `Role::None`: they are no longer there.
    pub role: Role,
    /// For everybody, and for themselves beside 110.
    pub codes: &'a [u16],
    pub own_codes: &'a [u16],
    pub nick: Option<&'a str>,
    pub actor: Option<&'a Actor>,
    pub reason: Option<&'a str>,
}

impl<'a> Announcement<'a> {
    /// What the client of an occupant last said of itself.
    pub fn of(occupant: &Occupant, session: &'a Session) -> Announcement<'a> {
        Announcement {
            stanza: &session.presence,
            strip: &session.strip,
            role: occupant.role,
            codes: &[],
            own_codes: &[],
            nick: None,
            actor: None,
            reason: None,
        }
    }
}

impl Room {
    pub fn load(service: Arc<Service>, items: &[Item], tail: Tail<'_>, before: Option<Room>) -> Room {
        let of = |shelf: Shelf| items.iter().filter(move |item| item.shelf == shelf);
        let config = of(ROOM).next().and_then(|item| RoomConfig::decode(&item.value, &service.settings));
        let mut room = Room::absent(service);
        // A room that is gone when everybody has left is not kept; neither is one that nobody has configured.
        let before = match (&config, before) {
            (None, Some(mut before)) => {
                before.config.persistent = false;
                return before;
            }
            (_, before) => before,
        };
        room.left_over = config.is_none() && !(items.is_empty() && tail.entries.is_empty());
        if let Some(config) = config {
            room.stage = Stage::Open;
            room.config = config;
            room.affiliations = Affiliations::load(of(AFFILIATIONS));
            let text = |item: &Item| String::from_utf8_lossy(&item.value).into_owned();
            room.requests = of(REQUESTS).map(|item| (item.key.clone(), text(item))).collect();
            room.invitations = Invitations::load(of(invite::SHELF));
            room.subject = of(SUBJECT).next().and_then(|item| Past::restore(&item.value));
            room.kept_before = tail.tags.iter().copied().collect();
            room.history = tail.entries.iter().map(Past::of_entry).filter(Past::is_shown).collect();
            room.trim_history();
            room.tokens = tokens::load(of(tokens::SHELF));
            room.voices = Voices::load(of(voices::SHELF));
            room.versions = Versions::load(of(versions::SHELF));
            room.hats = Hats::load(of(hats::KNOWN), of(hats::WORN));
            room.activity = of(ACTIVITY).next().and_then(|item| Activity::decode(&item.value)).unwrap_or_default();
            if let Some(before) = before {
                room.occupants = before.occupants;
                room.stand_as_kept();
            }
        }
        room
    }

    /// What was changed was not kept: those who are there are again what they were.
    fn stand_as_kept(&mut self) {
        for key in self.occupants.keys(|_| true) {
            let Some(occupant) = self.occupants.by_key_mut(&key) else { continue };
            let affiliation = self.affiliations.of(&occupant.person);
            if affiliation != occupant.affiliation {
                occupant.role = affiliation.role_after(occupant.affiliation, occupant.role, self.config.moderated);
                occupant.affiliation = affiliation;
                occupant.changed();
            }
        }
    }

    pub fn absent(service: Arc<Service>) -> Room {
        Room {
            stage: Stage::Absent,
            config: RoomConfig::new(&service.settings),
            affiliations: Affiliations::default(),
            requests: Vec::new(),
            occupants: Occupants::default(),
            subject: None,
            history: VecDeque::new(),
            kept_before: BTreeMap::new(),
            invitations: Invitations::default(),
            slow: SlowMode::default(),
            asked_for_voice: Lately::new(requests::PAUSE),
            asked_for_membership: Lately::new(requests::PAUSE),
            told_away: Sent::default(),
            tokens: BTreeMap::new(),
            hats: Hats::default(),
            versions: Versions::default(),
            voices: Voices::default(),
            changing: String::new(),
            activity: Activity::default(),
            relay: Relay::default(),
            round: None,
            whispers: Whispers::default(),
            left_over: false,
            was_full: Cell::new(false),
            service,
        }
    }

    /// Does it outlive its last occupant, and a restart?
    pub fn is_kept(&self) -> bool {
        self.stage == Stage::Open && self.config.persistent
    }

    pub fn hear(&mut self, turn: &mut HostTurn<'_>, stanza: &Arc<Stanza>) -> Reply {
        let reply = match stanza.kind() {
            Kind::Presence => self.hear_presence(turn, stanza),
            Kind::Message => self.hear_message(turn, stanza),
            Kind::Iq => self.hear_iq(turn, stanza),
            Kind::Other => Reply::Sent,
        };
        self.rest(turn);
        reply
    }

    /// It was read: the service may have missed what became of it.
    pub fn woken(&mut self, turn: &mut HostTurn<'_>) {
        if self.left_over {
            self.vanish(turn);
        } else if self.stage == Stage::Absent {
            service::forget(turn);
        } else {
            service::tell(turn, self);
            self.take_back_again(turn);
            self.look_at_plan(turn);
            turn.stay_awake(!self.occupants.is_empty());
        }
    }

    /// Whether it may sleep, and whether it is still a room at all.
    pub fn rest(&mut self, turn: &mut HostTurn<'_>) {
        if self.occupants.is_empty() && self.stage != Stage::Absent && !self.is_kept() {
            self.vanish(turn);
        }
        if self.was_full.take() {
            self.look_at_plan(turn);
        }
        turn.stay_awake(!self.occupants.is_empty());
    }

    /// Nothing is left of it.
    pub fn vanish(&mut self, turn: &mut HostTurn<'_>) {
        *self = Room::absent(self.service.clone());
        turn.disown();
        service::forget(turn);
    }

    fn hear_message(&mut self, turn: &mut HostTurn<'_>, stanza: &Arc<Stanza>) -> Reply {
        if stanza.stype() == StanzaType::Error {
            return self.hear_error(turn, stanza);
        }
        if !self.is_there_for(turn.from) {
            return Bounce::new(Condition::ItemNotFound).into();
        }
        match (stanza.stype(), turn.to.resource().is_some()) {
            (StanzaType::Groupchat, false) => self.say(turn, stanza),
            // 7.5: "If the sender attempts to send a private message of type "groupchat" …"
            (StanzaType::Groupchat, true) => Bounce::bad_request("a private message is not of type groupchat").into(),
            (_, true) => self.whisper(turn, stanza),
            (_, false) => self.hear_request(turn, stanza),
        }
    }

    // --- who somebody is ---------------------------------------------------------------------------------------------------

    /// 17.2: one that is not unlocked yet is one that does not exist, but for whoever makes it.
    pub fn is_there_for(&self, jid: &Jid) -> bool {
        match self.stage {
            Stage::Absent => false,
            Stage::Locked => self.affiliation_of(jid) == Affiliation::Owner,
            Stage::Open => true,
        }
    }

    pub fn affiliation_of(&self, jid: &Jid) -> Affiliation {
        self.affiliations.of(bare(jid))
    }

    /// The one who speaks, if they are there.
    pub fn speaker(&self, turn: &HostTurn<'_>) -> Option<&Occupant> {
        self.occupants.by_session(turn.from)
    }

    pub fn actor(&self, turn: &HostTurn<'_>) -> Actor {
        Actor { nick: self.speaker(turn).map(|it| it.nick.to_string()), jid: bare(turn.from).to_owned() }
    }

    /// 7.2.3, 7.2.4: real addresses are shown to everybody, or to moderators.
    pub fn shows_addresses_to(&self, role: Role) -> bool {
        self.config.non_anonymous || role == Role::Moderator
    }

    // --- telling -----------------------------------------------------------------------------------------------------------

    /// Everybody hears of an occupant; those who may not see this role only hear that they went. The occupant's own clients hear
    /// last (7.2.2).
    pub fn announce(&self, turn: &mut HostTurn<'_>, occupant: &Occupant, it: &Announcement<'_>) {
        let role = if it.role == Role::None { occupant.role } else { it.role };
        if self.config.presence_broadcast.has(role) {
            self.announce_to_others(turn, occupant, it);
        }
        let jid = occupant.sessions.last().map(|session| session.jid.clone());
        let jid = jid.as_ref().map(Jid::as_str);
        let own = occupant.sessions.iter().map(|session| session.jid.clone()).collect();
        self.present(turn, occupant, it, jid, &[&[110], it.own_codes].concat(), own);
    }

    pub fn announce_to_others(&self, turn: &mut HostTurn<'_>, occupant: &Occupant, it: &Announcement<'_>) {
        let (mut seers, mut others) = (Vec::new(), Vec::new());
        for other in self.occupants.iter().filter(|other| *other.nick != *occupant.nick) {
            let to = if self.shows_addresses_to(other.role) { &mut seers } else { &mut others };
            to.extend(other.sessions.iter().map(|session| session.jid.clone()));
        }
        let jid = occupant.sessions.last().map(|session| session.jid.clone());
        self.present(turn, occupant, it, jid.as_ref().map(Jid::as_str), &[], seers);
        self.present(turn, occupant, it, None, &[], others);
    }

    /// One rendering, for all of these.
    pub fn present(
        &self,
        turn: &mut HostTurn<'_>,
        occupant: &Occupant,
        it: &Announcement<'_>,
        jid: Option<&str>,
        own_codes: &[u16],
        to: Vec<Jid>,
    ) {
        self.present_with(turn, occupant, it, jid, (own_codes, ""), to);
    }

    /// The same with a version of the affiliations (XEP-0463).
    pub fn present_with(
        &self,
        turn: &mut HostTurn<'_>,
        occupant: &Occupant,
        it: &Announcement<'_>,
        jid: Option<&str>,
        (own_codes, mav): (&[u16], &str),
        to: Vec<Jid>,
    ) {
        if to.is_empty() {
            return;
        }
        // 110: their own address is theirs to see in any case, that of who has done it is not.
        let is_own = own_codes.contains(&110);
        let says = Says {
            role: it.role,
            nick: it.nick,
            actor: it.actor,
            sees_actor: if is_own { self.shows_addresses_to(occupant.role) } else { jid.is_some() },
            reason: it.reason,
            codes: it.codes,
            mav: if mav.is_empty() { &self.changing } else { mav },
            ..occupant.says(jid)
        };
        let mut extra = stanzas::occupant_id(&occupant.id) + &stanzas::user_x(&says, own_codes);
        if it.role != Role::None {
            extra.push_str(&occupant.hats);
        }
        let stamps = stanzas::stamps(&occupant.jid, it.strip.clone(), extra, None);
        turn.fan_out_stamped(occupant.jid.clone(), it.stanza.clone(), stamps, to.into());
    }

    /// What an occupant's client last said of itself, with what has changed.
    pub fn announce_change(&self, turn: &mut HostTurn<'_>, key: &str, actor: Option<&Actor>, reason: Option<&str>) {
        let Some(occupant) = self.occupants.by_key(key) else { return };
        let Some(session) = occupant.sessions.last() else { return };
        occupant.waits.set(false);
        self.announce(turn, occupant, &Announcement { actor, reason, ..Announcement::of(occupant, session) });
    }

    /// A role that is shown has become one that is not: for everybody else they are no longer there.
    pub fn hide(&self, turn: &mut HostTurn<'_>, key: &str) {
        let gone = stanzas::made(turn, "<presence type='unavailable'/>");
        let (Some(occupant), Some(gone)) = (self.occupants.by_key(key), gone) else { return };
        let it = Announcement {
            stanza: &gone,
            strip: &Strip::default(),
            role: Role::None,
            codes: &[],
            own_codes: &[],
            nick: None,
            actor: None,
            reason: None,
        };
        self.announce_to_others(turn, occupant, &it);
    }

    /// A message of the room itself to everybody who is there.
    pub fn tell_all(&self, turn: &mut HostTurn<'_>, inside: &str) {
        let xml = format!("<message type='groupchat'>{inside}</message>");
        if let Some(stanza) = stanzas::made(turn, &xml) {
            turn.fan_out_stamped(turn.jid.clone(), stanza, Stamps::default(), self.occupants.everybody());
        }
    }

    /// A message of the room itself to one.
    pub fn tell_one(&self, turn: &mut HostTurn<'_>, to: Jid, inside: &str) {
        if let Some(stanza) = stanzas::made(turn, &format!("<message>{inside}</message>")) {
            turn.send_stanza(to, stanza);
        }
    }

    // --- changing ----------------------------------------------------------------------------------------------------------

    pub fn set_role(&mut self, turn: &mut HostTurn<'_>, key: &str, role: Role, actor: Option<&Actor>, reason: Option<&str>) {
        let Some(occupant) = self.occupants.by_key_mut(key) else { return };
        let before = occupant.role;
        if role == Role::None {
            return self.remove(turn, key, &[307], actor, reason);
        }
        occupant.role = role;
        occupant.asks_for_voice &= role < Role::Participant;
        occupant.changed();
        let (person, is_guest) = (occupant.person.clone(), occupant.guest);
        let usual = occupant.affiliation.role(self.config.moderated);
        self.remember_voice(turn, &person, is_guest, role, usual);
        let shows = self.config.presence_broadcast;
        if shows.has(before) && !shows.has(role) {
            self.hide(turn, key);
        }
        self.announce_change(turn, key, actor, reason);
        // 7.2.4: who is a moderator now sees the real addresses.
        if role == Role::Moderator && before != role && !self.config.non_anonymous {
            let to: Vec<Jid> =
                self.occupants.by_key(key).iter().flat_map(|it| &it.sessions).map(|session| session.jid.clone()).collect();
            to.iter().for_each(|to| self.show_everybody(turn, key, to));
        }
    }

    /// The presence of all others, to one client.
    pub fn show_everybody(&self, turn: &mut HostTurn<'_>, key: &str, to: &Jid) {
        let Some(role) = self.occupants.by_key(key).map(|it| it.role) else { return };
        let with_jid = self.shows_addresses_to(role);
        let mut bytes = 0usize;
        for other in self.occupants.iter().filter(|other| self.config.presence_broadcast.has(other.role)) {
            if self.occupants.key_of(to).is_some_and(|own| self.occupants.by_key(own).is_some_and(|it| it.nick == other.nick)) {
                continue;
            }
            let Some(shown) = other.shown(with_jid) else { continue };
            bytes = bytes.saturating_add(shown.wire.bytes.len());
            if bytes <= SHOWN_BYTES_MAX {
                turn.send_wire(other.jid.clone(), to.clone(), shown.stanza.clone(), shown.stamps.clone(), shown.wire.clone());
            } else if let Some(bare) = stanzas::made(turn, "<presence/>") {
                turn.fan_out_stamped(other.jid.clone(), bare, other.stamps(with_jid, Strip::default()), [to.clone()].into());
            }
        }
    }

    /// The affiliation of an address, and what follows for those who are there under it. The caller has looked whether it may be.
    pub fn set_affiliation(&mut self, turn: &mut HostTurn<'_>, address: &str, affiliated: Affiliated, actor: Option<&Actor>) {
        let reason = affiliated.reason.clone();
        let new = affiliated.affiliation;
        let is_passing = affiliated.passing || self.affiliations.at(address).is_some_and(|it| it.passing);
        let old = self.affiliations.at(address).map_or(Affiliation::None, |it| it.affiliation);
        self.keep_affiliation(turn, address, affiliated);
        if new < Affiliation::Member {
            self.drop_tokens_of(turn, address);
        }
        if old != new {
            let is_kept = self.is_kept() && !is_passing;
            self.changing = self.versions.change(turn, is_kept, address, old, new);
            if self.occupants.of_person(address).next().is_none() {
                self.tell_change(turn, address, old, new, &self.changing);
            }
        }
        // A domain that is banned: everybody who has nothing of their own.
        let of_domain = |person: &str| new == Affiliation::Outcast && person.split_once('@').is_some_and(|it| it.1 == address);
        let of_address = |person: &str| person == address || of_domain(person);
        for key in self.occupants.keys(|it| of_address(&it.person)) {
            let Some(occupant) = self.occupants.by_key(&key) else { continue };
            let (before, role) = (occupant.affiliation, occupant.role);
            if *occupant.person != *address && self.affiliations.at(&occupant.person).is_some() {
                continue;
            }
            if new == Affiliation::Outcast {
                self.remove(turn, &key, &[301], actor, reason.as_deref());
            } else if new == Affiliation::None && self.config.members_only {
                self.remove(turn, &key, &[321], actor, reason.as_deref());
            } else if before != new {
                let role = new.role_after(before, role, self.config.moderated);
                if let Some(occupant) = self.occupants.by_key_mut(&key) {
                    occupant.affiliation = new;
                }
                self.set_role(turn, &key, role, actor, reason.as_deref());
            }
        }
        self.changing.clear();
        service::tell(turn, self);
    }

    fn keep_affiliation(&mut self, turn: &mut HostTurn<'_>, address: &str, affiliated: Affiliated) {
        let is_nothing = affiliated.affiliation == Affiliation::None;
        if self.is_kept() && !affiliated.passing {
            if is_nothing {
                turn.delete(AFFILIATIONS, address);
            } else {
                turn.put(AFFILIATIONS, address, affiliated.encode());
            }
        }
        self.affiliations.set(address, (!is_nothing).then_some(affiliated));
        self.drop_request(turn, address);
    }

    pub fn drop_request(&mut self, turn: &mut HostTurn<'_>, address: &str) {
        if self.requests.iter().any(|(jid, _)| **jid == *address) {
            self.requests.retain(|(jid, _)| **jid != *address);
            if self.is_kept() {
                turn.delete(REQUESTS, address);
            }
        }
    }

    /// An occupant is taken out (8.2, 9.1, 9.4): the clients of it hear first.
    pub fn remove(&mut self, turn: &mut HostTurn<'_>, key: &str, codes: &[u16], actor: Option<&Actor>, reason: Option<&str>) {
        let Some(mut occupant) = self.occupants.remove(key) else { return };
        occupant.affiliation = self.affiliations.of(&occupant.person);
        let Some(gone) = stanzas::made(turn, "<presence type='unavailable'/>") else { return };
        let it = Announcement {
            stanza: &gone,
            strip: &Strip::default(),
            role: Role::None,
            codes,
            own_codes: &[],
            nick: None,
            actor,
            reason,
        };
        self.announce(turn, &occupant, &it);
        self.relay.forget(&occupant);
        self.end_visit(turn, &occupant);
    }

    /// What a guest has been given is over when they have gone.
    pub fn end_visit(&mut self, turn: &mut HostTurn<'_>, occupant: &Occupant) {
        if !occupant.guest || self.occupants.of_person(&occupant.person).next().is_some() {
            return;
        }
        self.forget_voice(turn, &occupant.person);
        if self.affiliations.at(&occupant.person).is_some_and(|it| it.passing) {
            self.set_affiliation(turn, &occupant.person, Affiliated::new(Affiliation::None), None);
        }
    }

    // --- keeping -----------------------------------------------------------------------------------------------------------

    /// Everything that makes the room outlive its occupants.
    pub fn keep_all(&mut self, turn: &mut HostTurn<'_>) {
        turn.put(ROOM, "", self.config.encode());
        for (address, affiliated) in self.affiliations.iter().filter(|(_, it)| !it.passing) {
            turn.put(AFFILIATIONS, address, affiliated.encode());
        }
        for (address, nick) in &self.requests {
            turn.put(REQUESTS, address, nick.clone());
        }
        self.invitations.keys().for_each(|key| turn.put(invite::SHELF, &key, ""));
        if let Some(subject) = &self.subject {
            turn.put(SUBJECT, "", subject.keep());
        }
        self.keep_hats(turn);
        self.keep_voices(turn);
        self.versions.keep(turn);
    }

    /// It will be gone with its last occupant.
    pub fn keep_nothing(&mut self, turn: &mut HostTurn<'_>) {
        turn.delete(ROOM, "");
        turn.delete(SUBJECT, "");
        for (address, _) in self.affiliations.iter() {
            turn.delete(AFFILIATIONS, address);
        }
        for (address, _) in &self.requests {
            turn.delete(REQUESTS, address);
        }
        self.invitations.keys().for_each(|key| turn.delete(invite::SHELF, &key));
        self.versions.keep_nothing(turn);
        self.keep_no_hats(turn);
        self.keep_no_voices(turn);
    }
}

/// The bare JID inside a JID, without copying it.
pub fn bare(jid: &Jid) -> &str {
    jids::bare(jid.as_str())
}
