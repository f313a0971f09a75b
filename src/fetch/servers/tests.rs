//! Against a name server on loopback that says whatever a test wants: UDP, and TCP for what does not fit into a packet.

use std::collections::BTreeSet;
use std::io::{self, Read, Write};
use std::net::{TcpListener, UdpSocket};
use std::sync::Arc;

use hickory_resolver::Hosts;
use hickory_resolver::proto::op::{Message, ResponseCode};
use hickory_resolver::proto::rr::rdata::{A, AAAA, CNAME, SRV};
use hickory_resolver::proto::rr::{Name, RData, Record, RecordType};
use tokio::runtime::{Builder, Runtime};
use tokio::task::JoinSet;
use tokio::time::Instant;

use super::*;

/// Long enough for every answer of loopback.
const PATIENCE: Duration = Duration::from_secs(5);
/// For those who never answer.
const IMPATIENCE: Duration = Duration::from_millis(400);
/// What fits into a packet, for the resolver says that it takes that much.
const PACKET_BYTES_MAX: usize = 1_232;

/// Lines as `NAME A ADDRESS`, `NAME SRV PRIORITY WEIGHT PORT TARGET`, `NAME CNAME TARGET`; of a `NAME SILENT` nothing is said, of a
/// `NAME SERVFAIL` nothing good.
fn zone(text: &str) -> Vec<(Name, String, Option<RData>)> {
    let name =
        |text: &str| Name::from_ascii(text).map(|name| name.append_domain(&Name::root()).expect("short")).expect("a name");
    let line = |line: &str| {
        let words: Vec<&str> = line.split_whitespace().collect();
        let number = |at: usize| words[at].parse().expect("a number");
        let data = match words[1] {
            "A" => Some(RData::A(A(words[2].parse().expect("an address")))),
            "AAAA" => Some(RData::AAAA(AAAA(words[2].parse().expect("an address")))),
            "CNAME" => Some(RData::CNAME(CNAME(name(words[2])))),
            "SRV" => Some(RData::SRV(SRV::new(number(2), number(3), number(4), name(words[5])))),
            _ => None,
        };
        (name(words[0]), words[1].to_owned(), data)
    };
    text.lines().map(str::trim).filter(|text| !text.is_empty()).map(line).collect()
}

/// As a name server that looks things up for others: with the aliases on the way. Nothing if it is silent.
fn answer(zone: &[(Name, String, Option<RData>)], question: &[u8]) -> Option<Message> {
    let question = Message::from_vec(question).expect("a question");
    let mut answer = Message::response(question.metadata.id, question.metadata.op_code);
    answer.metadata.recursion_desired = true;
    answer.metadata.recursion_available = true;
    let query = question.queries.first().expect("a question").clone();
    answer.add_query(query.clone());
    let mut name = query.name().clone();
    for _ in 0..5 {
        let of_name = zone.iter().filter(|(owner, ..)| *owner == name);
        if of_name.clone().any(|(_, kind, _)| kind == "SILENT") {
            return None;
        }
        if of_name.clone().any(|(_, kind, _)| kind == "SERVFAIL") {
            answer.metadata.response_code = ResponseCode::ServFail;
            return Some(answer);
        }
        if of_name.clone().count() == 0 {
            answer.metadata.response_code = ResponseCode::NXDomain;
        }
        let fits = |data: &RData| data.record_type() == query.query_type() || data.record_type() == RecordType::CNAME;
        let data: Vec<RData> = of_name.filter_map(|(.., data)| data.clone()).filter(fits).collect();
        let alias = data.iter().find_map(|data| match data {
            RData::CNAME(alias) if query.query_type() != RecordType::CNAME => Some(alias.0.clone()),
            _ => None,
        });
        answer.add_answers(data.into_iter().map(|data| Record::from_rdata(name.clone(), 60, data)));
        let Some(alias) = alias else { break };
        name = alias;
    }
    Some(answer)
}

