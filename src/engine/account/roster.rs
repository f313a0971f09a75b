//! RFC 6121 section 2: an account's roster in memory, its changes and its versions. Pure: who writes and who pushes is the
//! caller's business, told by [`Change`].
//!
//! One record a contact, in three forms: *listed* (an item that clients see), *unlisted* with a request of the contact that
//! waits for an answer (3.1.3: it must not become an item before that), and a *tombstone* of an item that was removed, so that
//! a client that was away hears of it (2.6.3).

use std::sync::Arc;

use bytes::Bytes;
use iris_core::error::{Bounce, Condition, ErrorType};
use iris_core::jids::address;
use iris_core::limits::Limits;
use iris_core::store::{Item, OwnerId, Shelf};
use iris_core::xml::El;
use iris_core::{BareJid, Changed, Relation, ns};

use super::subscription::{Kind, State};

pub mod portable;
mod render;
mod stored;
#[cfg(test)]
mod tests;

/// Key: the contact's bare JID; value: [`Contact`], or the floor under [`stored::FLOOR_KEY`].
pub const SHELF: Shelf = Shelf::map("roster");

/// 2.3.3: "a server-configured limit".
pub const NAME_SIZE_BYTES_MAX: usize = 1023;
pub const GROUP_SIZE_BYTES_MAX: usize = 1023;
pub const GROUPS_PER_ITEM_MAX: usize = 64;
/// Of all groups of one item together: 5,000 items stay below 25 MiB.
pub const GROUPS_SIZE_BYTES_MAX: usize = 4096;
/// Removed items that are remembered; who was away longer than that gets the whole roster.
pub const TOMBSTONES_MAX: usize = 256;
/// 3.1.3, second security warning: requests of strangers that are kept, and the bytes kept of all requests. Of a request
/// beyond the bytes we keep that it was made, not what else it said.
pub const REQUESTS_MAX: usize = 500;
pub const REQUEST_SIZE_BYTES_MAX: usize = 16 * 1024;
pub const REQUESTS_SIZE_BYTES_MAX: usize = 1024 * 1024;

/// An iq around each interim push, roughly; what "less bandwidth" in 2.6.3 is reckoned with.
const PUSH_FRAME_BYTES: usize = 100;

/// What is known of one contact.
#[derive(Clone, Debug, PartialEq)]
pub struct Contact {
    pub jid: BareJid,
    pub name: Option<Box<str>>,
    pub groups: Box<[Box<str>]>,
    pub state: State,
    /// The `subscribe` that waits for the user's answer, a complete element. `Some` exactly with `state.pending_in`.
    pub pending: Option<Bytes>,
    /// Listed: the version of the last change that clients see. Not listed: the version of the removal, 0 if it never was.
    pub ver: u64,
    /// An item of the roster: shown in results and pushes.
    pub listed: bool,
}

impl Contact {
    fn new(jid: BareJid) -> Contact {
        Contact { jid, name: None, groups: Box::default(), state: State::NONE, pending: None, ver: 0, listed: false }
    }

    fn is_tombstone(&self) -> bool {
        !self.listed && self.ver != 0
    }

    fn relation(&self) -> Relation {
        if self.listed { Relation::Contact { from: self.state.from, to: self.state.to } } else { Relation::Stranger }
    }
}

/// The answer to a roster get (2.1.3).
#[derive(Clone, Debug, PartialEq)]
pub enum Answer {
    /// The result with this `<query/>`.
    Full(Arc<str>),
    /// The empty result; the client has everything.
    Unchanged,
    /// The empty result, then one push for each of these `<query/>`, in this order.
    Changes(Vec<String>),
}

