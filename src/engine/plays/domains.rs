//! A domain as an entity: it remembers, keeps, answers, asks; from whichever shard it is spoken to.

use std::time::Duration;

use iris_core::ask::{AskAnswer, Seen};
use iris_core::effects::StreamError;
use iris_core::store::{Shelf, StoreError};
use iris_core::task::Finish;
use iris_core::{
    Ask, At, BareJid, Card, Condition, Fact, Flow, GetOrSet, HostTurn, Mount, MountError, Reply, Room, StateSlot, Status, Step,
};

use crate::testing::{BEGIN_US, House, SHARDS};

const NS: &str = "urn:example:guests";
const SHELF: Shelf = Shelf::map("guests");

static GUESTS: StateSlot<Vec<String>> = StateSlot::new();
static HUSH: Fact<bool> = Fact::new();

/// A room that keeps a book of guests at the domain.
const BOOK: Room = Room { card: Card { xep: None, name: "Book", version: "0", status: Status::Complete, needs: &[] }, mount };

fn mount(m: &mut Mount<'_>) -> Result<(), MountError> {
    m.shelf(SHELF)?;
    m.host_state(&GUESTS, &[SHELF], |items| items.iter().map(|item| item.key.to_string()).collect())?;
    m.host_iq_named(GetOrSet::Set, NS, "sign", |turn, _| {
        sign(turn);
        Reply::empty()
    })?;
    m.host_iq_named(GetOrSet::Get, NS, "read", |turn, _| {
        let signed = turn.state(&GUESTS).cloned().unwrap_or_default();
        Reply::Result(format!("<read xmlns='{NS}'>{}</read>", signed.join(" ")))
    })?;
    m.host_iq_named(GetOrSet::Get, NS, "who", |turn, _| {
        let domain = turn.host().to_owned();
        Reply::Task(Box::new(move |cx| {
            Box::pin(async move {
                let mut present: Vec<String> = cx.present(&domain).await.into_iter().map(|it| it.jid.to_string()).collect();
                present.sort();
                let first = BareJid::new(&present[0]).expect("a bare JID");
                let AskAnswer::Account(facts) = cx.ask(first, Ask::Account).await else { return Finish::Done };
                let said = format!("{} {}", present.join(" "), facts.sessions.len());
                Finish::HostTurn(Box::new(move |turn| {
                    sign(turn);
                    Reply::Result(format!("<who xmlns='{NS}'>{said}</who>"))
                }))
            })
        }))
    })?;
    m.iq_named(At::OwnAccount, GetOrSet::Get, NS, "read", |_, _| Reply::Domain)?;
    m.host_message(|turn, stanza| {
        if turn.to.resource().map(|it| it.as_str()) != Some("bell") {
            return None;
        }
        let to = turn.from.clone();
        let text = stanza.id().unwrap_or_default().into_owned();
        turn.send(to, &format!("<message id='{text}'><body>dong</body></message>")).expect("a message");
        turn.publish(&HUSH, text == "hush");
        Some(Ok(()))
    });
    m.on(Step::SentGuard, |turn| match turn.fact(&HUSH) {
        Some(true) => Flow::Bounce(iris_core::Bounce::new(Condition::PolicyViolation)),
        _ => Flow::Go,
    });
    Ok(())
}

fn sign(turn: &mut HostTurn<'_>) {
    let name = turn.from.to_bare().to_string();
    turn.put(SHELF, &name, "");
    if let Some(guests) = turn.state(&GUESTS) {
        guests.push(name);
    }
}

fn read(house: &mut House, from: &str) -> String {
    let client = house.login(from);
    let heard = house.iq(&client, "get", Some("house"), &format!("<read xmlns='{NS}'/>"));
    let text = heard.child_named(NS, "read").map(|child| heard.child_el(child).text().into_owned());
    house.close(&client);
    text.unwrap_or_else(|| panic!("{}", heard.as_str()))
}

#[test]
fn everybody_on_every_shard_speaks_to_the_same_domain_and_it_remembers_across_a_restart() {
    let mut house = House::with(&[BOOK]);
    assert_eq!(SHARDS, 2);
    for name in ["romeo@house/x", "juliet@house/x"] {
        let client = house.login(name);
        assert!(house.iq(&client, "set", Some("house"), &format!("<sign xmlns='{NS}'/>")).as_str().contains("result"));
    }
    assert_eq!(read(&mut house, "nurse@house/x"), "romeo@house juliet@house");
    assert_eq!(house.host("away", |turn| turn.state(&GUESTS).map(|it| it.len())), Some(Ok(Some(0))), "another domain");
    let mut house = house.restart(&[BOOK], Duration::from_secs(60));
    assert_eq!(read(&mut house, "nurse@house/x"), "juliet@house romeo@house");
}

