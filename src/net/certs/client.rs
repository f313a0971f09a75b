//! Certificates of clients, for SASL EXTERNAL (XEP-0178, RFC 6120 13.7.1.4): who may issue them, and whom they name.

use std::path::Path;
use std::sync::Arc;
use std::time::{SystemTime, UNIX_EPOCH};

use rustls::pki_types::CertificateRevocationListDer;
use rustls::pki_types::pem::PemObject;
use rustls::server::WebPkiClientVerifier;
use x509_parser::der_parser::asn1_rs::{Any, Utf8String};
use x509_parser::extensions::GeneralName;
use x509_parser::prelude::{FromDer, X509Certificate};

use crate::tls::{ClientAuth, provider};

/// id-on-xmppAddr (RFC 6120 13.7.1.4).
pub(super) const XMPP_ADDR: &str = "1.3.6.1.5.5.7.8.5";

/// More alternative names than this are not looked at (security B5).
const NAMES_MAX: usize = 64;

/// Whom a client's certificate names. The subject is not looked at: no common name is an address (RFC 9525, security B16).
#[derive(Debug, Default, PartialEq, Eq)]
pub struct ClientNames {
    /// id-on-xmppAddr.
    pub xmpp: Vec<String>,
    /// rfc822Name.
    pub mail: Vec<String>,
    not_before: i64,
    not_after: i64,
}

impl ClientNames {
    /// `None`: that is no certificate. It was judged in the handshake already.
    pub fn of(der: &[u8]) -> Option<ClientNames> {
        let (_, certificate) = X509Certificate::from_der(der).ok()?;
        let validity = certificate.validity();
        let mut names = ClientNames {
            not_before: validity.not_before.timestamp(),
            not_after: validity.not_after.timestamp(),
            ..ClientNames::default()
        };
        let Ok(Some(alternative)) = certificate.subject_alternative_name() else { return Some(names) };
        for name in alternative.value.general_names.iter().take(NAMES_MAX) {
            match name {
                GeneralName::OtherName(kind, value) if kind.to_id_string() == XMPP_ADDR => names.xmpp.extend(utf8(value)),
                GeneralName::RFC822Name(mail) => names.mail.push((*mail).to_owned()),
                _ => {}
            }
        }
        Some(names)
    }

    /// A ticket of TLS may be redeemed after the certificate has expired.
    pub fn is_valid(&self, now: SystemTime) -> bool {
        let now = now.duration_since(UNIX_EPOCH).map_or(0, |since| i64::try_from(since.as_secs()).unwrap_or(i64::MAX));
        (self.not_before..=self.not_after).contains(&now)
    }
}

/// `[0] EXPLICIT UTF8String`.
pub(super) fn utf8(value: &[u8]) -> Option<String> {
    let (rest, outer) = Any::from_der(value).ok()?;
    let (inner_rest, text) = Utf8String::from_der(outer.data).ok()?;
    (rest.is_empty() && inner_rest.is_empty()).then(|| text.string())
}

/// Ask clients for a certificate of one of these authorities; whoever has none may come in by other ways.
///
/// # Errors
/// What is wrong with a file.
pub fn client_auth(authorities: &Path, revoked: Option<&Path>) -> Result<ClientAuth, String> {
    let in_file = |path: &Path, why: &dyn std::fmt::Display| format!("{}: {why}", path.display());
    let (roots, _) = super::peer::read(authorities)?;
    let mut lists = Vec::new();
    if let Some(path) = revoked {
        for list in CertificateRevocationListDer::pem_file_iter(path).map_err(|why| in_file(path, &why))? {
            lists.push(list.map_err(|why| in_file(path, &why))?);
        }
    }
    let builder = WebPkiClientVerifier::builder_with_provider(Arc::new(roots), provider()).allow_unauthenticated();
    // An authority without a list has revoked nothing that we know of.
    let builder = builder.with_crls(lists).allow_unknown_revocation_status();
    let verifier = builder.build().map_err(|why| in_file(revoked.unwrap_or(authorities), &why))?;
    Ok(ClientAuth::Verify(verifier))
}
