//! Where servers of other domains are found and how they are reached (RFC 6120 3.2, XEP-0368, RFC 2782, RFC 8305): `names.rs` asks
//! the DNS, `order.rs` says who is tried first, `race.rs` connects. Whoever is not public is not spoken to (security E4), unless the
//! operator says so.

use std::collections::HashMap;
use std::fmt;
use std::net::{IpAddr, SocketAddr};
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use tokio::net::TcpStream;
use tokio::time::timeout;

use crate::reach;

mod names;
mod order;
mod race;
#[cfg(test)]
mod tests;

use names::{Family, Names};
use order::Offer;

/// Where a server listens if nothing says where (RFC 6120 3.2.2).
const DEFAULT_PORT: u16 = 5269;
/// Targets of one domain that are tried; of more records only those that come first (security E4).
const TARGETS_MAX: usize = 8;
/// All questions to the DNS that one call asks, together (security E4).
const LOOKUP_TIME_MAX: Duration = Duration::from_secs(5);
/// To look up the addresses of a target and connect to one of them.
const CONNECT_TIME_MAX: Duration = Duration::from_secs(10);

/// What the operator says of the servers of other domains.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Rules {
    /// Addresses that are connected to although they are not public; at any port.
    pub allowed: Vec<IpAddr>,
    /// Servers that are not looked up: a domain, and where its servers are, in the order in which they are tried. Each is `host:port`,
    /// `ip:port` or `[ipv6]:port`; STARTTLS is spoken there, or TLS from the first byte if `tls://` stands before it. They may have any
    /// address. At most 8 for a domain.
    pub named: HashMap<String, Vec<String>>,
    /// The name server that is asked; else those of the system (`/etc/resolv.conf`).
    pub name_server: Option<SocketAddr>,
}

/// One place where the server of a domain may be.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Target {
    /// Its name in ASCII, without a dot at its end, or its address without brackets: what the SRV record says, or the domain itself. The
    /// certificate is for the domain, never for this name (RFC 6120 13.7.1.2).
    pub host: String,
    /// Its TCP port.
    pub port: u16,
    /// Is TLS spoken from the first byte (XEP-0368)? Else STARTTLS.
    pub direct_tls: bool,
    /// The operator has named it: it may have any address.
    is_named: bool,
}

impl Target {
    fn plain(host: String) -> Target {
        Target { host, port: DEFAULT_PORT, direct_tls: false, is_named: false }
    }
}

/// Why there is no server, or none that can be spoken to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum NoServer {
    /// There is none, and there will be none when it is asked again soon: no such name, a name without an address, one whose owner says
    /// that it has no server (RFC 2782, target `.`), or what is asked for is no domain at all.
    NotFound(String),
    /// Nobody has answered in time: the name server, or whoever should be at the addresses.
    Timeout(String),
    /// None of its addresses may be spoken to. Nothing was sent.
    Forbidden,
    /// Nobody knows whether there is one: no name server is configured, or it fails.
    Unresolved(String),
    /// It has addresses, and each of them refuses.
    Unreachable(String),
}

impl fmt::Display for NoServer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            NoServer::NotFound(why) => write!(f, "there is no such server: {why}"),
            NoServer::Timeout(why) => write!(f, "it took too long: {why}"),
            NoServer::Forbidden => reach::Forbidden.fmt(f),
            NoServer::Unresolved(why) => write!(f, "its name cannot be looked up: {why}"),
            NoServer::Unreachable(why) => write!(f, "it cannot be reached: {why}"),
        }
    }
}

impl std::error::Error for NoServer {}

/// Where servers of other domains are found. Has a cache of its own (answers live as long as they say, at most an hour), so it is made once
/// for each thread; everything it asks runs on the runtime that is current then.
#[derive(Debug)]
pub struct Servers {
    names: Names,
    allowed: Vec<IpAddr>,
    /// By the name that `names::canonical` makes of a domain.
    named: HashMap<String, Vec<Target>>,
    /// The last number of its source of randomness.
    seed: AtomicU64,
    /// `CONNECT_TIME_MAX`, but for tests.
    connect_time_max: Duration,
}

impl Servers {
    /// Reads `/etc/resolv.conf` and `/etc/hosts`, once. Where no name server is configured, only named domains, addresses and what the
    /// hosts file has are found.
    ///
    /// `seed`: any number, another one in each process and thread, so that not all of them choose the same of servers that share the work.
    ///
    /// # Errors
    /// A named server cannot be read; for an operator.
    pub fn new(rules: Rules, seed: u64) -> Result<Servers, String> {
        let name_servers =
            rules.name_server.map_or_else(names::system_name_servers, |address| vec![names::name_server(address)]);
        let names = Names::new(name_servers, names::system_hosts(), LOOKUP_TIME_MAX)?;
        Servers::with(rules, seed, names)
    }

    fn with(rules: Rules, seed: u64, names: Names) -> Result<Servers, String> {
        let mut named = HashMap::new();
        for (domain, places) in &rules.named {
            let key = names::canonical(domain).map_err(|_| format!("{domain:?} is no domain"))?;
            if places.is_empty() || places.len() > TARGETS_MAX {
                return Err(format!("{domain}: between 1 and {TARGETS_MAX} servers, not {}", places.len()));
            }
            let targets: Result<Vec<Target>, String> = places.iter().map(|place| place_of(place)).collect();
            if named.insert(key, targets.map_err(|why| format!("{domain}: {why}"))?).is_some() {
                return Err(format!("{domain} is named twice"));
            }
        }
        let allowed = rules.allowed.iter().map(IpAddr::to_canonical).collect();
        Ok(Servers { names, allowed, named, seed: AtomicU64::new(seed), connect_time_max: CONNECT_TIME_MAX })
    }

