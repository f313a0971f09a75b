//! Push notifications over real sockets: a push service of the web stands here, with a certificate of its own, and a browser that is
//! closed reads what it was sent (RFC 8030, 8188, 8291, 8292).

use std::io::{Read, Write};
use std::net::{Shutdown, TcpListener};
use std::sync::Arc;
use std::sync::mpsc::{Receiver, RecvTimeoutError, Sender, channel};
use std::time::Duration;

use aws_lc_rs::aead::{AES_128_GCM, Aad, LessSafeKey, Nonce, UnboundKey};
use aws_lc_rs::agreement::{ECDH_P256, PrivateKey, UnparsedPublicKey, agree};
use aws_lc_rs::hmac::{HMAC_SHA256, Key, sign};
use aws_lc_rs::signature::{self, ECDSA_P256_SHA256_FIXED};
use base64::Engine;
use base64::prelude::BASE64_URL_SAFE_NO_PAD;
use rustls::{ServerConfig, ServerConnection, StreamOwned};

use crate::authority;
use crate::client::{Client, PATIENCE, attribute, between};
use crate::server::{Data, Server, With};

/// What was posted: the head as it came, and the body.
struct Posted {
    head: String,
    body: Vec<u8>,
}

impl Posted {
    fn path(&self) -> &str {
        self.head.split(' ').nth(1).unwrap_or_default()
    }

    fn header(&self, name: &str) -> Option<&str> {
        let is_it = |line: &&str| line.split(':').next().is_some_and(|it| it.eq_ignore_ascii_case(name));
        Some(self.head.lines().find(is_it)?.split_once(':')?.1.trim())
    }
}

/// A push service on loopback. `/gone` answers 410, `/elsewhere` redirects, `/busy` answers 429 and `/full` 503, both for an hour;
/// `/busy-once` answers 429 the first time, for a second. Everything else takes what it gets.
struct Service {
    port: u16,
    /// PEM: who has issued its certificate.
    authority: String,
    posted: Receiver<Posted>,
}

impl Service {
    fn open(elsewhere: &str) -> Service {
        let (config, authority) = authority::server(&["localhost"]);
        let listener = TcpListener::bind("127.0.0.1:0").expect("a socket");
        let port = listener.local_addr().expect("an address").port();
        let (sender, posted) = channel();
        let elsewhere = elsewhere.to_owned();
        std::thread::spawn(move || {
            let mut busy = 0;
            for stream in listener.incoming().map_while(Result::ok) {
                // The test is over.
                if serve(stream, &config, &elsewhere, &mut busy, &sender).is_none() {
                    return;
                }
            }
        });
        Service { port, authority, posted }
    }

    fn next(&self) -> Posted {
        self.posted.recv_timeout(PATIENCE).expect("something is posted")
    }

    fn nothing(&self) {
        let more = self.posted.recv_timeout(Duration::from_millis(500));
        assert!(matches!(more, Err(RecvTimeoutError::Timeout)), "{:?}", more.map(|it| it.head));
    }
}

fn serve(
    stream: std::net::TcpStream,
    config: &Arc<ServerConfig>,
    elsewhere: &str,
    busy: &mut u32,
    sender: &Sender<Posted>,
) -> Option<()> {
    let for_now =
        |status: &str, seconds: u32| format!("HTTP/1.1 {status}\r\nRetry-After: {seconds}\r\nContent-Length: 0\r\n\r\n");

    stream.set_read_timeout(Some(PATIENCE)).ok()?;
    let connection = ServerConnection::new(config.clone()).ok()?;
    let mut stream = StreamOwned::new(connection, stream);
    let mut read = Vec::new();
    let mut byte = [0];
    while !read.ends_with(b"\r\n\r\n") {
        if stream.read(&mut byte).ok() != Some(1) {
            return Some(());
        }
        read.push(byte[0]);
    }
    let mut posted = Posted { head: String::from_utf8_lossy(&read).into_owned(), body: Vec::new() };
    let length = posted.header("content-length").and_then(|it| it.parse().ok()).unwrap_or(0);
    posted.body.resize(length, 0);
    stream.read_exact(&mut posted.body).ok();
    let answer = match posted.path() {
        "/gone" => "HTTP/1.1 410 Gone\r\nContent-Length: 0\r\n\r\n".to_owned(),
        "/elsewhere" => format!("HTTP/1.1 307 Temporary Redirect\r\nLocation: {elsewhere}\r\nContent-Length: 0\r\n\r\n"),
        "/busy" => for_now("429 Too Many Requests", 3_600),
        "/full" => for_now("503 Service Unavailable", 3_600),
        "/busy-once" if *busy == 0 => {
            *busy += 1;
            for_now("429 Too Many Requests", 1)
        }
        _ => "HTTP/1.1 201 Created\r\nLocation: https://localhost/message/1\r\nContent-Length: 0\r\n\r\n".to_owned(),
    };
    stream.write_all(answer.as_bytes()).and_then(|()| stream.flush()).ok();
    stream.sock.shutdown(Shutdown::Write).ok();
    sender.send(posted).ok()
}

