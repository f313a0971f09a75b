//! Between servers: the session as a client, against itself and against rustls' own server.

use std::fs;

use rustls::client::danger::ServerCertVerifier;
use rustls::crypto::aws_lc_rs::sign::any_supported_type;
use rustls::pki_types::PrivateKeyDer;
use rustls::server::{ResolvesServerCert, WebPkiClientVerifier};
use rustls::{CertificateError, ServerConnection};

use super::hostile::{Forger, Noise};
use super::*;
use crate::certs::peer::{Authorities, Fault};

const VERSIONS: [&SupportedProtocolVersion; 2] = [&version::TLS12, &version::TLS13];

impl World {
    fn peers(&self, alpn: &[&[u8]]) -> Arc<ServerConfig> {
        server_config(self.certs.clone(), alpn, peer_server_auth()).unwrap()
    }

    /// We as `own`, with one version only.
    fn connecting(&self, own: &str, only: &'static SupportedProtocolVersion) -> Arc<ClientConfig> {
        let resolver = peer_client_config(self.certs.clone(), own, false).unwrap().client_auth_cert_resolver.clone();
        connecting_with(resolver, only)
    }

    fn authorities(&self) -> Authorities {
        Authorities::from_file(&self.folder.join("ca.crt")).unwrap()
    }
}

/// The configuration cannot be narrowed to one version afterwards, so this is the same again from its parts.
fn connecting_with(
    resolver: Arc<dyn rustls::client::ResolvesClientCert>,
    only: &'static SupportedProtocolVersion,
) -> Arc<ClientConfig> {
    let verifier: Arc<dyn ServerCertVerifier> = Arc::new(crate::tls::peer::Possession::new());
    let mut config = ClientConfig::builder_with_provider(provider())
        .with_protocol_versions(&[only])
        .unwrap()
        .dangerous()
        .with_custom_certificate_verifier(verifier)
        .with_client_cert_resolver(resolver);
    config.resumption = rustls::client::Resumption::disabled();
    Arc::new(config)
}

fn pieces(end: &End) -> &[u8] {
    match &end.session.connection {
        Side::Client { pieces, .. } => pieces,
        Side::Server(_) => &[],
    }
}

/// One of the two servers, with what it has read.
struct End {
    session: TlsSession,
    incoming: Vec<u8>,
    plain: Vec<u8>,
}

impl End {
    fn new(session: TlsSession) -> Self {
        Self { session, incoming: Vec::new(), plain: Vec::new() }
    }

    fn connect(config: &Arc<ClientConfig>, domain: &str) -> Self {
        Self::new(TlsSession::connect(config.clone(), domain).unwrap())
    }

    fn give(&mut self, bytes: &[u8], chunk: usize) -> (Result<TlsState, TlsError>, Vec<u8>) {
        let mut out = Vec::new();
        let mut state = Ok(TlsState::Handshaking);
        // Also if there is nothing: that is how a client begins.
        for part in bytes.chunks(chunk).chain(bytes.is_empty().then_some(bytes)) {
            self.incoming.extend_from_slice(part);
            state = self.session.read(&mut self.incoming, &mut self.plain, &mut out);
            if state.is_err() {
                break;
            }
        }
        (state, out)
    }

    fn says(&mut self, text: &[u8]) -> Vec<u8> {
        let mut out = Vec::new();
        self.session.write(text, &mut out).unwrap();
        out
    }
}

/// Lets both talk until neither has anything to say; what the client thinks, and what the server.
fn settle(client: &mut End, server: &mut End, chunk: usize) -> (Result<TlsState, TlsError>, Result<TlsState, TlsError>) {
    let (mut of_client, mut bytes) = client.give(&[], chunk);
    let mut of_server = Ok(TlsState::Handshaking);
    while !bytes.is_empty() {
        let (state, answer) = server.give(&bytes, chunk);
        of_server = state;
        bytes.clear();
        if !answer.is_empty() {
            (of_client, bytes) = client.give(&answer, chunk);
        }
    }
    (of_client, of_server)
}

fn talk(client: &mut End, server: &mut End) {
    let said = client.says(b"<stream>");
    assert_eq!(server.give(&said, 3).0, Ok(TlsState::Open));
    let said = server.says(b"<features/>");
    assert_eq!(client.give(&said, 3).0, Ok(TlsState::Open));
    assert!(server.plain.ends_with(b"<stream>") && client.plain.ends_with(b"<features/>"));
    assert!(client.incoming.is_empty() && server.incoming.is_empty() && pieces(client).is_empty());
}

