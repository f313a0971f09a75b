//! Sections 7.1 to 7.3, 7.6, 7.7, 7.14: coming in, changing, going.

use super::*;

#[test]
fn s7_1_the_order_of_events_is_others_oneself_history_subject() {
    for shard in [0, 1] {
        let (mut house, room, romeo) = alone(shard, &[]);
        let nurse = house.online(NURSE);
        join(&mut house, &nurse, &room, "nurse");
        say(&mut house, &romeo, &room, "one");
        say(&mut house, &romeo, &room, "two");
        house.send(&romeo, &format!("<message to='{room}' type='groupchat'><subject>Verona</subject></message>"));
        let juliet = house.online(JULIET);
        let heard = join(&mut house, &juliet, &room, "juliet");
        let order: Vec<String> = heard.iter().map(|it| format!("{} {}", it.name().1, from(it))).collect();
        assert_eq!(
            order,
            [
                format!("presence {room}/nurse"),
                format!("presence {room}/romeo"),
                format!("presence {room}/juliet"),
                format!("message {room}/romeo"),
                format!("message {room}/romeo"),
                format!("message {room}/romeo"),
            ]
        );
        assert_eq!(bodies(&heard), ["one", "two"]);
        let last = heard.last().expect("the subject");
        assert!(last.as_str().contains("<subject>Verona</subject>") && !last.as_str().contains("<body"));
        assert!(last.as_str().contains(&format!("<delay xmlns='urn:xmpp:delay' from='{room}'")), "7.2.15");
        assert!(heard.iter().all(|it| it.to().as_deref() == Some(JULIET)));
    }
}

#[test]
fn s7_2_1_a_nickname_has_to_be_said() {
    let (mut house, room) = (house(), room_on(0));
    let romeo = house.online(ROMEO);
    house.send(&romeo, &format!("<presence to='{room}' id='p1'><x xmlns='{MUC}'/></presence>"));
    let answer = house.one(&romeo);
    is_error(&answer, "jid-malformed");
    assert_eq!((answer.id().as_deref(), from(&answer)), (Some("p1"), room));
}

#[test]
fn s7_2_11_who_says_it_twice_at_once_makes_one_room_and_is_in_it_once() {
    for shard in [0, 1] {
        let (mut house, room) = (house(), room_on(shard));
        let (romeo, juliet) = (house.online(ROMEO), house.online(JULIET));
        let come = |nick: &str| format!("<presence to='{room}/{nick}'><x xmlns='{MUC}'/></presence>");
        house.feed(&romeo, &come("romeo"));
        house.feed(&romeo, &come("romeo"));
        house.run();
        let heard = house.recv(&romeo);
        assert_eq!(heard.iter().filter(|it| codes(it).contains(&201)).count(), 1, "{heard:?}");
        configure(&mut house, &romeo, &room, &[]);
        say(&mut house, &romeo, &room, "once");
        assert_eq!(bodies(&house.recv(&romeo)), ["once"]);
        // Two people at once: one makes it, for the other it is locked (10.1.1).
        let other = format!("other-{room}");
        let come = |nick: &str| format!("<presence to='{other}/{nick}'><x xmlns='{MUC}'/></presence>");
        house.feed(&romeo, &come("romeo"));
        house.feed(&juliet, &come("juliet"));
        house.run();
        let heard = [house.recv(&romeo), house.recv(&juliet)];
        let made = |heard: &[Stanza]| heard.iter().any(|it| codes(it).contains(&201));
        let first = usize::from(!made(&heard[0]));
        assert!(made(&heard[first]) && heard[1 - first].len() == 1, "{heard:?}");
        is_error(&heard[1 - first][0], "item-not-found");
    }
}

