//! What an operator does: accounts in tables, moving a domain (XEP-0227), backups, the doctor, the log.

use std::process::{Command, Output};

use crate::client::{Client, DOMAIN, PASSWORD, PATIENCE};
use crate::server::{Data, Server, With};

mod backup;
mod doctor;
mod portable;
mod table;

/// A command on this folder, whatever comes of it.
fn iris(data: &Data, arguments: &[&str]) -> Output {
    let mut command = Command::new(env!("CARGO_BIN_EXE_iris"));
    command.args(arguments).arg("--data-dir").arg(data.path()).output().expect("iris runs")
}

fn said(output: &Output) -> String {
    String::from_utf8_lossy(&output.stdout).into_owned() + &String::from_utf8_lossy(&output.stderr)
}

/// It has to be refused as an operator's mistake, in lines that fit a terminal.
#[track_caller]
fn refused(data: &Data, arguments: &[&str]) -> String {
    let output = iris(data, arguments);
    assert_eq!(output.status.code(), Some(2), "{arguments:?}: {}", said(&output));
    said(&output)
}

/// Without the ends of lines.
fn flat(text: &str) -> String {
    text.split_whitespace().collect::<Vec<_>>().join(" ")
}

fn logs_in(server: &Server, user: &str, password: &str) -> bool {
    let mut client = Client::connect(server.plain).expect("a connection");
    client.login(user, password).is_ok()
}

fn file(data: &Data, name: &str, text: &str) -> String {
    let path = data.folder().join(name);
    std::fs::write(&path, text).expect("a file");
    path.display().to_string()
}

/// Passwords that are quick to check: the least that RFC 7677 allows.
fn quick() -> With {
    With { config: Some(format!("domains = [\"{DOMAIN}\"]\n[accounts]\nscram_iterations = 4096\n")), ..With::default() }
}

#[test]
fn the_log_level_changes_while_the_server_runs_and_passwords_stay_out_of_it() {
    let data = Data::with_users(["juliet"]);
    assert!(refused(&data, &["log", "debug"]).contains("no server is running"));
    let server = data.start();
    assert_eq!(data.iris(&["log"]), "Log: info\n");
    let trace = data.iris(&["log", "trace,iris_store=warn"]);
    assert!(trace.contains("iris_store=warn") && trace.contains("trace"), "{trace}");
    assert!(logs_in(&server, "juliet", PASSWORD));
    assert!(!logs_in(&server, "juliet", "a wrong password"));
    let file = file(&data, "more.csv", "nurse@localhost,another secret\n");
    data.iris(&["user", "import", &file]);
    let before = data.logged();
    assert!(before.contains("DEBUG") || before.contains("TRACE"), "{before}");
    for secret in [PASSWORD, "a wrong password", "another secret"] {
        assert!(!before.contains(secret), "{secret}");
        // PLAIN on the wire.
        use base64::Engine;
        let plain = base64::engine::general_purpose::STANDARD.encode(format!("\0juliet\0{secret}"));
        assert!(!before.contains(&plain), "{secret} in base64");
    }
    assert!(refused(&data, &["log", "loud"]).contains("expected error, warn, info, debug, trace or off"));
    assert_eq!(data.iris(&["log", "reset"]), "Log: info\n");
}
