//! Files in a bucket of S3 (`crate::s3`, or a real one: `IRIS_TEST_S3`).

use iris_store::blobs::{Trouble, suite};
use iris_store::{S3Blobs, S3Options};

use super::*;
use crate::s3::{BUCKET, KEY, S3, SECRET};
use crate::server::{Data, With};

const MEBI: usize = 1024 * 1024;
const DOMAINS: &str = "domains = [\"localhost\", \"other.test\"]\n";

fn configuration(s3: &S3, bucket: &str, key: &str, secret: &str) -> String {
    let endpoint = s3.endpoint();
    format!(
        "[files]\nkind = \"s3\"\nendpoint = \"{endpoint}\"\nbucket = \"{bucket}\"\nprefix = \"iris\"\naccess_key_id = \"{key}\"\n\
         secret_access_key = \"{secret}\"\n"
    )
}

fn scene(s3: &S3) -> Scene {
    Scene::with(&configuration(s3, BUCKET, KEY, SECRET))
}

fn options(endpoint: &str, bucket: &str, secret: &str, journal: &Path) -> S3Options {
    S3Options {
        bucket: bucket.into(),
        endpoint: Some(endpoint.into()),
        region: "us-east-1".into(),
        prefix: "suite/".into(),
        access_key_id: KEY.into(),
        secret_access_key: secret.into(),
        session_token: None,
        authorities: None,
        virtual_hosts: false,
        journal: journal.to_owned(),
    }
}

fn notes(journal: &Path) -> usize {
    fs::read_dir(journal).map_or(0, Iterator::count)
}

/// A half upload, as `storage::half`; its first part lies in the bucket.
fn half(scene: &mut Scene, s3: &S3, size: usize) -> (Slot, Http) {
    let slot = slot(&mut scene.alice, "half.bin", size, "");
    let mut http = Http::connect(scene.server.http);
    let length = size.to_string();
    http.ask("PUT", &slot.path, &[("Authorization", &slot.authorization), ("Content-Length", &length)], b"");
    http.send(&vec![b'x'; size * 3 / 4]);
    in_time("it arrives", || s3.bucket().uploads.values().any(|parts| !parts.is_empty()));
    (slot, http)
}

/// With `IRIS_TEST_S3=ENDPOINT BUCKET KEY SECRET` over a real one: `conformance/run full` does that.
#[test]
fn a_bucket_behaves_as_every_driver_does() {
    let journal = tempfile::tempdir().expect("a folder");
    let real = std::env::var("IRIS_TEST_S3").unwrap_or_default();
    let real: Vec<&str> = real.split_whitespace().collect();
    if let [endpoint, bucket, key, secret] = real[..] {
        let options = S3Options { access_key_id: key.into(), ..options(endpoint, bucket, secret, journal.path()) };
        let blobs = S3Blobs::open(&options).expect("a driver");
        blobs.take("suite").expect("a bucket");
        suite::run(&blobs);
        in_time("nothing is left half", || notes(journal.path()) == 0);
        assert_eq!(blobs.look(Some("another")), Err(Trouble::OtherHouse));
        let wrong = S3Options { secret_access_key: "wrong".into(), ..options };
        assert!(matches!(S3Blobs::open(&wrong).expect("a driver").look(None), Err(Trouble::Refused(_))));
        return;
    }
    let s3 = S3::start();
    let blobs = S3Blobs::open(&options(&s3.endpoint(), BUCKET, SECRET, journal.path())).expect("a driver");
    blobs.take("suite").expect("a bucket");
    suite::run(&blobs);
    in_time("nothing is left half", || s3.bucket().uploads.is_empty() && notes(journal.path()) == 0);
    assert_eq!(s3.files(), [""; 0]);
}

