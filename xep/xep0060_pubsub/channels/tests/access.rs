//! XEP-0060 4: affiliations and access models, as a service has them.

use iris_engine::testing::{Client, House};

use super::*;

/// Romeo and Juliet see each other; she is in his group "loves"; the nurse is nobody to him.
fn friends(config: &[(&str, &str)]) -> (House, [Client; 3]) {
    let mut house = house();
    house.friends("romeo@house", "juliet@house");
    let people = ["romeo@house/orchard", "juliet@house/balcony", "nurse@house/hall"].map(|jid| house.online(jid));
    let item = "<item jid='juliet@house'><group>loves</group></item>";
    ok(&house.iq(&people[0], "set", None, &format!("<query xmlns='jabber:iq:roster'>{item}</query>")));
    ok(&create(&mut house, &people[0], "n", config));
    for who in &people {
        house.recv(who);
    }
    (house, people)
}

#[test]
fn s4_5_each_access_model_lets_in_whom_it_says() {
    for (model, juliet_error, nurse_error) in [
        ("open", None, None),
        ("presence", None, Some(("auth", "not-authorized", "presence-subscription-required"))),
        ("roster", None, Some(("auth", "not-authorized", "not-in-roster-group"))),
        ("whitelist", Some(("cancel", "not-allowed", "closed-node")), Some(("cancel", "not-allowed", "closed-node"))),
    ] {
        let (mut house, [romeo, juliet, nurse]) = friends(&[("access_model", model), ("roster_groups_allowed", "loves")]);
        ok(&publish(&mut house, &romeo, "n", "1", X));
        for (who, refused) in [(&juliet, juliet_error), (&nurse, nurse_error)] {
            let got = [subscribe(&mut house, who, "n"), ask(&mut house, who, "get", "<items node='n'/>")];
            // Discovery and the archive know whom the owner's roster lets in, too.
            let shown = info(&mut house, who, "n").contains("type='leaf'");
            let archive = house.iq(who, "get", Some(SERVICE), "<query xmlns='urn:xmpp:mam:2' node='n'/>");
            let opens = archive.attr("type").as_deref() == Some("result");
            let listed = items_of(&mut house, who, "n").contains("name='1'");
            assert_eq!([shown, opens, listed], [refused.is_none(); 3], "{model}");
            for answer in &got {
                match refused {
                    None => ok(answer),
                    Some((kind, condition, specific)) => error(answer, kind, condition, specific),
                }
            }
            house.recv(who);
        }
        ok(&publish(&mut house, &romeo, "n", "2", X));
        assert_eq!(house.recv(&juliet).len(), usize::from(juliet_error.is_none()), "{model}");
        assert_eq!(house.recv(&nurse).len(), usize::from(nurse_error.is_none()), "{model}");
    }
}

#[test]
fn s4_5_a_subscription_ends_with_the_owners_presence() {
    let (mut house, [romeo, juliet, _]) = friends(&[("access_model", "presence")]);
    ok(&subscribe(&mut house, &juliet, "n"));
    house.send(&romeo, "<presence type='unsubscribed' to='juliet@house'/>");
    let heard = house.hear(&juliet);
    assert!(heard.iter().any(|it| it.contains("<subscription node='n' jid='juliet@house' subscription='none'/>")), "{heard:?}");
    ok(&publish(&mut house, &romeo, "n", "1", X));
    assert!(!house.hear(&juliet).iter().any(|it| it.contains("<items ")));
    error(&subscribe(&mut house, &juliet, "n"), "auth", "not-authorized", "presence-subscription-required");
}

