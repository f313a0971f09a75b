//! Names of domains and hosts, and what the DNS and the hosts file know of them.

use std::fmt;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::time::Duration;

use hickory_resolver::config::{ConnectionConfig, NameServerConfig, ResolveHosts, ResolverConfig, ResolverOpts};
use hickory_resolver::net::NetError;
use hickory_resolver::net::runtime::TokioRuntimeProvider;
use hickory_resolver::proto::op::Query;
use hickory_resolver::proto::rr::{Name, RData, Record, RecordType};
use hickory_resolver::{Hosts, TokioResolver, system_conf};
use tokio::sync::Semaphore;
use tokio::time::timeout;

use super::NoServer;

/// Of a name (RFC 1035 2.3.4), in letters and dots.
const NAME_BYTES_MAX: usize = 253;
const LABEL_BYTES_MAX: usize = 63;
/// How often an SRV record may be somewhere else (CNAME). The resolver has a limit of its own for addresses, 8 as well.
const ALIASES_MAX: usize = 8;
/// Questions that are asked at the same time: each has a socket of its own. More wait, and their time runs (security E5).
pub(super) const QUESTIONS_MAX: usize = 128;
/// Answers that are remembered.
const CACHE_ANSWERS_MAX: u64 = 1_024;
/// How long at most: whoever moves is found again.
const CACHE_TIME_MAX: Duration = Duration::from_secs(3_600);
/// Whoever puts a record right is not waited for much longer.
const CACHE_NOTHING_TIME_MAX: Duration = Duration::from_secs(300);

/// A domain or host as it is looked up: letters in ASCII (RFC 5890 A-labels), lower case, no dot at the end; an address without brackets.
pub(super) fn canonical(domain: &str) -> Result<String, NoServer> {
    let bracketed = domain.strip_prefix('[').and_then(|rest| rest.strip_suffix(']'));
    if let Some(literal) = bracketed {
        return match literal.parse::<Ipv6Addr>() {
            Ok(address) => Ok(address.to_string()),
            Err(_) => Err(NoServer::NotFound("what stands in brackets is no address".to_owned())),
        };
    }
    let name = idna::domain_to_ascii(domain.strip_suffix('.').unwrap_or(domain)).unwrap_or_default();
    // Only now: there are digits beyond ASCII, and IDNA makes others of them.
    if let Ok(address) = name.parse::<IpAddr>() {
        return Ok(address.to_string());
    }
    if !is_host(&name) {
        return Err(NoServer::NotFound("it is no name of a domain".to_owned()));
    }
    Ok(name)
}

/// Letters, digits and hyphens (RFC 1123 2.1), and the underscore, which some hosts have in spite of it.
fn is_host(name: &str) -> bool {
    let is_label = |label: &str| {
        let is_letter = |byte: u8| byte.is_ascii_alphanumeric() || byte == b'-' || byte == b'_';
        (1..=LABEL_BYTES_MAX).contains(&label.len()) && label.bytes().all(is_letter)
    };
    name.len() <= NAME_BYTES_MAX && name.split('.').all(is_label)
}

/// Is it an address, or this machine? Nobody is asked about those.
pub(super) fn needs_no_look_up(host: &str) -> bool {
    host.parse::<IpAddr>().is_ok() || is_this_machine(host)
}

/// RFC 6761 6.3: whatever somebody else says.
fn is_this_machine(host: &str) -> bool {
    host == "localhost" || host.ends_with(".localhost")
}

/// `/etc/hosts`; empty if there is none.
pub(super) fn system_hosts() -> Hosts {
    Hosts::from_system().unwrap_or_default()
}

/// Those of `/etc/resolv.conf`; empty if it has none or is not there.
pub(super) fn system_name_servers() -> Vec<NameServerConfig> {
    system_conf::read_system_conf().map(|(config, _)| config.name_servers).unwrap_or_default()
}

pub(super) fn name_server(address: SocketAddr) -> NameServerConfig {
    let connections = [ConnectionConfig::udp(), ConnectionConfig::tcp()].map(|mut connection| {
        connection.port = address.port();
        connection
    });
    NameServerConfig::new(address.ip(), true, connections.into())
}

pub(super) fn no_name_server() -> NoServer {
    NoServer::Unresolved("no name server is configured".to_owned())
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Family {
    V4,
    V6,
}

/// What an SRV record says.
pub(super) struct Service {
    pub priority: u16,
    pub weight: u16,
    pub port: u16,
    /// Nothing if it leads nowhere: its target is `.` (RFC 2782) or no name of a host, or its port is 0.
    pub host: Option<String>,
}

/// Whom to ask about names.
pub(super) struct Names {
    /// Nothing if no name server is configured.
    resolver: Option<TokioResolver>,
    hosts: Hosts,
    /// Room for questions.
    questions: Semaphore,
    /// Of all questions of one call together.
    time_max: Duration,
}

impl fmt::Debug for Names {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Names")
    }
}

impl Names {
    /// # Errors
    /// The resolver cannot be made; for an operator.
    pub fn new(name_servers: Vec<NameServerConfig>, hosts: Hosts, time_max: Duration) -> Result<Names, String> {
        let mut resolver = None;
        if !name_servers.is_empty() {
            let config = ResolverConfig::from_name_servers(name_servers);
            let builder = TokioResolver::builder_with_config(config, TokioRuntimeProvider::default());
            let built = builder.with_options(options(time_max)).build();
            resolver = Some(built.map_err(|why| format!("the DNS cannot be asked: {why}"))?);
        }
        Ok(Names { resolver, hosts, questions: Semaphore::new(QUESTIONS_MAX), time_max })
    }

    /// Is there a name server to ask?
    pub fn can_ask(&self) -> bool {
        self.resolver.is_some()
    }

