//! A WebSocket client (RFC 6455, RFC 7395) that can be made to do anything wrong, and what it finds.

use std::net::SocketAddr;
use std::sync::Arc;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use rustls::ClientConfig;

use super::http::{Http, Response};
use super::speaking;
use crate::client::{Client, DOMAIN, PASSWORD, PATIENCE, attribute, between};
use crate::scene::{OTHER, Scene};

const FRAMING: &str = "urn:ietf:params:xml:ns:xmpp-framing";

pub struct WebSocket {
    http: Http,
    pub jid: String,
}

#[derive(Debug, PartialEq, Eq)]
pub enum Said {
    Text(String),
    Pong(Vec<u8>),
    Close(u16),
    /// The connection has ended without a close.
    Nothing,
}

const HANDSHAKE: [(&str, &str); 5] = [
    ("Connection", "Upgrade"),
    ("Upgrade", "websocket"),
    ("Sec-WebSocket-Version", "13"),
    ("Sec-WebSocket-Key", "dGhlIHNhbXBsZSBub25jZQ=="),
    ("Sec-WebSocket-Protocol", "xmpp"),
];

impl WebSocket {
    pub fn connect(address: SocketAddr) -> WebSocket {
        WebSocket::over(Http::connect(address), &[]).expect("a WebSocket")
    }

    pub fn secure(address: SocketAddr, config: Arc<ClientConfig>) -> WebSocket {
        WebSocket::over(Http::secure(address, config), &[]).expect("a WebSocket")
    }

    /// `change`: other values for headers of the handshake, or more of them. The error is the refusal.
    pub fn over(mut http: Http, change: &[(&str, &str)]) -> Result<WebSocket, Response> {
        let mut headers: Vec<(&str, &str)> =
            HANDSHAKE.into_iter().filter(|(name, _)| !change.iter().any(|(other, _)| other == name)).collect();
        headers.extend(change.iter().filter(|(_, value)| !value.is_empty()));
        let response = http.request("GET", "/xmpp-websocket", &headers, b"");
        if response.status != 101 {
            return Err(response);
        }
        assert_eq!(response.header("sec-websocket-accept"), Some("s3pPLMBiTxaQ9kYGzzhZRbK+xOo="));
        assert_eq!(response.header("sec-websocket-protocol"), Some("xmpp"));
        assert_eq!(response.header("sec-websocket-extensions"), None);
        Ok(WebSocket { http, jid: String::new() })
    }

    pub fn raw(&mut self, bytes: &[u8]) {
        self.http.send(bytes);
    }

    /// A masked frame; `first` is the whole first byte.
    pub fn frame(&mut self, first: u8, payload: &[u8]) {
        self.http.send(&masked(first, payload));
    }

    pub fn send(&mut self, xml: &str) {
        self.frame(0x81, xml.as_bytes());
    }

    pub fn read(&mut self) -> Said {
        loop {
            if let Some((opcode, payload)) = self.take_frame() {
                match opcode {
                    1 => return Said::Text(self.checked(payload)),
                    8 => return Said::Close(u16::from_be_bytes([payload[0], payload[1]])),
                    10 => return Said::Pong(payload),
                    other => panic!("an opcode {other}"),
                }
            }
            if self.http.more().is_none() {
                return Said::Nothing;
            }
        }
    }

    /// RFC 7395 3.3.3: every message is a document: strict readers must take it.
    fn checked(&self, payload: Vec<u8>) -> String {
        let text = String::from_utf8(payload).expect("UTF-8");
        assert!(text.starts_with('<'), "{text}");
        let names = iris_core::xml::names::NameTable::new();
        let limits = iris_core::xml::limits::XmlLimits::PRE_AUTH;
        let limits = iris_core::xml::limits::XmlLimits { stanza_size_bytes_max: 1 << 20, elements_max: 100_000, ..limits };
        let mut scanner = iris_core::xml::scan::Scanner::for_fragments(limits, std::sync::Arc::new(names));
        match scanner.scan(text.as_bytes()) {
            Ok(iris_core::xml::scan::Scanned::Stanza { consumed, stanza }) => {
                assert_eq!(consumed, text.len(), "{text}");
                assert_ne!(stanza.name().0, "", "no namespace: {text}");
            }
            other => panic!("no document: {other:?}: {text}"),
        }
        text
    }

