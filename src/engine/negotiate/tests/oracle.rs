//! A whole house of one account, for bytes that a client sends: whatever they are, nobody comes in who has not proved who it is.
//!
//! Also part of the fuzz target (`conformance/fuzz`), which includes this file.

use std::sync::Arc;

use iris_core::clients::Admitted;
use iris_core::limits::Limits;
use iris_core::login::{Census, HashSet};
use iris_core::mount::{Doors, Mount, MountError, RoomConfig, SaslInline};
use iris_core::registration;
use iris_core::room::{Card, Room, Status};
use iris_core::xml::names::NameTable;
use iris_core::xml::scan::{Scanned, Scanner};
use iris_core::{Ask, AskAnswer, FullJid, SessionRef};

use super::engine::negotiate::sasl::{BindingKind, ChannelBinding, Credentials, FakeSalt, ITERATIONS_MIN, TlsVersion};
use super::engine::negotiate::{Action, Env, HouseSecret, Negotiator, Policy, Security, Transport};
use super::engine::shard::ResumeError;
use super::engine::{Hosts, Login};

/// The only account, and the only password. Both have to be in the bytes (in base64 with NULs, as PLAIN has them) for anybody to
/// come in: SCRAM and HT need answers that no fixed bytes have.
pub const ACCOUNT: &str = "alice@a.test";
pub const PASSWORD: &str = "secret";
/// `\0alice\0secret`
pub const PLAIN: &str = "AGFsaWNlAHNlY3JldA==";

const ROOM: Room =
    Room { card: Card { xep: None, name: "Everything", version: "1", status: Status::Complete, needs: &[] }, mount };

fn mount(m: &mut Mount<'_>) -> Result<(), MountError> {
    for what in [SaslInline::Bind, SaslInline::StreamManagement, SaslInline::Fast, SaslInline::Upgrade] {
        m.sasl2_inline(what);
    }
    Ok(())
}

/// Feed the machine, do what it asks, and look that it never lets anybody in for nothing. True: somebody came in.
pub fn check(input: &[u8]) -> bool {
    let mut names = NameTable::new();
    let config = RoomConfig::parse("").unwrap_or_default();
    let Ok(doors) = Doors::open("a.test", &[ROOM], &mut names, &config) else { return false };
    let (names, hosts, limits) = (Arc::new(names), Hosts::new([doors]), Limits::default());
    let policy =
        Policy { plain_sasl: true, fake_salt: FakeSalt::new([9; 32], ITERATIONS_MIN), secret: HouseSecret::new([9; 32]) };
    let mut it = Negotiator::new(Transport::DirectTls);
    let bindings = vec![ChannelBinding { kind: BindingKind::TlsExporter, data: vec![1; 32] }];
    it.secured(Security { version: TlsVersion::V1_3, bindings, addresses: Vec::new() });
    let mut scanner = Scanner::new(it.limits(&limits), names);
    // Not all have the same keys, so whoever says whom it comes from is asked about.
    let census = Census::new(["a.test".to_owned()]);
    for set in [HashSet::ALL, HashSet::NONE.with(0)] {
        census.change("a.test", None, Some(set));
    }
    let mut counter = 0u8;
    let mut world = World { hosts, limits, policy, census, said: Vec::new(), inside: false, attached: false };
    let mut at = 0;
    while let Some(rest) = input.get(at..).filter(|_| !it.is_over() && !world.attached) {
        let (consumed, actions) = match scanner.scan(rest) {
            Ok(Scanned::NeedMore { .. }) => break,
            Ok(Scanned::Open { consumed, header }) => (consumed, world.step(&mut counter, |env| it.header(&header, env))),
            Ok(Scanned::Stanza { consumed, stanza }) => (consumed, world.step(&mut counter, |env| it.element(stanza, env))),
            Ok(Scanned::Close { consumed }) => (consumed, world.step(&mut counter, |env| it.closed(env))),
            Err(_) => break,
        };
        at += consumed;
        world.act(&mut it, &mut scanner, &mut counter, actions);
    }
    assert!(!world.attached || world.inside, "a session without authentication");
    let said = String::from_utf8(world.said).expect("what we say is UTF-8");
    assert_eq!(world.inside, said.contains("<success "), "a success for nobody, or nobody told: {said}");
    assert!(said.len() < 64 * 1024 + input.len() * 64, "a little makes a lot");
    if world.inside {
        let knows = input.windows(PLAIN.len()).any(|window| window == PLAIN.as_bytes());
        assert!(knows, "somebody came in without the password");
    }
    world.inside
}

