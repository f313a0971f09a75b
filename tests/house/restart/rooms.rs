//! R1 for rooms: what a room answered, and what it reflected, is there after a kill -9; and nothing else has come into it.

use std::collections::{BTreeMap, HashMap};
use std::io;
use std::net::SocketAddr;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::{Duration, Instant};

use super::random::Random;
use crate::archive;
use crate::client::{Client, DOMAIN, PATIENCE, attribute, between};
use crate::server::Data;

const ROOMS: usize = 5;
const OCCUPANTS: usize = 40;
const KILLS: usize = 4;
const MUC: &str = "http://jabber.org/protocol/muc";

/// What every room is from the beginning, and stays.
const MADE: &[(&str, &str)] = &[
    ("persistentroom", "1"),
    ("enablearchiving", "1"),
    ("changesubject", "1"),
    ("membersonly", "0"),
    ("publicroom", "0"),
    ("allowpm", "moderators"),
    ("allowinvites", "1"),
    ("lang", "it"),
];
/// What its owner changes, and to what; a name without values gets one that nobody has seen. In a moderated room most are silent: that
/// is one room of them.
const CHANGED: &[(&str, &[&str])] = &[
    ("roomname", &[]),
    ("roomdesc", &[]),
    ("maxusers", &["100", "200", "500"]),
    ("whois", &["moderators", "anyone"]),
    ("enablelogging", &["0", "1"]),
    ("moderatedroom", &["0", "1"]),
];
const MODERATED: usize = ROOMS - 1;

/// What one client was told, by whatever room.
#[derive(Default)]
struct Heard {
    /// Archive id and text of each message of a room, in the order in which they came.
    said: BTreeMap<usize, Vec<(String, String)>>,
    /// The last answered change of each kind: a setting of a room, its subject, somebody's affiliation; and one that was asked for later
    /// and may have come about.
    answered: HashMap<(usize, What), Change>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
enum What {
    Setting(&'static str),
    Subject,
    Affiliation(usize),
}

#[derive(Default)]
struct Change {
    certain: Option<String>,
    perhaps: Option<String>,
}

impl Change {
    fn allows(&self, now: &str) -> bool {
        self.certain.as_deref() == Some(now) || self.perhaps.as_deref() == Some(now)
    }
}

struct Scene<'a> {
    address: SocketAddr,
    /// Everything that was answered or reflected since the server started.
    heard: &'a AtomicU64,
    over: &'a AtomicBool,
}

fn room(number: usize) -> String {
    format!("hall{number}@conference.{DOMAIN}")
}

fn user(number: usize) -> String {
    format!("u{number}")
}

#[test]
fn r1_rooms_keep_what_they_answered_and_what_they_reflected() {
    let names: Vec<String> = (0..OCCUPANTS).map(user).collect();
    let data = Data::with_users(names.iter().map(String::as_str));
    let mut actors: Vec<Heard> = (0..OCCUPANTS).map(|_| Heard::default()).collect();
    for life in 0..KILLS {
        let server = data.start();
        if life == 0 {
            make_rooms(server.plain);
        }
        let (heard, over) = (AtomicU64::new(0), AtomicBool::new(false));
        let scene = Scene { address: server.plain, heard: &heard, over: &over };
        std::thread::scope(|scope| {
            for (me, actor) in actors.iter_mut().enumerate() {
                let (scene, random) = (&scene, Random::new((life * 1_000 + me) as u64));
                // Every error means the same: the server has gone.
                scope.spawn(move || scene.play(me, random, actor).err());
            }
            let until = 4_000 + 1_000 * life as u64;
            let end = Instant::now() + Duration::from_secs(60);
            while heard.load(Ordering::Relaxed) < until && Instant::now() < end {
                std::thread::sleep(Duration::from_millis(1));
            }
            let count = heard.load(Ordering::Relaxed);
            server.kill();
            over.store(true, Ordering::Relaxed);
            assert!(count >= until, "only {count} things happened");
        });
        let server = data.start();
        look(server.plain, &mut actors);
        server.kill();
    }
    let said: usize = actors.iter().flat_map(|actor| actor.said.values()).map(Vec::len).sum();
    let changes = actors.iter().flat_map(|actor| actor.answered.values()).filter(|change| change.certain.is_some()).count();
    assert!(said > 1_000 && changes > 2 * ROOMS, "a test of nothing: {said}, {changes}");
}

/// Each belongs to the user of its number.
fn make_rooms(address: SocketAddr) {
    for number in 0..ROOMS {
        let mut owner = Client::online(address, &user(number), "maker");
        let room = room(number);
        owner.send(&format!("<presence to='{room}/maker'><x xmlns='{MUC}'/></presence>"));
        owner.expect("<status code='201'");
        let fields: String = MADE.iter().map(|(var, value)| field(var, value)).collect();
        assert!(configure(&mut owner, number, &fields).expect("an answer").contains("type='result'"));
        owner.close();
    }
}

fn field(var: &str, value: &str) -> String {
    format!("<field var='muc#roomconfig_{var}'><value>{value}</value></field>")
}

/// What the form of its owner says.
fn setting(form: &str, var: &str) -> Option<String> {
    let (_, field) = form.split_once(&format!("var='muc#roomconfig_{var}'"))?;
    Some(between(field.split_once("</field>")?.0, "<value>", "</value>")?.to_owned())
}

fn configure(owner: &mut Client, number: usize, fields: &str) -> io::Result<String> {
    let form = format!("<query xmlns='{MUC}#owner'><x xmlns='jabber:x:data' type='submit'>{fields}</x></query>");
    owner.try_iq("set", Some(&room(number)), &form, PATIENCE)
}

impl Scene<'_> {
    fn play(&self, me: usize, mut random: Random, heard: &mut Heard) -> io::Result<()> {
        let mut client = Client::try_bound(self.address, &user(me), "desk")?;
        client.try_send("<presence/>")?;
        for number in 0..ROOMS {
            let history = "<history maxstanzas='0'/>";
            client.try_send(&format!(
                "<presence to='{}/{}'><x xmlns='{MUC}'>{history}</x></presence>",
                room(number),
                user(me)
            ))?;
            // XEP-0045 7.1: the subject comes last.
            client.try_expect("<subject", PATIENCE)?;
        }
        for turn in 0.. {
            if self.over.load(Ordering::Relaxed) {
                break;
            }
            if me < ROOMS && turn % 4 == 3 {
                self.change(me, &mut client, &mut random, heard)?;
            } else {
                let to = random.below(ROOMS as u64) as usize;
                let body = format!("{me} says {:016x}", random.next());
                client.try_send(&format!(
                    "<message to='{}' type='groupchat' id='{body}'><body>{body}</body></message>",
                    room(to)
                ))?;
                self.hear_until(me, &mut client, heard, |element| element.contains(&body))?;
            }
        }
        Ok(())
    }

