//! Queries: filters, pages, what is unknown and what is malformed.

use super::*;

/// Romeo writes 250 messages: to Juliet (from two devices, in turn) and, each fifth, to the nurse.
fn busy(house: &mut House) -> (Client, Client) {
    let romeo = house.online(ROMEO);
    let garden = house.online("romeo@house/garden");
    let juliet = house.online(JULIET);
    house.user("nurse@elsewhere.house");
    for n in 0..250 {
        house.advance(Duration::from_secs(1));
        let to = if n % 5 == 4 { "nurse@house" } else { "juliet@house" };
        say(house, if n % 2 == 0 { &romeo } else { &garden }, to, &n.to_string());
    }
    for client in [&romeo, &garden, &juliet] {
        house.recv(client);
    }
    house.close(&garden);
    house.recv(&romeo);
    (romeo, juliet)
}

fn numbers(page: &Page) -> Vec<u32> {
    page.bodies().iter().map(|body| body.parse().expect("a number")).collect()
}

#[test]
fn s4_3_2_pages_forward_give_everything_once_in_order() {
    let mut house = House::with(ROOMS);
    let (romeo, juliet) = busy(&mut house);
    let all = whole(&mut house, &romeo);
    assert_eq!(numbers(&all), (0..250).collect::<Vec<_>>());
    assert_eq!(all.ids.iter().collect::<std::collections::BTreeSet<_>>().len(), 250);
    assert!(all.stamps.is_sorted());
    assert_eq!(whole(&mut house, &juliet).bodies().len(), 200);
}

#[test]
fn s4_3_3_pages_backward_from_the_end_are_chronological_within() {
    let mut house = House::with(ROOMS);
    let (romeo, _) = busy(&mut house);
    let mut before = String::new();
    let mut seen = Vec::new();
    loop {
        let set = format!("<max>40</max><before>{before}</before>");
        let page = page_of(&mut house, &romeo, &asking(&[], &set));
        assert!(numbers(&page).is_sorted());
        assert_eq!(page.of("first"), page.ids.first().map(String::as_str));
        assert_eq!(page.of("last"), page.ids.last().map(String::as_str));
        seen.splice(0..0, numbers(&page));
        if page.complete {
            break;
        }
        assert_eq!(page.ids.len(), 40);
        before = page.ids[0].clone();
    }
    assert_eq!(seen, (0..250).collect::<Vec<_>>());
}

#[test]
fn s4_1_1_with_a_contact_or_one_of_its_resources() {
    let mut house = House::with(ROOMS);
    let (romeo, juliet) = busy(&mut house);
    let page = page_of(&mut house, &romeo, &asking(&[("with", "nurse@house")], "<max>50</max>"));
    assert_eq!((numbers(&page).len(), page.complete), (50, true));
    assert!(numbers(&page).iter().all(|n| n % 5 == 4));
    // Of 200 those from one of two devices, across pages both ways.
    let with = [("with", "romeo@house/garden")];
    let first = page_of(&mut house, &juliet, &asking(&with, "<max>40</max>"));
    assert!(numbers(&first).iter().all(|n| n % 2 == 1), "{:?}", first.bodies());
    assert_eq!((first.ids.len(), first.complete), (40, false));
    let last = page_of(&mut house, &juliet, &asking(&with, "<max>40</max><before/>"));
    assert_eq!((last.ids.len(), numbers(&last).last()), (40, Some(&247)));
    let after = format!("<after>{}</after>", first.ids[39]);
    let rest = page_of(&mut house, &juliet, &asking(&with, &after));
    assert!(numbers(&rest)[0] > numbers(&first)[39]);
    let count = page_of(&mut house, &juliet, &asking(&with, "<max>0</max>"));
    assert_eq!(count.of("count"), Some("100"));
    let nobody = page_of(&mut house, &juliet, &asking(&[("with", "romeo@house/balcony")], ""));
    assert_eq!((nobody.ids.len(), nobody.complete), (0, true), "4.1: that nothing matches is no error");
}