/// RFC 6120 10.1: also where one request waits for another account, and the next for nobody.
#[test]
fn requests_that_wait_for_a_roster_are_overtaken_by_none() {
    for owner in ["romeo@house", "tybalt@house", "mercutio@house", "paris@house"] {
        let mut house = house();
        house.friends(owner, "juliet@house");
        let host = house.online(&format!("{owner}/x"));
        let juliet = house.online("juliet@house/balcony");
        ok(&create(&mut house, &host, "n", &[("access_model", "presence")]));
        ok(&create(&mut house, &host, "open", &[("publish_model", "open")]));
        house.recv(&juliet);
        for (id, inside) in [
            ("a", "<subscribe node='n' jid='juliet@house'/>".to_owned()),
            ("b", format!("<publish node='open'><item id='1'>{X}</item></publish>")),
            ("c", "<unsubscribe node='n' jid='juliet@house'/>".to_owned()),
        ] {
            let pubsub = format!("<pubsub xmlns='http://jabber.org/protocol/pubsub'>{inside}</pubsub>");
            house.feed(&juliet, &format!("<iq type='set' id='{id}' to='{SERVICE}'>{pubsub}</iq>"));
        }
        house.run();
        let heard = house.recv(&juliet);
        let answers: Vec<String> = heard
            .iter()
            .filter(|it| it.as_str().starts_with("<iq"))
            .map(|it| format!("{} {}", it.id().unwrap_or_default(), it.attr("type").unwrap_or_default()))
            .collect();
        assert_eq!(answers, ["a result", "b result", "c result"], "{owner}");
    }
}

#[test]
fn s4_1_affiliations_say_who_does_what() {
    // Subscribe, read, publish, retract another's item, configure.
    for (affiliation, may) in [
        ("owner", [true, true, true, true, true]),
        ("publisher", [true, true, true, true, false]),
        ("publish-only", [false, false, true, false, false]),
        ("member", [true, true, false, false, false]),
        ("none", [false, false, false, false, false]),
        ("outcast", [false, false, false, false, false]),
    ] {
        let (mut house, [romeo, juliet, _]) = scene(&[("access_model", "whitelist")]);
        ok(&publish(&mut house, &romeo, "n", "his", X));
        ok(&affiliate(&mut house, &romeo, "n", "juliet@house", affiliation));
        house.recv(&juliet);
        let answers = [
            subscribe(&mut house, &juliet, "n"),
            ask(&mut house, &juliet, "get", "<items node='n'/>"),
            publish(&mut house, &juliet, "n", "hers", X),
            ask(&mut house, &juliet, "set", "<retract node='n'><item id='his'/></retract>"),
            configure(&mut house, &juliet, "n", &[("title", "Hers")]),
        ];
        let did = answers.map(|answer| answer.attr("type").as_deref() == Some("result"));
        assert_eq!(did, may, "{affiliation}");
    }
}

#[test]
fn s8_9_owners_manage_affiliations_and_there_is_always_one() {
    let (mut house, [romeo, juliet, _]) = scene(&[]);
    error(&affiliate(&mut house, &juliet, "n", "juliet@house", "owner"), "auth", "forbidden", "");
    let refused = affiliate(&mut house, &romeo, "n", "romeo@house", "none");
    error(&refused, "modify", "not-acceptable", "");
    // 8.9.2.4: "MUST return any <affiliation/> element(s) which caused the error … MUST include the existing 'affiliation' attribute".
    let as_it_was =
        "<affiliations node='n'><affiliation jid='romeo@house' affiliation='owner'/></affiliations></pubsub><error ";
    assert!(refused.as_str().contains(as_it_was), "{}", refused.as_str());
    let twice = "<affiliations node='n'><affiliation jid='nurse@house' affiliation='member'/>\
        <affiliation jid='nurse@house/hall' affiliation='owner'/></affiliations>";
    error(&own(&mut house, &romeo, "set", twice), "modify", "bad-request", "");
    ok(&affiliate(&mut house, &romeo, "n", "juliet@house/balcony", "owner"));
    assert!(house.one(&juliet).as_str().contains("<affiliation jid='juliet@house' affiliation='owner'/>"));
    let list = own(&mut house, &juliet, "get", "<affiliations node='n'/>").as_str().to_owned();
    for owner in ["romeo", "juliet"] {
        assert!(list.contains(&format!("<affiliation jid='{owner}@house' affiliation='owner'/>")), "{list}");
    }
    ok(&affiliate(&mut house, &juliet, "n", "romeo@house", "none"));
    error(&own(&mut house, &romeo, "get", "<affiliations node='n'/>"), "auth", "forbidden", "");
    let mine = ask(&mut house, &juliet, "get", "<affiliations/>").as_str().to_owned();
    assert!(mine.contains("<affiliation node='n' affiliation='owner'/>"), "{mine}");
}

