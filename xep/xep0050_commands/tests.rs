use std::rc::Rc;
use std::time::Duration;

use iris_core::command::{Command, Done, Next, Note, Who};
use iris_core::form::{Field, Form};
use iris_core::{Ask, Bounce, Card, Condition, Mount, MountError, Room, Stanza, Status};
use iris_engine::testing::{Client, House};

use super::NS;
use crate::xep0030_disco;

/// Commands to test with: one with two steps for everybody, one that fails, one for administrators.
const SHOP: Room =
    Room { card: Card { xep: None, name: "Shop", version: "0", status: Status::Complete, needs: &[] }, mount: shop };

fn shop(m: &mut Mount<'_>) -> Result<(), MountError> {
    m.command(Command::new("order", "Order something", Who::User, |stage, cx| async move {
        let fruit = stage.state::<String>().cloned();
        match (stage.form, fruit) {
            (None, _) => Ok(Next::Ask {
                form: Form::new("Order", "")
                    .field(Field::choice("fruit", "Fruit", [("Apple", "apple"), ("Pear", "pear")]).required()),
                state: Rc::new(()),
                more: true,
            }),
            (Some(answers), None) => Ok(Next::Ask {
                form: Form::new("Order", "").field(Field::text("number", "How many").required()),
                state: Rc::new(answers.text("fruit").unwrap_or_default().to_owned()),
                more: false,
            }),
            (Some(answers), Some(fruit)) => {
                let number = answers.text("number").unwrap_or_default().to_owned();
                if number == "0" {
                    return Err(Bounce::bad_request("number: none at all?"));
                }
                // A question on the way.
                let known = cx.ask(stage.caller.to_bare(), Ask::Account).await;
                assert!(matches!(known, iris_core::AskAnswer::Account(_)), "{known:?}");
                Ok(Next::Done(Done::empty().note(Note::Info, format!("{number} {fruit}"))))
            }
        }
    }))?;
    m.command(Command::plain("fail", "Fail", Who::User, |_, _| async { Err(Bounce::new(Condition::Conflict).text("no")) }))?;
    m.command(Command::plain("close", "Close the shop", Who::Admin, |_, _| async {
        Ok(Done::empty().form(&Form::default().field(Field::text("n", "N").value("1"))))
    }))
}

const ROOMS: &[Room] = &[xep0030_disco::ROOM, super::ROOM, SHOP];

fn command(house: &mut House, who: &Client, to: &str, attrs: &str, inside: &str) -> Stanza {
    house.iq(who, "set", Some(to), &format!("<command xmlns='{NS}' {attrs}>{inside}</command>"))
}

fn submit(fields: &str) -> String {
    format!("<x xmlns='jabber:x:data' type='submit'>{fields}</x>")
}

fn session(answer: &Stanza) -> String {
    let command = answer.child_named(NS, "command").unwrap_or_else(|| panic!("{}", answer.as_str()));
    answer.child_el(command).attr("sessionid").expect("a session").into_owned()
}

fn status(answer: &Stanza) -> String {
    let command = answer.child_named(NS, "command").unwrap_or_else(|| panic!("{}", answer.as_str()));
    answer.child_el(command).attr("status").expect("a status").into_owned()
}

fn begun(house: &mut House, who: &Client, to: &str) -> String {
    session(&command(house, who, to, "node='order' action='execute'", ""))
}

const APPLE: &str = "<field var='fruit'><value>apple</value></field>";
const THREE: &str = "<field var='number'><value>3</value></field>";

#[test]
fn s2_2_the_list_shows_what_the_caller_may_do_and_each_node_says_what_it_is() {
    let mut house = House::with(ROOMS);
    let romeo = house.online("romeo@house/orchard");
    let admin = house.online("admin@house/desk");
    let items = format!("<query xmlns='http://jabber.org/protocol/disco#items' node='{NS}'/>");
    for to in ["house", "romeo@house"] {
        let heard = house.iq(&romeo, "get", Some(to), &items);
        assert!(
            heard.as_str().contains(&format!("<item jid='{to}' node='order' name='Order something'/>")),
            "{}",
            heard.as_str()
        );
        assert!(!heard.as_str().contains("node='close'"));
    }
    for to in ["house", "admin@house"] {
        let heard = house.iq(&admin, "get", Some(to), &items);
        assert!(
            heard.as_str().contains(&format!("<item jid='{to}' node='close' name='Close the shop'/>")),
            "{}",
            heard.as_str()
        );
        assert_eq!(heard.from().as_deref(), Some(to));
    }
    let info = |node: &str| format!("<query xmlns='http://jabber.org/protocol/disco#info' node='{node}'/>");
    for to in ["house", "romeo@house"] {
        let heard = house.iq(&romeo, "get", Some(to), &info(NS));
        assert!(heard.as_str().contains("category='automation' type='command-list'"), "{}", heard.as_str());
        let heard = house.iq(&romeo, "get", Some(to), &info("order"));
        assert!(heard.as_str().contains("type='command-node' name='Order something'"), "{}", heard.as_str());
        assert!(heard.as_str().contains(&format!("<feature var='{NS}'/>")) && heard.as_str().contains("jabber:x:data"));
        assert!(house.iq(&romeo, "get", Some(to), &info("close")).as_str().contains("forbidden"));
        assert!(house.iq(&romeo, "get", Some(to), &info("nothing")).as_str().contains("item-not-found"));
    }
    // What is somebody else's is not shown: nobody is there.
    assert!(house.iq(&romeo, "get", Some("admin@house"), &items).as_str().contains("service-unavailable"));
    let plain = "<query xmlns='http://jabber.org/protocol/disco#info'/>";
    assert!(house.iq(&romeo, "get", Some("house"), plain).as_str().contains(&format!("<feature var='{NS}'/>")));
    assert!(house.iq(&romeo, "get", None, plain).as_str().contains(&format!("<feature var='{NS}'/>")));
}

