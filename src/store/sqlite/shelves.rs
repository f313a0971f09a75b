//! Shelves by number: their names stand once in the table `shelf`, not in each row.

use std::collections::HashMap;
use std::sync::{PoisonError, RwLock};

use iris_core::hash::Seeded;
use iris_core::store::{Shape, Shelf};
use rusqlite::Connection;

/// What the committed database knows. Shared with the readers: a shelf that is not here has no rows.
#[derive(Default)]
pub(super) struct Shelves {
    by_name: RwLock<HashMap<String, (i64, i64), Seeded>>,
}

impl Shelves {
    pub(super) fn load(&self, conn: &Connection) -> rusqlite::Result<()> {
        let mut query = conn.prepare("SELECT name, id, shape FROM shelf")?;
        let rows = query.query_map([], |row| Ok((row.get(0)?, (row.get(1)?, row.get(2)?))))?;
        *self.by_name.write().unwrap_or_else(PoisonError::into_inner) = rows.collect::<Result<_, _>>()?;
        Ok(())
    }

    pub(super) fn add(&self, made: Vec<(&'static str, (i64, i64))>) {
        let mut by_name = self.by_name.write().unwrap_or_else(PoisonError::into_inner);
        by_name.extend(made.into_iter().map(|(name, known)| (name.to_owned(), known)));
    }

    pub(super) fn id(&self, shelf: Shelf) -> Option<i64> {
        Some(self.get(shelf.name)?.0)
    }

    fn get(&self, name: &str) -> Option<(i64, i64)> {
        self.by_name.read().unwrap_or_else(PoisonError::into_inner).get(name).copied()
    }
}

/// The writer's view within one transaction: also shelves that it has just made.
pub(super) struct ShelfNumbers<'a> {
    committed: &'a Shelves,
    seen: HashMap<&'static str, (i64, i64), Seeded>,
    /// What [`Shelves`] is to learn when the transaction is committed.
    pub made: Vec<(&'static str, (i64, i64))>,
}

/// Why a shelf has no number.
pub(super) enum NoShelf {
    /// It was written in another shape: the text says which.
    Shape(String),
    Store(rusqlite::Error),
}

impl<'a> ShelfNumbers<'a> {
    pub(super) fn new(committed: &'a Shelves) -> ShelfNumbers<'a> {
        ShelfNumbers { committed, seen: HashMap::default(), made: Vec::new() }
    }

    pub(super) fn number(&mut self, conn: &Connection, shelf: Shelf) -> Result<i64, NoShelf> {
        let (id, stored) = match self.seen.get(shelf.name) {
            Some(known) => *known,
            None => {
                let known = match self.committed.get(shelf.name) {
                    Some(known) => known,
                    None => self.make(conn, shelf).map_err(NoShelf::Store)?,
                };
                self.seen.insert(shelf.name, known);
                known
            }
        };
        if stored == shape_number(shelf.shape) {
            Ok(id)
        } else {
            Err(NoShelf::Shape(format!("shelf `{}` is stored in another shape than {:?}", shelf.name, shelf.shape)))
        }
    }

    fn make(&mut self, conn: &Connection, shelf: Shelf) -> rusqlite::Result<(i64, i64)> {
        let shape = shape_number(shelf.shape);
        conn.execute("INSERT INTO shelf (name, shape) VALUES (?1, ?2)", (shelf.name, shape))?;
        let known = (conn.last_insert_rowid(), shape);
        self.made.push((shelf.name, known));
        Ok(known)
    }
}

/// Part of the stored format.
pub(super) fn shape_number(shape: Shape) -> i64 {
    match shape {
        Shape::Record => 1,
        Shape::Map => 2,
        Shape::Log => 3,
    }
}
