//! B: TLS, STARTTLS, SASL.
//!
//! B11 (constant time) is measured where it happens, without a network between: `negotiate/sasl/tests/b11_constant_time.rs` for SCRAM,
//! and tests of the same name for tokens and components' proofs (`negotiate/tests`), ids of XEP-0198 and tokens of uploads (their rooms).

use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, Instant};

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use iris::cli::control::Admin;
use iris_core::BareJid;
use rustls::ClientConfig;

use crate::client::{Client, DOMAIN, PASSWORD, PATIENCE, attribute, between, trusting};
use crate::scene::{OTHER, Scene, last_words, refused};
use crate::scram::{Scram, tls_exporter};

fn jid(text: &str) -> BareJid {
    BareJid::new(text).expect("a JID")
}

fn auth(mechanism: &str, message: &[u8]) -> String {
    let message = STANDARD.encode(message);
    format!("<auth xmlns='urn:ietf:params:xml:ns:xmpp-sasl' mechanism='{mechanism}'>{message}</auth>")
}

/// TLS from the first byte, its stream open.
fn secure(scene: &Scene) -> Client {
    let mut client = Client::direct_tls(scene.server.direct_tls, trusting(&scene.data.ca())).expect("a handshake");
    client.open();
    client
}

#[test]
fn b1_what_comes_in_the_clear_behind_starttls_is_never_executed() {
    let mut scene = Scene::new();
    let plain = auth("PLAIN", format!("\0mallory\0{PASSWORD}").as_bytes());
    let header =
        "<stream:stream to='localhost' version='1.0' xmlns='jabber:client' xmlns:stream='http://etherx.jabber.org/streams'>";
    for injected in [
        plain.clone(),
        format!("{header}{plain}"),
        "<iq type='set' id='1'><bind xmlns='urn:ietf:params:xml:ns:xmpp-bind'/></iq>".to_owned(),
        "<message to='bob@localhost/phone'><body>injected</body></message>".to_owned(),
        " ".to_owned(),
    ] {
        let mut client = Client::connect(scene.server.starttls).expect("a connection");
        client.open();
        client.send(&format!("<starttls xmlns='urn:ietf:params:xml:ns:xmpp-tls'/>{injected}"));
        client.expect("<proceed");
        // Either the stream ends here, or the handshake works and nothing has happened before it.
        if client.shake_hands(trusting(&scene.data.ca())).is_ok() {
            client.open();
            let answer = client.sasl_plain("mallory", "wrong").expect("an answer");
            assert!(answer.contains("<not-authorized/>"), "{injected}: {answer}");
        }
        scene.canary();
    }
}

#[test]
fn b2_without_tls_there_is_nothing_but_starttls() {
    let mut scene = Scene::new();
    let open = || {
        let mut client = Client::connect(scene.server.starttls).expect("a connection");
        let features = client.open();
        assert!(
            features.contains("<required/>") && !features.contains("mechanism") && !features.contains("compress"),
            "{features}"
        );
        client
    };
    let mut client = open();
    for mechanism in ["PLAIN", "SCRAM-SHA-256", "EXTERNAL"] {
        client.send(&auth(mechanism, format!("\0mallory\0{PASSWORD}").as_bytes()));
        let answer = client.read_stanza();
        assert!(answer.contains("<encryption-required/>"), "{answer}");
    }
    for stanza in [
        "<iq type='set' id='1'><bind xmlns='urn:ietf:params:xml:ns:xmpp-bind'/></iq>",
        "<iq type='set' id='1'><query xmlns='jabber:iq:register'><username>x</username><password>y</password></query></iq>",
        "<iq type='set' id='1'><query xmlns='jabber:iq:auth'><username>mallory</username></query></iq>",
        "<message to='bob@localhost/phone'><body>clear</body></message>",
        "<presence/>",
        "<compress xmlns='http://jabber.org/protocol/compress'><method>zlib</method></compress>",
        "<resume xmlns='urn:xmpp:sm:3' previd='x' h='0'/>",
        "<enable xmlns='urn:xmpp:sm:3'/>",
    ] {
        let mut client = open();
        client.send(stanza);
        refused(client, &["not-authorized", "policy-violation"], stanza);
    }
    scene.canary();
}

#[test]
fn b3_starttls_inside_tls_fails_and_closes() {
    let mut scene = Scene::new();
    for mut client in
        [secure(&scene), Client::starttls(scene.server.starttls, trusting(&scene.data.ca())).expect("a handshake")]
    {
        if client.features.contains("starttls") {
            client.open();
        }
        assert!(!client.features.contains("starttls"), "{}", client.features);
        client.send("<starttls xmlns='urn:ietf:params:xml:ns:xmpp-tls'/>");
        let said = last_words(&mut client, "starttls in TLS");
        assert_eq!(said, ["<failure xmlns='urn:ietf:params:xml:ns:xmpp-tls'/>", "</stream:stream>"]);
        scene.canary();
    }
}

