//! The one thread that writes: everything queued becomes one transaction, synced once, and then published.
//!
//! Faults. What a set itself is to blame for (a taken name) refuses that set and what was submitted after it; what came
//! before is committed. A full disk or a database held by another process rolls back and refuses all that was submitted; the
//! next submission tries again. Any other error leaves open what is on disk: a failed fsync may have marked pages clean that
//! never got there. Then the connection is closed, and nothing is accepted before a new one has carried the whole WAL into the
//! database and synced it (`wal_checkpoint(TRUNCATE)`), and the tail was read anew.

use std::collections::BTreeMap;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::PathBuf;
use std::sync::atomic::{AtomicI32, AtomicU64, Ordering};
use std::sync::{Arc, OnceLock};
use std::time::{Duration, Instant};

use iris_core::store::Ticket;
use rusqlite::{Connection, ErrorCode, ffi};

use super::SqliteOptions;
use super::apply::{Applying, Fault, Outcome, Reach};
use super::checkpoint::{Copier, checkpoint};
use super::fold::Fold;
use super::measured::Measured;
use super::queues::{Next, Queues, Submitted};
use super::schema::{self, set_meta};
use super::shelves::Shelves;
use super::tail::{Tail, TailEntry};
use super::words::{self, Searchable};
use crate::failpoint::{At, Failpoints, Injected};

/// How long nothing must come before the store uses the time for itself.
const IDLE: Duration = Duration::from_secs(2);
const BUSY_IDLE: Duration = Duration::from_millis(20);
const STEP_IDLE: Duration = Duration::from_millis(2);

/// When the last commit was shared by so many sets, the next waits a moment for more of them: what a commit costs beside its rows is
/// the same for one as for a hundred.
const SHARED_SETS: usize = 8;
const SHARED_WAIT: Duration = Duration::from_micros(500);

/// So many entries are worth a step of the index of words as soon as nothing comes for a moment; fewer wait for real silence.
const WORDS_AT: usize = 512;
/// From so many on every commit carries a step, as fast as entries come.
const WORDS_LATE_AT: usize = 262_144;
/// Entries of a step of its own: short enough for a message that comes meanwhile.
const WORDS_STEP: usize = 128;
/// The same for entries that have expired: each is taken out of three indices.
const EXPIRE_STEP: usize = 64;
/// What a small commit carries of either.
const SIDE_STEP: usize = 16;
/// A commit of so many writes is small.
const SMALL_COMMIT: usize = 32;

/// What writer and readers share.
#[derive(Default)]
pub(super) struct Shared {
    pub queues: Queues,
    pub measured: Measured,
    /// Pages of the WAL since it began anew.
    pub wal_pages: AtomicI32,
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
    searchable: Searchable,
    /// Everything searchable can be searched by whoever opened the store; otherwise the index stays where it is.
    reads_words: bool,
    /// The index of words reaches up to this id,
    worded: i64,
    /// and so many entries are behind it.
    wordless: usize,
    /// Shelves by number, and up to which id they are to be forgotten.
    expiring: BTreeMap<i64, i64>,
    /// The WAL holds something that was erased.
    erased: bool,
    /// The last step of the store's own failed: the next one waits for a longer silence.
    tired: bool,
    /// Pages in the WAL, as SQLite tells at each commit.
    /// The pages of the WAL at the last checkpoint.
    checkpointed: i32,
    copier: Copier,
    /// The copier has a job, or had one that the writer has not come after yet.
    copies: bool,
}

fn to_blame(set: usize, fault: Fault) -> Failure {
    match fault {
        Fault::Set(why) => Failure::Set(set, why),
        Fault::Store(error) => Failure::Store(error),
    }
}

/// What a transaction does for the store itself, in entries.
#[derive(Clone, Copy, Default, PartialEq, Eq)]
struct Steps {
    fold: usize,
    words: usize,
    expire: usize,
}

enum Failure {
    /// The set at this index is to blame.
    Set(usize, String),
    Store(rusqlite::Error),
}

