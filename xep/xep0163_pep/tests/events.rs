//! Sections 3 and 4: what is published, and who hears of it.

use std::time::Duration;

use super::*;

const JULIET: &str = "juliet@house/balcony";
const ROMEO: &str = "romeo@house/orchard";

#[test]
fn s1_2_news_reach_those_who_want_them_and_nobody_else() {
    let mut house = house();
    house.friends("romeo@house", "juliet@house");
    house.friends("nurse@house", "juliet@house");
    let juliet = house.login(JULIET);
    let chamber = house.login("juliet@house/chamber");
    let romeo = house.login(ROMEO);
    let nurse = house.login("nurse@house/kitchen");
    let mallory = house.login("mallory@house/x");
    wants(&mut house, &juliet, &[TUNE]);
    wants(&mut house, &chamber, &[]);
    wants(&mut house, &romeo, &[TUNE, "urn:other"]);
    wants(&mut house, &nurse, &["urn:other"]);
    wants(&mut house, &mallory, &[TUNE]);
    for client in [&juliet, &chamber, &romeo, &nurse, &mallory] {
        house.recv(client);
    }
    house.feed(
        &juliet,
        &format!("<iq type='set' id='pub1'><pubsub xmlns='http://jabber.org/protocol/pubsub'><publish node='{TUNE}'><item>{SONG}</item></publish></pubsub></iq>"),
    );
    house.run();
    let heard = house.one(&romeo);
    assert_eq!(heard.from().as_deref(), Some("juliet@house"), "from the bare JID");
    assert_eq!((heard.to().as_deref(), heard.attr("type").as_deref()), (Some(ROMEO), Some("headline")));
    assert!(heard.id().is_some());
    let event = format!("<event xmlns='http://jabber.org/protocol/pubsub#event'><items node='{TUNE}'><item id='");
    assert!(heard.as_str().contains(&event) && heard.as_str().contains(SONG), "{}", heard.as_str());
    let own = house.recv(&juliet);
    assert!(own.iter().any(|it| it.as_str().contains("<publish node=")), "the result with the id of the item");
    assert_eq!(events(&own).len(), 1, "the publishing resource too (section 1.2)");
    for client in [&chamber, &nurse, &mallory] {
        house.nothing(client);
    }
}

#[test]
fn s4_3_4_the_last_item_when_a_resource_becomes_available_and_not_with_later_presence() {
    let mut house = house();
    house.friends("romeo@house", "juliet@house");
    let juliet = house.login(JULIET);
    publish(&mut house, &juliet, TUNE, "1", SONG);
    let romeo = house.login(ROMEO);
    let heard = events(&wants(&mut house, &romeo, &[TUNE]));
    assert_eq!(heard.len(), 1, "{heard:?}");
    assert!(
        heard[0].contains(SONG) && heard[0].contains("<delay xmlns='urn:xmpp:delay' from='juliet@house' stamp='2026-01-01T")
    );
    house.recv(&romeo);
    let (_, ver) = features(&[TUNE]);
    house.send(&romeo, &format!("<presence><show>away</show>{}</presence>", caps(&ver)));
    assert!(events(&house.recv(&romeo)).is_empty(), "not with later presence");
    house.send(&romeo, "<presence type='unavailable'/>");
    house.recv(&romeo);
    // The hash is known now: it comes in the same turn as the contact's presence, nobody is asked.
    let heard = wants(&mut house, &romeo, &[TUNE]);
    assert_eq!(events(&heard).len(), 1);
    assert!(!heard.iter().any(|it| it.as_str().contains("disco#info")));
    // And one's own.
    let tablet = house.login("juliet@house/tablet");
    assert_eq!(events(&wants(&mut house, &tablet, &[TUNE])).len(), 1);
}

#[test]
fn s4_3_4_of_somebody_who_sleeps_and_after_a_restart() {
    let mut house = house();
    house.friends("romeo@house", "juliet@house");
    let juliet = house.login(JULIET);
    publish(&mut house, &juliet, TUNE, "1", SONG);
    house.close(&juliet);
    let mut house = house.restart(crate::ROOMS, Duration::from_secs(5));
    let romeo = house.login(ROMEO);
    assert_eq!(events(&wants(&mut house, &romeo, &[TUNE])).len(), 1, "read from disk");
}

#[test]
fn what_a_client_wants_additionally_it_is_told_then() {
    let mut house = house();
    house.friends("romeo@house", "juliet@house");
    let juliet = house.login(JULIET);
    publish(&mut house, &juliet, TUNE, "1", SONG);
    publish(&mut house, &juliet, "urn:mood", "1", "<mood xmlns='urn:mood'/>");
    let romeo = house.login(ROMEO);
    wants(&mut house, &romeo, &[TUNE]);
    let heard = events(&wants(&mut house, &romeo, &[TUNE, "urn:mood"]));
    assert_eq!(heard.len(), 1, "{heard:?}");
    assert!(heard[0].contains("urn:mood"));
}

