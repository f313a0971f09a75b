//! Affiliations as a client has seen them (XEP-0463): who comes in again is told only what has changed since.
//!
//! A version is the image of a moment of the house clock, so nobody guesses one. One value of the map `muc-affiliation-version` for each
//! address whose affiliation was ever changed: when it was last, and when they last stopped to belong to the room. So a version is known
//! over restarts, however old it is; of those who are nobody now the last few are remembered, and who knows something older than the first
//! that was forgotten (under the empty key) gets everything.

use std::collections::BTreeMap;
use std::sync::Arc;

use iris_core::store::{EntryId, Item, OwnerId, Shelf};
use iris_core::xml::{Build, El};
use iris_core::{ErrorType, HostTurn, Jid};

use super::affiliations::Affiliations;
use super::association::{Affiliation, Standing};
use super::room::{Room, bare};
use super::{MAV, MUC, USER, stanzas};

pub const SHELF: Shelf = Shelf::map("muc-affiliation-version");
/// Addresses that are nothing now and were something.
const GONE_MAX: usize = 500;
/// Items of one message.
const ITEMS_MAX: usize = 400;
/// An id of the room's archive is none of its versions.
const OF_VERSIONS: u64 = 0x6d61_765f_7665_7273;

/// Moments of the house clock; 0: never.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
struct Change {
    at: u64,
    /// When they were a member or more for the last time, if they are not now.
    left: u64,
    is_gone: bool,
    /// When they became a member or more for the last time.
    came: u64,
}

impl Change {
    fn encode(&self) -> String {
        format!("{} {} {} {}", self.at, self.left, u8::from(self.is_gone), self.came)
    }

    fn decode(text: &[u8]) -> Option<Change> {
        let mut words = std::str::from_utf8(text).ok()?.split(' ');
        let mut number = || words.next()?.parse::<u64>().ok();
        Some(Change { at: number()?, left: number()?, is_gone: number()? == 1, came: number().unwrap_or(0) })
    }
}

#[derive(Debug, Default)]
pub struct Versions {
    current: u64,
    /// What is older is not known completely.
    forgotten: u64,
    changes: BTreeMap<Arc<str>, Change>,
}

impl Versions {
    pub fn load<'a>(items: impl Iterator<Item = &'a Item>) -> Versions {
        let mut versions = Versions::default();
        for item in items {
            let Some(change) = Change::decode(&item.value) else { continue };
            versions.current = versions.current.max(change.at);
            if item.key.is_empty() {
                versions.forgotten = change.at;
            } else {
                versions.changes.insert(item.key.clone(), change);
            }
        }
        versions
    }

    /// Since when they are what they are; 0: from the beginning.
    pub fn since_when(&self, address: &str) -> u64 {
        self.changes.get(address).map_or(0, |change| change.at)
    }

    pub fn keep(&self, turn: &mut HostTurn<'_>) {
        for (address, change) in &self.changes {
            turn.put(SHELF, address, change.encode());
        }
        if self.forgotten > 0 {
            turn.put(SHELF, "", Change { at: self.forgotten, ..Change::default() }.encode());
        }
    }

    pub fn keep_nothing(&self, turn: &mut HostTurn<'_>) {
        self.changes.keys().map(|address| &**address).chain([""]).for_each(|key| turn.delete(SHELF, key));
    }

    /// Somebody is something else now. What is said with it.
    pub fn change(
        &mut self,
        turn: &mut HostTurn<'_>,
        is_kept: bool,
        address: &str,
        old: Affiliation,
        new: Affiliation,
    ) -> String {
        let since = self.current;
        self.current = turn.mint().0;
        let before = self.changes.get(address).cloned().unwrap_or_default();
        let (belonged, belongs) = (old >= Affiliation::Member, new >= Affiliation::Member);
        let left = if belonged && !belongs { self.current } else { before.left };
        let came = if belongs && !belonged { self.current } else { before.came };
        let change = Change { at: self.current, left, is_gone: new == Affiliation::None, came };
        if is_kept {
            turn.put(SHELF, address, change.encode());
        }
        self.changes.insert(Arc::from(address), change);
        self.forget(turn, is_kept);
        mav(Some(&shown(turn, since)), &shown(turn, self.current))
    }

    fn forget(&mut self, turn: &mut HostTurn<'_>, is_kept: bool) {
        let gone = || self.changes.iter().filter(|(_, change)| change.is_gone);
        if gone().count() <= GONE_MAX {
            return;
        }
        let Some((address, at)) = gone().map(|(address, change)| (address.clone(), change.at)).min_by_key(|(_, at)| *at) else {
            return;
        };
        self.changes.remove(&address);
        self.forgotten = self.forgotten.max(at);
        if is_kept {
            turn.delete(SHELF, &address);
            turn.put(SHELF, "", Change { at: self.forgotten, ..Change::default() }.encode());
        }
    }

    /// Is it one of ours, of which this person may know everything that came after? Section 5: "not disclose past affiliation states":
    /// who has come to belong to the room since, or was out of it meanwhile, does not learn who came and went without them.
    fn read(&self, turn: &HostTurn<'_>, person: &str, version: &str) -> Option<u64> {
        let at = turn.house.ids.read(OwnerId(turn.owner.0 ^ OF_VERSIONS), version)?.0;
        let own = self.changes.get(person).map_or(0, |change| change.left.max(change.came));
        (self.forgotten.max(own)..=self.current).contains(&at).then_some(at)
    }

    /// What each is now who is something else since that version. Who may not see `outcasts` is told of nobody who was never more.
    fn since(&self, at: u64, now: &Affiliations, outcasts: bool) -> Vec<(String, Affiliation)> {
        let changed = self.changes.iter().filter(|(_, change)| change.at > at);
        let shown = changed.filter_map(|(address, change)| {
            let affiliation = now.at(address).map_or(Affiliation::None, |it| it.affiliation);
            if outcasts || affiliation >= Affiliation::Member {
                return Some((address.to_string(), affiliation));
            }
            (change.left > at).then(|| (address.to_string(), Affiliation::None))
        });
        shown.collect()
    }
}

