//! The store in one SQLite file: one thread writes, a few read, and nobody who asks ever waits inside a call.
//!
//! ```text
//! submit -> queues -> writer: one transaction, one fsync for all that is queued -> progress, wake
//! read   -> queues -> readers: one snapshot for all that is asked               -> answer
//! ```
//! `apply.rs` and `log.rs` are the meaning of each `Write` and `Read`; `tail.rs`, `fold.rs` and `index.rs` keep appends cheap.

use std::fs::{self, DirBuilder, File, OpenOptions, TryLockError};
use std::io::{Read as _, Write as _};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::thread::{self, JoinHandle};
use std::time::Duration;

use iris_core::store::{Answer, Epoch, Figures, Progress, Read, Shelf, Store, Ticket, WriteSet};

use crate::failpoint::{self, Failpoints};

mod appends;
mod apply;
pub mod backup;
mod checkpoint;
mod fold;
mod index;
mod log;
mod measured;
mod queues;
mod reader;
mod run;
mod schema;
mod search;
mod shelves;
mod tail;
#[cfg(test)]
mod tests;
mod words;
mod writer;

use checkpoint::Copier;
use queues::Asked;
use reader::Reader;
use writer::{Shared, Writer};

const DATABASE: &str = "iris.sqlite3";
const LOCK: &str = "iris.lock";

/// How a store is opened. The default is for production.
#[derive(Clone, Debug)]
pub struct SqliteOptions {
    /// Threads that read.
    pub readers: usize,
    /// A commit holds at most so many sets,
    pub batch_sets: usize,
    /// and takes no more once it holds so many bytes.
    pub batch_bytes: usize,
    /// The tail is folded into the index on disk when it has so many entries.
    pub fold_at: usize,
    /// Logs whose entries are found by their words.
    pub searchable: Vec<Shelf>,
    /// From so many entries that are not indexed by their words on, small commits carry a step of it.
    pub words_due_at: usize,
    /// The WAL is copied into the database when it has grown by so many pages of 4 KiB.
    pub wal_pages: i32,
    /// How long a lock that another process holds is waited for.
    pub busy: Duration,
    /// How much of the file the readers map into memory; 0: nothing.
    pub mmap_bytes: u64,
    /// The database never grows beyond so many pages of 4 KiB; None: no bound.
    pub pages_max: Option<u32>,
    /// Instead of the environment variable `IRIS_FAILPOINT`; see `failpoint.rs`. For tests.
    pub failpoints: Option<String>,
}

impl Default for SqliteOptions {
    fn default() -> SqliteOptions {
        SqliteOptions {
            readers: 2,
            batch_sets: 4_096,
            batch_bytes: 4 << 20,
            fold_at: 32_768,
            searchable: Vec::new(),
            words_due_at: 8_192,
            wal_pages: 4_000,
            busy: Duration::from_millis(1_500),
            mmap_bytes: 1 << 30,
            pages_max: None,
            failpoints: None,
        }
    }
}

/// Why a store does not open. Each says which file, what was expected, and what to do.
#[derive(Debug)]
pub enum OpenError {
    /// The directory or a file in it cannot be made, read or written.
    File { path: PathBuf, error: std::io::Error },
    /// Another process uses this data directory.
    Locked { path: PathBuf, holder: String },
    /// The file is not a database of Iris.
    Foreign { path: PathBuf },
    /// The database was written by a newer Iris.
    Newer { path: PathBuf, found: i64, known: i64 },
    /// Where one is to be read, there is no database.
    Missing { path: PathBuf },
    /// SQLite cannot open, bring up to date or check the database.
    Database { path: PathBuf, error: rusqlite::Error },
    /// `IRIS_FAILPOINT` is set to what is not understood.
    Failpoint { why: String },
}

