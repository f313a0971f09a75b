//! What no single key can know: domains twice, listeners that collide, plaintext outside development, certificates.

use std::net::{IpAddr, SocketAddr};
use std::ops::Range;

use super::reader::Reading;
use super::{Config, ListenKind, Listener};

pub(super) fn check(config: &Config, reading: &mut Reading) {
    domains(config, reading);
    admins(config, reading);
    collisions(config, reading);
    plaintext(config, reading);
    components(config, reading);
    web(config, reading);
    certificates(config, reading);
    limits(config, reading);
    super::files::check(config, reading);
    super::federation::check(config, reading);
    super::mail::check(config, reading);
}

fn domains(config: &Config, reading: &mut Reading) {
    if config.domains.is_empty() {
        reading.report(reading.place("domains"), "domains: there is none", "Name at least one: domains = [\"example.org\"].");
    }
    for (i, domain) in config.domains.iter().enumerate() {
        if config.domains.iter().take(i).any(|earlier| earlier == domain) {
            let place = reading.place(&format!("domains[{i}]"));
            reading.report(place, format!("the domain {domain} stands here twice"), "Remove one of the two.");
        }
    }
}

fn admins(config: &Config, reading: &mut Reading) {
    for (i, admin) in config.accounts.admins.iter().enumerate() {
        if !config.domains.iter().any(|domain| domain == admin.domain().as_str()) {
            let place = reading.place(&format!("accounts.admins[{i}]"));
            let message = format!("{admin} cannot administer this server: {} is not served here", admin.domain());
            reading.report(place, message, format!("Served here: {}.", config.domains.join(", ")));
        }
    }
}

fn place_of(reading: &Reading, listener: usize) -> Option<Range<usize>> {
    reading.listener_places.get(listener).cloned().flatten()
}

fn collisions(config: &Config, reading: &mut Reading) {
    for (i, listener) in config.listeners.iter().enumerate() {
        let earlier = config.listeners.iter().take(i).find(|earlier| covers(earlier.address, listener.address));
        let Some(earlier) = earlier else { continue };
        let (address, kind) = (earlier.address, earlier.kind.name());
        let message = match address == listener.address {
            true => format!("two listeners on {address}"),
            false => format!("{} collides with the listener on {address}", listener.address),
        };
        let all =
            if address.ip().is_unspecified() { format!(" {address} takes the port on all addresses.") } else { String::new() };
        let remedy = format!("The earlier one is of kind {kind}.{all} Remove one of the two, or change its port.");
        reading.report(place_of(reading, i), message, remedy);
    }
}

/// Would binding both fail? `[::]` takes the port of IPv4 too; port 0 is a free one each time.
fn covers(a: SocketAddr, b: SocketAddr) -> bool {
    let wide = |wide: SocketAddr, narrow: SocketAddr| {
        wide.ip().is_unspecified() && (wide.is_ipv6() || narrow.is_ipv4()) || wide.ip() == narrow.ip()
    };
    a.port() != 0 && a.port() == b.port() && (wide(a, b) || wide(b, a))
}

fn is_loopback(listener: &Listener) -> bool {
    match listener.address.ip() {
        IpAddr::V6(v6) => v6.to_canonical().is_loopback(),
        IpAddr::V4(v4) => v4.is_loopback(),
    }
}

fn plaintext(config: &Config, reading: &mut Reading) {
    for (i, listener) in config.listeners.iter().enumerate().filter(|(_, l)| l.kind == ListenKind::C2sPlain) {
        let address = listener.address;
        if !config.dev {
            let remedy = "Use kind = \"c2s\" (STARTTLS) or \"c2s-tls\". For tests on this machine, set dev = true at the top of \
                          the file or start with --dev.";
            reading.report(place_of(reading, i), format!("a listener without TLS ({address}) outside development"), remedy);
        } else if !is_loopback(listener) {
            let remedy = format!("Use \"127.0.0.1:{0}\" or \"[::1]:{0}\".", address.port());
            let message = format!("a listener without TLS must be on loopback, and {address} is not");
            reading.report(place_of(reading, i), message, remedy);
        }
    }
}

fn components(config: &Config, reading: &mut Reading) {
    for (i, listener) in config.listeners.iter().enumerate().filter(|(_, l)| l.kind == ListenKind::Component) {
        let is_private = match listener.address.ip().to_canonical() {
            IpAddr::V4(v4) => v4.is_private() || v4.is_loopback() || v4.is_link_local(),
            IpAddr::V6(v6) => v6.is_unique_local() || v6.is_loopback() || v6.is_unicast_link_local(),
        };
        if !is_private {
            let message = format!("components have no TLS (XEP-0114), and {} is open to others", listener.address);
            let remedy = format!("Use \"127.0.0.1:{}\" or an address of a private network.", listener.address.port());
            reading.report(place_of(reading, i), message, remedy);
        }
    }
}

fn web(config: &Config, reading: &mut Reading) {
    for domain in config.web.origins.keys().filter(|domain| !config.domains.contains(*domain)) {
        let message = format!("web.origins: {domain} is not served here");
        reading.report(reading.place("web.origins"), message, format!("Served here: {}.", config.domains.join(", ")));
    }
    for (i, listener) in config.listeners.iter().enumerate() {
        if listener.web && listener.kind != ListenKind::C2sTls {
            let message = format!("web = true means nothing for a listener of kind {}", listener.kind.name());
            reading.report(place_of(reading, i), message, "It is for kind = \"c2s-tls\"; the web itself is kind = \"https\".");
        }
    }
}

fn certificates(config: &Config, reading: &mut Reading) {
    if config.tls.certificates.is_some() || config.dev {
        return;
    }
    let open = config.listeners.iter().position(|listener| listener.kind.uses_tls() && !is_loopback(listener));
    if let Some(i) = open {
        let address = config.listeners.get(i).map(|listener| listener.address.to_string()).unwrap_or_default();
        let remedy = "The test CA is for loopback only. Set certificates = \"certs\" in the table [tls] and put example.org.crt and \
                      example.org.key there for each domain; or, on a test network, start with --dev.";
        let message = format!("{address} can be reached from outside, but there are no certificates");
        reading.report(place_of(reading, i), message, remedy);
    }
}

fn limits(config: &Config, reading: &mut Reading) {
    let stanza = config.limits.stanza_size_bytes_max;
    let too_small = [
        (
            "peer_stanza_size_bytes_max",
            config.limits.peer_stanza_size_bytes_max,
            "what clients say could not be said to others",
        ),
        ("unsettled_bytes_max", config.limits.unsettled_bytes_max, "the largest stanza could never be read"),
        ("output_bytes_max", config.limits.output_bytes_max, "the largest stanza could never be delivered"),
    ];
    for (key, bytes, why) in too_small {
        if bytes < stanza {
            let place = reading.place(&format!("limits.{key}")).or_else(|| reading.place("limits.stanza_size_bytes_max"));
            let message = format!("{key} ({bytes}) is smaller than stanza_size_bytes_max ({stanza})");
            reading.report(place, message, format!("Make it at least as large: {why}."));
        }
    }
}
