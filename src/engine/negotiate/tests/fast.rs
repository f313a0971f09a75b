//! XEP-0484: how a client proves to have a token. What the account makes of it is tested in its room (`xep0484_fast`).

use std::time::Instant;

use iris_core::clients::{Admission, Admitted, Token, TokenRefused};
use iris_core::{Ask, AskAnswer};
use jid::DomainPart;

use super::sasl2::{authenticate, desk};
use super::*;
use crate::negotiate::fast::{HtMechanism, Proof};
use crate::negotiate::sasl::{Hash, Offered};
use crate::testing::constant_time::alike;

const AGENT: &str = "<user-agent id='d4565fa7-4d72-4749-b3d3-740edbf87770'/>";
const AGENT_ID: u128 = 0xd4565fa7_4d72_4749_b3d3_740edbf87770;
const UNTIL: u64 = 1_767_225_600_000_000;

fn request(mechanism: &str) -> String {
    format!("{AGENT}<request-token xmlns='urn:xmpp:fast:0' mechanism='{mechanism}'/>")
}

/// What the account is asked to remember.
#[track_caller]
fn admission(actions: &[Action]) -> Admission {
    match actions {
        [Action::Ask(who, Ask::Admit(admission))] if *who == alice() => (**admission).clone(),
        other => panic!("{other:?}"),
    }
}

/// alice logs in with her password and gets a token for this mechanism: the token, and what the account keeps.
fn token_for(mechanism: &str) -> (String, Token) {
    let mut client = Client::open();
    let admission = admission(&client.proves(&authenticate(&request(mechanism))));
    assert!(admission.asked && admission.used.is_none());
    let kept = admission.token.expect("a token");
    let admitted = Admitted { client: "x".into(), token_until_us: Some(UNTIL) };
    let actions = client.step(|it, env| it.answered(AskAnswer::Admitted(admitted), env));
    assert!(matches!(actions[..], [Action::Authenticated(_)]), "{actions:?}");
    let (_, rest) =
        client.heard.split_once("<token xmlns='urn:xmpp:fast:0' expiry='2026-01-01T00:00:00Z' token='").expect("a token");
    (rest.split_once('\'').expect("its end").0.to_owned(), Token { expires_us: UNTIL, ..kept })
}

fn mac(token: &str, word: &str, binding: &[u8]) -> Vec<u8> {
    // As a client makes it: the token itself is the key.
    Hash::Sha256.hmac(token.as_bytes(), &[word.as_bytes(), binding]).as_slice().to_vec()
}

fn with_token(mechanism: &str, authcid: &str, mac: &[u8], inline: &str) -> String {
    let mut message = authcid.as_bytes().to_vec();
    message.push(0);
    message.extend_from_slice(mac);
    let message = bytes64(&message);
    format!(
        "<authenticate xmlns='{}' mechanism='{mechanism}'><initial-response>{message}</initial-response>{inline}</authenticate>",
        ns::SASL2
    )
}

fn bytes64(bytes: &[u8]) -> String {
    use ::base64::Engine;
    ::base64::engine::general_purpose::STANDARD.encode(bytes)
}

fn fast() -> String {
    format!("{AGENT}<fast xmlns='urn:xmpp:fast:0'/>")
}

/// The bindings of `tls()`.
const BINDINGS: [(&str, &[u8]); 3] = [("HT-SHA-256-EXPR", &[1; 32]), ("HT-SHA-256-ENDP", &[2; 32]), ("HT-SHA-256-NONE", &[])];

impl Client {
    /// Shows a token; the account has these.
    fn shows(&mut self, authenticate: &str, tokens: Vec<Token>) -> Vec<Action> {
        let actions = self.send(authenticate);
        assert!(matches!(&actions[..], [Action::LookUpFor(_, Ask::Tokens { agent: AGENT_ID })]), "{actions:?}: {}", self.heard);
        self.heard.clear();
        let AskAnswer::Credentials(login) = login(true) else { panic!("a login") };
        self.step(|it, env| it.looked_up(AskAnswer::Tokens(login, tokens), false, env))
    }
}

