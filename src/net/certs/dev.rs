//! Certificates for development and tests: a private authority and one leaf per domain. Never for production: whoever
//! reads `ca.key` can be anybody.

use std::fs::{self, OpenOptions};
use std::io::Write;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::path::{Path, PathBuf};

use aws_lc_rs::digest::{SHA256, digest};
use iris_core::hex;
use rcgen::{
    BasicConstraints, CertificateParams, DnType, ExtendedKeyUsagePurpose, IsCa, Issuer, KeyPair, KeyUsagePurpose, SanType,
};
use time::{Duration, OffsetDateTime};

use super::source::a_label;
use super::{CertError, Fault, Source};

/// The longest life that phones accept from a leaf of a private authority.
const LEAF_DAYS: i64 = 825;
const CA_DAYS: i64 = 3650;

/// Services of a domain that have a name of their own. The wildcard covers them too, but not for `localhost`: clients
/// refuse a wildcard right below the root.
const SERVICES: &[&str] = &["conference", "upload", "pubsub", "proxy", "meet", "push", "turn"];

/// What was made.
#[derive(Debug)]
pub struct Created {
    /// To be trusted by test clients.
    pub ca: PathBuf,
    /// One per domain, to be loaded as it is.
    pub sources: Vec<Source>,
}

/// Writes `ca.crt`, `ca.key` and, per domain, `<domain>.crt` (leaf and authority) and `<domain>.key` into `folder`, which
/// is created when missing. Keys are ECDSA P-256, their files have mode 0600.
///
/// # Errors
/// [`Fault::Exists`] before anything is written when one of the files is there; [`Fault::Unwritable`];
/// [`Fault::Malformed`] for a domain that cannot stand in a certificate.
pub fn create(folder: &Path, domains: &[&str]) -> Result<Created, CertError> {
    let ca_files = (folder.join("ca.crt"), folder.join("ca.key"));
    let sources = sources(folder, domains)?;
    let all = sources.iter().flat_map(|source| [&source.chain, &source.key]).chain([&ca_files.0, &ca_files.1]);
    if let Some(there) = all.into_iter().find(|path| path.exists()) {
        return Err(CertError::new("", there, Fault::Exists));
    }
    fs::create_dir_all(folder).map_err(|error| CertError::new("", folder, Fault::Unwritable(error)))?;

    let now = OffsetDateTime::now_utc();
    let made = |error: rcgen::Error| CertError::new("", folder, Fault::Malformed(error.to_string()));
    let ca_key = KeyPair::generate().map_err(made)?;
    let ca_params = authority(&ca_key, now).map_err(made)?;
    let ca = ca_params.self_signed(&ca_key).map_err(made)?;
    write(&ca_files.0, &ca.pem(), 0o644)?;
    write(&ca_files.1, &ca_key.serialize_pem(), 0o600)?;
    let issuer = Issuer::new(ca_params, ca_key);
    sources.iter().try_for_each(|source| sign(source, &ca.pem(), &issuer, folder, now))?;
    Ok(Created { ca: ca_files.0, sources })
}

/// Certificates of the authority that lies in `folder` for those of the domains that have none yet; what is there stays.
///
/// # Errors
/// [`Fault::Unreadable`] or [`Fault::Malformed`] for the authority's files; otherwise as [`create`].
pub fn add(folder: &Path, domains: &[&str]) -> Result<Vec<Source>, CertError> {
    let (ca_file, key_file) = (folder.join("ca.crt"), folder.join("ca.key"));
    let missing: Vec<&str> = domains.iter().copied().filter(|domain| Source::find(folder, domain).is_err()).collect();
    if missing.is_empty() {
        return Ok(Vec::new());
    }
    let sources = sources(folder, &missing)?;
    let read = |path: &Path| fs::read_to_string(path).map_err(|error| CertError::new("", path, Fault::Unreadable(error)));
    let (ca, key) = (read(&ca_file)?, read(&key_file)?);
    let malformed = |error: rcgen::Error| CertError::new("", &key_file, Fault::Malformed(error.to_string()));
    let key = KeyPair::from_pem(&key).map_err(malformed)?;
    let now = OffsetDateTime::now_utc();
    // The authority's name is made of its key: a leaf says it as the authority's own certificate does.
    let issuer = Issuer::new(authority(&key, now).map_err(malformed)?, key);
    sources.iter().try_for_each(|source| sign(source, &ca, &issuer, folder, now))?;
    Ok(sources)
}

