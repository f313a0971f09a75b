//! The threads that read: what was asked meanwhile is answered from one snapshot.

use std::collections::HashMap;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Instant;

use bytes::Bytes;
use iris_core::store::{Item, Owned, OwnerId, Read, Rows, Shape, Shelf, StoreError, Woken};
use rusqlite::{Connection, ErrorCode, OptionalExtension};

use super::SqliteOptions;
use super::log;
use super::queues::{Asked, answer};
use super::schema::{self, domain_of, item_sum};
use super::tail::TailEntry;
use super::writer::Shared;

/// How many questions share one snapshot.
const BATCH: usize = 64;

pub(super) struct Reader {
    path: PathBuf,
    options: SqliteOptions,
    shared: Arc<Shared>,
    /// None: opened at the next question.
    conn: Option<Connection>,
}

/// Why a question has no answer.
#[derive(Debug)]
pub(super) enum Fault {
    Sqlite(rusqlite::Error),
    /// What is stored is not what was written.
    Damaged(String),
}

impl From<rusqlite::Error> for Fault {
    fn from(error: rusqlite::Error) -> Fault {
        Fault::Sqlite(error)
    }
}

impl From<Fault> for StoreError {
    fn from(fault: Fault) -> StoreError {
        let error = match fault {
            Fault::Damaged(what) => return StoreError::Broken(what),
            Fault::Sqlite(error) => error,
        };
        match error.sqlite_error_code() {
            Some(
                ErrorCode::DatabaseBusy
                | ErrorCode::DatabaseLocked
                | ErrorCode::DiskFull
                | ErrorCode::OutOfMemory
                | ErrorCode::SchemaChanged,
            ) => StoreError::Unavailable(error.to_string()),
            _ => StoreError::Broken(error.to_string()),
        }
    }
}

impl Reader {
    pub(super) fn new(path: PathBuf, options: SqliteOptions, shared: Arc<Shared>) -> Reader {
        Reader { path, options, shared, conn: None }
    }

    pub(super) fn run(mut self) {
        let shared = Arc::clone(&self.shared);
        while let Some(batch) = shared.queues.next_reads(self.options.readers, BATCH) {
            self.batch(batch);
        }
    }

    fn batch(&mut self, batch: Vec<Asked>) {
        // The tail first, the snapshot second: what is folded between the two is in both, never in neither.
        let batch: Vec<_> = batch.into_iter().map(|asked| (self.tail_for(&asked.read), asked)).collect();
        let conn = match self.begin() {
            Ok(conn) => conn,
            Err(error) => {
                let error = StoreError::from(Fault::from(error));
                return batch.into_iter().for_each(|(_, asked)| answer(asked.answer, Err(error.clone())));
            }
        };
        let mut sound = true;
        for (tail, Asked { read, answer: to }) in batch {
            let began = Instant::now();
            let rows = catch_unwind(AssertUnwindSafe(|| self.read(&conn, &tail, read)));
            self.shared.measured.read(began);
            let rows = rows.unwrap_or_else(|_| Err(Fault::Damaged("reading panicked".to_owned())));
            if let Err(fault) = &rows {
                tracing::error!(?fault, "the store cannot read");
                sound = false;
            }
            answer(to, rows.map_err(StoreError::from));
        }
        let ended = conn.prepare_cached("COMMIT").and_then(|mut commit| commit.execute([]));
        // After an error the next question gets a connection without a past.
        self.conn = Some(conn).filter(|_| sound && ended.is_ok());
    }

    fn begin(&mut self) -> rusqlite::Result<Connection> {
        let conn = match self.conn.take() {
            Some(conn) => conn,
            None => schema::open_reader(&self.path, self.options.busy, self.options.mmap_bytes)?,
        };
        conn.prepare_cached("BEGIN")?.execute([])?;
        Ok(conn)
    }

    fn tail_for(&self, read: &Read) -> Arc<Vec<TailEntry>> {
        match read {
            Read::Log { owner, shelf, .. } | Read::Tags { owner, shelf, .. } | Read::Bounds { owner, shelf } => {
                let shelf = self.shared.shelves.id(*shelf);
                shelf.map(|shelf| self.shared.tail.of((owner.0 as i64, shelf))).unwrap_or_default()
            }
            _ => Arc::default(),
        }
    }

    fn read(&self, conn: &Connection, tail: &[TailEntry], read: Read) -> Result<Rows, Fault> {
        let id = |shelf: Shelf| self.shared.shelves.id(shelf);
        Ok(match read {
            Read::Wake { name, shelves } => Rows::Woken(self.wake(conn, &name, &shelves)?),
            Read::Value { owner, shelf, key } => Rows::Value(match id(shelf) {
                Some(shelf) => value(conn, owner.0 as i64, shelf, &key)?,
                None => None,
            }),
            Read::Values { owner, shelf, keys } => {
                let mut map = Vec::new();
                if let Some(shelf) = id(shelf) {
                    for key in keys.iter() {
                        if let Some(value) = value(conn, owner.0 as i64, shelf, key)? {
                            map.push((key.clone(), value));
                        }
                    }
                }
                Rows::Map(map)
            }
            Read::Map { owner, shelf } => {
                let mut map = Vec::new();
                if let Some(shelf) = id(shelf) {
                    items(conn, owner.0 as i64, shelf, shelf, |_, key, value| map.push((key.into(), value)))?;
                }
                Rows::Map(map)
            }
            Read::Log { owner, shelf, query } => Rows::Log(match id(shelf) {
                Some(number) => log::page(conn, (owner.0 as i64, number), shelf.text, tail, &query)?,
                None => log::nothing(&query),
            }),
            Read::Tags { owner, shelf, since, max } => Rows::Tags(match id(shelf) {
                Some(shelf) => log::tags(conn, (owner.0 as i64, shelf), tail, since, max)?,
                None => Vec::new(),
            }),
            Read::Bounds { owner, shelf } => Rows::Bounds(match id(shelf) {
                Some(shelf) => log::bounds(conn, (owner.0 as i64, shelf), tail)?,
                None => None,
            }),
            Read::Owners { suffix, after, max, shelf } => {
                Rows::Owners(owners(conn, &suffix, after.as_deref(), max, id(shelf))?)
            }
        })
    }

