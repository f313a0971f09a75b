//! What somebody asks for and somebody else grants, by forms in messages: voice (7.13, 8.6) and membership (7.10, 9.9).

use std::time::Duration;

use iris_core::form::{Field, Form};
use iris_core::xml::{Build, El};
use iris_core::{Bounce, Changed, Condition, ErrorType, HostTurn, Reply, jids, ns};

use super::affiliations::Affiliated;
use super::association::{Affiliation, Role};
use super::occupants::Occupant;
use super::room::{REQUESTS, Room, bare};
use super::service;
use super::{REGISTER, REQUEST, nick, stanzas};
use crate::result;

const IQ_REGISTER: &str = "jabber:iq:register";
/// Requests for membership of one room at once.
const REQUESTS_MAX: usize = 500;
/// Of these, and of those who have made themselves members, the people of one other server have no more than one in so many of the places.
const SHARE: usize = 10;

/// Between two requests of one person for voice, or two to become a member.
pub const PAUSE: Duration = Duration::from_secs(60);
/// Requests for voice that somebody is shown who comes in.
const VOICES_SHOWN_MAX: usize = 50;

/// A field of a form that was filled in.
fn field(form: &El<'_>, var: &str) -> Option<String> {
    let field = form.children().find(|child| child.is(ns::DATA_FORMS, "field") && child.attr("var").as_deref() == Some(var))?;
    Some(field.child(ns::DATA_FORMS, "value")?.text().into_owned())
}

fn is_yes(value: Option<String>) -> bool {
    matches!(value.as_deref(), Some("1" | "true"))
}

impl Room {
    pub fn hear_form(&mut self, turn: &mut HostTurn<'_>, form: &El<'_>) -> Reply {
        if form.attr("type").as_deref() == Some("cancel") {
            return Reply::Sent;
        }
        match field(form, "FORM_TYPE").as_deref() {
            Some(REQUEST) if field(form, "muc#request_allow").is_some() => self.answer_voice(turn, form),
            Some(REQUEST) => self.ask_for_voice(turn, form),
            Some(REGISTER) => self.answer_registration(turn, form),
            _ => Bounce::bad_request("a form of a kind that is not known here").into(),
        }
    }

    // --- voice --------------------------------------------------------------------------------------------------------------

    /// 7.13.
    fn ask_for_voice(&mut self, turn: &mut HostTurn<'_>, form: &El<'_>) -> Reply {
        let Some(key) = self.occupants.key_of(turn.from).cloned() else { return Bounce::new(Condition::NotAcceptable).into() };
        if field(form, "muc#role").as_deref() != Some("participant") {
            return Bounce::bad_request("voice is what can be asked for").into();
        }
        let Some(occupant) = self.occupants.by_key_mut(&key) else { return Reply::Sent };
        if occupant.role != Role::Visitor {
            return Bounce::new(Condition::NotAllowed).text("you have voice").into();
        }
        occupant.asks_for_voice = true;
        // Whoever asks again and again disturbs nobody. Who cancels the form has not said whose it was: after a while one may ask again.
        if self.asked_for_voice.again(&occupant.person, turn.now.mono).is_err() {
            return Reply::Sent;
        }
        let form = voice_form(occupant).to_ask();
        self.tell_those(turn, |it| it.role == Role::Moderator, &form);
        Reply::Sent
    }

    /// Nobody may have been there to grant it: a moderator who comes in later sees who waits.
    pub fn show_voice_requests(&self, turn: &mut HostTurn<'_>) {
        for occupant in self.occupants.iter().filter(|it| it.asks_for_voice).take(VOICES_SHOWN_MAX) {
            self.tell_one(turn, turn.from.clone(), &voice_form(occupant).to_ask());
        }
    }

