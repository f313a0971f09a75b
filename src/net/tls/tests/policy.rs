//! What is agreed and what is not: versions, suites, ALPN, SNI, early data.

use super::*;

/// A ClientHello from raw parts (RFC 8446 4.1.2): `extensions` are complete, with type and length.
pub(super) fn client_hello(record: u16, legacy: u16, suites: &[u16], extensions: &[u8]) -> Vec<u8> {
    let mut body = legacy.to_be_bytes().to_vec();
    body.extend([7; 32]);
    body.push(0);
    body.extend(u16::try_from(suites.len() * 2).unwrap().to_be_bytes());
    body.extend(suites.iter().flat_map(|suite| suite.to_be_bytes()));
    body.extend([1, 0]);
    if !extensions.is_empty() {
        body.extend(u16::try_from(extensions.len()).unwrap().to_be_bytes());
        body.extend_from_slice(extensions);
    }
    let mut message = vec![1];
    message.extend(&u32::try_from(body.len()).unwrap().to_be_bytes()[1..]);
    message.extend(body);
    records(record, &message, 16_384)
}

/// Cuts a handshake message into plain records.
pub(super) fn records(version: u16, message: &[u8], size: usize) -> Vec<u8> {
    let record = |part: &[u8]| {
        let mut bytes = vec![22];
        bytes.extend(version.to_be_bytes());
        bytes.extend(u16::try_from(part.len()).unwrap().to_be_bytes());
        bytes.extend_from_slice(part);
        bytes
    };
    message.chunks(size).flat_map(record).collect()
}

pub(super) fn extension(number: u16, content: &[u8]) -> Vec<u8> {
    let mut bytes = number.to_be_bytes().to_vec();
    bytes.extend(u16::try_from(content.len()).unwrap().to_be_bytes());
    bytes.extend_from_slice(content);
    bytes
}

/// Extensions a modern client sends besides its versions: groups and signature algorithms.
pub(super) fn modern_extensions() -> Vec<u8> {
    let mut bytes = extension(10, &[0, 4, 0, 29, 0, 23]);
    bytes.extend(extension(13, &[0, 4, 4, 3, 8, 4]));
    bytes.extend(extension(11, &[1, 0]));
    bytes
}

/// The last fatal alert among plain records.
pub(super) fn fatal_alert(out: &[u8]) -> Option<u8> {
    match out {
        [.., 21, 3, _, 0, 2, 2, alert] => Some(*alert),
        _ => None,
    }
}

fn answer(world: &World, hello: &[u8]) -> (Result<TlsState, TlsError>, Vec<u8>) {
    let client = Arc::new(world.client(&[&version::TLS13]));
    Pair::new(&world.server(&[]), &client, "one.test").give_server(hello, usize::MAX)
}

const GOOD_1_2: &[u16] = &[0xc02b, 0xc02f];

#[test]
fn b3_ssl_3_and_tls_1_0_and_1_1_are_refused() {
    let world = World::new();
    for legacy in [0x0300, 0x0301, 0x0302] {
        let mut suites = GOOD_1_2.to_vec();
        suites.extend([0xc009, 0xc013, 0x002f, 0x000a]);
        let (state, out) = answer(&world, &client_hello(0x0301, legacy, &suites, &modern_extensions()));
        assert!(matches!(state, Err(TlsError::Peer(_))), "{legacy:x}: {state:?}");
        assert_eq!(fatal_alert(&out), Some(70), "{legacy:x}: protocol_version");
    }
    // The same hello that says 1.2 goes on, so it was the version.
    let (state, out) = answer(&world, &client_hello(0x0301, 0x0303, GOOD_1_2, &modern_extensions()));
    assert_eq!((state, fatal_alert(&out)), (Ok(TlsState::Handshaking), None));
    // SSL 2's hello is not even a record.
    let (state, _) = answer(&world, &[0x80, 0x2e, 1, 0, 2, 0, 0x15, 0, 0, 0, 0x10, 7, 0, 0xc0]);
    assert!(state.is_err());
}

