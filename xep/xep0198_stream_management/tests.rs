use std::time::{Duration, Instant};

use iris_core::limits::Limits;
use iris_core::{Stanza, effects::StreamError};
use iris_engine::shard::ResumeError;
use iris_engine::testing::constant_time::{alike, bent};
use iris_engine::testing::{Client, House};

use crate::ROOMS;

const ROMEO: &str = "romeo@house/orchard";
const JULIET: &str = "juliet@house/balcony";
const R: &str = "<r xmlns='urn:xmpp:sm:3'/>";

/// Romeo, and Juliet whose session can be resumed by this id.
fn begin() -> (House, Client, Client, String) {
    let mut house = House::with(ROOMS);
    let romeo = house.online(ROMEO);
    let juliet = house.online(JULIET);
    let id = enable(&mut house, &juliet);
    (house, romeo, juliet, id)
}

fn enable(house: &mut House, client: &Client) -> String {
    house.send(client, "<enable xmlns='urn:xmpp:sm:3' resume='true'/>");
    let enabled = house.recv(client);
    assert!(enabled[0].is("urn:xmpp:sm:3", "enabled"), "{}", enabled[0].as_str());
    assert_eq!(enabled[0].attr("resume").as_deref(), Some("true"));
    enabled[0].attr("id").expect("an id").into_owned()
}

fn say(house: &mut House, from: &Client, to: &str, id: &str) {
    house.send(from, &format!("<message to='{to}' type='chat' id='{id}'><body>x</body></message>"));
}

/// The ids of the messages with a body that the client was sent.
fn heard(house: &mut House, client: &Client) -> Vec<String> {
    let all = house.recv(client);
    let is_body = |it: &&Stanza| it.children().iter().any(|child| it.child_local(child) == "body");
    all.iter().filter(is_body).filter_map(|it| it.id()).map(|id| id.into_owned()).collect()
}

/// What the stream is told when the client says this.
fn told(house: &mut House, client: &Client, xml: &str) -> Result<(), StreamError> {
    let now = house.now;
    let shard = &mut house.shards[usize::from(client.at.shard)];
    let names = shard.house().names.clone();
    let stanza = Stanza::parse(xml.as_bytes(), &names).expect("XML");
    shard.receive(now, client.at, stanza, || "random".into())
}

#[test]
fn s3_enabling_twice_fails() {
    let (mut house, _, juliet, _) = begin();
    house.send(&juliet, "<enable xmlns='urn:xmpp:sm:3'/>");
    let answer = house.recv(&juliet);
    assert!(answer[0].is("urn:xmpp:sm:3", "failed") && answer[0].as_str().contains("unexpected-request"));
    // The first one holds.
    house.send(&juliet, R);
    assert!(house.recv(&juliet).iter().any(|it| it.is("urn:xmpp:sm:3", "a")));
}

#[test]
fn s3_without_resume_there_is_no_id_to_resume_with() {
    let mut house = House::with(ROOMS);
    let juliet = house.online(JULIET);
    house.send(&juliet, "<enable xmlns='urn:xmpp:sm:3'/>");
    let enabled = house.recv(&juliet);
    assert_eq!((enabled[0].attr("id"), enabled[0].attr("resume")), (None, None));
    house.cut(&juliet);
    assert!(house.resume(&juliet, "", 0).expect("an answer").is_err());
}

#[test]
fn s4_h_counts_stanzas_since_enabling_and_nothing_else() {
    let mut house = House::with(ROOMS);
    let romeo = house.online(ROMEO);
    say(&mut house, &romeo, "nobody@house", "before");
    house.recv(&romeo);
    enable(&mut house, &romeo);
    say(&mut house, &romeo, "nobody@house", "1");
    house.send(&romeo, "<presence/>");
    house.send(&romeo, "<active xmlns='urn:xmpp:csi:0'/>");
    house.send(&romeo, "<iq type='get' id='x' to='house'><ping xmlns='urn:xmpp:ping'/></iq>");
    house.send(&romeo, R);
    let heard = house.recv(&romeo);
    let acks: Vec<_> = heard.iter().filter(|it| it.is("urn:xmpp:sm:3", "a")).filter_map(|it| it.attr("h")).collect();
    assert_eq!(acks, ["3"]);
}

