use std::fs;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use iris_core::store::{EntryId, LogQuery, Read, Rows, Store, StoreError, Ticket, Write};

use super::super::{DATABASE, SqliteOptions, SqliteStore};
use super::{check_integrity, message, messages, open, raw, with_failpoints};
use crate::suite::{ARCHIVE, Client, JULIET, ROMEO, VCARD, last, put, set};

fn is_refused(client: &Client<SqliteStore>, ticket: Ticket) -> bool {
    client.resolve(ticket).is_refused(ticket)
}

/// Message 1 is kept; message 2 meets the fault together with others; afterwards the store works again by itself.
fn survives(spec: &str) -> (tempfile::TempDir, Client<SqliteStore>) {
    let dir = tempfile::tempdir().unwrap();
    let client = open(dir.path(), with_failpoints(spec));
    client.commit(message(1));
    let tickets = [2, 3, 4].map(|number| client.store.submit(set(message(number)), 0));
    let progress = client.resolve(tickets[2]);
    assert_eq!(tickets.map(|ticket| progress.is_refused(ticket)), [true; 3], "{spec}");
    assert_eq!(progress.epoch, 1, "{spec}");
    let read = Read::Value { owner: ROMEO, shelf: VCARD, key: "".into() };
    assert_eq!(client.try_read(tickets[0], read), Err(StoreError::Refused));
    (dir, client)
}

#[test]
fn r4_an_injected_full_disk_refuses_all_that_was_submitted_and_recovers() {
    let (dir, client) = survives("commit.before:after=1:error-full");
    assert_eq!(messages(&client), 1);
    client.commit(message(2));
    assert_eq!(messages(&client), 2);
    drop(client);
    check_integrity(dir.path());
}

#[test]
fn r4_a_full_database_refuses_keeps_reading_and_recovers_when_there_is_space() {
    let dir = tempfile::tempdir().unwrap();
    let options = || SqliteOptions { pages_max: Some(100), fold_at: 64, ..SqliteOptions::default() };
    let client = open(dir.path(), options());
    let mut kept = 0;
    let refused = loop {
        let ticket = client.submit(message(kept + 1));
        if is_refused(&client, ticket) {
            break ticket;
        }
        kept += 1;
        assert!(kept < 100_000, "the database is never full");
    };
    assert!(kept > 500, "{kept}");
    assert_eq!(client.store.progress().refused.to_vec(), [(refused, refused)]);
    assert_eq!(messages(&client), kept);
    // Still full, still reading.
    let again = client.submit(message(kept + 1));
    assert!(is_refused(&client, again));
    assert_eq!(messages(&client), kept);
    // Space returns.
    let upto = EntryId(kept);
    client.commit([ROMEO, JULIET].map(|owner| Write::Trim { owner, shelf: ARCHIVE, upto }));
    client.commit(message(kept + 1));
    let page = |client: &Client<SqliteStore>| client.page(ROMEO, ARCHIVE, LogQuery { count: true, ..last(1) });
    let before = page(&client);
    assert_eq!((before.entries[0].id.0, before.count), (2 * (kept + 1), Some(kept + 1 - kept / 2)));
    drop(client);
    check_integrity(dir.path());
    assert_eq!(page(&open(dir.path(), options())), before);
}

#[test]
fn r5_a_failed_commit_is_refused_and_the_wal_is_carried_over_before_the_next_one() {
    let (dir, client) = survives("commit.before:after=1:error-io");
    let wal = dir.path().join(format!("{DATABASE}-wal"));
    // None when no reader kept it open while the writer came back.
    let length = || fs::metadata(&wal).map_or(0, |file| file.len());
    let before = length();
    assert_eq!(messages(&client), 1);
    client.commit(message(2));
    assert_eq!(messages(&client), 2);
    // TRUNCATE emptied it; what is there now is the one commit since.
    assert!(before == 0 || length() < before, "{before} {}", length());
    drop(client);
    check_integrity(dir.path());
}

