//! The differential oracle: what the scanner accepts, rxml accepts, and both see the same tree.
//!
//! Also part of the fuzz target (`conformance/fuzz`), which includes this file.

use std::sync::Arc;

use rxml::error::EndOrError;
use rxml::{Event, Parse, WithOptions};

use super::xml::{El, NameTable, Scanned, Scanner, Stanza, XmlError, XmlLimits};

/// A client's stream header.
pub const HEADER: &str = "<?xml version='1.0'?><stream:stream to='house' version='1.0' \
    xmlns='jabber:client' xmlns:p='urn:p' xmlns:stream='http://etherx.jabber.org/streams'>";

/// An element, as far as two parsers can agree or disagree about it.
#[derive(Debug, PartialEq)]
pub struct Tree {
    pub name: (String, String),
    /// Namespace, local name, value; sorted.
    pub attributes: Vec<(String, String, String)>,
    /// All character data directly inside.
    pub text: String,
    pub children: Vec<Tree>,
}

/// The scanner's reading.
pub fn tree(el: &El<'_>) -> Tree {
    let mut attributes: Vec<_> =
        el.attrs_expanded().map(|(ns, local, value)| (ns.to_owned(), local.to_owned(), value.into_owned())).collect();
    attributes.sort();
    Tree {
        name: (el.ns().to_owned(), el.local().to_owned()),
        attributes,
        text: one_line_end(&el.text()),
        children: el.children().map(|c| tree(&c)).collect(),
    }
}

/// rxml 0.14 keeps a carriage return that follows `]` in CDATA, against XML 1.0 section 2.11. Nothing but that line end
/// depends on it, so it is no reason to refuse what a peer on Windows may send: the comparison looks away.
fn one_line_end(text: &str) -> String {
    text.replace("\r\n", "\n").replace('\r', "\n")
}

fn finished(tree: Tree) -> Tree {
    Tree { text: one_line_end(&tree.text), ..tree }
}

/// rxml's reading of the first `count` elements of a stream, or of a document of its own.
pub fn theirs(stream: &[u8], count: usize, document: bool) -> Result<Vec<Tree>, String> {
    let options = rxml::Options { max_token_length: 1 << 20, ..rxml::Options::default() };
    let mut parser = rxml::Parser::with_options(options);
    let mut rest = stream;
    let mut done = Vec::new();
    let mut open: Vec<Tree> = Vec::new();
    let mut in_header = !document;
    while done.len() < count {
        match parser.parse(&mut rest, false) {
            Ok(Some(Event::XmlDeclaration(..))) => {}
            Ok(Some(Event::StartElement(..))) if in_header => in_header = false,
            Ok(Some(Event::StartElement(_, (ns, local), attributes))) => {
                let mut attributes: Vec<_> =
                    attributes.into_iter().map(|((ns, local), value)| (ns.to_string(), local.to_string(), value)).collect();
                attributes.sort();
                let name = (ns.to_string(), local.to_string());
                open.push(Tree { name, attributes, text: String::new(), children: Vec::new() });
            }
            Ok(Some(Event::Text(_, text))) => {
                if let Some(top) = open.last_mut() {
                    top.text.push_str(&text);
                }
            }
            Ok(Some(Event::EndElement(_))) => match (open.pop().map(finished), open.last_mut()) {
                (Some(tree), Some(parent)) => parent.children.push(tree),
                (Some(tree), None) => done.push(tree),
                (None, _) => return Err("the stream ended".into()),
            },
            Ok(None) | Err(EndOrError::NeedMoreData) => return Err("not complete".into()),
            Err(EndOrError::Error(e)) => return Err(e.to_string()),
        }
    }
    Ok(done)
}

/// How a stream was read.
pub struct Reading {
    pub stanzas: Vec<Stanza>,
    pub error: Option<XmlError>,
}