#[test]
fn two_houses_shake_hands_in_any_portions_and_show_each_other_certificates() {
    let world = World::new();
    let authorities = world.authorities();
    for version in VERSIONS {
        for chunk in [1, 2, 7, 1000, usize::MAX] {
            let mut client = End::connect(&world.connecting("two.test", version), "one.test");
            let mut server = End::new(TlsSession::accept(world.peers(&[])).unwrap());
            let both = settle(&mut client, &mut server, chunk);
            assert_eq!(both, (Ok(TlsState::Open), Ok(TlsState::Open)), "{version:?} in portions of {chunk}");
            talk(&mut client, &mut server);

            let (out, inside) = (&client.session, &server.session);
            assert_eq!(out.protocol_version(), Some(version.version));
            assert_eq!(out.cipher_suite(), inside.cipher_suite());
            assert_eq!((out.server_name(), inside.server_name()), (Some("one.test"), Some("one.test")));
            assert_eq!(out.tls_exporter(), inside.tls_exporter());
            assert_eq!(out.tls_exporter().is_some(), version.version == ProtocolVersion::TLSv1_3);
            assert!(out.tls_server_end_point().is_some());
            assert_eq!(out.tls_server_end_point(), inside.tls_server_end_point());
            assert_eq!(inside.certified_key().unwrap().cert, out.peer_certificates().unwrap());
            assert_eq!(out.certified_key().unwrap().cert, inside.peer_certificates().unwrap());
            assert!(!out.resumed() && !inside.resumed() && out.witness.is_none());

            let now = SystemTime::now();
            assert_eq!(authorities.judge(out.peer_certificates().unwrap(), "one.test", now), Ok(()));
            assert_eq!(authorities.judge(inside.peer_certificates().unwrap(), "two.test", now), Ok(()));
            assert_eq!(authorities.judge(inside.peer_certificates().unwrap(), "one.test", now), Err(Fault::WrongName));
        }
    }
}

#[test]
fn s0368_direct_tls_says_xmpp_server_and_starttls_says_nothing() {
    let world = World::new();
    let direct = peer_client_config(world.certs.clone(), "two.test", true).unwrap();
    let after_starttls = peer_client_config(world.certs.clone(), "two.test", false).unwrap();
    let agreed = |config: &Arc<ClientConfig>, alpn: &[&[u8]]| {
        let mut client = End::connect(config, "one.test");
        let mut server = End::new(TlsSession::accept(world.peers(alpn)).unwrap());
        settle(&mut client, &mut server, usize::MAX).0.map(|_| {
            assert_eq!(client.session.alpn(), server.session.alpn());
            client.session.alpn().map(<[u8]>::to_vec)
        })
    };
    assert_eq!(agreed(&direct, &[ALPN_CLIENT, ALPN_SERVER]), Ok(Some(ALPN_SERVER.to_vec())));
    assert_eq!(agreed(&direct, &[]), Ok(None), "a server that knows no ALPN");
    assert_eq!(agreed(&direct, &[ALPN_CLIENT]), Err(TlsError::Alert(AlertDescription::NoApplicationProtocol)));
    assert_eq!(agreed(&after_starttls, &[ALPN_SERVER]), Ok(None));
}

#[test]
fn sni_is_the_domain_in_a_labels_and_no_address() {
    let world = World::new();
    let config = peer_client_config(world.certs.clone(), "two.test", false).unwrap();
    let asked = |domain: &str| {
        let mut client = End::connect(&config, domain);
        let mut server = End::new(TlsSession::accept(world.peers(&[])).unwrap());
        assert_eq!(settle(&mut client, &mut server, usize::MAX).1, Ok(TlsState::Open), "{domain}");
        assert_eq!(client.session.server_name(), server.session.server_name());
        server.session.server_name().map(str::to_owned)
    };
    assert_eq!(asked("One.Test").as_deref(), Some("one.test"));
    assert_eq!(asked("one.test.").as_deref(), Some("one.test"));
    assert_eq!(asked("bücher.example").as_deref(), Some("xn--bcher-kva.example"));
    for address in ["192.0.2.1", "2001:db8::1", "[2001:db8::1]"] {
        assert_eq!(asked(address), None);
    }
    for bad in ["", ".", "a b", "[one.test]", &"x".repeat(64), "one..test"] {
        assert!(matches!(TlsSession::connect(config.clone(), bad), Err(TlsError::Name)), "{bad:?}");
    }
}

