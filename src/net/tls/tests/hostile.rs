//! Peers that do not play by the rules: an alert or silence, never a panic, never unbounded memory.

use aws_lc_rs::aead;
use rustls::{ConnectionTrafficSecrets, ExtractedSecrets};

use super::policy::{client_hello, extension, fatal_alert, modern_extensions, records};
use super::*;

fn fresh(world: &World) -> Pair {
    Pair::new(&world.server(&[]), &Arc::new(world.client(&[&version::TLS12, &version::TLS13])), "one.test")
}

/// xorshift: the same bytes in every run.
pub(super) struct Noise(pub u64);

impl Noise {
    pub fn next(&mut self) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        self.0
    }

    pub fn below(&mut self, limit: usize) -> usize {
        usize::try_from(self.next() % limit as u64).unwrap()
    }
}

#[test]
fn b5_garbage_gets_an_alert_and_ends_the_session() {
    let world = World::new();
    for garbage in
        [&b"GET / HTTP/1.1\r\nHost: one.test\r\n\r\n"[..], b"<?xml version='1.0'?><stream:stream>", &[0; 64], &[255; 64]]
    {
        let mut pair = fresh(&world);
        let (state, out) = pair.give_server(garbage, usize::MAX);
        assert!(matches!(state, Err(TlsError::Peer(_))), "{state:?}");
        assert!(matches!(fatal_alert(&out), Some(50)), "decode_error: {out:?}");
        assert!(pair.incoming.is_empty());
        assert_eq!(pair.give_server(b"more", usize::MAX), (Err(TlsError::Closed), Vec::new()));
        assert_eq!(pair.server.write(b"x", &mut Vec::new()), Err(TlsError::Closed));
        let mut out = Vec::new();
        pair.server.close_notify(&mut out);
        assert!(out.is_empty() && !pair.server.is_open());
    }
}

#[test]
fn b5_damaged_handshakes_and_records_never_panic() {
    let world = World::new();
    let server = world.server(&[ALPN_CLIENT]);
    let mut noise = Noise(0x1505_2026);
    let mut refused = 0;
    for round in 0..600 {
        let version = if round % 2 == 0 { &version::TLS12 } else { &version::TLS13 };
        let mut pair = Pair::new(&server, &Arc::new(world.client(&[version])), "one.test");
        // Every third time the handshake succeeds and the damage is done to the data.
        if round % 3 == 0 {
            pair.settle(usize::MAX).unwrap();
            pair.client.writer().write_all(&[b'x'; 300]).unwrap();
        }
        for _ in 0..4 {
            let mut bytes = pair.client_sends();
            for _ in 0..=noise.below(3) {
                if !bytes.is_empty() {
                    let at = noise.below(bytes.len());
                    match noise.below(3) {
                        0 => bytes[at] ^= 1 << noise.below(8),
                        1 => drop(bytes.remove(at)),
                        _ => bytes.insert(at, noise.next().to_le_bytes()[0]),
                    }
                }
            }
            let (state, out) = pair.give_server(&bytes, 1 + noise.below(700));
            // Writing at any moment must be safe as well, whatever waits in `incoming`.
            let _ = pair.server.write(b"<a/>", &mut Vec::new());
            if state.is_err() {
                refused += 1;
                break;
            }
            if pair.give_client(&out).is_err() {
                break;
            }
        }
    }
    assert!(refused > 200, "the damage is noticed: {refused}");
}

#[test]
fn b5_a_client_hello_with_16k_of_extensions_in_small_pieces_is_digested() {
    let world = World::new();
    let mut extensions = modern_extensions();
    for number in 0..4000u16 {
        // Numbers nobody assigned.
        extensions.extend(extension(0x5000 + number, b""));
    }
    let hello = client_hello(0x0301, 0x0303, &[0xc02b], &extensions);
    let message = &hello[5..];
    for (size, chunk) in [(16_384, 1), (16_384, usize::MAX), (256, 100)] {
        let mut pair = fresh(&world);
        // The first bytes are a record header only when it fits one record.
        let wire = if message.len() <= size { hello.clone() } else { records(0x0301, &strip_headers(&hello), size) };
        let (state, out) = pair.give_server(&wire, chunk);
        assert_eq!(state, Ok(TlsState::Handshaking), "records of {size}, portions of {chunk}");
        assert!(!out.is_empty());
    }
}

fn strip_headers(wire: &[u8]) -> Vec<u8> {
    let (mut rest, mut message) = (wire, Vec::new());
    while let [_, _, _, high, low, tail @ ..] = rest {
        let length = usize::from(u16::from_be_bytes([*high, *low]));
        message.extend_from_slice(&tail[..length]);
        rest = &tail[length..];
    }
    message
}

#[test]
fn b5_an_endless_client_hello_is_cut_off() {
    let world = World::new();
    // 65,535 bytes are promised, one comes per record.
    let mut message = vec![1, 0, 0xff, 0xff];
    message.extend(vec![3; 40_000]);
    let wire = records(0x0301, &message, 1);
    let mut pair = fresh(&world);
    let (state, _) = pair.give_server(&wire, 1400);
    assert_eq!(state, Err(TlsError::HandshakeTooLarge));
    assert!(pair.incoming.is_empty());
    // A message of more than 64 KiB is refused as soon as it is announced.
    let mut pair = fresh(&world);
    let (state, _) = pair.give_server(&records(0x0301, &[1, 1, 0, 0, 3, 3], 100), usize::MAX);
    assert!(matches!(state, Err(TlsError::Peer(_))), "{state:?}");
}

