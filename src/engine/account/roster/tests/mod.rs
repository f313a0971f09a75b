//! RFC 6121 section 2, by its paragraphs; and that what is stored comes back.

use std::collections::BTreeMap;

use super::*;
use crate::account::subscription::{self, Kind};

mod arbitrary;
mod s2_3_set;
mod s2_5_remove;
mod s2_6_versions;
mod s3_subscriptions;

fn jid(text: &str) -> BareJid {
    BareJid::new(text).expect("a bare JID")
}

/// A roster set with this inside its `<query/>`.
fn set(roster: &mut Roster, inside: &str, ver: u64) -> Result<Change, Bounce> {
    set_within(roster, inside, ver, &Limits::default())
}

fn set_within(roster: &mut Roster, inside: &str, ver: u64, limits: &Limits) -> Result<Change, Bounce> {
    let query = format!("<query xmlns='jabber:iq:roster'>{inside}</query>");
    roster.set(El::parse(query.as_bytes()).expect("an element"), ver, limits)
}

fn condition(result: Result<Change, Bounce>) -> Condition {
    result.expect_err("is refused").condition
}

/// An account with a store: every change is written, as the engine does it.
#[derive(Default)]
struct House {
    roster: Roster,
    disk: BTreeMap<Arc<str>, Bytes>,
    clock: u64,
}

impl House {
    fn tick(&mut self) -> u64 {
        self.clock += 10;
        self.clock
    }

    fn write(&mut self, change: &Change) {
        let first = (change.key.clone(), change.value.clone());
        for (key, value) in change.extra_writes.iter().cloned().chain([first]) {
            match value {
                Some(value) => self.disk.insert(key, value),
                None => self.disk.remove(&key),
            };
        }
    }

    fn set(&mut self, inside: &str) -> Change {
        let ver = self.tick();
        let change = set(&mut self.roster, inside, ver).expect("a good roster set");
        self.write(&change);
        change
    }

    fn sends(&mut self, kind: Kind, contact: &str) -> Option<Change> {
        let next = subscription::outbound(kind, self.roster.state(&jid(contact))).next;
        self.apply(contact, next, None)
    }

    fn receives(&mut self, kind: Kind, contact: &str) -> Option<Change> {
        let next = subscription::inbound(kind, self.roster.state(&jid(contact))).next;
        let stanza = format!("<presence xmlns='jabber:client' from='{contact}' type='{}'/>", kind.as_str());
        self.apply(contact, next, (kind == Kind::Subscribe).then(|| Bytes::from(stanza)))
    }

    fn apply(&mut self, contact: &str, next: State, pending: Option<Bytes>) -> Option<Change> {
        let ver = self.tick();
        let change = self.roster.apply(&jid(contact), next, pending, ver)?;
        self.write(&change);
        Some(change)
    }

    /// The same account after a restart.
    fn woken(&self) -> Roster {
        let item = |(key, value): (&Arc<str>, &Bytes)| Item { shelf: SHELF, key: key.clone(), value: value.clone() };
        let roster = Roster::load(&self.disk.iter().map(item).collect::<Vec<_>>());
        assert_eq!(roster.unreadable(), 0);
        roster
    }

    fn full(&self) -> String {
        match self.roster.clone().get(None) {
            Answer::Full(query) => query.to_string(),
            other => panic!("without a version everything is sent: {other:?}"),
        }
    }
}

#[test]
fn s2_1_4_an_empty_roster_is_a_query_without_items() {
    let query = House::default().full();
    let query = El::parse(query.as_bytes()).expect("an element");
    assert!(query.is(ns::ROSTER, "query"));
    assert_eq!(query.children().count(), 0);
}

#[test]
fn s2_2_a_result_has_all_items_with_all_they_have() {
    let mut house = House::default();
    house.set("<item jid='romeo@example.net' name='Romeo'><group>Friends</group><group>Lovers</group></item>");
    house.set("<item jid='benvolio@example.org'/>");
    house.sends(Kind::Subscribe, "romeo@example.net");
    house.receives(Kind::Subscribed, "romeo@example.net");
    house.sends(Kind::Subscribe, "benvolio@example.org");
    house.sends(Kind::Subscribed, "benvolio@example.org");
    assert_eq!(
        house.full(),
        "<query xmlns='jabber:iq:roster' ver='60'>\
         <item jid='benvolio@example.org' subscription='none' ask='subscribe' approved='true'/>\
         <item jid='romeo@example.net' name='Romeo' subscription='to'><group>Friends</group><group>Lovers</group></item>\
         </query>"
    );
    assert_eq!(house.roster.len(), 2);
}

#[test]
fn what_a_user_writes_can_not_leave_its_place_in_the_xml() {
    let mut house = House::default();
    let change = house.set("<item jid='a@b.example' name='&apos;/>&lt;x a=&quot;&#10;'><group>&lt;/group>&amp;</group></item>");
    let push = change.push.expect("a push");
    let query = El::parse(push.as_bytes()).expect("an element");
    let item = query.children().next().expect("the item");
    assert_eq!(item.attr("name").as_deref(), Some("'/><x a=\"\n"));
    assert_eq!(item.child(ns::ROSTER, "group").expect("the group").text(), "</group>&");
    assert_eq!((query.children().count(), item.children().count()), (1, 1));
}

#[test]
fn a_roster_is_the_same_after_a_restart() {
    let mut house = House::default();
    house.set("<item jid='romeo@example.net' name='Romeo'><group>Friends</group></item>");
    house.set("<item jid='tybalt@example.org'/>");
    house.set("<item jid='tybalt@example.org' subscription='remove'/>");
    house.receives(Kind::Subscribe, "paris@example.org");
    house.receives(Kind::Subscribe, "romeo@example.net");
    let mut woken = house.woken();
    assert_eq!(woken.contacts, house.roster.contacts);
    assert_eq!((woken.listed, woken.latest, woken.floor), (1, house.roster.latest, 0));
    assert_eq!(woken.get(None), house.roster.clone().get(None));
    assert!(woken.requests().eq(house.roster.requests()));
}

#[test]
fn what_can_not_be_read_is_left_out_and_counted() {
    let mut house = House::default();
    house.set("<item jid='romeo@example.net'/>");
    let (key, value) = house.disk.first_key_value().expect("one");
    let item = |key: &str, value: Bytes| Item { shelf: SHELF, key: Arc::from(key), value };
    let mut newer = value.to_vec();
    newer[0] = 2;
    let mut longer = value.to_vec();
    longer.push(0);
    let elsewhere = Item { shelf: Shelf::map("blocked"), key: key.clone(), value: Bytes::from_static(b"x") };
    let roster = Roster::load(&[
        item("a@b.example", Bytes::new()),
        item("b@b.example", newer.into()),
        item("c@b.example", value.slice(..value.len() - 1)),
        item("d@b.example", longer.into()),
        item("not a jid@", value.clone()),
        item("full@b.example/jid", value.clone()),
        item("UPPER@b.example", value.clone()),
        item(stored::FLOOR_KEY, Bytes::from_static(b"\x01")),
        elsewhere,
        item(key, value.clone()),
    ]);
    assert_eq!(roster.unreadable(), 8);
    assert_eq!(roster.contacts, house.roster.contacts);
}
