//! Plays: what people who use the house see, end to end through two shards, without any room.

use std::time::Duration;

use iris_core::limits::Limits;
use iris_core::{Ask, AskAnswer, BareJid, Stanza};

use iris_core::room::{Card, Room, Status};
use iris_core::{Flow, Mount, MountError, Step};

use crate::testing::House;

mod domains;
mod farewells;
mod plans;
mod remotes;
mod services;
mod waiting;

const ROMEO: &str = "romeo@house/orchard";
const JULIET: &str = "juliet@house/balcony";

#[test]
fn romeo_and_juliet_live_on_different_shards() {
    assert_ne!(crate::shard_of("romeo@house", 2), crate::shard_of("juliet@house", 2));
}

#[test]
fn two_clients_say_hello() {
    let mut house = House::with(&[]);
    let romeo = house.online(ROMEO);
    let juliet = house.online(JULIET);
    house.send(&romeo, "<message to='juliet@house' type='chat' id='m1'><body>hello</body></message>");
    let heard = house.one(&juliet);
    assert_eq!(heard.from().as_deref(), Some(ROMEO));
    assert_eq!(heard.to().as_deref(), Some("juliet@house"));
    assert!(heard.as_str().contains("<body>hello</body>"));
    house.send(&juliet, &format!("<message to='{ROMEO}' type='chat' from='nurse@house/kitchen'><body>hi</body></message>"));
    let heard = house.one(&romeo);
    // C1: whoever the client claims to be, it is who it is.
    assert_eq!(heard.from().as_deref(), Some(JULIET));
    assert_eq!(heard.to().as_deref(), Some(ROMEO));
}

#[test]
fn a_message_to_nobody_is_answered_like_one_to_a_stranger_who_is_away() {
    let mut house = House::with(&[]);
    let romeo = house.online(ROMEO);
    house.send(&romeo, "<iq type='get' to='tybalt@house' id='1'><x xmlns='y'/></iq>");
    let nobody = house.one(&romeo);
    house.user("juliet@house");
    house.send(&romeo, "<iq type='get' to='juliet@house' id='1'><x xmlns='y'/></iq>");
    let stranger = house.one(&romeo);
    let as_of = |stanza: &Stanza| stanza.as_str().replace("tybalt", "X").replace("juliet", "X");
    assert_eq!(as_of(&nobody), as_of(&stranger));
}

#[test]
fn c9_nobody_lives_under_a_name_that_is_read_as_anothers() {
    let mut house = House::with(&[]);
    house.login("romeo@house/orchard");
    let boxed = "\u{1f141}omeo@house";
    assert_eq!(BareJid::new(boxed).expect("the crate reads it").as_str(), "Romeo@house");
    for ask in [Ask::Provision { credentials: bytes::Bytes::new() }, Ask::Account, Ask::Remove] {
        assert_eq!(house.ask(boxed, ask), Some(AskAnswer::NotFound));
    }
    assert_eq!(house.ask(boxed, Ask::Credentials), Some(AskAnswer::Credentials(None)));
}

/// That nobody has a name is remembered for a while (security B10), and not longer than it is true.
#[test]
fn b10_a_name_that_nobody_had_is_somebodys_as_soon_as_the_account_is_made() {
    let mut house = House::with(&[]);
    let has_login = |house: &mut House| match house.ask("newcomer@house", Ask::Credentials) {
        Some(AskAnswer::Credentials(login)) => login.is_some(),
        other => panic!("{other:?}"),
    };
    assert!(!has_login(&mut house) && !has_login(&mut house));
    house.user("newcomer@house");
    assert!(has_login(&mut house));
    house.ask("newcomer@house", Ask::Remove);
    assert!(!has_login(&mut house));
    house.user("newcomer@house");
    assert!(has_login(&mut house));
}

#[test]
fn subscriptions_let_people_see_each_other() {
    let mut house = House::with(&[]);
    house.friends("romeo@house", "juliet@house");
    let romeo = house.online(ROMEO);
    let juliet = house.login(JULIET);
    house.send(&juliet, "<presence><show>away</show></presence>");
    let seen = house.hear(&romeo);
    assert!(seen.iter().any(|it| it.contains("<show>away</show>") && it.contains(JULIET)), "{seen:?}");
    let seen = house.hear(&juliet);
    assert!(seen.iter().any(|it| it.contains(ROMEO)), "{seen:?}");
    house.cut(&juliet);
    let seen = house.one(&romeo);
    assert!(seen.as_str().contains("unavailable"), "{}", seen.as_str());
}

