//! What the server and the generator consumed, from `/proc`.

use std::collections::HashMap;
use std::fs;
use std::time::{Duration, Instant};

use anyhow::{Context, Result};

/// The process and its living descendants: Erlang and shell wrappers start children.
fn family(root: u32) -> Vec<u32> {
    let mut children: HashMap<u32, Vec<u32>> = HashMap::new();
    for entry in fs::read_dir("/proc").into_iter().flatten().flatten() {
        let Some(pid) = entry.file_name().to_str().and_then(|name| name.parse().ok()) else { continue };
        if let Some(parent) = stat_field(pid, 1) {
            children.entry(parent as u32).or_default().push(pid);
        }
    }
    let mut family = vec![root];
    let mut at = 0;
    while let Some(pid) = family.get(at) {
        family.extend(children.get(pid).into_iter().flatten().copied().collect::<Vec<_>>());
        at += 1;
    }
    family
}

/// A field of `/proc/PID/stat`, counted from 0 at the state that follows the name (proc(5)).
fn stat_field(pid: u32, field: usize) -> Option<u64> {
    let stat = fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
    stat.rsplit_once(')')?.1.split_whitespace().nth(field)?.parse().ok()
}

/// CPU time of all threads so far, user and system. `schedstat` counts nanoseconds but forgets threads that have ended;
/// `stat` remembers them in ticks of 10 ms: the larger of the two is the better.
pub fn cpu(root: u32) -> Duration {
    family(root)
        .into_iter()
        .map(|pid| {
            let ticks = stat_field(pid, 11).unwrap_or(0) + stat_field(pid, 12).unwrap_or(0);
            let threads: u64 = fs::read_dir(format!("/proc/{pid}/task"))
                .into_iter()
                .flatten()
                .flatten()
                .filter_map(|task| fs::read_to_string(task.path().join("schedstat")).ok())
                .filter_map(|line| line.split(' ').next()?.parse::<u64>().ok())
                .sum();
            Duration::from_nanos(threads).max(Duration::from_millis(ticks * 10))
        })
        .sum()
}

/// Resident memory in kilobytes.
pub fn resident_kb(root: u32) -> Result<u64> {
    memory_kb(root, "VmRSS:")
}

/// The part of it that no file stands behind: heaps, stacks, what was written to.
pub fn own_kb(root: u32) -> Result<u64> {
    memory_kb(root, "RssAnon:")
}

fn memory_kb(root: u32, which: &str) -> Result<u64> {
    let mut total = 0;
    for pid in family(root) {
        let status = fs::read_to_string(format!("/proc/{pid}/status")).context("the server has gone")?;
        let line = status.lines().find_map(|line| line.strip_prefix(which));
        total += line.and_then(|line| line.split_whitespace().next()?.parse::<u64>().ok()).unwrap_or(0);
    }
    Ok(total)
}

/// A moment with the CPU times at it.
#[derive(Clone, Copy)]
pub struct Mark {
    at: Instant,
    server: Duration,
    client: Duration,
}

/// What passed between two marks.
#[derive(Clone, Copy)]
pub struct Span {
    pub wall: Duration,
    pub server: Duration,
    pub client: Duration,
}

impl Mark {
    pub fn now(server: u32) -> Self {
        Mark { at: Instant::now(), server: cpu(server), client: cpu(std::process::id()) }
    }

    pub fn since(&self, earlier: &Mark) -> Span {
        Span {
            wall: self.at - earlier.at,
            server: self.server.saturating_sub(earlier.server),
            client: self.client.saturating_sub(earlier.client),
        }
    }
}

impl Span {
    /// Server CPU per operation in microseconds.
    pub fn server_us(&self, operations: u64) -> f64 {
        self.server.as_secs_f64() * 1e6 / operations.max(1) as f64
    }

    /// Operations per second of server CPU: what one core would do.
    pub fn per_core(&self, operations: u64) -> f64 {
        operations as f64 / self.server.as_secs_f64().max(1e-9)
    }

    pub fn server_share(&self) -> f64 {
        self.server.as_secs_f64() / self.wall.as_secs_f64()
    }

    pub fn client_share(&self) -> f64 {
        self.client.as_secs_f64() / self.wall.as_secs_f64()
    }
}

/// Latencies in nanoseconds.
#[derive(Default)]
pub struct Latencies(Vec<u64>);

impl Latencies {
    pub fn add(&mut self, nanoseconds: u64) {
        self.0.push(nanoseconds);
    }

    pub fn len(&self) -> usize {
        self.0.len()
    }

    /// Milliseconds below which the given share (0 to 1) of all lies; 0 when there are none.
    pub fn quantile_ms(&mut self, share: f64) -> f64 {
        self.0.sort_unstable();
        let at = ((self.0.len() as f64 * share).ceil() as usize).saturating_sub(1);
        self.0.get(at).map_or(0.0, |nanoseconds| *nanoseconds as f64 / 1e6)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn quantiles_are_nearest_ranks() {
        let mut latencies = Latencies::default();
        (1..=100).rev().for_each(|ms| latencies.add(ms * 1_000_000));
        assert_eq!(latencies.quantile_ms(0.5), 50.0);
        assert_eq!(latencies.quantile_ms(0.99), 99.0);
        assert_eq!(latencies.quantile_ms(1.0), 100.0);
    }

    #[test]
    fn own_cpu_time_grows_with_work() {
        let before = cpu(std::process::id());
        let end = Instant::now() + Duration::from_millis(60);
        while Instant::now() < end {
            std::hint::spin_loop();
        }
        assert!(cpu(std::process::id()) > before);
        let (resident, own) = (resident_kb(std::process::id()).unwrap(), own_kb(std::process::id()).unwrap());
        assert!(resident > 500 && 50 < own && own < resident, "{own} of {resident} KB");
    }
}
