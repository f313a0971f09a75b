//! C: who somebody is, and whom they reach.

use std::net::TcpListener;
use std::time::Duration;

use iris::cli::control::Admin;
use iris_core::BareJid;

use crate::client::{Client, PASSWORD, PATIENCE, attribute, between};
use crate::scene::Scene;

const A_MOMENT: Duration = Duration::from_millis(150);

/// Everything that was caused by what `client` has sent so far is on its way once its ping is answered; this reads what came
/// before the answer.
fn settle(client: &mut Client) -> Vec<String> {
    let id = "settled";
    client.send(&format!("<iq type='get' id='{id}' to='localhost'><ping xmlns='urn:xmpp:ping'/></iq>"));
    let mut before = Vec::new();
    loop {
        let element = client.read(PATIENCE).expect("a pong");
        if element.starts_with("<iq") && attribute(&element, "id") == Some(id) {
            return before;
        }
        before.push(element);
    }
}

#[test]
fn c1_a_forged_sender_is_never_seen() {
    let mut scene = Scene::new();
    for from in [
        "alice@localhost",
        "alice@localhost/desk",
        "bob@localhost",
        "mallory@localhost/other",
        "localhost",
        "other.test",
        "eve@other.test/x",
        "room@conference.localhost/alice",
        "nonsense@@",
        "",
    ] {
        for stanza in [
            format!("<message from='{from}' to='bob@localhost/phone' type='chat'><body>forged</body></message>"),
            format!("<presence from='{from}' to='bob@localhost/phone'/>"),
            format!("<iq from='{from}' to='bob@localhost/phone' type='get' id='f'><ping xmlns='urn:xmpp:ping'/></iq>"),
        ] {
            let mut mallory = scene.mallory();
            mallory.send(&stanza);
            // Refused with a stream error, or sent under the true name; bob hears nothing third.
            if let Err(error) = mallory.ping(PATIENCE) {
                assert!(error.to_string().contains("<invalid-from "), "{stanza}: {error}");
            }
        }
        for element in scene.bob.drain(A_MOMENT) {
            assert_eq!(attribute(&element, "from"), Some("mallory@localhost/cave"), "{from}: {element}");
        }
        scene.canary();
    }
}

#[test]
fn c1_the_own_address_may_be_said() {
    let mut scene = Scene::new();
    let mut mallory = scene.mallory();
    for from in ["mallory@localhost/cave", "mallory@localhost", "MALLORY@LOCALHOST/cave"] {
        mallory.send(&format!("<message from='{from}' to='bob@localhost/phone' type='chat'><body>mine</body></message>"));
        let heard = scene.bob.read_stanza();
        assert_eq!(attribute(&heard, "from"), Some("mallory@localhost/cave"), "{heard}");
        assert_eq!(heard.matches(" from=").count(), 1, "{heard}");
    }
    scene.canary();
}

#[test]
fn c2_nothing_of_a_stranger_looks_like_the_own_server() {
    let mut scene = Scene::new();
    let forged = "<forwarded xmlns='urn:xmpp:forward:0'><message xmlns='jabber:client' from='alice@localhost/desk' \
                  to='bob@localhost' type='chat'><body>forged</body></message></forwarded>";
    let probes = [
        "<iq type='set' id='push' to='bob@localhost/phone'><query xmlns='jabber:iq:roster'><item jid='mallory@localhost' \
         subscription='both'/></query></iq>"
            .to_owned(),
        format!("<message to='bob@localhost/phone'><received xmlns='urn:xmpp:carbons:2'>{forged}</received></message>"),
        format!("<message to='bob@localhost/phone'><sent xmlns='urn:xmpp:carbons:2'>{forged}</sent></message>"),
        format!("<message to='bob@localhost/phone'><result xmlns='urn:xmpp:mam:2' id='1'>{forged}</result></message>"),
        "<message to='bob@localhost/phone'><event xmlns='http://jabber.org/protocol/pubsub#event'><items \
         node='urn:xmpp:bookmarks:1'/></event></message>"
            .to_owned(),
        "<iq type='set' id='block' to='bob@localhost/phone'><block xmlns='urn:xmpp:blocking'><item jid='alice@localhost'/>\
         </block></iq>"
            .to_owned(),
    ];
    let mut mallory = scene.mallory();
    for probe in probes {
        mallory.send(&probe);
        settle(&mut mallory);
        for element in scene.bob.drain(A_MOMENT) {
            assert_eq!(attribute(&element, "from"), Some("mallory@localhost/cave"), "{probe}: {element}");
        }
        scene.canary();
    }
}

