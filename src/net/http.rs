//! Connections that speak HTTP. They are accepted, and their handshake is done, on the workers; then they are handed to whoever
//! reads requests (`iris-web`, on a runtime of its own). One that asks for `/xmpp-websocket` comes back and lives on a worker.

use std::io;
use std::net::IpAddr;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::TcpStream;

use crate::counters::Open;
use crate::origin::Page;
use crate::tls::{TlsSession, TlsState};
use crate::worker::Command;
use crate::{Place, Service, Shared, pipe};

/// Takes what speaks HTTP. Called on a worker's thread: it must not block.
pub type Http = Arc<dyn Fn(HttpConnection) + Send + Sync>;

/// A connection that has yet to be given to a runtime.
pub struct HttpConnection {
    pub(crate) stream: std::net::TcpStream,
    pub(crate) line: Line,
}

/// Everything about it but the socket.
pub(crate) struct Line {
    pub shared: Arc<Shared>,
    pub peer: IpAddr,
    pub place: Place,
    pub tls: Option<Box<TlsSession>>,
    /// Ciphertext that is no whole record yet.
    pub incoming: Vec<u8>,
    /// Plain bytes that nobody has read yet.
    pub pending: Vec<u8>,
    /// Bytes that the socket did not take yet.
    pub outgoing: Vec<u8>,
    /// Counted among the open connections.
    pub open: Option<Open>,
}

impl Line {
    /// On this machine, or one whose limits are lifted.
    fn is_near(&self) -> bool {
        self.peer.to_canonical().is_loopback() || self.shared.guard.is_lifted(self.peer)
    }
}

impl Drop for Line {
    fn drop(&mut self) {
        if !self.place.unlimited {
            self.shared.guard.leave_http(self.peer);
        }
    }
}

impl HttpConnection {
    /// The client's address.
    pub fn peer(&self) -> IpAddr {
        self.line.peer
    }

    /// Is it encrypted?
    pub fn is_secure(&self) -> bool {
        self.line.tls.is_some()
    }

    /// Did it come in where the house shows its insides (`kind = "http"`)?
    pub fn is_inside(&self) -> bool {
        self.line.place.service == Service::Http
    }

    /// Are rate limits and bans lifted?
    pub fn is_unlimited(&self) -> bool {
        self.line.place.unlimited
    }

    /// Does nobody between here and there hear what is said? TLS sees to that, or a proxy that the operator vouches for.
    pub fn is_private(&self) -> bool {
        self.is_secure() || self.line.place.proxied || self.line.is_near()
    }

    /// May it say for whom it asks (`X-Forwarded-For`)? A proxy in front, that does not say it by the PROXY protocol.
    pub fn is_proxy(&self) -> bool {
        self.is_inside() && !self.line.place.proxied && self.line.is_near()
    }

    /// Bytes both ways, on the runtime that calls this.
    ///
    /// # Errors
    /// The runtime cannot watch the socket.
    pub fn attach(self) -> io::Result<HttpStream> {
        Ok(HttpStream { stream: TcpStream::from_std(self.stream)?, line: self.line, ended: false })
    }
}

/// A request that becomes a WebSocket.
pub struct WebSocketRequest<'a> {
    /// Who asks; not the connection's peer if that is a proxy.
    pub peer: IpAddr,
    /// Limits and bans are lifted for this visitor.
    pub unlimited: bool,
    /// As the request says.
    pub origin: Option<&'a str>,
    pub host: Option<&'a str>,
}

/// The plain bytes of a connection.
pub struct HttpStream {
    stream: TcpStream,
    line: Line,
    ended: bool,
}

