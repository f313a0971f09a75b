//! The one list of keys: read by the reader, written by the reference.

use std::path::PathBuf;

use super::error::Problem;
use super::values::{self, Given};
use super::{Config, Level, ListenKind, Listener, LogFormat, StoreKind};

/// A key of a table that is read into `T`.
pub(super) struct Key<T: 'static> {
    pub name: &'static str,
    /// For the reference: what it says, in a line or two.
    pub about: &'static str,
    pub set: fn(&mut T, &Given<'_>) -> Result<(), Problem>,
    /// The value as TOML; `None`: by default there is none, the reference then shows `example` commented out.
    pub show: fn(&T) -> Option<String>,
    pub example: &'static str,
}

/// One that is on or off.
macro_rules! switch {
    ($name:literal, $about:literal, $($at:ident).+) => {
        Key {
            name: $name,
            about: $about,
            set: |it, given| {
                it.$($at).+ = values::boolean(given)?;
                Ok(())
            },
            show: |it| Some(it.$($at).+.to_string()),
            example: "",
        }
    };
}
pub(super) use switch;

pub(super) struct Section {
    /// `""`: keys before the first table.
    pub name: &'static str,
    pub about: &'static str,
    pub keys: &'static [Key<Config>],
}

/// `[[listen]]` stands between the sections `log` and `tls` in the reference.
pub(super) const SECTIONS: &[Section] = &[
    Section { name: "", about: "", keys: TOP },
    Section { name: "log", about: "The log goes to standard error.", keys: LOG },
    Section { name: "tls", about: "", keys: TLS },
    Section { name: "limits", about: LIMITS_ABOUT, keys: super::limits::KEYS },
    Section { name: "accounts", about: "", keys: ACCOUNTS },
    Section { name: "policy", about: "", keys: POLICY },
    Section { name: "web", about: "WebSocket, BOSH and discovery, on listeners of kind https and http.", keys: WEB },
    Section { name: "store", about: "", keys: STORE },
    Section { name: "files", about: super::files::ABOUT, keys: super::files::KEYS },
    Section { name: "federation", about: super::federation::ABOUT, keys: super::federation::KEYS },
    Section { name: "mail", about: super::mail::ABOUT, keys: super::mail::KEYS },
];

pub(super) const LISTEN: &str = "listen";
pub(super) const LISTEN_ABOUT: &str = "Where iris listens: one [[listen]] for each. Without any, these, all on loopback.";
/// Read by core when the rooms are mounted, as those are.
pub(super) const PLANS: &str = "plans";
/// Tables `[xep.NAME]`, read by the rooms.
pub(super) const XEP: &str = "xep";

const LIMITS_ABOUT: &str = "Every queue and rate has its limit. Sizes are bytes or \"256KiB\", \"4MiB\"; durations are seconds or \
                            \"500ms\", \"30s\", \"10m\", \"2h\", \"1d\".";

const TOP: &[Key<Config>] = &[
    Key {
        name: "domains",
        about: "The domains served here. The first one is the house's own.",
        set: |config, given| {
            config.domains = values::list(given, "a list of domains", values::domain)?;
            Ok(())
        },
        show: |config| Some(values::show_list(config.domains.iter().cloned())),
        example: "",
    },
    Key {
        name: "data_dir",
        about: "The folder of the database and the control socket. A relative path starts at this file's folder.",
        set: |config, given| {
            config.data_dir = path(given)?;
            Ok(())
        },
        show: |config| Some(values::show_string(&config.data_dir.to_string_lossy())),
        example: "",
    },
    switch!(
        "dev",
        "Development: allows listeners without TLS on loopback, and the test CA everywhere. Never in production.",
        dev
    ),
];

const LOG: &[Key<Config>] = &[
    Key {
        name: "level",
        about: "error, warn, info, debug or trace. The environment variable IRIS_LOG wins.",
        set: |config, given| {
            config.log.level = values::choice(given, Level::ALL)?;
            Ok(())
        },
        show: |config| Some(values::show_string(values::name_of(Level::ALL, config.log.level))),
        example: "",
    },
    Key {
        name: "format",
        about: "text, or json for one object a line.",
        set: |config, given| {
            config.log.format = values::choice(given, LogFormat::ALL)?;
            Ok(())
        },
        show: |config| Some(values::show_string(values::name_of(LogFormat::ALL, config.log.format))),
        example: "",
    },
];

/// A `[[listen]]` as written: one kind, one or more addresses.
#[derive(Default)]
pub(super) struct ListenTable {
    pub kind: Option<ListenKind>,
    pub addresses: Vec<std::net::SocketAddr>,
    pub unlimited: bool,
    pub optional: bool,
    pub web: bool,
    pub proxy_protocol: bool,
}

