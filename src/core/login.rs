//! The record that makes a name an account: may it log in, and with what keys.

use crate::store::Shelf;
use bytes::Bytes;

mod census;
pub use census::{Census, HashSet, Kinds};

/// One record per account. `credentials` is `negotiate::sasl::Credentials`, encoded: no password is ever here.
pub const SHELF: Shelf = Shelf::record("account");

/// One record instead of an account: it has ended, and not everybody knows (`Doors::farewells`).
pub const FAREWELL: Shelf = Shelf::record("account-farewell");

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Login {
    pub enabled: bool,
    /// Microseconds since 1970.
    pub created_us: u64,
    /// Since when it opens to what it opens to now: another password, or a time without access, is another login. What somebody has
    /// proved of an earlier one counts for nothing (security B18).
    pub since_us: u64,
    pub credentials: Bytes,
}

const VERSION: u8 = 2;

impl Login {
    pub fn encode(&self) -> Bytes {
        let mut out = Vec::with_capacity(18 + self.credentials.len());
        out.push(VERSION);
        out.push(u8::from(self.enabled));
        out.extend_from_slice(&self.created_us.to_be_bytes());
        out.extend_from_slice(&self.since_us.to_be_bytes());
        out.extend_from_slice(&self.credentials);
        Bytes::from(out)
    }

    /// `None`: not a record we wrote. The account can then not log in, and says so in the log.
    pub fn decode(bytes: &Bytes) -> Option<Login> {
        let (&version, &enabled) = (bytes.first()?, bytes.get(1)?);
        let number = |at: usize| Some(u64::from_be_bytes(bytes.get(at..at + 8)?.try_into().ok()?));
        let created_us = number(2)?;
        let (since_us, keys_at) = match version {
            // As first written.
            1 => (created_us, 10),
            VERSION => (number(10)?, 18),
            _ => return None,
        };
        (enabled <= 1).then(|| Login { enabled: enabled == 1, created_us, since_us, credentials: bytes.slice(keys_at..) })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_login_record_round_trips_and_nothing_else_decodes() {
        let login = Login { enabled: true, created_us: 7, since_us: 9, credentials: Bytes::from_static(b"keys") };
        assert_eq!(Login::decode(&login.encode()), Some(login.clone()));
        assert_eq!(Login::decode(&Bytes::from_static(b"\x01\x01\0\0\0\0\0\0\0\x07keys")), Some(Login { since_us: 7, ..login }));
        assert_eq!(Login::decode(&Bytes::from_static(b"")), None);
        assert_eq!(Login::decode(&Bytes::from_static(b"\x02\x0112345678")), None);
        assert_eq!(Login::decode(&Bytes::from_static(b"\x01\x0712345678")), None);
    }
}
