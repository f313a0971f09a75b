//! The family of 0045: hats (0317), tokens (0488), versions of affiliations (0463), search (0433).

use std::time::Duration;

use super::*;

const COMMANDS: &str = "http://jabber.org/protocol/commands";

fn hat(house: &mut House, who: &Client, room: &str, node: &str, fields: &[(&str, &str)]) -> Stanza {
    let fields: String =
        fields.iter().map(|(var, value)| format!("<field var='hats#{var}'><value>{value}</value></field>")).collect();
    let form = if fields.is_empty() { String::new() } else { format!("<x xmlns='jabber:x:data' type='submit'>{fields}</x>") };
    let node = format!("urn:xmpp:hats:commands:{node}");
    house.iq(who, "set", Some(room), &format!("<command xmlns='{COMMANDS}' node='{node}' action='execute'>{form}</command>"))
}

#[test]
fn xep0317_a_hat_is_made_given_seen_and_taken() {
    for shard in [0, 1] {
        let (mut house, room, romeo, juliet) = both(shard, &[("persistentroom", "1")]);
        let make = [("title", "Host"), ("uri", "urn:example:host"), ("hue", "327.25")];
        is_error(&hat(&mut house, &juliet, &room, "create", &make), "forbidden");
        assert!(hat(&mut house, &romeo, &room, "create", &[]).as_str().contains("status='executing'"));
        assert!(hat(&mut house, &romeo, &room, "create", &make).as_str().contains("status='completed'"));
        is_error(
            &hat(&mut house, &romeo, &room, "create", &[("title", "x"), ("uri", "urn:x"), ("hue", "blue")]),
            "not-acceptable",
        );
        house.recv(&juliet);
        let give = [("jid", "juliet@house"), ("uri", "urn:example:host")];
        is_error(
            &hat(&mut house, &romeo, &room, "assign", &[("jid", "juliet@house"), ("uri", "urn:example:none")]),
            "not-acceptable",
        );
        assert!(hat(&mut house, &romeo, &room, "assign", &give).as_str().contains("status='completed'"));
        let hats = "<hats xmlns='urn:xmpp:hats:0'><hat title='Host' uri='urn:example:host' hue='327.25'/></hats>";
        assert!(house.one(&juliet).as_str().contains(hats));
        let mut house = house.restart(ROOMS, Duration::from_secs(60));
        let (romeo, juliet) = (house.online(ROMEO), house.online(JULIET));
        join(&mut house, &romeo, &room, "romeo");
        let heard = join(&mut house, &juliet, &room, "juliet");
        assert!(heard[1].as_str().contains(hats) && !heard[0].as_str().contains("<hats"), "{heard:?}");
        assert!(house.one(&romeo).as_str().contains(hats));
        let info = info_of(&mut house, &juliet, &room);
        assert!(info.as_str().contains("hats#hash") && info.as_str().contains("<feature var='urn:xmpp:hats:0'/>"));
        assert!(hat(&mut house, &juliet, &room, "list", &[]).as_str().contains("<value>Host</value>"));
        is_error(&hat(&mut house, &juliet, &room, "list-assigned", &[]), "forbidden");
        assert!(hat(&mut house, &romeo, &room, "list-assigned", &[]).as_str().contains("<value>juliet@house</value>"));
        let ask = format!("<query xmlns='http://jabber.org/protocol/disco#items' node='{COMMANDS}'/>");
        assert_eq!(house.iq(&romeo, "get", Some(&room), &ask).as_str().matches("<item ").count(), 6);
        for (node, kind) in [("urn:xmpp:hats:commands:list", "command-node"), (COMMANDS, "command-list")] {
            let ask = format!("<query xmlns='http://jabber.org/protocol/disco#info' node='{node}'/>");
            assert!(house.iq(&juliet, "get", Some(&room), &ask).as_str().contains(&format!("type='{kind}'")), "0050 2.3");
        }
        house.recv(&juliet);
        assert!(hat(&mut house, &romeo, &room, "destroy", &[("uri", "urn:example:host")]).as_str().contains("completed"));
        let seen = house.recv(&juliet);
        assert!(seen[0].name().1 == "presence" && !seen[0].as_str().contains("<hats"), "{seen:?}");
        assert_eq!(codes(&seen[1]), [104]);
    }
}

