//! How fast people speak: no faster than the owners let them (XEP-0500), and how much is said (XEP-0502).

use std::collections::{HashMap, VecDeque};
use std::sync::Arc;
use std::time::Duration;

use iris_core::store::Shelf;
use iris_core::time::Mono;
use iris_core::{Bounce, Changed, Condition, ErrorType};

/// Record: the number of the hour since 1970, then what was said in it and in the hours before.
pub const ACTIVITY: Shelf = Shelf::record("muc-activity");

const HOUR_US: u64 = 3_600_000_000;
/// The hour that has begun, and a day.
const HOURS: usize = 25;
/// People whose last word, or request, is remembered.
const SPEAKERS_MAX: usize = 2_000;

/// When each has spoken last.
#[derive(Debug, Default)]
pub struct SlowMode {
    last: HashMap<Arc<str>, Mono>,
}

impl SlowMode {
    /// XEP-0500 5: may this person (whatever nicknames and clients they have) speak now?
    pub fn speak(&mut self, person: &Arc<str>, now: Mono, seconds: u64) -> Result<(), Bounce> {
        if seconds == 0 {
            self.last.clear();
            return Ok(());
        }
        let pause = Duration::from_secs(seconds);
        if let Some(last) = self.last.get(person)
            && now.since(*last) < pause
        {
            let wait = (pause - now.since(*last)).as_secs_f64().ceil();
            let what = format!("this room is in slow mode, {seconds} seconds between messages: wait {wait} more");
            let slow = Bounce::new(Condition::PolicyViolation).kind(ErrorType::Wait);
            return Err(slow.limit(what, Changed::ByOwners("room")));
        }
        if self.last.len() >= SPEAKERS_MAX {
            self.last.retain(|_, last| now.since(*last) < pause);
        }
        if self.last.len() < SPEAKERS_MAX || self.last.contains_key(person) {
            self.last.insert(person.clone(), now);
        }
        Ok(())
    }
}

/// Who has done something lately that disturbs others, whatever nicknames they had meanwhile and whether they were here all the time.
#[derive(Debug)]
pub struct Lately {
    pause: Duration,
    last: HashMap<Arc<str>, Mono>,
}

impl Lately {
    pub fn new(pause: Duration) -> Lately {
        Lately { pause, last: HashMap::new() }
    }

    /// May this person do it now? Then they have. Otherwise: how long it takes until they may.
    pub fn again(&mut self, person: &str, now: Mono) -> Result<(), Duration> {
        if let Some(last) = self.last.get(person).filter(|last| now.since(**last) < self.pause) {
            return Err(self.pause - now.since(*last));
        }
        if self.last.len() >= SPEAKERS_MAX {
            let pause = self.pause;
            self.last.retain(|_, last| now.since(*last) < pause);
        }
        // So many in so short a time are no people who want something.
        if self.last.len() >= SPEAKERS_MAX && !self.last.contains_key(person) {
            return Err(self.pause);
        }
        self.last.insert(Arc::from(person), now);
        Ok(())
    }

    /// They were answered.
    pub fn forget(&mut self, person: &str) {
        self.last.remove(person);
    }
}

/// What one person has a room send to people who are not in it, within `MINUTE`; people of whom that is counted.
pub const SENT_PER_PERSON_MAX: usize = 100;
const SENDERS_MAX: usize = 1_000;
const MINUTE: Duration = Duration::from_secs(60);

/// Who has had something sent to whom within the last minute, by their bare JIDs.
#[derive(Debug, Default)]
pub struct Sent {
    by: HashMap<Arc<str>, VecDeque<(Mono, Arc<str>)>>,
}

impl Sent {
    pub fn forget_before(&mut self, now: Mono) {
        self.by.retain(|_, sent| {
            let over = sent.iter().take_while(|(at, _)| now.since(*at) >= MINUTE).count();
            sent.drain(..over);
            !sent.is_empty()
        });
    }

    pub fn count(&self, sender: &str, to: &str) -> usize {
        self.by.get(sender).map_or(0, |sent| sent.iter().filter(|(_, it)| **it == *to).count())
    }

    /// May so many more be sent now? Otherwise: how long it takes until they may. What is more at once than there may be in a minute is
    /// sent after a minute without any.
    pub fn has_place(&self, sender: &str, more: usize, now: Mono) -> Result<(), Duration> {
        let Some(sent) = self.by.get(sender) else {
            return if self.by.len() < SENDERS_MAX || more == 0 { Ok(()) } else { Err(MINUTE) };
        };
        let over = (sent.len() + more).saturating_sub(SENT_PER_PERSON_MAX).min(if more == 0 { 0 } else { sent.len() });
        let last = over.checked_sub(1).and_then(|at| sent.get(at));
        last.map_or(Ok(()), |(at, _)| Err(MINUTE.saturating_sub(now.since(*at))))
    }

