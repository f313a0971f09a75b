//! What is remembered of a file, and what may be said of one.

use bytes::Bytes;
use iris_core::blobs::Content;
use iris_core::time::{datetime, parse_datetime};
use iris_core::xml::El;

use super::PURPOSE;

/// What a name may have; the extension is kept.
const NAME_BYTES_MAX: usize = 255;
const TYPE_BYTES_MAX: usize = 127;
pub const ANY_TYPE: &str = "application/octet-stream";

/// Section 4.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Purpose {
    Message,
    Profile,
    Ephemeral,
    Permanent,
}

impl Purpose {
    pub const ALL: [Purpose; 4] = [Purpose::Message, Purpose::Profile, Purpose::Ephemeral, Purpose::Permanent];

    pub const fn as_str(self) -> &'static str {
        match self {
            Purpose::Message => "message",
            Purpose::Profile => "profile",
            Purpose::Ephemeral => "ephemeral",
            Purpose::Permanent => "permanent",
        }
    }

    fn parse(text: &str) -> Option<Purpose> {
        Purpose::ALL.into_iter().find(|purpose| purpose.as_str() == text)
    }
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct File {
    /// One part of a path: no slash, no control character.
    pub name: String,
    /// Empty: nobody has said.
    pub content_type: String,
    pub size_bytes: u64,
    pub purpose: Purpose,
    /// Microseconds since 1970.
    pub time_us: u64,
    /// From then on nobody gets it; 0: never.
    pub expires_us: u64,
    /// What it holds, where the same bytes are stored once.
    pub content: Option<Content>,
}

impl File {
    pub fn is_over(&self, now_us: u64) -> bool {
        self.expires_us != 0 && self.expires_us <= now_us
    }

    pub fn content_type(&self) -> &str {
        if self.content_type.is_empty() { ANY_TYPE } else { &self.content_type }
    }

    /// Lines: no field can hold a line break.
    pub fn encode(&self) -> String {
        let File { name, content_type, size_bytes, purpose, time_us, expires_us, content } = self;
        let (version, content) = content.map_or(("1", String::new()), |content| ("2", format!("{content}\n")));
        let purpose = purpose.as_str();
        format!("{version}\n{size_bytes}\n{time_us}\n{expires_us}\n{purpose}\n{content}{content_type}\n{name}")
    }

    pub fn decode(text: &str) -> Option<File> {
        let (version, rest) = text.split_once('\n')?;
        let (lines, has_content) = match version {
            "1" => (6, false),
            "2" => (7, true),
            _ => return None,
        };
        let mut lines = rest.splitn(lines, '\n');
        Some(File {
            size_bytes: lines.next()?.parse().ok()?,
            time_us: lines.next()?.parse().ok()?,
            expires_us: lines.next()?.parse().ok()?,
            purpose: Purpose::parse(lines.next()?)?,
            content: if has_content { Some(Content::parse(lines.next()?)?) } else { None },
            content_type: lines.next()?.to_owned(),
            name: lines.next()?.to_owned(),
        })
    }

    pub fn read(value: &Bytes) -> Option<File> {
        File::decode(std::str::from_utf8(value).ok()?)
    }
}

/// What somebody asks a slot for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Wanted {
    pub name: String,
    pub content_type: String,
    pub size_bytes: u64,
    pub purpose: Purpose,
    /// Of an ephemeral one; 0: of another one.
    pub expire_before_us: u64,
}

impl Wanted {
    /// Section 3. The error is one sentence for whoever asks.
    pub fn read(request: &El<'_>) -> Result<Wanted, String> {
        let name = request.attr("filename").filter(|name| !name.is_empty()).ok_or("the request names no file (filename)")?;
        let size = request.attr("size").ok_or("the request says no size")?;
        // xs:positiveInteger, and what fits any disk.
        let size_bytes = size.trim().parse::<u64>().ok().filter(|size| (1..=i64::MAX as u64).contains(size));
        let size_bytes = size_bytes.ok_or("the size is no number of bytes")?;
        let content_type = request.attr("content-type").unwrap_or_default();
        let content_type = content_type.trim();
        if !content_type.is_empty() && !is_content_type(content_type) {
            return Err("the content-type is none".into());
        }
        let mut purposes = request.children().filter(|child| child.ns() == PURPOSE);
        let purpose = purposes.next();
        if purposes.next().is_some() {
            return Err("a file has one purpose".into());
        }
        let (purpose, expire_before_us) = match &purpose {
            None => (Purpose::Message, 0),
            Some(element) => {
                let purpose = Purpose::parse(element.local()).ok_or("that purpose is not known here")?;
                let until = match purpose {
                    Purpose::Ephemeral => {
                        let stamp = element.attr("expire-before").ok_or("an ephemeral file has an expire-before")?;
                        parse_datetime(stamp.trim()).ok_or("expire-before is no date and time")?
                    }
                    _ => 0,
                };
                (purpose, until)
            }
        };
        Ok(Wanted { name: name_of(&name), content_type: content_type.to_owned(), size_bytes, purpose, expire_before_us })
    }
}

