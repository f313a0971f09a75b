//! What the memory store holds, and how each [`Write`] and [`Read`] acts on it.

use std::collections::{BTreeMap, HashMap, HashSet};
use std::ops::Bound;
use std::sync::Arc;

use bytes::Bytes;

use crate::store::words::{self, TextOf};
use crate::store::{
    Entry, EntryId, Item, LogQuery, Owned, OwnerId, PAGE_BYTES_MAX, PAGE_ENTRIES_MAX, Page, Read, Rows, Shape, Shelf, Woken,
    Write, WriteSet,
};

type Name = &'static str;

#[derive(Default)]
pub(super) struct Tables {
    names: BTreeMap<Arc<str>, OwnerId>,
    owners: HashMap<OwnerId, Arc<str>>,
    items: BTreeMap<(OwnerId, Name), BTreeMap<Arc<str>, Bytes>>,
    logs: BTreeMap<(OwnerId, Name), BTreeMap<EntryId, Row>>,
    /// Every id in any log: they are unique in the whole store.
    ids: HashSet<EntryId>,
    floor: u64,
}

struct Row {
    peer: u64,
    tag: u64,
    entry: Bytes,
}

impl Tables {
    pub(super) fn floor(&self) -> u64 {
        self.floor
    }

    /// All of the set or, when false, nothing of it.
    pub(super) fn apply(&mut self, set: WriteSet) -> bool {
        if !self.allows(&set) {
            return false;
        }
        for write in set.writes {
            self.apply_one(write);
        }
        true
    }

    /// Names, owners and ids are unique. Looks ahead, so that nothing has to be undone.
    fn allows(&self, set: &WriteSet) -> bool {
        let mut names: HashMap<&str, bool> = HashMap::new();
        let mut owners: HashMap<OwnerId, Option<&str>> = HashMap::new();
        let mut ids = HashSet::new();
        set.writes.iter().all(|write| match write {
            Write::Own { owner, name } => {
                let taken = names.get(&**name).copied().unwrap_or_else(|| self.names.contains_key(name));
                let exists = owners.get(owner).map_or_else(|| self.owners.contains_key(owner), Option::is_some);
                names.insert(name, true);
                owners.insert(*owner, Some(name));
                !taken && !exists
            }
            Write::Disown { owner } => {
                let name = owners.get(owner).copied().unwrap_or_else(|| self.owners.get(owner).map(|name| &**name));
                if let Some(name) = name {
                    names.insert(name, false);
                }
                owners.insert(*owner, None);
                true
            }
            Write::Append { id, .. } => !self.ids.contains(id) && ids.insert(*id),
            _ => true,
        })
    }

    fn apply_one(&mut self, write: Write) {
        match write {
            Write::Own { owner, name } => {
                self.floor = self.floor.max(owner.0);
                self.names.insert(Arc::clone(&name), owner);
                self.owners.insert(owner, name);
            }
            Write::Disown { owner } => {
                if let Some(name) = self.owners.remove(&owner) {
                    self.names.remove(&name);
                }
                self.items.retain(|(of, _), _| *of != owner);
                let ids = &mut self.ids;
                self.logs.retain(|(of, _), log| {
                    if *of == owner {
                        log.keys().for_each(|id| {
                            ids.remove(id);
                        });
                    }
                    *of != owner
                });
            }
            Write::Put { owner, shelf, key, value } => {
                self.items.entry((owner, shelf.name)).or_default().insert(key, value);
            }
            Write::Delete { owner, shelf, key } => {
                if let Some(items) = self.items.get_mut(&(owner, shelf.name)) {
                    items.remove(&key);
                }
            }
            Write::Append { owner, shelf, id, peer, tag, entry } => {
                self.floor = self.floor.max(id.0);
                self.ids.insert(id);
                self.logs.entry((owner, shelf.name)).or_default().insert(id, Row { peer, tag, entry });
            }
            Write::Insert { owner, shelf, id, peer, tag, entry } => {
                self.insert((owner, shelf.name), id, Row { peer, tag, entry })
            }
            Write::Replace { owner, shelf, id, entry } => {
                if let Some(row) = self.logs.get_mut(&(owner, shelf.name)).and_then(|log| log.get_mut(&id)) {
                    row.entry = entry;
                }
            }
            Write::Remove { owner, shelf, id } => {
                if self.logs.get_mut(&(owner, shelf.name)).and_then(|log| log.remove(&id)).is_some() {
                    self.ids.remove(&id);
                }
            }
            Write::Expire { shelf, upto } => {
                for (_, log) in self.logs.iter_mut().filter(|((_, name), _)| *name == shelf.name) {
                    log.keys().take_while(|id| **id <= upto).for_each(|id| {
                        self.ids.remove(id);
                    });
                    log.retain(|id, _| *id > upto);
                }
            }
            Write::Trim { owner, shelf, upto } => {
                if let Some(log) = self.logs.get_mut(&(owner, shelf.name)) {
                    for id in log.keys().take_while(|id| **id <= upto) {
                        self.ids.remove(id);
                    }
                    log.retain(|id, _| *id > upto);
                }
            }
        }
    }

