//! Bubbles: `bubble`, features 28 to 37.

use std::time::Duration;

use iris_core::ask::Ask;

use super::*;

const COMMANDS: &str = "http://jabber.org/protocol/commands";

pub(super) fn command(house: &mut House, who: &Client, node: &str, fields: &[(&str, &[&str])]) -> Stanza {
    command_at(house, who, "house", node, fields)
}

fn command_at(house: &mut House, who: &Client, at: &str, node: &str, fields: &[(&str, &[&str])]) -> Stanza {
    let first = house.iq(who, "set", Some(at), &format!("<command xmlns='{COMMANDS}' node='urn:iris:bubbles#{node}'/>"));
    if fields.is_empty() {
        return first;
    }
    let child = first.child_named(COMMANDS, "command").unwrap_or_else(|| panic!("{}", first.as_str()));
    let session = first.child_el(child).attr("sessionid").unwrap_or_else(|| panic!("{}", first.as_str())).into_owned();
    let values = |values: &[&str]| values.iter().map(|value| format!("<value>{value}</value>")).collect::<String>();
    let fields: String = fields.iter().map(|(var, of)| format!("<field var='{var}'>{}</field>", values(of))).collect();
    let form = format!("<x xmlns='jabber:x:data' type='submit'>{fields}</x>");
    house.iq(
        who,
        "set",
        Some(at),
        &format!("<command xmlns='{COMMANDS}' node='urn:iris:bubbles#{node}' sessionid='{session}'>{form}</command>"),
    )
}

pub(super) fn made(house: &mut House, who: &Client, name: &str, members: &[&str]) -> String {
    let answer = command(house, who, "create", &[("name", &[name]), ("members", members)]);
    is_result(&answer);
    let invited = members.iter().filter(|it| **it != who.jid.to_bare().as_str()).count();
    let note = match invited {
        0 => "Nobody was invited.".to_owned(),
        1 => "One person was invited.".to_owned(),
        more => format!("{more} people were invited."),
    };
    assert!(answer.as_str().contains(&note), "{}", answer.as_str());
    let (_, rest) = answer.as_str().split_once("var='jid'").unwrap_or_else(|| panic!("{}", answer.as_str()));
    rest.split_once("<value>").expect("a value").1.split_once('<').expect("an end").0.to_owned()
}

#[test]
fn f32_a_bubble_is_made_with_its_members_and_they_are_invited() {
    let mut house = house();
    let (romeo, juliet) = (house.online(ROMEO), house.online(JULIET));
    house.user("nurse@house");
    let bubble = made(&mut house, &romeo, "Verona", &["juliet@house", "nurse@house", "romeo@house"]);
    assert!(bubble.ends_with("@conference.house"));
    let invited = house.one(&juliet);
    assert!(
        from(&invited) == bubble && invited.as_str().contains("<invite from='romeo@house'><reason>Verona</reason>"),
        "{}",
        invited.as_str()
    );
    let info = house.iq(&juliet, "get", Some(&bubble), "<query xmlns='http://jabber.org/protocol/disco#info'/>");
    for feature in ["muc_persistent", "muc_membersonly", "muc_nonanonymous", "muc_hidden", "urn:xmpp:mam:2"] {
        assert!(info.as_str().contains(feature), "{feature}");
    }
    assert_eq!(item(&join(&mut house, &juliet, &bubble, "juliet")[0])[0], "member");
    let told = house.one(&romeo);
    assert!(told.as_str().contains("juliet@house has come into the bubble Verona"), "33: {}", told.as_str());
    let tybalt = house.online(TYBALT);
    is_error(&join(&mut house, &tybalt, &bubble, "tybalt")[0], "registration-required");
    // It is there after a restart, and who was away comes in then.
    let mut house = house.restart(ROOMS, Duration::from_secs(60));
    let nurse = house.online(NURSE);
    assert_eq!(item(&join(&mut house, &nurse, &bubble, "nurse")[0])[0], "member");
}

