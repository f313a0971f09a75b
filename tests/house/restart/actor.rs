//! One of the many clients: sends at a fixed rate, keeps what is not acknowledged, and sends it again after a crash.

use std::collections::{HashSet, VecDeque};
use std::io;
use std::net::SocketAddr;
use std::sync::{Condvar, Mutex, PoisonError};
use std::time::{Duration, Instant};

use super::oracle::{Account, Copy, Journal, Message};
use super::random::Random;
use crate::archive;
use crate::client::{Client, DOMAIN, PASSWORD, attribute, between};

/// Beyond this nothing new is sent: a server that is down should not be greeted by a flood.
const UNACKED_MAX: usize = 100;
const ROSTER_EVERY: Duration = Duration::from_millis(700);

/// What all clients and the test share.
#[derive(Default)]
pub struct Stage {
    state: Mutex<State>,
    changed: Condvar,
}

#[derive(Clone, Copy, Default)]
struct State {
    address: Option<SocketAddr>,
    starts: u64,
    acked: u64,
    /// Nothing new is sent; whoever has nothing unacknowledged leaves.
    ending: bool,
}

impl Stage {
    fn change(&self, f: impl FnOnce(&mut State)) {
        f(&mut self.state.lock().unwrap_or_else(PoisonError::into_inner));
        self.changed.notify_all();
    }

    fn now(&self) -> State {
        *self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub fn up(&self, address: SocketAddr) {
        self.change(|state| {
            state.address = Some(address);
            state.starts += 1;
        });
    }

    pub fn down(&self) {
        self.change(|state| state.address = None);
    }

    pub fn end(&self) {
        self.change(|state| state.ending = true);
    }

    /// Messages that were acknowledged, all clients together.
    pub fn acked(&self) -> u64 {
        self.now().acked
    }

    /// Until so many are acknowledged. False: not in time.
    pub fn wait_acked(&self, count: u64, within: Duration) -> bool {
        let state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        let waited = self.changed.wait_timeout_while(state, within, |state| state.acked < count);
        waited.is_ok_and(|(state, _)| state.acked >= count)
    }
}

/// A stanza since `<enable/>` that the server has not counted yet.
enum Underway {
    Message,
    Other,
}

pub struct Actor {
    pub me: Account,
    pub accounts: usize,
    /// Time between two messages.
    pub pace: Duration,
    random: Random,
    journal: Journal,
    /// Sent and not acknowledged, oldest first.
    unacked: VecDeque<Message>,
    underway: VecDeque<Underway>,
    acked_h: u32,
    heard_h: u32,
    roster_asked: HashSet<u32>,
    next_seq: u32,
    next_contact: u32,
}

impl Actor {
    pub fn new(me: Account, accounts: usize, pace: Duration, seed: u64) -> Actor {
        Actor {
            me,
            accounts,
            pace,
            random: Random::new(seed ^ (me as u64 + 1).wrapping_mul(0x9e37_79b9)),
            journal: Journal::default(),
            unacked: VecDeque::new(),
            underway: VecDeque::new(),
            acked_h: 0,
            heard_h: 0,
            roster_asked: HashSet::new(),
            next_seq: 0,
            next_contact: 0,
        }
    }

    /// Until the stage ends and nothing is unacknowledged any more.
    pub fn play(mut self, stage: &Stage) -> Journal {
        let mut looked = 0;
        loop {
            let State { address, starts, ending, .. } = stage.now();
            if ending && self.unacked.is_empty() {
                return self.journal;
            }
            let Some(address) = address else {
                std::thread::sleep(Duration::from_millis(2));
                continue;
            };
            // After each start a few look whether their archive is what it was.
            if looked != starts && (starts + self.me as u64).is_multiple_of(8) {
                looked = starts;
                let read = Client::try_bound(address, &name(self.me), "reader").and_then(|mut client| archive_of(&mut client));
                if let Ok(entries) = read {
                    self.journal.seen.extend(entries.into_iter().map(|copy| (self.me, copy)));
                }
            }
            // Every error means the same here: the server has gone, and comes back.
            if self.converse(address, stage).is_err() {
                std::thread::sleep(Duration::from_millis(5));
            }
        }
    }

