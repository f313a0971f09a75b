//! The scanner: what it accepts, and that packets do not matter.

use super::*;

#[test]
fn s4_7_a_header_says_what_it_says() {
    let seen = once(
        b"<?xml version=\"1.0\" encoding='utf-8' standalone = 'yes' ?>\r\n<stream:stream to='a&amp;b' \
          from=\"x\" id='1' version='1.0' xml:lang='de' xmlns='jabber:server' xmlns:db='urn:db' \
          xmlns:stream='http://etherx.jabber.org/streams' >",
    );
    let [Seen::Open(h)] = seen.as_slice() else { panic!("{seen:?}") };
    assert_eq!(h.to.as_deref(), Some("a&b"));
    assert_eq!(h.from.as_deref(), Some("x"));
    assert_eq!(h.id.as_deref(), Some("1"));
    assert_eq!(h.version.as_deref(), Some("1.0"));
    assert_eq!(h.lang.as_deref(), Some("de"));
    assert_eq!(h.default_ns, "jabber:server");
    assert!(h.stream_ns_ok);
    assert_eq!(h.prefixes.len(), 2);
}

#[test]
fn s4_9_3_a_wrong_header_has_its_condition() {
    let s = "http://etherx.jabber.org/streams";
    for (header, condition) in [
        (format!("<s:stream xmlns:s='{s}' xmlns='jabber:client'>"), "bad-namespace-prefix"),
        (format!("<stream xmlns='{s}'>"), "bad-namespace-prefix"),
        ("<stream:stream xmlns='jabber:client'>".into(), "bad-namespace-prefix"),
        ("<stream:stream xmlns:stream='urn:x'>".into(), "invalid-namespace"),
        ("<stream xmlns='jabber:client'>".into(), "invalid-namespace"),
        (format!("<stream:features xmlns:stream='{s}'>"), "bad-format"),
        (format!("<stream:stream xmlns:stream='{s}'/>"), "bad-format"),
        ("<message to='x'/>".into(), "bad-format"),
        ("<a:b>".into(), "not-well-formed"),
        ("</stream:stream>".into(), "not-well-formed"),
        ("<?xml version='1.1'?><stream:stream>".into(), "not-well-formed"),
        ("<?xml version='1.0' encoding='ISO-8859-1'?>".into(), "unsupported-encoding"),
        ("<?xml version='1.0' encoding='UTF-16'?>".into(), "unsupported-encoding"),
        ("<?xml encoding='UTF-8'?>".into(), "not-well-formed"),
        ("<?xml version='1.0'standalone='no'?>".into(), "not-well-formed"),
        ("<?xml version='1.0'\u{c}?>".into(), "not-well-formed"),
        ("<?xml?>".into(), "restricted-xml"),
        ("<?xml-stylesheet href='x'?>".into(), "restricted-xml"),
        ("<?php ?>".into(), "restricted-xml"),
        ("<?xml version='1.0'?><?xml version='1.0'?>".into(), "restricted-xml"),
        (" <?xml version='1.0'?>".into(), "restricted-xml"),
        ("<!-- x -->".into(), "restricted-xml"),
        ("<!DOCTYPE stream>".into(), "restricted-xml"),
        ("<![CDATA[x]]>".into(), "not-well-formed"),
        ("GET / HTTP/1.1\r\n".into(), "not-well-formed"),
        ("\u{feff}<stream:stream".into(), "not-well-formed"),
        (format!("<?xml version='1.0'{}?>", " ".repeat(300)), "not-well-formed"),
    ] {
        let seen = once(header.as_bytes());
        let [Seen::Refused(e)] = seen.as_slice() else { panic!("{header}: {seen:?}") };
        assert_eq!(e.condition(), condition, "{header}");
    }
}

#[test]
fn s4_4_the_end_of_a_stream_is_the_end() {
    assert_eq!(after_header(b" </stream:stream >\r\n \n"), [Seen::Close]);
    let seen = after_header(b"</stream:stream><iq/>");
    assert!(matches!(seen.as_slice(), [Seen::Close, Seen::Refused(_)]), "{seen:?}");
}

#[test]
fn s4_3_3_after_a_restart_a_header_is_expected_again() {
    let mut scanner = Scanner::new(XmlLimits::PRE_AUTH, names());
    assert_eq!(feed(&mut scanner, &[HEADER.as_bytes(), b"<a xmlns='urn:a'/>"]).len(), 2);
    scanner.reset();
    assert!(matches!(feed(&mut scanner, &[HEADER.as_bytes()]).as_slice(), [Seen::Open(_)]));
    assert!(matches!(feed(&mut scanner, &[HEADER.as_bytes()]).as_slice(), [Seen::Refused(_)]));
    // An error stays until the restart.
    assert!(scanner.scan(b"").is_err());
    scanner.reset();
    assert!(matches!(feed(&mut scanner, &[HEADER.as_bytes()]).as_slice(), [Seen::Open(_)]));
}

