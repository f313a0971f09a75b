//! What we need to know from inside a certificate.

use aws_lc_rs::digest::{self, Algorithm};
use rustls::pki_types::CertificateDer;
use x509_parser::extensions::GeneralName;
use x509_parser::prelude::{FromDer, X509Certificate};
use x509_parser::public_key::PublicKey;
use x509_parser::signature_algorithm::RsaSsaPssParams;
use x509_parser::x509::AlgorithmIdentifier;

use super::Fault;

const RSA_BITS_MIN: usize = 2048;

pub(super) struct Facts {
    pub not_before: i64,
    pub not_after: i64,
    pub names: Vec<Box<str>>,
}

impl Facts {
    /// Reads a certificate and refuses what RFC 9325 4.5 refuses.
    pub fn of(der: &[u8]) -> Result<Self, Fault> {
        let (_, certificate) = X509Certificate::from_der(der).map_err(|error| Fault::Malformed(error.to_string()))?;
        if let Ok(PublicKey::RSA(key)) = certificate.public_key().parsed() {
            let bits = key.key_size();
            if bits < RSA_BITS_MIN {
                return Err(Fault::WeakKey { bits });
            }
        }
        if matches!(signature_hash(&certificate.signature_algorithm), SignatureHash::Weak) {
            return Err(Fault::WeakSignature);
        }
        let names = certificate
            .subject_alternative_name()
            .map_err(|error| Fault::Malformed(error.to_string()))?
            .map(|names| names.value.general_names.iter().filter_map(dns_name).collect())
            .unwrap_or_default();
        let validity = certificate.validity();
        Ok(Self { not_before: validity.not_before.timestamp(), not_after: validity.not_after.timestamp(), names })
    }
}

fn dns_name(name: &GeneralName<'_>) -> Option<Box<str>> {
    match name {
        GeneralName::DNSName(name) => Some(name.to_ascii_lowercase().into()),
        _ => None,
    }
}

/// `tls-server-end-point` (RFC 5929 4.1): the certificate's hash, by the hash function of its signature; SHA-256 instead
/// of MD5 and SHA-1. `None` where the signature has no single hash function (Ed25519): the binding is then undefined.
pub fn end_point(der: &[u8]) -> Option<Box<[u8]>> {
    let (_, certificate) = X509Certificate::from_der(der).ok()?;
    let algorithm = match signature_hash(&certificate.signature_algorithm) {
        SignatureHash::Weak => &digest::SHA256,
        SignatureHash::Strong(algorithm) => algorithm,
        SignatureHash::Undefined => return None,
    };
    Some(digest::digest(algorithm, der).as_ref().into())
}

enum SignatureHash {
    /// MD5 or SHA-1.
    Weak,
    Strong(&'static Algorithm),
    Undefined,
}

fn signature_hash(algorithm: &AlgorithmIdentifier<'_>) -> SignatureHash {
    use SignatureHash::{Strong, Undefined, Weak};
    match algorithm.algorithm.to_id_string().as_str() {
        // RSASSA-PKCS1-v1_5 (RFC 8017): MD5, SHA-1, SHA-256, SHA-384, SHA-512, SHA-224
        "1.2.840.113549.1.1.4" | "1.2.840.113549.1.1.5" => Weak,
        "1.2.840.113549.1.1.11" => Strong(&digest::SHA256),
        "1.2.840.113549.1.1.12" => Strong(&digest::SHA384),
        "1.2.840.113549.1.1.13" => Strong(&digest::SHA512),
        "1.2.840.113549.1.1.14" => Strong(&digest::SHA224),
        // RSASSA-PSS: the hash is a parameter, SHA-1 when absent (RFC 4055 3.1).
        "1.2.840.113549.1.1.10" => {
            let parameters = algorithm.parameters.as_ref().and_then(|any| RsaSsaPssParams::try_from(any).ok());
            match parameters.map(|parameters| parameters.hash_algorithm_oid().to_id_string()).as_deref() {
                Some("1.3.14.3.2.26") => Weak,
                Some("2.16.840.1.101.3.4.2.1") => Strong(&digest::SHA256),
                Some("2.16.840.1.101.3.4.2.2") => Strong(&digest::SHA384),
                Some("2.16.840.1.101.3.4.2.3") => Strong(&digest::SHA512),
                _ => Undefined,
            }
        }
        // ECDSA (RFC 5758): SHA-1, SHA-224, SHA-256, SHA-384, SHA-512
        "1.2.840.10045.4.1" => Weak,
        "1.2.840.10045.4.3.1" => Strong(&digest::SHA224),
        "1.2.840.10045.4.3.2" => Strong(&digest::SHA256),
        "1.2.840.10045.4.3.3" => Strong(&digest::SHA384),
        "1.2.840.10045.4.3.4" => Strong(&digest::SHA512),
        _ => Undefined,
    }
}

/// Do the certificates name one another (RFC 8446 4.4.2)? What is odd, for the operator. Signatures are not looked at.
pub fn chain_fault(chain: &[CertificateDer<'_>]) -> Option<String> {
    let mut parsed = Vec::new();
    for der in chain {
        parsed.push(X509Certificate::from_der(der).ok()?.1);
    }
    let first = parsed.first()?;
    for (one, next) in parsed.iter().zip(parsed.iter().skip(1)) {
        if one.issuer().as_raw() != next.subject().as_raw() {
            return Some(format!("its chain breaks: {} does not sign {}", next.subject(), one.subject()));
        }
    }
    let alone = parsed.len() == 1 && first.issuer().as_raw() != first.subject().as_raw();
    alone.then(|| format!("its chain is not there: clients that do not know {} refuse it", first.issuer()))
}
