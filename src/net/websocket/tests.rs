//! Frames by the letter of RFC 6455, cut everywhere, and the corpus of the fuzz target.

use super::*;

const MASK: [u8; 4] = [0x37, 0xfa, 0x21, 0x3d];

/// A client's frame; `first` is the whole first byte.
fn frame(first: u8, payload: &[u8]) -> Vec<u8> {
    let mut out = vec![first];
    match payload.len() {
        n @ ..126 => out.push(0x80 | n as u8),
        n @ 126..=0xffff => {
            out.push(0x80 | 126);
            out.extend_from_slice(&(n as u16).to_be_bytes());
        }
        n => {
            out.push(0x80 | 127);
            out.extend_from_slice(&(n as u64).to_be_bytes());
        }
    }
    out.extend_from_slice(&MASK);
    out.extend(payload.iter().zip(MASK.iter().cycle()).map(|(byte, mask)| byte ^ mask));
    out
}

/// Everything that is heard, as text, and how it ended.
fn heard(bytes: &[u8], cut: usize) -> (Vec<String>, Option<Fault>) {
    let (mut frames, mut buf, mut said) = (Frames::default(), Vec::new(), Vec::new());
    for chunk in bytes.chunks(cut.max(1)) {
        buf.extend_from_slice(chunk);
        let mut at = 0;
        loop {
            let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
            match frames.next(&mut buf, &mut at, 1_000) {
                Ok(None) => break,
                Ok(Some(Heard::Text(range))) => said.push(text(&buf[range])),
                Ok(Some(Heard::Gathered(bytes))) => said.push(text(&bytes)),
                Ok(Some(Heard::Ping(range))) => said.push(format!("ping {}", text(&buf[range]))),
                Ok(Some(Heard::Pong)) => said.push("pong".into()),
                Ok(Some(Heard::Close)) => said.push("close".into()),
                Err(fault) => return (said, Some(fault)),
            }
        }
        buf.drain(..at);
    }
    (said, None)
}

fn fault(bytes: &[u8]) -> Option<Fault> {
    let whole = heard(bytes, usize::MAX);
    for cut in 1..9 {
        assert_eq!(heard(bytes, cut), whole, "cut at {cut}");
    }
    whole.1
}

#[test]
fn s5_7_the_examples_of_the_text() {
    let hello = [0x81, 0x85, 0x37, 0xfa, 0x21, 0x3d, 0x7f, 0x9f, 0x4d, 0x51, 0x58];
    assert_eq!(heard(&hello, usize::MAX), (vec!["Hello".into()], None));
    let mut out = Vec::new();
    push_text(b"Hello", &mut out);
    assert_eq!(out, [0x81, 0x05, 0x48, 0x65, 0x6c, 0x6c, 0x6f]);
}

#[test]
fn s5_4_messages_in_pieces_with_a_ping_between_however_the_bytes_are_cut() {
    let mut bytes = frame(0x01, b"<mess");
    bytes.extend(frame(0x89, b"there?"));
    bytes.extend(frame(0x00, b""));
    bytes.extend(frame(0x80, b"age/>"));
    bytes.extend(frame(0x81, "ä".repeat(300).as_bytes()));
    bytes.extend(frame(0x8a, b""));
    bytes.extend(frame(0x88, &[3, 232, b'b', b'y', b'e']));
    let expected = vec!["ping there?".to_owned(), "<message/>".into(), "ä".repeat(300), "pong".into(), "close".into()];
    for cut in [1, 2, 3, 5, 7, 100, usize::MAX] {
        assert_eq!(heard(&bytes, cut), (expected.clone(), None), "cut at {cut}");
    }
}

