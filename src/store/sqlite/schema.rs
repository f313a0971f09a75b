//! The tables, how they came to be, and how a connection is prepared.
//!
//! Times and ids are microseconds since 1970 (`EntryId`, `OwnerId`) in SQLite's 64-bit integers; hashes are bit patterns.

use std::path::Path;
use std::time::Duration;

use rusqlite::config::DbConfig;
use rusqlite::vtab::array;
use rusqlite::{Connection, OpenFlags};

use super::index;

/// "Iris", in the file's header: what tells our database from anybody else's.
pub(super) const APPLICATION_ID: i32 = 0x4972_6973;

enum Step {
    Sql(&'static str),
    Code(fn(&Connection) -> rusqlite::Result<()>),
}

/// One step per schema version, from 0 (an empty file). A step that was released is never changed; a new one is added.
const MIGRATIONS: &[Step] = &[
    Step::Sql(
        "
CREATE TABLE meta (
    key TEXT PRIMARY KEY,
    value INTEGER NOT NULL
) WITHOUT ROWID;

CREATE TABLE shelf (
    id INTEGER PRIMARY KEY,
    name TEXT NOT NULL UNIQUE,
    shape INTEGER NOT NULL
);

-- `domain` is what follows the last @ of the name, so that the owners of a domain lie together.
CREATE TABLE owner (
    id INTEGER PRIMARY KEY,
    domain TEXT NOT NULL,
    name TEXT NOT NULL
);
CREATE UNIQUE INDEX owner_name ON owner (domain, name);

-- Records (empty key) and maps. All of one owner lie together: an account wakes with one seek.
CREATE TABLE item (
    owner INTEGER NOT NULL,
    shelf INTEGER NOT NULL,
    key TEXT NOT NULL,
    sum INTEGER NOT NULL,
    value BLOB NOT NULL,
    PRIMARY KEY (owner, shelf, key)
) WITHOUT ROWID;

-- Grows at its end only.
CREATE TABLE log (
    id INTEGER PRIMARY KEY,
    owner INTEGER NOT NULL,
    shelf INTEGER NOT NULL,
    peer INTEGER NOT NULL,
    tag INTEGER NOT NULL,
    sum INTEGER NOT NULL,
    entry BLOB NOT NULL
);

-- The indices of `log`, for ids up to meta `folded` (and maybe some later ones: see fold.rs). Not SQL indices, because those
-- would be written with each append.
CREATE TABLE log_order (
    owner INTEGER NOT NULL,
    shelf INTEGER NOT NULL,
    id INTEGER NOT NULL,
    PRIMARY KEY (owner, shelf, id)
) WITHOUT ROWID;
CREATE TABLE log_peer (
    owner INTEGER NOT NULL,
    shelf INTEGER NOT NULL,
    peer INTEGER NOT NULL,
    id INTEGER NOT NULL,
    PRIMARY KEY (owner, shelf, peer, id)
) WITHOUT ROWID;
",
    ),
    Step::Sql(
        "
-- Random bytes, made with the database.
CREATE TABLE secret (
    name TEXT PRIMARY KEY,
    bytes BLOB NOT NULL
) WITHOUT ROWID;
INSERT INTO secret (name, bytes) VALUES ('house', randomblob(16));
",
    ),
    Step::Sql(
        r#"
-- The words of searchable logs, for ids up to meta `worded`: see words.rs. Without positions, sizes and text; what is deleted is
-- overwritten, not marked.
CREATE VIRTUAL TABLE log_words USING fts5 (words, content='', detail=none, columnsize=0, tokenize="ascii tokenchars '_~'");
INSERT INTO log_words (log_words, rank) VALUES ('secure-delete', 1);
-- 1: the words of this log are, or were, in `log_words`.
ALTER TABLE shelf ADD COLUMN searched INTEGER NOT NULL DEFAULT 0;
"#,
    ),
    // `log_order` and `log_peer` become `log_run`.
    Step::Code(index::build),
];

/// The schema version that this program writes.
pub(super) const VERSION: i64 = MIGRATIONS.len() as i64;

/// What kind of database a file holds.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Found {
    Empty,
    Ours { version: i64 },
    Foreign,
}

pub(super) fn inspect(conn: &Connection) -> rusqlite::Result<Found> {
    let number = |pragma: &str| conn.pragma_query_value(None, pragma, |row| row.get::<_, i64>(0));
    let version = match number("user_version") {
        Err(error) if error.sqlite_error_code() == Some(rusqlite::ErrorCode::NotADatabase) => return Ok(Found::Foreign),
        version => version?,
    };
    let tables: i64 = conn.query_row("SELECT count(*) FROM sqlite_schema", [], |row| row.get(0))?;
    Ok(match number("application_id")? {
        ours if ours == i64::from(APPLICATION_ID) => Found::Ours { version },
        0 if tables == 0 && version == 0 => Found::Empty,
        _ => Found::Foreign,
    })
}

/// Bring the tables from `version` to [`VERSION`], each step whole or not at all.
pub(super) fn migrate(conn: &mut Connection, version: i64) -> rusqlite::Result<()> {
    // What a step sorts may be larger than memory.
    conn.pragma_update(None, "temp_store", "FILE")?;
    migrate_to(conn, version, MIGRATIONS.len())
}

