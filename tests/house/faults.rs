//! R4, R5, R6, R8, R14, R16, R21: full and failing disks, a locked database, slow clients, no descriptors left, signals.

use std::fs;
use std::io::ErrorKind;
use std::path::Path;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use crate::archive;
use crate::client::{Client, DOMAIN, PASSWORD, PATIENCE, attribute, trusting};
use crate::server::{Data, Server, With};

/// How long a stanza that has nothing to do with the disk may take, whatever the disk does.
const PROMPT: Duration = Duration::from_secs(1);

fn message(to: &str, body: &str) -> String {
    format!("<message to='{to}@{DOMAIN}' type='chat' id='{body}'><body>{body}</body></message>")
}

/// A client whose messages are followed by `<r/>`: what the server says of them.
struct Sender {
    client: Client,
    sent: u32,
}

#[derive(Debug, PartialEq, Eq)]
enum Fate {
    Acknowledged,
    /// The whole error came before the stanza was counted.
    Refused(String),
}

impl Sender {
    fn new(server: &Server, user: &str) -> Sender {
        let mut client = Client::bound(server.plain, user, "sender");
        client.enable_sm().expect("XEP-0198");
        Sender { client, sent: 0 }
    }

    fn send(&mut self, to: &str, body: &str) -> Fate {
        self.sent += 1;
        self.client.send(&(message(to, body) + "<r xmlns='urn:xmpp:sm:3'/>"));
        let mut error = None;
        loop {
            let element = self.client.read_stanza();
            if element.starts_with("<a ") {
                let h = attribute(&element, "h").and_then(|h| h.parse::<u32>().ok());
                assert_eq!(h, Some(self.sent), "an answer to <r/> that comes too early, or counts wrong");
                return error.map_or(Fate::Acknowledged, Fate::Refused);
            }
            if element.contains("type='error'") {
                assert_eq!(attribute(&element, "id"), Some(body), "{element}");
                error = Some(element);
            }
        }
    }
}

fn assert_is_temporary(error: &str) {
    assert!(error.contains("type='wait'"), "RFC 6120 8.3.2: retry after waiting: {error}");
    let known = ["<resource-constraint", "<internal-server-error"];
    assert!(known.iter().any(|condition| error.contains(condition)), "{error}");
}

/// Bodies of an archive, oldest first.
fn bodies(server: &Server, user: &str) -> Vec<String> {
    let mut client = Client::bound(server.plain, user, "reader");
    archive::read(&mut client).expect("an archive").into_iter().map(|entry| entry.body).collect()
}

/// Commits fail for a while: nothing is acknowledged that is not kept, others are served, and it heals by itself.
fn a_disk_that_fails(action: &str) {
    let data = Data::with_users(["romeo", "juliet", "nurse"]);
    // Keys that get more rounds at the first login are written now, and not when the disk fails.
    let mut before = data.start();
    for user in ["romeo", "juliet", "nurse"] {
        Client::bound(before.plain, user, "first").close();
    }
    before.terminate(Duration::from_secs(5));
    let failing = 4;
    let server = data
        .start_with(&With { failpoint: Some(format!("commit.before:after=1:times={failing}:{action}")), ..With::default() });
    let mut juliet = Client::online(server.plain, "juliet", "balcony");
    let mut nurse = Client::online(server.plain, "nurse", "hall");
    let mut romeo = Sender::new(&server, "romeo");
    let (mut kept, mut refused) = (Vec::new(), 0);
    for number in 0..12 {
        let body = format!("m{number}");
        match romeo.send("juliet", &body) {
            Fate::Acknowledged => kept.push(body),
            Fate::Refused(error) => {
                assert_is_temporary(&error);
                refused += 1;
            }
        }
        let took = nurse.ping(PROMPT).expect("others are served");
        assert!(took < PROMPT, "{took:?}");
        nurse.send(&format!("<presence><status>{number}</status></presence>"));
        nurse.expect_within(&format!("<status>{number}</status>"), PROMPT);
    }
    assert!(refused > 0 && refused <= failing, "{refused} messages were refused by {failing} failing commits");
    assert!(kept.contains(&"m11".to_owned()), "it has healed: {kept:?}");
    for body in &kept {
        let heard = juliet.expect("<body>");
        assert!(heard.contains(&format!("<body>{body}</body>")), "only what was kept is shown, in order: {heard}");
    }
    // What was refused on its recipient's side only was sent all the same, as with an error from another server.
    let mine = bodies(&server, "romeo");
    assert!(kept.iter().all(|body| mine.contains(body)), "{kept:?} were acknowledged, there are {mine:?}");
    assert!(mine.is_sorted_by_key(|body| body[1..].parse::<u32>().ok()), "{mine:?}");
    assert_eq!(bodies(&server, "juliet"), kept);
    server.kill();
    let server = data.start();
    assert_eq!((bodies(&server, "romeo"), bodies(&server, "juliet")), (mine, kept));
}

