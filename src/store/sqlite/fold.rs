//! The fold: the tail becomes part of the index on disk, in sorted steps that ride in the writer's own transactions.
//!
//! A step may be repeated and a fold may end half-way: an entry in both the tail and the index is one entry to the readers.
//! Only when the last step is committed does meta `folded` move, and the tail forgets.

use rusqlite::Connection;

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

    /// Write up to `count` rows. First in its transaction: what a set of the same transaction removes is then removed here
    /// too. The answer goes to [`committed`](Self::committed).
    pub(super) fn step(&self, conn: &Connection, tail: &Tail, count: usize) -> rusqlite::Result<usize> {
        let end = self.rows.len().min(self.next + count);
        let rows = self.rows.get(self.next..end).unwrap_or_default();
        // Removed since the fold began?
        let mut kept: Vec<_> = rows.iter().filter(|(log, entry)| tail.contains(*log, entry.id)).collect();
        let mut order = conn.prepare_cached("INSERT OR IGNORE INTO log_order (owner, shelf, id) VALUES (?1, ?2, ?3)")?;
        for ((owner, shelf), entry) in &kept {
            order.execute((owner, shelf, entry.id))?;
        }
        kept.retain(|(_, entry)| entry.peer != 0);
        kept.sort_unstable_by_key(|(log, entry)| (*log, entry.peer, entry.id));
        let mut peers =
            conn.prepare_cached("INSERT OR IGNORE INTO log_peer (owner, shelf, peer, id) VALUES (?1, ?2, ?3, ?4)")?;
        for ((owner, shelf), entry) in &kept {
            peers.execute((owner, shelf, entry.peer, entry.id))?;
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
