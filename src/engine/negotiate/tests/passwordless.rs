//! EXTERNAL (XEP-0178, security B16), ANONYMOUS (XEP-0175) and the upgrade of keys (XEP-0480).

use iris_core::{Ask, AskAnswer};

use super::sasl2::authenticate;
use super::*;
use crate::negotiate::sasl::Hash;

fn certified(addresses: &[&str]) -> Client {
    let mut client = Client::new(Transport::DirectTls);
    let addresses = addresses.iter().map(|address| BareJid::new(address).expect("a JID")).collect();
    client.it.secured(Security { addresses, ..tls() });
    client.header(&header(A));
    client
}

fn external(authzid: &str) -> String {
    let authzid = if authzid.is_empty() { "=".to_owned() } else { base64(authzid) };
    format!("<auth xmlns='{}' mechanism='EXTERNAL'>{authzid}</auth>", ns::SASL)
}

#[test]
fn s6_3_4_external_is_offered_to_who_showed_a_certificate_for_this_domain_and_to_nobody_else() {
    for (addresses, offered) in
        [(&[][..], false), (&["alice@b.test"][..], false), (&["alice@b.test", "alice@a.test"][..], true)]
    {
        let mut client = certified(addresses);
        assert_eq!(client.heard.matches("<mechanism>EXTERNAL</mechanism>").count(), if offered { 2 } else { 0 });
        client.heard.clear();
        client.send(&external(""));
        assert_eq!(client.heard.contains("<invalid-mechanism/>"), !offered, "{}", client.heard);
    }
}

#[test]
fn xep0178_2_the_certificate_says_who_it_is() {
    for authzid in ["", "alice@a.test"] {
        let mut client = certified(&["alice@a.test"]);
        let actions = client.send(&external(authzid));
        assert!(matches!(&actions[..], [Action::LookUp(who)] if *who == alice()), "{actions:?}");
        let actions = client.step(|it, env| it.looked_up(login(true), false, env));
        assert!(matches!(&actions[..], [Action::Authenticated(who), Action::Restart] if *who == alice()), "{actions:?}");
    }
    // In the other profile, asked first (RFC 4422 3.3).
    let mut client = certified(&["alice@a.test"]);
    client.send(&format!("<authenticate xmlns='{}' mechanism='EXTERNAL'/>", ns::SASL2));
    client.heard("<challenge xmlns='urn:xmpp:sasl:2'/>");
    let actions = client.send(&format!("<response xmlns='{}'/>", ns::SASL2));
    assert!(matches!(&actions[..], [Action::LookUp(who)] if *who == alice()), "{actions:?}");
    let actions = client.step(|it, env| it.looked_up(login(true), false, env));
    assert!(matches!(&actions[..], [Action::Authenticated(_)]), "{actions:?}");
    client.heard("<authorization-identifier>alice@a.test</");
}

#[test]
fn b16_nobody_is_somebody_else() {
    for authzid in ["bob@a.test", "alice@b.test", "alice@a.test/x", "a.test", "alice", "\u{e9}@"] {
        let mut client = certified(&["alice@a.test"]);
        assert!(client.send(&external(authzid)).is_empty(), "{authzid}");
        client.heard("<invalid-authzid/>");
    }
    // More than one: it has to say which.
    let mut client = certified(&["alice@a.test", "root@a.test"]);
    client.send(&external(""));
    client.heard("<invalid-authzid/>");
    assert!(matches!(&client.send(&external("root@a.test"))[..], [Action::LookUp(who)] if who.as_str() == "root@a.test"));
    // Named, but no account; or one that may not.
    for (answer, condition) in [(AskAnswer::Credentials(None), "<not-authorized/>"), (login(false), "<account-disabled/>")] {
        let mut client = certified(&["alice@a.test"]);
        client.send(&external(""));
        client.step(|it, env| it.looked_up(answer, false, env));
        client.heard(condition);
    }
}

// --- ANONYMOUS --------------------------------------------------------------------------------------------------------------

fn open_to_guests() -> Client {
    const GUESTS: Room = Room {
        card: Card { xep: None, name: "Guests", version: "1", status: Status::Complete, needs: &[] },
        mount: |m| {
            m.admit_guests();
            Ok(())
        },
    };
    let mut client = Client::tls();
    let config = RoomConfig::parse("").expect("no configuration");
    let doors =
        [A, B].map(|domain| Doors::open(domain, &[FEATURED, GUESTS], &mut client.names, &config).expect("the rooms mount"));
    client.hosts = Hosts::new(doors);
    client.header(&header(A));
    client
}

#[test]
fn xep0175_4_a_guest_gets_an_address_that_nobody_chose() {
    let mut names = Vec::new();
    for initial in ["", "=", "c2lkaGU="] {
        let mut client = open_to_guests();
        client.counter = names.len() as u8 * 50;
        let actions = client.send(&format!("<auth xmlns='{}' mechanism='ANONYMOUS'>{initial}</auth>", ns::SASL));
        let [Action::LookUpFor(guest, Ask::Guest(None))] = &actions[..] else { panic!("{actions:?}") };
        assert!(guest.as_str().ends_with("@a.test") && guest.node().expect("a node").as_str().len() == 32, "{guest}");
        names.push(guest.clone());
        let actions = client.step(|it, env| it.looked_up(AskAnswer::Done, false, env));
        assert!(matches!(&actions[..], [Action::Authenticated(who), Action::Restart] if who == &names[names.len() - 1]));
    }
    names.dedup();
    assert_eq!(names.len(), 3);
}

