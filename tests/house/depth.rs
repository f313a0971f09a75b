//! An archive of 100,000 messages: read whole from both ends, with a message taken back in between, searched, and shortened by age.
//! It is filled through the store, as the server would, while no server runs.

use std::collections::HashSet;
use std::path::Path;
use std::sync::mpsc::channel;
use std::time::{Duration, Instant};

use iris_core::hash;
use iris_core::store::{EntryId, OwnerId, Read, Rows, Shelf, Store, Write, WriteSet};
use iris_core::time::datetime;
use iris_store::{SqliteOptions, SqliteStore};

use crate::client::{Client, DOMAIN, PATIENCE, attribute, between};
use crate::server::{Data, With};

const MESSAGES: u64 = 100_000;
/// One message a minute, the last of them a minute ago.
const MINUTE_US: u64 = 60_000_000;
const ARCHIVE: Shelf = Shelf::log("archive");
/// Pages as large as a session's queue lets them be.
const CONFIG: &str = "[xep.archive]\npage_entries_max = 500\n";

/// When the first of them was said.
fn fill(folder: &Path, user: &str, messages: u64) -> u64 {
    let store = SqliteStore::open(folder, SqliteOptions::default()).expect("the store opens");
    let (send, receive) = channel();
    let name = format!("{user}@{DOMAIN}");
    let read = Read::Wake { name: name.as_str().into(), shelves: [].into() };
    store.read(0, read, Box::new(move |rows| drop(send.send(rows))));
    let Ok(Rows::Woken(Some(woken))) = receive.recv().expect("an answer") else { panic!("no such account") };
    let now_us = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).expect("a time").as_micros() as u64;
    let first = now_us - (messages + 1) * MINUTE_US;
    let mut last = 0;
    for portion in 0..messages / 500 {
        let mut set = WriteSet::default();
        for n in portion * 500..(portion + 1) * 500 {
            set.push(append(woken.owner, &name, n, first + n * MINUTE_US));
        }
        last = store.submit(set, 0);
    }
    let end = Instant::now() + Duration::from_secs(120);
    while store.progress().resolved < last {
        assert!(Instant::now() < end, "the store does not come to an end");
        std::thread::sleep(Duration::from_millis(5));
    }
    assert!(!store.progress().is_refused(last));
    first
}

fn append(owner: OwnerId, me: &str, n: u64, at: u64) -> Write {
    let (peer, word) = if n.is_multiple_of(4) { ("carol", "thunder") } else { ("bob", "lightning") };
    let peer = format!("{peer}@{DOMAIN}");
    let message = format!(
        "\x01<message xmlns='jabber:client' to='{me}' from='{peer}/x' type='chat' id='m{n}'><body>number {n} of {word}</body></message>"
    );
    let peer = hash::stable(&[peer.as_bytes()]);
    Write::Append { owner, shelf: ARCHIVE, id: EntryId(at), peer, tag: 0, entry: message.into() }
}

struct Page {
    ids: Vec<String>,
    /// The messages as they came.
    messages: Vec<String>,
    fin: String,
}

impl Page {
    fn is_complete(&self) -> bool {
        self.fin.contains("complete='true'")
    }
}

fn page(client: &mut Client, fields: &str, set: &str) -> Page {
    let form =
        format!("<x xmlns='jabber:x:data' type='submit'>{fields}</x><set xmlns='http://jabber.org/protocol/rsm'>{set}</set>");
    client.send(&format!("<iq type='set' id='page'><query xmlns='urn:xmpp:mam:2'>{form}</query></iq>"));
    let (mut ids, mut messages) = (Vec::new(), Vec::new());
    loop {
        let element = client.read(PATIENCE).expect("a page");
        if element.starts_with("<iq") && attribute(&element, "id") == Some("page") {
            assert!(element.contains("<fin "), "{element}");
            return Page { ids, messages, fin: element };
        }
        if let Some((_, result)) = element.split_once("<result ") {
            ids.push(between(result, " id='", "'").expect("an id").to_owned());
            messages.push(element);
        }
    }
}

/// The number that a message says it has.
fn number(message: &str) -> Option<u64> {
    between(message, "<body>number ", " ")?.parse().ok()
}

