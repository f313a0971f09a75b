//! Pages, tags and bounds of a log: the index on disk and the tail in memory, read as one.

use bytes::Bytes;
use iris_core::store::words::{self, TextOf};
use iris_core::store::{Entry, EntryId, LogQuery, PAGE_BYTES_MAX, PAGE_ENTRIES_MAX, Page};
use rusqlite::types::ValueRef;
use rusqlite::{Connection, OptionalExtension, Params, Row, Statement};

use super::reader::Fault;
use super::schema::entry_sum;
use super::search;
use super::tail::{LogKey, TailEntry};

pub(super) fn page(
    conn: &Connection,
    log: LogKey,
    text: Option<TextOf>,
    tail: &[TailEntry],
    query: &LogQuery,
) -> Result<Page, Fault> {
    let Some(window) = Window::of(query) else { return Ok(nothing(query)) };
    let max = query.max.min(PAGE_ENTRIES_MAX) as usize;
    let page = Page { complete: true, ..Page::default() };
    let mut gather = Gather { page, found: 0, bytes: 0, max, to_the_end: false };
    let all = |_: &[u8]| true;
    if !query.words.is_empty() || query.ids.is_some() {
        gather.to_the_end = query.count;
        match (&query.ids, text) {
            (Some(ids), text) => {
                let wanted = |entry: &[u8]| {
                    query.words.is_empty()
                        || text.and_then(|text| text(entry)).is_some_and(|text| words::has_all(&text, &query.words))
                };
                let chosen = chosen(&window, ids).into_iter().map(|id| (id, false));
                gather.take(conn, log, query.peer, chosen, &wanted)?;
            }
            (None, Some(text)) => search::page(conn, log, text, tail, query, &window, &mut gather)?,
            (None, None) => {}
        }
        gather.page.count = query.count.then_some(gather.found as u64);
    } else {
        if window.tailed(tail).next().is_none() {
            gather.sweep(conn, log, &window)?;
        } else {
            let indexed = window.indexed(conn, log, max + 1)?;
            gather.take(conn, log, query.peer, merge(&indexed, window.tailed(tail), query.last), &all)?;
        }
        if query.count {
            gather.page.count = Some(window.count(conn, log, window.tailed(tail))?);
        }
    }
    if query.last {
        gather.page.entries.reverse();
    }
    Ok(gather.page)
}

/// A page while it is put together.
pub(super) struct Gather {
    page: Page,
    /// Entries that exist and match, so far.
    found: usize,
    /// On the page.
    bytes: usize,
    max: usize,
    /// Go on behind the page, to count.
    to_the_end: bool,
}

impl Gather {
    /// Nothing that comes behind is asked for.
    pub(super) fn has_enough(&self) -> bool {
        !self.page.complete && !self.to_the_end
    }

    fn has_room(&self, entry: &Entry) -> bool {
        let fits = self.page.entries.is_empty() || self.bytes + entry.entry.len() <= PAGE_BYTES_MAX;
        self.page.complete && self.found < self.max && fits
    }

    /// `candidates` are in the direction of paging, each with whether the index on disk names it.
    pub(super) fn take(
        &mut self,
        conn: &Connection,
        log: LogKey,
        peer: Option<u64>,
        candidates: impl Iterator<Item = (i64, bool)>,
        wanted: &dyn Fn(&[u8]) -> bool,
    ) -> Result<(), Fault> {
        let mut fetch = conn.prepare_cached("SELECT owner, shelf, peer, sum, entry FROM log WHERE id = ?1")?;
        for (id, indexed) in candidates {
            match fetched(&mut fetch, log, id, peer)? {
                Some(entry) if !wanted(&entry.entry) => continue,
                Some(entry) => self.put(entry),
                None if indexed => return Err(missing(id)),
                // Removed since, or never there.
                None => continue,
            }
            if self.has_enough() {
                break;
            }
        }
        Ok(())
    }

    /// All that the index on disk names, with one statement: where the tail has nothing to put between.
    fn sweep(&mut self, conn: &Connection, log: LogKey, window: &Window) -> Result<(), Fault> {
        let sql = window.sql("log.owner, log.shelf, log.peer, log.sum, log.entry, i.id", "LEFT JOIN log ON log.id = i.id");
        let mut query = conn.prepare_cached(&sql)?;
        let limit = i64::try_from(self.max + 1).unwrap_or(i64::MAX);
        let mut rows = match window.peer.filter(|peer| *peer != 0) {
            Some(peer) => query.query((log.0, log.1, window.low, window.high, limit, peer))?,
            None => query.query((log.0, log.1, window.low, window.high, limit))?,
        };
        while let Some(row) = rows.next()? {
            let id = row.get(5)?;
            if row.get_ref(0)? == ValueRef::Null {
                return Err(missing(id));
            }
            self.put(entry(row, log, id, window.peer)?.ok_or_else(|| missing(id))?);
            if self.has_enough() {
                break;
            }
        }
        Ok(())
    }

    /// The next one that matches.
    fn put(&mut self, entry: Entry) {
        if self.has_room(&entry) {
            self.bytes += entry.entry.len();
            self.page.entries.push(entry);
        } else {
            self.page.complete = false;
        }
        self.found += 1;
    }
}