#[test]
fn s6_3_5_white_space_behind_auth_is_not_the_beginning_of_the_next_stream() {
    assert!(HEADER.starts_with("<?xml "));
    let mut scanner = Scanner::new(XmlLimits::PRE_AUTH, names());
    assert_eq!(feed(&mut scanner, &[HEADER.as_bytes(), b"<a xmlns='urn:a'/>"]).len(), 2);
    scanner.reset();
    assert!(matches!(feed(&mut scanner, &[b"\n", b" ", HEADER.as_bytes()]).as_slice(), [Seen::Open(_)]));
    // The first stream of a connection begins with its declaration or has none.
    let mut scanner = Scanner::new(XmlLimits::PRE_AUTH, names());
    assert!(matches!(feed(&mut scanner, &[b"\n", HEADER.as_bytes()]).as_slice(), [Seen::Refused(_)]));
}

#[test]
fn rfc7395_fragments_stand_for_themselves() {
    let mut scanner = Scanner::for_fragments(XmlLimits::C2S, names());
    let open = "<open xmlns='urn:ietf:params:xml:ns:xmpp-framing' to='x'/>";
    let message = "<message xmlns='jabber:client'><body>x</body></message>";
    let mut kinds = Vec::new();
    for xml in [open, message, "<message/>"] {
        match scanner.scan(xml.as_bytes()) {
            Ok(Scanned::Stanza { consumed, stanza }) if consumed == xml.len() => {
                kinds.push((stanza.kind(), stanza.name().0.to_owned()));
            }
            other => panic!("{other:?}"),
        }
    }
    assert_eq!(kinds[0], (Kind::Other, "urn:ietf:params:xml:ns:xmpp-framing".into()));
    assert_eq!(kinds[1], (Kind::Message, ns::CLIENT.into()));
    assert_eq!(kinds[2], (Kind::Other, String::new()));
    assert!(scanner.scan(b"</stream:stream>").is_err());
}

#[test]
fn own_elements_are_read_whole_or_not_at_all() {
    let names = names();
    assert_eq!(Stanza::parse(CHAT.as_bytes(), &names).unwrap().kind(), Kind::Message);
    for bad in ["", " <iq/>", "<iq/> ", "<iq/><iq/>", "<iq>", "x", "</stream:stream>", "<iq"] {
        assert!(Stanza::parse(bad.as_bytes(), &names).is_err(), "{bad}");
    }
}

/// Documents of which every one must come out the same however it is cut.
const DOCUMENTS: &[&str] = &[
    "<message><body>h\u{e4}\u{20ac}\u{1f600} &lt;&#x20AC;&#65; ]] ]&gt; <![CDATA[a]]b<&]]]></body></message>",
    "<iq type='get' id = \"a'b\" ><q xmlns=\"urn:q\"\n\ta='1'\r\n/></iq >",
    "<a:b xmlns:a='urn:a' a:c='d'><a:e/></a:b>",
    "<\u{e4}\u{b7} xmlns='x' \u{44f}='\u{44f}'/>",
    "  \n <r xmlns='urn:xmpp:sm:3'/> \t ",
    "<a xmlns='urn:a'>]]></a>",
    "<a b='<'/>",
    "<a><b></a></b>",
    "<a><!-- --></a>",
    "<a><![CDAT[</a>",
    "<a b='1' b='2'/>",
    "<a b='1'c='2'/>",
    "<p:a/>",
    "<a>\u{1}</a>",
    "<a>&nbsp;</a>",
    "<a>&#0000000000000000065;</a>",
    "text",
    "</stream:strea>",
    "<a:b:c/>",
    "<a:/>",
    "<:a/>",
    "<1a/>",
    "<a 1='2'/>",
    "<a b></a>",
    "<a b=c></a>",
    "<a / >",
    "</stream:stream>x",
];

#[test]
fn byte_by_byte_is_the_same_as_all_at_once() {
    for document in DOCUMENTS.iter().copied().chain([CHAT]) {
        let stream = [HEADER, document].concat();
        let bytes: Vec<&[u8]> = stream.as_bytes().chunks(1).collect();
        let dripped = feed(&mut Scanner::new(XmlLimits::C2S, names()), &bytes);
        assert_eq!(dripped, once(stream.as_bytes()), "{document}");
        for size in [2, 3, 7] {
            let pieces: Vec<&[u8]> = stream.as_bytes().chunks(size).collect();
            let cut = feed(&mut Scanner::new(XmlLimits::C2S, names()), &pieces);
            assert_eq!(cut, dripped, "{document}");
        }
    }
}
