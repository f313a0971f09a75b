//! RFC 6121 section 3 as far as it is about the roster: which states make an item, and who is in which list.

use super::*;

const ROMEO: &str = "romeo@example.net";

fn push(change: Option<Change>) -> String {
    change.expect("a change").push.expect("a push")
}

#[test]
fn s3_1_2_a_request_of_ours_makes_an_item_that_asks() {
    let mut house = House::default();
    assert_eq!(
        push(house.sends(Kind::Subscribe, ROMEO)),
        "<query xmlns='jabber:iq:roster' ver='10'><item jid='romeo@example.net' subscription='none' ask='subscribe'/></query>"
    );
    assert!(house.roster.asked().eq([&jid(ROMEO)]));
    assert_eq!(house.sends(Kind::Subscribe, ROMEO), None, "asked again: nothing new");
}

#[test]
fn s3_1_1_a_set_and_a_request_come_in_either_order() {
    let item = "<item jid='romeo@example.net' name='Romeo'><group>Friends</group></item>";
    let (mut first, mut last) = (House::default(), House::default());
    first.set(item);
    first.sends(Kind::Subscribe, ROMEO);
    last.sends(Kind::Subscribe, ROMEO);
    last.set(item);
    assert_eq!(first.full(), last.full());
}

#[test]
fn s3_1_3_a_strangers_request_is_kept_but_no_item_until_it_is_granted() {
    let mut house = House::default();
    let change = house.receives(Kind::Subscribe, ROMEO).expect("is kept");
    assert_eq!((change.push, house.roster.len()), (None, 0));
    assert_eq!(house.roster.relation(&jid(ROMEO)), Relation::Stranger);
    let woken = house.woken();
    let (from, stanza) = woken.requests().next().expect("the request");
    assert_eq!(
        (from, &**stanza),
        (&jid(ROMEO), &b"<presence xmlns='jabber:client' from='romeo@example.net' type='subscribe'/>"[..])
    );

    let granted = push(house.sends(Kind::Subscribed, ROMEO));
    assert!(granted.contains("<item jid='romeo@example.net' subscription='from'/>"), "{granted}");
    assert_eq!((house.roster.requests().count(), house.roster.len()), (0, 1));
    assert_eq!(house.roster.relation(&jid(ROMEO)), Relation::Contact { from: true, to: false });
}

#[test]
fn s3_2_2_s3_3_3_a_request_denied_or_withdrawn_leaves_nothing() {
    type End = fn(&mut House) -> Option<Change>;
    let denied: End = |house| house.sends(Kind::Unsubscribed, ROMEO);
    let withdrawn: End = |house| house.receives(Kind::Unsubscribe, ROMEO);
    for end in [denied, withdrawn] {
        let mut house = House::default();
        house.receives(Kind::Subscribe, ROMEO);
        assert_eq!(house.disk.len(), 1);
        let change = end(&mut house).expect("a change");
        assert_eq!((change.value, change.push), (None, None));
        assert!(house.disk.is_empty() && house.roster.contacts.is_empty());
    }
}

#[test]
fn s3_1_3_rule_4_of_many_requests_the_first_is_kept() {
    let mut house = House::default();
    let asks = State { pending_in: true, ..State::NONE };
    house.apply(ROMEO, asks, Some(Bytes::from_static(b"<presence>first</presence>"))).expect("is kept");
    assert_eq!(house.apply(ROMEO, asks, Some(Bytes::from_static(b"<presence>second</presence>"))), None);
    assert!(house.roster.requests().map(|(_, stanza)| &**stanza).eq([&b"<presence>first</presence>"[..]]));
    // The user makes the stranger an item, and asks in turn: the request goes on waiting.
    house.set("<item jid='romeo@example.net'/>");
    house.sends(Kind::Subscribe, ROMEO);
    assert!(house.woken().requests().map(|(_, stanza)| &**stanza).eq([&b"<presence>first</presence>"[..]]));
}

