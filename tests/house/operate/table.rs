//! `iris user import` and `iris user export`.

use std::os::unix::fs::PermissionsExt;
use std::process::Stdio;
use std::time::{Duration, Instant};

use super::*;

const TABLE: &str =
    "jid,password,enabled\njuliet@localhost,\"O, Romeo\",true\nromeo@localhost,secret,\nparis@localhost,x,false\n";

#[test]
fn a_table_becomes_accounts_whether_the_server_runs_or_not() {
    for runs in [false, true] {
        let data = Data::new();
        let server = runs.then(|| data.start_with(&quick()));
        let table = file(&data, "users.csv", TABLE);
        let dry = data.iris(&["user", "import", "--dry-run", &table]);
        assert_eq!(dry, "3 accounts would be added.\n");
        assert!(!data.iris(&["user", "list"]).contains("juliet@localhost"), "a dry run changes nothing");
        assert_eq!(data.iris(&["user", "import", &table]), "3 accounts were added.\n");
        let server = server.unwrap_or_else(|| data.start());
        assert!(logs_in(&server, "juliet", "O, Romeo"));
        assert!(logs_in(&server, "romeo", "secret"));
        assert!(!logs_in(&server, "paris", "x"), "disabled");
        let again = refused(&data, &["user", "import", &table]);
        let again = flat(&again);
        assert!(again.contains("line 2, column jid: the account juliet@localhost exists already. To change it: --update."));
        assert!(again.contains("Nothing was imported."), "{again}");
        let changed = file(&data, "changed.csv", "jid,password,enabled\njuliet@localhost,new,\nparis@localhost,,true\n");
        assert_eq!(data.iris(&["user", "import", "--update", &changed]), "0 accounts were added, 2 were updated.\n");
        assert!(logs_in(&server, "juliet", "new") && !logs_in(&server, "juliet", "O, Romeo"));
        assert!(logs_in(&server, "paris", "x"), "enabled, with the password it had");
    }
}

#[test]
fn all_lines_or_none_unless_the_bad_ones_are_to_be_left_out() {
    let data = Data::with_users(["juliet"]);
    // A house that has run knows its domains.
    drop(data.start());
    let table = file(
        &data,
        "users.csv",
        "jid,password\nromeo@localhost,good\nnobody,x\njuliet@localhost,x\nelse@example.net,x\nempty@localhost,\n",
    );
    let dry = refused(&data, &["user", "import", "--dry-run", &table]);
    for said in
        ["line 3, column jid", "line 4, column jid", "line 5, column jid", "line 6, column password", "--missing-password"]
    {
        assert!(dry.contains(said), "{said}: {dry}");
    }
    assert!(dry.contains("1 accounts would be added, 4 bad lines."), "{dry}");
    // Names of files may be long.
    let rest = dry.replace(&table, "F");
    assert!(rest.lines().all(|line| line.chars().count() <= 80), "{dry}");
    assert!(refused(&data, &["user", "import", &table]).contains("Nothing was imported."));
    assert!(!data.iris(&["user", "list"]).contains("romeo"));
    let skipped = data.iris(&["user", "import", "--skip-bad", &table]);
    assert!(skipped.contains("1 accounts were added, 4 bad lines."), "{skipped}");
    assert!(data.iris(&["user", "list"]).contains("romeo@localhost"));
}

/// However many there are: a file is mended once.
#[test]
fn a_dry_run_names_every_bad_line() {
    let data = Data::new();
    let lines: String = (0..1_500).map(|n| format!("nobody {n},x\n")).collect();
    let table = file(&data, "users.csv", &format!("jid,password\n{lines}"));
    let dry = refused(&data, &["user", "import", "--dry-run", &table]);
    for line in [2, 1_002, 1_501] {
        assert!(flat(&dry).contains(&format!("line {line}, column jid")), "{line}");
    }
    assert!(dry.contains("1500 bad lines.") && !dry.contains(" more;"), "{}", dry.lines().next_back().unwrap_or_default());
    // Whoever imports for real is shown the first of them.
    let import = refused(&data, &["user", "import", &table]);
    assert!(import.contains(" more; --dry-run names them all."), "{import}");
}

