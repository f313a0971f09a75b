//! Where a domain's certificate lies, and how it gets from there into a [`Leaf`].

use std::fs::File;
use std::io::{self, Read};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use rustls::crypto::aws_lc_rs;
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::sign::CertifiedKey;
use rustls::{Error, InconsistentKeys};

use super::x509::{Facts, end_point};
use super::{CertError, Fault, Leaf, Warning};

/// A chain with its key is a few KB; this is a limit for a wrong path, such as a device.
const FILE_BYTES_MAX: u64 = 1024 * 1024;

/// The two files of a domain (they may be one).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Source {
    /// Lower case, in A-labels (`xn--...`), as it comes in SNI.
    pub domain: Box<str>,
    /// PEM, the leaf first.
    pub chain: PathBuf,
    /// PEM, not encrypted.
    pub key: PathBuf,
}

impl Source {
    /// A pair with names of its own.
    pub fn new(domain: &str, chain: impl Into<PathBuf>, key: impl Into<PathBuf>) -> Self {
        Self { domain: domain.to_ascii_lowercase().into(), chain: chain.into(), key: key.into() }
    }

    /// Looks for a domain's pair in `folder` under the names that certificate programs use:
    /// `<domain>/fullchain.pem` with `<domain>/privkey.pem`, `<domain>.crt` or `.pem` with `<domain>.key`, or
    /// `<domain>.pem` with both in it.
    ///
    /// # Errors
    /// [`Fault::NotFound`] with the names that were tried.
    pub fn find(folder: &Path, domain: &str) -> Result<Self, CertError> {
        let (unicode, domain) = (domain.to_ascii_lowercase(), a_label(domain));
        let named = |name: &str| {
            let file = |end: &str| folder.join(format!("{name}{end}"));
            [
                (folder.join(name).join("fullchain.pem"), folder.join(name).join("privkey.pem")),
                (file(".crt"), file(".key")),
                (file(".pem"), file(".key")),
                (file(".pem"), file(".pem")),
            ]
        };
        // Certificate programs name files by A-labels, people by what they see.
        let mut candidates = named(&domain).to_vec();
        if unicode != domain {
            candidates.extend(named(&unicode));
        }
        // A domain is a folder's name here: it must not lead elsewhere.
        let plain = !domain.is_empty() && !domain.contains(['/', '\\', '\0']) && !domain.contains("..");
        if plain && let Some((chain, key)) = candidates.iter().find(|(chain, key)| chain.exists() && key.exists()) {
            return Ok(Self::new(&domain, chain, key));
        }
        // Half a pair: name the half that is missing when it is loaded, not both.
        if plain && let Some((chain, key)) = candidates.iter().find(|(chain, _)| chain.exists()) {
            return Ok(Self::new(&domain, chain, key));
        }
        let mut looked_for: Vec<PathBuf> = candidates.into_iter().map(|(chain, _)| chain).collect();
        looked_for.dedup();
        Err(CertError::new(&domain, folder, Fault::NotFound { looked_for }))
    }

    pub(super) fn load(&self) -> Result<(Leaf, Vec<Warning>), CertError> {
        let in_chain = |fault| CertError::new(&self.domain, &self.chain, fault);
        let in_key = |fault| CertError::new(&self.domain, &self.key, fault);

        let chain = CertificateDer::pem_slice_iter(&self.read(&self.chain)?)
            .collect::<Result<Vec<_>, _>>()
            .map_err(|error| in_chain(Fault::Malformed(error.to_string())))?;
        let first = chain.first().ok_or_else(|| in_chain(Fault::NoCertificate))?;
        let facts = Facts::of(first).map_err(in_chain)?;
        let end_point = end_point(first);

        let pem = self.read(&self.key)?;
        let key = PrivateKeyDer::from_pem_slice(&pem).map_err(|error| {
            in_key(match error {
                rustls::pki_types::pem::Error::NoItemsFound => Fault::NoKey { encrypted: is_encrypted(&pem) },
                error => Fault::Malformed(error.to_string()),
            })
        })?;
        let key = CertifiedKey::from_der(chain, key, &aws_lc_rs::default_provider()).map_err(|error| {
            in_key(match error {
                Error::InconsistentKeys(InconsistentKeys::KeyMismatch) => {
                    Fault::KeyMismatch { certificate: self.chain.clone() }
                }
                error => Fault::Malformed(error.to_string()),
            })
        })?;

        let warnings = readable_by_all(&self.key)
            .then(|| Warning::KeyReadableByAll { domain: self.domain.clone(), file: self.key.clone() })
            .into_iter()
            .collect();
        let leaf = Leaf {
            domain: self.domain.clone(),
            key: Arc::new(key),
            end_point,
            not_before: facts.not_before,
            not_after: facts.not_after,
            names: facts.names,
            file: self.chain.clone(),
        };
        Ok((leaf, warnings))
    }

    fn read(&self, path: &Path) -> Result<Vec<u8>, CertError> {
        let read = || -> io::Result<Vec<u8>> {
            let mut bytes = Vec::new();
            File::open(path)?.take(FILE_BYTES_MAX + 1).read_to_end(&mut bytes)?;
            Ok(bytes)
        };
        let bytes = read().map_err(|error| CertError::new(&self.domain, path, Fault::Unreadable(error)))?;
        if u64::try_from(bytes.len()).is_ok_and(|length| length <= FILE_BYTES_MAX) {
            Ok(bytes)
        } else {
            Err(CertError::new(&self.domain, path, Fault::TooLarge))
        }
    }
}

/// A domain as it comes in SNI and stands in certificates (RFC 6066 3, RFC 5890 2.3.2.1): lower case, A-labels.
pub(crate) fn a_label(domain: &str) -> String {
    // What is no host name (an address in brackets) stays what it is.
    idna::domain_to_ascii(domain).unwrap_or_else(|_| domain.to_ascii_lowercase())
}

/// PKCS#8 says it in the label, the older PEM in a header.
fn is_encrypted(pem: &[u8]) -> bool {
    pem.windows(b"ENCRYPTED".len()).any(|window| window == b"ENCRYPTED")
}

#[cfg(unix)]
fn readable_by_all(path: &Path) -> bool {
    use std::os::unix::fs::PermissionsExt;
    path.metadata().is_ok_and(|metadata| metadata.permissions().mode() & 0o004 != 0)
}

#[cfg(not(unix))]
fn readable_by_all(_path: &Path) -> bool {
    false
}
