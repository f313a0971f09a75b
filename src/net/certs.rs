//! The certificates of the domains this house serves: loaded from files, chosen by SNI, replaced while running.
//!
//! Choice for a name in SNI (RFC 6066 3): the domain as configured; a certificate that has exactly this name; one that
//! covers it by wildcard; the certificate of the nearest configured domain above it (`files.example.org` belongs to
//! `example.org`). A name we do not know, or none, gets the certificate of the *first* domain: clients then show "wrong
//! name" instead of a bare connection error. Certificates of other tenants are never shown to somebody who did not
//! already know their name.

mod client;
pub mod dev;
mod error;
pub mod peer;
mod source;
#[cfg(test)]
pub(crate) mod tests;
mod x509;

use std::collections::HashMap;
use std::fmt;
use std::path::PathBuf;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{SystemTime, UNIX_EPOCH};

use arc_swap::ArcSwap;
use rustls::server::{ClientHello, ResolvesServerCert};
use rustls::sign::CertifiedKey;

pub use client::{ClientNames, client_auth};
pub use error::{CertError, Fault, Warning};
pub use source::Source;
pub(crate) use source::a_label;
pub use x509::{chain_fault, end_point};

/// A certificate that ends sooner is worth a warning; renewal runs 30 days ahead, so this one has failed twice.
pub const EXPIRY_WARNING_DAYS: i64 = 14;

const SECONDS_PER_DAY: i64 = 86_400;

/// What is shown for one domain.
pub struct Leaf {
    /// The domain as configured: lower case, A-labels.
    pub domain: Box<str>,
    /// Chain (leaf first) and private key.
    pub key: Arc<CertifiedKey>,
    /// Channel binding `tls-server-end-point` (RFC 5929 4); `None` where it is undefined (Ed25519).
    pub end_point: Option<Box<[u8]>>,
    /// Start of validity, seconds since 1970.
    pub not_before: i64,
    /// End of validity, seconds since 1970.
    pub not_after: i64,
    /// The DNS names in the certificate, lower case, wildcards as `*.example.org`.
    pub names: Vec<Box<str>>,
    /// The file of the chain.
    pub file: PathBuf,
}

impl Leaf {
    /// Does the certificate speak for `name` (RFC 6125 6.4.3: a wildcard stands for exactly one label)?
    pub fn covers(&self, name: &str) -> bool {
        let parent = name.split_once('.').map(|(_, parent)| parent);
        self.names.iter().any(|have| &**have == name || (parent.is_some() && have.strip_prefix("*.") == parent))
    }

    /// Whole days until the certificate ends; negative when it has.
    pub fn days_left(&self, now: SystemTime) -> i64 {
        (self.not_after - unix_seconds(now)).div_euclid(SECONDS_PER_DAY)
    }
}

/// The certificate store; shared by all listeners, reloaded as a whole.
pub struct Certificates {
    table: ArcSwap<Table>,
    reloading: Mutex<()>,
}

struct Table {
    /// Grows when a certificate changed; session tickets of an earlier generation are not honoured. It stands here so that nobody sees
    /// a new certificate with the old number: a client would resume a session with the certificate that has just been taken away.
    generation: u64,
    /// In the order of the configuration, never empty.
    leaves: Vec<Arc<Leaf>>,
    default: Arc<Leaf>,
    domains: HashMap<Box<str>, Arc<Leaf>>,
    names: HashMap<Box<str>, Arc<Leaf>>,
    /// `example.org` -> the certificate with `*.example.org`.
    wildcards: HashMap<Box<str>, Arc<Leaf>>,
}

/// What a successful reload did.
#[derive(Debug, Default)]
pub struct Reloaded {
    /// Domains that show another certificate than before (or are new, or gone).
    pub changed: Vec<Box<str>>,
    pub warnings: Vec<Warning>,
}

/// How long a domain's certificate is good, for the doctor and the metrics.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Expiry {
    pub domain: Box<str>,
    pub file: PathBuf,
    /// Seconds since 1970.
    pub not_after: i64,
    /// Whole days, negative when it has ended.
    pub days_left: i64,
}

impl Certificates {
    /// Loads all pairs. The first source is the default for unknown names.
    ///
    /// A certificate that has expired is a warning here: one tenant's lapse does not keep a whole house from starting.
    ///
    /// # Errors
    /// Everything that is wrong, not only the first thing.
    pub fn load(sources: &[Source], now: SystemTime) -> Result<(Self, Vec<Warning>), Vec<CertError>> {
        let (leaves, warnings) = load_all(sources, now)?;
        let table = Table::new(leaves).ok_or_else(|| vec![CertError::none_configured()])?;
        Ok((Self { table: ArcSwap::from_pointee(table), reloading: Mutex::new(()) }, warnings))
    }

    /// Loads everything anew and swaps it in; connections that exist are not touched.
    ///
    /// # Errors
    /// Everything that is wrong; the old certificates then stay, all of them. A *newly seen* certificate outside its
    /// validity counts as wrong; one that is shown already and merely grew old does not block the others' renewal.
    pub fn reload(&self, sources: &[Source], now: SystemTime) -> Result<Reloaded, Vec<CertError>> {
        let _one_at_a_time = self.reloading.lock().unwrap_or_else(PoisonError::into_inner);
        let old = self.table.load_full();
        let (leaves, warnings) = load_all(sources, now)?;
        let untimely: Vec<CertError> = leaves
            .iter()
            .filter(|leaf| !old.domains.get(&leaf.domain).is_some_and(|shown| shown.key.cert == leaf.key.cert))
            .filter_map(|leaf| CertError::untimely(leaf, now))
            .collect();
        if !untimely.is_empty() {
            return Err(untimely);
        }
        let mut new = Table::new(leaves).ok_or_else(|| vec![CertError::none_configured()])?;
        let changed = old.differences(&new);
        new.generation = old.generation + u64::from(!changed.is_empty());
        self.table.store(Arc::new(new));
        Ok(Reloaded { changed, warnings })
    }

