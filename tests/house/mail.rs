//! Conversations by e-mail over real sockets: a mail server stands here (`mail/sink.rs`), and what it has taken is taken apart.

use std::time::{Duration, Instant};

use crate::client::{Client, DOMAIN, PATIENCE, between};
use crate::server::{Data, Server, With};
use crate::web::http::Http;

mod sink;
use sink::{Mode, PASSWORD, Sink, USERNAME};

const NODE: &str = "urn:iris:mail#conversation";
const COMMANDS: &str = "http://jabber.org/protocol/commands";
/// Longer than the server waits for the mail server.
const LONG: Duration = Duration::from_secs(40);

fn configured(data: &Data, sink: &Sink, password: &str, more: &str) -> With {
    let folder = data.folder();
    std::fs::write(folder.join("mail-ca.pem"), &sink.authority).expect("a file");
    std::fs::write(folder.join("mail.password"), format!("{password}\n")).expect("a file");
    let config = format!(
        "[mail]\nserver = \"{}\"\nusername = \"{USERNAME}\"\npassword_file = \"mail.password\"\nauthorities = \"mail-ca.pem\"\n\
         from = \"Iris für alle <iris@{DOMAIN}>\"\n{more}\n[limits]\nstanza_rate_per_second_max = 0\n",
        sink.url
    );
    With { config: Some(config), ..With::default() }
}

fn house(sink: &Sink) -> (Data, Server) {
    let data = Data::with_users(["romeo", "juliet", "mallory"]);
    let server = data.start_with(&configured(&data, sink, PASSWORD, ""));
    (data, server)
}

fn submitted(fields: &[(&str, &str)]) -> String {
    let fields: String =
        fields.iter().map(|(var, value)| format!("<field var='{var}'><value>{value}</value></field>")).collect();
    format!("<x xmlns='jabber:x:data' type='submit'>{fields}</x>")
}

/// The whole command.
fn ask(client: &mut Client, me: &str, fields: &[(&str, &str)]) -> String {
    let me = format!("{me}@{DOMAIN}");
    let form = client.iq("set", Some(&me), &format!("<command xmlns='{COMMANDS}' node='{NODE}' action='execute'/>"));
    let session = between(&form, "sessionid='", "'").unwrap_or_else(|| panic!("no form: {form}")).to_owned();
    let inside = submitted(fields);
    let command =
        format!("<command xmlns='{COMMANDS}' node='{NODE}' sessionid='{session}' action='complete'>{inside}</command>");
    client.try_iq("set", Some(&me), &command, LONG).expect("an answer")
}

fn send(client: &mut Client, me: &str, with: &str, to: &str) -> String {
    ask(client, me, &[("with", &format!("{with}@{DOMAIN}")), ("address", to)])
}

fn say(from: &mut Client, to: &str, bodies: impl IntoIterator<Item = String>) {
    for (n, body) in bodies.into_iter().enumerate() {
        from.send(&format!("<message type='chat' to='{to}@{DOMAIN}' id='m{n}'><body>{body}</body></message>"));
    }
    // Answered behind them.
    from.iq("get", Some(DOMAIN), "<ping xmlns='urn:xmpp:ping'/>");
}

fn lines(text: &str) -> Vec<&str> {
    assert_eq!(text.matches('\n').count(), text.matches("\r\n").count(), "RFC 2046 4.1.1");
    text.split_once("at that time.\r\n\r\n").expect("a head").1.lines().collect()
}

