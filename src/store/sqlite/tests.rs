//! What only SQLite promises: files, faults, crashes, and that the fold changes nothing.

use std::collections::BTreeMap;
use std::path::Path;

use iris_core::store::{EntryId, OwnerId, Write};

use super::run::{RUN_MAX, Run};
use super::tail::TailEntry;
use super::{DATABASE, SqliteOptions, SqliteStore, schema};
use crate::suite::{ARCHIVE, Client, JULIET, ROMEO, VCARD, append, put};

mod backup;
mod crash;
mod damage;
mod faults;
mod index;
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
    assert_eq!(text("PRAGMA integrity_check"), "ok");
    let index = index_of(&conn);
    let folded = schema::meta(&conn, "folded").unwrap();
    let mut log = BTreeMap::new();
    let mut query = conn.prepare("SELECT owner, shelf, id, peer, tag FROM log").unwrap();
    let mut rows = query.query([]).unwrap();
    while let Some(row) = rows.next().unwrap() {
        let (owner, shelf, entry) = (row.get(0).unwrap(), row.get(1).unwrap(), entry(row, 2));
        assert!(entry.id > folded || index.contains_key(&(owner, shelf, entry.id)), "{entry:?} is in neither tail nor index");
        log.insert((owner, shelf, entry.id), entry);
    }
    for (place, entry) in index {
        assert_eq!(log.get(&place), Some(&entry), "the index names what is not there");
    }
}

fn entry(row: &rusqlite::Row<'_>, at: usize) -> TailEntry {
    TailEntry { id: row.get(at).unwrap(), peer: row.get(at + 1).unwrap(), tag: row.get(at + 2).unwrap() }
}

/// What the runs say, by owner, shelf and id; each must be sound and keep to its bounds.
fn index_of(conn: &rusqlite::Connection) -> BTreeMap<(i64, i64, i64), TailEntry> {
    let mut index = BTreeMap::new();
    let next = "lead(first, 1, 0x7fffffffffffffff) OVER (PARTITION BY owner, shelf ORDER BY first)";
    let mut query = conn.prepare(&format!("SELECT owner, shelf, first, sum, {next}, entries FROM log_run")).unwrap();
    let mut rows = query.query([]).unwrap();
    while let Some(row) = rows.next().unwrap() {
        let [owner, shelf, first, sum, next] = [0, 1, 2, 3, 4].map(|at| row.get::<_, i64>(at).unwrap());
        let run = Run::checked((owner, shelf), first, sum, row.get_ref(5).unwrap().as_blob().unwrap()).expect("a sound run");
        assert!((1..=RUN_MAX).contains(&run.len()), "{} entries", run.len());
        assert!(run.iter().is_sorted_by(|one, other| one.id < other.id));
        assert_eq!(run.within(first, next - 1).len(), run.len(), "out of bounds");
        index.extend(run.iter().map(|entry| ((owner, shelf, entry.id), entry)));
    }
    index
}

fn remove(owner: OwnerId, id: u64) -> Write {
    Write::Remove { owner, shelf: ARCHIVE, id: EntryId(id) }
}
