//! Sections 7.4, 7.5, 7.8, 7.10, 7.12, 7.13, 11.1, 17: what is said in a room and through it.

use super::*;

#[test]
fn s7_4_everybody_hears_what_is_said_with_its_id() {
    for shard in [0, 1] {
        let (mut house, room, romeo, juliet) = both(shard, &[]);
        house.send(&juliet, &format!("<message to='{room}' type='groupchat' id='m1'><body>hi</body></message>"));
        for client in [&romeo, &juliet] {
            let heard = house.one(client);
            assert_eq!(
                (from(&heard), heard.id().as_deref(), heard.attr("type").as_deref()),
                (format!("{room}/juliet"), Some("m1"), Some("groupchat"))
            );
            assert_eq!(heard.to().as_deref(), Some(client.jid.as_str()));
            assert!(heard.as_str().contains(&format!("<stanza-id xmlns='urn:xmpp:sid:0' by='{room}'")), "0359");
        }
    }
}

#[test]
fn s7_4_who_is_not_there_or_has_no_voice_is_not_heard() {
    let (mut house, room, romeo) = alone(0, &[("moderatedroom", "1")]);
    let juliet = house.online(JULIET);
    say(&mut house, &juliet, &room, "outside");
    is_error(&house.one(&juliet), "not-acceptable");
    join(&mut house, &juliet, &room, "juliet");
    house.recv(&romeo);
    say(&mut house, &juliet, &room, "visitor");
    is_error(&house.one(&juliet), "forbidden");
    house.nothing(&romeo);
    is_result(&set_role(&mut house, &romeo, &room, "juliet", "participant"));
    house.recv(&juliet);
    say(&mut house, &juliet, &room, "voice");
    assert_eq!(bodies(&house.recv(&romeo)), ["voice"]);
}

#[test]
fn c3_what_only_the_room_says_is_taken_out() {
    let (mut house, room, romeo, juliet) = both(1, &[]);
    house.send(
        &juliet,
        &format!(
            "<message to='{room}' type='groupchat' id='m1'><occupant-id xmlns='urn:xmpp:occupant-id:0' id='forged1'/><body>hi</body>\
             <stanza-id xmlns='urn:xmpp:sid:0' by='{room}' id='forged2'/><stanza-id xmlns='urn:xmpp:sid:0' by='romeo@house' id='forged3'/>\
             <occupant-id xmlns='urn:xmpp:occupant-id:0' id='forged4'/><x xmlns='{MUC}#user'><status code='104'/></x>\
             <delay xmlns='urn:xmpp:delay' from='{room}' stamp='2000-01-01T00:00:00Z'/><stanza-id xmlns='urn:xmpp:sid:0' by='elsewhere.example' id='theirs'/>\
             <occupant-id xmlns='urn:xmpp:occupant-id:0' id='forged5'/><hats xmlns='urn:xmpp:hats:0'/></message>"
        ),
    );
    let heard = house.one(&romeo);
    let xml = heard.as_str();
    assert!(!xml.contains("forged") && !xml.contains("104") && !xml.contains("2000-01-01") && !xml.contains("hats"), "{xml}");
    assert!(xml.contains("id='theirs'"), "0359 3 rule 3: {xml}");
    assert_eq!((xml.matches("<occupant-id").count(), xml.matches(&format!("by='{room}'")).count()), (1, 1), "{xml}");
    assert_eq!(from(&heard), format!("{room}/juliet"));
}

#[test]
fn xep0421_the_id_of_a_person_stays_and_is_another_in_another_room() {
    let mut house = house();
    let id = |stanza: &Stanza| {
        let child = stanza.child_named("urn:xmpp:occupant-id:0", "occupant-id").expect("an occupant-id");
        stanza.child_el(child).attr("id").expect("an id").into_owned()
    };
    let (here, there) = (room_on(0), room_on(1));
    let romeo = house.online(ROMEO);
    let first = id(&join(&mut house, &romeo, &here, "romeo")[0]);
    assert!(first.len() <= 128);
    is_result(&configure(&mut house, &romeo, &here, &[("persistentroom", "1")]));
    house.send(&romeo, &format!("<presence to='{here}/other'/>"));
    house.recv(&romeo);
    say(&mut house, &romeo, &here, "hi");
    assert_eq!(id(&house.one(&romeo)), first, "whatever the nickname");
    assert_ne!(id(&join(&mut house, &romeo, &there, "romeo")[0]), first);
    let mut house = house.restart(ROOMS, std::time::Duration::from_secs(60));
    let tablet = house.online("romeo@house/tablet");
    let heard = join(&mut house, &tablet, &here, "romeo");
    assert_eq!(id(&heard[0]), first);
    let past = heard.iter().find(|it| it.as_str().contains("<body>hi")).expect("history");
    assert_eq!(id(past), first, "also of what was said before");
}