#[test]
fn b5_a_client_that_never_goes_on_costs_its_own_bytes_only() {
    let world = World::new();
    let mut pair = fresh(&world);
    let hello = pair.client_sends();
    let half = &hello[..hello.len() / 2];
    let (state, out) = pair.give_server(half, 3);
    assert_eq!((state, out.len(), &pair.incoming[..]), (Ok(TlsState::Handshaking), 0, half));
}

#[test]
fn b5_a_forged_close_notify_does_not_end_a_handshake_well() {
    let world = World::new();
    // Under TLS 1.2 a warning is passed over (a few of them), under 1.3 it is an error (RFC 8446 6).
    let alert = TlsError::Alert(AlertDescription::CloseNotify);
    let cases =
        [(&version::TLS12, Ok(TlsState::Handshaking), TlsError::NotOpen), (&version::TLS13, Err(alert), TlsError::Closed)];
    for (version, state, refusal) in cases {
        let mut pair = Pair::new(&world.server(&[]), &Arc::new(world.client(&[version])), "one.test");
        let mut bytes = pair.client_sends();
        bytes.extend([21, 3, 3, 0, 2, 1, 0]);
        assert_eq!(pair.give_server(&bytes, usize::MAX).0, state, "{version:?}");
        assert!(!pair.server.is_open());
        assert_eq!(pair.server.write(b"secret", &mut Vec::new()), Err(refusal));
    }
}

/// The keys of one end, to make records that no decent library makes.
pub(super) struct Forger {
    key: aead::LessSafeKey,
    iv: [u8; 12],
    sequence: u64,
}

impl Forger {
    /// Takes the connection over from the client's library.
    fn from(pair: &mut Pair, client: ClientConnection) -> Self {
        Self::with(std::mem::replace(&mut pair.client, client).dangerous_extract_secrets().unwrap())
    }

    pub fn with(secrets: ExtractedSecrets) -> Self {
        let (sequence, ConnectionTrafficSecrets::Aes128Gcm { key, iv }) = secrets.tx else { panic!("not AES-128") };
        let key = aead::UnboundKey::new(&aead::AES_128_GCM, key.as_ref()).unwrap();
        Self { key: aead::LessSafeKey::new(key), iv: iv.as_ref().try_into().unwrap(), sequence }
    }

    /// RFC 8446 5.2 and 5.3.
    pub fn record(&mut self, content_type: u8, content: &[u8]) -> Vec<u8> {
        let mut nonce = self.iv;
        for (byte, sequence) in nonce[4..].iter_mut().zip(self.sequence.to_be_bytes()) {
            *byte ^= sequence;
        }
        self.sequence += 1;
        let mut sealed = content.to_vec();
        sealed.push(content_type);
        let length = u16::try_from(sealed.len() + 16).unwrap().to_be_bytes();
        let header = [23, 3, 3, length[0], length[1]];
        self.key
            .seal_in_place_append_tag(aead::Nonce::assume_unique_for_key(nonce), aead::Aad::from(header), &mut sealed)
            .unwrap();
        [&header[..], &sealed].concat()
    }
}

fn forged(world: &World) -> (Pair, Forger) {
    let server = world.server(&[]);
    let mut config = world.client(&[&version::TLS13]);
    config.enable_secret_extraction = true;
    let config = Arc::new(config);
    let mut pair = Pair::new(&server, &config, "one.test");
    pair.settle(usize::MAX).unwrap();
    let forger = Forger::from(&mut pair, Pair::new(&server, &config, "one.test").client);
    (pair, forger)
}

#[test]
fn b5_a_key_update_in_pieces_is_refused_and_writing_stays_safe() {
    let world = World::new();
    let (mut pair, mut forger) = forged(&world);
    let whole = forger.record(23, b"<a/>");
    assert_eq!(pair.give_server(&whole, usize::MAX).0, Ok(TlsState::Open), "forged records are good ones");
    assert_eq!(pair.plain, b"<a/>");

    // KeyUpdate is 24, length 1, request 0: five bytes, here the first two.
    let piece = forger.record(22, &[24, 0]);
    assert_eq!(pair.give_server(&piece, usize::MAX).0, Err(TlsError::FragmentedHandshake));
    assert_eq!(pair.server.write(b"<b/>", &mut Vec::new()), Err(TlsError::Closed));
}

#[test]
fn b3_a_second_hello_inside_tls_is_refused() {
    let world = World::new();
    let (mut pair, mut forger) = forged(&world);
    let hello = strip_headers(&client_hello(0x0301, 0x0303, &[0xc02b], &modern_extensions()));
    let record = forger.record(22, &hello);
    let (state, out) = pair.give_server(&record, usize::MAX);
    assert!(matches!(state, Err(TlsError::Peer(rustls::Error::InappropriateHandshakeMessage { .. }))), "{state:?}");
    assert!(!out.is_empty(), "an alert, encrypted");
}

#[test]
fn b5_floods_of_empty_records_and_key_updates_are_cut_off() {
    let world = World::new();
    let (mut pair, mut forger) = forged(&world);
    let flood: Vec<u8> = (0..200).flat_map(|_| forger.record(23, b"")).collect();
    assert!(pair.give_server(&flood, usize::MAX).0.is_err());

    let (mut pair, mut forger) = forged(&world);
    let request = forger.record(22, &[24, 0, 0, 1, 1]);
    assert_eq!(pair.give_server(&request, usize::MAX).0, Ok(TlsState::Open));
    let old_keys = forger.record(23, b"with the old keys");
    assert!(pair.give_server(&old_keys, usize::MAX).0.is_err(), "the keys did change");
}
