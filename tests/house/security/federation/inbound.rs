//! Another server connects to the house.

use std::io::{Read, Write};

use super::*;

#[test]
fn who_has_proved_who_it_is_is_heard() {
    let mut siege = Siege::new();
    let mut peer = siege.proved();
    peer.send(&message("by a certificate"));
    let heard = siege.romeo.expect("by a certificate");
    assert_eq!(attribute(&heard, "from"), Some("mercutio@montague.test/street"), "{heard}");
    // XEP-0220 without a key: the certificate says it (multiplexing).
    let mut peer = siege.opened(&siege.shown(&[THEM, OTHERS]));
    for domain in [THEM, OTHERS] {
        peer.send(&format!("<db:result from='{domain}' to='{US}'>k</db:result>"));
        assert!(peer.read_stanza().contains("type='valid'"));
        peer.send(&format!("<message from='{domain}' to='romeo@{US}'><body>of {domain}</body></message>"));
        siege.romeo.expect(&format!("of {domain}"));
    }
    // Direct TLS (XEP-0368).
    let mut peer = Client::connect(SocketAddr::from((siege.here, 5270))).expect("a connection");
    peer.shake_hands_with(US, siege.tls(&siege.shown(&[THEM]))).expect("a handshake");
    open(&mut peer, THEM);
    peer.send(EXTERNAL);
    peer.expect("<success");
    // What follows at once is heard too.
    peer.send(&format!("{}{}", header(THEM), message("directly")));
    siege.romeo.expect("directly");
    siege.canary();
}

#[test]
fn e1_e7_stanzas_of_others_to_others_and_of_nobody_end_the_stream() {
    let mut siege = Siege::new();
    let mut hostile = Vec::new();
    for (from, to, condition) in [
        ("", "to='romeo@capulet.test'", "improper-addressing"),
        ("from='mercutio@montague.test'", "", "improper-addressing"),
        ("from='mercutio@montague.test'", "to='@capulet.test'", "improper-addressing"),
        ("from='mercutio@verona.test'", "to='romeo@capulet.test'", "invalid-from"),
        ("from='juliet@capulet.test'", "to='romeo@capulet.test'", "invalid-from"),
        ("from='mercutio@sub.montague.test'", "to='romeo@capulet.test'", "invalid-from"),
        ("from='mercutio@montague.test'", "to='somebody@verona.test'", "host-unknown"),
        ("from='mercutio@montague.test'", "to='room@conference.capulet.test'", "not-authorized"),
    ] {
        let mut peer = siege.proved();
        peer.send(&format!("<message {from} {to} type='chat'><body>forged</body></message>"));
        hostile.push((peer, condition, format!("{from} {to}")));
    }
    for (peer, condition, which) in hostile {
        refused(peer, &[condition], &which);
    }
    // Before anything is proved.
    let mut peer = siege.opened(&siege.shown(&[THEM]));
    peer.send(&message("forged"));
    refused(peer, &["not-authorized"], "before authentication");
    siege.romeo_has_heard_nothing();
    siege.canary();
}

#[test]
fn e2_answers_that_nobody_has_asked_for_end_the_stream() {
    let mut siege = Siege::with("certificate_required = false");
    for probe in [
        format!("<db:result from='{THEM}' to='{US}' type='valid'/>"),
        format!("<db:verify from='{THEM}' to='{US}' id='1' type='valid'/>"),
    ] {
        let mut peer = siege.opened(&siege.shown(&[OTHERS]));
        // The stanza in the same packet.
        peer.send(&format!("{probe}{}", message("forged")));
        refused(peer, &["policy-violation"], &probe);
    }
    siege.romeo_has_heard_nothing();
    siege.canary();
}

