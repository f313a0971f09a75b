//! The step of `schema.rs` from an index with a row per entry (and another by peer) to runs.

use rusqlite::Connection;

use super::super::run::RUN_MAX;
use super::super::schema::meta;
use super::super::tail::{LogKey, TailEntry};
use super::change::Adding;

/// From the log, in one pass and in the order of the index: what is sorted may be larger than memory (see `schema::migrate`), what is
/// held here is one run. Entries behind `folded` stay in the tail.
pub(in super::super) fn build(conn: &Connection) -> rusqlite::Result<()> {
    conn.execute_batch(
        "-- The index of `log`, for ids up to meta `folded` (and maybe some later ones: see fold.rs): see index.rs. No SQL index on `log`,
         -- because that would be written with each append.
         CREATE TABLE log_run (
             id INTEGER PRIMARY KEY,
             owner INTEGER NOT NULL,
             shelf INTEGER NOT NULL,
             first INTEGER NOT NULL,
             sum INTEGER NOT NULL,
             entries BLOB NOT NULL
         );
         -- Not a table WITHOUT ROWID: its inner pages would hold whole rows, four at most.
         CREATE UNIQUE INDEX log_run_place ON log_run (owner, shelf, first);",
    )?;
    let mut query = conn.prepare("SELECT owner, shelf, id, peer, tag FROM log WHERE id <= ?1 ORDER BY owner, shelf, id")?;
    let mut rows = query.query([meta(conn, "folded")?])?;
    let mut adding = Adding::new(conn)?;
    let (mut log, mut run): (LogKey, Vec<TailEntry>) = ((0, 0), Vec::with_capacity(RUN_MAX));
    while let Some(row) = rows.next()? {
        let of = (row.get(0)?, row.get(1)?);
        if of != log || run.len() == RUN_MAX {
            adding.open(log, &run, RUN_MAX)?;
            run.clear();
            log = of;
        }
        run.push(TailEntry { id: row.get(2)?, peer: row.get(3)?, tag: row.get(4)? });
    }
    adding.open(log, &run, RUN_MAX)?;
    drop(rows);
    drop(query);
    conn.execute_batch("DROP TABLE log_order; DROP TABLE log_peer;")
}
