//! `/.well-known/host-meta` and `/.well-known/host-meta.json`: where else this domain can be reached (XEP-0156), and with the
//! addresses that go with it (XEP-0487), so that a client needs nothing but HTTPS to find everything.

use std::net::IpAddr;
use std::sync::Arc;

use axum::Router;
use axum::extract::State;
use axum::http::{HeaderMap, header};
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use serde_json::{Value, json};

use crate::pages::escape;
use crate::{bosh, websocket};

/// How long clients may remember it (XEP-0487: a week at most).
const TTL_SECONDS: u32 = 3_600;

/// What there is to find.
#[derive(Clone, Debug, Default)]
pub struct Discovery {
    /// The first one is answered for when a request names none of them.
    pub sites: Vec<Site>,
    /// Where the house can be reached from outside; empty: nobody said, and XEP-0487 is not offered.
    pub addresses: Vec<IpAddr>,
    /// The port of direct TLS (XEP-0368).
    pub direct_tls_port: Option<u16>,
}

#[derive(Clone, Debug)]
pub struct Site {
    pub domain: String,
    /// Of its web side, `https://host` or `https://host:port`; `None`: it has none that strangers can reach.
    pub url: Option<String>,
}

impl Site {
    /// Relation and address of each way in.
    fn links(&self) -> Vec<(&'static str, String)> {
        let Some(url) = &self.url else { return Vec::new() };
        let wss = url.replacen("http", "ws", 1);
        vec![
            ("urn:xmpp:alt-connections:websocket", format!("{wss}{}", websocket::PATH)),
            ("urn:xmpp:alt-connections:xbosh", format!("{url}{}", bosh::PATH)),
        ]
    }
}

impl Discovery {
    fn site(&self, asked: &HeaderMap) -> Option<&Site> {
        let host = asked.get(header::HOST).and_then(|host| host.to_str().ok()).unwrap_or_default();
        let name = host.rsplit_once(':').map_or(host, |(name, _)| name);
        self.sites.iter().find(|site| site.domain.eq_ignore_ascii_case(name)).or(self.sites.first())
    }

    fn xml(&self, asked: &HeaderMap) -> String {
        let mut xml =
            String::from("<?xml version='1.0' encoding='utf-8'?>\n<XRD xmlns='http://docs.oasis-open.org/ns/xri/xrd-1.0'>\n");
        for (rel, href) in self.site(asked).map(Site::links).unwrap_or_default() {
            xml += &format!("  <Link rel='{rel}' href='{}'/>\n", escape(&href));
        }
        xml + "</XRD>\n"
    }

    fn json(&self, asked: &HeaderMap) -> String {
        let Some(site) = self.site(asked) else { return json!({ "links": [] }).to_string() };
        let mut links: Vec<Value> = site.links().into_iter().map(|(rel, href)| json!({ "rel": rel, "href": href })).collect();
        let mut document = json!({});
        if !self.addresses.is_empty() {
            // XEP-0487: of BOSH nothing more is said than in XEP-0156.
            let sni = site.url.as_deref().and_then(host_of).unwrap_or(&site.domain);
            for link in links.iter_mut().filter(|link| link["rel"] == "urn:xmpp:alt-connections:websocket") {
                self.complete(link, 20, sni);
            }
            if let Some(port) = self.direct_tls_port {
                let mut link = json!({ "rel": "urn:xmpp:alt-connections:tls", "port": port });
                self.complete(&mut link, 10, &site.domain);
                links.push(link);
            }
            document["xmpp"] = json!({ "ttl": TTL_SECONDS });
        }
        document["links"] = Value::Array(links);
        document.to_string()
    }

    fn complete(&self, link: &mut Value, priority: u16, sni: &str) {
        link["ips"] = self.addresses.iter().map(ToString::to_string).collect();
        link["priority"] = priority.into();
        link["weight"] = 0.into();
        link["sni"] = sni.into();
    }
}

fn host_of(url: &str) -> Option<&str> {
    let authority = url.split_once("://")?.1.split('/').next()?;
    match authority.strip_prefix('[') {
        Some(rest) => rest.split_once(']').map(|(host, _)| host),
        None => authority.split(':').next(),
    }
}

pub(crate) fn routes(discovery: Arc<Discovery>) -> Router {
    Router::new().route("/.well-known/host-meta", get(xrd)).route("/.well-known/host-meta.json", get(jrd)).with_state(discovery)
}

async fn xrd(State(discovery): State<Arc<Discovery>>, asked: HeaderMap) -> Response {
    public("application/xrd+xml", discovery.xml(&asked))
}

async fn jrd(State(discovery): State<Arc<Discovery>>, asked: HeaderMap) -> Response {
    public("application/jrd+json", discovery.json(&asked))
}

/// XEP-0156 5.1: pages of any origin may read this, and nothing else.
fn public(kind: &'static str, body: String) -> Response {
    let head = [
        (header::CONTENT_TYPE, kind),
        (header::ACCESS_CONTROL_ALLOW_ORIGIN, "*"),
        (header::CACHE_CONTROL, "public, max-age=3600"),
        (header::VARY, "Host"),
    ];
    (head, body).into_response()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn discovery(addresses: &[&str]) -> Discovery {
        let site = |domain: &str, url: Option<&str>| Site { domain: domain.into(), url: url.map(str::to_owned) };
        Discovery {
            sites: vec![site("a.example", Some("https://a.example:5443")), site("b.example", Some("https://web.b.example"))],
            addresses: addresses.iter().map(|it| it.parse().expect("an address")).collect(),
            direct_tls_port: Some(5223),
        }
    }

    fn asking(host: &str) -> HeaderMap {
        HeaderMap::from_iter([(header::HOST, host.parse().expect("a header"))])
    }

    #[test]
    fn xep0156_s4_each_host_is_told_of_its_own_domain() {
        let xml = discovery(&[]).xml(&asking("B.example:443"));
        assert!(xml.contains("rel='urn:xmpp:alt-connections:websocket' href='wss://web.b.example/xmpp-websocket'"), "{xml}");
        let xml = discovery(&[]).xml(&asking("<evil>"));
        assert!(xml.contains("href='wss://a.example:5443/xmpp-websocket'") && !xml.contains("evil"), "{xml}");
        let json: Value = serde_json::from_str(&discovery(&[]).json(&asking("a.example"))).expect("JSON");
        assert_eq!(json["links"][0]["href"], "wss://a.example:5443/xmpp-websocket");
        assert!(json.get("xmpp").is_none() && json["links"][0].get("ips").is_none());
    }

    #[test]
    fn xep0487_with_addresses_every_link_can_be_followed_without_dns() {
        let json = discovery(&["192.0.2.1", "2001:db8::1"]).json(&asking("b.example"));
        let json: Value = serde_json::from_str(&json).expect("JSON");
        assert_eq!(json["xmpp"]["ttl"], 3_600);
        for (rel, sni) in
            [("urn:xmpp:alt-connections:websocket", "web.b.example"), ("urn:xmpp:alt-connections:tls", "b.example")]
        {
            let link = json["links"].as_array().and_then(|links| links.iter().find(|it| it["rel"] == rel)).expect("a link");
            assert_eq!(link["ips"], json!(["192.0.2.1", "2001:db8::1"]));
            assert_eq!(link["sni"], sni);
            assert!(link["priority"].is_u64() && link["weight"].is_u64());
        }
        assert_eq!(json["links"].as_array().and_then(|it| it.last()).map(|it| it["port"].clone()), Some(json!(5223)));
    }
}
