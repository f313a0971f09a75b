//! A run: entries of one log, ascending by id, as one row of the index on disk holds them.
//!
//! Each takes 24 bytes: id, peer and tag, little-endian. The width is fixed so that a run is extended as bytes and cut anywhere; two of
//! the three are hashes, which no coding makes shorter.

use super::schema::entry_sum;
use super::tail::{LogKey, TailEntry};

/// A run that has so many entries is not extended. Two such rows fit on a page of 4 KiB. Readers take a run of any length; the tests of
/// this crate make shorter ones, so that their logs have many.
pub(super) const RUN_MAX: usize = if cfg!(test) { 24 } else { 80 };

type Slot = [[u8; 8]; 3];

#[derive(Clone, Copy)]
pub(super) struct Run<'a>(&'a [Slot]);

impl<'a> Run<'a> {
    /// None: not what was written. One flipped bit could hide dozens of entries or put them out of order.
    pub(super) fn checked(log: LogKey, first: i64, sum: i64, bytes: &'a [u8]) -> Option<Run<'a>> {
        Some(Run::of(bytes))
            .filter(|_| i64::from(run_sum(log, first, bytes)) == sum && bytes.len().is_multiple_of(size_of::<Slot>()))
    }

    pub(super) fn of(bytes: &'a [u8]) -> Run<'a> {
        Run(bytes.as_chunks().0.as_chunks().0)
    }

    pub(super) fn len(self) -> usize {
        self.0.len()
    }

    pub(super) fn last(self) -> Option<TailEntry> {
        self.0.last().map(entry)
    }

    /// Those with ids from `low` to `high`.
    pub(super) fn within(self, low: i64, high: i64) -> Run<'a> {
        let start = self.0.partition_point(|slot| entry(slot).id < low);
        let end = self.0.partition_point(|slot| entry(slot).id <= high);
        Run(self.0.get(start..end).unwrap_or_default())
    }

    pub(super) fn iter(self) -> impl DoubleEndedIterator<Item = TailEntry> + use<'a> {
        self.0.iter().map(entry)
    }
}

/// Of the whole row: whose it is, its key, its entries.
pub(super) fn run_sum(log: LogKey, first: i64, bytes: &[u8]) -> u32 {
    entry_sum(log.0, log.1, first, bytes)
}

/// Ascending by id.
pub(super) fn append<'e>(bytes: &mut Vec<u8>, entries: impl IntoIterator<Item = &'e TailEntry>) {
    for TailEntry { id, peer, tag } in entries {
        [id, peer, tag].into_iter().for_each(|number| bytes.extend_from_slice(&number.to_le_bytes()));
    }
}

fn entry(slot: &Slot) -> TailEntry {
    let [id, peer, tag] = slot.map(i64::from_le_bytes);
    TailEntry { id, peer, tag }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use std::collections::BTreeMap;

    fn entries() -> impl Strategy<Value = Vec<TailEntry>> {
        let ids = prop_oneof![0..50_i64, any::<i64>().prop_map(|id| id & i64::MAX)];
        proptest::collection::btree_map(ids, (any::<i64>(), any::<i64>()), 0..200)
            .prop_map(|map: BTreeMap<_, _>| map.into_iter().map(|(id, (peer, tag))| TailEntry { id, peer, tag }).collect())
    }

    proptest! {
        #[test]
        fn a_run_says_what_a_plain_list_says(entries in entries(), low in 0..60_i64, high in any::<i64>(), cut in any::<proptest::sample::Index>()) {
            let (earlier, later) = entries.split_at(cut.index(entries.len() + 1));
            let mut bytes = Vec::new();
            append(&mut bytes, earlier);
            append(&mut bytes, later);
            let sum = i64::from(run_sum((1, 2), 3, &bytes));
            let run = Run::checked((1, 2), 3, sum, &bytes).unwrap();
            prop_assert_eq!(run.iter().collect::<Vec<_>>(), entries.clone());
            prop_assert_eq!((run.len(), run.last()), (entries.len(), entries.last().copied()));
            for high in [high, high.rem_euclid(60)] {
                let mut plain = entries.clone();
                plain.retain(|entry| entry.id >= low && entry.id <= high);
                prop_assert_eq!(run.within(low, high).iter().collect::<Vec<_>>(), plain.clone());
                plain.reverse();
                prop_assert_eq!(run.within(low, high).iter().rev().collect::<Vec<_>>(), plain);
            }
        }

        #[test]
        fn a_flipped_bit_a_cut_and_another_place_are_noticed(entries in entries(), at in any::<proptest::sample::Index>()) {
            prop_assume!(!entries.is_empty());
            let mut bytes = Vec::new();
            append(&mut bytes, &entries);
            let sum = i64::from(run_sum((1, 2), 3, &bytes));
            prop_assert!(Run::checked((1, 2), 3, sum, &bytes).is_some());
            prop_assert!(Run::checked((1, 2), 4, sum, &bytes).is_none());
            prop_assert!(Run::checked((2, 2), 3, sum, &bytes).is_none());
            let whole = bytes.len();
            prop_assert!(Run::checked((1, 2), 3, sum, bytes.get(..at.index(whole)).unwrap()).is_none());
            let bit = at.index(whole * 8);
            *bytes.get_mut(bit / 8).unwrap() ^= 1 << (bit % 8);
            prop_assert!(Run::checked((1, 2), 3, sum, &bytes).is_none());
        }
    }
}
