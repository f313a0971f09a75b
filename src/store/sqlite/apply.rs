//! Each [`Write`], as statements within the writer's transaction.

use std::collections::{BTreeMap, BTreeSet};

use bytes::Bytes;
use iris_core::store::{EntryId, OwnerId, Shape, Shelf, Write, WriteSet};
use rusqlite::{Connection, ErrorCode, OptionalExtension};

use super::appends::{Appends, Row};
use super::index;
use super::schema::{domain_of, entry_sum, item_sum};
use super::shelves::{NoShelf, ShelfNumbers, Shelves};
use super::tail::{LogKey, Tail, TailChange, TailEntry};
use super::words::{self, Searchable};

/// Why a set was not applied.
#[derive(Debug)]
pub(super) enum Fault {
    /// The set itself cannot be: a name that is taken, an id that exists, a shelf of another shape.
    Set(String),
    Store(rusqlite::Error),
}

impl From<rusqlite::Error> for Fault {
    fn from(error: rusqlite::Error) -> Fault {
        match error.sqlite_error_code() {
            Some(ErrorCode::ConstraintViolation) => Fault::Set(error.to_string()),
            _ => Fault::Store(error),
        }
    }
}

impl From<NoShelf> for Fault {
    fn from(reason: NoShelf) -> Fault {
        match reason {
            NoShelf::Shape(why) => Fault::Set(why),
            NoShelf::Store(error) => error.into(),
        }
    }
}

/// The sets of one transaction on their way into the tables, and what follows when it is committed.
pub(super) struct Applying<'a> {
    conn: &'a Connection,
    shelves: ShelfNumbers<'a>,
    tail: &'a Tail,
    reach: Reach<'a>,
    appends: Appends<'a>,
    /// The set that is applied, or that is to blame for a fault.
    pub at: usize,
    pub outcome: Outcome,
}

/// How far the indices are.
#[derive(Clone, Copy)]
pub(super) struct Reach<'a> {
    /// Ids up to here are in the index (or being folded into it); they no longer go to the tail.
    pub folded: i64,
    /// Ids up to here are in the index of words.
    pub worded: i64,
    pub searchable: &'a Searchable,
}

#[derive(Default)]
pub(super) struct Outcome {
    pub tail: Vec<TailChange>,
    pub shelves: Vec<(&'static str, (i64, i64))>,
    /// Entries put into logs.
    pub appended: u64,
    /// The greatest id of the sets.
    pub floor: u64,
    /// Rows are gone whose ids the floor may stand on.
    pub removed: bool,
    /// Something is gone that must not be found in any file.
    pub erased: bool,
    /// Entries that the index of words does not have yet.
    pub wordless: usize,
    /// The index of words begins anew.
    pub unworded: bool,
    /// What is to be forgotten when there is time: a shelf's number, up to where.
    pub expire: Vec<(i64, i64)>,
}

impl<'a> Applying<'a> {
    pub(super) fn new(
        conn: &'a Connection,
        shelves: &'a Shelves,
        tail: &'a Tail,
        reach: Reach<'a>,
    ) -> rusqlite::Result<Applying<'a>> {
        let (shelves, appends) = (ShelfNumbers::new(shelves), Appends::new(conn)?);
        Ok(Applying { conn, shelves, tail, reach, appends, at: 0, outcome: Outcome::default() })
    }

    pub(super) fn set(&mut self, at: usize, set: &WriteSet) -> Result<(), Fault> {
        self.at = at;
        set.writes.iter().try_for_each(|write| self.write(write))
    }

    /// All sets are in the tables.
    pub(super) fn flush(&mut self) -> Result<(), Fault> {
        let done = self.appends.flush();
        self.appended(done)
    }

    fn appended(&mut self, done: Result<(), (usize, rusqlite::Error)>) -> Result<(), Fault> {
        done.map_err(|(set, error)| {
            self.at = set;
            Fault::from(error)
        })
    }

    pub(super) fn finish(self) -> Outcome {
        Outcome { shelves: self.shelves.made, ..self.outcome }
    }

    fn write(&mut self, write: &Write) -> Result<(), Fault> {
        // What looks at the log, or counts on the order, finds there what came before it.
        if !matches!(write, Write::Append { .. } | Write::Put { .. } | Write::Delete { .. }) {
            self.flush()?;
        }
        match write {
            Write::Own { owner, name } => self.own(*owner, name),
            Write::Disown { owner } => self.disown(*owner),
            Write::Put { owner, shelf, key, value } => self.put(*owner, *shelf, key, value),
            Write::Delete { owner, shelf, key } => self.delete(*owner, *shelf, key),
            Write::Append { owner, shelf, id, peer, tag, entry } => {
                let log = self.log(*owner, *shelf)?;
                self.outcome.appended += 1;
                self.append(log, *id, *peer as i64, *tag as i64, entry)
            }
            Write::Insert { owner, shelf, id, peer, tag, entry } => {
                let log = self.log(*owner, *shelf)?;
                self.insert(log, *id, *peer as i64, *tag as i64, entry)
            }
            Write::Replace { owner, shelf, id, entry } => self.replace(*owner, *shelf, *id, entry),
            Write::Remove { owner, shelf, id } => {
                let log = self.log(*owner, *shelf)?;
                self.remove(log, &[id.0 as i64])
            }
            Write::Trim { owner, shelf, upto } => {
                let log = self.log(*owner, *shelf)?;
                self.trim(log, i64::try_from(upto.0).unwrap_or(i64::MAX))
            }
            Write::Expire { shelf, upto } => {
                let (_, shelf) = self.log(OwnerId(0), *shelf)?;
                self.outcome.expire.push((shelf, i64::try_from(upto.0).unwrap_or(i64::MAX)));
                Ok(())
            }
        }
    }

