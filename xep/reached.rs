//! Every limit that somebody can reach says which one it is and who can change it (`Bounce::over`): one walk through them.

use iris_core::Stanza;
use iris_engine::testing::{Client, House};

use crate::ROOMS;

const SMALL: &str = "[plans]\ndefault = \"small\"\n[plans.small]\nbubbles_create = true\nbubble_members_max = 2\n\
    storage_bytes_max = 1000\nfile_bytes_max = 600\nchannels_create = true\n\
    [xep.upload]\nprofile_bytes_max = 300\nprofile_file_bytes_max = 200\n\
    [xep.pubsub]\nnodes_per_user_max = 1\nitem_size_bytes_max = 2000\nsubscriptions_per_node_max = 1\n\
    [xep.muc]\nnick_bytes_max = 8\naffiliations_max = 2\nrooms_per_user_max = 3\n[xep.private]\nitems_max = 1\n";
const PUBSUB: &str = "http://jabber.org/protocol/pubsub";
const MUC: &str = "http://jabber.org/protocol/muc";
const OPERATOR: &str = "whoever runs this server can change that";
const PLAN: &str = "that is the plan \"small\", and whoever runs this server gives plans";
const NOBODY: &str = "that is the same for everybody: ";

#[track_caller]
fn says(answer: &Stanza, which: &str, who: &str) {
    let el = answer.el();
    let error = el.children().find(|it| it.local() == "error").unwrap_or_else(|| panic!("{which}: {}", answer.as_str()));
    let text = error.children().find(|it| it.local() == "text").map(|it| it.text().into_owned()).unwrap_or_default();
    assert!(text.contains(which) && text.contains(who), "{which}, {who}: {}", answer.as_str());
}

fn pubsub(house: &mut House, who: &Client, inside: &str) -> Stanza {
    house.iq(who, "set", Some("pubsub.house"), &format!("<pubsub xmlns='{PUBSUB}'>{inside}</pubsub>"))
}

fn configured(fields: &str) -> String {
    let form_type = format!("<field var='FORM_TYPE'><value>{PUBSUB}#node_config</value></field>");
    format!("<configure><x xmlns='jabber:x:data' type='submit'>{form_type}{fields}</x></configure>")
}

fn item(id: &str, size_bytes: usize) -> String {
    format!("<publish node='n'><item id='{id}'><x xmlns='urn:x'>{}</x></item></publish>", "a".repeat(size_bytes))
}

#[test]
fn channels() {
    let mut house = House::with_config(ROOMS, SMALL);
    let (romeo, juliet) = (house.online("romeo@house/o"), house.online("juliet@house/b"));
    let field = |var: &str, value: &str| format!("<field var='pubsub#{var}'><value>{value}</value></field>");
    let full = field("max_items", "1") + &field("max_payload_size", "1000") + &field("publish_node_full", "reject");
    let made = pubsub(&mut house, &romeo, &format!("<create node='n'/>{}", configured(&full)));
    assert_eq!(made.attr("type").as_deref(), Some("result"), "{}", made.as_str());
    says(&pubsub(&mut house, &romeo, "<create node='m'/>"), "you have 1 nodes", OPERATOR);
    says(&pubsub(&mut house, &romeo, &item("1", 1_500)), "at most 1000 bytes", "the owners of the node can change that");
    says(&pubsub(&mut house, &romeo, &item("1", 3_000)), "at most 1000 bytes", "the owners of the node can change that");
    assert_eq!(pubsub(&mut house, &romeo, &item("1", 1)).attr("type").as_deref(), Some("result"));
    says(&pubsub(&mut house, &romeo, &item("2", 1)), "this node keeps 1 items", "the owners of the node can change that");
    let subscribe = |jid: &str| format!("<subscribe node='n' jid='{jid}'/>");
    assert_eq!(pubsub(&mut house, &romeo, &subscribe("romeo@house")).attr("type").as_deref(), Some("result"));
    says(&pubsub(&mut house, &juliet, &subscribe("juliet@house")), "a node has at most 1 subscriptions", OPERATOR);
}

