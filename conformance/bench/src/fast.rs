//! Coming back with a token (XEP-0484) in one message of SASL2 (XEP-0388) that binds as well (XEP-0386). Without a channel binding:
//! it is the mechanism that every server which knows any has.

use anyhow::{Context, Result, ensure};
use aws_lc_rs::hmac;

use crate::frame;
use crate::scram::base64;

const MECHANISM: &str = "HT-SHA-256-NONE";
const BIND: &str = "<bind xmlns='urn:xmpp:bind:0'><tag>bench</tag></bind>";

/// Whether these features offer it.
pub fn is_offered(features: &[u8]) -> bool {
    frame::has(features, "urn:xmpp:sasl:2") && frame::has(features, "urn:xmpp:fast:0") && frame::has(features, MECHANISM)
}

/// Tokens belong to a device, known by a UUID of version 4: one for each user.
fn device(user: &str) -> String {
    let number = user.bytes().fold(0_u64, |sum, byte| sum.wrapping_mul(251).wrapping_add(byte.into())) & 0xffff_ffff_ffff;
    format!("<user-agent id='d4565fa7-4d72-4749-b3d3-{number:012x}'><software>bench</software></user-agent>")
}

fn authenticate(user: &str, mechanism: &str, first: &[u8], inline: &str) -> String {
    let (first, device) = (base64(first), device(user));
    format!(
        "<authenticate xmlns='urn:xmpp:sasl:2' mechanism='{mechanism}'><initial-response>{first}</initial-response>{device}{inline}\
         </authenticate>"
    )
}

/// With the password, and a request for a token.
pub fn with_password(user: &str, password: &str) -> String {
    let request = format!("<request-token xmlns='urn:xmpp:fast:0' mechanism='{MECHANISM}'/>{BIND}");
    authenticate(user, "PLAIN", format!("\0{user}\0{password}").as_bytes(), &request)
}

/// With the token. draft-schmaus-kitten-sasl-ht 3.1.
pub fn with_token(user: &str, token: &str) -> String {
    let mut first = [user.as_bytes(), b"\0"].concat();
    first.extend_from_slice(mac(token, b"Initiator").as_ref());
    authenticate(user, MECHANISM, &first, &format!("<fast xmlns='urn:xmpp:fast:0'/>{BIND}"))
}

fn mac(token: &str, who: &[u8]) -> hmac::Tag {
    hmac::sign(&hmac::Key::new(hmac::HMAC_SHA256, token.as_bytes()), who)
}

/// Checks a `<success/>`: that the server knows the token we showed, if we did, and that it has bound us. Returns a new token, if it
/// gives one.
pub fn succeeded(success: &[u8], shown: Option<&str>) -> Result<Option<String>> {
    let text = || String::from_utf8_lossy(success).into_owned();
    ensure!(success.starts_with(b"<success"), "neither challenge nor success: {}", text());
    ensure!(frame::has(success, "<bound"), "not bound: {}", text());
    if let Some(token) = shown {
        let answer = frame::between(success, "<additional-data>", "<").unwrap_or_default();
        ensure!(answer == base64(mac(token, b"Responder")).as_bytes(), "the server does not know the token: {}", text());
    }
    let Some(at) = memchr::memmem::find(success, b"<token ") else { return Ok(None) };
    let token = frame::attribute(&success[at..], "token").context("a token without a token")?;
    Ok(Some(String::from_utf8(token.to_vec())?))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_success_has_to_answer_the_token_that_was_shown() {
        let success = |answer: &str| {
            format!(
                "<success xmlns='urn:xmpp:sasl:2'><additional-data>{answer}</additional-data><bound xmlns='urn:xmpp:bind:0'/>\
                 <token xmlns='urn:xmpp:fast:0' expiry='2030-01-01T00:00:00Z' token='next'/></success>"
            )
        };
        let right = success(&base64(mac("secret", b"Responder")));
        assert_eq!(succeeded(right.as_bytes(), Some("secret")).unwrap().as_deref(), Some("next"));
        assert!(succeeded(right.as_bytes(), Some("another")).is_err());
        assert!(succeeded(success(&base64(mac("secret", b"Initiator"))).as_bytes(), Some("secret")).is_err());
        assert!(succeeded(b"<success xmlns='urn:xmpp:sasl:2'/>", None).is_err());
    }

    #[test]
    fn features_without_the_mechanism_offer_nothing() {
        let features = format!("<stream:features><a xmlns='urn:xmpp:sasl:2'/><fast xmlns='urn:xmpp:fast:0'>{MECHANISM}</fast>");
        assert!(is_offered(features.as_bytes()));
        assert!(!is_offered(b"<stream:features><mechanisms xmlns='urn:ietf:params:xml:ns:xmpp-sasl'/>"));
    }
}
