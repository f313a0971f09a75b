//! Every command as its administrator sends it, and as nobody else may.

use std::time::Duration;

use iris_core::ports::Stop;
use iris_core::{Ask, AskAnswer, Stanza};
use iris_engine::testing::{Client, House};

use crate::ROOMS;

const COMMANDS: &str = "http://jabber.org/protocol/commands";

struct Admin {
    client: Client,
    to: &'static str,
}

fn admin(house: &mut House) -> Admin {
    Admin { client: house.online("admin@house/desk"), to: "house" }
}

fn field(var: &str, values: &[&str]) -> String {
    let values: String = values.iter().map(|value| format!("<value>{value}</value>")).collect();
    format!("<field var='{var}'>{values}</field>")
}

impl Admin {
    fn begin(&self, house: &mut House, node: &str) -> Stanza {
        let xml = format!("<command xmlns='{COMMANDS}' node='http://jabber.org/protocol/admin#{node}' action='execute'/>");
        house.iq(&self.client, "set", Some(self.to), &xml)
    }

    /// Ask for the form, and submit it.
    fn order(&self, house: &mut House, node: &str, fields: &str) -> Stanza {
        let form = self.begin(house, node);
        let Some(command) = form.child_named(COMMANDS, "command") else { return form };
        let id = form.child_el(command).attr("sessionid").expect("a session").into_owned();
        assert!(form.as_str().contains("status='executing'"), "{}", form.as_str());
        assert!(form.as_str().contains("<value>http://jabber.org/protocol/admin</value>"), "{}", form.as_str());
        let xml = format!(
            "<command xmlns='{COMMANDS}' node='http://jabber.org/protocol/admin#{node}' sessionid='{id}'>\
             <x xmlns='jabber:x:data' type='submit'><field var='FORM_TYPE' type='hidden'>\
             <value>http://jabber.org/protocol/admin</value></field>{fields}</x></command>"
        );
        house.iq(&self.client, "set", Some(self.to), &xml)
    }

    #[track_caller]
    fn done(&self, house: &mut House, node: &str, fields: &str) -> Stanza {
        let answer = self.order(house, node, fields);
        assert!(answer.as_str().contains("status='completed'"), "{node}: {}", answer.as_str());
        assert!(!answer.as_str().contains("<note type='error'"), "{node}: {}", answer.as_str());
        answer
    }

    #[track_caller]
    fn refused(&self, house: &mut House, node: &str, fields: &str, condition: &str) {
        let answer = self.order(house, node, fields);
        assert!(answer.as_str().contains(&format!("<{condition} ")), "{node}: {}", answer.as_str());
    }

    /// A command without a form.
    #[track_caller]
    fn told(&self, house: &mut House, node: &str) -> String {
        let answer = self.begin(house, node);
        assert!(answer.as_str().contains("status='completed'"), "{node}: {}", answer.as_str());
        answer.as_str().to_owned()
    }
}

fn account(house: &mut House, jid: &str) -> Option<iris_core::ask::AccountFacts> {
    match house.ask(jid, Ask::Account) {
        Some(AskAnswer::Account(facts)) => Some(*facts),
        _ => None,
    }
}

fn over(house: &House, client: &Client) -> bool {
    house.shards[usize::from(client.at.shard)].session(client.at).is_none_or(|session| session.over.is_some())
}

#[test]
fn s4_1_add_user_makes_an_account_with_a_card() {
    for to in ["house", "admin@house"] {
        let mut house = House::with(ROOMS);
        let admin = Admin { to, ..admin(&mut house) };
        let fields = field("accountjid", &["juliet@house"])
            + &field("password", &["R0m30"])
            + &field("password-verify", &["R0m30"])
            + &field("email", &["juliet@capulet.com"])
            + &field("given_name", &["Juliet"])
            + &field("surname", &["Capulet"]);
        admin.done(&mut house, "add-user", &fields);
        assert!(account(&mut house, "juliet@house").is_some_and(|facts| facts.enabled));
        let Some(AskAnswer::Credentials(Some(login))) = house.ask("juliet@house", Ask::Credentials) else { panic!("no login") };
        assert_eq!(&login.credentials[..], b"keys of R0m30");
        let card = house.iq(&admin.client, "get", Some("juliet@house"), "<vCard xmlns='vcard-temp'/>");
        assert!(card.as_str().contains("<FN>Juliet Capulet</FN>") && card.as_str().contains("juliet@capulet.com"));
        admin.refused(&mut house, "add-user", &fields, "conflict");
    }
}

