//! `/metrics`: what a scraper reads, and that the numbers are those of what has happened.

use std::collections::{BTreeMap, BTreeSet};
use std::process::Command;

use super::http::Http;
use crate::client::{Client, PASSWORD, PATIENCE};
use crate::scene::Scene;

/// A page of metrics, read as strictly as the format is (Prometheus' exposition format 0.0.4).
#[derive(Default)]
struct Page {
    kinds: BTreeMap<String, String>,
    samples: BTreeMap<String, f64>,
}

impl Page {
    fn read(text: &str) -> Page {
        assert!(text.ends_with('\n'));
        let mut page = Page::default();
        let mut family = String::new();
        let mut helped = String::new();
        for line in text.lines() {
            if let Some(rest) = line.strip_prefix("# HELP ") {
                helped = rest.split_once(' ').expect("a text").0.to_owned();
            } else if let Some(rest) = line.strip_prefix("# TYPE ") {
                let (name, kind) = rest.split_once(' ').expect("a type");
                assert_eq!(name, helped, "HELP, then TYPE: {line}");
                assert!(["counter", "gauge", "histogram"].contains(&kind), "{line}");
                assert!(page.kinds.insert(name.to_owned(), kind.to_owned()).is_none(), "twice: {line}");
                name.clone_into(&mut family);
            } else {
                let (series, value) = line.rsplit_once(' ').expect("a value");
                let name = series.split('{').next().expect("a name");
                let kind = &page.kinds[&family];
                let ends: &[&str] = if kind == "histogram" { &["_bucket", "_sum", "_count"] } else { &[""] };
                assert!(ends.iter().any(|end| name == format!("{family}{end}")), "{line} under {family}");
                let value: f64 = value.parse().unwrap_or_else(|_| panic!("{line}"));
                assert!(kind == "gauge" || value >= 0.0, "{line}");
                assert!(page.samples.insert(series.to_owned(), value).is_none(), "twice: {line}");
            }
        }
        page
    }

    fn get(scene: &Scene) -> Page {
        let response = Http::connect(scene.server.http).get("/metrics");
        assert_eq!(response.header("content-type"), Some("text/plain; version=0.0.4; charset=utf-8"));
        Page::read(&response.text())
    }

    #[track_caller]
    fn of(&self, series: &str) -> f64 {
        *self.samples.get(series).unwrap_or_else(|| panic!("no {series}"))
    }
}

#[test]
fn every_name_of_the_table_is_on_the_page_and_no_other() {
    let scene = Scene::new();
    let page = Page::get(&scene);
    let cell = |row: &str| row.split('`').nth(1).map(str::to_owned);
    let table = iris::metrics_table();
    let named: BTreeSet<String> = table.lines().filter(|row| row.starts_with("| `")).filter_map(cell).collect();
    assert!(named.len() > 40);
    assert_eq!(page.kinds.keys().cloned().collect::<BTreeSet<_>>(), named);
    for name in &named {
        let has = |series: &&String| series.starts_with(name.as_str());
        assert!(page.samples.keys().any(|series| has(&series)), "{name} has no value");
    }
}

#[test]
fn each_limit_on_the_page_is_a_key_of_the_configuration() {
    let scene = Scene::new();
    let output = Command::new(env!("CARGO_BIN_EXE_iris")).arg("config-reference").output().expect("iris runs");
    let reference = String::from_utf8(output.stdout).expect("UTF-8");
    let page = Page::get(&scene);
    let limits = page.samples.keys().filter_map(|series| series.strip_prefix("iris_limits_hit_total{limit=\""));
    let mut count = 0;
    for limit in limits {
        let key = limit.trim_end_matches("\"}");
        assert!(reference.contains(&format!("{key} = ")), "{key}");
        count += 1;
    }
    assert!(count > 5);
}

#[test]
fn what_happens_is_counted_and_nothing_else() {
    let mut scene = Scene::new();
    let before = Page::get(&scene);
    assert_eq!(before.of("iris_sessions{state=\"attached\"}"), 2.0);
    assert_eq!(before.of("iris_connections{listener=\"c2s-plain\",state=\"session\"}"), 2.0);

    scene.alice.send("<message type='chat' to='bob@localhost'><body>counted</body></message>");
    scene.bob.expect("counted");
    let mut guesser = Client::connect(scene.server.plain).expect("a connection");
    assert!(guesser.login("bob", "wrong").is_err());
    let mut first = Client::connect(scene.server.plain).expect("a connection");
    first.login("alice", PASSWORD).expect("a login");
    first.bind("to be cut").expect("a session");
    let previd = first.enable_sm().expect("an id");
    drop(first);
    let mut second = Client::connect(scene.server.plain).expect("a connection");
    second.login("alice", PASSWORD).expect("a login");
    assert!(second.resume_sm("no such session", 0).expect("an answer").starts_with("<failed"));
    assert!(second.resume_sm(&previd, 0).expect("an answer").starts_with("<resumed"));
    // What it sends is handled, so it is attached.
    second.ping(PATIENCE).expect("an answer");

    let after = Page::get(&scene);
    let grown = |series: &str| after.of(series) - before.of(series);
    assert_eq!(grown("iris_stanzas_received_total{kind=\"message\"}"), 1.0);
    assert_eq!(grown("iris_stanzas_sent_total{kind=\"message\"}"), 1.0);
    assert_eq!(grown("iris_authentications_total{mechanism=\"PLAIN\"}"), 2.0);
    assert_eq!(grown("iris_authentication_failures_total{mechanism=\"PLAIN\"}"), 1.0);
    assert_eq!(grown("iris_authentication_failures_total{mechanism=\"SCRAM-SHA-256\"}"), 0.0);
    assert_eq!(grown("iris_sessions_bound_total"), 1.0);
    assert_eq!(grown("iris_resumptions_total{result=\"resumed\"}"), 1.0);
    assert_eq!(grown("iris_resumptions_total{result=\"refused\"}"), 1.0);
    assert_eq!(grown("iris_sessions{state=\"attached\"}"), 1.0);
    assert_eq!(after.of("iris_sessions{state=\"detached\"}"), 0.0);
    assert_eq!(grown("iris_archive_entries_total"), 2.0, "one for each side");
    assert!(grown("iris_store_sync_seconds_count") >= 1.0);
    assert!(grown("iris_store_sync_seconds_sum") > 0.0);
    assert_eq!(after.of("iris_store_sync_seconds_bucket{le=\"+Inf\"}"), after.of("iris_store_sync_seconds_count"),);
    assert!(grown("iris_received_bytes_total") > 100.0 && grown("iris_sent_bytes_total") > 100.0);
    assert_eq!(grown("iris_http_requests_total{code=\"2xx\"}"), 1.0, "the page itself, a moment ago");
    scene.canary();
}

#[test]
fn connections_are_counted_as_what_they_are_until_they_are_gone() {
    let mut scene = Scene::new();
    let plain = |state: &str| format!("iris_connections{{listener=\"c2s-plain\",state=\"{state}\"}}");
    let mut waiting = Client::connect(scene.server.plain).expect("a connection");
    waiting.open();
    let page = Page::get(&scene);
    assert_eq!((page.of(&plain("negotiation")), page.of(&plain("session"))), (1.0, 2.0));
    assert_eq!(page.of("iris_connections{listener=\"http\",state=\"http\"}"), 1.0, "the one that asks");
    drop(waiting);
    let deadline = std::time::Instant::now() + PATIENCE;
    while Page::get(&scene).of(&plain("negotiation")) != 0.0 {
        assert!(std::time::Instant::now() < deadline, "a connection is gone and still counted");
    }
    scene.canary();
}
