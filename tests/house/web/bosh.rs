//! A BOSH client (XEP-0124, 0206) that can be made to do anything wrong, and what it finds.

use std::time::{Duration, Instant};

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use iris::cli::control::Admin;

use super::http::{Http, Response};
use super::speaking;
use crate::client::{DOMAIN, PASSWORD, PATIENCE, attribute, between};
use crate::scene::{OTHER, Scene};

const NS: &str = "xmlns='http://jabber.org/protocol/httpbind' xmlns:xmpp='urn:xmpp:xbosh'";

/// Two connections, as a browser has them: while one waits, the other speaks.
pub struct Bosh {
    connections: [Http; 2],
    turn: usize,
    /// The request that waits for its answer.
    held: bool,
    rid: u64,
    pub sid: String,
    pub created: String,
    pub jid: String,
}

fn post(http: &mut Http, body: &str) {
    http.ask("POST", "/http-bind", &[("Content-Type", "text/xml; charset=utf-8")], body.as_bytes());
}

fn asked(http: &mut Http, body: &str) -> Response {
    post(http, body);
    http.response()
}

fn session(rid: u64, more: &str) -> String {
    format!("<body rid='{rid}' to='{DOMAIN}' ver='1.11' xmpp:version='1.0' xml:lang='en' {more} {NS}/>")
}

impl Bosh {
    pub fn open(connections: [Http; 2]) -> Bosh {
        Bosh::open_with(connections, "wait='60' hold='1'")
    }

    pub fn open_with(mut connections: [Http; 2], more: &str) -> Bosh {
        let answer = asked(&mut connections[0], &session(4_242, more));
        assert_eq!(answer.header("content-type"), Some("text/xml; charset=utf-8"));
        let created = answer.text();
        let sid = attribute(&created, "sid").unwrap_or_else(|| panic!("no session: {created}")).to_owned();
        assert!(created.contains("<stream:features"), "{created}");
        Bosh { connections, turn: 0, held: false, rid: 4_242, sid, created, jid: String::new() }
    }

    fn body(&mut self, attributes: &str, content: &str) -> String {
        self.rid += 1;
        format!("<body rid='{}' sid='{}' {attributes} {NS}>{content}</body>", self.rid, self.sid)
    }

    /// Sends, on the connection that is free; what comes back on the other one is returned.
    pub fn say(&mut self, attributes: &str, content: &str) -> String {
        let body = self.body(attributes, content);
        let free = if self.held { 1 - self.turn } else { self.turn };
        post(&mut self.connections[free], &body);
        let mut freed = String::new();
        if self.held {
            freed = self.connections[self.turn].response().text();
        }
        (self.turn, self.held) = (free, true);
        freed
    }

    /// The next answer with this in it; polls in between.
    #[track_caller]
    pub fn expect(&mut self, what: &str) -> String {
        let end = Instant::now() + PATIENCE;
        loop {
            if !self.held {
                self.say("", "");
            }
            self.held = false;
            let answer = self.connections[self.turn].response().text();
            if answer.contains(what) {
                return answer;
            }
            assert!(!answer.contains("terminate") && Instant::now() < end, "no {what}: {answer}");
        }
    }

    pub fn ask(&mut self, content: &str, what: &str) -> String {
        let freed = self.say("", content);
        if freed.contains(what) { freed } else { self.expect(what) }
    }

    pub fn login(mut self, user: &str, resource: &str) -> Bosh {
        assert!(!self.created.contains("starttls") && !self.created.contains("-PLUS"), "{}", self.created);
        let blob = STANDARD.encode(format!("\0{user}\0{PASSWORD}"));
        let auth = format!("<auth xmlns='urn:ietf:params:xml:ns:xmpp-sasl' mechanism='PLAIN'>{blob}</auth>");
        self.ask(&auth, "<success");
        self.say(&format!("xmpp:restart='true' to='{DOMAIN}'"), "");
        let features = self.expect("<stream:features");
        assert!(features.contains("urn:ietf:params:xml:ns:xmpp-bind"), "{features}");
        let bind = format!("<bind xmlns='urn:ietf:params:xml:ns:xmpp-bind'><resource>{resource}</resource></bind>");
        let answer = self.ask(&format!("<iq xmlns='jabber:client' type='set' id='bind'>{bind}</iq>"), "id='bind'");
        self.jid = between(&answer, "<jid>", "</jid>").expect("a JID").to_owned();
        self
    }
}

