//! What is counted while the house runs. Whoever counts owns the value, whoever shows it reads it: nothing here locks, waits or
//! allocates. The names that operators see are the root's (`src/metrics/list.rs`).

use std::sync::atomic::AtomicU64;
use std::sync::atomic::Ordering::Relaxed;

/// Only ever grows.
#[derive(Debug, Default)]
pub struct Counter(AtomicU64);

impl Counter {
    pub fn add(&self, n: u64) {
        self.0.fetch_add(n, Relaxed);
    }

    pub fn one(&self) {
        self.add(1);
    }

    pub fn get(&self) -> u64 {
        self.0.load(Relaxed)
    }
}

/// Goes up and down.
#[derive(Debug, Default)]
pub struct Gauge(AtomicU64);

impl Gauge {
    pub fn up(&self) {
        self.0.fetch_add(1, Relaxed);
    }

    pub fn down(&self) {
        self.0.fetch_sub(1, Relaxed);
    }

    pub fn set(&self, value: u64) {
        self.0.store(value, Relaxed);
    }

    pub fn get(&self) -> u64 {
        self.0.load(Relaxed)
    }
}

/// How often a value fell between two bounds. The unit is its owner's.
#[derive(Debug)]
pub struct Histogram<const N: usize> {
    /// Ascending; each includes itself.
    bounds: [u64; N],
    counts: [AtomicU64; N],
    beyond: AtomicU64,
    sum: AtomicU64,
}

impl<const N: usize> Histogram<N> {
    pub const fn new(bounds: [u64; N]) -> Histogram<N> {
        Histogram { bounds, counts: [const { AtomicU64::new(0) }; N], beyond: AtomicU64::new(0), sum: AtomicU64::new(0) }
    }

    pub fn observe(&self, value: u64) {
        let at = self.bounds.partition_point(|bound| *bound < value);
        self.counts.get(at).unwrap_or(&self.beyond).fetch_add(1, Relaxed);
        self.sum.fetch_add(value, Relaxed);
    }

    pub fn seen(&self) -> Distribution {
        let mut buckets: Vec<(u64, u64)> =
            self.bounds.iter().zip(&self.counts).map(|(bound, count)| (*bound, count.load(Relaxed))).collect();
        buckets.push((u64::MAX, self.beyond.load(Relaxed)));
        Distribution { buckets, sum: self.sum.load(Relaxed) }
    }
}

/// What a [`Histogram`] has seen.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Distribution {
    /// Upper bound and how many fell there (and not below); the last bound is `u64::MAX`.
    pub buckets: Vec<(u64, u64)>,
    pub sum: u64,
}

impl Distribution {
    pub fn count(&self) -> u64 {
        self.buckets.iter().map(|(_, count)| count).sum()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_bound_includes_itself_and_nothing_is_lost_beyond_the_last() {
        let sizes = Histogram::new([1, 10, 100]);
        for value in [0, 1, 2, 10, 11, 100, 101, 5_000] {
            sizes.observe(value);
        }
        let seen = sizes.seen();
        assert_eq!(seen.buckets, [(1, 2), (10, 2), (100, 2), (u64::MAX, 2)]);
        assert_eq!((seen.count(), seen.sum), (8, 5_225));
    }
}