/// Index and log change in one transaction.
fn missing(id: i64) -> Fault {
    Fault::Damaged(format!("the index names entry {id}, the log has none"))
}

pub(super) fn nothing(query: &LogQuery) -> Page {
    Page { entries: Vec::new(), complete: true, count: query.count.then_some(0) }
}

pub(super) fn bounds(conn: &Connection, log: LogKey, tail: &[TailEntry]) -> Result<Option<(Entry, Entry)>, Fault> {
    let one = |last| page(conn, log, None, tail, &LogQuery { max: 1, last, ..LogQuery::default() });
    Ok(one(false)?.entries.pop().zip(one(true)?.entries.pop()))
}

pub(super) fn tags(
    conn: &Connection,
    log: LogKey,
    tail: &[TailEntry],
    since: EntryId,
    max: u32,
) -> Result<Vec<(u64, EntryId)>, Fault> {
    let since = place(since);
    let mut query = conn.prepare_cached(
        "SELECT log.id, log.tag FROM log_order AS i CROSS JOIN log ON log.id = i.id
         WHERE i.owner = ?1 AND i.shelf = ?2 AND i.id >= ?3 AND log.tag <> 0 ORDER BY i.id DESC LIMIT ?4",
    )?;
    let mut newest: Vec<(i64, i64)> =
        query.query_map((log.0, log.1, since, max), |row| Ok((row.get(0)?, row.get(1)?)))?.collect::<Result<_, _>>()?;
    for recent in tail.iter().filter(|recent| recent.id >= since && recent.tag != 0) {
        if exists(conn, "SELECT 1 FROM log WHERE id = ?1", [recent.id])? {
            newest.push((recent.id, recent.tag));
        }
    }
    newest.sort_unstable();
    newest.dedup();
    let skipped = newest.len().saturating_sub(max as usize);
    Ok(newest.into_iter().skip(skipped).map(|(id, tag)| (tag as u64, EntryId(id as u64))).collect())
}

/// Which ids of a log a query is about, ends included, and from which end.
#[derive(Clone, Copy)]
pub(super) struct Window {
    pub low: i64,
    pub high: i64,
    peer: Option<i64>,
    last: bool,
}

impl Window {
    /// None when nothing can match.
    fn of(query: &LogQuery) -> Option<Window> {
        let from = query.from.map_or(0, place);
        let after = query.after.map_or(Some(0), |after| place(after).checked_add(1))?;
        let until = query.until.map_or(i64::MAX, place);
        let before = query.before.map_or(Some(i64::MAX), |before| place(before).checked_sub(1))?;
        let (low, high) = (from.max(after), until.min(before));
        (low <= high).then_some(Window { low, high, peer: query.peer.map(|peer| peer as i64), last: query.last })
    }

    /// The part of it from `low` to `high`.
    pub(super) fn between(&self, low: i64, high: i64) -> Option<Window> {
        let part = Window { low: self.low.max(low), high: self.high.min(high), ..*self };
        (part.low <= part.high).then_some(part)
    }

    /// Of the index on disk, in the direction of paging: ?1 owner, ?2 shelf, ?3 and ?4 from where to where, ?5 how many, ?6 peer.
    /// `join`: what the columns need beside the index `i`.
    fn sql(&self, columns: &str, join: &str) -> String {
        let (index, join, peer) = match self.peer {
            None => ("log_order", join, ""),
            // Entries without a peer are not in log_peer.
            Some(0) => ("log_order", "CROSS JOIN log ON log.id = i.id", "AND log.peer = 0"),
            Some(_) => ("log_peer", join, "AND i.peer = ?6"),
        };
        let order = if self.last { "DESC" } else { "ASC" };
        format!(
            "SELECT {columns} FROM {index} AS i {join}
             WHERE i.owner = ?1 AND i.shelf = ?2 AND i.id BETWEEN ?3 AND ?4 {peer} ORDER BY i.id {order} LIMIT ?5"
        )
    }

    /// The first `limit` ids that the index on disk has, in the direction of paging.
    pub(super) fn indexed(&self, conn: &Connection, log: LogKey, limit: usize) -> rusqlite::Result<Vec<i64>> {
        let mut query = conn.prepare_cached(&self.sql("i.id", ""))?;
        let limit = i64::try_from(limit).unwrap_or(i64::MAX);
        match self.peer.filter(|peer| *peer != 0) {
            Some(peer) => ids(&mut query, (log.0, log.1, self.low, self.high, limit, peer)),
            None => ids(&mut query, (log.0, log.1, self.low, self.high, limit)),
        }
    }