#[test]
fn s7_14_who_leaves_while_the_room_is_made_leaves_no_room() {
    for shard in [0, 1] {
        let (mut house, room) = (house(), room_on(shard));
        let (romeo, juliet) = (house.online(ROMEO), house.online(JULIET));
        house.feed(&romeo, &format!("<presence to='{room}/romeo'><x xmlns='{MUC}'/></presence>"));
        house.feed(&romeo, &format!("<presence to='{room}/romeo' type='unavailable'/>"));
        house.run();
        let heard = house.recv(&romeo);
        assert!(
            codes(&heard[0]).contains(&201) && heard.last().is_some_and(|it| it.as_str().contains("<destroy/>")),
            "{heard:?}"
        );
        let items =
            house.iq(&juliet, "get", Some("conference.house"), "<query xmlns='http://jabber.org/protocol/disco#items'/>");
        assert!(!items.as_str().contains(&room), "{}", items.as_str());
        assert!(join(&mut house, &juliet, &room, "juliet").iter().any(|it| codes(it).contains(&201)), "the name is free");
    }
}

#[test]
fn s7_2_1_whoever_joins_again_gets_everything_again() {
    let (mut house, room, romeo) = alone(1, &[]);
    let juliet = house.online(JULIET);
    let first = join(&mut house, &juliet, &room, "juliet");
    say(&mut house, &romeo, &room, "hi");
    house.recv(&juliet);
    let again = join(&mut house, &juliet, &room, "juliet");
    let presences = |heard: &[Stanza]| heard.iter().filter(|it| it.name().1 == "presence").map(from).collect::<Vec<_>>();
    assert_eq!(presences(&first), presences(&again));
    assert_eq!(bodies(&again), ["hi"]);
}

#[test]
fn s7_2_2_everybody_is_told_and_oneself_with_110() {
    for shard in [0, 1] {
        let (mut house, room, romeo) = alone(shard, &[]);
        let juliet = house.online(JULIET);
        let heard = join(&mut house, &juliet, &room, "juliet");
        let (romeo_seen, own) = (&heard[0], &heard[1]);
        assert_eq!((item(romeo_seen), codes(romeo_seen)), (["owner".into(), "moderator".into(), String::new()], vec![]));
        assert_eq!(codes(own), [110]);
        assert_eq!(item(own), ["none", "participant", "juliet@house/balcony"]);
        let seen = house.one(&romeo);
        assert_eq!((from(&seen), codes(&seen)), (format!("{room}/juliet"), vec![]));
        assert_eq!(item(&seen), ["none", "participant", "juliet@house/balcony"], "7.2.4: a moderator sees who it is");
        for stanza in [romeo_seen, own, &seen] {
            assert_eq!(stanza.as_str().matches("<occupant-id xmlns='urn:xmpp:occupant-id:0'").count(), 1, "0421");
        }
    }
}

#[test]
fn s7_2_3_a_room_that_hides_nobody_says_so() {
    let (mut house, room, _) = alone(0, &[("whois", "anyone")]);
    let juliet = house.online(JULIET);
    let heard = join(&mut house, &juliet, &room, "juliet");
    assert_eq!(item(&heard[0])[2], ROMEO);
    assert_eq!(codes(&heard[1]), [100, 110]);
}

#[test]
fn s7_2_4_and_d2_nobody_but_moderators_sees_a_real_address() {
    let (mut house, room, romeo, juliet) = both(1, &[]);
    let nurse = house.online(NURSE);
    let mut heard = join(&mut house, &nurse, &room, "nurse");
    say(&mut house, &romeo, &room, "hi");
    set_role(&mut house, &romeo, &room, "juliet", "visitor");
    house.send(&juliet, &format!("<presence to='{room}/jule'/>"));
    leave(&mut house, &juliet, &room, "jule");
    heard.extend(house.recv(&nurse));
    for stanza in &heard {
        let text = stanza.as_str().replace("nurse@house/kitchen", "");
        assert!(!text.contains("@house"), "{text}");
    }
    assert!(heard.len() > 8);
    // Who becomes a moderator is shown them.
    set_role(&mut house, &romeo, &room, "nurse", "moderator");
    let heard = house.recv(&nurse);
    assert!(heard.iter().any(|it| item(it)[2] == ROMEO), "{heard:?}");
}

