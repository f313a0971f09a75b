//! Security checklist A (`design/security.md`): what a hostile peer may send, and what must come of it. Items that
//! concern the negotiator or the socket (A3's connections, A15's order, A18's JIDs) are tested there.

use std::time::{Duration, Instant};

use super::XmlErrorKind::*;
use super::*;

/// The refusal of bytes sent instead of a header.
fn before_header(bytes: &[u8]) -> XmlErrorKind {
    match once(bytes).as_slice() {
        [Seen::Refused(e)] => e.kind,
        other => panic!("{}: {other:?}", String::from_utf8_lossy(bytes)),
    }
}

/// A scanner behind a header, and the same limits for what follows.
fn opened(limits: XmlLimits) -> Scanner {
    let mut scanner = Scanner::new(limits, names());
    assert!(matches!(scanner.scan(HEADER.as_bytes()), Ok(Scanned::Open { .. })));
    scanner
}

/// One element against limits: accepted, or why not.
fn limited(limits: XmlLimits, xml: &str) -> Result<(), XmlErrorKind> {
    match opened(limits).scan(xml.as_bytes()) {
        Ok(Scanned::Stanza { consumed, .. }) if consumed == xml.len() => Ok(()),
        Ok(other) => panic!("{other:?}"),
        Err(e) => Err(e.kind),
    }
}

fn nested(depth: usize) -> String {
    format!("{}{}", "<a>".repeat(depth), "</a>".repeat(depth))
}

#[test]
fn a1_billion_laughs_before_the_header_is_restricted_xml() {
    for bytes in [
        &b"<?xml version='1.0'?><!DOCTYPE x [<!ENTITY a 'aaa'><!ENTITY b '&a;&a;'>]><stream:stream>"[..],
        b"<!DOCTYPE x>",
        b"<!D",
    ] {
        assert_eq!(before_header(bytes), RestrictedXml);
    }
}

#[test]
fn a2_a_dtd_later_is_restricted_xml_wherever_it_stands() {
    assert_eq!(refusal(b"<!DOCTYPE x [<!ENTITY a 'a'>]>"), RestrictedXml);
    assert_eq!(refusal(b"<message><!DOCTYPE x></message>"), RestrictedXml);
    assert_eq!(refusal(b"<message><!ENTITY a 'a'></message>"), NotWellFormed);
    assert_eq!(refusal(b"<message><body><!ELEMENT a></body></message>"), NotWellFormed);
    let mut frame = Scanner::for_fragments(XmlLimits::PRE_AUTH, names());
    let refused = frame.scan(b"<!DOCTYPE x><open xmlns='urn:ietf:params:xml:ns:xmpp-framing'/>").unwrap_err();
    assert_eq!(refused.kind, RestrictedXml);
    assert!(Stanza::parse(b"<!DOCTYPE x><iq/>", &names()).is_err());
}

#[test]
fn a3_external_and_parameter_entities_name_nothing() {
    assert_eq!(before_header(b"<!DOCTYPE x SYSTEM 'http://127.0.0.1:1/'>"), RestrictedXml);
    assert_eq!(refusal(b"<!DOCTYPE x [<!ENTITY % p SYSTEM 'file:///etc/passwd'> %p;]>"), RestrictedXml);
    assert_eq!(refusal(b"<message><body>&xxe;</body></message>"), NotWellFormed);
    assert_eq!(refusal(b"<message to='&xxe;'/>"), NotWellFormed);
    // `%` means nothing outside a DTD.
    assert_eq!(stanza("<message>%p;</message>").text(), "%p;");
}

