//! The three hash functions of SCRAM and the few operations on them.

use hmac::{Hmac, KeyInit, Mac};
use sha1::Sha1;
use sha2::{Digest, Sha256, Sha512};
use subtle::{Choice, ConditionallySelectable, ConstantTimeEq};
use zeroize::Zeroizing;

/// A hash function that SCRAM can be built on.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Hash {
    Sha1,
    Sha256,
    Sha512,
}

impl Hash {
    pub const ALL: [Hash; 3] = [Hash::Sha1, Hash::Sha256, Hash::Sha512];

    /// Length of a digest in bytes.
    pub fn size_bytes(self) -> usize {
        match self {
            Hash::Sha1 => 20,
            Hash::Sha256 => 32,
            Hash::Sha512 => 64,
        }
    }

    /// Its place in a `HashSet`.
    pub fn bit(self) -> u8 {
        match self {
            Hash::Sha1 => 0,
            Hash::Sha256 => 1,
            Hash::Sha512 => 2,
        }
    }

    /// The name in the IANA registry, as it stands in the SCRAM mechanism names.
    pub fn name(self) -> &'static str {
        match self {
            Hash::Sha1 => "SHA-1",
            Hash::Sha256 => "SHA-256",
            Hash::Sha512 => "SHA-512",
        }
    }

    pub(in crate::negotiate) fn digest(self, data: &[u8]) -> Octets {
        match self {
            Hash::Sha1 => Octets::copy_of(&Sha1::digest(data)),
            Hash::Sha256 => Octets::copy_of(&Sha256::digest(data)),
            Hash::Sha512 => Octets::copy_of(&Sha512::digest(data)),
        }
    }

    /// HMAC over the concatenation of `parts`.
    pub(in crate::negotiate) fn hmac(self, key: &[u8], parts: &[&[u8]]) -> Octets {
        match self {
            Hash::Sha1 => mac::<Hmac<Sha1>>(key, parts),
            Hash::Sha256 => mac::<Hmac<Sha256>>(key, parts),
            Hash::Sha512 => mac::<Hmac<Sha512>>(key, parts),
        }
    }

    /// `Hi()` of RFC 5802 section 2.2: PBKDF2 with one block of output. This is the expensive one.
    pub(in crate::negotiate) fn salted_password(self, password: &[u8], salt: &[u8], iterations: u32) -> Octets {
        let mut out = Octets::zero(self);
        let target = out.bytes.as_mut_slice();
        let target = target.split_at_mut(self.size_bytes()).0;
        match self {
            Hash::Sha1 => pbkdf2::pbkdf2_hmac::<Sha1>(password, salt, iterations, target),
            Hash::Sha256 => pbkdf2::pbkdf2_hmac::<Sha256>(password, salt, iterations, target),
            Hash::Sha512 => pbkdf2::pbkdf2_hmac::<Sha512>(password, salt, iterations, target),
        }
        out
    }
}

fn mac<M: Mac + KeyInit>(key: &[u8], parts: &[&[u8]]) -> Octets {
    let mut mac = <M as KeyInit>::new_from_slice(key).expect("HMAC takes a key of any length (RFC 2104)");
    for part in parts {
        mac.update(part);
    }
    Octets::copy_of(&mac.finalize().into_bytes())
}

const SIZE_BYTES_MAX: usize = 64;

/// A digest or key: at most 64 bytes, wiped when dropped, compared in constant time, never printed.
#[derive(Clone)]
pub(in crate::negotiate) struct Octets {
    bytes: Zeroizing<[u8; SIZE_BYTES_MAX]>,
    size: usize,
}

impl Octets {
    fn zero(hash: Hash) -> Self {
        Octets { bytes: Zeroizing::new([0; SIZE_BYTES_MAX]), size: hash.size_bytes() }
    }

    /// Copies at most 64 bytes; every caller hands over a digest.
    pub(super) fn copy_of(data: &[u8]) -> Self {
        let size = data.len().min(SIZE_BYTES_MAX);
        let mut bytes = Zeroizing::new([0; SIZE_BYTES_MAX]);
        for (to, from) in bytes.iter_mut().zip(data) {
            *to = *from;
        }
        Octets { bytes, size }
    }

    pub(in crate::negotiate) fn as_slice(&self) -> &[u8] {
        self.bytes.split_at(self.size).0
    }

    /// Byte-wise exclusive or with `other`, over the length of `self`.
    pub(super) fn xor(mut self, other: &[u8]) -> Self {
        for (to, from) in self.bytes.iter_mut().zip(other) {
            *to ^= *from;
        }
        self
    }

    /// `yes` if the choice is set, else `no`; both must have the same length.
    pub(super) fn select(no: &Self, yes: &Self, choice: Choice) -> Self {
        let mut out = no.clone();
        for (to, from) in out.bytes.iter_mut().zip(yes.bytes.iter()) {
            to.conditional_assign(from, choice);
        }
        out
    }
}

impl ConstantTimeEq for Octets {
    fn ct_eq(&self, other: &Self) -> Choice {
        self.as_slice().ct_eq(other.as_slice())
    }
}

impl std::fmt::Debug for Octets {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "[{} bytes]", self.size)
    }
}