#[test]
fn s7_2_5_a_password_that_is_missing_or_wrong() {
    let (mut house, room, _) = alone(0, &[("passwordprotectedroom", "1"), ("roomsecret", "cauldronburn")]);
    let juliet = house.online(JULIET);
    for inside in ["", "<password/>", "<password>cauldron</password>"] {
        let heard = join_with(&mut house, &juliet, &room, "juliet", inside);
        is_error(&heard[0], "not-authorized");
        assert_eq!(heard.len(), 1);
    }
    let heard = join_with(&mut house, &juliet, &room, "juliet", "<password>cauldronburn</password>");
    assert!(codes(&heard[1]).contains(&110));
    assert!(heard.iter().all(|it| !it.as_str().contains("cauldronburn")), "nobody else learns it");
}

#[test]
fn s7_2_6_and_7_2_7_members_only_and_banned() {
    let (mut house, room, romeo) = alone(1, &[("membersonly", "1")]);
    let juliet = house.online(JULIET);
    is_error(&join(&mut house, &juliet, &room, "juliet")[0], "registration-required");
    is_result(&set_affiliation(&mut house, &romeo, &room, "juliet@house", "member"));
    house.recv(&juliet);
    assert_eq!(item(&join(&mut house, &juliet, &room, "juliet")[1])[0], "member");
    is_result(&set_affiliation(&mut house, &romeo, &room, "tybalt@house", "outcast"));
    let tybalt = house.online(TYBALT);
    is_error(&join(&mut house, &tybalt, &room, "tybalt")[0], "forbidden");
}

#[test]
fn s7_2_8_a_nickname_is_one_persons() {
    let (mut house, room, romeo) = alone(0, &[]);
    let juliet = house.online(JULIET);
    for nick in ["romeo", "Romeo", "ROMEO", "rom\u{200b}eo"] {
        is_error(&join(&mut house, &juliet, &room, nick)[0], "conflict");
    }
    // But all of their clients'.
    let tablet = house.online("romeo@house/tablet");
    house.recv(&romeo);
    let heard = join(&mut house, &tablet, &room, "romeo");
    assert_eq!(codes(&heard[0]), [110]);
    assert_eq!(codes(&house.one(&romeo)), [110], "the other client sees what is shown of both");
    join(&mut house, &juliet, &room, "juliet");
    for client in [&romeo, &tablet] {
        house.recv(client);
    }
    say(&mut house, &juliet, &room, "both");
    for client in [&romeo, &tablet] {
        assert_eq!(bodies(&house.recv(client)), ["both"]);
    }
    house.recv(&juliet);
    say(&mut house, &tablet, &room, "from the tablet");
    assert_eq!(from(&house.one(&juliet)), format!("{room}/romeo"));
    // One of them goes: the occupant stays.
    leave(&mut house, &tablet, &room, "romeo");
    let gone = house.recv(&tablet);
    let gone = gone.last().expect("self-presence");
    assert_eq!((gone.attr("type").as_deref(), codes(gone)), (Some("unavailable"), vec![110]));
    assert_eq!(house.one(&juliet).attr("type"), None);
    house.close(&romeo);
    assert_eq!(house.one(&juliet).attr("type").as_deref(), Some("unavailable"));
}

#[test]
fn s7_2_9_a_full_room_lets_admins_in() {
    let (mut house, room, romeo) = alone(1, &[("maxusers", "3")]);
    for n in 0..2 {
        let client = house.online(&format!("u{n}@house/x"));
        join(&mut house, &client, &room, &format!("u{n}"));
    }
    let juliet = house.online(JULIET);
    let answer = &join(&mut house, &juliet, &room, "juliet")[0];
    is_error(answer, "service-unavailable");
    assert!(answer.as_str().contains("3 people"), "which limit: {}", answer.as_str());
    set_affiliation(&mut house, &romeo, &room, "juliet@house", "admin");
    let heard = join(&mut house, &juliet, &room, "juliet");
    assert!(heard.iter().any(|it| codes(it).contains(&110)), "{heard:?}");
}

