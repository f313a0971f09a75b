//! What was said and is read later: XEP-0313 6.1.2, 0431, 0424, 0425; and those who are away: 0452, 0500, 0502, 0486.

use std::time::Duration;

use super::*;

const MAM: &str = "urn:xmpp:mam:2";

pub fn asked(fields: &[(&str, &str)], set: &str) -> String {
    let fields: String =
        fields.iter().map(|(var, value)| format!("<field var='{var}'><value>{value}</value></field>")).collect();
    format!(
        "<query xmlns='{MAM}' queryid='q'><x xmlns='jabber:x:data' type='submit'><field var='FORM_TYPE'><value>{MAM}</value></field>{fields}\
         </x><set xmlns='http://jabber.org/protocol/rsm'>{set}</set></query>"
    )
}

/// The results, and the answer.
pub fn query(house: &mut House, client: &Client, room: &str, payload: &str) -> (Vec<Stanza>, Stanza) {
    house.recv(client);
    house.send(client, &format!("<iq type='set' id='mam' to='{room}'>{payload}</iq>"));
    let mut heard = house.recv(client);
    let fin = heard.pop().expect("an answer");
    assert_eq!((fin.id().as_deref(), from(&fin)), (Some("mam"), room.to_owned()));
    (heard, fin)
}

fn result_id(stanza: &Stanza) -> String {
    let child = stanza.child_named(MAM, "result").expect("a result");
    stanza.child_el(child).attr("id").expect("an id").into_owned()
}

pub fn stanza_id(stanza: &Stanza) -> String {
    let child = stanza.child_named("urn:xmpp:sid:0", "stanza-id").unwrap_or_else(|| panic!("no id: {}", stanza.as_str()));
    stanza.child_el(child).attr("id").expect("an id").into_owned()
}

/// XEP-0359 3: "the id says where the archive has it". Clients that tell each other by it what was read (XEP-0490) had nothing to say.
#[test]
fn a_private_message_has_the_id_under_which_its_recipient_keeps_it() {
    for shard in [0, 1] {
        let (mut house, room, romeo, juliet) = both(shard, &[]);
        house.send(&romeo, &format!("<message to='{room}/juliet' type='chat' id='p'><body>psst</body></message>"));
        let heard = house.one(&juliet);
        house.send(&juliet, "<iq type='set' id='a'><query xmlns='urn:xmpp:mam:2'/></iq>");
        let kept = house.hear(&juliet).concat();
        let id = kept.split("<result ").nth(1).and_then(|it| it.split(" id='").nth(1)?.split('\'').next()).expect("it is kept");
        let stamp = format!("<stanza-id xmlns='urn:xmpp:sid:0' by='juliet@house' id='{id}'/>");
        assert!(heard.as_str().contains(&stamp) && kept.contains("psst"), "{} {kept}", heard.as_str());
    }
}

