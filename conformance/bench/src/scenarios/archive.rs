//! The message archive (XEP-0313).

use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};

use super::flow::Flow;
use super::queries::{Check, Repeat};
use super::{Bench, rooms, user, users};
use crate::client::{Goal, number};
use crate::frame;
use crate::report::Outcome;

const PAGE: u64 = 50;
const CONNECTIONS: usize = 4;
/// A client's own archive, in a request: nothing says so.
pub const OWN: &str = "";

/// A request for the last messages (XEP-0313 4.3: an empty `<before/>` means the last page). `whose`: nothing, or an attribute that says
/// where it goes.
fn last(whose: &str, id: &str, max: u32) -> String {
    format!(
        "<iq type='set'{whose} id='{id}'><query xmlns='urn:xmpp:mam:2' queryid='{id}'>\
         <set xmlns='http://jabber.org/protocol/rsm'><max>{max}</max><before/></set></query></iq>"
    )
}

/// The sequence number in the body of an archived message.
fn sequence(stanza: &[u8]) -> Option<u64> {
    number(frame::between(stanza, "<body>", " ")?)
}

/// Waits until the last message in a client's archive is the given one; servers may write behind.
pub fn await_last(bench: &mut Bench, client: usize, whose: &str, expected: u64) -> Result<()> {
    let deadline = Instant::now() + Duration::from_secs(30);
    loop {
        let mut found = None;
        bench.pool.send(client, last(whose, "last", 1).as_bytes());
        bench.pool.until(Duration::from_secs(30), "asking the archive", &mut |_, index, stanza| {
            if index == client && stanza.starts_with(b"<message") {
                found = sequence(stanza);
            }
            Ok(index == client && frame::attribute(stanza, "id") == Some(b"last"))
        })?;
        if found == Some(expected) {
            return Ok(());
        }
        ensure!(Instant::now() < deadline, "the archive ends with {found:?} instead of {expected}");
        bench.settle(0.2)?;
    }
}

/// Sends `archive` messages from the first account to the second, through the server.
pub fn fill(bench: &mut Bench) -> Result<Vec<Outcome>> {
    bench.pool.log_in(&users(0, 2, "r"), Goal::Available)?;
    let mut flow = Flow::new("");
    flow.route("chat", 0, &bench.pool.clients[1].full(), &[1]);
    flow.exactly(&mut bench.pool, bench.options.window, bench.options.archive)?;
    for client in 0..2 {
        await_last(bench, client, OWN, bench.options.archive - 1)?;
    }
    Ok(Vec::new())
}

/// One person speaks in a room that stays when they go.
pub fn fill_room(bench: &mut Bench) -> Result<Vec<Outcome>> {
    bench.pool.log_in(&users(0, 1, "r"), Goal::Available)?;
    let address = rooms::address(bench, 0);
    rooms::open(bench, 0, &address, true)?;
    bench.settle(1.0)?;
    let mut flow = Flow::new("");
    flow.route("groupchat", 0, &address, &[0]);
    flow.exactly(&mut bench.pool, bench.options.window, bench.options.archive)?;
    await_last(bench, 0, &format!(" to='{address}'"), bench.options.archive - 1)?;
    Ok(Vec::new())
}

/// The last 50 of an archive filled by [`fill`], again and again on four connections.
pub fn page(bench: &mut Bench) -> Result<Vec<Outcome>> {
    log_in(bench)?;
    read(bench, "archive-page", OWN)
}

/// The last 50 of a room filled by [`fill_room`], for four who are in it.
pub fn page_of_room(bench: &mut Bench) -> Result<Vec<Outcome>> {
    log_in(bench)?;
    let address = rooms::address(bench, 0);
    for index in 0..CONNECTIONS {
        rooms::join(&mut bench.pool, index, &address);
        bench.pool.until(Duration::from_secs(60), "joining", &mut |_, who, stanza| {
            Ok(who == index && rooms::is_occupant(stanza) && frame::has(stanza, "110"))
        })?;
    }
    // The subject follows, and presences of who came later.
    bench.settle(1.0)?;
    read(bench, "room-archive-page", &format!(" to='{address}'"))
}

fn log_in(bench: &mut Bench) -> Result<()> {
    let resources: Vec<_> = (0..CONNECTIONS).map(|number| (user(1), format!("r{number}"))).collect();
    bench.pool.log_in(&resources, Goal::Bound)
}

fn read(bench: &mut Bench, key: &str, whose: &str) -> Result<Vec<Outcome>> {
    let o = bench.options;
    let newest = o.archive - 1;
    let mut seen = [0; CONNECTIONS];
    let repeat = Repeat { connections: CONNECTIONS, window: 1, stanza: &|id| last(whose, id, PAGE as u32) };
    let (pages, span) = repeat.run(bench, &mut |index, stanza| {
        if stanza.starts_with(b"<message") {
            let sequence = sequence(stanza).context("an archived message without its body")?;
            let expected = (newest + 1).saturating_sub(PAGE) + seen[index];
            ensure!(sequence == expected, "archived message {sequence} came where {expected} was due");
            seen[index] += 1;
            return Ok(Check::Part);
        }
        ensure!(frame::has(stanza, "<fin"), "no <fin/>: {}", String::from_utf8_lossy(stanza));
        ensure!(seen[index] == PAGE.min(o.archive), "a page of {} messages", seen[index]);
        seen[index] = 0;
        Ok(Check::Answer)
    })?;
    let key = format!("{key}-{}", o.archive);
    Ok(vec![Outcome::new(&key, span.per_core(pages), "/s").spent(pages, span).note(format!("{CONNECTIONS} connections"))])
}