/// The name of a file as it is kept: what stands behind the last slash, without anything that could end a header or a line, and
/// not longer than a file system's. What nothing is left of is `file`.
pub fn name_of(given: &str) -> String {
    let last = given.rsplit(['/', '\\']).find(|part| !part.is_empty()).unwrap_or_default();
    // Marks that turn the reading direction around make `gpj.exe` look like `exe.jpg`.
    let hidden = |c: char| {
        c.is_control()
            || matches!(c, '\u{200e}' | '\u{200f}' | '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}' | '\u{2028}' | '\u{2029}')
    };
    let clean: String = last.chars().filter(|c| !hidden(*c)).collect();
    let clean = clean.trim();
    if clean.is_empty() || clean.chars().all(|c| c == '.') {
        return "file".into();
    }
    if clean.len() <= NAME_BYTES_MAX {
        return clean.to_owned();
    }
    let extension = clean.rfind('.').map(|at| &clean[at..]).filter(|it| it.len() <= 16).unwrap_or_default();
    let mut end = NAME_BYTES_MAX - extension.len();
    while !clean.is_char_boundary(end) {
        end -= 1;
    }
    format!("{}{extension}", &clean[..end])
}

/// RFC 9110 8.3.1, as far as it can stand in a header.
pub fn is_content_type(text: &str) -> bool {
    let token = |text: &str| {
        let good = |b: u8| b.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(&b);
        !text.is_empty() && text.bytes().all(good)
    };
    let essence = text.split(';').next().unwrap_or_default().trim();
    let printable = text.bytes().all(|b| (b' '..=b'~').contains(&b));
    text.len() <= TYPE_BYTES_MAX && printable && essence.split_once('/').is_some_and(|(kind, sub)| token(kind) && token(sub))
}

/// Do these name the same type? Parameters (a charset) are not compared.
pub fn same_type(one: &str, other: &str) -> bool {
    let essence = |text: &str| text.split(';').next().unwrap_or_default().trim().to_ascii_lowercase();
    essence(one) == essence(other)
}

/// A name in a URL (RFC 3986 2.3: everything but the unreserved is encoded).
pub fn percent_encoded(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for byte in text.bytes() {
        match byte {
            b'A'..=b'Z' | b'a'..=b'z' | b'0'..=b'9' | b'-' | b'.' | b'_' | b'~' => out.push(char::from(byte)),
            byte => out.push_str(&format!("%{byte:02X}")),
        }
    }
    out
}

/// XEP-0082, for people and programs; nothing for "never".
pub fn stamp(us: u64) -> String {
    if us == 0 { String::new() } else { datetime(us - us % 1_000_000) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn d5_a_name_is_one_part_of_a_path_and_fits_a_header() {
        for (given, kept) in [
            ("très cool.jpg", "très cool.jpg"),
            ("../../etc/cron.d/x", "x"),
            ("..\\..\\boot.ini", "boot.ini"),
            ("a\r\nX: y", "aX: y"),
            ("%2e%2e%2f", "%2e%2e%2f"),
            ("..", "file"),
            ("/", "file"),
            ("", "file"),
            ("a/b/", "b"),
            ("photo\u{202e}gpj.exe", "photogpj.exe"),
        ] {
            assert_eq!(name_of(given), kept, "{given:?}");
        }
        let long = name_of(&format!("{}.jpeg", "é".repeat(300)));
        assert!(long.len() <= 255 && long.ends_with("é.jpeg"), "{long}");
        assert_eq!(name_of(&"x".repeat(300)).len(), 255);
    }

    #[test]
    fn a_content_type_is_one_or_is_refused() {
        for good in ["image/jpeg", "text/plain; charset=utf-8", "application/vnd.a+b"] {
            assert!(is_content_type(good), "{good}");
        }
        for bad in
            ["", "image", "image/", "/x", "a b/c", "text/html\r\nX: y", "é/x", "text /html", &format!("a/{}", "b".repeat(200))]
        {
            assert!(!is_content_type(bad), "{bad}");
        }
        assert!(same_type("Text/Plain; charset=utf-8", "text/plain"));
        assert!(!same_type("text/html", "text/plain"));
    }

    #[test]
    fn a_file_is_read_as_it_was_written() {
        let file = File {
            name: "a b.txt".into(),
            content_type: String::new(),
            size_bytes: u64::MAX,
            purpose: Purpose::Ephemeral,
            time_us: 7,
            expires_us: 8,
            content: None,
        };
        let once = File { content: Some(Content([0xab; 32])), ..file.clone() };
        for file in [&file, &once] {
            assert_eq!(File::decode(&file.encode()), Some(file.clone()));
        }
        assert!(!file.is_over(7) && file.is_over(8));
        for bad in [
            "",
            "1",
            "3\n1\n1\n1\nmessage\n\nx",
            "2\n1\n1\n1\nmessage\n\nx",
            "1\nx\n1\n1\nmessage\n\nx",
            "1\n1\n1\n1\nfun\n\nx",
        ] {
            assert_eq!(File::decode(bad), None, "{bad}");
        }
    }
}