fn shown(turn: &HostTurn<'_>, version: u64) -> String {
    turn.house.ids.show(OwnerId(turn.owner.0 ^ OF_VERSIONS), EntryId(version))
}

fn mav(since: Option<&str>, until: &str) -> String {
    let mut xml = Build::new();
    xml.open_ns("mav", MAV).attr_opt("since", since).attr("until", until).close();
    stanzas::text(xml)
}

impl Room {
    /// 4.2.1: before any presence. What the client's own presence says of it; empty for a client that did not ask.
    pub fn show_affiliations(&mut self, turn: &mut HostTurn<'_>, join: &El<'_>, standing: Standing) -> String {
        let Some(asked) = join.child(MAV, "mav").filter(|_| join.is(MUC, "x")) else { return String::new() };
        let lists: Vec<Affiliation> = Affiliation::ALL.into_iter().filter(|it| self.may_list(standing, *it)).collect();
        if !lists.contains(&Affiliation::Member) {
            let mut why = String::new();
            iris_core::Bounce::new(iris_core::Condition::Forbidden).kind(ErrorType::Auth).write(&mut why);
            if let Some(refused) = stanzas::made(turn, &format!("<message type='error'>{why}</message>")) {
                turn.send_stanza(turn.from.clone(), refused);
            }
            return String::new();
        }
        let current = shown(turn, self.versions.current);
        let since = asked.attr("since");
        if since.as_deref() != Some(&current) {
            let known = since.as_deref().and_then(|since| self.versions.read(turn, bare(turn.from), since));
            let outcasts = lists.contains(&Affiliation::Outcast);
            let changes = known.map(|at| self.versions.since(at, &self.affiliations, outcasts));
            // "There can be no empty diff": what has changed is nothing that this one may see.
            match changes.filter(|changes| !changes.is_empty()) {
                Some(changes) => self.tell_affiliations(turn, since.as_deref(), &current, &changes),
                None => {
                    let all = self.affiliations.iter().filter(|(_, it)| lists.contains(&it.affiliation));
                    let all: Vec<_> = all.map(|(jid, it)| (jid.to_string(), it.affiliation)).collect();
                    self.tell_affiliations(turn, None, &current, &all);
                }
            }
        }
        mav(None, &current)
    }

    /// "The response may be split into multiple messages, which must have their until and since attributes match". What is between two
    /// parts is no version that anybody could come back with.
    fn tell_affiliations(&self, turn: &mut HostTurn<'_>, since: Option<&str>, until: &str, items: &[(String, Affiliation)]) {
        let parts = items.len().div_ceil(ITEMS_MAX).max(1);
        let mut since = since.map(str::to_owned);
        for part in 0..parts {
            let mark = if part + 1 == parts { until.to_owned() } else { format!("{until}.{part}") };
            let mut xml = Build::new();
            xml.open_ns("x", USER).raw(mav(since.as_deref(), &mark).as_bytes());
            for (jid, affiliation) in items.iter().skip(part * ITEMS_MAX).take(ITEMS_MAX) {
                xml.open("item").attr("jid", jid).attr("affiliation", affiliation.as_str()).close();
            }
            xml.close();
            self.tell_one(turn, turn.from.clone(), &stanzas::text(xml));
            since = Some(mark);
        }
    }

    /// 4.2.2, XEP-0045 10.3: about somebody who is not here, to all who may know. Clients encrypt for those who belong to a room, here or
    /// not. "The room MUST add the mav element", whoever has asked for versions when they came.
    pub fn tell_change(&self, turn: &mut HostTurn<'_>, address: &str, old: Affiliation, new: Affiliation, said: &str) {
        let may = |standing: Standing| self.may_list(standing, old.max(new)) || self.may_list(standing, old.min(new));
        let sessions = self.occupants.iter().filter(|it| may(it.standing())).flat_map(|it| &it.sessions);
        let to: Vec<Jid> = sessions.map(|session| session.jid.clone()).collect();
        if to.is_empty() {
            return;
        }
        let mut xml = Build::new();
        xml.open_ns("x", USER).raw(said.as_bytes());
        xml.open("item").attr("jid", address).attr("affiliation", new.as_str()).attr("role", "none").close().close();
        if let Some(stanza) = stanzas::made(turn, &format!("<message>{}</message>", stanzas::text(xml))) {
            turn.fan_out(turn.jid.clone(), stanza, to.into());
        }
    }
}
