//! When an account was last here: kept when its last session ends, with whatever else that turn writes.

use bytes::Bytes;
use iris_core::ask::Seen;
use iris_core::store::Shelf;

pub const SHELF: Shelf = Shelf::record("seen");

/// Begin and end, microseconds since 1970, big-endian.
pub fn encode(seen: Seen) -> Bytes {
    let mut out = Vec::with_capacity(16);
    out.extend_from_slice(&seen.login_us.to_be_bytes());
    out.extend_from_slice(&seen.end_us.to_be_bytes());
    Bytes::from(out)
}

pub fn decode(bytes: &Bytes) -> Option<Seen> {
    let (login, end) = bytes.split_at_checked(8)?;
    let number = |bytes: &[u8]| Some(u64::from_be_bytes(bytes.try_into().ok()?));
    Some(Seen { login_us: number(login)?, end_us: number(end)? })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_round_trips_and_nothing_else_decodes() {
        let seen = Seen { login_us: 7, end_us: u64::MAX };
        assert_eq!(decode(&encode(seen)), Some(seen));
        assert_eq!(decode(&Bytes::from_static(b"")), None);
        assert_eq!(decode(&Bytes::from_static(b"12345678123456789")), None);
    }
}
