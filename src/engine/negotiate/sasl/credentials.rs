//! A user's password as it lies at rest: per hash function a salt, an iteration count, StoredKey and ServerKey
//! (RFC 5802 section 3). Neither the password nor SaltedPassword is ever kept.

use std::fmt;

use iris_core::login::HashSet;
use subtle::{Choice, ConstantTimeEq};
use zeroize::Zeroizing;

use super::hash::{Hash, Octets};

/// New salts have this many random bytes (XEP-0438: at least 16).
pub const SALT_SIZE_BYTES: usize = 16;
/// XEP-0438's minimum for new passwords, and our default.
pub const ITERATIONS_DEFAULT: u32 = 10_000;
/// RFC 5802 section 5.1 and RFC 7677 section 4: no less than 4096. Imported records may have that.
pub const ITERATIONS_MIN: u32 = 4_096;
/// More would let one PLAIN login, or one client, calculate for seconds.
pub const ITERATIONS_MAX: u32 = 1_000_000;

pub(super) const SALT_SIZE_BYTES_MIN: usize = 8;
pub(super) const SALT_SIZE_BYTES_MAX: usize = 64;
/// A password longer than this is refused before any work is spent on it.
const PASSWORD_SIZE_BYTES_MAX: usize = 1_024;

/// Everything needed to check a user's password, and nothing that reveals it.
#[derive(Clone)]
pub struct Credentials {
    keys: [Option<Keys>; 3],
}

/// What SCRAM keeps for one hash function.
#[derive(Clone, Debug)]
pub(super) struct Keys {
    pub(super) iterations: u32,
    pub(super) salt: Vec<u8>,
    pub(super) stored: Octets,
    pub(super) server: Octets,
}

/// Why a password cannot be used.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum PasswordRefused {
    /// Empty, or nothing is left of it after SASLprep (RFC 4616 section 2 forbids that).
    Empty,
    /// More than 1,024 bytes.
    TooLong,
    /// It contains characters that SASLprep (RFC 4013) does not allow in a stored string.
    ForbiddenCharacter,
}

impl fmt::Display for PasswordRefused {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Empty => "the password is empty",
            Self::TooLong => "the password is longer than 1,024 bytes",
            Self::ForbiddenCharacter => "the password contains a character that is not allowed",
        })
    }
}

impl std::error::Error for PasswordRefused {}

/// A record that [`Credentials::decode`] could not read. The holder of such an account must be told
/// temporary-auth-failure, not that the password is wrong.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct CorruptCredentials;

impl fmt::Display for CorruptCredentials {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("the stored credentials are damaged or of an unknown version")
    }
}

impl std::error::Error for CorruptCredentials {}

impl Credentials {
    /// Derives the keys for all three hash functions, each with its own salt (XEP-0438: per user *and* mechanism).
    ///
    /// Pure computation, several milliseconds to tens of them: call it on a side thread. `random` fills a slice from a
    /// cryptographically secure source. `iterations` is held between [`ITERATIONS_MIN`] and [`ITERATIONS_MAX`].
    pub fn derive(password: &str, mut random: impl FnMut(&mut [u8]), iterations: u32) -> Result<Self, PasswordRefused> {
        let password = prepare(password)?;
        let iterations = clamp_iterations(iterations);
        let keys = Hash::ALL.map(|hash| {
            let mut salt = [0; SALT_SIZE_BYTES];
            random(&mut salt);
            Some(Keys::derive(hash, &password, &salt, iterations))
        });
        Ok(Credentials { keys })
    }

    /// At least one of them is there.
    pub(super) fn of_keys(keys: [Option<Keys>; 3]) -> Credentials {
        Credentials { keys }
    }

