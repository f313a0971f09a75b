//! Section 10, and what is kept.

use std::sync::Arc;
use std::time::Duration;

use iris_core::limits::Limits;
use iris_core::store::MemoryStore;

use super::*;

#[test]
fn s10_1_2_and_10_1_3_instant_reserved_and_cancelled() {
    for shard in [0, 1] {
        let (mut house, room) = (house(), room_on(shard));
        let romeo = house.online(ROMEO);
        join(&mut house, &romeo, &room, "romeo");
        let form = owner(&mut house, &romeo, &room, "get", "");
        for field in [
            "roomname",
            "roomdesc",
            "lang",
            "persistentroom",
            "publicroom",
            "membersonly",
            "moderatedroom",
            "passwordprotectedroom",
            "roomsecret",
            "whois",
            "maxusers",
            "changesubject",
            "allowinvites",
            "allowpm",
            "presencebroadcast",
            "getmemberlist",
            "enablelogging",
            "pubsub",
            "roomadmins",
            "roomowners",
        ] {
            assert!(form.as_str().contains(&format!("var='muc#roomconfig_{field}'")), "{field}");
        }
        assert!(form.as_str().contains("muc#maxhistoryfetch") && form.as_str().contains("<value>romeo@house</value>"));
        is_error(&configure(&mut house, &romeo, &room, &[("passwordprotectedroom", "1")]), "not-acceptable");
        let juliet = house.online(JULIET);
        is_error(&join(&mut house, &juliet, &room, "juliet")[0], "item-not-found");
        is_error(&owner(&mut house, &juliet, &room, "get", ""), "item-not-found");
        house.send(&romeo, &format!("<iq type='set' id='c' to='{room}'><query xmlns='{MUC}#owner'><x xmlns='jabber:x:data' type='cancel'/></query></iq>"));
        let heard = house.recv(&romeo);
        assert!(heard.iter().any(|it| it.as_str().contains("<destroy/>")), "{heard:?}");
        assert!(codes(&join(&mut house, &juliet, &room, "juliet")[0]).contains(&201));
    }
}

#[test]
fn s10_1_a_room_that_nobody_configured_ends_with_its_maker() {
    let (mut house, room) = (house(), room_on(0));
    let romeo = house.online(ROMEO);
    join(&mut house, &romeo, &room, "romeo");
    house.close(&romeo);
    let juliet = house.online(JULIET);
    assert!(codes(&join(&mut house, &juliet, &room, "juliet")[0]).contains(&201));
}

#[test]
fn s10_1_1_who_may_make_rooms_and_how_many() {
    let mut house = House::with_config(ROOMS, "[xep.muc]\nrooms_per_user_max = 2\n");
    let (romeo, admin) = (house.online(ROMEO), house.online("admin@house/x"));
    for n in 0..2 {
        let room = format!("many{n}@conference.house");
        assert!(codes(&join(&mut house, &romeo, &room, "romeo")[0]).contains(&201));
        configure(&mut house, &romeo, &room, &[("persistentroom", "1")]);
    }
    // D2: nor by giving them to others, whose number they are not.
    let first = "many0@conference.house";
    is_result(&set_affiliation(&mut house, &romeo, first, "juliet@house", "owner"));
    is_result(&set_affiliation(&mut house, &romeo, first, "romeo@house", "none"));
    let refused = join(&mut house, &romeo, "many2@conference.house", "romeo");
    is_error(&refused[0], "resource-constraint");
    assert!(refused[0].as_str().contains("you have made 2 rooms"), "{}", refused[0].as_str());
    let juliet = house.online(JULIET);
    for n in 0..2 {
        assert!(codes(&join(&mut house, &juliet, &format!("hers{n}@conference.house"), "juliet")[0]).contains(&201));
    }
    // What was made by an account that has ended counts against nobody.
    house.ask("romeo@house", iris_core::Ask::Remove);
    house.run();
    let romeo = house.online(ROMEO);
    assert!(codes(&join(&mut house, &romeo, "many2@conference.house", "romeo")[0]).contains(&201));
    for n in 0..3 {
        assert!(codes(&join(&mut house, &admin, &format!("admin{n}@conference.house"), "admin")[0]).contains(&201));
    }
    let stranger = house.online("mallory@away/x");
    is_error(&join(&mut house, &stranger, "theirs@conference.house", "m")[0], "not-allowed");
    let mut house = House::with_config(ROOMS, "[xep.muc]\ncreate = \"admins\"\nservice = \"rooms\"\n");
    let romeo = house.online(ROMEO);
    is_error(&join(&mut house, &romeo, "one@rooms.house", "romeo")[0], "not-allowed");
    let admin = house.online("admin@house/x");
    assert!(codes(&join(&mut house, &admin, "one@rooms.house", "admin")[0]).contains(&201));
}