#[test]
fn s4_1_what_makes_no_account() {
    let mut house = House::with(ROOMS);
    let admin = admin(&mut house);
    let with = |jid: &str, password: &str, again: &str| {
        field("accountjid", &[jid]) + &field("password", &[password]) + &field("password-verify", &[again])
    };
    admin.refused(&mut house, "add-user", &with("juliet@house", "a", "b"), "bad-request");
    admin.refused(&mut house, "add-user", &with("juliet@elsewhere", "a", "a"), "bad-request");
    admin.refused(&mut house, "add-user", &with("juliet@house/x", "a", "a"), "bad-request");
    admin.refused(&mut house, "add-user", &with("house", "a", "a"), "bad-request");
    admin.refused(&mut house, "add-user", &with("juliet@house", "", ""), "bad-request");
    admin.refused(&mut house, "add-user", &field("password", &["a"]), "bad-request");
    assert_eq!(account(&mut house, "juliet@house"), None);
}

#[test]
fn s4_2_to_s4_5_accounts_are_disabled_enabled_and_removed_and_sessions_end() {
    let mut house = House::with(ROOMS);
    let admin = admin(&mut house);
    let juliet = house.online("juliet@house/balcony");
    let tomb = house.online("juliet@house/tomb");
    let romeo = house.online("romeo@house/orchard");
    admin.done(&mut house, "end-user-session", &field("accountjids", &["juliet@house/balcony"]));
    assert!(over(&house, &juliet) && !over(&house, &tomb));
    admin.done(&mut house, "end-user-session", &field("accountjids", &["juliet@house", "romeo@house"]));
    assert!(over(&house, &tomb) && over(&house, &romeo));
    let romeo = house.online("romeo@house/orchard");
    admin.done(&mut house, "disable-user", &field("accountjids", &["romeo@house"]));
    assert!(over(&house, &romeo) && house.try_login("romeo@house/orchard").is_err());
    admin.done(&mut house, "reenable-user", &field("accountjids", &["romeo@house"]));
    assert!(house.try_login("romeo@house/orchard").is_ok());
    admin.done(&mut house, "delete-user", &field("accountjids", &["romeo@house", "juliet@house"]));
    assert_eq!((account(&mut house, "romeo@house"), account(&mut house, "juliet@house")), (None, None));
    admin.refused(&mut house, "delete-user", &field("accountjids", &["romeo@house"]), "item-not-found");
    admin.refused(&mut house, "delete-user", &field("accountjids", &["admin@house"]), "not-allowed");
    admin.refused(&mut house, "disable-user", &field("accountjids", &["admin@house"]), "not-allowed");
    // Of several, those that failed are named (XEP-0050 3.6: "MUST include at least one <note type='error'/>").
    house.user("juliet@house");
    let answer = admin.order(&mut house, "delete-user", &field("accountjids", &["juliet@house", "nobody@house"]));
    assert!(answer.as_str().contains("<note type='error'>there is no account nobody@house</note>"), "{}", answer.as_str());
    assert_eq!(account(&mut house, "juliet@house"), None);
}

#[test]
fn s4_6_a_password_cannot_be_shown() {
    let mut house = House::with(ROOMS);
    let admin = admin(&mut house);
    assert!(admin.begin(&mut house, "get-user-password").as_str().contains("item-not-found"));
}

#[test]
fn s4_7_a_changed_password_ends_sessions() {
    let mut house = House::with(ROOMS);
    let admin = admin(&mut house);
    let juliet = house.online("juliet@house/balcony");
    let fields = field("accountjid", &["juliet@house"]) + &field("password", &["new"]);
    admin.done(&mut house, "change-user-password", &fields);
    assert!(over(&house, &juliet));
    let Some(AskAnswer::Credentials(Some(login))) = house.ask("juliet@house", Ask::Credentials) else { panic!("no login") };
    assert_eq!(&login.credentials[..], b"keys of new");
    let nobody = field("accountjid", &["nobody@house"]) + &field("password", &["new"]);
    admin.refused(&mut house, "change-user-password", &nobody, "item-not-found");
}

