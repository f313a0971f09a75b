//! Coming in, changing and going: presence to an occupant's address (7.2, 7.6, 7.7, 7.14).

use std::sync::Arc;
use std::time::Duration;

use iris_core::entitlements::Plan;
use iris_core::xml::{El, Stamps, Stanza, Strip};
use iris_core::{Bounce, Changed, Condition, Finish, HostTurn, Jid, Reply, StanzaType};

use super::affiliations::Affiliated;
use super::association::{Affiliation, Role, Standing};
use super::history::Wanted;
use super::occupants::{Occupant, Session};
use super::room::{Announcement, Room, Stage, bare};
use super::{MUC, ROOM_STATE, bubble, nick, service, stanzas};

/// Admins and owners find a place in a full room (7.2.9: "up to some reasonable number").
const MORE_FOR_ADMINS_MAX: usize = 10;
/// Of a presence: it is in memory for as long as its client is here, and is shown to everybody who comes in.
const PRESENCE_BYTES_MAX: usize = 32 * 1024;
/// Clients of one occupant.
const SESSIONS_PER_OCCUPANT_MAX: usize = 32;
/// Between two changes of presence of one occupant that everybody is told (security D2).
const UPDATE_PAUSE: Duration = Duration::from_secs(1);

impl Room {
    pub fn hear_presence(&mut self, turn: &mut HostTurn<'_>, stanza: &Arc<Stanza>) -> Reply {
        match stanza.stype() {
            StanzaType::Available => self.available(turn, stanza),
            StanzaType::Unavailable => {
                let strip = self.forged(turn, stanza);
                self.leave(turn, stanza, &strip, &[]);
                Reply::Sent
            }
            StanzaType::Error => self.hear_error(turn, stanza),
            StanzaType::Probe => self.answer_probe(turn),
            // 16.3 says nothing of subscriptions to a room.
            _ => Reply::Sent,
        }
    }

    /// What of a stanza the room does not pass on.
    pub fn forged(&self, turn: &HostTurn<'_>, stanza: &Stanza) -> Strip {
        let (room, home) = (turn.jid, turn.doors.home());
        let is_ours = |claimed: &Jid| {
            let domain = claimed.domain().as_str();
            let is_house = claimed.node().is_none() && (domain == home || domain == room.domain().as_str());
            // What is rendered once is not looked through by each recipient's account (XEP-0359 3).
            is_house || bare(claimed) == room.as_str() || self.occupants.iter().any(|it| *it.person == *bare(claimed))
        };
        self.service.names.forged(stanza, is_ours)
    }

    fn available(&mut self, turn: &mut HostTurn<'_>, stanza: &Arc<Stanza>) -> Reply {
        if stanza.size() > PRESENCE_BYTES_MAX {
            let what = format!("what a client says of itself in a room has at most {PRESENCE_BYTES_MAX} bytes");
            return Bounce::new(Condition::NotAcceptable).limit(what, Changed::ByNobody("say less")).into();
        }
        let Some(wanted) = turn.to.resource().map(|nick| nick.as_str().to_owned()) else {
            return Bounce::new(Condition::JidMalformed).text("say under which nickname").into();
        };
        let join = stanza.child(self.service.names.muc).map(|child| stanza.child_el(child));
        let own = self.speaker(turn).map(|it| it.nick.clone());
        match (own, join) {
            (Some(own), Some(join)) if *own == *wanted => self.enter_again(turn, stanza, &join),
            (Some(own), None) if *own == *wanted => self.update(turn, stanza),
            (Some(_), join) => self.rename(turn, stanza, &wanted, join.as_ref()),
            (None, Some(_)) if self.stage == Stage::Absent => self.create(turn, stanza),
            (None, Some(join)) => match self.enter(turn, stanza, &join, &[]) {
                Ok(()) => Reply::Sent,
                Err(why) => why.into(),
            },
            (None, None) => self.out_of_step(turn),
        }
    }

