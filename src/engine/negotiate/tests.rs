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

mod fast;
mod fuzzed;
mod offering;
mod oracle;
mod passwordless;
mod sasl2;

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
        let mut names = NameTable::new();
        let config = RoomConfig::parse("").expect("no configuration");
        let doors = [A, B].map(|domain| Doors::open(domain, &[FEATURED], &mut names, &config).expect("the rooms mount"));
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

// --- headers ----------------------------------------------------------------------------------------------------------

#[test]
fn s4_9_1_2_an_error_in_the_header_is_told_behind_a_header_of_ours() {
    let wrong_ns = StreamHeader { default_ns: "jabber:server".into(), ..header(A) };
    let no_ns = StreamHeader { default_ns: String::new(), ..header(A) };
    let old = StreamHeader { version: Some("0.9".into()), ..header(A) };
    let none = StreamHeader { version: None, ..header(A) };
    let odd = StreamHeader { version: Some("1.x".into()), ..header(A) };
    let no_to = StreamHeader { to: None, ..header(A) };
    let cases = [
        (wrong_ns, "invalid-namespace"),
        (no_ns, "invalid-namespace"),
        (old, "unsupported-version"),
        (none, "unsupported-version"),
        (odd, "unsupported-version"),
        (no_to, "host-unknown"),
        (header("c.test"), "host-unknown"),
        (header("alice@a.test"), "host-unknown"),
        (header("a.test/x"), "host-unknown"),
        (header("a..test@@"), "host-unknown"),
    ];
    for (header, condition) in cases {
        let mut client = Client::new(Transport::StartTls);
        let actions = client.header(&header);
        closes(&actions);
        let expected = format!("<stream:error><{condition} xmlns='urn:ietf:params:xml:ns:xmpp-streams'/>");
        assert!(client.heard.starts_with("<?xml version='1.0'?><stream:stream "), "{}", client.heard);
        assert!(client.heard.contains(&expected) && client.heard.ends_with("</stream:stream>"), "{}", client.heard);
        assert!(!client.heard.contains("<stream:features>"));
        assert!(client.it.is_over());
    }
}

#[test]
fn s4_7_5_a_higher_minor_version_is_ours() {
    let mut client = Client::new(Transport::StartTls);
    assert!(client.header(&StreamHeader { version: Some("1.9".into()), ..header(A) }).is_empty());
    client.heard("version='1.0'");
}

#[test]
fn s4_7_1_the_header_answers_with_the_domain_the_client_and_an_id_that_is_never_the_same() {
    let ids: Vec<String> = (0..2u8)
        .map(|n| {
            let mut client = Client::new(Transport::StartTls);
            client.counter = n * 10;
            client.header(&StreamHeader { from: Some("<'alice".into()), ..header("A.TEST") });
            assert!(client.heard.contains(" from='a.test'"), "{}", client.heard);
            assert!(
                client.heard.contains(" to='&lt;&apos;alice'") || client.heard.contains(" to='&lt;&#39;alice'"),
                "{}",
                client.heard
            );
            let id = client.heard.split(" id='").nth(1).and_then(|rest| rest.split('\'').next()).expect("an id");
            assert_eq!(id.len(), 32);
            id.to_owned()
        })
        .collect();
    assert_ne!(ids[0], ids[1]);
}

#[test]
fn a_failure_before_any_header_is_told_behind_a_header_too() {
    let mut client = Client::new(Transport::StartTls);
    let actions = client.step(|it, env| it.fail(&StreamError::new("not-well-formed"), env));
    closes(&actions);
    assert!(client.heard.starts_with("<?xml version='1.0'?><stream:stream "));
    client.heard("<not-well-formed ");
}

#[test]
fn the_end_of_bytes_before_a_header_says_nothing() {
    let mut client = Client::new(Transport::StartTls);
    let actions = client.step(|it, env| it.closed(env));
    closes(&actions);
    assert_eq!(client.heard, "");
}

// --- features ---------------------------------------------------------------------------------------------------------

