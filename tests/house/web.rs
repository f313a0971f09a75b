//! The web side: HTTP, discovery, WebSocket, BOSH, ALPN, the PROXY protocol.

mod bosh;
pub mod http;
mod metrics;
mod proxy;
mod websocket;

use std::sync::Arc;

use rustls::ClientConfig;

use crate::client::trusting;
use crate::scene::Scene;
use http::{Http, Response};

/// Whatever is said of us, no answer tells what lies inside.
#[track_caller]
fn says_nothing_of_the_inside(response: &Response, probe: &str) {
    for word in ["panicked", "src/", ".rs", "/home", "/tmp", "stack", "rustc", "axum", "hyper"] {
        assert!(!response.text().contains(word), "{probe}: {}", response.text());
    }
    assert!(response.header("server").is_none(), "{probe}");
    assert_eq!(response.header("x-content-type-options"), Some("nosniff"), "{probe}");
    assert!(response.body.len() < 2_000, "{probe}: {} bytes", response.body.len());
}

fn speaking(scene: &Scene, alpn: &[&str]) -> Arc<ClientConfig> {
    let mut config = ClientConfig::clone(&trusting(&scene.data.ca()));
    config.alpn_protocols = alpn.iter().map(|name| name.as_bytes().to_vec()).collect();
    Arc::new(config)
}

#[test]
fn metrics_and_health_are_inside_only() {
    let mut scene = Scene::new();
    let mut inside = Http::connect(scene.server.http);
    assert_eq!(inside.get("/healthz").text(), "ok\n");
    let metrics = inside.get("/metrics");
    assert_eq!(metrics.status, 200);
    assert!(metrics.text().contains("\niris_sessions{state=\"attached\"} 2\n"), "{}", metrics.text());
    let mut outside = Http::secure(scene.server.https, speaking(&scene, &["http/1.1"]));
    for path in ["/metrics", "/healthz"] {
        assert_eq!(outside.get(path).status, 404, "{path}");
    }
    scene.canary();
}

#[test]
fn d11_no_spelling_of_a_path_leads_to_the_inside() {
    let mut scene = Scene::new();
    let mut outside = Http::secure(scene.server.https, speaking(&scene, &["http/1.1"]));
    for path in [
        "/../metrics",
        "/./metrics",
        "//metrics",
        "/metrics/",
        "/%6detrics",
        "/%2e%2e/metrics",
        "/%2e%2e%2fmetrics",
        "/..%2f..%2fetc/passwd",
        "/%u002e%u002e/metrics",
        "/..;/metrics",
        "/style.css/..;/metrics",
        "/style.css/../metrics",
        "/style.css/%2e%2e/%2e%2e/etc/passwd",
        "/\\..\\metrics",
        "/%00/metrics",
        "/style.css%00.html",
        "/.well-known/../metrics",
        "http://127.0.0.1/metrics",
    ] {
        let response = outside.get(path);
        assert!(matches!(response.status, 400 | 404), "{path}: {}", response.status);
        says_nothing_of_the_inside(&response, path);
        assert!(!response.text().contains("iris_"), "{path}");
        if response.closes() {
            outside = Http::secure(scene.server.https, speaking(&scene, &["http/1.1"]));
        }
    }
    scene.canary();
}

#[test]
fn the_first_page_names_the_doors_that_people_can_use_and_says_where_guests_may_come_in() {
    let listener = |kind: &str| {
        let proxied = kind == "c2s-tls";
        format!("[[listen]]\nkind = \"{kind}\"\naddress = \"127.0.0.1:0\"\nproxy_protocol = {proxied}\n")
    };
    let listeners: String = ["c2s-plain", "c2s", "c2s-tls", "https", "http"].map(listener).concat();
    let mut scene = Scene::with(&format!("{listeners}[xep.anonymous]\ndomains = [\"localhost\"]\n"));
    let page = Http::connect(scene.server.http).get("/").text();
    assert!(page.contains("XMPP with STARTTLS") && !page.contains("XMPP with TLS"), "{page}");
    let (first, second) = page.split_once(">other.test</h2>").expect("two domains");
    assert!(first.contains("as a guest") && !second.contains("as a guest"), "{page}");
    scene.canary();
}

#[test]
fn errors_are_short_and_in_the_form_that_was_asked_for() {
    let mut scene = Scene::new();
    let mut http = Http::connect(scene.server.http);
    let plain = http.get("/nothing");
    assert_eq!((plain.status, plain.header("content-type")), (404, Some("text/plain; charset=utf-8")));
    let json = http.request("GET", "/nothing", &[("Accept", "application/json")], b"");
    assert_eq!((json.status, json.header("content-type")), (404, Some("application/problem+json")));
    assert!(json.text().contains("\"status\":404"), "{}", json.text());
    let page = http.request("GET", "/<script>alert(1)</script>", &[("Accept", "text/html,*/*")], b"");
    assert!(matches!(page.status, 400 | 404));
    assert!(!page.text().contains("script>"), "{}", page.text());
    assert!(page.header("content-security-policy").is_none_or(|policy| policy.contains("default-src 'none'")));
    let mut http = Http::connect(scene.server.http);
    let wrong = http.request("DELETE", "/style.css", &[], b"");
    assert_eq!(wrong.status, 405);
    says_nothing_of_the_inside(&wrong, "DELETE");
    scene.canary();
}