/// The scanner's reading of a stream that arrives in pieces of the given sizes, again and again.
pub fn ours(stream: &[u8], sizes: &[usize]) -> Reading {
    let mut scanner = Scanner::new(XmlLimits::C2S, Arc::new(NameTable::new()));
    let mut reading = Reading { stanzas: Vec::new(), error: None };
    let (mut from, mut to) = (0, 0);
    let mut sizes = sizes.iter().cycle();
    while to < stream.len() {
        to = stream.len().min(to + sizes.next().copied().unwrap_or(1).max(1));
        loop {
            match scanner.scan(&stream[from..to]) {
                Ok(Scanned::NeedMore { skipped }) => {
                    from += skipped;
                    break;
                }
                Ok(Scanned::Open { consumed, .. } | Scanned::Close { consumed }) => from += consumed,
                Ok(Scanned::Stanza { consumed, stanza }) => {
                    from += consumed;
                    reading.stanzas.push(stanza);
                }
                Err(error) => {
                    reading.error = Some(error);
                    return reading;
                }
            }
        }
    }
    reading
}

/// Panics if the reading depends on the packets, or if rxml reads something else.
pub fn check(rest: &[u8]) -> usize {
    let stream = [HEADER.as_bytes(), rest].concat();
    let reading = ours(&stream, &[stream.len()]);
    let cuts: [&[usize]; 3] = [&[1], &[HEADER.len(), 3, 1, 5], &[HEADER.len() + 7, 13]];
    for sizes in cuts {
        let again = ours(&stream, sizes);
        assert_eq!(again.error, reading.error, "the error depends on the packets");
        let bytes = |r: &Reading| r.stanzas.iter().map(|s| s.as_str().to_owned()).collect::<Vec<_>>();
        assert_eq!(bytes(&again), bytes(&reading), "the stanzas depend on the packets");
    }
    let count = reading.stanzas.len();
    let seen: Vec<Tree> = reading.stanzas.iter().map(|s| tree(&s.el())).collect();
    match theirs(&stream, count, false) {
        Ok(trees) => assert_eq!(seen, trees, "rxml sees another tree"),
        Err(why) => panic!("rxml refuses what the scanner accepts: {why}"),
    }
    for stanza in &reading.stanzas {
        slices(stanza);
    }
    count
}

/// What is cut out of a stanza and what is written from it means what it meant inside.
fn slices(stanza: &Stanza) {
    let whole = tree(&stanza.el());
    for (child, inside) in stanza.children().iter().zip(&whole.children) {
        let closed = stanza.closed(child);
        let mut alone = theirs(&closed, 1, true).expect("a closed child is a document");
        // The stanza's own language is declared again on the child.
        let lang = |t: &(String, String, String)| t.1 == "lang" && t.0.ends_with("/namespace");
        if !inside.attributes.iter().any(lang) {
            alone[0].attributes.retain(|t| !lang(t));
        }
        assert_eq!(alone[0], *inside, "a closed child changed");
        assert_eq!(child.open, needs_more(stanza.child_bytes(child), inside), "open or not");
        let el = El::parse(&closed).expect("a closed child is an element");
        assert_eq!(el.local(), inside.name.1);
    }
    let wire = super::xml::render(stanza, &super::xml::Stamps::default());
    let mut bytes = b"<s:s xmlns:s='urn:s' xmlns='jabber:client'>".to_vec();
    wire.write_to(None, &mut bytes);
    let written = theirs(&bytes, 1, false).expect("a rendered stanza is XML");
    let mut expected = tree(&stanza.el());
    expected.attributes.retain(|t| !(t.0.is_empty() && t.1 == "to"));
    assert_eq!(written[0], expected, "rendering changed a stanza");
}

/// Whether a slice says something else, or nothing, without what is declared around it.
fn needs_more(slice: &[u8], inside: &Tree) -> bool {
    match theirs(slice, 1, true) {
        Ok(alone) => alone[0] != *inside,
        Err(_) => true,
    }
}
