//! Channel bindings and resumption: both ends must see the same.

use aws_lc_rs::digest::{SHA256, digest};

use super::*;

fn exporter_of_client(pair: &Pair) -> [u8; 32] {
    // RFC 9266 2: the context is the empty string.
    pair.client.export_keying_material([0; 32], b"EXPORTER-Channel-Binding", Some(b"")).unwrap()
}

fn end_point_of_client(pair: &Pair) -> Vec<u8> {
    digest(&SHA256, &pair.client.peer_certificates().unwrap()[0]).as_ref().to_vec()
}

#[test]
fn s9266_tls_exporter_is_the_same_on_both_ends() {
    let world = World::new();
    let server = world.server(&[]);
    for suite in provider().cipher_suites.iter().filter(|suite| suite.tls13().is_some()) {
        let mut only = (*provider()).clone();
        only.cipher_suites = vec![*suite];
        let client = ClientConfig::builder_with_provider(Arc::new(only))
            .with_protocol_versions(&[&version::TLS13])
            .unwrap()
            .with_root_certificates(world.roots.clone())
            .with_no_client_auth();
        let client = Arc::new(client);
        let mut seen = Vec::new();
        for _ in 0..2 {
            let mut pair = Pair::new(&server, &client, "one.test");
            pair.settle(usize::MAX).unwrap();
            let ours = pair.server.tls_exporter().unwrap();
            assert_eq!(ours, exporter_of_client(&pair), "{suite:?}");
            seen.push((ours, pair.server.resumed()));
        }
        assert_ne!(seen[0].0, seen[1].0, "each connection has its own");
        assert_eq!((seen[0].1, seen[1].1), (false, true), "the second redeemed the ticket");
    }
}

#[test]
fn s9266_tls_exporter_is_not_offered_under_tls_1_2() {
    let world = World::new();
    let mut pair = Pair::new(&world.server(&[]), &Arc::new(world.client(&[&version::TLS12])), "one.test");
    pair.settle(usize::MAX).unwrap();
    assert_eq!(pair.server.tls_exporter(), None);
    assert!(pair.server.tls_server_end_point().is_some());
}

#[test]
fn s5929_4_end_point_is_the_same_on_both_ends_also_after_reload_and_resumption() {
    let world = World::new();
    let server = world.server(&[]);
    let fresh = dev::create(&world.folder.join("fresh"), &["one.test", "two.test"]).unwrap();
    for version in [&version::TLS12, &version::TLS13] {
        world.certs.reload(&world.sources, SystemTime::now()).unwrap();
        let mut roots = world.roots.clone();
        roots.add(CertificateDer::from_pem_file(&fresh.ca).unwrap()).unwrap();
        let mut client = world.client(&[version]);
        client.resumption = rustls::client::Resumption::in_memory_sessions(8);
        let client = {
            let verifier = rustls::client::WebPkiServerVerifier::builder_with_provider(Arc::new(roots), provider());
            client.dangerous().set_certificate_verifier(verifier.build().unwrap());
            Arc::new(client)
        };
        let connect = || {
            let mut pair = Pair::new(&server, &client, "one.test");
            pair.settle(usize::MAX).unwrap();
            assert_eq!(pair.server.tls_server_end_point().unwrap().as_ref(), end_point_of_client(&pair));
            pair
        };
        let mut first = connect();
        let leaf = world.certs.leaf_for(Some("one.test"));
        assert_eq!(first.server.tls_server_end_point(), leaf.end_point);
        assert!(connect().server.resumed());

        let changed = world.certs.reload(&fresh.sources, SystemTime::now()).unwrap().changed;
        assert_eq!(changed.len(), 2);
        let after = connect();
        assert!(!after.server.resumed(), "a ticket of the old certificate would bind to the old one");
        assert_ne!(after.server.tls_server_end_point(), leaf.end_point);
        assert_eq!(first.server.tls_server_end_point(), leaf.end_point, "existing connections keep theirs");
        first.exchange();
        assert!(connect().server.resumed());
    }
}

#[test]
fn r14_new_handshakes_show_the_new_certificate_and_sessions_stay() {
    let world = World::new();
    let server = world.server(&[]);
    let client = Arc::new(world.client(&[&version::TLS13]));
    let mut pair = Pair::new(&server, &client, "one.test");
    pair.settle(usize::MAX).unwrap();
    let fresh = dev::create(&world.folder.join("fresh"), &["one.test", "two.test"]).unwrap();

    let mut broken = fresh.sources.clone();
    broken[0].key.clone_from(&world.sources[0].key);
    world.certs.reload(&broken, SystemTime::now()).unwrap_err();
    let mut still = Pair::new(&server, &client, "two.test");
    assert_eq!(still.settle(usize::MAX), Ok(TlsState::Open), "the old one serves on");

    world.certs.reload(&fresh.sources, SystemTime::now()).unwrap();
    let mut refused = Pair::new(&server, &client, "one.test");
    // The client trusts only the old authority: its alert proves that the new certificate is out.
    assert_eq!(refused.settle(usize::MAX), Err(TlsError::Alert(AlertDescription::UnknownCA)));
    pair.exchange();
}
