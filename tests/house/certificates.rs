//! SASL EXTERNAL (XEP-0178, security B16) over real handshakes.

use std::sync::Arc;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use rcgen::{BasicConstraints, CertificateParams, CustomExtension, IsCa, Issuer, KeyPair};
use rustls::ClientConfig;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};

use crate::client::{Client, PATIENCE, trusting_with};
use crate::server::{Data, Server, With};

struct Authority {
    issuer: Issuer<'static, KeyPair>,
    pem: String,
}

fn authority() -> Authority {
    let mut params = CertificateParams::new(Vec::new()).expect("parameters");
    params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    let key = KeyPair::generate().expect("a key");
    let pem = params.self_signed(&key).expect("a certificate").pem();
    Authority { issuer: Issuer::new(params, key), pem }
}

/// DER: a tag, a length below 128, the content.
fn der(tag: u8, content: &[u8]) -> Vec<u8> {
    let mut out = vec![tag, u8::try_from(content.len()).expect("short")];
    out.extend_from_slice(content);
    out
}

/// `SubjectAltName` with these id-on-xmppAddr (RFC 6120 13.7.1.4).
fn names(addresses: &[&str]) -> CustomExtension {
    let oid = der(6, &[0x2b, 6, 1, 5, 5, 7, 8, 5]);
    let each = addresses.iter().flat_map(|address| der(0xa0, &[oid.clone(), der(0xa0, &der(12, address.as_bytes()))].concat()));
    CustomExtension::from_oid_content(&[2, 5, 29, 17], der(0x30, &each.collect::<Vec<u8>>()))
}

/// A certificate for these addresses, whose common name is somebody else.
fn certificate(
    authority: &Authority,
    addresses: &[&str],
    years: (i32, i32),
) -> (CertificateDer<'static>, PrivateKeyDer<'static>) {
    let mut params = CertificateParams::new(Vec::new()).expect("parameters");
    params.distinguished_name.push(rcgen::DnType::CommonName, "romeo@localhost");
    params.distinguished_name.push(rcgen::DnType::OrganizationalUnitName, "x, CN=romeo@localhost");
    params.not_before = rcgen::date_time_ymd(years.0, 1, 1);
    params.not_after = rcgen::date_time_ymd(years.1, 1, 1);
    if !addresses.is_empty() {
        params.custom_extensions.push(names(addresses));
    }
    signed(authority, params)
}

fn signed(authority: &Authority, params: CertificateParams) -> (CertificateDer<'static>, PrivateKeyDer<'static>) {
    let key = KeyPair::generate().expect("a key");
    let signed = params.signed_by(&key, &authority.issuer).expect("a certificate");
    (signed.der().clone(), PrivateKeyDer::try_from(key.serialize_der()).expect("a key"))
}

fn house() -> (Data, Server, Authority) {
    let data = Data::with_users(["juliet", "romeo"]);
    let authority = authority();
    std::fs::write(data.folder().join("clients.crt"), &authority.pem).expect("a file");
    let config = Some("[tls]\nclient_ca = \"clients.crt\"\n".to_owned());
    let server = data.start_with(&With { config, ..With::default() });
    (data, server, authority)
}

fn showing(data: &Data, shown: (CertificateDer<'static>, PrivateKeyDer<'static>)) -> Arc<ClientConfig> {
    trusting_with(&data.ca(), shown)
}

fn external(client: &mut Client, authzid: &str) -> String {
    let initial = if authzid.is_empty() { "=".to_owned() } else { STANDARD.encode(authzid) };
    client.send(&format!("<auth xmlns='urn:ietf:params:xml:ns:xmpp-sasl' mechanism='EXTERNAL'>{initial}</auth>"));
    client.read_stanza()
}

