//! Rendering and building.

use super::*;

fn rendered(s: &Stanza, stamps: &Stamps, to: Option<&str>) -> String {
    let mut out = Vec::new();
    render(s, stamps).write_to(to, &mut out);
    String::from_utf8(out).unwrap()
}

fn forwarded(s: &Stanza, stamps: &Stamps, to: Option<&str>) -> String {
    let mut out = Vec::new();
    render_forwarded(s, stamps, to, &mut out);
    String::from_utf8(out).unwrap()
}

fn from(jid: &str) -> Stamps {
    Stamps { from: Some(jid.into()), ..Stamps::default() }
}

#[test]
fn stamps_replace_what_the_client_said() {
    let s = stanza("<message to='a@b' from='x' id='1'><body>x</body></message>");
    assert_eq!(
        rendered(&s, &from("r@m/o"), Some("j'@c")),
        "<message to='j&apos;@c' from='r@m/o' id='1'><body>x</body></message>"
    );
    assert_eq!(rendered(&s, &from("r@m/<"), None), "<message from='r@m/&lt;' id='1'><body>x</body></message>");
    assert_eq!(rendered(&s, &Stamps::default(), None), "<message from='x' id='1'><body>x</body></message>");
}

#[test]
fn attributes_and_children_travel_as_received() {
    let s = stanza(
        "<message\n  id = \"it's &#65;\"\tp:x='1' xmlns:p='urn:p'\r\n>  <p:a/>\n<b  c = 'd' />t&gt; <![CDATA[<]]></message >",
    );
    assert_eq!(
        rendered(&s, &from("r@m"), Some("j@c")),
        "<message to='j@c' from='r@m' id = \"it's &#65;\" p:x='1' xmlns:p='urn:p'>  <p:a/>\n<b  c = 'd' />t&gt; <![CDATA[<]]></message>"
    );
}

#[test]
fn xep0359_forged_children_go_and_the_archive_s_id_comes() {
    let s = stanza(
        "<message><stanza-id xmlns='urn:xmpp:sid:0' by='j@c' id='1'/><body>x</body><stanza-id xmlns='urn:xmpp:sid:0' by='j@c' id='2'/></message>",
    );
    let mut stamps = from("r@m/o");
    stamps.strip.add(2);
    stamps.strip.add(0);
    stamps.strip.add(0);
    stamps.stanza_id = Some(StanzaId { by: "j@c".into(), id: "3'".into() });
    stamps.extra = Some(Arc::from(&b"<delay xmlns='urn:xmpp:delay'/>"[..]));
    assert_eq!(
        rendered(&s, &stamps, None),
        "<message from='r@m/o'><body>x</body><delay xmlns='urn:xmpp:delay'/><stanza-id xmlns='urn:xmpp:sid:0' by='j@c' id='3&apos;'/></message>"
    );
    assert!(stamps.strip.contains(0) && !stamps.strip.contains(1) && !Strip::default().contains(0));
    // All children gone, nothing put in: an empty element.
    let mut all = Stamps::default();
    (0..3).for_each(|i| all.strip.add(i));
    assert_eq!(rendered(&s, &all, None), "<message/>");
    // Nothing inside, something put in.
    let empty = stanza("<message />");
    assert_eq!(
        rendered(&empty, &stamps, None),
        "<message from='r@m/o'><delay xmlns='urn:xmpp:delay'/><stanza-id xmlns='urn:xmpp:sid:0' by='j@c' id='3&apos;'/></message>"
    );
    assert_eq!(rendered(&stanza("<presence></presence>"), &Stamps::default(), None), "<presence/>");
}

#[test]
fn the_content_namespace_is_left_to_the_stream_it_goes_out_on() {
    let s = stanza("<message xmlns='jabber:client' to='a'><body>x</body></message>");
    assert_eq!(rendered(&s, &Stamps::default(), None), "<message><body>x</body></message>");
    let mut framed = Vec::new();
    render(&s, &Stamps::default()).write_to_framed(Some("a"), &mut framed);
    assert_eq!(framed, b"<message xmlns='jabber:client' to='a'><body>x</body></message>");
    let server = "<stream:stream xmlns='jabber:server' xmlns:stream='http://etherx.jabber.org/streams'>";
    let s = stanza_of(server, "<message xmlns='jabber:server'><body>x</body></message>");
    assert_eq!(rendered(&s, &Stamps::default(), None), "<message><body>x</body></message>");
    let s = stanza("<r xmlns='urn:xmpp:sm:3'/>");
    assert_eq!(rendered(&s, &Stamps::default(), None), "<r xmlns='urn:xmpp:sm:3'/>");
}

#[test]
fn prefixes_of_the_stream_it_came_in_on_are_declared_again() {
    let header =
        "<stream:stream xmlns='jabber:client' xmlns:p='urn:p' xmlns:q='urn:q' xmlns:stream='http://etherx.jabber.org/streams'>";
    let s = stanza_of(header, "<message><p:a><b xmlns:q='urn:other' q:c='1'/></p:a></message>");
    let xml = "<message xmlns:p='urn:p'><p:a><b xmlns:q='urn:other' q:c='1'/></p:a></message>";
    assert_eq!(rendered(&s, &Stamps::default(), None), xml);
    assert!(s.children()[0].open);
    assert_eq!(
        s.closed(&s.children()[0]).as_ref(),
        b"<p:a xmlns:p='urn:p' xmlns='jabber:client'><b xmlns:q='urn:other' q:c='1'/></p:a>"
    );
    // What was rendered stands alone: it can be read back.
    let again = Stanza::parse(xml.as_bytes(), &names()).unwrap();
    assert_eq!(again.child_ns(&again.children()[0]), "urn:p");
    // A prefix the stanza declares itself is not declared twice.
    let s = stanza_of(header, "<message xmlns:p='urn:mine'><p:a/></message>");
    assert_eq!(rendered(&s, &Stamps::default(), None), "<message xmlns:p='urn:mine'><p:a/></message>");
}

