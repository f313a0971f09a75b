//! XEP-0060 9.1 and 9.2 for clients of which no account of the house knows what they want: here those behind a component, and of whoever shows
//! presence without being a contact.

use std::time::Duration;

use iris_core::Stanza;
use iris_engine::testing::{Client, House};

use super::*;

const CONFIG: &str = "[[xep.components.component]]\ndomain = \"bot.house\"\nsecret = \"northnorthwest\"\n";
const OPEN: &[(&str, &str)] = &[("access_model", "open")];
const MOOD: &str = "http://jabber.org/protocol/mood";
const SAD: &str = "<mood xmlns='http://jabber.org/protocol/mood'><sad/></mood>";
const IAGO: &str = "iago@bot.house/x";

/// Juliet, and the component.
fn scene() -> (House, Client, Client) {
    let mut house = House::with_config(crate::ROOMS, CONFIG);
    let juliet = house.online("juliet@house/balcony");
    let far = house.component("bot.house");
    (house, juliet, far)
}

/// They see each other's presence.
fn befriend(house: &mut House, juliet: &Client, far: &Client) {
    house.send(far, "<presence type='subscribe' from='iago@bot.house' to='juliet@house'/>");
    house.send(juliet, "<presence type='subscribed' to='iago@bot.house'/>");
    house.send(juliet, "<presence type='subscribe' to='iago@bot.house'/>");
    house.send(far, "<presence type='subscribed' from='iago@bot.house' to='juliet@house'/>");
    house.recv(juliet);
    house.recv(far);
}

/// Iago's client shows itself; what it is asked it answers. Whether it was asked, and the events.
fn shows(house: &mut House, far: &Client, from: &str, nodes: &[&str]) -> (bool, Vec<String>) {
    let (inside, ver) = features(nodes);
    house.send(far, &format!("<presence from='{from}' to='juliet@house'>{}</presence>", caps(&ver)));
    answers(house, far, from, &inside)
}

fn answers(house: &mut House, far: &Client, from: &str, inside: &str) -> (bool, Vec<String>) {
    let mut heard = house.recv(far);
    let at = heard.iter().position(|it| it.as_str().contains("disco#info"));
    if let Some(question) = at.map(|at| heard.remove(at)) {
        assert_eq!((question.from().as_deref(), question.to().as_deref()), (Some("juliet@house"), Some(from)));
        let (id, query) = (question.id().expect("an id"), "http://jabber.org/protocol/disco#info");
        house.send(
            far,
            &format!(
                "<iq type='result' id='{id}' from='{from}' to='juliet@house'><query xmlns='{query}'>{inside}</query></iq>"
            ),
        );
        heard.extend(house.recv(far));
    }
    (at.is_some(), events(&heard))
}

fn news(house: &mut House, juliet: &Client, far: &Client, node: &str, payload: &str) -> Vec<Stanza> {
    publish(house, juliet, node, "current", payload);
    house.recv(far).into_iter().filter(|it| it.as_str().contains("pubsub#event")).collect()
}

