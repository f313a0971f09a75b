//! The world of a test: a domain `house` with some rooms, two shards on one thread, a memory store, a clock that is moved by
//! hand. A test reads like a play: who says what, who hears what.

use std::sync::Arc;
use std::time::Duration;

use iris_core::host::HostTurn;
use iris_core::ids::IdSeal;
use iris_core::keyed::Keyed;
use iris_core::limits::Limits;
use iris_core::login::Census;
use iris_core::mailing::{Domain, Mailing};
use iris_core::mount::{Doors, RoomConfig};
use iris_core::registration::{Answer, Request};
use iris_core::room::Room;
use iris_core::store::{MemoryStore, Read, Rows, Store};
use iris_core::time::{HouseClock, Mono, Now};
use iris_core::xml::names::NameTable;
use iris_core::xml::scan::{Scanned, Scanner, XmlLimits};
use iris_core::xml::wire::Output;
use iris_core::{Ask, AskAnswer, BareJid, Enrolled, FullJid, SessionRef, Stanza};

use crate::account::session::Pulled;
use crate::router::{Hosts, Peers, shard_of};
use crate::shard::{Bind, Inbound, Shard};
use crate::{Known, turn_house};

pub mod constant_time;
mod far;
mod ports;

pub const SHARDS: u16 = 2;
/// Administrators by configuration: each of the domain of its address.
pub const ADMINS: [&str; 2] = ["admin@house", "admin@away"];
/// What users may have sent by mail.
pub const MAILS_PER_DAY_MAX: u32 = 10;
pub const MAIL_SIZE_BYTES_MAX: usize = 64 * 1024;
/// 2026-01-01T00:00:00Z, where every play begins.
pub const BEGIN_US: u64 = 1_767_225_600_000_000;

pub struct House {
    pub shards: Vec<Shard>,
    pub store: Arc<MemoryStore>,
    pub now: Now,
    names: Arc<NameTable>,
    /// Other servers that it speaks with.
    peers: Peers,
    next_pipe: u64,
    counter: u64,
    links: Vec<far::Link>,
    /// What the house was ordered (XEP-0133).
    pub stops: ports::Stops,
    /// What was not wanted any more among the files.
    pub forgotten: ports::Forgotten,
    /// What browsers were told.
    pub pushed: ports::Pushed,
    /// The mail server of the house.
    pub mails: ports::Mails,
}

/// A client: its session and its pipe.
#[derive(Clone, Debug)]
pub struct Client {
    pub jid: FullJid,
    pub at: SessionRef,
    pub pipe: u64,
}

impl House {
    /// A house with these rooms; every write is kept at once.
    pub fn with(rooms: &[Room]) -> House {
        House::build(rooms, "", Limits::default(), Arc::new(MemoryStore::new()))
    }

    /// As `with`, and nothing is committed until the test says so (`house.store.commit()`, `house.store.refuse()`).
    pub fn manual(rooms: &[Room]) -> House {
        House::build(rooms, "", Limits::default(), Arc::new(MemoryStore::manual()))
    }

    pub fn with_limits(rooms: &[Room], limits: Limits) -> House {
        House::build(rooms, "", limits, Arc::new(MemoryStore::new()))
    }

    /// `config`: the `[xep.*]` tables.
    pub fn with_config(rooms: &[Room], config: &str) -> House {
        House::build(rooms, config, Limits::default(), Arc::new(MemoryStore::new()))
    }

    /// A process that was stopped and started again on the same store.
    pub fn restart(&self, rooms: &[Room], later: Duration) -> House {
        let mut house = House::build_with(rooms, "", Limits::default(), self.store.clone(), self.peers.clone());
        house.now = Now { mono: self.now.mono, wall_us: self.now.wall_us + later.as_micros() as u64 };
        house
    }

    /// As SIGHUP does: another configuration, and everybody stays where they are.
    pub fn reload(&mut self, rooms: &[Room], config: &str) {
        self.reload_with(rooms, config, Some(mailing()));
    }

    /// The mail server is no longer configured.
    pub fn reload_without_mail(&mut self, rooms: &[Room]) {
        self.reload_with(rooms, "", None);
    }

