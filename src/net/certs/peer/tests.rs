//! Certificates as they should not be: each is made and judged.

use std::fs;
use std::time::{Duration, Instant};

use rcgen::{
    BasicConstraints, CertificateParams, CustomExtension, DnType, ExtendedKeyUsagePurpose, GeneralSubtree, IsCa, Issuer,
    KeyPair, NameConstraints, SanType,
};

use super::*;
use crate::certs::tests::Folder;

type Der = CertificateDer<'static>;

const DAY: Duration = Duration::from_secs(86_400);

fn now() -> SystemTime {
    SystemTime::now()
}

/// Somebody who signs.
struct Authority {
    der: Der,
    pem: String,
    issuer: Issuer<'static, KeyPair>,
}

impl Authority {
    fn params(name: &str) -> CertificateParams {
        let mut params = CertificateParams::new(Vec::new()).unwrap();
        params.distinguished_name.push(DnType::CommonName, name);
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        params.not_before = (now() - DAY).into();
        params.not_after = (now() + 90 * DAY).into();
        params
    }

    fn root(params: CertificateParams) -> Self {
        let key = KeyPair::generate().unwrap();
        let certificate = params.self_signed(&key).unwrap();
        Self { der: certificate.der().clone(), pem: certificate.pem(), issuer: Issuer::new(params, key) }
    }

    fn new() -> Self {
        Self::root(Self::params("Authority of the tests"))
    }

    fn below(&self, params: CertificateParams) -> Self {
        let key = KeyPair::generate().unwrap();
        let certificate = params.signed_by(&key, &self.issuer).unwrap();
        Self { der: certificate.der().clone(), pem: certificate.pem(), issuer: Issuer::new(params, key) }
    }

    fn sign(&self, params: &CertificateParams) -> Der {
        params.signed_by(&KeyPair::generate().unwrap(), &self.issuer).unwrap().der().clone()
    }

    fn trusted(&self) -> Authorities {
        trusting(&[&self.pem])
    }
}

fn trusting(pem: &[&str]) -> Authorities {
    let folder = Folder::new();
    let file = folder.join("authorities.pem");
    fs::write(&file, pem.concat()).unwrap();
    Authorities::from_file(&file).unwrap()
}

fn leaf(names: &[&str]) -> CertificateParams {
    let mut params = CertificateParams::new(Vec::new()).unwrap();
    // Not by `CertificateParams::new`, which makes addresses of what looks like one.
    params.subject_alt_names = names.iter().map(|name| SanType::DnsName((*name).try_into().unwrap())).collect();
    params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ServerAuth];
    params.not_before = (now() - DAY).into();
    params.not_after = (now() + 90 * DAY).into();
    params
}

fn xmpp_addr(address: &str) -> SanType {
    SanType::OtherName((vec![1, 3, 6, 1, 5, 5, 7, 8, 5], address.into()))
}

/// A SubjectAltName with otherNames whose value has a type that rcgen does not know: (last arc of the kind, tag, text).
fn other_names(names: &[(u8, u8, &str)]) -> CustomExtension {
    let tagged = |tag: u8, content: &[u8]| [&[tag, u8::try_from(content.len()).unwrap()], content].concat();
    let name = |(kind, tag, text): &(u8, u8, &str)| {
        let oid = tagged(6, &[0x2b, 6, 1, 5, 5, 7, 8, *kind]);
        tagged(0xa0, &[oid, tagged(0xa0, &tagged(*tag, text.as_bytes()))].concat())
    };
    let all: Vec<u8> = names.iter().flat_map(name).collect();
    CustomExtension::from_oid_content(&[2, 5, 29, 17], tagged(0x30, &all))
}

const IA5: u8 = 22;
const UTF8: u8 = 12;

/// One authority, one leaf.
fn judged(params: &CertificateParams, domain: &str) -> Result<(), Fault> {
    let authority = Authority::new();
    authority.trusted().judge(&[authority.sign(params)], domain, now())
}

fn is_not_trusted(judgement: &Result<(), Fault>, why: &str) -> bool {
    matches!(judgement, Err(Fault::NotTrusted(reason)) if reason.contains(why))
}

// --- names ------------------------------------------------------------------------------------------------------------

