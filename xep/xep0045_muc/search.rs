//! Rooms are found by words (XEP-0433): public ones, by name, description and address.

use std::sync::Arc;

use iris_core::form::{Field, Form, Submitted};
use iris_core::store::words;
use iris_core::xml::{Build, El};
use iris_core::{Bounce, Condition, HostTurn, Reply, ns};

use super::service::{REGISTRY, Summary};
use super::stanzas;
use crate::result;
use crate::xep0059_rsm as rsm;

pub const NS: &str = "urn:xmpp:channel-search:0:search";
const PARAMS: &str = "urn:xmpp:channel-search:0:search-params";
const ERROR: &str = "urn:xmpp:channel-search:0:error";
const BY_USERS: &str = "{urn:xmpp:channel-search:0:order}nusers";
const BY_ADDRESS: &str = "{urn:xmpp:channel-search:0:order}address";
/// What is found here; whoever looks for channels of other kinds finds none.
const TYPE: &str = "xep-0045";
const PAGE_MAX: usize = 100;
const QUERY_BYTES_MAX: usize = 1_024;

fn form() -> Form {
    Form::new("Search for rooms", "")
        .of_type(PARAMS)
        .field(Field::text("q", "Search for"))
        .field(Field::boolean("all", "Return all entries (ignore search terms)", false))
        .field(Field::boolean("sinname", "Search in name", true))
        .field(Field::boolean("sindescription", "Search in description", true))
        .field(Field::boolean("sinaddress", "Search in address", true))
        .field(Field::text("min_users", "Minimum number of users").value("0"))
        .field(Field::choices("types", "Service types", vec![("Multi-User Chat".into(), TYPE.into())]).open().value(TYPE))
        .field(
            Field::choice("key", "Sort results by", [("Number of online users", BY_USERS), ("Address", BY_ADDRESS)])
                .open()
                .value(BY_USERS),
        )
}

fn error(condition: Condition, name: &str, text: &str) -> Bounce {
    let bounce = Bounce::new(condition).kind(iris_core::ErrorType::Modify).text(text);
    bounce.extra(format!("<{name} xmlns='{ERROR}'/>"))
}

pub fn answer(turn: &mut HostTurn<'_>, search: &El<'_>) -> Reply {
    let Some(x) = search.child(ns::DATA_FORMS, "x") else {
        let mut xml = Build::new();
        xml.open_ns("search", NS).raw(form().to_ask().as_bytes()).close();
        return result(xml);
    };
    let found = form().check(&x).map_err(|problem| Bounce::bad_request(&problem.to_string())).and_then(|given| {
        let page = search.child(rsm::NS, "set").map(|set| rsm::Wanted::parse(&set)).transpose()?.unwrap_or_default();
        find(turn, &given, &page)
    });
    match found {
        Ok(xml) => Reply::Result(xml),
        Err(why) => why.into(),
    }
}

fn find(turn: &mut HostTurn<'_>, given: &Submitted, page: &rsm::Wanted) -> Result<String, Bounce> {
    let wanted = Wanted::read(given)?;
    let registry = turn.state(&REGISTRY).ok_or_else(Bounce::nobody)?;
    let mut found: Vec<(&Arc<str>, &Summary)> =
        registry.rooms().filter(|(address, room)| room.public && wanted.matches(address, room)).collect();
    if wanted.by_users {
        found.sort_by(|(a, one), (b, other)| other.occupants.cmp(&one.occupants).then_with(|| a.cmp(b)));
    }
    let place =
        |of: &str| found.iter().position(|(address, _)| ***address == *of).ok_or_else(|| Bounce::new(Condition::ItemNotFound));
    let begin = page.after.as_deref().map(|of| place(of).map(|at| at + 1)).transpose()?.unwrap_or(0);
    let before = page.before.as_deref().filter(|of| !of.is_empty());
    let end = before.map(place).transpose()?.unwrap_or(found.len());
    let max = page.max.map_or(PAGE_MAX, |max| (max as usize).min(PAGE_MAX));
    let (begin, end) = match page.backward() {
        true => (end.saturating_sub(max).max(begin), end),
        false => (begin, end.min(begin + max)),
    };
    let shown = found.get(begin..end.max(begin)).unwrap_or_default();
    let mut xml = Build::new();
    xml.open_ns("result", NS);
    for (address, room) in shown {
        item(address, room, &mut xml);
    }
    let ends = shown.first().zip(shown.last()).map(|((first, _), (last, _))| (first.to_string(), last.to_string()));
    rsm::Given { index: ends.is_some().then_some(begin as u64), ends, count: Some(found.len() as u64) }.write(&mut xml);
    xml.close();
    Ok(stanzas::text(xml))
}

