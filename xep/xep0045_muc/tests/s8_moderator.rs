//! Section 8.

use std::time::Duration;

use super::*;

/// 4.2: in a semi-anonymous room only moderators find out who somebody really is. Whoever was kicked found out who had done it.
#[test]
fn s8_2_whoever_goes_does_not_see_the_real_address_of_who_has_done_it() {
    for (whois, is_seen) in [("moderators", false), ("anyone", true)] {
        let (mut house, room, romeo, juliet) = both(0, &[("whois", whois)]);
        is_result(&set_role(&mut house, &romeo, &room, "juliet", "none"));
        let own = house.one(&juliet);
        assert!(own.as_str().contains("<actor nick='romeo'"), "{}", own.as_str());
        assert_eq!(own.as_str().contains("romeo@house"), is_seen, "{}", own.as_str());
        is_in(&join(&mut house, &juliet, &room, "juliet"));
        is_result(&set_affiliation(&mut house, &romeo, &room, "juliet@house", "outcast"));
        let own = house.one(&juliet);
        assert_eq!(own.as_str().contains("romeo@house"), is_seen, "{}", own.as_str());
    }
    // Who becomes a moderator may see addresses.
    let (mut house, room, romeo, juliet) = both(1, &[]);
    is_result(&set_affiliation(&mut house, &romeo, &room, "juliet@house", "admin"));
    let own = house.hear(&juliet).concat();
    assert!(own.contains("<actor nick='romeo' jid='romeo@house'/>"), "{own}");
}

#[test]
fn s8_2_a_kick() {
    for shard in [0, 1] {
        let (mut house, room, romeo) = alone(shard, &[]);
        let (juliet, nurse) = (house.online(JULIET), house.online(NURSE));
        join(&mut house, &juliet, &room, "juliet");
        join(&mut house, &nurse, &room, "nurse");
        house.recv(&juliet);
        is_result(&set_role(&mut house, &romeo, &room, "juliet", "none"));
        let own = house.one(&juliet);
        assert_eq!(
            (own.attr("type").as_deref(), codes(&own), item(&own)[1].as_str()),
            (Some("unavailable"), vec![110, 307], "none")
        );
        assert!(
            own.as_str().contains("<actor nick='romeo'") && own.as_str().contains("<reason>so it is</reason>"),
            "{}",
            own.as_str()
        );
        let seen = house.one(&nurse);
        assert_eq!((codes(&seen), from(&seen)), (vec![307], format!("{room}/juliet")));
        is_error(&set_role(&mut house, &nurse, &room, "romeo", "none"), "forbidden");
        is_error(&set_role(&mut house, &romeo, &room, "nobody", "none"), "item-not-found");
        // She may come again.
        is_in(&join(&mut house, &juliet, &room, "juliet"));
    }
}

#[test]
fn s8_2_nobody_is_kicked_from_below() {
    let (mut house, room, romeo) = alone(0, &[]);
    let (juliet, nurse) = (house.online(JULIET), house.online(NURSE));
    set_affiliation(&mut house, &romeo, &room, "juliet@house", "admin");
    join(&mut house, &juliet, &room, "juliet");
    join(&mut house, &nurse, &room, "nurse");
    is_error(&set_role(&mut house, &juliet, &room, "romeo", "none"), "not-allowed");
    is_result(&set_role(&mut house, &juliet, &room, "nurse", "moderator"));
    is_error(&set_role(&mut house, &nurse, &room, "juliet", "none"), "not-allowed");
    is_error(&set_role(&mut house, &nurse, &room, "juliet", "visitor"), "not-allowed");
    is_error(&set_role(&mut house, &romeo, &room, "juliet", "participant"), "not-allowed");
}

#[test]
fn s8_3_to_8_5_voice_and_its_list() {
    for shard in [0, 1] {
        let (mut house, room, romeo) = alone(shard, &[("moderatedroom", "1")]);
        let juliet = house.online(JULIET);
        let heard = join(&mut house, &juliet, &room, "juliet");
        assert_eq!(item(&heard[1])[1], "visitor");
        house.recv(&romeo);
        house.recv(&juliet);
        let list =
            |house: &mut House, who: &Client, role: &str| admin(house, who, &room, "get", &format!("<item role='{role}'/>"));
        assert!(list(&mut house, &romeo, "visitor").as_str().contains("nick='juliet'"));
        is_result(&set_role(&mut house, &romeo, &room, "juliet", "participant"));
        assert_eq!(item(&house.one(&juliet))[1], "participant");
        let voices = list(&mut house, &romeo, "participant");
        assert!(
            voices.as_str().contains("nick='juliet' role='participant' affiliation='none' jid='juliet@house/balcony'"),
            "{}",
            voices.as_str()
        );
        is_error(&list(&mut house, &juliet, "participant"), "forbidden");
        is_error(&list(&mut house, &romeo, "none"), "bad-request");
        is_error(&list(&mut house, &romeo, "king"), "bad-request");
        is_result(&set_role(&mut house, &romeo, &room, "juliet", "visitor"));
        assert_eq!(item(&house.one(&juliet))[1], "visitor");
    }
}

#[test]
fn s8_5_of_several_changes_all_or_none() {
    let (mut house, room, romeo, juliet) = both(1, &[]);
    house.recv(&juliet);
    let both = "<item nick='juliet' role='visitor'/><item nick='romeo' role='visitor'/>";
    let refused = admin(&mut house, &romeo, &room, "set", both);
    is_error(&refused, "not-allowed");
    // 8.4: "along with the offending item(s)".
    assert!(refused.as_str().contains("nick='romeo'") && !refused.as_str().contains("nick='juliet'"), "{}", refused.as_str());
    house.nothing(&juliet);
    for bad in [
        "",
        "<item/>",
        "<item nick='juliet' role='king'/>",
        "<item nick='juliet' role='visitor' affiliation='member'/>",
        "<item role='visitor'/>",
    ] {
        is_error(&admin(&mut house, &romeo, &room, "set", bad), "bad-request");
    }
}

