//! Writing what the server itself says.

use smallvec::SmallVec;

use super::escape::{push_attr, push_text};

/// Writes elements with everything escaped. Names and namespaces are the caller's own constants
/// and are written as they are.
///
/// ```text
/// let mut b = Build::new();
/// b.open("iq").attr("type", "result").attr("id", id);
/// b.open("query").attr("xmlns", NS).close();
/// let bytes = b.finish();
/// ```
#[derive(Debug, Default)]
pub struct Build {
    out: Vec<u8>,
    /// Where the names of the open elements stand in `out`.
    open: SmallVec<[(u32, u16); 8]>,
    in_tag: bool,
}

impl Build {
    /// An empty document.
    pub fn new() -> Self {
        Self::default()
    }

    /// Goes on behind what `out` holds already.
    pub fn after(out: Vec<u8>) -> Self {
        Self { out, ..Self::default() }
    }

    /// Begins an element.
    pub fn open(&mut self, name: &str) -> &mut Self {
        self.end_tag();
        self.out.push(b'<');
        self.open.push((self.out.len() as u32, name.len() as u16));
        self.out.extend_from_slice(name.as_bytes());
        self.in_tag = true;
        self
    }

    /// Begins an element in a namespace of its own.
    pub fn open_ns(&mut self, name: &str, ns: &str) -> &mut Self {
        self.open(name).attr("xmlns", ns)
    }

    /// An attribute of the element just begun. After content it would be lost, so that is a bug.
    pub fn attr(&mut self, name: &str, value: &str) -> &mut Self {
        debug_assert!(self.in_tag, "attribute {name} after content");
        if self.in_tag {
            self.out.push(b' ');
            self.out.extend_from_slice(name.as_bytes());
            self.out.extend_from_slice(b"='");
            push_attr(value, &mut self.out);
            self.out.push(b'\'');
        }
        self
    }

    /// An attribute, if there is a value.
    pub fn attr_opt(&mut self, name: &str, value: Option<&str>) -> &mut Self {
        match value {
            Some(value) => self.attr(name, value),
            None => self,
        }
    }

    /// Character data.
    pub fn text(&mut self, text: &str) -> &mut Self {
        if !text.is_empty() {
            self.end_tag();
            push_text(text, &mut self.out);
        }
        self
    }

    /// Bytes that are XML already.
    pub fn raw(&mut self, xml: &[u8]) -> &mut Self {
        if !xml.is_empty() {
            self.end_tag();
            self.out.extend_from_slice(xml);
        }
        self
    }

    /// Ends the innermost element.
    pub fn close(&mut self) -> &mut Self {
        let Some((at, len)) = self.open.pop() else {
            debug_assert!(false, "nothing to close");
            return self;
        };
        if self.in_tag {
            self.out.extend_from_slice(b"/>");
            self.in_tag = false;
        } else {
            self.out.extend_from_slice(b"</");
            let at = at as usize;
            self.out.extend_from_within(at..at + usize::from(len));
            self.out.push(b'>');
        }
        self
    }

    /// An element that holds nothing but a namespace.
    pub fn empty(&mut self, name: &str, ns: &str) -> &mut Self {
        self.open_ns(name, ns).close()
    }

    /// An element that holds nothing but text, in the namespace around it.
    pub fn leaf(&mut self, name: &str, text: &str) -> &mut Self {
        self.open(name).text(text).close()
    }

    /// Closes what is open and hands the bytes over.
    pub fn finish(mut self) -> Vec<u8> {
        while !self.open.is_empty() {
            self.close();
        }
        self.out
    }

    fn end_tag(&mut self) {
        if self.in_tag {
            self.out.push(b'>');
            self.in_tag = false;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn elements_attributes_and_text_are_written_escaped() {
        let mut b = Build::new();
        b.open("iq").attr("id", "a'<").attr_opt("to", None);
        b.open_ns("query", "urn:x").leaf("name", "a<b").raw(b"<y/>").close();
        assert_eq!(b.finish(), b"<iq id='a&apos;&lt;'><query xmlns='urn:x'><name>a&lt;b</name><y/></query></iq>");
    }
}