#[test]
fn a_conversation_comes_as_a_file_in_a_mail_over_starttls_and_over_tls() {
    for mode in [Mode::StartTls, Mode::Implicit, Mode::OldLogin, Mode::Plain] {
        let sink = Sink::open(mode);
        let (data, server) = house(&sink);
        let mut romeo = Client::online(server.plain, "romeo", "orchard");
        let mut juliet = Client::online(server.plain, "juliet", "balcony");
        say(&mut romeo, "juliet", ["Grüße 🌹".to_owned(), ".\r\n.\r\nQUIT\r\n".to_owned(), "a secret of ours".to_owned()]);
        let answer = send(&mut juliet, "juliet", "romeo", &format!("juliet@{DOMAIN}"));
        assert!(answer.contains("status='completed'") && answer.contains("3 messages"), "{answer}\n{}", data.logged());
        let mail = sink.next();
        assert!(mail.encrypted != (mode == Mode::Plain) && mail.logged_in, "{mail:?}");
        assert_eq!((mail.from.as_str(), mail.to.as_slice()), ("iris@localhost", &["juliet@localhost".to_owned()][..]));
        for (name, value) in [
            ("From", "=?utf-8?b?SXJpcyBmw7xyIGFsbGU=?= <iris@localhost>"),
            ("To", "juliet@localhost"),
            ("Subject", "Conversation with romeo@localhost"),
            ("Auto-Submitted", "auto-generated"),
            ("MIME-Version", "1.0"),
        ] {
            assert_eq!(mail.header(name), [value], "{}", mail.head);
        }
        let id = mail.header("Message-ID").concat();
        assert!(id.len() > 30 && id.starts_with('<') && id.ends_with("@localhost>"), "{id}");
        assert!(mail.header("Date").len() == 1 && mail.header("Cc").is_empty() && mail.header("Bcc").is_empty());
        let text = mail.attachment();
        assert!(text.starts_with("Conversation of juliet@localhost with romeo@localhost\r\n"), "{text}");
        let lines = lines(&text);
        assert!(lines[0].ends_with("  <romeo@localhost> Grüße 🌹"), "{lines:?}");
        assert!(lines[1].ends_with("  <romeo@localhost> .") && lines[2..4] == ["    .", "    QUIT"], "{lines:?}");
        assert_eq!(lines.len(), 5);
        let log = data.logged();
        assert!(!log.contains(PASSWORD) && !log.contains("secret of ours") && !log.contains("Grüße"), "{log}");
        assert!(log.contains("the mail server has taken a mail"), "{log}");
    }
}

#[test]
fn a_room_of_five_thousand_messages() {
    const MESSAGES: usize = 5_000;
    let sink = Sink::open(Mode::StartTls);
    let (data, server) = house(&sink);
    let mut romeo = Client::online(server.plain, "romeo", "orchard");
    let room = format!("hall@conference.{DOMAIN}");
    romeo.send(&format!("<presence to='{room}/romeo'><x xmlns='http://jabber.org/protocol/muc'/></presence>"));
    romeo.expect("/romeo'");
    let config = submitted(&[("muc#roomconfig_persistentroom", "1"), ("muc#roomconfig_membersonly", "1")]);
    let owner = "http://jabber.org/protocol/muc#owner";
    assert!(romeo.iq("set", Some(&room), &format!("<query xmlns='{owner}'>{config}</query>")).contains("type='result'"));
    let member = format!("<item affiliation='member' jid='juliet@{DOMAIN}'/>");
    let member = format!("<query xmlns='http://jabber.org/protocol/muc#admin'>{member}</query>");
    assert!(romeo.iq("set", Some(&room), &member).contains("type='result'"));
    for n in 0..MESSAGES {
        romeo.send(&format!("<message type='groupchat' to='{room}' id='g{n}'><body>message number {n}</body></message>"));
        romeo.expect(&format!("id='g{n}'"));
    }
    let mut juliet = Client::online(server.plain, "juliet", "balcony");
    let answer = ask(&mut juliet, "juliet", &[("with", &room), ("address", &format!("juliet@{DOMAIN}"))]);
    assert!(answer.contains("5000 messages"), "{answer}\n{}", data.logged());
    let text = sink.next().attachment();
    let said: Vec<&str> = lines(&text).into_iter().filter_map(|line| line.split_once("<romeo> ")).map(|it| it.1).collect();
    assert_eq!(said, (0..MESSAGES).map(|n| format!("message number {n}")).collect::<Vec<_>>());
    // Whoever does not belong to it gets nothing.
    let mut mallory = Client::online(server.plain, "mallory", "x");
    let answer = ask(&mut mallory, "mallory", &[("with", &room), ("address", &format!("mallory@{DOMAIN}"))]);
    assert!(answer.contains("<not-acceptable "), "{answer}");
    sink.nothing();
}