#[test]
fn b2_before_tls_nothing_but_tls_is_offered_and_it_is_required() {
    let mut client = Client::new(Transport::StartTls);
    client.header(&header(A));
    let features = client.heard.split("<stream:features>").nth(1).expect("features");
    assert!(features.starts_with("<starttls xmlns='urn:ietf:params:xml:ns:xmpp-tls'><required/></starttls>"));
    assert!(!features.contains("mechanism") && !features.contains("compress") && !features.contains("bind"));
}

#[test]
fn the_features_of_a_secure_stream_come_in_order_strongest_mechanism_first() {
    let client = Client::open();
    let places: Vec<usize> = [
        "<mechanisms ",
        "SCRAM-SHA-512-PLUS<",
        "SCRAM-SHA-512<",
        "SCRAM-SHA-256-PLUS<",
        "SCRAM-SHA-256<",
        "SCRAM-SHA-1-PLUS<",
        "SCRAM-SHA-1<",
        "PLAIN<",
        "<authentication xmlns='urn:xmpp:sasl:2'><mechanism>SCRAM-SHA-512-PLUS<",
        "<inline><bind xmlns='urn:xmpp:bind:0'><inline><feature var='urn:xmpp:sm:3'/></inline></bind><sm xmlns='urn:xmpp:sm:3'/><fast xmlns='urn:xmpp:fast:0'>",
        "<sasl-channel-binding ",
        "'tls-exporter'",
        "'tls-server-end-point'",
        "<always ",
        "<limits ",
        "<max-bytes>8192<",
        "<idle-seconds>30<",
        "</stream:features>",
    ]
    .into_iter()
    .map(|part| client.heard.find(part).unwrap_or_else(|| panic!("{part} is not in {}", client.heard)))
    .collect();
    assert!(places.is_sorted(), "{}", client.heard);
    for absent in ["<starttls", "DIGEST-MD5", "ANONYMOUS", "compression", "<inside ", "<bind xmlns='urn:ietf"] {
        assert!(!client.heard.contains(absent), "{absent}");
    }
}

#[test]
fn the_features_behind_authentication_are_bind_the_rooms_and_larger_limits() {
    let mut client = Client::authenticated();
    client.heard.clear();
    client.header(&header(A));
    let parts = ["<bind ", "<session ", "<ver ", "<sub ", "<always ", "<inside ", "<max-bytes>262144<"];
    let places: Vec<usize> = parts.iter().map(|part| client.heard.find(part).expect("the feature")).collect();
    assert!(places.is_sorted(), "{}", client.heard);
    assert!(!client.heard.contains("<mechanism"));
}

#[test]
fn b8_plain_is_offered_only_where_the_policy_says_so() {
    let mut client = Client::tls();
    client.policy.plain_sasl = false;
    client.header(&header(A));
    assert!(client.heard.contains("SCRAM-SHA-256-PLUS") && !client.heard.contains("PLAIN"));
    let actions = client.send("<auth xmlns='urn:ietf:params:xml:ns:xmpp-sasl' mechanism='PLAIN'>AGFsaWNlAHNlY3JldA==</auth>");
    assert!(actions.is_empty(), "nobody is asked for a password: {actions:?}");
    client.heard("<invalid-mechanism/>");
}

#[test]
fn without_tls_no_channel_binding_is_offered() {
    let mut client = Client::new(Transport::Plain);
    client.header(&header(A));
    assert!(client.heard.contains("SCRAM-SHA-1<") && !client.heard.contains("-PLUS"));
    assert!(!client.heard.contains("channel-binding") && !client.heard.contains("starttls"));
}

// --- TLS --------------------------------------------------------------------------------------------------------------

#[test]
fn s5_4_2_starttls_proceeds_and_a_new_header_is_due() {
    let mut client = Client::new(Transport::StartTls);
    client.header(&header(A));
    client.heard.clear();
    let actions = client.send("<starttls xmlns='urn:ietf:params:xml:ns:xmpp-tls'/>");
    assert!(matches!(actions[..], [Action::StartTls]), "{actions:?}");
    assert_eq!(client.heard, "<proceed xmlns='urn:ietf:params:xml:ns:xmpp-tls'/>");
    client.it.secured(tls());
    client.heard.clear();
    client.header(&header(A));
    client.heard("<mechanism>SCRAM-SHA-256-PLUS</mechanism>");
}

