//! Time as a value: handlers are told what time it is, nobody asks a clock.

use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use crate::store::EntryId;

/// A moment: `mono` never goes back (timeouts, limits), `wall` is what people read (microseconds since 1970, UTC).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Now {
    pub mono: Mono,
    pub wall_us: u64,
}

/// Monotonic time since the process began.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Mono(pub Duration);

impl std::ops::Add<Duration> for Mono {
    type Output = Mono;
    fn add(self, d: Duration) -> Mono {
        Mono(self.0 + d)
    }
}

impl Mono {
    pub fn since(self, earlier: Mono) -> Duration {
        self.0.saturating_sub(earlier.0)
    }
}

/// Ids that ascend whatever the wall clock does: `max(now, last + 1)`, one clock per process, its floor kept by the store. So
/// the order of an archive is the order of delivery, across clock steps and restarts.
#[derive(Debug, Default)]
pub struct HouseClock {
    last: AtomicU64,
}

impl HouseClock {
    /// `floor`: the greatest id the store has ever committed.
    pub fn above(floor: u64) -> HouseClock {
        HouseClock { last: AtomicU64::new(floor) }
    }

    pub fn mint(&self, now: Now) -> EntryId {
        let step = |last: u64| Some(now.wall_us.max(last + 1));
        // The closure never refuses, so both arms hold the previous value.
        let last = match self.last.fetch_update(Ordering::Relaxed, Ordering::Relaxed, step) {
            Ok(last) | Err(last) => last,
        };
        EntryId(now.wall_us.max(last + 1))
    }
}

/// XEP-0082 date-time in UTC with microseconds when there are any: `2026-11-25T21:20:15Z`, `2026-11-25T21:20:15.250000Z`.
pub fn datetime(wall_us: u64) -> String {
    let (secs, us) = (wall_us / 1_000_000, wall_us % 1_000_000);
    let (days, rest) = (secs / 86_400, secs % 86_400);
    let (year, month, day) = civil(days as i64);
    // Digit by digit: a page of an archive has fifty of them, and the formatter of the language took a twentieth of its time.
    let mut text = *b"0000-00-00T00:00:00.000000Z";
    let parts = [
        (0..4, year.unsigned_abs()),
        (5..7, month.unsigned_abs()),
        (8..10, day.unsigned_abs()),
        (11..13, rest / 3_600),
        (14..16, rest / 60 % 60),
        (17..19, rest % 60),
        (20..26, us),
    ];
    for (place, mut number) in parts {
        for digit in text[place].iter_mut().rev() {
            *digit = b'0' + (number % 10) as u8;
            number /= 10;
        }
    }
    let mut text = String::from_utf8_lossy(&text).into_owned();
    if us == 0 {
        text.replace_range(19..26, "");
    }
    text
}

/// A XEP-0082 date-time as microseconds since 1970; `None` for anything else or before 1970.
pub fn parse_datetime(text: &str) -> Option<u64> {
    let b = text.as_bytes();
    let num = |from: usize, to: usize| -> Option<i64> {
        let part = b.get(from..to)?;
        part.iter().try_fold(0i64, |n, c| c.is_ascii_digit().then(|| n * 10 + i64::from(c - b'0')))
    };
    let is = |at: usize, c: u8| b.get(at) == Some(&c);
    if !(is(4, b'-') && is(7, b'-') && is(10, b'T') && is(13, b':') && is(16, b':')) {
        return None;
    }
    let (year, month, day) = (num(0, 4)?, num(5, 7)?, num(8, 10)?);
    let (h, m, s) = (num(11, 13)?, num(14, 16)?, num(17, 19)?);
    if !(1..=12).contains(&month) || !(1..=31).contains(&day) || h > 23 || m > 59 || s > 60 {
        return None;
    }
    let mut at = 19;
    let mut us = 0i64;
    if is(at, b'.') {
        let digits = b[at + 1..].iter().take_while(|c| c.is_ascii_digit()).count();
        if digits == 0 {
            return None;
        }
        for i in 0..6 {
            us = us * 10 + if i < digits { i64::from(b[at + 1 + i] - b'0') } else { 0 };
        }
        at += 1 + digits;
    }
    let offset_secs = match b.get(at) {
        Some(b'Z') if b.len() == at + 1 => 0,
        Some(sign @ (b'+' | b'-')) if b.len() == at + 6 && is(at + 3, b':') => {
            let secs = num(at + 1, at + 3)? * 3_600 + num(at + 4, at + 6)? * 60;
            if *sign == b'+' { secs } else { -secs }
        }
        _ => return None,
    };
    let secs = days_from_civil(year, month, day) * 86_400 + h * 3_600 + m * 60 + s - offset_secs;
    u64::try_from(secs * 1_000_000 + us).ok()
}