#[test]
fn r4_a_full_disk_refuses_with_wait_and_heals() {
    a_disk_that_fails("error-full");
}

#[test]
fn r5_a_failed_fsync_is_never_acknowledged_and_heals() {
    a_disk_that_fails("error-io");
}

#[test]
fn r6_a_locked_database_holds_up_nobody_who_does_not_write() {
    let data = Data::with_users(["romeo", "juliet", "nurse"]);
    let server = data.start();
    let mut nurse = Client::online(server.plain, "nurse", "hall");
    let mut romeo = Sender::new(&server, "romeo");
    assert_eq!(romeo.send("juliet", "before"), Fate::Acknowledged);

    let other = rusqlite::Connection::open(data.database()).expect("the database");
    other.busy_timeout(Duration::from_secs(10)).expect("a timeout");
    other.execute_batch("BEGIN EXCLUSIVE").expect("a lock");
    let fate = std::thread::scope(|scope| {
        let sending = scope.spawn(|| romeo.send("juliet", "meanwhile"));
        let began = Instant::now();
        while began.elapsed() < Duration::from_secs(4) {
            let took = nurse.ping(PROMPT).expect("others are served");
            assert!(took < PROMPT, "{took:?}");
            std::thread::sleep(Duration::from_millis(50));
        }
        // A new login only reads. (Not juliet's: she has a message waiting, and forgetting it once she has it is a write.)
        assert!(Client::online(server.plain, "nurse", "garden").ping(PROMPT).is_ok());
        other.execute_batch("ROLLBACK").expect("the lock is given back");
        sending.join().expect("an answer")
    });
    let mut kept = vec!["before".to_owned()];
    match fate {
        Fate::Acknowledged => kept.push("meanwhile".into()),
        Fate::Refused(error) => assert_is_temporary(&error),
    }
    assert_eq!(romeo.send("juliet", "after"), Fate::Acknowledged);
    kept.push("after".into());
    assert_eq!((bodies(&server, "romeo"), bodies(&server, "juliet")), (kept.clone(), kept));
}

#[test]
fn r16_sigterm_under_load_says_goodbye_and_loses_nothing() {
    let names: Vec<String> = (0..20).map(|n| format!("u{n}")).collect();
    let data = Data::with_users(names.iter().map(String::as_str));
    let mut server = data.start();
    let address = server.plain;
    let all_in = std::sync::Arc::new(std::sync::Barrier::new(names.len() + 1));
    let threads: Vec<_> = names
        .iter()
        .cloned()
        .enumerate()
        .map(|(me, name)| {
            let (to, all_in) = (names[(me + 1) % names.len()].clone(), all_in.clone());
            std::thread::spawn(move || {
                let client = Client::bound(address, &name, "desk");
                all_in.wait();
                talk_until_it_ends(client, &name, &to)
            })
        })
        .collect();
    all_in.wait();
    std::thread::sleep(Duration::from_millis(1_500));
    let (status, took) = server.terminate(Duration::from_secs(5));
    let acked: Vec<(Vec<String>, String)> = threads.into_iter().map(|thread| thread.join().expect("a clean end")).collect();
    assert_eq!(status.code(), Some(0), "{}", data.logged());
    assert!(took < Duration::from_secs(2), "{took:?}");
    let server = data.start();
    let mut count = 0;
    for (me, (bodies_acked, last)) in acked.iter().enumerate() {
        assert!(last.contains("<system-shutdown"), "u{me}: {last}");
        for user in [&names[me], &names[(me + 1) % names.len()]] {
            let kept = bodies(&server, user);
            for body in bodies_acked {
                assert_eq!(kept.iter().filter(|it| *it == body).count(), 1, "{body} in the archive of {user}");
            }
        }
        count += bodies_acked.len();
    }
    assert!(count > 100, "it was no load: {count} messages");
}

