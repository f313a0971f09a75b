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

    /// There was one more. `Err`: how long until there may be the next.
    pub fn take(&mut self, now: Instant) -> Result<(), Duration> {
        let passed = now.duration_since(self.at).as_secs_f64();
        self.at = now;
        self.tokens = (self.tokens + passed * self.per_second).min(self.burst) - 1.0;
        if self.tokens >= 0.0 { Ok(()) } else { Err(Duration::from_secs_f64(-self.tokens / self.per_second)) }
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
        assert_eq!(rate.take(now), Err(Duration::from_millis(100)));
        let later = now + Duration::from_millis(201);
        assert_eq!(rate.take(later), Ok(()));
        assert!(rate.take(later).is_err());
        assert!(Rate::new(0, 3, now).is_none());
    }

    /// As a pipe does: what is there is heard, and then it waits as long as it is told.
    #[test]
    fn whoever_waits_as_told_keeps_to_the_rate() {
        let begun = Instant::now();
        let (mut now, mut heard) = (begun, 0);
        let mut rate = Rate::new(10, 3, now).expect("a limit");
        while now < begun + Duration::from_secs(10) {
            heard += 1;
            if let Err(wait) = rate.take(now) {
                now += wait;
            }
        }
        assert!((102..=104).contains(&heard), "{heard}");
    }
}
