//! Invitations over real sockets, from `iris invite` to two people who see each other; and item D10 of the security checklist.

use std::io::{Read, Write};
use std::time::Duration;

use crate::client::{Client, PASSWORD, PATIENCE, attribute, between, trusting};
use crate::scene::{Scene, arrive};
use crate::server::{Data, Server, With};

/// What `iris invite` prints.
struct Link {
    path: String,
    token: String,
    uri: String,
    id: String,
    said: String,
}

fn invite(data: &Data, arguments: &[&str]) -> Link {
    let said = data.iris(&[&["invite"], arguments].concat());
    let token = between(&said, "/invite/", "\n").unwrap_or_else(|| panic!("no link: {said}")).to_owned();
    let path = format!("/invite/{token}");
    let uri = said.lines().find(|line| line.starts_with("xmpp:")).unwrap_or_default().to_owned();
    let id = said.trim_end().rsplit(' ').next().expect("an id").to_owned();
    Link { path, token, uri, id, said }
}

/// The whole answer.
fn ask(server: &Server, request: &str) -> String {
    let mut socket = std::net::TcpStream::connect_timeout(&server.http, PATIENCE).expect("a connection");
    socket.set_read_timeout(Some(PATIENCE)).expect("a timeout");
    socket.write_all(request.as_bytes()).expect("the server reads");
    let mut answer = Vec::new();
    let _ = socket.read_to_end(&mut answer);
    String::from_utf8_lossy(&answer).into_owned()
}

fn get(server: &Server, path: &str) -> String {
    ask(server, &format!("GET {path} HTTP/1.1\r\nHost: localhost:5443\r\nAccept: text/html\r\nConnection: close\r\n\r\n"))
}

fn post(server: &Server, path: &str, headers: &str, form: &str) -> String {
    let length = form.len();
    ask(
        server,
        &format!(
            "POST {path} HTTP/1.1\r\nHost: localhost:5443\r\nContent-Type: application/x-www-form-urlencoded\r\n\
             Content-Length: {length}\r\n{headers}Connection: close\r\n\r\n{form}"
        ),
    )
}

fn form(username: &str) -> String {
    format!("username={username}&password=a+new+password&again=a+new+password")
}

fn status(answer: &str) -> &str {
    answer.split(' ').nth(1).unwrap_or_else(|| panic!("no answer: {answer}"))
}

/// A connection that has opened a stream on which an account may be made.
fn stranger(server: &Server) -> Client {
    let mut client = Client::connect(server.plain).expect("a connection");
    client.open();
    client
}

fn preauth(client: &mut Client, token: &str) -> String {
    client.iq("set", Some("localhost"), &format!("<preauth xmlns='urn:xmpp:pars:0' token='{token}'/>"))
}

fn register(client: &mut Client, username: &str) -> String {
    let fields = format!("<username>{username}</username><password>{PASSWORD}</password>");
    client.iq("set", Some("localhost"), &format!("<query xmlns='jabber:iq:register'>{fields}</query>"))
}

fn registers_with(client: &mut Client, token: &str, username: &str) -> bool {
    preauth(client, token).contains("type='result'") && register(client, username).contains("type='result'")
}

fn roster(client: &mut Client) -> String {
    client.iq("get", None, "<query xmlns='jabber:iq:roster'/>")
}

fn exists(data: &Data, jid: &str) -> bool {
    data.iris(&["user", "list"]).contains(jid)
}

