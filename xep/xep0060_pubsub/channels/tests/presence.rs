//! XEP-0060 12.5 and 12.6: subscriptions that depend on the presence of who has them; nodes that want it of all of them, and of those who
//! publish (16.4.4).

use std::time::Duration;

use iris_core::Stanza;
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

/// What somebody of another house asks, of whom no presence is seen here: behind a component.
fn ask_from_afar(house: &mut House, far: &Client, inside: &str) -> Stanza {
    let pubsub = format!("<pubsub xmlns='http://jabber.org/protocol/pubsub'>{inside}</pubsub>");
    house.send(far, &format!("<iq type='set' id='far' from='iago@bot.house/x' to='{SERVICE}'>{pubsub}</iq>"));
    let heard = house.recv(far);
    heard.into_iter().find(|it| it.id().as_deref() == Some("far")).expect("an answer")
}

fn scene_with_one_from_afar(config: &[(&str, &str)]) -> (House, [Client; 3], Client) {
    let mut house =
        House::with_config(crate::ROOMS, "[[xep.components.component]]\ndomain = \"bot.house\"\nsecret = \"northnorthwest\"\n");
    let people = ["romeo@house/orchard", "juliet@house/balcony", "nurse@house/hall"].map(|jid| house.online(jid));
    ok(&create(&mut house, &people[0], "n", config));
    let far = house.component("bot.house");
    (house, people, far)
}

const FAR_SUBSCRIBES: &str = "<subscribe node='n' jid='iago@bot.house'/>";

fn subscribers(house: &mut House, romeo: &Client) -> String {
    own(house, romeo, "get", "<subscriptions node='n'/>").as_str().to_owned()
}

#[test]
fn s12_5_a_node_may_have_temporary_subscriptions_alone() {
    let (mut house, [romeo, juliet, nurse], far) = scene_with_one_from_afar(&[("tempsub", "1")]);
    ok(&subscribe(&mut house, &juliet, "n"));
    ok(&subscribe(&mut house, &nurse, "n"));
    let options = ask(&mut house, &juliet, "get", "<options node='n' jid='juliet@house'/>").as_str().to_owned();
    let expire = options.split_once("var='pubsub#expire'").expect("the field").1.split("</field>").next().expect("its end");
    assert!(expire.ends_with("<value>presence</value>"), "{expire}");
    let lasting = form("subscribe_options", &[("expire", "2100-01-01T00:00:00Z")]);
    let answer = ask(&mut house, &juliet, "set", &format!("<options node='n' jid='juliet@house'>{lasting}</options>"));
    error(&answer, "modify", "bad-request", "invalid-options");
    // Of whom no presence comes here, nobody knows when it ends.
    let answer = ask_from_afar(&mut house, &far, FAR_SUBSCRIBES);
    error(&answer, "cancel", "not-allowed", "");
    assert!(answer.as_str().contains("the presence") || answer.as_str().contains("whose presence"), "{}", answer.as_str());
    ok(&affiliate(&mut house, &romeo, "n", "iago@bot.house", "member"));
    let bring = "<subscriptions node='n'><subscription jid='iago@bot.house' subscription='subscribed'/></subscriptions>";
    error(&own(&mut house, &romeo, "set", bring), "cancel", "not-allowed", "");
    show(&mut house, &juliet, "<presence type='unavailable'/>");
    let list = subscribers(&mut house, &romeo);
    assert!(!list.contains("juliet") && list.contains("nurse"), "{list}");
    // It is kept, and what was missed meanwhile counts.
    let mut house = house.restart(crate::ROOMS, Duration::from_secs(60));
    let romeo = house.online("romeo@house/orchard");
    assert!(!subscribers(&mut house, &romeo).contains("nurse"));
}