    /// The owner of a room changes something in it.
    fn change(&self, me: usize, client: &mut Client, random: &mut Random, heard: &mut Heard) -> io::Result<()> {
        let id = format!("c{:016x}", random.next());
        let room = room(me);
        let (what, value, stanza) = match random.below(3) {
            0 => {
                let settings = if me == MODERATED { CHANGED.len() } else { CHANGED.len() - 1 };
                let (var, values) = CHANGED[random.below(settings as u64) as usize];
                let value = match values.len() {
                    0 => id.clone(),
                    many => values[random.below(many as u64) as usize].to_owned(),
                };
                let form = field(var, &value);
                let query = format!("<query xmlns='{MUC}#owner'><x xmlns='jabber:x:data' type='submit'>{form}</x></query>");
                (What::Setting(var), value, format!("<iq type='set' id='{id}' to='{room}'>{query}</iq>"))
            }
            1 => (
                What::Subject,
                id.clone(),
                format!("<message type='groupchat' id='{id}' to='{room}'><subject>{id}</subject></message>"),
            ),
            _ => {
                let other = ROOMS + random.below((OCCUPANTS - ROOMS) as u64) as usize;
                let value = ["member", "none", "admin"][random.below(3) as usize];
                let item = format!("<item jid='{}@{DOMAIN}' affiliation='{value}'/>", user(other));
                let query = format!("<query xmlns='{MUC}#admin'>{item}</query>");
                (What::Affiliation(other), value.to_owned(), format!("<iq type='set' id='{id}' to='{room}'>{query}</iq>"))
            }
        };
        // Before it is on its way: it may come about although nobody heard of it.
        heard.answered.entry((me, what)).or_default().perhaps = Some(value.clone());
        client.try_send(&stanza)?;
        let answer = self.hear_until(me, client, heard, |element| attribute(element, "id") == Some(&id))?;
        assert!(attribute(&answer, "type") != Some("error"), "{answer}");
        heard.answered.insert((me, what), Change { certain: Some(value), perhaps: None });
        Ok(())
    }