#[test]
fn a4_comments_instructions_and_entities() {
    assert_eq!(refusal(b"<!-- hello -->"), RestrictedXml);
    assert_eq!(refusal(b"<message><!-- hello --></message>"), RestrictedXml);
    assert_eq!(refusal(b"<?php ?>"), RestrictedXml);
    assert_eq!(refusal(b"<message><?php ?></message>"), RestrictedXml);
    for reference in [
        "&foo;",
        "&#0;",
        "&#x8;",
        "&#xD800;",
        "&#xDFFF;",
        "&#xFFFE;",
        "&#xFFFF;",
        "&#x110000;",
        "&#99999999999;",
        "&#;",
        "&#x;",
        "&;",
        "& ",
        "&amp",
        "&#X41;",
        "&#x4G;",
        "&#-1;",
        "&#+65;",
        "&AMP;",
        "&#0000000000000065;",
    ] {
        assert_eq!(refusal(format!("<message><body>{reference}</body></message>").as_bytes()), NotWellFormed, "{reference}");
        assert_eq!(refusal(format!("<message to='{reference}'/>").as_bytes()), NotWellFormed, "{reference}");
    }
    let cdata = stanza("<message>a<![CDATA[<b>&amp;]]]]><![CDATA[>]]></message>");
    assert_eq!(cdata.text(), "a<b>&amp;]]>");
    assert_eq!(cdata.children().len(), 0);
    assert_eq!(stanza("<message>&#x41;&#66;&#x10FFFF;&#9;</message>").text(), "AB\u{10FFFF}\t");
    // XML 1.0 section 2.4: the end of a CDATA section outside of one.
    assert_eq!(refusal(b"<message>]]></message>"), NotWellFormed);
    assert_eq!(stanza("<message>]]&gt; ]] ></message>").text(), "]]> ]] >");
    for half in ["<![cdata[x]]>", "<![CDATA x]]>", "<![ CDATA[x]]>"] {
        assert_eq!(refusal(format!("<message>{half}</message>").as_bytes()), NotWellFormed);
    }
}

const NOT_UTF_8: &[&[u8]] = &[
    b"\xC0\xAF",
    b"\xE0\x80\xAF",
    b"\xF0\x80\x80\xAF",
    b"\xC1\x81",
    b"\x80",
    b"\xBF",
    b"\xE2\x82",
    b"\xE2",
    b"\xF0\x9F\x98",
    b"\xED\xA0\x80",
    b"\xED\xBF\xBF",
    b"\xF4\x90\x80\x80",
    b"\xF5\x80\x80\x80",
    b"\xFF",
    b"\xFE",
    b"\xEF\xBF\xBE",
    b"\xEF\xBF\xBF",
    b"\x00",
    b"\x08",
    b"\x0B",
    b"\x0C",
    b"\x1F",
];

#[test]
fn a5_invalid_utf_8_is_refused_wherever_it_stands() {
    for bad in NOT_UTF_8 {
        for (before, after) in [
            (&b"<message><body>"[..], &b"</body></message>"[..]),
            (b"<message><body><![CDATA[", b"]]></body></message>"),
            (b"<message to='romeo", b"@house'/>"),
            (b"<a", b" xmlns='urn:a'/>"),
            (b"<message><a", b"/></message>"),
            (b"<message a", b"='1'/>"),
            (b"<message><a xmlns='urn:", b"'/></message>"),
            (b"<message></message", b">"),
            (b"", b"<message/>"),
        ] {
            let bytes = [before, bad, after].concat();
            let seen = after_header(&bytes);
            assert!(matches!(seen.as_slice(), [Seen::Refused(_)]), "{}: {seen:?}", bytes.escape_ascii());
        }
    }
}

#[test]
fn a5_names_are_xml_names() {
    for name in
        ["1a", "-a", ".a", "\u{b7}a", "\u{300}a", "a\u{d7}", "a\u{2000}", "a\u{37e}", "a\u{3000}", "a$", "a;", "\u{f0000}"]
    {
        assert_eq!(refusal(format!("<{name} xmlns='urn:a'/>").as_bytes()), NotWellFormed, "{name}");
        assert_eq!(refusal(format!("<message {name}='x'/>").as_bytes()), NotWellFormed, "{name}");
        assert_eq!(refusal(format!("<message xmlns:p='urn:p' p:{name}='x'/>").as_bytes()), NotWellFormed, "{name}");
    }
    for name in ["ä", "_", "a1-.", "a\u{b7}", "a\u{300}", "\u{44f}", "数", "한", "ひ々", "\u{905}\u{903}"] {
        let s = stanza(&format!("<{name} xmlns='urn:a' {name}='1'/>"));
        assert_eq!(s.name(), ("urn:a", name));
    }
}

