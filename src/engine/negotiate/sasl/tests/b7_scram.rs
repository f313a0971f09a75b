//! B7: everything that can be wrong with a SCRAM conversation, and what must not be.

use super::*;

const GRAMMAR: SaslError = SaslError::MalformedRequest;
const TRUST: SaslError = SaslError::NotAuthorized;
const BINDING: SaslError = SaslError::ChannelBinding;

#[track_caller]
fn first(message: &str) -> SaslError {
    refused(start(Mechanism::ScramSha256, &everything(), message))
}

/// Runs an honest conversation, but lets `bend` rewrite the last message before it is sent.
#[track_caller]
fn last(bend: impl FnOnce(&str, &Client, &str) -> String) -> SaslError {
    let client = Client::new(Hash::Sha256);
    let step = start(Mechanism::ScramSha256, &everything(), &client.first());
    let (server_first, exchange) = challenged(found(step));
    let honest = client.last(&server_first);
    let bent = bend(&honest, &client, &server_first);
    assert_ne!(bent, honest);
    refused(exchange.respond(bent.as_bytes()))
}

#[test]
fn b7_an_honest_conversation_succeeds_with_every_scram_mechanism() {
    for mechanism in Mechanism::ALL {
        let Some(hash) = mechanism.hash() else {
            continue;
        };
        let client = match mechanism.binds_channel() {
            true => Client::binding(hash, "tls-exporter", EXPORTER),
            false => Client::new(hash),
        };
        let step = start(mechanism, &everything(), &client.first());
        let (server_first, exchange) = challenged(found(step));
        let (message, verifier) = client.sign(&server_first, &client.without_proof(&server_first));
        let (account, additional) = succeeded(exchange.respond(message.as_bytes()));
        assert_eq!(account, "alice@house.example");
        assert_eq!(additional, Some(verifier), "{mechanism:?}");
    }
}

#[test]
fn b7_gs2_y_while_plus_was_offered_is_a_downgrade() {
    let client = Client { gs2_header: "y,,".into(), ..Client::new(Hash::Sha1) };
    let step = client.run(Mechanism::ScramSha1, &everything());
    assert_eq!(refused(step), BINDING);
    // Nothing to bind was offered: then the client is right.
    let step = client.run(Mechanism::ScramSha1, &without_binding());
    assert_eq!(succeeded(step).0, "alice@house.example");
}

#[test]
fn b7_binding_with_a_type_that_was_not_offered_is_refused() {
    for name in ["tls-unique", "tls-exporte", "TLS-EXPORTER", "x"] {
        let client = Client::binding(Hash::Sha256, name, EXPORTER);
        let step = client.run(Mechanism::ScramSha256Plus, &everything());
        assert_eq!(refused(step), BINDING, "{name}");
    }
    let mut exporter_only = bindings();
    exporter_only.truncate(1);
    let offered = Offered::new(domain(), &Mechanism::ALL, exporter_only, Some(TlsVersion::V1_3));
    let client = Client::binding(Hash::Sha256, "tls-server-end-point", END_POINT);
    assert_eq!(refused(client.run(Mechanism::ScramSha256Plus, &offered)), BINDING);
}

#[test]
fn b7_binding_flag_and_mechanism_must_agree() {
    let binding = Client::binding(Hash::Sha256, "tls-exporter", EXPORTER);
    let unbound = Client::binding(Hash::Sha256, "tls-exporter", b"");
    for client in [binding, unbound] {
        let step = client.run(Mechanism::ScramSha256, &everything());
        assert_eq!(refused(step), BINDING);
    }
    for flag in ["n,,", "y,,"] {
        let client = Client { gs2_header: flag.into(), ..Client::new(Hash::Sha256) };
        let step = client.run(Mechanism::ScramSha256Plus, &everything());
        assert_eq!(refused(step), BINDING, "{flag}");
    }
}

#[test]
fn b7_wrong_channel_binding_data_is_refused() {
    let longer = [EXPORTER, b"x"].concat();
    for data in [END_POINT, b"", &EXPORTER[..31], &longer] {
        let client = Client::binding(Hash::Sha256, "tls-exporter", data);
        let step = client.run(Mechanism::ScramSha256Plus, &everything());
        assert_eq!(refused(step), TRUST);
    }
}

#[test]
fn b7_the_header_in_c_must_be_the_header_that_was_sent() {
    // Correctly signed, but the first message said `n`.
    for header in ["y,,", "n,a=alice@house.example,", "n,,x", "p=tls-exporter,,"] {
        let error = last(|_, client, server_first| {
            let bent = Client { gs2_header: header.into(), ..Client::new(client.hash) };
            client.sign(server_first, &bent.without_proof(server_first)).0
        });
        assert_eq!(error, TRUST, "{header}");
    }
}

