//! Iris, an XMPP server: the program as a library, for `main.rs` and for tests. It only composes; nobody depends on it.

mod admin;
mod census;
pub mod cli;
pub mod closing;
pub mod config;
mod health;
mod http;
mod mail;
mod metrics;
mod ports;
mod push;
mod reception;
mod sharing;
mod uploads;
mod wiring;

use std::sync::Arc;
use std::time::Instant;

use iris_core::xml::names::NameTable;
use iris_net::Net;
use iris_net::certs::Certificates;

use admin::HouseAdmin;
use cli::control::{Admin, ControlServer};
use cli::first_run::{Started, new_password};
use closing::Closing;
use config::Config;
pub use wiring::references;

/// A house that is open.
pub struct Running {
    // Dropped in this order: no orders, no questions, no clients, then the store.
    control: Option<ControlServer>,
    http: Option<iris_web::Http>,
    net: Arc<Net>,
    web_push: Option<iris_connectors::push::Push>,
    post: Arc<mail::Post>,
    certificates: Arc<Certificates>,
    started: Started,
    closing: Arc<Closing>,
    config: std::sync::Mutex<Config>,
    reception: Arc<reception::Reception>,
}

/// Open the house. Everything an operator can have done wrong is said before anybody is served.
///
/// # Errors
/// One message: what is wrong, where, and what to do.
pub fn start(config: Config) -> Result<Running, String> {
    let began = Instant::now();
    let key = push::key(&config)?;
    let post = Arc::new(mail::Post::default());
    post.install(post.prepare(&config)?);
    let mounted = wiring::mount_with(&config, key.as_ref().map(|key| &key.vapid), NameTable::new())?;
    make_data_dir(&config)?;
    let store = wiring::open_store(&config, &mounted)?;
    // Whoever has the store has the folder.
    if let Some(new) = key.as_ref().and_then(|key| key.new.as_deref()) {
        push::keep(&config, new)?;
    }
    let web_push = key.map(|key| push::start(&config, key.vapid)).transpose()?.flatten();
    let certificates = wiring::certificates(&config)?;
    let (to_http, connections) = http::door();
    let closing = Arc::new(Closing::default());
    let hosts = mounted.hosts.clone();
    let blobs = uploads::open(&config, store.as_ref())?;
    let (forget, wishes) = sharing::wishes();
    let pushes = web_push.as_ref().map_or_else(push::nobody_pushes, iris_connectors::push::Push::port);
    let opening = wiring::Opening {
        certificates: certificates.clone(),
        closing: closing.clone(),
        forget,
        web_push: pushes,
        mailer: post.port(),
    };
    let net = wiring::network(&config, mounted, store.clone(), Some(opening), to_http, began)?;
    let net = Arc::new(net);
    let admin = Arc::new(HouseAdmin::new(net.clone(), store.clone(), &config));
    let first_admin = first_admin(&config, &admin)?;
    let control = cli::control::serve(&config.control_socket(), admin)
        .map_err(|error| cli::operator_message(format!("{}: {error}", config.control_socket().display()), ""))?;
    let requests = Arc::new(iris_web::Requests::default());
    let sources = metrics::Sources {
        net: net.clone(),
        store: store.clone(),
        certificates: certificates.clone(),
        requests: requests.clone(),
        mails: post.counters(),
    };
    let discovery = Arc::new(wiring::discovery(&config, net.listening()));
    let reception = Arc::new(reception::Reception::new(net.clone(), &config, &hosts, &discovery));
    let sites: Vec<_> = discovery.sites.iter().filter_map(|site| Some((site.domain.clone(), site.url.clone()?))).collect();
    let has_web = !sites.is_empty();
    let sharing = Arc::new(sharing::Sharing::new(net.clone(), store, blobs, sites));
    sharing.keep_clean(wishes)?;
    let app = iris_web::App {
        health: Arc::new(health::HouseHealth(Arc::new(sources))),
        requests,
        streams: Arc::new(http::HouseStreams(net.clone())),
        discovery,
        invitations: reception.clone(),
        accounts: reception.clone(),
        about: reception.clone(),
        files: has_web.then_some(sharing),
    };
    let http = iris_web::serve(connections, app).map_err(|error| format!("HTTP cannot start: {error}"))?;
    let listening: Vec<_> = net.listening().iter().map(|it| (wiring::kind_of(it.service), it.address)).collect();
    let test_ca = config.tls.certificates.is_none().then(|| config.test_certs_dir().join("ca.crt"));
    let started = Started {
        data_dir: config.data_dir.clone(),
        domains: config.domains.clone(),
        listening,
        test_ca,
        first_admin,
        took: began.elapsed(),
    };
    let config = std::sync::Mutex::new(config);
    Ok(Running {
        control: Some(control),
        http: Some(http),
        net,
        web_push,
        post,
        certificates,
        started,
        closing,
        config,
        reception,
    })
}

fn make_data_dir(config: &Config) -> Result<(), String> {
    use std::os::unix::fs::DirBuilderExt;
    let dir = &config.data_dir;
    std::fs::DirBuilder::new().recursive(true).mode(0o700).create(dir).map_err(|error| {
        let remedy = "Make the folder writable for this user, or name another one with --data-dir.";
        cli::operator_message(format!("{}: {error}", dir.display()), remedy)
    })
}

