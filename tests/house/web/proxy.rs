//! Proxies in front: the PROXY protocol on listeners that ask for it, and those that speak HTTP.

use std::io::{Read, Write};
use std::net::{SocketAddr, TcpStream};

use super::http::Http;
use super::speaking;
use super::websocket::{Said, WebSocket};
use crate::client::{Client, PASSWORD, PATIENCE, trusting};
use crate::scene::Scene;

fn listeners() -> String {
    let mut text = String::new();
    for kind in ["c2s-plain", "c2s", "c2s-tls", "https", "http"] {
        let proxied = kind != "c2s-plain";
        text += &format!("[[listen]]\nkind = \"{kind}\"\naddress = \"127.0.0.1:0\"\nproxy_protocol = {proxied}\n");
    }
    text
}

fn version_1(address: &str) -> String {
    format!("PROXY TCP4 {address} 192.0.2.99 40000 5222\r\n")
}

/// Version 2 with an extension behind the addresses. All of its bytes are ASCII.
fn version_2([a, b, c, d]: [u8; 4]) -> String {
    let mut bytes = b"\r\n\r\n\0\r\nQUIT\n!\x11\0\x10".to_vec();
    bytes.extend_from_slice(&[a, b, c, d, 1, 2, 3, 4, 5, 6, 7, 8]);
    bytes.extend_from_slice(&[4, 0, 1, 0]);
    String::from_utf8(bytes).expect("ASCII")
}

fn socket(address: SocketAddr) -> TcpStream {
    let socket = TcpStream::connect(address).expect("a connection");
    socket.set_read_timeout(Some(PATIENCE)).expect("a socket");
    socket
}

#[test]
fn both_versions_come_before_tls_xmpp_and_http() {
    let mut scene = Scene::with(&listeners());
    for header in [version_1("203.0.113.7"), version_2([100, 64, 0, 7])] {
        let mut client = Client::connect(scene.server.starttls).expect("a connection");
        client.send(&header);
        client.open();
        client.send("<starttls xmlns='urn:ietf:params:xml:ns:xmpp-tls'/>");
        client.expect("<proceed");
        client.shake_hands(trusting(&scene.data.ca())).expect("a handshake");
        client.login("mallory", PASSWORD).expect("a login");

        let mut client = Client::connect(scene.server.direct_tls).expect("a connection");
        client.send(&header);
        client.shake_hands(trusting(&scene.data.ca())).expect("a handshake");
        client.login("mallory", PASSWORD).expect("a login");

        let mut behind = socket(scene.server.https);
        behind.write_all(header.as_bytes()).expect("written");
        assert_eq!(Http::secure_over(behind, speaking(&scene, &["http/1.1"])).get("/style.css").status, 200);

        // Header and request in one packet.
        let mut behind = socket(scene.server.http);
        behind
            .write_all(format!("{header}GET /healthz HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n").as_bytes())
            .expect("written");
        let mut said = String::new();
        behind.read_to_string(&mut said).expect("an answer");
        assert!(said.starts_with("HTTP/1.1 200") && said.ends_with("ok\n"), "{said}");
    }
    scene.canary();
}

#[test]
fn a_connection_without_a_header_or_with_a_wrong_one_is_closed_without_a_word() {
    let mut scene = Scene::with(&listeners());
    let unspoken = [
        "<?xml version='1.0'?><stream:stream to='localhost'>".to_owned(),
        "GET / HTTP/1.1\r\nHost: a\r\n\r\n".to_owned(),
        "PROXY TCP4 not-an-address 192.0.2.1 1 2\r\n".to_owned(),
        "PROXY TCP9\r\n".to_owned(),
        format!("PROXY UNKNOWN {}", "a".repeat(300)),
        "\r\n\r\n\0\r\nQUIT\n!\x11\x7f\x7f".to_owned(),
        "\r\n\r\n\0\r\nQUIT\n1\x11\0\x0c".to_owned(),
    ];
    for probe in &unspoken {
        for address in [scene.server.starttls, scene.server.direct_tls, scene.server.https, scene.server.http] {
            let mut socket = socket(address);
            socket.write_all(probe.as_bytes()).expect("written");
            let mut said = Vec::new();
            // A reset says the same as an end.
            let _ = socket.read_to_end(&mut said);
            assert!(said.is_empty(), "{probe:?}: {}", String::from_utf8_lossy(&said));
        }
    }
    scene.canary();
}

