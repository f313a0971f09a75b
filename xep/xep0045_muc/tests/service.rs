//! Section 6, and what the service knows.

use super::*;

const ITEMS: &str = "<query xmlns='http://jabber.org/protocol/disco#items'/>";

#[test]
fn s6_1_and_6_2_the_service_is_found_and_says_what_it_is() {
    let mut house = house();
    let romeo = house.online(ROMEO);
    assert!(house.iq(&romeo, "get", Some("house"), ITEMS).as_str().contains("<item jid='conference.house'/>"));
    let info = info_of(&mut house, &romeo, "conference.house");
    assert!(info.as_str().contains("<identity category='conference' type='text' name='Rooms'/>"), "{}", info.as_str());
    for feature in [MUC, "http://jabber.org/protocol/muc#stable_id", "urn:xmpp:occupant-id:0"] {
        assert!(info.as_str().contains(&format!("<feature var='{feature}'/>")), "{feature}");
    }
}

#[test]
fn s6_3_public_rooms_are_listed_in_pages() {
    let mut house = house();
    let romeo = house.online(ROMEO);
    for n in 0..5 {
        let room = format!("list{n}@conference.house");
        join(&mut house, &romeo, &room, "romeo");
        let hidden = if n == 2 { "0" } else { "1" };
        configure(&mut house, &romeo, &room, &[("publicroom", hidden), ("roomname", &format!("Room {n}"))]);
    }
    join(&mut house, &romeo, "locked@conference.house", "romeo");
    let all = house.iq(&romeo, "get", Some("conference.house"), ITEMS);
    assert_eq!(all.as_str().matches("<item ").count(), 4, "{}", all.as_str());
    assert!(all.as_str().contains("<item jid='list0@conference.house' name='Room 0'/>") && !all.as_str().contains("list2"));
    let page = |set: &str| {
        format!(
            "<query xmlns='http://jabber.org/protocol/disco#items'><set xmlns='http://jabber.org/protocol/rsm'>{set}</set></query>"
        )
    };
    let rooms = |answer: &Stanza| {
        answer.as_str().split("<item jid='list").skip(1).filter_map(|it| it.get(..1).map(str::to_owned)).collect::<Vec<_>>()
    };
    for (set, expected) in [
        ("<max>2</max>", vec!["0", "1"]),
        ("<max>2</max><after>list1@conference.house</after>", vec!["3", "4"]),
        ("<max>2</max><before/>", vec!["3", "4"]),
        ("<max>1</max><before>list3@conference.house</before>", vec!["1"]),
        ("<max>0</max>", vec![]),
    ] {
        let answer = house.iq(&romeo, "get", Some("conference.house"), &page(set));
        assert_eq!(rooms(&answer), expected, "{set}");
        assert!(answer.as_str().contains("<count>4</count>"));
    }
}

#[test]
fn s6_4_a_room_says_what_it_is() {
    for shard in [0, 1] {
        let (mut house, room, romeo) = alone(shard, &[("roomname", "Verona"), ("roomdesc", "A city"), ("lang", "it")]);
        house.send(&romeo, &format!("<message to='{room}' type='groupchat'><subject>Love</subject></message>"));
        let juliet = house.online(JULIET);
        let info = info_of(&mut house, &juliet, &room);
        for part in [
            "name='Verona'",
            "muc_public",
            "muc_open",
            "muc_unmoderated",
            "muc_semianonymous",
            "muc_unsecured",
            "muc_temporary",
            "muc#roominfo_description",
            "<value>A city</value>",
            "muc#roominfo_occupants",
            "<value>Love</value>",
            "<value>it</value>",
        ] {
            assert!(info.as_str().contains(part), "{part}: {}", info.as_str());
        }
        configure(
            &mut house,
            &romeo,
            &room,
            &[
                ("publicroom", "0"),
                ("membersonly", "1"),
                ("moderatedroom", "1"),
                ("whois", "anyone"),
                ("passwordprotectedroom", "1"),
                ("roomsecret", "x"),
                ("persistentroom", "1"),
            ],
        );
        let info = info_of(&mut house, &juliet, &room);
        for part in
            ["muc_hidden", "muc_membersonly", "muc_moderated", "muc_nonanonymous", "muc_passwordprotected", "muc_persistent"]
        {
            assert!(info.as_str().contains(part), "{part}: {}", info.as_str());
        }
        assert!(!info.as_str().contains("Love") && !info.as_str().contains("roominfo_occupants"), "13.4: {}", info.as_str());
        assert!(info_of(&mut house, &romeo, &room).as_str().contains("Love"));
        for node in ["http://jabber.org/protocol/muc#traffic", "nowhere"] {
            let ask = format!("<query xmlns='http://jabber.org/protocol/disco#info' node='{node}'/>");
            assert_eq!(house.iq(&juliet, "get", Some(&room), &ask).attr("type").as_deref(), Some("error"));
        }
    }
}