#[test]
fn s8_1_5_a_stanza_without_language_gets_that_of_its_stream() {
    let header = "<stream:stream xmlns='jabber:client' xml:lang='de' xmlns:stream='http://etherx.jabber.org/streams'>";
    let s = stanza_of(header, "<message><body>x</body></message>");
    assert_eq!(rendered(&s, &Stamps::default(), None), "<message xml:lang='de'><body>x</body></message>");
    assert_eq!(s.closed(&s.children()[0]).as_ref(), b"<body xmlns='jabber:client'>x</body>");
    let s = stanza_of(header, "<message xml:lang='fr'/>");
    assert_eq!(rendered(&s, &Stamps::default(), None), "<message xml:lang='fr'/>");
    assert_eq!(
        rendered(&stanza_of(header, "<r xmlns='urn:xmpp:sm:3'/>"), &Stamps::default(), None),
        "<r xmlns='urn:xmpp:sm:3'/>"
    );
}

#[test]
fn xep0297_3_1_a_forwarded_stanza_names_its_namespace_once() {
    let xml = "<message xmlns='jabber:client' from='r@m/o' to='j@c'><body>x</body></message>";
    for received in
        ["<message to='j@c'><body>x</body></message>", "<message xmlns=\"jabber:client\" to='j@c'><body>x</body></message>"]
    {
        assert_eq!(forwarded(&stanza(received), &from("r@m/o"), None), xml);
    }
    let s = stanza("<message to='other'><body>x</body></message>");
    assert_eq!(forwarded(&s, &from("r@m/o"), Some("j@c")).replace("to='j@c' from='r@m/o'", "from='r@m/o' to='j@c'"), xml);
    let again = Stanza::parse(xml.as_bytes(), &names()).unwrap();
    assert_eq!(forwarded(&again, &Stamps::default(), None), xml);
    let server = "<stream:stream xmlns='jabber:server' xmlns:stream='http://etherx.jabber.org/streams'>";
    let s = stanza_of(server, "<message from='r@m/o' to='j@c'><body>x</body></message>");
    assert_eq!(forwarded(&s, &Stamps::default(), None), xml);
}

#[test]
fn xep0352_5_what_may_wait() {
    let hold = |xml: &str| render(&stanza(xml), &from("r@m/o")).hold;
    let of = |xml: &str, sender: &str| render(&stanza(xml), &from(sender)).hold;
    let Hold::Coalesce { from: origin, .. } = hold("<presence/>") else { panic!("presence waits") };
    assert_eq!(hold("<presence type='unavailable'/>"), hold("<presence><show>away</show></presence>"));
    assert_ne!(of("<presence/>", "r@m/o"), of("<presence/>", "r@m/p"));
    assert_eq!(hold("<message><composing xmlns='http://jabber.org/protocol/chatstates'/></message>"), Hold::Drop);
    assert_eq!(
        hold("<message><thread>1</thread><active xmlns='http://jabber.org/protocol/chatstates'/></message>"),
        Hold::Drop
    );
    // RFC 6120 10.1: what the same one has sent before comes before.
    let takes_along = |hold: Hold| match hold {
        Hold::Pass(sender) => sender.has_sent(origin),
        other => panic!("{other:?}"),
    };
    let groupchat = "<message type='groupchat'><body>x</body></message>";
    for stanza in [CHAT, "<message/>", groupchat, "<iq type='get'/>", "<presence type='subscribe'/>"] {
        assert!(takes_along(hold(stanza)), "{stanza}");
        assert!(!takes_along(of(stanza, "n@m/o")), "{stanza}");
    }
    assert!(takes_along(of(CHAT, "r@m/p")) && !takes_along(of(groupchat, "r@m/p")));
    let own = "<presence><x xmlns='http://jabber.org/protocol/muc#user'><item/><status code='110'/></x></presence>";
    assert!(takes_along(of(own, "r@m/p")), "all of a room, when it says that one has come in");
    assert_eq!(Hold::news("r@m", "n", "1"), Hold::news("r@m", "n", "1"));
    assert_ne!(Hold::news("r@m", "n", "1"), Hold::news("r@m", "n", "2"));
}

#[test]
fn own_elements_become_wires() {
    let mut b = Build::new();
    b.open("iq").attr("type", "result").attr("id", "1");
    let wire = Wire::own(b.finish(), Hold::Flush).unwrap();
    let mut out = Vec::new();
    wire.write_to(Some("j@c/r"), &mut out);
    wire.write_to(None, &mut out);
    assert_eq!(out, b"<iq to='j@c/r' type='result' id='1'/><iq type='result' id='1'/>");
    for bad in [&b""[..], b"x", b"<", b"<>", b"</a>"] {
        assert!(Wire::own(bad.to_vec(), Hold::Flush).is_none());
    }
}

#[test]
fn rendering_what_was_rendered_changes_nothing() {
    let s = stanza(CHAT);
    let stamps = Stamps { stanza_id: Some(StanzaId { by: "j@c".into(), id: "7".into() }), ..from("r@m/o") };
    let first = rendered(&s, &stamps, None);
    let again = Stanza::parse(first.as_bytes(), &names()).unwrap();
    assert_eq!(rendered(&again, &Stamps::default(), None), first);
    assert_eq!(again.children().len(), s.children().len() + 1);
}
