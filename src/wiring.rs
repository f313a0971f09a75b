//! THE table of contents: which port gets which adapter, which rooms are mounted, what listens where.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::{Instant, SystemTime, UNIX_EPOCH};

use iris_connectors::push::Vapid;
use iris_core::Enrolled;
use iris_core::ids::IdSeal;
use iris_core::keyed::Keyed;
use iris_core::mount::Doors;
use iris_core::ports::{Forgetter, Mailer, WebPusher};
use iris_core::room::Room;
use iris_core::store::{Shelf, Store};
use iris_core::time::datetime;
use iris_core::time::{HouseClock, Mono, Now};
use iris_core::turn::House;
use iris_core::xml::names::NameTable;
use iris_engine::negotiate::peer::PeerRules;
use iris_engine::negotiate::sasl::FakeSalt;
use iris_engine::negotiate::{HouseSecret, Policy};
use iris_engine::{Hosts, Known, Peers};
use iris_fetch::{Rules, Servers};
use iris_net::certs::peer::Authorities;
use iris_net::certs::{Certificates, Source, dev};
use iris_net::origin::Origins;
use iris_net::tls::{ALPN_CLIENT, ALPN_HTTP, ALPN_SERVER, ClientAuth, closed_config, peer_server_auth, server_config};
use iris_net::{Http, Net, Place, Service, Setup, Tls};
use iris_store::{SqliteOptions, SqliteStore};
use iris_web::{Discovery, Site};

use crate::closing::Closing;
use crate::config::{Config, ListenKind, Listener};
use crate::mail::{self, nobody_mails};
use crate::push::{self, nobody_pushes};

/// Every room of the house.
pub const ROOMS: &[Room] = &{
    let mut rooms = [iris_xep::ROOMS[0]; iris_xep::ROOMS.len() + iris_company::ROOMS.len()];
    let (mut xep, mut company) = (0, 0);
    while xep < iris_xep::ROOMS.len() {
        rooms[xep] = iris_xep::ROOMS[xep];
        xep += 1;
    }
    while company < iris_company::ROOMS.len() {
        rooms[xep + company] = iris_company::ROOMS[company];
        company += 1;
    }
    rooms
};

/// The doors of all domains, and the names that scanners stamp.
pub struct Mounted {
    pub hosts: Hosts,
    pub names: NameTable,
    pub known: Known,
}

/// Open all rooms of all domains.
pub fn mount(config: &Config) -> Result<Mounted, String> {
    mount_with(config, push::existing(config)?.as_ref(), NameTable::new())
}

/// The same as the first start would do it, which makes the key of Web Push: for whoever only wants to know what it would say.
pub fn mount_to_check(config: &Config) -> Result<Mounted, String> {
    let key = push::key(config)?;
    mount_with(config, key.as_ref().map(|key| &key.vapid), NameTable::new())
}

/// The same in a house that is open: what has a number keeps it, since stanzas underway are known by these.
pub fn mount_anew(config: &Config, names: NameTable) -> Result<Mounted, String> {
    mount_with(config, push::existing(config)?.as_ref(), names)
}

/// `vapid`: how push services of the web know the house; without, there is no Web Push.
pub fn mount_with(config: &Config, vapid: Option<&Vapid>, mut names: NameTable) -> Result<Mounted, String> {
    let known = Known::intern(&mut names);
    let mut doors = Vec::new();
    let rooms = config.rooms().map_err(|error| config.mount_error(&error).to_string())?;
    let rooms = rooms.with_domains(&config.domains).with_admins(&config.accounts.admins).with_site(site(config));
    let rooms = rooms.with_vapid(vapid.map(|vapid| vapid.public().to_owned())).with_mailing(mail::rules(config));
    rooms.plans().for_domains(&config.domains).map_err(|error| config.mount_error(&error).to_string())?;
    for domain in &config.domains {
        doors.push(Doors::open(domain, ROOMS, &mut names, &rooms).map_err(|error| config.mount_error(&error).to_string())?);
    }
    let services = || doors.iter().flat_map(|doors| &doors.services);
    if let Some(taken) = services().find(|service| config.domains.contains(&service.domain)) {
        return Err(crate::cli::operator_message(
            format!("{} is in domains and is also the address of a service of {}", taken.domain, taken.home()),
            "Remove it from domains, or give the service another name in its [xep.*] table.",
        ));
    }
    Ok(Mounted { hosts: Hosts::new(doors).with_peers(peers(config)), names, known })
}

