//! What is for other servers: it waits in its order, on disk, and goes back when nobody can be reached.

use std::sync::Arc;
use std::time::Duration;

use iris_core::limits::Limits;
use iris_core::store::{MemoryStore, Read, Rows, Store};
use iris_core::{Condition, Stanza};

use crate::testing::{Client, House};

const ROMEO: &str = "romeo@house/orchard";
const JULIET: &str = "juliet@far.test";
const PAIR: &str = "far.test/house";

fn house() -> House {
    House::federated(Limits::default(), MemoryStore::new())
}

fn say(house: &mut House, romeo: &Client, bodies: impl IntoIterator<Item = u32>) {
    for n in bodies {
        house.send(romeo, &format!("<message to='{JULIET}' type='chat' id='m{n}'><body>hello</body></message>"));
    }
}

/// The ids of what a stream brings.
fn heard(house: &mut House, peer: &Client) -> Vec<String> {
    let all = house.recv(peer);
    assert!(
        all.iter().all(|it| it.to().as_deref() == Some(JULIET)),
        "{:?}",
        all.iter().map(Stanza::as_str).collect::<Vec<_>>()
    );
    all.iter().map(id).collect()
}

fn id(stanza: &Stanza) -> String {
    stanza.id().unwrap_or_default().into_owned()
}

fn numbers(all: impl IntoIterator<Item = u32>) -> Vec<String> {
    all.into_iter().map(|n| format!("m{n}")).collect()
}

#[track_caller]
fn dial(house: &mut House) -> Arc<str> {
    let dials = house.dials();
    assert_eq!(dials.iter().map(|it| &**it).collect::<Vec<_>>(), [PAIR]);
    dials[0].clone()
}

/// Until a stream is wanted again.
fn dial_again(house: &mut House) -> Arc<str> {
    for _ in 0..200 {
        house.advance(Duration::from_millis(100));
        if let Some(dial) = house.dials().pop() {
            return dial;
        }
    }
    panic!("nobody tries again");
}

#[track_caller]
fn is_bounced(house: &mut House, romeo: &Client, bodies: impl IntoIterator<Item = u32>, condition: &str) {
    let back = house.recv(romeo);
    assert!(back.iter().all(|it| it.from().as_deref() == Some(JULIET) && it.as_str().contains("type='error'")));
    assert!(
        back.iter().all(|it| it.as_str().contains(&format!("<{condition} "))),
        "{:?}",
        back.iter().map(Stanza::as_str).collect::<Vec<_>>()
    );
    assert_eq!(back.iter().map(id).collect::<Vec<_>>(), numbers(bodies));
}

#[test]
fn r18_what_is_said_before_there_is_a_stream_comes_in_its_order() {
    let mut house = house();
    let romeo = house.login(ROMEO);
    say(&mut house, &romeo, 0..5);
    let pair = dial(&mut house);
    let peer = house.linked(&pair);
    say(&mut house, &romeo, 5..8);
    assert_eq!(heard(&mut house, &peer), numbers(0..8));
    assert!(house.dials().is_empty());
    // What has left is on disk no more.
    let mut house = house.restart(&[], Duration::from_secs(1));
    house.run();
    assert!(house.dials().is_empty());
}

#[test]
fn r18_what_a_stream_has_left_comes_on_the_next_one_in_its_order() {
    let mut house = house();
    let romeo = house.login(ROMEO);
    say(&mut house, &romeo, 0..2);
    let pair = dial(&mut house);
    let peer = house.linked(&pair);
    assert_eq!(heard(&mut house, &peer), numbers(0..2));
    say(&mut house, &romeo, 2..5);
    house.cut(&peer);
    say(&mut house, &romeo, 5..8);
    let pair = dial_again(&mut house);
    let peer = house.linked(&pair);
    assert_eq!(heard(&mut house, &peer), numbers(2..8));
}

