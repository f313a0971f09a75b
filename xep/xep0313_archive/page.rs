//! Answers: pages of an archive, and what is known of the whole.

use std::collections::VecDeque;
use std::sync::Arc;

use bytes::Bytes;
use iris_core::effects::{Out, To};
use iris_core::ids::IdSeal;
use iris_core::store::{Entry, EntryId, LogQuery, OwnerId, PAGE_ENTRIES_MAX, Page, Read, Rows, Shelf, StoreError};
use iris_core::xml::wire::{Hold, Wire};
use iris_core::xml::{Build, push_attr};
use iris_core::{Bounce, Changed, Condition, Cx, Finish, ns, time};

use super::NS;
use super::query::{Query, not_there};
use crate::xep0059_rsm as rsm;

/// One resource of a contact is not indexed: its messages are sought among those of the contact, and no further than this.
const SOUGHT_PAGES_MAX: usize = 50;
/// A `<message`: behind it stands the `to`.
const TO_AT: u32 = 8;

pub async fn answer(query: Query, cx: Cx) -> Finish {
    match find(&query, &cx).await {
        Ok(found) => {
            let before = results(&query, &found.entries);
            Finish::Answer { before, result: fin(&query, &found) }
        }
        Err(bounce) => Finish::Error(bounce),
    }
}

/// The same of entries that are shown otherwise than they are kept. What cannot be shown is left out.
pub async fn answer_as(query: Query, cx: Cx, shown: impl Fn(&Entry) -> Option<Bytes>) -> Finish {
    match find(&query, &cx).await {
        Ok(mut found) => {
            found.entries = found.entries.iter().filter_map(|it| Some(Entry { id: it.id, entry: shown(it)? })).collect();
            Finish::Answer { before: results(&query, &found.entries), result: fin(&query, &found) }
        }
        Err(bounce) => Finish::Error(bounce),
    }
}

/// The same of entries that were found elsewhere (`listed`).
pub fn finish(query: &Query, entries: Vec<Entry>, complete: bool, count: Option<u64>) -> Finish {
    let found = cut(query, Found { entries, complete, count });
    Finish::Answer { before: results(query, &found.entries), result: fin(query, &found) }
}

/// What the answer is made of.
struct Found {
    /// Ascending.
    entries: Vec<Entry>,
    /// Nothing more matches in the direction of paging.
    complete: bool,
    count: Option<u64>,
}

async fn find(query: &Query, cx: &Cx) -> Result<Found, Bounce> {
    // Both questions are asked before either is answered.
    let known = (!query.must_exist.is_empty()).then(|| {
        let max = u32::try_from(query.must_exist.len()).unwrap_or(u32::MAX);
        read(query, LogQuery { ids: Some(query.must_exist.clone()), peer: query.node, max, ..LogQuery::default() }, cx)
    });
    let by_resource = query.seeks;
    let first = LogQuery { max: if by_resource { PAGE_ENTRIES_MAX } else { query.log.max }, ..query.log.clone() };
    let first = read(query, first, cx);
    if let Some(known) = known
        && known.await?.entries.len() < query.must_exist.len()
    {
        return Err(not_there());
    }
    let page = first.await?;
    let found = if by_resource { seek(query, page, cx).await? } else { take(query, page) };
    Ok(cut(query, found))
}

/// Asked at once, not when it is awaited.
fn read(of: &Query, query: LogQuery, cx: &Cx) -> impl Future<Output = Result<Page, Bounce>> + use<> {
    let rows = cx.read(Read::Log { owner: of.owner, shelf: of.source.shelf, query });
    async move {
        match rows.await? {
            Rows::Log(page) => Ok(page),
            _ => Err(StoreError::Broken("another answer than was asked for".into()).into()),
        }
    }
}

/// A hash led to the entries; they themselves say whether they are meant.
fn take(query: &Query, mut page: Page) -> Found {
    page.entries.retain(|entry| matches(query, entry));
    Found { entries: page.entries, complete: page.complete, count: page.count }
}

fn matches(query: &Query, entry: &Entry) -> bool {
    (query.source.matches)(&query.me, query.with.as_ref(), &entry.entry)
}

/// Messages of one resource: page after page of its contact's, until there are enough.
async fn seek(query: &Query, mut page: Page, cx: &Cx) -> Result<Found, Bounce> {
    let enough = if query.only_count { usize::MAX } else { query.log.max as usize };
    let mut next = LogQuery { max: PAGE_ENTRIES_MAX, count: false, ..query.log.clone() };
    let mut entries = VecDeque::new();
    let mut count = 0;
    for _ in 0..SOUGHT_PAGES_MAX {
        let (first, last) = (page.entries.first().map(|entry| entry.id), page.entries.last().map(|entry| entry.id));
        let complete = page.complete || page.entries.is_empty();
        page.entries.retain(|entry| matches(query, entry));
        count += page.entries.len() as u64;
        match (query.only_count, query.log.last) {
            (true, _) => {}
            (false, false) => entries.extend(page.entries),
            (false, true) => page.entries.into_iter().rev().for_each(|entry| entries.push_front(entry)),
        }
        if complete || entries.len() >= enough {
            let count = complete.then_some(count).filter(|_| query.only_count);
            return Ok(Found { entries: entries.into(), complete, count });
        }
        if query.log.last {
            next.before = first
        } else {
            next.after = last
        }
        page = read(query, next.clone(), cx).await?;
    }
    let help = "narrow the time, or ask for the bare JID";
    Err(Bounce::over("these are more messages than are looked through at once", Changed::ByNobody(help)))
}

