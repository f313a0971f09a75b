//! The policy: which TLS this house speaks (RFC 9325).

use std::fmt;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, OnceLock};

use arc_swap::ArcSwap;
use rustls::crypto::CryptoProvider;
use rustls::crypto::aws_lc_rs::{self, Ticketer, cipher_suite as suite, kx_group};
use rustls::server::danger::ClientCertVerifier;
use rustls::server::{NoServerSessionStorage, ProducesTickets};
use rustls::{ServerConfig, version};

use super::TlsError;
use crate::certs::Certificates;

/// ALPN of direct TLS, client to server (XEP-0368).
pub const ALPN_CLIENT: &[u8] = b"xmpp-client";
/// ALPN of HTTP/1.1 (RFC 7301 6).
pub const ALPN_HTTP: &[u8] = b"http/1.1";
/// ALPN of direct TLS, server to server (XEP-0368).
pub const ALPN_SERVER: &[u8] = b"xmpp-server";

/// Whether clients are asked for a certificate (SASL EXTERNAL, RFC 6120 13.7.2): people by `certs::client_auth`, other
/// servers by [`super::peer_server_auth`].
#[derive(Clone, Debug, Default)]
pub enum ClientAuth {
    /// Not asked.
    #[default]
    None,
    /// Asked and judged by this verifier; that of other servers leaves the judgement to `certs::peer`.
    Verify(Arc<dyn ClientCertVerifier>),
}

/// The server's TLS configuration: TLS 1.2 and 1.3, ECDHE and AEAD only, one stateless ticket, no 0-RTT.
///
/// `alpn` in order of our preference; empty means that ALPN is ignored. A client whose offer has nothing in common with
/// it gets `no_application_protocol` (RFC 7301 3.2).
///
/// # Errors
/// [`TlsError::Config`] when the machine's random source fails.
pub fn server_config(certs: Arc<Certificates>, alpn: &[&[u8]], client_auth: ClientAuth) -> Result<Arc<ServerConfig>, TlsError> {
    let builder = ServerConfig::builder_with_provider(provider())
        .with_protocol_versions(&[&version::TLS13, &version::TLS12])
        .map_err(TlsError::Config)?;
    let builder = match client_auth {
        ClientAuth::None => builder.with_no_client_auth(),
        ClientAuth::Verify(verifier) => builder.with_client_cert_verifier(verifier),
    };
    let mut config = builder.with_cert_resolver(certs.clone());
    config.alpn_protocols = alpn.iter().map(|name| name.to_vec()).collect();
    // Ours decides: clients name AES-256 first by habit. (A phone without instructions for AES is not hurt by a few messages.)
    config.ignore_client_order = true;
    config.session_storage = Arc::new(NoServerSessionStorage {});
    config.ticketer = Arc::new(Tickets::new(certs).map_err(TlsError::Config)?);
    config.send_tls13_tickets = 1;
    // 0-RTT can be replayed: no authentication, no resumption over it (RFC 8446 8; B4).
    config.max_early_data_size = 0;
    config.send_half_rtt_data = false;
    Ok(Arc::new(config))
}

/// For a house without listeners: nobody is shown a certificate, so none has to be there.
///
/// # Errors
/// As [`server_config`].
pub fn closed_config() -> Result<Arc<ServerConfig>, TlsError> {
    let builder = ServerConfig::builder_with_provider(provider()).with_protocol_versions(&[&version::TLS13]);
    let builder = builder.map_err(TlsError::Config)?.with_no_client_auth();
    Ok(Arc::new(builder.with_cert_resolver(Arc::new(rustls::server::ResolvesServerCertUsingSni::new()))))
}

/// aws-lc-rs with the suites of RFC 9325 4.2 and a post-quantum hybrid first: chats are recorded today to be read in
/// ten years. AES-128 comes before AES-256 for the hash that belongs to it: processors have instructions for SHA-256 and not for
/// SHA-384, whose rounds were a tenth of what a login costs.
pub(crate) fn provider() -> Arc<CryptoProvider> {
    static PROVIDER: OnceLock<Arc<CryptoProvider>> = OnceLock::new();
    PROVIDER
        .get_or_init(|| {
            Arc::new(CryptoProvider {
                cipher_suites: vec![
                    suite::TLS13_AES_128_GCM_SHA256,
                    suite::TLS13_AES_256_GCM_SHA384,
                    suite::TLS13_CHACHA20_POLY1305_SHA256,
                    suite::TLS_ECDHE_ECDSA_WITH_AES_128_GCM_SHA256,
                    suite::TLS_ECDHE_ECDSA_WITH_AES_256_GCM_SHA384,
                    suite::TLS_ECDHE_ECDSA_WITH_CHACHA20_POLY1305_SHA256,
                    suite::TLS_ECDHE_RSA_WITH_AES_128_GCM_SHA256,
                    suite::TLS_ECDHE_RSA_WITH_AES_256_GCM_SHA384,
                    suite::TLS_ECDHE_RSA_WITH_CHACHA20_POLY1305_SHA256,
                ],
                kx_groups: vec![kx_group::X25519MLKEM768, kx_group::X25519, kx_group::SECP256R1, kx_group::SECP384R1],
                ..aws_lc_rs::default_provider()
            })
        })
        .clone()
}

/// Tickets that die with the certificates they were issued under.
///
/// A client that resumes binds `tls-server-end-point` to the certificate of its *first* handshake; after a change that
/// would no longer be ours, and its login would fail. New keys force a full handshake instead.
struct Tickets {
    certs: Arc<Certificates>,
    generation: AtomicU64,
    current: ArcSwap<Arc<dyn ProducesTickets>>,
}

impl Tickets {
    fn new(certs: Arc<Certificates>) -> Result<Self, rustls::Error> {
        Ok(Self { generation: AtomicU64::new(certs.generation()), current: ArcSwap::from_pointee(Ticketer::new()?), certs })
    }

    fn current(&self) -> Option<Arc<Arc<dyn ProducesTickets>>> {
        let generation = self.certs.generation();
        if self.generation.load(Ordering::Acquire) != generation {
            // Two threads may both come here: the last wins, a ticket of the other one is worth a full handshake.
            self.current.store(Arc::new(Ticketer::new().ok()?));
            self.generation.store(generation, Ordering::Release);
        }
        Some(self.current.load_full())
    }
}

impl ProducesTickets for Tickets {
    fn enabled(&self) -> bool {
        true
    }

    fn lifetime(&self) -> u32 {
        self.current.load().lifetime()
    }

    fn encrypt(&self, plain: &[u8]) -> Option<Vec<u8>> {
        self.current()?.encrypt(plain)
    }

    fn decrypt(&self, cipher: &[u8]) -> Option<Vec<u8>> {
        self.current()?.decrypt(cipher)
    }
}

impl fmt::Debug for Tickets {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Tickets")
    }
}