    fn converse(&mut self, address: SocketAddr, stage: &Stage) -> io::Result<()> {
        let mut client = Client::connect(address)?;
        client.login(&name(self.me), PASSWORD)?;
        client.bind("desk")?;
        client.enable_sm()?;
        (self.acked_h, self.heard_h) = (0, 0);
        self.underway.clear();
        self.roster_asked.clear();
        self.tell(&mut client, "<presence/>")?;
        for message in self.unacked.clone() {
            self.say(&mut client, &message)?;
        }
        if !self.unacked.is_empty() {
            client.try_send("<r xmlns='urn:xmpp:sm:3'/>")?;
        }
        let mut due = Instant::now() + self.pace.mul_f64(self.random.fraction());
        let mut roster_due = Instant::now() + ROSTER_EVERY.mul_f64(self.random.fraction());
        loop {
            let state = stage.now();
            if state.ending && self.unacked.is_empty() {
                return Ok(());
            }
            if state.address != Some(address) {
                return Err(io::ErrorKind::NotConnected.into());
            }
            let now = Instant::now();
            if now >= due && !state.ending {
                due = (due + self.pace).max(now);
                if self.unacked.len() < UNACKED_MAX {
                    let message = self.compose();
                    self.say(&mut client, &message)?;
                    client.try_send("<r xmlns='urn:xmpp:sm:3'/>")?;
                }
            }
            if now >= roster_due && !state.ending {
                roster_due = now + ROSTER_EVERY;
                self.set_contact(&mut client)?;
            }
            let patience = due.min(roster_due).saturating_duration_since(Instant::now()).max(Duration::from_millis(1));
            match client.read(if state.ending { Duration::from_millis(20) } else { patience }) {
                Ok(element) => self.hear(&mut client, &element, stage)?,
                Err(error) if error.kind() == io::ErrorKind::TimedOut => {}
                Err(error) => return Err(error),
            }
        }
    }

    fn compose(&mut self) -> Message {
        let others = self.accounts as u64 - 1;
        let to = (self.me + 1 + self.random.below(others) as usize) % self.accounts;
        let body = format!("{} to {to}, number {}, {:016x}", self.me, self.next_seq, self.random.next());
        self.next_seq += 1;
        let message = Message { from: self.me, to, body };
        // Before it is on its way: what the server got and the journal does not know would be a ghost.
        self.journal.sent.push(message.clone());
        self.unacked.push_back(message.clone());
        message
    }

    /// The same bytes each time it is sent.
    fn say(&mut self, client: &mut Client, message: &Message) -> io::Result<()> {
        let Message { to, body, .. } = message;
        let id = body.rsplit_once(' ').map_or("", |(_, id)| id);
        self.underway.push_back(Underway::Message);
        client.try_send(&format!(
            "<message to='{}@{DOMAIN}' type='chat' id='{id}'><body>{body}</body><origin-id xmlns='urn:xmpp:sid:0' id='{id}'/>\
             </message>",
            name(*to)
        ))
    }

    fn tell(&mut self, client: &mut Client, stanza: &str) -> io::Result<()> {
        self.underway.push_back(Underway::Other);
        client.try_send(stanza)
    }

    fn set_contact(&mut self, client: &mut Client) -> io::Result<()> {
        let number = self.next_contact;
        self.next_contact += 1;
        self.roster_asked.insert(number);
        let (jid, name) = contact(number);
        let item = format!("<item jid='{jid}' name='{name}'/>");
        self.tell(client, &format!("<iq type='set' id='roster-{number}'><query xmlns='jabber:iq:roster'>{item}</query></iq>"))
    }

    fn hear(&mut self, client: &mut Client, element: &str, stage: &Stage) -> io::Result<()> {
        if element.starts_with("<a ") {
            let h: u32 = attribute(element, "h").and_then(|h| h.parse().ok()).expect("an <a/> has an h");
            let mut acked = 0;
            for _ in 0..h.wrapping_sub(self.acked_h) {
                let Some(Underway::Message) = self.underway.pop_front() else { continue };
                let message = self.unacked.pop_front().expect("a message that is underway is not acknowledged");
                self.journal.acked.insert(message.body);
                acked += 1;
            }
            self.acked_h = h;
            stage.change(|state| state.acked += acked);
            return Ok(());
        }
        if element.starts_with("<r ") {
            return client.try_send(&format!("<a xmlns='urn:xmpp:sm:3' h='{}'/>", self.heard_h));
        }
        if element.starts_with("<stream:error") || element.starts_with("</stream") {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
        self.heard_h += 1;
        if element.starts_with("<message") {
            assert!(attribute(element, "type") != Some("error"), "nothing fails here but the whole server: {element}");
            let id = element.split_once("<stanza-id ").and_then(|(_, rest)| between(rest, "id='", "'"));
            let (Some(body), Some(id)) = (between(element, "<body>", "</body>"), id) else {
                panic!("a message without body or stanza-id: {element}")
            };
            self.journal.delivered.push((self.me, Copy { id: id.to_owned(), body: body.to_owned() }));
        } else if let Some(number) = attribute(element, "id").and_then(|id| id.strip_prefix("roster-")?.parse().ok()) {
            assert_eq!(attribute(element, "type"), Some("result"), "{element}");
            if self.roster_asked.remove(&number) {
                let (jid, name) = contact(number);
                self.journal.roster.push((self.me, jid, name));
            }
        }
        Ok(())
    }
}

pub fn name(account: Account) -> String {
    format!("u{account}")
}

fn contact(number: u32) -> (String, String) {
    (format!("contact{number}@example.org"), format!("name {number}"))
}

/// The archive of the client's account as it is now.
pub fn archive_of(client: &mut Client) -> io::Result<Vec<Copy>> {
    let entries = archive::read(client)?;
    Ok(entries.into_iter().map(|entry| Copy { id: entry.id, body: entry.body }).collect())
}
