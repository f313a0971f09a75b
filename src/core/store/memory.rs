//! The store that lives in memory: for every test, and for a house that is meant to forget.
//!
//! [`MemoryStore::new`] resolves each set within `submit`. [`MemoryStore::manual`] only queues, so that a test decides when
//! a commit happens and when the disk refuses: what is shown too early is then visible.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use super::{Answer, Epoch, Progress, Read, Store, StoreError, Ticket, WriteSet};

mod tables;
use tables::Tables;

/// How many refused ranges [`Progress`] remembers.
const REFUSED_MAX: usize = 64;

type Wake = Arc<dyn Fn() + Send + Sync>;

/// A whole store in memory. See [`MemoryStore::new`] and [`MemoryStore::manual`].
pub struct MemoryStore {
    manual: bool,
    state: Mutex<State>,
}

#[derive(Default)]
struct State {
    tables: Tables,
    issued: Ticket,
    progress: Progress,
    queue: VecDeque<Queued>,
    waiting: Vec<(Ticket, Read, Answer)>,
    wakes: Vec<Wake>,
}

struct Queued {
    ticket: Ticket,
    set: WriteSet,
    /// Made from memory older than the last refusal when it was submitted.
    stale: bool,
}

impl MemoryStore {
    /// Each set is committed before `submit` returns.
    pub fn new() -> MemoryStore {
        MemoryStore { manual: false, state: Mutex::default() }
    }

    /// Sets wait for [`commit`](Self::commit), [`commit_one`](Self::commit_one) or [`refuse`](Self::refuse).
    pub fn manual() -> MemoryStore {
        MemoryStore { manual: true, state: Mutex::default() }
    }

    /// Resolve all that is queued, in order.
    pub fn commit(&self) {
        self.settle(|state| while state.resolve_one() {});
    }

    /// Resolve the oldest queued set. False when nothing is queued.
    pub fn commit_one(&self) -> bool {
        let mut any = false;
        self.settle(|state| any = state.resolve_one());
        any
    }

    /// Refuse all that is queued, as a full disk would: one more epoch. Nothing queued, nothing refused.
    pub fn refuse(&self) {
        self.settle(|state| {
            if let Some(first) = state.queue.front().map(|queued| queued.ticket) {
                state.refuse_from(first);
            }
        });
    }

    /// How many sets wait to be resolved.
    pub fn queued(&self) -> usize {
        self.lock().queue.len()
    }

    /// Change the state, then wake and answer with the lock released: both may come back to this store.
    fn settle(&self, change: impl FnOnce(&mut State)) {
        let mut state = self.lock();
        let before = state.progress.resolved;
        change(&mut state);
        if state.progress.resolved == before {
            return;
        }
        let resolved = state.progress.resolved;
        let (ready, waiting) = std::mem::take(&mut state.waiting).into_iter().partition(|(after, ..)| *after <= resolved);
        state.waiting = waiting;
        let ready: Vec<(Ticket, Read, Answer)> = ready;
        let answers: Vec<_> = ready.into_iter().map(|(after, read, answer)| (state.answer(after, &read), answer)).collect();
        let wakes = state.wakes.clone();
        drop(state);
        for wake in wakes {
            wake();
        }
        for (rows, answer) in answers {
            answer(rows);
        }
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        // A test that panicked while it held the lock has failed already; the others go on.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Default for MemoryStore {
    fn default() -> MemoryStore {
        MemoryStore::new()
    }
}

impl State {
    /// False when nothing is queued.
    fn resolve_one(&mut self) -> bool {
        let Some(Queued { ticket, set, stale }) = self.queue.pop_front() else { return false };
        if stale {
            self.note_refused(ticket, ticket);
            self.progress.resolved = ticket;
        } else if self.tables.apply(set) {
            self.progress.resolved = ticket;
        } else {
            self.refuse_from(ticket);
        }
        true
    }

    /// Refuse `first` and all that was submitted after it: it may build on `first`.
    fn refuse_from(&mut self, first: Ticket) {
        self.queue.clear();
        self.note_refused(first, self.issued);
        self.progress.resolved = self.issued;
        self.progress.epoch += 1;
    }

    fn note_refused(&mut self, low: Ticket, high: Ticket) {
        let mut ranges = self.progress.refused.to_vec();
        match ranges.last_mut() {
            Some(last) if last.1 + 1 >= low => last.1 = high,
            _ => ranges.push((low, high)),
        }
        let forget = ranges.len().saturating_sub(REFUSED_MAX);
        self.progress.refused = ranges.drain(forget..).collect();
    }

    fn answer(&self, after: Ticket, read: &Read) -> Result<super::Rows, StoreError> {
        if self.progress.is_refused(after) { Err(StoreError::Refused) } else { Ok(self.tables.read(read)) }
    }
}

impl Store for MemoryStore {
    fn submit(&self, set: WriteSet, epoch: Epoch) -> Ticket {
        let mut ticket = 0;
        self.settle(|state| {
            state.issued += 1;
            ticket = state.issued;
            let stale = epoch < state.progress.epoch;
            state.queue.push_back(Queued { ticket, set, stale });
            if !self.manual {
                state.resolve_one();
            }
        });
        ticket
    }