/// Ids ascend whatever the clock does, and an id is a time: what is written now looks as if it were of then.
fn warn_of_the_future(floor: u64, now_us: u64) {
    const WORTH_A_WORD_US: u64 = 60 * 1_000_000;
    if floor > now_us + WORTH_A_WORD_US {
        tracing::warn!(
            newest = datetime(floor),
            now = datetime(now_us),
            "the newest entry of the store is of the future: until then all messages bear its time. If the clock of this machine is wrong, \
             set it and start Iris again; if it was wrong before, a backup from before that brings the right times back"
        );
    }
}

pub fn open_store(config: &Config, mounted: &Mounted) -> Result<Arc<SqliteStore>, String> {
    let shelves = mounted.hosts.iter().flat_map(|doors| doors.shelves.iter().copied());
    let mut searchable: Vec<Shelf> = shelves.filter(|shelf| shelf.text.is_some()).collect();
    searchable.sort_unstable_by_key(|shelf| shelf.name);
    searchable.dedup();
    let store = SqliteStore::open(&config.data_dir, SqliteOptions { searchable, ..SqliteOptions::default() });
    store.map(Arc::new).map_err(|error| crate::cli::operator_message(error, ""))
}

/// Where each domain's certificate lies; without a configured folder a test CA is made at the first start.
pub fn certificate_sources(config: &Config) -> Result<Vec<Source>, String> {
    let folder = config.tls.certificates.clone().unwrap_or_else(|| config.test_certs_dir());
    if config.tls.certificates.is_none() {
        let domains: Vec<&str> = config.domains.iter().map(String::as_str).collect();
        let made = match folder.join("ca.crt").exists() {
            false => dev::create(&folder, &domains).map(drop),
            // Domains that were added since.
            true => dev::add(&folder, &domains).map(drop),
        };
        made.map_err(|error| crate::cli::operator_message(error, ""))?;
    }
    let found = config.domains.iter().map(|domain| Source::find(&folder, domain));
    found.collect::<Result<_, _>>().map_err(|error| crate::cli::operator_message(error, ""))
}

pub fn certificates(config: &Config) -> Result<Arc<Certificates>, String> {
    let sources = certificate_sources(config)?;
    match Certificates::load(&sources, SystemTime::now()) {
        Ok((certificates, warnings)) => {
            warnings.iter().for_each(|warning| tracing::warn!("{warning}"));
            Ok(Arc::new(certificates))
        }
        Err(errors) => Err(errors.iter().map(|error| crate::cli::operator_message(error, "")).collect::<Vec<_>>().join("\n")),
    }
}

/// Clients are asked for a certificate only where the configuration says who issues them.
pub fn client_auth(config: &Config) -> Result<ClientAuth, String> {
    let Some(authorities) = &config.tls.client_ca else { return Ok(ClientAuth::None) };
    iris_net::certs::client_auth(authorities, config.tls.client_crl.as_deref()).map_err(|why| {
        crate::cli::operator_message(why, "tls.client_ca and tls.client_crl in the configuration name PEM files.")
    })
}

/// With whom the house speaks.
pub fn peers(config: &Config) -> Peers {
    let names = |names: &[String]| Arc::new(names.iter().cloned().collect());
    match &config.federation.only {
        _ if !config.federates() => Peers::Nobody,
        Some(only) => Peers::Only(names(only)),
        None => Peers::AllBut(names(&config.federation.except)),
    }
}

/// How it does.
fn speaking(config: &Config, certificates: &Arc<Certificates>) -> Result<Option<Arc<iris_net::Peers>>, String> {
    if !config.federates() {
        return Ok(None);
    }
    let federation = &config.federation;
    let authorities = match &federation.authorities {
        Some(file) => Authorities::from_file(file),
        None => Authorities::system(),
    };
    let authorities = authorities.map_err(|why| {
        let remedy = "[federation] authorities = \"FILE\" names those whose certificates other servers have.";
        crate::cli::operator_message(why, remedy)
    })?;
    let reach = Rules {
        allowed: federation.private_addresses.clone(),
        named: federation.servers.clone(),
        name_server: federation.name_server,
    };
    // Each thread has its own; what is wrong with the rules is known now.
    let servers = Servers::new(reach.clone(), 0)
        .map_err(|why| crate::cli::operator_message(why, "[federation] servers says where the servers of some domains are."))?;
    if !servers.can_look_up() {
        tracing::warn!("no name server is configured (/etc/resolv.conf): only other servers that [federation] names are found");
    }
    Ok(Some(Arc::new(iris_net::Peers {
        rules: PeerRules { certificate_required: federation.certificate_required },
        reach,
        authorities,
        certificates: certificates.clone(),
    })))
}