#[test]
fn r5_nothing_is_accepted_until_that_checkpoint_succeeds() {
    // The first checkpoint is that of opening.
    let (_dir, client) = survives("commit.before:after=1:error-io,checkpoint:after=1:times=2:error-io");
    for _ in 0..2 {
        let ticket = client.submit(message(2));
        assert!(is_refused(&client, ticket));
        assert_eq!(messages(&client), 1);
    }
    client.commit(message(2));
    assert_eq!((messages(&client), client.store.progress().epoch), (2, 3));
}

#[test]
fn r5_refused_means_unknown_after_a_fault_behind_the_commit() {
    let (dir, client) = survives("commit.after:after=1:error-io");
    // Whether 3 and 4 shared the commit of 2 is a matter of time; that it is whole is not.
    let there = {
        let ticket = client.submit([put(JULIET, VCARD, "", "next")]);
        assert!(!is_refused(&client, ticket));
        messages(&client)
    };
    assert!((2..=4).contains(&there), "{there}");
    client.commit(message(there + 1));
    assert_eq!(messages(&client), there + 1);
    drop(client);
    check_integrity(dir.path());
}

#[test]
fn a_panic_of_the_writer_refuses_and_the_store_goes_on() {
    for spec in ["commit.before:after=1:panic", "commit.after:after=1:panic"] {
        let (dir, client) = survives(spec);
        client.commit([put(JULIET, VCARD, "", "next")]);
        let there = messages(&client);
        client.commit(message(there + 1));
        assert_eq!(messages(&client), there + 1, "{spec}");
        drop(client);
        check_integrity(dir.path());
    }
}

#[test]
fn a_callback_that_panics_stops_nobody() {
    let dir = tempfile::tempdir().unwrap();
    let client = open(dir.path(), SqliteOptions::default());
    client.store.on_progress(Box::new(|| panic!("a wake that panics")));
    let ticket = client.commit(message(1));
    for _ in 0..4 {
        let read = Read::Value { owner: ROMEO, shelf: VCARD, key: "".into() };
        client.store.read(ticket, read, Box::new(|_| panic!("an answer that panics")));
    }
    client.commit(message(2));
    assert_eq!(messages(&client), 2);
}

#[test]
fn a_fold_that_fails_loses_nothing() {
    // For want of space the set is kept without the fold.
    for (spec, lost) in [("fold:error-full", 0), ("fold:after=2:error-io", 1), ("fold:after=1:panic", 1)] {
        let dir = tempfile::tempdir().unwrap();
        let client = open(dir.path(), SqliteOptions { fold_at: 10, ..with_failpoints(spec) });
        let (mut kept, mut refused) = (0, 0);
        while kept < 40 {
            let ticket = client.submit(message(kept + 1));
            if is_refused(&client, ticket) {
                refused += 1
            } else {
                kept += 1
            }
            assert_eq!(messages(&client), kept);
        }
        assert_eq!(refused, lost, "{spec}");
        assert!(client.store.shared.tail.len() < 40);
        drop(client);
        check_integrity(dir.path());
    }
}

#[test]
fn r6_a_database_held_for_long_by_another_process_refuses_and_reads_meanwhile() {
    let dir = tempfile::tempdir().unwrap();
    let busy = Duration::from_millis(100);
    let client = open(dir.path(), SqliteOptions { busy, ..SqliteOptions::default() });
    client.commit(message(1));
    let other = raw(dir.path());
    other.execute_batch("BEGIN EXCLUSIVE").unwrap();
    let start = Instant::now();
    let ticket = client.submit(message(2));
    assert_eq!(messages(&client), 1);
    assert!(is_refused(&client, ticket));
    assert!(start.elapsed() >= busy);
    other.execute_batch("ROLLBACK").unwrap();
    client.commit(message(2));
    assert_eq!(messages(&client), 2);
}

