//! How many guests (SASL ANONYMOUS, XEP-0175) there are, of each address and of each domain. A guest costs nothing to become, so who
//! may be one is bounded by these alone; its place is free again when nothing of it is left.

use std::collections::HashMap;
use std::hash::Hash;
use std::net::IpAddr;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use iris_core::ask::GuestPlace;
use iris_core::limits::Limits;
use iris_core::metrics::Counter;

use crate::guard::block;

#[derive(Default)]
pub(crate) struct Guests {
    here: Arc<Mutex<Here>>,
    /// Who was turned away: by address, by domain.
    pub address_full: Counter,
    pub domain_full: Counter,
}

/// Only who has guests is in it.
#[derive(Default)]
struct Here {
    of_address: HashMap<IpAddr, u32>,
    of_domain: HashMap<String, u32>,
}

struct Place {
    here: Arc<Mutex<Here>>,
    address: Option<IpAddr>,
    domain: String,
}

impl Guests {
    /// A place for one more. `address`: `None` for those whose limits are lifted.
    pub fn admit(&self, address: Option<IpAddr>, domain: &str, limits: &Limits) -> Option<GuestPlace> {
        let address = address.map(block);
        let mut here = lock(&self.here);
        let taken = |count: Option<&u32>| count.copied().unwrap_or_default();
        if address.is_some_and(|address| taken(here.of_address.get(&address)) >= limits.guests_per_address_max) {
            self.address_full.one();
            return None;
        }
        if taken(here.of_domain.get(domain)) >= limits.guests_per_domain_max {
            self.domain_full.one();
            return None;
        }
        if let Some(address) = address {
            *here.of_address.entry(address).or_default() += 1;
        }
        *here.of_domain.entry(domain.to_owned()).or_default() += 1;
        Some(GuestPlace::new(Arc::new(Place { here: self.here.clone(), address, domain: domain.to_owned() })))
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        let mut here = lock(&self.here);
        if let Some(address) = self.address {
            one_less(&mut here.of_address, &address);
        }
        one_less(&mut here.of_domain, &self.domain);
    }
}

fn one_less<K: Eq + Hash>(counts: &mut HashMap<K, u32>, key: &K) {
    if let Some(count) = counts.get_mut(key) {
        *count = count.saturating_sub(1);
        if *count == 0 {
            counts.remove(key);
        }
    }
}

fn lock(here: &Mutex<Here>) -> MutexGuard<'_, Here> {
    here.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn guests_of_an_address_and_of_a_domain_are_counted_while_they_are_here() {
        let guests = Guests::default();
        let limits = Limits { guests_per_address_max: 2, guests_per_domain_max: 3, ..Limits::default() };
        let ip = |last: u8| Some(IpAddr::from([192, 0, 2, last]));
        let admit = |address, domain: &str| guests.admit(address, domain, &limits);
        let (first, second) = (admit(ip(1), "a.test").expect("room"), admit(ip(1), "a.test").expect("room"));
        assert_eq!(admit(ip(1), "a.test"), None);
        assert_eq!(admit(ip(1), "b.test"), None, "an address is an address");
        let third = admit(ip(2), "a.test").expect("room");
        assert_eq!(admit(ip(3), "a.test"), None, "the domain is full");
        assert_eq!(admit(None, "a.test"), None, "for everybody");
        assert!(admit(ip(3), "b.test").is_some(), "and given back at once");
        assert_eq!((guests.address_full.get(), guests.domain_full.get()), (2, 2));
        let copy = first.clone();
        drop(first);
        assert_eq!(admit(ip(1), "a.test"), None, "a copy holds the place");
        drop(copy);
        assert!(admit(ip(1), "a.test").is_some());
        drop((second, third));
        let here = lock(&guests.here);
        assert!(here.of_address.is_empty() && here.of_domain.is_empty(), "nothing is remembered");
    }
}
