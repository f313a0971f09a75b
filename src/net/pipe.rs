//! A connection: socket, TLS, framing. First it negotiates (`door.rs`), then it feeds its session and writes what it pulls.
//!
//! It never queues: what the client sends waits in the socket until there is credit, what the client gets waits in the
//! session's deque until the socket takes it.

use std::io;
use std::net::{IpAddr, SocketAddr};
use std::rc::Rc;
use std::sync::Arc;
use std::time::{Duration, Instant};

use iris_core::effects::StreamError;
use iris_core::xml::limits::XmlLimits;
use iris_core::xml::scan::{Scanned, Scanner, XmlError};
use iris_core::{BareJid, FullJid, SessionRef};
use iris_engine::account::session::Pulled;
use iris_engine::negotiate::sasl::{BindingKind, ChannelBinding, TlsVersion};
use iris_engine::negotiate::{Action, Env, Negotiator, Security, Transport};
use iris_engine::{Ask, AskAnswer, Bind, BindReply, Hosts};
use tokio::net::TcpStream;

use crate::bosh::Link;
use crate::counters::{Open, State};
use crate::http::Line;
use crate::origin::Page;
use crate::tls::{TlsError, TlsSession, TlsState};
use crate::worker::{Command, Worker};
use crate::{Place, Service, Shared};

mod component;
mod door;
mod framed;
mod front;
mod peer;
mod rate;
mod session;
mod wake;
mod way;

pub(crate) use door::{random, random_text};
use framed::Unread;
pub(crate) use framed::{Framing, WebSocket};
use front::Spoken;
use peer::PeerEnd;
pub(crate) use peer::{Initiated, initiate, part, speak};
use rate::Rate;
use session::Pause;
pub(crate) use wake::Wake;
use way::{Detached, Way};

/// Bytes read, or rendered for writing, at once.
const CHUNK_BYTES: usize = 64 * 1024;

/// The buffer that is handed from pipe to pipe holds a chunk with what TLS adds to it.
const SPARE_BYTES_MAX: usize = 2 * CHUNK_BYTES;

/// How long a peer gets to take what is left to say.
const LAST_WORDS_TIME_MAX: Duration = Duration::from_secs(2);

/// How long TLS's goodbye keeps back from the last word. A peer that gets both in one read may see the end only: Smack's modular
/// connection then waits for a closing tag that it has already thrown away. One that closes by itself is not waited for.
const GOODBYE_TIME_MAX: Duration = Duration::from_millis(250);

/// How long a peer is listened to, and not heard, after the last word was said to it.
const HEAR_OUT_TIME_MAX: Duration = Duration::from_secs(1);

pub(crate) struct Pipe {
    worker: Rc<Worker>,
    way: Way,
    peer: IpAddr,
    place: Place,
    tls: Option<Box<TlsSession>>,
    framing: Framing,
    scanner: Scanner,
    /// Ciphertext that is no whole record yet.
    incoming: Vec<u8>,
    /// Plain bytes that are no whole stanza yet, or wait for credit.
    pending: Vec<u8>,
    /// Bytes (ciphertext under TLS) that the socket did not take yet.
    outgoing: Vec<u8>,
    /// The peer has closed its side.
    ended: bool,
    /// Counted by the guard among the unauthenticated.
    knocking: bool,
    /// Counted among the open connections; a BOSH session is none.
    open: Option<Open>,
    /// It is a stream of another server.
    peer_end: Option<Box<PeerEnd>>,
    /// Of such a stream: its last word is said.
    is_parting: bool,
}

/// A pipe between two workers.
pub(crate) struct Traveller {
    way: Detached,
    peer: IpAddr,
    place: Place,
    tls: Option<Box<TlsSession>>,
    framing: Framing,
    scanner: Scanner,
    incoming: Vec<u8>,
    pending: Vec<u8>,
    outgoing: Vec<u8>,
    knocking: bool,
    open: Option<Open>,
    errand: Errand,
    deadline: Instant,
}

/// What a pipe without a session is at.
enum Errand {
    /// A client's stream. Whose shard it has travelled to, to ask what; `None` when that is not known yet.
    Negotiate(Box<Negotiator>, Option<(BareJid, Ask)>),
    /// A component's (XEP-0114): which one it has shown to be.
    Component(Option<Arc<str>>),
    /// A stream of another server; encrypted from the first byte?
    Receive { direct: bool },
    /// One of ours to another server, for this pair of domains. Everything is negotiated.
    Speak { key: Arc<str>, acknowledges: bool },
}

/// How a connection ends.
enum End {
    /// The peer went away, or TLS broke: nothing more can be said.
    Gone,
    /// Everything has been said.
    Said,
    /// The connection lives on, on another worker.
    Moved,
}