#[test]
fn s4_the_server_asks_for_acks() {
    let (mut house, romeo, juliet, _) = begin();
    say(&mut house, &romeo, "juliet@house", "1");
    assert!(house.recv(&juliet).iter().any(|it| it.is("urn:xmpp:sm:3", "r")));
}

#[test]
fn s5_what_was_acknowledged_is_not_sent_again_and_the_rest_is_in_order() {
    let (mut house, romeo, juliet, id) = begin();
    for body in ["1", "2", "3"] {
        say(&mut house, &romeo, "juliet@house", body);
    }
    assert_eq!(heard(&mut house, &juliet), ["1", "2", "3"]);
    house.send(&juliet, "<a xmlns='urn:xmpp:sm:3' h='1'/>");
    house.cut(&juliet);
    say(&mut house, &romeo, "juliet@house", "4");
    let (juliet, h) = house.resume(&juliet, &id, 2).expect("an answer").expect("resumed");
    assert_eq!(h, 0);
    assert_eq!(heard(&mut house, &juliet), ["3", "4"]);
    // It goes on as before.
    say(&mut house, &romeo, "juliet@house", "5");
    assert_eq!(heard(&mut house, &juliet), ["5"]);
}

#[test]
fn s5_h_tells_the_client_what_the_server_has() {
    let (mut house, _, juliet, id) = begin();
    say(&mut house, &juliet, "romeo@house", "1");
    say(&mut house, &juliet, "romeo@house", "2");
    house.cut(&juliet);
    let (_, h) = house.resume(&juliet, &id, 0).expect("an answer").expect("resumed");
    assert_eq!(h, 2);
}

#[test]
fn s5_nobody_sees_a_detached_session_go_until_its_time_is_over() {
    let mut house = House::with(ROOMS);
    house.friends("romeo@house", "juliet@house");
    let romeo = house.online(ROMEO);
    let juliet = house.online(JULIET);
    enable(&mut house, &juliet);
    house.recv(&romeo);
    house.cut(&juliet);
    house.nothing(&romeo);
    house.advance(Limits::default().resume_timeout + Duration::from_secs(1));
    assert!(house.hear(&romeo).iter().any(|it| it.contains("unavailable") && it.contains(JULIET)));
}

#[test]
fn s4_what_was_never_acknowledged_goes_to_another_resource() {
    let (mut house, romeo, juliet, id) = begin();
    say(&mut house, &romeo, JULIET, "to her balcony");
    house.recv(&juliet);
    house.cut(&juliet);
    let chamber = house.online("juliet@house/chamber");
    house.nothing(&chamber);
    house.advance(Limits::default().resume_timeout + Duration::from_secs(1));
    assert_eq!(heard(&mut house, &chamber), ["to her balcony"]);
    assert_eq!(house.resume(&juliet, &id, 0).expect("an answer").err(), Some(ResumeError::NotFound));
}

#[test]
fn s4_what_was_acknowledged_goes_to_nobody_else() {
    let (mut house, romeo, juliet, _) = begin();
    say(&mut house, &romeo, JULIET, "to her balcony");
    house.recv(&juliet);
    house.send(&juliet, "<a xmlns='urn:xmpp:sm:3' h='1'/>");
    house.cut(&juliet);
    let chamber = house.online("juliet@house/chamber");
    house.advance(Limits::default().resume_timeout + Duration::from_secs(1));
    assert!(heard(&mut house, &chamber).is_empty());
}