/// Its address.
fn name_server(text: &str) -> SocketAddr {
    let zone = zone(text);
    let (udp, tcp) = loop {
        let tcp = TcpListener::bind("127.0.0.1:0").expect("a socket");
        if let Ok(udp) = UdpSocket::bind(tcp.local_addr().expect("an address")) {
            break (udp, tcp);
        }
    };
    let address = tcp.local_addr().expect("an address");
    let same = zone.clone();
    std::thread::spawn(move || {
        let mut packet = [0; 4_096];
        while let Ok((bytes, client)) = udp.recv_from(&mut packet) {
            let Some(mut answer) = answer(&zone, &packet[..bytes]) else { continue };
            if answer.to_vec().expect("a message").len() > PACKET_BYTES_MAX {
                answer.answers.clear();
                answer.metadata.truncation = true;
            }
            udp.send_to(&answer.to_vec().expect("a message"), client).expect("sent");
        }
    });
    std::thread::spawn(move || {
        for stream in tcp.incoming() {
            // Until the resolver has gone.
            let _ = stream.map(|mut stream| while over_tcp(&same, &mut stream).is_ok() {});
        }
    });
    address
}

fn over_tcp(zone: &[(Name, String, Option<RData>)], stream: &mut std::net::TcpStream) -> io::Result<()> {
    let mut length = [0; 2];
    stream.read_exact(&mut length)?;
    let mut question = vec![0; u16::from_be_bytes(length).into()];
    stream.read_exact(&mut question)?;
    let Some(answer) = answer(zone, &question) else { return Ok(()) };
    let answer = answer.to_vec().expect("a message");
    stream.write_all(&u16::try_from(answer.len()).expect("a short one").to_be_bytes())?;
    stream.write_all(&answer)
}

thread_local! {
    /// One for each test: the resolver has connections that live on it.
    static RUNTIME: Runtime = Builder::new_current_thread().enable_all().build().expect("a runtime");
}

fn on<T>(future: impl Future<Output = T>) -> T {
    RUNTIME.with(|runtime| runtime.block_on(future))
}

fn hosts(text: &str) -> Hosts {
    let mut hosts = Hosts::default();
    hosts.read_hosts_conf(text.as_bytes()).expect("a hosts file");
    hosts
}

fn made(zone: &str, rules: Rules, time_max: Duration) -> Servers {
    let names = Names::new(vec![names::name_server(name_server(zone))], hosts(""), time_max).expect("a resolver");
    Servers::with(rules, 1, names).expect("servers")
}

fn allowed(addresses: &[&str]) -> Rules {
    Rules { allowed: addresses.iter().map(|address| address.parse().expect("an address")).collect(), ..Rules::default() }
}

fn named(domain: &str, places: &[&str]) -> Rules {
    let places = places.iter().map(|&place| place.to_owned()).collect();
    Rules { named: HashMap::from([(domain.to_owned(), places)]), ..Rules::default() }
}

/// Where its servers are, as `host:port`, with `tls://` if it is direct.
fn found(servers: &Servers, domain: &str) -> Result<Vec<String>, NoServer> {
    let show = |target: &Target| format!("{}{}:{}", if target.direct_tls { "tls://" } else { "" }, target.host, target.port);
    on(servers.of(domain)).map(|targets| targets.iter().map(show).collect())
}

fn of(zone: &str, domain: &str) -> Result<Vec<String>, NoServer> {
    found(&made(zone, Rules::default(), PATIENCE), domain)
}

fn nobody<T: fmt::Debug>(result: Result<T, NoServer>) -> NoServer {
    let why = result.expect_err("there is nobody");
    assert!(!why.to_string().is_empty());
    why
}

/// Somebody who listens at 127.0.0.1, and the port.
fn listener() -> (TcpListener, u16) {
    let listener = TcpListener::bind("127.0.0.1:0").expect("a socket");
    listener.set_nonblocking(true).expect("a socket that does not wait");
    let port = listener.local_addr().expect("an address").port();
    (listener, port)
}

/// To the first place of a domain.
fn reached(servers: &Servers, domain: &str) -> Result<SocketAddr, NoServer> {
    on(async {
        let targets = servers.of(domain).await?;
        Ok(servers.connect(&targets[0]).await?.peer_addr().expect("an address"))
    })
}

#[test]
fn xep0368_2_both_services_are_one_list() {
    let zone = "
        _xmpp-server._tcp.a.example SRV 20 0 5269 second.a.example
        _xmpps-server._tcp.a.example SRV 10 0 443 first.a.example
        _xmpp-server._tcp.a.example SRV 40 0 5269 Fourth.A.Example
        _xmpps-server._tcp.a.example SRV 30 0 5270 third.a.example";
    let expected =
        ["tls://first.a.example:443", "second.a.example:5269", "tls://third.a.example:5270", "fourth.a.example:5269"];
    assert_eq!(of(zone, "a.example").expect("servers"), expected);
    assert_eq!(of(zone, "A.Example.").expect("the same"), expected);
}

