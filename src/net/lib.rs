//! Sockets, TLS and threads. `worker.rs` turns one shard per thread; `pipe.rs` is a connection.

mod bosh;
pub mod certs;
pub mod counters;
mod guard;
mod guests;
mod http;
mod listener;
pub mod origin;
mod peers;
mod pipe;
mod proxy;
mod registrar;
pub mod tls;
pub mod websocket;
mod worker;

use std::io;
use std::net::{IpAddr, SocketAddr};
use std::sync::atomic::AtomicU32;
use std::sync::atomic::Ordering::Relaxed;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use arc_swap::ArcSwap;
use iris_core::BareJid;
use iris_core::HostTurn;
use iris_core::effects::StreamError;
use iris_core::limits::Limits;
use iris_core::store::Store;
use iris_core::task::{AccountFn, HostFn};
use iris_core::turn::House;
use iris_core::xml::names::NameTable;
use iris_engine::negotiate::Policy;
use iris_engine::{Ask, AskAnswer, Census, HostReply, Hosts, Inbound, Known, Post, TurnReply, shard_of};
use rustls::ServerConfig;

use bosh::Bosh;
pub use bosh::{Answer as BoshAnswer, Request as BoshRequest};
use counters::Counters;
pub use guard::Counters as GuardCounters;
use guard::Guard;
use guests::Guests;
pub use http::{Http, HttpConnection, HttpStream, WebSocketRequest};
pub use listener::{BindError, Listening};
use origin::Origins;
pub use peers::Peers;
use worker::{Command, Handle};

/// A place where clients come in.
#[derive(Clone, Debug)]
pub struct Place {
    pub address: SocketAddr,
    pub service: Service,
    /// Rate limits, bans and shapers are lifted for everybody who comes in here.
    pub unlimited: bool,
    /// Connections begin with a header of the PROXY protocol, which is believed.
    pub proxied: bool,
    /// Not being able to listen here is no error (a default for a machine that may lack IPv6).
    pub optional: bool,
}

/// What is spoken at a place.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Service {
    /// XMPP; TLS must begin before anything else.
    StartTls,
    /// XMPP in TLS (XEP-0368). `web`: HTTP too, for those who ask for it by ALPN.
    Tls { web: bool },
    /// XMPP in the clear: development only, loopback only.
    Plain,
    /// HTTP in TLS; XMPP for those who ask for it by ALPN.
    Https,
    /// HTTP in the clear, behind a proxy or for this machine only; metrics and health too.
    Http,
    /// Components (XEP-0114), in the clear: for this machine or a network of one's own.
    Component,
    /// Other servers: with STARTTLS, or in TLS from the first byte (XEP-0368). Of a connection that we open: to one.
    Peer { direct: bool },
}

/// Everything the network needs to know.
pub struct Setup {
    pub house: Arc<House>,
    pub known: Known,
    pub hosts: Hosts,
    pub store: Arc<dyn Store>,
    pub policy: Arc<Policy>,
    pub tls: Tls,
    /// Who speaks HTTP: gets every connection that begins with it.
    pub http: Http,
    pub places: Vec<Place>,
    /// Which web pages may speak here.
    pub origins: Origins,
    /// Other servers; `None`: nobody is spoken with.
    pub peers: Option<Arc<Peers>>,
    /// Shards, one thread each.
    pub workers: u16,
    /// Addresses for which rate limits, bans and shapers are lifted.
    pub lifted: Vec<IpAddr>,
}

/// TLS by what is spoken in it (RFC 7301).
#[derive(Clone)]
pub struct Tls {
    /// STARTTLS: ALPN is ignored.
    pub starttls: Arc<ServerConfig>,
    /// `xmpp-client`, when there is an ALPN.
    pub direct: Arc<ServerConfig>,
    /// `xmpp-client` or `http/1.1`.
    pub web: Arc<ServerConfig>,
    /// Other servers: STARTTLS, and direct (`xmpp-server`, when there is an ALPN).
    pub peers: Option<Arc<ServerConfig>>,
    pub peers_direct: Option<Arc<ServerConfig>>,
    /// A mail address in a client's certificate is its JID (XEP-0178 2, step 11.3).
    pub mail_is_address: bool,
}