/// XEP-0220, with an authoritative server that is asked.
#[test]
fn e2_a_key_is_worth_what_the_server_of_the_domain_says() {
    let mut siege = Siege::with("certificate_required = false");
    let listener = fake::listen(siege.there);
    for answer in ["valid", "invalid", "error"] {
        let mut peer = siege.opened(&siege.shown(&[OTHERS]));
        assert!(!peer.features.contains("EXTERNAL"), "{}", peer.features);
        peer.send(&format!("<db:result from='{THEM}' to='{US}'>37c69b</db:result>"));
        let mut authority = fake::Fake::accept(&listener);
        authority.secure(fake::showing(&self_signed(&["whatever.test"])));
        authority.say("<stream:features/>");
        let asked = authority.until("</db:verify>");
        assert!(asked.contains(">37c69b<"), "{asked}");
        let id = attribute(&asked, "id").expect("an id").to_owned();
        // An answer about another stream or another pair is none.
        authority.say(&format!(
            "<db:verify from='{THEM}' to='{US}' id='x{id}' type='valid'/><db:verify from='{OTHERS}' to='{US}' id='{id}' type='valid'/>\
             <db:verify from='{THEM}' to='{US}' id='{id}' type='{answer}'/>"
        ));
        let said = peer.expect("<db:result");
        assert!(said.contains(&format!("type='{answer}'")), "{answer}: {said}");
        if answer == "valid" {
            peer.send(&message("by a key"));
            siege.romeo.expect("by a key");
        } else {
            let _ = peer.try_send(&message("forged"));
            let said = last_words(&mut peer, answer).concat();
            assert!(answer == "invalid" || said.contains("<not-authorized "), "{answer}: {said}");
        }
    }
    siege.romeo_has_heard_nothing();
    siege.canary();
}

/// Or whoever connects, shows keys and goes would leave the house asking for as long as it takes.
#[test]
fn e6_nobody_asks_about_the_key_of_a_stream_that_is_gone() {
    let mut siege = Siege::with("certificate_required = false");
    let listener = fake::listen(siege.there);
    let mut peer = siege.opened(&siege.shown(&[OTHERS]));
    peer.send(&format!("<db:result from='{THEM}' to='{US}'>37c69b</db:result>"));
    let mut authority = fake::Fake::accept(&listener);
    authority.until("xml:lang='en'>");
    drop(peer);
    let began = Instant::now();
    assert_eq!(authority.rest(), "");
    assert!(began.elapsed() < Duration::from_secs(5), "{:?}", began.elapsed());
    siege.canary();
}

#[test]
fn e2_a_key_is_worth_nothing_where_a_certificate_is_required() {
    let mut siege = Siege::new();
    let listener = fake::listen(siege.there);
    let mut peer = siege.opened(&siege.shown(&[OTHERS]));
    peer.send(&format!("<db:result from='{THEM}' to='{US}'>37c69b</db:result>"));
    let said = peer.expect("<db:result");
    assert!(said.contains("type='error'") && said.contains("<not-authorized "), "{said}");
    peer.send(&message("forged"));
    refused(peer, &["not-authorized"], "a key");
    assert!(fake::Fake::try_accept(&listener, Duration::ZERO).is_none(), "it was asked about");
    siege.romeo_has_heard_nothing();
    siege.canary();
}

#[test]
fn e3_certificates_that_prove_nothing_open_nothing() {
    let mut siege = Siege::new();
    for (which, shown) in useless(&siege.authority) {
        let mut peer = siege.opened(&shown);
        assert!(!peer.features.contains("EXTERNAL"), "{which}: {}", peer.features);
        peer.send(EXTERNAL);
        let said = peer.read_stanza();
        assert!(said.starts_with("<failure") && said.contains("<not-authorized/>"), "{which}: {said}");
        peer.send(&format!("<db:result from='{THEM}' to='{US}'>37c69b</db:result>"));
        let said = peer.read_stanza();
        assert!(said.contains("type='error'"), "{which}: {said}");
        peer.send(&message("forged"));
        refused(peer, &["not-authorized"], which);
    }
    siege.romeo_has_heard_nothing();
    siege.canary();
}

#[test]
fn e3_an_authorization_identity_of_another_domain_is_invalid() {
    let mut siege = Siege::new();
    let mut peer = siege.opened(&siege.shown(&[THEM, OTHERS]));
    // verona.test
    peer.send("<auth xmlns='urn:ietf:params:xml:ns:xmpp-sasl' mechanism='EXTERNAL'>dmVyb25hLnRlc3Q=</auth>");
    let said = peer.read_stanza();
    assert!(said.contains("<invalid-authzid/>"), "{said}");
    // And who authenticates is not who the next header names.
    peer.send(EXTERNAL);
    peer.expect("<success");
    open(&mut peer, OTHERS);
    peer.send(&format!("<message from='escalus@{OTHERS}' to='romeo@{US}'><body>forged</body></message>"));
    refused(peer, &["invalid-from"], "another header");
    siege.romeo_has_heard_nothing();
    siege.canary();
}