#[test]
fn s12_5_a_node_that_becomes_temporary_lets_those_go_who_have_not_wanted_that() {
    let (mut house, [romeo, juliet, nurse], far) = scene_with_one_from_afar(&[]);
    let tybalt = house.login("tybalt@house/street");
    for who in [&juliet, &nurse, &tybalt] {
        ok(&subscribe(&mut house, who, "n"));
    }
    ok(&ask_from_afar(&mut house, &far, FAR_SUBSCRIBES));
    ok(&subscribe_with(&mut house, &nurse, "n", &[("expire", "presence")]));
    ok(&subscribe(&mut house, &romeo, "n"));
    assert!(!info(&mut house, &juliet, "n").contains("pubsub#tempsub"));
    house.recv(&juliet);
    ok(&configure(&mut house, &romeo, "n", &[("tempsub", "1")]));
    let list = subscribers(&mut house, &romeo);
    // Security B10: who is online is no owner's to find out, so those go whose subscriptions were to last, whether they are there or not.
    let left = ["juliet", "nurse", "tybalt", "iago", "romeo"].map(|it| list.contains(&format!(" jid='{it}@")));
    assert_eq!(left, [false, true, false, false, true], "{list}");
    assert!(house.hear(&juliet).iter().any(|it| it.contains("subscription='none'")));
    assert!(info(&mut house, &juliet, "n").contains("pubsub#tempsub"));
    ok(&subscribe(&mut house, &juliet, "n"));
    let told = house.hear(&far);
    assert!(told.iter().any(|it| it.contains("to='iago@bot.house'") && it.contains("subscription='none'")), "{told:?}");
    // And back: who is there stays.
    ok(&configure(&mut house, &romeo, "n", &[("tempsub", "0")]));
    show(&mut house, &juliet, "<presence type='unavailable'/>");
    assert!(subscribers(&mut house, &romeo).contains("juliet"));
    ok(&ask_from_afar(&mut house, &far, FAR_SUBSCRIBES));
}

#[test]
fn s12_6_a_node_may_tell_those_alone_who_are_online() {
    let (mut house, [romeo, juliet, nurse], far) = scene_with_one_from_afar(&[("presence_based_delivery", "true")]);
    ok(&subscribe(&mut house, &juliet, "n"));
    ok(&subscribe_with(&mut house, &nurse, "n", &[("show-values", "chat")]));
    error(&ask_from_afar(&mut house, &far, FAR_SUBSCRIBES), "cancel", "not-allowed", "");
    ok(&affiliate(&mut house, &romeo, "n", "iago@bot.house", "member"));
    let bring = "<subscriptions node='n'><subscription jid='iago@bot.house' subscription='subscribed'/></subscriptions>";
    error(&own(&mut house, &romeo, "set", bring), "cancel", "not-allowed", "");
    for (n, (presence, hears)) in
        [("<presence/>", true), ("<presence><show>xa</show></presence>", true), ("<presence type='unavailable'/>", false)]
            .into_iter()
            .enumerate()
    {
        show(&mut house, &juliet, presence);
        assert_eq!(news(&mut house, &romeo, &[&juliet, &nurse], n), [hears, false], "{presence}");
    }
    // Nor is it laid down for later, nor the last item sent (6.1.7).
    let phone = house.login("juliet@house/phone");
    let heard = subscribes(&mut house, &phone);
    assert!(heard.len() == 1 && heard[0].contains("type='result'"), "{heard:?}");
    show(&mut house, &nurse, "<presence><show>chat</show></presence>");
    assert_eq!(news(&mut house, &romeo, &[&phone, &nurse], 9), [false, true]);
    assert!(info(&mut house, &romeo, "").contains("pubsub#presence-notifications'"));
}

/// "deliver notifications to available users only" is said of what happens in the node, by whatever way somebody hears of it.
#[test]
fn s12_6_whoever_hears_by_a_collection_is_online_too() {
    let (mut house, [romeo, juliet, nurse], far) = scene_with_one_from_afar(&[("presence_based_delivery", "1")]);
    ok(&create(&mut house, &romeo, "all", &[("node_type", "collection")]));
    let inside = "<collection node='all'><associate node='n'/></collection>";
    ok(&own(&mut house, &romeo, "set", inside));
    let items = [("subscription_type", "items")];
    ok(&subscribe_with(&mut house, &juliet, "all", &items));
    ok(&subscribe_with(&mut house, &nurse, "all", &items));
    let options = form("subscribe_options", &items);
    ok(&ask_from_afar(&mut house, &far, &format!("<subscribe node='all' jid='iago@bot.house'/><options>{options}</options>")));
    show(&mut house, &juliet, "<presence type='unavailable'/>");
    house.recv(&far);
    assert_eq!(news(&mut house, &romeo, &[&juliet, &nurse, &far], 1), [false, true, false]);
    // One that is connected, and says nothing of itself.
    let phone = house.login("nurse@house/phone");
    let full = format!("<subscribe node='all' jid='{}'/><options>{options}</options>", phone.jid);
    ok(&ask(&mut house, &phone, "set", &full));
    ok(&configure(&mut house, &romeo, "n", &[("presence_based_delivery", "0")]));
    assert_eq!(news(&mut house, &romeo, &[&nurse, &far, &phone], 2), [true, true, true]);
    // The same said by the collection.
    ok(&configure(&mut house, &romeo, "all", &[("presence_based_delivery", "1")]));
    assert_eq!(news(&mut house, &romeo, &[&nurse, &far, &phone], 3), [true, false, false]);
}