#[test]
fn s7_5_a_private_message() {
    for shard in [0, 1] {
        let (mut house, room, romeo, juliet) = both(shard, &[]);
        let nurse = house.online(NURSE);
        join(&mut house, &nurse, &room, "nurse");
        for client in [&romeo, &juliet] {
            house.recv(client);
        }
        house.send(
            &juliet,
            &format!("<message to='{room}/romeo' type='chat' id='p1'><body>psst</body><x xmlns='{MUC}#user'/></message>"),
        );
        let heard = house.one(&romeo);
        assert_eq!(
            (from(&heard), heard.attr("type").as_deref(), heard.id().as_deref()),
            (format!("{room}/juliet"), Some("chat"), Some("p1"))
        );
        assert_eq!(heard.as_str().matches(&format!("<x xmlns='{MUC}#user'/>")).count(), 1);
        house.nothing(&nurse);
        house.send(&juliet, &format!("<message to='{room}/romeo' type='groupchat'><body>psst</body></message>"));
        is_error(&house.one(&juliet), "bad-request");
        house.send(&juliet, &format!("<message to='{room}/nobody' type='chat'><body>psst</body></message>"));
        is_error(&house.one(&juliet), "item-not-found");
        let paris = house.online(PARIS);
        house.send(&paris, &format!("<message to='{room}/romeo' type='chat'><body>psst</body></message>"));
        is_error(&house.one(&paris), "not-acceptable");
    }
}

#[test]
fn d2_private_messages_are_for_those_whom_the_owner_lets() {
    let (mut house, room, romeo, juliet) = both(0, &[]);
    for (policy, mayromeo, may_juliet) in
        [("none", false, false), ("moderators", true, false), ("participants", true, true), ("anyone", true, true)]
    {
        is_result(&configure(&mut house, &romeo, &room, &[("allowpm", policy)]));
        for (from, to, nick, may) in [(&romeo, &juliet, "juliet", mayromeo), (&juliet, &romeo, "romeo", may_juliet)] {
            house.recv(from);
            house.recv(to);
            house.send(from, &format!("<message to='{room}/{nick}' type='chat'><body>psst</body></message>"));
            assert_eq!(bodies(&house.recv(to)).len(), usize::from(may), "{policy} {nick}");
            if !may {
                is_error(&house.one(from), "forbidden");
            }
        }
    }
}

#[test]
fn s8_1_the_subject_is_the_moderators_until_the_owner_says_otherwise() {
    let (mut house, room, romeo, juliet) = both(1, &[]);
    let subject = |text: &str| format!("<message to='{room}' type='groupchat' id='s'>{text}</message>");
    house.send(&juliet, &subject("<subject>Fire!</subject>"));
    is_error(&house.one(&juliet), "forbidden");
    // With a body or a thread it is a message.
    for text in ["<subject>a</subject><body>b</body>", "<subject>a</subject><thread>t</thread>"] {
        house.send(&juliet, &subject(text));
        assert!(house.one(&juliet).as_str().contains("<subject>a</subject>"));
    }
    let nurse = house.online(NURSE);
    assert!(join(&mut house, &nurse, &room, "nurse").last().expect("the subject").as_str().contains("<subject/>"));
    house.recv(&romeo);
    house.recv(&juliet);
    house.send(&romeo, &subject("<subject>Fire Burn</subject><no-store xmlns='urn:xmpp:hints'/>"));
    assert_eq!(from(&house.one(&juliet)), format!("{room}/romeo"));
    let tybalt = house.online(TYBALT);
    let heard = join(&mut house, &tybalt, &room, "tybalt");
    assert!(heard.last().expect("the subject").as_str().contains("Fire Burn"), "whoever comes later sees it");
    house.recv(&romeo);
    house.recv(&juliet);
    configure(&mut house, &romeo, &room, &[("changesubject", "1")]);
    house.recv(&juliet);
    house.send(&juliet, &subject("<subject/>"));
    assert!(house.one(&juliet).as_str().contains("<subject/>"));
    let paris = house.online(PARIS);
    let heard = join(&mut house, &paris, &room, "paris");
    let last = heard.last().expect("the subject");
    assert!(last.as_str().contains("<subject/>") && last.as_str().contains("<delay"), "it was cleared: {}", last.as_str());
}