#[test]
fn b1_what_stands_in_the_clear_behind_starttls_is_never_heard() {
    let mut siege = Siege::new();
    let mut peer = siege.connected();
    open(&mut peer, THEM);
    let injected = format!("{}{EXTERNAL}{}", header(THEM), message("injected"));
    peer.send(&format!("<starttls xmlns='urn:ietf:params:xml:ns:xmpp-tls'/>{injected}"));
    peer.expect("<proceed");
    peer.shake_hands_with(US, siege.tls(&siege.shown(&[THEM]))).expect("a handshake");
    open(&mut peer, THEM);
    // Nothing was proved by it.
    peer.send(&message("injected"));
    refused(peer, &["not-authorized"], "injected");
    siege.romeo_has_heard_nothing();
    siege.canary();
}

#[test]
fn b2_without_tls_there_is_nothing() {
    let mut siege = Siege::with("certificate_required = false");
    for probe in [EXTERNAL, &*message("in the clear"), &format!("<db:result from='{THEM}' to='{US}'>k</db:result>")] {
        let mut peer = siege.connected();
        open(&mut peer, THEM);
        assert!(peer.features.contains("<required/>") && !peer.features.contains("mechanism"), "{}", peer.features);
        peer.send(probe);
        refused(peer, &["policy-violation", "not-authorized"], probe);
    }
    siege.romeo_has_heard_nothing();
    siege.canary();
}

// --- A: XML -----------------------------------------------------------------------------------------------------------

/// In the clear, in TLS before authentication, and after it.
#[test]
fn a_attacks_on_xml_end_the_stream_wherever_they_come() {
    let mut siege = Siege::new();
    let in_message = |inside: &[u8]| {
        let message = message("MARK");
        let (before, after) = message.split_once("MARK").expect("a body");
        [before.as_bytes(), inside, after.as_bytes()].concat()
    };
    let deep = "<a xmlns='urn:x'>".to_owned() + &"<a>".repeat(5_000);
    let probes: [(&str, Vec<u8>, &[&str]); 10] = [
        ("A2 DTD", b"<!DOCTYPE x [<!ENTITY a 'b'>]>".to_vec(), &["restricted-xml"]),
        ("A2 DTD inside", in_message(b"<!DOCTYPE x>"), &["restricted-xml", "not-well-formed"]),
        ("A4 comment", in_message(b"<!-- x -->"), &["restricted-xml"]),
        ("A4 instruction", in_message(b"<?x y?>"), &["restricted-xml"]),
        ("A4 entity", in_message(b"&foo;"), &["not-well-formed"]),
        ("A4 number", in_message(b"&#0;"), &["not-well-formed"]),
        ("A5 overlong", in_message(b"\xC0\xAF"), &["not-well-formed"]),
        ("A5 surrogate", in_message(b"\xED\xA0\x80"), &["not-well-formed"]),
        ("A7 namespace", b"<message xmlns='jabber:client' xmlns:xmlns='x'/>".to_vec(), &["not-well-formed"]),
        ("A10 depth", deep.into_bytes(), &["policy-violation"]),
    ];
    // Each takes its time to part.
    let mut hostile = Vec::new();
    for (which, probe, conditions) in &probes {
        let mut plain = siege.connected();
        open(&mut plain, THEM);
        for mut peer in [plain, siege.opened(&siege.shown(&[THEM])), siege.proved()] {
            let _ = peer.try_send_bytes(probe);
            hostile.push((peer, conditions, which));
        }
    }
    for (peer, conditions, which) in hostile {
        refused(peer, conditions, which);
    }
    siege.romeo_has_heard_nothing();
    siege.canary();
}

#[test]
fn a1_a15_a16_first_bytes_that_are_no_stream_of_a_server() {
    let mut siege = Siege::new();
    let ours = header(THEM);
    for (probe, conditions) in [
        ("<?xml version='1.0'?><!DOCTYPE x [<!ENTITY a 'ha'>]><x>".to_owned(), &["restricted-xml"][..]),
        ("GET / HTTP/1.1\r\nHost: x\r\n\r\n".to_owned(), &["not-well-formed"]),
        (ours.replace("jabber:server'", "jabber:client'"), &["invalid-namespace"]),
        (ours.replace("version='1.0' xmlns", "version='0.9' xmlns"), &["unsupported-version"]),
        (ours.replace("version='1.0' xmlns", "xmlns"), &["unsupported-version"]),
        (ours.replace("to='capulet.test'", "to='verona.test'"), &["host-unknown"]),
        (ours.replace("from='montague.test'", "from='capulet.test'"), &["policy-violation"]),
        (ours.replace("from='montague.test'", "from='a@b@c'"), &["invalid-from"]),
    ] {
        let mut peer = siege.connected();
        let _ = peer.try_send(&probe);
        let said = last_words(&mut peer, &probe);
        assert!(said[0].contains("<stream:stream "), "{probe}: {said:?}");
        assert!(conditions.iter().any(|it| said[1].contains(&format!("<{it} "))), "{probe}: {said:?}");
        siege.canary();
    }
}