/// The first microsecond of a day, `2026-11-26` (UTC, XEP-0082 3.1 without a time zone); `None`: there is no such day, or it was before 1970.
pub fn parse_day(text: &str) -> Option<u64> {
    let begin = (text.len() == 10).then(|| parse_datetime(&format!("{text}T00:00:00Z")))??;
    // The 31st of April is the 1st of May to whoever only counts.
    datetime(begin).starts_with(text).then_some(begin)
}

/// Days since 1970-01-01 to a date of the proleptic Gregorian calendar.
fn civil(days: i64) -> (i64, i64, i64) {
    let z = days + 719_468;
    let era = z.div_euclid(146_097);
    let doe = z.rem_euclid(146_097);
    let yoe = (doe - doe / 1_460 + doe / 36_524 - doe / 146_096) / 365;
    let doy = doe - (365 * yoe + yoe / 4 - yoe / 100);
    let mp = (5 * doy + 2) / 153;
    let day = doy - (153 * mp + 2) / 5 + 1;
    let month = if mp < 10 { mp + 3 } else { mp - 9 };
    (yoe + era * 400 + i64::from(month <= 2), month, day)
}

fn days_from_civil(year: i64, month: i64, day: i64) -> i64 {
    let y = year - i64::from(month <= 2);
    let era = y.div_euclid(400);
    let yoe = y.rem_euclid(400);
    let doy = (153 * (if month > 2 { month - 3 } else { month + 9 }) + 2) / 5 + day - 1;
    let doe = yoe * 365 + yoe / 4 - yoe / 100 + doy;
    era * 146_097 + doe - 719_468
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn xep0082_3_1_a_day_is_one_of_the_calendar() {
        assert_eq!(parse_day("1970-01-02"), Some(86_400_000_000));
        assert_eq!(parse_day("2024-02-29"), parse_datetime("2024-02-29T00:00:00Z"));
        for none in
            ["2026-02-29", "2026-04-31", "2026-13-01", "1969-12-31", "2026-1-1", "2026-11-26Z", "26.11.2026", "", "２０２６-01"]
        {
            assert_eq!(parse_day(none), None, "{none}");
        }
    }

    #[test]
    fn ids_ascend_when_the_wall_clock_goes_back() {
        let clock = HouseClock::above(1_000);
        let at = |us| Now { wall_us: us, ..Now::default() };
        assert_eq!(clock.mint(at(2_000)), EntryId(2_000));
        assert_eq!(clock.mint(at(2_000)), EntryId(2_001));
        assert_eq!(clock.mint(at(500)), EntryId(2_002));
        assert_eq!(HouseClock::above(9_000).mint(at(500)), EntryId(9_001));
    }

    #[test]
    fn xep0082_datetimes_round_trip() {
        for (text, us) in [
            ("1970-01-01T00:00:00Z", 0),
            ("2026-11-25T21:20:15Z", 1_795_641_615_000_000),
            ("2024-02-29T23:59:59.250000Z", 1_709_251_199_250_000),
        ] {
            assert_eq!(parse_datetime(text), Some(us), "{text}");
            assert_eq!(datetime(us), text);
        }
        assert_eq!(parse_datetime("2026-11-25T22:20:15+01:00"), parse_datetime("2026-11-25T21:20:15Z"));
        for bad in ["", "2026", "2026-11-25", "2026-11-25T21:20:15", "2026-13-25T21:20:15Z", "2026-11-25T21:20:15.Z", "x"] {
            assert_eq!(parse_datetime(bad), None, "{bad}");
        }
    }
}
