//! The store against real files: every fault is made, not imagined.

use std::fs;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::{Duration, SystemTime};

use super::*;

const DAY: Duration = Duration::from_secs(86_400);
const HALF_DAY: Duration = Duration::from_secs(43_200);

/// A folder that is gone when the test ends.
pub(crate) struct Folder(PathBuf);

impl Folder {
    pub fn new() -> Self {
        static NEXT: AtomicU32 = AtomicU32::new(0);
        let name = format!("iris-certs-{}-{}", std::process::id(), NEXT.fetch_add(1, Ordering::Relaxed));
        let path = std::env::temp_dir().join(name);
        fs::create_dir_all(&path).unwrap();
        Self(path)
    }

    pub fn path(&self) -> &Path {
        &self.0
    }

    pub fn join(&self, name: &str) -> PathBuf {
        self.0.join(name)
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.0);
    }
}

fn now() -> SystemTime {
    SystemTime::now()
}

fn fault(source: &Source) -> CertError {
    let mut errors = Certificates::load(std::slice::from_ref(source), now()).unwrap_err();
    assert_eq!(errors.len(), 1);
    errors.pop().unwrap()
}

fn pair(folder: &Folder, name: &str, params: rcgen::CertificateParams) -> Source {
    let key = rcgen::KeyPair::generate().unwrap();
    let (chain, key_file) = (folder.join(&format!("{name}.crt")), folder.join(&format!("{name}.key")));
    fs::write(&chain, params.self_signed(&key).unwrap().pem()).unwrap();
    fs::write(&key_file, key.serialize_pem()).unwrap();
    #[cfg(unix)]
    fs::set_permissions(&key_file, std::os::unix::fs::PermissionsExt::from_mode(0o600)).unwrap();
    Source::new(name, chain, key_file)
}

fn params(names: &[&str], from: SystemTime, to: SystemTime) -> rcgen::CertificateParams {
    let mut params = rcgen::CertificateParams::new(names.iter().map(|name| (*name).to_owned()).collect::<Vec<_>>()).unwrap();
    params.not_before = from.into();
    params.not_after = to.into();
    params
}

#[test]
fn r14_a_development_pair_loads_without_a_warning() {
    let folder = Folder::new();
    let made = dev::create(&folder.join("dev"), &["localhost", "two.test"]).unwrap();
    let (certs, warnings) = Certificates::load(&made.sources, now()).unwrap();
    // The temporary folder may be anywhere, so only the mode of the keys matters here: 0600 is not "readable by all".
    assert_eq!(warnings, []);
    let [one, two] = certs.leaves().try_into().unwrap();
    assert!(one.covers("localhost") && one.covers("conference.localhost"));
    assert!(two.covers("two.test") && two.covers("upload.two.test") && two.covers("anything.two.test"));
    assert!(!two.covers("a.b.two.test") && !two.covers("localhost"));
    assert_eq!(one.days_left(now()), 824);
    assert_eq!(one.key.cert.len(), 2, "leaf and authority");
    assert_eq!(one.end_point.as_ref().unwrap().len(), 32, "ECDSA with SHA-256");
}

#[cfg(unix)]
#[test]
fn r14_development_keys_are_private_and_nothing_is_overwritten() {
    use std::os::unix::fs::PermissionsExt;
    let folder = Folder::new();
    let made = dev::create(folder.path(), &["one.test"]).unwrap();
    for key in ["ca.key", "one.test.key"] {
        assert_eq!(fs::metadata(folder.join(key)).unwrap().permissions().mode() & 0o777, 0o600, "{key}");
    }
    let before = fs::read(&made.ca).unwrap();
    let error = dev::create(folder.path(), &["two.test"]).unwrap_err();
    assert!(matches!(error.fault, Fault::Exists), "{error}");
    assert_eq!(fs::read(&made.ca).unwrap(), before);
    assert!(!folder.join("two.test.crt").exists());
    for bad in ["", "../up", "a/b"] {
        assert!(dev::create(&folder.join("other"), &[bad]).is_err(), "{bad:?}");
    }
}

