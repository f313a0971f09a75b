//! Logins from the TCP connect to the roster.

use std::time::{Duration, Instant};

use anyhow::{Result, ensure};

use super::{Bench, user, users};
use crate::client::Goal;
use crate::fast;
use crate::frame;
use crate::measure::Mark;
use crate::relay;
use crate::report::Outcome;

/// As many as keep a server at work that makes each wait a moment, so that nobody sees by time who exists: what a login costs a server
/// that sleeps half of the time says more about waking up.
const AT_ONCE: usize = 32;
const ROSTER: &[u8] = b"<iq type='get' id='roster'><query xmlns='jabber:iq:roster'/></iq>";

/// Full TLS handshake, SASL, bind, roster; then the stream is closed in the orderly way and the next account follows.
pub fn with_password(bench: &mut Bench) -> Result<Vec<Outcome>> {
    run(bench, "login", None)
}

/// The same with a token of the last time (XEP-0484), which binds in the message that authenticates.
pub fn with_token(bench: &mut Bench) -> Result<Vec<Outcome>> {
    let mut offered = false;
    bench.pool.connect(0, "", "", Goal::Stream)?;
    bench.pool.until(Duration::from_secs(60), "features", &mut |_, _, features| {
        offered = fast::is_offered(features);
        Ok(true)
    })?;
    bench.pool.leave()?;
    if !offered {
        return Ok(vec![Outcome::cannot("login-fast", "ms", "its features have neither SASL2 nor FAST".into())]);
    }
    bench.pool.log_in(&users(0, bench.options.count, "r"), Goal::Token)?;
    let tokens: Vec<String> = bench.pool.clients.iter().map(|client| client.token.clone()).collect();
    ensure!(tokens.iter().all(|token| !token.is_empty()), "a login without a token");
    bench.pool.leave()?;
    run(bench, "login-fast", Some(tokens))
}

/// `tokens`: of each account.
fn run(bench: &mut Bench, key: &str, mut tokens: Option<Vec<String>>) -> Result<Vec<Outcome>> {
    let o = bench.options;
    let mut next = 0;
    let mut accounts = [0; AT_ONCE];
    let mut connect = |bench: &mut Bench, index: usize, tokens: &mut Option<Vec<String>>| {
        let (before, account) = (accounts[index], next % o.count);
        let goal = if o.is_limit() { Goal::Relay } else { Goal::Bound };
        let Some(tokens) = tokens else {
            next += 1;
            return bench.pool.connect(index, &user(account), "r", goal);
        };
        // It may have been given a new one.
        if next >= AT_ONCE {
            tokens[before].clone_from(&bench.pool.clients[index].token);
        }
        accounts[index] = account;
        next += 1;
        bench.pool.connect(index, &user(account), "r", Goal::Fast)?;
        bench.pool.clients[index].token.clone_from(&tokens[account]);
        Ok(())
    };
    for index in 0..AT_ONCE {
        connect(bench, index, &mut tokens)?;
    }
    let mut logins = 0_u64;
    let warm = Instant::now() + Duration::from_secs_f64(o.warmup);
    let mut end = warm + Duration::from_secs_f64(o.seconds);
    let (mut before, mut result, mut open) = (None, None, AT_ONCE);
    while open > 0 {
        bench.pool.turn(Some(Duration::from_millis(50)), &mut |pool, index, stanza| {
            match frame::attribute(stanza, "id") {
                // Of the limit, a handshake is all.
                None if stanza == relay::READY => {
                    logins += 1;
                    pool.close(index);
                }
                Some(b"bind") => pool.send(index, ROSTER),
                None if stanza.starts_with(b"<success") => pool.send(index, ROSTER),
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
                None => connect(bench, index, &mut tokens)?,
                Some(_) => open -= 1,
            }
        }
        ensure!(now < end + Duration::from_secs(60), "{open} logins hang");
    }
    let (count, span) = result.unwrap_or((0, Mark::now(o.pid).since(&Mark::now(o.pid))));
    ensure!(count > 0, "no login in the measured time");
    let how = if tokens.is_some() { "HT-SHA-256-NONE".into() } else { format!("{:?}", o.mechanism) };
    Ok(vec![
        Outcome::new(key, span.server_us(count) / 1000.0, "ms")
            .spent(count, span)
            .note(format!("{AT_ONCE} at once, {} accounts, {how}", o.count)),
    ])
}