#[test]
fn b4_another_protocol_in_alpn_is_refused_and_sni_chooses_the_certificate() {
    let mut scene = Scene::new();
    let mut config = ClientConfig::clone(&trusting(&scene.data.ca()));
    config.alpn_protocols = vec![b"http/1.1".to_vec()];
    let outcome = Client::direct_tls(scene.server.direct_tls, Arc::new(config));
    let error = outcome.err().expect("http/1.1 is not spoken here");
    assert!(error.to_string().contains("NoApplicationProtocol"), "{error}");
    // The client refuses a certificate that does not name the domain it asked for: each gets its own.
    let config = trusting(&scene.data.ca());
    let shown: Vec<_> = [DOMAIN, OTHER]
        .iter()
        .map(|domain| {
            let mut client = Client::connect(scene.server.direct_tls).expect("a connection");
            client.shake_hands_with(domain, config.clone()).expect("the domain's certificate");
            client.certificate().expect("a certificate")
        })
        .collect();
    assert_ne!(shown[0], shown[1]);
    let mut client = Client::connect(scene.server.direct_tls).expect("a connection");
    assert!(client.shake_hands_with("elsewhere.test", config).is_err(), "nobody pretends to be elsewhere.test");
    scene.canary();
}

#[test]
fn b5_handshakes_that_go_nowhere_are_dropped() {
    let mut scene = Scene::with("[limits]\nnegotiation_timeout = \"2s\"\n");
    // A thousand, in halves: the tests of one process share its descriptors.
    for _ in 0..2 {
        let mut half: Vec<Client> = (0..500)
            .map(|n| {
                let mut client = Client::connect(scene.server.direct_tls).expect("a connection");
                // Half of them say nothing at all, half begin a record.
                if n % 2 == 0 {
                    client.try_send_bytes(b"\x16\x03\x01\x02\x00\x01\x00\x01").expect("a connection");
                }
                client
            })
            .collect();
        scene.canary();
        for client in &mut half {
            client.read_to_end(Duration::from_secs(30)).expect("closed by the deadline");
        }
        scene.canary();
    }
}

#[test]
fn b6_nobody_acts_for_somebody_else() {
    let mut scene = Scene::new();
    let cases = [
        ("bob@localhost", "invalid-authzid"),
        ("bob", "invalid-authzid"),
        ("mallory@localhost/cave", "invalid-authzid"),
        ("mallory@other.test", "invalid-authzid"),
        ("eve@other.test", "invalid-authzid"),
        ("localhost", "invalid-authzid"),
    ];
    for (authzid, condition) in cases {
        let mut client = secure(&scene);
        client.send(&auth("PLAIN", format!("{authzid}\0mallory\0{PASSWORD}").as_bytes()));
        let answer = client.read_stanza();
        assert!(answer.contains(&format!("<{condition}/>")), "{authzid}: {answer}");
    }
    for message in [
        format!("\0\0{PASSWORD}"),
        "\0mallory\0".to_owned(),
        format!("mallory\0{PASSWORD}"),
        format!("\0mallory\0{PASSWORD}\0bob"),
        format!("\0mallory\0bob\0{PASSWORD}"),
        String::from("\0\0"),
    ] {
        let mut client = secure(&scene);
        client.send(&auth("PLAIN", message.as_bytes()));
        let answer = client.read_stanza();
        assert!(answer.starts_with("<failure") && !answer.contains("<invalid-authzid/>"), "{message:?}: {answer}");
    }
    // The own address is allowed in any case, and the session is mallory's.
    let mut client = secure(&scene);
    client.send(&auth("PLAIN", format!("MALLORY@localhost\0mallory\0{PASSWORD}").as_bytes()));
    assert!(client.read_stanza().starts_with("<success"));
    client.open();
    assert_eq!(client.bind("x").expect("an address"), "mallory@localhost/x");
    scene.canary();
}