#[test]
fn rfc6120_6_5_10_a_guest_for_whom_there_is_no_room_is_told_to_come_again() {
    for (begin, said) in [
        (format!("<auth xmlns='{}' mechanism='ANONYMOUS'/>", ns::SASL), "<temporary-auth-failure/><text xml:lang='en'>as many"),
        (
            format!("<authenticate xmlns='{}' mechanism='ANONYMOUS'/>", ns::SASL2),
            "<temporary-auth-failure xmlns='urn:ietf:params:xml:ns:xmpp-sasl'/><text xml:lang='en'>as many",
        ),
    ] {
        let mut client = open_to_guests();
        client.send(&begin);
        let actions = client.step(|it, env| it.looked_up(AskAnswer::Full, false, env));
        assert!(actions.is_empty(), "{actions:?}");
        assert!(client.heard.contains(said), "{}", client.heard);
    }
}

#[test]
fn xep0175_a_guest_of_sasl2_is_not_remembered() {
    let mut client = open_to_guests();
    let agent = "<user-agent id='d4565fa7-4d72-4749-b3d3-740edbf87770'/><request-token xmlns='urn:xmpp:fast:0' mechanism='HT-SHA-256-NONE'/>";
    client.send(&format!("<authenticate xmlns='{}' mechanism='ANONYMOUS'>{agent}</authenticate>", ns::SASL2));
    let actions = client.step(|it, env| it.looked_up(AskAnswer::Done, false, env));
    assert!(matches!(&actions[..], [Action::Authenticated(_)]), "{actions:?}");
    assert!(!client.heard.contains("<token "), "{}", client.heard);
}

#[test]
fn b8_anonymous_where_it_was_not_switched_on() {
    let mut client = Client::open();
    assert!(!client.heard.contains("ANONYMOUS"));
    client.send(&format!("<auth xmlns='{}' mechanism='ANONYMOUS'/>", ns::SASL));
    client.heard("<invalid-mechanism/>");
}

// --- XEP-0480 ---------------------------------------------------------------------------------------------------------------

/// alice as she came from another server: with keys for SHA-1 alone.
fn imported() -> (AskAnswer, Bytes) {
    let all = Credentials::derive("secret", |salt| salt.fill(7), ITERATIONS_MIN).expect("a password");
    let record = Bytes::from(all.only(Hash::Sha1).encode());
    let login = Login { enabled: true, created_us: 0, since_us: 0, credentials: record.clone() };
    (AskAnswer::Credentials(Some(login)), record)
}

fn upgrades(names: &[&str]) -> String {
    names.iter().map(|name| format!("<upgrade xmlns='urn:xmpp:sasl:upgrade:0'>UPGR-SCRAM-{name}</upgrade>")).collect()
}

/// alice proves her password and selects these tasks. She does it as by SCRAM, which never shows it: no keys are made of it.
fn selecting(names: &[&str]) -> (Client, Vec<Action>, Bytes) {
    let mut client = Client::open();
    let (answer, record) = imported();
    client.send(&authenticate(&upgrades(names)));
    let mut actions = client.step(|it, env| it.looked_up(answer, false, env));
    let Some(Action::Verify(lookup, found)) = actions.pop() else { panic!("PLAIN is verified aside") };
    client.heard.clear();
    let outcome = lookup.credentials(found.as_deref(), &client.policy.fake_salt);
    let actions = client.step(|it, env| it.stepped(outcome, None, env));
    (client, actions, record)
}

fn salted(client: &mut Client, hash: Hash) -> String {
    use ::base64::Engine;
    let base64 = ::base64::engine::general_purpose::STANDARD;
    let (_, rest) = client.heard.split_once("iterations='4096'>").expect("a salt");
    let salt = base64.decode(rest.split_once('<').expect("its end").0).expect("base64");
    client.heard.clear();
    base64.encode(hash.salted_password(b"secret", &salt, 4_096).as_slice())
}

#[test]
fn xep0480_2_1_upgrades_are_offered() {
    let mut client = Client::open();
    client.heard(&format!("{}</authentication>", upgrades(&["SHA-256", "SHA-512"])));
}