/// Names of the fifth edition of XML 1.0 for which a client that reads with expat would end its stream, again at every login.
#[test]
fn a6_names_that_not_every_parser_knows_are_refused() {
    for name in [
        "😀",
        "\u{221}",
        "\u{370}",
        "\u{1d00}",
        "\u{2071}",
        "\u{3001}",
        "\u{feff}",
        "\u{ff21}",
        "\u{10000}",
        "\u{200c}a",
        "\u{effff}",
        "a\u{487}",
        "a\u{203f}",
    ] {
        assert_eq!(refusal(format!("<message><{name} xmlns='urn:a'/></message>").as_bytes()), NotWellFormed, "{name}");
        assert_eq!(refusal(format!("<message><x xmlns='urn:a' {name}='1'/></message>").as_bytes()), NotWellFormed, "{name}");
        assert_eq!(refusal(format!("<message><{name}:x xmlns:{name}='urn:a'/></message>").as_bytes()), NotWellFormed, "{name}");
    }
}

/// libxml2 takes an `xml:id` that is no name, or one that the document has already, for an error, and there a stream is one document.
#[test]
fn a6_ids_of_a_document_are_refused() {
    for id in ["1", "a", "a:b", ""] {
        assert_eq!(refusal(format!("<message xml:id='{id}'/>").as_bytes()), RestrictedXml, "{id}");
        assert_eq!(refusal(format!("<message><x xmlns='urn:x' xml:id='{id}'/></message>").as_bytes()), RestrictedXml, "{id}");
    }
    for legal in ["id='1' xml:lang='de'", "xml:base='urn:x'", "xmlns:p='urn:p' p:id='1'"] {
        assert_eq!(stanza(&format!("<message {legal}><x xmlns='urn:x' id='1'/></message>")).name().1, "message", "{legal}");
    }
}

#[test]
fn a6_smuggled_stanzas_stay_text() {
    let quoted = "&lt;/body&gt;&lt;/message&gt;&lt;iq type='set'/&gt;";
    for inside in [quoted, "<![CDATA[</body></message><iq type='set'/>]]>", "&#60;/body>&#x3C;/message>&#x3c;iq type='set'/>"] {
        let seen = after_header(format!("<message><body>{inside}</body></message>").as_bytes());
        let [Seen::Stanza(xml)] = seen.as_slice() else { panic!("{seen:?}") };
        let s = stanza(xml);
        let body = s.child_el(&s.children()[0]);
        assert_eq!(body.text(), "</body></message><iq type='set'/>");
        let wire = render(&s, &Stamps::default());
        assert_eq!(&wire.bytes[..], s.bytes(), "the bytes travel as received");
    }
    for cut in [&b"\xE2"[..], b"\xEF\xBF", b"\xF0\x9F", b"\xC3"] {
        let bytes = [b"<message><body>", cut, b"</body></message><iq/>"].concat();
        assert_eq!(refusal(&bytes), NotWellFormed);
        let bytes = [b"<message to='", cut, b"'/><iq a='>'/>"].concat();
        assert_eq!(refusal(&bytes), NotWellFormed);
    }
    // A `>` in a value ends nothing.
    assert_eq!(after_header(b"<message a='/>'><b c=\"</message>\"/></message>").len(), 1, "refused, in one piece");
    assert_eq!(after_header(b"<message a='/>'><b c=\"/message>\"/></message>").len(), 1);
}

