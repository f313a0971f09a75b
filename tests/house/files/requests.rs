//! What HTTP says to whom.

use super::*;
use crate::client::trusting;

const PICTURE: &[u8] =
    b"\x89PNG\r\n\x1a\n and so on, a hundred bytes or so of a picture that nobody looks at, to cut parts out of it.";

#[test]
fn what_is_put_is_fetched_by_everybody_who_knows_its_address() {
    let mut scene = Scene::new();
    let slot = uploaded(&mut scene, "très cool.png", "image/png", PICTURE);
    assert!(slot.path.ends_with("/tr%C3%A8s%20cool.png"), "{}", slot.path);
    let mut https = Http::secure(scene.server.https, trusting(&scene.data.ca()));
    for response in [get(&scene, &slot.path), https.get(&slot.path)] {
        assert_eq!((response.status, response.body.as_slice()), (200, PICTURE), "{}", response.head);
        assert_eq!(response.header("content-type"), Some("image/png"));
        assert_eq!(response.header("access-control-allow-origin"), Some("*"));
        assert_eq!(response.header("accept-ranges"), Some("bytes"));
        let disposition = response.header("content-disposition").expect("a disposition");
        assert!(
            disposition.starts_with("inline;") && disposition.ends_with("filename*=UTF-8''tr%C3%A8s%20cool.png"),
            "{disposition}"
        );
    }
    // HEAD says the same and sends nothing.
    let mut head = Http::connect(scene.server.http);
    head.ask("HEAD", &slot.path, &[("Connection", "close")], b"");
    let said = String::from_utf8(head.read_to_end()).expect("a head");
    assert!(said.starts_with("HTTP/1.1 200") && said.ends_with("\r\n\r\n"), "{said}");
    assert!(said.to_ascii_lowercase().contains(&format!("content-length: {}", PICTURE.len())), "{said}");
    scene.canary();
}

#[test]
fn d5_what_could_do_something_is_saved_and_not_shown() {
    let mut scene = Scene::new();
    for (name, content_type) in
        [("x.html", "text/html"), ("x.svg", "image/svg+xml"), ("x.js", "text/javascript"), ("x.xml", "application/xhtml+xml")]
    {
        let slot = uploaded(&mut scene, name, content_type, b"<script>alert(1)</script>");
        let response = get(&scene, &slot.path);
        assert_eq!(response.status, 200);
        assert_eq!(response.header("x-content-type-options"), Some("nosniff"), "{name}");
        let policy = response.header("content-security-policy").expect("a policy");
        assert!(["default-src 'none'", "frame-ancestors 'none'", "sandbox"].iter().all(|it| policy.contains(it)), "{policy}");
        assert!(response.header("content-disposition").is_some_and(|it| it.starts_with("attachment;")), "{name}");
    }
    scene.canary();
}

#[test]
fn d5_a_put_is_what_the_slot_is_for_or_is_refused() {
    let mut scene = Scene::new();
    let slot = slot(&mut scene.alice, "a.txt", 5, "text/plain");
    let other = super::slot(&mut scene.alice, "a.txt", 5, "text/plain");
    let mut forged = slot.clone();
    forged.authorization = forged.authorization.replace("Bearer e", "Bearer f").replace("Bearer M", "Bearer N");
    forged.authorization.push('A');
    let stolen = Slot { path: slot.path.clone(), authorization: other.authorization.clone() };
    let renamed = Slot { path: slot.path.replace("a.txt", "b.html"), ..slot.clone() };
    let nothing = Slot { authorization: "Bearer x".into(), ..slot.clone() };
    for (slot, headers, body, status) in [
        (&forged, [("Content-Type", "text/plain")], b"hello".as_slice(), 403),
        (&stolen, [("Content-Type", "text/plain")], b"hello", 403),
        (&renamed, [("Content-Type", "text/plain")], b"hello", 403),
        (&nothing, [("Content-Type", "text/plain")], b"hello", 403),
        (&slot, [("Content-Type", "text/plain")], b"hell", 400),
        (&slot, [("Content-Type", "text/plain")], b"hello!", 413),
        (&slot, [("Content-Type", "text/html")], b"hello", 415),
        (&slot, [("Content-Encoding", "gzip")], b"hello", 415),
        (&slot, [("Content-Range", "bytes 0-4/5")], b"hello", 400),
    ] {
        let response = put(&scene, slot, &headers, body);
        assert_eq!(response.status, status, "{headers:?} {body:?}: {}", response.text());
        assert_eq!(get(&scene, &slot.path).status, 404);
    }
    let mut http = Http::connect(scene.server.http);
    let unauthorized = http.request("PUT", &slot.path, &[("Content-Type", "text/plain")], b"hello");
    assert_eq!(unauthorized.status, 401);
    // Without a length, or in pieces of unknown number: refused before anything is read.
    for headers in [vec![], vec![("Transfer-Encoding", "chunked")]] {
        let mut http = Http::connect(scene.server.http);
        let mut all = vec![("Authorization", slot.authorization.as_str())];
        all.extend(headers);
        http.ask("PUT", &slot.path, &all, b"");
        assert_eq!(http.response().status, 411);
    }
    assert_eq!(on_disk(&scene.data.path()), (vec![], vec![]));
    // It is still good, once.
    assert_eq!(put(&scene, &slot, &[("Content-Type", "TEXT/plain; charset=utf-8")], b"hello").status, 201);
    assert_eq!(put(&scene, &slot, &[("Content-Type", "text/plain")], b"HELLO").status, 409);
    assert_eq!(get(&scene, &slot.path).text(), "hello");
    assert_eq!(get(&scene, &other.path).status, 404);
    scene.canary();
}

