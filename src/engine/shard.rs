//! A shard: the accounts whose key hashes to it, their sessions, timers and tasks, in plain maps, without a lock. It is a value
//! that turns; threads, sockets and clocks are its caller's (`iris-net`, or a test).
//!
//! `perform` is the only place that knows tickets: everything a turn causes is gated by what the turn depends on.

use std::any::Any;
use std::cmp::Reverse;
use std::collections::{BinaryHeap, HashMap, VecDeque};
use std::sync::Arc;
use std::task::Poll;

use iris_core::effects::{AfterCommit, Effect, Effects, Out, StreamError};
use iris_core::entitlements;
use iris_core::envelope::HOPS_MAX;
use iris_core::error::{Bounce, Condition};
use iris_core::hash::Seeded;
use iris_core::host::Facts;
use iris_core::login;
use iris_core::mount::Doors;
use iris_core::receipt::{Settled, take_lost};
use iris_core::store::{Entry, Item, LogQuery, Progress, Read, Rows, Shelf, Store, StoreError, Ticket, Woken};
use iris_core::task::{self, AccountFn, Answered, Asked, Finish, HostFn, Pending, Question};
use iris_core::time::{Mono, Now};
use iris_core::turn::{House, Reply};
use iris_core::xml::wire::Output;
use iris_core::{Ask, AskAnswer, AskReply, BareJid, Envelope, Event, Jid, Kind, Receipt, SessionRef, Stanza, StanzaType};

use crate::account::session::{Pulled, Session};
use crate::account::{self, AccountEntity, reply, roster, seen};
use crate::domain::DomainEntity;
use crate::known::Known;
use crate::path::{self, Ctx};
use crate::remote::Remote;
use crate::router::{Hosts, Route, bare_str, decide, shard_of};
use crate::sessions::Sessions;

mod admin;
mod binding;
mod census;
mod components;
mod domains;
mod farewell;
mod inbound;
mod lives;
mod pipes;
mod promises;
mod remotes;
mod routing;
mod tasks;

pub(crate) use binding::offers;
pub use binding::{Bind, BindReply, Bound, Inline};
pub use census::{Census, Counters};
pub use components::LinkReply;
pub use domains::{HostReply, TurnReply};
pub use inbound::{Inbound, Post};
use pipes::enable;
pub use remotes::Unreached;

/// The answer to a resume: the session and `h`; `None` when there is no such session.
pub type ResumeReply = Box<dyn FnOnce(Result<(SessionRef, u32), ResumeError>)>;

/// Why a session was not resumed (XEP-0198 5).
#[derive(Debug, PartialEq, Eq)]
pub enum ResumeError {
    /// No such session, or not of this account.
    NotFound,
    /// Another connection of the client resumes it now.
    Superseded,
    /// The client claims to have more than it was sent.
    TooMany(StreamError),
}

/// What an entity can be told.
enum Input {
    FromSession(SessionRef, Arc<Stanza>, Receipt),
    Stanza(Box<Envelope>),
    /// An answer for one of its sessions.
    Out(SessionRef, Box<Out>),
    Bind {
        bind: Box<Bind>,
        pipe: u64,
        reply: BindReply,
    },
    Resume {
        previd: String,
        h: u32,
        login_us: Option<u64>,
        pipe: u64,
        reply: ResumeReply,
    },
    /// A component's stream (XEP-0114).
    Link {
        pipe: u64,
        reply: LinkReply,
    },
    End(SessionRef, StreamError),
    Redeliver(Box<Out>),
    Marks(SessionRef),
    Resumed(SessionRef),
    /// It has lost its pipe.
    Detached(SessionRef),
    /// It is silent, or is so no more.
    Silence(SessionRef),
    Ask(Ask, AskReply),
    Host(HostFn, HostReply),
    Turn(AccountFn, TurnReply),
    Finished(Option<Asked>, Finish),
    /// Questions may be overdue.
    Overdue,
    /// Show this session's presence anew.
    Present(SessionRef),
}