#[test]
fn s6_5_who_is_there_is_told_to_those_who_are_or_could_be() {
    let (mut house, room, romeo) = alone(0, &[]);
    let juliet = house.online(JULIET);
    let told = |house: &mut House, who: &Client| {
        house.iq(who, "get", Some(&room), ITEMS).as_str().contains(&format!("<item jid='{room}/romeo'/>"))
    };
    assert!(told(&mut house, &romeo) && told(&mut house, &juliet));
    for hides in ["membersonly", "publicroom"] {
        configure(&mut house, &romeo, &room, &[("membersonly", "0"), ("publicroom", "1")]);
        configure(&mut house, &romeo, &room, &[(hides, if hides == "publicroom" { "0" } else { "1" })]);
        assert!(told(&mut house, &romeo) && !told(&mut house, &juliet), "13.4: {hides}");
    }
}

#[test]
fn rooms_of_one_domain_are_none_of_another() {
    let mut house = house();
    let (romeo, mallory) = (house.online(ROMEO), house.online("mallory@away/x"));
    join(&mut house, &romeo, "same@conference.house", "romeo");
    configure(&mut house, &romeo, "same@conference.house", &[]);
    let heard = join(&mut house, &mallory, "same@conference.away", "mallory");
    assert!(codes(&heard[0]).contains(&201));
    assert!(!house.iq(&mallory, "get", Some("conference.away"), ITEMS).as_str().contains("conference.house"));
}

#[test]
fn d2_nicknames_that_are_none() {
    let (mut house, room, _) = alone(1, &[]);
    let mallory = house.online("mallory@house/x");
    // The first is no part of an address; the second is one, and too long.
    for (nick, condition) in [("\u{200b}", "jid-malformed"), (&*"n".repeat(129), "not-acceptable")] {
        house.send(&mallory, &format!("<presence to='{room}/{nick}'><x xmlns='{MUC}'/></presence>"));
        is_error(&house.one(&mallory), condition);
    }
}

#[test]
fn three_hundred_people_come_in_and_each_is_told_of_all() {
    let (mut house, room, _) = alone(0, &[]);
    let clients: Vec<Client> = (0..300).map(|n| house.online(&format!("p{n}@house/x"))).collect();
    for (n, client) in clients.iter().enumerate() {
        house.feed(client, &format!("<presence to='{room}/p{n}'><x xmlns='{MUC}'/></presence>"));
    }
    house.run();
    for (n, client) in clients.iter().enumerate() {
        let heard = house.recv(client);
        let presences = heard.iter().filter(|it| it.name().1 == "presence").count();
        assert_eq!(presences, 301, "of {n}: those before, oneself, those after");
    }
}

#[test]
fn s11_2_who_is_there_when_the_house_closes_is_told_so() {
    let (mut house, here, there) = (house(), room_on(0), room_on(1));
    let romeo = opened(&mut house, &here, &[("persistentroom", "1")]);
    let (tablet, juliet) = (house.online("romeo@house/tablet"), house.online(JULIET));
    join(&mut house, &tablet, &here, "romeo");
    for room in [&here, &there] {
        join(&mut house, &juliet, room, "juliet");
    }
    for client in [&romeo, &tablet, &juliet] {
        house.recv(client);
    }
    house.closing();
    for (client, nick, rooms) in [(&romeo, "romeo", 1), (&tablet, "romeo", 1), (&juliet, "juliet", 2)] {
        let heard = house.recv(client);
        assert_eq!(heard.len(), rooms, "{}: {heard:?}", client.jid);
        for gone in heard {
            assert!(from(&gone).ends_with(nick) && gone.to().as_deref() == Some(client.jid.as_str()), "{}", gone.as_str());
            assert_eq!((gone.attr("type").as_deref(), codes(&gone)), (Some("unavailable"), vec![110, 332]));
            assert_eq!(item(&gone), ["none", "none", ""]);
        }
        assert!(!house.is_over(client), "its stream ends later");
    }
    // Said once; and what is kept is kept.
    house.closing();
    house.nothing(&juliet);
    let mut house = house.restart(ROOMS, std::time::Duration::from_secs(60));
    let romeo = house.online(ROMEO);
    let heard = join(&mut house, &romeo, &here, "romeo");
    assert_eq!((heard.len(), item(&heard[0])), (2, ["owner", "moderator", "romeo@house/orchard"].map(str::to_owned)));
}

