//! Iris's load generator. One process drives one scenario against one running server and prints what the server spent on it;
//! `conformance/bench/run` starts servers and calls it. It speaks raw XML over TLS and checks every delivery: a lost, reordered
//! or refused stanza ends the run with an error.

#![forbid(unsafe_code)]

mod client;
mod fast;
mod frame;
mod measure;
mod options;
mod pool;
mod relay;
mod report;
mod scenarios;
mod scram;
mod tls;
mod websocket;

use std::process::ExitCode;

use anyhow::Result;

const USAGE: &str = "usage: iris-bench SCENARIO --port N --pid N [--name VALUE ...]
       iris-bench accounts --count N              (lines `jid,password` on stdout, for a bulk import)
       iris-bench relay --port N --dir DIR [--occupants N]   (the limit; DIR has cert.pem and key.pem)
       iris-bench report RESULTS.jsonl [--command TEXT]   (RESULTS.md on stdout)
scenarios: register login login-fast empty idle-memory chat chat-open chat-archived chat-acked carbons presence ping roster-500
           chat-websocket idle-websocket resume-storm login-mass room room-join channel files archive-fill archive-page
           room-archive-fill room-archive-page
options:   --host 127.0.0.1 --domain localhost --transport direct|starttls|plain|websocket --mechanism plain|scram
           --server NAME --durability TEXT --json FILE --seconds 8 --warmup 2 --pairs 50 --window 8 --rate 3000
           --connections 5000 --contacts 50 --entries 500 --archive 10000 --count 200
           --rooms 1 --occupants 300 --files 24 --file-mib 16";

fn main() -> ExitCode {
    match run() {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("iris-bench: {error:#}");
            ExitCode::FAILURE
        }
    }
}

fn run() -> Result<()> {
    let mut arguments = std::env::args().skip(1);
    let Some(scenario) = arguments.next().filter(|first| !first.starts_with('-')) else {
        anyhow::bail!("{USAGE}");
    };
    if scenario == "report" {
        return report::write(arguments);
    }
    let options = options::Options::parse(arguments)?;
    if scenario == "relay" {
        return relay::serve(options.port, &options.dir, options.occupants);
    }
    if scenario == "accounts" {
        for number in 0..options.count {
            println!("{}@{},{}", scenarios::user(number), options.domain, options.password);
        }
        return Ok(());
    }
    let outcomes = scenarios::run(&scenario, &options)?;
    report::record(&scenario, &options, &outcomes)
}