#[test]
fn s10_2_1_everybody_is_told_what_has_changed() {
    for shard in [0, 1] {
        let (mut house, room, romeo, juliet) = both(shard, &[]);
        for (fields, expected) in [
            (vec![("enablelogging", "1")], vec![170]),
            (vec![("enablelogging", "0")], vec![171]),
            (vec![("whois", "anyone")], vec![172]),
            (vec![("whois", "moderators"), ("roomname", "Verona")], vec![173, 104]),
            (vec![("roomname", "Mantua")], vec![104]),
        ] {
            is_result(&configure(&mut house, &romeo, &room, &fields));
            let told = house.one(&juliet);
            assert_eq!(
                (codes(&told), from(&told), told.attr("type").as_deref()),
                (expected, room.clone(), Some("groupchat")),
                "{fields:?}"
            );
        }
        is_result(&configure(&mut house, &romeo, &room, &[("roomname", "Mantua")]));
        house.nothing(&juliet);
    }
}

/// Conversations asks what a room is before it makes it, and again when it hears of a change: what it has just made was a channel
/// without an archive to it until it next logged in.
#[test]
fn s10_2_1_whoever_makes_a_room_is_told_that_it_is_no_longer_as_rooms_begin() {
    for shard in [0, 1] {
        let (mut house, room) = (house(), room_on(shard));
        let romeo = house.online(ROMEO);
        join(&mut house, &romeo, &room, "romeo");
        let form = "<x xmlns='jabber:x:data' type='submit'><field var='muc#roomconfig_membersonly'><value>1</value></field>\
                    <field var='muc#roomconfig_whois'><value>anyone</value></field></x>";
        house.send(&romeo, &format!("<iq type='set' id='made' to='{room}'><query xmlns='{MUC}#owner'>{form}</query></iq>"));
        let heard = house.recv(&romeo);
        let told: Vec<_> = heard.iter().filter(|it| !codes(it).is_empty()).map(|it| (codes(it), from(it))).collect();
        assert_eq!(told, [(vec![172, 104], room.clone())], "{heard:?}");
        // What is taken as it is has not changed.
        let instant = room_on(1 - shard);
        join(&mut house, &romeo, &instant, "romeo");
        house.send(&romeo, &format!("<iq type='set' id='as' to='{instant}'><query xmlns='{MUC}#owner'><x xmlns='jabber:x:data' type='submit'/></query></iq>"));
        assert!(house.recv(&romeo).iter().all(|it| codes(it).is_empty()));
    }
}

#[test]
fn s10_2_who_is_no_member_goes_when_the_room_becomes_one_of_members() {
    let (mut house, room, romeo) = alone(1, &[]);
    let (juliet, nurse) = (house.online(JULIET), house.online(NURSE));
    set_affiliation(&mut house, &romeo, &room, "nurse@house", "member");
    join(&mut house, &juliet, &room, "juliet");
    join(&mut house, &nurse, &room, "nurse");
    house.recv(&juliet);
    is_result(&configure(&mut house, &romeo, &room, &[("membersonly", "1")]));
    assert_eq!(codes(&house.one(&juliet)), [110, 322]);
    let heard = house.recv(&nurse);
    assert_eq!(heard.iter().map(codes).collect::<Vec<_>>(), [vec![322], vec![104]]);
}

#[test]
fn s10_3_to_10_8_owners_and_admins() {
    for shard in [0, 1] {
        let (mut house, room, romeo, juliet) = both(shard, &[]);
        house.recv(&juliet);
        is_error(&set_affiliation(&mut house, &romeo, &room, "romeo@house", "admin"), "conflict");
        for (affiliation, role) in [("admin", "moderator"), ("member", "participant"), ("owner", "moderator")] {
            is_result(&set_affiliation(&mut house, &romeo, &room, "juliet@house", affiliation));
            let seen = house.recv(&juliet);
            assert_eq!(item(&seen[0])[..2], [affiliation, role]);
        }
        is_result(&set_affiliation(&mut house, &juliet, &room, "romeo@house", "none"));
        is_error(&owner(&mut house, &romeo, &room, "get", ""), "forbidden");
        let list = admin(&mut house, &juliet, &room, "get", "<item affiliation='owner'/>");
        assert!(list.as_str().contains("juliet@house") && !list.as_str().contains("romeo@house"));
    }
}

