//! Much data, in memory and against a client of its own kind over a loopback socket.

use std::time::Duration;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};

use super::*;

const MEGABYTE: usize = 1024 * 1024;

fn pattern(length: usize) -> Vec<u8> {
    (0..length).map(|at| (at * 7 + at / 251).to_le_bytes()[0]).collect()
}

#[test]
fn a_megabyte_takes_as_few_records_as_possible() {
    let world = World::new();
    let server = world.server(&[]);
    for (version, overhead) in [(&version::TLS12, 29), (&version::TLS13, 22)] {
        let mut pair = Pair::new(&server, &Arc::new(world.client(&[version])), "one.test");
        pair.settle(usize::MAX).unwrap();
        let data = pattern(MEGABYTE);
        let mut out = b"kept".to_vec();
        pair.server.write(&data, &mut out).unwrap();
        assert_eq!(out.len() - 4, MEGABYTE + 64 * overhead, "64 records of 16 KiB, appended");
        let mut got = Vec::new();
        let mut rest = &out[4..];
        while !rest.is_empty() {
            pair.client.read_tls(&mut rest).unwrap();
            pair.client.process_new_packets().unwrap();
            got.extend(pair.client_reads());
        }
        assert!(got == data);
        let before = out.len();
        pair.server.write(b"", &mut out).unwrap();
        assert_eq!(out.len(), before, "no empty records");
    }
}

#[test]
fn key_updates_on_either_side_do_not_disturb() {
    let world = World::new();
    let mut pair = Pair::new(&world.server(&[]), &Arc::new(world.client(&[&version::TLS13])), "one.test");
    pair.settle(usize::MAX).unwrap();
    for _ in 0..5 {
        pair.client.refresh_traffic_keys().unwrap();
        // Ours answers with its own update ahead of the next data (RFC 8446 4.6.3).
        pair.exchange();
        pair.exchange();
    }
}

#[test]
fn many_small_records_in_one_packet_are_read_at_once() {
    let world = World::new();
    let mut pair = Pair::new(&world.server(&[]), &Arc::new(world.client(&[&version::TLS13])), "one.test");
    pair.settle(usize::MAX).unwrap();
    let mut wire = Vec::new();
    for number in 0..2000 {
        pair.client.writer().write_all(format!("<m n='{number}'/>").as_bytes()).unwrap();
        wire.extend(pair.client_sends());
    }
    let cut = wire.len() - 9;
    let (state, _) = pair.give_server(&wire[..cut], usize::MAX);
    assert_eq!(state, Ok(TlsState::Open));
    assert!(pair.plain.ends_with(b"<m n='1998'/>"));
    assert!(pair.incoming.len() < 60, "only the incomplete record waits");
    assert_eq!(pair.give_server(&wire[cut..], 1).0, Ok(TlsState::Open));
    assert!(pair.plain.ends_with(b"<m n='1999'/>") && pair.incoming.is_empty());
}

/// The smallest driver: a socket, the session and three buffers. Echoes until the peer closes.
async fn echo(mut socket: TcpStream, mut session: TlsSession) {
    let (mut incoming, mut plain, mut out) = (Vec::new(), Vec::new(), Vec::new());
    loop {
        if socket.read_buf(&mut incoming).await.unwrap() == 0 {
            return;
        }
        let state = session.read(&mut incoming, &mut plain, &mut out).unwrap();
        if !plain.is_empty() {
            session.write(&plain, &mut out).unwrap();
            plain.clear();
        }
        if state == TlsState::PeerClosed {
            session.close_notify(&mut out);
        }
        socket.write_all(&out).await.unwrap();
        out.clear();
    }
}

#[test]
fn a_megabyte_goes_both_ways_through_a_socket_with_a_foreign_driver() {
    let world = World::new();
    let server = world.server(&[ALPN_CLIENT]);
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    for version in [&version::TLS12, &version::TLS13] {
        let client = Arc::new(world.client(&[version]));
        let server = server.clone();
        let whole = async move {
            let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
            let address = listener.local_addr().unwrap();
            let serve = async {
                let (socket, _) = listener.accept().await.unwrap();
                echo(socket, TlsSession::accept(server).unwrap()).await;
            };
            let talk = async {
                let socket = TcpStream::connect(address).await.unwrap();
                let name = ServerName::try_from("one.test").unwrap();
                let stream = tokio_rustls::TlsConnector::from(client).connect(name, socket).await.unwrap();
                let (mut reading, mut writing) = tokio::io::split(stream);
                let data = pattern(MEGABYTE);
                let send = async {
                    writing.write_all(&data).await.unwrap();
                    writing.shutdown().await.unwrap();
                };
                let mut got = Vec::new();
                let receive = async { reading.read_to_end(&mut got).await };
                let ((), received) = tokio::join!(send, receive);
                assert_eq!(received.unwrap(), MEGABYTE, "and a clean end by close_notify");
                assert!(got == data);
            };
            tokio::join!(serve, talk);
        };
        runtime.block_on(async { tokio::time::timeout(Duration::from_secs(20), whole).await.unwrap() });
    }
}
