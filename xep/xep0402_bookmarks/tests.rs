use std::time::Duration;

use iris_core::store::{Read, Rows, Shelf, Store, Write, WriteSet};
use iris_engine::testing::{Client, House};

use crate::xep0163_pep::tests::*;

const NODE: &str = "urn:xmpp:bookmarks:1";
const PRIVATE: &[(&str, &str)] =
    &[("persist_items", "true"), ("max_items", "max"), ("send_last_published_item", "never"), ("access_model", "whitelist")];

fn bookmark(house: &mut House, who: &Client, jid: &str, inside: &str) {
    ok(&publish_with(house, who, None, NODE, jid, inside, PRIVATE));
}

fn play(inside: &str) -> String {
    format!("<conference xmlns='{NODE}' name='The Play' autojoin='true'><nick>JC</nick>{inside}</conference>")
}

fn private_get(house: &mut House, who: &Client) -> String {
    let query = "<query xmlns='jabber:iq:private'><storage xmlns='storage:bookmarks'/></query>";
    house.iq(who, "get", None, query).as_str().to_owned()
}

fn private_set(house: &mut House, who: &Client, inside: &str) {
    let query = format!("<query xmlns='jabber:iq:private'><storage xmlns='storage:bookmarks'>{inside}</storage></query>");
    ok(&house.iq(who, "set", None, &query));
}

#[test]
fn s6_3_1_items_are_a_list_in_private_xml() {
    let mut house = house();
    let juliet = house.login("juliet@house/new");
    bookmark(&mut house, &juliet, "theplay@rooms.house", &play(""));
    bookmark(&mut house, &juliet, "orchard@rooms.house", &format!("<conference xmlns='{NODE}'/>"));
    let list = private_get(&mut house, &juliet);
    let first = "<conference jid='theplay@rooms.house' name='The Play' autojoin='true'><nick>JC</nick></conference>";
    assert!(
        list.contains(&format!("<storage xmlns='storage:bookmarks'>{first}<conference jid='orchard@rooms.house'")),
        "{list}"
    );
    ok(&ask(
        &mut house,
        &juliet,
        "set",
        None,
        &format!("<retract node='{NODE}' notify='1'><item id='theplay@rooms.house'/></retract>"),
    ));
    assert!(!private_get(&mut house, &juliet).contains("theplay"));
}

#[test]
fn s6_3_2_a_list_changes_the_items_that_differ_and_no_others() {
    let mut house = house();
    let new = house.login("juliet@house/new");
    let old = house.online("juliet@house/old");
    wants(&mut house, &new, &[NODE]);
    let extended = play("<extensions><notify xmlns='urn:xmpp:notification-settings:1'><never/></notify></extensions>");
    bookmark(&mut house, &new, "theplay@rooms.house", &extended);
    bookmark(&mut house, &new, "orchard@rooms.house", &format!("<conference xmlns='{NODE}' name='Orchard'/>"));
    house.recv(&new);
    private_set(
        &mut house,
        &old,
        "<conference jid='theplay@rooms.house' name='The Play' autojoin='1'><nick>JC</nick></conference>\
         <conference jid='cave@rooms.house' name='Cave' autojoin='0'><password>sesame</password></conference>\
         <url name='Complete works' url='http://the-tech.mit.edu/Shakespeare/'/>",
    );
    let told = events(&house.recv(&new));
    assert_eq!(told.len(), 2, "no notification for what is as it was: {told:?}");
    assert!(told[0].contains("<item id='cave@rooms.house'>") && told[0].contains("<password>sesame</password>"), "{}", told[0]);
    assert!(told[1].contains("<retract id='orchard@rooms.house'/>"), "{}", told[1]);
    let all = items(&mut house, &new, None, NODE);
    assert_eq!(ids(&all), ["theplay@rooms.house", "cave@rooms.house"]);
    // 0492: what an old client does not know survives it, also when it changes the room.
    private_set(
        &mut house,
        &old,
        "<conference jid='theplay@rooms.house' name='Renamed' autojoin='0'><nick>JC</nick></conference>",
    );
    let all = items(&mut house, &new, None, NODE);
    assert!(
        all.contains("name='Renamed'") && all.contains("<notify xmlns='urn:xmpp:notification-settings:1'><never/></notify>"),
        "{all}"
    );
    private_set(&mut house, &old, "<url name='Works' url='http://x/'/>");
    let list = private_get(&mut house, &old);
    assert!(list.contains("<url") && list.contains("http://x/") && !list.contains("<conference"), "{list}");
}

