//! The fold: the tail becomes part of the index on disk, in sorted steps that ride in the writer's own transactions.
//!
//! A step may be repeated and a fold may end half-way: an entry in both the tail and the index is one entry to the readers.
//! Only when the last step is committed does meta `folded` move, and the tail forgets.

use rusqlite::Connection;

use super::index;
use super::schema::set_meta;
use super::tail::{LogKey, Tail, TailEntry};

pub(super) struct Fold {
    rows: Vec<(LogKey, TailEntry)>,
    /// Rows before this one are committed.
    next: usize,
    /// The greatest id of the rows; every id up to here that comes later goes straight to the index.
    pub boundary: i64,
}

impl Fold {
    /// None when the tail is empty.
    pub(super) fn of(tail: &Tail) -> Option<Fold> {
        let (rows, boundary) = tail.sorted();
        (!rows.is_empty()).then_some(Fold { rows, next: 0, boundary })
    }

    /// Write up to `count` entries. First in its transaction: what a set of the same transaction removes is then removed here
    /// too. The answer goes to [`committed`](Self::committed).
    pub(super) fn step(&self, conn: &Connection, tail: &Tail, count: usize) -> rusqlite::Result<usize> {
        let end = self.rows.len().min(self.next + count);
        let mut index = index::Adding::new(conn)?;
        for rows in self.rows.get(self.next..end).unwrap_or_default().chunk_by(|(one, _), (next, _)| one == next) {
            let Some((log, _)) = rows.first() else { continue };
            // Removed since the fold began?
            let there = tail.of(*log);
            let is_there = |entry: &TailEntry| there.binary_search_by_key(&entry.id, |entry| entry.id).is_ok();
            let kept: Vec<TailEntry> = rows.iter().map(|(_, entry)| *entry).filter(is_there).collect();
            index.add(*log, &kept)?;
        }
        if end == self.rows.len() {
            set_meta(conn, "folded", self.boundary)?;
        }
        Ok(end)
    }

    /// The step is on disk. True when it was the last one.
    pub(super) fn committed(&mut self, end: usize) -> bool {
        self.next = end;
        self.next == self.rows.len()
    }
}
