//! Rooms (XEP-0045): messages to all occupants, and many people joining at once.

use std::time::{Duration, Instant};

use anyhow::{Result, ensure};

use super::flow::Flow;
use super::{Bench, users};
use crate::client::Goal;
use crate::frame;
use crate::measure::{Latencies, Mark, Span};
use crate::pool::Pool;
use crate::report::Outcome;

const COMING_BACK_ROUNDS: usize = 9;

pub fn address(bench: &Bench, room: usize) -> String {
    format!("room{room}@conference.{}", bench.options.domain)
}

/// XEP-0045 7.2.2, without history.
pub fn join(pool: &mut Pool, index: usize, room: &str) {
    let x = "<x xmlns='http://jabber.org/protocol/muc'><history maxstanzas='0'/></x>";
    pool.send(index, format!("<presence to='{room}/n{index}'>{x}</presence>").as_bytes());
}

/// Makes a room by entering it. `lasting`: it stays when everybody has left.
pub fn open(bench: &mut Bench, owner: usize, address: &str, lasting: bool) -> Result<()> {
    join(&mut bench.pool, owner, address);
    bench.pool.until(Duration::from_secs(60), "creating a room", &mut |_, index, stanza| {
        Ok(index == owner && is_occupant(stanza) && frame::has(stanza, "110"))
    })?;
    // 10.1.2: a server may lock a new room until its owner has accepted the configuration.
    let fields = "<field var='FORM_TYPE'><value>http://jabber.org/protocol/muc#roomconfig</value></field>\
                  <field var='muc#roomconfig_persistentroom'><value>1</value></field>";
    let accept = format!(
        "<iq type='set' to='{address}' id='accept'><query xmlns='http://jabber.org/protocol/muc#owner'>\
         <x xmlns='jabber:x:data' type='submit'>{}</x></query></iq>",
        if lasting { fields } else { "" }
    );
    let answer = bench.pool.ask(owner, "accept", &accept)?;
    ensure!(!frame::is_error(&answer), "no room: {}", String::from_utf8_lossy(&answer));
    Ok(())
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
        open(bench, owner, &address, false)?;
        seen[owner] = 1;
    }
    bench.settle(1.0)?;
    let before = Mark::now(bench.options.pid);
    for index in (0..rooms * occupants).filter(|index| index % occupants != 0) {
        let address = address(bench, index / occupants);
        join(&mut bench.pool, index, &address);
    }
    bench.pool.until(Duration::from_secs(600), "joining", &mut |_, index, stanza| {
        if is_occupant(stanza) {
            seen[index] += 1;
            ensure!(seen[index] <= occupants, "more presences than occupants");
            incomplete -= usize::from(seen[index] == occupants);
        }
        Ok(incomplete == 0)
    })?;
    Ok(Mark::now(bench.options.pid).since(&before))
}

pub fn is_occupant(stanza: &[u8]) -> bool {
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
    match bench.options.is_limit() {
        true => bench.pool.log_in(&users(0, bench.options.rooms * bench.options.occupants, "r"), Goal::Relay)?,
        false => drop(enter(bench)?),
    }
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
    let mut outcomes =
        vec![Outcome::new(&key, span.server_us(deliveries), "us").spent(deliveries, span).note("one message at a time".into())];
    if o.rooms == 1 && o.occupants >= 1_000 && !o.is_limit() {
        outcomes.push(coming_back(bench)?);
    }
    Ok(outcomes)
}

/// How long the last of many waits from setting out until it knows everybody: its own presence comes last (7.2.2).
fn coming_back(bench: &mut Bench) -> Result<Outcome> {
    let (room, who) = (address(bench, 0), bench.options.occupants - 1);
    let mut times = Latencies::default();
    for _ in 0..COMING_BACK_ROUNDS {
        bench.pool.send(who, format!("<presence to='{room}/n{who}' type='unavailable'/>").as_bytes());
        bench.settle(0.5)?;
        let began = Instant::now();
        join(&mut bench.pool, who, &room);
        let mut seen = 0;
        bench.pool.until(Duration::from_secs(60), "coming back", &mut |_, index, stanza| {
            let heard = index == who && is_occupant(stanza);
            seen += usize::from(heard);
            Ok(heard && (frame::has(stanza, "'110'") || frame::has(stanza, "\"110\"")))
        })?;
        times.add(u64::try_from(began.elapsed().as_nanos())?);
        ensure!(seen == who + 1, "{seen} presences");
    }
    let value = times.quantile_ms(0.5);
    let note = format!("median of {COMING_BACK_ROUNDS}, worst {:.1} ms", times.quantile_ms(1.0));
    Ok(Outcome::new(&format!("room-come-back-{}", who + 1), value, "ms").note(note))
}
