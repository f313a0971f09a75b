//! Finding stanza boundaries in a byte stream without parsing XML.
//!
//! The generator must cost far less than the server it measures, so it only counts the depth of tags. Servers never send
//! comments, processing instructions or CDATA inside a stream (RFC 6120 11.1), hence none are treated here beyond the XML
//! declaration.

use std::ops::Range;

/// Position within a buffer of received bytes. Offsets are relative to the start of the buffer given to [`Framer::next`].
#[derive(Debug, Default, Clone, Copy)]
pub struct Framer {
    depth: u32,
    scanned: usize,
    start: usize,
}

impl Framer {
    /// For elements that no stream surrounds (WebSocket).
    pub fn inside() -> Framer {
        Framer { depth: 1, ..Framer::default() }
    }

    /// The next whole first-level element, the stream's opening tag, or its closing tag; `None` when more bytes are needed.
    pub fn next(&mut self, buffer: &[u8]) -> Option<Range<usize>> {
        loop {
            let open = self.scanned + memchr::memchr(b'<', buffer.get(self.scanned..)?)?;
            let Some(end) = tag_end(buffer, open + 1) else {
                self.scanned = open;
                return None;
            };
            self.scanned = end;
            match buffer.get(open + 1)? {
                b'?' | b'!' => {}
                b'/' => {
                    self.depth = self.depth.saturating_sub(1);
                    match self.depth {
                        0 => return Some(open..end),
                        1 => return Some(self.start..end),
                        _ => {}
                    }
                }
                _ if buffer.get(end - 2) == Some(&b'/') => {
                    if self.depth == 1 {
                        return Some(open..end);
                    }
                }
                _ => {
                    self.depth += 1;
                    match self.depth {
                        1 => return Some(open..end),
                        2 => self.start = open,
                        _ => {}
                    }
                }
            }
        }
    }

    /// Offset up to which the buffer has been handed out; bytes before it may be dropped.
    pub fn consumed(&self) -> usize {
        if self.depth >= 2 { self.start } else { self.scanned }
    }

    /// Tells the framer that the first `bytes` of the buffer are gone.
    pub fn dropped(&mut self, bytes: usize) {
        self.scanned -= bytes;
        self.start = self.start.saturating_sub(bytes);
    }
}

/// Offset behind the `>` that ends the tag; quotes may hide a `>` inside an attribute value.
fn tag_end(buffer: &[u8], mut from: usize) -> Option<usize> {
    loop {
        let at = from + memchr::memchr3(b'>', b'"', b'\'', buffer.get(from..)?)?;
        let found = *buffer.get(at)?;
        if found == b'>' {
            return Some(at + 1);
        }
        from = at + 2 + memchr::memchr(found, buffer.get(at + 1..)?)?;
    }
}

/// Whether `needle` occurs in `frame`.
pub fn has(frame: &[u8], needle: &str) -> bool {
    memchr::memmem::find(frame, needle.as_bytes()).is_some()
}

/// The bytes between the first `before` and the next `after`.
pub fn between<'a>(frame: &'a [u8], before: &str, after: &str) -> Option<&'a [u8]> {
    let start = memchr::memmem::find(frame, before.as_bytes())? + before.len();
    let rest = frame.get(start..)?;
    rest.get(..memchr::memmem::find(rest, after.as_bytes())?)
}

/// The value of an attribute of the frame's outermost element.
pub fn attribute<'a>(frame: &'a [u8], name: &str) -> Option<&'a [u8]> {
    let tag = frame.get(..tag_end(frame, 0)?)?;
    let mut rest = tag;
    loop {
        let at = memchr::memmem::find(rest, name.as_bytes())?;
        let after = rest.get(at + name.len()..)?;
        if at > 0 && rest[at - 1].is_ascii_whitespace() && after.first() == Some(&b'=') {
            let quote = *after.get(1)?;
            let value = after.get(2..)?;
            return value.get(..memchr::memchr(quote, value)?);
        }
        rest = after;
    }
}

/// Whether the frame is a stanza of type error, a stream error or a failure of SASL or 0198.
pub fn is_error(frame: &[u8]) -> bool {
    attribute(frame, "type") == Some(b"error")
        || frame.starts_with(b"<stream:error")
        || frame.starts_with(b"<failure")
        || frame.starts_with(b"<failed")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn frames(chunks: &[&str]) -> Vec<String> {
        let (mut framer, mut buffer, mut found) = (Framer::default(), Vec::new(), Vec::new());
        for chunk in chunks {
            buffer.extend_from_slice(chunk.as_bytes());
            while let Some(range) = framer.next(&buffer) {
                found.push(String::from_utf8(buffer[range].to_vec()).unwrap());
            }
            let gone = framer.consumed();
            buffer.drain(..gone);
            framer.dropped(gone);
        }
        found
    }

    const STREAM: &str = "<?xml version='1.0'?><stream:stream to='x'><stream:features><bind xmlns='b'/></stream:features>\
        <r/> <message a='>' b=\"/>\"><body>hi</body></message></stream:stream>";

    #[test]
    fn stanzas_are_found_whole_wherever_the_stream_is_cut() {
        let whole = frames(&[STREAM]);
        assert_eq!(
            whole,
            [
                "<stream:stream to='x'>",
                "<stream:features><bind xmlns='b'/></stream:features>",
                "<r/>",
                "<message a='>' b=\"/>\"><body>hi</body></message>",
                "</stream:stream>"
            ]
        );
        for cut in 0..STREAM.len() {
            assert_eq!(frames(&[&STREAM[..cut], &STREAM[cut..]]), whole, "cut at {cut}");
        }
    }

    #[test]
    fn attributes_are_read_from_the_outermost_element_only() {
        let frame = b"<iq xid='no' id=\"7\"><x type='error'/></iq>";
        assert_eq!(attribute(frame, "id"), Some(&b"7"[..]));
        assert_eq!(attribute(frame, "type"), None);
        assert!(!is_error(frame));
        assert!(is_error(b"<iq type='error' id='7'/>"));
    }
}