    /// 7.2.17: not a way in, but a client that believes it is here.
    fn out_of_step(&self, turn: &mut HostTurn<'_>) -> Reply {
        let affiliation = self.affiliation_of(turn.from).max(Affiliation::None);
        let says = stanzas::Says {
            affiliation,
            role: Role::None,
            jid: None,
            nick: None,
            actor: None,
            sees_actor: false,
            reason: None,
            codes: &[110, 307, 333],
            mav: "",
        };
        let xml = format!("<presence type='unavailable'>{}</presence>", stanzas::user_x(&says, &[]));
        if let Some(kick) = stanzas::made(turn, &xml) {
            turn.send_as(turn.to.clone(), turn.from.clone(), kick);
        }
        Reply::Sent
    }

    // --- a new room ---------------------------------------------------------------------------------------------------------

    /// 7.2.11, 10.1.1: whoever may, makes it by coming in.
    fn create(&mut self, turn: &mut HostTurn<'_>, stanza: &Arc<Stanza>) -> Reply {
        if let Err(why) = self.nickname(turn, turn.to.resource().map_or("", |nick| nick.as_str())) {
            return why.into();
        }
        let admission = service::Admission::of(turn, &self.service);
        let (stanza, creator) = (stanza.clone(), turn.from.to_bare());
        let as_bubble = self.service.bubbles && turn.is_local();
        Reply::Task(Box::new(move |cx| {
            Box::pin(async move {
                let admitted = admission.ask(&cx).await;
                let plan = match (&admitted, as_bubble) {
                    (Ok(()), true) => bubble::allowance(&creator, &cx).await.map(Some),
                    (Ok(()), false) => Ok(None),
                    (Err(why), _) => Err(why.clone()),
                };
                Finish::HostTurn(Box::new(move |turn| {
                    let made = turn.with_state(&ROOM_STATE, |turn, room| {
                        let reply = match plan {
                            Ok(plan) => room.created(turn, &stanza, plan.as_deref()),
                            Err(why) => why.into(),
                        };
                        if admitted.is_ok() && room.stage == Stage::Absent {
                            service::forget(turn);
                        }
                        room.rest(turn);
                        reply
                    });
                    made.unwrap_or(Reply::Sent)
                }))
            })
        }))
    }

    fn created(&mut self, turn: &mut HostTurn<'_>, stanza: &Arc<Stanza>, plan: Option<&Plan>) -> Reply {
        let Some(join) = stanza.child(self.service.names.muc).map(|child| stanza.child_el(child)) else { return Reply::Sent };
        // Somebody was quicker: it comes in like everybody else.
        if self.stage != Stage::Absent {
            return self.available(turn, stanza);
        }
        self.open_new(turn);
        self.stage = Stage::Locked;
        if let Some(plan) = plan {
            self.config.make_bubble(plan);
        }
        match self.enter(turn, stanza, &join, &[201]) {
            Ok(()) => Reply::Sent,
            Err(why) => why.into(),
        }
    }

    /// The one who speaks is the owner of a room that was not there before.
    pub fn open_new(&mut self, turn: &mut HostTurn<'_>) {
        *self = Room::absent(self.service.clone());
        let owner = Affiliated::new(Affiliation::Owner);
        self.affiliations.set(bare(turn.from), Some(owner));
        self.config.creator = bare(turn.from).to_owned();
        service::tell(turn, self);
    }

    // --- coming in ----------------------------------------------------------------------------------------------------------

