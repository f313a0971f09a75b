//! Credentials at rest (B17).

use std::collections::HashSet;

use super::super::credentials::{Keys, single};
use super::*;

#[test]
fn b17_each_hash_has_a_salt_of_its_own_of_at_least_16_bytes() {
    let salts: HashSet<_> = Hash::ALL.into_iter().map(|hash| alice().keys(hash).unwrap().salt.clone()).collect();
    assert_eq!(salts.len(), 3);
    assert!(salts.iter().all(|salt| salt.len() >= 16));
}

#[test]
fn b17_new_passwords_get_at_least_10_000_iterations_by_default() {
    assert_eq!(ITERATIONS_DEFAULT, 10_000);
    let made = |iterations| {
        let credentials = Credentials::derive("x", counting(), iterations).unwrap();
        credentials.keys(Hash::Sha1).unwrap().iterations
    };
    assert_eq!(made(10_000), 10_000);
    assert_eq!(made(0), ITERATIONS_MIN);
}

#[test]
fn b17_neither_the_password_nor_the_salted_password_is_in_the_record() {
    let record = alice().encode();
    let contains = |part: &[u8]| record.windows(part.len()).any(|window| window == part);
    assert!(!contains(PASSWORD.as_bytes()));
    for hash in Hash::ALL {
        let keys = alice().keys(hash).unwrap();
        let salted = hash.salted_password(PASSWORD.as_bytes(), &keys.salt, keys.iterations);
        assert!(!contains(salted.as_slice()));
        let client_key = hash.hmac(salted.as_slice(), &[b"Client Key"]);
        assert!(!contains(client_key.as_slice()));
        assert!(contains(keys.stored.as_slice()));
    }
}

#[test]
fn passwords_that_cannot_be_used_are_refused() {
    let refused = |password: &str| Credentials::derive(password, counting(), ITERATIONS_MIN).map(|_| ()).unwrap_err();
    assert_eq!(refused(""), PasswordRefused::Empty);
    assert_eq!(refused("\u{ad}"), PasswordRefused::Empty);
    assert_eq!(refused("a\0b"), PasswordRefused::ForbiddenCharacter);
    assert_eq!(refused("\u{7f}"), PasswordRefused::ForbiddenCharacter);
    assert_eq!(refused(&"x".repeat(1025)), PasswordRefused::TooLong);
}

#[test]
fn a_password_that_cannot_be_prepared_is_not_taken_for_an_empty_one() {
    let empty = Keys::derive(Hash::Sha256, "", &[3; 16], ITERATIONS_MIN);
    let careless_import = single(Hash::Sha256, empty);
    for password in ["", "\u{ad}", "\u{7}", &"x".repeat(2000)] {
        assert!(!careless_import.verify_plain(password), "{password:?}");
    }
}

#[test]
fn rfc4013_spellings_of_one_password_are_one_password() {
    let credentials = Credentials::derive("I\u{ad}X", counting(), ITERATIONS_MIN).unwrap();
    assert!(credentials.verify_plain("IX"));
    assert!(credentials.verify_plain("\u{2168}"));
    assert!(!credentials.verify_plain("ix"));
    assert!(!credentials.verify_plain(""));
}

#[test]
fn a_record_survives_being_written_and_read() {
    let read = Credentials::decode(&alice().encode()).unwrap();
    assert_eq!(read.hashes().collect::<Vec<_>>(), Hash::ALL);
    assert_eq!(read.encode(), alice().encode());
    assert!(read.verify_plain(PASSWORD));
    assert!(!read.verify_plain("guess"));
}

#[test]
fn a_record_with_one_hash_only_survives_too() {
    for hash in Hash::ALL {
        let keys = Keys::derive(hash, PASSWORD, &[3; 8], ITERATIONS_MIN);
        let read = Credentials::decode(&single(hash, keys).encode()).unwrap();
        assert_eq!(read.hashes().collect::<Vec<_>>(), [hash]);
        assert!(read.verify_plain(PASSWORD));
        assert!(read.is_weaker_than(ITERATIONS_MIN));
    }
    assert!(!alice().is_weaker_than(ITERATIONS_MIN));
    assert!(alice().is_weaker_than(ITERATIONS_MIN + 1));
}

#[test]
fn every_single_flipped_bit_and_every_missing_byte_is_noticed() {
    let record = alice().encode();
    for place in 0..record.len() {
        for bit in 0..8 {
            let mut damaged = record.clone();
            damaged[place] ^= 1 << bit;
            assert!(Credentials::decode(&damaged).is_err(), "{place}.{bit}");
        }
        assert!(Credentials::decode(&record[..place]).is_err(), "{place}");
    }
    let mut longer = record;
    longer.push(0);
    assert_eq!(Credentials::decode(&longer).unwrap_err(), CorruptCredentials);
}

/// A record with a right checksum over wrong content.
fn sealed(body: &[u8]) -> Result<Credentials, CorruptCredentials> {
    let digest = Hash::Sha256.digest(body);
    Credentials::decode(&[body, &digest.as_slice()[..8]].concat())
}

#[test]
fn a_record_with_a_right_checksum_and_wrong_content_is_refused() {
    let keys = |kind: u8, iterations: u32, salt: usize, rest: usize| {
        let mut part = vec![kind];
        part.extend_from_slice(&iterations.to_be_bytes());
        part.push(u8::try_from(salt).unwrap());
        part.resize(part.len() + salt + rest, 7);
        part
    };
    let record = |parts: &[Vec<u8>]| [&[1], parts.concat().as_slice()].concat();
    let good = keys(1, 4096, 16, 40);
    assert!(sealed(&record(std::slice::from_ref(&good))).is_ok());
    for wrong in [
        vec![],
        vec![1],
        [&[2], good.as_slice()].concat(),
        record(&[good.clone(), good.clone()]),
        record(&[good.clone(), vec![2]]),
        record(&[keys(0, 4096, 16, 40)]),
        record(&[keys(4, 4096, 16, 40)]),
        record(&[keys(1, 4095, 16, 40)]),
        record(&[keys(1, 1_000_001, 16, 40)]),
        record(&[keys(1, 4096, 7, 40)]),
        record(&[keys(1, 4096, 65, 40)]),
        record(&[keys(1, 4096, 16, 39)]),
        record(&[keys(1, 4096, 16, 41)]),
        record(&[keys(3, 4096, 16, 40)]),
    ] {
        assert!(sealed(&wrong).is_err(), "{wrong:?}");
    }
}
