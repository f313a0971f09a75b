//! Two houses that speak with each other over real sockets (RFC 6120, XEP-0178, XEP-0220, XEP-0368).

use std::fs;
use std::net::Ipv4Addr;
use std::sync::atomic::{AtomicU16, Ordering};
use std::time::Duration;

use crate::authority::Authority;
use crate::client::{Client, PASSWORD, attribute};
use crate::components;
use crate::server::{Data, Server, With};

/// A loopback address of its own for each server of each test: whoever is told where another one listens knows it before it does.
pub fn address() -> Ipv4Addr {
    static NEXT: AtomicU16 = AtomicU16::new(1);
    let n = NEXT.fetch_add(1, Ordering::Relaxed);
    let process = std::process::id() as u16;
    Ipv4Addr::new(127, 64 | (process >> 8 & 0x3f) as u8, process as u8, n as u8)
}

pub struct House {
    pub domain: &'static str,
    pub data: Data,
    config: String,
}

/// Where the server of a domain and of the services below it is, as the configuration says it.
fn places(domain: &str, at: Ipv4Addr, way: &str) -> String {
    let names = ["", "conference.", "pubsub.", "upload.", "push.", "app."];
    let port = if way.is_empty() { 5269 } else { 5270 };
    names.map(|name| format!("\"{name}{domain}\" = [\"{way}{at}:{port}\"]")).join(", ")
}

impl House {
    /// With accounts juliet and romeo; not started. `names`: of its certificate. `servers`: of the others. `more`: keys of `[federation]`.
    pub fn new(
        (domain, address): (&'static str, Ipv4Addr),
        authority: &Authority,
        names: &[&str],
        servers: &str,
        more: &str,
    ) -> House {
        let data = Data::new();
        let certs = data.folder().join("certs");
        fs::create_dir(&certs).expect("a folder");
        let (certificate, key) = authority.issue(names);
        for (file, text) in [(format!("{domain}.crt"), certificate), (format!("{domain}.key"), key)] {
            fs::write(certs.join(file), text).expect("a file");
        }
        fs::write(data.folder().join("authorities.pem"), &authority.pem).expect("a file");
        let listen = |kind: &str, address: &str| format!("[[listen]]\nkind = \"{kind}\"\naddress = \"{address}\"\n");
        let clients = ["c2s-plain", "c2s", "c2s-tls", "https", "http"].map(|kind| listen(kind, "127.0.0.1:0")).concat();
        let servers_in = listen("s2s", &format!("{address}:5269")) + &listen("s2s-tls", &format!("{address}:5270"));
        let config = format!(
            "dev = true\ndomains = [\"{domain}\"]\n{clients}{servers_in}[tls]\ncertificates = \"certs\"\n\
             [accounts]\nscram_iterations = 4096\n[federation]\nauthorities = \"authorities.pem\"\nservers = {{ {servers} }}\n{more}\n"
        );
        let users: String = ["juliet", "romeo"].iter().map(|user| format!("{user}@{domain},{PASSWORD}\n")).collect();
        let file = data.folder().join("users.csv");
        fs::write(&file, users).expect("users.csv");
        fs::write(data.config(), &config).expect("a file");
        let (csv, toml) = (file.display().to_string(), data.config().display().to_string());
        data.iris(&["user", "add", "--bulk", &csv, "--config", &toml]);
        House { domain, data, config }
    }

    pub fn start(&self) -> Server {
        self.data.start_with(&With { config: Some(self.config.clone()), ..With::default() })
    }

    pub fn online(&self, server: &Server, user: &str) -> Client {
        let mut client = Client::connect(server.plain).expect("a connection");
        client.try_open_to(self.domain).expect("features");
        assert!(client.sasl_plain(user, PASSWORD).expect("an answer").starts_with("<success"));
        client.try_open_to(self.domain).expect("features");
        client.bind("desk").expect("a resource");
        client.send("<presence/>");
        client.expect("<presence");
        client
    }
}

/// Both believe the same authority, which has issued certificates for their domains and the services below. `more` as above.
fn two(more: &str) -> (House, House) {
    let authority = Authority::new();
    two_of([&authority, &authority], more, "")
}

/// Each with an authority of its own, and what stands before the places of the other one's server (`tls://`).
fn two_of(authorities: [&Authority; 2], more: &str, way: &str) -> (House, House) {
    let (here, there) = (address(), address());
    let house = |domain: &'static str, at, authority, other, other_at| {
        let names = [domain, &*format!("*.{domain}")];
        House::new((domain, at), authority, &names, &places(other, other_at, way), more)
    };
    (
        house("capulet.test", here, authorities[0], "montague.test", there),
        house("montague.test", there, authorities[1], "capulet.test", here),
    )
}