#[test]
fn b7_everything_bent_in_a_first_scram_message_fails() {
    let mut scene = Scene::new();
    let mut client = secure(&scene);
    let mut failures = 0;
    let cases = [
        ("SCRAM-SHA-256", "n,a=bob,n=mallory,r=abcdef", "failure"),
        ("SCRAM-SHA-256", "n,a=bob@localhost,n=mallory,r=abcdef", "<invalid-authzid/>"),
        ("SCRAM-SHA-256", "y,,n=mallory,r=abcdef", "<not-authorized/>"),
        ("SCRAM-SHA-256", "p=tls-exporter,,n=mallory,r=abcdef", "<not-authorized/>"),
        ("SCRAM-SHA-256-PLUS", "p=tls-unique,,n=mallory,r=abcdef", "<not-authorized/>"),
        ("SCRAM-SHA-256-PLUS", "n,,n=mallory,r=abcdef", "<not-authorized/>"),
        ("SCRAM-SHA-256", "n,,m=x,n=mallory,r=abcdef", "failure"),
        ("SCRAM-SHA-256", "n,,n=mallory", "<malformed-request/>"),
        ("SCRAM-SHA-256", "n,,r=abcdef,n=mallory", "<malformed-request/>"),
        ("SCRAM-SHA-256", "n,,n=,r=abcdef", "failure"),
        ("SCRAM-SHA-256", "n,,n=mal=lory,r=abcdef", "<malformed-request/>"),
        ("SCRAM-SHA-256", "", "failure"),
        ("SCRAM-SHA-256", "x", "<malformed-request/>"),
    ];
    for (mechanism, first, condition) in cases {
        if failures == 4 {
            client = secure(&scene);
            failures = 0;
        }
        client.send(&auth(mechanism, first.as_bytes()));
        let answer = client.read_stanza();
        if first.is_empty() {
            // RFC 6120 6.4.2: that is no initial response; an empty response is one.
            assert!(answer.starts_with("<challenge"), "{answer}");
            client.send("<response xmlns='urn:ietf:params:xml:ns:xmpp-sasl'/>");
            let answer = client.read_stanza();
            assert!(answer.starts_with("<failure"), "{answer}");
        } else {
            assert!(answer.starts_with("<failure") && answer.contains(condition), "{first}: {answer}");
        }
        failures += 1;
    }
    for junk in ["%%%", "bixuPW1hbGxvcnk", "biws\n", "AA==AA=="] {
        let mut client = secure(&scene);
        client.send(&format!("<auth xmlns='urn:ietf:params:xml:ns:xmpp-sasl' mechanism='SCRAM-SHA-1'>{junk}</auth>"));
        let answer = client.read_stanza();
        assert!(answer.starts_with("<failure"), "{junk}: {answer}");
    }
    scene.canary();
}

#[test]
fn b7_everything_bent_in_a_last_scram_message_fails_and_sounds_the_same() {
    let mut scene = Scene::new();
    // Each is the right password, bent in one place; the proof is of the bent message unless that is what is bent.
    type Bend = fn(&str) -> String;
    let bends: [(&str, Bend); 6] = [
        ("another binding", |last| last.replacen("c=biws", "c=eSws", 1)),
        ("no binding", |last| last.replacen("c=biws,", "", 1)),
        ("the client's nonce alone", |last| {
            last.split(",r=").next().map(|c| format!("{c},r=fyko+d2lbbFgONRv9qkxdawL")).unwrap_or_default()
        }),
        ("a longer nonce", |last| format!("{last}x")),
        ("an extension that must be understood", |last| format!("m=x,{last}")),
        ("an empty nonce", |last| last.split(",r=").next().map(|c| format!("{c},r=")).unwrap_or_default()),
    ];
    for (name, bend) in bends {
        let mut client = secure(&scene);
        let scram = Scram::new("SCRAM-SHA-256", "mallory", PASSWORD);
        let challenge = scram.begin(&mut client).expect("a challenge");
        let last = bend(&scram.without_proof(&challenge));
        let (proof, _) = scram.sign(&challenge, &last);
        let answer = scram.respond(&mut client, &format!("{last},p={proof}"));
        assert!(answer.starts_with("<failure") && !answer.contains("<text"), "{name}: {answer}");
    }
    for proof in ["", ",p=", ",p=AAAA", ",p=%%%"] {
        let mut client = secure(&scene);
        let scram = Scram::new("SCRAM-SHA-256", "mallory", PASSWORD);
        let challenge = scram.begin(&mut client).expect("a challenge");
        let last = scram.without_proof(&challenge);
        let answer = scram.respond(&mut client, &format!("{last}{proof}"));
        assert!(answer.starts_with("<failure"), "{proof:?}: {answer}");
    }
    // The binding of another connection, and of none.
    let elsewhere = tls_exporter(&secure(&scene));
    for data in [elsewhere, Vec::new()] {
        let mut client = secure(&scene);
        let scram = Scram::new("SCRAM-SHA-256-PLUS", "mallory", PASSWORD).bound_to("tls-exporter", data);
        let failure = scram.run(&mut client).expect_err("somebody is in between");
        assert!(failure.contains("<not-authorized/>"), "{failure}");
    }
    scene.canary();
}