#[test]
fn a_head_that_is_too_large_or_nonsense_is_refused_and_nothing_is_reflected() {
    let mut scene = Scene::new();
    let long = format!("GET / HTTP/1.1\r\nHost: localhost\r\nX: {}\r\n\r\n", "a".repeat(64 * 1024));
    for probe in [long.as_str(), "NONSENSE\r\n\r\n", "<?xml version='1.0'?><stream:stream>\r\n\r\n", "GET / HTTP/9.9\r\n\r\n"] {
        let mut http = Http::connect(scene.server.http);
        http.send(probe.as_bytes());
        let said = http.read_to_end();
        let said = String::from_utf8_lossy(&said);
        assert!(said.is_empty() || said.starts_with("HTTP/1.1 4"), "{said}");
        assert!(!said.contains("NONSENSE") && !said.contains("aaaa") && !said.contains("stream"), "{said}");
    }
    scene.canary();
}

#[test]
fn bytes_that_are_no_request_get_a_status_and_a_reason() {
    let mut scene = Scene::new();
    let many: String = (0..200).map(|n| format!("X-{n}: y\r\n")).collect();
    for (probe, status, reason) in [
        ("POST /http-bind HTTP/1.1\r\nHost: localhost\r\nContent-Length: abc\r\n\r\n", 400, "not a request"),
        ("GET /<script> HTTP/1.1\r\nHost: localhost\r\n\r\n", 400, "not a request"),
        ("NONSENSE\r\n\r\n", 400, "not a request"),
        (&*format!("GET / HTTP/1.1\r\nHost: localhost\r\n{many}\r\n"), 431, "too large"),
    ] {
        for before in [false, true] {
            let mut http = Http::connect(scene.server.http);
            if before {
                assert_eq!(http.get("/style.css").status, 200);
            }
            http.send(probe.as_bytes());
            let said = http.response();
            assert_eq!((said.status, said.closes()), (status, true), "{probe}");
            assert_eq!(said.header("content-type"), Some("text/plain; charset=utf-8"), "{probe}");
            assert_eq!(said.header("cache-control"), Some("no-store"), "{probe}");
            assert!(said.header("date").is_some() && said.text().contains(reason), "{probe}: {}", said.text());
            says_nothing_of_the_inside(&said, probe);
            assert!(http.read_to_end().is_empty(), "{probe}");
        }
    }
    scene.canary();
}

#[test]
fn every_answer_says_how_long_it_may_be_kept() {
    let mut scene = Scene::new();
    let mut http = Http::connect(scene.server.http);
    for (method, path, status, cache) in [
        ("GET", "/", 200, "no-cache"),
        ("GET", "/nothing", 404, "no-store"),
        ("DELETE", "/style.css", 405, "no-store"),
        ("GET", "/style.css", 200, "max-age=3600"),
    ] {
        let said = http.request(method, path, &[], b"");
        assert_eq!((said.status, said.header("cache-control")), (status, Some(cache)), "{method} {path}");
    }
    scene.canary();
}

#[test]
fn one_tls_port_serves_xmpp_and_the_web_by_alpn() {
    let mut scene = Scene::new();
    for alpn in [&["http/1.1"][..], &[]] {
        let mut http = Http::secure(scene.server.https, speaking(&scene, alpn));
        assert_eq!(http.get("/style.css").status, 200, "{alpn:?}");
        // The connection is kept, and used again.
        assert_eq!(http.get("/nothing").status, 404, "{alpn:?}");
    }
    let config = speaking(&scene, &["xmpp-client"]);
    let mut client = crate::client::Client::direct_tls(scene.server.https, config).expect("a handshake");
    client.login("mallory", crate::client::PASSWORD).expect("a login");
    client.bind("alpn").expect("a resource");
    client.ping(crate::client::PATIENCE).expect("a pong");
    scene.canary();
}

#[test]
fn xep0156_s4_host_meta_says_where_the_websocket_is_and_pages_of_anybody_may_read_it() {
    let mut scene = Scene::with("[web]\npublic_addresses = [\"192.0.2.1\"]\n");
    let mut http = Http::secure(scene.server.https, speaking(&scene, &["http/1.1"]));
    let port = scene.server.https.port();
    let xml = http.request("GET", "/.well-known/host-meta", &[("Origin", "https://anywhere.example")], b"");
    assert_eq!((xml.status, xml.header("access-control-allow-origin")), (200, Some("*")));
    assert_eq!(xml.header("content-type"), Some("application/xrd+xml"));
    let link = format!("<Link rel='urn:xmpp:alt-connections:websocket' href='wss://localhost:{port}/xmpp-websocket'/>");
    assert!(xml.text().contains(&link), "{}", xml.text());
    let json = http.request("GET", "/.well-known/host-meta.json", &[("Host", "other.test")], b"");
    assert_eq!((json.status, json.header("access-control-allow-origin")), (200, Some("*")));
    let document: serde_json::Value = serde_json::from_slice(&json.body).expect("JSON");
    assert_eq!(document["links"][0]["href"], format!("wss://other.test:{port}/xmpp-websocket"));
    assert_eq!(document["links"][0]["ips"][0], "192.0.2.1");
    assert!(document["xmpp"]["ttl"].is_u64());
    scene.canary();
}