    fn own(&mut self, owner: OwnerId, name: &str) -> Result<(), Fault> {
        self.conn.prepare_cached("INSERT INTO owner (id, domain, name) VALUES (?1, ?2, ?3)")?.execute((
            owner.0 as i64,
            domain_of(name),
            name,
        ))?;
        self.outcome.floor = self.outcome.floor.max(owner.0);
        Ok(())
    }

    fn disown(&mut self, owner: OwnerId) -> Result<(), Fault> {
        let owner = owner.0 as i64;
        let shelves: Vec<i64> =
            self.conn.prepare_cached("SELECT id FROM shelf")?.query_map([], |row| row.get(0))?.collect::<Result<_, _>>()?;
        for shelf in shelves {
            self.trim((owner, shelf), i64::MAX)?;
        }
        self.conn.prepare_cached("DELETE FROM item WHERE owner = ?1")?.execute([owner])?;
        self.conn.prepare_cached("DELETE FROM owner WHERE id = ?1")?.execute([owner])?;
        self.outcome.tail.push(TailChange::Forget(owner));
        self.outcome.removed = true;
        Ok(())
    }

    fn put(&mut self, owner: OwnerId, shelf: Shelf, key: &str, value: &[u8]) -> Result<(), Fault> {
        let (owner, shelf) = self.items(owner, shelf)?;
        self.conn
            .prepare_cached(
                "INSERT INTO item (owner, shelf, key, sum, value) VALUES (?1, ?2, ?3, ?4, ?5)
                 ON CONFLICT (owner, shelf, key) DO UPDATE SET sum = ?4, value = ?5",
            )?
            .execute((owner, shelf, key, item_sum(owner, shelf, key, value), value))?;
        Ok(())
    }

    fn delete(&mut self, owner: OwnerId, shelf: Shelf, key: &str) -> Result<(), Fault> {
        let (owner, shelf) = self.items(owner, shelf)?;
        self.conn
            .prepare_cached("DELETE FROM item WHERE owner = ?1 AND shelf = ?2 AND key = ?3")?
            .execute((owner, shelf, key))?;
        Ok(())
    }

    fn append(&mut self, log: LogKey, id: EntryId, peer: i64, tag: i64, entry: &Bytes) -> Result<(), Fault> {
        let Ok(place) = i64::try_from(id.0) else {
            return Err(Fault::Set(format!("{} is no time", id.0)));
        };
        let done = self.appends.add(Row { set: self.at, id: place, log, peer, tag, entry: entry.clone() });
        self.appended(done)?;
        self.outcome.floor = self.outcome.floor.max(id.0);
        self.let_find(log, place, peer, entry)?;
        if place > self.reach.folded {
            self.outcome.tail.push(TailChange::Add(log, TailEntry { id: place, peer, tag }));
            return Ok(());
        }
        // Two shards may submit in another order than they took their ids: this one comes after the fold passed it.
        index::add(self.conn, log, TailEntry { id: place, peer, tag }).map_err(Fault::from)
    }

    /// It never comes into the tail, which is ascending: the index on disk may have entries of any age.
    fn insert(&mut self, log: LogKey, id: EntryId, peer: i64, tag: i64, entry: &Bytes) -> Result<(), Fault> {
        let Ok(mut place) = i64::try_from(id.0) else {
            return Err(Fault::Set(format!("{} is no time", id.0)));
        };
        let (owner, shelf) = log;
        loop {
            let mut there =
                self.conn.prepare_cached("SELECT owner = ?2 AND shelf = ?3 AND entry = ?4 FROM log WHERE id = ?1")?;
            match there.query_row((place, owner, shelf, &entry[..]), |row| row.get::<_, bool>(0)).optional()? {
                None => break,
                Some(true) => return Ok(()),
                Some(false) => place += 1,
            }
        }
        let done = self.appends.add(Row { set: self.at, id: place, log, peer, tag, entry: entry.clone() });
        self.appended(done)?;
        self.outcome.floor = self.outcome.floor.max(u64::try_from(place).unwrap_or(0));
        self.let_find(log, place, peer, entry)?;
        index::add(self.conn, log, TailEntry { id: place, peer, tag }).map_err(Fault::from)
    }

