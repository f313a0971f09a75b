//! Results: one JSON line each, a line for people, and the table of RESULTS.md.

use std::fs::{self, OpenOptions};
use std::io::Write;
use std::process::Command;

use anyhow::{Context, Result, bail};
use serde_json::{Value, json};

use crate::measure::Span;
use crate::options::Options;

/// One figure of one run.
pub struct Outcome {
    key: String,
    /// `None` when the server could not do it at all.
    value: Option<f64>,
    unit: &'static str,
    operations: u64,
    span: Option<Span>,
    note: String,
}

impl Outcome {
    pub fn new(key: &str, value: f64, unit: &'static str) -> Self {
        Outcome { key: key.into(), value: Some(value), unit, operations: 0, span: None, note: String::new() }
    }

    pub fn cannot(key: &str, unit: &'static str, note: String) -> Self {
        Outcome { key: key.into(), value: None, unit, operations: 0, span: None, note }
    }

    pub fn spent(mut self, operations: u64, span: Span) -> Self {
        (self.operations, self.span) = (operations, Some(span));
        self
    }

    pub fn note(mut self, note: String) -> Self {
        self.note = note;
        self
    }
}

/// A figure of design/performance.md: what Iris must reach and what it aims at.
struct Goal {
    key: &'static str,
    name: &'static str,
    unit: &'static str,
    must: Option<f64>,
    aim: Option<f64>,
    /// The row that shows what the relay takes here, and what it took on the machine on which performance.md was written.
    limit: Option<(&'static str, f64)>,
    /// Whether more is better.
    rising: bool,
    /// Whether it writes, so that durability matters.
    writes: bool,
}

const fn cost(key: &'static str, name: &'static str, unit: &'static str, must: f64, aim: f64) -> Goal {
    Goal { key, name, unit, must: Some(must), aim: Some(aim), limit: None, rising: false, writes: false }
}

impl Goal {
    /// On a machine on which the relay takes so many times as long.
    fn scaled(&self, by: f64) -> Goal {
        Goal { must: self.must.map(|must| must * by), aim: self.aim.map(|aim| aim * by), ..*self }
    }
}

/// Of which performance.md says nothing.
const fn told(key: &'static str, name: &'static str, unit: &'static str) -> Goal {
    Goal { key, name, unit, must: None, aim: None, limit: None, rising: false, writes: false }
}

const fn rate(key: &'static str, name: &'static str, must: f64, aim: f64) -> Goal {
    Goal { key, name, unit: "/s", must: Some(must), aim: Some(aim), limit: None, rising: true, writes: false }
}

/// Of all rows of one-to-one messages.
const CHAT: Option<(&str, f64)> = Some(("chat", 1.8));

const GOALS: [Goal; 40] = [
    Goal { limit: CHAT, ..cost("chat", "1:1 chat, server CPU per delivered message", "us", 9.0, 5.0) },
    Goal {
        writes: true,
        limit: CHAT,
        ..cost("chat-archived", "1:1 chat, archived for both sides, CPU per delivered message", "us", 18.0, 10.0)
    },
    Goal { limit: CHAT, ..cost("carbons", "chat with 2 carbons devices, CPU per delivery", "us", 7.0, 4.0) },
    Goal { limit: CHAT, ..cost("chat-acked", "chat, every stanza acked (0198), CPU per delivery", "us", 14.0, 8.0) },
    told("chat-websocket", "1:1 chat over WebSocket, server CPU per delivered message", "us"),
    told("room-50", "room of 50, CPU per delivery", "us"),
    Goal { limit: Some(("room-300", 4.0)), ..cost("room-300", "room of 300, CPU per delivery", "us", 6.0, 4.0) },
    Goal { limit: Some(("room-1000", 3.2)), ..cost("room-1000", "room of 1,000, CPU per delivery", "us", 6.0, 4.0) },
    Goal { limit: Some(("rooms-25x20", 3.8)), ..cost("rooms-25x20", "25 rooms of 20, CPU per delivery", "us", 8.0, 5.0) },
    cost("room-join-300", "300 people join one room (all presences)", "s", 0.5, 0.25),
    // "Joining costs the joiner one burst, not a second."
    Goal {
        aim: None,
        ..cost("room-come-back-1000", "who comes into a room of 1,000 has all its presences after", "ms", 1_000.0, 0.0)
    },
    told("channel-300", "channel with 300 subscribers, CPU per delivery", "us"),
    // What it took to say something to many, one write each.
    Goal { limit: Some(("presence", 4.0)), ..cost("presence", "presence to 50 contacts, CPU per delivery", "us", 7.0, 4.0) },
    Goal { limit: Some(("login", 0.21)), ..cost("login", "login TLS + SCRAM + bind + roster, CPU per login", "ms", 0.4, 0.3) },
    told("login-fast", "login TLS + SASL2 with a FAST token + bind + roster, CPU per login", "ms"),
    told("login-mass", "2,000 logins at once, CPU per login", "ms"),
    told("login-mass-time", "the same, until the last is in", "s"),
    told("resume-storm", "2,000 sessions cut and resumed at once, CPU per session", "ms"),
    // reliability.md, R11.
    Goal { aim: None, ..cost("resume-storm-time", "the same, until the last is resumed", "s", 10.0, 0.0) },
    rate("ping", "iq ping, per core", 50_000.0, 90_000.0),
    rate("roster-500", "roster of 500, per core", 5_000.0, 12_000.0),
    rate("archive-page-1000", "archive page, last 50 of 1,000, per core", 5_000.0, 12_000.0),
    rate("archive-page-10000", "archive page, last 50 of 10,000, per core", 5_000.0, 12_000.0),
    rate("archive-page-100000", "archive page, last 50 of 100,000, per core", 5_000.0, 12_000.0),
    Goal { rising: true, ..told("room-archive-page-1000", "archive page of a room, last 50 of 1,000, per core", "/s") },
    Goal { rising: true, ..told("room-archive-page-10000", "archive page of a room, last 50 of 10,000, per core", "/s") },
    Goal { writes: true, ..told("upload", "upload of 16 MiB files, server CPU per MB", "ms") },
    Goal { rising: true, ..told("upload-rate", "the same, 4 connections at once", "MB/s") },
    told("download", "download of 16 MiB files, server CPU per MB", "ms"),
    Goal { rising: true, ..told("download-rate", "the same, 4 connections at once", "MB/s") },
    cost("idle-memory", "idle TLS connection, bound and available, resident", "KB", 12.0, 6.0),
    told("idle-websocket", "idle connection over WebSocket, resident", "KB"),
    cost("idle-cpu", "CPU of 10,000 idle sessions, share of a core", "%", 1.0, 0.3),
    told("idle-websocket-cpu", "the same over WebSocket", "%"),
    cost("empty", "process without users, memory of its own", "MB", 15.0, 10.0),
    told("empty-resident", "the same, with what is mapped of its program", "MB"),
    told("chat-3000-p50", "p50 latency of chat at 3,000 messages/s", "ms"),
    // 2x and 1.3x of the 2.3 ms that a bare relay shows.
    Goal {
        limit: Some(("chat-3000-p99", 2.3)),
        ..cost("chat-3000-p99", "p99 latency of chat at 3,000 messages/s", "ms", 4.6, 3.0)
    },
    // The issue's number, of an import by CSV.
    Goal {
        aim: None,
        ..cost("import-10000", "`iris user import` of 10,000 accounts with passwords, two cores", "s", 60.0, 0.0)
    },
    cost("chat-30000-p99", "p99 latency of chat at 30,000 messages/s, open loop", "ms", 10.0, 5.0),
];

/// Prints the outcomes and appends them to the file of `--json`.
pub fn record(scenario: &str, options: &Options, outcomes: &[Outcome]) -> Result<()> {
    for outcome in outcomes {
        let value = outcome.value.map_or("cannot".into(), |value| format!("{} {}", figure(value), outcome.unit));
        let mut line = format!("{:<10} {:<20} {value:>14}", options.server, outcome.key);
        if let Some(span) = outcome.span {
            line += &format!(
                "   {} operations in {:.1} s, server {:.0} % of a core, client {:.0} %",
                outcome.operations,
                span.wall.as_secs_f64(),
                span.server_share() * 100.0,
                span.client_share() * 100.0
            );
        }
        println!("{line}   {}", outcome.note);
        if let Some(path) = &options.json {
            let mut entry = json!({
                "server": options.server, "scenario": scenario, "key": outcome.key, "value": outcome.value,
                "unit": outcome.unit, "durability": options.durability, "operations": outcome.operations, "note": outcome.note,
                "transport": format!("{:?}", options.transport), "load": load_average(),
            });
            if let Some(span) = outcome.span {
                entry["seconds"] = json!(span.wall.as_secs_f64());
                entry["server_cpu_s"] = json!(span.server.as_secs_f64());
                entry["client_cpu_s"] = json!(span.client.as_secs_f64());
            }
            let mut file = OpenOptions::new().create(true).append(true).open(path).context("opening the file of --json")?;
            writeln!(file, "{entry}")?;
        }
    }
    Ok(())
}

/// `iris-bench report FILE [--command TEXT]`: RESULTS.md on standard output.
pub fn write(mut arguments: impl Iterator<Item = String>) -> Result<()> {
    let path = arguments.next().context("report wants a file of results")?;
    let command = match (arguments.next().as_deref(), arguments.next()) {
        (Some("--command"), Some(command)) => command,
        (None, _) => "conformance/bench/run".into(),
        _ => bail!("report takes --command TEXT only"),
    };
    let text = fs::read_to_string(&path).with_context(|| format!("reading {path}"))?;
    let entries = text.lines().map(serde_json::from_str).collect::<Result<Vec<Value>, _>>()?;
    print!("{}", table(&entries, &command));
    Ok(())
}

fn table(entries: &[Value], command: &str) -> String {
    let mut servers: Vec<&str> = Vec::new();
    for entry in entries {
        let server = text(entry, "server");
        if !servers.contains(&server) {
            servers.push(server);
        }
    }
    let peers: Vec<&str> = servers.iter().copied().filter(|server| *server != "iris").collect();
    let has_iris = peers.len() < servers.len();

    let mut out = format!(
        "# Benchmark results\n\nWritten by `{command}` on {}; {}.\n\n\
         Medians over the rounds of this one run, servers alternating, each started afresh per scenario and pinned to one core, the \
         load on the other. Absolute figures wander by 20-40 % on a shared machine: the ratios of one run are what counts. `must` \
         and `aim` are the goals for Iris. Durability stands in brackets beside figures that write.\n\n",
        shell("date", &["-u", "+%Y-%m-%d %H:%M UTC"]),
        machine(),
    );
    out += &disturbance(entries);
    out += "| scenario |";
    servers.iter().for_each(|server| out += &format!(" {server} |"));
    if has_iris {
        peers.iter().for_each(|peer| out += &format!(" iris vs {peer} |"));
    }
    out += " must | aim | verdict |\n|";
    let columns = 4 + servers.len() + if has_iris { peers.len() } else { 0 };
    out += &" --- |".repeat(columns);
    out.push('\n');
    for goal in &GOALS {
        let cells: Vec<Option<Cell>> = servers.iter().map(|server| Cell::of(entries, server, goal.key)).collect();
        if cells.iter().all(Option::is_none) {
            continue;
        }
        out += &format!("| {} |", goal.name);
        for cell in &cells {
            out += &match cell {
                None => " |".into(),
                Some(Cell { median: None, .. }) => " cannot |".into(),
                Some(Cell { median: Some(value), durability, .. }) => {
                    let written =
                        if goal.writes && !durability.is_empty() { format!(" [{durability}]") } else { String::new() };
                    format!(" {} {}{written} |", figure(*value), goal.unit)
                }
            };
        }
        let iris = servers.iter().position(|server| *server == "iris").and_then(|at| cells[at].as_ref()?.median);
        if has_iris {
            for (_, cell) in servers.iter().zip(&cells).filter(|(server, _)| **server != "iris") {
                let ratio = iris.zip(cell.as_ref().and_then(|cell| cell.median));
                out += &match ratio {
                    Some((iris, peer)) => format!(" {:.1}x |", if goal.rising { iris / peer } else { peer / iris }),
                    None => " |".into(),
                };
            }
        }
        let here = |key| Cell::of(entries, "limit", key).and_then(|cell| cell.median);
        let scale = goal.limit.and_then(|(key, then)| Some(here(key)? / then)).unwrap_or(1.0);
        let goal = &goal.scaled(scale);
        let wanted = |value: Option<f64>| value.map_or(String::new(), |value| format!("{} {}", figure(value), goal.unit));
        out += &format!(" {} | {} | {} |\n", wanted(goal.must), wanted(goal.aim), verdict(goal, iris));
    }
    if has_iris {
        out += "\n`iris vs X`: how many times better than X (less CPU, memory or latency, or more per second).\n";
    }
    if servers.contains(&"limit") {
        out += "\n`limit` is a relay without XML over the same TLS (relay.rs), of logins a bare handshake. The goals of its rows are those \
                of performance.md times what it takes here to what it took there: ";
        let rows = GOALS.iter().filter_map(|goal| Some((goal, goal.limit?)));
        let known: Vec<String> =
            rows.map(|(goal, (of, then))| format!("{} {} {} ({of})", goal.key, figure(then), goal.unit)).collect();
        out += &format!("{}.\n", known.join(", "));
    }
    out += "\n## How each figure came about\n\n";
    let mut seen: Vec<(&str, &str)> = Vec::new();
    for entry in entries {
        let identity = (text(entry, "server"), text(entry, "key"));
        if seen.contains(&identity) {
            continue;
        }
        seen.push(identity);
        if let Some(cell) = Cell::of(entries, identity.0, identity.1) {
            out += &format!("- {} {}: {}\n", identity.0, identity.1, cell.story);
        }
    }
    out
}

/// All rounds of one figure of one server.
struct Cell<'a> {
    median: Option<f64>,
    durability: &'a str,
    story: String,
}

