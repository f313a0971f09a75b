//! Who may knock, and how often: unauthenticated connections and failed authentications per address (security B5, B12, F1).

use std::collections::HashMap;
use std::net::IpAddr;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use arc_swap::ArcSwap;
use iris_core::BareJid;
use iris_core::limits::Limits;
use iris_core::metrics::Counter;

pub(crate) struct Guard {
    rules: ArcSwap<Rules>,
    doors: Mutex<Doors>,
    pub counters: Counters,
}

/// Who was turned away, and why.
#[derive(Default)]
pub struct Counters {
    pub address_bans: Counter,
    /// Of an address for one user.
    pub user_bans: Counter,
    pub banned: Counter,
    pub pre_auth_full: Counter,
    pub http_full: Counter,
    pub bosh_full: Counter,
}

struct Rules {
    limits: Limits,
    lifted: Vec<IpAddr>,
}

#[derive(Default)]
struct Doors {
    addresses: HashMap<IpAddr, Address>,
    guesses: HashMap<(IpAddr, String), Failures>,
    swept: Option<Instant>,
}

#[derive(Default)]
struct Address {
    unauthenticated: u32,
    /// Connections that speak HTTP.
    http: u32,
    /// BOSH sessions.
    bosh: u32,
    failures: Failures,
}

#[derive(Default)]
struct Failures {
    count: u32,
    since: Option<Instant>,
    banned_until: Option<Instant>,
}

/// At most this many addresses and guesses are remembered; beyond it the oldest knowledge is dropped.
const REMEMBERED_MAX: usize = 100_000;

impl Guard {
    pub fn new(limits: Limits, lifted: Vec<IpAddr>) -> Guard {
        Guard { rules: ArcSwap::from_pointee(Rules { limits, lifted }), doors: Mutex::default(), counters: Counters::default() }
    }

    /// After a reload; what is known of addresses stays.
    pub fn set_rules(&self, limits: Limits, lifted: Vec<IpAddr>) {
        self.rules.store(Arc::new(Rules { limits, lifted }));
    }

    pub fn is_lifted(&self, address: IpAddr) -> bool {
        self.rules.load().lifted.contains(&address.to_canonical())
    }

    fn doors(&self) -> MutexGuard<'_, Doors> {
        self.doors.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// A connection comes in. False: it is closed at once.
    pub fn admit(&self, address: IpAddr, now: Instant) -> bool {
        let rules = self.rules.load();
        let limits = &rules.limits;
        let mut doors = self.doors();
        doors.sweep(now, limits.auth_failure_window.max(limits.ban_time));
        let entry = doors.addresses.entry(block(address)).or_default();
        if entry.failures.is_banned(now) {
            self.counters.banned.one();
            return false;
        }
        take(&mut entry.unauthenticated, limits.pre_auth_connections_per_address_max, &self.counters.pre_auth_full)
    }

    /// It has authenticated, or is gone.
    pub fn leave(&self, address: IpAddr) {
        if let Some(entry) = self.doors().addresses.get_mut(&block(address)) {
            entry.unauthenticated = entry.unauthenticated.saturating_sub(1);
        }
    }

    /// A connection turned out to speak HTTP. False: it has to go.
    pub fn admit_http(&self, address: IpAddr) -> bool {
        let most = self.rules.load().limits.http_connections_per_address_max;
        let mut doors = self.doors();
        let entry = doors.addresses.entry(block(address)).or_default();
        take(&mut entry.http, most, &self.counters.http_full)
    }

    pub fn leave_http(&self, address: IpAddr) {
        if let Some(entry) = self.doors().addresses.get_mut(&block(address)) {
            entry.http = entry.http.saturating_sub(1);
        }
    }

    /// A BOSH session begins. False: there are enough of this address.
    pub fn admit_bosh(&self, address: IpAddr) -> bool {
        let most = self.rules.load().limits.bosh_sessions_per_address_max;
        let mut doors = self.doors();
        let entry = doors.addresses.entry(block(address)).or_default();
        take(&mut entry.bosh, most, &self.counters.bosh_full)
    }

    pub fn leave_bosh(&self, address: IpAddr) {
        if let Some(entry) = self.doors().addresses.get_mut(&block(address)) {
            entry.bosh = entry.bosh.saturating_sub(1);
        }
    }

    /// A wrong password. The user stays able to log in from elsewhere: bans are of an address, or of an address for a user.
    pub fn failed(&self, address: IpAddr, user: Option<&BareJid>, now: Instant) {
        let rules = self.rules.load();
        let limits = &rules.limits;
        let mut doors = self.doors();
        let entry = doors.addresses.entry(block(address)).or_default();
        entry.failures.add(now, limits.auth_failures_per_address_max, limits, &self.counters.address_bans);
        if let Some(user) = user
            && doors.guesses.len() < REMEMBERED_MAX
        {
            let guesses = doors.guesses.entry((block(address), user.to_string())).or_default();
            guesses.add(now, limits.auth_failures_per_address_user_max, limits, &self.counters.user_bans);
        }
    }