#[test]
fn r14_files_are_found_under_the_conventional_names() {
    let folder = Folder::new();
    let made = dev::create(&folder.join("from"), &["one.test"]).unwrap();
    let (chain, key) = (&made.sources[0].chain, &made.sources[0].key);
    let layouts: [&[(&str, &[&Path])]; 4] = [
        &[("one.test.crt", &[chain]), ("one.test.key", &[key])],
        &[("one.test.pem", &[chain]), ("one.test.key", &[key])],
        &[("one.test.pem", &[key, chain])],
        &[("one.test/fullchain.pem", &[chain]), ("one.test/privkey.pem", &[key])],
    ];
    for (number, layout) in layouts.iter().enumerate() {
        let here = folder.join(&number.to_string());
        fs::create_dir_all(here.join("one.test")).unwrap();
        for (name, parts) in *layout {
            let text: Vec<u8> = parts.iter().flat_map(|part| fs::read(part).unwrap()).collect();
            fs::write(here.join(name), text).unwrap();
        }
        let source = Source::find(&here, "One.Test").unwrap();
        let (certs, _) = Certificates::load(&[source], now()).unwrap();
        assert_eq!(&*certs.leaves()[0].domain, "one.test", "layout {number}");
    }
    let error = Source::find(folder.path(), "three.test").unwrap_err();
    assert!(error.to_string().contains("three.test/fullchain.pem"), "{error}");
    assert!(Source::find(folder.path(), "../from/one.test").is_err(), "a domain does not lead out of the folder");
}

#[test]
fn r14_each_fault_names_the_file_and_the_remedy() {
    let folder = Folder::new();
    let made = dev::create(folder.path(), &["one.test", "two.test"]).unwrap();
    let [one, two] = made.sources.try_into().unwrap();

    let missing = Source { chain: folder.join("nowhere.crt"), ..one.clone() };
    let error = fault(&missing);
    assert!(matches!(error.fault, Fault::Unreadable(_)) && error.to_string().contains("nowhere.crt"), "{error}");

    let error = fault(&Source { chain: one.key.clone(), ..one.clone() });
    assert!(matches!(error.fault, Fault::NoCertificate) && error.to_string().contains("one.test.key"), "{error}");

    let error = fault(&Source { key: one.chain.clone(), ..one.clone() });
    assert!(matches!(error.fault, Fault::NoKey { encrypted: false }), "{error}");

    let locked = folder.join("locked.key");
    fs::write(&locked, "-----BEGIN ENCRYPTED PRIVATE KEY-----\nAAAA\n-----END ENCRYPTED PRIVATE KEY-----\n").unwrap();
    let error = fault(&Source { key: locked, ..one.clone() });
    assert!(error.to_string().contains("openssl pkey"), "{error}");

    let error = fault(&Source { key: two.key.clone(), ..one.clone() });
    assert!(matches!(error.fault, Fault::KeyMismatch { .. }), "{error}");
    let text = error.to_string();
    assert!(text.contains("two.test.key") && text.contains("does not belong to") && text.contains("one.test.crt"), "{text}");

    let broken = folder.join("broken.crt");
    fs::write(&broken, "-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n").unwrap();
    assert!(matches!(fault(&Source { chain: broken, ..one.clone() }).fault, Fault::Malformed(_)));

    let large = folder.join("large.crt");
    fs::write(&large, vec![b'x'; 1024 * 1024 + 1]).unwrap();
    assert!(matches!(fault(&Source { chain: large, ..one }).fault, Fault::TooLarge));

    let error = Certificates::load(&[], now()).unwrap_err().pop().unwrap();
    assert!(matches!(error.fault, Fault::NoneConfigured));
}

#[test]
fn r14_all_faults_are_reported_at_once() {
    let folder = Folder::new();
    let source = |name: &str| Source::new(name, folder.join(name), folder.join(name));
    assert_eq!(Certificates::load(&[source("one.test"), source("two.test")], now()).unwrap_err().len(), 2);
}

#[test]
fn r14_expired_uncovered_and_soon_are_warnings_at_start() {
    let folder = Folder::new();
    let sources = [
        pair(&folder, "old.test", params(&["old.test"], now() - 30 * DAY, now() - 3 * DAY - HALF_DAY)),
        pair(&folder, "soon.test", params(&["soon.test"], now() - DAY, now() + 5 * DAY + HALF_DAY)),
        pair(&folder, "early.test", params(&["early.test"], now() + DAY, now() + 90 * DAY)),
        pair(&folder, "wrong.test", params(&["right.test"], now() - DAY, now() + 90 * DAY)),
    ];
    let (certs, warnings) = Certificates::load(&sources, now()).unwrap();
    let has = |wanted: &dyn Fn(&Warning) -> bool| warnings.iter().any(wanted);
    assert!(has(&|w| matches!(w, Warning::Expired { domain, days_ago: 3, .. } if &**domain == "old.test")), "{warnings:?}");
    assert!(
        has(&|w| matches!(w, Warning::ExpiresSoon { domain, days_left: 5, .. } if &**domain == "soon.test")),
        "{warnings:?}"
    );
    assert!(has(&|w| matches!(w, Warning::NotYetValid { domain, .. } if &**domain == "early.test")), "{warnings:?}");
    assert!(has(&|w| matches!(w, Warning::NameNotCovered { domain, .. } if &**domain == "wrong.test")), "{warnings:?}");
    let urgent = certs.expiries(now());
    assert_eq!(&*urgent[0].domain, "old.test");
    assert!(urgent[0].days_left < 0 && urgent[1].days_left == 5);
}