#[test]
fn an_answer_of_the_domain_waits_for_its_writes_and_a_refused_write_is_forgotten() {
    let mut house = House::manual(&[BOOK]);
    house.ask("romeo@house", Ask::Provision { credentials: bytes::Bytes::new() });
    house.store.commit();
    house.run();
    let romeo = house.try_login("romeo@house/x").expect("the bind");
    house.store.commit();
    house.send(&romeo, &format!("<iq type='set' id='1' to='house'><sign xmlns='{NS}'/></iq>"));
    house.nothing(&romeo);
    house.store.refuse();
    house.run();
    assert!(house.one(&romeo).as_str().contains("type='error'"));
    house.send(&romeo, &format!("<iq type='get' id='2' to='house'><read xmlns='{NS}'/></iq>"));
    assert!(house.one(&romeo).as_str().contains(&format!("<read xmlns='{NS}'></read>")));
}

#[test]
fn a_task_of_the_domain_asks_all_shards_an_account_and_ends_in_a_turn_of_the_domain() {
    let mut house = House::with(&[BOOK]);
    let _juliet = house.online("juliet@house/balcony");
    let _tomb = house.online("juliet@house/tomb");
    let romeo = house.online("romeo@house/orchard");
    let heard = house.iq(&romeo, "get", Some("house"), &format!("<who xmlns='{NS}'/>"));
    assert!(heard.as_str().contains(">juliet@house romeo@house 2</who>"), "{}", heard.as_str());
    assert_eq!(read(&mut house, "nurse@house/x"), "romeo@house");
}

#[test]
fn an_account_may_let_its_domain_answer_in_its_name() {
    let mut house = House::with(&[BOOK]);
    let romeo = house.online("romeo@house/orchard");
    let heard = house.iq(&romeo, "get", Some("romeo@house"), &format!("<read xmlns='{NS}'/>"));
    assert_eq!(heard.from().as_deref(), Some("romeo@house"));
    assert!(heard.as_str().contains(&format!("<read xmlns='{NS}'></read>")), "{}", heard.as_str());
    let juliet = house.online("juliet@house/balcony");
    let heard = house.iq(&juliet, "get", Some("romeo@house"), &format!("<read xmlns='{NS}'/>"));
    assert!(heard.as_str().contains("service-unavailable"), "only oneself: {}", heard.as_str());
}

#[test]
fn a_message_to_the_domain_goes_to_the_room_that_takes_it_and_back_without_one() {
    let mut house = House::with(&[BOOK]);
    for name in ["romeo@house/x", "juliet@house/x"] {
        let client = house.login(name);
        house.send(&client, "<message to='house/bell' id='m'/>");
        let heard = house.one(&client);
        assert_eq!((heard.from().as_deref(), heard.id().as_deref()), (Some("house"), Some("m")));
        house.send(&client, "<message to='house' id='m'/>");
        let heard = house.one(&client);
        assert!(heard.as_str().contains("service-unavailable"), "{}", heard.as_str());
        house.send(&client, "<iq type='get' to='house/bell' id='q'><x xmlns='y'/></iq>");
        assert!(house.one(&client).as_str().contains("service-unavailable"));
        house.send(&client, "<presence to='house'/><!-- -->".trim_end_matches("<!-- -->"));
        house.nothing(&client);
    }
}

#[test]
fn rfc6120_10_4_presence_for_an_address_that_cannot_be_reached_is_answered() {
    let mut house = House::with(&[BOOK]);
    for name in ["romeo@house/x", "juliet@house/x"] {
        let client = house.online(name);
        house.recv(&client);
        let room = "verona@rooms.nowhere.example/me";
        house.send(&client, &format!("<presence to='{room}' id='j'><x xmlns='http://jabber.org/protocol/muc'/></presence>"));
        let heard = house.one(&client);
        assert_eq!((heard.from().as_deref(), heard.id().as_deref()), (Some(room), Some("j")));
        assert!(
            heard.as_str().contains("type='error'") && heard.as_str().contains("remote-server-not-found"),
            "{}",
            heard.as_str()
        );
        house.send(&client, &format!("<presence to='{room}' type='unavailable'/>"));
        house.nothing(&client);
    }
}

