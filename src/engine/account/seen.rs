//! When an account was last here, and how often it came lately: kept when its last session ends, with whatever else that turn
//! writes.

use bytes::Bytes;
use iris_core::ask::Seen;
use iris_core::store::Shelf;

use super::pace::Pace;

/// Sessions that were begun, by the second.
pub type Logins = Pace<3_600>;

pub const SHELF: Shelf = Shelf::record("seen");

/// Begin and end, microseconds since 1970, big-endian; the logins.
pub fn encode(seen: Seen, logins: Logins) -> Bytes {
    let mut out = Vec::with_capacity(32);
    out.extend_from_slice(&seen.login_us.to_be_bytes());
    out.extend_from_slice(&seen.end_us.to_be_bytes());
    logins.encode(&mut out);
    Bytes::from(out)
}

pub fn decode(bytes: &[u8]) -> Option<(Seen, Logins)> {
    let (login, rest) = bytes.split_first_chunk::<8>()?;
    let (end, logins) = rest.split_first_chunk::<8>()?;
    let seen = Seen { login_us: u64::from_be_bytes(*login), end_us: u64::from_be_bytes(*end) };
    // A record of an earlier release ends here.
    let logins = if logins.is_empty() { Logins::default() } else { Logins::decode(logins)? };
    Some((seen, logins))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_round_trips_and_nothing_else_decodes() {
        let seen = Seen { login_us: 7, end_us: u64::MAX };
        let mut logins = Logins::default();
        logins.count(1_800_000_000);
        let bytes = encode(seen, logins);
        assert_eq!(decode(&bytes), Some((seen, logins)));
        assert_eq!(decode(&bytes[..16]), Some((seen, Logins::default())), "as it was written before");
        assert_eq!(decode(b""), None);
        assert_eq!(decode(b"12345678123456789"), None);
    }
}