/// Section 5.1: the id is the room's JID; not every client writes it as it is compared (RFC 7622).
#[test]
fn s6_3_2_a_list_that_did_not_change_changes_nothing_however_an_id_is_written() {
    let mut house = house();
    let new = house.login("juliet@house/new");
    let old = house.online("juliet@house/old");
    wants(&mut house, &new, &[NODE]);
    bookmark(&mut house, &new, "ThePlay@Rooms.house", &play(""));
    bookmark(&mut house, &new, "@nobody", &format!("<conference xmlns='{NODE}' name='no room'/>"));
    house.recv(&new);
    let list = private_get(&mut house, &old);
    assert!(list.contains("<conference jid='theplay@rooms.house' name='The Play'") && !list.contains("no room"), "{list}");
    let rooms = list.split_once("<storage xmlns='storage:bookmarks'>").and_then(|(_, rest)| rest.split_once("</storage>"));
    private_set(&mut house, &old, rooms.expect("a list").0);
    assert_eq!(events(&house.recv(&new)), [""; 0]);
    // A change of it is a change of this very item; and without it, it goes.
    private_set(
        &mut house,
        &old,
        "<conference jid='theplay@rooms.house' name='Renamed' autojoin='1'><nick>JC</nick></conference>",
    );
    let told = events(&house.recv(&new));
    assert!(told.len() == 1 && told[0].contains("<item id='ThePlay@Rooms.house'") && told[0].contains("Renamed"), "{told:?}");
    private_set(&mut house, &old, "");
    let told = events(&house.recv(&new));
    assert!(told.len() == 1 && told[0].contains("<retract id='ThePlay@Rooms.house'/>"), "{told:?}");
    assert_eq!(ids(&items(&mut house, &new, None, NODE)), ["@nobody"]);
}

#[test]
fn compat_pep_the_old_node_both_ways() {
    let mut house = house();
    let old = house.login("juliet@house/old");
    let new = house.login("juliet@house/new");
    wants(&mut house, &old, &["storage:bookmarks"]);
    wants(&mut house, &new, &[NODE]);
    let list = "<storage xmlns='storage:bookmarks'><conference jid='theplay@rooms.house' name='The Play'/></storage>";
    ok(&publish_with(&mut house, &old, None, "storage:bookmarks", "current", list, &[("access_model", "whitelist")]));
    house.recv(&old);
    assert_eq!(events(&house.recv(&new)).len(), 1);
    assert_eq!(ids(&items(&mut house, &new, None, NODE)), ["theplay@rooms.house"]);
    bookmark(&mut house, &new, "cave@rooms.house", &format!("<conference xmlns='{NODE}' name='Cave'/>"));
    let told = events(&house.recv(&old)).concat();
    assert!(told.contains("theplay@rooms.house") && told.contains("jid='cave@rooms.house' name='Cave'"), "{told}");
    assert!(items(&mut house, &old, None, "storage:bookmarks").contains("cave@rooms.house"));
    // Once, not for ever.
    house.nothing(&old);
}

