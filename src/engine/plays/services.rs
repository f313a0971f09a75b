//! A service under an address of its own, and what lives behind it: an entity that is read when it is spoken to and sleeps when nothing
//! keeps it.

use std::sync::Arc;
use std::time::Duration;

use iris_core::limits::Limits;
use iris_core::store::{MemoryStore, Shelf};
use iris_core::xml::stanza::Stanza;
use iris_core::{At, BareJid, Bounce, Card, Condition, GetOrSet, HostTurn, Jid, Kind, Mount, MountError, Reply, Room};
use iris_core::{StanzaType, StateSlot, Status};

use crate::shard_of;
use crate::testing::House;

const NS: &str = "urn:example:choir";
const SHELF: Shelf = Shelf::map("choir");
const SUNG: Shelf = Shelf::log("sung");

static CHOIR: StateSlot<Choir> = StateSlot::new();
static HALL: StateSlot<u32> = StateSlot::new();

/// Singers are there until they leave; rules are kept.
#[derive(Default)]
struct Choir {
    rules: Vec<String>,
    singers: Vec<Jid>,
    sung: Vec<String>,
}

const ROOM: Room = Room { card: Card { xep: None, name: "Choirs", version: "0", status: Status::Complete, needs: &[] }, mount };

fn mount(m: &mut Mount<'_>) -> Result<(), MountError> {
    m.serve("choirs", |s| {
        s.feature(At::Host, NS);
        s.shelf(SHELF)?;
        s.shelf(SUNG)?;
        s.host_state(&HALL, &[], |_| 0)?;
        s.host_iq_named(GetOrSet::Get, NS, "read", |turn, _| {
            let told = turn.state(&HALL).copied().unwrap_or_default();
            Reply::Result(format!("<read xmlns='{NS}'>{told}</read>"))
        })?;
        s.entities(
            &CHOIR,
            &[SHELF],
            Some((SUNG, 2)),
            |items, tail, before: Option<Choir>| Choir {
                rules: items.iter().map(|item| item.key.to_string()).collect(),
                sung: tail.entries.iter().map(|entry| String::from_utf8_lossy(&entry.entry).into_owned()).collect(),
                singers: before.map(|before| before.singers).unwrap_or_default(),
            },
            hear,
        )?;
        s.on_alarm(|turn| {
            let singers: Arc<[Jid]> = turn.state(&CHOIR).map(|it| it.singers.clone()).unwrap_or_default().into();
            let stanza =
                Stanza::parse(b"<message type='headline'><body>bell</body></message>", &turn.house.names).expect("XML");
            turn.fan_out(turn.jid.clone(), Arc::new(stanza), singers);
        });
        Ok(())
    })
}

fn hear(turn: &mut HostTurn<'_>, stanza: &Arc<Stanza>) -> Reply {
    let (from, to) = (turn.from.clone(), turn.to.clone());
    let now = turn.now;
    match (stanza.kind(), stanza.stype()) {
        (Kind::Presence, StanzaType::Available) if to.resource().is_none() => Bounce::new(Condition::JidMalformed).into(),
        (Kind::Presence, StanzaType::Available) => {
            let choir = turn.state(&CHOIR).expect("the state");
            choir.singers.push(from);
            turn.stay_awake(true);
            turn.alarm(now.mono + Duration::from_secs(30));
            turn.tell("choirs.house", |turn| *turn.state(&HALL).expect("the state") += 1);
            Reply::Sent
        }
        (Kind::Presence, _) => {
            let choir = turn.state(&CHOIR).expect("the state");
            choir.singers.retain(|singer| *singer != from);
            let awake = !choir.singers.is_empty();
            turn.stay_awake(awake);
            Reply::Sent
        }
        (Kind::Iq, _) => {
            let choir = turn.state(&CHOIR).expect("the state");
            let says = format!("rules {} singers {} sung {}", choir.rules.join(","), choir.singers.len(), choir.sung.join(","));
            Reply::Result(format!("<choir xmlns='{NS}'>{says}</choir>"))
        }
        _ if stanza.stype() == StanzaType::Normal => {
            let rule = stanza.id().unwrap_or_default().into_owned();
            turn.put(SHELF, &rule, "");
            turn.state(&CHOIR).expect("the state").rules.push(rule);
            Reply::Sent
        }
        _ => {
            let text = stanza.id().unwrap_or_default().into_owned();
            turn.append(SUNG, 0, 0, text.clone());
            let singers: Arc<[Jid]> = turn.state(&CHOIR).expect("the state").singers.clone().into();
            let as_singer = turn.jid.clone().to_bare().with_resource_str("alto").expect("a resource");
            turn.fan_out(as_singer.into(), stanza.clone(), singers);
            Reply::Sent
        }
    }
}

/// A choir that lives on this shard.
fn choir_on(shard: u16) -> String {
    let named = |n: u32| format!("c{n}@choirs.house");
    named((0..64).find(|n| shard_of(&named(*n), 2) == shard).expect("one of many"))
}

