//! R7: what is on disk is not what was written. It may be missing or refused, never served wrong.

use std::fs;
use std::path::Path;

use iris_core::store::{EntryId, LogQuery, Read, Rows, StoreError, Write};

use super::super::{DATABASE, SqliteOptions, SqliteStore, backup};
use super::{check_integrity, message, open, raw, remove};
use crate::suite::{ARCHIVE, Client, JULIET, ROMEO, VCARD, append, last};

fn read_all(client: &Client<SqliteStore>, owner: iris_core::store::OwnerId) -> Result<Rows, StoreError> {
    client.try_read(0, Read::Log { owner, shelf: ARCHIVE, query: LogQuery { count: true, ..last(1_000) } })
}

#[test]
fn r7_a_changed_entry_or_value_is_detected_and_others_are_unaffected() {
    let dir = tempfile::tempdir().unwrap();
    let client = open(dir.path(), SqliteOptions::default());
    for number in 1..=20 {
        client.commit(message(number));
    }
    drop(client);
    raw(dir.path()).execute_batch("UPDATE log SET entry = CAST('entry 2l' AS BLOB) WHERE id = 20").unwrap();
    raw(dir.path()).execute_batch("UPDATE item SET value = CAST('21' AS BLOB)").unwrap();
    let client = open(dir.path(), SqliteOptions::default());
    assert!(matches!(read_all(&client, ROMEO), Err(StoreError::Broken(_))));
    let value = Read::Value { owner: ROMEO, shelf: VCARD, key: "".into() };
    assert!(matches!(client.try_read(0, value), Err(StoreError::Broken(_))));
    assert_eq!(client.page(JULIET, ARCHIVE, last(99)).entries.len(), 20);
    assert_eq!(client.ids(last(5)).0, [32, 34, 36, 38, 40]);
}

#[test]
fn r7_an_index_that_names_what_is_not_there_is_detected() {
    let dir = tempfile::tempdir().unwrap();
    let client = open(dir.path(), SqliteOptions { fold_at: 1, ..SqliteOptions::default() });
    for number in 1..=20 {
        client.commit(message(number));
    }
    drop(client);
    raw(dir.path()).execute_batch("DELETE FROM log WHERE id = 20").unwrap();
    let client = open(dir.path(), SqliteOptions::default());
    assert!(matches!(read_all(&client, ROMEO), Err(StoreError::Broken(_))));
    assert!(read_all(&client, JULIET).is_ok());
}

/// What a run has lost the log still knows: the next fold, removal or late entry of that log finds it.
#[test]
fn r7_a_damaged_run_of_the_index_is_detected_stops_nobody_and_is_made_anew() {
    let options = || SqliteOptions { fold_at: 1, ..SqliteOptions::default() };
    let heals: [fn(u64) -> Write; 4] = [
        |id| append(ROMEO, id, 7, id / 2),
        |_| append(ROMEO, 11, 7, 0),
        |_| remove(ROMEO, 20),
        |_| Write::Trim { owner: ROMEO, shelf: ARCHIVE, upto: EntryId(20) },
    ];
    for (case, heal) in heals.into_iter().enumerate() {
        let dir = tempfile::tempdir().unwrap();
        let client = open(dir.path(), options());
        // So that an id between them is free.
        let numbers = || (1..=20).filter(|number| *number != 5);
        for number in numbers() {
            client.commit(message(number));
        }
        client.commit([append(JULIET, 50, 8, 0)]);
        drop(client);
        let flipped = "UPDATE log_run SET entries = CAST(substr(entries, 1, 3) || x'ff' || substr(entries, 5) AS BLOB) WHERE owner = 1001";
        assert_eq!(raw(dir.path()).execute(flipped, []).unwrap(), 1);
        let named = backup::verify(dir.path()).unwrap_err().to_string();
        assert!(named.contains("the index of owner 1001"), "{named}");
        let client = open(dir.path(), options());
        assert!(matches!(read_all(&client, ROMEO), Err(StoreError::Broken(_))));
        assert!(read_all(&client, JULIET).is_ok());
        client.commit([heal(60)]);
        // The fold rides in the commit that comes after.
        client.commit([append(JULIET, 70, 8, 0)]);
        let mut ids: Vec<u64> = numbers().map(|number| 2 * number).collect();
        match case {
            0 => ids.push(60),
            1 => ids.insert(4, 11),
            2 => ids.retain(|id| *id != 20),
            _ => ids.retain(|id| *id > 20),
        }
        assert_eq!(client.ids(last(99)).0, ids, "case {case}");
        drop(client);
        check_integrity(dir.path());
        assert!(backup::verify(dir.path()).is_ok());
    }
}

