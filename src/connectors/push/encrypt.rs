//! RFC 8291: a message that only the browser reads, in the coding `aes128gcm` of RFC 8188, one record.

use aws_lc_rs::aead::{AES_128_GCM, Aad, LessSafeKey, Nonce, UnboundKey};
use aws_lc_rs::agreement::{ECDH_P256, PrivateKey, UnparsedPublicKey, agree};
use aws_lc_rs::hmac::{HMAC_SHA256, Key, sign};
use aws_lc_rs::rand;
use iris_core::ports::WebPush;

/// An uncompressed point of P-256.
const POINT_BYTES: usize = 65;
/// RFC 8291 3.2.
const AUTH_BYTES: usize = 16;
const SALT_BYTES: usize = 16;
/// RFC 8291 4: push services take 4096 bytes; what is left of it for the message (RFC 8188 2: head, tag and delimiter).
const RECORD_BYTES: u32 = 4_096;
pub const PAYLOAD_BYTES_MAX: usize = RECORD_BYTES as usize - (SALT_BYTES + 4 + 1 + POINT_BYTES) - 16 - 1;

/// The body of the request. `None`: the subscription's key is none, or the message too long.
pub fn encrypt(push: &WebPush) -> Option<Vec<u8>> {
    let mut salt = [0; SALT_BYTES];
    rand::fill(&mut salt).ok()?;
    encrypt_with(push, &PrivateKey::generate(&ECDH_P256).ok()?, &salt)
}

fn encrypt_with(push: &WebPush, ours: &PrivateKey, salt: &[u8; SALT_BYTES]) -> Option<Vec<u8>> {
    if push.payload.len() > PAYLOAD_BYTES_MAX || push.p256dh.len() != POINT_BYTES || push.auth.len() != AUTH_BYTES {
        return None;
    }
    let public = ours.compute_public_key().ok()?;
    // 3.1 and 3.3: "HKDF-SHA256", each step of which is one HMAC here, because nothing longer than a hash is needed.
    let theirs = UnparsedPublicKey::new(&ECDH_P256, &push.p256dh);
    let prk = agree(ours, theirs, (), |secret| Ok(hmac(&push.auth, &[secret]))).ok()?;
    let ikm = hmac(&prk, &[b"WebPush: info\0", &push.p256dh, public.as_ref(), &[1]]);
    let prk = hmac(salt, &[&ikm]);
    let key = hmac(&prk, &[b"Content-Encoding: aes128gcm\0\x01"]);
    let nonce = hmac(&prk, &[b"Content-Encoding: nonce\0\x01"]);

    // RFC 8188 2: a padding delimiter of 2 says that it is the last record.
    let mut record = push.payload.to_vec();
    record.push(2);
    let key = LessSafeKey::new(UnboundKey::new(&AES_128_GCM, key.get(..16)?).ok()?);
    let nonce = Nonce::try_assume_unique_for_key(nonce.get(..12)?).ok()?;
    key.seal_in_place_append_tag(nonce, Aad::empty(), &mut record).ok()?;

    let mut body = Vec::with_capacity(SALT_BYTES + 5 + POINT_BYTES + record.len());
    body.extend_from_slice(salt);
    body.extend_from_slice(&RECORD_BYTES.to_be_bytes());
    body.push(POINT_BYTES as u8);
    body.extend_from_slice(public.as_ref());
    body.extend_from_slice(&record);
    Some(body)
}

fn hmac(key: &[u8], parts: &[&[u8]]) -> [u8; 32] {
    let tag = sign(&Key::new(HMAC_SHA256, key), &parts.concat());
    let mut bytes = [0; 32];
    bytes.iter_mut().zip(tag.as_ref()).for_each(|(to, from)| *to = *from);
    bytes
}

#[cfg(test)]
mod tests {
    use super::*;
    use base64::Engine;
    use base64::prelude::BASE64_URL_SAFE_NO_PAD;
    use std::time::Duration;

    fn bytes(text: &str) -> Vec<u8> {
        BASE64_URL_SAFE_NO_PAD.decode(text).expect("base64url")
    }

    fn push(payload: &[u8]) -> WebPush {
        WebPush {
            endpoint: "https://push.example.net/push/JzLQ3raZJfFBR0aqvOMsLrt54w4rJUsV".into(),
            p256dh: bytes("BCVxsr7N_eNgVRqvHtD0zTZsEc6-VV-JvLexhqUzORcxaOzi6-AYWXvTBHm4bjyPjs7Vd8pZGH6SRpkNtoIAiw4"),
            auth: bytes("BTBZMqHH6r4Tts7J_aSIgg"),
            payload: bytes::Bytes::copy_from_slice(payload),
            ttl: Duration::from_secs(10),
            urgent: false,
            topic: None,
            contact: "mailto:a@b.test".into(),
        }
    }

    #[test]
    fn rfc8291_5_the_example_of_the_text() {
        let ours =
            PrivateKey::from_private_key(&ECDH_P256, &bytes("yfWPiYE-n46HLnH0KqZOF1fJJU3MYrct3AELtAQ-oRw")).expect("a key");
        let salt: [u8; 16] = bytes("DGv6ra1nlYgDCS1FRnbzlw").try_into().expect("16 bytes");
        let body = encrypt_with(&push(b"When I grow up, I want to be a watermelon"), &ours, &salt).expect("a body");
        assert_eq!(
            BASE64_URL_SAFE_NO_PAD.encode(body),
            "DGv6ra1nlYgDCS1FRnbzlwAAEABBBP4z9KsN6nGRTbVYI_c7VJSPQTBtkgcy27mlmlMoZIIgDll6e3vCYLocInmYWAmS6TlzAC8wEqKK6PBru3jl7A_yl95bQpu6\
             cVPTpK4Mqgkf1CXztLVBSt2Ks3oZwbuwXPXLWyouBWLVWGNWQexSgSxsj_Qulcy4a-fN"
        );
    }

    #[test]
    fn rfc8291_4_what_is_too_long_and_keys_that_are_none_are_refused() {
        let longest = encrypt(&push(&[b'x'; PAYLOAD_BYTES_MAX])).expect("a body");
        assert_eq!(longest.len(), 4_096);
        assert!(encrypt(&push(&[b'x'; PAYLOAD_BYTES_MAX + 1])).is_none());
        for (p256dh, auth) in [
            (vec![4; POINT_BYTES], vec![0; 16]),
            (vec![0; POINT_BYTES], vec![0; 16]),
            (Vec::new(), vec![0; 16]),
            (push(b"").p256dh, vec![0; 15]),
        ] {
            assert!(encrypt(&WebPush { p256dh, auth, ..push(b"x") }).is_none());
        }
        assert_ne!(encrypt(&push(b"x")), encrypt(&push(b"x")), "a key and a salt of its own for each message");
    }
}
