//! Checkpoints: the WAL's pages are copied into the database, so that the WAL can start from its beginning.
//!
//! Copying thousands of pages and syncing them takes tens of milliseconds, and everybody who waits for a commit would wait for
//! that too. So a thread of its own copies while the writer goes on, and the writer copies the little that came since: only
//! when nothing is left uncopied does the WAL start anew.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{Sender, channel};
use std::thread::{self, JoinHandle};
use std::time::Duration;

use rusqlite::{Connection, ffi};

use super::schema;

/// `PASSIVE` takes what it can get, `RESTART` and `TRUNCATE` wait for the readers.
pub(super) fn checkpoint(conn: &Connection, mode: &str) -> rusqlite::Result<()> {
    // SQLite answers "busy" in the row, not as an error.
    let busy: i64 = conn.query_row(&format!("PRAGMA wal_checkpoint({mode})"), [], |row| row.get(0))?;
    if busy == 0 { Ok(()) } else { Err(rusqlite::Error::SqliteFailure(ffi::Error::new(ffi::SQLITE_BUSY), None)) }
}

/// The thread that copies.
pub(super) struct Copier {
    jobs: Option<Sender<()>>,
    copying: Arc<AtomicBool>,
    thread: Option<JoinHandle<()>>,
}

impl Copier {
    pub(super) fn start(path: PathBuf, busy: Duration) -> std::io::Result<Copier> {
        let (jobs, todo) = channel();
        let copying = Arc::new(AtomicBool::new(false));
        let done = Arc::clone(&copying);
        let thread = thread::Builder::new().name("store checkpoint".to_owned()).spawn(move || {
            while todo.recv().is_ok() {
                // One that fails loses nothing: the WAL keeps it all, and the writer comes after it.
                if let Err(error) = copy(&path, busy) {
                    tracing::warn!(%error, database = %path.display(), "a checkpoint of the store failed");
                }
                done.store(false, Ordering::Release);
            }
        })?;
        Ok(Copier { jobs: Some(jobs), copying, thread: Some(thread) })
    }

    /// False when there is nobody to copy.
    pub(super) fn copy(&self) -> bool {
        self.copying.store(true, Ordering::Release);
        let sent = self.jobs.as_ref().is_some_and(|jobs| jobs.send(()).is_ok());
        if !sent {
            self.copying.store(false, Ordering::Release);
        }
        sent
    }

    pub(super) fn is_copying(&self) -> bool {
        self.copying.load(Ordering::Acquire)
    }
}

impl Drop for Copier {
    fn drop(&mut self) {
        drop(self.jobs.take());
        if self.thread.take().is_some_and(|thread| thread.join().is_err()) {
            tracing::error!("the thread that copies the WAL panicked");
        }
    }
}

fn copy(path: &Path, busy: Duration) -> rusqlite::Result<()> {
    checkpoint(&schema::open_writer(path, busy, None)?, "PASSIVE")
}