/// As a store of one's own is reached: by TLS with an authority of one's own, and with the bucket before the name of the host.
#[test]
fn a_bucket_is_reached_over_tls_with_an_authority_of_ones_own_and_by_a_name_of_its_own() {
    let journal = tempfile::tempdir().expect("a folder");
    let trusted = journal.path().join("ca.pem");
    for (tls, virtual_hosts) in [(true, false), (false, true), (true, true)] {
        let s3 = S3::start_with(tls, virtual_hosts);
        fs::write(&trusted, s3.authority.as_deref().unwrap_or_default()).expect("a file");
        let authorities = tls.then(|| trusted.clone());
        let journal = journal.path().join(format!("{tls}-{virtual_hosts}"));
        let options = S3Options { authorities, virtual_hosts, ..options(&s3.endpoint(), BUCKET, SECRET, &journal) };
        let blobs = S3Blobs::open(&options).expect("a driver");
        blobs.take("suite").expect("a bucket");
        suite::run(&blobs);
        in_time("nothing is left half", || s3.bucket().uploads.is_empty() && notes(&journal) == 0);
        // Another way of asking finds no bucket there.
        let other = S3Options { virtual_hosts: !virtual_hosts, ..options.clone() };
        let found = S3Blobs::open(&other).expect("a driver").look(None);
        assert!(matches!(found, Err(Trouble::NoBucket(_) | Trouble::Unreachable(_))), "{found:?}");
        if !tls {
            continue;
        }
        // Whoever is not believed is told nothing: not even what is asked for.
        let (_, another) = crate::authority::server(&["localhost"]);
        let asked = s3.bucket().asked.len();
        for authority in [Some(another), None] {
            let authorities = authority.map(|pem| {
                fs::write(&trusted, pem).expect("a file");
                trusted.clone()
            });
            // A system without any authorities says so at once.
            let Ok(blobs) = S3Blobs::open(&S3Options { authorities, ..options.clone() }) else { continue };
            let said = blobs.look(None);
            assert!(matches!(&said, Err(Trouble::Unreachable(why)) if why.contains("certificate")), "{said:?}");
        }
        assert_eq!(s3.bucket().asked.len(), asked);
    }
    let number = S3Options { virtual_hosts: true, ..options("http://127.0.0.1:9000", BUCKET, SECRET, journal.path()) };
    assert!(S3Blobs::open(&number).is_err_and(|why| why.contains("virtual_hosts")));
}

#[test]
fn files_go_into_a_bucket_over_tls_and_come_out_again() {
    let s3 = S3::start_with(true, true);
    let folder = tempfile::tempdir().expect("a folder");
    let authorities = folder.path().join("store-ca.pem");
    fs::write(&authorities, s3.authority.as_deref().expect("TLS")).expect("a file");
    let keys = format!("authorities = \"{}\"\nvirtual_hosts = true\n", authorities.display());
    let mut scene = Scene::with(&format!("{}{keys}", configuration(&s3, BUCKET, KEY, SECRET)));
    let large: Vec<u8> = (0..6 * MEBI + 11).map(|at| (at % 251) as u8).collect();
    let slot = uploaded(&mut scene, "b.bin", "application/octet-stream", &large);
    assert_eq!(s3.files().len(), 1);
    assert!(get(&scene, &slot.path).body == large, "other bytes come out than went in");
}

/// The bucket lies in the memory of this process, not of the house; a debug build is slow to sign what goes there.
#[test]
fn a_large_file_goes_into_a_bucket_and_out_with_flat_memory() {
    let s3 = S3::start();
    let mut scene = scene(&s3);
    super::storage::large_file_with_flat_memory(&mut scene, 32);
}

#[test]
fn what_is_put_into_a_bucket_is_fetched_resumed_and_removed() {
    let s3 = S3::start();
    let mut scene = scene(&s3);
    let large: Vec<u8> = (0..6 * MEBI + 11).map(|at| (at % 251) as u8).collect();
    let small = uploaded(&mut scene, "a.txt", "text/plain", b"hello");
    let slot = uploaded(&mut scene, "b.bin", "application/octet-stream", &large);
    assert_eq!(s3.files().len(), 2);
    assert_eq!(get(&scene, &small.path).text(), "hello");
    assert!(get(&scene, &slot.path).body == large, "other bytes come out than went in");
    let part = Http::connect(scene.server.http).request("GET", &slot.path, &[("Range", "bytes=5000000-")], b"");
    assert!(part.status == 206 && part.body == large[5_000_000..], "{}", part.head);
    // One that fails for a moment is asked again.
    s3.bucket().unwell = 2;
    assert_eq!(get(&scene, &small.path).text(), "hello");
    assert_eq!(on_disk(&scene.data.path()), (vec![], vec![]), "nothing of it lies here");
    let (copy, config) = (scene.data.folder().join("copy").display().to_string(), scene.data.config().display().to_string());
    let said = scene.data.iris(&["backup", &copy, "--config", &config]).split_whitespace().collect::<Vec<_>>().join(" ");
    assert!(said.contains("lies in the bucket files and is NOT in it"), "{said}");
    // Over a restart, and then it goes.
    scene.server.terminate(PATIENCE);
    let config = Some(format!("{DOMAINS}{}", configuration(&s3, BUCKET, KEY, SECRET)));
    scene.server = scene.data.start_with(&With { config, ..With::default() });
    assert_eq!(get(&scene, &small.path).text(), "hello");
    scene.control().user_remove(&BareJid::new("alice@localhost").expect("a JID")).expect("removed");
    assert_eq!(get(&scene, &small.path).status, 404);
    in_time("the bytes are removed", || s3.files().is_empty());
    assert!(!scene.data.logged().contains(SECRET) && !scene.data.logged().contains(KEY));
}