    fn wake(&self, conn: &Connection, name: &str, shelves: &[Shelf]) -> Result<Option<Woken>, Fault> {
        let owner: Option<i64> = conn
            .prepare_cached("SELECT id FROM owner WHERE domain = ?1 AND name = ?2")?
            .query_row((domain_of(name), name), |row| row.get(0))
            .optional()?;
        let Some(owner) = owner else { return Ok(None) };
        // By number, with the place in the question: items are answered in that order.
        let asked: HashMap<i64, (usize, Shelf)> = shelves
            .iter()
            .enumerate()
            .filter(|(_, shelf)| shelf.shape != Shape::Log)
            .filter_map(|(place, shelf)| Some((self.shared.shelves.id(*shelf)?, (place, *shelf))))
            .collect();
        let mut numbers: Vec<i64> = asked.keys().copied().collect();
        numbers.sort_unstable();
        let mut woken = Vec::new();
        // Neighbours are read in one go; a shelf that was not asked for may be large, and is not touched.
        for run in numbers.chunk_by(|earlier, later| earlier + 1 == *later) {
            let (Some(&low), Some(&high)) = (run.first(), run.last()) else { continue };
            items(conn, owner, low, high, |shelf, key, value| {
                if let Some(&(place, shelf)) = asked.get(&shelf) {
                    woken.push((place, Item { shelf, key: key.into(), value }));
                }
            })?;
        }
        woken.sort_by_key(|(place, _)| *place);
        Ok(Some(Woken { owner: OwnerId(owner as u64), items: woken.into_iter().map(|(_, item)| item).collect() }))
    }
}

/// The items of one owner on the shelves `low` to `high`, ascending by shelf and key.
fn items(conn: &Connection, owner: i64, low: i64, high: i64, mut each: impl FnMut(i64, &str, Bytes)) -> Result<(), Fault> {
    let mut query = conn.prepare_cached(
        "SELECT shelf, key, sum, value FROM item WHERE owner = ?1 AND shelf BETWEEN ?2 AND ?3 ORDER BY shelf, key",
    )?;
    let mut rows = query.query((owner, low, high))?;
    while let Some(row) = rows.next()? {
        let (shelf, key) = (row.get(0)?, text(row.get_ref(1)?)?);
        each(shelf, key, checked(owner, shelf, key, row.get(2)?, row.get_ref(3)?)?);
    }
    Ok(())
}

fn value(conn: &Connection, owner: i64, shelf: i64, key: &str) -> Result<Option<Bytes>, Fault> {
    let mut query = conn.prepare_cached("SELECT sum, value FROM item WHERE owner = ?1 AND shelf = ?2 AND key = ?3")?;
    let mut rows = query.query((owner, shelf, key))?;
    let Some(row) = rows.next()? else { return Ok(None) };
    checked(owner, shelf, key, row.get(0)?, row.get_ref(1)?).map(Some)
}

fn owners(conn: &Connection, suffix: &str, after: Option<&str>, max: u32, shelf: Option<i64>) -> Result<Vec<Owned>, Fault> {
    // `@domain` is what is asked for; those lie together. Anything else walks all.
    let domain = suffix.strip_prefix('@').filter(|domain| !domain.contains('@'));
    let mut query = conn.prepare_cached(match domain {
        Some(_) => "SELECT id, name FROM owner WHERE domain = ?1 AND name > ?2 ORDER BY name LIMIT ?3",
        None => {
            "SELECT id, name FROM owner
             WHERE substr(CAST(name AS BLOB), -length(CAST(?1 AS BLOB))) = CAST(?1 AS BLOB) AND name > ?2
             ORDER BY name LIMIT ?3"
        }
    })?;
    let mut rows = query.query((domain.unwrap_or(suffix), after.unwrap_or(""), max))?;
    let mut owners = Vec::new();
    while let Some(row) = rows.next()? {
        let (owner, name) = (row.get(0)?, text(row.get_ref(1)?)?);
        let value = match shelf {
            Some(shelf) => value(conn, owner, shelf, "")?,
            None => None,
        };
        owners.push(Owned { name: name.into(), owner: OwnerId(owner as u64), value });
    }
    Ok(owners)
}

fn text(value: rusqlite::types::ValueRef<'_>) -> Result<&str, Fault> {
    value.as_str().map_err(|_| Fault::Damaged("a name that is no text".to_owned()))
}

fn checked(owner: i64, shelf: i64, key: &str, sum: i64, value: rusqlite::types::ValueRef<'_>) -> Result<Bytes, Fault> {
    match value.as_blob() {
        Ok(value) if i64::from(item_sum(owner, shelf, key, value)) == sum => Ok(Bytes::copy_from_slice(value)),
        _ => Err(Fault::Damaged(format!("an item of owner {owner} on shelf {shelf} is not what was written"))),
    }
}