#[test]
fn r18_what_a_stream_has_left_keeps_its_order_over_a_restart() {
    let mut house = house();
    let romeo = house.login(ROMEO);
    say(&mut house, &romeo, 0..2);
    let pair = dial(&mut house);
    let peer = house.linked(&pair);
    say(&mut house, &romeo, 2..6);
    house.cut(&peer);
    say(&mut house, &romeo, 6..8);
    let mut house = house.restart(&[], Duration::from_secs(1));
    house.run();
    let pair = dial(&mut house);
    let peer = house.linked(&pair);
    assert_eq!(heard(&mut house, &peer), numbers(0..8));
    let mut house = house.restart(&[], Duration::from_secs(1));
    house.run();
    assert!(house.dials().is_empty());
}

#[test]
fn rfc6120_8_3_3_17_what_waits_too_long_goes_back() {
    let limits = Limits { peer_queue_timeout: Duration::from_secs(30), ..Limits::default() };
    let mut house = House::federated(limits, MemoryStore::new());
    let romeo = house.login(ROMEO);
    say(&mut house, &romeo, 0..2);
    let pair = dial(&mut house);
    house.unreached(&pair, Condition::RemoteServerTimeout, false);
    house.advance(Duration::from_secs(20));
    say(&mut house, &romeo, 2..3);
    house.nothing(&romeo);
    house.advance(Duration::from_secs(11));
    is_bounced(&mut house, &romeo, 0..2, "remote-server-timeout");
    house.advance(Duration::from_secs(20));
    is_bounced(&mut house, &romeo, 2..3, "remote-server-timeout");
    let mut house = house.restart(&[], Duration::from_secs(1));
    house.run();
    assert!(house.dials().is_empty());
}

/// Also when the stream is being opened all the while.
#[test]
fn rfc6120_8_3_3_17_what_waits_too_long_for_an_answer_goes_back() {
    let limits = Limits { peer_queue_timeout: Duration::from_secs(30), ..Limits::default() };
    let mut house = House::federated(limits, MemoryStore::new());
    let romeo = house.login(ROMEO);
    say(&mut house, &romeo, 0..1);
    let pair = dial(&mut house);
    house.advance(Duration::from_secs(31));
    is_bounced(&mut house, &romeo, 0..1, "remote-server-timeout");
    // Nobody needs it any more, and the next word asks anew.
    assert!(!house.is_wanted(&pair));
    say(&mut house, &romeo, 1..2);
    assert!(house.is_wanted(&pair));
    let pair = dial(&mut house);
    let peer = house.linked(&pair);
    assert_eq!(heard(&mut house, &peer), numbers(1..2));
}

#[test]
fn rfc6120_8_3_3_16_what_nobody_will_ever_hear_goes_back_at_once() {
    let mut house = house();
    let romeo = house.login(ROMEO);
    say(&mut house, &romeo, 0..2);
    let pair = dial(&mut house);
    house.unreached(&pair, Condition::RemoteServerNotFound, true);
    is_bounced(&mut house, &romeo, 0..2, "remote-server-not-found");
    // The next word tries again.
    say(&mut house, &romeo, 2..3);
    let pair = dial(&mut house);
    let peer = house.linked(&pair);
    assert_eq!(heard(&mut house, &peer), numbers(2..3));
}

#[test]
fn rfc6120_8_3_1_errors_and_answers_are_not_answered() {
    let mut house = house();
    let romeo = house.login(ROMEO);
    for stanza in ["message type='error'", "iq type='result' id='1'", "iq type='error' id='2'", "presence"] {
        house.send(&romeo, &format!("<{stanza} to='{JULIET}'/>"));
    }
    house.send(&romeo, &format!("<iq type='get' id='3' to='{JULIET}'><x xmlns='urn:x'/></iq>"));
    let pair = dial(&mut house);
    house.unreached(&pair, Condition::RemoteServerNotFound, true);
    let back = house.hear(&romeo);
    assert_eq!(back.iter().filter(|it| it.contains("id='3'")).count(), 1, "{back:?}");
    assert!(!back.iter().any(|it| it.contains("id='1'") || it.contains("id='2'") || it.contains("<message")), "{back:?}");
}

/// Questions are asked again by who has asked, if they still want to know.
#[test]
fn a_restart_forgets_questions_and_presence_and_keeps_messages() {
    let mut house = house();
    let romeo = house.login(ROMEO);
    house.send(&romeo, &format!("<iq type='get' id='3' to='{JULIET}'><x xmlns='urn:x'/></iq>"));
    house.send(&romeo, &format!("<presence to='{JULIET}'/>"));
    say(&mut house, &romeo, 0..1);
    let mut house = house.restart(&[], Duration::from_secs(1));
    house.run();
    let pair = dial(&mut house);
    let peer = house.linked(&pair);
    assert_eq!(heard(&mut house, &peer), numbers(0..1));
}

