//! Kills: the test binary runs itself as a child that stores messages, tells of each that is resolved, and dies on the way.

use std::io::{BufRead, BufReader, Write as _};
use std::path::Path;
use std::process::{Child, Command, Stdio};

use iris_core::store::Store;

use super::super::SqliteOptions;
use super::{check_integrity, message, messages, open};
use crate::suite::set;

const DIR: &str = "IRIS_TEST_CHILD_DIR";
const IN_FLIGHT: &str = "IRIS_TEST_CHILD_IN_FLIGHT";

fn options() -> SqliteOptions {
    SqliteOptions { fold_at: 16, wal_pages: 64, ..SqliteOptions::default() }
}

/// Not a test: what the child does.
#[test]
#[ignore = "run by the tests below"]
fn child() {
    let dir = std::env::var_os(DIR).expect("started by a test below");
    let in_flight: u64 = std::env::var(IN_FLIGHT).unwrap().parse().unwrap();
    let client = open(Path::new(&dir), options());
    let before = messages(&client);
    let mut out = std::io::stdout();
    for number in before + 1..=before + 2_000 {
        let ticket = client.store.submit(set(message(number)), 0);
        if ticket > in_flight {
            assert!(client.resolve(ticket - in_flight).refused.is_empty());
            writeln!(out, "\nresolved {}", number - in_flight).unwrap();
        }
    }
}

fn start(dir: &Path, in_flight: u64, failpoint: &str) -> Child {
    Command::new(std::env::current_exe().unwrap())
        .args(["--exact", "sqlite::tests::crash::child", "--ignored", "--nocapture", "--test-threads=1"])
        .env(DIR, dir)
        .env(IN_FLIGHT, in_flight.to_string())
        .env("IRIS_FAILPOINT", failpoint)
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .spawn()
        .unwrap()
}

/// The numbers of resolved messages, as the child tells them.
fn resolved(child: &mut Child) -> impl Iterator<Item = u64> + use<> {
    let lines = BufReader::new(child.stdout.take().unwrap()).lines();
    lines.map_while(Result::ok).filter_map(|line| line.strip_prefix("resolved ")?.parse().ok())
}

fn inspect(dir: &Path) -> u64 {
    check_integrity(dir);
    messages(&open(dir, options()))
}

#[test]
fn r3_a_crash_before_the_commit_keeps_what_was_resolved_and_no_more() {
    let dir = tempfile::tempdir().unwrap();
    let mut there = 0;
    for spared in [0, 1, 2, 7, 19, 40] {
        let mut child = start(dir.path(), 0, &format!("commit.before:after={spared}:abort"));
        let told = resolved(&mut child).last().unwrap_or(there);
        assert!(!child.wait().unwrap().success());
        assert_eq!((told, inspect(dir.path())), (there + spared, there + spared), "spared {spared}");
        there += spared;
    }
}

#[test]
fn r3_a_crash_after_the_commit_keeps_it_though_nobody_was_told() {
    let dir = tempfile::tempdir().unwrap();
    let mut there = 0;
    for spared in [0, 1, 2, 7, 19, 40] {
        let mut child = start(dir.path(), 0, &format!("commit.after:after={spared}:abort"));
        let told = resolved(&mut child).last().unwrap_or(there);
        assert!(!child.wait().unwrap().success());
        assert_eq!((told, inspect(dir.path())), (there + spared, there + spared + 1), "spared {spared}");
        there += spared + 1;
    }
}

#[test]
fn r3_a_crash_within_a_fold_or_a_checkpoint_loses_nothing() {
    for failpoint in ["fold:abort", "fold:after=1:abort", "fold:after=3:abort", "checkpoint:after=1:abort"] {
        let dir = tempfile::tempdir().unwrap();
        let mut child = start(dir.path(), 0, failpoint);
        let told = resolved(&mut child).last().unwrap();
        assert!(!child.wait().unwrap().success(), "{failpoint}");
        // A checkpoint comes after its commit was published; whether the child could tell of it is a race.
        let there = inspect(dir.path());
        assert!(there == told || there == told + 1 && failpoint.starts_with("checkpoint"), "{failpoint} {told} {there}");
    }
}

#[test]
fn r1_kill_9_under_load_loses_nothing_that_was_resolved() {
    let dir = tempfile::tempdir().unwrap();
    let mut there = 0;
    for kill_at in [1, 30, 111, 250, 400] {
        let mut child = start(dir.path(), 20, "");
        let mut told = there;
        for (heard, number) in resolved(&mut child).enumerate() {
            told = number;
            if heard + 1 == kill_at {
                child.kill().unwrap();
            }
        }
        child.wait().unwrap();
        assert!(told >= there + kill_at as u64, "killed before {kill_at} were told");
        there = inspect(dir.path());
        assert!(there >= told, "{told} were resolved, {there} are there");
    }
}
