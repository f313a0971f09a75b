//! One client connection: TCP, TLS, framing, negotiation up to a bound resource, and the counters of XEP-0198.

use std::io::{ErrorKind, Read, Write};
use std::net::SocketAddr;
use std::sync::Arc;

use anyhow::{Context, Result, bail, ensure};
use mio::net::TcpStream;
use rustls::ClientConnection;
use rustls::pki_types::ServerName;

use crate::fast;
use crate::frame::{self, Framer};
use crate::relay;
use crate::scram::{self, Exchange, Salted};
use crate::websocket::WebSocket;

/// How the connection is protected.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Transport {
    /// TLS from the first byte (XEP-0368).
    Direct,
    /// RFC 6120 5.
    StartTls,
    /// No TLS; loopback only.
    Plain,
    /// RFC 7395 in TLS.
    WebSocket,
}

/// SASL mechanism to use.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Mechanism {
    Plain,
    ScramSha1,
}

/// The server under test and how to log in to it.
pub struct Target {
    pub address: SocketAddr,
    pub domain: String,
    pub password: String,
    pub transport: Transport,
    pub mechanism: Mechanism,
    pub tls: Arc<rustls::ClientConfig>,
}

/// How far a client goes on its own.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Goal {
    /// TLS, with the relay that is the limit: no stream at all.
    Relay,
    /// Stop at the first features: in-band registration.
    Stream,
    /// Authenticate and bind.
    Bound,
    /// The same, then send initial presence.
    Available,
    /// Authenticate and resume (XEP-0198 5), instead of binding.
    Resumed,
    /// Authenticate in SASL2, bind, and get a token (XEP-0484).
    Token,
    /// Authenticate with the token, and bind.
    Fast,
}

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Stage {
    /// Waiting for features, before (`false`) or after authentication.
    Features(bool),
    Relay,
    Proceed,
    Sasl,
    Sasl2,
    Bind,
    Resume,
    Online,
    /// `</stream:stream>` is sent; anything may come until the end.
    Closing,
    /// The peer has ended its stream, too.
    Ended,
}

/// XEP-0198 counters.
#[derive(Clone, Copy, Default, Debug)]
pub struct Acks {
    pub enabled: bool,
    /// Stanzas handled by us.
    pub handled: u32,
    /// Highest `h` the server has reported.
    pub confirmed: u32,
    /// Requests of the server that we answered.
    pub answered: u64,
}

pub struct Client {
    pub user: String,
    pub resource: String,
    pub acks: Acks,
    /// What the server calls the session, to resume it.
    pub previd: String,
    /// XEP-0484: what it comes back with.
    pub token: String,
    pub(crate) socket: TcpStream,
    tls: Option<ClientConnection>,
    stage: Stage,
    goal: Goal,
    exchange: Exchange,
    input: Vec<u8>,
    framer: Framer,
    output: Vec<u8>,
    websocket: Option<Box<WebSocket>>,
    target: Arc<Target>,
}

impl Client {
    /// Starts to connect; everything up to `goal` then happens by itself as bytes arrive. `serial` makes the SCRAM nonce.
    pub fn connect(target: &Arc<Target>, user: &str, resource: &str, goal: Goal, serial: u64) -> Result<Self> {
        let socket = TcpStream::connect(target.address)?;
        let mut client = Client {
            user: user.into(),
            resource: resource.into(),
            acks: Acks::default(),
            previd: String::new(),
            token: String::new(),
            socket,
            tls: None,
            stage: Stage::Features(false),
            goal,
            exchange: Exchange::new(user, serial),
            input: Vec::new(),
            framer: Framer::default(),
            output: Vec::new(),
            websocket: None,
            target: target.clone(),
        };
        if matches!(target.transport, Transport::Direct | Transport::WebSocket) {
            client.start_tls()?;
        }
        if target.transport == Transport::WebSocket {
            client.output = WebSocket::request(&target.domain);
            client.websocket = Some(Box::default());
        }
        if goal == Goal::Relay {
            client.stage = Stage::Relay;
            client.framer = Framer::inside();
            return Ok(client);
        }
        client.open_stream();
        Ok(client)
    }

    pub fn bare(&self) -> String {
        format!("{}@{}", self.user, self.target.domain)
    }

