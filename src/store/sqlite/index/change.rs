//! What the writer does to the runs, in its transactions.
//!
//! A run that is not what was written is made anew from the log, which has it all: one flipped bit must not stop everybody's writes.

use rusqlite::{CachedStatement, Connection, OptionalExtension, Row};

use super::super::run::{RUN_MAX, Run, append, run_sum};
use super::super::tail::{LogKey, TailEntry};

/// Those up to ?3, the last one first.
const UPTO: &str =
    "SELECT id, first, sum, entries FROM log_run WHERE owner = ?1 AND shelf = ?2 AND first <= ?3 ORDER BY first DESC";
const OPEN: &str = "INSERT INTO log_run (owner, shelf, first, sum, entries) VALUES (?1, ?2, ?3, ?4, ?5)";
const REWRITE: &str = "UPDATE log_run SET sum = ?2, entries = ?3 WHERE id = ?1";
const CLOSE: &str = "DELETE FROM log_run WHERE id = ?1";

/// A row as it is.
struct Stored {
    row: i64,
    first: i64,
    bytes: Vec<u8>,
    /// It was damaged, and `bytes` is what the log says.
    healed: bool,
}

impl Stored {
    fn of(conn: &Connection, log: LogKey, row: &Row<'_>) -> rusqlite::Result<Stored> {
        let (id, first) = (row.get(0)?, row.get(1)?);
        if let (Ok(sum), Ok(bytes)) = (row.get(2), row.get_ref(3)?.as_blob())
            && Run::checked(log, first, sum, bytes).is_some()
        {
            return Ok(Stored { row: id, first, bytes: bytes.to_vec(), healed: false });
        }
        tracing::error!(owner = log.0, shelf = log.1, first, "a run of the index is damaged: it is made anew from the log");
        let mut query = conn.prepare_cached(
            "SELECT id, peer, tag FROM log WHERE id >= ?3 AND owner = ?1 AND shelf = ?2 AND id <
             ifnull((SELECT min(first) FROM log_run WHERE owner = ?1 AND shelf = ?2 AND first > ?3), 0x7fffffffffffffff)
             ORDER BY id",
        )?;
        let found = query
            .query_map((log.0, log.1, first), |row| Ok(TailEntry { id: row.get(0)?, peer: row.get(1)?, tag: row.get(2)? }))?;
        let mut bytes = Vec::new();
        append(&mut bytes, &found.collect::<Result<Vec<_>, _>>()?);
        Ok(Stored { row: id, first, bytes, healed: true })
    }

    fn run(&self) -> Run<'_> {
        Run::of(&self.bytes)
    }

    /// Leave these of its entries. Takes no space on disk: what is removed must be on a full disk too.
    fn shrink(&self, conn: &Connection, log: LogKey, kept: &[TailEntry]) -> rusqlite::Result<()> {
        if kept.is_empty() {
            conn.prepare_cached(CLOSE)?.execute([self.row])?;
        } else if self.healed || kept.len() < self.run().len() {
            let mut bytes = Vec::with_capacity(self.bytes.len());
            append(&mut bytes, kept);
            conn.prepare_cached(REWRITE)?.execute((self.row, run_sum(log, self.first, &bytes), bytes))?;
        }
        Ok(())
    }
}

/// Entries on their way into the index, with what is prepared once for many logs.
pub(in super::super) struct Adding<'a> {
    conn: &'a Connection,
    upto: CachedStatement<'a>,
    open: CachedStatement<'a>,
    rewrite: CachedStatement<'a>,
}

