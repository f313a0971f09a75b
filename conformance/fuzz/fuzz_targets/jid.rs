//! Addresses (RFC 7622): whatever is one stays the same when it is said again, and no part of it is what it must not be. The oracle
//! is the one the tests use, and `cargo test` in `src/core` replays the corpus without any fuzzer.
#![no_main]

use iris_core::{BareJid, FullJid, Jid, jids, registration, xml};

#[path = "../../../src/core/jids/oracle.rs"]
mod oracle;

libfuzzer_sys::fuzz_target!(|address: &[u8]| {
    oracle::check(address);
});
