//! Almost-right XML, mutated, against rxml; and the corpus of the fuzz target.

use proptest::prelude::*;

use super::oracle::{HEADER, check, ours, theirs};

/// Random bytes that a writer takes its decisions from, so that a failure shrinks.
struct Tape<'a>(std::slice::Iter<'a, u8>);

impl Tape<'_> {
    fn pick<'p>(&mut self, of: &[&'p str]) -> &'p str {
        of[self.below(of.len())]
    }

    fn below(&mut self, n: usize) -> usize {
        usize::from(self.0.next().copied().unwrap_or(0)) % n
    }

    fn one_in(&mut self, n: usize) -> bool {
        self.below(n) == n - 1
    }
}

const NAMES: &[&str] = &["a", "message", "iq", "presence", "body", "x-y.z", "stream", "ä", "_1"];
const PREFIXES: &[&str] = &["p", "q", "xml", "stream", "xmlns", "Я"];
const URIS: &[&str] = &[
    "urn:p",
    "urn:q",
    "jabber:client",
    "http://etherx.jabber.org/streams",
    "http://www.w3.org/XML/1998/namespace",
    "http://www.w3.org/2000/xmlns/",
    "urn:p|x",
    "",
];
const TEXTS: &[&str] = &[
    "hello",
    " ",
    "\r\n\t",
    "&lt;&gt;&amp;&quot;&apos;",
    "&#65;&#x1F600;",
    "ä€😀",
    "]]",
    "]",
    ">",
    "\u{7f}\u{85}",
    "<![CDATA[<&]]]>",
    "<![CDATA[\r\n]]>",
    "]]>",
    "&nbsp;",
    "&#0;",
    "\u{1}",
    "\u{fffe}",
    "&",
    "'\"",
    "&#xD;&#9;",
];

fn name(t: &mut Tape<'_>, out: &mut String) {
    if t.one_in(3) {
        out.push_str(t.pick(PREFIXES));
        out.push(':');
    }
    out.push_str(t.pick(NAMES));
}

fn element(t: &mut Tape<'_>, out: &mut String, depth: usize) {
    let mut tag = String::new();
    if depth == 0 && !t.one_in(4) {
        tag.push_str(t.pick(&["message", "iq", "presence"]));
    } else {
        name(t, &mut tag);
    }
    out.push('<');
    out.push_str(&tag);
    for _ in 0..t.below(4) {
        out.push_str(t.pick(&[" ", " ", " ", "\n", "  ", ""]));
        match t.below(4) {
            0 => out.push_str("xmlns"),
            1 => {
                out.push_str("xmlns:");
                out.push_str(t.pick(PREFIXES));
            }
            2 => out.push_str(t.pick(&["to", "from", "id", "type", "xml:lang"])),
            _ => name(t, out),
        }
        out.push_str(t.pick(&["=", "=", " = "]));
        let quote = t.pick(&["'", "\""]);
        out.push_str(quote);
        out.push_str(match t.below(3) {
            0 => t.pick(TEXTS),
            _ => t.pick(URIS),
        });
        out.push_str(quote);
    }
    if t.one_in(3) {
        out.push_str(t.pick(&["/>", " />"]));
        return;
    }
    out.push('>');
    for _ in 0..t.below(4) {
        if depth < 5 && t.one_in(2) {
            element(t, out, depth + 1);
        } else {
            out.push_str(t.pick(TEXTS));
        }
    }
    out.push_str("</");
    out.push_str(&tag);
    out.push_str(t.pick(&[">", ">", " >"]));
}

fn stream(tape: &[u8]) -> Vec<u8> {
    let mut t = Tape(tape.iter());
    let mutations = t.below(3).saturating_sub(1);
    let mut out = String::new();
    for _ in 0..1 + t.below(3) {
        element(&mut t, &mut out, 0);
        out.push_str(t.pick(&["", "", " \n", "x"]));
    }
    let mut out = out.into_bytes();
    const BYTES: &[u8] = b"<>&'\":=/ ]![?\0\x80\xc0\xe2\xed\xf4\xffax\n";
    for _ in 0..mutations {
        let at = (t.below(256) << 8 | t.below(256)) % (out.len() + 1);
        let byte = BYTES[t.below(BYTES.len())];
        match t.below(3) {
            0 => out.insert(at, byte),
            1 if at < out.len() => out[at] = byte,
            _ if at < out.len() => drop(out.remove(at)),
            _ => {}
        }
    }
    out
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::with_cases(3000) })]

    #[test]
    fn what_the_scanner_accepts_rxml_reads_the_same(tape in prop::collection::vec(any::<u8>(), 0..200)) {
        check(&stream(&tape));
    }

    #[test]
    fn any_bytes_at_all_do_no_harm(bytes in prop::collection::vec(any::<u8>(), 0..200)) {
        check(&bytes);
        // Views of what was never scanned say nothing sensible, but they return.
        if let Some(el) = super::El::parse(&bytes) {
            let _ = (super::oracle::tree(&el), el.closed().len());
        }
    }
}

#[test]
fn the_generator_is_accepted_often_enough_to_mean_something() {
    let mut accepted = 0;
    let mut seed = 1u32;
    for _ in 0..2000 {
        let tape: Vec<u8> = (0..200)
            .map(|_| {
                seed = seed.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
                (seed >> 24) as u8
            })
            .collect();
        accepted += check(&stream(&tape));
    }
    assert!(accepted > 200, "{accepted}");
}

#[test]
fn the_corpus_of_the_fuzz_target_is_read_the_same() {
    let folder = concat!(env!("CARGO_MANIFEST_DIR"), "/../../conformance/fuzz/corpus/scan");
    let mut files = 0;
    let mut accepted = 0;
    for file in std::fs::read_dir(folder).unwrap() {
        accepted += check(&std::fs::read(file.unwrap().path()).unwrap());
        files += 1;
    }
    assert!(files >= 40 && accepted >= 15, "{files} files, {accepted} stanzas");
}

/// The other direction, so that strictness does not refuse what clients really send: plain XML
/// that rxml accepts is accepted, apart from the listed differences.
#[test]
fn ordinary_xml_is_accepted() {
    for xml in [
        "<message to='a'><body>x</body></message>",
        "<iq type='get' id='1'><query xmlns='jabber:iq:roster'/></iq>",
        "<iq type=\"set\" id=\"bind_1\" ><bind xmlns=\"urn:ietf:params:xml:ns:xmpp-bind\" ><resource>x</resource></bind></iq>",
        "<presence><c xmlns='http://jabber.org/protocol/caps' ver='a+/='/></presence>",
        "<message><html xmlns='http://jabber.org/protocol/xhtml-im'><body xmlns='http://www.w3.org/1999/xhtml'>\
         <p style='color:red'>a <b>b</b> c&#160;</p></body></html></message>",
        "<p:x xmlns:p='urn:other'><p:y p:z='1' z='2'/></p:x>",
        "<stream:error><host-gone xmlns='urn:ietf:params:xml:ns:xmpp-streams'/></stream:error>",
    ] {
        let stream = [HEADER, xml].concat();
        assert_eq!(ours(stream.as_bytes(), &[stream.len()]).stanzas.len(), 1, "{xml}");
        assert!(theirs(stream.as_bytes(), 1, false).is_ok(), "{xml}");
        assert_eq!(check(xml.as_bytes()), 1, "{xml}");
    }
}
