//! The server's side of WebSocket framing (RFC 6455 5), sans-IO: bytes in, messages out. No extensions: none is offered in the
//! handshake, so a reserved bit is a mistake, and a compressed bomb cannot be sent.
//!
//! Written here rather than taken: it stands on the way of every stanza, works in place in the connection's own buffer, and knows the
//! one size that counts, that of a stanza, before anything is allocated.

use std::ops::Range;

/// Small pieces of one message at most (security D6): nobody cuts a stanza into crumbs. Libraries do cut at the size of their buffers
/// (Java's at 16 KiB), so larger pieces count by their bytes only.
const FRAGMENTS_MAX: u8 = 8;
const FRAGMENT_BYTES_SMALL: usize = 4_096;

/// Bytes of a ping, a pong or a close (RFC 6455 5.5).
const CONTROL_BYTES_MAX: u64 = 125;

const TEXT: u8 = 1;
const CLOSE: u8 = 8;
const PING: u8 = 9;
const PONG: u8 = 10;

/// What the peer said.
#[derive(Debug, PartialEq, Eq)]
pub enum Heard {
    /// A text message: where it lies, unmasked, in the buffer.
    Text(Range<usize>),
    /// A text message that came in pieces.
    Gathered(Vec<u8>),
    /// To be answered with the same bytes.
    Ping(Range<usize>),
    Pong,
    /// The peer closes; nothing more will come.
    Close,
}

/// What the peer did wrong. There is nothing more to say than a close with [`Fault::code`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fault {
    /// A frame that is none: unmasked, reserved bits, an unknown opcode, pieces out of order, a long control frame.
    Protocol,
    /// XMPP is text (RFC 7395 3.2).
    Binary,
    NotUtf8,
    TooManyFragments,
    TooLarge,
}

impl Fault {
    /// RFC 6455 7.4.1.
    pub fn code(self) -> u16 {
        match self {
            Fault::Protocol => 1002,
            Fault::Binary => 1003,
            Fault::NotUtf8 => 1007,
            Fault::TooManyFragments => 1008,
            Fault::TooLarge => 1009,
        }
    }
}

/// Why we close although nobody did anything wrong.
pub const NORMAL: u16 = 1000;

/// What has come of a message that comes in pieces.
#[derive(Default)]
pub struct Frames {
    in_pieces: bool,
    /// Pieces of it that were small.
    small: u8,
    gathered: Vec<u8>,
}

struct Head {
    last: bool,
    opcode: u8,
    mask: [u8; 4],
    payload: Range<usize>,
}

impl Frames {
    /// The next thing in `buf` behind `at`, which moves behind it. `None`: more bytes are needed; then nothing was changed.
    ///
    /// # Errors
    /// The connection is over.
    pub fn next(&mut self, buf: &mut [u8], at: &mut usize, message_bytes_max: usize) -> Result<Option<Heard>, Fault> {
        while let Some(head) = self.head(buf, *at, message_bytes_max)? {
            let Some(payload) = buf.get_mut(head.payload.clone()) else { return Ok(None) };
            unmask(payload, head.mask);
            *at = head.payload.end;
            let payload = &*payload;
            match head.opcode {
                PING => return Ok(Some(Heard::Ping(head.payload))),
                PONG => return Ok(Some(Heard::Pong)),
                CLOSE => return closes(payload).map(|()| Some(Heard::Close)),
                _ if head.last && !self.in_pieces => {
                    check_text(payload)?;
                    return Ok(Some(Heard::Text(head.payload)));
                }
                _ => {
                    self.in_pieces = true;
                    self.small += u8::from(payload.len() < FRAGMENT_BYTES_SMALL);
                    self.gathered.extend_from_slice(payload);
                    if head.last {
                        (self.in_pieces, self.small) = (false, 0);
                        let gathered = std::mem::take(&mut self.gathered);
                        check_text(&gathered)?;
                        return Ok(Some(Heard::Gathered(gathered)));
                    }
                    if self.small >= FRAGMENTS_MAX {
                        return Err(Fault::TooManyFragments);
                    }
                }
            }
        }
        Ok(None)
    }

