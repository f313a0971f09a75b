//! `iris doctor`.

use std::os::unix::fs::PermissionsExt;

use serde_json::Value;

use super::*;

fn findings(data: &Data, more: &[&str]) -> (Option<i32>, Vec<Value>) {
    let output = iris(data, &[&["doctor", "--json"], more].concat());
    let json: Value = serde_json::from_slice(&output.stdout).unwrap_or_else(|error| panic!("{error}: {}", said(&output)));
    (output.status.code(), json.as_array().expect("a list").clone())
}

fn about<'a>(findings: &'a [Value], about: &str) -> Vec<&'a Value> {
    findings.iter().filter(|it| it["about"].as_str().is_some_and(|it| it.starts_with(about))).collect()
}

#[track_caller]
fn one<'a>(all: &'a [Value], name: &str) -> &'a Value {
    about(all, name).first().copied().unwrap_or_else(|| panic!("nothing about {name}: {all:?}"))
}

#[test]
fn the_doctor_looks_at_a_house_that_runs_and_at_one_that_does_not() {
    let data = Data::with_users(["juliet"]);
    let (_, closed) = findings(&data, &[]);
    assert!(one(&closed, "server")["what"].as_str().expect("text").contains("does not run"));
    let server = data.start();
    let (code, open) = findings(&data, &[]);
    for name in ["configuration", "certificate", "descriptors", "clock", "disk", "disk speed", "database", "dns"] {
        assert_ne!(one(&open, name)["grade"], "error", "{open:?}");
    }
    assert!(one(&open, "database")["what"].as_str().expect("text").contains("1 accounts"), "{open:?}");
    // The ports of the default configuration are not those of this server: that is an error with a remedy.
    let ports = about(&open, "port 127.0.0.1:5222");
    if let Some(port) = ports.first().filter(|port| port["grade"] == "error") {
        assert!(port["remedy"].as_str().is_some_and(|remedy| !remedy.is_empty()));
        assert_eq!(code, Some(2));
    }
    let text = said(&iris(&data, &["doctor"])).replace(&data.folder().display().to_string(), "F");
    assert!(text.lines().all(|line| line.chars().count() <= 80), "{text}");
    assert!(
        !std::fs::read_dir(data.path())
            .expect("a folder")
            .any(|entry| { entry.is_ok_and(|entry| entry.file_name().to_string_lossy().starts_with(".doctor")) })
    );
    drop(server);
}

#[test]
fn every_fault_that_was_made_is_found_with_a_remedy() {
    let data = Data::with_users(["juliet"]);
    drop(data.start());
    let key = data.path().join("certs/localhost.key");
    std::fs::set_permissions(&key, std::fs::Permissions::from_mode(0o644)).expect("a mode");
    let busy = std::net::TcpListener::bind("127.0.0.1:0").expect("a socket");
    let port = busy.local_addr().expect("an address");
    let config = file(
        &data,
        "doctor.toml",
        &format!("domains = [\"localhost\", \"example.org\"]\n[[listen]]\nkind = \"c2s\"\naddress = \"{port}\"\n"),
    );
    // A name server that nobody is.
    let output = iris(&data, &["doctor", "--json", "--dns", "127.0.0.1", "--config", &config]);
    assert_eq!(output.status.code(), Some(2), "{}", said(&output));
    let json: Value = serde_json::from_slice(&output.stdout).expect("JSON");
    let all = json.as_array().expect("a list").clone();
    let graded = |name: &str, grade: &str, what: &str| {
        let found = about(&all, name).into_iter().any(|it| {
            it["grade"] == grade && flat(it["what"].as_str().unwrap_or("")).contains(what) && it["remedy"].is_string()
        });
        assert!(found, "{name} {grade} {what}: {all:#?}");
    };
    graded("port", "error", "another program has that port");
    graded("certificate localhost", "error", "everybody can read its key");
    graded("certificate example.org", "error", "no certificate found");
    graded("dns", "warn", "does not answer");
    let live = rusqlite::Connection::open(data.database()).expect("a database");
    live.execute_batch("PRAGMA wal_checkpoint(TRUNCATE)").expect("a checkpoint");
    drop(live);
    let bytes = std::fs::read(data.database()).expect("a database");
    let mut broken = bytes.clone();
    broken[4096..8192].fill(0xaa);
    std::fs::write(data.database(), broken).expect("a database");
    let (code, all) = findings(&data, &["--no-dns"]);
    assert_eq!((code, &one(&all, "database")["grade"]), (Some(2), &Value::from("error")), "{all:#?}");
    let bad = file(&data, "bad.toml", "domainss = []\n");
    let output = iris(&data, &["doctor", "--config", &bad]);
    assert_eq!(output.status.code(), Some(2));
    assert!(flat(&said(&output)).contains("domainss"), "{}", said(&output));
}