#[test]
fn xep0313_s6_1_2_everything_said_is_read_in_pages() {
    for shard in [0, 1] {
        let (mut house, room, romeo, juliet) = both(shard, &[("persistentroom", "1")]);
        let mut ids = Vec::new();
        for n in 0..7 {
            house.recv(&juliet);
            say(&mut house, &romeo, &room, &format!("m{n}"));
            ids.push(stanza_id(&house.one(&juliet)));
        }
        house.send(&juliet, &format!("<message to='{room}/romeo' type='chat'><body>psst</body></message>"));
        let (heard, fin) = query(&mut house, &juliet, &room, &asked(&[], "<max>4</max>"));
        assert_eq!(bodies(&heard), ["m0", "m1", "m2", "m3"]);
        assert!(!fin.as_str().contains("complete"), "{}", fin.as_str());
        assert_eq!(heard.iter().map(result_id).collect::<Vec<_>>(), ids[..4], "0359: the id is the archive's");
        for it in &heard {
            assert_eq!((from(it), it.to().as_deref()), (room.clone(), Some(JULIET)));
            assert!(it.as_str().contains(&format!("<message xmlns='jabber:client' from='{room}/romeo'")), "{}", it.as_str());
            assert!(!it.as_str().contains("romeo@house"), "D2: {}", it.as_str());
            assert_eq!(it.as_str().matches("<occupant-id").count(), 1);
        }
        let (heard, fin) = query(&mut house, &juliet, &room, &asked(&[], &format!("<max>4</max><after>{}</after>", ids[3])));
        assert_eq!(bodies(&heard), ["m4", "m5", "m6"], "and nothing that was said in private");
        assert!(fin.as_str().contains("complete='true'"));
        let (heard, _) = query(&mut house, &juliet, &room, &asked(&[("{urn:xmpp:fulltext:0}fulltext", "M5")], ""));
        assert_eq!(bodies(&heard), ["m5"], "0431");
        for (with, count) in
            [(format!("{room}/romeo"), 7), (format!("{room}/juliet"), 0), (room.clone(), 7), ("romeo@house".into(), 0)]
        {
            let (heard, _) = query(&mut house, &juliet, &room, &asked(&[("with", &with)], ""));
            assert_eq!(heard.len(), count, "{with}");
        }
        // Moderators know who it was.
        let (heard, _) = query(&mut house, &romeo, &room, &asked(&[("with", "romeo@house")], "<max>1</max>"));
        assert!(heard[0].as_str().contains("<item jid='romeo@house/orchard'/>"), "{}", heard[0].as_str());
        let metadata = house.iq(&juliet, "get", Some(&room), &format!("<metadata xmlns='{MAM}'/>"));
        assert!(metadata.as_str().contains(&ids[0]) && metadata.as_str().contains(&ids[6]), "{}", metadata.as_str());
        let form = house.iq(&juliet, "get", Some(&room), &format!("<query xmlns='{MAM}'/>"));
        assert!(form.as_str().contains("before-id"));
        // 4.1.4: "a client may query a user archive": that field is of the archives of people.
        assert!(!form.as_str().contains("include-groupchat"), "{}", form.as_str());
        let groupchat = query(&mut house, &juliet, &room, &asked(&[("include-groupchat", "true")], "")).1;
        is_error(&groupchat, "feature-not-implemented");
    }
}

#[test]
fn xep0313_s6_1_2_and_d2_who_may_read_it() {
    let (mut house, room, romeo) = alone(1, &[("persistentroom", "1")]);
    say(&mut house, &romeo, &room, "hi");
    let (juliet, tybalt) = (house.online(JULIET), house.online(TYBALT));
    let read =
        |house: &mut House, who: &Client| query(house, who, &room, &asked(&[], "")).1.attr("type").as_deref() == Some("result");
    assert!(!read(&mut house, &juliet), "not by whom it is none of their business");
    configure(&mut house, &romeo, &room, &[("enablelogging", "1")]);
    assert!(read(&mut house, &juliet));
    set_affiliation(&mut house, &romeo, &room, "tybalt@house", "outcast");
    assert!(!read(&mut house, &tybalt));
    configure(&mut house, &romeo, &room, &[("membersonly", "1")]);
    assert!(!read(&mut house, &juliet));
    set_affiliation(&mut house, &romeo, &room, "juliet@house", "member");
    assert!(read(&mut house, &juliet), "a member, also from outside");
    assert!(info_of(&mut house, &juliet, &room).as_str().contains(&format!("<feature var='{MAM}'/>")));
    configure(&mut house, &romeo, &room, &[("enablearchiving", "0")]);
    assert!(!info_of(&mut house, &juliet, &room).as_str().contains(MAM));
    is_error(&query(&mut house, &juliet, &room, &asked(&[], "")).1, "service-unavailable");
}