enum Slot {
    /// Being read from disk; inputs wait. `sessions` lived through a reload.
    Loading {
        waiting: Vec<Input>,
        sessions: Vec<SessionRef>,
    },
    /// Read, but for the tags that tell what is being sent again.
    Tagging {
        entity: Box<AccountEntity>,
        waiting: Vec<Input>,
        left: usize,
        /// It has just been read; otherwise it has lived already.
        woken: bool,
    },
    Awake(Box<AccountEntity>),
    Domain(Box<DomainEntity>),
    /// A domain of others, as one of ours speaks to it.
    Remote(Box<Remote>),
}

#[derive(Clone, PartialEq, Eq, PartialOrd, Ord)]
enum Timer {
    Session(u32, u32),
    /// Has it acknowledged what it was asked about?
    Silence(u32, u32),
    Account(Arc<str>),
    /// Something that a domain does again and again: `Doors::every`.
    Every(Arc<str>, usize),
    /// A task's question that nobody has answered.
    Question(u64, u32),
    /// Questions of an account to its clients; or a moment that a hosted entity has asked for.
    Overdue(Arc<str>),
    /// May it sleep, that lives behind a service?
    Entity(Arc<str>),
    /// What waits for another server, or the next try to reach it.
    Remote(Arc<str>),
}

struct Running {
    key: Arc<str>,
    work: Pending,
    after: Ticket,
}

pub struct Shard {
    id: u16,
    house: Arc<House>,
    known: Known,
    hosts: Hosts,
    store: Arc<dyn Store>,
    entities: HashMap<Arc<str>, Slot, Seeded>,
    /// Names to log in under that nobody has, until when that is believed. An account that was asked stays awake for a while and answers
    /// at once; whoever guesses must not learn from the time it takes that there is none (security B10).
    nobodies: HashMap<Arc<str>, Mono, Seeded>,
    /// What an entity behind a service was, while it is read anew.
    reloading: HashMap<Arc<str>, Box<dyn Any>>,
    sessions: Sessions,
    inbox: VecDeque<(Arc<str>, Input)>,
    /// What others have for us, and what we have for each of them.
    inbound: Vec<Arc<Inbound>>,
    outbox: Vec<Vec<Post>>,
    fx: Effects,
    progress: Progress,
    /// When the store last refused something.
    last_refusal: Option<Now>,
    /// Sessions that wait for a ticket; ascending but for the odd one, which then waits a little longer.
    waiting: VecDeque<(Ticket, SessionRef)>,
    after_commit: VecDeque<(Ticket, AfterCommit)>,
    /// Something has begun to wait for the disk, and the store has not been told.
    impatient: bool,
    timers: BinaryHeap<Reverse<(Mono, Timer)>>,
    tasks: HashMap<u64, Running>,
    next_task: u64,
    /// The last ticket this shard was given.
    last_ticket: Ticket,
    /// Sessions whose pipe has something to do.
    wakes: Vec<SessionRef>,
    /// Other servers to which a stream is wanted.
    dials: Vec<Arc<str>>,
    /// Entities that are other servers, which of them are not spoken with yet, and what waits for all of them.
    remotes: usize,
    openings: remotes::Openings,
    waiting_bytes: usize,
    /// Of the accounts of a domain (`@domain`), and of the domain itself.
    shelves: HashMap<String, Arc<[Shelf]>>,
    /// What the domains have published.
    facts: Facts,
    now: Now,
}

impl Shard {
    /// `inbound[id]` is this shard's own; its length is the number of shards.
    pub fn new(
        id: u16,
        house: Arc<House>,
        known: Known,
        hosts: Hosts,
        store: Arc<dyn Store>,
        inbound: Vec<Arc<Inbound>>,
    ) -> Shard {
        let progress = store.progress();
        let outbox = inbound.iter().map(|_| Vec::new()).collect();
        let mut shard = Shard {
            id,
            house,
            known,
            hosts: Hosts::default(),
            store,
            entities: HashMap::default(),
            nobodies: HashMap::default(),
            reloading: HashMap::new(),
            sessions: Sessions::of_shard(id),
            inbox: VecDeque::new(),
            inbound,
            outbox,
            fx: Effects::default(),
            progress,
            last_refusal: None,
            waiting: VecDeque::new(),
            after_commit: VecDeque::new(),
            impatient: false,
            timers: BinaryHeap::new(),
            tasks: HashMap::new(),
            next_task: 0,
            last_ticket: 0,
            wakes: Vec::new(),
            dials: Vec::new(),
            remotes: 0,
            openings: remotes::Openings::default(),
            waiting_bytes: 0,
            shelves: HashMap::new(),
            facts: Facts::default(),
            now: Now::default(),
        };
        shard.set_hosts(hosts);
        shard.wake_domains();
        shard.wake_remotes();
        shard
    }

