//! Hop 4: who a stanza is for, and what becomes of one that is for nobody.

use super::*;

impl Shard {
    /// Hop 4: who is it for?
    pub(super) fn route(&mut self, mut envelope: Box<Envelope>) {
        envelope.hops += 1;
        if envelope.hops > HOPS_MAX {
            tracing::warn!("a stanza went round in circles and was dropped");
            self.done(&mut envelope);
            return;
        }
        match decide(&self.hosts, &envelope.to) {
            Route::Account => {
                let home = shard_of(bare_str(&envelope.to), self.inbound.len() as u16);
                if home == self.id {
                    self.accept(envelope);
                } else {
                    self.outbox[usize::from(home)].push(Post::Stanza(envelope));
                }
            }
            Route::Host => self.send_host(envelope),
            // Of a client elsewhere it is not known which news it wants: better none (XEP-0163 4.3.2).
            Route::Remote if envelope.news_of.is_some() || envelope.news_only => self.done(&mut envelope),
            Route::Remote => self.send_remote(envelope),
        }
    }

    /// RFC 6120 10.4. Presence for this very address is answered too: who enters a room waits for it (XEP-0045 7.2). What is said to all
    /// contacts at once has no `to`, and a subscription waits as it would for a contact who is silent (RFC 6121 3.1.2).
    pub(super) fn unreachable(&mut self, envelope: Box<Envelope>, why: &Bounce) {
        let it = &envelope.stanza;
        if it.kind() == Kind::Presence && it.stype() == StanzaType::Available && it.to().is_some() {
            let xml = reply::error_xml(it, Some(envelope.to.as_str()), why);
            self.answer_from(envelope, xml);
        } else {
            self.bounce(envelope, why);
        }
    }

    /// For an account of this shard.
    pub(super) fn accept(&mut self, mut envelope: Box<Envelope>) {
        let key = bare_str(&envelope.to);
        let awake = self.entities.get_key_value(key).map(|(key, _)| key.clone());
        let asleep = awake.is_none();
        let idle_talk = envelope.stanza.kind() == Kind::Presence
            && matches!(
                envelope.stanza.stype(),
                StanzaType::Available | StanzaType::Unavailable | StanzaType::Probe | StanzaType::Error
            );
        // A client of ours asks after somebody in particular whose presence it may see (`probe_out`): that is worth a read.
        let asked =
            asleep && account::presence::asks_itself(&envelope) && self.hosts.domain(envelope.from.domain().as_str()).is_some();
        let wants_news = || !envelope.interests.is_empty() || account::presence::shows_client(&envelope);
        if asleep && idle_talk && !asked && !wants_news() {
            // Nobody is there to see it, and a probe learns nothing: it never wakes an account. But the last news of an account are
            // there also while it sleeps, for a client that wants them (XEP-0163 4.3.3).
            return self.done(&mut envelope);
        }
        let key = awake.unwrap_or_else(|| Arc::from(key));
        self.inbox.push_back((key, Input::Stanza(envelope)));
    }

    /// An error from where the stanza was going, to whom it came from.
    pub(super) fn bounce(&mut self, mut envelope: Box<Envelope>, why: &Bounce) {
        if !reply::answerable(&envelope.stanza) {
            return self.done(&mut envelope);
        }
        let xml = reply::error_xml(&envelope.stanza, Some(envelope.to.as_str()), why);
        self.answer_from(envelope, xml);
    }

    /// Send the asker what `envelope.to` says. A session of this shard gets it without being sought, behind what was said to it before
    /// (RFC 6120 10.1); but a message's error takes the way of a message, because the other devices of who sent it want to know too
    /// (XEP-0280 6.1).
    pub(super) fn answer_from(&mut self, mut envelope: Box<Envelope>, xml: String) {
        let home = envelope.receipt.as_ref().map(Receipt::home).filter(|home| home.shard == self.id);
        let own = home
            .filter(|_| envelope.stanza.kind() != Kind::Message)
            .filter(|home| self.sessions.get(*home).is_some_and(|session| session.card.jid.as_str() == envelope.from.as_str()));
        match own {
            Some(at) => {
                let wire = iris_core::effects::made(xml, iris_core::xml::wire::Hold::Flush);
                let out = Out { after: envelope.after, ..Out::new(wire, iris_core::effects::To::Full) };
                match self.sessions.get(at).filter(|_| !self.inbox.is_empty()).map(|session| session.account.clone()) {
                    Some(account) => self.inbox.push_back((account, Input::Out(at, Box::new(out)))),
                    None => self.out(at, out),
                }
            }
            None => {
                if let Ok(stanza) = Stanza::parse(xml.as_bytes(), &self.house.names) {
                    let mut answer = Envelope::new(Arc::new(stanza), envelope.to.clone(), envelope.from.clone());
                    answer.after = envelope.after;
                    answer.hops = envelope.hops;
                    self.route(answer);
                }
            }
        }
        self.done(&mut envelope);
    }

    /// The way ends here.
    pub(super) fn done(&mut self, envelope: &mut Envelope) {
        if let Some(receipt) = envelope.receipt.take() {
            let mut settled = receipt.settle();
            settled.after = envelope.after;
            self.settled(settled);
        }
    }

    /// An input that cannot be taken.
    pub(super) fn reject(&mut self, input: Input, why: &Bounce) {
        match input {
            Input::Stanza(envelope) => self.bounce(envelope, why),
            Input::FromSession(_, _, receipt) => self.settled(receipt.refuse(why.clone())),
            Input::Bind { reply, .. } => reply(Err(why.clone())),
            Input::Resume { reply, .. } => reply(Err(ResumeError::NotFound)),
            Input::Link { reply, .. } => reply(None),
            Input::Ask(_, reply) => reply(AskAnswer::Failed("the account cannot be read".into())),
            Input::Turn(_, reply) => reply(Err(StoreError::Unavailable("the account cannot be read".into()))),
            Input::Host(_, reply) => reply(Err(StoreError::Unavailable("the domain cannot be read".into()))),
            Input::Finished(asked, _) => {
                if let Some(mut asked) = asked {
                    self.done(&mut asked.envelope);
                }
            }
            Input::End(..)
            | Input::Out(..)
            | Input::Redeliver(_)
            | Input::Marks(_)
            | Input::Resumed(_)
            | Input::Detached(_)
            | Input::Silence(_) => {}
            Input::Overdue | Input::Present(_) => {}
        }
    }
}
