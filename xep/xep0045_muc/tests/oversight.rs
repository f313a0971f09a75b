//! `oversight`: what administrators of the domain may do.

use std::time::Duration;

use super::*;

const COMMANDS: &str = "http://jabber.org/protocol/commands";

fn command(house: &mut House, who: &Client, node: &str, fields: &[(&str, &str)]) -> Stanza {
    let ask = |session: &str, inside: &str| {
        format!("<command xmlns='{COMMANDS}' node='urn:iris:rooms#{node}'{session}>{inside}</command>")
    };
    let first = house.iq(who, "set", Some("house"), &ask("", ""));
    let Some(child) = first.child_named(COMMANDS, "command") else { return first };
    let Some(session) = first.child_el(child).attr("sessionid").map(|it| it.into_owned()) else { return first };
    let fields: String = fields.iter().map(|(var, of)| format!("<field var='{var}'><value>{of}</value></field>")).collect();
    let form = format!("<x xmlns='jabber:x:data' type='submit'>{fields}</x>");
    house.iq(who, "set", Some("house"), &ask(&format!(" sessionid='{session}'"), &form))
}

#[test]
fn an_administrator_gives_a_room_another_owner_and_those_who_own_it_are_told() {
    for shard in [0, 1] {
        let (mut house, room, romeo) = alone(shard, &[("persistentroom", "1"), ("roomname", "Verona"), ("membersonly", "1")]);
        let (boss, nurse) = (house.online("admin@house/desk"), house.online(NURSE));
        leave(&mut house, &romeo, &room, "romeo");
        house.recv(&romeo);
        let fields = [("jid", room.as_str()), ("owner", "nurse@house"), ("reason", "he has left")];
        is_result(&command(&mut house, &boss, "own", &fields));
        let said = "admin@house, who administers house, has made nurse@house an owner of Verona. Reason: he has left";
        let told = house.one(&romeo);
        assert_eq!((from(&told), bodies(std::slice::from_ref(&told))), (room.clone(), vec![said.to_owned()]));
        let told = house.one(&nurse);
        assert_eq!((item(&told)[0].as_str(), codes(&told)), ("owner", vec![101]));
        is_error(&command(&mut house, &boss, "own", &fields), "conflict");
        // Nobody named: the administrator.
        is_result(&command(&mut house, &boss, "own", &[("jid", &room)]));
        for owner in [&romeo, &nurse] {
            assert!(bodies(&house.recv(owner))[0].contains("has made admin@house an owner of Verona."));
        }
        let mut house = house.restart(ROOMS, Duration::from_secs(60));
        for who in [NURSE, "admin@house/desk", ROMEO] {
            let client = house.online(who);
            is_result(&owner(&mut house, &client, &room, "get", ""));
        }
    }
}

#[test]
fn an_administrator_destroys_a_room_but_a_bubble_only_when_it_is_archived() {
    let (mut house, room, romeo, juliet) = both(1, &[("persistentroom", "1"), ("roomname", "Verona")]);
    let boss = house.online("admin@house/desk");
    house.recv(&juliet);
    is_result(&command(&mut house, &boss, "destroy", &[("jid", &room), ("reason", "abuse")]));
    let gone = house.one(&juliet);
    assert!(gone.as_str().contains("<destroy><reason>abuse</reason></destroy>"), "{}", gone.as_str());
    let told = bodies(&house.recv(&romeo));
    assert_eq!(told, ["admin@house, who administers house, has destroyed Verona. Reason: abuse"]);
    is_error(&info_of(&mut house, &juliet, &room), "item-not-found");
    is_error(&command(&mut house, &boss, "destroy", &[("jid", &room)]), "item-not-found");
    let bubble = super::bubbles::made(&mut house, &romeo, "Team", &[]);
    is_error(&command(&mut house, &boss, "destroy", &[("jid", &bubble)]), "not-allowed");
    is_result(&command(&mut house, &boss, "own", &[("jid", &bubble)]));
    is_result(&super::bubbles::command(&mut house, &boss, "archive", &[("jid", &[&bubble])]));
    is_result(&command(&mut house, &boss, "destroy", &[("jid", &bubble)]));
}

#[test]
fn an_administrator_finds_the_rooms_that_are_hidden() {
    let (mut house, room, romeo) = alone(0, &[("publicroom", "0"), ("roomname", "Verona")]);
    let bubble = super::bubbles::made(&mut house, &romeo, "Team", &[]);
    let boss = house.online("admin@house/desk");
    let all = command(&mut house, &boss, "list", &[]);
    for has in [&room, &bubble, "Verona", "Team", "temporary room", "bubble", "romeo@house"] {
        assert!(all.as_str().contains(&format!("<value>{has}</value>")), "{has}: {}", all.as_str());
    }
    let some = command(&mut house, &boss, "list", &[("search", "veRO")]);
    assert!(some.as_str().contains(&room) && !some.as_str().contains("Team"), "{}", some.as_str());
}

#[test]
fn d11_nobody_else_may_and_not_with_rooms_of_others() {
    let (mut house, room, romeo) = alone(0, &[("persistentroom", "1")]);
    let (other, boss) = (house.online("admin@away/desk"), house.online("admin@house/desk"));
    let items = format!("<query xmlns='http://jabber.org/protocol/disco#items' node='{COMMANDS}'/>");
    assert!(house.iq(&boss, "get", Some("house"), &items).as_str().contains("urn:iris:rooms#own"));
    for stranger in [&romeo, &other] {
        assert!(!house.iq(stranger, "get", Some("house"), &items).as_str().contains("urn:iris:rooms#"));
        for node in ["list", "own", "destroy"] {
            is_error(&command(&mut house, stranger, node, &[("jid", &room)]), "forbidden");
        }
    }
    house.user("nurse@away");
    for (address, owner, condition) in [
        ("room0@conference.away", "admin@house", "item-not-found"),
        ("romeo@house", "admin@house", "item-not-found"),
        ("conference.house", "admin@house", "item-not-found"),
        ("nowhere@conference.house", "admin@house", "item-not-found"),
        (&room, "nobody@house", "item-not-found"),
        (&room, "somebody@elsewhere", "item-not-found"),
    ] {
        is_error(&command(&mut house, &boss, "own", &[("jid", address), ("owner", owner)]), condition);
    }
    // Whom it is given to may be of another domain of the house.
    is_result(&command(&mut house, &boss, "own", &[("jid", &room), ("owner", "nurse@away")]));
}