#[test]
fn xep0424_what_somebody_takes_back_is_gone() {
    for shard in [0, 1] {
        let (mut house, room, romeo, juliet) = both(shard, &[("persistentroom", "1")]);
        let correction = |of: &str| {
            format!(
                "<message to='{room}' type='groupchat' id='c1'><body>secret two</body><replace xmlns='urn:xmpp:message-correct:0' id='{of}'/></message>"
            )
        };
        house.send(&juliet, &format!("<message to='{room}' type='groupchat' id='s1'><body>secret one</body></message>"));
        let id = stanza_id(&house.one(&romeo));
        house.send(&juliet, &correction("s1"));
        let retract = |id: &str| {
            format!(
                "<message to='{room}' type='groupchat' id='r1'><retract xmlns='urn:xmpp:message-retract:1' id='{id}'/></message>"
            )
        };
        // Only one's own.
        house.send(&romeo, &retract(&id));
        let (heard, _) = query(&mut house, &juliet, &room, &asked(&[], ""));
        assert!(heard.iter().any(|it| it.as_str().contains("secret one")));
        house.send(&juliet, &retract(&id));
        assert!(house.recv(&romeo).iter().any(|it| it.as_str().contains("<retract ")), "everybody is told");
        let (heard, _) = query(&mut house, &juliet, &room, &asked(&[], ""));
        assert!(heard.iter().all(|it| !it.as_str().contains("secret")), "{heard:?}");
        let tombs: Vec<&Stanza> = heard.iter().filter(|it| it.as_str().contains("<retracted ")).collect();
        assert_eq!(tombs.len(), 2, "it and its correction");
        assert!(
            tombs[0].as_str().contains("id='r1'") && result_id(tombs[0]) == id && tombs[0].as_str().contains("<occupant-id")
        );
        let (heard, _) = query(&mut house, &juliet, &room, &asked(&[("{urn:xmpp:fulltext:0}fulltext", "secret")], ""));
        assert!(heard.is_empty(), "D4: nor is it found");
        let nurse = house.online(NURSE);
        assert!(join(&mut house, &nurse, &room, "nurse").iter().all(|it| !it.as_str().contains("secret")));
        let mut house = house.restart(ROOMS, Duration::from_secs(60));
        let nurse = house.online(NURSE);
        assert!(join(&mut house, &nurse, &room, "nurse").iter().all(|it| !it.as_str().contains("secret")));
    }
}

/// What is corrected from another nickname, or from another of one's clients, is theirs all the same.
#[test]
fn xep0424_and_0425_a_correction_under_another_nickname_is_buried_with_what_it_corrects() {
    for (shard, by_moderator, archive) in [(0, false, "1"), (1, true, "1"), (1, false, "0"), (0, true, "0")] {
        let (mut house, room, romeo, juliet) = both(shard, &[("enablearchiving", archive)]);
        let said = |id: &str, body: &str, inside: &str| {
            format!("<message to='{room}' type='groupchat' id='{id}'><body>{body}</body>{inside}</message>")
        };
        let correction = "<replace xmlns='urn:xmpp:message-correct:0' id='s1'/>";
        house.send(&juliet, &said("s1", "secret one", ""));
        let id = stanza_id(&house.one(&juliet));
        house.send(&juliet, &format!("<presence to='{room}/jule'/>"));
        house.send(&juliet, &said("c1", "secret two", correction));
        // Somebody else's of the same id is none.
        house.send(&romeo, &said("c1", "mine", correction));
        house.recv(&juliet);
        let retract = "<retract xmlns='urn:xmpp:message-retract:1'";
        if by_moderator {
            let ask = format!("<moderate xmlns='urn:xmpp:message-moderate:1' id='{id}'>{retract}/></moderate>");
            is_result(&house.iq(&romeo, "set", Some(&room), &ask));
        } else {
            house.send(&juliet, &format!("<message to='{room}' type='groupchat' id='r1'>{retract} id='{id}'/></message>"));
        }
        house.recv(&juliet);
        let nurse = house.online(NURSE);
        let shown = join(&mut house, &nurse, &room, "nurse");
        assert_eq!(bodies(&shown), ["mine"], "{by_moderator} {archive}");
        if archive == "1" {
            let (heard, _) = query(&mut house, &nurse, &room, "<query xmlns='urn:xmpp:mam:2'/>");
            assert_eq!(bodies(&heard), ["mine"], "{by_moderator}");
            assert_eq!(heard.iter().filter(|it| it.as_str().contains("<retracted ")).count(), 2, "it and its correction");
        }
    }
}