const TOKENS: &str = "urn:xmpp:muc-token-invite:0";

fn token(house: &mut House, who: &Client, room: &str, attributes: &str) -> String {
    let answer = house.iq(who, "set", Some(room), &format!("<request xmlns='{TOKENS}' {attributes}/>"));
    is_result(&answer);
    let child = answer.child_named(TOKENS, "token").expect("a token");
    answer.child_el(child).text().into_owned()
}

#[test]
fn xep0488_a_token_makes_a_member_once() {
    for shard in [0, 1] {
        let (mut house, room, romeo) = alone(shard, &[("persistentroom", "1"), ("membersonly", "1")]);
        let once = token(&mut house, &romeo, &room, "counter='1' delay='3600'");
        let mut house = house.restart(ROOMS, Duration::from_secs(60));
        let romeo = house.online(ROMEO);
        let (juliet, nurse) = (house.online(JULIET), house.online(NURSE));
        let by = |token: &str| format!("<password>{token}</password>");
        is_error(&join_with(&mut house, &juliet, &room, "juliet", &by("guessed"))[0], "registration-required");
        let heard = join_with(&mut house, &juliet, &room, "juliet", &by(&once));
        assert_eq!(item(&heard[0])[0], "member", "{heard:?}");
        // Who belongs to the room needs none, and uses none up.
        leave(&mut house, &juliet, &room, "juliet");
        assert_eq!(item(&join_with(&mut house, &juliet, &room, "juliet", &by(&once))[0])[0], "member");
        let refused = &join_with(&mut house, &nurse, &room, "nurse", &by(&once))[0];
        is_error(refused, "not-authorized");
        assert!(refused.as_str().contains("<expired-token"));
        let late = token(&mut house, &romeo, &room, "delay='10'");
        let list = house.iq(&romeo, "get", Some(&room), &format!("<tokens xmlns='{TOKENS}'/>"));
        assert!(list.as_str().contains(&late), "{}", list.as_str());
        house.advance(Duration::from_secs(11));
        is_error(&join_with(&mut house, &nurse, &room, "nurse", &by(&late))[0], "not-authorized");
        let revoked = token(&mut house, &romeo, &room, "");
        let revoke = format!("<revoke xmlns='{TOKENS}'>{revoked}</revoke>");
        is_error(&house.iq(&juliet, "set", Some(&room), &revoke), "forbidden");
        is_result(&house.iq(&romeo, "set", Some(&room), &revoke));
        is_error(&house.iq(&romeo, "set", Some(&room), &revoke), "item-not-found");
        is_error(&join_with(&mut house, &nurse, &room, "nurse", &by(&revoked))[0], "registration-required");
        is_error(&house.iq(&juliet, "set", Some(&room), &format!("<request xmlns='{TOKENS}'/>")), "forbidden");
    }
}

#[test]
fn xep0488_s4_a_token_is_given_once_also_where_others_give_a_password() {
    for shard in [0, 1] {
        let locked = [("persistentroom", "1"), ("passwordprotectedroom", "1"), ("roomsecret", "moon")];
        let (mut house, room, romeo) = alone(shard, &locked);
        let once = token(&mut house, &romeo, &room, "counter='1'");
        let by = |token: &str| format!("<password>{token}</password>");
        let (juliet, nurse) = (house.online(JULIET), house.online(NURSE));
        is_in(&join_with(&mut house, &juliet, &room, "juliet", &by(&once)));
        leave(&mut house, &juliet, &room, "juliet");
        let mut house = house.restart(ROOMS, Duration::from_secs(60));
        let (romeo, juliet, nurse2) = (house.online(ROMEO), house.online(JULIET), house.online(NURSE));
        drop(nurse);
        is_in(&join_with(&mut house, &juliet, &room, "juliet", &by(&once)));
        is_error(&join_with(&mut house, &nurse2, &room, "nurse", &by(&once))[0], "not-authorized");
        // The password itself is everybody else's at every join, members or not.
        set_affiliation(&mut house, &romeo, &room, "nurse@house", "member");
        is_error(&join(&mut house, &nurse2, &room, "nurse")[0], "not-authorized");
    }
}