/// No more than the page may hold, in messages and bytes, but one message in any case.
fn cut(query: &Query, mut found: Found) -> Found {
    if query.only_count {
        found.entries.clear();
        found.complete = found.count == Some(0);
        return found;
    }
    let mut bytes = 0;
    let mut fits = |entry: &Entry| {
        let first = bytes == 0;
        bytes += entry.entry.len();
        first || bytes <= query.page_bytes_max
    };
    let max = query.log.max as usize;
    let all = found.entries.len();
    if query.log.last {
        let fitting = found.entries.iter().rev().take(max).take_while(|entry| fits(entry)).count();
        found.entries.drain(..all - fitting);
    } else {
        let fitting = found.entries.iter().take(max).take_while(|entry| fits(entry)).count();
        found.entries.truncate(fitting);
    }
    found.complete &= found.entries.len() == all;
    found
}

/// Section 4.2: one message each, in one allocation for all of them. `flip-page` (section 4.3.4) turns the order in which they
/// are sent, and nothing else.
fn results(query: &Query, entries: &[Entry]) -> Vec<Out> {
    let mut head = b"<message from='".to_vec();
    push_attr(&query.me, &mut head);
    head.extend_from_slice(format!("'><result xmlns='{NS}'").as_bytes());
    if let Some(queryid) = &query.queryid {
        head.extend_from_slice(b" queryid='");
        push_attr(queryid, &mut head);
        head.push(b'\'');
    }
    let size: usize = entries.iter().map(|entry| head.len() + entry.entry.len() + 224).sum();
    let mut all = Vec::with_capacity(size);
    let mut ends = Vec::with_capacity(entries.len());
    for entry in entries {
        all.extend_from_slice(&head);
        let (id, stamp) = (query.text(entry.id), time::datetime(entry.id.0));
        for part in
            [" id='", &id, "'><forwarded xmlns='", ns::FORWARD, "'><delay xmlns='", ns::DELAY, "' stamp='", &stamp, "'/>"]
        {
            all.extend_from_slice(part.as_bytes());
        }
        (query.source.write)(&entry.entry, query.reveal, &mut all);
        all.extend_from_slice(b"</forwarded></result></message>");
        ends.push(all.len());
    }
    let all = Bytes::from(all);
    let mut begin = 0;
    let mut outs: Vec<Out> = ends
        .into_iter()
        .map(|end| {
            let bytes = all.slice(begin..end);
            begin = end;
            Out::new(Arc::new(Wire { bytes, to_at: TO_AT, hold: Hold::Flush }), To::Full)
        })
        .collect();
    if query.flip {
        outs.reverse();
    }
    outs
}

/// Section 4.3: which page that was. Where it stands in the whole, and how long the whole is, is said where nothing has to be
/// counted for it (XEP-0059 2.1 lets it be left out where it is expensive).
fn fin(query: &Query, found: &Found) -> String {
    let whole = query.from_start && found.complete;
    let ends = found.entries.first().zip(found.entries.last()).map(|(first, last)| (query.text(first.id), query.text(last.id)));
    let given = rsm::Given {
        index: query.from_start.then_some(0).filter(|_| ends.is_some()),
        ends,
        count: found.count.or_else(|| whole.then_some(found.entries.len() as u64)),
    };
    let mut xml = Build::new();
    xml.open_ns("fin", NS).attr_opt("complete", found.complete.then_some("true"));
    given.write(&mut xml);
    string(xml)
}

/// Section 5.
pub async fn metadata(shelf: Shelf, owner: OwnerId, ids: IdSeal, cx: Cx) -> Finish {
    let ends = match cx.read(Read::Bounds { owner, shelf }).await {
        Ok(Rows::Bounds(ends)) => ends,
        Ok(_) => return Finish::Error(Bounce::new(Condition::InternalServerError)),
        Err(error) => return Finish::Error(error.into()),
    };
    let ends = ends.map(|(first, last)| (first.id, last.id));
    Finish::Answer { before: Vec::new(), result: ends_of(ends, owner, ids) }
}

/// Of an archive with something in it, its first and its last entry.
pub fn ends_of(ends: Option<(EntryId, EntryId)>, owner: OwnerId, ids: IdSeal) -> String {
    let mut xml = Build::new();
    xml.open_ns("metadata", NS);
    if let Some((first, last)) = ends {
        for (name, id) in [("start", first), ("end", last)] {
            xml.open(name).attr("id", &ids.show(owner, id)).attr("timestamp", &time::datetime(id.0)).close();
        }
    }
    string(xml)
}

fn string(xml: Build) -> String {
    String::from_utf8_lossy(&xml.finish()).into_owned()
}
