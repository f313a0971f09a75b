//! WebSocket (RFC 6455, RFC 7395) around a client's elements: masked, one element a message.

use std::io::Read;

use anyhow::{Result, bail, ensure};

use crate::frame::Framer;

#[derive(Default)]
pub struct WebSocket {
    /// The handshake is answered; until then nothing else is sent.
    open: bool,
    held: Vec<u8>,
    /// Received, not yet a whole frame.
    raw: Vec<u8>,
}

const MASK: [u8; 4] = [0x5a, 0xa5, 0x3c, 0xc3];

impl WebSocket {
    pub fn request(domain: &str) -> Vec<u8> {
        format!(
            "GET /xmpp-websocket HTTP/1.1\r\nHost: {domain}\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\
             Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Protocol: xmpp\r\n\r\n"
        )
        .into_bytes()
    }

    /// Queues elements, each as a message. Stanzas get the namespace that a stream would have given them.
    pub fn write(&mut self, mut elements: &[u8], out: &mut Vec<u8>) {
        let out = if self.open { out } else { &mut self.held };
        while let Some(range) = Framer::inside().next(elements) {
            let element = elements.get(range.clone()).unwrap_or_default();
            let name = element.iter().position(|byte| matches!(byte, b' ' | b'/' | b'>')).unwrap_or(0);
            let tag = element.iter().position(|byte| *byte == b'>').unwrap_or(0);
            let declared = element[..tag].windows(7).any(|it| it == b" xmlns=");
            let xmlns: &[u8] = if declared { b"" } else { b" xmlns='jabber:client'" };
            let length = element.len() + xmlns.len();
            out.push(0x81);
            match length {
                ..126 => out.push(0x80 | length as u8),
                _ => {
                    out.push(0x80 | 126);
                    out.extend_from_slice(&(length as u16).to_be_bytes());
                }
            }
            out.extend_from_slice(&MASK);
            let text = element[..name].iter().chain(xmlns).chain(&element[name..]);
            out.extend(text.zip(MASK.iter().cycle()).map(|(byte, mask)| byte ^ mask));
            elements = elements.get(range.end..).unwrap_or_default();
        }
    }

    /// Takes `count` bytes; the elements in them go to `input`, what was held goes to `output` once that is allowed.
    pub fn read(&mut self, count: usize, from: &mut impl Read, input: &mut Vec<u8>, output: &mut Vec<u8>) -> Result<()> {
        let old = self.raw.len();
        self.raw.resize(old + count, 0);
        from.read_exact(&mut self.raw[old..])?;
        let mut at = 0;
        if !self.open {
            let Some(end) = self.raw.windows(4).position(|it| it == b"\r\n\r\n") else { return Ok(()) };
            ensure!(self.raw.starts_with(b"HTTP/1.1 101"), "no WebSocket: {}", String::from_utf8_lossy(&self.raw[..end]));
            at = end + 4;
            self.open = true;
            output.append(&mut self.held);
        }
        while let Some(&[first, second]) = self.raw.get(at..at + 2) {
            let wide = |bytes: Option<&[u8]>| bytes.map(|it| it.iter().fold(0usize, |sum, byte| sum << 8 | usize::from(*byte)));
            let (start, length) = match second {
                126 => (at + 4, wide(self.raw.get(at + 2..at + 4))),
                127 => (at + 10, wide(self.raw.get(at + 2..at + 10))),
                short => (at + 2, Some(usize::from(short))),
            };
            let Some(payload) = length.and_then(|length| self.raw.get(start..start + length)) else { break };
            match first {
                0x81 => input.extend_from_slice(payload),
                0x88 => {}
                // RFC 6455 5.5.3: a pong says what the ping said.
                0x89 => {
                    output.extend_from_slice(&[0x8a, 0x80 | second]);
                    output.extend_from_slice(&MASK);
                    output.extend(payload.iter().zip(MASK.iter().cycle()).map(|(byte, mask)| byte ^ mask));
                }
                other => bail!("a frame {other:x}"),
            }
            at = start + payload.len();
        }
        self.raw.drain(..at);
        Ok(())
    }
}
