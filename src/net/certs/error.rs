//! What can be wrong with a certificate: each message names the file, what was expected and the remedy.

use std::fmt;
use std::path::{Path, PathBuf};
use std::time::SystemTime;

use super::{EXPIRY_WARNING_DAYS, Leaf, SECONDS_PER_DAY, unix_seconds};

/// A pair that cannot be used.
#[derive(Debug)]
pub struct CertError {
    /// The domain it was meant for; empty when the trouble is not about one domain.
    pub domain: Box<str>,
    pub file: PathBuf,
    pub fault: Fault,
}

/// Why a pair cannot be used.
#[derive(Debug)]
pub enum Fault {
    /// No domain is configured at all.
    NoneConfigured,
    /// None of the conventional names exists in the folder.
    NotFound {
        looked_for: Vec<PathBuf>,
    },
    Unreadable(std::io::Error),
    TooLarge,
    NoCertificate,
    NoKey {
        encrypted: bool,
    },
    /// The first certificate is not X.509, or the key is of a kind we cannot use.
    Malformed(String),
    /// The key belongs to another certificate than the first one of `certificate`.
    KeyMismatch {
        certificate: PathBuf,
    },
    /// RSA with fewer than 2048 bits (RFC 9325 4.5).
    WeakKey {
        bits: usize,
    },
    /// Signed with MD5 or SHA-1 (RFC 9325 4.5).
    WeakSignature,
    /// Only when it would replace a good one.
    Expired {
        days_ago: i64,
    },
    /// Only when it would replace a good one.
    NotYetValid,
    /// The development certificate would overwrite a file.
    Exists,
    Unwritable(std::io::Error),
}

/// A pair that is used although something is odd.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Warning {
    NameNotCovered {
        domain: Box<str>,
        file: PathBuf,
        names: Vec<Box<str>>,
    },
    Expired {
        domain: Box<str>,
        file: PathBuf,
        days_ago: i64,
    },
    NotYetValid {
        domain: Box<str>,
        file: PathBuf,
    },
    ExpiresSoon {
        domain: Box<str>,
        file: PathBuf,
        days_left: i64,
    },
    /// Everybody on this machine can read the private key.
    KeyReadableByAll {
        domain: Box<str>,
        file: PathBuf,
    },
}

impl CertError {
    pub(super) fn new(domain: &str, file: &Path, fault: Fault) -> Self {
        Self { domain: domain.into(), file: file.to_owned(), fault }
    }

    pub(super) fn none_configured() -> Self {
        Self::new("", Path::new(""), Fault::NoneConfigured)
    }

    /// The error of a certificate outside its time, if it is.
    pub(super) fn untimely(leaf: &Leaf, now: SystemTime) -> Option<Self> {
        let fault = match Warning::about_time(leaf, now)? {
            Warning::Expired { days_ago, .. } => Fault::Expired { days_ago },
            Warning::NotYetValid { .. } => Fault::NotYetValid,
            _ => return None,
        };
        Some(Self::new(&leaf.domain, &leaf.file, fault))
    }
}

impl Warning {
    pub(super) fn about(leaf: &Leaf, now: SystemTime) -> Vec<Self> {
        let uncovered = (!leaf.covers(&leaf.domain)).then(|| Self::NameNotCovered {
            domain: leaf.domain.clone(),
            file: leaf.file.clone(),
            names: leaf.names.clone(),
        });
        uncovered.into_iter().chain(Self::about_time(leaf, now)).collect()
    }

    fn about_time(leaf: &Leaf, now: SystemTime) -> Option<Self> {
        let (domain, file) = (leaf.domain.clone(), leaf.file.clone());
        let days_left = leaf.days_left(now);
        let overdue = unix_seconds(now) - leaf.not_after;
        if overdue > 0 {
            Some(Self::Expired { domain, file, days_ago: overdue / SECONDS_PER_DAY })
        } else if unix_seconds(now) < leaf.not_before {
            Some(Self::NotYetValid { domain, file })
        } else if days_left < EXPIRY_WARNING_DAYS {
            Some(Self::ExpiresSoon { domain, file, days_left })
        } else {
            None
        }
    }
}

