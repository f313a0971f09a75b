//! A stream of ours: negotiated to the point where it may be spoken on.

use super::*;

/// A connection of ours on which everything is shown that has to be.
pub(crate) struct Initiated {
    pipe: Pipe,
    /// They acknowledge what is said to them (XEP-0198).
    acknowledges: bool,
    /// What they say of the key, if that was the question.
    pub verified: Option<bool>,
}

/// What negotiation comes to.
enum Opened {
    Stream { acknowledges: bool },
    Verified(bool),
}

/// Open a stream over this connection.
pub(crate) async fn initiate(
    worker: Rc<Worker>,
    socket: TcpStream,
    direct: bool,
    (theirs, ours): (&str, &str),
    purpose: Purpose,
    until: Instant,
) -> Result<Initiated, Unreached> {
    let broken = |why: &str| Unreached { condition: Condition::RemoteServerTimeout, for_good: false, why: why.to_owned() };
    let address = socket.peer_addr().map_err(|why| broken(&why.to_string()))?;
    socket.set_nodelay(true).and_then(|()| watch(&socket)).map_err(|why| broken(&why.to_string()))?;
    let house = worker.shared.house();
    let service = Service::Peer { direct };
    let mut pipe = Pipe {
        worker: worker.clone(),
        way: Way::Socket(socket),
        peer: address.ip(),
        place: Place { address, service, unlimited: true, proxied: false, optional: true },
        tls: None,
        framing: Framing::Stream,
        scanner: Scanner::new(authenticated_limits(&house.limits), house.names.clone()),
        incoming: Vec::new(),
        pending: Vec::new(),
        outgoing: Vec::new(),
        ended: false,
        knocking: false,
        open: None,
        peer_end: None,
        is_parting: false,
    };
    let deadline = until.min(Instant::now() + house.limits.negotiation_timeout);
    let mut machine = Initiating::new(ours.to_owned(), theirs.to_owned(), purpose, direct);
    match pipe.initiate(&mut machine, (theirs, ours), direct, deadline).await {
        Ok(Ok(Opened::Stream { acknowledges })) => Ok(Initiated { pipe, acknowledges, verified: None }),
        Ok(Ok(Opened::Verified(verified))) => Ok(Initiated { pipe, acknowledges: false, verified: Some(verified) }),
        Ok(Err(unreached)) => {
            part(Initiated { pipe, acknowledges: false, verified: None });
            Err(unreached)
        }
        Err(_) => Err(broken("the connection broke before there was a stream")),
    }
}

/// Say on it what the shard has for this pair of domains, until one of the two ends it.
pub(crate) async fn speak(worker: Rc<Worker>, initiated: Initiated, key: Arc<str>) {
    let connected = worker.shared.house().connected.clone();
    let _open = remote::pair(&key).map(|(theirs, ours)| connected.open(theirs, ours, Opener::Out));
    let mut pipe = initiated.pipe;
    pipe.open = Some(Open::accepted(worker.shared.clone(), pipe.place.service));
    pipe.live(Errand::Speak { key, acknowledges: initiated.acknowledges }, Instant::now()).await;
}

/// It has served, and nobody waits until it has gone.
pub(crate) fn part(initiated: Initiated) {
    let mut pipe = initiated.pipe;
    tokio::task::spawn_local(async move { pipe.last_words().await });
}

impl Pipe {
    async fn initiate(
        &mut self,
        machine: &mut Initiating,
        (theirs, ours): (&str, &str),
        direct: bool,
        deadline: Instant,
    ) -> Result<Result<Opened, Unreached>, End> {
        let judged = Judged::default();
        if direct {
            if let Err(unreached) = self.begin_tls(theirs, ours, true, deadline).await? {
                return Ok(Err(unreached));
            }
            self.initiating(&judged, |env| machine.secured(env))?;
        } else {
            self.initiating(&judged, |env| machine.open(env))?;
        }
        loop {
            let mut at = 0;
            let found = self.scan(&mut at);
            self.consume(at);
            let heard = match found {
                Ok(None) => {
                    self.read_more(deadline).await?;
                    continue;
                }
                Ok(Some(Scanned::Open { header, .. })) => self.initiating(&judged, |env| machine.header(&header, env))?,
                Ok(Some(Scanned::Stanza { stanza, .. })) if stanza.kind() == Kind::Other => {
                    self.initiating(&judged, |env| machine.element(&stanza, env))?
                }
                // They have nothing to say on it that would be a stanza, nor have we if they end it.
                Ok(Some(_)) | Err(_) => return Err(End::Gone),
            };
            match heard {
                Heard::Nothing => {}
                Heard::StartTls => {
                    self.pending = Vec::new();
                    if let Err(unreached) = self.begin_tls(theirs, ours, false, deadline).await? {
                        return Ok(Err(unreached));
                    }
                    self.scanner.reset();
                    self.initiating(&judged, |env| machine.secured(env))?;
                }
                Heard::Restart => self.scanner.reset(),
                Heard::Open { acknowledges } => return Ok(Ok(Opened::Stream { acknowledges })),
                Heard::Verified(is_theirs) => return Ok(Ok(Opened::Verified(is_theirs))),
                Heard::Failed { why, for_good, condition } => return Ok(Err(Unreached { condition, for_good, why })),
            }
        }
    }

    fn initiating<T>(&mut self, judged: &Judged, f: impl FnOnce(&mut PeerEnv<'_>) -> T) -> Result<T, End> {
        let mut out = Vec::new();
        let result = self.with_env(judged, &mut out, f)?;
        self.say(&out)?;
        Ok(result)
    }

    /// The client's side of TLS, to its end.
    async fn begin_tls(
        &mut self,
        theirs: &str,
        ours: &str,
        direct: bool,
        deadline: Instant,
    ) -> Result<Result<(), Unreached>, End> {
        let Some(peers) = self.worker.shared.peers.clone() else { return Err(End::Gone) };
        self.flush(deadline).await?;
        let config = peer_client_config(peers.certificates.clone(), ours, direct).map_err(|_| End::Gone)?;
        let mut tls = TlsSession::connect(config, theirs).map_err(|_| End::Gone)?;
        // The first word is ours.
        let begun = tls.read(&mut Vec::new(), &mut self.pending, &mut self.outgoing);
        begun.map_err(|_| End::Gone)?;
        self.tls = Some(Box::new(tls));
        while self.tls_is_shaking_hands() {
            if self.read_more(deadline).await.is_err() {
                return Ok(Err(Unreached {
                    condition: Condition::RemoteServerTimeout,
                    for_good: false,
                    why: "TLS with it fails".to_owned(),
                }));
            }
        }
        self.shook_hands();
        Ok(Ok(()))
    }

    /// What they say on a stream of ours: there is nothing but the end and its reason.
    pub(in crate::pipe) fn note_their_error(&self, stanza: &iris_core::Stanza) {
        if stanza.is(ns::STREAMS, "error") {
            tracing::info!(peer = %self.peer, why = peer::what_went_wrong(stanza), "another server ends a stream with an error");
        }
    }
}
