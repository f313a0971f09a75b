//! What archiving costs: CPU per message that is kept for both sides, and pages per second.
//!
//! `cargo run --release -p iris-store --example archive [messages] [owners] [in flight] [directory]`
//! Every commit is synced, as in production. CPU is that of the whole process, the submitting thread included; it is read from
//! `/proc`, so this runs on Linux only.

use std::collections::VecDeque;
use std::ops::Range;
use std::path::PathBuf;
use std::sync::mpsc::channel;
use std::sync::{Arc, Condvar, Mutex};
use std::time::{Duration, Instant};

use iris_core::store::{EntryId, LogQuery, OwnerId, Read, Rows, Shelf, Store, Ticket, Write, WriteSet};
use iris_store::{SqliteOptions, SqliteStore};

const ARCHIVE: Shelf = Shelf::log("archive");

struct House {
    store: SqliteStore,
    changed: Arc<(Mutex<()>, Condvar)>,
    id: u64,
}

fn main() {
    let mut arguments = std::env::args().skip(1);
    let mut number = |default: u64| arguments.next().and_then(|text| text.parse().ok()).unwrap_or(default);
    let (messages, owners, in_flight) = (number(200_000), number(1_000), number(256));
    let parent = arguments.next().map_or_else(std::env::temp_dir, PathBuf::from);
    let dir = parent.join(format!("iris-archive-{}", std::process::id()));
    let options = SqliteOptions::default();
    let mut house = House {
        store: SqliteStore::open(&dir, options).expect("the store opens"),
        changed: Arc::default(),
        id: 1_700_000_000_000_000,
    };
    let tell = Arc::clone(&house.changed);
    house.store.on_progress(Box::new(move || {
        drop(tell.0.lock());
        tell.1.notify_all();
    }));

    println!("{messages} messages of 400 bytes, {owners} owners, {in_flight} in flight, kept for both sides, synced:");
    let (cpu, start) = (cpu_time(), Instant::now());
    let last = house.archive(0..messages, owners, in_flight);
    house.wait(last);
    report("archived", messages, cpu, start);

    let late = house.latencies(3_000, Duration::from_secs(10), owners);
    println!("  open loop, 3,000 /s: submitted to synced p50 {:?} p99 {:?} max {:?}", late[0], late[1], late[2]);

    let mailbox = OwnerId(1);
    house.fill(mailbox, 100_000);
    for (what, peer, count) in [
        ("last 50 of 100,000", None, false),
        ("last 50 of one peer's 100", Some(77), false),
        ("last 50 of one peer's 100, counted", Some(77), true),
    ] {
        let query = LogQuery { peer, count, max: 50, last: true, ..LogQuery::default() };
        let pages = 20_000;
        let (cpu, start) = (cpu_time(), Instant::now());
        house.pages(mailbox, &query, pages);
        report(what, pages, cpu, start);
    }
    drop(house);
    let size = std::fs::metadata(dir.join("iris.sqlite3")).map_or(0, |file| file.len());
    println!("database {} MiB", size >> 20);
    let start = Instant::now();
    drop(SqliteStore::open(&dir, SqliteOptions::default()));
    println!("opened and closed again in {:?}", start.elapsed());
    std::fs::remove_dir_all(&dir).expect("the directory goes");
}

impl House {
    fn next_id(&mut self) -> EntryId {
        self.id += 7;
        EntryId(self.id)
    }

    /// Closed loop: never more than `in_flight` sets unresolved.
    fn archive(&mut self, messages: Range<u64>, owners: u64, in_flight: u64) -> Ticket {
        let mut last = 0;
        let mut resolved = 0;
        for message in messages {
            let from = message.wrapping_mul(0x9e37_79b9_7f4a_7c15) >> 32;
            let to = message.wrapping_mul(0xc2b2_ae3d_27d4_eb4f) >> 32;
            let (from, to) = (1_000 + from % owners, 1_000 + to % owners);
            let mut set = WriteSet::default();
            for (owner, peer) in [(from, to), (to, from)] {
                let id = self.next_id();
                // Hashes, as in production.
                let peer = peer.wrapping_mul(0x9e37_79b9_7f4a_7c15);
                let tag = message.wrapping_mul(0xff51_afd7_ed55_8ccd);
                let entry = vec![b'x'; 400].into();
                set.push(Write::Append { owner: OwnerId(owner), shelf: ARCHIVE, id, peer, tag, entry });
            }
            last = self.store.submit(set, 0);
            if last > resolved + in_flight {
                // As shards do: many turns for each wake-up.
                resolved = self.wait(last - in_flight / 2);
            }
        }
        last
    }