/// What follows from a change: to be written, then pushed, then sent, all in the turn that made it.
#[derive(Clone, Debug, PartialEq)]
pub struct Change {
    pub key: Arc<str>,
    /// `None`: delete the key.
    pub value: Option<Bytes>,
    /// The `<query/>` of a roster push to all interested sessions; `None` when no client sees the change.
    pub push: Option<String>,
    /// The state before: what the contact loses by a removal, its presence to be shown as unavailable (3.2.2).
    pub before: State,
    /// Tombstones that were given up, and the floor.
    pub extra_writes: Vec<(Arc<str>, Option<Bytes>)>,
    /// 2.5.2: to be sent to the contact, from the user's bare JID.
    pub cancel: Vec<Kind>,
}

/// The roster of one account.
#[derive(Clone, Debug, Default)]
pub struct Roster {
    /// Ascending by JID.
    contacts: Vec<Contact>,
    listed: usize,
    /// The version of the last change.
    latest: u64,
    /// Of changes up to here removals may be forgotten: a client that is older gets everything.
    floor: u64,
    unreadable: usize,
    /// The version that was asked for as a whole, and what that is from the second time on: most clients ask once.
    whole: (u64, Option<Arc<str>>),
}

/// There is no place for one more.
pub fn full(limits: &Limits) -> Bounce {
    Bounce::over(format!("a roster has at most {} contacts", limits.roster_items_max), Changed::ByOperator)
}

impl Roster {
    /// From what was woken; items of other shelves are passed over. What can not be read is left out, and stays in the store
    /// until that contact changes.
    pub fn load(items: &[Item]) -> Roster {
        let mut roster = Roster::default();
        for item in items.iter().filter(|item| item.shelf == SHELF) {
            if &*item.key == stored::FLOOR_KEY {
                match stored::decode_floor(&item.value) {
                    Some(floor) => roster.floor = floor,
                    None => roster.unreadable += 1,
                }
                continue;
            }
            match stored::decode(&item.key, &item.value) {
                Some(contact) => roster.contacts.push(contact),
                None => roster.unreadable += 1,
            }
        }
        roster.contacts.sort_unstable_by(|a, b| a.jid.cmp(&b.jid));
        roster.contacts.dedup_by(|later, first| later.jid == first.jid);
        roster.listed = roster.contacts.iter().filter(|contact| contact.listed).count();
        roster.latest = roster.contacts.iter().map(|contact| contact.ver).fold(roster.floor, u64::max);
        roster
    }

    /// No version is older than the account: a client that still has the roster of an earlier account of this name gets
    /// everything. The owner's id and the versions come from the same house clock.
    pub fn born(mut self, owner: OwnerId) -> Roster {
        self.floor = self.floor.max(owner.0);
        self.latest = self.latest.max(self.floor);
        self
    }

    /// Values that `load` could not read: worth a warning in the log.
    pub fn unreadable(&self) -> usize {
        self.unreadable
    }

    /// Items, as clients count them.
    pub fn len(&self) -> usize {
        self.listed
    }

    pub fn is_empty(&self) -> bool {
        self.listed == 0
    }

    /// The version that the next result carries.
    pub fn ver(&self) -> u64 {
        self.latest
    }

    pub fn contact(&self, jid: &BareJid) -> Option<&Contact> {
        self.contacts.get(self.find(jid).ok()?)
    }

    /// "None" for whoever is in no roster (A.1, implementation note).
    pub fn state(&self, jid: &BareJid) -> State {
        self.contact(jid).map_or(State::NONE, |contact| contact.state)
    }

    pub fn relation(&self, jid: &BareJid) -> Relation {
        self.contact(jid).map_or(Relation::Stranger, Contact::relation)
    }

    /// May a subscription stanza of the user make this contact an item? Asked only when `next.shown()` is not "None": a request
    /// can be denied in a full roster too. (A roster set looks for itself.)
    pub fn has_room(&self, jid: &BareJid, limits: &Limits) -> bool {
        self.listed < limits.roster_items_max || self.contact(jid).is_some_and(|contact| contact.listed)
    }

