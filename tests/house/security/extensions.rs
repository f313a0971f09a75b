//! D8 and D9: what does not exist is not there under any name; push notifications.

use std::net::TcpListener;

use crate::client::{Client, PATIENCE, trusting};
use crate::scene::Scene;

/// XEP-0138 does not exist here, before TLS, inside it, or behind authentication (CVE-2014-2741 to 2746, 2829).
#[test]
fn d8_compression_is_offered_nowhere_and_asked_for_in_vain() {
    let mut scene = Scene::new();
    let compress = "<compress xmlns='http://jabber.org/protocol/compress'><method>zlib</method></compress>";
    let mut clear = Client::connect(scene.server.starttls).expect("a connection");
    let mut secure = Client::starttls(scene.server.starttls, trusting(&scene.data.ca())).expect("TLS");
    for client in [&mut clear, &mut secure] {
        assert!(!client.open().contains("compress"), "{}", client.features);
        client.send(compress);
        let said = client.read_to_end(PATIENCE).expect("the stream ends").concat();
        assert!(said.contains("<stream:error>") && !said.contains("compressed"), "{said}");
    }
    let mut inside = Client::connect(scene.server.plain).expect("a connection");
    inside.login("mallory", crate::client::PASSWORD).expect("a login");
    assert!(!inside.features.contains("compress"), "{}", inside.features);
    inside.send(compress);
    let said = inside.read_to_end(PATIENCE).expect("the stream ends").concat();
    assert!(said.contains("<stream:error>") && !said.contains("compressed"), "{said}");
    let mut bound = Client::bound(scene.server.plain, "mallory", "bound");
    bound.send(compress);
    let said = bound.read_to_end(PATIENCE).expect("the stream ends").concat();
    assert!(said.contains("<unsupported-stanza-type"), "{said}");
    scene.canary();
}

const OPTIONS: &str = "<x xmlns='jabber:x:data' type='submit'><field var='FORM_TYPE'><value>http://jabber.org/protocol/pubsub#publish-\
                       options</value></field><field var='secret'><value>s3cr3t-of-the-phone</value></field></x>";

/// What is no server by a name is refused; a server is spoken to as one server speaks to another, and whatever else its address may be
/// hears nothing.
#[test]
fn d9_no_address_that_is_named_as_a_push_service_is_spoken_to_blindly() {
    let mut scene = Scene::new();
    let listener = TcpListener::bind("127.0.0.1:0").expect("a socket");
    listener.set_nonblocking(true).expect("a socket that does not wait");
    let port = listener.local_addr().expect("an address").port();
    let mut mallory = Client::bound(scene.server.plain, "mallory", "push");
    let enable = |jid: &str| format!("<enable xmlns='urn:xmpp:push:0' jid='{jid}' node='n'>{OPTIONS}</enable>");
    for (jid, condition) in [
        ("127.0.0.1".to_owned(), "not-acceptable"),
        ("[::1]".to_owned(), "not-acceptable"),
        ("169.254.169.254".to_owned(), "not-acceptable"),
        ("localhost".to_owned(), "not-acceptable"),
        ("mallory@localhost".to_owned(), "not-acceptable"),
        ("alice@localhost/phone".to_owned(), "not-acceptable"),
        ("somebody@victim.test".to_owned(), "not-acceptable"),
        (format!("127.0.0.1:{port}"), "jid-malformed"),
        (format!("http://127.0.0.1:{port}/"), "jid-malformed"),
    ] {
        let answer = mallory.iq("set", None, &enable(&jid));
        assert!(answer.contains("type='error'"), "{jid}: {answer}");
        assert!(answer.contains(condition) || answer.contains("not-acceptable"), "{jid}: {answer}");
    }
    // A name is taken; that nobody is there under it, its account learns by the errors.
    assert!(mallory.iq("set", None, &enable("victim.test")).contains("type='result'"));
    mallory.close();
    scene.alice.send("<message to='mallory@localhost' type='chat'><body>news</body></message>");
    scene.canary();
    assert!(listener.accept().is_err(), "somebody was spoken to");
}

/// The summary says how much there is, and neither who nor what; what a client has told its service stays between the two.
#[test]
fn d9_a_notification_holds_no_body_and_secrets_reach_nobody_else() {
    let mut scene = Scene::new();
    let mut app = Client::bound(scene.server.plain, "mallory", "app");
    let mut other = Client::bound(scene.server.plain, "mallory", "other");
    other.send("<presence/>");
    let mut phone = Client::bound(scene.server.plain, "mallory", "phone");
    let enable = format!("<enable xmlns='urn:xmpp:push:0' jid='mallory@localhost/app' node='n'>{OPTIONS}</enable>");
    assert!(phone.iq("set", None, &enable).contains("type='result'"));
    phone.close();
    scene.alice.send("<message to='mallory@localhost' type='chat' id='m'><body>quite private</body></message>");
    let told = app.expect("<publish node='n'>");
    assert!(told.starts_with("<iq") && told.contains("from='localhost'"), "{told}");
    assert!(told.contains("message-count") && told.contains("s3cr3t-of-the-phone"), "{told}");
    assert!(!told.contains("quite private") && !told.contains("alice"), "{told}");
    let heard = other.expect("quite private");
    assert!(!heard.contains("s3cr3t"), "{heard}");
    for query in [
        "<query xmlns='http://jabber.org/protocol/disco#info'/>",
        "<query xmlns='http://jabber.org/protocol/disco#items'/>",
        "<list xmlns='urn:xmpp:cam:0'/>",
    ] {
        assert!(!other.iq("get", Some("mallory@localhost"), query).contains("s3cr3t"), "{query}");
    }
    scene.canary();
}

/// One account has so many services and no more.
#[test]
fn d9_services_of_one_account_are_counted() {
    let scene = Scene::new();
    let mut mallory = Client::bound(scene.server.plain, "mallory", "push");
    let enable = |n: usize| format!("<enable xmlns='urn:xmpp:push:0' jid='s{n}.victim.test' node='n'/>");
    for n in 0..16 {
        assert!(mallory.iq("set", None, &enable(n)).contains("type='result'"), "{n}");
    }
    let answer = mallory.iq("set", None, &enable(16));
    assert!(answer.contains("<resource-constraint") && answer.contains("at most 16"), "{answer}");
}
