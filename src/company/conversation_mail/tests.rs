use std::time::Duration;

use iris_core::{Room, Stanza};
use iris_engine::testing::{Client, House, MAIL_SIZE_BYTES_MAX, MAILS_PER_DAY_MAX};

use super::NODE;

const COMMANDS: &str = "http://jabber.org/protocol/commands";

fn rooms() -> Vec<Room> {
    iris_xep::ROOMS.iter().chain(crate::ROOMS).copied().collect()
}

fn house() -> House {
    House::with(&rooms())
}

fn command(house: &mut House, who: &Client, attrs: &str, inside: &str) -> Stanza {
    let me = who.jid.to_bare().to_string();
    house.iq(who, "set", Some(&me), &format!("<command xmlns='{COMMANDS}' node='{NODE}' {attrs}>{inside}</command>"))
}

fn session(answer: &Stanza) -> String {
    let (_, rest) = answer.as_str().split_once("sessionid='").unwrap_or_else(|| panic!("{}", answer.as_str()));
    rest.split('\'').next().expect("an id").to_owned()
}

fn fields(of: &[(&str, &str)]) -> String {
    let fields: String = of.iter().map(|(var, value)| format!("<field var='{var}'><value>{value}</value></field>")).collect();
    format!("<x xmlns='jabber:x:data' type='submit'>{fields}</x>")
}

/// The whole command with these answers.
fn ask(house: &mut House, who: &Client, of: &[(&str, &str)]) -> String {
    let id = session(&command(house, who, "action='execute'", ""));
    command(house, who, &format!("sessionid='{id}' action='complete'"), &fields(of)).as_str().to_owned()
}

fn send(house: &mut House, who: &Client, with: &str, to: &str) -> String {
    ask(house, who, &[("with", with), ("address", to)])
}

fn say(house: &mut House, from: &Client, to: &str, id: &str, inside: &str) {
    house.send(from, &format!("<message type='chat' to='{to}' id='{id}'>{inside}</message>"));
    house.run();
}

/// Juliet's conversation with Romeo, to a mail server that does not answer: nor does the command.
fn send_to_hang(house: &mut House, juliet: &Client) {
    let id = session(&command(house, juliet, "action='execute'", ""));
    let inside = fields(&[("with", "romeo@house"), ("address", "hangs@house")]);
    house.send(
        juliet,
        &format!("<iq type='set' id='h' to='juliet@house'><command xmlns='{COMMANDS}' node='{NODE}' sessionid='{id}' action='complete'>{inside}</command></iq>"),
    );
    house.run();
}

/// The text that was sent last.
fn last(house: &House) -> String {
    let mails = house.mails.lock().expect("the mails");
    String::from_utf8(mails.sent.last().expect("a mail").file.to_vec()).expect("UTF-8")
}

fn sent(house: &House) -> usize {
    house.mails.lock().expect("the mails").sent.len()
}

/// What stands under the head, without the time in front.
fn lines(text: &str) -> Vec<String> {
    let (_, body) = text.split_once("at that time.\r\n\r\n").expect("a head");
    let without = |line: &str| if line.starts_with("2026-") { line[19..].trim_start().to_owned() } else { line.to_owned() };
    body.lines().map(without).collect()
}

fn lovers(house: &mut House) -> (Client, Client) {
    house.friends("romeo@house", "juliet@house");
    (house.online("romeo@house/orchard"), house.online("juliet@house/balcony"))
}

#[test]
fn a_conversation_of_two_is_a_text_in_a_mail() {
    let mut house = house();
    let (romeo, juliet) = lovers(&mut house);
    let nurse = house.online("nurse@house/x");
    say(&mut house, &romeo, "juliet@house", "1", "<body>I would I were thy bird.</body>");
    say(&mut house, &juliet, "romeo@house", "2", "<body>Sweet, so would I:\nyet I should kill thee\n.\nmit Umlaut ü</body>");
    say(&mut house, &nurse, "juliet@house", "3", "<body>Madam!</body>");
    say(&mut house, &romeo, "juliet@house", "4", "<received xmlns='urn:xmpp:receipts' id='2'/><store xmlns='urn:xmpp:hints'/>");
    let answer = send(&mut house, &juliet, "romeo@house", "juliet@house");
    assert!(answer.contains("status='completed'") && answer.contains("(2 messages) is on its way to juliet@house"), "{answer}");
    let text = last(&house);
    assert!(
        text.starts_with(
            "Conversation of juliet@house with romeo@house\r\nPeriod: all that is kept\r\nMade: 2026-01-01 00:00:"
        ),
        "{text}"
    );
    assert!(text.contains("\r\nMessages: 2\r\n") && text.contains("All times are UTC"), "{text}");
    assert_eq!(
        lines(&text),
        [
            "<romeo@house> I would I were thy bird.",
            "<juliet@house> Sweet, so would I:",
            "    yet I should kill thee",
            "    .",
            "    mit Umlaut ü",
        ]
    );
    let mails = house.mails.lock().expect("the mails");
    let mail = &mails.sent[0];
    assert_eq!((mail.to.as_str(), mail.subject.as_str()), ("juliet@house", "Conversation with romeo@house"));
    assert_eq!(mail.file_name, "romeo-2026-01-01.txt");
    assert!(mail.text.contains("change its password") && !mail.text.contains("bird"), "{}", mail.text);
}

