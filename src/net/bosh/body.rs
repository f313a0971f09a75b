//! One `<body/>` of a client (XEP-0124 4, XEP-0206).

use std::borrow::Cow;
use std::sync::Arc;

use iris_core::Stanza;
use iris_core::ns;
use iris_core::xml::limits::XmlLimits;
use iris_core::xml::names::NameTable;
use iris_core::xml::scan::{Scanned, Scanner};
use iris_core::xml::stanza::Child;

/// "9007199254740991 is 2^53-1" (XEP-0124 14.1).
const RID_MAX: u64 = (1 << 53) - 1;

/// What is wrong with it: `bad-request`.
#[derive(Debug, PartialEq, Eq)]
pub struct Bad;

#[derive(Debug, Default, PartialEq, Eq)]
pub struct Body {
    pub rid: u64,
    /// `None`: a new session is asked for.
    pub sid: Option<String>,
    pub to: Option<String>,
    pub lang: Option<String>,
    /// Of BOSH; without it the client is of a time when errors were HTTP's.
    pub ver: Option<(u32, u32)>,
    /// Of XMPP.
    pub version: Option<String>,
    pub wait_seconds: Option<u64>,
    pub hold: Option<u64>,
    pub ack: Option<u64>,
    pub content: Option<String>,
    pub pause_seconds: Option<u64>,
    /// The next one of a sequence of keys, and the first of a new sequence (XEP-0124 15).
    pub key: Option<String>,
    pub new_key: Option<String>,
    pub restart: bool,
    pub terminate: bool,
    /// Elements, each standing alone, one behind the other.
    pub payloads: Vec<u8>,
}

impl Body {
    /// Nothing but a question whether there is something.
    pub fn is_poll(&self) -> bool {
        self.payloads.is_empty() && !self.restart && !self.terminate && self.pause_seconds.is_none()
    }
}

/// Reads one. Its size has been capped by whoever received it; here depth, elements and all the rest.
pub fn parse(bytes: &[u8], limits: XmlLimits, names: &Arc<NameTable>) -> Result<Body, Bad> {
    let mut scanner = Scanner::for_fragments(XmlLimits { stanza_size_bytes_max: bytes.len().max(1), ..limits }, names.clone());
    let text = bytes.trim_ascii();
    let Ok(Scanned::Stanza { consumed, stanza }) = scanner.scan(text) else { return Err(Bad) };
    if consumed != text.len() || !stanza.is(ns::HTTP_BIND, "body") || !stanza.text().trim().is_empty() {
        return Err(Bad);
    }
    let text = |name: &str| stanza.attr(name).map(Cow::into_owned);
    let number = |name: &str| match stanza.attr(name) {
        None => Ok(None),
        Some(value) => value.trim().parse::<u64>().map(Some).map_err(|_| Bad),
    };
    let el = stanza.el();
    let xbosh = |name: &str| el.attr_ns(ns::XBOSH, name).map(Cow::into_owned);
    let rid = number("rid")?.filter(|rid| (1..=RID_MAX).contains(rid)).ok_or(Bad)?;
    let ver = match text("ver") {
        None => None,
        Some(ver) => {
            let (major, minor) = ver.split_once('.').ok_or(Bad)?;
            Some((major.parse().map_err(|_| Bad)?, minor.parse().map_err(|_| Bad)?))
        }
    };
    let terminate = match text("type").as_deref() {
        None => false,
        Some("terminate") => true,
        Some(_) => return Err(Bad),
    };
    let new_key = text("newkey");
    // What is no SHA-1 in hexadecimal is the hash of nothing that could follow.
    if new_key.as_ref().is_some_and(|key| key.len() != 40 || !key.bytes().all(|digit| digit.is_ascii_hexdigit())) {
        return Err(Bad);
    }
    let restart = matches!(xbosh("restart").as_deref(), Some("true" | "1"));
    let mut payloads = Vec::new();
    // XEP-0206 5: what comes along with a restart is ignored.
    for child in stanza.children().iter().filter(|_| !restart) {
        payloads.extend_from_slice(&payload(&stanza, child));
    }
    Ok(Body {
        rid,
        sid: text("sid"),
        to: text("to"),
        lang: stanza.lang().map(Cow::into_owned),
        ver,
        version: xbosh("version"),
        wait_seconds: number("wait")?,
        hold: number("hold")?,
        ack: number("ack")?,
        content: text("content"),
        pause_seconds: number("pause")?,
        key: text("key"),
        new_key,
        restart,
        terminate,
        payloads,
    })
}