#[test]
fn xep0424_a_retraction_that_a_crash_interrupted_is_done_when_the_room_wakes() {
    let settle = |house: &mut House| {
        for _ in 0..6 {
            house.store.commit();
            house.run();
        }
    };
    let room = room_on(1);
    let mut house = House::manual(ROOMS);
    house.user("romeo@house");
    settle(&mut house);
    let romeo = house.login(ROMEO);
    house.send(&romeo, &format!("<presence to='{room}/romeo'><x xmlns='{MUC}'/></presence>"));
    settle(&mut house);
    let form = "<x xmlns='jabber:x:data' type='submit'><field var='muc#roomconfig_persistentroom'><value>1</value></field></x>";
    house.send(&romeo, &format!("<iq type='set' id='c' to='{room}'><query xmlns='{MUC}#owner'>{form}</query></iq>"));
    settle(&mut house);
    house.recv(&romeo);
    house.send(&romeo, &format!("<message to='{room}' type='groupchat' id='s'><body>secret</body></message>"));
    settle(&mut house);
    let id = stanza_id(&house.one(&romeo));
    house.send(
        &romeo,
        &format!(
            "<message to='{room}' type='groupchat' id='r'><retract xmlns='urn:xmpp:message-retract:1' id='{id}'/></message>"
        ),
    );
    // The retraction is on disk, what follows from it is not yet.
    house.store.commit();
    let mut house = house.restart(ROOMS, Duration::from_secs(3));
    let romeo = house.login(ROMEO);
    settle(&mut house);
    // Whoever wakes it.
    house.send(&romeo, &format!("<presence to='{room}/romeo'><x xmlns='{MUC}'/></presence>"));
    settle(&mut house);
    let (heard, _) = query(&mut house, &romeo, &room, &asked(&[], ""));
    assert!(heard.len() == 2 && heard.iter().all(|it| !it.as_str().contains("secret")), "{heard:?}");
    assert!(heard[0].as_str().contains("<retracted ") && heard[1].as_str().contains("<retract "), "{heard:?}");
}

#[test]
fn xep0425_a_moderator_takes_back_what_another_has_said() {
    for (shard, archive) in [(0, "1"), (1, "1"), (0, "0")] {
        let (mut house, room, romeo, juliet) = both(shard, &[("persistentroom", "1"), ("enablearchiving", archive)]);
        let spam = "<body>DM me for free magic potions!</body>";
        house.send(&juliet, &format!("<message to='{room}' type='groupchat' id='inappropriate-1'>{spam}</message>"));
        let id = stanza_id(&house.one(&romeo));
        house.recv(&juliet);
        let moderate = |id: &str| {
            format!(
                "<moderate xmlns='urn:xmpp:message-moderate:1' id='{id}'><retract xmlns='urn:xmpp:message-retract:1'/><reason>no</reason></moderate>"
            )
        };
        is_error(&house.iq(&juliet, "set", Some(&room), &moderate(&id)), "forbidden");
        is_error(&house.iq(&romeo, "set", Some(&room), &moderate("nowhere")), "item-not-found");
        house.recv(&romeo);
        house.send(&romeo, &format!("<iq type='set' id='mod' to='{room}'>{}</iq>", moderate(&id)));
        assert!(
            house
                .recv(&romeo)
                .iter()
                .any(|it| it.id().as_deref() == Some("mod") && it.attr("type").as_deref() == Some("result"))
        );
        let told = house.one(&juliet);
        assert_eq!((from(&told), told.attr("type").as_deref()), (room.clone(), Some("groupchat")));
        for part in [
            format!("<retract xmlns='urn:xmpp:message-retract:1' id='{id}'>"),
            format!("<moderated xmlns='urn:xmpp:message-moderate:1' by='{room}/romeo'>"),
            "<reason>no</reason>".into(),
        ] {
            assert!(told.as_str().contains(&part), "{part}: {}", told.as_str());
        }
        let nurse = house.online(NURSE);
        assert!(join(&mut house, &nurse, &room, "nurse").iter().all(|it| !it.as_str().contains("potions")));
        if archive == "1" {
            let (heard, _) = query(&mut house, &juliet, &room, &asked(&[], ""));
            assert!(heard.iter().all(|it| !it.as_str().contains("potions")));
            assert!(
                heard[0].as_str().contains("<retracted ") && heard[0].as_str().contains("<moderated "),
                "{}",
                heard[0].as_str()
            );
            assert_eq!(heard.len(), 2, "the tombstone, and that it was done");
        }
    }
}

#[test]
fn i1_a_message_sent_again_after_a_restart_is_there_once() {
    for shard in [0, 1] {
        let (mut house, room, romeo) = alone(shard, &[("persistentroom", "1")]);
        let said = format!(
            "<message to='{room}' type='groupchat' id='m1'><body>once</body><origin-id xmlns='urn:xmpp:sid:0' id='o1'/>\
             <x xmlns='{MUC}#user'/></message>"
        );
        house.send(&romeo, &said);
        let id = stanza_id(&house.one(&romeo));
        let mut house = house.restart(ROOMS, Duration::from_secs(60));
        let romeo = house.online(ROMEO);
        assert_eq!(bodies(&join(&mut house, &romeo, &room, "romeo")), ["once"]);
        house.send(&romeo, &said);
        assert_eq!(stanza_id(&house.one(&romeo)), id, "I2: any second copy carries the same id");
        house.send(&romeo, &said.replace("once", "twice"));
        house.recv(&romeo);
        let (heard, _) = query(&mut house, &romeo, &room, &asked(&[], ""));
        assert_eq!(bodies(&heard), ["once", "twice"]);
    }
}