    /// Can a request of this contact be kept? Of a stranger it can not once [`REQUESTS_MAX`] of them wait.
    pub fn has_room_for_request(&self, jid: &BareJid) -> bool {
        match self.contact(jid) {
            Some(contact) if contact.listed || contact.state.pending_in => true,
            _ => self.contacts.iter().filter(|c| !c.listed && c.state.pending_in).count() < REQUESTS_MAX,
        }
    }

    /// The items.
    pub fn contacts(&self) -> impl Iterator<Item = (&BareJid, Relation)> {
        self.items().map(|contact| (&contact.jid, contact.relation()))
    }

    /// Who gets our presence (4.2.2, 4.4.2).
    pub fn watchers(&self) -> impl Iterator<Item = &BareJid> {
        self.contacts.iter().filter(|contact| contact.state.from).map(|contact| &contact.jid)
    }

    /// Whose presence we get: to be probed (4.3.1).
    pub fn watched(&self) -> impl Iterator<Item = &BareJid> {
        self.contacts.iter().filter(|contact| contact.state.to).map(|contact| &contact.jid)
    }

    /// Requests without an answer: delivered to each session that becomes available, until there is one (3.1.3 rule 4).
    pub fn requests(&self) -> impl Iterator<Item = (&BareJid, &Bytes)> {
        self.contacts.iter().filter_map(|contact| Some((&contact.jid, contact.pending.as_ref()?)))
    }

    /// Whom we have asked and who has not answered: asked again when a session becomes available (3.1.2, last paragraph).
    pub fn asked(&self) -> impl Iterator<Item = &BareJid> {
        self.contacts.iter().filter(|contact| contact.state.ask).map(|contact| &contact.jid)
    }

    /// 2.1.3, 2.6.3: `ver` is the attribute of the `<query/>`, if there is one.
    pub fn get(&mut self, ver: Option<&str>) -> Answer {
        // 2.6.3: what we can not associate with an earlier version, and 2.6.2: the empty string.
        let Some(known) = ver.and_then(|ver| ver.parse().ok()) else { return self.full() };
        if known == self.latest {
            return Answer::Unchanged;
        }
        if known < self.floor || known > self.latest {
            return self.full();
        }
        let mut news: Vec<&Contact> = self.contacts.iter().filter(|contact| contact.ver > known).collect();
        // 2.6.3: in order of modification; then a client that leaves halfway has the version of what it has seen.
        news.sort_unstable_by_key(|contact| contact.ver);
        // 2.6.3: the complete roster where that is shorter, "e.g., if the roster contains only a few items".
        let pushes: usize = news.iter().map(|contact| render::push_len(contact) + PUSH_FRAME_BYTES).sum();
        if pushes >= render::query_len(self.items()) {
            return self.full();
        }
        Answer::Changes(news.into_iter().map(render::push).collect())
    }

    /// Every change that clients see has a version of its own.
    fn full(&mut self) -> Answer {
        let again = self.whole.0 == self.latest;
        if let (true, Some(whole)) = (again, &self.whole.1) {
            return Answer::Full(whole.clone());
        }
        let whole: Arc<str> = render::query(self.latest, self.items()).into();
        self.whole = (self.latest, again.then(|| whole.clone()));
        Answer::Full(whole)
    }