#[test]
fn s3_1_the_mechanisms_stand_in_the_feature_and_in_no_other_list() {
    let client = Client::open();
    let fast = "<fast xmlns='urn:xmpp:fast:0'><mechanism>HT-SHA-256-EXPR</mechanism><mechanism>HT-SHA-256-ENDP</mechanism>\
                <mechanism>HT-SHA-256-NONE</mechanism></fast>";
    assert!(client.heard.contains(fast), "{}", client.heard);
    assert_eq!(client.heard.matches("HT-SHA-256").count(), 3);
    let mut plain = Client::new(Transport::Plain);
    plain.header(&header(A));
    plain.heard("<fast xmlns='urn:xmpp:fast:0'><mechanism>HT-SHA-256-NONE</mechanism></fast>");
}

#[test]
fn s3_4_a_token_opens_in_one_message_with_every_binding() {
    for (mechanism, binding) in BINDINGS {
        let (token, kept) = token_for(mechanism);
        assert!(token.len() > 64, "HMAC has to hash it, or what is kept were the token");
        let mut client = Client::open();
        let shown = with_token(mechanism, "alice", &mac(&token, "Initiator", binding), &fast());
        let used = admission(&client.shows(&shown, vec![kept.clone()])).used.expect("a token was used");
        assert_eq!(used.mask, kept.mask);
        let admitted = Admitted { client: "x".into(), token_until_us: None };
        client.step(|it, env| it.answered(AskAnswer::Admitted(admitted), env));
        let answer = bytes64(&mac(&token, "Responder", binding));
        assert!(client.heard.contains(&format!("<additional-data>{answer}</additional-data>")), "{}", client.heard);
        assert!(!client.heard.contains("<token "), "none was issued");
    }
}

#[test]
fn b15_a_token_opens_nothing_but_what_it_is_for() {
    let (token, kept) = token_for("HT-SHA-256-EXPR");
    let good = mac(&token, "Initiator", &[1; 32]);
    let cases = [
        // Another channel, no channel, another word, another token, nothing.
        ("HT-SHA-256-EXPR", mac(&token, "Initiator", &[9; 32])),
        ("HT-SHA-256-EXPR", mac(&token, "Responder", &[1; 32])),
        ("HT-SHA-256-EXPR", mac("another", "Initiator", &[1; 32])),
        ("HT-SHA-256-EXPR", Vec::new()),
        ("HT-SHA-256-EXPR", good[..31].to_vec()),
        // XEP-0484 3.4: a weaker mechanism than the one it was asked for, though the MAC fits it.
        ("HT-SHA-256-NONE", mac(&token, "Initiator", &[])),
        ("HT-SHA-256-ENDP", mac(&token, "Initiator", &[2; 32])),
    ];
    for (mechanism, mac) in cases {
        let mut client = Client::open();
        let actions = client.shows(&with_token(mechanism, "alice", &mac, &fast()), vec![kept.clone()]);
        assert!(matches!(&actions[..], [Action::Failed(Some(who))] if *who == alice()), "{mechanism}: {actions:?}");
        client.heard("<failure xmlns='urn:xmpp:sasl:2'><not-authorized ");
    }
    // Nobody, a client without tokens, and a ban sound the same.
    for (answer, banned) in [
        (AskAnswer::NotFound, false),
        (AskAnswer::Tokens(None, Vec::new()), false),
        (AskAnswer::Tokens(None, vec![kept.clone()]), true),
    ] {
        let mut client = Client::open();
        client.send(&with_token("HT-SHA-256-EXPR", "alice", &good, &fast()));
        client.step(|it, env| it.looked_up(answer, banned, env));
        client.heard("<not-authorized ");
    }
}