#[test]
fn b7_the_last_message_must_carry_the_servers_nonce() {
    // Correctly signed, so that nothing but the nonce is wrong.
    let with_nonce = |nonce: fn(&str) -> String| {
        last(|_, client, server_first| {
            let full = attribute(server_first, "r=");
            let bent = client.without_proof(server_first).replace(full, &nonce(full));
            client.sign(server_first, &bent).0
        })
    };
    assert_eq!(with_nonce(|_| "romeo".into()), TRUST);
    assert_eq!(with_nonce(|full| full["romeo".len()..].into()), TRUST);
    assert_eq!(with_nonce(|full| format!("{full}x")), TRUST);
    assert_eq!(with_nonce(|full| full[..full.len() - 1].into()), TRUST);
    assert_eq!(with_nonce(|_| String::new()), GRAMMAR);
}

#[test]
fn b7_a_recorded_conversation_cannot_be_played_again() {
    let client = Client::new(Hash::Sha256);
    let begin = |nonce| {
        let first = client.first();
        let step = Exchange::start(Mechanism::ScramSha256, &everything(), nonce, Some(first.as_bytes()));
        challenged(found(step))
    };
    let (server_first, exchange) = begin(NONCE);
    let recorded = client.last(&server_first);
    succeeded(exchange.respond(recorded.as_bytes()));
    let (_, again) = begin([8; NONCE_SIZE_BYTES]);
    assert_eq!(refused(again.respond(recorded.as_bytes())), TRUST);
}

#[test]
fn b7_the_mandatory_extension_is_refused() {
    assert_eq!(first("n,,m=x,n=alice,r=romeo"), GRAMMAR);
    assert_eq!(first("n,,n=alice,m=x,r=romeo"), GRAMMAR);
    assert_eq!(first("n,,n=alice,r=romeo,m=x"), GRAMMAR);
    let error = last(|_, client, server_first| {
        let message = client.without_proof(server_first) + ",m=x";
        client.sign(server_first, &message).0
    });
    assert_eq!(error, GRAMMAR);
}

#[test]
fn b7_attributes_out_of_order_or_said_twice_are_refused() {
    for message in [
        "n,,r=romeo,n=alice",
        "n,,n=alice,n=bob,r=romeo",
        "n,,n=alice,r=romeo,n=bob",
        "n,,n=alice,r=romeo,r=juliet",
        "n,,n=alice,r=romeo,a=bob",
        "n,,n=alice,r=romeo,p=x",
        "n,,n=alice,r=romeo,i=1",
    ] {
        assert_eq!(first(message), GRAMMAR, "{message}");
    }
    for extension in [",c=biws", ",r=x", ",n=bob", ",a=bob", ",s=x", ",v=x", ",p=x"] {
        let error = last(|_, client, server_first| {
            let message = client.without_proof(server_first) + extension;
            client.sign(server_first, &message).0
        });
        assert_eq!(error, GRAMMAR, "{extension}");
    }
    let swapped = last(|_, client, server_first| {
        let message = client.without_proof(server_first);
        let (c, r) = message.split_once(',').unwrap();
        client.sign(server_first, &format!("{r},{c}")).0
    });
    assert_eq!(swapped, GRAMMAR);
}

#[test]
fn b7_nothing_may_follow_the_proof_and_the_proof_may_not_be_missing() {
    assert_eq!(last(|honest, _, _| format!("{honest},x=y")), GRAMMAR);
    assert_eq!(last(|honest, _, _| format!("{honest},")), GRAMMAR);
    assert_eq!(last(|honest, _, _| honest.rsplit_once(",p=").unwrap().0.into()), GRAMMAR);
    assert_eq!(last(|honest, _, _| format!("{},p=", honest.rsplit_once(",p=").unwrap().0)), GRAMMAR);
    assert_eq!(last(|_, _, _| String::new()), GRAMMAR);
}

#[test]
fn b7_base64_with_junk_is_refused() {
    let bend = |from: &str, to: &str| last(|honest, _, _| honest.replacen(from, to, 1));
    assert_eq!(bend("c=biws", "c=biws="), GRAMMAR);
    assert_eq!(bend("c=biws", "c=bi ws"), GRAMMAR);
    assert_eq!(bend("c=biws", "c=biws\n"), GRAMMAR);
    assert_eq!(bend("c=biws", "c=biw"), GRAMMAR);
    assert_eq!(bend("c=biws", "c="), GRAMMAR);
    assert_eq!(bend(",p=", ",p=*"), GRAMMAR);
    // 32 bytes end in one `=`; without it, and with bits set that nobody reads.
    assert_eq!(last(|honest, _, _| honest.trim_end_matches('=').into()), GRAMMAR);
    let error = last(|honest, _, _| {
        let text = honest.trim_end_matches('=');
        let (head, tail) = text.split_at(text.len() - 1);
        let letters = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
        let place = letters.find(tail).unwrap();
        format!("{head}{}=", &letters[place + 1..place + 2])
    });
    assert_eq!(error, GRAMMAR);
}

