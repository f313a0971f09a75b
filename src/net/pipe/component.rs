//! The stream of a component (XEP-0114), until it is a session of the domain that it is.

use iris_engine::LinkReply;
use iris_engine::negotiate::{Knock, authenticated_limits};
use tokio::sync::oneshot;

use super::*;

impl Pipe {
    /// `arrived`: it has shown who it is, and has moved to the thread of that domain.
    pub(super) async fn begin_component(
        &mut self,
        arrived: Option<Arc<str>>,
        deadline: Instant,
    ) -> Result<(SessionRef, u64), End> {
        let domain = match arrived {
            Some(domain) => domain,
            None => {
                let domain = self.hear_handshake(deadline).await?;
                let home = iris_engine::shard_of(&domain, self.worker.shared.workers.len() as u16);
                if home != self.worker.id {
                    return self.move_to(home, Errand::Component(Some(domain)), deadline);
                }
                domain
            }
        };
        let pipe = self.worker.pipe_id();
        let (sender, receiver) = oneshot::channel();
        let reply: LinkReply = Box::new(move |at| {
            let _ = sender.send(at);
        });
        self.worker.shard.borrow_mut().link(&domain, pipe, reply);
        self.worker.kick();
        let Some(at) = receiver.await.map_err(|_| End::Gone)? else {
            // Its configuration has gone meanwhile.
            let error = StreamError::new("host-gone");
            self.say(format!("{}</stream:stream>", error.to_xml()).as_bytes())?;
            return Err(End::Said);
        };
        tracing::info!(%domain, peer = %self.peer, "a component has connected");
        self.say(b"<handshake/>")?;
        Ok((at, pipe))
    }

    async fn hear_handshake(&mut self, deadline: Instant) -> Result<Arc<str>, End> {
        let mut knock = Knock::default();
        loop {
            let mut at = 0;
            let found = self.scan(&mut at);
            self.consume(at);
            let heard = match found {
                Ok(None) => {
                    self.read_more(deadline).await?;
                    continue;
                }
                Ok(Some(Scanned::Open { header, .. })) => {
                    self.answer_component(|env| knock.header(&header, env).map(|()| None))?
                }
                Ok(Some(Scanned::Stanza { stanza, .. })) => {
                    self.answer_component(|env| knock.element(&stanza, env).map(Some))?
                }
                Ok(Some(Scanned::Close { .. } | Scanned::NeedMore { .. })) => return Err(End::Gone),
                Err(Unread::Xml(error)) => Err(stream_error(error)),
                Err(Unread::Frame(_)) => return Err(End::Gone),
            };
            match heard {
                Ok(None) => {}
                Ok(Some(domain)) => {
                    self.no_longer_knocking();
                    self.scanner.set_limits(authenticated_limits(&self.worker.shared.house().limits));
                    return Ok(domain);
                }
                Err(error) => {
                    if error.condition == "not-authorized" && !self.place.unlimited {
                        self.worker.shared.guard.failed(self.peer, None, Instant::now());
                    }
                    self.answer_component(|env| knock.fail(&error, env))?;
                    return Err(End::Said);
                }
            }
        }
    }

    /// What is said to it is queued.
    fn answer_component<T>(&mut self, f: impl FnOnce(&mut Env<'_>) -> T) -> Result<T, End> {
        let mut out = Vec::new();
        let hosts: Hosts = self.worker.shard.borrow().hosts().clone();
        let (house, policy) = (self.worker.shared.house(), self.worker.shared.policy());
        let result = f(&mut Env {
            hosts: &hosts,
            limits: &house.limits,
            policy: &policy,
            census: &house.census,
            random: &mut door::random,
            out: &mut out,
        });
        self.say(&out)?;
        Ok(result)
    }
}