impl From<io::Error> for End {
    fn from(_: io::Error) -> End {
        End::Gone
    }
}

/// A connection that has just been accepted.
pub(crate) async fn serve(worker: Rc<Worker>, socket: TcpStream, place: Place) {
    let peer = socket.peer_addr().map(|peer| peer.ip());
    let Ok(peer) = peer else { return };
    // Small stanzas go out at once; what belongs together is written together anyway.
    if socket.set_nodelay(true).is_err() {
        return;
    }
    if matches!(place.service, Service::Peer { .. }) && peer::watch(&socket).is_err() {
        return;
    }
    let open = Open::accepted(worker.shared.clone(), place.service);
    let house = worker.shared.house();
    let scanner = Scanner::new(XmlLimits::PRE_AUTH, house.names.clone());
    // Behind a proxy nobody has been counted yet: it is not known who it is.
    let knocking = !place.unlimited && !place.proxied;
    let mut pipe = Pipe {
        worker: worker.clone(),
        way: Way::Socket(socket),
        peer,
        place,
        tls: None,
        framing: Framing::Stream,
        scanner,
        incoming: Vec::new(),
        pending: Vec::new(),
        outgoing: Vec::new(),
        ended: false,
        knocking,
        open: Some(open),
        peer_end: None,
        is_parting: false,
    };
    let deadline = Instant::now() + house.limits.negotiation_timeout;
    match Box::pin(pipe.front(deadline)).await {
        Ok(Spoken::Xmpp(transport)) => {
            let negotiator = Negotiator::new(transport);
            pipe.scanner.set_limits(negotiator.limits(&house.limits));
            pipe.live(Errand::Negotiate(Box::new(negotiator), None), deadline).await;
        }
        Ok(Spoken::Component) => pipe.live(Errand::Component(None), deadline).await,
        Ok(Spoken::Peer { direct }) => pipe.live(Errand::Receive { direct }, deadline).await,
        Ok(Spoken::Http) => pipe.hand_over(),
        Err(end) => {
            pipe.no_longer_knocking();
            if matches!(end, End::Said) {
                // Why there is no TLS.
                Box::pin(pipe.last_words()).await;
            }
        }
    }
}

/// A connection that comes back from HTTP as a WebSocket, of this peer.
pub(crate) fn from_http(
    stream: std::net::TcpStream,
    mut line: Line,
    (peer, unlimited): (IpAddr, bool),
    page: Option<Page>,
) -> Traveller {
    let negotiator = Negotiator::new(Transport::WebSocket);
    let house = line.shared.house();
    let scanner = Scanner::for_fragments(negotiator.limits(&house.limits), house.names.clone());
    Traveller {
        way: Detached::Socket(stream),
        peer,
        place: Place { unlimited, ..line.place.clone() },
        tls: line.tls.take(),
        framing: Framing::WebSocket(Box::new(WebSocket::of(page))),
        scanner,
        incoming: std::mem::take(&mut line.incoming),
        pending: std::mem::take(&mut line.pending),
        outgoing: std::mem::take(&mut line.outgoing),
        knocking: !unlimited,
        open: line.open.take(),
        errand: Errand::Negotiate(Box::new(negotiator), None),
        deadline: Instant::now() + house.limits.negotiation_timeout,
    }
}

/// A BOSH session that has just been asked for.
pub(crate) fn from_bosh(shared: &Shared, link: Arc<Link>, unlimited: bool, page: Option<Page>) -> Traveller {
    let negotiator = Negotiator::new(Transport::Bosh);
    let house = shared.house();
    let scanner = Scanner::for_fragments(negotiator.limits(&house.limits), house.names.clone());
    let address = SocketAddr::new(link.peer, 0);
    Traveller {
        peer: link.peer,
        way: Detached::Bosh(link),
        place: Place { address, service: Service::Http, unlimited, proxied: false, optional: true },
        tls: None,
        framing: Framing::Elements(page.map(Box::new)),
        scanner,
        incoming: Vec::new(),
        pending: Vec::new(),
        outgoing: Vec::new(),
        knocking: !unlimited,
        open: None,
        errand: Errand::Negotiate(Box::new(negotiator), None),
        deadline: Instant::now() + house.limits.negotiation_timeout,
    }
}

/// A connection whose account lives here, or that has come back from HTTP.
pub(crate) async fn adopt(worker: Rc<Worker>, traveller: Traveller) {
    let Ok(way) = traveller.way.attach() else { return };
    let mut pipe = Pipe {
        worker: worker.clone(),
        way,
        peer: traveller.peer,
        place: traveller.place,
        tls: traveller.tls,
        framing: traveller.framing,
        scanner: traveller.scanner,
        incoming: traveller.incoming,
        pending: traveller.pending,
        outgoing: traveller.outgoing,
        ended: false,
        knocking: traveller.knocking,
        open: traveller.open,
        peer_end: None,
        is_parting: false,
    };
    pipe.live(traveller.errand, traveller.deadline).await;
}

