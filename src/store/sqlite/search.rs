//! A page of a log by the words of its entries: the index for what it has, the entries themselves for what is behind it.

use iris_core::store::LogQuery;
use iris_core::store::words::{self, TextOf};
use rusqlite::Connection;

use super::log::{Gather, Window, merge};
use super::reader::Fault;
use super::schema::meta;
use super::tail::{LogKey, TailEntry};
use super::words::expression;

/// Hits are asked for in portions: most are on the page that is asked for.
const PORTION: usize = 256;

pub(super) fn page(
    conn: &Connection,
    log: LogKey,
    text: TextOf,
    tail: &[TailEntry],
    query: &LogQuery,
    window: &Window,
    gather: &mut Gather,
) -> Result<(), Fault> {
    let wanted = |entry: &[u8]| text(entry).is_some_and(|text| words::has_all(&text, &query.words));
    let worded = meta(conn, "worded")?;
    // In the direction of paging.
    for behind in [query.last, !query.last] {
        if gather.has_enough() {
            break;
        }
        if behind {
            let Some(rest) = window.between(worded.saturating_add(1), i64::MAX) else { continue };
            let indexed = rest.indexed(conn, log, usize::MAX)?;
            gather.take(conn, log, query.peer, merge(&indexed, rest.tailed(tail), query.last), &wanted)?;
        } else {
            hits(conn, log, query, window, worded, |ids| {
                gather.take(conn, log, query.peer, ids.iter().map(|id| (*id, false)), &wanted)?;
                Ok(!gather.has_enough())
            })?;
        }
    }
    Ok(())
}

/// What the index has, portion by portion, in the direction of paging, while more is wanted.
fn hits(
    conn: &Connection,
    log: LogKey,
    query: &LogQuery,
    window: &Window,
    worded: i64,
    mut more: impl FnMut(&[i64]) -> Result<bool, Fault>,
) -> Result<(), Fault> {
    let Some(mut window) = window.between(0, worded) else { return Ok(()) };
    let expression = expression(log, query.peer.map(|peer| peer as i64), &query.words);
    let mut search = conn.prepare_cached(match query.last {
        false => "SELECT rowid FROM log_words WHERE log_words MATCH ?1 AND rowid BETWEEN ?2 AND ?3 ORDER BY rowid LIMIT ?4",
        true => "SELECT rowid FROM log_words WHERE log_words MATCH ?1 AND rowid BETWEEN ?2 AND ?3 ORDER BY rowid DESC LIMIT ?4",
    })?;
    loop {
        let found = search.query_map((&expression, window.low, window.high, PORTION as i64), |row| row.get(0))?;
        let ids: Vec<i64> = found.collect::<Result<_, _>>()?;
        let Some(last) = ids.last().copied() else { return Ok(()) };
        let next = if query.last { window.between(0, last - 1) } else { window.between(last + 1, i64::MAX) };
        match next {
            Some(next) if more(&ids)? && ids.len() == PORTION => window = next,
            Some(_) => return Ok(()),
            None => return more(&ids).map(drop),
        }
    }
}
