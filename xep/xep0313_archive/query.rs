//! What is asked of an archive (section 4), read once and completely: what is malformed is named, what is unknown refused.

use iris_core::ids::IdSeal;
use iris_core::jids::address;
use iris_core::store::words;
use iris_core::store::{EntryId, LogQuery, OwnerId};
use iris_core::xml::{Build, El};
use iris_core::{Bounce, Changed, Condition, Reply, jids, ns, time};

use super::source::{Index, Source};
use super::{Config, NS, bare};
use crate::xep0059_rsm as rsm;

/// Messages asked for by id at once (D4).
const IDS_MAX: usize = 500;
/// A `queryid` comes back with every result.
const QUERYID_BYTES_MAX: usize = 1024;

/// Whose archive is asked.
pub struct Asked<'a> {
    pub source: Source,
    /// Its bare JID.
    pub me: &'a str,
    pub owner: OwnerId,
    pub ids: IdSeal,
    /// The asker may know the real addresses of occupants.
    pub reveal: bool,
    /// The archive is that of a pubsub node (XEP-0442), the entries of this peer: the query names the node.
    pub node: Option<u64>,
    pub config: &'a Config,
}

#[derive(Debug)]
pub struct Query {
    pub source: Source,
    pub reveal: bool,
    pub owner: OwnerId,
    /// `Asked::node`.
    pub node: Option<u64>,
    ids: IdSeal,
    pub me: String,
    pub queryid: Option<String>,
    /// What matches, as the store understands it; `max` is the page's.
    pub log: LogQuery,
    /// What matches beyond that.
    pub with: Option<With>,
    /// No index leads to them alone: more is read than is meant.
    pub seeks: bool,
    /// Ids that the query stands on: one that is not in the archive is an error (section 4.1.3, 4.3.2).
    pub must_exist: Vec<EntryId>,
    /// A page that begins where the whole begins.
    pub from_start: bool,
    pub only_count: bool,
    pub flip: bool,
    pub page_bytes_max: usize,
}

/// Section 4.1.1.
#[derive(Debug, PartialEq, Eq)]
pub struct With {
    pub bare: String,
    /// Only this resource.
    pub full: Option<String>,
}

impl With {
    pub fn matches(&self, me: &str, from: &str, to: &str) -> bool {
        let of = |address: &str| jids::bare(address) == self.bare;
        let bare = if self.bare == *me { of(from) && of(to) } else { of(from) || of(to) };
        bare && self.full.as_deref().is_none_or(|full| from == full || to == full)
    }
}

impl Query {
    pub fn parse(el: &El<'_>, asked: &Asked<'_>) -> Result<Query, Bounce> {
        let config = asked.config;
        if el.attr("node").is_some() && asked.node.is_none() {
            // Section 6.1.3: for archives of pubsub nodes.
            return Err(Bounce::new(Condition::FeatureNotImplemented).text("the archive has no nodes"));
        }
        let queryid = el.attr("queryid").map(std::borrow::Cow::into_owned);
        if queryid.as_ref().is_some_and(|id| id.len() > QUERYID_BYTES_MAX) {
            return Err(over(format!("queryid has at most {QUERYID_BYTES_MAX} bytes"), "take a shorter one"));
        }
        let mut query = Query {
            source: asked.source,
            reveal: asked.reveal,
            owner: asked.owner,
            node: asked.node,
            ids: asked.ids,
            me: asked.me.to_owned(),
            queryid,
            log: LogQuery::default(),
            with: None,
            seeks: false,
            must_exist: Vec::new(),
            from_start: true,
            only_count: false,
            flip: el.child(NS, "flip-page").is_some(),
            page_bytes_max: config.page_bytes_max,
        };
        if let Some(form) = el.child(ns::DATA_FORMS, "x") {
            query.read_form(&form)?;
        }
        query.log.peer = query.log.peer.or(asked.node);
        let wanted = el.child(rsm::NS, "set").map(|set| rsm::Wanted::parse(&set)).transpose()?.unwrap_or_default();
        query.read_page(&wanted, config)?;
        query.must_exist.sort_unstable();
        query.must_exist.dedup();
        Ok(query)
    }

