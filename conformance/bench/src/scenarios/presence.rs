//! Presence to contacts.

use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};

use super::{Bench, users};
use crate::client::{Goal, number};
use crate::frame;
use crate::measure::Mark;
use crate::pool::Pool;
use crate::report::Outcome;

/// One account with `contacts` mutual subscriptions toggles its presence; the next toggle follows when all have the last one,
/// so each delivery is a write of its own, as it is in life.
pub fn run(bench: &mut Bench) -> Result<Vec<Outcome>> {
    let o = bench.options;
    let contacts = o.contacts;
    match o.is_limit() {
        true => bench.pool.log_in(&users(0, contacts + 1, "r"), Goal::Relay)?,
        false => {
            bench.pool.log_in(&users(0, contacts + 1, "r"), Goal::Available)?;
            subscribe(bench)?;
        }
    }

    let (mut sent, mut deliveries) = (0_u64, 0_u64);
    let mut received = vec![0_u64; contacts + 1];
    let mut behind = contacts;
    let toggle = |pool: &mut Pool, sent: &mut u64| {
        let show = if sent.is_multiple_of(2) { "away" } else { "chat" };
        pool.send(0, format!("<presence><show>{show}</show><status>n{sent}</status></presence>").as_bytes());
        *sent += 1;
    };
    toggle(&mut bench.pool, &mut sent);
    let warm = Instant::now() + Duration::from_secs_f64(o.warmup);
    let end = warm + Duration::from_secs_f64(o.seconds);
    let (mut before, mut result) = (None, None);
    loop {
        bench.pool.turn(Some(Duration::from_millis(50)), &mut |pool, index, stanza| {
            if index == 0 || !stanza.starts_with(b"<presence") {
                return Ok(());
            }
            let Some(status) = frame::between(stanza, "<status>n", "</status>") else { return Ok(()) };
            let status = number(status).context("a presence without its number")?;
            ensure!(status == received[index], "presence {status} came where {} was due", received[index]);
            received[index] += 1;
            deliveries += 1;
            behind -= 1;
            if behind == 0 && result.is_none() {
                behind = contacts;
                toggle(pool, &mut sent);
            }
            Ok(())
        })?;
        let now = Instant::now();
        if before.is_none() && now >= warm {
            before = Some((Mark::now(o.pid), deliveries));
        }
        if let Some((mark, first)) = &before
            && result.is_none()
            && now >= end
        {
            result = Some((deliveries - first, Mark::now(o.pid).since(mark)));
        }
        if let Some((count, span)) = result
            && behind == 0
        {
            ensure!(count > 0, "no presence in the measured time");
            let outcome = Outcome::new("presence", span.server_us(count), "us").spent(count, span);
            return Ok(vec![outcome.note(format!("{contacts} contacts, one toggle at a time"))]);
        }
        ensure!(now < end + Duration::from_secs(30), "{behind} presences were lost");
    }
}

/// Makes all mutual subscriptions with the first account (RFC 6121 3.1), and waits until its roster says so.
fn subscribe(bench: &mut Bench) -> Result<()> {
    let contacts = bench.options.contacts;
    let hub = bench.pool.clients[0].bare();
    // Only resources that have asked for the roster get requests for subscription pushed (RFC 6121 2.2).
    for index in 0..=contacts {
        bench.pool.ask(index, "roster", "<iq type='get' id='roster'><query xmlns='jabber:iq:roster'/></iq>")?;
    }
    let send = |pool: &mut Pool, from: usize, to: &str, kind: &str| {
        pool.send(from, format!("<presence to='{to}' type='{kind}'/>").as_bytes());
    };
    for index in 1..=contacts {
        send(&mut bench.pool, index, &hub, "subscribe");
    }
    let mut accepted = 0;
    bench.pool.until(Duration::from_secs(60), "subscribing", &mut |pool, index, stanza| {
        if !stanza.starts_with(b"<presence") || frame::attribute(stanza, "type") != Some(b"subscribe") {
            return Ok(false);
        }
        let from = String::from_utf8_lossy(frame::attribute(stanza, "from").unwrap_or_default()).into_owned();
        send(pool, index, &from, "subscribed");
        match index {
            0 => send(pool, 0, &from, "subscribe"),
            _ => accepted += 1,
        }
        Ok(accepted == contacts)
    })?;
    let deadline = Instant::now() + Duration::from_secs(30);
    loop {
        bench.settle(0.5)?;
        let roster = bench.pool.ask(0, "check", "<iq type='get' id='check'><query xmlns='jabber:iq:roster'/></iq>")?;
        let both = |quote: &str| memchr::memmem::find_iter(&roster, &format!("subscription={quote}both{quote}")).count();
        if both("'") + both("\"") == contacts {
            return Ok(());
        }
        ensure!(Instant::now() < deadline, "subscriptions are incomplete: {}", String::from_utf8_lossy(&roster));
    }
}
