//! The machine alone: no socket, no TLS, no account. A test says what a client sends and what the account answers.

use bytes::Bytes;
use iris_core::effects::StreamError;
use iris_core::error::{Bounce, Condition};
use iris_core::limits::Limits;
use iris_core::mount::{Doors, Mount, MountError, RoomConfig, SaslInline, When};
use iris_core::room::{Card, Room, Status};
use iris_core::xml::names::NameTable;
use iris_core::xml::scan::StreamHeader;
use iris_core::{BareJid, FullJid, SessionRef, Stanza};

use super::sasl::{BindingKind, ChannelBinding, Credentials, FakeSalt, ITERATIONS_MIN, TlsVersion};
use super::*;
use crate::Login;

use crate as engine;

mod component;
mod fast;
mod fuzzed;
mod headers;
mod inside;
mod offering;
mod offers;
mod oracle;
mod passwordless;
mod sasl1;
mod sasl2;
mod starttls;

const FEATURED: Room = Room {
    card: Card { xep: None, name: "Features", version: "1", status: Status::Complete, needs: &[] },
    mount: features_of_a_room,
};

fn features_of_a_room(m: &mut Mount<'_>) -> Result<(), MountError> {
    m.stream_feature(When::Always, |_| "<always xmlns='x'/>".into());
    m.stream_feature(When::Authenticated, |_| "<inside xmlns='x'/>".into());
    m.stream_feature(When::Authenticated, |_| "<sm xmlns='urn:xmpp:sm:3'/>".into());
    m.sasl2_inline(SaslInline::Bind);
    m.sasl2_inline(SaslInline::StreamManagement);
    m.sasl2_inline(SaslInline::Fast);
    m.sasl2_inline(SaslInline::Upgrade);
    Ok(())
}

/// A connection to a house with two domains, whose only account anywhere is alice, password `secret`.
struct Client {
    it: Negotiator,
    hosts: Hosts,
    names: NameTable,
    limits: Limits,
    policy: Policy,
    census: Census,
    counter: u8,
    /// Everything that the server has said.
    heard: String,
}

const A: &str = "a.test";
const B: &str = "b.test";

fn alice() -> BareJid {
    BareJid::new("alice@a.test").expect("a JID")
}

fn login(enabled: bool) -> AskAnswer {
    let credentials = Credentials::derive("secret", |salt| salt.fill(7), ITERATIONS_MIN).expect("a password");
    AskAnswer::Credentials(Some(Login { enabled, created_us: 0, since_us: 0, credentials: credentials.encode().into() }))
}

fn session() -> SessionRef {
    SessionRef { shard: 0, slot: 3, generation: 1 }
}

fn tls() -> Security {
    let bindings = [(BindingKind::TlsExporter, vec![1; 32]), (BindingKind::TlsServerEndPoint, vec![2; 32])];
    let bindings = bindings.into_iter().map(|(kind, data)| ChannelBinding { kind, data }).collect();
    Security { version: TlsVersion::V1_3, bindings, addresses: Vec::new() }
}

fn header(to: &str) -> StreamHeader {
    StreamHeader {
        to: Some(to.into()),
        version: Some("1.0".into()),
        default_ns: ns::CLIENT.into(),
        stream_ns_ok: true,
        ..StreamHeader::default()
    }
}

impl Client {
    fn new(transport: Transport) -> Client {
        Client::serving(transport, [A, B])
    }

    /// The domains in the order of the configuration.
    fn serving(transport: Transport, domains: [&str; 2]) -> Client {
        let mut names = NameTable::new();
        let config = RoomConfig::parse("").expect("no configuration");
        let doors = domains.map(|domain| Doors::open(domain, &[FEATURED], &mut names, &config).expect("the rooms mount"));
        Client {
            it: Negotiator::new(transport),
            hosts: Hosts::new(doors),
            names,
            limits: Limits::default(),
            policy: Policy {
                plain_sasl: true,
                fake_salt: FakeSalt::new([9; 32], ITERATIONS_MIN),
                secret: HouseSecret::new([9; 32]),
            },
            census: Census::new([A, B].map(str::to_owned)),
            counter: 0,
            heard: String::new(),
        }
    }

    /// Direct TLS, its handshake done.
    fn tls() -> Client {
        let mut client = Client::new(Transport::DirectTls);
        client.it.secured(tls());
        client
    }

    /// As `tls`, and the stream is open.
    fn open() -> Client {
        let mut client = Client::tls();
        client.header(&header(A));
        client
    }

    /// As `open`, authenticated as alice; a new header is due.
    fn authenticated() -> Client {
        let mut client = Client::open();
        let actions = client.plain("alice", "secret");
        assert!(matches!(actions[..], [Action::Authenticated(_), Action::Restart]), "{actions:?}");
        client
    }

    /// As `authenticated`, and the second stream is open.
    fn inside() -> Client {
        let mut client = Client::authenticated();
        assert!(client.header(&header(A)).is_empty());
        client.heard.clear();
        client
    }

    fn step(&mut self, f: impl FnOnce(&mut Negotiator, &mut Env<'_>) -> Vec<Action>) -> Vec<Action> {
        let mut out = Vec::new();
        let counter = &mut self.counter;
        let mut random = |bytes: &mut [u8]| {
            *counter = counter.wrapping_add(1);
            bytes.fill(*counter);
        };
        let mut env = Env {
            hosts: &self.hosts,
            limits: &self.limits,
            policy: &self.policy,
            census: &self.census,
            random: &mut random,
            out: &mut out,
        };
        let actions = f(&mut self.it, &mut env);
        self.heard.push_str(std::str::from_utf8(&out).expect("UTF-8"));
        actions
    }

    fn header(&mut self, header: &StreamHeader) -> Vec<Action> {
        self.step(|it, env| it.header(header, env))
    }

    fn send(&mut self, xml: &str) -> Vec<Action> {
        let stanza = Stanza::parse(xml.as_bytes(), &self.names).expect("an element");
        self.step(|it, env| it.element(stanza, env))
    }

    /// The whole of a PLAIN authentication; the account answers as it is.
    fn plain(&mut self, user: &str, password: &str) -> Vec<Action> {
        self.plain_against(user, password, login(true))
    }

    fn plain_against(&mut self, user: &str, password: &str, answer: AskAnswer) -> Vec<Action> {
        let initial = base64(&format!("\0{user}\0{password}"));
        let actions = self.send(&format!("<auth xmlns='{}' mechanism='PLAIN'>{initial}</auth>", ns::SASL));
        assert!(matches!(actions[..], [Action::LookUp(_)]), "{actions:?}");
        let mut actions = self.step(|it, env| it.looked_up(answer, false, env));
        match actions.pop() {
            Some(Action::Verify(lookup, found)) => {
                let (outcome, better) = lookup.verify(found.as_deref(), &self.policy.fake_salt, |salt| salt.fill(5));
                self.step(|it, env| it.stepped(outcome, better, env))
            }
            other => panic!("PLAIN is verified aside, not {other:?}"),
        }
    }

    #[track_caller]
    fn heard(&mut self, what: &str) {
        assert!(self.heard.contains(what), "{what} is not in {}", self.heard);
        self.heard.clear();
    }
}

fn base64(text: &str) -> String {
    use ::base64::Engine;
    ::base64::engine::general_purpose::STANDARD.encode(text)
}

#[track_caller]
fn closes(actions: &[Action]) {
    assert!(matches!(actions.last(), Some(Action::Close)), "{actions:?}");
}