#[test]
fn s4_1_1_with_oneself_is_what_one_wrote_to_oneself() {
    let mut house = House::with(ROOMS);
    let romeo = house.online(ROMEO);
    house.user("juliet@house");
    say(&mut house, &romeo, "juliet@house", "a");
    say(&mut house, &romeo, "romeo@house", "b");
    let notes = page_of(&mut house, &romeo, &asking(&[("with", "romeo@house")], ""));
    assert_eq!(notes.bodies(), ["b"]);
}

#[test]
fn s4_1_2_start_and_end_include_their_moment() {
    let mut house = House::with(ROOMS);
    let (romeo, _) = busy(&mut house);
    let all = whole(&mut house, &romeo);
    let form = [("start", all.stamps[100].as_str()), ("end", all.stamps[119].as_str())];
    let page = page_of(&mut house, &romeo, &asking(&form, ""));
    assert_eq!(numbers(&page), (100..120).collect::<Vec<_>>());
    let page = page_of(&mut house, &romeo, &asking(&[form[0], form[1], ("with", "nurse@house")], ""));
    assert_eq!(numbers(&page), [104, 109, 114, 119]);
    let page = page_of(&mut house, &romeo, &asking(&[("start", "2100-01-01T00:00:00Z")], ""));
    assert_eq!((page.ids.len(), page.complete), (0, true));
    let page = page_of(&mut house, &romeo, &asking(&[("start", "1990-01-01T00:00:00+01:00")], "<max>1</max>"));
    assert_eq!(numbers(&page), [0]);
}

#[test]
fn s4_1_3_between_two_ids_and_by_ids() {
    let mut house = House::with(ROOMS);
    let (romeo, _) = busy(&mut house);
    let all = whole(&mut house, &romeo);
    let form = [("after-id", all.ids[10].as_str()), ("before-id", all.ids[15].as_str())];
    assert_eq!(numbers(&page_of(&mut house, &romeo, &asking(&form, ""))), [11, 12, 13, 14]);
    // Section 10: other than RSM's, before-id does not turn the direction of paging.
    assert_eq!(numbers(&page_of(&mut house, &romeo, &asking(&form, "<max>2</max>"))), [11, 12]);
    assert_eq!(numbers(&page_of(&mut house, &romeo, &asking(&form, "<max>2</max><before/>"))), [13, 14]);
    let ids = format!(
        "<query xmlns='{NS}' queryid='f&amp;27'><x xmlns='jabber:x:data' type='submit'><field var='ids'><value>{}</value>\
         <value>{}</value><value>{}</value></field></x></query>",
        all.ids[7], all.ids[200], all.ids[7]
    );
    let page = page_of(&mut house, &romeo, &ids);
    assert_eq!((numbers(&page), page.complete), (vec![7, 200], true));
}

#[test]
fn s4_1_3_and_4_3_2_an_id_that_is_not_there_is_an_error() {
    let mut house = House::with(ROOMS);
    let (romeo, juliet) = busy(&mut house);
    let theirs = whole(&mut house, &juliet).ids.remove(0);
    for id in ["no-such-id", "12345", theirs.as_str()] {
        for payload in [
            asking(&[("after-id", id)], ""),
            asking(&[("before-id", id)], ""),
            asking(&[("ids", id)], ""),
            asking(&[], &format!("<after>{id}</after>")),
            asking(&[], &format!("<before>{id}</before>")),
        ] {
            let heard = query(&mut house, &romeo, &payload);
            assert_eq!(heard.len(), 1);
            assert!(heard[0].as_str().contains("<item-not-found"), "{}", heard[0].as_str());
        }
    }
}