/// The files of a store that was killed after these messages, each its own commit, none copied out of the WAL.
fn killed_after(messages: u64, dir: &Path) {
    let live = tempfile::tempdir().unwrap();
    let client = open(live.path(), SqliteOptions { fold_at: 8, ..SqliteOptions::default() });
    for number in 1..=messages {
        client.commit(message(number));
    }
    for file in [DATABASE.to_owned(), format!("{DATABASE}-wal")] {
        fs::copy(live.path().join(&file), dir.join(&file)).unwrap();
    }
}

fn next_random(state: &mut u64) -> u64 {
    *state ^= *state << 13;
    *state ^= *state >> 7;
    *state ^= *state << 17;
    *state
}

/// Every entry that is served is one that was written, in its place. `gaps`: some may be missing.
fn check_served(dir: &Path, case: &str, written: u64, gaps: bool) {
    let Ok(store) = SqliteStore::open(dir, SqliteOptions::default()) else {
        return;
    };
    let client = Client::new(store, ());
    for owner in [ROMEO, JULIET] {
        let Ok(Rows::Log(page)) = read_all(&client, owner) else {
            continue;
        };
        let odd = u64::from(owner == JULIET);
        let ids: Vec<u64> = page.entries.iter().map(|entry| entry.id.0).collect();
        let all = (1..=written).map(|number| 2 * number + odd);
        assert!(ids.is_sorted() && ids.iter().all(|id| all.clone().any(|of| of == *id)), "{case}");
        assert!(gaps || ids.iter().copied().eq(all.take(ids.len())), "{case}");
        for entry in &page.entries {
            assert_eq!(&entry.entry[..], format!("entry {}", entry.id.0).as_bytes(), "{case}");
        }
    }
}

#[test]
fn r7_a_torn_wal_is_cut_at_a_whole_set() {
    let image = tempfile::tempdir().unwrap();
    killed_after(30, image.path());
    let wal = fs::read(image.path().join(format!("{DATABASE}-wal"))).unwrap();
    let mut random = 0x5eed;
    for case in 0..40 {
        let dir = tempfile::tempdir().unwrap();
        fs::copy(image.path().join(DATABASE), dir.path().join(DATABASE)).unwrap();
        let mut torn = wal.clone();
        if case % 2 == 0 {
            torn.truncate(wal.len() - 1 - next_random(&mut random) as usize % (wal.len() / 2));
        } else {
            let at = next_random(&mut random) as usize % torn.len();
            torn[at] ^= 1 << (next_random(&mut random) % 8);
        }
        fs::write(dir.path().join(format!("{DATABASE}-wal")), torn).unwrap();
        // The WAL has checksums: what is left of it is sound, up to some commit.
        let client = open(dir.path(), SqliteOptions::default());
        assert!(super::messages(&client) < 30 || case % 2 == 1, "case {case}");
        drop(client);
        super::check_integrity(dir.path());
        check_served(dir.path(), &format!("case {case}"), 30, false);
    }
}

/// SQLite's pages have no checksums: a bit in the head of an index page may hide entries (`iris doctor` is to find that), but
/// what is served is what was written.
#[test]
fn r7_a_flipped_bit_in_the_database_is_never_served_as_data() {
    let image = tempfile::tempdir().unwrap();
    killed_after(30, image.path());
    drop(open(image.path(), SqliteOptions::default()));
    let sound = fs::read(image.path().join(DATABASE)).unwrap();
    let mut random = 0xf1e1d;
    for case in 0..150 {
        let dir = tempfile::tempdir().unwrap();
        let mut damaged = sound.clone();
        let at = next_random(&mut random) as usize % damaged.len();
        damaged[at] ^= 1 << (next_random(&mut random) % 8);
        fs::write(dir.path().join(DATABASE), damaged).unwrap();
        check_served(dir.path(), &format!("case {case}, bit in byte {at}"), 30, true);
    }
}