#[test]
fn s10_2_the_full_lists_in_the_form() {
    let (mut house, room, romeo) = alone(0, &[]);
    let form = |owners: &[&str], admins: &[&str]| {
        let values = |jids: &[&str]| jids.iter().map(|jid| format!("<value>{jid}</value>")).collect::<String>();
        format!(
            "<x xmlns='jabber:x:data' type='submit'><field var='muc#roomconfig_roomowners'>{}</field>\
             <field var='muc#roomconfig_roomadmins'>{}</field></x>",
            values(owners),
            values(admins)
        )
    };
    is_error(&owner(&mut house, &romeo, &room, "set", &form(&[], &[])), "conflict");
    is_result(&owner(&mut house, &romeo, &room, "set", &form(&["romeo@house", "juliet@house"], &["nurse@house"])));
    let has = |house: &mut House, of: &str, jid: &str| {
        admin(house, &romeo, &room, "get", &format!("<item affiliation='{of}'/>")).as_str().contains(&format!("jid='{jid}'"))
    };
    assert!(has(&mut house, "owner", "juliet@house") && has(&mut house, "admin", "nurse@house"));
    is_result(&owner(&mut house, &romeo, &room, "set", &form(&["romeo@house"], &["juliet@house"])));
    assert!(has(&mut house, "admin", "juliet@house") && !has(&mut house, "owner", "juliet@house"));
    assert!(!has(&mut house, "admin", "nurse@house"));
}

#[test]
fn s10_9_the_end_of_a_room() {
    for shard in [0, 1] {
        let (mut house, room, romeo, juliet) = both(shard, &[("persistentroom", "1")]);
        say(&mut house, &romeo, &room, "secret");
        house.recv(&juliet);
        let destroy = "<destroy jid='other@conference.house'><reason>Macbeth</reason></destroy>";
        is_error(&owner(&mut house, &juliet, &room, "set", destroy), "forbidden");
        house.recv(&romeo);
        is_result(&owner(&mut house, &romeo, &room, "set", destroy));
        let told = house.one(&juliet);
        assert_eq!((told.attr("type").as_deref(), from(&told)), (Some("unavailable"), format!("{room}/juliet")));
        assert!(told.as_str().contains("<occupant-id "), "XEP-0421 4: {}", told.as_str());
        assert!(
            told.as_str().contains("<destroy jid='other@conference.house'><reason>Macbeth</reason></destroy>"),
            "{}",
            told.as_str()
        );
        is_error(&info_of(&mut house, &juliet, &room), "item-not-found");
        let mut house = house.restart(ROOMS, Duration::from_secs(60));
        let romeo = house.online(ROMEO);
        let heard = join(&mut house, &romeo, &room, "romeo");
        assert!(codes(&heard[0]).contains(&201) && bodies(&heard).is_empty(), "nothing is left of it");
    }
}