#[test]
fn r6_a_database_held_shortly_is_latency_only() {
    let dir = tempfile::tempdir().unwrap();
    let client = open(dir.path(), SqliteOptions { busy: Duration::from_secs(20), ..SqliteOptions::default() });
    client.commit(message(1));
    let other = raw(dir.path());
    other.execute_batch("BEGIN IMMEDIATE").unwrap();
    let ticket = client.submit(message(2));
    std::thread::sleep(Duration::from_millis(300));
    assert_eq!(client.store.progress().resolved, ticket - 1);
    other.execute_batch("ROLLBACK").unwrap();
    assert!(!is_refused(&client, ticket));
    assert_eq!(messages(&client), 2);
}

#[test]
fn the_wal_stays_bounded_under_writes_and_reads() {
    let dir = tempfile::tempdir().unwrap();
    let client = open(dir.path(), SqliteOptions { wal_pages: 100, fold_at: 500, ..SqliteOptions::default() });
    let client = Arc::new(client);
    let done = Arc::new(AtomicBool::new(false));
    let (reading, stop) = (Arc::clone(&client), Arc::clone(&done));
    let reader = std::thread::spawn(move || {
        while !stop.load(Ordering::Relaxed) {
            reading.ids(last(50));
        }
    });
    let mut greatest = 0;
    for number in 1..=1_500 {
        client.commit(message(number));
        greatest = greatest.max(fs::metadata(dir.path().join(format!("{DATABASE}-wal"))).unwrap().len());
    }
    done.store(true, Ordering::Relaxed);
    reader.join().unwrap();
    // Four times the pages, and the last batch.
    assert!(greatest < 520 * 4_120, "{greatest}");
    assert!(greatest > 50 * 4_120, "{greatest}");
    assert_eq!(messages(&client), 1_500);
}

#[test]
fn reads_go_on_while_the_disk_is_slow() {
    let dir = tempfile::tempdir().unwrap();
    let client = open(dir.path(), with_failpoints("commit.before:after=1:delay-ms=1500"));
    client.commit(message(1));
    let ticket = client.submit(message(2));
    let waiting = client.ask(ticket, Read::Value { owner: ROMEO, shelf: VCARD, key: "".into() });
    let start = Instant::now();
    assert_eq!(messages(&client), 1);
    assert!(start.elapsed() < Duration::from_millis(1_000));
    assert!(waiting.try_recv().is_err());
    assert_eq!(waiting.recv().unwrap(), Ok(Rows::Value(Some("2".into()))));
}

#[test]
fn r5_of_many_sets_of_one_commit_the_one_to_blame_and_what_follows_are_refused() {
    // Two rows a message, 118 in all: in statements of 32 at the first place and within, in one of 8, and behind the last of those.
    for taken in [2, 5, 18, 40, 52, 59] {
        let dir = tempfile::tempdir().unwrap();
        let client = open(dir.path(), SqliteOptions { busy: Duration::from_secs(20), ..SqliteOptions::default() });
        client.commit(message(1));
        // All of them are there when the writer comes to them.
        let other = raw(dir.path());
        other.execute_batch("BEGIN IMMEDIATE").unwrap();
        let waited_for = client.submit([put(JULIET, VCARD, "", "next")]);
        let tickets: Vec<Ticket> = (2..=60)
            .map(|number| {
                // Id 3 is message 1's.
                let at = if number == taken { 1 } else { number };
                let theirs = crate::suite::append(JULIET, 2 * at + 1, 8, number);
                let ours = crate::suite::append(ROMEO, 2 * number, 7, number);
                client.store.submit(set([ours, theirs, put(ROMEO, VCARD, "", &number.to_string())]), 0)
            })
            .collect();
        other.execute_batch("ROLLBACK").unwrap();
        assert!(!is_refused(&client, waited_for));
        let last = *tickets.last().unwrap();
        let progress = client.resolve(last);
        let refused = tickets.iter().filter(|ticket| progress.is_refused(**ticket)).count() as u64;
        assert_eq!((refused, messages(&client)), (61 - taken, taken - 1), "message {taken} is to blame");
        drop(client);
        check_integrity(dir.path());
    }
}