/// A child as a document of its own. XEP-0206 2: many clients leave out the namespace of stanzas and mean `jabber:client`.
fn payload<'s>(body: &'s Stanza, child: &Child) -> Cow<'s, [u8]> {
    let closed = body.closed(child);
    let is_stanza = matches!(body.child_local(child), "message" | "presence" | "iq") && body.child_ns(child) == ns::HTTP_BIND;
    if !is_stanza {
        return closed;
    }
    let text = String::from_utf8_lossy(&closed);
    let declared = format!(" xmlns='{}'", ns::HTTP_BIND);
    Cow::Owned(text.replacen(&declared, &format!(" xmlns='{}'", ns::CLIENT), 1).into_bytes())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(xml: &str) -> Result<Body, Bad> {
        parse(xml.as_bytes(), XmlLimits::C2S, &Arc::new(NameTable::new()))
    }

    const NS: &str = "xmlns='http://jabber.org/protocol/httpbind' xmlns:xmpp='urn:xmpp:xbosh'";

    #[test]
    fn s7_1_a_session_request_says_what_the_client_can() {
        let body = read(&format!(
            "<body content='text/xml; charset=utf-8' hold='1' rid='1573741820' to='a.example' ver='1.11' wait='60' ack='1' \
             xml:lang='en' xmpp:version='1.0' {NS}/>"
        ))
        .expect("a body");
        assert_eq!((body.rid, body.hold, body.wait_seconds, body.ack), (1_573_741_820, Some(1), Some(60), Some(1)));
        assert_eq!((body.ver, body.version.as_deref(), body.to.as_deref()), (Some((1, 11)), Some("1.0"), Some("a.example")));
        assert!(body.sid.is_none() && body.is_poll() && body.lang.as_deref() == Some("en"));
    }

    #[test]
    fn xep0206_s2_payloads_stand_alone_and_stanzas_without_a_namespace_are_of_the_client() {
        let body = read(&format!(
            "<body rid='2' sid='s' {NS}><message to='a'><body>x</body></message><iq xmlns='jabber:client'/>\
             <auth xmlns='urn:ietf:params:xml:ns:xmpp-sasl'>eA==</auth></body>"
        ))
        .expect("a body");
        assert_eq!(
            String::from_utf8_lossy(&body.payloads),
            "<message xmlns='jabber:client' to='a'><body>x</body></message><iq xmlns='jabber:client'/>\
             <auth xmlns='urn:ietf:params:xml:ns:xmpp-sasl'>eA==</auth>"
        );
        assert!(!body.is_poll());
        let restart = read(&format!("<body rid='2' sid='s' xmpp:restart='true' {NS}><presence/></body>")).expect("a body");
        assert!(restart.restart && restart.payloads.is_empty());
    }

    #[test]
    fn s4_what_is_no_body_is_refused() {
        for wrong in [
            String::new(),
            "<body rid='1'/>".into(),
            format!("<html {NS} rid='1'/>"),
            format!("<body {NS}/>"),
            format!("<body {NS} rid='0'/>"),
            format!("<body {NS} rid='-1'/>"),
            format!("<body {NS} rid='9007199254740992'/>"),
            format!("<body {NS} rid='1' wait='soon'/>"),
            format!("<body {NS} rid='1' hold='99999999999999999999'/>"),
            format!("<body {NS} rid='1' type='error'/>"),
            format!("<body {NS} rid='1' newkey='ca393b51'/>"),
            format!("<body {NS} rid='1' newkey='zz393b51b682f61f98e7877d61146407f3d0a770'/>"),
            format!("<body {NS} rid='1'>text</body>"),
            format!("<body {NS} rid='1'><!-- comment --></body>"),
            format!("<body {NS} rid='1'><?pi?></body>"),
            format!("<!DOCTYPE a [<!ENTITY b 'c'>]><body {NS} rid='1'/>"),
            format!("<body {NS} rid='1'/><body {NS} rid='1'/>"),
            format!("<body {NS} rid='1'><message></body>"),
            format!("<body {NS} rid='1' xmpp:restart='true'"),
        ] {
            assert_eq!(read(&wrong), Err(Bad), "{wrong}");
        }
    }

    #[test]
    fn the_corpus_of_the_fuzz_target_never_gives_more_than_came() {
        let folder = concat!(env!("CARGO_MANIFEST_DIR"), "/../../conformance/fuzz/corpus/bosh");
        let (mut read, mut replayed) = (0, 0);
        for entry in std::fs::read_dir(folder).expect("the corpus") {
            let bytes = std::fs::read(entry.expect("an entry").path()).expect("a file");
            read += usize::from(check(&bytes));
            replayed += 1;
        }
        assert!(replayed >= 10 && read >= 4, "{replayed} files, {read} bodies");
    }

    /// Every payload that comes out is a document of its own.
    fn check(bytes: &[u8]) -> bool {
        let names = Arc::new(NameTable::new());
        let Ok(body) = parse(bytes, XmlLimits::C2S, &names) else { return false };
        let mut scanner = Scanner::for_fragments(XmlLimits::OWN, names);
        let mut at = 0;
        while at < body.payloads.len() {
            let Ok(Scanned::Stanza { consumed, stanza }) = scanner.scan(&body.payloads[at..]) else {
                panic!("no element: {}", String::from_utf8_lossy(&body.payloads[at..]))
            };
            assert!(!stanza.name().1.is_empty());
            at += consumed;
        }
        true
    }
}
