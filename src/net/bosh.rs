//! BOSH (XEP-0124, 0206): a pipe without a socket. Requests come from whoever reads HTTP, on any thread; the pipe lives on a worker
//! and moves to its account's shard like any other. Between them lies a [`Link`]: the session machine behind a lock that is held for
//! a few copies.

mod body;
mod keys;
mod session;

use std::collections::HashMap;
use std::net::IpAddr;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use bytes::Bytes;
use iris_core::xml::limits::XmlLimits;
use tokio::sync::{Notify, oneshot};

use crate::Shared;
use crate::guard::same_block;
use crate::origin::Page;
use crate::pipe;
use crate::worker::Command;
pub use session::Answer;
use session::{BAD_REQUEST, IMPROPER_ADDRESSING, ITEM_NOT_FOUND, POLICY_VIOLATION, Session, terminal};

/// A POST to `/http-bind`.
#[derive(Clone, Debug)]
pub struct Request {
    pub body: Bytes,
    pub peer: IpAddr,
    pub secure: bool,
    /// Limits and bans are lifted for this visitor.
    pub unlimited: bool,
    /// As the request says.
    pub origin: Option<String>,
    pub host: Option<String>,
}

/// What the `<body/>` may add to the largest stanza.
pub(crate) const WRAPPER_BYTES_MAX: usize = 16 * 1024;

/// All sessions, by sid.
#[derive(Default)]
pub(crate) struct Bosh {
    sessions: Mutex<HashMap<String, Arc<Link>>>,
    /// There is one again.
    some: Notify,
}

/// Between a pipe and its requests.
pub(crate) struct Link {
    session: Mutex<Session>,
    /// Something for the pipe to read, or room to write.
    wake: Notify,
    pub peer: IpAddr,
    pub secure: bool,
    unlimited: bool,
}

impl Link {
    fn session(&self) -> MutexGuard<'_, Session> {
        self.session.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Until there is something to read, or room to write if that is wanted.
    pub async fn ready(&self, readable: bool, writable: bool) -> (bool, bool) {
        loop {
            let wake = self.wake.notified();
            {
                let session = self.session();
                let is = (readable && session.is_readable(), writable && !session.is_full());
                if is.0 || is.1 {
                    return is;
                }
            }
            wake.await;
        }
    }

    /// False: nothing more will come.
    pub fn pull(&self, pending: &mut Vec<u8>) -> bool {
        self.session().pull(pending, Instant::now())
    }

    pub fn is_full(&self) -> bool {
        self.session().is_full()
    }

    /// Elements that stand alone.
    pub fn push<'e>(&self, elements: impl Iterator<Item = &'e str>) {
        let mut session = self.session();
        elements.for_each(|element| session.push(element));
        session.flush(Instant::now());
    }

    /// The pipe is gone.
    pub fn close(&self) {
        self.session().close(Instant::now());
    }
}

/// What is sent back at once, or how to wait for it.
type Taken = Result<oneshot::Receiver<Answer>, Answer>;

impl Shared {
    pub(crate) fn bosh_request(self: &Arc<Self>, request: Request) -> Taken {
        let house = self.house();
        let limits = XmlLimits {
            elements_max: house.limits.stanza_elements_max,
            depth_max: house.limits.stanza_depth_max + 1,
            ..XmlLimits::PRE_AUTH
        };
        let body = body::parse(&request.body, limits, &house.names).map_err(|body::Bad| terminal(BAD_REQUEST, true))?;
        let (reply, receiver) = oneshot::channel();
        let link = match &body.sid {
            None => self.bosh_session(&request, &body)?,
            Some(sid) => {
                let link = self.bosh.sessions().get(sid).cloned();
                let link = link.ok_or_else(|| terminal(ITEM_NOT_FOUND, true))?;
                // XEP-0124 19: not over an unencrypted connection when it began encrypted; "SHOULD NOT terminate the session". The
                // same for somebody elsewhere: who moves to another network comes back with XEP-0198.
                if (link.secure && !request.secure) || !same_block(link.peer, request.peer) {
                    return Err(terminal(POLICY_VIOLATION, false));
                }
                link
            }
        };
        link.session().request(body, reply, Instant::now());
        link.wake.notify_one();
        Ok(receiver)
    }

    fn bosh_session(self: &Arc<Self>, request: &Request, body: &body::Body) -> Result<Arc<Link>, Answer> {
        let refuse = |condition| Err(terminal(condition, body.ver.is_some()));
        let to = body.to.as_deref().and_then(|to| iris_core::jids::address(to).ok());
        let Some(to) = to else { return refuse(IMPROPER_ADDRESSING) };
        let page = match &request.origin {
            None => None,
            Some(origin) => match Page::new(origin, request.host.as_deref()) {
                Some(page) if self.origins.load().allow(to.domain().as_str(), &page, request.peer) => Some(page),
                _ => return refuse(POLICY_VIOLATION),
            },
        };
        let sid = pipe::random_text();
        let session = match Session::new(sid.clone(), body, Instant::now()) {
            Ok(session) => session,
            Err(condition) => return refuse(condition),
        };
        let peer = request.peer;
        if !request.unlimited {
            if !self.guard.admit_bosh(peer) {
                return refuse(POLICY_VIOLATION);
            }
            if !self.guard.admit(peer, Instant::now()) {
                self.guard.leave_bosh(peer);
                return refuse(POLICY_VIOLATION);
            }
        }
        let link = Link {
            session: Mutex::new(session),
            wake: Notify::new(),
            peer,
            secure: request.secure,
            unlimited: request.unlimited,
        };
        let link = Arc::new(link);
        self.bosh.sessions().insert(sid, link.clone());
        self.counters.bosh_sessions.one();
        self.bosh.some.notify_one();
        let traveller = pipe::from_bosh(self, link.clone(), request.unlimited, page);
        self.next_worker().command(Command::Adopt(Box::new(traveller)));
        Ok(link)
    }
}

impl Bosh {
    fn sessions(&self) -> MutexGuard<'_, HashMap<String, Arc<Link>>> {
        self.sessions.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub fn len(&self) -> usize {
        self.sessions().len()
    }
}

/// How often silent clients and waiting requests are looked at.
const SWEEP_TIME: Duration = Duration::from_millis(500);

/// Answers what has waited long enough, and forgets who has left. As long as the house stands.
pub(crate) async fn sweep(shared: Arc<Shared>) {
    loop {
        if shared.bosh.sessions().is_empty() {
            shared.bosh.some.notified().await;
        }
        tokio::time::sleep(SWEEP_TIME).await;
        let now = Instant::now();
        shared.bosh.sessions().retain(|_, link| {
            let mut session = link.session();
            session.on_time(now);
            let done = session.is_done();
            drop(session);
            if done {
                link.wake.notify_one();
                if !link.unlimited {
                    shared.guard.leave_bosh(link.peer);
                }
            }
            !done
        });
    }
}
