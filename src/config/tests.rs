//! What refuses to boot, where it says so, and that the reference is the truth.

use std::path::Path;
use std::time::Duration;

use iris_core::limits::Limits;
use iris_core::mount::{Doors, Mount, MountError, Settings};
use iris_core::room::{Card, Room, Status};
use iris_core::xml::names::NameTable;

use super::*;

fn parse(text: &str) -> Result<Config, ConfigError> {
    Config::parse(text, Some(Path::new("iris.toml")), &Overrides::default())
}

fn ok(text: &str) -> Config {
    parse(text).unwrap_or_else(|error| panic!("{error}"))
}

/// The whole message of a text with mistakes.
fn refused(text: &str) -> String {
    let message = parse(text).expect_err("this must refuse to boot").to_string();
    for line in message.lines() {
        assert!(line.chars().count() <= 80, "wider than a terminal: {line}");
    }
    message
}

fn without_source(config: Config) -> Config {
    Config { source: Source::default(), ..config }
}

#[test]
fn an_unknown_key_is_refused_with_line_column_caret_and_the_closest_known_key() {
    let message = refused("dev = true\n\n[[listen]]\nkind = \"c2s\"\n  adress = \"127.0.0.1:5222\"\n");
    assert_eq!(
        message.lines().take(5).map(str::trim_end).collect::<Vec<_>>(),
        [
            "iris.toml:5:3: unknown key \"adress\" in [[listen]]",
            " 5 |   adress = \"127.0.0.1:5222\"",
            "   |   ^^^^^^",
            "  Did you mean \"address\"? Known here: kind, address, unlimited, optional, web,",
            "  proxy_protocol.",
        ]
    );
}

#[test]
fn an_unknown_key_in_each_table_is_refused() {
    for table in ["", "[log]", "[tls]", "[limits]", "[accounts]", "[policy]", "[store]", "[files]"] {
        let message = refused(&format!("{table}\nnonsense = 1\n"));
        assert!(message.starts_with("iris.toml:2:1: unknown key"), "{message}");
        let all = if matches!(table, "" | "[limits]") { "All keys: `iris config-reference`." } else { "Known here: " };
        assert!(message.contains(all), "{message}");
    }
}

#[test]
fn a_plan_that_is_wrong_is_shown_with_its_line() {
    let config = ok("[plans]\ndefault = \"gold\"\n");
    let message = config.mount_error(&config.rooms().expect_err("no plan of that name")).to_string();
    assert!(
        message.contains("iris.toml:2:11: there is no plan \"gold\"; there are: business, enterprise,\n  essential"),
        "{message}"
    );
}

#[test]
fn a_secret_is_never_repeated_whatever_is_wrong_with_it() {
    let bucket = "[files]\nkind = \"s3\"\nbucket = \"b\"\n";
    for line in [
        "secret_access_key = \"hush hush\"",
        "secret_acces_key = \"hush\"",
        "secret_access_key = hush/hush",
        "secret_access_key = \"hush",
        "secret_access_key = [\"hush\"]",
        "access_key_id = \"hush\"",
        "secret_access_key = \"hush\"",
    ] {
        let message = refused(&format!("{bucket}{line}\n"));
        assert!(message.contains("iris.toml:4:") && !message.contains("hush"), "{line}: {message}");
    }
    let config = ok(&format!("{bucket}access_key_id = \"id\"\nsecret_access_key = \"hush\"\n"));
    assert!(!format!("{:?}", config.files).contains("hush"));
}