#[test]
fn xep0480_3_a_client_helps_to_make_the_keys_that_are_missing() {
    let (mut client, actions, record) = selecting(&["SHA-512", "SHA-256", "SHA-512", "SHA-3"]);
    assert!(actions.is_empty(), "nobody is in yet: {actions:?}");
    for hash in [Hash::Sha512, Hash::Sha256] {
        let task = format!("UPGR-SCRAM-{}", hash.name());
        client.heard(&format!("<continue xmlns='urn:xmpp:sasl:2'><tasks><task>{task}</task></tasks></continue>"));
        client.send(&format!("<next xmlns='urn:xmpp:sasl:2' task='{task}'/>"));
        let answer = salted(&mut client, hash);
        let data =
            format!("<task-data xmlns='urn:xmpp:sasl:2'><hash xmlns='urn:xmpp:scram-upgrade:0'>{answer}</hash></task-data>");
        let actions = client.send(&data);
        if hash == Hash::Sha512 {
            assert!(actions.is_empty(), "{actions:?}");
            continue;
        }
        let [Action::Ask(who, Ask::Upgrade { was, credentials })] = &actions[..] else { panic!("{actions:?}") };
        assert_eq!((who, was), (&alice(), &record));
        let made = Credentials::decode(credentials).expect("keys");
        assert_eq!(made.hashes().count(), 3, "the older ones stay");
        assert!(Hash::ALL.into_iter().all(|hash| made.only(hash).verify_plain("secret")));
    }
    let actions = client.step(|it, env| it.answered(AskAnswer::Done, env));
    assert!(matches!(&actions[..], [Action::Authenticated(_)]), "{actions:?}");
    client.heard("<success xmlns='urn:xmpp:sasl:2'><authorization-identifier>");
}

#[test]
fn xep0480_2_2_what_the_account_has_is_not_made_again() {
    let mut client = Client::open();
    client.proves(&authenticate(&upgrades(&["SHA-256", "SHA-512"])));
    client.heard("<success ");
}

#[test]
fn xep0480_2_2_a_client_that_has_shown_its_password_needs_not_help() {
    let mut client = Client::open();
    client.send(&authenticate(&upgrades(&["SHA-256", "SHA-512"])));
    let mut actions = client.step(|it, env| it.looked_up(imported().0, false, env));
    let Some(Action::Verify(lookup, found)) = actions.pop() else { panic!("PLAIN is verified aside") };
    client.heard.clear();
    let (outcome, better) = lookup.verify(found.as_deref(), &client.policy.fake_salt, |salt| salt.fill(5));
    let actions = client.step(|it, env| it.stepped(outcome, better, env));
    assert!(matches!(&actions[..], [Action::Keep(..), Action::Authenticated(_)]), "{actions:?}");
    client.heard("<success ");
}

#[test]
fn xep0480_a_task_that_goes_wrong_lets_nobody_in() {
    let next = "<next xmlns='urn:xmpp:sasl:2' task='UPGR-SCRAM-SHA-256'/>";
    let data = |hash: &str| format!("<task-data xmlns='urn:xmpp:sasl:2'>{hash}</task-data>");
    let short = data("<hash xmlns='urn:xmpp:scram-upgrade:0'>AAAA</hash>");
    for (steps, condition) in [
        (vec![next.replace("256", "512")], "<malformed-request "),
        (vec![data("")], "<malformed-request "),
        (vec![next.to_owned(), next.to_owned()], "<malformed-request "),
        (vec![next.to_owned(), data("")], "<malformed-request "),
        (vec![next.to_owned(), short], "<malformed-request "),
        (vec!["<abort xmlns='urn:xmpp:sasl:2'/>".to_owned()], "<aborted "),
        (vec![authenticate("")], "<policy-violation "),
        (vec!["<message/>".to_owned()], "<not-authorized "),
        (vec!["<iq type='set' id='1'><bind xmlns='urn:ietf:params:xml:ns:xmpp-bind'/></iq>".to_owned()], "<not-authorized "),
    ] {
        let (mut client, _, _) = selecting(&["SHA-256"]);
        for step in &steps {
            client.heard.clear();
            let actions = client.send(step);
            assert!(!actions.iter().any(|it| matches!(it, Action::Authenticated(_) | Action::Ask(..))), "{step}: {actions:?}");
        }
        assert!(!client.heard.contains("<success"), "{steps:?}");
        client.heard(condition);
    }
}

// --- XEP-0509 ---------------------------------------------------------------------------------------------------------------

#[test]
fn xep0509_2_2_only_who_has_other_features_in_mind_is_turned_back_and_no_attempt_is_counted() {
    let version = |value: &str| format!("<config-version xmlns='urn:xmpp:iap:0' scheme='opaque' value='{value}'/>");
    let mut client = Client::open();
    let (_, rest) =
        client.heard.split_once("<config-version xmlns='urn:xmpp:iap:0' scheme='opaque' value='").expect("a version");
    let current = rest.split_once('\'').expect("its end").0.to_owned();
    for _ in 0..20 {
        assert!(client.send(&authenticate(&version("old"))).is_empty());
        client.heard(
            "<aborted xmlns='urn:ietf:params:xml:ns:xmpp-sasl'/><config-version-mismatch xmlns='urn:xmpp:iap:0'/></failure>",
        );
    }
    assert!(matches!(client.send(&authenticate(&version(&current)))[..], [Action::LookUp(_)]));
    // The same features have the same name, others another.
    assert!(Client::open().heard.contains(&version(&current)));
    let mut other = Client::tls();
    other.policy.plain_sasl = false;
    other.header(&header(A));
    assert!(!other.heard.contains(&version(&current)));
}