impl<'a> Cell<'a> {
    fn of(entries: &'a [Value], server: &str, key: &str) -> Option<Self> {
        let rounds: Vec<&Value> =
            entries.iter().filter(|entry| text(entry, "server") == server && text(entry, "key") == key).collect();
        let first = rounds.first()?;
        let mut values: Vec<f64> = rounds.iter().filter_map(|round| round["value"].as_f64()).collect();
        values.sort_by(f64::total_cmp);
        let share = |name: &str| {
            let pairs = rounds.iter().filter_map(|round| Some(round[name].as_f64()? / round["seconds"].as_f64()? * 100.0));
            pairs.fold(0.0, f64::max)
        };
        let list: Vec<String> = values.iter().map(|value| figure(*value)).collect();
        let mut story = match list.is_empty() {
            true => "cannot".into(),
            false => format!("{} {}", list.join(", "), text(first, "unit")),
        };
        if rounds.iter().any(|round| round["seconds"].is_f64()) {
            story += &format!("; server {:.0} % of a core, client {:.0} %", share("server_cpu_s"), share("client_cpu_s"));
        }
        if !text(first, "note").is_empty() {
            story += &format!("; {}", text(first, "note"));
        }
        // A server that failed in one round cannot do it.
        let median = (values.len() == rounds.len()).then(|| middle(&values)).flatten();
        Some(Cell { median, durability: text(first, "durability"), story })
    }
}

