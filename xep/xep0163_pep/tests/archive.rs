//! XEP-0442 on the nodes of an account.

use iris_core::Stanza;
use iris_engine::testing::{Client, House};

use super::*;

const NODE: &str = "urn:play:notes";

/// Romeo's node with three items; Juliet sees his presence, the nurse does not.
fn scene() -> (House, [Client; 3]) {
    let mut house = house();
    house.friends("romeo@house", "juliet@house");
    let people = ["romeo@house/orchard", "juliet@house/balcony", "nurse@house/hall"].map(|jid| house.online(jid));
    for n in 1..=3 {
        let item = format!("<publish node='{NODE}'><item id='{n}'><x xmlns='urn:x'>{n}</x></item></publish>");
        let options = "<publish-options><x xmlns='jabber:x:data' type='submit'><field var='FORM_TYPE' type='hidden'>\
             <value>http://jabber.org/protocol/pubsub#publish-options</value></field>\
             <field var='pubsub#max_items'><value>10</value></field></x></publish-options>";
        let pubsub = format!("<pubsub xmlns='http://jabber.org/protocol/pubsub'>{item}{options}</pubsub>");
        let answer = house.iq(&people[0], "set", None, &pubsub);
        assert_eq!(answer.attr("type").as_deref(), Some("result"), "{}", answer.as_str());
    }
    people.iter().for_each(|who| drop(house.recv(who)));
    (house, people)
}

fn query(house: &mut House, who: &Client, to: &str, inside: &str) -> (Vec<String>, Stanza) {
    query_of(house, who, to, NODE, inside)
}

fn query_of(house: &mut House, who: &Client, to: &str, node: &str, inside: &str) -> (Vec<String>, Stanza) {
    house.recv(who);
    let query = format!("<query xmlns='urn:xmpp:mam:2' queryid='q' node='{node}'>{inside}</query>");
    house.send(who, &format!("<iq type='set' id='mam'{to}>{query}</iq>"));
    let mut heard = house.recv(who);
    let end = heard.pop().expect("an answer");
    (heard.iter().map(|it| it.as_str().to_owned()).collect(), end)
}

const TO: &str = " to='romeo@house'";

#[test]
fn s2_whoever_may_read_a_node_reads_its_archive() {
    let (mut house, [romeo, juliet, nurse]) = scene();
    for (who, to) in [(&romeo, ""), (&romeo, TO), (&juliet, TO)] {
        let (found, end) = query(&mut house, who, to, "");
        assert!(end.as_str().contains("complete='true'") && end.as_str().contains("<count>3</count>"), "{}", end.as_str());
        assert_eq!(found.len(), 3, "{found:?}");
        for (n, found) in found.iter().enumerate() {
            let item = format!("<items node='{NODE}'><item id='{0}'><x xmlns='urn:x'>{0}</x></item></items>", n + 1);
            let event = format!("<event xmlns='http://jabber.org/protocol/pubsub#event'>{item}</event></message>");
            assert!(found.contains(&event) && found.contains("from='romeo@house'"), "{found}");
            assert!(found.contains("<result xmlns='urn:xmpp:mam:2' queryid='q' id='") && found.contains("<delay "), "{found}");
        }
    }
    // Security D4, B10: a stranger is told what the node tells them; of one that is not there what is told of nobody.
    let (found, end) = query(&mut house, &nurse, TO, "");
    assert!(found.is_empty() && end.as_str().contains("presence-subscription-required"), "{}", end.as_str());
    let (_, of_nothing) = query_of(&mut house, &nurse, TO, "none", "");
    let (_, of_nobody) = query_of(&mut house, &nurse, " to='nobody@house'", "none", "");
    for refused in [&of_nothing, &of_nobody] {
        assert!(refused.as_str().contains("<service-unavailable "), "{}", refused.as_str());
    }
    // Nobody reads an account's own archive by leaving the node out.
    for without in ["<query xmlns='urn:xmpp:mam:2'/>", "<query xmlns='urn:xmpp:mam:2' node=''/>"] {
        let refused = house.iq(&juliet, "set", Some("romeo@house"), without);
        assert!(refused.as_str().contains("<service-unavailable "), "{}", refused.as_str());
    }
    assert!(query_of(&mut house, &juliet, TO, "none", "").1.as_str().contains("<item-not-found "));
}