#[test]
fn files_in_a_bucket_need_one_and_cannot_be_deduplicated() {
    assert!(refused("[files]\nkind = \"s3\"\n").contains("iris.toml:2:8: files are to lie in a bucket, and none is named"));
    let both = refused("[files]\nkind = \"s3\"\nbucket = \"b\"\ndeduplicate = true\n");
    assert!(both.contains("iris.toml:4:15: deduplicate is for kind = \"disk\""), "{both}");
    for (key, bad) in [("endpoint", "s3.example.org"), ("endpoint", "https://s3.example.org/x"), ("endpoint", "https://a@b")] {
        assert!(refused(&format!("[files]\n{key} = \"{bad}\"\n")).contains("expected an address"), "{bad}");
    }
    for bad in ["/x", "a//b", "../x", "a b", "ü"] {
        assert!(refused(&format!("[files]\nprefix = \"{bad}\"\n")).contains("iris.toml:2:10: prefix: expected"), "{bad}");
    }
    let config = ok(
        "[files]\nkind = \"s3\"\nbucket = \"b\"\nprefix = \"a/b\"\nendpoint = \"http://10.0.0.1:9000/\"\nauthorities = \"ca.crt\"\n",
    );
    assert_eq!((config.files.s3.prefix.as_str(), config.files.s3.endpoint.as_deref()), ("a/b/", Some("http://10.0.0.1:9000")));
    assert_eq!(config.files.s3.authorities.as_deref(), Some(Path::new("ca.crt")));
    assert!(config.warnings().iter().any(|it| it.contains("without TLS")), "{:?}", config.warnings());
    let message = config.error_at("files.bucket", "there is no such bucket", "Make it.").to_string();
    assert!(message.starts_with("iris.toml:3:10: there is no such bucket\n 3 | bucket = \"b\""), "{message}");
}

#[test]
fn an_unknown_table_is_refused() {
    let message = refused("[limit]\nstanza_depth_max = 10\n");
    assert!(message.starts_with("iris.toml:1:2: unknown key or table \"limit\""), "{message}");
    assert!(message.contains("Did you mean \"limits\"?"), "{message}");
}

#[test]
fn a_known_key_in_the_wrong_table_is_told_where_it_belongs() {
    assert!(refused("[tls]\nplain_sasl = true\n").contains("\"plain_sasl\" belongs to the table [policy]."));
    assert!(refused("[accounts]\ndata_dir = \"x\"\n").contains("belongs to the top of the file"));
}

#[test]
fn all_mistakes_are_shown_at_once_in_the_order_of_the_file() {
    let message = refused("domains = [1]\n[policy]\nplain_sasl = \"yes\"\n[limits]\nban_time = \"10 minutes\"\n");
    let places: Vec<&str> = message.lines().filter_map(|line| line.strip_prefix("iris.toml:")?.split(' ').next()).collect();
    assert_eq!(places, ["1:12:", "3:14:", "5:12:"]);
}

#[test]
fn a_wrong_type_says_what_was_expected_and_what_was_found() {
    let cases = [
        ("dev = \"true\"", "iris.toml:1:7: dev: expected true or false, found the text \"true\""),
        ("domains = \"localhost\"", "iris.toml:1:11: domains: expected a list of domains, found the text \"localhost\""),
        ("limits = 5", "iris.toml:1:10: expected a table [limits], found the number 5"),
        ("listen = 5", "iris.toml:1:10: expected a list of tables [[listen]], found the number 5"),
        ("[listen]\nkind = \"c2s\"", "iris.toml:1:1: expected a list of tables [[listen]], found a table"),
        ("[log]\nlevel = 3", "iris.toml:2:9: level: expected one of \"error\", \"warn\", \"info\", \"debug\","),
        ("[limits]\nroster_items_max = 1.5", "iris.toml:2:20: roster_items_max: expected a whole number of at least 1,"),
        ("[xep]\nmam = 1", "iris.toml:2:7: xep.mam: expected a table, found the number 1"),
    ];
    for (text, expected) in cases {
        let message = refused(text);
        assert!(message.starts_with(expected), "{message}");
    }
}

#[test]
fn a_wrong_name_gets_the_closest_one() {
    assert!(refused("[log]\nlevel = \"inf\"").contains("Did you mean \"info\"?"));
    assert!(refused("[[listen]]\nkind = \"c2s_tls\"\naddress = \"[::1]:1\"").contains("Did you mean \"c2s-tls\"?"));
}

#[test]
fn text_that_is_not_toml_is_refused_with_its_place() {
    let message = refused("domains = [\"localhost\"]\ndata_dir = \"data\n");
    assert!(message.starts_with("iris.toml:2:17: this is not TOML: invalid basic string"), "{message}");
    let message = refused("dev = true\ndev = false\n");
    assert!(message.starts_with("iris.toml:2:1: this is not TOML: duplicate key"), "{message}");
}