#[test]
fn xep0488_s3_5_who_is_refused_has_not_used_the_token() {
    let (mut house, room, romeo) = alone(1, &[("persistentroom", "1"), ("membersonly", "1"), ("maxusers", "1")]);
    let once = token(&mut house, &romeo, &room, "counter='1'");
    let by = format!("<password>{once}</password>");
    let juliet = house.online(JULIET);
    join(&mut house, &romeo, &room, "romeo");
    is_error(&join_with(&mut house, &juliet, &room, "romeo", &by)[0], "conflict");
    is_error(&join_with(&mut house, &juliet, &room, "juliet", &by)[0], "service-unavailable");
    let members = admin(&mut house, &romeo, &room, "get", "<item affiliation='member'/>");
    assert!(!members.as_str().contains("juliet"), "{}", members.as_str());
    configure(&mut house, &romeo, &room, &[("maxusers", "20")]);
    is_in(&join_with(&mut house, &juliet, &room, "juliet", &by));
}

const MAV: &str = "urn:xmpp:muc:affiliations:1";

fn until(stanza: &Stanza) -> String {
    let (_, rest) = stanza.as_str().split_once(&format!("<mav xmlns='{MAV}'")).unwrap_or_else(|| panic!("{}", stanza.as_str()));
    rest.split_once("until='").expect("until").1.split_once('\'').expect("an end").0.to_owned()
}

#[test]
fn xep0463_who_comes_again_is_told_what_has_changed() {
    for shard in [0, 1] {
        let (mut house, room, romeo) = alone(shard, &[("persistentroom", "1"), ("membersonly", "1"), ("whois", "anyone")]);
        set_affiliation(&mut house, &romeo, &room, "juliet@house", "member");
        let juliet = house.online(JULIET);
        let heard = join_with(&mut house, &juliet, &room, "juliet", &format!("<mav xmlns='{MAV}'/>"));
        assert_eq!(heard[0].name().1, "message", "before any presence");
        assert!(
            heard[0].as_str().contains("<item jid='romeo@house' affiliation='owner'/>")
                && !heard[0].as_str().contains("since=")
        );
        let first = until(&heard[0]);
        let own = heard.iter().find(|it| codes(it).contains(&110)).expect("self-presence");
        assert_eq!(until(own), first);
        // Of somebody who is not there.
        set_affiliation(&mut house, &romeo, &room, "nurse@house", "member");
        let told = house.one(&juliet);
        assert!(
            told.as_str().contains(&format!("since='{first}'")) && told.as_str().contains("jid='nurse@house'"),
            "{}",
            told.as_str()
        );
        let second = until(&told);
        set_affiliation(&mut house, &romeo, &room, "juliet@house", "admin");
        let third = until(&house.one(&juliet));
        assert_ne!(second, third);
        let again = |since: &str| format!("<mav xmlns='{MAV}' since='{since}'/>");
        let heard = join_with(&mut house, &juliet, &room, "juliet", &again(&second));
        assert!(
            heard[0].as_str().contains("<item jid='juliet@house' affiliation='admin'/>")
                && !heard[0].as_str().contains("nurse")
        );
        let heard = join_with(&mut house, &juliet, &room, "juliet", &again(&third));
        assert_eq!(heard[0].name().1, "presence", "nothing has changed");
        let heard = join_with(&mut house, &juliet, &room, "juliet", &again("unknown"));
        assert!(heard[0].as_str().contains("jid='nurse@house'"));
        assert!(join(&mut house, &romeo, &room, "romeo").iter().all(|it| !it.as_str().contains("<mav")), "who does not ask");
    }
}