#[test]
fn b3_weak_suites_are_refused() {
    let world = World::new();
    let weak = [
        ("RC4", 0xc007),
        ("3DES", 0x000a),
        ("export", 0x0003),
        ("anonymous", 0x0018),
        ("NULL", 0xc006),
        ("CBC", 0xc009),
        ("RSA key exchange", 0x009c),
        ("finite-field DHE", 0x009e),
    ];
    for (name, suite) in weak {
        let (state, out) = answer(&world, &client_hello(0x0301, 0x0303, &[suite], &modern_extensions()));
        assert!(matches!(state, Err(TlsError::Peer(_))), "{name}: {state:?}");
        assert_eq!(fatal_alert(&out), Some(40), "{name}: handshake_failure");
    }
}

#[test]
fn b3_only_ephemeral_aead_suites_are_configured() {
    for suite in &provider().cipher_suites {
        let name = format!("{:?}", suite.suite());
        let good_1_2 = name.starts_with("TLS_ECDHE_") && (name.contains("_GCM_") || name.contains("CHACHA20"));
        assert!(name.starts_with("TLS13_") || good_1_2, "{name}");
    }
    let world = World::new();
    let config = world.server(&[]);
    assert_eq!((config.max_early_data_size, config.send_half_rtt_data, config.send_tls13_tickets), (0, false, 1));
}

#[test]
fn of_the_suites_that_a_client_names_ours_comes_first() {
    let world = World::new();
    for version in [&version::TLS12, &version::TLS13] {
        let mut eager = (*provider()).clone();
        eager.cipher_suites.reverse();
        let client = rustls::ClientConfig::builder_with_provider(std::sync::Arc::new(eager)).with_protocol_versions(&[version]);
        let client = client.unwrap().with_root_certificates(world.roots.clone()).with_no_client_auth();
        let mut pair = Pair::new(&world.server(&[]), &Arc::new(client), "one.test");
        assert_eq!(pair.settle(usize::MAX), Ok(TlsState::Open));
        let chosen = format!("{:?}", pair.client.negotiated_cipher_suite().expect("one").suite());
        assert!(chosen.ends_with("AES_128_GCM_SHA256"), "{chosen}");
    }
}

#[test]
fn b4_alpn_is_accepted_refused_or_absent() {
    let world = World::new();
    let server = world.server(&[ALPN_CLIENT]);
    let offering = |names: &[&[u8]]| {
        let mut client = world.client(&[&version::TLS12, &version::TLS13]);
        client.alpn_protocols = names.iter().map(|name| name.to_vec()).collect();
        Pair::new(&server, &Arc::new(client), "one.test")
    };
    let mut pair = offering(&[b"http/1.1", ALPN_CLIENT]);
    assert_eq!(pair.settle(usize::MAX), Ok(TlsState::Open));
    assert_eq!((pair.server.alpn(), pair.client.alpn_protocol()), (Some(ALPN_CLIENT), Some(ALPN_CLIENT)));

    let mut pair = offering(&[]);
    assert_eq!(pair.settle(usize::MAX), Ok(TlsState::Open), "clients before ALPN (XEP-0368)");
    assert_eq!(pair.server.alpn(), None);

    for wrong in [&b"http/1.1"[..], ALPN_SERVER] {
        let mut pair = offering(&[wrong]);
        let hello = pair.client_sends();
        let (state, out) = pair.give_server(&hello, usize::MAX);
        assert_eq!(state, Err(TlsError::Peer(rustls::Error::NoApplicationProtocol)));
        // Encrypted under TLS 1.3, so the client has to say which alert it was.
        let alert = rustls::AlertDescription::NoApplicationProtocol;
        assert_eq!(pair.give_client(&out), Err(rustls::Error::AlertReceived(alert)));
    }
}