#[test]
fn the_whole_way_from_a_link_to_two_contacts() {
    let mut scene = Scene::new();
    roster(&mut scene.alice);
    let link = invite(&scene.data, &["--contact", "alice@localhost", "--expires", "2d"]);
    assert_eq!(link.uri, format!("xmpp:localhost?register;preauth={}", link.token));
    assert!(link.said.contains('█'), "a QR code: {}", link.said);

    let page = get(&scene.server, &link.path);
    assert_eq!(status(&page), "200", "{page}");
    for word in ["alice@localhost", "Gajim", "Conversations", "Monal", &format!("href=\"{}\"", link.uri), "<svg class=\"qr\""] {
        assert!(page.contains(word), "{word}: {page}");
    }

    let mut juliet = stranger(&scene.server);
    for feature in ["http://jabber.org/features/iq-register", "urn:xmpp:ibr-token:0", "urn:xmpp:invite"] {
        assert!(juliet.features.contains(feature), "{}", juliet.features);
    }
    assert!(preauth(&mut juliet, &link.token).contains("type='result'"));
    let fields = juliet.iq("get", None, "<query xmlns='jabber:iq:register'/>");
    assert!(fields.contains("<username/>") && fields.contains("<password/>"), "{fields}");
    assert!(register(&mut juliet, "Juliet").contains("type='result'"));
    // The inviter hears of it at once (XEP-0401 4.5).
    let push = scene.alice.expect("juliet@localhost");
    assert!(push.contains("subscription='both'"), "{push}");
    // And the new account logs in on the very stream on which it was made.
    assert!(juliet.sasl_plain("juliet", PASSWORD).expect("an answer").starts_with("<success"));
    juliet.open();
    juliet.bind("balcony").expect("a resource");
    let contacts = roster(&mut juliet);
    assert!(contacts.contains("alice@localhost") && contacts.contains("subscription='both'"), "{contacts}");
    juliet.send("<presence/>");
    juliet.expect("from='alice@localhost/desk'");
    scene.alice.expect("from='juliet@localhost/balcony'");

    // The link is dead, in every way.
    assert_eq!(status(&get(&scene.server, &format!("{}/qr.png", link.path))), "410");
    assert_eq!(status(&get(&scene.server, &link.path)), "410");
    assert_eq!(status(&post(&scene.server, &link.path, "", &form("rosaline"))), "410");
    assert!(preauth(&mut stranger(&scene.server), &link.token).contains("item-not-found"));
    let list = scene.data.iris(&["invite", "list"]);
    assert!(list.contains(&link.id) && list.contains("used by juliet@localhost"), "{list}");
    assert!(!scene.data.logged().contains(&link.token), "a token is in the log");
    scene.canary();
}

#[test]
fn the_page_makes_the_account() {
    let mut scene = Scene::new();
    let link = invite(&scene.data, &["--user", "juliet", "--contact", "bob@localhost"]);
    assert!(link.uri.starts_with("xmpp:juliet@localhost?register;preauth="), "{}", link.uri);
    let page = get(&scene.server, &link.path);
    assert!(page.contains("value=\"juliet\" readonly"), "{page}");
    let refused = post(&scene.server, &link.path, "", "username=juliet&password=a+new+password&again=another+password");
    assert_eq!(status(&refused), "422", "{refused}");
    assert!(refused.contains("not the same") && !refused.contains("another password"), "{refused}");
    let short = post(&scene.server, &link.path, "", "username=juliet&password=short&again=short");
    assert_eq!(status(&short), "422", "{short}");
    let made = post(&scene.server, &link.path, "", &form("juliet"));
    assert_eq!(status(&made), "201", "{made}");
    assert!(made.contains("juliet@localhost") && made.contains("bob@localhost") && !made.contains("a new password"), "{made}");
    let mut juliet = Client::connect(scene.server.plain).expect("a connection");
    juliet.login("juliet", "a new password").expect("a login");
    juliet.bind("balcony").expect("a resource");
    assert!(roster(&mut juliet).contains("bob@localhost"));
    assert!(roster(&mut scene.bob).contains("juliet@localhost"));
    scene.canary();
}

#[test]
fn the_page_is_careful_with_its_address() {
    let scene = Scene::new();
    let link = invite(&scene.data, &[]);
    let page = get(&scene.server, &link.path).to_lowercase();
    let head = page.split("\r\n\r\n").next().expect("a head");
    for header in [
        "cache-control: no-store",
        "referrer-policy: no-referrer",
        "x-content-type-options: nosniff",
        "x-robots-tag: noindex, nofollow",
        "content-security-policy: default-src 'none'",
    ] {
        assert!(head.contains(header), "{header}: {head}");
    }
    assert!(!head.contains("set-cookie") && !head.contains("script-src"), "{head}");
    assert!(!page.contains("<script") && !page.contains(" style="), "{page}");
    for wrong in ["/invite/aaaaaaaaaaaaaaaaaaaaaaaaaa", "/invite/x", "/invite/%2e%2e%2fetc", "/invite/"] {
        let answer = get(&scene.server, wrong);
        assert_eq!(status(&answer), "404", "{wrong}: {answer}");
        assert!(!answer.contains("/home") && !answer.contains("src/"), "{answer}");
    }
    let start = get(&scene.server, "/");
    assert!(status(&start) == "200" && start.contains("by invitation"), "{start}");
}

