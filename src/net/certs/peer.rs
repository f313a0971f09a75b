//! What the certificate of another server is worth: whether it proves a domain (RFC 6120 13.7.2, RFC 9525).
//!
//! The handshake has shown that the peer has its key (`tls/peer.rs`). Here it is judged by whom it was issued, for when
//! and for whom; never by its common name (RFC 9525 2). Revocation is not looked at: public authorities issue for weeks now.

#[cfg(test)]
mod tests;

use std::fmt;
use std::net::IpAddr;
use std::path::Path;
use std::time::{SystemTime, UNIX_EPOCH};

use rustls::RootCertStore;
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, UnixTime};
use webpki::{EndEntityCert, Error, KeyUsage, VerifiedPath};
use x509_parser::der_parser::asn1_rs::{Any, Ia5String};
use x509_parser::extensions::GeneralName;
use x509_parser::prelude::{FromDer, X509Certificate};

use super::client::{XMPP_ADDR, utf8};
use super::{a_label, unix_seconds};
use crate::tls::provider;

/// id-on-dnsSRV (RFC 4985).
const DNS_SRV: &str = "1.3.6.1.5.5.7.8.7";

/// Service of an SRVName between servers (RFC 6120 13.7.1.2.1).
const SERVICE: &str = "_xmpp-server.";

/// More alternative names than this are not looked at. Public authorities put 100 into one certificate.
const NAMES_MAX: usize = 256;

/// Certificates in a chain, the server's own included. Public authorities need four, five with a root that nobody asked for.
/// Whoever sends authorities of one name has them tried in every order: eight in all are 50 ms of a worker, six are two.
const CHAIN_MAX: usize = 6;

/// Why a certificate does not prove a domain.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Fault {
    /// The peer showed none.
    Missing,
    /// Nobody whom we believe vouches for it, or it is broken; the reason is for the operator.
    NotTrusted(String),
    /// It, or an authority's in its chain, is of the past.
    Expired,
    /// It, or an authority's in its chain, is of the future.
    NotYetValid,
    /// It is good, but for others.
    WrongName,
}

impl fmt::Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Missing => f.write_str("it showed no certificate"),
            Self::NotTrusted(why) => write!(f, "its certificate is not trusted: {why}"),
            Self::Expired => f.write_str("its certificate has expired"),
            Self::NotYetValid => f.write_str("its certificate is not valid yet"),
            Self::WrongName => f.write_str("its certificate is for other names"),
        }
    }
}

impl std::error::Error for Fault {}

/// Whose certificates are believed.
pub struct Authorities {
    roots: RootCertStore,
    /// What the operator named, as it is: a server may show exactly that.
    named: Vec<CertificateDer<'static>>,
}

impl Authorities {
    /// Those of the system (`SSL_CERT_FILE` and `SSL_CERT_DIR` name others).
    ///
    /// # Errors
    /// There are none; for the operator.
    pub fn system() -> Result<Self, String> {
        let found = rustls_native_certs::load_native_certs();
        let mut roots = RootCertStore::empty();
        roots.add_parsable_certificates(found.certs);
        if roots.is_empty() {
            let why = found.errors.first().map_or_else(String::new, |why| format!(" ({why})"));
            return Err(format!("this system has no list of certificate authorities{why}"));
        }
        Ok(Self { roots, named: Vec::new() })
    }

    /// Those of a PEM file and nobody else's. Certificates of single servers that have signed themselves may be in it too.
    ///
    /// # Errors
    /// The file cannot be read, or holds something else; for the operator, with the name of the file.
    pub fn from_file(file: &Path) -> Result<Self, String> {
        let (roots, named) = read(file)?;
        Ok(Self { roots, named })
    }

