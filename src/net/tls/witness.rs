//! A witness of one handshake: SNI, certificate and exporter secret, which the unbuffered API does not tell.
//!
//! rustls asks its configuration which certificate to show and tells it the secrets it derives (meant for key logs).
//! So each session gets a copy of the configuration in which one object listens at both places and passes everything on.
//! The secret lives until the 32 bytes of the channel binding are made, at the handshake's end. There rustls drops the
//! copy of a server's configuration; a client's stays as long as the connection (a few hundred bytes).

use std::fmt;
use std::mem;
use std::sync::{Arc, Mutex, PoisonError};

use rustls::client::ResolvesClientCert;
use rustls::crypto::hash::Hash;
use rustls::crypto::tls13::OkmBlock;
use rustls::server::{ClientHello, ResolvesServerCert};
use rustls::sign::CertifiedKey;
use rustls::{ClientConfig, KeyLog, ServerConfig, SignatureScheme, SupportedCipherSuite};

/// The name rustls (and NSS) give to the exporter_secret of RFC 8446 7.1.
const EXPORTER_SECRET: &str = "EXPORTER_SECRET";

/// Label of RFC 9266 2; its context is empty, its length 32.
const CHANNEL_BINDING_LABEL: &[u8] = b"EXPORTER-Channel-Binding";

pub(super) struct Witness {
    resolver: Resolver,
    key_log: Arc<dyn KeyLog>,
    seen: Mutex<Seen>,
}

/// Who really chooses our certificate.
enum Resolver {
    Server(Arc<dyn ResolvesServerCert>),
    Client(Arc<dyn ResolvesClientCert>),
}

#[derive(Default)]
pub(super) struct Seen {
    pub server_name: Option<Box<str>>,
    pub certified_key: Option<Arc<CertifiedKey>>,
    pub exporter: Option<Exporter>,
}

/// The exporter_secret of a TLS 1.3 connection; overwritten when dropped.
pub(super) struct Exporter(OkmBlock);

impl Witness {
    /// The same configuration with a witness in it.
    pub fn of_server(config: &ServerConfig) -> (Arc<ServerConfig>, Arc<Self>) {
        let witness = Self::new(Resolver::Server(config.cert_resolver.clone()), &config.key_log);
        let mut config = config.clone();
        config.cert_resolver = witness.clone();
        config.key_log = witness.clone();
        (Arc::new(config), witness)
    }

    /// As [`Self::of_server`].
    pub fn of_client(config: &ClientConfig) -> (Arc<ClientConfig>, Arc<Self>) {
        let witness = Self::new(Resolver::Client(config.client_auth_cert_resolver.clone()), &config.key_log);
        let mut config = config.clone();
        config.client_auth_cert_resolver = witness.clone();
        config.key_log = witness.clone();
        (Arc::new(config), witness)
    }

    fn new(resolver: Resolver, key_log: &Arc<dyn KeyLog>) -> Arc<Self> {
        Arc::new(Self { resolver, key_log: key_log.clone(), seen: Mutex::default() })
    }

    pub fn take(&self) -> Seen {
        mem::take(&mut *self.seen.lock().unwrap_or_else(PoisonError::into_inner))
    }
}

impl ResolvesServerCert for Witness {
    fn resolve(&self, hello: ClientHello<'_>) -> Option<Arc<CertifiedKey>> {
        let server_name = hello.server_name().map(|name| name.to_ascii_lowercase().into_boxed_str());
        let Resolver::Server(resolver) = &self.resolver else { return None };
        let key = resolver.resolve(hello);
        let mut seen = self.seen.lock().unwrap_or_else(PoisonError::into_inner);
        seen.server_name = server_name;
        seen.certified_key.clone_from(&key);
        key
    }

    fn only_raw_public_keys(&self) -> bool {
        matches!(&self.resolver, Resolver::Server(resolver) if resolver.only_raw_public_keys())
    }
}

impl ResolvesClientCert for Witness {
    fn resolve(&self, authorities: &[&[u8]], schemes: &[SignatureScheme]) -> Option<Arc<CertifiedKey>> {
        let Resolver::Client(resolver) = &self.resolver else { return None };
        let key = resolver.resolve(authorities, schemes);
        self.seen.lock().unwrap_or_else(PoisonError::into_inner).certified_key.clone_from(&key);
        key
    }

    fn only_raw_public_keys(&self) -> bool {
        matches!(&self.resolver, Resolver::Client(resolver) if resolver.only_raw_public_keys())
    }

    fn has_certs(&self) -> bool {
        matches!(&self.resolver, Resolver::Client(resolver) if resolver.has_certs())
    }
}

impl KeyLog for Witness {
    fn log(&self, label: &str, client_random: &[u8], secret: &[u8]) {
        if label == EXPORTER_SECRET && secret.len() <= OkmBlock::MAX_LEN {
            self.seen.lock().unwrap_or_else(PoisonError::into_inner).exporter = Some(Exporter(OkmBlock::new(secret)));
        }
        if self.key_log.will_log(label) {
            self.key_log.log(label, client_random, secret);
        }
    }

    fn will_log(&self, label: &str) -> bool {
        label == EXPORTER_SECRET || self.key_log.will_log(label)
    }
}

impl fmt::Debug for Witness {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Witness")
    }
}

impl Exporter {
    /// `TLS-Exporter("EXPORTER-Channel-Binding", "", 32)`, RFC 8446 7.5:
    /// `HKDF-Expand-Label(Derive-Secret(exporter_secret, label, ""), "exporter", Hash(context), 32)`.
    pub fn channel_binding(&self, suite: SupportedCipherSuite) -> Option<[u8; 32]> {
        let suite = suite.tls13()?;
        let hash: &dyn Hash = suite.common.hash_provider;
        let of_nothing = hash.start().finish();
        let info = hkdf_label(CHANNEL_BINDING_LABEL, of_nothing.as_ref(), hash.output_len())?;
        let derived = suite.hkdf_provider.expander_for_okm(&self.0).expand_block(&[&info]);
        let info = hkdf_label(b"exporter", of_nothing.as_ref(), 32)?;
        let mut binding = [0; 32];
        suite.hkdf_provider.expander_for_okm(&derived).expand_slice(&[&info], &mut binding).ok()?;
        Some(binding)
    }
}

/// The `HkdfLabel` structure of RFC 8446 7.1. `None` when a part is too long for its length field.
fn hkdf_label(label: &[u8], context: &[u8], length: usize) -> Option<Vec<u8>> {
    const PREFIX: &[u8] = b"tls13 ";
    let mut info = Vec::with_capacity(4 + PREFIX.len() + label.len() + context.len());
    info.extend(u16::try_from(length).ok()?.to_be_bytes());
    info.push(u8::try_from(PREFIX.len() + label.len()).ok()?);
    info.extend_from_slice(PREFIX);
    info.extend_from_slice(label);
    info.push(u8::try_from(context.len()).ok()?);
    info.extend_from_slice(context);
    Some(info)
}