#[test]
fn s7_8_2_an_invitation_and_its_decline() {
    for shard in [0, 1] {
        let (mut house, room, romeo) = alone(shard, &[("passwordprotectedroom", "1"), ("roomsecret", "moon")]);
        let juliet = house.online(JULIET);
        let invite = |to: &str| {
            format!(
                "<message to='{room}'><x xmlns='{MUC}#user'><invite to='{to}'><reason>come</reason><continue thread='t1'/></invite></x></message>"
            )
        };
        house.send(&romeo, &invite("juliet@house"));
        let heard = house.one(&juliet);
        assert_eq!(from(&heard), room);
        for part in
            ["<invite from='romeo@house'>", "<reason>come</reason>", "<continue thread='t1'/>", "<password>moon</password>"]
        {
            assert!(heard.as_str().contains(part), "{part}: {}", heard.as_str());
        }
        let decline = format!(
            "<message to='{room}'><x xmlns='{MUC}#user'><decline to='romeo@house'><reason>no</reason></decline></x></message>"
        );
        house.send(&juliet, &decline);
        let heard = house.one(&romeo);
        assert!(heard.as_str().contains("<decline from='juliet@house'><reason>no</reason></decline>"), "{}", heard.as_str());
        // Who was not invited declines nothing.
        house.send(&juliet, &decline);
        is_error(&house.one(&juliet), "item-not-found");
        house.nothing(&romeo);
        house.send(&juliet, &invite("nurse@house"));
        is_error(&house.one(&juliet), "not-acceptable");
        house.send(&romeo, &invite("@"));
        is_error(&house.one(&romeo), "jid-malformed");
    }
}

#[test]
fn s9_5_who_may_invite_into_a_room_of_members() {
    let (mut house, room, romeo) = alone(0, &[("membersonly", "1")]);
    let (juliet, nurse) = (house.online(JULIET), house.online(NURSE));
    let invite = |to: &str| format!("<message to='{room}'><x xmlns='{MUC}#user'><invite to='{to}'/></x></message>");
    house.send(&romeo, &invite("juliet@house"));
    assert!(house.one(&juliet).as_str().contains("<invite"), "once");
    assert_eq!(item(&join(&mut house, &juliet, &room, "juliet")[1])[0], "member", "the invitation has made her one");
    house.send(&juliet, &invite("nurse@house"));
    is_error(&house.one(&juliet), "forbidden");
    house.nothing(&nurse);
    configure(&mut house, &romeo, &room, &[("allowinvites", "1")]);
    house.recv(&juliet);
    house.send(&juliet, &invite("nurse@house"));
    assert!(house.one(&nurse).as_str().contains("<invite"));
    assert!(codes(&join(&mut house, &nurse, &room, "nurse")[2]).contains(&110));
}

#[test]
fn s7_10_and_7_12_a_registered_nickname() {
    for shard in [0, 1] {
        let (mut house, room, romeo) = alone(shard, &[]);
        let juliet = house.online(JULIET);
        join(&mut house, &juliet, &room, "jule");
        house.recv(&romeo);
        let asked = house.iq(&juliet, "get", Some(&room), "<query xmlns='jabber:iq:register'/>");
        assert!(
            asked.as_str().contains("muc#register_roomnick") && asked.as_str().contains("<required/>"),
            "{}",
            asked.as_str()
        );
        let node = "<query xmlns='http://jabber.org/protocol/disco#info' node='x-roomuser-item'/>";
        assert!(!house.iq(&juliet, "get", Some(&room), node).as_str().contains("<identity"));
        let form = |nick: &str| {
            format!(
                "<query xmlns='jabber:iq:register'><x xmlns='jabber:x:data' type='submit'><field var='FORM_TYPE'><value>{MUC}#register\
                 </value></field><field var='muc#register_roomnick'><value>{nick}</value></field></x></query>"
            )
        };
        is_error(&house.iq(&juliet, "set", Some(&room), "<query xmlns='jabber:iq:register'/>"), "bad-request");
        is_error(&house.iq(&juliet, "set", Some(&room), &form("Romeo")), "conflict");
        is_result(&house.iq(&juliet, "set", Some(&room), &form("juliet")));
        assert_eq!(item(&house.one(&romeo))[0], "member");
        let known = house.iq(&juliet, "get", Some(&room), "<query xmlns='jabber:iq:register'/>");
        assert!(known.as_str().contains("<registered/><username>juliet</username>"), "{}", known.as_str());
        assert!(
            house.iq(&juliet, "get", Some(&room), node).as_str().contains("category='conference' type='text' name='juliet'")
        );
        // It is hers, whether she is there or not.
        let paris = house.online(PARIS);
        is_error(&join(&mut house, &paris, &room, "Juliet")[0], "conflict");
        house.send(&romeo, &format!("<presence to='{room}/juliet'/>"));
        is_error(&house.one(&romeo), "conflict");
        // A room may insist on it.
        let insist =
            "<x xmlns='jabber:x:data' type='submit'><field var='x-muc#roomconfig_reservednick'><value>1</value></field></x>";
        is_result(&owner(&mut house, &romeo, &room, "set", insist));
        leave(&mut house, &juliet, &room, "jule");
        let heard = join(&mut house, &juliet, &room, "another");
        let own = heard.iter().find(|it| codes(it).contains(&110)).expect("self-presence");
        assert_eq!((from(own), codes(own)), (format!("{room}/juliet"), vec![110, 210]), "7.2.2");
        house.send(&juliet, &format!("<presence to='{room}/another'/>"));
        is_error(&house.one(&juliet), "not-acceptable");
        is_result(&house.iq(&juliet, "set", Some(&room), "<query xmlns='jabber:iq:register'><remove/></query>"));
        assert!(!house.iq(&juliet, "get", Some(&room), node).as_str().contains("<identity"));
    }
}