impl std::fmt::Display for OpenError {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            OpenError::File { path, error } => write!(
                f,
                "{}: {error}. The data directory must be readable and writable by this user: set its owner, or name another one",
                path.display()
            ),
            OpenError::Missing { path } => write!(
                f,
                "{}: there is no database of Iris. Name a folder that has one: what `iris backup` has made, or a data directory",
                path.display()
            ),
            OpenError::Locked { path, holder } => write!(
                f,
                "{}: locked by another process ({holder}). One data directory serves one running Iris: stop that one, or name \
                 another directory",
                path.display()
            ),
            OpenError::Foreign { path } => write!(
                f,
                "{}: expected a database of Iris, found something else. Move that file away, or name another data directory",
                path.display()
            ),
            OpenError::Newer { path, found, known } => write!(
                f,
                "{}: schema version {found}, but this program knows versions up to {known}. Run the newer Iris that wrote it, \
                 or restore a backup",
                path.display()
            ),
            OpenError::Database { path, error } if error.sqlite_error_code() == Some(rusqlite::ErrorCode::DiskFull) => write!(
                f,
                "{}: {error}. Nothing is lost that was acknowledged; make room on this disk: a few megabytes are enough to start",
                path.display()
            ),
            OpenError::Database { path, error } => write!(
                f,
                "{}: {error}. If the disk has space and the file is on a local file system, restore a backup",
                path.display()
            ),
            OpenError::Failpoint { why } => write!(f, "{}: {why}. Unset it", failpoint::VARIABLE),
        }
    }
}

impl std::error::Error for OpenError {}

/// A store in a directory of its own. Dropped, it resolves what was submitted and answers what was asked before it returns.
pub struct SqliteStore {
    shared: Arc<Shared>,
    threads: Vec<JoinHandle<()>>,
    /// Held as long as the store lives.
    _lock: File,
}

impl SqliteStore {
    /// Open the store in `dir`; what is missing is made, what is older is brought up to date.
    pub fn open(dir: &Path, options: SqliteOptions) -> Result<SqliteStore, OpenError> {
        let spec = options.failpoints.clone().or_else(|| std::env::var(failpoint::VARIABLE).ok());
        let failpoints = Failpoints::parse(spec.as_deref().unwrap_or("")).map_err(|why| OpenError::Failpoint { why })?;
        let in_file = |path: &Path| {
            let path = path.to_owned();
            move |error| OpenError::File { path, error }
        };
        make_directory(dir).map_err(in_file(dir))?;
        let lock = take_lock(&dir.join(LOCK))?;
        let path = dir.join(DATABASE);
        private_file(&path).map_err(in_file(&path))?;
        let shared = Arc::new(Shared::default());
        prepare(&path, &options)?;
        let copier = Copier::start(path.clone(), options.busy).map_err(in_file(&path))?;
        let writer = Writer::new(path.clone(), options.clone(), failpoints, Arc::clone(&shared), copier)
            .map_err(|error| OpenError::Database { path: path.clone(), error })?;

        let mut store = SqliteStore { shared, threads: Vec::new(), _lock: lock };
        let thread = |name: String| thread::Builder::new().name(name);
        let writing = thread("store writer".to_owned()).spawn(move || writer.run()).map_err(in_file(&path))?;
        store.threads.push(writing);
        for number in 0..options.readers.max(1) {
            let reader = Reader::new(path.clone(), options.clone(), Arc::clone(&store.shared));
            let reading = thread(format!("store reader {number}")).spawn(move || reader.run());
            store.threads.push(reading.map_err(in_file(&path))?);
        }
        Ok(store)
    }
}

impl Drop for SqliteStore {
    fn drop(&mut self) {
        self.shared.queues.close();
        for thread in self.threads.drain(..) {
            // A callback may hold the last reference: a thread does not wait for itself.
            if thread.thread().id() != thread::current().id() && thread.join().is_err() {
                tracing::error!("a thread of the store panicked");
            }
        }
    }
}