/// More was said behind it than the room shows to who comes in.
#[test]
fn i1_a_message_sent_again_after_a_restart_is_known_however_much_was_said_behind_it() {
    let (mut house, room, romeo) = alone(0, &[("persistentroom", "1")]);
    let said = format!("<message to='{room}' type='groupchat' id='m1'><body>once</body></message>");
    house.send(&romeo, &said);
    let id = stanza_id(&house.one(&romeo));
    for more in 0..60 {
        say(&mut house, &romeo, &room, &format!("more {more}"));
    }
    let mut house = house.restart(ROOMS, Duration::from_secs(60));
    let romeo = house.online(ROMEO);
    join(&mut house, &romeo, &room, "romeo");
    house.send(&romeo, &said);
    assert_eq!(stanza_id(&house.one(&romeo)), id);
}

/// Pushes what a member's account hears of a room to whatever client is online.
const LISTENER: iris_core::Room = iris_core::Room {
    card: iris_core::Card { xep: None, name: "Listener", version: "0", status: iris_core::Status::Complete, needs: &[] },
    mount: |m| {
        m.on(iris_core::Step::SaidInRoom, |turn| {
            let from = turn.envelope.as_ref().map(|envelope| (envelope.from.to_string(), envelope.stamps.stanza_id.is_some()));
            for session in turn.account.sessions().to_vec() {
                turn.push(session, format!("<message type='headline'><heard xmlns='urn:x'>{from:?}</heard></message>"));
            }
            iris_core::Flow::Go
        });
        Ok(())
    },
};

#[test]
fn f36_the_account_of_a_member_who_is_away_hears_what_is_said_if_it_has_something_to_be_told_with() {
    for shard in [0, 1] {
        let rooms = [ROOMS, &[LISTENER]].concat();
        let (mut house, room) = (House::with(&rooms), room_on(shard));
        let romeo = opened(&mut house, &room, &[("persistentroom", "1"), ("membersonly", "1")]);
        let (juliet, nurse) = (house.online(JULIET), house.online(NURSE));
        set_affiliation(&mut house, &romeo, &room, "juliet@house", "member");
        house.recv(&juliet);
        say(&mut house, &romeo, &room, "ah");
        house.nothing(&juliet);
        house.shards[0].house().enrolled.set("juliet@house", true);
        say(&mut house, &romeo, &room, "hi");
        let heard = house.one(&juliet);
        assert!(heard.as_str().contains(&format!("{room}/romeo")) && heard.as_str().contains("true"), "{}", heard.as_str());
        house.nothing(&nurse);
        // Of another domain of the house.
        let lysander = house.online("lysander@away/wood");
        set_affiliation(&mut house, &romeo, &room, "lysander@away", "member");
        house.recv(&lysander);
        house.shards[0].house().enrolled.set("lysander@away", true);
        say(&mut house, &romeo, &room, "he");
        assert!(house.one(&lysander).as_str().contains(&format!("{room}/romeo")));
        house.recv(&juliet);
        join(&mut house, &juliet, &room, "juliet");
        say(&mut house, &romeo, &room, "ho");
        assert_eq!(bodies(&house.recv(&juliet)), ["ho"], "who is there has it from the room");
    }
}