/// What streams of any domain may do.
pub fn policy(config: &Config) -> Result<Policy, String> {
    let secret = secret(config)?;
    Ok(Policy {
        plain_sasl: config.policy.plain_sasl,
        fake_salt: FakeSalt::new(secret, config.accounts.scram_iterations),
        secret: HouseSecret::new(secret),
    })
}

/// What a house has that is opened now.
pub struct Opening {
    pub certificates: Arc<Certificates>,
    /// By whose order it closes.
    pub closing: Arc<Closing>,
    /// Who hears what is no longer wanted among the files.
    pub forget: Forgetter,
    /// Who speaks to the push services of browsers.
    pub web_push: WebPusher,
    /// Who hands mails to the mail server.
    pub mailer: Mailer,
}

/// A network over a store. Without an `opening` nobody is let in (administration of a house that is not open), and what is no longer
/// wanted among the files is found at the next opening. `http` gets what speaks HTTP.
pub fn network(
    config: &Config,
    mounted: Mounted,
    store: Arc<dyn Store>,
    opening: Option<Opening>,
    http: Http,
    began: Instant,
) -> Result<Net, String> {
    let wall = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    let places = if opening.is_some() { places(config) } else { Vec::new() };
    // Nobody is let into a house that is not open.
    let (census, ended) = match &opening {
        Some(_) => crate::census::take(store.as_ref(), &config.domains)?,
        None => Default::default(),
    };
    warn_of_the_future(store.floor(), wall.as_micros() as u64);
    let house = Arc::new(House {
        names: Arc::new(mounted.names),
        clock: Arc::new(HouseClock::above(store.floor())),
        ids: IdSeal::new(store.secret()),
        keyed: Keyed::new(&store.secret()),
        limits: config.limits.clone(),
        version: env!("CARGO_PKG_VERSION"),
        started: Now { mono: Mono(began.elapsed()), wall_us: wall.as_micros() as u64 },
        ports: crate::ports::ports(
            config.accounts.scram_iterations,
            opening.as_ref().map(|opening| opening.closing.clone()).unwrap_or_default(),
            opening.as_ref().map_or_else(|| Arc::new(|_| {}) as Forgetter, |opening| opening.forget.clone()),
            opening.as_ref().map_or_else(nobody_pushes, |opening| opening.web_push.clone()),
            opening.as_ref().map_or_else(nobody_mails, |opening| opening.mailer.clone()),
        )?,
        census: Arc::new(census),
        enrolled: Arc::new(if opening.is_some() {
            crate::census::enrolled(store.as_ref(), &mounted.hosts)?
        } else {
            Enrolled::default()
        }),
        connected: Arc::default(),
    });
    let policy = policy(config)?;
    let tls = |alpn: &[&[u8]], client: ClientAuth| {
        let config = match &opening {
            Some(opening) => server_config(opening.certificates.clone(), alpn, client),
            None => closed_config(),
        };
        config.map_err(|error| error.to_string())
    };
    let clients = client_auth(config)?;
    let peers = match &opening {
        Some(opening) => speaking(config, &opening.certificates)?,
        None => None,
    };
    let peer_tls = |alpn: &[&[u8]]| peers.is_some().then(|| tls(alpn, peer_server_auth())).transpose();
    let setup = Setup {
        house,
        known: mounted.known,
        hosts: mounted.hosts,
        store,
        policy: Arc::new(policy),
        tls: Tls {
            starttls: tls(&[], clients.clone())?,
            direct: tls(&[ALPN_CLIENT], clients)?,
            // A browser would ask its user which certificate to show.
            web: tls(&[ALPN_CLIENT, ALPN_HTTP], ClientAuth::None)?,
            peers: peer_tls(&[])?,
            peers_direct: peer_tls(&[ALPN_SERVER])?,
            mail_is_address: config.tls.client_mail_is_address,
        },
        peers,
        http,
        places,
        origins: origins(config),
        workers: std::thread::available_parallelism().map_or(1, |n| u16::try_from(n.get()).unwrap_or(u16::MAX)),
        lifted: config.policy.lifted_addresses.clone(),
    };
    let net = Net::start(setup, began).map_err(|error| match error {
        iris_net::BindError::Address(address, why) => {
            let listener = config.listeners.iter().find(|listener| listener.address == address);
            listener.map_or_else(|| why.to_string(), |listener| crate::cli::bind_error(listener, &why))
        }
        iris_net::BindError::Threads(why) => format!("cannot start a thread: {why}"),
    })?;
    // Read, they are told.
    ended.iter().for_each(|account| net.in_account(account, Box::new(|_| Box::new(())), Box::new(|_| {})));
    Ok(net)
}

