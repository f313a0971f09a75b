//! A domain that is awake, a service of one, or what lives behind a service: what its rooms remember of it, and the questions it is
//! working on. Everything for it arrives here, in order, whoever sent it from whatever shard.

use std::any::Any;
use std::collections::{HashMap, VecDeque};
use std::sync::Arc;
use std::time::Duration;

use iris_core::effects::{Effect, Effects};
use iris_core::error::{Bounce, Condition};
use iris_core::host::HostQuestions;
use iris_core::mount::{Doors, GetOrSet, Tail};
use iris_core::store::{Item, OwnerId, Shelf, Ticket, Woken, Write};
use iris_core::task::{Asked, Cx, Finish, Pending};
use iris_core::time::{Mono, Now};
use iris_core::turn::{House, Reply};
use iris_core::{BareJid, Changed, Envelope, HostTurn, Jid, Kind, SessionRef, Stanza, StanzaType};

/// Tasks of one domain at once, whoever they are for; of one caller `Limits::tasks_per_account_max`.
const TASKS_MAX: usize = 4_096;
/// What one sender may say while something of theirs is being worked on.
const HELD_STANZAS_MAX: usize = 512;

pub struct DomainEntity {
    pub doors: Arc<Doors>,
    pub(crate) jid: Jid,
    owner: OwnerId,
    /// The store does not know the owner yet: said with the first write.
    unowned: bool,
    /// By `StateSlot::index`.
    states: Vec<Option<Box<dyn Any>>>,
    /// The last set that this memory stands on.
    pub last_state: Ticket,
    tasks: usize,
    tasks_of: HashMap<BareJid, usize>,
    /// What a sender says while a presence or a message of theirs is being worked on (a room is being made): heard behind it
    /// (RFC 6120 10.1).
    held: HashMap<Jid, VecDeque<Box<Envelope>>>,
    /// Held no more, to be heard now.
    released: VecDeque<Box<Envelope>>,
    /// Behind a service: it wants to stay (`HostTurn::stay_awake`).
    awake: bool,
    /// When it last had a turn.
    heard: Mono,
    /// A timer will look whether it may sleep.
    pub resting: bool,
    questions: HostQuestions,
    /// It is a program of its own (XEP-0114), and this is its stream.
    pub link: Option<SessionRef>,
}

/// What storage has of one.
pub struct Found<'a> {
    /// `None`: nothing was ever kept for it.
    pub woken: Option<&'a Woken>,
    /// Of the log that its service wants to know (`Entities::tail`).
    pub tail: Tail<'a>,
    /// What it was, if it is read anew.
    pub before: Option<Box<dyn Any>>,
}

/// What of the shard a domain's turn may touch.
pub(crate) struct Around<'a> {
    pub now: Now,
    pub house: &'a House,
    pub fx: &'a mut Effects,
}

/// What becomes of a stanza after the domain's turn.
pub(crate) enum Outcome {
    /// An answer to its sender.
    Answer(Box<Envelope>, String),
    Bounce(Box<Envelope>, Bounce),
    /// Its way ends here.
    Done(Box<Envelope>),
    /// A task has it, or there was none.
    Nothing,
}

