//! A small blocking HTTP client that sends what it is told to.

use std::io::{ErrorKind, Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::sync::Arc;

use rustls::pki_types::ServerName;
use rustls::{ClientConfig, ClientConnection, StreamOwned};

use crate::client::{DOMAIN, PATIENCE};

trait Stream: Read + Write + Send {}
impl<T: Read + Write + Send> Stream for T {}

pub struct Http {
    io: Box<dyn Stream>,
    incoming: Vec<u8>,
}

#[derive(Debug)]
pub struct Response {
    pub status: u16,
    pub head: String,
    pub body: Vec<u8>,
}

impl Response {
    pub fn text(&self) -> String {
        String::from_utf8_lossy(&self.body).into_owned()
    }

    pub fn header(&self, name: &str) -> Option<&str> {
        self.head.lines().skip(1).find_map(|line| {
            let (key, value) = line.split_once(':')?;
            key.eq_ignore_ascii_case(name).then(|| value.trim())
        })
    }

    pub fn closes(&self) -> bool {
        self.header("connection").is_some_and(|it| it.eq_ignore_ascii_case("close"))
    }
}

impl Http {
    pub fn connect(address: SocketAddr) -> Http {
        Http { io: Box::new(socket(address)), incoming: Vec::new() }
    }

    /// TLS, for `DOMAIN`.
    pub fn secure(address: SocketAddr, config: Arc<ClientConfig>) -> Http {
        Http::secure_over(socket(address), config)
    }

    /// TLS over a connection on which something has been said already.
    pub fn secure_over(mut socket: TcpStream, config: Arc<ClientConfig>) -> Http {
        let name = ServerName::try_from(DOMAIN).expect("a name");
        let mut tls = ClientConnection::new(config, name).expect("a client");
        while tls.is_handshaking() {
            tls.complete_io(&mut socket).expect("a handshake");
        }
        Http { io: Box::new(StreamOwned::new(tls, socket)), incoming: Vec::new() }
    }

    pub fn send(&mut self, bytes: &[u8]) {
        // A server that has heard enough may have closed.
        let _ = self.io.write_all(bytes).and_then(|()| self.io.flush());
    }

    pub fn get(&mut self, path: &str) -> Response {
        self.request("GET", path, &[], b"")
    }

    pub fn request(&mut self, method: &str, path: &str, headers: &[(&str, &str)], body: &[u8]) -> Response {
        self.ask(method, path, headers, body);
        self.response()
    }

    pub fn ask(&mut self, method: &str, path: &str, headers: &[(&str, &str)], body: &[u8]) {
        let mut head = format!("{method} {path} HTTP/1.1\r\n");
        if !headers.iter().any(|(name, _)| *name == "Host") {
            head += "Host: localhost\r\n";
        }
        for (name, value) in headers {
            head += &format!("{name}: {value}\r\n");
        }
        if !body.is_empty() || method == "POST" {
            head += &format!("Content-Length: {}\r\n", body.len());
        }
        head += "\r\n";
        let mut request = head.into_bytes();
        request.extend_from_slice(body);
        self.send(&request);
    }

    pub fn response(&mut self) -> Response {
        self.try_response().expect("a response")
    }

    /// None: the connection was closed instead.
    pub fn try_response(&mut self) -> Option<Response> {
        let end = loop {
            if let Some(at) = self.incoming.windows(4).position(|it| it == b"\r\n\r\n") {
                break at + 4;
            }
            self.more()?;
        };
        let head = String::from_utf8_lossy(&self.incoming[..end]).into_owned();
        self.incoming.drain(..end);
        let status = head.split_whitespace().nth(1).and_then(|code| code.parse().ok()).expect("a status");
        let mut response = Response { status, head, body: Vec::new() };
        let length = response.header("content-length").and_then(|it| it.parse().ok()).unwrap_or(0usize);
        while self.incoming.len() < length {
            self.more()?;
        }
        response.body = self.incoming.drain(..length).collect();
        Some(response)
    }

    /// Bytes beyond HTTP (after an upgrade); None at the end of the connection.
    pub fn more(&mut self) -> Option<()> {
        let mut chunk = [0; 16 * 1024];
        match self.io.read(&mut chunk) {
            Ok(0) => None,
            Ok(n) => {
                self.incoming.extend_from_slice(&chunk[..n]);
                Some(())
            }
            Err(error) if matches!(error.kind(), ErrorKind::WouldBlock | ErrorKind::TimedOut) => panic!("nothing is said"),
            Err(_) => None,
        }
    }

    /// What has been read and not been understood yet.
    pub fn incoming(&mut self) -> &mut Vec<u8> {
        &mut self.incoming
    }

    pub fn read_to_end(&mut self) -> Vec<u8> {
        while self.more().is_some() {}
        std::mem::take(&mut self.incoming)
    }
}

fn socket(address: SocketAddr) -> TcpStream {
    let socket = TcpStream::connect_timeout(&address, PATIENCE).expect("a connection");
    socket.set_nodelay(true).expect("a socket");
    socket.set_read_timeout(Some(PATIENCE)).expect("a socket");
    socket.set_write_timeout(Some(PATIENCE)).expect("a socket");
    socket
}