#[cfg(unix)]
#[test]
fn r14_a_key_everybody_can_read_is_a_warning() {
    use std::os::unix::fs::PermissionsExt;
    let folder = Folder::new();
    let made = dev::create(folder.path(), &["one.test"]).unwrap();
    fs::set_permissions(&made.sources[0].key, fs::Permissions::from_mode(0o644)).unwrap();
    let (_, warnings) = Certificates::load(&made.sources, now()).unwrap();
    assert!(matches!(&warnings[..], [Warning::KeyReadableByAll { .. }]), "{warnings:?}");
}

#[test]
fn r14_reload_keeps_everything_when_one_pair_is_bad() {
    let folder = Folder::new();
    let made = dev::create(&folder.join("a"), &["one.test", "two.test"]).unwrap();
    let (certs, _) = Certificates::load(&made.sources, now()).unwrap();
    let shown = |name| certs.leaf_for(Some(name)).key.cert.clone();
    let (one, two) = (shown("one.test"), shown("two.test"));

    let fresh = dev::create(&folder.join("b"), &["one.test", "two.test"]).unwrap();
    let mut mixed = fresh.sources.clone();
    mixed[1].key.clone_from(&made.sources[1].key);
    let errors = certs.reload(&mixed, now()).unwrap_err();
    assert!(matches!(errors[..], [CertError { fault: Fault::KeyMismatch { .. }, .. }]), "{errors:?}");
    assert_eq!((shown("one.test"), shown("two.test"), certs.generation()), (one.clone(), two.clone(), 0));

    assert_eq!(certs.reload(&made.sources, now()).unwrap().changed, [], "nothing changed");
    assert_eq!(certs.generation(), 0, "tickets stay good");

    let done = certs.reload(&fresh.sources, now()).unwrap();
    assert_eq!(done.changed.len(), 2);
    assert_eq!(certs.generation(), 1);
    assert!(shown("one.test") != one && shown("two.test") != two);

    let done = certs.reload(&fresh.sources[..1], now()).unwrap();
    assert_eq!(done.changed, ["two.test".into()], "gone");
}

#[test]
fn r14_reload_refuses_a_new_expired_one_but_bears_one_that_grew_old() {
    let folder = Folder::new();
    let ageing = pair(&folder, "one.test", params(&["one.test"], now() - DAY, now() + DAY));
    let other = pair(&folder, "two.test", params(&["two.test"], now() - DAY, now() + 90 * DAY));
    let (certs, _) = Certificates::load(&[ageing.clone(), other.clone()], now()).unwrap();

    pair(&folder, "two.test", params(&["two.test"], now() - 9 * DAY, now() - 2 * DAY));
    let errors = certs.reload(&[ageing.clone(), other.clone()], now()).unwrap_err();
    assert!(matches!(errors[..], [CertError { fault: Fault::Expired { .. }, .. }]), "{errors:?}");

    pair(&folder, "two.test", params(&["two.test"], now() - DAY, now() + 180 * DAY));
    let later = now() + 2 * DAY;
    let done = certs.reload(&[ageing, other], later).unwrap();
    assert_eq!(done.changed, ["two.test".into()]);
    assert!(matches!(&done.warnings[..], [Warning::Expired { domain, .. }, ..] if &**domain == "one.test"), "{done:?}");
}

#[test]
fn b4_the_certificate_for_a_name_is_never_another_tenants() {
    let folder = Folder::new();
    let valid = |names: &[&str]| params(names, now() - DAY, now() + 90 * DAY);
    let sources = [
        pair(&folder, "house.test", valid(&["house.test", "*.house.test"])),
        // A tenant whose certificate also has the names of others: it must not be shown for them.
        pair(&folder, "greedy.test", valid(&["greedy.test", "house.test", "*.house.test", "victim.test", "alias.test"])),
        pair(&folder, "victim.test", valid(&["victim.test"])),
    ];
    let (certs, _) = Certificates::load(&sources, now()).unwrap();
    let chosen = |name| certs.leaf_for(Some(name)).domain.to_string();
    assert_eq!(chosen("victim.test"), "victim.test");
    assert_eq!(chosen("VICTIM.test."), "victim.test");
    assert_eq!(chosen("files.house.test"), "house.test");
    assert_eq!(chosen("alias.test"), "greedy.test", "its own second name");
    assert_eq!(chosen("conference.victim.test"), "victim.test", "nearest configured domain above");
    assert_eq!(chosen("unknown.example"), "house.test", "default");
    assert_eq!(chosen("test"), "house.test");
    assert_eq!(chosen(""), "house.test");
    assert_eq!(&*certs.leaf_for(None).domain, "house.test");
}

