//! RFC 6120 over real sockets: every way in, from the first byte to the end of the session.

use std::sync::Arc;
use std::time::Duration;

use rustls::ClientConfig;
use rustls::version::{TLS12, TLS13};

use crate::client::{Client, DOMAIN, PASSWORD, PATIENCE, attribute, between, trusting};
use crate::scene::{OTHER, Scene, last_words, refused};
use crate::scram::{Scram, tls_exporter, tls_server_end_point};

/// As `trusting`, with what the client says in ALPN.
fn speaking(scene: &Scene, alpn: &[&str]) -> Arc<ClientConfig> {
    let mut config = ClientConfig::clone(&trusting(&scene.data.ca()));
    config.alpn_protocols = alpn.iter().map(|name| name.as_bytes().to_vec()).collect();
    Arc::new(config)
}

/// Binds, is available, reaches bob, leaves.
#[track_caller]
fn works(scene: &mut Scene, mut client: Client) {
    let jid = client.bind("socket").expect("a resource");
    assert_eq!(jid, "mallory@localhost/socket");
    client.send("<message to='bob@localhost/phone' type='chat'><body>through the door</body></message>");
    let heard = scene.bob.read_stanza();
    assert!(heard.contains("through the door") && attribute(&heard, "from") == Some(&jid), "{heard}");
    client.send("</stream:stream>");
    assert_eq!(last_words(&mut client, "the end"), ["</stream:stream>"]);
    scene.canary();
}

#[test]
fn s5_starttls_then_sasl_then_bind() {
    let mut scene = Scene::new();
    let mut client = Client::connect(scene.server.starttls).expect("a connection");
    let features = client.open();
    assert!(features.contains("<starttls xmlns='urn:ietf:params:xml:ns:xmpp-tls'><required/></starttls>"), "{features}");
    drop(client);
    let mut client = Client::starttls(scene.server.starttls, trusting(&scene.data.ca())).expect("a handshake");
    client.login("mallory", PASSWORD).expect("a login");
    works(&mut scene, client);
}

#[test]
fn xep0368_direct_tls_with_and_without_alpn() {
    let mut scene = Scene::new();
    for alpn in [&["xmpp-client"][..], &["http/1.1", "xmpp-client"], &[]] {
        let mut client = Client::direct_tls(scene.server.direct_tls, speaking(&scene, alpn)).expect("a handshake");
        let expected = (!alpn.is_empty()).then_some(&b"xmpp-client"[..]);
        assert_eq!(client.tls().and_then(|tls| tls.alpn_protocol()), expected);
        client.login("mallory", PASSWORD).expect("a login");
        works(&mut scene, client);
    }
}

#[test]
fn the_development_listener_needs_no_tls_and_offers_no_binding() {
    let mut scene = Scene::new();
    let mut client = Client::connect(scene.server.plain).expect("a connection");
    let features = client.open();
    assert!(!features.contains("-PLUS") && !features.contains("starttls"), "{features}");
    drop(client);
    let mut client = Client::connect(scene.server.plain).expect("a connection");
    client.login("mallory", PASSWORD).expect("a login");
    works(&mut scene, client);
}

/// A TLS connection of this version, its stream open.
fn secure(scene: &Scene, starttls: bool, version: &'static rustls::SupportedProtocolVersion) -> Client {
    let mut roots = rustls::RootCertStore::empty();
    use rustls::pki_types::pem::PemObject;
    let ca = rustls::pki_types::CertificateDer::from_pem_file(scene.data.ca()).expect("a certificate");
    roots.add(ca).expect("a certificate");
    let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    let builder = ClientConfig::builder_with_provider(provider).with_protocol_versions(&[version]).expect("a version");
    let config = Arc::new(builder.with_root_certificates(roots).with_no_client_auth());
    let mut client = match starttls {
        true => Client::starttls(scene.server.starttls, config),
        false => Client::direct_tls(scene.server.direct_tls, config),
    }
    .expect("a handshake");
    client.open();
    client
}

#[test]
fn scram_without_binding_with_every_hash() {
    let mut scene = Scene::new();
    for mechanism in ["SCRAM-SHA-1", "SCRAM-SHA-256", "SCRAM-SHA-512"] {
        let mut client = secure(&scene, true, &TLS13);
        assert!(client.features.contains(&format!("<mechanism>{mechanism}</mechanism>")));
        Scram::new(mechanism, "mallory", PASSWORD).run(&mut client).expect("the right password");
        client.open();
        works(&mut scene, client);
        let mut client = secure(&scene, true, &TLS13);
        let failure = Scram::new(mechanism, "mallory", "wrong").run(&mut client).expect_err("the wrong password");
        assert!(failure.contains("<not-authorized/>"), "{failure}");
    }
}

