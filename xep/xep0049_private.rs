//! XEP-0049: Private XML Storage - a client keeps things that are for its user's eyes only.
//! Spec 1.2, https://xmpp.org/extensions/xep-0049.html. Not done: nothing. Reserved namespaces are not refused (section 2.3
//! leaves that open). The bookmarks of XEP-0048 are XEP-0402's.

use std::collections::BTreeMap;
use std::sync::Arc;

use iris_core::store::{Read, Rows, Shelf};
use iris_core::task::{Cx, Finish, TaskFuture};
use iris_core::xml::El;
use iris_core::{At, Bounce, Card, Changed, Condition, GetOrSet, Mount, MountError, Reply, Room, StateSlot, Status, Turn};
use serde::Deserialize;

use crate::xep0402_bookmarks as bookmarks;

const NS: &str = "jabber:iq:private";

pub const ROOM: Room = Room {
    card: Card { xep: Some(49), name: "Private XML Storage", version: "1.2", status: Status::Complete, needs: &[30] },
    mount,
};

#[derive(Clone, Deserialize)]
#[serde(default, deny_unknown_fields)]
struct Settings {
    items_max: usize,
    total_size_bytes_max: usize,
}

impl Default for Settings {
    fn default() -> Settings {
        Settings { items_max: 100, total_size_bytes_max: 256 * 1024 }
    }
}

impl iris_core::mount::Settings for Settings {
    const TABLE: &'static str = "private";
    const REFERENCE: &'static str = "\
# Elements that one account may keep.
items_max = 100
# All of them together, in bytes.
total_size_bytes_max = 262144
";
}

pub const SHELF: Shelf = Shelf::map("private");

/// What is kept, and how large it is. The XML itself stays on disk until somebody asks.
static KEPT: StateSlot<BTreeMap<Arc<str>, usize>> = StateSlot::new();

fn mount(m: &mut Mount<'_>) -> Result<(), MountError> {
    let settings: Settings = m.config()?;
    m.feature(At::Host, NS);
    m.feature(At::OwnAccount, NS);
    m.shelf(SHELF)?;
    m.state(&KEPT, &[SHELF], |items| items.iter().map(|item| (item.key.clone(), item.value.len())).collect())?;
    m.iq_named(At::OwnAccount, GetOrSet::Get, NS, "query", get)?;
    m.iq_named(At::OwnAccount, GetOrSet::Set, NS, "query", move |turn, query| set(turn, query, &settings))
}

fn get(turn: &mut Turn<'_>, query: El<'_>) -> Reply {
    let asked: Vec<El<'_>> = query.children().collect();
    let [asked] = asked.as_slice() else {
        // Section 2.3: one namespace a query.
        return Bounce::bad_request("ask for exactly one element").into();
    };
    let Some(key) = key_of(asked) else { return needs_namespace() };
    if key == bookmarks::PRIVATE_KEY {
        return bookmarks::private_get(turn);
    }
    let empty = String::from_utf8_lossy(&asked.closed()).into_owned();
    if !turn.state(&KEPT).is_some_and(|kept| kept.contains_key(&*key)) {
        return answer(&empty);
    }
    let owner = turn.account.owner();
    Reply::Task(Box::new(move |cx: Cx| -> TaskFuture {
        Box::pin(async move {
            match cx.read(Read::Value { owner, shelf: SHELF, key: key.into() }).await {
                Ok(Rows::Value(value)) => {
                    let kept = value.map_or(empty, |value| String::from_utf8_lossy(&value).into_owned());
                    Finish::Answer { before: Vec::new(), result: wrapped(&kept) }
                }
                Ok(_) => Finish::Error(Bounce::new(Condition::InternalServerError)),
                Err(error) => Finish::Error(error.into()),
            }
        })
    }))
}

/// Section 2.3: "an IQ set or result MAY contain multiple elements qualified by the same namespace"; those of one name are kept
/// together.
fn set(turn: &mut Turn<'_>, query: El<'_>, settings: &Settings) -> Reply {
    let mut new: BTreeMap<String, Vec<u8>> = BTreeMap::new();
    for element in query.children() {
        let Some(key) = key_of(&element) else { return needs_namespace() };
        let xml = new.entry(key).or_default();
        if !is_empty(&element) {
            xml.extend_from_slice(&element.closed());
        }
    }
    if new.is_empty() {
        return Bounce::new(Condition::NotAcceptable).text("there is nothing to keep").into();
    }
    let rooms = new.remove(bookmarks::PRIVATE_KEY);
    if let Err(why) = keep_all(turn, new, settings) {
        return why.into();
    }
    rooms.map_or_else(Reply::empty, |rooms| bookmarks::private_set(turn, &rooms))
}

