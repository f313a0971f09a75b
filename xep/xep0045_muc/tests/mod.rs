//! Plays about rooms, by the sections of the text.

use iris_core::Stanza;
use iris_engine::shard_of;
use iris_engine::testing::{Client, House};

use crate::ROOMS;

mod archive;
mod away;
mod bubbles;
mod family;
mod forged;
mod often;
mod oversight;
mod s10_owner;
mod s7_enter;
mod s7_talk;
mod s8_moderator;
mod s9_admin;
mod service;
mod succession;

const MUC: &str = "http://jabber.org/protocol/muc";
const ROMEO: &str = "romeo@house/orchard";
const JULIET: &str = "juliet@house/balcony";
const NURSE: &str = "nurse@house/kitchen";
const TYBALT: &str = "tybalt@house/street";
const PARIS: &str = "paris@house/hall";

/// A room that lives on this shard.
fn room_on(shard: u16) -> String {
    let named = |n: u32| format!("room{n}@conference.house");
    named((0..64).find(|n| shard_of(&named(*n), 2) == shard).expect("one of many"))
}

fn join(house: &mut House, client: &Client, room: &str, nick: &str) -> Vec<Stanza> {
    join_with(house, client, room, nick, "")
}

fn join_with(house: &mut House, client: &Client, room: &str, nick: &str, inside: &str) -> Vec<Stanza> {
    house.recv(client);
    house.send(client, &format!("<presence to='{room}/{nick}'><x xmlns='{MUC}'>{inside}</x></presence>"));
    house.recv(client)
}

/// A house with a room on this shard that romeo has made, and has configured like this.
fn alone(shard: u16, fields: &[(&str, &str)]) -> (House, String, Client) {
    let (mut house, room) = (house(), room_on(shard));
    let romeo = opened(&mut house, &room, fields);
    (house, room, romeo)
}

/// Into which juliet has come too; both have heard all that was said so far.
fn both(shard: u16, fields: &[(&str, &str)]) -> (House, String, Client, Client) {
    let (mut house, room, romeo) = alone(shard, fields);
    let juliet = house.online(JULIET);
    join(&mut house, &juliet, &room, "juliet");
    house.recv(&romeo);
    (house, room, romeo, juliet)
}

fn opened(house: &mut House, room: &str, fields: &[(&str, &str)]) -> Client {
    let romeo = house.online(ROMEO);
    join(house, &romeo, room, "romeo");
    configure(house, &romeo, room, fields);
    romeo
}

fn configure(house: &mut House, client: &Client, room: &str, fields: &[(&str, &str)]) -> Stanza {
    let fields: String =
        fields.iter().map(|(var, value)| format!("<field var='muc#roomconfig_{var}'><value>{value}</value></field>")).collect();
    let form = format!("<x xmlns='jabber:x:data' type='submit'>{fields}</x>");
    owner(house, client, room, "set", &form)
}

fn owner(house: &mut House, client: &Client, room: &str, kind: &str, inside: &str) -> Stanza {
    let answer = house.iq(client, kind, Some(room), &format!("<query xmlns='{MUC}#owner'>{inside}</query>"));
    house.recv(client);
    answer
}

fn admin(house: &mut House, client: &Client, room: &str, kind: &str, item: &str) -> Stanza {
    house.iq(client, kind, Some(room), &format!("<query xmlns='{MUC}#admin'>{item}</query>"))
}

fn set_affiliation(house: &mut House, client: &Client, room: &str, jid: &str, affiliation: &str) -> Stanza {
    admin(house, client, room, "set", &format!("<item affiliation='{affiliation}' jid='{jid}'/>"))
}

fn set_role(house: &mut House, client: &Client, room: &str, nick: &str, role: &str) -> Stanza {
    admin(house, client, room, "set", &format!("<item nick='{nick}' role='{role}'><reason>so it is</reason></item>"))
}

fn leave(house: &mut House, client: &Client, room: &str, nick: &str) {
    house.send(client, &format!("<presence type='unavailable' to='{room}/{nick}'/>"));
}

/// What the room says of itself.
fn info_of(house: &mut House, who: &Client, room: &str) -> Stanza {
    house.iq(who, "get", Some(room), "<query xmlns='http://jabber.org/protocol/disco#info'/>")
}

/// Whoever came heard so of themselves.
#[track_caller]
fn is_in(heard: &[Stanza]) {
    assert!(heard.iter().any(|it| codes(it).contains(&110)), "{heard:?}");
}

#[track_caller]
fn is_result(answer: &Stanza) {
    assert_eq!(answer.attr("type").as_deref(), Some("result"), "{}", answer.as_str());
}

#[track_caller]
fn is_error(answer: &Stanza, condition: &str) {
    assert_eq!(answer.attr("type").as_deref(), Some("error"), "{}", answer.as_str());
    assert!(answer.as_str().contains(&format!("<{condition} ")), "{condition}: {}", answer.as_str());
}

/// `<item/>` and the codes of a presence or message.
fn user_x(stanza: &Stanza) -> (Option<[String; 3]>, Vec<u16>) {
    let ns = format!("{MUC}#user");
    assert!(stanza.as_str().matches(&format!("<x xmlns='{ns}'")).count() <= 1, "7.2.2: {}", stanza.as_str());
    let Some(child) = stanza.child_named(&ns, "x") else { return (None, Vec::new()) };
    let x = stanza.child_el(child);
    let item = x.child(&ns, "item").map(|item| {
        ["affiliation", "role", "jid"].map(|name| item.attr(name).map(std::borrow::Cow::into_owned).unwrap_or_default())
    });
    let codes = x.children().filter(|it| it.local() == "status").filter_map(|it| it.attr("code")?.parse().ok()).collect();
    (item, codes)
}

fn codes(stanza: &Stanza) -> Vec<u16> {
    user_x(stanza).1
}

fn item(stanza: &Stanza) -> [String; 3] {
    user_x(stanza).0.unwrap_or_else(|| panic!("no item: {}", stanza.as_str()))
}

fn from(stanza: &Stanza) -> String {
    stanza.from().unwrap_or_default().into_owned()
}

fn say(house: &mut House, client: &Client, room: &str, body: &str) {
    house.send(client, &format!("<message to='{room}' type='groupchat' id='{body}'><body>{body}</body></message>"));
}

fn bodies(stanzas: &[Stanza]) -> Vec<String> {
    let body = |it: &Stanza| Some(it.as_str().split_once("<body>")?.1.split_once("</body>")?.0.to_owned());
    stanzas.iter().filter_map(body).collect()
}

fn house() -> House {
    House::with(ROOMS)
}
