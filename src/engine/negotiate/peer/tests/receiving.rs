//! Another server has connected.

use super::super::receiving::{PAIRS_MAX, REFUSALS_MAX, VERIFIES_MAX};
use super::*;

struct Receiver {
    world: World,
    it: Receiving,
}

impl Receiver {
    /// Connected, and nothing said.
    fn new(certificate_required: bool, certified: &[&'static str]) -> Receiver {
        Receiver { world: World::new(certificate_required, certified), it: Receiving::new(false) }
    }

    /// TLS is there, and a stream from `THEM` to `US` is open in it; the features are heard.
    fn open(certificate_required: bool, certified: &[&'static str]) -> Receiver {
        let mut there = Receiver::new(certificate_required, certified);
        there.it.secured();
        assert!(matches!(there.header(Some(THEM), Some(US)), Said::Nothing));
        there
    }

    /// As `open`, and EXTERNAL has proved `THEM`.
    fn proved() -> Receiver {
        let mut there = Receiver::open(true, &[THEM]);
        assert!(matches!(there.external("="), Said::Restart));
        assert!(matches!(there.header(Some(THEM), Some(US)), Said::Nothing));
        there.world.heard();
        there
    }

    fn header(&mut self, from: Option<&str>, to: Option<&str>) -> Said {
        self.opens(&header(from, to))
    }

    fn opens(&mut self, header: &StreamHeader) -> Said {
        let it = &mut self.it;
        self.world.step(|env| it.header(header, env))
    }

    fn send(&mut self, xml: &str) -> Said {
        let (stanza, it) = (self.world.stanza(xml), &mut self.it);
        self.world.step(|env| it.element(stanza, env))
    }

    fn external(&mut self, authzid: &str) -> Said {
        self.send(&format!("<auth xmlns='{}' mechanism='EXTERNAL'>{authzid}</auth>", ns::SASL))
    }

    fn result(&mut self, from: &str, to: &str, key: &str) -> Said {
        self.send(&format!("<db:result from='{from}' to='{to}'>{key}</db:result>"))
    }

    /// As `result`, which is to be asked about.
    fn asks(&mut self, from: &str, to: &str) -> Verify {
        match self.result(from, to, "k") {
            Said::Verify(verify) => verify,
            other => panic!("{other:?} {}", self.world.heard()),
        }
    }

    fn answer(&mut self, verify: &Verify, outcome: Result<bool, Condition>) -> Said {
        let it = &mut self.it;
        self.world.step(|env| it.verified(verify, outcome, env))
    }

    /// The stream has ended with this error, in a stream, and is closed.
    #[track_caller]
    fn ends(&mut self, said: &Said, condition: &str) {
        assert!(matches!(said, Said::Close), "{said:?}");
        let heard = self.world.heard();
        assert!(heard.contains(&format!("<{condition} xmlns='{}'/>", ns::STREAM_ERRORS)), "no {condition} in {heard}");
        assert!(heard.ends_with("</stream:stream>") && heard.matches("</stream:stream>").count() == 1, "{heard}");
    }
}

// --- headers ----------------------------------------------------------------------------------------------------------

#[test]
fn rfc6120_4_7_the_header_is_answered_with_one_that_says_who_speaks_to_whom() {
    let mut there = Receiver::new(true, &[]);
    there.header(Some(THEM), Some(ALSO_US));
    let heard = there.world.heard();
    for part in
        ["xmlns='jabber:server'", "xmlns:db='jabber:server:dialback'", "from='also.us.test'", "to='them.test'", "version='1.0'"]
    {
        assert!(heard.contains(part), "{part} is not in {heard}");
    }
    assert!(heard.contains(" id='01010101010101010101010101010101'"), "{heard}");
    // Another id for each stream of one connection.
    there.it.secured();
    there.header(Some(THEM), Some(ALSO_US));
    there.world.hears(" id='02020202020202020202020202020202'");
}

#[test]
fn a15_a_header_that_will_not_do_is_refused_behind_one_of_ours() {
    let like = |change: &dyn Fn(&mut StreamHeader)| {
        let mut header = header(Some(THEM), Some(US));
        change(&mut header);
        header
    };
    let probes: [(&str, StreamHeader); 11] = [
        ("invalid-namespace", like(&|it| it.default_ns = "jabber:client".to_owned())),
        ("invalid-namespace", like(&|it| it.default_ns = String::new())),
        ("unsupported-version", like(&|it| it.version = None)),
        ("unsupported-version", like(&|it| it.version = Some("0.9".to_owned()))),
        ("host-unknown", like(&|it| it.to = Some("elsewhere.test".to_owned()))),
        ("host-unknown", like(&|it| it.to = Some("juliet@us.test".to_owned()))),
        ("host-unknown", like(&|it| it.to = Some(String::new()))),
        ("invalid-from", like(&|it| it.from = Some("romeo@them.test".to_owned()))),
        ("invalid-from", like(&|it| it.from = Some("them.test/x".to_owned()))),
        ("policy-violation", like(&|it| it.from = Some(UNLOVED.to_owned()))),
        ("policy-violation", like(&|it| it.from = Some(format!("deep.below.{UNLOVED}")))),
    ];
    for (condition, header) in probes {
        for secured in [false, true] {
            let mut there = Receiver::new(true, &[THEM, UNLOVED]);
            if secured {
                there.it.secured();
            }
            let said = there.opens(&header);
            assert!(there.world.heard.starts_with("<?xml version='1.0'?><stream:stream "), "{}", there.world.heard);
            assert!(!there.world.heard.contains("<stream:features>"), "{header:?}");
            there.ends(&said, condition);
        }
    }
}

#[test]
fn e1_nobody_speaks_for_a_domain_of_this_house() {
    for own in [US, ALSO_US] {
        let mut there = Receiver::new(true, &[US, ALSO_US]);
        there.it.secured();
        let said = there.header(Some(own), Some(US));
        there.ends(&said, "policy-violation");
        // Nor by a key that a stream of somebody else shows.
        let mut there = Receiver::open(false, &[US, ALSO_US]);
        assert!(matches!(there.result(own, US, "k"), Said::Nothing));
        there.world.hears("type='error'");
        assert!(!there.it.is_authenticated());
    }
}

#[test]
fn rfc6120_4_9_what_is_refused_before_a_header_has_one_of_ours_in_front() {
    let mut there = Receiver::new(true, &[]);
    let it = &mut there.it;
    let said = there.world.step(|env| it.fail(&StreamError::new("not-well-formed"), env));
    assert!(there.world.heard.starts_with("<?xml version='1.0'?><stream:stream "), "{}", there.world.heard);
    there.ends(&said, "not-well-formed");
}

#[test]
fn rfc6120_4_4_a_closed_stream_is_closed_on_our_side_too() {
    let mut there = Receiver::open(true, &[]);
    there.world.heard();
    let it = &mut there.it;
    assert!(matches!(there.world.step(|env| it.closed(env)), Said::Close));
    assert_eq!(there.world.heard(), "</stream:stream>");
    // Also with an error of theirs.
    let mut there = Receiver::open(true, &[]);
    there.world.heard();
    let said = there.send(&format!("<stream:error><reset xmlns='{}'/></stream:error>", ns::STREAM_ERRORS));
    assert!(matches!(said, Said::Close));
    assert_eq!(there.world.heard(), "</stream:stream>");
}

#[test]
fn a8_a_second_header_without_a_reason_ends_the_stream() {
    let mut there = Receiver::open(true, &[THEM]);
    let said = there.header(Some(THEM), Some(US));
    there.ends(&said, "not-well-formed");
}

// --- TLS --------------------------------------------------------------------------------------------------------------

#[test]
fn b2_without_tls_there_is_nothing_but_tls() {
    let mut there = Receiver::new(false, &[THEM]);
    there.header(Some(THEM), Some(US));
    let heard = there.world.heard();
    assert!(heard.contains("<starttls xmlns='urn:ietf:params:xml:ns:xmpp-tls'><required/></starttls>"), "{heard}");
    assert!(!heard.contains("EXTERNAL") && !heard.contains("dialback xmlns='urn:xmpp:features"), "{heard}");
    assert!(matches!(there.send(&format!("<starttls xmlns='{}'/>", ns::TLS)), Said::StartTls));
    assert_eq!(there.world.heard(), format!("<proceed xmlns='{}'/>", ns::TLS));
    for probe in [
        format!("<auth xmlns='{}' mechanism='EXTERNAL'>=</auth>", ns::SASL),
        format!("<db:result from='{THEM}' to='{US}'>k</db:result>"),
        format!("<db:verify from='{THEM}' to='{US}' id='1'>k</db:verify>"),
        "<x xmlns='urn:x'/>".to_owned(),
    ] {
        let mut there = Receiver::new(false, &[THEM]);
        there.header(Some(THEM), Some(US));
        let said = there.send(&probe);
        there.ends(&said, "policy-violation");
    }
    let mut there = Receiver::new(false, &[THEM]);
    there.header(Some(THEM), Some(US));
    let said = there.send(&format!("<message from='a@{THEM}' to='b@{US}'/>"));
    there.ends(&said, "not-authorized");
}

#[test]
fn b3_tls_begins_once() {
    let mut there = Receiver::open(true, &[THEM]);
    let said = there.send(&format!("<starttls xmlns='{}'/>", ns::TLS));
    there.ends(&said, "unsupported-stanza-type");
}

// --- EXTERNAL ---------------------------------------------------------------------------------------------------------

#[test]
fn xep0178_external_is_offered_to_whom_the_certificate_is_for() {
    for (from, to, certified, offered) in [
        (Some(THEM), Some(US), &[THEM][..], true),
        (Some(THEM), Some(US), &[OTHERS][..], false),
        (Some(THEM), Some(US), &[][..], false),
        (None, Some(US), &[THEM][..], false),
        (Some(THEM), None, &[THEM][..], false),
    ] {
        let mut there = Receiver::new(true, certified);
        there.it.secured();
        assert!(matches!(there.header(from, to), Said::Nothing));
        let heard = there.world.heard();
        assert_eq!(heard.contains("<mechanism>EXTERNAL</mechanism>"), offered, "{from:?} {to:?} {certified:?}: {heard}");
        // XEP-0220 2.4.2, XEP-0478.
        assert!(heard.contains("<dialback xmlns='urn:xmpp:features:dialback'><errors/></dialback>"), "{heard}");
        assert!(
            heard.contains(&format!("<max-bytes>{}</max-bytes>", there.world.limits.pre_auth_stanza_size_bytes_max)),
            "{heard}"
        );
        // What is not offered is not taken.
        assert_eq!(matches!(there.external("="), Said::Restart), offered, "{from:?} {to:?} {certified:?}");
        assert_eq!(there.it.is_authenticated(), offered);
    }
}

#[test]
fn xep0178_external_with_and_without_a_name() {
    for authzid in ["", "=", &base64(THEM), &base64("THEM.test"), &format!("\n{}\n", base64(THEM))] {
        let mut there = Receiver::open(true, &[THEM]);
        assert!(matches!(there.external(authzid), Said::Restart), "{authzid}: {}", there.world.heard());
        there.world.hears("<success xmlns='urn:ietf:params:xml:ns:xmpp-sasl'/>");
        // The stream behind it says nothing of mechanisms, and more may be said on it.
        there.header(Some(THEM), Some(US));
        let heard = there.world.heard();
        assert!(!heard.contains("EXTERNAL"), "{heard}");
        assert!(
            heard.contains(&format!("<max-bytes>{}</max-bytes>", there.world.limits.peer_stanza_size_bytes_max)),
            "{heard}"
        );
        assert_eq!(there.it.domain(), Some(THEM));
        assert!(matches!(there.send(&format!("<message from='a@{THEM}' to='b@{US}'/>")), Said::Stanza(..)));
    }
}

#[test]
fn e3_an_authorization_identity_of_another_domain_is_refused() {
    // The certificate would do for them.
    for other in [OTHERS, "romeo@them.test", "them.test/x", US, "a b", "*.test"] {
        let mut there = Receiver::open(true, &[THEM, OTHERS]);
        assert!(matches!(there.external(&base64(other)), Said::Nothing));
        there.world.hears("<failure xmlns='urn:ietf:params:xml:ns:xmpp-sasl'><invalid-authzid/>");
        assert!(!there.it.is_authenticated());
    }
}

#[test]
fn rfc6120_6_5_what_is_wrong_with_an_attempt_is_said() {
    let mut there = Receiver::open(true, &[THEM]);
    for (probe, condition) in [
        ("<auth xmlns='urn:ietf:params:xml:ns:xmpp-sasl' mechanism='EXTERNAL'>%%%</auth>", "incorrect-encoding"),
        ("<auth xmlns='urn:ietf:params:xml:ns:xmpp-sasl' mechanism='EXTERNAL'>/w==</auth>", "incorrect-encoding"),
        ("<auth xmlns='urn:ietf:params:xml:ns:xmpp-sasl' mechanism='PLAIN'>AGEAYg==</auth>", "invalid-mechanism"),
        ("<auth xmlns='urn:ietf:params:xml:ns:xmpp-sasl' mechanism='external'>=</auth>", "invalid-mechanism"),
        ("<auth xmlns='urn:ietf:params:xml:ns:xmpp-sasl'>=</auth>", "invalid-mechanism"),
        ("<abort xmlns='urn:ietf:params:xml:ns:xmpp-sasl'/>", "aborted"),
    ] {
        assert!(matches!(there.send(probe), Said::Nothing), "{probe}");
        there.world.hears(&format!("<{condition}/>"));
        assert!(!there.it.is_authenticated());
    }
    // It may try again on the same stream (6.4.5).
    assert!(matches!(there.external("="), Said::Restart));
    let mut there = Receiver::open(true, &[OTHERS]);
    there.external("=");
    let heard = there.world.heard();
    assert!(
        heard.contains("<not-authorized/><text xml:lang='en'>its certificate is for &lt;other&gt; names</text>"),
        "{heard}"
    );
    let mut there = Receiver::proved();
    let said = there.send(&format!("<response xmlns='{}'/>", ns::SASL));
    there.ends(&said, "unsupported-stanza-type");
}

#[test]
fn b13_external_succeeds_once() {
    let mut there = Receiver::proved();
    assert!(matches!(there.external("="), Said::Nothing));
    there.world.hears("<not-authorized/>");
}

/// As CVE-2018-10847 among clients.
#[test]
fn b14_what_was_proved_is_not_of_whom_the_next_header_names() {
    let mut there = Receiver::open(true, &[THEM, OTHERS]);
    there.external("=");
    there.world.heard();
    assert!(matches!(there.header(Some(OTHERS), Some(ALSO_US)), Said::Nothing));
    assert!(!there.world.heard().contains("EXTERNAL"));
    assert!(matches!(there.external("="), Said::Nothing));
    assert_eq!(there.it.domain(), Some(THEM));
    let said = there.send(&format!("<message from='a@{OTHERS}' to='b@{ALSO_US}'/>"));
    there.ends(&said, "invalid-from");
    let mut there = Receiver::open(true, &[THEM]);
    there.external("=");
    there.header(Some(THEM), Some(ALSO_US));
    let said = there.send(&format!("<message from='a@{THEM}' to='b@{ALSO_US}'/>"));
    there.ends(&said, "not-authorized");
}

#[test]
fn rfc6120_6_4_5_attempts_have_an_end() {
    let mut there = Receiver::open(true, &[]);
    for _ in 0..REFUSALS_MAX {
        assert!(matches!(there.external("="), Said::Nothing));
    }
    there.world.heard();
    let said = there.external("=");
    there.ends(&said, "policy-violation");
}

// --- dialback: who shows a key ----------------------------------------------------------------------------------------

#[test]
fn xep0220_a_certificate_needs_no_key() {
    for certificate_required in [false, true] {
        let mut there = Receiver::open(certificate_required, &[THEM]);
        there.world.heard();
        assert!(matches!(there.result(THEM, US, "whatever"), Said::Proved(domain) if domain == THEM));
        assert_eq!(there.world.heard(), format!("<db:result from='{US}' to='{THEM}' type='valid'/>"));
        assert!(matches!(there.send(&format!("<message from='a@{THEM}' to='b@{US}'/>")), Said::Stanza(..)));
    }
}

#[test]
fn e2_a_key_is_worth_nothing_where_a_certificate_is_required() {
    let mut there = Receiver::open(true, &[OTHERS]);
    there.world.heard();
    assert!(matches!(there.result(THEM, US, "k"), Said::Nothing));
    let heard = there.world.heard();
    assert!(
        heard.starts_with(&format!("<db:result from='{US}' to='{THEM}' type='error'>")) && heard.contains("<not-authorized "),
        "{heard}"
    );
    assert!(!there.it.is_authenticated());
    let said = there.send(&format!("<message from='a@{THEM}' to='b@{US}'/>"));
    there.ends(&said, "not-authorized");
}

#[test]
fn xep0220_a_key_is_asked_about() {
    let mut there = Receiver::open(false, &[]);
    there.world.heard();
    let verify = match there.result(THEM, US, "\n 37c6 \n") {
        Said::Verify(verify) => verify,
        other => panic!("{other:?}"),
    };
    there.world.hears_nothing();
    let id = "01".repeat(16);
    assert_eq!(verify, Verify { from: THEM.to_owned(), to: US.to_owned(), id, key: "37c6".to_owned() });
    assert!(!there.it.is_authenticated());
    assert!(matches!(there.answer(&verify, Ok(true)), Said::Proved(domain) if domain == THEM));
    assert_eq!(there.world.heard(), format!("<db:result from='{US}' to='{THEM}' type='valid'/>"));
    assert!(matches!(there.send(&format!("<message from='a@{THEM}' to='b@{US}'/>")), Said::Stanza(..)));
    // Nobody waits for it twice.
    assert!(matches!(there.answer(&verify, Ok(false)), Said::Nothing));
    there.world.hears_nothing();
    assert!(there.it.is_authenticated());
}

#[test]
fn xep0220_2_2_1_a_key_that_is_not_theirs_ends_a_stream_on_which_nothing_else_was_shown() {
    let mut there = Receiver::open(false, &[]);
    there.world.heard();
    let verify = there.asks(THEM, US);
    assert!(matches!(there.answer(&verify, Ok(false)), Said::Close));
    assert_eq!(there.world.heard(), format!("<db:result from='{US}' to='{THEM}' type='invalid'/></stream:stream>"));
    let mut there = Receiver::open(false, &[OTHERS]);
    assert!(matches!(there.result(OTHERS, US, "k"), Said::Proved(_)));
    there.world.heard();
    let verify = there.asks(THEM, US);
    assert!(matches!(there.answer(&verify, Ok(false)), Said::Nothing));
    // 2.1.2.
    let heard = there.world.heard();
    assert!(heard.starts_with(&format!("<db:result from='{US}' to='{THEM}' type='error'>")), "{heard}");
    assert!(heard.contains("<forbidden "), "{heard}");
    let said = there.send(&format!("<message from='a@{THEM}' to='b@{US}'/>"));
    there.ends(&said, "invalid-from");
}

#[test]
fn xep0220_2_5_a_server_that_cannot_be_asked_is_an_error_and_no_end() {
    let mut there = Receiver::open(false, &[]);
    there.world.heard();
    let verify = there.asks(THEM, US);
    assert!(matches!(there.answer(&verify, Err(Condition::RemoteServerTimeout)), Said::Nothing));
    let heard = there.world.heard();
    assert!(heard.starts_with(&format!("<db:result from='{US}' to='{THEM}' type='error'><error ")), "{heard}");
    assert!(heard.contains("<remote-server-timeout "), "{heard}");
    assert!(!there.it.is_authenticated());
    // It may try again, and then it is another question.
    let verify = there.asks(THEM, US);
    assert!(matches!(there.answer(&verify, Ok(true)), Said::Proved(_)));
}

#[test]
fn e2_an_answer_to_another_question_proves_nothing() {
    let mut there = Receiver::open(false, &[]);
    let verify = there.asks(THEM, US);
    there.world.heard();
    for other in [
        Verify { from: OTHERS.to_owned(), ..verify.clone() },
        Verify { to: ALSO_US.to_owned(), ..verify.clone() },
        Verify { id: "02".repeat(16), ..verify.clone() },
        Verify { key: "l".to_owned(), ..verify.clone() },
    ] {
        assert!(matches!(there.answer(&other, Ok(true)), Said::Nothing));
        there.world.hears_nothing();
        assert!(!there.it.is_authenticated());
    }
}

/// CVE-2012-3525.
#[test]
fn e2_an_answer_that_nobody_has_asked_for_ends_the_stream() {
    for kind in ["valid", "invalid", "error", ""] {
        for probe in [
            format!("<db:result from='{THEM}' to='{US}' type='{kind}'/>"),
            format!("<db:verify from='{THEM}' to='{US}' id='1' type='{kind}'/>"),
        ] {
            let mut there = Receiver::open(false, &[THEM]);
            let said = there.send(&probe);
            assert!(!there.it.is_authenticated(), "{probe}");
            there.ends(&said, "policy-violation");
        }
    }
}

#[test]
fn e1_a_key_without_a_pair_of_domains_ends_the_stream() {
    for probe in [
        format!("<db:result to='{US}'>k</db:result>"),
        format!("<db:result from='{THEM}'>k</db:result>"),
        format!("<db:result from='romeo@{THEM}' to='{US}'>k</db:result>"),
        format!("<db:result from='{THEM}' to='juliet@{US}'>k</db:result>"),
        format!("<db:result from='' to='{US}'>k</db:result>"),
        format!("<db:verify from='{THEM}' id='1'>k</db:verify>"),
        format!("<db:verify to='{US}' id='1'>k</db:verify>"),
        format!("<db:verify from='{THEM}' to='{US}'>k</db:verify>"),
    ] {
        let mut there = Receiver::open(false, &[THEM]);
        let said = there.send(&probe);
        there.ends(&said, "improper-addressing");
    }
}

#[test]
fn xep0220_2_5_keys_of_whom_and_to_whom_they_may_not_be() {
    for (from, to, condition) in
        [(THEM, "elsewhere.test", "item-not-found"), (UNLOVED, US, "policy-violation"), (US, US, "policy-violation")]
    {
        let mut there = Receiver::open(false, &[THEM, UNLOVED, US]);
        there.world.heard();
        assert!(matches!(there.result(from, to, "k"), Said::Nothing));
        let heard = there.world.heard();
        assert!(heard.starts_with(&format!("<db:result from='{to}' to='{from}' type='error'>")), "{heard}");
        assert!(heard.contains(&format!("<{condition} ")), "{heard}");
        assert!(!there.it.is_authenticated());
    }
}

#[test]
fn xep0220_the_same_key_twice_is_one_question() {
    let mut there = Receiver::open(false, &[]);
    let verify = there.asks(THEM, US);
    assert!(matches!(there.result(THEM, US, "another"), Said::Nothing));
    there.answer(&verify, Ok(true));
    // Said again after it was proved: asked again, and the same pair.
    let verify = there.asks(THEM, US);
    assert!(matches!(there.answer(&verify, Ok(true)), Said::Proved(_)));
}

#[test]
fn e6_so_many_keys_are_asked_about_at_once() {
    let mut there = Receiver::open(false, &[]);
    let verifies: Vec<Verify> = (0..VERIFIES_MAX).map(|n| there.asks(&format!("d{n}.test"), US)).collect();
    there.world.heard();
    assert!(matches!(there.result("another.test", US, "k"), Said::Nothing));
    there.world.hears("<resource-constraint ");
    there.answer(&verifies[0], Ok(true));
    there.asks("another.test", US);
}

#[test]
fn e6_so_many_pairs_are_spoken_for_on_one_stream() {
    let mut there = Receiver::open(true, &[]);
    let names: Vec<&'static str> = (0..=PAIRS_MAX).map(|n| &*format!("d{n}.test").leak()).collect();
    there.world.certified = names.clone();
    for name in &names[..PAIRS_MAX] {
        assert!(matches!(there.result(name, US, "k"), Said::Proved(_)));
    }
    there.world.heard();
    assert!(matches!(there.result(names[PAIRS_MAX], US, "k"), Said::Nothing));
    there.world.hears("<resource-constraint ");
}

/// Each costs a look at a certificate, or a connection.
#[test]
fn e6_who_shows_one_refused_key_after_the_other_is_heard_for_so_long() {
    for certificate_required in [true, false] {
        let mut there = Receiver::open(certificate_required, &[THEM]);
        assert!(matches!(there.result(THEM, US, "k"), Said::Proved(_)));
        for n in 0..REFUSALS_MAX {
            let said = there.result(&format!("d{n}.test"), US, "k");
            if let Said::Verify(verify) = &said {
                assert!(matches!(there.answer(verify, Err(Condition::RemoteServerNotFound)), Said::Nothing));
            }
        }
        assert_eq!(there.world.heard().matches("type='error'").count(), REFUSALS_MAX as usize);
        let said = match there.result("another.test", US, "k") {
            Said::Verify(verify) => there.answer(&verify, Ok(false)),
            said => said,
        };
        there.ends(&said, "policy-violation");
    }
}

// --- dialback: who asks about a key of ours ---------------------------------------------------------------------------

#[test]
fn xep0220_2_2_2_keys_of_ours_are_known() {
    // Nobody has to show who asks (2.2.2).
    let mut there = Receiver::open(true, &[]);
    there.world.heard();
    let right = key(&there.world.secret, THEM, US, "417");
    for (shown, to, id, answer) in [
        (right.as_str(), US, "417", "valid"),
        (&format!("\n{right} "), US, "417", "valid"),
        (&right, US, "418", "invalid"),
        (&right, ALSO_US, "417", "invalid"),
        ("", US, "417", "invalid"),
        ("k", US, "417", "invalid"),
    ] {
        assert!(matches!(
            there.send(&format!("<db:verify from='{THEM}' to='{to}' id='{id}'>{shown}</db:verify>")),
            Said::Nothing
        ));
        assert_eq!(there.world.heard(), format!("<db:verify from='{to}' to='{THEM}' id='{id}' type='{answer}'/>"));
    }
    // CVE-2016-0756: it was shown to another one.
    there.send(&format!("<db:verify from='{OTHERS}' to='{US}' id='417'>{right}</db:verify>"));
    there.world.hears("type='invalid'");
    there.send(&format!("<db:verify from='{THEM}' to='elsewhere.test' id='&lt;1&apos;'>{right}</db:verify>"));
    let heard = there.world.heard();
    assert!(heard.contains("type='error'><error ") && heard.contains("<item-not-found "), "{heard}");
    assert!(heard.contains("id='&lt;1&apos;'") || heard.contains("id='&lt;1&#39;'"), "{heard}");
    assert!(!there.it.is_authenticated());
}

// --- stanzas ----------------------------------------------------------------------------------------------------------

#[test]
fn rfc6120_8_1_a_stanza_of_theirs_to_somebody_here() {
    let mut there = Receiver::proved();
    for (from, to) in
        [("romeo@them.test/orchard", "juliet@us.test"), ("them.test", "us.test"), ("ROMEO@THEM.test", "us.test/x")]
    {
        for kind in ["message", "presence", "iq"] {
            match there.send(&format!("<{kind} from='{from}' to='{to}'/>")) {
                Said::Stanza(_, said_by, said_to) => {
                    assert_eq!((said_by.domain().as_str(), said_to.domain().as_str()), (THEM, US));
                }
                other => panic!("{other:?}"),
            }
        }
    }
    there.world.hears_nothing();
}

#[test]
fn e1_stanzas_without_addresses_are_improper() {
    for addresses in [
        "",
        "from='romeo@them.test'",
        "to='juliet@us.test'",
        "from='' to='juliet@us.test'",
        "from='romeo@them.test' to=''",
        "from='@them.test' to='juliet@us.test'",
        "from='romeo@them.test' to='juliet@us.test/'",
        "from='a@b@them.test' to='juliet@us.test'",
    ] {
        let mut there = Receiver::proved();
        let said = there.send(&format!("<message {addresses}><body>x</body></message>"));
        there.ends(&said, "improper-addressing");
    }
}

#[test]
fn e1_stanzas_of_whom_was_not_shown_have_an_invalid_from() {
    for from in [OTHERS, "sub.them.test", "hem.test", US, "romeo@us.test", "juliet@others.test"] {
        let mut there = Receiver::proved();
        let said = there.send(&format!("<message from='{from}' to='juliet@{US}'/>"));
        there.ends(&said, "invalid-from");
    }
}

#[test]
fn e1_e7_stanzas_to_a_domain_that_was_not_negotiated() {
    let mut there = Receiver::proved();
    let said = there.send(&format!("<message from='romeo@{THEM}' to='juliet@elsewhere.test'/>"));
    there.ends(&said, "host-unknown");
    let mut there = Receiver::proved();
    let said = there.send(&format!("<message from='romeo@{THEM}' to='juliet@{ALSO_US}'/>"));
    there.ends(&said, "not-authorized");
    // A pair of one and a pair of another do not make a third.
    let mut there = Receiver::proved();
    there.world.certified = vec![THEM, OTHERS];
    assert!(matches!(there.result(OTHERS, ALSO_US, "k"), Said::Proved(_)));
    assert!(matches!(there.send(&format!("<message from='a@{OTHERS}' to='b@{ALSO_US}'/>")), Said::Stanza(..)));
    assert!(matches!(there.send(&format!("<message from='a@{THEM}' to='b@{US}'/>")), Said::Stanza(..)));
    there.world.heard();
    let said = there.send(&format!("<message from='a@{OTHERS}' to='b@{US}'/>"));
    there.ends(&said, "not-authorized");
}

/// The configuration is read anew, and the stream is still there.
#[test]
fn e1_whom_the_house_speaks_with_no_more_is_not_heard_either() {
    let mut there = Receiver::proved();
    let message = format!("<message from='romeo@{THEM}' to='juliet@{US}'/>");
    assert!(matches!(there.send(&message), Said::Stanza(..)));
    let unloved = HashSet::from([THEM.to_owned()]);
    there.world.hosts = there.world.hosts.clone().with_peers(Peers::AllBut(Arc::new(unloved)));
    let said = there.send(&message);
    there.ends(&said, "policy-violation");
    // Or they are of this house now.
    let mut there = Receiver::proved();
    let (mut names, config) = (NameTable::new(), RoomConfig::parse("").expect("no configuration"));
    let doors = [US, THEM].map(|domain| Doors::open(domain, &[], &mut names, &config).expect("a domain"));
    there.world.hosts = Hosts::new(doors).with_peers(Peers::AllBut(Arc::default()));
    let said = there.send(&message);
    there.ends(&said, "policy-violation");
}

#[test]
fn e1_stanzas_before_anything_was_shown() {
    for kind in ["message", "presence", "iq"] {
        let mut there = Receiver::open(false, &[THEM]);
        let said = there.send(&format!("<{kind} from='romeo@{THEM}' to='juliet@{US}'/>"));
        there.ends(&said, "not-authorized");
        // Nor while a key is being asked about.
        let mut there = Receiver::open(false, &[]);
        there.asks(THEM, US);
        let said = there.send(&format!("<{kind} from='romeo@{THEM}' to='juliet@{US}'/>"));
        there.ends(&said, "not-authorized");
    }
}

#[test]
fn a15_elements_that_nobody_knows_end_the_stream() {
    for probe in [
        "<x xmlns='urn:x'/>",
        "<db:other/>",
        "<stream:features/>",
        "<resume xmlns='urn:xmpp:sm:3'/>",
        "<bidi xmlns='urn:xmpp:bidi'/>",
    ] {
        let mut there = Receiver::proved();
        let said = there.send(probe);
        there.ends(&said, "unsupported-stanza-type");
    }
}

#[test]
fn a13_little_is_read_before_anything_was_shown() {
    let limits = Limits::default();
    let before = Receiver::open(true, &[THEM]).it.limits(&limits);
    assert_eq!(
        (before.stanza_size_bytes_max, before.elements_max),
        (limits.pre_auth_stanza_size_bytes_max, limits.pre_auth_elements_max)
    );
    let after = Receiver::proved().it.limits(&limits);
    assert_eq!(after.stanza_size_bytes_max, limits.peer_stanza_size_bytes_max);
}