#[test]
fn s9525_6_a_name_is_compared_whole_and_without_case() {
    let params = leaf(&["Example.ORG", "*.example.net"]);
    for good in ["example.org", "EXAMPLE.org", "example.org.", "a.example.net", "xn--bcher-kva.example.net", "_x.example.net"] {
        assert_eq!(judged(&params, good), Ok(()), "{good}");
    }
}

#[test]
fn e3_a_wrong_name_is_refused() {
    let params = leaf(&["example.org", "*.example.net"]);
    for bad in [
        "example.com",
        "xample.org",
        "aexample.org",
        "a.example.org",
        "org",
        "example.net",
        "",
        ".",
        "example.org..",
        ".example.net",
        "example.org\0.example.com",
        "user@example.org",
        "a/b.example.net",
    ] {
        assert_eq!(judged(&params, bad), Err(Fault::WrongName), "{bad:?}");
    }
    assert_eq!(judged(&leaf(&["example.org\0.example.com"]), "example.org"), Err(Fault::WrongName));
    assert_eq!(judged(&leaf(&[]), "example.org"), Err(Fault::WrongName), "no names at all");
}

#[test]
fn e3_the_common_name_is_not_a_name() {
    let mut params = leaf(&[]);
    params.distinguished_name.push(DnType::CommonName, "example.org");
    assert_eq!(judged(&params, "example.org"), Err(Fault::WrongName));
    params.subject_alt_names = leaf(&["example.net"]).subject_alt_names;
    assert_eq!(judged(&params, "example.org"), Err(Fault::WrongName));
}

#[test]
fn e3_a_wildcard_of_a_top_level_domain_is_nobodys() {
    for name in ["*.com", "*", "*.", "*..com"] {
        for domain in ["example.com", "com", "*.com", "*"] {
            assert_eq!(judged(&leaf(&[name]), domain), Err(Fault::WrongName), "{name} {domain}");
        }
    }
}

#[test]
fn e3_a_wildcard_stands_for_one_label() {
    for domain in ["a.b.example.org", "example.org", ".example.org", "aexample.org"] {
        assert_eq!(judged(&leaf(&["*.example.org"]), domain), Err(Fault::WrongName), "{domain}");
    }
}

#[test]
fn e3_a_wildcard_is_a_whole_label_and_the_first() {
    for (name, domain) in [
        ("f*.example.org", "foo.example.org"),
        ("*o.example.org", "foo.example.org"),
        ("f*o.example.org", "foo.example.org"),
        ("foo.*.org", "foo.example.org"),
        ("*.*.org", "foo.example.org"),
        ("xn--*.example.org", "xn--bcher-kva.example.org"),
        ("f*.example", "foo.example"),
    ] {
        assert_eq!(judged(&leaf(&[name]), domain), Err(Fault::WrongName), "{name}");
    }
}

#[test]
fn e3_a_domain_that_looks_like_a_wildcard_is_none() {
    assert_eq!(judged(&leaf(&["*.example.org"]), "*.example.org"), Err(Fault::WrongName));
    assert_eq!(judged(&leaf(&["f*.example.org"]), "f*.example.org"), Err(Fault::WrongName));
}

#[test]
fn e3_international_names_are_compared_in_a_labels() {
    let params = leaf(&["xn--bcher-kva.example"]);
    for good in ["bücher.example", "BÜCHER.example", "xn--bcher-kva.example", "XN--Bcher-KVA.example"] {
        assert_eq!(judged(&params, good), Ok(()), "{good}");
    }
    // Cyrillic, and without the dots.
    for bad in ["bücһer.example", "bucher.example"] {
        assert_eq!(judged(&params, bad), Err(Fault::WrongName), "{bad}");
    }
    let mut params = leaf(&[]);
    params.subject_alt_names.push(xmpp_addr("Bücher.example"));
    assert_eq!(judged(&params, "xn--bcher-kva.example"), Ok(()));
    assert_eq!(judged(&params, "bücher.example"), Ok(()));
}

