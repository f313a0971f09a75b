//! Streams without a stream: on WebSocket (RFC 7395) and BOSH each element is a document of its own, and the stream's header and end
//! are elements, `<open/>` and `<close/>`. Here both ways meet what negotiator and session know: headers, elements, an end.

use iris_core::ns;
use iris_core::xml::error::XmlErrorKind;
use iris_core::xml::scan::StreamHeader;
use iris_core::xml::wire::Output;

use super::*;
use crate::origin::Page;
use crate::websocket::{self, Fault, Frames, Heard};

/// How elements lie in the bytes.
pub(crate) enum Framing {
    /// One after the other in a stream (RFC 6120 4).
    Stream,
    WebSocket(Box<WebSocket>),
    /// Elements that stand alone, one behind the other (BOSH); the page that sends them, if a page does.
    Elements(Option<Box<Page>>),
}

#[derive(Default)]
pub(crate) struct WebSocket {
    frames: Frames,
    /// A close was sent: nothing may follow (RFC 6455 5.5.1).
    closed: bool,
    /// The page that opened it, if a page did.
    pub(super) page: Option<Page>,
}

impl WebSocket {
    pub(super) fn of(page: Option<Page>) -> WebSocket {
        WebSocket { page, ..WebSocket::default() }
    }
}

/// Why what came is not taken.
pub(super) enum Unread {
    Xml(XmlError),
    Frame(Fault),
}

impl From<XmlError> for Unread {
    fn from(error: XmlError) -> Unread {
        Unread::Xml(error)
    }
}

/// Pongs that a peer does not take are not piled up.
const UNTAKEN_BYTES_MAX: usize = 16 * 1024;

impl Framing {
    pub(super) fn is_framed(&self) -> bool {
        !matches!(self, Framing::Stream)
    }

    pub(super) fn page(&self) -> Option<&Page> {
        match self {
            Framing::Stream => None,
            Framing::WebSocket(it) => it.page.as_ref(),
            Framing::Elements(page) => page.as_deref(),
        }
    }
}

impl Pipe {
    /// The next message in `pending` after `at`.
    pub(super) fn scan_frames(&mut self, at: &mut usize) -> Result<Option<Scanned>, Unread> {
        if let Framing::Elements(_) = self.framing {
            let found = self.scanner.scan(self.pending.get(*at..).unwrap_or_default())?;
            return Ok(match found {
                Scanned::Stanza { consumed, stanza } => {
                    *at += consumed;
                    Some(meant(&mut self.scanner, consumed, stanza))
                }
                _ => None,
            });
        }
        loop {
            let Framing::WebSocket(it) = &mut self.framing else { return Ok(None) };
            let limits = self.scanner.limits();
            let most = limits.stanza_size_bytes_max.max(limits.header_size_bytes_max) + DECLARATION_BYTES_MAX;
            match it.frames.next(&mut self.pending, at, most).map_err(Unread::Frame)? {
                None => return Ok(None),
                Some(Heard::Text(range)) => {
                    let text = self.pending.get(range).unwrap_or_default();
                    return document(&mut self.scanner, text).map(Some).map_err(Unread::Xml);
                }
                Some(Heard::Gathered(text)) => {
                    return document(&mut self.scanner, &text).map(Some).map_err(Unread::Xml);
                }
                Some(Heard::Ping(range)) => {
                    let mut pong = Vec::new();
                    websocket::push_pong(self.pending.get(range).unwrap_or_default(), &mut pong);
                    if self.outgoing.len() < UNTAKEN_BYTES_MAX && self.say(&pong).is_err() {
                        self.ended = true;
                        return Ok(None);
                    }
                }
                Some(Heard::Pong) => {}
                Some(Heard::Close) => {
                    // Without <close/> before it: to XMPP the connection is lost, and the session may be resumed (RFC 7395 3.6).
                    self.say_close(websocket::NORMAL);
                    self.ended = true;
                    return Ok(None);
                }
            }
        }
    }

    /// Was the last frame sent?
    pub(super) fn has_closed(&self) -> bool {
        matches!(&self.framing, Framing::WebSocket(it) if it.closed)
    }

