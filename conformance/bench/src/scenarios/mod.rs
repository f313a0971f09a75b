//! The scenarios: what is sent, what must come back, what is measured.

mod accounts;
mod archive;
mod channels;
mod chat;
mod files;
mod flow;
mod idle;
mod login;
mod presence;
mod queries;
mod rooms;
mod storm;

use std::time::{Duration, Instant};

use anyhow::{Result, bail};

use crate::options::Options;
use crate::pool::Pool;
use crate::report::Outcome;

/// A scenario's surroundings.
pub struct Bench<'a> {
    pub pool: Pool,
    pub options: &'a Options,
}

/// The name of an account of the benchmark.
pub fn user(number: usize) -> String {
    format!("u{number}")
}

/// Accounts `from..to` with the same resource each.
pub fn users(from: usize, to: usize, resource: &str) -> Vec<(String, String)> {
    (from..to).map(|number| (user(number), resource.into())).collect()
}

/// Runs a scenario to its end; an error means that the server did something wrong or could not be reached.
pub fn run(scenario: &str, options: &Options) -> Result<Vec<Outcome>> {
    let mut bench = Bench { pool: Pool::new(options.target()?)?, options };
    match scenario {
        "register" => accounts::register(&mut bench),
        "login" => login::with_password(&mut bench),
        "login-fast" => login::with_token(&mut bench),
        "login-mass" => storm::login(&mut bench),
        "resume-storm" => storm::resume(&mut bench),
        "empty" => idle::empty(&mut bench),
        "idle-memory" => idle::run(&mut bench, "idle-memory"),
        "chat" => chat::closed(&mut bench, "chat"),
        "chat-websocket" => chat::closed(&mut bench, "chat-websocket"),
        "idle-websocket" => idle::run(&mut bench, "idle-websocket"),
        "chat-archived" => chat::archived(&mut bench),
        "chat-acked" => chat::acked(&mut bench),
        "chat-open" => chat::open(&mut bench),
        "carbons" => chat::carbons(&mut bench),
        "presence" => presence::run(&mut bench),
        "ping" => queries::ping(&mut bench),
        "roster-500" => queries::roster(&mut bench),
        "channel" => channels::fan_out(&mut bench),
        "room" => rooms::messages(&mut bench),
        "room-join" => rooms::joining(&mut bench),
        "files" => files::run(&mut bench),
        "archive-fill" => archive::fill(&mut bench),
        "archive-page" => archive::page(&mut bench),
        "room-archive-fill" => archive::fill_room(&mut bench),
        "room-archive-page" => archive::page_of_room(&mut bench),
        _ => bail!("unknown scenario {scenario}"),
    }
}

impl Bench<'_> {
    /// Lets the server come to rest; what arrives is dropped.
    pub fn settle(&mut self, seconds: f64) -> Result<()> {
        let end = Instant::now() + Duration::from_secs_f64(seconds);
        while let Some(left) = end.checked_duration_since(Instant::now()) {
            self.pool.turn(Some(left.min(Duration::from_millis(100))), &mut |_, _, _| Ok(()))?;
        }
        Ok(())
    }
}