#[test]
fn b3_a_second_starttls_fails_and_closes_as_does_one_where_none_was_offered() {
    for mut client in [Client::open(), Client::new(Transport::Plain)] {
        if client.heard.is_empty() {
            client.header(&header(A));
        }
        client.heard.clear();
        let actions = client.send("<starttls xmlns='urn:ietf:params:xml:ns:xmpp-tls'/>");
        closes(&actions);
        assert_eq!(client.heard, "<failure xmlns='urn:ietf:params:xml:ns:xmpp-tls'/></stream:stream>");
    }
}

#[test]
fn b2_sasl_without_tls_is_refused_and_nobody_is_asked() {
    let mut client = Client::new(Transport::StartTls);
    client.header(&header(A));
    let actions = client.send("<auth xmlns='urn:ietf:params:xml:ns:xmpp-sasl' mechanism='PLAIN'>AGFsaWNlAHNlY3JldA==</auth>");
    assert!(actions.is_empty(), "{actions:?}");
    client.heard("<encryption-required/>");
}

#[test]
fn b2_anything_else_without_tls_ends_the_stream() {
    for xml in [
        "<iq type='set' id='1'><bind xmlns='urn:ietf:params:xml:ns:xmpp-bind'/></iq>",
        "<iq type='set' id='1'><query xmlns='jabber:iq:register'/></iq>",
        "<message to='bob@a.test'><body>x</body></message>",
        "<presence/>",
        "<compress xmlns='http://jabber.org/protocol/compress'><method>zlib</method></compress>",
        "<resume xmlns='urn:xmpp:sm:3' previd='x' h='0'/>",
        "<unknown xmlns='urn:x'/>",
    ] {
        for transport in [Transport::StartTls, Transport::Plain] {
            let mut client = Client::new(transport);
            client.header(&header(A));
            closes(&client.send(xml));
            client.heard("<stream:error><not-authorized ");
        }
    }
}

// --- SASL -------------------------------------------------------------------------------------------------------------

#[test]
fn s6_4_6_success_restarts_the_stream_and_the_limits_grow() {
    let mut client = Client::open();
    assert_eq!(client.it.limits(&client.limits).stanza_size_bytes_max, 8_192);
    client.heard.clear();
    let actions = client.plain("alice", "secret");
    let [Action::Authenticated(who), Action::Restart] = &actions[..] else { panic!("{actions:?}") };
    assert_eq!(*who, alice());
    assert_eq!(client.heard, "<success xmlns='urn:ietf:params:xml:ns:xmpp-sasl'></success>");
    assert_eq!(client.it.limits(&client.limits).stanza_size_bytes_max, 262_144);
}

#[test]
fn a_wrong_password_an_unknown_user_and_a_ban_sound_the_same() {
    let mut answers = Vec::new();
    for (password, answer) in [("wrong", login(true)), ("secret", AskAnswer::Credentials(None)), ("wrong", login(false))] {
        let mut client = Client::open();
        client.heard.clear();
        let actions = client.plain_against("alice", password, answer);
        assert!(matches!(&actions[..], [Action::Failed(Some(who))] if *who == alice()), "{actions:?}");
        answers.push(client.heard);
    }
    let mut banned = Client::open();
    banned.heard.clear();
    banned.send(&format!("<auth xmlns='{}' mechanism='PLAIN'>{}</auth>", ns::SASL, base64("\0alice\0secret")));
    let mut actions = banned.step(|it, env| it.looked_up(login(true), true, env));
    let Some(Action::Verify(lookup, None)) = actions.pop() else { panic!("a banned client's password is not compared") };
    let (outcome, better) = lookup.verify(None, &banned.policy.fake_salt, |salt| salt.fill(5));
    banned.step(|it, env| it.stepped(outcome, better, env));
    answers.push(banned.heard);
    assert!(answers.iter().all(|answer| answer.contains("<not-authorized/>") && *answer == answers[0]), "{answers:?}");
}

#[test]
fn only_who_knows_the_password_learns_that_the_account_is_disabled() {
    let mut client = Client::open();
    client.plain_against("alice", "secret", login(false));
    client.heard("<account-disabled/>");
}