    /// The hash functions for which keys exist; a record from another server may have only some.
    pub fn hashes(&self) -> impl Iterator<Item = Hash> + '_ {
        Hash::ALL.into_iter().filter(|hash| self.has(*hash))
    }

    pub fn has(&self, hash: Hash) -> bool {
        self.keys(hash).is_some()
    }

    /// As it would have come from a server with one hash function.
    #[cfg(test)]
    pub(in crate::negotiate) fn only(&self, hash: Hash) -> Self {
        let keep = |keys: &Option<Keys>, of: Hash| keys.clone().filter(|_| of == hash);
        let [sha1, sha256, sha512] = &self.keys;
        Credentials { keys: [keep(sha1, Hash::Sha1), keep(sha256, Hash::Sha256), keep(sha512, Hash::Sha512)] }
    }

    /// The hash functions of an encoded record; none if it is damaged.
    pub fn set_of(record: &[u8]) -> HashSet {
        let credentials = read(record);
        let hashes = credentials.iter().flat_map(|credentials| credentials.hashes());
        hashes.fold(HashSet::NONE, |set, hash| set.with(hash.bit()))
    }

    /// Should the keys be derived anew when we see the password: because a hash function is missing or the iteration count is
    /// below `iterations`?
    pub fn is_weaker_than(&self, iterations: u32) -> bool {
        let weak = |keys: &Option<Keys>| keys.as_ref().is_none_or(|k| k.iterations < iterations);
        self.keys.iter().any(weak)
    }

    /// The same password as new ones are kept, when it is at hand and was found to be the right one. Keys that are as good
    /// already stay: clients remember what belongs to their salts. `None`: nothing would get better.
    pub(super) fn strengthened(&self, password: &str, mut random: impl FnMut(&mut [u8]), iterations: u32) -> Option<Self> {
        if !self.is_weaker_than(iterations) {
            return None;
        }
        let password = prepare(password).ok()?;
        let mut all = self.clone();
        for (hash, keys) in Hash::ALL.into_iter().zip(&mut all.keys) {
            if keys.as_ref().is_none_or(|keys| keys.iterations < iterations) {
                let mut salt = [0; SALT_SIZE_BYTES];
                random(&mut salt);
                *keys = Some(Keys::derive(hash, &password, &salt, iterations));
            }
        }
        Some(all)
    }

    /// The same password under one more hash function: its SaltedPassword (RFC 5802 section 3), as the client has made it for
    /// this salt and count (XEP-0480). `None`: that is no such thing, or there are keys for it already.
    pub fn with_salted(&self, hash: Hash, salt: &[u8], iterations: u32, salted: &[u8]) -> Option<Self> {
        let fits = salted.len() == hash.size_bytes() && (SALT_SIZE_BYTES_MIN..=SALT_SIZE_BYTES_MAX).contains(&salt.len());
        let mut all = self.clone();
        let place = all.keys.get_mut(usize::from(number(hash) - 1))?;
        if !fits || place.is_some() {
            return None;
        }
        *place = Some(Keys::of_salted(hash, salted, salt, clamp_iterations(iterations)));
        Some(all)
    }

    /// Does the password match? Constant time in the keys; costs one PBKDF2, so call it on a side thread.
    pub fn verify_plain(&self, password: &str) -> bool {
        let Some((hash, keys)) = self.for_plain() else {
            return false;
        };
        keys.matches_password(hash, password).into()
    }

    /// The keys that a PLAIN password is compared with. SHA-256 first because most processors calculate it in hardware;
    /// which one is used says nothing about how well the others are protected.
    pub(super) fn for_plain(&self) -> Option<(Hash, &Keys)> {
        let order = [PLAIN_HASH, Hash::Sha512, Hash::Sha1];
        order.into_iter().find_map(|h| Some((h, self.keys(h)?)))
    }

    pub(super) fn keys(&self, hash: Hash) -> Option<&Keys> {
        let [sha1, sha256, sha512] = &self.keys;
        match hash {
            Hash::Sha1 => sha1.as_ref(),
            Hash::Sha256 => sha256.as_ref(),
            Hash::Sha512 => sha512.as_ref(),
        }
    }

    /// A versioned byte form for a database record, about 330 bytes: version, then per hash function its number, the
    /// iterations (big endian), the salt with its length, StoredKey and ServerKey; at the end eight bytes of SHA-256
    /// over all of it, so that a damaged record is not taken for a wrong password.
    pub fn encode(&self) -> Vec<u8> {
        let mut out = vec![VERSION];
        for hash in Hash::ALL {
            let Some(keys) = self.keys(hash) else {
                continue;
            };
            // Salts are held to at most 64 bytes wherever `Keys` are made.
            let salt_size = u8::try_from(keys.salt.len()).unwrap_or(u8::MAX);
            out.push(number(hash));
            out.extend_from_slice(&keys.iterations.to_be_bytes());
            out.push(salt_size);
            out.extend_from_slice(&keys.salt);
            out.extend_from_slice(keys.stored.as_slice());
            out.extend_from_slice(keys.server.as_slice());
        }
        let check = checksum(&out);
        out.extend_from_slice(&check);
        out
    }

    /// Reads what [`Credentials::encode`] wrote. Refuses unknown versions, damaged and truncated records, trailing bytes,
    /// a hash function twice, none at all, and parameters out of bounds.
    pub fn decode(record: &[u8]) -> Result<Self, CorruptCredentials> {
        read(record).ok_or(CorruptCredentials)
    }
}

/// Never the salts, let alone the keys: this ends in logs.
impl fmt::Debug for Credentials {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_list().entries(self.hashes().map(Hash::name)).finish()
    }
}

