//! Whose certificates are believed.

use std::fmt;
use std::path::Path;
use std::sync::Arc;

use rustls::pki_types::CertificateDer;
use rustls::pki_types::pem::PemObject;
use rustls::{ClientConfig, RootCertStore};

/// Whose certificates are believed.
#[derive(Clone, Copy, Debug)]
pub enum Trust<'a> {
    /// The authorities of the system (`SSL_CERT_FILE` and `SSL_CERT_DIR` name others).
    System,
    /// Those of a PEM file and nobody else's.
    Authorities(&'a Path),
}

impl Trust<'_> {
    /// # Errors
    /// There is no authority, or the file is none; for an operator.
    pub fn tls(self) -> Result<ClientConfig, String> {
        let mut roots = RootCertStore::empty();
        match self {
            Trust::System => {
                let found = rustls_native_certs::load_native_certs();
                roots.add_parsable_certificates(found.certs);
                if roots.is_empty() {
                    let why = found.errors.first().map_or_else(String::new, |why| format!(" ({why})"));
                    return Err(format!("this system has no list of certificate authorities{why}"));
                }
            }
            Trust::Authorities(file) => {
                let in_file = |why: &dyn fmt::Display| format!("{}: {why}", file.display());
                for certificate in CertificateDer::pem_file_iter(file).map_err(|why| in_file(&why))? {
                    let certificate = certificate.map_err(|why| in_file(&why))?;
                    roots.add(certificate).map_err(|why| in_file(&why))?;
                }
                if roots.is_empty() {
                    return Err(in_file(&"there is no certificate in it"));
                }
            }
        }
        let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
        let config = ClientConfig::builder_with_provider(provider).with_safe_default_protocol_versions();
        Ok(config.map_err(|why| why.to_string())?.with_root_certificates(roots).with_no_client_auth())
    }
}