impl ListenTable {
    pub fn of(listener: &Listener) -> ListenTable {
        ListenTable {
            kind: Some(listener.kind),
            addresses: vec![listener.address],
            unlimited: listener.unlimited,
            optional: listener.optional,
            web: listener.web,
            proxy_protocol: listener.proxy_protocol,
        }
    }
}

pub(super) const LISTEN_KEYS: &[Key<ListenTable>] = &[
    Key {
        name: "kind",
        about: "c2s: clients, STARTTLS required. c2s-tls: clients, direct TLS. c2s-plain: clients without TLS, only with \
                dev = true and on loopback. https: the web, and clients that ask for XMPP by ALPN. http: the web without TLS, for \
                a proxy on this machine, with metrics and health. component: programs (XEP-0114). s2s: other servers, STARTTLS required \
                (port 5269). s2s-tls: other servers, direct TLS (port 5270).",
        set: |listen, given| {
            listen.kind = Some(values::choice(given, ListenKind::ALL)?);
            Ok(())
        },
        show: |listen| listen.kind.map(|kind| values::show_string(kind.name())),
        example: "",
    },
    Key {
        name: "address",
        about: "One address with its port, or a list of them. \"[::]:5222\" is every address of the machine, IPv4 too.",
        set: |listen, given| {
            listen.addresses = match given.get_ref().is_array() {
                true => values::list(given, "addresses", values::socket_address)?,
                false => vec![values::socket_address(given)?],
            };
            Ok(())
        },
        show: |listen| match listen.addresses.as_slice() {
            [one] => Some(values::show_string(&one.to_string())),
            many => Some(values::show_list(many.iter().map(ToString::to_string))),
        },
        example: "",
    },
    switch!(
        "unlimited",
        "Lifts rate limits, bans and shapers for this listener: where only tests and measurements come.",
        unlimited
    ),
    switch!("optional", "Skips the listener, with a line in the log, if the machine does not have the address.", optional),
    switch!("web", "c2s-tls only: serves the web too, to clients that ask for http/1.1 by ALPN.", web),
    switch!(
        "proxy_protocol",
        "Connections begin with a header of the PROXY protocol (version 1 or 2) that says who is really there; others are \
                refused. Only where nobody but the proxy can connect.",
        proxy_protocol
    ),
];

const TLS: &[Key<Config>] = &[
    Key {
        name: "certificates",
        about: "The folder with a certificate and a key for each domain: example.org.crt (the chain, leaf first) and \
                example.org.key, both PEM. Without it a test CA is made in DATA_DIR/certs, if dev is true or all listeners are \
                on loopback.",
        set: |config, given| {
            config.tls.certificates = Some(path(given)?);
            Ok(())
        },
        show: |config| config.tls.certificates.as_ref().map(|path| values::show_string(&path.to_string_lossy())),
        example: "\"certs\"",
    },
    Key {
        name: "client_ca",
        about: "A PEM file with the authorities that issue certificates to clients, who then may log in with them (SASL EXTERNAL). \
                Without it no client is asked for one. The certificate names the account as id-on-xmppAddr (RFC 6120 13.7.1.4).",
        set: |config, given| {
            config.tls.client_ca = Some(file(given)?);
            Ok(())
        },
        show: |config| config.tls.client_ca.as_ref().map(|path| values::show_string(&path.to_string_lossy())),
        example: "\"clients.crt\"",
    },
    Key {
        name: "client_crl",
        about: "A PEM file with the certificates that those authorities have revoked. Read at the start.",
        set: |config, given| {
            config.tls.client_crl = Some(file(given)?);
            Ok(())
        },
        show: |config| config.tls.client_crl.as_ref().map(|path| values::show_string(&path.to_string_lossy())),
        example: "\"clients.crl\"",
    },
    switch!(
        "client_mail_is_address",
        "Whether a mail address in such a certificate (rfc822Name) names the account of the same spelling.",
        tls.client_mail_is_address
    ),
];

const ACCOUNTS: &[Key<Config>] = &[
    Key {
        name: "scram_iterations",
        about: "How hard a stolen password table is to guess: PBKDF2 iterations of new passwords, 4096 at least (RFC 7677).",
        set: |config, given| {
            let iterations = values::count(given, 4_096, 10_000_000)?;
            config.accounts.scram_iterations = u32::try_from(iterations).unwrap_or(u32::MAX);
            Ok(())
        },
        show: |config| Some(config.accounts.scram_iterations.to_string()),
        example: "",
    },
    Key {
        name: "admins",
        about: "Who may administer the server. Without this key: admin@ the first domain.",
        set: |config, given| {
            config.accounts.admins = values::list(given, "a list of accounts", values::account)?;
            Ok(())
        },
        show: |config| Some(values::show_list(config.accounts.admins.iter().map(ToString::to_string))),
        example: "",
    },
];