#[test]
fn b7_a_recorded_exchange_is_worth_nothing() {
    let mut scene = Scene::new();
    let scram = Scram::new("SCRAM-SHA-256", "mallory", PASSWORD);
    let mut first = secure(&scene);
    let challenge = scram.begin(&mut first).expect("a challenge");
    let last = scram.without_proof(&challenge);
    let (proof, _) = scram.sign(&challenge, &last);
    let recorded = format!("{last},p={proof}");
    assert!(scram.respond(&mut first, &recorded).starts_with("<success"));
    let mut second = secure(&scene);
    let again = scram.begin(&mut second).expect("a challenge");
    assert_ne!(again.attribute('r'), challenge.attribute('r'));
    let answer = scram.respond(&mut second, &recorded);
    assert!(answer.contains("<not-authorized/>"), "{answer}");
    scene.canary();
}

#[test]
fn b8_exactly_the_mechanisms_that_work_are_offered_and_no_other_runs() {
    let mut scene = Scene::new();
    let client = secure(&scene);
    let listed = |from: &str, to: &str| {
        let list = between(&client.features, from, to).unwrap_or_else(|| panic!("no {from} in {}", client.features));
        list.split("<mechanism>").skip(1).filter_map(|it| it.split('<').next()).map(str::to_owned).collect::<Vec<String>>()
    };
    let expected = [
        "SCRAM-SHA-512-PLUS",
        "SCRAM-SHA-512",
        "SCRAM-SHA-256-PLUS",
        "SCRAM-SHA-256",
        "SCRAM-SHA-1-PLUS",
        "SCRAM-SHA-1",
        "PLAIN",
    ];
    // The same in both profiles; the mechanisms of FAST stand in its own element.
    assert_eq!(listed("<mechanisms ", "</mechanisms>"), expected);
    assert_eq!(listed("<authentication ", "<inline>"), expected);
    assert_eq!(listed("<fast ", "</fast>"), ["HT-SHA-256-EXPR", "HT-SHA-256-ENDP", "HT-SHA-256-NONE"]);
    let others = [
        "ANONYMOUS",
        "DIGEST-MD5",
        "CRAM-MD5",
        "EXTERNAL",
        "GSSAPI",
        "LOGIN",
        "OAUTHBEARER",
        "X-OAUTH2",
        "SCRAM-SHA-224",
        "SCRAM-SHA3-512",
        "HT-SHA-256-NONE",
        "plain",
        "scram-sha-256",
        "",
        "PLAIN ",
    ];
    for chunk in others.chunks(4) {
        let mut client = secure(&scene);
        for mechanism in chunk {
            client.send(&auth(mechanism, format!("\0mallory\0{PASSWORD}").as_bytes()));
            let answer = client.read_stanza();
            assert!(answer.contains("<invalid-mechanism/>"), "{mechanism}: {answer}");
        }
        let mut client = secure(&scene);
        for mechanism in chunk {
            client.send(&format!("<authenticate xmlns='urn:xmpp:sasl:2' mechanism='{mechanism}'/>"));
            let answer = client.read_stanza();
            assert!(answer.contains("<invalid-mechanism "), "{mechanism}: {answer}");
        }
    }
    scene.canary();
}

#[test]
fn b10_an_unknown_user_looks_like_a_known_one() {
    let mut scene = Scene::new();
    let challenge = |user: &str| {
        let scram = Scram::new("SCRAM-SHA-256", user, PASSWORD);
        let mut client = secure(&scene);
        let began = Instant::now();
        let challenge = scram.begin(&mut client).expect("a challenge");
        assert!(
            began.elapsed() >= Duration::from_millis(2),
            "{user}: an account that is awake and one that is none would be quicker"
        );
        let last = scram.without_proof(&challenge);
        let answer = scram.respond(&mut client, &format!("{last},p={}", STANDARD.encode([0; 32])));
        (challenge.attribute('s').to_owned(), challenge.attribute('i').to_owned(), answer)
    };
    let (nobody, again, known) = (challenge("nobody"), challenge("nobody"), challenge("alice"));
    assert_eq!(nobody, again, "the same salt each time");
    assert_eq!((nobody.0.len(), &nobody.1, &nobody.2), (known.0.len(), &known.1, &known.2));
    assert_ne!(nobody.0, challenge("nobody2").0);
    scene.canary();
}