/// Which pages may speak to which domain.
pub fn origins(config: &Config) -> Origins {
    Origins::new(&config.domains, &config.web.origins)
}

/// What strangers can find out; ports as bound.
/// The web side, as far as the configuration tells.
fn site(config: &Config) -> Option<String> {
    let https = || config.listeners.iter().find(|listener| listener.kind == ListenKind::Https);
    config.web.url.clone().or_else(|| {
        let port = https()?.address.port();
        Some(if port == 443 { "https://{domain}".to_owned() } else { format!("https://{{domain}}:{port}") })
    })
}

pub fn discovery(config: &Config, listening: &[iris_net::Listening]) -> Discovery {
    let port = |wanted: fn(Service) -> bool| listening.iter().find(|it| wanted(it.service)).map(|it| it.address.port());
    let https = port(|service| service == Service::Https);
    let url = |domain: &str| match &config.web.url {
        Some(url) => Some(url.replace("{domain}", domain)),
        None => https.map(|port| if port == 443 { format!("https://{domain}") } else { format!("https://{domain}:{port}") }),
    };
    Discovery {
        sites: config.domains.iter().map(|domain| Site { domain: domain.clone(), url: url(domain) }).collect(),
        addresses: config.web.public_addresses.clone(),
        direct_tls_port: port(|service| matches!(service, Service::Tls { .. })),
    }
}

fn places(config: &Config) -> Vec<Place> {
    let place = |listener: &Listener| Place {
        address: listener.address,
        service: match listener.kind {
            ListenKind::C2s => Service::StartTls,
            ListenKind::C2sTls => Service::Tls { web: listener.web },
            ListenKind::C2sPlain => Service::Plain,
            ListenKind::Https => Service::Https,
            ListenKind::Http => Service::Http,
            ListenKind::Component => Service::Component,
            ListenKind::S2s => Service::Peer { direct: false },
            ListenKind::S2sTls => Service::Peer { direct: true },
        },
        unlimited: listener.unlimited,
        proxied: listener.proxy_protocol,
        optional: listener.optional,
    };
    config.listeners.iter().map(place).collect()
}

pub fn kind_of(service: Service) -> ListenKind {
    match service {
        Service::StartTls => ListenKind::C2s,
        Service::Tls { .. } => ListenKind::C2sTls,
        Service::Plain => ListenKind::C2sPlain,
        Service::Https => ListenKind::Https,
        Service::Http => ListenKind::Http,
        Service::Component => ListenKind::Component,
        Service::Peer { direct: false } => ListenKind::S2s,
        Service::Peer { direct: true } => ListenKind::S2sTls,
    }
}

/// The secret from which the parameters of unknown users are made up: it lives as long as the data.
fn secret(config: &Config) -> Result<[u8; 32], String> {
    use std::io::Write;
    use std::os::unix::fs::OpenOptionsExt;
    let path = config.data_dir.join("secret");
    let in_file = |error: std::io::Error| crate::cli::operator_message(format!("{}: {error}", path.display()), "");
    match std::fs::read(&path) {
        Ok(bytes) => <[u8; 32]>::try_from(bytes).map_err(|bytes| {
            let what = format!("{}: expected 32 bytes, found {}", path.display(), bytes.len());
            crate::cli::operator_message(what, "Remove the file: a new one is made.")
        }),
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => {
            let mut secret = [0; 32];
            getrandom::fill(&mut secret).map_err(|error| format!("the system has no randomness: {error}"))?;
            let mut file = std::fs::OpenOptions::new().write(true).create_new(true).mode(0o600).open(&path).map_err(in_file)?;
            file.write_all(&secret).and_then(|()| file.sync_all()).map_err(in_file)?;
            Ok(secret)
        }
        Err(error) => Err(in_file(error)),
    }
}

/// Room settings for `iris config-reference`, by table.
pub fn references() -> Vec<(&'static str, &'static str)> {
    match mount(&Config::default()) {
        Ok(mounted) => {
            let unique: HashMap<_, _> = mounted.hosts.iter().flat_map(|doors| doors.reference.iter().copied()).collect();
            let mut tables: Vec<_> = unique.into_iter().collect();
            tables.sort_unstable();
            tables
        }
        Err(_) => Vec::new(),
    }
}
