use std::sync::Arc;
use std::time::Duration;

use iris_core::ask::GuestPlace;
use iris_core::command::Who;
use iris_core::{Ask, AskAnswer};
use iris_engine::testing::House;

use crate::ROOMS;

const GUEST: &str = "c0ffee@house/here";

fn house(more: &str) -> House {
    let mut house = House::with_config(ROOMS, &format!("[xep.anonymous]\ndomains = [\"house\"]\n{more}"));
    house.user("juliet@house");
    assert_eq!(house.ask("c0ffee@house", Ask::Guest(None)), Some(AskAnswer::Done));
    house
}

#[test]
fn b8_a_domain_below_that_of_the_guests_has_people_of_its_own() {
    let domains = ["house", "team.house"].map(str::to_owned);
    for (peer, near) in [("conference.house", true), ("team.house", false), ("conference.team.house", false), ("away", false)] {
        assert_eq!(super::is_service(peer, "house", &domains), near, "{peer}");
    }
}

#[test]
fn s3_a_guest_speaks_to_the_house_and_to_nobody_else() {
    let mut house = house("");
    let guest = house.try_login(GUEST).expect("a session");
    let juliet = house.online("juliet@house/balcony");
    let pong = house.iq(&guest, "get", Some("house"), "<ping xmlns='urn:xmpp:ping'/>");
    assert!(pong.as_str().contains("type='result'"), "{}", pong.as_str());
    for to in ["juliet@house", "juliet@house/balcony", "romeo@away", "romeo@elsewhere.example", "elsewhere.example"] {
        house.send(&guest, &format!("<message to='{to}' id='m' type='chat'><body>psst</body></message>"));
        assert!(house.one(&guest).as_str().contains("<not-allowed "), "{to}");
        house.send(&guest, &format!("<presence to='{to}'/>"));
        house.send(&guest, &format!("<presence to='{to}' type='subscribe'/>"));
        house.nothing(&guest);
    }
    house.nothing(&juliet);
    // Nor is it spoken to.
    house.send(&juliet, &format!("<message to='{GUEST}' id='m' type='chat'><body>who are you?</body></message>"));
    assert!(house.one(&juliet).as_str().contains("<service-unavailable "));
    house.nothing(&guest);
}

#[test]
fn s3_accounts_hear_from_guests_where_that_is_wanted() {
    let mut house = house("may_speak_to_accounts = true");
    let guest = house.try_login(GUEST).expect("a session");
    let juliet = house.online("juliet@house/balcony");
    house.send(&guest, "<message to='juliet@house' type='chat'><body>help</body></message>");
    assert!(house.one(&juliet).as_str().contains("<body>help</body>"));
    house.send(&juliet, &format!("<message to='{GUEST}' type='chat'><body>yes</body></message>"));
    assert!(house.one(&guest).as_str().contains("<body>yes</body>"));
    house.send(&guest, "<message to='romeo@away' id='m' type='chat'><body>psst</body></message>");
    assert!(house.one(&guest).as_str().contains("<not-allowed "), "another domain is another house");
}

#[test]
fn s3_a_guest_has_no_contacts_and_one_session() {
    let mut house = house("");
    let guest = house.try_login(GUEST).expect("a session");
    let roster = house.iq(&guest, "get", None, "<query xmlns='jabber:iq:roster'/>");
    assert!(!roster.as_str().contains("<item"), "{}", roster.as_str());
    let set = house.iq(&guest, "set", None, "<query xmlns='jabber:iq:roster'><item jid='juliet@house'/></query>");
    assert!(set.as_str().contains("<not-allowed "), "{}", set.as_str());
    assert!(house.try_login("c0ffee@house/there").is_err());
}

