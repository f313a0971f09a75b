use std::time::Duration;

use iris_engine::testing::{Client, House};

use super::Report;
use crate::ROOMS;

const COMMANDS: &str = "http://jabber.org/protocol/commands";

fn block(jid: &str, report: &str) -> String {
    format!("<block xmlns='urn:xmpp:blocking'><item jid='{jid}'>{report}</item></block>")
}

fn reports(house: &mut House, admin: &Client, fields: &str) -> String {
    let begun = house.iq(admin, "set", Some("house"), &format!("<command xmlns='{COMMANDS}' node='reports'/>"));
    let Some(command) = begun.child_named(COMMANDS, "command") else { return begun.as_str().to_owned() };
    let id = begun.child_el(command).attr("sessionid").expect("a session").into_owned();
    let submit = format!("<x xmlns='jabber:x:data' type='submit'>{fields}</x>");
    let xml = format!("<command xmlns='{COMMANDS}' node='reports' sessionid='{id}'>{submit}</command>");
    house.iq(admin, "set", Some("house"), &xml).as_str().to_owned()
}

const ABUSE: &str = "<report xmlns='urn:xmpp:reporting:1' reason='urn:xmpp:reporting:abuse'>\
    <stanza-id xmlns='urn:xmpp:sid:0' by='juliet@house' id='28482'/><stanza-id xmlns='urn:xmpp:sid:0' by='juliet@house' id='38383'/>\
    <text xml:lang='en'>Never came trouble to my house like this.</text><report-origin/></report>";

#[test]
fn s6_a_report_inside_a_block_is_kept_for_the_administrator_and_the_block_holds() {
    let mut house = House::with(ROOMS);
    let juliet = house.online("juliet@house/balcony");
    let answer = house.iq(&juliet, "set", None, &block("romeo@example.net", ABUSE));
    assert_eq!((answer.attr("type").as_deref(), answer.children().len()), (Some("result"), 0), "{}", answer.as_str());
    let list = house.iq(&juliet, "get", None, "<blocklist xmlns='urn:xmpp:blocking'/>");
    assert!(list.as_str().contains("romeo@example.net"));
    // On disk.
    let mut house = house.restart(ROOMS, Duration::from_secs(60));
    let admin = house.online("admin@house/desk");
    let shown = reports(&mut house, &admin, "");
    for part in [
        "juliet@house",
        "romeo@example.net",
        "urn:xmpp:reporting:abuse",
        "Never came trouble",
        "28482 by juliet@house, 38383 by juliet@house",
    ] {
        assert!(shown.contains(&format!("<value>{part}")), "{part}: {shown}");
    }
    let about = "<field var='jid'><value>tybalt@example.net</value></field>";
    assert!(!reports(&mut house, &admin, about).contains("<item>"));
    let romeo = house.online("romeo@house/x");
    assert!(reports(&mut house, &romeo, "").contains("<forbidden "));
}

#[test]
fn s6_a_block_that_is_refused_reports_nothing_and_a_report_without_reason_is_none() {
    let mut house = House::with(ROOMS);
    let juliet = house.online("juliet@house/balcony");
    assert!(house.iq(&juliet, "set", None, &block("@", ABUSE)).as_str().contains("jid-malformed"));
    let answer = house.iq(&juliet, "set", None, &block("romeo@example.net", "<report xmlns='urn:xmpp:reporting:1'/>"));
    assert_eq!(answer.attr("type").as_deref(), Some("result"));
    let admin = house.online("admin@house/desk");
    assert!(!reports(&mut house, &admin, "").contains("<item>"));
}

#[test]
fn nobody_fills_the_disk_with_reports() {
    let mut house = House::with(ROOMS);
    let juliet = house.online("juliet@house/balcony");
    for n in 0..70 {
        house.iq(&juliet, "set", None, &block(&format!("spammer{n}@example.net"), ABUSE));
    }
    let admin = house.online("admin@house/desk");
    let shown = reports(&mut house, &admin, "<field var='max_items'><value>200</value></field>");
    assert_eq!(shown.matches("<item>").count(), 60);
    assert!(shown.find("spammer59").expect("the last") < shown.find("spammer58").expect("the one before"), "the newest first");
    house.advance(Duration::from_secs(3_601));
    house.iq(&juliet, "set", None, &block("late@example.net", ABUSE));
    assert!(reports(&mut house, &admin, "").contains("late@example.net"));
}

#[test]
fn s3_the_feature_is_advertised() {
    let mut house = House::with(ROOMS);
    let juliet = house.online("juliet@house/balcony");
    let info = house.iq(&juliet, "get", Some("house"), "<query xmlns='http://jabber.org/protocol/disco#info'/>");
    assert!(info.as_str().contains("<feature var='urn:xmpp:reporting:1'/>"));
}

#[test]
fn what_is_kept_is_what_was_reported() {
    let xml = format!("<item jid='romeo@example.net'>{ABUSE}</item>");
    let item = iris_core::xml::El::parse(xml.as_bytes()).expect("an element");
    let jid = iris_core::Jid::new("romeo@example.net").expect("a JID");
    let report = Report::of_item(&item, &jid).expect("a report");
    assert_eq!(report.allowed, ["report-origin"]);
    let reporter = iris_core::BareJid::new("juliet@house").expect("a JID");
    assert_eq!(Report::decode(&report.encode(&reporter)), Some((reporter, report)));
    assert_eq!(Report::decode(b"<report xmlns='urn:xmpp:reporting:1'/>"), None);
    assert_eq!(Report::decode(b"?"), None);
}