    /// The last frame; later ones are none.
    pub(super) fn say_close(&mut self, code: u16) {
        if let Framing::WebSocket(it) = &mut self.framing
            && !it.closed
        {
            it.closed = true;
            let mut close = Vec::new();
            websocket::push_close(code, &mut close);
            // If it cannot be said, the connection is gone anyway.
            let _ = self.say(&close);
        }
    }

    /// Queue what was written for a stream: a header, elements, an end.
    pub(super) fn say_stream(&mut self, xml: &[u8]) -> Result<(), End> {
        if !self.framing.is_framed() {
            return self.say(xml);
        }
        let mut framed = Output { framed: true, ..Output::default() };
        let mut rest = std::str::from_utf8(xml).unwrap_or_default();
        while let Some(element) = first_element(&mut rest) {
            framed.nonza(&standing_alone(element));
        }
        self.say_elements(&framed)
    }

    /// Queue elements that stand alone already.
    pub(super) fn say_elements(&mut self, elements: &Output) -> Result<(), End> {
        match &self.framing {
            Framing::Stream => self.say(&elements.bytes),
            Framing::Elements(_) => {
                let Way::Bosh(link) = &self.way else { return Ok(()) };
                let mut start = 0;
                let each = elements.ends.iter().map(|end| {
                    let element = elements.bytes.get(start..*end).unwrap_or_default();
                    start = *end;
                    std::str::from_utf8(element).unwrap_or_default()
                });
                link.push(each);
                Ok(())
            }
            Framing::WebSocket(it) if it.closed => Ok(()),
            Framing::WebSocket(_) => {
                let mut frames = Vec::with_capacity(elements.bytes.len() + elements.ends.len() * 4);
                let mut start = 0;
                for end in &elements.ends {
                    websocket::push_text(elements.bytes.get(start..*end).unwrap_or_default(), &mut frames);
                    start = *end;
                }
                self.say(&frames)
            }
        }
    }
}

/// An XML declaration in front of a message (RFC 7395 3.3.3: not recommended).
const DECLARATION_BYTES_MAX: usize = 64;

/// One message: one document (RFC 7395 3.3.3).
fn document(scanner: &mut Scanner, text: &[u8]) -> Result<Scanned, XmlError> {
    let text = undeclared(text)?;
    if text.first() != Some(&b'<') {
        return Err(XmlError { kind: XmlErrorKind::BadFormat, at: 0 });
    }
    let found = scanner.scan(text)?;
    let (consumed, stanza) = match found {
        Scanned::Stanza { consumed, stanza } => (consumed, stanza),
        // Half an element.
        other => {
            let at = if let Scanned::NeedMore { .. } = other { text.len() } else { 0 };
            return Err(XmlError { kind: XmlErrorKind::NotWellFormed, at });
        }
    };
    // A second element, or text, behind the first: no document.
    if text.get(consumed..).unwrap_or_default().iter().any(|byte| !byte.is_ascii_whitespace()) {
        return Err(XmlError { kind: XmlErrorKind::NotWellFormed, at: consumed });
    }
    Ok(meant(scanner, consumed, stanza))
}

/// A header, an end, or what it is.
fn meant(scanner: &mut Scanner, consumed: usize, stanza: iris_core::Stanza) -> Scanned {
    if stanza.is(ns::FRAMING, "close") {
        return Scanned::Close { consumed };
    }
    if !stanza.is(ns::FRAMING, "open") {
        return Scanned::Stanza { consumed, stanza };
    }
    let value = |name: &str| stanza.attr(name).map(std::borrow::Cow::into_owned);
    let header = StreamHeader {
        to: value("to"),
        from: value("from"),
        id: value("id"),
        version: value("version"),
        lang: stanza.lang().map(std::borrow::Cow::into_owned),
        // 3.3.2: an <open/> says nothing of the namespace of what follows; there is one.
        default_ns: ns::CLIENT.to_owned(),
        stream_ns_ok: true,
        prefixes: Vec::new(),
    };
    scanner.set_header(&header);
    Scanned::Open { consumed, header: Box::new(header) }
}