/// A12, A13, E6: as much as the features say, and no more.
#[test]
fn a12_a13_stanzas_have_a_size() {
    let mut siege = Siege::new();
    let of_size = |bytes: usize| {
        let frame = message("").len();
        message(&"x".repeat(bytes - frame))
    };
    let mut peer = siege.opened(&siege.shown(&[THEM]));
    assert!(peer.features.contains("<max-bytes>8192</max-bytes>"), "{}", peer.features);
    let key = "k".repeat(8_193);
    let _ = peer.try_send(&format!("<db:result from='{THEM}' to='{US}'>{key}</db:result>"));
    refused(peer, &["policy-violation"], "before authentication");
    let mut peer = siege.proved();
    assert!(peer.features.contains("<max-bytes>524288</max-bytes>"), "{}", peer.features);
    for _ in 0..4 {
        peer.send(&of_size(512 * 1024));
        let heard = siege.romeo.expect("mercutio@montague.test");
        assert!(heard.len() >= 512 * 1024);
    }
    let _ = peer.try_send(&of_size(512 * 1024 + 1));
    refused(peer, &["policy-violation"], "one too many");
    siege.romeo_has_heard_nothing();
    siege.canary();
}

// --- E6: too much -----------------------------------------------------------------------------------------------------

#[test]
fn e6_a_thousand_domains_are_not_looked_at() {
    let mut siege = Siege::new();
    let mut peer = siege.proved();
    let flood: String = (0..1_000).map(|n| format!("<db:result from='d{n}.test' to='{US}'>k</db:result>")).collect();
    let _ = peer.try_send(&flood);
    let said = last_words(&mut peer, "a flood");
    let (last, before) = said.split_last().expect("it says why");
    assert_eq!(last, "</stream:stream>");
    let (why, answers) = before.split_last().expect("it says why");
    assert!(why.contains("<policy-violation "), "{why}");
    assert!(answers.len() == 100 && answers.iter().all(|it| it.contains("type='error'")), "{}", answers.len());
    siege.canary();
}

/// Each of these answers is as long as the question, and waits in no deque.
#[test]
fn e6_who_asks_and_does_not_read_the_answers_is_not_read_either() {
    let mut siege = Siege::new();
    let mut peer = siege.proved();
    peer.be_read_within(Duration::from_millis(300));
    let question = format!("<db:verify from='{THEM}' to='{US}' id='{}'>k</db:verify>", "x".repeat(200_000));
    // The sockets between take some.
    let asked = (0..400).take_while(|_| peer.try_send(&question).is_ok()).count();
    assert!(asked < 400, "{asked} questions were read, {} bytes each", question.len());
    siege.canary();
}

/// Only as fast as the rate says; and what is answered by the machine itself is no faster.
#[test]
fn e6_a_stream_has_a_rate() {
    let limits =
        "[policy]\nlifted_addresses = []\n[limits]\npeer_stanza_rate_per_second_max = 400\npeer_stanza_rate_burst_max = 100\n";
    let mut siege = Siege::with(limits);
    for stanza in [message("fast"), format!("<db:verify from='{THEM}' to='{US}' id='1'>k</db:verify>")] {
        let mut peer = siege.proved();
        let began = Instant::now();
        peer.send(&stanza.repeat(500));
        siege.canary();
        // A question behind all of them.
        peer.send(&format!("<db:verify from='{THEM}' to='{US}' id='last'>k</db:verify>"));
        peer.expect("id='last'");
        assert!(began.elapsed() >= Duration::from_millis(950), "{:?}", began.elapsed());
    }
    siege.canary();
}

#[test]
fn e6_ten_thousand_stanzas_disturb_nobody() {
    let mut siege = Siege::new();
    let mut peer = siege.proved();
    // To somebody who is not there; answers go nowhere, for nobody listens at the other end.
    let one = format!("<message from='mercutio@{THEM}' to='tybalt@{US}' type='error'><body>x</body></message>");
    let flood = std::thread::spawn(move || {
        for _ in 0..10 {
            peer.send(&one.repeat(1_000));
        }
        peer.send(&format!("<db:verify from='{THEM}' to='{US}' id='last'>k</db:verify>"));
        peer.expect("id='last'");
    });
    while !flood.is_finished() {
        siege.canary();
    }
    flood.join().expect("everything was read");
}