/// What all workers share.
pub(crate) struct Shared {
    house: ArcSwap<House>,
    policy: ArcSwap<Policy>,
    pub origins: ArcSwap<Origins>,
    pub peers: Option<Arc<Peers>>,
    pub tls: Tls,
    pub http: Http,
    pub guard: Guard,
    pub guests: Guests,
    pub counters: Counters,
    pub registrations: registrar::Registrations,
    pub workers: Vec<Handle>,
    turn: AtomicU32,
    bosh: Bosh,
    /// The zero of monotonic time.
    pub began: Instant,
}

impl Shared {
    pub fn house(&self) -> Arc<House> {
        self.house.load_full()
    }

    /// In turn: for whoever has no account yet.
    pub fn next_worker(&self) -> &Handle {
        let turn = self.turn.fetch_add(1, Relaxed) as usize;
        &self.workers[turn % self.workers.len()]
    }

    pub fn policy(&self) -> Arc<Policy> {
        self.policy.load_full()
    }
}

/// How long there is for what is said before streams end.
const LAST_WORDS_TIME_MAX: Duration = Duration::from_millis(300);

/// How long a shard gets to count.
const CENSUS_TIME_MAX: Duration = Duration::from_secs(2);

/// The running network. Dropped: stopped.
pub struct Net {
    shared: Arc<Shared>,
    threads: Mutex<Vec<std::thread::JoinHandle<()>>>,
    listening: Vec<Listening>,
}

impl Net {
    /// Listen everywhere, or nowhere: an address that cannot be had is an error before anybody is served.
    pub fn start(setup: Setup, began: Instant) -> Result<Net, BindError> {
        let sockets = listener::bind_all(&setup.places)?;
        let listening: Vec<Listening> = sockets.iter().map(listener::Bound::listening).collect();
        let handles: Vec<Handle> = (0..setup.workers.max(1)).map(|_| Handle::new()).collect();
        let inbound: Vec<Arc<Inbound>> = handles.iter().map(|handle| handle.inbound.clone()).collect();
        let nudged = inbound.clone();
        setup.store.on_progress(Box::new(move || nudged.iter().for_each(|shard| shard.nudge())));
        let shared = Arc::new(Shared {
            guard: Guard::new(setup.house.limits.clone(), setup.lifted),
            guests: Guests::default(),
            counters: Counters::default(),
            registrations: registrar::Registrations::default(),
            house: ArcSwap::new(setup.house),
            peers: setup.peers,
            policy: ArcSwap::new(setup.policy),
            origins: ArcSwap::from_pointee(setup.origins),
            tls: setup.tls,
            http: setup.http,
            workers: handles,
            turn: AtomicU32::new(0),
            bosh: Bosh::default(),
            began,
        });
        let mut sockets = Some(sockets);
        let threads = (0..inbound.len() as u16)
            .map(|id| {
                let (shared, inbound) = (shared.clone(), inbound.clone());
                let (known, hosts, store) = (setup.known, setup.hosts.clone(), setup.store.clone());
                // The first worker accepts and deals connections out; a handshake is anybody's, a session its account's.
                let accepts = if id == 0 { sockets.take().unwrap_or_default() } else { Vec::new() };
                std::thread::Builder::new().name(format!("iris-{id}")).spawn(move || {
                    worker::run(id, shared, known, hosts, store, inbound, accepts);
                })
            })
            .collect::<io::Result<Vec<_>>>()
            .map_err(BindError::Threads)?;
        Ok(Net { shared, threads: Mutex::new(threads), listening })
    }

    pub fn listening(&self) -> &[Listening] {
        &self.listening
    }