impl From<Fault> for Failure {
    /// Of a step of the store's own, for which no set is to blame.
    fn from(fault: Fault) -> Failure {
        match fault {
            Fault::Set(why) => {
                Failure::Store(rusqlite::Error::SqliteFailure(ffi::Error::new(ffi::SQLITE_CONSTRAINT), Some(why)))
            }
            Fault::Store(error) => Failure::Store(error),
        }
    }
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
            searchable: Searchable::new(),
            reads_words: false,
            worded: 0,
            wordless: 0,
            expiring: BTreeMap::new(),
            erased: false,
            tired: false,
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
            let patience = match self.fold {
                _ if self.tired => IDLE,
                Some(_) => BUSY_IDLE,
                // Their steps are short: whoever comes meanwhile waits for one of them at most.
                None if self.wordless >= WORDS_AT || !self.expiring.is_empty() => STEP_IDLE,
                None => IDLE,
            };
            match self.shared.queues.next_batch(self.options.batch_sets, self.options.batch_bytes, patience) {
                Next::Batch(batch) => {
                    self.batch(&batch);
                    if batch.len() >= SHARED_SETS && self.shared.queues.waiting().sets < batch.len() {
                        std::thread::sleep(SHARED_WAIT);
                    }
                }
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
        let side = if count <= SMALL_COMMIT { SIDE_STEP } else { 0 };
        let words = match self.wordless {
            // Faster than the log grows, and still a small part of a commit.
            WORDS_LATE_AT.. => count * 2 + 64,
            due if due >= self.options.words_due_at => side,
            _ => 0,
        };
        let steps = Steps { fold: count * 2 + 64, words, expire: side };
        match self.apply_all(conn, steps, batch) {
            // An index takes space; what may give some back must not fail for it.
            Err(Failure::Store(error)) if is_full(&error) && (self.fold.is_some() || words > 0) => {
                self.fold = None;
                rollback(conn)?;
                self.apply_all(conn, Steps::default(), batch)
            }
            done => done,
        }
    }

    fn apply_all(&mut self, conn: &Connection, steps: Steps, batch: &[Submitted]) -> Result<(), Failure> {
        self.transact(conn, steps, |applying| {
            for (index, submitted) in batch.iter().enumerate().filter(|(_, submitted)| !submitted.stale) {
                applying.set(index, &submitted.set).map_err(|fault| to_blame(applying.at, fault))?;
            }
            applying.flush().map_err(|fault| to_blame(applying.at, fault))
        })
    }

