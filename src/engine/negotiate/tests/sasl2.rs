//! XEP-0388 and what comes inline.

use iris_core::clients::Admitted;

use super::*;

const AGENT: &str = "<user-agent id='d4565fa7-4d72-4749-b3d3-740edbf87770'><software>Dino</software></user-agent>";

pub(super) fn desk() -> FullJid {
    FullJid::new("alice@a.test/desk").expect("a JID")
}

/// `<authenticate/>` with PLAIN, and these children.
pub(super) fn authenticate(inline: &str) -> String {
    authenticate_as("\0alice\0secret", inline)
}

fn authenticate_as(initial: &str, inline: &str) -> String {
    let initial = base64(initial);
    let initial = format!("<initial-response>{initial}</initial-response>");
    format!("<authenticate xmlns='{}' mechanism='PLAIN'>{initial}{inline}</authenticate>", ns::SASL2)
}

impl Client {
    /// The account is asked, answers, and the password is compared: what follows from that.
    pub(super) fn proves(&mut self, authenticate: &str) -> Vec<Action> {
        let actions = self.send(authenticate);
        assert!(matches!(actions[..], [Action::LookUp(_)]), "{actions:?}: {}", self.heard);
        let mut actions = self.step(|it, env| it.looked_up(login(true), false, env));
        let Some(Action::Verify(lookup, found)) = actions.pop() else { panic!("PLAIN is verified aside") };
        self.heard.clear();
        let (outcome, better) = lookup.verify(found.as_deref(), &self.policy.fake_salt, |salt| salt.fill(5));
        self.step(|it, env| it.stepped(outcome, better, env))
    }

    /// As `proves`; a client that says which one it is is remembered, and gets no token.
    fn arrives(&mut self, authenticate: &str) -> Vec<Action> {
        let actions = self.proves(authenticate);
        if !matches!(actions[..], [Action::Ask(_, Ask::Admit(_))]) {
            return actions;
        }
        let admitted = Admitted { client: "client".into(), token_until_us: None };
        self.step(|it, env| it.answered(AskAnswer::Admitted(admitted), env))
    }

    fn binds(&mut self, inline: &str) -> Box<Bind> {
        let mut actions = self.arrives(&authenticate(inline));
        assert!(matches!(&actions[0], Action::Authenticated(who) if *who == alice()), "{actions:?}");
        match actions.pop() {
            Some(Action::BindInline(who, bind)) if who == alice() => bind,
            other => panic!("{other:?}"),
        }
    }
}

#[test]
fn s2_6_1_success_names_the_account_and_features_follow_without_a_new_stream() {
    let mut client = Client::open();
    let actions = client.arrives(&authenticate(AGENT));
    assert!(matches!(&actions[..], [Action::Authenticated(who)] if *who == alice()), "{actions:?}");
    let success = "<success xmlns='urn:xmpp:sasl:2'><authorization-identifier>alice@a.test</authorization-identifier></success>\
                   <stream:features><bind xmlns='urn:ietf:params:xml:ns:xmpp-bind'/>";
    assert!(client.heard.starts_with(success), "{}", client.heard);
    let actions = client.send("<iq type='set' id='1'><bind xmlns='urn:ietf:params:xml:ns:xmpp-bind'/></iq>");
    assert!(matches!(&actions[..], [Action::Bind(who, None)] if *who == alice()), "{actions:?}");
}

#[test]
fn s2_6_1_scram_has_its_signature_in_the_success() {
    let mut client = Client::open();
    let first = base64("n,,n=alice,r=abc");
    let actions = client.send(&format!(
        "<authenticate xmlns='{}' mechanism='SCRAM-SHA-256'><initial-response>{first}</initial-response></authenticate>",
        ns::SASL2
    ));
    assert!(matches!(actions[..], [Action::LookUp(_)]), "{actions:?}");
    client.step(|it, env| it.looked_up(login(true), false, env));
    client.heard("<challenge xmlns='urn:xmpp:sasl:2'>");
    // A wrong proof fails in this profile's namespace, and names whom the guard is to count.
    let last = base64("c=biws,r=nothing,p=AAAA");
    let actions = client.send(&format!("<response xmlns='{}'>{last}</response>", ns::SASL2));
    assert!(matches!(&actions[..], [Action::Failed(Some(who))] if *who == alice()), "{actions:?}");
    client.heard("<failure xmlns='urn:xmpp:sasl:2'><not-authorized xmlns='urn:ietf:params:xml:ns:xmpp-sasl'/></failure>");
}

#[test]
fn xep0386_a_bind_is_done_before_the_success_and_needs_no_other() {
    let mut client = Client::open();
    let bind = client.binds("<bind xmlns='urn:xmpp:bind:0'><tag>Dino</tag><enable xmlns='urn:xmpp:sm:3'/></bind>");
    assert!(client.heard.is_empty(), "nothing is told yet: {}", client.heard);
    assert!(bind.wanted.as_deref().is_some_and(|it| it.starts_with("Dino/") && it.len() == 21), "{bind:?}");
    let actions = client.step(|it, env| it.bound(Ok((session(), desk(), "<x/>".into())), env));
    assert!(matches!(actions[..], [Action::Attached(_)]), "{actions:?}");
    assert!(client.heard.contains("<authorization-identifier>alice@a.test/desk</"), "{}", client.heard);
    assert!(client.heard.contains("<bound xmlns='urn:xmpp:bind:0'><x/></bound></success><stream:features>"));
    assert!(!client.heard.contains("xmpp-bind"), "a resource is bound: {}", client.heard);
}

