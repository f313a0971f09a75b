//! RFC 6121 2.3, 2.4: adding and updating an item.

use super::*;

#[test]
fn s2_3_2_a_new_item_is_kept_and_pushed_with_its_version() {
    let mut house = House::default();
    let change = house.set("<item jid='nurse@example.com' name='Nurse'><group>Servants</group></item>");
    assert_eq!(&*change.key, "nurse@example.com");
    assert!(change.value.is_some());
    assert_eq!(
        change.push.as_deref(),
        Some(
            "<query xmlns='jabber:iq:roster' ver='10'><item jid='nurse@example.com' name='Nurse' subscription='none'>\
             <group>Servants</group></item></query>"
        )
    );
    assert!(change.extra_writes.is_empty() && change.cancel.is_empty());
    assert_eq!(house.woken().get(None), house.roster.clone().get(None));
}

#[test]
fn s2_1_5_a_set_has_exactly_one_item() {
    let mut roster = Roster::default();
    let two = "<item jid='nurse@example.com'/><item jid='mother@example.com'/>";
    for inside in ["", two, "<item xmlns='urn:example:other' jid='nurse@example.com'/>"] {
        assert_eq!(condition(set(&mut roster, inside, 1)), Condition::BadRequest, "{inside}");
    }
    assert!(roster.is_empty());
    set(&mut roster, "<x xmlns='urn:example:other'/> <item jid='nurse@example.com'/>", 2).expect("what is foreign is ignored");
}

#[test]
fn s2_1_2_3_the_jid_of_an_item_is_there_and_bare() {
    let mut roster = Roster::default();
    assert_eq!(condition(set(&mut roster, "<item name='Nurse'/>", 1)), Condition::BadRequest);
    assert_eq!(condition(set(&mut roster, "<item jid='nurse@example.com/home'/>", 1)), Condition::BadRequest);
    for malformed in ["", "@example.com", "a@b@c", "a b@example.com"] {
        let result = set(&mut roster, &format!("<item jid='{malformed}'/>"), 1);
        assert_eq!(condition(result), Condition::JidMalformed, "{malformed:?}");
    }
    let change = set(&mut roster, "<item jid='NURSE@Example.com'/>", 1).expect("a JID in other letters");
    assert_eq!(&*change.key, "nurse@example.com");
    assert_eq!(roster.len(), 1);
}

#[test]
fn s2_3_3_duplicate_groups_are_a_bad_request() {
    let inside = "<item jid='nurse@example.com'><group>Servants</group><group>Servants</group></item>";
    assert_eq!(condition(set(&mut Roster::default(), inside, 1)), Condition::BadRequest);
}

#[test]
fn s2_3_3_an_empty_group_is_not_acceptable() {
    for group in ["<group/>", "<group></group>"] {
        let inside = format!("<item jid='nurse@example.com'>{group}</item>");
        assert_eq!(condition(set(&mut Roster::default(), &inside, 1)), Condition::NotAcceptable);
    }
}

#[test]
fn s2_3_3_names_and_groups_beyond_their_limit_are_not_acceptable() {
    let name = |bytes: usize| format!("<item jid='nurse@example.com' name='{}'/>", "n".repeat(bytes));
    let group = |bytes: usize| format!("<item jid='nurse@example.com'><group>{}</group></item>", "g".repeat(bytes));
    for (fits, too_long) in [
        (name(NAME_SIZE_BYTES_MAX), name(NAME_SIZE_BYTES_MAX + 1)),
        (group(GROUP_SIZE_BYTES_MAX), group(GROUP_SIZE_BYTES_MAX + 1)),
    ] {
        set(&mut Roster::default(), &fits, 1).expect("just fits");
        assert_eq!(condition(set(&mut Roster::default(), &too_long, 1)), Condition::NotAcceptable);
    }
    let groups = |count: usize| (0..count).map(|n| format!("<group>{n}</group>")).collect::<String>();
    let item = |count: usize| format!("<item jid='nurse@example.com'>{}</item>", groups(count));
    set(&mut Roster::default(), &item(GROUPS_PER_ITEM_MAX), 1).expect("just fits");
    assert_eq!(condition(set(&mut Roster::default(), &item(GROUPS_PER_ITEM_MAX + 1), 1)), Condition::NotAcceptable);
    let wide: String = (0..5).map(|n| format!("<group>{n}{}</group>", "g".repeat(1000))).collect();
    let wide = format!("<item jid='nurse@example.com'>{wide}</item>");
    assert_eq!(condition(set(&mut Roster::default(), &wide, 1)), Condition::NotAcceptable);
}