    pub fn add(&mut self, sender: &str, to: &str, now: Mono) {
        self.by.entry(Arc::from(sender)).or_default().push_back((now, Arc::from(to)));
    }
}

/// What has to wait because of it.
pub fn soon(what: String, wait: Duration) -> Bounce {
    let help = format!("go on in {} seconds", wait.as_secs_f64().ceil());
    Bounce::new(Condition::PolicyViolation).kind(ErrorType::Wait).limit(what, Changed::ByNobody(&help))
}

/// XEP-0502 6: a counter for each hour.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Activity {
    hour: u64,
    counts: [u32; HOURS],
}

impl Activity {
    pub fn decode(value: &[u8]) -> Option<Activity> {
        let mut numbers = std::str::from_utf8(value).ok()?.split(' ');
        let hour = numbers.next()?.parse().ok()?;
        let mut counts = [0; HOURS];
        for (count, number) in counts.iter_mut().zip(numbers) {
            *count = number.parse().ok()?;
        }
        Some(Activity { hour, counts })
    }

    pub fn encode(&self) -> String {
        self.counts.iter().fold(self.hour.to_string(), |text, count| format!("{text} {count}"))
    }

    fn turn_to(&mut self, hour: u64) {
        let passed = usize::try_from(hour.saturating_sub(self.hour)).unwrap_or(HOURS).min(HOURS);
        self.counts.rotate_right(passed % HOURS);
        self.counts.iter_mut().take(passed).for_each(|count| *count = 0);
        self.hour = self.hour.max(hour);
    }

    /// A message was said. True: an hour has ended, and what is counted is worth keeping.
    pub fn count(&mut self, now_us: u64) -> bool {
        let hour = now_us / HOUR_US;
        let is_new = hour > self.hour;
        self.turn_to(hour);
        self.counts[0] = self.counts[0].saturating_add(1);
        is_new
    }

    /// Messages an hour, of the last 24 that are complete. `None`: nothing was ever counted.
    pub fn rate(&self, now_us: u64) -> Option<f64> {
        if self.hour == 0 {
            return None;
        }
        let mut now = self.clone();
        now.turn_to(now_us / HOUR_US);
        let day: u64 = now.counts.iter().skip(1).map(|count| u64::from(*count)).sum();
        Some(day as f64 / 24.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn xep0502_s6_a_day_of_hours() {
        let mut activity = Activity::default();
        assert_eq!(activity.rate(500_000 * HOUR_US), None);
        for n in 0..48 {
            assert!(activity.count(500_000 * HOUR_US + n) == (n == 0));
        }
        assert_eq!(activity.rate(500_000 * HOUR_US), Some(0.0), "the hour is not over");
        assert_eq!(activity.rate(500_001 * HOUR_US), Some(2.0));
        assert_eq!(activity.rate(500_024 * HOUR_US), Some(2.0));
        assert_eq!(activity.rate(500_025 * HOUR_US), Some(0.0));
        assert_eq!(activity.rate(900_000 * HOUR_US), Some(0.0));
        assert_eq!(Activity::decode(activity.encode().as_bytes()), Some(activity));
        assert_eq!(Activity::decode(b"x"), None);
    }

    #[test]
    fn xep0500_s5_one_message_and_then_a_pause() {
        let mut slow = SlowMode::default();
        let (romeo, juliet) = (Arc::from("romeo@house"), Arc::from("juliet@house"));
        let at = |seconds| Mono(Duration::from_secs(seconds));
        assert!(slow.speak(&romeo, at(0), 20).is_ok() && slow.speak(&juliet, at(1), 20).is_ok());
        let refused = slow.speak(&romeo, at(15), 20).expect_err("too soon");
        assert_eq!((refused.condition, refused.kind), (Condition::PolicyViolation, ErrorType::Wait));
        assert!(refused.text.is_some_and(|text| text.contains("20 seconds") && text.contains("wait 5")));
        assert!(slow.speak(&romeo, at(20), 20).is_ok());
        assert!(slow.speak(&romeo, at(21), 0).is_ok());
    }

    #[test]
    fn d2_what_is_remembered_of_people_is_bounded_and_ends() {
        let mut lately = Lately::new(Duration::from_secs(60));
        let at = |seconds| Mono(Duration::from_secs(seconds));
        for n in 0..SPEAKERS_MAX {
            assert_eq!(lately.again(&format!("p{n}@away"), at(0)), Ok(()));
        }
        assert_eq!(lately.again("p0@away", at(20)), Err(Duration::from_secs(40)));
        assert_eq!(lately.again("romeo@house", at(59)), Err(Duration::from_secs(60)));
        lately.forget("p1@away");
        assert_eq!(lately.again("romeo@house", at(59)), Ok(()));
        assert_eq!(lately.again("p0@away", at(60)), Ok(()));
        assert_eq!(lately.again("juliet@house", at(60)), Ok(()));
        assert_eq!(lately.last.len(), 3);
    }
}