    fn read_page(&mut self, wanted: &rsm::Wanted, config: &Config) -> Result<(), Bounce> {
        self.only_count = wanted.max == Some(0);
        self.log.max = wanted.max.unwrap_or(u32::MAX).min(config.page_entries_max);
        self.log.last = wanted.backward();
        self.log.count = self.only_count;
        self.from_start = wanted.after.is_none() && !wanted.backward();
        if let Some(after) = &wanted.after {
            self.after(after)?;
        }
        // Section 4.3.3: an empty one is the last page.
        if let Some(before) = wanted.before.as_deref().filter(|id| !id.is_empty()) {
            self.before(before)?;
        }
        Ok(())
    }

    fn read_form(&mut self, form: &El<'_>) -> Result<(), Bounce> {
        if form.attr("type").is_some_and(|kind| kind != "submit") {
            return Err(Bounce::bad_request("the form is not submitted"));
        }
        for field in form.children().filter(|child| child.is(ns::DATA_FORMS, "field")) {
            let var = field.attr("var").unwrap_or_default();
            let mut values: Vec<String> = field
                .children()
                .filter(|child| child.is(ns::DATA_FORMS, "value"))
                .map(|value| value.text().into_owned())
                // A field left blank was not filled in.
                .filter(|value| !value.is_empty())
                .collect();
            if &*var == "ids" {
                self.ids(&values)?;
                continue;
            }
            if values.len() > 1 {
                return Err(wrong(&var, "has more than one value"));
            }
            let Some(value) = values.pop() else { continue };
            match &*var {
                "FORM_TYPE" if value == NS => {}
                "FORM_TYPE" => return Err(wrong(&var, "is that of another form")),
                "with" => self.with(&value)?,
                "start" => self.log.from = Some(EntryId(moment(&value).ok_or_else(|| wrong(&var, NO_TIME))?)),
                "end" => self.log.until = Some(EntryId(moment(&value).ok_or_else(|| wrong(&var, NO_TIME))?)),
                "after-id" => self.after(&value)?,
                "before-id" => self.before(&value)?,
                // Section 4.1.4: understood; no groupchat is ever here, so it changes nothing.
                "include-groupchat" if self.source.groupchat_field => {
                    if !matches!(value.as_str(), "0" | "1" | "false" | "true") {
                        return Err(wrong(&var, "is neither true nor false"));
                    }
                }
                FULLTEXT if self.source.shelf.is_searchable() => self.words(&value)?,
                // Section 4.1.5: also what another archive of the house would understand.
                _ => return Err(Bounce::new(Condition::FeatureNotImplemented).text(format!("no such field: {var}"))),
            }
        }
        Ok(())
    }

    fn with(&mut self, value: &str) -> Result<(), Bounce> {
        let jid = address(value).map_err(|_| wrong("with", "is not a JID"))?;
        match (self.source.index)(&self.me, self.reveal, &jid) {
            Index::Peer { hash, exact } => (self.log.peer, self.seeks) = (Some(hash), !exact),
            Index::Unknown => self.seeks = true,
            Index::All => return Ok(()),
            Index::Nothing => self.log.ids = Some(Vec::new()),
        }
        self.with = Some(With { bare: bare(&jid).to_owned(), full: jid.resource().is_some().then(|| jid.as_str().to_owned()) });
        Ok(())
    }

    /// XEP-0431: all of these words, in any order, whole or begun.
    fn words(&mut self, value: &str) -> Result<(), Bounce> {
        if value.len() > FULLTEXT_BYTES_MAX {
            return Err(over(format!("{FULLTEXT} has at most {FULLTEXT_BYTES_MAX} bytes"), "seek fewer words"));
        }
        self.log.words = words::of(value).into_iter().collect();
        if self.log.words.is_empty() {
            // Something was asked for, and it is in no message.
            self.log.ids = Some(Vec::new());
        }
        Ok(())
    }

    fn ids(&mut self, values: &[String]) -> Result<(), Bounce> {
        if values.is_empty() {
            return Ok(());
        }
        if values.len() > IDS_MAX {
            return Err(over(format!("ids: at most {IDS_MAX} at once"), "ask several times"));
        }
        let mut ids = values.iter().map(|value| self.id(value)).collect::<Result<Vec<_>, _>>()?;
        ids.sort_unstable();
        ids.dedup();
        self.must_exist.extend(&ids);
        // Of two lists what is in both.
        if let Some(others) = &self.log.ids {
            ids.retain(|id| others.contains(id));
        }
        self.log.ids = Some(ids);
        Ok(())
    }

