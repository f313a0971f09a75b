//! Hats (XEP-0317): what people are in this room beside what the protocol knows. Admins make and give them, by command at the room's
//! address; everybody sees them in presence.
//!
//! Maps: `muc-hat` by URI, hue and title on a line each; `muc-hat-worn` by bare JID and URI with a space between.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use iris_core::form::{Field, Form, Submitted};
use iris_core::store::{Item, Shelf};
use iris_core::xml::{Build, El};
use iris_core::{Bounce, Changed, Condition, HostTurn, Reply, hash, ns};

use super::association::Affiliation;
use super::room::{Room, bare};
use super::{HATS, stanzas};
use crate::result;
use crate::xep0030_disco as disco;

pub const KNOWN: Shelf = Shelf::map("muc-hat");
pub const WORN: Shelf = Shelf::map("muc-hat-worn");

pub const COMMANDS: &str = "http://jabber.org/protocol/commands";
const FORM_TYPE: &str = "urn:xmpp:hats:commands";
/// Of one room; and all that people wear.
const HATS_MAX: usize = 200;
const WORN_MAX: usize = 5_000;
const TEXT_BYTES_MAX: usize = 512;

/// Node, for people, and whether it changes anything.
pub const NODES: [(&str, &str, bool); 6] = [
    ("urn:xmpp:hats:commands:create", "Create or update a hat", true),
    ("urn:xmpp:hats:commands:destroy", "Destroy a hat", true),
    ("urn:xmpp:hats:commands:assign", "Assign a hat", true),
    ("urn:xmpp:hats:commands:unassign", "Remove a hat", true),
    ("urn:xmpp:hats:commands:list", "List hats", false),
    ("urn:xmpp:hats:commands:list-assigned", "List assigned hats", false),
];

/// Of a command, or of the list of them.
pub fn name_of(node: &str) -> Option<&'static str> {
    if node == COMMANDS {
        return Some("Hats");
    }
    NODES.into_iter().find(|(it, ..)| *it == node).map(|(_, name, _)| name)
}

/// XEP-0050 2.2, 2.3: what is behind a node that disco#items names.
pub fn info(node: &str) -> Reply {
    let kind = if node == COMMANDS { "command-list" } else { "command-node" };
    let mut xml = Build::new();
    xml.open_ns("query", disco::INFO).attr("node", node);
    xml.open("identity").attr("category", "automation").attr("type", kind).attr_opt("name", name_of(node)).close();
    for feature in [COMMANDS, ns::DATA_FORMS] {
        xml.open("feature").attr("var", feature).close();
    }
    xml.close();
    result(xml)
}

#[derive(Clone, Debug, PartialEq, Eq)]
struct Hat {
    title: String,
    hue: String,
}

#[derive(Debug, Default)]
pub struct Hats {
    known: BTreeMap<Arc<str>, Hat>,
    worn: BTreeSet<(Arc<str>, Arc<str>)>,
}

impl Hats {
    pub fn load<'a>(known: impl Iterator<Item = &'a Item>, worn: impl Iterator<Item = &'a Item>) -> Hats {
        let hat = |item: &Item| {
            let (hue, title) = std::str::from_utf8(&item.value).ok()?.split_once('\n')?;
            Some((item.key.clone(), Hat { title: title.to_owned(), hue: hue.to_owned() }))
        };
        let pair = |item: &Item| item.key.split_once(' ').map(|(jid, uri)| (Arc::from(jid), Arc::from(uri)));
        Hats { known: known.filter_map(hat).collect(), worn: worn.filter_map(pair).collect() }
    }

    /// `<hats/>` of somebody; empty for none.
    pub fn of(&self, person: &str) -> String {
        let worn = self.worn.iter().filter(|(jid, _)| **jid == *person);
        let mut xml = Build::new();
        xml.open_ns("hats", HATS);
        let mut count = 0;
        for (uri, hat) in worn.filter_map(|(_, uri)| Some((uri, self.known.get(uri)?))) {
            xml.open("hat").attr("title", &hat.title).attr("uri", uri);
            xml.attr_opt("hue", Some(hat.hue.as_str()).filter(|hue| !hue.is_empty())).close();
            count += 1;
        }
        xml.close();
        if count == 0 { String::new() } else { stanzas::text(xml) }
    }

    /// Of the list of URIs: another list, another hash. `None`: there are no hats.
    pub fn hash(&self) -> Option<String> {
        let uris: Vec<&[u8]> = self.known.iter().flat_map(|(uri, hat)| [uri.as_bytes(), hat.title.as_bytes()]).collect();
        (!uris.is_empty()).then(|| format!("{:016x}", hash::stable(&uris)))
    }

    fn options(&self) -> Vec<(String, String)> {
        self.known.iter().map(|(uri, hat)| (hat.title.clone(), uri.to_string())).collect()
    }
}

