//! A room, as an item of XEP-0402 and as an element of the list of XEP-0048.

use iris_core::Jid;
use iris_core::xml::{Build, El};

use super::{NODE, OLD};

#[derive(Clone, Debug, PartialEq)]
pub struct Conference {
    /// What the item's id says, as addresses are compared: clients write them as they like.
    pub jid: String,
    name: Option<String>,
    autojoin: bool,
    nick: Option<String>,
    password: Option<String>,
    /// Section 3.4: whatever clients keep there, as an element of NODE's namespace; old clients do not know it.
    extensions: Option<Vec<u8>>,
}

impl Conference {
    pub fn of_item(id: &str, payload: &[u8]) -> Option<Conference> {
        let el = El::parse(payload).filter(|el| el.is(NODE, "conference"))?;
        Some(Conference::read(address(id)?, &el, NODE))
    }

    fn read(jid: String, el: &El<'_>, ns: &str) -> Conference {
        let text = |name: &str| el.child(ns, name).map(|it| it.text().into_owned()).filter(|text| !text.is_empty());
        Conference {
            jid,
            name: el.attr("name").map(|name| name.into_owned()),
            autojoin: el.attr("autojoin").is_some_and(|it| it == "true" || it == "1"),
            nick: text("nick"),
            password: text("password"),
            extensions: el.child(NODE, "extensions").map(|it| it.closed().into_owned()),
        }
    }

    /// With the extensions that it had, if whoever wrote this does not know them.
    pub fn keeping(&self, before: Option<&Conference>) -> Conference {
        let mut after = self.clone();
        if after.extensions.is_none() {
            after.extensions = before.and_then(|before| before.extensions.clone());
        }
        after
    }

    pub fn to_item(&self) -> Vec<u8> {
        let mut xml = Build::new();
        xml.open_ns("conference", NODE);
        self.write_inside(&mut xml);
        xml.finish()
    }

    fn write_inside(&self, xml: &mut Build) {
        xml.attr_opt("name", self.name.as_deref()).attr("autojoin", if self.autojoin { "true" } else { "false" });
        for (name, text) in [("nick", &self.nick), ("password", &self.password)] {
            if let Some(text) = text {
                xml.leaf(name, text);
            }
        }
        if let Some(extensions) = &self.extensions {
            xml.raw(extensions);
        }
    }
}

/// Of an item. `None`: it is none, so no list can have it.
pub fn address(id: &str) -> Option<String> {
    Jid::new(id).ok().map(|jid| jid.to_string())
}

/// The rooms of a list; of an address the last one counts, and one that is none is left out.
pub fn of_storage(storage: &El<'_>) -> Vec<Conference> {
    let mut rooms: Vec<Conference> = Vec::new();
    for el in storage.children().filter(|child| child.is(OLD, "conference")) {
        let Some(jid) = el.attr("jid").and_then(|jid| address(&jid)) else { continue };
        let room = Conference::read(jid, &el, OLD);
        rooms.retain(|other| other.jid != room.jid);
        rooms.push(room);
    }
    rooms
}

/// What else is in a list: URLs. `without_rooms`: those are items.
pub fn others(storage: &El<'_>, without_rooms: bool) -> Vec<Vec<u8>> {
    let is_other = |child: &El<'_>| !(without_rooms && child.is(OLD, "conference"));
    storage.children().filter(is_other).map(|child| child.closed().into_owned()).collect()
}

/// Section 6.3.1: cast into the old namespace, with the address as an attribute.
pub fn storage(rooms: &[Conference], others: &[Vec<u8>]) -> String {
    let mut xml = Build::new();
    xml.open_ns("storage", OLD);
    for room in rooms {
        xml.open("conference").attr("jid", &room.jid);
        room.write_inside(&mut xml);
        xml.close();
    }
    for other in others {
        xml.raw(other);
    }
    String::from_utf8_lossy(&xml.finish()).into_owned()
}