#[test]
fn ck_a_message_whose_writes_are_not_committed_is_not_shown() {
    let mut house = House::manual(&[]);
    house.user("romeo@house");
    house.user("juliet@house");
    house.store.commit();
    house.run();
    let romeo = house.login(ROMEO);
    let juliet = house.login(JULIET);
    // A roster set and its push are shown when they are kept.
    house.send(&romeo, "<iq type='get' id='r1'><query xmlns='jabber:iq:roster'/></iq>");
    house.recv(&romeo);
    house.send(&romeo, "<iq type='set' id='r2'><query xmlns='jabber:iq:roster'><item jid='juliet@house'/></query></iq>");
    house.nothing(&romeo);
    house.store.commit();
    house.run();
    assert_eq!(house.recv(&romeo).len(), 2);
    // A refused one is never shown, the sender is told, and the roster is as it was.
    house.send(&romeo, "<iq type='set' id='r3'><query xmlns='jabber:iq:roster'><item jid='nurse@house'/></query></iq>");
    house.store.refuse();
    house.run();
    let told = house.one(&romeo);
    assert!(told.as_str().contains("type='error'") && told.as_str().contains("resource-constraint"), "{}", told.as_str());
    house.send(&romeo, "<iq type='get' id='r4'><query xmlns='jabber:iq:roster'/></iq>");
    let roster = house.one(&romeo);
    assert!(roster.as_str().contains("juliet@house") && !roster.as_str().contains("nurse"), "{}", roster.as_str());
    house.nothing(&juliet);
}

#[test]
fn xep0198_a_cut_session_is_resumed_and_misses_nothing() {
    let mut house = House::with(&[]);
    let romeo = house.online(ROMEO);
    let juliet = house.online(JULIET);
    house.send(&juliet, "<enable xmlns='urn:xmpp:sm:3' resume='true'/>");
    let enabled = house.recv(&juliet);
    let id = enabled[0].attr("id").expect("an id").into_owned();
    house.send(&romeo, "<message to='juliet@house' type='chat'><body>1</body></message>");
    assert_eq!(house.recv(&juliet).iter().filter(|it| it.as_str().contains("<body>")).count(), 1);
    house.cut(&juliet);
    house.send(&romeo, "<message to='juliet@house' type='chat'><body>2</body></message>");
    let (juliet, h) = house.resume(&juliet, &id, 0).expect("an answer").expect("resumed");
    assert_eq!(h, 0);
    let bodies: Vec<String> = house.hear(&juliet).into_iter().filter(|it| it.contains("<body>")).collect();
    assert_eq!(bodies.len(), 2, "what was not acknowledged comes again, then what came meanwhile: {bodies:?}");
    assert!(house.resume(&juliet, "not-it", 0).expect("an answer").is_err());
}

#[test]
fn xep0198_a_stanza_counts_when_it_is_settled() {
    let mut house = House::with(&[]);
    let romeo = house.online(ROMEO);
    let juliet = house.online(JULIET);
    house.send(&romeo, "<enable xmlns='urn:xmpp:sm:3'/>");
    house.recv(&romeo);
    for _ in 0..3 {
        house.feed(&romeo, "<message to='juliet@house' type='chat'><body>x</body></message>");
    }
    house.feed(&romeo, "<r xmlns='urn:xmpp:sm:3'/>");
    house.run();
    let ack = house.one(&romeo);
    assert_eq!((ack.name(), ack.attr("h").as_deref()), (("urn:xmpp:sm:3", "a"), Some("3")));
    assert_eq!(house.recv(&juliet).len(), 3);
}

#[test]
fn a_reader_that_does_not_read_costs_a_bounded_amount() {
    let limits = Limits { output_stanzas_max: 10, ..Limits::default() };
    let mut house = House::with_limits(&[], limits);
    let romeo = house.online(ROMEO);
    let juliet = house.online(JULIET);
    for _ in 0..50 {
        house.send(&romeo, "<message to='juliet@house' type='chat'><body>x</body></message>");
    }
    let shard = &house.shards[usize::from(juliet.at.shard)];
    assert!(shard.session(juliet.at).is_none_or(|session| session.over.is_some()), "the session has ended");
    house.send(&romeo, "<iq type='get' id='still' to='romeo@house'><query xmlns='jabber:iq:roster'/></iq>");
    assert!(house.hear(&romeo).iter().any(|it| it.contains("still")), "the sender is not disturbed");
}

#[test]
fn a_silent_client_is_asked_and_then_let_go() {
    let mut house = House::with(&[]);
    let romeo = house.online(ROMEO);
    house.advance(Limits::default().idle_timeout + Duration::from_secs(1));
    assert!(house.one(&romeo).as_str().contains("urn:xmpp:ping"));
    house.advance(Limits::default().ping_timeout + Duration::from_secs(1));
    let session = |house: &House| house.shards[usize::from(romeo.at.shard)].session(romeo.at).map(|it| it.over.clone());
    // RFC 6120 4.9.3.4: whoever hears "conflict" believes that another client has taken its place.
    assert_eq!(session(&house).flatten().map(|error| error.condition), Some("connection-timeout"));
    house.cut(&romeo);
    assert!(session(&house).is_none());
}