#[test]
fn s4_3_4_send_last_published_item_is_asked() {
    let mut house = house();
    let juliet = house.login(JULIET);
    publish_with(&mut house, &juliet, None, "urn:b", "1", "<b xmlns='urn:b'/>", &[("send_last_published_item", "never")]);
    let tablet = house.login("juliet@house/tablet");
    assert!(events(&wants(&mut house, &tablet, &["urn:b"])).is_empty());
}

#[test]
fn a_contact_who_is_approved_hears_the_last_item() {
    let mut house = house();
    let juliet = house.online(JULIET);
    publish(&mut house, &juliet, TUNE, "1", SONG);
    let romeo = house.login(ROMEO);
    wants(&mut house, &romeo, &[TUNE]);
    house.send(&romeo, "<presence type='subscribe' to='juliet@house'/>");
    assert!(events(&house.recv(&romeo)).is_empty());
    house.send(&juliet, "<presence type='subscribed' to='romeo@house'/>");
    assert_eq!(events(&house.recv(&romeo)).len(), 1);
}

#[test]
fn c7_and_c8_whoever_is_blocked_or_loses_the_subscription_hears_nothing_more() {
    let mut house = house();
    house.friends("romeo@house", "juliet@house");
    house.friends("nurse@house", "juliet@house");
    let juliet = house.online(JULIET);
    publish(&mut house, &juliet, TUNE, "1", SONG);
    let romeo = house.login(ROMEO);
    let nurse = house.login("nurse@house/kitchen");
    wants(&mut house, &romeo, &[TUNE]);
    wants(&mut house, &nurse, &[TUNE]);
    house.iq(&juliet, "set", None, "<block xmlns='urn:xmpp:blocking'><item jid='romeo@house'/></block>");
    house.send(&juliet, "<presence type='unsubscribed' to='nurse@house'/>");
    house.recv(&romeo);
    house.recv(&nurse);
    publish(&mut house, &juliet, TUNE, "2", SONG);
    assert!(events(&house.recv(&romeo)).is_empty());
    assert!(events(&house.recv(&nurse)).is_empty());
    let answer = ask(&mut house, &romeo, "get", Some("juliet@house"), &format!("<items node='{TUNE}'/>"));
    assert!(answer.as_str().contains("service-unavailable"), "{}", answer.as_str());
    let answer = ask(&mut house, &nurse, "get", Some("juliet@house"), &format!("<items node='{TUNE}'/>"));
    error(&answer, "auth", "not-authorized", "presence-subscription-required");
    // Nor the last item, in the next life.
    house.send(&romeo, "<presence type='unavailable'/>");
    house.send(&nurse, "<presence type='unavailable'/>");
    assert!(events(&wants(&mut house, &romeo, &[TUNE])).is_empty());
    assert!(events(&wants(&mut house, &nurse, &[TUNE])).is_empty());
}

#[test]
fn r23_news_are_not_shown_before_they_are_kept() {
    let mut house = iris_engine::testing::House::manual(crate::ROOMS);
    house.user("juliet@house");
    house.store.commit();
    house.run();
    let juliet = house.login(JULIET);
    let (inside, ver) = features(&[TUNE]);
    house.send(&juliet, &format!("<presence>{}</presence>", caps(&ver)));
    let heard = house.recv(&juliet);
    answer_disco(&mut house, &juliet, &heard, &inside);
    house.send(&juliet, &format!("<iq type='set' id='p'><pubsub xmlns='http://jabber.org/protocol/pubsub'><publish node='{TUNE}'><item>{SONG}</item></publish></pubsub></iq>"));
    house.nothing(&juliet);
    house.store.commit();
    house.run();
    let heard = house.recv(&juliet);
    assert_eq!((heard.len(), events(&heard).len()), (2, 1));
}

/// XEP-0060 12.2: "The entity gains access to the node because of a change to the node access model".
#[test]
fn s12_2_whom_a_node_is_opened_to_gets_its_last_item() {
    let mut house = house();
    house.friends("romeo@house", "juliet@house");
    house.friends("nurse@house", "juliet@house");
    let (juliet, romeo, nurse) = (house.login(JULIET), house.login(ROMEO), house.login("nurse@house/kitchen"));
    ok(&publish_with(&mut house, &juliet, None, TUNE, "1", SONG, &[("access_model", "whitelist")]));
    wants(&mut house, &romeo, &[TUNE]);
    wants(&mut house, &nurse, &["urn:other"]);
    for client in [&juliet, &romeo, &nurse] {
        house.recv(client);
    }
    ok(&configure(&mut house, &juliet, TUNE, &[("title", "still closed")]));
    house.nothing(&romeo);
    ok(&configure(&mut house, &juliet, TUNE, &[("access_model", "presence")]));
    let heard = events(&house.recv(&romeo));
    assert!(heard.len() == 1 && heard[0].contains(SONG) && heard[0].contains("<delay "), "{heard:?}");
    house.nothing(&nurse);
    ok(&configure(&mut house, &juliet, TUNE, &[("access_model", "open")]));
    house.nothing(&romeo);
}
