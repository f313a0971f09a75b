//! Message carbons (XEP-0280) over real sockets: who gets a copy of what, rule by rule.

use std::time::Duration;

use crate::client::{Client, PATIENCE, attribute, between};
use crate::server::{Data, Server};

/// Long enough for what should not come, where nothing says that all has come.
const QUIET: Duration = Duration::from_millis(150);

struct Verona {
    _data: Data,
    server: Server,
    /// Two devices of hers have carbons on, a third has not.
    desk: Client,
    phone: Client,
    plain: Client,
    bob: Client,
}

fn verona() -> Verona {
    let data = Data::with_users(["alice", "bob"]);
    let server = data.start();
    let online = |user: &str, resource: &str| {
        let mut client = Client::online(server.plain, user, resource);
        client.ping(PATIENCE).expect("a pong");
        client
    };
    let (mut desk, mut phone) = (online("alice", "desk"), online("alice", "phone"));
    let (plain, bob) = (online("alice", "plain"), online("bob", "x"));
    for client in [&mut desk, &mut phone] {
        let answer = client.iq("set", None, "<enable xmlns='urn:xmpp:carbons:2'/>");
        assert!(answer.contains("type='result'"), "{answer}");
    }
    let mut verona = Verona { _data: data, server, desk, phone, plain, bob };
    verona.quiet();
    verona
}

impl Verona {
    /// Everything underway has arrived; the messages that were heard, by device: desk, phone, plain.
    fn heard(&mut self) -> [Vec<String>; 3] {
        // What the desk has said is on its way to bob; what bob says after that, comes after all that came of it.
        self.desk.send("<iq type='get' id='sync'><ping xmlns='urn:xmpp:ping'/></iq>");
        let mut desk = until(&mut self.desk, "id='sync'");
        for device in ["desk", "phone", "plain"] {
            self.bob.send(&format!("<message to='alice@localhost/{device}' type='headline'><sync xmlns='urn:x'/></message>"));
        }
        desk.extend(until(&mut self.desk, "<sync "));
        let mut heard = [desk, until(&mut self.phone, "<sync "), until(&mut self.plain, "<sync ")];
        heard.iter_mut().for_each(|xml| xml.retain(|xml| xml.starts_with("<message")));
        heard
    }

    fn quiet(&mut self) {
        self.heard();
    }

    /// How many of each device's stanzas are originals, `<sent/>` and `<received/>` copies.
    #[track_caller]
    fn expect(&mut self, what: &str, wanted: [[usize; 3]; 3]) {
        let heard = self.heard();
        let counted = heard.each_ref().map(|xml| {
            let copies =
                |name: &str| xml.iter().filter(|it| it.contains(&format!("<{name} xmlns='urn:xmpp:carbons:2'"))).count();
            let (sent, received) = (copies("sent"), copies("received"));
            [xml.len() - sent - received, sent, received]
        });
        assert_eq!(counted, wanted, "{what}: {heard:#?}");
        for copy in heard.iter().flatten().filter(|it| it.contains("<forwarded ")) {
            // Section 6: from the bare JID, which is what tells a copy from a forgery; forwarded whole.
            assert_eq!(attribute(copy, "from"), Some("alice@localhost"), "{copy}");
            assert!(copy.contains("<forwarded xmlns='urn:xmpp:forward:0'><message xmlns='jabber:client'"), "{copy}");
        }
    }
}

/// Everything before this.
fn until(client: &mut Client, needle: &str) -> Vec<String> {
    let mut heard = Vec::new();
    loop {
        let element = client.read(PATIENCE).expect(needle);
        if element.contains(needle) {
            return heard;
        }
        heard.push(element);
    }
}

/// What a message carries, and whether it is copied (section 6.1).
const RULES: &[(&str, &str, bool)] = &[
    ("chat", "<body>hi</body>", true),
    ("normal", "<body>hi</body>", true),
    ("normal", "<x xmlns='urn:x'/>", false),
    ("chat", "<composing xmlns='http://jabber.org/protocol/chatstates'/>", true),
    ("normal", "<active xmlns='http://jabber.org/protocol/chatstates'/>", true),
    ("normal", "<received xmlns='urn:xmpp:receipts' id='1'/>", true),
    ("normal", "<displayed xmlns='urn:xmpp:chat-markers:0' id='1'/>", true),
    ("normal", "<x xmlns='jabber:x:conference' jid='room@muc'/>", true),
    ("chat", "<body>hi</body><private xmlns='urn:xmpp:carbons:2'/>", false),
    ("chat", "<body>hi</body><no-copy xmlns='urn:xmpp:hints'/>", false),
    ("headline", "<body>hi</body>", false),
    ("groupchat", "<body>hi</body>", false),
    ("chat", "<received xmlns='urn:xmpp:carbons:2'><forwarded xmlns='urn:xmpp:forward:0'/></received>", false),
];

#[test]
fn s6_1_and_7_what_comes_to_one_device_is_copied_to_the_others_that_want_it() {
    let mut verona = verona();
    for (kind, inside, copied) in RULES {
        let copied = usize::from(*copied);
        verona.bob.send(&format!("<message to='alice@localhost/desk' type='{kind}'>{inside}</message>"));
        // A forged copy counts as one here: it is passed on as bob's, never as ours.
        let forged = usize::from(inside.contains("<forwarded"));
        if forged == 1 {
            let [desk, phone, plain] = verona.heard();
            assert!(desk.len() == 1 && phone.is_empty() && plain.is_empty(), "{inside}");
            assert_eq!(attribute(&desk[0], "from"), Some("bob@localhost/x"), "{}", desk[0]);
            continue;
        }
        verona.expect(&format!("{kind} {inside}"), [[1, 0, 0], [0, 0, copied], [0, 0, 0]]);
    }
}

