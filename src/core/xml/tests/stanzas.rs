//! Stanzas, views of them, and typed payloads.

use xmpp_parsers::message::Message;
use xmpp_parsers::ping::Ping;
use xmpp_parsers::stanza_error::StanzaError;

use super::*;

const SERVER: &str = "<stream:stream xmlns='jabber:server' xmlns:db='jabber:server:dialback' \
    xmlns:stream='http://etherx.jabber.org/streams' xml:lang='fr'>";

#[test]
fn the_chat_message_is_what_it_is() {
    let s = stanza(CHAT);
    let names = names();
    assert_eq!((s.kind(), s.stype()), (Kind::Message, StanzaType::Chat));
    assert_eq!(s.to().as_deref(), Some("juliet@capulet.example/balcony"));
    assert_eq!(s.from().as_deref(), Some("romeo@montague.example/orchard"));
    assert_eq!(s.lang().as_deref(), Some("en"));
    assert_eq!(s.to_jid().unwrap().unwrap().to_bare().to_string(), "juliet@capulet.example");
    assert_eq!(s.bytes(), CHAT.as_bytes());
    assert_eq!((s.size(), s.children().len()), (485, 5));
    let body = s.child(names.get(ns::CLIENT, "body")).unwrap();
    assert!(body.open);
    assert!(s.children()[1..].iter().all(|c| !c.open));
    assert!(s.child_el(body).text().starts_with("Wherefore"));
    assert!(s.has(names.get(ns::CHAT_STATES, "active")));
    assert!(!s.has(NameId::UNKNOWN));
    let request = s.child_named("urn:xmpp:receipts", "request").unwrap();
    assert_eq!(s.child_bytes(request), b"<request xmlns='urn:xmpp:receipts'/>");
    assert_eq!(s.attr("id").unwrap().len(), 36);
    assert_eq!(s.attr("nothing"), None);
    assert_eq!(s.name(), (ns::CLIENT, "message"));
    assert_eq!(s.name_id(), NameId::UNKNOWN);
    fn shared<T: Send + Sync>(_: &T) {}
    shared(&s);
    // No content in a log.
    assert!(!format!("{s:?}").contains("Wherefore"));
}

#[test]
fn s8_1_4_types_belong_to_kinds() {
    use StanzaType::*;
    for (xml, expected) in [
        ("<message/>", Normal),
        ("<message type='normal'/>", Normal),
        ("<message type='chat'/>", Chat),
        ("<message type='groupchat'/>", Groupchat),
        ("<message type='headline'/>", Headline),
        ("<message type='error'/>", Error),
        ("<message type='get'/>", Unknown),
        ("<message type='Chat'/>", Unknown),
        ("<message type=''/>", Unknown),
        ("<presence/>", Available),
        ("<presence type='unavailable'/>", Unavailable),
        ("<presence type='subscribe'/>", Subscribe),
        ("<presence type='subscribed'/>", Subscribed),
        ("<presence type='unsubscribe'/>", Unsubscribe),
        ("<presence type='unsubscribed'/>", Unsubscribed),
        ("<presence type='probe'/>", Probe),
        ("<presence type='error'/>", Error),
        ("<presence type='available'/>", Unknown),
        ("<iq type='get'/>", Get),
        ("<iq type='set'/>", Set),
        ("<iq type='result'/>", Result),
        ("<iq type='error'/>", Error),
        ("<iq/>", Unknown),
        ("<iq type='chat'/>", Unknown),
        ("<enable type='get' xmlns='urn:xmpp:sm:3'/>", Unknown),
    ] {
        assert_eq!(stanza(xml).stype(), expected, "{xml}");
    }
    // RFC 6121 5.2.2
    assert_eq!(Unknown.of_message(), Normal);
    assert_eq!(Chat.of_message(), Chat);
    assert!(Set.is_request() && !Result.is_request());
}

#[test]
fn attributes_are_unescaped_and_normalised() {
    let s = stanza("<iq to='a&amp;b' from=\"it's\" id='&#65;\n&#10;'/>");
    assert_eq!(s.to().as_deref(), Some("a&b"));
    assert_eq!(s.from().as_deref(), Some("it's"));
    assert_eq!(s.id().as_deref(), Some("A \n"));
    let empty = stanza("<iq to='' id=\"\"/>");
    assert_eq!((empty.to().as_deref(), empty.id().as_deref()), (Some(""), Some("")));
    assert!(empty.to_jid().is_err());
    assert_eq!(stanza("<iq/>").to_jid().unwrap(), None);
    assert!(stanza("<iq to='@'/>").to_jid().is_err());
}

#[test]
fn a_nonza_has_a_name() {
    let names = names();
    let s = stanza("<auth xmlns='urn:ietf:params:xml:ns:xmpp-sasl' mechanism='PLAIN'>AGEAYg==</auth>");
    assert_eq!(s.name_id(), names.get("urn:ietf:params:xml:ns:xmpp-sasl", "auth"));
    assert_ne!(s.name_id(), NameId::UNKNOWN);
    assert_eq!((s.text().as_ref(), s.attr("mechanism").as_deref()), ("AGEAYg==", Some("PLAIN")));
}