/// Whoever was away and comes back by a bookmark would be the owner of a new room there, and a public one.
#[test]
fn s10_9_at_the_address_of_a_room_that_was_destroyed_nobody_makes_another() {
    let destroy = "<destroy jid='other@conference.house'><reason>Macbeth</reason></destroy>";
    for (shard, public) in [(0, "1"), (1, "0")] {
        let (mut house, room, romeo) = alone(shard, &[("persistentroom", "1"), ("publicroom", public)]);
        is_result(&owner(&mut house, &romeo, &room, "set", destroy));
        for later in [1, 60] {
            let juliet = house.online(JULIET);
            let gone = join(&mut house, &juliet, &room, "juliet").remove(0);
            is_error(&gone, "gone");
            assert!(gone.as_str().contains(">xmpp:other@conference.house?join</gone>"), "{}", gone.as_str());
            // Strangers could not have found it: they do not learn why it is gone either.
            assert_eq!(gone.as_str().contains("Macbeth"), public == "1", "{}", gone.as_str());
            is_error(&info_of(&mut house, &juliet, &room), "item-not-found");
            house = house.restart(ROOMS, Duration::from_secs(later));
        }
        // Whoever has destroyed it makes another, and others come in; when that one goes by itself, the address is still nobody's.
        let (romeo, juliet) = (house.online(ROMEO), house.online(JULIET));
        assert!(codes(&join(&mut house, &romeo, &room, "romeo")[0]).contains(&201));
        is_result(&owner(&mut house, &romeo, &room, "set", "<x xmlns='jabber:x:data' type='submit'/>"));
        is_in(&join(&mut house, &juliet, &room, "juliet"));
        house.send(&juliet, &format!("<presence type='unavailable' to='{room}/juliet'/>"));
        house.send(&romeo, &format!("<presence type='unavailable' to='{room}/romeo'/>"));
        is_error(&join(&mut house, &juliet, &room, "juliet")[0], "gone");
        // So do administrators, and a room that stays is as any other.
        let admin = house.online("admin@house/desk");
        assert!(codes(&join(&mut house, &admin, &room, "admin")[0]).contains(&201));
        let kept =
            "<x xmlns='jabber:x:data' type='submit'><field var='muc#roomconfig_persistentroom'><value>1</value></field></x>";
        is_result(&owner(&mut house, &admin, &room, "set", kept));
        house = house.restart(ROOMS, Duration::from_secs(60));
        let (admin, juliet) = (house.online("admin@house/desk"), house.online(JULIET));
        is_in(&join(&mut house, &juliet, &room, "juliet"));
        is_result(&owner(&mut house, &admin, &room, "set", "<destroy/>"));
        house.recv(&juliet);
        let gone = join(&mut house, &juliet, &room, "juliet").remove(0);
        assert!(gone.as_str().contains("<gone xmlns='urn:ietf:params:xml:ns:xmpp-stanzas'/>"), "{}", gone.as_str());
        // Until its time is over.
        let mut house = house.restart(ROOMS, Duration::from_secs(30 * 86_400));
        let juliet = house.online(JULIET);
        assert!(codes(&join(&mut house, &juliet, &room, "juliet")[0]).contains(&201));
    }
}

#[test]
fn s10_9_a_room_that_was_not_to_stay_leaves_its_address_to_all_and_so_does_every_room_if_the_operator_wants_it() {
    for (config, stays) in [("", "0"), ("[xep.muc]\ntombstone_days = 0\n", "1")] {
        let (mut house, room) = (House::with_config(ROOMS, config), room_on(0));
        let (romeo, juliet) = (house.online(ROMEO), house.online(JULIET));
        join(&mut house, &romeo, &room, "romeo");
        let form = format!(
            "<x xmlns='jabber:x:data' type='submit'><field var='muc#roomconfig_persistentroom'><value>{stays}</value></field></x>"
        );
        is_result(&owner(&mut house, &romeo, &room, "set", &form));
        is_result(&owner(&mut house, &romeo, &room, "set", "<destroy/>"));
        assert!(codes(&join(&mut house, &juliet, &room, "juliet")[0]).contains(&201));
    }
}

/// Security D3: one who makes and destroys rooms has so many addresses, and not all.
#[test]
fn d3_one_person_keeps_so_many_addresses_from_others() {
    let mut house = house();
    let (romeo, juliet) = (house.online(ROMEO), house.online(JULIET));
    let kept = "<x xmlns='jabber:x:data' type='submit'><field var='muc#roomconfig_persistentroom'><value>1</value></field></x>";
    let room = |n: usize| format!("r{n}@conference.house");
    for n in 0..101 {
        join(&mut house, &romeo, &room(n), "romeo");
        is_result(&owner(&mut house, &romeo, &room(n), "set", kept));
        is_result(&owner(&mut house, &romeo, &room(n), "set", "<destroy/>"));
        house.recv(&romeo);
    }
    is_error(&join(&mut house, &juliet, &room(100), "juliet")[0], "gone");
    is_error(&join(&mut house, &juliet, &room(1), "juliet")[0], "gone");
    assert!(codes(&join(&mut house, &juliet, &room(0), "juliet")[0]).contains(&201), "the oldest has made room");
}