#[test]
fn rooms() {
    let mut house = House::with_config(ROOMS, SMALL);
    let (romeo, juliet) = (house.online("romeo@house/o"), house.online("juliet@house/b"));
    let room = "garden@conference.house";
    let join = |house: &mut House, who: &Client, room: &str, nick: &str| {
        house.recv(who);
        house.send(who, &format!("<presence to='{room}/{nick}'><x xmlns='{MUC}'/></presence>"));
        house.recv(who)
    };
    join(&mut house, &romeo, room, "romeo");
    let configure = |house: &mut House, fields: &[(&str, &str)]| {
        let fields: String = fields
            .iter()
            .map(|(var, value)| format!("<field var='muc#roomconfig_{var}'><value>{value}</value></field>"))
            .collect();
        let form = format!("<query xmlns='{MUC}#owner'><x xmlns='jabber:x:data' type='submit'>{fields}</x></query>");
        house.iq(&romeo, "set", Some(room), &form)
    };
    configure(&mut house, &[("persistentroom", "1"), ("maxusers", "1"), ("slow_mode_duration", "20")]);
    says(&configure(&mut house, &[("maxusers", "100000")]), "is from 1 to 1000", OPERATOR);
    says(&configure(&mut house, &[("slow_mode_duration", "100000000")]), "seconds", NOBODY);
    says(&join(&mut house, &juliet, room, "juliet")[0], "the room has its 1 people", "the owners of the room can change that");
    configure(&mut house, &[("maxusers", "20")]);
    says(&join(&mut house, &juliet, room, "a-long-nickname")[0], "a nickname has at most 8 bytes", OPERATOR);
    join(&mut house, &juliet, room, "juliet");
    for n in 0..2 {
        house.recv(&juliet);
        house.send(&juliet, &format!("<message to='{room}' type='groupchat' id='{n}'><body>hi</body></message>"));
    }
    says(&house.one(&juliet), "20 seconds between messages", "the owners of the room can change that");
    let admin = |house: &mut House, jid: &str| {
        let item = format!("<item affiliation='member' jid='{jid}'/>");
        house.iq(&romeo, "set", Some(room), &format!("<query xmlns='{MUC}#admin'>{item}</query>"))
    };
    admin(&mut house, "juliet@house");
    says(&admin(&mut house, "nurse@house"), "a room has at most 2 affiliations", OPERATOR);
    let card = format!("<vCard xmlns='vcard-temp'><NOTE>{}</NOTE></vCard>", "a".repeat(200_000));
    says(&house.iq(&romeo, "set", Some(room), &card), "bytes", NOBODY);
    let mut last = None;
    for _ in 0..=500 {
        let answer = house.iq(&romeo, "set", Some(room), "<request xmlns='urn:xmpp:muc-token-invite:0'/>");
        if answer.attr("type").as_deref() == Some("error") {
            last = Some(answer);
            break;
        }
    }
    says(&last.expect("there is an end"), "tokens", NOBODY);
    for n in 1..3 {
        join(&mut house, &romeo, &format!("room{n}@conference.house"), "romeo");
    }
    says(&join(&mut house, &romeo, "room3@conference.house", "romeo")[0], "you have made 3 rooms", OPERATOR);
}

#[test]
fn files() {
    let mut house = House::with_config(ROOMS, SMALL);
    let (romeo, juliet) = (house.online("romeo@house/o"), house.online("juliet@house/b"));
    let mut slot_of = |who: &Client, purpose: &str, size: usize| {
        let purpose =
            if purpose.is_empty() { String::new() } else { format!("<{purpose} xmlns='urn:xmpp:http:upload:purpose:0'/>") };
        let request = format!("<request xmlns='urn:xmpp:http:upload:0' filename='a.png' size='{size}'>{purpose}</request>");
        house.iq(who, "get", Some("upload.house"), &request)
    };
    let full = (0..=50).map(|_| slot_of(&juliet, "", 1)).last().expect("many");
    says(&full, "You have 50 slots that are not used yet", NOBODY);
    let mut slot = |purpose: &str, size: usize| slot_of(&romeo, purpose, size);
    says(&slot("", 601), "The maximum file size is 600 bytes", PLAN);
    says(&slot("profile", 201), "The maximum file size is 200 bytes", OPERATOR);
    assert_eq!(slot("profile", 200).attr("type").as_deref(), Some("result"));
    says(&slot("profile", 150), "may take 300 bytes, and 200 are taken", OPERATOR);
    assert_eq!(slot("", 600).attr("type").as_deref(), Some("result"));
    says(&slot("", 300), "may take 1000 bytes, and 800 are taken", PLAN);
    // Of a picture of oneself it is what it is that is full.
    assert_eq!(slot("", 150).attr("type").as_deref(), Some("result"));
    says(&slot("profile", 60), "may take 1000 bytes, and 950 are taken", PLAN);
}

#[test]
fn accounts() {
    let mut house = House::with_config(ROOMS, SMALL);
    let romeo = house.online("romeo@house/o");
    let enable = |n: usize| format!("<enable xmlns='urn:xmpp:push:0' jid='push.elsewhere' node='{n}'/>");
    let mut answers = (0..100).map(|n| house.iq(&romeo, "set", None, &enable(n)));
    says(&answers.find(|it| it.attr("type").as_deref() == Some("error")).expect("an end"), "push services", NOBODY);
    let keep = |n: usize| format!("<query xmlns='jabber:iq:private'><x xmlns='urn:x:{n}'>kept</x></query>");
    house.iq(&romeo, "set", None, &keep(1));
    says(&house.iq(&romeo, "set", None, &keep(2)), "private storage has at most 1 items", OPERATOR);
    let most = house.shards[0].house().limits.blocked_max;
    let items: String = (0..=most).map(|n| format!("<item jid='u{n}@elsewhere'/>")).collect();
    let blocked = house.iq(&romeo, "set", None, &format!("<block xmlns='urn:xmpp:blocking'>{items}</block>"));
    says(&blocked, &format!("at most {most} who are blocked"), OPERATOR);
}