#[test]
fn s3_nothing_of_a_guest_is_ever_written_and_it_is_gone_when_it_goes() {
    let mut house = house("may_speak_to_accounts = true");
    house.store.queued();
    let guest = house.try_login(GUEST).expect("a session");
    house.iq(&guest, "set", None, "<query xmlns='jabber:iq:private'><a xmlns='b'/></query>");
    house.send(&guest, "<message to='c0ffee@house' type='chat'><body>a note to myself</body></message>");
    house.send(&guest, "<presence/>");
    house.close(&guest);
    assert!(house.try_login(GUEST).is_err(), "there is no such account");
    assert_eq!(house.ask("c0ffee@house", Ask::Credentials), Some(AskAnswer::Credentials(None)));
    // Whoever comes by the same address later finds nothing.
    assert_eq!(house.ask("c0ffee@house", Ask::Guest(None)), Some(AskAnswer::Done));
    let other = house.try_login(GUEST).expect("a session");
    let stored = house.iq(&other, "get", None, "<query xmlns='jabber:iq:private'><a xmlns='b'/></query>");
    assert!(stored.as_str().contains("<a xmlns='b'/>"), "{}", stored.as_str());
    let page = house.iq(&other, "set", None, "<query xmlns='urn:xmpp:mam:2'/>");
    assert!(page.as_str().contains("complete='true'") && !page.as_str().contains("note"), "{}", page.as_str());
}

#[test]
fn s3_a_guest_never_takes_the_address_of_an_account() {
    let mut house = house("");
    assert_eq!(house.ask("juliet@house", Ask::Guest(None)), Some(AskAnswer::Exists));
    assert_eq!(house.ask("c0ffee@house", Ask::Guest(None)), Some(AskAnswer::Exists));
    assert_eq!(house.ask("c0ffee@house", Ask::Credentials), Some(AskAnswer::Credentials(None)), "no password opens it");
}

#[test]
fn s5_disco_says_that_it_is_anonymous_to_whoever_asks() {
    let mut house = house("");
    let guest = house.try_login(GUEST).expect("a session");
    let juliet = house.online("juliet@house/balcony");
    for (client, to) in [(&guest, None), (&juliet, Some("c0ffee@house"))] {
        let info = house.iq(client, "get", to, "<query xmlns='http://jabber.org/protocol/disco#info'/>");
        assert!(info.as_str().contains("<identity category='account' type='anonymous'/>"), "{}", info.as_str());
        assert!(!info.as_str().contains("registered"), "{}", info.as_str());
    }
}

#[test]
fn b8_not_applicable_where_it_is_not_configured() {
    let mut house = House::with(ROOMS);
    let mut config = House::with_config(ROOMS, "[xep.anonymous]\ndomains = [\"elsewhere\"]\n");
    for house in [&mut house, &mut config] {
        assert!(house.shards[0].hosts().iter().all(|doors| !doors.guests));
    }
}

/// Security D11: what a guest may do is said in one place, and no room has to remember it.
#[test]
fn d11_every_command_of_the_house_is_forbidden_to_a_guest() {
    let mut house = house("may_speak_to_accounts = true");
    let guest = house.try_login(GUEST).expect("a session");
    let doors = house.shards[0].hosts().domain("house").expect("the domain").clone();
    assert!(doors.commands.iter().any(|command| command.who == Who::User), "else this says nothing");
    for command in &doors.commands {
        for to in ["house", "c0ffee@house"] {
            let execute = format!("<command xmlns='http://jabber.org/protocol/commands' node='{}'/>", command.node);
            let answer = house.iq(&guest, "set", Some(to), &execute);
            assert!(answer.as_str().contains("<forbidden "), "{}: {}", command.node, answer.as_str());
        }
    }
    let items = "<query xmlns='http://jabber.org/protocol/disco#items' node='http://jabber.org/protocol/commands'/>";
    let listed = house.iq(&guest, "get", Some("house"), items);
    assert!(!listed.as_str().contains("<item"), "{}", listed.as_str());
}