#[test]
fn s9_9_an_admin_lets_somebody_become_a_member() {
    let (mut house, room, romeo) = alone(1, &[("membersonly", "1"), ("persistentroom", "1")]);
    let juliet = house.online(JULIET);
    let form = format!(
        "<query xmlns='jabber:iq:register'><x xmlns='jabber:x:data' type='submit'><field var='FORM_TYPE'><value>{MUC}#register\
         </value></field><field var='muc#register_roomnick'><value>jule</value></field></x></query>"
    );
    is_result(&house.iq(&juliet, "set", Some(&room), &form));
    let asked = house.one(&romeo);
    assert!(
        asked.as_str().contains("muc#register_allow") && asked.as_str().contains("<value>jule</value>"),
        "{}",
        asked.as_str()
    );
    // It waits for an admin, also over a restart.
    let mut house = house.restart(ROOMS, std::time::Duration::from_secs(60));
    let (romeo, juliet) = (house.online(ROMEO), house.online(JULIET));
    let heard = join(&mut house, &romeo, &room, "romeo");
    assert!(heard.iter().any(|it| it.as_str().contains("muc#register_allow")));
    is_error(&join(&mut house, &juliet, &room, "jule")[0], "registration-required");
    let allow = |who: &str| {
        format!(
            "<message to='{room}'><x xmlns='jabber:x:data' type='submit'><field var='FORM_TYPE'><value>{MUC}#register</value></field>\
             <field var='muc#register_roomnick'><value>{who}</value></field><field var='muc#register_allow'><value>1</value></field></x></message>"
        )
    };
    house.send(&juliet, &allow("jule"));
    is_error(&house.one(&juliet), "forbidden");
    house.send(&romeo, &allow("jule"));
    assert!(house.one(&juliet).as_str().contains("<invite"));
    assert!(codes(&join(&mut house, &juliet, &room, "jule")[1]).contains(&110));
    house.recv(&romeo);
    house.send(&romeo, &allow("jule"));
    is_error(&house.one(&romeo), "item-not-found");
}

#[test]
fn s7_10_to_register_is_no_way_to_a_voice() {
    let (mut house, room, romeo, juliet) = both(0, &[("moderatedroom", "1")]);
    let form = format!(
        "<query xmlns='jabber:iq:register'><x xmlns='jabber:x:data' type='submit'><field var='FORM_TYPE'><value>{MUC}#register\
         </value></field><field var='muc#register_roomnick'><value>juliet</value></field></x></query>"
    );
    is_result(&house.iq(&juliet, "set", Some(&room), &form));
    assert!(house.one(&romeo).as_str().contains("muc#register_allow"), "whoever gives voices is asked");
    say(&mut house, &juliet, &room, "visitor");
    is_error(&house.one(&juliet), "forbidden");
    is_result(&set_affiliation(&mut house, &romeo, &room, "juliet@house", "member"));
    assert_eq!(item(&house.one(&juliet))[..2], ["member", "participant"]);
}