    /// A roster set (2.1.5): adds, updates or removes one item. `ver`: from the house clock. The caller has checked that the
    /// sender may (2.3.3, `forbidden`).
    pub fn set(&mut self, query: El<'_>, ver: u64, limits: &Limits) -> Result<Change, Bounce> {
        let mut items = query.children().filter(|child| child.is(ns::ROSTER, "item"));
        let (Some(item), None) = (items.next(), items.next()) else {
            return Err(Bounce::bad_request("a roster set has exactly one item"));
        };
        let Some(jid) = item.attr("jid") else { return Err(Bounce::bad_request("the item has no jid")) };
        let jid = address(&jid).map_err(|_| Bounce::new(Condition::JidMalformed))?;
        let Ok(jid) = BareJid::try_from(jid) else { return Err(Bounce::bad_request("the jid of an item is bare")) };
        // 2.1.2.5: every value but "remove" is ignored, and so are 'ask' and 'approved'.
        if item.attr("subscription").as_deref() == Some("remove") {
            return self.remove(&jid, ver);
        }
        let name = name_of(&item)?;
        let groups = groups_of(&item)?;
        let found = self.find(&jid);
        if !self.contact(&jid).is_some_and(|contact| contact.listed) {
            if self.listed >= limits.roster_items_max {
                return Err(full(limits));
            }
            self.listed += 1;
        }
        let at = found.unwrap_or_else(|at| {
            self.contacts.insert(at, Contact::new(jid));
            at
        });
        self.latest = next_ver(self.latest, ver);
        let Some(contact) = self.contacts.get_mut(at) else { return Err(Bounce::new(Condition::InternalServerError)) };
        contact.name = name;
        contact.groups = groups;
        contact.listed = true;
        contact.ver = self.latest;
        Ok(Change::of(contact, contact.state, true))
    }

    /// Stores what [`super::subscription`] has found. `None`: nothing changed, or a stranger's request beyond
    /// [`REQUESTS_MAX`]. `pending`: the complete stanza when `next` is the first to be "Pending In"; the request that came
    /// first is the one that is kept (3.1.3 rule 4).
    pub fn apply(&mut self, contact: &BareJid, next: State, pending: Option<Bytes>, ver: u64) -> Option<Change> {
        let next = next.defined();
        let found = self.find(contact);
        let before = self.state(contact);
        if next == before || (next.pending_in && !before.pending_in && !self.has_room_for_request(contact)) {
            return None;
        }
        let pending = match next.pending_in && !before.pending_in {
            true => Some(self.keepable(contact, pending)),
            false => None,
        };
        let at = found.unwrap_or_else(|at| {
            self.contacts.insert(at, Contact::new(contact.clone()));
            at
        });
        let entry = self.contacts.get_mut(at)?;
        entry.state = next;
        entry.pending = if next.pending_in { pending.or_else(|| entry.pending.take()) } else { None };
        // A request alone makes no item (3.1.3, first security warning); what the user says or is granted does (3.1.2, 3.4.2).
        let was_listed = entry.listed;
        entry.listed |= next.shown() != State::NONE;
        self.listed += usize::from(entry.listed && !was_listed);
        // 2.6.3: a modification is what results in a push.
        let seen = entry.listed && (!was_listed || next.shown() != before.shown());
        if seen {
            self.latest = next_ver(self.latest, ver);
            entry.ver = self.latest;
        }
        let change = Change::of(entry, before, seen);
        if change.value.is_none() {
            self.contacts.remove(at);
        }
        Some(change)
    }

    /// 2.5
    fn remove(&mut self, jid: &BareJid, ver: u64) -> Result<Change, Bounce> {
        // 2.5.3; its example has the type 'modify'.
        let missing = || Bounce::new(Condition::ItemNotFound).kind(ErrorType::Modify);
        let at = self.find(jid).map_err(|_| missing())?;
        let contact = self.contacts.get_mut(at).filter(|contact| contact.listed).ok_or_else(missing)?;
        let before = contact.state;
        let State { to, from, ask, pending_in, .. } = before;
        // 2.5.2, and what it does not speak of: a question of ours is taken back, one of theirs is answered with no. Else
        // they would still be asked, and we still be shown, a request for something that is gone.
        let cancel = [(to || ask, Kind::Unsubscribe), (from || pending_in, Kind::Unsubscribed)];
        let cancel = cancel.into_iter().filter_map(|(needed, kind)| needed.then_some(kind)).collect();
        self.latest = next_ver(self.latest, ver);
        *contact = Contact { ver: self.latest, ..Contact::new(contact.jid.clone()) };
        let mut change = Change { cancel, ..Change::of(contact, before, true) };
        self.listed -= 1;
        self.forget_oldest(&mut change.extra_writes);
        Ok(change)
    }

