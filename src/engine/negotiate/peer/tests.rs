//! The machines alone: no socket, no TLS, no other server. A test says what that one sends, and what its certificate is for.

use std::collections::HashSet;
use std::sync::Arc;

use iris_core::Stanza;
use iris_core::mount::{Doors, RoomConfig};
use iris_core::xml::limits::XmlLimits;
use iris_core::xml::names::NameTable;
use iris_core::xml::scan::{Scanned, Scanner, StreamHeader};

use super::super::authenticated_limits;
use super::*;
use crate::router::Peers;

mod initiating;
mod receiving;

/// Domains of the house; `THEM` and `OTHERS` are those of other servers, `UNLOVED` is one that the operator will not have.
const US: &str = "us.test";
const ALSO_US: &str = "also.us.test";
const THEM: &str = "them.test";
const OTHERS: &str = "others.test";
const UNLOVED: &str = "unloved.test";

const HEADER: &str = "<stream:stream xmlns='jabber:server' xmlns:db='jabber:server:dialback' \
                      xmlns:stream='http://etherx.jabber.org/streams' version='1.0'>";

/// What a machine borrows, and what it has said.
struct World {
    hosts: Hosts,
    names: Arc<NameTable>,
    limits: Limits,
    secret: HouseSecret,
    rules: PeerRules,
    /// Whom the certificate of the other side is for.
    certified: Vec<&'static str>,
    counter: u8,
    heard: String,
}

impl World {
    fn new(certificate_required: bool, certified: &[&'static str]) -> World {
        let (mut names, config) = (NameTable::new(), RoomConfig::parse("").expect("no configuration"));
        let doors = [US, ALSO_US].map(|domain| Doors::open(domain, &[], &mut names, &config).expect("a domain"));
        let unloved = HashSet::from([UNLOVED.to_owned()]);
        World {
            hosts: Hosts::new(doors).with_peers(Peers::AllBut(Arc::new(unloved))),
            names: Arc::new(names),
            limits: Limits::default(),
            secret: HouseSecret::new([7; 32]),
            rules: PeerRules { certificate_required },
            certified: certified.to_vec(),
            counter: 0,
            heard: String::new(),
        }
    }

    fn step<T>(&mut self, f: impl FnOnce(&mut PeerEnv<'_>) -> T) -> T {
        let (counter, certified) = (&mut self.counter, &self.certified);
        let mut random = |bytes: &mut [u8]| {
            *counter += 1;
            bytes.fill(*counter);
        };
        let judge = |domain: &str| match certified.contains(&domain) {
            true => Ok(()),
            false => Err("its certificate is for <other> names".to_owned()),
        };
        let mut out = Vec::new();
        let result = f(&mut PeerEnv {
            hosts: &self.hosts,
            limits: &self.limits,
            secret: &self.secret,
            rules: self.rules,
            judge: &judge,
            random: &mut random,
            out: &mut out,
        });
        self.heard.push_str(std::str::from_utf8(&out).expect("UTF-8"));
        result
    }

    /// As it stands on a stream between servers.
    fn stanza(&self, xml: &str) -> Stanza {
        let mut scanner = Scanner::new(XmlLimits::PRE_AUTH, self.names.clone());
        scanner.set_limits(authenticated_limits(&self.limits));
        let text = format!("{HEADER}{xml}");
        let Ok(Scanned::Open { consumed, .. }) = scanner.scan(text.as_bytes()) else { panic!("a header") };
        match scanner.scan(&text.as_bytes()[consumed..]) {
            Ok(Scanned::Stanza { stanza, .. }) => stanza,
            other => panic!("{xml}: {other:?}"),
        }
    }

    /// Everything that was said since the last time.
    fn heard(&mut self) -> String {
        std::mem::take(&mut self.heard)
    }

    #[track_caller]
    fn hears(&mut self, what: &str) {
        let heard = self.heard();
        assert!(heard.contains(what), "{what} is not in {heard:?}");
    }

    #[track_caller]
    fn hears_nothing(&mut self) {
        assert_eq!(self.heard(), "");
    }
}

fn header(from: Option<&str>, to: Option<&str>) -> StreamHeader {
    StreamHeader {
        from: from.map(str::to_owned),
        to: to.map(str::to_owned),
        version: Some("1.0".to_owned()),
        default_ns: "jabber:server".to_owned(),
        stream_ns_ok: true,
        ..StreamHeader::default()
    }
}

fn base64(text: &str) -> String {
    use ::base64::Engine;
    ::base64::engine::general_purpose::STANDARD.encode(text)
}

// --- the key ----------------------------------------------------------------------------------------------------------

#[test]
fn xep0185_and_xep0220_the_keys_of_the_examples() {
    let key = key_of("s3cr3tf0rd14lb4ck", "xmpp.example.com", "example.org", "D60000229F");
    assert_eq!(key, "37c69b1cf07a3f67c04a5ef5902fa5114f2c76fe4a2686482ba5b89323075643");
    let key = key_of("s3cr3tf0rd14lb4ck", "montague.example", "capulet.example", "D60000229F");
    assert_eq!(key, "b4835385f37fe2895af6c196b59097b16862406db80559900d96bf6fa7d23df3");
}

#[test]
fn e2_the_same_letters_cut_elsewhere_are_another_key() {
    let secret = HouseSecret::new([7; 32]);
    let shown = key(&secret, "a.b", "c", "id");
    assert!(is_key(&secret, "a.b", "c", "id", &shown) && is_key(&secret, "a.b", "c", "id", &format!(" {shown}\n")));
    for (receiving, originating, id) in
        [("a", "b.c", "id"), ("a.b", "ci", "d"), ("a.b c", "", "id"), ("c", "a.b", "id"), ("a.b", "c", "id2")]
    {
        assert!(!is_key(&secret, receiving, originating, id, &shown), "{receiving} {originating} {id}");
    }
    assert!(!is_key(&HouseSecret::new([8; 32]), "a.b", "c", "id", &shown));
    assert!(!is_key(&secret, "a.b", "c", "id", "") && !is_key(&secret, "a.b", "c", "id", &shown[1..]));
    assert!(!is_key(&secret, "a.b", "c", "id", &shown.to_uppercase()));
}

/// B11, in the whole answer to a question.
#[test]
fn b11_a_wrong_key_takes_as_long_wherever_it_is_wrong() {
    use crate::testing::constant_time::{alike, bent};
    let mut world = World::new(true, &[]);
    let mut machine = Receiving::new(true);
    machine.secured();
    world.step(|env| machine.header(&header(Some(THEM), Some(US)), env));
    let right = key(&world.secret, THEM, US, "1");
    let asks =
        [bent(&right, 0), bent(&right, 63)].map(|key| format!("<db:verify from='{THEM}' to='{US}' id='1'>{key}</db:verify>"));
    alike("db:verify", 2_000, |which| {
        let stanza = world.stanza(&asks[which]);
        let begun = std::time::Instant::now();
        world.step(|env| machine.element(stanza, env));
        let took = begun.elapsed().as_nanos();
        assert!(world.heard().contains("'invalid'"));
        took
    });
}
