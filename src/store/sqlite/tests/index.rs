//! The runs of the index against a plain map, and how they come from the index that was before them.

use std::collections::BTreeMap;
use std::path::Path;

use iris_core::store::{EntryId, LogQuery, MemoryStore, OwnerId, Store, Write};
use proptest::prelude::*;
use rusqlite::Connection;

use super::super::run::RUN_MAX;
use super::super::tail::{LogKey, TailEntry};
use super::super::{DATABASE, SqliteOptions, index, schema};
use super::{check_integrity, index_of, open, raw};
use crate::suite::{ARCHIVE, Client, OFFLINE};

/// Three owners, so that a log has neighbours on either side.
const LOGS: [LogKey; 3] = [(1, 1), (1, 2), (2, 1)];

#[derive(Clone, Debug)]
enum Change {
    /// Ids from here, so far apart, so many.
    Add(usize, i64, i64, usize),
    Remove(usize, Vec<i64>),
    Trim(usize, i64),
    /// A bit of a run.
    Damage(prop::sample::Index, prop::sample::Index),
}

fn changes() -> impl Strategy<Value = Change> {
    let log = || 0..LOGS.len();
    prop_oneof![
        6 => (log(), 0..3_000_i64, 1..9_i64, 1..200_usize).prop_map(|(log, from, apart, count)| Change::Add(log, from, apart, count)),
        3 => (log(), prop::collection::btree_set(0..4_000_i64, 1..60)).prop_map(|(log, ids)| Change::Remove(log, ids.into_iter().collect())),
        1 => (log(), 0..2_000_i64).prop_map(|(log, upto)| Change::Trim(log, upto)),
        1 => (any::<prop::sample::Index>(), any::<prop::sample::Index>()).prop_map(|(run, bit)| Change::Damage(run, bit)),
    ]
}

/// The log itself, from which a damaged run is made anew. An id is one log's only.
fn put(conn: &Connection, log: LogKey, entry: TailEntry) -> bool {
    let sql = "INSERT OR IGNORE INTO log (id, owner, shelf, peer, tag, sum, entry) VALUES (?1, ?2, ?3, ?4, ?5, 0, x'')";
    conn.execute(sql, (entry.id, log.0, log.1, entry.peer, entry.tag)).unwrap() == 1
}

fn damage(conn: &Connection, run: prop::sample::Index, bit: prop::sample::Index) {
    let ids: Vec<i64> =
        conn.prepare("SELECT id FROM log_run").unwrap().query_map([], |row| row.get(0)).unwrap().map(Result::unwrap).collect();
    if ids.is_empty() {
        return;
    }
    let mut bytes: Vec<u8> =
        conn.query_row("SELECT entries FROM log_run WHERE id = ?1", [run.get(&ids)], |row| row.get(0)).unwrap();
    let bit = bit.index(bytes.len() * 8);
    bytes[bit / 8] ^= 1 << (bit % 8);
    conn.execute("UPDATE log_run SET entries = ?2 WHERE id = ?1", (run.get(&ids), bytes)).unwrap();
}