    fn read(&self, after: Ticket, read: Read, answer: Answer) {
        let mut state = self.lock();
        if after > state.progress.resolved {
            state.waiting.push((after, read, answer));
            return;
        }
        let rows = state.answer(after, &read);
        drop(state);
        answer(rows);
    }

    fn progress(&self) -> Progress {
        self.lock().progress.clone()
    }

    fn on_progress(&self, wake: Box<dyn Fn() + Send + Sync>) {
        self.lock().wakes.push(wake.into());
    }

    fn floor(&self) -> u64 {
        self.lock().tables.floor()
    }

    /// No secret at all: what is kept here is a test's.
    fn secret(&self) -> [u8; 16] {
        *b"memory's secret."
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::store::{OwnerId, Rows, Shelf, Write};
    use std::sync::atomic::{AtomicUsize, Ordering};

    const VCARD: Shelf = Shelf::record("vcard");

    fn put(value: &'static str) -> WriteSet {
        let mut set = WriteSet::default();
        set.push(Write::Put { owner: OwnerId(1), shelf: VCARD, key: "".into(), value: value.as_bytes().into() });
        set
    }

    /// The answer, when there is one already.
    fn ask(store: &MemoryStore, after: Ticket) -> Arc<Mutex<Option<Result<Rows, StoreError>>>> {
        let slot = Arc::new(Mutex::new(None));
        let to = Arc::clone(&slot);
        let read = Read::Value { owner: OwnerId(1), shelf: VCARD, key: "".into() };
        store.read(after, read, Box::new(move |rows| *to.lock().unwrap() = Some(rows)));
        slot
    }

    #[test]
    fn manual_shows_nothing_before_the_commit_and_then_wakes_and_answers() {
        let store = MemoryStore::manual();
        let woken = Arc::new(AtomicUsize::new(0));
        let count = Arc::clone(&woken);
        store.on_progress(Box::new(move || {
            count.fetch_add(1, Ordering::Relaxed);
        }));
        let ticket = store.submit(put("a"), 0);
        assert_eq!(*ask(&store, 0).lock().unwrap(), Some(Ok(Rows::Value(None))));
        let later = ask(&store, ticket);
        assert_eq!(*later.lock().unwrap(), None);
        assert_eq!((store.queued(), woken.load(Ordering::Relaxed)), (1, 0));
        assert!(store.commit_one());
        assert!(!store.commit_one());
        assert_eq!(*later.lock().unwrap(), Some(Ok(Rows::Value(Some("a".into())))));
        assert_eq!((store.progress().resolved, woken.load(Ordering::Relaxed)), (ticket, 1));
    }

    #[test]
    fn manual_refusal_refuses_all_queued_and_whoever_has_not_seen_it() {
        let store = MemoryStore::manual();
        let kept = store.submit(put("kept"), 0);
        store.commit();
        let first = store.submit(put("b"), 0);
        let second = store.submit(put("c"), 0);
        let waiting = ask(&store, second);
        store.refuse();
        assert_eq!(*waiting.lock().unwrap(), Some(Err(StoreError::Refused)));
        assert_eq!(store.progress(), Progress { resolved: second, epoch: 1, refused: [(first, second)].into() });

        let stale = store.submit(put("d"), 0);
        let fresh = store.submit(put("e"), 1);
        store.commit();
        let progress = store.progress();
        assert!(progress.is_refused(stale) && !progress.is_refused(fresh) && !progress.is_refused(kept));
        // A stale set is no new refusal of the store: else one slow shard would refuse all the others for ever.
        assert_eq!(progress.epoch, 1);
        assert_eq!(*ask(&store, fresh).lock().unwrap(), Some(Ok(Rows::Value(Some("e".into())))));
    }

    #[test]
    fn callbacks_may_come_back_to_the_store() {
        let store = Arc::new(MemoryStore::manual());
        let again = Arc::clone(&store);
        store.on_progress(Box::new(move || {
            if again.progress().resolved == 1 {
                again.submit(put("from the wake"), 0);
            }
        }));
        store.submit(put("a"), 0);
        store.commit_one();
        assert_eq!(store.queued(), 1);
    }

    #[test]
    fn only_the_last_64_refused_ranges_are_remembered() {
        let store = MemoryStore::manual();
        for epoch in 0..70 {
            store.submit(put("kept"), epoch);
            store.commit();
            store.submit(put("refused"), epoch);
            store.refuse();
        }
        let refused = store.progress().refused;
        assert_eq!((refused.len(), refused.first(), refused.last()), (64, Some(&(14, 14)), Some(&(140, 140))));
    }
}
