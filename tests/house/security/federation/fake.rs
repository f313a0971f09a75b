//! A server of another domain, to which Iris connects: it says what the test tells it to.

use std::io::{ErrorKind, Read, Write};
use std::net::{Ipv4Addr, TcpListener, TcpStream, UdpSocket};

use rustls::{ServerConfig, ServerConnection, StreamOwned};

use super::*;

pub enum Io {
    Plain(TcpStream),
    Tls(Box<StreamOwned<ServerConnection, TcpStream>>),
}

pub struct Fake {
    io: Option<Io>,
    unheard: Vec<u8>,
}

pub fn listen(at: Ipv4Addr) -> TcpListener {
    let listener = TcpListener::bind((at, 5269)).expect("a port");
    listener.set_nonblocking(true).expect("a socket");
    listener
}

pub fn showing((certificate, key): &(String, String)) -> Arc<ServerConfig> {
    let certificate = CertificateDer::from_pem_slice(certificate.as_bytes()).expect("a certificate");
    let key = PrivateKeyDer::from_pem_slice(key.as_bytes()).expect("a key");
    let builder = ServerConfig::builder_with_provider(Arc::new(rustls::crypto::aws_lc_rs::default_provider()));
    let builder = builder.with_safe_default_protocol_versions().expect("versions").with_no_client_auth();
    Arc::new(builder.with_single_cert(vec![certificate], key).expect("a server"))
}

const FEATURES_TLS: &str =
    "<stream:features><starttls xmlns='urn:ietf:params:xml:ns:xmpp-tls'><required/></starttls></stream:features>";

impl Fake {
    /// Somebody connects.
    pub fn accept(listener: &TcpListener) -> Fake {
        Fake::try_accept(listener, PATIENCE).expect("somebody connects")
    }

    pub fn try_accept(listener: &TcpListener, within: Duration) -> Option<Fake> {
        let end = Instant::now() + within;
        loop {
            match listener.accept() {
                Ok((socket, _)) => {
                    socket.set_nonblocking(false).expect("a socket");
                    socket.set_read_timeout(Some(PATIENCE)).expect("a socket");
                    socket.set_write_timeout(Some(PATIENCE)).expect("a socket");
                    return Some(Fake { io: Some(Io::Plain(socket)), unheard: Vec::new() });
                }
                Err(error) if error.kind() == ErrorKind::WouldBlock => {}
                Err(error) => panic!("{error}"),
            }
            if Instant::now() >= end {
                return None;
            }
            std::thread::sleep(Duration::from_millis(2));
        }
    }

    pub fn say(&mut self, xml: &str) {
        let said = match self.io.as_mut().expect("a connection") {
            Io::Plain(socket) => socket.write_all(xml.as_bytes()),
            Io::Tls(tls) => tls.write_all(xml.as_bytes()).and_then(|()| tls.flush()),
        };
        said.expect("the house reads");
    }

    /// Everything up to this, with it.
    #[track_caller]
    pub fn until(&mut self, needle: &str) -> String {
        loop {
            if let Some(at) = self.unheard.windows(needle.len()).position(|it| it == needle.as_bytes()) {
                let heard = self.unheard.drain(..at + needle.len()).collect();
                return String::from_utf8(heard).expect("UTF-8");
            }
            assert!(self.read(), "{needle:?} has not come: {}", String::from_utf8_lossy(&self.unheard));
        }
    }

    /// Everything until the end of the connection.
    pub fn rest(&mut self) -> String {
        while self.read() {}
        String::from_utf8(std::mem::take(&mut self.unheard)).expect("UTF-8")
    }

    fn read(&mut self) -> bool {
        let mut chunk = [0; 16 * 1024];
        let read = match self.io.as_mut().expect("a connection") {
            Io::Plain(socket) => socket.read(&mut chunk),
            Io::Tls(tls) => tls.read(&mut chunk),
        };
        match read {
            Ok(0) => false,
            Ok(n) => {
                self.unheard.extend_from_slice(&chunk[..n]);
                true
            }
            Err(error) if matches!(error.kind(), ErrorKind::UnexpectedEof | ErrorKind::ConnectionReset) => false,
            Err(error) => panic!("{error}: {}", String::from_utf8_lossy(&self.unheard)),
        }
    }

    /// It is greeted and greets; features follow.
    pub fn header(&mut self, id: &str) -> String {
        let heard = self.until("xml:lang='en'>");
        let to = attribute(heard.trim_start_matches("<?xml version='1.0'?>"), "to").unwrap_or(THEM).to_owned();
        self.say(&format!(
            "<?xml version='1.0'?><stream:stream id='{id}' from='{to}' to='{US}' version='1.0' xmlns='jabber:server' \
             xmlns:db='jabber:server:dialback' xmlns:stream='http://etherx.jabber.org/streams'>"
        ));
        heard
    }

    pub fn shake_hands(&mut self, config: Arc<ServerConfig>) {
        let Some(Io::Plain(socket)) = self.io.take() else { panic!("no plain connection") };
        let connection = ServerConnection::new(config).expect("a connection");
        let mut tls = StreamOwned::new(connection, socket);
        while tls.conn.is_handshaking() {
            tls.conn.complete_io(&mut tls.sock).expect("a handshake");
        }
        self.io = Some(Io::Tls(Box::new(tls)));
    }

    /// STARTTLS; the header of the stream in it is answered.
    pub fn secure(&mut self, config: Arc<ServerConfig>) {
        self.header("1");
        self.say(FEATURES_TLS);
        self.until("<starttls xmlns='urn:ietf:params:xml:ns:xmpp-tls'/>");
        self.say("<proceed xmlns='urn:ietf:params:xml:ns:xmpp-tls'/>");
        self.shake_hands(config);
        self.header("2");
    }

    /// As `secure`, and whoever it is may speak.
    pub fn welcome(&mut self, config: Arc<ServerConfig>) {
        self.secure(config);
        self.say("<stream:features><mechanisms xmlns='urn:ietf:params:xml:ns:xmpp-sasl'><mechanism>EXTERNAL</mechanism></mechanisms></stream:features>");
        self.until("</auth>");
        self.say("<success xmlns='urn:ietf:params:xml:ns:xmpp-sasl'/>");
        self.header("3");
        self.say("<stream:features/>");
    }
}

/// What a name server says.
#[derive(Clone, Copy)]
pub enum Names {
    /// There is no such name.
    None,
    /// Nothing at all.
    Silent,
}

/// On loopback; its address.
pub fn name_server(names: Names) -> SocketAddr {
    let socket = UdpSocket::bind("127.0.0.1:0").expect("a socket");
    let at = socket.local_addr().expect("an address");
    std::thread::spawn(move || {
        let mut packet = [0; 1_500];
        while let Ok((bytes, asker)) = socket.recv_from(&mut packet) {
            if matches!(names, Names::Silent) {
                continue;
            }
            // RFC 1035 4.1: the header, the question and nothing else.
            let mut end = 12;
            while end < bytes && packet[end] != 0 {
                end += 1 + usize::from(packet[end]);
            }
            let mut answer = packet[..(end + 5).min(bytes)].to_vec();
            answer[2] = 0x81;
            answer[3] = 0x83;
            answer[6..12].fill(0);
            // Whoever asked may have gone.
            let _ = socket.send_to(&answer, asker);
        }
    });
    at
}
