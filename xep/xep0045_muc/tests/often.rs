//! How often somebody may disturb others (security D2).

use std::time::Duration;

use super::*;

const MINUTE: Duration = Duration::from_secs(60);

fn count(heard: &[Stanza], what: &str) -> usize {
    heard.iter().filter(|it| it.as_str().contains(what)).count()
}

#[test]
fn d2_whoever_goes_and_comes_again_asks_for_voice_no_more_often() {
    for shard in [0, 1] {
        let (mut house, room, romeo) = alone(shard, &[("moderatedroom", "1")]);
        let juliet = house.online(JULIET);
        let ask = format!(
            "<message to='{room}'><x xmlns='jabber:x:data' type='submit'><field var='FORM_TYPE'><value>{MUC}#request</value></field>\
             <field var='muc#role'><value>participant</value></field></x></message>"
        );
        let visit = |house: &mut House, n: usize| {
            join(house, &juliet, &room, &format!("juliet{n}"));
            house.send(&juliet, &ask);
            leave(house, &juliet, &room, &format!("juliet{n}"));
        };
        (0..10).for_each(|n| visit(&mut house, n));
        assert_eq!(count(&house.recv(&romeo), "muc#request_allow"), 1);
        house.advance(MINUTE);
        (10..20).for_each(|n| visit(&mut house, n));
        assert_eq!(count(&house.recv(&romeo), "muc#request_allow"), 1);
        // Who has asked too early is still somebody who waits; and who was answered may ask again.
        join(&mut house, &juliet, &room, "juliet");
        house.send(&juliet, &ask);
        leave(&mut house, &romeo, &room, "romeo");
        assert_eq!(count(&join(&mut house, &romeo, &room, "romeo"), "muc#request_allow"), 1);
        house.send(
            &romeo,
            &format!(
                "<message to='{room}'><x xmlns='jabber:x:data' type='submit'><field var='FORM_TYPE'><value>{MUC}#request</value></field>\
                 <field var='muc#roomnick'><value>juliet</value></field><field var='muc#request_allow'><value>0</value></field></x></message>"
            ),
        );
        house.recv(&romeo);
        house.send(&juliet, &ask);
        assert_eq!(count(&house.recv(&romeo), "muc#request_allow"), 1);
    }
}

#[test]
fn d2_whoever_registers_and_gives_up_disturbs_nobody_more_often_than_once_a_minute() {
    for (moderated, told) in [("1", "muc#register_allow"), ("0", "affiliation='member'")] {
        let (mut house, room, romeo) = alone(0, &[("moderatedroom", moderated), ("persistentroom", "1")]);
        let juliet = house.online(JULIET);
        let form = |nick: &str| {
            format!(
                "<query xmlns='jabber:iq:register'><x xmlns='jabber:x:data' type='submit'><field var='FORM_TYPE'><value>{MUC}#register\
                 </value></field><field var='muc#register_roomnick'><value>{nick}</value></field></x></query>"
            )
        };
        let remove = "<query xmlns='jabber:iq:register'><remove/></query>";
        is_result(&house.iq(&juliet, "set", Some(&room), &form("jule")));
        // Another nickname is no other request.
        is_result(&house.iq(&juliet, "set", Some(&room), &form("juliet")));
        is_result(&house.iq(&juliet, "set", Some(&room), remove));
        for _ in 0..10 {
            let again = house.iq(&juliet, "set", Some(&room), &form("juliet"));
            is_error(&again, "policy-violation");
            let text = again.as_str();
            assert!(
                text.contains("type='wait'") && text.contains("60 seconds") && text.contains("same for everybody"),
                "{text}"
            );
            is_error(&house.iq(&juliet, "set", Some(&room), remove), "registration-required");
        }
        assert_eq!(count(&house.recv(&romeo), told), 1);
        house.advance(MINUTE);
        is_result(&house.iq(&juliet, "set", Some(&room), &form("juliet")));
        assert_eq!(count(&house.recv(&romeo), told), 1);
        if moderated == "1" {
            // Whoever was answered may ask again.
            house.send(
                &romeo,
                &format!(
                    "<message to='{room}'><x xmlns='jabber:x:data' type='submit'><field var='FORM_TYPE'><value>{MUC}#register</value></field>\
                     <field var='muc#register_roomnick'><value>juliet</value></field><field var='muc#register_allow'><value>0</value></field>\
                     </x></message>"
                ),
            );
            is_result(&house.iq(&juliet, "set", Some(&room), &form("juliet")));
            assert_eq!(count(&house.recv(&romeo), told), 1);
        }
    }
}

fn invitations(room: &str, to: impl Iterator<Item = String>) -> String {
    let invites: String = to.map(|to| format!("<invite to='{to}'><reason>come</reason></invite>")).collect();
    format!("<message to='{room}' id='i'><x xmlns='{MUC}#user'>{invites}</x></message>")
}

