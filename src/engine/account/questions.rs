//! Questions of the server: an iq to somebody, and what happens with the answer (`Turn::iq`).

use std::collections::HashMap;

use iris_core::time::Mono;
use iris_core::turn::Then;
use iris_core::{Envelope, Jid, Stanza};

use super::{AccountEntity, presence};
use crate::path::{self, About, Ctx};

#[derive(Default)]
pub struct Questions {
    open: HashMap<u64, Question>,
    last: u64,
}

struct Question {
    /// Only this one can answer.
    of: Jid,
    until: Mono,
    then: Then,
}

impl Questions {
    pub fn is_empty(&self) -> bool {
        self.open.is_empty()
    }

    pub fn add(&mut self, of: Jid, until: Mono, then: Then, open_max: usize) -> Option<u64> {
        if self.open.len() >= open_max {
            return None;
        }
        self.last += 1;
        self.open.insert(self.last, Question { of, until, then });
        Some(self.last)
    }

    /// Is this the answer of the one who was asked?
    fn answered(&mut self, envelope: &Envelope) -> Option<Then> {
        let id = u64::from_str_radix(envelope.stanza.id()?.strip_prefix("ask-")?, 16).ok()?;
        if self.open.get(&id)?.of != envelope.from {
            return None;
        }
        Some(self.open.remove(&id)?.then)
    }

    fn overdue(&mut self, now: Mono) -> Vec<Then> {
        let late: Vec<u64> = self.open.iter().filter(|(_, it)| it.until <= now).map(|(id, _)| *id).collect();
        late.into_iter().filter_map(|id| Some(self.open.remove(&id)?.then)).collect()
    }
}

/// An iq of type result or error to our bare JID. It is nobody's if nobody asked.
pub(super) fn hear(entity: &mut AccountEntity, cx: &mut Ctx<'_>, envelope: &Envelope) {
    if let Some(then) = entity.questions.answered(envelope) {
        go_on(entity, cx, then, Some(&envelope.stanza));
    }
}

/// Time is over for some.
pub(crate) fn expire(entity: &mut AccountEntity, cx: &mut Ctx<'_>) {
    for then in entity.questions.overdue(cx.now.mono) {
        go_on(entity, cx, then, None);
    }
}

fn go_on(entity: &mut AccountEntity, cx: &mut Ctx<'_>, then: Then, answer: Option<&Stanza>) {
    path::with_turn(entity, cx, About::default(), |turn| then(turn, answer));
    // A client may have been asked what it can do: then it is known now which news it wants.
    for at in entity.sessions.clone() {
        presence::interested(entity, cx, at, false);
    }
}
