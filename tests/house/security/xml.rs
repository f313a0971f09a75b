//! A: XML and the stream layer.

use std::io::Write;
use std::net::{SocketAddr, TcpListener};
use std::time::Duration;

use crate::client::{Client, PATIENCE, attribute, between, trusting};
use crate::scene::{Scene, last_words, refused};

/// A message to bob with this inside, from mallory, who is refused for it.
#[track_caller]
fn stanza_refused(scene: &mut Scene, bytes: &[u8], conditions: &[&str]) {
    let probe = String::from_utf8_lossy(bytes).chars().take(120).collect::<String>();
    let mut mallory = scene.mallory();
    // The server may have closed before everything is written.
    let _ = mallory.try_send_bytes(bytes);
    refused(mallory, conditions, &probe);
    scene.canary();
}

/// These bytes first, on every listener.
#[track_caller]
fn first_bytes_refused(scene: &mut Scene, bytes: &[u8], conditions: &[&str]) {
    let probe = String::from_utf8_lossy(bytes).chars().take(120).collect::<String>();
    for address in [scene.server.plain, scene.server.starttls, scene.server.direct_tls] {
        let mut client = match address == scene.server.direct_tls {
            true => Client::direct_tls(address, trusting(&scene.data.ca())).expect("a handshake"),
            false => Client::connect(address).expect("a connection"),
        };
        let _ = client.try_send_bytes(bytes);
        refused(client, conditions, &probe);
    }
    scene.canary();
}

const HEADER: &str = "<stream:stream to='localhost' version='1.0' xmlns='jabber:client' \
                      xmlns:stream='http://etherx.jabber.org/streams'>";

#[test]
fn a1_billion_laughs_before_the_stream_are_restricted_xml() {
    let mut scene = Scene::new();
    let mut laughs = String::from("<?xml version='1.0'?><!DOCTYPE x [<!ENTITY a0 'ha'>");
    for n in 1..30 {
        laughs.push_str(&format!("<!ENTITY a{n} '&a{};&a{};'>", n - 1, n - 1));
    }
    laughs.push_str(&format!("]>{HEADER}&a29;"));
    first_bytes_refused(&mut scene, laughs.as_bytes(), &["restricted-xml"]);
}

#[test]
fn a2_a_dtd_in_a_later_stanza_is_restricted_xml() {
    let mut scene = Scene::new();
    for probe in [
        "<!DOCTYPE x [<!ENTITY a 'b'>]><message to='bob@localhost'><body>&a;</body></message>",
        "<message to='bob@localhost'><!DOCTYPE x><body>x</body></message>",
        "<message to='bob@localhost'><body><!ENTITY a 'b'></body></message>",
    ] {
        stanza_refused(&mut scene, probe.as_bytes(), &["restricted-xml", "not-well-formed"]);
    }
}

#[test]
fn a3_external_entities_are_neither_fetched_nor_read() {
    let mut scene = Scene::new();
    let trap = TcpListener::bind("127.0.0.1:0").expect("a port");
    trap.set_nonblocking(true).expect("a socket");
    let url = format!("http://{}/x", trap.local_addr().expect("an address"));
    for system in [url.as_str(), "file:///etc/passwd"] {
        for kind in ["", "% "] {
            let probe = format!("<?xml version='1.0'?><!DOCTYPE x [<!ENTITY {kind}a SYSTEM '{system}'>]>{HEADER}&a;");
            let mut client = Client::connect(scene.server.plain).expect("a connection");
            let _ = client.try_send(&probe);
            let said = last_words(&mut client, &probe).concat();
            assert!(said.contains("<restricted-xml ") && !said.contains("root:"), "{said}");
            scene.canary();
        }
    }
    let asked = trap.accept().map(|_| ()).map_err(|error| error.kind());
    assert_eq!(asked, Err(std::io::ErrorKind::WouldBlock), "somebody has come for the entity");
}

#[test]
fn a4_comments_instructions_and_entities_end_the_stream() {
    let mut scene = Scene::new();
    for inside in ["<!-- x -->", "<?x y?>"] {
        let probe = format!("<message to='bob@localhost'><body>a{inside}b</body></message>");
        stanza_refused(&mut scene, probe.as_bytes(), &["restricted-xml"]);
    }
    for inside in ["&foo;", "&#0;", "&#x8;", "&#xD800;", "&#xFFFE;", "&#x110000;", "&;", "&#;", "& "] {
        let probe = format!("<message to='bob@localhost'><body>{inside}</body></message>");
        stanza_refused(&mut scene, probe.as_bytes(), &["not-well-formed"]);
    }
}