#[test]
fn a_form_from_another_site_is_refused() {
    let scene = Scene::new();
    let link = invite(&scene.data, &[]);
    for headers in ["Sec-Fetch-Site: cross-site\r\n", "Sec-Fetch-Site: same-site\r\n", "Origin: https://evil.example\r\n"] {
        let answer = post(&scene.server, &link.path, headers, &form("juliet"));
        assert_eq!(status(&answer), "403", "{headers}: {answer}");
    }
    assert!(!exists(&scene.data, "juliet@localhost"));
    let too_large = post(&scene.server, &link.path, "", &format!("username={}", "a".repeat(64 * 1024)));
    assert_eq!(status(&too_large), "400", "{too_large}");
    assert_eq!(status(&post(&scene.server, &link.path, "", "username=juliet")), "400");
    let same = post(&scene.server, &link.path, "Sec-Fetch-Site: same-origin\r\nOrigin: null\r\n", &form("juliet"));
    assert_eq!(status(&same), "201", "{same}");
}

#[test]
fn an_invitation_is_made_listed_and_revoked_while_no_server_runs() {
    let data = Data::with_users(["romeo"]);
    let link = invite(&data, &["--contact", "romeo@localhost"]);
    let dead = invite(&data, &[]);
    assert!(data.iris(&["invite", "list"]).contains(&link.id));
    data.iris(&["invite", "revoke", &dead.id]);
    let server = data.start();
    assert_eq!(status(&get(&server, &dead.path)), "410");
    assert!(registers_with(&mut stranger(&server), &link.token, "juliet"));
    let mut romeo = Client::bound(server.plain, "romeo", "orchard");
    assert!(roster(&mut romeo).contains("juliet@localhost"));
}

#[test]
fn a_link_for_a_new_password_sets_it_once() {
    let mut scene = Scene::new();
    let link = invite(&scene.data, &["--user", "mallory", "--new-password"]);
    assert!(link.uri.is_empty(), "no app knows this");
    let page = get(&scene.server, &link.path);
    assert!(status(&page) == "200" && page.contains("mallory@localhost") && !page.contains("name=\"username\""), "{page}");
    assert!(preauth(&mut stranger(&scene.server), &link.token).contains("item-not-found"));
    let done = post(&scene.server, &link.path, "", "password=a+new+password&again=a+new+password");
    assert_eq!(status(&done), "201", "{done}");
    let mut mallory = Client::connect(scene.server.plain).expect("a connection");
    assert!(mallory.login("mallory", PASSWORD).is_err());
    let mut mallory = Client::connect(scene.server.plain).expect("a connection");
    mallory.login("mallory", "a new password").expect("a login");
    assert_eq!(status(&post(&scene.server, &link.path, "", "password=a+new+password&again=a+new+password")), "410");
    scene.canary();
}