#[test]
fn s6_d1_who_acknowledges_more_than_was_sent_loses_the_stream() {
    let (mut house, romeo, juliet, _) = begin();
    say(&mut house, &romeo, "juliet@house", "1");
    house.recv(&juliet);
    let error = told(&mut house, &juliet, "<a xmlns='urn:xmpp:sm:3' h='10'/>").expect_err("the stream ends").to_xml();
    assert!(error.contains("<undefined-condition xmlns='urn:ietf:params:xml:ns:xmpp-streams'/>"), "{error}");
    assert!(error.contains("<handled-count-too-high xmlns='urn:xmpp:sm:3' h='10' send-count='1'/>"), "{error}");
    assert!(told(&mut house, &juliet, "<a xmlns='urn:xmpp:sm:3'/>").is_err(), "an <a/> needs an h");
}

#[test]
fn d1_a_resume_with_too_high_an_h_is_refused_and_the_session_stays() {
    let (mut house, romeo, juliet, id) = begin();
    say(&mut house, &romeo, "juliet@house", "1");
    house.recv(&juliet);
    house.cut(&juliet);
    assert!(matches!(house.resume(&juliet, &id, 7).expect("an answer"), Err(ResumeError::TooMany(_))));
    let (juliet, _) = house.resume(&juliet, &id, 0).expect("an answer").expect("resumed");
    assert_eq!(heard(&mut house, &juliet), ["1"]);
}

/// XEP-0198 section 4: `h` is an unsigned int of 32 bits that wraps.
#[test]
fn d1_h_goes_on_at_zero_after_two_to_the_thirty_second() {
    let (mut house, romeo, juliet, id) = begin();
    let shard = &mut house.shards[usize::from(juliet.at.shard)];
    shard.session_mut(juliet.at).expect("a session").count_from(u32::MAX - 1);
    for number in 1..=4 {
        say(&mut house, &romeo, "juliet@house", &number.to_string());
    }
    assert_eq!(heard(&mut house, &juliet), ["1", "2", "3", "4"]);
    told(&mut house, &juliet, "<a xmlns='urn:xmpp:sm:3' h='0'/>").expect("two of them are there");
    for _ in 0..3 {
        house.send(&juliet, "<message to='romeo@house' type='chat'><body>x</body></message>");
    }
    house.recv(&juliet);
    house.send(&juliet, R);
    let answer = house.recv(&juliet);
    assert!(answer.iter().any(|it| it.attr("h").as_deref() == Some("1")), "{answer:?}");
    house.cut(&juliet);
    assert!(matches!(house.resume(&juliet, &id, 3).expect("an answer"), Err(ResumeError::TooMany(_))));
    let (juliet, _) = house.resume(&juliet, &id, 1).expect("an answer").expect("resumed");
    assert_eq!(heard(&mut house, &juliet), ["4"]);
}

#[test]
fn d1_nobody_resumes_somebody_elses_session() {
    let (mut house, romeo, juliet, id) = begin();
    house.cut(&juliet);
    assert_eq!(house.resume(&romeo, &id, 0).expect("an answer").err(), Some(ResumeError::NotFound));
    assert!(house.resume(&juliet, &id, 0).expect("an answer").is_ok());
}

#[test]
fn d1_resumed_while_the_old_connection_is_still_there_exactly_one_survives() {
    let (mut house, romeo, old, id) = begin();
    let (new, _) = house.resume(&old, &id, 0).expect("an answer").expect("resumed");
    say(&mut house, &romeo, "juliet@house", "1");
    assert!(heard(&mut house, &old).is_empty());
    assert_eq!(heard(&mut house, &new), ["1"]);
    // The old connection's end is no news.
    house.cut(&old);
    say(&mut house, &romeo, "juliet@house", "2");
    assert_eq!(heard(&mut house, &new), ["2"]);
}