#[test]
fn s7_1_publish_models() {
    let (mut house, [romeo, juliet, nurse]) = scene(&[("publish_model", "subscribers")]);
    error(&publish(&mut house, &juliet, "n", "1", X), "auth", "forbidden", "");
    ok(&subscribe(&mut house, &juliet, "n"));
    ok(&publish(&mut house, &juliet, "n", "1", X));
    error(&publish(&mut house, &nurse, "n", "2", X), "auth", "forbidden", "");
    ok(&configure(&mut house, &romeo, "n", &[("publish_model", "open")]));
    ok(&publish(&mut house, &nurse, "n", "2", X));
    // Others' items are not hers, and the id of one is taken.
    error(&publish(&mut house, &nurse, "n", "1", X), "auth", "forbidden", "");
    error(&ask(&mut house, &nurse, "set", "<retract node='n'><item id='1'/></retract>"), "auth", "forbidden", "");
    ok(&ask(&mut house, &nurse, "set", "<retract node='n'><item id='2'/></retract>"));
}

#[test]
fn administrators_look_after_nodes_that_are_not_theirs() {
    let (mut house, [romeo, juliet, _]) = scene(&[]);
    error(&own(&mut house, &juliet, "set", "<delete node='n'/>"), "auth", "forbidden", "");
    house
        .host("house", |turn| {
            let appointed = turn.state(&iris_core::command::APPOINTED).expect("the state");
            appointed.insert(iris_core::BareJid::new("juliet@house").expect("a JID"))
        })
        .expect("an answer")
        .expect("kept");
    ok(&own(&mut house, &juliet, "get", "<configure node='n'/>"));
    ok(&own(&mut house, &juliet, "set", "<delete node='n'/>"));
    error(&disco(&mut house, &romeo, "info", "n"), "cancel", "item-not-found", "");
}

/// 4.5, 6.5.1: for those who are subscribed already, too.
#[test]
fn s4_5_whoever_a_node_is_closed_to_is_not_subscribed_any_more() {
    for (model, juliet_stays) in [("presence", true), ("roster", true), ("whitelist", false)] {
        let (mut house, [romeo, juliet, nurse]) = friends(&[("roster_groups_allowed", "loves")]);
        for who in [&juliet, &nurse] {
            ok(&subscribe(&mut house, who, "n"));
        }
        ok(&configure(&mut house, &romeo, "n", &[("access_model", model)]));
        for (who, stays) in [(&juliet, juliet_stays), (&nurse, false)] {
            let told = format!("<subscription node='n' jid='{}' subscription='none'/>", who.jid.to_bare());
            assert_eq!(house.hear(who).iter().any(|it| it.contains(&told)), !stays, "{model} {told}");
        }
        let list = own(&mut house, &romeo, "get", "<subscriptions node='n'/>").as_str().to_owned();
        assert_eq!((list.contains("juliet"), list.contains("nurse")), (juliet_stays, false), "{model}");
        ok(&publish(&mut house, &romeo, "n", "1", X));
        assert_eq!(house.recv(&juliet).len(), usize::from(juliet_stays), "{model}");
        house.nothing(&nurse);
        let (_, end) = archive::query(&mut house, &nurse, "n", "");
        assert_eq!(end.attr("type").as_deref(), Some("error"), "{model}");
        let (_, end) = archive::query(&mut house, &juliet, "n", "");
        assert_eq!(end.attr("type").as_deref() == Some("result"), juliet_stays, "{model}");
    }
}

#[test]
fn s4_5_whoever_is_in_no_group_that_is_let_in_any_more_is_not_subscribed() {
    let (mut house, [romeo, juliet, _]) = friends(&[("access_model", "roster"), ("roster_groups_allowed", "loves|foes")]);
    ok(&subscribe(&mut house, &juliet, "n"));
    ok(&configure(&mut house, &romeo, "n", &[("roster_groups_allowed", "loves")]));
    house.nothing(&juliet);
    ok(&configure(&mut house, &romeo, "n", &[("roster_groups_allowed", "foes")]));
    assert!(house.one(&juliet).as_str().contains("subscription='none'"));
    ok(&publish(&mut house, &romeo, "n", "1", X));
    house.nothing(&juliet);
}