#[test]
fn a7_namespace_tricks_are_refused() {
    for (xml, kind) in [
        ("<message xmlns='jabber:client\n'/>", InvalidNamespace),
        ("<message xmlns='jabber:client&#10;'/>", InvalidNamespace),
        ("<message xmlns=' jabber:client'/>", InvalidNamespace),
        ("<p:message xmlns:p='jabber:client|'/>", InvalidNamespace),
        ("<p:message xmlns:p='urn:x}message'/>", InvalidNamespace),
        ("<p:message xmlns:p='jabber&#58;client'/>", InvalidNamespace),
        ("<p:message xmlns:p='urn:\u{c}'/>", NotWellFormed),
        ("<p:message xmlns:p='urn:\u{1f}'/>", NotWellFormed),
        ("<message xmlns:stream='urn:x'/>", BadNamespacePrefix),
        ("<message xmlns:stream='jabber:client'/>", BadNamespacePrefix),
        ("<message><a xmlns:stream='urn:x'/></message>", BadNamespacePrefix),
        ("<message xmlns:xml='urn:x'/>", NotWellFormed),
        ("<message xmlns:x='http://www.w3.org/XML/1998/namespace'/>", NotWellFormed),
        ("<message xmlns='http://www.w3.org/XML/1998/namespace'/>", NotWellFormed),
        ("<message xmlns:xmlns='urn:x'/>", NotWellFormed),
        ("<message xmlns:xmlns='http://www.w3.org/2000/xmlns/'/>", NotWellFormed),
        ("<message xmlns:x='http://www.w3.org/2000/xmlns/'/>", NotWellFormed),
        ("<message xmlns:x=''/>", NotWellFormed),
        ("<message to='a' to='b'/>", NotWellFormed),
        ("<message xmlns='jabber:client' xmlns='jabber:client'/>", NotWellFormed),
        ("<message xmlns:a='urn:x' xmlns:b='urn:x' a:c='1' b:c='2'/>", NotWellFormed),
        ("<message xmlns:a='urn:x' xmlns:a='urn:y'/>", NotWellFormed),
        ("<message a:b='1'/>", NotWellFormed),
        ("<a:message/>", NotWellFormed),
        ("<message><a:b xmlns:a='urn:a'/><a:c/></message>", NotWellFormed),
        ("<xmlns:message/>", NotWellFormed),
        ("<message><xmlns:a/></message>", NotWellFormed),
        ("<a:b:c xmlns:a='urn:a'/>", NotWellFormed),
        ("<:message/>", NotWellFormed),
        ("<message :a='1'/>", NotWellFormed),
        ("<p:message xmlns:p='jabber:client'/>", BadNamespacePrefix),
    ] {
        assert_eq!(refusal(xml.as_bytes()), kind, "{xml}");
    }
    // Legal, but no stanza: the name alone decides nothing.
    for xml in
        ["<message xmlns='urn:x'/>", "<message xmlns=''/>", "<message xmlns='jabber:server'/>", "<p:iq xmlns:p='urn:p'/>"]
    {
        assert_eq!(stanza(xml).kind(), Kind::Other, "{xml}");
    }
    // Legal and harmless.
    let s = stanza("<message xmlns:xml='http://www.w3.org/XML/1998/namespace' xml:lang='de' xmlns:a='urn:x' a:to='1' to='2'/>");
    assert_eq!((s.kind(), s.to().as_deref(), s.lang().as_deref()), (Kind::Message, Some("2"), Some("de")));
    assert_eq!(stanza("<message xmlns:stream='http://etherx.jabber.org/streams'/>").kind(), Kind::Message);
}

#[test]
fn a8_one_stream_has_one_root() {
    let second = format!("<iq type='get'/>{HEADER}");
    let seen = after_header(second.as_bytes());
    assert!(matches!(seen.as_slice(), [Seen::Stanza(_), Seen::Refused(e)] if e.kind == RestrictedXml), "{seen:?}");
    assert_eq!(refusal(b"<?xml version='1.0'?>"), RestrictedXml);
    assert_eq!(refusal(b"<stream:stream to='house'>"), NotWellFormed);
    assert_eq!(refusal(b"<message><stream:stream/></message>"), NotWellFormed);
    assert_eq!(refusal(b"<message><s:stream xmlns:s='http://etherx.jabber.org/streams'/></message>"), NotWellFormed);
    assert_eq!(refusal(b"<message><stream xmlns='http://etherx.jabber.org/streams'/></message>"), NotWellFormed);
    assert_eq!(refusal(b"<message></stream:stream>"), NotWellFormed);
    assert_eq!(refusal(b"</stream>"), NotWellFormed);
    assert_eq!(refusal(b"</stream:streams>"), NotWellFormed);
    assert_eq!(refusal(b"</message>"), NotWellFormed);
    for after in [&b"<iq/>"[..], b"x", b"<stream:stream>", b"</stream:stream>", b"\0"] {
        let seen = after_header(&[b"</stream:stream>", after].concat());
        assert!(matches!(seen.as_slice(), [Seen::Close, Seen::Refused(_)]), "{seen:?}");
    }
    // A first-level element of the streams namespace is what RFC 6120 4.9 makes of it.
    let error = stanza("<stream:error><conflict xmlns='urn:ietf:params:xml:ns:xmpp-streams'/></stream:error>");
    assert!(error.is(ns::STREAMS, "error"));
    // Another thing that happens to be called stream.
    assert!(stanza("<iq><stream xmlns='urn:x'/></iq>").child_named("urn:x", "stream").is_some());
}