fn item(address: &str, room: &Summary, xml: &mut Build) {
    xml.open("item").attr("address", address);
    for (name, text) in [("name", &room.name), ("description", &room.description), ("language", &room.lang)] {
        if !text.is_empty() {
            xml.leaf(name, text);
        }
    }
    xml.leaf("nusers", &room.occupants.to_string()).leaf("service-type", TYPE);
    if room.open {
        xml.open("is-open").close();
    }
    xml.leaf("anonymity-mode", if room.non_anonymous { "none" } else { "semi" }).close();
}

struct Wanted {
    /// None: all of them.
    words: Vec<String>,
    in_name: bool,
    in_description: bool,
    in_address: bool,
    min_users: usize,
    by_users: bool,
    of_rooms: bool,
}

impl Wanted {
    fn read(given: &Submitted) -> Result<Wanted, Bounce> {
        let (text, all) = (given.text("q"), given.boolean("all") == Some(true));
        let words = match (text, all) {
            (Some(_), true) => {
                let inside = format!("<conflicting-fields xmlns='{ERROR}'><var>all</var><var>q</var></conflicting-fields>");
                let text = "cannot both return all results and search by keywords";
                return Err(Bounce::bad_request(text).extra(inside));
            }
            (None, false) => return Err(error(Condition::BadRequest, "no-search-conditions", "say what to search for")),
            (None, true) => Vec::new(),
            (Some(text), false) if text.len() > QUERY_BYTES_MAX => Vec::new(),
            (Some(text), false) => words::of(text).into_iter().collect(),
        };
        if !all && words.is_empty() {
            return Err(error(
                Condition::BadRequest,
                "invalid-search-terms",
                "there is no word to search for, or far too many",
            ));
        }
        let by_users = match given.text("key") {
            None | Some(BY_USERS) => true,
            Some(BY_ADDRESS) => false,
            Some(_) => return Err(error(Condition::FeatureNotImplemented, "invalid-sort-key", "that is no order")),
        };
        let min_users =
            given.text("min_users").map_or(Ok(0), str::parse).map_err(|_| Bounce::bad_request("min_users is a number"))?;
        let is_on = |var: &str| given.boolean(var) != Some(false);
        Ok(Wanted {
            words,
            in_name: is_on("sinname"),
            in_description: is_on("sindescription"),
            in_address: is_on("sinaddress"),
            min_users,
            by_users,
            of_rooms: !given.has("types") || given.values("types").iter().any(|it| it == TYPE),
        })
    }

    /// All words, each whole or begun, somewhere in what is looked at.
    fn matches(&self, address: &str, room: &Summary) -> bool {
        if !self.of_rooms || room.occupants < self.min_users {
            return false;
        }
        let mut text = String::new();
        for (is, part) in
            [(self.in_name, room.name.as_str()), (self.in_description, &room.description), (self.in_address, address)]
        {
            if is {
                text.push_str(part);
                text.push('\n');
            }
        }
        let known = words::of(&text);
        self.words.iter().all(|word| known.iter().any(|it| it.starts_with(word.as_str())))
    }
}