#[test]
fn xep0463_s5_who_was_out_of_the_room_does_not_learn_who_came_and_went_meanwhile() {
    for sleeps in [false, true] {
        let (mut house, room, romeo) = alone(1, &[("persistentroom", "1"), ("membersonly", "1"), ("whois", "anyone")]);
        set_affiliation(&mut house, &romeo, &room, "juliet@house", "member");
        let juliet = house.online(JULIET);
        let first = until(&join_with(&mut house, &juliet, &room, "juliet", &format!("<mav xmlns='{MAV}'/>"))[0]);
        leave(&mut house, &juliet, &room, "juliet");
        for (person, affiliation) in
            [("juliet@house", "none"), ("gone@house", "member"), ("gone@house", "none"), ("juliet@house", "member")]
        {
            is_result(&set_affiliation(&mut house, &romeo, &room, person, affiliation));
        }
        if sleeps {
            leave(&mut house, &romeo, &room, "romeo");
            house.advance(Duration::from_secs(600));
        }
        let heard = join_with(&mut house, &juliet, &room, "juliet", &format!("<mav xmlns='{MAV}' since='{first}'/>"));
        assert!(heard.iter().all(|it| !it.as_str().contains("gone@house") && !it.as_str().contains("since=")), "{heard:?}");
        assert!(heard[0].as_str().contains("<item jid='romeo@house' affiliation='owner'/>"), "{}", heard[0].as_str());
        // From what she has seen since on it is a difference again.
        let second = until(&heard[0]);
        is_result(&set_affiliation(&mut house, &romeo, &room, "nurse@house", "member"));
        let heard = join_with(&mut house, &juliet, &room, "juliet", &format!("<mav xmlns='{MAV}' since='{second}'/>"));
        assert!(heard[0].as_str().contains(&format!("since='{second}'")), "{}", heard[0].as_str());
    }
}

#[test]
fn xep0463_a_version_outlives_the_memory_of_the_room() {
    for (shard, sleeps) in [(0, true), (1, true), (0, false), (1, false)] {
        let (mut house, room, romeo) = alone(shard, &[("persistentroom", "1"), ("membersonly", "1"), ("whois", "anyone")]);
        for person in ["juliet@house", "nurse@house", "paris@house"] {
            set_affiliation(&mut house, &romeo, &room, person, "member");
        }
        let juliet = house.online(JULIET);
        let first = until(&join_with(&mut house, &juliet, &room, "juliet", &format!("<mav xmlns='{MAV}'/>"))[0]);
        leave(&mut house, &juliet, &room, "juliet");
        house.recv(&romeo);
        for (person, affiliation) in [
            ("nurse@house", "none"),
            ("paris@house", "admin"),
            ("tybalt@house", "outcast"),
            ("gone@house", "member"),
            ("gone@house", "none"),
        ] {
            is_result(&set_affiliation(&mut house, &romeo, &room, person, affiliation));
        }
        leave(&mut house, &romeo, &room, "romeo");
        if sleeps {
            house.advance(Duration::from_secs(600));
        } else {
            house = house.restart(ROOMS, Duration::from_secs(60));
        }
        let juliet = if sleeps { juliet } else { house.online(JULIET) };
        let again = |since: &str| format!("<mav xmlns='{MAV}' since='{since}'/>");
        let heard = join_with(&mut house, &juliet, &room, "juliet", &again(&first));
        let delta = heard[0].as_str();
        assert!(delta.contains(&format!("since='{first}'")), "{delta}");
        for item in [
            "jid='nurse@house' affiliation='none'",
            "jid='paris@house' affiliation='admin'",
            "jid='gone@house' affiliation='none'",
        ] {
            assert!(delta.contains(item), "{item}: {delta}");
        }
        assert!(
            !delta.contains("romeo@house'") && !delta.contains("juliet@house' aff") && !delta.contains("tybalt"),
            "{delta}"
        );
        let second = until(&heard[0]);
        let own = heard.iter().find(|it| codes(it).contains(&110)).expect("self-presence");
        assert_eq!(until(own), second);
        let heard = join_with(&mut house, &juliet, &room, "juliet", &again(&second));
        assert_eq!(heard[0].name().1, "presence", "nothing has changed");
        // What has changed since is nothing that she may see: no empty diff.
        let romeo = house.online("romeo@house/desk");
        set_affiliation(&mut house, &romeo, &room, "tybalt@house", "none");
        let heard = join_with(&mut house, &juliet, &room, "juliet", &again(&second));
        assert!(!heard[0].as_str().contains("since=") && heard[0].as_str().contains("jid='romeo@house' affiliation='owner'"));
        // An id of the archive is no version.
        say(&mut house, &juliet, &room, "hi");
        let said = house.one(&juliet);
        let (_, id) = said.as_str().split_once(&format!("by='{room}' id='")).unwrap_or_else(|| panic!("{}", said.as_str()));
        let heard = join_with(&mut house, &juliet, &room, "juliet", &again(id.split_once('\'').expect("an end").0));
        assert!(!heard[0].as_str().contains("since="), "{}", heard[0].as_str());
    }
}