#[test]
fn it_is_offered_at_ones_own_account_and_only_where_there_is_mail() {
    let mut house = house();
    let (romeo, juliet) = lovers(&mut house);
    let items = format!("<query xmlns='http://jabber.org/protocol/disco#items' node='{COMMANDS}'/>");
    let offered = |house: &mut House, who: &Client, to: &str| house.iq(who, "get", Some(to), &items).as_str().contains(NODE);
    assert!(offered(&mut house, &juliet, "juliet@house") && offered(&mut house, &juliet, "house"));
    assert!(!offered(&mut house, &romeo, "juliet@house"), "another's account is nobody's business");
    house.reload_without_mail(&rooms());
    assert!(!offered(&mut house, &juliet, "juliet@house"));
    assert!(command(&mut house, &juliet, "action='execute'", "").as_str().contains("<item-not-found "));
}

#[test]
fn the_form_has_the_address_of_ones_card_if_it_may_have_mail() {
    let mut house = house();
    let (_, juliet) = lovers(&mut house);
    let form = command(&mut house, &juliet, "action='execute'", "").as_str().to_owned();
    assert!(form.contains("<field var='address'") && form.contains("<value>juliet@house</value>"), "{form}");
    assert!(form.contains("datatype='xs:date'") && form.contains("type='jid-single'"), "{form}");
    let card = "<vCard xmlns='vcard-temp'><FN>J</FN><EMAIL><USERID>j@elsewhere.example</USERID></EMAIL>\
                <EMAIL><WORK/><USERID>j.capulet@house</USERID></EMAIL></vCard>";
    house.iq(&juliet, "set", None, card);
    let form = command(&mut house, &juliet, "action='execute'", "").as_str().to_owned();
    assert!(form.contains("<value>j.capulet@house</value>") && !form.contains("elsewhere"), "{form}");
    let away = house.online("stranger@away/x");
    let form = command(&mut house, &away, "action='execute'", "").as_str().to_owned();
    assert!(!form.contains("stranger@away</value>"), "an address that would be refused is not proposed: {form}");
}

#[test]
fn an_address_elsewhere_is_refused_and_the_form_stays() {
    let mut house = house();
    let (romeo, juliet) = lovers(&mut house);
    say(&mut house, &romeo, "juliet@house", "1", "<body>hi</body>");
    let id = session(&command(&mut house, &juliet, "action='execute'", ""));
    let attrs = format!("sessionid='{id}' action='complete'");
    for evil in ["juliet@elsewhere.example", "juliet@house&#10;Bcc: evil@elsewhere.example", "a@elsewhere.example,juliet@house"]
    {
        let answer = command(&mut house, &juliet, &attrs, &fields(&[("with", "romeo@house"), ("address", evil)]));
        assert!(answer.as_str().contains("<not-acceptable "), "{}", answer.as_str());
    }
    let answer = command(&mut house, &juliet, &attrs, &fields(&[("with", "romeo@house"), ("address", "x@elsewhere.example")]));
    assert!(answer.as_str().contains("an administrator of this server can allow others"), "{}", answer.as_str());
    assert_eq!(sent(&house), 0);
    let answer = command(&mut house, &juliet, &attrs, &fields(&[("with", "romeo@house"), ("address", "j@house")]));
    assert!(answer.as_str().contains("status='completed'"), "{}", answer.as_str());
}