#[test]
fn scram_plus_binds_tls_1_3_with_the_exporter_and_the_end_point() {
    let mut scene = Scene::new();
    for starttls in [true, false] {
        for mechanism in ["SCRAM-SHA-1-PLUS", "SCRAM-SHA-256-PLUS", "SCRAM-SHA-512-PLUS"] {
            for kind in ["tls-exporter", "tls-server-end-point"] {
                let mut client = secure(&scene, starttls, &TLS13);
                assert!(client.features.contains(&format!("<channel-binding type='{kind}'/>")), "{}", client.features);
                let data = if kind == "tls-exporter" { tls_exporter(&client) } else { tls_server_end_point(&client) };
                Scram::new(mechanism, "mallory", PASSWORD).bound_to(kind, data).run(&mut client).expect("the right password");
                client.open();
                works(&mut scene, client);
            }
        }
    }
}

#[test]
fn scram_plus_binds_tls_1_2_with_the_end_point_alone() {
    let mut scene = Scene::new();
    let mut client = secure(&scene, false, &TLS12);
    assert!(!client.features.contains("tls-exporter"), "{}", client.features);
    let data = tls_server_end_point(&client);
    let scram = Scram::new("SCRAM-SHA-256-PLUS", "mallory", PASSWORD).bound_to("tls-server-end-point", data);
    let challenge = scram.begin(&mut client).expect("a challenge");
    assert_eq!(challenge.attribute('t'), "0303", "XEP-0515");
    let last = scram.without_proof(&challenge);
    let (proof, _) = scram.sign(&challenge, &last);
    assert!(scram.respond(&mut client, &format!("{last},p={proof}")).starts_with("<success"));
    client.open();
    works(&mut scene, client);
}

#[test]
fn s7_the_client_may_leave_the_resource_to_the_server() {
    let mut scene = Scene::new();
    let mut seen = Vec::new();
    for _ in 0..2 {
        let mut client = Client::connect(scene.server.plain).expect("a connection");
        client.login("mallory", PASSWORD).expect("a login");
        client.send("<iq type='set' id='b'><bind xmlns='urn:ietf:params:xml:ns:xmpp-bind'/></iq>");
        let answer = client.read_stanza();
        let jid = between(&answer, "<jid>", "</jid>").expect("an address").to_owned();
        let resource = jid.strip_prefix("mallory@localhost/").expect("a resource").to_owned();
        assert!(resource.len() >= 16, "{resource} can be guessed");
        seen.push((jid, client));
    }
    assert_ne!(seen[0].0, seen[1].0);
    scene.canary();
}

#[test]
fn s7_7_2_2_the_same_resource_again_ends_the_first_session_with_conflict() {
    let mut scene = Scene::new();
    let first = Client::online(scene.server.plain, "mallory", "cave");
    let mut second = Client::bound(scene.server.plain, "mallory", "cave");
    refused(first, &["conflict"], "the same resource");
    second.ping(PATIENCE).expect("the second lives");
    assert_eq!(second.jid, "mallory@localhost/cave");
    scene.canary();
}

#[test]
fn two_domains_are_two_houses() {
    let mut scene = Scene::new();
    let config = trusting(&scene.data.ca());
    for (domain, user, other) in [(DOMAIN, "mallory", "eve"), (OTHER, "eve", "mallory")] {
        let mut client = Client::connect(scene.server.direct_tls).expect("a connection");
        client.shake_hands_with(domain, config.clone()).expect("a certificate of that domain");
        client.try_open_to(domain).expect("features");
        let answer = client.sasl_plain(other, PASSWORD).expect("an answer");
        assert!(answer.contains("<not-authorized/>"), "{other} is no user of {domain}: {answer}");
        let answer = client.sasl_plain(user, PASSWORD).expect("an answer");
        assert!(answer.starts_with("<success"), "{answer}");
        client.try_open_to(domain).expect("features");
        assert_eq!(client.bind("x").expect("an address"), format!("{user}@{domain}/x"));
        client.send("<message to='bob@localhost/phone' type='chat'><body>across</body></message>");
        let heard = scene.bob.read_stanza();
        assert_eq!(attribute(&heard, "from"), Some(client.jid.as_str()));
    }
    scene.canary();
}

#[test]
fn ipv6_is_served_where_the_machine_has_it() {
    if std::net::TcpListener::bind("[::1]:0").is_err() {
        return println!("this machine has no ::1");
    }
    // Where a port is free now, it is in a moment.
    let port = std::net::TcpListener::bind("[::1]:0").and_then(|it| it.local_addr()).expect("an address").port();
    let config = format!("[[listen]]\nkind = \"c2s-plain\"\naddress = \"[::1]:{port}\"\n");
    let dir = tempfile::tempdir().expect("a folder");
    let overrides = iris::config::Overrides { data_dir: Some(dir.path().to_owned()), dev: true, ..Default::default() };
    let config = iris::config::Config::parse(&config, None, &overrides).unwrap_or_else(|error| panic!("{error}"));
    let running = iris::start(config).expect("a house");
    let (_, address) = running.started().listening[0];
    assert!(address.is_ipv6());
    let mut client = Client::connect(address).expect("a connection");
    assert!(client.open().contains("SCRAM-SHA-256"));
    drop(client);
    running.stop();
}

