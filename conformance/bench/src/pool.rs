//! All connections of a run on one thread: the event loop.

use std::sync::Arc;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};
use mio::{Events, Interest, Poll, Token};

use crate::client::{Client, Goal, Step, Target};
use crate::frame;
use crate::scram::Salted;

/// A scenario's reaction to a stanza, or to the frame that completed a client's goal: the pool to answer through, the client
/// it came to, the frame.
pub type OnStanza<'a, T = ()> = &'a mut dyn FnMut(&mut Pool, usize, &[u8]) -> Result<T>;

pub struct Pool {
    pub clients: Vec<Client>,
    pub target: Arc<Target>,
    /// Clients that have reached their goal so far, whether or not they still exist.
    pub reached: usize,
    /// Clients whose stream has ended in the orderly way; for the scenario to take out.
    pub ended: Vec<usize>,
    poll: Poll,
    events: Events,
    dirty: Vec<usize>,
    scratch: Vec<u8>,
    salted: Salted,
    serial: u64,
}

impl Pool {
    pub fn new(target: Target) -> Result<Self> {
        Ok(Pool {
            clients: Vec::new(),
            target: Arc::new(target),
            reached: 0,
            ended: Vec::new(),
            poll: Poll::new()?,
            events: Events::with_capacity(1024),
            dirty: Vec::new(),
            scratch: vec![0; 128 * 1024],
            salted: Salted::default(),
            // The nonce of SCRAM must not repeat between runs against the same server.
            serial: std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH)?.as_micros() as u64,
        })
    }

    /// Starts a client at the given place, instead of the one there before if any.
    pub fn connect(&mut self, index: usize, user: &str, resource: &str, goal: Goal) -> Result<()> {
        self.serial += 1;
        let mut client = Client::connect(&self.target, user, resource, goal, self.serial).context("connecting")?;
        self.poll.registry().register(&mut client.socket, Token(index), Interest::READABLE | Interest::WRITABLE)?;
        match self.clients.get_mut(index) {
            Some(place) => *place = client,
            None => self.clients.push(client),
        }
        Ok(())
    }

    /// Resumes the session of the client at `index`, whose connection has been cut, on a new one.
    pub fn resume(&mut self, index: usize) -> Result<()> {
        let earlier = &self.clients[index];
        self.serial += 1;
        let mut client = Client::connect(&self.target, &earlier.user, &earlier.resource, Goal::Resumed, self.serial)?;
        client.continues(earlier);
        self.poll.registry().register(&mut client.socket, Token(index), Interest::READABLE | Interest::WRITABLE)?;
        self.clients[index] = client;
        Ok(())
    }

    /// Logs in `users` with one resource each, at most 64 at a time, and waits for all. Stanzas that arrive meanwhile are dropped.
    pub fn log_in(&mut self, users: &[(String, String)], goal: Goal) -> Result<()> {
        let (begun, first) = (self.reached, self.clients.len());
        let (mut started, mut latest) = (0, (self.reached, Instant::now()));
        while self.reached - begun < users.len() {
            while started < users.len() && started - (self.reached - begun) < 64 {
                let (user, resource) = &users[started];
                self.connect(first + started, user, resource, goal)?;
                started += 1;
            }
            self.turn(Some(Duration::from_millis(100)), &mut |_, _, _| Ok(()))?;
            if self.reached > latest.0 {
                latest = (self.reached, Instant::now());
            }
            if latest.1.elapsed() > Duration::from_secs(30) {
                bail!("logins hang after {} of {}", self.reached - begun, users.len());
            }
        }
        Ok(())
    }

    /// Queues a stanza for the client; it leaves at the end of the turn.
    pub fn send(&mut self, index: usize, stanza: &[u8]) {
        self.clients[index].queue(stanza);
        self.dirty.push(index);
    }

    /// Ends the client's stream.
    pub fn close(&mut self, index: usize) {
        self.clients[index].close();
        self.dirty.push(index);
    }

    /// Ends all streams in the orderly way; then there are no clients.
    pub fn leave(&mut self) -> Result<()> {
        let all = self.clients.len();
        (0..all).for_each(|index| self.close(index));
        let deadline = Instant::now() + Duration::from_secs(120);
        while self.ended.len() < all {
            anyhow::ensure!(Instant::now() < deadline, "streams do not end");
            self.turn(Some(Duration::from_millis(50)), &mut |_, _, _| Ok(()))?;
        }
        self.ended.clear();
        self.clients.clear();
        Ok(())
    }

    /// Sends an iq and waits for the answer with its id; other stanzas are dropped. Returns the answer.
    pub fn ask(&mut self, index: usize, id: &str, stanza: &str) -> Result<Vec<u8>> {
        let mut answer = None;
        self.send(index, stanza.as_bytes());
        self.until(Duration::from_secs(60), stanza, &mut |_, from, frame| {
            let found = from == index && frame::attribute(frame, "id") == Some(id.as_bytes());
            if found {
                answer = Some(frame.to_vec());
            }
            Ok(found)
        })?;
        answer.context("no answer")
    }

    /// Turns until `on` returns true; fails with `what` in the message when that takes longer than `limit`.
    pub fn until(&mut self, limit: Duration, what: &str, on: OnStanza<bool>) -> Result<()> {
        let deadline = Instant::now() + limit;
        let mut done = false;
        while !done {
            self.turn(Some(Duration::from_millis(100)), &mut |pool, index, frame| {
                done |= on(pool, index, frame)?;
                Ok(())
            })?;
            if !done && Instant::now() > deadline {
                bail!("timed out after {limit:?}: {what}");
            }
        }
        Ok(())
    }

    /// One wait for events, all reactions to them, then one write per client that has something to say.
    pub fn turn(&mut self, wait: Option<Duration>, on: OnStanza) -> Result<()> {
        self.flush()?;
        let mut events = std::mem::replace(&mut self.events, Events::with_capacity(0));
        let polled = self.poll.poll(&mut events, wait);
        if let Err(error) = polled
            && error.kind() != std::io::ErrorKind::Interrupted
        {
            return Err(error.into());
        }
        for event in &events {
            let index = event.token().0;
            if event.is_writable() {
                self.dirty.push(index);
            }
            if event.is_readable() {
                self.receive(index, event.is_read_closed(), on)?;
            }
        }
        self.events = events;
        self.flush()
    }

    fn flush(&mut self) -> Result<()> {
        while let Some(index) = self.dirty.pop() {
            self.clients[index].flush()?;
        }
        Ok(())
    }

    fn receive(&mut self, index: usize, closing: bool, on: OnStanza) -> Result<()> {
        if self.clients[index].has_ended() {
            return Ok(());
        }
        let mut ended = self.clients[index].fill(&mut self.scratch, closing)?;
        let (input, mut framer) = self.clients[index].take_input();
        let mut base = 0;
        while let Some(range) = framer.next(&input[base..]) {
            let frame = &input[base + range.start..base + range.end];
            if frame.starts_with(b"</stream") {
                ended = true;
                break;
            }
            match self.clients[index].negotiate(frame, &mut self.salted)? {
                Step::Stanza => on(self, index, frame)?,
                Step::Reached => {
                    self.reached += 1;
                    on(self, index, frame)?;
                }
                Step::Taken => {}
                Step::Restart => {
                    base += range.end;
                    framer = self.clients[index].framer();
                }
            }
        }
        self.dirty.push(index);
        if !ended {
            let mut input = input;
            input.drain(..base);
            self.clients[index].put_input(input, framer);
            return Ok(());
        }
        self.clients[index].end()?;
        self.ended.push(index);
        Ok(())
    }
}