    /// The configuration was read anew: domains that are awake say again what follows from it, new ones and new services begin.
    pub fn reload(&mut self, hosts: Hosts, house: Arc<House>) {
        self.house = house;
        self.set_hosts(hosts);
        self.domains_reloaded();
        self.wake_domains();
        self.remotes_reloaded();
    }

    /// New doors: swapped between turns.
    pub fn set_hosts(&mut self, hosts: Hosts) {
        self.shelves = hosts.iter().flat_map(|doors| shelves_of(doors)).collect();
        self.hosts = hosts;
        for (key, slot) in &mut self.entities {
            let Some(doors) = self.hosts.of_key(key) else {
                if let Slot::Domain(entity) = slot
                    && let Some(at) = entity.link
                {
                    let why = StreamError::new("host-gone").text("this component is configured no more");
                    self.inbox.push_back((key.clone(), Input::End(at, why)));
                }
                continue;
            };
            match slot {
                Slot::Awake(entity) => entity.doors = doors.clone(),
                Slot::Domain(entity) => entity.doors = doors.clone(),
                Slot::Loading { .. } | Slot::Tagging { .. } | Slot::Remote(_) => {}
            }
        }
    }

    pub fn hosts(&self) -> &Hosts {
        &self.hosts
    }

    pub fn house(&self) -> &Arc<House> {
        &self.house
    }

    #[cfg(any(test, feature = "testing"))]
    pub fn session_mut(&mut self, at: SessionRef) -> Option<&mut Session> {
        self.sessions.get_mut(at)
    }

    pub fn session(&self, at: SessionRef) -> Option<&Session> {
        self.sessions.get(at)
    }

    fn counters(&self) -> &Counters {
        &self.inbound[usize::from(self.id)].counters
    }

    /// Does this pipe have the session, and does it go on?
    pub fn is_held_by(&self, at: SessionRef, pipe: u64) -> bool {
        self.sessions.get(at).is_some_and(|session| session.pipe == Some(pipe) && session.over.is_none())
    }

    // --- turning ----------------------------------------------------------------------------------------------------------

    /// Work on what is there, at most `budget` inputs. True: more is waiting.
    pub fn turn(&mut self, now: Now, budget: usize) -> bool {
        self.now = now;
        self.take_posts();
        self.take_progress();
        self.fire_timers();
        for _ in 0..budget {
            let Some((key, input)) = self.inbox.pop_front() else { break };
            self.handle(key, input);
        }
        for (home, seq) in take_lost() {
            tracing::warn!("a stanza was lost in a turn; its sender is told");
            let refused = Some(Bounce::new(Condition::InternalServerError));
            self.settled(Settled { home, seq, after: 0, refused });
        }
        self.flush();
        self.hurry();
        !self.inbox.is_empty()
    }

    pub fn has_work(&self) -> bool {
        !self.inbox.is_empty()
    }

    /// Has anybody posted something since the last turn?
    pub fn has_posts(&self) -> bool {
        self.inbound[usize::from(self.id)].has_posts()
    }

    /// Sessions whose pipe should pull (or read again) now.
    pub fn take_wakes(&mut self, into: &mut Vec<SessionRef>) {
        into.append(&mut self.wakes);
    }

    pub fn next_timeout(&self) -> Option<Mono> {
        self.timers.peek().map(|Reverse((at, _))| *at)
    }

    /// Hand over what other shards get: one batch, one wake-up.
    fn flush(&mut self) {
        for (shard, posts) in self.outbox.iter_mut().enumerate() {
            if !posts.is_empty() {
                self.inbound[shard].post(posts);
            }
        }
    }

