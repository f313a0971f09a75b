//! XEP-0227: Portable Import/Export Format for XMPP-IM Servers - what an account keeps moves to another server, and here.
//! Spec 1.1, https://xmpp.org/extensions/xep-0227.html. Not done: of privacy lists more than who is blocked; items of
//! nodes that stand more than 1 MiB behind their options.
//! Archive preferences travel as XEP-0441 writes them: the text has no place for them.
//!
//! What stands inside a `<user/>`, child by child, to and from the shelves of the rooms. Roster, subscription requests and SCRAM
//! credentials are the account's own (`iris-engine`); the file around the users is the command line's.

use std::sync::Arc;

use bytes::Bytes;
use iris_core::store::{Entry, EntryId, Item, Shelf};
use iris_core::xml::wire::{Stamps, render};
use iris_core::xml::{Build, El, NameTable};
use iris_core::{BareJid, Card, Jid, Room, Stanza, Status, ns, time};

use crate::xep0060_pubsub as pubsub;
use crate::xep0084_avatar::{DATA, METADATA};
use crate::{
    xep0049_private, xep0054_vcard_temp as vcard_temp, xep0160_offline, xep0163_pep, xep0191_blocking, xep0313_archive,
    xep0398_avatar_conversion as avatar, xep0441_archive_preferences as preferences,
};

mod arrival;
mod pep;

pub use arrival::settle_in;

pub const ROOM: Room = Room {
    card: Card {
        xep: Some(227),
        name: "Portable Import/Export Format for XMPP-IM Servers",
        version: "1.1",
        status: Status::Partial,
        needs: &[],
    },
    mount: Room::no_door,
};

/// The namespace of the file.
pub const NS: &str = "urn:xmpp:pie:0";
/// Of `<archive/>`.
pub const NS_MAM: &str = "urn:xmpp:pie:0#mam";

const MAM: &str = xep0313_archive::NS;
const FORWARD: &str = "urn:xmpp:forward:0";
const PRIVATE: &str = "jabber:iq:private";
const PRIVACY: &str = "jabber:iq:privacy";
const BLOCKING: &str = "urn:xmpp:blocking";
const VCARD: &str = "vcard-temp";

/// The list of blocked addresses under a name of its own (XEP-0016).
const LIST: &str = "blocked";

/// Records and maps that are moved; what presence says of the picture only tells which one belongs into the card.
pub const ITEMS: [Shelf; 9] = [
    xep0049_private::SHELF,
    vcard_temp::SHELF,
    avatar::SHELF,
    xep0191_blocking::SHELF,
    preferences::SHELF,
    xep0163_pep::SHELVES.nodes,
    xep0163_pep::SHELVES.index,
    xep0163_pep::ITEMS,
    xep0163_pep::SHELVES.subscriptions,
];
/// Logs that are moved, in this order.
pub const LOGS: [Shelf; 2] = [xep0160_offline::SHELF, xep0313_archive::SHELF];

/// Messages that wait, and how many they are: whoever adds to them counts.
pub const OFFLINE: Shelf = xep0160_offline::SHELF;
pub const OFFLINE_COUNT: Shelf = xep0160_offline::COUNT;

/// What is kept here a second time in another form, or known by heart: `settle_in` after it has moved in.
pub fn wants_to_settle(shelf: Shelf) -> bool {
    shelf == vcard_temp::SHELF || shelf == xep0163_pep::SHELVES.nodes
}

/// Which nodes and items an account has.
pub const PEP_THERE: [Shelf; 2] = [xep0163_pep::SHELVES.nodes, xep0163_pep::SHELVES.index];

/// What an account brings along, ready for its shelves.
#[derive(Default)]
pub struct Moving {
    pub items: Vec<(Shelf, Arc<str>, Bytes)>,
    pub entries: Vec<MovingEntry>,
    /// What cannot be kept, for the operator.
    pub notes: Vec<String>,
    last: u64,
    pep: pep::Nodes,
}

/// The two elements for an account's nodes: neither says anything without the other.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum PepPart {
    /// Their options and their people.
    Nodes,
    Items,
}

