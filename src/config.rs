//! The one configuration file: every listener, limit and policy, in TOML.
//!
//! The keys stand in [`keys`], once: reading, the reference (`iris config-reference`) and the list of known keys in an error
//! message are all made of that table. A key that is not in it refuses to boot. The tables `[xep.*]` are kept unparsed; the
//! rooms read them when they are mounted ([`Config::rooms`]), and their errors are shown the same way
//! ([`Config::mount_error`]).

mod check;
pub mod error;
mod federation;
mod files;
mod keys;
mod limits;
mod mail;
mod reader;
pub mod reference;
#[cfg(test)]
mod tests;
mod values;
pub(crate) mod wrap;

use std::collections::HashMap;
use std::fs;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::path::{Path, PathBuf};

use iris_core::limits::Limits;
use iris_core::mount::{MountError, RoomConfig};
use iris_core::{BareJid, Jid};

pub use error::{ConfigError, Problem};
pub use federation::Federation;
pub use files::{Files, FilesKind, S3, Secret};
pub use mail::Mail;
pub use values::parse_duration;

/// What `iris` serves without a configuration.
pub const DEFAULT_DOMAIN: &str = "localhost";
pub const DEFAULT_DATA_DIR: &str = "data";
const DEFAULT_C2S_PORT: u16 = 5222;
const DEFAULT_C2S_TLS_PORT: u16 = 5223;
const DEFAULT_HTTPS_PORT: u16 = 5443;
const DEFAULT_HTTP_PORT: u16 = 5280;