#[test]
fn d2_a_stranger_is_invited_once_however_often_somebody_says_so() {
    for shard in [0, 1] {
        let (mut house, room, romeo, nurse) = {
            let (mut house, room, romeo) = alone(shard, &[("persistentroom", "1")]);
            let nurse = house.online(NURSE);
            join(&mut house, &nurse, &room, "nurse");
            (house, room, romeo, nurse)
        };
        let juliet = house.online(JULIET);
        let twenty = invitations(&room, (0..20).map(|n| if n % 2 == 0 { "juliet@house".into() } else { JULIET.into() }));
        house.recv(&romeo);
        (0..50).for_each(|_| house.send(&romeo, &twenty));
        assert_eq!(count(&house.recv(&juliet), "<invite from='romeo@house'"), 1);
        // It has arrived: there is nothing to say.
        house.nothing(&romeo);
        // Somebody else's is another one.
        house.send(&nurse, &invitations(&room, ["juliet@house".to_owned()].into_iter()));
        assert_eq!(count(&house.recv(&juliet), "<invite from='nurse@house'"), 1);
        house.advance(MINUTE);
        house.send(&romeo, &twenty);
        assert_eq!(count(&house.recv(&juliet), "<invite "), 1);
        // Who has answered is asked anew.
        house.send(&juliet, &format!("<message to='{room}'><x xmlns='{MUC}#user'><decline to='romeo@house'/></x></message>"));
        house.send(&romeo, &twenty);
        assert_eq!(count(&house.recv(&juliet), "<invite "), 1);
    }
}

#[test]
fn d2_so_many_invitations_a_minute_and_whoever_has_no_more_hears_so() {
    let (mut house, room, romeo, nurse) = both(0, &[]);
    let last = house.online("p99@house/x");
    let over = house.online("p100@house/x");
    for from in [0, 20, 40, 60, 80] {
        house.send(&romeo, &invitations(&room, (from..from + 20).map(|n| format!("p{n}@house"))));
    }
    assert_eq!(count(&house.recv(&last), "<invite "), 1);
    house.recv(&romeo);
    // All of a message or nothing of it; nor does it help to ask the same ones again.
    house.send(&romeo, &invitations(&room, (99..101).map(|n| format!("p{n}@house"))));
    let told = house.one(&romeo);
    is_error(&told, "policy-violation");
    let text = told.as_str();
    assert!(
        text.contains("type='wait'") && text.contains("100 people a minute") && text.contains("same for everybody"),
        "{text}"
    );
    house.nothing(&over);
    house.nothing(&last);
    // Others have their own.
    house.send(&nurse, &invitations(&room, ["p100@house".to_owned()].into_iter()));
    assert_eq!(count(&house.recv(&over), "<invite "), 1);
    house.advance(MINUTE);
    house.recv(&romeo);
    house.send(&romeo, &invitations(&room, ["p100@house".to_owned()].into_iter()));
    assert_eq!(count(&house.recv(&over), "<invite from='romeo@house'"), 1);
}

#[test]
fn d2_a_stranger_who_is_made_a_member_again_and_again_hears_of_ten_a_minute() {
    for members_only in ["0", "1"] {
        let (mut house, room, romeo) = alone(0, &[("persistentroom", "1"), ("membersonly", members_only)]);
        let juliet = house.online(JULIET);
        for _ in 0..30 {
            is_result(&set_affiliation(&mut house, &romeo, &room, "juliet@house", "member"));
            is_result(&set_affiliation(&mut house, &romeo, &room, "juliet@house", "none"));
        }
        assert_eq!(house.recv(&juliet).len(), 10, "members only: {members_only}");
        house.advance(MINUTE);
        is_result(&set_affiliation(&mut house, &romeo, &room, "juliet@house", "member"));
        assert_eq!(house.recv(&juliet).len(), 1);
        // Whoever is here sees it in any case: it is the room that changes.
        join(&mut house, &juliet, &room, "juliet");
        for affiliation in ["admin", "member"].into_iter().cycle().take(20) {
            is_result(&set_affiliation(&mut house, &romeo, &room, "juliet@house", affiliation));
        }
        let seen = house.recv(&juliet);
        assert_eq!(seen.iter().filter(|it| codes(it).contains(&110)).count(), 20, "{seen:?}");
    }
}

fn affiliations(people: std::ops::Range<usize>, affiliation: &str) -> String {
    people.map(|n| format!("<item affiliation='{affiliation}' jid='p{n}@house'/>")).collect()
}