#[test]
fn a4_cdata_is_text_and_what_it_quotes_stays_quoted() {
    let mut scene = Scene::new();
    let mut mallory = scene.mallory();
    mallory
        .send("<message to='bob@localhost/phone' type='chat'><body><![CDATA[</body></message><iq id='x'/>]]></body></message>");
    let heard = scene.bob.read_stanza();
    assert!(heard.contains("from='mallory@localhost/cave'") && heard.ends_with("</message>"), "{heard}");
    assert!(heard.contains("<body><![CDATA[</body></message><iq id='x'/>]]></body>"), "{heard}");
    scene.canary();
}

#[test]
fn a5_invalid_utf_8_reaches_nobody_wherever_it_stands() {
    let mut scene = Scene::new();
    let bad: [&[u8]; 7] = [b"\xC0\xAF", b"\xE0\x80\xAF", b"\x80", b"\xE2\x82", b"\xED\xA0\x80", b"\xF4\x90\x80\x80", b"\xFF"];
    let places: [(&str, &str); 5] = [
        ("<message to='bob@localhost'><body>a", "b</body></message>"),
        ("<message to='bob@localhost' id='a", "b'><body>x</body></message>"),
        ("<message to='bob@localhost'><a", "b/></message>"),
        ("<message to='bob@localhost'><a xmlns='urn:x", "y'/></message>"),
        ("<message to='b", "ob@localhost'><body>x</body></message>"),
    ];
    for (before, after) in places {
        for bytes in bad {
            let probe = [before.as_bytes(), bytes, after.as_bytes()].concat();
            let mut mallory = scene.mallory();
            let _ = mallory.try_send_bytes(&probe);
            refused(mallory, &["not-well-formed", "invalid-xml", "bad-format"], &String::from_utf8_lossy(&probe));
        }
        scene.canary();
    }
}

#[test]
fn a6_a_quoted_stanza_never_becomes_a_real_one() {
    let mut scene = Scene::new();
    let smuggled = "</body></message><message from='alice@localhost/desk' to='bob@localhost/phone'><body>forged</body>";
    let entities = smuggled.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;").replace('\'', "&apos;");
    let decimal: String =
        smuggled.chars().map(|c| if "<>'".contains(c) { format!("&#{};", c as u32) } else { c.into() }).collect();
    let hex: String =
        smuggled.chars().map(|c| if "<>'".contains(c) { format!("&#x{:X};", c as u32) } else { c.into() }).collect();
    let cdata = format!("<![CDATA[{smuggled}]]>");
    let mut mallory = scene.mallory();
    for text in [entities, decimal, hex, cdata] {
        mallory.send(&format!("<message to='bob@localhost/phone' type='chat'><body>{text}</body></message>"));
        let heard = scene.bob.read_stanza();
        assert_eq!(attribute(&heard, "from"), Some("mallory@localhost/cave"), "{heard}");
        // Whatever a quoted stanza looks like in transit, no parser may find a tag in it.
        let body = heard.split("<body>").nth(1).expect("a body");
        assert!(body.starts_with("<![CDATA[") || between(body, "", "<").is_some_and(|text| text.contains("forged")), "{heard}");
        scene.canary();
        mallory.send("<message to='bob@localhost/phone' type='chat' id='&lt;/message&gt;&#x3c;iq/&#x3e;'/>");
        let heard = scene.bob.read_stanza();
        assert!(heard.starts_with("<message") && !heard.contains("<iq") && !heard.contains("></message><"), "{heard}");
        scene.canary();
    }
    // Bytes that some parsers swallow, and the tag that follows with them.
    for bytes in [&b"\xE2<"[..], b"\xEF\xBF", b"\xF0\x9F", b"\xE2\x80<"] {
        let probe = [b"<message to='bob@localhost'><body>", bytes, b"/body></message>"].concat();
        let mut mallory = scene.mallory();
        let _ = mallory.try_send_bytes(&probe);
        refused(mallory, &["not-well-formed"], &String::from_utf8_lossy(&probe));
        scene.canary();
    }
}