#[test]
fn e3_an_xmpp_addr_is_as_good_as_a_dns_name_if_it_is_the_domains() {
    let named = |address: &str| {
        let mut params = leaf(&["xmpp1.example.net"]);
        params.subject_alt_names.push(xmpp_addr(address));
        params
    };
    assert_eq!(judged(&named("example.org"), "example.org"), Ok(()));
    assert_eq!(judged(&named("Example.org"), "example.org"), Ok(()));
    assert_eq!(judged(&named("example.org"), "xmpp1.example.net"), Ok(()), "either is enough");
    for other in ["user@example.org", "example.org/x", "*.org", "*.example.org", "", "example.org."] {
        assert_eq!(judged(&named(other), "example.org"), Err(Fault::WrongName), "{other}");
    }
    assert_eq!(judged(&named("*.example.org"), "a.example.org"), Err(Fault::WrongName));
    let mut params = leaf(&[]);
    params.subject_alt_names.push(SanType::Rfc822Name("example.org".try_into().unwrap()));
    params.subject_alt_names.push(SanType::URI("xmpp:example.org".try_into().unwrap()));
    assert_eq!(judged(&params, "example.org"), Err(Fault::WrongName));
}

#[test]
fn e3_an_srv_name_is_of_the_service_between_servers() {
    let named = |name: (u8, u8, &str)| {
        let mut params = leaf(&[]);
        params.custom_extensions.push(other_names(&[name]));
        params
    };
    assert_eq!(judged(&named((7, IA5, "_xmpp-server.example.org")), "example.org"), Ok(()));
    assert_eq!(judged(&named((7, IA5, "_XMPP-Server.Example.org")), "example.org"), Ok(()));
    assert_eq!(judged(&named((7, IA5, "_xmpp-server.xn--bcher-kva.example")), "bücher.example"), Ok(()));
    for (kind, tag, name) in [
        (7, IA5, "_xmpp-client.example.org"),
        (7, IA5, "example.org"),
        (7, IA5, "_xmpp-server.example.com"),
        (7, IA5, "_xmpp-server.*.org"),
        (7, IA5, "_xmpp-server._xmpp-server.example.org"),
        (7, UTF8, "_xmpp-server.example.org"),
        (5, IA5, "example.org"),
        (6, UTF8, "example.org"),
        (7, IA5, "_xmpp-server."),
    ] {
        assert_eq!(judged(&named((kind, tag, name)), "example.org"), Err(Fault::WrongName), "{kind} {tag} {name}");
    }
    assert_eq!(judged(&named((7, IA5, "_xmpp-server.")), ""), Err(Fault::WrongName));
    assert_eq!(judged(&named((7, IA5, "_xmpp-server.*.example.org")), "a.example.org"), Err(Fault::WrongName));
}

#[test]
fn e3_an_address_is_proven_by_an_address() {
    let odd = ["192.0.2.1", "192.0.2.1.", "１９２.0.2.1", "192.0.2.001", "3221225985", "0.1", "2001:db8::1", "[2001:db8::1]"];
    let mut params = leaf(&["192.0.2.1", "192.0.2.001", "3221225985", "0.1"]);
    for address in odd {
        assert_eq!(judged(&params, address), Err(Fault::WrongName), "{address}: a dNSName is none");
    }
    params.subject_alt_names.push(SanType::IpAddress("192.0.2.1".parse().unwrap()));
    params.subject_alt_names.push(SanType::IpAddress("2001:db8::1".parse().unwrap()));
    for good in ["192.0.2.1", "192.0.2.1.", "2001:db8::1", "[2001:DB8:0::1]"] {
        assert_eq!(judged(&params, good), Ok(()), "{good}");
    }
    for bad in ["192.0.2.2", "[2001:db8::2]", "::ffff:192.0.2.1", "192.0.2.001", "3221225985", "[192.0.2.1", ""] {
        assert_eq!(judged(&params, bad), Err(Fault::WrongName), "{bad}");
    }
}

#[test]
fn b5_not_more_names_are_looked_at_than_the_limit() {
    let names: Vec<String> = (0..=NAMES_MAX).map(|n| format!("a{n}.example.org")).collect();
    let params = leaf(&names.iter().map(String::as_str).collect::<Vec<_>>());
    assert_eq!(judged(&params, "a255.example.org"), Ok(()));
    assert_eq!(judged(&params, "a256.example.org"), Err(Fault::WrongName));
}

// --- time -------------------------------------------------------------------------------------------------------------

