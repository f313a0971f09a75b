//! What is left on disk, and what it costs.

use super::*;
use crate::server::{Data, With};

/// A connection that has begun to put a file and has not ended.
fn half(scene: &mut Scene, size: usize) -> (Slot, Http) {
    let slot = slot(&mut scene.alice, "half.bin", size, "");
    let mut http = Http::connect(scene.server.http);
    let length = size.to_string();
    http.ask("PUT", &slot.path, &[("Authorization", &slot.authorization), ("Content-Length", &length)], b"");
    http.send(&vec![b'x'; size / 2]);
    let data = scene.data.path();
    in_time("it arrives", || on_disk(&data).1.iter().any(|path| fs::metadata(path).is_ok_and(|it| it.len() > 0)));
    (slot, http)
}

const MEBI: usize = 1024 * 1024;

#[test]
fn d5_an_upload_that_breaks_off_leaves_nothing() {
    let mut scene = Scene::new();
    let (slot, http) = half(&mut scene, 2 * MEBI);
    assert_eq!(get(&scene, &slot.path).status, 404);
    drop(http);
    let data = scene.data.path();
    in_time("what arrived is removed", || on_disk(&data) == (vec![], vec![]));
    // The slot has not been used by it.
    assert_eq!(put(&scene, &slot, &[], &vec![b'y'; 2 * MEBI]).status, 201);
    scene.canary();
}

#[test]
fn kill_9_while_uploading_leaves_nothing_that_can_be_fetched() {
    let mut scene = Scene::new();
    let kept = uploaded(&mut scene, "kept.txt", "text/plain", b"acknowledged");
    let (slot, _http) = half(&mut scene, 2 * MEBI);
    let Scene { data, server, .. } = scene;
    server.kill();
    assert_eq!(on_disk(&data.path()).1.len(), 1, "the killed one cannot have removed it");
    let server =
        data.start_with(&With { config: Some("domains = [\"localhost\", \"other.test\"]\n".into()), ..With::default() });
    let mut http = Http::connect(server.http);
    assert_eq!(http.get(&slot.path).status, 404);
    assert_eq!(http.get(&kept.path).text(), "acknowledged", "what was answered with 201 is there");
    let (files, arriving) = on_disk(&data.path());
    assert_eq!((files.len(), arriving.len()), (1, 0));
    // A file that nobody's shelf knows is not served, and does not stay.
    let stray = files[0]
        .parent()
        .expect("a folder")
        .join(format!("{}00", &files[0].file_name().expect("a name").to_string_lossy()[..46]));
    fs::write(&stray, "of nobody").expect("a file");
    let server = {
        drop(server);
        data.start_with(&With { config: Some("domains = [\"localhost\", \"other.test\"]\n".into()), ..With::default() })
    };
    in_time("what belongs to nobody is removed", || !stray.exists());
    assert_eq!(Http::connect(server.http).get(&kept.path).text(), "acknowledged");
}

#[test]
fn a_large_file_goes_in_and_out_with_flat_memory() {
    large_file_with_flat_memory(&mut Scene::new(), 96);
}

/// What a bucket needs beside what a disk needs: a part on its way there (5 MiB), and pieces on their way back.
/// `mib`: more than the house may grow by, 16 MiB; `IRIS_LARGE_MIB` for more.
pub fn large_file_with_flat_memory(scene: &mut Scene, mib: usize) {
    let size = std::env::var("IRIS_LARGE_MIB").ok().and_then(|mib| mib.parse().ok()).unwrap_or(mib) * MEBI;
    let chunk: Vec<u8> = (0..MEBI).map(|at| (at % 251) as u8).collect();
    let slot = slot(&mut scene.alice, "large.bin", size, "application/octet-stream");
    let before = scene.server.memory_kib();
    let mut http = Http::connect(scene.server.http);
    let length = size.to_string();
    http.ask("PUT", &slot.path, &[("Authorization", &slot.authorization), ("Content-Length", &length)], b"");
    for _ in 0..size / MEBI {
        http.send(&chunk);
    }
    assert_eq!(http.response().status, 201);
    let after_put = scene.server.memory_kib();
    let mut http = Http::connect(scene.server.http);
    http.ask("GET", &slot.path, &[("Connection", "close")], b"");
    let (mut received, mut most) = (0, 0);
    while http.more().is_some() {
        let incoming = http.incoming();
        received += incoming.len();
        incoming.clear();
        if received % 16 < 2 {
            most = most.max(scene.server.memory_kib());
        }
    }
    assert!(received > size && received < size + 4_096, "{received}");
    for (when, now) in [("put", after_put), ("get", most), ("end", scene.server.memory_kib())] {
        let grown = now.saturating_sub(before);
        assert!(grown < 16 * 1024, "{when}: {grown} KiB more are resident");
    }
    scene.canary();
}

