//! Who is there: occupants by nickname, each with the clients through which they are there (7.2.8).

use std::cell::{Cell, OnceCell};
use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;

use iris_core::Jid;
use iris_core::time::Mono;
use iris_core::xml::wire::{self, Wire};
use iris_core::xml::{Stamps, Stanza, Strip};

use super::association::{Affiliation, Role, Standing};
use super::nick;
use super::stanzas::{self, Says};

/// A client of an occupant.
#[derive(Debug)]
pub struct Session {
    pub jid: Jid,
    /// What it last said of itself, and what of that is not passed on.
    pub presence: Arc<Stanza>,
    pub strip: Strip,
}

/// A presence as somebody sees it.
#[derive(Clone, Debug)]
pub struct Shown {
    pub stanza: Arc<Stanza>,
    pub stamps: Stamps,
    pub wire: Arc<Wire>,
}

#[derive(Debug)]
pub struct Occupant {
    pub nick: Arc<str>,
    /// The room's address with the nickname.
    pub jid: Jid,
    /// A bare JID.
    pub person: Arc<str>,
    /// XEP-0421.
    pub id: Arc<str>,
    pub role: Role,
    pub affiliation: Affiliation,
    /// The last one is shown: it has spoken last.
    pub sessions: Vec<Session>,
    /// Rendered once each: with the real address, and without.
    shown: [OnceCell<Shown>; 2],
    /// They have asked for voice and were not answered (7.13).
    pub asks_for_voice: bool,
    /// When a change of what their clients say of themselves was told last, and whether one waits (`enter`).
    pub told: Option<Mono>,
    pub waits: Cell<bool>,
    /// XEP-0317: `<hats/>`, or nothing.
    pub hats: Arc<str>,
    /// XEP-0175.
    pub guest: bool,
}

impl Occupant {
    pub fn new(nick: &str, jid: Jid, person: &str, id: String, affiliation: Affiliation, role: Role) -> Occupant {
        Occupant {
            nick: Arc::from(nick),
            jid,
            person: Arc::from(person),
            id: Arc::from(id),
            role,
            affiliation,
            sessions: Vec::new(),
            shown: Default::default(),
            asks_for_voice: false,
            told: None,
            waits: Cell::new(false),
            hats: Arc::from(""),
            guest: false,
        }
    }

    pub fn standing(&self) -> Standing {
        Standing { affiliation: self.affiliation, role: self.role }
    }

    /// Something of what is shown has changed.
    pub fn changed(&mut self) {
        self.shown = Default::default();
    }

    /// The presence of this occupant, for somebody who has just come.
    pub fn shown(&self, with_jid: bool) -> Option<&Shown> {
        let session = self.sessions.last()?;
        Some(self.shown[usize::from(with_jid)].get_or_init(|| {
            let stamps = self.stamps(with_jid, session.strip.clone());
            let wire = Arc::new(wire::render(&session.presence, &stamps));
            Shown { stanza: session.presence.clone(), stamps, wire }
        }))
    }

    /// Who that is, beside what their client says.
    pub fn stamps(&self, with_jid: bool, strip: Strip) -> Stamps {
        let jid = self.sessions.last().map(|session| session.jid.as_str());
        let says = self.says(jid.filter(|_| with_jid));
        let extra = stanzas::occupant_id(&self.id) + &stanzas::user_x(&says, &[]) + &self.hats;
        stanzas::stamps(&self.jid, strip, extra, None)
    }

    pub fn says<'a>(&self, jid: Option<&'a str>) -> Says<'a> {
        Says {
            affiliation: self.affiliation,
            role: self.role,
            jid,
            nick: None,
            actor: None,
            sees_actor: false,
            reason: None,
            codes: &[],
            mav: "",
        }
    }
}

#[derive(Debug, Default)]
pub struct Occupants {
    /// By `nick::key`.
    by_nick: BTreeMap<Arc<str>, Occupant>,
    by_session: HashMap<Jid, Arc<str>>,
    everybody: OnceCell<Arc<[Jid]>>,
}

impl Occupants {
    pub fn len(&self) -> usize {
        self.by_nick.len()
    }

    pub fn is_empty(&self) -> bool {
        self.by_nick.is_empty()
    }