#[test]
fn s7_2_10_a_locked_room_is_not_there_for_others() {
    let (mut house, room) = (house(), room_on(0));
    let romeo = house.online(ROMEO);
    let heard = join(&mut house, &romeo, &room, "romeo");
    assert_eq!(
        (item(&heard[0]), codes(&heard[0])),
        (["owner".into(), "moderator".into(), "romeo@house/orchard".into()], vec![110, 201])
    );
    let juliet = house.online(JULIET);
    is_error(&join(&mut house, &juliet, &room, "juliet")[0], "item-not-found");
    // 17.2: nor by any other question, while its owner sees it.
    is_error(&info_of(&mut house, &juliet, &room), "item-not-found");
    is_error(&house.iq(&juliet, "get", Some(&room), "<query xmlns='jabber:iq:register'/>"), "item-not-found");
    // As in a room that there is, and as where there is none: XEP-0410.
    for room in [&room, "nowhere@conference.house"] {
        let version = "<query xmlns='jabber:iq:version'/>";
        is_error(&house.iq(&juliet, "get", Some(&format!("{room}/romeo")), version), "not-acceptable");
    }
    say(&mut house, &juliet, &room, "anybody?");
    is_error(&house.one(&juliet), "item-not-found");
    is_result(&info_of(&mut house, &romeo, &room));
    is_result(&configure(&mut house, &romeo, &room, &[]));
    assert!(codes(&join(&mut house, &juliet, &room, "juliet")[1]).contains(&110));
}

#[test]
fn s7_2_14_history_is_managed() {
    let (mut house, room, romeo) = alone(1, &[]);
    for n in 0..5 {
        say(&mut house, &romeo, &room, &format!("m{n}"));
        house.advance(std::time::Duration::from_secs(10));
    }
    house.send(
        &romeo,
        &format!("<message to='{room}' type='groupchat'><composing xmlns='http://jabber.org/protocol/chatstates'/></message>"),
    );
    let juliet = house.online(JULIET);
    for (history, expected) in [
        ("", vec!["m0", "m1", "m2", "m3", "m4"]),
        ("<history maxstanzas='2'/>", vec!["m3", "m4"]),
        ("<history maxchars='0'/>", vec![]),
        ("<history seconds='25'/>", vec!["m3", "m4"]),
        ("<history since='2026-01-01T00:00:35Z'/>", vec!["m4"]),
    ] {
        let heard = join_with(&mut house, &juliet, &room, "juliet", history);
        assert_eq!(bodies(&heard), expected, "{history}");
        let past: Vec<&Stanza> = heard.iter().filter(|it| it.as_str().contains("<body>")).collect();
        for it in past {
            assert!(it.as_str().contains(&format!("<delay xmlns='urn:xmpp:delay' from='{room}'")), "{}", it.as_str());
            assert_eq!(it.as_str().matches("<stanza-id").count(), 1);
        }
        leave(&mut house, &juliet, &room, "juliet");
    }
    // maxchars counts complete stanzas.
    let one = join_with(&mut house, &juliet, &room, "juliet", "<history maxstanzas='1'/>");
    let size = one.iter().find(|it| it.as_str().contains("<body>")).expect("m4").size();
    for (max, count) in [(size - 1, 0), (size, 1), (2 * size, 2)] {
        let heard = join_with(&mut house, &juliet, &room, "juliet", &format!("<history maxchars='{max}'/>"));
        assert_eq!(bodies(&heard).len(), count, "{max}");
    }
}

#[test]
fn s7_2_15_a_room_without_a_subject_says_that_it_has_none() {
    let (mut house, room) = (house(), room_on(0));
    let romeo = house.online(ROMEO);
    let heard = join(&mut house, &romeo, &room, "romeo");
    assert_eq!(heard.len(), 2);
    assert!(heard[1].as_str().contains("<subject/>"), "{}", heard[1].as_str());
    assert_eq!((heard[1].attr("type").as_deref(), from(&heard[1])), (Some("groupchat"), room));
}

#[test]
fn s7_2_17_a_client_that_is_out_of_step_is_told() {
    let (mut house, room, _) = alone(1, &[]);
    let juliet = house.online(JULIET);
    for to in [format!("{room}/juliet"), "nowhere@conference.house/juliet".to_owned()] {
        house.send(&juliet, &format!("<presence to='{to}'><show>away</show></presence>"));
        let kick = house.one(&juliet);
        assert_eq!((kick.attr("type").as_deref(), codes(&kick), from(&kick)), (Some("unavailable"), vec![110, 307, 333], to));
    }
}

