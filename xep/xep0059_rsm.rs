//! XEP-0059: Result Set Management - a long answer comes in pages.
//! Spec 1.0, https://xmpp.org/extensions/xep-0059.html. Not done: pages by index (section 2.6), which has `feature-not-implemented`.
//!
//! Words that rooms with long answers share; there is nothing to advertise but what they do.

use std::ops::Range;

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

    /// Which rows of a list of `count` are on the page, of which none has more than `rows_max`; `place`: where the row with that id stands.
    ///
    /// # Errors
    /// item-not-found for an id that no row has (section 2.2).
    pub fn range(&self, count: usize, rows_max: usize, place: impl Fn(&str) -> Option<usize>) -> Result<Range<usize>, Bounce> {
        let place = |id: &str| place(id).ok_or_else(|| Bounce::new(Condition::ItemNotFound));
        let from = self.after.as_deref().map(&place).transpose()?.map_or(0, |at| at + 1);
        let before = self.before.as_deref().filter(|id| !id.is_empty());
        let until = before.map(&place).transpose()?.unwrap_or(count).max(from);
        let max = self.max.map_or(rows_max, |max| (max as usize).min(rows_max));
        Ok(match self.backward() {
            true => from.max(until.saturating_sub(max))..until,
            false => from..until.min(from.saturating_add(max)),
        })
    }

    /// As many of these rows as together have so many bytes, but at least one.
    pub fn fit(&self, rows: Range<usize>, bytes_max: usize, size_bytes: impl Fn(usize) -> usize) -> Range<usize> {
        let mut bytes = 0_usize;
        let mut fits = |at: &usize| {
            let is_first = bytes == 0;
            bytes = bytes.saturating_add(size_bytes(*at));
            bytes <= bytes_max || is_first
        };
        match self.backward() {
            true => rows.end - rows.clone().rev().take_while(&mut fits).count()..rows.end,
            false => rows.start..rows.start + rows.clone().take_while(&mut fits).count(),
        }
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
    /// Of these rows of a list of `count`.
    pub fn of(rows: &Range<usize>, count: usize, id: impl Fn(usize) -> String) -> Given {
        let ends = (!rows.is_empty()).then(|| (id(rows.start), id(rows.end - 1)));
        Given { index: ends.is_some().then_some(rows.start as u64), ends, count: Some(count as u64) }
    }

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
    fn s2_2_to_s2_5_a_page_of_a_list() {
        let page = |inside: &str| {
            let place = |id: &str| id.parse().ok().filter(|at| *at < 10);
            parse(inside).expect("a set").range(10, 5, place)
        };
        assert_eq!(page(""), Ok(0..5));
        assert_eq!(page("<max>3</max><after>8</after>"), Ok(9..10));
        assert_eq!(page("<max>3</max><after>9</after>"), Ok(10..10));
        assert_eq!(page("<max>3</max><before/>"), Ok(7..10));
        assert_eq!(page("<max>3</max><before>2</before>"), Ok(0..2));
        assert_eq!(page("<max>3</max><after>3</after><before>5</before>"), Ok(4..5));
        assert_eq!(page("<after>5</after><before>3</before>"), Ok(6..6));
        assert_eq!(page("<max>0</max>"), Ok(0..0));
        assert_eq!(page("<after>10</after>").map_err(|why| why.condition), Err(Condition::ItemNotFound));
        assert_eq!(Given::of(&(2..4), 10, |at| at.to_string()).ends, Some(("2".into(), "3".into())));
        assert_eq!(Given::of(&(2..2), 10, |at| at.to_string()), Given { ends: None, index: None, count: Some(10) });
    }

    #[test]
    fn a_page_has_a_size_and_never_nothing() {
        let (forward, backward) = (Wanted::default(), Wanted { before: Some(String::new()), ..Wanted::default() });
        assert_eq!(forward.fit(2..9, 30, |_| 10), 2..5);
        assert_eq!(backward.fit(2..9, 30, |_| 10), 6..9);
        assert_eq!(forward.fit(2..9, 3, |_| 10), 2..3);
        assert_eq!(backward.fit(2..9, 3, |_| 10), 8..9);
        assert_eq!(forward.fit(2..2, 3, |_| 10), 2..2);
    }

    #[test]
    fn s2_1_a_page_says_its_ends() {
        let mut xml = Build::new();
        Given { ends: Some(("a".into(), "b".into())), index: Some(0), count: Some(2) }.write(&mut xml);
        let text = String::from_utf8(xml.finish()).expect("UTF-8");
        assert_eq!(text, format!("<set xmlns='{NS}'><first index='0'>a</first><last>b</last><count>2</count></set>"));
    }
}