#[test]
fn a_store_that_cannot_say_is_no_wrong_password() {
    let mut client = Client::open();
    client.send(&format!("<auth xmlns='{}' mechanism='PLAIN'>{}</auth>", ns::SASL, base64("\0alice\0secret")));
    let actions = client.step(|it, env| it.looked_up(AskAnswer::Failed("the disk is gone".into()), false, env));
    assert!(actions.is_empty(), "no guess is counted: {actions:?}");
    assert!(!client.heard.contains("disk"));
    client.heard("<temporary-auth-failure/>");
    let damaged = AskAnswer::Credentials(Some(Login {
        enabled: true,
        created_us: 0,
        since_us: 0,
        credentials: Bytes::from_static(b"?"),
    }));
    client.send(&format!("<auth xmlns='{}' mechanism='PLAIN'>{}</auth>", ns::SASL, base64("\0alice\0secret")));
    assert!(client.step(|it, env| it.looked_up(damaged, false, env)).is_empty());
    client.heard("<temporary-auth-failure/>");
}

#[test]
fn b12_a_failed_scram_names_its_account_so_that_the_guard_can_count() {
    let mut client = Client::open();
    let auth = format!("<auth xmlns='{}' mechanism='SCRAM-SHA-256'>{}</auth>", ns::SASL, base64("n,,n=alice,r=abc"));
    assert!(matches!(client.send(&auth)[..], [Action::LookUp(_)]));
    client.heard.clear();
    assert!(client.step(|it, env| it.looked_up(login(true), false, env)).is_empty());
    let challenge = client.heard.split(['>', '<']).nth(2).expect("a challenge").to_owned();
    let server_first = {
        use ::base64::Engine;
        String::from_utf8(::base64::engine::general_purpose::STANDARD.decode(challenge).expect("base64")).expect("UTF-8")
    };
    let nonce = server_first.split(',').next().expect("a nonce");
    let proof = base64(&"x".repeat(32));
    let answer = base64(&format!("c=biws,{nonce},p={proof}"));
    let actions = client.send(&format!("<response xmlns='{}'>{answer}</response>", ns::SASL));
    assert!(matches!(&actions[..], [Action::Failed(Some(who))] if *who == alice()), "{actions:?}");
    client.heard("<not-authorized/>");
}

#[test]
fn s6_4_5_the_stream_ends_with_the_last_allowed_failure() {
    let mut client = Client::open();
    for attempt in 1..=client.limits.auth_failures_per_stream_max {
        let actions = client.plain("alice", "wrong");
        assert!(matches!(actions[0], Action::Failed(Some(_))));
        let last = attempt == client.limits.auth_failures_per_stream_max;
        assert_eq!(matches!(actions.last(), Some(Action::Close)), last, "attempt {attempt}");
    }
    client.heard("<policy-violation ");
}

#[test]
fn a_client_that_knows_only_tls_unique_may_work_its_way_down_to_what_it_can() {
    // poezio 0.14: PLUS with tls-unique for each hash, then `y` for each hash, then PLAIN.
    let mut client = Client::open();
    for (mechanism, gs2) in [
        ("SCRAM-SHA-512", "y,,"),
        ("SCRAM-SHA-256", "y,,"),
        ("SCRAM-SHA-1", "y,,"),
        ("SCRAM-SHA-512", "p=tls-unique,,"),
        ("SCRAM-SHA-256", "p=tls-unique,,"),
        ("SCRAM-SHA-1", "p=tls-unique,,"),
    ] {
        let auth = base64(&format!("{gs2}n=alice,r=abc"));
        let plus = if gs2.starts_with('p') { "-PLUS" } else { "" };
        let actions = client.send(&format!("<auth xmlns='{}' mechanism='{mechanism}{plus}'>{auth}</auth>", ns::SASL));
        assert!(actions.is_empty(), "no guess, and the stream stays: {actions:?}");
        client.heard("<not-authorized/>");
    }
    assert!(!client.plain("alice", "secret").iter().any(|action| matches!(action, Action::Close)));
}

