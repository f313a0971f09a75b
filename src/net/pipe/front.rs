//! Before the first byte of a protocol: TLS, and which protocol it is.

use super::*;
use crate::http::{HttpConnection, Line};
use crate::proxy;
use crate::tls::ALPN_HTTP;

/// What a connection turned out to speak.
pub(super) enum Spoken {
    Xmpp(Transport),
    Http,
    Component,
    Peer { direct: bool },
}

impl Pipe {
    pub(super) async fn front(&mut self, deadline: Instant) -> Result<Spoken, End> {
        if self.place.proxied {
            self.read_proxy_header(deadline).await?;
        }
        let tls = &self.worker.shared.tls;
        let config = match self.place.service {
            Service::StartTls => return Ok(Spoken::Xmpp(Transport::StartTls)),
            Service::Plain => return Ok(Spoken::Xmpp(Transport::Plain)),
            Service::Http => return Ok(Spoken::Http),
            Service::Component => return Ok(Spoken::Component),
            Service::Peer { direct: false } => return Ok(Spoken::Peer { direct: false }),
            Service::Peer { direct: true } => match &tls.peers_direct {
                Some(config) => config.clone(),
                None => return Err(End::Gone),
            },
            Service::Tls { web: false } => tls.direct.clone(),
            Service::Tls { web: true } | Service::Https => tls.web.clone(),
        };
        let session = TlsSession::accept(config).map_err(|error| {
            tracing::error!(%error, "TLS cannot begin");
            End::Gone
        })?;
        self.tls = Some(Box::new(session));
        // What came behind a PROXY header.
        self.incoming = std::mem::take(&mut self.pending);
        self.decrypt()?;
        while self.tls_is_shaking_hands() {
            self.read_more(deadline).await?;
        }
        self.shook_hands();
        let asked = self.tls.as_ref().and_then(|tls| tls.alpn());
        Ok(match (asked, self.place.service) {
            (_, Service::Peer { .. }) => Spoken::Peer { direct: true },
            (Some(ALPN_HTTP), _) | (None, Service::Https) => Spoken::Http,
            _ => Spoken::Xmpp(Transport::DirectTls),
        })
    }

    /// The PROXY protocol: who is really there. Only then it is known whether he may come in.
    async fn read_proxy_header(&mut self, deadline: Instant) -> Result<(), End> {
        let peer = loop {
            match proxy::read(&self.pending) {
                Ok(Some((peer, length))) => {
                    self.pending.drain(..length);
                    break peer;
                }
                Ok(None) => self.read_more(deadline).await?,
                Err(proxy::NoHeader) => {
                    tracing::debug!(peer = %self.peer, "a connection without a PROXY header is closed");
                    return Err(End::Gone);
                }
            }
        };
        if let proxy::Peer::Address(address) = peer {
            self.peer = address;
        }
        let guard = &self.worker.shared.guard;
        self.place.unlimited |= guard.is_lifted(self.peer);
        if !self.place.unlimited {
            if !guard.admit(self.peer, Instant::now()) {
                return Err(End::Gone);
            }
            self.knocking = true;
        }
        Ok(())
    }

    /// Wait for bytes, and answer what TLS itself has to answer.
    pub(super) async fn read_more(&mut self, deadline: Instant) -> Result<(), End> {
        self.flush(deadline).await?;
        let worker = self.worker.clone();
        let readable = async {
            tokio::select! {
                ready = self.way.ready(true, false) => ready.map(|_| ()).map_err(|_| End::Gone),
                () = worker.stop_signal.notified() => Err(End::Gone),
            }
        };
        tokio::time::timeout_at(deadline.into(), readable).await.map_err(|_| {
            worker.shared.counters.negotiation_timeouts.one();
            End::Gone
        })??;
        self.read_some()?;
        if self.ended { Err(End::Gone) } else { Ok(()) }
    }

    /// To those who read HTTP.
    pub(super) fn hand_over(mut self) {
        self.no_longer_knocking();
        self.becomes(State::Http);
        let shared = self.worker.shared.clone();
        if !self.place.unlimited && !shared.guard.admit_http(self.peer) {
            return;
        }
        let line = Line {
            shared: shared.clone(),
            peer: self.peer,
            place: self.place,
            tls: self.tls,
            incoming: self.incoming,
            pending: self.pending,
            outgoing: self.outgoing,
            open: self.open,
        };
        let Way::Socket(stream) = self.way else { return };
        match stream.into_std() {
            Ok(stream) => (shared.http)(HttpConnection { stream, line }),
            Err(error) => tracing::debug!(%error, "a connection was lost"),
        }
    }
}
