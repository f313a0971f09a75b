//! TLS of a connection, accepted or made by us, as a value: bytes in, bytes out, no socket.
//!
//! A [`TlsSession`] stands on rustls' unbuffered API, so that an idle connection owns no read or write buffer at all:
//! the three `Vec`s of [`TlsSession::read`] are the worker's scratch space, shared by every connection of a thread.
//! Only a record that has not arrived completely stays behind, in the connection's own `incoming`.
//!
//! The unbuffered API has neither an exporter nor the SNI; `tls/witness.rs` tells how both are had nevertheless.
//!
//! We are the client only towards other servers ([`TlsSession::connect`]). In either role their certificate is judged
//! after the handshake, `certs/peer.rs`: whoever has a bad one may still be let in by dialback, so the handshake only
//! sees to it that nobody shows a certificate without its key (`tls/peer.rs`).
//!
//! Not done here: timers (a stalled handshake is ended by the pipe), 0-RTT (refused: replayable, RFC 8446 8), resumption
//! as a client (streams between servers live long).

mod config;
mod error;
mod peer;
mod side;
#[cfg(test)]
mod tests;
mod witness;

use std::cell::RefCell;
use std::mem;
use std::net::IpAddr;
use std::sync::Arc;

use rustls::client::UnbufferedClientConnection;
use rustls::pki_types::{CertificateDer, ServerName};
use rustls::server::UnbufferedServerConnection;
use rustls::sign::CertifiedKey;
use rustls::unbuffered::{ConnectionState, EncodeError, EncodeTlsData, EncryptError, InsufficientSizeError};
use rustls::{ClientConfig, HandshakeKind, ProtocolVersion, ServerConfig};

pub(crate) use config::provider;
pub use config::{ALPN_CLIENT, ALPN_HTTP, ALPN_SERVER, ClientAuth, closed_config, server_config};
pub use error::TlsError;
pub use peer::{peer_client_config, peer_server_auth};
use side::{Records, Side};
use witness::Witness;

/// Plain bytes in one record at most (RFC 8446 5.1, RFC 5246 6.2.1).
const RECORD_PLAIN_BYTES_MAX: usize = 16_384;

/// What a record adds to its plain bytes, rounded up: header 5, tag 16, and an explicit nonce of 8 (TLS 1.2, RFC 5288)
/// or the inner content type (TLS 1.3).
const RECORD_OVERHEAD_BYTES_MAX: usize = 32;

/// Undigested bytes of an unfinished handshake at most. A handshake message may have 64 KiB and may be cut into records
/// of one byte (six on the wire); nobody honest does that, and a ClientHello has about 2 KB with post-quantum shares.
const HANDSHAKE_INCOMING_BYTES_MAX: usize = 72 * 1024;

/// Where a session stands after a [`TlsSession::read`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum TlsState {
    /// Send what is in `out`, read more.
    Handshaking,
    /// Data flows both ways.
    Open,
    /// The peer sent `close_notify`: no more data will come, `write` still works (RFC 8446 6.1).
    PeerClosed,
}

/// Our side of one TLS connection. `Send`, may move between threads at any point.
pub struct TlsSession {
    connection: Side,
    phase: Phase,
    /// Sees what passes between rustls and its configuration; freed when the handshake ends.
    witness: Option<Arc<Witness>>,
    server_name: Option<Box<str>>,
    certified_key: Option<Arc<CertifiedKey>>,
    tls_exporter: Option<[u8; 32]>,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Phase {
    Handshaking,
    Open,
    PeerClosed,
    Failed,
}

/// A certificate and its `tls-server-end-point`, if that is defined.
type EndPoint = (Arc<CertifiedKey>, Option<Box<[u8]>>);

thread_local! {
    /// Of the connection before: most are shown the same, and reading a certificate is a fiftieth of a login.
    static END_POINT: RefCell<Option<EndPoint>> = const { RefCell::new(None) };
}

impl TlsSession {
    /// A session that waits for a ClientHello.
    ///
    /// # Errors
    /// [`TlsError::Config`] when rustls refuses the configuration.
    pub fn accept(config: Arc<ServerConfig>) -> Result<Self, TlsError> {
        let (config, witness) = Witness::of_server(&config);
        let connection = UnbufferedServerConnection::new(config).map_err(TlsError::Config)?;
        Ok(Self::new(Side::Server(connection), witness))
    }