#[test]
fn refused_channel_bindings_end_the_stream_at_last() {
    let mut client = Client::open();
    let auth =
        format!("<auth xmlns='{}' mechanism='SCRAM-SHA-256-PLUS'>{}</auth>", ns::SASL, base64("p=tls-unique,,n=alice,r=abc"));
    let tries = (1..100).find(|_| client.send(&auth).iter().any(|action| matches!(action, Action::Close)));
    assert_eq!(tries, Some(16));
}

#[test]
fn nonsense_counts_towards_the_end_of_the_stream_but_is_no_guess() {
    let mut client = Client::open();
    let nonsense = [
        ("<auth xmlns='urn:ietf:params:xml:ns:xmpp-sasl' mechanism='NOPE'/>", "invalid-mechanism"),
        ("<auth xmlns='urn:ietf:params:xml:ns:xmpp-sasl'/>", "invalid-mechanism"),
        ("<auth xmlns='urn:ietf:params:xml:ns:xmpp-sasl' mechanism='PLAIN'>%%%</auth>", "incorrect-encoding"),
        ("<response xmlns='urn:ietf:params:xml:ns:xmpp-sasl'>AA==</response>", "malformed-request"),
        ("<abort xmlns='urn:ietf:params:xml:ns:xmpp-sasl'/>", "aborted"),
    ];
    let last = nonsense.len() - 1;
    for (n, (xml, condition)) in nonsense.into_iter().enumerate() {
        let actions = client.send(xml);
        assert!(!actions.iter().any(|action| matches!(action, Action::Failed(_))), "{actions:?}");
        assert_eq!(matches!(actions.last(), Some(Action::Close)), n == last);
        client.heard(&format!("<{condition}/>"));
    }
}

#[test]
fn s6_4_3_an_initial_response_may_come_in_a_response_and_an_exchange_may_be_aborted() {
    let mut client = Client::open();
    client.heard.clear();
    assert!(client.send("<auth xmlns='urn:ietf:params:xml:ns:xmpp-sasl' mechanism='PLAIN'/>").is_empty());
    client.heard("<challenge xmlns='urn:ietf:params:xml:ns:xmpp-sasl'></challenge>");
    assert!(client.send("<abort xmlns='urn:ietf:params:xml:ns:xmpp-sasl'/>").is_empty());
    client.heard("<aborted/>");
    assert!(client.send("<auth xmlns='urn:ietf:params:xml:ns:xmpp-sasl' mechanism='PLAIN'/>").is_empty());
    let answer = base64("\0alice\0secret");
    let actions = client.send(&format!("<response xmlns='urn:ietf:params:xml:ns:xmpp-sasl'>{answer}</response>"));
    assert!(matches!(&actions[..], [Action::LookUp(who)] if *who == alice()), "{actions:?}");
}

#[test]
fn b13_a_second_auth_while_one_is_underway_ends_the_stream() {
    let auth = format!("<auth xmlns='{}' mechanism='SCRAM-SHA-256'>{}</auth>", ns::SASL, base64("n,,n=alice,r=abc"));
    // While the account is being asked, and while the client's proof is awaited.
    for answered in [false, true] {
        let mut client = Client::open();
        client.send(&auth);
        if answered {
            client.step(|it, env| it.looked_up(login(true), false, env));
        }
        closes(&client.send(&auth));
        client.heard("<policy-violation ");
        // An answer that comes too late wakes nothing.
        assert!(client.step(|it, env| it.looked_up(login(true), false, env)).is_empty());
    }
}

#[test]
fn b6_plain_for_somebody_else_is_refused_before_anybody_is_asked() {
    for authzid in ["bob@a.test", "alice@a.test/x", "alice@b.test", "bob", "a.test"] {
        let mut client = Client::open();
        let initial = base64(&format!("{authzid}\0alice\0secret"));
        let actions = client.send(&format!("<auth xmlns='{}' mechanism='PLAIN'>{initial}</auth>", ns::SASL));
        assert!(actions.is_empty(), "{authzid}: {actions:?}");
        client.heard("<invalid-authzid/>");
    }
}

// --- behind authentication --------------------------------------------------------------------------------------------