#[test]
fn a_certificate_is_as_good_as_a_password() {
    let (data, server, authority) = house();
    let config = showing(&data, certificate(&authority, &["juliet@localhost"], (2020, 2090)));
    let mut juliet = Client::direct_tls(server.direct_tls, config.clone()).expect("TLS");
    assert!(juliet.open().contains("<mechanism>EXTERNAL</mechanism>"), "{}", juliet.features);
    assert!(external(&mut juliet, "").starts_with("<success"));
    juliet.open();
    assert_eq!(juliet.bind("desk").expect("a session"), "juliet@localhost/desk");
    let listed = juliet.iq("get", None, "<list xmlns='urn:xmpp:cam:0'/>");
    assert!(listed.contains("<certificate ") && !listed.contains("<password/>"), "{listed}");
    // SASL2, over STARTTLS, with a ticket perhaps.
    let mut again = Client::starttls(server.starttls, config).expect("TLS");
    again.open();
    again.send("<authenticate xmlns='urn:xmpp:sasl:2' mechanism='EXTERNAL'><initial-response/></authenticate>");
    let success = again.read_stanza();
    assert!(success.contains("<authorization-identifier>juliet@localhost</"), "{success}");
}

#[test]
fn b16_a_certificate_opens_what_it_names_and_nothing_else() {
    let (data, server, authority) = house();
    let connect = |addresses: &[&str]| {
        let config = showing(&data, certificate(&authority, addresses, (2020, 2090)));
        let mut client = Client::direct_tls(server.direct_tls, config).expect("TLS");
        client.open();
        client
    };
    // Names of nobody here, no name but a common one: not offered, and refused.
    for addresses in [&[][..], &["juliet@elsewhere.example"][..], &["juliet@localhost\0.evil"][..], &["localhost"][..]] {
        let mut client = connect(addresses);
        let offered = client.features.contains("EXTERNAL");
        let said = external(&mut client, "");
        assert!(said.starts_with("<failure"), "{addresses:?}: {said}");
        assert!(!offered || said.contains("<not-authorized"), "{addresses:?}: {said}");
    }
    for authzid in ["romeo@localhost", "juliet@localhost/x", "localhost"] {
        let said = external(&mut connect(&["juliet@localhost"]), authzid);
        assert!(said.contains("<invalid-authzid/>"), "{authzid}: {said}");
    }
    let both = ["juliet@localhost", "romeo@localhost"];
    assert!(external(&mut connect(&both), "").contains("<invalid-authzid/>"));
    assert!(external(&mut connect(&both), "romeo@localhost").starts_with("<success"));
    assert!(external(&mut connect(&["nobody@localhost"]), "").contains("<not-authorized/>"));
}

#[test]
fn b16_expired_not_yet_valid_and_foreign_certificates_end_the_handshake() {
    let (data, server, own) = house();
    let foreign = authority();
    for (issued_by, years) in [(&own, (2001, 2002)), (&own, (2080, 2090)), (&foreign, (2020, 2090))] {
        let config = showing(&data, certificate(issued_by, &["juliet@localhost"], years));
        // Under TLS 1.3 the client learns it with the first thing it reads.
        let refused = Client::direct_tls(server.direct_tls, config).and_then(|mut client| client.try_open());
        assert!(refused.is_err(), "{years:?}");
    }
    // Who shows none comes in by password.
    let mut romeo = Client::direct_tls(server.direct_tls, crate::client::trusting(&data.ca())).expect("TLS");
    assert!(!romeo.open().contains("EXTERNAL"));
    assert!(romeo.sasl_plain("romeo", crate::client::PASSWORD).expect("an answer").starts_with("<success"));
}

#[test]
fn nobody_is_asked_for_a_certificate_unless_the_configuration_says_so() {
    let data = Data::with_users(["juliet"]);
    let server = data.start();
    let config = showing(&data, certificate(&authority(), &["juliet@localhost"], (2020, 2090)));
    let mut client = Client::direct_tls(server.direct_tls, config).expect("a foreign certificate is not even asked for");
    assert!(!client.open().contains("EXTERNAL"));
}

/// With the mail address `address` (rfc822Name), and the serial number `serial`.
fn with_mail(authority: &Authority, address: &str, serial: u64) -> (CertificateDer<'static>, PrivateKeyDer<'static>) {
    let mut params = CertificateParams::new(Vec::new()).expect("parameters");
    params.subject_alt_names.push(rcgen::SanType::Rfc822Name(address.try_into().expect("ASCII")));
    params.serial_number = Some(serial.into());
    signed(authority, params)
}