#[test]
fn e3_what_has_expired_or_is_not_valid_yet_is_refused() {
    let authority = Authority::new();
    let chain = [authority.sign(&leaf(&["example.org"]))];
    let at = |when| authority.trusted().judge(&chain, "example.org", when);
    assert_eq!(at(now()), Ok(()));
    assert_eq!(at(now() + 91 * DAY), Err(Fault::Expired));
    assert_eq!(at(now() - 2 * DAY), Err(Fault::NotYetValid));
    assert_eq!(at(UNIX_EPOCH - DAY), Err(Fault::NotYetValid), "a clock that is not set");
}

#[test]
fn e3_an_authority_that_has_expired_vouches_for_nobody() {
    let root = Authority::new();
    let mut old = Authority::params("Old");
    old.not_after = (now() - Duration::from_secs(3600)).into();
    let old = root.below(old);
    let chain = [old.sign(&leaf(&["example.org"])), old.der.clone()];
    assert_eq!(root.trusted().judge(&chain, "example.org", now()), Err(Fault::Expired));
}

// --- chains -----------------------------------------------------------------------------------------------------------

#[test]
fn e3_an_unknown_authority_is_not_trusted() {
    let (ours, theirs) = (Authority::new(), Authority::root(Authority::params("Theirs")));
    let chain = [theirs.sign(&leaf(&["example.org"])), theirs.der.clone()];
    let judgement = ours.trusted().judge(&chain, "example.org", now());
    assert!(is_not_trusted(&judgement, "no authority that is known here"), "{judgement:?}");
    // Of the same name.
    let chain = [Authority::new().sign(&leaf(&["example.org"]))];
    let judgement = ours.trusted().judge(&chain, "example.org", now());
    assert!(is_not_trusted(&judgement, ""), "{judgement:?}");
}

#[test]
fn e3_nothing_and_garbage_prove_nothing() {
    let authority = Authority::new();
    let trusted = authority.trusted();
    assert_eq!(trusted.judge(&[], "example.org", now()), Err(Fault::Missing));
    let good = authority.sign(&leaf(&["example.org"]));
    let cut = Der::from(good[..good.len() - 1].to_vec());
    let longer = Der::from([&good[..], &[0]].concat());
    for bad in [Der::from(b"garbage".to_vec()), Der::from(Vec::new()), cut, longer] {
        let judgement = trusted.judge(std::slice::from_ref(&bad), "example.org", now());
        assert!(is_not_trusted(&judgement, ""), "{judgement:?}");
        // Behind a good one it does no harm.
        assert_eq!(trusted.judge(&[good.clone(), bad], "example.org", now()), Ok(()));
    }
    // Every single bit of it counts.
    for at in 0..good.len() {
        let mut bytes = good.to_vec();
        bytes[at] ^= 1;
        assert!(trusted.judge(&[Der::from(bytes)], "example.org", now()).is_err(), "byte {at}");
    }
}

#[test]
fn e3_a_server_is_no_authority() {
    let root = Authority::new();
    let key = KeyPair::generate().unwrap();
    let params = leaf(&["example.net"]);
    let server = params.signed_by(&key, &root.issuer).unwrap().der().clone();
    let signed = leaf(&["example.org"]).signed_by(&KeyPair::generate().unwrap(), &Issuer::new(params, key)).unwrap();
    let judgement = root.trusted().judge(&[signed.der().clone(), server], "example.org", now());
    assert!(is_not_trusted(&judgement, ""), "{judgement:?}");
}

#[test]
fn a_chain_is_followed_in_any_order_and_with_the_root() {
    let root = Authority::new();
    let mut authorities = vec![root.below(Authority::params("1"))];
    for n in 2..=CHAIN_MAX {
        let next = authorities.last().unwrap().below(Authority::params(&n.to_string()));
        authorities.push(next);
    }
    for length in 1..CHAIN_MAX {
        let mut chain = vec![authorities[length - 1].sign(&leaf(&["example.org"]))];
        chain.extend(authorities[..length].iter().map(|authority| authority.der.clone()));
        assert_eq!(root.trusted().judge(&chain, "example.org", now()), Ok(()), "{length}");
        chain[1..].reverse();
        assert_eq!(root.trusted().judge(&chain, "example.org", now()), Ok(()), "{length}, reversed");
        chain.push(root.der.clone());
        let with_root = root.trusted().judge(&chain, "example.org", now());
        assert_eq!(with_root.is_ok(), chain.len() <= CHAIN_MAX, "{length}, and the root: {with_root:?}");
    }
}

