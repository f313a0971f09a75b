//! HTTP File Upload (XEP-0363) over real sockets and on a real disk: what is put, what is fetched, what is left. Security D5 by name.

mod bucket;
mod requests;
mod storage;

use std::fs;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use iris::cli::control::Admin;
use iris_core::BareJid;

use crate::client::{Client, PATIENCE, attribute, between};
use crate::scene::Scene;
use crate::web::http::{Http, Response};

const UPLOAD: &str = "upload.localhost";
const NS: &str = "urn:xmpp:http:upload:0";

/// What a client is given.
#[derive(Clone, Debug)]
struct Slot {
    path: String,
    authorization: String,
}

fn slot(client: &mut Client, name: &str, size: usize, content_type: &str) -> Slot {
    let said = if content_type.is_empty() { String::new() } else { format!("content-type='{content_type}'") };
    slot_for(client, &format!("filename='{name}' size='{size}' {said}"), "")
}

fn slot_for(client: &mut Client, attributes: &str, purpose: &str) -> Slot {
    let request = format!("<request xmlns='{NS}' {attributes}>{purpose}</request>");
    let answer = client.iq("get", Some(UPLOAD), &request);
    let url = between(&answer, "<put url='", "'").unwrap_or_else(|| panic!("{answer}"));
    assert!(url.starts_with("https://localhost"), "{url}");
    let at = url.find("/upload/").expect("a path");
    let authorization = between(&answer, "<header name='Authorization'>", "</header>").expect("a header").to_owned();
    assert!(answer.contains(&format!("<get url='{url}'/>")), "{answer}");
    Slot { path: url[at..].to_owned(), authorization }
}

fn put(scene: &Scene, slot: &Slot, headers: &[(&str, &str)], body: &[u8]) -> Response {
    let mut all = vec![("Authorization", slot.authorization.as_str())];
    all.extend_from_slice(headers);
    Http::connect(scene.server.http).request("PUT", &slot.path, &all, body)
}

fn get(scene: &Scene, path: &str) -> Response {
    Http::connect(scene.server.http).get(path)
}

/// Put, and it worked.
#[track_caller]
fn uploaded(scene: &mut Scene, name: &str, content_type: &str, body: &[u8]) -> Slot {
    let slot = slot(&mut scene.alice, name, body.len(), content_type);
    let response = put(scene, &slot, &[("Content-Type", content_type)], body);
    assert_eq!(response.status, 201, "{}", response.text());
    slot
}

/// Files that are kept, and files that are arriving.
fn on_disk(data: &Path) -> (Vec<PathBuf>, Vec<PathBuf>) {
    let list = |folder: &Path| -> Vec<PathBuf> {
        fs::read_dir(folder).map(|entries| entries.map(|entry| entry.expect("an entry").path()).collect()).unwrap_or_default()
    };
    let files = data.join("files");
    let kept = list(&files).into_iter().filter(|path| !path.ends_with("arriving")).flat_map(|folder| list(&folder));
    (kept.collect(), list(&files.join("arriving")))
}

#[track_caller]
fn in_time(what: &str, mut is_so: impl FnMut() -> bool) {
    let end = Instant::now() + PATIENCE;
    while !is_so() {
        assert!(Instant::now() < end, "{what}");
        std::thread::sleep(Duration::from_millis(50));
    }
}

/// A pass for `/files`, by the command.
fn pass(client: &mut Client) -> String {
    let command = "<command xmlns='http://jabber.org/protocol/commands' node='urn:iris:files#pass'/>";
    let answer = client.iq("set", Some("localhost"), command);
    let token = between(&answer, "var='token'", "</field>").unwrap_or_else(|| panic!("{answer}"));
    format!("Bearer {}", between(token, "<value>", "</value>").expect("a token"))
}

fn id_of(slot: &Slot) -> &str {
    slot.path.split('/').nth(2).expect("an id")
}

#[test]
fn s2_the_service_is_among_the_items_of_the_domain() {
    let mut scene = Scene::new();
    let items = scene.alice.iq("get", Some("localhost"), "<query xmlns='http://jabber.org/protocol/disco#items'/>");
    assert!(items.contains("jid='upload.localhost'"), "{items}");
    let info = scene.alice.iq("get", Some(UPLOAD), "<query xmlns='http://jabber.org/protocol/disco#info'/>");
    assert!(info.contains("var='max-file-size'") && attribute(&info, "type") == Some("result"), "{info}");
}
