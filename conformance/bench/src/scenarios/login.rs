//! Logins from the TCP connect to the roster.

use std::time::{Duration, Instant};

use anyhow::{Result, ensure};

use super::{Bench, user};
use crate::client::Goal;
use crate::frame;
use crate::measure::Mark;
use crate::report::Outcome;

/// Full TLS handshake, SASL, bind, roster; then the stream is closed in the orderly way and the next account follows.
pub fn run(bench: &mut Bench) -> Result<Vec<Outcome>> {
    const AT_ONCE: usize = 8;
    let o = bench.options;
    let mut next = 0;
    let mut connect = |bench: &mut Bench, index| {
        let name = user(next % o.count);
        next += 1;
        bench.pool.connect(index, &name, "r", Goal::Bound)
    };
    for index in 0..AT_ONCE {
        connect(bench, index)?;
    }
    let mut logins = 0_u64;
    let warm = Instant::now() + Duration::from_secs_f64(o.warmup);
    let mut end = warm + Duration::from_secs_f64(o.seconds);
    let (mut before, mut result, mut open) = (None, None, AT_ONCE);
    while open > 0 {
        bench.pool.turn(Some(Duration::from_millis(50)), &mut |pool, index, stanza| {
            match frame::attribute(stanza, "id") {
                Some(b"bind") => pool.send(index, b"<iq type='get' id='roster'><query xmlns='jabber:iq:roster'/></iq>"),
                Some(b"roster") => {
                    ensure!(frame::has(stanza, "jabber:iq:roster"), "no roster: {}", String::from_utf8_lossy(stanza));
                    logins += 1;
                    pool.close(index);
                }
                _ => {}
            }
            Ok(())
        })?;
        let now = Instant::now();
        // Each account once before it counts: our keys are then cached, and the server has loaded what it loads on first use.
        let warmed_up = logins >= o.count as u64 || now >= warm + Duration::from_secs(30);
        if before.is_none() && now >= warm && warmed_up {
            end = now + Duration::from_secs_f64(o.seconds);
            before = Some((Mark::now(o.pid), logins));
        }
        if let Some((mark, first)) = &before
            && result.is_none()
            && now >= end
        {
            result = Some((logins - first, Mark::now(o.pid).since(mark)));
        }
        for index in std::mem::take(&mut bench.pool.ended) {
            match result {
                None => connect(bench, index)?,
                Some(_) => open -= 1,
            }
        }
        ensure!(now < end + Duration::from_secs(60), "{open} logins hang");
    }
    let (count, span) = result.unwrap_or((0, Mark::now(o.pid).since(&Mark::now(o.pid))));
    ensure!(count > 0, "no login in the measured time");
    Ok(vec![
        Outcome::new("login", span.server_us(count) / 1000.0, "ms")
            .spent(count, span)
            .note(format!("{AT_ONCE} at once, {} accounts, {:?}", o.count, o.mechanism)),
    ])
}