pub fn pep_part(child: &El<'_>) -> Option<PepPart> {
    match (child.ns(), child.local()) {
        (pubsub::OWNER, "pubsub") => Some(PepPart::Nodes),
        (pubsub::NS, "pubsub") => Some(PepPart::Items),
        _ => None,
    }
}

pub struct MovingEntry {
    pub shelf: Shelf,
    pub id: EntryId,
    pub peer: u64,
    pub entry: Bytes,
}

// --- in -------------------------------------------------------------------------------------------------------------------

impl Moving {
    /// One child of a `<user/>`; of an archive one `<result/>` stands for itself. `now_us`: nothing is later. False: that is
    /// nothing we know.
    pub fn take(&mut self, child: &El<'_>, owner: &BareJid, now_us: u64) -> bool {
        match pep_part(child) {
            Some(PepPart::Nodes) => self.pep.owned(child, owner, now_us),
            Some(PepPart::Items) => self.pep.published(child),
            None => return self.other(child, owner, now_us),
        }
        true
    }

    fn other(&mut self, child: &El<'_>, owner: &BareJid, now_us: u64) -> bool {
        match (child.ns(), child.local()) {
            (VCARD, "vCard") => self.items.push((vcard_temp::SHELF, "".into(), owned(child))),
            (PRIVATE, "query") => self.private(child),
            (PRIVACY, "query") => self.privacy(child),
            (BLOCKING, "blocklist") => {
                child
                    .children()
                    .filter(|item| item.is(BLOCKING, "item"))
                    .for_each(|item| self.block(item.attr("jid").as_deref()));
            }
            // Schema: <offline-messages/> is of the file's own namespace.
            (NS, "offline-messages") => child.children().for_each(|message| self.offline(&message, owner, now_us)),
            (NS_MAM, "archive") => child.children().for_each(|result| self.archived(&result, owner, now_us)),
            (MAM, "prefs") => match preferences::move_in(child) {
                Some(kept) => self.items.push((preferences::SHELF, "".into(), kept)),
                None => self.notes.push("archive preferences: they cannot be read".into()),
            },
            (MAM, "result") => self.archived(child, owner, now_us),
            _ => return false,
        }
        true
    }

    /// Every child was taken. `there`: what is on `PEP_THERE` already.
    pub fn finish(&mut self, owner: &BareJid, now_us: u64, there: &[Item]) {
        let pep = std::mem::take(&mut self.pep);
        self.items.extend(pep.finish(owner, now_us, there, &mut self.notes));
    }

    fn private(&mut self, query: &El<'_>) {
        let mut kept: Vec<(String, Vec<u8>)> = Vec::new();
        for element in query.children() {
            match xep0049_private::key_of(&element) {
                None => self.notes.push(format!("private storage: <{}/> has no namespace of its own", element.local())),
                Some(key) => match kept.iter_mut().find(|(known, _)| *known == key) {
                    Some((_, xml)) => xml.extend_from_slice(&element.closed()),
                    None => kept.push((key, element.closed().into_owned())),
                },
            }
        }
        self.items.extend(kept.into_iter().map(|(key, xml)| (xep0049_private::SHELF, Arc::from(key), Bytes::from(xml))));
    }