/// Everything an operator can say, checked. Plain data.
#[derive(Clone, Debug, PartialEq)]
pub struct Config {
    /// Normalised domain JIDs, at least one, none twice. The first is the one whose certificate strangers see.
    pub domains: Vec<String>,
    /// Database, control socket, and the test CA where no certificates are given.
    pub data_dir: PathBuf,
    /// Development: plaintext listeners (on loopback) and the test CA are allowed.
    pub dev: bool,
    pub log: Log,
    pub listeners: Vec<Listener>,
    pub tls: Tls,
    pub limits: Limits,
    pub accounts: Accounts,
    pub policy: Policy,
    pub web: Web,
    pub store: Store,
    pub files: Files,
    pub federation: Federation,
    pub mail: Mail,
    /// Where it was read, and what the rooms have yet to read.
    pub source: Source,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Log {
    pub level: Level,
    pub format: LogFormat,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Level {
    Error,
    Warn,
    Info,
    Debug,
    Trace,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum LogFormat {
    Text,
    Json,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum ListenKind {
    /// Clients; STARTTLS is required before authentication (RFC 6120 5).
    C2s,
    /// Clients with direct TLS (XEP-0368).
    C2sTls,
    /// Clients without TLS: only with `dev = true`, only on loopback.
    C2sPlain,
    /// Web: WebSocket, BOSH, discovery, pages; XMPP for those who ask for it by ALPN.
    Https,
    /// The same without TLS, for a proxy in front; metrics and health.
    Http,
    /// Programs that are domains of their own (XEP-0114), without TLS: on loopback or a private network.
    Component,
    /// Other servers; STARTTLS is required.
    S2s,
    /// Other servers with direct TLS (XEP-0368).
    S2sTls,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Listener {
    pub kind: ListenKind,
    /// `[::]` stands for all addresses of the machine, IPv4 too.
    pub address: SocketAddr,
    /// No rate limits, bans and shapers here.
    pub unlimited: bool,
    /// Skipped, with a log line, if the machine does not have the address.
    pub optional: bool,
    /// `c2s-tls`: serves the web too, to those who ask for `http/1.1` by ALPN.
    pub web: bool,
    /// Connections begin with a header of the PROXY protocol, and it is believed.
    pub proxy_protocol: bool,
}

#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Tls {
    /// Folder of the certificates. `None`: a test CA is made in [`Config::test_certs_dir`].
    pub certificates: Option<PathBuf>,
    /// Who issues certificates to clients (SASL EXTERNAL). `None`: clients are not asked for one.
    pub client_ca: Option<PathBuf>,
    /// Certificates that those have revoked.
    pub client_crl: Option<PathBuf>,
    /// A mail address in such a certificate is a JID.
    pub client_mail_is_address: bool,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Accounts {
    /// PBKDF2 iterations of passwords that are set from now on (RFC 5802, RFC 7677).
    pub scram_iterations: u32,
    /// Who may administer the house; without the key `admin@` the first domain.
    pub admins: Vec<BareJid>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Policy {
    /// Offer SASL PLAIN (RFC 4616), under TLS, beside SCRAM.
    pub plain_sasl: bool,
    /// Peers for which rate limits and bans are lifted.
    pub lifted_addresses: Vec<IpAddr>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Web {
    /// Of the web side as strangers reach it, `https://host[:port]`; `{domain}` stands for each domain. `None`: each domain at the
    /// port of the first listener of kind `https`.
    pub url: Option<String>,
    /// By domain: the origins of pages that may use WebSocket and BOSH. A domain without a list lets in its own.
    pub origins: HashMap<String, Vec<String>>,
    /// Where this server is reached from outside (XEP-0487).
    pub public_addresses: Vec<IpAddr>,
    /// Speak to push services of the web for browsers that are closed (RFC 8030).
    pub push: bool,
    /// To these alone, each with everything below it. Empty: to all.
    pub push_hosts: Vec<String>,
    /// Addresses of one's own network that are spoken to as well, on any port.
    pub push_addresses: Vec<IpAddr>,
    /// Who is believed, PEM. `None`: the authorities of the system.
    pub push_authorities: Option<PathBuf>,
}

impl Default for Web {
    fn default() -> Web {
        Web {
            url: None,
            origins: HashMap::new(),
            public_addresses: Vec::new(),
            push: true,
            push_hosts: Vec::new(),
            push_addresses: Vec::new(),
            push_authorities: None,
        }
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Store {
    pub kind: StoreKind,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum StoreKind {
    /// One file in the data folder.
    Sqlite,
}

/// The file behind a configuration; the rooms have yet to read their tables in it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Source {
    /// `None`: there is no file.
    pub file: Option<PathBuf>,
    pub text: String,
}

/// What the command line says instead of the file.
#[derive(Clone, Debug, Default)]
pub struct Overrides {
    pub data_dir: Option<PathBuf>,
    /// Not empty: instead of the file's.
    pub domains: Vec<String>,
    /// `true`: development mode, whatever the file says.
    pub dev: bool,
    /// Not empty: instead of the file's and of the default ones.
    pub listeners: Vec<Listener>,
}

impl Config {
    /// Reads and checks a file.
    ///
    /// # Errors
    /// Everything that is wrong with it, each with its line, not only the first thing.
    pub fn load(path: &Path) -> Result<Config, ConfigError> {
        Config::load_with(path, &Overrides::default())
    }

    /// # Errors
    /// As [`Config::load`].
    pub fn load_with(path: &Path, overrides: &Overrides) -> Result<Config, ConfigError> {
        let text = fs::read_to_string(path).map_err(|error| ConfigError::unreadable(path, &error))?;
        Config::parse(&text, Some(path), overrides)
    }

    /// The configuration without a file: these domains (none: `localhost`), on loopback, everything in `data_dir`.
    ///
    /// # Errors
    /// A domain that is none.
    pub fn default_for(data_dir: &Path, domains: &[String]) -> Result<Config, ConfigError> {
        Config::without_file(&Overrides {
            data_dir: Some(data_dir.to_owned()),
            domains: domains.to_vec(),
            ..Overrides::default()
        })
    }

    /// # Errors
    /// Whatever the overrides make wrong.
    pub fn without_file(overrides: &Overrides) -> Result<Config, ConfigError> {
        Config::parse("", None, overrides)
    }

    /// `file` is for messages, and its folder is the one that relative paths start from.
    ///
    /// # Errors
    /// As [`Config::load`].
    pub fn parse(text: &str, file: Option<&Path>, overrides: &Overrides) -> Result<Config, ConfigError> {
        let mut config = Config { source: Source { file: file.map(Path::to_owned), ..Source::default() }, ..Config::bare() };
        text.clone_into(&mut config.source.text);
        let mut reading = reader::read(&mut config);
        reading.finish(&mut config, overrides);
        if reading.problems.is_empty() {
            check::check(&config, &mut reading);
        }
        if reading.problems.is_empty() { Ok(config) } else { Err(config.source.error(reading.problems)) }
    }

    /// The defaults of all keys that do not depend on another key.
    fn bare() -> Config {
        Config {
            domains: vec![DEFAULT_DOMAIN.to_owned()],
            data_dir: PathBuf::from(DEFAULT_DATA_DIR),
            dev: false,
            log: Log { level: Level::Info, format: LogFormat::Text },
            listeners: default_listeners(),
            tls: Tls::default(),
            limits: Limits::default(),
            accounts: Accounts { scram_iterations: 10_000, admins: default_admins(DEFAULT_DOMAIN) },
            policy: Policy { plain_sasl: true, lifted_addresses: vec![Ipv4Addr::LOCALHOST.into()] },
            web: Web::default(),
            store: Store { kind: StoreKind::Sqlite },
            files: Files::default(),
            federation: Federation::default(),
            mail: Mail::default(),
            source: Source::default(),
        }
    }

    /// Where the test CA and its certificates lie when [`Tls::certificates`] says nothing.
    pub fn test_certs_dir(&self) -> PathBuf {
        self.data_dir.join("certs")
    }

    /// What is wrong with a value is found out when it is used: the message that says so, with the value's line. `path`: as
    /// `files.bucket`.
    pub fn error_at(&self, path: &str, message: impl Into<String>, remedy: impl Into<String>) -> ConfigError {
        let place = reader::read(&mut Config { source: self.source.clone(), ..Config::bare() }).place(path);
        self.source.error(vec![Problem::new(place, message, remedy)])
    }

    /// Where the files lie that users upload; with `FilesKind::S3`, what is noted of those that arrive.
    pub fn files_dir(&self) -> PathBuf {
        self.data_dir.join("files")
    }

    /// The Unix socket that `iris user` speaks to.
    pub fn control_socket(&self) -> PathBuf {
        self.data_dir.join("control.sock")
    }

    /// The tables `[xep.NAME]`, for the rooms when they are mounted.
    ///
    /// # Errors
    /// What core finds wrong before any room has looked; shown by [`Config::mount_error`].
    pub fn rooms(&self) -> Result<RoomConfig, MountError> {
        RoomConfig::parse(&self.source.text)
    }

    /// A room's complaint, shown with its line.
    pub fn mount_error(&self, error: &MountError) -> ConfigError {
        let (message, remedy) = error::serde_message(&error.text);
        let place = error.at.map(|start| error::word_at(&self.source.text, start));
        self.source.error(vec![Problem { place, message, remedy }])
    }

    /// Things that are allowed and yet worth a word.
    pub fn warnings(&self) -> Vec<String> {
        let mut warnings = files::warnings(self);
        for listener in &self.listeners {
            let open = !listener.address.ip().is_loopback();
            if open && listener.kind == ListenKind::Http {
                warnings.push(format!("metrics are open to everybody who reaches {}", listener.address));
                if !listener.proxy_protocol {
                    let who = "this machine and policy.lifted_addresses";
                    warnings.push(format!("{} has no TLS: only {who} can log in there", listener.address));
                }
            }
            if open && listener.proxy_protocol {
                warnings
                    .push(format!("everybody who reaches {} can say to be somebody else (proxy_protocol)", listener.address));
            }
            if open && listener.unlimited {
                warnings.push(format!("rate limits and bans are lifted for everybody who reaches {}", listener.address));
            }
        }
        warnings
    }
}

impl Default for Config {
    /// `iris` with no arguments.
    fn default() -> Config {
        Config::bare()
    }
}

impl Source {
    pub fn error(&self, problems: Vec<Problem>) -> ConfigError {
        ConfigError::new(self.file.as_deref(), &self.text, problems)
    }
}

impl Level {
    pub const ALL: &[(&str, Level)] = &[
        ("error", Level::Error),
        ("warn", Level::Warn),
        ("info", Level::Info),
        ("debug", Level::Debug),
        ("trace", Level::Trace),
    ];
}

impl LogFormat {
    pub const ALL: &[(&str, LogFormat)] = &[("text", LogFormat::Text), ("json", LogFormat::Json)];
}

impl StoreKind {
    pub const ALL: &[(&str, StoreKind)] = &[("sqlite", StoreKind::Sqlite)];
}

impl ListenKind {
    pub const ALL: &[(&str, ListenKind)] = &[
        ("c2s", ListenKind::C2s),
        ("c2s-tls", ListenKind::C2sTls),
        ("c2s-plain", ListenKind::C2sPlain),
        ("https", ListenKind::Https),
        ("http", ListenKind::Http),
        ("component", ListenKind::Component),
        ("s2s", ListenKind::S2s),
        ("s2s-tls", ListenKind::S2sTls),
    ];

    /// As in the configuration.
    pub fn name(self) -> &'static str {
        values::name_of(ListenKind::ALL, self)
    }

    /// Does it show a certificate?
    pub fn uses_tls(self) -> bool {
        use ListenKind::{C2s, C2sTls, Https, S2s, S2sTls};
        matches!(self, C2s | C2sTls | Https | S2s | S2sTls)
    }
}

fn default_listeners() -> Vec<Listener> {
    let listener = |kind, ip: IpAddr, port| Listener {
        kind,
        address: SocketAddr::new(ip, port),
        unlimited: false,
        // A machine without IPv6 has no ::1.
        optional: ip.is_ipv6(),
        web: false,
        proxy_protocol: false,
    };
    vec![
        listener(ListenKind::C2s, Ipv4Addr::LOCALHOST.into(), DEFAULT_C2S_PORT),
        listener(ListenKind::C2s, Ipv6Addr::LOCALHOST.into(), DEFAULT_C2S_PORT),
        listener(ListenKind::C2sTls, Ipv4Addr::LOCALHOST.into(), DEFAULT_C2S_TLS_PORT),
        listener(ListenKind::C2sTls, Ipv6Addr::LOCALHOST.into(), DEFAULT_C2S_TLS_PORT),
        listener(ListenKind::Https, Ipv4Addr::LOCALHOST.into(), DEFAULT_HTTPS_PORT),
        listener(ListenKind::Https, Ipv6Addr::LOCALHOST.into(), DEFAULT_HTTPS_PORT),
        listener(ListenKind::Http, Ipv4Addr::LOCALHOST.into(), DEFAULT_HTTP_PORT),
    ]
}

/// `admin@` the first domain; none if that is not a domain (which is complained about elsewhere).
fn default_admins(domain: &str) -> Vec<BareJid> {
    BareJid::new(&format!("admin@{domain}")).into_iter().collect()
}

/// RFC 7622 3.2, as the jid crate knows it: a domain and nothing else, normalised.
///
/// # Errors
/// Why it is none, for the operator.
pub fn parse_domain(text: &str) -> Result<String, String> {
    let not = |why: &str| Err(format!("{text:?} is not a domain: {why}"));
    // The jid crate takes more for a domain than the DNS does.
    if text.trim().is_empty() {
        return not("it is empty");
    }
    if text.chars().any(|c| c.is_whitespace() || c.is_control()) {
        return not("a domain has no blanks");
    }
    if text.contains("//") || text.contains(':') && !text.starts_with('[') {
        return not("give the bare name, without scheme and port");
    }
    match Jid::new(text) {
        Ok(jid) if jid.node().is_some() => not("that is an account's address"),
        Ok(jid) if jid.resource().is_some() => not("there is something after a \"/\""),
        Ok(jid) if jid.domain().as_str().split('.').any(str::is_empty) => not("a label is empty"),
        Ok(jid) => Ok(jid.domain().as_str().to_owned()),
        Err(error) => not(&error.to_string()),
    }
}
