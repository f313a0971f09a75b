//! From the first byte to a bound session: does what the negotiator asks.

use super::*;
use tokio::sync::oneshot;
use tokio::time::timeout_at;

/// For a person who fills in a form (XEP-0077 3.1), once the stream has shown that it may.
const REGISTRATION_TIME: Duration = Duration::from_secs(300);

/// An account that is asleep is read with all it has, one that is awake answers at once, and of one that is not there nothing is read: who
/// only sees how long an answer takes must not see which it was (security B10).
const LOOK_UP_TIME_MIN: Duration = Duration::from_millis(2);

impl Pipe {
    /// Until there is a session, or the connection ends, or it moves to where its account lives.
    pub(super) async fn negotiate(
        &mut self,
        mut it: Negotiator,
        arrived: Option<(BareJid, Ask)>,
        mut deadline: Instant,
    ) -> Result<(SessionRef, u64), End> {
        let began = Instant::now();
        if let Some(account) = arrived {
            let actions = self.look_up(&mut it, &account.0, account.1).await?;
            if let Some(found) = self.act(&mut it, actions, deadline).await? {
                return Ok(found);
            }
        }
        let mut tickets_wait = false;
        loop {
            if let Some(found) = self.digest(&mut it, deadline).await? {
                return Ok(found);
            }
            if it.awaits_person() {
                deadline = deadline.max(began + REGISTRATION_TIME);
            }
            let stopping = self.worker.stopping.borrow().clone();
            if let Some(error) = stopping {
                return self.refuse(&mut it, &error);
            }
            if self.ended {
                let actions = self.step(|env| it.closed(env))?;
                self.flush(deadline).await?;
                return Err(if actions.is_empty() { End::Gone } else { End::Said });
            }
            if !tickets_wait {
                self.flush(deadline).await?;
            }
            let worker = self.worker.clone();
            let readable = async {
                tokio::select! {
                    ready = self.way.ready(true, false) => ready.map(|_| true),
                    () = worker.stop_signal.notified() => Ok(false),
                }
            };
            match timeout_at(deadline.into(), readable).await {
                Ok(ready) => {
                    if ready? {
                        let shaking = self.tls_is_shaking_hands();
                        self.read_some()?;
                        // The client speaks next: what is left of a handshake of TLS 1.3 goes with the answer, in one packet.
                        tickets_wait = shaking && self.pending.is_empty() && self.has_tls_1_3();
                    }
                }
                Err(_) if self.tls_is_shaking_hands() => {
                    worker.shared.counters.negotiation_timeouts.one();
                    return Err(End::Gone);
                }
                Err(_) => {
                    worker.shared.counters.negotiation_timeouts.one();
                    let error = StreamError::new("connection-timeout").text("the stream was not negotiated in time");
                    return self.refuse(&mut it, &error);
                }
            }
        }
    }

    pub(super) fn tls_is_shaking_hands(&self) -> bool {
        self.tls.as_ref().is_some_and(|tls| !tls.is_open())
    }

    /// Open, that is.
    fn has_tls_1_3(&self) -> bool {
        let open = self.tls.as_ref().filter(|tls| tls.is_open());
        open.is_some_and(|tls| tls.protocol_version() == Some(rustls::ProtocolVersion::TLSv1_3))
    }

    /// There is TLS: once for each connection.
    pub(super) fn shook_hands(&self) {
        let counters = &self.worker.shared.counters;
        match self.tls.as_ref().and_then(|tls| tls.protocol_version()) {
            Some(rustls::ProtocolVersion::TLSv1_2) => counters.tls_1_2.one(),
            _ => counters.tls_1_3.one(),
        }
    }

    /// Everything that has arrived.
    async fn digest(&mut self, it: &mut Negotiator, deadline: Instant) -> Result<Option<(SessionRef, u64)>, End> {
        if self.tls_is_shaking_hands() {
            return Ok(None);
        }
        self.note_security(it);
        loop {
            let mut at = 0;
            let found = self.scan(&mut at);
            self.consume(at);
            let actions = match found {
                Ok(None) => return Ok(None),
                Err(Unread::Xml(error)) => return self.refuse(it, &stream_error(error)),
                Err(Unread::Frame(fault)) => {
                    self.say_close(fault.code());
                    return Err(End::Said);
                }
                Ok(Some(Scanned::Open { header, .. })) if !self.page_fits(header.to.as_deref()) => {
                    let error = StreamError::new("policy-violation").text("pages of that origin may not speak here");
                    return self.refuse(it, &error);
                }
                Ok(Some(Scanned::Open { header, .. })) => self.step(|env| it.header(&header, env))?,
                Ok(Some(Scanned::Stanza { stanza, .. })) => self.step(|env| it.element(stanza, env))?,
                Ok(Some(Scanned::Close { .. } | Scanned::NeedMore { .. })) => self.step(|env| it.closed(env))?,
            };
            if let Some(found) = self.act(it, actions, deadline).await? {
                return Ok(Some(found));
            }
            if self.tls_is_shaking_hands() {
                return Ok(None);
            }
        }
    }

