//! E: federation, and A and B on streams between servers. Here another server is hostile, is not who it says, or is not there.

use std::net::{Ipv4Addr, SocketAddr};
use std::sync::Arc;
use std::time::{Duration, Instant};

use rustls::ClientConfig;
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};

use crate::authority::{Authority, self_signed};
use crate::client::{Client, PATIENCE, attribute, trusting_with};
use crate::federation::{House, address};
use crate::scene::{last_words, refused};
use crate::server::Server;

mod fake;
mod inbound;
mod outbound;

/// The house, and a domain of another server. No name but its own does any of its addresses have.
const US: &str = "capulet.test";
const THEM: &str = "montague.test";
const OTHERS: &str = "verona.test";

/// Juliet and romeo live here, and the canary sings between them.
struct Siege {
    house: House,
    server: Server,
    juliet: Client,
    romeo: Client,
    authority: Authority,
    /// Of this house: for other servers.
    here: Ipv4Addr,
    /// Where it looks for the server of `THEM` and of `OTHERS`.
    there: Ipv4Addr,
    sung: u32,
    memory_kib: u64,
}

impl Siege {
    fn new() -> Siege {
        Siege::with("")
    }

    /// `more`: keys of `[federation]`, then tables.
    fn with(more: &str) -> Siege {
        let (authority, here, there) = (Authority::new(), address(), address());
        let servers = [THEM, OTHERS].map(|domain| format!("\"{domain}\" = [\"{there}:5269\"]")).join(", ");
        let house = House::new((US, here), &authority, &[US, "*.capulet.test"], &servers, more);
        let server = house.start();
        let (juliet, romeo) = (house.online(&server, "juliet"), house.online(&server, "romeo"));
        let memory_kib = server.memory_kib();
        let mut siege = Siege { house, server, juliet, romeo, authority, here, there, sung: 0, memory_kib };
        siege.canary();
        siege
    }

    /// Nobody here has noticed anything. What else juliet and romeo were sent is skipped.
    #[track_caller]
    fn canary(&mut self) {
        assert!(self.server.ended().is_none(), "the server has ended: {}", self.house.data.logged());
        self.sung += 1;
        for there in [true, false] {
            let (speaker, hearer) =
                if there { (&mut self.juliet, &mut self.romeo) } else { (&mut self.romeo, &mut self.juliet) };
            let song = format!("canary {} {there}", self.sung);
            let began = Instant::now();
            speaker.send(&format!("<message to='{}' type='chat'><body>{song}</body></message>", hearer.jid));
            hearer.expect(&song);
            assert!(began.elapsed() < Duration::from_secs(5), "the canary took {:?}", began.elapsed());
        }
        let grown = self.server.memory_kib().saturating_sub(self.memory_kib);
        assert!(grown < 32 * 1024, "{grown} KiB more are resident");
        let logged = self.house.data.logged();
        assert!(!logged.contains("panicked") && !logged.contains("canary"), "{logged}");
    }

    /// Romeo hears nothing of a probe: what is said to him next is the next that he hears.
    #[track_caller]
    fn romeo_has_heard_nothing(&mut self) {
        self.juliet.send(&format!("<message to='{}' type='chat'><body>all is quiet</body></message>", self.romeo.jid));
        let heard = self.romeo.read_stanza();
        assert!(heard.contains("all is quiet"), "{heard}");
    }

    /// A certificate that this house believes.
    fn shown(&self, names: &[&str]) -> (String, String) {
        self.authority.issue(names)
    }

    fn tls(&self, (certificate, key): &(String, String)) -> Arc<ClientConfig> {
        let certificate = CertificateDer::from_pem_slice(certificate.as_bytes()).expect("a certificate");
        let key = PrivateKeyDer::from_pem_slice(key.as_bytes()).expect("a key");
        trusting_with(&self.house.data.folder().join("authorities.pem"), (certificate, key))
    }

    /// Another server that has connected.
    fn connected(&self) -> Client {
        Client::connect(SocketAddr::from((self.here, 5269))).expect("a connection")
    }

    /// As `connected`, in TLS, and shows this; its stream from `THEM` is open.
    fn opened(&self, shown: &(String, String)) -> Client {
        let mut peer = self.connected();
        open(&mut peer, THEM);
        peer.send("<starttls xmlns='urn:ietf:params:xml:ns:xmpp-tls'/>");
        peer.expect("<proceed");
        peer.shake_hands_with(US, self.tls(shown)).expect("a handshake");
        open(&mut peer, THEM);
        peer
    }

    /// As `opened`, and has proved to be `THEM`.
    fn proved(&self) -> Client {
        let mut peer = self.opened(&self.shown(&[THEM]));
        peer.send(EXTERNAL);
        peer.expect("<success");
        open(&mut peer, THEM);
        peer
    }
}

const EXTERNAL: &str = "<auth xmlns='urn:ietf:params:xml:ns:xmpp-sasl' mechanism='EXTERNAL'>=</auth>";

fn header(from: &str) -> String {
    format!(
        "<?xml version='1.0'?><stream:stream from='{from}' to='{US}' version='1.0' xmlns='jabber:server' \
         xmlns:db='jabber:server:dialback' xmlns:stream='http://etherx.jabber.org/streams'>"
    )
}

/// Features come back.
fn open(peer: &mut Client, from: &str) {
    peer.send(&header(from));
    peer.features = peer.expect("<stream:features");
}

/// From mercutio of theirs to romeo.
fn message(body: &str) -> String {
    format!("<message from='mercutio@{THEM}/street' to='romeo@{US}' type='chat'><body>{body}</body></message>")
}

/// Of the past.
fn expired(authority: &Authority, names: &[&str]) -> (String, String) {
    authority.issue_as(names, |it| {
        it.not_before = rcgen::date_time_ymd(2020, 1, 1);
        it.not_after = rcgen::date_time_ymd(2020, 12, 31);
    })
}

/// Certificates that prove nothing about `THEM`, and in which way.
fn useless(authority: &Authority) -> [(&'static str, (String, String)); 5] {
    [
        ("wrong name", authority.issue(&[OTHERS])),
        ("wildcard over the domain itself", authority.issue(&["*.montague.test", "*.test"])),
        ("self-signed", self_signed(&[THEM])),
        ("of somebody nobody knows", Authority::new().issue(&[THEM])),
        ("expired", expired(authority, &[THEM])),
    ]
}