    /// A session with the server of `domain`, whose ClientHello is ready: a [`Self::read`] of nothing appends it to `out`.
    ///
    /// SNI is the domain of the stream, never the host that DNS named (RFC 6120 5.4.3.1, XEP-0368 3); in A-labels, and
    /// none if the domain is an IP address (RFC 6066 3), which may stand in brackets.
    ///
    /// Under TLS 1.3 the session is open before the server has looked at our certificate: it may refuse it later
    /// ([`TlsError::Alert`]).
    ///
    /// # Errors
    /// [`TlsError::Name`] when `domain` can be no name in DNS; [`TlsError::Config`] when rustls refuses the
    /// configuration.
    pub fn connect(config: Arc<ClientConfig>, domain: &str) -> Result<Self, TlsError> {
        let name = server_name(domain).ok_or(TlsError::Name)?;
        let (config, witness) = Witness::of_client(&config);
        let sni = match &name {
            ServerName::DnsName(name) if config.enable_sni => Some(name.as_ref().into()),
            _ => None,
        };
        let connection = UnbufferedClientConnection::new(config, name).map_err(TlsError::Config)?;
        Ok(Self { server_name: sni, ..Self::new(Side::Client { connection, pieces: Box::default() }, witness) })
    }

    fn new(connection: Side, witness: Arc<Witness>) -> Self {
        Self {
            connection,
            phase: Phase::Handshaking,
            witness: Some(witness),
            server_name: None,
            certified_key: None,
            tls_exporter: None,
        }
    }

    /// Digests what arrived.
    ///
    /// `incoming` holds ciphertext from the socket; complete records are drained from it, the rest stays for the next
    /// call (free the `Vec` when it is empty). Decrypted data is appended to `plain`; handshake records, tickets and
    /// alerts to send are appended to `out`.
    ///
    /// # Errors
    /// The session is over: send `out` (it may hold the alert that says why), then close the socket. What was appended
    /// to `plain` before the error is genuine.
    pub fn read(&mut self, incoming: &mut Vec<u8>, plain: &mut Vec<u8>, out: &mut Vec<u8>) -> Result<TlsState, TlsError> {
        if self.phase == Phase::Failed {
            incoming.clear();
            return Err(TlsError::Closed);
        }
        let mut digested = 0;
        let done = match &mut self.connection {
            Side::Server(connection) => digest(connection, incoming, &mut digested, plain, out),
            Side::Client { connection, pieces } => {
                if !pieces.is_empty() {
                    incoming.splice(..0, mem::take(pieces));
                }
                digest(connection, incoming, &mut digested, plain, out)
            }
        };
        let done = done.and_then(|closed| {
            // Never closed during a handshake (rustls does not believe an unauthenticated alert), but perhaps in one packet
            // with its last message.
            if self.phase == Phase::Handshaking && (closed || !self.connection.is_handshaking()) {
                self.open();
            }
            if closed {
                self.phase = Phase::PeerClosed;
            }
            self.check_rest(incoming.get(digested..).unwrap_or_default())
        });
        if let Err(error) = done {
            incoming.clear();
            self.fail(out);
            return Err(error);
        }
        if self.phase == Phase::PeerClosed {
            // "Any data received after a closure alert has been received MUST be ignored" (RFC 8446 6.1).
            incoming.clear();
            return Ok(TlsState::PeerClosed);
        }
        incoming.drain(..digested.min(incoming.len()));
        if let Side::Client { pieces, .. } = &mut self.connection
            && self.phase == Phase::Open
            && holds_complete_record(incoming)
        {
            // rustls needs them at the next *write* too: it indexes them in the buffer, and panics on an empty one.
            *pieces = incoming.drain(..).collect();
        }
        Ok(match self.phase {
            Phase::Handshaking => TlsState::Handshaking,
            _ => TlsState::Open,
        })
    }