#[test]
fn s4_3_4_a_flipped_page_is_the_same_page_the_other_way_round() {
    let mut house = House::with(ROOMS);
    let (romeo, _) = busy(&mut house);
    let payload = asking(&[], "<max>10</max><before/>");
    let page = page_of(&mut house, &romeo, &payload);
    let flipped = page_of(&mut house, &romeo, &payload.replace("</query>", "<flip-page/></query>"));
    assert_eq!(flipped.messages, page.messages.iter().rev().cloned().collect::<Vec<_>>());
    assert_eq!(flipped.fin, page.fin);
}

#[test]
fn s5_metadata_tells_both_ends_or_nothing() {
    let mut house = House::with(ROOMS);
    let romeo = house.online(ROMEO);
    let payload = format!("<metadata xmlns='{NS}'/>");
    assert!(house.iq(&romeo, "get", None, &payload).as_str().contains(&payload));
    house.user("juliet@house");
    for body in ["a", "b", "c"] {
        say(&mut house, &romeo, "juliet@house", body);
    }
    let page = whole(&mut house, &romeo);
    let metadata = house.iq(&romeo, "get", None, &payload);
    let ends = format!(
        "<start id='{}' timestamp='{}'/><end id='{}' timestamp='{}'/>",
        page.ids[0], page.stamps[0], page.ids[2], page.stamps[2]
    );
    assert!(metadata.as_str().contains(&ends), "{}", metadata.as_str());
}

#[test]
fn s4_1_5_the_form_has_every_field() {
    let mut house = House::with(ROOMS);
    let romeo = house.online(ROMEO);
    let form = house.iq(&romeo, "get", Some("romeo@house"), &format!("<query xmlns='{NS}'/>"));
    for field in
        ["'with'", "'start'", "'end'", "'before-id'", "'after-id'", "'ids'", "'include-groupchat'", "<open/>", "fulltext'"]
    {
        assert!(form.as_str().contains(field), "{field} is missing: {}", form.as_str());
    }
    assert!(!form.as_str().contains("required"));
}

#[test]
fn d4_max_is_capped_and_0_counts() {
    let mut house = House::with(ROOMS);
    let (romeo, _) = busy(&mut house);
    for max in ["1000000000", "99999999999999999999999"] {
        let page = page_of(&mut house, &romeo, &asking(&[], &format!("<max>{max}</max>")));
        assert_eq!((page.ids.len(), page.complete), (50, false));
    }
    let count = page_of(&mut house, &romeo, &asking(&[], "<max>0</max>"));
    assert_eq!((count.ids.len(), count.of("count"), count.complete), (0, Some("250"), false));
    for max in ["-1", "x"] {
        let heard = query(&mut house, &romeo, &asking(&[], &format!("<max>{max}</max>")));
        assert!(heard[0].as_str().contains("<bad-request") && heard[0].as_str().contains("max"), "{}", heard[0].as_str());
    }
}

#[test]
fn d4_garbage_is_refused_by_name_and_unknown_fields_are_not_implemented() {
    let mut house = House::with(ROOMS);
    let romeo = house.online(ROMEO);
    for (var, value) in [("start", "yesterday"), ("end", "9"), ("with", "@@")] {
        let heard = query(&mut house, &romeo, &asking(&[(var, value)], ""));
        assert!(heard[0].as_str().contains("<bad-request") && heard[0].as_str().contains(var), "{}", heard[0].as_str());
    }
    let heard = query(&mut house, &romeo, &asking(&[("{urn:x}fulltext", "'; DROP TABLE")], ""));
    assert!(heard[0].as_str().contains("<feature-not-implemented"), "{}", heard[0].as_str());
}

