//! What is kept, how, and under which id.

use super::*;

#[test]
fn s6_1_1_each_side_keeps_a_message_once_however_many_devices_have_it() {
    let mut house = House::with(ROOMS);
    let romeo = house.online(ROMEO);
    let garden = house.online("romeo@house/garden");
    let juliet = house.online(JULIET);
    let tablet = house.online("juliet@house/tablet");
    for client in [&garden, &tablet] {
        house.iq(client, "set", None, "<enable xmlns='urn:xmpp:carbons:2'/>");
    }
    say(&mut house, &romeo, JULIET, "hi");
    let (page, theirs) = (whole(&mut house, &romeo), whole(&mut house, &juliet));
    assert_eq!((page.bodies(), theirs.bodies()), (vec!["hi"], vec!["hi"]));
    // The message as it was: true sender, its recipient, its id.
    for page in [&page, &theirs] {
        let message = Stanza::parse(page.messages[0].as_bytes(), &Default::default()).expect("a stanza");
        assert_eq!(message.from().as_deref(), Some(ROMEO));
        assert_eq!((message.to().as_deref(), message.id().as_deref()), (Some(JULIET), Some("hi")));
    }
}

#[test]
fn s3_5_the_recipient_is_told_the_id_and_the_sender_is_not() {
    let mut house = House::with(ROOMS);
    let romeo = house.online(ROMEO);
    let juliet = house.online(JULIET);
    say(&mut house, &romeo, "juliet@house", "hi");
    let heard = house.one(&juliet);
    let id = stanza_id(&heard).expect("an id");
    assert_eq!(whole(&mut house, &juliet).ids, [id.as_str()]);
    let page = whole(&mut house, &romeo);
    assert_ne!(page.ids, [id.as_str()]);
    assert!(!heard.as_str().contains(&page.ids[0]), "the id in the sender's archive is nobody else's business");
}

#[test]
fn s3_5_a_carbon_tells_the_senders_other_device_the_id() {
    let mut house = House::with(ROOMS);
    let romeo = house.online(ROMEO);
    let garden = house.online("romeo@house/garden");
    house.iq(&garden, "set", None, "<enable xmlns='urn:xmpp:carbons:2'/>");
    house.user("juliet@house");
    say(&mut house, &romeo, "juliet@house", "hi");
    let copy = house.one(&garden);
    let id = whole(&mut house, &romeo).ids.remove(0);
    assert!(copy.as_str().contains(&format!("id='{id}'")), "{}", copy.as_str());
}

#[test]
fn s6_1_1_a_note_to_self_is_kept_once_under_the_id_that_is_told() {
    let mut house = House::with(ROOMS);
    let romeo = house.online(ROMEO);
    say(&mut house, &romeo, "romeo@house", "note");
    let heard = house.one(&romeo);
    let page = whole(&mut house, &romeo);
    assert_eq!(page.bodies(), ["note"]);
    assert_eq!(stanza_id(&heard), Some(page.ids[0].clone()));
    // Without a `to` it is the same (RFC 6120 10.3.1).
    house.send(&romeo, "<message type='chat'><body>another</body></message>");
    assert_eq!(whole(&mut house, &romeo).bodies(), ["note", "another"]);
}

#[test]
fn s6_1_1_what_is_no_conversation_is_not_kept() {
    let mut house = House::with(ROOMS);
    let romeo = house.online(ROMEO);
    let juliet = house.online(JULIET);
    for xml in [
        "<message to='juliet@house' type='chat'><composing xmlns='http://jabber.org/protocol/chatstates'/></message>",
        "<message to='juliet@house' type='headline'><body>news</body></message>",
        "<message to='juliet@house/balcony' type='groupchat'><body>all</body></message>",
        "<message to='juliet@house/balcony' type='error'><body>no</body></message>",
        "<message to='juliet@house' type='chat'><body>secret</body><no-store xmlns='urn:xmpp:hints'/></message>",
        "<message to='juliet@house' type='chat'><body>secret</body><no-permanent-store xmlns='urn:xmpp:hints'/></message>",
    ] {
        house.send(&romeo, xml);
        let heard = house.one(&juliet);
        assert_eq!(stanza_id(&heard), None, "{xml}");
    }
    assert!(whole(&mut house, &romeo).ids.is_empty() && whole(&mut house, &juliet).ids.is_empty());
}

#[test]
fn s6_1_a_message_that_was_refused_is_not_in_the_archive_of_who_refused_it() {
    let mut house = House::with(ROOMS);
    let romeo = house.online(ROMEO);
    let juliet = house.online(JULIET);
    house.iq(&juliet, "set", None, "<block xmlns='urn:xmpp:blocking'><item jid='romeo@house'/></block>");
    say(&mut house, &romeo, "juliet@house", "hi");
    house.send(&romeo, "<message to='juliet@house/nowhere' type='normal'><body>lost</body></message>");
    assert!(whole(&mut house, &juliet).ids.is_empty());
}