fn says(house: &mut House, client: &crate::testing::Client, choir: &str) -> String {
    let answer = house.iq(client, "get", Some(choir), &format!("<choir xmlns='{NS}'/>"));
    let text = answer.children().first().map(|child| answer.child_el(child).text().into_owned());
    text.unwrap_or_else(|| panic!("{}", answer.as_str()))
}

#[test]
fn what_is_said_to_an_entity_goes_to_all_shards_from_its_resource() {
    for shard in [0, 1] {
        let mut house = House::with(&[ROOM]);
        let choir = choir_on(shard);
        let (romeo, juliet) = (house.online("romeo@house/orchard"), house.online("juliet@house/balcony"));
        for singer in [&romeo, &juliet] {
            house.send(singer, &format!("<presence to='{choir}/x'/>"));
        }
        house.send(&romeo, &format!("<message to='{choir}' type='groupchat' id='m1'><body>la</body></message>"));
        for singer in [&romeo, &juliet] {
            let heard = house.one(singer);
            assert_eq!(heard.from().as_deref(), Some(&*format!("{choir}/alto")));
            assert_eq!(heard.to().as_deref(), Some(singer.jid.as_str()));
            assert!(heard.as_str().contains("<body>la</body>"));
        }
        house.close(&juliet);
        assert_eq!(says(&mut house, &romeo, &choir), "rules  singers 1 sung ");
        // The service was told, in its own turn, by each who came.
        let told = house.iq(&romeo, "get", Some("choirs.house"), &format!("<read xmlns='{NS}'/>"));
        assert!(told.as_str().contains(">2<"), "{}", told.as_str());
    }
}

#[test]
fn a_presence_that_an_entity_refuses_is_answered() {
    let mut house = House::with(&[ROOM]);
    let romeo = house.online("romeo@house/orchard");
    let choir = choir_on(1);
    house.send(&romeo, &format!("<presence to='{choir}' id='p'/>"));
    let answer = house.one(&romeo);
    assert!(answer.as_str().starts_with("<presence"), "{}", answer.as_str());
    assert!(answer.as_str().contains("type='error'") && answer.as_str().contains("jid-malformed"));
    assert_eq!(answer.id().as_deref(), Some("p"));
}

#[test]
fn an_entity_sleeps_when_nothing_keeps_it_and_wakes_with_what_was_kept() {
    let mut house = House::with(&[ROOM]);
    let choir = choir_on(0);
    let romeo = house.online("romeo@house/orchard");
    house.send(&romeo, &format!("<message to='{choir}' id='quiet'/>"));
    for n in 0..3 {
        house.send(&romeo, &format!("<message to='{choir}' type='groupchat' id='s{n}'/>"));
    }
    house.send(&romeo, &format!("<presence to='{choir}/x'/>"));
    house.advance(Duration::from_secs(120));
    house.recv(&romeo);
    assert_eq!(says(&mut house, &romeo, &choir), "rules quiet singers 1 sung ", "a singer keeps it awake");
    house.send(&romeo, &format!("<presence to='{choir}/x' type='unavailable'/>"));
    house.advance(Duration::from_secs(120));
    house.advance(Duration::from_secs(120));
    // It was read anew, with the end of its log.
    assert_eq!(says(&mut house, &romeo, &choir), "rules quiet singers 0 sung s1,s2");
}

#[test]
fn an_alarm_comes_at_its_moment() {
    let mut house = House::with(&[ROOM]);
    let romeo = house.online("romeo@house/orchard");
    house.send(&romeo, &format!("<presence to='{}/x'/>", choir_on(0)));
    house.advance(Duration::from_secs(29));
    house.nothing(&romeo);
    house.advance(Duration::from_secs(2));
    assert!(house.one(&romeo).as_str().contains("bell"));
}

#[test]
fn a_refused_change_is_forgotten_and_those_who_are_there_stay() {
    let store = Arc::new(MemoryStore::manual());
    let mut house = House::build(&[ROOM], "", Limits::default(), store.clone());
    house.ask("romeo@house", iris_core::Ask::Provision { credentials: bytes::Bytes::new() });
    store.commit();
    let romeo = house.try_login("romeo@house/orchard").expect("a session");
    let choir = choir_on(1);
    house.send(&romeo, &format!("<presence to='{choir}/x'/>"));
    house.send(&romeo, &format!("<message to='{choir}' id='loud'/>"));
    store.refuse();
    house.run();
    assert_eq!(says(&mut house, &romeo, &choir), "rules  singers 1 sung ");
}

#[test]
fn a_service_is_no_domain_of_accounts() {
    let mut house = House::with(&[ROOM]);
    let romeo = house.online("romeo@house/orchard");
    let items = house.host("house", |turn| turn.doors.items.clone()).expect("an answer").expect("the items");
    assert_eq!(items, ["choirs.house"]);
    assert!(house.host("choirs.house", |turn| turn.is_local()).expect("an answer").is_ok());
    house.send(&romeo, "<iq to='choirs.house' type='get' id='1'><x xmlns='y'/></iq>");
    assert!(house.one(&romeo).as_str().contains("service-unavailable"));
    assert!(house.shards[0].hosts().domain("choirs.house").is_none());
    let _ = BareJid::new("x@choirs.house").expect("a bare JID");
}