    /// A whole unmasked frame, if one is there.
    fn take_frame(&mut self) -> Option<(u8, Vec<u8>)> {
        let buf = self.http.incoming();
        let (&first, &second) = (buf.first()?, buf.get(1)?);
        assert_eq!(first & 0xf0, 0x80, "one frame a message, no extension");
        assert_eq!(second & 0x80, 0, "a server does not mask");
        let (start, length) = match second {
            126 => (4, usize::from(u16::from_be_bytes(buf.get(2..4)?.try_into().ok()?))),
            127 => (10, u64::from_be_bytes(buf.get(2..10)?.try_into().ok()?) as usize),
            short => (2, usize::from(short)),
        };
        let payload = buf.get(start..start + length)?.to_vec();
        buf.drain(..start + length);
        Some((first & 0x0f, payload))
    }

    #[track_caller]
    pub fn expect(&mut self, what: &str) -> String {
        let mut skipped = Vec::new();
        loop {
            match self.read() {
                Said::Text(text) if text.contains(what) => return text,
                Said::Text(text) => skipped.push(text),
                Said::Pong(_) => {}
                end => panic!("no {what}: {end:?} after {skipped:?}"),
            }
        }
    }

    pub fn open(&mut self) -> String {
        self.open_to(DOMAIN);
        self.expect("<stream:features")
    }

    pub fn open_to(&mut self, domain: &str) {
        self.send(&format!("<open xmlns='{FRAMING}' to='{domain}' version='1.0' xml:lang='en'/>"));
    }

    pub fn authenticate(&mut self, user: &str) {
        let features = self.open();
        assert!(!features.contains("starttls"), "{features}");
        let blob = STANDARD.encode(format!("\0{user}\0{PASSWORD}"));
        self.send(&format!("<auth xmlns='urn:ietf:params:xml:ns:xmpp-sasl' mechanism='PLAIN'>{blob}</auth>"));
        self.expect("<success");
        self.open();
    }

    pub fn bind(&mut self, resource: &str) {
        let bind = "<bind xmlns='urn:ietf:params:xml:ns:xmpp-bind'>";
        self.send(&format!("<iq xmlns='jabber:client' type='set' id='bind'>{bind}<resource>{resource}</resource></bind></iq>"));
        let answer = self.expect("id='bind'");
        self.jid = between(&answer, "<jid>", "</jid>").expect("a JID").to_owned();
    }

    pub fn login(mut self, user: &str, resource: &str) -> WebSocket {
        self.authenticate(user);
        self.bind(resource);
        self
    }

    /// What is said until the end, and how it ends.
    pub fn last_words(&mut self) -> (Vec<String>, Option<u16>) {
        let (mut said, mut code) = (Vec::new(), None);
        loop {
            match self.read() {
                Said::Text(text) => {
                    assert_eq!(code, None, "something after the close: {text}");
                    said.push(text);
                }
                Said::Close(with) => code = Some(with),
                Said::Pong(_) => {}
                Said::Nothing => return (said, code),
            }
        }
    }
}

fn masked(first: u8, payload: &[u8]) -> Vec<u8> {
    const MASK: [u8; 4] = [0x12, 0x34, 0x56, 0x78];
    let mut out = vec![first];
    match payload.len() {
        n @ ..126 => out.push(0x80 | n as u8),
        n @ 126..=0xffff => {
            out.push(0x80 | 126);
            out.extend_from_slice(&(n as u16).to_be_bytes());
        }
        n => {
            out.push(0x80 | 127);
            out.extend_from_slice(&(n as u64).to_be_bytes());
        }
    }
    out.extend_from_slice(&MASK);
    out.extend(payload.iter().zip(MASK.iter().cycle()).map(|(byte, mask)| byte ^ mask));
    out
}