/// Is there anything of that key?
pub fn has(turn: &mut Turn<'_>, key: &str) -> bool {
    turn.state(&KEPT).is_some_and(|kept| kept.contains_key(key))
}

/// One value for the room that has it; empty to delete. What it keeps was in a stanza, so it has a size.
pub fn keep(turn: &mut Turn<'_>, key: &str, xml: Vec<u8>) -> Result<(), Bounce> {
    keep_all(turn, BTreeMap::from([(key.to_owned(), xml)]), &Settings::default())
}

fn keep_all(turn: &mut Turn<'_>, new: BTreeMap<String, Vec<u8>>, settings: &Settings) -> Result<(), Bounce> {
    let Some(kept) = turn.state(&KEPT) else { return Err(Bounce::new(Condition::InternalServerError)) };
    let mut after = kept.clone();
    for (key, xml) in &new {
        if xml.is_empty() {
            after.remove(key.as_str());
        } else {
            after.insert(Arc::from(key.as_str()), xml.len());
        }
    }
    let grows = after.len() > kept.len() || after.values().sum::<usize>() > kept.values().sum::<usize>();
    if grows && (after.len() > settings.items_max || after.values().sum::<usize>() > settings.total_size_bytes_max) {
        let what =
            format!("the private storage has at most {} items of {} bytes", settings.items_max, settings.total_size_bytes_max);
        return Err(Bounce::over(what, Changed::ByOperator));
    }
    *kept = after;
    for (key, xml) in new {
        if xml.is_empty() {
            turn.delete(SHELF, &key);
        } else {
            turn.put(SHELF, &key, xml);
        }
    }
    Ok(())
}

/// `{namespace}name`. `None`: the element has no namespace of its own.
pub(crate) fn key_of(element: &El<'_>) -> Option<String> {
    (!element.ns().is_empty() && element.ns() != NS).then(|| format!("{{{}}}{}", element.ns(), element.local()))
}

/// Nothing is kept of an element that says nothing: asking for it gives the same.
fn is_empty(element: &El<'_>) -> bool {
    element.attrs().next().is_none() && element.children().next().is_none() && element.text().is_empty()
}

fn needs_namespace() -> Reply {
    Bounce::new(Condition::NotAcceptable).text("the element needs a namespace of its own").into()
}

fn answer(kept: &str) -> Reply {
    Reply::Result(wrapped(kept))
}

