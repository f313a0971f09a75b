//! Authentication in the profile of RFC 6120 6.

use super::*;

#[test]
fn s6_4_6_success_restarts_the_stream_and_the_limits_grow() {
    let mut client = Client::open();
    assert_eq!(client.it.limits(&client.limits).stanza_size_bytes_max, 8_192);
    client.heard.clear();
    let actions = client.plain("alice", "secret");
    let [Action::Authenticated(who), Action::Restart] = &actions[..] else { panic!("{actions:?}") };
    assert_eq!(*who, alice());
    assert_eq!(client.heard, "<success xmlns='urn:ietf:params:xml:ns:xmpp-sasl'></success>");
    assert_eq!(client.it.limits(&client.limits).stanza_size_bytes_max, 262_144);
}

#[test]
fn a_wrong_password_an_unknown_user_and_a_ban_sound_the_same() {
    let mut answers = Vec::new();
    for (password, answer) in [("wrong", login(true)), ("secret", AskAnswer::Credentials(None)), ("wrong", login(false))] {
        let mut client = Client::open();
        client.heard.clear();
        let actions = client.plain_against("alice", password, answer);
        assert!(matches!(&actions[..], [Action::Failed(Some(who))] if *who == alice()), "{actions:?}");
        answers.push(client.heard);
    }
    let mut banned = Client::open();
    banned.heard.clear();
    banned.send(&format!("<auth xmlns='{}' mechanism='PLAIN'>{}</auth>", ns::SASL, base64("\0alice\0secret")));
    let mut actions = banned.step(|it, env| it.looked_up(login(true), true, env));
    let Some(Action::Verify(lookup, None)) = actions.pop() else { panic!("a banned client's password is not compared") };
    let (outcome, better) = lookup.verify(None, &banned.policy.fake_salt, |salt| salt.fill(5));
    banned.step(|it, env| it.stepped(outcome, better, env));
    answers.push(banned.heard);
    assert!(answers.iter().all(|answer| answer.contains("<not-authorized/>") && *answer == answers[0]), "{answers:?}");
}

#[test]
fn only_who_knows_the_password_learns_that_the_account_is_disabled() {
    let mut client = Client::open();
    client.plain_against("alice", "secret", login(false));
    client.heard("<account-disabled/>");
}

#[test]
fn a_store_that_cannot_say_is_no_wrong_password() {
    let mut client = Client::open();
    client.send(&format!("<auth xmlns='{}' mechanism='PLAIN'>{}</auth>", ns::SASL, base64("\0alice\0secret")));
    let actions = client.step(|it, env| it.looked_up(AskAnswer::Failed("the disk is gone".into()), false, env));
    assert!(actions.is_empty(), "no guess is counted: {actions:?}");
    assert!(!client.heard.contains("disk"));
    client.heard("<temporary-auth-failure/>");
    let damaged = AskAnswer::Credentials(Some(Login {
        enabled: true,
        created_us: 0,
        since_us: 0,
        credentials: Bytes::from_static(b"?"),
    }));
    client.send(&format!("<auth xmlns='{}' mechanism='PLAIN'>{}</auth>", ns::SASL, base64("\0alice\0secret")));
    assert!(client.step(|it, env| it.looked_up(damaged, false, env)).is_empty());
    client.heard("<temporary-auth-failure/>");
}

#[test]
fn b12_a_failed_scram_names_its_account_so_that_the_guard_can_count() {
    let mut client = Client::open();
    let auth = format!("<auth xmlns='{}' mechanism='SCRAM-SHA-256'>{}</auth>", ns::SASL, base64("n,,n=alice,r=abc"));
    assert!(matches!(client.send(&auth)[..], [Action::LookUp(_)]));
    client.heard.clear();
    assert!(client.step(|it, env| it.looked_up(login(true), false, env)).is_empty());
    let challenge = client.heard.split(['>', '<']).nth(2).expect("a challenge").to_owned();
    let server_first = {
        use ::base64::Engine;
        String::from_utf8(::base64::engine::general_purpose::STANDARD.decode(challenge).expect("base64")).expect("UTF-8")
    };
    let nonce = server_first.split(',').next().expect("a nonce");
    let proof = base64(&"x".repeat(32));
    let answer = base64(&format!("c=biws,{nonce},p={proof}"));
    let actions = client.send(&format!("<response xmlns='{}'>{answer}</response>", ns::SASL));
    assert!(matches!(&actions[..], [Action::Failed(Some(who))] if *who == alice()), "{actions:?}");
    client.heard("<not-authorized/>");
}

#[test]
fn s6_4_5_the_stream_ends_with_the_last_allowed_failure() {
    let mut client = Client::open();
    for attempt in 1..=client.limits.auth_failures_per_stream_max {
        let actions = client.plain("alice", "wrong");
        assert!(matches!(actions[0], Action::Failed(Some(_))));
        let last = attempt == client.limits.auth_failures_per_stream_max;
        assert_eq!(matches!(actions.last(), Some(Action::Close)), last, "attempt {attempt}");
    }
    client.heard("<policy-violation ");
}