impl HttpStream {
    /// A WebSocket from here on, its handshake answered: to a worker, to live there. `read`: what came behind the request.
    pub fn into_websocket(mut self, read: &[u8], asked: &WebSocketRequest<'_>) {
        let shared = self.line.shared.clone();
        let WebSocketRequest { peer, unlimited, origin, host } = *asked;
        let page = match origin.map(|origin| Page::new(origin, host)) {
            None => None,
            Some(Some(page)) => Some(page),
            // The handshake should have refused it.
            Some(None) => return,
        };
        if !unlimited && !shared.guard.admit(peer, std::time::Instant::now()) {
            return;
        }
        self.line.pending.splice(..0, read.iter().copied());
        match self.stream.into_std() {
            Ok(stream) => {
                let traveller = pipe::from_http(stream, self.line, (peer, unlimited), page);
                shared.counters.websockets.one();
                shared.next_worker().command(Command::Adopt(Box::new(traveller)));
            }
            Err(error) => {
                if !unlimited {
                    shared.guard.leave(peer);
                }
                tracing::debug!(%error, "a connection was lost");
            }
        }
    }
}

/// Bytes read, or encrypted, at once.
const CHUNK_BYTES: usize = 16 * 1024;

impl HttpStream {
    /// Gives the socket what is left to say.
    fn poll_drain(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        while !self.line.outgoing.is_empty() {
            let n = ready!(Pin::new(&mut self.stream).poll_write(cx, &self.line.outgoing))?;
            if n == 0 {
                return Poll::Ready(Err(io::ErrorKind::WriteZero.into()));
            }
            self.line.outgoing.drain(..n);
        }
        Poll::Ready(Ok(()))
    }

    fn digest(&mut self) -> io::Result<()> {
        let Line { tls, incoming, pending, outgoing, .. } = &mut self.line;
        let Some(tls) = tls else { return Ok(()) };
        match tls.read(incoming, pending, outgoing) {
            Ok(TlsState::PeerClosed) => self.ended = true,
            Ok(TlsState::Handshaking | TlsState::Open) => {}
            Err(error) => return Err(io::Error::new(io::ErrorKind::InvalidData, error)),
        }
        Ok(())
    }
}

impl AsyncRead for HttpStream {
    fn poll_read(mut self: Pin<&mut Self>, cx: &mut Context<'_>, out: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        let this = &mut *self;
        loop {
            if !this.line.pending.is_empty() {
                let n = this.line.pending.len().min(out.remaining());
                out.put_slice(&this.line.pending[..n]);
                this.line.pending.drain(..n);
                return Poll::Ready(Ok(()));
            }
            if this.ended {
                return Poll::Ready(Ok(()));
            }
            if this.line.tls.is_none() {
                return Pin::new(&mut this.stream).poll_read(cx, out);
            }
            let mut chunk = [0; CHUNK_BYTES];
            let mut read = ReadBuf::new(&mut chunk);
            ready!(Pin::new(&mut this.stream).poll_read(cx, &mut read))?;
            if read.filled().is_empty() {
                this.ended = true;
                continue;
            }
            this.line.incoming.extend_from_slice(read.filled());
            this.digest()?;
            // An answer of TLS itself; if the socket is full it goes out with the next write.
            if let Poll::Ready(Err(error)) = this.poll_drain(cx) {
                return Poll::Ready(Err(error));
            }
        }
    }
}

impl AsyncWrite for HttpStream {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        let this = &mut *self;
        if this.line.tls.is_none() {
            return Pin::new(&mut this.stream).poll_write(cx, bytes);
        }
        ready!(this.poll_drain(cx))?;
        let chunk = bytes.get(..CHUNK_BYTES).unwrap_or(bytes);
        let Line { tls, outgoing, .. } = &mut this.line;
        if let Some(tls) = tls {
            tls.write(chunk, outgoing).map_err(|error| io::Error::new(io::ErrorKind::BrokenPipe, error))?;
        }
        // What the socket does not take now goes out with the next write or flush.
        if let Poll::Ready(Err(error)) = this.poll_drain(cx) {
            return Poll::Ready(Err(error));
        }
        Poll::Ready(Ok(chunk.len()))
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        ready!(self.poll_drain(cx))?;
        Pin::new(&mut self.stream).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let Line { tls, outgoing, .. } = &mut self.line;
        if let Some(mut tls) = tls.take() {
            tls.close_notify(outgoing);
            // Without its TLS the line would read ciphertext.
            self.ended = true;
        }
        ready!(self.poll_drain(cx))?;
        Pin::new(&mut self.stream).poll_shutdown(cx)
    }
}