#[test]
fn s2_6_1_what_was_enabled_inline_is_not_offered_again() {
    let sm = "<sm xmlns='urn:xmpp:sm:3'/>";
    for (inline, offered) in
        [("", true), ("<enabled xmlns='urn:xmpp:sm:3'/>", false), ("<failed xmlns='urn:xmpp:sm:3'/>", true)]
    {
        let mut client = Client::open();
        client.binds("<bind xmlns='urn:xmpp:bind:0'/>");
        client.step(|it, env| it.bound(Ok((session(), desk(), inline.to_owned())), env));
        let features = client.heard.split_once("<stream:features>").expect("features").1;
        assert_eq!(features.contains(sm), offered, "{inline}: {features}");
        assert!(features.contains("<inside "), "the others are");
    }
}

#[test]
fn xep0386_4_2_1_the_resource_is_stable_for_a_client_and_hides_its_id() {
    let resource = |agent: &str, tag: &str| {
        let bind = Client::open().binds(&format!("{agent}<bind xmlns='urn:xmpp:bind:0'>{tag}</bind>"));
        bind.wanted.clone().expect("a resource")
    };
    let other = AGENT.replace("d4565fa7", "d4565fa8");
    let first = resource(AGENT, "<tag>Dino</tag>");
    assert_eq!(first, resource(AGENT, "<tag>Dino</tag>"));
    assert_ne!(first, resource(&other, "<tag>Dino</tag>"));
    assert_ne!(first, resource(AGENT, "<tag>Gajim</tag>"));
    assert!(!first.contains("4d72"), "{first}");
    // A tag that is no part of an address is left out; none is none.
    assert!(!resource(AGENT, &format!("<tag>{}</tag>", "x".repeat(1_020))).contains('/'));
    assert!(!resource(AGENT, "").contains('/'));
}

#[test]
fn xep0198_9_2_a_resumption_is_tried_first_and_alone() {
    let mut client = Client::open();
    let inline = "<bind xmlns='urn:xmpp:bind:0'/><resume xmlns='urn:xmpp:sm:3' previd='it' h='3'/>";
    let actions = client.proves(&authenticate(inline));
    assert!(matches!(&actions[..], [_, Action::Resume(_, previd, 3)] if previd == "it"), "{actions:?}");
    let actions = client.step(|it, env| it.resumed(Ok((session(), 7, desk())), env));
    assert!(matches!(actions[..], [Action::Attached(_)]), "{actions:?}");
    assert_eq!(
        client.heard,
        "<success xmlns='urn:xmpp:sasl:2'><authorization-identifier>alice@a.test/desk</authorization-identifier>\
         <resumed xmlns='urn:xmpp:sm:3' previd='it' h='7'/></success>"
    );
}

#[test]
fn xep0198_9_2_a_resumption_that_fails_is_told_and_the_bind_is_done() {
    let mut client = Client::open();
    let inline = "<resume xmlns='urn:xmpp:sm:3' previd='it' h='3'/><bind xmlns='urn:xmpp:bind:0'/>";
    client.proves(&authenticate(inline));
    let actions = client.step(|it, env| it.resumed(Err(ResumeError::NotFound), env));
    assert!(matches!(actions[..], [Action::BindInline(..)]), "{actions:?}");
    client.step(|it, env| it.bound(Ok((session(), desk(), String::new())), env));
    let both = "<failed xmlns='urn:xmpp:sm:3'><item-not-found xmlns='urn:ietf:params:xml:ns:xmpp-stanzas'/></failed>\
                <bound xmlns='urn:xmpp:bind:0'></bound></success>";
    assert!(client.heard.contains(both), "{}", client.heard);
}

#[test]
fn xep0198_9_2_without_a_bind_the_failed_resumption_leaves_the_old_one() {
    let mut client = Client::open();
    client.proves(&authenticate("<resume xmlns='urn:xmpp:sm:3' previd='it' h='3'/>"));
    assert!(client.step(|it, env| it.resumed(Err(ResumeError::NotFound), env)).is_empty());
    assert!(client.heard.contains("<item-not-found ") && client.heard.contains("<bind xmlns='urn:ietf:"), "{}", client.heard);
}

#[test]
fn a_session_that_cannot_be_had_ends_the_stream() {
    for (why, told) in [(Condition::NotAllowed, "<not-authorized "), (Condition::ResourceConstraint, "<resource-constraint ")] {
        let mut client = Client::open();
        client.binds("<bind xmlns='urn:xmpp:bind:0'/>");
        closes(&client.step(|it, env| it.bound(Err(Bounce::new(why)), env)));
        assert!(!client.heard.contains("<success"));
        client.heard(told);
    }
}