#[test]
fn a_hundred_thousand_messages_are_read_once_each_from_both_ends_with_one_taken_back_between() {
    let data = Data::with_users(["alice", "bob", "carol"]);
    let first = fill(&data.path(), "alice", MESSAGES);
    let server = data.start_with(&With { config: Some(CONFIG.to_owned()), ..With::default() });
    let mut alice = Client::bound(server.plain, "alice", "desk");
    let (mut ids, mut numbers) = (Vec::new(), Vec::new());
    let mut retracted = false;
    loop {
        let after = ids.last().map(|id| format!("<after>{id}</after>")).unwrap_or_default();
        let page = page(&mut alice, "", &format!("<max>500</max>{after}"));
        ids.extend(page.ids.iter().cloned());
        numbers.extend(page.messages.iter().filter_map(|message| number(message)));
        if page.is_complete() {
            break;
        }
        assert_eq!(page.ids.len(), 500);
        if ids.len() >= 40_000 && !retracted {
            retracted = true;
            // Far ahead of the reader, and far behind the end.
            let mut bob = Client::bound(server.plain, "bob", "phone");
            bob.send(&format!(
                "<message to='alice@{DOMAIN}' type='chat' id='gone'><retract xmlns='urn:xmpp:message-retract:1' id='m70001'/></message>"
            ));
            bob.ping(PATIENCE).expect("a pong");
            await_tombstone(&mut alice, first + 70_001 * MINUTE_US);
        }
    }
    // All, each once, in order: the messages, one of them a tombstone, and the retraction.
    assert_eq!(ids.len() as u64, MESSAGES + 1);
    assert_eq!(ids.iter().collect::<HashSet<_>>().len(), ids.len());
    let all: Vec<u64> = (0..MESSAGES).filter(|n| *n != 70_001).collect();
    assert!(numbers == all, "{} of {}", numbers.len(), all.len());

    let (mut backward, mut before) = (Vec::new(), String::new());
    loop {
        let page = page(&mut alice, "", &format!("<max>500</max><before>{before}</before>"));
        before = page.ids.first().expect("no page is empty").clone();
        let complete = page.is_complete();
        backward.extend(page.ids.into_iter().rev());
        if complete {
            break;
        }
    }
    backward.reverse();
    assert!(backward == ids, "the same from the other end");
    let stone = page(&mut alice, &format!("<field var='ids'><value>{}</value></field>", ids[70_001]), "");
    assert!(stone.messages[0].contains("<retracted ") && stone.messages[0].contains("id='gone'"), "{}", stone.messages[0]);
    assert!(!stone.messages[0].contains("<body>"), "{}", stone.messages[0]);

    searched(&mut alice);
    alice.close();
}

/// The retraction is looked for through 30,000 messages.
fn await_tombstone(alice: &mut Client, at: u64) {
    let moment = |var: &str| format!("<field var='{var}'><value>{}</value></field>", datetime(at));
    let fields = format!("{}{}", moment("start"), moment("end"));
    let end = Instant::now() + PATIENCE;
    while !page(alice, &fields, "").messages[0].contains("<retracted ") {
        assert!(Instant::now() < end, "what was taken back is still there");
        std::thread::sleep(Duration::from_millis(50));
    }
}

/// XEP-0431, whether or not the index is there yet.
fn searched(alice: &mut Client) {
    let words = |text: &str| format!("<field var='{{urn:xmpp:fulltext:0}}fulltext'><value>{text}</value></field>");
    let one = page(alice, &words("99999 lightning"), "");
    assert_eq!((one.messages.iter().filter_map(|it| number(it)).collect::<Vec<_>>(), one.is_complete()), (vec![99_999], true));
    assert!(page(alice, &words("99999 thunder"), "").ids.is_empty());
    let last = page(alice, &words("thunder"), "<max>3</max><before/>");
    assert_eq!(last.messages.iter().filter_map(|it| number(it)).collect::<Vec<_>>(), [99_988, 99_992, 99_996]);
    let with = format!("<field var='with'><value>bob@{DOMAIN}</value></field>{}", words("number"));
    assert_eq!(page(alice, &with, "<max>2</max>").messages.iter().filter_map(|it| number(it)).collect::<Vec<_>>(), [1, 2]);
}

#[test]
fn s3_2_what_is_too_old_goes_a_little_at_a_time_and_nobody_waits() {
    let data = Data::with_users(["alice", "bob", "carol"]);
    let messages = 20_000;
    fill(&data.path(), "alice", messages);
    // 20,000 minutes are 13.9 days.
    let config = format!("{CONFIG}keep_days = 2\n");
    let server = data.start_with(&With { config: Some(config), ..With::default() });
    let mut alice = Client::online(server.plain, "alice", "desk");
    let mut bob = Client::online(server.plain, "bob", "phone");
    let end = Instant::now() + Duration::from_secs(120);
    // The last of `fill` is a minute old.
    let kept = 2 * 24 * 60 - 1;
    let (mut n, mut portions) = (0, 0);
    let mut oldest = 0;
    while oldest < messages - kept {
        assert!(Instant::now() < end, "the old messages are still there");
        n += 1;
        bob.send(&format!("<message to='alice@{DOMAIN}' type='chat'><body>meanwhile {n}</body></message>"));
        alice.expect(&format!("meanwhile {n}<"));
        let first = first(&mut alice);
        portions += u32::from(first > oldest);
        oldest = first;
    }
    // Between two portions a message came and went, and a page was read.
    assert!(portions > 3, "{messages} messages went in {portions} portions");
    // No hole: from the first that is kept on, everything. Another may become too old while one looks.
    loop {
        let before = first(&mut alice);
        let count = page(&mut alice, "", "<max>0</max>");
        if first(&mut alice) == before {
            assert_eq!(between(&count.fin, "<count>", "</count>"), Some(&*(messages - before + n).to_string()));
            break;
        }
    }
}

/// The oldest that is there.
fn first(client: &mut Client) -> u64 {
    page(client, "", "<max>1</max>").messages.first().and_then(|it| number(it)).expect("none of these goes")
}