fn sources(folder: &Path, domains: &[&str]) -> Result<Vec<Source>, CertError> {
    let source = |domain: &&str| {
        let domain = a_label(domain);
        if domain.is_empty() || domain.contains(['/', '\\', '\0']) || domain.starts_with('.') {
            return Err(CertError::new(&domain, folder, Fault::Malformed("not a host name".to_owned())));
        }
        let file = |end| folder.join(format!("{domain}.{end}"));
        Ok(Source::new(&domain, file("crt"), file("key")))
    };
    domains.iter().map(source).collect()
}

fn sign(
    source: &Source,
    ca_pem: &str,
    issuer: &Issuer<'_, KeyPair>,
    folder: &Path,
    now: OffsetDateTime,
) -> Result<(), CertError> {
    let made = |error: rcgen::Error| CertError::new(&source.domain, folder, Fault::Malformed(error.to_string()));
    let key = KeyPair::generate().map_err(made)?;
    let leaf = leaf(&source.domain, now).and_then(|params| params.signed_by(&key, issuer)).map_err(made)?;
    write(&source.chain, &(leaf.pem() + ca_pem), 0o644)?;
    write(&source.key, &key.serialize_pem(), 0o600)
}

fn authority(key: &KeyPair, now: OffsetDateTime) -> Result<CertificateParams, rcgen::Error> {
    let mut params = CertificateParams::new(Vec::new())?;
    // Clients look an issuer up by name: two authorities with one name get in each other's way in a trust store.
    let digest = digest(&SHA256, key.public_key_raw());
    let mark = hex::write(digest.as_ref().get(..4).unwrap_or_default());
    params.distinguished_name.push(DnType::CommonName, format!("Iris development authority {mark}"));
    params.is_ca = IsCa::Ca(BasicConstraints::Constrained(0));
    params.key_usages = vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::CrlSign];
    (params.not_before, params.not_after) = life(now, CA_DAYS);
    Ok(params)
}

fn leaf(domain: &str, now: OffsetDateTime) -> Result<CertificateParams, rcgen::Error> {
    let mut names = vec![domain.to_owned(), format!("*.{domain}")];
    names.extend(SERVICES.iter().map(|service| format!("{service}.{domain}")));
    let mut params = CertificateParams::new(names)?;
    if domain == "localhost" {
        params.subject_alt_names.push(SanType::IpAddress(IpAddr::V4(Ipv4Addr::LOCALHOST)));
        params.subject_alt_names.push(SanType::IpAddress(IpAddr::V6(Ipv6Addr::LOCALHOST)));
    }
    params.distinguished_name.push(DnType::CommonName, domain);
    params.key_usages = vec![KeyUsagePurpose::DigitalSignature];
    // Servers show it to each other in both roles.
    params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ServerAuth, ExtendedKeyUsagePurpose::ClientAuth];
    params.use_authority_key_identifier_extension = true;
    (params.not_before, params.not_after) = life(now, LEAF_DAYS);
    Ok(params)
}

/// From an hour ago, for machines whose clocks are behind.
fn life(now: OffsetDateTime, days: i64) -> (OffsetDateTime, OffsetDateTime) {
    let start = now - Duration::hours(1);
    (start, start + Duration::days(days))
}

fn write(path: &Path, text: &str, mode: u32) -> Result<(), CertError> {
    let mut options = OpenOptions::new();
    // Not `create`: a file that appeared since the check stays as well.
    options.write(true).create_new(true);
    #[cfg(unix)]
    std::os::unix::fs::OpenOptionsExt::mode(&mut options, mode);
    #[cfg(not(unix))]
    let _ = mode;
    options
        .open(path)
        .and_then(|mut file| file.write_all(text.as_bytes()))
        .map_err(|error| CertError::new("", path, Fault::Unwritable(error)))
}
