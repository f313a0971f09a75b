//! Stream headers: RFC 6120 4.

use super::*;

#[test]
fn s4_9_1_2_an_error_in_the_header_is_told_behind_a_header_of_ours() {
    let wrong_ns = StreamHeader { default_ns: "jabber:server".into(), ..header(A) };
    let no_ns = StreamHeader { default_ns: String::new(), ..header(A) };
    let old = StreamHeader { version: Some("0.9".into()), ..header(A) };
    let none = StreamHeader { version: None, ..header(A) };
    let odd = StreamHeader { version: Some("1.x".into()), ..header(A) };
    let no_to = StreamHeader { to: None, ..header(A) };
    let cases = [
        (wrong_ns, "invalid-namespace"),
        (no_ns, "invalid-namespace"),
        (old, "unsupported-version"),
        (none, "unsupported-version"),
        (odd, "unsupported-version"),
        (no_to, "host-unknown"),
        (header("c.test"), "host-unknown"),
        (header("alice@a.test"), "host-unknown"),
        (header("a.test/x"), "host-unknown"),
        (header("a..test@@"), "host-unknown"),
    ];
    for (header, condition) in cases {
        let mut client = Client::new(Transport::StartTls);
        let actions = client.header(&header);
        closes(&actions);
        let expected = format!("<stream:error><{condition} xmlns='urn:ietf:params:xml:ns:xmpp-streams'/>");
        assert!(client.heard.starts_with("<?xml version='1.0'?><stream:stream "), "{}", client.heard);
        assert!(client.heard.contains(&expected) && client.heard.ends_with("</stream:stream>"), "{}", client.heard);
        assert!(!client.heard.contains("<stream:features>"));
        assert!(client.it.is_over());
    }
}

#[test]
fn s4_9_1_2_whoever_means_nobody_of_ours_is_answered_by_the_first_domain_of_the_configuration() {
    for order in [[A, B], [B, A]] {
        let mut client = Client::serving(Transport::StartTls, order);
        client.header(&header("c.test"));
        assert!(client.heard.contains(&format!(" from='{}'", order[0])), "{}", client.heard);
        // No header at all.
        let mut client = Client::serving(Transport::StartTls, order);
        client.step(|it, env| it.fail(&StreamError::new("not-well-formed"), env));
        assert!(client.heard.contains(&format!(" from='{}'", order[0])), "{}", client.heard);
    }
}

#[test]
fn s4_7_5_a_higher_minor_version_is_ours() {
    let mut client = Client::new(Transport::StartTls);
    assert!(client.header(&StreamHeader { version: Some("1.9".into()), ..header(A) }).is_empty());
    client.heard("version='1.0'");
}

#[test]
fn s4_7_1_the_header_answers_with_the_domain_the_client_and_an_id_that_is_never_the_same() {
    let ids: Vec<String> = (0..2u8)
        .map(|n| {
            let mut client = Client::new(Transport::StartTls);
            client.counter = n * 10;
            client.header(&StreamHeader { from: Some("<'alice".into()), ..header("A.TEST") });
            assert!(client.heard.contains(" from='a.test'"), "{}", client.heard);
            assert!(
                client.heard.contains(" to='&lt;&apos;alice'") || client.heard.contains(" to='&lt;&#39;alice'"),
                "{}",
                client.heard
            );
            let id = client.heard.split(" id='").nth(1).and_then(|rest| rest.split('\'').next()).expect("an id");
            assert_eq!(id.len(), 32);
            id.to_owned()
        })
        .collect();
    assert_ne!(ids[0], ids[1]);
}

#[test]
fn a_failure_before_any_header_is_told_behind_a_header_too() {
    let mut client = Client::new(Transport::StartTls);
    let actions = client.step(|it, env| it.fail(&StreamError::new("not-well-formed"), env));
    closes(&actions);
    assert!(client.heard.starts_with("<?xml version='1.0'?><stream:stream "));
    client.heard("<not-well-formed ");
}

#[test]
fn the_end_of_bytes_before_a_header_says_nothing() {
    let mut client = Client::new(Transport::StartTls);
    let actions = client.step(|it, env| it.closed(env));
    closes(&actions);
    assert_eq!(client.heard, "");
}