#[test]
fn b13_elements_before_the_second_header_end_the_stream() {
    for xml in [
        "<auth xmlns='urn:ietf:params:xml:ns:xmpp-sasl' mechanism='PLAIN'>AGFsaWNlAHNlY3JldA==</auth>",
        "<iq type='set' id='1'><bind xmlns='urn:ietf:params:xml:ns:xmpp-bind'/></iq>",
        "<message/>",
    ] {
        let mut client = Client::authenticated();
        closes(&client.send(xml));
        client.heard("<not-authorized ");
    }
}

#[test]
fn b13_behind_authentication_only_bind_and_resume_are_heard() {
    for xml in [
        "<auth xmlns='urn:ietf:params:xml:ns:xmpp-sasl' mechanism='PLAIN'>AGFsaWNlAHNlY3JldA==</auth>",
        "<abort xmlns='urn:ietf:params:xml:ns:xmpp-sasl'/>",
        "<authenticate xmlns='urn:xmpp:sasl:2' mechanism='PLAIN'/>",
        "<starttls xmlns='urn:ietf:params:xml:ns:xmpp-tls'/>",
        "<message to='bob@a.test'><body>x</body></message>",
        "<presence/>",
        "<iq type='set' id='1'><session xmlns='urn:ietf:params:xml:ns:xmpp-session'/></iq>",
        "<iq type='get' id='1'><bind xmlns='urn:ietf:params:xml:ns:xmpp-bind'/></iq>",
        "<iq type='set' id='1'/>",
    ] {
        let mut client = Client::inside();
        closes(&client.send(xml));
        client.heard("<stream:error><not-authorized ");
    }
}

#[test]
fn b14_the_second_header_stays_with_the_domain_that_was_authenticated() {
    let mut client = Client::authenticated();
    client.heard.clear();
    closes(&client.header(&header(B)));
    assert!(!client.heard.contains("<stream:features>"), "{}", client.heard);
    client.heard("<not-authorized ");
    // Whoever the header claims to be from: alice stays alice.
    let mut client = Client::authenticated();
    client.header(&StreamHeader { from: Some("bob@a.test".into()), ..header(A) });
    let actions = client.send("<iq type='set' id='1'><bind xmlns='urn:ietf:params:xml:ns:xmpp-bind'/></iq>");
    assert!(matches!(&actions[..], [Action::Bind(who, None)] if *who == alice()), "{actions:?}");
}

#[test]
fn s7_6_bind_asks_for_a_resource_and_answers_with_the_address() {
    let mut client = Client::inside();
    let bind =
        "<iq type='set' id='b&amp;1'><bind xmlns='urn:ietf:params:xml:ns:xmpp-bind'><resource>desk</resource></bind></iq>";
    let actions = client.send(bind);
    assert!(matches!(&actions[..], [Action::Bind(who, Some(wanted))] if *who == alice() && wanted == "desk"), "{actions:?}");
    let jid = FullJid::new("alice@a.test/desk").expect("a JID");
    let actions = client.step(|it, env| it.bound(Ok((session(), jid, String::new())), env));
    assert!(matches!(actions[..], [Action::Attached(at)] if at == session()), "{actions:?}");
    assert!(client.heard.contains("id='b&amp;1'") && client.heard.contains("type='result'"), "{}", client.heard);
    client.heard("<bind xmlns='urn:ietf:params:xml:ns:xmpp-bind'><jid>alice@a.test/desk</jid></bind>");
}

#[test]
fn s7_7_2_a_refused_bind_may_be_tried_again_and_a_disabled_account_may_not() {
    let bind = "<iq type='set' id='1'><bind xmlns='urn:ietf:params:xml:ns:xmpp-bind'/></iq>";
    let mut client = Client::inside();
    client.send(bind);
    assert!(client.step(|it, env| it.bound(Err(Bounce::new(Condition::ResourceConstraint)), env)).is_empty());
    client.heard("<resource-constraint ");
    assert!(matches!(client.send(bind)[..], [Action::Bind(_, None)]));
    closes(&client.step(|it, env| it.bound(Err(Bounce::new(Condition::NotAllowed)), env)));
    client.heard("<not-allowed ");
}

