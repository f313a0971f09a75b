//! A copy of a store, beside the process that uses it: SQLite's readers see one moment, whatever is written meanwhile, and wait for
//! nobody. `VACUUM INTO` writes what is there and nothing that was removed.

use std::fs::File;
use std::io;
use std::path::{Path, PathBuf};
use std::time::Duration;

use rusqlite::{Connection, OpenFlags};

use super::run::Run;
use super::schema::{self, entry_sum, item_sum};
use super::{DATABASE, OpenError, private_file};

/// A writer that is in the middle of something is waited for so long.
const BUSY: Duration = Duration::from_secs(30);
/// Damaged places that are named.
const NAMED_MAX: usize = 8;

/// What a store holds.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Contents {
    pub owners: u64,
    /// Records, and items of maps.
    pub items: u64,
    /// Entries of logs.
    pub entries: u64,
    /// Of the file.
    pub bytes: u64,
}

/// Why there is no good copy.
#[derive(Debug)]
pub enum BackupError {
    /// Nothing is overwritten.
    Exists(PathBuf),
    Open(OpenError),
    /// What was read or written is not what was once written.
    Damaged {
        path: PathBuf,
        what: Vec<String>,
    },
}

impl std::fmt::Display for BackupError {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            BackupError::Exists(path) => write!(f, "{} is there already and was not touched", path.display()),
            BackupError::Open(error) => error.fmt(f),
            BackupError::Damaged { path, what } => write!(f, "{} is damaged: {}", path.display(), what.join("; ")),
        }
    }
}

impl std::error::Error for BackupError {}

impl From<OpenError> for BackupError {
    fn from(error: OpenError) -> BackupError {
        BackupError::Open(error)
    }
}

/// Copies the store of `dir` into the folder `to`, which has to exist. The copy is synced; look at it with [`verify`].
///
/// # Errors
/// `to` has a store already, or what SQLite says; then nothing of a copy is left.
pub fn copy(dir: &Path, to: &Path) -> Result<(), BackupError> {
    let (from, target) = (dir.join(DATABASE), to.join(DATABASE));
    if target.exists() {
        return Err(BackupError::Exists(target));
    }
    let conn = open(&from)?;
    let copied = write(&conn, &target);
    if copied.is_err() {
        let _ = std::fs::remove_file(&target);
    }
    copied
}

fn write(conn: &Connection, target: &Path) -> Result<(), BackupError> {
    let in_file = |error: io::Error| OpenError::File { path: target.to_owned(), error };
    // SQLite takes an empty file for none, and keeps its mode.
    private_file(target).map_err(in_file)?;
    let text = target.to_str().ok_or_else(|| in_file(io::Error::other("the path is not UTF-8")))?;
    conn.execute("VACUUM INTO ?1", [text]).map_err(|error| OpenError::Database { path: target.to_owned(), error })?;
    File::open(target).and_then(|file| file.sync_all()).map_err(in_file)?;
    let folder = target.parent().unwrap_or(Path::new("."));
    File::open(folder).and_then(|folder| folder.sync_all()).map_err(in_file)?;
    Ok(())
}

/// Reads all of the store of `dir`: the structure of the file, and the checksum of everything in it.
///
/// # Errors
/// There is no store, or it is damaged: what, the first few places.
pub fn verify(dir: &Path) -> Result<Contents, BackupError> {
    let path = dir.join(DATABASE);
    let conn = open(&path)?;
    let in_database = |error| BackupError::Open(OpenError::Database { path: path.clone(), error });
    let mut what = structure(&conn).map_err(in_database)?;
    let contents = if what.is_empty() { sums(&conn, &mut what).map_err(in_database)? } else { Contents::default() };
    if !what.is_empty() {
        return Err(BackupError::Damaged { path, what });
    }
    Ok(Contents { bytes: size(dir), ..contents })
}

/// The structure of the file alone: quicker than [`verify`], and it also sees an index that does not fit its table.
///
/// # Errors
/// As [`verify`].
pub fn check(dir: &Path) -> Result<Contents, BackupError> {
    let path = dir.join(DATABASE);
    let conn = open(&path)?;
    let in_database = |error| BackupError::Open(OpenError::Database { path: path.clone(), error });
    let mut what: Vec<String> = Vec::new();
    let text: Vec<String> = lines(&conn, "PRAGMA quick_check(8)").map_err(in_database)?;
    what.extend(text.into_iter().filter(|line| line != "ok"));
    if !what.is_empty() {
        return Err(BackupError::Damaged { path, what });
    }
    let owners = count(&conn, "SELECT count(*) FROM owner").map_err(in_database)?;
    Ok(Contents { owners, bytes: size(dir), ..Contents::default() })
}