    /// Keeps the tombstones below their limit.
    fn forget_oldest(&mut self, writes: &mut Vec<(Arc<str>, Option<Bytes>)>) {
        let tombstones = self.contacts.iter().filter(|contact| contact.is_tombstone()).count();
        for _ in TOMBSTONES_MAX..tombstones {
            let stones = self.contacts.iter().enumerate().filter(|(_, contact)| contact.is_tombstone());
            let Some((at, ver)) = stones.min_by_key(|(_, contact)| contact.ver).map(|(at, contact)| (at, contact.ver)) else {
                return;
            };
            self.floor = self.floor.max(ver);
            if let Some(contact) = self.contacts.get_mut(at) {
                contact.ver = 0;
                let Change { key, value, .. } = Change::of(contact, contact.state, false);
                if value.is_none() {
                    self.contacts.remove(at);
                }
                writes.push((key, value));
            }
            writes.push((Arc::from(stored::FLOOR_KEY), Some(stored::encode_floor(self.floor))));
        }
    }

    /// The request as it will be kept.
    fn keepable(&self, contact: &BareJid, request: Option<Bytes>) -> Bytes {
        let kept: usize = self.requests().map(|(_, bytes)| bytes.len()).sum();
        request
            .filter(|bytes| bytes.len() <= REQUEST_SIZE_BYTES_MAX && kept + bytes.len() <= REQUESTS_SIZE_BYTES_MAX)
            .unwrap_or_else(|| Bytes::from(render::bare_request(contact)))
    }

    /// What clients see.
    pub fn items(&self) -> impl Iterator<Item = &Contact> + Clone {
        self.contacts.iter().filter(|contact| contact.listed)
    }

    fn find(&self, jid: &BareJid) -> Result<usize, usize> {
        self.contacts.binary_search_by(|contact| contact.jid.cmp(jid))
    }
}

impl Change {
    fn of(contact: &Contact, before: State, seen: bool) -> Change {
        // Nothing to remember of who is not listed, has asked nothing and was never removed.
        let empty = !contact.listed && contact.state == State::NONE && contact.ver == 0;
        Change {
            key: Arc::from(contact.jid.as_str()),
            value: (!empty).then(|| stored::encode(contact)),
            push: seen.then(|| render::push(contact)),
            before,
            extra_writes: Vec::new(),
            cancel: Vec::new(),
        }
    }
}

/// 2.6.3: a version is never given twice, whatever the caller's clock says.
fn next_ver(latest: u64, ver: u64) -> u64 {
    ver.max(latest.saturating_add(1))
}

fn name_of(item: &El<'_>) -> Result<Option<Box<str>>, Bounce> {
    match item.attr("name") {
        Some(name) if name.len() > NAME_SIZE_BYTES_MAX => Err(not_acceptable("the name is too long")),
        // 2.4.1: an empty name is none.
        Some(name) if !name.is_empty() => Ok(Some(name.into())),
        _ => Ok(None),
    }
}

fn groups_of(item: &El<'_>) -> Result<Box<[Box<str>]>, Bounce> {
    let mut groups: Vec<Box<str>> = Vec::new();
    let mut bytes = 0;
    for group in item.children().filter(|child| child.is(ns::ROSTER, "group")) {
        let group = group.text();
        bytes += group.len();
        if group.is_empty() {
            return Err(not_acceptable("a group has no name"));
        }
        if group.len() > GROUP_SIZE_BYTES_MAX {
            return Err(not_acceptable("the name of a group is too long"));
        }
        if groups.iter().any(|other| **other == *group) {
            return Err(Bounce::bad_request("a group is named twice"));
        }
        if groups.len() == GROUPS_PER_ITEM_MAX || bytes > GROUPS_SIZE_BYTES_MAX {
            return Err(not_acceptable("too many groups"));
        }
        groups.push(group.into());
    }
    Ok(groups.into_boxed_slice())
}

fn not_acceptable(why: &str) -> Bounce {
    Bounce::new(Condition::NotAcceptable).text(why)
}