    /// A page may speak to some domain; may it speak to this one?
    fn page_fits(&self, to: Option<&str>) -> bool {
        let (Some(page), Some(to)) = (self.framing.page(), to.and_then(|to| iris_core::Jid::new(to).ok())) else { return true };
        let domain = to.domain().as_str();
        // Whether there is such a domain is for the negotiator to say.
        let known = self.worker.shard.borrow().hosts().domain(domain).is_some();
        !known || self.worker.shared.origins.load().allow(domain, page, self.peer)
    }

    /// Tell the negotiator once what the handshake gave.
    fn note_security(&mut self, it: &mut Negotiator) {
        if let Way::Bosh(link) = &self.way
            && link.secure
            && !it.is_secured()
        {
            // Requests come over several connections: there is no one channel that could be bound to.
            return it.secured(Security { version: TlsVersion::V1_3, bindings: Vec::new(), addresses: Vec::new() });
        }
        let Some(tls) = self.tls.as_ref().filter(|_| !it.is_secured()) else { return };
        if self.place.service == Service::StartTls {
            self.shook_hands();
        }
        let old = tls.protocol_version() == Some(rustls::ProtocolVersion::TLSv1_2);
        let version = if old { TlsVersion::V1_2 } else { TlsVersion::V1_3 };
        let mut bindings = Vec::new();
        if let Some(data) = tls.tls_exporter() {
            bindings.push(ChannelBinding { kind: BindingKind::TlsExporter, data: data.to_vec() });
        }
        if let Some(data) = tls.tls_server_end_point() {
            bindings.push(ChannelBinding { kind: BindingKind::TlsServerEndPoint, data: data.into_vec() });
        }
        let addresses = self.certified_addresses();
        it.secured(Security { version, bindings, addresses });
        if !self.framing.is_framed() {
            self.scanner.reset();
        }
    }

    /// Whom the client's certificate speaks for; it was judged in the handshake, perhaps in one that this resumes.
    fn certified_addresses(&self) -> Vec<BareJid> {
        let leaf = self.tls.as_ref().and_then(|tls| tls.peer_certificates()).and_then(|chain| chain.first());
        let Some(names) = leaf.and_then(|leaf| crate::certs::ClientNames::of(leaf)) else { return Vec::new() };
        if !names.is_valid(std::time::SystemTime::now()) {
            return Vec::new();
        }
        let mail = names.mail.iter().filter(|_| self.worker.shared.tls.mail_is_address);
        let addresses = names.xmpp.iter().chain(mail).filter_map(|name| BareJid::new(name).ok());
        // A domain is an address too, of the house and of nobody in it.
        addresses.filter(|address| address.node().is_some()).collect()
    }

