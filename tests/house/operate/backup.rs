//! R25: `iris backup` under load, `iris restore`, and a second server on the copy.

use std::os::unix::fs::PermissionsExt;
use std::path::Path;

use super::*;

/// How many messages with this word the archive has.
fn archived(server: &Server, user: &str, word: &str) -> usize {
    let mut client = Client::bound(server.plain, user, "reader");
    client.send("<iq type='set' id='archive'><query xmlns='urn:xmpp:mam:2'/></iq>");
    let mut found = 0;
    loop {
        let said = client.read(PATIENCE).expect("the archive");
        found += usize::from(said.contains(word));
        if said.contains("id='archive'") {
            return found;
        }
    }
}

fn other(data: &Data, name: &str) -> String {
    data.folder().join(name).display().to_string()
}

#[test]
fn r25_a_backup_of_a_running_server_opens_elsewhere_with_everything_that_was_acknowledged() {
    let data = Data::with_users(["juliet", "romeo"]);
    let server = data.start();
    let mut romeo = Client::online(server.plain, "romeo", "orchard");
    let mut juliet = Client::online(server.plain, "juliet", "balcony");
    for number in 0..20 {
        romeo.send(&format!("<message to='juliet@localhost' type='chat'><body>before {number}</body></message>"));
        juliet.expect(&format!("before {number}<"));
    }
    let to = other(&data, "backup");
    let said = data.iris(&["backup", &to]);
    assert!(said.contains("and verified: 2 accounts"), "{said}");
    // Names of folders may be long.
    let short = said.replace(&to, "F");
    assert!(short.lines().all(|line| line.chars().count() <= 80), "{said}");
    romeo.send("<message to='juliet@localhost' type='chat'><body>after the backup</body></message>");
    juliet.expect("after the backup");
    for entry in std::fs::read_dir(&to).expect("a folder") {
        let entry = entry.expect("an entry");
        let mode = entry.metadata().expect("a file").permissions().mode() & 0o777;
        assert_eq!(mode & 0o077, 0, "{:?} {mode:o}", entry.file_name());
    }
    assert!(refused(&data, &["backup", &to]).contains("is there already and was not touched"));

    // Restored to a new folder, a server runs on it beside the first.
    let elsewhere = Data::new();
    let said = elsewhere.iris(&["restore", &to]);
    assert!(said.starts_with("Restored to ") && said.contains("2 accounts"), "{said}");
    let second = elsewhere.start();
    assert!(logs_in(&second, "juliet", PASSWORD));
    assert_eq!(archived(&second, "juliet", "before"), 20);
    assert_eq!(archived(&second, "juliet", "after"), 0);
    assert_eq!(std::fs::read(elsewhere.ca()).expect("a CA"), std::fs::read(data.ca()).expect("a CA"), "clients trust it still");
    drop(second);
    assert!(refused(&elsewhere, &["restore", &to]).contains("A restore never overwrites"));
    assert_eq!(archived(&server, "juliet", "after"), 1, "the first server was not disturbed");
}

#[test]
fn r25_a_backup_of_a_house_that_was_killed_has_what_only_the_wal_has() {
    let data = Data::with_users(["juliet", "romeo"]);
    let server = data.start();
    let mut romeo = Client::online(server.plain, "romeo", "orchard");
    let mut juliet = Client::online(server.plain, "juliet", "balcony");
    romeo.send("<message to='juliet@localhost' type='chat'><body>seen</body></message>");
    juliet.expect("seen");
    server.kill();
    let to = other(&data, "backup");
    data.iris(&["backup", &to]);
    let elsewhere = Data::new();
    elsewhere.iris(&["restore", &to]);
    assert_eq!(archived(&elsewhere.start(), "juliet", ">seen<"), 1);
}

#[test]
fn r25_a_damaged_backup_is_not_restored_and_half_a_backup_is_not_left() {
    let data = Data::with_users(["juliet"]);
    let to = other(&data, "backup");
    data.iris(&["backup", &to]);
    let copy = rusqlite::Connection::open(Path::new(&to).join("iris.sqlite3")).expect("a database");
    copy.execute_batch("UPDATE item SET value = CAST('x' AS BLOB)").expect("an update");
    drop(copy);
    let elsewhere = Data::new();
    let said = refused(&elsewhere, &["restore", &to]);
    assert!(said.contains("cannot be restored") && said.contains("is damaged"), "{said}");
    assert!(!elsewhere.path().exists());
    assert!(refused(&elsewhere, &["restore", &other(&data, "nowhere")]).contains("there is no database of Iris"));
    let live = rusqlite::Connection::open(data.database()).expect("a database");
    live.execute_batch("UPDATE item SET value = CAST('x' AS BLOB)").expect("an update");
    drop(live);
    let second = other(&data, "second");
    assert!(refused(&data, &["backup", &second]).contains("no backup was made"));
    assert!(!Path::new(&second).exists());
}

#[test]
fn r25_a_backup_elsewhere_is_the_house_of_its_own_domains_with_or_without_its_configuration() {
    let data = Data::new();
    let text = "domains = [\"example.org\", \"example.net\"]\n[accounts]\nscram_iterations = 4096\n";
    let server = data.start_with(&With { config: Some(text.to_owned()), ..With::default() });
    let config = data.config().display().to_string();
    data.iris(&["user", "add", "juliet@example.org", "--password", PASSWORD, "--config", &config]);
    let to = other(&data, "backup");
    let said = data.iris(&["backup", &to, "--config", &config]);
    assert!(flat(&said).contains(&format!("iris serve --config {to}/iris.toml --data-dir {to} ")), "{said}");
    drop(server);

    let elsewhere = Data::new();
    let said = elsewhere.iris(&["restore", &to]);
    let kept = elsewhere.path().join("iris.toml");
    let start = format!("iris serve --config {} --data-dir {}\n", kept.display(), elsewhere.path().display());
    assert!(said.ends_with(&start), "{said}");
    assert_eq!(std::fs::read_to_string(&kept).expect("its configuration"), text);
    for with in [With::default(), With { config: Some(text.to_owned()), ..With::default() }] {
        let second = elsewhere.start_with(&with);
        assert!(second.said.contains(" serves example.org, example.net\n"), "{}", second.said);
        assert!(!second.said.contains("Administrator"), "{}", second.said);
        let mut client = Client::connect(second.plain).expect("a connection");
        client.try_open_to("example.org").expect("a stream");
        assert!(client.sasl_plain("juliet", PASSWORD).expect("an answer").starts_with("<success"));
    }
    let users = elsewhere.iris(&["user", "list"]);
    assert!(users.contains("juliet@example.org") && !users.contains("localhost"), "{users}");
    // A domain that is left out is not forgotten without a word.
    let less = text.replace(", \"example.net\"", "");
    drop(elsewhere.start_with(&With { config: Some(less), ..With::default() }));
    assert!(elsewhere.logged().contains("example.net was served at the last start and is not now"), "{}", elsewhere.logged());
}

#[test]
fn r25_a_backup_is_not_made_inside_of_what_it_copies_nor_taken_from_what_is_running() {
    let data = Data::with_users(["juliet"]);
    let server = data.start();
    let inside = data.path().join("inside").display().to_string();
    assert!(flat(&refused(&data, &["backup", &inside])).contains("lies in the data folder itself"));
    assert!(!Path::new(&inside).exists());
    let elsewhere = Data::new();
    let live = data.path().display().to_string();
    assert!(flat(&refused(&elsewhere, &["restore", &live])).contains("is no backup: a server runs on it"));
    assert!(!elsewhere.path().exists());
    drop(server);
}