#[test]
fn s3_a_guest_is_nobody_in_the_directory_and_in_the_register() {
    let mut house = house("may_speak_to_accounts = true\n[xep.search]\nvisible_to = \"local\"\n");
    let juliet = house.online("juliet@house/balcony");
    let card = "<vCard xmlns='vcard-temp'><FN>Juliet Capulet</FN></vCard>";
    house.iq(&juliet, "set", None, card);
    let guest = house.try_login(GUEST).expect("a session");
    let wanted = "<query xmlns='jabber:iq:search'><first>jul</first></query>";
    assert!(house.iq(&juliet, "set", Some("house"), wanted).as_str().contains("Juliet"));
    assert!(house.iq(&guest, "set", Some("house"), wanted).as_str().contains("<service-unavailable "));
    // A card of its own does not bring it into the directory either.
    house.iq(&guest, "set", None, &card.replace("Juliet Capulet", "Wolf in sheep's clothing"));
    let wolf = "<query xmlns='jabber:iq:search'><first>wolf</first></query>";
    assert!(!house.iq(&juliet, "set", Some("house"), wolf).as_str().contains("c0ffee"));
    for to in [Some("house"), None] {
        let of = house.iq(&guest, "get", to, "<query xmlns='jabber:iq:register'/>");
        assert!(of.as_str().contains("type='error'") && !of.as_str().contains("registered"), "{}", of.as_str());
        for asked in ["<remove/>", "<username>c0ffee</username><password>a good password</password>"] {
            let set = house.iq(&guest, "set", to, &format!("<query xmlns='jabber:iq:register'>{asked}</query>"));
            // XEP-0077 3.2, table 1.
            assert!(set.as_str().contains("<registration-required "), "{}", set.as_str());
        }
    }
    assert!(!house.is_over(&guest));
}

#[test]
fn s3_a_guest_subscribes_to_nobody() {
    let mut house = house("may_speak_to_accounts = true");
    let guest = house.try_login(GUEST).expect("a session");
    let juliet = house.online("juliet@house/balcony");
    for kind in ["subscribe", "subscribed", "unsubscribe", "unsubscribed"] {
        house.send(&guest, &format!("<presence to='juliet@house' type='{kind}'/>"));
        house.send(&juliet, &format!("<presence to='c0ffee@house' type='{kind}'/>"));
    }
    assert!(house.hear(&guest).is_empty());
    house.recv(&juliet);
    house.send(&guest, "<presence/>");
    house.nothing(&juliet);
    assert!(!house.iq(&guest, "get", None, "<query xmlns='jabber:iq:roster'/>").as_str().contains("<item"));
}

#[test]
fn a_guest_takes_its_place_until_it_is_gone_for_good() {
    let mut house = house("");
    let place = Arc::new(());
    let taken = |house: &mut House, name: &str| {
        let ask = Ask::Guest(Some(GuestPlace::new(place.clone())));
        assert_eq!(house.ask(name, ask), Some(AskAnswer::Done));
    };
    let count = || Arc::strong_count(&place) - 1;
    taken(&mut house, "cafe@house");
    let guest = house.try_login("cafe@house/here").expect("a session");
    house.send(&guest, "<enable xmlns='urn:xmpp:sm:3' resume='true'/>");
    house.recv(&guest);
    house.cut(&guest);
    house.advance(Duration::from_secs(300));
    assert_eq!(count(), 1, "it may be resumed");
    house.advance(Duration::from_secs(400));
    assert_eq!(count(), 0);
    taken(&mut house, "cafe@house");
    let guest = house.try_login("cafe@house/here").expect("a session");
    assert_eq!(count(), 1);
    house.close(&guest);
    assert_eq!(count(), 0);
    // Whoever authenticates and never binds.
    taken(&mut house, "beef@house");
    assert_eq!(count(), 1);
    house.advance(Duration::from_secs(60));
    house.advance(Duration::from_secs(60));
    assert_eq!(count(), 0);
}
