//! Who a stanza is for: one decision, taken once per stanza.

use std::collections::{HashMap, HashSet};
use std::sync::Arc;

use iris_core::hash;
use iris_core::mount::Doors;
use jid::Jid;

/// The domains of this house, each with its doors.
#[derive(Clone, Default)]
pub struct Hosts {
    by_domain: HashMap<String, Arc<Doors>, hash::Seeded>,
    /// The first of the configuration.
    own: Option<String>,
    peers: Peers,
}

/// Which domains of others the house speaks with. A name stands for everything below it too.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum Peers {
    /// It is a house of its own.
    #[default]
    Nobody,
    AllBut(Arc<HashSet<String>>),
    Only(Arc<HashSet<String>>),
}

impl Peers {
    fn has(&self, domain: &str) -> bool {
        let above = || std::iter::successors(Some(domain), |it| it.split_once('.').map(|(_, rest)| rest));
        match self {
            Peers::Nobody => false,
            Peers::AllBut(names) => !above().any(|name| names.contains(name)),
            Peers::Only(names) => above().any(|name| names.contains(name)),
        }
    }
}

impl Hosts {
    /// In the order of the configuration, in which the first domain is the house's own.
    pub fn new(doors: impl IntoIterator<Item = Doors>) -> Hosts {
        let mut all: Vec<Doors> = Vec::new();
        for mut doors in doors {
            all.append(&mut doors.services);
            all.push(doors);
        }
        let house: Arc<[String]> = all.iter().map(|doors| doors.domain.clone()).collect();
        let own = all.iter().find(|doors| doors.parent.is_none()).map(|doors| doors.domain.clone());
        let mut by_domain = HashMap::default();
        for doors in all {
            by_domain.insert(doors.domain.clone(), Arc::new(Doors { house: house.clone(), ..doors }));
        }
        Hosts { by_domain, own, peers: Peers::Nobody }
    }

    /// These other domains are spoken with.
    pub fn with_peers(self, peers: Peers) -> Hosts {
        Hosts { peers, ..self }
    }

    /// Is that another's domain with which we speak? Nobody else speaks for one of ours.
    pub fn speaks_with(&self, domain: &str) -> bool {
        self.get(domain).is_none() && self.peers.has(domain)
    }

    /// Does the house speak with anybody else at all?
    pub fn has_peers(&self) -> bool {
        self.peers != Peers::Nobody
    }

    /// The doors of the entity with this key: a domain, a service, or a bare JID of one.
    pub fn of_key(&self, key: &str) -> Option<&Arc<Doors>> {
        self.get(key.split_once('@').map_or(key, |(_, domain)| domain))
    }

    /// Is it what lives behind a service?
    pub fn is_behind_service(&self, key: &str) -> bool {
        key.contains('@') && self.of_key(key).is_some_and(|doors| doors.parent.is_some())
    }

    pub fn get(&self, domain: &str) -> Option<&Arc<Doors>> {
        self.by_domain.get(domain)
    }

    /// A domain that has accounts; a service has none.
    pub fn domain(&self, domain: &str) -> Option<&Arc<Doors>> {
        self.get(domain).filter(|doors| doors.parent.is_none())
    }

    /// In whose name the house speaks to somebody who has not said, or not rightly, whom they mean (RFC 6120 4.9.1.2).
    pub fn own_domain(&self) -> Option<&str> {
        self.own.as_deref()
    }

    pub fn iter(&self) -> impl Iterator<Item = &Arc<Doors>> {
        self.by_domain.values()
    }
}

/// Where a stanza goes next.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Route {
    /// An account of one of our domains, which may not exist.
    Account,
    /// One of our domains itself, a service of one, or what lives behind a service.
    Host,
    /// A domain that is not ours.
    Remote,
}

pub fn decide(hosts: &Hosts, to: &Jid) -> Route {
    match (hosts.get(to.domain().as_str()), to.node()) {
        (Some(doors), Some(_)) if doors.parent.is_none() => Route::Account,
        (Some(_), _) => Route::Host,
        (None, _) => Route::Remote,
    }
}

/// The bare JID inside a JID, without copying it.
pub fn bare_str(jid: &Jid) -> &str {
    let text = jid.as_str();
    let resource = jid.resource().map_or(0, |resource| resource.as_str().len() + 1);
    &text[..text.len() - resource]
}

/// The home of an entity among `shards`: the same in every run, so that a test can choose.
pub fn shard_of(key: &str, shards: u16) -> u16 {
    (hash::stable(&[key.as_bytes()]) % u64::from(shards.max(1))) as u16
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_in_a_list_stands_for_what_is_below_it() {
        let names = || Arc::new(HashSet::from(["bad.example".to_owned()]));
        for (domain, listed) in [
            ("bad.example", true),
            ("chat.bad.example", true),
            ("notbad.example", false),
            ("example", false),
            ("good.example", false),
        ] {
            assert_eq!(Peers::Only(names()).has(domain), listed, "{domain}");
            assert_eq!(Peers::AllBut(names()).has(domain), !listed, "{domain}");
            assert!(!Peers::Nobody.has(domain));
        }
    }
}