#[test]
fn a7_namespace_tricks_are_no_stanzas() {
    let mut scene = Scene::new();
    let wrong = ["not-well-formed", "invalid-namespace", "bad-namespace-prefix", "bad-format", "unsupported-stanza-type"];
    for probe in [
        "<x:message xmlns:x='jabber:client\n' to='bob@localhost'><x:body>x</x:body></x:message>",
        "<message xmlns='jabber:client&#xA;' to='bob@localhost'><body>x</body></message>",
        "<message xmlns='jabber:client|x' to='bob@localhost'><body>x</body></message>",
        "<message xmlns='jabber:client}' to='bob@localhost'><body>x</body></message>",
        "<message xmlns='urn:other' to='bob@localhost'><body>x</body></message>",
        "<message xmlns='' to='bob@localhost'><body>x</body></message>",
        "<message xmlns:xmlns='urn:x' to='bob@localhost'><body>x</body></message>",
        "<message xmlns:xml='urn:x' to='bob@localhost'><body>x</body></message>",
        "<message xmlns:x='http://www.w3.org/2000/xmlns/' to='bob@localhost'><body>x</body></message>",
        "<message to='bob@localhost' to='alice@localhost'><body>x</body></message>",
        "<message xmlns:a='urn:x' xmlns:b='urn:x' a:c='1' b:c='2' to='bob@localhost'><body>x</body></message>",
        "<undeclared:message to='bob@localhost'><body>x</body></undeclared:message>",
        "<message to='bob@localhost'><undeclared:x/></message>",
        "<message xmlns:x='' to='bob@localhost'><body>x</body></message>",
        "<stream:message to='bob@localhost'><body>x</body></stream:message>",
    ] {
        stanza_refused(&mut scene, probe.as_bytes(), &wrong);
    }
}

#[test]
fn a7_a_child_named_message_is_a_child() {
    let mut scene = Scene::new();
    let mut mallory = scene.mallory();
    mallory.send(
        "<message to='bob@localhost/phone' type='chat'><x xmlns='urn:x'><message xmlns='jabber:client' \
         from='alice@localhost/desk' to='bob@localhost'><body>forged</body></message></x><body>real</body></message>",
    );
    let heard = scene.bob.read_stanza();
    assert_eq!(attribute(&heard, "from"), Some("mallory@localhost/cave"), "{heard}");
    scene.canary();
}

#[test]
fn a8_one_stream_has_one_root_and_one_end() {
    let mut scene = Scene::new();
    let wrong = [
        "not-well-formed",
        "bad-format",
        "restricted-xml",
        "bad-namespace-prefix",
        "invalid-namespace",
        "unsupported-stanza-type",
    ];
    for probe in [
        "<?xml version='1.0'?><message to='bob@localhost'><body>x</body></message>".to_owned(),
        HEADER.to_owned(),
        format!("<message to='bob@localhost'>{HEADER}</stream:stream><body>x</body></message>"),
        "<message to='bob@localhost'></stream:stream>".to_owned(),
        "</message>".to_owned(),
        "text between stanzas<message to='bob@localhost'><body>x</body></message>".to_owned(),
    ] {
        stanza_refused(&mut scene, probe.as_bytes(), &wrong);
    }
    // What comes behind the end of the stream is not heard, and no new negotiation begins.
    let mut mallory = scene.mallory();
    mallory.send(&format!("</stream:stream><message to='bob@localhost'><body>x</body></message>{HEADER}"));
    let said = last_words(&mut mallory, "behind the end").concat();
    assert!(said.ends_with("</stream:stream>") && !said.contains("<stream:features"), "{said}");
    scene.canary();
}

#[test]
fn a9_giant_names_and_a_crowd_of_attributes_are_refused() {
    let mut scene = Scene::new();
    let giant = "a".repeat(200 * 1024);
    let attributes: String = (0..10_000).map(|n| format!(" a{n}='x'")).collect();
    let declarations: String = (0..10_000).map(|n| format!(" xmlns:a{n}='urn:x'")).collect();
    for probe in [
        format!("<message to='bob@localhost'><{giant}/></message>"),
        format!("<message to='bob@localhost' {giant}='x'/>"),
        format!("<message to='bob@localhost'><x xmlns='urn:{giant}'/></message>"),
        format!("<message to='bob@localhost'{attributes}/>"),
        format!("<message to='bob@localhost'{declarations}/>"),
    ] {
        stanza_refused(&mut scene, probe.as_bytes(), &["policy-violation", "not-well-formed"]);
    }
}

#[test]
fn a10_a_hundred_thousand_levels_end_the_stream_and_not_the_process() {
    let mut scene = Scene::new();
    let deep = format!("<message to='bob@localhost'>{}", "<a>".repeat(100_000));
    stanza_refused(&mut scene, deep.as_bytes(), &["policy-violation"]);
    first_bytes_refused(&mut scene, format!("{HEADER}{}", "<a>".repeat(100_000)).as_bytes(), &["policy-violation"]);
}