#[test]
fn s2_4_2_a_command_goes_through_its_steps_and_back() {
    let mut house = House::with(ROOMS);
    for (who, to) in [("romeo@house/x", "house"), ("juliet@house/x", "house"), ("romeo@house/y", "romeo@house")] {
        let client = house.online(who);
        let first = command(&mut house, &client, to, "node='order'", "");
        assert_eq!(first.from().as_deref(), Some(to));
        assert!(first.as_str().contains("<actions execute='next'><next/></actions>"), "{}", first.as_str());
        assert!(first.as_str().contains("status='executing'") && first.as_str().contains("type='form'"));
        let id = session(&first);
        assert!(id.len() >= 32, "128 bits: {id}");
        let attrs = format!("node='order' sessionid='{id}'");
        let second = command(&mut house, &client, to, &format!("{attrs} action='next'"), &submit(APPLE));
        assert_eq!(session(&second), id);
        assert!(second.as_str().contains("<actions execute='complete'><prev/><complete/></actions>"), "{}", second.as_str());
        let back = command(&mut house, &client, to, &format!("{attrs} action='prev'"), "");
        assert!(back.as_str().contains("var='fruit'") && back.as_str().contains("<next/>"), "{}", back.as_str());
        let pear = "<field var='fruit'><value>pear</value></field>";
        command(&mut house, &client, to, &attrs, &submit(pear));
        let done = command(&mut house, &client, to, &attrs, &submit(THREE));
        assert_eq!((status(&done).as_str(), session(&done)), ("completed", id));
        assert!(done.as_str().contains("<note type='info'>3 pear</note>"), "{}", done.as_str());
        assert!(done.as_str().contains("xml:lang='en'"));
    }
}

/// Conversations asks for an invitation so, since it wants nothing but the result.
#[test]
fn s2_4_a_command_may_begin_with_what_it_is_to_end_with() {
    let mut house = House::with(ROOMS);
    let (romeo, admin) = (house.online("romeo@house/orchard"), house.online("admin@house/desk"));
    let done = command(&mut house, &admin, "house", "node='close' action='complete'", "");
    assert_eq!(status(&done), "completed");
    // What has questions asks them.
    let asked = command(&mut house, &romeo, "house", "node='order' action='complete'", "");
    assert_eq!(status(&asked), "executing");
}

#[test]
fn s2_4_1_a_command_without_steps_is_completed_at_once() {
    let mut house = House::with(ROOMS);
    let admin = house.online("admin@house/desk");
    let done = command(&mut house, &admin, "house", "node='close'", "");
    assert_eq!(status(&done), "completed");
    assert!(done.as_str().contains("type='result'"), "{}", done.as_str());
    let over = format!("node='close' sessionid='{}'", session(&done));
    assert!(command(&mut house, &admin, "house", &over, "").as_str().contains("session-expired"));
}

#[test]
fn s2_5_a_canceled_command_is_over() {
    let mut house = House::with(ROOMS);
    let romeo = house.online("romeo@house/orchard");
    let id = begun(&mut house, &romeo, "house");
    let attrs = format!("node='order' sessionid='{id}'");
    let heard = command(&mut house, &romeo, "house", &format!("{attrs} action='cancel'"), "");
    assert_eq!((status(&heard).as_str(), session(&heard)), ("canceled", id));
    let late = command(&mut house, &romeo, "house", &attrs, &submit(APPLE));
    assert!(late.as_str().contains("<not-allowed") && late.as_str().contains("<session-expired xmlns="), "{}", late.as_str());
}