#[test]
fn the_doctor_tries_the_ways_that_host_meta_names() {
    let data = Data::with_users(["juliet"]);
    let place = |url: &str| {
        let text = format!("domains = [\"localhost\"]\n[web]\nurl = \"{url}\"\n");
        file(&data, "web.toml", &text)
    };
    let server = data.start();
    let port = server.https.port();
    let config = place(&format!("https://localhost:{port}"));
    let (_, all) = findings(&data, &["--no-dns", "--config", &config]);
    let said = |all: &[Value], grade: &str| -> String {
        let web = about(all, "web localhost").into_iter().filter(|it| it["grade"] == grade);
        web.map(|it| format!("{} {}\n", it["what"], it["remedy"])).collect()
    };
    let good = said(&all, "ok");
    assert!(good.contains("WebSocket answers at") && good.contains("BOSH answers at"), "{all:#?}");
    assert!(said(&all, "warn").contains("host-meta cannot be fetched") || good.contains("host-meta"), "{all:#?}");
    let config = place("https://127.0.0.1:1");
    let (_, all) = findings(&data, &["--no-dns", "--config", &config]);
    let bad = said(&all, "error");
    assert!(bad.contains("WebSocket: https://127.0.0.1:1/xmpp-websocket cannot be reached") && bad.contains("Correct web.url"));
    let (_, all) = findings(&data, &["--no-dns", "--no-web", "--config", &config]);
    assert!(about(&all, "web").is_empty());
}

#[test]
fn a_configuration_with_mistakes_is_a_finding_for_each_in_words() {
    let data = Data::new();
    let file = file(&data, "iris.toml", "[[listen]]\naddress = \"127.0.0.1:5222\"\n[limits]\nroster_items_max = 1.5\n");
    let output = iris(&data, &["doctor", "--no-dns", "--json", "--config", &file]);
    let all: Vec<Value> = serde_json::from_slice(&output.stdout).expect("JSON");
    assert_eq!((output.status.code(), all.len()), (Some(2), 2), "{all:#?}");
    for (finding, what) in all.iter().zip([":1:1: this [[listen]] has no kind", ":4:20: roster_items_max"]) {
        assert!(finding["what"].as_str().is_some_and(|it| it.contains("iris.toml") && it.contains(what)), "{all:#?}");
        assert!(finding["remedy"].as_str().is_some_and(|it| !it.is_empty()), "{all:#?}");
    }
    let said = refused(&data, &["doctor", "--no-dns", "--config", &file]);
    assert!(!said.contains("^^^"), "the drawing is for whoever reads the file: {said}");
}

/// A program that says this to whoever comes; with nothing to say it waits.
fn stranger(says: &'static [u8]) -> std::net::SocketAddr {
    let listener = std::net::TcpListener::bind("127.0.0.1:0").expect("a socket");
    let address = listener.local_addr().expect("an address");
    std::thread::spawn(move || {
        let mut held = Vec::new();
        for mut socket in listener.incoming().flatten() {
            let _ = std::io::Write::write_all(&mut socket, says);
            held.push(socket);
        }
    });
    address
}

#[test]
fn the_port_of_another_program_is_told_from_one_of_ours() {
    let data = Data::with_users(["juliet"]);
    let server = data.start();
    let http = "HTTP/1.1 200 OK\r\nContent-Length: 2\r\nConnection: close\r\n\r\nhi";
    let xmpp = "<stream:stream from='elsewhere.example' xmlns='jabber:client' xmlns:stream='http://etherx.jabber.org/streams'>\
        <stream:features/>";
    let ours = [
        ("c2s-plain", server.plain),
        ("c2s", server.starttls),
        ("c2s-tls", server.direct_tls),
        ("https", server.https),
        ("http", server.http),
    ];
    let others = [
        ("c2s", stranger(b"SSH-2.0-OpenSSH_9.2\r\n")),
        ("c2s", stranger(xmpp.as_bytes())),
        ("c2s-tls", stranger(b"SSH-2.0-OpenSSH_9.2\r\n")),
        ("http", stranger(http.as_bytes())),
        ("c2s", stranger(b"")),
    ];
    let mut text = format!("domains = [\"{DOMAIN}\"]\ndev = true\n");
    for (kind, address) in ours.iter().chain(&others) {
        text += &format!("[[listen]]\nkind = \"{kind}\"\naddress = \"{address}\"\n");
    }
    let config = file(&data, "ports.toml", &text);
    let (code, all) = findings(&data, &["--no-dns", "--no-web", "--config", &config]);
    assert_eq!(code, Some(2));
    for (kind, address) in ours {
        assert_eq!(one(&all, &format!("port {address} ({kind})"))["grade"], "ok", "{all:#?}");
    }
    for (kind, address) in others {
        let finding = one(&all, &format!("port {address} ({kind})"));
        assert_eq!(finding["grade"], "error", "{finding}");
        assert!(finding["what"].as_str().is_some_and(|it| it.contains("another program")), "{finding}");
        assert!(finding["remedy"].as_str().is_some_and(|it| !it.is_empty()), "{finding}");
    }
}
