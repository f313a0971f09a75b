//! XEP-0133 as an administrator's client does it, over sockets and files.

use std::time::{Duration, Instant};

use iris::cli::control::{Admin, Client as Control};

use crate::client::{Client, PASSWORD, PATIENCE, between};
use crate::server::Data;

const COMMANDS: &str = "http://jabber.org/protocol/commands";

/// Ask for the form and submit it; the answer.
fn order(admin: &mut Client, node: &str, fields: &[(&str, &str)]) -> String {
    let node = format!("http://jabber.org/protocol/admin#{node}");
    let form = admin.iq("set", Some("localhost"), &format!("<command xmlns='{COMMANDS}' node='{node}' action='execute'/>"));
    let id = between(&form, "sessionid='", "'").unwrap_or_else(|| panic!("no session: {form}")).to_owned();
    let fields: String =
        fields.iter().map(|(var, value)| format!("<field var='{var}'><value>{value}</value></field>")).collect();
    let submit = format!("<x xmlns='jabber:x:data' type='submit'>{fields}</x>");
    admin.iq(
        "set",
        Some("localhost"),
        &format!("<command xmlns='{COMMANDS}' node='{node}' sessionid='{id}'>{submit}</command>"),
    )
}

#[test]
fn xep0133_an_added_user_logs_in_and_a_removed_one_does_not() {
    let data = Data::with_users(["admin"]);
    let server = data.start();
    let mut admin = Client::online(server.plain, "admin", "desk");
    let fields = [("accountjid", "juliet@localhost"), ("password", PASSWORD), ("password-verify", PASSWORD)];
    let answer = order(&mut admin, "add-user", &fields);
    assert!(answer.contains("status='completed'"), "{answer}");
    let mut juliet = Client::online(server.plain, "juliet", "balcony");
    let answer = order(&mut admin, "announce", &[("announcement", "the house burns")]);
    assert!(answer.contains("status='completed'"), "{answer}");
    juliet.expect("the house burns");
    let answer = order(&mut admin, "user-stats", &[("accountjid", "juliet@localhost")]);
    assert!(answer.contains("<value>127.0.0.1</value>") && answer.contains("<value>balcony</value>"), "{answer}");
    // D11, at the front door.
    let answer = juliet.iq(
        "set",
        Some("localhost"),
        &format!("<command xmlns='{COMMANDS}' node='http://jabber.org/protocol/admin#shutdown'/>"),
    );
    assert!(answer.contains("<forbidden"), "{answer}");
    let answer = order(&mut admin, "delete-user", &[("accountjids", "juliet@localhost")]);
    assert!(answer.contains("status='completed'"), "{answer}");
    juliet.expect("the account was removed");
    assert!(Client::try_bound(server.plain, "juliet", "balcony").is_err());
}

#[test]
fn xep0377_what_is_reported_the_operator_reads() {
    let data = Data::with_users(["admin", "juliet"]);
    let server = data.start();
    let mut juliet = Client::online(server.plain, "juliet", "balcony");
    let report =
        "<report xmlns='urn:xmpp:reporting:1' reason='urn:xmpp:reporting:spam'><text>Never came trouble</text></report>";
    let answer = juliet.iq(
        "set",
        None,
        &format!("<block xmlns='urn:xmpp:blocking'><item jid='romeo@example.net'>{report}</item></block>"),
    );
    assert!(answer.contains("type='result'"), "{answer}");
    let shown = |data: &Data| data.iris(&["reports"]);
    assert!(shown(&data).contains("romeo@example.net is reported by juliet@localhost: spam"), "{}", shown(&data));
    // And also of a server that does not run.
    let mut server = server;
    server.terminate(PATIENCE);
    assert!(shown(&data).contains("Never came trouble"));
}

#[test]
fn xep0133_the_house_closes_by_order() {
    let data = Data::with_users(["admin"]);
    let mut server = data.start();
    let mut admin = Client::online(server.plain, "admin", "desk");
    let answer = order(&mut admin, "shutdown", &[("delay", "0")]);
    assert!(answer.contains("status='completed'"), "{answer}");
    admin.expect("system-shutdown");
    assert!(server.wait(PATIENCE).success());
}

#[test]
fn xep0133_and_begins_anew_by_order() {
    let data = Data::with_users(["admin"]);
    let mut server = data.start();
    let mut admin = Client::online(server.plain, "admin", "desk");
    let answer = order(&mut admin, "restart", &[("delay", "0")]);
    assert!(answer.contains("status='completed'"), "{answer}");
    admin.expect("system-shutdown");
    // The control socket is closed before the last word is said.
    let _ = admin.read_to_end(PATIENCE);
    // The same process is another program run: it answers again, and the account is there.
    let end = Instant::now() + PATIENCE;
    let users = loop {
        if let Ok(Some(control)) = Control::connect(&data.path().join("control.sock"))
            && let Ok(users) = control.user_list(None)
        {
            break users;
        }
        assert!(Instant::now() < end && server.ended().is_none(), "it does not come back: {}", data.logged());
        std::thread::sleep(Duration::from_millis(20));
    };
    assert_eq!(users.len(), 1);
    assert!(server.ended().is_none());
}
