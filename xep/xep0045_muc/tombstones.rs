//! Addresses of rooms that were destroyed. Whoever was away comes back to the address (it is in their bookmarks), and would be the owner of
//! a new and public room there, into which everybody else walks; a stranger could wait for that. For some time nobody makes a room there
//! but who has destroyed it, and administrators of the domain; others hear that it is gone, and where it is now (RFC 6120 8.3.3.5).
//!
//! One value of the map `muc-tombstones` for each address. A crash between the commit of the room and that of the service loses it.

use std::collections::BTreeMap;
use std::sync::Arc;

use iris_core::store::{Item, Shelf};
use iris_core::xml::{Build, El};
use iris_core::{BareJid, Bounce, Condition, HostTurn, Jid, StateSlot};

use super::room::Room;

pub const SHELF: Shelf = Shelf::map("muc-tombstones");
pub static TOMBSTONES: StateSlot<Tombstones> = StateSlot::new();

const DAY_US: u64 = 86_400_000_000;
/// Of one service, and of these of one person: the oldest make room.
const TOMBSTONES_MAX: usize = 10_000;
const PER_PERSON_MAX: usize = 100;
const REASON_SIZE_BYTES_MAX: usize = 256;

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Tombstone {
    until_us: u64,
    /// Who has destroyed the room; nobody, when that account has ended.
    by: String,
    venue: Option<String>,
    /// Only of a room that everybody could find.
    reason: Option<String>,
}

impl Tombstone {
    fn encode(&self) -> Vec<u8> {
        let mut xml = Build::new();
        xml.open("gone").attr("until", &self.until_us.to_string()).attr("by", &self.by).attr_opt("to", self.venue.as_deref());
        xml.text(self.reason.as_deref().unwrap_or_default());
        xml.finish()
    }

    fn decode(bytes: &[u8]) -> Option<Tombstone> {
        let gone = El::parse(bytes)?;
        let reason = gone.text();
        Some(Tombstone {
            until_us: gone.attr("until")?.parse().ok()?,
            by: gone.attr("by")?.into_owned(),
            venue: gone.attr("to").map(|to| to.into_owned()),
            reason: (!reason.is_empty()).then(|| reason.into_owned()),
        })
    }

    /// What others hear than who has destroyed it.
    pub fn refusal(&self, to: &BareJid) -> Option<Bounce> {
        if self.by == to.as_str() {
            return None;
        }
        let why = self.reason.as_deref().map(|reason| format!(": {reason}")).unwrap_or_default();
        let gone = Bounce::new(Condition::Gone).text(format!("the room that was here was destroyed{why}"));
        Some(match &self.venue {
            Some(venue) => gone.address(format!("xmpp:{venue}?join")),
            None => gone,
        })
    }
}

#[derive(Debug, Default)]
pub struct Tombstones(BTreeMap<Arc<str>, Tombstone>);

impl Tombstones {
    pub fn load(items: &[Item]) -> Tombstones {
        Tombstones(items.iter().filter_map(|item| Some((item.key.clone(), Tombstone::decode(&item.value)?))).collect())
    }

    /// Which have to go: their time is over, or there is no room for one more of this person.
    fn over(&self, by: &str, now_us: u64) -> Vec<Arc<str>> {
        let is_over = |it: &Tombstone| it.until_us <= now_us;
        let mut over: Vec<Arc<str>> = self.0.iter().filter(|(_, it)| is_over(it)).map(|(at, _)| at.clone()).collect();
        let oldest = |most: usize, is: &dyn Fn(&Tombstone) -> bool| {
            let left = self.0.iter().filter(|(_, it)| !is_over(it) && is(it));
            let (count, oldest) = (left.clone().count(), left.min_by_key(|(_, it)| it.until_us));
            oldest.filter(|_| count >= most).map(|(at, _)| at.clone())
        };
        let of_person = oldest(PER_PERSON_MAX, &|it| it.by == by);
        over.extend(of_person.or_else(|| oldest(TOMBSTONES_MAX, &|_| true)));
        over
    }
}

/// In the service's turn: what stands at this address.
pub fn at(turn: &mut HostTurn<'_>, address: &str) -> Option<Tombstone> {
    let now_us = turn.now.wall_us;
    turn.state(&TOMBSTONES)?.0.get(address).filter(|it| it.until_us > now_us).cloned()
}

/// In the service's turn: there is a room again that stays.
pub fn take_away(turn: &mut HostTurn<'_>, address: &str) {
    if turn.state(&TOMBSTONES).is_some_and(|tombstones| tombstones.0.remove(address).is_some()) {
        turn.delete(SHELF, address);
    }
}

/// In the service's turn: this account has ended, and whoever is given its address next has destroyed nothing.
pub fn forget(turn: &mut HostTurn<'_>, person: &str) {
    let Some(tombstones) = turn.state(&TOMBSTONES) else { return };
    let theirs = tombstones.0.iter_mut().filter(|(_, it)| it.by == person);
    let changed = theirs.map(|(address, it)| {
        it.by.clear();
        (address.clone(), it.encode())
    });
    for (address, tombstone) in changed.collect::<Vec<_>>() {
        turn.put(SHELF, &address, tombstone);
    }
}

impl Room {
    /// Before it ends, because of this person. A room that was not to stay leaves nothing.
    pub fn leave_tombstone(&self, turn: &mut HostTurn<'_>, by: &BareJid, venue: Option<&Jid>, reason: Option<&str>) {
        let days = self.service.settings.tombstone_days;
        if days == 0 || !self.is_kept() {
            return;
        }
        let reason = reason.filter(|_| self.config.public).map(|reason| shortened(reason).to_owned());
        let tombstone = Tombstone {
            until_us: turn.now.wall_us + u64::from(days) * DAY_US,
            by: by.to_string(),
            venue: venue.map(|venue| venue.to_bare().to_string()),
            reason,
        };
        let (service, address) = (turn.host().to_owned(), Arc::<str>::from(turn.jid.as_str()));
        turn.tell(&service, move |turn| {
            let now_us = turn.now.wall_us;
            let over = turn.state(&TOMBSTONES).map(|it| it.over(&tombstone.by, now_us)).unwrap_or_default();
            over.iter().for_each(|address| take_away(turn, address));
            turn.put(SHELF, &address, tombstone.encode());
            if let Some(tombstones) = turn.state(&TOMBSTONES) {
                tombstones.0.insert(address, tombstone);
            }
        });
    }
}

fn shortened(text: &str) -> &str {
    let end = (0..=REASON_SIZE_BYTES_MAX.min(text.len())).rev().find(|at| text.is_char_boundary(*at));
    text.get(..end.unwrap_or_default()).unwrap_or_default()
}