fn pair(scene: &Scene) -> [Http; 2] {
    [Http::connect(scene.server.http), Http::connect(scene.server.http)]
}

fn secure_pair(scene: &Scene) -> [Http; 2] {
    let config = speaking(scene, &["http/1.1"]);
    [Http::secure(scene.server.https, config.clone()), Http::secure(scene.server.https, config)]
}

fn chats(scene: &mut Scene, mut it: Bosh) {
    it.ask("<presence xmlns='jabber:client'/>", "<presence");
    let to = scene.bob.jid.clone();
    // Two in one body; stanzas without a namespace are the client's.
    it.say(
        "",
        &format!(
            "<message to='{to}' type='chat'><body>one &amp; one</body></message>\
             <message xmlns='jabber:client' to='{to}' type='chat'><body>two</body></message>"
        ),
    );
    let heard = scene.bob.expect("one &amp; one");
    assert_eq!(attribute(&heard, "from"), Some(it.jid.as_str()));
    scene.bob.expect("<body>two</body>");
    let large = "\u{e4}".repeat(60_000);
    scene.bob.send(&format!("<message to='{}' type='chat'><body>{large}</body></message>", it.jid));
    scene.bob.send(&format!("<message to='{}' type='chat'><body>and more</body></message>", it.jid));
    let heard = it.expect(&large);
    assert!(heard.contains("<message xmlns='jabber:client'"), "{}", &heard[..200]);
    if !heard.contains("and more") {
        it.expect("and more");
    }
    it.ask("<iq xmlns='jabber:client' type='get' id='r'><query xmlns='jabber:iq:roster'/></iq>", "id='r'");
    let freed = it.say("type='terminate'", "<presence xmlns='jabber:client' type='unavailable'/>");
    let last = it.connections[it.turn].response().text();
    assert!(freed.contains("type='terminate'") || last.contains("type='terminate'"), "{freed} {last}");
    assert!(!last.contains("condition"), "{last}");
}

#[test]
fn xep0206_a_chat_over_https_and_over_http_with_a_client_on_tcp() {
    let mut scene = Scene::new();
    let it = Bosh::open(secure_pair(&scene)).login("mallory", "bosh");
    chats(&mut scene, it);
    let it = Bosh::open(pair(&scene)).login("mallory", "proxied");
    chats(&mut scene, it);
    scene.canary();
}

#[test]
fn xep0124_s7_a_session_is_granted_no_more_than_the_house_allows() {
    let mut scene = Scene::new();
    let it = Bosh::open_with(pair(&scene), "wait='1000000000' hold='1000000'");
    let number = |name| attribute(&it.created, name).and_then(|it| it.parse::<u64>().ok()).expect("a number");
    assert!(number("wait") <= 60 && number("hold") <= 4 && number("requests") == number("hold") + 1);
    assert!(number("maxpause") <= 120 && number("inactivity") <= 60 && number("polling") >= 1);
    // 128 bits at least, none like the other.
    assert!(it.sid.len() >= 32 && it.sid.bytes().all(|byte| byte.is_ascii_hexdigit()));
    assert_ne!(it.sid, Bosh::open(pair(&scene)).sid);
    assert_eq!(attribute(&it.created, "xmpp:restartlogic"), Some("true"));
    scene.canary();
}

#[test]
fn xep0124_s14_a_lost_answer_is_given_again_and_its_stanza_is_not_sent_twice() {
    let mut scene = Scene::new();
    let mut it = Bosh::open(pair(&scene)).login("mallory", "replay");
    let body = {
        let to = scene.bob.jid.clone();
        it.body("", &format!("<message xmlns='jabber:client' to='{to}' type='chat' id='once'><body>once</body></message>"))
    };
    // The connection breaks before the answer comes.
    let mut lost = Http::connect(scene.server.http);
    post(&mut lost, &body);
    scene.bob.expect("<body>once</body>");
    drop(lost);
    let mut again = Http::connect(scene.server.http);
    post(&mut again, &body);
    scene.bob.send(&format!("<message to='{}' type='chat'><body>answer</body></message>", it.jid));
    assert!(again.response().text().contains("answer"));
    // It was answered: the same request gets the same answer, and nothing is sent again.
    let mut third = Http::connect(scene.server.http);
    assert!(asked(&mut third, &body).text().contains("answer"));
    scene.canary();
}

