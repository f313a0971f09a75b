//! A bound connection: stanzas in while there is credit, the session's deque out while the socket takes it.

use super::door::random_text;
use super::*;
use iris_core::metrics::Counter;
use iris_core::xml::wire::Output;

/// Why reading pauses.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Pause {
    No,
    /// Too many stanzas are underway: the session wakes us.
    Credit,
    /// The rate limit, until then.
    Until(Instant),
    /// What it was answered lies there unread.
    Unread,
}

impl Pipe {
    pub(super) async fn attached(&mut self, at: SessionRef, id: u64) -> End {
        let worker = self.worker.clone();
        let wake = self.peer_wake().unwrap_or_default();
        worker.register(at, id, wake.clone());
        worker.shard.borrow_mut().comes_from(at, self.peer);
        let house = worker.shared.house();
        let limits = &house.limits;
        // A component speaks for many.
        let mut rate = if self.peer_end.is_some() && !self.place.unlimited {
            Rate::new(limits.peer_stanza_rate_per_second_max, limits.peer_stanza_rate_burst_max, Instant::now())
        } else if self.place.unlimited || self.place.service == Service::Component {
            None
        } else {
            Rate::new(limits.stanza_rate_per_second_max, limits.stanza_rate_burst_max, Instant::now())
        };
        let end = self.exchange(at, id, &wake, &mut rate).await;
        worker.forget(at, id);
        let clean = matches!(end, End::Said);
        worker.shard.borrow_mut().gone(worker.now(), at, id, clean);
        worker.kick();
        end
    }

    async fn exchange(&mut self, at: SessionRef, id: u64, wake: &Wake, rate: &mut Option<Rate>) -> End {
        // The client has gone and takes nothing more, but what it said before that lies here and waits for credit.
        let mut deaf = false;
        // What was written before it does not go out, and the session is somebody else's or over: not for long.
        let mut forsaken = None;
        loop {
            let pause = match self.feed(at, rate) {
                Ok(pause) => pause,
                Err(None) => {
                    // It has closed its stream: a clean end, whether it reads ours or not.
                    self.say_error(at, id, None);
                    return End::Said;
                }
                Err(over) => return self.say_error(at, id, over),
            };
            let waits = matches!(pause, Pause::Credit | Pause::Until(_));
            let pulled = if deaf { Ok(None) } else { self.pull(at, id) };
            match pulled {
                Ok(None) => {}
                Ok(Some(error)) => {
                    let end = self.say_error(at, id, Some(error));
                    if self.peer_end.is_some() && matches!(end, End::Said) {
                        Box::pin(self.hear_to_the_end(at, rate)).await;
                    }
                    return end;
                }
                Err(_) if self.ended && waits => deaf = true,
                Err(end) => return end,
            }
            if pause == Pause::Unread {
                match self.outgoing.is_empty() {
                    true => continue,
                    false if deaf => return End::Gone,
                    false => {}
                }
            }
            if self.ended && pause == Pause::No {
                return End::Gone;
            }
            if self.outgoing.is_empty() || self.worker.shard.borrow().is_held_by(at, id) {
                forsaken = None;
            } else if *forsaken.get_or_insert(Instant::now() + LAST_WORDS_TIME_MAX) <= Instant::now() {
                return End::Gone;
            }
            let reading = pause == Pause::No;
            let writing = !deaf && (!self.outgoing.is_empty() || self.way.is_full());
            let ready = async {
                match reading || writing {
                    true => self.way.ready(reading, writing).await.map(Some),
                    false => std::future::pending().await,
                }
            };
            let until = match pause {
                Pause::Until(until) => Some(forsaken.map_or(until, |end: Instant| end.min(until))),
                Pause::No | Pause::Credit | Pause::Unread => forsaken,
            };
            let paused = async {
                match until {
                    Some(until) => tokio::time::sleep_until(until.into()).await,
                    None => std::future::pending().await,
                }
            };
            let ready = tokio::select! {
                // What wakes us is the rarest to be there twice: it comes from this thread's turner, which does not run meanwhile.
                biased;
                () = std::future::poll_fn(|cx| wake.poll(cx)) => Ok(None),
                ready = ready => ready,
                () = paused => Ok(None),
            };
            match ready {
                Err(_) if self.ended && waits => deaf = true,
                Err(_) => return End::Gone,
                Ok(Some((true, _))) if reading => match self.read_some() {
                    Ok(_) => {}
                    Err(end) => return if matches!(end, End::Said) { End::Gone } else { end },
                },
                Ok(_) => {}
            }
        }
    }

