use iris_core::Stanza;
use iris_engine::testing::{Client, House};

use crate::ROOMS;

const COMMANDS: &str = "http://jabber.org/protocol/commands";

fn invite(house: &mut House, who: &Client) -> Stanza {
    let command = format!("<command xmlns='{COMMANDS}' node='urn:xmpp:invite#invite' action='execute'/>");
    house.iq(who, "set", Some(who.jid.domain().as_str()), &command)
}

fn field(answer: &Stanza, var: &str) -> Option<String> {
    let x = answer.children().first().and_then(|child| answer.child_el(child).child("jabber:x:data", "x"))?;
    let found = x.children().find(|field| field.attr("var").as_deref() == Some(var))?;
    Some(found.child("jabber:x:data", "value")?.text().into_owned())
}

fn token_of(answer: &Stanza) -> String {
    let uri = field(answer, "uri").unwrap_or_else(|| panic!("no uri: {}", answer.as_str()));
    let (_, rest) = uri.split_once("preauth=").expect("a token");
    rest.split(';').next().expect("a token").to_owned()
}

fn subscribe(house: &mut House, who: &Client, to: &str, token: &str) {
    let preauth = format!("<preauth xmlns='urn:xmpp:pars:0' token='{token}'/>");
    house.send(who, &format!("<presence type='subscribe' to='{to}'>{preauth}</presence>"));
}

#[test]
fn s4_1_a_user_gets_a_link_at_once() {
    let mut house = House::with(ROOMS);
    let romeo = house.login("romeo@house/orchard");
    let answer = invite(&mut house, &romeo);
    assert!(answer.as_str().contains("status='completed'"), "{}", answer.as_str());
    assert_eq!(field(&answer, "FORM_TYPE").as_deref(), Some("urn:xmpp:invite#invitation"));
    let token = token_of(&answer);
    assert_eq!(field(&answer, "uri"), Some(format!("xmpp:romeo@house?roster;preauth={token};ibr=y")));
    assert_eq!(field(&answer, "landing-url"), Some(format!("https://house:5443/invite/{token}")));
    let code = format!(
        "<value>https://house:5443/invite/{token}</value><media xmlns='urn:xmpp:media-element' height='240' width='240'>\
         <uri type='image/png'>https://house:5443/invite/{token}/qr.png</uri></media>"
    );
    assert!(answer.as_str().contains(&code), "its QR code (XEP-0221): {}", answer.as_str());
    assert!(field(&answer, "expire").is_some_and(|date| date.starts_with("2026-01-08T")), "{}", answer.as_str());
    assert_ne!(token_of(&invite(&mut house, &romeo)), token);
    let list = format!("<query xmlns='http://jabber.org/protocol/disco#items' node='{COMMANDS}'/>");
    let items = house.iq(&romeo, "get", Some("house"), &list);
    assert!(items.as_str().contains("node='urn:xmpp:invite#invite'"), "{}", items.as_str());
    assert!(!items.as_str().contains("create-account"), "that is for administrators");
}

#[test]
fn a_user_has_so_many_links_and_no_more() {
    let mut house = House::with_config(ROOMS, "[xep.invitations]\nopen_per_user_max = 2\n");
    let romeo = house.login("romeo@house/orchard");
    for _ in 0..2 {
        let answer = invite(&mut house, &romeo);
        assert!(field(&answer, "uri").is_some());
    }
    assert!(invite(&mut house, &romeo).as_str().contains("resource-constraint"));
    let stranger = house.login("eve@away/x");
    let command = format!("<command xmlns='{COMMANDS}' node='urn:xmpp:invite#invite'/>");
    assert!(house.iq(&stranger, "set", Some("house"), &command).as_str().contains("forbidden"));
}

#[test]
fn who_may_invite_is_configured() {
    let mut house = House::with_config(ROOMS, "[xep.invitations]\nusers_may_invite = false\n");
    let romeo = house.login("romeo@house/orchard");
    assert!(invite(&mut house, &romeo).as_str().contains("forbidden"));
    let admin = house.login("admin@house/x");
    assert!(field(&invite(&mut house, &admin), "uri").is_some());
}