fn walked(conn: &Connection, log: LogKey, bounds: (i64, i64), last: bool, max: usize) -> Option<Vec<TailEntry>> {
    let mut entries = Vec::new();
    let walked = index::walk(conn, log, bounds, last, |entry| {
        entries.push(entry);
        entries.len() < max
    });
    walked.ok().map(|()| entries)
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 64, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn runs_hold_what_a_plain_map_holds(changes in prop::collection::vec(changes(), 1..25), low in 0..4_000_i64, high in 0..4_000_i64) {
        let mut conn = Connection::open_in_memory().unwrap();
        schema::migrate(&mut conn, 0).unwrap();
        let mut plain: [BTreeMap<i64, TailEntry>; 3] = Default::default();
        let mut is_damaged = false;
        for change in changes {
            match change {
                Change::Add(log, from, apart, count) => {
                    let ids = (0..count as i64).map(|n| from + n * apart);
                    let all = ids.map(|id| TailEntry { id, peer: id % 3, tag: -id });
                    // Some are there already: a fold may be repeated.
                    let mine: Vec<_> =
                        all.filter(|entry| put(&conn, LOGS[log], *entry) || plain[log].contains_key(&entry.id)).collect();
                    index::Adding::new(&conn).unwrap().add(LOGS[log], &mine).unwrap();
                    plain[log].extend(mine.into_iter().map(|entry| (entry.id, entry)));
                }
                Change::Remove(log, ids) => {
                    index::remove(&conn, LOGS[log], &ids).unwrap();
                    for id in ids.into_iter().filter(|id| plain[log].remove(id).is_some()) {
                        conn.execute("DELETE FROM log WHERE id = ?1", [id]).unwrap();
                    }
                }
                Change::Trim(log, upto) => {
                    let kept = plain[log].split_off(&(upto + 1));
                    let gone = index::trim(&conn, LOGS[log], upto).unwrap();
                    prop_assert!(gone.iter().eq(plain[log].keys()));
                    gone.iter().for_each(|id| assert_eq!(conn.execute("DELETE FROM log WHERE id = ?1", [id]).unwrap(), 1));
                    plain[log] = kept;
                }
                Change::Damage(run, bit) => {
                    damage(&conn, run, bit);
                    is_damaged = true;
                }
            }
            for (log, plain) in LOGS.iter().zip(&plain) {
                for (last, max) in [(false, usize::MAX), (true, usize::MAX), (false, 5), (true, 100)] {
                    let found = walked(&conn, *log, (low, high), last, max);
                    let mut expected: Vec<TailEntry> = plain.values().filter(|entry| low <= entry.id && entry.id <= high).copied().collect();
                    if last {
                        expected.reverse();
                    }
                    expected.truncate(max);
                    prop_assert!(found.as_ref() == Some(&expected) || found.is_none() && is_damaged, "{found:?} {expected:?}");
                }
            }
        }
        if !is_damaged {
            let index: Vec<_> = index_of(&conn).into_iter().collect();
            let plain = LOGS.iter().zip(&plain);
            let all: Vec<_> = plain.flat_map(|(log, plain)| plain.iter().map(|(id, entry)| ((log.0, log.1, *id), *entry))).collect();
            prop_assert_eq!(index, all);
        }
    }
}

/// Full runs and one that is not: nothing is rewritten that only others came behind.
#[test]
fn a_log_that_grows_fills_its_last_run_before_another_begins() {
    let mut conn = Connection::open_in_memory().unwrap();
    schema::migrate(&mut conn, 0).unwrap();
    for id in 0..RUN_MAX as i64 * 5 / 2 {
        index::add(&conn, LOGS[0], TailEntry { id, peer: 0, tag: 0 }).unwrap();
    }
    let mut query = conn.prepare("SELECT length(entries) / 24 FROM log_run ORDER BY first").unwrap();
    let lengths: Vec<usize> = query.query_map([], |row| row.get::<_, i64>(0)).unwrap().map(|n| n.unwrap() as usize).collect();
    assert_eq!(lengths, [RUN_MAX, RUN_MAX, RUN_MAX / 2]);
}