#[test]
fn c3_a_forged_id_is_neither_shown_nor_kept() {
    let mut house = House::with(ROOMS);
    let romeo = house.online(ROMEO);
    let juliet = house.online(JULIET);
    let forged = "<stanza-id xmlns='urn:xmpp:sid:0' by='juliet@house' id='forged'/>\
                  <stanza-id xmlns='urn:xmpp:sid:0' by='romeo@house' id='forged'/>";
    house.send(&romeo, &format!("<message to='juliet@house' type='chat'>{forged}<body>hi</body>{forged}</message>"));
    let heard = house.one(&juliet);
    assert!(!heard.as_str().contains("forged") && stanza_id(&heard).is_some(), "{}", heard.as_str());
    let page = whole(&mut house, &juliet);
    assert!(!page.messages[0].contains("forged"), "{}", page.messages[0]);
    // In the sender's archive nothing pretends to be the sender's.
    assert!(!whole(&mut house, &romeo).messages[0].contains("by='romeo@house'"));
}

#[test]
fn c10_order_and_time_are_the_houses() {
    let mut house = House::with(ROOMS);
    let romeo = house.online(ROMEO);
    let juliet = house.online(JULIET);
    say(&mut house, &romeo, "juliet@house", "1");
    house.send(
        &romeo,
        "<message to='juliet@house' type='chat'><body>2</body>\
         <delay xmlns='urn:xmpp:delay' from='romeo@house' stamp='1999-01-01T00:00:00Z'/></message>",
    );
    say(&mut house, &romeo, "juliet@house", "3");
    // R13: the wall clock goes back an hour.
    house.now.wall_us -= 3_600_000_000;
    say(&mut house, &romeo, "juliet@house", "4");
    say(&mut house, &romeo, "juliet@house", "5");
    for client in [&romeo, &juliet] {
        let page = whole(&mut house, client);
        assert_eq!(page.bodies(), ["1", "2", "3", "4", "5"]);
        assert!(page.stamps.is_sorted() && page.stamps[1].starts_with("2026-01-01"), "{:?}", page.stamps);
        assert!(page.messages[1].contains("1999-01-01"), "what the client says of it travels as it was");
        let later = format!("<after>{}</after>", page.ids[2]);
        assert_eq!(page_of(&mut house, client, &asking(&[], &later)).bodies(), ["4", "5"]);
    }
}

#[test]
fn a_refused_write_is_told_to_the_sender_and_neither_archive_has_it() {
    let mut house = House::manual(ROOMS);
    house.user("romeo@house");
    house.user("juliet@house");
    house.store.commit();
    house.run();
    let romeo = house.login(ROMEO);
    let juliet = house.login(JULIET);
    house.send(&juliet, "<presence/>");
    house.store.commit();
    house.run();
    house.recv(&juliet);
    house.send(&romeo, "<message to='juliet@house' type='chat' id='m'><body>a</body></message>");
    house.nothing(&juliet);
    house.store.refuse();
    house.run();
    let told = house.one(&romeo);
    assert_eq!((told.id().as_deref(), told.attr("type").as_deref()), (Some("m"), Some("error")), "{}", told.as_str());
    house.nothing(&juliet);
    for client in [&romeo, &juliet] {
        let heard = query(&mut house, client, &asking(&[], ""));
        assert!(read_page(client, heard).ids.is_empty());
    }
}

#[test]
fn a_message_sent_again_after_a_restart_has_its_id_and_its_one_row() {
    let mut house = House::with(ROOMS);
    let romeo = house.online(ROMEO);
    let juliet = house.online(JULIET);
    let again =
        "<message to='juliet@house' type='chat' id='m'><origin-id xmlns='urn:xmpp:sid:0' id='o'/><body>a</body></message>";
    house.send(&romeo, again);
    let id = stanza_id(&house.one(&juliet)).expect("an id");
    let mut house = house.restart(ROOMS, Duration::from_secs(5));
    let romeo = house.online(ROMEO);
    let juliet = house.online(JULIET);
    house.send(&romeo, again);
    assert_eq!(stanza_id(&house.one(&juliet)).as_deref(), Some(id.as_str()));
    assert_eq!(whole(&mut house, &juliet).ids, [id.as_str()]);
    assert_eq!(whole(&mut house, &romeo).ids.len(), 1);
    // Another message under the same id is another message, and whoever has no id sends two.
    house.send(&romeo, &again.replace("<body>a", "<body>b"));
    let nameless = "<message to='juliet@house' type='chat'><body>c</body></message>";
    house.send(&romeo, nameless);
    house.send(&romeo, nameless);
    assert_eq!(whole(&mut house, &juliet).bodies(), ["a", "b", "c", "c"]);
}

