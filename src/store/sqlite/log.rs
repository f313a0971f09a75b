//! Pages, tags and bounds of a log: the index on disk and the tail in memory, read as one.

use std::collections::HashSet;
use std::rc::Rc;

use bytes::Bytes;
use iris_core::store::words::{self, TextOf};
use iris_core::store::{Entry, EntryId, LogQuery, PAGE_BYTES_MAX, PAGE_ENTRIES_MAX, Page};
use rusqlite::types::Value;
use rusqlite::vtab::array::Array;
use rusqlite::{Connection, OptionalExtension, Row};

use super::index;
use super::reader::Fault;
use super::schema::entry_sum;
use super::search;
use super::tail::{LogKey, TailEntry};

/// How many entries are asked for at once: a page of fifty, and the one that tells whether more follows.
const PORTION: usize = 64;

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
        let indexed = window.indexed(conn, log, max + 1)?;
        gather.take(conn, log, query.peer, merge(&indexed, window.tailed(tail), query.last), &all)?;
        if query.count {
            gather.page.count = Some(window.count(conn, log, tail)?);
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
        // One statement for many: what a step costs beside the search for its row is most of what it costs.
        let mut fetch = conn.prepare_cached(
            "SELECT log.id, sum, entry FROM rarray(?1) AS wanted CROSS JOIN log ON log.id = wanted.value
             WHERE owner = ?2 AND shelf = ?3 AND peer = ifnull(?4, peer)",
        )?;
        let mut candidates = candidates.peekable();
        while candidates.peek().is_some() {
            let portion: Vec<(i64, bool)> = candidates.by_ref().take(PORTION).collect();
            let ids: Array = Rc::new(portion.iter().map(|(id, _)| Value::Integer(*id)).collect());
            let mut rows = fetch.query((ids, log.0, log.1, peer.map(|peer| peer as i64)))?;
            let mut portion = portion.into_iter();
            while let Some(row) = rows.next()? {
                let entry = entry(row, log)?;
                are_gone(portion.by_ref().take_while(|(id, _)| *id as u64 != entry.id.0))?;
                if wanted(&entry.entry) {
                    self.put(entry);
                }
                if self.has_enough() {
                    return Ok(());
                }
            }
            are_gone(portion)?;
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

/// Candidates that the log has not, or has for another peer: removed since, or never there. What the index names is there, for it
/// changes in one transaction with the log.
fn are_gone(mut candidates: impl Iterator<Item = (i64, bool)>) -> Result<(), Fault> {
    match candidates.find(|(_, indexed)| *indexed) {
        Some((id, _)) => Err(Fault::Damaged(format!("the index names entry {id}, the log has none"))),
        None => Ok(()),
    }
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
    let mut newest: Vec<(i64, i64)> = Vec::new();
    index::walk(conn, log, (since, i64::MAX), true, |entry| {
        newest.extend(Some((entry.id, entry.tag)).filter(|_| entry.tag != 0));
        newest.len() < max as usize
    })?;
    for recent in tail.iter().filter(|recent| recent.id >= since && recent.tag != 0) {
        if exists(conn, recent.id)? {
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

    /// The first `limit` ids that the index on disk has, in the direction of paging.
    pub(super) fn indexed(&self, conn: &Connection, log: LogKey, limit: usize) -> Result<Vec<i64>, Fault> {
        let mut ids = Vec::new();
        self.walk(conn, log, |id| {
            ids.push(id);
            ids.len() < limit
        })?;
        Ok(ids)
    }

    /// The same one by one, until `each` says false.
    fn walk(&self, conn: &Connection, log: LogKey, mut each: impl FnMut(i64) -> bool) -> Result<(), Fault> {
        index::walk(conn, log, (self.low, self.high), self.last, |entry| {
            self.peer.is_some_and(|peer| peer != entry.peer) || each(entry.id)
        })
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
    fn count(&self, conn: &Connection, log: LogKey, tail: &[TailEntry]) -> Result<u64, Fault> {
        let (mut count, mut both) = (0, HashSet::new());
        let unfolded = tail.first().map_or(i64::MAX, |entry| entry.id);
        self.walk(conn, log, |id| {
            both.extend(Some(id).filter(|id| *id >= unfolded));
            count += 1;
            true
        })?;
        for id in self.tailed(tail) {
            count += u64::from(!both.contains(&id) && exists(conn, id)?);
        }
        Ok(count)
    }
}

/// Of the tail's, which may be gone.
fn exists(conn: &Connection, id: i64) -> rusqlite::Result<bool> {
    Ok(conn.prepare_cached("SELECT 1 FROM log WHERE id = ?1")?.query_row([id], |_| Ok(())).optional()?.is_some())
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

/// Of `id, sum, entry`.
fn entry(row: &Row<'_>, log: LogKey) -> Result<Entry, Fault> {
    let (id, sum, bytes): (i64, i64, _) = (row.get(0)?, row.get(1)?, row.get_ref(2)?);
    match bytes.as_blob() {
        Ok(bytes) if i64::from(entry_sum(log.0, log.1, id, bytes)) == sum => {
            Ok(Entry { id: EntryId(id as u64), entry: Bytes::copy_from_slice(bytes) })
        }
        _ => Err(Fault::Damaged(format!("entry {id} of owner {} on shelf {} is not what was written", log.0, log.1))),
    }
}

/// Nothing is later than SQLite's greatest integer.
fn place(id: EntryId) -> i64 {
    i64::try_from(id.0).unwrap_or(i64::MAX)
}