    fn take_posts(&mut self) {
        for post in self.inbound[usize::from(self.id)].take() {
            match post {
                Post::Stanza(envelope) => self.accept(envelope),
                Post::Settled(settled) => self.settled(settled),
                Post::Ask(account, ask, reply) => self.ask(&account, ask, reply),
                Post::Woken(key, rows) => self.loaded(key, rows),
                Post::Tags(key, log, rows) => self.tags_loaded(&key, log, rows),
                Post::Parted(key, owner, outcome) => self.parted(key, owner, outcome),
                Post::Answer { task, question, answer } => self.answer_task(task, question, answer),
                Post::Host(envelope) => self.accept_host(envelope),
                Post::Remote(key, envelope) => self.accept_remote(key, envelope),
                Post::WakeRemote(key) => self.wake_remote(key),
                Post::Burst(to, outs) => self.burst(to, outs),
                Post::FanOut(envelope, to) => self.fan_out_here(&envelope, to),
                Post::Tail(key, woken, rows) => self.tail_loaded(key, woken, rows),
                Post::TailTags(key, woken, entries, rows) => self.tail_tags_loaded(&key, &woken, &entries, rows),
                Post::InHost(domain, f, reply) => self.inbox.push_back((domain, Input::Host(f, reply))),
                Post::InAccount(account, f, reply) => self.in_account(&account, f, reply),
                Post::Survey(domain, reply) => reply(self.present(&domain)),
                Post::Census(reply) => reply(self.census()),
                Post::Closing(reply) => reply(self.closing()),
                Post::Published(domain, index, value) => self.facts.set(&domain, index, value),
                Post::Reloaded(hosts, house) => self.reload(hosts, house),
            }
        }
    }

    fn handle(&mut self, key: Arc<str>, input: Input) {
        let Some(input) = self.run_guarded(&key, input) else { return };
        match self.entities.get_mut(&key) {
            Some(Slot::Awake(_)) => self.tag_again(&key, input),
            Some(Slot::Domain(_)) => self.run_domain_guarded(&key, input),
            Some(Slot::Remote(_)) => self.run_remote(&key, input),
            Some(Slot::Loading { waiting, .. } | Slot::Tagging { waiting, .. }) => {
                // What a client sends waits at that client's expense; what the house makes of it has a bound of its own.
                let has_credit = !matches!(&input, Input::Stanza(envelope) if envelope.receipt.is_none());
                // A roster may have many contacts at one place, and all are told at once who has come.
                let limits = &self.house.limits;
                let max = if Shard::is_remote(&key) { limits.output_stanzas_max } else { limits.loading_inputs_max };
                if has_credit || waiting.len() < max {
                    waiting.push(input);
                } else {
                    self.counters().loading_full.one();
                    self.reject(input, &Bounce::new(Condition::ResourceConstraint));
                }
            }
            None => self.wake(key, input),
        }
    }

    /// One turn of an account. A panic in it is a bug, and ends that client's stream only: everybody else goes on, and the account,
    /// whose memory nobody can trust now, is read anew. Receipts that the turn held are lost, so their senders are told.
    /// `Some`: this is no account that is awake and knows what may be sent again.
    fn run_guarded(&mut self, key: &Arc<str>, input: Input) -> Option<Input> {
        let speaker = match &input {
            Input::FromSession(at, ..) => Some(*at),
            _ => None,
        };
        let turn = std::panic::AssertUnwindSafe(|| self.run(key, input));
        if let Ok(other) = std::panic::catch_unwind(turn) {
            return other;
        }
        tracing::error!("a turn has panicked: this is a bug; the account is read anew");
        self.counters().panics.one();
        self.fx = Effects::default();
        if let Some(at) = speaker
            && let Some(session) = self.sessions.get_mut(at)
        {
            session.over.get_or_insert(StreamError::new("internal-server-error"));
            self.wakes.push(at);
        }
        if let Some(Slot::Awake(entity)) = self.entities.remove(key) {
            let sessions = entity.sessions.iter().copied().filter(|at| Some(*at) != speaker).collect();
            self.entities.insert(key.clone(), Slot::Loading { waiting: Vec::new(), sessions });
            self.read_account(key.clone(), if self.progress.is_refused(self.last_ticket) { 0 } else { self.last_ticket });
        }
        None
    }

