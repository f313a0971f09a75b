//! The invariants of the architecture that can be checked: arrows between crates, absences, generated files, licences.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use serde_json::Value;

fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

fn cargo(arguments: &[&str]) -> String {
    let output = Command::new(env!("CARGO")).args(arguments).args(["--offline", "--locked"]).current_dir(root()).output();
    let output = output.expect("cargo runs");
    assert!(output.status.success(), "cargo {arguments:?}: {}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8(output.stdout).expect("UTF-8")
}

/// Crate of the workspace -> its declared dependencies: (name, is it a dev-dependency?).
fn members() -> BTreeMap<String, Vec<(String, bool)>> {
    let metadata: Value = serde_json::from_str(&cargo(&["metadata", "--format-version", "1", "--no-deps"])).expect("JSON");
    let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
    let list = |value: &Value| value.as_array().cloned().unwrap_or_default();
    let members = list(&metadata["packages"]);
    let of = |package: &Value| {
        let dependencies = list(&package["dependencies"]);
        dependencies.iter().map(|it| (text(&it["name"]), it["kind"].as_str() == Some("dev"))).collect()
    };
    members.iter().map(|package| (text(&package["name"]), of(package))).collect()
}

/// What is built: name -> licence and features.
fn built(whose: &str, edges: &str) -> BTreeMap<String, (String, BTreeSet<String>)> {
    let tree = cargo(&["tree", whose, "--edges", edges, "--prefix", "none", "--format", "{p}|{l}|{f}"]);
    let mut all: BTreeMap<String, (String, BTreeSet<String>)> = BTreeMap::new();
    for line in tree.lines().filter(|line| !line.is_empty()) {
        let mut parts = line.trim_end_matches("(*)").trim().split('|');
        let name = parts.next().and_then(|it| it.split(' ').next()).expect("a name").to_owned();
        let entry = all.entry(name).or_default();
        parts.next().unwrap_or_default().trim().clone_into(&mut entry.0);
        entry.1.extend(parts.next().unwrap_or_default().split(',').map(|it| it.trim().to_owned()));
    }
    assert!(all.len() > 20, "{tree}");
    all
}

/// The program itself.
fn program() -> BTreeMap<String, (String, BTreeSet<String>)> {
    built("--package=iris", "normal,build")
}

/// Everything, tests and tools included.
fn everything() -> BTreeMap<String, (String, BTreeSet<String>)> {
    built("--workspace", "normal,build,dev")
}

/// All files below a folder, relative to the repository.
fn files(folder: &str, extension: &str) -> Vec<(String, String)> {
    fn walk(folder: &Path, extension: &str, into: &mut Vec<PathBuf>) {
        let mut entries: Vec<PathBuf> =
            fs::read_dir(folder).expect("a folder").map(|entry| entry.expect("an entry").path()).collect();
        entries.sort();
        for path in entries {
            let name = path.file_name().map(|name| name.to_string_lossy().into_owned()).unwrap_or_default();
            if path.is_dir() {
                if !matches!(name.as_str(), "target" | "node_modules" | "out" | "corpus" | "artifacts") {
                    walk(&path, extension, into);
                }
            } else if path.extension().is_some_and(|it| it == extension) {
                into.push(path);
            }
        }
    }
    let mut paths = Vec::new();
    walk(&root().join(folder), extension, &mut paths);
    paths
        .into_iter()
        .map(|path| {
            let name = path.strip_prefix(root()).expect("below the root").to_string_lossy().into_owned();
            (name, fs::read_to_string(&path).expect("UTF-8"))
        })
        .collect()
}

// --- arrows -----------------------------------------------------------------------------------------------------------

#[test]
fn arrows_between_crates_point_downwards() {
    let layers: &[(&str, &[&str])] = &[
        ("iris-core", &[]),
        ("iris-engine", &["iris-core"]),
        ("iris-xep", &["iris-core"]),
        ("iris-company", &["iris-core"]),
        ("iris-fetch", &[]),
        // In place of another's: `jid` depends on it.
        ("stringprep", &[]),
        ("iris-store", &["iris-core", "iris-fetch"]),
        ("iris-web", &["iris-core"]),
        ("iris-connectors", &["iris-core", "iris-fetch"]),
        ("iris-net", &["iris-core", "iris-engine", "iris-fetch"]),
        // The load generator drives any server: it knows none.
        ("iris-bench", &[]),
    ];
    let members = members();
    for (name, allowed) in layers {
        let dependencies = members.get(*name).unwrap_or_else(|| panic!("{name} is no member of the workspace"));
        for (dependency, dev) in dependencies {
            if dependency.starts_with("iris") && !dev {
                assert!(allowed.contains(&dependency.as_str()), "{name} depends on {dependency}");
            }
        }
    }
    for (name, dependencies) in &members {
        assert!(name == "iris" || layers.iter().any(|(layer, _)| layer == name), "{name} has no place in this test yet");
        assert!(!dependencies.iter().any(|(it, _)| it == "iris"), "{name} depends on the program: nobody may");
        // Not even in their tests: protocol code is tried in the engine's world, never over sockets.
        let protocol = ["iris-core", "iris-engine", "iris-xep", "iris-company"].contains(&name.as_str());
        let io = dependencies.iter().find(|(it, _)| ["iris-net", "iris-store", "iris-web"].contains(&it.as_str()));
        assert!(!protocol || io.is_none(), "{name} depends on {io:?}");
    }
}

#[test]
fn protocol_crates_know_no_runtime_no_sockets_no_sql() {
    let foreign = ["tokio", "mio", "socket2", "async-std", "smol", "rustls", "rusqlite", "libsqlite3-sys", "getrandom", "rand"];
    let members = members();
    for name in ["iris-core", "iris-engine", "iris-xep", "iris-company"] {
        for (dependency, dev) in &members[name] {
            assert!(*dev || !foreign.contains(&dependency.as_str()), "{name} depends on {dependency}");
        }
    }
}

// --- absences ---------------------------------------------------------------------------------------------------------

/// Code in front of the file's own tests. Test files are no protocol code.
fn code(path: &str, text: &str) -> Option<String> {
    let is_test =
        path.contains("/tests/") || path.ends_with("/tests.rs") || path.contains("/testing") || path.ends_with("plays.rs");
    if is_test {
        return None;
    }
    let front = text.split("#[cfg(test)]\nmod tests {").next().unwrap_or(text);
    let lines = front.lines().map(|line| line.split("//").next().unwrap_or(line));
    Some(lines.collect::<Vec<_>>().join("\n"))
}

#[test]
fn protocol_code_touches_no_socket_clock_thread_or_randomness() {
    let foreign = [
        "std::net",
        "std::fs",
        "std::process",
        "SystemTime",
        "Instant",
        "std::thread",
        "thread::spawn",
        "thread::sleep",
        "getrandom",
        "rand::",
        "tokio",
        "std::env::",
    ];
    let mut read = 0;
    for folder in ["src/core", "src/engine", "src/company", "xep"] {
        for (path, text) in files(folder, "rs") {
            let Some(code) = code(&path, &text) else { continue };
            read += 1;
            for name in foreign {
                assert!(!code.contains(name), "{path} names {name}");
            }
        }
    }
    assert!(read > 50, "only {read} files were read");
}

#[test]
fn nothing_is_unsafe() {
    // Written in two halves: this file is read too.
    let word = concat!("uns", "afe");
    for folder in ["src", "xep", "tests"] {
        for (path, text) in files(folder, "rs") {
            for (n, line) in text.lines().enumerate() {
                let code = line.split("//").next().unwrap_or(line);
                let named = code.split(|c: char| !c.is_alphanumeric() && c != '_').any(|it| it == word);
                assert!(!named, "{path}:{}: {line}", n + 1);
            }
        }
    }
    let manifest = fs::read_to_string(root().join("Cargo.toml")).expect("Cargo.toml");
    assert!(manifest.contains(&format!("{word}_code = \"forbid\"")));
    for (path, text) in files("src", "toml").into_iter().chain(files("xep", "toml")) {
        if path.ends_with("Cargo.toml") {
            assert!(text.contains("[lints]\nworkspace = true"), "{path} does not take the workspace's lints");
        }
    }
}

/// Issue 5: "a text that says which limit and who can change it". `Bounce::over` has no other; where somebody writes one by hand, it is
/// not of a limit.
#[test]
fn what_is_said_of_a_limit_says_who_can_change_it() {
    const NOT_OF_A_LIMIT: &[&str] = &["storage did not take it"];
    let mut seen = 0;
    for folder in ["src", "xep"] {
        for (path, text) in files(folder, "rs") {
            let Some(code) = code(&path, &text) else { continue };
            seen +=
                code.matches("Bounce::over(").count() + code.matches(".limit(").count() + code.matches("limit::text(").count();
            for after in code.split("Condition::ResourceConstraint)").skip(1) {
                let said = after.trim_start();
                let is_by_hand = said.starts_with(".text(") && !NOT_OF_A_LIMIT.iter().any(|it| said.contains(it));
                assert!(!is_by_hand, "{path}: say it with Bounce::over: {}", said.lines().next().unwrap_or_default());
            }
        }
    }
    assert!(seen > 40, "{seen}");
}

#[test]
fn nothing_is_left_unwritten() {
    for folder in ["src", "xep"] {
        for (path, text) in files(folder, "rs") {
            for macro_name in [concat!("to", "do!("), concat!("unimple", "mented!("), concat!("db", "g!(")] {
                assert!(!text.contains(macro_name), "{path} has {macro_name}");
            }
        }
    }
}

// --- rooms ------------------------------------------------------------------------------------------------------------

#[test]
fn every_room_file_is_in_rooms_and_card_and_file_agree() {
    let list = fs::read_to_string(root().join("xep/lib.rs")).expect("xep/lib.rs");
    let mut found = BTreeSet::new();
    for entry in fs::read_dir(root().join("xep")).expect("xep") {
        let path = entry.expect("an entry").path();
        let stem = path.file_stem().expect("a name").to_string_lossy().into_owned();
        let Some(rest) = stem.strip_prefix("xep") else { continue };
        if path.is_dir() && root().join(format!("xep/{stem}.rs")).exists() {
            continue;
        }
        let number: u16 = rest.get(..4).and_then(|number| number.parse().ok()).unwrap_or_else(|| panic!("{stem}: no number"));
        assert!(rest.get(4..).is_some_and(|name| name.len() > 1 && name.starts_with('_')), "{stem}: no name");
        assert!(list.contains(&format!("\n    {stem}::ROOM,")), "{stem} is not in ROOMS");
        let file = if path.is_dir() { path.join("mod.rs") } else { path.clone() };
        let text = fs::read_to_string(&file).expect("a room");
        assert!(text.contains(&format!("xep: Some({number})")), "{stem}: its card has another number");
        let header = text.lines().next().unwrap_or_default();
        assert!(header.starts_with(&format!("//! XEP-{number:04}: ")), "{stem}: its header is {header:?}");
        assert!(found.insert(number), "two files for XEP-{number:04}");
    }
    let numbers: Vec<u16> = iris_xep::ROOMS.iter().filter_map(|room| room.card.xep).collect();
    assert!(numbers.is_sorted(), "ROOMS is in number order: {numbers:?}");
    assert_eq!(numbers.iter().copied().collect::<BTreeSet<_>>(), found);
    assert_eq!(numbers.len(), found.len());
}

#[test]
fn every_room_that_a_room_needs_is_there() {
    let numbers: BTreeSet<u16> = iris_xep::ROOMS.iter().filter_map(|room| room.card.xep).collect();
    for room in iris_xep::ROOMS {
        for needed in room.card.needs {
            assert!(numbers.contains(needed), "{} needs XEP-{needed:04}", room.card.name);
        }
    }
}

#[test]
fn generated_files_equal_what_the_code_generates() {
    let read = |path: &str| fs::read_to_string(root().join(path)).expect("a committed file");
    assert_eq!(read("xep/README.md").trim_end(), iris::xep_table().trim_end(), "xep/README.md is old");
    assert_eq!(read("conformance/doap.xml").trim_end(), iris::doap().trim_end(), "conformance/doap.xml is old");
}

// --- dependencies -----------------------------------------------------------------------------------------------------

const ALLOWED: &[&str] = &[
    "0BSD",
    "Apache-2.0",
    "Apache-2.0 WITH LLVM-exception",
    "BSD-2-Clause",
    "BSD-3-Clause",
    "BSL-1.0",
    "CC0-1.0",
    "CDLA-Permissive-2.0",
    "ISC",
    "MIT",
    "MIT-0",
    "MPL-2.0",
    "Unicode-3.0",
    "Unlicense",
    "Zlib",
];

/// An SPDX expression: is there a choice that is allowed? `/` is an old way to write OR.
fn is_allowed(expression: &str) -> bool {
    fn split<'a>(expression: &'a str, word: &str) -> Vec<&'a str> {
        let (mut parts, mut depth, mut start) = (Vec::new(), 0, 0);
        for (at, c) in expression.char_indices() {
            match c {
                '(' => depth += 1,
                ')' => depth -= 1,
                _ if depth == 0 && expression[at..].starts_with(word) => {
                    parts.push(&expression[start..at]);
                    start = at + word.len();
                }
                _ => {}
            }
        }
        parts.push(&expression[start..]);
        parts
    }
    let expression = expression.trim();
    let any = split(expression, " OR ");
    if any.len() > 1 {
        return any.into_iter().any(is_allowed);
    }
    let all = split(expression, " AND ");
    if all.len() > 1 {
        return all.into_iter().all(is_allowed);
    }
    if let Some(inner) = expression.strip_prefix('(').and_then(|rest| rest.strip_suffix(')')) {
        return is_allowed(inner);
    }
    let slashed: Vec<&str> = expression.split('/').collect();
    slashed.len() > 1 && slashed.into_iter().any(is_allowed) || ALLOWED.contains(&expression)
}

