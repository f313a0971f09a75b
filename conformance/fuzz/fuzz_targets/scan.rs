//! Differential fuzzing of the XML scanner: what follows a client's stream header is read in several
//! packet sizes and by rxml, and all readings must agree. The oracle is the one the tests use, and
//! `cargo test` in `src/core` replays the corpus without any fuzzer.
#![no_main]

use iris_core::xml;

#[path = "../../../src/core/xml/tests/oracle.rs"]
mod oracle;

libfuzzer_sys::fuzz_target!(|rest: &[u8]| {
    oracle::check(rest);
});