    fn reload_with(&mut self, rooms: &[Room], config: &str, mailing: Option<Mailing>) {
        let mut names = NameTable::clone(&self.names);
        let hosts = hosts(rooms, config, mailing, &mut names).with_peers(self.peers.clone());
        self.names = Arc::new(names);
        for shard in &mut self.shards {
            let house = turn_house::House { names: self.names.clone(), ..turn_house::House::clone(shard.house()) };
            shard.reload(hosts.clone(), Arc::new(house));
        }
        self.run();
    }

    pub fn build(rooms: &[Room], config: &str, limits: Limits, store: Arc<MemoryStore>) -> House {
        House::build_with(rooms, config, limits, store, Peers::Nobody)
    }

    fn build_with(rooms: &[Room], config: &str, limits: Limits, store: Arc<MemoryStore>, peers: Peers) -> House {
        let now = Now { mono: Mono::default(), wall_us: BEGIN_US };
        let (stops, forgotten, pushed) = (ports::Stops::default(), ports::Forgotten::default(), ports::Pushed::default());
        let mails = ports::Mails::default();
        let mut names = NameTable::new();
        let known = Known::intern(&mut names);
        let hosts = hosts(rooms, config, Some(mailing()), &mut names).with_peers(peers.clone());
        let enrolled = Arc::new(enrolled(&hosts, &store));
        let names = Arc::new(names);
        let clock = Arc::new(HouseClock::above(store.floor()));
        let house = Arc::new(turn_house::House {
            names: names.clone(),
            clock,
            limits,
            version: "0",
            started: now,
            ports: ports::ports(stops.clone(), forgotten.clone(), pushed.clone(), mails.clone()),
            census: Arc::new(Census::new(["house", "away"].map(str::to_owned))),
            enrolled,
            connected: Arc::default(),
            ids: IdSeal::new(store.secret()),
            keyed: Keyed::new(&store.secret()),
        });
        let inbound: Vec<Arc<Inbound>> = (0..SHARDS).map(|_| Arc::new(Inbound::new(|| {}))).collect();
        let shards = (0..SHARDS)
            .map(|id| Shard::new(id, house.clone(), known, hosts.clone(), store.clone() as Arc<dyn Store>, inbound.clone()))
            .collect();
        House { shards, store, now, names, peers, next_pipe: 1, counter: 0, links: Vec::new(), stops, forgotten, pushed, mails }
    }

    fn shard(&mut self, account: &str) -> &mut Shard {
        &mut self.shards[usize::from(shard_of(account, SHARDS))]
    }

    /// Make an account (nothing happens if it is there).
    pub fn user(&mut self, jid: &str) {
        let jid = BareJid::new(jid).expect("a bare JID");
        let credentials = bytes::Bytes::new();
        self.shard(jid.as_str()).ask(&jid, Ask::Provision { credentials }, Box::new(|_| {}));
        self.run();
    }

    /// Ask an account something and run until it has answered (a manual store may keep it waiting: then `None`).
    pub fn ask(&mut self, jid: &str, ask: Ask) -> Option<AskAnswer> {
        let jid = BareJid::new(jid).expect("a bare JID");
        let answer = Arc::new(std::sync::Mutex::new(None));
        let slot = answer.clone();
        self.shard(jid.as_str()).ask(&jid, ask, Box::new(move |it| *slot.lock().expect("the answer") = Some(it)));
        self.run();
        answer.lock().expect("the answer").take()
    }

    /// Do something in the turn of a domain and run until it has answered (as `ask`).
    pub fn host<R: Send + 'static>(
        &mut self,
        domain: &str,
        f: impl FnOnce(&mut HostTurn<'_>) -> R + Send + 'static,
    ) -> Option<Result<R, iris_core::store::StoreError>> {
        let answer = Arc::new(std::sync::Mutex::new(None));
        let slot = answer.clone();
        let reply: crate::HostReply = Box::new(move |it| *slot.lock().expect("the answer") = Some(it));
        self.shards[0].in_host(domain, Box::new(move |turn| Box::new(f(turn))), reply);
        self.run();
        let answer = answer.lock().expect("the answer").take()?;
        Some(answer.map(|it| *it.downcast().expect("what the function returned")))
    }

