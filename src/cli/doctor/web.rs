//! Does the web say how to get in? `host-meta` of each domain (XEP-0156) as a browser would fetch it, and what stands in it.
//! Only domains whose `web.url` is configured are looked at: the others say nothing to strangers.

use std::io::{ErrorKind, Read, Write};
use std::net::{TcpStream, ToSocketAddrs};
use std::sync::Arc;
use std::time::{Duration, Instant};

use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::crypto::{CryptoProvider, verify_tls12_signature, verify_tls13_signature};
use rustls::pki_types::{CertificateDer, ServerName, UnixTime};
use rustls::{ClientConfig, ClientConnection, DigitallySignedStruct, SignatureScheme, StreamOwned};

use super::Finding;
use crate::config::Config;

const PATIENCE: Duration = Duration::from_secs(4);
const ANSWER_BYTES_MAX: u64 = 64 * 1024;

pub(super) fn examine(config: &Config, running: bool) -> Vec<Finding> {
    let Some(url) = &config.web.url else { return Vec::new() };
    if !running {
        return vec![Finding::ok("web", "not asked: the server does not run")];
    }
    config.domains.iter().flat_map(|domain| of_domain(domain, url.replace("{domain}", domain).trim_end_matches('/'))).collect()
}

fn of_domain(domain: &str, url: &str) -> Vec<Finding> {
    let about = format!("web {domain}");
    let wss = format!("{}/xmpp-websocket", url.replacen("http", "ws", 1));
    let bosh = format!("{url}/http-bind");
    let mut findings = Vec::new();
    // Clients look at the domain itself and nowhere else.
    let well_known = format!("https://{domain}/.well-known/host-meta");
    findings.push(match get(&well_known) {
        Err(why) => Finding::warn(
            &about,
            format!("{well_known} cannot be fetched: {why}"),
            format!(
                "Web clients look there (XEP-0156). Let the web server of {domain} pass that path to Iris, or redirect it to \
                 {url}/.well-known/host-meta."
            ),
        ),
        Ok((301 | 302 | 307 | 308, _)) => Finding::ok(&about, format!("{well_known} points elsewhere")),
        Ok((200, body)) => {
            let missing: Vec<&str> = [wss.as_str(), bosh.as_str()].into_iter().filter(|it| !body.contains(*it)).collect();
            match missing.is_empty() {
                true => Finding::ok(&about, format!("{well_known} names WebSocket and BOSH")),
                false => Finding::warn(
                    &about,
                    format!("{well_known} does not name {}", missing.join(" and ")),
                    "Another web server answers there: let it pass that path to Iris, or put these addresses into its file.",
                ),
            }
        }
        Ok((status, _)) => Finding::warn(
            &about,
            format!("{well_known} answers {status}"),
            "Web clients look there (XEP-0156): let the web server pass that path to Iris.",
        ),
    });
    for (name, address) in [("WebSocket", format!("{url}/xmpp-websocket")), ("BOSH", bosh)] {
        findings.push(match get(&address) {
            // Neither is for a GET: 426 and 405 say that the right one is there.
            Ok((200 | 400 | 405 | 426, _)) => Finding::ok(&about, format!("{name} answers at {address}")),
            Ok((status, _)) => Finding::error(
                &about,
                format!("{name}: {address} answers {status}"),
                "It is what host-meta tells clients. Correct web.url, or let the web server pass that path to Iris.",
            ),
            Err(why) => Finding::error(
                &about,
                format!("{name}: {address} cannot be reached: {why}"),
                "It is what host-meta tells clients. Correct web.url, or open the port.",
            ),
        });
    }
    findings
}

/// Status and body of one request.
fn get(url: &str) -> Result<(u16, String), String> {
    let (tls, rest) = match (url.strip_prefix("https://"), url.strip_prefix("http://")) {
        (Some(rest), _) => (true, rest),
        (None, Some(rest)) => (false, rest),
        (None, None) => return Err("that is no web address".into()),
    };
    let (authority, path) = rest.split_once('/').unwrap_or((rest, ""));
    let (host, port) = match authority.rsplit_once(':').and_then(|(host, port)| Some((host, port.parse().ok()?))) {
        Some((host, port)) => (host, port),
        None => (authority, if tls { 443 } else { 80 }),
    };
    let socket = connect(host.trim_matches(['[', ']']), port)?;
    let request = format!("GET /{path} HTTP/1.1\r\nHost: {authority}\r\nConnection: close\r\nUser-Agent: iris-doctor\r\n\r\n");
    let answer = match tls {
        false => exchange(socket, &request, |_| false)?,
        true => {
            let name = ServerName::try_from(host.to_owned()).map_err(|why| why.to_string())?;
            let connection = ClientConnection::new(trusting_anybody()?, name).map_err(|why| why.to_string())?;
            exchange(StreamOwned::new(connection, socket), &request, |_| false)?
        }
    };
    let status = answer.strip_prefix("HTTP/1.").and_then(|rest| rest.get(2..5)).and_then(|status| status.parse().ok());
    let status = status.ok_or("what answers speaks no HTTP")?;
    let body = answer.split_once("\r\n\r\n").map(|(_, body)| body.to_owned());
    Ok((status, body.unwrap_or_default()))
}

