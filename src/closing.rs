//! An administrator's order to close the house, or to begin anew (XEP-0133): given in a turn, carried out by whoever runs the server.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use iris_core::ports::Stop;
use tokio::sync::Notify;

#[derive(Default)]
pub struct Closing {
    /// One order is enough: it is not taken back.
    ordered: Mutex<Option<Stop>>,
    due: Notify,
}

impl Closing {
    /// # Errors
    /// It was ordered already, or the system has no thread for it.
    pub fn order(self: &Arc<Self>, what: Stop, after: Duration) -> Result<(), String> {
        let mut ordered = self.ordered.lock().unwrap_or_else(PoisonError::into_inner);
        if ordered.is_some() {
            return Err("the server is about to stop already".into());
        }
        let closing = self.clone();
        let wait = move || {
            std::thread::sleep(after);
            closing.due.notify_one();
        };
        std::thread::Builder::new().name("iris-closing".into()).spawn(wait).map_err(|error| error.to_string())?;
        tracing::warn!(?what, after_s = after.as_secs(), "an administrator has ordered the server to stop");
        *ordered = Some(what);
        Ok(())
    }

    /// Until the time has come.
    pub async fn due(&self) {
        self.due.notified().await;
    }

    pub fn ordered(&self) -> Option<Stop> {
        *self.ordered.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_order_is_due_after_its_delay_and_is_given_once() {
        let closing = Arc::new(Closing::default());
        assert_eq!(closing.ordered(), None);
        closing.order(Stop::Restart, Duration::from_millis(10)).expect("the first order");
        assert!(closing.order(Stop::ShutDown, Duration::ZERO).is_err());
        let runtime = tokio::runtime::Builder::new_current_thread().build().expect("a runtime");
        runtime.block_on(closing.due());
        assert_eq!(closing.ordered(), Some(Stop::Restart));
    }
}
