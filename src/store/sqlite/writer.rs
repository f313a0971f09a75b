//! The one thread that writes: everything queued becomes one transaction, synced once, and then published.
//!
//! Faults. What a set itself is to blame for (a taken name) refuses that set and what was submitted after it; what came
//! before is committed. A full disk or a database held by another process rolls back and refuses all that was submitted; the
//! next submission tries again. Any other error leaves open what is on disk: a failed fsync may have marked pages clean that
//! never got there. Then the connection is closed, and nothing is accepted before a new one has carried the whole WAL into the
//! database and synced it (`wal_checkpoint(TRUNCATE)`), and the tail was read anew.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::PathBuf;
use std::sync::atomic::{AtomicI32, AtomicU64, Ordering};
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use iris_core::store::Ticket;
use rusqlite::{Connection, ErrorCode, ffi};

use super::SqliteOptions;
use super::apply::{Applying, Fault, Outcome};
use super::checkpoint::{Copier, checkpoint};
use super::fold::Fold;
use super::queues::{Next, Queues, Submitted};
use super::schema::{self, set_meta};
use super::shelves::Shelves;
use super::tail::{Tail, TailEntry};
use crate::failpoint::{At, Failpoints, Injected};

/// How long nothing must come before the store uses the time for itself.
const IDLE: Duration = Duration::from_secs(2);
const FOLDING_IDLE: Duration = Duration::from_millis(20);

/// What writer and readers share.
#[derive(Default)]
pub(super) struct Shared {
    pub queues: Queues,
    pub tail: Tail,
    pub shelves: Shelves,
    pub floor: AtomicU64,
    pub secret: OnceLock<[u8; 16]>,
}

pub(super) struct Writer {
    path: PathBuf,
    options: SqliteOptions,
    failpoints: Failpoints,
    shared: Arc<Shared>,
    /// None: what is on disk is unknown until `recover` succeeds.
    conn: Option<Connection>,
    fold: Option<Fold>,
    folded: i64,
    /// Pages in the WAL, as SQLite tells at each commit.
    wal_pages: Arc<AtomicI32>,
    /// `wal_pages` at the last checkpoint.
    checkpointed: i32,
    copier: Copier,
    /// The copier has a job, or had one that the writer has not come after yet.
    copies: bool,
}

enum Failure {
    /// The set at this index is to blame.
    Set(usize, String),
    Store(rusqlite::Error),
}

impl From<rusqlite::Error> for Failure {
    fn from(error: rusqlite::Error) -> Failure {
        Failure::Store(error)
    }
}

impl Writer {
    /// Takes over a database whose tables are there. Everything in it is synced when this returns.
    pub(super) fn new(
        path: PathBuf,
        options: SqliteOptions,
        failpoints: Failpoints,
        shared: Arc<Shared>,
        copier: Copier,
    ) -> rusqlite::Result<Writer> {
        let mut writer = Writer {
            path,
            options,
            failpoints,
            shared,
            conn: None,
            fold: None,
            folded: 0,
            wal_pages: Arc::default(),
            checkpointed: 0,
            copier,
            copies: false,
        };
        writer.conn = Some(writer.recover()?);
        Ok(writer)
    }

    pub(super) fn run(mut self) {
        while let Err(panic) = catch_unwind(AssertUnwindSafe(|| self.work())) {
            let why = panic.downcast_ref::<&str>().copied().unwrap_or("no text");
            tracing::error!(why, "the writer of the store panicked: all that waits is refused, the database is opened anew");
            self.conn = None;
            self.shared.queues.refuse_rest();
        }
        self.shared.queues.close_reads();
    }

    fn work(&mut self) {
        loop {
            let patience = if self.fold.is_some() { FOLDING_IDLE } else { IDLE };
            match self.shared.queues.next_batch(self.options.batch_sets, self.options.batch_bytes, patience) {
                Next::Batch(batch) => self.batch(&batch),
                Next::Idle => self.idle(),
                Next::Closed => return self.close(),
            }
            self.checkpoint_when_due();
        }
    }

    fn batch(&mut self, batch: &[Submitted]) {
        // Held here: a panic drops it, and the next batch starts with a recovery.
        let conn = match self.conn.take() {
            Some(conn) => conn,
            None => match self.recover() {
                Ok(conn) => conn,
                Err(error) => return self.refuse(None, &error),
            },
        };
        match self.commit(&conn, batch) {
            Ok(()) => {
                self.publish(batch);
                self.conn = Some(conn);
            }
            Err(Failure::Store(error)) => self.refuse(Some(conn), &error),
            Err(Failure::Set(index, why)) => {
                tracing::error!(why, "a set is refused");
                let before = batch.get(..index).unwrap_or_default();
                let kept = rollback(&conn).map_err(Failure::from).and_then(|()| self.commit(&conn, before));
                match kept {
                    Ok(()) => {
                        self.publish(before);
                        self.shared.queues.refuse_rest();
                        self.conn = Some(conn);
                    }
                    Err(Failure::Store(error)) => self.refuse(Some(conn), &error),
                    // They were applied a moment ago, in the same order.
                    Err(Failure::Set(..)) => self.shared.queues.refuse_rest(),
                }
            }
        }
    }

