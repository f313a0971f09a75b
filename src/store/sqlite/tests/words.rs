//! Words of searchable logs: what is in the files, and what becomes of the index across openings.

use std::fs;
use std::path::Path;
use std::time::{Duration, Instant};

use iris_core::store::{EntryId, LogQuery, Shelf, Write, words};

use super::super::{DATABASE, SqliteOptions, SqliteStore};
use super::{check_integrity, open};
use crate::suite::{ARCHIVE, Client, ROMEO};

fn options() -> SqliteOptions {
    SqliteOptions { words_due_at: 0, fold_at: 16, searchable: vec![ARCHIVE], ..SqliteOptions::default() }
}

fn say(client: &Client<SqliteStore>, id: u64, text: &str) {
    let entry = text.as_bytes().to_vec().into();
    client.commit([Write::Append { owner: ROMEO, shelf: ARCHIVE, id: EntryId(id), peer: 7, tag: 0, entry }]);
}

fn found(client: &Client<SqliteStore>, text: &str) -> Vec<u64> {
    client.ids(LogQuery { words: words::of(text).into_iter().collect(), max: 99, ..LogQuery::default() }).0
}

/// Which of the files hold these bytes.
fn holding(dir: &Path, needle: &str) -> Vec<String> {
    let holds = |name: &String| {
        let bytes = fs::read(dir.join(name)).unwrap_or_default();
        bytes.windows(needle.len()).any(|window| window == needle.as_bytes())
    };
    [DATABASE.to_owned(), format!("{DATABASE}-wal")].into_iter().filter(holds).collect()
}

#[track_caller]
fn is_gone(dir: &Path, needle: &str) {
    let end = Instant::now() + Duration::from_secs(30);
    while !holding(dir, needle).is_empty() {
        assert!(Instant::now() < end, "{needle} is still in {:?}", holding(dir, needle));
        std::thread::sleep(Duration::from_millis(50));
    }
}

/// Enough around them that segments of the index are merged, and one so long that it has pages of its own.
#[test]
fn d4_what_was_replaced_removed_or_trimmed_is_in_no_file() {
    let dir = tempfile::tempdir().unwrap();
    let client = open(dir.path(), options());
    let long = "rendezvous ".repeat(2_000);
    for id in 1..=1_500 {
        match id {
            300 => say(&client, id, "zanzibar"),
            600 => say(&client, id, &long),
            900 => say(&client, id, "quicksilver"),
            1 => say(&client, id, "obsolete"),
            _ => say(&client, id, &format!("entry{id} of word{}", id % 97)),
        }
    }
    for word in ["zanzibar", "rendezvous", "quicksilver", "obsolete"] {
        assert_eq!(found(&client, word).len(), 1, "{word}");
        assert!(!holding(dir.path(), word).is_empty(), "{word}");
    }
    let entry = "taken back".into();
    client.commit([Write::Replace { owner: ROMEO, shelf: ARCHIVE, id: EntryId(300), entry }]);
    let entry = "taken back".into();
    client.commit([Write::Replace { owner: ROMEO, shelf: ARCHIVE, id: EntryId(600), entry }]);
    client.commit([Write::Remove { owner: ROMEO, shelf: ARCHIVE, id: EntryId(900) }]);
    client.commit([Write::Trim { owner: ROMEO, shelf: ARCHIVE, upto: EntryId(1) }]);
    for word in ["zanzibar", "rendezvous", "quicksilver", "obsolete"] {
        assert_eq!(found(&client, word), Vec::<u64>::new(), "{word}");
        is_gone(dir.path(), word);
    }
    assert_eq!(found(&client, "taken"), [300, 600]);
    assert_eq!(found(&client, "entry777"), [777]);
    drop(client);
    check_integrity(dir.path());
}

#[test]
fn the_index_goes_on_where_it_was_and_begins_anew_for_a_shelf_that_was_not_searchable() {
    let dir = tempfile::tempdir().unwrap();
    // Nobody has said that it can be searched.
    let client = open(dir.path(), SqliteOptions { searchable: Vec::new(), ..options() });
    (1..=40).for_each(|id| say(&client, id, &format!("early{id}")));
    drop(client);
    for round in 1..=3_u64 {
        let client = open(dir.path(), options());
        (1..=40).for_each(|n| say(&client, round * 100 + n, &format!("round{round} late{n}")));
        assert_eq!(found(&client, "early17"), [17]);
        assert_eq!(found(&client, "late40"), (1..=round).map(|round| round * 100 + 40).collect::<Vec<_>>());
        drop(client);
        check_integrity(dir.path());
    }
}

/// A tool that knows no rooms removes what it cannot read the words of: the index is made anew, and never finds what is gone.
#[test]
fn what_is_removed_by_who_cannot_read_it_is_not_found_either() {
    let dir = tempfile::tempdir().unwrap();
    let client = open(dir.path(), options());
    (1..=60).for_each(|id| say(&client, id, &format!("number{id}")));
    drop(client);
    let client = open(dir.path(), SqliteOptions { searchable: Vec::new(), ..options() });
    let shelf = Shelf { text: None, ..ARCHIVE };
    client.commit([Write::Remove { owner: ROMEO, shelf, id: EntryId(5) }]);
    (61..=70).for_each(|id| say(&client, id, &format!("number{id}")));
    drop(client);
    let client = open(dir.path(), options());
    (71..=99).for_each(|id| say(&client, id, &format!("number{id}")));
    assert_eq!((found(&client, "number5"), found(&client, "number66")), ((50..60).collect(), vec![66]));
    drop(client);
    check_integrity(dir.path());
}
