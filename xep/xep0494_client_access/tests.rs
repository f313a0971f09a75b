use iris_core::clients::{Admission, Token, Used, UserAgent, Ways};
use iris_core::{Ask, AskAnswer, Stanza};
use iris_engine::testing::House;

use super::NS;
use crate::ROOMS;

const JULIET: &str = "juliet@house";

/// The client `agent` comes in: by a token when it has one.
fn admit(house: &mut House, agent: u128, way: Ways) {
    let agent = UserAgent { id: Some(agent), software: Some("Gajim <3".into()), device: Some("laptop".into()) };
    let token = Token { mechanism: 1, mask: [1; 16], sealed: [1; 32], issued_us: 0, expires_us: 0, count: None };
    let id = format!("client{}", agent.id.unwrap_or_default());
    let first = Admission { agent, login_us: None, way, used: None, token: Some(token), asked: true, id };
    let answer = house.ask(JULIET, Ask::Admit(Box::new(first)));
    assert!(matches!(answer, Some(AskAnswer::Admitted(_))), "{answer:?}");
}

fn clients(stanza: &Stanza) -> Vec<String> {
    stanza.as_str().split("<client ").skip(1).map(str::to_owned).collect()
}

#[test]
fn s3_1_clients_are_listed_with_what_is_known_of_them() {
    let mut house = House::with(ROOMS);
    let old = house.login("juliet@house/old&amp;".replace("&amp;", "&").as_str());
    admit(&mut house, 7, Ways::PASSWORD);
    let (_, _) = house.bind2("juliet@house/new", Some(7), "");
    let answer = house.iq(&old, "get", None, &format!("<list xmlns='{NS}'/>"));
    let listed = clients(&answer);
    assert_eq!(listed.len(), 3, "{listed:?}");
    assert!(listed[0].contains("id='client7'") && listed[0].contains("<auth><password/><fast/></auth>"), "{}", listed[0]);
    assert!(listed[0].contains("<software>Gajim &lt;3</software><device>laptop</device>"), "{}", listed[0]);
    assert!(listed[0].contains("<permission status='unrestricted'/>") && listed[0].contains("<first-seen>2026-01-01T00:00:0"));
    assert!(listed[1].contains("connected='true'") && listed[1].contains("old&amp;"), "{}", listed[1]);
}

/// "Lists the known authentication methods that the client has used to gain access": a guest has used none (XEP-0175).
#[test]
fn s3_1_a_guest_has_shown_no_password() {
    let mut house = House::with_config(ROOMS, "[xep.anonymous]\ndomains = [\"house\"]\n");
    assert_eq!(house.ask("c0ffee@house", Ask::Guest(None)), Some(AskAnswer::Done));
    let guest = house.try_login("c0ffee@house/here").expect("a session");
    let listed = clients(&house.iq(&guest, "get", None, &format!("<list xmlns='{NS}'/>")));
    assert!(listed.len() == 1 && listed[0].contains("<auth/>"), "{listed:?}");
}

#[test]
fn s3_2_a_revoked_client_loses_its_session_and_its_token() {
    let mut house = House::with(ROOMS);
    let mine = house.login("juliet@house/mine");
    admit(&mut house, 7, Ways::TOKEN);
    let (theirs, _) = house.bind2_as("juliet@house/theirs", "client7");
    let listed = clients(&house.iq(&mine, "get", None, &format!("<list xmlns='{NS}'/>")));
    assert!(listed[0].contains("connected='true'") && listed[0].contains("<auth><fast/></auth>"), "{}", listed[0]);
    let answer = house.iq(&mine, "set", None, &format!("<revoke xmlns='{NS}' id='client7'/>"));
    assert!(answer.as_str().contains("type='result'"), "{}", answer.as_str());
    let session = house.shards[usize::from(theirs.at.shard)].session(theirs.at);
    assert!(session.is_none_or(|session| session.over.is_some()));
    assert!(matches!(house.ask(JULIET, Ask::Tokens { agent: 7 }), Some(AskAnswer::Tokens(_, tokens)) if tokens.is_empty()));
    let used = Some(Used { mask: [1; 16], count: None, invalidate: false });
    let agent = UserAgent { id: Some(7), ..UserAgent::default() };
    let again = Admission { agent, login_us: None, way: Ways::TOKEN, used, token: None, asked: false, id: "x".into() };
    assert!(matches!(house.ask(JULIET, Ask::Admit(Box::new(again))), Some(AskAnswer::TokenRefused(_))));
    let listed = clients(&house.iq(&mine, "get", None, &format!("<list xmlns='{NS}'/>")));
    assert_eq!(listed.len(), 1, "only mine: {listed:?}");
}

#[test]
fn s3_2_who_has_the_password_can_come_again_and_that_is_told() {
    let mut house = House::with(ROOMS);
    let mine = house.login("juliet@house/mine");
    let other = house.login("juliet@house/other");
    let answer = house.iq(&mine, "set", None, &format!("<revoke xmlns='{NS}' id='resource:other'/>"));
    assert!(answer.as_str().contains("<service-unavailable ") && answer.as_str().contains("<password-reset-required "));
    let session = house.shards[usize::from(other.at.shard)].session(other.at);
    assert!(session.is_none_or(|session| session.over.is_some()), "its session has ended all the same");
    let answer = house.iq(&mine, "set", None, &format!("<revoke xmlns='{NS}' id='nobody'/>"));
    assert!(answer.as_str().contains("<item-not-found "), "{}", answer.as_str());
    let answer = house.iq(&mine, "set", None, &format!("<revoke xmlns='{NS}'/>"));
    assert!(answer.as_str().contains("<bad-request "), "{}", answer.as_str());
}

