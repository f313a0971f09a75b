//! `iris export` and `iris import`: XEP-0227.

use std::os::unix::fs::PermissionsExt;

use super::*;
use crate::scram::Scram;

/// Made by hand after the examples of the text.
const SHAKESPEARE: &str = include_str!("portable/shakespeare.xml");

/// A file of the text's example for our domain.
fn shakespeare(data: &Data) -> String {
    file(data, "shakespeare.xml", SHAKESPEARE)
}

/// What a client sees of everything that moved.
fn belongings(client: &mut Client) -> Vec<String> {
    let mut seen = Vec::new();
    for (id, xml) in [
        ("roster", "<query xmlns='jabber:iq:roster'/>"),
        ("vcard", "<vCard xmlns='vcard-temp'/>"),
        ("private", "<query xmlns='jabber:iq:private'><exodus xmlns='exodus:prefs'/></query>"),
        ("blocked", "<blocklist xmlns='urn:xmpp:blocking'/>"),
        ("prefs", "<prefs xmlns='urn:xmpp:mam:2'/>"),
        ("vcard4", "<pubsub xmlns='http://jabber.org/protocol/pubsub'><items node='urn:xmpp:vcard4'/></pubsub>"),
        ("bookmarks", "<pubsub xmlns='http://jabber.org/protocol/pubsub'><items node='urn:xmpp:bookmarks:1'/></pubsub>"),
    ] {
        client.send(&format!("<iq type='get' id='{id}'>{xml}</iq>"));
        seen.push(client.expect(&format!("id='{id}'")));
    }
    client.send("<iq type='set' id='archive'><query xmlns='urn:xmpp:mam:2'/></iq>");
    loop {
        let said = client.read(PATIENCE).expect("the archive");
        let end = said.contains("id='archive'");
        seen.push(said);
        if end {
            return seen;
        }
    }
}

#[track_caller]
fn are_juliets(seen: &[String]) {
    let all = seen.join("\n");
    for needed in [
        "jid='romeo@montague.net'",
        "subscription='both'",
        "<group>Friends</group>",
        "jid='nurse@localhost'",
        "<FN>Juliet Capulet</FN>",
        "<BINVAL>iVBORw0KGgogbm90IHJlYWxseSBhIHBpY3R1cmU=</BINVAL>",
        "<text>Juliet Capulet</text>",
        "<defaultnick>Juliet</defaultnick>",
        "jid='tybalt@example.com'",
        "default='roster'",
        "id='theplay@conference.shakespeare.lit'",
        "name='The Orchard'",
        "Call me but love",
        "What man art thou",
        "stamp='2010-07-10T23:08:25",
        "stamp='2010-07-10T23:09:32",
    ] {
        assert!(all.contains(needed), "{needed} is not in {all}");
    }
    let order = all.find("Call me but love").zip(all.find("What man art thou"));
    assert!(order.is_some_and(|(first, second)| first < second), "{all}");
}

#[test]
fn a_domain_moves_in_whether_the_server_runs_or_not_and_people_find_everything() {
    for runs in [false, true] {
        let data = Data::new();
        let server = runs.then(|| data.start_with(&quick()));
        let from = shakespeare(&data);
        let dry = data.iris(&["import", "--dry-run", &from]);
        assert!(dry.ends_with("3 accounts would be imported.\n"), "{dry}");
        assert!(!data.iris(&["user", "list"]).contains("juliet@localhost"));
        let said = data.iris(&["import", &from]);
        assert!(said.ends_with("3 accounts were imported.\n"), "{said}");
        // "SHOULD notify the operator".
        assert!(flat(&said).contains("<strange xmlns='urn:example:unknown'/> is not known"), "{said}");
        let server = server.unwrap_or_else(|| data.start());
        let mut juliet = Client::bound(server.plain, "juliet", "balcony");
        are_juliets(&belongings(&mut juliet));
        juliet.send("<presence/>");
        let (mut heard, mut late) = (Vec::new(), 0);
        while late < 2 {
            let stanza = juliet.read(PATIENCE).expect("requests and messages");
            late += usize::from(stanza.contains("Neither, fair saint") || stanza.contains("type='subscribe'"));
            heard.push(stanza);
        }
        let heard = heard.join("\n");
        assert!(heard.contains("from='mercutio@montague.net'") && heard.contains("stamp='2010-07-21T00:32:29Z'"), "{heard}");
        assert!(logs_in(&server, "hamlet", "to be"), "the password in clear");
        assert!(!logs_in(&server, "yorick", ""), "nobody knows a password");
        let again = refused(&data, &["import", &from]);
        assert!(flat(&again).contains("shakespeare.xml:4: the account juliet@localhost exists already"), "{again}");
        assert!(data.iris(&["import", "--update", &from]).contains("0 accounts were imported, 3 were updated."));
        let mut juliet = Client::bound(server.plain, "juliet", "balcony");
        let seen = belongings(&mut juliet);
        are_juliets(&seen);
        for once in ["Call me but love", "name='The Orchard'"] {
            assert_eq!(seen.join("").matches(once).count(), 1, "what moves in twice is there once: {once}");
        }
    }
}

