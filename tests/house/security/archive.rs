//! D4: the archive, asked by whoever should not, for what it should not, and too often.

use std::fs;
use std::time::{Duration, Instant};

use crate::client::{Client, PATIENCE, between};
use crate::scene::Scene;

fn query(fields: &[(&str, &str)], set: &str) -> String {
    let fields: String =
        fields.iter().map(|(var, value)| format!("<field var='{var}'><value>{value}</value></field>")).collect();
    let form = format!("<x xmlns='jabber:x:data' type='submit'>{fields}</x>");
    format!("<query xmlns='urn:xmpp:mam:2'>{form}<set xmlns='http://jabber.org/protocol/rsm'>{set}</set></query>")
}

const FULLTEXT: &str = "{urn:xmpp:fulltext:0}fulltext";

#[test]
fn d4_garbage_in_a_query_is_named_and_a_page_is_capped() {
    let mut scene = Scene::new();
    for (fields, set, condition) in [
        (&[("start", "yesterday")][..], "", "bad-request"),
        (&[("end", "2026-02-31T25:00:00Z")], "", "bad-request"),
        (&[("with", "@@")], "", "bad-request"),
        (&[("ids", "0")], "", "item-not-found"),
        (&[("after-id", "1767225600000000")], "", "item-not-found"),
        (&[("before-id", "AAAAAAAAAAA")], "", "item-not-found"),
        (&[("unheard-of", "x")], "", "feature-not-implemented"),
        (&[], "<max>-1</max>", "bad-request"),
        (&[], "<after>' OR 1=1--</after>", "item-not-found"),
        (&[(FULLTEXT, "\" OR \"*")], "", "<fin "),
        (&[(FULLTEXT, "&apos;; DROP TABLE log; --")], "", "<fin "),
        (&[], "<max>1000000000</max>", "<fin "),
        (&[], "<max>0</max>", "<count>"),
    ] {
        let answer = scene.alice.iq("set", None, &query(fields, set));
        assert!(answer.contains(condition), "{fields:?} {set}: {answer}");
    }
    for n in 0..60 {
        scene.bob.send(&format!("<message to='alice@localhost' type='chat'><body>{n}</body></message>"));
    }
    scene.bob.ping(PATIENCE).expect("a pong");
    scene.alice.drain(Duration::from_millis(300));
    scene.alice.send(&format!("<iq type='set' id='big'>{}</iq>", query(&[], "<max>1000000000</max>")));
    let mut results = 0;
    loop {
        let element = scene.alice.read(PATIENCE).expect("a page");
        if element.contains("id='big'") {
            assert!(!element.contains("complete='true'"), "{element}");
            break;
        }
        results += usize::from(element.contains("<result "));
    }
    assert_eq!(results, 50);
    scene.canary();
}

#[test]
fn d4_a_hundred_queries_at_once_are_each_answered_and_nobody_else_waits() {
    let mut scene = Scene::new();
    let mut mallory = scene.mallory();
    for n in 0..100 {
        mallory.send(&format!("<iq type='set' id='q{n}'>{}</iq>", query(&[(FULLTEXT, "a b c d e")], "")));
    }
    scene.canary();
    let mut answered = 0;
    while answered < 100 {
        let element = mallory.read(PATIENCE).expect("an answer");
        answered += usize::from(element.starts_with("<iq") && element.contains("id='q"));
        assert!(element.contains("<fin ") || element.contains("<resource-constraint"), "{element}");
    }
    scene.canary();
}

#[test]
fn d4_archive_and_preferences_of_another_are_as_nobodys() {
    let mut scene = Scene::new();
    let mut mallory = scene.mallory();
    let anonymous = |answer: String, to: &str| answer.replace(to, "X");
    for payload in [
        query(&[], ""),
        "<metadata xmlns='urn:xmpp:mam:2'/>".to_owned(),
        "<prefs xmlns='urn:xmpp:mam:2' default='never'/>".to_owned(),
    ] {
        for kind in ["get", "set"] {
            let mut ask = |to: &str| {
                let answer = mallory.iq(kind, Some(to), &payload);
                let id = between(&answer, " id='", "'").unwrap_or_default().to_owned();
                anonymous(answer.replace(&id, ""), to)
            };
            let nobody = ask("nobody@localhost");
            assert!(nobody.contains("type='error'"), "{nobody}");
            assert_eq!(ask("alice@localhost"), nobody, "{kind} {payload}");
        }
    }
    scene.canary();
}

/// "Really gone from storage and backups of the index": no file of the data folder has it any more.
#[test]
fn d4_what_was_retracted_is_in_no_file() {
    const SECRET: &str = "sesquipedalian";
    let mut scene = Scene::new();
    scene.bob.send(&format!("<message to='alice@localhost' type='chat' id='oops'><body>{SECRET} words</body></message>"));
    scene.alice.expect(SECRET);
    let found = |client: &mut Client| {
        client.send(&format!("<iq type='set' id='find'>{}</iq>", query(&[(FULLTEXT, SECRET)], "")));
        let mut results = 0;
        loop {
            let element = client.read(PATIENCE).expect("a page");
            if element.contains("id='find'") {
                return results;
            }
            results += usize::from(element.contains("<result "));
        }
    };
    assert_eq!(found(&mut scene.alice), 1);
    scene.bob.send(
        "<message to='alice@localhost' type='chat' id='sorry'><retract xmlns='urn:xmpp:message-retract:1' id='oops'/></message>",
    );
    scene.alice.expect("<retract ");
    let end = Instant::now() + Duration::from_secs(30);
    let holding = || -> Vec<String> {
        let files = fs::read_dir(scene.data.path()).expect("a folder").filter_map(Result::ok);
        let holds = |path: &std::path::PathBuf| {
            let bytes = fs::read(path).unwrap_or_default();
            bytes.windows(SECRET.len()).any(|window| window == SECRET.as_bytes())
        };
        files.map(|file| file.path()).filter(holds).map(|path| path.display().to_string()).collect()
    };
    while !holding().is_empty() {
        assert!(Instant::now() < end, "it is still in {:?}", holding());
        std::thread::sleep(Duration::from_millis(100));
    }
    assert_eq!((found(&mut scene.alice), found(&mut scene.bob)), (0, 0));
    scene.canary();
}
