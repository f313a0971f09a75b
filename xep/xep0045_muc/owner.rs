//! `muc#owner`: the configuration (10.1 to 10.2.1) and the end of a room (10.9).

use std::sync::Arc;

use iris_core::xml::{Build, El, Strip};
use iris_core::{BareJid, Bounce, Condition, HostTurn, Jid, Reply, jids, ns};

use super::affiliations::Affiliated;
use super::association::{Affiliation, Role};
use super::config::{self, RoomConfig};
use super::occupants::Occupants;
use super::room::{ROOM, Room, Stage};
use super::{OWNER, USER, service, stanzas};
use crate::result;

impl Room {
    fn is_owner(&self, turn: &HostTurn<'_>) -> bool {
        self.affiliation_of(turn.from) == Affiliation::Owner
    }

    pub fn owner_get(&self, turn: &HostTurn<'_>) -> Reply {
        if !self.is_owner(turn) {
            return Bounce::new(Condition::Forbidden).into();
        }
        let mut xml = Build::new();
        xml.open_ns("query", OWNER).raw(self.form(turn).to_ask().as_bytes()).close();
        result(xml)
    }

    fn form(&self, turn: &HostTurn<'_>) -> iris_core::form::Form {
        let of = |affiliation| self.affiliations.having(affiliation).map(|(jid, _)| &**jid).collect::<Vec<&str>>();
        self.config.form(turn.jid.as_str(), &of(Affiliation::Owner), &of(Affiliation::Admin), &self.service.settings)
    }

    pub fn owner_set(&mut self, turn: &mut HostTurn<'_>, query: &El<'_>) -> Reply {
        if !self.is_owner(turn) {
            return Bounce::new(Condition::Forbidden).into();
        }
        if let Some(destroy) = query.child(OWNER, "destroy") {
            return self.destroy(turn, &destroy);
        }
        let Some(form) = query.child(ns::DATA_FORMS, "x") else {
            return Bounce::bad_request("neither a form nor an end").into();
        };
        match form.attr("type").as_deref() {
            Some("cancel") => self.cancel(turn),
            Some("submit") => self.configure(turn, &form),
            _ => Bounce::bad_request("a form that is filled in has the type \"submit\"").into(),
        }
    }

    /// 10.1.3: the room of somebody who did not want it after all; 10.2: later it stays as it was.
    fn cancel(&mut self, turn: &mut HostTurn<'_>) -> Reply {
        if self.stage == Stage::Locked {
            self.end(turn, "<destroy/>");
        }
        Reply::empty()
    }

    fn configure(&mut self, turn: &mut HostTurn<'_>, x: &El<'_>) -> Reply {
        let read = self.form(turn).check(x).and_then(|submitted| {
            let config = self.config.with(&submitted, &self.service.settings)?;
            Ok((submitted, config))
        });
        let (submitted, config) = match read {
            Ok(read) => read,
            Err(problem) => return Bounce::from(problem).into(),
        };
        let full = |name: &str| submitted.has(&config::var(name)).then(|| submitted.bare_jids(&config::var(name)));
        let people = match self.people(full("roomowners"), full("roomadmins")) {
            Ok(people) => people,
            Err(why) => return why.into(),
        };
        let is_raised = |(address, it): &&(String, Affiliation)| {
            let old = self.affiliations.at(address).map_or(Affiliation::None, |it| it.affiliation);
            *it > old && !self.is_here(address)
        };
        let raised = people.iter().filter(is_raised).count();
        if let Err(why) = self.may_disturb(turn, raised) {
            return why.into();
        }
        let was_kept = self.is_kept();
        let before = std::mem::replace(&mut self.config, config);
        self.stage = Stage::Open;
        match (was_kept, self.is_kept()) {
            (false, true) => self.keep_all(turn),
            (true, false) => self.keep_nothing(turn),
            (true, true) if before != self.config => turn.put(ROOM, "", self.config.encode()),
            _ => {}
        }
        for (address, affiliation) in people {
            let kept = self.affiliations.at(&address).cloned().unwrap_or_else(|| Affiliated::new(affiliation));
            let actor = self.actor(turn);
            self.affiliate(turn, &address, Affiliated { affiliation, reason: None, registered: false, ..kept }, Some(&actor));
        }
        if before != self.config {
            self.reconfigured(turn, &before);
        }
        service::tell(turn, self);
        Reply::empty()
    }

    /// 10.2: the full lists of owners and admins, if they were given, as changes.
    fn people(&self, owners: Option<Vec<BareJid>>, admins: Option<Vec<BareJid>>) -> Result<Vec<(String, Affiliation)>, Bounce> {
        if owners.as_ref().is_some_and(Vec::is_empty) {
            return Err(Bounce::new(Condition::Conflict).text("a room has at least one owner"));
        }
        let mut changes: Vec<(String, Affiliation)> = Vec::new();
        let is_in = |list: &Option<Vec<BareJid>>, address: &str| {
            list.as_ref().is_some_and(|list| list.iter().any(|jid| jid.as_str() == address))
        };
        // Whoever is in a list of higher standing is not taken out of it by a lower one.
        for (affiliation, list) in [(Affiliation::Admin, &admins), (Affiliation::Owner, &owners)] {
            let Some(list) = list else { continue };
            for (address, _) in self.affiliations.having(affiliation) {
                if !is_in(&owners, address) && !is_in(&admins, address) {
                    changes.push((address.to_string(), Affiliation::Member));
                }
            }
            for jid in list {
                let old = self.affiliations.at(jid.as_str()).map_or(Affiliation::None, |it| it.affiliation);
                let stays_owner = old == Affiliation::Owner && owners.is_none();
                let is_owner = affiliation == Affiliation::Admin && is_in(&owners, jid.as_str());
                if old != affiliation && !stays_owner && !is_owner {
                    changes.push((jid.as_str().to_owned(), affiliation));
                }
            }
        }
        let more = changes.iter().filter(|(address, _)| self.affiliations.at(address).is_none()).count();
        self.has_place(more)?;
        let is_new = |(address, it): &&(String, Affiliation)| {
            *it >= Affiliation::Member && self.affiliations.of(address) < Affiliation::Member
        };
        self.has_place_for_members(changes.iter().filter(is_new).count())?;
        Ok(changes)
    }