#[test]
fn b3_weak_rsa_keys_and_sha1_signatures_are_refused() {
    let folder = Folder::new();
    for (name, pem) in [("weak.crt", RSA_1024), ("sha1.crt", ECDSA_SHA1)] {
        fs::write(folder.join(name), pem).unwrap();
    }
    let source = |name| Source::new("weak.test", folder.join(name), folder.join("none.key"));
    assert!(matches!(fault(&source("weak.crt")).fault, Fault::WeakKey { bits: 1024 }));
    assert!(matches!(fault(&source("sha1.crt")).fault, Fault::WeakSignature));
}

#[test]
fn s5929_4_1_sha1_becomes_sha256_in_the_end_point() {
    use aws_lc_rs::digest::{SHA256, digest};
    use rustls::pki_types::{CertificateDer, pem::PemObject};
    let der = CertificateDer::from_pem_slice(ECDSA_SHA1.as_bytes()).unwrap();
    assert_eq!(end_point(&der).as_deref(), Some(digest(&SHA256, &der).as_ref()));
}

#[test]
fn s5929_4_1_the_end_point_takes_the_hash_of_the_signature() {
    use aws_lc_rs::digest::{SHA384, digest};
    let signed_with = |algorithm| {
        let key = rcgen::KeyPair::generate_for(algorithm).unwrap();
        params(&["one.test"], now() - DAY, now() + DAY).self_signed(&key).unwrap().der().clone()
    };
    let der = signed_with(&rcgen::PKCS_ECDSA_P384_SHA384);
    assert_eq!(end_point(&der).as_deref(), Some(digest(&SHA384, &der).as_ref()));
    assert_eq!(end_point(&signed_with(&rcgen::PKCS_ED25519)), None, "no single hash: undefined");
    assert_eq!(end_point(b"garbage"), None);
}

/// Self-signed, RSA with 1024 bits, SHA-256.
const RSA_1024: &str = "\
-----BEGIN CERTIFICATE-----
MIICHDCCAYWgAwIBAgIULlzvvM/tpdM05ykgqM6sBgxnDugwDQYJKoZIhvcNAQEL
BQAwFDESMBAGA1UEAwwJd2Vhay50ZXN0MCAXDTI2MTEyNTIxMzczMloYDzIxMjYx
MTAxMjEzNzMyWjAUMRIwEAYDVQQDDAl3ZWFrLnRlc3QwgZ8wDQYJKoZIhvcNAQEB
BQADgY0AMIGJAoGBAL2YFJ4O0pzilLfMxTCNmkIMFWix8rJQKjRzEfZ55jxYkvAV
koi2IUF9X/gzqY9yOEKGq1LtjNctgkSFDV9Cnu/sxrPi6WC9AwfObLI7uMIdAG1f
yjqpdY0cyrfEiAUA5zvZZ0I2yJHEWKFC9C0gBGl3ZaCdBIrSDMWqMiP/HS3PAgMB
AAGjaTBnMB0GA1UdDgQWBBQnPwN28gVP8A4vFMj2D58NdV8PTzAfBgNVHSMEGDAW
gBQnPwN28gVP8A4vFMj2D58NdV8PTzAPBgNVHRMBAf8EBTADAQH/MBQGA1UdEQQN
MAuCCXdlYWsudGVzdDANBgkqhkiG9w0BAQsFAAOBgQAE/rgFNHLB2wbFmad3wg6z
wwgO6ejbxsYs8gR9srFe4TEkgiqQ0AvcaZumwy/LWFYhR6yBF6aUKrtQQpHs2vdO
g1a0EMSNmfs08Tpy/e3jueeklA8hPXuF4ASvb7hi8Mp3aRJjdiAEkPuzTnJ9KHk7
m6/JnU7ojIJ2SjJ7OhPBdA==
-----END CERTIFICATE-----
";