#[test]
fn b10_a_wrong_password_takes_as_long_for_nobody() {
    let mut scene = Scene::new();
    let mut times = [Vec::new(), Vec::new()];
    for _ in 0..15 {
        for (user, times) in ["alice", "nobody"].into_iter().zip(&mut times) {
            let mut client = scene.stranger();
            let began = Instant::now();
            let answer = client.sasl_plain(user, "wrong").expect("an answer");
            times.push(began.elapsed());
            assert!(answer.contains("<not-authorized/>"), "{answer}");
        }
    }
    let [known, nobody] = times.map(|mut times| {
        times.sort();
        times[times.len() / 2].as_secs_f64()
    });
    // A shared machine is no laboratory: what is caught here is a check that is left out altogether.
    let ratio = known / nobody;
    assert!((0.33..3.0).contains(&ratio), "{known} s for a known user, {nobody} s for nobody");
    scene.canary();
}

#[test]
fn b10_strangers_are_not_told_who_exists() {
    let mut scene = Scene::new();
    let mut mallory = scene.mallory();
    // Alice is here, the idle one is not, the disabled one never will be: nobody is told which of them there is.
    let control = scene.control();
    for name in ["idle", "disabled"] {
        control.user_add(&jid(&format!("{name}@localhost")), PASSWORD).expect("an account");
    }
    control.user_set_enabled(&jid("disabled@localhost"), false).expect("an order");
    let requests = [
        "<vCard xmlns='vcard-temp'/>",
        "<query xmlns='jabber:iq:roster'/>",
        "<query xmlns='urn:xmpp:mam:2'/>",
        "<pubsub xmlns='http://jabber.org/protocol/pubsub'><items node='urn:xmpp:avatar:metadata'/></pubsub>",
        "<query xmlns='urn:xmpp:mam:2' node='urn:xmpp:avatar:metadata'/>",
        "<ping xmlns='urn:xmpp:ping'/>",
        "<query xmlns='http://jabber.org/protocol/disco#info'/>",
        "<query xmlns='http://jabber.org/protocol/disco#items'/>",
        "<query xmlns='jabber:iq:last'/>",
        "<query xmlns='jabber:iq:version'/>",
        "<query xmlns='urn:unknown'/>",
    ];
    let people = ["alice", "idle", "disabled"];
    for to in people.iter().flat_map(|name| [format!("{name}@localhost"), format!("{name}@localhost/none")]) {
        let name = to.split_once('@').expect("an account").0;
        let nobody = to.replace(name, "nobody");
        for payload in requests {
            let strip = |answer: String| {
                let id = attribute(&answer, "id").unwrap_or_default().to_owned();
                answer.replace(&id, "ID").replace("nobody", name)
            };
            let known = strip(mallory.iq("get", Some(&to), payload));
            let unknown = strip(mallory.iq("get", Some(&nobody), payload));
            assert_eq!(known, unknown, "{payload}");
            assert!(known.contains("<service-unavailable "), "{known}");
        }
    }
    for (known, unknown) in [
        ("<presence type='probe' to='alice@localhost'/>", "<presence type='probe' to='nobody@localhost'/>"),
        ("<presence type='subscribed' to='alice@localhost'/>", "<presence type='subscribed' to='nobody@localhost'/>"),
    ] {
        mallory.send(known);
        let first = mallory.drain(Duration::from_millis(200));
        mallory.send(unknown);
        let second = mallory.drain(Duration::from_millis(200));
        let second: Vec<String> = second.into_iter().map(|it| it.replace("nobody", "alice")).collect();
        assert_eq!(first, second, "{known}");
    }
    scene.canary();
}

#[test]
fn b12_twenty_wrong_passwords_on_one_connection_are_five() {
    let mut scene = Scene::new();
    let mut client = scene.stranger();
    let mut failures = 0;
    for _ in 0..20 {
        match client.sasl_plain("alice", "wrong") {
            Ok(answer) if answer.starts_with("<failure") => failures += 1,
            Ok(answer) => {
                assert!(answer.starts_with("<stream:error"), "{answer}");
                break;
            }
            Err(_) => break,
        }
    }
    assert!((2..=5).contains(&failures), "RFC 6120 6.4.5: {failures}");
    scene.canary();
}

