//! One-to-one messages in their variants.

use std::time::{Duration, Instant};

use anyhow::{Result, ensure};

use super::flow::Flow;
use super::{Bench, archive, users};
use crate::client::Goal;
use crate::frame;
use crate::report::Outcome;

/// Logs in `pairs` senders (even numbers) and receivers (odd ones) and routes from one to the other.
fn pairs(bench: &mut Bench, tail: &str) -> Result<Flow> {
    let count = bench.options.pairs * 2;
    let goal = if bench.options.is_limit() { Goal::Relay } else { Goal::Available };
    bench.pool.log_in(&users(0, count, "r"), goal)?;
    let mut flow = Flow::new(tail);
    for sender in (0..count).step_by(2) {
        flow.route("chat", sender, &bench.pool.clients[sender + 1].full(), &[sender + 1]);
    }
    bench.settle(0.5)?;
    Ok(flow)
}

fn measure(bench: &mut Bench, flow: &mut Flow, key: &str) -> Result<Outcome> {
    let o = bench.options;
    let (deliveries, span) = flow.closed(&mut bench.pool, o.window, o.warmup, o.seconds, o.pid)?;
    Ok(Outcome::new(key, span.server_us(deliveries), "us")
        .spent(deliveries, span)
        .note(format!("{} pairs, window {}", o.pairs, o.window)))
}

/// Closed loop: server CPU per delivered message.
pub fn closed(bench: &mut Bench, key: &str) -> Result<Vec<Outcome>> {
    let mut flow = pairs(bench, "")?;
    Ok(vec![measure(bench, &mut flow, key)?])
}

/// The same with the archive on; afterwards both sides' archives must hold the last message.
pub fn archived(bench: &mut Bench) -> Result<Vec<Outcome>> {
    let mut flow = pairs(bench, "")?;
    let outcome = measure(bench, &mut flow, "chat-archived")?;
    for client in 0..2 {
        archive::await_last(bench, client, archive::OWN, flow.sent(0) - 1)?;
    }
    Ok(vec![outcome])
}

/// XEP-0198 on both ends, an acknowledgement asked for with each stanza; in the end both sides must have confirmed all.
pub fn acked(bench: &mut Bench) -> Result<Vec<Outcome>> {
    let mut flow = pairs(bench, "<r xmlns='urn:xmpp:sm:3'/>")?;
    let count = bench.options.pairs * 2;
    for index in 0..count {
        bench.pool.send(index, b"<enable xmlns='urn:xmpp:sm:3' resume='true'/>");
    }
    let mut enabled = 0;
    bench.pool.until(Duration::from_secs(30), "enabling 0198", &mut |pool, index, frame| {
        if frame.starts_with(b"<enabled") {
            pool.clients[index].acks.enabled = true;
            enabled += 1;
        }
        Ok(enabled == count)
    })?;
    let outcome = measure(bench, &mut flow, "chat-acked")?;

    // The last <a/> may be behind the last delivery.
    let deadline = Instant::now() + Duration::from_secs(10);
    for route in 0..bench.options.pairs {
        let sender = route * 2;
        while u64::from(bench.pool.clients[sender].acks.confirmed) != flow.sent(route) {
            let acks = bench.pool.clients[sender].acks;
            ensure!(Instant::now() < deadline, "{} stanzas sent, {acks:?}", flow.sent(route));
            bench.pool.turn(Some(Duration::from_millis(20)), &mut |_, _, _| Ok(()))?;
        }
    }
    let answered: u64 = bench.pool.clients.iter().map(|client| client.acks.answered).sum();
    ensure!(answered > 0, "the server never asked for an acknowledgement");
    Ok(vec![outcome.note(format!("{} pairs, window {}, {answered} server requests answered", count / 2, bench.options.window))])
}

/// Two devices with carbons (XEP-0280) on either side: a message makes three deliveries.
pub fn carbons(bench: &mut Bench) -> Result<Vec<Outcome>> {
    let count = bench.options.pairs * 2;
    bench.pool.log_in(&users(0, count, "r"), Goal::Available)?;
    bench.pool.log_in(&users(0, count, "second"), Goal::Available)?;
    for index in 0..count * 2 {
        let answer =
            bench.pool.ask(index, "carbons", "<iq type='set' id='carbons'><enable xmlns='urn:xmpp:carbons:2'/></iq>")?;
        ensure!(frame::attribute(&answer, "type") == Some(b"result"), "carbons refused");
    }
    let mut flow = Flow::new("");
    for sender in (0..count).step_by(2) {
        let receiver = sender + 1;
        flow.route("chat", sender, &bench.pool.clients[receiver].full(), &[receiver, receiver + count, sender + count]);
    }
    bench.settle(0.5)?;
    Ok(vec![measure(bench, &mut flow, "carbons")?])
}

/// Open loop at a given rate: latency.
pub fn open(bench: &mut Bench) -> Result<Vec<Outcome>> {
    let o = bench.options;
    let mut flow = pairs(bench, "")?;
    let key = |quantile: &str| format!("chat-{}-{quantile}", o.rate);
    let Some(opened) = flow.open(&mut bench.pool, o.rate, o.warmup, o.seconds, o.pid)? else {
        return Ok(vec![Outcome::cannot(&key("p99"), "ms", format!("a second behind at {} messages/s", o.rate))]);
    };
    let note = format!("worst {:.1} ms of {} messages, {} pairs", opened.worst_ms, opened.samples, o.pairs);
    Ok([("p50", opened.p50_ms), ("p99", opened.p99_ms)]
        .into_iter()
        .map(|(quantile, ms)| Outcome::new(&key(quantile), ms, "ms").spent(opened.deliveries, opened.span).note(note.clone()))
        .collect())
}