#[test]
fn xep0379_who_shows_the_token_becomes_a_contact_without_a_question() {
    // A link that a user makes, as the ad-hoc command gives it.
    let mut scene = Scene::new();
    roster(&mut scene.alice);
    let answer = scene.alice.iq(
        "set",
        Some("localhost"),
        "<command xmlns='http://jabber.org/protocol/commands' node='urn:xmpp:invite#invite' action='execute'/>",
    );
    let uri = between(&answer, "<value>xmpp:", "</value>").unwrap_or_else(|| panic!("no uri: {answer}"));
    let token = between(uri, "preauth=", ";").expect("a token").to_owned();
    // Its QR code is where the form says (XEP-0221), and nobody keeps it.
    let code = between(&answer, "<uri type='image/png'>", "</uri>").unwrap_or_else(|| panic!("no QR code: {answer}"));
    let picture = get(&scene.server, &code[code.find("/invite/").expect("the page's address")..]);
    assert_eq!(status(&picture), "200", "{picture}");
    for part in ["content-type: image/png", "cache-control: no-store", "nosniff", "PNG\r\n", "IHDR", "IEND"] {
        assert!(picture.contains(part), "{part}: {picture}");
    }
    assert_eq!(status(&get(&scene.server, "/invite/aaaaaaaaaaaaaaaaaaaaaaaaaa/qr.png")), "404");
    let mut mallory = scene.mallory();
    roster(&mut mallory);
    mallory.send("<presence type='subscribed' to='alice@localhost'/>");
    mallory.send(&format!(
        "<presence type='subscribe' to='alice@localhost'><preauth xmlns='urn:xmpp:pars:0' token='{token}'/></presence>"
    ));
    mallory.expect("subscription='both'");
    let push = scene.alice.expect("subscription='both'");
    assert!(push.contains("mallory@localhost"), "{push}");
    // Once.
    let mut eve = Client::connect(scene.server.plain).expect("a connection");
    eve.try_open_to("other.test").expect("features");
    assert!(eve.sasl_plain("eve", PASSWORD).expect("an answer").starts_with("<success"));
    eve.try_open_to("other.test").expect("features");
    eve.bind("x").expect("a resource");
    eve.send(&format!(
        "<presence type='subscribe' to='alice@localhost'><preauth xmlns='urn:xmpp:pars:0' token='{token}'/></presence>"
    ));
    let request = scene.alice.expect("type='subscribe'");
    assert!(request.contains("eve@other.test"), "an ordinary request: {request}");
}

// --- D10 ------------------------------------------------------------------------------------------------------------------

#[test]
fn d10_registration_is_disabled_by_default_and_never_on_a_clear_stream() {
    let mut scene = Scene::new();
    let mut client = stranger(&scene.server);
    for (kind, inside) in [("get", ""), ("set", "<username>juliet</username><password>long enough</password>")] {
        let answer = client.iq(kind, Some("localhost"), &format!("<query xmlns='jabber:iq:register'>{inside}</query>"));
        assert!(answer.contains("not-allowed"), "{answer}");
    }
    assert!(!exists(&scene.data, "juliet@localhost"));
    // Before STARTTLS there is nothing to talk about.
    let mut clear = Client::connect(scene.server.starttls).expect("a connection");
    let features = clear.open();
    assert!(!features.contains("register"), "{features}");
    clear.send("<iq type='get' id='1' to='localhost'><query xmlns='jabber:iq:register'/></iq>");
    crate::scene::refused(clear, &["not-authorized", "policy-violation"], "register in the clear");
    // Behind it there is.
    let tls = trusting(&scene.data.ca());
    let mut client = Client::starttls(scene.server.starttls, tls).expect("TLS");
    assert!(client.open().contains("urn:xmpp:ibr-token:0"));
    scene.canary();
}

#[test]
fn d10_so_many_accounts_of_one_address_in_an_hour() {
    let config = "[policy]\nlifted_addresses = []\n[xep.registration]\nopen = true\nper_address_per_hour_max = 2\n";
    let data = Data::new();
    let server = data.start_with(&With { config: Some(config.into()), ..With::default() });
    for name in ["one", "two"] {
        assert!(register(&mut stranger(&server), name).contains("type='result'"));
    }
    let answer = register(&mut stranger(&server), "three");
    assert!(answer.contains("resource-constraint") && answer.contains("type='wait'"), "{answer}");
    let link = invite(&data, &[]);
    let answer = post(&server, &link.path, "", &form("four"));
    assert_eq!(status(&answer), "429", "{answer}");
    // What was refused has used nothing up.
    assert_eq!(status(&get(&server, &link.path)), "200");
}