#[test]
fn our_certificate_is_shown_when_it_is_asked_for_and_there_is_one() {
    let world = World::new();
    for version in VERSIONS {
        let seen = |own: &str, server: &Arc<ServerConfig>| {
            let mut client = End::connect(&world.connecting(own, version), "one.test");
            let mut server = End::new(TlsSession::accept(server.clone()).unwrap());
            assert_eq!(settle(&mut client, &mut server, usize::MAX), (Ok(TlsState::Open), Ok(TlsState::Open)));
            let shown = client.session.certified_key().map(|key| key.cert.clone());
            assert_eq!(shown.as_deref(), server.session.peer_certificates());
            shown
        };
        let of = |domain: &str| Some(world.certs.leaf_for(Some(domain)).key.cert.clone());
        let asking = world.peers(&[]);
        assert_eq!(seen("two.test", &asking), of("two.test"));
        assert_eq!(seen("Two.TEST", &asking), of("two.test"));
        assert_eq!(seen("conference.two.test", &asking), of("two.test"), "it has the name of the service");
        assert_eq!(seen("three.test", &asking), None, "not the default's");
        assert_eq!(seen("a.b.two.test", &asking), None, "a wildcard stands for one label");
        assert_eq!(seen("two.test", &world.server(&[])), None, "nobody asked");
    }
}

#[test]
fn r14_a_reload_is_heard_by_configurations_that_exist() {
    let world = World::new();
    let config = peer_client_config(world.certs.clone(), "two.test", false).unwrap();
    let shown = || {
        let mut client = End::connect(&config, "one.test");
        let mut server = End::new(TlsSession::accept(world.peers(&[])).unwrap());
        settle(&mut client, &mut server, usize::MAX).1.unwrap();
        server.session.peer_certificates().unwrap().to_vec()
    };
    let before = shown();
    let fresh = dev::create(&world.folder.join("fresh"), &["one.test", "two.test"]).unwrap();
    world.certs.reload(&fresh.sources, SystemTime::now()).unwrap();
    assert_ne!(shown(), before);
    assert_eq!(shown(), world.certs.leaf_for(Some("two.test")).key.cert);
}

/// The certificate of a domain, with a key that is not its own.
#[derive(Debug)]
struct Stolen(Arc<CertifiedKey>);

impl Stolen {
    fn from(world: &World, domain: &str) -> Arc<Self> {
        let key = PrivateKeyDer::try_from(rcgen::KeyPair::generate().unwrap().serialize_der()).unwrap();
        let key = any_supported_type(&key).unwrap();
        Arc::new(Self(Arc::new(CertifiedKey::new(world.certs.leaf_for(Some(domain)).key.cert.clone(), key))))
    }
}

impl ResolvesServerCert for Stolen {
    fn resolve(&self, _: rustls::server::ClientHello<'_>) -> Option<Arc<CertifiedKey>> {
        Some(self.0.clone())
    }
}

impl rustls::client::ResolvesClientCert for Stolen {
    fn resolve(&self, _: &[&[u8]], _: &[rustls::SignatureScheme]) -> Option<Arc<CertifiedKey>> {
        Some(self.0.clone())
    }

    fn has_certs(&self) -> bool {
        true
    }
}

#[test]
fn e3_a_certificate_without_its_key_is_refused_in_either_role() {
    let world = World::new();
    let bad_signature =
        |error: &TlsError| matches!(error, TlsError::Peer(rustls::Error::InvalidCertificate(CertificateError::BadSignature)));
    for version in VERSIONS {
        let mut thief = (*world.peers(&[])).clone();
        thief.cert_resolver = Stolen::from(&world, "one.test");
        let mut client = End::connect(&world.connecting("two.test", version), "one.test");
        let mut server = End::new(TlsSession::accept(Arc::new(thief)).unwrap());
        let (of_client, of_server) = settle(&mut client, &mut server, usize::MAX);
        assert!(of_client.as_ref().is_err_and(bad_signature), "{version:?}: {of_client:?}");
        assert!(matches!(of_server, Err(TlsError::Alert(_))), "{of_server:?}");
        assert!(!client.session.is_open() && client.session.peer_certificates().is_none());

        let config = connecting_with(Stolen::from(&world, "two.test"), version);
        let mut client = End::connect(&config, "one.test");
        let mut server = End::new(TlsSession::accept(world.peers(&[])).unwrap());
        let (of_client, of_server) = settle(&mut client, &mut server, usize::MAX);
        assert!(of_server.as_ref().is_err_and(bad_signature), "{version:?}: {of_server:?}");
        assert!(matches!(of_client, Err(TlsError::Alert(_))), "{of_client:?}");
        assert!(!server.session.is_open());
    }
}

