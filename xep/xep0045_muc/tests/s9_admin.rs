//! Section 9.

use std::time::Duration;

use super::*;

#[test]
fn s9_1_and_9_2_a_ban_and_the_list_of_bans() {
    for shard in [0, 1] {
        let (mut house, room, romeo) = alone(shard, &[]);
        let (tybalt, nurse) = (house.online(TYBALT), house.online(NURSE));
        join(&mut house, &tybalt, &room, "tybalt");
        join(&mut house, &nurse, &room, "nurse");
        house.recv(&tybalt);
        // By a full JID as well: it is the person.
        let ban = "<item affiliation='outcast' jid='tybalt@house/street'><reason>peace</reason></item>";
        is_result(&admin(&mut house, &romeo, &room, "set", ban));
        let own = house.one(&tybalt);
        assert_eq!(
            (own.attr("type").as_deref(), codes(&own), item(&own)[0].as_str()),
            (Some("unavailable"), vec![110, 301], "outcast")
        );
        assert!(own.as_str().contains("<reason>peace</reason>"));
        assert_eq!(codes(&house.one(&nurse)), [301]);
        is_error(&join(&mut house, &tybalt, &room, "tybalt")[0], "forbidden");
        let list = admin(&mut house, &romeo, &room, "get", "<item affiliation='outcast'/>");
        assert!(list.as_str().contains("affiliation='outcast' jid='tybalt@house'"), "{}", list.as_str());
        let owners = admin(&mut house, &romeo, &room, "get", "<item affiliation='owner'/>");
        assert!(owners.as_str().contains("nick='romeo'") && !owners.as_str().contains("role="), "17.4: {}", owners.as_str());
        is_error(&admin(&mut house, &nurse, &room, "get", "<item affiliation='outcast'/>"), "forbidden");
        is_error(&set_affiliation(&mut house, &nurse, &room, "romeo@house", "outcast"), "forbidden");
        is_error(&set_affiliation(&mut house, &romeo, &room, "romeo@house", "outcast"), "conflict");
        is_result(&set_affiliation(&mut house, &romeo, &room, "tybalt@house", "none"));
        is_in(&join(&mut house, &tybalt, &room, "tybalt"));
    }
}

#[test]
fn s9_1_an_admin_bans_no_owner() {
    let (mut house, room, romeo) = alone(0, &[]);
    let juliet = house.online(JULIET);
    set_affiliation(&mut house, &romeo, &room, "juliet@house", "admin");
    is_error(&set_affiliation(&mut house, &juliet, &room, "romeo@house", "outcast"), "not-allowed");
    // D2: nor makes herself one.
    is_error(&set_affiliation(&mut house, &juliet, &room, "juliet@house", "owner"), "forbidden");
    is_error(&set_affiliation(&mut house, &juliet, &room, "nurse@house", "admin"), "forbidden");
    is_result(&set_affiliation(&mut house, &juliet, &room, "nurse@house", "member"));
}

#[test]
fn s9_2_a_whole_domain() {
    let (mut house, room, romeo) = alone(1, &[]);
    let stranger = house.online("mallory@away/x");
    join(&mut house, &stranger, &room, "mallory");
    is_result(&set_affiliation(&mut house, &romeo, &room, "away", "outcast"));
    assert_eq!(codes(house.recv(&stranger).last().expect("out")), [110, 301]);
    is_error(&join(&mut house, &stranger, &room, "mallory")[0], "forbidden");
}