/// RFC 5802 5: the password is `pencil`. As a server writes it that knows SCRAM-SHA-1 only.
const OLD: &str = "<server-data xmlns='urn:xmpp:pie:0'><host jid='localhost'><user name='user'>\
    <scram-credentials xmlns='urn:xmpp:pie:0#scram' mechanism='SCRAM-SHA-1'><iter-count>4096</iter-count>\
    <salt>QSXCR+Q6sek8bf92</salt><server-key>D+CSWLOshSulAsxiupA+qs2/fTE=</server-key>\
    <stored-key>6dlGYMOdZcOPutkcNY8U2g7vK9Y=</stored-key></scram-credentials></user></host></server-data>";

#[test]
fn who_moved_in_with_keys_for_sha_1_alone_comes_in_by_what_is_offered_and_gets_the_others() {
    let data = Data::with_users(["juliet"]);
    let server = data.start();
    let strongest = |client: &Client| -> &'static str {
        let mut offered = ["SCRAM-SHA-512", "SCRAM-SHA-256", "SCRAM-SHA-1"].into_iter();
        offered.find(|name| client.features.contains(&format!("<mechanism>{name}</mechanism>"))).expect("a mechanism")
    };
    let stream = |from: Option<&str>| {
        let mut client = Client::connect(server.plain).expect("a connection");
        let from = from.map_or(String::new(), |name| format!(" from='{name}@{DOMAIN}'"));
        client.send(&format!(
            "<stream:stream to='{DOMAIN}'{from} version='1.0' xmlns='jabber:client' xmlns:stream='http://etherx.jabber.org/streams'>"
        ));
        client.features = client.expect("<stream:features");
        client
    };
    assert_eq!(strongest(&stream(None)), "SCRAM-SHA-512");
    data.iris(&["import", &file(&data, "old.xml", OLD)]);
    // A client takes the strongest that it sees.
    for (from, mechanism) in [(None, "SCRAM-SHA-1"), (Some("user"), "SCRAM-SHA-1")] {
        let mut client = stream(from);
        assert_eq!(strongest(&client), mechanism, "{from:?}");
        Scram::new(strongest(&client), "user", "pencil").run(&mut client).expect("the old password");
    }
    let mut juliet = stream(Some("juliet"));
    assert_eq!(strongest(&juliet), "SCRAM-SHA-512", "what she has is not made worse");
    Scram::new("SCRAM-SHA-512", "juliet", PASSWORD).run(&mut juliet).expect("juliet");
    let nobody: Vec<&str> = (0..3).map(|_| strongest(&stream(Some("nobody")))).collect();
    assert!(nobody.iter().all(|it| *it == nobody[0]), "{nobody:?}");
    // The count is taken anew at a start.
    drop(server);
    let server = data.start();
    let mut plain = Client::connect(server.plain).expect("a connection");
    plain.open();
    assert_eq!(strongest(&plain), "SCRAM-SHA-1");
    assert!(plain.sasl_plain("user", "pencil").expect("an answer").starts_with("<success"));
    let mut again = Client::connect(server.plain).expect("a connection");
    for _ in 0..200 {
        if again.open().contains("<mechanism>SCRAM-SHA-512<") {
            break;
        }
        std::thread::sleep(std::time::Duration::from_millis(50));
        again = Client::connect(server.plain).expect("a connection");
    }
    assert_eq!(strongest(&again), "SCRAM-SHA-512", "everybody has everything now");
    Scram::new("SCRAM-SHA-512", "user", "pencil").run(&mut again).expect("keys that were made of the password");
}