    fn commit(&mut self, conn: &Connection, batch: &[Submitted]) -> Result<(), Failure> {
        let writes = || batch.iter().filter(|submitted| !submitted.stale).map(|submitted| submitted.set.writes.len());
        let count: usize = writes().sum();
        if count == 0 {
            return Ok(());
        }
        if self.fold.is_none() && self.shared.tail.len() >= self.options.fold_at {
            self.fold = Fold::of(&self.shared.tail);
        }
        // Faster than the tail grows, and still a small part of a commit.
        match self.apply_all(conn, count * 2 + 64, batch) {
            // A fold takes space; what may give some back must not fail for it.
            Err(Failure::Store(error)) if self.fold.is_some() && is_full(&error) => {
                self.fold = None;
                rollback(conn)?;
                self.apply_all(conn, 0, batch)
            }
            done => done,
        }
    }

    fn apply_all(&mut self, conn: &Connection, fold_rows: usize, batch: &[Submitted]) -> Result<(), Failure> {
        self.transact(conn, fold_rows, |applying| {
            for (index, submitted) in batch.iter().enumerate().filter(|(_, submitted)| !submitted.stale) {
                applying.set(&submitted.set).map_err(|fault| match fault {
                    Fault::Set(why) => Failure::Set(index, why),
                    Fault::Store(error) => Failure::Store(error),
                })?;
            }
            Ok(())
        })
    }

