//! What the pipes of this thread say to the shard, and take from it.

use super::*;

impl Shard {
    /// A question to an account of this shard.
    pub fn ask(&mut self, account: &BareJid, ask: Ask, reply: AskReply) {
        self.inbox.push_back((Arc::from(account.as_str()), Input::Ask(ask, reply)));
    }

    pub fn bind(&mut self, account: &BareJid, bind: Bind, pipe: u64, reply: BindReply) {
        self.inbox.push_back((Arc::from(account.as_str()), Input::Bind { bind: Box::new(bind), pipe, reply }));
    }

    /// `login_us`: as for a bind.
    pub fn resume(
        &mut self,
        account: &BareJid,
        (previd, h): (String, u32),
        login_us: Option<u64>,
        pipe: u64,
        reply: ResumeReply,
    ) {
        self.inbox.push_back((Arc::from(account.as_str()), Input::Resume { previd, h, login_us, pipe, reply }));
    }

    /// One first-level element of a bound client. `random`: 128 bits as text, for a session id.
    pub fn receive(
        &mut self,
        now: Now,
        at: SessionRef,
        stanza: Stanza,
        random: impl FnOnce() -> String,
    ) -> Result<(), StreamError> {
        let Some(session) = self.sessions.get_mut(at) else { return Ok(()) };
        session.heard = now.mono;
        session.asked_alive = false;
        if session.owes_since.is_some() && stanza.name_id() != self.known.sm_a {
            self.not_silent(at);
        }
        let Some(session) = self.sessions.get_mut(at) else { return Ok(()) };
        if stanza.kind() == Kind::Other {
            if session.is_component() && !session.peer {
                return Err(StreamError::new("unsupported-stanza-type"));
            }
            let name = stanza.name_id();
            if name == self.known.sm_r {
                session.ack_asked();
                return self.look_soon(at);
            }
            if name == self.known.sm_a {
                let h = stanza.attr("h").and_then(|h| h.parse().ok());
                let Some(h) = h else { return Err(StreamError::new("bad-format").text("an <a/> needs an h")) };
                session.acked(h)?;
                if !session.marks.is_empty() {
                    let key = session.account.clone();
                    self.inbox.push_back((key, Input::Marks(at)));
                }
                self.not_silent(at);
                return Ok(());
            }
            if name == self.known.sm_enable {
                // Between servers nothing is resumed: a new stream says again what was not acknowledged.
                let resume = stanza.attr("resume").filter(|_| !session.peer);
                match enable(session, resume, &self.house, random) {
                    Ok((id, enabled)) => session.enable_sm(id, enabled, &self.house.limits),
                    Err(failed) => session.answer_nonza(failed, &self.house.limits),
                }
                return self.look_soon(at);
            }
            if name == self.known.sm_resume {
                let failed =
                    "<failed xmlns='urn:xmpp:sm:3'><unexpected-request xmlns='urn:ietf:params:xml:ns:xmpp-stanzas'/></failed>";
                session.answer_nonza(failed.to_owned(), &self.house.limits);
                return self.look_soon(at);
            }
        }
        if session.peer && stanza.kind() == Kind::Other {
            if stanza.is(iris_core::ns::SM, "failed") {
                session.disable_sm();
            }
            return self.look_soon(at);
        }
        let stanza = Arc::new(stanza);
        let receipt = session.receive(stanza.clone());
        let key = session.account.clone();
        self.inbox.push_back((key, Input::FromSession(at, stanza, receipt)));
        Ok(())
    }

    pub(super) fn look_soon(&mut self, at: SessionRef) -> Result<(), StreamError> {
        self.look_at(at);
        self.hurry();
        Ok(())
    }

    /// May the client's next stanza be read?
    pub fn has_credit(&mut self, at: SessionRef) -> bool {
        let Some(session) = self.sessions.get_mut(at) else { return true };
        session.thirsty = !session.has_credit(&self.house.limits);
        !session.thirsty
    }

    /// Bytes came that were no stanza (a white space keep-alive).
    pub fn heard(&mut self, now: Now, at: SessionRef) {
        if let Some(session) = self.sessions.get_mut(at) {
            session.heard = now.mono;
            self.not_silent(at);
        }
    }

    /// Where the session's connection comes from: for its administrator.
    pub fn comes_from(&mut self, at: SessionRef, address: core::net::IpAddr) {
        if let Some(session) = self.sessions.get_mut(at) {
            session.address = Some(address);
        }
    }

    /// What may be written to the client now. `Pulled::Over` also when another pipe has taken over (`conflict`).
    pub fn pull(&mut self, at: SessionRef, pipe: u64, out: &mut Output, bytes_max: usize) -> (Pulled, Option<StreamError>) {
        let Some(session) = self.sessions.get_mut(at) else {
            return (Pulled::Over, Some(StreamError::new("conflict")));
        };
        match session.pipe {
            Some(other) if other != pipe => {
                return (Pulled::Over, Some(StreamError::new("conflict").text("another connection has taken over")));
            }
            // It did not answer, or did not read; the session waits for another one.
            None => return (Pulled::Over, Some(StreamError::new("connection-timeout"))),
            Some(_) => {}
        }
        let pulled = session.pull(&self.progress, out, bytes_max);
        if session.peer && !out.bytes.is_empty() {
            session.spoke = self.now.mono;
        }
        let over = session.over.clone();
        if !session.marks.is_empty() {
            let key = session.account.clone();
            self.inbox.push_back((key, Input::Marks(at)));
        }
        self.await_ack(at);
        self.look_at(at);
        self.hurry();
        (pulled, over)
    }

    /// The pipe is gone. `clean`: the client closed its stream; otherwise the session may be resumed.
    pub fn gone(&mut self, now: Now, at: SessionRef, pipe: u64, clean: bool) {
        let Some(session) = self.sessions.get_mut(at) else { return };
        if session.pipe != Some(pipe) {
            return;
        }
        session.pipe = None;
        if session.over.is_some() {
            self.sessions.remove(at);
            return;
        }
        if Shard::is_inbound(session) {
            self.sessions.remove(at);
            return;
        }
        let key = session.account.clone();
        if !clean && session.sm.as_ref().is_some_and(|sm| sm.id.is_some()) {
            self.detach(now.mono, at);
        } else {
            self.inbox.push_back((key, Input::End(at, StreamError::new("connection-timeout"))));
        }
    }
}

/// `<enable/>`: what it is answered.
pub(super) fn enable(
    session: &mut Session,
    resume: Option<std::borrow::Cow<'_, str>>,
    house: &House,
    random: impl FnOnce() -> String,
) -> Result<(Option<String>, String), String> {
    if session.sm.is_some() {
        return Err(
            "<failed xmlns='urn:xmpp:sm:3'><unexpected-request xmlns='urn:ietf:params:xml:ns:xmpp-stanzas'/></failed>".into()
        );
    }
    let resume = resume.is_some_and(|it| it == "true" || it == "1");
    if !resume {
        return Ok((None, "<enabled xmlns='urn:xmpp:sm:3'/>".into()));
    }
    let id = random();
    let max = house.limits.resume_timeout.as_secs();
    Ok((Some(id.clone()), format!("<enabled xmlns='urn:xmpp:sm:3' id='{id}' resume='true' max='{max}'/>")))
}
