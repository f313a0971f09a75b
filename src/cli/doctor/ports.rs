//! Does something answer where clients will knock?

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, TcpListener, TcpStream};
use std::time::Duration;

use super::Finding;
use crate::config::{Config, Listener};

const PATIENCE: Duration = Duration::from_secs(2);

pub(super) fn examine(config: &Config, running: bool) -> Vec<Finding> {
    config.listeners.iter().filter_map(|listener| if running { reachable(listener) } else { free(listener) }).collect()
}

/// The server runs: can this machine connect?
fn reachable(listener: &Listener) -> Option<Finding> {
    let about = about(listener);
    if listener.address.port() == 0 {
        // The system chose another one; only the server's own first lines say which.
        return None;
    }
    match TcpStream::connect_timeout(&local(listener.address), PATIENCE) {
        Ok(_) => Some(Finding::ok(&about, "answers")),
        Err(error) if listener.optional => Some(Finding::ok(&about, format!("optional, and not there: {error}"))),
        Err(error) => Some(Finding::error(
            &about,
            format!("nothing answers there: {error}"),
            "Has the listener been added since the start? Restart the server; look into its log.",
        )),
    }
}

/// It does not run: could it listen?
fn free(listener: &Listener) -> Option<Finding> {
    let about = about(listener);
    match TcpListener::bind(listener.address) {
        Ok(_) => Some(Finding::ok(&about, "free")),
        Err(error) if listener.optional => Some(Finding::ok(&about, format!("optional, and cannot be had: {error}"))),
        Err(error) => {
            let said = super::super::bind_error(listener, &error);
            let (what, remedy) = said.split_once('\n').unwrap_or((&said, ""));
            let what = what.trim_start_matches("iris: ");
            Some(Finding::error(&about, what, super::one_line(remedy)))
        }
    }
}

fn about(listener: &Listener) -> String {
    format!("port {} ({})", listener.address, listener.kind.name())
}

/// All addresses of the machine are reached by its own.
fn local(address: SocketAddr) -> SocketAddr {
    let ip = match address.ip() {
        IpAddr::V4(ip) if ip.is_unspecified() => Ipv4Addr::LOCALHOST.into(),
        IpAddr::V6(ip) if ip.is_unspecified() => Ipv6Addr::LOCALHOST.into(),
        ip => ip,
    };
    SocketAddr::new(ip, address.port())
}