#[test]
fn xep0124_s10_a_pause_lets_go_of_everything_and_the_session_outlives_it() {
    let mut scene = Scene::new();
    let mut it = Bosh::open(pair(&scene)).login("mallory", "pause");
    it.say("", "");
    let freed = it.say("pause='60'", "");
    let paused = it.connections[it.turn].response().text();
    it.held = false;
    for answer in [&freed, &paused] {
        assert!(!answer.contains("terminate") && !answer.contains("<message"), "{answer}");
    }
    scene.bob.send(&format!("<message to='{}' type='chat'><body>meanwhile</body></message>", it.jid));
    scene.bob.ping(PATIENCE).expect("a pong");
    it.expect("meanwhile");
    scene.canary();
}

#[test]
fn xep0198_a_session_begun_over_bosh_is_resumed_over_bosh() {
    let mut scene = Scene::new();
    let mut it = Bosh::open(pair(&scene)).login("mallory", "sm");
    let enabled = it.ask("<enable xmlns='urn:xmpp:sm:3' resume='true'/>", "<enabled");
    let id = between(&enabled, "id='", "'").map(str::to_owned);
    let id = between(enabled.split_once("<enabled").expect("enabled").1, "id='", "'").map(str::to_owned).or(id).expect("an id");
    let mut second = Bosh::open(pair(&scene));
    let blob = STANDARD.encode(format!("\0mallory\0{PASSWORD}"));
    second.ask(&format!("<auth xmlns='urn:ietf:params:xml:ns:xmpp-sasl' mechanism='PLAIN'>{blob}</auth>"), "<success");
    second.say(&format!("xmpp:restart='true' to='{DOMAIN}'"), "");
    second.expect("<stream:features");
    let resumed = second.ask(&format!("<resume xmlns='urn:xmpp:sm:3' previd='{id}' h='0'/>"), "<resumed");
    assert!(resumed.contains(&id), "{resumed}");
    scene.bob.send(&format!("<message to='{}' type='chat'><body>to the new one</body></message>", it.jid));
    second.expect("to the new one");
    scene.canary();
}

#[test]
fn d7_sids_request_ids_and_times_out_of_bounds_end_in_their_condition() {
    let mut scene = Scene::new();
    let mut http = Http::connect(scene.server.http);
    let guess = asked(&mut http, &format!("<body rid='1' sid='{}' {NS}/>", "0".repeat(32))).text();
    assert!(guess.contains("type='terminate' condition='item-not-found'"), "{guess}");
    for (attributes, rid, condition) in [
        ("", Some(1_000_000), "item-not-found"),
        ("", Some(1), "item-not-found"),
        ("pause='1000000000'", None, "policy-violation"),
        ("pause='-1'", None, "bad-request"),
        ("type='bogus'", None, "bad-request"),
    ] {
        let mut it = Bosh::open(pair(&scene));
        let rid = rid.unwrap_or(it.rid + 1);
        let mut http = Http::connect(scene.server.http);
        let answer = asked(&mut http, &format!("<body rid='{rid}' sid='{}' {attributes} {NS}/>", it.sid)).text();
        assert!(answer.contains(&format!("condition='{condition}'")), "{attributes} {rid}: {answer}");
        if condition != "bad-request" {
            let dead = it.body("", "");
            let after = asked(&mut http, &dead).text();
            assert!(after.contains("item-not-found"), "{after}");
        }
        scene.canary();
    }
    // Polling twice at once, with nothing to say.
    let mut it = Bosh::open(pair(&scene));
    let (first, second) = (it.body("", ""), it.body("", ""));
    post(&mut it.connections[0], &first);
    std::thread::sleep(Duration::from_millis(100));
    let answer = asked(&mut it.connections[1], &second).text();
    assert!(answer.contains("condition='policy-violation'"), "{answer}");
    assert!(it.connections[0].response().text().contains("policy-violation"));
    scene.canary();
}