#[test]
fn s4_8_to_s4_10_what_there_is_to_know_of_an_account() {
    let mut house = House::with(ROOMS);
    let admin = admin(&mut house);
    house.friends("romeo@house", "juliet@house");
    let answer = admin.done(&mut house, "get-user-roster", &field("accountjids", &["romeo@house"]));
    let roster = "<query xmlns='jabber:iq:roster'><item jid='juliet@house' subscription='both'/></query></x>";
    assert!(answer.as_str().contains(roster), "{}", answer.as_str());
    let _romeo = house.online("romeo@house/orchard");
    house.user("nurse@house");
    let fields = field("accountjids", &["romeo@house", "nurse@house"]);
    let answer = admin.done(&mut house, "get-user-lastlogin", &fields);
    assert!(
        answer.as_str().contains("<value>2026-01-01T00:00:00Z</value><value/>")
            || answer.as_str().contains("<value>2026-01-01T00:00:00Z</value><value></value>"),
        "{}",
        answer.as_str()
    );
    let answer = admin.done(&mut house, "user-stats", &field("accountjid", &["romeo@house"]));
    for part in ["var='rostersize'", "<value>1</value>", "<value>orchard</value>"] {
        assert!(answer.as_str().contains(part), "{part}: {}", answer.as_str());
    }
    admin.refused(&mut house, "user-stats", &field("accountjid", &["nobody@house"]), "item-not-found");
    admin.refused(&mut house, "get-user-roster", &field("accountjids", &["romeo@elsewhere"]), "bad-request");
}

/// The value of a field of the answer.
fn told_of(answer: &Stanza, var: &str) -> String {
    let field = answer.as_str().split_once(&format!("var='{var}'")).expect("the field").1;
    field.split_once("<value>").and_then(|it| it.1.split_once("</value>")).expect("a value").0.to_owned()
}

#[test]
fn s4_10_how_much_a_user_sends_and_how_often_they_come() {
    let mut house = House::with(ROOMS);
    let admin = admin(&mut house);
    // Six logins in an hour are 0.1 a minute; three stanzas a second.
    for _ in 0..5 {
        let romeo = house.login("romeo@house/orchard");
        house.close(&romeo);
    }
    house.advance(Duration::from_secs(240));
    let romeo = house.login("romeo@house/orchard");
    let stats = |house: &mut House| {
        let answer = admin.done(house, "user-stats", &field("accountjid", &["romeo@house"]));
        (told_of(&answer, "stanzaspersecond"), told_of(&answer, "loginsperminute"))
    };
    assert_eq!(stats(&mut house).0, "0");
    for _ in 0..6 {
        for _ in 0..30 {
            house.send(&romeo, "<message to='admin@house' type='headline'><body>!</body></message>");
        }
        house.recv(&admin.client);
    }
    assert_eq!(stats(&mut house), ("3".to_owned(), "0.1".to_owned()));
    house.advance(Duration::from_secs(150));
    assert_eq!(stats(&mut house).0, "0", "that was minutes ago");
    // The logins of the hour are known after a night's sleep of the house; nobody is counted who was never here.
    house.close(&romeo);
    let mut house = house.restart(ROOMS, Duration::from_secs(60));
    let admin = Admin { client: house.online("admin@house/desk"), to: "house" };
    let answer = admin.done(&mut house, "user-stats", &field("accountjid", &["romeo@house"]));
    assert_eq!(told_of(&answer, "loginsperminute"), "0.1");
    house.user("nurse@house");
    let answer = admin.done(&mut house, "user-stats", &field("accountjid", &["nurse@house"]));
    assert_eq!(told_of(&answer, "loginsperminute"), "0");
}