#[test]
fn e3_an_authority_signs_no_further_than_it_may() {
    let mut params = Authority::params("For servers only");
    params.is_ca = IsCa::Ca(BasicConstraints::Constrained(0));
    let root = Authority::new();
    let narrow = root.below(params);
    let chain = [narrow.sign(&leaf(&["example.org"])), narrow.der.clone()];
    assert_eq!(root.trusted().judge(&chain, "example.org", now()), Ok(()));
    let further = narrow.below(Authority::params("Further"));
    let chain = [further.sign(&leaf(&["example.org"])), further.der.clone(), narrow.der.clone()];
    let judgement = root.trusted().judge(&chain, "example.org", now());
    assert!(is_not_trusted(&judgement, "PathLen"), "{judgement:?}");
}

#[test]
fn e3_a_chain_of_20_authorities_is_not_followed() {
    let root = Authority::new();
    let mut chain = Vec::new();
    let mut last = root.below(Authority::params("0"));
    for n in 1..20 {
        chain.insert(0, last.der.clone());
        last = last.below(Authority::params(&n.to_string()));
    }
    chain.insert(0, last.der.clone());
    chain.insert(0, last.sign(&leaf(&["example.org"])));
    let judgement = root.trusted().judge(&chain, "example.org", now());
    assert!(is_not_trusted(&judgement, "21 certificates"), "{judgement:?}");
}

#[test]
fn e3_a_maze_of_authorities_of_one_name_is_left_soon() {
    // Each could have signed each: every order has to be tried, and none ends at ours.
    let root = Authority::new();
    let maze: Vec<Authority> = (1..CHAIN_MAX).map(|_| Authority::root(Authority::params("Maze"))).collect();
    let mut chain = vec![maze[0].sign(&leaf(&["example.org"]))];
    chain.extend(maze.iter().map(|authority| authority.der.clone()));
    assert_eq!(chain.len(), CHAIN_MAX);
    let before = Instant::now();
    let judgement = root.trusted().judge(&chain, "example.org", now());
    assert!(is_not_trusted(&judgement, ""), "{judgement:?}");
    assert!(before.elapsed() < Duration::from_secs(5), "{:?}", before.elapsed());
}

#[test]
fn e3_an_authority_that_is_confined_to_names_names_no_others() {
    let root = Authority::new();
    let mut params = Authority::params("Confined");
    let constraint = |name: &str| GeneralSubtree::DnsName(name.to_owned());
    params.name_constraints =
        Some(NameConstraints { permitted_subtrees: vec![constraint("example.org")], excluded_subtrees: Vec::new() });
    let confined = root.below(params);
    let judge = |params: &CertificateParams, domain| {
        root.trusted().judge(&[confined.sign(params), confined.der.clone()], domain, now())
    };
    assert_eq!(judge(&leaf(&["chat.example.org"]), "chat.example.org"), Ok(()));
    let judgement = judge(&leaf(&["example.com"]), "example.com");
    assert!(is_not_trusted(&judgement, "may not issue"), "{judgement:?}");

    // The constraint is about dNSName only; the other forms would be a way around it.
    let mut params = leaf(&["example.org"]);
    params.subject_alt_names.push(xmpp_addr("example.com"));
    assert_eq!(judge(&params, "example.org"), Ok(()));
    assert_eq!(judge(&params, "example.com"), Err(Fault::WrongName));
    let mut params = leaf(&[]);
    params.custom_extensions.push(other_names(&[(7, IA5, "_xmpp-server.example.com")]));
    assert_eq!(judge(&params, "example.com"), Err(Fault::WrongName));

    // The same for a root.
    let mut params = Authority::params("Confined root");
    params.name_constraints =
        Some(NameConstraints { permitted_subtrees: Vec::new(), excluded_subtrees: vec![constraint("example.com")] });
    let root = Authority::root(params);
    let mut params = leaf(&["example.org"]);
    params.subject_alt_names.push(xmpp_addr("example.com"));
    let chain = [root.sign(&params)];
    assert_eq!(root.trusted().judge(&chain, "example.org", now()), Ok(()));
    assert_eq!(root.trusted().judge(&chain, "example.com", now()), Err(Fault::WrongName));
    let judgement = root.trusted().judge(&[root.sign(&leaf(&["a.example.com"]))], "a.example.com", now());
    assert!(is_not_trusted(&judgement, "may not issue"), "{judgement:?}");
}