#[test]
fn rfc2782_of_two_with_the_same_priority_each_is_first_at_times() {
    let zone = "
        _xmpp-server._tcp.a.example SRV 10 50 5269 one.a.example
        _xmpps-server._tcp.a.example SRV 10 50 5270 two.a.example";
    let servers = made(zone, Rules::default(), PATIENCE);
    let firsts: Vec<String> = on(async {
        let mut firsts = Vec::new();
        for _ in 0..64 {
            firsts.push(servers.of("a.example").await.expect("servers")[0].host.clone());
        }
        firsts
    });
    let of_one = firsts.iter().filter(|host| *host == "one.a.example").count();
    assert!((16..=48).contains(&of_one), "{of_one} of 64");
}

#[test]
fn rfc6120_3_2_2_the_domain_itself_is_tried_only_without_records() {
    assert_eq!(of("a.example A 192.0.2.1", "a.example").expect("itself"), ["a.example:5269"]);
    let zone = "a.example A 192.0.2.1
        _xmpp-server._tcp.a.example SRV 0 0 5269 x.a.example";
    assert_eq!(of(zone, "a.example").expect("servers"), ["x.a.example:5269"]);
    // Records that lead nowhere are records.
    nobody(of("_xmpp-server._tcp.a.example SRV 0 0 0 x.a.example", "a.example"));
    // A name server that does not know SRV.
    assert_eq!(of("_xmpp-server._tcp.a.example SERVFAIL", "a.example").expect("itself"), ["a.example:5269"]);
}

#[test]
fn rfc2782_a_dot_says_that_there_is_none() {
    let none = |zone| assert!(matches!(nobody(of(zone, "a.example")), NoServer::NotFound(_)), "{zone}");
    none("_xmpp-server._tcp.a.example SRV 0 0 0 .");
    none("_xmpps-server._tcp.a.example SRV 0 0 0 .");
    none("_xmpp-server._tcp.a.example SRV 0 0 5269 .\n_xmpps-server._tcp.a.example SRV 0 0 5270 .\na.example A 192.0.2.1");
    // XEP-0368 5: the other one may be there.
    let zone = "_xmpps-server._tcp.a.example SRV 0 0 0 .\n_xmpp-server._tcp.a.example SRV 0 0 5269 x.a.example";
    assert_eq!(of(zone, "a.example").expect("STARTTLS"), ["x.a.example:5269"]);
    let zone = "_xmpp-server._tcp.a.example SRV 0 0 0 .\n_xmpps-server._tcp.a.example SRV 0 0 5270 x.a.example";
    assert_eq!(of(zone, "a.example").expect("direct TLS"), ["tls://x.a.example:5270"]);
}

#[test]
fn e4_of_a_hundred_records_eight_are_tried() {
    let record = |n: u32| format!("_xmpp-server._tcp.a.example SRV {} 1 5269 host-with-a-long-name-{n}.a.example\n", n % 10);
    let zone: String = (0..100).map(record).collect();
    let mut servers = of(&zone, "a.example").expect("servers");
    assert_eq!(servers.len(), TARGETS_MAX);
    assert!(servers.iter().all(|server| server.ends_with("0.a.example:5269")), "of the first priority: {servers:?}");
    servers.sort();
    servers.dedup();
    assert_eq!(servers.len(), TARGETS_MAX);
}

#[test]
fn e4_a_name_server_that_is_silent_is_given_up() {
    let zone = "_xmpp-server._tcp.a.example SILENT
        _xmpps-server._tcp.a.example SILENT
        _xmpps-server._tcp.b.example SILENT
        _xmpp-server._tcp.b.example SRV 0 0 5269 x.b.example
        x.b.example SILENT";
    let begun = Instant::now();
    let servers = made(zone, Rules::default(), IMPATIENCE);
    assert!(matches!(nobody(found(&servers, "a.example")), NoServer::Timeout(_)));
    // One of the two questions is enough.
    assert_eq!(found(&servers, "b.example").expect("what was said"), ["x.b.example:5269"]);
    assert!(matches!(nobody(reached(&servers, "b.example")), NoServer::Timeout(_)));
    assert!(begun.elapsed() < IMPATIENCE * 12, "{:?}", begun.elapsed());
}

