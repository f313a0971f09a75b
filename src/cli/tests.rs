//! The commands' words, and the control socket between two threads.

use std::collections::BTreeMap;
use std::io::{BufRead, BufReader, Write};
use std::os::unix::fs::PermissionsExt;
use std::os::unix::net::{UnixListener, UnixStream};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use clap::{CommandFactory, Parser};
use iris_core::BareJid;

use super::control::{
    self, AccountPart, AccountPiece, Admin, Client, ClientRow, NewUser, Secret, UserExport, UserImport, UserRow,
};
use super::first_run::{Started, first_run_text, new_password, start_text};
use super::{Arguments, Command, password, users};
use crate::config::{ListenKind, Listener};

/// Accounts in memory; an addition costs as much time as deriving its keys would.
#[derive(Default)]
struct Accounts {
    users: Mutex<BTreeMap<String, (String, bool)>>,
    addition_takes: Duration,
}

impl Accounts {
    fn change(&self, jid: &BareJid, change: impl FnOnce(&mut (String, bool))) -> Result<(), String> {
        let mut users = self.users.lock().expect("nobody panics");
        users.get_mut(jid.as_str()).map(change).ok_or_else(|| format!("there is no account {jid}"))
    }

    fn get(&self, jid: &str) -> Option<(String, bool)> {
        self.users.lock().expect("nobody panics").get(jid).cloned()
    }
}

impl Admin for Accounts {
    fn user_clients(&self, _: &BareJid) -> Result<Vec<ClientRow>, String> {
        Ok(Vec::new())
    }

    fn user_logout(&self, jid: &BareJid, _: Option<&str>) -> Result<(), String> {
        Err(format!("there is no account {jid}"))
    }

    fn user_add(&self, jid: &BareJid, password: &str) -> Result<(), String> {
        std::thread::sleep(self.addition_takes);
        control::check_served(jid, &["localhost".to_owned()])?;
        let mut users = self.users.lock().expect("nobody panics");
        match users.insert(jid.to_string(), (password.to_owned(), true)) {
            None => Ok(()),
            Some(before) => {
                users.insert(jid.to_string(), before);
                Err(format!("the account {jid} exists already"))
            }
        }
    }

    fn user_list(&self, domain: Option<&str>) -> Result<Vec<UserRow>, String> {
        let users = self.users.lock().expect("nobody panics");
        let rows =
            users.iter().map(|(jid, (_, enabled))| UserRow { jid: jid.clone(), enabled: *enabled, created: 1_764_105_615 });
        Ok(rows.filter(|row| domain.is_none_or(|domain| row.jid.ends_with(&format!("@{domain}")))).collect())
    }

    fn reports(&self, domain: Option<&str>, max: u32) -> Result<Vec<control::ReportRow>, String> {
        let report = |n: u32| control::ReportRow {
            time: 1_764_105_615 + u64::from(n),
            reporter: "juliet@localhost".into(),
            jid: format!("spammer{n}@example.net"),
            reason: "urn:xmpp:reporting:spam".into(),
            text: domain.unwrap_or_default().to_owned(),
            messages: Vec::new(),
        };
        Ok((0..max).map(report).collect())
    }

    fn user_passwd(&self, jid: &BareJid, password: &str) -> Result<(), String> {
        self.change(jid, |user| password.clone_into(&mut user.0))
    }

    fn user_set_enabled(&self, jid: &BareJid, enabled: bool) -> Result<(), String> {
        self.change(jid, |user| user.1 = enabled)
    }

    fn domains(&self) -> Result<Vec<String>, String> {
        Ok(vec!["localhost".to_owned()])
    }

    fn user_import(&self, user: &UserImport) -> Result<(), String> {
        let Secret::Password(password) = &user.secret else { return Err("only passwords here".to_owned()) };
        self.user_add(&user.jid.0, password)
    }

    fn user_export(&self, _domain: Option<&str>, after: Option<&str>, max: u32) -> Result<Vec<UserExport>, String> {
        let rows = self.user_list(None)?.into_iter().filter(|row| after.is_none_or(|after| *row.jid > *after));
        let export =
            |row: UserRow| UserExport { jid: row.jid, scram: String::new(), enabled: row.enabled, created: row.created };
        Ok(rows.take(max as usize).map(export).collect())
    }