    /// The addresses of a host; empty if it has none.
    pub async fn addresses(&self, host: &str, family: Family) -> Result<Vec<IpAddr>, NoServer> {
        let is_of_family = |address: &IpAddr| address.is_ipv6() == (family == Family::V6);
        if let Ok(address) = host.parse::<IpAddr>() {
            return Ok(Some(address).into_iter().filter(is_of_family).collect());
        }
        if is_this_machine(host) {
            let both = [IpAddr::from(Ipv6Addr::LOCALHOST), IpAddr::from(Ipv4Addr::LOCALHOST)];
            return Ok(both.into_iter().filter(is_of_family).collect());
        }
        let Ok(name) = fqdn(host) else { return Ok(Vec::new()) };
        // Whom the hosts file knows is asked about nowhere else, not for the other family either.
        if self.is_in_hosts(host) {
            return Ok(self.in_hosts(&name, family));
        }
        let resolver = self.resolver.as_ref().ok_or_else(no_name_server)?;
        let answers = self.in_time(ask(resolver, &name, record_type(family))).await?;
        Ok(answers.iter().filter_map(address_of).collect())
    }

    pub fn is_in_hosts(&self, host: &str) -> bool {
        let families = [Family::V4, Family::V6];
        fqdn(host).is_ok_and(|name| families.into_iter().any(|family| !self.in_hosts(&name, family).is_empty()))
    }

    fn in_hosts(&self, name: &Name, family: Family) -> Vec<IpAddr> {
        let found = self.hosts.lookup_static_host(&Query::query(name.clone(), record_type(family)));
        found.iter().flat_map(|lookup| lookup.answers()).filter_map(address_of).collect()
    }

    /// The SRV records of a service (`_xmpp-server`) of a domain, over TCP; empty if there are none.
    pub async fn services(&self, service: &str, domain: &str) -> Result<Vec<Service>, NoServer> {
        let resolver = self.resolver.as_ref().ok_or_else(no_name_server)?;
        // A name that has become too long cannot have records.
        let Ok(name) = fqdn(&format!("{service}._tcp.{domain}")) else { return Ok(Vec::new()) };
        self.in_time(services(resolver, name)).await
    }

    /// What asks one question after the other.
    async fn in_time<T>(&self, asked: impl Future<Output = Result<T, NoServer>>) -> Result<T, NoServer> {
        let in_turn = async {
            // Nobody closes it.
            let _room = self.questions.acquire().await;
            asked.await
        };
        timeout(self.time_max, in_turn).await.unwrap_or_else(|_| Err(silence()))
    }
}

/// The resolver takes the target of an SRV record for one more alias, so it does not see records that are behind one: those are followed here.
async fn services(resolver: &TokioResolver, mut name: Name) -> Result<Vec<Service>, NoServer> {
    for _ in 0..=ALIASES_MAX {
        let answers = ask(resolver, &name, RecordType::SRV).await?;
        let services: Vec<Service> = answers.iter().filter(|record| record.name == name).filter_map(service_of).collect();
        if !services.is_empty() {
            return Ok(services);
        }
        let aliases = ask(resolver, &name, RecordType::CNAME).await.unwrap_or_default();
        let alias = aliases.into_iter().filter(|record| record.name == name).find_map(|record| match record.data {
            RData::CNAME(alias) => Some(alias.0),
            _ => None,
        });
        let Some(alias) = alias else { break };
        name = alias;
    }
    Ok(Vec::new())
}

/// That it has no such records, or that there is no such name, is an answer: an empty one.
async fn ask(resolver: &TokioResolver, name: &Name, kind: RecordType) -> Result<Vec<Record>, NoServer> {
    match resolver.lookup(name.clone(), kind).await {
        Ok(lookup) => Ok(lookup.answers().to_vec()),
        Err(why) if why.is_no_records_found() => Ok(Vec::new()),
        Err(NetError::Timeout) => Err(silence()),
        Err(NetError::Io(why)) if why.kind() == std::io::ErrorKind::TimedOut => Err(silence()),
        Err(why) => Err(NoServer::Unresolved(why.to_string())),
    }
}

fn silence() -> NoServer {
    NoServer::Timeout("the name server does not answer".to_owned())
}

/// Its end is its end: no search list of this machine is added.
fn fqdn(host: &str) -> Result<Name, ()> {
    let mut name = Name::from_ascii(host).map_err(drop)?;
    name.set_fqdn(true);
    Ok(name)
}

fn record_type(family: Family) -> RecordType {
    match family {
        Family::V4 => RecordType::A,
        Family::V6 => RecordType::AAAA,
    }
}

fn address_of(record: &Record) -> Option<IpAddr> {
    match &record.data {
        RData::A(address) => Some(address.0.into()),
        RData::AAAA(address) => Some(address.0.into()),
        _ => None,
    }
}

fn service_of(record: &Record) -> Option<Service> {
    let RData::SRV(srv) = &record.data else { return None };
    let host = match srv.target.is_root() || srv.port == 0 {
        true => None,
        false => canonical(&srv.target.to_ascii()).ok(),
    };
    Some(Service { priority: srv.priority, weight: srv.weight, port: srv.port, host })
}

/// Those of resolv.conf are for programs that have all the time of the world.
fn options(time_max: Duration) -> ResolverOpts {
    let mut options = ResolverOpts::default();
    // One that is silent is asked a second time within the time there is.
    options.timeout = time_max / 2;
    options.attempts = 1;
    options.use_hosts_file = ResolveHosts::Never;
    options.cache_size = CACHE_ANSWERS_MAX;
    options.positive_max_ttl = Some(CACHE_TIME_MAX);
    options.negative_max_ttl = Some(CACHE_NOTHING_TIME_MAX);
    options
}