    /// What a turn does. One search for its account: a message to a room takes a turn of everybody who is there.
    fn run(&mut self, key: &Arc<str>, input: Input) -> Option<Input> {
        let entity = match self.entities.get_mut(key) {
            Some(Slot::Awake(entity)) if entity.tags_epoch == self.progress.epoch => entity,
            _ => return Some(input),
        };
        let input = match input {
            // What it stands on was refused after it had left: were it taken now, its own write would be kept and the sender be
            // told that all went well.
            Input::Stanza(mut envelope) if self.progress.is_refused(envelope.after) => {
                self.done(&mut envelope);
                self.rest_when_idle(key);
                return None;
            }
            Input::Redeliver(out) if self.progress.is_refused(out.after) => {
                self.rest_when_idle(key);
                return None;
            }
            input => input,
        };
        let doors = entity.doors.clone();
        let mut cx = Ctx {
            now: self.now,
            house: &self.house,
            known: &self.known,
            facts: &self.facts,
            doors: &doors,
            sessions: &mut self.sessions,
            fx: &mut self.fx,
        };
        let mut cause = 0;
        let mut bound = None;
        match input {
            Input::FromSession(at, stanza, receipt) => entity.hear_session(&mut cx, at, stanza, receipt),
            Input::Stanza(envelope) => {
                cause = envelope.after;
                entity.hear_route(&mut cx, envelope);
            }
            Input::Out(at, out) => cx.fx.list.push(Effect::Out(at, *out)),
            Input::Bind { bind, pipe, reply } => bound = binding::bind(entity, &mut cx, *bind, pipe, reply),
            Input::Resume { login_us, reply, .. } if !entity.is_open_to(login_us) => reply(Err(ResumeError::NotFound)),
            Input::Resume { previd, h, pipe, reply, .. } => bound = lives::resume(entity, &mut cx, &previd, h, pipe, reply),
            Input::End(at, error) => entity.end(&mut cx, at, error),
            Input::Redeliver(out) => {
                cause = out.after;
                account::redeliver(entity, &mut cx, &out);
            }
            Input::Marks(at) => {
                let marks = cx.sessions.get_mut(at).map(|session| std::mem::take(&mut session.marks)).unwrap_or_default();
                for mark in marks {
                    path::event_about(entity, &mut cx, Event::MarkPassed, Some(at), None, mark);
                }
            }
            Input::Detached(at) => {
                // It may have a pipe again by now, or be about to.
                if cx.sessions.get(at).is_some_and(|session| session.card.detached && session.resuming.is_none()) {
                    path::event(entity, &mut cx, Event::SessionDetached, Some(at));
                }
            }
            Input::Silence(at) => {
                let silent = cx.sessions.get(at).map(|session| session.card.silent);
                let event = silent.map(|silent| if silent { Event::SessionSilent } else { Event::SessionHeard });
                event.into_iter().for_each(|event| path::event(entity, &mut cx, event, Some(at)));
            }
            Input::Resumed(at) => path::event(entity, &mut cx, Event::SessionResumed, Some(at)),
            Input::Ask(ask, reply) => admin::answer(entity, &mut cx, ask, reply),
            Input::Host(_, reply) => reply(Err(StoreError::Refused)),
            Input::Link { reply, .. } => reply(None),
            Input::Turn(f, reply) => {
                if entity.login.is_none() {
                    reply(Ok(None));
                    return None;
                }
                let result = path::with_turn(entity, &mut cx, path::About::default(), f);
                cx.fx.list.push(Effect::AfterCommit(Box::new(move |kept| reply(kept.map(|()| Some(result))))));
            }
            Input::Overdue => account::questions::expire(entity, &mut cx),
            Input::Present(at) => account::presence::present_again(entity, &mut cx, at),
            Input::Finished(asked, finish) => {
                // Only work that an iq waits for was counted when it began.
                entity.tasks = entity.tasks.saturating_sub(usize::from(asked.is_some()));
                tasks::finish(entity, &mut cx, asked, finish);
            }
        }
        let may_rest = entity.gone || entity.sessions.is_empty();
        self.wakes.append(&mut self.sessions.ended);
        self.perform(key, cause);
        if let Some(at) = bound {
            if self.sessions.get(at).is_some_and(|session| session.resuming.is_some()) {
                // The pipe that had it learns that it has it no more.
                self.wakes.push(at);
                self.detach(self.now.mono, at);
            } else {
                self.arm_session(at, self.now.mono + self.house.limits.idle_timeout);
            }
            self.look_at(at);
        }
        if may_rest {
            self.rest_when_idle(key);
        }
        None
    }