/// A chat there and back, and a stanza that is large.
fn chats(scene: &mut Scene, mut it: WebSocket) {
    it.send("<presence xmlns='jabber:client'/>");
    it.expect("<presence");
    let to = scene.bob.jid.clone();
    it.send(&format!(
        "<message xmlns='jabber:client' to='{to}' type='chat' id='w1'><body>over &lt;the&gt; web</body></message>"
    ));
    let heard = scene.bob.expect("over &lt;the&gt; web");
    assert_eq!(attribute(&heard, "from"), Some(it.jid.as_str()));
    let large = "ä".repeat(100_000);
    let answer = format!("<message to='{}' type='chat'><body>{large}</body></message>", it.jid);
    scene.bob.send(&answer);
    let heard = it.expect(&large);
    assert_eq!(attribute(&heard, "xmlns"), Some("jabber:client"));
    assert_eq!(heard.matches("xmlns='jabber:client'").count(), 1, "{}", &heard[..200]);
    it.send(&format!("<message xmlns='jabber:client' to='{to}' type='chat'><body>{large}</body></message>"));
    scene.bob.expect(&large);
    it.send("<iq xmlns='jabber:client' type='get' id='r'><query xmlns='jabber:iq:roster'/></iq>");
    it.expect("id='r'");
    it.send(&format!("<close xmlns='{FRAMING}'/>"));
    let (said, code) = it.last_words();
    assert_eq!((said.last().map(String::as_str), code), (Some(format!("<close xmlns='{FRAMING}'/>").as_str()), Some(1000)));
}

#[test]
fn rfc7395_a_chat_over_wss_and_over_ws_with_a_client_on_tcp() {
    let mut scene = Scene::new();
    let wss = WebSocket::secure(scene.server.https, speaking(&scene, &["http/1.1"])).login("mallory", "web");
    chats(&mut scene, wss);
    let ws = WebSocket::connect(scene.server.http).login("mallory", "proxied");
    chats(&mut scene, ws);
    scene.canary();
}

#[test]
fn rfc7395_s3_4_the_stream_opens_with_an_element_and_errors_follow_one() {
    let mut scene = Scene::new();
    let mut it = WebSocket::connect(scene.server.http);
    it.open_to(DOMAIN);
    let open = it.expect("<open");
    for (name, value) in [("xmlns", FRAMING), ("from", DOMAIN), ("version", "1.0")] {
        assert_eq!(attribute(&open, name), Some(value), "{open}");
    }
    assert!(attribute(&open, "id").is_some_and(|id| id.len() >= 32));
    drop(it);
    // 3.5: the answer to the <open/>, the error, the end.
    let open = |to: &str| format!("<open xmlns='{FRAMING}' to='{to}' version='1.0'/>");
    for (first, condition) in [
        (open("nowhere.example"), "host-unknown"),
        (format!("<open xmlns='{FRAMING}' to='{DOMAIN}'/>"), "unsupported-version"),
        (format!("<open xmlns='jabber:client' to='{DOMAIN}' version='1.0'/>"), "not-authorized"),
        ("<message xmlns='jabber:client'/>".into(), "not-authorized"),
        (format!("<open xmlns='{FRAMING}'"), "not-well-formed"),
        (format!(" {}", open(DOMAIN)), "bad-format"),
    ] {
        let mut it = WebSocket::connect(scene.server.http);
        it.send(&first);
        let (said, code) = it.last_words();
        assert_eq!(said.len(), 3, "{first}: {said:?}");
        assert!(said[0].starts_with("<open ") && said[2].starts_with("<close "), "{first}: {said:?}");
        assert!(said[1].contains(&format!("<{condition} xmlns")), "{first}: {said:?}");
        assert_eq!(code, Some(1000), "{first}");
    }
    scene.canary();
}

#[test]
fn rfc7395_s3_10_a_session_is_resumed_over_another_websocket_and_over_tcp() {
    let mut scene = Scene::new();
    let config = speaking(&scene, &["http/1.1"]);
    let mut first = WebSocket::secure(scene.server.https, config.clone()).login("mallory", "sm");
    first.send("<enable xmlns='urn:xmpp:sm:3' resume='true'/>");
    let enabled = first.expect("<enabled");
    let id = attribute(&enabled, "id").expect("an id").to_owned();
    let jid = first.jid.clone();
    drop(first);
    scene.bob.send(&format!("<message to='{jid}' type='chat'><body>while you were away</body></message>"));
    scene.bob.ping(PATIENCE).expect("a pong");
    let mut second = WebSocket::secure(scene.server.https, config);
    second.authenticate("mallory");
    second.send(&format!("<resume xmlns='urn:xmpp:sm:3' previd='{id}' h='0'/>"));
    assert!(second.expect("<resumed").contains(&id));
    second.expect("while you were away");
    // A close of the WebSocket without <close/> is a lost connection (RFC 7395 3.6).
    second.frame(0x88, &1001u16.to_be_bytes());
    let (_, code) = second.last_words();
    assert_eq!(code, Some(1000));
    let mut third = Client::connect(scene.server.plain).expect("a connection");
    third.login("mallory", PASSWORD).expect("a login");
    let resumed = third.resume_sm(&id, 0).expect("an answer");
    assert!(resumed.starts_with("<resumed"), "{resumed}");
    third.expect("while you were away");
    scene.canary();
}