/// Of database and WAL.
fn size(dir: &Path) -> u64 {
    let of = |name: String| std::fs::metadata(dir.join(name)).map_or(0, |file| file.len());
    of(DATABASE.to_owned()) + of(format!("{DATABASE}-wal"))
}

fn open(path: &Path) -> Result<Connection, OpenError> {
    if !path.is_file() {
        return Err(OpenError::Missing { path: path.to_owned() });
    }
    let in_database = |error| OpenError::Database { path: path.to_owned(), error };
    let flags = OpenFlags::SQLITE_OPEN_READ_ONLY | OpenFlags::SQLITE_OPEN_NO_MUTEX;
    let conn = Connection::open_with_flags(path, flags).map_err(in_database)?;
    conn.busy_timeout(BUSY).map_err(in_database)?;
    match schema::inspect(&conn).map_err(in_database)? {
        schema::Found::Ours { version } if version > schema::VERSION => {
            Err(OpenError::Newer { path: path.to_owned(), found: version, known: schema::VERSION })
        }
        schema::Found::Ours { .. } => Ok(conn),
        schema::Found::Empty | schema::Found::Foreign => Err(OpenError::Foreign { path: path.to_owned() }),
    }
}

fn lines(conn: &Connection, sql: &str) -> rusqlite::Result<Vec<String>> {
    conn.prepare(sql)?.query_map([], |row| row.get(0))?.collect()
}

fn count(conn: &Connection, sql: &str) -> rusqlite::Result<u64> {
    conn.query_row(sql, [], |row| row.get::<_, i64>(0)).map(|count| u64::try_from(count).unwrap_or(0))
}

fn structure(conn: &Connection) -> rusqlite::Result<Vec<String>> {
    let said = lines(conn, "PRAGMA integrity_check(8)")?;
    Ok(said.into_iter().filter(|line| line != "ok").collect())
}

/// Counts, and names what is not what was written.
fn sums(conn: &Connection, what: &mut Vec<String>) -> rusqlite::Result<Contents> {
    let mut contents = Contents { owners: count(conn, "SELECT count(*) FROM owner")?, ..Contents::default() };
    let mut note = |line: String| {
        if what.len() < NAMED_MAX {
            what.push(line);
        }
    };
    let mut query = conn.prepare("SELECT owner, shelf, key, sum, value FROM item")?;
    let mut rows = query.query([])?;
    while let Some(row) = rows.next()? {
        contents.items += 1;
        let (owner, shelf, sum): (i64, i64, i64) = (row.get(0)?, row.get(1)?, row.get(3)?);
        let good = match (row.get_ref(2)?.as_str(), row.get_ref(4)?.as_blob()) {
            (Ok(key), Ok(value)) => i64::from(item_sum(owner, shelf, key, value)) == sum,
            _ => false,
        };
        if !good {
            note(format!("an item of owner {owner} on shelf {shelf}"));
        }
    }
    let mut query = conn.prepare("SELECT id, owner, shelf, sum, entry FROM log")?;
    let mut rows = query.query([])?;
    while let Some(row) = rows.next()? {
        contents.entries += 1;
        let (id, owner, shelf, sum): (i64, i64, i64, i64) = (row.get(0)?, row.get(1)?, row.get(2)?, row.get(3)?);
        let good = row.get_ref(4)?.as_blob().is_ok_and(|entry| i64::from(entry_sum(owner, shelf, id, entry)) == sum);
        if !good {
            note(format!("entry {id} of owner {owner} on shelf {shelf}"));
        }
    }
    // Databases of earlier versions have an index without sums.
    if count(conn, "SELECT count(*) FROM sqlite_schema WHERE name = 'log_run'")? > 0 {
        let mut query = conn.prepare("SELECT owner, shelf, first, sum, entries FROM log_run")?;
        let mut rows = query.query([])?;
        while let Some(row) = rows.next()? {
            let (log, first, sum) = ((row.get(0)?, row.get(1)?), row.get(2)?, row.get(3)?);
            if row.get_ref(4)?.as_blob().ok().and_then(|bytes| Run::checked(log, first, sum, bytes)).is_none() {
                note(format!("the index of owner {} on shelf {} from {first}", log.0, log.1));
            }
        }
    }
    Ok(contents)
}
