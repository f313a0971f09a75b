//! Reads a file of XEP-0227 as a stream: what is in memory at once is one child of one user, or one entry of an archive.
//!
//! XInclude (section "Use of XInclude"): an `<include/>` with a relative `href` and neither `parse` nor `xpointer` stands for the
//! root of that file, as a child of `<server-data/>`, `<host/>` or `<user/>`; deeper ones are the user's own data.

use std::collections::VecDeque;
use std::fs::File;
use std::io::{self, BufRead, BufReader, Read};
use std::path::{Component, Path, PathBuf};

use rxml::{AttrMap, Event, GenericReader, Namespace, WithOptions};

use iris_core::ns;
use iris_core::xml::{escape_attr, escape_text};
use iris_xep::xep0227_portable::{NS, NS_MAM};

const XINCLUDE: &str = "http://www.w3.org/2001/XInclude";
const MAM: &str = "urn:xmpp:mam:2";
/// Files within files.
const DEPTH_MAX: usize = 4;
const DOCTYPE: &[u8] = b"<!DOCTYPE";
/// An attribute or a piece of text.
const TOKEN_BYTES_MAX: usize = 256 * 1024;
/// XML declaration and comments before the root element.
const PROLOG_BYTES_MAX: u64 = 16 * 1024;
/// One child of a user: a vCard with a picture, a roster. What is larger is left out.
pub(super) const CHILD_BYTES_MAX: usize = 8 * 1024 * 1024;
/// Elements within elements of one child.
const CHILD_DEPTH_MAX: usize = 64;

/// Where something stands.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Place {
    pub file: PathBuf,
    pub line: u64,
}

impl std::fmt::Display for Place {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}:{}", self.file.display(), self.line)
    }
}

/// Not `Debug`: passwords have no place in a log.
pub(super) enum Piece {
    User {
        host: String,
        name: String,
        password: Option<String>,
    },
    /// A complete element inside the user; of an archive each `<result/>`.
    Child(String),
    UserEnd,
    /// Something was left out.
    Note(String),
}

/// Gives each piece to `sink`, in the order of the file.
///
/// # Errors
/// The file cannot be read on: where, and why.
pub(super) fn read(file: &Path, sink: &mut dyn FnMut(&Place, Piece)) -> Result<(), String> {
    Reading { sink, host: None }.file(file, Level::Top, 0)
}

/// What the children of an element mean.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Level {
    Top,
    Server,
    Host,
    User,
}

struct Reading<'a> {
    sink: &'a mut dyn FnMut(&Place, Piece),
    host: Option<String>,
}