    fn enter(&mut self, turn: &mut HostTurn<'_>, stanza: &Arc<Stanza>, join: &El<'_>, codes: &[u16]) -> Result<(), Bounce> {
        let person = bare(turn.from).to_owned();
        let token = self.token_of(turn, &person, join)?;
        let needs_no_password = token.is_some() || self.affiliations.at(&person).is_some_and(|it| it.by_token);
        let affiliation = if token.is_some() { Affiliation::Member } else { self.affiliations.of(&person) };
        self.admit(affiliation, join, needs_no_password)?;
        let wanted = turn.to.resource().map_or("", |nick| nick.as_str()).to_owned();
        // 7.10: a room that insists on registered nicknames gives them.
        let given = self.affiliations.nick_of(&person).filter(|_| self.config.reserved_nick).unwrap_or(&wanted).to_owned();
        self.nickname(turn, &given)?;
        let beside = self.occupants.by_nick(&given).filter(|it| *it.person == *person);
        match beside {
            Some(occupant) if occupant.sessions.len() >= SESSIONS_PER_OCCUPANT_MAX => {
                let what = format!("one person is in a room with at most {SESSIONS_PER_OCCUPANT_MAX} clients");
                return Err(Bounce::over(what, Changed::ByNobody("leave with another one first")));
            }
            Some(_) => {}
            None => self.has_room(affiliation)?,
        }
        let nick = beside.map_or_else(|| given.clone(), |it| it.nick.to_string());
        let occupant_jid = turn.jid.to_bare().with_resource_str(&nick).map_err(|_| Bounce::new(Condition::JidMalformed))?;
        // From here on nothing is refused: whose nickname is taken has not used up a token.
        if let Some(token) = &token {
            self.redeem(turn, &person, token);
        }
        let given = self.voices.given(&person, affiliation);
        let role = given.unwrap_or_else(|| affiliation.role(self.config.moderated));
        let id = turn.house.keyed.name(&["occupant", turn.jid.as_str(), &person]);
        let session = Session { jid: turn.from.clone(), presence: stanza.clone(), strip: self.forged(turn, stanza) };
        let new = || Occupant::new(&nick, occupant_jid.into(), &person, id, affiliation, role);
        let key = self.occupants.enter(new, &nick, session);
        let inviters = self.answered(turn, &person);
        self.tell_inviters(turn, inviters, &person, "has come into");
        if let Some(occupant) = self.occupants.by_key_mut(&key) {
            occupant.guest = turn.guest;
            occupant.hats = Arc::from(self.hats.of(&person));
        }
        let codes: Vec<u16> = codes.iter().copied().chain((nick != wanted).then_some(210)).collect();
        let mav = self.show_affiliations(turn, join, Standing { affiliation, role });
        self.welcome(turn, &key, join, &codes, &mav, true);
        if affiliation >= Affiliation::Admin {
            self.show_requests(turn);
        }
        if role == Role::Moderator {
            self.show_voice_requests(turn);
        }
        service::tell(turn, self);
        Ok(())
    }

    /// 7.2: the whole order of events for one who comes in.
    /// `is_news`: others are told as well.
    fn welcome(&self, turn: &mut HostTurn<'_>, key: &str, join: &El<'_>, codes: &[u16], mav: &str, is_news: bool) {
        let client = turn.from.clone();
        self.show_picture(turn);
        self.show_everybody(turn, key, &client);
        let Some(occupant) = self.occupants.by_key(key) else { return };
        let Some(session) = occupant.sessions.last() else { return };
        let it = Announcement::of(occupant, session);
        if is_news && self.config.presence_broadcast.has(occupant.role) {
            self.announce_to_others(turn, occupant, &it);
        }
        let mut own = codes.to_vec();
        own.push(110);
        own.extend(self.config.non_anonymous.then_some(100));
        own.extend(self.config.logging.then_some(170));
        let others: Vec<Jid> =
            occupant.sessions.iter().map(|session| session.jid.clone()).filter(|jid| *jid != client).collect();
        let jid = session.jid.as_str();
        if is_news {
            occupant.waits.set(false);
            self.present(turn, occupant, &it, Some(jid), &[110], others);
        }
        self.present_with(turn, occupant, &it, Some(jid), (&own, mav), vec![client]);
        self.show_history(turn, join);
        self.show_subject(turn);
    }