#[test]
fn s2_4_what_is_not_as_the_text_says_is_malformed() {
    for inline in [
        "<user-agent id='not-a-uuid'/>",
        "<user-agent id='d4565fa7-4d72-1749-b3d3-740edbf87770'/>",
        "<resume xmlns='urn:xmpp:sm:3' previd='it'/>",
        "<resume xmlns='urn:xmpp:sm:3' h='0'/>",
        "<resume xmlns='urn:xmpp:sm:3' previd='it' h='-1'/>",
    ] {
        let mut client = Client::open();
        assert!(client.send(&authenticate(inline)).is_empty(), "{inline}");
        client.heard("<malformed-request ");
    }
    let mut client = Client::open();
    let odd = authenticate("").replace("<initial-response>", "<initial-response>%");
    assert!(client.send(&odd).is_empty());
    client.heard("<incorrect-encoding ");
}

#[test]
fn s2_4_a_mechanism_that_was_not_offered_fails() {
    for mechanism in ["", "ANONYMOUS", "EXTERNAL", "DIGEST-MD5", "plain", "HT-SHA-256-UNIQ"] {
        let mut client = Client::open();
        client.send(&format!("<authenticate xmlns='{}' mechanism='{mechanism}'/>", ns::SASL2));
        client.heard("<failure xmlns='urn:xmpp:sasl:2'><invalid-mechanism ");
    }
}

#[test]
fn s5_4_the_authorization_identity_has_to_be_the_streams_too() {
    for (from, allowed) in [("alice@a.test/x", true), ("bob@a.test", false)] {
        let mut client = Client::tls();
        client.header(&StreamHeader { from: Some(from.into()), ..header(A) });
        let actions = client.send(&authenticate_as("alice@a.test\0alice\0secret", ""));
        assert_eq!(matches!(actions[..], [Action::LookUp(_)]), allowed, "{from}: {}", client.heard);
        assert_eq!(client.heard.contains("<invalid-authzid "), !allowed);
        // Without one the stream's claim is nothing but a hint.
        if !allowed {
            assert!(matches!(client.send(&authenticate(""))[..], [Action::LookUp(_)]));
        }
    }
}

#[test]
fn s2_1_a_stream_from_another_domain_ends() {
    let mut client = Client::tls();
    closes(&client.header(&StreamHeader { from: Some("alice@b.test".into()), ..header(A) }));
    client.heard("<invalid-from ");
}

#[test]
fn s5_5_abort_fails_and_another_attempt_may_follow() {
    let mut client = Client::open();
    client.send(
        &authenticate("")
            .replace("PLAIN", "SCRAM-SHA-1")
            .replace("<initial-response>", "<x>")
            .replace("</initial-response>", "</x>"),
    );
    client.heard("<challenge xmlns='urn:xmpp:sasl:2'></challenge>");
    assert!(client.send("<abort xmlns='urn:xmpp:sasl:2'><text>no</text></abort>").is_empty());
    client.heard("<failure xmlns='urn:xmpp:sasl:2'><aborted ");
    assert!(matches!(client.send(&authenticate(""))[..], [Action::LookUp(_)]));
}

#[test]
fn b13_the_profiles_are_not_mixed_and_nothing_else_is_heard() {
    let other = format!("<response xmlns='{}'/>", ns::SASL);
    let auth = format!("<auth xmlns='{}' mechanism='PLAIN'/>", ns::SASL);
    let again = authenticate("");
    let message = "<message to='bob@a.test'><body>x</body></message>";
    for (second, condition) in [
        (&*other, "<policy-violation "),
        (&*auth, "<policy-violation "),
        (&*again, "<policy-violation "),
        (message, "<not-authorized "),
    ] {
        let mut client = Client::open();
        client.send(&format!("<authenticate xmlns='{}' mechanism='PLAIN'/>", ns::SASL2));
        closes(&client.send(second));
        client.heard(condition);
    }
    // The other way round.
    let mut client = Client::open();
    client.send(&auth);
    closes(&client.send(&format!("<response xmlns='{}'/>", ns::SASL2)));
    client.heard("<policy-violation ");
    // Behind the success.
    let mut client = Client::open();
    client.proves(&authenticate(""));
    closes(&client.send(&again));
    // While a session is being made.
    let mut client = Client::open();
    client.binds("<bind xmlns='urn:xmpp:bind:0'/>");
    closes(&client.send(message));
    assert!(client.step(|it, env| it.bound(Ok((session(), desk(), String::new())), env)).is_empty(), "too late");
}

#[test]
fn b2_sasl2_without_tls_is_refused_and_not_offered() {
    let mut client = Client::new(Transport::StartTls);
    client.header(&header(A));
    assert!(!client.heard.contains("urn:xmpp:sasl:2"));
    client.send(&authenticate(""));
    client.heard("<failure xmlns='urn:xmpp:sasl:2'><encryption-required ");
}