#[test]
fn i7_a_room_outlives_the_house() {
    for shard in [0, 1] {
        let (mut house, room, romeo) = alone(shard, &[("persistentroom", "1"), ("roomname", "Verona"), ("whois", "anyone")]);
        set_affiliation(&mut house, &romeo, &room, "juliet@house", "admin");
        set_affiliation(&mut house, &romeo, &room, "tybalt@house", "outcast");
        house.send(&romeo, &format!("<message to='{room}' type='groupchat'><subject>Love</subject></message>"));
        (0..25).for_each(|n| say(&mut house, &romeo, &room, &format!("m{n}")));
        let mut house = house.restart(ROOMS, Duration::from_secs(60));
        let (juliet, tybalt) = (house.online(JULIET), house.online(TYBALT));
        is_error(&join(&mut house, &tybalt, &room, "tybalt")[0], "forbidden");
        let heard = join(&mut house, &juliet, &room, "juliet");
        assert_eq!((item(&heard[0])[0].as_str(), codes(&heard[0])), ("admin", vec![100, 110]), "nobody is there any more");
        assert_eq!(bodies(&heard).len(), 20);
        assert_eq!(bodies(&heard).last().map(String::as_str), Some("m24"));
        assert!(heard.last().expect("the subject").as_str().contains("<subject>Love</subject>"));
        let info = info_of(&mut house, &juliet, &room);
        assert!(info.as_str().contains("name='Verona'"));
    }
}

#[test]
fn a_room_sleeps_when_nobody_is_there_and_wakes_as_it_was() {
    let (mut house, room, romeo) = alone(1, &[("persistentroom", "1"), ("roomname", "Verona")]);
    say(&mut house, &romeo, &room, "hi");
    leave(&mut house, &romeo, &room, "romeo");
    (0..3).for_each(|_| house.advance(Duration::from_secs(120)));
    let heard = join(&mut house, &romeo, &room, "romeo");
    assert_eq!((item(&heard[0])[0].as_str(), bodies(&heard)), ("owner", vec!["hi".to_owned()]));
}

#[test]
fn a_temporary_room_does_not_outlive_the_house() {
    let (mut house, room, romeo) = alone(0, &[]);
    say(&mut house, &romeo, &room, "between us");
    let mut house = house.restart(ROOMS, Duration::from_secs(60));
    let items = "<query xmlns='http://jabber.org/protocol/disco#items'/>";
    let juliet = house.online(JULIET);
    assert!(!house.iq(&juliet, "get", Some("conference.house"), items).as_str().contains(&room));
    let heard = join(&mut house, &juliet, &room, "juliet");
    assert!(codes(&heard[0]).contains(&201) && bodies(&heard).is_empty());
}

#[test]
fn i7_what_could_not_be_kept_is_not_announced() {
    let store = Arc::new(MemoryStore::manual());
    let mut house = House::build(ROOMS, "", Limits::default(), store.clone());
    for user in ["romeo@house", "juliet@house"] {
        house.ask(user, iris_core::Ask::Provision { credentials: bytes::Bytes::new() });
        store.commit();
    }
    let room = room_on(1);
    let commit = |house: &mut House| {
        (0..4).for_each(|_| {
            store.commit();
            house.run();
        });
    };
    let romeo = house.try_login(ROMEO).expect("a session");
    let juliet = house.try_login(JULIET).expect("a session");
    house.send(&romeo, &format!("<presence to='{room}/romeo'><x xmlns='{MUC}'/></presence>"));
    commit(&mut house);
    house.send(
        &romeo,
        &format!(
            "<iq type='set' id='c' to='{room}'><query xmlns='{MUC}#owner'><x xmlns='jabber:x:data' type='submit'>\
        <field var='muc#roomconfig_persistentroom'><value>1</value></field></x></query></iq>"
        ),
    );
    commit(&mut house);
    house.send(&juliet, &format!("<presence to='{room}/juliet'><x xmlns='{MUC}'/></presence>"));
    commit(&mut house);
    house.recv(&romeo);
    house.recv(&juliet);
    house.send(&romeo, &format!("<iq type='set' id='a' to='{room}'><query xmlns='{MUC}#admin'><item affiliation='admin' jid='juliet@house'/></query></iq>"));
    house.nothing(&juliet);
    store.refuse();
    house.run();
    house.nothing(&juliet);
    commit(&mut house);
    let answer = house.recv(&romeo);
    assert!(answer.iter().all(|it| it.attr("type").as_deref() != Some("result")), "{answer:?}");
    // Everybody is still there, as what they were.
    house.send(
        &romeo,
        &format!("<iq type='get' id='l' to='{room}'><query xmlns='{MUC}#admin'><item role='participant'/></query></iq>"),
    );
    commit(&mut house);
    let heard = house.recv(&romeo);
    assert!(heard.iter().any(|it| it.as_str().contains("nick='juliet' role='participant' affiliation='none'")), "{heard:?}");
}