/// A browser's half of a subscription.
struct Browser {
    key: PrivateKey,
    auth: [u8; 16],
}

impl Browser {
    fn new() -> Browser {
        Browser { key: PrivateKey::generate(&ECDH_P256).expect("a key"), auth: *b"sixteen bytes 16" }
    }

    fn public(&self) -> Vec<u8> {
        self.key.compute_public_key().expect("a point").as_ref().to_vec()
    }

    fn enable(&self, node: &str, endpoint: &str) -> String {
        let field = |var: &str, value: &str| format!("<field var='{var}'><value>{value}</value></field>");
        let fields = [
            field("FORM_TYPE", "http://jabber.org/protocol/pubsub#publish-options"),
            field("endpoint", endpoint),
            field("p256dh", &BASE64_URL_SAFE_NO_PAD.encode(self.public())),
            field("auth", &BASE64_URL_SAFE_NO_PAD.encode(self.auth)),
        ];
        let form = format!("<x xmlns='jabber:x:data' type='submit'>{}</x>", fields.concat());
        format!("<enable xmlns='urn:xmpp:push:0' jid='push.localhost' node='{node}'>{form}</enable>")
    }

    /// RFC 8291 3.4 and RFC 8188 2.1, from the receiving side.
    fn read(&self, body: &[u8]) -> String {
        let (salt, rest) = body.split_at(16);
        let (size, rest) = rest.split_at(4);
        assert_eq!(size, 4_096_u32.to_be_bytes());
        let (id, rest) = rest.split_at(1);
        let (theirs, record) = rest.split_at(usize::from(id[0]));
        let hmac = |key: &[u8], parts: &[&[u8]]| sign(&Key::new(HMAC_SHA256, key), &parts.concat()).as_ref().to_vec();
        let point = UnparsedPublicKey::new(&ECDH_P256, theirs);
        let prk = agree(&self.key, point, (), |secret| Ok(hmac(&self.auth, &[secret]))).expect("a secret");
        let ikm = hmac(&prk, &[b"WebPush: info\0", &self.public(), theirs, &[1]]);
        let prk = hmac(salt, &[&ikm]);
        let key = hmac(&prk, &[b"Content-Encoding: aes128gcm\0", &[1]]);
        let nonce = hmac(&prk, &[b"Content-Encoding: nonce\0", &[1]]);
        let key = LessSafeKey::new(UnboundKey::new(&AES_128_GCM, &key[..16]).expect("a key"));
        let nonce = Nonce::try_assume_unique_for_key(&nonce[..12]).expect("a nonce");
        let mut record = record.to_vec();
        let plain = key.open_in_place(nonce, Aad::empty(), &mut record).expect("it was encrypted for this browser");
        let plain = plain.strip_suffix(&[2]).expect("the last record");
        String::from_utf8(plain.to_vec()).expect("UTF-8")
    }
}

fn house(service: &Service, allowed: &str) -> (Data, With) {
    let data = Data::with_users(["alice", "bob", "carol"]);
    let authority = data.folder().join("push-ca.pem");
    std::fs::write(&authority, &service.authority).expect("a file");
    let config = format!("[web]\npush_addresses = [{allowed}]\npush_authorities = \"{}\"\n", authority.display());
    (data, With { config: Some(config), ..With::default() })
}

fn vapid_key(server: &Server) -> String {
    let mut page = Client::bound(server.plain, "carol", "asking");
    let info = page.iq("get", Some("push.localhost"), "<query xmlns='http://jabber.org/protocol/disco#info'/>");
    let field = info.split("<field ").find(|field| attribute(&format!("<field {field}"), "var") == Some("vapid-key"));
    between(field.expect("the key"), "<value>", "</value>").expect("a value").to_owned()
}