#[test]
fn s9_2_a_contact_of_another_server_hears_what_their_client_wants_and_nothing_else() {
    let (mut house, juliet, far) = scene();
    befriend(&mut house, &juliet, &far);
    publish(&mut house, &juliet, TUNE, "current", SONG);
    // Nobody knows yet what they want: "The server MUST NOT send notifications … that the contact's client has not asked for".
    assert!(news(&mut house, &juliet, &far, MOOD, SAD).is_empty());
    let (asked, last) = shows(&mut house, &far, IAGO, &[TUNE]);
    assert!(asked && last.len() == 1, "{last:?}");
    assert!(last[0].contains(SONG) && last[0].contains("<delay ") && last[0].contains(&format!("to='{IAGO}'")), "{last:?}");
    // "sending it only once upon first receiving such presence, not on subsequent presence updates".
    assert_eq!(shows(&mut house, &far, IAGO, &[TUNE]), (false, Vec::new()));
    let heard = news(&mut house, &juliet, &far, TUNE, SONG);
    assert_eq!((heard.len(), heard[0].to().as_deref(), heard[0].from().as_deref()), (1, Some(IAGO), Some("juliet@house")));
    assert!(news(&mut house, &juliet, &far, MOOD, SAD).is_empty());
    // Another client of theirs wants more, and says so.
    let (_, last) = shows(&mut house, &far, "iago@bot.house/y", &[TUNE, MOOD]);
    assert_eq!(last.len(), 2, "{last:?}");
    let heard = news(&mut house, &juliet, &far, MOOD, SAD);
    assert_eq!(heard.iter().map(|it| it.to().expect("to").into_owned()).collect::<Vec<_>>(), ["iago@bot.house/y"]);
    assert_eq!(news(&mut house, &juliet, &far, TUNE, SONG).len(), 2);
    // The same client with other wishes: what is new to it.
    let (_, last) = shows(&mut house, &far, IAGO, &[MOOD]);
    assert!(last.len() == 1 && last[0].contains("sad"), "{last:?}");
    assert_eq!(news(&mut house, &juliet, &far, TUNE, SONG).len(), 1);
    house.send(&far, &format!("<presence type='unavailable' from='{IAGO}' to='juliet@house'/>"));
    assert_eq!(news(&mut house, &juliet, &far, MOOD, SAD).len(), 1);
    // 12.2 (5): "The entity gains access to the node because of a change to the node access model".
    configure(&mut house, &juliet, MOOD, &[("access_model", "whitelist")]);
    assert!(news(&mut house, &juliet, &far, MOOD, SAD).is_empty());
    configure(&mut house, &juliet, MOOD, &[("access_model", "presence")]);
    let last = events(&house.recv(&far));
    assert!(last.len() == 1 && last[0].contains("to='iago@bot.house/y'") && last[0].contains("sad"), "{last:?}");
    // Whoever is no contact any more is one of those who may read open nodes.
    house.send(&far, "<presence type='unsubscribe' from='iago@bot.house' to='juliet@house'/>");
    house.recv(&far);
    assert!(news(&mut house, &juliet, &far, MOOD, SAD).is_empty());
}

#[test]
fn s9_1_3_whoever_shows_presence_hears_of_open_nodes_until_they_go() {
    for sleeps in [false, true] {
        let (mut house, juliet, far) = scene();
        publish_with(&mut house, &juliet, None, TUNE, "current", SONG, OPEN);
        publish(&mut house, &juliet, MOOD, "current", SAD);
        let juliet = if sleeps {
            house.close(&juliet);
            house.advance(Duration::from_secs(3_600));
            assert_eq!(house.accounts_awake(), 0);
            None
        } else {
            Some(juliet)
        };
        // Whether juliet is there nobody learns by it.
        let (asked, last) = shows(&mut house, &far, IAGO, &[TUNE, MOOD]);
        assert!(asked && last.len() == 1 && last[0].contains(SONG), "{last:?}");
        let Some(juliet) = juliet else { continue };
        assert_eq!(news(&mut house, &juliet, &far, TUNE, SONG).len(), 1);
        assert!(news(&mut house, &juliet, &far, MOOD, SAD).is_empty());
        // Explicitly subscribed beside it: once.
        let subscribe = "<pubsub xmlns='http://jabber.org/protocol/pubsub'><subscribe node='http://jabber.org/protocol/tune' jid='iago@bot.house'/></pubsub>";
        house.send(&far, &format!("<iq type='set' id='s' from='{IAGO}' to='juliet@house'>{subscribe}</iq>"));
        house.recv(&far);
        assert_eq!(news(&mut house, &juliet, &far, TUNE, SONG).len(), 1);
        let unsubscribe = subscribe.replace("<subscribe", "<unsubscribe");
        house.send(&far, &format!("<iq type='set' id='u' from='{IAGO}' to='juliet@house'>{unsubscribe}</iq>"));
        house.send(&far, &format!("<presence type='unavailable' from='{IAGO}' to='juliet@house'/>"));
        house.recv(&far);
        assert!(news(&mut house, &juliet, &far, TUNE, SONG).is_empty());
    }
}

