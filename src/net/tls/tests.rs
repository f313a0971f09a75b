//! The session against rustls' own client, without sockets: two values and the bytes between them.

mod binding;
mod hostile;
mod peer;
mod policy;
mod transfer;

use std::io::{Read, Write};
use std::sync::Arc;
use std::time::SystemTime;

use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, ServerName};
use rustls::{
    AlertDescription, ClientConfig, ClientConnection, RootCertStore, ServerConfig, SupportedProtocolVersion, version,
};

use super::config::provider;
use super::*;
use crate::certs::tests::Folder;
use crate::certs::{Certificates, Source, dev};

/// Two domains with certificates of one authority.
struct World {
    folder: Folder,
    sources: Vec<Source>,
    certs: Arc<Certificates>,
    roots: RootCertStore,
}

impl World {
    fn new() -> Self {
        let folder = Folder::new();
        let made = dev::create(folder.path(), &["one.test", "two.test"]).unwrap();
        let (certs, _) = Certificates::load(&made.sources, SystemTime::now()).unwrap();
        let mut roots = RootCertStore::empty();
        roots.add(CertificateDer::from_pem_file(&made.ca).unwrap()).unwrap();
        Self { folder, sources: made.sources, certs: Arc::new(certs), roots }
    }

    fn server(&self, alpn: &[&[u8]]) -> Arc<ServerConfig> {
        server_config(self.certs.clone(), alpn, ClientAuth::None).unwrap()
    }

    fn client(&self, versions: &[&'static SupportedProtocolVersion]) -> ClientConfig {
        ClientConfig::builder_with_provider(provider())
            .with_protocol_versions(versions)
            .unwrap()
            .with_root_certificates(self.roots.clone())
            .with_no_client_auth()
    }
}

/// Both ends of a connection.
struct Pair {
    client: ClientConnection,
    server: TlsSession,
    incoming: Vec<u8>,
    /// What the server decrypted.
    plain: Vec<u8>,
}

impl Pair {
    fn new(server: &Arc<ServerConfig>, client: &Arc<ClientConfig>, name: &str) -> Self {
        Self {
            client: ClientConnection::new(client.clone(), ServerName::try_from(name.to_owned()).unwrap()).unwrap(),
            server: TlsSession::accept(server.clone()).unwrap(),
            incoming: Vec::new(),
            plain: Vec::new(),
        }
    }

    /// What the client wants to send now.
    fn client_sends(&mut self) -> Vec<u8> {
        let mut bytes = Vec::new();
        while self.client.wants_write() {
            self.client.write_tls(&mut bytes).unwrap();
        }
        bytes
    }

    /// Gives the client records; `Err` is the client's opinion of them.
    fn give_client(&mut self, mut bytes: &[u8]) -> Result<(), rustls::Error> {
        while !bytes.is_empty() {
            self.client.read_tls(&mut bytes).unwrap();
            self.client.process_new_packets()?;
        }
        Ok(())
    }

    /// Gives the server `chunk` bytes at a time; returns the last state and what it answers.
    fn give_server(&mut self, bytes: &[u8], chunk: usize) -> (Result<TlsState, TlsError>, Vec<u8>) {
        let mut out = Vec::new();
        let mut state = Ok(TlsState::Handshaking);
        for part in bytes.chunks(chunk) {
            self.incoming.extend_from_slice(part);
            state = self.server.read(&mut self.incoming, &mut self.plain, &mut out);
            if state.is_err() {
                break;
            }
        }
        (state, out)
    }

    /// Lets both talk until neither has anything to say.
    fn settle(&mut self, chunk: usize) -> Result<TlsState, TlsError> {
        let mut state = TlsState::Handshaking;
        loop {
            let bytes = self.client_sends();
            if bytes.is_empty() {
                return Ok(state);
            }
            let (answer, out) = self.give_server(&bytes, chunk);
            // The client's opinion is an alert, which goes to the server in the next round.
            let _ = self.give_client(&out);
            state = answer?;
        }
    }

    fn client_reads(&mut self) -> Vec<u8> {
        let mut got = Vec::new();
        // `WouldBlock` is the end of what is there.
        let _ = self.client.reader().read_to_end(&mut got);
        got
    }