#[test]
fn e3_a_certificate_that_signed_itself_goes_through_the_handshake_and_is_judged_later() {
    let folder = Folder::new();
    let mut params = rcgen::CertificateParams::new(vec!["one.test".to_owned()]).unwrap();
    // As `openssl req -x509` makes them.
    params.is_ca = rcgen::IsCa::Ca(rcgen::BasicConstraints::Unconstrained);
    let key = rcgen::KeyPair::generate().unwrap();
    fs::write(folder.join("one.crt"), params.self_signed(&key).unwrap().pem()).unwrap();
    fs::write(folder.join("one.key"), key.serialize_pem()).unwrap();
    let source = Source::new("one.test", folder.join("one.crt"), folder.join("one.key"));
    let (certs, _) = Certificates::load(&[source], SystemTime::now()).unwrap();
    let world = World { certs: Arc::new(certs), ..World::new() };
    for version in VERSIONS {
        let mut client = End::connect(&world.connecting("one.test", version), "one.test");
        let mut server = End::new(TlsSession::accept(world.peers(&[])).unwrap());
        assert_eq!(settle(&mut client, &mut server, usize::MAX), (Ok(TlsState::Open), Ok(TlsState::Open)));
        for session in [&client.session, &server.session] {
            let judged = world.authorities().judge(session.peer_certificates().unwrap(), "one.test", SystemTime::now());
            assert_eq!(judged, Err(Fault::NotTrusted("it has signed itself".to_owned())));
        }
    }
}

#[test]
fn a_server_that_refuses_our_certificate_says_so_after_the_handshake_under_tls_1_3() {
    let world = World::new();
    // Another authority's, and it insists.
    let other = World::new();
    let verifier = WebPkiClientVerifier::builder_with_provider(Arc::new(other.roots.clone()), provider()).build().unwrap();
    let picky = server_config(world.certs.clone(), &[], ClientAuth::Verify(verifier)).unwrap();
    for version in VERSIONS {
        for own in ["two.test", "three.test"] {
            let mut client = End::connect(&world.connecting(own, version), "one.test");
            let mut server = End::new(TlsSession::accept(picky.clone()).unwrap());
            let (of_client, of_server) = settle(&mut client, &mut server, usize::MAX);
            assert!(matches!(of_client, Err(TlsError::Alert(_))), "{version:?} {own}: {of_client:?}");
            assert!(matches!(of_server, Err(TlsError::Peer(_))), "{of_server:?}");
            assert!(!client.session.is_open());
        }
    }
}

/// rustls' own server, which sends several tickets in one flight; records hold `fragment` bytes.
fn with_tickets(world: &World, tickets: usize, fragment: Option<usize>) -> (End, ServerConnection, Vec<u8>) {
    let mut config = (*world.peers(&[])).clone();
    config.send_tls13_tickets = tickets;
    config.enable_secret_extraction = true;
    config.max_fragment_size = fragment;
    let mut server = ServerConnection::new(Arc::new(config)).unwrap();
    let mut client = End::connect(&world.connecting("two.test", &version::TLS13), "one.test");
    let (_, mut bytes) = client.give(&[], usize::MAX);
    loop {
        let mut rest = &bytes[..];
        while !rest.is_empty() {
            server.read_tls(&mut rest).unwrap();
            server.process_new_packets().unwrap();
        }
        let answer = sent_by(&mut server);
        if !server.is_handshaking() {
            assert!(client.session.is_open());
            return (client, server, answer);
        }
        bytes = client.give(&answer, usize::MAX).1;
    }
}

fn sent_by(server: &mut ServerConnection) -> Vec<u8> {
    let mut bytes = Vec::new();
    while server.wants_write() {
        server.write_tls(&mut bytes).unwrap();
    }
    bytes
}

fn count_records(mut wire: &[u8]) -> usize {
    let mut count = 0;
    while let [_, _, _, high, low, tail @ ..] = wire {
        wire = &tail[usize::from(u16::from_be_bytes([*high, *low]))..];
        count += 1;
    }
    count
}