impl DomainEntity {
    /// As read from disk.
    pub fn load(jid: Jid, doors: Arc<Doors>, found: Found<'_>, new_owner: impl FnOnce() -> OwnerId) -> DomainEntity {
        let items = found.woken.map_or(&[][..], |woken| &woken.items);
        let of = |shelf: &Shelf| -> Vec<Item> { items.iter().filter(|item| item.shelf == *shelf).cloned().collect() };
        let mut states: Vec<Option<Box<dyn Any>>> = Vec::new();
        let mut put = |index: usize, state: Box<dyn Any>| {
            if states.len() <= index {
                states.resize_with(index + 1, || None);
            }
            states[index] = Some(state);
        };
        match doors.entities.as_ref().filter(|_| jid.node().is_some()) {
            Some(entities) => {
                let items: Vec<Item> = entities.shelves.iter().flat_map(of).collect();
                put(entities.index, (entities.load)(&items, found.tail, found.before));
            }
            None => {
                for state in &doors.host_states {
                    let items: Vec<Item> = state.shelves.iter().flat_map(of).collect();
                    put(state.index, (state.load)(&items));
                }
            }
        }
        let owner = found.woken.map_or_else(new_owner, |woken| woken.owner);
        DomainEntity {
            doors,
            jid,
            owner,
            unowned: found.woken.is_none(),
            states,
            last_state: 0,
            tasks: 0,
            tasks_of: HashMap::new(),
            held: HashMap::new(),
            released: VecDeque::new(),
            awake: false,
            heard: Mono::default(),
            resting: false,
            questions: HostQuestions::default(),
            link: None,
        }
    }

    /// It lives behind a service, and comes and goes.
    pub fn is_behind(&self) -> bool {
        self.jid.node().is_some()
    }

    /// What it was, for when it is read anew.
    pub fn into_state(mut self) -> Option<Box<dyn Any>> {
        let index = self.doors.entities.as_ref().filter(|_| self.jid.node().is_some())?.index;
        self.states.get_mut(index)?.take()
    }

    pub fn may_sleep(&self, now: Mono, grace: Duration) -> bool {
        self.is_behind() && !self.awake && self.tasks == 0 && now.since(self.heard) >= grace
    }

    /// Nothing keeps it; when nothing happens it will sleep.
    pub fn is_idle(&self) -> bool {
        self.is_behind() && !self.awake && self.tasks == 0
    }