#[test]
fn d4_a_hundred_queries_at_once_are_throttled_and_each_is_answered() {
    let mut house = House::manual(ROOMS);
    house.user("romeo@house");
    house.store.commit();
    let romeo = house.login(ROMEO);
    // Nothing is committed: every read waits.
    house.feed(&romeo, "<message to='romeo@house' type='chat'><body>a</body></message>");
    for n in 0..100 {
        house.feed(&romeo, &format!("<iq type='set' id='q{n}'><query xmlns='{NS}'/></iq>"));
    }
    house.run();
    house.store.commit();
    house.run();
    let heard = house.hear(&romeo);
    let of = |what: &str| heard.iter().filter(|xml| xml.contains(what)).count();
    assert_eq!((of("<fin "), of("<resource-constraint")), (64, 36));
}

#[test]
fn c6_d4_the_archive_of_another_is_as_if_there_were_nobody() {
    let mut house = House::with(ROOMS);
    house.friends("romeo@house", "juliet@house");
    let romeo = house.online(ROMEO);
    house.user("tybalt@house");
    for payload in [format!("<query xmlns='{NS}'/>"), format!("<prefs xmlns='{NS}' default='never'/>")] {
        let nobody = anonymous(&house.iq(&romeo, "set", Some("nobody@house"), &payload));
        assert!(nobody.contains("<service-unavailable"), "{nobody}");
        for other in ["juliet@house", "tybalt@house"] {
            assert_eq!(anonymous(&house.iq(&romeo, "set", Some(other), &payload)), nobody, "{other}");
        }
    }
    let payload = format!("<metadata xmlns='{NS}'/>");
    let nobody = anonymous(&house.iq(&romeo, "get", Some("nobody@house"), &payload));
    assert_eq!(anonymous(&house.iq(&romeo, "get", Some("juliet@house"), &payload)), nobody);
}

#[test]
fn s4_3_1_a_page_is_limited_in_bytes_but_never_empty() {
    let mut house = House::with_config(ROOMS, "[xep.archive]\npage_bytes_max = 3000\n");
    let romeo = house.online(ROMEO);
    house.user("juliet@house");
    let long = "x".repeat(1_000);
    for n in 0..4 {
        let body = if n == 2 { "y".repeat(5_000) } else { long.clone() };
        house.send(&romeo, &format!("<message to='juliet@house' type='chat'><body>{body}</body></message>"));
    }
    let forward = page_of(&mut house, &romeo, &asking(&[], ""));
    assert_eq!((forward.ids.len(), forward.complete), (2, false));
    let backward = page_of(&mut house, &romeo, &asking(&[], "<before/>"));
    assert_eq!((backward.ids.len(), backward.complete), (1, false));
    let huge = page_of(&mut house, &romeo, &asking(&[], &format!("<after>{}</after>", forward.ids[1])));
    assert_eq!((huge.ids.len(), huge.complete), (1, false));
    assert_eq!(whole(&mut house, &romeo).ids.len(), 4);
}

#[test]
fn s7_the_account_says_what_its_archive_can() {
    let mut house = House::with(ROOMS);
    let romeo = house.online(ROMEO);
    let info = house.iq(&romeo, "get", Some("romeo@house"), "<query xmlns='http://jabber.org/protocol/disco#info'/>");
    for feature in ["'urn:xmpp:mam:2'", "'urn:xmpp:mam:2#extended'", "'urn:xmpp:mam:2#groupchat-field'"] {
        assert!(info.as_str().contains(&format!("<feature var={feature}/>")), "{}", info.as_str());
    }
}

#[test]
fn shown_means_kept_a_read_waits_for_what_was_written_before_it() {
    let mut house = House::manual(ROOMS);
    house.user("romeo@house");
    house.user("juliet@house");
    house.store.commit();
    house.run();
    let romeo = house.login(ROMEO);
    house.send(&romeo, "<message to='juliet@house' type='chat' id='m'><body>a</body></message>");
    assert!(query(&mut house, &romeo, &asking(&[], "")).is_empty(), "nothing is committed, so nothing is told");
    house.store.commit();
    house.run();
    let heard = house.recv(&romeo);
    assert_eq!(read_page(&romeo, heard).bodies(), ["a"], "the page is not older than the message before it");
}