#[test]
fn a_listener_twice_is_refused() {
    let listen = |address: &str| format!("[[listen]]\nkind = \"http\"\naddress = \"{address}\"\n");
    let message = refused(&(listen("127.0.0.1:5222") + &listen("127.0.0.1:5222")));
    assert!(message.starts_with("iris.toml:6:11: two listeners on 127.0.0.1:5222"), "{message}");
    let message = refused(&(listen("[::]:5222") + &listen("127.0.0.1:5222")));
    assert!(message.starts_with("iris.toml:6:11: 127.0.0.1:5222 collides with the listener on [::]:5222"), "{message}");
    assert!(refused("[[listen]]\nkind = \"http\"\naddress = [\"[::1]:1\", \"[::1]:1\"]\n").starts_with("iris.toml:3:23: two"));
    // Port 0 is a free port each time; another address is another listener.
    assert_eq!(ok(&(listen("127.0.0.1:0") + &listen("127.0.0.1:0"))).listeners.len(), 2);
    assert_eq!(ok(&(listen("127.0.0.1:5222") + &listen("[::1]:5222"))).listeners.len(), 2);
    assert_eq!(ok(&(listen("0.0.0.0:5222") + &listen("[::1]:5222"))).listeners.len(), 2);
}

#[test]
fn a_listener_without_tls_needs_development_and_loopback() {
    let listen = |address: &str| format!("[[listen]]\nkind = \"c2s-plain\"\naddress = \"{address}\"\n");
    let message = refused(&listen("127.0.0.1:5222"));
    assert!(message.starts_with("iris.toml:3:11: a listener without TLS (127.0.0.1:5222) outside development"), "{message}");
    let message = refused(&format!("dev = true\n{}", listen("[::]:5222")));
    assert!(message.starts_with("iris.toml:4:11: a listener without TLS must be on loopback"), "{message}");
    let config = ok(&format!("dev = true\n{}", listen("127.0.0.1:5222")));
    assert_eq!(config.listeners[0].kind, ListenKind::C2sPlain);
}

#[test]
fn a_listener_open_to_the_world_needs_certificates() {
    let listen = "[[listen]]\nkind = \"c2s\"\naddress = \"[::]:5222\"\n";
    let message = refused(listen);
    assert!(message.starts_with("iris.toml:3:11: [::]:5222 can be reached from outside"), "{message}");
    assert!(ok(&format!("{listen}[tls]\ncertificates = \"certs\"\n")).tls.certificates.is_some());
    assert!(ok(&format!("dev = true\n{listen}")).dev);
    let http = listen.replace("c2s", "http");
    let warnings = ok(&http).warnings();
    assert!(warnings[0].contains("metrics are open") && warnings[1].contains("[::]:5222 has no TLS"), "{warnings:?}");
    let behind = ok(&format!("{http}proxy_protocol = true\n")).warnings();
    assert!(!behind.iter().any(|warning| warning.contains("has no TLS")), "{behind:?}");
}

#[test]
fn a_listener_needs_kind_and_address() {
    assert!(refused("[[listen]]\nkind = \"c2s\"\n").starts_with("iris.toml:1:1: this [[listen]] has no address"));
    assert!(refused("[[listen]]\naddress = \"[::1]:1\"\n").starts_with("iris.toml:1:1: this [[listen]] has no kind"));
    assert!(refused("[[listen]]\nkind = \"c2s\"\naddress = \"localhost:5222\"\n").contains("write \"127.0.0.1:5222\""));
}

#[test]
fn a_bad_domain_is_refused() {
    for bad in
        ["", "a b", "juliet@example.org", "example.org/x", "example..org", "https://example.org", "example.org:5222", "@"]
    {
        let message = refused(&format!("domains = [\"example.org\", {bad:?}]"));
        assert!(message.starts_with("iris.toml:1:27: domains: "), "{bad}: {message}");
        assert!(message.contains("A domain looks like"), "{bad}: {message}");
    }
    assert!(
        refused("domains = [\"example.org\", \"EXAMPLE.org\"]").starts_with("iris.toml:1:27: the domain example.org stands")
    );
    assert!(refused("domains = []").starts_with("iris.toml:1:11: domains: there is none"));
    assert_eq!(ok("domains = [\"Bücher.Example\"]").domains, ["bücher.example"]);
}

