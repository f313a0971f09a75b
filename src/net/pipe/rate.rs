//! A token bucket: so many stanzas a second, a burst more at once.

use std::time::{Duration, Instant};

pub(super) struct Rate {
    per_second: f64,
    burst: f64,
    tokens: f64,
    at: Instant,
}

impl Rate {
    /// `None`: no limit.
    pub fn new(per_second: u32, burst: u32, now: Instant) -> Option<Rate> {
        let burst = f64::from(burst.max(1));
        (per_second > 0).then(|| Rate { per_second: f64::from(per_second), burst, tokens: burst, at: now })
    }

    /// One more now? Otherwise how long until then.
    pub fn take(&mut self, now: Instant) -> Result<(), Duration> {
        let passed = now.duration_since(self.at).as_secs_f64();
        self.at = now;
        self.tokens = (self.tokens + passed * self.per_second).min(self.burst);
        if self.tokens >= 1.0 {
            self.tokens -= 1.0;
            Ok(())
        } else {
            Err(Duration::from_secs_f64((1.0 - self.tokens) / self.per_second))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_burst_passes_and_then_the_rate_holds() {
        let now = Instant::now();
        let mut rate = Rate::new(10, 3, now).expect("a limit");
        for _ in 0..3 {
            assert_eq!(rate.take(now), Ok(()));
        }
        assert!(rate.take(now).is_err());
        let later = now + Duration::from_millis(101);
        assert_eq!(rate.take(later), Ok(()));
        assert!(rate.take(later).is_err());
        assert!(Rate::new(0, 3, now).is_none());
    }
}
