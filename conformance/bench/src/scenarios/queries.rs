//! Requests and answers: ping, roster.

use std::time::{Duration, Instant};

use anyhow::{Result, ensure};

use super::{Bench, user, users};
use crate::client::Goal;
use crate::frame;
use crate::measure::{Mark, Span};
use crate::pool::Pool;
use crate::report::Outcome;

/// What a stanza is to a request.
pub enum Check {
    /// It is part of the answer, or nothing to do with it.
    Part,
    /// It is the `<iq/>` that completes the answer.
    Answer,
}

/// A closed loop of requests on the first connections of the pool.
pub struct Repeat<'a> {
    pub connections: usize,
    /// Requests of each connection under way at once.
    pub window: u64,
    /// Makes the request with the given id.
    pub stanza: &'a dyn Fn(&str) -> String,
}

impl Repeat<'_> {
    /// Runs for warm-up and measured time and drains. Answers must come in the order of the requests (RFC 6120 10.1). Returns
    /// the answers within the measured time.
    pub fn run(&self, bench: &mut Bench, check: &mut dyn FnMut(usize, &[u8]) -> Result<Check>) -> Result<(u64, Span)> {
        let o = bench.options;
        let mut asked = vec![0_u64; self.connections];
        let mut answered = vec![0_u64; self.connections];
        let mut total = 0;
        let mut stopping = false;
        let ask = |pool: &mut Pool, index: usize, asked: &mut [u64]| {
            let stanza = (self.stanza)(&format!("q{}", asked[index]));
            asked[index] += 1;
            pool.send(index, stanza.as_bytes());
        };
        for index in 0..self.connections {
            (0..self.window).for_each(|_| ask(&mut bench.pool, index, &mut asked));
        }
        let start = Instant::now();
        let warm = start + Duration::from_secs_f64(o.warmup);
        let end = warm + Duration::from_secs_f64(o.seconds);
        let (mut before, mut result) = (None, None);
        loop {
            bench.pool.turn(Some(Duration::from_millis(50)), &mut |pool, index, stanza| {
                if index >= self.connections || stanza.starts_with(b"<presence") {
                    return Ok(());
                }
                if let Check::Answer = check(index, stanza)? {
                    let expected = format!("q{}", answered[index]);
                    let id = frame::attribute(stanza, "id").unwrap_or_default();
                    ensure!(id == expected.as_bytes(), "answer {} where {expected} was due", String::from_utf8_lossy(id));
                    ensure!(frame::attribute(stanza, "type") == Some(b"result"), "an answer that is no result");
                    answered[index] += 1;
                    total += 1;
                    if !stopping {
                        ask(pool, index, &mut asked);
                    }
                }
                Ok(())
            })?;
            let now = Instant::now();
            if before.is_none() && now >= warm {
                before = Some((Mark::now(o.pid), total));
            }
            if let Some((mark, first)) = &before
                && result.is_none()
                && now >= end
            {
                result = Some((total - first, Mark::now(o.pid).since(mark)));
                stopping = true;
            }
            if let Some((answers, span)) = result
                && asked == answered
            {
                ensure!(answers > 0, "no answer in the measured time");
                return Ok((answers, span));
            }
            ensure!(now < end + Duration::from_secs(60), "answers are missing: asked {asked:?}, answered {answered:?}");
        }
    }
}

/// XEP-0199 to the domain.
pub fn ping(bench: &mut Bench) -> Result<Vec<Outcome>> {
    const CONNECTIONS: usize = 16;
    bench.pool.log_in(&users(0, CONNECTIONS, "r"), Goal::Available)?;
    bench.settle(0.5)?;
    let domain = bench.options.domain.clone();
    let stanza = |id: &str| format!("<iq type='get' to='{domain}' id='{id}'><ping xmlns='urn:xmpp:ping'/></iq>");
    let window = bench.options.window;
    let repeat = Repeat { connections: CONNECTIONS, window, stanza: &stanza };
    let (answers, span) = repeat.run(bench, &mut |_, _| Ok(Check::Answer))?;
    Ok(vec![
        Outcome::new("ping", span.per_core(answers), "/s")
            .spent(answers, span)
            .note(format!("{CONNECTIONS} connections, window {window}")),
    ])
}

/// Roster of 500 contacts (made by roster sets), fetched again and again on four connections.
pub fn roster(bench: &mut Bench) -> Result<Vec<Outcome>> {
    const CONNECTIONS: usize = 4;
    let entries = bench.options.entries;
    let resources: Vec<_> = (0..CONNECTIONS).map(|number| (user(0), format!("r{number}"))).collect();
    bench.pool.log_in(&resources, Goal::Bound)?;
    for entry in 0..entries {
        let id = format!("set{entry}");
        let set = format!(
            "<iq type='set' id='{id}'><query xmlns='jabber:iq:roster'><item jid='contact{entry:04}@{}' \
             name='Contact number {entry:04}'><group>Friends</group></item></query></iq>",
            bench.options.domain
        );
        bench.pool.ask(0, &id, &set)?;
    }
    bench.settle(0.5)?;
    let mut length = None;
    let stanza = |id: &str| format!("<iq type='get' id='{id}'><query xmlns='jabber:iq:roster'/></iq>");
    let repeat = Repeat { connections: CONNECTIONS, window: 1, stanza: &stanza };
    let (answers, span) = repeat.run(bench, &mut |_, stanza| {
        if frame::attribute(stanza, "type") == Some(b"set") {
            return Ok(Check::Part);
        }
        // Counting is dear: the first answer is counted, the others must be as long as it, less what differs by design (the id,
        // our own address).
        let query = frame::between(stanza, "<query", "</query>").unwrap_or_default().len();
        if length.is_none() {
            let items = memchr::memmem::find_iter(stanza, "<item ").count();
            ensure!(items == entries, "a roster of {items} items");
        }
        ensure!(*length.get_or_insert(query) == query, "rosters of different lengths");
        Ok(Check::Answer)
    })?;
    let key = format!("roster-{entries}");
    Ok(vec![Outcome::new(&key, span.per_core(answers), "/s").spent(answers, span).note(format!("{CONNECTIONS} connections"))])
}