    /// Give the session every whole stanza that has arrived. `Err(None)`: the client closed its stream.
    fn feed(&mut self, at: SessionRef, rate: &mut Option<Rate>) -> Result<Pause, Option<StreamError>> {
        if self.peer_end.is_some() {
            return self.feed_peer(at, rate);
        }
        if self.pending.is_empty() {
            return Ok(Pause::No);
        }
        let worker = self.worker.clone();
        let mut shard = worker.shard.borrow_mut();
        let now = worker.now();
        let mut upto = 0;
        let mut fed = [0; 4];
        let outcome = loop {
            if !shard.has_credit(at) {
                break Ok(Pause::Credit);
            }
            match self.scan(&mut upto) {
                Ok(None) => {
                    if upto > 0 {
                        shard.heard(now, at);
                    }
                    break Ok(Pause::No);
                }
                Ok(Some(Scanned::Stanza { stanza, .. })) => {
                    fed[stanza.kind() as usize] += 1;
                    if matches!(self.place.service, Service::Peer { .. }) {
                        self.note_their_error(&stanza);
                    }
                    if let Err(error) = shard.receive(now, at, stanza, random_text) {
                        break Err(Some(error));
                    }
                    if let Some(Err(wait)) = rate.as_mut().map(|rate| rate.take(Instant::now())) {
                        break Ok(Pause::Until(Instant::now() + wait));
                    }
                }
                Ok(Some(Scanned::Close { .. } | Scanned::NeedMore { .. })) => break Err(None),
                Ok(Some(Scanned::Open { .. })) => break Err(Some(StreamError::new("not-well-formed"))),
                Err(Unread::Xml(error)) => break Err(Some(stream_error(error))),
                // No end of a stream: the session may be resumed.
                Err(Unread::Frame(fault)) => {
                    self.say_close(fault.code());
                    self.ended = true;
                    break Ok(Pause::No);
                }
            }
        };
        drop(shard);
        self.was_fed(upto, fed, &outcome);
        outcome
    }

    /// What was fed is forgotten and counted; and why there is no more of it now.
    pub(super) fn was_fed(&mut self, upto: usize, fed: [u64; 4], outcome: &Result<Pause, Option<StreamError>>) {
        self.consume(upto);
        count(&self.worker.counters().received, fed);
        let counters = &self.worker.shared.counters;
        match outcome {
            Ok(Pause::Credit) => counters.credits.one(),
            Ok(Pause::Until(_)) => counters.stanza_rates.one(),
            Ok(Pause::No | Pause::Unread) | Err(_) => {}
        }
        self.worker.kick();
    }

    /// Write what the session has, as far as the socket takes it. `Some`: the session is over.
    fn pull(&mut self, at: SessionRef, id: u64) -> Result<Option<StreamError>, End> {
        let worker = self.worker.clone();
        loop {
            self.write_some()?;
            if !self.outgoing.is_empty() || self.has_closed() || self.way.is_full() {
                return Ok(None);
            }
            let mut scratch = worker.scratch.borrow_mut();
            scratch.stanzas.clear();
            scratch.stanzas.framed = self.framing.is_framed();
            let (pulled, over) = worker.shard.borrow_mut().pull(at, id, &mut scratch.stanzas, CHUNK_BYTES);
            let stanzas = std::mem::take(&mut scratch.stanzas);
            drop(scratch);
            count(&worker.counters().sent, stanzas.stanzas.map(u64::from));
            let empty = stanzas.bytes.is_empty();
            let said = if empty { Ok(()) } else { self.say_elements(&stanzas) };
            worker.scratch.borrow_mut().stanzas = stanzas;
            said?;
            if worker.shard.borrow().has_work() {
                worker.kick();
            }
            match pulled {
                Pulled::Over => {
                    return Ok(Some(over.unwrap_or_else(|| StreamError::new("internal-server-error"))));
                }
                Pulled::More => {}
                Pulled::Empty => {
                    // Nothing can have come meanwhile: the shard turns on this thread.
                    self.write_some()?;
                    return Ok(None);
                }
            }
        }
    }

    /// The end of the stream: what the session still has, then why.
    fn say_error(&mut self, at: SessionRef, id: u64, error: Option<StreamError>) -> End {
        if self.is_parting {
            return End::Said;
        }
        let mut said = Ok(());
        if self.outgoing.is_empty() && !self.has_closed() && !self.way.is_full() {
            let mut last = Output { framed: self.framing.is_framed(), ..Output::default() };
            let worker = self.worker.clone();
            worker.shard.borrow_mut().pull(at, id, &mut last, CHUNK_BYTES);
            said = self.say_elements(&last);
        }
        let end = error.map_or(String::new(), |error| error.to_xml()) + "</stream:stream>";
        match said.and_then(|()| self.say_stream(end.as_bytes())) {
            Ok(()) => End::Said,
            Err(end) => end,
        }
    }
}

/// Most are of one kind.
fn count<const N: usize>(counters: &[Counter; N], seen: [u64; N]) {
    counters.iter().zip(seen).filter(|(_, n)| *n > 0).for_each(|(counter, n)| counter.add(n));
}