/// RFC 9110 10.1.1: who asks first sends nothing that is not wanted.
#[test]
fn a_client_that_asks_first_is_refused_before_it_sends_anything_and_invited_otherwise() {
    let mut scene = Scene::new();
    let slot = slot(&mut scene.alice, "a.txt", 5, "text/plain");
    let ask = |authorization: &str| {
        let mut http = Http::connect(scene.server.http);
        let headers = [("Authorization", authorization), ("Content-Length", "5"), ("Expect", "100-continue")];
        http.ask("PUT", &slot.path, &headers, b"");
        http
    };
    let mut refused = ask("Bearer x");
    in_time("it is refused", || refused.more().is_none() || refused.incoming().windows(4).any(|it| it == b"\r\n\r\n"));
    let said = String::from_utf8_lossy(refused.incoming()).into_owned();
    assert!(said.starts_with("HTTP/1.1 403"), "{said}");
    let mut invited = ask(&slot.authorization);
    in_time("it is invited", || invited.more().is_some() && invited.incoming().ends_with(b"\r\n\r\n"));
    assert!(invited.incoming().starts_with(b"HTTP/1.1 100"), "{}", String::from_utf8_lossy(invited.incoming()));
    invited.incoming().clear();
    invited.send(b"hello");
    assert_eq!(invited.response().status, 201);
}

#[test]
fn rfc9110_s14_a_part_is_fetched_and_a_broken_download_resumed() {
    let mut scene = Scene::new();
    let slot = uploaded(&mut scene, "p.png", "image/png", PICTURE);
    let size = PICTURE.len();
    let tag = get(&scene, &slot.path).header("etag").expect("a tag").to_owned();
    let ask = |headers: &[(&str, &str)]| Http::connect(scene.server.http).request("GET", &slot.path, headers, b"");
    let part = ask(&[("Range", "bytes=8-15")]);
    assert_eq!((part.status, part.body.as_slice()), (206, &PICTURE[8..16]));
    assert_eq!(part.header("content-range"), Some(&*format!("bytes 8-15/{size}")));
    let rest = ask(&[("Range", "bytes=50-"), ("If-Range", &tag)]);
    assert_eq!((rest.status, rest.body.as_slice()), (206, &PICTURE[50..]));
    assert_eq!(ask(&[("Range", "bytes=-7")]).body, &PICTURE[size - 7..]);
    let other = ask(&[("Range", "bytes=50-"), ("If-Range", "\"another\"")]);
    assert_eq!((other.status, other.body.as_slice()), (200, PICTURE));
    let beyond = ask(&[("Range", &format!("bytes={size}-"))]);
    assert_eq!((beyond.status, beyond.header("content-range")), (416, Some(&*format!("bytes */{size}"))));
    assert_eq!(ask(&[("If-None-Match", &tag)]).status, 304);
    let date = rest.header("last-modified").expect("a date").to_owned();
    assert_eq!(ask(&[("If-Modified-Since", &date)]).status, 304);
    assert_eq!(ask(&[("If-Modified-Since", &date), ("If-None-Match", "\"another\"")]).status, 200, "the tag says it better");
    // 13.1.1, as some resume.
    assert_eq!(ask(&[("Range", "bytes=50-"), ("If-Match", &format!("\"x\", {tag}"))]).status, 206);
    assert_eq!(ask(&[("Range", "bytes=50-"), ("If-Match", "\"another\"")]).status, 412);
    assert_eq!(ask(&[("If-Match", &format!("W/{tag}"))]).status, 412, "strongly compared");
    // 14.2: a part of nothing is nothing.
    for range in ["bytes=8-15", &format!("bytes={size}-")] {
        let mut head = Http::connect(scene.server.http);
        head.ask("HEAD", &slot.path, &[("Range", range), ("Connection", "close")], b"");
        let said = String::from_utf8(head.read_to_end()).expect("a head").to_ascii_lowercase();
        assert!(said.starts_with("http/1.1 200") && said.contains(&format!("content-length: {size}\r\n")), "{said}");
    }
    // D5: a thousand ranges are one answer.
    let many = format!("bytes={}", vec!["0-0"; 1_000].join(","));
    let whole = ask(&[("Range", &many)]);
    assert_eq!((whole.status, whole.body.as_slice()), (200, PICTURE));
    scene.canary();
}