#[test]
fn rooms_see_one_content_namespace() {
    let names = names();
    let error = "<error type='cancel'><gone xmlns='urn:ietf:params:xml:ns:xmpp-stanzas'/></error>";
    for xml in [
        format!("<message type='error'><body>x</body>{error}</message>"),
        format!("<message type='error' xmlns='jabber:server'><body>x</body>{error}</message>"),
    ] {
        let s = stanza_of(SERVER, &xml);
        assert_eq!((s.kind(), s.name()), (Kind::Message, (ns::CLIENT, "message")));
        assert_eq!(s.el().ns(), ns::CLIENT);
        let body = s.child(names.get(ns::CLIENT, "body")).unwrap();
        assert_eq!((s.child_ns(body), s.child_el(body).ns()), (ns::CLIENT, ns::CLIENT));
        assert_eq!(s.closed(body).as_ref(), b"<body xmlns='jabber:client'>x</body>");
        let error = s.child_named(ns::CLIENT, "error").unwrap();
        assert!(s.parse_child::<StanzaError>(error).is_ok());
        assert_eq!(s.lang().as_deref(), Some("fr"), "the stream's");
    }
    let result = stanza_of(SERVER, "<db:result from='a' to='b'>key</db:result>");
    assert_eq!(result.name(), ("jabber:server:dialback", "result"));
    assert_eq!((result.kind(), result.text().as_ref()), (Kind::Other, "key"));
}

#[test]
fn a_child_that_leans_on_its_parent_is_open_until_closed() {
    let s = stanza(
        "<message xmlns:p='urn:p' xml:lang='de'><p:a b='1'/><c xmlns='urn:c' p:d='2'/><e xmlns='urn:e'><p:f/></e>\
         <g xmlns='urn:g'><h/></g><body>x</body><i xmlns='urn:i' xml:lang='fr'/><k xmlns=''><l xmlns='urn:p'/></k></message>",
    );
    let open: Vec<bool> = s.children().iter().map(|c| c.open).collect();
    assert_eq!(open, [true, true, true, false, true, false, false]);
    let closed: Vec<String> = s.children().iter().map(|c| String::from_utf8(s.closed(c).into_owned()).unwrap()).collect();
    assert_eq!(closed[0], "<p:a xmlns:p='urn:p' xml:lang='de' b='1'/>");
    assert_eq!(closed[1], "<c xmlns:p='urn:p' xml:lang='de' xmlns='urn:c' p:d='2'/>");
    assert_eq!(closed[2], "<e xmlns:p='urn:p' xml:lang='de' xmlns='urn:e'><p:f/></e>");
    assert_eq!(closed[3], "<g xml:lang='de' xmlns='urn:g'><h/></g>");
    assert_eq!(closed[4], "<body xmlns='jabber:client' xml:lang='de'>x</body>");
    assert_eq!(closed[5], "<i xmlns='urn:i' xml:lang='fr'/>");
    let plain = stanza("<message><g xmlns='urn:g'/></message>");
    assert!(matches!(plain.closed(&plain.children()[0]), std::borrow::Cow::Borrowed(_)));
}

#[test]
fn typed_payloads_are_read_from_exactly_their_bytes() {
    let s = stanza("<iq type='get'><ping xmlns='urn:xmpp:ping'/></iq>");
    assert!(s.parse_child::<Ping>(&s.children()[0]).is_ok());
    let s = stanza("<iq type='get' xmlns:p='urn:xmpp:ping'><p:ping/></iq>");
    assert!(s.parse_child::<Ping>(&s.children()[0]).is_ok());
    let s = stanza("<iq type='get'><pong xmlns='urn:xmpp:ping'/></iq>");
    assert!(s.parse_child::<Ping>(&s.children()[0]).is_err());
    assert_eq!(to_bytes(&Ping), b"<ping xmlns='urn:xmpp:ping'></ping>");
    assert_eq!(stanza(CHAT).parse_self::<Message>().unwrap().bodies.len(), 1);
}

#[test]
fn views_go_down_and_resolve_names() {
    let s = stanza(
        "<iq xmlns:p='urn:p'><q xmlns='urn:q' a='&lt;' p:a='2'>one<p:b/>t&amp;wo<![CDATA[<&>]]><c xmlns='urn:c'><d>deep</d></c>\r\n</q></iq>",
    );
    let q = s.child_el(s.child_named("urn:q", "q").unwrap());
    assert!(q.is("urn:q", "q"));
    assert_eq!(q.attr("a").as_deref(), Some("<"));
    assert_eq!(q.attr_ns("urn:p", "a").as_deref(), Some("2"));
    assert_eq!(q.attr_ns("urn:q", "a"), None);
    assert_eq!(q.text(), "onet&wo<&>\n");
    assert_eq!(q.children().map(|c| (c.ns(), c.local())).collect::<Vec<_>>(), [("urn:p", "b"), ("urn:c", "c")]);
    let d = q.child("urn:c", "c").unwrap().child("urn:c", "d").unwrap();
    assert_eq!((d.text().as_ref(), d.bytes()), ("deep", &b"<d>deep</d>"[..]));
    assert_eq!(d.closed().as_ref(), b"<d xmlns='urn:c'>deep</d>");
    assert_eq!(q.attrs().map(|(n, _)| n).collect::<Vec<_>>(), ["a", "p:a"]);
}

#[test]
fn a_view_of_anything_returns() {
    for bytes in
        [&b""[..], b"<", b"<a", b"x", b"<a>", b"</a>", b"<a b='>", b"<a b=>", b"<a><b></a>", b"<a></b>", b"\xff", b"<>", b"<a/"]
    {
        if let Some(el) = El::parse(bytes) {
            let _ = (oracle::tree(&el), el.closed().len(), el.attr("b"), el.child("", "b").is_some());
        }
    }
    assert!(El::parse(b"").is_none() && El::parse(b"x<a/>").is_none());
}