#[test]
fn days_are_utc_and_both_are_meant() {
    let mut house = house();
    lovers(&mut house);
    for day in 1..=4 {
        let romeo = house.online(&format!("romeo@house/{day}"));
        say(&mut house, &romeo, "juliet@house", &format!("d{day}"), &format!("<body>day {day}</body>"));
        house.advance(Duration::from_secs(86_400));
    }
    // The days were too long for the session of before.
    let juliet = house.online("juliet@house/later");
    let of = |house: &mut House, first: &str, last_day: &str| {
        let answer =
            ask(house, &juliet, &[("with", "romeo@house"), ("first", first), ("last", last_day), ("address", "j@house")]);
        assert!(answer.contains("completed"), "{answer}");
        let text = last(house);
        (lines(&text).len(), text)
    };
    let (count, text) = of(&mut house, "2026-01-02", "2026-01-03");
    assert!(count == 2 && text.contains("Period: from 2026-01-02 to 2026-01-03\r\n"), "{text}");
    assert_eq!((of(&mut house, "2026-01-04", "").0, of(&mut house, "", "2026-01-01").0), (1, 1));
    for (first, last_day, condition) in [
        ("2026-01-03", "2026-01-02", "first day is after"),
        ("2026-02-30", "", "first: "),
        ("yesterday", "", "first: "),
        ("2025-01-01", "2025-12-31", "no messages of that time"),
    ] {
        let answer =
            ask(&mut house, &juliet, &[("with", "romeo@house"), ("first", first), ("last", last_day), ("address", "j@house")]);
        assert!(answer.contains("type='error'") && answer.contains(condition), "{answer}");
    }
}

#[test]
fn what_was_corrected_taken_back_or_encrypted() {
    let mut house = house();
    let (romeo, juliet) = lovers(&mut house);
    let said = [
        ("1", "<body>he jests at scarfs</body>"),
        ("2", "<body>never to be read</body>"),
        ("3", "<body>/me sighs</body>"),
        (
            "4",
            "<body>I sent you an OMEMO message</body><encrypted xmlns='eu.siacs.conversations.axolotl'><header sid='1'/><payload>x</payload></encrypted>\
               <store xmlns='urn:xmpp:hints'/>",
        ),
        ("5", "<body>https://house/f/a.pdf</body><x xmlns='jabber:x:oob'><url>https://house/f/a.pdf</url></x>"),
        (
            "6",
            "<body>Look</body><file-sharing xmlns='urn:xmpp:sfs:0'><file xmlns='urn:xmpp:file:metadata:0'><name>plan.pdf</name><size>1234</size>\
               </file><sources><url-data xmlns='http://jabber.org/protocol/url-data' target='https://house/f/b'/></sources></file-sharing>",
        ),
        ("7", "<body>at scars</body><replace xmlns='urn:xmpp:message-correct:0' id='1'/>"),
        ("8", "<body>he jests at scars</body><replace xmlns='urn:xmpp:message-correct:0' id='1'/>"),
        (
            "9",
            "<body>This person attempted to retract</body><retract xmlns='urn:xmpp:message-retract:1' id='2'/>\
               <fallback xmlns='urn:xmpp:fallback:0' for='urn:xmpp:message-retract:1'/><store xmlns='urn:xmpp:hints'/>",
        ),
    ];
    for (id, inside) in said {
        say(&mut house, &romeo, "juliet@house", id, inside);
    }
    // Somebody else corrects nothing.
    say(&mut house, &juliet, "romeo@house", "10", "<body>forged</body><replace xmlns='urn:xmpp:message-correct:0' id='1'/>");
    send(&mut house, &juliet, "romeo@house", "j@house");
    let text = last(&house);
    assert!(!text.contains("never to be read") && !text.contains("attempted"), "{text}");
    let lines = lines(&text);
    let rest: Vec<&str> = lines.iter().map(String::as_str).collect();
    assert!(
        rest[0].starts_with("(corrected 2026-01-01 00:00:0") && rest[0].ends_with(")  <romeo@house> he jests at scars"),
        "{rest:?}"
    );
    assert_eq!(
        rest[1..7],
        [
            "-- <romeo@house> has taken back a message",
            "* <romeo@house> sighs",
            "<romeo@house> [encrypted message]",
            "<romeo@house> https://house/f/a.pdf",
            "<romeo@house> Look",
            "    [file: plan.pdf, 1234 bytes] https://house/f/b",
        ]
    );
    assert!(rest.len() == 8 && rest[7].starts_with("(corrected") && rest[7].ends_with("<juliet@house> forged"), "{rest:?}");
}