/// A database as the third version wrote it: a row per entry and another by peer, up to `folded`, and a fold that ended half-way.
fn third_version(dir: &Path, written: &[Write], folded: i64) {
    let mut conn = Connection::open(dir.join(DATABASE)).unwrap();
    conn.pragma_update_and_check(None, "journal_mode", "WAL", |_| Ok(())).unwrap();
    schema::migrate_to(&mut conn, 0, 3).unwrap();
    let conn = conn.transaction().unwrap();
    conn.execute_batch("INSERT INTO shelf (id, name, shape) VALUES (1, 'archive', 3), (2, 'offline', 3)").unwrap();
    for write in written {
        let Write::Append { owner, shelf, id, peer, tag, entry } = write else { panic!("{write:?}") };
        let shelf = if *shelf == ARCHIVE { 1 } else { 2 };
        let (owner, id, peer) = (owner.0 as i64, id.0 as i64, *peer as i64);
        let sum = schema::entry_sum(owner, shelf, id, entry);
        let sql = "INSERT INTO log (id, owner, shelf, peer, tag, sum, entry) VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7)";
        conn.execute(sql, (id, owner, shelf, peer, *tag as i64, sum, &entry[..])).unwrap();
        if id <= folded + 50 {
            conn.execute("INSERT INTO log_order (owner, shelf, id) VALUES (?1, ?2, ?3)", (owner, shelf, id)).unwrap();
            if peer != 0 {
                conn.execute("INSERT INTO log_peer (owner, shelf, peer, id) VALUES (?1, ?2, ?3, ?4)", (owner, shelf, peer, id))
                    .unwrap();
            }
        }
    }
    schema::set_meta(&conn, "folded", folded).unwrap();
    conn.commit().unwrap();
}

#[test]
fn an_index_of_rows_becomes_runs_and_answers_are_the_same() {
    let dir = tempfile::tempdir().unwrap();
    let memory = Client::new(MemoryStore::new(), ());
    let mut random = 0x5eed_u64;
    let written: Vec<Write> = (1..=3_000_u64)
        .map(|id| {
            random = random.wrapping_mul(0x5851_f42d_4c95_7f2d).wrapping_add(1);
            // Owner 1 has most, owner 9 has one.
            let owner = OwnerId(if id == 77 { 9 } else { [1, 1, 1, 2, 3][(random >> 33) as usize % 5] });
            let shelf = if random >> 60 == 0 { OFFLINE } else { ARCHIVE };
            Write::Append {
                owner,
                shelf,
                id: EntryId(id),
                peer: random >> 40 & 3,
                tag: random >> 50 & 1,
                entry: format!("{id}").into(),
            }
        })
        .collect();
    third_version(dir.path(), &written, 2_500);
    memory.commit(written.clone());
    let options = || SqliteOptions { fold_at: 10_000, ..SqliteOptions::default() };
    let mut client = open(dir.path(), options());
    assert_eq!(client.store.shared.tail.len(), 500);
    for round in 0..3 {
        for (owner, shelf) in [1, 2, 3, 9].into_iter().flat_map(|owner| [(OwnerId(owner), ARCHIVE), (OwnerId(owner), OFFLINE)])
        {
            for peer in [None, Some(0), Some(1), Some(5)] {
                for (last, after) in [(false, None), (true, None), (false, Some(EntryId(2_400))), (true, Some(EntryId(1_234)))]
                {
                    let query = LogQuery { peer, last, after, count: true, max: 100, ..LogQuery::default() };
                    assert_eq!(
                        client.page(owner, shelf, query.clone()),
                        memory.page(owner, shelf, query.clone()),
                        "{owner:?} {query:?}"
                    );
                }
            }
        }
        assert_eq!(client.store.floor(), memory.store.floor());
        let (owner, shelf) = (OwnerId(1), ARCHIVE);
        let changed = [
            Write::Append { owner, shelf, id: EntryId(4_000 + round), peer: 1, tag: 0, entry: "more".into() },
            Write::Remove { owner, shelf, id: EntryId(2_000 - round) },
            Write::Trim { owner: OwnerId(2), shelf, upto: EntryId(500 * (round + 1)) },
        ];
        client.commit(changed.clone());
        memory.commit(changed);
        drop(client);
        check_integrity(dir.path());
        client = open(dir.path(), options());
    }
    let old = "SELECT count(*) FROM sqlite_schema WHERE name IN ('log_order', 'log_peer')";
    assert_eq!(raw(dir.path()).query_row(old, [], |row| row.get::<_, i64>(0)).unwrap(), 0);
}