#[test]
fn b17_what_is_kept_is_neither_the_token_nor_its_hash() {
    let (token, kept) = token_for("HT-SHA-256-NONE");
    let hash = Hash::Sha256.digest(token.as_bytes());
    assert_ne!(kept.sealed, hash.as_slice());
    // What is kept, under another secret, opens nothing.
    let mut client = Client::open();
    client.policy.secret = HouseSecret::new([8; 32]);
    client.shows(&with_token("HT-SHA-256-NONE", "alice", &mac(&token, "Initiator", &[]), &fast()), vec![kept.clone()]);
    client.heard("<not-authorized ");
    // Nor as somebody else's.
    let mut client = Client::open();
    client.shows(&with_token("HT-SHA-256-NONE", "bob", &mac(&token, "Initiator", &[]), &fast()), vec![kept]);
    client.heard("<not-authorized ");
}

#[test]
fn s3_4_the_account_has_the_last_word() {
    let (token, kept) = token_for("HT-SHA-256-NONE");
    let shown = with_token("HT-SHA-256-NONE", "alice", &mac(&token, "Initiator", &[]), &fast());
    for (answer, condition) in [
        (AskAnswer::TokenRefused(TokenRefused::Expired), "<credentials-expired "),
        (AskAnswer::TokenRefused(TokenRefused::Unknown), "<not-authorized "),
        (AskAnswer::Failed("full".into()), "<temporary-auth-failure "),
        (AskAnswer::NotFound, "<account-disabled "),
    ] {
        let mut client = Client::open();
        client.shows(&shown, vec![kept.clone()]);
        client.step(|it, env| it.answered(answer, env));
        client.heard(condition);
        // Not authenticated: a password may follow, a stanza may not.
        assert!(matches!(client.send(&authenticate(""))[..], [Action::LookUp(_)]));
    }
    // A disabled account: only who has the token learns it.
    let mut client = Client::open();
    client.send(&shown);
    let AskAnswer::Credentials(login) = login(false) else { panic!("a login") };
    client.step(|it, env| it.looked_up(AskAnswer::Tokens(login, vec![kept]), false, env));
    client.heard("<account-disabled ");
}

#[test]
fn a_full_disk_keeps_nobody_out_who_has_the_password() {
    let mut client = Client::open();
    admission(&client.proves(&authenticate(&request("HT-SHA-256-NONE"))));
    let actions = client.step(|it, env| it.answered(AskAnswer::Failed("full".into()), env));
    assert!(matches!(actions[..], [Action::Authenticated(_)]), "{actions:?}");
    assert!(client.heard.contains("<success ") && !client.heard.contains("<token "), "{}", client.heard);
}

#[test]
fn s3_6_count_and_invalidate_are_read() {
    let (token, kept) = token_for("HT-SHA-256-NONE");
    let proof = mac(&token, "Initiator", &[]);
    for (attributes, count, invalidate) in
        [("count='7'", Some(7), false), ("invalidate='1'", None, true), ("count='0' invalidate='true'", Some(0), true)]
    {
        let mut client = Client::open();
        let inline = format!("{AGENT}<fast xmlns='urn:xmpp:fast:0' {attributes}/>");
        let shown = with_token("HT-SHA-256-NONE", "alice", &proof, &inline);
        let used = admission(&client.shows(&shown, vec![kept.clone()])).used.expect("used");
        assert_eq!((used.count, used.invalidate), (count, invalidate));
    }
    for bad in ["count='-1'", "count=''", "count='4294967296'", "count='x'"] {
        let mut client = Client::open();
        let inline = format!("{AGENT}<fast xmlns='urn:xmpp:fast:0' {bad}/>");
        assert!(client.send(&with_token("HT-SHA-256-NONE", "alice", &proof, &inline)).is_empty());
        client.heard("<malformed-request ");
    }
}

