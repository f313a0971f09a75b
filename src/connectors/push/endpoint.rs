//! Security D9: an address that a user has named, and whether it is spoken to.

use std::net::IpAddr;

use iris_fetch::Reach;

/// A push service's addresses are some hundred characters long.
pub const URL_BYTES_MAX: usize = 2_048;

/// What the operator allows.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Policy {
    /// Names of hosts, each with everything below it. Empty: all there are.
    pub hosts: Vec<String>,
    /// Addresses that are spoken to although nobody can reach them from outside, on any port: for services of one's own.
    pub addresses: Vec<IpAddr>,
}

/// Where a message goes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Endpoint {
    /// A name, lower case; never a number.
    pub host: String,
    pub port: u16,
    /// Path and query, as written.
    pub path: String,
}

/// Why an address is not spoken to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Refused {
    NotHttps,
    NoName,
    TooLong,
    /// Not one of the hosts that the operator allows.
    Host,
    /// Characters that have no place there.
    Malformed,
}

impl Endpoint {
    /// Takes apart what RFC 3986 calls an absolute URI with the scheme `https`; stricter, because nothing that two readers could read
    /// differently is a push service.
    pub fn parse(url: &str) -> Result<Endpoint, Refused> {
        if url.len() > URL_BYTES_MAX {
            return Err(Refused::TooLong);
        }
        let rest = url.strip_prefix("https://").ok_or(Refused::NotHttps)?;
        let end = rest.find(['/', '?', '#']).unwrap_or(rest.len());
        let (authority, path) = rest.split_at(end);
        if !path.bytes().all(|byte| byte.is_ascii_graphic() && !matches!(byte, b'#' | b'"' | b'<' | b'>' | b'\\' | b'^' | b'`'))
        {
            return Err(Refused::Malformed);
        }
        let (host, port) = match authority.split_once(':') {
            Some((host, port)) if !port.is_empty() && port.bytes().all(|byte| byte.is_ascii_digit()) => {
                (host, port.parse().ok().filter(|port| *port != 0).ok_or(Refused::Malformed)?)
            }
            Some(_) => return Err(Refused::Malformed),
            None => (authority, 443),
        };
        let host = host.strip_suffix('.').unwrap_or(host).to_ascii_lowercase();
        let label = |label: &str| {
            (1..=63).contains(&label.len())
                && label.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'-')
                && !label.starts_with('-')
                && !label.ends_with('-')
        };
        if host.is_empty() || host.len() > 253 || !host.split('.').all(label) {
            return Err(Refused::NoName);
        }
        // Whatever ends with a number is an address to some reader (WHATWG URL, "ends in a number"), 0x7f.1 among them.
        let last = host.rsplit('.').next().unwrap_or_default();
        if last.bytes().all(|byte| byte.is_ascii_digit()) || last.starts_with("0x") {
            return Err(Refused::NoName);
        }
        let path = match path {
            "" => "/".to_owned(),
            path if path.starts_with('?') => format!("/{path}"),
            path => path.to_owned(),
        };
        Ok(Endpoint { host, port, path })
    }

    /// RFC 6454 6.2.
    pub fn origin(&self) -> String {
        match self.port {
            443 => format!("https://{}", self.host),
            port => format!("https://{}:{port}", self.host),
        }
    }
}

impl Policy {
    pub fn endpoint(&self, url: &str) -> Result<Endpoint, Refused> {
        let endpoint = Endpoint::parse(url)?;
        let below = |allowed: &String| {
            let rest = endpoint.host.strip_suffix(&allowed.to_ascii_lowercase());
            rest.is_some_and(|rest| rest.is_empty() || rest.ends_with('.'))
        };
        if self.hosts.is_empty() || self.hosts.iter().any(below) { Ok(endpoint) } else { Err(Refused::Host) }
    }

    /// Whom the client may connect to, whatever a name means when it does.
    pub fn reach(&self) -> Reach {
        Reach::Public { allowed: self.addresses.clone() }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn d9_only_https_by_name_is_an_endpoint() {
        let it = Endpoint::parse("https://Push.Example.NET./wpush/v2/a-B_c?x=1").expect("an endpoint");
        assert_eq!((it.host.as_str(), it.port, it.path.as_str()), ("push.example.net", 443, "/wpush/v2/a-B_c?x=1"));
        assert_eq!(it.origin(), "https://push.example.net");
        assert_eq!(Endpoint::parse("https://a.test:8443").expect("an endpoint").origin(), "https://a.test:8443");
        assert_eq!(Endpoint::parse("https://a.test?q").expect("an endpoint").path, "/?q");
        for (url, why) in [
            ("http://push.example.net/", Refused::NotHttps),
            ("HTTPS://push.example.net/", Refused::NotHttps),
            ("file:///etc/passwd", Refused::NotHttps),
            ("https://127.0.0.1/", Refused::NoName),
            ("https://[::1]/", Refused::Malformed),
            ("https://169.254.169.254/latest", Refused::NoName),
            ("https://2130706433/", Refused::NoName),
            ("https://0x7f.1/", Refused::NoName),
            ("https://0x7f000001/", Refused::NoName),
            ("https://127.1/", Refused::NoName),
            ("https://user:secret@push.example.net/", Refused::Malformed),
            ("https://push.example.net@127.0.0.1/", Refused::NoName),
            ("https://push.example.net:99999/", Refused::Malformed),
            ("https://push.example.net:0/", Refused::Malformed),
            ("https://push.example.net:/", Refused::Malformed),
            ("https:///", Refused::NoName),
            ("https://a..b/", Refused::NoName),
            ("https://push.example.net\\@internal/", Refused::NoName),
            ("https://push.example.net/a b", Refused::Malformed),
            ("https://push.example.net/a\r\nHost: x", Refused::Malformed),
            ("https://push.example.net/#x", Refused::Malformed),
            ("https://büro.example/", Refused::NoName),
        ] {
            assert_eq!(Endpoint::parse(url), Err(why), "{url}");
        }
        assert_eq!(Endpoint::parse(&format!("https://a.test/{}", "x".repeat(URL_BYTES_MAX))), Err(Refused::TooLong));
    }

    #[test]
    fn d9_what_the_operator_allows() {
        let policy = Policy { hosts: vec!["Push.Example.net".into()], addresses: vec![IpAddr::from([127, 0, 0, 1])] };
        assert!(
            policy.endpoint("https://push.example.net/").is_ok() && policy.endpoint("https://eu.push.example.net/").is_ok()
        );
        assert_eq!(policy.endpoint("https://evilpush.example.net/"), Err(Refused::Host));
        assert_eq!(policy.endpoint("https://push.example.net.evil.test/"), Err(Refused::Host));
        assert_eq!(policy.reach(), Reach::Public { allowed: policy.addresses.clone() }, "never more than that");
    }
}
