//! SCRAM-SHA-1 (RFC 5802) with the salted keys remembered, so that a login costs the generator two HMACs and no PBKDF2.

use std::collections::HashMap;
use std::num::NonZeroU32;

use anyhow::{Context, Result, bail, ensure};
use aws_lc_rs::{digest, hmac, pbkdf2};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;

/// Base64 of the bytes, as SASL carries them (RFC 6120 6.4.2).
pub fn base64(bytes: impl AsRef<[u8]>) -> String {
    STANDARD.encode(bytes)
}

/// SaltedPassword by salt and iteration count; one password for all accounts.
#[derive(Default)]
pub struct Salted(HashMap<(Vec<u8>, u32), [u8; 20]>);

impl Salted {
    fn key(&mut self, password: &str, salt: &[u8], iterations: u32) -> Result<[u8; 20]> {
        if let Some(key) = self.0.get(&(salt.to_vec(), iterations)) {
            return Ok(*key);
        }
        let rounds = NonZeroU32::new(iterations).context("SCRAM with zero iterations")?;
        let mut key = [0; 20];
        pbkdf2::derive(pbkdf2::PBKDF2_HMAC_SHA1, rounds, salt, password.as_bytes(), &mut key);
        self.0.insert((salt.to_vec(), iterations), key);
        Ok(key)
    }
}

/// One authentication under way.
pub struct Exchange {
    bare: String,
    nonce: String,
    signature: String,
}

impl Exchange {
    /// `nonce` must differ for each exchange.
    pub fn new(user: &str, nonce: u64) -> Self {
        let nonce = format!("bench{nonce:016x}");
        Exchange { bare: format!("n={user},r={nonce}"), nonce, signature: String::new() }
    }

    /// client-first-message.
    pub fn first(&self) -> String {
        format!("n,,{}", self.bare)
    }

    /// client-final-message in answer to the base64 content of `<challenge/>`.
    pub fn answer(&mut self, challenge: &[u8], password: &str, salted: &mut Salted) -> Result<String> {
        let server = String::from_utf8(STANDARD.decode(challenge)?)?;
        let (mut nonce, mut salt, mut iterations) = ("", Vec::new(), 0);
        for part in server.split(',') {
            match part.split_once('=') {
                Some(("r", value)) => nonce = value,
                Some(("s", value)) => salt = STANDARD.decode(value)?,
                Some(("i", value)) => iterations = value.parse()?,
                _ => {}
            }
        }
        ensure!(nonce.starts_with(&self.nonce), "server nonce does not extend ours");
        let key = salted.key(password, &salt, iterations)?;
        let without_proof = format!("c=biws,r={nonce}");
        let message = format!("{},{server},{without_proof}", self.bare);

        let client_key = sign(&key, b"Client Key");
        let stored_key = digest::digest(&digest::SHA1_FOR_LEGACY_USE_ONLY, client_key.as_ref());
        let client_signature = sign(stored_key.as_ref(), message.as_bytes());
        let proof: Vec<u8> = client_key.as_ref().iter().zip(client_signature.as_ref()).map(|(a, b)| a ^ b).collect();
        let server_key = sign(&key, b"Server Key");
        self.signature = base64(sign(server_key.as_ref(), message.as_bytes()));
        Ok(format!("{without_proof},p={}", base64(proof)))
    }

    /// Checks the server's signature in the base64 content of `<success/>`.
    pub fn verify(&self, success: &[u8]) -> Result<()> {
        let last = String::from_utf8(STANDARD.decode(success)?)?;
        if last.strip_prefix("v=") != Some(&self.signature) {
            bail!("the server's SCRAM signature is wrong: {last}");
        }
        Ok(())
    }
}

fn sign(key: &[u8], message: &[u8]) -> hmac::Tag {
    hmac::sign(&hmac::Key::new(hmac::HMAC_SHA1_FOR_LEGACY_USE_ONLY, key), message)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rfc_5802_section_5_example_exchange() {
        let mut exchange = Exchange {
            bare: "n=user,r=fyko+d2lbbFgONRv9qkxdawL".into(),
            nonce: "fyko+d2lbbFgONRv9qkxdawL".into(),
            signature: String::new(),
        };
        let challenge = base64("r=fyko+d2lbbFgONRv9qkxdawL3rfcNHYJY1ZVvWVs7j,s=QSXCR+Q6sek8bf92,i=4096");
        let last = exchange.answer(challenge.as_bytes(), "pencil", &mut Salted::default()).unwrap();
        assert_eq!(last, "c=biws,r=fyko+d2lbbFgONRv9qkxdawL3rfcNHYJY1ZVvWVs7j,p=v0X8v3Bz2T0CJGbJQyF0X+HI4Ts=");
        exchange.verify(base64("v=rmF9pqV8S7suAoZWja4dJRkFsKQ=").as_bytes()).unwrap();
        assert!(exchange.verify(base64("v=AAAA").as_bytes()).is_err());
    }
}
