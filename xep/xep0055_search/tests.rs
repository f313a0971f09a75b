use std::time::Duration;

use iris_engine::testing::{Client, House};

use crate::ROOMS;
use crate::xep0163_pep::tests as pep;

const ON: &str = "[xep.search]\nvisible_to = \"local\"\n";
const COMMANDS: &str = "http://jabber.org/protocol/commands";

fn card(given: &str, family: &str, nick: &str, email: &str) -> String {
    format!(
        "<vCard xmlns='vcard-temp'><FN>{given} {family}</FN><N><FAMILY>{family}</FAMILY><GIVEN>{given}</GIVEN></N>\
         <NICKNAME>{nick}</NICKNAME><EMAIL><INTERNET/><USERID>{email}</USERID></EMAIL></vCard>"
    )
}

fn peopled(config: &str) -> (House, Client) {
    let mut house = House::with_config(ROOMS, config);
    for (jid, given, family, nick, email) in [
        ("juliet@house/x", "Juliet", "Capulet", "JuliC", "juliet@shakespeare.lit"),
        ("tybalt@house/x", "Tybalt", "Capulet", "ty", "tybalt@shakespeare.lit"),
        ("romeo@house/x", "Romeo", "Montague", "", "romeo@montague.net"),
        ("iago@away/x", "Iago", "Capulet", "", ""),
    ] {
        let client = house.online(jid);
        house.iq(&client, "set", None, &card(given, family, nick, email));
        house.close(&client);
    }
    let seeker = house.online("nurse@house/x");
    (house, seeker)
}

fn legacy(house: &mut House, who: &Client, fields: &str) -> String {
    house.iq(who, "set", Some("house"), &format!("<query xmlns='jabber:iq:search'>{fields}</query>")).as_str().to_owned()
}

fn found(answer: &str) -> Vec<&str> {
    answer.split("<item jid='").skip(1).filter_map(|rest| Some(rest.split_once('\'')?.0)).collect()
}

/// The command "Be found in the directory". True: one was, until now.
fn listed(house: &mut House, who: &Client, value: &str) -> bool {
    let own = who.jid.to_bare().to_string();
    let begun = house.iq(who, "set", Some(&own), &format!("<command xmlns='{COMMANDS}' node='directory'/>"));
    let command = begun.child_named(COMMANDS, "command").unwrap_or_else(|| panic!("{}", begun.as_str()));
    let id = begun.child_el(command).attr("sessionid").expect("a session").into_owned();
    let form = format!("<x xmlns='jabber:x:data' type='submit'><field var='listed'><value>{value}</value></field></x>");
    let xml = format!("<command xmlns='{COMMANDS}' node='directory' sessionid='{id}'>{form}</command>");
    let done = house.iq(who, "set", Some(&own), &xml);
    assert!(done.as_str().contains("completed"), "{}", done.as_str());
    begun.as_str().contains("<value>1</value>")
}

#[test]
fn s2_1_people_are_found_by_their_cards() {
    let (mut house, nurse) = peopled(ON);
    let fields = house.iq(&nurse, "get", Some("house"), "<query xmlns='jabber:iq:search'/>");
    for part in ["<instructions>", "<first/><last/><nick/><email/>", "<value>jabber:iq:search</value>", "var='first'"] {
        assert!(fields.as_str().contains(part), "{part}: {}", fields.as_str());
    }
    let answer = legacy(&mut house, &nurse, "<last>Capulet</last>");
    assert_eq!(found(&answer), ["juliet@house", "tybalt@house"]);
    assert!(
        answer.contains("<first>Juliet</first><last>Capulet</last><nick>JuliC</nick><email>juliet@shakespeare.lit</email>"),
        "{answer}"
    );
    assert_eq!(found(&legacy(&mut house, &nurse, "<last>capul*</last><first>TYB</first>")), ["tybalt@house"]);
    assert_eq!(found(&legacy(&mut house, &nurse, "<email>@montague</email>")), ["romeo@house"]);
    let none = legacy(&mut house, &nurse, "<last>Hamlet</last>");
    assert!(none.contains("<query xmlns='jabber:iq:search'/>"), "{none}");
}