    /// Give somebody the turn. `about`: what was heard; without, it is the domain itself that speaks.
    pub(crate) fn with_turn<R>(
        &mut self,
        cx: &mut Around<'_>,
        about: Option<&Envelope>,
        f: impl FnOnce(&mut HostTurn<'_>) -> R,
    ) -> R {
        let doors = self.doors.clone();
        let (from, to) = about.map_or((&self.jid, &self.jid), |envelope| (&envelope.from, &envelope.to));
        self.heard = cx.now.mono;
        let mut disowned = false;
        let result = f(&mut HostTurn {
            now: cx.now,
            house: cx.house,
            doors: &doors,
            jid: &self.jid,
            from,
            guest: about.is_some_and(|envelope| envelope.guest),
            to,
            owner: self.owner,
            states: &mut self.states,
            awake: &mut self.awake,
            disowned: &mut disowned,
            questions: &mut self.questions,
            fx: cx.fx,
        });
        if disowned {
            self.owner = OwnerId(cx.house.clock.mint(cx.now).0);
            self.unowned = true;
            return result;
        }
        if self.unowned && !cx.fx.write.is_empty() {
            self.unowned = false;
            let name = Arc::from(self.jid.as_str());
            cx.fx.write.writes.insert(0, Write::Own { owner: self.owner, name });
            cx.fx.write.state = true;
        }
        result
    }

    /// It lives: rooms publish what they know.
    pub(crate) fn woken(&mut self, cx: &mut Around<'_>) {
        let doors = self.doors.clone();
        let rooms = match &doors.entities {
            Some(entities) if self.is_behind() => &entities.woken,
            _ => &doors.host_woken,
        };
        for room in rooms {
            self.with_turn(cx, None, room);
        }
    }

    /// A moment that it had asked for; or nobody has answered in time.
    pub(crate) fn alarm(&mut self, cx: &mut Around<'_>) {
        for then in self.questions.overdue(cx.now.mono) {
            self.with_turn(cx, None, |turn| then(turn, None));
        }
        let doors = self.doors.clone();
        let behind = self.is_behind();
        for room in doors.entities.iter().filter(|_| behind).flat_map(|entities| &entities.alarm) {
            self.with_turn(cx, None, room);
        }
    }

    pub(crate) fn hear(&mut self, cx: &mut Around<'_>, mut envelope: Box<Envelope>) -> Outcome {
        let doors = self.doors.clone();
        if doors.component.is_some() {
            return self.hear_for_component(cx, envelope);
        }
        // Rooms pass on what they hear: what the sender's account has added or taken out would be lost.
        envelope.stamp(&cx.house.names);
        if let Some(entities) = doors.entities.as_ref().filter(|_| self.is_behind()) {
            if let Some(held) = self.held.get_mut(&envelope.from) {
                // Whoever has left is not kept for want of room here.
                if held.len() >= HELD_STANZAS_MAX && envelope.stanza.stype() != StanzaType::Unavailable {
                    let what = format!("at most {HELD_STANZAS_MAX} stanzas wait for the one before them");
                    return Outcome::Bounce(envelope, Bounce::over(what, Changed::ByNobody("wait for an answer")));
                }
                held.push_back(envelope);
                return Outcome::Nothing;
            }
            let stanza = envelope.stanza.clone();
            let reply = self.with_turn(cx, Some(&envelope), |turn| (entities.hear)(turn, &stanza));
            return self.answer(cx, envelope, reply);
        }
        match envelope.stanza.kind() {
            Kind::Message => self.hear_message(cx, envelope),
            Kind::Iq => self.hear_iq(cx, envelope),
            Kind::Presence => {
                let stanza = envelope.stanza.clone();
                for room in &doors.host_presences {
                    self.with_turn(cx, Some(&envelope), |turn| room(turn, &stanza));
                }
                Outcome::Done(envelope)
            }
            Kind::Other => Outcome::Done(envelope),
        }
    }

    fn hear_message(&mut self, cx: &mut Around<'_>, envelope: Box<Envelope>) -> Outcome {
        let doors = self.doors.clone();
        let stanza = envelope.stanza.clone();
        for room in &doors.host_messages {
            match self.with_turn(cx, Some(&envelope), |turn| room(turn, &stanza)) {
                Some(Ok(())) => return Outcome::Done(envelope),
                Some(Err(why)) => return Outcome::Bounce(envelope, why),
                None => {}
            }
        }
        Outcome::Bounce(envelope, Bounce::nobody())
    }

    fn hear_iq(&mut self, cx: &mut Around<'_>, envelope: Box<Envelope>) -> Outcome {
        let doors = self.doors.clone();
        let stanza = envelope.stanza.clone();
        let kind = match stanza.stype() {
            StanzaType::Get => GetOrSet::Get,
            StanzaType::Set => GetOrSet::Set,
            _ => {
                if let Some(then) = self.questions.answered(&envelope.from, &stanza) {
                    self.with_turn(cx, Some(&envelope), |turn| then(turn, Some(&stanza)));
                }
                return Outcome::Done(envelope);
            }
        };
        let Some(child) = stanza.children().first() else {
            let why = Bounce::bad_request("an iq of type get or set has exactly one child");
            return Outcome::Bounce(envelope, why);
        };
        let name = stanza.name_in(child, &cx.house.names);
        let Some(room) = doors.host_iq.get(&(kind, name)) else { return Outcome::Bounce(envelope, Bounce::nobody()) };
        let reply = self.with_turn(cx, Some(&envelope), |turn| room(turn, &stanza, child));
        self.answer(cx, envelope, reply)
    }

    /// The end of a question, or the beginning of the work that ends it.
    fn answer(&mut self, cx: &mut Around<'_>, envelope: Box<Envelope>, reply: Reply) -> Outcome {
        match reply {
            Reply::Result(_) if envelope.stanza.kind() != Kind::Iq => Outcome::Done(envelope),
            Reply::Result(payload) => {
                let xml = crate::account::reply::result_xml(&envelope.stanza, Some(envelope.to.as_str()), &payload);
                Outcome::Answer(envelope, xml)
            }
            Reply::Error(why) => Outcome::Bounce(envelope, why),
            Reply::Sent => Outcome::Done(envelope),
            // Only an account can let its domain answer.
            Reply::Domain => Outcome::Bounce(envelope, Bounce::new(Condition::InternalServerError)),
            Reply::Task(begin) => {
                let caller = envelope.from.to_bare();
                let of_caller = self.tasks_of.entry(caller).or_default();
                if *of_caller >= cx.house.limits.tasks_per_account_max || self.tasks >= TASKS_MAX {
                    let why = Bounce::over(
                        "as many requests are being worked on as may be at once",
                        Changed::ByNobody("wait for an answer"),
                    );
                    return Outcome::Bounce(envelope, why);
                }
                *of_caller += 1;
                self.tasks += 1;
                if self.is_behind() && envelope.stanza.kind() != Kind::Iq {
                    self.held.entry(envelope.from.clone()).or_default();
                }
                let shared = Cx::default();
                let future = begin(shared.clone());
                let asked = Asked { envelope, session: None };
                cx.fx.list.push(Effect::Task(Pending { future, cx: shared, asked: Some(asked) }));
                Outcome::Nothing
            }
        }
    }

    /// What was held for the sake of work that has ended.
    pub(crate) fn take_released(&mut self) -> VecDeque<Box<Envelope>> {
        std::mem::take(&mut self.released)
    }

    /// The turn in which work ends.
    pub(crate) fn finish(&mut self, cx: &mut Around<'_>, asked: Option<Asked>, finish: Finish) -> Outcome {
        if let Some(asked) = &asked {
            self.tasks = self.tasks.saturating_sub(1);
            let caller = asked.envelope.from.to_bare();
            if let Some(of_caller) = self.tasks_of.get_mut(&caller) {
                *of_caller -= 1;
                if *of_caller == 0 {
                    self.tasks_of.remove(&caller);
                }
            }
            if asked.envelope.stanza.kind() != Kind::Iq {
                self.released.extend(self.held.remove(&asked.envelope.from).into_iter().flatten());
            }
        }
        let reply = match finish {
            Finish::Answer { before, result } => {
                if let (false, Some(asked)) = (before.is_empty(), &asked) {
                    cx.fx.list.push(Effect::Burst(asked.envelope.from.clone(), before));
                }
                Reply::Result(result)
            }
            Finish::Error(why) => Reply::Error(why),
            Finish::Done => Reply::Sent,
            Finish::HostTurn(then) => {
                let about = asked.as_ref().map(|asked| &*asked.envelope);
                self.with_turn(cx, about, then)
            }
            Finish::Turn(_) => Reply::Error(Bounce::new(Condition::InternalServerError)),
        };
        match asked {
            Some(asked) => self.answer(cx, asked.envelope, reply),
            None => Outcome::Nothing,
        }
    }
}

/// Does it go to the domain's turn at all? Presence to a server has no meaning here (RFC 6121 says none), an answer to nothing
/// neither, and behind the domain's resources there are only rooms that take messages. A service hears presence as well, and what
/// lives behind it hears everything; so does a component, whatever its addresses are.
pub(crate) fn listens_to(doors: &Doors, stanza: &Stanza, to: &Jid) -> Result<(), Option<Bounce>> {
    let is_service = doors.parent.is_some();
    match stanza.kind() {
        _ if doors.component.is_some() => Ok(()),
        _ if is_service && to.node().is_some() => match doors.entities {
            Some(_) => Ok(()),
            None => Err(Some(Bounce::nobody())),
        },
        Kind::Presence if is_service => Ok(()),
        Kind::Message => Ok(()),
        Kind::Iq if to.resource().is_none() && HostQuestions::may_be_answer(stanza) => Ok(()),
        Kind::Iq if !matches!(stanza.stype(), StanzaType::Get | StanzaType::Set) => Err(None),
        Kind::Iq if to.resource().is_some() => Err(Some(Bounce::nobody())),
        Kind::Iq => Ok(()),
        Kind::Presence | Kind::Other => Err(None),
    }
}