pub fn wrapped(kept: &str) -> String {
    format!("<query xmlns='{NS}'>{kept}</query>")
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use crate::ROOMS;
    use iris_core::limits::Limits;
    use iris_engine::testing::{Client, House};

    fn keep(house: &mut House, who: &Client, xml: &str) -> String {
        house.iq(who, "set", None, &format!("<query xmlns='jabber:iq:private'>{xml}</query>")).as_str().to_owned()
    }

    fn ask(house: &mut House, who: &Client, xml: &str) -> String {
        house.iq(who, "get", None, &format!("<query xmlns='jabber:iq:private'>{xml}</query>")).as_str().to_owned()
    }

    const PREFS: &str = "<exodus xmlns='exodus:prefs'><defaultnick>Hamlet &amp; son</defaultnick></exodus>";

    #[test]
    fn examples_1_and_2_what_a_client_keeps_another_one_finds_after_a_restart() {
        let mut house = House::with(ROOMS);
        let hamlet = house.login("hamlet@house/denmark");
        assert!(keep(&mut house, &hamlet, PREFS).contains("type='result'"));
        let found = ask(&mut house, &hamlet, "<exodus xmlns='exodus:prefs'/>");
        assert!(found.contains(&format!("<query xmlns='jabber:iq:private'>{PREFS}</query>")), "{found}");
        let mut house = house.restart(ROOMS, Duration::from_secs(1));
        let hamlet = house.login("hamlet@house/england");
        assert!(ask(&mut house, &hamlet, "<exodus xmlns='exodus:prefs'/>").contains(PREFS));
    }

    #[test]
    fn a_prefix_declared_above_is_kept_with_the_element() {
        let mut house = House::with(ROOMS);
        let hamlet = house.login("hamlet@house/denmark");
        house.send(
            &hamlet,
            "<iq type='set' id='p'><query xmlns='jabber:iq:private' xmlns:s='storage:x'><s:box><s:in>1</s:in></s:box></query></iq>",
        );
        house.recv(&hamlet);
        let found = ask(&mut house, &hamlet, "<box xmlns='storage:x'/>");
        assert!(found.contains("<s:box xmlns:s='storage:x'><s:in>1</s:in></s:box>"), "{found}");
    }

    #[test]
    fn what_was_never_kept_comes_back_as_it_was_asked_for_and_empty_deletes() {
        let mut house = House::with(ROOMS);
        let hamlet = house.login("hamlet@house/denmark");
        let empty = "<exodus xmlns='exodus:prefs'/>";
        assert!(ask(&mut house, &hamlet, empty).contains(&format!("<query xmlns='jabber:iq:private'>{empty}</query>")));
        keep(&mut house, &hamlet, PREFS);
        keep(&mut house, &hamlet, empty);
        assert!(!ask(&mut house, &hamlet, empty).contains("Hamlet"));
    }

    #[test]
    fn s3_errors() {
        let mut house = House::with(ROOMS);
        let hamlet = house.login("hamlet@house/denmark");
        assert!(ask(&mut house, &hamlet, "").contains("bad-request"));
        assert!(ask(&mut house, &hamlet, "<a xmlns='x:1'/><b xmlns='x:2'/>").contains("bad-request"));
        assert!(ask(&mut house, &hamlet, "<a/>").contains("not-acceptable"));
        assert!(keep(&mut house, &hamlet, "").contains("not-acceptable"));
        assert!(keep(&mut house, &hamlet, "<a>no namespace</a>").contains("not-acceptable"));
    }

    #[test]
    fn it_is_full_at_some_point_and_can_be_emptied() {
        let mut house = House::with_config(ROOMS, "[xep.private]\nitems_max = 2\ntotal_size_bytes_max = 200\n");
        let hamlet = house.login("hamlet@house/denmark");
        assert!(keep(&mut house, &hamlet, "<a xmlns='x:1'>1</a><b xmlns='x:1'>1</b>").contains("type='result'"));
        assert!(keep(&mut house, &hamlet, "<c xmlns='x:1'>1</c>").contains("resource-constraint"));
        let long = "x".repeat(200);
        assert!(keep(&mut house, &hamlet, &format!("<a xmlns='x:1'>{long}</a>")).contains("resource-constraint"));
        assert!(keep(&mut house, &hamlet, "<a xmlns='x:1'/>").contains("type='result'"));
        assert!(keep(&mut house, &hamlet, "<c xmlns='x:1'>1</c>").contains("type='result'"));
        assert!(
            ask(&mut house, &hamlet, "<b xmlns='x:1'/>").contains("<b xmlns='x:1'>1</b>"),
            "what was refused changed nothing"
        );
    }

    #[test]
    fn who_has_more_than_a_new_limit_allows_may_still_have_less() {
        let mut house = House::with(ROOMS);
        let hamlet = house.login("hamlet@house/denmark");
        keep(&mut house, &hamlet, "<a xmlns='x:1'>12</a><b xmlns='x:1'>12</b><c xmlns='x:1'>12</c>");
        let config = "[xep.private]\nitems_max = 1\n";
        let mut house = House::build(ROOMS, config, Limits::default(), house.store.clone());
        let hamlet = house.login("hamlet@house/denmark");
        assert!(keep(&mut house, &hamlet, "<a xmlns='x:1'>1</a>").contains("type='result'"));
        assert!(keep(&mut house, &hamlet, "<b xmlns='x:1'/>").contains("type='result'"));
        assert!(keep(&mut house, &hamlet, "<a xmlns='x:1'>12</a>").contains("resource-constraint"));
    }

    #[test]
    fn example_3_not_applicable_to_anybody_elses() {
        let mut house = House::with(ROOMS);
        house.friends("hamlet@house", "macbeth@house");
        let macbeth = house.login("macbeth@house/heath");
        for kind in ["get", "set"] {
            let answer =
                house.iq(&macbeth, kind, Some("hamlet@house"), &format!("<query xmlns='jabber:iq:private'>{PREFS}</query>"));
            assert!(answer.as_str().contains("service-unavailable"), "{}", answer.as_str());
        }
    }
}