#[test]
fn d5_no_path_leads_anywhere_else_and_nothing_is_listed() {
    let mut scene = Scene::new();
    let slot = uploaded(&mut scene, "a.txt", "text/plain", b"hello");
    let id = id_of(&slot);
    for path in [
        "/upload".to_owned(),
        "/upload/".into(),
        format!("/upload/{id}"),
        format!("/upload/{id}/"),
        format!("/upload/{id}/b.txt"),
        format!("/upload/{id}/a.txt/"),
        format!("/upload/{}/a.txt", id.to_uppercase()),
        format!("/upload/{}/a.txt", &id[..46]),
        "/upload/..%2f..%2firis.sqlite3/a.txt".into(),
        "/upload/../iris.sqlite3/a.txt".into(),
        format!("/upload/{id}/..%2f..%2f..%2firis.sqlite3"),
        format!("/upload/{id}/%2e%2e"),
        "/upload/arriving/x".into(),
        format!("/files/{id}"),
    ] {
        let response = get(&scene, &path);
        assert!(matches!(response.status, 400 | 404 | 405), "{path}: {}", response.status);
        assert!(!response.text().contains("hello") && !response.text().contains("SQLite"), "{path}");
    }
    assert_eq!(get(&scene, &slot.path).status, 200);
    scene.canary();
}

#[test]
fn d5_names_that_would_leave_their_place_do_not() {
    let mut scene = Scene::new();
    for (given, path) in [
        ("../../etc/cron.d/x", "/x"),
        ("a&#13;&#10;X: y", "/aX%3A%20y"),
        ("%2e%2e%2f", "/%252e%252e%252f"),
        ("&quot;; filename=&quot;b", "/%22%3B%20filename%3D%22b"),
    ] {
        let slot = slot(&mut scene.alice, given, 5, "");
        assert!(slot.path.ends_with(path), "{given}: {}", slot.path);
        assert_eq!(put(&scene, &slot, &[], b"hello").status, 201, "{given}");
        let response = get(&scene, &slot.path);
        assert_eq!((response.status, response.text().as_str()), (200, "hello"), "{given}");
        assert!(response.header("x").is_none());
        assert_eq!(response.header("content-type"), Some("application/octet-stream"));
    }
    let long = slot(&mut scene.alice, &"x".repeat(300), 5, "");
    assert_eq!(put(&scene, &long, &[], b"hello").status, 201);
    scene.canary();
}