    /// 10.2: who may no longer be here goes; 10.2.1: everybody is told what has changed.
    fn reconfigured(&mut self, turn: &mut HostTurn<'_>, before: &RoomConfig) {
        let now = self.config.clone();
        if now.members_only && !before.members_only {
            for key in self.occupants.keys(|it| it.affiliation < Affiliation::Member) {
                self.remove(turn, &key, &[322], None, None);
            }
        }
        if now.non_anonymous != before.non_anonymous {
            self.occupants.all_changed();
        }
        if now.moderated != before.moderated {
            self.forget_voices(turn);
        }
        // 5.1.2: where everybody may speak nobody is a visitor by being nobody.
        if before.moderated && !now.moderated {
            for key in self.occupants.keys(|it| it.role == Role::Visitor) {
                self.set_role(turn, &key, Role::Participant, None, None);
            }
        }
        if now.presence_broadcast != before.presence_broadcast {
            self.show_as_configured(turn, before);
        }
        // Whoever makes a room is told too: their client has asked what it is before there was one.
        let mut codes = Vec::new();
        if now.logging != before.logging {
            codes.push(if now.logging { 170 } else { 171 });
        }
        if now.non_anonymous != before.non_anonymous {
            codes.push(if now.non_anonymous { 172 } else { 173 });
        }
        let private = RoomConfig { logging: now.logging, non_anonymous: now.non_anonymous, ..before.clone() };
        if private != now {
            codes.push(104);
        }
        self.tell_all(turn, &stanzas::codes_x(&codes));
    }

    fn show_as_configured(&mut self, turn: &mut HostTurn<'_>, before: &RoomConfig) {
        let (was, is) = (before.presence_broadcast, self.config.presence_broadcast);
        for key in self.occupants.keys(|it| was.has(it.role) != is.has(it.role)) {
            if self.occupants.by_key(&key).is_some_and(|it| is.has(it.role)) {
                self.announce_change(turn, &key, None, None);
            } else {
                self.hide(turn, &key);
            }
        }
    }

    /// 10.9.
    fn destroy(&mut self, turn: &mut HostTurn<'_>, destroy: &El<'_>) -> Reply {
        if let Err(why) = self.may_be_deleted() {
            return why.into();
        }
        let venue = match destroy.attr("jid").map(|jid| jids::address(&jid)).transpose() {
            Ok(venue) => venue,
            Err(_) => return Bounce::new(Condition::JidMalformed).into(),
        };
        let mut xml = Build::new();
        xml.open("destroy").attr_opt("jid", venue.as_ref().map(Jid::as_str));
        for (name, inside) in [("reason", destroy.child(OWNER, "reason")), ("password", destroy.child(OWNER, "password"))] {
            if let Some(text) = inside.map(|it| it.text().into_owned()).filter(|text| !text.is_empty()) {
                xml.leaf(name, &text);
            }
        }
        xml.close();
        let (by, reason) = (turn.from.to_bare(), destroy.child(OWNER, "reason").map(|it| it.text().into_owned()));
        self.leave_tombstone(turn, &by, venue.as_ref(), reason.as_deref());
        self.end(turn, &stanzas::text(xml));
        Reply::empty()
    }

    pub fn end(&mut self, turn: &mut HostTurn<'_>, destroy: &str) {
        self.dismiss(turn, &format!("{destroy}<status code='110'/>"));
        self.vanish(turn);
    }

    /// 11.2: the house closes. Nobody is here any more; all else stays as it is kept.
    pub fn closing(&mut self, turn: &mut HostTurn<'_>) {
        self.dismiss(turn, "<status code='110'/><status code='332'/>");
        self.occupants = Occupants::default();
    }

    /// One presence for each client: that they are no longer here, and why.
    fn dismiss(&self, turn: &mut HostTurn<'_>, why: &str) {
        let item = "<item affiliation='none' role='none'/>";
        let xml = format!("<presence type='unavailable'><x xmlns='{USER}'>{item}{why}</x></presence>");
        let Some(gone) = stanzas::made(turn, &xml) else { return };
        for occupant in self.occupants.iter() {
            let to: Arc<[Jid]> = occupant.sessions.iter().map(|session| session.jid.clone()).collect();
            // XEP-0421 4: "every message and every presence sent by a MUC".
            let stamps = stanzas::stamps(&occupant.jid, Strip::default(), stanzas::occupant_id(&occupant.id), None);
            turn.fan_out_stamped(occupant.jid.clone(), gone.clone(), stamps, to);
        }
    }
}