    fn open(&mut self) {
        self.phase = Phase::Open;
        if let Some(witness) = self.witness.take() {
            let seen = witness.take();
            if matches!(self.connection, Side::Server(_)) {
                self.server_name = seen.server_name;
            }
            self.certified_key = seen.certified_key;
            self.tls_exporter =
                self.connection.negotiated_cipher_suite().and_then(|suite| seen.exporter?.channel_binding(suite));
        }
    }

    /// Is what could not be digested a reasonable beginning of something?
    fn check_rest(&self, rest: &[u8]) -> Result<(), TlsError> {
        match self.phase {
            Phase::Handshaking if rest.len() > HANDSHAKE_INCOMING_BYTES_MAX => Err(TlsError::HandshakeTooLarge),
            // A complete record that stays means: a handshake message in pieces. After the handshake a client has only
            // KeyUpdate to send, five bytes, and cuts them for no good reason.
            Phase::Open if holds_complete_record(rest) => match self.connection {
                Side::Server(_) => Err(TlsError::FragmentedHandshake),
                // A server has tickets. Several in one flight are cut where a record is full, and one may have 64 KiB: the
                // certificates that we showed are in it.
                Side::Client { .. } if rest.len() > HANDSHAKE_INCOMING_BYTES_MAX => Err(TlsError::HandshakeTooLarge),
                Side::Client { .. } => Ok(()),
            },
            _ => Ok(()),
        }
    }

    /// Encrypts `plain` and appends the records to `out`: as few as possible, 16 KiB each at most.
    ///
    /// # Errors
    /// [`TlsError::NotOpen`] before the handshake's end, [`TlsError::Closed`] after [`Self::close_notify`] or a failed
    /// read, [`TlsError::KeysExhausted`] when a TLS 1.2 connection used up its keys (`out` then has the `close_notify`).
    pub fn write(&mut self, plain: &[u8], out: &mut Vec<u8>) -> Result<(), TlsError> {
        if plain.is_empty() {
            return Ok(());
        }
        let done = self.say(Saying::Data(plain), out);
        if matches!(done, Err(TlsError::KeysExhausted)) {
            self.fail(out);
        }
        done
    }

    /// Appends the alert that says "nothing more from me" (RFC 8446 6.1); nothing during a handshake or after an error.
    pub fn close_notify(&mut self, out: &mut Vec<u8>) {
        // An error here means that there is nobody left to be told.
        let _ = self.say(Saying::CloseNotify, out);
    }

    fn say(&mut self, saying: Saying<'_>, out: &mut Vec<u8>) -> Result<(), TlsError> {
        match self.phase {
            Phase::Handshaking => return Err(TlsError::NotOpen),
            Phase::Failed => return Err(TlsError::Closed),
            Phase::Open | Phase::PeerClosed => {}
        }
        match &mut self.connection {
            // A server has no pieces: `check_rest`.
            Side::Server(connection) => say(connection, &mut [], saying, out),
            Side::Client { connection, pieces } => say(connection, pieces, saying, out),
        }
    }

    /// Ends the session; an alert that rustls has queued goes to `out`.
    fn fail(&mut self, out: &mut Vec<u8>) {
        self.phase = Phase::Failed;
        self.witness = None;
        match &mut self.connection {
            Side::Server(connection) => last_words(connection, out),
            Side::Client { connection, .. } => last_words(connection, out),
        }
    }

    /// Has the handshake ended well, and nobody failed since?
    pub fn is_open(&self) -> bool {
        matches!(self.phase, Phase::Open | Phase::PeerClosed)
    }

    /// TLS 1.2 or 1.3, once agreed.
    pub fn protocol_version(&self) -> Option<ProtocolVersion> {
        self.connection.protocol_version()
    }

    /// The cipher suite's IANA name, once agreed, such as `TLS13_AES_256_GCM_SHA384`.
    pub fn cipher_suite(&self) -> Option<rustls::CipherSuite> {
        self.connection.negotiated_cipher_suite().map(|suite| suite.suite())
    }

