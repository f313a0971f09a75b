//! XEP-0442: the archives of nodes.

use iris_core::Stanza;
use iris_engine::testing::{Client, House};

use super::*;

pub(super) fn query(house: &mut House, who: &Client, node: &str, inside: &str) -> (Vec<String>, Stanza) {
    house.recv(who);
    let query = format!("<query xmlns='urn:xmpp:mam:2' queryid='q' node='{node}'>{inside}</query>");
    house.send(who, &format!("<iq type='set' id='mam' to='{SERVICE}'>{query}</iq>"));
    let mut heard = house.recv(who);
    let end = heard.pop().expect("an answer");
    (heard.iter().map(|it| it.as_str().to_owned()).collect(), end)
}

#[test]
fn s2_items_come_as_they_were_announced_one_by_one() {
    let (mut house, [romeo, juliet, nurse]) = scene(&[]);
    ok(&create(&mut house, &romeo, "other", &[]));
    ok(&subscribe(&mut house, &juliet, "n"));
    for id in ["1", "2", "3"] {
        ok(&publish(&mut house, &romeo, "n", id, &format!("<x xmlns='urn:x'>{id}</x>")));
        ok(&publish(&mut house, &romeo, "other", "o", X));
    }
    let announced = house.hear(&juliet);
    let (found, end) = query(&mut house, &nurse, "n", "");
    ok(&end);
    assert!(end.as_str().contains("complete='true'"), "{}", end.as_str());
    assert_eq!(found.len(), 3);
    for (found, announced) in found.iter().zip(&announced) {
        let event = announced.split_once("<event ").and_then(|(_, it)| it.split_once("</event>")).map(|(it, _)| it);
        assert!(found.contains(event.expect("an event")), "{found}\n{announced}");
        assert!(found.contains("<result xmlns='urn:xmpp:mam:2' queryid='q' id='") && found.contains("<delay "), "{found}");
    }
    // A page of it, and back.
    let set = |inside: &str| format!("<set xmlns='http://jabber.org/protocol/rsm'>{inside}</set>");
    let (found, end) = query(&mut house, &nurse, "n", &set("<max>1</max><before/>"));
    assert!(found.len() == 1 && found[0].contains("<item id='3'"), "{found:?}");
    let first = end.as_str().split_once("<first").and_then(|(_, it)| it.split_once('>')).and_then(|(_, it)| it.split_once('<'));
    let first = first.expect("a place").0.to_owned();
    let (found, _) = query(&mut house, &nurse, "n", &set(&format!("<max>5</max><before>{first}</before>")));
    assert_eq!(found.len(), 2);
    // A place in one archive is none in another.
    let (_, end) = query(&mut house, &nurse, "other", &set(&format!("<after>{first}</after>")));
    error(&end, "cancel", "item-not-found", "");
}

/// "in the same manner as the notifications sent to subscribers for the item, except … 'from' 'to' and 'id'".
#[test]
fn s3_an_item_looks_as_the_notification_that_announces_it() {
    let (mut house, [romeo, juliet, nurse]) = scene(&[]);
    ok(&subscribe(&mut house, &juliet, "n"));
    for (n, config) in [
        ("notification_type", "normal"),
        ("notification_type", "headline"),
        ("itemreply", "owner"),
        ("itemreply", "publisher"),
        ("itemreply", "none"),
        ("deliver_payloads", "0"),
    ]
    .into_iter()
    .enumerate()
    {
        ok(&configure(&mut house, &romeo, "n", &[config]));
        house.recv(&juliet);
        ok(&publish(&mut house, &romeo, "n", &format!("{n}"), "<x xmlns='urn:x'>&apos;</x>"));
        let announced = house.one(&juliet);
        let (found, _) = query(&mut house, &nurse, "n", "");
        let last = found.last().expect("an item");
        let message = last.split_once("<message xmlns='jabber:client'").expect("a message").1;
        let kind = announced.attr("type").expect("a type");
        assert!(message.starts_with(&format!(" type='{kind}'>")), "{message}");
        let (_, event) = announced.as_str().split_once("<event").expect("an event");
        let event = event.split_once("</message>").expect("an end").0;
        assert!(message.contains(event), "{config:?}: {message}\n{event}");
    }
    // Of what was published while the node named nobody nobody is named.
    ok(&configure(&mut house, &romeo, "n", &[("itemreply", "publisher")]));
    let (found, _) = query(&mut house, &nurse, "n", "");
    assert_eq!(found.iter().filter(|it| it.contains("publisher='romeo@house'")).count(), 3);
    assert!(found.iter().all(|it| !it.contains("publisher=''")), "{found:?}");
}

/// Security D4: what was taken back is gone.
#[test]
fn d4_what_was_retracted_is_in_no_archive() {
    let (mut house, [romeo, juliet, _]) = scene(&[]);
    for id in ["1", "2", "3"] {
        ok(&publish(&mut house, &romeo, "n", id, X));
    }
    ok(&ask(&mut house, &romeo, "set", "<retract node='n'><item id='1'/></retract>"));
    ok(&publish(&mut house, &romeo, "n", "2", "<x xmlns='urn:x'>again</x>"));
    let (found, _) = query(&mut house, &juliet, "n", "");
    assert_eq!(found.len(), 2);
    assert!(found[0].contains("<item id='3'") && found[1].contains("again"), "{found:?}");
    ok(&own(&mut house, &romeo, "set", "<delete node='n'/>"));
    ok(&create(&mut house, &romeo, "n", &[]));
    assert!(query(&mut house, &juliet, "n", "").0.is_empty());
}