#[test]
fn s9_3_and_9_4_membership() {
    for shard in [0, 1] {
        let (mut house, room, romeo) = alone(shard, &[("membersonly", "1")]);
        let juliet = house.online(JULIET);
        is_result(&set_affiliation(&mut house, &romeo, &room, "juliet@house", "member"));
        assert!(house.one(&juliet).as_str().contains("<invite from='romeo@house'"), "9.5: she is told");
        join(&mut house, &juliet, &room, "juliet");
        house.recv(&romeo);
        is_result(&set_affiliation(&mut house, &romeo, &room, "juliet@house", "none"));
        let own = house.one(&juliet);
        assert_eq!((own.attr("type").as_deref(), codes(&own)), (Some("unavailable"), vec![110, 321]));
        is_error(&join(&mut house, &juliet, &room, "juliet")[0], "registration-required");
        // In an open room nobody has to go.
        configure(&mut house, &romeo, &room, &[("membersonly", "0")]);
        set_affiliation(&mut house, &romeo, &room, "juliet@house", "member");
        let told = house.one(&juliet);
        assert_eq!(codes(&told), [101], "nobody is invited to where everybody may go: {}", told.as_str());
        assert!(!told.as_str().contains("invite"), "{}", told.as_str());
        join(&mut house, &juliet, &room, "juliet");
        house.recv(&juliet);
        set_affiliation(&mut house, &romeo, &room, "juliet@house", "none");
        let own = house.one(&juliet);
        assert_eq!((own.attr("type"), item(&own)[0].as_str()), (None, "none"));
    }
}

#[test]
fn s9_5_and_d2_who_sees_the_list_of_members() {
    let (mut house, room, romeo) = alone(0, &[]);
    let (juliet, nurse) = (house.online(JULIET), house.online(NURSE));
    set_affiliation(&mut house, &romeo, &room, "juliet@house", "member");
    join(&mut house, &nurse, &room, "nurse");
    let list =
        |house: &mut House, who: &Client, of: &str| admin(house, who, &room, "get", &format!("<item affiliation='{of}'/>"));
    // 5.2.1: where addresses are hidden, only admins.
    for of in ["member", "admin", "owner", "outcast"] {
        is_error(&list(&mut house, &juliet, of), "forbidden");
        is_error(&list(&mut house, &nurse, of), "forbidden");
        is_result(&list(&mut house, &romeo, of));
    }
    configure(&mut house, &romeo, &room, &[("whois", "anyone")]);
    // "a service SHOULD also allow any member to retrieve the member list even if not yet an occupant."
    assert!(list(&mut house, &juliet, "member").as_str().contains("jid='juliet@house'"));
    is_result(&list(&mut house, &nurse, "owner"));
    is_error(&list(&mut house, &nurse, "outcast"), "forbidden");
    let paris = house.online(PARIS);
    is_error(&list(&mut house, &paris, "member"), "forbidden");
}

#[test]
fn s9_5_a_nickname_with_a_membership_is_reserved() {
    let (mut house, room, romeo) = alone(1, &[]);
    let item = |nick: &str| format!("<item affiliation='member' jid='juliet@house' nick='{nick}'/>");
    is_result(&admin(&mut house, &romeo, &room, "set", &item("jule")));
    let nurse = house.online(NURSE);
    is_error(&join(&mut house, &nurse, &room, "Jule")[0], "conflict");
    is_error(&admin(&mut house, &romeo, &room, "set", &item("romeo")), "conflict");
    is_result(&admin(&mut house, &romeo, &room, "set", &item("")));
    is_in(&join(&mut house, &nurse, &room, "jule"));
}

#[test]
fn s9_6_to_9_8_moderators() {
    for shard in [0, 1] {
        let (mut house, room, romeo) = alone(shard, &[]);
        let (juliet, nurse) = (house.online(JULIET), house.online(NURSE));
        join(&mut house, &juliet, &room, "juliet");
        join(&mut house, &nurse, &room, "nurse");
        is_error(&set_role(&mut house, &juliet, &room, "nurse", "moderator"), "forbidden");
        is_result(&set_role(&mut house, &romeo, &room, "juliet", "moderator"));
        assert!(house.recv(&nurse).iter().any(|it| item(it)[1] == "moderator"));
        let list = admin(&mut house, &romeo, &room, "get", "<item role='moderator'/>");
        assert!(list.as_str().contains("nick='juliet'") && list.as_str().contains("nick='romeo'"));
        // A moderator who is no admin makes none.
        is_error(&set_role(&mut house, &juliet, &room, "nurse", "moderator"), "forbidden");
        is_result(&set_role(&mut house, &romeo, &room, "juliet", "participant"));
        is_error(&set_role(&mut house, &juliet, &room, "nurse", "none"), "forbidden");
    }
}