    /// The protocol chosen by ALPN; `None` when the client offered none, or the server ignored it (RFC 7301).
    pub fn alpn(&self) -> Option<&[u8]> {
        self.connection.alpn_protocol()
    }

    /// The host the client asked for by SNI, lower case, once open (RFC 6066 3). As a client: what we ask for.
    pub fn server_name(&self) -> Option<&str> {
        self.server_name.as_deref()
    }

    /// Was a ticket redeemed instead of a full handshake?
    pub fn resumed(&self) -> bool {
        self.connection.handshake_kind() == Some(HandshakeKind::Resumed)
    }

    /// The peer's certificate chain, leaf first; a client gives one only when it was asked for.
    pub fn peer_certificates(&self) -> Option<&[CertificateDer<'static>]> {
        self.connection.peer_certificates()
    }

    /// The certificate that we showed on this very connection, whatever was reloaded since; as a client, if we were asked.
    pub fn certified_key(&self) -> Option<&Arc<CertifiedKey>> {
        self.certified_key.as_ref()
    }

    /// Channel binding `tls-exporter` (RFC 9266), once open.
    ///
    /// `None` under TLS 1.2: it would need the extended master secret, which rustls does not tell, and libraries disagree
    /// whether the empty context is fed to the older PRF. `tls-server-end-point` serves those clients.
    pub fn tls_exporter(&self) -> Option<[u8; 32]> {
        self.tls_exporter
    }

    /// Channel binding `tls-server-end-point` (RFC 5929 4), once open; `None` when it is undefined for the certificate.
    pub fn tls_server_end_point(&self) -> Option<Box<[u8]>> {
        if matches!(self.connection, Side::Client { .. }) {
            // The server's certificate is the peer's. One of a kind, no need to remember it.
            return self.is_open().then(|| crate::certs::end_point(self.peer_certificates()?.first()?))?;
        }
        let shown = self.certified_key.as_ref()?;
        END_POINT.with_borrow_mut(|last| match last {
            Some((key, end_point)) if Arc::ptr_eq(key, shown) => end_point.clone(),
            _ => {
                let end_point = crate::certs::end_point(shown.cert.first()?);
                last.insert((shown.clone(), end_point)).1.clone()
            }
        })
    }
}

/// What goes out through [`say`].
#[derive(Clone, Copy)]
enum Saying<'a> {
    Data(&'a [u8]),
    CloseNotify,
}

/// The name in SNI: lower case, A-labels. `None`: neither a name in DNS nor an address.
fn server_name(domain: &str) -> Option<ServerName<'static>> {
    let bare = domain.strip_prefix('[').and_then(|rest| rest.strip_suffix(']')).unwrap_or(domain);
    match bare.parse::<IpAddr>() {
        Ok(address) => Some(ServerName::IpAddress(address.into())),
        Err(_) => ServerName::try_from(crate::certs::a_label(domain.strip_suffix('.').unwrap_or(domain))).ok(),
    }
}

/// Lets rustls have all of `incoming`; `digested` is how much of it may go. Did the peer send `close_notify`?
fn digest<C: Records>(
    connection: &mut C,
    incoming: &mut [u8],
    digested: &mut usize,
    plain: &mut Vec<u8>,
    out: &mut Vec<u8>,
) -> Result<bool, TlsError> {
    loop {
        // A cursor instead of draining after each record: many small records in one packet would be moved again
        // and again.
        let rest = incoming.get_mut(*digested..).unwrap_or_default();
        let status = connection.records(rest);
        *digested = digested.saturating_add(status.discard);
        match status.state.map_err(TlsError::from_rustls)? {
            ConnectionState::ReadTraffic(mut traffic) => {
                while let Some(record) = traffic.next_record() {
                    let record = record.map_err(TlsError::from_rustls)?;
                    *digested = digested.saturating_add(record.discard);
                    plain.extend_from_slice(record.payload);
                }
            }
            ConnectionState::EncodeTlsData(mut data) => encode(&mut data, out)?,
            ConnectionState::TransmitTlsData(data) => data.done(),
            // Cannot happen with `max_early_data_size` 0; another configuration is not ours.
            ConnectionState::ReadEarlyData(_) => return Err(TlsError::EarlyData),
            ConnectionState::PeerClosed | ConnectionState::Closed => return Ok(true),
            // Nothing more to do with these bytes. Under TLS 1.3 a server may *write* before the client's Finished
            // arrived; we wait for it, so that nothing is said to somebody who only replays a ClientHello.
            _ => return Ok(false),
        }
    }
}