#[test]
fn b12_bans_are_of_the_address_in_the_header_not_of_the_proxy() {
    let limits = "[limits]\nauth_failures_per_address_max = 3\nauth_failures_per_stream_max = 1\n";
    let mut scene = Scene::with(&format!("{}{limits}", listeners()));
    let connect = |scene: &Scene, address: &str| {
        let mut client = Client::connect(scene.server.direct_tls).expect("a connection");
        client.send(&version_1(address));
        client.shake_hands(trusting(&scene.data.ca())).map(|()| client)
    };
    for _ in 0..3 {
        let mut client = connect(&scene, "203.0.113.66").expect("a handshake");
        client.open();
        let answer = client.sasl_plain("mallory", "a wrong password").expect("an answer");
        assert!(answer.starts_with("<failure"), "{answer}");
    }
    assert!(connect(&scene, "203.0.113.66").is_err(), "banned");
    let mut other = connect(&scene, "203.0.113.67").expect("somebody else is not");
    other.login("mallory", PASSWORD).expect("a login");
    scene.canary();
}

/// As the README has it: a web server on this machine ends TLS and says who is there.
#[test]
fn b12_behind_an_http_proxy_a_guesser_is_banned_and_nobody_else() {
    let mut scene = Scene::with("[limits]\nauth_failures_per_address_max = 3\nauth_failures_per_stream_max = 1\n");
    let connect = |scene: &Scene, address: &str| {
        let seen = format!("203.0.113.1, {address}");
        WebSocket::over(Http::connect(scene.server.http), &[("X-Forwarded-For", &seen)]).expect("a WebSocket")
    };
    let wrong = "<auth xmlns='urn:ietf:params:xml:ns:xmpp-sasl' mechanism='PLAIN'>AG1hbGxvcnkAd3Jvbmc=</auth>";
    for _ in 0..3 {
        let mut guesser = connect(&scene, "203.0.113.66");
        guesser.open();
        guesser.send(wrong);
        guesser.expect("<not-authorized");
    }
    assert_eq!(connect(&scene, "203.0.113.66").read(), Said::Nothing, "banned");
    connect(&scene, "203.0.113.67").login("mallory", "elsewhere");
    WebSocket::connect(scene.server.http).login("mallory", "here");
    scene.canary();
}

#[test]
fn b12_a_proxy_that_names_nobody_is_not_let_off() {
    let limits = "[limits]\nauth_failures_per_address_max = 3\nauth_failures_per_stream_max = 1\n";
    let scene = Scene::with(limits);
    let wrong = "<auth xmlns='urn:ietf:params:xml:ns:xmpp-sasl' mechanism='PLAIN'>AG1hbGxvcnkAd3Jvbmc=</auth>";
    let guess = |scene: &Scene| {
        let mut guesser = WebSocket::connect(scene.server.http);
        guesser.open();
        guesser.send(wrong);
        guesser.expect("<not-authorized");
    };
    for _ in 0..3 {
        guess(&scene);
    }
    let mut banned = Http::connect(scene.server.http);
    banned.ask("GET", "/", &[], b"");
    assert!(banned.try_response().is_none(), "the address is banned");
    // Tests and measurements say that they are some.
    let listen = listeners().replace("proxy_protocol = true", "unlimited = true");
    let mut scene = Scene::with(&format!("{listen}{limits}"));
    for _ in 0..4 {
        guess(&scene);
    }
    WebSocket::connect(scene.server.http).login("mallory", "here");
    scene.canary();
}