/// Each says something that the other hears.
fn they_talk(capulet: &House, montague: &House) {
    let (one, other) = (capulet.start(), montague.start());
    let (mut juliet, mut romeo) = (capulet.online(&one, "juliet"), montague.online(&other, "romeo"));
    chat(&mut juliet, "romeo@montague.test", "there");
    romeo.expect("there");
    chat(&mut romeo, "juliet@capulet.test", "back");
    juliet.expect("back");
}

fn chat(client: &mut Client, to: &str, body: &str) {
    client.send(&format!("<message to='{to}' type='chat' id='{body}'><body>{body}</body></message>"));
}

#[test]
fn people_of_two_servers_speak_with_each_other() {
    let (capulet, montague) = two("");
    let (one, other) = (capulet.start(), montague.start());
    let (mut juliet, mut romeo) = (capulet.online(&one, "juliet"), montague.online(&other, "romeo"));
    juliet.send("<message to='romeo@montague.test' type='chat' id='m1'><body>art thou not Romeo?</body></message>");
    let heard = romeo.expect("art thou not Romeo?");
    assert_eq!(attribute(&heard, "from"), Some("juliet@capulet.test/desk"), "{heard}");
    romeo.send("<message to='juliet@capulet.test/desk' type='chat'><body>neither, fair maid</body></message>");
    assert_eq!(attribute(&juliet.expect("neither, fair maid"), "from"), Some("romeo@montague.test/desk"));
    let answer = juliet.iq("get", Some("romeo@montague.test/nobody"), "<ping xmlns='urn:xmpp:ping'/>");
    assert!(answer.contains("service-unavailable"), "{answer}");
    // The domain itself, which answers by the way back.
    let answer = juliet.iq("get", Some("montague.test"), "<query xmlns='http://jabber.org/protocol/disco#info'/>");
    assert!(answer.contains("<identity"), "{answer}");
}

#[test]
fn xep0485_s4_a_server_says_with_whom_it_is_connected_and_who_says_so_too_is_named() {
    let publishing = "[xep.server_info]\npublish = true";
    let (capulet, montague) = two(publishing);
    let (one, other) = (capulet.start(), montague.start());
    let (mut juliet, mut romeo) = (capulet.online(&one, "juliet"), montague.online(&other, "romeo"));
    let subscribe = "<pubsub xmlns='http://jabber.org/protocol/pubsub'><subscribe node='serverinfo' jid='juliet@capulet.test/desk'/></pubsub>";
    assert!(juliet.iq("set", Some("pubsub.capulet.test"), subscribe).contains("subscription='subscribed'"));
    chat(&mut juliet, "romeo@montague.test", "there");
    romeo.expect("there");
    // Each asks the other one whether it may be named, on a stream of its own.
    let connections = "<connection type='incoming'/><connection type='outgoing'/>";
    let named = format!("<federation><remote-domain name='montague.test'>{connections}</remote-domain></federation>");
    juliet.expect_within(&named, Duration::from_secs(40));
}