#[test]
fn b12_a_banned_guesser_does_not_learn_what_is_right() {
    let limits = "[policy]\nlifted_addresses = []\n[limits]\nauth_failures_per_address_user_max = 3\n\
                  auth_failures_per_address_max = 1000\nban_time = \"1h\"\n";
    let mut scene = Scene::with(limits);
    let guesser = |scene: &Scene, user: &str, password: &str| {
        let mut client = Client::starttls(scene.server.starttls, trusting(&scene.data.ca())).expect("a handshake");
        client.open();
        Scram::new("SCRAM-SHA-256", user, password).run(&mut client)
    };
    for _ in 0..3 {
        guesser(&scene, "mallory", "wrong").expect_err("the wrong password");
    }
    let failure = guesser(&scene, "mallory", PASSWORD).expect_err("banned");
    assert!(failure.contains("<not-authorized/>"), "{failure}");
    let mut client = secure(&scene);
    let answer = client.sasl_plain("mallory", PASSWORD).expect("an answer");
    assert!(answer.contains("<not-authorized/>"), "{answer}");
    // Others, and those who are in already, notice nothing.
    guesser(&scene, "alice", PASSWORD).expect("the right password");
    scene.canary();
}

#[test]
fn b13_everything_out_of_order_ends_the_stream() {
    let mut scene = Scene::new();
    let plain = auth("PLAIN", format!("\0mallory\0{PASSWORD}").as_bytes());
    let bind = "<iq type='set' id='1'><bind xmlns='urn:ietf:params:xml:ns:xmpp-bind'/></iq>";
    let session = "<iq type='set' id='1'><session xmlns='urn:ietf:params:xml:ns:xmpp-session'/></iq>";
    let message = "<message to='bob@localhost/phone'><body>early</body></message>";
    let wrong = ["not-authorized", "policy-violation", "unsupported-stanza-type", "not-well-formed", "bad-format"];
    for early in [
        bind,
        session,
        message,
        "<presence/>",
        "<iq type='get' id='1' to='bob@localhost/phone'><ping xmlns='urn:xmpp:ping'/></iq>",
    ] {
        let mut client = scene.stranger();
        client.send(early);
        refused(client, &["not-authorized"], early);
    }
    // Two exchanges at once.
    let mut client = scene.stranger();
    let scram = Scram::new("SCRAM-SHA-1", "mallory", PASSWORD);
    scram.begin(&mut client).expect("a challenge");
    client.send(&plain);
    refused(client, &wrong, "a second auth");
    // Behind success, before and behind the new header.
    for late in [plain.as_str(), "<abort xmlns='urn:ietf:params:xml:ns:xmpp-sasl'/>", message] {
        let mut client = scene.stranger();
        let answer = client.sasl_plain("mallory", PASSWORD).expect("an answer");
        assert!(answer.starts_with("<success"));
        client.send(late);
        let said = last_words(&mut client, late).concat();
        assert!(said.contains("<stream:error>"), "{said}");
        let mut client = Client::connect(scene.server.plain).expect("a connection");
        client.login("mallory", PASSWORD).expect("a login");
        client.send(late);
        refused(client, &wrong, late);
    }
    let mut client = Client::connect(scene.server.plain).expect("a connection");
    client.login("mallory", PASSWORD).expect("a login");
    client.send(session);
    refused(client, &["not-authorized"], "session before bind");
    scene.canary();
}

#[test]
fn b13_a_second_bind_gives_no_second_address() {
    let mut scene = Scene::new();
    let mut mallory = scene.mallory();
    mallory.send(
        "<iq type='set' id='again'><bind xmlns='urn:ietf:params:xml:ns:xmpp-bind'><resource>second</resource></bind></iq>",
    );
    let answer = mallory.read(PATIENCE).expect("an answer");
    assert!(answer.contains("type='error'") || answer.starts_with("<stream:error"), "{answer}");
    scene.bob.send("<message to='mallory@localhost/second' type='chat' id='second'><body>x</body></message>");
    scene.bob.drain(Duration::from_millis(200));
    scene.canary();
}

#[test]
fn b14_authenticated_for_one_domain_is_not_authenticated_for_another() {
    let mut scene = Scene::new();
    let mut client = scene.stranger();
    assert!(client.sasl_plain("mallory", PASSWORD).expect("an answer").starts_with("<success"));
    client.send(&format!(
        "<stream:stream to='{OTHER}' from='eve@{OTHER}' version='1.0' xmlns='jabber:client' \
         xmlns:stream='http://etherx.jabber.org/streams'>"
    ));
    refused(client, &["not-authorized"], "another domain behind success");
    // And nobody becomes somebody else by a `from`.
    let mut client = scene.stranger();
    assert!(client.sasl_plain("mallory", PASSWORD).expect("an answer").starts_with("<success"));
    client.send(
        "<stream:stream to='localhost' from='bob@localhost' version='1.0' xmlns='jabber:client' \
         xmlns:stream='http://etherx.jabber.org/streams'>",
    );
    client.expect("<stream:features");
    assert_eq!(client.bind("x").expect("an address"), "mallory@localhost/x");
    scene.canary();
}

