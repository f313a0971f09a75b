//! What only SQLite promises: files, faults, crashes, and that the fold changes nothing.

use std::path::Path;

use iris_core::store::{EntryId, OwnerId, Write};

use super::{DATABASE, SqliteOptions, SqliteStore};
use crate::suite::{ARCHIVE, Client, JULIET, ROMEO, VCARD, append, put};

mod backup;
mod crash;
mod damage;
mod faults;
mod model;
mod opening;
mod words;

fn open(dir: &Path, options: SqliteOptions) -> Client<SqliteStore> {
    Client::new(SqliteStore::open(dir, options).unwrap(), ())
}

fn with_failpoints(spec: &str) -> SqliteOptions {
    SqliteOptions { failpoints: Some(spec.to_owned()), ..SqliteOptions::default() }
}

/// A message as it is archived: an entry for either side, and some state. Ids are 2n and 2n + 1.
fn message(number: u64) -> [Write; 3] {
    [
        append(ROMEO, 2 * number, 7, number),
        append(JULIET, 2 * number + 1, 8, number),
        put(ROMEO, VCARD, "", &number.to_string()),
    ]
}

/// How many messages are there: for both sides and in the state, or it panics.
fn messages(client: &Client<SqliteStore>) -> u64 {
    let count = |owner| {
        let query = iris_core::store::LogQuery { count: true, ..crate::suite::last(1) };
        client.page(owner, ARCHIVE, query).count.unwrap()
    };
    let state = client.value(ROMEO, VCARD, "").map_or(0, |number| number.parse().unwrap());
    assert_eq!((count(ROMEO), count(JULIET)), (state, state), "a set was kept in part");
    state
}

fn raw(dir: &Path) -> rusqlite::Connection {
    rusqlite::Connection::open(dir.join(DATABASE)).unwrap()
}

/// SQLite's own check, and that index, log and `folded` agree.
fn check_integrity(dir: &Path) {
    let conn = raw(dir);
    let text = |sql: &str| conn.query_row(sql, [], |row| row.get::<_, String>(0)).unwrap();
    let count = |sql: &str| conn.query_row(sql, [], |row| row.get::<_, i64>(0)).unwrap();
    assert_eq!(text("PRAGMA integrity_check"), "ok");
    let dangling = "SELECT count(*) FROM log_order AS i LEFT JOIN log AS l
                    ON l.id = i.id AND l.owner = i.owner AND l.shelf = i.shelf WHERE l.id IS NULL";
    assert_eq!(count(dangling), 0, "the index names what is not there");
    let dangling = "SELECT count(*) FROM log_peer AS i LEFT JOIN log AS l
                    ON l.id = i.id AND l.owner = i.owner AND l.shelf = i.shelf AND l.peer = i.peer WHERE l.id IS NULL";
    assert_eq!(count(dangling), 0, "the index by peer names what is not there");
    let missing = "SELECT count(*) FROM log AS l WHERE l.id <= (SELECT value FROM meta WHERE key = 'folded') AND
                   NOT EXISTS (SELECT 1 FROM log_order AS i WHERE i.owner = l.owner AND i.shelf = l.shelf AND i.id = l.id)";
    assert_eq!(count(missing), 0, "an entry is in neither tail nor index");
}

fn remove(owner: OwnerId, id: u64) -> Write {
    Write::Remove { owner, shelf: ARCHIVE, id: EntryId(id) }
}