/// The administrator of a house that has no accounts at all.
fn first_admin(config: &Config, admin: &HouseAdmin) -> Result<Option<(iris_core::BareJid, String)>, String> {
    let Some(jid) = config.accounts.admins.first() else { return Ok(None) };
    if !config.domains.iter().any(|domain| domain == jid.domain().as_str()) || admin.has_accounts()? {
        return Ok(None);
    }
    let password = new_password()?;
    admin.user_add(jid, &password)?;
    Ok(Some((jid.clone(), password)))
}

impl Running {
    pub fn started(&self) -> Started {
        self.started.clone()
    }

    /// By whose order it closes.
    pub fn closing(&self) -> Arc<Closing> {
        self.closing.clone()
    }

    /// Read the world anew: certificates, limits, policies, and what rooms are told. No session is dropped. What has changed, for the log.
    ///
    /// # Errors
    /// What is wrong with the new configuration; then everything stays as it was.
    pub fn reload(&self, mut config: Config) -> Result<Vec<String>, String> {
        let mut current = self.config.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
        // Those of the start: whoever is connected under a domain that is gone would speak into nothing.
        let wanted = std::mem::replace(&mut config.domains, current.domains.clone());
        let mounted = wiring::mount_anew(&config, self.net.names()).map_err(|why| {
            let hint = "\n  (With the domains of the last start: other domains take a restart.)";
            if wanted == current.domains { why } else { why + hint }
        })?;
        let policy = wiring::policy(&config)?;
        let sources = wiring::certificate_sources(&config)?;
        let mails = self.post.prepare(&config)?;
        // The last that can be refused: what is shown from here on is the new one.
        let reloaded = self
            .certificates
            .reload(&sources, std::time::SystemTime::now())
            .map_err(|errors| errors.iter().map(ToString::to_string).collect::<Vec<_>>().join("; "))?;
        let mut changed: Vec<String> = reloaded.changed.iter().map(|domain| format!("certificate of {domain}")).collect();
        let origins = wiring::origins(&config);
        if let Ok(before) = wiring::mount(&current) {
            let services = before.hosts.iter().filter(|doors| doors.parent.is_some() && doors.component.is_none());
            for service in services.map(|doors| &doors.domain).filter(|service| mounted.hosts.get(service).is_none()) {
                tracing::warn!("{service} is there no more: what is kept under that name stays, and nobody reaches it");
            }
        }
        let wiring::Mounted { hosts, names, .. } = mounted;
        self.net.reload(&hosts, names, config.limits.clone(), policy, origins, config.policy.lifted_addresses.clone());
        self.reception.reload(&hosts);
        self.post.install(mails);
        if config.source.text != current.source.text {
            changed.push("configuration".into());
        }
        let told = |config: &Config| config::Web { origins: Default::default(), ..config.web.clone() };
        let asks = |config: &Config| config::Tls { certificates: None, ..config.tls.clone() };
        let federation = |config: &Config| config::Federation { only: None, except: Vec::new(), ..config.federation.clone() };
        let restart: [(&str, bool); 7] = [
            ("listen", config.listeners != current.listeners),
            ("domains", wanted != current.domains),
            ("data_dir", config.data_dir != current.data_dir),
            ("accounts", config.accounts != current.accounts),
            ("web", told(&config) != told(&current)),
            ("tls.client_ca", asks(&config) != asks(&current)),
            ("federation", federation(&config) != federation(&current)),
        ];
        for (table, _) in restart.iter().filter(|(_, differs)| *differs) {
            tracing::warn!("{table} has changed in the configuration: that takes effect at the next start");
        }
        *current = config;
        Ok(changed)
    }

    /// Tell everybody, write everything, close. Less than 2 s.
    pub fn stop(mut self) {
        self.control = None;
        self.net.stop();
        self.http = None;
        self.web_push = None;
        self.post.close();
    }
}

/// What a start would complain about beyond the configuration file itself: for `iris check-config`. Warnings.
///
/// # Errors
/// What would keep it from starting.
pub fn check(config: &Config) -> Result<Vec<String>, String> {
    wiring::mount_to_check(config)?;
    wiring::client_auth(config)?;
    mail::server(config)?;
    if config.tls.certificates.is_none() {
        return Ok(Vec::new());
    }
    let sources = wiring::certificate_sources(config)?;
    match Certificates::load(&sources, std::time::SystemTime::now()) {
        Ok((_, warnings)) => Ok(warnings.iter().map(ToString::to_string).collect()),
        Err(errors) => Err(errors.iter().map(|error| cli::operator_message(error, "")).collect::<Vec<_>>().join("\n")),
    }
}

/// Administration of a house that is not open: the same shards over the same store, without a listener.
///
/// # Errors
/// The store cannot be opened (another process has it, most likely).
pub fn offline_admin(config: &Config) -> Result<Box<dyn Admin>, String> {
    let began = Instant::now();
    let mounted = wiring::mount(config)?;
    make_data_dir(config)?;
    let store = wiring::open_store(config, &mounted)?;
    let (to_http, _) = http::door();
    let net = wiring::network(config, mounted, store.clone(), None, to_http, began)?;
    Ok(Box::new(HouseAdmin::new(Arc::new(net), store, config)))
}

/// The description of this program (XEP-0453), made of the rooms' cards.
pub fn doap() -> String {
    iris_xep::cards::doap(wiring::ROOMS)
}

/// The table of `xep/README.md`, made of the rooms' cards.
pub fn xep_table() -> String {
    iris_xep::cards::readme(iris_xep::ROOMS)
}

/// `METRICS.md`, made of the list.
pub fn metrics_table() -> String {
    metrics::table()
}