impl Room {
    /// XEP-0050 at the room's address: one form each, so nothing is remembered of a command.
    pub fn hear_command(&mut self, turn: &mut HostTurn<'_>, command: &El<'_>) -> Reply {
        let node = command.attr("node").unwrap_or_default().into_owned();
        let Some((node, _, changes)) = NODES.into_iter().find(|(it, ..)| *it == node) else {
            return Bounce::new(Condition::ItemNotFound).into();
        };
        if let Err(why) = self.may_use_hats(turn, node, changes) {
            return why.into();
        }
        let session = command.attr("sessionid").map_or_else(|| turn.house.ports.random_id(), |it| it.into_owned());
        let answer = |status: &str, inside: &str| {
            let mut xml = Build::new();
            xml.open_ns("command", COMMANDS).attr("node", node).attr("sessionid", &session).attr("status", status);
            xml.raw(inside.as_bytes()).close();
            result(xml)
        };
        match command.attr("action").as_deref() {
            Some("cancel") => return answer("canceled", ""),
            None | Some("execute" | "complete" | "next") => {}
            Some(_) => return Bounce::bad_request("there is no such action").into(),
        }
        if !changes {
            return answer("completed", &self.hat_table(node).to_tell());
        }
        let form = self.hat_form(node);
        let Some(x) = command.child(ns::DATA_FORMS, "x") else { return answer("executing", &form.to_ask()) };
        let done = form.check(&x).map_err(Bounce::from).and_then(|given| self.change_hats(turn, node, &given));
        match done {
            Ok(()) => answer("completed", ""),
            Err(why) => why.into(),
        }
    }

    fn may_use_hats(&self, turn: &HostTurn<'_>, node: &str, changes: bool) -> Result<(), Bounce> {
        let affiliation = self.affiliation_of(turn.from);
        let is_here = self.speaker(turn).is_some() || affiliation >= Affiliation::Member;
        // Who wears what, by real address.
        let is_named = node.ends_with("list-assigned");
        let may = match (changes, is_named) {
            (true, _) => affiliation >= Affiliation::Admin,
            (false, true) => affiliation >= Affiliation::Admin || (self.config.non_anonymous && is_here),
            (false, false) => is_here,
        };
        if may { Ok(()) } else { Err(Bounce::new(Condition::Forbidden)) }
    }

    fn hat_form(&self, node: &str) -> Form {
        let uri = || Field::choice("hats#uri", "The hat", self.hats.options()).required();
        let jid = || Field::jid("hats#jid", "User address").required();
        let form = |title: &str| Form::new(title, "").of_type(FORM_TYPE);
        match node.rsplit(':').next().unwrap_or_default() {
            "create" => form("Creating a hat").fields([
                Field::text("hats#title", "Hat title").required(),
                Field::text("hats#uri", "Hat URI").required(),
                Field::text("hats#hue", "Hat hue"),
            ]),
            "destroy" => form("Destroying a hat").field(uri()),
            "assign" => form("Assigning a hat").fields([jid(), uri()]),
            _ => form("Removing a hat").fields([jid(), uri()]),
        }
    }

    fn hat_table(&self, node: &str) -> Form {
        let column = |var: &str| Field::text(var, "");
        if node.ends_with("list-assigned") {
            let mut form = Form::new("Assigned hats", "").table(["hats#jid", "hats#uri", "hats#title", "hats#hue"].map(column));
            for (jid, uri) in &self.hats.worn {
                let Some(hat) = self.hats.known.get(uri) else { continue };
                form = form.row([&**jid, &**uri, &*hat.title, &*hat.hue]);
            }
            return form;
        }
        let mut form = Form::new("Hats", "").table(["hats#title", "hats#uri", "hats#hue"].map(column));
        for (uri, hat) in &self.hats.known {
            form = form.row([&*hat.title, &**uri, &*hat.hue]);
        }
        form
    }