/// Without the XML declaration.
fn undeclared(text: &[u8]) -> Result<&[u8], XmlError> {
    let Some(rest) = text.strip_prefix(b"<?xml ") else { return Ok(text) };
    let window = rest.get(..DECLARATION_BYTES_MAX).unwrap_or(rest);
    let end = window.windows(2).position(|it| it == b"?>");
    let said = end.and_then(|end| std::str::from_utf8(&rest[..end]).ok());
    let (Some(end), Some(said)) = (end, said) else { return Err(XmlError { kind: XmlErrorKind::NotWellFormed, at: 0 }) };
    let said = said.trim().replace('"', "'").to_ascii_lowercase();
    match said.strip_prefix("version='1.0'").map(str::trim) {
        Some("" | "encoding='utf-8'") => Ok(&rest[end + 2..]),
        Some(_) => Err(XmlError { kind: XmlErrorKind::UnsupportedEncoding, at: 0 }),
        None => Err(XmlError { kind: XmlErrorKind::NotWellFormed, at: 0 }),
    }
}

/// Cuts the first element off what the server itself wrote: a header and an end are elements here. Its own XML has no comments.
fn first_element<'x>(rest: &mut &'x str) -> Option<&'x str> {
    if let Some((_, behind)) = rest.strip_prefix("<?").and_then(|rest| rest.split_once("?>")) {
        *rest = behind;
    }
    let (mut depth, mut at) = (0usize, 0usize);
    loop {
        let open = at + rest.get(at..)?.find('<')?;
        let tag_len = end_of_tag(rest.get(open..)?)?;
        let tag = rest.get(open..open + tag_len)?;
        at = open + tag_len;
        if tag.starts_with("</") {
            depth = depth.saturating_sub(1);
        } else {
            // A header stands alone, although it has no end here.
            let is_whole = tag.ends_with("/>") || (depth == 0 && tag.starts_with("<stream:stream"));
            depth += usize::from(!is_whole);
        }
        if depth == 0 {
            let (element, behind) = rest.split_at_checked(at)?;
            *rest = behind;
            return Some(element);
        }
    }
}

/// Behind the `>` that ends the tag; one in an attribute does not.
fn end_of_tag(tag: &str) -> Option<usize> {
    let mut quote = None;
    for (at, byte) in tag.bytes().enumerate() {
        match (quote, byte) {
            (None, b'>') => return Some(at + 1),
            (None, b'\'' | b'"') => quote = Some(byte),
            (Some(open), byte) if open == byte => quote = None,
            _ => {}
        }
    }
    None
}

/// An element of a stream as a document of its own: what it had from the stream's header is declared on it.
fn standing_alone(element: &str) -> Vec<u8> {
    let tag = element.get(..end_of_tag(element).unwrap_or(0)).unwrap_or_default();
    if let Some(attributes) = tag.strip_prefix("<stream:stream") {
        let mut attributes = attributes.trim_end_matches('>').to_owned();
        for declared in [format!(" xmlns='{}'", ns::CLIENT), format!(" xmlns:stream='{}'", ns::STREAMS)] {
            attributes = attributes.replacen(&declared, "", 1);
        }
        return format!("<open xmlns='{}'{attributes}/>", ns::FRAMING).into_bytes();
    }
    if tag.starts_with("</") {
        return format!("<close xmlns='{}'/>", ns::FRAMING).into_bytes();
    }
    let name_end = tag.find([' ', '/', '>']).unwrap_or(tag.len());
    let (name, attributes) = tag.split_at(name_end);
    let declaration = if name.starts_with("<stream:") {
        format!(" xmlns:stream='{}'", ns::STREAMS)
    } else if attributes.contains(" xmlns='") {
        String::new()
    } else {
        format!(" xmlns='{}'", ns::CLIENT)
    };
    format!("{name}{declaration}{}", &element[name_end..]).into_bytes()
}

#[cfg(test)]
mod tests {
    use super::*;
    use iris_core::xml::names::NameTable;
    use std::sync::Arc;

    fn scanner() -> Scanner {
        Scanner::for_fragments(XmlLimits::PRE_AUTH, Arc::new(NameTable::new()))
    }

