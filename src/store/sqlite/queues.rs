//! Where shards, the writer and the readers meet: what is submitted, what is asked, and how far the store is.
//!
//! Callbacks are always called with the lock released, as they may come back to the store.

use std::collections::{BTreeMap, VecDeque};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use iris_core::store::{Answer, Epoch, Progress, Read, Rows, StoreError, Ticket, Write, WriteSet};

/// How many refused ranges [`Progress`] remembers.
const REFUSED_MAX: usize = 64;

type Wake = Arc<dyn Fn() + Send + Sync>;

pub(super) struct Submitted {
    pub ticket: Ticket,
    pub set: WriteSet,
    /// Made from memory older than the last refusal: it takes its turn, and is refused.
    pub stale: bool,
}

pub(super) struct Asked {
    pub read: Read,
    pub answer: Answer,
}

/// What the writer does next.
pub(super) enum Next {
    Batch(Vec<Submitted>),
    /// Nothing came within the patience.
    Idle,
    /// The store closes, and all that was submitted is resolved.
    Closed,
}

/// How many there are that nobody has taken yet.
pub(super) struct Waiting {
    pub sets: usize,
    pub reads: usize,
}

#[derive(Default)]
pub(super) struct Queues {
    state: Mutex<State>,
    submitted: Condvar,
    asked: Condvar,
}

#[derive(Default)]
struct State {
    issued: Ticket,
    progress: Progress,
    submitted: VecDeque<Submitted>,
    asked: VecDeque<Asked>,
    /// Reads whose ticket is not resolved yet.
    waiting: BTreeMap<Ticket, Vec<Asked>>,
    wakes: Vec<Wake>,
    writer_sleeps: bool,
    readers_sleep: usize,
    closing: bool,
    writer_done: bool,
}

impl Queues {
    pub(super) fn submit(&self, set: WriteSet, epoch: Epoch) -> Ticket {
        let mut state = self.lock();
        state.issued += 1;
        let ticket = state.issued;
        let stale = epoch < state.progress.epoch;
        let hurried = set.hurried;
        state.submitted.push_back(Submitted { ticket, set, stale });
        if hurried {
            self.wake_writer(&mut state);
        }
        ticket
    }

    /// Somebody waits for what is queued. (What nobody waits for is taken when the writer's patience ends.)
    pub(super) fn hurry(&self) {
        let mut state = self.lock();
        if !state.submitted.is_empty() {
            self.wake_writer(&mut state);
        }
    }

    fn wake_writer(&self, state: &mut State) {
        if std::mem::take(&mut state.writer_sleeps) {
            self.submitted.notify_one();
        }
    }

    pub(super) fn ask(&self, after: Ticket, asked: Asked) {
        let mut state = self.lock();
        if after > state.progress.resolved {
            state.waiting.entry(after).or_default().push(asked);
            self.wake_writer(&mut state);
        } else if state.progress.is_refused(after) {
            drop(state);
            answer(asked.answer, Err(StoreError::Refused));
        } else {
            state.asked.push_back(asked);
            self.wake_readers(&state);
        }
    }

    pub(super) fn progress(&self) -> Progress {
        self.lock().progress.clone()
    }

    pub(super) fn waiting(&self) -> Waiting {
        let state = self.lock();
        Waiting { sets: state.submitted.len(), reads: state.asked.len() }
    }

    pub(super) fn on_progress(&self, wake: Wake) {
        self.lock().wakes.push(wake);
    }

    /// For the writer: the next sets, at most `sets_max`, and no more once they hold `bytes_max`.
    pub(super) fn next_batch(&self, sets_max: usize, bytes_max: usize, patience: Duration) -> Next {
        let mut state = self.lock();
        if state.submitted.is_empty() && !state.closing {
            state.writer_sleeps = true;
            let slept = self.submitted.wait_timeout(state, patience);
            state = slept.unwrap_or_else(PoisonError::into_inner).0;
            state.writer_sleeps = false;
        }
        if state.submitted.is_empty() {
            return if state.closing { Next::Closed } else { Next::Idle };
        }
        let mut bytes = 0;
        let fits = |submitted: &&Submitted| {
            let fits = bytes < bytes_max;
            bytes += submitted.set.writes.iter().map(size).sum::<usize>();
            fits
        };
        let count = state.submitted.iter().take(sets_max).take_while(fits).count();
        Next::Batch(state.submitted.drain(..count).collect())
    }

    /// For the writer: everything up to `resolved` is on disk, except for `stale`.
    pub(super) fn publish(&self, resolved: Ticket, stale: &[Ticket]) {
        self.advance(|state| {
            for &ticket in stale {
                state.note_refused(ticket, ticket);
            }
            state.progress.resolved = resolved;
            Vec::new()
        });
    }

    /// For the writer: everything not resolved is refused, also what is still queued: it may build on what is lost.
    pub(super) fn refuse_rest(&self) {
        self.advance(|state| {
            let (first, last) = (state.progress.resolved + 1, state.issued);
            if first <= last {
                state.note_refused(first, last);
                state.progress.resolved = last;
                state.progress.epoch += 1;
            }
            state.submitted.drain(..).collect()
        });
    }