    fn show_history(&self, turn: &mut HostTurn<'_>, join: &El<'_>) {
        let wanted = Wanted::read(join.child(MUC, "history").as_ref(), self.config.history_max, turn.now.wall_us);
        let to_bytes = turn.from.as_str().len() + " to=''".len();
        let size = |past: &super::history::Past| past.delayed(turn).map_or(0, |it| it.wire.bytes.len() + to_bytes);
        let count = wanted.take(self.history.iter().rev(), |past| past.id.0, size);
        for past in self.history.iter().skip(self.history.len() - count) {
            if let Some(it) = past.delayed(turn) {
                turn.send_wire(it.from.clone(), turn.from.clone(), it.stanza.clone(), it.stamps.clone(), it.wire.clone());
            }
        }
    }

    /// 7.2.15: always, and last.
    fn show_subject(&self, turn: &mut HostTurn<'_>) {
        if let Some(it) = self.subject.as_ref().and_then(|past| past.delayed(turn)) {
            turn.send_wire(it.from.clone(), turn.from.clone(), it.stanza.clone(), it.stamps.clone(), it.wire.clone());
        } else if let Some(empty) = stanzas::made(turn, "<message type='groupchat'><subject/></message>") {
            turn.send_stanza(turn.from.clone(), empty);
        }
    }

    /// 7.2.5 to 7.2.7 and 7.2.10: may somebody of this affiliation come in at all?
    fn admit(&self, affiliation: Affiliation, join: &El<'_>, needs_no_password: bool) -> Result<(), Bounce> {
        if self.stage == Stage::Locked && affiliation != Affiliation::Owner {
            return Err(Bounce::new(Condition::ItemNotFound));
        }
        if affiliation == Affiliation::Outcast {
            return Err(Bounce::new(Condition::Forbidden));
        }
        if self.config.members_only && affiliation < Affiliation::Member {
            return Err(Bounce::new(Condition::RegistrationRequired));
        }
        // To those who have no business here it is what any room is.
        if self.config.archived {
            return Err(bubble::is_archived());
        }
        let given = join.child(MUC, "password").map(|it| it.text().into_owned());
        match &self.config.password {
            Some(password) if given.as_ref() != Some(password) && !needs_no_password => {
                Err(Bounce::new(Condition::NotAuthorized))
            }
            _ => Ok(()),
        }
    }

    /// 7.2.9.
    fn has_room(&self, affiliation: Affiliation) -> Result<(), Bounce> {
        let more = if affiliation >= Affiliation::Admin { MORE_FOR_ADMINS_MAX } else { 0 };
        if self.occupants.len() < self.config.occupants_max + more {
            return Ok(());
        }
        let most = self.config.occupants_max;
        let full = Bounce::new(Condition::ServiceUnavailable).kind(iris_core::ErrorType::Wait);
        let is_services = most >= self.service.settings.occupants_max;
        let changed = if is_services { Changed::ByOperator } else { Changed::ByOwners("room") };
        Err(full.limit(format!("the room has its {most} people"), changed))
    }

    /// 7.2.8: is it a nickname, and is it free for the one who speaks?
    fn nickname(&self, turn: &HostTurn<'_>, wanted: &str) -> Result<(), Bounce> {
        if !nick::is_one(wanted, self.service.settings.nick_bytes_max) {
            return Err(nick::refused(wanted, self.service.settings.nick_bytes_max, Condition::NotAcceptable));
        }
        let person = bare(turn.from);
        let is_others = self.occupants.by_nick(wanted).is_some_and(|it| *it.person != *person)
            || self.affiliations.owner_of_nick(wanted).is_some_and(|owner| **owner != *person);
        if is_others { Err(Bounce::new(Condition::Conflict)) } else { Ok(()) }
    }

    // --- being there --------------------------------------------------------------------------------------------------------