#[test]
fn what_moves_out_moves_in_elsewhere_and_comes_out_the_same() {
    let data = Data::new();
    let from = shakespeare(&data);
    data.iris(&["import", &from]);
    let (one, two) = (data.folder().join("one.xml"), data.folder().join("two.xml"));
    let (one, two) = (one.display().to_string(), two.display().to_string());
    let said = data.iris(&["export", &one, "--domain", DOMAIN]);
    assert!(said.starts_with("Wrote 3 accounts of localhost to "), "{said}");
    assert!(said.contains("Files that they uploaded are not in it; copy those with: iris backup FOLDER\n"), "{said}");
    assert_eq!(std::fs::metadata(&one).expect("there").permissions().mode() & 0o777, 0o600);
    assert!(refused(&data, &["export", &one, "--domain", DOMAIN]).contains("was not touched"));
    let elsewhere = Data::new();
    let said = elsewhere.iris(&["import", &one]);
    assert_eq!(said, "3 accounts were imported.\n", "nothing of ours is unknown to us");
    let server = elsewhere.start();
    elsewhere.iris(&["export", &two, "--domain", DOMAIN]);
    let text = |file: &str| {
        let text = std::fs::read_to_string(file).expect("an export");
        // Versions of the roster are the house's own.
        text.split(" ver='").map(|part| part.split_once('\'').map_or(part, |(_, rest)| rest)).collect::<String>()
    };
    let (first, second) = (std::fs::read_to_string(&one).expect("there"), std::fs::read_to_string(&two).expect("there"));
    assert_eq!(first.matches("<result ").count(), 2);
    assert_eq!(first.lines().count(), second.lines().count());
    let sorted = |text: String| {
        let mut lines: Vec<String> = text.lines().map(str::to_owned).collect();
        lines.sort();
        lines
    };
    assert_eq!(sorted(text(&one)), sorted(text(&two)));
    let mut juliet = Client::bound(server.plain, "juliet", "balcony");
    are_juliets(&belongings(&mut juliet));
}

#[test]
fn a_file_with_mistakes_imports_nobody_unless_they_are_to_be_left_out() {
    let data = Data::with_users(["paris"]);
    drop(data.start());
    let text = "<server-data xmlns='urn:xmpp:pie:0'>\n<host jid='localhost'>\n<user name='paris'/>\n<user name='@'/>\n\
        <user name='nurse'>\n<scram-credentials xmlns='urn:xmpp:pie:0#scram' mechanism='SCRAM-MD5'>\
        <iter-count>1</iter-count></scram-credentials></user>\n<user name='abram'/>\n<user name='abram'/>\n</host>\n\
        <host jid='example.net'><user name='x'/></host></server-data>";
    let from = file(&data, "bad.xml", text);
    let said = refused(&data, &["import", &from]);
    for needed in [
        "bad.xml:3: the account paris@localhost exists already",
        "bad.xml:4: ",
        "bad.xml:6: ",
        "bad.xml:8: abram@localhost is there twice",
        "example.net is not served here",
        "Nothing was imported.",
    ] {
        assert!(flat(&said).contains(needed), "{needed}: {said}");
    }
    assert!(!data.iris(&["user", "list"]).contains("abram"));
    let said = data.iris(&["import", "--skip-bad", &from]);
    assert!(said.contains("1 accounts were imported, 5 left out."), "{said}");
    assert!(data.iris(&["user", "list"]).contains("abram@localhost"));
    let broken = file(&data, "broken.xml", "<server-data xmlns='urn:xmpp:pie:0'>\n<host jid='localhost'><user name='z'>");
    assert!(refused(&data, &["import", &broken]).contains("broken.xml:2: "));
    assert!(!data.iris(&["user", "list"]).contains("z@localhost"));
}

/// Nothing says who may read the items of a node without a configuration. That shows when all of a user has been read.
#[test]
fn items_that_are_left_out_are_named_by_the_dry_run_and_by_the_import() {
    let data = Data::new();
    let pubsub = "http://jabber.org/protocol/pubsub";
    let item = "<item id='1'><tune xmlns='http://jabber.org/protocol/tune'/></item>";
    let user = |name: &str, nodes: &[&str], options: &str| {
        let items: String = nodes.iter().map(|node| format!("<items node='{node}'>{item}</items>")).collect();
        format!("<user name='{name}'>\n{options}<pubsub xmlns='{pubsub}'>{items}</pubsub></user>\n")
    };
    let tune = format!("<pubsub xmlns='{pubsub}#owner'><configure node='tune'/></pubsub>");
    let users = [user("juliet", &["tune", "mood"], &tune), user("romeo", &["tune"], &tune), user("nurse", &["mood"], "")];
    let whole = format!("<server-data xmlns='urn:xmpp:pie:0'><host jid='localhost'>\n{}</host></server-data>", users.concat());
    let from = file(&data, "nodes.xml", &whole);
    let note = "PEP: 1 items of mood were left out: nothing says who may read them";
    for arguments in [&["import", "--dry-run", &from][..], &["import", &from], &["import", "--update", &from]] {
        let said = flat(&data.iris(arguments));
        assert!(said.contains(note) && !said.contains("items of tune"), "{arguments:?}: {said}");
        assert!(said.contains("nodes.xml:3:") && said.contains("(2 times)"), "{arguments:?}: {said}");
    }
}

