//! A domain that is awake: what its rooms remember of it, and the questions it is working on. Everything for the domain arrives
//! here, in order, whoever sent it from whatever shard.

use std::any::Any;
use std::collections::HashMap;
use std::sync::Arc;

use iris_core::effects::{Effect, Effects};
use iris_core::error::{Bounce, Condition};
use iris_core::mount::{Doors, GetOrSet};
use iris_core::store::{Item, OwnerId, Shelf, Ticket, Woken, Write};
use iris_core::task::{Asked, Cx, Finish, Pending};
use iris_core::time::Now;
use iris_core::turn::{House, Reply};
use iris_core::{BareJid, Envelope, HostTurn, Jid, Kind, Stanza, StanzaType};

/// Tasks of one domain at once, whoever they are for; of one caller `Limits::tasks_per_account_max`.
const TASKS_MAX: usize = 4_096;

pub struct DomainEntity {
    pub doors: Arc<Doors>,
    jid: Jid,
    owner: OwnerId,
    /// The store does not know the owner yet: said with the first write.
    unowned: bool,
    /// By `StateSlot::index`.
    states: Vec<Option<Box<dyn Any>>>,
    /// The last set that this memory stands on.
    pub last_state: Ticket,
    tasks: usize,
    tasks_of: HashMap<BareJid, usize>,
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
    Answer(Envelope, String),
    Bounce(Envelope, Bounce),
    /// Its way ends here.
    Done(Envelope),
    /// A task has it, or there was none.
    Nothing,
}

impl DomainEntity {
    /// As read from disk; `None`: nothing was ever kept for this domain.
    pub fn load(jid: Jid, doors: Arc<Doors>, woken: Option<&Woken>, new_owner: impl FnOnce() -> OwnerId) -> DomainEntity {
        let items = woken.map_or(&[][..], |woken| &woken.items);
        let of = |shelf: &Shelf| -> Vec<Item> { items.iter().filter(|item| item.shelf == *shelf).cloned().collect() };
        let mut states: Vec<Option<Box<dyn Any>>> = Vec::new();
        for state in &doors.host_states {
            let items: Vec<Item> = state.shelves.iter().flat_map(of).collect();
            if states.len() <= state.index {
                states.resize_with(state.index + 1, || None);
            }
            states[state.index] = Some((state.load)(&items));
        }
        let owner = woken.map_or_else(new_owner, |woken| woken.owner);
        DomainEntity { doors, jid, owner, unowned: woken.is_none(), states, last_state: 0, tasks: 0, tasks_of: HashMap::new() }
    }

    /// Give somebody the turn. `about`: who speaks, and to whom; without, the domain itself.
    pub(crate) fn with_turn<R>(
        &mut self,
        cx: &mut Around<'_>,
        about: Option<(&Jid, &Jid)>,
        f: impl FnOnce(&mut HostTurn<'_>) -> R,
    ) -> R {
        let doors = self.doors.clone();
        let (from, to) = about.unwrap_or((&self.jid, &self.jid));
        let result = f(&mut HostTurn {
            now: cx.now,
            house: cx.house,
            doors: &doors,
            from,
            to,
            owner: self.owner,
            states: &mut self.states,
            fx: cx.fx,
        });
        if self.unowned && !cx.fx.write.is_empty() {
            self.unowned = false;
            let name = Arc::from(self.doors.domain.as_str());
            cx.fx.write.writes.insert(0, Write::Own { owner: self.owner, name });
            cx.fx.write.state = true;
        }
        result
    }

    /// It lives: rooms publish what they know.
    pub(crate) fn woken(&mut self, cx: &mut Around<'_>) {
        let doors = self.doors.clone();
        for room in &doors.host_woken {
            self.with_turn(cx, None, room);
        }
    }

    pub(crate) fn hear(&mut self, cx: &mut Around<'_>, envelope: Envelope) -> Outcome {
        match envelope.stanza.kind() {
            Kind::Message => self.hear_message(cx, envelope),
            Kind::Iq => self.hear_iq(cx, envelope),
            Kind::Presence | Kind::Other => Outcome::Done(envelope),
        }
    }

    fn hear_message(&mut self, cx: &mut Around<'_>, envelope: Envelope) -> Outcome {
        let doors = self.doors.clone();
        let stanza = envelope.stanza.clone();
        for room in &doors.host_messages {
            match self.with_turn(cx, Some((&envelope.from, &envelope.to)), |turn| room(turn, &stanza)) {
                Some(Ok(())) => return Outcome::Done(envelope),
                Some(Err(why)) => return Outcome::Bounce(envelope, why),
                None => {}
            }
        }
        Outcome::Bounce(envelope, Bounce::nobody())
    }

    fn hear_iq(&mut self, cx: &mut Around<'_>, envelope: Envelope) -> Outcome {
        let doors = self.doors.clone();
        let stanza = envelope.stanza.clone();
        let kind = match stanza.stype() {
            StanzaType::Get => GetOrSet::Get,
            StanzaType::Set => GetOrSet::Set,
            _ => return Outcome::Done(envelope),
        };
        let Some(child) = stanza.children().first() else {
            let why = Bounce::bad_request("an iq of type get or set has exactly one child");
            return Outcome::Bounce(envelope, why);
        };
        let Some(room) = doors.host_iq.get(&(kind, child.name)) else { return Outcome::Bounce(envelope, Bounce::nobody()) };
        let reply = self.with_turn(cx, Some((&envelope.from, &envelope.to)), |turn| room(turn, &stanza, child));
        self.answer(cx, envelope, reply)
    }

    /// The end of a question, or the beginning of the work that ends it.
    fn answer(&mut self, cx: &mut Around<'_>, envelope: Envelope, reply: Reply) -> Outcome {
        match reply {
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
                    let why = Bounce::new(Condition::ResourceConstraint).text("too many requests are being worked on");
                    return Outcome::Bounce(envelope, why);
                }
                *of_caller += 1;
                self.tasks += 1;
                let shared = Cx::default();
                let future = begin(shared.clone());
                let asked = Asked { envelope, session: None };
                cx.fx.list.push(Effect::Task(Pending { future, cx: shared, asked: Some(asked) }));
                Outcome::Nothing
            }
        }
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
        }
        let reply = match finish {
            Finish::Answer { result, .. } => Reply::Result(result),
            Finish::Error(why) => Reply::Error(why),
            Finish::Done => Reply::Sent,
            Finish::HostTurn(then) => {
                let about = asked.as_ref().map(|asked| (&asked.envelope.from, &asked.envelope.to));
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
/// neither, and behind the domain's resources there are only rooms that take messages.
pub(crate) fn listens_to(stanza: &Stanza, to: &Jid) -> Result<(), Option<Bounce>> {
    match stanza.kind() {
        Kind::Message => Ok(()),
        Kind::Iq if !matches!(stanza.stype(), StanzaType::Get | StanzaType::Set) => Err(None),
        Kind::Iq if to.resource().is_some() => Err(Some(Bounce::nobody())),
        Kind::Iq => Ok(()),
        Kind::Presence | Kind::Other => Err(None),
    }
}
