//! The one hash that is stored (peer and tag columns of a log, and the shard of an entity), and the one that is not.

/// Of the maps that every stanza asks: seeded anew in each process, so that no peer can choose names that fall together, and a
/// tenth of what SipHash costs for an address.
pub type Seeded = foldhash::fast::RandomState;

/// FNV-1a over length-separated parts, folded through a finaliser; the same for ever, never 0, at most 63 bits. Two names may
/// share a hash, so whoever finds an entry by it compares the entry itself.
pub fn stable(parts: &[&[u8]]) -> u64 {
    let mut hash: u64 = 0xcbf2_9ce4_8422_2325;
    for part in parts {
        for byte in *part {
            hash = (hash ^ u64::from(*byte)).wrapping_mul(0x0000_0100_0000_01b3);
        }
        hash = (hash ^ 0xff).wrapping_mul(0x0000_0100_0000_01b3);
    }
    hash ^= hash >> 33;
    hash = hash.wrapping_mul(0xff51_afd7_ed55_8ccd);
    hash ^= hash >> 33;
    // 0 means "no tag" and "no peer" in a log; the top bit stays clear because databases count in signed integers.
    (hash >> 1).max(1)
}

#[cfg(test)]
mod tests {
    #[test]
    fn stable_hashes_never_change_and_never_are_zero() {
        assert_eq!(super::stable(&[b"juliet@house"]), super::stable(&[b"juliet@house"]));
        assert_ne!(super::stable(&[b"a", b"bc"]), super::stable(&[b"ab", b"c"]));
        assert_ne!(super::stable(&[]), 0);
    }
}