#[test]
fn a9_giants_are_refused_in_linear_time() {
    let name = "a".repeat(200_000);
    assert_eq!(refusal(format!("<{name}").as_bytes()), PolicyViolation);
    assert_eq!(refusal(format!("<message {name}").as_bytes()), PolicyViolation);
    assert_eq!(refusal(format!("<message xmlns:p='{name}'/>").as_bytes()), PolicyViolation);
    let attributes: String = (0..10_000).map(|i| format!(" a{i}=''")).collect();
    assert_eq!(refusal(format!("<message{attributes}/>").as_bytes()), PolicyViolation);
    let declarations: String = (0..10_000).map(|i| format!(" xmlns:a{i}='urn:a'")).collect();
    assert_eq!(refusal(format!("<message{declarations}/>").as_bytes()), PolicyViolation);
    // Each tag within its limit, but all in scope at once.
    let level = |l: usize| (0..60).map(|i| format!(" xmlns:a{l}x{i}='u'")).collect::<String>();
    let deep: String = (0..20).map(|l| format!("<a{}>", level(l))).collect();
    assert_eq!(refusal(deep.as_bytes()), PolicyViolation);
    // Not in scope at once: fine.
    let wide: String = (0..20).map(|l| format!("<a{}/>", level(l))).collect();
    assert_eq!(stanza(&format!("<iq>{wide}</iq>")).children().len(), 20);
    // An attribute that fills the stanza is no reason to refuse.
    let value = "v".repeat(200_000);
    assert_eq!(stanza(&format!("<message a='{value}'/>")).attr("a").unwrap().len(), 200_000);
    // The worst the limits allow: many tags, each with all its attributes and prefixes to look up.
    let tag: String = (0..50).map(|i| format!(" a{i}=''")).collect();
    let work = |n: usize| {
        let xml = format!("<iq>{}</iq>", format!("<b{tag}/>").repeat(n));
        let mut scanner = opened(XmlLimits::C2S);
        let before = scanner.bytes_looked_at();
        assert!(matches!(scanner.scan(xml.as_bytes()), Ok(Scanned::Stanza { .. })));
        (scanner.bytes_looked_at() - before) as f64
    };
    assert!(work(600) / work(300) < 2.5);
}

#[test]
fn a10_depth_is_limited_and_costs_no_stack() {
    assert_eq!(limited(XmlLimits::C2S, &nested(64)), Ok(()));
    assert_eq!(refusal(nested(65).as_bytes()), PolicyViolation);
    assert_eq!(refusal(nested(100_000).as_bytes()), PolicyViolation);
    assert_eq!(refusal("<a>".repeat(80_000).as_bytes()), PolicyViolation);
    // What may be scanned may be viewed, closed and rendered on a small stack.
    let s = stanza(&nested(64));
    let run = std::thread::Builder::new().stack_size(256 * 1024).spawn(move || {
        let tree = oracle::tree(&s.el());
        (tree.children.len(), s.closed(&s.children()[0]).len(), render(&s, &Stamps::default()).bytes.len())
    });
    assert_eq!(run.unwrap().join().unwrap().0, 1);
}

#[test]
fn a11_children_are_counted() {
    let children = |n: usize| format!("<iq>{}</iq>", "<a/>".repeat(n));
    assert_eq!(limited(XmlLimits::C2S, &children(24_999)), Ok(()));
    assert_eq!(limited(XmlLimits::C2S, &children(25_000)), Err(PolicyViolation));
    assert_eq!(limited(XmlLimits::C2S, &children(30_000)), Err(PolicyViolation));
    // Memory: less than 20 times the input.
    assert!(std::mem::size_of::<Child>() <= 10 * "<a/>".len());
}