/// Sends as fast as it is acknowledged; what was acknowledged, and the stream error in the end.
fn talk_until_it_ends(mut client: Client, name: &str, to: &str) -> (Vec<String>, String) {
    client.enable_sm().expect("XEP-0198");
    let (mut sent, mut acked, mut error) = (Vec::new(), 0usize, String::new());
    loop {
        while error.is_empty() && sent.len() < acked + 5 {
            let body = format!("{name}-{}", sent.len());
            if client.try_send(&(message(to, &body) + "<r xmlns='urn:xmpp:sm:3'/>")).is_err() {
                break;
            }
            sent.push(body);
        }
        match client.read(Duration::from_secs(10)) {
            Ok(element) if element.starts_with("<a ") => {
                acked = attribute(&element, "h").and_then(|h| h.parse().ok()).expect("an h");
            }
            Ok(element) if element.starts_with("<stream:error") => error = element,
            Ok(_) => {}
            Err(why) if why.kind() == ErrorKind::UnexpectedEof => break,
            Err(why) => panic!("{name}: {why}"),
        }
    }
    sent.truncate(acked);
    (sent, error)
}

#[test]
fn r8_a_client_that_does_not_read_disturbs_nobody_and_costs_little() {
    let names: Vec<String> = (0..20).map(|n| format!("u{n}")).collect();
    let data = Data::with_users(names.iter().map(String::as_str).chain(["sloth", "romeo"]));
    let config = "[limits]\noutput_bytes_max = \"1MiB\"\n".to_owned();
    let server = data.start_with(&With { config: Some(config), ..With::default() });
    let mut sloth = Client::bound(server.plain, "sloth", "tree");
    sloth.send("<presence/>");
    let mut others: Vec<Client> = names.iter().map(|name| Client::online(server.plain, name, "desk")).collect();
    let mut romeo = Client::bound(server.plain, "romeo", "orchard");
    romeo.enable_sm().expect("XEP-0198");
    let before = server.memory_kib();
    // More than all buffers of the system and the server together.
    let (count, filling) = (2_000, "x".repeat(8_000));
    let done = AtomicBool::new(false);
    let slowest = std::thread::scope(|scope| {
        let watching = scope.spawn(|| {
            let mut slowest = Duration::ZERO;
            while !done.load(Ordering::SeqCst) {
                for other in &mut others {
                    slowest = slowest.max(other.ping(Duration::from_secs(10)).expect("others are served"));
                }
            }
            slowest
        });
        let sending = scope.spawn(|| {
            let mut acked = 0;
            for number in 0..count {
                romeo.send(&format!(
                    "<message to='sloth@{DOMAIN}' type='chat' id='s{number}'><body>{filling}</body></message>\
                     <r xmlns='urn:xmpp:sm:3'/>"
                ));
                while acked + 100 < number {
                    acked = acknowledged(&mut romeo);
                }
            }
            while acked < count {
                acked = acknowledged(&mut romeo);
            }
        });
        let sent = sending.join();
        done.store(true, Ordering::SeqCst);
        sent.expect("all is acknowledged");
        watching.join().expect("others are served")
    });
    let grown = server.memory_kib().saturating_sub(before);
    println!("slowest of the others {slowest:?}, memory grew by {grown} KiB");
    assert!(slowest < PROMPT, "{slowest:?}");
    assert!(grown < 64 * 1024, "{grown} KiB more");
    assert_eq!(bodies(&server, "sloth").len(), count, "nothing is lost: the archive has it all");
}

/// The next `h`; what is no `<a/>` is skipped.
fn acknowledged(client: &mut Client) -> usize {
    let answer = client.expect("<a ");
    attribute(&answer, "h").and_then(|h| h.parse().ok()).expect("an h")
}

#[test]
fn r21_without_descriptors_sessions_go_on_and_new_ones_wait() {
    let data = Data::with_users(["romeo", "juliet"]);
    let server = data.start_with(&With { descriptors: Some(64), ..With::default() });
    let mut romeo = Client::online(server.plain, "romeo", "orchard");
    let crowd: Vec<Client> = (0..80).map(|_| Client::connect(server.plain).expect("the system accepts")).collect();
    std::thread::sleep(Duration::from_millis(300));
    // It came last, and is not served yet: there is no descriptor for it.
    let mut late = Client::connect(server.plain).expect("the system accepts");
    late.send(
        "<stream:stream to='localhost' version='1.0' xmlns='jabber:client' xmlns:stream='http://etherx.jabber.org/streams'>",
    );
    assert_eq!(late.read(Duration::from_millis(500)).map_err(|error| error.kind()), Err(ErrorKind::TimedOut));
    let took = romeo.ping(PROMPT).expect("sessions go on");
    assert!(took < PROMPT, "{took:?}");
    drop(crowd);
    late.expect_within("<stream:features", Duration::from_secs(5));
    assert!(Client::online(server.plain, "juliet", "balcony").ping(PROMPT).is_ok());
    assert!(romeo.ping(PROMPT).is_ok());
}