#[test]
fn s3_the_same_by_a_form() {
    let (mut house, nurse) = peopled(ON);
    let x = "<x xmlns='jabber:x:data' type='submit'><field type='hidden' var='FORM_TYPE'><value>jabber:iq:search</value></field>\
             <field var='last'><value>Capulet</value></field></x>";
    let answer = legacy(&mut house, &nurse, x);
    for part in [
        "<reported><field var='jid' type='jid-single' label='Jabber ID'/>",
        "<field var='jid'><value>juliet@house</value>",
        "<value>jabber:iq:search</value>",
    ] {
        assert!(answer.contains(part), "{part}: {answer}");
    }
    assert_eq!(answer.matches("<item>").count(), 2);
    let wrong = legacy(&mut house, &nurse, "<x xmlns='jabber:x:data' type='result'/>");
    assert!(wrong.contains("not-acceptable"), "{wrong}");
}

#[test]
fn a_directory_follows_its_cards_and_outlives_the_process() {
    let (mut house, nurse) = peopled(ON);
    let juliet = house.online("juliet@house/x");
    house.iq(&juliet, "set", None, &card("Juliet", "Montague", "", ""));
    assert_eq!(found(&legacy(&mut house, &nurse, "<last>montague</last>")), ["juliet@house", "romeo@house"]);
    house.ask("romeo@house", iris_core::Ask::Remove);
    assert_eq!(found(&legacy(&mut house, &nurse, "<last>montague</last>")), ["juliet@house"]);
    house.iq(&juliet, "set", None, "<vCard xmlns='vcard-temp'/>");
    assert_eq!(found(&legacy(&mut house, &nurse, "<last>montague</last>")), [""; 0]);
    let config = iris_core::limits::Limits::default();
    let store = house.store.clone();
    let mut house = House::build(ROOMS, ON, config, store);
    house.now.wall_us += 1_000_000;
    let nurse = house.online("nurse@house/x");
    assert_eq!(found(&legacy(&mut house, &nurse, "<last>capulet</last>")), ["tybalt@house"]);
}

#[test]
fn who_does_not_want_to_be_found_is_not_found() {
    let (mut house, nurse) = peopled(ON);
    let juliet = house.online("juliet@house/x");
    assert!(listed(&mut house, &juliet, "0"), "one is found by default");
    assert_eq!(found(&legacy(&mut house, &nurse, "<last>capulet</last>")), ["tybalt@house"]);
    house.iq(&juliet, "set", None, &card("Juliet", "Capulet", "again", ""));
    assert_eq!(found(&legacy(&mut house, &nurse, "<last>capulet</last>")), ["tybalt@house"], "nor by a new card");
    assert!(!listed(&mut house, &juliet, "1"));
    assert_eq!(found(&legacy(&mut house, &nurse, "<nick>again</nick>")), ["juliet@house"]);
}

/// What a stranger may not read, a stranger does not find.
#[test]
fn visibility_by_policy_only_cards_that_everybody_may_read_are_found() {
    const NODE: &str = "urn:xmpp:vcard4";
    let (mut house, nurse) = peopled(ON);
    let juliet = house.online("juliet@house/x");
    let is_found = |house: &mut House| {
        let ask = house.iq(&nurse, "get", Some("juliet@house"), "<vCard xmlns='vcard-temp'/>");
        let found = found(&legacy(house, &nurse, "<first>juliet</first>")) == ["juliet@house"];
        assert_eq!(ask.attr("type").as_deref() == Some("result"), found, "{}", ask.as_str());
        found
    };
    assert!(is_found(&mut house));
    for (access, shown) in [("presence", false), ("open", true), ("whitelist", false)] {
        pep::ok(&pep::configure(&mut house, &juliet, NODE, &[("access_model", access)]));
        assert_eq!(is_found(&mut house), shown, "{access}");
        // Neither by a new card, of whatever kind, nor by saying that one may be found.
        house.iq(&juliet, "set", None, &card("Juliet", "Capulet", "again", "j@capulet.lit"));
        assert_eq!(is_found(&mut house), shown, "{access}");
        let vcard4 = "<vcard xmlns='urn:ietf:params:xml:ns:vcard-4.0'><n><given>Juliet</given></n></vcard>";
        pep::ok(&pep::publish(&mut house, &juliet, NODE, "current", vcard4));
        assert_eq!(is_found(&mut house), shown, "{access}");
        listed(&mut house, &juliet, "1");
        assert_eq!(is_found(&mut house), shown, "{access}");
    }
    // One card is enough to close the other.
    pep::ok(&pep::own(&mut house, &juliet, "set", "<delete node='urn:xmpp:vcard4'/>"));
    assert!(!is_found(&mut house), "there is none");
    house.iq(&juliet, "set", None, &card("Juliet", "Capulet", "again", ""));
    assert!(is_found(&mut house));
}

