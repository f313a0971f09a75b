//! What a server needs when nothing happens.

use anyhow::{Result, ensure};

use super::{Bench, users};
use crate::client::Goal;
use crate::measure::{Mark, own_kb, resident_kb};
use crate::report::Outcome;

/// Memory of the process before anybody has connected: its own, and with the pages of its program that are mapped.
pub fn empty(bench: &mut Bench) -> Result<Vec<Outcome>> {
    bench.settle(2.0)?;
    let (own, resident) = (own_kb(bench.options.pid)?, resident_kb(bench.options.pid)?);
    let outcome = |key, kilobytes: u64| Outcome::new(key, kilobytes as f64 / 1024.0, "MB");
    Ok(vec![outcome("empty", own), outcome("empty-resident", resident)])
}

/// Resident memory per bound and available connection, by the slope between a fifth and all of the connections (what the first
/// ones bring in of code and caches does not count), and the CPU of all of them idling.
pub fn run(bench: &mut Bench, key: &str) -> Result<Vec<Outcome>> {
    let o = bench.options;
    let (few, all) = (o.connections / 5, o.connections);
    ensure!(few > 0, "too few connections");
    bench.pool.log_in(&users(0, few, "r"), Goal::Available)?;
    bench.settle(5.0)?;
    let first = resident_kb(o.pid)?;
    bench.pool.log_in(&users(few, all, "r"), Goal::Available)?;
    bench.settle(5.0)?;
    let last = resident_kb(o.pid)?;
    let slope = (last as f64 - first as f64) / (all - few) as f64;

    let before = Mark::now(o.pid);
    bench.settle(o.seconds)?;
    let span = Mark::now(o.pid).since(&before);
    ensure!(bench.pool.clients.iter().all(|client| client.is_online()), "a connection was lost");
    let idle = span.server_share() * 100.0 * 10_000.0 / all as f64;
    Ok(vec![
        Outcome::new(key, slope, "KB").note(format!("{few} to {all} connections, {} MB in the end", last / 1024)),
        Outcome::new(&key.replace("memory", "cpu").replace("websocket", "websocket-cpu"), idle, "%")
            .spent(0, span)
            .note(format!("{all} connections, scaled to 10,000")),
    ])
}
