//! Credentials on their way from one server to another (XEP-0227, section "SCRAM credentials"): what SCRAM keeps, hash function by
//! hash function, so that people keep their passwords although nobody knows them.

use std::fmt;

use super::credentials::{Credentials, ITERATIONS_MAX, ITERATIONS_MIN, Keys, SALT_SIZE_BYTES_MAX, SALT_SIZE_BYTES_MIN};
use super::hash::{Hash, Octets};

/// What SCRAM keeps for one hash function (RFC 5802 section 3). Not `Debug`: whoever has it can pretend to be the server, and
/// guess at the password.
#[derive(Clone, PartialEq, Eq)]
pub struct ScramRecord {
    pub hash: Hash,
    pub iterations: u32,
    pub salt: Vec<u8>,
    pub stored_key: Vec<u8>,
    pub server_key: Vec<u8>,
}

/// Why records from elsewhere cannot be used.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum RecordRefused {
    /// There is none.
    Missing,
    /// Two of one hash function.
    Twice(Hash),
    /// Fewer than RFC 7677 allows, or more than one login may cost.
    Iterations(Hash, u32),
    /// Shorter than 8 or longer than 64 bytes.
    Salt(Hash),
    /// StoredKey or ServerKey is not as long as the hash function's digests.
    Key(Hash),
}

impl fmt::Display for RecordRefused {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            RecordRefused::Missing => f.write_str("there are no SCRAM credentials"),
            RecordRefused::Twice(hash) => write!(f, "there are two records for SCRAM-{}", hash.name()),
            RecordRefused::Iterations(hash, count) => {
                write!(f, "SCRAM-{}: {count} iterations; {ITERATIONS_MIN} to {ITERATIONS_MAX} are possible", hash.name())
            }
            RecordRefused::Salt(hash) => {
                write!(f, "SCRAM-{}: a salt of {SALT_SIZE_BYTES_MIN} to {SALT_SIZE_BYTES_MAX} bytes is possible", hash.name())
            }
            RecordRefused::Key(hash) => write!(f, "SCRAM-{}: both keys have {} bytes", hash.name(), hash.size_bytes()),
        }
    }
}

impl std::error::Error for RecordRefused {}

impl Credentials {
    /// One record for each hash function that there are keys for.
    pub fn records(&self) -> Vec<ScramRecord> {
        let record = |hash| {
            let keys = self.keys(hash)?;
            Some(ScramRecord {
                hash,
                iterations: keys.iterations,
                salt: keys.salt.clone(),
                stored_key: keys.stored.as_slice().to_vec(),
                server_key: keys.server.as_slice().to_vec(),
            })
        };
        Hash::ALL.into_iter().filter_map(record).collect()
    }

    /// The other way round.
    ///
    /// # Errors
    /// The first record that cannot be used.
    pub fn from_records(records: &[ScramRecord]) -> Result<Credentials, RecordRefused> {
        if records.is_empty() {
            return Err(RecordRefused::Missing);
        }
        let mut keys: [Option<Keys>; 3] = [None, None, None];
        for record in records {
            let hash = record.hash;
            if !(ITERATIONS_MIN..=ITERATIONS_MAX).contains(&record.iterations) {
                return Err(RecordRefused::Iterations(hash, record.iterations));
            }
            if !(SALT_SIZE_BYTES_MIN..=SALT_SIZE_BYTES_MAX).contains(&record.salt.len()) {
                return Err(RecordRefused::Salt(hash));
            }
            if record.stored_key.len() != hash.size_bytes() || record.server_key.len() != hash.size_bytes() {
                return Err(RecordRefused::Key(hash));
            }
            let new = Keys {
                iterations: record.iterations,
                salt: record.salt.clone(),
                stored: Octets::copy_of(&record.stored_key),
                server: Octets::copy_of(&record.server_key),
            };
            let place = Hash::ALL.iter().position(|it| *it == hash).and_then(|at| keys.get_mut(at));
            if place.is_some_and(|place| place.replace(new).is_some()) {
                return Err(RecordRefused::Twice(hash));
            }
        }
        Ok(Credentials::of_keys(keys))
    }

    /// Keys that no password fits: an account that nobody can log in to before it gets a password. `random` fills a slice from a
    /// cryptographically secure source; who tries is answered as everybody is who guesses wrong.
    pub fn of_nobody(mut random: impl FnMut(&mut [u8]), iterations: u32) -> Credentials {
        let keys = Hash::ALL.map(|hash| {
            let (mut salt, mut stored, mut server) = ([0; super::SALT_SIZE_BYTES], [0; 64], [0; 64]);
            random(&mut salt);
            random(&mut stored);
            random(&mut server);
            let of = |bytes: &[u8; 64]| Octets::copy_of(bytes.get(..hash.size_bytes()).unwrap_or(bytes));
            let iterations = super::credentials::clamp_iterations(iterations);
            Some(Keys { iterations, salt: salt.to_vec(), stored: of(&stored), server: of(&server) })
        });
        Credentials::of_keys(keys)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn credentials() -> Credentials {
        Credentials::derive("pencil", |salt| salt.fill(7), ITERATIONS_MIN).expect("a password")
    }

    #[test]
    fn credentials_travel_without_their_password() {
        let records = credentials().records();
        assert_eq!(records.len(), 3);
        let there = Credentials::from_records(&records).expect("our own");
        assert!(there.verify_plain("pencil") && !there.verify_plain("Pencil"));
        assert_eq!(there.encode(), credentials().encode());
        // RFC 5802 knows only SHA-1: a record from an old server.
        let old = Credentials::from_records(&records[..1]).expect("one is enough");
        assert!(old.verify_plain("pencil"));
        assert_eq!(old.hashes().collect::<Vec<_>>(), [Hash::Sha1]);
        assert!(Credentials::decode(&old.encode()).is_ok());
    }

    #[test]
    fn records_out_of_bounds_are_refused_with_their_reason() {
        let good = credentials().records();
        let refused = |change: fn(&mut Vec<ScramRecord>)| {
            let mut records = good.clone();
            change(&mut records);
            Credentials::from_records(&records).map(drop).expect_err("refused")
        };
        assert_eq!(refused(Vec::clear), RecordRefused::Missing);
        assert_eq!(refused(|it| it[1].hash = Hash::Sha1), RecordRefused::Key(Hash::Sha1));
        assert_eq!(refused(|it| it[1] = it[0].clone()), RecordRefused::Twice(Hash::Sha1));
        assert_eq!(refused(|it| it[0].iterations = 4_095), RecordRefused::Iterations(Hash::Sha1, 4_095));
        assert_eq!(refused(|it| it[0].iterations = 1_000_001), RecordRefused::Iterations(Hash::Sha1, 1_000_001));
        assert_eq!(refused(|it| it[2].salt.truncate(7)), RecordRefused::Salt(Hash::Sha512));
        assert_eq!(refused(|it| it[2].stored_key.truncate(63)), RecordRefused::Key(Hash::Sha512));
        assert_eq!(refused(|it| it[0].server_key.push(0)), RecordRefused::Key(Hash::Sha1));
    }

    #[test]
    fn nobody_knows_the_password_of_an_account_without_one() {
        let nobody = Credentials::of_nobody(|bytes| bytes.fill(1), 10_000);
        assert!(!nobody.verify_plain(""), "the empty password");
        assert!(!nobody.verify_plain("pencil"));
        assert_eq!(nobody.hashes().count(), 3);
        assert!(Credentials::decode(&nobody.encode()).is_ok());
    }
}
