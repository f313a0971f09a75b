//! Faults on demand, so that a test can stop or break the store at an exact step.
//!
//! Compiled in always, armed only by the environment variable `IRIS_FAILPOINT`, which is read once when a store opens:
//!
//! ```text
//! IRIS_FAILPOINT = NAME[:after=N][:times=M]:ACTION[,…]
//! ```
//! `NAME` is a step: `commit.before` (all is written, COMMIT is not yet given), `commit.after` (COMMIT succeeded, nobody was
//! told), `fold` (index rows are about to be written), `checkpoint` (the WAL is about to be copied into the database).
//! The first `N` passes (default 0) are spared, the next `M` (default 1) fail, all later ones pass again.
//! `ACTION` is `abort` (the process ends at once, as by kill -9), `panic`, `error-full` (as SQLITE_FULL), `error-io` (as a failed
//! fsync) or `delay-ms=D`.

use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

pub(crate) const VARIABLE: &str = "IRIS_FAILPOINT";

/// The step that a failpoint stands at.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum At {
    CommitBefore,
    CommitAfter,
    Fold,
    Checkpoint,
}

/// An error that the step is to report instead of doing its work.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Injected {
    Full,
    Io,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Action {
    Abort,
    Panic,
    Fail(Injected),
    Delay(Duration),
}

#[derive(Debug)]
struct Armed {
    at: At,
    after: u64,
    times: u64,
    action: Action,
    passes: AtomicU64,
}

/// The armed failpoints of one store; none in production.
#[derive(Debug, Default)]
pub(crate) struct Failpoints(Vec<Armed>);

impl Failpoints {
    /// The text says which part of `spec` is not understood.
    pub(crate) fn parse(spec: &str) -> Result<Failpoints, String> {
        spec.split(',').map(str::trim).filter(|one| !one.is_empty()).map(parse_one).collect::<Result<_, _>>().map(Failpoints)
    }

    /// Called at each pass of a step.
    pub(crate) fn pass(&self, at: At) -> Result<(), Injected> {
        for armed in self.0.iter().filter(|armed| armed.at == at) {
            let pass = armed.passes.fetch_add(1, Ordering::Relaxed);
            if pass < armed.after || pass - armed.after >= armed.times {
                continue;
            }
            match armed.action {
                Action::Abort => std::process::abort(),
                Action::Panic => panic!("failpoint {at:?}"),
                Action::Fail(injected) => return Err(injected),
                Action::Delay(time) => std::thread::sleep(time),
            }
        }
        Ok(())
    }
}

fn parse_one(one: &str) -> Result<Armed, String> {
    let mut parts = one.split(':');
    let at = match parts.next() {
        Some("commit.before") => At::CommitBefore,
        Some("commit.after") => At::CommitAfter,
        Some("fold") => At::Fold,
        Some("checkpoint") => At::Checkpoint,
        _ => return Err(format!("no such step in `{one}`")),
    };
    let number = |text: &str| text.parse().map_err(|_| format!("no number in `{one}`"));
    let (mut after, mut times, mut action) = (0, 1, None);
    for part in parts {
        match part.split_once('=') {
            Some(("after", count)) => after = number(count)?,
            Some(("times", count)) => times = number(count)?,
            Some(("delay-ms", time)) => action = Some(Action::Delay(Duration::from_millis(number(time)?))),
            None if part == "abort" => action = Some(Action::Abort),
            None if part == "panic" => action = Some(Action::Panic),
            None if part == "error-full" => action = Some(Action::Fail(Injected::Full)),
            None if part == "error-io" => action = Some(Action::Fail(Injected::Io)),
            _ => return Err(format!("`{part}` is not understood in `{one}`")),
        }
    }
    let action = action.ok_or_else(|| format!("no action in `{one}`"))?;
    Ok(Armed { at, after, times, action, passes: AtomicU64::new(0) })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn spares_the_first_passes_and_fails_as_often_as_asked() {
        let points = Failpoints::parse("commit.before:after=2:times=2:error-full, fold:error-io").unwrap();
        let passes: Vec<_> = (0..6).map(|_| points.pass(At::CommitBefore).is_err()).collect();
        assert_eq!(passes, [false, false, true, true, false, false]);
        assert_eq!(points.pass(At::Fold), Err(Injected::Io));
        assert_eq!(points.pass(At::CommitAfter), Ok(()));
    }

    #[test]
    fn a_failpoint_that_is_not_understood_is_an_error() {
        for spec in ["commit", "fold", "fold:after=x:abort", "fold:explode"] {
            assert!(Failpoints::parse(spec).is_err(), "{spec}");
        }
        assert!(Failpoints::parse("").unwrap().0.is_empty());
    }
}