#[test]
fn contacts_of_two_servers_see_each_other_come_and_go() {
    let (capulet, montague) = two("");
    let (one, other) = (capulet.start(), montague.start());
    let (mut juliet, mut romeo) = (capulet.online(&one, "juliet"), montague.online(&other, "romeo"));
    juliet.send("<presence type='subscribe' to='romeo@montague.test'/>");
    assert_eq!(attribute(&romeo.expect("type='subscribe'"), "from"), Some("juliet@capulet.test"));
    romeo.send("<presence type='subscribed' to='juliet@capulet.test'/><presence type='subscribe' to='juliet@capulet.test'/>");
    juliet.expect("from='romeo@montague.test/desk'");
    juliet.expect("type='subscribe'");
    juliet.send("<presence type='subscribed' to='romeo@montague.test'/>");
    romeo.expect("from='juliet@capulet.test/desk'");
    juliet.send("<presence><show>away</show></presence>");
    assert!(romeo.expect("from='juliet@capulet.test/desk'").contains("<show>away</show>"));
    juliet.close();
    assert!(romeo.expect("from='juliet@capulet.test/desk'").contains("unavailable"));
    // Who comes anew asks after the others, and is told.
    let mut juliet = capulet.online(&one, "juliet");
    juliet.expect("from='romeo@montague.test/desk'");
    romeo.expect("from='juliet@capulet.test/desk'");
    // What is said to who is away waits there.
    romeo.close();
    assert!(juliet.expect("from='romeo@montague.test/desk'").contains("unavailable"));
    juliet.send("<message to='romeo@montague.test' type='chat'><body>where art thou</body></message>");
    juliet.iq("get", Some("montague.test"), "<ping xmlns='urn:xmpp:ping'/>");
    let mut romeo = montague.online(&other, "romeo");
    assert!(romeo.expect("where art thou").contains("urn:xmpp:delay"));
}

#[test]
fn people_of_another_server_come_into_a_room() {
    let (capulet, montague) = two("");
    let (one, other) = (capulet.start(), montague.start());
    let (mut juliet, mut romeo) = (capulet.online(&one, "juliet"), montague.online(&other, "romeo"));
    let enter = "<x xmlns='http://jabber.org/protocol/muc'/>";
    juliet.send(&format!("<presence to='orchard@conference.capulet.test/juliet'>{enter}</presence>"));
    juliet.expect("code='201'");
    juliet.iq(
        "set",
        Some("orchard@conference.capulet.test"),
        "<query xmlns='http://jabber.org/protocol/muc#owner'><x xmlns='jabber:x:data' type='submit'/></query>",
    );
    romeo.send(&format!("<presence to='orchard@conference.capulet.test/romeo'>{enter}</presence>"));
    romeo.expect("code='110'");
    juliet.expect("from='orchard@conference.capulet.test/romeo'");
    romeo.send("<message to='orchard@conference.capulet.test' type='groupchat'><body>by yonder moon</body></message>");
    romeo.expect("by yonder moon");
    juliet.expect("by yonder moon");
    juliet.send("<message to='orchard@conference.capulet.test' type='groupchat'><body>swear not</body></message>");
    romeo.expect("swear not");
    // Its archive is for who is in it.
    let query = "<query xmlns='urn:xmpp:mam:2'/>";
    romeo.send(&format!("<iq type='set' id='mam' to='orchard@conference.capulet.test'>{query}</iq>"));
    romeo.expect("by yonder moon");
    romeo.expect("<fin");
    juliet.iq(
        "set",
        Some("orchard@conference.capulet.test"),
        "<query xmlns='http://jabber.org/protocol/muc#admin'><item nick='romeo' role='none'/></query>",
    );
    assert!(romeo.expect("code='307'").contains("unavailable"));
}