#[test]
fn b18_a_changed_password_ends_sessions_at_once() {
    let mut house = House::with(&[]);
    let romeo = house.online(ROMEO);
    house.ask("romeo@house", iris_core::Ask::SetCredentials { credentials: bytes::Bytes::new() });
    let shard = &house.shards[usize::from(romeo.at.shard)];
    let over = shard.session(romeo.at).and_then(|session| session.over.clone());
    assert_eq!(over.map(|error| error.condition), Some("reset"));
}

/// A room with a bug.
const STUMBLES: Room =
    Room { card: Card { xep: None, name: "stumbles", version: "0", status: Status::Complete, needs: &[] }, mount: stumble };

fn stumble(m: &mut Mount<'_>) -> Result<(), MountError> {
    m.on(Step::SentGuard, |turn| {
        let stumbles = turn.stanza().is_some_and(|stanza| stanza.as_str().contains("stumble"));
        assert!(!stumbles, "as the test wants it");
        Flow::Go
    });
    Ok(())
}

#[test]
fn r22_a_panic_in_a_turn_ends_that_stream_only() {
    let mut house = House::with(&[STUMBLES]);
    let romeo = house.online(ROMEO);
    let phone = house.online("romeo@house/phone");
    let juliet = house.online(JULIET);
    house.recv(&romeo);
    house.send(&romeo, "<message to='juliet@house' type='chat'><body>stumble</body></message>");
    let over = house.shards[usize::from(romeo.at.shard)].session(romeo.at).and_then(|session| session.over.clone());
    assert_eq!(over.map(|error| error.condition), Some("internal-server-error"));
    house.nothing(&juliet);
    house.recv(&phone);
    house.send(&phone, "<message to='juliet@house' type='chat'><body>still here</body></message>");
    assert!(house.one(&juliet).as_str().contains("still here"));
    house.send(&juliet, "<message to='romeo@house' type='chat'><body>good</body></message>");
    assert!(house.one(&phone).as_str().contains("good"));
}

#[test]
fn what_an_account_brings_along_is_there_at_its_next_login_and_not_half_of_it() {
    use crate::account::roster;
    use iris_core::ask::{Ask, AskAnswer, MovingIn};
    use iris_core::login::Login;
    let mut house = House::with(&[]);
    house.friends("romeo@house", "juliet@house");
    let contact = |jid: &str| {
        let item = iris_core::xml::El::parse(jid.as_bytes()).map(|el| roster::portable::item(&el, 7).expect("an item"));
        let (key, value) = item.expect("XML");
        (roster::SHELF, key, value)
    };
    let login = Login { enabled: true, created_us: 7, since_us: 0, credentials: bytes::Bytes::from_static(b"keys") };
    let items = vec![contact("<item xmlns='jabber:iq:roster' jid='romeo@house' subscription='both' name='R'/>")];
    let moving = MovingIn { login: Some(login.clone()), items, ..MovingIn::default() };
    // Somebody of this name lives here.
    assert_eq!(house.ask("juliet@house", Ask::MoveIn(Box::new(moving.clone()))), Some(AskAnswer::Exists));
    assert_eq!(house.ask("nurse@house", Ask::MoveIn(Box::new(moving.clone()))), Some(AskAnswer::Done));
    let Some(AskAnswer::Credentials(Some(moved))) = house.ask("nurse@house", Ask::Credentials) else { panic!("no login") };
    assert_eq!(Login { since_us: 0, ..moved }, login);
    let nurse = house.try_login("nurse@house/kitchen").expect("she lives here now");
    let roster = house.iq(&nurse, "get", None, "<query xmlns='jabber:iq:roster'/>");
    assert!(roster.as_str().contains("jid='romeo@house'"), "{}", roster.as_str());
    // Without a login it is for those who are there.
    let more = MovingIn { login: None, items: vec![contact("<item xmlns='jabber:iq:roster' jid='a@b'/>")], ..moving.clone() };
    assert_eq!(house.ask("nobody@house", Ask::MoveIn(Box::new(more.clone()))), Some(AskAnswer::NotFound));
    assert_eq!(house.ask("nurse@house", Ask::MoveIn(Box::new(more))), Some(AskAnswer::Done));
    let nurse = house.try_login("nurse@house/hall").expect("she logs in anew");
    let roster = house.iq(&nurse, "get", None, "<query xmlns='jabber:iq:roster'/>");
    assert!(roster.as_str().contains("jid='a@b'") && roster.as_str().contains("romeo@house"), "{}", roster.as_str());
}