#[test]
fn s9_1_3_somebody_of_the_house_who_is_no_contact_as_well() {
    let (mut house, juliet, _) = scene();
    publish_with(&mut house, &juliet, None, TUNE, "current", SONG, OPEN);
    let mallory = house.login("mallory@house/x");
    let (_, ver) = features(&[TUNE]);
    wants(&mut house, &mallory, &[TUNE]);
    publish(&mut house, &juliet, TUNE, "current", SONG);
    house.nothing(&mallory);
    house.send(&mallory, &format!("<presence to='juliet@house'>{}</presence>", caps(&ver)));
    assert_eq!(events(&house.recv(&mallory)).len(), 1);
    publish(&mut house, &juliet, TUNE, "current", SONG);
    assert_eq!(events(&house.recv(&mallory)).len(), 1);
    house.close(&mallory);
    let mallory = house.login("mallory@house/x");
    publish(&mut house, &juliet, TUNE, "current", SONG);
    house.nothing(&mallory);
    // One that shows itself to nobody else is asked as well.
    let nurse = house.login("nurse@house/kitchen");
    let (inside, ver) = features(&[TUNE, "urn:other"]);
    house.send(&nurse, &format!("<presence to='juliet@house'>{}</presence>", caps(&ver)));
    let heard = house.recv(&nurse);
    assert!(answer_disco(&mut house, &nurse, &heard, &inside));
    assert_eq!(events(&house.recv(&nurse)).len(), 1);
}

/// Security B10: nobody is asked who could not know that there is such an account.
#[test]
fn b10_a_question_tells_nobody_that_somebody_is_here() {
    let (mut house, juliet, far) = scene();
    publish(&mut house, &juliet, TUNE, "current", SONG);
    assert_eq!(shows(&mut house, &far, IAGO, &[TUNE]), (false, Vec::new()));
    house.nothing(&far);
    // Nor whom they have blocked.
    publish_with(&mut house, &juliet, None, MOOD, "current", SAD, OPEN);
    house.iq(&juliet, "set", None, "<block xmlns='urn:xmpp:blocking'><item jid='iago@bot.house'/></block>");
    house.recv(&far);
    assert_eq!(shows(&mut house, &far, IAGO, &[MOOD]), (false, Vec::new()));
    assert!(news(&mut house, &juliet, &far, MOOD, SAD).is_empty());
}

/// XEP-0115 5.4.
#[test]
fn d3_what_is_not_proved_is_not_believed_and_strangers_are_so_many() {
    let (mut house, juliet, far) = scene();
    publish_with(&mut house, &juliet, None, TUNE, "current", SONG, OPEN);
    let (_, ver) = features(&[TUNE]);
    house.send(&far, &format!("<presence from='{IAGO}' to='juliet@house'>{}</presence>", caps(&ver)));
    let (lies, _) = features(&[TUNE, MOOD]);
    assert_eq!(answers(&mut house, &far, IAGO, &lies), (true, Vec::new()));
    assert!(news(&mut house, &juliet, &far, TUNE, SONG).is_empty());
    for n in 0..150 {
        shows(&mut house, &far, &format!("p{n}@bot.house/x"), &[TUNE]);
    }
    let heard = news(&mut house, &juliet, &far, TUNE, SONG);
    assert_eq!((heard.len(), heard[0].to().as_deref()), (100, Some("p50@bot.house/x")));
}