#[test]
fn s4_13_to_s4_22_users_are_counted_and_listed() {
    let mut house = House::with(ROOMS);
    let admin = admin(&mut house);
    let romeo = house.online("romeo@house/orchard");
    let juliet = house.login("juliet@house/balcony");
    house.send(&juliet, "<presence><show>away</show></presence>");
    house.recv(&juliet);
    house.user("nurse@house");
    house.user("stranger@away");
    house.ask("nurse@house", Ask::SetEnabled(false));
    for (node, number) in [
        ("get-registered-users-num", "4"),
        ("get-disabled-users-num", "1"),
        ("get-online-users-num", "3"),
        ("get-active-users-num", "2"),
        ("get-idle-users-num", "1"),
    ] {
        let told = admin.told(&mut house, node);
        assert!(told.contains(&format!("<value>{number}</value>")), "{node}: {told}");
    }
    for (node, var, jids) in [
        (
            "get-registered-users-list",
            "registereduserjids",
            "<value>admin@house</value><value>juliet@house</value><value>nurse@house</value><value>romeo@house</value>",
        ),
        ("get-disabled-users-list", "disableduserjids", "<value>nurse@house</value>"),
        (
            "get-online-users-list",
            "onlineuserjids",
            "<value>admin@house</value><value>juliet@house</value><value>romeo@house</value>",
        ),
        ("get-active-users", "activeuserjids", "<value>admin@house</value><value>romeo@house</value>"),
        ("get-idle-users", "activeuserjids", "<value>juliet@house</value>"),
    ] {
        let answer = admin.done(&mut house, node, &field("max_items", &["none"]));
        assert!(
            answer.as_str().contains(&format!("var='{var}'")) && answer.as_str().contains(&format!(">{jids}</field>")),
            "{node}: {}",
            answer.as_str()
        );
    }
    admin.refused(&mut house, "get-registered-users-list", &field("max_items", &["13"]), "bad-request");
    for n in 0..30 {
        house.user(&format!("extra{n:02}@house"));
    }
    let answer = admin.done(&mut house, "get-registered-users-list", &field("max_items", &["25"]));
    assert!(answer.as_str().contains("<note type='warn'>9 more are not shown</note>"), "{}", answer.as_str());
    house.close(&romeo);
}

#[test]
fn s4_23_an_announcement_reaches_everybody_who_is_online() {
    let mut house = House::with(ROOMS);
    let admin = admin(&mut house);
    let romeo = house.online("romeo@house/orchard");
    let juliet = house.online("juliet@house/balcony");
    let other = house.online("romeo@away/orchard");
    house.user("nurse@house");
    admin.done(&mut house, "announce", &field("announcement", &["The house", "burns"]));
    for client in [&romeo, &juliet] {
        let heard = house.one(client);
        assert_eq!(heard.from().as_deref(), Some("house"));
        assert!(
            heard.as_str().contains("type='headline'") && heard.as_str().contains("<body>The house\nburns</body>"),
            "{}",
            heard.as_str()
        );
    }
    house.nothing(&other);
    let nurse = house.online("nurse@house/kitchen");
    house.nothing(&nurse);
    // As clients of other servers do it, and as nobody else may.
    house.recv(&romeo);
    house.recv(&admin.client);
    house.send(&admin.client, "<message to='house/announce/online'><body>again</body></message>");
    assert!(house.one(&romeo).as_str().contains("<body>again</body>"));
    house.send(&romeo, "<message to='house/announce/online' id='m'><body>mine</body></message>");
    assert!(house.one(&romeo).as_str().contains("<forbidden "));
}