#[test]
fn d6_what_is_no_frame_ends_the_connection_with_its_code() {
    let mut unmasked = Vec::new();
    push_text(b"<open/>", &mut unmasked);
    let huge = [0x81, 0x80 | 127, 0, 0, 0, 0, 0x40, 0, 0, 0, 1, 2, 3, 4];
    let negative = [0x81, 0x80 | 127, 0x80, 0, 0, 0, 0, 0, 0, 0, 1, 2, 3, 4];
    let overlong = [0x81, 0x80 | 126, 0, 5, 1, 2, 3, 4];
    let overlong_wide = [0x81, 0x80 | 127, 0, 0, 0, 0, 0, 0, 0xff, 0xff, 1, 2, 3, 4];
    let many: Vec<u8> = std::iter::once(frame(0x01, b"a")).chain(std::iter::repeat_n(frame(0x00, b"a"), 8)).flatten().collect();
    let growing: Vec<u8> =
        std::iter::once(frame(0x01, &[b'a'; 400])).chain(std::iter::repeat_n(frame(0x00, &[b'a'; 400]), 2)).flatten().collect();
    let interrupted = [frame(0x01, b"a"), frame(0x81, b"b")].concat();
    let split_character = [frame(0x01, &[0xc3]), frame(0x80, &[0xa4])].concat();
    assert_eq!(fault(&split_character), None);
    for (bytes, expected) in [
        (unmasked, Fault::Protocol),
        (frame(0x82, b"binary"), Fault::Binary),
        (frame(0xc1, b"deflated"), Fault::Protocol),
        (frame(0x83, b"unknown"), Fault::Protocol),
        (frame(0x80, b"goes on with nothing"), Fault::Protocol),
        (interrupted, Fault::Protocol),
        (frame(0x89, &[b'a'; 126]), Fault::Protocol),
        (frame(0x09, b"a ping in pieces"), Fault::Protocol),
        (huge.to_vec(), Fault::TooLarge),
        (negative.to_vec(), Fault::Protocol),
        (overlong.to_vec(), Fault::Protocol),
        (overlong_wide.to_vec(), Fault::Protocol),
        (many, Fault::TooManyFragments),
        (growing, Fault::TooLarge),
        (frame(0x81, &[0xff, 0xfe]), Fault::NotUtf8),
        (frame(0x81, &[0xc0, 0xaf]), Fault::NotUtf8),
        (frame(0x88, &[3]), Fault::Protocol),
        (frame(0x88, &1005u16.to_be_bytes()), Fault::Protocol),
        (frame(0x88, &[3, 232, 0xff]), Fault::NotUtf8),
    ] {
        assert_eq!(fault(&bytes), Some(expected), "{bytes:02x?}");
    }
}

#[test]
fn an_announced_gigabyte_is_refused_before_a_byte_of_it_has_come() {
    let mut buf = vec![0x81, 0x80 | 127, 0, 0, 0, 0, 0x40, 0, 0, 0];
    let mut at = 0;
    assert_eq!(Frames::default().next(&mut buf, &mut at, 256 * 1024), Err(Fault::TooLarge));
}

#[test]
fn what_is_written_is_read_back_at_every_width_of_the_length() {
    for length in [0, 125, 126, 0xffff, 0x1_0000] {
        let mut out = Vec::new();
        push_text(&vec![b'x'; length], &mut out);
        let wide = match length {
            ..126 => 2,
            126..=0xffff => 4,
            _ => 10,
        };
        assert_eq!(out.len(), wide + length, "{length}");
    }
}

#[test]
fn the_corpus_of_the_fuzz_target_is_read_the_same_however_it_is_cut() {
    let folder = concat!(env!("CARGO_MANIFEST_DIR"), "/../../conformance/fuzz/corpus/websocket");
    let mut replayed = 0;
    for entry in std::fs::read_dir(folder).expect("the corpus") {
        let bytes = std::fs::read(entry.expect("an entry").path()).expect("a file");
        let whole = heard(&bytes, usize::MAX);
        for cut in [1, 2, 7, 64] {
            assert_eq!(heard(&bytes, cut), whole);
        }
        replayed += 1;
    }
    assert!(replayed >= 10, "{replayed} files");
}

#[test]
fn rfc6455_5_4_a_large_message_in_the_pieces_of_a_librarys_buffer_is_one() {
    let piece = [b'a'; 16 * 1024];
    let mut bytes = frame(0x01, &piece);
    (0..10).for_each(|_| bytes.extend(frame(0x00, &piece)));
    bytes.extend(frame(0x80, b"end"));
    let (mut frames, mut at) = (Frames::default(), 0);
    let Ok(Some(Heard::Gathered(text))) = frames.next(&mut bytes, &mut at, 256 * 1024) else { panic!("one message") };
    assert_eq!(text.len(), 11 * piece.len() + 3);
}