#[test]
fn visibility_by_policy_where_cards_are_for_contacts_nobody_is_found() {
    let (mut house, nurse) = peopled(&format!("{ON}[xep.vcard]\nvisible_to = \"contacts\"\n"));
    assert_eq!(found(&legacy(&mut house, &nurse, "<last>capulet</last>")), [""; 0]);
    // Nor are those whose cards were for everybody once.
    let (mut house, nurse) = peopled(ON);
    house.reload(ROOMS, &format!("{ON}[xep.vcard]\nvisible_to = \"contacts\"\n"));
    assert_eq!(found(&legacy(&mut house, &nurse, "<last>capulet</last>")), [""; 0]);
    house.reload(ROOMS, ON);
    assert_eq!(found(&legacy(&mut house, &nurse, "<last>capulet</last>")), ["juliet@house", "tybalt@house"]);
}

#[test]
fn nobody_copies_the_directory() {
    let (mut house, nurse) = peopled(ON);
    for fields in ["", "<last/>", "<last>*</last>", "<last>c</last>"] {
        assert!(legacy(&mut house, &nurse, fields).contains("not-acceptable"), "{fields}");
    }
    let stranger = house.online("iago@away/x");
    assert!(legacy(&mut house, &stranger, "<last>capulet</last>").contains("service-unavailable"));
    for n in 0..60 {
        let client = house.online(&format!("clone{n:02}@house/x"));
        house.iq(&client, "set", None, &card("Clone", "Trooper", "", ""));
        house.close(&client);
    }
    assert_eq!(found(&legacy(&mut house, &nurse, "<last>trooper</last>")).len(), 50);
    let refused =
        (0..25).filter(|_| legacy(&mut house, &nurse, "<last>trooper</last>").contains("resource-constraint")).count();
    assert_eq!(refused, 6);
    house.advance(Duration::from_secs(61));
    assert!(!legacy(&mut house, &nurse, "<last>trooper</last>").contains("resource-constraint"));
}

#[test]
fn not_applicable_a_directory_that_is_off_is_not_there() {
    let (mut house, nurse) = peopled("");
    assert!(legacy(&mut house, &nurse, "<last>capulet</last>").contains("service-unavailable"));
    let info = house.iq(&nurse, "get", Some("house"), "<query xmlns='http://jabber.org/protocol/disco#info'/>");
    assert!(!info.as_str().contains("jabber:iq:search"));
    // Opened later, it knows everybody.
    let store = house.store.clone();
    let mut house = House::build(ROOMS, ON, iris_core::limits::Limits::default(), store);
    house.now.wall_us += 1_000_000;
    let nurse = house.online("nurse@house/x");
    assert_eq!(found(&legacy(&mut house, &nurse, "<last>capulet</last>")), ["juliet@house", "tybalt@house"]);
}

/// Names that rooms ask for only now have numbers of their own: nobody else's are changed.
#[test]
fn r15_a_reload_opens_the_directory_and_closes_it() {
    let (mut house, nurse) = peopled("");
    for (config, is_open) in [(ON, true), ("", false), (ON, true)] {
        house.reload(ROOMS, config);
        assert_eq!(found(&legacy(&mut house, &nurse, "<last>capulet</last>")).len(), if is_open { 2 } else { 0 });
        let ping = house.iq(&nurse, "get", Some("house"), "<ping xmlns='urn:xmpp:ping'/>");
        assert_eq!(ping.attr("type").as_deref(), Some("result"), "{}", ping.as_str());
        let info = house.iq(&nurse, "get", Some("house"), "<query xmlns='http://jabber.org/protocol/disco#info'/>");
        assert_eq!(info.as_str().contains("jabber:iq:search"), is_open);
    }
}