#[test]
fn f33_whoever_refuses_is_no_member_and_the_organiser_is_told() {
    let mut house = house();
    let (romeo, juliet) = (house.online(ROMEO), house.online(JULIET));
    let bubble = made(&mut house, &romeo, "Verona", &["juliet@house"]);
    house.recv(&juliet);
    let mut house = house.restart(ROOMS, Duration::from_secs(60));
    let (romeo, juliet) = (house.online(ROMEO), house.online(JULIET));
    house.send(
        &juliet,
        &format!(
            "<message to='{bubble}'><x xmlns='{MUC}#user'><decline to='romeo@house'><reason>no</reason></decline></x></message>"
        ),
    );
    let told = house.one(&romeo);
    assert!(told.as_str().contains("<decline from='juliet@house'><reason>no</reason>"));
    let said = "juliet@house does not want to come into the bubble Verona. Reason: no";
    assert_eq!(bodies(std::slice::from_ref(&told)), [said], "33: whatever the client knows of rooms");
    is_error(&join(&mut house, &juliet, &bubble, "juliet")[0], "registration-required");
}

#[test]
fn f32_an_address_that_is_nobodys_holds_no_place_and_the_organiser_hears_of_it_outside_too() {
    for shard in 0..2 {
        let mut house = House::with_config(ROOMS, "[plans]\ndefault = \"small\"\n[plans.small]\nbubble_members_max = 2\n");
        let romeo = house.online(["romeo@house/orchard", "romeo2@house/orchard"][shard]);
        house.user("juliet@house");
        let desk = house.online(["romeo@house/desk", "romeo2@house/desk"][shard]);
        let bubble = made(&mut house, &romeo, "Verona", &["nobody@house"]);
        let heard = house.recv(&desk);
        let told = heard.iter().find(|it| it.name().1 == "message").expect("a message");
        assert!(told.as_str().contains("invitation of nobody@house to Verona did not arrive"), "{}", told.as_str());
        assert_ne!(told.attr("type").as_deref(), Some("error"), "RFC 6121 8.5.2: that would be dropped");
        let members = admin(&mut house, &romeo, &bubble, "get", "<item affiliation='member'/>");
        assert!(!members.as_str().contains("nobody"), "{}", members.as_str());
        is_result(&set_affiliation(&mut house, &romeo, &bubble, "juliet@house", "member"));
    }
}

#[test]
fn f32_a_service_may_be_a_member() {
    let mut house = house();
    let romeo = house.online(ROMEO);
    let bubble = made(&mut house, &romeo, "Verona", &["bot.elsewhere"]);
    assert!(!bubble.is_empty(), "counted among those who are invited");
}

#[test]
fn plans_the_size_of_a_bubble() {
    let mut house = House::with_config(ROOMS, "[plans]\ndefault = \"small\"\n[plans.small]\nbubble_members_max = 3\n");
    let romeo = house.online(ROMEO);
    let four = command(&mut house, &romeo, "create", &[("name", &["X"]), ("members", &["a@house", "b@house", "c@house"])]);
    is_error(&four, "resource-constraint");
    assert!(four.as_str().contains("at most 3 members") && four.as_str().contains("small"), "{}", four.as_str());
    ["a@house", "b@house", "c@house"].iter().for_each(|it| house.user(it));
    let bubble = made(&mut house, &romeo, "X", &["a@house", "b@house"]);
    is_error(&set_affiliation(&mut house, &romeo, &bubble, "c@house", "member"), "resource-constraint");
    join(&mut house, &romeo, &bubble, "romeo");
    house.send(&romeo, &format!("<message to='{bubble}'><x xmlns='{MUC}#user'><invite to='c@house'/></x></message>"));
    is_error(&house.one(&romeo), "resource-constraint");
    // One for another is no more.
    let swap = "<item affiliation='none' jid='a@house'/><item affiliation='member' jid='c@house'/>";
    is_result(&admin(&mut house, &romeo, &bubble, "set", swap));
}