#[test]
fn s4_4_an_administrator_gives_a_name() {
    let mut house = House::with(ROOMS);
    house.user("romeo@house");
    let (admin, romeo) = (house.login("admin@house/x"), house.login("romeo@house/orchard"));
    let begin = format!("<command xmlns='{COMMANDS}' node='urn:xmpp:invite#create-account' action='execute'/>");
    assert!(house.iq(&romeo, "set", Some("house"), &begin).as_str().contains("forbidden"));
    let submit = |house: &mut House, name: &str, contact: bool| {
        let form = house.iq(&admin, "set", Some("house"), &begin);
        assert!(form.as_str().contains("var='username'") && form.as_str().contains("var='roster-subscription'"));
        let el = form.children().first().map(|child| form.child_el(child)).expect("a command");
        let session = el.attr("sessionid").expect("a session").into_owned();
        let answers = format!(
            "<command xmlns='{COMMANDS}' node='urn:xmpp:invite#create-account' sessionid='{session}'>\
             <x xmlns='jabber:x:data' type='submit'><field var='username'><value>{name}</value></field>\
             <field var='roster-subscription'><value>{contact}</value></field></x></command>"
        );
        house.iq(&admin, "set", Some("house"), &answers)
    };
    let answer = submit(&mut house, "Juliet", true);
    let token = token_of(&answer);
    assert_eq!(field(&answer, "uri"), Some(format!("xmpp:juliet@house?register;preauth={token}")));
    assert!(submit(&mut house, "romeo", false).as_str().contains("conflict"));
    assert!(submit(&mut house, "a b", false).as_str().contains("not-acceptable"));
    assert!(submit(&mut house, "juliet", false).as_str().contains("conflict"), "the name is kept");
    let free = submit(&mut house, "", false);
    assert!(field(&free, "uri").is_some_and(|uri| uri.starts_with("xmpp:house?register;preauth=")));
}

#[test]
fn xep0379_3_who_shows_the_token_becomes_a_contact_once() {
    let mut house = House::with(ROOMS);
    let romeo = house.online("romeo@house/orchard");
    house.iq(&romeo, "get", None, "<query xmlns='jabber:iq:roster'/>");
    let token = token_of(&invite(&mut house, &romeo));
    let juliet = house.online("juliet@away/balcony");
    house.iq(&juliet, "get", None, "<query xmlns='jabber:iq:roster'/>");
    house.recv(&romeo);
    subscribe(&mut house, &juliet, "romeo@house", &token);
    house.send(&juliet, "<presence type='subscribed' to='romeo@house'/>");
    let (his, hers) = (house.hear(&romeo).join(""), house.hear(&juliet).join(""));
    assert!(his.contains("subscription='both'") && hers.contains("subscription='both'"), "{his}\n{hers}");
    assert!(!his.contains("type='subscribe'"), "he was not asked: {his}");
    assert!(hers.contains("from='romeo@house/orchard'"), "she sees him: {hers}");
    // It is used up: the next one asks as everybody does, and what she says is said to him as she said it.
    let rosaline = house.online("rosaline@away/x");
    subscribe(&mut house, &rosaline, "romeo@house", &token);
    let asked = house.one(&romeo);
    assert!(asked.as_str().contains("type='subscribe'") && asked.as_str().contains(&token), "{}", asked.as_str());
}

#[test]
fn xep0379_4_1_a_token_of_a_clients_own_reaches_the_client() {
    let mut house = House::with(ROOMS);
    let romeo = house.online("romeo@house/orchard");
    let juliet = house.online("juliet@away/balcony");
    for token in ["1tMFqYDdKhfe2pwp", "aaaaaaaaaaaaaaaaaaaaaaaaaa"] {
        subscribe(&mut house, &juliet, "romeo@house", token);
        let asked = house.one(&romeo);
        assert!(asked.as_str().contains("type='subscribe'") && asked.as_str().contains(token), "{}", asked.as_str());
        house.send(&romeo, "<presence type='unsubscribed' to='juliet@away'/>");
        house.recv(&juliet);
    }
}