    fn replace(&mut self, owner: OwnerId, shelf: Shelf, id: EntryId, entry: &[u8]) -> Result<(), Fault> {
        let (log, id) = (self.log(owner, shelf)?, id.0 as i64);
        let Some(peer) = self.peer(log, id)? else { return Ok(()) };
        self.unword(log, id)?;
        let (owner, shelf) = log;
        self.conn.prepare_cached("UPDATE log SET sum = ?2, entry = ?3 WHERE id = ?1")?.execute((
            id,
            entry_sum(owner, shelf, id, entry),
            entry,
        ))?;
        if id <= self.reach.worded { self.word(log, id, peer, entry) } else { Ok(()) }
    }

    /// None: no such entry.
    fn peer(&self, log: LogKey, id: i64) -> Result<Option<i64>, Fault> {
        let mut query = self.conn.prepare_cached("SELECT peer FROM log WHERE id = ?1 AND owner = ?2 AND shelf = ?3")?;
        Ok(query.query_row((id, log.0, log.1), |row| row.get(0)).optional()?)
    }

    /// The index of words comes to it later, or has passed it already.
    fn let_find(&mut self, log: LogKey, id: i64, peer: i64, entry: &[u8]) -> Result<(), Fault> {
        if id > self.reach.worded {
            self.outcome.wordless += 1;
            return Ok(());
        }
        self.word(log, id, peer, entry)
    }

    /// An entry that the index of words has passed.
    fn word(&self, log: LogKey, id: i64, peer: i64, entry: &[u8]) -> Result<(), Fault> {
        match self.reach.searchable.get(&log.1) {
            Some(Some(text)) if !self.outcome.unworded => Ok(words::insert(self.conn, *text, log, id, peer, entry)?),
            _ => Ok(()),
        }
    }

    /// What is stored under this id is about to go: out of the index of words with it.
    fn unword(&mut self, log: LogKey, id: i64) -> Result<(), Fault> {
        self.outcome.erased = true;
        if id > self.reach.worded || self.outcome.unworded {
            return Ok(());
        }
        match self.reach.searchable.get(&log.1) {
            Some(Some(text)) => words::forget(self.conn, *text, log, id)?,
            Some(None) => {
                words::forget_all(self.conn)?;
                self.outcome.unworded = true;
            }
            None => {}
        }
        Ok(())
    }

    /// Forget the `count` oldest entries of a shelf, whosoever they are. False: there are no more up to `upto`.
    pub(super) fn expire(&mut self, shelf: i64, upto: i64, count: usize) -> Result<bool, Fault> {
        let mut oldest =
            self.conn.prepare_cached("SELECT id, owner FROM log WHERE id <= ?1 AND shelf = ?2 ORDER BY id LIMIT ?3")?;
        let found = oldest.query_map((upto, shelf, count as i64), |row| Ok((row.get(0)?, row.get(1)?)))?;
        let found: Vec<(i64, i64)> = found.collect::<Result<_, _>>()?;
        // Those of one owner lie in one run.
        let mut owners: BTreeMap<i64, Vec<i64>> = BTreeMap::new();
        found.iter().for_each(|(id, owner)| owners.entry(*owner).or_default().push(*id));
        for (owner, ids) in owners {
            self.remove((owner, shelf), &ids)?;
        }
        Ok(found.len() == count)
    }

    /// `ids` are ascending.
    fn remove(&mut self, log: LogKey, ids: &[i64]) -> Result<(), Fault> {
        // Also when an entry is in the tail: a fold may be half-way.
        index::remove(self.conn, log, ids)?;
        ids.iter().try_for_each(|id| self.erase(log, *id))
    }

    /// What the index has forgotten already.
    fn erase(&mut self, log: LogKey, id: i64) -> Result<(), Fault> {
        if self.peer(log, id)?.is_none() {
            return Ok(());
        }
        self.unword(log, id)?;
        self.conn.prepare_cached("DELETE FROM log WHERE id = ?1")?.execute([id])?;
        self.outcome.tail.push(TailChange::Remove(log, id));
        self.outcome.removed = true;
        Ok(())
    }

    fn trim(&mut self, log: LogKey, upto: i64) -> Result<(), Fault> {
        let mut ids: BTreeSet<i64> = index::trim(self.conn, log, upto)?.into_iter().collect();
        ids.extend(self.tail.of(log).iter().map(|entry| entry.id).filter(|id| *id <= upto));
        // What this very transaction appended is in neither.
        ids.extend(self.outcome.tail.iter().filter_map(|change| match change {
            TailChange::Add(to, entry) if *to == log && entry.id <= upto => Some(entry.id),
            _ => None,
        }));
        ids.into_iter().try_for_each(|id| self.erase(log, id))
    }

    fn log(&mut self, owner: OwnerId, shelf: Shelf) -> Result<LogKey, Fault> {
        if shelf.shape != Shape::Log {
            return Err(Fault::Set(format!("shelf `{}` is no log", shelf.name)));
        }
        Ok((owner.0 as i64, self.shelves.number(self.conn, shelf)?))
    }

    fn items(&mut self, owner: OwnerId, shelf: Shelf) -> Result<LogKey, Fault> {
        if shelf.shape == Shape::Log {
            return Err(Fault::Set(format!("shelf `{}` is a log", shelf.name)));
        }
        Ok((owner.0 as i64, self.shelves.number(self.conn, shelf)?))
    }
}