#[test]
fn a_client_that_knows_only_tls_unique_may_work_its_way_down_to_what_it_can() {
    // poezio 0.14: PLUS with tls-unique for each hash, then `y` for each hash, then PLAIN.
    let mut client = Client::open();
    for (mechanism, gs2) in [
        ("SCRAM-SHA-512", "y,,"),
        ("SCRAM-SHA-256", "y,,"),
        ("SCRAM-SHA-1", "y,,"),
        ("SCRAM-SHA-512", "p=tls-unique,,"),
        ("SCRAM-SHA-256", "p=tls-unique,,"),
        ("SCRAM-SHA-1", "p=tls-unique,,"),
    ] {
        let auth = base64(&format!("{gs2}n=alice,r=abc"));
        let plus = if gs2.starts_with('p') { "-PLUS" } else { "" };
        let actions = client.send(&format!("<auth xmlns='{}' mechanism='{mechanism}{plus}'>{auth}</auth>", ns::SASL));
        assert!(actions.is_empty(), "no guess, and the stream stays: {actions:?}");
        client.heard("<not-authorized/>");
    }
    assert!(!client.plain("alice", "secret").iter().any(|action| matches!(action, Action::Close)));
}

#[test]
fn refused_channel_bindings_end_the_stream_at_last() {
    let mut client = Client::open();
    let auth =
        format!("<auth xmlns='{}' mechanism='SCRAM-SHA-256-PLUS'>{}</auth>", ns::SASL, base64("p=tls-unique,,n=alice,r=abc"));
    let tries = (1..100).find(|_| client.send(&auth).iter().any(|action| matches!(action, Action::Close)));
    assert_eq!(tries, Some(16));
}

#[test]
fn nonsense_counts_towards_the_end_of_the_stream_but_is_no_guess() {
    let mut client = Client::open();
    let nonsense = [
        ("<auth xmlns='urn:ietf:params:xml:ns:xmpp-sasl' mechanism='NOPE'/>", "invalid-mechanism"),
        ("<auth xmlns='urn:ietf:params:xml:ns:xmpp-sasl'/>", "invalid-mechanism"),
        ("<auth xmlns='urn:ietf:params:xml:ns:xmpp-sasl' mechanism='PLAIN'>%%%</auth>", "incorrect-encoding"),
        ("<response xmlns='urn:ietf:params:xml:ns:xmpp-sasl'>AA==</response>", "malformed-request"),
        ("<abort xmlns='urn:ietf:params:xml:ns:xmpp-sasl'/>", "aborted"),
    ];
    let last = nonsense.len() - 1;
    for (n, (xml, condition)) in nonsense.into_iter().enumerate() {
        let actions = client.send(xml);
        assert!(!actions.iter().any(|action| matches!(action, Action::Failed(_))), "{actions:?}");
        assert_eq!(matches!(actions.last(), Some(Action::Close)), n == last);
        client.heard(&format!("<{condition}/>"));
    }
}

#[test]
fn s6_4_3_an_initial_response_may_come_in_a_response_and_an_exchange_may_be_aborted() {
    let mut client = Client::open();
    client.heard.clear();
    assert!(client.send("<auth xmlns='urn:ietf:params:xml:ns:xmpp-sasl' mechanism='PLAIN'/>").is_empty());
    client.heard("<challenge xmlns='urn:ietf:params:xml:ns:xmpp-sasl'></challenge>");
    assert!(client.send("<abort xmlns='urn:ietf:params:xml:ns:xmpp-sasl'/>").is_empty());
    client.heard("<aborted/>");
    assert!(client.send("<auth xmlns='urn:ietf:params:xml:ns:xmpp-sasl' mechanism='PLAIN'/>").is_empty());
    let answer = base64("\0alice\0secret");
    let actions = client.send(&format!("<response xmlns='urn:ietf:params:xml:ns:xmpp-sasl'>{answer}</response>"));
    assert!(matches!(&actions[..], [Action::LookUp(who)] if *who == alice()), "{actions:?}");
}

#[test]
fn b13_a_second_auth_while_one_is_underway_ends_the_stream() {
    let auth = format!("<auth xmlns='{}' mechanism='SCRAM-SHA-256'>{}</auth>", ns::SASL, base64("n,,n=alice,r=abc"));
    // While the account is being asked, and while the client's proof is awaited.
    for answered in [false, true] {
        let mut client = Client::open();
        client.send(&auth);
        if answered {
            client.step(|it, env| it.looked_up(login(true), false, env));
        }
        closes(&client.send(&auth));
        client.heard("<policy-violation ");
        // An answer that comes too late wakes nothing.
        assert!(client.step(|it, env| it.looked_up(login(true), false, env)).is_empty());
    }
}

#[test]
fn b6_plain_for_somebody_else_is_refused_before_anybody_is_asked() {
    for authzid in ["bob@a.test", "alice@a.test/x", "alice@b.test", "bob", "a.test"] {
        let mut client = Client::open();
        let initial = base64(&format!("{authzid}\0alice\0secret"));
        let actions = client.send(&format!("<auth xmlns='{}' mechanism='PLAIN'>{initial}</auth>", ns::SASL));
        assert!(actions.is_empty(), "{authzid}: {actions:?}");
        client.heard("<invalid-authzid/>");
    }
}