#[test]
fn nobody_sees_or_revokes_the_clients_of_others() {
    let mut house = House::with(ROOMS);
    house.friends("romeo@house", JULIET);
    let romeo = house.online("romeo@house/orchard");
    let juliet = house.online("juliet@house/balcony");
    house.recv(&romeo);
    for (kind, payload) in
        [("get", "<list xmlns='urn:xmpp:cam:0'/>"), ("set", "<revoke xmlns='urn:xmpp:cam:0' id='resource:balcony'/>")]
    {
        let answer = house.iq(&romeo, kind, Some(JULIET), payload);
        assert!(answer.as_str().contains("<service-unavailable "), "{}", answer.as_str());
    }
    let session = house.shards[usize::from(juliet.at.shard)].session(juliet.at);
    assert!(session.is_some_and(|session| session.over.is_none()));
}

fn node(house: &mut House, who: &iris_engine::testing::Client, node: &str, attrs: &str, inside: &str) -> Stanza {
    let ns = "http://jabber.org/protocol/commands";
    house.iq(who, "set", Some("house"), &format!("<command xmlns='{ns}' node='{node}' {attrs}>{inside}</command>"))
}

fn session(answer: &Stanza) -> String {
    let (_, rest) = answer.as_str().split_once("sessionid='").unwrap_or_else(|| panic!("{}", answer.as_str()));
    rest.split_once('\'').expect("its end").0.to_owned()
}

fn submit(fields: &str) -> String {
    format!("<x xmlns='jabber:x:data' type='submit'>{fields}</x>")
}

fn is_over(house: &House, client: &iris_engine::testing::Client) -> bool {
    house.shards[usize::from(client.at.shard)].session(client.at).is_none_or(|session| session.over.is_some())
}

#[test]
fn all_clients_but_mine_are_logged_out_at_once() {
    let mut house = House::with(ROOMS);
    let other = house.login("juliet@house/other");
    admit(&mut house, 7, Ways::TOKEN);
    let (mine, _) = house.bind2_as("juliet@house/mine", "client7");
    admit(&mut house, 8, Ways::TOKEN);
    let (theirs, _) = house.bind2_as("juliet@house/theirs", "client8");
    let asked = node(&mut house, &mine, "clients", "", "");
    for part in ["type='list-multi'", "Gajim &lt;3, laptop (this one)", "Gajim &lt;3, laptop (connected)", "other (connected)"]
    {
        assert!(asked.as_str().contains(part), "{part}: {}", asked.as_str());
    }
    let id = session(&asked);
    let all = submit("<field var='others'><value>1</value></field>");
    let answer = node(&mut house, &mine, "clients", &format!("sessionid='{id}'"), &all);
    assert!(answer.as_str().contains("2 clients were logged out") && answer.as_str().contains("Whoever knows the password"));
    assert!(is_over(&house, &theirs) && is_over(&house, &other) && !is_over(&house, &mine));
    for (agent, left) in [(7, 1), (8, 0)] {
        let answer = house.ask(JULIET, Ask::Tokens { agent });
        assert!(matches!(&answer, Some(AskAnswer::Tokens(_, tokens)) if tokens.len() == left), "{agent}: {answer:?}");
    }
}

#[test]
fn one_client_is_chosen_and_only_among_those_that_were_shown() {
    let mut house = House::with(ROOMS);
    let mine = house.login("juliet@house/mine");
    let other = house.login("juliet@house/other");
    let third = house.login("juliet@house/third");
    let id = session(&node(&mut house, &mine, "clients", "", ""));
    let chosen = |id: &str| submit(&format!("<field var='clients'><value>{id}</value></field>"));
    let wrong = node(&mut house, &mine, "clients", &format!("sessionid='{id}'"), &chosen("resource:nobody"));
    assert!(wrong.as_str().contains("type='error'"), "{}", wrong.as_str());
    let answer = node(&mut house, &mine, "clients", &format!("sessionid='{id}'"), &chosen("resource:other"));
    assert!(answer.as_str().contains("1 clients were logged out"), "{}", answer.as_str());
    assert!(is_over(&house, &other) && !is_over(&house, &mine) && !is_over(&house, &third));
}

#[test]
fn s5_an_administrator_logs_out_all_clients_of_a_user_and_nobody_else_does() {
    let mut house = House::with(ROOMS);
    let juliet = house.login("juliet@house/balcony");
    admit(&mut house, 7, Ways::TOKEN);
    let romeo = house.login("romeo@house/orchard");
    let admin = house.login("admin@house/desk");
    let refused = node(&mut house, &romeo, "clients-of-user", "", "");
    assert!(refused.as_str().contains("<forbidden "), "{}", refused.as_str());
    let id = session(&node(&mut house, &admin, "clients-of-user", "", ""));
    let of = |jid: &str| submit(&format!("<field var='accountjids'><value>{jid}</value></field>"));
    let elsewhere = node(&mut house, &admin, "clients-of-user", &format!("sessionid='{id}'"), &of("juliet@away"));
    assert!(elsewhere.as_str().contains("is not an account of house"), "{}", elsewhere.as_str());
    let id = session(&node(&mut house, &admin, "clients-of-user", "", ""));
    let answer = node(&mut house, &admin, "clients-of-user", &format!("sessionid='{id}'"), &of(JULIET));
    assert!(answer.as_str().contains("All their clients were logged out"), "{}", answer.as_str());
    assert!(is_over(&house, &juliet) && !is_over(&house, &romeo));
    assert!(matches!(house.ask(JULIET, Ask::Tokens { agent: 7 }), Some(AskAnswer::Tokens(_, tokens)) if tokens.is_empty()));
}
