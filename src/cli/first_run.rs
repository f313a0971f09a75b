//! What `iris serve` says on standard output when it is ready: at the first start, and at every other.

use std::net::{IpAddr, SocketAddr};
use std::path::PathBuf;
use std::time::Duration;

use iris_core::BareJid;

use crate::config::ListenKind;

/// What there is to say about a server that has started. Not `Debug`: a password has no place in a log.
#[derive(Clone)]
pub struct Started {
    pub data_dir: PathBuf,
    pub domains: Vec<String>,
    /// As bound: never port 0.
    pub listening: Vec<(ListenKind, SocketAddr)>,
    /// The test authority, if this start or an earlier one made it and it is in use.
    pub test_ca: Option<PathBuf>,
    /// An account that this start made, with the password that is shown once. `None` at every later start.
    pub first_admin: Option<(BareJid, String)>,
    pub took: Duration,
}

/// Without letters and digits that are mistaken for one another; 32 of them, so a byte has no bias.
const ALPHABET: &[u8; 32] = b"abcdefghijkmnpqrstuvwxyz23456789";

/// For the first administrator: 80 random bits, in groups to be typed.
///
/// # Errors
/// The system has no randomness.
pub fn new_password() -> Result<String, String> {
    let mut random = [0; 16];
    getrandom::fill(&mut random).map_err(|error| format!("the system has no randomness: {error}"))?;
    let letters: Vec<char> = random.iter().map(|byte| char::from(ALPHABET[usize::from(byte % 32)])).collect();
    let groups: Vec<String> = letters.chunks(4).map(|group| group.iter().collect()).collect();
    Ok(groups.join("-"))
}

const INDENT: &str = "  ";

/// The whole text, up to and with the line that begins with `iris ready`. `arguments`: what commands need to mean this house
/// (`" --data-dir d"`), empty for the defaults.
pub fn first_run_text(started: &Started, arguments: &str) -> String {
    let mut out = format!("Iris {} serves {}\n\n", env!("CARGO_PKG_VERSION"), started.domains.join(", "));
    if let Some((admin, password)) = &started.first_admin {
        out += &format!("{INDENT}Administrator  {admin}\n");
        out += &format!("{INDENT}Password       {password}\n");
        out += &format!("{INDENT}               (shown this once; to change it:\n");
        out += &format!("{INDENT}               iris user passwd {admin}{arguments})\n\n");
    }
    out += &format!("{INDENT}Data           {}\n", started.data_dir.display());
    if let Some(ca) = &started.test_ca {
        out += &format!("{INDENT}Test CA        {} (clients have to trust it)\n", ca.display());
    }
    out.push('\n');
    let width = started.listening.iter().map(|(_, address)| address.to_string().len()).max().unwrap_or(0);
    for (kind, address) in &started.listening {
        out += &format!("{INDENT}{:width$}  {}\n", address.to_string(), purpose(*kind));
    }
    if started.first_admin.is_some() {
        out += &next_steps(started, arguments);
    }
    out + &format!("\niris ready after {} ms\n", started.took.as_millis())
}

/// The same for every later start: nothing but where it listens.
pub fn start_text(started: &Started) -> String {
    first_run_text(&Started { first_admin: None, ..started.clone() }, "")
}

fn purpose(kind: ListenKind) -> &'static str {
    match kind {
        ListenKind::C2s => "clients, STARTTLS",
        ListenKind::C2sTls => "clients, direct TLS",
        ListenKind::C2sPlain => "clients, NO TLS (development)",
        ListenKind::Https => "web (HTTPS), clients by ALPN",
        ListenKind::Http => "web, metrics and health (HTTP, no TLS)",
        ListenKind::Component => "components (no TLS)",
        ListenKind::S2s => "other servers, STARTTLS",
        ListenKind::S2sTls => "other servers, direct TLS",
    }
}

fn next_steps(started: &Started, arguments: &str) -> String {
    let domain = started.domains.first().map_or("localhost", String::as_str);
    let mut out = format!(
        "\nWhat to do next\n{INDENT}1. Add a user:        iris user add juliet@{domain}{arguments}\n\
         {INDENT}2. Connect a client:  address juliet@{domain}"
    );
    let client = started.listening.iter().find(|(kind, _)| *kind == ListenKind::C2s).or(started.listening.first());
    if let Some((_, address)) = client {
        let host = match address.ip() {
            ip if ip.is_unspecified() => domain.to_owned(),
            IpAddr::V4(ip) => ip.to_string(),
            IpAddr::V6(ip) => ip.to_string(),
        };
        out += &format!(",\n{INDENT}                      server {host}, port {}", address.port());
    }
    if let Some(ca) = &started.test_ca {
        out += &format!(",\n{INDENT}                      let it trust {}", ca.display());
    }
    out + &format!(
        "\n{INDENT}3. Read the manual:   README.md, and `iris help`;\n\
         {INDENT}                      all settings: iris config-reference\n"
    )
}
