//! What the threads of the store count, for `/metrics`.

use std::time::Instant;

use iris_core::metrics::{Counter, Histogram};
use iris_core::store::Figures;

use super::queues::Waiting;

/// A disk that syncs in a tenth of a millisecond, and one that is ill.
const TIMES_US: [u64; 14] =
    [100, 250, 500, 1_000, 2_500, 5_000, 10_000, 25_000, 50_000, 100_000, 250_000, 500_000, 1_000_000, 2_500_000];

const READ_TIMES_US: [u64; 10] = [10, 25, 50, 100, 250, 1_000, 5_000, 25_000, 100_000, 1_000_000];

const SETS: [u64; 11] = [1, 2, 4, 8, 16, 32, 64, 128, 512, 2_048, 4_096];

/// A page of the WAL and its frame.
const WAL_PAGE_BYTES: u64 = 4_096 + 24;

pub(super) struct Measured {
    transaction_us: Histogram<14>,
    sync_us: Histogram<14>,
    appended: Counter,
    pub read_us: Histogram<10>,
    pub sets: Histogram<11>,
}

impl Default for Measured {
    fn default() -> Measured {
        Measured {
            transaction_us: Histogram::new(TIMES_US),
            sync_us: Histogram::new(TIMES_US),
            appended: Counter::default(),
            read_us: Histogram::new(READ_TIMES_US),
            sets: Histogram::new(SETS),
        }
    }
}

impl Measured {
    /// One has just been committed.
    pub fn transaction(&self, began: Instant, syncs: Instant, appended: u64) {
        self.transaction_us.observe(micros(began));
        self.sync_us.observe(micros(syncs));
        self.appended.add(appended);
    }

    pub fn read(&self, began: Instant) {
        self.read_us.observe(micros(began));
    }

    pub fn figures(&self, waiting: Waiting, wal_pages: i32) -> Figures {
        let sets_per_transaction = self.sets.seen();
        Figures {
            sets_waiting: waiting.sets as u64,
            reads_waiting: waiting.reads as u64,
            sets_committed: sets_per_transaction.sum,
            entries_appended: self.appended.get(),
            transaction_us: self.transaction_us.seen(),
            sync_us: self.sync_us.seen(),
            sets_per_transaction,
            read_us: self.read_us.seen(),
            wal_bytes: u64::try_from(wal_pages).unwrap_or(0) * WAL_PAGE_BYTES,
        }
    }
}

fn micros(since: Instant) -> u64 {
    u64::try_from(since.elapsed().as_micros()).unwrap_or(u64::MAX)
}