#[test]
fn s7_6_another_nickname() {
    for shard in [0, 1] {
        let (mut house, room, romeo, juliet) = both(shard, &[]);
        house.send(&juliet, &format!("<presence to='{room}/jule'/>"));
        for (client, is_self) in [(&juliet, true), (&romeo, false)] {
            let heard = house.recv(client);
            assert_eq!(heard.len(), 2);
            assert_eq!((from(&heard[0]), heard[0].attr("type").as_deref()), (format!("{room}/juliet"), Some("unavailable")));
            assert!(heard[0].as_str().contains("nick='jule'"), "{}", heard[0].as_str());
            assert_eq!(codes(&heard[0]), if is_self { vec![110, 303] } else { vec![303] });
            assert_eq!((from(&heard[1]), heard[1].attr("type")), (format!("{room}/jule"), None));
            assert_eq!(codes(&heard[1]), if is_self { vec![110] } else { vec![] });
        }
        house.send(&juliet, &format!("<presence to='{room}/romeo'/>"));
        is_error(&house.one(&juliet), "conflict");
        house.nothing(&romeo);
    }
}

#[test]
fn d2_of_two_who_take_a_nickname_at_once_one_gets_it() {
    for shard in [0, 1] {
        let (mut house, room, romeo, juliet) = both(shard, &[]);
        for client in [&juliet, &romeo] {
            house.send(client, &format!("<presence to='{room}/tybalt'/>"));
        }
        let heard = [house.recv(&juliet), house.recv(&romeo)];
        let refused = heard.iter().filter(|all| all.iter().any(|it| it.attr("type").as_deref() == Some("error"))).count();
        assert_eq!(refused, 1, "{heard:?}");
        // Each asks for the other's: nobody is in two places for a moment.
        let nick = |of: usize| if heard[of].iter().any(|it| it.attr("type").as_deref() == Some("error")) { of } else { 1 - of };
        let (loser, other) = if nick(0) == 0 { (&juliet, "romeo") } else { (&romeo, "juliet") };
        house.send(loser, &format!("<presence to='{room}/tybalt'/>"));
        is_error(&house.one(loser), "conflict");
        house.send(loser, &format!("<presence to='{room}/{other}'/>"));
        let moved = house.recv(loser);
        assert!(moved.iter().any(|it| from(it) == format!("{room}/{other}") && it.attr("type").is_none()), "{moved:?}");
    }
}

#[test]
fn s7_7_another_status() {
    let (mut house, room, romeo, juliet) = both(0, &[]);
    house.send(
        &juliet,
        &format!(
            "<presence to='{room}/juliet'><show>xa</show><status>gone</status><x xmlns='{MUC}#user'><item affiliation='owner' \
             role='moderator'/><status code='100'/></x><occupant-id xmlns='urn:xmpp:occupant-id:0' id='forged'/></presence>"
        ),
    );
    let seen = house.one(&romeo);
    assert!(
        seen.as_str().contains("<show>xa</show><status>gone</status>") && !seen.as_str().contains("forged"),
        "{}",
        seen.as_str()
    );
    assert_eq!((item(&seen)[0].as_str(), codes(&seen)), ("none", vec![]), "C3: nobody speaks for the room");
}

#[test]
fn s7_14_leaving_with_words_and_without() {
    for shard in [0, 1] {
        let (mut house, room, romeo, juliet) = both(shard, &[]);
        house.send(&juliet, &format!("<presence type='unavailable' to='{room}/juliet'><status>good night</status></presence>"));
        let own = house.one(&juliet);
        assert_eq!((item(&own)[1].as_str(), codes(&own)), ("none", vec![110]));
        let seen = house.one(&romeo);
        assert!(seen.as_str().contains("good night") && seen.attr("type").as_deref() == Some("unavailable"));
        assert_eq!((item(&seen)[1].as_str(), codes(&seen)), ("none", vec![]));
        // The connection breaks: the server says it for the client.
        join(&mut house, &juliet, &room, "juliet");
        house.recv(&romeo);
        house.cut(&juliet);
        assert_eq!(house.one(&romeo).attr("type").as_deref(), Some("unavailable"));
    }
}