impl Pipe {
    async fn live(&mut self, errand: Errand, deadline: Instant) {
        let worker = self.worker.clone();
        worker.open.set(worker.open.get() + 1);
        self.becomes(State::Negotiation);
        // Boxed: what negotiation needs is given back when it is over, instead of being part of a task that lives for days.
        let begun = match errand {
            Errand::Negotiate(negotiator, arrived) => Box::pin(self.negotiate(*negotiator, arrived, deadline)).await,
            Errand::Component(domain) => Box::pin(self.begin_component(domain, deadline)).await,
            Errand::Receive { direct } => Box::pin(self.receive_peer(direct, deadline)).await,
            Errand::Speak { key, acknowledges } => {
                let pipe = worker.pipe_id();
                let at = worker.shard.borrow_mut().linked_to(worker.now(), &key, pipe, acknowledges);
                worker.kick();
                at.map(|at| (at, pipe)).ok_or(End::Said)
            }
        };
        let end = match begun {
            Ok(at) => {
                self.no_longer_knocking();
                self.becomes(State::Session);
                self.attached(at.0, at.1).await
            }
            Err(end) => end,
        };
        if !matches!(end, End::Moved) {
            self.no_longer_knocking();
        }
        if matches!(end, End::Said) {
            Box::pin(self.last_words()).await;
        }
        if let (Way::Bosh(link), false) = (&self.way, matches!(end, End::Moved)) {
            link.close();
        }
        worker.open.set(worker.open.get() - 1);
        worker.kick();
    }

    fn becomes(&mut self, state: State) {
        if let Some(open) = &mut self.open {
            open.becomes(state);
        }
    }

    fn no_longer_knocking(&mut self) {
        if self.knocking {
            self.knocking = false;
            self.worker.shared.guard.leave(self.peer);
        }
    }

    /// Write what is left, say goodbye in TLS, close.
    async fn last_words(&mut self) {
        self.say_close(crate::websocket::NORMAL);
        // Whatever the peer does not take in time is lost with the connection.
        if !self.write_out().await {
            return;
        }
        if self.tls.is_some() {
            // RFC 6120 4.4: whoever has got the closing tag closes the connection.
            let gone = self.hear_out(GOODBYE_TIME_MAX).await;
            if let Some(tls) = &mut self.tls {
                tls.close_notify(&mut self.outgoing);
            }
            if !self.write_out().await || gone {
                return;
            }
        }
        if self.way.shut().await.is_ok() {
            // Closed with bytes unread, the kernel would reset the connection, and the peer might never see why it ended.
            self.hear_out(HEAR_OUT_TIME_MAX).await;
        }
    }

    /// Hand over all that is outgoing; false when the peer does not take it.
    async fn write_out(&mut self) -> bool {
        let writing = async {
            while !self.outgoing.is_empty() {
                self.way.ready(false, true).await?;
                self.write_some()?;
            }
            io::Result::Ok(())
        };
        let taken = matches!(tokio::time::timeout(LAST_WORDS_TIME_MAX, writing).await, Ok(Ok(())));
        if !taken {
            tracing::debug!("a connection closed before everything was taken");
        }
        taken
    }

    /// Listen without hearing until the peer has ended; false when it goes on after `time_max`: it is cut off.
    async fn hear_out(&mut self, time_max: Duration) -> bool {
        if self.ended || matches!(self.way, Way::Bosh(_)) || self.worker.stopping.borrow().is_some() {
            return true;
        }
        let worker = self.worker.clone();
        let hearing = async {
            loop {
                if self.way.ready(true, false).await.is_err() {
                    return;
                }
                let mut scratch = worker.scratch.borrow_mut();
                scratch.read.resize(CHUNK_BYTES, 0);
                match self.way.try_read(&mut scratch.read) {
                    Ok(0) => return,
                    Ok(_) => {}
                    Err(error) if error.kind() == io::ErrorKind::WouldBlock => {}
                    Err(_) => return,
                }
            }
        };
        tokio::time::timeout(time_max, hearing).await.is_ok()
    }

    // --- bytes --------------------------------------------------------------------------------------------------------