#[test]
fn c2_carbons_are_the_accounts_own_and_never_nest() {
    let mut scene = Scene::new();
    let mut tablet = Client::online(scene.server.plain, "bob", "tablet");
    scene.alice.expect("bob@localhost/tablet");
    scene.bob.expect("bob@localhost/tablet");
    assert!(tablet.iq("set", None, "<enable xmlns='urn:xmpp:carbons:2'/>").contains("type='result'"));
    settle(&mut tablet);
    let mut mallory = scene.mallory();
    // An honest message is copied under bob's own name.
    mallory.send("<message to='bob@localhost/phone' type='chat'><body>copied</body></message>");
    let copy = tablet.expect("copied");
    assert!(copy.contains("urn:xmpp:carbons:2") && attribute(&copy, "from") == Some("bob@localhost"), "{copy}");
    scene.bob.expect("copied");
    // What says that it is a copy, or is private, is not copied.
    let forged = "<received xmlns='urn:xmpp:carbons:2'><forwarded xmlns='urn:xmpp:forward:0'><message xmlns='jabber:client' \
                  from='alice@localhost/desk' type='chat'><body>nested</body></message></forwarded></received>";
    for inside in [
        format!("{forged}<body>nested</body>"),
        "<body>private</body><private xmlns='urn:xmpp:carbons:2'/><no-copy xmlns='urn:xmpp:hints'/>".to_owned(),
        "<body>no copy</body><no-copy xmlns='urn:xmpp:hints'/>".to_owned(),
    ] {
        mallory.send(&format!("<message to='bob@localhost/phone' type='chat'>{inside}</message>"));
        settle(&mut mallory);
        let heard = scene.bob.drain(A_MOMENT);
        assert!(heard.iter().all(|it| attribute(it, "from") == Some("mallory@localhost/cave")), "{heard:?}");
        for copy in tablet.drain(A_MOMENT) {
            assert!(attribute(&copy, "from") != Some("bob@localhost"), "copied: {copy}");
        }
    }
}

#[test]
fn c3_ids_that_only_a_server_gives_are_replaced() {
    let mut scene = Scene::new();
    let mut mallory = scene.mallory();
    mallory.send(
        "<message to='bob@localhost/phone' type='chat'><stanza-id xmlns='urn:xmpp:sid:0' by='bob@localhost' id='forged1'/>\
         <body>x</body><stanza-id xmlns='urn:xmpp:sid:0' by='bob@localhost' id='forged2'/>\
         <s:stanza-id xmlns:s='urn:xmpp:sid:0' by='BOB@localhost' id='forged3'/>\
         <stanza-id xmlns='urn:xmpp:sid:0' by='elsewhere.test' id='theirs'/></message>",
    );
    let heard = scene.bob.read_stanza();
    assert!(!heard.contains("forged"), "{heard}");
    assert_eq!(heard.matches("by='bob@localhost'").count(), 1, "{heard}");
    assert!(heard.contains("id='theirs'"), "an id of somebody else is not ours to remove: {heard}");
    scene.canary();
}