#[test]
fn licence_expressions_are_understood() {
    for yes in ["MIT", "MIT OR GPL-3.0", "(MIT OR Apache-2.0) AND Unicode-3.0", "MIT/Apache-2.0", "ISC AND (Apache-2.0 OR ISC)"]
    {
        assert!(is_allowed(yes), "{yes}");
    }
    for no in ["GPL-3.0", "AGPL-3.0-only", "MIT AND GPL-2.0", "(GPL-2.0 OR LGPL-3.0) AND MIT", "OpenSSL", "", "LGPL-2.1"] {
        assert!(!is_allowed(no), "{no}");
    }
}

#[test]
fn every_dependency_is_permissively_licensed() {
    let all = everything();
    let bad: Vec<_> = all.iter().filter(|(_, (licence, _))| !is_allowed(licence)).collect();
    assert!(bad.is_empty(), "{bad:?}");
}

#[test]
fn xmpp_parsers_is_never_built_for_components() {
    if let Some((_, features)) = everything().get("xmpp-parsers") {
        assert!(!features.contains("component"), "{features:?}: it changes the default namespace of the whole build");
    }
    for (path, text) in files(".", "toml") {
        let asks = text.lines().any(|line| line.starts_with("xmpp-parsers") && line.contains("\"component\""));
        assert!(!asks, "{path} asks for the feature `component` of xmpp-parsers");
    }
}