#[test]
fn plans_that_are_there_hold_twenty_a_hundred_and_three_hundred() {
    for (plan, most) in [("essential", 20), ("business", 100), ("enterprise", 300)] {
        let mut house = House::with_config(ROOMS, &format!("[plans]\ndefault = \"{plan}\"\n"));
        let romeo = house.online(ROMEO);
        let people: Vec<String> = (1..=most).map(|n| format!("user{n}@house")).collect();
        let people: Vec<&str> = people.iter().map(String::as_str).collect();
        people.iter().for_each(|it| house.user(it));
        // Whoever makes it is one of them.
        let bubble = made(&mut house, &romeo, "X", &people[..most - 1]);
        let full = set_affiliation(&mut house, &romeo, &bubble, people[most - 1], "member");
        is_error(&full, "resource-constraint");
        assert!(
            full.as_str().contains(&format!("at most {most} members")) && full.as_str().contains(plan),
            "{}",
            full.as_str()
        );
    }
}

#[test]
fn plans_a_better_one_makes_place_in_the_bubbles_that_are_there() {
    let plans = "[plans]\ndefault = \"small\"\n[plans.small]\nbubble_members_max = 2\n[plans.large]\nbubble_members_max = 3\n";
    let mut house = House::with_config(ROOMS, plans);
    let romeo = house.online(ROMEO);
    ["a@house", "b@house", "c@house"].iter().for_each(|it| house.user(it));
    let bubble = made(&mut house, &romeo, "X", &["a@house"]);
    is_error(&set_affiliation(&mut house, &romeo, &bubble, "b@house", "member"), "resource-constraint");
    house.ask("romeo@house", Ask::SetPlan(Some("large".into())));
    is_error(&set_affiliation(&mut house, &romeo, &bubble, "b@house", "member"), "resource-constraint");
    is_result(&set_affiliation(&mut house, &romeo, &bubble, "b@house", "member"));
    let full = set_affiliation(&mut house, &romeo, &bubble, "c@house", "member");
    assert!(full.as_str().contains("plan &quot;large&quot;") || full.as_str().contains("plan \"large\""), "{}", full.as_str());
}