#[test]
fn the_same_file_of_two_people_is_stored_once_where_that_is_configured() {
    let mut scene = Scene::with("[files]\ndeduplicate = true\n");
    let hers = uploaded(&mut scene, "a.txt", "text/plain", b"the same");
    let slot = slot(&mut scene.bob, "b.txt", 8, "text/plain");
    assert_eq!(put(&scene, &slot, &[("Content-Type", "text/plain")], b"the same").status, 201);
    let data = scene.data.path();
    let inodes = |data: &Path| {
        let mut inodes: Vec<u64> = on_disk(data)
            .0
            .iter()
            .filter(|path| path.is_file())
            .map(|path| std::os::unix::fs::MetadataExt::ino(&fs::metadata(path).expect("a file")))
            .collect();
        inodes.dedup();
        inodes.len()
    };
    assert_eq!(inodes(&data), 1);
    // It counts for each of them.
    for client in [&mut scene.alice, &mut scene.bob] {
        let command = "<command xmlns='http://jabber.org/protocol/commands' node='urn:iris:files#list'/>";
        let listed = client.iq("set", Some("localhost"), command);
        let used = between(&listed, "var='used'", "</field>").unwrap_or_else(|| panic!("{listed}"));
        assert!(used.contains("<value>8</value>"), "{listed}");
    }
    // One of them goes, by force: what the other has stays, over a kill -9 too.
    scene.control().user_remove(&BareJid::new("alice@localhost").expect("a JID")).expect("removed");
    assert_eq!((get(&scene, &hers.path).status, get(&scene, &slot.path).text().as_str()), (404, "the same"));
    let Scene { data, server, .. } = scene;
    server.kill();
    let config = Some("domains = [\"localhost\", \"other.test\"]\n[files]\ndeduplicate = true\n".into());
    let server = data.start_with(&With { config, ..With::default() });
    assert_eq!(Http::connect(server.http).get(&slot.path).text(), "the same");
    let control =
        iris::cli::control::Client::connect(&data.path().join("control.sock")).expect("a control socket").expect("a server");
    control.user_remove(&BareJid::new("bob@localhost").expect("a JID")).expect("removed");
    let content = data.path().join("files/content");
    let left = || {
        fs::read_dir(&content).expect("a folder").flat_map(|it| fs::read_dir(it.expect("an entry").path()).expect("a folder"))
    };
    in_time("its bytes go with the last who had them", || left().count() == 0);
}

#[test]
fn a_slow_reader_costs_nobody_anything() {
    let mut scene = Scene::new();
    let body = vec![b'z'; 8 * MEBI];
    let slot = uploaded(&mut scene, "a.bin", "application/octet-stream", &body);
    let mut slow: Vec<Http> = (0..20)
        .map(|_| {
            let mut http = Http::connect(scene.server.http);
            http.ask("GET", &slot.path, &[("Connection", "close")], b"");
            http
        })
        .collect();
    let quick = get(&scene, &slot.path);
    assert_eq!((quick.status, quick.body.len()), (200, body.len()));
    scene.canary();
    let last = slow.pop().expect("one of them").read_to_end();
    assert!(last.ends_with(b"zzz") && last.len() > body.len());
}

