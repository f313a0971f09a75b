//! Rooms (XEP-0045): messages to all occupants, and many people joining at once.

use std::time::Duration;

use anyhow::{Result, ensure};

use super::flow::Flow;
use super::{Bench, users};
use crate::client::Goal;
use crate::frame;
use crate::measure::{Mark, Span};
use crate::pool::Pool;
use crate::report::Outcome;

fn address(bench: &Bench, room: usize) -> String {
    format!("room{room}@conference.{}", bench.options.domain)
}

/// XEP-0045 7.2.2, without history.
fn join(pool: &mut Pool, index: usize, room: &str) {
    let x = "<x xmlns='http://jabber.org/protocol/muc'><history maxstanzas='0'/></x>";
    pool.send(index, format!("<presence to='{room}/n{index}'>{x}</presence>").as_bytes());
}

/// Makes `rooms` rooms of `occupants` each; client `room * occupants` enters first and owns it, the others follow at once.
/// Returns what passed from when they set out until everybody has everybody's presence.
fn enter(bench: &mut Bench) -> Result<Span> {
    let (rooms, occupants) = (bench.options.rooms, bench.options.occupants);
    bench.pool.log_in(&users(0, rooms * occupants, "r"), Goal::Available)?;
    let mut seen = vec![0; rooms * occupants];
    let mut incomplete = rooms * occupants;
    for room in 0..rooms {
        let (owner, address) = (room * occupants, address(bench, room));
        join(&mut bench.pool, owner, &address);
        bench.pool.until(Duration::from_secs(10), "creating a room", &mut |_, index, stanza| {
            Ok(index == owner && is_occupant(stanza) && frame::has(stanza, "110"))
        })?;
        seen[owner] = 1;
        // 10.1.2: a server may lock a new room until its owner has accepted the configuration.
        let accept = format!(
            "<iq type='set' to='{address}' id='accept'><query xmlns='http://jabber.org/protocol/muc#owner'>\
             <x xmlns='jabber:x:data' type='submit'/></query></iq>"
        );
        bench.pool.ask(owner, "accept", &accept)?;
    }
    bench.settle(1.0)?;
    let before = Mark::now(bench.options.pid);
    for index in (0..rooms * occupants).filter(|index| index % occupants != 0) {
        let address = address(bench, index / occupants);
        join(&mut bench.pool, index, &address);
    }
    bench.pool.until(Duration::from_secs(120), "joining", &mut |_, index, stanza| {
        if is_occupant(stanza) {
            seen[index] += 1;
            ensure!(seen[index] <= occupants, "more presences than occupants");
            incomplete -= usize::from(seen[index] == occupants);
        }
        Ok(incomplete == 0)
    })?;
    Ok(Mark::now(bench.options.pid).since(&before))
}

fn is_occupant(stanza: &[u8]) -> bool {
    stanza.starts_with(b"<presence") && frame::has(stanza, "http://jabber.org/protocol/muc#user")
}

/// Wall time for everybody to join one room.
pub fn joining(bench: &mut Bench) -> Result<Vec<Outcome>> {
    let span = enter(bench)?;
    let occupants = bench.options.occupants;
    let outcome = Outcome::new(&format!("room-join-{occupants}"), span.wall.as_secs_f64(), "s");
    Ok(vec![outcome.spent((occupants * occupants) as u64, span)])
}

/// One occupant of each room speaks; the next message follows when all occupants have the last.
pub fn messages(bench: &mut Bench) -> Result<Vec<Outcome>> {
    enter(bench)?;
    // Subjects follow the presences (7.2.15).
    bench.settle(2.0)?;
    let o = bench.options;
    let mut flow = Flow::new("");
    for room in 0..o.rooms {
        let first = room * o.occupants;
        let sinks: Vec<usize> = (first..first + o.occupants).collect();
        flow.route("groupchat", first, &address(bench, room), &sinks);
    }
    let (deliveries, span) = flow.closed(&mut bench.pool, 1, o.warmup, o.seconds, o.pid)?;
    let key = if o.rooms == 1 { format!("room-{}", o.occupants) } else { format!("rooms-{}x{}", o.rooms, o.occupants) };
    Ok(vec![Outcome::new(&key, span.server_us(deliveries), "us").spent(deliveries, span).note("one message at a time".into())])
}
