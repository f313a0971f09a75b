//! Streams of numbered messages whose deliveries are counted and checked.

use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail, ensure};

use crate::client::number;
use crate::frame;
use crate::measure::{Latencies, Mark, Span};
use crate::pool::Pool;

/// Length of a message's body in bytes.
const BODY: usize = 100;

/// One sender, one address, and the clients each message must come to.
struct Route {
    sender: usize,
    /// Up to where the sequence number goes, from there to the body, and behind the body.
    head: String,
    open: String,
    close: String,
    sent: u64,
    /// Next expected number at each sink.
    received: Vec<u64>,
    /// Messages that have come to all sinks, and how many sinks have no more than these.
    complete: u64,
    behind: usize,
}

/// All routes of a run.
pub struct Flow {
    routes: Vec<Route>,
    /// Route and place within it, by client.
    sinks: Vec<Option<(usize, usize)>>,
    /// Behind each message, e.g. a request for acknowledgement.
    tail: String,
    start: Instant,
    deliveries: u64,
    latencies: Latencies,
    /// Latency counts for messages due after this moment.
    latency_from: u64,
}

impl Flow {
    pub fn new(tail: &str) -> Self {
        Flow {
            routes: Vec::new(),
            sinks: Vec::new(),
            tail: tail.into(),
            start: Instant::now(),
            deliveries: 0,
            latencies: Latencies::default(),
            latency_from: u64::MAX,
        }
    }

    /// Adds a route for messages of the given type.
    pub fn route(&mut self, kind: &str, sender: usize, to: &str, sinks: &[usize]) {
        self.listen(sinks);
        let head = format!("<message type='{kind}' to='{to}' id='m");
        self.add(sender, head, "'>", "</message>", sinks.len());
    }

    /// The same for items that are published in a node; sinks are clients with a subscription.
    pub fn publishing(&mut self, sender: usize, to: &str, node: &str, sinks: &[usize]) {
        self.listen(sinks);
        let open = format!(
            "'><pubsub xmlns='http://jabber.org/protocol/pubsub'><publish node='{node}'><item id='now'><x xmlns='urn:bench'>"
        );
        let head = format!("<iq type='set' to='{to}' id='m");
        self.add(sender, head, &open, "</x></item></publish></pubsub></iq>", sinks.len());
    }

    fn add(&mut self, sender: usize, head: String, open: &str, close: &str, sinks: usize) {
        let (open, close) = (open.to_owned(), close.to_owned());
        self.routes.push(Route { sender, head, open, close, sent: 0, received: vec![0; sinks], complete: 0, behind: sinks });
    }

    /// These are the sinks of the next route.
    fn listen(&mut self, sinks: &[usize]) {
        for (place, sink) in sinks.iter().enumerate() {
            if self.sinks.len() <= *sink {
                self.sinks.resize(sink + 1, None);
            }
            self.sinks[*sink] = Some((self.routes.len(), place));
        }
    }

    /// Messages sent on a route so far.
    pub fn sent(&self, route: usize) -> u64 {
        self.routes[route].sent
    }

    fn transmit(&mut self, pool: &mut Pool, route: usize, due: u64) {
        let tail = &self.tail;
        let route = &mut self.routes[route];
        let sequence = route.sent;
        route.sent += 1;
        // 12 digits, a space, 16 digits, a space, then letters up to the length.
        let stanza = format!(
            "{}{sequence}{}<body>{sequence:012} {due:016} {:x<filling$}</body>{}{tail}",
            route.head,
            route.open,
            "",
            route.close,
            filling = BODY - 30
        );
        pool.send(route.sender, stanza.as_bytes());
    }

    /// Checks a delivery. Returns the route when a message has now come to all its sinks.
    fn deliver(&mut self, index: usize, stanza: &[u8]) -> Result<Option<usize>> {
        if !stanza.starts_with(b"<message") {
            return Ok(None);
        }
        let Some((number_of, place)) = self.sinks.get(index).copied().flatten() else {
            bail!("a message came to a client that expects none: {}", String::from_utf8_lossy(stanza));
        };
        let body = frame::between(stanza, "<body>", "</body>").context("a message without a body")?;
        ensure!(body.len() == BODY, "a body of {} bytes", body.len());
        let sequence = number(&body[..12]).context("a body without a number")?;
        let route = &mut self.routes[number_of];
        let expected = &mut route.received[place];
        ensure!(sequence == *expected, "message {sequence} came where {expected} was due");
        *expected += 1;
        self.deliveries += 1;
        let due = number(&body[13..29]).context("a body without a time")?;
        if due >= self.latency_from {
            self.latencies.add((self.start.elapsed().as_nanos() as u64).saturating_sub(due));
        }
        if sequence > route.complete {
            return Ok(None);
        }
        route.behind -= 1;
        if route.behind > 0 {
            return Ok(None);
        }
        route.complete += 1;
        route.behind = route.received.iter().filter(|received| **received == route.complete).count();
        Ok(Some(number_of))
    }