impl Store for SqliteStore {
    fn submit(&self, set: WriteSet, epoch: Epoch) -> Ticket {
        self.shared.queues.submit(set, epoch)
    }

    fn hurry(&self) {
        self.shared.queues.hurry();
    }

    fn read(&self, after: Ticket, read: Read, answer: Answer) {
        self.shared.queues.ask(after, Asked { read, answer });
    }

    fn progress(&self) -> Progress {
        self.shared.queues.progress()
    }

    fn on_progress(&self, wake: Box<dyn Fn() + Send + Sync>) {
        self.shared.queues.on_progress(wake.into());
    }

    fn figures(&self) -> Figures {
        self.shared.measured.figures(self.shared.queues.waiting(), self.shared.wal_pages.load(Ordering::Relaxed))
    }

    fn floor(&self) -> u64 {
        self.shared.floor.load(Ordering::Acquire)
    }

    fn secret(&self) -> [u8; 16] {
        // The writer has read it before the store was open.
        self.shared.secret.get().copied().unwrap_or_default()
    }
}

/// Check that the file is ours, and bring its tables up to date.
fn prepare(path: &Path, options: &SqliteOptions) -> Result<(), OpenError> {
    let in_database = |error| OpenError::Database { path: path.to_owned(), error };
    let foreign = |error: rusqlite::Error| match error.sqlite_error_code() {
        Some(rusqlite::ErrorCode::NotADatabase) => OpenError::Foreign { path: path.to_owned() },
        _ => in_database(error),
    };
    // Before anything is written to it, not even a pragma.
    let version = {
        let conn = rusqlite::Connection::open(path).map_err(in_database)?;
        match schema::inspect(&conn).map_err(foreign)? {
            schema::Found::Foreign => return Err(OpenError::Foreign { path: path.to_owned() }),
            schema::Found::Empty => 0,
            schema::Found::Ours { version } => version,
        }
    };
    if version > schema::VERSION {
        return Err(OpenError::Newer { path: path.to_owned(), found: version, known: schema::VERSION });
    }
    let mut conn = schema::open_writer(path, options.busy, None).map_err(in_database)?;
    conn.pragma_update_and_check(None, "journal_mode", "WAL", |row| row.get::<_, String>(0)).map_err(in_database)?;
    schema::migrate(&mut conn, version).map_err(in_database)
}

fn make_directory(dir: &Path) -> std::io::Result<()> {
    let mut builder = DirBuilder::new();
    builder.recursive(true);
    #[cfg(unix)]
    std::os::unix::fs::DirBuilderExt::mode(&mut builder, 0o700);
    builder.create(dir)
}

fn private_file(path: &Path) -> std::io::Result<File> {
    let mut options = OpenOptions::new();
    options.read(true).write(true).create(true).truncate(false);
    #[cfg(unix)]
    std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
    let file = options.open(path)?;
    // A file that was there before, or a strange umask. SQLite gives its WAL the same mode.
    #[cfg(unix)]
    file.set_permissions(<fs::Permissions as std::os::unix::fs::PermissionsExt>::from_mode(0o600))?;
    Ok(file)
}

/// One data directory, one process. The system releases the lock when the process ends, however it ends.
fn take_lock(path: &Path) -> Result<File, OpenError> {
    let in_file = |error| OpenError::File { path: path.to_owned(), error };
    let mut file = private_file(path).map_err(in_file)?;
    match file.try_lock() {
        Ok(()) => {}
        Err(TryLockError::WouldBlock) => {
            let mut holder = String::new();
            // Only for the message.
            let _ = file.read_to_string(&mut holder);
            return Err(OpenError::Locked { path: path.to_owned(), holder: holder.trim().to_owned() });
        }
        Err(TryLockError::Error(error)) => return Err(in_file(error)),
    }
    file.set_len(0).and_then(|()| writeln!(file, "process {}", std::process::id())).map_err(in_file)?;
    Ok(file)
}
