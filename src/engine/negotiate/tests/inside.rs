//! Behind authentication: bind and resume.

use super::*;

#[test]
fn b13_elements_before_the_second_header_end_the_stream() {
    for xml in [
        "<auth xmlns='urn:ietf:params:xml:ns:xmpp-sasl' mechanism='PLAIN'>AGFsaWNlAHNlY3JldA==</auth>",
        "<iq type='set' id='1'><bind xmlns='urn:ietf:params:xml:ns:xmpp-bind'/></iq>",
        "<message/>",
    ] {
        let mut client = Client::authenticated();
        closes(&client.send(xml));
        client.heard("<not-authorized ");
    }
}

#[test]
fn b13_behind_authentication_only_bind_and_resume_are_heard() {
    for xml in [
        "<auth xmlns='urn:ietf:params:xml:ns:xmpp-sasl' mechanism='PLAIN'>AGFsaWNlAHNlY3JldA==</auth>",
        "<abort xmlns='urn:ietf:params:xml:ns:xmpp-sasl'/>",
        "<authenticate xmlns='urn:xmpp:sasl:2' mechanism='PLAIN'/>",
        "<starttls xmlns='urn:ietf:params:xml:ns:xmpp-tls'/>",
        "<message to='bob@a.test'><body>x</body></message>",
        "<presence/>",
        "<iq type='set' id='1'><session xmlns='urn:ietf:params:xml:ns:xmpp-session'/></iq>",
        "<iq type='get' id='1'><bind xmlns='urn:ietf:params:xml:ns:xmpp-bind'/></iq>",
        "<iq type='set' id='1'/>",
    ] {
        let mut client = Client::inside();
        closes(&client.send(xml));
        client.heard("<stream:error><not-authorized ");
    }
}

#[test]
fn b14_the_second_header_stays_with_the_domain_that_was_authenticated() {
    let mut client = Client::authenticated();
    client.heard.clear();
    closes(&client.header(&header(B)));
    assert!(!client.heard.contains("<stream:features>"), "{}", client.heard);
    client.heard("<not-authorized ");
    // Whoever the header claims to be from: alice stays alice.
    let mut client = Client::authenticated();
    client.header(&StreamHeader { from: Some("bob@a.test".into()), ..header(A) });
    let actions = client.send("<iq type='set' id='1'><bind xmlns='urn:ietf:params:xml:ns:xmpp-bind'/></iq>");
    assert!(matches!(&actions[..], [Action::Bind(who, None)] if *who == alice()), "{actions:?}");
}

#[test]
fn s7_6_bind_asks_for_a_resource_and_answers_with_the_address() {
    let mut client = Client::inside();
    let bind =
        "<iq type='set' id='b&amp;1'><bind xmlns='urn:ietf:params:xml:ns:xmpp-bind'><resource>desk</resource></bind></iq>";
    let actions = client.send(bind);
    assert!(matches!(&actions[..], [Action::Bind(who, Some(wanted))] if *who == alice() && wanted == "desk"), "{actions:?}");
    let jid = FullJid::new("alice@a.test/desk").expect("a JID");
    let actions = client.step(|it, env| it.bound(Ok((session(), jid, String::new())), env));
    assert!(matches!(actions[..], [Action::Attached(at)] if at == session()), "{actions:?}");
    assert!(client.heard.contains("id='b&amp;1'") && client.heard.contains("type='result'"), "{}", client.heard);
    client.heard("<bind xmlns='urn:ietf:params:xml:ns:xmpp-bind'><jid>alice@a.test/desk</jid></bind>");
}

#[test]
fn s7_7_2_a_refused_bind_may_be_tried_again_and_a_disabled_account_may_not() {
    let bind = "<iq type='set' id='1'><bind xmlns='urn:ietf:params:xml:ns:xmpp-bind'/></iq>";
    let mut client = Client::inside();
    client.send(bind);
    assert!(client.step(|it, env| it.bound(Err(Bounce::new(Condition::ResourceConstraint)), env)).is_empty());
    client.heard("<resource-constraint ");
    assert!(matches!(client.send(bind)[..], [Action::Bind(_, None)]));
    closes(&client.step(|it, env| it.bound(Err(Bounce::new(Condition::NotAllowed)), env)));
    client.heard("<not-allowed ");
}