#[test]
fn f35_archived_and_only_then_deleted() {
    let mut house = house();
    let (romeo, juliet) = (house.online(ROMEO), house.online(JULIET));
    house.user("nurse@house");
    let bubble = made(&mut house, &romeo, "Verona", &["juliet@house", "nurse@house"]);
    join(&mut house, &romeo, &bubble, "romeo");
    join(&mut house, &juliet, &bubble, "juliet");
    say(&mut house, &romeo, &bubble, "remember");
    house.recv(&juliet);
    is_error(&command(&mut house, &juliet, "archive", &[("jid", &[&bubble])]), "forbidden");
    is_error(&command(&mut house, &romeo, "delete", &[("jid", &[&bubble])]), "not-allowed");
    is_error(&owner(&mut house, &romeo, &bubble, "set", "<destroy/>"), "not-allowed");
    let phone = house.online("romeo@house/phone");
    let archived = command(&mut house, &romeo, "archive", &[("jid", &[&bubble])]);
    for says in ["its 3 members have left", "var='members'", "<value>3</value>"] {
        assert!(archived.as_str().contains(says), "{says}: {}", archived.as_str());
    }
    let heard = house.recv(&juliet);
    let goes = |it: &&Stanza| it.attr("type").as_deref() == Some("unavailable") && codes(it).contains(&110);
    let gone = heard.iter().find(goes).expect("she is out");
    assert!(gone.as_str().contains("<reason>The bubble was archived: its 3 members have left.</reason>"), "{}", gone.as_str());
    // Who was there, who was not, and who has done it are told the same: how many.
    let nurse = house.login(NURSE);
    house.send(&nurse, "<presence/>");
    for heard in [heard, house.recv(&phone), house.recv(&nurse)] {
        let said = "romeo@house has archived the bubble Verona: its 3 members have left. What was said can still be read.";
        let told = heard.iter().find(|it| bodies(std::slice::from_ref(it)) == [said]).unwrap_or_else(|| panic!("{heard:?}"));
        assert_eq!((from(told), codes(told)), (bubble.clone(), vec![104]));
        assert!(told.as_str().contains("<archived xmlns='urn:iris:bubbles' members='3' by='romeo@house'/>"));
    }
    is_error(&command(&mut house, &romeo, "archive", &[("jid", &[&bubble])]), "conflict");
    let info = info_of(&mut house, &nurse, &bubble);
    assert!(info.as_str().contains("{urn:iris:bubbles}archived"), "{}", info.as_str());
    is_error(&join(&mut house, &juliet, &bubble, "juliet")[0], "not-allowed");
    say(&mut house, &romeo, &bubble, "more");
    assert!(house.recv(&romeo).iter().any(|it| it.attr("type").as_deref() == Some("error")));
    house.recv(&juliet);
    let ask = "<query xmlns='urn:xmpp:mam:2'/>";
    house.send(&juliet, &format!("<iq type='set' id='mam' to='{bubble}'>{ask}</iq>"));
    assert_eq!(bodies(&house.recv(&juliet)), ["remember"], "what was said can be read");
    let mut house = house.restart(ROOMS, Duration::from_secs(60));
    let romeo = house.online(ROMEO);
    is_error(&join(&mut house, &romeo, &bubble, "romeo")[0], "not-allowed");
    is_result(&command(&mut house, &romeo, "delete", &[("jid", &[&bubble])]));
    is_error(
        &house.iq(&romeo, "get", Some(&bubble), "<query xmlns='http://jabber.org/protocol/disco#info'/>"),
        "item-not-found",
    );
    is_error(&command(&mut house, &romeo, "archive", &[("jid", &["nowhere@conference.house"])]), "item-not-found");
    is_error(&command(&mut house, &romeo, "archive", &[("jid", &["romeo@house"])]), "item-not-found");
}

#[test]
fn f31_my_bubbles() {
    let mut house = house();
    let (romeo, juliet) = (house.online(ROMEO), house.online(JULIET));
    let mine = made(&mut house, &romeo, "Mine", &["juliet@house"]);
    let hers = made(&mut house, &juliet, "Hers", &["romeo@house"]);
    let old = made(&mut house, &romeo, "Old", &[]);
    is_result(&command(&mut house, &romeo, "archive", &[("jid", &[&old])]));
    let mut house = house.restart(ROOMS, Duration::from_secs(60));
    let romeo = house.online(ROMEO);
    let table = command(&mut house, &romeo, "list", &[]);
    for row in [
        [mine.as_str(), "Mine", "owner", "active", "2"],
        [hers.as_str(), "Hers", "member", "active", "2"],
        [old.as_str(), "Old", "owner", "archived", "1"],
    ] {
        let row: String = ["jid", "name", "affiliation", "state", "members"]
            .iter()
            .zip(row)
            .map(|(var, value)| format!("<field var='{var}'><value>{value}</value></field>"))
            .collect();
        assert!(table.as_str().contains(&row), "{row}: {}", table.as_str());
    }
    let items = |house: &mut House, node: &str| {
        let ask = format!("<query xmlns='http://jabber.org/protocol/disco#items' node='urn:iris:bubbles{node}'/>");
        house.iq(&romeo, "get", Some("conference.house"), &ask)
    };
    for (node, has, has_not) in [("#member", &hers, &mine), ("#administered", &mine, &hers), ("#archived", &old, &mine)] {
        let answer = items(&mut house, node);
        assert!(
            answer.as_str().contains(has.as_str()) && !answer.as_str().contains(has_not.as_str()),
            "{node}: {}",
            answer.as_str()
        );
    }
    assert_eq!(items(&mut house, "").as_str().matches("<item ").count(), 3);
    assert!(!command(&mut house, &romeo, "list", &[]).as_str().contains("tybalt"));
}