#[test]
fn d10_where_everybody_may_have_an_account_a_browser_is_enough() {
    let config = "[policy]\nlifted_addresses = []\n[xep.registration]\nopen = true\nper_address_per_hour_max = 2\n";
    let mut scene = Scene::with(config);
    let (server, path) = (&scene.server, "/register/localhost");
    let start = get(server, "/");
    assert!(start.contains(&format!("href=\"{path}\"")), "{start}");
    let page = get(server, path);
    assert_eq!(status(&page), "200");
    assert!(page.contains(&format!("<form method=\"post\" action=\"{path}\">")) && !page.contains("<script"), "{page}");
    assert!(page.contains("referrer-policy: same-origin") && page.contains("cache-control: no-store"), "{page}");
    // Any page could have a visitor's browser send this.
    for headers in ["Origin: https://evil.example\r\n", "Origin: null\r\n", "Sec-Fetch-Site: cross-site\r\n"] {
        assert_eq!(status(&post(server, path, headers, &form("evil"))), "403", "{headers}");
    }
    for (wrong, code, why) in [
        ("username=kate&password=short&again=short".to_owned(), "422", "Take at least 8 characters."),
        ("username=kate&password=long+enough&again=not+the+same".to_owned(), "422", "The two passwords are not the same."),
        (form("alice"), "409", "username-wrong"),
        (form("ka te"), "409", "username-wrong"),
        ("username=kate".to_owned(), "400", "Not complete"),
    ] {
        let said = post(server, path, "", &wrong);
        assert_eq!(status(&said), code, "{wrong}: {said}");
        assert!(said.contains(why) && !said.contains("long+enough") && !said.contains("long enough"), "{wrong}: {said}");
    }
    let own = "Origin: https://localhost:5443\r\nSec-Fetch-Site: same-origin\r\n";
    let made = post(server, path, own, &form("kate"));
    assert!(status(&made) == "201" && made.contains("kate@localhost"), "{made}");
    let mut kate = Client::connect(server.plain).expect("a connection");
    kate.login("kate", "a new password").expect("her password opens it");
    // The limit is one for pages and streams.
    let mut client = stranger(server);
    assert!(register(&mut client, "leo").contains("type='result'"));
    let refused = post(server, path, own, &form("mia"));
    assert!(status(&refused) == "429" && refused.contains("wait a while"), "{refused}");
    for nowhere in ["/register/elsewhere.example", "/register/other.test%2f", "/register/"] {
        assert_eq!(status(&get(server, nowhere)), "404", "{nowhere}");
    }
    scene.canary();
    let closed = Scene::new();
    assert_eq!(status(&get(&closed.server, path)), "404");
    assert_eq!(status(&post(&closed.server, path, own, &form("kate"))), "404");
    assert!(!get(&closed.server, "/").contains("/register/"));
}

#[test]
fn d10_no_existing_account_and_no_name_of_the_house() {
    let config = "[xep.registration]\nopen = true\n";
    let mut scene = Scene::with(config);
    for name in ["alice", "ALICE", "admin", "postmaster", "аdmin"] {
        let answer = register(&mut stranger(&scene.server), name);
        assert!(answer.contains("<conflict"), "{name}: {answer}");
        assert!(!answer.contains(PASSWORD), "{answer}");
    }
    for name in ["", "a b", "alice@localhost", "alice/x", "\u{202e}ecila"] {
        let answer = register(&mut stranger(&scene.server), name);
        assert!(answer.contains("<not-acceptable"), "{name}: {answer}");
    }
    // One account a stream (XEP-0077 3.1.1).
    let mut client = stranger(&scene.server);
    assert!(register(&mut client, "juliet").contains("type='result'"));
    assert!(register(&mut client, "rosaline").contains("<not-acceptable"));
    scene.canary();
}

#[test]
fn d10_tokens_are_not_guessed_on_a_stream() {
    let mut scene = Scene::new();
    let mut client = stranger(&scene.server);
    let mut refusals = 0;
    while client
        .try_iq("set", Some("localhost"), "<preauth xmlns='urn:xmpp:pars:0' token='aaaaaaaaaaaaaaaaaaaaaaaaaa'/>", PATIENCE)
        .is_ok_and(|answer| answer.contains("item-not-found"))
    {
        refusals += 1;
        assert!(refusals < 20, "the stream goes on");
    }
    scene.canary();
}