/// The median of sorted values.
fn middle(values: &[f64]) -> Option<f64> {
    let upper = values.get(values.len() / 2)?;
    let lower = values.get(values.len().saturating_sub(1) / 2)?;
    Some((lower + upper) / 2.0)
}

fn text<'a>(entry: &'a Value, name: &str) -> &'a str {
    entry[name].as_str().unwrap_or_default()
}

fn verdict(goal: &Goal, iris: Option<f64>) -> &'static str {
    let reaches = |wanted: f64, value: f64| if goal.rising { value >= wanted } else { value <= wanted };
    match (iris, goal.must, goal.aim) {
        (Some(value), Some(_), Some(aim)) if reaches(aim, value) => "aim reached",
        (Some(value), Some(must), _) if reaches(must, value) => "must reached",
        (Some(_), Some(_), _) => "**missed**",
        _ => "",
    }
}

/// Three significant digits.
fn figure(value: f64) -> String {
    match value.abs() {
        size if size >= 10_000.0 => format!("{:.0}", (value / 100.0).round() * 100.0),
        size if size >= 100.0 => format!("{value:.0}"),
        size if size >= 10.0 => format!("{value:.1}"),
        _ => format!("{value:.2}"),
    }
}

/// Tasks that wanted to run during the last minute; more than one for the server and one for the generator disturb.
fn load_average() -> Option<f64> {
    fs::read_to_string("/proc/loadavg").ok()?.split(' ').next()?.parse().ok()
}

