//! Does the server answer where clients will knock, and is it this one? Whoever answers is asked what only it would say: the header
//! of a stream of our domain (RFC 6120 4.7.1), or the refusal of a request at the path of WebSocket.

use std::io::{Read, Write};
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, TcpListener, TcpStream};
use std::sync::Arc;
use std::time::Duration;

use rustls::pki_types::ServerName;
use rustls::{ClientConfig, ClientConnection, StreamOwned};

use super::Finding;
use super::web::{exchange, trusting_anybody};
use crate::config::{Config, ListenKind, Listener};

const PATIENCE: Duration = Duration::from_secs(2);

pub(super) fn examine(config: &Config, running: bool) -> Vec<Finding> {
    let domain = config.domains.first().map_or("localhost", String::as_str);
    let listeners = config.listeners.iter();
    listeners.filter_map(|listener| if running { reachable(listener, domain) } else { free(listener) }).collect()
}

/// The server runs: can this machine connect, and to whom?
fn reachable(listener: &Listener, domain: &str) -> Option<Finding> {
    let about = about(listener);
    if listener.address.port() == 0 {
        // The system chose another one; only the server's own first lines say which.
        return None;
    }
    let socket = match TcpStream::connect_timeout(&local(listener.address), PATIENCE) {
        Ok(socket) => socket,
        Err(error) if listener.optional => return Some(Finding::ok(&about, format!("optional, and not there: {error}"))),
        Err(error) => {
            let remedy = "Has the listener been added since the start? Restart the server; look into its log.";
            return Some(Finding::error(&about, format!("nothing answers there: {error}"), remedy));
        }
    };
    Some(match ask(listener, domain, socket) {
        Ok(()) => Finding::ok(&about, "answers, and is this server"),
        Err(why) => Finding::error(
            &about,
            format!("another program answers there: {why}"),
            format!(
                "Find it with `ss -ltnp sport = :{}`; stop it, or change this listener's address.",
                listener.address.port()
            ),
        ),
    })
}

/// Is it us? Else what was seen instead.
fn ask(listener: &Listener, domain: &str, mut socket: TcpStream) -> Result<(), String> {
    let timed = socket.set_read_timeout(Some(PATIENCE)).and_then(|()| socket.set_write_timeout(Some(PATIENCE)));
    // PROXY protocol: a health check, not somebody's connection. It comes before TLS.
    let header: &[u8] = if listener.proxy_protocol { b"PROXY UNKNOWN\r\n" } else { b"" };
    timed.and_then(|()| socket.write_all(header)).map_err(|why| why.to_string())?;
    match listener.kind {
        ListenKind::C2s | ListenKind::C2sPlain => stream(socket, "jabber:client", domain),
        ListenKind::C2sTls => stream(secured(socket, domain, b"xmpp-client")?, "jabber:client", domain),
        ListenKind::S2s => stream(socket, "jabber:server", domain),
        ListenKind::S2sTls => stream(secured(socket, domain, b"xmpp-server")?, "jabber:server", domain),
        ListenKind::Https => request(secured(socket, domain, b"http/1.1")?, domain),
        ListenKind::Http => request(socket, domain),
        ListenKind::Component => component(socket, domain),
    }
}

fn secured(socket: TcpStream, domain: &str, alpn: &[u8]) -> Result<StreamOwned<ClientConnection, TcpStream>, String> {
    let name = ServerName::try_from(domain.to_owned()).map_err(|why| why.to_string())?;
    let mut config = ClientConfig::clone(&*trusting_anybody()?);
    config.alpn_protocols = vec![alpn.to_vec()];
    let connection = ClientConnection::new(Arc::new(config), name).map_err(|why| why.to_string())?;
    let mut stream = StreamOwned::new(connection, socket);
    match stream.conn.complete_io(&mut stream.sock) {
        Ok(_) => Ok(stream),
        Err(why) => Err(format!("it speaks no TLS ({why})")),
    }
}

fn stream(socket: impl Read + Write, namespace: &str, domain: &str) -> Result<(), String> {
    let header = format!(
        "<?xml version='1.0'?><stream:stream to='{domain}' version='1.0' xmlns='{namespace}' \
         xmlns:stream='http://etherx.jabber.org/streams'>"
    );
    let told = |answer: &[u8]| answer.windows(7).any(|it| it == b"stream:") && answer.ends_with(b">");
    let answer = exchange(socket, &header, told).map_err(|why| format!("it does not answer as XMPP does ({why})"))?;
    let Some((_, head)) = answer.split_once("<stream:stream") else { return Err("it speaks no XMPP".to_owned()) };
    let head = head.split('>').next().unwrap_or_default();
    let ours = [format!("from='{domain}'"), format!("from=\"{domain}\"")].iter().any(|from| head.contains(from.as_str()));
    match ours && !answer.contains("host-unknown") {
        true => Ok(()),
        false => Err(format!("it speaks XMPP, and not for {domain}")),
    }
}

/// XEP-0114. The domain is none of a component, and that is what it says.
fn component(socket: impl Read + Write, domain: &str) -> Result<(), String> {
    let header = format!(
        "<stream:stream to='{domain}' xmlns='jabber:component:accept' xmlns:stream='http://etherx.jabber.org/streams'>"
    );
    let told = |answer: &[u8]| answer.windows(13).any(|it| it == b"stream:error>");
    let answer = exchange(socket, &header, told).map_err(|why| format!("it does not answer as XMPP does ({why})"))?;
    match answer.contains("jabber:component:accept") && answer.contains("host-unknown") {
        true => Ok(()),
        false => Err("it speaks to no components".to_owned()),
    }
}

fn request(socket: impl Read + Write, domain: &str) -> Result<(), String> {
    let path = "/xmpp-websocket";
    let request = format!("GET {path} HTTP/1.1\r\nHost: {domain}\r\nConnection: close\r\nUser-Agent: iris-doctor\r\n\r\n");
    let told = |answer: &[u8]| answer.windows(2).any(|it| it == b"\r\n");
    let answer = exchange(socket, &request, told).map_err(|why| format!("it does not answer as HTTP does ({why})"))?;
    // RFC 9110 15.5.22: the way is there, and not spoken so. Who comes to `http` from outside gets 403.
    match answer.strip_prefix("HTTP/1.").and_then(|rest| rest.get(2..5)) {
        Some("426" | "403") => Ok(()),
        Some(status) => Err(format!("it speaks HTTP, and answers {status} where WebSocket is")),
        None => Err("it speaks no HTTP".to_owned()),
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
            let (what, remedy) = said.split_once('\n').unwrap_or((&said, "Listen elsewhere: [[listen]] in the configuration."));
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