#[test]
fn s10_1_3_whoever_goes_before_it_is_configured_is_told_that_it_is_destroyed() {
    let (mut house, room) = (house(), room_on(1));
    let (romeo, juliet) = (house.online(ROMEO), house.online(JULIET));
    join(&mut house, &romeo, &room, "romeo");
    house.send(&romeo, &format!("<presence type='unavailable' id='bye' to='{room}/romeo'/>"));
    let heard = house.recv(&romeo);
    let [gone, end] = &heard[..] else { panic!("{heard:?}") };
    // 7.14: the answer to what was sent; a client (Smack) knows it by its id.
    assert_eq!((codes(gone), gone.attr("id").as_deref()), (vec![110], Some("bye")));
    assert_eq!((gone.attr("type").as_deref(), from(gone)), (Some("unavailable"), format!("{room}/romeo")));
    assert!(!gone.as_str().contains("destroy"), "{}", gone.as_str());
    // "from the room to the owner including a <destroy/> element"
    assert_eq!((end.attr("type").as_deref(), from(end)), (Some("unavailable"), room.clone()));
    assert!(end.as_str().contains("<destroy/>"), "{}", end.as_str());
    let items = "<query xmlns='http://jabber.org/protocol/disco#items'/>";
    assert!(!house.iq(&juliet, "get", Some("conference.house"), items).as_str().contains(&room));
    assert!(codes(&join(&mut house, &juliet, &room, "juliet")[0]).contains(&201));
}

#[test]
fn s5_1_2_where_moderation_ends_everybody_has_a_voice() {
    for shard in [0, 1] {
        let (mut house, room, romeo, juliet) = both(shard, &[("moderatedroom", "1")]);
        house.recv(&juliet);
        is_result(&configure(&mut house, &romeo, &room, &[("moderatedroom", "0")]));
        let heard = house.recv(&juliet);
        assert_eq!(item(&heard[0])[1], "participant", "{heard:?}");
        assert_eq!(codes(heard.last().expect("the notice")), [104]);
        say(&mut house, &juliet, &room, "hi");
        assert_eq!(bodies(&house.recv(&romeo)), ["hi"]);
    }
}

/// 6.4: clients show what members may do by what the room says of itself, not by the form, which only owners get.
#[test]
fn s6_4_the_room_says_whether_members_invite_and_who_sends_private_messages() {
    let (mut house, room, romeo) = alone(0, &[("membersonly", "1"), ("allowinvites", "1"), ("allowpm", "moderators")]);
    let juliet = house.online(JULIET);
    let says = |info: &Stanza, var: &str, value: &str| {
        let field = format!("var='muc#roomconfig_{var}'");
        let (_, rest) = info.as_str().split_once(&field).unwrap_or_else(|| panic!("{var}: {}", info.as_str()));
        assert!(rest.split_once("</field>").is_some_and(|it| it.0.contains(&format!("<value>{value}</value>"))), "{rest}");
    };
    let info = info_of(&mut house, &juliet, &room);
    says(&info, "allowinvites", "1");
    says(&info, "allowpm", "moderators");
    configure(&mut house, &romeo, &room, &[("allowinvites", "0"), ("allowpm", "anyone")]);
    let info = info_of(&mut house, &juliet, &room);
    says(&info, "allowinvites", "0");
    says(&info, "allowpm", "anyone");
}

/// 5.1.1: everybody who is in an open room invites. 9.5: what can be chosen is about rooms of members.
#[test]
fn s9_5_only_a_room_of_members_says_whether_members_invite() {
    for (chosen, shard) in [("0", 0), ("1", 1)] {
        let (mut house, room, romeo, juliet) = both(shard, &[("allowinvites", chosen)]);
        let nurse = house.online(NURSE);
        assert!(!info_of(&mut house, &juliet, &room).as_str().contains("allowinvites"));
        house.send(&juliet, &format!("<message to='{room}'><x xmlns='{MUC}#user'><invite to='nurse@house'/></x></message>"));
        assert!(house.one(&nurse).as_str().contains("<invite from='juliet@house'"));
        configure(&mut house, &romeo, &room, &[("membersonly", "1")]);
        assert!(info_of(&mut house, &juliet, &room).as_str().contains("allowinvites"));
    }
}
