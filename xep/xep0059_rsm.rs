//! XEP-0059: Result Set Management - a long answer comes in pages.
//! Spec 1.0, https://xmpp.org/extensions/xep-0059.html. Not done: pages by index (section 2.6), which has `feature-not-implemented`.
//!
//! Words that rooms with long answers share; there is nothing to advertise but what they do.

use iris_core::xml::{Build, El};
use iris_core::{Bounce, Card, Condition, Room, Status};

pub const NS: &str = "http://jabber.org/protocol/rsm";

pub const ROOM: Room = Room {
    card: Card { xep: Some(59), name: "Result Set Management", version: "1.0", status: Status::Partial, needs: &[] },
    mount: Room::no_door,
};

/// Which page is asked for. All of it is optional.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Wanted {
    /// At most this many; 0: only the count.
    pub max: Option<u32>,
    pub after: Option<String>,
    /// `Some("")`: the last page (section 2.5).
    pub before: Option<String>,
}

impl Wanted {
    /// Reads a `<set/>`.
    pub fn parse(set: &El<'_>) -> Result<Wanted, Bounce> {
        let mut wanted = Wanted::default();
        for child in set.children().filter(|child| child.ns() == NS) {
            let text = child.text();
            match child.local() {
                "max" => wanted.max = Some(max(text.trim())?),
                // Without an id it says no more than no <after/> at all: from the beginning.
                "after" => wanted.after = Some(text.into_owned()).filter(|id| !id.is_empty()),
                "before" => wanted.before = Some(text.into_owned()),
                // Section 2.6: by index we would have to count.
                "index" => return Err(Bounce::new(Condition::FeatureNotImplemented).text("pages are not sought by index")),
                _ => {}
            }
        }
        Ok(wanted)
    }

    /// Is the page taken from the end?
    pub fn backward(&self) -> bool {
        self.before.is_some()
    }
}

/// A number too large to be one is as good as "all": whoever answers has a cap.
fn max(text: &str) -> Result<u32, Bounce> {
    if text.is_empty() || !text.bytes().all(|digit| digit.is_ascii_digit()) {
        return Err(Bounce::bad_request("max is not a number"));
    }
    Ok(text.parse().unwrap_or(u32::MAX))
}

/// What is said of a page.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Given {
    /// Ids of the first and the last item on the page; `None`: an empty page.
    pub ends: Option<(String, String)>,
    /// Where the first one stands in the whole, when that is known.
    pub index: Option<u64>,
    /// How long the whole is, when that is known.
    pub count: Option<u64>,
}

impl Given {
    /// Appends a `<set/>`.
    pub fn write(&self, xml: &mut Build) {
        xml.open_ns("set", NS);
        if let Some((first, last)) = &self.ends {
            let index = self.index.map(|index| index.to_string());
            xml.open("first").attr_opt("index", index.as_deref()).text(first).close();
            xml.leaf("last", last);
        }
        if let Some(count) = self.count {
            xml.leaf("count", &count.to_string());
        }
        xml.close();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(inside: &str) -> Result<Wanted, Bounce> {
        let xml = format!("<set xmlns='{NS}'>{inside}</set>");
        Wanted::parse(&El::parse(xml.as_bytes()).expect("an element"))
    }

    #[test]
    fn s2_a_page_is_asked_for_by_max_after_and_before() {
        let wanted = parse("<max>10</max><after>a&amp;b</after>").expect("a set");
        assert_eq!(wanted, Wanted { max: Some(10), after: Some("a&b".into()), before: None });
        let last = parse("<max>10</max><before/>").expect("a set");
        assert_eq!((last.before.as_deref(), last.backward()), (Some(""), true));
        assert_eq!(parse("<after/>").expect("a set"), Wanted::default());
    }

    #[test]
    fn d4_what_is_no_number_is_named_and_what_is_too_large_is_all() {
        assert_eq!(parse("<max>99999999999999999999</max>").expect("a set").max, Some(u32::MAX));
        for bad in ["-1", "1e9", "", "ten"] {
            let error = parse(&format!("<max>{bad}</max>")).expect_err("no number");
            assert_eq!(error.condition, Condition::BadRequest);
            assert!(error.text.is_some_and(|text| text.contains("max")));
        }
        assert_eq!(parse("<index>3</index>").expect_err("no pages by index").condition, Condition::FeatureNotImplemented);
    }

    #[test]
    fn s2_1_a_page_says_its_ends() {
        let mut xml = Build::new();
        Given { ends: Some(("a".into(), "b".into())), index: Some(0), count: Some(2) }.write(&mut xml);
        let text = String::from_utf8(xml.finish()).expect("UTF-8");
        assert_eq!(text, format!("<set xmlns='{NS}'><first index='0'>a</first><last>b</last><count>2</count></set>"));
    }
}