/// XEP-0175: what a guest registers would lie there for good, for nobody has its address again.
#[test]
fn s7_10_guests_register_nothing() {
    for shard in [0, 1] {
        let mut house = House::with_config(ROOMS, "[xep.anonymous]\ndomains = [\"house\"]\n");
        let room = room_on(shard);
        let romeo = opened(&mut house, &room, &[("persistentroom", "1")]);
        house.ask("c0ffee@house", iris_core::Ask::Guest(None));
        let guest = house.try_login("c0ffee@house/here").expect("a session");
        let query = |inside: &str| format!("<query xmlns='jabber:iq:register'>{inside}</query>");
        let form = format!(
            "<x xmlns='jabber:x:data' type='submit'><field var='FORM_TYPE'><value>{MUC}#register</value></field>\
             <field var='muc#register_roomnick'><value>guest</value></field></x>"
        );
        for is_here in [false, true] {
            if is_here {
                is_in(&join(&mut house, &guest, &room, "guest"));
            }
            is_error(&house.iq(&guest, "get", Some(&room), &query("")), "not-allowed");
            is_error(&house.iq(&guest, "set", Some(&room), &query(&form)), "not-allowed");
        }
        let members = admin(&mut house, &romeo, &room, "get", "<item affiliation='member'/>");
        assert!(!members.as_str().contains("c0ffee"), "{}", members.as_str());
        // Who has an account does.
        let juliet = house.online(JULIET);
        is_result(&house.iq(&juliet, "set", Some(&room), &query(&form.replace("guest", "juliet"))));
    }
}

/// A component, or any service, owns rooms; whoever else has an address there does not.
#[test]
fn a_component_is_an_owner() {
    let config = "[[xep.components.component]]\ndomain = \"bot.house\"\nsecret = \"northnorthwest\"\n";
    for shard in [0, 1] {
        let mut house = House::with_config(ROOMS, config);
        let room = room_on(shard);
        let romeo = opened(&mut house, &room, &[("persistentroom", "1")]);
        is_result(&set_affiliation(&mut house, &romeo, &room, "bot.house", "owner"));
        house.recv(&romeo);
        let bot = house.component("bot.house");
        let configure = |from: &str, id: &str| {
            format!(
                "<iq from='{from}' to='{room}' type='set' id='{id}'><query xmlns='{MUC}#owner'><x xmlns='jabber:x:data' type='submit'>\
                 <field var='muc#roomconfig_roomname'><value>{id}</value></field></x></query></iq>"
            )
        };
        house.send(&bot, &configure("mallory@bot.house", "theirs"));
        is_error(&house.one(&bot), "forbidden");
        house.send(&bot, &configure("bot.house", "ours"));
        is_result(&house.one(&bot));
        assert!(info_of(&mut house, &romeo, &room).as_str().contains("name='ours'"));
        house.send(&bot, &format!("<presence from='bot.house' to='{room}/bot'><x xmlns='{MUC}'/></presence>"));
        let heard = house.recv(&bot);
        let own = heard.iter().find(|it| codes(it).contains(&110)).expect("self-presence");
        assert_eq!(item(own), ["owner", "moderator", "bot.house"]);
        say(&mut house, &romeo, &room, "hi");
        assert_eq!(bodies(&house.recv(&bot)), ["hi"]);
    }
}