    /// Does this chain (leaf first, as it was shown) prove that the peer is the server of `domain`?
    ///
    /// `domain` is that of the stream, in any script, or an IP address. The role that the peer has in TLS does not matter:
    /// public authorities no longer issue for clients, so what is good for servers is good for servers that connect.
    ///
    /// It may name the domain in any of the ways of RFC 6120 13.7.1.2: by dNSName (with a wildcard for exactly one whole
    /// label, RFC 9525 6.3), by SRVName or by XmppAddr. The latter two are not heard from an authority that is confined to
    /// certain names (RFC 5280 4.2.1.10), because the confinement says nothing about them.
    ///
    /// # Errors
    /// The first thing that speaks against it: the chain, then the time, then the name.
    pub fn judge(&self, chain: &[CertificateDer<'_>], domain: &str, now: SystemTime) -> Result<(), Fault> {
        let (leaf, others) = chain.split_first().ok_or(Fault::Missing)?;
        if chain.len() > CHAIN_MAX {
            return Err(Fault::NotTrusted(format!("its chain has {} certificates, {CHAIN_MAX} are looked at", chain.len())));
        }
        let (_, read) = X509Certificate::from_der(leaf).map_err(|why| Fault::NotTrusted(why.to_string()))?;
        let heard = if self.named.contains(leaf) {
            // For webpki an authority's certificate is never a server's, but most that have signed themselves are both.
            let validity = read.validity();
            let now = unix_seconds(now);
            if now < validity.not_before.timestamp() {
                return Err(Fault::NotYetValid);
            }
            if now > validity.not_after.timestamp() {
                return Err(Fault::Expired);
            }
            Heard::All
        } else {
            self.follow(leaf, others, now).map_err(|error| match error {
                Error::CertExpired { .. } => Fault::Expired,
                Error::CertNotValidYet { .. } => Fault::NotYetValid,
                error => Fault::NotTrusted(reason(&error, &read)),
            })?
        };
        if names(&read, domain, heard) { Ok(()) } else { Err(Fault::WrongName) }
    }

    /// From the leaf to one of ours.
    fn follow(&self, leaf: &CertificateDer<'_>, others: &[CertificateDer<'_>], now: SystemTime) -> Result<Heard, Error> {
        let leaf = EndEntityCert::try_from(leaf)?;
        let now = UnixTime::since_unix_epoch(now.duration_since(UNIX_EPOCH).unwrap_or_default());
        let algorithms = provider().signature_verification_algorithms.all;
        let follow = |usage: KeyUsage| leaf.verify_for_usage(algorithms, &self.roots.roots, others, now, usage, None, None);
        let path = follow(KeyUsage::server_auth()).or_else(|error| match error {
            Error::RequiredEkuNotFoundContext(_) => follow(KeyUsage::client_auth()),
            error => Err(error),
        })?;
        Ok(if is_confined(&path) { Heard::HostsOnly } else { Heard::All })
    }
}

impl fmt::Debug for Authorities {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Authorities").field("roots", &self.roots.len()).finish_non_exhaustive()
    }
}

/// The authorities of a PEM file, in both forms.
///
/// # Errors
/// As [`Authorities::from_file`].
pub(super) fn read(file: &Path) -> Result<(RootCertStore, Vec<CertificateDer<'static>>), String> {
    let in_file = |why: &dyn fmt::Display| format!("{}: {why}", file.display());
    let (mut roots, mut named) = (RootCertStore::empty(), Vec::new());
    for certificate in CertificateDer::pem_file_iter(file).map_err(|why| in_file(&why))? {
        let certificate = certificate.map_err(|why| in_file(&why))?;
        roots.add(certificate.clone()).map_err(|why| in_file(&why))?;
        named.push(certificate);
    }
    if roots.is_empty() {
        return Err(in_file(&"there is no certificate in it"));
    }
    Ok((roots, named))
}

/// Which kinds of names a certificate is believed.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Heard {
    All,
    /// dNSName and iPAddress, which webpki compares with the constraints.
    HostsOnly,
}