    pub fn full(&self) -> String {
        format!("{}/{}", self.bare(), self.resource)
    }

    pub fn is_online(&self) -> bool {
        self.stage == Stage::Online
    }

    pub fn has_ended(&self) -> bool {
        self.stage == Stage::Ended
    }

    /// The peer has ended its stream. An error unless we asked for it.
    pub fn end(&mut self) -> Result<()> {
        ensure!(self.stage == Stage::Closing, "{} was disconnected by the server", self.full());
        self.stage = Stage::Ended;
        Ok(())
    }

    fn is_leaving(&self) -> bool {
        matches!(self.stage, Stage::Closing | Stage::Ended)
    }

    /// Queues bytes; they leave with the next flush, together with whatever else is queued by then.
    pub fn queue(&mut self, bytes: &[u8]) {
        match &mut self.websocket {
            Some(websocket) => websocket.write(bytes, &mut self.output),
            None => self.output.extend_from_slice(bytes),
        }
    }

    /// The connection breaks without a word.
    pub fn cut(&mut self) {
        // It may be broken already.
        let _ = self.socket.shutdown(std::net::Shutdown::Both);
        self.stage = Stage::Ended;
    }

    /// Continues the session of another connection.
    pub fn continues(&mut self, earlier: &Client) {
        self.previd.clone_from(&earlier.previd);
        self.acks = earlier.acks;
    }

    /// Ends the stream in the orderly way.
    pub fn close(&mut self) {
        match self.websocket {
            Some(_) => self.queue(b"<close xmlns='urn:ietf:params:xml:ns:xmpp-framing'/>"),
            None => self.output.extend_from_slice(b"</stream:stream>"),
        }
        self.stage = Stage::Closing;
    }

    fn start_tls(&mut self) -> Result<()> {
        let name = ServerName::try_from(self.target.domain.clone())?;
        let mut config = self.target.tls.clone();
        if self.target.transport == Transport::WebSocket {
            Arc::make_mut(&mut config).alpn_protocols = vec![b"http/1.1".to_vec()];
        }
        let mut tls = ClientConnection::new(config, name)?;
        tls.set_buffer_limit(None);
        self.tls = Some(tls);
        Ok(())
    }

    fn open_stream(&mut self) {
        if self.websocket.is_some() {
            self.framer = Framer::inside();
            let open = format!("<open xmlns='urn:ietf:params:xml:ns:xmpp-framing' to='{}' version='1.0'/>", self.target.domain);
            return self.queue(open.as_bytes());
        }
        self.framer = Framer::default();
        let header = format!(
            "<?xml version='1.0'?><stream:stream to='{}' version='1.0' xmlns='jabber:client' \
             xmlns:stream='http://etherx.jabber.org/streams'>",
            self.target.domain
        );
        self.queue(header.as_bytes());
    }

    /// Writes what is queued as far as the socket takes it.
    pub fn flush(&mut self) -> Result<()> {
        let leaving = self.is_leaving();
        match &mut self.tls {
            Some(tls) => {
                if !self.output.is_empty() {
                    tls.writer().write_all(&self.output)?;
                    self.output.clear();
                }
                while tls.wants_write() {
                    match tls.write_tls(&mut self.socket) {
                        Ok(_) => {}
                        Err(error) if not_yet(&error) => break,
                        Err(_) if leaving => break,
                        Err(error) => return Err(error).with_context(|| format!("writing as {}", self.user)),
                    }
                }
            }
            None => {
                while !self.output.is_empty() {
                    match self.socket.write(&self.output) {
                        Ok(written) => drop(self.output.drain(..written)),
                        Err(error) if not_yet(&error) => break,
                        Err(_) if leaving => break,
                        Err(error) => return Err(error).with_context(|| format!("writing as {}", self.user)),
                    }
                }
            }
        }
        Ok(())
    }