#[test]
fn f31_my_bubbles_of_the_other_domains_of_the_house() {
    let mut house = house();
    let (romeo, lysander) = (house.online(ROMEO), house.online("lysander@away/wood"));
    let make = |house: &mut House, who: &Client, name: &str, members: &[&str]| {
        let domain = who.jid.domain().as_str().to_owned();
        command_at(house, who, &domain, "create", &[("name", &[name]), ("members", members)])
    };
    for (name, members) in [("Wood", &["romeo@house"][..]), ("Secret", &["helena@away"])] {
        is_result(&make(&mut house, &lysander, name, members));
    }
    made(&mut house, &romeo, "Verona", &[]);
    let table = command(&mut house, &romeo, "list", &[]);
    let (own, other) = (table.as_str().find(">Verona<").expect("his own"), table.as_str().find(">Wood<").expect("the other"));
    assert!(own < other && !table.as_str().contains("Secret"), "{}", table.as_str());
    let address = table.as_str().split("<value>").find(|it| it.contains("@conference.away")).expect("an address");
    let address = address.split('<').next().expect("one").to_owned();
    is_error(&command(&mut house, &romeo, "archive", &[("jid", &[&address])]), "forbidden");
    // Who owns one of another domain ends it as well.
    is_result(&set_affiliation(&mut house, &lysander, &address, "romeo@house", "owner"));
    house.recv(&romeo);
    is_result(&command(&mut house, &romeo, "archive", &[("jid", &[&address])]));
    assert!(command(&mut house, &romeo, "list", &[]).as_str().contains("<value>archived</value>"));
}

#[test]
fn a_domain_may_make_every_new_room_a_bubble_and_another_not() {
    let mut house = House::with_config(ROOMS, "[xep.muc]\ndefault_bubble = [\"away\"]\n");
    for (who, domain, is_one) in [(ROMEO, "house", false), ("lysander@away/wood", "away", true)] {
        let client = house.online(who);
        let room = format!("garden@conference.{domain}");
        is_in(&join(&mut house, &client, &room, "one"));
        let info = info_of(&mut house, &client, &room);
        assert_eq!(info.as_str().contains("'muc_membersonly'"), is_one, "{}", info.as_str());
    }
}

#[test]
fn a_domain_that_is_not_served_has_no_bubbles() {
    for (line, word) in [("[\"elsewhere\"]", "elsewhere is no domain of this house"), ("7", "a list of domains of this house")]
    {
        let config = iris_core::mount::RoomConfig::parse(&format!("[xep.muc]\ndefault_bubble = {line}\n")).expect("TOML");
        let config = config.with_domains(&["house".to_owned(), "away".to_owned()]);
        let wrong = iris_core::mount::Doors::open("house", ROOMS, &mut iris_core::xml::NameTable::new(), &config);
        let wrong = wrong.err().expect(line);
        assert!(wrong.to_string().contains(word), "{wrong}");
    }
}

#[test]
fn a_house_may_make_every_new_room_a_bubble() {
    let mut house = House::with_config(ROOMS, "[xep.muc]\ndefault_bubble = true\n");
    let room = room_on(1);
    let romeo = opened(&mut house, &room, &[("roomname", "Verona")]);
    let info = info_of(&mut house, &romeo, &room);
    for feature in ["muc_persistent", "muc_membersonly", "muc_nonanonymous", "muc_hidden"] {
        assert!(info.as_str().contains(feature), "{feature}");
    }
    is_error(&configure(&mut house, &romeo, &room, &[("membersonly", "0")]), "not-acceptable");
    assert!(command(&mut house, &romeo, "list", &[]).as_str().contains("Verona"));
}

