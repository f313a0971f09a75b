//! Which web pages may speak for their visitors: a browser names the page's origin (RFC 6454), a program names none.
//!
//! Nothing here is authentication, and no cookie is ever looked at: a page of anybody could only log in with a password that its
//! visitor types into it. The list keeps pages from reaching a server that only their visitors can reach (security D6, D7).

use std::collections::HashMap;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

/// A page that asks to be let in.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Page {
    /// As the browser says it, in lower case and without a default port.
    origin: String,
    scheme_is_https: bool,
    host: String,
    /// The page comes from the very host that it speaks to.
    same_host: bool,
}

impl Page {
    /// `origin` and `host` as in the request. `None`: that is no origin of a page (`null`, for example).
    pub fn new(origin: &str, host: Option<&str>) -> Option<Page> {
        let origin = origin.trim().to_ascii_lowercase();
        let (scheme, authority) = origin.split_once("://")?;
        let default_port = match scheme {
            "https" => ":443",
            "http" => ":80",
            _ => return None,
        };
        let authority = authority.strip_suffix(default_port).unwrap_or(authority);
        let name = name_of(authority)?;
        let same_host = host.and_then(|host| name_of(&host.to_ascii_lowercase())).is_some_and(|host| host == name);
        let origin = format!("{scheme}://{authority}");
        Some(Page { scheme_is_https: scheme == "https", host: name, origin, same_host })
    }
}

/// A host without its port; `None` when there is more than a host.
fn name_of(authority: &str) -> Option<String> {
    let name = match authority.strip_prefix('[') {
        Some(rest) => rest.split_once(']')?.0,
        None => authority.split(':').next()?,
    };
    let known = |c: char| c.is_alphanumeric() || matches!(c, '.' | '-' | '_' | ':');
    (!name.is_empty() && name.chars().all(known)).then(|| name.to_owned())
}

/// The rules of all domains.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Origins {
    domains: Vec<(String, Option<Vec<String>>)>,
}

/// In a list: every page.
pub const ANY: &str = "*";

impl Origins {
    /// Domains with a list let in those pages and no others. Of the rest each lets in pages of its own name, pages of the host that is
    /// spoken to, both by HTTPS only, and pages of this machine.
    pub fn new(domains: &[String], lists: &HashMap<String, Vec<String>>) -> Origins {
        let domains = domains.iter().map(|domain| (domain.clone(), lists.get(domain).cloned()));
        Origins { domains: domains.collect() }
    }

    /// May this page speak to this domain? `peer`: who shows the page.
    pub fn allow(&self, domain: &str, page: &Page, peer: IpAddr) -> bool {
        let rule = self.domains.iter().find(|(name, _)| name == domain);
        match rule {
            None => false,
            Some((_, Some(list))) => list.iter().any(|listed| listed == ANY || *listed == page.origin),
            Some((name, None)) => {
                (page.scheme_is_https && (page.same_host || page.host == *name))
                    || (is_this_machine(&page.host) && peer.to_canonical().is_loopback())
            }
        }
    }

    /// May it speak to any domain at all? What is known before a stream names its domain.
    pub fn allow_any(&self, page: &Page, peer: IpAddr) -> bool {
        self.domains.iter().any(|(domain, _)| self.allow(domain, page, peer))
    }
}

fn is_this_machine(host: &str) -> bool {
    host == "localhost"
        || host.parse::<Ipv4Addr>().is_ok_and(|ip| ip.is_loopback())
        || host.parse::<Ipv6Addr>().is_ok_and(|ip| ip.is_loopback())
}

#[cfg(test)]
mod tests {
    use super::*;

    const FAR: IpAddr = IpAddr::V4(Ipv4Addr::new(192, 0, 2, 7));
    const HERE: IpAddr = IpAddr::V4(Ipv4Addr::LOCALHOST);

    fn allowed(origins: &Origins, origin: &str, host: &str, peer: IpAddr) -> bool {
        Page::new(origin, Some(host)).is_some_and(|page| origins.allow("example.org", &page, peer))
    }

    #[test]
    fn d6_without_a_list_a_domain_lets_in_its_own_pages_and_those_of_the_host_spoken_to() {
        let origins = Origins::new(&["example.org".into()], &HashMap::new());
        for (origin, host) in [
            ("https://example.org", "example.org:5443"),
            ("https://EXAMPLE.org:8443", "xmpp.example.org"),
            ("https://chat.example.net", "chat.example.net:5443"),
        ] {
            assert!(allowed(&origins, origin, host, FAR), "{origin}");
        }
        for (origin, host) in [
            ("https://evil.example", "example.org:5443"),
            ("https://example.org.evil.example", "example.org"),
            ("https://evil.example/example.org", "example.org"),
            ("https://evil.example?.example.org", "example.org"),
            ("https://example.org@evil.example", "example.org"),
            ("http://example.org", "example.org"),
            ("http://evil.example", "evil.example"),
            ("null", "example.org"),
            ("file://", "example.org"),
            ("", ""),
            ("http://localhost:8080", "example.org"),
        ] {
            assert!(!allowed(&origins, origin, host, FAR), "{origin}");
        }
        for origin in ["http://localhost:8080", "http://127.0.0.1", "https://[::1]:3000"] {
            assert!(allowed(&origins, origin, "127.0.0.1:5280", HERE), "{origin}");
        }
        assert!(!allowed(&origins, "http://localhost.evil.example", "localhost", HERE));
        let page = Page::new("https://example.org", None).expect("a page");
        assert!(!origins.allow("other.example", &page, FAR) && origins.allow_any(&page, FAR));
    }

    #[test]
    fn d6_a_list_is_all_there_is() {
        let lists = HashMap::from([("example.org".to_owned(), vec!["https://chat.example.com".to_owned()])]);
        let origins = Origins::new(&["example.org".into()], &lists);
        assert!(allowed(&origins, "https://chat.example.com:443", "example.org", FAR));
        for other in ["https://example.org", "https://chat.example.com:8443", "http://chat.example.com", "http://localhost"] {
            assert!(!allowed(&origins, other, "example.org", HERE), "{other}");
        }
        let lists = HashMap::from([("example.org".to_owned(), vec![ANY.to_owned()])]);
        assert!(allowed(&Origins::new(&["example.org".into()], &lists), "http://anything.example", "x", FAR));
    }
}