    fn answer_voice(&mut self, turn: &mut HostTurn<'_>, form: &El<'_>) -> Reply {
        if self.speaker(turn).is_none_or(|it| it.role != Role::Moderator) {
            return Bounce::new(Condition::Forbidden).into();
        }
        let asked = field(form, "muc#jid").and_then(|jid| jids::address(&jid).ok());
        let by_jid = asked.and_then(|jid| self.occupants.key_of(&jid).cloned());
        let by_nick = || field(form, "muc#roomnick").map(|nick| nick::key(&nick).into());
        let Some(key) = by_jid.or_else(by_nick) else { return Bounce::new(Condition::ItemNotFound).into() };
        let Some(occupant) = self.occupants.by_key_mut(&key) else { return Bounce::new(Condition::ItemNotFound).into() };
        occupant.asks_for_voice = false;
        self.asked_for_voice.forget(&occupant.person);
        if is_yes(field(form, "muc#request_allow")) && occupant.role == Role::Visitor {
            let actor = self.actor(turn);
            self.set_role(turn, &key, Role::Participant, Some(&actor), None);
        }
        Reply::Sent
    }

    fn tell_those(&self, turn: &mut HostTurn<'_>, which: impl Fn(&Occupant) -> bool, inside: &str) {
        let to = self.occupants.iter().filter(|it| which(it)).flat_map(|it| &it.sessions).map(|it| it.jid.clone()).collect();
        if let Some(stanza) = stanzas::made(turn, &format!("<message>{inside}</message>")) {
            turn.fan_out(turn.jid.clone(), stanza, to);
        }
    }

    // --- membership ---------------------------------------------------------------------------------------------------------

    /// 7.10, first half: what has to be said.
    pub fn register_get(&self, turn: &HostTurn<'_>) -> Reply {
        let affiliation = self.affiliation_of(turn.from);
        let mut xml = Build::new();
        xml.open_ns("query", IQ_REGISTER);
        if affiliation >= Affiliation::Member {
            xml.open("registered").close();
            if let Some(nick) = self.affiliations.nick_of(bare(turn.from)) {
                xml.leaf("username", nick);
            }
            xml.close();
            return result(xml);
        }
        if let Err(why) = self.may_register(turn, affiliation, Condition::NotAllowed) {
            return why.into();
        }
        xml.leaf("instructions", "To become a member of this room, say under which nickname.");
        xml.raw(registration_form(turn.jid.as_str()).to_ask().as_bytes()).close();
        result(xml)
    }

    /// `closed`: the answer of a room that registers nobody. Whoever asks what is needed "is not allowed to register", whoever registers
    /// hears that the room "does not support" it.
    ///
    /// A guest (XEP-0175) is never seen again: what it registers would lie there for good. Whoever belongs to the room already registers
    /// no more than a nickname.
    fn may_register(&self, turn: &HostTurn<'_>, affiliation: Affiliation, closed: Condition) -> Result<(), Bounce> {
        if affiliation == Affiliation::Outcast || turn.guest {
            return Err(Bounce::new(Condition::NotAllowed));
        }
        let is_open = self.config.registration || affiliation >= Affiliation::Member;
        if is_open { Ok(()) } else { Err(Bounce::new(closed).text("this room registers nobody; its owners can change that")) }
    }