fn say(server: &Server, who: &str, body: &str) {
    let mut client = Client::bound(server.plain, who, "saying");
    client.send(&format!("<message to='carol@localhost' type='chat' id='{body}'><body>{body}</body></message>"));
    client.close();
}

#[test]
fn a_closed_browser_is_told_over_https_reads_it_alone_and_again_after_kill_9() {
    let service = Service::open("");
    let (data, with) = house(&service, "\"127.0.0.1\", \"::1\"");
    let server = data.start_with(&with);
    let (browser, key) = (Browser::new(), vapid_key(&server));
    let mut page = Client::bound(server.plain, "carol", "page");
    let endpoint = format!("https://localhost:{}/message/carol?x=1", service.port);
    assert!(page.iq("set", None, &browser.enable("firefox", &endpoint)).contains("type='result'"));
    // Acknowledged means kept.
    server.kill();
    drop(page);

    let server = data.start_with(&with);
    assert_eq!(vapid_key(&server), key, "RFC 8292 3.2: browsers have subscribed with this key");
    say(&server, "alice", "quite-private");
    let posted = service.next();
    assert!(posted.head.starts_with("POST /message/carol?x=1 HTTP/1.1\r\n"), "{}", posted.head);
    assert_eq!(posted.header("host"), Some(format!("localhost:{}", service.port).as_str()));
    assert_eq!(posted.header("content-encoding"), Some("aes128gcm"));
    assert_eq!((posted.header("ttl"), posted.header("urgency")), (Some("86400"), Some("normal")));
    assert_eq!(browser.read(&posted.body), "{\"messages\":1,\"requests\":0,\"call\":false}");

    let authorization = posted.header("authorization").expect("a token");
    let (token, shown) = authorization.strip_prefix("vapid t=").expect("the scheme").split_once(", k=").expect("a key");
    assert_eq!(shown, key);
    let (signed, signature) = token.rsplit_once('.').expect("a signature");
    let decode = |text: &str| BASE64_URL_SAFE_NO_PAD.decode(text).expect("base64url");
    let verified = signature::UnparsedPublicKey::new(&ECDSA_P256_SHA256_FIXED, decode(&key));
    verified.verify(signed.as_bytes(), &decode(signature)).expect("signed with the key of the house");
    let claims = String::from_utf8(decode(signed.split_once('.').expect("claims").1)).expect("UTF-8");
    assert!(claims.contains(&format!("\"aud\":\"https://localhost:{}\"", service.port)), "{claims}");
    assert!(claims.contains("\"sub\":\"https://localhost\""), "{claims}");

    let log = data.logged();
    assert!(!log.contains("quite-private") && !log.contains("/message/carol"), "{log}");
}

#[test]
fn rfc8030_7_3_a_subscription_that_is_gone_is_removed() {
    let service = Service::open("");
    let (data, with) = house(&service, "\"127.0.0.1\", \"::1\"");
    let server = data.start_with(&with);
    let browser = Browser::new();
    let mut page = Client::bound(server.plain, "carol", "page");
    for (node, path) in [("old", "gone"), ("new", "stays")] {
        let endpoint = format!("https://localhost:{}/{path}", service.port);
        assert!(page.iq("set", None, &browser.enable(node, &endpoint)).contains("type='result'"));
    }
    page.close();
    say(&server, "alice", "one");
    let mut paths = [service.next(), service.next()].map(|posted| posted.path().to_owned());
    paths.sort();
    assert_eq!(paths, ["/gone", "/stays"]);
    // What the service has answered is known when the account has heard of it: it is asked until then.
    let deadline = std::time::Instant::now() + PATIENCE;
    for n in 0.. {
        assert!(std::time::Instant::now() < deadline, "it is not removed");
        say(&server, if n % 2 == 0 { "bob" } else { "alice" }, &format!("more{n}"));
        let mut page = Client::bound(server.plain, "carol", "page");
        page.send("<presence/>");
        page.close();
        let told: Vec<String> = std::iter::from_fn(|| service.posted.recv_timeout(Duration::from_millis(500)).ok())
            .map(|posted| posted.path().to_owned())
            .collect();
        if told.iter().any(|path| path == "/stays") && !told.iter().any(|path| path == "/gone") {
            return;
        }
    }
}

fn subscribed(page: &mut Client, service: &Service, browser: &Browser, path: &str) {
    let endpoint = format!("https://localhost:{}/{path}", service.port);
    assert!(page.iq("set", None, &browser.enable(path, &endpoint)).contains("type='result'"));
}

