//! 4.3 for contacts on other servers: their clients say what they want to hear of, and their server passes it on.

use iris_core::Stanza;
use iris_engine::testing::{Client, House};

use super::*;

const BENVOLIO: &str = "benvolio@montague.test/street";

/// Romeo, and benvolio of another server who sees his presence.
fn house_with_benvolio() -> (House, Client) {
    let mut house = house();
    house.federate();
    let romeo = house.online("romeo@house/orchard");
    house.far_says("<presence from='benvolio@montague.test' to='romeo@house' type='subscribe'/>");
    house.send(&romeo, "<presence to='benvolio@montague.test' type='subscribed'/>");
    house.far();
    house.recv(&romeo);
    (house, romeo)
}

/// He comes, or says anew what his client can do, and answers what he is asked. What he has been told meanwhile.
fn benvolio_wants(house: &mut House, nodes: &[&str]) -> Vec<Stanza> {
    let (inside, ver) = features(nodes);
    house.far_says(&format!("<presence from='{BENVOLIO}' to='romeo@house'>{}</presence>", caps(&ver)));
    let mut heard = house.far();
    let asks = |it: &&Stanza| it.attr("type").as_deref() == Some("get") && it.as_str().contains("disco#info");
    if let Some(question) = heard.iter().find(asks) {
        let (id, from) = (question.id().expect("an id"), question.from().expect("an asker"));
        assert_eq!(question.to().as_deref(), Some(BENVOLIO));
        let query = format!("<query xmlns='http://jabber.org/protocol/disco#info'>{inside}</query>");
        house.far_says(&format!("<iq from='{BENVOLIO}' to='{from}' type='result' id='{id}'>{query}</iq>"));
        heard = house.far();
    }
    heard
}

#[test]
fn s4_3_2_a_client_elsewhere_that_wants_news_gets_them() {
    let (mut house, romeo) = house_with_benvolio();
    assert!(benvolio_wants(&mut house, &[TUNE]).is_empty());
    publish(&mut house, &romeo, TUNE, "1", SONG);
    publish(&mut house, &romeo, "urn:other", "1", "<x xmlns='urn:other'/>");
    let heard = house.far();
    assert_eq!(heard.len(), 1, "of what it wants");
    assert_eq!((heard[0].from().as_deref(), heard[0].to().as_deref()), (Some("romeo@house"), Some(BENVOLIO)));
    assert!(heard[0].as_str().contains("<title>Introduction</title>"));
    // Another client with the same capabilities is not asked, and what has been said lately it is told.
    let (_, ver) = features(&[TUNE]);
    house.far_says(&format!("<presence from='benvolio@montague.test/home' to='romeo@house'>{}</presence>", caps(&ver)));
    let heard = house.far();
    assert_eq!(heard.len(), 1);
    assert_eq!(heard[0].to().as_deref(), Some("benvolio@montague.test/home"));
    assert!(heard[0].as_str().contains("<title>Introduction</title>"));
}

#[test]
fn s4_3_4_the_last_item_is_sent_once() {
    let (mut house, romeo) = house_with_benvolio();
    publish(&mut house, &romeo, TUNE, "1", SONG);
    assert!(house.far().is_empty(), "nobody wants it yet");
    assert_eq!(benvolio_wants(&mut house, &[TUNE]).len(), 1);
    assert!(benvolio_wants(&mut house, &[TUNE]).is_empty(), "the same presence again");
    // It goes, and comes again.
    house.far_says(&format!("<presence from='{BENVOLIO}' to='romeo@house' type='unavailable'/>"));
    publish(&mut house, &romeo, TUNE, "2", SONG);
    assert!(house.far().is_empty(), "it has gone");
    assert_eq!(benvolio_wants(&mut house, &[TUNE]).len(), 1);
}

#[test]
fn d3_nobody_elsewhere_is_told_what_they_may_not_see() {
    let (mut house, romeo) = house_with_benvolio();
    publish(&mut house, &romeo, TUNE, "1", SONG);
    // A stranger says what he would like to hear, and is not even asked.
    let (_, ver) = features(&[TUNE]);
    house.far_says(&format!("<presence from='tybalt@capulet.test/sword' to='romeo@house'>{}</presence>", caps(&ver)));
    assert!(house.far().is_empty());
    // A hash that is not of what is said proves nothing.
    let (inside, _) = features(&[TUNE]);
    house.far_says(&format!("<presence from='{BENVOLIO}' to='romeo@house'>{}</presence>", caps("wrong")));
    let asked = house.far();
    let (id, from) = (asked[0].id().expect("an id"), asked[0].from().expect("an asker"));
    let query = format!("<query xmlns='http://jabber.org/protocol/disco#info'>{inside}</query>");
    house.far_says(&format!("<iq from='{BENVOLIO}' to='{from}' type='result' id='{id}'>{query}</iq>"));
    assert!(house.far().is_empty());
    // Who is a friend no more hears nothing more.
    assert_eq!(benvolio_wants(&mut house, &[TUNE]).len(), 1);
    house.send(&romeo, "<presence to='benvolio@montague.test' type='unsubscribed'/>");
    house.far();
    publish(&mut house, &romeo, TUNE, "2", SONG);
    assert!(house.far().is_empty());
}