#[test]
fn s7_13_and_8_6_asking_for_voice() {
    for shard in [0, 1] {
        let (mut house, room, romeo, juliet) = both(shard, &[("moderatedroom", "1")]);
        let ask = format!(
            "<message to='{room}'><x xmlns='jabber:x:data' type='submit'><field var='FORM_TYPE'><value>{MUC}#request</value></field>\
             <field var='muc#role'><value>participant</value></field></x></message>"
        );
        (0..5).for_each(|_| house.send(&juliet, &ask));
        let asked = house.one(&romeo);
        for part in ["muc#request_allow", "<value>juliet</value>", "<value>juliet@house/balcony</value>", "type='form'"] {
            assert!(asked.as_str().contains(part), "{part}: {}", asked.as_str());
        }
        let grant = |allow: &str| {
            format!(
                "<message to='{room}'><x xmlns='jabber:x:data' type='submit'><field var='FORM_TYPE'><value>{MUC}#request</value></field>\
                 <field var='muc#role'><value>participant</value></field><field var='muc#jid'><value>juliet@house/balcony</value></field>\
                 <field var='muc#roomnick'><value>juliet</value></field><field var='muc#request_allow'><value>{allow}</value></field></x></message>"
            )
        };
        house.send(&juliet, &grant("true"));
        is_error(&house.one(&juliet), "forbidden");
        house.send(&romeo, &grant("false"));
        house.nothing(&juliet);
        house.send(&romeo, &grant("true"));
        assert_eq!(item(&house.one(&juliet))[1], "participant");
        house.send(&juliet, &ask);
        is_error(&house.one(&juliet), "not-allowed");
    }
}

#[test]
fn xep0410_a_ping_to_oneself_is_answered_at_once() {
    let (mut house, room, _) = alone(0, &[]);
    let juliet = house.online(JULIET);
    let (ping, me) = ("<ping xmlns='urn:xmpp:ping'/>", format!("{room}/juliet"));
    is_error(&house.iq(&juliet, "get", Some(&me), ping), "not-acceptable");
    join(&mut house, &juliet, &room, "juliet");
    is_result(&house.iq(&juliet, "get", Some(&me), ping));
    let info = info_of(&mut house, &juliet, &room);
    assert!(info.as_str().contains("muc#self-ping-optimization"));
}

/// 3.2: "item-not-found" means that the client is in the room, under another nickname. It has to hear that it is not.
#[test]
fn xep0410_s3_2_in_a_room_that_is_no_more_nobody_is() {
    let (mut house, room, romeo, juliet) = both(1, &[]);
    let (ping, me) = ("<ping xmlns='urn:xmpp:ping'/>", format!("{room}/juliet"));
    is_result(&owner(&mut house, &romeo, &room, "set", "<destroy/>"));
    is_error(&house.iq(&juliet, "get", Some(&me), ping), "not-acceptable");
    // One that is not unlocked is not there for others: the same answer.
    join(&mut house, &romeo, &room, "romeo");
    is_error(&house.iq(&juliet, "get", Some(&me), ping), "not-acceptable");
    is_result(&house.iq(&romeo, "get", Some(&format!("{room}/romeo")), ping));
    is_error(&house.iq(&juliet, "get", Some(&room), ping), "item-not-found");
}

#[test]
fn s6_6_occupants_ask_each_other_through_the_room() {
    for shard in [0, 1] {
        let (mut house, room, romeo, juliet) = both(shard, &[]);
        let ask = format!("<iq type='get' id='q1' to='{room}/romeo'><query xmlns='jabber:iq:version'/></iq>");
        house.send(&juliet, &ask);
        let asked = house.one(&romeo);
        assert_eq!(from(&asked), format!("{room}/juliet"));
        let id = asked.id().expect("an id").into_owned();
        assert_ne!(id, "q1");
        house.send(
            &romeo,
            &format!(
                "<iq type='result' id='{id}' to='{room}/juliet'><query xmlns='jabber:iq:version'><name>x</name></query></iq>"
            ),
        );
        let answer = house.one(&juliet);
        assert_eq!((answer.id().as_deref(), from(&answer)), (Some("q1"), format!("{room}/romeo")));
        assert!(answer.as_str().contains("<name>x</name>"));
        // Once.
        house.send(&romeo, &format!("<iq type='result' id='{id}' to='{room}/juliet'/>"));
        house.nothing(&juliet);
        // An error comes back as well.
        house.send(&juliet, &ask);
        let id = house.one(&romeo).id().expect("an id").into_owned();
        house.send(
            &romeo,
            &format!(
                "<iq type='error' id='{id}' to='{room}/juliet'><error type='cancel'><service-unavailable \
                 xmlns='urn:ietf:params:xml:ns:xmpp-stanzas'/></error></iq>"
            ),
        );
        is_error(&house.one(&juliet), "service-unavailable");
        let info = "<query xmlns='http://jabber.org/protocol/disco#info'/>";
        let paris = house.online(PARIS);
        is_error(&house.iq(&paris, "get", Some(&format!("{room}/romeo")), info), "bad-request");
        is_error(&house.iq(&juliet, "get", Some(&format!("{room}/nobody")), info), "item-not-found");
    }
}