#[test]
fn tickets_in_one_record_or_cut_anywhere_disturb_neither_reading_nor_writing() {
    let world = World::new();
    // Four tickets with our certificates in them.
    let (_, _, whole) = with_tickets(&world, 4, None);
    assert_eq!(count_records(&whole), 1);
    let half = whole.len() / 2;
    for (fragment, records) in [(None, 1..2), (Some(half + 40), 2..3), (Some(700), 4..20), (Some(32), 100..1000)] {
        for chunk in [1, 5, 100, 701, usize::MAX] {
            let (mut client, mut server, tickets) = with_tickets(&world, 4, fragment);
            assert!(records.contains(&count_records(&tickets)), "{}", count_records(&tickets));
            let mut waited = false;
            for part in tickets.chunks(chunk) {
                assert_eq!(client.give(part, usize::MAX).0, Ok(TlsState::Open), "{fragment:?} in portions of {chunk}");
                waited |= !pieces(&client).is_empty();
                // Whatever waits, we may write.
                let said = client.says(b"<m/>");
                server.read_tls(&mut &said[..]).unwrap();
                server.process_new_packets().unwrap();
                let mut got = [0; 4];
                server.reader().read_exact(&mut got).unwrap();
                assert_eq!(&got, b"<m/>");
            }
            assert_eq!(waited, fragment.is_some() && chunk < tickets.len(), "{fragment:?} in portions of {chunk}");
            assert!(client.plain.is_empty());
            assert!(client.incoming.is_empty() && pieces(&client).is_empty(), "an idle one keeps nothing");
            server.writer().write_all(b"<a/>").unwrap();
            let said = sent_by(&mut server);
            assert_eq!(client.give(&said, 3).0, Ok(TlsState::Open));
            assert_eq!(client.plain, b"<a/>");
        }
    }
}

#[test]
fn tickets_data_and_close_notify_in_one_packet_are_all_seen() {
    let world = World::new();
    for fragment in [None, Some(100)] {
        let (mut client, mut server, mut wire) = with_tickets(&world, 4, fragment);
        server.writer().write_all(b"<features/>").unwrap();
        server.send_close_notify();
        wire.extend(sent_by(&mut server));
        wire.extend(b"to be ignored");
        let cut = wire.len() / 2;
        assert_eq!(client.give(&wire[..cut], usize::MAX).0, Ok(TlsState::Open));
        assert_eq!(client.give(&wire[cut..], usize::MAX).0, Ok(TlsState::PeerClosed));
        assert_eq!(client.plain, b"<features/>");
        let mut out = client.says(b"bye");
        client.session.close_notify(&mut out);
        server.read_tls(&mut &out[..]).unwrap();
        server.process_new_packets().unwrap();
        let mut got = Vec::new();
        assert_eq!(server.reader().read_to_end(&mut got).unwrap(), 3, "and a clean end");
    }
}

/// A client, and a server without a library.
fn forged(world: &World) -> (End, Forger) {
    let (mut client, server, tickets) = with_tickets(world, 1, None);
    client.give(&tickets, usize::MAX).0.unwrap();
    let mut forger = Forger::with(server.dangerous_extract_secrets().unwrap());
    let whole = forger.record(23, b"<a/>");
    assert_eq!(client.give(&whole, usize::MAX).0, Ok(TlsState::Open), "forged records are good ones");
    assert_eq!(client.plain, b"<a/>");
    (client, forger)
}

#[test]
fn b5_a_ticket_without_an_end_is_cut_off() {
    let world = World::new();
    let (mut client, mut forger) = forged(&world);
    // 65,535 bytes are promised, one comes per record.
    let mut wire = forger.record(22, &[4, 0, 0xff, 0xff]);
    for _ in 0..4000 {
        wire.extend(forger.record(22, &[0]));
    }
    let (state, _) = client.give(&wire, 1400);
    assert_eq!(state, Err(TlsError::HandshakeTooLarge));
    assert!(client.incoming.is_empty());
    assert_eq!(client.session.write(b"x", &mut Vec::new()), Err(TlsError::Closed));

    // Nothing may come between the pieces (RFC 8446 5.1).
    let (mut client, mut forger) = forged(&world);
    let mut wire = forger.record(22, &[4, 0, 0xff, 0xff]);
    wire.extend(forger.record(23, b"<b/>"));
    assert!(matches!(client.give(&wire, usize::MAX).0, Err(TlsError::Peer(_))));
    assert_eq!(client.plain, b"<a/>");
}

