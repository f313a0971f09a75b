//! RFC 6121 2.6: roster versioning.

use super::*;

/// Twenty items with names long enough that a few pushes are shorter than the whole.
fn peopled() -> House {
    let mut house = House::default();
    for n in 0..20 {
        house.set(&format!("<item jid='contact{n:02}@house.example' name='Contact number {n}'><group>People</group></item>"));
    }
    house
}

fn at(ver: u64) -> Option<String> {
    Some(ver.to_string())
}

fn pushes(answer: Answer) -> Vec<String> {
    match answer {
        Answer::Changes(pushes) => pushes,
        other => panic!("pushes were expected: {other:?}"),
    }
}

/// A client's cache, kept as 2.6.3 tells it to.
#[derive(Default, Debug, PartialEq)]
struct Cache {
    ver: Option<String>,
    items: BTreeMap<String, String>,
}

impl Cache {
    fn takes(&mut self, query: &str) {
        let query = El::parse(query.as_bytes()).expect("an element");
        self.ver = query.attr("ver").map(String::from);
        for item in query.children() {
            let jid = item.attr("jid").expect("a jid").into_owned();
            if item.attr("subscription").as_deref() == Some("remove") {
                self.items.remove(&jid);
            } else {
                self.items.insert(jid, String::from_utf8_lossy(item.bytes()).into_owned());
            }
        }
    }

    fn asks(&mut self, roster: &Roster) {
        match roster.clone().get(self.ver.as_deref()) {
            Answer::Full(query) => {
                self.items.clear();
                self.takes(&query);
            }
            Answer::Unchanged => {}
            Answer::Changes(pushes) => pushes.iter().for_each(|push| self.takes(push)),
        }
    }

    fn of(roster: &Roster) -> Cache {
        let mut cache = Cache::default();
        cache.asks(roster);
        cache
    }
}

#[test]
fn s2_6_2_no_version_an_empty_one_and_an_unknown_one_get_everything() {
    let house = peopled();
    for ver in [None, Some(""), Some("ver14"), Some("-1"), Some("999999999"), Some("99999999999999999999999")] {
        assert_eq!(house.roster.clone().get(ver), Answer::Full(house.full().into()), "{ver:?}");
    }
}

#[test]
fn s2_6_3_whoever_has_the_latest_gets_the_empty_result() {
    let house = peopled();
    assert_eq!(house.roster.clone().get(at(house.roster.ver()).as_deref()), Answer::Unchanged);
    assert_eq!(Roster::default().get(Some("0")), Answer::Unchanged);
}

#[test]
fn s2_6_3_interim_pushes_are_one_an_item_in_order_of_modification() {
    let mut house = peopled();
    let known = at(house.roster.ver());
    house.set("<item jid='contact07@house.example' name='first'/>");
    house.set("<item jid='contact19@house.example' subscription='remove'/>");
    house.set("<item jid='contact03@house.example' name='third'/>");
    house.set("<item jid='contact07@house.example' name='last'/>");
    let pushes = pushes(house.roster.clone().get(known.as_deref()));
    let expected = [
        "<query xmlns='jabber:iq:roster' ver='220'><item jid='contact19@house.example' subscription='remove'/></query>",
        "<query xmlns='jabber:iq:roster' ver='230'><item jid='contact03@house.example' name='third' subscription='none'/></query>",
        "<query xmlns='jabber:iq:roster' ver='240'><item jid='contact07@house.example' name='last' subscription='none'/></query>",
    ];
    assert_eq!(pushes, expected);
}

#[test]
fn s2_6_3_the_whole_roster_where_that_is_shorter() {
    let mut house = peopled();
    let known = at(house.roster.ver());
    for n in 0..20 {
        house.set(&format!("<item jid='contact{n:02}@house.example' name='Another name {n}'/>"));
    }
    assert_eq!(house.roster.clone().get(known.as_deref()), Answer::Full(house.full().into()));
}

#[test]
fn s2_6_3_a_client_that_leaves_after_any_push_ends_with_the_same_roster() {
    let mut house = peopled();
    let before = Cache::of(&house.roster);
    for n in [4, 11, 2] {
        house.set(&format!("<item jid='contact{n:02}@house.example' subscription='remove'/>"));
    }
    house.sends(Kind::Subscribe, "contact01@house.example");
    let known = before.ver.clone();
    let pushes = pushes(house.roster.clone().get(known.as_deref()));
    for seen in 0..=pushes.len() {
        let mut cache = Cache { ver: before.ver.clone(), items: before.items.clone() };
        pushes.iter().take(seen).for_each(|push| cache.takes(push));
        cache.asks(&house.woken());
        assert_eq!(cache, Cache::of(&house.roster), "left after {seen} pushes");
    }
}