    fn account_import(&self, part: &AccountPart) -> Result<Vec<String>, String> {
        Ok(part.children.clone())
    }

    fn account_export(&self, jid: &BareJid, at: u64) -> Result<AccountPiece, String> {
        Ok(AccountPiece { children: vec![format!("<{jid}/>")], next: (at < 1).then_some(at + 1) })
    }

    fn log(&self, filter: Option<&str>) -> Result<String, String> {
        Ok(filter.unwrap_or("info").to_owned())
    }

    fn user_plan(&self, jid: &BareJid, to: Option<&str>) -> Result<control::PlanRow, String> {
        self.change(jid, |_| ())?;
        Ok(control::PlanRow { plan: to.unwrap_or("enterprise").to_owned(), own: to.is_some() })
    }

    fn user_remove(&self, jid: &BareJid) -> Result<(), String> {
        let mut users = self.users.lock().expect("nobody panics");
        users.remove(jid.as_str()).map(drop).ok_or_else(|| format!("there is no account {jid}"))
    }

    fn invite(&self, wanted: &control::Wanted) -> Result<control::Invited, String> {
        let uri = wanted.user.as_ref().map(|user| format!("xmpp:{user}@localhost?register;preauth=token"));
        Ok(control::Invited { link: None, uri, id: "0a1b2c3d".into(), expires: 1_764_105_615 })
    }

    fn invite_list(&self, domain: Option<&str>) -> Result<Vec<control::InvitationRow>, String> {
        domain.is_none_or(|domain| domain == "localhost").then(Vec::new).ok_or_else(|| "not served".to_owned())
    }

    fn invite_revoke(&self, id: &str) -> Result<(), String> {
        (id == "0a1b2c3d").then_some(()).ok_or_else(|| format!("there is no invitation {id}"))
    }
}

/// A folder that goes away with the test.
struct Folder(PathBuf);

impl Folder {
    fn new() -> Folder {
        static NEXT: AtomicU32 = AtomicU32::new(0);
        let name = format!("iris-cli-{}-{}", std::process::id(), NEXT.fetch_add(1, Ordering::Relaxed));
        let folder = Folder(std::env::temp_dir().join(name));
        std::fs::create_dir_all(&folder.0).expect("a temporary folder");
        folder
    }

    fn socket(&self) -> PathBuf {
        self.0.join("control.sock")
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.0);
    }
}

fn jid(text: &str) -> BareJid {
    BareJid::new(text).expect("an address")
}

fn connect(socket: &Path) -> Client {
    Client::connect(socket).expect("allowed").expect("running")
}

#[test]
fn every_operation_goes_over_the_control_socket() {
    let (folder, accounts) = (Folder::new(), Arc::new(Accounts::default()));
    let _server = control::serve(&folder.socket(), accounts.clone()).expect("a socket");
    let client = connect(&folder.socket());
    assert_eq!(client.ping().as_deref(), Ok(env!("CARGO_PKG_VERSION")));
    let juliet = jid("juliet@localhost");
    assert_eq!(client.user_add(&juliet, "\"O Romeo\"\n🌹"), Ok(()));
    assert_eq!(client.user_add(&juliet, "x"), Err("the account juliet@localhost exists already".to_owned()));
    let elsewhere = client.user_add(&jid("a@example.net"), "x").expect_err("not served");
    assert_eq!(elsewhere, "example.net is not served here; served are: localhost");
    assert_eq!(accounts.get("juliet@localhost"), Some(("\"O Romeo\"\n🌹".to_owned(), true)));
    assert_eq!(client.user_passwd(&juliet, "new"), Ok(()));
    assert_eq!(client.user_set_enabled(&juliet, false), Ok(()));
    assert_eq!(accounts.get("juliet@localhost"), Some(("new".to_owned(), false)));
    let row = UserRow { jid: "juliet@localhost".to_owned(), enabled: false, created: 1_764_105_615 };
    assert_eq!(client.user_list(None), Ok(vec![row]));
    assert_eq!(client.user_list(Some("example.org")), Ok(vec![]));
    let reports = client.reports(Some("localhost"), 2).expect("the reports");
    assert_eq!((reports.len(), reports[1].jid.as_str(), reports[0].text.as_str()), (2, "spammer1@example.net", "localhost"));
    assert_eq!(client.user_set_enabled(&juliet, true), Ok(()));
    assert_eq!(accounts.get("juliet@localhost"), Some(("new".to_owned(), true)));
    let plan = |plan: &str, own| Ok(control::PlanRow { plan: plan.to_owned(), own });
    assert_eq!(client.user_plan(&juliet, None), plan("enterprise", false));
    assert_eq!(client.user_plan(&juliet, Some("business")), plan("business", true));
    assert_eq!(client.user_remove(&juliet), Ok(()));
    assert_eq!(client.user_remove(&juliet), Err("there is no account juliet@localhost".to_owned()));
}

