//! How often something happens: counted in the turn of the account it happens in, two numbers and no clock.

/// A count of this window and one of the window before. `WINDOW`: how long one is; the unit is its owner's.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Pace<const WINDOW: u64> {
    /// Which window since time began.
    window: u64,
    now: u32,
    before: u32,
}

impl<const WINDOW: u64> Pace<WINDOW> {
    pub fn count(&mut self, at: u64) {
        self.turn_to(at / WINDOW);
        self.now = self.now.saturating_add(1);
    }

    /// How many there were in the last `WINDOW`: of the window before the share of it that is not over longer ago is taken.
    pub fn in_last_window(mut self, at: u64) -> f64 {
        self.turn_to(at / WINDOW);
        let passed = (at % WINDOW) as f64 / WINDOW as f64;
        f64::from(self.now) + f64::from(self.before) * (1.0 - passed)
    }

    fn turn_to(&mut self, window: u64) {
        // A clock that goes back does not make a new window.
        if window > self.window {
            self.before = if window == self.window + 1 { self.now } else { 0 };
            (self.window, self.now) = (window, 0);
        }
    }

    /// Big-endian, for the disk.
    pub fn encode(self, out: &mut Vec<u8>) {
        out.extend_from_slice(&self.window.to_be_bytes());
        out.extend_from_slice(&self.now.to_be_bytes());
        out.extend_from_slice(&self.before.to_be_bytes());
    }

    pub fn decode(bytes: &[u8]) -> Option<Self> {
        let (window, counts) = bytes.split_first_chunk::<8>()?;
        let (now, before) = counts.split_first_chunk::<4>()?;
        let before = before.try_into().ok()?;
        Some(Pace { window: u64::from_be_bytes(*window), now: u32::from_be_bytes(*now), before: u32::from_be_bytes(before) })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_happened_in_the_last_window_counts_and_what_is_older_does_not() {
        let mut pace = Pace::<60>::default();
        (0..60).for_each(|at| pace.count(at));
        assert_eq!(pace.in_last_window(59), 60.0);
        assert_eq!(pace.in_last_window(90), 30.0);
        pace.count(90);
        assert_eq!(pace.in_last_window(90), 31.0);
        assert_eq!(pace.in_last_window(180), 0.0, "two windows later");
        assert_eq!(pace.in_last_window(30), 31.0, "the clock went back");
    }

    #[test]
    fn it_round_trips_and_nothing_else_decodes() {
        let mut pace = Pace::<3_600>::default();
        [7, 8_000, 8_001].into_iter().for_each(|at| pace.count(at));
        let mut bytes = Vec::new();
        pace.encode(&mut bytes);
        assert_eq!(Pace::decode(&bytes), Some(pace));
        assert_eq!(Pace::<3_600>::decode(&bytes[..15]), None);
        assert_eq!(Pace::<3_600>::decode(b""), None);
    }
}