    fn change_hats(&mut self, turn: &mut HostTurn<'_>, node: &str, given: &Submitted) -> Result<(), Bounce> {
        let uri: Arc<str> = Arc::from(given.text("hats#uri").unwrap_or_default());
        if uri.len() > TEXT_BYTES_MAX {
            return Err(too_long("hats#uri"));
        }
        if uri.contains(char::is_whitespace) {
            return Err(Bounce::new(Condition::NotAcceptable).text("hats#uri: is no URI"));
        }
        let person: Arc<str> = given.jid("hats#jid").map_or_else(|| Arc::from(""), |jid| Arc::from(bare(&jid)));
        let (is_kept, worn) = (self.is_kept(), format!("{person} {uri}"));
        match node.rsplit(':').next().unwrap_or_default() {
            "create" => return self.make_hat(turn, uri, given),
            "destroy" => {
                self.hats.known.remove(&uri);
                let off: Vec<_> = self.hats.worn.iter().filter(|(_, it)| *it == uri).cloned().collect();
                if is_kept {
                    turn.delete(KNOWN, &uri);
                    off.iter().for_each(|(jid, uri)| turn.delete(WORN, &format!("{jid} {uri}")));
                }
                self.hats.worn.retain(|(_, it)| *it != uri);
                off.iter().for_each(|(jid, _)| self.show_hats(turn, jid));
                self.tell_all(turn, &stanzas::codes_x(&[104]));
            }
            "assign" => {
                if self.hats.worn.len() >= WORN_MAX {
                    let what = format!("at most {WORN_MAX} hats are worn in a room");
                    return Err(Bounce::over(what, Changed::ByNobody("take one from somebody first")));
                }
                if is_kept {
                    turn.put(WORN, &worn, "");
                }
                self.hats.worn.insert((person.clone(), uri));
                self.show_hats(turn, &person);
            }
            _ => {
                if !self.hats.worn.remove(&(person.clone(), uri)) {
                    return Err(Bounce::new(Condition::ItemNotFound).text("they do not wear it"));
                }
                if is_kept {
                    turn.delete(WORN, &worn);
                }
                self.show_hats(turn, &person);
            }
        }
        Ok(())
    }

    fn make_hat(&mut self, turn: &mut HostTurn<'_>, uri: Arc<str>, given: &Submitted) -> Result<(), Bounce> {
        let title = given.text("hats#title").unwrap_or_default().replace(['\n', '\r'], " ");
        let hue = given.text("hats#hue").unwrap_or_default().to_owned();
        let is_hue = hue.is_empty() || hue.parse::<f64>().is_ok_and(|hue| (0.0..=360.0).contains(&hue));
        if title.len() > TEXT_BYTES_MAX {
            return Err(too_long("hats#title"));
        }
        if !is_hue {
            return Err(Bounce::new(Condition::NotAcceptable).text("hats#hue: is an angle, from 0 to 360"));
        }
        if self.hats.known.len() >= HATS_MAX && !self.hats.known.contains_key(&uri) {
            let what = format!("a room has at most {HATS_MAX} hats");
            return Err(Bounce::over(what, Changed::ByNobody("destroy one first")));
        }
        if self.is_kept() {
            turn.put(KNOWN, &uri, format!("{hue}\n{title}"));
        }
        self.hats.known.insert(uri.clone(), Hat { title, hue });
        let wearers: Vec<Arc<str>> = self.hats.worn.iter().filter(|(_, it)| *it == uri).map(|(jid, _)| jid.clone()).collect();
        wearers.iter().for_each(|jid| self.show_hats(turn, jid));
        self.tell_all(turn, &stanzas::codes_x(&[104]));
        Ok(())
    }

    /// "the room SHOULD broadcast the related JID presence with the refreshed hat list."
    fn show_hats(&mut self, turn: &mut HostTurn<'_>, person: &str) {
        let hats: Arc<str> = Arc::from(self.hats.of(person));
        for key in self.occupants.keys(|it| *it.person == *person) {
            if let Some(occupant) = self.occupants.by_key_mut(&key) {
                occupant.hats = hats.clone();
                occupant.changed();
            }
            self.announce_change(turn, &key, None, None);
        }
    }

    /// The person is no more.
    pub fn take_off_hats(&mut self, turn: &mut HostTurn<'_>, person: &str) {
        let worn: Vec<_> = self.hats.worn.iter().filter(|(jid, _)| **jid == *person).cloned().collect();
        for it in worn {
            if self.is_kept() {
                turn.delete(WORN, &format!("{} {}", it.0, it.1));
            }
            self.hats.worn.remove(&it);
        }
    }

    /// It becomes one that is not.
    pub fn keep_no_hats(&self, turn: &mut HostTurn<'_>) {
        self.hats.known.keys().for_each(|uri| turn.delete(KNOWN, uri));
        self.hats.worn.iter().for_each(|(jid, uri)| turn.delete(WORN, &format!("{jid} {uri}")));
    }

    /// The room becomes one that is kept.
    pub fn keep_hats(&self, turn: &mut HostTurn<'_>) {
        for (uri, hat) in &self.hats.known {
            turn.put(KNOWN, uri, format!("{}\n{}", hat.hue, hat.title));
        }
        for (jid, uri) in &self.hats.worn {
            turn.put(WORN, &format!("{jid} {uri}"), "");
        }
    }
}

fn too_long(what: &str) -> Bounce {
    let what = format!("{what}: at most {TEXT_BYTES_MAX} bytes");
    Bounce::new(Condition::NotAcceptable).limit(what, Changed::ByNobody("take a shorter one"))
}