#[test]
fn sizes_and_durations_have_units_and_ranges() {
    let limits = |text: &str| ok(&format!("[limits]\n{text}")).limits;
    assert_eq!(limits("stanza_size_bytes_max = \"64KiB\"").stanza_size_bytes_max, 65_536);
    assert_eq!(limits("stanza_size_bytes_max = 20_000").stanza_size_bytes_max, 20_000);
    assert_eq!(limits("stanza_size_bytes_max = \"100 kB\"").stanza_size_bytes_max, 100_000);
    assert_eq!(limits("resume_timeout = 90").resume_timeout, Duration::from_secs(90));
    assert_eq!(limits("resume_timeout = \"2h\"").resume_timeout, Duration::from_secs(7_200));
    assert_eq!(limits("idle_timeout = \"1500ms\"").idle_timeout, Duration::from_millis(1_500));
    for (bad, expected) in [
        ("stanza_size_bytes_max = \"256 apples\"", "expected a size from 10000 to \"16MiB\", found the text"),
        ("stanza_size_bytes_max = 500", "expected a size from 10000 to \"16MiB\", found the number 500"),
        ("stanza_size_bytes_max = -1", "expected a size"),
        ("stanza_size_bytes_max = \"99999999999999999999GiB\"", "expected a size"),
        ("ban_time = \"soon\"", "expected a duration of at least \"0s\", found the text \"soon\""),
        ("ban_time = \"999999999d\"", "expected a duration"),
        ("ban_time = \"\"", "expected a duration"),
        ("stanza_depth_max = 1000", "expected a whole number from 8 to 64, found the number 1000"),
        ("unsettled_bytes_max = 10000", "unsettled_bytes_max (10000) is smaller than stanza_size_bytes_max"),
    ] {
        let message = refused(&format!("[limits]\n{bad}")).replace("\n  ", " ");
        assert!(message.starts_with("iris.toml:2:") && message.contains(expected), "{message}");
    }
}

#[test]
fn admins_belong_to_a_domain_that_is_served() {
    let message = refused("domains = [\"example.org\"]\n[accounts]\nadmins = [\"a@example.org\", \"b@example.net\"]\n");
    assert!(message.starts_with("iris.toml:3:28: b@example.net cannot administer"), "{message}");
    let message = refused("[accounts]\nadmins = [\"localhost\"]\n").replace("\n  ", " ");
    assert!(message.contains("is not an account's address: there is nothing before an \"@\""), "{message}");
    assert_eq!(ok("domains = [\"example.org\"]").accounts.admins[0].as_str(), "admin@example.org");
    assert!(ok("[accounts]\nadmins = []").accounts.admins.is_empty());
}

#[test]
fn relative_paths_start_at_the_file() {
    let at = |text: &str| Config::parse(text, Some(Path::new("/etc/iris/iris.toml")), &Overrides::default()).expect("valid");
    assert_eq!(at("").data_dir, Path::new("/etc/iris/data"));
    assert_eq!(at("data_dir = \"x\"").data_dir, Path::new("/etc/iris/x"));
    assert_eq!(at("data_dir = \"/var/lib/iris\"").data_dir, Path::new("/var/lib/iris"));
    let tls = at("[tls]\ncertificates = \"certs\"").tls;
    assert_eq!(tls.certificates.as_deref(), Some(Path::new("/etc/iris/certs")));
}

#[test]
fn the_command_line_wins() {
    let overrides =
        Overrides { data_dir: Some("/tmp/d".into()), domains: vec!["example.net".to_owned()], dev: true, listeners: vec![] };
    let text = "domains = [\"example.org\"]\ndata_dir = \"x\"\n";
    let config = Config::parse(text, Some(Path::new("iris.toml")), &overrides).expect("valid");
    assert_eq!(config.domains, ["example.net"]);
    assert_eq!(config.accounts.admins[0].as_str(), "admin@example.net");
    assert_eq!(config.data_dir, Path::new("/tmp/d"));
    assert!(config.dev);
    let error = Config::default_for(Path::new("d"), &["no domain".to_owned()]).expect_err("not a domain").to_string();
    assert!(error.starts_with("\"no domain\" is not a domain"), "{error}");
}

#[test]
fn without_a_file_iris_serves_localhost_on_loopback() {
    let config = Config::default_for(Path::new("data"), &[]).expect("valid");
    assert_eq!(config, Config::default());
    assert_eq!(config.domains, ["localhost"]);
    let addresses: Vec<String> = config.listeners.iter().map(|l| format!("{} {}", l.kind.name(), l.address)).collect();
    assert_eq!(
        addresses,
        [
            "c2s 127.0.0.1:5222",
            "c2s [::1]:5222",
            "c2s-tls 127.0.0.1:5223",
            "c2s-tls [::1]:5223",
            "https 127.0.0.1:5443",
            "https [::1]:5443",
            "http 127.0.0.1:5280",
        ]
    );
    assert!(config.listeners.iter().all(|listener| listener.optional == listener.address.is_ipv6()));
}