#[test]
fn a11_thirty_thousand_children_are_refused() {
    let mut scene = Scene::new();
    let children = format!("<message to='bob@localhost'>{}</message>", "<a/>".repeat(30_000));
    assert!(children.len() < 256 * 1024, "the size is not what is refused");
    stanza_refused(&mut scene, children.as_bytes(), &["policy-violation"]);
}

/// A message to bob of exactly this many bytes.
fn message_of(size: usize) -> String {
    let (front, back) = ("<message to='bob@localhost/phone' type='chat'><body>", "</body></message>");
    format!("{front}{}{back}", "x".repeat(size - front.len() - back.len()))
}

#[test]
fn a12_the_advertised_limit_is_the_enforced_one_to_the_byte() {
    let mut scene = Scene::new();
    let mallory = scene.mallory();
    let limit: usize = between(&mallory.features, "<max-bytes>", "<").expect("XEP-0478").parse().expect("a number");
    assert!(limit >= 10_000, "RFC 6120 13.12");
    let mut mallory = mallory;
    for size in [limit - 1, limit] {
        mallory.send(&message_of(size));
        let heard = scene.bob.read_stanza();
        assert!(heard.len() >= size, "{} bytes came of {size}", heard.len());
        scene.canary();
    }
    drop(mallory);
    stanza_refused(&mut scene, message_of(limit + 1).as_bytes(), &["policy-violation"]);
}

#[test]
fn a13_before_authentication_little_is_read() {
    let mut scene = Scene::new();
    let limit: usize = {
        let stranger = scene.stranger();
        between(&stranger.features, "<max-bytes>", "<").expect("XEP-0478").parse().expect("a number")
    };
    assert!(limit <= 10_000);
    let auth = "<auth xmlns='urn:ietf:params:xml:ns:xmpp-sasl' mechanism='PLAIN'>";
    for probe in [
        format!("{auth}{}", "A".repeat(limit)),
        format!("{auth}{}</auth>", "<a/>".repeat(65)),
        format!("<a b='{}'/>", "x".repeat(10_001)),
    ] {
        let mut stranger = scene.stranger();
        let _ = stranger.try_send(&probe);
        refused(stranger, &["policy-violation"], &probe[..80]);
        scene.canary();
    }
}

#[test]
fn a14_a_start_tag_that_never_ends_is_dropped_by_the_deadline() {
    let mut scene = Scene::with("[limits]\nnegotiation_timeout = \"2s\"\n");
    let mut dripping = scene.stranger();
    let mut silent = scene.stranger();
    let mut spaces = scene.stranger();
    dripping.send("<auth a='");
    for _ in 0..200 {
        if dripping.try_send("x").is_err() || spaces.try_send(" ").is_err() {
            break;
        }
        std::thread::sleep(Duration::from_millis(5));
    }
    // A17: white space is no progress.
    for (client, probe) in [(&mut dripping, "a dripped tag"), (&mut silent, "silence"), (&mut spaces, "white space")] {
        let said = client.read_to_end(Duration::from_secs(10)).unwrap_or_else(|error| panic!("{probe}: {error}")).concat();
        assert!(said.contains("<connection-timeout "), "{probe}: {said}");
    }
    scene.canary();
}

#[test]
fn a15_a_wrong_header_is_answered_behind_a_header() {
    let mut scene = Scene::new();
    let cases = [
        ("to='localhost' version='1.0' xmlns='jabber:server'", "invalid-namespace"),
        ("to='localhost' version='1.0'", "invalid-namespace"),
        ("version='1.0' xmlns='jabber:client'", "host-unknown"),
        ("to='elsewhere.test' version='1.0' xmlns='jabber:client'", "host-unknown"),
        ("to='alice@localhost' version='1.0' xmlns='jabber:client'", "host-unknown"),
        ("to='localhost' version='0.9' xmlns='jabber:client'", "unsupported-version"),
        ("to='localhost' xmlns='jabber:client'", "unsupported-version"),
    ];
    for (attributes, condition) in cases {
        let mut client = Client::connect(scene.server.starttls).expect("a connection");
        client.send(&format!("<stream:stream {attributes} xmlns:stream='http://etherx.jabber.org/streams'>"));
        let said = last_words(&mut client, attributes);
        assert!(said[0].contains("<stream:stream ") && said[1].contains(&format!("<{condition} ")), "{attributes}: {said:?}");
        assert_eq!(said.last().map(String::as_str), Some("</stream:stream>"));
    }
    let streams = "<stream:stream to='localhost' version='1.0' xmlns='jabber:client' xmlns:stream='urn:wrong'>";
    first_bytes_refused(&mut scene, streams.as_bytes(), &["invalid-namespace"]);
    stanza_refused(&mut scene, b"<unknown to='bob@localhost'/>", &["unsupported-stanza-type"]);
    stanza_refused(
        &mut scene,
        b"<message xmlns='jabber:server' to='bob@localhost'/>",
        &["unsupported-stanza-type", "invalid-namespace"],
    );
}

