//! The tail: log entries that the index on disk does not have yet.
//!
//! An entry is appended to the table `log`, which grows at its end only. Its place in the index of its owner is far from its
//! neighbour's in time, so writing it at once would touch a page or two for each message; a sorted batch touches each page
//! once. Until then this is the index. It is shared with the readers, and made anew from `log` at boot.

use std::collections::HashMap;
use std::sync::{Arc, PoisonError, RwLock, RwLockReadGuard, RwLockWriteGuard};

use iris_core::hash::Seeded;

/// A log: owner and shelf, as the tables know them.
pub(super) type LogKey = (i64, i64);

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct TailEntry {
    pub id: i64,
    pub peer: i64,
    pub tag: i64,
}

/// A change that becomes visible when its transaction is committed.
#[derive(Debug)]
pub(super) enum TailChange {
    Add(LogKey, TailEntry),
    Remove(LogKey, i64),
    Forget(i64),
}

#[derive(Default)]
pub(super) struct Tail {
    logs: RwLock<Logs>,
}

#[derive(Default)]
struct Logs {
    by_key: HashMap<LogKey, Arc<Vec<TailEntry>>, Seeded>,
    len: usize,
}

impl Tail {
    /// Ascending by id. May hold entries that were removed since, and entries that the index has by now.
    pub(super) fn of(&self, log: LogKey) -> Arc<Vec<TailEntry>> {
        self.read().by_key.get(&log).map(Arc::clone).unwrap_or_default()
    }

    pub(super) fn len(&self) -> usize {
        self.read().len
    }

    pub(super) fn apply(&self, changes: impl IntoIterator<Item = TailChange>) {
        let mut logs = self.write();
        for change in changes {
            logs.apply(change);
        }
    }

    /// Everything up to `boundary` is in the index.
    pub(super) fn drop_upto(&self, boundary: i64) {
        let Logs { by_key, len } = &mut *self.write();
        by_key.retain(|_, entries| {
            let gone = entries.partition_point(|entry| entry.id <= boundary);
            if gone > 0 {
                *entries = entries.get(gone..).unwrap_or_default().to_vec().into();
            }
            *len -= gone;
            !entries.is_empty()
        });
    }

    /// Start anew, from what the table says.
    pub(super) fn replace(&self, rows: impl IntoIterator<Item = (LogKey, TailEntry)>) {
        let mut anew = Logs::default();
        for (log, entry) in rows {
            anew.apply(TailChange::Add(log, entry));
        }
        *self.write() = anew;
    }

    /// All entries, and the greatest id among them. In the order of the index.
    pub(super) fn sorted(&self) -> (Vec<(LogKey, TailEntry)>, i64) {
        let logs = self.read();
        // Each log is ascending already.
        let mut by_key: Vec<_> = logs.by_key.iter().collect();
        by_key.sort_unstable_by_key(|(log, _)| **log);
        let mut rows = Vec::with_capacity(logs.len);
        for (log, entries) in by_key {
            rows.extend(entries.iter().map(|entry| (*log, *entry)));
        }
        let greatest = rows.iter().map(|(_, entry)| entry.id).max().unwrap_or(0);
        (rows, greatest)
    }

    fn read(&self) -> RwLockReadGuard<'_, Logs> {
        self.logs.read().unwrap_or_else(PoisonError::into_inner)
    }

    fn write(&self) -> RwLockWriteGuard<'_, Logs> {
        self.logs.write().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Logs {
    fn apply(&mut self, change: TailChange) {
        match change {
            TailChange::Add(log, entry) => {
                let entries = Arc::make_mut(self.by_key.entry(log).or_default());
                let at = entries.partition_point(|earlier| earlier.id < entry.id);
                entries.insert(at, entry);
                self.len += 1;
            }
            TailChange::Remove(log, id) => {
                let Some(entries) = self.by_key.get_mut(&log) else { return };
                if let Ok(at) = entries.binary_search_by_key(&id, |entry| entry.id) {
                    Arc::make_mut(entries).remove(at);
                    self.len -= 1;
                }
                if entries.is_empty() {
                    self.by_key.remove(&log);
                }
            }
            TailChange::Forget(owner) => {
                let Logs { by_key, len } = self;
                by_key.retain(|(of, _), entries| {
                    let keep = *of != owner;
                    *len -= if keep { 0 } else { entries.len() };
                    keep
                });
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn entry(id: i64) -> TailEntry {
        TailEntry { id, peer: 0, tag: 0 }
    }

    fn ids(tail: &Tail, log: LogKey) -> Vec<i64> {
        tail.of(log).iter().map(|entry| entry.id).collect()
    }

    #[test]
    fn is_ascending_whatever_order_ids_arrive_in() {
        let tail = Tail::default();
        tail.apply([5, 7, 6].map(|id| TailChange::Add((1, 1), entry(id))));
        tail.apply([TailChange::Add((2, 1), entry(4)), TailChange::Remove((1, 1), 7)]);
        assert_eq!((ids(&tail, (1, 1)), ids(&tail, (2, 1)), tail.len()), (vec![5, 6], vec![4], 3));
        let (rows, greatest) = tail.sorted();
        assert_eq!((rows.iter().map(|row| row.1.id).collect::<Vec<_>>(), greatest), (vec![5, 6, 4], 6));
    }

    #[test]
    fn drops_what_is_folded_and_who_is_forgotten_and_leaves_earlier_snapshots_alone() {
        let tail = Tail::default();
        tail.apply([1, 2, 3].map(|id| TailChange::Add((1, 1), entry(id))));
        tail.apply([TailChange::Add((2, 1), entry(4))]);
        let before = tail.of((1, 1));
        tail.drop_upto(2);
        assert_eq!((ids(&tail, (1, 1)), before.len()), (vec![3], 3));
        tail.apply([TailChange::Forget(1)]);
        assert_eq!((ids(&tail, (1, 1)).len(), tail.len()), (0, 1));
    }
}