impl Reading<'_> {
    fn file(&mut self, path: &Path, level: Level, depth: usize) -> Result<(), String> {
        let input: Box<dyn Read> = match path == Path::new("-") {
            true => Box::new(io::stdin().lock()),
            false => Box::new(File::open(path).map_err(|error| format!("cannot read {}: {error}", path.display()))?),
        };
        let mut source = Source::new(path, input)?;
        let Some(Token::Start(ns, name, attributes)) = source.next()? else {
            return Err(format!("{}: there is no XML element", source.place()));
        };
        self.element(&mut source, level, depth, (&ns, &name, &attributes))?;
        match source.next()? {
            None => Ok(()),
            Some(_) => Err(format!("{}: something follows the root element", source.place())),
        }
    }

    /// One element in the place of a child of `level`; its start has been read.
    fn element(
        &mut self,
        source: &mut Source,
        level: Level,
        depth: usize,
        (ns, name, attributes): (&str, &str, &AttrMap),
    ) -> Result<(), String> {
        let place = source.place();
        let wanted = |attribute: &str| -> Result<String, String> {
            let value = attributes.get(&Namespace::NONE, attribute).filter(|value| !value.is_empty());
            value.cloned().ok_or_else(|| format!("{place}: <{name}/> needs the attribute {attribute}"))
        };
        match (level, ns, name) {
            (Level::Top, NS, "server-data") => self.children(source, Level::Server, depth),
            (Level::Top | Level::Server, NS, "host") => {
                self.host = Some(wanted("jid")?);
                self.children(source, Level::Host, depth)?;
                self.host = None;
                Ok(())
            }
            (Level::Host, NS, "user") => {
                let host = self.host.clone().unwrap_or_default();
                let password = attributes.get(&Namespace::NONE, "password").cloned();
                (self.sink)(&place, Piece::User { host, name: wanted("name")?, password });
                self.children(source, Level::User, depth)?;
                (self.sink)(&source.place(), Piece::UserEnd);
                Ok(())
            }
            (Level::Server | Level::Host | Level::User, XINCLUDE, "include") => {
                let other = ["parse", "xpointer"].iter().find(|it| attributes.get(&Namespace::NONE, **it).is_some());
                if let Some(other) = other {
                    return Err(format!("{place}: an include with the attribute {other} is not supported"));
                }
                let file = included(source.path(), &wanted("href")?).map_err(|why| format!("{place}: {why}"))?;
                source.skip()?;
                if depth >= DEPTH_MAX {
                    return Err(format!("{place}: files are included {DEPTH_MAX} deep at most"));
                }
                self.file(&file, level, depth + 1).map_err(|why| format!("{why}\n  included at {place}"))
            }
            (Level::User, NS_MAM, "archive") => self.archive(source),
            (Level::User, ..) => self.whole(source, (ns, name, attributes)),
            (Level::Top, ..) => {
                Err(format!("{place}: expected <server-data xmlns='{NS}'/> (XEP-0227), found <{name} xmlns='{ns}'/>"))
            }
            _ => {
                source.skip()?;
                (self.sink)(&place, Piece::Note(format!("<{name} xmlns='{ns}'/> is not known here and was left out")));
                Ok(())
            }
        }
    }

    fn children(&mut self, source: &mut Source, level: Level, depth: usize) -> Result<(), String> {
        loop {
            match source.next()? {
                Some(Token::Start(ns, name, attributes)) => {
                    self.element(source, level, depth, (&ns, &name, &attributes))?;
                }
                Some(Token::Text(text)) if text.trim().is_empty() => {}
                Some(Token::Text(_)) => (self.sink)(&source.place(), Piece::Note("text was left out".to_owned())),
                Some(Token::End) => return Ok(()),
                None => return Err(format!("{}: the file ends too early", source.place())),
            }
        }
    }

    fn archive(&mut self, source: &mut Source) -> Result<(), String> {
        loop {
            match source.next()? {
                Some(Token::Start(ns, name, attributes)) if ns == MAM && name == "result" => {
                    self.whole(source, (&ns, &name, &attributes))?;
                }
                Some(Token::Start(ns, name, _)) => {
                    let place = source.place();
                    source.skip()?;
                    let note = format!("<{name} xmlns='{ns}'/> in an archive was left out");
                    (self.sink)(&place, Piece::Note(note));
                }
                Some(Token::Text(_)) => {}
                Some(Token::End) => return Ok(()),
                None => return Err(format!("{}: the file ends too early", source.place())),
            }
        }
    }

    fn whole(&mut self, source: &mut Source, start: (&str, &str, &AttrMap)) -> Result<(), String> {
        let place = source.place();
        let piece = match source.serialise(start)? {
            Some(xml) => Piece::Child(xml),
            None => {
                let mib = CHILD_BYTES_MAX / 1024 / 1024;
                Piece::Note(format!("<{}/> is larger than {mib} MiB or too deep and was left out", start.1))
            }
        };
        (self.sink)(&place, piece);
        Ok(())
    }
}