#[test]
fn s2_6_3_what_no_client_sees_is_no_modification() {
    let mut house = peopled();
    let known = house.roster.ver();
    // A request of a stranger, one of a contact, and their end.
    for contact in ["paris@example.org", "contact05@house.example"] {
        let change = house.receives(Kind::Subscribe, contact).expect("is kept");
        assert_eq!(change.push, None);
        assert!(change.value.is_some());
        assert_eq!(house.receives(Kind::Unsubscribe, contact).expect("is forgotten").push, None);
    }
    assert_eq!(house.roster.clone().get(at(known).as_deref()), Answer::Unchanged);
    assert!(!house.disk.contains_key("paris@example.org"));
}

#[test]
fn s2_6_3_versions_are_unique_even_if_the_clock_is_not() {
    let mut roster = Roster::default();
    let mut last = 0;
    for ver in [100, 100, 7, 101, 0] {
        set(&mut roster, "<item jid='a@b.example'/>", ver).expect("a good set");
        assert!(roster.ver() > last, "{ver}");
        last = roster.ver();
    }
}

#[test]
fn s2_6_3_a_removal_is_told_even_if_the_contact_has_asked_again_since() {
    let mut house = peopled();
    let mut cache = Cache::of(&house.roster);
    house.set("<item jid='contact00@house.example' subscription='remove'/>");
    house.receives(Kind::Subscribe, "contact00@house.example");
    cache.asks(&house.woken());
    assert!(!cache.items.contains_key("contact00@house.example"));
    house.receives(Kind::Unsubscribe, "contact00@house.example");
    assert!(house.disk.contains_key("contact00@house.example"), "the tombstone stays");
}

#[test]
fn s2_6_3_forgotten_removals_make_the_roster_whole_again_for_old_clients() {
    let mut house = peopled();
    let mut old = Cache::of(&house.roster);
    for n in 0..TOMBSTONES_MAX + 5 {
        let contact = format!("passer{n}@house.example");
        house.set(&format!("<item jid='{contact}'/>"));
        if n == 3 {
            // Its tombstone is forgotten below, the request must not be.
            house.set(&format!("<item jid='{contact}' subscription='remove'/>"));
            house.receives(Kind::Subscribe, &contact);
            old.asks(&house.roster);
        } else {
            house.set(&format!("<item jid='{contact}' subscription='remove'/>"));
        }
    }
    let tombstones = |roster: &Roster| roster.contacts.iter().filter(|contact| contact.is_tombstone()).count();
    assert_eq!(tombstones(&house.roster), TOMBSTONES_MAX);
    let mut woken = house.woken();
    assert_eq!((&woken.contacts, woken.floor), (&house.roster.contacts, house.roster.floor));
    assert!(woken.floor > 0);
    assert!(matches!(woken.clone().get(old.ver.as_deref()), Answer::Full(_)));
    assert!(woken.state(&jid("passer3@house.example")).pending_in);
    old.asks(&woken);
    assert_eq!(old, Cache::of(&house.roster));
    // At the floor itself everything newer is still known.
    assert!(!matches!(woken.get(at(woken.floor).as_deref()), Answer::Unchanged));
    let disk = 20 + TOMBSTONES_MAX + 1 + 1;
    assert_eq!(house.disk.len(), disk, "items, tombstones, the request, the floor");
}

#[test]
fn s2_6_3_the_roster_of_an_earlier_account_of_the_name_is_not_taken_up() {
    let mut old = House::default();
    old.set("<item jid='a@b.example'/>");
    let mut cache = Cache::of(&old.roster);
    let anew = Roster::default().born(OwnerId(5_000));
    assert!(matches!(anew.clone().get(cache.ver.as_deref()), Answer::Full(_)));
    cache.asks(&anew);
    assert!(cache.items.is_empty());
    assert_eq!(anew.clone().get(cache.ver.as_deref()), Answer::Unchanged);
}

#[test]
fn what_was_rendered_before_is_never_given_for_what_is_now() {
    let mut house = peopled();
    let changes: [&dyn Fn(&mut House); 5] = [
        &|house| drop(house.set("<item jid='contact03@house.example' name='Another'/>")),
        &|house| drop(house.sends(Kind::Subscribe, "contact04@house.example")),
        &|house| drop(house.receives(Kind::Subscribe, "stranger@house.example")),
        &|house| drop(house.set("<item jid='contact05@house.example' subscription='remove'/>")),
        &|house| drop(house.set("<item jid='new@house.example'/>")),
    ];
    for change in changes {
        for _ in 0..3 {
            let fresh = Answer::Full(house.woken().get(None).rendered().into());
            assert_eq!(house.roster.get(None), fresh);
        }
        change(&mut house);
    }
    assert_eq!(house.roster.get(None).rendered(), house.woken().get(None).rendered());
}

impl Answer {
    fn rendered(self) -> String {
        match self {
            Answer::Full(query) => query.to_string(),
            other => panic!("without a version everything is sent: {other:?}"),
        }
    }
}