#[test]
fn the_protocol_is_one_json_object_a_line_and_survives_nonsense() {
    let folder = Folder::new();
    let _server = control::serve(&folder.socket(), Arc::new(Accounts::default())).expect("a socket");
    let stream = UnixStream::connect(folder.socket()).expect("running");
    stream.set_read_timeout(Some(Duration::from_secs(10))).expect("a timeout");
    let mut lines = BufReader::new(stream.try_clone().expect("a descriptor")).lines();
    let mut ask = |request: &str| {
        writeln!(&stream, "{request}").expect("written");
        lines.next().expect("an answer").expect("read")
    };
    assert_eq!(ask(r#"{"op":"user.add","jid":"romeo@localhost","password":"x"}"#), r#"{"ok":true}"#);
    for nonsense in
        ["", "{", "[]", r#"{"op":"user.fly"}"#, r#"{"op":"user.add","jid":"@","password":"x"}"#, r#"{"op":"ping","x":1}"#]
    {
        assert!(ask(nonsense).starts_with(r#"{"ok":false,"error":"not understood: "#), "{nonsense}");
    }
    assert_eq!(ask(r#"{"op":"user.disable","jid":"romeo@localhost"}"#), r#"{"ok":true}"#);
    let list = ask(r#"{"op":"user.list"}"#);
    assert_eq!(list, r#"{"ok":true,"users":[{"jid":"romeo@localhost","enabled":false,"created":1764105615}]}"#);
}

#[test]
fn the_socket_is_for_its_owner_and_goes_away_with_the_server() {
    let folder = Folder::new();
    assert!(Client::connect(&folder.socket()).expect("no server is no error").is_none());
    let server = control::serve(&folder.socket(), Arc::new(Accounts::default())).expect("a socket");
    let mode = std::fs::metadata(folder.socket()).expect("there").permissions().mode();
    assert_eq!(mode & 0o777, 0o600);
    assert_eq!(std::fs::read_dir(&folder.0).expect("a folder").count(), 1, "nothing but the socket is left");
    drop(server);
    assert!(!folder.socket().exists());
    assert!(Client::connect(&folder.socket()).expect("no server is no error").is_none());
}

#[test]
fn a_dead_servers_socket_is_replaced_and_a_live_ones_is_not() {
    let folder = Folder::new();
    drop(UnixListener::bind(folder.socket()).expect("a socket"));
    assert!(folder.socket().exists());
    assert!(Client::connect(&folder.socket()).expect("a dead server is no error").is_none());
    let _server = control::serve(&folder.socket(), Arc::new(Accounts::default())).expect("in place of the dead one");
    let second = control::serve(&folder.socket(), Arc::new(Accounts::default()));
    assert_eq!(second.err().map(|error| error.kind()), Some(std::io::ErrorKind::AddrInUse));
    assert!(connect(&folder.socket()).ping().is_ok());
}

#[test]
#[cfg(target_os = "linux")]
fn a_data_folder_may_have_a_long_name() {
    let folder = Folder::new();
    let deep = folder.0.join("d".repeat(60)).join("e".repeat(60));
    std::fs::create_dir_all(&deep).expect("a folder");
    let socket = deep.join("control.sock");
    assert!(Client::connect(&socket).expect("no server is no error").is_none());
    let server = control::serve(&socket, Arc::new(Accounts::default())).expect("a socket");
    assert!(connect(&socket).ping().is_ok());
    drop(server);
    assert!(!socket.exists());
}

#[test]
fn two_thousand_additions_share_the_time() {
    let folder = Folder::new();
    let accounts = Arc::new(Accounts { addition_takes: Duration::from_millis(5), ..Accounts::default() });
    let _server = control::serve(&folder.socket(), accounts.clone()).expect("a socket");
    let new = |i: usize| NewUser { jid: jid(&format!("user{i}@localhost")), password: format!("secret-{i}") };
    // The one before the last is there twice: each answer belongs to its own line.
    let mut all: Vec<NewUser> = (0..1_998).map(new).collect();
    all.push(new(7));
    all.push(new(1_998));
    let begun = Instant::now();
    let results = connect(&folder.socket()).user_add_many(&all);
    let took = begun.elapsed();
    assert_eq!(results.len(), 2_000);
    let failed: Vec<usize> = results.iter().enumerate().filter(|(_, result)| result.is_err()).map(|(i, _)| i).collect();
    assert_eq!(failed, [1_998]);
    assert_eq!(accounts.get("user1998@localhost"), Some(("secret-1998".to_owned(), true)));
    // One after the other they would take 10 s.
    assert!(took < Duration::from_secs(5), "{took:?}");
}

#[test]
fn a_bulk_line_is_jid_comma_password() {
    let text = "\u{feff}# made by hand\njuliet@localhost,a,b \r\n\n romeo@localhost ,x\n";
    let users = users::parse_bulk(text).expect("valid");
    let shown: Vec<(usize, &str, &str)> =
        users.iter().map(|(line, user)| (*line, user.jid.as_str(), &*user.password)).collect();
    assert_eq!(shown, [(2, "juliet@localhost", "a,b "), (4, "romeo@localhost", "x")]);
    let errors = users::parse_bulk("juliet@localhost\n@,x\na@localhost,\nlocalhost,x\n").err().expect("four mistakes");
    assert_eq!(errors.iter().map(|(line, _)| *line).collect::<Vec<_>>(), [1, 2, 3, 4]);
}

#[test]
fn a_password_on_standard_input_is_its_first_line() {
    for (input, password) in [("secret\nmore\n", "secret"), ("secret", "secret"), ("s e\r\n", "s e"), ("", ""), ("\n", "")] {
        assert_eq!(password::first_line(input.as_bytes()).expect("short enough"), password);
    }
    assert!(password::first_line("x".repeat(5_000).as_bytes()).is_err());
}

#[test]
fn the_list_of_accounts_is_a_table() {
    let row = |jid: &str, enabled| UserRow { jid: jid.to_owned(), enabled, created: 1_764_105_615 };
    let table = users::table(&[row("admin@localhost", true), row("j@localhost", false)]);
    let lines: Vec<&str> = table.lines().collect();
    assert_eq!(lines[0], "ACCOUNT          STATE     CREATED (UTC)");
    assert_eq!(lines[1], "admin@localhost  enabled   2025-11-25 21:20");
    assert_eq!(lines[2], "j@localhost      disabled  2025-11-25 21:20");
}

fn started() -> Started {
    Started {
        data_dir: "data".into(),
        domains: vec!["localhost".to_owned()],
        listening: vec![
            (ListenKind::C2s, "127.0.0.1:5222".parse().expect("an address")),
            (ListenKind::C2sTls, "[::1]:5223".parse().expect("an address")),
            (ListenKind::Http, "127.0.0.1:5280".parse().expect("an address")),
        ],
        test_ca: Some("data/certs/ca.crt".into()),
        first_admin: Some((jid("admin@localhost"), "h4t2-zw8m-qk3v-9rpe".to_owned())),
        took: Duration::from_millis(87),
    }
}

#[test]
fn the_first_start_says_password_listeners_and_the_next_three_things() {
    let text = first_run_text(&started(), "");
    let lines: Vec<&str> = text.lines().collect();
    assert!(lines.iter().all(|line| line.chars().count() <= 80 && line.is_ascii()), "{text}");
    for needed in [
        "  Administrator  admin@localhost",
        "  Password       h4t2-zw8m-qk3v-9rpe",
        "  127.0.0.1:5222  clients, STARTTLS",
        "  [::1]:5223      clients, direct TLS",
        "  1. Add a user:        iris user add juliet@localhost",
        "                        server 127.0.0.1, port 5222,",
        "                        let it trust data/certs/ca.crt",
    ] {
        assert!(lines.contains(&needed), "{needed} is not in\n{text}");
    }
    assert!(text.contains("3. Read the manual: "));
    assert!(lines.last().is_some_and(|line| line.starts_with("iris ready")), "the last line is the sign to wait for");
}

#[test]
fn suggested_commands_mean_the_same_house() {
    let Ok(Arguments { command: Some(Command::Serve(arguments)), .. }) =
        Arguments::try_parse_from(["iris", "serve", "--data-dir", "/tmp/d", "--domain", "a.example", "--domain", "b.example"])
    else {
        panic!("these are good arguments");
    };
    assert_eq!(arguments.domains, ["a.example", "b.example"]);
    let text = first_run_text(&started(), &arguments.place.as_arguments());
    assert!(text.contains("iris user add juliet@localhost --data-dir /tmp/d\n"), "{text}");
}

#[test]
fn a_later_start_shows_no_password_and_no_advice() {
    let text = start_text(&started());
    assert!(text.contains("127.0.0.1:5222") && !text.contains("Password") && !text.contains("What to do"), "{text}");
    assert!(text.lines().last().is_some_and(|line| line.starts_with("iris ready")));
}

#[test]
fn the_arguments_are_consistent_and_every_command_explains_itself() {
    Arguments::command().debug_assert();
    fn explained(command: &clap::Command) {
        for sub in command.get_subcommands() {
            assert!(sub.get_about().is_some(), "{}", sub.get_name());
            for argument in sub.get_arguments().filter(|argument| argument.get_id() != "help") {
                assert!(argument.get_help().is_some(), "{} {}", sub.get_name(), argument.get_id());
            }
            explained(sub);
        }
    }
    explained(&Arguments::command());
}

#[test]
fn which_house_is_meant_may_stand_before_a_command() {
    let moved = |line: &str| {
        let words = line.split(' ').map(std::ffi::OsString::from).collect();
        let words: Vec<String> = super::place_behind(words).iter().map(|it| it.to_string_lossy().into_owned()).collect();
        words.join(" ")
    };
    for (line, means) in [
        ("iris --config a.toml user list", "iris user list --config a.toml"),
        ("iris --config=a.toml --data-dir d user add -- -x@y", "iris user add --config=a.toml --data-dir d -- -x@y"),
        ("iris --data-dir d serve", "iris serve --data-dir d"),
        // Not applicable: no command, or none that there is, or something else before it.
        ("iris --config a.toml", "iris --config a.toml"),
        ("iris --config a.toml --dev", "iris --config a.toml --dev"),
        ("iris --config user", "iris --config user"),
        ("iris --dev user list", "iris --dev user list"),
        ("iris user list --config a.toml", "iris user list --config a.toml"),
    ] {
        assert_eq!(moved(line), means);
    }
    assert!(Arguments::try_parse_from("iris user list --config a.toml".split(' ')).is_ok());
}

#[test]
fn help_fits_a_terminal() {
    fn fits(command: &mut clap::Command) {
        for help in [command.render_help().to_string(), command.render_long_help().to_string()] {
            let wide = help.lines().find(|line| line.chars().count() > 80);
            assert_eq!(wide, None, "{}", command.get_name());
        }
        command.get_subcommands_mut().for_each(fits);
    }
    let mut command = Arguments::command().term_width(80);
    command.build();
    fits(&mut command);
}

#[test]
fn a_new_password_is_long_and_never_the_same() {
    let (one, other) = (new_password().expect("randomness"), new_password().expect("randomness"));
    assert_ne!(one, other);
    assert_eq!(one.len(), 19);
    assert!(one.split('-').all(|group| group.len() == 4 && group.bytes().all(|b| b.is_ascii_alphanumeric())), "{one}");
}

#[test]
fn a_listener_that_cannot_be_opened_says_why_and_what_to_do() {
    let listener = Listener {
        kind: ListenKind::C2s,
        address: "127.0.0.1:5222".parse().expect("an address"),
        unlimited: false,
        optional: false,
        web: false,
        proxy_protocol: false,
    };
    let text = super::bind_error(&listener, &std::io::ErrorKind::AddrInUse.into());
    assert!(
        text.starts_with("iris: cannot listen on 127.0.0.1:5222 (c2s): another program has that port\n  Stop it"),
        "{text}"
    );
    assert!(text.lines().all(|line| line.chars().count() <= 80), "{text}");
}

#[test]
fn no_command_is_serve_and_takes_its_options() {
    let arguments = Arguments::try_parse_from(["iris"]).expect("good");
    assert!(arguments.command.is_none() && arguments.serve.domains.is_empty());
    let arguments = Arguments::try_parse_from(["iris", "--dev", "--listen", "c2s-plain=127.0.0.1:0"]).expect("good");
    assert!(arguments.serve.dev);
    assert_eq!(arguments.serve.listeners[0].kind, ListenKind::C2sPlain);
    for bad in ["c2s", "c3s=127.0.0.1:1", "c2s=localhost:1", "c2s=127.0.0.1"] {
        assert!(Arguments::try_parse_from(["iris", "serve", "--listen", bad]).is_err(), "{bad}");
    }
}

#[test]
fn a_bad_address_is_refused_before_anything_is_opened() {
    for bad in ["localhost", "@localhost", "juliet@localhost/balcony", "a@b@c", ""] {
        assert!(Arguments::try_parse_from(["iris", "user", "remove", bad]).is_err(), "{bad}");
    }
    assert!(Arguments::try_parse_from(["iris", "user", "add"]).is_err());
    assert!(Arguments::try_parse_from(["iris", "user", "add", "a@localhost", "--password", "x", "--password-stdin"]).is_err());
    assert!(Arguments::try_parse_from(["iris", "user", "add", "--bulk", "file"]).is_ok());
}

#[test]
fn init_never_writes_over_a_file() {
    let folder = Folder::new();
    let file = folder.0.join("iris.toml");
    let arguments =
        |file: &Path| super::configuration::InitArguments { domain: "example.org".to_owned(), output: file.to_owned() };
    super::configuration::init(&arguments(&file)).expect("written");
    let written = std::fs::read_to_string(&file).expect("there");
    crate::config::Config::load(&file).expect("a configuration");
    let refused = super::configuration::init(&arguments(&file)).expect_err("it is there").to_string();
    assert!(refused.contains("is there already and was not touched"), "{refused}");
    assert_eq!(std::fs::read_to_string(&file).expect("there"), written);
}

#[test]
fn moving_goes_over_the_control_socket_too() {
    let (folder, accounts) = (Folder::new(), Arc::new(Accounts::default()));
    let _server = control::serve(&folder.socket(), accounts.clone()).expect("a socket");
    let client = connect(&folder.socket());
    assert_eq!(client.domains(), Ok(vec!["localhost".to_owned()]));
    let user = |name: &str, secret| UserImport { jid: jid(name).into(), secret, enabled: true, created: None, replace: false };
    let many = [
        user("a@localhost", Secret::Password("x".to_owned())),
        user("b@localhost", Secret::Nobody),
        user("a@localhost", Secret::Password("x".to_owned())),
    ];
    let results = client.user_import_many(&many);
    assert_eq!(results.iter().map(Result::is_ok).collect::<Vec<_>>(), [true, false, false]);
    let page = client.user_export(None, None, 10).expect("a page");
    assert_eq!(page.iter().map(|row| &*row.jid).collect::<Vec<_>>(), ["a@localhost"]);
    assert!(client.user_export(None, Some("a@localhost"), 10).is_ok_and(|page| page.is_empty()));
    let children = vec!["<a/>\n<b/>".to_owned(), "x".repeat(1_000_000)];
    let part = AccountPart { jid: jid("a@localhost").into(), secret: None, replace: false, children: children.clone() };
    assert_eq!(client.account_import(&part), Ok(children));
    let piece = client.account_export(&jid("a@localhost"), 0).expect("a piece");
    assert_eq!((piece.children, piece.next), (vec!["<a@localhost/>".to_owned()], Some(1)));
    assert_eq!(client.log(Some("debug")), Ok("debug".to_owned()));
    assert_eq!(client.log(None), Ok("info".to_owned()));
}

mod import {
    use super::super::control::Secret;
    use super::super::users::import::{Bad, Parsed, parse};

    fn bad(text: &str) -> Vec<Bad> {
        parse(text.as_bytes()).bad
    }

    #[test]
    fn a_table_is_read_as_rfc_4180_has_it() {
        let text = "\u{feff}password,jid,enabled,created\r\n\"a,b \"\"c\"\"\",juliet@localhost,false,2020-01-01T00:00:00Z\r\n\
                    \"two\nlines\",romeo@localhost,,\r\n\r\n";
        let Parsed { users, bad } = parse(text.as_bytes());
        assert!(bad.iter().all(|bad| bad.line == 3), "{bad:?}");
        let (line, juliet) = &users[0];
        assert_eq!((*line, juliet.jid.0.as_str(), juliet.enabled), (2, "juliet@localhost", false));
        assert_eq!(juliet.created, Some(1_577_836_800));
        assert!(juliet.secret == Secret::Password("a,b \"c\"".to_owned()));
        // RFC 4013 has no line ends in a password.
        assert_eq!((bad.len(), bad[0].column), (1, "password"));
        let plain = parse(b"juliet@localhost,secret\nromeo@localhost,\"x\"\n");
        assert_eq!((plain.users.len(), plain.bad.len()), (2, 0), "without a first line that names the columns");
    }

    #[test]
    fn every_bad_line_is_named_with_its_column_and_a_remedy() {
        let text = "jid,password,scram,enabled,created\n@,x,,,\na@localhost,x\nb@localhost,x,SCRAM-SHA-1$x,,\n\
                    c@localhost,,SCRAM-SHA-1$1:eA==$eA==:eA==,,\nd@localhost,x,,perhaps,\ne@localhost,x,,,yesterday\n\
                    f@localhost,x,,,\nf@localhost,x,,,\n";
        let Parsed { users, bad } = parse(text.as_bytes());
        assert_eq!(users.len(), 1);
        let said: Vec<(u64, &str)> = bad.iter().map(|bad| (bad.line, bad.column)).collect();
        assert_eq!(said, [(2, "jid"), (3, ""), (4, "scram"), (5, "scram"), (6, "enabled"), (7, "created"), (9, "jid")]);
        assert_eq!(bad[6].to_string(), "line 9, column jid: f@localhost is in line 8 already. Keep one of the two.");
        assert!(!bad.iter().any(|bad| bad.to_string().contains("eA==")), "keys are not shown");
    }

    #[test]
    fn a_quote_that_is_not_closed_hides_no_line() {
        let text = "a@localhost,x\r\nb@localhost,\"open\r\n@,x\r\nc@localhost,\"x\"\r\nd@localhost,\"y\n\ne@localhost,x\n";
        let Parsed { users, bad } = parse(text.as_bytes());
        let said: Vec<(u64, &str)> = bad.iter().map(|bad| (bad.line, bad.what.as_str())).collect();
        assert_eq!((said[0], said[2]), ((2, "a quote is not closed"), (5, "a quote is not closed")), "{said:?}");
        assert_eq!((said.len(), said[1].0), (3, 3), "{said:?}");
        let kept: Vec<(u64, &str)> = users.iter().map(|(line, user)| (*line, user.jid.0.as_str())).collect();
        assert_eq!(kept, [(1, "a@localhost"), (4, "c@localhost"), (7, "e@localhost")]);
    }

    #[test]
    fn a_first_line_that_names_no_columns_is_refused_at_once() {
        assert!(bad("jid,pasword\n")[0].to_string().starts_with("line 1: \"pasword\" is no column"));
        assert!(bad("password\nx\n")[0].what.contains("no column jid"));
        assert!(bad("jid,jid\n")[0].what.contains("twice"));
        assert!(bad("").is_empty() && bad("\n \n").is_empty());
        let latin = parse(b"jid,password\nj\xfcrgen@localhost,x\n");
        assert_eq!(latin.bad[0].to_string(), "line 2, column jid: not UTF-8. Save the file as UTF-8.");
    }
}

/// `iris check-config` says what a start would say: the first start makes the key of Web Push, and with it a service.
#[test]
fn a_check_finds_what_the_first_start_would_find() {
    let check = |text: &str| {
        let file = Path::new("iris.toml");
        let config = crate::config::Config::parse(text, Some(file), &crate::config::Overrides::default()).expect("TOML");
        crate::check(&config)
    };
    let nowhere = "dev = true\ndata_dir = \"/nonexistent/of/iris\"\n";
    assert_eq!(check(nowhere), Ok(Vec::new()));
    let taken = check(&format!("{nowhere}[xep.push]\nservice = \"conference\"\n")).expect_err("two services of one address");
    assert!(taken.starts_with("iris.toml:4:") && taken.contains("two services"), "{taken}");
}