    fn insert(&mut self, log: (OwnerId, Name), mut id: EntryId, row: Row) {
        while self.ids.contains(&id) {
            let there = self.logs.get(&log).and_then(|log| log.get(&id));
            if there.is_some_and(|there| there.entry == row.entry) {
                return;
            }
            id = EntryId(id.0 + 1);
        }
        self.floor = self.floor.max(id.0);
        self.ids.insert(id);
        self.logs.entry(log).or_default().insert(id, row);
    }

    pub(super) fn read(&self, read: &Read) -> Rows {
        match read {
            Read::Wake { name, shelves } => Rows::Woken(self.wake(name, shelves)),
            Read::Value { owner, shelf, key } => {
                Rows::Value(self.items.get(&(*owner, shelf.name)).and_then(|items| items.get(key)).cloned())
            }
            Read::Values { owner, shelf, keys } => {
                let items = self.items.get(&(*owner, shelf.name));
                let found = |key: &Arc<str>| Some((Arc::clone(key), items?.get(key)?.clone()));
                Rows::Map(keys.iter().filter_map(found).collect())
            }
            Read::Map { owner, shelf } => {
                let items = self.items.get(&(*owner, shelf.name)).into_iter().flatten();
                Rows::Map(items.map(|(key, value)| (Arc::clone(key), value.clone())).collect())
            }
            Read::Log { owner, shelf, query } => Rows::Log(
                self.logs.get(&(*owner, shelf.name)).map_or_else(|| nothing(query), |log| page(log, query, shelf.text)),
            ),
            Read::Tags { owner, shelf, since, max } => {
                let rows = self.logs.get(&(*owner, shelf.name)).into_iter().flat_map(|log| log.range(*since..));
                let tagged = rows.rev().filter(|(_, row)| row.tag != 0).map(|(id, row)| (row.tag, *id));
                let mut tags: Vec<_> = tagged.take(*max as usize).collect();
                tags.reverse();
                Rows::Tags(tags)
            }
            Read::Bounds { owner, shelf } => {
                let log = self.logs.get(&(*owner, shelf.name));
                Rows::Bounds(log.and_then(|log| Some((entry(log.first_key_value()?), entry(log.last_key_value()?)))))
            }
            Read::Owners { suffix, after, max, shelf } => Rows::Owners(self.owners(suffix, after.as_ref(), *max, shelf)),
        }
    }

    fn wake(&self, name: &str, shelves: &[Shelf]) -> Option<Woken> {
        let owner = *self.names.get(name)?;
        let mut items = Vec::new();
        for shelf in shelves.iter().filter(|shelf| shelf.shape != Shape::Log) {
            for (key, value) in self.items.get(&(owner, shelf.name)).into_iter().flatten() {
                items.push(Item { shelf: *shelf, key: Arc::clone(key), value: value.clone() });
            }
        }
        Some(Woken { owner, items })
    }

    fn owners(&self, suffix: &str, after: Option<&Arc<str>>, max: u32, shelf: &Shelf) -> Vec<Owned> {
        let from: Bound<&Arc<str>> = after.map_or(Bound::Unbounded, Bound::Excluded);
        let names = self.names.range::<Arc<str>, _>((from, Bound::Unbounded));
        names
            .filter(|(name, _)| name.ends_with(suffix))
            .take(max as usize)
            .map(|(name, owner)| {
                let value = self.items.get(&(*owner, shelf.name)).and_then(|items| items.get("")).cloned();
                Owned { name: Arc::clone(name), owner: *owner, value }
            })
            .collect()
    }
}

fn nothing(query: &LogQuery) -> Page {
    Page { entries: Vec::new(), complete: true, count: query.count.then_some(0) }
}

fn entry((id, row): (&EntryId, &Row)) -> Entry {
    Entry { id: *id, entry: row.entry.clone() }
}

fn page(log: &BTreeMap<EntryId, Row>, query: &LogQuery, text: Option<TextOf>) -> Page {
    let has_words = |row: &Row| {
        query.words.is_empty() || text.and_then(|text| text(&row.entry)).is_some_and(|text| words::has_all(&text, &query.words))
    };
    let matching: Vec<_> = log
        .iter()
        .filter(|(id, row)| {
            query.peer.is_none_or(|peer| row.peer == peer)
                && query.from.is_none_or(|from| **id >= from)
                && query.until.is_none_or(|until| **id <= until)
                && query.after.is_none_or(|after| **id > after)
                && query.before.is_none_or(|before| **id < before)
                && query.ids.as_ref().is_none_or(|ids| ids.contains(id))
                && has_words(row)
        })
        .collect();
    let (mut bytes, max) = (0, query.max.min(PAGE_ENTRIES_MAX) as usize);
    let fits = |(_, row): &&(&EntryId, &Row)| {
        let first = bytes == 0;
        bytes += row.entry.len();
        first || bytes <= PAGE_BYTES_MAX
    };
    let taken = match query.last {
        true => matching.iter().rev().take(max).take_while(fits).count(),
        false => matching.iter().take(max).take_while(fits).count(),
    };
    let skipped = if query.last { matching.len() - taken } else { 0 };
    Page {
        entries: matching.iter().skip(skipped).take(taken).map(|(id, row)| entry((id, row))).collect(),
        complete: taken == matching.len(),
        count: query.count.then_some(matching.len() as u64),
    }
}