#[test]
fn b4_sni_chooses_the_certificate_and_is_told() {
    let world = World::new();
    let server = world.server(&[]);
    let client = Arc::new(world.client(&[&version::TLS12, &version::TLS13]));
    for (name, domain) in [("one.test", "one.test"), ("two.test", "two.test"), ("files.two.test", "two.test")] {
        let mut pair = Pair::new(&server, &client, name);
        assert_eq!(pair.settle(usize::MAX), Ok(TlsState::Open), "the client checked the name");
        assert_eq!(pair.server.server_name(), Some(name));
        let leaf = world.certs.leaf_for(Some(domain));
        assert_eq!(pair.server.certified_key().unwrap().cert, leaf.key.cert);
        assert_eq!(pair.server.tls_server_end_point(), leaf.end_point);
    }
    // Unknown: the first domain's certificate, which an honest client refuses by its name.
    let mut pair = Pair::new(&server, &client, "stranger.test");
    assert!(matches!(pair.settle(usize::MAX), Err(TlsError::Alert(_))));

    let mut silent = world.client(&[&version::TLS13]);
    silent.enable_sni = false;
    let mut pair = Pair::new(&server, &Arc::new(silent), "one.test");
    assert_eq!(pair.settle(usize::MAX), Ok(TlsState::Open), "no SNI: the first domain");
    assert_eq!(pair.server.server_name(), None);
}

#[test]
fn b4_early_data_is_not_accepted() {
    let world = World::new();
    let careful = world.server(&[]);
    // Another configuration hands out tickets that promise 0-RTT; rustls does so with stored sessions only.
    let mut eager = ServerConfig::builder_with_provider(provider())
        .with_protocol_versions(&[&version::TLS13])
        .unwrap()
        .with_no_client_auth()
        .with_cert_resolver(world.certs.clone());
    eager.max_early_data_size = 1024;
    // One that knows the ticket but not the promise, as after a change of the configuration.
    let mut forgetful = eager.clone();
    forgetful.max_early_data_size = 0;
    let eager = Arc::new(eager);
    for (config, knows_ticket) in [(careful, false), (Arc::new(forgetful), true)] {
        let mut client = world.client(&[&version::TLS13]);
        client.enable_early_data = true;
        let client = Arc::new(client);
        Pair::new(&eager, &client, "one.test").settle(usize::MAX).unwrap();

        let mut pair = Pair::new(&config, &client, "one.test");
        pair.client.early_data().expect("the ticket allows it").write_all(b"<auth/>").unwrap();
        assert_eq!(pair.settle(usize::MAX), Ok(TlsState::Open));
        assert_eq!((pair.server.resumed(), pair.client.is_early_data_accepted()), (knows_ticket, false));
        assert_eq!(pair.plain, b"", "what came before the handshake's end is not there");
        pair.exchange();
    }
    // And where somebody allows it nevertheless, the session refuses.
    let mut client = world.client(&[&version::TLS13]);
    client.enable_early_data = true;
    let client = Arc::new(client);
    Pair::new(&eager, &client, "one.test").settle(usize::MAX).unwrap();
    let mut pair = Pair::new(&eager, &client, "one.test");
    pair.client.early_data().unwrap().write_all(b"<auth/>").unwrap();
    let hello = pair.client_sends();
    assert_eq!(pair.give_server(&hello, usize::MAX).0, Err(TlsError::EarlyData));
}

#[test]
fn post_quantum_key_exchange_is_used_when_the_client_can() {
    let world = World::new();
    let mut pair = Pair::new(&world.server(&[]), &Arc::new(world.client(&[&version::TLS13])), "one.test");
    pair.settle(usize::MAX).unwrap();
    let group = pair.client.negotiated_key_exchange_group().unwrap().name();
    assert_eq!(group, rustls::NamedGroup::X25519MLKEM768);
}
