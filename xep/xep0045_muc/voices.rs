//! Voices that moderators have given, or taken, stay when somebody comes again: "An implementation MAY persist roles across visits and
//! SHOULD do so for moderated rooms" (5.1). Of a room that stays they are kept: one value of the map `muc-voice` for each, by the bare
//! JID, with the role. A guest's (XEP-0175) is not: nobody has their address again.

use std::collections::BTreeMap;
use std::sync::Arc;

use iris_core::HostTurn;
use iris_core::store::{Item, Shelf};

use super::association::{Affiliation, Role};
use super::room::Room;

pub const SHELF: Shelf = Shelf::map("muc-voice");
/// People of one room whose voice is remembered.
const VOICES_MAX: usize = 1_000;

#[derive(Debug, Default)]
pub struct Voices {
    of: BTreeMap<Arc<str>, Role>,
}

impl Voices {
    pub fn load<'a>(items: impl Iterator<Item = &'a Item>) -> Voices {
        let read = |item: &Item| Some((item.key.clone(), Role::parse(std::str::from_utf8(&item.value).ok()?)?));
        Voices { of: items.filter_map(read).take(VOICES_MAX).collect() }
    }

    /// The role somebody of this affiliation comes in with, if it is another than that of others.
    pub fn given(&self, person: &str, affiliation: Affiliation) -> Option<Role> {
        self.of.get(person).copied().filter(|_| affiliation < Affiliation::Admin)
    }
}

impl Room {
    /// Somebody has got a role. `usual`: what others of their affiliation have.
    pub fn remember_voice(&mut self, turn: &mut HostTurn<'_>, person: &Arc<str>, is_guest: bool, role: Role, usual: Role) {
        if role == usual || role == Role::Moderator {
            return self.forget_voice(turn, person);
        }
        if self.voices.of.len() >= VOICES_MAX && !self.voices.of.contains_key(person) {
            return;
        }
        if self.is_kept() && !is_guest {
            turn.put(SHELF, person, role.as_str());
        }
        self.voices.of.insert(person.clone(), role);
    }

    pub fn forget_voice(&mut self, turn: &mut HostTurn<'_>, person: &str) {
        if self.voices.of.remove(person).is_some() && self.is_kept() {
            turn.delete(SHELF, person);
        }
    }

    /// The room is moderated now, or no longer: everybody is as everybody.
    pub fn forget_voices(&mut self, turn: &mut HostTurn<'_>) {
        for person in std::mem::take(&mut self.voices.of).into_keys() {
            turn.delete(SHELF, &person);
        }
    }

    /// It becomes a room that is kept.
    pub fn keep_voices(&self, turn: &mut HostTurn<'_>) {
        let is_guest = |person: &str| self.occupants.of_person(person).any(|(_, it)| it.guest);
        for (person, role) in self.voices.of.iter().filter(|(person, _)| !is_guest(person)) {
            turn.put(SHELF, person, role.as_str());
        }
    }

    /// It becomes one that is not.
    pub fn keep_no_voices(&self, turn: &mut HostTurn<'_>) {
        self.voices.of.keys().for_each(|person| turn.delete(SHELF, person));
    }
}
