//! One thread, one runtime, one shard. Pipes feed the shard and pull from it; the turner turns it when there is work.

use std::cell::{Cell, RefCell};
use std::collections::HashMap;
use std::net::TcpStream;
use std::rc::Rc;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use iris_core::effects::StreamError;
use iris_core::hash::Seeded;
use iris_core::store::Store;
use iris_core::time::{Mono, Now};
use iris_core::xml::wire::Output;
use iris_core::{SessionRef, receipt};
use iris_engine::{Counters, Hosts, Inbound, Known, Shard};
use tokio::sync::Notify;
use tokio::task::LocalSet;

use crate::listener::Bound;
use crate::peers::{self, Dialling};
use crate::pipe::{self, Traveller, Wake};
use crate::{Place, Service, Shared};

/// What other threads tell a worker.
pub(crate) enum Command {
    /// A connection that was accepted elsewhere.
    Serve(TcpStream, Place),
    /// A connection whose account lives here.
    Adopt(Box<Traveller>),
    /// End everybody's stream but those with other servers, which have to be told who has gone.
    Part(StreamError),
    Stop(StreamError),
}

/// A worker, seen from other threads.
pub(crate) struct Handle {
    pub inbound: Arc<Inbound>,
    commands: Mutex<Vec<Command>>,
    wake: Arc<Notify>,
}

impl Handle {
    pub fn new() -> Handle {
        let wake = Arc::new(Notify::new());
        let kick = wake.clone();
        Handle { inbound: Arc::new(Inbound::new(move || kick.notify_one())), commands: Mutex::default(), wake }
    }

    pub fn command(&self, command: Command) {
        self.commands.lock().unwrap_or_else(PoisonError::into_inner).push(command);
        self.wake.notify_one();
    }

    fn take_commands(&self) -> Vec<Command> {
        std::mem::take(&mut *self.commands.lock().unwrap_or_else(PoisonError::into_inner))
    }
}

/// What the pipes of this thread share.
pub(crate) struct Worker {
    pub id: u16,
    pub shared: Arc<Shared>,
    pub shard: RefCell<Shard>,
    pub scratch: RefCell<Scratch>,
    /// What a pipe writes from, while no pipe does.
    pub spare: RefCell<Vec<u8>>,
    /// By session slot: how to wake its pipe.
    pipes: RefCell<HashMap<u32, (u64, Rc<Wake>), Seeded>>,
    next_pipe: Cell<u64>,
    wake: Arc<Notify>,
    /// The house is closing; pipes that have no session yet end.
    pub stopping: RefCell<Option<StreamError>>,
    pub stop_signal: Notify,
    /// Connections of this thread.
    pub open: Cell<usize>,
    pub dialling: Dialling,
}

/// Buffers for one read or one write: a connection that is silent holds none.
#[derive(Default)]
pub(crate) struct Scratch {
    /// What the socket gave.
    pub read: Vec<u8>,
    pub incoming: Vec<u8>,
    pub stanzas: Output,
    pub outgoing: Vec<u8>,
}

impl Worker {
    pub fn now(&self) -> Now {
        let wall = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
        Now { mono: Mono(self.shared.began.elapsed()), wall_us: wall.as_micros() as u64 }
    }

    /// What this thread counts for each stanza.
    pub fn counters(&self) -> &Counters {
        &self.shared.workers[usize::from(self.id)].inbound.counters
    }

    /// The shard has something to do.
    pub fn kick(&self) {
        self.wake.notify_one();
    }

    pub fn pipe_id(&self) -> u64 {
        let id = self.next_pipe.get();
        self.next_pipe.set(id + 1);
        // Unique in the house: a pipe may have been another worker's.
        id << 16 | u64::from(self.id)
    }

    pub fn register(&self, at: SessionRef, pipe: u64, wake: Rc<Wake>) {
        self.pipes.borrow_mut().insert(at.slot, (pipe, wake));
    }

    pub fn forget(&self, at: SessionRef, pipe: u64) {
        let mut pipes = self.pipes.borrow_mut();
        if pipes.get(&at.slot).is_some_and(|(registered, _)| *registered == pipe) {
            pipes.remove(&at.slot);
        }
    }

    /// A connection of this thread's poller.
    pub fn serve(self: &Rc<Self>, socket: tokio::net::TcpStream, place: Place) {
        let worker = self.clone();
        tokio::task::spawn_local(async move { pipe::serve(worker, socket, place).await });
    }
}

/// Inputs in one turn before the pipes get a chance.
const TURN_BUDGET: usize = 512;