const POLICY: &[Key<Config>] = &[
    switch!("plain_sasl", "Offers SASL PLAIN, always under TLS, beside SCRAM.", policy.plain_sasl),
    Key {
        name: "lifted_addresses",
        about: "Rate limits and bans are lifted for these peers: gateways, tests. Not on listeners of kind http, behind which a proxy \
                stands: there a peer of this list is believed for whom it asks (X-Forwarded-For) and the limits are those of that \
                address, or its own if it names nobody. A proxy on this machine for the other kinds needs proxy_protocol.",
        set: |config, given| {
            config.policy.lifted_addresses = values::list(given, "a list of IP addresses", values::ip_address)?;
            Ok(())
        },
        show: |config| Some(values::show_list(config.policy.lifted_addresses.iter().map(ToString::to_string))),
        example: "",
    },
];

const WEB: &[Key<Config>] = &[
    Key {
        name: "url",
        about: "How strangers reach the web side, when that is not https://DOMAIN at the port of the first https listener: behind a \
                proxy, for example. {domain} stands for each domain.",
        set: |config, given| {
            config.web.url = Some(values::web_url(given)?);
            Ok(())
        },
        show: |config| config.web.url.as_deref().map(values::show_string),
        example: "\"https://{domain}\"",
    },
    Key {
        name: "origins",
        about: "Pages that may use WebSocket and BOSH, by domain; \"*\" is every page. A domain that is not named here lets in pages of \
                https://DOMAIN, of the host that is connected to, and of this machine.",
        set: |config, given| {
            config.web.origins = values::origins(given)?;
            Ok(())
        },
        show: |config| (!config.web.origins.is_empty()).then(|| values::show_origins(&config.web.origins)),
        example: "{ \"example.org\" = [\"https://chat.example.org\"] }",
    },
    Key {
        name: "public_addresses",
        about: "Where this server is reached from outside. With it host-meta.json says everything a client needs (XEP-0487).",
        set: |config, given| {
            config.web.public_addresses = values::list(given, "a list of IP addresses", values::ip_address)?;
            Ok(())
        },
        show: |config| Some(values::show_list(config.web.public_addresses.iter().map(ToString::to_string))),
        example: "",
    },
    switch!(
        "push",
        "Web Push: tell browsers that are closed, through the push services that they name. vapid.key in data_dir is the key by \
                which these know the house. Only https, public addresses and port 443 are spoken to.",
        web.push
    ),
    Key {
        name: "push_hosts",
        about: "Only these push services, each with every name below it; an empty list: all.",
        set: |config, given| {
            config.web.push_hosts = values::list(given, "a list of host names", values::domain)?;
            Ok(())
        },
        show: |config| Some(values::show_list(config.web.push_hosts.iter().cloned())),
        example: "",
    },
    Key {
        name: "push_addresses",
        about: "Addresses of push services in a network of one's own: spoken to although they are not public, on any port.",
        set: |config, given| {
            config.web.push_addresses = values::list(given, "a list of IP addresses", values::ip_address)?;
            Ok(())
        },
        show: |config| Some(values::show_list(config.web.push_addresses.iter().map(ToString::to_string))),
        example: "",
    },
    Key {
        name: "push_authorities",
        about: "A PEM file of those who issue the certificates of push services, instead of the system's.",
        set: |config, given| {
            config.web.push_authorities = Some(file(given)?);
            Ok(())
        },
        show: |config| config.web.push_authorities.as_ref().map(|path| values::show_string(&path.to_string_lossy())),
        example: "\"/etc/iris/push-ca.pem\"",
    },
];

const STORE: &[Key<Config>] = &[Key {
    name: "kind",
    about: "sqlite: one file in data_dir.",
    set: |config, given| {
        config.store.kind = values::choice(given, StoreKind::ALL)?;
        Ok(())
    },
    show: |config| Some(values::show_string(values::name_of(StoreKind::ALL, config.store.kind))),
    example: "",
}];

fn file(given: &Given<'_>) -> Result<PathBuf, Problem> {
    match values::string(given, "a file")? {
        "" => Err(values::unexpected(given, "a file")),
        path => Ok(PathBuf::from(path)),
    }
}

fn path(given: &Given<'_>) -> Result<PathBuf, Problem> {
    match values::string(given, "a folder")? {
        "" => Err(values::unexpected(given, "a folder")),
        path => Ok(PathBuf::from(path)),
    }
}