#[test]
fn a_key_update_of_the_server_in_pieces_is_answered() {
    let world = World::new();
    let (mut client, mut forger) = forged(&world);
    for piece in [&[24, 0][..], &[0, 1]] {
        let piece = forger.record(22, piece);
        assert_eq!(client.give(&piece, usize::MAX).0, Ok(TlsState::Open));
        assert!(!pieces(&client).is_empty());
        assert_eq!(count_records(&client.says(b"<b/>")), 1);
    }
    let last = forger.record(22, &[1]);
    assert_eq!(client.give(&last, usize::MAX).0, Ok(TlsState::Open));
    assert!(pieces(&client).is_empty());
    // Ours goes ahead of the data (RFC 8446 4.6.3).
    assert_eq!(count_records(&client.says(b"<b/>")), 2);
    let old_keys = forger.record(23, b"with the old keys");
    assert!(client.give(&old_keys, usize::MAX).0.is_err(), "the keys did change");
}

#[test]
fn b5_what_a_server_may_not_say_after_the_handshake_is_refused() {
    let world = World::new();
    // A ClientHello, a CertificateRequest (RFC 8446 4.6.2, which we do not offer), a HelloRequest.
    for message in [&[1, 0, 0, 2, 3, 3][..], &[13, 0, 0, 3, 0, 0, 0], &[0, 0, 0, 0]] {
        let (mut client, mut forger) = forged(&world);
        let record = forger.record(22, message);
        let (state, out) = client.give(&record, usize::MAX);
        assert!(matches!(state, Err(TlsError::Peer(_))), "{message:?}: {state:?}");
        assert!(!out.is_empty(), "an alert, encrypted");
    }
}

#[test]
fn b5_damaged_servers_never_make_a_client_panic() {
    let world = World::new();
    let mut noise = Noise(0x0368_2026);
    let mut refused = 0;
    for round in 0..600 {
        let version = VERSIONS[round % 2];
        let mut client = End::connect(&world.connecting("two.test", version), "one.test");
        let mut config = (*world.peers(&[])).clone();
        config.send_tls13_tickets = 4;
        config.max_fragment_size = Some(64 + noise.below(2000));
        let mut server = End::new(TlsSession::accept(Arc::new(config)).unwrap());
        if round % 3 == 0 {
            settle(&mut client, &mut server, usize::MAX).0.unwrap();
        }
        let mut bytes = client.give(&[], 1).1;
        for _ in 0..4 {
            let mut answer = server.give(&bytes, usize::MAX).1;
            if server.session.is_open() {
                answer.extend(server.says(&[b'x'; 300]));
            }
            for _ in 0..=noise.below(3) {
                if !answer.is_empty() {
                    let at = noise.below(answer.len());
                    match noise.below(3) {
                        0 => answer[at] ^= 1 << noise.below(8),
                        1 => drop(answer.remove(at)),
                        _ => answer.insert(at, noise.next().to_le_bytes()[0]),
                    }
                }
            }
            let (state, out) = client.give(&answer, 1 + noise.below(700));
            let _ = client.session.write(b"<a/>", &mut Vec::new());
            if state.is_err() {
                refused += 1;
                break;
            }
            bytes = out;
        }
    }
    assert!(refused > 200, "the damage is noticed: {refused}");
}

#[test]
fn garbage_instead_of_a_server_ends_the_session() {
    let world = World::new();
    let config = peer_client_config(world.certs.clone(), "two.test", true).unwrap();
    for garbage in [&b"HTTP/1.1 400 Bad Request\r\n\r\n"[..], b"<?xml version='1.0'?><stream:stream>", &[0; 64], &[255; 64]] {
        let mut client = End::connect(&config, "one.test");
        client.give(&[], 1).0.unwrap();
        assert!(matches!(client.give(garbage, usize::MAX).0, Err(TlsError::Peer(_))));
        assert!(client.incoming.is_empty());
    }
}

#[test]
fn the_client_side_does_not_make_a_session_larger() {
    let server = size_of::<UnbufferedServerConnection>();
    let client = size_of::<UnbufferedClientConnection>();
    assert!(size_of::<Side>() <= server, "{} {server} {client}", size_of::<Side>());
}