/// Whether the machine was quiet enough for the figures to mean something.
fn disturbance(entries: &[Value]) -> String {
    let loads = entries.iter().filter_map(|entry| entry["load"].as_f64());
    let worst = loads.fold(0.0, f64::max);
    let cores = std::thread::available_parallelism().map_or(1, usize::from);
    match worst > cores as f64 + 1.0 {
        true => format!(
            "**The machine was not quiet** (load average up to {worst:.1} on {cores} cores): latencies and \"cannot\" say more \
             about the other work than about the servers; CPU per operation is somewhat too high.\n\n"
        ),
        false => String::new(),
    }
}

fn machine() -> String {
    let info = fs::read_to_string("/proc/cpuinfo").unwrap_or_default();
    let model = info.lines().find_map(|line| line.strip_prefix("model name")).unwrap_or("unknown processor");
    let cores = info.lines().filter(|line| line.starts_with("processor")).count();
    format!("{cores} cores of {}, Linux {}", model.trim_start_matches(['\t', ' ', ':']), shell("uname", &["-r"]))
}

fn shell(program: &str, arguments: &[&str]) -> String {
    let output = Command::new(program).args(arguments).output();
    output.map(|output| String::from_utf8_lossy(&output.stdout).trim().to_owned()).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_even_number_of_rounds_has_its_median_between_the_middle_two() {
        assert_eq!(middle(&[1.0, 2.0, 4.0, 9.0]), Some(3.0));
        assert_eq!(middle(&[1.0, 2.0, 9.0]), Some(2.0));
        assert_eq!(middle(&[]), None);
    }

    #[test]
    fn goals_of_rows_with_a_limit_are_as_far_from_it_as_they_were_on_the_first_machine() {
        let entries = [entry("iris", "room-300", Some(11.0)), entry("limit", "room-300", Some(8.0))];
        let table = table(&entries, "run");
        assert!(table.contains("| 11.0 us | 8.00 us | 0.7x | 12.0 us | 8.00 us | must reached |"), "{table}");
    }

    #[test]
    fn a_busy_machine_is_confessed() {
        let busy = [json!({"server": "iris", "key": "chat", "value": 1.0, "load": 1000.0})];
        assert!(table(&busy, "run").contains("was not quiet"));
        let quiet = [json!({"server": "iris", "key": "chat", "value": 1.0, "load": 0.5})];
        assert!(!table(&quiet, "run").contains("was not quiet"));
    }

    fn entry(server: &str, key: &str, value: Option<f64>) -> Value {
        json!({"server": server, "key": key, "value": value, "unit": "us", "durability": "synced"})
    }

    #[test]
    fn the_table_gives_medians_ratios_verdicts_and_durability() {
        let entries = [
            entry("iris", "chat-archived", Some(12.0)),
            entry("prosody", "chat-archived", Some(600.0)),
            entry("iris", "chat-archived", Some(90.0)),
            entry("iris", "chat-archived", Some(11.0)),
            entry("iris", "chat-30000-p99", Some(20.0)),
            entry("prosody", "chat-30000-p99", None),
        ];
        let table = table(&entries, "run");
        let row = |name: &str| table.lines().find(|line| line.contains(name)).unwrap().to_owned();
        let archived = row("| 1:1 chat, archived");
        assert!(
            archived.contains("| 12.0 us [synced] | 600 us [synced] | 50.0x | 18.0 us | 10.0 us | must reached |"),
            "{archived}"
        );
        let open = row("30,000");
        assert!(open.contains("| 20.0 ms | cannot | | 10.0 ms | 5.00 ms | **missed** |"), "{open}");
    }
}