/// Has rustls encrypt something. `pieces` is the beginning of what will arrive, as far as rustls has seen it.
fn say<C: Records>(connection: &mut C, pieces: &mut [u8], saying: Saying<'_>, out: &mut Vec<u8>) -> Result<(), TlsError> {
    loop {
        // No other input here: that this is safe while some waits elsewhere is what `read` sees to.
        match connection.records(pieces).state.map_err(TlsError::from_rustls)? {
            ConnectionState::WriteTraffic(mut traffic) => {
                return match saying {
                    Saying::Data(plain) => {
                        let records = plain.len().div_ceil(RECORD_PLAIN_BYTES_MAX);
                        let room = plain.len() + records * RECORD_OVERHEAD_BYTES_MAX;
                        fill(out, room, |space| traffic.encrypt(plain, space))
                    }
                    Saying::CloseNotify => fill(out, RECORD_OVERHEAD_BYTES_MAX, |space| traffic.queue_close_notify(space)),
                };
            }
            ConnectionState::EncodeTlsData(mut data) => encode(&mut data, out)?,
            ConnectionState::TransmitTlsData(data) => data.done(),
            _ => return Err(TlsError::Closed),
        }
    }
}

/// What rustls wants to have sent although nothing will be read any more.
fn last_words<C: Records>(connection: &mut C, out: &mut Vec<u8>) {
    // Only while something is queued: beyond that rustls would look into an input that is no longer there.
    while connection.wants_write() {
        match connection.records(&mut []).state {
            Ok(ConnectionState::EncodeTlsData(mut data)) => {
                if encode(&mut data, out).is_err() {
                    return;
                }
            }
            Ok(ConnectionState::ReadTraffic(mut traffic)) => while traffic.next_record().is_some() {},
            _ => return,
        }
    }
}

/// Does `bytes` begin with a record that is there to its last byte?
fn holds_complete_record(bytes: &[u8]) -> bool {
    match bytes {
        [_, _, _, high, low, payload @ ..] => payload.len() >= usize::from(u16::from_be_bytes([*high, *low])),
        _ => false,
    }
}

/// Appends a record that rustls has ready.
fn encode<Data>(data: &mut EncodeTlsData<'_, Data>, out: &mut Vec<u8>) -> Result<(), TlsError> {
    // The size is told by the refusal only. Nothing is lost by it.
    let needed = match data.encode(&mut []) {
        Ok(_) => return Ok(()),
        Err(EncodeError::InsufficientSize(InsufficientSizeError { required_size })) => required_size,
        Err(EncodeError::AlreadyEncoded) => return Err(TlsError::Closed),
    };
    let start = out.len();
    out.resize(start + needed, 0);
    let written = data.encode(out.get_mut(start..).unwrap_or_default()).map_err(|_| TlsError::Closed)?;
    out.truncate(start + written);
    Ok(())
}

/// Appends to `out` what `write` puts into a slice, which should need `room` bytes.
fn fill(
    out: &mut Vec<u8>,
    room: usize,
    mut write: impl FnMut(&mut [u8]) -> Result<usize, EncryptError>,
) -> Result<(), TlsError> {
    let start = out.len();
    let mut room = room;
    // Twice at most: a queued KeyUpdate goes out with the data and may need more than was reckoned.
    for _ in 0..2 {
        out.resize(start + room, 0);
        let written = write(out.get_mut(start..).unwrap_or_default());
        out.truncate(start + *written.as_ref().unwrap_or(&0));
        match written {
            Ok(_) => return Ok(()),
            Err(EncryptError::InsufficientSize(InsufficientSizeError { required_size })) => room = required_size,
            Err(EncryptError::EncryptExhausted) => break,
        }
    }
    Err(TlsError::KeysExhausted)
}