struct World {
    hosts: Hosts,
    limits: Limits,
    policy: Policy,
    census: Census,
    said: Vec<u8>,
    inside: bool,
    attached: bool,
}

impl World {
    fn step(&mut self, counter: &mut u8, f: impl FnOnce(&mut Env<'_>) -> Vec<Action>) -> Vec<Action> {
        let mut random = |bytes: &mut [u8]| {
            *counter = counter.wrapping_add(1);
            bytes.fill(*counter);
        };
        f(&mut Env {
            hosts: &self.hosts,
            limits: &self.limits,
            policy: &self.policy,
            census: &self.census,
            random: &mut random,
            out: &mut self.said,
        })
    }

    /// As the pipe and the account do it.
    fn act(&mut self, it: &mut Negotiator, scanner: &mut Scanner, counter: &mut u8, actions: Vec<Action>) {
        let session = SessionRef { shard: 0, slot: 0, generation: 0 };
        let mut todo: std::collections::VecDeque<Action> = actions.into();
        for _ in 0..64 {
            let Some(action) = todo.pop_front() else { return };
            let more = match action {
                Action::LookUp(account) | Action::LookUpFor(account, Ask::Credentials) => {
                    let login = (account.as_str() == ACCOUNT).then(login);
                    self.step(counter, |env| it.looked_up(AskAnswer::Credentials(login), false, env))
                }
                Action::LookUpFor(account, _) => {
                    let login = (account.as_str() == ACCOUNT).then(login);
                    self.step(counter, |env| it.looked_up(AskAnswer::Tokens(login, Vec::new()), false, env))
                }
                Action::Verify(lookup, found) => {
                    let (outcome, better) = lookup.verify(found.as_deref(), &self.policy.fake_salt, |salt| salt.fill(5));
                    self.step(counter, |env| it.stepped(outcome, better, env))
                }
                Action::Ask(_, Ask::Admit(_)) => {
                    let admitted = Admitted { client: "client".into(), token_until_us: None };
                    self.step(counter, |env| it.answered(AskAnswer::Admitted(admitted), env))
                }
                Action::Keep(..) => Vec::new(),
                Action::Ask(..) => self.step(counter, |env| it.answered(AskAnswer::Done, env)),
                Action::Authenticated(account) => {
                    assert_eq!(account.as_str(), ACCOUNT, "somebody else");
                    self.inside = true;
                    Vec::new()
                }
                Action::Restart => {
                    scanner.reset();
                    Vec::new()
                }
                Action::Bind(account, _) | Action::BindInline(account, _) => {
                    assert!(self.inside && account.as_str() == ACCOUNT);
                    let Ok(jid) = FullJid::new("alice@a.test/fuzzed") else { return };
                    self.step(counter, |env| it.bound(Ok((session, jid, String::new())), env))
                }
                Action::Resume(account, ..) => {
                    assert!(self.inside && account.as_str() == ACCOUNT);
                    self.step(counter, |env| it.resumed(Err(ResumeError::NotFound), env))
                }
                Action::Attached(_) => {
                    self.attached = true;
                    Vec::new()
                }
                Action::Register(_) => {
                    let refused = registration::Answer::Refused(registration::Refused::Closed);
                    self.step(counter, |env| it.registered(refused, env))
                }
                Action::StartTls | Action::Failed(_) | Action::Close => Vec::new(),
            };
            todo.extend(more);
        }
        panic!("the machine asks without end");
    }
}

fn login() -> Login {
    static RECORD: std::sync::OnceLock<Vec<u8>> = std::sync::OnceLock::new();
    let record = RECORD.get_or_init(|| {
        // As if it came from elsewhere with keys for some hash functions; nothing here costs a second.
        Credentials::derive(PASSWORD, |salt| salt.fill(7), ITERATIONS_MIN).map(|made| made.encode()).unwrap_or_default()
    });
    Login { enabled: true, created_us: 0, since_us: 0, credentials: record.clone().into() }
}
