//! A stream of theirs: until it has shown whom it speaks for, and then what it says.

use super::*;

/// The receiving side of a stream, beside its pipe.
pub(crate) struct PeerEnd {
    machine: Receiving,
    /// Whom the certificate speaks for, as far as somebody has asked.
    judged: Judged,
    answers: Rc<Answers>,
    /// As others may be told of it: one for each pair of domains.
    connections: Vec<Connection>,
    /// Who asks about keys; nobody does when the stream is gone.
    asking: JoinSet<()>,
}

/// What other servers have said of keys, and the pipe that waits for it.
#[derive(Default)]
struct Answers {
    heard: RefCell<Vec<(Verify, Result<bool, Condition>)>>,
    wake: Rc<Wake>,
}

/// What a step is to the stream.
enum Step {
    GoOn,
    /// It speaks for somebody now.
    Proved,
    Stanza(Box<iris_core::Stanza>, iris_core::Jid, iris_core::Jid),
    Acknowledgement(Box<iris_core::Stanza>),
    Over,
}

impl Pipe {
    /// Until it has shown whom it speaks for: then there is a session.
    pub(in crate::pipe) async fn receive_peer(&mut self, direct: bool, deadline: Instant) -> Result<(SessionRef, u64), End> {
        let mut machine = Receiving::new(direct);
        if direct {
            machine.secured();
        }
        self.scanner.set_limits(machine.limits(&self.worker.shared.house().limits));
        self.peer_end = Some(Box::new(PeerEnd {
            machine,
            judged: RefCell::default(),
            answers: Rc::default(),
            connections: Vec::new(),
            asking: JoinSet::new(),
        }));
        let wake = self.peer_wake().unwrap_or_default();
        loop {
            match self.peer_step().await? {
                Some(Step::Proved) => break,
                Some(Step::Over) => return Err(End::Said),
                Some(Step::GoOn | Step::Stanza(..) | Step::Acknowledgement(_)) => continue,
                None => {}
            }
            if self.ended {
                return Err(End::Gone);
            }
            self.flush(deadline).await?;
            let worker = self.worker.clone();
            let something = async {
                tokio::select! {
                    ready = self.way.ready(true, false) => ready.map(|_| true),
                    () = std::future::poll_fn(|cx| wake.poll(cx)) => Ok(false),
                    () = worker.stop_signal.notified() => Err(io::ErrorKind::ConnectionAborted.into()),
                }
            };
            match timeout_at(deadline.into(), something).await {
                Ok(Ok(true)) => drop(self.read_some()?),
                Ok(Ok(false)) => {}
                Ok(Err(_)) => return Err(End::Gone),
                Err(_) => {
                    worker.shared.counters.negotiation_timeouts.one();
                    let error = StreamError::new("connection-timeout").text("the stream was not negotiated in time");
                    self.peer_said(|machine, env| machine.fail(&error, env))?;
                    return Err(End::Said);
                }
            }
        }
        let domain = self.peer_end.as_ref().and_then(|end| end.machine.domain().map(str::to_owned)).unwrap_or_default();
        let pipe = self.worker.pipe_id();
        let at = self.worker.shard.borrow_mut().hear_from(self.worker.now(), &domain, pipe);
        tracing::info!(domain, peer = %self.peer, "another server has opened a stream");
        Ok((at, pipe))
    }

    pub(in crate::pipe) fn peer_wake(&self) -> Option<Rc<Wake>> {
        self.peer_end.as_ref().map(|end| end.answers.wake.clone())
    }

    /// One element of those that have arrived, or one answer about a key. `None`: there is nothing now.
    async fn peer_step(&mut self) -> Result<Option<Step>, End> {
        if self.tls_is_shaking_hands() {
            return Ok(None);
        }
        let is_new = self.tls.is_some() && self.peer_end.as_ref().is_some_and(|end| !end.machine.is_secured());
        if is_new {
            // The handshake behind STARTTLS is over.
            self.shook_hands();
            self.scanner.reset();
            if let Some(end) = &mut self.peer_end {
                end.machine.secured();
            }
        }
        let mut at = 0;
        let step = self.peer_element(&mut at);
        self.consume(at);
        let Some((step, starts_tls)) = step? else { return Ok(None) };
        if starts_tls {
            // B1: nothing that came in the clear behind <starttls/> is ever heard.
            self.pending = Vec::new();
            self.flush(Instant::now() + LAST_WORDS_TIME_MAX).await?;
            let Some(config) = self.worker.shared.tls.peers.clone() else { return Err(End::Gone) };
            self.tls = Some(Box::new(TlsSession::accept(config).map_err(|_| End::Gone)?));
        }
        Ok(Some(step))
    }

    /// The next thing that it says, or that is said of a key of its; and whether TLS begins.
    fn peer_element(&mut self, at: &mut usize) -> Result<Option<(Step, bool)>, End> {
        let answer = self.peer_end.as_ref().and_then(|end| end.answers.heard.borrow_mut().pop());
        if let Some((verify, outcome)) = answer {
            return self.peer_said(|machine, env| machine.verified(&verify, outcome, env)).map(Some);
        }
        match self.scan(at) {
            Ok(None) => Ok(None),
            Ok(Some(Scanned::Open { header, .. })) => self.peer_said(|machine, env| machine.header(&header, env)).map(Some),
            Ok(Some(Scanned::Stanza { stanza, .. })) => self.peer_said(|machine, env| machine.element(stanza, env)).map(Some),
            Ok(Some(Scanned::Close { .. } | Scanned::NeedMore { .. })) => {
                self.peer_said(|machine, env| machine.closed(env)).map(Some)
            }
            Err(Unread::Xml(error)) => self.peer_said(|machine, env| machine.fail(&stream_error(error), env)).map(Some),
            Err(Unread::Frame(_)) => Err(End::Gone),
        }
    }