    /// XEP-0016: of the default list (or the only one), whom it denies everything. The rest has no counterpart here.
    fn privacy(&mut self, query: &El<'_>) {
        let default = query.child(PRIVACY, "default").and_then(|default| default.attr("name").map(|name| name.into_owned()));
        let lists: Vec<El<'_>> = query.children().filter(|it| it.is(PRIVACY, "list")).collect();
        let only = if lists.len() == 1 { lists.first() } else { None };
        let named = lists.iter().find(|list| default.is_some() && list.attr("name").as_deref() == default.as_deref());
        for list in lists.iter().filter(|list| named.or(only).is_none_or(|it| it.attr("name") != list.attr("name"))) {
            let name = list.attr("name").unwrap_or_default();
            self.notes.push(format!("privacy list {name:?} is not the default one and was left out"));
        }
        let Some(list) = named.or(only) else { return };
        for item in list.children().filter(|item| item.is(PRIVACY, "item")) {
            let denies = item.attr("action").as_deref() == Some("deny");
            let everything = item.children().next().is_none() || item.children().count() == 4;
            let who = item.attr("value").filter(|_| item.attr("type").as_deref() == Some("jid"));
            match who {
                Some(jid) if denies && everything => self.block(Some(&jid)),
                // "Everybody else may": what is so here anyway.
                None if !denies && item.attr("type").is_none() => {}
                _ => {
                    let order = item.attr("order").unwrap_or_default();
                    self.notes.push(format!("privacy list: item {order} is more than blocking an address and was left out"));
                }
            }
        }
    }

    fn block(&mut self, jid: Option<&str>) {
        match jid.map(Jid::new) {
            Some(Ok(jid)) => self.items.push((xep0191_blocking::SHELF, Arc::from(jid.as_str()), Bytes::new())),
            _ => self.notes.push(format!("blocked: {:?} is no address", jid.unwrap_or_default())),
        }
    }

    fn offline(&mut self, message: &El<'_>, owner: &BareJid, now_us: u64) {
        let stanza = match stanza(message) {
            Ok(stanza) => stanza,
            Err(why) => return self.notes.push(format!("offline message: {why}")),
        };
        let delay = message.children().find(|child| child.is(ns::DELAY, "delay"));
        let id = self.place(delay.as_ref(), now_us);
        let from = stanza.from().map_or_else(|| owner.as_str().to_owned(), |from| from.into_owned());
        let stamps = Stamps { from: Some(Arc::from(from)), ..Stamps::default() };
        let entry = xep0160_offline::keep_rendered(&render(&stanza, &stamps));
        self.entries.push(MovingEntry { shelf: xep0160_offline::SHELF, id, peer: 0, entry });
    }

    fn archived(&mut self, result: &El<'_>, owner: &BareJid, now_us: u64) {
        let forwarded = result.child(FORWARD, "forwarded");
        let Some(message) = forwarded.as_ref().and_then(|it| it.child(ns::CLIENT, "message")) else {
            return self.notes.push("archive: an entry holds no message".to_owned());
        };
        let delay = forwarded.as_ref().and_then(|it| it.child(ns::DELAY, "delay"));
        if delay.is_none() {
            self.notes.push("archive: an entry has no time; it gets that of the one before it".to_owned());
        }
        let stanza = match stanza(&message) {
            Ok(stanza) => stanza,
            Err(why) => return self.notes.push(format!("archive: {why}")),
        };
        let address = |text: Option<std::borrow::Cow<'_, str>>| text.map(|text| text.into_owned());
        let from = address(stanza.from()).unwrap_or_else(|| owner.to_string());
        let to = address(stanza.to()).unwrap_or_else(|| owner.to_string());
        let bare = |jid: &str| Jid::new(jid).map_or_else(|_| jid.to_owned(), |jid| jid.to_bare().to_string());
        let peer = if bare(&from) == owner.as_str() { bare(&to) } else { bare(&from) };
        let stamps = Stamps { from: Some(Arc::from(from)), ..Stamps::default() };
        let entry = xep0313_archive::keep_rendered(&stanza, &stamps, &to);
        let id = self.place(delay.as_ref(), now_us);
        let peer = xep0313_archive::peer_hash(&peer);
        self.entries.push(MovingEntry { shelf: xep0313_archive::SHELF, id, peer, entry });
    }

    /// The time of an entry; those of one second stay in their order (many servers know no smaller unit).
    fn place(&mut self, delay: Option<&El<'_>>, now_us: u64) -> EntryId {
        let stamp = delay.and_then(|delay| delay.attr("stamp")).and_then(|stamp| time::parse_datetime(&stamp));
        let at = stamp.unwrap_or(self.last).clamp(1, now_us.max(1));
        let second_of = |us: u64| us / 1_000_000;
        let at = if at <= self.last && second_of(at) == second_of(self.last) { self.last + 1 } else { at };
        self.last = at;
        EntryId(at)
    }
}