#[test]
fn s0178_a_certificate_for_servers_is_good_in_either_role_and_one_for_clients_too() {
    use ExtendedKeyUsagePurpose::{ClientAuth, CodeSigning, ServerAuth};
    let with = |usages: &[ExtendedKeyUsagePurpose]| {
        let mut params = leaf(&["example.org"]);
        params.extended_key_usages = usages.to_vec();
        judged(&params, "example.org")
    };
    for good in [&[ServerAuth][..], &[ClientAuth], &[ServerAuth, ClientAuth], &[CodeSigning, ClientAuth], &[]] {
        assert_eq!(with(good), Ok(()), "{good:?}");
    }
    let judgement = with(&[CodeSigning]);
    assert!(is_not_trusted(&judgement, "for something else"), "{judgement:?}");
}

// --- the operator's own -----------------------------------------------------------------------------------------------

#[test]
fn a_certificate_that_signed_itself_is_believed_when_the_operator_named_it() {
    let other = Authority::root(Authority::params("Other"));
    for is_ca in [IsCa::NoCa, IsCa::ExplicitNoCa, IsCa::Ca(BasicConstraints::Unconstrained)] {
        let mut params = leaf(&["example.org"]);
        params.is_ca = is_ca;
        let certificate = params.self_signed(&KeyPair::generate().unwrap()).unwrap();
        let chain = [certificate.der().clone()];
        let named = trusting(&[&other.pem, &certificate.pem()]);
        assert_eq!(named.judge(&chain, "example.org", now()), Ok(()), "{is_ca:?}");
        assert_eq!(named.judge(&chain, "example.com", now()), Err(Fault::WrongName));
        assert_eq!(named.judge(&chain, "example.org", now() + 91 * DAY), Err(Fault::Expired));
        assert_eq!(named.judge(&chain, "example.org", now() - 2 * DAY), Err(Fault::NotYetValid));
        let judgement = other.trusted().judge(&chain, "example.org", now());
        assert_eq!(judgement, Err(Fault::NotTrusted("it has signed itself".to_owned())));
        // Another one that says the same of itself is not that one.
        let imitation = [params.self_signed(&KeyPair::generate().unwrap()).unwrap().der().clone()];
        assert!(is_not_trusted(&named.judge(&imitation, "example.org", now()), ""), "{is_ca:?}");
    }
}

#[test]
fn a_file_of_authorities_says_what_is_wrong_with_it() {
    let folder = Folder::new();
    let says = |name: &str, text: &str| {
        fs::write(folder.join(name), text).unwrap();
        Authorities::from_file(&folder.join(name)).unwrap_err()
    };
    let missing = Authorities::from_file(&folder.join("nowhere.pem")).unwrap_err();
    assert!(missing.contains("nowhere.pem"), "{missing}");
    let empty = says("empty.pem", "");
    assert!(empty.contains("empty.pem: there is no certificate in it"), "{empty}");
    let broken = says("broken.pem", "-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n");
    assert!(broken.contains("broken.pem: "), "{broken}");
    let torn = says("torn.pem", "-----BEGIN CERTIFICATE-----\nAAAA\n");
    assert!(torn.contains("torn.pem: "), "{torn}");
}

#[test]
fn the_system_believes_public_authorities_or_says_that_it_has_none() {
    let authority = Authority::new();
    match Authorities::system() {
        Ok(system) => {
            let judgement = system.judge(&[authority.sign(&leaf(&["example.org"]))], "example.org", now());
            assert!(is_not_trusted(&judgement, "no authority that is known here"), "{judgement:?}");
        }
        Err(why) => assert!(why.contains("no list of certificate authorities"), "{why}"),
    }
}