#[test]
fn c4_odd_iqs_are_answered_once_or_not_at_all() {
    let mut scene = Scene::new();
    let mut mallory = scene.mallory();
    let ping = "<ping xmlns='urn:xmpp:ping'/>";
    // (stanza, answers at least, answers at most)
    let probes = [
        (format!("<iq type='result' id='none' to='localhost'>{ping}</iq>"), 0, 0),
        ("<iq type='result' id='none' to='bob@localhost'/>".to_owned(), 0, 0),
        ("<iq type='error' id='none' to='localhost'><error type='cancel'/></iq>".to_owned(), 0, 0),
        ("<iq type='error' id='none' to='nobody@localhost/x'><error type='cancel'/></iq>".to_owned(), 0, 0),
        (format!("<iq type='get' id='two' to='localhost'>{ping}{ping}</iq>"), 1, 1),
        ("<iq type='get' id='empty' to='localhost'/>".to_owned(), 1, 1),
        ("<iq type='get' id='unknown' to='localhost'><x xmlns='urn:x'/></iq>".to_owned(), 1, 1),
        ("<iq type='set' id='unknown2'><x xmlns='urn:x'/></iq>".to_owned(), 1, 1),
        ("<iq type='get' id='nobody' to='nobody@localhost'><x xmlns='urn:x'/></iq>".to_owned(), 1, 1),
        ("<message type='error' to='nobody@localhost'><error type='cancel'/></message>".to_owned(), 0, 0),
        ("<message type='error' to='localhost'><error type='cancel'/></message>".to_owned(), 0, 0),
        ("<presence type='error' to='bob@localhost'><error type='cancel'/></presence>".to_owned(), 0, 0),
        ("<presence type='bogus'/>".to_owned(), 0, 1),
        ("<presence type='bogus' to='nobody@localhost'/>".to_owned(), 0, 1),
        (format!("<iq id='typeless' to='localhost'>{ping}</iq>"), 0, 1),
        (format!("<iq type='bogus' id='bogus' to='localhost'>{ping}</iq>"), 0, 1),
    ];
    for (probe, least, most) in probes {
        mallory.send(&probe);
        // An answer of another account may come after the pong.
        let mut answers: Vec<String> = (0..least).map(|_| mallory.read_stanza()).collect();
        answers.extend(settle(&mut mallory));
        answers.extend(mallory.drain(A_MOMENT / 3));
        assert!((least..=most).contains(&answers.len()), "{probe}: {answers:?}");
        assert!(answers.iter().all(|it| attribute(it, "type") == Some("error")), "{probe}: {answers:?}");
    }
    scene.canary();
    // Without an id: an error, of the stream or of the stanza.
    mallory.send(&format!("<iq type='get' to='localhost'>{ping}</iq>"));
    let answer = mallory.read(PATIENCE).expect("an answer");
    assert!(answer.contains("error"), "{answer}");
    scene.canary();
}

#[test]
fn c5_errors_are_never_answered_with_errors() {
    let mut scene = Scene::new();
    let mut mallory = scene.mallory();
    for to in
        ["nobody@localhost", "nobody@localhost/x", "bob@localhost/none", "eve@other.test", "who@elsewhere.test", "localhost/x"]
    {
        for kind in ["message", "presence", "iq"] {
            mallory.send(&format!(
                "<{kind} type='error' id='e' to='{to}'><error type='cancel'><service-unavailable \
                 xmlns='urn:ietf:params:xml:ns:xmpp-stanzas'/></error></{kind}>"
            ));
        }
    }
    settle(&mut mallory);
    assert_eq!(mallory.drain(A_MOMENT), [""; 0]);
    scene.canary();
}

#[test]
fn c6_a_stranger_learns_nothing_of_presence_and_archive() {
    let mut scene = Scene::new();
    let mut mallory = scene.mallory();
    mallory.send("<presence type='probe' to='bob@localhost'/>");
    for payload in [
        "<query xmlns='jabber:iq:last'/>",
        "<query xmlns='http://jabber.org/protocol/disco#info'/>",
        "<query xmlns='http://jabber.org/protocol/disco#items'/>",
        "<query xmlns='jabber:iq:roster'/>",
        "<query xmlns='jabber:iq:private'><x xmlns='urn:x'/></query>",
        "<blocklist xmlns='urn:xmpp:blocking'/>",
    ] {
        let answer = mallory.iq("get", Some("bob@localhost"), payload);
        assert_eq!(attribute(&answer, "type"), Some("error"), "{payload}: {answer}");
        assert!(!answer.contains("phone"), "{answer}");
    }
    for payload in [
        "<query xmlns='urn:xmpp:mam:2'/>",
        "<prefs xmlns='urn:xmpp:mam:2' default='never'/>",
        "<query xmlns='jabber:iq:roster'><item jid='mallory@localhost'/></query>",
        "<block xmlns='urn:xmpp:blocking'><item jid='alice@localhost'/></block>",
        "<query xmlns='jabber:iq:private'><x xmlns='urn:x'/></query>",
        "<vCard xmlns='vcard-temp'><FN>forged</FN></vCard>",
        "<enable xmlns='urn:xmpp:carbons:2'/>",
    ] {
        let answer = mallory.iq("set", Some("bob@localhost"), payload);
        assert_eq!(attribute(&answer, "type"), Some("error"), "{payload}: {answer}");
    }
    // Nor of others by way of her own archive.
    let answers = {
        mallory.send("<iq type='set' id='mam'><query xmlns='urn:xmpp:mam:2'/></iq>");
        settle(&mut mallory)
    };
    assert!(!answers.iter().any(|it| it.contains("canary") || it.contains("are you ready")), "{answers:?}");
    scene.canary();
}