/// XEP-0357 with an app server at another house: a program that is a domain there (XEP-0114).
#[test]
fn xep0357_an_app_server_of_another_house_is_told() {
    let (capulet, mut montague) = two("");
    montague.config += "[[listen]]\nkind = \"component\"\naddress = \"127.0.0.1:0\"\n\
                        [[xep.components.component]]\ndomain = \"app.montague.test\"\nsecret = \"northnorthwest\"\n";
    let (one, other) = (capulet.start(), montague.start());
    let mut app = components::connect(components::address(&other), "app.montague.test", "northnorthwest");
    let mut juliet = capulet.online(&one, "juliet");
    let enable = "<enable xmlns='urn:xmpp:push:0' jid='app.montague.test' node='yxs32uqsflafdk3iuqo'/>";
    assert!(juliet.iq("set", None, enable).contains("type='result'"));
    juliet.close();
    let mut romeo = montague.online(&other, "romeo");
    romeo.send("<message to='juliet@capulet.test' type='chat'><body>good night</body></message>");
    let told = app.expect("urn:xmpp:push:0");
    assert_eq!(attribute(&told, "from"), Some("capulet.test"), "{told}");
    assert!(told.contains("node='yxs32uqsflafdk3iuqo'") && !told.contains("good night"), "{told}");
    let id = attribute(&told, "id").expect("an id").to_owned();
    app.send(&format!("<iq from='app.montague.test' to='capulet.test' type='result' id='{id}'/>"));
    // It does not know that device any more: the registration goes, and it is told no more.
    // Of one conversation not each message of some seconds is told: somebody else speaks.
    let mut nurse = montague.online(&other, "juliet");
    nurse.send("<message to='juliet@capulet.test' type='chat'><body>good night again</body></message>");
    let told = app.expect("urn:xmpp:push:0");
    let id = attribute(&told, "id").expect("an id").to_owned();
    let gone = "<error type='cancel'><gone xmlns='urn:ietf:params:xml:ns:xmpp-stanzas'/></error>";
    app.send(&format!("<iq from='app.montague.test' to='capulet.test' type='error' id='{id}'>{gone}</iq>"));
    // Its answer has been heard when the server answers what comes behind it.
    app.send("<iq from='app.montague.test' to='capulet.test' type='get' id='p'><ping xmlns='urn:xmpp:ping'/></iq>");
    app.expect("id='p'");
    let mut romeo = capulet.online(&one, "romeo");
    romeo.send("<message to='juliet@capulet.test' type='chat'><body>parting is such sweet sorrow</body></message>");
    romeo.iq("get", Some("capulet.test"), "<ping xmlns='urn:xmpp:ping'/>");
    app.send("<iq from='app.montague.test' to='capulet.test' type='get' id='q'><ping xmlns='urn:xmpp:ping'/></iq>");
    let heard = app.expect("<");
    assert!(heard.contains("id='q'"), "{heard}");
}

#[test]
fn xep0368_servers_speak_in_tls_from_the_first_byte() {
    let authority = Authority::new();
    let (capulet, montague) = two_of([&authority, &authority], "", "tls://");
    they_talk(&capulet, &montague);
}

/// Nobody knows who has issued the certificates: with keys alone they believe each other where the operator says so.
#[test]
fn xep0220_servers_without_certificates_ask_for_keys() {
    let (capulet, montague) = two_of([&Authority::new(), &Authority::new()], "certificate_required = false", "");
    they_talk(&capulet, &montague);
}

#[test]
fn e3_a_server_without_a_certificate_is_spoken_with_nowhere_else() {
    let (capulet, montague) = two_of([&Authority::new(), &Authority::new()], "", "");
    let (one, _other) = (capulet.start(), montague.start());
    let mut juliet = capulet.online(&one, "juliet");
    chat(&mut juliet, "romeo@montague.test", "there");
    let back = juliet.expect("type='error'");
    assert!(back.contains("<remote-server-timeout ") && back.contains("montague.test: "), "{back}");
}