#[test]
fn compat_pep_who_knows_only_the_old_node_sees_all_rooms_before_writing_a_list() {
    let mut house = house();
    let new = house.login("juliet@house/new");
    bookmark(&mut house, &new, "theplay@rooms.house", &play(""));
    bookmark(&mut house, &new, "orchard@rooms.house", &format!("<conference xmlns='{NODE}'/>"));
    // Siskin asks for nothing: it knows what it was told with its presence, and writes that and one more.
    let old = house.login("juliet@house/old");
    let told = events(&wants(&mut house, &old, &["storage:bookmarks"])).concat();
    let list = items(&mut house, &old, None, "storage:bookmarks");
    for list in [told, list] {
        assert!(list.contains("jid='theplay@rooms.house'") && list.contains("jid='orchard@rooms.house'"), "{list}");
    }
    // XEP-0223: nobody else's.
    let romeo = house.login("romeo@house/orchard");
    let stranger = items(&mut house, &romeo, Some("juliet@house"), "storage:bookmarks");
    assert!(!stranger.contains("theplay"), "{stranger}");
}

/// As an earlier version of the house has kept it.
fn put(house: &House, who: &str, list: &str) {
    let owner = std::sync::Arc::new(std::sync::Mutex::new(None));
    let (slot, name) = (owner.clone(), who.to_owned());
    let read = Read::Owners { suffix: "@house".into(), after: None, max: 10, shelf: Shelf::record("login") };
    let answer = Box::new(move |rows| {
        if let Ok(Rows::Owners(owners)) = rows {
            *slot.lock().expect("the owner") = owners.into_iter().find(|it| *it.name == *name).map(|it| it.owner);
        }
    });
    house.store.read(0, read, answer);
    let owner = owner.lock().expect("the owner").expect("an owner");
    let (shelf, key) = (crate::xep0049_private::SHELF, super::PRIVATE_KEY.into());
    let mut set = WriteSet::default();
    set.push(Write::Put { owner, shelf, key, value: list.to_owned().into() });
    house.store.submit(set, house.store.progress().epoch);
}

#[test]
fn a_list_from_before_becomes_items() {
    let mut house = house();
    house.user("juliet@house");
    let list = "<storage xmlns='storage:bookmarks'><conference jid='theplay@rooms.house' name='The Play'/><url name='W' url='http://x/'/></storage>";
    put(&house, "juliet@house", list);
    let mut house = house.restart(crate::ROOMS, Duration::from_secs(1));
    let juliet = house.login("juliet@house/new");
    assert_eq!(ids(&items(&mut house, &juliet, None, NODE)), ["theplay@rooms.house"]);
    let list = private_get(&mut house, &juliet);
    assert_eq!(list.matches("theplay@rooms.house").count(), 1, "{list}");
    assert!(list.contains("http://x/"));
    // For oneself only.
    house.friends("romeo@house", "juliet@house");
    let romeo = house.login("romeo@house/orchard");
    let answer = ask(&mut house, &romeo, "get", Some("juliet@house"), &format!("<items node='{NODE}'/>"));
    error(&answer, "cancel", "not-allowed", "closed-node");
}

#[test]
fn what_is_no_list_and_no_room_harms_nothing() {
    let mut house = house();
    let juliet = house.login("juliet@house/x");
    private_set(
        &mut house,
        &juliet,
        "<conference/><conference jid='@@'/><conference jid='a@b' name='1'/><conference jid='A@b' name='2'/>",
    );
    let all = items(&mut house, &juliet, None, NODE);
    assert_eq!(ids(&all), ["a@b"]);
    assert!(all.contains("name='2'"));
    ok(&publish(&mut house, &juliet, NODE, "junk", "<x xmlns='urn:x'/>"));
    let list = private_get(&mut house, &juliet);
    assert!(list.contains("jid='a@b'") && !list.contains("junk"), "{list}");
    let answer = house.iq(&juliet, "get", None, "<query xmlns='http://jabber.org/protocol/disco#info'/>").as_str().to_owned();
    for feature in ["urn:xmpp:bookmarks:1#compat", "urn:xmpp:bookmarks:1#compat-pep"] {
        assert!(answer.contains(&format!("<feature var='{feature}'/>")), "{feature}");
    }
}