#[test]
fn an_upload_into_a_bucket_that_breaks_off_leaves_nothing_there() {
    let s3 = S3::start();
    let mut scene = scene(&s3);
    let (slot, http) = half(&mut scene, &s3, 8 * MEBI);
    assert_eq!(get(&scene, &slot.path).status, 404);
    drop(http);
    in_time("its parts are given up", || s3.bucket().uploads.is_empty());
    assert_eq!(s3.files(), [""; 0]);
    assert_eq!(put(&scene, &slot, &[], &vec![b'y'; 8 * MEBI]).status, 201, "the slot has not been used by it");
    in_time("nothing is noted any more", || on_disk(&scene.data.path()).1.is_empty());
    scene.canary();
}

#[test]
fn kill_9_while_uploading_into_a_bucket_leaves_nothing_there() {
    let s3 = S3::start();
    let mut scene = scene(&s3);
    let kept = uploaded(&mut scene, "kept.txt", "text/plain", b"acknowledged");
    let (slot, _http) = half(&mut scene, &s3, 8 * MEBI);
    let Scene { data, server, .. } = scene;
    server.kill();
    assert_eq!(s3.bucket().uploads.len(), 1, "the killed one cannot have given it up");
    // And something that nobody's shelf knows.
    let stray = s3.files().pop().map(|key| format!("{}00", &key[..key.len() - 2])).expect("a file");
    s3.bucket().objects.insert(stray.clone(), b"of nobody".to_vec());
    let config = Some(format!("{DOMAINS}{}", configuration(&s3, BUCKET, KEY, SECRET)));
    let server = data.start_with(&With { config, ..With::default() });
    in_time("its parts are given up", || s3.bucket().uploads.is_empty());
    in_time("what belongs to nobody is removed", || !s3.files().contains(&stray));
    let mut http = Http::connect(server.http);
    assert_eq!(http.get(&slot.path).status, 404);
    assert_eq!(http.get(&kept.path).text(), "acknowledged", "what was answered with 201 is there");
}

/// What it says when it does not start, with its line; and what `iris doctor` says.
fn refused(data: &Data, config: &str) -> (String, String) {
    let with = With { config: Some(format!("{DOMAINS}{config}")), ..With::default() };
    let said = match data.try_start(&with) {
        Ok(_) => panic!("it starts"),
        Err(why) => format!("{why}\n{}", data.logged()),
    };
    let config = data.config().display().to_string();
    let doctor = std::process::Command::new(env!("CARGO_BIN_EXE_iris"))
        .args(["doctor", "--no-dns", "--json", "--config", &config, "--data-dir"])
        .arg(data.path())
        .output()
        .expect("iris runs");
    let doctor = String::from_utf8_lossy(&doctor.stdout).into_owned();
    for text in [&said, &doctor] {
        assert!(!text.contains(SECRET) && !text.contains("wrong-secret") && !text.contains("StringToSign"), "{text}");
    }
    (said.split_whitespace().collect::<Vec<_>>().join(" "), doctor.split_whitespace().collect::<Vec<_>>().join(" "))
}

#[test]
fn a_wrong_bucket_and_a_refused_key_are_told_at_the_start_and_by_the_doctor() {
    let s3 = S3::start();
    let data = Data::new();
    let (said, doctor) = refused(&data, &configuration(&s3, "nowhere", KEY, SECRET));
    for text in [&said, &doctor] {
        assert!(
            text.contains("nowhere: there is no such bucket (404 NoSuchBucket)") && text.contains("Make the bucket"),
            "{text}"
        );
        assert!(text.contains("iris.toml:5:10:"), "{text}");
    }
    let (said, doctor) = refused(&data, &configuration(&s3, BUCKET, KEY, "wrong-secret"));
    for text in [&said, &doctor] {
        assert!(text.contains("the store refuses the key (403 SignatureDoesNotMatch)"), "{text}");
        assert!(text.contains("iris.toml:7:17:") && text.contains("let it list, get, put and delete in files"), "{text}");
    }
    let (said, doctor) = refused(&data, "[files]\nkind = \"s3\"\nbucket = \"files\"\n");
    for text in [&said, &doctor] {
        assert!(text.contains("there is no key for it") && text.contains("AWS_ACCESS_KEY_ID"), "{text}");
    }
    // The prefix of another house: each would remove what it does not know.
    let other = scene(&s3);
    let (said, _) = refused(&data, &configuration(&s3, BUCKET, KEY, SECRET));
    assert!(said.contains("iris.toml:6:10: files: files of another server lie there"), "{said}");
    drop(other);
}

#[test]
fn a_bucket_that_does_not_answer_keeps_nobody_from_talking() {
    let s3 = S3::start();
    // Nothing listens on this port.
    let config = configuration(&s3, BUCKET, KEY, SECRET).replace(&s3.endpoint(), "http://127.0.0.1:1");
    let mut scene = Scene::with(&config);
    assert!(scene.data.logged().contains("the store cannot be asked: it cannot be reached"), "{}", scene.data.logged());
    let slot = slot(&mut scene.alice, "a.txt", 5, "");
    assert_eq!(put(&scene, &slot, &[], b"hello").status, 503);
    scene.canary();
}