    fn exchange(&mut self) {
        self.client.writer().write_all(b"<ping/>").unwrap();
        let before = self.plain.len();
        self.settle(usize::MAX).unwrap();
        assert_eq!(&self.plain[before..], b"<ping/>");
        let mut out = Vec::new();
        self.server.write(b"<pong/>", &mut out).unwrap();
        self.give_client(&out).unwrap();
        assert_eq!(self.client_reads(), b"<pong/>");
        assert!(self.incoming.is_empty(), "an idle connection keeps nothing");
    }
}

#[test]
fn handshake_and_data_with_tls_1_2_and_1_3_in_any_portions() {
    let world = World::new();
    let server = world.server(&[]);
    for version in [&version::TLS12, &version::TLS13] {
        let client = Arc::new(world.client(&[version]));
        for chunk in [1, 2, 7, 1000, usize::MAX] {
            let mut pair = Pair::new(&server, &client, "one.test");
            assert_eq!(pair.settle(chunk), Ok(TlsState::Open), "{version:?} in portions of {chunk}");
            assert_eq!(pair.server.protocol_version(), Some(version.version));
            assert!(pair.server.is_open() && pair.server.witness.is_none());
            assert!(!pair.client.is_handshaking());
            pair.exchange();
        }
    }
}

#[test]
fn a_session_moves_between_threads_at_any_point() {
    let world = World::new();
    let mut pair = Pair::new(&world.server(&[]), &Arc::new(world.client(&[&version::TLS13])), "one.test");
    let hello = pair.client_sends();
    let (_, answer) = pair.give_server(&hello, usize::MAX);
    pair.give_client(&answer).unwrap();
    // The account's shard is another thread, and the rest of the handshake goes on there.
    let moved = std::thread::spawn(move || {
        pair.settle(1).unwrap();
        pair.exchange();
        assert!(pair.server.tls_exporter().is_some() && pair.server.server_name().is_some());
    });
    moved.join().unwrap();
}

#[test]
fn data_behind_the_finished_in_one_packet_is_read() {
    let world = World::new();
    let server = world.server(&[]);
    for version in [&version::TLS12, &version::TLS13] {
        let mut pair = Pair::new(&server, &Arc::new(world.client(&[version])), "one.test");
        // rustls keeps it until the handshake is done and then sends it right after its Finished.
        pair.client.writer().write_all(b"<stream>").unwrap();
        assert_eq!(pair.settle(usize::MAX), Ok(TlsState::Open));
        assert_eq!(pair.plain, b"<stream>");
    }
}

#[test]
fn finished_data_and_close_notify_in_one_packet_are_all_seen() {
    let world = World::new();
    let mut pair = Pair::new(&world.server(&[]), &Arc::new(world.client(&[&version::TLS13])), "one.test");
    let hello = pair.client_sends();
    let (_, answer) = pair.give_server(&hello, usize::MAX);
    pair.client.writer().write_all(b"<stream>").unwrap();
    pair.give_client(&answer).unwrap();
    pair.client.send_close_notify();
    let rest = pair.client_sends();
    let (state, _) = pair.give_server(&rest, usize::MAX);
    assert_eq!(state, Ok(TlsState::PeerClosed));
    assert_eq!(pair.plain, b"<stream>");
    assert_eq!(pair.server.server_name(), Some("one.test"));
    pair.server.write(b"bye", &mut Vec::new()).unwrap();
}

#[test]
fn nothing_is_written_before_the_handshake_ends() {
    let world = World::new();
    let mut pair = Pair::new(&world.server(&[]), &Arc::new(world.client(&[&version::TLS13])), "one.test");
    let mut out = Vec::new();
    assert_eq!(pair.server.write(b"x", &mut out), Err(TlsError::NotOpen));
    let hello = pair.client_sends();
    let (state, answer) = pair.give_server(&hello, usize::MAX);
    // rustls would let us write here (RFC 8446 4.6.1 half RTT); nobody has proven anything yet.
    assert_eq!((state, answer.is_empty()), (Ok(TlsState::Handshaking), false));
    assert_eq!(pair.server.write(b"x", &mut out), Err(TlsError::NotOpen));
    pair.server.close_notify(&mut out);
    assert!(out.is_empty());
}

#[test]
fn close_notify_of_either_side_ends_its_direction_only() {
    let world = World::new();
    let server = world.server(&[]);
    for version in [&version::TLS12, &version::TLS13] {
        let client = Arc::new(world.client(&[version]));

        let mut pair = Pair::new(&server, &client, "one.test");
        pair.settle(usize::MAX).unwrap();
        pair.client.writer().write_all(b"last words").unwrap();
        pair.client.send_close_notify();
        let mut bytes = pair.client_sends();
        bytes.extend_from_slice(b"to be ignored");
        let (state, _) = pair.give_server(&bytes, usize::MAX);
        assert_eq!(state, Ok(TlsState::PeerClosed));
        assert_eq!(pair.plain, b"last words");
        assert!(pair.incoming.is_empty());
        let mut out = Vec::new();
        pair.server.write(b"answer", &mut out).unwrap();
        pair.server.close_notify(&mut out);
        assert_eq!(pair.server.write(b"too late", &mut out), Err(TlsError::Closed));
        pair.give_client(&out).unwrap();
        let mut got = Vec::new();
        assert_eq!(pair.client.reader().read_to_end(&mut got).unwrap(), 6, "a clean end, no truncation");
        assert_eq!(pair.give_server(b"more", usize::MAX).0, Ok(TlsState::PeerClosed));

        let mut pair = Pair::new(&server, &client, "one.test");
        pair.settle(usize::MAX).unwrap();
        let mut out = Vec::new();
        pair.server.close_notify(&mut out);
        pair.give_client(&out).unwrap();
        assert!(matches!(pair.client.reader().read(&mut [0; 8]), Ok(0)));
        pair.client.writer().write_all(b"still here").unwrap();
        assert_eq!(pair.settle(usize::MAX), Ok(TlsState::Open));
        assert_eq!(pair.plain, b"still here");
    }
}
