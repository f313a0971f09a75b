//! A certificate authority of one's own, as an operator of a private service has it.

use std::sync::Arc;

use rustls::ServerConfig;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};

/// A server for these names, and whom to believe for that: PEM.
pub fn server(names: &[&str]) -> (Arc<ServerConfig>, String) {
    let mut parameters = rcgen::CertificateParams::new(Vec::<String>::new()).expect("parameters");
    parameters.is_ca = rcgen::IsCa::Ca(rcgen::BasicConstraints::Unconstrained);
    let ca_key = rcgen::KeyPair::generate().expect("a key");
    let ca = parameters.self_signed(&ca_key).expect("an authority");
    let issuer = rcgen::Issuer::from_params(&parameters, &ca_key);
    let key = rcgen::KeyPair::generate().expect("a key");
    let names: Vec<String> = names.iter().map(|name| (*name).to_owned()).collect();
    let leaf = rcgen::CertificateParams::new(names).expect("parameters");
    let leaf = leaf.signed_by(&key, &issuer).expect("a certificate");
    let chain = vec![CertificateDer::from(leaf.der().to_vec())];
    let config = ServerConfig::builder_with_provider(Arc::new(rustls::crypto::aws_lc_rs::default_provider()))
        .with_safe_default_protocol_versions()
        .expect("versions")
        .with_no_client_auth()
        .with_single_cert(chain, PrivateKeyDer::try_from(key.serialize_der()).expect("a key"))
        .expect("a server");
    (Arc::new(config), ca.pem())
}

/// An authority that goes on issuing, for servers that speak with each other.
pub struct Authority {
    issuer: rcgen::Issuer<'static, rcgen::KeyPair>,
    pub pem: String,
}

impl Authority {
    pub fn new() -> Authority {
        let mut parameters = rcgen::CertificateParams::new(Vec::<String>::new()).expect("parameters");
        parameters.is_ca = rcgen::IsCa::Ca(rcgen::BasicConstraints::Unconstrained);
        let key = rcgen::KeyPair::generate().expect("a key");
        let pem = parameters.self_signed(&key).expect("an authority").pem();
        Authority { issuer: rcgen::Issuer::new(parameters, key), pem }
    }

    /// A certificate for these names and its key: PEM.
    pub fn issue(&self, names: &[&str]) -> (String, String) {
        self.issue_as(names, |_| {})
    }

    /// As `issue`, with something else about it.
    pub fn issue_as(&self, names: &[&str], change: impl FnOnce(&mut rcgen::CertificateParams)) -> (String, String) {
        let key = rcgen::KeyPair::generate().expect("a key");
        let mut leaf = leaf(names);
        change(&mut leaf);
        (leaf.signed_by(&key, &self.issuer).expect("a certificate").pem(), key.serialize_pem())
    }
}

/// As `Authority::issue`, but nobody has issued it.
pub fn self_signed(names: &[&str]) -> (String, String) {
    let key = rcgen::KeyPair::generate().expect("a key");
    (leaf(names).self_signed(&key).expect("a certificate").pem(), key.serialize_pem())
}

fn leaf(names: &[&str]) -> rcgen::CertificateParams {
    let names: Vec<String> = names.iter().map(|name| (*name).to_owned()).collect();
    rcgen::CertificateParams::new(names).expect("parameters")
}