#[test]
fn the_reference_is_a_configuration_that_says_the_defaults() {
    let reference = reference::reference(&[]);
    for line in reference.lines() {
        assert!(line.chars().count() <= 80, "wider than a terminal: {line}");
    }
    assert_eq!(without_source(ok(&reference)), Config::default());
}

#[test]
fn the_reference_names_every_key_of_the_limits_and_moves_them() {
    let reference = reference::reference(&[]);
    // Each key is really read: another value makes another configuration.
    for (old, new) in [
        ("\"30s\"\n", "\"31s\"\n"),
        ("stanza_rate_burst_max = 2000", "stanza_rate_burst_max = 2001"),
        ("plain_sasl = true", "plain_sasl = false"),
        ("scram_iterations = 10000", "scram_iterations = 10001"),
        ("level = \"info\"", "level = \"debug\""),
        ("format = \"text\"", "format = \"json\""),
        ("optional = true", "optional = false"),
        ("unlimited = false", "unlimited = true"),
        (
            "kind = \"c2s-tls\"\naddress = \"127.0.0.1:5223\"\nunlimited = false\noptional = false\nweb = false",
            "kind = \"c2s-tls\"\naddress = \"127.0.0.1:5223\"\nweb = true",
        ),
        ("# certificates", "certificates"),
        ("lifted_addresses = [\"127.0.0.1\"]", "lifted_addresses = []"),
        ("proxy_protocol = false", "proxy_protocol = true"),
        ("# url", "url"),
        ("public_addresses = []", "public_addresses = [\"192.0.2.1\"]"),
        ("push = true", "push = false"),
        ("push_hosts = []", "push_hosts = [\"push.example\"]"),
        ("push_addresses = []", "push_addresses = [\"192.0.2.1\"]"),
        ("# push_authorities", "push_authorities"),
    ] {
        assert!(reference.contains(old), "{old}");
        assert_ne!(without_source(ok(&reference.replacen(old, new, 1))), Config::default(), "{old}");
    }
    for key in limits::KEYS {
        let value = (key.show)(&Config::default()).expect("limits have defaults");
        let line = format!("\n{} = {value}\n", key.name);
        assert!(reference.contains(&line), "{line}");
    }
    assert_eq!(ok(&reference).limits, Limits::default());
}

#[test]
fn the_reference_has_the_rooms_tables() {
    let rooms = [("mam", "# How many at once.\npage_max = 50"), ("muc", "[xep.muc]\nrooms_max = 10\n")];
    let reference = reference::reference(&rooms);
    let config = ok(&reference);
    config.rooms().expect("the rooms' tables are tables");
    for line in ["[xep.mam]\n# How many at once.\npage_max = 50\n", "[xep.muc]\nrooms_max = 10\n"] {
        assert_eq!(config.source.text.matches(line).count(), 1, "{line}");
    }
}

#[derive(serde::Deserialize)]
#[serde(deny_unknown_fields, default)]
struct ArchiveSettings {
    page_max: u32,
}

impl Default for ArchiveSettings {
    fn default() -> ArchiveSettings {
        ArchiveSettings { page_max: 50 }
    }
}

impl Settings for ArchiveSettings {
    const TABLE: &'static str = "mam";
    const REFERENCE: &'static str = "page_max = 50";
}

fn mount_archive(m: &mut Mount<'_>) -> Result<(), MountError> {
    match m.config::<ArchiveSettings>()?.page_max {
        0 => Err(m.wrong::<ArchiveSettings>("page_max", "page_max is 0")),
        _ => Ok(()),
    }
}

const ARCHIVE: Room = Room {
    card: Card { xep: None, name: "Archive", version: "1", status: Status::Complete, needs: &[] },
    mount: mount_archive,
};

/// What an operator reads when the rooms of a domain are mounted with this text.
fn mounted(text: &str) -> Result<(), String> {
    let config = ok(text);
    let rooms = config.rooms().map_err(|error| config.mount_error(&error).to_string())?;
    let doors = Doors::open("localhost", &[ARCHIVE], &mut NameTable::default(), &rooms);
    doors.map(drop).map_err(|error| config.mount_error(&error).to_string())
}

