//! Whom it connects to. Everything that the house asks by HTTP goes through this one door: the addresses of a name are looked up
//! here, each is judged, and the very address that was judged is connected to. `servers.rs` judges by the same list.

use std::fmt;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use hyper::Uri;
use hyper_util::rt::TokioIo;
use tokio::net::{TcpStream, lookup_host};
use tokio::time::timeout;
use tower_service::Service;

/// Addresses of one name that are tried, and how long all of them together.
const ADDRESSES_MAX: usize = 4;
const CONNECT_TIME_MAX: Duration = Duration::from_secs(5);

/// Whom the client may connect to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Reach {
    /// Whoever the operator names: any address, with TLS or without.
    Named,
    /// Whoever somebody else names (security D9): only with TLS; at port 443 of addresses that everybody can reach, and at any port of
    /// those that the operator allows although nobody else can reach them.
    Public { allowed: Vec<IpAddr> },
}

impl Reach {
    fn speaks(&self, scheme: &str) -> bool {
        scheme == "https" || (scheme == "http" && *self == Reach::Named)
    }

    /// Asked of the address that is connected to next, whatever name has led there: one that means something else the next time (DNS
    /// rebinding) leads nowhere.
    fn lets(&self, address: SocketAddr) -> bool {
        match self {
            Reach::Named => true,
            Reach::Public { allowed } => allowed.contains(&address.ip()) || (address.port() == 443 && is_public(address.ip())),
        }
    }
}

/// Nobody of those that a name stands for may be spoken to.
#[derive(Debug)]
pub(crate) struct Forbidden;

impl fmt::Display for Forbidden {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("it is nobody who is spoken to")
    }
}

impl std::error::Error for Forbidden {}

/// What `hyper` wants to hear.
type Trouble = Box<dyn std::error::Error + Send + Sync>;

/// Connects; what speaks TLS and HTTP stands above it.
#[derive(Clone)]
pub(crate) struct Connector(pub Arc<Reach>);

impl Service<Uri> for Connector {
    type Response = TokioIo<TcpStream>;
    type Error = Trouble;
    type Future = Pin<Box<dyn Future<Output = Result<TokioIo<TcpStream>, Trouble>> + Send>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Trouble>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, uri: Uri) -> Self::Future {
        let reach = self.0.clone();
        Box::pin(async move { connect(&reach, &uri).await.map(TokioIo::new) })
    }
}

/// To the first of its addresses that may be spoken to and answers.
async fn connect(reach: &Reach, uri: &Uri) -> Result<TcpStream, Trouble> {
    let scheme = uri.scheme_str().unwrap_or_default();
    if !reach.speaks(scheme) {
        return Err(Forbidden.into());
    }
    let host = uri.host().unwrap_or_default();
    let host = host.strip_prefix('[').and_then(|host| host.strip_suffix(']')).unwrap_or(host);
    let port = uri.port_u16().unwrap_or(if scheme == "http" { 80 } else { 443 });
    // RFC 6761 6.3: names below it are this machine, whatever somebody else says.
    let host = if host.to_ascii_lowercase().ends_with(".localhost") { "localhost" } else { host };
    let found: Vec<SocketAddr> = timeout(CONNECT_TIME_MAX, lookup_host((host, port))).await??.take(ADDRESSES_MAX).collect();
    let judged: Vec<SocketAddr> = found.iter().copied().filter(|address| reach.lets(*address)).collect();
    // Of several the first may be one that swallows everything.
    let share = CONNECT_TIME_MAX / judged.len().max(1) as u32;
    let mut last = Err(if found.is_empty() { Trouble::from("its name has no address") } else { Forbidden.into() });
    for address in judged {
        last = match timeout(share, TcpStream::connect(address)).await {
            Ok(Ok(stream)) => {
                stream.set_nodelay(true)?;
                return Ok(stream);
            }
            Ok(Err(error)) => Err(error.into()),
            Err(late) => Err(late.into()),
        };
    }
    last
}

/// Can it be reached from everywhere? The special registries of IANA (RFC 6890) for IPv4 and IPv6, what embeds an IPv4 address by it.
pub(crate) fn is_public(address: IpAddr) -> bool {
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
    fn d9_whom_the_operator_allows() {
        let at = |address: [u8; 4], port| SocketAddr::from((address, port));
        let public = Reach::Public { allowed: vec![IpAddr::from([127, 0, 0, 1])] };
        assert!(public.lets(at([127, 0, 0, 1], 8_443)), "allowed, at any port");
        assert!(!public.lets(at([127, 0, 0, 2], 443)));
        assert!(public.lets(at([1, 1, 1, 1], 443)) && !public.lets(at([1, 1, 1, 1], 22)));
        assert!(public.speaks("https") && !public.speaks("http") && !public.speaks(""));
        assert!(Reach::Named.lets(at([10, 0, 0, 1], 9_000)) && Reach::Named.speaks("http") && !Reach::Named.speaks("file"));
    }

    /// Whatever a URL writes an address as, it is judged as what it is connected to.
    #[test]
    fn d9_an_address_in_place_of_a_name_is_judged_like_one() {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime");
        let listener = std::net::TcpListener::bind("127.0.0.1:0").expect("a socket");
        let port = listener.local_addr().expect("an address").port();
        listener.set_nonblocking(true).expect("a socket that does not wait");
        runtime.block_on(async {
            let public = Reach::Public { allowed: Vec::new() };
            for host in ["127.0.0.1", "[::1]", "[::ffff:127.0.0.1]", "localhost", "a.localhost", "0.0.0.0"] {
                for scheme in ["http", "https"] {
                    let uri: Uri = format!("{scheme}://{host}:{port}/").parse().expect("a URI");
                    let failed = connect(&public, &uri).await.expect_err("nobody is spoken to");
                    assert!(failed.is::<Forbidden>(), "{uri}: {failed}");
                }
            }
            assert!(listener.accept().is_err(), "somebody was spoken to");
            let uri: Uri = format!("http://127.0.0.1:{port}/").parse().expect("a URI");
            connect(&Reach::Named, &uri).await.expect("whom the operator names is spoken to");
        });
    }
}
