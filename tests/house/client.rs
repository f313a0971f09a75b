//! A small blocking XMPP client that sees every byte, and checks nothing that a test does not ask for.
//!
//! ```text
//! let mut juliet = Client::online(server.plain, "juliet", "balcony");
//! juliet.send("<iq type='get' id='1'><ping xmlns='urn:xmpp:ping'/></iq>");
//! juliet.expect("id='1'");
//! ```

use std::io::{self, ErrorKind, Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, Instant};

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer, ServerName};
use rustls::{ClientConfig, ClientConnection, RootCertStore, StreamOwned};

pub const DOMAIN: &str = "localhost";
/// The password of every account of `Server::with_users`.
pub const PASSWORD: &str = "a password for tests";
/// How long something may take that is expected to happen: long, for a busy machine.
pub const PATIENCE: Duration = Duration::from_secs(20);

enum Io {
    Plain(TcpStream),
    Tls(Box<StreamOwned<ClientConnection, TcpStream>>),
}

/// One connection. What is read is cut at first-level elements; `<stream:stream …>` and `</stream:stream>` are one each.
pub struct Client {
    io: Option<Io>,
    incoming: Vec<u8>,
    /// The full JID, once bound.
    pub jid: String,
    /// The last `<stream:features/>`.
    pub features: String,
    /// How often it has spoken after listening, TLS aside: round trips.
    pub flights: u32,
    listened: bool,
}

/// Trusts the authority of `ca.crt` and nobody else.
pub fn trusting(ca: &Path) -> Arc<ClientConfig> {
    let roots = roots(ca);
    let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    let builder = ClientConfig::builder_with_provider(provider).with_safe_default_protocol_versions().expect("versions");
    Arc::new(builder.with_root_certificates(roots).with_no_client_auth())
}

fn roots(ca: &Path) -> RootCertStore {
    let mut roots = RootCertStore::empty();
    for certificate in CertificateDer::pem_file_iter(ca).expect("a readable ca.crt") {
        roots.add(certificate.expect("PEM")).expect("a certificate");
    }
    roots
}

/// As `trusting`, and shows this certificate to a server that asks for one.
pub fn trusting_with(ca: &Path, shown: (CertificateDer<'static>, PrivateKeyDer<'static>)) -> Arc<ClientConfig> {
    let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    let builder = ClientConfig::builder_with_provider(provider).with_safe_default_protocol_versions().expect("versions");
    // Whatever it is: not looked at here.
    let key = rustls::crypto::aws_lc_rs::sign::any_supported_type(&shown.1).expect("a key");
    let shown = rustls::sign::SingleCertAndKey::from(rustls::sign::CertifiedKey::new(vec![shown.0], key));
    Arc::new(builder.with_root_certificates(roots(ca)).with_client_cert_resolver(Arc::new(shown)))
}

impl Client {
    // --- connecting ---------------------------------------------------------------------------------------------------

    /// TCP and nothing else: for the listener `c2s-plain`, or to speak before STARTTLS.
    pub fn connect(address: SocketAddr) -> io::Result<Client> {
        let socket = TcpStream::connect_timeout(&address, PATIENCE)?;
        socket.set_nodelay(true)?;
        socket.set_write_timeout(Some(PATIENCE))?;
        Ok(Client {
            io: Some(Io::Plain(socket)),
            incoming: Vec::new(),
            jid: String::new(),
            features: String::new(),
            flights: 0,
            listened: true,
        })
    }

    /// TLS from the first byte (XEP-0368), without ALPN.
    pub fn direct_tls(address: SocketAddr, config: Arc<ClientConfig>) -> io::Result<Client> {
        let mut client = Client::connect(address)?;
        client.shake_hands(config)?;
        Ok(client)
    }