/// RFC 6120 8.3.1: an error may say who has made it.
#[test]
fn d2_an_error_does_not_say_whose_it_is() {
    let (mut house, room, romeo, juliet) = both(0, &[]);
    let (who, server) = (romeo.jid.to_string(), romeo.jid.to_bare().to_string());
    for by in [who, server] {
        house.send(&juliet, &format!("<iq type='get' id='q1' to='{room}/romeo'><query xmlns='jabber:iq:version'/></iq>"));
        let id = house.one(&romeo).id().expect("an id").into_owned();
        let error = "<item-not-found xmlns='urn:ietf:params:xml:ns:xmpp-stanzas'/>\
            <text xmlns='urn:ietf:params:xml:ns:xmpp-stanzas' xml:lang='en'>no &lt;such&gt;</text>";
        let query = "<query xmlns='jabber:iq:version'/>";
        let error = format!("{query}<error by='{by}' type='cancel' code='404'>{error}</error>");
        house.send(&romeo, &format!("<iq type='error' id='{id}' to='{room}/juliet'>{error}</iq>"));
        let told = house.one(&juliet);
        is_error(&told, "item-not-found");
        let text = told.as_str();
        assert!(!text.contains(&by) && text.contains("no &lt;such&gt;") && text.contains(query), "{text}");
    }
}

#[test]
fn s17_2_2_a_client_that_cannot_be_reached_is_no_longer_there() {
    let (mut house, room, romeo, juliet) = both(1, &[]);
    let error = |condition: &str| {
        format!(
            "<message type='error' to='{room}/romeo'><error type='cancel'><{condition} xmlns='urn:ietf:params:xml:ns:xmpp-stanzas'/>\
             </error></message>"
        )
    };
    house.send(&juliet, &error("feature-not-implemented"));
    house.nothing(&romeo);
    house.send(&juliet, &error("recipient-unavailable"));
    let seen = house.one(&romeo);
    assert_eq!((seen.attr("type").as_deref(), codes(&seen)), (Some("unavailable"), vec![333]), "11.1");
    house.recv(&juliet);
    say(&mut house, &romeo, &room, "alone");
    house.nothing(&juliet);
}

#[test]
fn s7_13_a_request_for_voice_waits_for_a_moderator() {
    for shard in [0, 1] {
        let (mut house, room, romeo, juliet) = both(shard, &[("moderatedroom", "1"), ("persistentroom", "1")]);
        leave(&mut house, &romeo, &room, "romeo");
        house.recv(&juliet);
        let form = |inside: &str, kind: &str| {
            format!(
                "<message to='{room}'><x xmlns='jabber:x:data' type='{kind}'><field var='FORM_TYPE'><value>{MUC}#request</value>\
                 </field>{inside}</x></message>"
            )
        };
        let ask = form("<field var='muc#role'><value>participant</value></field>", "submit");
        house.send(&juliet, &ask);
        house.nothing(&juliet);
        let heard = join(&mut house, &romeo, &room, "romeo");
        let asked = heard.iter().filter(|it| it.as_str().contains("muc#request_allow")).count();
        assert_eq!(asked, 1, "{heard:?}");
        // Who cancels it has not said whose it was.
        house.send(&romeo, &form("", "cancel"));
        house.send(&juliet, &ask);
        house.nothing(&romeo);
        house.advance(std::time::Duration::from_secs(61));
        house.recv(&romeo);
        house.send(&juliet, &ask);
        assert!(house.one(&romeo).as_str().contains("<value>juliet</value>"));
    }
}

#[test]
fn s7_8_2_whoever_invites_nobody_is_told_so() {
    for shard in [0, 1] {
        let (mut house, room, romeo) = alone(shard, &[]);
        house.send(&romeo, &format!("<message to='{room}'><x xmlns='{MUC}#user'><invite to='nobody@house'/></x></message>"));
        let told = house.one(&romeo);
        is_error(&told, "item-not-found");
        assert!(from(&told) == room && told.as_str().contains("<invite to='nobody@house'/>"), "{}", told.as_str());
        // And from nobody else.
        let juliet = house.online(JULIET);
        let error = "<error type='cancel'><item-not-found xmlns='urn:ietf:params:xml:ns:xmpp-stanzas'/></error>";
        house.send(&juliet, &format!("<message to='{room}' type='error'>{error}</message>"));
        house.nothing(&romeo);
        // An owner invites from outside as well.
        configure(&mut house, &romeo, &room, &[("persistentroom", "1")]);
        leave(&mut house, &romeo, &room, "romeo");
        house.recv(&romeo);
        house.send(&romeo, &format!("<message to='{room}'><x xmlns='{MUC}#user'><invite to='nobody@house'/></x></message>"));
        let told = house.one(&romeo);
        assert!(from(&told) == room && told.as_str().contains("invitation of nobody@house"), "{}", told.as_str());
    }
}