    /// Do something in the turn of an account and run until it has answered (as `ask`); `None` inside: there is none.
    pub fn account<R: Send + 'static>(
        &mut self,
        account: &str,
        f: impl FnOnce(&mut iris_core::Turn<'_>) -> R + Send + 'static,
    ) -> Option<Result<Option<R>, iris_core::store::StoreError>> {
        let jid = BareJid::new(account).expect("a bare JID");
        let answer = Arc::new(std::sync::Mutex::new(None));
        let slot = answer.clone();
        let reply: crate::TurnReply = Box::new(move |it| *slot.lock().expect("the answer") = Some(it));
        let f: iris_core::task::AccountFn = Box::new(move |turn| Box::new(f(turn)));
        self.shard(account).in_account(&jid, f, reply);
        self.run();
        let answer = answer.lock().expect("the answer").take()?;
        Some(answer.map(|it| it.map(|it| *it.downcast().expect("what the function returned"))))
    }

    /// Ask the registrar of a domain and run until it has answered (as `ask`).
    pub fn registrar(&mut self, domain: &str, request: Request) -> Option<Answer> {
        let answer = Arc::new(std::sync::Mutex::new(None));
        let slot = answer.clone();
        self.host(domain, move |turn| {
            let (_, registrar) = turn.doors.registration.as_ref().expect("a registrar");
            registrar(turn, request, Box::new(move |it| *slot.lock().expect("the answer") = Some(it)));
        });
        self.run();
        answer.lock().expect("the answer").take()
    }

    /// A connected resource, without presence. The account is made if need be.
    pub fn login(&mut self, full: &str) -> Client {
        let jid = FullJid::new(full).expect("a full JID");
        self.user(jid.to_bare().as_str());
        self.try_login(full).expect("the bind")
    }

    pub fn try_login(&mut self, full: &str) -> Result<Client, iris_core::Bounce> {
        let jid = FullJid::new(full).expect("a full JID");
        let pipe = self.next_pipe;
        self.next_pipe += 1;
        let bound = std::rc::Rc::new(std::cell::RefCell::new(None));
        let slot = bound.clone();
        let (bare, wanted) = (jid.to_bare(), jid.resource().as_str().to_owned());
        let reply: crate::BindReply = Box::new(move |it| *slot.borrow_mut() = Some(it));
        self.shard(bare.as_str()).bind(&bare, Bind::resource(Some(wanted), "random".into()), pipe, reply);
        self.run();
        let bound = bound.borrow_mut().take().expect("an answer to the bind")?;
        Ok(Client { jid, at: bound.session, pipe })
    }

    /// The stream of a component (XEP-0114) that is configured.
    pub fn component(&mut self, domain: &str) -> Client {
        let pipe = self.next_pipe;
        self.next_pipe += 1;
        let linked = std::rc::Rc::new(std::cell::RefCell::new(None));
        let slot = linked.clone();
        self.shard(domain).link(domain, pipe, Box::new(move |at| *slot.borrow_mut() = at));
        self.run();
        let at = linked.borrow_mut().take().expect("there is no such component");
        Client { jid: FullJid::new(&format!("{domain}/component")).expect("a full JID"), at, pipe }
    }

    /// A session by XEP-0386: `inline` stands inside `<bind/>`; the second value is what `<bound/>` holds. The account must be there.
    pub fn bind2(&mut self, full: &str, agent: Option<u128>, inline: &str) -> (Client, String) {
        let bind = self.bind2_request(full, agent, inline);
        self.begin(full, bind)
    }

    /// As `bind2`, by a client that its owner knows by this id.
    pub fn bind2_as(&mut self, full: &str, client: &str) -> (Client, String) {
        let bind = Bind { client: Some(Arc::from(client)), ..self.bind2_request(full, None, "") };
        self.begin(full, bind)
    }

    fn bind2_request(&mut self, full: &str, agent: Option<u128>, inline: &str) -> Bind {
        let jid = FullJid::new(full).expect("a full JID");
        self.counter += 1;
        let request = format!("<bind xmlns='urn:xmpp:bind:0'>{inline}</bind>").into_bytes();
        let inline = Some(crate::shard::Inline { request, sm_id: format!("sm-{}", self.counter) });
        let wanted = Some(jid.resource().as_str().to_owned());
        Bind { agent, inline, ..Bind::resource(wanted, "random".into()) }
    }

    fn begin(&mut self, full: &str, bind: Bind) -> (Client, String) {
        let jid = FullJid::new(full).expect("a full JID");
        let pipe = self.next_pipe;
        self.next_pipe += 1;
        let bound = std::rc::Rc::new(std::cell::RefCell::new(None));
        let slot = bound.clone();
        let bare = jid.to_bare();
        self.shard(bare.as_str()).bind(&bare, bind, pipe, Box::new(move |it| *slot.borrow_mut() = Some(it)));
        self.run();
        let bound = bound.borrow_mut().take().expect("an answer to the bind").expect("a session");
        (Client { jid, at: bound.session, pipe }, bound.inline)
    }