#[test]
fn what_is_refused_is_told_and_nothing_is_sent() {
    let sink = Sink::open(Mode::StartTls);
    let (data, server) = house(&sink);
    let mut romeo = Client::online(server.plain, "romeo", "orchard");
    let mut juliet = Client::online(server.plain, "juliet", "balcony");
    say(&mut romeo, "juliet", ["hello".to_owned()]);
    for (to, condition, words) in [
        ("juliet@elsewhere.example", "not-acceptable", "an administrator of this server can allow others"),
        ("refused@localhost", "not-acceptable", "does not take mail for that address"),
        ("later@localhost", "remote-server-timeout", "does not take the mail"),
        ("large@localhost", "not-acceptable", "a first and a last day"),
    ] {
        let answer = send(&mut juliet, "juliet", "romeo", to);
        assert!(answer.contains(&format!("<{condition} ")) && answer.contains(words), "{to}: {answer}");
    }
    sink.nothing();
    let log = data.logged();
    assert!(log.contains("to the recipient it says 550 5.1.1 no such user here"), "{log}");
    let metrics = Http::connect(server.http).get("/metrics");
    let metrics = metrics.text();
    assert!(metrics.contains("iris_mails_total{result=\"recipient-refused\"} 1"), "{metrics}");
}

#[test]
fn a_wrong_password_is_told_to_the_user_the_log_and_the_doctor() {
    let sink = Sink::open(Mode::StartTls);
    let data = Data::with_users(["romeo", "juliet"]);
    let with = configured(&data, &sink, "not the password", "");
    let server = data.start_with(&with);
    let mut romeo = Client::online(server.plain, "romeo", "orchard");
    say(&mut romeo, "juliet", ["hello".to_owned()]);
    let answer = send(&mut romeo, "romeo", "juliet", "romeo@localhost");
    assert!(answer.contains("does not let this server in; tell your administrator"), "{answer}");
    let log = data.logged();
    assert!(log.contains("to the login it says 535") && !log.contains("not the password"), "{log}");
    let doctor = doctor(&data);
    assert!(doctor.contains("to the login it says 535") && doctor.contains("username and password_file"), "{doctor}");
    sink.nothing();
    // A new password takes effect with SIGHUP.
    std::fs::write(data.folder().join("mail.password"), PASSWORD).expect("a file");
    server.signal("HUP");
    let deadline = Instant::now() + LONG;
    while !send(&mut romeo, "romeo", "juliet", "romeo@localhost").contains("status='completed'") {
        assert!(Instant::now() < deadline, "{}", data.logged());
        std::thread::sleep(Duration::from_millis(50));
    }
    sink.next();
    assert!(self::doctor(&data).contains("lets this server in, as iris"), "{}", self::doctor(&data));
}

fn doctor(data: &Data) -> String {
    let output = std::process::Command::new(env!("CARGO_BIN_EXE_iris"))
        .args(["doctor", "--json", "--no-dns", "--config"])
        .arg(data.config())
        .arg("--data-dir")
        .arg(data.path())
        .output()
        .expect("iris runs");
    String::from_utf8_lossy(&output.stdout).into_owned()
}

#[test]
fn rfc3207_6_without_starttls_or_with_something_behind_it_no_password_is_said() {
    for (mode, why) in [
        (Mode::Stripped, "it does not offer STARTTLS"),
        (Mode::Injecting, "something was said in clear behind its answer to STARTTLS"),
        (Mode::AnotherCertificate, "TLS fails"),
    ] {
        let sink = Sink::open(mode);
        let (data, server) = house(&sink);
        let mut romeo = Client::online(server.plain, "romeo", "orchard");
        say(&mut romeo, "juliet", ["hello".to_owned()]);
        let answer = send(&mut romeo, "romeo", "juliet", "romeo@localhost");
        assert!(answer.contains("<remote-server-timeout ") && answer.contains("cannot be reached"), "{answer}");
        assert!(data.logged().contains(why), "{}", data.logged());
        sink.nothing();
        assert!(!sink.heard().iter().any(|line| line.starts_with("AUTH") || line.starts_with("MAIL")), "{:?}", sink.heard());
    }
}