    /// Sends `window` messages on each route and one more for each that has arrived, for warm-up and measured time.
    /// Returns the deliveries within the measured time.
    pub fn closed(&mut self, pool: &mut Pool, window: u64, warmup: f64, seconds: f64, pid: u32) -> Result<(u64, Span)> {
        self.begin(pool, window);
        self.turn_for(pool, warmup)?;
        let (before, first) = (Mark::now(pid), self.deliveries);
        self.turn_for(pool, seconds)?;
        let (after, last) = (Mark::now(pid), self.deliveries);
        ensure!(last > first, "nothing arrived in {seconds} s");
        self.drain(pool)?;
        Ok((last - first, after.since(&before)))
    }

    /// Sends exactly `count` messages on the only route.
    pub fn exactly(&mut self, pool: &mut Pool, window: u64, count: u64) -> Result<()> {
        let limit = Duration::from_secs(60 + count / 10);
        self.begin(pool, window.min(count));
        pool.until(limit, "filling", &mut |pool, index, stanza| {
            if let Some(route) = self.deliver(index, stanza)?
                && self.sent(route) < count
            {
                self.transmit(pool, route, 0);
            }
            Ok(self.deliveries == count)
        })
    }

    fn begin(&mut self, pool: &mut Pool, window: u64) {
        for route in 0..self.routes.len() {
            (0..window).for_each(|_| self.transmit(pool, route, 0));
        }
    }

    fn turn_for(&mut self, pool: &mut Pool, seconds: f64) -> Result<()> {
        let end = Instant::now() + Duration::from_secs_f64(seconds);
        while Instant::now() < end {
            pool.turn(Some(Duration::from_millis(50)), &mut |pool, index, stanza| {
                if let Some(route) = self.deliver(index, stanza)? {
                    self.transmit(pool, route, 0);
                }
                Ok(())
            })?;
        }
        Ok(())
    }

    /// Waits until everything sent has arrived.
    fn drain(&mut self, pool: &mut Pool) -> Result<()> {
        let end = Instant::now() + Duration::from_secs(60);
        loop {
            let missing = self.missing();
            if missing == 0 {
                return Ok(());
            }
            ensure!(Instant::now() < end, "{missing} messages were lost");
            pool.turn(Some(Duration::from_millis(50)), &mut |_, index, stanza| {
                self.deliver(index, stanza)?;
                Ok(())
            })?;
        }
    }

    /// Deliveries still to come.
    fn missing(&self) -> u64 {
        self.routes.iter().flat_map(|route| route.received.iter().map(|received| route.sent - received)).sum()
    }

    /// Sends on an absolute schedule whatever the server does, and takes latency from when a message was due, not from when it
    /// left: a stalled server is charged for all that would have been sent meanwhile (no coordinated omission). The loop never
    /// sleeps, so that the generator's own wake-ups do not count. `None` when the server falls a second behind.
    pub fn open(&mut self, pool: &mut Pool, rate: u64, warmup: f64, seconds: f64, pid: u32) -> Result<Option<Opened>> {
        let interval = 1e9 / rate as f64;
        let total = ((warmup + seconds) * rate as f64) as u64;
        self.start = Instant::now();
        self.latency_from = (warmup * 1e9) as u64;
        let (mut next, mut before) = (0, None);
        while next < total {
            let now = self.start.elapsed().as_nanos() as u64;
            if before.is_none() && now >= self.latency_from {
                before = Some((Mark::now(pid), self.deliveries));
            }
            while next < total && (next as f64 * interval) as u64 <= now {
                self.transmit(pool, next as usize % self.routes.len(), (next as f64 * interval) as u64);
                next += 1;
            }
            self.turn_open(pool)?;
            if next - self.deliveries > rate {
                return Ok(None);
            }
        }
        let after = (Mark::now(pid), self.deliveries);
        self.drain(pool)?;
        let (before, first) = before.context("no measured time")?;
        let mut latencies = std::mem::take(&mut self.latencies);
        Ok(Some(Opened {
            deliveries: after.1 - first,
            span: after.0.since(&before),
            samples: latencies.len() as u64,
            p50_ms: latencies.quantile_ms(0.5),
            p99_ms: latencies.quantile_ms(0.99),
            worst_ms: latencies.quantile_ms(1.0),
        }))
    }

    fn turn_open(&mut self, pool: &mut Pool) -> Result<()> {
        pool.turn(Some(Duration::ZERO), &mut |_, index, stanza| {
            self.deliver(index, stanza)?;
            Ok(())
        })
    }
}

/// Result of an open loop.
pub struct Opened {
    pub deliveries: u64,
    pub span: Span,
    pub samples: u64,
    pub p50_ms: f64,
    pub p99_ms: f64,
    pub worst_ms: f64,
}
