//! New rows of the log, several with one statement: a row of a statement of its own costs half as much again.

use bytes::Bytes;
use rusqlite::{CachedStatement, Connection};

use super::schema::entry_sum;
use super::tail::LogKey;

/// So many rows go with one statement, the most first. One of several rows copies each page that it changes, to be able to take itself
/// back (SQLite cannot know that an id is always a number); one of a single row does not.
const ROWS: [usize; 3] = [32, 8, 1];

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
    statements: [CachedStatement<'a>; ROWS.len()],
    waiting: Vec<Row>,
}

impl<'a> Appends<'a> {
    pub(super) fn new(conn: &'a Connection) -> rusqlite::Result<Appends<'a>> {
        let prepare = |rows| {
            let values = vec!["(?, ?, ?, ?, ?, ?, ?)"; rows].join(", ");
            // What a failed statement has done stays, and the transaction ends: `changes` then says which row is to blame.
            let sql = format!("INSERT OR FAIL INTO log (id, owner, shelf, peer, tag, sum, entry) VALUES {values}");
            conn.prepare_cached(&sql)
        };
        let statements = [prepare(ROWS[0])?, prepare(ROWS[1])?, prepare(ROWS[2])?];
        Ok(Appends { conn, statements, waiting: Vec::with_capacity(ROWS[0]) })
    }

    /// It is in the log after the next [`flush`](Self::flush) at the latest.
    ///
    /// # Errors
    /// With the set that is to blame.
    pub(super) fn add(&mut self, row: Row) -> Result<(), (usize, rusqlite::Error)> {
        self.waiting.push(row);
        if self.waiting.len() < ROWS[0] { Ok(()) } else { self.flush() }
    }

    pub(super) fn flush(&mut self) -> Result<(), (usize, rusqlite::Error)> {
        let mut rest = self.waiting.as_slice();
        let done = self.statements.iter_mut().zip(ROWS).try_for_each(|(statement, rows)| {
            let mut steps = rest.chunks_exact(rows);
            rest = steps.remainder();
            steps.try_for_each(|step| {
                insert(statement, step).map_err(|error| {
                    // The rows before the one to blame are in.
                    let at = usize::try_from(self.conn.changes()).unwrap_or(0);
                    (step.get(at).map_or(0, |row| row.set), error)
                })
            })
        });
        self.waiting.clear();
        done
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