    /// Ask an account from a thread of its own (administration). Blocks until it has answered.
    pub fn ask(&self, account: &BareJid, ask: Ask) -> AskAnswer {
        let (sender, receiver) = std::sync::mpsc::sync_channel(1);
        let reply = Box::new(move |answer| {
            // The asker may have given up; nobody needs the answer then.
            let _ = sender.send(answer);
        });
        let home = shard_of(account.as_str(), self.shared.workers.len() as u16);
        self.shared.workers[usize::from(home)].inbound.post_one(Post::Ask(account.clone(), ask, reply));
        receiver
            .recv_timeout(Duration::from_secs(30))
            .unwrap_or_else(|_| AskAnswer::Failed("the account does not answer".into()))
    }

    /// Do something in the turn of a domain (see `HostTurn`); `reply` gets what it returned when its writes are on disk, on the
    /// domain's thread. Never blocks.
    pub fn in_host(&self, domain: &str, f: HostFn, reply: HostReply) {
        let home = shard_of(domain, self.shared.workers.len() as u16);
        self.shared.workers[usize::from(home)].inbound.post_one(Post::InHost(Arc::from(domain), f, reply));
    }

    /// The same in the turn of an account (see `Turn`); `reply` gets `None` when there is no such account.
    pub fn in_account(&self, account: &BareJid, f: AccountFn, reply: TurnReply) {
        let home = shard_of(account.as_str(), self.shared.workers.len() as u16);
        self.shared.workers[usize::from(home)].inbound.post_one(Post::InAccount(account.clone(), f, reply));
    }

    /// The same from a thread of its own. Blocks until the writes are on disk.
    ///
    /// # Errors
    /// The domain is not served here, the store refused the writes, or there was no answer in 30 s. One sentence.
    pub fn host<R: Send + 'static>(
        &self,
        domain: &str,
        f: impl FnOnce(&mut HostTurn<'_>) -> R + Send + 'static,
    ) -> Result<R, String> {
        let (sender, receiver) = std::sync::mpsc::sync_channel(1);
        let reply: HostReply = Box::new(move |answer| {
            // The asker may have given up; nobody needs the answer then.
            let _ = sender.send(answer);
        });
        self.in_host(domain, Box::new(move |turn| Box::new(f(turn))), reply);
        let answer = receiver.recv_timeout(Duration::from_secs(30)).map_err(|_| "the domain does not answer".to_owned())?;
        let result = answer.map_err(|why| why.to_string())?;
        result.downcast().map(|result| *result).map_err(|_| "the domain answered something else".to_owned())
    }

    /// The names that are known: a reload adds to them.
    pub fn names(&self) -> NameTable {
        NameTable::clone(&self.shared.house().names)
    }

    /// What a reload of the configuration changes: doors, limits, policy. `names`: those of before, and what is new. Sessions go on; a
    /// stream that is being negotiated ends its current step by the old rules, and one that has begun learns new names of iqs alone.
    pub fn reload(
        &self,
        hosts: &Hosts,
        names: NameTable,
        limits: Limits,
        policy: Policy,
        origins: Origins,
        lifted: Vec<IpAddr>,
    ) {
        let old = self.shared.house();
        let house = Arc::new(House { names: Arc::new(names), limits: limits.clone(), ..House::clone(&old) });
        self.shared.house.store(house.clone());
        self.shared.policy.store(Arc::new(policy));
        self.shared.origins.store(Arc::new(origins));
        self.shared.guard.set_rules(limits, lifted);
        for worker in &self.shared.workers {
            worker.inbound.post_one(Post::Reloaded(hosts.clone(), house.clone()));
        }
    }

    /// May a page of this origin speak to any domain, on a connection to `host` from `peer`?
    pub fn page_may_speak(&self, origin: &str, host: Option<&str>, peer: IpAddr) -> bool {
        let page = origin::Page::new(origin, host);
        page.is_some_and(|page| self.shared.origins.load().allow_any(&page, peer))
    }

    /// One request of a BOSH session; the answer may take a minute. On any runtime.
    pub fn bosh(&self, request: BoshRequest) -> impl Future<Output = BoshAnswer> + Send + use<> {
        let taken = self.shared.bosh_request(request);
        async move {
            match taken {
                Ok(answer) => answer.await.unwrap_or_else(|_| BoshAnswer::gone()),
                Err(refusal) => refusal,
            }
        }
    }