#[test]
fn d7_no_jsonp_no_get_no_large_bodies_and_nothing_but_one_body() {
    let mut scene = Scene::new();
    let mut http = Http::connect(scene.server.http);
    let get = http.get("/http-bind?callback=alert&data=%3Cbody%2F%3E");
    assert_eq!(get.status, 405);
    assert!(!get.text().contains("alert"));
    super::says_nothing_of_the_inside(&get, "GET");
    let callback = asked(&mut Http::connect(scene.server.http), &session(1, "callback='alert'"));
    assert!(callback.text().starts_with("<body "), "{}", callback.text());
    let large = Http::connect(scene.server.http).request("POST", "/http-bind", &[], &vec![b' '; 10 << 20]);
    assert_eq!(large.status, 413);
    super::says_nothing_of_the_inside(&large, "10 MB");
    for wrong in ["", "<", "no XML", "<body/>", "<body rid='1'><!-- --></body>", "{\"body\":1}", "\u{0}"] {
        let answer = asked(&mut Http::connect(scene.server.http), wrong);
        assert_eq!(answer.status, 200, "{wrong}");
        assert!(answer.text().contains("condition='bad-request'"), "{wrong}: {}", answer.text());
    }
    let bomb = format!("<!DOCTYPE a [<!ENTITY b 'c'>]>{}", session(1, ""));
    assert!(asked(&mut Http::connect(scene.server.http), &bomb).text().contains("bad-request"));
    scene.canary();
}

#[test]
fn s17_2_who_asks_for_no_domain_of_ours_is_told_so_by_a_terminal_condition() {
    let mut scene = Scene::new();
    let to = |to: &str| session(7, "").replace(&format!("to='{DOMAIN}'"), to);
    for (body, condition) in [
        (to("to='nowhere.example'"), "host-unknown"),
        (to("to='conference.localhost'"), "host-unknown"),
        (to("to='alice@localhost'"), "host-unknown"),
        (to("to=''"), "improper-addressing"),
        (to("to='@@'"), "improper-addressing"),
        (to(""), "improper-addressing"),
    ] {
        let answer = asked(&mut Http::connect(scene.server.http), &body).text();
        assert!(answer.contains(&format!("type='terminate' condition='{condition}'")), "{body}: {answer}");
        assert!(!answer.contains("<stream:error"), "{body}: {answer}");
    }
    // The dot at the end of a domain is no part of its name.
    let answer = asked(&mut Http::connect(scene.server.http), &to(&format!("to='{DOMAIN}.'"))).text();
    assert!(answer.contains("sid='") && !answer.contains("terminate"), "{answer}");
    // And when the stream is begun anew for one.
    let mut it = Bosh::open(pair(&scene));
    let blob = STANDARD.encode(format!("\0mallory\0{PASSWORD}"));
    it.ask(&format!("<auth xmlns='urn:ietf:params:xml:ns:xmpp-sasl' mechanism='PLAIN'>{blob}</auth>"), "<success");
    it.say("xmpp:restart='true' to='nowhere.example'", "");
    let answer = it.connections[it.turn].response().text();
    assert!(answer.contains("type='terminate' condition='host-unknown'"), "{answer}");
    scene.canary();
}

#[test]
fn d7_pages_of_elsewhere_are_refused_and_those_let_in_may_read() {
    let mut scene = Scene::with(&format!("[web]\norigins = {{ \"{OTHER}\" = [\"https://chat.example\"] }}\n"));
    let mut http = Http::connect(scene.server.http);
    for (origin, allowed) in
        [("https://evil.example", false), ("null", false), ("https://chat.example", true), ("https://localhost", true)]
    {
        let head =
            [("Origin", origin), ("Access-Control-Request-Method", "POST"), ("Access-Control-Request-Headers", "content-type")];
        let preflight = http.request("OPTIONS", "/http-bind", &head, b"");
        assert_eq!(preflight.status, if allowed { 204 } else { 403 }, "{origin}");
        let expected = allowed.then_some(origin);
        assert_eq!(preflight.header("access-control-allow-origin"), expected, "{origin}");
        assert_eq!(preflight.header("access-control-allow-credentials"), None);
        let post = http.request("POST", "/http-bind", &[("Origin", origin)], b"<body/>");
        assert_eq!(post.header("access-control-allow-origin"), expected, "{origin}");
        assert_eq!(post.status, if allowed { 200 } else { 403 }, "{origin}");
    }
    // Let in for the other domain is not let in here.
    let answer = http.request("POST", "/http-bind", &[("Origin", "https://chat.example")], session(9, "").as_bytes());
    assert!(answer.text().contains("condition='policy-violation'"), "{}", answer.text());
    scene.canary();
}

#[test]
fn d7_a_session_that_began_encrypted_is_not_reached_in_the_clear() {
    let mut scene = Scene::new();
    let mut it = Bosh::open(secure_pair(&scene)).login("mallory", "secure");
    let body = it.body("type='terminate'", "");
    let answer = asked(&mut Http::connect(scene.server.http), &body);
    assert_eq!(answer.status, 403);
    // The session goes on.
    it.rid -= 1;
    let pong = it.ask("<iq xmlns='jabber:client' type='get' id='p'><ping xmlns='urn:xmpp:ping'/></iq>", "id='p'");
    assert!(pong.contains("type='result'"), "{pong}");
    scene.canary();
}