#[test]
fn s4_3_an_ephemeral_file_is_not_there_any_more_when_it_says() {
    let mut scene = Scene::new();
    let until = iris_core::time::datetime((std::time::UNIX_EPOCH.elapsed().expect("a clock").as_secs() + 4) * 1_000_000);
    let purpose = format!("<ephemeral xmlns='urn:xmpp:http:upload:purpose:0' expire-before='{until}'/>");
    let slot = slot_for(&mut scene.alice, "filename='story.txt' size='5'", &purpose);
    assert_eq!(put(&scene, &slot, &[], b"hello").status, 201);
    let response = get(&scene, &slot.path);
    assert_eq!(response.status, 200);
    assert!(response.header("cache-control").is_some_and(|it| !it.contains("31536000")), "{}", response.head);
    in_time("it is over", || get(&scene, &slot.path).status == 404);
    assert!(
        std::time::UNIX_EPOCH.elapsed().expect("a clock").as_micros() as u64
            >= iris_core::time::parse_datetime(&until).expect("a time")
    );
    // Its bytes go with the next look, which a start begins with.
    let data = scene.data.path();
    assert_eq!(on_disk(&data).0.len(), 1);
    scene.server.terminate(PATIENCE);
    let _server =
        scene.data.start_with(&With { config: Some("domains = [\"localhost\", \"other.test\"]\n".into()), ..With::default() });
    in_time("its bytes are removed", || on_disk(&data).0.is_empty());
}

#[test]
fn a_backup_has_the_files_too() {
    let mut scene = Scene::new();
    let slot = uploaded(&mut scene, "a.txt", "text/plain", b"hello");
    let copy = scene.data.folder().join("copy");
    scene.data.iris(&["backup", &copy.display().to_string()]);
    let elsewhere = Data::new();
    elsewhere.iris(&["restore", &copy.display().to_string()]);
    scene.control().user_remove(&BareJid::new("alice@localhost").expect("a JID")).expect("removed");
    assert_eq!(get(&scene, &slot.path).status, 404);
    let server =
        elsewhere.start_with(&With { config: Some("domains = [\"localhost\", \"other.test\"]\n".into()), ..With::default() });
    assert_eq!(Http::connect(server.http).get(&slot.path).text(), "hello");
}

#[test]
fn with_the_account_its_files_go_at_once() {
    let mut scene = Scene::new();
    let slot = uploaded(&mut scene, "a.txt", "text/plain", b"hello");
    scene.control().user_remove(&BareJid::new("alice@localhost").expect("a JID")).expect("removed");
    assert_eq!(get(&scene, &slot.path).status, 404);
    let data = scene.data.path();
    in_time("its bytes are removed", || on_disk(&data).0.is_empty());
}

#[test]
fn b18_a_slot_dies_with_the_password() {
    let mut scene = Scene::new();
    let slot = slot(&mut scene.alice, "a.txt", 5, "");
    let pass = pass(&mut scene.alice);
    let alice = BareJid::new("alice@localhost").expect("a JID");
    scene.control().user_passwd(&alice, "another password").expect("changed");
    assert_eq!(put(&scene, &slot, &[], b"hello").status, 403);
    assert_eq!(Http::connect(scene.server.http).request("GET", "/files", &[("Authorization", &pass)], b"").status, 403);
}

#[test]
fn s5_a_quota_holds_over_http_too() {
    let mut scene = Scene::with("[plans.enterprise]\nstorage_bytes_max = 10\n");
    let first = slot(&mut scene.alice, "a.txt", 6, "");
    let full = scene.alice.iq("get", Some(UPLOAD), &format!("<request xmlns='{NS}' filename='b' size='6'/>"));
    assert!(full.contains("resource-constraint") && full.contains("<retry") && full.contains("Quota reached"), "{full}");
    assert_eq!(put(&scene, &first, &[], b"hello!").status, 201);
    let alice = BareJid::new("alice@localhost").expect("a JID");
    assert_eq!(scene.control().user_plan(&alice, Some("business")).expect("a plan").plan, "business");
    let second = slot(&mut scene.alice, "b.txt", 6, "");
    scene.control().user_plan(&alice, Some("default")).expect("a plan");
    // What was promised under a larger plan is not kept under a smaller one.
    assert_eq!(put(&scene, &second, &[], b"hello!").status, 413);
    assert!(scene.control().user_plan(&alice, Some("gold")).is_err());
    scene.canary();
}