#[test]
fn s12_6_a_node_that_begins_to_look_at_presence_lets_those_go_of_whom_none_is_seen() {
    let (mut house, [romeo, juliet, _], far) = scene_with_one_from_afar(&[]);
    ok(&subscribe(&mut house, &juliet, "n"));
    ok(&ask_from_afar(&mut house, &far, FAR_SUBSCRIBES));
    ok(&configure(&mut house, &romeo, "n", &[("presence_based_delivery", "1")]));
    let list = subscribers(&mut house, &romeo);
    assert!(list.contains("juliet") && !list.contains("iago"), "{list}");
    assert!(house.hear(&far).iter().any(|it| it.contains("subscription='none'")));
}

#[test]
fn s16_4_4_items_go_when_their_publisher_goes_offline() {
    let config = [("purge_offline", "1"), ("publish_model", "open"), ("notify_retract", "1")];
    let (mut house, [romeo, juliet, nurse], far) = scene_with_one_from_afar(&config);
    ok(&subscribe(&mut house, &nurse, "n"));
    ok(&publish(&mut house, &romeo, "n", "1", X));
    ok(&publish(&mut house, &juliet, "n", "2", X));
    ok(&publish(&mut house, &juliet, "n", "3", X));
    let phone = house.online("juliet@house/phone");
    house.close(&juliet);
    assert_eq!(items(&mut house, &romeo, "n"), ["1", "2", "3"], "one of her devices is still there");
    house.recv(&nurse);
    show(&mut house, &phone, "<presence type='unavailable'/>");
    assert_eq!(items(&mut house, &romeo, "n"), ["1"]);
    let told = house.hear(&nurse);
    assert!(told.iter().any(|it| it.contains("<retract id='2'/><retract id='3'/>")), "{told:?}");
    // When nothing is left it is a purge (8.5.2).
    show(&mut house, &romeo, "<presence type='unavailable'/>");
    let told = house.hear(&nurse);
    assert!(told.iter().any(|it| it.contains("<purge node='n'/>")), "{told:?}");
    assert!(items(&mut house, &nurse, "n").is_empty());
    // Whoever publishes while they are offline leaves nothing, also when something of theirs has gone that way before.
    for id in ["a", "b"] {
        ok(&publish(&mut house, &romeo, "n", id, X));
        assert!(items(&mut house, &nurse, "n").is_empty(), "{id}");
    }
    // Of whom no presence comes here, nobody knows when that is.
    let item = "<publish node='n'><item id='4'><x xmlns='urn:x'/></item></publish>";
    error(&ask_from_afar(&mut house, &far, item), "cancel", "not-allowed", "");
    // What was missed while the house was down counts.
    show(&mut house, &romeo, "<presence/>");
    ok(&publish(&mut house, &romeo, "n", "5", X));
    let mut house = house.restart(crate::ROOMS, Duration::from_secs(60));
    let nurse = house.online("nurse@house/hall");
    assert!(items(&mut house, &nurse, "n").is_empty());
}