#[test]
fn s4_6_1_white_space_keeps_alive_and_is_answered_by_nothing() {
    let mut scene = Scene::new();
    let mut client = scene.mallory();
    for _ in 0..3 {
        client.send(" \n\t");
    }
    assert!(client.drain(Duration::from_millis(200)).is_empty());
    client.ping(PATIENCE).expect("the stream lives");
    scene.canary();
}

#[test]
fn s4_4_closing_the_stream_ends_the_session_and_is_seen() {
    let mut scene = Scene::new();
    let mut second = Client::online(scene.server.plain, "alice", "tablet");
    let heard = scene.bob.read_stanza();
    assert!(heard.contains("from='alice@localhost/tablet'"), "{heard}");
    scene.alice.expect("from='alice@localhost/tablet'");
    second.drain(Duration::from_millis(100));
    second.send("</stream:stream>");
    assert_eq!(last_words(&mut second, "the end").last().map(String::as_str), Some("</stream:stream>"));
    for friend in [&mut scene.bob, &mut scene.alice] {
        let heard = friend.expect("alice@localhost/tablet");
        assert_eq!(attribute(&heard, "type"), Some("unavailable"), "{heard}");
    }
    scene.canary();
}

#[test]
fn what_a_client_says_before_it_leaves_is_heard_to_the_end() {
    const SAID: usize = 1_000;
    let mut scene = Scene::new();
    let mut leaving = Client::direct_tls(scene.server.direct_tls, speaking(&scene, &[])).expect("a handshake");
    leaving.login("alice", PASSWORD).expect("a login");
    leaving.bind("hasty").expect("a resource");
    let mut said = String::new();
    for n in 0..SAID {
        said += &format!("<message to='{}' type='chat' id='hasty-{n}'><body>{n}</body></message>", scene.bob.jid);
    }
    leaving.say_and_leave(&(said + "</stream:stream>"));
    for n in 0..SAID {
        scene.bob.expect(&format!("id='hasty-{n}'"));
    }
    scene.canary();
}

#[test]
fn f5_who_reads_nothing_loses_the_connection_with_the_session() {
    let mut scene = Scene::with("[limits]\nidle_timeout = \"1s\"\nping_timeout = \"1s\"\n");
    let mut deaf = Client::online(scene.server.plain, "alice", "deaf");
    let body = "z".repeat(60_000);
    for _ in 0..300 {
        let to = &deaf.jid;
        scene.bob.send(&format!("<message to='{to}' type='headline'><body>{body}</body></message>"));
    }
    let begun = std::time::Instant::now();
    while deaf.try_send(" ").is_ok() {
        assert!(begun.elapsed() < PATIENCE, "its connection is still there");
        // It says something now and then, or it would be taken for dead before it is taken for deaf.
        std::thread::sleep(Duration::from_millis(200));
    }
}

#[test]
fn a_connection_that_breaks_ends_the_session_too() {
    let mut scene = Scene::new();
    let second = Client::online(scene.server.plain, "alice", "tablet");
    scene.bob.expect("from='alice@localhost/tablet'");
    drop(second);
    let heard = scene.bob.expect("from='alice@localhost/tablet'");
    assert_eq!(attribute(&heard, "type"), Some("unavailable"), "{heard}");
}

#[test]
fn xep0198_a_session_is_resumed_over_a_new_socket_with_what_it_missed() {
    let mut scene = Scene::new();
    let mut first = scene.mallory();
    let previd = first.enable_sm().expect("enabled");
    assert!(previd.len() >= 32, "128 bits at least: {previd}");
    first.send("<message to='bob@localhost/phone' type='chat'><body>before</body></message><r xmlns='urn:xmpp:sm:3'/>");
    assert_eq!(attribute(&first.expect("<a "), "h"), Some("1"));
    scene.bob.expect("before");
    // The socket goes without a word.
    drop(first);
    for n in 0..3 {
        scene.bob.send(&format!("<message to='mallory@localhost/cave' type='chat'><body>missed {n}</body></message>"));
    }
    scene.bob.ping(PATIENCE).expect("a pong");
    let mut second = Client::connect(scene.server.plain).expect("a connection");
    second.login("mallory", PASSWORD).expect("a login");
    let resumed = second.resume_sm(&previd, 0).expect("an answer");
    assert!(resumed.starts_with("<resumed") && attribute(&resumed, "h") == Some("1"), "{resumed}");
    for n in 0..3 {
        second.expect(&format!("missed {n}"));
    }
    second.send("<message to='bob@localhost/phone' type='chat'><body>after</body></message>");
    let heard = scene.bob.expect("after");
    assert_eq!(attribute(&heard, "from"), Some("mallory@localhost/cave"));
    // It was one session all the time, and it is resumable once more only by itself.
    let mut thief = Client::connect(scene.server.plain).expect("a connection");
    thief.login("alice", PASSWORD).expect("a login");
    let failed = thief.resume_sm(&previd, 0).expect("an answer");
    assert!(failed.contains("<item-not-found "), "{failed}");
    second.ping(PATIENCE).expect("not disturbed");
    scene.canary();
}