#[test]
fn s4_24_to_s4_26_the_message_of_the_day_is_seen_once_by_everybody() {
    let mut house = House::with(ROOMS);
    let admin = admin(&mut house);
    admin.refused(&mut house, "edit-motd", &field("motd", &["x"]), "item-not-found");
    let romeo = house.online("romeo@house/orchard");
    admin.done(&mut house, "set-motd", &field("motd", &["The play", "begins at 8"]));
    assert!(house.one(&romeo).as_str().contains("<body>The play\nbegins at 8</body>"));
    let phone = house.online("romeo@house/phone");
    house.nothing(&phone);
    let form = admin.begin(&mut house, "edit-motd");
    assert!(form.as_str().contains("<value>The play</value><value>begins at 8</value>"), "{}", form.as_str());
    admin.done(&mut house, "edit-motd", &field("motd", &["at 9"]));
    house.nothing(&phone);
    let juliet = house.login("juliet@house/balcony");
    house.send(&juliet, "<presence/>");
    let heard = house.hear(&juliet);
    assert!(heard.iter().any(|it| it.contains("<body>at 9</body>") && it.contains("from='house'")), "{heard:?}");
    // It outlives the process, and so does that it was seen.
    let mut house = house.restart(ROOMS, Duration::from_secs(60));
    let romeo = house.login("romeo@house/orchard");
    house.send(&romeo, "<presence/>");
    assert!(!house.hear(&romeo).iter().any(|it| it.contains("at 9")));
    let nurse = house.login("nurse@house/kitchen");
    house.send(&nurse, "<presence/>");
    assert!(house.hear(&nurse).iter().any(|it| it.contains("at 9")));
    let admin = Admin { client: house.online("admin@house/desk"), to: "house" };
    admin.told(&mut house, "delete-motd");
    let tybalt = house.login("tybalt@house/x");
    house.send(&tybalt, "<presence/>");
    assert!(!house.hear(&tybalt).iter().any(|it| it.contains("at 9")));
    assert!(admin.begin(&mut house, "delete-motd").as_str().contains("item-not-found"));
}

#[test]
fn s4_27_and_s4_28_a_new_user_is_welcomed_once() {
    let mut house = House::with(ROOMS);
    let admin = admin(&mut house);
    house.user("old@house");
    admin.done(&mut house, "set-welcome", &field("welcome", &["Welcome!"]));
    let first = |house: &mut House, who: &str| {
        let client = house.login(who);
        house.send(&client, "<presence/>");
        let heard = house.hear(&client);
        house.close(&client);
        heard.iter().filter(|it| it.contains("<body>Welcome!</body>")).count()
    };
    assert_eq!(first(&mut house, "old@house/x"), 0);
    assert_eq!(first(&mut house, "new@house/x"), 1);
    assert_eq!(first(&mut house, "new@house/y"), 0);
    assert_eq!(first(&mut house, "new@away/x"), 0);
    admin.told(&mut house, "delete-welcome");
    assert_eq!(first(&mut house, "newer@house/x"), 0);
}

#[test]
fn s4_11_nobody_speaks_with_who_is_on_the_blacklist() {
    let mut house = House::with(ROOMS);
    let admin = admin(&mut house);
    let romeo = house.online("romeo@house/orchard");
    let tybalt = house.online("tybalt@away/street");
    let told = |house: &mut House| {
        house.send(&romeo, "<message to='tybalt@away' type='chat'><body>peace</body></message>");
        house.send(&tybalt, "<message to='romeo@house' type='chat'><body>war</body></message>");
        (house.hear(&romeo), house.hear(&tybalt))
    };
    let (romeo_hears, tybalt_hears) = told(&mut house);
    assert!(romeo_hears[0].contains("war") && tybalt_hears[0].contains("peace"));
    admin.done(&mut house, "edit-blacklist", &field("blacklistjids", &["away"]));
    let (romeo_hears, tybalt_hears) = told(&mut house);
    assert!(romeo_hears.len() == 1 && romeo_hears[0].contains("<not-allowed "), "{romeo_hears:?}");
    assert!(tybalt_hears.len() == 1 && tybalt_hears[0].contains("<service-unavailable "), "{tybalt_hears:?}");
    assert!(admin.begin(&mut house, "edit-blacklist").as_str().contains("<value>away</value>"));
    admin.refused(&mut house, "edit-blacklist", &field("blacklistjids", &["house"]), "bad-request");
    admin.refused(&mut house, "edit-blacklist", "", "bad-request");
    admin.done(&mut house, "edit-blacklist", &field("blacklistjids", &[]));
    let (romeo_hears, _) = told(&mut house);
    assert!(romeo_hears[0].contains("war"));
}

