//! A client as bytes: version, agent, first and last seen, ways, software, device (each with one byte of length), then for each of
//! the two tokens a 0, or a 1 and its fields. Numbers are big endian.

use std::sync::Arc;

use bytes::{BufMut, Bytes, BytesMut};
use iris_core::clients::{Token, Ways};

use super::Client;

const VERSION: u8 = 1;

pub(super) fn encode(client: &Client) -> Bytes {
    let mut out = BytesMut::with_capacity(256);
    out.put_u8(VERSION);
    out.put_u128(client.agent);
    out.put_u64(client.first_seen_us);
    out.put_u64(client.last_seen_us);
    out.put_u8(client.ways.0);
    for text in [&client.software, &client.device] {
        let text = text.as_deref().unwrap_or_default().as_bytes();
        // Held to 128 bytes where they are read (`UserAgent`).
        let size = text.len().min(usize::from(u8::MAX));
        out.put_u8(size as u8);
        out.put_slice(text.get(..size).unwrap_or_default());
    }
    for token in [&client.current, &client.new] {
        let Some(token) = token else {
            out.put_u8(0);
            continue;
        };
        out.put_u8(1);
        out.put_u8(token.mechanism);
        out.put_slice(&token.mask);
        out.put_slice(&token.sealed);
        out.put_u64(token.issued_us);
        out.put_u64(token.expires_us);
        out.put_u64(token.count.map_or(0, |count| u64::from(count) + 1));
    }
    out.freeze()
}

/// `None`: not what we wrote; the client then has to log in anew.
pub(super) fn decode(id: &Arc<str>, value: &Bytes) -> Option<Client> {
    let mut from = Reader(value);
    if from.array::<1>()? != [VERSION] {
        return None;
    }
    let client = Client {
        id: id.clone(),
        agent: u128::from_be_bytes(from.array()?),
        first_seen_us: from.number()?,
        last_seen_us: from.number()?,
        ways: Ways(from.array::<1>()?[0]),
        software: from.text()?,
        device: from.text()?,
        current: from.token()?,
        new: from.token()?,
    };
    from.0.is_empty().then_some(client)
}

struct Reader<'a>(&'a [u8]);

impl Reader<'_> {
    fn array<const N: usize>(&mut self) -> Option<[u8; N]> {
        let (found, rest) = self.0.split_first_chunk()?;
        self.0 = rest;
        Some(*found)
    }

    fn number(&mut self) -> Option<u64> {
        self.array().map(u64::from_be_bytes)
    }

    fn text(&mut self) -> Option<Option<Box<str>>> {
        let [size] = self.array()?;
        let (text, rest) = self.0.split_at_checked(usize::from(size))?;
        self.0 = rest;
        let text = std::str::from_utf8(text).ok()?;
        Some((!text.is_empty()).then(|| text.into()))
    }

    fn token(&mut self) -> Option<Option<Token>> {
        if self.array::<1>()? == [0] {
            return Some(None);
        }
        Some(Some(Token {
            mechanism: self.array::<1>()?[0],
            mask: self.array()?,
            sealed: self.array()?,
            issued_us: self.number()?,
            expires_us: self.number()?,
            count: self.number()?.checked_sub(1).and_then(|count| u32::try_from(count).ok()),
        }))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn client() -> Client {
        let token = |count| Token { mechanism: 3, mask: [7; 16], sealed: [9; 32], issued_us: 1, expires_us: 2, count };
        Client {
            id: Arc::from("id"),
            agent: u128::MAX - 1,
            software: Some("Dino".into()),
            device: None,
            first_seen_us: 3,
            last_seen_us: 4,
            ways: Ways::PASSWORD,
            current: Some(token(Some(u32::MAX))),
            new: Some(token(None)),
        }
    }

    #[test]
    fn a_client_round_trips_and_nothing_else_decodes() {
        let client = client();
        let bytes = encode(&client);
        assert_eq!(decode(&client.id, &bytes), Some(client.clone()));
        for end in 0..bytes.len() {
            assert_eq!(decode(&client.id, &bytes.slice(..end)), None, "cut at {end}");
        }
        assert_eq!(decode(&client.id, &Bytes::from([&bytes[..], b"x"].concat())), None);
        assert_eq!(decode(&client.id, &Bytes::from([&[2], &bytes[1..]].concat())), None);
    }
}