#[test]
fn ck_a_message_that_could_not_be_kept_is_not_said() {
    let mut house = House::federated(Limits::default(), MemoryStore::manual());
    house.user("romeo@house");
    house.store.commit();
    house.run();
    let romeo = house.login(ROMEO);
    say(&mut house, &romeo, 0..1);
    let pair = dial_again(&mut house);
    let peer = house.linked(&pair);
    // Its sender does not know yet whether it was kept.
    house.nothing(&peer);
    house.store.refuse();
    house.run();
    house.nothing(&peer);
    let back = house.hear(&romeo);
    assert!(back.len() == 1 && back[0].contains("type='error'"), "{back:?}");
}

#[test]
fn a_stream_on_which_nothing_is_said_is_closed_and_the_next_word_opens_another() {
    let limits = Limits { peer_idle_timeout: Duration::from_secs(100), ..Limits::default() };
    let mut house = House::federated(limits, MemoryStore::new());
    let romeo = house.login(ROMEO);
    say(&mut house, &romeo, 0..1);
    let pair = dial(&mut house);
    let peer = house.linked(&pair);
    assert_eq!(heard(&mut house, &peer), numbers(0..1));
    house.advance(Duration::from_secs(60));
    say(&mut house, &romeo, 1..2);
    assert_eq!(heard(&mut house, &peer), numbers(1..2));
    house.advance(Duration::from_secs(60));
    assert!(!house.is_over(&peer));
    house.advance(Duration::from_secs(60));
    assert!(house.is_over(&peer));
    say(&mut house, &romeo, 2..3);
    let pair = dial(&mut house);
    let peer = house.linked(&pair);
    assert_eq!(heard(&mut house, &peer), numbers(2..3));
}

/// They take every stream, and end it.
#[test]
fn e6_what_no_stream_lasts_for_goes_back() {
    let mut house = house();
    let romeo = house.login(ROMEO);
    say(&mut house, &romeo, 0..1);
    let mut pair = dial(&mut house);
    for _ in 0..200 {
        let peer = house.linked(&pair);
        house.cut(&peer);
        pair = loop {
            let back = house.hear(&romeo);
            if !back.is_empty() {
                assert!(back.len() == 1 && back[0].contains("<remote-server-timeout "), "{back:?}");
                return;
            }
            if let Some(pair) = house.dials().pop() {
                break pair;
            }
            house.advance(Duration::from_secs(1));
        };
    }
    panic!("for ever");
}

/// It does not read: so much is kept for it and no more.
#[test]
fn e6_who_does_not_read_costs_this_much_and_no_more() {
    let limits = Limits { output_stanzas_max: 10, ..Limits::default() };
    let mut house = House::federated(limits, MemoryStore::new());
    let romeo = house.login(ROMEO);
    say(&mut house, &romeo, 0..1);
    let pair = dial(&mut house);
    let peer = house.linked(&pair);
    let mut all: Vec<String> = Vec::new();
    for n in 1..30 {
        say(&mut house, &romeo, n..n + 1);
        all.extend(house.recv(&romeo).iter().map(id));
    }
    house.cut(&peer);
    // Everything is said: what came back, and what waits for the next one, in its order.
    let pair = house.dials().pop().unwrap_or_else(|| dial_again(&mut house));
    let peer = house.linked(&pair);
    let later = heard(&mut house, &peer);
    assert!(later.is_sorted_by_key(|id| id[1..].parse::<u32>().expect("a number")), "{later:?}");
    all.extend(later);
    all.extend(house.recv(&romeo).iter().map(id));
    all.sort_by_key(|id| id[1..].parse::<u32>().expect("a number"));
    assert_eq!(all, numbers(0..30));
}

