//! What the id of an entry looks like from outside (XEP-0313 3: "unpredictable and unique within the archive").
//!
//! Inside, an id is a moment of the house clock: ascending, and so a place in the log. Shown as it is, it would tell when
//! something was said and how much is said meanwhile, and the next ones could be guessed. So what leaves the house is the image
//! of the id under a permutation that only the house knows: nothing is stored for it, nothing can collide, and it can be read
//! back. The owner is part of it: what one archive shows says nothing about another, and ids of another archive lead nowhere.

use crate::store::{EntryId, OwnerId};

const ROUNDS: usize = 27;
/// 64 bits in base64url (RFC 4648 5), without padding.
const TEXT_BYTES: usize = 11;
const ALPHABET: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";

/// The permutation: Speck64/128 (Beaulieu et al., 2013), whitened with the image of the owner.
#[derive(Clone, Copy)]
pub struct IdSeal {
    secret: [u8; 16],
    keys: [u32; ROUNDS],
}

impl std::fmt::Debug for IdSeal {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("IdSeal")
    }
}

impl IdSeal {
    /// `secret` belongs to the data: with another one, clients would not find again what they know.
    pub fn new(secret: [u8; 16]) -> IdSeal {
        let word = |at: usize| u32::from_le_bytes([secret[at], secret[at + 1], secret[at + 2], secret[at + 3]]);
        let mut left = [word(4), word(8), word(12)];
        let mut keys = [word(0); ROUNDS];
        for round in 0..ROUNDS - 1 {
            let next = keys[round].wrapping_add(left[round % 3].rotate_right(8)) ^ round as u32;
            left[round % 3] = next;
            keys[round + 1] = keys[round].rotate_left(3) ^ next;
        }
        IdSeal { secret, keys }
    }

    /// What it is made of: for other things that nobody outside can make.
    pub fn secret(&self) -> [u8; 16] {
        self.secret
    }

    pub fn show(&self, owner: OwnerId, id: EntryId) -> String {
        let white = self.encrypt(owner.0);
        let sealed = self.encrypt(id.0 ^ white) ^ white;
        let text: [u8; TEXT_BYTES] = std::array::from_fn(|at| ALPHABET[digit(sealed, at)]);
        String::from_utf8_lossy(&text).into_owned()
    }

    /// `None`: that was never shown by anybody. `Some` may be an id that is not there.
    pub fn read(&self, owner: OwnerId, text: &str) -> Option<EntryId> {
        if text.len() != TEXT_BYTES {
            return None;
        }
        let mut wide: u128 = 0;
        for byte in text.bytes() {
            wide = wide << 6 | ALPHABET.iter().position(|letter| *letter == byte)? as u128;
        }
        // The last letter has two bits to spare: one id, one text.
        let sealed = u64::try_from(wide >> 2).ok().filter(|_| wide & 3 == 0)?;
        let white = self.encrypt(owner.0);
        Some(EntryId(self.decrypt(sealed ^ white) ^ white))
    }

    fn encrypt(&self, block: u64) -> u64 {
        let (mut x, mut y) = ((block >> 32) as u32, block as u32);
        for key in self.keys {
            x = x.rotate_right(8).wrapping_add(y) ^ key;
            y = y.rotate_left(3) ^ x;
        }
        u64::from(x) << 32 | u64::from(y)
    }

    fn decrypt(&self, block: u64) -> u64 {
        let (mut x, mut y) = ((block >> 32) as u32, block as u32);
        for key in self.keys.iter().rev() {
            y = (y ^ x).rotate_right(3);
            x = (x ^ key).wrapping_sub(y).rotate_left(8);
        }
        u64::from(x) << 32 | u64::from(y)
    }
}

/// Six bits of the 64, from the highest; the last six are four and two zeros.
fn digit(bits: u64, at: usize) -> usize {
    let wide = u128::from(bits) << 2;
    (wide >> (6 * (TEXT_BYTES - 1 - at)) & 63) as usize
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::BTreeSet;

    fn seal() -> IdSeal {
        IdSeal::new(*b"a house's secret")
    }

    /// Appendix C of "The Simon and Speck Families of Lightweight Block Ciphers".
    #[test]
    fn the_permutation_is_speck64_128() {
        let key = [0x0302_0100_u32, 0x0b0a_0908, 0x1312_1110, 0x1b1a_1918];
        let mut secret = [0; 16];
        for (bytes, word) in secret.chunks_exact_mut(4).zip(key) {
            bytes.copy_from_slice(&word.to_le_bytes());
        }
        let seal = IdSeal::new(secret);
        assert_eq!(seal.encrypt(0x3b72_6574_7475_432d), 0x8c6f_a548_454e_028b);
        assert_eq!(seal.decrypt(0x8c6f_a548_454e_028b), 0x3b72_6574_7475_432d);
    }

    #[test]
    fn s3_what_is_shown_can_be_read_back_and_is_short() {
        for id in [0, 1, 1_767_225_600_000_000, i64::MAX as u64, u64::MAX] {
            let text = seal().show(OwnerId(7), EntryId(id));
            assert_eq!((text.len(), seal().read(OwnerId(7), &text)), (11, Some(EntryId(id))), "{text}");
        }
    }

    #[test]
    fn s3_neighbours_have_nothing_in_common() {
        let ids = 1_767_225_600_000_000..1_767_225_600_001_000;
        let texts: Vec<String> = ids.map(|id| seal().show(OwnerId(7), EntryId(id))).collect();
        let beginnings: BTreeSet<&str> = texts.iter().map(|text| &text[..3]).collect();
        assert!(beginnings.len() > 950, "{} beginnings of 1,000", beginnings.len());
        assert!(!texts.is_sorted());
    }

    #[test]
    fn s3_one_archive_says_nothing_about_another() {
        let id = EntryId(1_767_225_600_000_000);
        let text = seal().show(OwnerId(7), id);
        assert_ne!(seal().show(OwnerId(8), id), text);
        assert_ne!(seal().read(OwnerId(8), &text), Some(id));
        assert_ne!(IdSeal::new(*b"another's secret").read(OwnerId(7), &text), Some(id));
    }

    #[test]
    fn d4_what_was_never_shown_is_no_id() {
        let shown = seal().show(OwnerId(7), EntryId(5));
        let (most, last) = shown.split_at(10);
        // The same bits with the spare ones set: not the same text.
        let at = ALPHABET.iter().position(|letter| last.as_bytes()[0] == *letter).expect("of the alphabet");
        let twin = format!("{most}{}", char::from(ALPHABET[at | 1]));
        for text in ["", "1767225600000000", "AAAAAAAAAA", "AAAAAAAAAAAA", "AAAAA AAAAA", "ÄÄÄÄÄA", "AAAAAAAAAA=", &twin] {
            assert_eq!(seal().read(OwnerId(7), text), None, "{text}");
        }
    }
}