#[test]
fn connecting_has_an_end_whatever_takes_so_long() {
    let mut servers = made("a.example SILENT", Rules::default(), PATIENCE);
    servers.connect_time_max = IMPATIENCE;
    let begun = Instant::now();
    assert!(matches!(nobody(on(servers.connect(&Target::plain("a.example".to_owned())))), NoServer::Timeout(_)));
    assert!(begun.elapsed() < PATIENCE, "{:?}", begun.elapsed());
}

#[test]
fn e5_of_very_many_questions_some_are_asked_at_once() {
    let silent = UdpSocket::bind("127.0.0.1:0").expect("a socket");
    silent.set_nonblocking(true).expect("a socket that does not wait");
    let address = silent.local_addr().expect("an address");
    let names = Names::new(vec![names::name_server(address)], hosts(""), PATIENCE).expect("a resolver");
    let servers = Servers::with(Rules::default(), 1, names).expect("servers");
    let mut asked = BTreeSet::new();
    on(async {
        let servers = Arc::new(servers);
        let mut waiting = JoinSet::new();
        for n in 0..names::QUESTIONS_MAX {
            let servers = servers.clone();
            // Two questions each.
            waiting.spawn(async move { servers.of(&format!("{n}.a.example")).await });
        }
        let mut packet = [0; 4_096];
        let mut quiet = 0;
        while quiet < 10 {
            tokio::time::sleep(Duration::from_millis(20)).await;
            quiet += 1;
            while let Ok(bytes) = silent.recv(&mut packet) {
                let question = Message::from_vec(&packet[..bytes]).expect("a question");
                // The same question again is no other one.
                if asked.insert(question.queries.first().expect("a question").name().to_ascii()) {
                    quiet = 0;
                }
            }
        }
    });
    assert_eq!(asked.len(), names::QUESTIONS_MAX);
}

#[test]
fn a_name_that_is_not_there_is_not_found() {
    let servers = made("b.example SERVFAIL", Rules::default(), PATIENCE);
    assert_eq!(found(&servers, "a.example").expect("itself"), ["a.example:5269"]);
    assert!(matches!(nobody(reached(&servers, "a.example")), NoServer::NotFound(_)));
    // Nobody knows about this one.
    assert!(matches!(nobody(reached(&servers, "b.example")), NoServer::Unresolved(_)));
    assert!(matches!(nobody(reached(&servers, "a.invalid")), NoServer::NotFound(_)));
}

#[test]
fn e4_private_addresses_are_connected_to_only_if_they_are_allowed() {
    let (listener, port) = listener();
    let zone = format!(
        "_xmpp-server._tcp.a.example SRV 0 0 {port} x.a.example
        x.a.example A 127.0.0.1
        x.a.example AAAA ::ffff:127.0.0.1
        _xmpp-server._tcp.b.example SRV 0 0 {port} localhost
        _xmpp-server._tcp.c.example SRV 0 0 {port} 127.0.0.1
        _xmpp-server._tcp.d.example SRV 0 0 {port} alias.d.example
        alias.d.example CNAME x.a.example"
    );
    let domains = ["a.example", "b.example", "c.example", "d.example"];
    let servers = made(&zone, allowed(&["127.0.0.2", "10.0.0.1"]), PATIENCE);
    for domain in domains {
        assert_eq!(nobody(reached(&servers, domain)), NoServer::Forbidden, "{domain}");
    }
    for domain in
        ["127.0.0.1", "[::1]", "[::ffff:127.0.0.1]", "169.254.169.254", "localhost", "a.localhost", "LOCALHOST", "0.0.0.0"]
    {
        let mut target = on(servers.of(domain)).expect("itself").remove(0);
        target.port = port;
        assert_eq!(nobody(on(servers.connect(&target))), NoServer::Forbidden, "{domain}");
    }
    assert!(listener.accept().is_err(), "somebody was spoken to");
    let servers = made(&zone, allowed(&["127.0.0.1"]), PATIENCE);
    for domain in domains {
        assert_eq!(reached(&servers, domain).expect("it is allowed").port(), port, "{domain}");
        listener.accept().expect("somebody has come");
    }
}