#[test]
fn d3_one_stranger_does_not_take_the_places_of_all() {
    let (mut house, juliet, far) = scene();
    publish_with(&mut house, &juliet, None, TUNE, "current", SONG, OPEN);
    shows(&mut house, &far, "viola@bot.house/x", &[TUNE]);
    for n in 0..150 {
        shows(&mut house, &far, &format!("iago@bot.house/{n}"), &[TUNE]);
    }
    let heard = news(&mut house, &juliet, &far, TUNE, SONG);
    let to = |person: &str| heard.iter().filter(|it| it.to().is_some_and(|to| to.starts_with(person))).count();
    assert_eq!((to("viola@"), to("iago@")), (1, 5));
}

/// A room passes on what they have shown to it.
#[test]
fn s9_1_3_whoever_is_met_in_a_room_has_shown_no_presence() {
    let (mut house, juliet, far) = scene();
    publish_with(&mut house, &juliet, None, TUNE, "current", SONG, OPEN);
    let (_, ver) = features(&[TUNE]);
    let occupant = |nick: &str| {
        format!(
            "<presence from='room@bot.house/{nick}' to='{}'>{}\
             <x xmlns='http://jabber.org/protocol/muc#user'><item affiliation='none' role='participant'/></x></presence>",
            juliet.jid,
            caps(&ver)
        )
    };
    house.send(&far, &occupant("iago"));
    house.nothing(&far);
    // Nor when it is known what their client wants.
    assert!(shows(&mut house, &far, IAGO, &[TUNE]).0);
    house.send(&far, &occupant("viola"));
    house.nothing(&far);
    assert_eq!(news(&mut house, &juliet, &far, TUNE, SONG).len(), 1);
}

#[test]
fn d3_one_contact_does_not_take_the_places_of_all() {
    let (mut house, juliet, far) = scene();
    befriend(&mut house, &juliet, &far);
    house.send(&far, "<presence type='subscribe' from='viola@bot.house' to='juliet@house'/>");
    house.send(&juliet, "<presence type='subscribed' to='viola@bot.house'/>");
    house.recv(&juliet);
    house.recv(&far);
    publish(&mut house, &juliet, TUNE, "current", SONG);
    assert_eq!(shows(&mut house, &far, "viola@bot.house/x", &[TUNE]).1.len(), 1);
    for n in 0..30 {
        shows(&mut house, &far, &format!("iago@bot.house/{n}"), &[TUNE]);
    }
    let heard = news(&mut house, &juliet, &far, TUNE, SONG);
    let to = |person: &str| heard.iter().filter(|it| it.to().is_some_and(|to| to.starts_with(person))).count();
    assert_eq!((to("viola@"), to("iago@")), (1, 20));
}

/// Who does not answer keeps nobody from being asked.
#[test]
fn d3_silent_clients_do_not_take_all_questions() {
    let (mut house, juliet, far) = scene();
    befriend(&mut house, &juliet, &far);
    publish_with(&mut house, &juliet, None, TUNE, "current", SONG, OPEN);
    let show = |house: &mut House, from: &str, ver: &str| {
        house.send(&far, &format!("<presence from='{from}' to='juliet@house'>{}</presence>", caps(ver)));
    };
    (0..99).for_each(|n| show(&mut house, &format!("p{n}@bot.house/x"), &format!("none-{n}")));
    assert_eq!(house.recv(&far).len(), 16);
    // They have gone, and still owe an answer.
    for n in 0..50 {
        house.send(&far, &format!("<presence type='unavailable' from='p{n}@bot.house/x' to='juliet@house'/>"));
    }
    let (inside, ver) = features(&[TUNE]);
    for client in ["viola@bot.house/x", IAGO, "iago@bot.house/y"] {
        show(&mut house, client, &ver);
    }
    house.nothing(&far);
    // Our own are asked all the same.
    let phone = house.login("juliet@house/phone");
    assert!(wants(&mut house, &phone, &[TUNE, MOOD]).iter().any(|it| it.as_str().contains("disco#info")));
    // When there is room again contacts are first, and whoever has the same client need not be asked.
    house.advance(Duration::from_secs(60));
    let asked: Vec<Stanza> = house.recv(&far).into_iter().filter(|it| it.as_str().contains("disco#info")).collect();
    assert_eq!(asked.len(), 16);
    let to: Vec<String> = asked.iter().map(|it| it.to().expect("to").into_owned()).collect();
    assert_eq!(to[..3], [IAGO, "iago@bot.house/y", "p50@bot.house/x"]);
    let (id, query) = (asked[0].id().expect("an id"), "http://jabber.org/protocol/disco#info");
    let answer =
        format!("<iq type='result' id='{id}' from='{IAGO}' to='juliet@house'><query xmlns='{query}'>{inside}</query></iq>");
    house.send(&far, &answer);
    let heard: Vec<Stanza> = house.recv(&far).into_iter().filter(|it| it.as_str().contains(SONG)).collect();
    let to: Vec<String> = heard.iter().map(|it| it.to().expect("to").into_owned()).collect();
    assert_eq!(to, [IAGO, "viola@bot.house/x"]);
}