#[test]
fn s3_1_3_a_flood_of_requests_ends_at_a_limit() {
    let mut house = House::default();
    let asks = State { pending_in: true, ..State::NONE };
    for n in 0..REQUESTS_MAX {
        assert!(house.apply(&format!("spam{n}@example.org"), asks, None).is_some());
    }
    assert!(!house.roster.has_room_for_request(&jid(ROMEO)));
    assert_eq!(house.receives(Kind::Subscribe, ROMEO), None);
    assert_eq!(house.roster.contact(&jid(ROMEO)), None);
    house.set("<item jid='romeo@example.net'/>");
    assert!(house.receives(Kind::Subscribe, ROMEO).is_some(), "of a contact it is still kept");
}

#[test]
fn s3_1_3_of_a_giant_request_only_that_it_was_made_is_kept() {
    let mut house = House::default();
    let asks = State { pending_in: true, ..State::NONE };
    let giant = Bytes::from("x".repeat(REQUEST_SIZE_BYTES_MAX + 1));
    house.apply(ROMEO, asks, Some(giant)).expect("is kept");
    let kept = "<presence xmlns='jabber:client' from='romeo@example.net' type='subscribe'/>";
    assert!(house.roster.requests().map(|(_, stanza)| &**stanza).eq([kept.as_bytes()]));
    for n in 0..100 {
        let large = Bytes::from("x".repeat(REQUEST_SIZE_BYTES_MAX));
        house.apply(&format!("spam{n}@example.org"), asks, Some(large)).expect("is kept");
    }
    let bytes: usize = house.roster.requests().map(|(_, stanza)| stanza.len()).sum();
    assert!(bytes < REQUESTS_SIZE_BYTES_MAX + 100 * 100, "{bytes}");
    assert_eq!(house.roster.requests().count(), 101);
}

#[test]
fn s3_4_2_a_pre_approval_makes_an_item_and_its_end_is_pushed() {
    let mut house = House::default();
    assert_eq!(
        push(house.sends(Kind::Subscribed, ROMEO)),
        "<query xmlns='jabber:iq:roster' ver='10'><item jid='romeo@example.net' subscription='none' approved='true'/></query>"
    );
    assert_eq!(
        push(house.sends(Kind::Unsubscribed, ROMEO)),
        "<query xmlns='jabber:iq:roster' ver='20'><item jid='romeo@example.net' subscription='none'/></query>"
    );
    house.sends(Kind::Subscribed, ROMEO);
    let used = push(house.receives(Kind::Subscribe, ROMEO));
    assert!(used.contains("subscription='from'/>"), "{used}");
}

#[test]
fn s3_3_an_item_outlives_its_subscriptions() {
    let mut house = House::default();
    house.sends(Kind::Subscribe, ROMEO);
    house.receives(Kind::Subscribed, ROMEO);
    assert!(push(house.sends(Kind::Unsubscribe, ROMEO)).contains("subscription='none'/>"));
    assert_eq!(house.roster.len(), 1);
}

#[test]
fn s4_2_2_s4_3_1_who_is_told_and_who_is_probed() {
    let mut house = House::default();
    for (contact, to, from) in [("a@b.example", true, false), ("c@b.example", false, true), ("d@b.example", true, true)] {
        house.apply(contact, State { to, from, ..State::NONE }, None);
    }
    house.set("<item jid='e@b.example'/>");
    assert!(house.roster.watched().eq(&[jid("a@b.example"), jid("d@b.example")]));
    assert!(house.roster.watchers().eq(&[jid("c@b.example"), jid("d@b.example")]));
    assert_eq!(house.roster.contacts().count(), 4);
    assert_eq!(house.roster.relation(&jid("e@b.example")), Relation::Contact { from: false, to: false });
    assert_eq!(house.roster.relation(&jid("z@b.example")), Relation::Stranger);
}