    /// 7.2.1: it has lost step, and gets everything again. To others it is a change of presence.
    fn enter_again(&mut self, turn: &mut HostTurn<'_>, stanza: &Arc<Stanza>, join: &El<'_>) -> Reply {
        let strip = self.forged(turn, stanza);
        self.occupants.update(turn.from, stanza.clone(), strip);
        if let Some(key) = self.occupants.key_of(turn.from).cloned() {
            let is_news = self.may_tell_update(turn, &key);
            self.welcome_again(turn, &key, join, is_news);
        }
        Reply::Sent
    }

    fn welcome_again(&mut self, turn: &mut HostTurn<'_>, key: &str, join: &El<'_>, is_news: bool) {
        let standing = self.occupants.by_key(key).map(Occupant::standing);
        let mav = standing.map(|standing| self.show_affiliations(turn, join, standing)).unwrap_or_default();
        self.welcome(turn, key, join, &[], &mav, is_news);
    }

    /// 7.7.
    fn update(&mut self, turn: &mut HostTurn<'_>, stanza: &Arc<Stanza>) -> Reply {
        let strip = self.forged(turn, stanza);
        self.occupants.update(turn.from, stanza.clone(), strip);
        if let Some(key) = self.occupants.key_of(turn.from).cloned()
            && self.may_tell_update(turn, &key)
        {
            self.announce_change(turn, &key, None, None);
        }
        Reply::Sent
    }

    /// A change is told at once, and of those that come within a second after it the last, with the next round: everybody hears of
    /// each. Whoever comes in meanwhile sees it, and what is told for another reason tells it too.
    fn may_tell_update(&mut self, turn: &mut HostTurn<'_>, key: &str) -> bool {
        let now = turn.now.mono;
        let Some(occupant) = self.occupants.by_key_mut(key) else { return false };
        let Some(told) = occupant.told.filter(|told| now.since(*told) < UPDATE_PAUSE) else {
            occupant.told = Some(now);
            return true;
        };
        occupant.waits.set(true);
        if self.round.is_none_or(|at| at < now) {
            self.round = Some(told + UPDATE_PAUSE);
            turn.alarm(told + UPDATE_PAUSE);
        }
        false
    }

    /// The round: one for all who have something to tell, so a room has one timer.
    pub fn tell_updates(&mut self, turn: &mut HostTurn<'_>) {
        let now = turn.now.mono;
        if self.round.is_some_and(|at| at > now) {
            return;
        }
        self.round = None;
        for key in self.occupants.keys(|it| it.waits.get()) {
            if let Some(occupant) = self.occupants.by_key_mut(&key) {
                occupant.told = Some(now);
            }
            self.announce_change(turn, &key, None, None);
        }
    }

    /// 7.6; with `join` it has lost step as well (7.2.1), and gets everything.
    fn rename(&mut self, turn: &mut HostTurn<'_>, stanza: &Arc<Stanza>, wanted: &str, join: Option<&El<'_>>) -> Reply {
        if let Err(why) = self.nickname(turn, wanted) {
            return why.into();
        }
        let Some(key) = self.occupants.key_of(turn.from).cloned() else { return Reply::Sent };
        let Some(occupant) = self.occupants.by_key(&key) else { return Reply::Sent };
        // Another occupant of the same person: two cannot become one.
        if self.occupants.by_nick(wanted).is_some_and(|it| it.nick != occupant.nick) {
            return Bounce::new(Condition::Conflict).into();
        }
        if self.config.reserved_nick && self.affiliations.nick_of(&occupant.person).is_some_and(|reserved| reserved != wanted) {
            return Bounce::new(Condition::NotAcceptable).text("members use the nickname they have registered").into();
        }
        let Ok(jid) = turn.jid.to_bare().with_resource_str(wanted) else { return Bounce::new(Condition::JidMalformed).into() };
        if let Some(gone) = stanzas::made(turn, "<presence type='unavailable'/>") {
            let it = Announcement {
                stanza: &gone,
                strip: &Strip::default(),
                role: occupant.role,
                codes: &[303],
                own_codes: &[],
                nick: Some(wanted),
                actor: None,
                reason: None,
            };
            self.announce(turn, occupant, &it);
        }
        self.relay.forget(occupant);
        let strip = self.forged(turn, stanza);
        self.occupants.update(turn.from, stanza.clone(), strip);
        if let Some(key) = self.occupants.rename(&key, wanted, jid.into()) {
            match join {
                Some(join) => self.welcome_again(turn, &key, join, true),
                None => self.announce_change(turn, &key, None, None),
            }
        }
        Reply::Sent
    }

