//! B8: what is offered, and that nothing else works.

use super::*;

fn names(offered: &Offered) -> Vec<&str> {
    offered.mechanism_names().collect()
}

#[test]
fn b8_everything_that_works_is_offered_strongest_first() {
    assert_eq!(
        names(&everything()),
        [
            "SCRAM-SHA-512-PLUS",
            "SCRAM-SHA-512",
            "SCRAM-SHA-256-PLUS",
            "SCRAM-SHA-256",
            "SCRAM-SHA-1-PLUS",
            "SCRAM-SHA-1",
            "PLAIN"
        ]
    );
}

#[test]
fn b8_without_something_to_bind_there_is_no_plus() {
    let expected = ["SCRAM-SHA-512", "SCRAM-SHA-256", "SCRAM-SHA-1", "PLAIN"];
    assert_eq!(names(&without_binding()), expected);
    // No TLS, or a binding that is empty, binds nothing.
    let no_tls = Offered::new(domain(), &Mechanism::ALL, bindings(), None);
    assert_eq!(names(&no_tls), expected);
    assert_eq!(no_tls.binding_types().count(), 0);
    let empty = vec![ChannelBinding { kind: BindingKind::TlsExporter, data: vec![] }];
    let empty = Offered::new(domain(), &Mechanism::ALL, empty, Some(TlsVersion::V1_2));
    assert_eq!(names(&empty), expected);
}

#[test]
fn b8_a_mechanism_that_is_not_offered_is_invalid() {
    for allowed in Mechanism::ALL {
        let offered = Offered::new(domain(), &[allowed], bindings(), Some(TlsVersion::V1_3));
        for tried in Mechanism::ALL {
            for initial in [None, Some(b"\0alice\0wherefore art thou".as_slice())] {
                let step = Exchange::start(tried, &offered, NONCE, initial);
                let invalid = matches!(step, Step::Failure(SaslError::InvalidMechanism));
                assert_eq!(invalid, tried != allowed, "{tried:?} while {allowed:?}");
            }
        }
    }
}

#[test]
fn b8_names_are_known_exactly_or_not_at_all() {
    for mechanism in Mechanism::ALL {
        assert_eq!(Mechanism::from_name(mechanism.name()), Some(mechanism));
        let lower = mechanism.name().to_lowercase();
        assert_eq!(Mechanism::from_name(&lower), None);
    }
    for name in
        ["", "DIGEST-MD5", "CRAM-MD5", "ANONYMOUS", "EXTERNAL", "LOGIN", "SCRAM-SHA-1-PLUS ", "SCRAM-SHA-224", "X-OAUTH2"]
    {
        assert_eq!(Mechanism::from_name(name), None, "{name}");
    }
}

#[test]
fn b8_conditions_are_those_of_rfc6120_section_6_5() {
    let conditions = [
        (SaslError::Aborted, "aborted"),
        (SaslError::AccountDisabled, "account-disabled"),
        (SaslError::CredentialsExpired, "credentials-expired"),
        (SaslError::EncryptionRequired, "encryption-required"),
        (SaslError::IncorrectEncoding, "incorrect-encoding"),
        (SaslError::InvalidAuthzid, "invalid-authzid"),
        (SaslError::InvalidMechanism, "invalid-mechanism"),
        (SaslError::MalformedRequest, "malformed-request"),
        (SaslError::MechanismTooWeak, "mechanism-too-weak"),
        (SaslError::NotAuthorized, "not-authorized"),
        (SaslError::TemporaryAuthFailure, "temporary-auth-failure"),
    ];
    for (error, condition) in conditions {
        assert_eq!(error.condition(), condition);
        assert_eq!(error.to_string(), condition);
    }
}