#[test]
fn first_start_is_quick_and_tells_a_password_once() {
    let data = Data::new();
    let mut server = data.start();
    // Of work, whoever else works on this machine. The goal is for the program as it is delivered; this one is not optimised.
    let most = Duration::from_millis(if cfg!(debug_assertions) { 2_500 } else { 500 });
    assert!(server.worked() < most, "{:?}, ready after {:?}", server.worked(), server.ready_after());
    let password =
        server.said.lines().find_map(|line| line.trim().strip_prefix("Password")).expect("a password").trim().to_owned();
    let mut admin = Client::connect(server.plain).expect("a connection");
    admin.login("admin", &password).expect("the password that was told");
    admin.close();
    let health = server.get("/healthz").expect("an answer");
    assert!(health.starts_with("HTTP/1.1 200"), "{health}");
    let (status, _) = server.terminate(Duration::from_secs(5));
    assert_eq!(status.code(), Some(0));
    let server = data.start();
    assert!(!server.said.contains("Password") && !server.said.contains(&password), "{}", server.said);
    assert!(!data.logged().contains(&password), "a password is no matter for a log");
    let mut admin = Client::connect(server.plain).expect("a connection");
    admin.login("admin", &password).expect("the password lives");
}

#[test]
fn r14_sighup_shows_a_new_certificate_and_keeps_the_old_one_when_it_is_broken() {
    let data = Data::with_users(["romeo", "juliet"]);
    let folders = ["used", "next"].map(|name| data.folder().join(name));
    let [used, next] = &folders;
    for folder in &folders {
        iris_net::certs::dev::create(folder, &[DOMAIN]).expect("certificates");
    }
    let config = format!("[tls]\ncertificates = \"{}\"\n", used.display());
    let server = data.start_with(&With { config: Some(config), ..With::default() });
    let (old, new) = (trusting(&used.join("ca.crt")), trusting(&next.join("ca.crt")));
    let mut romeo = Client::direct_tls(server.direct_tls, old.clone()).expect("the first certificate");
    romeo.login("romeo", PASSWORD).expect("login");
    romeo.bind("orchard").expect("bind");

    let copy = |from: &Path, name: &str| fs::copy(from.join(name), used.join(name)).expect("a copy");
    copy(next, "localhost.crt");
    copy(next, "localhost.key");
    server.signal("HUP");
    until("the new certificate is shown", || Client::direct_tls(server.direct_tls, new.clone()).is_ok());
    assert!(Client::direct_tls(server.direct_tls, old).is_err(), "the old one is gone");
    assert!(Client::starttls(server.starttls, new.clone()).is_ok(), "on all listeners");
    assert!(romeo.ping(PATIENCE).is_ok(), "the session has not noticed");

    fs::write(used.join("localhost.crt"), "-----BEGIN CERTIFICATE-----\nnonsense\n").expect("a broken file");
    server.signal("HUP");
    until("the reload is refused", || data.logged().contains("not reloaded"));
    let mut juliet = Client::direct_tls(server.direct_tls, new).expect("the certificate before is kept");
    juliet.login("juliet", PASSWORD).expect("login");
    assert!(romeo.ping(PATIENCE).is_ok(), "the session has not noticed");
}

#[test]
fn r15_sighup_reads_limits_anew_and_a_broken_configuration_changes_nothing() {
    let data = Data::with_users(["romeo"]);
    let with_limit = |bytes: u32| format!("[limits]\npre_auth_stanza_size_bytes_max = {bytes}\n");
    let config = Some(with_limit(9_000));
    let server = data.start_with(&With { config, ..With::default() });
    let mut romeo = Client::online(server.plain, "romeo", "orchard");
    let advertised = |bytes: u32| {
        let mut client = Client::connect(server.plain).expect("a connection");
        client.open().contains(&format!("<max-bytes>{bytes}</max-bytes>"))
    };
    assert!(advertised(9_000));
    fs::write(data.config(), with_limit(10_000)).expect("the configuration");
    server.signal("HUP");
    until("the new limit is advertised", || advertised(10_000));
    fs::write(data.config(), "[limits]\npre_auth_stanza_size_bytes_max = \"many\"\n").expect("the configuration");
    server.signal("HUP");
    until("the reload is refused", || data.logged().contains("not reloaded"));
    assert!(advertised(10_000));
    assert!(romeo.ping(PATIENCE).is_ok(), "the session has not noticed");
}

