//! Streams of components (XEP-0114): each is a session of the domain that it is.

use iris_core::FullJid;
use iris_core::turn::SessionCard;

use super::*;

/// The session; `None`: there is no such component.
pub type LinkReply = Box<dyn FnOnce(Option<SessionRef>)>;

/// The resource under which the house itself asks a component whether it lives.
const RESOURCE: &str = "component";

impl Shard {
    /// A program has shown that it is this domain, which lives here. An earlier stream of it ends.
    pub fn link(&mut self, domain: &str, pipe: u64, reply: LinkReply) {
        self.inbox.push_back((Arc::from(domain), Input::Link { pipe, reply }));
    }

    pub(super) fn linked(&mut self, key: &Arc<str>, pipe: u64, reply: LinkReply) {
        let (now, jid) = (self.now, FullJid::new(&format!("{key}/{RESOURCE}")));
        let Some((Slot::Domain(entity), Ok(jid))) = self.entities.get_mut(key).map(|slot| (slot, jid)) else {
            return reply(None);
        };
        if entity.doors.component.is_none() {
            return reply(None);
        }
        let at = self.sessions.insert(|this| {
            let mut session = Session::new(SessionCard::new(this, jid), key.clone(), now);
            session.pipe = Some(pipe);
            session
        });
        let earlier = entity.link.replace(at);
        if let Some(earlier) = earlier {
            self.unlinked(key, earlier, StreamError::new("conflict").text("another stream of the same component has begun"));
        }
        self.arm_session(at, now.mono + self.house.limits.idle_timeout);
        reply(Some(at));
    }

    /// Its stream ends. Whoever has said something that it did not get hears so.
    pub(super) fn unlinked(&mut self, key: &Arc<str>, at: SessionRef, error: StreamError) {
        if let Some(Slot::Domain(entity)) = self.entities.get_mut(key)
            && entity.link == Some(at)
        {
            entity.link = None;
        }
        let Some(session) = self.sessions.get_mut(at) else { return };
        let undelivered = session.take_undelivered();
        session.over = Some(error);
        if session.pipe.is_none() {
            self.sessions.remove(at);
        } else {
            self.wakes.push(at);
        }
        undelivered.iter().for_each(|out| self.undelivered(out));
    }

    pub(super) fn undelivered(&mut self, out: &Out) {
        let Some(origin) = &out.origin else { return };
        let mut envelope = Envelope::new(origin.stanza.clone(), origin.from.clone(), origin.to.clone());
        let why = Bounce::new(Condition::ServiceUnavailable).text("the program behind this address has gone");
        envelope.after = out.after;
        self.bounce(envelope, &why);
    }
}
