use std::fs;
use std::os::unix::fs::PermissionsExt;

use iris_core::store::{Read, Rows, Store};

use super::super::{DATABASE, LOCK, OpenError, SqliteOptions, SqliteStore, schema};
use super::{check_integrity, message, messages, open, raw, remove, with_failpoints};
use crate::suite::{ROMEO, first, own, set};

fn refusal(dir: &std::path::Path) -> OpenError {
    SqliteStore::open(dir, SqliteOptions::default()).map(drop).expect_err("it does not open")
}

#[test]
fn reopening_keeps_everything_and_the_tail_is_rebuilt() {
    let dir = tempfile::tempdir().unwrap();
    // Folded in part: 40 of the entries are in the index, the later ones in the tail only.
    let options = || SqliteOptions { fold_at: 40, ..SqliteOptions::default() };
    let client = open(dir.path(), options());
    for number in 1..=50 {
        client.commit(message(number));
    }
    let before = client.ids(first(99));
    let unfolded = client.store.shared.tail.len();
    assert!(0 < unfolded && unfolded < 100, "{unfolded}");
    drop(client);
    check_integrity(dir.path());

    let client = open(dir.path(), options());
    assert_eq!(client.store.shared.tail.len(), unfolded);
    assert_eq!(client.ids(first(99)), before);
    assert_eq!((messages(&client), client.store.floor()), (50, 101));
    client.commit(message(51));
    assert_eq!(messages(&client), 51);
}

#[test]
fn the_floor_survives_the_removal_of_what_it_stands_on() {
    let dir = tempfile::tempdir().unwrap();
    let client = open(dir.path(), SqliteOptions::default());
    client.commit([own(ROMEO, "romeo@house")]);
    client.commit(message(1_000));
    client.commit([remove(ROMEO, 2_000), remove(crate::suite::JULIET, 2_001)]);
    drop(client);
    assert_eq!(open(dir.path(), SqliteOptions::default()).store.floor(), 2_001);
}

#[test]
fn closing_resolves_what_was_submitted_and_answers_what_was_asked() {
    let dir = tempfile::tempdir().unwrap();
    let client = open(dir.path(), SqliteOptions::default());
    let mut last = 0;
    for number in 1..=500 {
        last = client.store.submit(set(message(number)), 0);
    }
    let read = Read::Value { owner: ROMEO, shelf: crate::suite::VCARD, key: "".into() };
    let answer = client.ask(last, read);
    drop(client);
    assert_eq!(answer.try_recv().unwrap(), Ok(Rows::Value(Some("500".into()))));
    assert_eq!(messages(&open(dir.path(), SqliteOptions::default())), 500);
}

#[test]
fn files_are_for_their_owner_only() {
    let dir = tempfile::tempdir().unwrap();
    let inner = dir.path().join("a/b");
    let client = open(&inner, SqliteOptions::default());
    client.commit(message(1));
    let mode = |path: &std::path::Path| fs::metadata(path).unwrap().permissions().mode() & 0o777;
    assert_eq!(mode(&inner), 0o700);
    for file in [DATABASE.to_owned(), format!("{DATABASE}-wal"), format!("{DATABASE}-shm"), LOCK.to_owned()] {
        assert_eq!(mode(&inner.join(&file)), 0o600, "{file}");
    }
}

#[test]
fn a_directory_in_use_is_refused_until_it_is_free() {
    let dir = tempfile::tempdir().unwrap();
    let client = open(dir.path(), SqliteOptions::default());
    let error = refusal(dir.path());
    assert!(matches!(error, OpenError::Locked { .. }), "{error}");
    let text = error.to_string();
    assert!(text.contains(LOCK) && text.contains(&std::process::id().to_string()) && text.contains("stop"), "{text}");
    drop(client);
    open(dir.path(), SqliteOptions::default());
}

#[test]
fn a_file_that_is_not_ours_is_refused_and_left_as_it_is() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join(DATABASE);
    let text = "The Most Excellent and Lamentable Tragedy of Romeo and Juliet. ".repeat(40);
    fs::write(&path, &text).unwrap();
    let error = refusal(dir.path());
    assert!(matches!(error, OpenError::Foreign { .. }), "{error}");
    assert_eq!(fs::read_to_string(&path).unwrap(), text);

    fs::remove_file(&path).unwrap();
    raw(dir.path()).execute_batch("CREATE TABLE prosody (host, user)").unwrap();
    let before = fs::read(&path).unwrap();
    let error = refusal(dir.path());
    assert!(matches!(error, OpenError::Foreign { .. }), "{error}");
    assert!(error.to_string().contains(DATABASE) && error.to_string().contains("Move"), "{error}");
    assert_eq!(fs::read(&path).unwrap(), before);
}

#[test]
fn a_database_of_a_newer_schema_is_refused() {
    let dir = tempfile::tempdir().unwrap();
    open(dir.path(), SqliteOptions::default()).commit(message(1));
    raw(dir.path()).pragma_update(None, "user_version", schema::VERSION + 1).unwrap();
    let error = refusal(dir.path());
    assert!(matches!(error, OpenError::Newer { found, known: schema::VERSION, .. } if found > schema::VERSION), "{error}");
}

#[test]
fn a_failpoint_that_is_not_understood_does_not_open() {
    let dir = tempfile::tempdir().unwrap();
    let error = SqliteStore::open(dir.path(), with_failpoints("commit.befor:abort")).map(drop).unwrap_err();
    assert!(error.to_string().contains("IRIS_FAILPOINT"), "{error}");
}

#[test]
fn a_data_directory_that_cannot_be_made_says_so() {
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("file");
    fs::write(&file, "").unwrap();
    let error = refusal(&file);
    assert!(matches!(error, OpenError::File { .. }), "{error}");
}

#[test]
fn the_secret_is_made_with_the_database_and_stays() {
    let dir = tempfile::tempdir().unwrap();
    let secret = |dir: &std::path::Path| open(dir, SqliteOptions::default()).store.secret();
    let first = secret(dir.path());
    assert_eq!(secret(dir.path()), first);
    assert_ne!(secret(tempfile::tempdir().unwrap().path()), first);
}