#[test]
fn d2_so_many_who_are_not_here_are_raised_in_a_minute_and_nobody_is_kept_in() {
    for shard in [0, 1] {
        let (mut house, room, romeo) = alone(shard, &[("persistentroom", "1")]);
        let (first, over) = (house.online("p0@house/x"), house.online("p150@house/x"));
        // A list of all one has is one request; what comes next waits.
        is_result(&admin(&mut house, &romeo, &room, "set", &affiliations(0..150, "member")));
        assert_eq!(count(&house.recv(&first), "101"), 1);
        let refused = admin(&mut house, &romeo, &room, "set", &affiliations(150..151, "member"));
        is_error(&refused, "policy-violation");
        let text = refused.as_str();
        assert!(text.contains("type='wait'") && text.contains("100 a minute") && text.contains("60 seconds"), "{text}");
        is_error(&configure(&mut house, &romeo, &room, &[("roomadmins", "p150@house")]), "policy-violation");
        house.nothing(&over);
        // What takes something away holds at once. Nobody is told of it.
        is_result(&admin(&mut house, &romeo, &room, "set", &affiliations(0..150, "none")));
        is_result(&set_affiliation(&mut house, &romeo, &room, "p0@house", "outcast"));
        house.nothing(&first);
        let banned = admin(&mut house, &romeo, &room, "get", "<item affiliation='outcast'/>");
        assert!(banned.as_str().contains("p0@house"), "{}", banned.as_str());
        house.advance(MINUTE);
        is_result(&admin(&mut house, &romeo, &room, "set", &affiliations(150..151, "member")));
        assert_eq!(count(&house.recv(&over), "101"), 1);
    }
}

fn statuses(heard: &[Stanza]) -> Vec<String> {
    let status = |it: &Stanza| Some(it.as_str().split_once("<status>")?.1.split_once("</status>")?.0.to_owned());
    heard.iter().filter_map(status).collect()
}

#[test]
fn d2_of_many_changes_of_presence_the_first_is_told_and_then_the_last_of_each_second() {
    for shard in [0, 1] {
        let (mut house, room, romeo, juliet) = both(shard, &[]);
        let update = |house: &mut House, n: u32| {
            house.send(&juliet, &format!("<presence to='{room}/juliet'><status>{n}</status></presence>"));
        };
        (0..500).for_each(|n| update(&mut house, n));
        assert_eq!(statuses(&house.recv(&romeo)), ["0"], "at once");
        // Whoever comes meanwhile sees how she is.
        let tybalt = house.online(TYBALT);
        assert_eq!(statuses(&join(&mut house, &tybalt, &room, "tybalt")), ["499"]);
        house.recv(&romeo);
        house.advance(Duration::from_secs(1));
        assert_eq!(statuses(&house.recv(&romeo)), ["499"]);
        assert_eq!(statuses(&house.recv(&juliet)).last().map(String::as_str), Some("499"), "she sees what the others see");
        // 100 a second for ten seconds.
        for n in 0..1_000 {
            update(&mut house, n);
            house.advance(Duration::from_millis(10));
        }
        house.advance(Duration::from_secs(1));
        let seen = statuses(&house.recv(&romeo));
        assert!((10..=12).contains(&seen.len()), "{seen:?}");
        assert_eq!(seen.last().map(String::as_str), Some("999"));
        house.advance(Duration::from_secs(60));
        house.nothing(&romeo);
        update(&mut house, 7);
        assert_eq!(statuses(&house.recv(&romeo)), ["7"], "after a pause at once again");
    }
}

#[test]
fn d2_joins_leaves_nicknames_and_roles_wait_for_nothing() {
    let (mut house, room, romeo, juliet) = both(1, &[]);
    let update = |house: &mut House, n: u32, nick: &str| {
        house.send(&juliet, &format!("<presence to='{room}/{nick}'><status>{n}</status></presence>"));
    };
    update(&mut house, 1, "juliet");
    update(&mut house, 2, "juliet");
    assert_eq!(statuses(&house.recv(&romeo)), ["1"]);
    // What is told for another reason tells how she is now, and nothing is left to tell.
    set_role(&mut house, &romeo, &room, "juliet", "moderator");
    assert_eq!(statuses(&house.recv(&romeo)), [] as [&str; 0], "heard with the answer");
    update(&mut house, 3, "juliet");
    update(&mut house, 4, "jule");
    let seen = house.recv(&romeo);
    assert_eq!((seen.len(), codes(&seen[0]), from(&seen[1])), (2, vec![303], format!("{room}/jule")));
    assert_eq!(statuses(&seen), ["4"]);
    let tablet = house.online("juliet@house/tablet");
    join(&mut house, &tablet, &room, "jule");
    assert_eq!(house.recv(&romeo).len(), 1, "another client of hers");
    update(&mut house, 5, "jule");
    leave(&mut house, &juliet, &room, "jule");
    leave(&mut house, &tablet, &room, "jule");
    let seen = house.recv(&romeo);
    assert_eq!(seen.last().and_then(|it| it.attr("type")).as_deref(), Some("unavailable"), "{seen:?}");
    join(&mut house, &juliet, &room, "juliet");
    assert_eq!(house.recv(&romeo).len(), 1);
    house.advance(Duration::from_secs(5));
    house.nothing(&romeo);
}

/// 7.2.1: what it has lost it gets, as often as it says so; the others have lost nothing.
#[test]
fn d2_to_join_again_and_again_is_no_way_around_it() {
    let (mut house, room, romeo, juliet) = both(0, &[]);
    for n in 0..20 {
        is_in(&join_with(&mut house, &juliet, &room, "juliet", &format!("<history maxstanzas='{n}'/>")));
    }
    assert_eq!(house.recv(&romeo).len(), 1);
    house.advance(Duration::from_secs(1));
    assert_eq!(house.recv(&romeo).len(), 1);
}