impl fmt::Display for CertError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if let Fault::NoneConfigured = self.fault {
            return f.write_str("no certificate is configured; each domain needs one, `iris certs dev` makes one for tests");
        }
        write!(f, "certificate of {}: {}: ", self.domain, self.file.display())?;
        match &self.fault {
            Fault::NoneConfigured => Ok(()),
            Fault::NotFound { looked_for } => {
                f.write_str("no certificate found; expected one of")?;
                for path in looked_for {
                    write!(f, " {}", path.display())?;
                }
                f.write_str("; put it there, or name certificate and key in the configuration")
            }
            Fault::Unreadable(error) => {
                write!(f, "cannot be read ({error}); expected a PEM file the server's user may read; check path and owner")
            }
            Fault::TooLarge => f.write_str("is larger than 1 MiB; expected a PEM file with one chain"),
            Fault::NoCertificate => f.write_str(
                "holds no certificate; expected `-----BEGIN CERTIFICATE-----`, the server's own first, then the chain \
                 (usually called fullchain.pem)",
            ),
            Fault::NoKey { encrypted: false } => {
                f.write_str("holds no private key; expected `-----BEGIN PRIVATE KEY-----` (usually called privkey.pem)")
            }
            Fault::NoKey { encrypted: true } => f.write_str(
                "holds a private key with a passphrase; expected one without; remove it with \
                 `openssl pkey -in old.key -out new.key`",
            ),
            Fault::Malformed(why) => {
                write!(f, "cannot be used ({why}); expected X.509 with an ECDSA, Ed25519 or RSA key; have it issued anew")
            }
            Fault::KeyMismatch { certificate } => write!(
                f,
                "does not belong to {}; expected the key this certificate was issued for; use the key from the same \
                 issuance, and put the server's own certificate before the chain",
                certificate.display()
            ),
            Fault::WeakKey { bits } => {
                write!(f, "has an RSA key of {bits} bits; expected 2048 or more; make a new key (ECDSA P-256 is best)")
            }
            Fault::WeakSignature => f.write_str("is signed with MD5 or SHA-1; expected SHA-256 or better; have it issued anew"),
            Fault::Expired { days_ago } => {
                write!(f, "expired {days_ago} days ago; expected one that is valid now; renew it and reload")
            }
            Fault::NotYetValid => f.write_str("is not valid yet; expected one that is valid now; check the machine's clock"),
            Fault::Exists => f.write_str("exists already and is not overwritten; remove it first if it may go"),
            Fault::Unwritable(error) => {
                write!(f, "cannot be written ({error}); expected a folder the server's user may write")
            }
        }
    }
}

impl std::error::Error for CertError {}

impl fmt::Display for Warning {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (domain, file) = match self {
            Self::NameNotCovered { domain, file, .. }
            | Self::Expired { domain, file, .. }
            | Self::NotYetValid { domain, file }
            | Self::ExpiresSoon { domain, file, .. }
            | Self::KeyReadableByAll { domain, file } => (domain, file),
        };
        write!(f, "certificate of {domain}: {}: ", file.display())?;
        match self {
            Self::NameNotCovered { names, .. } => write!(
                f,
                "is for {}, clients of {domain} will refuse it; have one issued that names {domain}",
                if names.is_empty() { "no host".to_owned() } else { names.join(", ") }
            ),
            Self::Expired { days_ago, .. } => {
                write!(f, "expired {days_ago} days ago, clients will refuse it; renew it and reload")
            }
            Self::NotYetValid { .. } => f.write_str("is not valid yet; check the machine's clock"),
            Self::ExpiresSoon { days_left, .. } => write!(f, "expires in {days_left} days; check the renewal"),
            Self::KeyReadableByAll { .. } => f.write_str("can be read by every user of this machine; chmod 600 it"),
        }
    }
}