    /// One step of the negotiator; what it says is queued.
    fn step(&mut self, f: impl FnOnce(&mut Env<'_>) -> Vec<Action>) -> Result<Vec<Action>, End> {
        let mut out = Vec::new();
        let hosts: Hosts = self.worker.shard.borrow().hosts().clone();
        let (house, policy) = (self.worker.shared.house(), self.worker.shared.policy());
        let mut env = Env {
            hosts: &hosts,
            limits: &house.limits,
            policy: &policy,
            census: &house.census,
            random: &mut random,
            out: &mut out,
        };
        let actions = f(&mut env);
        self.say_stream(&out)?;
        Ok(actions)
    }

    /// The stream ends with an error.
    fn refuse<T>(&mut self, it: &mut Negotiator, error: &StreamError) -> Result<T, End> {
        self.step(|env| it.fail(error, env))?;
        Err(End::Said)
    }

    /// Do what the negotiator asks, and what follows from that.
    async fn act(
        &mut self,
        it: &mut Negotiator,
        actions: Vec<Action>,
        deadline: Instant,
    ) -> Result<Option<(SessionRef, u64)>, End> {
        let mut todo: std::collections::VecDeque<Action> = actions.into();
        while let Some(action) = todo.pop_front() {
            match action {
                Action::StartTls => {
                    // B1: nothing that came in the clear behind <starttls/> is ever executed.
                    self.pending = Vec::new();
                    self.flush(deadline).await?;
                    let tls = TlsSession::accept(self.worker.shared.tls.starttls.clone()).map_err(|_| End::Gone)?;
                    self.tls = Some(Box::new(tls));
                    self.scanner.reset();
                }
                Action::Restart => {
                    if !self.framing.is_framed() {
                        self.scanner.reset();
                    }
                }
                Action::Authenticated(account) => {
                    tracing::debug!(%account, "authenticated");
                    self.worker.shared.counters.authenticated(it.mechanism());
                    self.no_longer_knocking();
                    self.scanner.set_limits(it.limits(&self.worker.shared.house().limits));
                }
                Action::LookUp(account) => todo.push_front(Action::LookUpFor(account, Ask::Credentials)),
                Action::LookUpFor(account, Ask::Guest(None)) => {
                    let (shared, address) = (&self.worker.shared, (!self.place.unlimited).then_some(self.peer));
                    match shared.guests.admit(address, account.domain().as_str(), &shared.house().limits) {
                        Some(place) => todo.push_front(Action::LookUpFor(account, Ask::Guest(Some(place)))),
                        None => todo.extend(self.step(|env| it.looked_up(AskAnswer::Full, false, env))?),
                    }
                }
                Action::LookUpFor(account, ask) => {
                    let home = iris_engine::shard_of(account.as_str(), self.worker.shared.workers.len() as u16);
                    if home != self.worker.id {
                        return self.travel(it, (account, ask), home, deadline);
                    }
                    todo.extend(self.look_up(it, &account, ask).await?);
                }
                Action::Ask(account, ask) => {
                    let answer = self.ask(&account, ask).await?;
                    todo.extend(self.step(|env| it.answered(answer, env))?);
                }
                Action::Keep(account, ask) => {
                    // Refused or not, the client is in; but known before a session begins, whose first answers a refusal would take along.
                    self.ask(&account, ask).await?;
                }
                Action::Verify(lookup, found) => {
                    let policy = self.worker.shared.policy();
                    // A whole PBKDF2: not on the thread that carries everybody's messages.
                    let verify = move || lookup.verify(found.as_deref(), &policy.fake_salt, random);
                    let (outcome, better) = tokio::task::spawn_blocking(verify).await.map_err(|_| End::Gone)?;
                    todo.extend(self.step(|env| it.stepped(outcome, better, env))?);
                }
                Action::Register(request) => {
                    let (sender, receiver) = oneshot::channel();
                    let reply = Box::new(move |answer| drop(sender.send(answer)));
                    let peer = (!self.place.unlimited).then_some(self.peer);
                    let domain = it.domain().unwrap_or_default();
                    crate::registrar::ask(&self.worker.shared, domain, *request, peer, reply);
                    let answer = receiver.await.map_err(|_| End::Gone)?;
                    todo.extend(self.step(|env| it.registered(answer, env))?);
                }
                Action::Failed(account) => {
                    self.worker.shared.counters.refused(it.mechanism());
                    if !self.place.unlimited {
                        self.worker.shared.guard.failed(self.peer, account.as_ref(), Instant::now());
                    }
                }
                Action::Bind(account, wanted) => {
                    let bind = it.begins(Bind::resource(wanted, random_text()));
                    match self.bind(it, &account, bind).await? {
                        Ok(bound) => return Ok(Some(bound)),
                        Err(next) => todo.extend(next),
                    }
                }
                Action::BindInline(account, bind) => match self.bind(it, &account, *bind).await? {
                    Ok(bound) => return Ok(Some(bound)),
                    Err(next) => todo.extend(next),
                },
                Action::Resume(account, previd, h) => {
                    let pipe = self.worker.pipe_id();
                    let (sender, receiver) = oneshot::channel();
                    let reply = Box::new(move |outcome| drop(sender.send(outcome)));
                    self.worker.shard.borrow_mut().resume(&account, (previd, h), it.login_us(), pipe, reply);
                    self.worker.kick();
                    let outcome: Result<_, iris_engine::shard::ResumeError> = receiver.await.map_err(|_| End::Gone)?;
                    let outcome = outcome.and_then(|(at, h)| match self.address(at) {
                        Some(jid) => Ok((at, h, jid)),
                        None => Err(iris_engine::shard::ResumeError::NotFound),
                    });
                    let next = self.step(|env| it.resumed(outcome, env))?;
                    let counters = &self.worker.shared.counters;
                    if let Some(Action::Attached(at)) = next.first() {
                        counters.resumed.one();
                        return Ok(Some((*at, pipe)));
                    }
                    counters.resumptions_refused.one();
                    todo.extend(next);
                }
                Action::Attached(_) => {}
                Action::Close => return Err(End::Said),
            }
        }
        Ok(None)
    }

    /// Ask the account for a session. `Err`: what the negotiator does instead.
    async fn bind(
        &mut self,
        it: &mut Negotiator,
        account: &BareJid,
        bind: Bind,
    ) -> Result<Result<(SessionRef, u64), Vec<Action>>, End> {
        let pipe = self.worker.pipe_id();
        let (sender, receiver) = oneshot::channel();
        let reply: BindReply = Box::new(move |outcome| drop(sender.send(outcome)));
        self.worker.shard.borrow_mut().bind(account, bind, pipe, reply);
        self.worker.kick();
        let outcome = receiver.await.map_err(|_| End::Gone)?;
        let outcome = outcome.and_then(|bound| match self.address(bound.session) {
            Some(jid) => Ok((bound.session, jid, bound.inline)),
            None => Err(iris_core::Bounce::nobody()),
        });
        let next = self.step(|env| it.bound(outcome, env))?;
        match next.first() {
            Some(Action::Attached(at)) => {
                self.worker.shared.counters.bound.one();
                Ok(Ok((*at, pipe)))
            }
            _ => Ok(Err(next)),
        }
    }

    fn address(&self, at: SessionRef) -> Option<FullJid> {
        self.worker.shard.borrow().session(at).map(|session| session.card.jid.clone())
    }

    /// Ask the account, on this thread.
    async fn ask(&self, account: &BareJid, ask: Ask) -> Result<AskAnswer, End> {
        let (sender, receiver) = oneshot::channel::<AskAnswer>();
        let reply = Box::new(move |answer| drop(sender.send(answer)));
        self.worker.shard.borrow_mut().ask(account, ask, reply);
        self.worker.kick();
        receiver.await.map_err(|_| End::Gone)
    }

    /// Ask it for its login.
    async fn look_up(&mut self, it: &mut Negotiator, account: &BareJid, ask: Ask) -> Result<Vec<Action>, End> {
        let until = Instant::now() + LOOK_UP_TIME_MIN;
        let answer = self.ask(account, ask).await?;
        tokio::time::sleep_until(until.into()).await;
        let banned = !self.place.unlimited && self.worker.shared.guard.is_banned(self.peer, account, Instant::now());
        self.step(|env| it.looked_up(answer, banned, env))
    }

    /// Move, with everything, to the thread of the account.
    fn travel<T>(&mut self, it: &mut Negotiator, account: (BareJid, Ask), home: u16, deadline: Instant) -> Result<T, End> {
        let negotiator = std::mem::replace(it, Negotiator::new(Transport::Plain));
        self.move_to(home, Errand::Negotiate(Box::new(negotiator), Some(account)), deadline)
    }

    pub(super) fn move_to<T>(&mut self, home: u16, errand: Errand, deadline: Instant) -> Result<T, End> {
        let placeholder = Scanner::new(XmlLimits::PRE_AUTH, self.worker.shared.house().names.clone());
        let way = self.way.detach()?;
        let traveller = Traveller {
            way,
            peer: self.peer,
            place: self.place.clone(),
            tls: self.tls.take(),
            framing: std::mem::replace(&mut self.framing, Framing::Stream),
            scanner: std::mem::replace(&mut self.scanner, placeholder),
            incoming: std::mem::take(&mut self.incoming),
            pending: std::mem::take(&mut self.pending),
            outgoing: std::mem::take(&mut self.outgoing),
            knocking: self.knocking,
            open: self.open.take(),
            errand,
            deadline,
        };
        self.worker.shared.workers[usize::from(home)].command(Command::Adopt(Box::new(traveller)));
        Err(End::Moved)
    }

    /// Write everything that is queued.
    pub(super) async fn flush(&mut self, deadline: Instant) -> Result<(), End> {
        while !self.outgoing.is_empty() {
            self.write_some()?;
            if self.outgoing.is_empty() {
                break;
            }
            timeout_at(deadline.into(), self.way.ready(false, true)).await.map_err(|_| End::Gone)??;
        }
        Ok(())
    }
}

pub(crate) fn random(bytes: &mut [u8]) {
    // Without randomness nothing can be authenticated safely; the kernel's source does not fail once it is seeded.
    if let Err(error) = getrandom::fill(bytes) {
        tracing::error!(%error, "no randomness");
        std::process::abort();
    }
}

/// 128 random bits.
pub(crate) fn random_text() -> String {
    let mut bytes = [0; 16];
    random(&mut bytes);
    iris_core::hex::write(&bytes)
}