    /// How an id of this archive is shown.
    pub fn text(&self, id: EntryId) -> String {
        self.ids.show(self.owner, id)
    }

    /// What we never gave is not there (section 4.1.3, 4.3.2).
    fn id(&self, text: &str) -> Result<EntryId, Bounce> {
        // Beyond what databases count in is beyond what was ever given.
        self.ids.read(self.owner, text).filter(|id| i64::try_from(id.0).is_ok()).ok_or_else(not_there)
    }

    /// Of two bounds the narrower holds.
    fn after(&mut self, value: &str) -> Result<(), Bounce> {
        let id = self.id(value)?;
        self.must_exist.push(id);
        self.log.after = self.log.after.max(Some(id));
        Ok(())
    }

    fn before(&mut self, value: &str) -> Result<(), Bounce> {
        let id = self.id(value)?;
        self.must_exist.push(id);
        self.log.before = Some(self.log.before.map_or(id, |other| other.min(id)));
        Ok(())
    }
}

/// XEP-0431 section 3, in the notation of XEP-0068.
const FULLTEXT: &str = "{urn:xmpp:fulltext:0}fulltext";
const FULLTEXT_BYTES_MAX: usize = 1_024;

const NO_TIME: &str = "is not a date and time (XEP-0082)";

fn wrong(field: &str, why: &str) -> Bounce {
    Bounce::bad_request(&format!("{field} {why}"))
}

fn over(what: String, help: &str) -> Bounce {
    Bounce::new(Condition::BadRequest).limit(what, Changed::ByNobody(help))
}

pub fn not_there() -> Bounce {
    Bounce::new(Condition::ItemNotFound)
}

/// Microseconds since 1970. A moment before that is none that anything was kept at: 0.
fn moment(text: &str) -> Option<u64> {
    let at = time::parse_datetime(text).or_else(|| {
        let (year, rest) = text.split_at_checked(4)?;
        let old = year.bytes().all(|digit| digit.is_ascii_digit()) && year <= "1970";
        // In a leap year every date is one.
        (old && time::parse_datetime(&format!("1972{rest}")).is_some()).then_some(0)
    })?;
    Some(at.min(i64::MAX as u64))
}

