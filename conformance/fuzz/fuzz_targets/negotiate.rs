//! Fuzzing of stream negotiation: whatever a client sends behind its handshake, nobody comes in who has not proved who it is. The
//! oracle is the one the tests use, and `cargo test` in `src/engine` replays the corpus without any fuzzer.
#![no_main]

use iris_engine as engine;

#[path = "../../../src/engine/negotiate/tests/oracle.rs"]
mod oracle;

libfuzzer_sys::fuzz_target!(|sent: &[u8]| {
    oracle::check(sent);
});
