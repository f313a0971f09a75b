//! RFC 6121 2.5: deleting an item.

use super::*;

const REMOVE: &str = "<item jid='nurse@example.com' subscription='remove'/>";

/// A contact in this state, removed.
fn removed(state: State) -> (House, Change) {
    let mut house = House::default();
    house.set("<item jid='nurse@example.com' name='Nurse'><group>Servants</group></item>");
    house.apply("nurse@example.com", state, None);
    let change = house.set(REMOVE);
    (house, change)
}

#[test]
fn s2_5_2_a_removal_is_pushed_and_the_item_gone() {
    let (house, change) = removed(State { to: true, from: true, ..State::NONE });
    assert_eq!(
        change.push.as_deref(),
        Some("<query xmlns='jabber:iq:roster' ver='30'><item jid='nurse@example.com' subscription='remove'/></query>")
    );
    assert!(house.roster.is_empty());
    assert_eq!(house.roster.state(&jid("nurse@example.com")), State::NONE);
    assert_eq!(house.roster.relation(&jid("nurse@example.com")), Relation::Stranger);
    assert_eq!(house.full(), "<query xmlns='jabber:iq:roster' ver='30'></query>");
    assert_eq!(house.woken().get(None), house.roster.clone().get(None));
}

#[test]
fn s2_5_2_subscriptions_end_with_the_item() {
    let both = State { to: true, from: true, ..State::NONE };
    let none: &[Kind] = &[];
    for (state, cancel) in [
        (State { from: false, ..both }, &[Kind::Unsubscribe][..]),
        (State { to: false, ..both }, &[Kind::Unsubscribed][..]),
        (both, &[Kind::Unsubscribe, Kind::Unsubscribed][..]),
        (State { ask: true, ..State::NONE }, &[Kind::Unsubscribe][..]),
        (State { pending_in: true, ..State::NONE }, &[Kind::Unsubscribed][..]),
        (State { approved: true, ..State::NONE }, none),
        (State::NONE, none),
    ] {
        let (house, change) = removed(state);
        assert_eq!((change.before, &*change.cancel), (state, cancel), "{state:?}");
        assert_eq!(house.roster.requests().count(), 0);
    }
}

#[test]
fn s3_4_2_a_removed_item_takes_its_pre_approval_along() {
    let (mut house, _) = removed(State { approved: true, ..State::NONE });
    house.receives(Kind::Subscribe, "nurse@example.com");
    assert!(!house.roster.state(&jid("nurse@example.com")).from);
}

#[test]
fn s2_5_3_what_is_not_in_the_roster_can_not_be_removed() {
    let mut house = House::default();
    let bounce = set(&mut house.roster, REMOVE, 1).expect_err("is not there");
    assert_eq!((bounce.condition, bounce.kind), (Condition::ItemNotFound, ErrorType::Modify));
    house.receives(Kind::Subscribe, "nurse@example.com");
    assert_eq!(condition(set(&mut house.roster, REMOVE, 2)), Condition::ItemNotFound, "a request is no item");
    assert!(house.roster.state(&jid("nurse@example.com")).pending_in);
    house.set("<item jid='nurse@example.com'/>");
    house.set(REMOVE);
    assert_eq!(condition(set(&mut house.roster, REMOVE, 3)), Condition::ItemNotFound, "a tombstone is no item");
}

#[test]
fn s2_5_a_removed_item_can_be_added_again() {
    let (mut house, _) = removed(State { to: true, ..State::NONE });
    house.set("<item jid='nurse@example.com'/>");
    assert_eq!(
        house.full(),
        "<query xmlns='jabber:iq:roster' ver='40'><item jid='nurse@example.com' subscription='none'/></query>"
    );
    assert_eq!((house.roster.len(), house.disk.len()), (1, 1));
}