    /// 16.3, RFC 6121 4.3: a server asks how somebody is whom one of its users sees.
    fn answer_probe(&self, turn: &mut HostTurn<'_>) -> Reply {
        let asked = turn.to.resource().and_then(|nick| self.occupants.by_nick(nick.as_str()));
        if let (Some(asker), Some(asked)) = (self.speaker(turn), asked)
            && self.config.presence_broadcast.has(asked.role)
            && let Some(shown) = asked.shown(self.shows_addresses_to(asker.role))
        {
            let (from, to) = (asked.jid.clone(), turn.from.clone());
            turn.send_wire(from, to, shown.stanza.clone(), shown.stamps.clone(), shown.wire.clone());
        }
        Reply::Sent
    }

    // --- going --------------------------------------------------------------------------------------------------------------

    /// 7.14. `stanza` is what everybody is told.
    pub fn leave(&mut self, turn: &mut HostTurn<'_>, stanza: &Arc<Stanza>, strip: &Strip, codes: &[u16]) {
        let Some(key) = self.occupants.key_of(turn.from).cloned() else { return };
        let Some(occupant) = self.occupants.by_key(&key) else { return };
        if occupant.sessions.len() > 1 {
            // The others of the same person stay, and the one of them that spoke last is shown.
            let says = stanzas::Says { role: Role::None, codes, ..occupant.says(Some(turn.from.as_str())) };
            let extra = stanzas::occupant_id(&occupant.id) + &stanzas::user_x(&says, &[110]);
            let stamps = Stamps { strip: strip.clone(), ..stanzas::stamps(&occupant.jid, Strip::default(), extra, None) };
            turn.fan_out_stamped(occupant.jid.clone(), stanza.clone(), stamps, [turn.from.clone()].into());
            self.occupants.remove_session(turn.from);
            self.announce_change(turn, &key, None, None);
        } else if let Some(occupant) = self.occupants.remove(&key) {
            let it =
                Announcement { stanza, strip, role: Role::None, codes, own_codes: &[], nick: None, actor: None, reason: None };
            self.announce(turn, &occupant, &it);
            self.relay.forget(&occupant);
            if self.stage == Stage::Locked {
                return self.never_was(turn);
            }
            self.end_visit(turn, &occupant);
        }
        service::tell(turn, self);
    }

    /// 10.1.3: whoever made it goes before it was configured. The room itself says that it is destroyed: from the occupant they were,
    /// who has just gone, Smack would take it for a room that they have entered again meanwhile, and wait for itself.
    fn never_was(&mut self, turn: &mut HostTurn<'_>) {
        let xml = format!("<presence type='unavailable'><x xmlns='{}'><destroy/></x></presence>", super::USER);
        if let Some(end) = stanzas::made(turn, &xml) {
            let room = Jid::from(turn.to.to_bare());
            turn.fan_out(room, end, [turn.from.clone()].into());
        }
        self.vanish(turn);
    }

    /// 11.1: a client that cannot be reached is no longer there.
    pub fn gone_by_error(&mut self, turn: &mut HostTurn<'_>) {
        if let Some(gone) = stanzas::made(turn, "<presence type='unavailable'/>") {
            self.leave(turn, &gone, &Strip::default(), &[333]);
        }
    }
}
