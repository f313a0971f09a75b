//! TLS between servers (RFC 6120 13.7.2, RFC 7590 3.4, XEP-0178 3, XEP-0368).
//!
//! A handshake proves here only that the peer has the key of the certificate it shows. What the certificate is worth is
//! judged afterwards (`certs/peer.rs`), because a bad one does not end a stream between servers by itself: the domain may
//! be proven by dialback (XEP-0220), and the policy for that is none of TLS's business.

use std::fmt;
use std::sync::Arc;

use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::client::{ResolvesClientCert, Resumption};
use rustls::crypto::{WebPkiSupportedAlgorithms, verify_tls12_signature, verify_tls13_signature};
use rustls::pki_types::{CertificateDer, ServerName, UnixTime};
use rustls::server::danger::{ClientCertVerified, ClientCertVerifier};
use rustls::sign::CertifiedKey;
use rustls::{ClientConfig, DigitallySignedStruct, DistinguishedName, Error, SignatureScheme, version};

use super::config::provider;
use super::{ALPN_SERVER, ClientAuth, TlsError};
use crate::certs::Certificates;

/// How we connect to other servers in the name of `own_domain`; `direct` is TLS from the first byte (XEP-0368), which
/// says so by ALPN.
///
/// When the peer asks, it is shown the certificate of `own_domain` that is in force at that moment; none if there is none.
/// Any certificate of the peer is accepted if the peer has its key: judge it by [`crate::certs::peer::Authorities`].
/// (One that is no X.509 version 3 ends the handshake: rustls cannot read its key.)
///
/// # Errors
/// [`TlsError::Config`] when rustls refuses the parameters.
pub fn peer_client_config(certs: Arc<Certificates>, own_domain: &str, direct: bool) -> Result<Arc<ClientConfig>, TlsError> {
    let mut config = ClientConfig::builder_with_provider(provider())
        .with_protocol_versions(&[&version::TLS13, &version::TLS12])
        .map_err(TlsError::Config)?
        .dangerous()
        .with_custom_certificate_verifier(Arc::new(Possession::new()))
        .with_client_cert_resolver(Arc::new(Own { certs, domain: own_domain.into() }));
    if direct {
        config.alpn_protocols = vec![ALPN_SERVER.to_vec()];
    }
    // A resumed session would show the certificates of the first one, and streams between servers are few and long.
    config.resumption = Resumption::disabled();
    Ok(Arc::new(config))
}

/// For listeners of other servers: they are asked for a certificate, and may have none. Which authorities we believe is
/// not said, so that each sends what it has. Judge it by [`crate::certs::peer::Authorities`].
pub fn peer_server_auth() -> ClientAuth {
    ClientAuth::Verify(Arc::new(Possession::new()))
}

/// Our certificate, for servers that ask for it.
struct Own {
    certs: Arc<Certificates>,
    domain: Box<str>,
}

impl ResolvesClientCert for Own {
    fn resolve(&self, _authorities: &[&[u8]], _schemes: &[SignatureScheme]) -> Option<Arc<CertifiedKey>> {
        // Whoever names authorities that ours is not of is shown it nevertheless: he need not believe it.
        self.certs.leaf_of(&self.domain).map(|leaf| leaf.key.clone())
    }

    fn has_certs(&self) -> bool {
        self.certs.leaf_of(&self.domain).is_some()
    }
}

impl fmt::Debug for Own {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Own").field(&self.domain).finish()
    }
}

/// Believes every certificate, but only those who have its key.
#[derive(Debug)]
pub(super) struct Possession {
    algorithms: WebPkiSupportedAlgorithms,
}

impl Possession {
    pub fn new() -> Self {
        Self { algorithms: provider().signature_verification_algorithms }
    }
}

impl ServerCertVerifier for Possession {
    fn verify_server_cert(
        &self,
        _certificate: &CertificateDer<'_>,
        _others: &[CertificateDer<'_>],
        _name: &ServerName<'_>,
        _ocsp: &[u8],
        _now: UnixTime,
    ) -> Result<ServerCertVerified, Error> {
        Ok(ServerCertVerified::assertion())
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        verify_tls12_signature(message, certificate, signature, &self.algorithms)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        verify_tls13_signature(message, certificate, signature, &self.algorithms)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.algorithms.supported_schemes()
    }
}

impl ClientCertVerifier for Possession {
    fn client_auth_mandatory(&self) -> bool {
        false
    }

    fn root_hint_subjects(&self) -> &[DistinguishedName] {
        &[]
    }

    fn verify_client_cert(
        &self,
        _certificate: &CertificateDer<'_>,
        _others: &[CertificateDer<'_>],
        _now: UnixTime,
    ) -> Result<ClientCertVerified, Error> {
        Ok(ClientCertVerified::assertion())
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        verify_tls12_signature(message, certificate, signature, &self.algorithms)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        verify_tls13_signature(message, certificate, signature, &self.algorithms)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.algorithms.supported_schemes()
    }
}
