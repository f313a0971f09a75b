//! Where the mail server is, how it is reached, and as whom.

use std::fmt;
use std::net::IpAddr;
use std::sync::Arc;

use iris_fetch::ClientConfig;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Security {
    /// TLS from the first byte (RFC 8314 3.3).
    Implicit,
    /// STARTTLS, and nothing without (RFC 3207).
    StartTls,
    /// None at all: on this machine.
    None,
}

/// Where it is and how it is spoken to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Address {
    pub security: Security,
    pub host: String,
    pub port: u16,
}

#[derive(Clone)]
pub struct Server {
    pub address: Address,
    pub login: Option<Login>,
    /// Whose certificates are believed; not needed for `Security::None`.
    pub tls: Option<Arc<ClientConfig>>,
}

#[derive(Clone, PartialEq, Eq)]
pub struct Login {
    pub username: String,
    pub password: String,
}

impl fmt::Debug for Login {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Login")
    }
}

/// Without anything that must not reach a log.
impl fmt::Debug for Server {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Server").field("address", &self.address).finish_non_exhaustive()
    }
}

impl fmt::Display for Address {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.host.contains(':') {
            true => write!(f, "[{}]:{}", self.host, self.port),
            false => write!(f, "{}:{}", self.host, self.port),
        }
    }
}

impl Address {
    /// `smtps://host:465`, `smtp://host:587`, or `smtp-plain://localhost:25`; the port may be left out.
    ///
    /// # Errors
    /// What is wrong, in a sentence.
    pub fn parse(text: &str) -> Result<Address, &'static str> {
        let Some((scheme, rest)) = text.split_once("://") else { return Err("there is no smtps:// or smtp:// in front") };
        let (security, default_port) = match scheme {
            "smtps" => (Security::Implicit, 465),
            "smtp" => (Security::StartTls, 587),
            "smtp-plain" => (Security::None, 25),
            _ => return Err("only smtps://, smtp:// (STARTTLS) and, on this machine, smtp-plain:// are spoken"),
        };
        let rest = rest.strip_suffix('/').unwrap_or(rest);
        if rest.contains('@') {
            return Err("the login stands in username and password_file");
        }
        let (host, port) = match rest.strip_prefix('[').and_then(|rest| rest.split_once(']')) {
            Some((host, "")) => (host, None),
            Some((host, port)) => {
                (host, Some(port.strip_prefix(':').ok_or("behind the host stands something that is no port")?))
            }
            None => rest.split_once(':').map_or((rest, None), |(host, port)| (host, Some(port))),
        };
        let port = match port {
            None => default_port,
            Some(port) => port.parse().ok().filter(|port| *port > 0).ok_or("the port is a number from 1 to 65535")?,
        };
        let is_ip = host.parse::<IpAddr>().is_ok();
        let is_name = !host.is_empty() && host.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"-._".contains(&byte));
        if !is_ip && !is_name {
            return Err("that is no name of a host");
        }
        let is_near = host == "localhost" || host.parse::<IpAddr>().is_ok_and(|ip| ip.is_loopback());
        if security == Security::None && !is_near {
            return Err("without TLS mail goes only to this machine (localhost, 127.0.0.1, [::1])");
        }
        Ok(Address { security, host: host.to_owned(), port })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_server_is_a_scheme_a_host_and_perhaps_a_port() {
        let good = |text: &str| {
            let Address { security, host, port } = Address::parse(text).expect(text);
            (security, host, port)
        };
        assert_eq!(good("smtps://mail.example.org"), (Security::Implicit, "mail.example.org".into(), 465));
        assert_eq!(good("smtp://mail.example.org:2525/"), (Security::StartTls, "mail.example.org".into(), 2525));
        assert_eq!(good("smtp-plain://[::1]:25"), (Security::None, "::1".into(), 25));
        assert_eq!(good("smtp-plain://localhost"), (Security::None, "localhost".into(), 25));
        for bad in [
            "mail.example.org",
            "http://mail.example.org",
            "smtp://",
            "smtp://mail.example.org:0",
            "smtp://mail.example.org:x",
            "smtp://user:password@mail.example.org",
            "smtp://mail example.org",
            "smtp://[::1]x",
            "smtp-plain://mail.example.org:25",
            "smtp-plain://192.0.2.1:25",
            "smtp-plain://localhost.example.org",
        ] {
            assert!(Address::parse(bad).is_err(), "{bad}");
        }
    }
}