#[test]
fn rfc6455_s5_pings_are_answered_and_pieces_put_together() {
    let mut scene = Scene::new();
    let mut it = WebSocket::connect(scene.server.http);
    it.frame(0x89, b"before anything");
    assert_eq!(it.read(), Said::Pong(b"before anything".to_vec()));
    let mut it = it.login("mallory", "pieces");
    let stanza = format!("<message xmlns='jabber:client' to='{}' type='chat'><body>p\u{e4}s</body></message>", scene.bob.jid);
    let cut = stanza.find('\u{e4}').expect("an umlaut") + 1;
    let (head, tail) = stanza.as_bytes().split_at(cut);
    it.frame(0x01, head);
    it.frame(0x89, b"between");
    it.frame(0x00, b"");
    it.frame(0x80, tail);
    assert_eq!(it.read(), Said::Pong(b"between".to_vec()));
    scene.bob.expect("p\u{e4}s");
    // Byte by byte, two messages in one packet.
    let two = [masked(0x81, stanza.as_bytes()), masked(0x81, stanza.as_bytes())].concat();
    for byte in &two[..40] {
        it.raw(&[*byte]);
    }
    it.raw(&two[40..]);
    scene.bob.expect("p\u{e4}s");
    scene.bob.expect("p\u{e4}s");
    scene.canary();
}

#[test]
fn d6_a_handshake_from_a_page_of_elsewhere_or_without_the_subprotocol_is_refused() {
    let mut scene = Scene::with(&format!("[web]\norigins = {{ \"{OTHER}\" = [\"https://chat.example\"] }}\n"));
    for (change, status) in [
        (("Origin", "https://evil.example"), 403),
        (("Origin", "null"), 403),
        (("Origin", "https://localhost.evil.example"), 403),
        (("Sec-WebSocket-Protocol", ""), 400),
        (("Sec-WebSocket-Protocol", "chat"), 400),
        (("Sec-WebSocket-Version", "8"), 426),
        (("Sec-WebSocket-Key", "abc"), 400),
        (("Upgrade", ""), 426),
    ] {
        let refusal = WebSocket::over(Http::connect(scene.server.http), &[change]);
        let refusal = refusal.err().unwrap_or_else(|| panic!("{change:?} is let in"));
        assert_eq!(refusal.status, status, "{change:?}");
        super::says_nothing_of_the_inside(&refusal, "a handshake");
        assert_eq!(refusal.header("access-control-allow-origin"), None);
    }
    // The domain's own page, and a page of this machine.
    for origin in ["https://localhost", "http://127.0.0.1:8080"] {
        WebSocket::over(Http::connect(scene.server.http), &[("Origin", origin)]).expect("let in").login("mallory", "page");
    }
    // A page that one domain lists is let in, and may speak to that one only, however it writes the other's name.
    for (to, fits) in [(OTHER, true), (DOMAIN, false), ("LOCALHOST", false)] {
        let mut it = WebSocket::over(Http::connect(scene.server.http), &[("Origin", "https://chat.example")]).expect("let in");
        it.open_to(to);
        if fits {
            it.expect("<stream:features");
        } else {
            let (said, _) = it.last_words();
            assert!(said[1].contains("<policy-violation"), "{to}: {said:?}");
        }
    }
    let mut it = WebSocket::over(Http::connect(scene.server.http), &[("Cookie", "session=alice")]).expect("let in");
    assert!(it.open().contains("<mechanisms"), "a cookie is nobody");
    scene.canary();
}