#[test]
fn s6_1_and_8_what_one_device_says_is_copied_to_the_others_that_want_it() {
    let mut verona = verona();
    for (kind, inside, copied) in RULES {
        let copied = usize::from(*copied);
        verona.desk.send(&format!("<message to='bob@localhost' type='{kind}'>{inside}</message>"));
        let expected_error = usize::from(*kind == "groupchat");
        verona.expect(&format!("{kind} {inside}"), [[expected_error, 0, 0], [0, copied, 0], [0, 0, 0]]);
    }
}

#[test]
fn s7_to_the_bare_jid_every_device_gets_it_once_and_no_copy_beside_it() {
    let mut verona = verona();
    verona.bob.send("<message to='alice@localhost' type='chat'><body>all</body></message>");
    verona.expect("bare", [[1, 0, 0], [1, 0, 0], [1, 0, 0]]);
    // A device that does not want messages to the bare JID gets a copy.
    verona.phone.send("<presence><priority>-1</priority></presence>");
    verona.quiet();
    verona.bob.send("<message to='alice@localhost' type='chat'><body>some</body></message>");
    verona.expect("negative", [[1, 0, 0], [0, 0, 1], [1, 0, 0]]);
}

#[test]
fn s6_1_an_error_is_copied_when_it_answers_what_was_copied() {
    let mut verona = verona();
    verona.desk.send("<message to='nobody@localhost' type='chat' id='lost'><body>hi</body></message>");
    // That there is nobody, only the disk knows: it takes a while.
    assert!(until(&mut verona.desk, "type='error'").is_empty());
    verona.expect("a bounce", [[0, 0, 0], [0, 1, 1], [0, 0, 0]]);
    // One that answers nothing is its device's alone.
    verona.bob.send("<message to='alice@localhost/desk' type='error' id='unasked'><body>hi</body></message>");
    verona.expect("an error out of nowhere", [[1, 0, 0], [0, 0, 0], [0, 0, 0]]);
}

#[test]
fn s8_a_note_between_ones_own_devices_is_not_copied_to_who_has_it() {
    let mut verona = verona();
    verona.desk.send("<message to='alice@localhost/phone' type='chat'><body>note</body></message>");
    let [desk, phone, plain] = verona.heard();
    assert!(desk.is_empty() && plain.is_empty(), "{desk:?} {plain:?}");
    assert_eq!(phone.iter().filter(|xml| xml.contains("note") && !xml.contains("carbons")).count(), 1, "{phone:?}");
}

#[test]
fn s5_a_device_that_no_longer_wants_copies_gets_none_and_a_new_one_has_to_ask() {
    let mut verona = verona();
    let answer = verona.phone.iq("set", None, "<disable xmlns='urn:xmpp:carbons:2'/>");
    assert!(answer.contains("type='result'"), "{answer}");
    verona.bob.send("<message to='alice@localhost/desk' type='chat'><body>hi</body></message>");
    verona.expect("off", [[1, 0, 0], [0, 0, 0], [0, 0, 0]]);
    // Twice is as good as once (section 5).
    for _ in 0..2 {
        verona.phone.iq("set", None, "<enable xmlns='urn:xmpp:carbons:2'/>");
    }
    verona.bob.send("<message to='alice@localhost/desk' type='chat'><body>hi</body></message>");
    verona.expect("on", [[1, 0, 0], [0, 0, 1], [0, 0, 0]]);
    let mut late = Client::online(verona.server.plain, "alice", "late");
    late.ping(PATIENCE).expect("a pong");
    late.drain(QUIET);
    verona.bob.send("<message to='alice@localhost/desk' type='chat'><body>hi</body></message>");
    verona.bob.ping(PATIENCE).expect("a pong");
    assert!(late.drain(QUIET).iter().all(|xml| !xml.starts_with("<message")));
}

#[test]
fn s11_a_copy_carries_the_message_whole_with_the_archives_id() {
    let mut verona = verona();
    verona.desk.send("<message to='bob@localhost' type='chat' id='m'><body>a &lt; b</body><thread>t</thread></message>");
    let [_, phone, _] = verona.heard();
    let copy = &phone[0];
    assert!(copy.contains("from='alice@localhost/desk'") && copy.contains("to='bob@localhost'"), "{copy}");
    assert!(copy.contains("<body>a &lt; b</body><thread>t</thread>"), "{copy}");
    assert!(between(copy, "<stanza-id xmlns='urn:xmpp:sid:0' by='alice@localhost' id='", "'").is_some(), "{copy}");
    let heard = verona.bob.expect("a &lt; b");
    assert!(!heard.contains("by='alice@localhost'"), "her archive's id is nobody else's business: {heard}");
}

#[test]
fn s3_the_server_says_that_it_copies() {
    let mut verona = verona();
    let info = verona.desk.iq("get", Some("localhost"), "<query xmlns='http://jabber.org/protocol/disco#info'/>");
    assert!(info.contains("<feature var='urn:xmpp:carbons:2'/>"), "{info}");
}