#[test]
fn c7_a_blocked_contact_reaches_nobody_and_is_not_told_why() {
    let mut scene = Scene::new();
    let mut mallory = scene.mallory();
    let answer = scene.bob.iq("set", None, "<block xmlns='urn:xmpp:blocking'><item jid='mallory@localhost'/></block>");
    assert!(answer.contains("type='result'"), "{answer}");
    scene.bob.drain(A_MOMENT);
    for stanza in [
        "<message to='bob@localhost/phone' type='chat' id='b'><body>blocked</body></message>",
        "<message to='bob@localhost' type='chat' id='b'><body>blocked</body></message>",
        "<message to='bob@localhost' type='headline'><body>blocked</body></message>",
        "<presence to='bob@localhost/phone'/>",
        "<presence to='bob@localhost' type='subscribe'/>",
        "<presence to='bob@localhost' type='probe'/>",
        "<iq to='bob@localhost/phone' type='get' id='b'><ping xmlns='urn:xmpp:ping'/></iq>",
        "<iq to='bob@localhost' type='get' id='b'><ping xmlns='urn:xmpp:ping'/></iq>",
    ] {
        mallory.send(stanza);
        let mut answers = settle(&mut mallory);
        answers.extend(mallory.drain(A_MOMENT));
        let all = answers.concat();
        assert!(answers.len() <= 1 && !all.contains("blocked>") && !all.contains("not-acceptable"), "{stanza}: {answers:?}");
        scene.canary();
    }
    // A resource of hers is her; somebody else of her domain is not.
    scene.alice.send("<message to='bob@localhost/phone' type='chat'><body>still there</body></message>");
    scene.bob.expect("still there");
    scene.canary();
}

#[test]
fn c8_directed_presence_and_a_negative_priority_leak_nothing() {
    let mut scene = Scene::new();
    // Directed presence goes to whom it is directed.
    let mut mallory = Client::bound(scene.server.plain, "mallory", "cave");
    mallory.send("<presence to='bob@localhost/phone'><status>for bob</status></presence>");
    let heard = scene.bob.read_stanza();
    assert!(heard.contains("for bob") && attribute(&heard, "from") == Some("mallory@localhost/cave"), "{heard}");
    scene.canary();
    mallory.send("</stream:stream>");
    let heard = scene.bob.read_stanza();
    assert_eq!(attribute(&heard, "type"), Some("unavailable"), "{heard}");
    // RFC 6121 8.5.2.1.1: a negative priority hears nothing that is for the bare address.
    let mut negative = Client::bound(scene.server.plain, "mallory", "negative");
    negative.send("<presence><priority>-1</priority></presence>");
    settle(&mut negative);
    scene.alice.send("<message to='mallory@localhost' type='chat'><body>for the bare address</body></message>");
    settle(&mut scene.alice);
    assert!(!negative.drain(A_MOMENT).concat().contains("for the bare address"));
    scene.canary();
}

#[test]
fn c9_one_name_in_all_its_spellings_is_one_account() {
    let mut scene = Scene::new();
    let control = scene.control();
    for spelling in ["ALICE@localhost", "Alice@LOCALHOST", "\u{FF41}lice@localhost"] {
        if let Ok(jid) = BareJid::new(spelling) {
            assert!(control.user_add(&jid, PASSWORD).is_err(), "{spelling} became a second alice");
        }
    }
    for user in ["ALICE", "Alice"] {
        let mut client = Client::connect(scene.server.plain).expect("a connection");
        client.login(user, PASSWORD).expect("a login");
        assert_eq!(client.bind("x").expect("an address"), "alice@localhost/x");
    }
    let mut mallory = scene.mallory();
    mallory.send("<message to='BOB@LOCALHOST/phone' type='chat'><body>to bob</body></message>");
    scene.bob.expect("to bob");
    scene.canary();
}