#[test]
fn b7_a_wrong_or_short_proof_is_refused() {
    let proof = |bytes: &[u8]| {
        let proof = STANDARD.encode(bytes);
        last(|honest, _, _| format!("{},p={proof}", honest.rsplit_once(",p=").unwrap().0))
    };
    assert_eq!(proof(&[0; 32]), TRUST);
    assert_eq!(proof(&[0; 20]), TRUST);
    assert_eq!(proof(&[0; 64]), TRUST);
    assert_eq!(proof(&[0]), TRUST);
}

#[test]
fn b7_a_right_proof_with_a_tail_is_refused() {
    let error = last(|honest, _, _| {
        let (head, proof) = honest.rsplit_once(",p=").unwrap();
        let mut proof = STANDARD.decode(proof).unwrap();
        proof.push(0);
        format!("{head},p={}", STANDARD.encode(proof))
    });
    assert_eq!(error, TRUST);
}

#[test]
fn b7_the_first_message_must_follow_the_grammar() {
    for message in [
        "",
        ",",
        ",,",
        "n",
        "n,",
        "n,,",
        "n=alice,r=romeo",
        "F,n,,n=alice,r=romeo",
        "x,,n=alice,r=romeo",
        "N,,n=alice,r=romeo",
        "p,,n=alice,r=romeo",
        "p=,,n=alice,r=romeo",
        "p=tls exporter,,n=alice,r=romeo",
        "n,alice,n=alice,r=romeo",
        "n,a=,n=alice,r=romeo",
        "n,a=al=ice,n=alice,r=romeo",
        "n,,n=alice",
        "n,,n=alice,",
        "n,,n=alice,r=",
        "n,,n=alice,r=ro meo",
        "n,,n=alice,r=rom\u{e9}o",
        "n,,n=,r=romeo",
        "n,,n=al=ice,r=romeo",
        "n,,n=al=2cice,r=romeo",
        "n,,n=al=3,r=romeo",
        "n,,n=al\0ice,r=romeo",
        "n,,n=alice,r=romeo,",
        "n,,n=alice,r=romeo,x",
        "n,,n=alice,r=romeo,x=",
        "n,,n=alice,r=romeo,xx=y",
        "n,,n=alice,r=romeo,1=y",
        "n,,n=alice,r=romeo,=y",
        "n,,n=alice,r=romeo,\u{e9}=y",
        " n,,n=alice,r=romeo",
    ] {
        assert_eq!(first(message), GRAMMAR, "{message:?}");
    }
    let long = format!("n,,n=alice,r={}", "x".repeat(MESSAGE_SIZE_BYTES_MAX));
    assert_eq!(first(&long), GRAMMAR);
    let not_utf8 = b"n,,n=\xc0\xafalice,r=romeo";
    let step = Exchange::start(Mechanism::ScramSha1, &everything(), NONCE, Some(not_utf8));
    assert_eq!(refused(step), GRAMMAR);
}

#[test]
fn rfc5802_section_5_1_unknown_optional_extensions_are_ignored_but_signed() {
    let client = Client { first_extensions: ",x=1,z=2", final_extensions: ",x=19C6532F", ..Client::new(Hash::Sha512) };
    let step = client.run(Mechanism::ScramSha512, &everything());
    assert_eq!(succeeded(step).0, "alice@house.example");
    // Not covered by the proof: somebody added it on the way.
    let error = last(|honest, _, _| honest.replacen(",p=", ",x=y,p=", 1));
    assert_eq!(error, TRUST);
}

#[test]
fn rfc5802_section_5_1_user_names_are_decoded() {
    let step = start(Mechanism::ScramSha1, &everything(), "n,,n=a=3Db=2Cc=3D2C,r=romeo");
    let Step::NeedCredentials { authcid, account, .. } = step else {
        panic!("{step:?}");
    };
    assert_eq!(authcid, "a=b,c=2c");
    assert_eq!(account.to_string(), "a=b,c=2c@house.example");
}

#[test]
fn rfc4422_section_3_3_scram_without_initial_response_asks_for_it() {
    let client = Client::new(Hash::Sha256);
    let step = Exchange::start(Mechanism::ScramSha256, &everything(), NONCE, None);
    let (challenge, exchange) = challenged(step);
    assert_eq!(challenge, "");
    let (server_first, exchange) = challenged(found(exchange.respond(client.first().as_bytes())));
    let step = exchange.respond(client.last(&server_first).as_bytes());
    assert_eq!(succeeded(step).0, "alice@house.example");
}

#[test]
fn the_nonce_holds_all_the_random_bytes_it_was_given() {
    let nonce = |random| {
        let step = Exchange::start(Mechanism::ScramSha1, &everything(), random, Some(b"n,,n=alice,r=romeo"));
        let (server_first, _) = challenged(found(step));
        attribute(&server_first, "r=").to_owned()
    };
    let one = nonce(NONCE);
    assert_eq!(one, format!("romeo{}", STANDARD.encode(NONCE)));
    let mut other = NONCE;
    other[NONCE_SIZE_BYTES - 1] ^= 1;
    assert_ne!(one, nonce(other));
}
