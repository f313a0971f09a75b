//! The index of the logs on disk, for ids up to meta `folded`: which entries a log has, in runs (see `run.rs`).
//!
//! One row of `log_run` holds many entries of one log, so that the fold writes a row or two for each log and not one or two for each
//! entry. The runs of a log follow each other: the ids of one lie from its `first` (it may be gone, it is a bound) to below the `first`
//! of the next. Which entries are a peer's is read from the runs as well: 100,000 entries are 1,250 rows.

use rusqlite::Connection;

use super::reader::Fault;
use super::run::Run;
use super::tail::{LogKey, TailEntry};

mod build;
mod change;

pub(super) use build::build;
pub(super) use change::{Adding, add, remove, trim};

/// What the index has from `low` to `high`, ascending or from the `last` one back, until `each` has enough and says false.
pub(super) fn walk(
    conn: &Connection,
    log: LogKey,
    (low, high): (i64, i64),
    last: bool,
    mut each: impl FnMut(TailEntry) -> bool,
) -> Result<(), Fault> {
    let mut query = conn.prepare_cached(match last {
        false => {
            "SELECT first, sum, entries FROM log_run WHERE owner = ?1 AND shelf = ?2 AND first <= ?4
             AND first >= ifnull((SELECT max(first) FROM log_run WHERE owner = ?1 AND shelf = ?2 AND first <= ?3), 0)
             ORDER BY first"
        }
        true => {
            "SELECT first, sum, entries FROM log_run WHERE owner = ?1 AND shelf = ?2 AND first <= ?4
             AND first >= ifnull((SELECT max(first) FROM log_run WHERE owner = ?1 AND shelf = ?2 AND first <= ?3), 0)
             ORDER BY first DESC"
        }
    })?;
    let mut rows = query.query((log.0, log.1, low, high))?;
    while let Some(row) = rows.next()? {
        let first = row.get(0)?;
        let run = row.get_ref(2)?.as_blob().ok().and_then(|bytes| Run::checked(log, first, row.get(1).ok()?, bytes));
        let Some(run) = run else {
            return Err(Fault::Damaged(format!(
                "the index of owner {} on shelf {} from {first} is not what was written",
                log.0, log.1
            )));
        };
        let mut run = run.within(low, high).iter();
        while let Some(entry) = if last { run.next_back() } else { run.next() } {
            if !each(entry) {
                return Ok(());
            }
        }
    }
    Ok(())
}