#[test]
fn s2_3_3_a_full_roster_takes_updates_and_removals_but_no_new_item() {
    let limits = Limits { roster_items_max: 2, ..Limits::default() };
    let mut roster = Roster::default();
    for (ver, contact) in ["a@b.example", "c@b.example"].into_iter().enumerate() {
        assert!(roster.has_room(&jid(contact), &limits));
        set_within(&mut roster, &format!("<item jid='{contact}'/>"), ver as u64 + 1, &limits).expect("there is room");
    }
    let new = "<item jid='e@b.example'/>";
    assert!(!roster.has_room(&jid("e@b.example"), &limits) && roster.has_room(&jid("a@b.example"), &limits));
    assert_eq!(condition(set_within(&mut roster, new, 3, &limits)), Condition::ResourceConstraint);
    assert_eq!(roster.contact(&jid("e@b.example")), None);
    set_within(&mut roster, "<item jid='a@b.example' name='A'/>", 4, &limits).expect("an update");
    set_within(&mut roster, "<item jid='a@b.example' subscription='remove'/>", 5, &limits).expect("a removal");
    set_within(&mut roster, new, 6, &limits).expect("room again");
    // A request that waits is no item: it takes no room, and there is none to make it one.
    let pending = State { pending_in: true, ..State::NONE };
    roster.apply(&jid("f@b.example"), pending, None, 7).expect("is kept");
    assert_eq!(condition(set_within(&mut roster, "<item jid='f@b.example'/>", 8, &limits)), Condition::ResourceConstraint);
    assert_eq!(roster.state(&jid("f@b.example")), pending);
}

#[test]
fn s2_4_1_an_item_becomes_exactly_what_the_set_says() {
    let mut house = House::default();
    house.set("<item jid='romeo@example.net' name='Romeo'><group>Friends</group></item>");
    let steps = [
        ("<item jid='romeo@example.net' name='Romeo'><group>Friends</group><group>Lovers</group></item>", Some("Romeo"), 2),
        ("<item jid='romeo@example.net' name='MyRomeo'/>", Some("MyRomeo"), 0),
        ("<item jid='romeo@example.net' name=''><group>Lovers</group></item>", None, 1),
        ("<item jid='romeo@example.net' name='R'/>", Some("R"), 0),
        ("<item jid='romeo@example.net'/>", None, 0),
    ];
    for (inside, name, groups) in steps {
        let before = house.roster.ver();
        assert!(house.set(inside).push.is_some());
        let contact = house.roster.contact(&jid("romeo@example.net")).expect("is there");
        assert_eq!((contact.name.as_deref(), contact.groups.len()), (name, groups));
        assert!(house.roster.ver() > before);
    }
    assert_eq!(house.roster.len(), 1);
}

#[test]
fn s2_1_2_5_a_client_can_not_grant_itself_a_subscription() {
    let mut house = House::default();
    for subscription in ["both", "to", "from", "none", "rubbish", ""] {
        house.set(&format!("<item jid='a@b.example' subscription='{subscription}' ask='subscribe' approved='true'/>"));
        assert_eq!(house.roster.state(&jid("a@b.example")), State::NONE, "{subscription:?}");
    }
    house.sends(Kind::Subscribe, "a@b.example");
    house.receives(Kind::Subscribed, "a@b.example");
    house.set("<item jid='a@b.example' subscription='none'/>");
    assert!(house.roster.state(&jid("a@b.example")).to, "nor lose one");
}