impl Keys {
    /// RFC 5802 section 3; `password` is already prepared.
    pub(super) fn derive(hash: Hash, password: &str, salt: &[u8], iterations: u32) -> Self {
        let salted = hash.salted_password(password.as_bytes(), salt, iterations);
        Keys::of_salted(hash, salted.as_slice(), salt, iterations)
    }

    fn of_salted(hash: Hash, salted: &[u8], salt: &[u8], iterations: u32) -> Self {
        let client = hash.hmac(salted, &[b"Client Key"]);
        Keys {
            iterations,
            salt: salt.to_vec(),
            stored: hash.digest(client.as_slice()),
            server: hash.hmac(salted, &[b"Server Key"]),
        }
    }

    /// One PBKDF2 whatever the password looks like: one that SASLprep refuses costs as much as a wrong one.
    pub(super) fn matches_password(&self, hash: Hash, password: &str) -> Choice {
        let prepared = prepare(password);
        let usable = Choice::from(u8::from(prepared.is_ok()));
        let prepared = prepared.unwrap_or_default();
        let derived = Keys::derive(hash, &prepared, &self.salt, self.iterations);
        derived.stored.ct_eq(&self.stored) & usable
    }
}

/// The hash function a PLAIN password is checked with when there is a choice, and for people who do not exist.
pub(super) const PLAIN_HASH: Hash = Hash::Sha256;

pub(super) fn clamp_iterations(iterations: u32) -> u32 {
    iterations.clamp(ITERATIONS_MIN, ITERATIONS_MAX)
}

/// Can this be a password?
///
/// # Errors
/// Why not.
pub fn check_password(password: &str) -> Result<(), PasswordRefused> {
    prepare(password).map(drop)
}

/// SASLprep as a *stored* string (RFC 5802 section 2.2), so unassigned code points are refused.
fn prepare(password: &str) -> Result<Zeroizing<String>, PasswordRefused> {
    if password.len() > PASSWORD_SIZE_BYTES_MAX {
        return Err(PasswordRefused::TooLong);
    }
    let prepared = stringprep::saslprep(password).map_err(|_| PasswordRefused::ForbiddenCharacter)?;
    if prepared.is_empty() {
        return Err(PasswordRefused::Empty);
    }
    Ok(Zeroizing::new(prepared.into_owned()))
}

const VERSION: u8 = 1;
const CHECKSUM_SIZE_BYTES: usize = 8;

fn number(hash: Hash) -> u8 {
    match hash {
        Hash::Sha1 => 1,
        Hash::Sha256 => 2,
        Hash::Sha512 => 3,
    }
}

fn checksum(record: &[u8]) -> [u8; CHECKSUM_SIZE_BYTES] {
    let digest = Hash::Sha256.digest(record);
    digest.as_slice().first_chunk().copied().unwrap_or_default()
}

fn read(record: &[u8]) -> Option<Credentials> {
    let (body, check) = record.split_last_chunk::<CHECKSUM_SIZE_BYTES>()?;
    if checksum(body) != *check {
        return None;
    }
    let (&version, mut rest) = body.split_first()?;
    if version != VERSION || rest.is_empty() {
        return None;
    }
    let mut keys = [None, None, None];
    while let Some((&kind, after)) = rest.split_first() {
        let hash = Hash::ALL.into_iter().find(|hash| number(*hash) == kind)?;
        let (found, after) = read_keys(hash, after)?;
        let place = keys.get_mut(usize::from(kind.checked_sub(1)?))?;
        if place.replace(found).is_some() {
            return None;
        }
        rest = after;
    }
    Some(Credentials { keys })
}

fn read_keys(hash: Hash, record: &[u8]) -> Option<(Keys, &[u8])> {
    let (iterations, rest) = record.split_first_chunk()?;
    let iterations = u32::from_be_bytes(*iterations);
    let (&salt_size, rest) = rest.split_first()?;
    let salt_size = usize::from(salt_size);
    if !(ITERATIONS_MIN..=ITERATIONS_MAX).contains(&iterations)
        || !(SALT_SIZE_BYTES_MIN..=SALT_SIZE_BYTES_MAX).contains(&salt_size)
    {
        return None;
    }
    let (salt, rest) = rest.split_at_checked(salt_size)?;
    let (stored, rest) = rest.split_at_checked(hash.size_bytes())?;
    let (server, rest) = rest.split_at_checked(hash.size_bytes())?;
    let keys = Keys { iterations, salt: salt.to_vec(), stored: Octets::copy_of(stored), server: Octets::copy_of(server) };
    Some((keys, rest))
}

#[cfg(test)]
pub(super) fn single(hash: Hash, keys: Keys) -> Credentials {
    Credentials { keys: Hash::ALL.map(|h| (h == hash).then(|| keys.clone())) }
}