/// Does an authority on the way have name constraints? One that cannot be read has.
fn is_confined(path: &VerifiedPath<'_>) -> bool {
    let confines = |der: &[u8]| match X509Certificate::from_der(der) {
        Ok((_, certificate)) => !matches!(certificate.name_constraints(), Ok(None)),
        Err(_) => true,
    };
    path.anchor().name_constraints.is_some() || path.intermediate_certificates().any(|authority| confines(&authority.der()))
}

/// For the operator.
fn reason(error: &Error, leaf: &X509Certificate<'_>) -> String {
    let is_own_issuer = leaf.issuer().as_raw() == leaf.subject().as_raw();
    match error {
        Error::UnknownIssuer | Error::CaUsedAsEndEntity if is_own_issuer => "it has signed itself".to_owned(),
        Error::UnknownIssuer => "no authority that is known here has issued it".to_owned(),
        Error::CaUsedAsEndEntity => "it is an authority's".to_owned(),
        Error::NameConstraintViolation => "its authority may not issue for this name".to_owned(),
        Error::RequiredEkuNotFoundContext(_) => "it was issued for something else than servers".to_owned(),
        error => format!("{error:?}"),
    }
}

/// Does the certificate name `domain`?
fn names(certificate: &X509Certificate<'_>, domain: &str, heard: Heard) -> bool {
    let Ok(Some(alternative)) = certificate.subject_alternative_name() else { return false };
    let mut names = alternative.value.general_names.iter().take(NAMES_MAX);
    let domain = a_label(domain.strip_suffix('.').unwrap_or(domain));
    let bare = domain.strip_prefix('[').and_then(|rest| rest.strip_suffix(']')).unwrap_or(&domain);
    if let Ok(address) = bare.parse::<IpAddr>() {
        return names.any(|name| matches!(name, GeneralName::IPAddress(octets) if is_address(octets, address)));
    }
    // What is no host name is nobody's: a domain that calls itself `*.example.org` would be the name of a wildcard.
    if !is_host_name(&domain) {
        return false;
    }
    names.any(|name| match name {
        GeneralName::DNSName(name) => covers(&name.to_ascii_lowercase(), &domain),
        GeneralName::OtherName(kind, value) if heard == Heard::All => match kind.to_id_string().as_str() {
            // An address of somebody at the domain is not the domain's.
            XMPP_ADDR => utf8(value).is_some_and(|address| a_label(&address) == domain),
            DNS_SRV => ia5(value).is_some_and(|name| name.to_ascii_lowercase().strip_prefix(SERVICE) == Some(domain.as_str())),
            _ => false,
        },
        _ => false,
    })
}

/// RFC 9525 6.3: a wildcard is the whole leftmost label and stands for exactly one. One for a whole top-level domain is
/// nobody's to have.
fn covers(name: &str, domain: &str) -> bool {
    match name.strip_prefix("*.") {
        Some(parent) => parent.contains('.') && domain.split_once('.').is_some_and(|(_, below)| below == parent),
        None => name == domain,
    }
}

/// Letters, digits, hyphens and underscores; the last label is no number, which would be an address in an odd spelling.
fn is_host_name(domain: &str) -> bool {
    let is_label = |label: &str| {
        !label.is_empty() && label.bytes().all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_'))
    };
    let is_number = |label: &str| label.bytes().all(|byte| byte.is_ascii_digit());
    domain.split('.').all(is_label) && !domain.rsplit('.').next().is_some_and(is_number)
}

fn is_address(octets: &[u8], address: IpAddr) -> bool {
    match address {
        IpAddr::V4(address) => octets == address.octets(),
        IpAddr::V6(address) => octets == address.octets(),
    }
}

/// `[0] EXPLICIT IA5String`.
fn ia5(value: &[u8]) -> Option<String> {
    let (rest, outer) = Any::from_der(value).ok()?;
    let (inner_rest, text) = Ia5String::from_der(outer.data).ok()?;
    (rest.is_empty() && inner_rest.is_empty()).then(|| text.string())
}