fn room(house: &mut House, owner: &Client, members_only: bool) {
    house.send(owner, "<presence to='hall@conference.house/romeo'><x xmlns='http://jabber.org/protocol/muc'/></presence>");
    house.run();
    let only = fields(&[
        ("FORM_TYPE", "http://jabber.org/protocol/muc#roomconfig"),
        ("muc#roomconfig_roomname", "The Hall"),
        ("muc#roomconfig_persistentroom", "1"),
        ("muc#roomconfig_membersonly", if members_only { "1" } else { "0" }),
    ]);
    let configured = house.iq(
        owner,
        "set",
        Some("hall@conference.house"),
        &format!("<query xmlns='http://jabber.org/protocol/muc#owner'>{only}</query>"),
    );
    assert!(configured.as_str().contains("type='result'"), "{}", configured.as_str());
}

fn groupchat(house: &mut House, who: &Client, id: &str, inside: &str) {
    house.send(who, &format!("<message type='groupchat' to='hall@conference.house' id='{id}'>{inside}</message>"));
    house.run();
}

#[test]
fn a_room_gives_its_conversation_to_whoever_may_read_its_archive() {
    let mut house = house();
    let (romeo, juliet) = lovers(&mut house);
    let mallory = house.online("mallory@house/x");
    room(&mut house, &romeo, true);
    let member = "<query xmlns='http://jabber.org/protocol/muc#admin'><item affiliation='member' jid='juliet@house'/></query>";
    house.iq(&romeo, "set", Some("hall@conference.house"), member);
    groupchat(&mut house, &romeo, "1", "<body>quiet here\n2026-01-01 00:00:09  &lt;juliet&gt; yes</body>");
    groupchat(&mut house, &romeo, "2", "<subject>Masks&#10;and more</subject>");
    groupchat(&mut house, &romeo, "3", "<body>very quiet</body><replace xmlns='urn:xmpp:message-correct:0' id='1'/>");
    groupchat(&mut house, &romeo, "4", "<body>/me leaves</body>");
    let answer = send(&mut house, &juliet, "hall@conference.house", "juliet@house");
    assert!(answer.contains("status='completed'"), "a member who is away: {answer}");
    let text = last(&house);
    assert!(text.starts_with("Conversation of juliet@house with the room The Hall (hall@conference.house)\r\n"), "{text}");
    let lines = lines(&text);
    assert!(lines[0].ends_with(")  <romeo> very quiet"), "{lines:?}");
    assert_eq!(lines[1..], ["-- <romeo> has set the subject: Masks and more", "* <romeo> leaves"]);
    for (who, with) in
        [(&mallory, "hall@conference.house"), (&mallory, "nowhere@conference.house"), (&juliet, "nowhere@conference.house")]
    {
        let answer = send(&mut house, who, with, "juliet@house");
        assert!(answer.contains("<not-acceptable ") && !answer.contains("quiet"), "{answer}");
    }
    assert_eq!(sent(&house), 1);
    // The right is judged when it is asked for.
    house.iq(&romeo, "set", Some("hall@conference.house"), &member.replace("'member'", "'none'"));
    let answer = send(&mut house, &juliet, "hall@conference.house", "juliet@house");
    assert!(answer.contains("lets you read nothing"), "{answer}");
}

#[test]
fn what_an_occupant_whispers_is_in_ones_own_archive() {
    let mut house = house();
    let (romeo, juliet) = lovers(&mut house);
    room(&mut house, &romeo, false);
    house.send(&juliet, "<presence to='hall@conference.house/juliet'><x xmlns='http://jabber.org/protocol/muc'/></presence>");
    house.run();
    let x = "<x xmlns='http://jabber.org/protocol/muc#user'/>";
    say(&mut house, &romeo, "hall@conference.house/juliet", "1", &format!("<body>psst</body>{x}"));
    let answer = send(&mut house, &juliet, "hall@conference.house/romeo", "juliet@house");
    assert!(answer.contains("(1 message)"), "{answer}");
}

