//! Whatever is done, folded at any time and reopened at any time, SQLite answers what the memory store answers.

use iris_core::store::{Answer, EntryId, LogQuery, MemoryStore, OwnerId, Read, Rows, Shelf, Store, Write};
use proptest::prelude::*;
use std::sync::{Arc, Mutex};

use super::super::SqliteOptions;
use super::{check_integrity, open};
use crate::suite::{ARCHIVE, BLOCKED, OFFLINE, ROSTER, VCARD, own, set};

#[derive(Clone, Debug)]
enum Step {
    Append {
        owner: u64,
        offline: bool,
        behind: u64,
        peer: u64,
        tag: u64,
    },
    Replace {
        owner: u64,
        back: u64,
    },
    Remove {
        owner: u64,
        back: u64,
    },
    Trim {
        owner: u64,
        back: u64,
    },
    Put {
        owner: u64,
        key: u8,
    },
    Delete {
        owner: u64,
        key: u8,
    },
    Own {
        owner: u64,
    },
    Disown {
        owner: u64,
    },
    /// The next step starts another set.
    Cut,
    Reopen,
    Ask(Read),
}

fn owner() -> impl Strategy<Value = u64> {
    1..4_u64
}

fn bound() -> impl Strategy<Value = Option<EntryId>> {
    prop_oneof![2 => Just(None), 1 => (0..3_000_u64).prop_map(|id| Some(EntryId(id)))]
}

fn log_query() -> impl Strategy<Value = LogQuery> {
    let ids = proptest::option::weighted(0.2, proptest::collection::vec((1..300_u64).prop_map(|id| EntryId(id * 10)), 0..20));
    let peer = proptest::option::of(0..3_u64);
    (peer, bound(), bound(), bound(), bound(), ids, 0..12_u32, any::<bool>(), any::<bool>()).prop_map(
        |(peer, from, until, after, before, ids, max, last, count)| LogQuery {
            words: Vec::new(),
            peer,
            from,
            until,
            after,
            before,
            ids,
            max,
            last,
            count,
        },
    )
}

fn log() -> impl Strategy<Value = Shelf> {
    prop_oneof![Just(ARCHIVE), Just(OFFLINE)]
}

fn read() -> impl Strategy<Value = Read> {
    let owner = || owner().prop_map(OwnerId);
    prop_oneof![
        6 => (owner(), log(), log_query()).prop_map(|(owner, shelf, query)| Read::Log { owner, shelf, query }),
        1 => (owner(), log(), 0..3_000_u64, 0..9_u32)
            .prop_map(|(owner, shelf, since, max)| Read::Tags { owner, shelf, since: EntryId(since), max }),
        1 => (owner(), log()).prop_map(|(owner, shelf)| Read::Bounds { owner, shelf }),
        1 => owner().prop_map(|owner| Read::Map { owner, shelf: ROSTER }),
        1 => owner().prop_map(|owner| Read::Wake { name: name(owner.0), shelves: [ROSTER, BLOCKED, VCARD].into() }),
        1 => (0..4_u32).prop_map(|max| Read::Owners { suffix: "@house".into(), after: None, max, shelf: VCARD }),
    ]
}

fn step() -> impl Strategy<Value = Step> {
    prop_oneof![
        30 => (owner(), any::<bool>(), 0..30_u64, 0..3_u64, 0..3_u64).prop_map(|(owner, offline, behind, peer, tag)| {
            // Mostly ascending; now and then an id that was taken earlier than others.
            Step::Append { owner, offline, behind: behind.saturating_sub(20), peer, tag }
        }),
        2 => (owner(), 0..40_u64).prop_map(|(owner, back)| Step::Replace { owner, back }),
        3 => (owner(), 0..40_u64).prop_map(|(owner, back)| Step::Remove { owner, back }),
        1 => (owner(), 0..40_u64).prop_map(|(owner, back)| Step::Trim { owner, back }),
        3 => (owner(), any::<u8>()).prop_map(|(owner, key)| Step::Put { owner, key: key % 8 }),
        1 => (owner(), any::<u8>()).prop_map(|(owner, key)| Step::Delete { owner, key: key % 8 }),
        1 => owner().prop_map(|owner| Step::Own { owner }),
        1 => owner().prop_map(|owner| Step::Disown { owner }),
        20 => Just(Step::Cut),
        1 => Just(Step::Reopen),
        12 => read().prop_map(Step::Ask),
    ]
}

