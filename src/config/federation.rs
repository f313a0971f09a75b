//! `[federation]`: with which other servers the house speaks, where they are, and what proves that they are who they say.

use std::collections::HashMap;
use std::net::{IpAddr, SocketAddr};
use std::path::PathBuf;

use super::error::Problem;
use super::keys::{Key, switch};
use super::reader::Reading;
use super::values::{self, Given};
use super::{Config, ListenKind};

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Federation {
    pub certificate_required: bool,
    /// Whose certificates are believed; `None`: whom the system believes.
    pub authorities: Option<PathBuf>,
    /// Only these domains; `None`: all.
    pub only: Option<Vec<String>>,
    /// Not these.
    pub except: Vec<String>,
    /// Where the server of a domain is, instead of what the DNS says.
    pub servers: HashMap<String, Vec<String>>,
    /// Addresses that are connected to although they are not public.
    pub private_addresses: Vec<IpAddr>,
    pub name_server: Option<SocketAddr>,
}

impl Default for Federation {
    fn default() -> Federation {
        Federation {
            certificate_required: true,
            authorities: None,
            only: None,
            except: Vec::new(),
            servers: HashMap::new(),
            private_addresses: Vec::new(),
            name_server: None,
        }
    }
}

pub(super) const ABOUT: &str = "Other XMPP servers. They are spoken with when there is a listener of kind s2s or s2s-tls; without one the \
                                house is by itself.";

pub(super) const KEYS: &[Key<Config>] = &[
    switch!(
        "certificate_required",
        "A certificate has to prove which domain a server speaks for. With false, a key that the DNS vouches for is enough (XEP-0220): \
                whoever can lie to the name server of this machine can then be anybody. Read at the start.",
        federation.certificate_required
    ),
    Key {
        name: "authorities",
        about: "A PEM file of those who issue the certificates of other servers, instead of the system's. Read at the start.",
        set: |config, given| {
            config.federation.authorities = Some(PathBuf::from(values::string(given, "a file")?));
            Ok(())
        },
        show: |config| config.federation.authorities.as_ref().map(|path| values::show_string(&path.to_string_lossy())),
        example: "\"authorities.pem\"",
    },
    Key {
        name: "only",
        about: "Only these domains, each with every name below it. Without this key: all.",
        set: |config, given| {
            config.federation.only = Some(values::list(given, "a list of domains", values::domain)?);
            Ok(())
        },
        show: |config| config.federation.only.as_ref().map(|only| values::show_list(only.iter().cloned())),
        example: "[\"partner.example\"]",
    },
    Key {
        name: "except",
        about: "Not with these domains, nor any name below them.",
        set: |config, given| {
            config.federation.except = values::list(given, "a list of domains", values::domain)?;
            Ok(())
        },
        show: |config| Some(values::show_list(config.federation.except.iter().cloned())),
        example: "",
    },
    Key {
        name: "servers",
        about: "Where the server of a domain is, instead of what the DNS says: HOST:PORT, tried in order; tls://HOST:PORT begins with TLS. \
                Read at the start.",
        set: |config, given| {
            config.federation.servers = servers(given)?;
            Ok(())
        },
        show: |config| (!config.federation.servers.is_empty()).then(|| values::show_origins(&config.federation.servers)),
        example: "{ \"partner.example\" = [\"10.0.0.7:5269\"] }",
    },
    Key {
        name: "private_addresses",
        about: "Addresses of other servers in a network of one's own: connected to although they are not public. Read at the start.",
        set: |config, given| {
            config.federation.private_addresses = values::list(given, "a list of IP addresses", values::ip_address)?;
            Ok(())
        },
        show: |config| Some(values::show_list(config.federation.private_addresses.iter().map(ToString::to_string))),
        example: "",
    },
    Key {
        name: "name_server",
        about: "Whom to ask for names, instead of what /etc/resolv.conf says. Read at the start.",
        set: |config, given| {
            config.federation.name_server = Some(values::socket_address(given)?);
            Ok(())
        },
        show: |config| config.federation.name_server.map(|address| values::show_string(&address.to_string())),
        example: "\"127.0.0.1:53\"",
    },
];

fn servers(given: &Given<'_>) -> Result<HashMap<String, Vec<String>>, Problem> {
    let expected = "a table of lists, { \"partner.example\" = [\"10.0.0.7:5269\"] }";
    let table = given.get_ref().as_table().ok_or_else(|| values::unexpected(given, expected))?;
    let mut servers = HashMap::new();
    for (name, places) in table {
        let domain = super::parse_domain(name.get_ref()).map_err(|why| Problem::new(Some(name.span()), why, ""))?;
        servers.insert(domain, values::list(places, "a list of servers", server)?);
    }
    Ok(servers)
}

fn server(given: &Given<'_>) -> Result<String, Problem> {
    let expected = "HOST:PORT or tls://HOST:PORT";
    let text = values::string(given, expected)?;
    let place = text.strip_prefix("tls://").unwrap_or(text);
    let has_port = place.rsplit_once(':').is_some_and(|(host, port)| {
        let is_name =
            !host.is_empty() && !host.contains('/') && (!host.contains(':') || (host.starts_with('[') && host.ends_with(']')));
        is_name && port.parse::<u16>().is_ok_and(|port| port > 0)
    });
    if has_port { Ok(text.to_owned()) } else { Err(values::unexpected(given, expected)) }
}

impl Config {
    /// Does the house speak with other servers?
    pub fn federates(&self) -> bool {
        self.listeners.iter().any(|listener| matches!(listener.kind, ListenKind::S2s | ListenKind::S2sTls))
    }
}

pub(super) fn check(config: &Config, reading: &mut Reading) {
    if config.federation.only.is_some() && !config.federation.except.is_empty() {
        let remedy = "Remove one of them: only names all with whom the house speaks, except all others.";
        reading.report(reading.place("federation.except"), "[federation] has only and except", remedy);
    }
    for domain in config.federation.servers.keys().filter(|domain| config.domains.contains(*domain)) {
        let message = format!("federation.servers: {domain} is served here");
        reading.report(reading.place("federation.servers"), message, "Name domains of other servers.");
    }
}