/// The same up to an earlier version, for tests.
pub(super) fn migrate_to(conn: &mut Connection, version: i64, to: usize) -> rusqlite::Result<()> {
    let done = usize::try_from(version).unwrap_or(0);
    for (number, step) in MIGRATIONS.iter().enumerate().take(to).skip(done) {
        let transaction = conn.transaction()?;
        match step {
            Step::Sql(sql) => transaction.execute_batch(sql)?,
            Step::Code(code) => code(&transaction)?,
        }
        transaction.pragma_update(None, "application_id", APPLICATION_ID)?;
        transaction.pragma_update(None, "user_version", number as i64 + 1)?;
        transaction.commit()?;
    }
    Ok(())
}

/// The writer's connection: every commit is synced (`synchronous=FULL`), checkpoints are given by the writer alone.
pub(super) fn open_writer(path: &Path, busy: Duration, pages_max: Option<u32>) -> rusqlite::Result<Connection> {
    let conn = Connection::open_with_flags(path, OpenFlags::SQLITE_OPEN_READ_WRITE | OpenFlags::SQLITE_OPEN_NO_MUTEX)?;
    conn.busy_timeout(busy)?;
    keep_plans(&conn)?;
    // To an empty file only; later it says what the file has.
    conn.pragma_update(None, "page_size", 4096)?;
    conn.pragma_update(None, "synchronous", "FULL")?;
    conn.pragma_update(None, "wal_autocheckpoint", 0)?;
    // Small: at most commits SQLite walks through all of it (a page that changed places stood beyond the end for a moment).
    conn.pragma_update(None, "cache_size", -4_096)?;
    conn.pragma_update(None, "temp_store", "MEMORY")?;
    conn.pragma_update(None, "journal_size_limit", 64 << 20)?;
    // What was removed is overwritten, also on pages that are free now.
    conn.pragma_update(None, "secure_delete", "ON")?;
    if let Some(pages) = pages_max {
        conn.pragma_update(None, "max_page_count", pages)?;
    }
    Ok(conn)
}

/// Statements are prepared once. Without the planner's guarantee of stability SQLite looks at what is bound (a LIMIT, for one) and
/// prepares anew whenever that changes: a tenth of the time of a page.
fn keep_plans(conn: &Connection) -> rusqlite::Result<()> {
    conn.set_prepared_statement_cache_capacity(64);
    conn.set_db_config(DbConfig::SQLITE_DBCONFIG_ENABLE_QPSG, true).map(|_| ())
}

/// A reader's connection: it cannot write, whatever it is asked.
pub(super) fn open_reader(path: &Path, busy: Duration, mmap_bytes: u64) -> rusqlite::Result<Connection> {
    let conn = Connection::open_with_flags(path, OpenFlags::SQLITE_OPEN_READ_ONLY | OpenFlags::SQLITE_OPEN_NO_MUTEX)?;
    conn.busy_timeout(busy)?;
    keep_plans(&conn)?;
    array::load_module(&conn)?;
    conn.pragma_update(None, "query_only", true)?;
    conn.pragma_update(None, "cache_size", -8_192)?;
    conn.pragma_update(None, "mmap_size", i64::try_from(mmap_bytes).unwrap_or(i64::MAX))?;
    Ok(conn)
}

pub(super) fn meta(conn: &Connection, key: &str) -> rusqlite::Result<i64> {
    match conn.prepare_cached("SELECT value FROM meta WHERE key = ?1")?.query_row([key], |row| row.get(0)) {
        Err(rusqlite::Error::QueryReturnedNoRows) => Ok(0),
        value => value,
    }
}

/// Of the migration that made it.
pub(super) fn secret(conn: &Connection) -> rusqlite::Result<[u8; 16]> {
    conn.query_row("SELECT bytes FROM secret WHERE name = 'house'", [], |row| row.get(0))
}

pub(super) fn set_meta(conn: &Connection, key: &str, value: i64) -> rusqlite::Result<()> {
    conn.prepare_cached("INSERT INTO meta (key, value) VALUES (?1, ?2) ON CONFLICT (key) DO UPDATE SET value = ?2")?
        .execute((key, value))?;
    Ok(())
}

/// What follows the last @.
pub(super) fn domain_of(name: &str) -> &str {
    name.rsplit_once('@').map_or("", |(_, domain)| domain)
}

/// A checksum over an item: where it belongs and what it holds. SQLite itself does not notice a flipped bit in a value.
pub(super) fn item_sum(owner: i64, shelf: i64, key: &str, value: &[u8]) -> u32 {
    let mut sum = crc32fast::Hasher::new();
    sum.update(&place(owner, shelf, key.len() as i64));
    sum.update(key.as_bytes());
    sum.update(value);
    sum.finalize()
}

/// The same over an entry of a log.
pub(super) fn entry_sum(owner: i64, shelf: i64, id: i64, entry: &[u8]) -> u32 {
    let mut sum = crc32fast::Hasher::new();
    sum.update(&place(owner, shelf, id));
    sum.update(entry);
    sum.finalize()
}

fn place(owner: i64, shelf: i64, third: i64) -> [u8; 24] {
    let mut bytes = [0; 24];
    for (to, part) in bytes.chunks_exact_mut(8).zip([owner, shelf, third]) {
        to.copy_from_slice(&part.to_le_bytes());
    }
    bytes
}
