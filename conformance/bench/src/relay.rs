//! The limit: what the kernel and TLS alone cost. A relay without any XML, on one thread, over the rustls that Iris uses: what a member of
//! a group says goes to all of it (of two: to the other one), each with one record and one write, as it was read. Other servers are measured against it in the
//! same run, because absolute figures are those of one machine on one day.

use std::io::{ErrorKind, Read, Write};
use std::net::SocketAddr;
use std::sync::Arc;

use anyhow::{Context, Result};
use mio::net::{TcpListener, TcpStream};
use mio::{Events, Interest, Poll, Token};
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::{ServerConfig, ServerConnection};

/// Said to a client when its handshake is over.
pub const READY: &[u8] = b"<ready/>";

const LISTENER: Token = Token(usize::MAX);

struct Member {
    socket: TcpStream,
    tls: ServerConnection,
    ready: bool,
}

/// `iris-bench relay`: serves until it is killed. Connections are put into groups of `group` in the order in which they come; in groups of
/// one, whoever says anything has said goodbye.
pub fn serve(port: u16, directory: &str, group: usize) -> Result<()> {
    let chain = CertificateDer::pem_file_iter(format!("{directory}/cert.pem"))?.collect::<Result<Vec<_>, _>>()?;
    let key = PrivateKeyDer::from_pem_file(format!("{directory}/key.pem"))?;
    let mut config = ServerConfig::builder().with_no_client_auth().with_single_cert(chain, key)?;
    config.alpn_protocols = vec![b"xmpp-client".to_vec()];
    // As Iris: one ticket, no memory of sessions.
    config.send_tls13_tickets = 1;
    let config = Arc::new(config);
    let mut poll = Poll::new()?;
    let mut listener = TcpListener::bind(SocketAddr::from(([127, 0, 0, 1], port))).context("listening")?;
    poll.registry().register(&mut listener, LISTENER, Interest::READABLE)?;
    let (mut members, mut free): (Vec<Option<Member>>, Vec<usize>) = (Vec::new(), Vec::new());
    let (mut events, mut heard) = (Events::with_capacity(1024), vec![0; 64 * 1024]);
    loop {
        poll.poll(&mut events, None)?;
        for event in &events {
            if event.token() != LISTENER {
                let at = event.token().0;
                let Some(length) = hear(&mut members, at, &mut heard) else { continue };
                let Some(length) = length.filter(|length| group > 1 || *length == 0) else {
                    members[at] = None;
                    free.push(at);
                    continue;
                };
                if length > 0 {
                    let first = at / group * group;
                    let hears = |(place, _): &(usize, &mut Option<Member>)| group > 2 || first + place != at;
                    let group = members[first..].iter_mut().take(group).enumerate().filter(hears);
                    group.filter_map(|(_, member)| member.as_mut()).for_each(|member| member.say(&heard[..length]));
                }
                continue;
            }
            while let Ok((mut socket, _)) = listener.accept() {
                socket.set_nodelay(true)?;
                let at = free.pop().unwrap_or(members.len());
                poll.registry().register(&mut socket, Token(at), Interest::READABLE)?;
                let tls = ServerConnection::new(config.clone())?;
                let member = Some(Member { socket, tls, ready: false });
                match members.get_mut(at) {
                    Some(place) => *place = member,
                    None => members.push(member),
                }
            }
        }
    }
}

/// How many bytes the member at `at` has said; `Some(None)`: it has gone; `None`: there is no such member.
fn hear(members: &mut [Option<Member>], at: usize, heard: &mut [u8]) -> Option<Option<usize>> {
    let member = members.get_mut(at)?.as_mut()?;
    let mut length = 0;
    loop {
        match member.tls.read_tls(&mut member.socket) {
            Ok(0) => return Some(None),
            Ok(_) => {}
            Err(error) if error.kind() == ErrorKind::WouldBlock => break,
            Err(_) => return Some(None),
        }
        let Ok(state) = member.tls.process_new_packets() else { return Some(None) };
        let new = state.plaintext_bytes_to_read().min(heard.len() - length);
        if member.tls.reader().read_exact(&mut heard[length..length + new]).is_err() {
            return Some(None);
        }
        length += new;
    }
    if !member.ready && !member.tls.is_handshaking() {
        member.ready = true;
        member.say(READY);
    }
    member.write();
    Some(Some(length))
}

impl Member {
    fn say(&mut self, bytes: &[u8]) {
        // Into memory; without a limit it takes everything.
        let _ = self.tls.writer().write_all(bytes);
        self.write();
    }

    /// The client reads all the time: what the socket does not take is lost, and the scenario fails.
    fn write(&mut self) {
        while self.tls.wants_write() && self.tls.write_tls(&mut self.socket).is_ok() {}
    }
}