#[test]
fn e4_aliases_that_lead_in_a_circle_end() {
    let zone = "
        a.example CNAME b.example
        b.example CNAME a.example
        c.example CNAME c.example
        _xmpp-server._tcp.d.example CNAME _xmpp-server._tcp.e.example
        _xmpp-server._tcp.e.example CNAME _xmpp-server._tcp.d.example";
    let servers = made(zone, Rules::default(), PATIENCE);
    let begun = Instant::now();
    for domain in ["a.example", "b.example", "c.example", "d.example"] {
        assert!(matches!(nobody(reached(&servers, domain)), NoServer::NotFound(_)), "{domain}");
    }
    assert!(begun.elapsed() < PATIENCE, "{:?}", begun.elapsed());
}

#[test]
fn records_behind_an_alias_are_found() {
    let zone = "
        _xmpp-server._tcp.a.example CNAME _xmpp-server._tcp.b.example
        _xmpp-server._tcp.b.example CNAME _xmpp-server._tcp.c.example
        _xmpp-server._tcp.c.example SRV 0 0 5269 x.c.example
        _xmpp-server._tcp.c.example SRV 1 0 5269 y.c.example
        x.c.example A 192.0.2.1";
    assert_eq!(of(zone, "a.example").expect("servers"), ["x.c.example:5269", "y.c.example:5269"]);
}

#[test]
fn e4_one_address_that_fails_is_not_the_end() {
    let (listener, port) = listener();
    let zone = format!(
        "_xmpp-server._tcp.a.example SRV 0 0 {port} x.a.example
        x.a.example A 127.0.0.2
        x.a.example A 127.0.0.1"
    );
    let servers = made(&zone, allowed(&["127.0.0.1", "127.0.0.2"]), PATIENCE);
    assert_eq!(reached(&servers, "a.example").expect("the other").ip(), IpAddr::from([127, 0, 0, 1]));
    drop(listener);
    assert!(matches!(nobody(reached(&servers, "a.example")), NoServer::Unreachable(_)));
}

#[test]
fn domains_with_letters_beyond_ascii_are_looked_up_in_ascii() {
    let zone = "
        _xmpp-server._tcp.xn--bcher-kva.example SRV 0 0 5269 x.xn--bcher-kva.example
        xn--strae-oqa.example A 192.0.2.1";
    assert_eq!(of(zone, "bücher.example").expect("servers"), ["x.xn--bcher-kva.example:5269"]);
    assert_eq!(of(zone, "BÜCHER.example").expect("servers"), ["x.xn--bcher-kva.example:5269"]);
    assert_eq!(of(zone, "straße.example").expect("itself"), ["xn--strae-oqa.example:5269"]);
    // Digits of another alphabet are an address all the same.
    assert_eq!(of(zone, "１２７.０.０.１").expect("an address"), ["127.0.0.1:5269"]);
}

#[test]
fn e4_what_is_no_name_is_not_looked_up() {
    let servers = made("", Rules::default(), PATIENCE);
    let long = format!("{}.example", "a".repeat(64));
    let longer = format!("{}example", "a.".repeat(124));
    for domain in
        ["", ".", "a..b", ".a", "a b", "a/b", "a@b", "a:5269", "[::1", "[a]", "[fe80::1%eth0]", "a\\.b", "a\0b", &long, &longer]
    {
        assert!(matches!(nobody(found(&servers, domain)), NoServer::NotFound(_)), "{domain:?}");
    }
    // Names that leave no room for the service have no records.
    let full = format!("{}aexample", "a.".repeat(122));
    assert_eq!(found(&servers, &full).expect("itself").len(), 1);
    // An old way to write addresses: here it is a name.
    for domain in ["127.1", "0x7f000001", "2130706433"] {
        assert!(matches!(nobody(reached(&servers, domain)), NoServer::NotFound(_)), "{domain:?}");
    }
}

#[test]
fn addresses_are_used_as_they_are() {
    let servers = made("", Rules::default(), PATIENCE);
    assert_eq!(found(&servers, "192.0.2.1").expect("an address"), ["192.0.2.1:5269"]);
    assert_eq!(found(&servers, "[2001:DB8::1]").expect("an address"), ["2001:db8::1:5269"]);
}