#[test]
fn s3_4_what_is_no_proof_is_refused_before_anybody_is_asked() {
    let proof = [7; 32];
    // Without <fast/>, without an id, in the other profile, -UNIQ: not offered.
    for (inline, mechanism) in
        [(AGENT, "HT-SHA-256-NONE"), ("<fast xmlns='urn:xmpp:fast:0'/>", "HT-SHA-256-NONE"), (&*fast(), "HT-SHA-256-UNIQ")]
    {
        let mut client = Client::open();
        assert!(client.send(&with_token(mechanism, "alice", &proof, inline)).is_empty());
        client.heard("<invalid-mechanism ");
    }
    let mut client = Client::open();
    client.send(&format!("<auth xmlns='{}' mechanism='HT-SHA-256-NONE'>AAAA</auth>", ns::SASL));
    client.heard("<invalid-mechanism");
    // No NUL, no message at all.
    let mut client = Client::open();
    let whole = with_token("HT-SHA-256-NONE", "alice", &proof, &fast());
    let none = format!("<authenticate xmlns='{}' mechanism='HT-SHA-256-NONE'>{}</authenticate>", ns::SASL2, fast());
    client.send(&none);
    client.heard("<malformed-request ");
    let (head, tail) = whole.split_once("</initial-response>").expect("a message");
    let head = head.split_once("<initial-response>").expect("a message").0;
    client.send(&format!("{head}<initial-response>YWxpY2U=</initial-response>{tail}"));
    client.heard("<malformed-request ");
    // A token for a mechanism that is none.
    for wrong in ["", "SCRAM-SHA-1", "HT-SHA-256-UNIQ"] {
        client.send(&authenticate(&request(wrong)));
        client.heard("<malformed-request ");
        client.it.failures = 0;
    }
}

#[test]
fn xep0386_a_client_that_is_known_binds_as_that() {
    let mut client = Client::open();
    admission(&client.proves(&authenticate(&format!("{AGENT}<bind xmlns='urn:xmpp:bind:0'/>"))));
    let admitted = Admitted { client: "abc".into(), token_until_us: None };
    let actions = client.step(|it, env| it.answered(AskAnswer::Admitted(admitted), env));
    let [Action::Authenticated(_), Action::BindInline(_, bind)] = &actions[..] else { panic!("{actions:?}") };
    assert_eq!((bind.agent, bind.client.as_deref()), (Some(AGENT_ID), Some("abc")));
    client.step(|it, env| it.bound(Ok((session(), desk(), String::new())), env));
    client.heard("<bound ");
}

#[test]
fn b11_a_wrong_token_is_refused_as_slowly_wherever_it_is_wrong() {
    let (token, kept) = token_for("HT-SHA-256-NONE");
    let (_, other) = token_for("HT-SHA-256-NONE");
    let client = Client::open();
    let good = mac(&token, "Initiator", &[]);
    let wrong_at = |at: usize| {
        let mut mac = good.clone();
        mac[at] ^= 1;
        mac
    };
    let offered = Offered::new(DomainPart::new(A).expect("a domain").into_owned(), &[], Vec::new(), None);
    let proof = |mac: Vec<u8>| {
        let message = [b"alice\0".as_slice(), &mac].concat();
        Proof::read(HtMechanism::None, &offered, &message).expect("a message")
    };
    let proofs = [proof(wrong_at(0)), proof(wrong_at(31))];
    let tokens = [kept, other];
    type Kind<'a> = (&'a Proof, &'a [Token]);
    let cases: [(&str, [Kind<'_>; 2]); 2] = [
        ("where it is wrong", [(&proofs[0], &tokens), (&proofs[1], &tokens)]),
        ("whether there are tokens", [(&proofs[0], &tokens), (&proofs[0], &[])]),
    ];
    for (what, kinds) in cases {
        alike(what, 5_000, |which| {
            let (proof, tokens) = kinds[which];
            let begun = Instant::now();
            let found = proof.check(tokens, &client.policy.secret);
            let took = begun.elapsed().as_nanos();
            assert!(found.is_none());
            took
        });
    }
}
