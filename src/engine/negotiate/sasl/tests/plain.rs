//! PLAIN's own rules (RFC 4616); the authzid stands in `b6_authzid`.

use super::*;

fn plain(message: &[u8]) -> Step {
    found(Exchange::start(Mechanism::Plain, &everything(), NONCE, Some(message)))
}

#[test]
fn rfc4616_section_2_the_right_password_is_let_in() {
    let (account, additional) = succeeded(plain(b"\0alice\0wherefore art thou"));
    assert_eq!(account, "alice@house.example");
    assert_eq!(additional, None);
}

#[test]
fn rfc4616_section_2_names_and_passwords_are_prepared() {
    // A soft hyphen maps to nothing, a full-width letter to its plain form (RFC 4013), a capital to a small letter
    // (the localpart profile).
    let message = "\0\u{ff21}li\u{ad}ce\0wherefore\u{a0}art thou";
    assert_eq!(succeeded(plain(message.as_bytes())).0, "alice@house.example");
}

#[test]
fn rfc4616_section_2_a_wrong_password_is_not_authorized() {
    for wrong in ["x", "wherefore art tho", "wherefore art thou ", "Wherefore art thou"] {
        let message = format!("\0alice\0{wrong}");
        assert_eq!(refused(plain(message.as_bytes())), SaslError::NotAuthorized, "{wrong}");
    }
}

#[test]
fn rfc4616_section_2_a_password_that_cannot_exist_is_not_authorized() {
    for wrong in ["\u{7}bell", "\u{ad}", &"x".repeat(2000)] {
        let message = format!("\0alice\0{wrong}");
        assert_eq!(refused(plain(message.as_bytes())), SaslError::NotAuthorized);
    }
}

#[test]
fn rfc4422_section_3_3_an_empty_challenge_asks_for_the_missing_initial_response() {
    let step = Exchange::start(Mechanism::Plain, &everything(), NONCE, None);
    let (challenge, exchange) = challenged(step);
    assert_eq!(challenge, "");
    let step = found(exchange.respond(b"\0alice\0wherefore art thou"));
    assert_eq!(succeeded(step).0, "alice@house.example");
}

#[test]
fn only_plain_announces_that_it_is_expensive() {
    let expensive = |step: Step| match step {
        Step::NeedCredentials { exchange, .. } => exchange.is_expensive(),
        other => panic!("{other:?}"),
    };
    let offered = everything();
    assert!(expensive(start(Mechanism::Plain, &offered, "\0a\0b")));
    assert!(!expensive(start(Mechanism::ScramSha1, &offered, "n,,n=a,r=b")));
}