    /// Is whatever this address says about this user taken for wrong?
    pub fn is_banned(&self, address: IpAddr, user: &BareJid, now: Instant) -> bool {
        let doors = self.doors();
        let key = (block(address), user.to_string());
        doors.addresses.get(&block(address)).is_some_and(|entry| entry.failures.is_banned(now))
            || doors.guesses.get(&key).is_some_and(|guesses| guesses.is_banned(now))
    }
}

impl Doors {
    fn sweep(&mut self, now: Instant, memory: Duration) {
        let due = self.swept.is_none_or(|swept| now.duration_since(swept) > Duration::from_secs(30));
        if !due && self.addresses.len() < REMEMBERED_MAX {
            return;
        }
        self.swept = Some(now);
        let fresh = |it: &Failures| it.is_banned(now) || it.since.is_some_and(|since| now.duration_since(since) < memory);
        self.addresses.retain(|_, entry| entry.is_here() || fresh(&entry.failures));
        self.guesses.retain(|_, guesses| fresh(guesses));
    }
}

impl Address {
    fn is_here(&self) -> bool {
        self.unauthenticated > 0 || self.http > 0 || self.bosh > 0
    }
}

fn take(count: &mut u32, most: u32, full: &Counter) -> bool {
    let room = *count < most;
    *count += u32::from(room);
    full.add(u64::from(!room));
    room
}

impl Failures {
    fn add(&mut self, now: Instant, max: u32, limits: &Limits, bans: &Counter) {
        if self.since.is_none_or(|since| now.duration_since(since) > limits.auth_failure_window) {
            self.since = Some(now);
            self.count = 0;
        }
        self.count += 1;
        if self.count >= max {
            bans.add(u64::from(!self.is_banned(now)));
            self.banned_until = Some(now + limits.ban_time);
        }
    }

    fn is_banned(&self, now: Instant) -> bool {
        self.banned_until.is_some_and(|until| now < until)
    }
}

/// Are these one and the same, as far as limits go?
pub(crate) fn same_block(a: IpAddr, b: IpAddr) -> bool {
    block(a) == block(b)
}

/// Whoever has one IPv6 address has 2^64 of them: the /64 counts as one.
pub(crate) fn block(address: IpAddr) -> IpAddr {
    match address.to_canonical() {
        IpAddr::V6(v6) => {
            let [a, b, c, d, ..] = v6.segments();
            IpAddr::from([a, b, c, d, 0, 0, 0, 0])
        }
        v4 => v4,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn guard() -> Guard {
        let limits = Limits {
            auth_failures_per_address_max: 5,
            auth_failures_per_address_user_max: 3,
            pre_auth_connections_per_address_max: 2,
            ..Limits::default()
        };
        Guard::new(limits, vec!["127.0.0.1".parse().expect("an address")])
    }

    #[test]
    fn b12_a_guesser_is_banned_for_one_user_first_and_the_victim_is_not() {
        let (guard, now) = (guard(), Instant::now());
        let attacker: IpAddr = "192.0.2.1".parse().expect("an address");
        let elsewhere: IpAddr = "192.0.2.2".parse().expect("an address");
        let victim = BareJid::new("juliet@house").expect("a JID");
        let other = BareJid::new("romeo@house").expect("a JID");
        for _ in 0..3 {
            assert!(!guard.is_banned(attacker, &victim, now));
            guard.failed(attacker, Some(&victim), now);
        }
        assert!(guard.is_banned(attacker, &victim, now));
        assert!(!guard.is_banned(attacker, &other, now));
        assert!(!guard.is_banned(elsewhere, &victim, now));
        guard.failed(attacker, Some(&other), now);
        guard.failed(attacker, Some(&other), now);
        assert!(!guard.admit(attacker, now), "five failures ban the address");
        assert!(guard.admit(elsewhere, now));
        let later = now + Limits::default().ban_time + Duration::from_secs(1);
        assert!(guard.admit(attacker, later));
    }

    #[test]
    fn f1_unauthenticated_connections_of_one_address_are_bounded() {
        let (guard, now) = (guard(), Instant::now());
        let one: IpAddr = "2001:db8::1".parse().expect("an address");
        let same_site: IpAddr = "2001:db8::2".parse().expect("an address");
        assert!(guard.admit(one, now) && guard.admit(same_site, now));
        assert!(!guard.admit(one, now));
        guard.leave(one);
        assert!(guard.admit(one, now));
    }
}