    /// What the tail has, in the direction of paging. May be gone, may be in the index too.
    pub(super) fn tailed<'a>(&self, tail: &'a [TailEntry]) -> impl Iterator<Item = i64> + use<'a> {
        let start = tail.partition_point(|entry| entry.id < self.low);
        let end = tail.partition_point(|entry| entry.id <= self.high);
        let slice = tail.get(start..end).unwrap_or_default();
        let (peer, last) = (self.peer, self.last);
        let (mut forward, mut backward) = (slice.iter(), slice.iter());
        std::iter::from_fn(move || if last { backward.next_back() } else { forward.next() })
            .filter(move |entry| peer.is_none_or(|peer| entry.peer == peer))
            .map(|entry| entry.id)
    }

    /// All that match.
    fn count(&self, conn: &Connection, log: LogKey, tailed: impl Iterator<Item = i64>) -> rusqlite::Result<u64> {
        let within = (log.0, log.1, self.low, self.high);
        let indexed: i64 = match self.peer {
            None => conn
                .prepare_cached("SELECT count(*) FROM log_order WHERE owner = ?1 AND shelf = ?2 AND id BETWEEN ?3 AND ?4")?
                .query_row(within, |row| row.get(0))?,
            Some(0) => conn
                .prepare_cached(
                    "SELECT count(*) FROM log_order AS i CROSS JOIN log ON log.id = i.id
                     WHERE i.owner = ?1 AND i.shelf = ?2 AND i.id BETWEEN ?3 AND ?4 AND log.peer = 0",
                )?
                .query_row(within, |row| row.get(0))?,
            Some(peer) => conn
                .prepare_cached(
                    "SELECT count(*) FROM log_peer
                     WHERE owner = ?1 AND shelf = ?2 AND id BETWEEN ?3 AND ?4 AND peer = ?5",
                )?
                .query_row((log.0, log.1, self.low, self.high, peer), |row| row.get(0))?,
        };
        let mut count = u64::try_from(indexed).unwrap_or(0);
        for id in tailed {
            let unfolded = "SELECT 1 FROM log WHERE id = ?1
                            AND NOT EXISTS (SELECT 1 FROM log_order WHERE owner = ?2 AND shelf = ?3 AND id = ?1)";
            count += u64::from(exists(conn, unfolded, (id, log.0, log.1))?);
        }
        Ok(count)
    }
}

fn ids(query: &mut Statement<'_>, params: impl Params) -> rusqlite::Result<Vec<i64>> {
    query.query_map(params, |row| row.get(0))?.collect()
}

fn exists(conn: &Connection, sql: &str, params: impl Params) -> rusqlite::Result<bool> {
    Ok(conn.prepare_cached(sql)?.query_row(params, |_| Ok(())).optional()?.is_some())
}

/// Ids of the query that lie within, in the direction of paging.
fn chosen(window: &Window, ids: &[EntryId]) -> Vec<i64> {
    let mut ids: Vec<i64> = ids.iter().filter_map(|id| i64::try_from(id.0).ok()).collect();
    ids.retain(|id| (window.low..=window.high).contains(id));
    ids.sort_unstable();
    ids.dedup();
    if window.last {
        ids.reverse();
    }
    ids
}

/// Both are in the direction of paging, and so is the answer; what is in both is there once. With whether it is `indexed`.
/// Lazy: a tail may be much longer than a page.
pub(super) fn merge(indexed: &[i64], tailed: impl Iterator<Item = i64>, last: bool) -> impl Iterator<Item = (i64, bool)> {
    let (mut indexed, mut tailed) = (indexed.iter().copied().peekable(), tailed.peekable());
    std::iter::from_fn(move || {
        let next = match (indexed.peek().copied(), tailed.peek().copied()) {
            (Some(one), Some(other)) if last => one.max(other),
            (Some(one), Some(other)) => one.min(other),
            (one, other) => one.or(other)?,
        };
        let is_indexed = indexed.next_if_eq(&next).is_some();
        tailed.next_if_eq(&next);
        Some((next, is_indexed))
    })
}

/// None when there is no such entry in this log, or it is another peer's.
fn fetched(fetch: &mut Statement<'_>, log: LogKey, id: i64, peer: Option<u64>) -> Result<Option<Entry>, Fault> {
    match fetch.query([id])?.next()? {
        Some(row) => entry(row, log, id, peer.map(|peer| peer as i64)),
        None => Ok(None),
    }
}

/// Of `owner, shelf, peer, sum, entry`.
fn entry(row: &Row<'_>, log: LogKey, id: i64, peer: Option<i64>) -> Result<Option<Entry>, Fault> {
    let (owner, shelf, of): (i64, i64, i64) = (row.get(0)?, row.get(1)?, row.get(2)?);
    if (owner, shelf) != log || peer.is_some_and(|peer| peer != of) {
        return Ok(None);
    }
    let (sum, bytes): (i64, _) = (row.get(3)?, row.get_ref(4)?);
    match bytes.as_blob() {
        Ok(bytes) if i64::from(entry_sum(owner, shelf, id, bytes)) == sum => {
            Ok(Some(Entry { id: EntryId(id as u64), entry: Bytes::copy_from_slice(bytes) }))
        }
        _ => Err(Fault::Damaged(format!("entry {id} of owner {owner} on shelf {shelf} is not what was written"))),
    }
}

/// Nothing is later than SQLite's greatest integer.
fn place(id: EntryId) -> i64 {
    i64::try_from(id.0).unwrap_or(i64::MAX)
}
