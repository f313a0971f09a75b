//! Commands underway: each belongs to the full JID that began it, waits ten minutes for its next step, and there are not many.

use std::any::Any;
use std::collections::{HashMap, VecDeque};
use std::rc::Rc;
use std::time::Duration;

use iris_core::Jid;
use iris_core::form::Form;
use iris_core::time::Mono;

/// A step that is not taken for this long is not taken any more.
const EXPIRY: Duration = Duration::from_secs(600);
/// Of one account at once: one more ends the oldest.
const SESSIONS_PER_ACCOUNT_MAX: usize = 16;
const SESSIONS_MAX: usize = 4_096;
/// Ids of commands that are over, so that whoever is late hears why.
const ENDED_MAX: usize = 1_024;
/// Steps that one command may be gone back to.
const STEPS_MAX: usize = 32;

pub(super) struct Session {
    pub caller: Jid,
    pub node: &'static str,
    pub touched: Mono,
    /// Which of two that were touched at the same moment is older.
    number: u64,
    /// A step is being worked on.
    pub busy: bool,
    /// What was shown, and what the answer to it is given; the last is what is answered now.
    pub steps: Steps,
}

pub(super) struct Step {
    pub form: Form,
    pub state: Rc<dyn Any>,
    pub more: bool,
}

/// The steps that were taken, the oldest given up beyond [`STEPS_MAX`].
#[derive(Default)]
pub(super) struct Steps(VecDeque<Step>);

impl Steps {
    pub fn push(&mut self, step: Step) {
        if self.0.len() >= STEPS_MAX {
            self.0.pop_front();
        }
        self.0.push_back(step);
    }
    pub fn pop(&mut self) {
        self.0.pop_back();
    }
    pub fn last(&self) -> Option<&Step> {
        self.0.back()
    }
    pub fn len(&self) -> usize {
        self.0.len()
    }
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }
}

impl Session {
    pub fn new(caller: Jid, node: &'static str, now: Mono) -> Session {
        Session { caller, node, touched: now, number: 0, busy: true, steps: Steps::default() }
    }
}

pub(super) enum Taken<'a> {
    Session(&'a mut Session),
    /// It was theirs and is over.
    Expired,
    /// It is somebody else's.
    Foreign,
    Unknown,
}

#[derive(Default)]
pub(super) struct Sessions {
    open: HashMap<String, Session>,
    /// The oldest first.
    ended: VecDeque<(String, Jid)>,
    next: u64,
}

impl Sessions {
    /// False: there are too many.
    pub fn begin(&mut self, id: &str, mut session: Session) -> bool {
        self.next += 1;
        session.number = self.next;
        self.expire(session.touched);
        let caller = session.caller.to_bare();
        let theirs = self.open.iter().filter(|(_, other)| other.caller.to_bare() == caller);
        let oldest = theirs.clone().min_by_key(|(_, other)| (other.touched, other.number)).map(|(id, _)| id.clone());
        if theirs.count() >= SESSIONS_PER_ACCOUNT_MAX
            && let Some(oldest) = oldest
        {
            self.end(&oldest);
        }
        if self.open.len() >= SESSIONS_MAX {
            return false;
        }
        self.open.insert(id.to_owned(), session);
        true
    }

    pub fn take(&mut self, id: &str, caller: &Jid, now: Mono) -> Taken<'_> {
        self.expire(now);
        match self.open.get_mut(id) {
            Some(session) if session.caller == *caller => {
                session.touched = now;
                Taken::Session(session)
            }
            Some(_) => Taken::Foreign,
            None => match self.ended.iter().find(|(ended, _)| ended == id) {
                Some((_, whose)) if whose == caller => Taken::Expired,
                Some(_) => Taken::Foreign,
                None => Taken::Unknown,
            },
        }
    }

    pub fn open(&mut self, id: &str) -> Option<&mut Session> {
        self.open.get_mut(id)
    }

    pub fn end(&mut self, id: &str) {
        if let Some((id, session)) = self.open.remove_entry(id) {
            if self.ended.len() >= ENDED_MAX {
                self.ended.pop_front();
            }
            self.ended.push_back((id, session.caller));
        }
    }

    fn expire(&mut self, now: Mono) {
        let late = |session: &Session| now.since(session.touched) >= EXPIRY;
        let late: Vec<String> = self.open.iter().filter(|(_, session)| late(session)).map(|(id, _)| id.clone()).collect();
        late.iter().for_each(|id| self.end(id));
    }
}