    pub fn register_set(&mut self, turn: &mut HostTurn<'_>, query: &El<'_>) -> Reply {
        let affiliation = self.affiliation_of(turn.from);
        let person = bare(turn.from).to_owned();
        if query.child(IQ_REGISTER, "remove").is_some() {
            return self.unregister(turn, &person, affiliation);
        }
        if let Err(why) = self.may_register(turn, affiliation, Condition::ServiceUnavailable) {
            return why.into();
        }
        let Some(x) = query.child(ns::DATA_FORMS, "x") else { return Bounce::bad_request("a form is missing").into() };
        let submitted = match registration_form(turn.jid.as_str()).check(&x) {
            Ok(submitted) => submitted,
            Err(problem) => return Bounce::bad_request(&problem.to_string()).into(),
        };
        let wanted = submitted.text("muc#register_roomnick").unwrap_or_default().to_owned();
        if !nick::is_one(&wanted, self.service.settings.nick_bytes_max) {
            return nick::refused(&wanted, self.service.settings.nick_bytes_max, Condition::BadRequest).into();
        }
        let is_others = self.affiliations.owner_of_nick(&wanted).is_some_and(|owner| **owner != *person)
            || self.occupants.by_nick(&wanted).is_some_and(|it| *it.person != *person)
            || self.requests.iter().any(|(jid, other)| **jid != *person && nick::key(other) == nick::key(&wanted));
        if is_others {
            return Bounce::new(Condition::Conflict).into();
        }
        let more = usize::from(affiliation == Affiliation::None);
        if let Err(why) = self.has_place(more).and_then(|()| self.has_place_for_members(more)) {
            return why.into();
        }
        let server = service::foreign(turn, turn.from).filter(|_| more > 0);
        if let Some(Err(why)) = server.map(|domain| self.has_place_for_one_of(domain, &person)) {
            return why.into();
        }
        let is_new = affiliation == Affiliation::None && self.requests.iter().all(|(jid, _)| **jid != *person);
        if is_new && let Err(wait) = self.asked_for_membership.again(&person, turn.now.mono) {
            let seconds = PAUSE.as_secs();
            let what = format!("one person asks to become a member once in {seconds} seconds");
            let help = format!("wait {} more", wait.as_secs_f64().ceil());
            let soon = Bounce::new(Condition::PolicyViolation).kind(ErrorType::Wait);
            return soon.limit(what, Changed::ByNobody(&help)).into();
        }
        // Whoever may come in and speak anyway is a member by saying so; into a room of members an admin lets people, and in a moderated
        // one membership is a voice (5.1.2).
        if affiliation == Affiliation::None && (self.config.members_only || self.config.moderated) {
            return self.ask_for_membership(turn, &person, wanted);
        }
        let registered = self.affiliations.at(&person).is_none_or(|it| it.registered);
        let affiliated = Affiliated { nick: Some(wanted), registered, ..Affiliated::new(affiliation.max(Affiliation::Member)) };
        self.set_affiliation(turn, &person, affiliated, None);
        Reply::empty()
    }

    /// Security D2: another server has as many people as it says, and may have no more of them than so many take all places.
    pub fn has_place_for_one_of(&self, domain: &str, person: &str) -> Result<(), Bounce> {
        let is_theirs = |address: &str| address.split_once('@').is_some_and(|(_, of)| of == domain);
        let is_another = |address: &str| address != person && is_theirs(address);
        let members = self.affiliations.iter().filter(|(address, it)| it.registered && is_another(address)).count();
        let requests = self.requests.iter().filter(|(address, _)| is_another(address)).count();
        let most = |all: usize| (all / SHARE).max(1);
        if members >= most(self.service.settings.affiliations_max) || requests >= most(REQUESTS_MAX) {
            let what =
                format!("so many people of {domain} have registered here, or wait for it, as there is place for of one server");
            return Err(Bounce::over(what, Changed::ByNobody("an admin can make others members")));
        }
        Ok(())
    }

    fn unregister(&mut self, turn: &mut HostTurn<'_>, person: &str, affiliation: Affiliation) -> Reply {
        match affiliation {
            Affiliation::Member => self.set_affiliation(turn, person, Affiliated::new(Affiliation::None), None),
            // More than a member: only the nickname is given up.
            Affiliation::Admin | Affiliation::Owner => self.set_affiliation(turn, person, Affiliated::new(affiliation), None),
            Affiliation::None | Affiliation::Outcast => {
                if !self.requests.iter().any(|(jid, _)| **jid == *person) {
                    return Bounce::new(Condition::RegistrationRequired).into();
                }
                self.drop_request(turn, person);
            }
        }
        Reply::empty()
    }