#[test]
fn s4_12_with_a_whitelist_only_who_is_on_it_is_spoken_with() {
    let mut house = House::with(ROOMS);
    let admin = admin(&mut house);
    let romeo = house.online("romeo@house/orchard");
    let juliet = house.online("juliet@house/balcony");
    let tybalt = house.online("tybalt@away/street");
    admin.done(&mut house, "edit-whitelist", &field("whitelistjids", &["mercutio@away"]));
    house.send(&tybalt, "<message to='romeo@house' type='chat'><body>war</body></message>");
    assert!(house.one(&tybalt).as_str().contains("service-unavailable"));
    house.send(&juliet, "<message to='romeo@house' type='chat'><body>love</body></message>");
    assert!(house.one(&romeo).as_str().contains("love"), "one's own domain needs no list");
    admin.done(&mut house, "edit-whitelist", &field("whitelistjids", &["mercutio@away", "tybalt@away"]));
    house.send(&tybalt, "<message to='romeo@house' type='chat'><body>war</body></message>");
    assert!(house.one(&romeo).as_str().contains("war"));
    // On disk.
    let mut house = house.restart(ROOMS, Duration::from_secs(60));
    let iago = house.online("iago@away/x");
    house.send(&iago, "<message to='romeo@house' type='chat'><body>a word</body></message>");
    assert!(house.one(&iago).as_str().contains("service-unavailable"));
}

#[test]
fn s4_11_and_s4_12_a_list_may_be_of_one_way_only() {
    let mut house = House::with(ROOMS);
    let admin = admin(&mut house);
    let romeo = house.online("romeo@house/orchard");
    let tybalt = house.online("tybalt@away/street");
    // Who hears what: (does romeo hear tybalt, does tybalt hear romeo).
    let heard = |house: &mut House| {
        house.send(&romeo, "<message to='tybalt@away' type='chat'><body>peace</body></message>");
        house.send(&tybalt, "<message to='romeo@house' type='chat'><body>war</body></message>");
        let hears = |heard: Vec<String>, word: &str| heard.iter().any(|it| it.contains(word) && !it.contains("type='error'"));
        (hears(house.hear(&romeo), "war"), hears(house.hear(&tybalt), "peace"))
    };
    let edit = |house: &mut House, node: &str, jids: &[&str]| {
        let var = if node.contains("black") { "blacklistjids" } else { "whitelistjids" };
        admin.done(house, node, &field(var, jids));
    };
    for (node, jid, expected) in [
        ("add-to-blacklist-in", "away", (false, true)),
        ("add-to-blacklist-out", "tybalt@away", (true, false)),
        // An account of the domain: what comes from it, what goes to it.
        ("add-to-blacklist-in", "romeo@house", (true, false)),
        ("add-to-blacklist-out", "romeo@house", (false, true)),
        ("add-to-whitelist-in", "elsewhere", (false, true)),
        ("add-to-whitelist-out", "elsewhere", (true, false)),
        ("add-to-whitelist", "elsewhere", (false, false)),
        ("add-to-whitelist", "tybalt@away", (true, true)),
    ] {
        edit(&mut house, node, &[jid]);
        assert_eq!(heard(&mut house), expected, "{node} {jid}");
        assert!(admin.begin(&mut house, node).as_str().contains(&format!("<value>{jid}</value>")), "{node}");
        edit(&mut house, node, &[]);
        assert_eq!(heard(&mut house), (true, true), "{node} is empty again");
    }
    // Who is on the list of both ways is let in by it, whatever the one of one way says.
    edit(&mut house, "add-to-whitelist-in", &["elsewhere"]);
    edit(&mut house, "edit-whitelist", &["tybalt@away"]);
    assert_eq!(heard(&mut house), (true, true));
    assert!(admin.begin(&mut house, "add-to-whitelist").as_str().contains("tybalt@away"), "one list with two names");
    // Each on disk under its own name.
    edit(&mut house, "edit-whitelist", &[]);
    let mut house = house.restart(ROOMS, Duration::from_secs(60));
    let romeo = house.online("romeo@house/orchard");
    let tybalt = house.online("tybalt@away/street");
    house.send(&tybalt, "<message to='romeo@house' type='chat'><body>war</body></message>");
    house.nothing(&romeo);
    house.recv(&tybalt);
    house.send(&romeo, "<message to='tybalt@away' type='chat'><body>peace</body></message>");
    assert!(house.one(&tybalt).as_str().contains("peace"));
}