    /// STARTTLS (RFC 6120 5); the stream is to be opened anew by the caller (`open` or `login`).
    pub fn starttls(address: SocketAddr, config: Arc<ClientConfig>) -> io::Result<Client> {
        let mut client = Client::connect(address)?;
        client.open();
        client.send("<starttls xmlns='urn:ietf:params:xml:ns:xmpp-tls'/>");
        client.expect("<proceed");
        client.shake_hands(config)?;
        Ok(client)
    }

    /// Logged in over the plain listener, bound, and with XEP-0198 off. No presence is sent.
    pub fn bound(address: SocketAddr, user: &str, resource: &str) -> Client {
        Client::try_bound(address, user, resource).expect("login and bind")
    }

    /// As `bound`, for a server that may die meanwhile.
    pub fn try_bound(address: SocketAddr, user: &str, resource: &str) -> io::Result<Client> {
        let mut client = Client::connect(address)?;
        client.login(user, PASSWORD)?;
        client.bind(resource)?;
        Ok(client)
    }

    /// As `bound`, and available; its own presence has come back.
    pub fn online(address: SocketAddr, user: &str, resource: &str) -> Client {
        let mut client = Client::bound(address, user, resource);
        client.send("<presence/>");
        client.expect("<presence");
        client
    }

    /// Everything that follows is encrypted.
    pub fn shake_hands(&mut self, config: Arc<ClientConfig>) -> io::Result<()> {
        self.shake_hands_with(DOMAIN, config)
    }

    /// As `shake_hands`, asking for this domain's certificate.
    pub fn shake_hands_with(&mut self, domain: &str, config: Arc<ClientConfig>) -> io::Result<()> {
        let Some(Io::Plain(socket)) = self.io.take() else { return Err(ErrorKind::NotConnected.into()) };
        socket.set_read_timeout(Some(PATIENCE))?;
        let name = ServerName::try_from(domain.to_owned()).map_err(io::Error::other)?;
        let connection = ClientConnection::new(config, name).map_err(io::Error::other)?;
        let mut tls = StreamOwned::new(connection, socket);
        while tls.conn.is_handshaking() {
            tls.conn.complete_io(&mut tls.sock)?;
        }
        self.incoming.clear();
        self.io = Some(Io::Tls(Box::new(tls)));
        Ok(())
    }

    /// The certificate that the server showed (DER).
    pub fn certificate(&self) -> Option<Vec<u8>> {
        match self.io.as_ref()? {
            Io::Tls(tls) => tls.conn.peer_certificates()?.first().map(|it| it.to_vec()),
            Io::Plain(_) => None,
        }
    }

    /// The TLS session, for whoever wants to look into it.
    pub fn tls(&self) -> Option<&ClientConnection> {
        match self.io.as_ref()? {
            Io::Tls(tls) => Some(&tls.conn),
            Io::Plain(_) => None,
        }
    }

    // --- negotiating --------------------------------------------------------------------------------------------------

    /// Opens the stream (again); its features are returned and kept.
    pub fn try_open(&mut self) -> io::Result<String> {
        self.try_open_to(DOMAIN)
    }

    pub fn try_open_to(&mut self, domain: &str) -> io::Result<String> {
        self.try_send(&format!(
            "<?xml version='1.0'?><stream:stream to='{domain}' version='1.0' xml:lang='en' xmlns='jabber:client' \
             xmlns:stream='http://etherx.jabber.org/streams'>"
        ))?;
        self.features = self.try_expect("<stream:features", PATIENCE)?;
        Ok(self.features.clone())
    }

    pub fn open(&mut self) -> String {
        self.try_open().expect("stream features")
    }

    /// Open, SASL PLAIN (RFC 4616), open again.
    pub fn login(&mut self, user: &str, password: &str) -> io::Result<()> {
        self.try_open()?;
        let answer = self.sasl_plain(user, password)?;
        if !answer.starts_with("<success") {
            return Err(io::Error::other(answer));
        }
        self.try_open()?;
        Ok(())
    }

