//! Behind a proxy that speaks HTTP: for whom it asks. `X-Forwarded-For` is what all of them say; RFC 7239's `Forwarded` hardly any
//! does, and one that does not would let its clients say it.

use std::net::{IpAddr, SocketAddr};

use axum::http::HeaderMap;

use crate::Visitor;

const X_FORWARDED_FOR: &str = "x-forwarded-for";

impl Visitor {
    /// Who asks for what stands under these headers. The last address is the one that the proxy itself has seen; whatever stands
    /// before it, anybody may have written. Limits and bans are of that address, and they hold (security B12).
    pub(crate) fn asking(self, headers: &HeaderMap) -> Visitor {
        let Some(said) = headers.get_all(X_FORWARDED_FOR).into_iter().next_back().filter(|_| self.proxy) else { return self };
        let last = said.to_str().ok().and_then(|said| said.rsplit(',').next()).and_then(|last| address(last.trim()));
        Visitor { peer: last.unwrap_or(self.peer), unlimited: false, ..self }
    }
}

/// Some write the port as well, and brackets around an IPv6 address.
fn address(text: &str) -> Option<IpAddr> {
    let bare = text.strip_prefix('[').and_then(|text| text.strip_suffix(']')).unwrap_or(text);
    bare.parse().ok().or_else(|| text.parse::<SocketAddr>().ok().map(|with_port| with_port.ip()))
}

#[cfg(test)]
mod tests {
    use axum::http::HeaderValue;

    use super::*;
    use crate::tests::NEAR;

    fn headers(said: &[&'static str]) -> HeaderMap {
        said.iter().map(|said| (X_FORWARDED_FOR.parse().expect("a name"), HeaderValue::from_static(said))).collect()
    }

    #[test]
    fn b12_behind_a_proxy_limits_are_of_the_address_that_it_has_seen() {
        for (said, peer) in [
            (&["192.0.2.7"][..], "192.0.2.7"),
            (&["127.0.0.1, 192.0.2.7"], "192.0.2.7"),
            (&["127.0.0.1", "192.0.2.7:40000"], "192.0.2.7"),
            (&["2001:db8::7"], "2001:db8::7"),
            (&["[2001:db8::7]"], "2001:db8::7"),
            (&["[2001:db8::7]:40000"], "2001:db8::7"),
            // It does not know, or says nonsense: it is counted itself, and not let off.
            (&["unknown"], "127.0.0.1"),
            (&["192.0.2.7,"], "127.0.0.1"),
            // Nobody gets free of limits by this.
            (&["127.0.0.1"], "127.0.0.1"),
        ] {
            let visitor = NEAR.asking(&headers(said));
            assert_eq!((visitor.peer, visitor.unlimited), (peer.parse().expect("an address"), false), "{said:?}");
        }
    }

    #[test]
    fn b12_not_applicable_to_who_speaks_for_itself() {
        assert_eq!(NEAR.asking(&HeaderMap::new()), NEAR);
        let stranger = Visitor { proxy: false, ..NEAR };
        assert_eq!(stranger.asking(&headers(&["192.0.2.7"])), stranger);
    }
}