#[test]
fn f35_nobody_changes_an_archived_bubble_any_more() {
    for shard in 0..2 {
        let mut house = house();
        let (romeo, juliet) = (house.online(["romeo@house/o", "romeo2@house/o"][shard]), house.online(JULIET));
        let bubble = made(&mut house, &romeo, "Verona", &["juliet@house"]);
        join(&mut house, &juliet, &bubble, "juliet");
        say(&mut house, &juliet, &bubble, "remember");
        let id = super::archive::stanza_id(&house.one(&juliet));
        is_result(&command(&mut house, &romeo, "archive", &[("jid", &[&bubble])]));
        for (name, value) in [("enablearchiving", "0"), ("roomname", "Mantua"), ("roomdesc", "x")] {
            is_error(&configure(&mut house, &romeo, &bubble, &[(name, value)]), "not-allowed");
        }
        let moderate = format!(
            "<moderate id='{id}' xmlns='urn:xmpp:message-moderate:1'><retract xmlns='urn:xmpp:message-retract:1'/></moderate>"
        );
        is_error(&house.iq(&romeo, "set", Some(&bubble), &moderate), "not-allowed");
        is_error(&house.iq(&romeo, "set", Some(&bubble), "<vCard xmlns='vcard-temp'><FN>x</FN></vCard>"), "not-allowed");
        let tybalt = house.online(TYBALT);
        is_error(&configure(&mut house, &tybalt, &bubble, &[("roomname", "x")]), "forbidden");
        let (heard, _) = super::archive::query(&mut house, &juliet, &bubble, "<query xmlns='urn:xmpp:mam:2'/>");
        assert_eq!(bodies(&heard), ["remember"]);
        // Who may read it is still its organiser's business, and so is its end.
        is_result(&set_affiliation(&mut house, &romeo, &bubble, "juliet@house", "none"));
        is_result(&owner(&mut house, &romeo, &bubble, "set", "<destroy/>"));
    }
}

#[test]
fn f30_what_makes_a_bubble_one_its_owners_do_not_turn_off() {
    let mut house = house();
    let romeo = house.online(ROMEO);
    let bubble = made(&mut house, &romeo, "Verona", &[]);
    for (name, value) in [("whois", "moderators"), ("enablearchiving", "0"), ("membersonly", "0"), ("persistentroom", "0")] {
        let refused = configure(&mut house, &romeo, &bubble, &[(name, value)]);
        is_error(&refused, "not-acceptable");
        assert!(refused.as_str().contains(name), "{}", refused.as_str());
    }
    is_result(&configure(&mut house, &romeo, &bubble, &[("roomname", "Mantua"), ("moderatedroom", "1")]));
}

#[test]
fn f35_an_archived_bubble_invites_nobody() {
    let mut house = house();
    let (romeo, nurse) = (house.online(ROMEO), house.online(NURSE));
    let bubble = made(&mut house, &romeo, "Verona", &[]);
    is_in(&join(&mut house, &romeo, &bubble, "romeo"));
    is_result(&command(&mut house, &romeo, "archive", &[("jid", &[&bubble])]));
    house.recv(&romeo);
    house.send(&romeo, &format!("<message to='{bubble}'><x xmlns='{MUC}#user'><invite to='nurse@house'/></x></message>"));
    is_error(&house.one(&romeo), "not-allowed");
    house.nothing(&nurse);
    let members = admin(&mut house, &romeo, &bubble, "get", "<item affiliation='member'/>");
    assert!(!members.as_str().contains("nurse"), "nor is she made a member by it: {}", members.as_str());
    // Who is let in to read what was said is not asked to come in.
    is_result(&set_affiliation(&mut house, &romeo, &bubble, "nurse@house", "member"));
    let told = house.one(&nurse);
    assert!(told.as_str().contains("You are a member of the archived bubble Verona now.") && !told.as_str().contains("invite"));
    is_error(&join(&mut house, &nurse, &bubble, "nurse")[0], "not-allowed");
}