    /// One SASL exchange on an open stream: `<success/>`, `<failure/>` or a stream error.
    pub fn sasl_plain(&mut self, user: &str, password: &str) -> io::Result<String> {
        let blob = STANDARD.encode(format!("\0{user}\0{password}"));
        self.try_send(&format!("<auth xmlns='urn:ietf:params:xml:ns:xmpp-sasl' mechanism='PLAIN'>{blob}</auth>"))?;
        self.read(PATIENCE)
    }

    /// Binds a resource; the full JID is returned and kept.
    pub fn bind(&mut self, resource: &str) -> io::Result<String> {
        let bind = "<bind xmlns='urn:ietf:params:xml:ns:xmpp-bind'>";
        self.try_send(&format!("<iq type='set' id='bind'>{bind}<resource>{resource}</resource></bind></iq>"))?;
        let answer = self.try_expect("<iq", PATIENCE)?;
        let jid = between(&answer, "<jid>", "</jid>").ok_or_else(|| io::Error::other(answer.clone()))?;
        self.jid = jid.to_owned();
        Ok(self.jid.clone())
    }

    /// XEP-0198 with resumption; the id to resume with.
    pub fn enable_sm(&mut self) -> io::Result<String> {
        self.try_send("<enable xmlns='urn:xmpp:sm:3' resume='true'/>")?;
        let enabled = self.try_expect("<enabled", PATIENCE)?;
        Ok(attribute(&enabled, "id").unwrap_or_default().to_owned())
    }

    /// XEP-0198 5, instead of `bind` after `login`: `<resumed/>` or `<failed/>`.
    pub fn resume_sm(&mut self, previd: &str, h: u32) -> io::Result<String> {
        self.try_send(&format!("<resume xmlns='urn:xmpp:sm:3' previd='{previd}' h='{h}'/>"))?;
        self.read(PATIENCE)
    }

    // --- speaking and hearing -----------------------------------------------------------------------------------------

    /// How long a server may leave what is said to it unread, before saying it fails.
    pub fn be_read_within(&mut self, time: Duration) {
        let socket = match self.io.as_ref() {
            Some(Io::Plain(socket)) => socket,
            Some(Io::Tls(tls)) => &tls.sock,
            None => return,
        };
        socket.set_write_timeout(Some(time)).expect("a socket");
    }

    pub fn try_send(&mut self, xml: &str) -> io::Result<()> {
        self.try_send_bytes(xml.as_bytes())
    }

    /// As they are: no UTF-8, no XML is needed.
    pub fn try_send_bytes(&mut self, bytes: &[u8]) -> io::Result<()> {
        self.flights += u32::from(std::mem::take(&mut self.listened));
        match self.io.as_mut() {
            Some(Io::Plain(socket)) => socket.write_all(bytes),
            Some(Io::Tls(tls)) => tls.write_all(bytes).and_then(|()| tls.flush()),
            None => Err(ErrorKind::NotConnected.into()),
        }
    }

    pub fn send(&mut self, xml: &str) {
        self.try_send(xml).expect("the server reads");
    }

    /// The next first-level element. `TimedOut`: nothing came in time; `UnexpectedEof`: the connection is closed.
    pub fn read(&mut self, within: Duration) -> io::Result<String> {
        let end = Instant::now() + within;
        loop {
            if let Some(length) = first_level(&self.incoming) {
                let element: Vec<u8> = self.incoming.drain(..length).collect();
                let element = String::from_utf8(element).map_err(io::Error::other)?;
                return Ok(element.trim_start().to_owned());
            }
            let left = end.saturating_duration_since(Instant::now());
            if left.is_zero() {
                return Err(ErrorKind::TimedOut.into());
            }
            self.receive(left)?;
        }
    }

    /// `read` with patience.
    pub fn read_stanza(&mut self) -> String {
        self.read(PATIENCE).expect("another element")
    }

    /// The first element with this text in it; what comes before it is skipped.
    pub fn try_expect(&mut self, needle: &str, within: Duration) -> io::Result<String> {
        let end = Instant::now() + within;
        loop {
            let element = self.read(end.saturating_duration_since(Instant::now()))?;
            if element.contains(needle) {
                return Ok(element);
            }
            if element.starts_with("<stream:error") {
                return Err(io::Error::other(element));
            }
        }
    }