/// Self-signed, ECDSA P-256 with SHA-1.
const ECDSA_SHA1: &str = "\
-----BEGIN CERTIFICATE-----
MIIBfDCCASSgAwIBAgIUEUMPdZ0FsEpyLzgKwV9YHwE+EA0wCQYHKoZIzj0EATAU
MRIwEAYDVQQDDAl3ZWFrLnRlc3QwIBcNMjYxMTI1MjEzNzMyWhgPMjEyNjExMDEy
MTM3MzJaMBQxEjAQBgNVBAMMCXdlYWsudGVzdDBZMBMGByqGSM49AgEGCCqGSM49
AwEHA0IABO2N6xFuUk+c6fNHxfmmVej5qZKMlpdGcNMybU58IqzUBgbbwyw3hFxl
DSlIrXgbyeIZZrmkBHSwZA7n4IR8fZqjUzBRMB0GA1UdDgQWBBSlynD/trPMmboz
7kutFnog3pVoszAfBgNVHSMEGDAWgBSlynD/trPMmboz7kutFnog3pVoszAPBgNV
HRMBAf8EBTADAQH/MAkGByqGSM49BAEDRwAwRAIgVDmNJ7kNxTvYGILas6AoGAwM
k+/OMTDrTNOfk2TH07wCIHvB2YBn+DUPGvramAaBsbP+rnYRFKA41Z0CX32rwn0Z
-----END CERTIFICATE-----
";

/// SNI has A-labels (RFC 6066 3); a configuration may say what people read.
#[test]
fn a_domain_with_other_letters_shows_its_certificate_to_who_asks_by_its_a_label() {
    for named in ["bücher.example", "xn--bcher-kva.example"] {
        let folder = Folder::new();
        let made = dev::create(folder.path(), &["house.example", named]).unwrap();
        assert_eq!(&*made.sources[1].domain, "xn--bcher-kva.example");
        let sources = [Source::find(folder.path(), "house.example"), Source::find(folder.path(), "bücher.example")];
        let (certificates, _) = Certificates::load(&sources.map(Result::unwrap), now()).unwrap();
        let leaf = certificates.leaf_for(Some("xn--bcher-kva.example"));
        assert_eq!(&*leaf.domain, "xn--bcher-kva.example");
        assert!(leaf.covers("xn--bcher-kva.example"), "{leaf:?}");
    }
    // Files that people named as they read.
    let folder = Folder::new();
    let names = ["xn--bcher-kva.example"].map(str::to_owned).to_vec();
    pair(&folder, "bücher.example", rcgen::CertificateParams::new(names).unwrap());
    let source = Source::find(folder.path(), "bücher.example").unwrap();
    assert_eq!(&*source.domain, "xn--bcher-kva.example");
}

#[test]
fn a_domain_added_later_gets_its_certificate_from_the_same_authority() {
    use rustls::pki_types::pem::PemObject;
    let folder = Folder::new();
    let made = dev::create(folder.path(), &["one.example"]).unwrap();
    let (ca, first) = (fs::read(&made.ca).unwrap(), fs::read(&made.sources[0].chain).unwrap());
    assert!(dev::add(folder.path(), &["one.example"]).unwrap().is_empty());
    let added = dev::add(folder.path(), &["one.example", "two.example"]).unwrap();
    assert_eq!(added.len(), 1);
    assert_eq!((fs::read(&made.ca).unwrap(), fs::read(&made.sources[0].chain).unwrap()), (ca, first), "what is there stays");
    // A client that trusts the authority trusts the new one too.
    let mut roots = rustls::RootCertStore::empty();
    let ca: Vec<_> = rustls::pki_types::CertificateDer::pem_file_iter(&made.ca).unwrap().collect::<Result<_, _>>().unwrap();
    ca.into_iter().for_each(|certificate| roots.add(certificate).unwrap());
    let provider = std::sync::Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    let verifier = rustls::client::WebPkiServerVerifier::builder_with_provider(roots.into(), provider).build().unwrap();
    let chain: Vec<_> =
        rustls::pki_types::CertificateDer::pem_file_iter(&added[0].chain).unwrap().collect::<Result<_, _>>().unwrap();
    let name = rustls::pki_types::ServerName::try_from("two.example").unwrap();
    use rustls::client::danger::ServerCertVerifier;
    let verified = verifier.verify_server_cert(&chain[0], &chain[1..], &name, &[], rustls::pki_types::UnixTime::now());
    assert!(verified.is_ok(), "{verified:?}");
    fs::remove_file(folder.join("ca.key")).unwrap();
    let said = dev::add(folder.path(), &["three.example"]).unwrap_err().to_string();
    assert!(said.contains("ca.key"), "{said}");
}