#[test]
fn a12_limit_minus_one_limit_limit_plus_one() {
    for limits in [XmlLimits::PRE_AUTH, XmlLimits::C2S, XmlLimits::S2S] {
        let max = limits.stanza_size_bytes_max;
        let of = |size: usize| format!("<message><body>{}</body></message>", "x".repeat(size - 32));
        for (size, expected) in [(max - 1, Ok(())), (max, Ok(())), (max + 1, Err(PolicyViolation))] {
            let xml = of(size);
            assert_eq!(xml.len(), size);
            assert_eq!(limited(limits, &xml), expected);
            // The same if it drips, with white space before that counts for nothing.
            let mut scanner = opened(limits);
            let stream = format!(" \n {xml}");
            let pieces: Vec<&[u8]> = stream.as_bytes().chunks(1000).collect();
            let seen = feed(&mut scanner, &pieces);
            assert_eq!(matches!(seen.as_slice(), [Seen::Stanza(_)]), expected.is_ok());
        }
    }
    // RFC 6120 13.12: at least 10,000 bytes after authentication.
    const { assert!(XmlLimits::C2S.stanza_size_bytes_max >= 10_000) };
    let header = |pad: usize| format!("{}{}>", &HEADER[..HEADER.len() - 1], " ".repeat(pad));
    let pad = XmlLimits::C2S.header_size_bytes_max - HEADER.len();
    assert!(matches!(once(header(pad).as_bytes()).as_slice(), [Seen::Open(_)]));
    assert_eq!(before_header(header(pad + 1).as_bytes()), PolicyViolation);
}

#[test]
fn a12_every_limit_has_its_edge() {
    let limits = XmlLimits { depth_max: 3, elements_max: 5, attributes_max: 4, ..XmlLimits::C2S };
    assert_eq!(limited(limits, &nested(3)), Ok(()));
    assert_eq!(limited(limits, &nested(4)), Err(PolicyViolation));
    assert_eq!(limited(limits, "<a><b/><b/><b/><b/></a>"), Ok(()));
    assert_eq!(limited(limits, "<a><b/><b/><b/><b/><b/></a>"), Err(PolicyViolation));
    assert_eq!(limited(limits, "<a b='' c='' d='' e=''/>"), Ok(()));
    assert_eq!(limited(limits, "<a b='' c='' d='' e='' f=''/>"), Err(PolicyViolation));
    let name = "n".repeat(1024);
    assert_eq!(limited(limits, &format!("<{name}/>")), Ok(()));
    assert_eq!(limited(limits, &format!("<{name}n/>")), Err(PolicyViolation));
    // The count begins anew with each element.
    let mut scanner = opened(limits);
    assert_eq!(feed(&mut scanner, &["<a><b/><b/><b/><b/></a>".repeat(50).as_bytes()]).len(), 50);
}

#[test]
fn a12_lowered_limits_hold_for_what_has_begun() {
    let mut scanner = opened(XmlLimits::C2S);
    let begun = format!("<message><body>{}", "x".repeat(9000));
    assert!(matches!(scanner.scan(begun.as_bytes()), Ok(Scanned::NeedMore { .. })));
    scanner.set_limits(XmlLimits::PRE_AUTH);
    assert_eq!(scanner.scan(format!("{begun}x").as_bytes()).unwrap_err().kind, PolicyViolation);
}

#[test]
fn a13_before_authentication_little_is_accepted() {
    let auth = |n: usize| format!("<auth xmlns='urn:ietf:params:xml:ns:xmpp-sasl'>{}</auth>", "A".repeat(n));
    assert_eq!(limited(XmlLimits::PRE_AUTH, &auth(8000)), Ok(()));
    assert_eq!(limited(XmlLimits::PRE_AUTH, &auth(10_001)), Err(PolicyViolation));
    let many = |n: usize| format!("<auth xmlns='urn:ietf:params:xml:ns:xmpp-sasl'>{}</auth>", "<a/>".repeat(n));
    assert_eq!(limited(XmlLimits::PRE_AUTH, &many(63)), Ok(()));
    assert_eq!(limited(XmlLimits::PRE_AUTH, &many(64)), Err(PolicyViolation));
}