    #[test]
    fn rfc7395_s3_3_3_what_a_stream_would_have_declared_is_declared_on_every_element() {
        let stream = "<?xml version='1.0'?><stream:stream xmlns='jabber:client' xmlns:stream='http://etherx.jabber.org/streams' \
                      id='a>b' from='house' version='1.0' xml:lang='en'><stream:features><bind xmlns='b'/></stream:features>\
                      <iq type='result' id='1'/><success xmlns='s'>x</success></stream:stream>";
        let mut rest = stream;
        let mut elements = Vec::new();
        while let Some(element) = first_element(&mut rest) {
            elements.push(String::from_utf8(standing_alone(element)).expect("UTF-8"));
        }
        assert_eq!(
            elements,
            [
                "<open xmlns='urn:ietf:params:xml:ns:xmpp-framing' id='a>b' from='house' version='1.0' xml:lang='en'/>",
                "<stream:features xmlns:stream='http://etherx.jabber.org/streams'><bind xmlns='b'/></stream:features>",
                "<iq xmlns='jabber:client' type='result' id='1'/>",
                "<success xmlns='s'>x</success>",
                "<close xmlns='urn:ietf:params:xml:ns:xmpp-framing'/>",
            ]
        );
        assert_eq!(rest, "");
    }

    #[test]
    fn rfc7395_s3_3_3_a_message_is_one_document_that_begins_with_an_element() {
        let open = "<open xmlns='urn:ietf:params:xml:ns:xmpp-framing' to='house' version='1.0' xml:lang='de'/>";
        for declaration in ["", "<?xml version='1.0'?>", "<?xml version=\"1.0\" encoding=\"UTF-8\"?>"] {
            let mut scanner = scanner();
            let found = document(&mut scanner, format!("{declaration}{open}").as_bytes());
            let Ok(Scanned::Open { header, .. }) = found else { panic!("{declaration}: {found:?}") };
            assert_eq!((header.to.as_deref(), header.lang.as_deref()), (Some("house"), Some("de")));
            // What comes later speaks that language, unless it says otherwise.
            let found = document(&mut scanner, b"<message xmlns='jabber:client'><body>hallo</body></message>\n");
            let Ok(Scanned::Stanza { stanza, .. }) = found else { panic!("{found:?}") };
            assert_eq!((stanza.kind(), stanza.lang().as_deref()), (iris_core::Kind::Message, Some("de")));
        }
        let close = document(&mut scanner(), b"<close xmlns='urn:ietf:params:xml:ns:xmpp-framing'/>");
        assert!(matches!(close, Ok(Scanned::Close { .. })));
        for (wrong, kind) in [
            ("", XmlErrorKind::BadFormat),
            (" ", XmlErrorKind::BadFormat),
            (" <a xmlns='b'/>", XmlErrorKind::BadFormat),
            ("<a xmlns='b'/><a xmlns='b'/>", XmlErrorKind::NotWellFormed),
            ("<a xmlns='b'/>text", XmlErrorKind::NotWellFormed),
            ("<a xmlns='b'>", XmlErrorKind::NotWellFormed),
            ("<a xmlns='b'/", XmlErrorKind::NotWellFormed),
            ("<!DOCTYPE a><a xmlns='b'/>", XmlErrorKind::BadFormat),
            ("<!--c--><a xmlns='b'/>", XmlErrorKind::RestrictedXml),
            ("<?xml version='1.0' encoding='latin1'?><a xmlns='b'/>", XmlErrorKind::UnsupportedEncoding),
            ("<?pi?><a xmlns='b'/>", XmlErrorKind::RestrictedXml),
        ] {
            let found = document(&mut scanner(), wrong.as_bytes());
            let Err(error) = found else { panic!("{wrong}: {found:?}") };
            assert!(error.kind == kind || wrong.starts_with("<!DOCTYPE"), "{wrong}: {error:?}");
        }
        let old =
            "<stream:stream xmlns='jabber:client' xmlns:stream='http://etherx.jabber.org/streams' to='house' version='1.0'>";
        assert!(document(&mut scanner(), old.as_bytes()).is_err());
    }
}