#[test]
fn s4_4_every_mistake_has_its_condition() {
    let mut house = House::with(ROOMS);
    let romeo = house.online("romeo@house/orchard");
    let id = begun(&mut house, &romeo, "house");
    let attrs = format!("node='order' sessionid='{id}'");
    let mut says = |attrs: &str, inside: &str, general: &str, own: &str| {
        let heard = command(&mut house, &romeo, "house", attrs, inside);
        let text = heard.as_str();
        assert!(text.contains("type='error'") && text.contains(&format!("<{general} ")), "{attrs}: {text}");
        assert!(own.is_empty() || text.contains(&format!("<{own} xmlns='{NS}'/>")), "{attrs}: {text}");
    };
    says("node='nothing'", "", "item-not-found", "");
    says("", "", "bad-request", "");
    says("node='order' action='dance'", "", "bad-request", "malformed-action");
    says("node='order' action='next'", "", "bad-request", "bad-action");
    says("node='order' sessionid='unknown'", &submit(APPLE), "bad-request", "bad-sessionid");
    says(&format!("node='fail' sessionid='{id}'"), &submit(APPLE), "bad-request", "bad-sessionid");
    says(&format!("{attrs} action='prev'"), "", "bad-request", "bad-action");
    says(&format!("{attrs} action='complete'"), &submit(APPLE), "bad-request", "bad-action");
    says(&attrs, "", "bad-request", "bad-payload");
    says(&attrs, &submit(""), "bad-request", "bad-payload");
    says(&attrs, &submit("<field var='fruit'><value>stone</value></field>"), "bad-request", "bad-payload");
    says("node='fail'", "", "conflict", "");
    // None of that has ended the command; nor does a step that does not like the answers.
    command(&mut house, &romeo, "house", &attrs, &submit(APPLE));
    let none = submit("<field var='number'><value>0</value></field>");
    let heard = command(&mut house, &romeo, "house", &attrs, &none);
    assert!(heard.as_str().contains("bad-payload") && heard.as_str().contains("none at all?"), "{}", heard.as_str());
    assert_eq!(status(&command(&mut house, &romeo, "house", &attrs, &submit(THREE))), "completed");
}

#[test]
fn d11_a_command_is_for_whom_it_is_and_its_session_for_who_began_it() {
    let mut house = House::with(ROOMS);
    let admin = house.online("admin@house/desk");
    let romeo = house.online("romeo@house/orchard");
    let other_domain = house.online("admin@away/desk");
    for client in [&romeo, &other_domain] {
        let heard = command(&mut house, client, "house", "node='close'", "");
        assert!(heard.as_str().contains("<forbidden "), "{}", heard.as_str());
    }
    let heard = command(&mut house, &romeo, "romeo@house", "node='close'", "");
    assert!(heard.as_str().contains("<forbidden "), "{}", heard.as_str());
    // A user of another domain is no user of this one.
    assert!(command(&mut house, &other_domain, "house", "node='order'", "").as_str().contains("<forbidden "));
    // Nor is anybody served at somebody else's address.
    let heard = command(&mut house, &romeo, "admin@house", "node='close'", "");
    assert!(heard.as_str().contains("service-unavailable"), "{}", heard.as_str());
    let id = begun(&mut house, &admin, "house");
    let attrs = format!("node='order' sessionid='{id}'");
    let same_account = house.online("admin@house/phone");
    for client in [&romeo, &same_account] {
        for (action, inside) in [("execute", submit(APPLE)), ("cancel", String::new())] {
            let heard = command(&mut house, client, "house", &format!("{attrs} action='{action}'"), &inside);
            assert!(heard.as_str().contains("<forbidden "), "{}", heard.as_str());
        }
    }
    // It is still there for who began it.
    assert_eq!(status(&command(&mut house, &admin, "house", &attrs, &submit(APPLE))), "executing");
    command(&mut house, &admin, "house", &attrs, &submit(THREE));
    assert!(command(&mut house, &romeo, "house", &attrs, "").as_str().contains("<forbidden "), "also when it is over");
}

#[test]
fn a_command_that_waits_too_long_is_over_and_nobody_has_too_many() {
    let mut house = House::with(ROOMS);
    let romeo = house.online("romeo@house/orchard");
    let id = begun(&mut house, &romeo, "house");
    house.advance(Duration::from_secs(601));
    let heard = command(&mut house, &romeo, "house", &format!("node='order' sessionid='{id}'"), &submit(APPLE));
    assert!(heard.as_str().contains("session-expired"), "{}", heard.as_str());
    let ids: Vec<String> = (0..17).map(|_| begun(&mut house, &romeo, "house")).collect();
    let mut unique = ids.clone();
    unique.sort();
    unique.dedup();
    assert_eq!(unique.len(), 17);
    let heard = command(&mut house, &romeo, "house", &format!("node='order' sessionid='{}'", ids[0]), &submit(APPLE));
    assert!(heard.as_str().contains("session-expired"), "the oldest has made room: {}", heard.as_str());
    let heard = command(&mut house, &romeo, "house", &format!("node='order' sessionid='{}'", ids[1]), &submit(APPLE));
    assert_eq!(status(&heard), "executing");
}