fn connect(host: &str, port: u16) -> Result<TcpStream, String> {
    let addresses = (host, port).to_socket_addrs().map_err(|why| why.to_string())?;
    let mut last = "the name has no address".to_owned();
    for address in addresses.take(4) {
        match TcpStream::connect_timeout(&address, PATIENCE) {
            Ok(socket) => {
                let timed = socket.set_read_timeout(Some(PATIENCE)).and_then(|()| socket.set_write_timeout(Some(PATIENCE)));
                return timed.map(|()| socket).map_err(|why| why.to_string());
            }
            Err(why) => last = format!("{address}: {why}"),
        }
    }
    Err(last)
}

/// Not longer and not for longer than an answer can reasonably be; `enough`: no more is needed.
pub(super) fn exchange(mut stream: impl Read + Write, request: &str, enough: impl Fn(&[u8]) -> bool) -> Result<String, String> {
    stream.write_all(request.as_bytes()).and_then(|()| stream.flush()).map_err(|why| why.to_string())?;
    let (mut answer, mut chunk, began) = (Vec::new(), [0; 4096], Instant::now());
    loop {
        if answer.len() as u64 > ANSWER_BYTES_MAX || began.elapsed() > PATIENCE || enough(&answer) {
            break;
        }
        match stream.read(&mut chunk) {
            Ok(0) => break,
            Ok(n) => answer.extend(chunk.iter().take(n)),
            // Many web servers leave TLS without a farewell; a slow one has said something at least.
            Err(why) if why.kind() == ErrorKind::UnexpectedEof || !answer.is_empty() => break,
            Err(why) => return Err(why.to_string()),
        }
    }
    Ok(String::from_utf8_lossy(&answer).into_owned())
}

pub(super) fn trusting_anybody() -> Result<Arc<ClientConfig>, String> {
    let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    let config = ClientConfig::builder_with_provider(provider.clone()).with_safe_default_protocol_versions();
    let config =
        config.map_err(|why| why.to_string())?.dangerous().with_custom_certificate_verifier(Arc::new(Anybody(provider)));
    Ok(Arc::new(config.with_no_client_auth()))
}

/// Certificates are judged where they lie (`certificates.rs`); here only the way is tried, and nothing secret is said.
#[derive(Debug)]
struct Anybody(Arc<CryptoProvider>);

impl ServerCertVerifier for Anybody {
    fn verify_server_cert(
        &self,
        _: &CertificateDer<'_>,
        _: &[CertificateDer<'_>],
        _: &ServerName<'_>,
        _: &[u8],
        _: UnixTime,
    ) -> Result<ServerCertVerified, rustls::Error> {
        Ok(ServerCertVerified::assertion())
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        cert: &CertificateDer<'_>,
        dss: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        verify_tls12_signature(message, cert, dss, &self.0.signature_verification_algorithms)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        cert: &CertificateDer<'_>,
        dss: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        verify_tls13_signature(message, cert, dss, &self.0.signature_verification_algorithms)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.0.signature_verification_algorithms.supported_schemes()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A web server that answers one request with this.
    fn served(answer: &'static str) -> String {
        let listener = std::net::TcpListener::bind("127.0.0.1:0").expect("a socket");
        let address = listener.local_addr().expect("an address");
        std::thread::spawn(move || {
            let (mut socket, _) = listener.accept().expect("a client");
            let _ = socket.read(&mut [0; 1024]);
            let _ = socket.write_all(answer.as_bytes());
        });
        format!("http://{address}/x")
    }

    #[test]
    fn an_answer_is_read_whatever_answers() {
        assert_eq!(get(&served("HTTP/1.1 405 No\r\nA: b\r\n\r\nbody")), Ok((405, "body".to_owned())));
        assert_eq!(get(&served("SSH-2.0-OpenSSH\r\n")), Err("what answers speaks no HTTP".to_owned()));
        assert_eq!(get(&served("")), Err("what answers speaks no HTTP".to_owned()));
        assert!(get("ftp://127.0.0.1/").is_err() && get("http://127.0.0.1:1/").is_err());
    }
}