#[test]
fn e6_a_stanza_that_is_cut_off_is_none() {
    let mut siege = Siege::new();
    for cut in [20, 60, 110] {
        let peer = siege.proved();
        peer.say_and_leave(&message("cut off")[..cut]);
    }
    // What was whole before it is heard.
    let peer = siege.proved();
    peer.say_and_leave(&format!("{}<message from='mercutio@{THEM}", message("whole")));
    siege.romeo.expect("whole");
    siege.romeo_has_heard_nothing();
    siege.canary();
}

#[test]
fn e6_a_hundred_streams_of_which_nothing_comes() {
    let mut siege = Siege::new();
    let shown = siege.shown(&[THEM]);
    let mut idle = Vec::new();
    for n in 0..100 {
        // In every state there is.
        let mut peer = match n % 3 {
            0 => siege.connected(),
            1 => siege.opened(&shown),
            _ => siege.opened(&shown),
        };
        if n % 3 == 2 {
            peer.send(EXTERNAL);
            peer.expect("<success");
        }
        idle.push(peer);
    }
    let mut peer = siege.proved();
    peer.send(&message("one more"));
    siege.romeo.expect("one more");
    siege.canary();
}

/// F1, and slow-loris: whatever state it is in, bytes are no progress.
#[test]
fn a14_negotiation_has_an_end() {
    let mut siege = Siege::with("[limits]\nnegotiation_timeout = \"1s\"\n");
    let shown = siege.shown(&[THEM]);
    let mut proved = siege.proved();
    let began = Instant::now();
    let silent = siege.connected();
    let mut greeted = siege.connected();
    open(&mut greeted, THEM);
    let secured = siege.opened(&shown);
    let mut asking = siege.opened(&shown);
    let mut slow = siege.connected();
    let loris = std::thread::spawn(move || {
        let text = header(THEM) + &" ".repeat(1_000);
        for byte in text.as_bytes().chunks(1) {
            if slow.try_send_bytes(byte).is_err() || began.elapsed() > PATIENCE {
                break;
            }
            std::thread::sleep(Duration::from_millis(10));
        }
        began.elapsed()
    });
    // An honest question of another server is answered meanwhile (XEP-0220 2.2.2).
    asking.send(&format!("<db:verify from='{THEM}' to='{US}' id='1'>k</db:verify>"));
    asking.expect("type='invalid'");
    for (which, peer) in [("silent", silent), ("greeted", greeted), ("secured", secured), ("asking", asking)] {
        refused(peer, &["connection-timeout"], which);
    }
    let took = loris.join().expect("no panic");
    assert!(took < Duration::from_secs(10), "{took:?}");
    // Whoever has proved something is not hurried.
    proved.send(&message("in time"));
    siege.romeo.expect("in time");
    siege.canary();
}

/// B5: nobody waits for ever for a ClientHello.
#[test]
fn b5_half_a_handshake_has_an_end() {
    let mut siege = Siege::with("[limits]\nnegotiation_timeout = \"1s\"\n");
    let half = [5269, 5270].map(|port| {
        let mut peer = std::net::TcpStream::connect((siege.here, port)).expect("a connection");
        peer.set_read_timeout(Some(PATIENCE)).expect("a socket");
        if port == 5269 {
            write!(peer, "{}<starttls xmlns='urn:ietf:params:xml:ns:xmpp-tls'/>", header(THEM)).expect("it reads");
            let (mut heard, mut chunk) = (Vec::new(), [0; 1_024]);
            while !heard.ends_with(b"<proceed xmlns='urn:ietf:params:xml:ns:xmpp-tls'/>") {
                let n = peer.read(&mut chunk).expect("it answers");
                assert!(n > 0, "{}", String::from_utf8_lossy(&heard));
                heard.extend_from_slice(&chunk[..n]);
            }
        }
        // The beginning of a record of TLS.
        peer.write_all(b"\x16\x03\x01\x02\x00\x01").expect("it reads");
        peer
    });
    for mut peer in half {
        let mut rest = Vec::new();
        peer.read_to_end(&mut rest).expect("it is closed");
    }
    siege.canary();
}
