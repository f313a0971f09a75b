//! Everybody at once: a mass login, and a mass resumption after the network was gone.

use std::time::{Duration, Instant};

use anyhow::{Result, ensure};

use super::{Bench, user, users};
use crate::client::Goal;
use crate::frame;
use crate::measure::{Latencies, Mark};
use crate::report::Outcome;

/// How long a storm may take; a server that needs longer cannot do it.
const PATIENCE: Duration = Duration::from_secs(120);

/// All sessions are cut in one moment and resumed in one moment (XEP-0198 5), TLS and SCRAM included. Meanwhile each was sent a
/// message: it has to come, once, behind `<resumed/>`.
pub fn resume(bench: &mut Bench) -> Result<Vec<Outcome>> {
    let o = bench.options;
    let all = o.connections;
    bench.pool.log_in(&users(0, all, "r"), Goal::Available)?;
    bench.settle(1.0)?;
    for index in 0..all {
        bench.pool.send(index, b"<enable xmlns='urn:xmpp:sm:3' resume='true'/>");
    }
    let mut enabled = 0;
    bench.pool.until(PATIENCE, "enabling 0198", &mut |pool, index, frame| {
        if frame.starts_with(b"<enabled") {
            let id = frame::attribute(frame, "id").unwrap_or_default();
            pool.clients[index].previd = String::from_utf8_lossy(id).into_owned();
            pool.clients[index].acks.enabled = true;
            enabled += 1;
        }
        Ok(enabled == all)
    })?;
    bench.pool.log_in(&[(user(0), "sender".into())], Goal::Bound)?;
    bench.settle(2.0)?;

    for client in &mut bench.pool.clients[..all] {
        client.cut();
    }
    bench.settle(1.0)?;
    for index in 0..all {
        let to = bench.pool.clients[index].full();
        let message = format!("<message type='chat' to='{to}'><body>missed {index}.</body></message>");
        bench.pool.send(all, message.as_bytes());
        if index % 100 == 0 {
            bench.settle(0.01)?;
        }
    }
    let pong = "<iq type='get' id='after' to='localhost'><ping xmlns='urn:xmpp:ping'/></iq>";
    bench.pool.ask(all, "after", pong)?;

    let before = Mark::now(o.pid);
    let began = Instant::now();
    for index in 0..all {
        bench.pool.resume(index)?;
    }
    let (mut heard, mut resumed, mut missed) = (vec![0_u32; all], 0, 0);
    let mut waited = Latencies::default();
    let mut last = Duration::ZERO;
    bench.pool.until(PATIENCE, "resuming all sessions", &mut |pool, index, frame| {
        if frame.starts_with(b"<resumed") {
            resumed += 1;
            last = began.elapsed();
            waited.add(last.as_nanos() as u64);
        } else if frame.starts_with(b"<message") && index < all {
            ensure!(frame::has(frame, &format!("missed {index}.")), "a message came to the wrong client");
            ensure!(pool.clients[index].is_online(), "a message came before the session");
            heard[index] += 1;
            missed += usize::from(heard[index] == 1);
        }
        Ok(resumed == all && missed == all)
    })?;
    let span = Mark::now(o.pid).since(&before);
    // Whatever comes twice comes now.
    bench.pool.turn(Some(Duration::from_secs(1)), &mut |_, index, frame| {
        ensure!(index >= all || !frame.starts_with(b"<message"), "a message came twice");
        Ok(())
    })?;
    let note = format!(
        "{all} sessions at once, half of them within {:.2} s; a message each, none lost",
        waited.quantile_ms(0.5) / 1e3
    );
    Ok(vec![
        Outcome::new("resume-storm", span.server_us(all as u64) / 1e3, "ms").spent(all as u64, span).note(note.clone()),
        Outcome::new("resume-storm-time", last.as_secs_f64(), "s").note(note),
    ])
}

/// Everybody connects in one moment: TLS, SCRAM, bind, presence.
pub fn login(bench: &mut Bench) -> Result<Vec<Outcome>> {
    let o = bench.options;
    let all = o.connections;
    // The generator's own keys, and what the server loads on first use.
    bench.pool.log_in(&users(0, all, "before"), Goal::Bound)?;
    bench.pool.leave()?;
    bench.settle(2.0)?;

    let before = Mark::now(o.pid);
    let began = Instant::now();
    let reached = bench.pool.reached;
    for index in 0..all {
        bench.pool.connect(index, &user(index), "r", Goal::Available)?;
    }
    let mut waited = Latencies::default();
    while bench.pool.reached - reached < all {
        ensure!(began.elapsed() < PATIENCE, "{} of {all} are in after {PATIENCE:?}", bench.pool.reached - reached);
        let was = bench.pool.reached;
        bench.pool.turn(Some(Duration::from_millis(50)), &mut |_, _, _| Ok(()))?;
        (was..bench.pool.reached).for_each(|_| waited.add(began.elapsed().as_nanos() as u64));
    }
    let took = began.elapsed();
    let span = Mark::now(o.pid).since(&before);
    let note = format!("{all} at once, half of them in within {:.2} s, {:?}", waited.quantile_ms(0.5) / 1e3, o.mechanism);
    Ok(vec![
        Outcome::new("login-mass", span.server_us(all as u64) / 1e3, "ms").spent(all as u64, span).note(note.clone()),
        Outcome::new("login-mass-time", took.as_secs_f64(), "s").note(note),
    ])
}