#[test]
fn xep0463_who_was_forgotten_is_in_no_delta_that_should_have_them() {
    let (mut house, room, romeo) = alone(1, &[("persistentroom", "1"), ("membersonly", "1"), ("whois", "anyone")]);
    let bootstrap = format!("<mav xmlns='{MAV}'/>");
    let first = until(&join_with(&mut house, &romeo, &room, "romeo", &bootstrap)[0]);
    for affiliation in ["member", "none"] {
        let items: String = (0..501).map(|n| format!("<item affiliation='{affiliation}' jid='p{n}@house'/>")).collect();
        is_result(&admin(&mut house, &romeo, &room, "set", &items));
    }
    let second = until(&join_with(&mut house, &romeo, &room, "romeo", &bootstrap)[0]);
    house.advance(Duration::from_secs(60));
    set_affiliation(&mut house, &romeo, &room, "juliet@house", "member");
    for mut house in [house.restart(ROOMS, Duration::from_secs(60)), house] {
        let romeo = house.online("romeo@house/desk");
        for (since, is_known) in [(&first, false), (&second, true)] {
            let heard = join_with(&mut house, &romeo, &room, "romeo", &format!("<mav xmlns='{MAV}' since='{since}'/>"));
            assert_eq!(heard[0].as_str().contains("since="), is_known, "{}", heard[0].as_str());
            assert!(heard[0].as_str().contains("jid='juliet@house' affiliation='member'"));
        }
    }
}

#[test]
fn xep0463_s5_2_1_nobody_learns_addresses_this_way() {
    let (mut house, room, _) = alone(0, &[]);
    let juliet = house.online(JULIET);
    let heard = join_with(&mut house, &juliet, &room, "juliet", &format!("<mav xmlns='{MAV}'/>"));
    is_error(&heard[0], "forbidden");
    assert!(heard.iter().any(|it| codes(it).contains(&110)) && heard.iter().all(|it| !it.as_str().contains("romeo@house")));
}

#[test]
fn xep0433_rooms_are_found_by_words() {
    let mut house = house();
    let romeo = house.online(ROMEO);
    for (room, name, text, hidden) in [
        ("garden", "Garden", "roses and thorns", "1"),
        ("cellar", "Cellar", "roses in the dark", "0"),
        ("roses", "Other", "", "1"),
    ] {
        let room = format!("{room}@conference.house");
        join(&mut house, &romeo, &room, "romeo");
        configure(&mut house, &romeo, &room, &[("roomname", name), ("roomdesc", text), ("publicroom", hidden)]);
    }
    let search = |house: &mut House, fields: &[(&str, &str)], set: &str| {
        let fields: String =
            fields.iter().map(|(var, value)| format!("<field var='{var}'><value>{value}</value></field>")).collect();
        let form = format!(
            "<x xmlns='jabber:x:data' type='submit'>{fields}</x><set xmlns='http://jabber.org/protocol/rsm'>{set}</set>"
        );
        house.iq(
            &romeo,
            "get",
            Some("conference.house"),
            &format!("<search xmlns='urn:xmpp:channel-search:0:search'>{form}</search>"),
        )
    };
    let form = house.iq(&romeo, "get", Some("conference.house"), "<search xmlns='urn:xmpp:channel-search:0:search'/>");
    assert!(form.as_str().contains("<value>urn:xmpp:channel-search:0:search-params</value>"), "{}", form.as_str());
    let found = |answer: &Stanza| {
        answer
            .as_str()
            .split("<item address='")
            .skip(1)
            .filter_map(|it| Some(it.split_once('@')?.0.to_owned()))
            .collect::<Vec<_>>()
    };
    for (fields, expected) in [
        (vec![("q", "rose")], vec!["garden", "roses"]),
        (vec![("q", "rose"), ("sinaddress", "0")], vec!["garden"]),
        (vec![("q", "ROSES thorn")], vec!["garden"]),
        (vec![("q", "dark")], vec![]),
        (vec![("all", "1")], vec!["garden", "roses"]),
        (vec![("all", "1"), ("min_users", "2")], vec![]),
        (vec![("all", "1"), ("types", "xep-0369")], vec![]),
        (vec![("all", "1"), ("types", "xep-0369</value><value>xep-0045")], vec!["garden", "roses"]),
    ] {
        let answer = search(&mut house, &fields, "");
        is_result(&answer);
        assert_eq!(found(&answer), expected, "{fields:?}");
    }
    let page = search(&mut house, &[("all", "1")], "<max>1</max><after>garden@conference.house</after>");
    assert_eq!(found(&page), ["roses"]);
    assert!(page.as_str().contains("<nusers>1</nusers>") && page.as_str().contains("<is-open/>"), "{}", page.as_str());
    for (fields, condition) in [
        (vec![], "no-search-conditions"),
        (vec![("q", "x"), ("all", "1")], "conflicting-fields"),
        (vec![("q", "!!")], "invalid-search-terms"),
        (vec![("q", "x"), ("key", "size")], "invalid-sort-key"),
    ] {
        let answer = search(&mut house, &fields, "");
        assert!(answer.as_str().contains(&format!("<{condition} ")), "{condition}: {}", answer.as_str());
    }
}

