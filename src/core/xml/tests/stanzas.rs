//! Stanzas and views of them.

use super::*;

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
    assert_eq!(s.children().len(), 5);
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
}
