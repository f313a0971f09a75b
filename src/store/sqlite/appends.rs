//! New rows of the log, several with one statement: a row of a statement of its own costs half as much again.

use bytes::Bytes;
use rusqlite::{CachedStatement, Connection};

use super::schema::entry_sum;
use super::tail::LogKey;

/// So many rows go with one statement; what is left at the end goes one by one.
const ROWS: usize = 8;

pub(super) struct Row {
    /// Which of the transaction's sets it is of.
    pub set: usize,
    pub id: i64,
    pub log: LogKey,
    pub peer: i64,
    pub tag: i64,
    pub entry: Bytes,
}

pub(super) struct Appends<'a> {
    conn: &'a Connection,
    one: CachedStatement<'a>,
    several: CachedStatement<'a>,
    waiting: Vec<Row>,
}

impl<'a> Appends<'a> {
    pub(super) fn new(conn: &'a Connection) -> rusqlite::Result<Appends<'a>> {
        let sql = |rows| {
            let values = vec!["(?, ?, ?, ?, ?, ?, ?)"; rows].join(", ");
            // What a failed statement has done stays, and the transaction ends: so nothing is noted down that would undo it.
            format!("INSERT OR FAIL INTO log (id, owner, shelf, peer, tag, sum, entry) VALUES {values}")
        };
        Ok(Appends {
            conn,
            one: conn.prepare_cached(&sql(1))?,
            several: conn.prepare_cached(&sql(ROWS))?,
            waiting: Vec::with_capacity(ROWS),
        })
    }

    /// It is in the log after the next [`flush`](Self::flush) at the latest.
    ///
    /// # Errors
    /// With the set that is to blame.
    pub(super) fn add(&mut self, row: Row) -> Result<(), (usize, rusqlite::Error)> {
        self.waiting.push(row);
        if self.waiting.len() < ROWS {
            return Ok(());
        }
        let done = insert(&mut self.several, &self.waiting).map_err(|error| {
            // The rows before the one to blame are in.
            let at = usize::try_from(self.conn.changes()).unwrap_or(0);
            (self.waiting.get(at).map_or(0, |row| row.set), error)
        });
        self.waiting.clear();
        done
    }

    pub(super) fn flush(&mut self) -> Result<(), (usize, rusqlite::Error)> {
        for row in self.waiting.drain(..) {
            insert(&mut self.one, std::slice::from_ref(&row)).map_err(|error| (row.set, error))?;
        }
        Ok(())
    }
}

fn insert(statement: &mut CachedStatement<'_>, rows: &[Row]) -> rusqlite::Result<()> {
    let mut at = 0;
    for Row { id, log: (owner, shelf), peer, tag, entry, .. } in rows {
        for number in [*id, *owner, *shelf, *peer, *tag, i64::from(entry_sum(*owner, *shelf, *id, entry))] {
            at += 1;
            statement.raw_bind_parameter(at, number)?;
        }
        at += 1;
        statement.raw_bind_parameter(at, &entry[..])?;
    }
    statement.raw_execute().map(drop)
}
