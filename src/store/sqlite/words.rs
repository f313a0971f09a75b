//! The words of searchable logs: an FTS5 index over entries up to meta `worded`.
//!
//! It is made behind the log, in small steps when the writer has nothing else to do; what is behind it is read as it stands (see
//! `search.rs`). The index keeps no text of its own (`content=''`): what leaves the log is taken out of it by its words, which are
//! found anew, and with `secure-delete` they are really gone, not only marked as gone.
//!
//! A term is `shelf_owner_word`: each owner has an index of their own within the one table, and a common word of others costs nothing.
//! One more term of each entry, `shelf_owner~peer`, says whose it is.

use std::collections::HashMap;

use iris_core::store::Shelf;
use iris_core::store::words::{self, TextOf};
use rusqlite::{Connection, OptionalExtension};

use super::schema::{meta, set_meta};
use super::shelves::shape_number;
use super::tail::LogKey;

/// Which shelves are searchable, by number. None: this one was, but whoever opened the store does not know how.
pub(super) type Searchable = HashMap<i64, Option<TextOf>>;

/// Another number: what is a word has changed, and the index begins anew.
const VERSION: i64 = 1;

/// What is searchable; what is so for the first time is indexed from its beginning.
pub(super) fn prepare(conn: &mut Connection, shelves: &[Shelf]) -> rusqlite::Result<Searchable> {
    let known = {
        let mut query = conn.prepare("SELECT name, id, searched FROM shelf")?;
        let rows = query.query_map([], |row| Ok((row.get(0)?, (row.get(1)?, row.get(2)?))))?;
        rows.collect::<Result<HashMap<String, (i64, bool)>, _>>()?
    };
    let mut searchable: Searchable = known.values().filter(|(_, searched)| *searched).map(|(id, _)| (*id, None)).collect();
    let anew = |shelf: &&Shelf| !known.get(shelf.name).is_some_and(|(_, searched)| *searched);
    if shelves.iter().any(|shelf| anew(&shelf)) || meta(conn, "words")? != VERSION {
        let transaction = conn.transaction()?;
        for shelf in shelves.iter().filter(anew) {
            transaction.execute(
                "INSERT INTO shelf (name, shape, searched) VALUES (?1, ?2, 1) ON CONFLICT (name) DO UPDATE SET searched = 1",
                (shelf.name, shape_number(shelf.shape)),
            )?;
        }
        forget_all(&transaction)?;
        set_meta(&transaction, "words", VERSION)?;
        transaction.commit()?;
    }
    for shelf in shelves {
        let id = conn.query_row("SELECT id FROM shelf WHERE name = ?1", [shelf.name], |row| row.get(0))?;
        searchable.insert(id, shelf.text);
    }
    Ok(searchable)
}

/// Entries that are not indexed yet.
pub(super) fn backlog(conn: &Connection) -> rusqlite::Result<usize> {
    let count = "SELECT count(*) FROM log WHERE id > ?1";
    let count: i64 = conn.query_row(count, [meta(conn, "worded")?], |row| row.get(0))?;
    Ok(usize::try_from(count).unwrap_or(0))
}

/// Index up to `rows` more entries of the log, in a transaction of the caller. How many there were, and up to where it reaches now.
pub(super) fn step(conn: &Connection, searchable: &Searchable, rows: usize) -> rusqlite::Result<(usize, i64)> {
    let done = meta(conn, "worded")?;
    let mut query = conn.prepare_cached("SELECT id, owner, shelf, peer, entry FROM log WHERE id > ?1 ORDER BY id LIMIT ?2")?;
    let mut found = query.query((done, rows as i64))?;
    let (mut count, mut upto) = (0, done);
    while let Some(row) = found.next()? {
        let (id, log, peer): (i64, LogKey, i64) = (row.get(0)?, (row.get(1)?, row.get(2)?), row.get(3)?);
        if let Some(Some(text)) = searchable.get(&log.1)
            && let Ok(entry) = row.get_ref(4)?.as_blob()
        {
            insert(conn, *text, log, id, peer, entry)?;
        }
        (count, upto) = (count + 1, id);
    }
    if upto != done {
        set_meta(conn, "worded", upto)?;
    }
    Ok((count, upto))
}

/// An entry that comes when the index has passed its id.
pub(super) fn insert(conn: &Connection, text: TextOf, log: LogKey, id: i64, peer: i64, entry: &[u8]) -> rusqlite::Result<()> {
    if let Some(terms) = terms(text, log, peer, entry) {
        conn.prepare_cached("INSERT INTO log_words (rowid, words) VALUES (?1, ?2)")?.execute((id, terms))?;
    }
    Ok(())
}

/// What is replaced or removed is no longer found. Before it is: the entry itself says under which words.
pub(super) fn forget(conn: &Connection, text: TextOf, log: LogKey, id: i64) -> rusqlite::Result<()> {
    let mut stored = conn.prepare_cached("SELECT peer, entry FROM log WHERE id = ?1 AND owner = ?2 AND shelf = ?3")?;
    let found: Option<(i64, Vec<u8>)> =
        stored.query_row((id, log.0, log.1), |row| Ok((row.get(0)?, row.get(1)?))).optional()?;
    if let Some(terms) = found.and_then(|(peer, entry)| terms(text, log, peer, &entry)) {
        conn.prepare_cached("INSERT INTO log_words (log_words, rowid, words) VALUES ('delete', ?1, ?2)")?
            .execute((id, terms))?;
    }
    Ok(())
}

/// Begin anew: something is indexed that nobody here can find the words of.
pub(super) fn forget_all(conn: &Connection) -> rusqlite::Result<()> {
    conn.execute_batch("INSERT INTO log_words (log_words) VALUES ('delete-all')")?;
    set_meta(conn, "worded", 0)
}

fn terms(text: TextOf, log: LogKey, peer: i64, entry: &[u8]) -> Option<String> {
    let words = words::of(&text(entry)?);
    if words.is_empty() {
        return None;
    }
    let (mut terms, before) = (peer_term(log, peer), format!(" {}", word_term(log, "")));
    for word in words {
        terms.push_str(&before);
        terms.push_str(&word);
    }
    Some(terms)
}

fn word_term(log: LogKey, word: &str) -> String {
    format!("{:x}_{:x}_{word}", log.1, log.0)
}

fn peer_term(log: LogKey, peer: i64) -> String {
    format!("{:x}_{:x}~{peer:x}", log.1, log.0)
}

/// A query in FTS5's language. The words are letters and digits and stand in quotes: nothing that was asked is ever understood as
/// anything but a word (security D4).
pub(super) fn expression(log: LogKey, peer: Option<i64>, wanted: &[String]) -> String {
    let mut parts: Vec<String> = wanted.iter().map(|word| format!("\"{}\" *", word_term(log, &plain(word)))).collect();
    parts.extend(peer.map(|peer| format!("\"{}\"", peer_term(log, peer))));
    parts.join(" AND ")
}

fn plain(word: &str) -> String {
    word.chars().filter(|c| c.is_alphanumeric()).collect()
}