/// Section 4.1.5: the fields there are.
pub fn form(source: &Source) -> Reply {
    let mut xml = Build::new();
    xml.open_ns("query", NS).open_ns("x", ns::DATA_FORMS).attr("type", "form");
    xml.open("field").attr("type", "hidden").attr("var", "FORM_TYPE").leaf("value", NS).close();
    for (kind, var) in [
        ("jid-single", "with"),
        ("text-single", "start"),
        ("text-single", "end"),
        ("text-single", "before-id"),
        ("text-single", "after-id"),
    ] {
        xml.open("field").attr("type", kind).attr("var", var).close();
    }
    if source.shelf.is_searchable() {
        xml.open("field").attr("type", "text-single").attr("var", FULLTEXT).close();
    }
    // An open list: XEP-0122.
    xml.open("field").attr("type", "list-multi").attr("var", "ids");
    xml.open_ns("validate", "http://jabber.org/protocol/xdata-validate").attr("datatype", "xs:string");
    xml.open("open").close().close().close();
    if source.groupchat_field {
        xml.open("field").attr("type", "boolean").attr("var", "include-groupchat").close();
    }
    crate::result(xml)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(inside: &str) -> Result<Query, Bounce> {
        let xml = format!("<query xmlns='{NS}'>{inside}</query>");
        let me = iris_core::BareJid::new("juliet@house").expect("a JID");
        let config = Config::default();
        let (source, owner, ids) = (super::super::source::PERSONAL, OwnerId(1), seal());
        let asked = Asked { source, me: me.as_str(), owner, ids, reveal: false, node: None, config: &config };
        Query::parse(&El::parse(xml.as_bytes()).expect("an element"), &asked)
    }

    fn seal() -> IdSeal {
        IdSeal::new([7; 16])
    }

    fn shown(id: u64) -> String {
        seal().show(OwnerId(1), EntryId(id))
    }

    fn field(var: &str, value: &str) -> String {
        format!("<x xmlns='jabber:x:data' type='submit'><field var='{var}'><value>{value}</value></field></x>")
    }

    #[test]
    fn s4_1_1_with_a_bare_jid_any_resource_and_with_a_full_one_only_that() {
        let with = |jid: &str| parse(&field("with", jid)).expect("a query").with.expect("with");
        let bare = with("Romeo@house");
        assert!(bare.matches("juliet@house", "romeo@house/a", "juliet@house"));
        assert!(bare.matches("juliet@house", "juliet@house/b", "romeo@house"));
        assert!(!bare.matches("juliet@house", "nurse@house/a", "juliet@house"));
        let full = with("romeo@house/a");
        assert!(full.matches("juliet@house", "romeo@house/a", "juliet@house"));
        assert!(!full.matches("juliet@house", "romeo@house/A", "juliet@house"));
        assert!(!full.matches("juliet@house", "juliet@house/b", "romeo@house"));
        let own = with("juliet@house");
        assert!(own.matches("juliet@house", "juliet@house/b", "juliet@house"));
        assert!(!own.matches("juliet@house", "juliet@house/b", "romeo@house"));
    }

    #[test]
    fn s4_1_2_times() {
        let start = |text: &str| parse(&field("start", text)).map(|query| query.log.from);
        assert_eq!(start("1970-01-01T00:00:01Z").expect("a time"), Some(EntryId(1_000_000)));
        assert_eq!(start("0001-01-01T00:00:00Z").expect("a time"), Some(EntryId(0)));
        assert_eq!(start("").expect("left blank"), None);
        assert!(start("9999-12-31T23:59:59Z").is_ok());
    }

    #[test]
    fn d4_garbage_is_named() {
        for (var, value) in [
            ("start", "yesterday"),
            ("start", "2026-13-01T00:00:00Z"),
            ("end", "0001-13-01T00:00:00Z"),
            ("end", "ürrr"),
            ("with", "@"),
            ("include-groupchat", "maybe"),
            ("FORM_TYPE", "urn:other"),
        ] {
            let error = parse(&field(var, value)).expect_err(value);
            assert_eq!(error.condition, Condition::BadRequest, "{var} {value}");
            assert!(error.text.expect("a text").contains(var));
        }
        for var in ["{urn:x}fulltext", "", "withtext"] {
            assert_eq!(parse(&field(var, "x")).expect_err(var).condition, Condition::FeatureNotImplemented);
        }
        for (var, value) in [("after-id", "x"), ("before-id", "-1"), ("ids", "007"), ("ids", &shown(u64::MAX))] {
            assert_eq!(parse(&field(var, value)).expect_err(value).condition, Condition::ItemNotFound);
        }
        let many: String = (0..=IDS_MAX).map(|id| format!("<value>{id}</value>")).collect();
        let many = format!("<x xmlns='jabber:x:data' type='submit'><field var='ids'>{many}</field></x>");
        assert_eq!(parse(&many).expect_err("too many").condition, Condition::BadRequest);
    }

    #[test]
    fn d4_a_page_is_capped() {
        let max = |max: &str| parse(&format!("<set xmlns='{}'><max>{max}</max></set>", rsm::NS)).expect("a query");
        assert_eq!((max("1000000000").log.max, max("10").log.max, max("0").only_count), (50, 10, true));
        assert_eq!(parse("").expect("a query").log.max, 50);
    }

    #[test]
    fn s4_1_3_of_two_bounds_the_narrower_holds() {
        let form = format!(
            "<x xmlns='jabber:x:data' type='submit'><field var='after-id'><value>{}</value></field>\
             <field var='before-id'><value>{}</value></field></x>",
            shown(5),
            shown(9)
        );
        let set = format!("<set xmlns='{}'><after>{}</after></set>", rsm::NS, shown(7));
        let query = parse(&format!("{form}{set}")).expect("a query");
        assert_eq!((query.log.after, query.log.before), (Some(EntryId(7)), Some(EntryId(9))));
        assert_eq!(query.must_exist, [EntryId(5), EntryId(7), EntryId(9)]);
    }
}