#[test]
fn a_rooms_complaint_is_shown_with_its_line() {
    assert_eq!(mounted("[xep.mam]\npage_max = 10\n"), Ok(()));
    assert_eq!(
        mounted("dev = true\n[xep.mam]\n\npage_maxx = 50\n").expect_err("unknown key"),
        "iris.toml:4:1: [xep.mam]: unknown key \"page_maxx\"\n 4 | page_maxx = 50\n   | ^^^^^^^^^\n  \
         Did you mean \"page_max\"? Known here: page_max."
    );
    let wrong_type = mounted("[xep.mam]\npage_max = \"many\"\n").expect_err("wrong type");
    assert!(wrong_type.starts_with("iris.toml:2:12: [xep.mam]: "), "{wrong_type}");
    let unknown_table = mounted("[xep.nonsense]\nx = 1\n").expect_err("no such room");
    assert!(unknown_table.starts_with("iris.toml:1:"), "{unknown_table}");
    let wrong_value = mounted("[xep.mam]\npage_max = 0\n").expect_err("wrong value");
    assert!(wrong_value.starts_with("iris.toml:2:12: [xep.mam]: page_max is 0"), "{wrong_value}");
}

#[test]
fn what_init_writes_is_a_configuration_for_production() {
    let text = reference::production("example.org");
    for line in text.lines() {
        assert!(line.chars().count() <= 80, "wider than a terminal: {line}");
    }
    let config = ok(&text);
    assert_eq!(config.domains, ["example.org"]);
    assert_eq!(config.accounts.admins[0].as_str(), "admin@example.org");
    assert!(!config.dev && config.warnings().is_empty());
    assert_eq!(config.tls.certificates.as_deref(), Some(Path::new("certs")));
    assert_eq!(config.limits, Limits::default());
}

#[test]
fn a_file_that_is_not_there_is_said_with_a_remedy() {
    let error = Config::load(Path::new("no-such-folder/iris.toml")).expect_err("there is none").to_string();
    assert!(error.starts_with("no-such-folder/iris.toml: there is no such file\n  Write one with `iris init"), "{error}");
}

#[test]
fn columns_count_characters_and_long_lines_are_cut_around_the_caret() {
    let message = refused("# ü\ndomains = [\"ü.example\", \"ö ö\"]\n");
    assert!(message.starts_with("iris.toml:2:25: domains: \"ö ö\" is not a domain"), "{message}");
    let many: Vec<String> = (0..40).map(|i| format!("\"d{i}.example\"")).collect();
    let text = format!("domains = [{}, \"a b\"]", many.join(", "));
    let message = refused(&text);
    let lines: Vec<&str> = message.lines().collect();
    let caret = lines.iter().position(|line| line.trim_start_matches([' ', '|']).starts_with('^')).expect("a caret");
    let column = lines[caret].find('^').expect("a caret");
    assert_eq!(&lines[caret - 1][column..column + 5], "\"a b\"");
}

#[test]
fn a_file_that_is_cut_anywhere_or_lacks_a_character_is_read_or_refused_but_nothing_else() {
    let reference = reference::reference(&[("mam", "page_max = 50")]);
    let characters: Vec<char> = reference.chars().collect();
    let (mut good, mut bad) = (0, 0);
    for at in (0..characters.len()).step_by(23) {
        let cut: String = characters[..at].iter().collect();
        let lacking: String = characters[..at].iter().chain(&characters[at + 1..]).collect();
        for text in [cut, lacking] {
            match parse(&text) {
                Ok(_) => good += 1,
                Err(error) => {
                    bad += 1;
                    assert!(error.to_string().starts_with("iris.toml:"), "{error}");
                }
            }
        }
    }
    assert!(good > 0 && bad > 0);
}

#[test]
fn broken_text_of_any_kind_ends_in_a_message() {
    for text in
        ["\u{0}", "[", "[[", "a", "=", "[a]\n[a]", "x = {", "[limits]\n\u{feff}", "\"", "domains = [\n\n\n", "[listen.x]\ny=1"]
    {
        assert!(!parse(text).expect_err("not a configuration").to_string().is_empty(), "{text:?}");
    }
    assert!(parse("\u{feff}dev = true").is_ok_and(|config| config.dev));
}