    /// Is there a name server to ask? If not, an operator wants to know it at the start.
    pub fn can_look_up(&self) -> bool {
        self.names.can_ask()
    }

    /// Where the servers of a domain may be, in the order in which they are to be tried; at least one, at most 8. Takes at most 5 seconds.
    ///
    /// Records of `_xmpps-server._tcp` and `_xmpp-server._tcp` are one list with regard to priority and weight (XEP-0368 2). The domain
    /// itself at port 5269 is tried only where there is neither (RFC 6120 3.2.2): whether it has an address is not looked at yet.
    ///
    /// # Errors
    /// `NotFound` if the domain has none or is no domain; `Timeout` or `Unresolved` if that is not to be learned now.
    pub async fn of(&self, domain: &str) -> Result<Vec<Target>, NoServer> {
        let domain = names::canonical(domain)?;
        if let Some(named) = self.named.get(&domain) {
            return Ok(named.clone());
        }
        if names::needs_no_look_up(&domain) {
            return Ok(vec![Target::plain(domain)]);
        }
        if !self.names.can_ask() {
            let known = self.names.is_in_hosts(&domain).then(|| vec![Target::plain(domain)]);
            return known.ok_or_else(names::no_name_server);
        }
        let (direct, plain) =
            tokio::join!(self.names.services("_xmpps-server", &domain), self.names.services("_xmpp-server", &domain));
        let has_records = [&direct, &plain].iter().any(|found| found.as_ref().is_ok_and(|records| !records.is_empty()));
        if !has_records {
            return match plain {
                // The same name server has nothing to say of addresses either.
                Err(late @ NoServer::Timeout(_)) => Err(late),
                // No answer is no answer (RFC 6120 3.2.1, 9): some name servers know no SRV.
                Ok(_) | Err(_) => Ok(vec![Target::plain(domain)]),
            };
        }
        let offers = |found: Result<Vec<names::Service>, NoServer>, direct_tls| {
            // A service that says "." is not there; the other one may be (XEP-0368 5).
            let there = found.unwrap_or_default().into_iter().filter_map(move |service| {
                let target = Target { host: service.host?, port: service.port, direct_tls, is_named: false };
                Some(Offer { priority: service.priority, weight: service.weight, target })
            });
            there.collect::<Vec<Offer>>()
        };
        let mut all = offers(direct, true);
        all.extend(offers(plain, false));
        let targets = order::first(all, TARGETS_MAX, || self.random());
        if targets.is_empty() {
            return Err(NoServer::NotFound(format!("{domain} says that it has none")));
        }
        Ok(targets)
    }

    /// Connects to one of its addresses: the first that answers of those that may be spoken to (RFC 8305: another one is begun each quarter of a
    /// second). Takes at most 10 seconds, of them at most 5 until the addresses are known. Nothing is sent; `TCP_NODELAY` is set.
    ///
    /// # Errors
    /// `Forbidden` if it has addresses and none of them is public or allowed; `NotFound` if it has none; `Timeout`, `Unresolved` or
    /// `Unreachable` if it could have been otherwise.
    pub async fn connect(&self, target: &Target) -> Result<TcpStream, NoServer> {
        let host = target.host.as_str();
        let addresses = |family| async move {
            let found = self.names.addresses(host, family).await?;
            Ok(found.into_iter().map(|ip| SocketAddr::new(ip, target.port)).collect())
        };
        let judge = |address: SocketAddr| target.is_named || self.lets(address.ip());
        let connected = race::first(addresses(Family::V6), addresses(Family::V4), judge, TcpStream::connect);
        let stream = match timeout(self.connect_time_max, connected).await {
            Ok(Ok(stream)) => stream,
            Ok(Err(race::Lost::NoAddress)) => return Err(NoServer::NotFound(format!("{host} has no address"))),
            Ok(Err(race::Lost::Unknown(why))) => return Err(why),
            Ok(Err(race::Lost::Forbidden)) => return Err(NoServer::Forbidden),
            Ok(Err(race::Lost::Refused(why))) if why.kind() == std::io::ErrorKind::TimedOut => {
                return Err(NoServer::Timeout(format!("{host} does not answer")));
            }
            Ok(Err(race::Lost::Refused(why))) => return Err(NoServer::Unreachable(why.to_string())),
            Err(_) => return Err(NoServer::Timeout(format!("{host} does not answer"))),
        };
        stream.set_nodelay(true).map_err(|why| NoServer::Unreachable(why.to_string()))?;
        Ok(stream)
    }

    /// Asked of the very address that is connected to next, so a name that means something else the next time leads nowhere.
    fn lets(&self, address: IpAddr) -> bool {
        reach::is_public(address) || self.allowed.contains(&address.to_canonical())
    }

    /// SplitMix64: nobody gains by guessing which of two servers is tried first.
    fn random(&self) -> u64 {
        const STEP: u64 = 0x9e37_79b9_7f4a_7c15;
        let mut z = self.seed.fetch_add(STEP, Ordering::Relaxed).wrapping_add(STEP);
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }
}

/// What the operator has written (`Rules::named`).
fn place_of(place: &str) -> Result<Target, String> {
    let (direct_tls, at) = place.strip_prefix("tls://").map_or((false, place), |at| (true, at));
    let wrong = || format!("{place:?} is no host:port, ip:port or [ipv6]:port, with tls:// before it or not");
    let (host, port) = at.rsplit_once(':').ok_or_else(wrong)?;
    // An IPv6 address without brackets could mean two things.
    if host.contains(':') && !host.starts_with('[') {
        return Err(wrong());
    }
    let port = port.parse().ok().filter(|port| *port != 0).ok_or_else(wrong)?;
    Ok(Target { host: names::canonical(host).map_err(|_| wrong())?, port, direct_tls, is_named: true })
}