/// RFC 3986: a relative reference, below or beside the file that has it.
fn included(file: &Path, href: &str) -> Result<PathBuf, String> {
    let scheme = href.split(['/', '?', '#']).next().is_some_and(|first| first.contains(':'));
    if scheme || href.starts_with('/') || href.contains(['?', '#']) {
        return Err(format!("href={href:?} is not the relative path of a file"));
    }
    let mut bytes = Vec::new();
    let mut rest = href.bytes();
    while let Some(byte) = rest.next() {
        if byte != b'%' {
            bytes.push(byte);
            continue;
        }
        let hex = [rest.next(), rest.next()].map(|digit| digit.and_then(|digit| char::from(digit).to_digit(16)));
        let [Some(high), Some(low)] = hex else { return Err(format!("href={href:?}: a % needs two digits")) };
        bytes.push((high * 16 + low) as u8);
    }
    let path = String::from_utf8(bytes).map_err(|_| format!("href={href:?} is not UTF-8"))?;
    // A file from elsewhere could have any file of this machine read into an account.
    if !Path::new(&path).components().all(|part| matches!(part, Component::Normal(_) | Component::CurDir)) {
        return Err(format!("href={href:?} leads out of the folder"));
    }
    Ok(file.parent().unwrap_or(Path::new("")).join(path))
}

enum Token {
    Start(String, String, AttrMap),
    Text(String),
    End,
}

/// One file, as tokens with their lines.
struct Source {
    path: PathBuf,
    reader: GenericReader<Counting, rxml::Parser>,
    waiting: VecDeque<Token>,
}

/// Counts lines as they are consumed.
struct Counting {
    inner: BufReader<Box<dyn Read>>,
    line: u64,
}

impl Read for Counting {
    fn read(&mut self, into: &mut [u8]) -> io::Result<usize> {
        let size = self.inner.read(into)?;
        self.line += newlines(into.get(..size).unwrap_or_default());
        Ok(size)
    }
}

impl BufRead for Counting {
    fn fill_buf(&mut self) -> io::Result<&[u8]> {
        self.inner.fill_buf()
    }

    fn consume(&mut self, amount: usize) {
        self.line += newlines(self.inner.buffer().get(..amount).unwrap_or_default());
        self.inner.consume(amount);
    }
}

fn newlines(bytes: &[u8]) -> u64 {
    bytes.iter().filter(|byte| **byte == b'\n').count() as u64
}

/// XML 1.0 2.8: declaration, comments and white space before the root element, which rxml does not take in all combinations. With the
/// line on which the rest begins. A DOCTYPE stays.
fn behind_prolog(mut input: Box<dyn Read>) -> io::Result<(u64, Box<dyn Read>)> {
    let mut head = Vec::new();
    input.by_ref().take(PROLOG_BYTES_MAX).read_to_end(&mut head)?;
    let mut rest = head.strip_prefix(b"\xef\xbb\xbf").unwrap_or(&head);
    loop {
        rest = rest.trim_ascii_start();
        let end: &[u8] = match rest {
            [b'<', b'?', ..] => b"?>",
            [b'<', b'!', b'-', b'-', ..] => b"-->",
            _ => break,
        };
        let Some(at) = rest.windows(end.len()).position(|window| window == end) else { break };
        rest = rest.get(at + end.len()..).unwrap_or_default();
    }
    let skipped = head.len() - rest.len();
    let line = 1 + newlines(head.get(..skipped).unwrap_or_default());
    head.drain(..skipped);
    Ok((line, Box::new(io::Cursor::new(head).chain(input))))
}

impl Source {
    fn new(path: &Path, input: Box<dyn Read>) -> Result<Source, String> {
        let options = rxml::Options {
            max_token_length: TOKEN_BYTES_MAX,
            comments: rxml::parser::CommentMode::Discard,
            ..rxml::Options::default()
        };
        let cannot = |error: io::Error| format!("cannot read {}: {error}", path.display());
        let (line, mut input) = behind_prolog(input).map_err(cannot)?;
        let mut begin = Vec::new();
        input.by_ref().take(DOCTYPE.len() as u64).read_to_end(&mut begin).map_err(cannot)?;
        // Entities could grow without bound or bring in other files; no export needs one.
        if begin == DOCTYPE {
            return Err(format!("{}:{line}: a DOCTYPE is not allowed. Remove it, and write out its entities", path.display()));
        }
        let input: Box<dyn Read> = Box::new(io::Cursor::new(begin).chain(input));
        let counting = Counting { inner: BufReader::with_capacity(64 * 1024, input), line };
        let reader = GenericReader::wrap(counting, rxml::Parser::with_options(options));
        Ok(Source { path: path.to_owned(), reader, waiting: VecDeque::new() })
    }