#[test]
fn xep0452_a_member_who_is_mentioned_is_told() {
    let (mut house, room, romeo) = alone(0, &[("persistentroom", "1"), ("forwardmentions", "1")]);
    let (juliet, nurse) = (house.online(JULIET), house.online(NURSE));
    admin(&mut house, &romeo, &room, "set", "<item affiliation='member' jid='juliet@house' nick='jule'/>");
    assert_eq!(codes(&house.one(&juliet)), [101]);
    let mention = |uri: &str| {
        format!(
            "<message to='{room}' type='groupchat' id='m1'><body>jule: hi</body><reference xmlns='urn:xmpp:reference:0' type='mention' uri='{uri}'/></message>"
        )
    };
    for uri in ["xmpp:juliet@house".to_owned(), format!("xmpp:{room}/jule")] {
        house.send(&romeo, &mention(&uri));
        let told = house.one(&juliet);
        assert_eq!(from(&told), room);
        for part in ["<mentions xmlns='urn:xmpp:mmn:0'>", "<forwarded", "<body>jule: hi</body>", "<stanza-id", "<delay"] {
            assert!(told.as_str().contains(part), "{part}: {}", told.as_str());
        }
    }
    house.send(&romeo, &mention("xmpp:nurse@house"));
    house.nothing(&nurse);
    join(&mut house, &juliet, &room, "jule");
    house.send(&romeo, &mention("xmpp:juliet@house"));
    assert_eq!(house.one(&juliet).attr("type").as_deref(), Some("groupchat"), "who is there hears it anyway");
}

#[test]
fn xep0500_slow_mode() {
    let (mut house, room, romeo, juliet) = both(1, &[("slow_mode_duration", "20")]);
    say(&mut house, &juliet, &room, "one");
    house.recv(&juliet);
    say(&mut house, &juliet, &room, "two");
    let refused = house.one(&juliet);
    is_error(&refused, "policy-violation");
    assert!(refused.as_str().contains("type='wait'") && refused.as_str().contains("20 seconds"));
    house.advance(Duration::from_secs(20));
    say(&mut house, &juliet, &room, "three");
    say(&mut house, &romeo, &room, "four");
    say(&mut house, &romeo, &room, "five");
    assert_eq!(bodies(&house.recv(&juliet)), ["three", "four", "five"]);
    let form = owner(&mut house, &romeo, &room, "get", "");
    assert!(
        form.as_str()
            .contains("<validate xmlns='http://jabber.org/protocol/xdata-validate' datatype='xs:integer'><range min='0'/>")
    );
    let info = info_of(&mut house, &juliet, &room);
    assert!(info.as_str().contains("muc#roominfo_slow_mode_duration"), "{}", info.as_str());
    is_error(&configure(&mut house, &romeo, &room, &[("slow_mode_duration", "-1")]), "not-acceptable");
}

#[test]
fn xep0502_how_much_is_said() {
    let (mut house, room, romeo) = alone(0, &[("persistentroom", "1")]);
    let field = "{urn:xmpp:muc-activity}message-activity";
    let ask = |house: &mut House| info_of(house, &romeo, &room);
    assert!(!ask(&mut house).as_str().contains(field), "nothing is known yet");
    (0..48).for_each(|n| say(&mut house, &romeo, &room, &format!("m{n}")));
    house.advance(Duration::from_secs(3_700));
    assert!(
        ask(&mut house)
            .as_str()
            .contains(&format!("<field var='{field}' type='text-single' label='Messages per hour'><value>2.00</value>")),
        "{}",
        ask(&mut house).as_str()
    );
    configure(&mut house, &romeo, &room, &[("publicroom", "0")]);
    assert!(!ask(&mut house).as_str().contains(field));
}

#[test]
fn xep0486_the_picture_of_a_room() {
    for shard in [0, 1] {
        let (mut house, room, romeo, juliet) = both(shard, &[("persistentroom", "1")]);
        let card = "<vCard xmlns='vcard-temp'><PHOTO><TYPE>image/png</TYPE><BINVAL>aGVs\nbG8=</BINVAL></PHOTO>\
            <PHOTO><TYPE>image/svg+xml</TYPE><BINVAL>d29ybGQ=</BINVAL></PHOTO></vCard>";
        is_error(&house.iq(&juliet, "set", Some(&room), card), "forbidden");
        is_error(&house.iq(&juliet, "get", Some(&room), "<vCard xmlns='vcard-temp'/>"), "item-not-found");
        is_error(&house.iq(&romeo, "set", Some(&room), &card.replace("aGVs", "!")), "bad-request");
        is_result(&house.iq(&romeo, "set", Some(&room), card));
        assert_eq!(house.recv(&juliet).iter().filter(|it| codes(it) == [104]).count(), 1);
        let mut house = house.restart(ROOMS, Duration::from_secs(60));
        let juliet = house.online(JULIET);
        assert!(
            house.iq(&juliet, "get", Some(&room), "<vCard xmlns='vcard-temp'/>").as_str().contains("<TYPE>image/png</TYPE>")
        );
        let info = info_of(&mut house, &juliet, &room);
        // SHA-1 of "hello", and of "world": 4.1, "a hash of all of them".
        let hashes =
            "<value>aaf4c61ddcc5e8a2dabede0f3b482cd9aea9434d</value><value>7c211433f02071597741e6ff5a8ea34789abbf43</value>";
        assert!(info.as_str().contains(hashes), "{}", info.as_str());
        assert!(info.as_str().contains("muc#roominfo_avatarhash") && info.as_str().contains("<feature var='vcard-temp'/>"));
        let romeo = house.online(ROMEO);
        is_result(&house.iq(&romeo, "set", Some(&room), "<vCard xmlns='vcard-temp'/>"));
        let info = info_of(&mut house, &juliet, &room);
        assert!(!info.as_str().contains("avatarhash"));
    }
}

