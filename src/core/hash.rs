//! The hashes that are stored (peer and tag columns of a log, and the shard of an entity), and the one that is not.

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
    column(hash)
}

/// The same for what is long, a message's content: eight bytes at a time, each multiplied into all 64 bits.
pub fn content<'a>(parts: impl IntoIterator<Item = &'a [u8]>) -> u64 {
    const FACTOR: u64 = 0x9e37_79b9_7f4a_7c15;
    let fold = |hash: u64, word: u64| {
        let wide = u128::from(hash ^ word) * u128::from(FACTOR);
        (wide as u64) ^ ((wide >> 64) as u64)
    };
    let mut hash = 0xcbf2_9ce4_8422_2325;
    for part in parts {
        let (words, rest) = part.as_chunks::<8>();
        for word in words {
            hash = fold(hash, u64::from_le_bytes(*word));
        }
        let mut last = [0; 8];
        last.iter_mut().zip(rest).for_each(|(to, from)| *to = *from);
        hash = fold(fold(hash, u64::from_le_bytes(last)), part.len() as u64);
    }
    column(fold(hash, FACTOR))
}

/// 0 means "no tag" and "no peer" in a log; the top bit stays clear because databases count in signed integers.
fn column(hash: u64) -> u64 {
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

    #[test]
    fn of_content_every_byte_its_place_and_where_a_part_ends_count() {
        let of = |parts: &[&[u8]]| super::content(parts.iter().copied());
        assert_eq!(of(&[b"juliet@house", b"1"]), 2_738_060_191_548_870_810, "stored: the same for ever");
        let mut seen = std::collections::BTreeSet::new();
        for len in 0..40 {
            assert!(seen.insert(of(&[&vec![0; len]])), "{len} zeros");
            for at in 0..len {
                let mut text = vec![0; len];
                text[at] = 1;
                assert!(seen.insert(of(&[&text])), "{at} of {len}");
            }
        }
        assert_ne!(of(&[b"a", b"bc"]), of(&[b"ab", b"c"]));
        assert_ne!(of(&[b"a", b""]), of(&[b"a"]));
    }
}