#[test]
fn s7_a_stream_that_was_closed_is_over() {
    let (mut house, _, juliet, id) = begin();
    house.close(&juliet);
    assert_eq!(house.resume(&juliet, &id, 0).expect("an answer").err(), Some(ResumeError::NotFound));
}

#[test]
fn not_applicable_without_enable_nothing_is_counted() {
    let mut house = House::with(ROOMS);
    let romeo = house.online(ROMEO);
    house.send(&romeo, R);
    house.nothing(&romeo);
    assert!(told(&mut house, &romeo, "<a xmlns='urn:xmpp:sm:3' h='5'/>").is_ok());
}

#[test]
fn s4_what_was_never_acknowledged_waits_for_the_next_session_when_there_is_no_other() {
    let (mut house, romeo, juliet, _) = begin();
    for id in ["1", "2"] {
        say(&mut house, &romeo, "juliet@house", id);
    }
    house.recv(&juliet);
    house.send(&juliet, "<a xmlns='urn:xmpp:sm:3' h='1'/>");
    house.cut(&juliet);
    say(&mut house, &romeo, "juliet@house", "3");
    house.advance(Limits::default().resume_timeout + Duration::from_secs(1));
    let juliet = house.login("juliet@house/chamber");
    house.send(&juliet, "<presence/>");
    assert_eq!(heard(&mut house, &juliet), ["2", "3"]);
}

#[test]
fn s4_to_the_bare_jid_what_another_resource_has_got_is_not_sent_to_it_again() {
    let (mut house, romeo, juliet, _) = begin();
    let chamber = house.online("juliet@house/chamber");
    say(&mut house, &romeo, "juliet@house", "1");
    house.recv(&juliet);
    assert_eq!(heard(&mut house, &chamber), ["1"]);
    house.cut(&juliet);
    house.advance(Limits::default().resume_timeout + Duration::from_secs(1));
    assert!(heard(&mut house, &chamber).is_empty());
}

#[test]
fn d1_who_never_acknowledges_has_a_bounded_queue_and_loses_nothing() {
    let mut house = House::with_limits(ROOMS, Limits { output_stanzas_max: 10, ..Limits::default() });
    let romeo = house.online(ROMEO);
    let juliet = house.online(JULIET);
    enable(&mut house, &juliet);
    let sent: Vec<String> = (0..30).map(|n| n.to_string()).collect();
    for id in &sent {
        say(&mut house, &romeo, "juliet@house", id);
        let shard = &house.shards[usize::from(juliet.at.shard)];
        assert!(shard.session(juliet.at).is_none_or(|session| session.queued().0 <= 11));
    }
    assert!(house.shards[usize::from(juliet.at.shard)].session(juliet.at).is_none_or(|session| session.over.is_some()));
    let mut juliet = house.login("juliet@house/chamber");
    house.send(&juliet, "<presence/>");
    // What waits is more than her queue holds as well, so she comes back for the rest.
    let mut got = heard(&mut house, &juliet);
    for _ in 0..10 {
        house.close(&juliet);
        juliet = house.login("juliet@house/chamber");
        house.send(&juliet, "<presence/>");
        got.extend(heard(&mut house, &juliet));
    }
    got.sort_by_key(|id| id.parse::<u32>().unwrap_or(u32::MAX));
    got.dedup();
    assert_eq!(got, sent);
}

#[test]
fn s4_what_a_dead_session_never_acknowledged_goes_to_who_came_online_since() {
    let (mut house, romeo, juliet, _) = begin();
    say(&mut house, &romeo, "juliet@house", "1");
    house.cut(&juliet);
    let chamber = house.online("juliet@house/chamber");
    house.recv(&chamber);
    house.advance(Limits::default().resume_timeout + Duration::from_secs(1));
    assert_eq!(heard(&mut house, &chamber), ["1"]);
}

