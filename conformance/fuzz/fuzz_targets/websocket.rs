//! WebSocket framing: whatever comes, and however it is cut into packets, the same is heard and nothing panics.
//! `cargo test -p iris-net` replays the corpus without any fuzzer.
#![no_main]

#[path = "../../../src/net/websocket.rs"]
mod websocket;

use websocket::{Fault, Frames, Heard};

const MESSAGE_BYTES_MAX: usize = 1_000;

fn heard(bytes: &[u8], cut: usize) -> (Vec<Vec<u8>>, Option<Fault>) {
    let (mut frames, mut buf, mut said) = (Frames::default(), Vec::new(), Vec::new());
    for chunk in bytes.chunks(cut) {
        buf.extend_from_slice(chunk);
        let mut at = 0;
        loop {
            match frames.next(&mut buf, &mut at, MESSAGE_BYTES_MAX) {
                Ok(None) => break,
                Ok(Some(Heard::Text(range) | Heard::Ping(range))) => said.push(buf[range].to_vec()),
                Ok(Some(Heard::Gathered(text))) => said.push(text),
                Ok(Some(Heard::Pong | Heard::Close)) => said.push(Vec::new()),
                Err(fault) => return (said, Some(fault)),
            }
        }
        buf.drain(..at);
    }
    assert!(said.iter().all(|it| it.len() <= MESSAGE_BYTES_MAX));
    (said, None)
}

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| {
    let whole = heard(bytes, bytes.len().max(1));
    for cut in [1, 2, 7, 64] {
        assert_eq!(heard(bytes, cut), whole);
    }
});