    /// Reads everything the socket has. Returns whether the peer has closed. A short read says that the socket is empty, unless
    /// the peer is known to be `closing`: then the end must still be read, for no further event announces it.
    pub fn fill(&mut self, scratch: &mut [u8], closing: bool) -> Result<bool> {
        let leaving = self.is_leaving();
        loop {
            let count = match self.socket.read(scratch) {
                Ok(0) => return Ok(true),
                Ok(count) => count,
                Err(error) if not_yet(&error) => return Ok(false),
                Err(_) if leaving => return Ok(true),
                Err(error) => return Err(error).with_context(|| format!("reading as {}", self.user)),
            };
            let mut bytes = scratch.get(..count).unwrap_or_default();
            let Some(tls) = &mut self.tls else {
                self.input.extend_from_slice(bytes);
                continue;
            };
            while !bytes.is_empty() {
                tls.read_tls(&mut bytes)?;
                let state = tls.process_new_packets().with_context(|| format!("TLS as {}", self.user))?;
                let new = state.plaintext_bytes_to_read();
                if new > 0 {
                    let Some(websocket) = &mut self.websocket else {
                        let old = self.input.len();
                        self.input.resize(old + new, 0);
                        tls.reader().read_exact(&mut self.input[old..])?;
                        continue;
                    };
                    websocket.read(new, &mut tls.reader(), &mut self.input, &mut self.output)?;
                }
            }
            if count < scratch.len() && !closing {
                return Ok(false);
            }
        }
    }

    /// Takes the received bytes out, to look at them while clients (this one too) queue answers.
    pub fn take_input(&mut self) -> (Vec<u8>, Framer) {
        (std::mem::take(&mut self.input), self.framer)
    }

    /// As a stream begins: on a WebSocket without a root.
    pub fn framer(&self) -> Framer {
        self.framer
    }

    /// Puts back what [`Client::take_input`] took, less what was handed out.
    pub fn put_input(&mut self, mut input: Vec<u8>, mut framer: Framer) {
        let gone = framer.consumed();
        input.drain(..gone);
        framer.dropped(gone);
        (self.input, self.framer) = (input, framer);
    }

    /// Treats a frame that belongs to negotiation or 0198. Returns whether it is one, and whether the stream restarts, that
    /// is the framer must begin anew.
    pub fn negotiate(&mut self, frame: &[u8], salted: &mut Salted) -> Result<Step> {
        if frame::is_error(frame) && !self.is_leaving() {
            bail!("{} received an error: {}", self.user, String::from_utf8_lossy(frame));
        }
        match self.stage {
            Stage::Closing | Stage::Ended => Ok(Step::Taken),
            Stage::Online => Ok(self.acknowledge(frame)),
            _ if frame.starts_with(b"<stream:stream") || frame.starts_with(b"<open ") => Ok(Step::Taken),
            Stage::Features(authenticated) => self.features(frame, authenticated),
            Stage::Relay => {
                ensure!(frame == relay::READY, "not the relay: {}", String::from_utf8_lossy(frame));
                self.stage = Stage::Online;
                Ok(Step::Reached)
            }
            Stage::Proceed => {
                ensure!(frame.starts_with(b"<proceed"), "STARTTLS refused: {}", String::from_utf8_lossy(frame));
                self.start_tls()?;
                self.stage = Stage::Features(false);
                self.open_stream();
                Ok(Step::Restart)
            }
            Stage::Sasl => self.sasl(frame, salted),
            Stage::Sasl2 => {
                let shown = (self.goal == Goal::Fast).then_some(self.token.as_str());
                if let Some(token) = fast::succeeded(frame, shown)? {
                    self.token = token;
                }
                self.stage = Stage::Online;
                Ok(Step::Reached)
            }
            Stage::Bind => {
                ensure!(frame::has(frame, "<jid>"), "bind failed: {}", String::from_utf8_lossy(frame));
                self.stage = Stage::Online;
                if self.goal == Goal::Available {
                    self.queue(b"<presence/>");
                }
                Ok(Step::Reached)
            }
            Stage::Resume => {
                ensure!(frame.starts_with(b"<resumed"), "not resumed: {}", String::from_utf8_lossy(frame));
                self.stage = Stage::Online;
                Ok(Step::Reached)
            }
        }
    }

