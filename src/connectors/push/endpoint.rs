//! Security D9: an address that a user has named, and whether it is spoken to.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

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

    /// Is this address of the name spoken to? Asked of the very address that is connected to, so that a name that means something else
    /// the next time (DNS rebinding) leads nowhere.
    pub fn lets(&self, address: IpAddr, port: u16) -> bool {
        self.addresses.contains(&address) || (port == 443 && is_public(address))
    }
}

/// Can it be reached from everywhere? The special registries of IANA (RFC 6890) for IPv4 and IPv6, what embeds an IPv4 address by it.
pub fn is_public(address: IpAddr) -> bool {
    match address {
        IpAddr::V4(v4) => is_public_v4(v4),
        IpAddr::V6(v6) => is_public_v6(v6),
    }
}

fn is_public_v4(address: Ipv4Addr) -> bool {
    let [a, b, c, _] = address.octets();
    !(a == 0
        || a == 10
        || a == 127
        || (a == 100 && (64..128).contains(&b))
        || (a == 169 && b == 254)
        || (a == 172 && (16..32).contains(&b))
        || (a == 192 && b == 168)
        || (a == 192 && b == 0 && (c == 0 || c == 2))
        || (a == 192 && b == 88 && c == 99)
        || (a == 198 && (b == 18 || b == 19))
        || (a == 198 && b == 51 && c == 100)
        || (a == 203 && b == 0 && c == 113)
        || a >= 224)
}

fn is_public_v6(address: Ipv6Addr) -> bool {
    if let Some(v4) = address.to_ipv4_mapped() {
        return is_public_v4(v4);
    }
    let [a, b, c, ..] = address.segments();
    let octets = address.octets();
    let embedded = |at: usize| match octets.get(at..at + 4) {
        Some(&[a, b, c, d]) => is_public_v4(Ipv4Addr::new(a, b, c, d)),
        _ => false,
    };
    match (a, b) {
        // NAT64 (RFC 6052) and 6to4 (RFC 3056) lead to an IPv4 address.
        (0x64, 0xff9b) => c == 0 && embedded(12),
        (0x2002, _) => embedded(2),
        // Protocol assignments, Teredo and benchmarking among them; documentation.
        (0x2001, b) if b < 0x200 => false,
        (0x2001, 0x0db8) | (0x3fff, _) => false,
        // Global unicast is 2000::/3; everything else is loopback, local, multicast or nobody's.
        (a, _) => (0x2000..0x4000).contains(&a),
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
    fn d9_only_public_addresses_are_spoken_to() {
        for address in [
            "0.0.0.0",
            "10.1.2.3",
            "100.64.0.1",
            "127.0.0.1",
            "169.254.169.254",
            "172.16.0.1",
            "172.31.255.255",
            "192.0.0.8",
            "192.0.2.1",
            "192.168.1.1",
            "198.18.0.1",
            "198.51.100.7",
            "203.0.113.9",
            "224.0.0.1",
            "255.255.255.255",
            "::",
            "::1",
            "::ffff:127.0.0.1",
            "::ffff:10.0.0.1",
            "::127.0.0.1",
            "64:ff9b::7f00:1",
            "64:ff9b:1::1",
            "2002:7f00:1::",
            "2001::1",
            "2001:db8::1",
            "fe80::1",
            "fc00::1",
            "fd12:3456::1",
            "ff02::1",
            "3fff::1",
        ] {
            assert!(!is_public(address.parse().expect("an address")), "{address}");
        }
        for address in
            ["1.1.1.1", "172.32.0.1", "100.128.0.1", "192.0.1.1", "2606:4700::1111", "2a00:1450::1", "64:ff9b::101:101"]
        {
            assert!(is_public(address.parse().expect("an address")), "{address}");
        }
    }

    #[test]
    fn d9_what_the_operator_allows() {
        let policy = Policy { hosts: vec!["Push.Example.net".into()], addresses: vec![IpAddr::from([127, 0, 0, 1])] };
        assert!(
            policy.endpoint("https://push.example.net/").is_ok() && policy.endpoint("https://eu.push.example.net/").is_ok()
        );
        assert_eq!(policy.endpoint("https://evilpush.example.net/"), Err(Refused::Host));
        assert_eq!(policy.endpoint("https://push.example.net.evil.test/"), Err(Refused::Host));
        assert!(policy.lets(IpAddr::from([127, 0, 0, 1]), 8_443));
        assert!(!policy.lets(IpAddr::from([127, 0, 0, 2]), 443));
        assert!(policy.lets(IpAddr::from([1, 1, 1, 1]), 443) && !policy.lets(IpAddr::from([1, 1, 1, 1]), 22));
    }
}