    fn path(&self) -> &Path {
        &self.path
    }

    fn place(&self) -> Place {
        Place { file: self.path.clone(), line: self.reader.inner().line }
    }

    fn next(&mut self) -> Result<Option<Token>, String> {
        loop {
            if let Some(token) = self.waiting.pop_front() {
                return Ok(Some(token));
            }
            let event = self.reader.read().map_err(|error| format!("{}: not XML: {error}", self.place()))?;
            self.waiting.push_back(match event {
                None => return Ok(None),
                Some(Event::XmlDeclaration(..)) => continue,
                Some(Event::StartElement(_, (ns, name), attributes)) => {
                    Token::Start(ns.as_str().to_owned(), name.to_string(), attributes)
                }
                Some(Event::Text(_, text)) => Token::Text(text),
                Some(Event::EndElement(_)) => Token::End,
            });
        }
    }

    /// The rest of the element whose start has been read.
    fn skip(&mut self) -> Result<(), String> {
        let mut depth = 1usize;
        while depth > 0 {
            match self.next()? {
                Some(Token::Start(..)) => depth += 1,
                Some(Token::End) => depth -= 1,
                Some(Token::Text(_)) => {}
                None => return Err(format!("{}: the file ends too early", self.place())),
            }
        }
        Ok(())
    }

    /// The element whose start has been read, as a document of its own. `None`: it is too large or too deep.
    fn serialise(&mut self, (ns, name, attributes): (&str, &str, &AttrMap)) -> Result<Option<String>, String> {
        let mut out = Writer::default();
        out.start(ns, name, attributes);
        while !out.open.is_empty() {
            if out.xml.len() > CHILD_BYTES_MAX || out.open.len() > CHILD_DEPTH_MAX {
                for _ in 0..out.open.len() {
                    self.skip()?;
                }
                return Ok(None);
            }
            match self.next()? {
                Some(Token::Start(ns, name, attributes)) => out.start(&ns, &name, &attributes),
                Some(Token::Text(text)) => out.text(&text),
                Some(Token::End) => out.end(),
                None => return Err(format!("{}: the file ends too early", self.place())),
            }
        }
        Ok(Some(out.xml))
    }
}

/// Elements without prefixes: each declares its namespace where it differs from that of its parent.
#[derive(Default)]
struct Writer {
    xml: String,
    open: Vec<(String, String)>,
    /// The last start tag is not closed: it may be empty.
    pending: bool,
}

impl Writer {
    fn start(&mut self, ns: &str, name: &str, attributes: &AttrMap) {
        self.close_tag();
        // Prosody (0.12) forgets the namespace of stanzas, so that they seem to be of the file's.
        let within = self.open.last().is_some_and(|(above, _)| above == ns::CLIENT);
        let ns = if ns == NS && (within || matches!(name, "message" | "presence")) { ns::CLIENT } else { ns };
        self.xml.push('<');
        self.xml.push_str(name);
        if self.open.last().is_none_or(|(above, _)| above != ns) {
            self.attribute("xmlns", ns);
        }
        for (number, ((of, name), value)) in attributes.iter().enumerate() {
            match of.as_str() {
                "" => self.attribute(name, value),
                "http://www.w3.org/XML/1998/namespace" => self.attribute(&format!("xml:{name}"), value),
                of => {
                    self.attribute(&format!("xmlns:a{number}"), of);
                    self.attribute(&format!("a{number}:{name}"), value);
                }
            }
        }
        self.open.push((ns.to_owned(), name.to_owned()));
        self.pending = true;
    }

