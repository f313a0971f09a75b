//! D8 and D9: what does not exist, or not yet, is not there under any name.

use std::net::TcpListener;
use std::time::Duration;

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

/// XEP-0357 is the next issue's. Until then it is neither offered nor taken, and whatever address a client names hears nothing.
#[test]
fn d9_push_is_not_there_and_no_address_that_is_named_is_spoken_to() {
    let mut scene = Scene::new();
    let listener = TcpListener::bind("127.0.0.1:0").expect("a socket");
    listener.set_nonblocking(true).expect("a socket that does not wait");
    let port = listener.local_addr().expect("an address").port();
    let mut mallory = Client::bound(scene.server.plain, "mallory", "push");
    for to in [None, Some("localhost")] {
        let info = mallory.iq("get", to, "<query xmlns='http://jabber.org/protocol/disco#info'/>");
        assert!(!info.contains("urn:xmpp:push"), "{info}");
    }
    for jid in
        ["other.test".to_owned(), format!("127.0.0.1:{port}"), "127.0.0.1".into(), "[::1]".into(), "mallory@localhost".into()]
    {
        let form = format!(
            "<x xmlns='jabber:x:data' type='submit'><field var='FORM_TYPE'><value>http://jabber.org/protocol/pubsub#publish-options\
             </value></field><field var='endpoint'><value>http://127.0.0.1:{port}/</value></field></x>"
        );
        let enable = format!("<enable xmlns='urn:xmpp:push:0' jid='{jid}' node='n'>{form}</enable>");
        let answer = mallory.iq("set", None, &enable);
        assert!(answer.contains("type='error'") && answer.contains("<service-unavailable"), "{jid}: {answer}");
    }
    scene.alice.send("<message to='mallory@localhost' type='chat'><body>news</body></message>");
    std::thread::sleep(Duration::from_millis(300));
    assert!(listener.accept().is_err(), "somebody was spoken to");
    scene.canary();
}
