//! XEP-0114 over sockets: a program that is a domain of its own.

use std::net::SocketAddr;

use aws_lc_rs::digest::{SHA1_FOR_LEGACY_USE_ONLY, digest};

use crate::client::{Client, DOMAIN, PATIENCE, attribute};
use crate::server::{Data, Server, With};

const SECRET: &str = "northnorthwest";

/// `bot`, `news` and some more live on both threads of the server.
const DOMAINS: [&str; 4] = ["bot", "news", "irc", "sip"];

fn start(data: &Data) -> (Server, SocketAddr) {
    let listen = |kind: &str| format!("[[listen]]\nkind = \"{kind}\"\naddress = \"127.0.0.1:0\"\n");
    let mut config: String = ["c2s-plain", "c2s", "c2s-tls", "https", "http", "component"].map(listen).concat();
    for name in DOMAINS {
        config += &format!("[[xep.components.component]]\ndomain = \"{name}.{DOMAIN}\"\nsecret = \"{SECRET}\"\n");
    }
    let server = data.start_with(&With { config: Some(config), ..With::default() });
    let address = address(&server);
    (server, address)
}

/// Where components come in.
pub fn address(server: &Server) -> SocketAddr {
    let line = server.said.lines().find(|line| line.contains("components")).expect("a place for components");
    line.split_whitespace().next().and_then(|it| it.parse().ok()).expect("its address")
}

fn knock(address: SocketAddr, ns: &str, domain: &str) -> (Client, String) {
    let mut client = Client::connect(address).expect("a connection");
    client.send(&format!("<stream:stream xmlns='{ns}' xmlns:stream='http://etherx.jabber.org/streams' to='{domain}'>"));
    let header = client.expect("<stream:stream");
    let tag = header.split_once("?>").map_or(&*header, |(_, tag)| tag).to_owned();
    (client, tag)
}

fn handshake(client: &mut Client, header: &str, secret: &str) -> String {
    let id = attribute(header, "id").expect("a stream id");
    let digest = digest(&SHA1_FOR_LEGACY_USE_ONLY, format!("{id}{secret}").as_bytes());
    let proof: String = digest.as_ref().iter().map(|byte| format!("{byte:02x}")).collect();
    client.send(&format!("<handshake>{proof}</handshake>"));
    client.read_stanza()
}

fn component(address: SocketAddr, name: &str) -> Client {
    connect(address, &format!("{name}.{DOMAIN}"), SECRET)
}

/// The program that is this domain.
pub fn connect(address: SocketAddr, domain: &str, secret: &str) -> Client {
    let (mut client, header) = knock(address, "jabber:component:accept", domain);
    assert_eq!(attribute(&header, "from"), Some(domain), "{header}");
    assert_eq!(handshake(&mut client, &header, secret), "<handshake/>");
    client
}

#[test]
fn xep0114_a_bot_on_any_thread_echoes_and_ends_politely() {
    let data = Data::with_users(["alice"]);
    let (server, address) = start(&data);
    let mut alice = Client::online(server.plain, "alice", "desk");
    for name in DOMAINS {
        let mut bot = component(address, name);
        alice.send(&format!(
            "<message to='echo@{name}.{DOMAIN}/1' type='chat' id='m' xml:lang='de'><body>a&amp;b</body></message>"
        ));
        let heard = bot.expect("<message");
        assert_eq!(attribute(&heard, "to"), Some(&*format!("echo@{name}.{DOMAIN}/1")), "{heard}");
        assert_eq!(attribute(&heard, "from"), Some(&*format!("alice@{DOMAIN}/desk")), "{heard}");
        // With the namespace of the stream, or without.
        for xmlns in ["", " xmlns='jabber:component:accept'"] {
            bot.send(&format!(
                "<message{xmlns} from='echo@{name}.{DOMAIN}/1' to='alice@{DOMAIN}' type='chat'><body>a&amp;b{name}</body></message>"
            ));
            let echo = alice.expect(&format!("<body>a&amp;b{name}</body>"));
            assert!(!echo.contains("jabber:component"), "{echo}");
        }
        bot.close();
        alice.send(&format!("<message to='echo@{name}.{DOMAIN}/1' type='chat' id='after'><body>still there?</body></message>"));
        assert!(alice.expect("after").contains("<service-unavailable "));
    }
}

#[test]
fn xep0114_s3_who_is_not_that_component_does_not_get_in() {
    let data = Data::new();
    let (_server, address) = start(&data);
    let domain = format!("bot.{DOMAIN}");
    for (ns, to, error) in [
        ("jabber:client", domain.as_str(), "invalid-namespace"),
        ("jabber:component:accept", DOMAIN, "host-unknown"),
        ("jabber:component:accept", "conference.localhost", "host-unknown"),
        ("jabber:component:accept", "elsewhere.example", "host-unknown"),
    ] {
        let (client, _) = knock(address, ns, to);
        ended(client, error);
    }
    let (mut client, header) = knock(address, "jabber:component:accept", &domain);
    assert!(handshake(&mut client, &header, "southsoutheast").contains("<not-authorized "));
    let (mut client, _) = knock(address, "jabber:component:accept", &domain);
    client.send(&format!("<message from='{domain}' to='alice@{DOMAIN}'><body>I am in</body></message>"));
    ended(client, "not-authorized");
    let mut client = Client::connect(address).expect("a connection");
    client.send("GET / HTTP/1.1\r\n\r\n");
    ended(client, "");
    // Its own stanzas end the stream when they are somebody else's.
    let mut bot = component(address, "bot");
    bot.send(&format!("<message from='admin@{DOMAIN}' to='alice@{DOMAIN}'><body>forged</body></message>"));
    ended(bot, "invalid-from");
}

fn ended(mut client: Client, error: &str) {
    let said = client.read_to_end(PATIENCE).expect("the end").concat();
    assert!(said.contains(error), "{error}: {said}");
}
