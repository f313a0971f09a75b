//! RFC 7590, the TLS profile of XMPP, as far as a client can check it: each test is a section.

use std::sync::Arc;

use rustls::{ClientConfig, ProtocolVersion};

use crate::client::{Client, trusting};
use crate::server::{Data, Server};

fn house() -> (Data, Server) {
    let data = Data::with_users(["alice"]);
    let server = data.start();
    (data, server)
}

fn only(data: &Data, versions: &[&'static rustls::SupportedProtocolVersion]) -> Arc<ClientConfig> {
    let any = trusting(&data.ca());
    let provider = any.crypto_provider().clone();
    let mut roots = rustls::RootCertStore::empty();
    for certificate in rustls::pki_types::pem::PemObject::pem_file_iter(data.ca()).expect("a readable ca.crt") {
        let certificate: rustls::pki_types::CertificateDer<'static> = certificate.expect("PEM");
        roots.add(certificate).expect("a certificate");
    }
    let builder = ClientConfig::builder_with_provider(provider).with_protocol_versions(versions).expect("versions");
    Arc::new(builder.with_root_certificates(roots).with_no_client_auth())
}

/// 3.1: support for TLS is mandatory to implement, and here mandatory to negotiate; nothing else is offered before it.
#[test]
fn s3_1_starttls_is_offered_as_required_and_alone() {
    let (_data, server) = house();
    let mut client = Client::connect(server.starttls).expect("a connection");
    let features = client.open();
    assert!(features.contains("<starttls xmlns='urn:ietf:params:xml:ns:xmpp-tls'><required/></starttls>"), "{features}");
    for other in ["mechanism", "bind", "register", "compress", "authentication"] {
        assert!(!features.contains(other), "{other} before TLS: {features}");
    }
}

/// 3.2: no TLS-level compression and, after CVE-2012-4929, none of XMPP's either.
#[test]
fn s3_2_compression_is_never_offered() {
    let (data, server) = house();
    for mut client in [
        Client::starttls(server.starttls, trusting(&data.ca())).expect("a handshake"),
        Client::direct_tls(server.direct_tls, trusting(&data.ca())).expect("a handshake"),
    ] {
        let features = client.open();
        assert!(features.contains("mechanism") && !features.contains("compress"), "{features}");
    }
}

/// 3 with RFC 9325 3.1.1: TLS 1.2 and 1.3 are spoken; 4.1, 4.2: with either, suites that are forward secret and authenticated.
#[test]
fn s3_versions_and_suites() {
    let (data, server) = house();
    for (version, spoken) in
        [(&rustls::version::TLS12, ProtocolVersion::TLSv1_2), (&rustls::version::TLS13, ProtocolVersion::TLSv1_3)]
    {
        let config = only(&data, &[version]);
        for client in [
            Client::starttls(server.starttls, config.clone()).expect("a handshake"),
            Client::direct_tls(server.direct_tls, config.clone()).expect("a handshake"),
        ] {
            let tls = client.tls().expect("TLS");
            assert_eq!(tls.protocol_version(), Some(spoken));
            let suite = format!("{:?}", tls.negotiated_cipher_suite().expect("a suite").suite());
            let is_forward_secret = suite.starts_with("TLS13_") || suite.contains("ECDHE_");
            assert!(is_forward_secret && (suite.contains("GCM") || suite.contains("POLY1305")), "{suite}");
        }
    }
}

/// A ClientHello that speaks nothing newer than `minor` (3.`minor`), with the suites that such a client would have.
fn client_hello(minor: u8) -> Vec<u8> {
    let mut body = vec![3, minor];
    body.extend([7; 32]);
    body.push(0);
    // ECDHE-RSA-AES128-SHA, ECDHE-ECDSA-AES128-SHA, RSA-AES128-SHA, RSA-3DES, RSA-RC4-MD5, NULL
    let suites = [0xc0, 0x13, 0xc0, 0x09, 0x00, 0x2f, 0x00, 0x0a, 0x00, 0x04, 0x00, 0x00];
    body.extend([0, suites.len() as u8]);
    body.extend(suites);
    body.extend([1, 0]);
    let mut hello = vec![1, 0, 0, body.len() as u8];
    hello.extend(body);
    let mut record = vec![22, 3, 1, 0, hello.len() as u8];
    record.extend(hello);
    record
}

/// RFC 9325 3.1.1, 4.1: what is older than TLS 1.2, and suites that are broken, are refused with an alert.
#[test]
fn s3_what_is_old_or_broken_is_refused() {
    use std::io::{Read, Write};
    let (_data, server) = house();
    for minor in [0, 1, 2, 3] {
        let mut socket = std::net::TcpStream::connect(server.direct_tls).expect("a connection");
        socket.set_read_timeout(Some(crate::client::PATIENCE)).expect("a timeout");
        socket.write_all(&client_hello(minor)).expect("written");
        let mut answer = Vec::new();
        let _ = socket.take(4_096).read_to_end(&mut answer);
        // An alert, fatal; never a ServerHello.
        assert!(answer.first().is_none_or(|kind| *kind == 21), "3.{minor}: {answer:?}");
    }
}

/// 3.4 with RFC 6125: the certificate names the domain that the stream is for.
#[test]
fn s3_4_the_certificate_is_the_domains() {
    let (data, server) = house();
    let mut client = Client::connect(server.direct_tls).expect("a connection");
    client.shake_hands_with("localhost", trusting(&data.ca())).expect("its own");
    let mut client = Client::connect(server.direct_tls).expect("a connection");
    assert!(client.shake_hands_with("example.org", trusting(&data.ca())).is_err());
}

/// 3.3 (RFC 9325 3.5): tickets do not outlive what they promise; a session that is resumed is one of the same client's.
#[test]
fn s3_3_a_second_handshake_with_what_the_first_gave_works() {
    let (data, server) = house();
    let config = trusting(&data.ca());
    for _ in 0..2 {
        let mut client = Client::direct_tls(server.direct_tls, config.clone()).expect("a handshake");
        let features = client.open();
        assert!(features.contains("<mechanism>SCRAM-SHA-256</mechanism>"), "{features}");
    }
}