    /// RFC 6455 5.2, every bit of it. Sizes are judged by what the head announces.
    fn head(&self, buf: &[u8], at: usize, message_bytes_max: usize) -> Result<Option<Head>, Fault> {
        let Some(&[first, second, ref rest @ ..]) = buf.get(at..) else { return Ok(None) };
        let (last, reserved, opcode) = (first & 0x80 != 0, first & 0x70, first & 0x0f);
        let (masked, short) = (second & 0x80 != 0, second & 0x7f);
        // 5.1: a server must close when a frame is not masked.
        if reserved != 0 || !masked {
            return Err(Fault::Protocol);
        }
        match (opcode, self.in_pieces) {
            (2, _) => return Err(Fault::Binary),
            (0, false) => return Err(Fault::Protocol),
            // 5.4: a message in pieces is not interrupted by another one.
            (TEXT, true) => return Err(Fault::Protocol),
            (0 | TEXT | CLOSE | PING | PONG, _) => {}
            _ => return Err(Fault::Protocol),
        }
        let (length, wide) = match (short, rest) {
            (126, &[a, b, ..]) => (u64::from(u16::from_be_bytes([a, b])), 2),
            (127, &[a, b, c, d, e, f, g, h, ..]) => (u64::from_be_bytes([a, b, c, d, e, f, g, h]), 8),
            (126 | 127, _) => return Ok(None),
            (short, _) => (u64::from(short), 0),
        };
        // "the minimal number of bytes MUST be used", and the highest bit is 0.
        if (wide == 2 && length < 126) || (wide == 8 && (length <= u64::from(u16::MAX) || length >> 63 != 0)) {
            return Err(Fault::Protocol);
        }
        if opcode >= CLOSE {
            if !last || length > CONTROL_BYTES_MAX {
                return Err(Fault::Protocol);
            }
        } else if length.saturating_add(self.gathered.len() as u64) > message_bytes_max as u64 {
            return Err(Fault::TooLarge);
        }
        let Some(&[a, b, c, d, ..]) = rest.get(wide..) else { return Ok(None) };
        let start = at + 2 + wide + 4;
        // It fits: no longer than a message, or 125.
        let payload = start..start.saturating_add(length as usize);
        Ok(Some(Head { last, opcode, mask: [a, b, c, d], payload }))
    }
}

fn unmask(payload: &mut [u8], mask: [u8; 4]) {
    let mut words = payload.chunks_exact_mut(4);
    for word in &mut words {
        for (byte, mask) in word.iter_mut().zip(mask) {
            *byte ^= mask;
        }
    }
    for (byte, mask) in words.into_remainder().iter_mut().zip(mask) {
        *byte ^= mask;
    }
}

fn check_text(bytes: &[u8]) -> Result<(), Fault> {
    std::str::from_utf8(bytes).map(|_| ()).map_err(|_| Fault::NotUtf8)
}

/// RFC 6455 5.5.1 and 7.4: nothing, or a code that may be sent and a reason in UTF-8.
fn closes(payload: &[u8]) -> Result<(), Fault> {
    match payload {
        [] => Ok(()),
        [_] => Err(Fault::Protocol),
        [high, low, reason @ ..] => match u16::from_be_bytes([*high, *low]) {
            1000..=1003 | 1007..=1014 | 3000..=4999 => check_text(reason),
            _ => Err(Fault::Protocol),
        },
    }
}

fn push(opcode: u8, payload: &[u8], out: &mut Vec<u8>) {
    out.push(0x80 | opcode);
    let length = payload.len();
    match (u8::try_from(length), u16::try_from(length)) {
        (Ok(short @ ..126), _) => out.push(short),
        (_, Ok(wide)) => {
            out.push(126);
            out.extend_from_slice(&wide.to_be_bytes());
        }
        _ => {
            out.push(127);
            out.extend_from_slice(&(length as u64).to_be_bytes());
        }
    }
    out.extend_from_slice(payload);
}

/// Appends a message.
pub fn push_text(text: &[u8], out: &mut Vec<u8>) {
    push(TEXT, text, out);
}

pub fn push_pong(payload: &[u8], out: &mut Vec<u8>) {
    push(PONG, payload, out);
}

pub fn push_close(code: u16, out: &mut Vec<u8>) {
    push(CLOSE, &code.to_be_bytes(), out);
}

#[cfg(test)]
mod tests;
