//! Accounts by in-band registration (XEP-0077 3.1.1), for servers that allow it.

use std::time::{Duration, Instant};

use anyhow::{Result, ensure};

use super::{Bench, user};
use crate::client::Goal;
use crate::report::Outcome;

/// Registers `count` accounts, one after the other on each of a few connections. A connection ends after some of them, for
/// servers do not suffer strangers long (ejabberd: 30 s).
pub fn register(bench: &mut Bench) -> Result<Vec<Outcome>> {
    const CONNECTIONS: usize = 4;
    const EACH: usize = 20;
    let count = bench.options.count;
    for index in 0..CONNECTIONS {
        bench.pool.connect(index, "", "", Goal::Stream)?;
    }
    let (mut begun, mut done) = (0, 0);
    let mut left = [EACH; CONNECTIONS];
    let mut latest = (done, Instant::now());
    while done < count {
        // The first frame of a connection is its features, the others are answers to registrations.
        bench.pool.turn(Some(Duration::from_millis(100)), &mut |pool, index, frame| {
            done += usize::from(frame.starts_with(b"<iq"));
            if left[index] == 0 || begun == count {
                pool.close(index);
                return Ok(());
            }
            left[index] -= 1;
            let stanza = format!(
                "<iq type='set' id='reg{begun}'><query xmlns='jabber:iq:register'><username>{}</username>\
                 <password>{}</password></query></iq>",
                user(begun),
                pool.target.password
            );
            begun += 1;
            pool.send(index, stanza.as_bytes());
            Ok(())
        })?;
        for index in std::mem::take(&mut bench.pool.ended) {
            if begun < count {
                left[index] = EACH;
                bench.pool.connect(index, "", "", Goal::Stream)?;
            }
        }
        if done > latest.0 {
            latest = (done, Instant::now());
        }
        ensure!(latest.1.elapsed() < Duration::from_secs(30), "registration hangs after {done} of {count}");
    }
    Ok(Vec::new())
}