    fn attribute(&mut self, name: &str, value: &str) {
        self.xml.push(' ');
        self.xml.push_str(name);
        self.xml.push_str("='");
        self.xml.push_str(&escape_attr(value));
        self.xml.push('\'');
    }

    fn close_tag(&mut self) {
        if std::mem::take(&mut self.pending) {
            self.xml.push('>');
        }
    }

    fn text(&mut self, text: &str) {
        if !text.is_empty() {
            self.close_tag();
            self.xml.push_str(&escape_text(text));
        }
    }

    fn end(&mut self) {
        let Some((_, name)) = self.open.pop() else { return };
        if std::mem::take(&mut self.pending) {
            self.xml.push_str("/>");
        } else {
            self.xml.push_str("</");
            self.xml.push_str(&name);
            self.xml.push('>');
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn pieces(folder: &Path, text: &str) -> Result<Vec<String>, String> {
        let file = folder.join("main.xml");
        std::fs::write(&file, text).expect("a file");
        let mut all = Vec::new();
        read(&file, &mut |place, piece| {
            all.push(match piece {
                Piece::User { host, name, password } => format!("{}: {name}@{host} {password:?}", place.line),
                Piece::Child(xml) => xml,
                Piece::UserEnd => "end".to_owned(),
                Piece::Note(note) => format!("{}: note {note}", place.line),
            });
        })?;
        Ok(all)
    }

    #[test]
    fn a_file_is_read_user_by_user_and_child_by_child() {
        let folder = tempfile::tempdir().expect("a folder");
        let text = "<?xml version='1.0' encoding='UTF-8'?>\n<!-- made by hand -->\n<p:server-data xmlns:p='urn:xmpp:pie:0'>\n\
            <p:host jid='capulet.com'>\n<p:user name='juliet' password='R0m30'>\
            <x:vCard xmlns:x='vcard-temp' xml:lang='en'><x:FN>J &amp; <![CDATA[<R>]]></x:FN><x:N/></x:vCard>\
            <archive xmlns='urn:xmpp:pie:0#mam'> <result xmlns='urn:xmpp:mam:2' id='1'/><other/></archive></p:user>\n\
            <strange xmlns='x'/></p:host></p:server-data>\n";
        assert_eq!(
            pieces(folder.path(), text),
            Ok(vec![
                "5: juliet@capulet.com Some(\"R0m30\")".to_owned(),
                "<vCard xmlns='vcard-temp' xml:lang='en'><FN>J &amp; &lt;R&gt;</FN><N/></vCard>".to_owned(),
                "<result xmlns='urn:xmpp:mam:2' id='1'/>".to_owned(),
                "5: note <other xmlns='urn:xmpp:pie:0#mam'/> in an archive was left out".to_owned(),
                "end".to_owned(),
                "6: note <strange xmlns='x'/> is not known here and was left out".to_owned(),
            ])
        );
    }

    /// As mod_storage_xep0227 of Prosody 0.12 writes it.
    #[test]
    fn stanzas_without_their_namespace_are_those_of_clients() {
        let folder = tempfile::tempdir().expect("a folder");
        let text = "<server-data xmlns='urn:xmpp:pie:0'><host jid='localhost'><user name='juliet'>\
            <presence from='mercutio@localhost' type='subscribe'/>\
            <offline-messages><message from='a@b'><body>x</body></message></offline-messages></user></host></server-data>";
        let all = pieces(folder.path(), text).expect("readable");
        assert_eq!(all[1], "<presence xmlns='jabber:client' from='mercutio@localhost' type='subscribe'/>");
        let offline = "<offline-messages xmlns='urn:xmpp:pie:0'><message xmlns='jabber:client' from='a@b'><body>x</body>\
                       </message></offline-messages>";
        assert_eq!(all[2], offline);
    }

    #[test]
    fn xinclude_leads_to_no_file_outside_of_the_folder() {
        for href in ["../hosts.xml", "a/../../hosts.xml", "%2e%2e/hosts.xml", "/etc/passwd", "file:///etc/passwd"] {
            assert!(included(Path::new("/export/all.xml"), href).is_err(), "{href}");
        }
        assert_eq!(included(Path::new("/export/all.xml"), "./a/b.xml"), Ok(PathBuf::from("/export/./a/b.xml")));
    }

    #[test]
    fn xinclude_stands_for_files_of_hosts_users_and_children() {
        let folder = tempfile::tempdir().expect("a folder");
        let write = |name: &str, text: &str| {
            let path = folder.path().join(name);
            std::fs::create_dir_all(path.parent().expect("a folder")).expect("a folder");
            std::fs::write(path, text).expect("a file");
        };
        let xi = "xmlns:xi='http://www.w3.org/2001/XInclude'";
        let main = format!("<server-data xmlns='urn:xmpp:pie:0' {xi}><xi:include href='capulet.com.xml'/></server-data>");
        write(
            "capulet.com.xml",
            &format!(
                "<host xmlns='urn:xmpp:pie:0' {xi} jid='capulet.com'><xi:include href='capulet.com/jul%69et.xml'/></host>"
            ),
        );
        write(
            "capulet.com/juliet.xml",
            &format!(
                "<user xmlns='urn:xmpp:pie:0' {xi} name='juliet'><xi:include href='card.xml'/>\
             <query xmlns='jabber:iq:private'><xi:include href='/etc/passwd'/></query></user>"
            ),
        );
        write("circle.xml", &format!("<xi:include {xi} href='circle.xml'/>"));
        write("capulet.com/card.xml", "<vCard xmlns='vcard-temp'/>");
        let all = pieces(folder.path(), &main).expect("readable");
        assert_eq!(all[..2], ["1: juliet@capulet.com None".to_owned(), "<vCard xmlns='vcard-temp'/>".to_owned()]);
        // Not a child of <user/>: the user's own data.
        assert!(all[2].contains("<include xmlns='http://www.w3.org/2001/XInclude' href='/etc/passwd'/>"), "{all:?}");
        for (href, why) in [
            ("/etc/passwd", "relative"),
            ("http://example.org/x", "relative"),
            ("missing.xml", "cannot read"),
            ("circle.xml", "deep"),
            ("%zz", "two digits"),
        ] {
            let bad = format!("<server-data xmlns='urn:xmpp:pie:0' {xi}><xi:include href='{href}'/></server-data>");
            let said = pieces(folder.path(), &bad).expect_err(href);
            assert!(said.contains(why), "{href}: {said}");
        }
    }

    #[test]
    fn what_is_no_such_file_is_refused_with_its_line() {
        let folder = tempfile::tempdir().expect("a folder");
        let said = |text: &str| pieces(folder.path(), text).expect_err("refused");
        assert!(said("").contains("there is no XML element") || said("").contains(":1: not XML"), "{}", said(""));
        assert!(said("<a/>").contains("main.xml:1: expected <server-data"));
        assert!(said("<server-data xmlns='urn:xmpp:pie:0'>\n<host/>").contains(":2: <host/> needs the attribute jid"));
        let cut = said("<server-data xmlns='urn:xmpp:pie:0'>\n<host jid='a'>\n<user name='b'><x>");
        assert!(cut.contains("main.xml:3: "), "{cut}");
        let doctype = said("<?xml version='1.0'?>\n<!DOCTYPE x [<!ENTITY a 'aaaa'>]><x>&a;</x>");
        assert!(doctype.contains("main.xml:2: a DOCTYPE is not allowed"), "{doctype}");
        // A child that is too deep is left out, and the file goes on.
        let deep = format!("{}{}", "<a>".repeat(100), "</a>".repeat(100));
        let text =
            format!("<host xmlns='urn:xmpp:pie:0' jid='a'><user name='b'><a xmlns='x'>{deep}</a><b xmlns='x'/></user></host>");
        let all = pieces(folder.path(), &text).expect("readable");
        assert!(all[1].contains("too deep") && all[2] == "<b xmlns='x'/>", "{all:?}");
    }
}