#[test]
fn a14_a_dripped_stanza_is_never_looked_at_twice() {
    let started = Instant::now();
    for xml in [
        format!("<message a='{}'/>", "v".repeat(250_000)),
        format!("<message{}", " ".repeat(250_000)),
        format!("<message><body>{}</body></message>", "я".repeat(125_000)),
        format!("<message><body>{}</body></message>", "&amp;".repeat(50_000)),
        format!("<message><body>{}</body></message>", "]".repeat(250_000)),
        format!("<message><body><![CDATA[{}]]></body></message>", "] ".repeat(125_000)),
        format!("<iq>{}</iq>", "<a b='c'/>".repeat(20_000)),
    ] {
        let mut scanner = opened(XmlLimits::C2S);
        let before = scanner.bytes_looked_at();
        for n in 1..=xml.len() {
            assert!(scanner.scan(&xml.as_bytes()[..n]).is_ok());
        }
        let work = scanner.bytes_looked_at() - before;
        assert!(work <= xml.len() as u64 * 2, "{work} for {}", xml.len());
    }
    // 1.7 million calls; even an unoptimised build on a busy machine takes a fraction of this, and a scanner that began
    // anew each time would take hours.
    assert!(started.elapsed() < Duration::from_secs(30), "{:?}", started.elapsed());
    let mut scanner = opened(XmlLimits::C2S);
    assert!(matches!(scanner.scan(b"<message a='"), Ok(Scanned::NeedMore { .. })));
    assert!(scanner.mid_element(), "a deadline can tell");
}

#[test]
fn a15_what_is_no_stanza_is_told_apart() {
    for (xml, name) in [
        ("<unknown/>", (ns::CLIENT, "unknown")),
        ("<message xmlns='jabber:server'/>", ("jabber:server", "message")),
        ("<message xmlns=''/>", ("", "message")),
        ("<starttls xmlns='urn:ietf:params:xml:ns:xmpp-tls'/>", ("urn:ietf:params:xml:ns:xmpp-tls", "starttls")),
    ] {
        let s = stanza(xml);
        assert_eq!((s.kind(), s.stype(), s.name()), (Kind::Other, StanzaType::Unknown, name), "{xml}");
    }
    // Without a default namespace there is no stanza at all.
    let header = "<stream:stream xmlns:stream='http://etherx.jabber.org/streams'>";
    assert_eq!(stanza_of(header, "<message/>").kind(), Kind::Other);
    let Seen::Open(header) = once(header.as_bytes()).remove(0) else { panic!() };
    assert_eq!((header.default_ns.as_str(), header.to, header.version), ("", None, None));
}

#[test]
fn a16_other_protocols_are_refused_at_once() {
    for bytes in [
        &b"GET / HTTP/1.1\r\nHost: x\r\n\r\n"[..],
        b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03",
        b"OPTIONS sip:x SIP/2.0\r\n",
        b"\xff\xfe<\0",
        b"\0",
        b"{\"jsonrpc\":\"2.0\"}",
        b"SSH-2.0-x\r\n",
    ] {
        let e = match once(bytes).as_slice() {
            [Seen::Refused(e)] => *e,
            other => panic!("{other:?}"),
        };
        assert_eq!(e.kind, NotWellFormed);
        // What is shown to the peer is one of RFC 6120's words and never his own.
        assert_eq!(e.condition(), "not-well-formed");
    }
    assert_eq!(refusal(b"GET / HTTP/1.1"), BadFormat);
}

#[test]
fn a17_a_million_keep_alives_cost_a_million_bytes() {
    let mut scanner = opened(XmlLimits::C2S);
    let spaces = vec![b' '; 1_000_000];
    let before = scanner.bytes_looked_at();
    assert!(matches!(scanner.scan(&spaces), Ok(Scanned::NeedMore { skipped: 1_000_000 })));
    for _ in 0..100_000 {
        assert!(matches!(scanner.scan(b"\n"), Ok(Scanned::NeedMore { skipped: 1 })));
    }
    assert_eq!(scanner.bytes_looked_at() - before, 1_100_000);
    assert!(!scanner.mid_element());
    assert!(matches!(scanner.scan(b"\t\r\n <iq/>"), Ok(Scanned::Stanza { consumed: 9, .. })));
    // Before the header too; the declaration has then missed its place.
    let mut scanner = Scanner::new(XmlLimits::PRE_AUTH, names());
    assert!(matches!(scanner.scan(&spaces[..100_000]), Ok(Scanned::NeedMore { skipped: 100_000 })));
    assert!(matches!(feed(&mut scanner, &[HEADER.split_once("?>").unwrap().1.as_bytes()]).as_slice(), [Seen::Open(_)]));
}