#[test]
fn named_servers_are_not_looked_up_and_may_be_anywhere() {
    let (listener, port) = listener();
    let rules = named("Bücher.example", &[&format!("127.0.0.1:{port}"), "tls://[2001:db8::1]:5270", "tls://x.example:443"]);
    let servers = made("_xmpp-server._tcp.xn--bcher-kva.example SRV 0 0 5269 no.example", rules, PATIENCE);
    let expected = [&format!("127.0.0.1:{port}"), "tls://2001:db8::1:5270", "tls://x.example:443"];
    assert_eq!(found(&servers, "bücher.example").expect("named"), expected);
    assert_eq!(reached(&servers, "xn--bcher-kva.example").expect("nobody is judged").port(), port);
    listener.accept().expect("somebody has come");
    // What the operator has written in another way is the same domain.
    let servers = made("", named("127.0.0.1", &[&format!("localhost:{port}")]), PATIENCE);
    assert_eq!(reached(&servers, "127.0.0.1").expect("this machine").port(), port);
}

#[test]
fn what_is_wrong_with_a_named_server_is_said() {
    let wrong = |domain: &str, places: &[&str]| {
        let names = Names::new(Vec::new(), hosts(""), PATIENCE).expect("nobody to ask");
        Servers::with(named(domain, places), 1, names).expect_err("wrong")
    };
    for place in [
        "",
        "a.example",
        "a.example:",
        "a.example:0",
        "a.example:70000",
        "::1:5269",
        "[::1]",
        "http://a.example:1",
        "a b:1",
        ":1",
    ] {
        let why = wrong("a.example", &[place]);
        assert!(why.starts_with("a.example: ") && why.contains(&format!("{place:?}")), "{why}");
    }
    wrong("a.example", &[]);
    wrong("a.example", &["x.example:1"; TARGETS_MAX + 1]);
    wrong("a b", &["x.example:1"]);
}

#[test]
fn without_a_name_server_some_are_found_still() {
    let names = Names::new(Vec::new(), hosts("10.0.0.1 a.example"), PATIENCE).expect("nobody to ask");
    let servers = Servers::with(named("named.example", &["x.example:5269"]), 1, names).expect("servers");
    assert!(!servers.can_look_up());
    for domain in ["named.example", "192.0.2.1", "[::1]", "localhost", "a.example"] {
        assert_eq!(found(&servers, domain).expect("known").len(), 1, "{domain}");
    }
    assert!(matches!(nobody(found(&servers, "b.example")), NoServer::Unresolved(_)));
    // Its name has to be looked up, and cannot be.
    assert!(matches!(nobody(reached(&servers, "named.example")), NoServer::Unresolved(_)));
    assert_eq!(nobody(reached(&servers, "a.example")), NoServer::Forbidden);
}

#[test]
fn the_hosts_file_says_more_than_the_dns() {
    let (listener, port) = listener();
    let zone = format!("_xmpp-server._tcp.a.example SRV 0 0 {port} x.a.example\nx.a.example A 127.0.0.2\nx.a.example AAAA ::1");
    let names = |text| Names::new(vec![names::name_server(name_server(&zone))], hosts(text), PATIENCE).expect("a resolver");
    let servers = Servers::with(allowed(&["127.0.0.1", "::1"]), 1, names("127.0.0.1 X.a.example")).expect("servers");
    assert_eq!(reached(&servers, "a.example").expect("the operator's").ip(), IpAddr::from([127, 0, 0, 1]));
    listener.accept().expect("somebody has come");
    // It is judged like everybody.
    let servers = Servers::with(allowed(&["127.0.0.2"]), 1, names("127.0.0.1 x.a.example")).expect("servers");
    assert_eq!(nobody(reached(&servers, "a.example")), NoServer::Forbidden);
}

/// Of this machine, whatever it has.
#[test]
fn the_system_says_whom_to_ask() {
    let servers = Servers::new(Rules::default(), 1).expect("it starts, with a name server or without");
    assert_eq!(found(&servers, "localhost").expect("this machine"), ["localhost:5269"]);
    assert_eq!(nobody(reached(&servers, "localhost")), NoServer::Forbidden);
}

#[test]
fn it_may_move_to_another_thread() {
    fn is_send<T: Send>(_: &T) {}
    let servers = made("", Rules::default(), PATIENCE);
    is_send(&servers);
    is_send(&servers.of("a.example"));
    is_send(&servers.connect(&Target::plain("a.example".to_owned())));
}
