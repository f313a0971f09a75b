//! XEP-0060 12.5 and 12.6: subscriptions that depend on the presence of who has them.

use std::time::Duration;

use iris_engine::testing::{Client, House};

use super::*;

fn news(house: &mut House, romeo: &Client, to: &[&Client], n: usize) -> Vec<bool> {
    ok(&publish(house, romeo, "n", &format!("{n}"), X));
    to.iter().map(|who| house.hear(who).iter().any(|it| it.contains("<items "))).collect()
}

fn show(house: &mut House, who: &Client, presence: &str) {
    house.send(who, presence);
    house.recv(who);
}

#[test]
fn s12_6_news_come_in_the_states_of_presence_that_were_named() {
    let (mut house, [romeo, juliet, nurse]) = scene(&[]);
    ok(&subscribe_with(&mut house, &juliet, "n", &[("show-values", "online|chat")]));
    ok(&subscribe(&mut house, &nurse, "n"));
    let form = ask(&mut house, &juliet, "get", "<options node='n' jid='juliet@house'/>").as_str().to_owned();
    let field = form.split_once("var='pubsub#show-values'").expect("the field").1.split("</field>").next().expect("its end");
    assert!(field.starts_with(" type='list-multi'") && field.ends_with("<value>chat</value><value>online</value>"), "{field}");
    for (n, (presence, hears)) in [
        ("<presence/>", true),
        ("<presence><show>chat</show></presence>", true),
        ("<presence><show>away</show></presence>", false),
        ("<presence><show>dnd</show></presence>", false),
        ("<presence><show>xa</show></presence>", false),
        ("<presence type='unavailable'/>", false),
        ("<presence/>", true),
    ]
    .into_iter()
    .enumerate()
    {
        show(&mut house, &juliet, presence);
        assert_eq!(news(&mut house, &romeo, &[&juliet, &nurse], n), [hears, true], "{presence}");
    }
    // One of several devices is enough for the bare address; a full one has a state of its own.
    show(&mut house, &juliet, "<presence><show>dnd</show></presence>");
    let phone = house.online("juliet@house/phone");
    house.recv(&juliet);
    assert!(news(&mut house, &romeo, &[&phone], 10)[0]);
    let form = form_of_full(&juliet);
    ok(&ask(&mut house, &juliet, "set", "<unsubscribe node='n' jid='juliet@house'/>"));
    ok(&ask(&mut house, &juliet, "set", &form));
    house.recv(&juliet);
    assert_eq!(news(&mut house, &romeo, &[&juliet, &phone], 11), [false, false]);
    show(&mut house, &juliet, "<presence/>");
    house.recv(&phone);
    assert_eq!(news(&mut house, &romeo, &[&juliet, &phone], 12), [true, false]);
    // It is kept.
    let mut house = house.restart(crate::ROOMS, Duration::from_secs(1));
    let [romeo, juliet] = [romeo, juliet].map(|it| house.online(&it.jid.to_string()));
    assert!(news(&mut house, &romeo, &[&juliet], 13)[0]);
    show(&mut house, &juliet, "<presence><show>xa</show></presence>");
    assert!(!news(&mut house, &romeo, &[&juliet], 14)[0]);
}

fn form_of_full(who: &Client) -> String {
    let form = form("subscribe_options", &[("show-values", "online")]);
    format!("<subscribe node='n' jid='{}'/><options>{form}</options>", who.jid)
}

#[test]
fn s12_5_a_temporary_subscription_ends_when_its_address_goes_offline() {
    let (mut house, [romeo, juliet, nurse]) = scene(&[]);
    let phone = house.online("juliet@house/phone");
    house.recv(&juliet);
    let temporary = [("expire", "presence")];
    assert!(!subscribe_with(&mut house, &juliet, "n", &temporary).as_str().contains("expiry="), "it has no date");
    let full = format!("<subscribe node='n' jid='{}'/><options>{}</options>", phone.jid, form("subscribe_options", &temporary));
    ok(&ask(&mut house, &phone, "set", &full));
    ok(&subscribe_with(&mut house, &nurse, "n", &temporary));
    let list = |house: &mut House, romeo: &Client| {
        let list = own(house, romeo, "get", "<subscriptions node='n'/>").as_str().to_owned();
        ["'juliet@house'", "'juliet@house/phone'", "'nurse@house'"].map(|jid| list.contains(jid))
    };
    assert_eq!(list(&mut house, &romeo), [true, true, true]);
    show(&mut house, &phone, "<presence type='unavailable'/>");
    assert_eq!(list(&mut house, &romeo), [true, false, true], "the bare address is still there");
    house.close(&juliet);
    assert_eq!(list(&mut house, &romeo), [false, false, true], "a session that ends is offline");
    // While the house was down nobody was there.
    let mut house = house.restart(crate::ROOMS, Duration::from_secs(60));
    let romeo = house.online("romeo@house/orchard");
    assert_eq!(list(&mut house, &romeo), [false, false, false]);
}

#[test]
fn s12_5_whoever_is_not_there_has_no_subscription_for_as_long_as_they_are() {
    let (mut house, [romeo, _, _]) = scene(&[]);
    let tybalt = house.login("tybalt@house/street");
    ok(&subscribe_with(&mut house, &tybalt, "n", &[("expire", "presence")]));
    assert!(!own(&mut house, &romeo, "get", "<subscriptions node='n'/>").as_str().contains("tybalt"));
    // Another domain of the house is no other house.
    let away = house.online("iago@away/x");
    ok(&subscribe_with(&mut house, &away, "n", &[("expire", "presence")]));
    assert!(own(&mut house, &romeo, "get", "<subscriptions node='n'/>").as_str().contains("iago@away"));
    // To make a lease of it, or none at all, is to change it.
    ok(&ask(&mut house, &away, "set", &{
        let form = form("subscribe_options", &[("expire", "")]);
        format!("<options node='n' jid='iago@away'>{form}</options>")
    }));
    house.close(&away);
    assert!(own(&mut house, &romeo, "get", "<subscriptions node='n'/>").as_str().contains("iago@away"));
}

#[test]
fn s12_8_a_text_is_offered_where_one_can_be_made() {
    let (mut house, [romeo, juliet, _]) = scene(&[]);
    for (node, kind, is_offered) in [
        ("atom", "http://www.w3.org/2005/Atom", true),
        ("feed", "urn:xmpp:microblog:0", true),
        ("mood", "http://jabber.org/protocol/mood", false),
    ] {
        ok(&create(&mut house, &romeo, node, &[("type", kind)]));
        ok(&subscribe(&mut house, &juliet, node));
        let form_of = ask(&mut house, &juliet, "get", &format!("<options node='{node}' jid='juliet@house'/>"));
        assert_eq!(form_of.as_str().contains("pubsub#include_body"), is_offered, "{node}");
        let form = form("subscribe_options", &[("include_body", "1")]);
        let answer = ask(&mut house, &juliet, "set", &format!("<options node='{node}' jid='juliet@house'>{form}</options>"));
        match is_offered {
            true => ok(&answer),
            false => error(&answer, "modify", "bad-request", "invalid-options"),
        }
    }
}