#[test]
fn xep0488_s7_a_token_ends_with_who_made_it_and_after_a_year() {
    let (mut house, room, romeo) = alone(1, &[("persistentroom", "1"), ("membersonly", "1")]);
    is_result(&set_affiliation(&mut house, &romeo, &room, "juliet@house", "admin"));
    let (juliet, nurse) = (house.online(JULIET), house.online(NURSE));
    let hers = token(&mut house, &juliet, &room, "");
    for attributes in ["", "delay='4000000000'"] {
        let answer = house.iq(&juliet, "set", Some(&room), &format!("<request xmlns='{TOKENS}' {attributes}/>"));
        assert!(answer.as_str().contains("delay='31536000'"), "{}", answer.as_str());
    }
    let by = |token: &str| format!("<password>{token}</password>");
    is_result(&set_affiliation(&mut house, &romeo, &room, "juliet@house", "outcast"));
    is_error(&join_with(&mut house, &nurse, &room, "nurse", &by(&hers))[0], "registration-required");
    let his = token(&mut house, &romeo, &room, "");
    house.advance(Duration::from_secs(366 * 24 * 3_600));
    is_error(&join_with(&mut house, &nurse, &room, "nurse", &by(&his))[0], "not-authorized");
}

/// Feature 54: who has no account comes in with a token, and belongs to the room for as long as they are there.
#[test]
fn xep0488_a_guest_is_a_member_for_one_visit() {
    for (shard, end) in [(0, "leaves"), (1, "is cut"), (0, "is kicked"), (1, "dies")] {
        let mut house = House::with_config(ROOMS, "[xep.anonymous]\ndomains = [\"house\"]\n");
        let room = room_on(shard);
        let romeo = opened(&mut house, &room, &[("persistentroom", "1"), ("membersonly", "1")]);
        let by = format!("<password>{}</password>", token(&mut house, &romeo, &room, ""));
        house.ask("c0ffee@house", iris_core::Ask::Guest(None));
        let guest = house.try_login("c0ffee@house/here").expect("a session");
        let heard = join_with(&mut house, &guest, &room, "guest", &by);
        assert_eq!(item(&heard[1])[0], "member", "{heard:?}");
        let members = |house: &mut House, romeo: &Client| {
            admin(house, romeo, &room, "get", "<item affiliation='member'/>").as_str().contains("c0ffee@house")
        };
        assert!(members(&mut house, &romeo));
        match end {
            "leaves" => leave(&mut house, &guest, &room, "guest"),
            "is cut" => house.close(&guest),
            "is kicked" => is_result(&set_role(&mut house, &romeo, &room, "guest", "none")),
            _ => {}
        }
        let (mut house, romeo) = match end {
            "dies" => {
                let mut house = house.restart(ROOMS, Duration::from_secs(60));
                let romeo = house.online(ROMEO);
                (house, romeo)
            }
            _ => (house, romeo),
        };
        assert!(!members(&mut house, &romeo), "{end}");
    }
}