    /// Bytes of a request of BOSH at most.
    pub fn bosh_body_bytes_max(&self) -> usize {
        self.shared.house().limits.stanza_size_bytes_max + bosh::WRAPPER_BYTES_MAX
    }

    /// What connections have done.
    pub fn counters(&self) -> &Counters {
        &self.shared.counters
    }

    /// Guests who were turned away: by `guests_per_address_max`, by `guests_per_domain_max`.
    pub fn guests_refused(&self) -> [u64; 2] {
        [self.shared.guests.address_full.get(), self.shared.guests.domain_full.get()]
    }

    /// Who was turned away.
    pub fn guard_counters(&self) -> &GuardCounters {
        &self.shared.guard.counters
    }

    /// BOSH sessions that there are now.
    pub fn bosh_sessions(&self) -> usize {
        self.shared.bosh.len()
    }

    /// What each shard has counted.
    pub fn shard_counters(&self) -> impl Iterator<Item = &iris_engine::Counters> {
        self.shared.workers.iter().map(|worker| &worker.inbound.counters)
    }

    /// Each shard counts what it has. `None`: one did not answer.
    pub async fn census(&self) -> Vec<Option<Census>> {
        let asked = self.shared.workers.iter().map(|worker| {
            let (sender, answer) = tokio::sync::oneshot::channel();
            // The asker may have given up; nobody needs the answer then.
            worker.inbound.post_one(Post::Census(Box::new(move |census| drop(sender.send(census)))));
            answer
        });
        let mut all = Vec::new();
        for answer in asked.collect::<Vec<_>>() {
            let answer = tokio::time::timeout(CENSUS_TIME_MAX, answer).await;
            all.push(answer.ok().and_then(Result::ok));
        }
        all
    }

    /// Do all workers run?
    pub fn is_alive(&self) -> bool {
        self.threads().iter().all(|thread| !thread.is_finished())
    }

    fn threads(&self) -> std::sync::MutexGuard<'_, Vec<std::thread::JoinHandle<()>>> {
        self.threads.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Tell everybody `system-shutdown`, let them have what is theirs, end. Less than 2 s.
    pub fn stop(&self) {
        self.let_last_words_be_heard();
        let error = StreamError::new("system-shutdown");
        if self.shared.peers.is_some() {
            for worker in &self.shared.workers {
                worker.command(Command::Part(error.clone()));
            }
            self.let_last_words_be_heard();
        }
        for worker in &self.shared.workers {
            worker.command(Command::Stop(error.clone()));
        }
        for thread in self.threads().drain(..) {
            if thread.join().is_err() {
                tracing::error!("a worker thread has panicked");
            }
        }
    }
}

impl Net {
    /// Rooms tell who is in them that the house closes (XEP-0045 11.2), and clients that read get it before their stream ends; so do
    /// other servers, also who has gone. What one shard has said to another's clients is there in the next round at the earliest.
    fn let_last_words_be_heard(&self) {
        let until = Instant::now() + LAST_WORDS_TIME_MAX;
        // Rounds in a row in which nobody had anything left.
        let mut quiet = 0;
        while quiet < 2 {
            let (sender, receiver) = std::sync::mpsc::channel();
            for worker in &self.shared.workers {
                let sender = sender.clone();
                let reply = move |left| {
                    // The asker may have given up.
                    let _ = sender.send(left);
                };
                worker.inbound.post_one(Post::Closing(Box::new(reply)));
            }
            drop(sender);
            let mut left = 0;
            for _ in &self.shared.workers {
                match receiver.recv_timeout(until.saturating_duration_since(Instant::now())) {
                    Ok(of_shard) => left += of_shard,
                    // No more time; or the shards have stopped already.
                    Err(_) => return,
                }
            }
            quiet = if left == 0 { quiet + 1 } else { 0 };
            std::thread::sleep(Duration::from_millis(2));
        }
    }
}

impl Drop for Net {
    fn drop(&mut self) {
        self.stop();
    }
}