    pub fn expect(&mut self, needle: &str) -> String {
        self.expect_within(needle, PATIENCE)
    }

    pub fn expect_within(&mut self, needle: &str, within: Duration) -> String {
        self.try_expect(needle, within).unwrap_or_else(|error| panic!("{}: no {needle:?}: {error}", self.jid))
    }

    /// Everything that comes within this time.
    pub fn drain(&mut self, within: Duration) -> Vec<String> {
        let end = Instant::now() + within;
        std::iter::from_fn(|| self.read(end.saturating_duration_since(Instant::now())).ok()).collect()
    }

    /// An iq and its answer.
    pub fn iq(&mut self, kind: &str, to: Option<&str>, payload: &str) -> String {
        self.try_iq(kind, to, payload, PATIENCE).expect("an answer")
    }

    pub fn try_iq(&mut self, kind: &str, to: Option<&str>, payload: &str, within: Duration) -> io::Result<String> {
        let id = format!("q{}", NEXT_ID.fetch_add(1, std::sync::atomic::Ordering::Relaxed));
        let to = to.map(|to| format!(" to='{to}'")).unwrap_or_default();
        self.try_send(&format!("<iq type='{kind}' id='{id}'{to}>{payload}</iq>"))?;
        let end = Instant::now() + within;
        loop {
            let element = self.try_expect(&id, end.saturating_duration_since(Instant::now()))?;
            if element.starts_with("<iq") && attribute(&element, "id") == Some(&id) {
                return Ok(element);
            }
        }
    }

    /// The server answers a ping (XEP-0199): how long it took.
    pub fn ping(&mut self, within: Duration) -> io::Result<Duration> {
        let began = Instant::now();
        let answer = self.try_iq("get", Some(DOMAIN), "<ping xmlns='urn:xmpp:ping'/>", within)?;
        if answer.contains("type='result'") { Ok(began.elapsed()) } else { Err(io::Error::other(answer)) }
    }

    /// Until the server closes the connection: everything it said before.
    pub fn read_to_end(&mut self, within: Duration) -> io::Result<Vec<String>> {
        let end = Instant::now() + within;
        let mut all = Vec::new();
        loop {
            match self.read(end.saturating_duration_since(Instant::now())) {
                Ok(element) => all.push(element),
                Err(error) if error.kind() == ErrorKind::UnexpectedEof => return Ok(all),
                Err(error) => return Err(error),
            }
        }
    }

    /// Closes the stream politely and waits for the other side to do so.
    pub fn close(mut self) {
        if self.try_send("</stream:stream>").is_ok() {
            let _ = self.read_to_end(PATIENCE);
        }
    }

    /// Says this and leaves at once: the end of TLS and of the connection come with it, and nothing is read any more.
    pub fn say_and_leave(mut self, xml: &str) {
        match self.io.as_mut() {
            Some(Io::Tls(tls)) => {
                tls.conn.set_buffer_limit(None);
                tls.conn.writer().write_all(xml.as_bytes()).expect("a buffer");
                tls.conn.send_close_notify();
                while tls.conn.wants_write() {
                    tls.conn.write_tls(&mut tls.sock).expect("a socket that takes it");
                }
                tls.sock.shutdown(std::net::Shutdown::Write).expect("a socket");
            }
            _ => self.send(xml),
        }
    }