    /// 9.9.
    fn ask_for_membership(&mut self, turn: &mut HostTurn<'_>, person: &str, wanted: String) -> Reply {
        let known = self.requests.iter().position(|(jid, _)| **jid == *person);
        if known.is_none() && self.requests.len() >= REQUESTS_MAX {
            let what = format!("at most {REQUESTS_MAX} requests wait for the admins of a room");
            return Bounce::over(what, Changed::ByNobody("come again when they have answered some")).into();
        }
        if self.is_kept() {
            turn.put(REQUESTS, person, wanted.clone());
        }
        match known {
            Some(at) => self.requests[at].1 = wanted,
            None => {
                self.requests.push((person.into(), wanted.clone()));
                let form = request_form(person, &wanted).to_ask();
                self.tell_those(turn, |it| it.affiliation >= Affiliation::Admin, &form);
            }
        }
        Reply::empty()
    }

    /// An admin who comes in later sees what waits.
    pub fn show_requests(&self, turn: &mut HostTurn<'_>) {
        for (person, nick) in &self.requests {
            self.tell_one(turn, turn.from.clone(), &request_form(person, nick).to_ask());
        }
    }

    fn answer_registration(&mut self, turn: &mut HostTurn<'_>, form: &El<'_>) -> Reply {
        if self.affiliation_of(turn.from) < Affiliation::Admin {
            return Bounce::new(Condition::Forbidden).into();
        }
        let person = field(form, PERSON).and_then(|jid| jids::address(&jid).ok()).map(|jid| bare(&jid).to_owned());
        let wanted = field(form, "muc#register_roomnick").map(|wanted| nick::key(&wanted));
        let is_it = |(jid, nick): &&(std::sync::Arc<str>, String)| match &person {
            Some(person) => **jid == **person,
            None => wanted.as_deref() == Some(&*nick::key(nick)),
        };
        let Some((person, nick)) = self.requests.iter().find(is_it).cloned() else {
            return Bounce::new(Condition::ItemNotFound).text("nobody is waiting for that").into();
        };
        let is_allowed = is_yes(field(form, "muc#register_allow"));
        if is_allowed && let Err(why) = self.has_place(1).and_then(|()| self.has_place_for_members(1)) {
            return why.into();
        }
        self.drop_request(turn, &person);
        self.asked_for_membership.forget(&person);
        if is_allowed {
            let actor = self.actor(turn);
            // Somebody may have been given it meanwhile, or be here under it.
            let is_others = self.affiliations.owner_of_nick(&nick).is_some_and(|owner| **owner != *person)
                || self.occupants.by_nick(&nick).is_some_and(|it| *it.person != *person);
            let nick = Some(nick).filter(|_| !is_others);
            let affiliated = Affiliated { nick, ..Affiliated::new(Affiliation::Member) };
            self.make_member(turn, &person, affiliated, &actor);
        }
        Reply::Sent
    }
}

/// Who it is: 0045 has no field for it.
const PERSON: &str = "x-muc#register_jid";

/// 8.6.
fn voice_form(occupant: &Occupant) -> Form {
    let jid = occupant.sessions.last().map_or("", |session| session.jid.as_str());
    Form::new("Voice request", "To let this person speak, choose so and submit; otherwise cancel.")
        .of_type(REQUEST)
        .field(Field::choice("muc#role", "Requested role", [("Participant", "participant")]).value("participant"))
        .field(Field::jid("muc#jid", "User ID").value(jid))
        .field(Field::text("muc#roomnick", "Room nickname").value(&*occupant.nick))
        .field(Field::boolean("muc#request_allow", "Grant voice to this person?", false))
}

fn registration_form(room: &str) -> Form {
    Form::new("Registration", &format!("To become a member of {room}, say under which nickname."))
        .of_type(REGISTER)
        .field(Field::text("muc#register_roomnick", "Desired nickname").required())
}

fn request_form(person: &str, nick: &str) -> Form {
    Form::new("Registration request", "To make this person a member, choose so and submit; otherwise cancel.")
        .of_type(REGISTER)
        .field(Field::text("muc#register_roomnick", "Desired nickname").value(nick))
        .field(Field::jid(PERSON, "Who it is").value(person))
        .field(Field::boolean("muc#register_allow", "Allow this person to register with the room?", false))
}
