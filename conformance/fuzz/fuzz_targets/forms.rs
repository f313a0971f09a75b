//! XEP-0004: whatever is submitted is an answer of the right kinds or a problem with a name. The oracle is the one the tests use,
//! and `cargo test` in `src/core` replays the corpus without any fuzzer.
#![no_main]

use iris_core::{form, xml};

#[path = "../../../src/core/form/tests/oracle.rs"]
mod oracle;

libfuzzer_sys::fuzz_target!(|form: &[u8]| {
    oracle::check(form);
});