#[test]
fn s16_4_4_a_node_that_begins_to_purge_looks_at_what_is_there() {
    let (mut house, [romeo, juliet, _], far) = scene_with_one_from_afar(&[("publish_model", "open")]);
    ok(&publish(&mut house, &romeo, "n", "1", X));
    ok(&publish(&mut house, &juliet, "n", "2", X));
    ok(&ask_from_afar(&mut house, &far, "<publish node='n'><item id='3'><x xmlns='urn:x'/></item></publish>"));
    show(&mut house, &juliet, "<presence type='unavailable'/>");
    let answer = configure(&mut house, &romeo, "n", &[("purge_offline", "1")]);
    error(&answer, "cancel", "not-allowed", "");
    assert!(answer.as_str().contains("juliet@house"), "{}", answer.as_str());
    assert_eq!(items(&mut house, &romeo, "n"), ["1", "2", "3"], "nobody learns by it that juliet is not there");
    ok(&ask(&mut house, &romeo, "set", "<retract node='n'><item id='2'/></retract>"));
    error(&configure(&mut house, &romeo, "n", &[("purge_offline", "1")]), "cancel", "not-allowed", "");
    ok(&ask(&mut house, &romeo, "set", "<retract node='n'><item id='3'/></retract>"));
    ok(&configure(&mut house, &romeo, "n", &[("purge_offline", "1")]));
    assert!(info(&mut house, &juliet, "n").contains("pubsub#purge_offline"));
    assert_eq!(items(&mut house, &romeo, "n"), ["1"]);
    // An owner of whom no presence comes here has to take their own away first, too.
    ok(&configure(&mut house, &romeo, "n", &[("purge_offline", "0")]));
    ok(&affiliate(&mut house, &romeo, "n", "iago@bot.house", "owner"));
    ok(&ask(&mut house, &romeo, "set", "<retract node='n'><item id='1'/></retract>"));
    ok(&ask_from_afar(&mut house, &far, "<publish node='n'><item id='3'><x xmlns='urn:x'/></item></publish>"));
    let form = form("node_config", &[("purge_offline", "1")]);
    let pubsub =
        format!("<pubsub xmlns='http://jabber.org/protocol/pubsub#owner'><configure node='n'>{form}</configure></pubsub>");
    house.send(&far, &format!("<iq type='set' id='c' from='iago@bot.house/x' to='{SERVICE}'>{pubsub}</iq>"));
    let answer = house.recv(&far).pop().expect("an answer");
    error(&answer, "cancel", "not-allowed", "");
    ok(&ask(&mut house, &romeo, "set", "<retract node='n'><item id='3'/></retract>"));
    ok(&publish(&mut house, &romeo, "n", "1", X));
    ok(&configure(&mut house, &romeo, "n", &[("purge_offline", "1")]));
    // What was there goes as what comes.
    show(&mut house, &romeo, "<presence type='unavailable'/>");
    assert!(items(&mut house, &juliet, "n").is_empty());
    show(&mut house, &romeo, "<presence/>");
    ok(&publish(&mut house, &romeo, "n", "1", X));
    // Who is not there when they publish leaves nothing.
    ok(&publish(&mut house, &juliet, "n", "4", X));
    assert_eq!(items(&mut house, &romeo, "n"), ["1"]);
    ok(&configure(&mut house, &romeo, "n", &[("purge_offline", "0")]));
    house.close(&romeo);
    assert_eq!(items(&mut house, &juliet, "n"), ["1"]);
}

/// Security D9: somebody names the service as the app server of their push (XEP-0357). The followers of an open channel hear nothing of it.
#[test]
fn d9_a_domain_of_the_house_publishes_nothing_in_a_channel() {
    let (mut house, [_, juliet, _]) = scene(&[("publish_model", "open")]);
    for domain in ["house", "away"] {
        house.host(domain, |turn| {
            let service = iris_core::Jid::new("pubsub.house").expect("a JID");
            let publish = "<iq type='set' id='p'><pubsub xmlns='http://jabber.org/protocol/pubsub'><publish node='n'><item id='x'>\
                           <x xmlns='urn:x'/></item></publish></pubsub></iq>";
            turn.send(service, publish).expect("XML");
        });
        assert!(items(&mut house, &juliet, "n").is_empty(), "{domain}");
    }
}

/// Security B10: members have not asked for it.
#[test]
fn b10_an_owner_who_brings_members_into_a_temporary_node_does_not_learn_who_is_online() {
    let (mut house, [romeo, _, _]) = scene(&[("tempsub", "1")]);
    house.user("tybalt@house");
    let bring = |person: &str| {
        format!("<subscriptions node='n'><subscription jid='{person}' subscription='subscribed'/></subscriptions>")
    };
    for person in ["juliet@house", "tybalt@house"] {
        ok(&affiliate(&mut house, &romeo, "n", person, "member"));
        error(&own(&mut house, &romeo, "set", &bring(person)), "cancel", "not-allowed", "");
        assert!(!subscribers(&mut house, &romeo).contains(person));
    }
    ok(&own(&mut house, &romeo, "set", &bring("romeo@house")));
    // Whoever has asked may be let in, also into such a node.
    ok(&configure(&mut house, &romeo, "n", &[("access_model", "authorize")]));
    let nurse = house.online("nurse@house/stairs");
    ok(&subscribe(&mut house, &nurse, "n"));
    ok(&own(&mut house, &romeo, "set", &bring("nurse@house")));
    assert!(subscribers(&mut house, &romeo).contains("nurse"));
}

