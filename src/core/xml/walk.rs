//! Tags and attributes of bytes the scanner has already passed. Lenient, cheap, never panics: on
//! anything else it stops early.

/// A tag in checked text.
#[derive(Clone, Copy, Debug)]
pub(super) enum Tag<'a> {
    /// `<name …>` or `<name …/>`: the whole tag, and whether it is the latter.
    Start(&'a str, bool),
    /// `</name>`
    End,
}

/// The tags of a piece of text in order, with the position of each: start and end.
pub(super) struct Tags<'a> {
    text: &'a str,
    at: usize,
}

impl<'a> Tags<'a> {
    pub(super) fn new(text: &'a str) -> Self {
        Self { text, at: 0 }
    }
}

impl<'a> Iterator for Tags<'a> {
    type Item = (usize, usize, Tag<'a>);

    fn next(&mut self) -> Option<Self::Item> {
        loop {
            let start = self.at + memchr::memchr(b'<', self.text.as_bytes().get(self.at..)?)?;
            let rest = self.text.get(start..)?;
            if rest.starts_with("<![CDATA[") {
                self.at = start + rest.find("]]>")? + 3;
                continue;
            }
            let len = tag_len(rest)?;
            let whole = rest.get(..len)?;
            self.at = start + len;
            let tag = if whole.starts_with("</") { Tag::End } else { Tag::Start(whole, whole.ends_with("/>")) };
            return Some((start, self.at, tag));
        }
    }
}

/// Length of the tag a text begins with; `>` may stand in quoted values.
fn tag_len(text: &str) -> Option<usize> {
    let b = text.as_bytes();
    let mut at = 0;
    loop {
        let hit = at + memchr::memchr3(b'>', b'"', b'\'', b.get(at..)?)?;
        let &c = b.get(hit)?;
        if c == b'>' {
            return Some(hit + 1);
        }
        at = hit + 1 + memchr::memchr(c, b.get(hit + 1..)?)? + 1;
    }
}

/// The qualified name in a start tag.
pub(super) fn name(tag: &str) -> &str {
    let rest = tag.strip_prefix('<').unwrap_or(tag);
    let end = rest.bytes().position(|c| matches!(c, b' ' | b'\t' | b'\n' | b'\r' | b'/' | b'>')).unwrap_or(rest.len());
    rest.get(..end).unwrap_or_default()
}

/// Prefix (empty if none) and local part.
pub(super) fn split(name: &str) -> (&str, &str) {
    name.bytes().position(|c| c == b':').and_then(|at| Some((name.get(..at)?, name.get(at + 1..)?))).unwrap_or(("", name))
}

/// An attribute as written.
#[derive(Clone, Copy, Debug)]
pub(super) struct Attribute<'a> {
    /// Qualified name.
    pub(super) name: &'a str,
    /// Value, still escaped.
    pub(super) value: &'a str,
    /// `name='value'`
    pub(super) whole: &'a str,
}

impl<'a> Attribute<'a> {
    /// If it is a namespace declaration: the prefix, empty for the default namespace.
    pub(super) fn declares(&self) -> Option<&'a str> {
        if self.name == "xmlns" { Some("") } else { self.name.strip_prefix("xmlns:") }
    }
}

/// The attributes of a start tag in order, declarations included.
pub(super) fn attributes(tag: &str) -> Attributes<'_> {
    Attributes { rest: tag.get(1 + name(tag).len()..).unwrap_or_default() }
}

pub(super) struct Attributes<'a> {
    rest: &'a str,
}

impl<'a> Iterator for Attributes<'a> {
    type Item = Attribute<'a>;

    fn next(&mut self) -> Option<Attribute<'a>> {
        let (text, bytes) = (self.rest, self.rest.as_bytes());
        let start = behind_space(bytes, 0)?;
        // A name is short: whatever looks for `=` in strides would look for longer.
        let equals = start + bytes.get(start..)?.iter().position(|c| *c == b'=')?;
        let name = text.get(start..equals)?.trim_ascii_end();
        let open = behind_space(bytes, equals + 1)?;
        let quote = *bytes.get(open)?;
        if quote != b'"' && quote != b'\'' {
            return None;
        }
        let end = open + 1 + memchr::memchr(quote, bytes.get(open + 1..)?)?;
        self.rest = text.get(end + 1..)?;
        Some(Attribute { name, value: text.get(open + 1..end)?, whole: text.get(start..=end)? })
    }
}

/// The first byte from `at` on that is no white space.
fn behind_space(bytes: &[u8], at: usize) -> Option<usize> {
    Some(at + bytes.get(at..)?.iter().position(|c| !matches!(c, b' ' | b'\t' | b'\n' | b'\r'))?)
}