#[test]
fn s5_a_refused_resumption_leaves_the_session_where_it_is() {
    let (mut house, romeo, juliet, id) = begin();
    house.recv(&juliet);
    let Some(Err(ResumeError::TooMany(_))) = house.resume(&juliet, &id, 1_000) else { panic!("it claims too much") };
    say(&mut house, &romeo, "juliet@house", "1");
    assert_eq!(heard(&mut house, &juliet), ["1"], "the connection that has it keeps it");
    // And a session whose connection is gone still comes to its end.
    house.cut(&juliet);
    let Some(Err(ResumeError::TooMany(_))) = house.resume(&juliet, &id, 1_000) else { panic!("it claims too much") };
    house.advance(Limits::default().resume_timeout + Duration::from_secs(1));
    assert!(house.shards[usize::from(juliet.at.shard)].session(juliet.at).is_none());
}

#[test]
fn d1_the_second_of_two_resumptions_wins_and_the_first_begins_no_new_session() {
    let store = std::sync::Arc::new(iris_core::store::MemoryStore::manual());
    let mut house = House::build(ROOMS, "", Limits::default(), store.clone());
    for who in ["romeo@house", "juliet@house"] {
        house.ask(who, iris_core::Ask::Provision { credentials: bytes::Bytes::new() });
    }
    store.commit();
    house.run();
    let juliet = house.try_login(JULIET).expect("a session");
    let id = enable(&mut house, &juliet);
    // Something of hers is not on disk yet, so a resumption waits.
    say(&mut house, &juliet, "romeo@house", "1");
    house.cut(&juliet);
    let outcome = |slot: &std::rc::Rc<std::cell::RefCell<Option<Result<u32, ResumeError>>>>| slot.borrow_mut().take();
    let mut slots = Vec::new();
    for pipe in [100, 101] {
        let slot = std::rc::Rc::new(std::cell::RefCell::new(None));
        let into = slot.clone();
        let reply = Box::new(move |it: Result<(_, u32), ResumeError>| *into.borrow_mut() = Some(it.map(|(_, h)| h)));
        let bare = juliet.jid.to_bare();
        house.shards[usize::from(juliet.at.shard)].resume(&bare, (id.clone(), 0), None, pipe, reply);
        house.run();
        slots.push(slot);
    }
    assert_eq!(outcome(&slots[0]), Some(Err(ResumeError::Superseded)));
    assert_eq!(outcome(&slots[1]), None);
    store.commit();
    house.run();
    assert!(matches!(outcome(&slots[1]), Some(Ok(_))));
}

#[test]
fn connections_that_broke_do_not_lock_a_person_out() {
    let limits = Limits { sessions_per_account_max: 3, ..Limits::default() };
    let mut house = House::with_limits(ROOMS, limits);
    let mut broken = Vec::new();
    for n in 0..3 {
        let client = house.online(&format!("juliet@house/{n}"));
        enable(&mut house, &client);
        house.cut(&client);
        house.advance(Duration::from_secs(1));
        broken.push(client);
    }
    let _newest = house.try_login("juliet@house/3").expect("a place");
    let waits = |client: &Client| house.shards[usize::from(client.at.shard)].session(client.at).is_some();
    assert_eq!(broken.iter().map(waits).collect::<Vec<_>>(), [false, true, true], "the one that waited longest made room");
}

#[test]
fn b11_a_guessed_id_is_refused_as_slowly_wherever_it_is_wrong() {
    let (mut house, _, juliet, id) = begin();
    house.cut(&juliet);
    let guesses = [bent(&id, 0), bent(&id, id.len() - 1)];
    alike("resumption id", 20_000, |which| {
        let begun = Instant::now();
        let outcome = house.resume(&juliet, &guesses[which], 0);
        let took = begun.elapsed().as_nanos();
        assert!(matches!(outcome, Some(Err(ResumeError::NotFound))));
        took
    });
    assert!(house.resume(&juliet, &id, 0).is_some_and(|outcome| outcome.is_ok()), "it is still there");
}