fn name(owner: u64) -> Arc<str> {
    format!("user{owner}@house").into()
}

fn item(owner: u64, key: u8) -> (OwnerId, Shelf, Arc<str>) {
    match key {
        0 => (OwnerId(owner), VCARD, "".into()),
        1..4 => (OwnerId(owner), BLOCKED, format!("key{key}").into()),
        _ => (OwnerId(owner), ROSTER, format!("key{key}").into()),
    }
}

/// Ids are tens, so that one that comes late finds a place: `next` is the newest, `behind` how many units before it.
fn write(step: &Step, next: &mut u64, number: usize) -> Option<Write> {
    Some(match *step {
        Step::Append { owner, offline, behind, peer, tag } => {
            *next += 10;
            // Never an id that was used before.
            let id = EntryId(if behind > 0 { *next - 50 - behind } else { *next });
            let (shelf, entry) = (if offline { OFFLINE } else { ARCHIVE }, format!("{number}").into());
            Write::Append { owner: OwnerId(owner), shelf, id, peer, tag, entry }
        }
        Step::Replace { owner, back } => {
            let entry = format!("replaced by {number}").into();
            Write::Replace { owner: OwnerId(owner), shelf: ARCHIVE, id: EntryId(next.saturating_sub(back * 10)), entry }
        }
        Step::Remove { owner, back } => {
            Write::Remove { owner: OwnerId(owner), shelf: ARCHIVE, id: EntryId(next.saturating_sub(back * 10)) }
        }
        Step::Trim { owner, back } => {
            Write::Trim { owner: OwnerId(owner), shelf: ARCHIVE, upto: EntryId(next.saturating_sub(200 + back * 10)) }
        }
        Step::Put { owner, key } => {
            let (owner, shelf, key) = item(owner, key);
            Write::Put { owner, shelf, key, value: format!("{number}").into() }
        }
        Step::Delete { owner, key } => {
            let (owner, shelf, key) = item(owner, key);
            Write::Delete { owner, shelf, key }
        }
        Step::Own { owner } => own(OwnerId(owner), &name(owner)),
        Step::Disown { owner } => Write::Disown { owner: OwnerId(owner) },
        Step::Cut | Step::Reopen | Step::Ask(_) => return None,
    })
}

fn ask(memory: &MemoryStore, read: Read) -> Rows {
    let slot = Arc::new(Mutex::new(None));
    let to = Arc::clone(&slot);
    let answer: Answer = Box::new(move |rows| *to.lock().unwrap() = Some(rows));
    memory.read(0, read, answer);
    slot.lock().unwrap().take().unwrap().unwrap()
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 48, max_shrink_iters: 400, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn a_fold_at_any_time_changes_no_answer(
        steps in proptest::collection::vec(step(), 1..400),
        fold_at in prop_oneof![Just(1), Just(3), Just(20), Just(10_000)],
    ) {
        let dir = tempfile::tempdir().unwrap();
        let options = || SqliteOptions { fold_at, ..SqliteOptions::default() };
        let (memory, mut sqlite) = (MemoryStore::new(), open(dir.path(), options()));
        let (mut next, mut writes) = (100, Vec::new());
        for (number, step) in steps.iter().enumerate() {
            if let Some(write) = write(step, &mut next, number) {
                writes.push(write);
                continue;
            }
            if !writes.is_empty() {
                let expected = memory.submit(set(writes.clone()), memory.progress().epoch);
                let ticket = sqlite.submit(writes.drain(..));
                let refused = sqlite.resolve(ticket).is_refused(ticket);
                prop_assert_eq!(refused, memory.progress().is_refused(expected));
                prop_assert_eq!(sqlite.store.floor(), memory.floor());
            }
            match step {
                Step::Reopen => {
                    drop(sqlite);
                    check_integrity(dir.path());
                    sqlite = open(dir.path(), options());
                    prop_assert_eq!(sqlite.store.floor(), memory.floor());
                }
                Step::Ask(read) => prop_assert_eq!(sqlite.read(read.clone()), ask(&memory, read.clone()), "{:?}", read),
                _ => {}
            }
        }
        drop(sqlite);
        check_integrity(dir.path());
    }
}