#[test]
fn accounts_without_a_password_get_none_or_a_new_one() {
    let data = Data::new();
    let server = data.start_with(&quick());
    let table = file(&data, "users.csv", "jid\njuliet@localhost\nromeo@localhost\n");
    data.iris(&["user", "import", "--missing-password", "none", &table]);
    for guess in ["", "juliet", "password"] {
        assert!(!logs_in(&server, "juliet", guess), "{guess:?}");
    }
    let table = file(&data, "more.csv", "jid\nnurse@localhost\n");
    let to = data.folder().join("passwords.csv");
    let shown = to.display().to_string();
    data.iris(&["user", "import", "--missing-password", "generate", "--passwords-to", &shown, &table]);
    assert_eq!(std::fs::metadata(&to).expect("there").permissions().mode() & 0o777, 0o600);
    let passwords = std::fs::read_to_string(&to).expect("passwords");
    let password = passwords.lines().nth(1).and_then(|line| line.strip_prefix("nurse@localhost,")).expect("hers");
    assert!(logs_in(&server, "nurse", password));
    let again = file(&data, "third.csv", "jid\nabram@localhost\n");
    let said = refused(&data, &["user", "import", "--missing-password", "generate", "--passwords-to", &shown, &again]);
    assert!(said.contains("Nothing was imported. Name a new file."), "{said}");
    assert!(!data.iris(&["user", "list"]).contains("abram"));
}

#[test]
fn an_export_is_imported_elsewhere_and_everybody_keeps_the_password_that_nobody_knows() {
    let data = Data::with_users(["juliet", "romeo"]);
    data.iris(&["user", "disable", "romeo@localhost"]);
    let to = data.folder().join("export.csv");
    let shown = to.display().to_string();
    assert!(data.iris(&["user", "export", "--output", &shown]).starts_with("Wrote 2 accounts to "));
    assert_eq!(std::fs::metadata(&to).expect("there").permissions().mode() & 0o777, 0o600);
    let text = std::fs::read_to_string(&to).expect("a table");
    assert!(text.starts_with("jid,scram,enabled,created\n") && !text.contains(PASSWORD), "{text}");
    assert!(refused(&data, &["user", "export", "--output", &shown]).contains("is there already and was not touched"));
    let server = data.start();
    assert_eq!(data.iris(&["user", "export"]), text, "the same by the running server");
    drop(server);
    let elsewhere = Data::new();
    assert_eq!(elsewhere.iris(&["user", "import", &shown]), "2 accounts were added.\n");
    // As many iterations as the keys have: no login makes better ones.
    let server = elsewhere.start_with(&quick());
    assert!(logs_in(&server, "juliet", PASSWORD) && !logs_in(&server, "juliet", "another"));
    assert!(!logs_in(&server, "romeo", PASSWORD), "still disabled");
    assert_eq!(elsewhere.iris(&["user", "export"]), text);
}

/// R9 for imports: what the program has said is kept; of the rest each account is there or not, and works.
#[test]
fn kill_9_during_an_import_leaves_each_account_whole_or_not_at_all() {
    const ACCOUNTS: usize = 3_000;
    let data = Data::with_users(["juliet"]);
    let keys = data.iris(&["user", "export"]);
    let row = keys.lines().nth(1).and_then(|line| line.strip_prefix("juliet@localhost,")).expect("her keys").to_owned();
    let lines: String = (0..ACCOUNTS).map(|i| format!("u{i}@localhost,{row}\n")).collect();
    let table = file(&data, "many.csv", &format!("jid,scram,enabled,created\n{lines}"));
    let server = data.start();
    let importing = Command::new(env!("CARGO_BIN_EXE_iris"))
        .args(["user", "import", &table, "--data-dir"])
        .arg(data.path())
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn();
    let mut importing = importing.expect("iris runs");
    let end = Instant::now() + PATIENCE;
    while data.iris(&["user", "list"]).lines().count() < 100 {
        assert!(Instant::now() < end, "the import does not begin");
        std::thread::sleep(Duration::from_millis(5));
    }
    let seen = data.iris(&["user", "list"]);
    server.kill();
    assert_ne!(importing.wait().expect("a child").code(), Some(0), "it was not finished");
    let server = data.start();
    let there = data.iris(&["user", "list"]);
    for line in seen.lines().skip(1) {
        assert!(there.contains(line), "{line} was there before the crash");
    }
    let last = there.lines().last().and_then(|line| line.split('@').next()).expect("an account").to_owned();
    assert!(logs_in(&server, &last, PASSWORD), "{last}");
    // The same again goes on where it was.
    let finished = data.iris(&["user", "import", "--update", &table]);
    assert!(finished.contains("were updated"), "{finished}");
    assert_eq!(data.iris(&["user", "list"]).lines().count(), ACCOUNTS + 2);
    let json: serde_json::Value = serde_json::from_str(&data.iris(&["user", "list", "--json"])).expect("JSON");
    assert_eq!(json.as_array().map(Vec::len), Some(ACCOUNTS + 1));
}