    /// A connected resource that has sent initial presence and read everything that came of it.
    pub fn online(&mut self, full: &str) -> Client {
        let client = self.login(full);
        self.send(&client, "<presence/>");
        self.recv(&client);
        client
    }

    /// Two accounts that see each other's presence.
    pub fn friends(&mut self, one: &str, other: &str) {
        let a = self.login(&format!("{one}/befriending"));
        let b = self.login(&format!("{other}/befriending"));
        self.send(&a, &format!("<presence type='subscribe' to='{other}'/>"));
        self.send(&b, &format!("<presence type='subscribed' to='{one}'/>"));
        self.send(&b, &format!("<presence type='subscribe' to='{one}'/>"));
        self.send(&a, &format!("<presence type='subscribed' to='{other}'/>"));
        self.close(&a);
        self.close(&b);
    }

    /// A client says something; everything that follows happens.
    pub fn send(&mut self, client: &Client, xml: &str) {
        self.feed(client, xml);
        self.run();
    }

    /// As `send`, and nothing follows yet.
    pub fn feed(&mut self, client: &Client, xml: &str) {
        let stanza = Stanza::parse(xml.as_bytes(), &self.names).unwrap_or_else(|error| panic!("{error:?}: {xml}"));
        self.counter += 1;
        let (now, id) = (self.now, format!("sm-{}", self.counter));
        let shard = &mut self.shards[usize::from(client.at.shard)];
        if let Err(error) = shard.receive(now, client.at, stanza, || id) {
            panic!("the stream would end: {error:?}");
        }
    }

    /// What a client has been sent since it last read.
    pub fn recv(&mut self, client: &Client) -> Vec<Stanza> {
        let mut out = Output::default();
        let shard = &mut self.shards[usize::from(client.at.shard)];
        while shard.pull(client.at, client.pipe, &mut out, usize::MAX).0 == Pulled::More {}
        let bytes = out.bytes;
        self.run();
        let mut scanner = Scanner::for_fragments(XmlLimits::OWN, self.names.clone());
        let mut stanzas = Vec::new();
        let mut at = 0;
        while let Ok(Scanned::Stanza { consumed, stanza }) = scanner.scan(&bytes[at..]) {
            stanzas.push(stanza);
            at += consumed;
        }
        assert_eq!(at, bytes.len(), "not XML: {}", String::from_utf8_lossy(&bytes[at..]));
        stanzas
    }

    /// The same as text.
    pub fn hear(&mut self, client: &Client) -> Vec<String> {
        self.recv(client).iter().map(|stanza| stanza.as_str().to_owned()).collect()
    }

    /// Exactly one stanza was sent to the client since it last read.
    #[track_caller]
    pub fn one(&mut self, client: &Client) -> Stanza {
        let mut heard = self.recv(client);
        assert_eq!(heard.len(), 1, "{} heard {:?}", client.jid, heard.iter().map(Stanza::as_str).collect::<Vec<_>>());
        heard.remove(0)
    }

    #[track_caller]
    pub fn nothing(&mut self, client: &Client) {
        let heard = self.hear(client);
        assert!(heard.is_empty(), "{} heard {heard:?}", client.jid);
    }

    /// Ask with an iq and get the one answer.
    #[track_caller]
    pub fn iq(&mut self, client: &Client, kind: &str, to: Option<&str>, payload: &str) -> Stanza {
        self.counter += 1;
        let id = format!("q{}", self.counter);
        let to = to.map_or(String::new(), |to| format!(" to='{to}'"));
        self.send(client, &format!("<iq type='{kind}' id='{id}'{to}>{payload}</iq>"));
        let heard = self.recv(client);
        let found = heard.into_iter().find(|stanza| stanza.id().as_deref() == Some(&id));
        found.unwrap_or_else(|| panic!("no answer to {payload}"))
    }

    /// Has the stream of this client ended?
    pub fn is_over(&self, client: &Client) -> bool {
        let session = self.shards[usize::from(client.at.shard)].session(client.at);
        session.is_none_or(|session| session.is_over(self.store.progress().resolved))
    }