    fn receive(&mut self, within: Duration) -> io::Result<()> {
        let mut chunk = [0; 16 * 1024];
        let n = match self.io.as_mut() {
            Some(Io::Plain(socket)) => {
                socket.set_read_timeout(Some(within))?;
                socket.read(&mut chunk)
            }
            Some(Io::Tls(tls)) => {
                tls.sock.set_read_timeout(Some(within))?;
                tls.read(&mut chunk)
            }
            None => Err(ErrorKind::NotConnected.into()),
        };
        match n {
            Ok(0) => Err(ErrorKind::UnexpectedEof.into()),
            Ok(n) => {
                self.incoming.extend_from_slice(&chunk[..n]);
                self.listened = true;
                Ok(())
            }
            // A socket that was reset is as closed as one that was closed.
            Err(error) if matches!(error.kind(), ErrorKind::ConnectionReset | ErrorKind::BrokenPipe) => {
                Err(ErrorKind::UnexpectedEof.into())
            }
            // What a read timeout is called depends on the system; who has time left reads again.
            Err(error) if matches!(error.kind(), ErrorKind::WouldBlock | ErrorKind::TimedOut | ErrorKind::Interrupted) => {
                Ok(())
            }
            Err(error) => Err(error),
        }
    }
}

static NEXT_ID: std::sync::atomic::AtomicU64 = std::sync::atomic::AtomicU64::new(1);

/// The text between the first `left` and the `right` that follows.
pub fn between<'a>(text: &'a str, left: &str, right: &str) -> Option<&'a str> {
    let (_, rest) = text.split_once(left)?;
    rest.split_once(right).map(|(inner, _)| inner)
}

/// An attribute of the first start tag, as it is escaped there.
pub fn attribute<'a>(element: &'a str, name: &str) -> Option<&'a str> {
    let tag = element.split_once('>')?.0;
    for quote in ['\'', '"'] {
        if let Some((_, rest)) = tag.split_once(&format!(" {name}={quote}")) {
            return rest.split_once(quote).map(|(value, _)| value);
        }
    }
    None
}

/// How long the first first-level element of the stream is; None while it is not whole. White space and the XML declaration
/// in front count to it.
fn first_level(bytes: &[u8]) -> Option<usize> {
    let (mut at, mut depth) = (0, 0usize);
    loop {
        let open = at + bytes.get(at..)?.iter().position(|byte| *byte == b'<')?;
        if bytes[open..].starts_with(b"<![CDATA[") {
            at = open + bytes[open..].windows(3).position(|it| it == b"]]>")? + 3;
            continue;
        }
        let close = end_of_tag(bytes, open)?;
        let tag = &bytes[open..=close];
        at = close + 1;
        if tag.starts_with(b"<?") {
            continue;
        }
        if tag.starts_with(b"</") {
            depth = depth.saturating_sub(1);
        } else if depth == 0 && tag.starts_with(b"<stream:stream") {
            return Some(at);
        } else if !tag.ends_with(b"/>") {
            depth += 1;
        }
        if depth == 0 {
            return Some(at);
        }
    }
}

/// Where the tag that opens at `open` ends: a `>` in an attribute is none.
fn end_of_tag(bytes: &[u8], open: usize) -> Option<usize> {
    let mut quote = None;
    for (i, byte) in bytes.iter().enumerate().skip(open) {
        match (quote, byte) {
            (None, b'>') => return Some(i),
            (None, b'\'' | b'"') => quote = Some(*byte),
            (Some(open), byte) if open == *byte => quote = None,
            _ => {}
        }
    }
    None
}

#[test]
fn elements_are_cut_where_they_end() {
    let stream =
        b"<?xml version='1.0'?><stream:stream a='>'><message><body>1 &gt; 0</body><x/></message> <r/></stream:stream><p";
    let mut rest = &stream[..];
    let mut cut = Vec::new();
    while let Some(length) = first_level(rest) {
        cut.push(String::from_utf8_lossy(&rest[..length]).into_owned());
        rest = &rest[length..];
    }
    assert_eq!(cut.len(), 4, "{cut:?}");
    assert!(cut[0].ends_with("<stream:stream a='>'>") && cut[1].ends_with("</message>"), "{cut:?}");
    assert_eq!((cut[2].as_str(), cut[3].as_str(), rest), (" <r/>", "</stream:stream>", &b"<p"[..]));
    assert_eq!(attribute("<iq type='a' id=\"b\"/>", "id"), Some("b"));
}