    /// Read what is there and append it, decrypted, to `pending`. False: nothing was there.
    fn read_some(&mut self) -> Result<bool, End> {
        if let Way::Bosh(link) = &self.way {
            self.ended |= !link.pull(&mut self.pending);
            return Ok(!self.pending.is_empty());
        }
        let worker = self.worker.clone();
        let mut scratch = worker.scratch.borrow_mut();
        let scratch = &mut *scratch;
        // Filled with zeros once: read into, never shortened.
        scratch.read.resize(CHUNK_BYTES, 0);
        let n = match self.way.try_read(&mut scratch.read) {
            Ok(0) => {
                self.ended = true;
                return Ok(false);
            }
            Ok(n) => n,
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => return Ok(false),
            Err(_) => return Err(End::Gone),
        };
        worker.counters().bytes_received.add(n as u64);
        let Some(tls) = &mut self.tls else {
            self.pending.extend_from_slice(&scratch.read[..n]);
            return Ok(true);
        };
        scratch.outgoing.clear();
        let state = if self.incoming.is_empty() {
            // Most reads are whole records: digested in the thread's buffer, the connection keeps none.
            scratch.incoming.clear();
            scratch.incoming.extend_from_slice(&scratch.read[..n]);
            let state = tls.read(&mut scratch.incoming, &mut self.pending, &mut scratch.outgoing);
            self.incoming.extend_from_slice(&scratch.incoming);
            state
        } else {
            self.incoming.extend_from_slice(&scratch.read[..n]);
            let state = tls.read(&mut self.incoming, &mut self.pending, &mut scratch.outgoing);
            if self.incoming.is_empty() {
                self.incoming = Vec::new();
            }
            state
        };
        self.outgoing.extend_from_slice(&scratch.outgoing);
        match state {
            Ok(TlsState::PeerClosed) => self.ended = true,
            Ok(TlsState::Handshaking | TlsState::Open) => {}
            Err(error) => {
                return Err(self.tls_failed(&error));
            }
        }
        Ok(true)
    }

    /// What TLS itself has to say about it is queued already.
    fn tls_failed(&mut self, error: &TlsError) -> End {
        tracing::debug!(%error, "TLS ended");
        if self.tls_is_shaking_hands() {
            self.worker.shared.counters.tls_failed.one();
        }
        self.tls = None;
        End::Said
    }

    /// Digest ciphertext that waits in `incoming`.
    fn decrypt(&mut self) -> Result<(), End> {
        let Some(tls) = self.tls.as_mut().filter(|_| !self.incoming.is_empty()) else { return Ok(()) };
        match tls.read(&mut self.incoming, &mut self.pending, &mut self.outgoing) {
            Ok(TlsState::PeerClosed) => self.ended = true,
            Ok(TlsState::Handshaking | TlsState::Open) => {}
            Err(error) => {
                return Err(self.tls_failed(&error));
            }
        }
        Ok(())
    }

    /// Encrypt and queue for the socket.
    fn say(&mut self, plain: &[u8]) -> Result<(), End> {
        if self.outgoing.capacity() == 0 {
            self.outgoing = self.worker.spare.take();
        }
        match &mut self.tls {
            None => self.outgoing.extend_from_slice(plain),
            Some(tls) => tls.write(plain, &mut self.outgoing).map_err(|_| End::Gone)?,
        }
        Ok(())
    }

    /// Give the socket what it takes now.
    fn write_some(&mut self) -> io::Result<()> {
        let mut written = 0;
        while written < self.outgoing.len() {
            match self.way.try_write(&self.outgoing[written..]) {
                Ok(0) => return Err(io::ErrorKind::WriteZero.into()),
                Ok(n) => written += n,
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => break,
                Err(error) => return Err(error),
            }
        }
        self.worker.counters().bytes_sent.add(written as u64);
        if written == self.outgoing.len() {
            // A connection that has written holds no buffer: the next one that writes has this one, which is still in the cache.
            let mut done = std::mem::take(&mut self.outgoing);
            let mut spare = self.worker.spare.borrow_mut();
            if spare.capacity() < done.capacity() && done.capacity() <= SPARE_BYTES_MAX {
                done.clear();
                *spare = done;
            }
        } else {
            self.outgoing.drain(..written);
        }
        Ok(())
    }

    /// The next thing in `pending` after `at`.
    fn scan(&mut self, at: &mut usize) -> Result<Option<Scanned>, Unread> {
        if self.framing.is_framed() {
            return self.scan_frames(at);
        }
        let found = self.scanner.scan(&self.pending[*at..])?;
        match &found {
            Scanned::NeedMore { skipped } => {
                *at += skipped;
                Ok(None)
            }
            Scanned::Open { consumed, .. } | Scanned::Stanza { consumed, .. } | Scanned::Close { consumed } => {
                *at += consumed;
                Ok(Some(found))
            }
        }
    }

    /// Forget what has been consumed; an empty buffer is given back.
    fn consume(&mut self, upto: usize) {
        if upto >= self.pending.len() {
            self.pending = Vec::new();
            self.scanner.park();
        } else if upto > 0 {
            self.pending.drain(..upto);
        }
    }
}

fn stream_error(error: XmlError) -> StreamError {
    StreamError::new(error.condition())
}