#[test]
fn s7_14_a_temporary_room_ends_with_its_last_occupant() {
    let (mut house, room, romeo) = alone(1, &[]);
    say(&mut house, &romeo, &room, "hi");
    leave(&mut house, &romeo, &room, "romeo");
    let juliet = house.online(JULIET);
    is_error(&info_of(&mut house, &juliet, &room), "item-not-found");
    let heard = join(&mut house, &juliet, &room, "juliet");
    assert!(codes(&heard[0]).contains(&201) && bodies(&heard).is_empty(), "a new one, which knows nothing");
    is_result(&configure(&mut house, &juliet, &room, &[("persistentroom", "1")]));
    say(&mut house, &juliet, &room, "new");
    let heard = join(&mut house, &romeo, &room, "romeo");
    assert_eq!(bodies(&heard), ["new"]);
}

#[test]
fn s7_2_1_whoever_joins_again_under_another_nickname_gets_everything_too() {
    for shard in [0, 1] {
        let (mut house, room, romeo, juliet) = both(shard, &[]);
        say(&mut house, &romeo, &room, "past");
        house.recv(&romeo);
        let heard = join(&mut house, &juliet, &room, "jule");
        let of = |it: &Stanza| (from(it).rsplit_once('/').map_or(String::new(), |it| it.1.to_owned()), codes(it));
        let presences: Vec<_> = heard.iter().filter(|it| it.name().1 == "presence").map(of).collect();
        let named = |nick: &str, codes: &[u16]| (nick.to_owned(), codes.to_vec());
        assert_eq!(presences, [named("juliet", &[110, 303]), named("romeo", &[]), named("jule", &[110])]);
        assert_eq!(bodies(&heard), ["past"]);
        assert!(heard.last().expect("the subject").as_str().contains("<subject/>"));
        let seen: Vec<_> = house.recv(&romeo).iter().map(of).collect();
        assert_eq!(seen, [named("juliet", &[303]), named("jule", &[])]);
    }
}

/// Security D2: who has much to say keeps nobody out. A session holds four megabytes (`output_bytes_max`), a stanza has up to a quarter of one.
#[test]
fn d2_whoever_comes_in_is_not_buried_under_what_was_said() {
    let (mut house, room, romeo) = alone(1, &[("persistentroom", "1")]);
    let much = "x".repeat(250_000);
    for n in 0..20 {
        house.send(&romeo, &format!("<message to='{room}' type='groupchat' id='m{n}'><body>{n} {much}</body></message>"));
        house.recv(&romeo);
    }
    say(&mut house, &romeo, &room, "newest");
    let juliet = house.online(JULIET);
    for limit in ["", "<history maxchars='100000000'/>"] {
        let heard = join_with(&mut house, &juliet, &room, "juliet", limit);
        is_in(&heard);
        assert!(!house.is_over(&juliet));
        let bodies = bodies(&heard);
        assert!(bodies.len() < 6 && bodies.last().is_some_and(|it| it == "newest"), "{}", bodies.len());
        assert!(heard.last().expect("the subject").as_str().contains("<subject/>"));
    }
}

#[test]
fn d2_nor_under_what_others_say_of_themselves() {
    let (mut house, room, _romeo) = alone(0, &[]);
    let much = "x".repeat(30_000);
    let names = (0..75).map(|n| format!("tybalt{}@house/{n}", n % 3));
    for (n, name) in names.enumerate() {
        let tablet = house.online(&name);
        house.send(&tablet, &format!("<presence to='{room}/{n}'><x xmlns='{MUC}'/><status>{much}</status></presence>"));
    }
    let juliet = house.online(JULIET);
    let heard = join(&mut house, &juliet, &room, "juliet");
    is_in(&heard);
    let others: Vec<&Stanza> = heard.iter().filter(|it| it.name().1 == "presence" && !codes(it).contains(&110)).collect();
    assert_eq!(others.len(), 76, "she sees everybody");
    assert!(others.iter().all(|it| !item(it)[0].is_empty() && it.as_str().contains("<occupant-id ")));
    let complete = others.iter().filter(|it| it.as_str().contains(&much)).count();
    assert!((50..75).contains(&complete), "{complete}");
    // And nobody says more of themselves than fits.
    let too_much = format!("<status>{}</status>", "x".repeat(33_000));
    house.send(&juliet, &format!("<presence to='{room}/juliet'>{too_much}</presence>"));
    is_error(&house.one(&juliet), "not-acceptable");
    let paris = house.online(PARIS);
    house.send(&paris, &format!("<presence to='{room}/paris'><x xmlns='{MUC}'/>{too_much}</presence>"));
    is_error(&house.one(&paris), "not-acceptable");
}