#[test]
fn b13_a_second_bind_while_one_is_underway_ends_the_stream_and_attaches_nothing() {
    let bind = "<iq type='set' id='1'><bind xmlns='urn:ietf:params:xml:ns:xmpp-bind'/></iq>";
    let mut client = Client::inside();
    client.send(bind);
    closes(&client.send(bind));
    let jid = FullJid::new("alice@a.test/desk").expect("a JID");
    assert!(client.step(|it, env| it.bound(Ok((session(), jid, String::new())), env)).is_empty());
}

#[test]
fn xep0198_a_resume_that_fails_leaves_the_way_to_bind_open() {
    let mut client = Client::inside();
    let actions = client.send("<resume xmlns='urn:xmpp:sm:3' previd='gone' h='4294967295'/>");
    assert!(
        matches!(&actions[..], [Action::Resume(who, previd, u32::MAX)] if *who == alice() && previd == "gone"),
        "{actions:?}"
    );
    assert!(client.step(|it, env| it.resumed(Err(ResumeError::NotFound), env)).is_empty());
    client.heard("<failed xmlns='urn:xmpp:sm:3'><item-not-found ");
    let actions = client.send("<iq type='set' id='1'><bind xmlns='urn:ietf:params:xml:ns:xmpp-bind'/></iq>");
    assert!(matches!(actions[..], [Action::Bind(..)]));
}

#[test]
fn xep0198_a_resume_that_succeeds_says_which_and_how_far() {
    let mut client = Client::inside();
    client.send("<resume xmlns='urn:xmpp:sm:3' previd='it&apos;s' h='1'/>");
    let actions = client.step(|it, env| it.resumed(Ok((session(), 7, FullJid::new("alice@a.test/desk").expect("a JID"))), env));
    assert!(matches!(actions[..], [Action::Attached(_)]));
    assert!(client.heard.starts_with("<resumed xmlns='urn:xmpp:sm:3' previd='it&"), "{}", client.heard);
    client.heard(" h='7'/>");
}

#[test]
fn xep0198_a_client_that_claims_more_than_it_was_sent_is_told_and_closed() {
    let mut client = Client::inside();
    client.send("<resume xmlns='urn:xmpp:sm:3' previd='x' h='9'/>");
    let error = StreamError::new("undefined-condition");
    closes(&client.step(|it, env| it.resumed(Err(ResumeError::TooMany(error)), env)));
    client.heard("<undefined-condition ");
}

#[test]
fn xep0198_a_resume_without_its_attributes_is_bad_format() {
    for attributes in ["previd='x'", "h='1'", "previd='x' h='-1'", "previd='x' h='4294967296'", "previd='x' h=''"] {
        let mut client = Client::inside();
        closes(&client.send(&format!("<resume xmlns='urn:xmpp:sm:3' {attributes}/>")));
        client.heard("<bad-format ");
    }
}

#[test]
fn xep0198_3_enable_before_bind_fails_and_the_stream_lives() {
    let mut client = Client::inside();
    assert!(client.send("<enable xmlns='urn:xmpp:sm:3' resume='true'/>").is_empty());
    client.heard("<unexpected-request ");
    let actions = client.send("<iq type='set' id='1'><bind xmlns='urn:ietf:params:xml:ns:xmpp-bind'/></iq>");
    assert!(matches!(actions[..], [Action::Bind(..)]));
}

#[test]
fn the_clients_goodbye_is_answered_and_nothing_is_heard_after_it() {
    let mut client = Client::inside();
    closes(&client.step(|it, env| it.closed(env)));
    assert_eq!(client.heard, "</stream:stream>");
    closes(&client.send("<message/>"));
}

#[test]
fn attempts_are_counted_by_every_mechanism_that_there_is() {
    let passwords = sasl::Mechanism::ALL.map(|mechanism| mechanism.name());
    let tokens = super::super::fast::HtMechanism::ALL.map(|mechanism| mechanism.name());
    let all: Vec<&str> = passwords
        .into_iter()
        .chain(tokens)
        .chain([super::super::passwordless::EXTERNAL, super::super::passwordless::ANONYMOUS])
        .collect();
    assert_eq!(MECHANISMS[..], all);
}