/// E5: names that somebody has made up do not stay.
#[test]
fn e5_nothing_is_left_on_disk_of_a_server_for_which_nothing_waits() {
    let owners = |house: &House| {
        let found = Arc::new(std::sync::Mutex::new(0));
        let slot = found.clone();
        let read = Read::Owners { suffix: "@".into(), after: None, max: 100, shelf: crate::remote::SHELF };
        house.store.read(
            0,
            read,
            Box::new(move |rows| {
                let Ok(Rows::Owners(owners)) = rows else { panic!("no owners") };
                *slot.lock().expect("a number") = owners.len();
            }),
        );
        *found.lock().expect("a number")
    };
    let mut house = house();
    let romeo = house.login(ROMEO);
    for round in 0..3 {
        say(&mut house, &romeo, round..round + 1);
        assert_eq!(owners(&house), 1);
        let pair = dial(&mut house);
        house.unreached(&pair, Condition::RemoteServerNotFound, true);
        is_bounced(&mut house, &romeo, round..round + 1, "remote-server-not-found");
        assert_eq!(owners(&house), 0);
    }
    // What waits is kept all the same, also for one that was forgotten before.
    say(&mut house, &romeo, 7..9);
    let mut house = house.restart(&[], Duration::from_secs(1));
    house.run();
    let pair = dial(&mut house);
    let peer = house.linked(&pair);
    assert_eq!(heard(&mut house, &peer), numbers(7..9));
}

/// Whoever writes to names that lead nowhere keeps nobody else from speaking.
#[test]
fn e5_one_sender_has_so_many_servers_looked_for_at_once() {
    let mut house = house();
    let (romeo, nurse) = (house.login(ROMEO), house.login("nurse@house/kitchen"));
    let mut back = 0;
    for n in 0..2_000 {
        house.feed(&romeo, &format!("<message to='x@d{n}.test' type='chat' id='m{n}'/>"));
        if n % 100 == 99 {
            house.run();
            back += house.recv(&romeo).iter().filter(|it| it.as_str().contains("because of one sender")).count();
        }
    }
    let dials = house.dials();
    // Two shards, 256 each.
    assert_eq!((dials.len(), back), (512, 2_000 - 512));
    say(&mut house, &nurse, 0..1);
    let pair = dial(&mut house);
    let peer = house.linked(&pair);
    assert_eq!(heard(&mut house, &peer), numbers(0..1));
    house.cut(&peer);
    // There is room again when one has been found, or has not.
    for pair in &dials {
        match pair.len() % 2 {
            0 => drop(house.linked(pair)),
            _ => house.unreached(pair, Condition::RemoteServerNotFound, true),
        }
    }
    house.recv(&romeo);
    house.send(&romeo, "<message to='x@another.test' type='chat' id='m'/>");
    assert_eq!(house.dials().len(), 1);
}

/// After SIGHUP: nobody tries to reach whom the administrator excludes, and who is spoken with is spoken with no more.
#[test]
fn a_domain_that_is_excluded_later_hears_nothing_of_what_waits_for_it() {
    let mut house = house();
    let romeo = house.login(ROMEO);
    say(&mut house, &romeo, 0..2);
    let pair = dial(&mut house);
    house.unreached(&pair, Condition::RemoteServerTimeout, false);
    house.exclude("far.test");
    let back = house.recv(&romeo);
    assert_eq!(back.iter().map(id).collect::<Vec<_>>(), numbers(0..2));
    assert!(back[0].as_str().contains("its administrator decides ([federation])"), "{}", back[0].as_str());
    house.advance(Duration::from_secs(60));
    assert!(house.dials().is_empty());
    let mut house = self::house();
    let romeo = house.login(ROMEO);
    say(&mut house, &romeo, 0..1);
    let pair = dial(&mut house);
    let peer = house.linked(&pair);
    house.exclude("far.test");
    assert!(house.is_over(&peer));
}

/// One that was looked for too long is not the one that is waited for.
#[test]
fn a_dial_that_comes_to_nothing_late_does_not_end_a_stream() {
    let mut house = house();
    let romeo = house.login(ROMEO);
    say(&mut house, &romeo, 0..1);
    let pair = dial(&mut house);
    let peer = house.linked(&pair);
    house.unreached(&pair, Condition::RemoteServerNotFound, true);
    assert_eq!(heard(&mut house, &peer), numbers(0..1));
    house.nothing(&romeo);
}