    /// Do what the turn has caused, and tell on what all of it depends. `cause`: what its input depended on.
    fn perform(&mut self, key: &Arc<str>, cause: Ticket) -> Ticket {
        let write = std::mem::take(&mut self.fx.write);
        let (last_state, kept) = match self.entities.get_mut(key) {
            // Of a guest nothing is kept, whatever a room wants to.
            Some(Slot::Awake(entity)) => (&mut entity.last_state, !entity.guest),
            Some(Slot::Domain(entity)) => (&mut entity.last_state, true),
            Some(Slot::Remote(remote)) => (&mut remote.last_state, true),
            Some(Slot::Loading { .. } | Slot::Tagging { .. }) | None => return cause,
        };
        let mut ticket = cause.max(*last_state);
        if kept && !write.is_empty() {
            let state = write.state;
            self.last_ticket = self.store.submit(write, self.progress.epoch);
            ticket = ticket.max(self.last_ticket);
            if state {
                *last_state = self.last_ticket;
            }
        }
        let of_guest = |envelope: &Envelope| !kept && bare_str(&envelope.from) == &**key;
        let mut list = std::mem::take(&mut self.fx.list);
        for effect in list.drain(..) {
            match effect {
                Effect::Send(mut envelope) => {
                    envelope.after = envelope.after.max(ticket);
                    envelope.guest |= of_guest(&envelope);
                    self.route(envelope);
                }
                Effect::FanOut(mut envelope, to) => {
                    envelope.after = envelope.after.max(ticket);
                    self.fan_out(envelope, &to);
                }
                Effect::Burst(to, mut outs) => {
                    outs.iter_mut().for_each(|out| out.after = out.after.max(ticket));
                    self.burst(to, outs);
                }
                Effect::Tell(key, f) => self.tell(ticket, key, f),
                Effect::TellAccount(account, f) => self.tell_account(ticket, account, f),
                Effect::Out(at, mut out) => {
                    out.after = out.after.max(ticket);
                    self.out(at, out);
                }
                Effect::Settle(mut settled) => {
                    settled.after = settled.after.max(ticket);
                    self.settled(settled);
                }
                Effect::Task(work) => self.begin(key.clone(), work),
                Effect::End(at, error) => self.inbox.push_back((key.clone(), Input::End(at, error))),
                Effect::AfterCommit(then) => self.when_committed(ticket, then),
                Effect::ToDomain(mut envelope) => {
                    envelope.after = envelope.after.max(ticket);
                    envelope.guest |= of_guest(&envelope);
                    self.send_host(envelope);
                }
                Effect::Publish(index, value) => self.publish(key, ticket, index, value),
                Effect::Alarm(at) => self.arm(at, Timer::Overdue(key.clone())),
                Effect::Present(at) => self.inbox.push_back((key.clone(), Input::Present(at))),
            }
        }
        self.fx.list = list;
        ticket
    }
}

/// Every shelf that an account of the domain needs to wake (of a service: what lives behind it), and every one that the domain itself
/// needs.
fn shelves_of(doors: &Doors) -> [(String, Arc<[Shelf]>); 2] {
    let with = |mut shelves: Vec<Shelf>, states: &[iris_core::mount::MountedState]| -> Arc<[Shelf]> {
        for shelf in states.iter().flat_map(|state| &state.shelves) {
            if !shelves.contains(shelf) {
                shelves.push(*shelf);
            }
        }
        shelves.into()
    };
    let accounts = match (&doors.parent, &doors.entities) {
        (None, _) => {
            let own = [login::SHELF, login::FAREWELL, account::clients::SHELF, seen::SHELF, entitlements::SHELF, roster::SHELF];
            with(own.to_vec(), &doors.states)
        }
        (Some(_), Some(entities)) => entities.shelves.clone().into(),
        (Some(_), None) => Arc::from([]),
    };
    [(format!("@{}", doors.domain), accounts), (doors.domain.clone(), with(Vec::new(), &doors.host_states))]
}

/// What `Woken` looks like for an account that was just made.
fn new_account(owner: iris_core::store::OwnerId) -> Woken {
    Woken { owner, items: Vec::<Item>::new() }
}