/// XEP-0191 3.3: whoever blocks an occupant answers as if nobody were there, and stays in the room.
#[test]
fn s7_5_whoever_has_blocked_somebody_is_not_taken_for_gone() {
    for shard in [0, 1] {
        let (mut house, room, romeo, juliet) = both(shard, &[]);
        let block = format!("<block xmlns='urn:xmpp:blocking'><item jid='{room}/romeo'/></block>");
        is_result(&house.iq(&juliet, "set", None, &block));
        house.recv(&juliet);
        house.send(&romeo, &format!("<message to='{room}/juliet' type='chat' id='p1'><body>psst</body></message>"));
        let told = house.one(&romeo);
        is_error(&told, "service-unavailable");
        assert_eq!((from(&told), told.id().as_deref()), (format!("{room}/juliet"), Some("p1")));
        house.nothing(&juliet);
        let me = format!("{room}/juliet");
        is_result(&house.iq(&juliet, "get", Some(&me), "<ping xmlns='urn:xmpp:ping'/>"));
    }
}

/// RFC 6120 8.3.1, as above, of a message.
#[test]
fn d2_nor_does_an_error_about_a_message() {
    let (mut house, room, romeo, juliet) = both(1, &[]);
    let error = format!(
        "<error by='{}' type='wait'><resource-constraint xmlns='urn:ietf:params:xml:ns:xmpp-stanzas'/></error>",
        romeo.jid.to_bare()
    );
    house.send(&juliet, &format!("<message to='{room}/romeo' type='chat' id='e1'><body>psst</body></message>"));
    house.recv(&romeo);
    house.send(&romeo, &format!("<message to='{room}/juliet' type='error' id='e1'>{error}</message>"));
    let told = house.one(&juliet);
    is_error(&told, "resource-constraint");
    assert!(!told.as_str().contains("romeo@house") && told.id().as_deref() == Some("e1"), "{}", told.as_str());
}

#[test]
fn s9_9_a_nickname_that_has_become_anothers_meanwhile_is_not_reserved_twice() {
    let (mut house, room, romeo) = alone(0, &[("membersonly", "1")]);
    let juliet = house.online(JULIET);
    let form = format!(
        "<query xmlns='jabber:iq:register'><x xmlns='jabber:x:data' type='submit'><field var='FORM_TYPE'><value>{MUC}#register\
         </value></field><field var='muc#register_roomnick'><value>jule</value></field></x></query>"
    );
    is_result(&house.iq(&juliet, "set", Some(&room), &form));
    is_result(&admin(&mut house, &romeo, &room, "set", "<item affiliation='member' jid='nurse@house' nick='jule'/>"));
    house.send(
        &romeo,
        &format!(
            "<message to='{room}'><x xmlns='jabber:x:data' type='submit'><field var='FORM_TYPE'><value>{MUC}#register</value></field>\
             <field var='muc#register_roomnick'><value>jule</value></field><field var='muc#register_allow'><value>1</value></field></x></message>"
        ),
    );
    is_error(&join(&mut house, &juliet, &room, "jule")[0], "conflict");
    is_in(&join(&mut house, &juliet, &room, "juliet"));
    let nurse = house.online(NURSE);
    is_in(&join(&mut house, &nurse, &room, "jule"));
}

#[test]
fn d2_whoever_asks_much_leaves_others_their_questions() {
    let (mut house, room, romeo, juliet) = both(1, &[]);
    let ask = |id: usize| format!("<iq type='get' id='q{id}' to='{room}/romeo'><query xmlns='jabber:iq:version'/></iq>");
    (0..100).for_each(|id| house.send(&juliet, &ask(id)));
    house.recv(&romeo);
    house.send(&juliet, &ask(100));
    is_error(&house.one(&juliet), "resource-constraint");
    let nurse = house.online(NURSE);
    join(&mut house, &nurse, &room, "nurse");
    house.recv(&romeo);
    house.send(&nurse, &ask(0));
    assert!(house.one(&romeo).as_str().contains("jabber:iq:version"));
}

fn refused(inside: &str, text: &str) -> String {
    format!(
        "<error by='juliet@house' type='modify' code='406'><not-acceptable xmlns='urn:ietf:params:xml:ns:xmpp-stanzas'>{inside}</not-acceptable>\
         <text xmlns='urn:ietf:params:xml:ns:xmpp-stanzas' xml:lang='it'>{text}</text><body>{inside}</body>\
         <too-fast xmlns='urn:example:pace' {inside}='1'>{inside}</too-fast><more xmlns='urn:example:pace'/></error>"
    )
}

