//! B6: whoever authenticates as alice is alice.

use super::*;

#[track_caller]
fn plain(message: &str) -> SaslError {
    refused(found(start(Mechanism::Plain, &everything(), message)))
}

#[test]
fn b6_plain_with_somebody_elses_authzid_is_invalid_authzid() {
    for authzid in [
        "bob@house.example",
        "bob",
        "alice",
        "house.example",
        "alice@other.example",
        "alice@house.example.",
        "alice@house.example/",
        "alice@house.example/phone",
        "BOB@house.example",
        "alice@@house.example",
        "alice@house.example@other.example",
        "@house.example",
        "/",
        " ",
        " alice@house.example",
        "alice@house.example ",
        "\u{202e}alice@house.example",
    ] {
        let message = format!("{authzid}\0alice\0{PASSWORD}");
        assert_eq!(plain(&message), SaslError::InvalidAuthzid, "{authzid:?}");
    }
}

#[test]
fn b6_the_authzid_is_compared_after_normalisation_and_the_session_is_alices() {
    for authzid in ["alice@house.example", "ALICE@house.example", "alice@HOUSE.example"] {
        let message = format!("{authzid}\0alice\0{PASSWORD}");
        let step = found(start(Mechanism::Plain, &everything(), &message));
        assert_eq!(succeeded(step).0, "alice@house.example", "{authzid}");
    }
}

#[test]
fn b6_plain_with_wrong_fields_is_malformed() {
    for message in [
        "",
        "alice",
        "\0",
        "\0\0",
        "\0\0\0",
        "\0alice",
        "\0alice\0",
        "\0\0wherefore art thou",
        "alice\0wherefore art thou",
        "alice@house.example\0\0wherefore art thou",
        "\0alice\0wherefore art thou\0",
        "\0alice\0wherefore art thou\0bob",
        "\0alice\0\0wherefore art thou",
        "\0\0alice\0wherefore art thou",
    ] {
        assert_eq!(plain(message), SaslError::MalformedRequest, "{message:?}");
    }
    let not_utf8 = [b"\0alice\0wherefore".as_slice(), &[0xff]].concat();
    let step = Exchange::start(Mechanism::Plain, &everything(), NONCE, Some(&not_utf8));
    assert_eq!(refused(step), SaslError::MalformedRequest);
}

#[test]
fn b6_a_name_that_is_no_localpart_is_not_authorized() {
    for name in
        ["alice@house.example", "alice/phone", "al ice", "\u{7}", "\u{ad}", "house.example/alice", "<alice>", &"a".repeat(1024)]
    {
        let message = format!("\0{name}\0{PASSWORD}");
        assert_eq!(plain(&message), SaslError::NotAuthorized, "{name:?}");
    }
}

#[test]
fn b6_scram_with_somebody_elses_authzid_is_invalid_authzid() {
    for authzid in ["bob", "bob@house.example", "alice", "alice@house.example/x"] {
        let client = Client { gs2_header: format!("n,a={authzid},"), ..Client::new(Hash::Sha256) };
        let step = client.run(Mechanism::ScramSha256, &everything());
        assert_eq!(refused(step), SaslError::InvalidAuthzid, "{authzid}");
    }
}

#[test]
fn b6_scram_with_ones_own_authzid_is_let_in() {
    for authzid in ["alice@house.example", "Alice@House.Example"] {
        let client = Client { gs2_header: format!("n,a={authzid},"), ..Client::new(Hash::Sha256) };
        let step = client.run(Mechanism::ScramSha256, &everything());
        assert_eq!(succeeded(step).0, "alice@house.example");
    }
}