/// "Some existing implementations send or expect a presence from the room's bare JID": Monal, Movim and Cheogram know of
/// the picture by nothing else.
#[test]
fn xep0486_4_2_the_picture_is_in_a_presence_of_the_room() {
    for shard in [0, 1] {
        let (mut house, room, romeo, juliet) = both(shard, &[("persistentroom", "1")]);
        let pictures = |heard: &[Stanza]| -> Vec<String> {
            let of_room = heard.iter().filter(|it| it.as_str().starts_with("<presence ") && from(it) == room);
            let photo = |it: &Stanza| {
                Some(it.as_str().split_once("<x xmlns='vcard-temp:x:update'>")?.1.split_once("</x>")?.0.to_owned())
            };
            of_room.filter_map(photo).collect()
        };
        let hello = "<photo>aaf4c61ddcc5e8a2dabede0f3b482cd9aea9434d</photo>";
        let card = "<vCard xmlns='vcard-temp'><PHOTO><TYPE>image/png</TYPE><BINVAL>aGVsbG8=</BINVAL></PHOTO></vCard>";
        // A room without one says nothing.
        let nurse = house.online(NURSE);
        assert!(pictures(&join(&mut house, &nurse, &room, "nurse")).is_empty());
        house.recv(&juliet);
        is_result(&house.iq(&romeo, "set", Some(&room), card));
        for client in [&juliet, &nurse] {
            assert_eq!(pictures(&house.recv(client)), [hello]);
        }
        // Only what is new is told.
        is_result(&house.iq(&romeo, "set", Some(&room), &card.replace("</vCard>", "<FN>Verona</FN></vCard>")));
        assert!(pictures(&house.recv(&juliet)).is_empty());
        // Whoever comes in is told too, before they are in.
        let mut house = house.restart(ROOMS, Duration::from_secs(60));
        let juliet = house.online(JULIET);
        let heard = join(&mut house, &juliet, &room, "juliet");
        assert_eq!(pictures(&heard), [hello]);
        assert_eq!(pictures(&heard[..1]), [hello]);
        is_in(&heard);
        let romeo = house.online(ROMEO);
        is_result(&house.iq(&romeo, "set", Some(&room), "<vCard xmlns='vcard-temp'/>"));
        assert_eq!(pictures(&house.recv(&juliet)), ["<photo/>"]);
        assert!(pictures(&join(&mut house, &juliet, &room, "juliet")).is_empty());
    }
}

#[test]
fn what_was_said_in_a_room_that_died_with_the_house_is_not_the_next_ones() {
    for shard in [0, 1] {
        let (mut house, room, romeo) = alone(shard, &[]);
        say(&mut house, &romeo, &room, "secret");
        // The service was not told of the room before the house died.
        let at = room.clone();
        house.host("conference.house", move |turn| turn.delete(crate::xep0045_muc::service::ROOMS, &at));
        let mut house = house.restart(ROOMS, Duration::from_secs(60));
        let juliet = house.online(JULIET);
        assert!(join(&mut house, &juliet, &room, "juliet").iter().any(|it| codes(it).contains(&201)));
        configure(&mut house, &juliet, &room, &[("persistentroom", "1")]);
        say(&mut house, &juliet, &room, "hers");
        let (heard, _) = query(&mut house, &juliet, &room, &asked(&[], ""));
        assert_eq!(bodies(&heard), ["hers"]);
    }
}