#[test]
fn c9_whoever_is_given_an_address_anew_is_nobody_in_the_rooms_of_the_one_before() {
    for (shard, person) in [(0, "juliet@house"), (1, "juliet@house"), (1, "juliet@away")] {
        let (mut house, room, romeo) = alone(shard, &[("persistentroom", "1"), ("membersonly", "1")]);
        house.user(person);
        is_result(&set_affiliation(&mut house, &romeo, &room, person, "owner"));
        is_result(&set_affiliation(&mut house, &romeo, &room, "tybalt@house", "outcast"));
        house.user("tybalt@house");
        for gone in [person, "tybalt@house"] {
            house.ask(gone, iris_core::Ask::Remove);
            house.run();
        }
        let mut house = house.restart(ROOMS, Duration::from_secs(60));
        let again = house.online(&format!("{person}/balcony"));
        is_error(&join(&mut house, &again, &room, "juliet")[0], "registration-required");
        let tybalt = house.online(TYBALT);
        is_error(&join(&mut house, &tybalt, &room, "tybalt")[0], "forbidden");
    }
}

#[test]
fn c9_nor_at_the_address_of_a_room_that_the_one_before_has_destroyed() {
    let (mut house, room, romeo) = alone(0, &[("persistentroom", "1")]);
    is_result(&owner(&mut house, &romeo, &room, "set", "<destroy/>"));
    house.ask("romeo@house", iris_core::Ask::Remove);
    house.run();
    for _ in 0..2 {
        let again = house.online(ROMEO);
        is_error(&join(&mut house, &again, &room, "romeo")[0], "gone");
        house = house.restart(ROOMS, Duration::from_secs(60));
    }
}

#[test]
fn c9_so_it_is_when_the_house_dies_at_any_moment_of_a_removal() {
    for step in 0..14 {
        let (mut house, room, romeo) = alone(step as u16 % 2, &[("persistentroom", "1"), ("membersonly", "1")]);
        house.online(JULIET);
        is_result(&set_affiliation(&mut house, &romeo, &room, "juliet@house", "owner"));
        let at = usize::from(shard_of("juliet@house", 2));
        let juliet = iris_core::BareJid::new("juliet@house").expect("a bare JID");
        house.shards[at].ask(&juliet, iris_core::Ask::Remove, Box::new(|_| {}));
        // The first turn removes her; those who are told are told in the next ones.
        for turn in 0..=step {
            house.shards[(at + turn) % 2].turn(house.now, 1);
        }
        let mut house = house.restart(ROOMS, Duration::from_secs(60));
        let again = house.online(JULIET);
        is_error(&join(&mut house, &again, &room, "juliet")[0], "registration-required");
        let romeo = house.online(ROMEO);
        assert!(!admin(&mut house, &romeo, &room, "get", "<item affiliation='owner'/>").as_str().contains("juliet"), "{step}");
    }
}

