//! What keys the accounts of each domain have, counted: a stream must offer its mechanisms before it knows for whom.

use std::collections::HashMap;
use std::sync::atomic::AtomicU64;
use std::sync::atomic::Ordering::Relaxed;

/// Hash functions that there are SCRAM keys for: one bit each, numbered by whoever reads credentials.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct HashSet(u8);

const SETS: usize = 8;

impl HashSet {
    pub const NONE: HashSet = HashSet(0);
    pub const ALL: HashSet = HashSet(0b111);

    pub fn with(self, bit: u8) -> HashSet {
        HashSet(self.0 | (1 << bit) & HashSet::ALL.0)
    }

    pub fn has(self, bit: u8) -> bool {
        self.0 & (1 << bit) != 0
    }
}

/// Accounts by the set of their hash functions, domain by domain. Written by the accounts after their commit, read by every stream.
#[derive(Debug, Default)]
pub struct Census(HashMap<String, [AtomicU64; SETS]>);

impl Census {
    pub fn new(domains: impl IntoIterator<Item = String>) -> Census {
        Census(domains.into_iter().map(|domain| (domain, Default::default())).collect())
    }

    /// An account of `domain` had these keys, and has those. `None`: there is no account.
    pub fn change(&self, domain: &str, before: Option<HashSet>, after: Option<HashSet>) {
        let Some(counts) = self.0.get(domain) else { return };
        let count = |set: HashSet| counts.get(usize::from(set.0));
        if let Some(count) = before.and_then(count) {
            // Held at 0: a number that has wrapped would be everybody's.
            let _ = count.fetch_update(Relaxed, Relaxed, |number| Some(number.saturating_sub(1)));
        }
        if let Some(count) = after.and_then(count) {
            count.fetch_add(1, Relaxed);
        }
    }

    pub fn of(&self, domain: &str) -> Kinds {
        let counts = self.0.get(domain);
        Kinds(std::array::from_fn(|set| counts.and_then(|counts| counts.get(set)).map_or(0, |count| count.load(Relaxed))))
    }
}

/// How many accounts of one domain have keys for which hash functions.
#[derive(Clone, Copy, Debug)]
pub struct Kinds([u64; SETS]);

impl Kinds {
    /// What all accounts have, if they all have the same; everything if there are no accounts.
    pub fn alike(&self) -> Option<HashSet> {
        let mut sets = self.sets();
        match (sets.next(), sets.next()) {
            (None, _) => Some(HashSet::ALL),
            (Some((set, _)), None) => Some(set),
            _ => None,
        }
    }

    /// What every account has keys for. If there is no such thing, everything: then nothing is better for all.
    pub fn common(&self) -> HashSet {
        let common = self.sets().fold(HashSet::ALL.0, |common, (set, _)| common & set.0);
        if common == 0 { HashSet::ALL } else { HashSet(common) }
    }

    /// One set, each as probable as an account that has it, chosen by `draw`. The same `draw` gives the same set as long as the
    /// accounts are what they are.
    pub fn drawn(&self, draw: u64) -> HashSet {
        let total: u64 = self.sets().map(|(_, count)| count).sum();
        let mut at = ((u128::from(draw) * u128::from(total)) >> 64) as u64;
        for (set, count) in self.sets() {
            match at.checked_sub(count) {
                Some(rest) => at = rest,
                None => return set,
            }
        }
        HashSet::ALL
    }

    /// The sets that somebody has, each with the number of its accounts. Whoever has no keys cannot come in by any of them.
    fn sets(&self) -> impl Iterator<Item = (HashSet, u64)> + '_ {
        let counted = self.0.iter().zip(0u8..).skip(1);
        counted.filter(|(count, _)| **count > 0).map(|(count, set)| (HashSet(set), *count))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const OLD: HashSet = HashSet(0b001);

    fn census(old: u64, whole: u64) -> Census {
        let census = Census::new(["a.test".to_owned()]);
        (0..old).for_each(|_| census.change("a.test", None, Some(OLD)));
        (0..whole).for_each(|_| census.change("a.test", None, Some(HashSet::ALL)));
        census
    }

    #[test]
    fn accounts_that_are_alike_need_no_question() {
        assert_eq!(census(0, 0).of("a.test").alike(), Some(HashSet::ALL));
        assert_eq!(census(0, 9).of("a.test").alike(), Some(HashSet::ALL));
        assert_eq!(census(9, 0).of("a.test").alike(), Some(OLD));
        assert_eq!(census(1, 9).of("a.test").alike(), None);
        assert_eq!(census(1, 9).of("a.test").common(), OLD);
        assert_eq!(census(1, 9).of("b.test").alike(), Some(HashSet::ALL), "nobody's domain");
        let census = census(1, 9);
        census.change("a.test", Some(OLD), Some(HashSet::ALL));
        assert_eq!(census.of("a.test").alike(), Some(HashSet::ALL), "the last old one was upgraded");
        census.change("a.test", Some(OLD), None);
        assert_eq!(census.of("a.test").alike(), Some(HashSet::ALL), "a count never goes below nothing");
        let strange = Census::new(["a.test".to_owned()]);
        strange.change("a.test", None, Some(OLD));
        strange.change("a.test", None, Some(HashSet(0b010)));
        assert_eq!(strange.of("a.test").common(), HashSet::ALL, "nothing is common: nothing is better");
    }

    #[test]
    fn a_draw_is_as_probable_as_the_accounts_are_many() {
        let kinds = census(3, 7).of("a.test");
        let old = (0..1_000u64).filter(|n| kinds.drawn(n * (u64::MAX / 1_000)) == OLD).count();
        assert!((299..=301).contains(&old), "{old}");
        assert_eq!(kinds.drawn(u64::MAX), HashSet::ALL);
        assert_eq!(kinds.drawn(0), OLD);
    }
}