/// R18: what is said to a server that is away waits for it, in order, and comes back when that is too long.
#[test]
fn r18_what_is_for_a_server_that_is_away_waits_for_it() {
    let (mut capulet, montague) = two("");
    let (one, other) = (capulet.start(), montague.start());
    let (mut juliet, mut romeo) = (capulet.online(&one, "juliet"), montague.online(&other, "romeo"));
    chat(&mut juliet, "romeo@montague.test", "m0");
    romeo.expect("<body>m0");
    // Acknowledged by the other house: it is not said again.
    juliet.enable_sm().expect("acknowledgements");
    chat(&mut juliet, "romeo@montague.test", "m1");
    juliet.send("<r xmlns='urn:xmpp:sm:3'/>");
    juliet.expect("h='1'");
    other.kill();
    for n in 2..=20 {
        chat(&mut juliet, "romeo@montague.test", &format!("m{n}"));
    }
    // Handled: it is on disk here, and a crash changes nothing.
    juliet.send("<r xmlns='urn:xmpp:sm:3'/>");
    juliet.expect("h='20'");
    one.kill();
    let one = capulet.start();
    let other = montague.start();
    let mut romeo = montague.online(&other, "romeo");
    for n in 2..=20 {
        let heard = romeo.expect("<body>m");
        assert!(heard.contains(&format!("<body>m{n}</body>")), "m{n} expected: {heard}");
    }
    // Too long: whoever said it hears of it.
    drop(one);
    capulet.config += "[limits]\npeer_queue_timeout = \"1s\"\n";
    let one = capulet.start();
    drop(other);
    let mut juliet = capulet.online(&one, "juliet");
    chat(&mut juliet, "romeo@montague.test", "late");
    let back = juliet.expect("id='late'");
    assert!(back.contains("type='error'") && back.contains("<remote-server-timeout "), "{back}");
}

/// XEP-0060 9.2: what a contact of another server wants to hear their client is asked, and its news go there, as the last item does.
#[test]
fn xep0163_contacts_of_two_servers_hear_of_what_their_clients_want() {
    const TUNE: &str = "http://jabber.org/protocol/tune";
    let (capulet, montague) = two("");
    let (one, other) = (capulet.start(), montague.start());
    let (mut juliet, mut romeo) = (capulet.online(&one, "juliet"), montague.online(&other, "romeo"));
    juliet.send("<presence type='subscribe' to='romeo@montague.test'/>");
    romeo.expect("type='subscribe'");
    romeo.send("<presence type='subscribed' to='juliet@capulet.test'/><presence type='subscribe' to='juliet@capulet.test'/>");
    juliet.expect("type='subscribe'");
    juliet.send("<presence type='subscribed' to='romeo@montague.test'/>");
    romeo.expect("from='juliet@capulet.test/desk'");
    let publish = |title: &str| {
        let tune = format!("<tune xmlns='{TUNE}'><title>{title}</title></tune>");
        format!(
            "<pubsub xmlns='http://jabber.org/protocol/pubsub'><publish node='{TUNE}'><item id='current'>{tune}</item></publish></pubsub>"
        )
    };
    assert!(juliet.iq("set", None, &publish("first")).contains("type='result'"));
    // "client/pc//play<http://jabber.org/protocol/disco#info<http://jabber.org/protocol/tune+notify<"
    let caps = "<c xmlns='http://jabber.org/protocol/caps' hash='sha-1' node='urn:play' ver='o/dwyYLMQA6+pCthnjzzpZ9zYE0='/>";
    let features = format!(
        "<query xmlns='http://jabber.org/protocol/disco#info'><identity category='client' type='pc' name='play'/>\
         <feature var='http://jabber.org/protocol/disco#info'/><feature var='{TUNE}+notify'/></query>"
    );
    romeo.send(&format!("<presence>{caps}</presence>"));
    // By both servers, in whatever order.
    for _ in 0..2 {
        let question = romeo.expect("type='get'");
        let [id, from] = ["id", "from"].map(|name| attribute(&question, name).expect("an attribute"));
        romeo.send(&format!("<iq type='result' id='{id}' to='{from}'>{features}</iq>"));
    }
    let last = romeo.expect("<title>first");
    assert!(attribute(&last, "from") == Some("juliet@capulet.test") && last.contains("urn:xmpp:delay"), "{last}");
    assert!(juliet.iq("set", None, &publish("second")).contains("type='result'"));
    assert!(!romeo.expect("<title>second").contains("urn:xmpp:delay"));
    // Whoever comes while she sleeps hears it as well.
    juliet.close();
    romeo.expect("type='unavailable'");
    romeo.send("<presence type='unavailable'/>");
    romeo.send(&format!("<presence>{caps}</presence>"));
    assert!(romeo.expect("<title>second").contains("urn:xmpp:delay"));
}
