//! 17.1 and the registrar's 101: whoever is not here is told what they have become.

use super::*;

/// From the room to the bare JID, with a text, the item and the code.
#[track_caller]
fn told(house: &mut House, client: &Client, room: &str, affiliation: &str, text: &str) -> Stanza {
    let told = house.one(client);
    let jid = client.jid.to_bare().to_string();
    assert_eq!(
        (told.name().1, from(&told).as_str(), told.attr("type"), item(&told), codes(&told)),
        ("message", room, None, [affiliation, "none", &jid].map(str::to_owned), vec![101]),
        "{}",
        told.as_str()
    );
    assert_eq!(bodies(std::slice::from_ref(&told)), [text.to_owned()]);
    told
}

#[test]
fn s17_1_grants_removals_and_bans_of_the_absent_are_told_to_them() {
    for shard in [0, 1] {
        let (mut house, room, romeo) = alone(shard, &[("roomname", "Verona")]);
        let juliet = house.online(JULIET);
        for (affiliation, text) in [
            ("member", "You are a member of Verona now."),
            ("owner", "You own Verona now."),
            ("admin", "You administer Verona now."),
            ("member", "You are only a member of Verona now."),
            ("none", "You no longer belong to Verona."),
            ("outcast", "You are banned from Verona."),
            ("none", "You are no longer banned from Verona."),
        ] {
            is_result(&set_affiliation(&mut house, &romeo, &room, "juliet@house", affiliation));
            told(&mut house, &juliet, &room, affiliation, text);
            // The same again changes nothing.
            is_result(&set_affiliation(&mut house, &romeo, &room, "juliet@house", affiliation));
            house.nothing(&juliet);
        }
        let ban = "<item affiliation='outcast' jid='juliet@house'><reason>a &amp; b</reason></item>";
        is_result(&admin(&mut house, &romeo, &room, "set", ban));
        let ban = told(&mut house, &juliet, &room, "outcast", "You are banned from Verona. Reason: a &amp; b");
        assert!(ban.as_str().contains("<reason>a &amp; b</reason>"), "{}", ban.as_str());
    }
}

#[test]
fn s17_1_by_the_full_lists_of_the_configuration_as_well() {
    let (mut house, room, romeo) = alone(1, &[("roomname", "Verona")]);
    let (juliet, nurse) = (house.online(JULIET), house.online(NURSE));
    is_result(&configure(&mut house, &romeo, &room, &[("roomadmins", "juliet@house")]));
    told(&mut house, &juliet, &room, "admin", "You administer Verona now.");
    is_result(&configure(&mut house, &romeo, &room, &[("roomadmins", "nurse@house")]));
    told(&mut house, &juliet, &room, "member", "You are only a member of Verona now.");
    told(&mut house, &nurse, &room, "admin", "You administer Verona now.");
}

#[test]
fn s17_1_it_waits_for_those_who_are_nowhere() {
    let (mut house, room, romeo) = alone(0, &[("roomname", "Verona"), ("persistentroom", "1"), ("membersonly", "1")]);
    let juliet = house.online(JULIET);
    is_result(&set_affiliation(&mut house, &romeo, &room, "juliet@house", "member"));
    house.recv(&juliet);
    house.send(&juliet, "<presence type='unavailable'/>");
    is_result(&set_affiliation(&mut house, &romeo, &room, "juliet@house", "none"));
    house.nothing(&juliet);
    let juliet = house.login("juliet@house/phone");
    house.send(&juliet, "<presence/>");
    let waited = house.recv(&juliet);
    assert_eq!(bodies(&waited), ["You no longer belong to Verona."], "{waited:?}");
}

#[test]
fn s9_5_an_invitation_that_makes_a_member_says_so_itself() {
    for shard in [0, 1] {
        let (mut house, room, romeo) = alone(shard, &[("membersonly", "1")]);
        let (juliet, nurse) = (house.online(JULIET), house.online(NURSE));
        is_result(&set_affiliation(&mut house, &romeo, &room, "juliet@house", "member"));
        house.send(&romeo, &format!("<message to='{room}'><x xmlns='{MUC}#user'><invite to='nurse@house'/></x></message>"));
        for (client, jid) in [(&juliet, "juliet@house"), (&nurse, "nurse@house")] {
            let invited = house.one(client);
            assert!(invited.as_str().contains("<invite from='romeo@house'"), "{}", invited.as_str());
            assert_eq!((item(&invited), codes(&invited)), (["member", "none", jid].map(str::to_owned), vec![101]));
        }
        // Who is one already has become nothing by another invitation.
        house.advance(std::time::Duration::from_secs(60));
        house.recv(&romeo);
        house.send(&romeo, &format!("<message to='{room}'><x xmlns='{MUC}#user'><invite to='nurse@house'/></x></message>"));
        assert_eq!(user_x(&house.one(&nurse)), (None, vec![]));
    }
}

#[test]
fn s17_1_who_is_here_or_has_done_it_gets_no_message() {
    let (mut house, room, romeo, juliet) = both(0, &[]);
    is_result(&set_affiliation(&mut house, &romeo, &room, "juliet@house", "owner"));
    assert!(house.recv(&juliet).iter().all(|it| it.name().1 == "presence"));
    leave(&mut house, &juliet, &room, "juliet");
    house.recv(&juliet);
    is_result(&set_affiliation(&mut house, &juliet, &room, "juliet@house", "member"));
    house.nothing(&juliet);
}

#[test]
fn d2_no_real_address_is_told_where_they_are_hidden() {
    for (whois, affiliation, shown) in [
        ("moderators", "member", false),
        ("moderators", "outcast", false),
        ("moderators", "admin", true),
        ("anyone", "member", true),
    ] {
        let (mut house, room, romeo) = alone(1, &[("whois", whois), ("roomname", "Verona")]);
        let juliet = house.online(JULIET);
        is_result(&set_affiliation(&mut house, &romeo, &room, "juliet@house", affiliation));
        let told = house.one(&juliet);
        assert!(told.as_str().contains("<actor nick='romeo'"), "{}", told.as_str());
        assert_eq!(told.as_str().contains("romeo@house"), shown, "{whois} {affiliation}: {}", told.as_str());
    }
}

#[test]
fn d2_a_ban_tells_no_stranger_that_there_is_a_room() {
    let (mut house, room, romeo) = alone(0, &[("membersonly", "1")]);
    let (juliet, away) = (house.online(JULIET), house.online("lysander@away/wood"));
    for affiliation in ["outcast", "none"] {
        is_result(&set_affiliation(&mut house, &romeo, &room, "juliet@house", affiliation));
        is_result(&set_affiliation(&mut house, &romeo, &room, "away", affiliation));
        house.nothing(&juliet);
        house.nothing(&away);
    }
}