    /// One transaction: a step of the fold if there is one, `sets`, COMMIT, and then what readers see in memory.
    fn transact(
        &mut self,
        conn: &Connection,
        fold_rows: usize,
        sets: impl FnOnce(&mut Applying<'_>) -> Result<(), Failure>,
    ) -> Result<(), Failure> {
        conn.prepare_cached("BEGIN IMMEDIATE")?.execute([])?;
        let mut folded_to = None;
        if let Some(fold) = &self.fold {
            self.failpoints.pass(At::Fold).map_err(injected)?;
            folded_to = Some(fold.step(conn, &self.shared.tail, fold_rows)?);
        }
        let boundary = self.fold.as_ref().map_or(self.folded, |fold| fold.boundary);
        let mut applying = Applying::new(conn, &self.shared.shelves, &self.shared.tail, boundary)?;
        sets(&mut applying)?;
        let outcome = applying.finish();
        let floor = self.shared.floor.load(Ordering::Relaxed).max(outcome.floor);
        if outcome.removed {
            // Otherwise the greatest id in the tables is the floor: no page is spent on it.
            set_meta(conn, "floor", i64::try_from(floor).unwrap_or(i64::MAX))?;
        }
        self.failpoints.pass(At::CommitBefore).map_err(injected)?;
        conn.prepare_cached("COMMIT")?.execute([])?;
        // Whatever is injected here, it is on disk: never one of the errors that say that nothing was written.
        self.failpoints.pass(At::CommitAfter).map_err(|_| injected(Injected::Io))?;
        self.shared.floor.store(floor, Ordering::Release);
        self.committed(folded_to, outcome);
        Ok(())
    }

    /// Before the tickets are resolved: who reads after one of them finds it.
    fn committed(&mut self, folded_to: Option<usize>, outcome: Outcome) {
        self.shared.tail.apply(outcome.tail);
        if !outcome.shelves.is_empty() {
            self.shared.shelves.add(outcome.shelves);
        }
        if let (Some(fold), Some(end)) = (&mut self.fold, folded_to)
            && fold.committed(end)
        {
            self.folded = fold.boundary;
            self.shared.tail.drop_upto(fold.boundary);
            self.fold = None;
        }
    }

    fn publish(&self, batch: &[Submitted]) {
        let Some(last) = batch.last() else { return };
        let stale: Vec<Ticket> = batch.iter().filter(|submitted| submitted.stale).map(|submitted| submitted.ticket).collect();
        self.shared.queues.publish(last.ticket, &stale);
    }

    /// Nothing of what waits is kept, or nobody knows. Keeps the connection when it is known that nothing was written.
    fn refuse(&mut self, conn: Option<Connection>, error: &rusqlite::Error) {
        tracing::error!(%error, database = %self.path.display(), "the store refuses all that waits");
        let harmless = matches!(error.sqlite_error_code(), Some(ErrorCode::DiskFull | ErrorCode::DatabaseBusy));
        self.conn = conn.filter(|conn| harmless && rollback(conn).is_ok());
        self.shared.queues.refuse_rest();
    }

    /// Open, prove that everything in the WAL is in the database and synced, and read what memory must know.
    fn recover(&mut self) -> rusqlite::Result<Connection> {
        let mut conn = schema::open_writer(&self.path, self.options.busy, self.options.pages_max)?;
        self.failpoints.pass(At::Checkpoint).map_err(injected)?;
        checkpoint(&conn, "TRUNCATE")?;
        self.shared.shelves.load(&conn)?;
        let secret = schema::secret(&conn)?;
        self.shared.secret.get_or_init(|| secret);
        self.folded = schema::meta(&conn, "folded")?;
        self.fold = None;
        self.shared.tail.replace(unfolded(&conn, self.folded)?);
        self.shared.floor.fetch_max(floor(&conn)?, Ordering::Release);
        let pages = Arc::clone(&self.wal_pages);
        conn.wal_hook(Some(move |_: &mut rusqlite::hooks::Wal, count: std::ffi::c_int| {
            pages.store(count, Ordering::Relaxed);
            Ok(())
        }))?;
        self.wal_pages.store(0, Ordering::Relaxed);
        self.checkpointed = 0;
        Ok(conn)
    }

    fn idle(&mut self) {
        let Some(conn) = self.conn.take() else { return };
        if self.fold.is_none() && self.shared.tail.len() >= self.options.fold_at / 4 {
            self.fold = Fold::of(&self.shared.tail);
        }
        if self.fold.is_some() {
            match self.transact(&conn, 1024, |_| Ok(())) {
                Ok(()) => self.conn = Some(conn),
                Err(Failure::Store(error)) => self.refuse(Some(conn), &error),
                Err(Failure::Set(..)) => {}
            }
            return;
        }
        if self.wal_pages.load(Ordering::Relaxed) != self.checkpointed {
            self.checkpoint(&conn, "PASSIVE");
        }
        self.conn = Some(conn);
    }

    fn checkpoint_when_due(&mut self) {
        let pages = self.wal_pages.load(Ordering::Relaxed);
        // Fewer than at the last checkpoint: the WAL has started from its beginning since.
        let grown = if pages < self.checkpointed { pages } else { pages - self.checkpointed };
        let far = pages >= self.options.wal_pages * 4;
        if self.copies && self.copier.is_copying() && !far {
            return;
        }
        let copied = std::mem::take(&mut self.copies);
        if !copied && grown < self.options.wal_pages {
            return;
        }
        if !copied && !far && self.failpoints.pass(At::Checkpoint).is_ok() && self.copier.copy() {
            self.copies = true;
            return;
        }
        let Some(conn) = self.conn.take() else { return };
        // Readers may keep the WAL from starting anew for a while; when it is too long, they are waited for.
        self.checkpoint(&conn, if far { "RESTART" } else { "PASSIVE" });
        self.conn = Some(conn);
    }

    /// A checkpoint that fails loses nothing: the WAL keeps it all.
    fn checkpoint(&mut self, conn: &Connection, mode: &str) {
        self.checkpointed = self.wal_pages.load(Ordering::Relaxed);
        let passed = self.failpoints.pass(At::Checkpoint).map_err(injected);
        if let Err(error) = passed.and_then(|()| checkpoint(conn, mode)) {
            tracing::warn!(%error, mode, pages = self.checkpointed, "the checkpoint of the store failed");
        }
    }

    fn close(&mut self) {
        if let Some(conn) = self.conn.take() {
            self.checkpoint(&conn, "PASSIVE");
        }
    }
}

fn is_full(error: &rusqlite::Error) -> bool {
    error.sqlite_error_code() == Some(ErrorCode::DiskFull)
}

fn rollback(conn: &Connection) -> rusqlite::Result<()> {
    // SQLite itself rolls back after some errors.
    if conn.is_autocommit() { Ok(()) } else { conn.execute_batch("ROLLBACK") }
}

fn unfolded(conn: &Connection, folded: i64) -> rusqlite::Result<Vec<((i64, i64), TailEntry)>> {
    let mut query = conn.prepare("SELECT owner, shelf, id, peer, tag FROM log WHERE id > ?1 ORDER BY id")?;
    let rows = query.query_map([folded], |row| {
        Ok(((row.get(0)?, row.get(1)?), TailEntry { id: row.get(2)?, peer: row.get(3)?, tag: row.get(4)? }))
    })?;
    rows.collect()
}

fn floor(conn: &Connection) -> rusqlite::Result<u64> {
    let greatest = "SELECT max(ifnull((SELECT max(id) FROM log), 0), ifnull((SELECT max(id) FROM owner), 0))";
    let stored: i64 = conn.query_row(greatest, [], |row| row.get(0))?;
    Ok(u64::try_from(stored.max(schema::meta(conn, "floor")?)).unwrap_or(0))
}

fn injected(fault: Injected) -> rusqlite::Error {
    let code = match fault {
        Injected::Full => ffi::SQLITE_FULL,
        Injected::Io => ffi::SQLITE_IOERR_FSYNC,
    };
    rusqlite::Error::SqliteFailure(ffi::Error::new(code), Some("injected".to_owned()))
}