#[test]
fn s7_2_2_whose_presence_is_shown() {
    let (mut house, room) = (house(), room_on(0));
    let form = |values: &str| {
        format!("<x xmlns='jabber:x:data' type='submit'><field var='muc#roomconfig_presencebroadcast'>{values}</field></x>")
    };
    let romeo = opened(&mut house, &room, &[("moderatedroom", "1")]);
    is_result(&owner(&mut house, &romeo, &room, "set", &form("<value>moderator</value><value>participant</value>")));
    let juliet = house.online(JULIET);
    let heard = join(&mut house, &juliet, &room, "juliet");
    assert!(codes(&heard[1]).contains(&110), "oneself is told in any case");
    house.nothing(&romeo);
    // With voice she is seen, and without she is gone for the others.
    is_result(&set_role(&mut house, &romeo, &room, "juliet", "participant"));
    assert_eq!(house.one(&juliet).attr("type"), None);
    let nurse = house.online(NURSE);
    join(&mut house, &nurse, &room, "nurse");
    house.recv(&romeo);
    set_role(&mut house, &romeo, &room, "juliet", "visitor");
    let seen = house.one(&nurse);
    assert_eq!((seen.attr("type").as_deref(), item(&seen)[1].as_str()), (Some("unavailable"), "none"));
    assert_eq!(item(&house.one(&juliet))[1], "visitor");
}

#[test]
fn s5_1_a_voice_that_was_given_or_taken_stays_when_somebody_comes_again() {
    for (moderated, given) in [("1", "participant"), ("0", "visitor")] {
        let (mut house, room, romeo, juliet) = both(1, &[("moderatedroom", moderated)]);
        let again = |house: &mut House| {
            leave(house, &juliet, &room, "juliet");
            item(&join(house, &juliet, &room, "jule")[1])[1].clone()
        };
        let usual = again(&mut house);
        assert_ne!(usual, given);
        is_result(&set_role(&mut house, &romeo, &room, "jule", given));
        assert_eq!(again(&mut house), given);
        // As it was before, or as it is for everybody.
        is_result(&set_role(&mut house, &romeo, &room, "jule", &usual));
        assert_eq!(again(&mut house), usual);
        is_result(&set_role(&mut house, &romeo, &room, "jule", given));
        is_result(&configure(&mut house, &romeo, &room, &[("moderatedroom", if moderated == "1" { "0" } else { "1" })]));
        assert_eq!(again(&mut house), given);
        is_result(&set_affiliation(&mut house, &romeo, &room, "juliet@house", "admin"));
        assert_eq!(again(&mut house), "moderator");
    }
}

/// As long as anybody is there the room does not sleep, so nobody who is loses a role.
#[test]
fn s5_1_a_room_with_people_in_it_does_not_forget_their_voices() {
    for shard in [0, 1] {
        let (mut house, room, romeo, juliet) = both(shard, &[("moderatedroom", "1"), ("persistentroom", "1")]);
        is_result(&set_role(&mut house, &romeo, &room, "juliet", "participant"));
        leave(&mut house, &romeo, &room, "romeo");
        (0..3).for_each(|_| house.advance(Duration::from_secs(120)));
        // Nor is it forgotten when the configuration is read anew.
        house.reload(ROOMS, "");
        house.recv(&juliet);
        say(&mut house, &juliet, &room, "still");
        assert_eq!(bodies(&house.recv(&juliet)), ["still"]);
        assert_eq!(item(&join(&mut house, &romeo, &room, "romeo")[0])[1], "participant");
    }
}

/// 5.1: "An implementation MAY persist roles across visits and SHOULD do so for moderated rooms".
#[test]
fn s5_1_a_voice_outlives_the_memory_of_a_room() {
    for (moderated, given, usual) in [("1", "participant", "visitor"), ("0", "visitor", "participant")] {
        for sleeps in [true, false] {
            let (mut house, room, romeo, juliet) = both(1, &[("moderatedroom", moderated), ("persistentroom", "1")]);
            is_result(&set_role(&mut house, &romeo, &room, "juliet", given));
            leave(&mut house, &romeo, &room, "romeo");
            leave(&mut house, &juliet, &room, "juliet");
            let (mut romeo, mut juliet) = (romeo, juliet);
            if sleeps {
                (0..3).for_each(|_| house.advance(Duration::from_secs(120)));
            } else {
                house = house.restart(ROOMS, Duration::from_secs(60));
                (romeo, juliet) = (house.online(ROMEO), house.online(JULIET));
            }
            let again = |house: &mut House, juliet: &Client| {
                let heard = join(house, juliet, &room, "juliet");
                let own = heard.iter().find(|it| codes(it).contains(&110)).expect("self-presence");
                item(own)[1].clone()
            };
            assert_eq!(again(&mut house, &juliet), given);
            // Until it is as everybody's again, or the room is another.
            join(&mut house, &romeo, &room, "romeo");
            is_result(&set_role(&mut house, &romeo, &room, "juliet", usual));
            is_result(&set_role(&mut house, &romeo, &room, "juliet", given));
            let other = if moderated == "1" { "0" } else { "1" };
            for is in [other, moderated] {
                is_result(&configure(&mut house, &romeo, &room, &[("moderatedroom", is)]));
            }
            let mut house = house.restart(ROOMS, Duration::from_secs(60));
            let juliet = house.online(JULIET);
            assert_eq!(again(&mut house, &juliet), usual);
        }
    }
}