/// RFC 6120 10.1: what one stream says to one address is heard in its order, also while the room is being made.
#[test]
fn s7_2_11_what_stands_behind_the_presence_that_makes_a_room_is_heard_behind_it() {
    for shard in [0, 1] {
        let (mut house, room) = (house(), room_on(shard));
        let romeo = house.online(ROMEO);
        let all = format!(
            "<presence to='{room}/romeo'><x xmlns='{MUC}'/></presence>\
             <iq type='set' id='c' to='{room}'><query xmlns='{MUC}#owner'><x xmlns='jabber:x:data' type='submit'/></query></iq>\
             <message to='{room}' type='groupchat' id='m'><body>first</body></message>\
             <presence to='{room}/romeo' type='unavailable'/>\
             <presence to='{room}/monty'><x xmlns='{MUC}'/></presence>"
        );
        let stanzas =
            Stanza::parse(format!("<all xmlns='jabber:client'>{all}</all>").as_bytes(), &house.shards[0].house().names);
        let stanzas = stanzas.expect("XML");
        for child in stanzas.children() {
            house.feed(&romeo, std::str::from_utf8(stanzas.child_el(child).bytes()).expect("text"));
        }
        house.run();
        let heard = house.recv(&romeo);
        let parts = [
            &["<presence ", "code='110'", "code='201'"][..],
            &["<subject/>"],
            &["<iq ", "id='c'", "type='result'"],
            &["<body>first</body>"],
            &["<presence ", "type='unavailable'", "code='110'"],
            &["<presence ", "/monty'", "code='201'"],
            &["<subject/>"],
        ];
        assert_eq!(heard.len(), parts.len(), "{heard:?}");
        for (it, parts) in heard.iter().zip(parts) {
            assert!(parts.iter().all(|part| it.as_str().contains(part)), "{parts:?}: {}", it.as_str());
        }
    }
}

/// RFC 7622 3.4: what people call themselves today.
#[test]
fn s7_2_1_a_nickname_may_have_an_emoji() {
    let (mut house, room, romeo) = alone(0, &[]);
    let juliet = house.online(JULIET);
    let heard = join(&mut house, &juliet, &room, "Giulia 😀");
    assert_eq!(codes(&heard[1]), [110]);
    assert_eq!(from(&house.one(&romeo)), format!("{room}/Giulia 😀"));
    say(&mut house, &juliet, &room, "hi");
    let said = house.one(&romeo);
    assert_eq!((from(&said), bodies(&[said])), (format!("{room}/Giulia 😀"), vec!["hi".into()]));
}

#[test]
fn s7_2_9_of_a_full_room_is_said_who_can_change_it() {
    for (most, set, who) in [(2, "2", "whoever runs this server"), (5, "2", "the owners of the room"), (5, "none", "")] {
        let mut house = House::with_config(ROOMS, &format!("[xep.muc]\noccupants_max = {most}\n"));
        let room = room_on(0);
        opened(&mut house, &room, &[("maxusers", set)]);
        let juliet = house.online(JULIET);
        is_in(&join(&mut house, &juliet, &room, "juliet"));
        let nurse = house.online(NURSE);
        let heard = join(&mut house, &nurse, &room, "nurse");
        if who.is_empty() {
            is_in(&heard);
        } else {
            is_error(&heard[0], "service-unavailable");
            assert!(heard[0].as_str().contains(who), "{who}: {}", heard[0].as_str());
        }
    }
}