fn owned(el: &El<'_>) -> Bytes {
    Bytes::from(el.closed().into_owned())
}

fn stanza(el: &El<'_>) -> Result<Stanza, &'static str> {
    if !el.is(ns::CLIENT, "message") {
        return Err("what is there is no message");
    }
    Stanza::parse(&el.closed(), &NameTable::new()).map_err(|_| "the message is not what a stream may carry")
}

// --- out ------------------------------------------------------------------------------------------------------------------

/// The children of `<user/>` that these items make.
pub fn move_out(items: &[Item]) -> Vec<String> {
    let of = |shelf: Shelf| items.iter().filter(move |item| item.shelf == shelf);
    let mut children: Vec<String> = card(items).into_iter().collect();
    let mut private = Build::new();
    private.open_ns("query", PRIVATE);
    of(xep0049_private::SHELF).for_each(|item| {
        private.raw(&item.value);
    });
    private.close();
    if of(xep0049_private::SHELF).next().is_some() {
        children.push(text(&private.finish()));
    }
    if of(xep0191_blocking::SHELF).next().is_some() {
        let (mut list, mut privacy) = (Build::new(), Build::new());
        list.open_ns("blocklist", BLOCKING);
        privacy.open_ns("query", PRIVACY);
        privacy.open("default").attr("name", LIST).close();
        privacy.open("list").attr("name", LIST);
        for (order, item) in of(xep0191_blocking::SHELF).enumerate() {
            list.open("item").attr("jid", &item.key).close();
            privacy.open("item").attr("type", "jid").attr("value", &item.key).attr("action", "deny");
            privacy.attr("order", &(order + 1).to_string()).close();
        }
        list.close();
        privacy
            .open("item")
            .attr("action", "allow")
            .attr("order", &(of(xep0191_blocking::SHELF).count() + 1).to_string())
            .close();
        privacy.close().close();
        children.push(text(&list.finish()));
        children.push(text(&privacy.finish()));
    }
    children.extend(of(preferences::SHELF).filter_map(|kept| preferences::move_out(&kept.value)));
    children.extend(pep::move_out(items));
    children
}

/// The card, and in it the picture, which lies at its nodes (XEP-0398): many servers know it from there alone. A card is for everybody,
/// so a picture that is not stays where it is.
fn card(items: &[Item]) -> Option<String> {
    let of = |shelf: Shelf| items.iter().find(move |item| item.shelf == shelf);
    let card = of(vcard_temp::SHELF).map(|card| text(&card.value));
    let shown = of(avatar::SHELF).and_then(|shown| avatar::decode(&shown.value)).filter(|shown| !shown.hash.is_empty());
    let shown = shown.filter(|_| [METADATA, DATA].into_iter().all(|node| pep::is_open(items, node)));
    let picture = shown.and_then(|shown| avatar::photo_xml(pep::payload(items, DATA, &shown.hash)?, &shown.mime));
    match picture {
        Some(picture) => Some(vcard_temp::with_photo(card.as_deref().unwrap_or(vcard_temp::EMPTY), &picture)),
        None => card,
    }
}

/// One entry of a log: a `<message/>` for `<offline-messages/>`, a `<result/>` for `<archive/>`. `None`: not what we wrote.
pub fn entry_out(shelf: Shelf, owner: &BareJid, entry: &Entry) -> Option<String> {
    if shelf == xep0160_offline::SHELF {
        return Some(text(&xep0160_offline::kept(&entry.entry, owner.as_str())?));
    }
    let mut result = Build::new();
    result.open_ns("result", MAM).attr("id", &entry.id.0.to_string());
    result.open_ns("forwarded", FORWARD).open_ns("delay", ns::DELAY).attr("stamp", &time::datetime(entry.id.0)).close();
    result.raw(xep0313_archive::kept(&entry.entry)?).close().close();
    Some(text(&result.finish()))
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}

#[cfg(test)]
mod tests;