/// All bytes of all files below.
fn everything_in(folder: &Path, into: &mut Vec<(String, Vec<u8>)>) {
    for entry in std::fs::read_dir(folder).expect("a folder") {
        let path = entry.expect("an entry").path();
        let kind = std::fs::symlink_metadata(&path).expect("an entry").file_type();
        if kind.is_dir() {
            everything_in(&path, into);
        } else if kind.is_file() {
            into.push((path.display().to_string(), std::fs::read(&path).expect("a readable file")));
        }
    }
}

#[test]
fn b17_no_password_is_at_rest_and_no_file_is_open_to_others() {
    let mut scene = Scene::fresh();
    let control = scene.control();
    control.user_passwd(&jid("mallory@localhost"), "another secret of hers").expect("a new password");
    let mut files = Vec::new();
    everything_in(&scene.data.path(), &mut files);
    assert!(files.iter().any(|(_, bytes)| bytes.starts_with(b"SQLite format 3")), "no database was read");
    for (path, bytes) in &files {
        for secret in [PASSWORD, "another secret of hers"] {
            assert!(!bytes.windows(secret.len()).any(|it| it == secret.as_bytes()), "{path} has a password");
        }
        let mode = std::fs::metadata(path).expect("a file").permissions().mode();
        // What everybody is shown, and the names of the domains.
        let public = path.ends_with(".crt") || path.ends_with("/domains");
        assert!(public || mode & 0o077 == 0, "{path} has mode {mode:o}");
    }
    let folder = std::fs::metadata(scene.data.path()).expect("a folder").permissions().mode();
    assert_eq!(folder & 0o077, 0, "the data folder has mode {folder:o}");
    assert!(!scene.data.logged().contains("another secret of hers"));
    assert_eq!(scene.server.dumps(), "00000000", "a core dump holds memory, and so passwords");
    scene.canary();
}

#[test]
fn b17_salts_are_long_different_and_change_with_the_password() {
    let mut scene = Scene::new();
    let salt = |scene: &Scene, mechanism, user: &str| {
        let mut client = secure(scene);
        let challenge = Scram::new(mechanism, user, PASSWORD).begin(&mut client).expect("a challenge");
        let iterations: u32 = challenge.attribute('i').parse().expect("a number");
        assert!(iterations >= 10_000, "XEP-0438");
        let salt = STANDARD.decode(challenge.attribute('s')).expect("base64");
        assert!(salt.len() >= 16, "{} bytes", salt.len());
        salt
    };
    let before = [
        salt(&scene, "SCRAM-SHA-1", "alice"),
        salt(&scene, "SCRAM-SHA-256", "alice"),
        salt(&scene, "SCRAM-SHA-1", "bob"),
        salt(&scene, "SCRAM-SHA-256", "bob"),
    ];
    for (n, one) in before.iter().enumerate() {
        assert!(!before[n + 1..].contains(one), "two salts are the same");
    }
    // The same password once more.
    scene.control().user_passwd(&jid("mallory@localhost"), PASSWORD).expect("a password");
    let first = salt(&scene, "SCRAM-SHA-256", "mallory");
    scene.control().user_passwd(&jid("mallory@localhost"), PASSWORD).expect("a password");
    assert_ne!(salt(&scene, "SCRAM-SHA-256", "mallory"), first);
    scene.canary();
}

#[test]
fn b18_a_new_password_a_disabled_and_a_removed_account_end_every_session() {
    let mut scene = Scene::new();
    type Order = fn(&dyn Admin) -> Result<(), String>;
    let orders: [(&str, Order); 3] = [
        ("a new password", |admin| admin.user_passwd(&jid("mallory@localhost"), PASSWORD)),
        ("disabled", |admin| {
            admin.user_set_enabled(&jid("mallory@localhost"), false)?;
            admin.user_set_enabled(&jid("mallory@localhost"), true)
        }),
        ("removed", |admin| admin.user_remove(&jid("mallory@localhost"))),
    ];
    for (name, order) in orders {
        let mut connected = Client::bound(scene.server.plain, "mallory", "one");
        let mut resumable = Client::bound(scene.server.plain, "mallory", "two");
        let previd = resumable.enable_sm().expect("enabled");
        drop(resumable);
        let began = Instant::now();
        order(&scene.control()).expect("an order");
        let said = connected.read_to_end(Duration::from_secs(5)).unwrap_or_else(|error| panic!("{name}: {error}")).concat();
        assert!(said.contains("<stream:error>"), "{name}: {said}");
        assert!(began.elapsed() < Duration::from_secs(4), "{name}: {:?}", began.elapsed());
        if name == "removed" {
            let mut client = scene.stranger();
            let answer = client.sasl_plain("mallory", PASSWORD).expect("an answer");
            assert!(answer.contains("<not-authorized/>"), "{answer}");
        } else {
            let mut client = Client::connect(scene.server.plain).expect("a connection");
            client.login("mallory", PASSWORD).expect("a login");
            let failed = client.resume_sm(&previd, 0).expect("an answer");
            assert!(failed.contains("<item-not-found "), "{name}: {failed}");
        }
        scene.canary();
    }
}