#[test]
fn ids_go_on_above_what_was_kept_when_the_clock_is_behind_after_a_restart() {
    let mut house = House::with(ROOMS);
    let romeo = house.online(ROMEO);
    house.user("juliet@house");
    say(&mut house, &romeo, "juliet@house", "1");
    let mut house = house.restart(ROOMS, Duration::ZERO);
    house.now.wall_us -= 3_600_000_000;
    let romeo = house.online(ROMEO);
    say(&mut house, &romeo, "juliet@house", "2");
    assert_eq!(whole(&mut house, &romeo).bodies(), ["1", "2"]);
}

#[test]
fn s3_prefixes_and_languages_of_the_stream_are_kept_with_the_message() {
    let mut house = House::with(ROOMS);
    let romeo = house.online(ROMEO);
    house.user("juliet@house");
    house.send(
        &romeo,
        "<message xmlns:x='urn:x' to='juliet@house' type='chat' xml:lang='it'><x:a/><body>a &lt; b &amp; c</body></message>",
    );
    let page = whole(&mut house, &romeo);
    let message = &page.messages[0];
    assert!(message.contains("xmlns:x='urn:x'") && message.contains("xml:lang='it'"), "{message}");
    assert!(message.contains("<x:a/><body>a &lt; b &amp; c</body>"), "{message}");
}

/// Romeo's copy is on disk, Juliet's is not: he is told to try again, and does.
#[test]
fn a_retry_of_a_refused_message_in_the_same_life_stands_once_in_the_senders_archive() {
    let mut house = House::manual(ROOMS);
    house.user("romeo@house");
    house.user("juliet@house");
    house.store.commit();
    house.run();
    let romeo = house.login(ROMEO);
    let juliet = house.login(JULIET);
    house.send(&juliet, "<presence/>");
    house.store.commit();
    house.run();
    house.recv(&juliet);
    let message = "<message to='juliet@house' type='chat' id='m'><body>a</body></message>";
    house.send(&romeo, message);
    assert!(house.store.commit_one());
    house.store.refuse();
    house.run();
    assert_eq!(house.one(&romeo).attr("type").as_deref(), Some("error"));
    house.send(&romeo, message);
    house.store.commit();
    house.run();
    assert_eq!(house.one(&juliet).id().as_deref(), Some("m"));
    for client in [&romeo, &juliet] {
        let heard = query(&mut house, client, &asking(&[], ""));
        assert_eq!(read_page(client, heard).bodies(), ["a"], "{}", client.jid);
    }
    // A second message under the same id that nobody refused is another message.
    house.send(&romeo, &message.replace("<body>a", "<body>b"));
    house.store.commit();
    house.run();
    let heard = query(&mut house, &romeo, &asking(&[], ""));
    assert_eq!(read_page(&romeo, heard).bodies(), ["a", "b"]);
}

#[test]
fn s3_ids_do_not_tell_when_and_do_not_lead_into_other_archives() {
    let mut house = House::with(ROOMS);
    let romeo = house.online(ROMEO);
    let juliet = house.online(JULIET);
    for body in ["a", "b", "c"] {
        say(&mut house, &romeo, "juliet@house", body);
    }
    let (his, hers) = (whole(&mut house, &romeo).ids, whole(&mut house, &juliet).ids);
    assert!(!his.is_sorted() || !hers.is_sorted() || his[0][..4] != his[1][..4], "{his:?} {hers:?}");
    let foreign = query(&mut house, &romeo, &asking(&[("after-id", hers[0].as_str())], ""));
    assert!(foreign[0].as_str().contains("<item-not-found"), "{}", foreign[0].as_str());
    // What a client knows it finds again after a restart.
    let mut house = house.restart(ROOMS, Duration::from_secs(5));
    let romeo = house.online(ROMEO);
    assert_eq!(page_of(&mut house, &romeo, &asking(&[("after-id", his[0].as_str())], "")).bodies(), ["b", "c"]);
}

#[test]
fn x0359_3_each_archive_leaves_out_what_is_forged_in_its_owners_name_alone() {
    let mut house = House::with(ROOMS);
    let (romeo, juliet) = (house.online(ROMEO), house.online(JULIET));
    let forged = |by: &str| format!("<stanza-id xmlns='urn:xmpp:sid:0' by='{by}' id='of-{by}'/>");
    let ids = forged("romeo@house") + &forged("juliet@house") + &forged("room@elsewhere");
    house.send(&romeo, &format!("<message type='chat' to='juliet@house'><body>hi</body>{ids}</message>"));
    let mut kept = |client: &Client| page_of(&mut house, client, &asking(&[], "")).messages.concat();
    let (hers, his) = (kept(&juliet), kept(&romeo));
    let has = |xml: &str| ["romeo@house", "juliet@house", "room@elsewhere"].map(|by| xml.contains(&format!("id='of-{by}'")));
    assert_eq!((has(&his), has(&hers)), ([false, true, true], [false, false, true]), "{his}\n{hers}");
}
