//! Section 10: "that owner (or a successor)". What becomes of a room when the account of who owns it ends.

use std::time::Duration;

use super::*;

/// A room that stays, which juliet alone owns. Romeo, who has made it, is in it and nobody.
fn of_juliet(shard: u16) -> (House, String, Client, Client) {
    let (mut house, room, romeo, juliet) = both(shard, &[("persistentroom", "1")]);
    is_result(&set_affiliation(&mut house, &romeo, &room, "juliet@house", "owner"));
    is_result(&set_affiliation(&mut house, &romeo, &room, "romeo@house", "none"));
    (house, room, juliet, romeo)
}

fn remove(house: &mut House, account: &str) {
    house.ask(account, iris_core::Ask::Remove);
    house.run();
}

fn owns(house: &mut House, who: &str, room: &str) -> bool {
    let client = house.online(who);
    owner(house, &client, room, "get", "").attr("type").as_deref() == Some("result")
}

#[test]
fn s10_the_most_trusted_who_has_been_there_longest_follows() {
    // Who became what, in this order; and who owns the room when she is no more.
    for (members_only, others, successor) in [
        ("0", vec![("nurse@house", "member"), ("paris@house", "admin")], Some("paris@house")),
        ("0", vec![("paris@house", "admin"), ("nurse@house", "admin")], Some("paris@house")),
        ("1", vec![("paris@house", "member"), ("nurse@house", "member")], Some("paris@house")),
        ("0", vec![("nurse@house", "member")], Some("nurse@house")),
        ("0", vec![("nurse@house", "outcast")], None),
    ] {
        let (mut house, room, juliet, _) = of_juliet(1);
        for (jid, affiliation) in &others {
            is_result(&set_affiliation(&mut house, &juliet, &room, jid, affiliation));
        }
        is_result(&configure(&mut house, &juliet, &room, &[("membersonly", members_only)]));
        let heir = successor.map(|jid| house.online(&format!("{jid}/y")));
        remove(&mut house, "juliet@house");
        if let Some(heir) = &heir {
            let told = house.recv(heir);
            let told = told.last().expect("told").as_str();
            assert!(told.contains("code='101'") && told.contains("affiliation='owner'"), "{told}");
        }
        let mut house = house.restart(ROOMS, Duration::from_secs(60));
        for jid in ["nurse@house", "paris@house"] {
            assert_eq!(owns(&mut house, &format!("{jid}/x"), &room), successor == Some(jid), "{jid} {others:?}");
        }
    }
}

#[test]
fn s10_whoever_has_registered_with_an_open_room_does_not_follow_and_an_administrator_of_the_domain_may() {
    for shard in [0, 1] {
        let (mut house, room, _, _) = of_juliet(shard);
        let nurse = house.online(NURSE);
        let form = format!(
            "<query xmlns='jabber:iq:register'><x xmlns='jabber:x:data' type='submit'><field var='FORM_TYPE'><value>{MUC}#register\
             </value></field><field var='muc#register_roomnick'><value>nurse</value></field></x></query>"
        );
        is_result(&house.iq(&nurse, "set", Some(&room), &form));
        remove(&mut house, "juliet@house");
        let mut house = house.restart(ROOMS, Duration::from_secs(60));
        for nobody in [NURSE, ROMEO] {
            assert!(!owns(&mut house, nobody, &room), "{nobody}");
            let client = house.online(nobody);
            is_error(&set_affiliation(&mut house, &client, &room, nobody, "owner"), "forbidden");
        }
        let admin = house.online("admin@house/x");
        is_result(&set_affiliation(&mut house, &admin, &room, "nurse@house", "admin"));
        let mut house = house.restart(ROOMS, Duration::from_secs(60));
        assert!(owns(&mut house, "admin@house/x", &room));
        // Of a room that has an owner an administrator of the domain is nobody.
        let theirs = room_on(1 - shard);
        opened(&mut house, &theirs, &[("persistentroom", "1")]);
        assert!(!owns(&mut house, "admin@house/y", &theirs));
    }
}

#[test]
fn s10_a_room_to_which_nobody_belongs_ends_with_its_last_occupant() {
    for dies in [false, true] {
        let (mut house, room, _, romeo) = of_juliet(1);
        remove(&mut house, "juliet@house");
        let nurse = house.online(NURSE);
        is_in(&join(&mut house, &nurse, &room, "nurse"));
        assert!(info_of(&mut house, &nurse, &room).as_str().contains("muc_temporary"), "romeo is there still");
        if dies {
            house = house.restart(ROOMS, Duration::from_secs(60));
        } else {
            leave(&mut house, &romeo, &room, "romeo");
            is_result(&info_of(&mut house, &nurse, &room));
            leave(&mut house, &nurse, &room, "nurse");
        }
        let paris = house.online(PARIS);
        let items = "<query xmlns='http://jabber.org/protocol/disco#items'/>";
        let listed = house.iq(&paris, "get", Some("conference.house"), items);
        assert!(!listed.as_str().contains(&room), "{}", listed.as_str());
        is_error(&info_of(&mut house, &paris, &room), "item-not-found");
    }
    // Where nobody is, it ends at once.
    let (mut house, room, romeo) = alone(0, &[("persistentroom", "1"), ("membersonly", "1")]);
    leave(&mut house, &romeo, &room, "romeo");
    remove(&mut house, "romeo@house");
    let juliet = house.online(JULIET);
    is_error(&info_of(&mut house, &juliet, &room), "item-not-found");
}

#[test]
fn s10_so_it_is_when_the_house_dies_at_any_moment_of_a_removal() {
    for step in 0..14 {
        let (mut house, room, juliet, _) = of_juliet(step as u16 % 2);
        for jid in ["paris@house", "nurse@house"] {
            is_result(&set_affiliation(&mut house, &juliet, &room, jid, "member"));
        }
        let at = usize::from(shard_of("juliet@house", 2));
        let account = iris_core::BareJid::new("juliet@house").expect("a bare JID");
        house.shards[at].ask(&account, iris_core::Ask::Remove, Box::new(|_| {}));
        for turn in 0..=step {
            house.shards[(at + turn) % 2].turn(house.now, 1);
        }
        let mut house = house.restart(ROOMS, Duration::from_secs(60));
        // It is told anew, before anybody has her name.
        house.online(JULIET);
        for (jid, follows) in [("paris@house/x", true), ("nurse@house/x", false), (JULIET, false)] {
            assert_eq!(owns(&mut house, jid, &room), follows, "{jid} {step}");
        }
    }
}

#[test]
fn s10_whoever_has_registered_and_was_made_an_admin_by_the_full_list_follows() {
    let (mut house, room, juliet, _) = of_juliet(0);
    let nurse = house.online(NURSE);
    let form = format!(
        "<query xmlns='jabber:iq:register'><x xmlns='jabber:x:data' type='submit'><field var='FORM_TYPE'><value>{MUC}#register\
         </value></field><field var='muc#register_roomnick'><value>nurse</value></field></x></query>"
    );
    is_result(&house.iq(&nurse, "set", Some(&room), &form));
    is_result(&configure(&mut house, &juliet, &room, &[("roomadmins", "nurse@house")]));
    remove(&mut house, "juliet@house");
    assert!(owns(&mut house, "nurse@house/x", &room));
}