#[test]
fn c10_a_claimed_time_does_not_move_a_message_in_the_archive() {
    let mut scene = Scene::new();
    let mut mallory = scene.mallory();
    for (n, stamp) in ["2038-01-01T00:00:00Z", "1999-01-01T00:00:00Z"].iter().enumerate() {
        mallory.send(&format!(
            "<message to='bob@localhost/phone' type='chat'><body>timed {n}</body><delay xmlns='urn:xmpp:delay' \
             from='localhost' stamp='{stamp}'/><stanza-id xmlns='urn:xmpp:sid:0' by='bob@localhost' id='0'/></message>"
        ));
        scene.bob.expect(&format!("timed {n}"));
    }
    scene.bob.send(
        "<iq type='set' id='mam'><query xmlns='urn:xmpp:mam:2'><x xmlns='jabber:x:data' type='submit'><field \
         var='FORM_TYPE' type='hidden'><value>urn:xmpp:mam:2</value></field><field var='with'>\
         <value>mallory@localhost</value></field></x></query></iq>",
    );
    let mut kept = Vec::new();
    loop {
        let element = scene.bob.read_stanza();
        if element.starts_with("<iq") {
            assert!(element.contains("<fin "), "{element}");
            break;
        }
        kept.push(element);
    }
    assert_eq!(kept.len(), 2, "{kept:?}");
    for (n, element) in kept.iter().enumerate() {
        assert!(element.contains(&format!("timed {n}")), "in the order of arrival: {element}");
        // The archive's own stamp stands in front of the forwarded message.
        let own = between(element, "<forwarded", "<message").unwrap_or_default();
        assert!(own.contains("<delay ") && !own.contains("2038-") && !own.contains("1999-"), "{element}");
        assert_ne!(attribute(&element[element.find("<result").unwrap_or(0)..], "id"), Some("0"), "{element}");
    }
    scene.canary();
}

#[test]
fn c11_deep_and_wide_forwards_are_one_message_or_an_error() {
    let mut scene = Scene::new();
    let mut mallory = scene.mallory();
    let mut deep = String::from("<body>core</body>");
    for _ in 0..25 {
        deep = format!(
            "<forwarded xmlns='urn:xmpp:forward:0'><message xmlns='jabber:client' type='chat'>{deep}</message></forwarded>"
        );
    }
    let wide = "<received xmlns='urn:xmpp:carbons:2'/>".repeat(500);
    let addresses: String = (0..1_000).map(|n| format!("<address type='to' jid='u{n}@localhost'/>")).collect();
    for inside in
        [deep, wide, format!("<addresses xmlns='http://jabber.org/protocol/address'>{addresses}</addresses><body>x</body>")]
    {
        mallory.send(&format!("<message to='bob@localhost/phone' type='chat'>{inside}</message>"));
        let mut answers = settle(&mut mallory);
        let heard = scene.bob.drain(A_MOMENT);
        answers.extend(mallory.drain(A_MOMENT / 3));
        assert!(answers.len() + heard.len() <= 1, "{answers:?} {heard:?}");
        assert!(heard.iter().all(|it| attribute(it, "from") == Some("mallory@localhost/cave")), "{heard:?}");
        scene.canary();
    }
}

#[test]
fn c12_candidates_pass_unchanged_and_nobody_dials_them() {
    let mut scene = Scene::new();
    let trap = TcpListener::bind("127.0.0.1:0").expect("a port");
    trap.set_nonblocking(true).expect("a socket");
    let port = trap.local_addr().expect("an address").port();
    let mut mallory = scene.mallory();
    let candidate = format!("<candidate component='1' ip='127.0.0.1' port='{port}' protocol='udp' type='host'/>");
    for n in 0..200 {
        mallory.send(&format!(
            "<iq type='set' id='j{n}' to='bob@localhost/phone'><jingle xmlns='urn:xmpp:jingle:1' action='session-initiate' \
             sid='s{n}'><content creator='initiator' name='a'><transport xmlns='urn:xmpp:jingle:transports:ice-udp:1'>{candidate}\
             </transport></content></jingle></iq>"
        ));
    }
    for n in 0..200 {
        let heard = scene.bob.read_stanza();
        assert!(heard.contains(&format!("sid='s{n}'")) && heard.contains(&candidate), "{heard}");
        assert_eq!(attribute(&heard, "from"), Some("mallory@localhost/cave"));
    }
    scene.canary();
    let asked = trap.accept().map(|_| ()).map_err(|error| error.kind());
    assert_eq!(asked, Err(std::io::ErrorKind::WouldBlock), "the server has dialled a candidate");
}