    /// Open loop at `rate` a second: median, 99th percentile and maximum of the time until a ticket is resolved.
    fn latencies(&mut self, rate: u64, time: Duration, owners: u64) -> [Duration; 3] {
        let (mut submitted, mut late) = (VecDeque::new(), Vec::new());
        let start = Instant::now();
        let total = rate * time.as_secs();
        let mut sent = 0;
        while late.len() < total as usize {
            let due = (start.elapsed().as_secs_f64() * rate as f64) as u64;
            while sent < due.min(total) {
                submitted.push_back((
                    self.archive(sent..sent + 1, owners, u64::MAX / 2),
                    start + Duration::from_secs(1) * sent as u32 / rate as u32,
                ));
                sent += 1;
            }
            let resolved = self.store.progress().resolved;
            while submitted.front().is_some_and(|(ticket, _)| *ticket <= resolved) {
                late.extend(submitted.pop_front().map(|(_, due)| due.elapsed()));
            }
            std::thread::sleep(Duration::from_micros(200));
        }
        late.sort_unstable();
        let at = |share: f64| late.get((late.len() as f64 * share) as usize).or(late.last()).copied().unwrap_or_default();
        [at(0.5), at(0.99), at(1.0)]
    }

    fn fill(&mut self, owner: OwnerId, entries: u64) {
        let mut last = 0;
        for chunk in 0..entries / 100 {
            let mut set = WriteSet::default();
            for number in 0..100 {
                let peer = if number == 0 && chunk % 10 == 0 { 77 } else { 1_000 + number };
                let entry = vec![b'x'; 400].into();
                set.push(Write::Append { owner, shelf: ARCHIVE, id: self.next_id(), peer, tag: 0, entry });
            }
            last = self.store.submit(set, 0);
        }
        self.wait(last);
    }

    fn pages(&self, owner: OwnerId, query: &LogQuery, pages: u64) {
        let (done, answers) = channel();
        for asked in 0..pages {
            let done = done.clone();
            let read = Read::Log { owner, shelf: ARCHIVE, query: query.clone() };
            self.store.read(0, read, Box::new(move |rows| drop(done.send(rows))));
            if asked >= 64 {
                check(answers.recv().expect("an answer"));
            }
        }
        drop(done);
        answers.iter().for_each(check);
    }

    fn wait(&self, ticket: Ticket) -> Ticket {
        let mut held = self.changed.0.lock().expect("no panic");
        loop {
            let progress = self.store.progress();
            assert!(progress.refused.is_empty(), "refused");
            if progress.resolved >= ticket {
                return progress.resolved;
            }
            held = self.changed.1.wait_timeout(held, Duration::from_secs(1)).expect("no panic").0;
        }
    }
}

fn check(rows: Result<Rows, iris_core::store::StoreError>) {
    match rows {
        Ok(Rows::Log(page)) => assert_eq!(page.entries.len(), 50),
        rows => panic!("{rows:?}"),
    }
}

fn report(what: &str, count: u64, cpu: Duration, start: Instant) {
    let (wall, cpu) = (start.elapsed(), cpu_time() - cpu);
    let each = |time: Duration| time.as_secs_f64() * 1e6 / count as f64;
    println!(
        "  {what:<36} {:>9.0} /s   CPU {:>6.2} us each   wall {:>6.2} us each",
        count as f64 / wall.as_secs_f64(),
        each(cpu),
        each(wall),
    );
}

/// Of all threads, ended ones included: user and system, in clock ticks of 10 ms.
fn cpu_time() -> Duration {
    let stat = std::fs::read_to_string("/proc/self/stat").expect("Linux");
    let fields = stat.rsplit_once(')').map_or("", |(_, fields)| fields);
    let ticks: u64 = fields.split_whitespace().skip(11).take(2).filter_map(|field| field.parse::<u64>().ok()).sum();
    Duration::from_millis(ticks * 10)
}