#[test]
fn f33_whoever_comes_after_the_bubble_has_slept_is_told_of_as_well() {
    for sleeps in [true, false] {
        let mut house = house();
        let (mut romeo, mut juliet) = (house.online(ROMEO), house.online(JULIET));
        let bubble = made(&mut house, &romeo, "Verona", &["juliet@house"]);
        if sleeps {
            (0..3).for_each(|_| house.advance(Duration::from_secs(120)));
        } else {
            house = house.restart(ROOMS, Duration::from_secs(60));
            (romeo, juliet) = (house.online(ROMEO), house.online(JULIET));
        }
        house.recv(&romeo);
        is_in(&join(&mut house, &juliet, &bubble, "juliet"));
        assert!(house.one(&romeo).as_str().contains("juliet@house has come into the bubble Verona"));
        // Once, and for good.
        leave(&mut house, &juliet, &bubble, "juliet");
        let mut house = house.restart(ROOMS, Duration::from_secs(60));
        let (romeo, juliet) = (house.online(ROMEO), house.online(JULIET));
        is_in(&join(&mut house, &juliet, &bubble, "juliet"));
        house.nothing(&romeo);
    }
}

#[test]
fn s7_10_a_member_of_a_bubble_registers_a_nickname() {
    let mut house = house();
    let (romeo, juliet, nurse) = (house.online(ROMEO), house.online(JULIET), house.online(NURSE));
    let bubble = made(&mut house, &romeo, "Verona", &["juliet@house"]);
    let form = format!(
        "<query xmlns='jabber:iq:register'><x xmlns='jabber:x:data' type='submit'><field var='FORM_TYPE'><value>{MUC}#register\
         </value></field><field var='muc#register_roomnick'><value>jule</value></field></x></query>"
    );
    is_error(&house.iq(&nurse, "get", Some(&bubble), "<query xmlns='jabber:iq:register'/>"), "not-allowed");
    is_error(&house.iq(&nurse, "set", Some(&bubble), &form), "service-unavailable");
    is_result(&house.iq(&juliet, "set", Some(&bubble), &form));
    assert_eq!(item(&join(&mut house, &juliet, &bubble, "jule")[0])[0], "member");
    is_error(&join(&mut house, &romeo, &bubble, "jule")[0], "conflict");
}

#[test]
fn f35_that_a_bubble_is_archived_only_those_hear_who_belong_to_it() {
    let mut house = house();
    let (romeo, juliet) = (house.online(ROMEO), house.online(JULIET));
    let (tybalt, paris) = (house.online(TYBALT), house.online(PARIS));
    let bubble = made(&mut house, &romeo, "Verona", &["juliet@house", "paris@house"]);
    is_result(&set_affiliation(&mut house, &romeo, &bubble, "paris@house", "outcast"));
    let before = [&tybalt, &paris].map(|who| join(&mut house, who, &bubble, "x")[0].as_str().to_owned());
    is_result(&command(&mut house, &romeo, "archive", &[("jid", &[&bubble])]));
    let after = [&tybalt, &paris].map(|who| join(&mut house, who, &bubble, "x")[0].as_str().to_owned());
    assert_eq!(before, after, "nothing has changed for them");
    let told = join(&mut house, &juliet, &bubble, "juliet");
    assert!(told[0].as_str().contains("archived"), "{}", told[0].as_str());
}

#[test]
fn f35_whoever_archives_is_told_so_in_a_sentence() {
    for (members, sentence) in [
        (vec![], "The bubble is archived: its only member has left and has been told so."),
        (vec!["juliet@house"], "The bubble is archived: its 2 members have left and have been told so."),
    ] {
        let mut house = house();
        let (romeo, _juliet) = (house.online(ROMEO), house.online(JULIET));
        let bubble = made(&mut house, &romeo, "Verona", &members);
        let answer = command(&mut house, &romeo, "archive", &[("jid", &[&bubble])]);
        assert!(answer.as_str().contains(sentence), "{}", answer.as_str());
    }
}
