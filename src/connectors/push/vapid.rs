//! RFC 8292: the house shows a push service who it is.

use std::sync::Arc;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use aws_lc_rs::rand::SystemRandom;
use aws_lc_rs::signature::{ECDSA_P256_SHA256_FIXED_SIGNING, EcdsaKeyPair, KeyPair};
use base64::Engine;
use base64::prelude::BASE64_URL_SAFE_NO_PAD;

/// RFC 8292 2: not more than 24 hours; clocks differ.
const VALID: Duration = Duration::from_secs(12 * 3_600);

#[derive(Clone)]
pub struct Vapid {
    key: Arc<EcdsaKeyPair>,
    public: Arc<str>,
}

impl Vapid {
    /// A new key, as PKCS#8. `None`: the system has no randomness.
    pub fn generate() -> Option<Vec<u8>> {
        let document = EcdsaKeyPair::generate_pkcs8(&ECDSA_P256_SHA256_FIXED_SIGNING, &SystemRandom::new()).ok()?;
        Some(document.as_ref().to_vec())
    }

    /// `None`: that is no such key.
    pub fn of(pkcs8: &[u8]) -> Option<Vapid> {
        let key = EcdsaKeyPair::from_pkcs8(&ECDSA_P256_SHA256_FIXED_SIGNING, pkcs8).ok()?;
        let public = Arc::from(BASE64_URL_SAFE_NO_PAD.encode(key.public_key().as_ref()));
        Some(Vapid { key: Arc::new(key), public })
    }

    /// RFC 8292 3.2: what a page subscribes with (`applicationServerKey`).
    pub fn public(&self) -> &str {
        &self.public
    }

    /// RFC 8292 3: the value of `Authorization`. `origin` is the service's.
    pub fn authorization(&self, origin: &str, contact: &str) -> Option<String> {
        let until = SystemTime::now().duration_since(UNIX_EPOCH).ok()? + VALID;
        self.authorization_until(origin, contact, until.as_secs())
    }

    fn authorization_until(&self, origin: &str, contact: &str, exp: u64) -> Option<String> {
        // Neither has a character that JSON would want escaped: the origin was taken apart, the contact is the house's.
        if [origin, contact].iter().any(|text| text.chars().any(|c| c.is_control() || c == '"' || c == '\\')) {
            return None;
        }
        let head = BASE64_URL_SAFE_NO_PAD.encode(r#"{"typ":"JWT","alg":"ES256"}"#);
        let claims = BASE64_URL_SAFE_NO_PAD.encode(format!(r#"{{"aud":"{origin}","exp":{exp},"sub":"{contact}"}}"#));
        let signed = format!("{head}.{claims}");
        let signature = self.key.sign(&SystemRandom::new(), signed.as_bytes()).ok()?;
        Some(format!("vapid t={signed}.{}, k={}", BASE64_URL_SAFE_NO_PAD.encode(signature.as_ref()), self.public))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use aws_lc_rs::signature::{ECDSA_P256_SHA256_FIXED, UnparsedPublicKey};

    #[test]
    fn rfc8292_2_and_3_a_token_that_the_key_beside_it_verifies() {
        let pkcs8 = Vapid::generate().expect("a key");
        let vapid = Vapid::of(&pkcs8).expect("the key");
        assert_eq!(vapid.public(), Vapid::of(&pkcs8).expect("the same").public());
        let value = vapid.authorization_until("https://push.example.net", "mailto:admin@house.test", 1_453_523_768);
        let value = value.expect("a value");
        let (token, key) = value.strip_prefix("vapid t=").expect("the scheme").split_once(", k=").expect("two parts");
        assert_eq!(key, vapid.public());
        let (signed, signature) = token.rsplit_once('.').expect("a signature");
        let decode = |text: &str| BASE64_URL_SAFE_NO_PAD.decode(text).expect("base64url");
        UnparsedPublicKey::new(&ECDSA_P256_SHA256_FIXED, decode(key))
            .verify(signed.as_bytes(), &decode(signature))
            .expect("valid");
        let claims = String::from_utf8(decode(signed.split_once('.').expect("claims").1)).expect("UTF-8");
        assert_eq!(claims, r#"{"aud":"https://push.example.net","exp":1453523768,"sub":"mailto:admin@house.test"}"#);
        assert!(vapid.authorization("https://a", "mailto:\"").is_none());
        assert!(Vapid::of(b"").is_none() && Vapid::of(&pkcs8[1..]).is_none());
    }
}