/// A part that is sent is as large as it has grown; what belongs together is not torn apart by that.
#[test]
fn items_and_their_node_move_in_together_whatever_is_between_them() {
    let data = Data::new();
    let pubsub = "http://jabber.org/protocol/pubsub";
    let tune = format!("<pubsub xmlns='{pubsub}#owner'><configure node='tune'/></pubsub>");
    let items = format!(
        "<pubsub xmlns='{pubsub}'><items node='tune'><item id='1'><tune xmlns='http://jabber.org/protocol/tune'/></item></items></pubsub>"
    );
    let long = "x".repeat(900_000);
    let between: String =
        (0..3).map(|n| format!("<query xmlns='jabber:iq:private'><e xmlns='urn:example:{n}'>{long}</e></query>")).collect();
    let users = format!(
        "<user name='juliet' password='to be or not'>{tune}{between}{items}</user>\n\
         <user name='romeo' password='to be or not'>{items}{between}{tune}</user>\n"
    );
    let from = file(
        &data,
        "torn.xml",
        &format!("<server-data xmlns='urn:xmpp:pie:0'><host jid='localhost'>\n{users}</host></server-data>"),
    );
    let said = flat(&data.iris(&["import", &from]));
    assert!(said.contains("2 accounts were imported.") && !said.contains("left out"), "{said}");
    let moved = data.path().join("moved.xml");
    data.iris(&["export", "--domain", "localhost", &moved.display().to_string()]);
    let moved = std::fs::read_to_string(moved).expect("the export");
    assert_eq!(moved.matches("<tune xmlns=").count(), 2, "of juliet and of romeo");
}

/// However many there are: a file is mended once.
#[test]
fn a_dry_run_names_every_bad_user() {
    let data = Data::new();
    let users: String = (0..1_500).map(|n| format!("<user name='no body {n}'/>\n")).collect();
    let whole = format!("<server-data xmlns='urn:xmpp:pie:0'><host jid='localhost'>\n{users}</host></server-data>");
    let from = file(&data, "bad.xml", &whole);
    let dry = refused(&data, &["import", "--dry-run", &from]);
    for line in [2, 1_002, 1_501] {
        assert!(flat(&dry).contains(&format!("bad.xml:{line}: ")), "{line}");
    }
    assert!(!dry.contains(" more;"), "{}", dry.lines().next_back().unwrap_or_default());
    let import = refused(&data, &["import", &from]);
    assert!(import.contains(" more; --dry-run names them all."), "{import}");
}

#[test]
fn a_roster_beyond_the_limit_and_a_doctype_are_named_and_refused() {
    let data = Data::new();
    let limits = "domains = [\"localhost\"]\n[limits]\nroster_items_max = 3\n";
    let item = |name: &str| format!("<item jid='{name}@example.org' subscription='both'/>");
    let user = |name: &str, contacts: &[&str]| {
        let items: String = contacts.iter().map(|name| item(name)).collect();
        format!("<user name='{name}'><query xmlns='jabber:iq:roster'>{items}</query></user>\n")
    };
    let whole = |users: &[String]| {
        format!("<server-data xmlns='urn:xmpp:pie:0'><host jid='localhost'>\n{}</host></server-data>", users.concat())
    };
    let from = file(&data, "huge.xml", &whole(&[user("nurse", &["a", "b", "c"]), user("paris", &["a", "b", "c", "d"])]));
    let config = file(&data, "iris.toml", limits);
    let too_many = |count: u32| format!("{count} contacts, more than roster_items_max = 3 (in [limits]) allows");
    for dry in [&["--dry-run"][..], &[]] {
        let said = flat(&refused(&data, &[&["import", "--config", &config, &from], dry].concat()));
        assert!(said.contains(&format!("huge.xml:3: paris@localhost: {}", too_many(4))), "{said}");
    }
    let said = iris(&data, &["import", "--config", &config, "--skip-bad", &from]);
    assert!(self::said(&said).contains("1 accounts were imported, 1 left out."), "{}", self::said(&said));
    // What is there counts as well: the house itself looks, since the file does not say it.
    let more = file(&data, "more.xml", &whole(&[user("nurse", &["a", "e"])]));
    let said = flat(&refused(&data, &["import", "--config", &config, "--update", &more]));
    assert!(said.contains(&too_many(4)), "{said}");
    let doctype = file(&data, "doctype.xml", "<?xml version='1.0'?>\n<!DOCTYPE server-data SYSTEM 'x.dtd'>\n<server-data/>");
    let said = flat(&refused(&data, &["import", &doctype]));
    assert!(said.contains("doctype.xml:2: a DOCTYPE is not allowed"), "{said}");
}
