//! What wakes a pipe on its own thread.

use std::cell::Cell;
use std::task::{Context, Poll, Waker};

/// For the one task that waits for it. Waking before it waits is not lost, waking twice is waking once. (A `tokio::sync::Notify` serves
/// any thread: its lock and its list are a twentieth of what a delivery costs.)
#[derive(Default)]
pub(crate) struct Wake {
    is_due: Cell<bool>,
    waiting: Cell<Option<Waker>>,
}

impl Wake {
    pub fn wake(&self) {
        self.is_due.set(true);
        if let Some(waker) = self.waiting.take() {
            waker.wake();
        }
    }

    pub fn poll(&self, cx: &Context<'_>) -> Poll<()> {
        if self.is_due.take() {
            return Poll::Ready(());
        }
        let known = self.waiting.take().filter(|waker| waker.will_wake(cx.waker()));
        self.waiting.set(Some(known.unwrap_or_else(|| cx.waker().clone())));
        Poll::Pending
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn waking_is_neither_lost_nor_counted() {
        let (wake, cx) = (Wake::default(), Context::from_waker(Waker::noop()));
        assert!(wake.poll(&cx).is_pending());
        wake.wake();
        wake.wake();
        assert!(wake.poll(&cx).is_ready());
        assert!(wake.poll(&cx).is_pending());
    }

    #[test]
    fn who_waits_is_woken() {
        use std::sync::Arc;
        use std::sync::atomic::{AtomicUsize, Ordering};
        struct Count(AtomicUsize);
        impl std::task::Wake for Count {
            fn wake(self: Arc<Self>) {
                self.0.fetch_add(1, Ordering::Relaxed);
            }
        }
        let (wake, count) = (Wake::default(), Arc::new(Count(AtomicUsize::new(0))));
        let waker = Waker::from(count.clone());
        let cx = Context::from_waker(&waker);
        assert!(wake.poll(&cx).is_pending());
        assert!(wake.poll(&cx).is_pending());
        wake.wake();
        assert_eq!(count.0.load(Ordering::Relaxed), 1);
    }
}