#[test]
fn s2_pages_bounds_and_what_is_gone() {
    let (mut house, [romeo, juliet, _]) = scene();
    let set = |inside: &str| format!("<set xmlns='http://jabber.org/protocol/rsm'>{inside}</set>");
    let ids = |found: &[String]| -> Vec<String> {
        let id =
            |it: &String| it.split_once("<item id='").and_then(|(_, it)| it.split_once('\'')).expect("an item").0.to_owned();
        found.iter().map(id).collect()
    };
    let place = |end: &Stanza, name: &str| {
        let text = end.as_str().split_once(&format!("<{name}")).and_then(|(_, it)| it.split_once('>')).expect("a place").1;
        text.split('<').next().expect("its end").to_owned()
    };
    let (found, end) = query(&mut house, &juliet, TO, &set("<max>1</max><before/>"));
    assert_eq!(ids(&found), ["3"]);
    let last = place(&end, "last");
    let (found, end) = query(&mut house, &juliet, TO, &set(&format!("<max>1</max><before>{last}</before>")));
    assert!(ids(&found) == ["2"] && !end.as_str().contains("complete"), "{found:?} {}", end.as_str());
    let middle = place(&end, "first");
    let (found, _) = query(&mut house, &romeo, "", &set(&format!("<after>{middle}</after>")));
    assert_eq!(ids(&found), ["3"]);
    let (found, end) = query(&mut house, &romeo, "", &set("<max>0</max>"));
    assert!(found.is_empty() && end.as_str().contains("<count>3</count>"), "{}", end.as_str());
    let field = |var: &str, value: &str| {
        format!("<x xmlns='jabber:x:data' type='submit'><field var='{var}'><value>{value}</value></field></x>")
    };
    assert_eq!(ids(&query(&mut house, &juliet, TO, &field("ids", &middle)).0), ["2"]);
    assert_eq!(query(&mut house, &juliet, TO, &field("start", "2099-01-01T00:00:00Z")).0.len(), 0);
    assert_eq!(query(&mut house, &juliet, TO, &field("end", "2099-01-01T00:00:00Z")).0.len(), 3);
    // The items do not say who published them, so nobody is found by that.
    assert_eq!(query(&mut house, &juliet, TO, &field("with", "romeo@house")).0.len(), 0);
    let metadata = format!("<metadata xmlns='urn:xmpp:mam:2' node='{NODE}'/>");
    let of_node = house.iq(&juliet, "get", Some("romeo@house"), &metadata);
    assert!(of_node.as_str().contains(&format!("<end id='{last}'")), "{}", of_node.as_str());
    let form = house.iq(&juliet, "get", Some("romeo@house"), &format!("<query xmlns='urn:xmpp:mam:2' node='{NODE}'/>"));
    assert!(form.as_str().contains("var='after-id'") && !form.as_str().contains("fulltext"), "{}", form.as_str());
    let info = format!("<query xmlns='http://jabber.org/protocol/disco#info' node='{NODE}'/>");
    assert!(house.iq(&juliet, "get", Some("romeo@house"), &info).as_str().contains("<feature var='urn:xmpp:mam:2'/>"));
    // What was retracted is gone, and its place leads nowhere.
    let retract =
        format!("<pubsub xmlns='http://jabber.org/protocol/pubsub'><retract node='{NODE}'><item id='2'/></retract></pubsub>");
    house.iq(&romeo, "set", None, &retract);
    assert_eq!(ids(&query(&mut house, &juliet, TO, "").0), ["1", "3"]);
    let (_, end) = query(&mut house, &juliet, TO, &set(&format!("<after>{middle}</after>")));
    assert!(end.as_str().contains("<item-not-found "), "{}", end.as_str());
    // It outlives the process, and items that are too large to be at hand are read.
    let mut house = house.restart(crate::ROOMS, std::time::Duration::from_secs(1));
    let juliet = house.online("juliet@house/balcony");
    assert_eq!(ids(&query(&mut house, &juliet, TO, "").0), ["1", "3"]);
}

/// "in the same manner as the notifications".
#[test]
fn s3_items_come_without_payloads_where_news_have_none() {
    let (mut house, [romeo, juliet, _]) = scene();
    configure(&mut house, &romeo, NODE, &[("deliver_payloads", "0"), ("notification_type", "normal")]);
    let (found, _) = query(&mut house, &juliet, TO, "");
    assert_eq!(found.len(), 3);
    assert!(found.iter().all(|it| it.contains(" type='normal'") && !it.contains("urn:x'")), "{found:?}");
}