    /// Every message of a room on the way is noted down.
    fn hear_until(&self, me: usize, client: &mut Client, heard: &mut Heard, done: impl Fn(&str) -> bool) -> io::Result<String> {
        loop {
            let element = client.read(PATIENCE)?;
            self.heard.fetch_add(1, Ordering::Relaxed);
            if element.starts_with("<message") {
                note(&element, heard);
            }
            if element.starts_with("<stream:error") || element.starts_with("</stream") {
                return Err(io::ErrorKind::UnexpectedEof.into());
            }
            let is_error = element.starts_with("<message") && attribute(&element, "type") == Some("error");
            let is_silenced = || element.contains("only those with voice") && element.contains(&room(MODERATED));
            assert!(!is_error || is_silenced(), "{me}: {element}");
            if done(&element) {
                return Ok(element);
            }
        }
    }
}

fn note(message: &str, heard: &mut Heard) {
    let from = attribute(message, "from").unwrap_or_default();
    let Some(number) = (0..ROOMS).find(|number| from.starts_with(&format!("{}/", room(*number)))) else { return };
    let id = message.split_once("<stanza-id ").and_then(|(_, rest)| between(rest, "id='", "'"));
    if let (Some(body), Some(id)) = (between(message, "<body>", "</body>"), id) {
        heard.said.entry(number).or_default().push((id.to_owned(), body.to_owned()));
    }
}

/// What is there after the restart, held against what everybody heard.
fn look(address: SocketAddr, actors: &mut [Heard]) {
    for number in 0..ROOMS {
        let mut owner = Client::bound(address, &user(number), "reader");
        let archive = archive::read_of(&mut owner, Some(&room(number))).expect("the room's archive");
        let mut places = HashMap::new();
        for (place, entry) in archive.iter().filter(|entry| !entry.body.is_empty()).enumerate() {
            assert!(places.insert(&*entry.body, (place, &*entry.id)).is_none(), "{number}: {} is there twice", entry.body);
        }
        for (who, heard) in actors.iter().enumerate() {
            let mut last = None;
            for (id, body) in heard.said.get(&number).into_iter().flatten() {
                let (place, kept) =
                    *places.get(&**body).unwrap_or_else(|| panic!("{who} heard {body:?}; {number} has lost it"));
                assert_eq!(kept, id, "{body:?} has another id");
                assert!(last.replace(place) < Some(place), "{who} heard {body:?} after what stands behind it");
            }
        }
        let form = owner.iq("get", Some(&room(number)), &format!("<query xmlns='{MUC}#owner'/>"));
        for (var, value) in MADE {
            assert_eq!(setting(&form, var).as_deref(), Some(*value), "{var} of {number}");
        }
        for ((of, what), change) in actors[number].answered.iter_mut().filter(|((of, _), _)| *of == number) {
            let now = match what {
                What::Setting(var) => setting(&form, var),
                What::Subject => Some(subject(&mut owner, number)),
                What::Affiliation(other) => Some(affiliation(&mut owner, number, *other)),
            };
            let now = now.unwrap_or_default();
            assert!(
                change.certain.is_none() || change.allows(&now),
                "{what:?} of {of} is {now:?}; answered {:?}, asked {:?}",
                change.certain,
                change.perhaps
            );
            // Now it is certain.
            *change = Change { certain: Some(now), perhaps: None };
        }
    }
}

fn subject(owner: &mut Client, number: usize) -> String {
    owner.send(&format!("<presence to='{}/reader'><x xmlns='{MUC}'><history maxstanzas='0'/></x></presence>", room(number)));
    let message = owner.expect("<subject");
    owner.send(&format!("<presence to='{}/reader' type='unavailable'/>", room(number)));
    owner.expect("type='unavailable'");
    between(&message, "<subject>", "</subject>").unwrap_or_default().to_owned()
}

fn affiliation(owner: &mut Client, number: usize, other: usize) -> String {
    let jid = format!("{}@{DOMAIN}", user(other));
    for affiliation in ["member", "admin", "owner", "outcast"] {
        let query = format!("<query xmlns='{MUC}#admin'><item affiliation='{affiliation}'/></query>");
        if owner.iq("get", Some(&room(number)), &query).contains(&format!("'{jid}'")) {
            return affiliation.to_owned();
        }
    }
    "none".to_owned()
}