#[test]
fn what_the_mail_server_says_is_told_in_general_words() {
    let mut house = house();
    let (romeo, juliet) = lovers(&mut house);
    say(&mut house, &romeo, "juliet@house", "1", "<body>hi</body>");
    for (to, condition, words) in [
        ("busy@house", "resource-constraint", "at once"),
        ("unreachable@house", "remote-server-timeout", "cannot be reached"),
        ("login-refused@house", "internal-server-error", "does not let this server in"),
        ("recipient-refused@house", "not-acceptable", "does not take mail for that address"),
        ("too-large@house", "not-acceptable", "a first and a last day"),
        ("refused@house", "remote-server-timeout", "does not take the mail"),
        ("unknown@house", "remote-server-timeout", "look whether it comes"),
    ] {
        let answer = send(&mut house, &juliet, "romeo@house", to);
        assert!(answer.contains(&format!("<{condition} ")) && answer.contains(words), "{to}: {answer}");
    }
}

#[test]
fn one_at_a_time_and_some_a_day() {
    let mut house = house();
    let (romeo, juliet) = lovers(&mut house);
    say(&mut house, &romeo, "juliet@house", "1", "<body>hi</body>");
    send_to_hang(&mut house, &juliet);
    assert_eq!(sent(&house), 1);
    let answer = send(&mut house, &juliet, "romeo@house", "j@house");
    assert!(answer.contains("<resource-constraint ") && answer.contains("of yours is being sent"), "{answer}");
    assert!(send(&mut house, &romeo, "juliet@house", "r@house").contains("completed"), "others are not kept waiting");
    // Whoever asked is gone when the answer comes: nobody is harmed, and it counts.
    house.close(&juliet);
    let reply = house.mails.lock().expect("the mails").hanging.pop().expect("one that waits");
    reply(iris_core::ports::Mailed::Taken);
    house.run();
    let juliet = house.online("juliet@house/again");
    for n in 1..MAILS_PER_DAY_MAX {
        let answer = send(&mut house, &juliet, "romeo@house", "j@house");
        assert!(answer.contains("completed"), "{n}: {answer}");
    }
    let answer = send(&mut house, &juliet, "romeo@house", "j@house");
    assert!(answer.contains("<resource-constraint ") && answer.contains("in a day"), "{answer}");
    // It is not forgotten by a restart, and tomorrow is another day.
    let mut house = house.restart(&rooms(), Duration::from_secs(60));
    let juliet = house.online("juliet@house/again");
    assert!(send(&mut house, &juliet, "romeo@house", "j@house").contains("in a day"));
    house.advance(Duration::from_secs(86_400));
    assert!(send(&mut house, &juliet, "romeo@house", "j@house").contains("completed"));
}

#[test]
fn a_mail_server_that_hangs_is_given_up_and_keeps_nobody_waiting() {
    let mut house = house();
    let (romeo, juliet) = lovers(&mut house);
    say(&mut house, &romeo, "juliet@house", "1", "<body>hi</body>");
    send_to_hang(&mut house, &juliet);
    say(&mut house, &romeo, "juliet@house", "2", "<body>still here?</body>");
    assert!(house.hear(&juliet).concat().contains("still here?"), "nobody else waits");
    house.advance(Duration::from_secs(31));
    let heard = house.hear(&juliet).concat();
    assert!(heard.contains("id='h'") && heard.contains("<remote-server-timeout "), "{heard}");
}

#[test]
fn one_that_is_too_large_says_what_to_do() {
    let mut house = house();
    let (romeo, juliet) = lovers(&mut house);
    let long = "x".repeat(8 * 1024);
    for n in 0..MAIL_SIZE_BYTES_MAX / long.len() + 1 {
        say(&mut house, &romeo, "juliet@house", &format!("n{n}"), &format!("<body>{long}</body>"));
    }
    let answer = send(&mut house, &juliet, "romeo@house", "j@house");
    assert!(
        answer.contains("<not-acceptable ") && answer.contains("more than 64 KiB") && answer.contains("first and a last day"),
        "{answer}"
    );
    assert_eq!(sent(&house), 0);
}

#[test]
fn more_than_one_page_is_in_order_and_each_once() {
    let mut house = house();
    let (romeo, juliet) = lovers(&mut house);
    let count = super::reading::PAGE_ENTRIES as usize * 2 + 7;
    for n in 0..count {
        say(&mut house, &romeo, "juliet@house", &format!("n{n}"), &format!("<body>no {n}</body>"));
        house.hear(&juliet);
    }
    send(&mut house, &juliet, "romeo@house", "j@house");
    let expected: Vec<String> = (0..count).map(|n| format!("<romeo@house> no {n}")).collect();
    assert_eq!(lines(&last(&house)), expected);
}