#[test]
fn xep0379_a_token_is_good_with_its_inviter_only_and_not_for_the_blocked() {
    let mut house = House::with(ROOMS);
    let (romeo, mercutio) = (house.online("romeo@house/orchard"), house.online("mercutio@house/square"));
    let token = token_of(&invite(&mut house, &romeo));
    let juliet = house.online("juliet@away/balcony");
    subscribe(&mut house, &juliet, "mercutio@house", &token);
    assert!(house.one(&mercutio).as_str().contains("type='subscribe'"));
    house.iq(&romeo, "set", None, "<block xmlns='urn:xmpp:blocking'><item jid='juliet@away'/></block>");
    house.recv(&romeo);
    subscribe(&mut house, &juliet, "romeo@house", &token);
    house.nothing(&romeo);
    house.iq(&romeo, "set", None, "<unblock xmlns='urn:xmpp:blocking'/>");
    house.recv(&romeo);
    subscribe(&mut house, &juliet, "romeo@house", &token);
    assert!(!house.hear(&romeo).join("").contains("type='subscribe'"), "the token was not used up meanwhile");
}

#[test]
fn whoever_removes_the_account_takes_the_links_along() {
    let mut house = House::with(ROOMS);
    let romeo = house.login("romeo@house/orchard");
    let token = token_of(&invite(&mut house, &romeo));
    house.ask("romeo@house", iris_core::Ask::Remove);
    let id = token.parse::<iris_core::invitation::Token>().expect("a token").id();
    let shown = house.registrar("house", iris_core::registration::Request::Show(id));
    assert!(matches!(
        shown,
        Some(iris_core::registration::Answer::Refused(iris_core::registration::Refused::Invitation(
            iris_core::invitation::Refusal::Gone
        )))
    ));
}

/// XEP-0198: a crash in between would lose what the client believes to be done.
#[test]
fn xep0379_s3_5_a_request_with_a_token_counts_as_handled_when_it_is_kept() {
    let mut house = House::manual(ROOMS);
    let keep_all = |house: &mut House| {
        while house.store.queued() > 0 {
            house.store.commit();
            house.run();
        }
    };
    for user in ["romeo@house", "juliet@house"] {
        house.user(user);
    }
    keep_all(&mut house);
    let romeo = house.try_login("romeo@house/orchard").expect("a session");
    let command = format!("<command xmlns='{COMMANDS}' node='urn:xmpp:invite#invite' action='execute'/>");
    house.send(&romeo, &format!("<iq type='set' id='invite' to='house'>{command}</iq>"));
    keep_all(&mut house);
    let token = token_of(&house.one(&romeo));
    let juliet = house.try_login("juliet@house/balcony").expect("a session");
    house.send(&juliet, "<enable xmlns='urn:xmpp:sm:3'/>");
    house.recv(&juliet);
    keep_all(&mut house);
    house.recv(&juliet);
    subscribe(&mut house, &juliet, "romeo@house", &token);
    house.send(&juliet, "<r xmlns='urn:xmpp:sm:3'/>");
    let handled = |house: &mut House| {
        let said = house.recv(&juliet).into_iter().find(|said| said.is("urn:xmpp:sm:3", "a"));
        said.and_then(|said| said.attr("h").map(|h| h.into_owned()))
    };
    // Her own side is on disk, his is not: the answer waits for it.
    assert!(house.store.commit_one());
    house.run();
    assert_eq!(handled(&mut house), None);
    keep_all(&mut house);
    assert_eq!(handled(&mut house).as_deref(), Some("1"));
    let mut later = house.restart(ROOMS, std::time::Duration::from_secs(1));
    let there = later.login("romeo@house/later");
    let roster = later.iq(&there, "get", None, "<query xmlns='jabber:iq:roster'/>");
    assert!(roster.as_str().contains("jid='juliet@house'"), "{}", roster.as_str());
}