    /// The client closes its stream.
    pub fn close(&mut self, client: &Client) {
        let now = self.now;
        self.shards[usize::from(client.at.shard)].gone(now, client.at, client.pipe, true);
        self.run();
    }

    /// The connection breaks.
    pub fn cut(&mut self, client: &Client) {
        let now = self.now;
        self.shards[usize::from(client.at.shard)].gone(now, client.at, client.pipe, false);
        self.run();
    }

    /// `<resume/>` on a new connection. `None`: no answer yet.
    pub fn resume(
        &mut self,
        client: &Client,
        previd: &str,
        h: u32,
    ) -> Option<Result<(Client, u32), crate::shard::ResumeError>> {
        let pipe = self.next_pipe;
        self.next_pipe += 1;
        let answer = std::rc::Rc::new(std::cell::RefCell::new(None));
        let slot = answer.clone();
        let reply = Box::new(move |it| *slot.borrow_mut() = Some(it));
        let bare = client.jid.to_bare();
        self.shard(bare.as_str()).resume(&bare, (previd.to_owned(), h), None, pipe, reply);
        self.run();
        let jid = client.jid.clone();
        let outcome = answer.borrow_mut().take()?;
        Some(outcome.map(|(at, h)| (Client { jid, at, pipe }, h)))
    }

    /// The house is about to close: everything is said that is to be said before streams end.
    pub fn closing(&mut self) {
        self.shards.iter_mut().for_each(|shard| {
            shard.closing();
        });
        self.run();
    }

    /// Accounts in memory.
    pub fn accounts_awake(&self) -> u64 {
        self.shards.iter().map(|shard| shard.census().accounts_awake).sum()
    }

    /// Time passes.
    pub fn advance(&mut self, by: Duration) {
        self.now.mono = self.now.mono + by;
        self.now.wall_us += by.as_micros() as u64;
        self.run();
    }

    /// Turn both shards until nothing is left to do.
    pub fn run(&mut self) {
        let mut quiet = 0;
        for _ in 0..10_000 {
            self.now.wall_us += 1;
            let now = self.now;
            let mut more = false;
            for shard in &mut self.shards {
                more |= shard.turn(now, 64);
                more |= shard.has_posts();
            }
            more |= self.shards.iter().any(|shard| shard.has_posts() || shard.has_work());
            quiet = if more { 0 } else { quiet + 1 };
            // What the last turn wrote is seen to be kept in the turn after it.
            if quiet == 2 {
                return;
            }
        }
        panic!("the house does not come to rest");
    }
}

fn mailing() -> Mailing {
    Mailing::new(vec![Domain { name: "house".to_owned(), ascii: "house".to_owned() }], MAILS_PER_DAY_MAX, MAIL_SIZE_BYTES_MAX)
}

fn hosts(rooms: &[Room], config: &str, mailing: Option<Mailing>, names: &mut NameTable) -> Hosts {
    let config = RoomConfig::parse(config).expect("the configuration of the play");
    let config = config.with_admins(&ADMINS.map(|admin| BareJid::new(admin).expect("a bare JID")));
    let config = config.with_domains(&["house", "away"].map(str::to_owned));
    let config = config.with_site(Some("https://{domain}:5443".to_owned())).with_vapid(Some("BKey".to_owned()));
    let config = config.with_mailing(mailing.map(Arc::new));
    Hosts::new(["house", "away"].map(|domain| Doors::open(domain, rooms, names, &config).expect("the rooms mount")))
}

/// Who stood on the list in the life before.
fn enrolled(hosts: &Hosts, store: &MemoryStore) -> Enrolled {
    let found = Arc::new(std::sync::Mutex::new(Vec::new()));
    for doors in hosts.iter() {
        let Some(shelf) = doors.enrolled else { continue };
        let suffix = Arc::from(format!("@{}", doors.domain));
        let slot = found.clone();
        let read = Read::Owners { suffix, after: None, max: iris_core::store::PAGE_ENTRIES_MAX, shelf };
        let then = Box::new(move |rows| {
            let Ok(Rows::Owners(owners)) = rows else { return };
            let with = owners.into_iter().filter(|owned| owned.value.is_some()).map(|owned| Box::from(&*owned.name));
            slot.lock().expect("the list").extend(with);
        });
        store.read(0, read, then);
    }
    Enrolled::new(std::mem::take(&mut *found.lock().expect("the list")))
}