/// They are told by their account then.
#[test]
fn s9_1_2_a_stranger_who_becomes_a_contact_hears_everything_once() {
    let (mut house, juliet, _) = scene();
    publish_with(&mut house, &juliet, None, TUNE, "current", SONG, OPEN);
    let nurse = house.login("nurse@house/kitchen");
    wants(&mut house, &nurse, &[TUNE]);
    let (_, ver) = features(&[TUNE]);
    house.send(&nurse, &format!("<presence to='juliet@house'>{}</presence>", caps(&ver)));
    house.send(&nurse, "<presence type='subscribe' to='juliet@house'/>");
    house.send(&juliet, "<presence type='subscribed' to='nurse@house'/>");
    house.recv(&nurse);
    publish(&mut house, &juliet, TUNE, "current", SONG);
    assert_eq!(events(&house.recv(&nurse)).len(), 1);
}

/// XEP-0060 12.2 (5): a node that becomes open is no news for strangers.
#[test]
fn s12_2_contacts_alone_get_the_last_item_of_a_node_that_opens() {
    let (mut house, juliet, far) = scene();
    befriend(&mut house, &juliet, &far);
    publish_with(&mut house, &juliet, None, MOOD, "current", SAD, OPEN);
    publish_with(&mut house, &juliet, None, TUNE, "current", SONG, &[("access_model", "whitelist")]);
    for client in [IAGO, "viola@bot.house/x"] {
        assert_eq!(shows(&mut house, &far, client, &[TUNE, MOOD]).1.len(), 1);
    }
    configure(&mut house, &juliet, TUNE, OPEN);
    let last: Vec<Stanza> = house.recv(&far).into_iter().filter(|it| it.as_str().contains(SONG)).collect();
    assert_eq!(last.iter().map(|it| it.to().expect("to").into_owned()).collect::<Vec<_>>(), [IAGO]);
}

/// It says nothing of what it is now; and an address without a resource is no client.
#[test]
fn d3_a_late_answer_is_about_what_a_client_was_before() {
    let (mut house, juliet, far) = scene();
    publish_with(&mut house, &juliet, None, TUNE, "current", SONG, OPEN);
    let (of_tune, tune) = features(&[TUNE]);
    let (_, other) = features(&[MOOD]);
    let show = |house: &mut House, from: &str, ver: &str| {
        house.send(&far, &format!("<presence from='{from}' to='juliet@house'>{}</presence>", caps(ver)));
    };
    show(&mut house, IAGO, &tune);
    let question = house.one(&far);
    show(&mut house, IAGO, &other);
    house.recv(&far);
    let (id, query) = (question.id().expect("an id"), "http://jabber.org/protocol/disco#info");
    let answer =
        format!("<iq type='result' id='{id}' from='{IAGO}' to='juliet@house'><query xmlns='{query}'>{of_tune}</query></iq>");
    house.send(&far, &answer);
    house.nothing(&far);
    show(&mut house, "iago@bot.house", &tune);
    house.nothing(&far);
}
