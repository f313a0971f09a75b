//! We have connected.

use super::*;

struct Initiator {
    world: World,
    it: Initiating,
}

impl Initiator {
    /// Connected; our header is said.
    fn new(certificate_required: bool, certified: &[&'static str], purpose: Purpose) -> Initiator {
        let mut world = World::new(certificate_required, certified);
        let mut it = Initiating::new(US.to_owned(), THEM.to_owned(), purpose, false);
        world.step(|env| it.open(env));
        Initiator { world, it }
    }

    /// TLS is there, and the second header is answered.
    fn secured(certificate_required: bool, certified: &[&'static str], purpose: Purpose) -> Initiator {
        let mut here = Initiator::new(certificate_required, certified, purpose);
        here.header("1");
        assert_eq!(here.send(&starttls()), Heard::Nothing);
        assert_eq!(here.send(&format!("<proceed xmlns='{}'/>", ns::TLS)), Heard::StartTls);
        let it = &mut here.it;
        here.world.step(|env| it.secured(env));
        here.header("2");
        here.world.heard();
        here
    }

    fn header(&mut self, id: &str) {
        let header = StreamHeader { id: Some(id.to_owned()), ..header(Some(THEM), Some(US)) };
        assert_eq!(self.opens(&header), Heard::Nothing);
    }

    fn opens(&mut self, header: &StreamHeader) -> Heard {
        let it = &mut self.it;
        self.world.step(|env| it.header(header, env))
    }

    fn send(&mut self, xml: &str) -> Heard {
        let (stanza, it) = (self.world.stanza(xml), &mut self.it);
        self.world.step(|env| it.element(&stanza, env))
    }

    /// It comes to nothing; everything that was said meanwhile is the end of the stream.
    #[track_caller]
    fn fails(&mut self, heard: Heard, what: &str, good: bool) {
        self.fails_with(heard, what, good, Condition::RemoteServerTimeout);
    }

    #[track_caller]
    fn fails_with(&mut self, heard: Heard, what: &str, good: bool, told: Condition) {
        match heard {
            Heard::Failed { why, for_good, condition } => {
                assert!(why.contains(what) && (for_good, condition) == (good, told), "{why:?} {for_good} {condition:?}");
            }
            other => panic!("{other:?}"),
        }
        assert_eq!(self.world.heard(), "</stream:stream>");
    }
}

fn features(inside: &str) -> String {
    format!("<stream:features>{inside}</stream:features>")
}

fn starttls() -> String {
    features(&format!("<starttls xmlns='{}'><required/></starttls>", ns::TLS))
}

const EXTERNAL: &str = "<mechanisms xmlns='urn:ietf:params:xml:ns:xmpp-sasl'><mechanism>PLAIN</mechanism><mechanism>EXTERNAL</mechanism></mechanisms>";
const DIALBACK_TOO: &str = "<dialback xmlns='urn:xmpp:features:dialback'><errors/></dialback>";

fn verify() -> Purpose {
    Purpose::Verify { id: "417".to_owned(), key: "a<b".to_owned() }
}

// --- headers and TLS --------------------------------------------------------------------------------------------------

#[test]
fn rfc6120_4_7_our_header_says_who_speaks_to_whom() {
    let mut here = Initiator::new(true, &[THEM], Purpose::Speak);
    let heard = here.world.heard();
    assert!(
        heard.contains(" from='us.test' to='them.test' version='1.0'") && heard.contains("xmlns:db='jabber:server:dialback'"),
        "{heard}"
    );
    assert!(!heard.contains(" id="), "{heard}");
}

#[test]
fn rfc6120_4_7_headers_that_will_not_do() {
    let like = |change: &dyn Fn(&mut StreamHeader)| {
        let mut header = header(Some(THEM), Some(US));
        change(&mut header);
        header
    };
    for (header, why) in [
        (like(&|it| it.default_ns = "jabber:client".to_owned()), "no server"),
        (like(&|it| it.version = None), "XMPP 1.0"),
        (like(&|it| it.version = Some("0.9".to_owned())), "XMPP 1.0"),
    ] {
        let mut here = Initiator::new(true, &[THEM], Purpose::Speak);
        here.world.heard();
        let heard = here.opens(&header);
        here.fails(heard, why, true);
    }
    let mut here = Initiator::new(true, &[THEM], Purpose::Speak);
    here.header("1");
    here.world.heard();
    let heard = here.opens(&header(Some(THEM), Some(US)));
    here.fails(heard, "two headers", true);
}

#[test]
fn b2_without_tls_nothing_is_said() {
    for offer in ["", EXTERNAL, DIALBACK_TOO, "<starttls xmlns='urn:x'/>"] {
        for required in [true, false] {
            let mut here = Initiator::new(required, &[THEM], Purpose::Speak);
            here.header("1");
            here.world.heard();
            let heard = here.send(&features(offer));
            here.fails(heard, "no TLS", true);
        }
    }
    let mut here = Initiator::new(true, &[THEM], Purpose::Speak);
    here.header("1");
    here.send(&starttls());
    here.world.hears("<starttls xmlns='urn:ietf:params:xml:ns:xmpp-tls'/>");
    let heard = here.send(&format!("<failure xmlns='{}'/>", ns::TLS));
    here.fails(heard, "cannot begin TLS", true);
}

/// B1, the other way round: what somebody on the way says in the clear.
#[test]
fn b1_before_tls_no_answer_is_one() {
    let mut here = Initiator::new(false, &[THEM], Purpose::Speak);
    here.header("1");
    here.world.heard();
    for probe in [
        format!("<proceed xmlns='{}'/>", ns::TLS),
        format!("<success xmlns='{}'/>", ns::SASL),
        format!("<db:result from='{THEM}' to='{US}' type='valid'/>"),
        format!("<db:verify from='{THEM}' to='{US}' id='417' type='valid'/>"),
    ] {
        assert_eq!(here.send(&probe), Heard::Nothing, "{probe}");
    }
    here.world.hears_nothing();
}

#[test]
fn xep0368_direct_tls_needs_no_starttls() {
    let mut world = World::new(true, &[THEM]);
    let mut it = Initiating::new(US.to_owned(), THEM.to_owned(), Purpose::Speak, true);
    world.step(|env| it.secured(env));
    world.hears("<stream:stream ");
    let mut here = Initiator { world, it };
    here.header("1");
    assert_eq!(here.send(&features(EXTERNAL)), Heard::Nothing);
    here.world.hears("mechanism='EXTERNAL'");
}

// --- whom we speak to -------------------------------------------------------------------------------------------------

#[test]
fn e3_a_server_whose_certificate_is_not_for_them_hears_nothing() {
    for purpose in [Purpose::Speak, verify()] {
        for offer in [EXTERNAL, DIALBACK_TOO, ""] {
            let mut here = Initiator::secured(true, &[OTHERS], purpose.clone());
            let heard = here.send(&features(offer));
            here.fails(heard, "its certificate is for <other> names", true);
            // And does not get a word out of us later.
            assert_eq!(here.send(&format!("<success xmlns='{}'/>", ns::SASL)), Heard::Nothing);
            here.world.hears_nothing();
        }
    }
}

#[test]
fn xep0178_external_shows_our_certificate() {
    let mut here = Initiator::secured(true, &[THEM], Purpose::Speak);
    assert_eq!(here.send(&features(&format!("{EXTERNAL}{DIALBACK_TOO}"))), Heard::Nothing);
    let name = base64(US);
    assert_eq!(here.world.heard(), format!("<auth xmlns='{}' mechanism='EXTERNAL'>{name}</auth>", ns::SASL));
    assert_eq!(here.send(&format!("<success xmlns='{}'/>", ns::SASL)), Heard::Restart);
    here.world.hears("<stream:stream ");
    here.header("3");
    assert_eq!(here.send(&features("")), Heard::Open { acknowledges: false });
    here.world.hears_nothing();
}

#[test]
fn xep0178_step_13_who_does_not_take_our_certificate_may_take_a_key() {
    let failure = format!("<failure xmlns='{}'><not-authorized/></failure>", ns::SASL);
    let mut here = Initiator::secured(true, &[THEM], Purpose::Speak);
    here.send(&features(&format!("{EXTERNAL}{DIALBACK_TOO}")));
    here.world.heard();
    assert_eq!(here.send(&failure), Heard::Nothing);
    let key = key(&here.world.secret, THEM, US, "2");
    assert_eq!(here.world.heard(), format!("<db:result from='{US}' to='{THEM}'>{key}</db:result>"));
    let mut here = Initiator::secured(true, &[THEM], Purpose::Speak);
    here.send(&features(EXTERNAL));
    here.world.heard();
    let heard = here.send(&failure);
    here.fails(heard, "does not take our certificate: not-authorized", true);
}

/// RFC 6120 6.5.10.
#[test]
fn rfc6120_6_5_a_failure_that_passes_is_none_for_good() {
    let mut here = Initiator::secured(true, &[THEM], Purpose::Speak);
    here.send(&features(EXTERNAL));
    here.world.heard();
    let heard = here.send(&format!("<failure xmlns='{}'><temporary-auth-failure/></failure>", ns::SASL));
    here.fails(heard, "temporary-auth-failure", false);
}

// --- dialback ---------------------------------------------------------------------------------------------------------

/// XEP-0220 2.4.1: older ones say nothing of it.
#[test]
fn xep0220_a_key_is_shown_whether_the_feature_is_there_or_not() {
    for offer in
        ["", DIALBACK_TOO, "<mechanisms xmlns='urn:ietf:params:xml:ns:xmpp-sasl'><mechanism>PLAIN</mechanism></mechanisms>"]
    {
        let mut here = Initiator::secured(true, &[THEM], Purpose::Speak);
        assert_eq!(here.send(&features(offer)), Heard::Nothing);
        let key = key(&here.world.secret, THEM, US, "2");
        assert_eq!(here.world.heard(), format!("<db:result from='{US}' to='{THEM}'>{key}</db:result>"));
        assert_eq!(
            here.send(&format!("<db:result from='{THEM}' to='{US}' type='valid'/>")),
            Heard::Open { acknowledges: false }
        );
        here.world.hears_nothing();
    }
}

#[test]
fn xep0220_a_key_needs_the_id_of_the_stream() {
    let mut here = Initiator::secured(true, &[THEM], Purpose::Speak);
    let it = &mut here.it;
    here.world.step(|env| it.open(env));
    here.world.heard();
    let heard = here.opens(&header(Some(THEM), Some(US)));
    here.fails(heard, "no id", true);
}

#[test]
fn e2_a_result_that_is_not_about_us_is_none() {
    let mut here = Initiator::secured(true, &[THEM], Purpose::Speak);
    here.send(&features(DIALBACK_TOO));
    here.world.heard();
    for probe in [
        format!("<db:result from='{OTHERS}' to='{US}' type='valid'/>"),
        format!("<db:result from='{THEM}' to='{ALSO_US}' type='valid'/>"),
        format!("<db:result from='{US}' to='{THEM}' type='valid'/>"),
        format!("<db:result to='{US}' type='valid'/>"),
        format!("<db:result from='{THEM}' type='valid'/>"),
        format!("<db:verify from='{THEM}' to='{US}' id='2' type='valid'/>"),
        format!("<success xmlns='{}'/>", ns::SASL),
        features(EXTERNAL),
        "<x xmlns='urn:x'/>".to_owned(),
    ] {
        assert_eq!(here.send(&probe), Heard::Nothing, "{probe}");
    }
    here.world.hears_nothing();
    assert_eq!(here.send(&format!("<db:result from='{THEM}' to='{US}' type='valid'/>")), Heard::Open { acknowledges: false });
}

#[test]
fn xep0220_a_key_that_is_not_taken() {
    let error = |kind: &str, condition: &str| {
        format!(
            "<db:result from='{THEM}' to='{US}' type='error'><error type='{kind}'><{condition} xmlns='{}'/>\
             <text xmlns='{}'>because</text></error></db:result>",
            ns::STANZAS,
            ns::STANZAS
        )
    };
    // 2.1.1: which error the senders get.
    let (bogus, late) = (Condition::InternalServerError, Condition::RemoteServerTimeout);
    for (answer, why, told) in [
        (format!("<db:result from='{THEM}' to='{US}' type='invalid'/>"), "does not take our key", bogus),
        (format!("<db:result from='{THEM}' to='{US}'/>"), "does not take our key", bogus),
        (format!("<db:result from='{THEM}' to='{US}' type='error'/>"), "does not take our key", late),
        (error("auth", "not-authorized"), "our key: not-authorized (because)", late),
        (error("cancel", "item-not-found"), "our key: item-not-found (because)", late),
        (error("wait", "remote-server-timeout"), "our key: remote-server-timeout (because)", late),
    ] {
        let mut here = Initiator::secured(true, &[THEM], Purpose::Speak);
        here.send(&features(""));
        here.world.heard();
        let heard = here.send(&answer);
        here.fails_with(heard, why, true, told);
    }
}

// --- to ask about a key -----------------------------------------------------------------------------------------------

#[test]
fn xep0220_2_1_2_a_key_is_asked_about_and_nothing_else() {
    for (answer, outcome) in [("valid", Some(true)), ("invalid", Some(false)), ("error", None), ("", None)] {
        let mut here = Initiator::secured(false, &[], verify());
        // Whatever is offered: nobody wants to speak.
        assert_eq!(here.send(&features(&format!("{EXTERNAL}{DIALBACK_TOO}"))), Heard::Nothing);
        assert_eq!(here.world.heard(), format!("<db:verify from='{US}' to='{THEM}' id='417'>a&lt;b</db:verify>"));
        let heard = here.send(&format!("<db:verify from='{THEM}' to='{US}' id='417' type='{answer}'/>"));
        match outcome {
            Some(outcome) => {
                assert_eq!(heard, Heard::Verified(outcome));
                assert_eq!(here.world.heard(), "</stream:stream>");
            }
            None => here.fails_with(heard, "cannot say", true, Condition::RemoteServerNotFound),
        }
    }
}

#[test]
fn e2_an_answer_about_another_key_is_none() {
    let mut here = Initiator::secured(false, &[], verify());
    here.send(&features(""));
    here.world.heard();
    for probe in [
        format!("<db:verify from='{OTHERS}' to='{US}' id='417' type='valid'/>"),
        format!("<db:verify from='{THEM}' to='{ALSO_US}' id='417' type='valid'/>"),
        format!("<db:verify from='{THEM}' to='{US}' id='418' type='valid'/>"),
        format!("<db:verify from='{THEM}' to='{US}' type='valid'/>"),
        format!("<db:verify to='{US}' id='417' type='valid'/>"),
        format!("<db:result from='{THEM}' to='{US}' type='valid'/>"),
    ] {
        assert_eq!(here.send(&probe), Heard::Nothing, "{probe}");
    }
    here.world.hears_nothing();
    assert_eq!(here.send(&format!("<db:verify from='{THEM}' to='{US}' id='417' type='invalid'/>")), Heard::Verified(false));
}

// --- their errors -----------------------------------------------------------------------------------------------------

#[test]
fn rfc6120_4_9_errors_pass_or_not() {
    for (condition, for_good) in [
        ("system-shutdown", false),
        ("connection-timeout", false),
        ("resource-constraint", false),
        ("internal-server-error", false),
        ("reset", false),
        ("host-unknown", true),
        ("host-gone", true),
        ("policy-violation", true),
        ("not-authorized", true),
        ("invalid-from", true),
    ] {
        let mut here = Initiator::new(true, &[THEM], Purpose::Speak);
        here.header("1");
        here.world.heard();
        let text = format!("<text xmlns='{}'>because</text>", ns::STREAM_ERRORS);
        let heard = here.send(&format!("<stream:error><{condition} xmlns='{}'/>{text}</stream:error>", ns::STREAM_ERRORS));
        let told = match condition {
            "host-unknown" | "host-gone" => Condition::RemoteServerNotFound,
            _ => Condition::RemoteServerTimeout,
        };
        here.fails_with(heard, &format!("it says {condition} (because)"), for_good, told);
        assert_eq!(here.send(&starttls()), Heard::Nothing);
        here.world.hears_nothing();
    }
}

/// Two houses of ours, but for the sockets.
#[test]
fn both_machines_speak_with_each_other() {
    let mut here = Initiator::secured(true, &[THEM], Purpose::Speak);
    let mut world = World::new(true, &[US]);
    world.hosts =
        Hosts::new([Doors::open(THEM, &[], &mut NameTable::new(), &RoomConfig::parse("").expect("none")).expect("a domain")])
            .with_peers(Peers::AllBut(Arc::default()));
    let mut there = Receiving::new(true);
    there.secured();
    world.step(|env| there.header(&header(Some(US), Some(THEM)), env));
    let said = world.heard();
    let offer = &said[said.find("<stream:features>").expect("features")..];
    assert_eq!(here.send(offer), Heard::Nothing);
    let stanza = world.stanza(&here.world.heard());
    assert!(matches!(world.step(|env| there.element(stanza, env)), Said::Restart));
    assert_eq!(here.send(&world.heard()), Heard::Restart);
    here.world.heard();
    world.step(|env| there.header(&header(Some(US), Some(THEM)), env));
    here.header("3");
    let said = world.heard();
    assert_eq!(here.send(&said[said.find("<stream:features>").expect("features")..]), Heard::Open { acknowledges: true });
    assert!(there.is_authenticated());
}
