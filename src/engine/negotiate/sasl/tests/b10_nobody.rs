//! B10: nobody can tell who has an account.

use std::time::Instant;

use super::super::credentials::{Keys, single};
use super::*;

fn server_first(username: &'static str, mechanism: Mechanism, nonce: u8) -> String {
    let client = Client { username, ..Client::new(mechanism.hash().unwrap()) };
    let first = client.first();
    let nonce = [nonce; NONCE_SIZE_BYTES];
    let step = Exchange::start(mechanism, &everything(), nonce, Some(first.as_bytes()));
    challenged(found(step)).0
}

fn salt(message: &str) -> Vec<u8> {
    STANDARD.decode(attribute(message, "s=")).unwrap()
}

#[test]
fn b10_somebody_unknown_has_the_same_salt_each_time() {
    let one = server_first("mallory", Mechanism::ScramSha256, 1);
    let two = server_first("mallory", Mechanism::ScramSha256, 2);
    assert_ne!(one, two);
    assert_eq!(salt(&one), salt(&two));
    // Spelled differently, but the same account, as it would be for somebody real.
    let three = server_first("MALLORY", Mechanism::ScramSha256, 3);
    assert_eq!(salt(&one), salt(&three));
}

#[test]
fn b10_salts_of_the_unknown_differ_by_name_domain_hash_and_house() {
    let of = |name, mechanism| salt(&server_first(name, mechanism, 1));
    let one = of("mallory", Mechanism::ScramSha256);
    assert_ne!(one, of("malory", Mechanism::ScramSha256));
    assert_ne!(one, of("mallory", Mechanism::ScramSha1));
    assert_ne!(one, of("mallory", Mechanism::ScramSha512));
    let keys = |secret, account| FakeSalt::new([secret; 32], 4096).keys(Hash::Sha256, account).salt;
    assert_eq!(one, keys(9, "mallory@house.example"));
    assert_ne!(one, keys(8, "mallory@house.example"));
    assert_ne!(one, keys(9, "mallory@other.example"));
}

#[test]
fn b10_the_unknown_and_the_known_look_alike() {
    for mechanism in [Mechanism::ScramSha1, Mechanism::ScramSha256, Mechanism::ScramSha512] {
        let known = server_first("alice", mechanism, 1);
        let unknown = server_first("mallory", mechanism, 1);
        assert_eq!(known.len(), unknown.len());
        assert_eq!(salt(&known).len(), salt(&unknown).len());
        assert_eq!(salt(&unknown).len(), SALT_SIZE_BYTES);
        for name in ["r=", "i=", "h=", "t="] {
            assert_eq!(attribute(&known, name), attribute(&unknown, name));
        }
    }
}

#[test]
fn b10_the_exchange_of_the_unknown_runs_to_the_end_and_fails_like_a_wrong_password() {
    for mechanism in Mechanism::ALL {
        let Some(hash) = mechanism.hash() else {
            continue;
        };
        let honest = match mechanism.binds_channel() {
            true => Client::binding(hash, "tls-exporter", EXPORTER),
            false => Client::new(hash),
        };
        let unknown = Client { username: "mallory", ..honest };
        let step = start(mechanism, &everything(), &unknown.first());
        let (message, exchange) = challenged(found(step));
        let step = exchange.respond(unknown.last(&message).as_bytes());
        assert_eq!(refused(step), SaslError::NotAuthorized);

        let wrong = Client { username: "alice", password: "guess", ..unknown };
        let step = wrong.run(mechanism, &everything());
        assert_eq!(refused(step), SaslError::NotAuthorized);
    }
}

#[test]
fn b10_an_account_without_keys_for_this_hash_looks_unknown() {
    let only_sha_1 = single(Hash::Sha1, Keys::derive(Hash::Sha1, PASSWORD, &[1; 16], 4096));
    let client = Client::new(Hash::Sha256);
    let begin = |credentials: Option<&Credentials>| match start(Mechanism::ScramSha256, &everything(), &client.first()) {
        Step::NeedCredentials { exchange, .. } => challenged(exchange.credentials(credentials, &fake())),
        other => panic!("{other:?}"),
    };
    let (message, exchange) = begin(Some(&only_sha_1));
    assert_eq!(message, begin(None).0);
    let step = exchange.respond(client.last(&message).as_bytes());
    assert_eq!(refused(step), SaslError::NotAuthorized);
}

#[test]
fn b10_plain_fails_alike_for_the_unknown_and_costs_as_much() {
    let try_as = |name: &str| {
        let message = format!("\0{name}\0guess");
        let begun = Instant::now();
        let step = found(start(Mechanism::Plain, &everything(), &message));
        assert_eq!(refused(step), SaslError::NotAuthorized);
        begun.elapsed()
    };
    let fastest = |name| (0..7).map(|_| try_as(name)).min().unwrap();
    let (known, unknown) = (fastest("alice"), fastest("mallory"));
    // Generous, because tests share their machine; leaving the work out would be a factor of thousands.
    assert!(unknown * 8 > known, "{unknown:?} against {known:?}");
    assert!(known * 8 > unknown, "{unknown:?} against {known:?}");
}

#[test]
fn b10_secrets_are_not_printed() {
    let plain = start(Mechanism::Plain, &everything(), "\0alice\0sesame");
    assert!(!format!("{plain:?}").contains("sesame"));
    let printed = format!("{:?} {:?}", alice(), fake());
    assert!(!printed.contains("7, 7"), "{printed}");
    assert_eq!(printed, "[\"SHA-1\", \"SHA-256\", \"SHA-512\"] FakeSalt(4096 iterations)");
}