#[test]
fn rfc8030_8_4_what_a_busy_service_has_not_taken_is_told_again_when_it_said() {
    let service = Service::open("");
    let (data, with) = house(&service, "\"127.0.0.1\", \"::1\"");
    let server = data.start_with(&with);
    let browser = Browser::new();
    let mut page = Client::bound(server.plain, "carol", "page");
    subscribed(&mut page, &service, &browser, "busy-once");
    page.close();
    say(&server, "alice", "one");
    let told = [service.next(), service.next()].map(|posted| browser.read(&posted.body));
    assert_eq!(told, ["{\"messages\":1,\"requests\":0,\"call\":false}"; 2], "by itself, without another message");
    service.nothing();
}

#[test]
fn rfc8030_8_4_a_subscription_of_which_there_is_too_much_is_left_alone_and_a_service_that_is_full_with_all_of_them() {
    let service = Service::open("");
    let (data, with) = house(&service, "\"127.0.0.1\", \"::1\"");
    let server = data.start_with(&with);
    let browser = Browser::new();
    let mut page = Client::bound(server.plain, "carol", "page");
    subscribed(&mut page, &service, &browser, "busy");
    subscribed(&mut page, &service, &browser, "stays");
    page.close();
    say(&server, "alice", "one");
    let mut paths = [service.next(), service.next()].map(|posted| posted.path().to_owned());
    paths.sort();
    assert_eq!(paths, ["/busy", "/stays"]);
    // 429 is about one subscription (another conversation, so that it is no burst of ours).
    say(&server, "bob", "two");
    assert_eq!(service.next().path(), "/stays");
    service.nothing();
    drop(server);

    // 503 is about the service.
    let (data, with) = house(&service, "\"127.0.0.1\", \"::1\"");
    let server = data.start_with(&with);
    let mut page = Client::bound(server.plain, "carol", "page");
    subscribed(&mut page, &service, &browser, "full");
    page.close();
    say(&server, "alice", "one");
    assert_eq!(service.next().path(), "/full");
    let mut page = Client::bound(server.plain, "carol", "page");
    subscribed(&mut page, &service, &browser, "stays");
    page.close();
    say(&server, "bob", "two");
    service.nothing();
}

/// Security D9: what a user names as a push service is spoken to only by HTTPS, at a public address, without following it anywhere.
#[test]
fn d9_no_inner_address_is_spoken_to_for_a_browser_and_no_redirect_is_followed() {
    let inner = TcpListener::bind("127.0.0.1:0").expect("a socket");
    inner.set_nonblocking(true).expect("a socket that does not wait");
    let inner_port = inner.local_addr().expect("an address").port();
    let service = Service::open(&format!("https://localhost:{inner_port}/"));
    let browser = Browser::new();

    // Nothing of this network is allowed: the name leads to loopback, and nobody there hears anything.
    let (data, with) = house(&service, "");
    let server = data.start_with(&with);
    let mut page = Client::bound(server.plain, "carol", "page");
    for (node, endpoint) in [
        ("a", format!("http://localhost:{inner_port}/")),
        ("b", format!("https://127.0.0.1:{inner_port}/")),
        ("c", format!("https://[::1]:{inner_port}/")),
        ("d", "https://169.254.169.254/latest/meta-data/".to_owned()),
        ("e", format!("https://x@localhost:{inner_port}/")),
    ] {
        let answer = page.iq("set", None, &browser.enable(node, &endpoint));
        assert!(answer.contains("<not-acceptable"), "{endpoint}: {answer}");
    }
    for (node, port) in [("f", inner_port), ("g", service.port)] {
        let endpoint = format!("https://localhost:{port}/");
        assert!(page.iq("set", None, &browser.enable(node, &endpoint)).contains("type='result'"));
    }
    page.close();
    say(&server, "alice", "one");
    service.nothing();
    assert!(inner.accept().is_err(), "somebody was spoken to");
    drop(server);

    // The service itself is allowed, and sends us elsewhere: there nobody goes.
    let (data, with) = house(&service, "\"127.0.0.1\", \"::1\"");
    let server = data.start_with(&with);
    let mut page = Client::bound(server.plain, "carol", "page");
    let endpoint = format!("https://localhost:{}/elsewhere", service.port);
    assert!(page.iq("set", None, &browser.enable("h", &endpoint)).contains("type='result'"));
    page.close();
    say(&server, "alice", "two");
    assert_eq!(service.next().path(), "/elsewhere");
    service.nothing();
    assert!(inner.accept().is_err(), "the redirect was followed");
}