/// XEP-0178 2, step 11.3: a mail address is a JID only where the operator says so.
#[test]
fn b16_a_mail_address_opens_only_what_the_configuration_lets_it() {
    for (allowed, more) in [(false, ""), (true, "client_mail_is_address = true\n")] {
        let data = Data::with_users(["juliet", "romeo"]);
        let authority = authority();
        std::fs::write(data.folder().join("clients.crt"), &authority.pem).expect("a file");
        let config = Some(format!("[tls]\nclient_ca = \"clients.crt\"\n{more}"));
        let server = data.start_with(&With { config, ..With::default() });
        let connect = |address: &str| {
            let config = showing(&data, with_mail(&authority, address, 7));
            let mut client = Client::direct_tls(server.direct_tls, config).expect("TLS");
            client.open();
            client
        };
        let mut juliet = connect("juliet@localhost");
        assert_eq!(juliet.features.contains("<mechanism>EXTERNAL</mechanism>"), allowed, "{}", juliet.features);
        assert_eq!(external(&mut juliet, "").starts_with("<success"), allowed);
        if allowed {
            // Whoever issues addresses of another domain says nothing about ours.
            assert!(external(&mut connect("juliet@elsewhere.example"), "").starts_with("<failure"));
            assert!(external(&mut connect("juliet@localhost"), "romeo@localhost").contains("<invalid-authzid/>"));
        }
    }
}

#[test]
fn b16_a_revoked_certificate_ends_the_handshake_and_another_of_the_same_authority_does_not() {
    let data = Data::with_users(["juliet"]);
    let authority = authority();
    std::fs::write(data.folder().join("clients.crt"), &authority.pem).expect("a file");
    let revoked = rcgen::RevokedCertParams {
        serial_number: 66_u64.into(),
        revocation_time: rcgen::date_time_ymd(2024, 1, 1),
        reason_code: Some(rcgen::RevocationReason::KeyCompromise),
        invalidity_date: None,
    };
    let list = rcgen::CertificateRevocationListParams {
        this_update: rcgen::date_time_ymd(2024, 1, 2),
        next_update: rcgen::date_time_ymd(2090, 1, 1),
        crl_number: 1_u64.into(),
        issuing_distribution_point: None,
        revoked_certs: vec![revoked],
        key_identifier_method: rcgen::KeyIdMethod::Sha256,
    };
    let pem = list.signed_by(&authority.issuer).expect("a list").pem().expect("PEM");
    std::fs::write(data.folder().join("revoked.pem"), pem).expect("a file");
    let tls = "[tls]\nclient_ca = \"clients.crt\"\nclient_crl = \"revoked.pem\"\nclient_mail_is_address = true\n";
    let server = data.start_with(&With { config: Some(tls.to_owned()), ..With::default() });
    let connect = |serial| {
        let config = showing(&data, with_mail(&authority, "juliet@localhost", serial));
        Client::direct_tls(server.direct_tls, config).and_then(|mut client| client.try_open().map(|_| client))
    };
    assert!(connect(66).is_err(), "revoked");
    let mut good = connect(67).expect("not revoked");
    assert!(external(&mut good, "").starts_with("<success"));
}

/// B5: what a stranger shows costs nobody anything before it is believed.
#[test]
fn b5_a_certificate_with_ten_thousand_names_is_refused_and_of_many_names_the_first_count() {
    let (data, server, authority) = house();
    let mut romeo = Client::online(server.plain, "romeo", "orchard");
    let shown = |names: usize, own: usize| {
        let mut params = CertificateParams::new(Vec::new()).expect("parameters");
        let other = |n: usize| rcgen::SanType::DnsName(format!("name-{n}.elsewhere.example").try_into().expect("ASCII"));
        params.subject_alt_names = (0..names).map(other).collect();
        let utf8 = rcgen::OtherNameValue::Utf8String("juliet@localhost".into());
        params.subject_alt_names.insert(own, rcgen::SanType::OtherName((vec![1, 3, 6, 1, 5, 5, 7, 8, 5], utf8)));
        let config = showing(&data, signed(&authority, params));
        Client::direct_tls(server.direct_tls, config).and_then(|mut client| client.try_open().map(|_| client))
    };
    assert!(shown(10_000, 0).is_err(), "it is longer than a handshake may be");
    romeo.ping(PATIENCE).expect("nobody else has noticed");
    assert!(external(&mut shown(80, 10).expect("a handshake"), "").starts_with("<success"));
    assert!(external(&mut shown(80, 70).expect("a handshake"), "").starts_with("<failure"));
}
