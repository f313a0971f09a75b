//! R25: a copy while the store is written.

use super::super::backup::{self, BackupError, Contents};
use super::super::{DATABASE, SqliteOptions};
use super::{message, open, raw};

#[test]
fn r25_a_copy_under_load_is_one_moment_whole_and_opens_elsewhere() {
    let (dir, to) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    let client = open(dir.path(), SqliteOptions { fold_at: 8, ..SqliteOptions::default() });
    for number in 1..=40 {
        client.commit(message(number));
    }
    let before = backup::verify(dir.path()).unwrap();
    std::thread::scope(|scope| {
        let writing = scope.spawn(|| {
            for number in 41..=200 {
                client.commit(message(number));
            }
        });
        backup::copy(dir.path(), to.path()).unwrap();
        writing.join().unwrap();
    });
    let copied = backup::verify(to.path()).unwrap();
    assert!(copied.entries >= before.entries && copied.owners >= before.owners, "{before:?} {copied:?}");
    let after = backup::verify(dir.path()).unwrap();
    assert!(copied.entries <= after.entries);
    #[cfg(unix)]
    {
        use std::os::unix::fs::PermissionsExt;
        let mode = std::fs::metadata(to.path().join(DATABASE)).unwrap().permissions().mode();
        assert_eq!(mode & 0o777, 0o600);
    }
    // What is there stays as it is.
    assert!(matches!(backup::copy(dir.path(), to.path()), Err(BackupError::Exists(_))));
    let elsewhere = open(to.path(), SqliteOptions::default());
    drop(elsewhere);
    let opened = backup::verify(to.path()).unwrap();
    assert_eq!(Contents { bytes: 0, ..opened }, Contents { bytes: 0, ..copied });
}

#[test]
fn r25_a_damaged_copy_is_known_and_named() {
    let (dir, to) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    let client = open(dir.path(), SqliteOptions::default());
    for number in 1..=20 {
        client.commit(message(number));
    }
    backup::copy(dir.path(), to.path()).unwrap();
    raw(to.path()).execute_batch("UPDATE log SET entry = CAST('entry 2l' AS BLOB) WHERE id = 20").unwrap();
    let said = backup::verify(to.path()).unwrap_err().to_string();
    assert!(said.contains("entry 20 of owner"), "{said}");
    assert!(backup::check(to.path()).is_ok(), "its structure is good");
    let empty = tempfile::tempdir().unwrap();
    assert!(backup::verify(empty.path()).unwrap_err().to_string().contains("there is no database of Iris"));
    std::fs::write(empty.path().join(DATABASE), "something else, long enough to be looked at by SQLite").unwrap();
    assert!(backup::verify(empty.path()).is_err());
}