#[test]
fn what_a_domain_publishes_every_account_knows_on_every_shard() {
    let mut house = House::with(&[BOOK]);
    let romeo = house.login("romeo@house/x");
    let juliet = house.login("juliet@house/x");
    house.send(&romeo, "<message to='house/bell' id='hush'/>");
    house.recv(&romeo);
    for client in [&romeo, &juliet] {
        house.send(client, "<message to='house/bell' id='m'/>");
        assert!(house.one(client).as_str().contains("policy-violation"));
    }
    let away = house.login("romeo@away/x");
    house.send(&away, "<message to='house/bell' id='m'/>");
    assert!(house.one(&away).as_str().contains("dong"), "another domain has its own facts");
}

#[test]
fn what_is_done_in_a_domains_turn_is_answered_after_the_commit() {
    let mut house = House::manual(&[BOOK]);
    assert_eq!(house.host("house", |turn| turn.put(SHELF, "tybalt@house", "")), None, "not on disk yet");
    house.store.commit();
    house.run();
    assert_eq!(house.host("house", |turn| turn.host().to_owned()), Some(Ok("house".to_owned())));
    let nowhere = house.host("nowhere", |_| ());
    assert!(matches!(nowhere, Some(Err(StoreError::Unavailable(_)))));
}

#[test]
fn an_account_tells_its_administrator_who_is_there_and_when_somebody_was() {
    let mut house = House::with(&[]);
    let tell = |house: &mut House, who: &str| match house.ask(who, Ask::Account) {
        Some(AskAnswer::Account(facts)) => *facts,
        other => panic!("{other:?}"),
    };
    assert_eq!(house.ask("nobody@house", Ask::Account), Some(AskAnswer::NotFound));
    let romeo = house.login("romeo@house/orchard");
    house.send(&romeo, "<presence><show>away</show><priority>-3</priority></presence>");
    house.advance(Duration::from_secs(20));
    let facts = tell(&mut house, "romeo@house");
    assert_eq!((facts.enabled, facts.seen, facts.sessions.len()), (true, None, 1));
    let session = &facts.sessions[0];
    assert_eq!((session.priority, session.show.as_deref(), session.is_active()), (Some(-3), Some("away"), false));
    assert_eq!(session.idle, Duration::from_secs(20));
    assert!(session.since_us >= BEGIN_US && session.since_us < BEGIN_US + 1_000_000);
    house.advance(Duration::from_secs(10));
    house.close(&romeo);
    let seen = tell(&mut house, "romeo@house").seen.expect("it was here");
    assert!(seen.end_us - seen.login_us >= 30_000_000, "{seen:?}");
    // On disk, and told while the next session goes on.
    let mut house = house.restart(&[], Duration::from_secs(100));
    let _again = house.login("romeo@house/orchard");
    let Seen { end_us, .. } = tell(&mut house, "romeo@house").seen.expect("it was here");
    assert_eq!(end_us, seen.end_us);
}

#[test]
fn a_session_is_ended_by_order_one_or_all() {
    let mut house = House::with(&[]);
    let phone = house.online("romeo@house/phone");
    let tablet = house.online("romeo@house/tablet");
    let end = |resource: Option<&str>| Ask::End {
        resource: resource.map(str::to_owned),
        why: StreamError::new("policy-violation").text("because"),
    };
    assert_eq!(house.ask("romeo@house", end(Some("watch"))), Some(AskAnswer::NotFound));
    assert_eq!(house.ask("romeo@house", end(Some("phone"))), Some(AskAnswer::Done));
    let over = |house: &House, at: &crate::testing::Client| {
        house.shards[usize::from(at.at.shard)].session(at.at).and_then(|session| session.over.clone())
    };
    assert_eq!(over(&house, &phone).map(|it| it.condition), Some("policy-violation"));
    assert_eq!(over(&house, &tablet), None);
    assert_eq!(house.ask("romeo@house", end(None)), Some(AskAnswer::Done));
    assert_eq!(over(&house, &tablet).map(|it| it.condition), Some("policy-violation"));
    assert_eq!(house.ask("romeo@house", end(None)), Some(AskAnswer::NotFound));
}

#[test]
fn a_roster_is_shown_to_its_administrator_as_its_owner_sees_it() {
    let mut house = House::with(&[]);
    house.friends("romeo@house", "juliet@house");
    let Some(AskAnswer::Roster(items)) = house.ask("romeo@house", Ask::Roster) else { panic!("no roster") };
    let [item] = items.as_slice() else { panic!("{items:?}") };
    assert_eq!((item.jid.as_str(), item.subscription, item.ask), ("juliet@house", "both", false));
}
