//! Strangers who want an account: how many from one address (security D10), and the way to the domain that makes them.

use std::collections::HashMap;
use std::net::IpAddr;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use iris_core::registration::{Answer, Refused, Reply, Request};
use iris_core::task::HostFn;
use iris_engine::{Post, shard_of};

use crate::guard::block;
use crate::{Net, Shared};

const HOUR: Duration = Duration::from_secs(3_600);
/// So many attempts for each account that may be made: taken names are tried, passwords are too short.
const ATTEMPTS_PER_ACCOUNT: u32 = 10;
/// Addresses that are remembered; when there are more, nobody new makes an account before some are forgotten.
const ADDRESSES_MAX: usize = 100_000;

/// Who made accounts lately.
#[derive(Default)]
pub(crate) struct Registrations {
    of: Mutex<HashMap<IpAddr, Recent>>,
}

struct Recent {
    since: Instant,
    made: u32,
    tried: u32,
}

impl Registrations {
    /// May this address try to make an account? If so it counts as made, until `failed`.
    fn try_one(&self, address: IpAddr, per_hour_max: u32, now: Instant) -> bool {
        if per_hour_max == 0 {
            return true;
        }
        let mut of = self.of.lock().unwrap_or_else(PoisonError::into_inner);
        if of.len() >= ADDRESSES_MAX {
            of.retain(|_, recent| now.duration_since(recent.since) < HOUR);
        }
        let full = of.len() >= ADDRESSES_MAX;
        let key = block(address);
        if full && !of.contains_key(&key) {
            return false;
        }
        let recent = of.entry(key).or_insert(Recent { since: now, made: 0, tried: 0 });
        if now.duration_since(recent.since) >= HOUR {
            *recent = Recent { since: now, made: 0, tried: 0 };
        }
        if recent.made >= per_hour_max || recent.tried >= per_hour_max.saturating_mul(ATTEMPTS_PER_ACCOUNT) {
            return false;
        }
        recent.made += 1;
        recent.tried += 1;
        true
    }

    fn failed(&self, address: IpAddr) {
        let mut of = self.of.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(recent) = of.get_mut(&block(address)) {
            recent.made = recent.made.saturating_sub(1);
        }
    }
}

/// Ask the registrar of a domain. `peer`: whose limit counts; `None`: nobody's. The reply comes on any thread.
pub(crate) fn ask(shared: &Arc<Shared>, domain: &str, request: Request, peer: Option<IpAddr>, reply: Reply) {
    let makes = matches!(request, Request::Register { .. } | Request::SetPassword { .. });
    let (house, peer) = (shared.clone(), peer.filter(|_| makes));
    let f = move |turn: &mut iris_core::HostTurn<'_>| {
        let doors = turn.doors;
        let Some((offer, registrar)) = &doors.registration else { return reply(Answer::Refused(Refused::Closed)) };
        let Some(peer) = peer else { return registrar(turn, request, reply) };
        if !house.registrations.try_one(peer, offer.per_address_per_hour_max, Instant::now()) {
            return reply(Answer::Refused(Refused::TooMany));
        }
        let counted: Reply = Box::new(move |answer| {
            if matches!(answer, Answer::Refused(_)) {
                house.registrations.failed(peer);
            }
            reply(answer);
        });
        registrar(turn, request, counted);
    };
    let home = shard_of(domain, shared.workers.len() as u16);
    let f: HostFn = Box::new(move |turn| {
        f(turn);
        Box::new(())
    });
    let post = Post::InHost(Arc::from(domain), f, Box::new(|_| {}));
    shared.workers[usize::from(home)].inbound.post_one(post);
}

impl Net {
    /// Ask the registrar of a domain. `peer`: from where somebody wants an account; `None`: the house itself asks, or limits are lifted. The reply is
    /// dropped when the domain is not served; else it is called once, on any thread.
    pub fn registrar(&self, domain: &str, request: Request, peer: Option<IpAddr>, reply: Reply) {
        ask(&self.shared, domain, request, peer, reply);
    }

    /// The same from a thread of its own. Blocks.
    pub fn ask_registrar(&self, domain: &str, request: Request) -> Answer {
        let (sender, receiver) = std::sync::mpsc::sync_channel(1);
        let reply: Reply = Box::new(move |answer| {
            // The asker may have given up; nobody needs the answer then.
            let _ = sender.send(answer);
        });
        self.registrar(domain, request, None, reply);
        let silent = |_| Answer::Refused(Refused::Failed(format!("{domain} does not answer: is it served here?")));
        receiver.recv_timeout(Duration::from_secs(30)).unwrap_or_else(silent)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn address(text: &str) -> IpAddr {
        text.parse().expect("an address")
    }

    #[test]
    fn d10_so_many_accounts_of_one_address_in_an_hour() {
        let (registrations, now) = (Registrations::default(), Instant::now());
        let (here, there) = (address("192.0.2.1"), address("192.0.2.2"));
        for _ in 0..3 {
            assert!(registrations.try_one(here, 3, now));
        }
        assert!(!registrations.try_one(here, 3, now));
        assert!(registrations.try_one(there, 3, now));
        registrations.failed(here);
        assert!(registrations.try_one(here, 3, now), "one was not made after all");
        assert!(registrations.try_one(here, 3, now + HOUR));
    }

    #[test]
    fn d10_attempts_are_limited_too() {
        let (registrations, now, here) = (Registrations::default(), Instant::now(), address("192.0.2.1"));
        for _ in 0..20 {
            assert!(registrations.try_one(here, 2, now));
            registrations.failed(here);
        }
        assert!(!registrations.try_one(here, 2, now));
    }

    #[test]
    fn d10_one_ipv6_network_is_one_address() {
        let (registrations, now) = (Registrations::default(), Instant::now());
        assert!(registrations.try_one(address("2001:db8::1"), 1, now));
        assert!(!registrations.try_one(address("2001:db8::2"), 1, now));
        assert!(registrations.try_one(address("2001:db8:0:1::1"), 1, now));
        assert!(registrations.try_one(address("2001:db8::3"), 0, now), "no limit");
    }
}
