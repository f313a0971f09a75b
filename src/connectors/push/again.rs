//! What could not be delivered is tried again, so that nobody has to wait for the next message to hear of the last one. Of each
//! subscription only the newest message waits: it tells how much there is. What waits lies in memory and does not outlive the process.

use std::collections::HashMap;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use tokio::task::AbortHandle;

/// Subscriptions of which a message waits.
const SUBSCRIPTIONS_MAX: usize = 1_024;
/// After half a minute, then twice as long each time: all together half an hour.
pub const TRIES_MAX: u32 = 6;
const FIRST_AFTER: Duration = Duration::from_secs(30);

/// When the next try is, after so many.
pub fn after(tries: u32) -> Duration {
    FIRST_AFTER * 2_u32.saturating_pow(tries.min(TRIES_MAX))
}

/// Who waits, by the address of the subscription.
#[derive(Default)]
pub struct Again(Mutex<HashMap<String, AbortHandle>>);

impl Again {
    /// Somebody waits from now on, instead of whoever waited before. False: there are enough.
    pub fn wait(&self, subscription: String, begin: impl FnOnce() -> AbortHandle) -> bool {
        let mut waiting = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if waiting.len() >= SUBSCRIPTIONS_MAX && !waiting.contains_key(&subscription) {
            return false;
        }
        if let Some(older) = waiting.insert(subscription, begin()) {
            older.abort();
        }
        true
    }

    /// Nobody waits any more: what waited goes now.
    pub fn goes(&self, subscription: &str) {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).remove(subscription);
    }

    /// Nobody waits any more: there is something newer.
    pub fn supersede(&self, subscription: &str) {
        if let Some(older) = self.0.lock().unwrap_or_else(PoisonError::into_inner).remove(subscription) {
            older.abort();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_newest_waits_and_not_too_many() {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime");
        runtime.block_on(async {
            let again = Again::default();
            let sleeper = || tokio::spawn(std::future::pending::<()>());
            let (first, second) = (sleeper(), sleeper());
            assert!(again.wait("a".into(), || first.abort_handle()) && again.wait("a".into(), || second.abort_handle()));
            assert!(first.await.is_err_and(|it| it.is_cancelled()), "the older one does not go");
            again.supersede("a");
            assert!(second.await.is_err_and(|it| it.is_cancelled()));
            let (third, all) = (sleeper(), SUBSCRIPTIONS_MAX);
            assert!((0..all).all(|n| again.wait(n.to_string(), || third.abort_handle())));
            assert!(!again.wait("one more".into(), || panic!("it does not begin")));
            assert!(again.wait("0".into(), || sleeper().abort_handle()), "instead of another of the same");
            again.goes("1");
            assert!(again.wait("one more".into(), || sleeper().abort_handle()));
        });
    }

    #[test]
    fn each_time_later() {
        let waits: Vec<u64> = (0..TRIES_MAX).map(|tries| after(tries).as_secs()).collect();
        assert_eq!(waits, [30, 60, 120, 240, 480, 960]);
        assert_eq!(after(u32::MAX), after(TRIES_MAX));
    }
}