/// Who has begun with the old password has until the deadline of the stream to end with it.
#[test]
fn b18_a_password_changed_between_challenge_and_response_opens_nothing() {
    let scene = Scene::new();
    let agent = "<user-agent id='d4565fa7-4d72-4749-b3d3-740edbf87770'/>";
    let token = "<request-token xmlns='urn:xmpp:fast:0' mechanism='HT-SHA-256-NONE'/>";
    let bind = "<bind xmlns='urn:xmpp:bind:0'/>";
    let mut password = PASSWORD;
    for inline in [format!("{agent}{token}{bind}"), format!("{agent}{token}"), bind.to_owned()] {
        let scram = Scram::new("SCRAM-SHA-256", "mallory", password);
        let mut client = scene.stranger();
        let challenge = scram.begin_sasl2(&mut client, &inline).expect("a challenge");
        password = if password == PASSWORD { "another password" } else { PASSWORD };
        scene.control().user_passwd(&jid("mallory@localhost"), password).expect("a password");
        let last = scram.without_proof(&challenge);
        let (proof, _) = scram.sign(&challenge, &last);
        let answer = scram.respond_sasl2(&mut client, &format!("{last},p={proof}"));
        assert!(!answer.contains("<success") && answer.contains("<not-authorized "), "{inline}: {answer}");
    }
}

/// Authenticated, and not bound yet: RFC 6120 has a new stream in between, which may take its time.
#[test]
fn b18_a_password_changed_and_an_account_made_anew_before_the_bind_open_nothing() {
    let scene = Scene::new();
    type Order = fn(&dyn Admin) -> Result<(), String>;
    let orders: [(&str, Order); 2] = [
        ("a new password", |admin| admin.user_passwd(&jid("mallory@localhost"), PASSWORD)),
        ("made anew", |admin| {
            admin.user_remove(&jid("mallory@localhost"))?;
            admin.user_add(&jid("mallory@localhost"), PASSWORD)
        }),
    ];
    for (name, order) in orders {
        let mut client = Client::connect(scene.server.plain).expect("a connection");
        client.login("mallory", PASSWORD).expect("a login");
        order(&scene.control()).expect("an order");
        let refused = client.bind("late");
        assert!(refused.as_ref().is_err_and(|why| why.to_string().contains("not-allowed")), "{name}: {refused:?}");
    }
}

#[test]
fn xep0175_guests_of_an_address_and_of_a_domain_are_bounded_and_the_next_is_told() {
    let anonymous = "[xep.anonymous]\ndomains = [\"localhost\"]\n";
    let limits = ["guests_per_address_max = 2\n[policy]\nlifted_addresses = []\n", "guests_per_domain_max = 2\n"];
    for limit in limits {
        let mut scene = Scene::with(&format!("{anonymous}[limits]\n{limit}"));
        let guest = || {
            let mut client = secure(&scene);
            client.send("<auth xmlns='urn:ietf:params:xml:ns:xmpp-sasl' mechanism='ANONYMOUS'/>");
            (client.read(PATIENCE).expect("an answer"), client)
        };
        let mut here: Vec<Client> = Vec::new();
        for _ in 0..2 {
            let (said, mut client) = guest();
            assert!(said.contains("<success"), "{said}");
            client.open();
            client.bind("guest").expect("a resource");
            here.push(client);
        }
        let (said, refused) = guest();
        assert!(said.contains("<temporary-auth-failure/><text xml:lang='en'>as many guests are here"), "{limit}: {said}");
        drop(refused);
        // One goes, the next may come.
        let mut first = here.remove(0);
        first.send("</stream:stream>");
        while first.read(PATIENCE).is_ok() {}
        let free = (0..100).any(|_| {
            guest().0.contains("<success") || {
                std::thread::sleep(Duration::from_millis(50));
                false
            }
        });
        assert!(free, "{limit}");
        scene.canary();
    }
}