#[test]
fn a_server_that_is_down_or_hangs_is_given_up_and_the_house_lives_on() {
    let sink = Sink::open(Mode::Hangs);
    let (data, mut server) = house(&sink);
    let mut romeo = Client::online(server.plain, "romeo", "orchard");
    let mut juliet = Client::online(server.plain, "juliet", "balcony");
    say(&mut romeo, "juliet", ["hello".to_owned()]);
    let answer = send(&mut juliet, "juliet", "romeo", "juliet@localhost");
    assert!(answer.contains("<remote-server-timeout ") && answer.contains("look whether it comes"), "{answer}");
    assert!(data.logged().contains("it did not answer within 25 s to the end of the mail"), "{}", data.logged());
    // Whoever asks and goes harms nobody.
    let form = format!("<command xmlns='{COMMANDS}' node='{NODE}' action='execute'/>");
    let form = juliet.iq("set", Some("juliet@localhost"), &form);
    let session = between(&form, "sessionid='", "'").expect("a form").to_owned();
    let inside = submitted(&[("with", "romeo@localhost"), ("address", "juliet@localhost")]);
    juliet.send(&format!(
        "<iq type='set' id='gone' to='juliet@localhost'><command xmlns='{COMMANDS}' node='{NODE}' sessionid='{session}' \
         action='complete'>{inside}</command></iq>"
    ));
    sink.heard_of("DATA", 2);
    juliet.close();
    say(&mut romeo, "juliet", ["still here".to_owned()]);
    // The house closes in its time, whatever hangs.
    let (status, _) = server.terminate(Duration::from_secs(10));
    assert!(status.success(), "{}", data.logged());
    // Nobody listens there any more.
    let with = configured(&data, &Sink::closed(), PASSWORD, "");
    let server = data.start_with(&with);
    let mut juliet = Client::online(server.plain, "juliet", "balcony");
    let answer = send(&mut juliet, "juliet", "romeo", "juliet@localhost");
    assert!(answer.contains("the mail server cannot be reached"), "{answer}");
    assert!(data.logged().contains("it cannot be reached: Connection refused"), "{}", data.logged());
    assert!(doctor(&data).contains("it cannot be reached"), "{}", doctor(&data));
}

#[test]
fn without_a_mail_server_nothing_is_offered_and_mistakes_are_named() {
    let data = Data::with_users(["romeo"]);
    let server = data.start_with(&With { config: Some(String::new()), ..With::default() });
    let mut romeo = Client::bound(server.plain, "romeo", "orchard");
    let items = format!("<query xmlns='http://jabber.org/protocol/disco#items' node='{COMMANDS}'/>");
    assert!(!romeo.iq("get", Some("romeo@localhost"), &items).contains(NODE));
    // It comes and goes with SIGHUP.
    let sink = Sink::open(Mode::StartTls);
    say(&mut romeo, "romeo", ["a note".to_owned()]);
    let with = configured(&data, &sink, PASSWORD, "");
    for (config, is_offered) in [(with.config.unwrap_or_default(), true), (String::new(), false)] {
        std::fs::write(data.config(), config).expect("iris.toml");
        server.signal("HUP");
        let deadline = Instant::now() + PATIENCE;
        while romeo.iq("get", Some("romeo@localhost"), &items).contains(NODE) != is_offered {
            assert!(Instant::now() < deadline, "{}", data.logged());
            std::thread::sleep(Duration::from_millis(20));
        }
        if is_offered {
            assert!(send(&mut romeo, "romeo", "romeo", "romeo@localhost").contains("status='completed'"), "{}", data.logged());
            sink.next();
        }
    }
    drop(server);
    let sink = Sink::closed();
    let mut with = configured(&data, &sink, "", "");
    let refused = |with: &With| {
        let why = data.try_start(with).err().expect("a mistake") + &data.logged();
        why.split_whitespace().collect::<Vec<_>>().join(" ")
    };
    let why = refused(&with);
    assert!(why.contains("mail.password_file") && why.contains("no password in one line"), "{why}");
    with.config = Some("[mail]\nserver = \"smtp-plain://mail.example.org\"\nfrom = \"x\"\n".to_owned());
    let why = refused(&with);
    assert!(why.contains("iris.toml:2:") && why.contains("iris.toml:3:") && why.contains("only to this machine"), "{why}");
    with.config = Some("[mail]\nusername = \"iris\"\nrecipients = []\n".to_owned());
    let why = refused(&with);
    assert!(why.contains("[mail] has no server") && why.contains("there is no password_file beside it"), "{why}");
}