    /// One step of the machine, what it says, and what that asks for.
    fn peer_said(&mut self, f: impl FnOnce(&mut Receiving, &mut PeerEnv<'_>) -> Said) -> Result<(Step, bool), End> {
        let Some(mut end) = self.peer_end.take() else { return Err(End::Gone) };
        let (this, mut out) = (&mut *end, Vec::new());
        let said = self.with_env(&this.judged, &mut out, |env| f(&mut this.machine, env))?;
        let house = self.worker.shared.house();
        for (theirs, ours) in end.machine.pairs().iter().skip(end.connections.len()) {
            end.connections.push(house.connected.open(theirs, ours, Opener::In));
        }
        let limits = end.machine.limits(&house.limits);
        let answers = end.answers.clone();
        self.peer_end = Some(end);
        if !self.is_parting {
            self.say(&out)?;
        }
        Ok(match said {
            Said::Nothing => (Step::GoOn, false),
            Said::StartTls => (Step::GoOn, true),
            // RFC 6120 6.4.6: after the success there is a new stream. It may speak already, so the session begins.
            Said::Restart => {
                self.scanner.reset();
                self.scanner.set_limits(limits);
                (Step::Proved, false)
            }
            Said::Proved(domain) => {
                tracing::debug!(domain, "a stream of another server speaks for this domain");
                self.scanner.set_limits(limits);
                (Step::Proved, false)
            }
            Said::Verify(verify) => {
                let worker = self.worker.clone();
                let Some(end) = &mut self.peer_end else { return Err(End::Gone) };
                while end.asking.try_join_next().is_some() {}
                end.asking.spawn_local(async move {
                    let outcome = peers::verify(&worker, &verify).await;
                    answers.heard.borrow_mut().push((verify, outcome));
                    answers.wake.wake();
                });
                (Step::GoOn, false)
            }
            Said::Stanza(stanza, from, to) => (Step::Stanza(Box::new(stanza), from, to), false),
            Said::Acknowledgement(stanza) => (Step::Acknowledgement(Box::new(stanza)), false),
            Said::Close => (Step::Over, false),
        })
    }

    /// As `feed`, for a stream of another server: each stanza is of whom it says.
    pub(in crate::pipe) fn feed_peer(&mut self, at: SessionRef, rate: &mut Option<Rate>) -> Result<Pause, Option<StreamError>> {
        let worker = self.worker.clone();
        let (mut upto, mut fed) = (0, [0; 4]);
        let outcome = loop {
            if !worker.shard.borrow_mut().has_credit(at) {
                break Ok(Pause::Credit);
            }
            // What the machine says of keys is in no deque: no more of it than they read.
            if self.outgoing.len() >= CHUNK_BYTES {
                break Ok(Pause::Unread);
            }
            match self.peer_element(&mut upto) {
                Err(_) | Ok(Some((Step::Over, _))) => {
                    // What there was to say, the machine has said.
                    self.is_parting = true;
                    break Err(None);
                }
                Ok(None) => break Ok(Pause::No),
                Ok(Some((Step::GoOn | Step::Proved, _))) => {}
                Ok(Some((Step::Acknowledgement(stanza), _))) => {
                    fed[3] += 1;
                    let mut shard = worker.shard.borrow_mut();
                    if let Err(error) = shard.receive(worker.now(), at, *stanza, random_text) {
                        break Err(Some(error));
                    }
                }
                Ok(Some((Step::Stanza(stanza, from, to), _))) => {
                    fed[stanza.kind() as usize] += 1;
                    worker.shard.borrow_mut().heard_from(worker.now(), at, *stanza, from, to);
                }
            }
            if let Some(Err(wait)) = rate.as_mut().map(|rate| rate.take(Instant::now())) {
                break Ok(Pause::Until(Instant::now() + wait));
            }
        };
        self.was_fed(upto, fed, &outcome);
        outcome
    }

    /// We have ended a stream of theirs. What they had said before they knew of it is heard still, until they end it as well (RFC 6120
    /// 4.4): they will not say it again.
    pub(in crate::pipe) async fn hear_to_the_end(&mut self, at: SessionRef, rate: &mut Option<Rate>) {
        self.is_parting = true;
        if !self.write_out().await {
            return;
        }
        let until = Instant::now() + LAST_WORDS_TIME_MAX;
        while Instant::now() < until {
            match self.feed_peer(at, rate) {
                Ok(Pause::No) if self.ended => return,
                Ok(Pause::No) => {
                    let ready = timeout_at(until.into(), self.way.ready(true, false)).await;
                    if !matches!(ready, Ok(Ok(_))) {
                        return;
                    }
                    if self.read_some().is_err() {
                        // What has come before that.
                        let _ = self.feed_peer(at, rate);
                        return;
                    }
                }
                Ok(_) => tokio::time::sleep(Duration::from_millis(5)).await,
                Err(_) => return,
            }
        }
    }
}