#[test]
fn b13_a_second_bind_while_one_is_underway_ends_the_stream_and_attaches_nothing() {
    let bind = "<iq type='set' id='1'><bind xmlns='urn:ietf:params:xml:ns:xmpp-bind'/></iq>";
    let mut client = Client::inside();
    client.send(bind);
    closes(&client.send(bind));
    let jid = FullJid::new("alice@a.test/desk").expect("a JID");
    assert!(client.step(|it, env| it.bound(Ok((session(), jid, String::new())), env)).is_empty());
}

#[test]
fn xep0198_a_resume_that_fails_leaves_the_way_to_bind_open() {
    let mut client = Client::inside();
    let actions = client.send("<resume xmlns='urn:xmpp:sm:3' previd='gone' h='4294967295'/>");
    assert!(
        matches!(&actions[..], [Action::Resume(who, previd, u32::MAX)] if *who == alice() && previd == "gone"),
        "{actions:?}"
    );
    assert!(client.step(|it, env| it.resumed(Err(ResumeError::NotFound), env)).is_empty());
    client.heard("<failed xmlns='urn:xmpp:sm:3'><item-not-found ");
    let actions = client.send("<iq type='set' id='1'><bind xmlns='urn:ietf:params:xml:ns:xmpp-bind'/></iq>");
    assert!(matches!(actions[..], [Action::Bind(..)]));
}

#[test]
fn xep0198_a_resume_that_succeeds_says_which_and_how_far() {
    let mut client = Client::inside();
    client.send("<resume xmlns='urn:xmpp:sm:3' previd='it&apos;s' h='1'/>");
    let actions = client.step(|it, env| it.resumed(Ok((session(), 7, FullJid::new("alice@a.test/desk").expect("a JID"))), env));
    assert!(matches!(actions[..], [Action::Attached(_)]));
    assert!(client.heard.starts_with("<resumed xmlns='urn:xmpp:sm:3' previd='it&"), "{}", client.heard);
    client.heard(" h='7'/>");
}

#[test]
fn xep0198_a_client_that_claims_more_than_it_was_sent_is_told_and_closed() {
    let mut client = Client::inside();
    client.send("<resume xmlns='urn:xmpp:sm:3' previd='x' h='9'/>");
    let error = StreamError::new("undefined-condition");
    closes(&client.step(|it, env| it.resumed(Err(ResumeError::TooMany(error)), env)));
    client.heard("<undefined-condition ");
}

#[test]
fn xep0198_a_resume_without_its_attributes_is_bad_format() {
    for attributes in ["previd='x'", "h='1'", "previd='x' h='-1'", "previd='x' h='4294967296'", "previd='x' h=''"] {
        let mut client = Client::inside();
        closes(&client.send(&format!("<resume xmlns='urn:xmpp:sm:3' {attributes}/>")));
        client.heard("<bad-format ");
    }
}

#[test]
fn xep0198_3_enable_before_bind_fails_and_the_stream_lives() {
    let mut client = Client::inside();
    assert!(client.send("<enable xmlns='urn:xmpp:sm:3' resume='true'/>").is_empty());
    client.heard("<unexpected-request ");
    let actions = client.send("<iq type='set' id='1'><bind xmlns='urn:ietf:params:xml:ns:xmpp-bind'/></iq>");
    assert!(matches!(actions[..], [Action::Bind(..)]));
}

#[test]
fn the_clients_goodbye_is_answered_and_nothing_is_heard_after_it() {
    let mut client = Client::inside();
    closes(&client.step(|it, env| it.closed(env)));
    assert_eq!(client.heard, "</stream:stream>");
    closes(&client.send("<message/>"));
}

#[test]
fn attempts_are_counted_by_every_mechanism_that_there_is() {
    let passwords = sasl::Mechanism::ALL.map(|mechanism| mechanism.name());
    let tokens = super::fast::HtMechanism::ALL.map(|mechanism| mechanism.name());
    let all: Vec<&str> =
        passwords.into_iter().chain(tokens).chain([super::passwordless::EXTERNAL, super::passwordless::ANONYMOUS]).collect();
    assert_eq!(MECHANISMS[..], all);
}