/// 6.4: "The room MUST return its identity and SHOULD return the features it supports", its example is of a hidden one; 4.2: it "cannot be
/// found … through normal means such as searching and service discovery", which is the list of rooms. What is said inside stays there.
#[test]
fn s6_4_a_hidden_room_says_what_it_is_to_who_knows_its_address_and_nothing_of_what_is_inside() {
    for shard in [0, 1] {
        let (mut house, room, romeo) = alone(shard, &[("publicroom", "0"), ("roomname", "Verona"), ("persistentroom", "1")]);
        house.send(&romeo, &format!("<message to='{room}' type='groupchat'><subject>plot</subject></message>"));
        let juliet = house.online(JULIET);
        let list =
            house.iq(&juliet, "get", Some("conference.house"), "<query xmlns='http://jabber.org/protocol/disco#items'/>");
        assert!(!list.as_str().contains("<item "), "{}", list.as_str());
        let info = info_of(&mut house, &juliet, &room).as_str().to_owned();
        assert!(
            info.contains("category='conference' type='text' name='Verona'") && info.contains("var='muc_hidden'"),
            "{info}"
        );
        for inside in ["plot", "roominfo_occupants", "roominfo_contactjid", "romeo"] {
            assert!(!info.contains(inside), "{inside}: {info}");
        }
        // 6.5: "the room MUST return an empty <query/> element".
        let items = house.iq(&juliet, "get", Some(&room), "<query xmlns='http://jabber.org/protocol/disco#items'/>");
        assert!(items.attr("type").as_deref() == Some("result") && !items.as_str().contains("<item "), "{}", items.as_str());
    }
}

const FAR: &str = "[[xep.components.component]]\ndomain = \"bot.house\"\nsecret = \"northnorthwest\"\n";

/// Behind a component, as behind a server, are as many people as it says: but a component is of the house, and the operator's.
#[test]
fn d2_people_of_another_server_make_so_many_rooms_together() {
    use iris_core::Jid;
    let registry = |people: &[&str]| {
        let rooms = people.iter().enumerate().map(|(n, person)| iris_core::store::Item {
            shelf: super::super::service::ROOMS,
            key: format!("r{n}@conference.house").into(),
            value: format!("<room public='1' persistent='1'><creator>{person}</creator></room>").into(),
        });
        super::super::service::Registry::load(&rooms.collect::<Vec<_>>())
    };
    let all = registry(&["a@far", "b@far", "a@nofar", "far", "a@far.example"]);
    assert_eq!((all.made_at("far"), all.made_by("a@far")), (3, 1));
    let mut house = House::with_config(ROOMS, FAR);
    for (person, is_foreign) in
        [("a@house", false), ("a@away", false), ("x@bot.house", false), ("a@far", true), ("a@up.house", true)]
    {
        let person = Jid::new(person).expect("a JID");
        let is = house.host("conference.house", move |turn| super::super::service::foreign(turn, &person).is_some());
        assert_eq!(is.expect("an answer").expect("a turn"), is_foreign);
    }
}

#[test]
fn d2_people_of_another_server_register_in_so_many_places_of_a_room() {
    use super::super::ROOM_STATE;
    use super::super::affiliations::Affiliated;
    use super::super::association::Affiliation;
    let mut house = House::with_config(ROOMS, "[xep.muc]\naffiliations_max = 30\n");
    let room = room_on(1);
    let _romeo = opened(&mut house, &room, &[("persistentroom", "1")]);
    let left = house.host(&room, |turn| {
        turn.with_state(&ROOM_STATE, |_, room| {
            let mut left = Vec::new();
            for n in 0..4 {
                left.push(["x@far", "p1@far", "x@near"].map(|person| {
                    let domain = person.split_once('@').expect("a domain").1;
                    room.has_place_for_one_of(domain, person).is_ok()
                }));
                let registered = Affiliated { registered: true, ..Affiliated::new(Affiliation::Member) };
                room.affiliations.set(&format!("p{n}@far"), Some(registered));
                // Those whom an admin has let in are not counted.
                room.affiliations.set(&format!("q{n}@near"), Some(Affiliated::new(Affiliation::Member)));
            }
            left
        })
    });
    let left = left.expect("an answer").expect("a turn").expect("a room");
    // Who is in already is in.
    assert_eq!(left, [[true; 3], [true; 3], [true; 3], [false, true, true]]);
}