pub(crate) fn run(
    id: u16,
    shared: Arc<Shared>,
    known: Known,
    hosts: Hosts,
    store: Arc<dyn Store>,
    inbound: Vec<Arc<Inbound>>,
    accepts: Vec<Bound>,
) {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().max_blocking_threads(2).build();
    let runtime = match runtime {
        Ok(runtime) => runtime,
        Err(error) => return tracing::error!(%error, "a worker cannot start"),
    };
    let wake = shared.workers[usize::from(id)].wake.clone();
    let shard = Shard::new(id, shared.house(), known, hosts, store, inbound);
    let worker = Rc::new(Worker {
        id,
        shared,
        shard: RefCell::new(shard),
        scratch: RefCell::default(),
        spare: RefCell::default(),
        pipes: RefCell::default(),
        next_pipe: Cell::new(1),
        wake,
        stopping: RefCell::default(),
        stop_signal: Notify::new(),
        open: Cell::new(0),
        dialling: Dialling::default(),
    });
    let tasks = LocalSet::new();
    tasks.block_on(&runtime, async move {
        if id == 0 {
            tokio::task::spawn_local(crate::bosh::sweep(worker.shared.clone()));
        }
        for bound in accepts {
            tokio::task::spawn_local(accept(worker.clone(), bound));
        }
        turner(worker).await;
    });
}

/// Turn the shard whenever there is work, and wake the pipes that have something to do.
async fn turner(worker: Rc<Worker>) {
    let mut wakes = Vec::new();
    let mut dials = Vec::new();
    let mut stop_at: Option<Instant> = None;
    loop {
        for command in worker.shared.workers[usize::from(worker.id)].take_commands() {
            match command {
                Command::Serve(socket, place) => match tokio::net::TcpStream::from_std(socket) {
                    Ok(socket) => worker.serve(socket, place),
                    Err(error) => tracing::debug!(%error, "a connection was lost"),
                },
                Command::Adopt(traveller) => {
                    let worker = worker.clone();
                    tokio::task::spawn_local(async move { pipe::adopt(worker, *traveller).await });
                }
                Command::Part(error) => worker.shard.borrow_mut().end_all(&error, false),
                Command::Stop(error) => {
                    // Somebody may have come meanwhile.
                    for peers in [false, true] {
                        worker.shard.borrow_mut().end_all(&error, peers);
                    }
                    *worker.stopping.borrow_mut() = Some(error);
                    worker.stop_signal.notify_waiters();
                    stop_at = Some(Instant::now() + STOP_TIME_MAX);
                }
            }
        }
        let (more, timeout) = {
            let mut shard = worker.shard.borrow_mut();
            let more = shard.turn(worker.now(), TURN_BUDGET);
            shard.take_wakes(&mut wakes);
            shard.take_dials(&mut dials);
            (more, shard.next_timeout())
        };
        debug_assert!(receipt::take_lost().is_empty());
        for key in dials.drain(..) {
            tokio::task::spawn_local(peers::dial(worker.clone(), key));
        }
        {
            let pipes = worker.pipes.borrow();
            for at in wakes.drain(..) {
                if let Some((_, wake)) = pipes.get(&at.slot) {
                    wake.wake();
                }
            }
        }
        if let Some(end) = stop_at
            && (worker.open.get() == 0 || Instant::now() >= end)
        {
            return;
        }
        if more {
            tokio::task::yield_now().await;
            continue;
        }
        let sleep = match (timeout, stop_at) {
            (_, Some(_)) => Some(Duration::from_millis(5)),
            (Some(at), None) => Some(at.0.saturating_sub(worker.shared.began.elapsed()).max(Duration::from_millis(1))),
            (None, None) => None,
        };
        match sleep {
            Some(sleep) => {
                // Either is a reason to look again.
                let _ = tokio::time::timeout(sleep, worker.wake.notified()).await;
            }
            None => worker.wake.notified().await,
        }
    }
}

/// How long clients get to take their last words.
const STOP_TIME_MAX: Duration = Duration::from_millis(1_500);

/// Accept and deal out.
async fn accept(worker: Rc<Worker>, bound: Bound) {
    let place = bound.place;
    let listener = match tokio::net::TcpListener::from_std(bound.socket) {
        Ok(listener) => listener,
        Err(error) => return tracing::error!(%error, address = %place.address, "cannot accept connections"),
    };
    let mut turn = 0usize;
    loop {
        if worker.stopping.borrow().is_some() {
            return;
        }
        match listener.accept().await {
            Ok((socket, peer)) => {
                // Behind a proxy the peer is the proxy; who it really is, is judged when its header has come.
                // Nor is anybody let off by the address of a proxy that names nobody: `http` is where those knock, or local tools, to
                // which the limits give room enough (security B12).
                let by_address = !place.proxied && place.service != Service::Http;
                let lifted = place.unlimited || (by_address && worker.shared.guard.is_lifted(peer.ip()));
                if !lifted && !place.proxied && !worker.shared.guard.admit(peer.ip(), Instant::now()) {
                    continue;
                }
                let place = Place { unlimited: lifted, ..place.clone() };
                turn = turn.wrapping_add(1);
                let target = turn % worker.shared.workers.len();
                if target == usize::from(worker.id) {
                    worker.serve(socket, place);
                } else if let Ok(socket) = socket.into_std() {
                    worker.shared.workers[target].command(Command::Serve(socket, place));
                }
            }
            Err(error) => {
                // Out of descriptors, most likely (reliability R21): those we have go on, and some will close.
                tracing::warn!(%error, address = %place.address, "cannot accept a connection");
                tokio::time::sleep(Duration::from_millis(200)).await;
            }
        }
    }
}