#[test]
fn s4_29_administrators_appoint_others_and_the_configured_ones_stay() {
    let mut house = House::with(ROOMS);
    let admin = admin(&mut house);
    let romeo = Admin { client: house.online("romeo@house/orchard"), to: "house" };
    assert!(romeo.begin(&mut house, "edit-admin").as_str().contains("<forbidden "));
    assert!(admin.begin(&mut house, "edit-admin").as_str().contains("<value>admin@house</value>"));
    admin.refused(&mut house, "edit-admin", &field("adminjids", &["romeo@house"]), "not-allowed");
    admin.refused(&mut house, "edit-admin", &field("adminjids", &["admin@house", "iago@away"]), "bad-request");
    admin.done(&mut house, "edit-admin", &field("adminjids", &["admin@house", "romeo@house"]));
    romeo.told(&mut house, "get-online-users-num");
    // Whoever is appointed does not close the house.
    romeo.refused(&mut house, "shutdown", &field("delay", &["0"]), "forbidden");
    let mut house = house.restart(ROOMS, Duration::from_secs(60));
    let romeo = Admin { client: house.online("romeo@house/orchard"), to: "romeo@house" };
    romeo.told(&mut house, "get-online-users-num");
    let admin = Admin { client: house.online("admin@house/desk"), to: "house" };
    admin.done(&mut house, "edit-admin", &field("adminjids", &["admin@house"]));
    assert!(romeo.begin(&mut house, "get-online-users-num").as_str().contains("<forbidden "));
}

#[test]
fn s4_30_and_s4_31_the_house_is_ordered_to_stop_or_to_begin_anew() {
    let mut house = House::with(ROOMS);
    let admin = admin(&mut house);
    let romeo = house.online("romeo@house/orchard");
    let fields = field("delay", &["60"]) + &field("announcement", &["soon"]);
    admin.done(&mut house, "restart", &fields);
    assert!(house.one(&romeo).as_str().contains("<body>soon</body>"));
    admin.done(&mut house, "shutdown", &field("delay", &["0"]));
    let stops = house.stops.lock().expect("the orders").clone();
    assert_eq!(stops, [(Stop::Restart, Duration::from_secs(60)), (Stop::ShutDown, Duration::from_millis(500))]);
    house.nothing(&romeo);
}

#[test]
fn d11_every_command_is_forbidden_to_a_user_and_to_another_domains_administrator() {
    let mut house = House::with(ROOMS);
    let admin = admin(&mut house);
    let items = format!("<query xmlns='http://jabber.org/protocol/disco#items' node='{COMMANDS}'/>");
    let list = house.iq(&admin.client, "get", Some("house"), &items);
    let prefix = "node='http://jabber.org/protocol/admin#";
    let nodes: Vec<String> =
        list.as_str().split(prefix).skip(1).filter_map(|rest| Some(rest.split_once('\'')?.0.to_owned())).collect();
    assert_eq!(nodes.len(), 35, "everything but the password: {nodes:?}");
    let user = house.online("romeo@house/orchard");
    let other = house.online("admin@away/desk");
    for node in &nodes {
        for who in [
            Admin { client: user.clone(), to: "house" },
            Admin { client: user.clone(), to: "romeo@house" },
            Admin { client: other.clone(), to: "house" },
        ] {
            let heard = who.begin(&mut house, node);
            assert!(
                heard.as_str().contains("<forbidden ") && !heard.as_str().contains("sessionid"),
                "{node}: {}",
                heard.as_str()
            );
        }
        let heard = Admin { client: user.clone(), to: "admin@house" }.begin(&mut house, node);
        assert!(heard.as_str().contains("service-unavailable"), "{node}: {}", heard.as_str());
        // The session of the administrator is nobody else's.
        let form = admin.begin(&mut house, node);
        let Some(command) = form.child_named(COMMANDS, "command") else { continue };
        let id = form.child_el(command).attr("sessionid").expect("a session").into_owned();
        let xml = format!(
            "<command xmlns='{COMMANDS}' node='http://jabber.org/protocol/admin#{node}' sessionid='{id}' action='cancel'/>"
        );
        for client in [&user, &other] {
            assert!(house.iq(client, "set", Some("house"), &xml).as_str().contains("<forbidden "), "{node}");
        }
    }
    assert_eq!(house.stops.lock().expect("the orders").len(), 0);
}