/// A request that waits for an answer from elsewhere is older than what happens meanwhile.
#[test]
fn s12_5_a_device_that_goes_while_its_request_waits_has_no_subscription() {
    let (mut house, [romeo, juliet, _]) = scene(&[("access_model", "presence"), ("tempsub", "1")]);
    house.friends("romeo@house", "juliet@house");
    let phone = house.online("juliet@house/phone");
    for who in [&romeo, &juliet, &phone] {
        house.recv(who);
    }
    let subscribe = |who: &Client| format!("<subscribe node='n' jid='{}'/>", who.jid);
    ok(&ask(&mut house, &juliet, "set", &subscribe(&juliet)));
    let pubsub = format!("<pubsub xmlns='http://jabber.org/protocol/pubsub'>{}</pubsub>", subscribe(&phone));
    house.feed(&phone, &format!("<iq type='set' id='s' to='{SERVICE}'>{pubsub}</iq>"));
    house.close(&phone);
    let list = subscribers(&mut house, &romeo);
    assert!(list.contains("balcony") && !list.contains("phone"), "{list}");
}

#[test]
fn d9_a_program_with_a_domain_of_the_house_publishes_as_anybody() {
    let (mut house, [_, juliet, _], bot) = scene_with_one_from_afar(&[("publish_model", "open")]);
    let publish = "<publish node='n'><item id='1'><x xmlns='urn:x'/></item></publish>";
    let pubsub = format!("<pubsub xmlns='http://jabber.org/protocol/pubsub'>{publish}</pubsub>");
    house.send(&bot, &format!("<iq type='set' id='p' from='bot.house' to='{SERVICE}'>{pubsub}</iq>"));
    ok(&house.one(&bot));
    assert_eq!(items(&mut house, &juliet, "n"), ["1"]);
}

/// A device subscribes with its own address: the answer, and what comes behind it.
fn subscribes(house: &mut House, who: &Client) -> Vec<String> {
    let pubsub = format!("<pubsub xmlns='http://jabber.org/protocol/pubsub'><subscribe node='n' jid='{}'/></pubsub>", who.jid);
    house.send(who, &format!("<iq type='set' id='s' to='{SERVICE}'>{pubsub}</iq>"));
    house.hear(who)
}

#[test]
fn s6_1_7_the_last_item_goes_to_the_address_that_has_subscribed() {
    let (mut house, [romeo, juliet, _]) = scene(&[]);
    ok(&publish(&mut house, &romeo, "n", "1", X));
    ok(&subscribe_with(&mut house, &juliet, "n", &[("show-values", "dnd")]));
    house.recv(&juliet);
    assert!(subscribes(&mut house, &juliet).iter().any(|it| it.contains("<items ")));
}

/// One of the same name that is made later knows nothing of it.
#[test]
fn s12_5_a_temporary_subscription_ends_with_its_node() {
    let (mut house, [romeo, juliet, _]) = scene(&[("tempsub", "1")]);
    ok(&subscribe(&mut house, &juliet, "n"));
    ok(&own(&mut house, &romeo, "set", "<delete node='n'/>"));
    ok(&create(&mut house, &romeo, "n", &[("tempsub", "1")]));
    show(&mut house, &juliet, "<presence type='unavailable'/>");
    ok(&subscribe(&mut house, &juliet, "n"));
    assert!(!subscribers(&mut house, &romeo).contains("juliet"));
}

#[test]
fn s16_4_4_items_go_when_the_account_of_their_publisher_ends() {
    let (mut house, [_, juliet, nurse]) = scene(&[("purge_offline", "1"), ("publish_model", "open")]);
    ok(&publish(&mut house, &juliet, "n", "1", X));
    house.ask("juliet@house", iris_core::Ask::Remove);
    house.run();
    assert!(items(&mut house, &nurse, "n").is_empty());
}