    fn features(&mut self, frame: &[u8], authenticated: bool) -> Result<Step> {
        ensure!(frame.starts_with(b"<stream:features"), "no features: {}", String::from_utf8_lossy(frame));
        if authenticated && self.goal == Goal::Resumed {
            self.stage = Stage::Resume;
            let (h, previd) = (self.acks.handled, &self.previd);
            let resume = format!("<resume xmlns='urn:xmpp:sm:3' h='{h}' previd='{previd}'/>");
            self.queue(resume.as_bytes());
            return Ok(Step::Taken);
        }
        if authenticated {
            self.stage = Stage::Bind;
            let bind = format!(
                "<iq type='set' id='bind'><bind xmlns='urn:ietf:params:xml:ns:xmpp-bind'><resource>{}</resource></bind></iq>",
                self.resource
            );
            self.queue(bind.as_bytes());
            return Ok(Step::Taken);
        }
        if self.target.transport == Transport::StartTls && self.tls.is_none() {
            self.stage = Stage::Proceed;
            self.queue(b"<starttls xmlns='urn:ietf:params:xml:ns:xmpp-tls'/>");
            return Ok(Step::Taken);
        }
        if self.goal == Goal::Stream {
            self.stage = Stage::Online;
            return Ok(Step::Reached);
        }
        if matches!(self.goal, Goal::Token | Goal::Fast) {
            ensure!(fast::is_offered(frame), "the server does not offer FAST");
            self.stage = Stage::Sasl2;
            let authenticate = match self.goal {
                Goal::Fast => fast::with_token(&self.user, &self.token),
                _ => fast::with_password(&self.user, &self.target.password),
            };
            self.queue(authenticate.as_bytes());
            return Ok(Step::Taken);
        }
        self.stage = Stage::Sasl;
        let (name, first) = match self.target.mechanism {
            Mechanism::Plain => ("PLAIN", format!("\0{}\0{}", self.user, self.target.password)),
            Mechanism::ScramSha1 => ("SCRAM-SHA-1", self.exchange.first()),
        };
        ensure!(frame::has(frame, &format!(">{name}</mechanism>")), "the server does not offer {name}");
        let first = scram::base64(first);
        self.queue(format!("<auth xmlns='urn:ietf:params:xml:ns:xmpp-sasl' mechanism='{name}'>{first}</auth>").as_bytes());
        Ok(Step::Taken)
    }

    fn sasl(&mut self, frame: &[u8], salted: &mut Salted) -> Result<Step> {
        let content = frame::between(frame, ">", "</").unwrap_or_default();
        if frame.starts_with(b"<challenge") {
            let answer = self.exchange.answer(content, &self.target.password, salted)?;
            let answer = scram::base64(answer);
            self.queue(format!("<response xmlns='urn:ietf:params:xml:ns:xmpp-sasl'>{answer}</response>").as_bytes());
            return Ok(Step::Taken);
        }
        ensure!(frame.starts_with(b"<success"), "neither challenge nor success: {}", String::from_utf8_lossy(frame));
        if self.target.mechanism == Mechanism::ScramSha1 {
            self.exchange.verify(content)?;
        }
        self.stage = Stage::Features(true);
        self.open_stream();
        Ok(Step::Restart)
    }

    /// XEP-0198 4: counts stanzas, answers `<r/>` at once, remembers the `h` of `<a/>`.
    fn acknowledge(&mut self, frame: &[u8]) -> Step {
        if !self.acks.enabled {
            return Step::Stanza;
        }
        if frame.starts_with(b"<r ") || frame.starts_with(b"<r/") {
            self.acks.answered += 1;
            let answer = format!("<a xmlns='urn:xmpp:sm:3' h='{}'/>", self.acks.handled);
            self.queue(answer.as_bytes());
            return Step::Taken;
        }
        if frame.starts_with(b"<a ") {
            self.acks.confirmed = frame::attribute(frame, "h").and_then(number).unwrap_or(0) as u32;
            return Step::Taken;
        }
        self.acks.handled = self.acks.handled.wrapping_add(1);
        Step::Stanza
    }
}

/// What became of a frame.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Step {
    /// It was ours.
    Taken,
    /// It was ours and completes the client's goal.
    Reached,
    /// It was ours and the stream begins anew behind it.
    Restart,
    /// It is the scenario's.
    Stanza,
}

/// Decimal digits as a number.
pub fn number(digits: &[u8]) -> Option<u64> {
    std::str::from_utf8(digits).ok()?.parse().ok()
}

fn not_yet(error: &std::io::Error) -> bool {
    matches!(error.kind(), ErrorKind::WouldBlock | ErrorKind::NotConnected | ErrorKind::Interrupted)
}