#[test]
fn s7_pages_of_any_origin_may_put_and_fetch() {
    let mut scene = Scene::new();
    let slot = uploaded(&mut scene, "a.png", "image/png", PICTURE);
    let asked = [
        ("Origin", "https://chat.example"),
        ("Access-Control-Request-Method", "PUT"),
        ("Access-Control-Request-Headers", "authorization,content-type"),
    ];
    let preflight = Http::connect(scene.server.http).request("OPTIONS", &slot.path, &asked, b"");
    assert_eq!(preflight.status, 204);
    assert_eq!(preflight.header("access-control-allow-origin"), Some("*"));
    assert_eq!(preflight.header("access-control-allow-methods"), Some("OPTIONS, HEAD, GET, PUT"));
    assert!(preflight.header("access-control-allow-headers").is_some_and(|it| it.contains("Authorization, Content-Type")));
    assert!(preflight.header("access-control-allow-credentials").is_none(), "nothing here is known by a cookie");
    for method in ["POST", "DELETE", "PATCH"] {
        let refused = Http::connect(scene.server.http).request(method, &slot.path, &[], b"");
        assert_eq!((refused.status, refused.header("allow")), (405, Some("OPTIONS, HEAD, GET, PUT")), "{method}");
    }
    // RFC 9110 9.1: known nowhere in the house.
    assert_eq!(Http::connect(scene.server.http).request("PROPFIND", &slot.path, &[], b"").status, 501);
    scene.canary();
}

#[test]
fn my_files_are_listed_and_removed_with_a_pass() {
    let mut scene = Scene::new();
    let one = uploaded(&mut scene, "one.txt", "text/plain", b"hello");
    let two = uploaded(&mut scene, "two.png", "image/png", PICTURE);
    let (hers, his) = (pass(&mut scene.alice), pass(&mut scene.bob));
    let ask = |method: &str, path: &str, pass: &str| {
        Http::connect(scene.server.http).request(method, path, &[("Authorization", pass)], b"")
    };
    let list = ask("GET", "/files", &hers);
    assert_eq!((list.status, list.header("cache-control")), (200, Some("no-store")));
    let list: serde_json::Value = serde_json::from_str(&list.text()).expect("JSON");
    assert_eq!(list["used_bytes"], 5 + PICTURE.len());
    assert_eq!(list["quota_bytes"], 20_000_000_000_u64);
    assert_eq!((&list["files"][0]["name"], &list["files"][1]["name"]), (&"two.png".into(), &"one.txt".into()));
    assert!(list["files"][1]["url"].as_str().is_some_and(|url| url.ends_with(&one.path)), "{list}");
    // Not with somebody else's pass, a slot's token, or none.
    let of_one = format!("/files/{}", id_of(&one));
    for (pass, status) in
        [(his.as_str(), 404), (one.authorization.as_str(), 403), ("Bearer x", 403), ("Basic x", 401), ("", 401)]
    {
        assert_eq!(ask("DELETE", &of_one, pass).status, status, "{pass}");
    }
    assert_eq!(ask("GET", "/files", "").status, 401);
    assert_eq!(ask("DELETE", "/files/../../x", &hers).status, 404);
    assert_eq!(get(&scene, &one.path).status, 200);
    assert_eq!(ask("DELETE", &of_one, &hers).status, 204);
    assert_eq!(ask("DELETE", &of_one, &hers).status, 404);
    assert_eq!((get(&scene, &one.path).status, get(&scene, &two.path).status), (404, 200));
    let data = scene.data.path();
    in_time("its bytes are gone too", || on_disk(&data).0.len() == 1);
    scene.canary();
}

#[test]
fn xep0447_what_is_said_of_a_file_passes_as_it_was_sent() {
    let mut scene = Scene::new();
    let slot = uploaded(&mut scene, "a.png", "image/png", PICTURE);
    // XEP-0447 with the metadata of XEP-0446, and the older way beside it (XEP-0066).
    let said = format!(
        "<file-sharing xmlns='urn:xmpp:sfs:0' disposition='inline' id='one'><file xmlns='urn:xmpp:file:metadata:0'>\
         <media-type>image/png</media-type><name>a.png</name><size>{}</size><width>4</width>\
         <hash xmlns='urn:xmpp:hashes:2' algo='sha3-256'>2XarmwTlNxDAMkvymloX3S5+VbylNrJt/l5QyPa+YoU=</hash></file>\
         <sources><url-data xmlns='http://jabber.org/protocol/url-data' target='https://localhost{path}'/></sources></file-sharing>\
         <x xmlns='jabber:x:oob'><url>https://localhost{path}</url></x>",
        PICTURE.len(),
        path = slot.path
    );
    scene.alice.send(&format!("<message to='{}' type='chat'><body>see</body>{said}</message>", scene.bob.jid));
    let heard = scene.bob.expect("file-sharing");
    assert!(heard.contains(&said), "{heard}");
}