    /// The certificate for a name from SNI; see the module's head for the order.
    pub fn leaf_for(&self, server_name: Option<&str>) -> Arc<Leaf> {
        self.table.load().choose(server_name).clone()
    }

    /// The certificate that speaks for one of our domains, in whatever script it is written: the one configured for it, or
    /// one that covers it. Unlike [`Self::leaf_for`] never just any.
    pub fn leaf_of(&self, domain: &str) -> Option<Arc<Leaf>> {
        self.table.load().named(&a_label(domain)).cloned()
    }

    /// One per configured domain, in the order of the configuration.
    pub fn leaves(&self) -> Vec<Arc<Leaf>> {
        self.table.load().leaves.clone()
    }

    /// A number that grows with every change of a certificate.
    pub fn generation(&self) -> u64 {
        self.table.load().generation
    }

    /// Days left for each domain, the most urgent first.
    pub fn expiries(&self, now: SystemTime) -> Vec<Expiry> {
        let mut all: Vec<Expiry> = self
            .table
            .load()
            .leaves
            .iter()
            .map(|leaf| Expiry {
                domain: leaf.domain.clone(),
                file: leaf.file.clone(),
                not_after: leaf.not_after,
                days_left: leaf.days_left(now),
            })
            .collect();
        all.sort_by_key(|expiry| expiry.not_after);
        all
    }
}

impl ResolvesServerCert for Certificates {
    fn resolve(&self, hello: ClientHello<'_>) -> Option<Arc<CertifiedKey>> {
        Some(self.table.load().choose(hello.server_name()).key.clone())
    }
}

impl fmt::Debug for Certificates {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_set().entries(self.table.load().leaves.iter().map(|leaf| &leaf.domain)).finish()
    }
}

impl fmt::Debug for Leaf {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        // Never the key.
        f.debug_struct("Leaf").field("domain", &self.domain).field("names", &self.names).finish_non_exhaustive()
    }
}

impl Table {
    fn new(leaves: Vec<Arc<Leaf>>) -> Option<Self> {
        let default = leaves.first()?.clone();
        let (mut domains, mut names, mut wildcards) = (HashMap::new(), HashMap::new(), HashMap::new());
        for leaf in &leaves {
            domains.insert(leaf.domain.clone(), leaf.clone());
            for name in &leaf.names {
                // The first in the configuration wins, so a later tenant cannot take a name over.
                match name.strip_prefix("*.") {
                    Some(parent) => wildcards.entry(parent.into()).or_insert_with(|| leaf.clone()),
                    None => names.entry(name.clone()).or_insert_with(|| leaf.clone()),
                };
            }
        }
        Some(Self { generation: 0, leaves, default, domains, names, wildcards })
    }

    fn choose(&self, server_name: Option<&str>) -> &Arc<Leaf> {
        let Some(server_name) = server_name else { return &self.default };
        let name = server_name.trim_end_matches('.').to_ascii_lowercase();
        let parents = || std::iter::successors(parent(&name), |above| parent(above));
        self.named(&name).or_else(|| parents().find_map(|above| self.domains.get(above))).unwrap_or(&self.default)
    }

    /// `name` in lower case and A-labels.
    fn named(&self, name: &str) -> Option<&Arc<Leaf>> {
        self.domains.get(name).or_else(|| self.names.get(name)).or_else(|| self.wildcards.get(parent(name)?))
    }

    fn differences(&self, new: &Self) -> Vec<Box<str>> {
        let same = |leaf: &Leaf, in_table: &Self| {
            in_table.domains.get(&leaf.domain).is_some_and(|other| other.key.cert == leaf.key.cert)
        };
        let appeared = new.leaves.iter().filter(|leaf| !same(leaf, self));
        let gone = self.leaves.iter().filter(|leaf| !new.domains.contains_key(&leaf.domain));
        appeared.chain(gone).map(|leaf| leaf.domain.clone()).collect()
    }
}

fn parent(name: &str) -> Option<&str> {
    name.split_once('.').map(|(_, parent)| parent)
}

type Loaded = (Vec<Arc<Leaf>>, Vec<Warning>);

fn load_all(sources: &[Source], now: SystemTime) -> Result<Loaded, Vec<CertError>> {
    let (mut leaves, mut warnings, mut errors) = (Vec::new(), Vec::new(), Vec::new());
    for source in sources {
        match source.load() {
            Ok((leaf, more)) => {
                warnings.extend(more);
                warnings.extend(Warning::about(&leaf, now));
                leaves.push(Arc::new(leaf));
            }
            Err(error) => errors.push(error),
        }
    }
    if errors.is_empty() { Ok((leaves, warnings)) } else { Err(errors) }
}

fn unix_seconds(time: SystemTime) -> i64 {
    time.duration_since(UNIX_EPOCH).map_or(0, |since| i64::try_from(since.as_secs()).unwrap_or(i64::MAX))
}