    fn advance(&self, change: impl FnOnce(&mut State) -> Vec<Submitted>) {
        let mut state = self.lock();
        let before = state.progress.resolved;
        let discarded = change(&mut state);
        let resolved = state.progress.resolved;
        if resolved == before {
            return;
        }
        let waiting = state.waiting.split_off(&(resolved + 1));
        let ready = std::mem::replace(&mut state.waiting, waiting);
        let mut refused = Vec::new();
        for (after, asked) in ready {
            if state.progress.is_refused(after) {
                refused.extend(asked);
            } else {
                state.asked.extend(asked);
            }
        }
        if !state.asked.is_empty() {
            self.wake_readers(&state);
        }
        let wakes = state.wakes.clone();
        drop(state);
        drop(discarded);
        for wake in wakes {
            guarded(|| wake());
        }
        for asked in refused {
            answer(asked.answer, Err(StoreError::Refused));
        }
    }

    /// For a reader: some of what is asked, leaving a share to the other `readers`. None when the store is closed.
    pub(super) fn next_reads(&self, readers: usize, max: usize) -> Option<Vec<Asked>> {
        let mut state = self.lock();
        loop {
            let count = state.asked.len().div_ceil(readers.max(1)).min(max);
            if count > 0 {
                return Some(state.asked.drain(..count).collect());
            }
            if state.writer_done {
                return None;
            }
            state.readers_sleep += 1;
            state = self.asked.wait(state).unwrap_or_else(PoisonError::into_inner);
            state.readers_sleep -= 1;
        }
    }

    /// The writer resolves what was submitted and ends.
    pub(super) fn close(&self) {
        self.lock().closing = true;
        self.submitted.notify_all();
    }

    /// The readers answer what was asked and end.
    pub(super) fn close_reads(&self) {
        self.lock().writer_done = true;
        self.asked.notify_all();
    }

    fn wake_readers(&self, state: &State) {
        match state.asked.len() {
            _ if state.readers_sleep == 0 => {}
            1 => self.asked.notify_one(),
            _ => self.asked.notify_all(),
        }
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        // Nothing foreign runs under this lock, and each change is complete before the next statement may panic.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl State {
    fn note_refused(&mut self, low: Ticket, high: Ticket) {
        let mut ranges = self.progress.refused.to_vec();
        match ranges.last_mut() {
            Some(last) if last.1 + 1 >= low => last.1 = high,
            _ => ranges.push((low, high)),
        }
        let forget = ranges.len().saturating_sub(REFUSED_MAX);
        self.progress.refused = ranges.drain(forget..).collect();
    }
}

/// The bytes of a write that end up on disk, roughly.
fn size(write: &Write) -> usize {
    32 + match write {
        Write::Put { value, .. } => value.len(),
        Write::Append { entry, .. } | Write::Insert { entry, .. } | Write::Replace { entry, .. } => entry.len(),
        _ => 0,
    }
}

pub(super) fn answer(to: Answer, rows: Result<Rows, StoreError>) {
    guarded(move || to(rows));
}

/// A callback that panics is its owner's fault: the store goes on.
fn guarded(callback: impl FnOnce()) {
    if catch_unwind(AssertUnwindSafe(callback)).is_err() {
        tracing::error!("a callback of the store panicked");
    }
}

#[cfg(test)]
mod tests {
    use std::thread;

    use iris_core::store::{OwnerId, Shelf};

    use super::*;

    const PATIENCE: Duration = Duration::from_secs(600);

    fn set(hurried: bool) -> WriteSet {
        let write = Write::Delete { owner: OwnerId(1), shelf: Shelf::record("seen"), key: "".into() };
        let mut set = WriteSet::default();
        if hurried {
            set.push(write)
        } else {
            set.push_unhurried(write)
        }
        set
    }

    /// A writer that sleeps; `wake` is what is done then. What it got.
    fn woken(wake: impl FnOnce(&Queues)) -> usize {
        let queues = Queues::default();
        thread::scope(|scope| {
            let writer = scope.spawn(|| queues.next_batch(100, 1 << 20, PATIENCE));
            while !queues.lock().writer_sleeps {
                thread::yield_now();
            }
            queues.submit(set(false), 0);
            assert!(queues.lock().writer_sleeps, "nobody waits for this");
            wake(&queues);
            match writer.join().expect("the writer") {
                Next::Batch(batch) => batch.len(),
                Next::Idle | Next::Closed => 0,
            }
        })
    }

    #[test]
    fn what_is_unhurried_rides_with_the_next_that_is_not() {
        assert_eq!(
            woken(|queues| {
                queues.submit(set(true), 0);
            }),
            2
        );
    }

    #[test]
    fn what_is_unhurried_is_written_when_somebody_waits_for_it() {
        assert_eq!(woken(Queues::hurry), 1);
        let read = Read::Value { owner: OwnerId(1), shelf: Shelf::record("seen"), key: "".into() };
        assert_eq!(woken(|queues| queues.ask(1, Asked { read, answer: Box::new(|_| {}) })), 1);
        assert_eq!(woken(Queues::close), 1);
    }

    #[test]
    fn a_writer_that_is_awake_takes_what_is_unhurried_too() {
        let queues = Queues::default();
        queues.submit(set(false), 0);
        assert!(matches!(queues.next_batch(100, 1 << 20, PATIENCE), Next::Batch(batch) if batch.len() == 1));
    }
}