#[test]
fn d10_removal_ends_every_session_within_a_second() {
    let mut scene = Scene::new();
    let mut phone = arrive(&scene.server, "alice", "phone");
    let mut resumable = arrive(&scene.server, "alice", "tablet");
    let previd = resumable.enable_sm().expect("XEP-0198");
    roster(&mut scene.bob);
    let began = std::time::Instant::now();
    scene.alice.send("<iq type='set' id='leave'><query xmlns='jabber:iq:register'><remove/></query></iq>");
    let said = crate::scene::last_words(&mut scene.alice, "remove");
    let answer = said.iter().position(|it| it.contains("id='leave'") && it.contains("type='result'"));
    let end = said.iter().position(|it| it.starts_with("<stream:error") && it.contains("not-authorized"));
    assert!(answer.is_some() && answer < end, "the answer comes before the end: {said:?}");
    for client in [&mut phone, &mut resumable] {
        crate::scene::last_words(client, "remove");
    }
    assert!(began.elapsed() < Duration::from_secs(5), "{:?}", began.elapsed());
    scene.bob.expect("type='unsubscribed'");
    assert!(!exists(&scene.data, "alice@localhost"));
    let mut again = Client::connect(scene.server.plain).expect("a connection");
    assert!(again.login("alice", PASSWORD).is_err());
    let mut again = Client::connect(scene.server.plain).expect("a connection");
    again.login("bob", PASSWORD).expect("a login");
    assert!(again.resume_sm(&previd, 0).expect("an answer").starts_with("<failed"));
}

#[test]
fn b18_a_new_password_ends_the_other_sessions() {
    let mut scene = Scene::new();
    let mut phone = arrive(&scene.server, "alice", "phone");
    let new = "<query xmlns='jabber:iq:register'><username>alice</username><password>another password</password></query>";
    assert!(scene.alice.iq("set", Some("localhost"), new).contains("type='result'"));
    crate::scene::last_words(&mut phone, "a new password");
    scene.alice.ping(PATIENCE).expect("who changed it stays");
    let mut again = Client::connect(scene.server.plain).expect("a connection");
    assert!(again.login("alice", PASSWORD).is_err());
    let mut again = Client::connect(scene.server.plain).expect("a connection");
    again.login("alice", "another password").expect("a login");
    assert!(!scene.data.logged().contains("another password"));
}

/// Killed before and after each commit of a registration: the invitation is used if and only if the account was made, and in
/// the end both are contacts.
#[test]
fn d10_killed_at_any_step_neither_invitation_nor_account_is_lost() {
    for step in ["commit.before", "commit.after"] {
        for after in 0..5 {
            let data = Data::with_users(["romeo"]);
            let link = invite(&data, &["--contact", "romeo@localhost"]);
            let failpoint = Some(format!("{step}:after={after}:abort"));
            // A server that dies while it starts has not been asked anything.
            let Ok(mut server) = data.try_start(&With { failpoint, ..With::default() }) else { continue };
            let answered = Client::connect(server.plain).is_ok_and(|mut client| {
                let token = &link.token;
                let preauth = format!("<preauth xmlns='urn:xmpp:pars:0' token='{token}'/>");
                let fields = format!("<username>juliet</username><password>{PASSWORD}</password>");
                let fields = format!("<query xmlns='jabber:iq:register'>{fields}</query>");
                client.try_open().is_ok()
                    && client.try_iq("set", None, &preauth, PATIENCE).is_ok()
                    && client.try_iq("set", None, &fields, PATIENCE).is_ok_and(|answer| answer.contains("type='result'"))
            });
            std::thread::sleep(Duration::from_millis(200));
            let died = server.ended().is_some();
            server.kill();
            let server = data.start();
            let made = exists(&data, "juliet@localhost");
            assert!(made || !answered, "{step} {after}: what was acknowledged is lost");
            let second = registers_with(&mut stranger(&server), &link.token, "rosaline");
            assert_ne!(made, second, "{step} {after} (died: {died}): made {made}, then again {second}");
            let who = if made { "juliet" } else { "rosaline" };
            let mut new = Client::bound(server.plain, who, "balcony");
            assert!(roster(&mut new).contains("romeo@localhost"), "{step} {after}");
            let mut romeo = Client::bound(server.plain, "romeo", "orchard");
            let contacts = (0..50).map(|_| {
                std::thread::sleep(Duration::from_millis(20));
                roster(&mut romeo)
            });
            let found = contacts.into_iter().find(|it| it.contains(&format!("jid='{who}@localhost'")));
            let item = found.unwrap_or_else(|| panic!("{step} {after}: romeo does not know {who}"));
            assert!(attribute(&item, "type") == Some("result") && item.contains("subscription='both'"), "{item}");
        }
    }
}