#[test]
fn one_crypto_provider_and_it_is_not_ring() {
    let built = program();
    assert!(built.contains_key("aws-lc-rs"));
    for unwanted in ["ring", "openssl", "openssl-sys", "native-tls"] {
        assert!(!built.contains_key(unwanted), "{unwanted} is in the program");
    }
    let (_, features) = &built["rustls"];
    assert!(!features.contains("ring"), "{features:?}");
}

// --- the repository ---------------------------------------------------------------------------------------------------

#[test]
fn the_top_level_is_as_designed() {
    let expected = [
        ".cargo",
        ".ci",
        ".git",
        ".gitignore",
        ".rustfmt.toml",
        "CHANGELOG.md",
        "Cargo.lock",
        "Cargo.toml",
        "LICENSE",
        "README.md",
        "certs",
        "conformance",
        "src",
        "tests",
        "xep",
    ];
    for entry in fs::read_dir(root()).expect("the repository") {
        let name = entry.expect("an entry").file_name().to_string_lossy().into_owned();
        // What a build or a run leaves behind is ignored by git.
        let ignored = matches!(name.as_str(), "target" | "data");
        assert!(ignored || expected.contains(&name.as_str()), "{name} has no place at the top");
    }
    for name in expected.iter().filter(|name| !name.starts_with('.') && **name != "certs") {
        assert!(root().join(name).exists(), "{name} is missing");
    }
}

#[test]
fn no_registry_and_no_machine_is_named() {
    let hosts = [
        concat!("crates", ".io"),
        concat!("npm", "js.org"),
        concat!("npm", "js.com"),
        concat!("py", "pi.org"),
        concat!("docker", ".io"),
        concat!("gh", "cr.io"),
        concat!("go", "proxy"),
        concat!("proxy.go", "lang.org"),
        concat!("/wo", "rk/"),
    ];
    let kinds = ["rs", "toml", "md", "py", "sh", "xml", "yml", "yaml", "json", "ts", "js", "css", "html"];
    for folder in ["src", "xep", "tests", "conformance", ".ci"] {
        for (path, text) in kinds.iter().flat_map(|kind| files(folder, kind)) {
            for host in hosts {
                assert!(!text.contains(host), "{path} names {host}");
            }
        }
    }
    for name in ["README.md", "CHANGELOG.md", "Cargo.toml", ".ci/run"] {
        let text = fs::read_to_string(root().join(name)).unwrap_or_default();
        for host in hosts {
            assert!(!text.contains(host), "{name} names {host}");
        }
    }
}