#[test]
fn d4_who_may_not_read_the_node_may_not_read_its_archive() {
    let (mut house, [romeo, juliet, nurse]) = scene(&[("access_model", "whitelist")]);
    ok(&affiliate(&mut house, &romeo, "n", "nurse@house", "member"));
    ok(&publish(&mut house, &romeo, "n", "1", X));
    error(&query(&mut house, &juliet, "n", "").1, "cancel", "not-allowed", "closed-node");
    assert_eq!(query(&mut house, &nurse, "n", "").0.len(), 1);
    error(&query(&mut house, &nurse, "m", "").1, "cancel", "item-not-found", "");
    let without = "<query xmlns='urn:xmpp:mam:2'/>";
    error(&house.iq(&nurse, "set", Some(SERVICE), without), "modify", "bad-request", "");
    ok(&create(&mut house, &romeo, "c", &[("node_type", "collection")]));
    error(&query(&mut house, &romeo, "c", "").1, "cancel", "feature-not-implemented", "");
}

#[test]
fn s2_by_publisher_and_by_id() {
    let (mut house, [romeo, juliet, nurse]) = scene(&[("publish_model", "open")]);
    ok(&publish(&mut house, &romeo, "n", "his", X));
    ok(&publish(&mut house, &juliet, "n", "hers", X));
    let form = |var: &str, value: &str| {
        format!(
            "<x xmlns='jabber:x:data' type='submit'><field var='FORM_TYPE'><value>urn:xmpp:mam:2</value></field>\
             <field var='{var}'><value>{value}</value></field></x>"
        )
    };
    let (found, _) = query(&mut house, &nurse, "n", &form("with", "juliet@house"));
    assert!(found.len() == 1 && found[0].contains("<item id='hers'"), "{found:?}");
    let id = found[0].split_once(" id='").and_then(|(_, it)| it.split_once('\'')).map(|(id, _)| id.to_owned());
    let (found, _) = query(&mut house, &nurse, "n", &form("ids", &id.expect("an id")));
    assert!(found.len() == 1 && found[0].contains("<item id='hers'"), "{found:?}");
    ok(&house.iq(&nurse, "get", Some(SERVICE), "<query xmlns='urn:xmpp:mam:2' node='n'/>"));
}

/// XEP-0060 12.14: what a node does not say any more, its archive does not say either.
#[test]
fn an_archive_names_publishers_as_long_as_the_node_does() {
    let (mut house, [romeo, juliet, nurse]) = scene(&[("publish_model", "open")]);
    ok(&publish(&mut house, &juliet, "n", "1", X));
    let (found, _) = query(&mut house, &nurse, "n", "");
    assert!(found.len() == 1 && found[0].contains("publisher='juliet@house"), "{found:?}");
    ok(&configure(&mut house, &romeo, "n", &[("itemreply", "none")]));
    let (found, end) = query(&mut house, &nurse, "n", "");
    ok(&end);
    assert!(found.len() == 1 && found[0].contains("<item id='1'>") && !found[0].contains("juliet"), "{found:?}");
    let with = "<x xmlns='jabber:x:data' type='submit'><field var='FORM_TYPE'><value>urn:xmpp:mam:2</value></field>\
        <field var='with'><value>juliet@house</value></field></x>";
    let (found, _) = query(&mut house, &nurse, "n", with);
    assert!(found.is_empty(), "{found:?}");
}

/// XEP-0313 12 and 5: what the extended archive is made of; 4.1.5: and no field that would find nothing.
#[test]
fn xep0313_s12_the_archive_of_a_node_is_an_extended_one() {
    let (mut house, [romeo, juliet, _]) = scene(&[]);
    for (id, nothing) in [("1", true), ("2", false)] {
        let ends = house.iq(&juliet, "get", Some(SERVICE), "<metadata xmlns='urn:xmpp:mam:2' node='n'/>");
        ok(&ends);
        assert_eq!(!ends.as_str().contains("<start"), nothing, "{}", ends.as_str());
        ok(&publish(&mut house, &romeo, "n", id, X));
    }
    let (found, _) = query(&mut house, &juliet, "n", "");
    let ends = house.iq(&juliet, "get", Some(SERVICE), "<metadata xmlns='urn:xmpp:mam:2' node='n'/>");
    for (end, found) in [("start", &found[0]), ("end", &found[1])] {
        let id = found.split_once("queryid='q' id='").and_then(|(_, it)| it.split_once('\'')).expect("an id").0;
        assert!(ends.as_str().contains(&format!("<{end} id='{id}' timestamp='")), "{}", ends.as_str());
    }
    for node in ["", " node='n'"] {
        let info =
            house.iq(&juliet, "get", Some(SERVICE), &format!("<query xmlns='http://jabber.org/protocol/disco#info'{node}/>"));
        assert!(info.as_str().contains("'urn:xmpp:mam:2#extended'"), "{}", info.as_str());
    }
    let form = house.iq(&juliet, "get", Some(SERVICE), "<query xmlns='urn:xmpp:mam:2' node='n'/>");
    for (var, value) in [("{urn:xmpp:fulltext:0}fulltext", "x"), ("include-groupchat", "true")] {
        assert!(!form.as_str().contains(var), "{}", form.as_str());
        let asked = format!(
            "<x xmlns='jabber:x:data' type='submit'><field var='FORM_TYPE'><value>urn:xmpp:mam:2</value></field>\
             <field var='{var}'><value>{value}</value></field></x>"
        );
        error(&query(&mut house, &juliet, "n", &asked).1, "cancel", "feature-not-implemented", "");
    }
    ok(&ask(&mut house, &romeo, "set", "<retract node='n'><item id='1'/></retract>"));
    error(
        &house.iq(&juliet, "get", Some(SERVICE), "<metadata xmlns='urn:xmpp:mam:2' node='m'/>"),
        "cancel",
        "item-not-found",
        "",
    );
}