/// Clients encrypt for everybody who belongs to a room, here or not: they have to hear of it.
#[test]
fn s10_3_what_somebody_becomes_who_is_not_here_is_told_to_those_who_may_know() {
    for (shard, whois, hears) in [(0, "anyone", true), (1, "anyone", true), (0, "moderators", false)] {
        let (mut house, room, romeo, juliet) = both(shard, &[("membersonly", "0"), ("whois", whois)]);
        house.recv(&juliet);
        for affiliation in ["member", "admin", "none"] {
            is_result(&set_affiliation(&mut house, &romeo, &room, "nurse@house", affiliation));
            let told = house.recv(&juliet);
            assert_eq!(told.len(), usize::from(hears), "{told:?}");
            for told in told {
                assert_eq!(
                    (told.name().1, from(&told), item(&told)),
                    ("message", room.clone(), [affiliation, "none", "nurse@house"].map(str::to_owned))
                );
                // XEP-0463 4.2.2: "the room MUST add the mav element", also for who has not asked for versions.
                assert!(told.as_str().contains("<mav xmlns='urn:xmpp:muc:affiliations:1' since='"), "{}", told.as_str());
            }
        }
        // 5.2.1: the list of bans is the admins'.
        is_result(&set_affiliation(&mut house, &romeo, &room, "tybalt@house", "outcast"));
        house.nothing(&juliet);
    }
}

/// 7.11, 9.5, and who may see real addresses (7.2.4).
#[test]
fn s7_11_who_may_see_the_list_of_members_in_every_room_for_every_choice() {
    let (mut house, room, romeo) = alone(1, &[("moderatedroom", "1")]);
    let names = [NURSE, JULIET, TYBALT, PARIS, "benvolio@house/x", "escalus@house/x"];
    let [visitor, participant, moderator, member, outsider, admin_outside] = names.map(|it| house.online(it));
    for (client, nick) in [(&visitor, "nurse"), (&participant, "juliet"), (&moderator, "tybalt"), (&member, "paris")] {
        is_in(&join(&mut house, client, &room, nick));
    }
    is_result(&set_role(&mut house, &romeo, &room, "juliet", "participant"));
    is_result(&set_role(&mut house, &romeo, &room, "tybalt", "moderator"));
    is_result(&set_affiliation(&mut house, &romeo, &room, "paris@house", "member"));
    is_result(&set_affiliation(&mut house, &romeo, &room, "escalus@house", "admin"));
    let roles = ["visitor", "participant", "moderator"];
    for (whois, chosen) in ["moderators", "anyone"].into_iter().flat_map(|whois| (0..8).map(move |chosen| (whois, chosen))) {
        let chosen: Vec<&str> =
            roles.into_iter().enumerate().filter(|(bit, _)| chosen & (1 << bit) != 0).map(|it| it.1).collect();
        let values: String = chosen.iter().map(|it| format!("<value>{it}</value>")).collect();
        let form = format!(
            "<x xmlns='jabber:x:data' type='submit'><field var='muc#roomconfig_getmemberlist'>{values}</field>\
             <field var='muc#roomconfig_whois'><value>{whois}</value></field></x>"
        );
        is_result(&owner(&mut house, &romeo, &room, "set", &form));
        let is_open = whois == "anyone";
        for (client, may) in [
            (&visitor, is_open && chosen.contains(&"visitor")),
            (&participant, is_open && chosen.contains(&"participant")),
            // Who sees the addresses of all who are here anyway.
            (&moderator, chosen.contains(&"moderator")),
            (&member, is_open),
            (&outsider, false),
            (&admin_outside, true),
            (&romeo, true),
        ] {
            for list in ["member", "admin", "owner", "outcast"] {
                let answer = admin(&mut house, client, &room, "get", &format!("<item affiliation='{list}'/>"));
                let is_admin = [&admin_outside, &romeo].iter().any(|it| it.jid == client.jid);
                let expected = if list == "outcast" { is_admin } else { may };
                let is = answer.attr("type").as_deref() == Some("result");
                assert_eq!(is, expected, "{} {list} {whois} {chosen:?}: {}", client.jid, answer.as_str());
            }
        }
    }
    let asked = owner(&mut house, &romeo, &room, "get", "");
    let label = "Who may see the list of members (participants and visitors: only where everybody sees real addresses)";
    assert!(asked.as_str().contains(label), "{}", asked.as_str());
}