    pub fn iter(&self) -> impl Iterator<Item = &Occupant> {
        self.by_nick.values()
    }

    /// Keys of those of whom this holds.
    pub fn keys(&self, which: impl Fn(&Occupant) -> bool) -> Vec<Arc<str>> {
        self.by_nick.iter().filter(|(_, occupant)| which(occupant)).map(|(key, _)| key.clone()).collect()
    }

    /// Every client that is there.
    pub fn everybody(&self) -> Arc<[Jid]> {
        self.everybody
            .get_or_init(|| self.by_nick.values().flat_map(|it| &it.sessions).map(|it| it.jid.clone()).collect())
            .clone()
    }

    pub fn by_nick(&self, nick: &str) -> Option<&Occupant> {
        self.by_nick.get(&*nick::key(nick))
    }

    pub fn by_key(&self, key: &str) -> Option<&Occupant> {
        self.by_nick.get(key)
    }

    pub fn by_key_mut(&mut self, key: &str) -> Option<&mut Occupant> {
        self.by_nick.get_mut(key)
    }

    /// The occupant whose client this is.
    pub fn by_session(&self, jid: &Jid) -> Option<&Occupant> {
        self.by_nick.get(self.by_session.get(jid)?)
    }

    pub fn key_of(&self, jid: &Jid) -> Option<&Arc<str>> {
        self.by_session.get(jid)
    }

    pub fn of_person<'a>(&'a self, person: &'a str) -> impl Iterator<Item = (&'a Arc<str>, &'a Occupant)> {
        self.by_nick.iter().filter(move |(_, it)| *it.person == *person)
    }

    /// A client comes in: as a new occupant, or beside the other clients of one.
    pub fn enter(&mut self, occupant: impl FnOnce() -> Occupant, nick: &str, session: Session) -> Arc<str> {
        let key: Arc<str> = Arc::from(nick::key(nick));
        self.everybody = OnceCell::new();
        self.by_session.insert(session.jid.clone(), key.clone());
        let occupant = self.by_nick.entry(key.clone()).or_insert_with(occupant);
        occupant.sessions.push(session);
        occupant.changed();
        key
    }

    /// One client says something of itself: it is the one that is shown from now on.
    pub fn update(&mut self, jid: &Jid, presence: Arc<Stanza>, strip: Strip) {
        let Some(occupant) = self.by_session.get(jid).and_then(|key| self.by_nick.get_mut(key)) else { return };
        let Some(at) = occupant.sessions.iter().position(|session| session.jid == *jid) else { return };
        let before = occupant.sessions.remove(at);
        occupant.sessions.push(Session { presence, strip, ..before });
        occupant.changed();
    }

    /// One client of an occupant goes; the occupant stays as long as there are others.
    pub fn remove_session(&mut self, jid: &Jid) {
        let Some(key) = self.by_session.remove(jid) else { return };
        self.everybody = OnceCell::new();
        if let Some(occupant) = self.by_nick.get_mut(&key) {
            occupant.sessions.retain(|session| session.jid != *jid);
            occupant.changed();
            if occupant.sessions.is_empty() {
                self.by_nick.remove(&key);
            }
        }
    }

    /// An occupant goes, with all clients.
    pub fn remove(&mut self, key: &str) -> Option<Occupant> {
        let occupant = self.by_nick.remove(key)?;
        self.everybody = OnceCell::new();
        for session in &occupant.sessions {
            self.by_session.remove(&session.jid);
        }
        Some(occupant)
    }

    /// Another nickname for all clients of an occupant. The new key.
    pub fn rename(&mut self, key: &str, nick: &str, jid: Jid) -> Option<Arc<str>> {
        let mut occupant = self.remove(key)?;
        let key: Arc<str> = Arc::from(nick::key(nick));
        for session in &occupant.sessions {
            self.by_session.insert(session.jid.clone(), key.clone());
        }
        occupant.nick = Arc::from(nick);
        occupant.jid = jid;
        occupant.changed();
        self.by_nick.insert(key.clone(), occupant);
        Some(key)
    }

    /// Everybody is shown in another way (the room shows real addresses now, or no longer).
    pub fn all_changed(&mut self) {
        self.by_nick.values_mut().for_each(Occupant::changed);
    }
}