/// 8.8.1, 12.11: an affiliation that is taken away may have been what let somebody in.
#[test]
fn s4_5_whoever_was_let_in_by_an_affiliation_is_subscribed_as_long_as_they_have_it() {
    for (model, affiliation, [juliet_stays, nurse_stays]) in [
        ("whitelist", "member", [false, false]),
        ("presence", "publisher", [true, false]),
        ("roster", "publisher", [true, false]),
        ("open", "publisher", [true, true]),
    ] {
        let (mut house, [romeo, juliet, nurse]) = friends(&[("access_model", model), ("roster_groups_allowed", "loves")]);
        for who in [&juliet, &nurse] {
            let jid = who.jid.to_bare().to_string();
            ok(&affiliate(&mut house, &romeo, "n", &jid, affiliation));
            ok(&subscribe(&mut house, who, "n"));
            ok(&affiliate(&mut house, &romeo, "n", &jid, "none"));
        }
        let list = own(&mut house, &romeo, "get", "<subscriptions node='n'/>").as_str().to_owned();
        assert_eq!((list.contains("juliet"), list.contains("nurse")), (juliet_stays, nurse_stays), "{model}: {list}");
        let told = |house: &mut House, who| house.hear(who).iter().any(|it| it.contains("subscription='none'"));
        assert_eq!([told(&mut house, &juliet), told(&mut house, &nurse)], [!juliet_stays, !nurse_stays], "{model}");
    }
}

/// The same address may be somebody else's one day: also at the services of the other domains of this house.
#[test]
fn whoever_ends_an_account_is_nothing_to_any_channel_of_the_house() {
    let (mut house, [romeo, _, nurse]) = scene(&[("access_model", "whitelist")]);
    house.user("tybalt@away");
    let tybalt = house.online("tybalt@away/street");
    ok(&affiliate(&mut house, &romeo, "n", "tybalt@away", "owner"));
    ok(&affiliate(&mut house, &romeo, "n", "nurse@house", "member"));
    ok(&subscribe(&mut house, &tybalt, "n"));
    ok(&own(&mut house, &tybalt, "get", "<configure node='n'/>"));
    house.ask("tybalt@away", iris_core::Ask::Remove);
    let again = house.online("tybalt@away/street");
    error(&own(&mut house, &again, "get", "<configure node='n'/>"), "auth", "forbidden", "");
    error(&ask(&mut house, &again, "get", "<items node='n'/>"), "cancel", "not-allowed", "closed-node");
    let list = own(&mut house, &romeo, "get", "<affiliations node='n'/>").as_str().to_owned();
    assert!(!list.contains("tybalt") && list.contains("nurse"), "{list}");
    house.recv(&nurse);
}

#[test]
fn s4_5_whom_a_roster_lets_in_takes_back_what_they_said_and_sees_who_follows() {
    let (mut house, [romeo, juliet, nurse]) = friends(&[("access_model", "presence"), ("publish_model", "open")]);
    ok(&publish(&mut house, &juliet, "n", "1", X));
    ok(&publish(&mut house, &romeo, "n", "2", X));
    let retract =
        |house: &mut House, who, id: &str| ask(house, who, "set", &format!("<retract node='n'><item id='{id}'/></retract>"));
    error(&retract(&mut house, &nurse, "1"), "auth", "forbidden", "");
    error(&retract(&mut house, &juliet, "2"), "auth", "forbidden", "");
    ok(&retract(&mut house, &juliet, "1"));
    let followers = "<items node='urn:xmpp:pps:subscribers:0/n'/>";
    ok(&ask(&mut house, &juliet, "get", followers));
    let refused = ask(&mut house, &nurse, "get", followers);
    error(&refused, "auth", "not-authorized", "presence-subscription-required");
    // Who hears of the list has to be known without the roster: by a subscription to the node.
    let list = "urn:xmpp:pps:subscribers:0/n";
    error(&subscribe(&mut house, &nurse, list), "auth", "not-authorized", "presence-subscription-required");
    error(&subscribe(&mut house, &juliet, list), "auth", "not-authorized", "not-subscribed");
    ok(&subscribe(&mut house, &juliet, "n"));
    ok(&subscribe(&mut house, &juliet, list));
    house.recv(&juliet);
    let public = "<subscribe node='n' jid='romeo@house'><public xmlns='urn:xmpp:pps:0'/></subscribe>";
    ok(&ask(&mut house, &romeo, "set", public));
    assert!(house.one(&juliet).as_str().contains("<item id='romeo@house'>"));
}