#[test]
fn d6_frames_that_break_the_rules_close_the_connection_with_the_code_that_says_why() {
    let mut scene = Scene::new();
    let open = format!("<open xmlns='{FRAMING}' to='{DOMAIN}' version='1.0'/>");
    let unmasked = [&[0x81, open.len() as u8], open.as_bytes()].concat();
    let gigabyte = [0x81, 0xff, 0, 0, 0, 0, 0x40, 0, 0, 0, 1, 2, 3, 4];
    let fragments: Vec<u8> = (0..10).flat_map(|i| masked(if i == 0 { 0x01 } else { 0x00 }, b"<")).collect();
    for (probe, bytes, code) in [
        ("unmasked", unmasked, 1002),
        ("binary", masked(0x82, open.as_bytes()), 1003),
        ("nine fragments", fragments, 1008),
        ("a gigabyte", gigabyte.to_vec(), 1009),
        ("a ping of 126", masked(0x89, &[b'a'; 126]), 1002),
        ("invalid UTF-8", masked(0x81, b"<open xmlns='\xff'/>"), 1007),
        ("a compressed bomb", masked(0xc1, &[0; 200]), 1002),
        ("an unknown opcode", masked(0x83, b"x"), 1002),
    ] {
        for authenticated in [false, true] {
            let mut it = WebSocket::connect(scene.server.http);
            if authenticated {
                it = it.login("mallory", "breaks");
            }
            it.raw(&bytes);
            let (said, with) = it.last_words();
            assert_eq!(with, Some(code), "{probe}: {said:?}");
            scene.canary();
        }
    }
}

#[test]
fn d6_xml_that_breaks_the_rules_ends_the_stream() {
    let mut scene = Scene::new();
    let ping = "<iq xmlns='jabber:client' type='get' id='p'><ping xmlns='urn:xmpp:ping'/></iq>";
    for (probe, conditions) in [
        (format!("{ping}{ping}"), &["not-well-formed"][..]),
        (
            "<stream:stream xmlns='jabber:client' xmlns:stream='http://etherx.jabber.org/streams' to='localhost' version='1.0'>".into(),
            &["not-well-formed", "bad-format"],
        ),
        ("<!DOCTYPE a [<!ENTITY b 'c'>]><a>&b;</a>".into(), &["restricted-xml", "bad-format"]),
        ("<message xmlns='jabber:client'><!-- comment --></message>".into(), &["restricted-xml"]),
        ("<message xmlns='jabber:client'><body>&undeclared;</body></message>".into(), &["not-well-formed"]),
        ("<?xml version='1.0' encoding='latin1'?><presence xmlns='jabber:client'/>".into(), &["unsupported-encoding"]),
        (format!("<open xmlns='{FRAMING}' to='{OTHER}' version='1.0'/>"), &["not-well-formed", "not-authorized"]),
        (format!("<message xmlns='jabber:client'><body>{}</body></message>", "a".repeat(262_144)), &["policy-violation"]),
    ] {
        let mut it = WebSocket::connect(scene.server.http).login("mallory", "xml");
        it.send(&probe);
        let (said, code) = it.last_words();
        let error = said.iter().find(|it| it.starts_with("<stream:error")).unwrap_or(&probe).clone();
        let told = conditions.iter().any(|condition| error.contains(&format!("<{condition} xmlns")));
        let too_large = conditions == ["policy-violation"] && code == Some(1009);
        assert!(told || too_large, "{}: {said:?} {code:?}", &probe[..40]);
        scene.canary();
    }
}

#[test]
fn b14_a_websocket_that_authenticated_for_one_domain_cannot_open_another() {
    let mut scene = Scene::new();
    let mut it = WebSocket::connect(scene.server.http);
    it.open();
    let blob = STANDARD.encode(format!("\0mallory\0{PASSWORD}"));
    it.send(&format!("<auth xmlns='urn:ietf:params:xml:ns:xmpp-sasl' mechanism='PLAIN'>{blob}</auth>"));
    it.expect("<success");
    it.open_to(OTHER);
    let (said, _) = it.last_words();
    assert!(said.iter().any(|it| it.contains("<not-authorized")), "{said:?}");
    scene.canary();
}

#[test]
fn a_kept_connection_may_become_a_websocket() {
    let mut scene = Scene::new();
    let mut http = Http::secure(scene.server.https, speaking(&scene, &["http/1.1"]));
    assert_eq!(http.get("/.well-known/host-meta").status, 200);
    WebSocket::over(http, &[]).expect("a WebSocket").login("mallory", "kept");
    scene.canary();
}