/// What the log says is so: it takes effect at the next start, and not by half before.
#[test]
fn r15_sighup_leaves_the_domains_of_the_start() {
    let data = Data::with_users(["romeo", "juliet"]);
    let server = data.start_with(&With { config: Some("dev = true\n".into()), ..With::default() });
    let mut romeo = Client::online(server.plain, "romeo", "orchard");
    fs::write(data.config(), "dev = true\ndomains = [\"other.example\"]\n").expect("the configuration");
    server.signal("HUP");
    until("it is said", || data.logged().contains("domains has changed in the configuration"));
    let info = "<query xmlns='http://jabber.org/protocol/disco#info'/>";
    for at in [DOMAIN.to_owned(), format!("conference.{DOMAIN}")] {
        let answer = romeo.iq("get", Some(&at), info);
        assert!(answer.contains("type='result'"), "{at}: {answer}");
    }
    let mut juliet = Client::online(server.plain, "juliet", "balcony");
    romeo.send("<message to='juliet@localhost' type='chat'><body>here still</body></message>");
    juliet.expect("here still");
    let log = data.logged();
    assert!(!log.contains("is there no more"), "{log}");
}

/// A room that is opened by a reload asks for names that nobody had asked for: all others keep theirs.
#[test]
fn r15_sighup_opens_a_room_changes_limits_and_says_what_is_gone() {
    let data = Data::with_users(["romeo"]);
    let server = data.start_with(&With { config: Some("[xep.pubsub]\nnodes_per_user_max = 1\n".into()), ..With::default() });
    let mut romeo = Client::online(server.plain, "romeo", "orchard");
    let create = |client: &mut Client, at: &str, node: &str| {
        let create = format!("<pubsub xmlns='http://jabber.org/protocol/pubsub'><create node='{node}'/></pubsub>");
        client.iq("set", Some(&format!("{at}.localhost")), &create)
    };
    assert!(create(&mut romeo, "pubsub", "a").contains("type='result'"));
    assert!(create(&mut romeo, "pubsub", "b").contains("you have 1 nodes"));
    let rooms = "[xep.pubsub]\nnodes_per_user_max = 2\n[xep.search]\nvisible_to = \"local\"\n[xep.registration]\nopen = true\n";
    fs::write(data.config(), rooms).expect("the configuration");
    server.signal("HUP");
    until("the limit is another", || create(&mut romeo, "pubsub", "b").contains("type='result'"));
    assert!(create(&mut romeo, "pubsub", "c").contains("you have 2 nodes"));
    let roster = romeo.iq("get", None, "<query xmlns='jabber:iq:roster'/>");
    assert!(roster.contains("type='result'"), "{roster}");
    let mut other = Client::online(server.plain, "romeo", "balcony");
    for client in [&mut romeo, &mut other] {
        assert!(client.ping(PATIENCE).is_ok());
        let info = client.iq("get", Some("localhost"), "<query xmlns='http://jabber.org/protocol/disco#info'/>");
        assert!(info.contains("jabber:iq:search"), "{info}");
    }
    // Also on the stream that began when nobody had asked for that name.
    for client in [&mut romeo, &mut other] {
        let fields = client.iq("get", Some("localhost"), "<query xmlns='jabber:iq:search'/>");
        assert!(fields.contains("<instructions>"), "{fields}");
    }
    fs::write(data.config(), "[xep.pubsub]\nservice = \"news\"\n").expect("the configuration");
    server.signal("HUP");
    until("the service has another name", || create(&mut romeo, "news", "a").contains("type='result'"));
    until("the old name is missed", || data.logged().contains("pubsub.localhost is there no more"));
}

fn until(what: &str, mut is_so: impl FnMut() -> bool) {
    let end = Instant::now() + PATIENCE;
    while !is_so() {
        assert!(Instant::now() < end, "never: {what}");
        std::thread::sleep(Duration::from_millis(20));
    }
}