#[test]
fn b18_a_new_password_ends_the_session() {
    let mut scene = Scene::new();
    let mut it = Bosh::open(pair(&scene)).login("mallory", "page");
    let mallory = "mallory@localhost".parse().expect("a JID");
    scene.control().user_passwd(&mallory, "something else").expect("a password");
    let body = it.body("", "");
    let first = asked(&mut Http::connect(scene.server.http), &body).text();
    assert!(first.contains("type='terminate'"), "{first}");
    let body = it.body("", "<iq xmlns='jabber:client' type='get' id='p'><ping xmlns='urn:xmpp:ping'/></iq>");
    let second = asked(&mut Http::connect(scene.server.http), &body);
    assert!(second.status == 404 || second.text().contains("item-not-found"), "{}", second.text());
    scene.canary();
}

/// A sid that somebody has got hold of opens nothing from elsewhere.
#[test]
fn d7_a_session_is_not_reached_from_another_network() {
    let mut scene = Scene::new();
    // A web server before this one says who asks.
    let from = |address: &str, body: &str| {
        let mut http = Http::connect(scene.server.http);
        let headers = [("Content-Type", "text/xml; charset=utf-8"), ("X-Forwarded-For", address)];
        http.request("POST", "/http-bind", &headers, body.as_bytes())
    };
    for (here, same, elsewhere) in
        [("192.0.2.1", "192.0.2.1", "192.0.2.2"), ("2001:db8:1:2::1", "2001:db8:1:2:ffff::9", "2001:db8:1:3::1")]
    {
        let created = from(here, &session(100, "wait='0' hold='0'")).text();
        let sid = attribute(&created, "sid").unwrap_or_else(|| panic!("no session: {created}"));
        let body = format!("<body rid='101' sid='{sid}' {NS}/>");
        let refused = from(elsewhere, &body);
        assert!(refused.status == 403 || refused.text().contains("policy-violation"), "{elsewhere}: {}", refused.text());
        // The session goes on, and the request was not its own: an address of the same network may take its number.
        let answer = from(same, &body).text();
        assert!(answer.starts_with("<body") && !answer.contains("terminate"), "{same}: {answer}");
    }
    scene.canary();
}

#[test]
fn d7_sessions_of_one_address_are_capped() {
    let mut scene = Scene::with("[limits]\nbosh_sessions_per_address_max = 3\n[policy]\nlifted_addresses = []\n");
    let mut kept = Vec::new();
    for rid in 0..3 {
        let mut http = Http::connect(scene.server.http);
        let answer = asked(&mut http, &session(100 + rid, "wait='60' hold='1'")).text();
        assert!(answer.contains("sid='"), "{answer}");
        kept.push(answer);
    }
    let answer = asked(&mut Http::connect(scene.server.http), &session(500, "")).text();
    assert!(answer.contains("condition='policy-violation'"), "{answer}");
    // One ends, one may come.
    let sid = attribute(&kept[0], "sid").expect("a sid");
    let end = format!("<body rid='101' sid='{sid}' type='terminate' {NS}/>");
    assert!(asked(&mut Http::connect(scene.server.http), &end).text().contains("terminate"));
    let end = Instant::now() + PATIENCE;
    while !asked(&mut Http::connect(scene.server.http), &session(600, "")).text().contains("sid='") {
        assert!(Instant::now() < end, "the place does not come free");
        std::thread::sleep(Duration::from_millis(100));
    }
    scene.canary();
}

#[test]
fn b14_a_restart_for_another_domain_is_refused() {
    let mut scene = Scene::new();
    let mut it = Bosh::open(pair(&scene));
    let blob = STANDARD.encode(format!("\0mallory\0{PASSWORD}"));
    it.ask(&format!("<auth xmlns='urn:ietf:params:xml:ns:xmpp-sasl' mechanism='PLAIN'>{blob}</auth>"), "<success");
    it.say(&format!("xmpp:restart='true' to='{OTHER}'"), "");
    let answer = it.connections[it.turn].response().text();
    assert!(answer.contains("condition='remote-stream-error'") && answer.contains("<not-authorized"), "{answer}");
    scene.canary();
}