    /// One transaction: a step of the fold if there is one, `sets`, COMMIT, and then what readers see in memory.
    fn transact(
        &mut self,
        conn: &Connection,
        steps: Steps,
        sets: impl FnOnce(&mut Applying<'_>) -> Result<(), Failure>,
    ) -> Result<(), Failure> {
        let began = Instant::now();
        conn.prepare_cached("BEGIN IMMEDIATE")?.execute([])?;
        let mut folded_to = None;
        if let Some(fold) = &self.fold {
            self.failpoints.pass(At::Fold).map_err(injected)?;
            folded_to = Some(fold.step(conn, &self.shared.tail, steps.fold)?);
        }
        let (mut indexed, mut worded) = (0, self.worded);
        if steps.words > 0 && self.reads_words {
            (indexed, worded) = words::step(conn, &self.searchable, steps.words)?;
        }
        let folded = self.fold.as_ref().map_or(self.folded, |fold| fold.boundary);
        let reach = Reach { folded, worded, searchable: &self.searchable };
        let mut applying = Applying::new(conn, &self.shared.shelves, &self.shared.tail, reach)?;
        let mut expired = None;
        if let Some((&shelf, &upto)) = self.expiring.first_key_value()
            && steps.expire > 0
            && !applying.expire(shelf, upto, steps.expire)?
        {
            expired = Some((shelf, upto));
        }
        sets(&mut applying)?;
        let outcome = applying.finish();
        let floor = self.shared.floor.load(Ordering::Relaxed).max(outcome.floor);
        if outcome.removed {
            // Otherwise the greatest id in the tables is the floor: no page is spent on it.
            set_meta(conn, "floor", i64::try_from(floor).unwrap_or(i64::MAX))?;
        }
        self.failpoints.pass(At::CommitBefore).map_err(injected)?;
        let syncs = Instant::now();
        conn.prepare_cached("COMMIT")?.execute([])?;
        self.shared.measured.transaction(began, syncs, outcome.appended);
        // Whatever is injected here, it is on disk: never one of the errors that say that nothing was written.
        self.failpoints.pass(At::CommitAfter).map_err(|_| injected(Injected::Io))?;
        self.shared.floor.store(floor, Ordering::Release);
        self.worded = worded;
        if self.reads_words {
            self.wordless = (self.wordless + outcome.wordless).saturating_sub(indexed);
        }
        self.tired = false;
        self.erased |= outcome.erased;
        if let Some((shelf, upto)) = expired
            && self.expiring.get(&shelf) == Some(&upto)
        {
            self.expiring.remove(&shelf);
        }
        if outcome.unworded {
            self.worded = 0;
            self.wordless = if self.reads_words { words::backlog(conn)? } else { 0 };
        }
        self.committed(folded_to, outcome);
        Ok(())
    }

    /// Before the tickets are resolved: who reads after one of them finds it.
    fn committed(&mut self, folded_to: Option<usize>, outcome: Outcome) {
        for (shelf, upto) in &outcome.expire {
            let order = self.expiring.entry(*shelf).or_default();
            *order = (*order).max(*upto);
        }
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
        self.shared.measured.sets.observe((batch.len() - stale.len()) as u64);
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
        self.searchable = words::prepare(&mut conn, &self.options.searchable)?;
        self.worded = schema::meta(&conn, "worded")?;
        self.reads_words = !self.searchable.is_empty() && self.searchable.values().all(Option::is_some);
        self.wordless = if self.reads_words { words::backlog(&conn)? } else { 0 };
        self.shared.shelves.load(&conn)?;
        let secret = schema::secret(&conn)?;
        self.shared.secret.get_or_init(|| secret);
        self.folded = schema::meta(&conn, "folded")?;
        self.fold = None;
        self.shared.tail.replace(unfolded(&conn, self.folded)?);
        self.shared.floor.fetch_max(floor(&conn)?, Ordering::Release);
        let shared = Arc::clone(&self.shared);
        conn.wal_hook(Some(move |_: &mut rusqlite::hooks::Wal, count: std::ffi::c_int| {
            shared.wal_pages.store(count, Ordering::Relaxed);
            Ok(())
        }))?;
        self.shared.wal_pages.store(0, Ordering::Relaxed);
        self.checkpointed = 0;
        Ok(conn)
    }

    fn idle(&mut self) {
        let Some(conn) = self.conn.take() else { return };
        if self.fold.is_none() && self.shared.tail.len() >= self.options.fold_at / 4 {
            self.fold = Fold::of(&self.shared.tail);
        }
        // One thing at a time: somebody may come.
        let steps = match () {
            () if self.fold.is_some() => Steps { fold: 1_024, ..Steps::default() },
            () if self.wordless > 0 => Steps { words: WORDS_STEP, ..Steps::default() },
            () => Steps { expire: EXPIRE_STEP * usize::from(!self.expiring.is_empty()), ..Steps::default() },
        };
        if steps != Steps::default() {
            match self.transact(&conn, steps, |_| Ok(())) {
                Ok(()) => self.conn = Some(conn),
                Err(Failure::Store(error)) => {
                    self.tired = true;
                    self.refuse(Some(conn), &error);
                }
                Err(Failure::Set(..)) => {}
            }
            return;
        }
        if self.erased && !self.copies {
            // What was erased is still in the WAL, on pages that are written anew in the database only.
            self.erased = false;
            self.checkpoint(&conn, "TRUNCATE");
        } else if self.shared.wal_pages.load(Ordering::Relaxed) != self.checkpointed {
            self.checkpoint(&conn, "PASSIVE");
        }
        self.conn = Some(conn);
    }

    fn checkpoint_when_due(&mut self) {
        let pages = self.shared.wal_pages.load(Ordering::Relaxed);
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
        self.checkpointed = self.shared.wal_pages.load(Ordering::Relaxed);
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