impl<'a> Adding<'a> {
    pub(in super::super) fn new(conn: &'a Connection) -> rusqlite::Result<Adding<'a>> {
        let [upto, open, rewrite] = [conn.prepare_cached(UPTO)?, conn.prepare_cached(OPEN)?, conn.prepare_cached(REWRITE)?];
        Ok(Adding { conn, upto, open, rewrite })
    }

    /// `entries` are ascending by id. What the index has already is there once.
    pub(in super::super) fn add(&mut self, log: LogKey, entries: &[TailEntry]) -> rusqlite::Result<()> {
        let (Some(low), Some(high)) = (entries.first(), entries.last()) else { return Ok(()) };
        let there = self.between(log, low.id, high.id)?;
        match there.as_slice() {
            [] => self.open(log, entries, RUN_MAX),
            // Almost always: behind the last one.
            [last] if !last.healed && last.first <= low.id && last.run().last().is_some_and(|last| last.id < low.id) => {
                let room = RUN_MAX.saturating_sub(last.run().len()).min(entries.len());
                let (here, rest) = entries.split_at(room);
                if !here.is_empty() {
                    let mut bytes = Vec::with_capacity(last.bytes.len() + size_of_val(here));
                    bytes.extend_from_slice(&last.bytes);
                    append(&mut bytes, here);
                    self.rewrite.execute((last.row, run_sum(log, last.first, &bytes), bytes))?;
                }
                self.open(log, rest, RUN_MAX)
            }
            there => self.mix(log, there, entries),
        }
    }

    /// What came late, or was folded in part before.
    fn mix(&mut self, log: LogKey, there: &[Stored], entries: &[TailEntry]) -> rusqlite::Result<()> {
        let mut all: Vec<TailEntry> = there.iter().flat_map(|stored| stored.run().iter()).collect();
        let before = all.len();
        all.extend_from_slice(entries);
        // Stable: what was there stays.
        all.sort_by_key(|entry| entry.id);
        all.dedup_by_key(|entry| entry.id);
        if all.len() == before && there.iter().all(|stored| !stored.healed) {
            return Ok(());
        }
        let mut close = self.conn.prepare_cached(CLOSE)?;
        for stored in there {
            close.execute([stored.row])?;
        }
        // Evenly: more may come between them.
        let runs = all.len().div_ceil(RUN_MAX).max(1);
        self.open(log, &all, all.len().div_ceil(runs).max(1))
    }

    /// New runs with `each` so many entries.
    pub(super) fn open(&mut self, log: LogKey, entries: &[TailEntry], each: usize) -> rusqlite::Result<()> {
        for entries in entries.chunks(each) {
            let Some(first) = entries.first() else { continue };
            let mut bytes = Vec::with_capacity(size_of_val(entries));
            append(&mut bytes, entries);
            self.open.execute((log.0, log.1, first.id, run_sum(log, first.id, &bytes), bytes))?;
        }
        Ok(())
    }

    /// The runs that ids from `low` to `high` lie in, or come behind.
    fn between(&mut self, log: LogKey, low: i64, high: i64) -> rusqlite::Result<Vec<Stored>> {
        let mut found = Vec::new();
        let mut rows = self.upto.query((log.0, log.1, high))?;
        while let Some(row) = rows.next()? {
            let stored = Stored::of(self.conn, log, row)?;
            let is_enough = stored.first <= low;
            found.push(stored);
            if is_enough {
                break;
            }
        }
        Ok(found)
    }
}

/// One entry; twice is as good as once.
pub(in super::super) fn add(conn: &Connection, log: LogKey, entry: TailEntry) -> rusqlite::Result<()> {
    Adding::new(conn)?.add(log, &[entry])
}

/// `ids` are ascending; those that the index does not have are no error.
pub(in super::super) fn remove(conn: &Connection, log: LogKey, ids: &[i64]) -> rusqlite::Result<()> {
    let mut rest = ids;
    while let Some(id) = rest.first() {
        let mut query = conn.prepare_cached(UPTO)?;
        let stored = query.query_row((log.0, log.1, id), |row| Stored::of(conn, log, row)).optional()?;
        drop(query);
        let last = stored.as_ref().and_then(|stored| stored.run().last()).map_or(*id, |last| last.id.max(*id));
        let (here, later) = rest.split_at(rest.partition_point(|id| *id <= last));
        if let Some(stored) = stored {
            let kept: Vec<_> = stored.run().iter().filter(|entry| here.binary_search(&entry.id).is_err()).collect();
            stored.shrink(conn, log, &kept)?;
        }
        rest = later;
    }
    Ok(())
}

/// Everything up to `upto`. Which that was, ascending.
pub(in super::super) fn trim(conn: &Connection, log: LogKey, upto: i64) -> rusqlite::Result<Vec<i64>> {
    let mut gone = Vec::new();
    let mut query = conn.prepare_cached(
        "SELECT id, first, sum, entries FROM log_run WHERE owner = ?1 AND shelf = ?2 AND first <= ?3 ORDER BY first LIMIT 1",
    )?;
    loop {
        let oldest = query.query_row((log.0, log.1, upto), |row| Stored::of(conn, log, row)).optional()?;
        let Some(oldest) = oldest else { break };
        let (old, kept): (Vec<_>, Vec<_>) = oldest.run().iter().partition(|entry| entry.id <= upto);
        gone.extend(old.iter().map(|entry| entry.id));
        oldest.shrink(conn, log, &kept)?;
        if !kept.is_empty() {
            break;
        }
    }
    Ok(gone)
}