#[test]
fn d2_an_error_is_no_way_around_who_may_send_private_messages() {
    for shard in [0, 1] {
        let (mut house, room, romeo, juliet) = both(shard, &[("allowpm", "none"), ("moderatedroom", "1")]);
        let error = refused("smuggled", "smuggled");
        house.recv(&juliet);
        for id in ["", "id=''", "id='p1'"] {
            house
                .send(&juliet, &format!("<message to='{room}/romeo' type='error' {id}><body>smuggled</body>{error}</message>"));
            house.nothing(&romeo);
            house.nothing(&juliet);
        }
    }
}

#[test]
fn s7_5_an_error_answers_a_private_message_once_and_says_no_more_than_an_error() {
    for shard in [0, 1] {
        let (mut house, room, romeo, juliet) = both(shard, &[]);
        let nurse = house.online(NURSE);
        join(&mut house, &nurse, &room, "nurse");
        let whisper = format!("<message to='{room}/juliet' type='chat' id='p1'><body>psst</body></message>");
        house.recv(&romeo);
        house.recv(&juliet);
        house.send(&romeo, &whisper);
        assert_eq!(bodies(&house.recv(&juliet)), ["psst"]);
        let answer = |id: &str| {
            let error = refused("smuggled", &"é".repeat(2_000));
            format!(
                "<message to='{room}/romeo' type='error' id='{id}'><body>smuggled</body>{error}<x xmlns='urn:example:x'/></message>"
            )
        };
        // Another one, another message.
        house.send(&nurse, &answer("p1"));
        house.send(&juliet, &answer("p2"));
        house.nothing(&romeo);
        house.send(&juliet, &answer("p1"));
        let told = house.one(&romeo);
        is_error(&told, "not-acceptable");
        let text = told.as_str();
        assert_eq!((from(&told), told.id().as_deref()), (format!("{room}/juliet"), Some("p1")), "{text}");
        assert!(text.contains("<error type='modify'>") && text.contains("<too-fast xmlns='urn:example:pace'/>"), "{text}");
        assert!(text.contains("xml:lang='it'>éé") && text.contains("<occupant-id "), "{text}");
        assert!(!["smuggled", "juliet@house", "urn:example:x", "<more", "<body"].iter().any(|it| text.contains(it)), "{text}");
        assert_eq!(text.matches('é').count(), 512, "bytes of a text: 1,024");
        house.send(&juliet, &answer("p1"));
        house.nothing(&romeo);
        // One that comes late answers nothing.
        house.send(&romeo, &whisper);
        house.advance(std::time::Duration::from_secs(16 * 60));
        house.recv(&romeo);
        house.recv(&juliet);
        house.send(&juliet, &answer("p1"));
        house.nothing(&romeo);
    }
}

#[test]
fn s7_5_an_error_finds_whoever_has_sent_the_private_message() {
    let (mut house, room, romeo, juliet) = both(1, &[]);
    let tybalt = house.online(TYBALT);
    let tablet = house.online("romeo@house/tablet");
    join(&mut house, &tablet, &room, "romeo");
    house.send(&romeo, &format!("<message to='{room}/juliet' type='chat' id='p1'><body>psst</body></message>"));
    // They are called otherwise since, and somebody else as they were.
    house.send(&romeo, &format!("<presence to='{room}/montague'/>"));
    house.send(&juliet, &format!("<presence to='{room}/capulet'/>"));
    join(&mut house, &tybalt, &room, "romeo");
    for client in [&romeo, &tablet, &tybalt, &juliet] {
        house.recv(client);
    }
    house.send(&juliet, &format!("<message to='{room}/romeo' type='error' id='p1'>{}</message>", refused("x", "no")));
    house.nothing(&tybalt);
    house.nothing(&tablet);
    let told = house.one(&romeo);
    is_error(&told, "not-acceptable");
    assert_eq!(from(&told), format!("{room}/juliet"), "from where it was sent to");
}

/// XEP-0191 3.3 again: an id is no condition for that.
#[test]
fn d2_nobody_is_put_out_by_whom_they_have_blocked() {
    for shard in [0, 1] {
        let (mut house, room, romeo, juliet) = both(shard, &[]);
        let block = format!("<block xmlns='urn:xmpp:blocking'><item jid='{room}/romeo'/></block>");
        is_result(&house.iq(&juliet, "set", None, &block));
        house.recv(&juliet);
        house.send(&romeo, &format!("<message to='{room}/juliet' type='chat'><body>psst</body></message>"));
        is_error(&house.one(&romeo), "service-unavailable");
        house.nothing(&juliet);
    }
}