/// Raw bytes in, raw bytes out, until the end.
fn raw(address: SocketAddr, bytes: &[u8]) -> Vec<u8> {
    let mut socket = std::net::TcpStream::connect(address).expect("a connection");
    socket.set_read_timeout(Some(PATIENCE)).expect("a socket");
    let _ = socket.write_all(bytes);
    let mut all = Vec::new();
    let mut chunk = [0; 4096];
    loop {
        match std::io::Read::read(&mut socket, &mut chunk) {
            Ok(0) => return all,
            Ok(n) => all.extend_from_slice(&chunk[..n]),
            Err(error) if error.kind() == std::io::ErrorKind::ConnectionReset => return all,
            Err(error) => panic!("the connection stays open: {error}"),
        }
    }
}

#[test]
fn a16_other_protocols_get_one_error_and_none_of_their_bytes_back() {
    let mut scene = Scene::new();
    let hello = [&b"\x16\x03\x01\x00\x05\x01\x00\x00\x01\x03"[..], b"MARKER"].concat();
    let noise: Vec<u8> = (0u32..300).map(|n| (n.wrapping_mul(2_654_435_761) >> 13) as u8).chain(*b"MARKER").collect();
    let probes: [&[u8]; 5] = [
        b"GET /MARKER HTTP/1.1\r\nHost: MARKER\r\n\r\n",
        b"INVITE sip:MARKER@localhost SIP/2.0\r\n\r\n",
        b"SSH-2.0-MARKER\r\n",
        &hello,
        &noise,
    ];
    for bytes in probes {
        for address in [scene.server.plain, scene.server.starttls, scene.server.direct_tls] {
            let said = raw(address, bytes);
            let text = String::from_utf8_lossy(&said);
            assert!(!text.contains("MARKER"), "{text}");
            assert!(text.matches("<stream:error>").count() <= 1 && said.len() < 1_000, "{text}");
        }
        scene.canary();
    }
}

#[test]
fn a17_a_million_keep_alives_are_answered_by_nothing() {
    let mut scene = Scene::new();
    let mut mallory = scene.mallory();
    for _ in 0..10 {
        mallory.send(&" \n".repeat(50_000));
    }
    let answer = mallory.iq("get", Some("localhost"), "<ping xmlns='urn:xmpp:ping'/>");
    assert!(answer.contains("type='result'"), "{answer}");
    scene.canary();
}

#[test]
fn a18_impossible_addresses_are_told_to_their_sender_only() {
    let mut scene = Scene::new();
    let long = "x".repeat(1_024);
    let expanding = "\u{FDFA}".repeat(400);
    let mut mallory = scene.mallory();
    let bad = [
        "@localhost",
        "bob@",
        "bob@localhost/",
        "a@b@c/d",
        "b ob@localhost",
        "b&lt;ob@localhost",
        "b&apos;ob@localhost",
        "/phone",
        &format!("{long}@localhost"),
        &format!("bob@localhost/{long}"),
        &format!("{expanding}@localhost"),
    ];
    for to in bad {
        for (kind, stanza) in [
            ("message", format!("<message id='p' to='{to}'><body>x</body></message>")),
            ("iq", format!("<iq id='p' type='get' to='{to}'><ping xmlns='urn:xmpp:ping'/></iq>")),
            // Whoever wants to enter a room waits for an answer.
            ("presence", format!("<presence id='p' to='{to}'><x xmlns='http://jabber.org/protocol/muc'/></presence>")),
        ] {
            mallory.send(&stanza);
            let answer = mallory.read_stanza();
            assert!(answer.starts_with(&format!("<{kind}")) && answer.contains("<jid-malformed "), "{to}: {answer}");
            assert_eq!(attribute(&answer, "type"), Some("error"), "{answer}");
        }
        mallory.ping(PATIENCE).expect("the stream lives");
        scene.canary();
    }
    for item in ["@localhost", "bob@", &format!("{long}@localhost")] {
        let answer = mallory.iq("set", None, &format!("<query xmlns='jabber:iq:roster'><item jid='{item}'/></query>"));
        assert!(answer.contains("<jid-malformed ") || answer.contains("<bad-request "), "{item}: {answer}");
    }
    scene.canary();
}
