//! Names that nobody outside can make or undo: an HMAC (RFC 2104, SHA-256) under a secret of the data.

use sha2::{Digest, Sha256};

use crate::hex;

const BLOCK_BYTES: usize = 64;

#[derive(Clone)]
pub struct Keyed {
    inner: Sha256,
    outer: Sha256,
}

impl std::fmt::Debug for Keyed {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Keyed")
    }
}

impl Keyed {
    /// `secret` belongs to the data: with another one, the same things have other names.
    pub fn new(secret: &[u8; 16]) -> Keyed {
        let pad = |with: u8| {
            let mut block = [with; BLOCK_BYTES];
            block.iter_mut().zip(secret).for_each(|(byte, secret)| *byte ^= secret);
            Sha256::new_with_prefix(block)
        };
        Keyed { inner: pad(0x36), outer: pad(0x5c) }
    }

    /// The name of these parts, in this order: 32 hexadecimal digits (128 of the 256 bits).
    pub fn name(&self, parts: &[&str]) -> String {
        let mut inner = self.inner.clone();
        for part in parts {
            // Each with its length: no two lists of parts are the same bytes.
            inner.update((part.len() as u64).to_be_bytes());
            inner.update(part.as_bytes());
        }
        let mut outer = self.outer.clone();
        outer.update(inner.finalize());
        hex::write(&outer.finalize()[..16])
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_depends_on_every_part_and_on_the_secret() {
        let keyed = Keyed::new(b"a house's secret");
        let name = keyed.name(&["room@house", "romeo@house"]);
        assert_eq!(name.len(), 32);
        assert_eq!(name, keyed.name(&["room@house", "romeo@house"]));
        assert_ne!(name, keyed.name(&["room@houserome", "o@house"]));
        assert_ne!(name, Keyed::new(b"another's secret").name(&["room@house", "romeo@house"]));
    }

    /// RFC 4231 test case 2 has a short key; the framing of parts is ours, so only the construction is compared.
    #[test]
    fn it_is_hmac() {
        let mut key = [0; 16];
        key[..4].copy_from_slice(b"Jefe");
        let keyed = Keyed::new(&key);
        let mut inner = keyed.inner.clone();
        inner.update(b"what do ya want for nothing?");
        let mut outer = keyed.outer.clone();
        outer.update(inner.finalize());
        let text = hex::write(&outer.finalize());
        assert_eq!(text, "5bdcc146bf60754e6a042426089575c75a003f089d2739839dec58b964ec3843");
    }
}
