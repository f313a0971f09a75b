//! `muc#admin`: roles by nickname, affiliations by address, lists of both (sections 8 and 9, 10.3 to 10.8).

use std::sync::Arc;

use iris_core::xml::{Build, El};
use iris_core::{Bounce, Changed, Condition, HostTurn, Reply, jids};

use super::affiliations::{Affiliated, address};
use super::association::{Affiliation, Role, Standing, may_affiliate, may_give_role};
use super::room::{Room, bare};
use super::{ADMIN, bubble, nick, stanzas};
use crate::result;

/// Changes in one request.
const ITEMS_MAX: usize = 1_000;
const REASON_BYTES_MAX: usize = 1_024;

/// One item of a request that may be done.
enum Change {
    Role { key: Arc<str>, role: Role, reason: Option<String> },
    Affiliation { address: String, affiliated: Affiliated, is_new_member: bool },
}

/// 8.4: "along with the offending item(s)": all that are refused for the same reason as the first.
fn first_refusal(refused: Vec<(Bounce, Vec<u8>)>) -> Option<Bounce> {
    let why = refused.first()?.0.clone();
    let mut xml = Build::new();
    xml.open_ns("query", ADMIN);
    for (_, item) in refused.iter().filter(|(it, _)| it.condition == why.condition) {
        xml.raw(item);
    }
    xml.close();
    Some(why.beside(stanzas::text(xml)))
}

impl Room {
    /// What the one who speaks may do: their role if they are there, their affiliation in any case.
    fn standing(&self, turn: &HostTurn<'_>) -> Standing {
        let affiliation = self.affiliation_of(turn.from);
        let of_person = self.occupants.of_person(bare(turn.from)).map(|(_, it)| it.role).max();
        let role = self.speaker(turn).map(|it| it.role).or(of_person).unwrap_or(Role::None);
        Standing { affiliation, role }
    }

    // --- lists --------------------------------------------------------------------------------------------------------------

    pub fn admin_get(&self, turn: &HostTurn<'_>, query: &El<'_>) -> Reply {
        let Some(item) = query.children().find(|child| child.is(ADMIN, "item")) else {
            return Bounce::bad_request("which list?").into();
        };
        let standing = self.standing(turn);
        match (item.attr("affiliation"), item.attr("role")) {
            (Some(affiliation), None) => match Affiliation::parse(&affiliation) {
                Some(Affiliation::None) | None => Bounce::bad_request("there is no such list").into(),
                Some(affiliation) => self.list_affiliation(standing, affiliation),
            },
            (None, Some(role)) => match Role::parse(&role) {
                Some(Role::None) | None => Bounce::bad_request("there is no such list").into(),
                Some(role) => self.list_role(standing, role),
            },
            _ => Bounce::bad_request("either an affiliation or a role").into(),
        }
    }

    /// Who may see whom (9.2, 9.5, 10.5; security D2): admins everybody, members each other where addresses are no secret, and the roles
    /// that the owners have chosen (7.11) where they see addresses anyway.
    pub fn may_list(&self, standing: Standing, affiliation: Affiliation) -> bool {
        let is_member = self.config.non_anonymous && standing.affiliation >= Affiliation::Member;
        let is_chosen = self.config.get_member_list.has(standing.role) && self.shows_addresses_to(standing.role);
        standing.affiliation >= Affiliation::Admin || (affiliation >= Affiliation::Member && (is_member || is_chosen))
    }

    fn list_affiliation(&self, standing: Standing, affiliation: Affiliation) -> Reply {
        if !self.may_list(standing, affiliation) {
            return Bounce::new(Condition::Forbidden).into();
        }
        let mut xml = Build::new();
        xml.open_ns("query", ADMIN);
        for (address, affiliated) in self.affiliations.having(affiliation) {
            let nick = self.occupants.of_person(address).next().map(|(_, it)| &*it.nick).or(affiliated.nick.as_deref());
            // 17.4: "MUST NOT include the 'role' attribute", whatever 9.5 allows.
            xml.open("item").attr("affiliation", affiliation.as_str()).attr("jid", address).attr_opt("nick", nick);
            if let Some(reason) = &affiliated.reason {
                xml.leaf("reason", reason);
            }
            xml.close();
        }
        xml.close();
        result(xml)
    }

    /// 8.5, 9.8: the lists of voice are the moderators', that of moderators the admins'.
    fn list_role(&self, standing: Standing, role: Role) -> Reply {
        let is_admin = standing.affiliation >= Affiliation::Admin;
        if !is_admin && standing.role != Role::Moderator {
            return Bounce::new(Condition::Forbidden).into();
        }
        let mut xml = Build::new();
        xml.open_ns("query", ADMIN);
        for occupant in self.occupants.iter().filter(|it| it.role == role) {
            let jid = occupant.sessions.last().map(|session| session.jid.as_str());
            xml.open("item").attr("nick", &occupant.nick).attr("role", role.as_str());
            xml.attr("affiliation", occupant.affiliation.as_str()).attr_opt("jid", jid).close();
        }
        xml.close();
        result(xml)
    }

    // --- changes ------------------------------------------------------------------------------------------------------------

    /// 9.2: all of it, or an error and nothing.
    pub fn admin_set(&mut self, turn: &mut HostTurn<'_>, query: &El<'_>) -> Reply {
        let items = query.children().filter(|child| child.is(ADMIN, "item"));
        let (mut changes, mut refused) = (Vec::new(), Vec::new());
        for item in items {
            if changes.len() + refused.len() >= ITEMS_MAX {
                let what = format!("one request has at most {ITEMS_MAX} items");
                return Bounce::over(what, Changed::ByNobody("ask for the others with another one")).into();
            }
            match self.change_of(turn, &item) {
                Ok(change) => changes.push(change),
                Err(why) => refused.push((why, item.closed().into_owned())),
            }
        }
        if let Some(why) = first_refusal(refused) {
            return why.into();
        }
        if changes.is_empty() {
            return Bounce::bad_request("nothing to do").into();
        }
        if let Err(why) = self.keeps_an_owner(&changes).and_then(|()| self.has_place_for(&changes)) {
            return why.into();
        }
        if let Err(why) = self.may_disturb(turn, self.raised(&changes)) {
            return why.into();
        }
        let actor = self.actor(turn);
        for change in changes {
            match change {
                Change::Role { key, role, reason } => self.set_role(turn, &key, role, Some(&actor), reason.as_deref()),
                Change::Affiliation { address, affiliated, is_new_member } => {
                    // Nobody comes into an archived bubble; a new member may read what was said.
                    if is_new_member && !self.config.archived {
                        self.make_member(turn, &address, affiliated, &actor);
                    } else {
                        self.affiliate(turn, &address, affiliated, Some(&actor));
                    }
                }
            }
        }
        Reply::empty()
    }

    /// People who are not here and become more than they were.
    fn raised(&self, changes: &[Change]) -> usize {
        let is_raised = |change: &&Change| match change {
            Change::Role { .. } => false,
            Change::Affiliation { address, affiliated, .. } => {
                let old = self.affiliations.at(address).map_or(Affiliation::None, |it| it.affiliation);
                affiliated.affiliation > old && !self.is_here(address)
            }
        };
        changes.iter().filter(is_raised).count()
    }

    fn change_of(&self, turn: &HostTurn<'_>, item: &El<'_>) -> Result<Change, Bounce> {
        let reason = item.child(ADMIN, "reason").map(|it| it.text().into_owned()).filter(|it| !it.is_empty());
        if reason.as_ref().is_some_and(|reason| reason.len() > REASON_BYTES_MAX) {
            let what = format!("a reason has at most {REASON_BYTES_MAX} bytes");
            return Err(Bounce::new(Condition::NotAcceptable).limit(what, Changed::ByNobody("say it in fewer words")));
        }
        match (item.attr("affiliation"), item.attr("role")) {
            (None, Some(role)) => {
                let role = Role::parse(&role).ok_or_else(|| Bounce::bad_request("there is no such role"))?;
                self.role_change(turn, item, role, reason)
            }
            (Some(affiliation), None) => {
                let affiliation =
                    Affiliation::parse(&affiliation).ok_or_else(|| Bounce::bad_request("there is no such affiliation"))?;
                self.affiliation_change(turn, item, affiliation, reason)
            }
            _ => Err(Bounce::bad_request("an item has either a role or an affiliation")),
        }
    }

    fn role_change(&self, turn: &HostTurn<'_>, item: &El<'_>, role: Role, reason: Option<String>) -> Result<Change, Bounce> {
        let nick = item.attr("nick").ok_or_else(|| Bounce::bad_request("roles are given by nickname"))?;
        let standing = self.standing(turn);
        // Before it is said whether such a one is there.
        if standing.role != Role::Moderator && standing.affiliation < Affiliation::Admin {
            return Err(Bounce::new(Condition::Forbidden));
        }
        let target = self.occupants.by_nick(&nick).ok_or_else(|| Bounce::new(Condition::ItemNotFound))?;
        may_give_role(standing, target.standing(), role)?;
        Ok(Change::Role { key: Arc::from(nick::key(&nick)), role, reason })
    }

    fn affiliation_change(
        &self,
        turn: &HostTurn<'_>,
        item: &El<'_>,
        new: Affiliation,
        reason: Option<String>,
    ) -> Result<Change, Bounce> {
        let actor = self.affiliation_of(turn.from);
        if actor < Affiliation::Admin {
            return Err(Bounce::new(Condition::Forbidden));
        }
        let address = match (item.attr("jid"), item.attr("nick")) {
            (Some(jid), _) => address(&jids::address(&jid).map_err(|_| Bounce::new(Condition::JidMalformed))?),
            // Some clients ban by nickname: who that is, the room knows.
            (None, Some(nick)) => {
                let target = self.occupants.by_nick(&nick).ok_or_else(|| Bounce::new(Condition::ItemNotFound))?;
                target.person.to_string()
            }
            (None, None) => return Err(Bounce::bad_request("affiliations are given by address")),
        };
        let old = self.affiliations.at(&address).cloned().unwrap_or_else(|| Affiliated::new(Affiliation::None));
        let is_self = address == bare(turn.from);
        may_affiliate(actor, is_self, old.affiliation, new)?;
        let nick = self.nick_for(item, &address, &old, new)?;
        let is_new_member = self.config.members_only && old.affiliation < Affiliation::Member && new >= Affiliation::Member;
        let by_token = old.by_token && new >= Affiliation::Member;
        let affiliated = Affiliated { nick, reason, by_token, ..Affiliated::new(new) };
        Ok(Change::Affiliation { address, affiliated, is_new_member })
    }

    /// 9.3, 9.5: a nickname that is given with it is reserved; an empty one is given up; 9.1: an outcast has none.
    fn nick_for(&self, item: &El<'_>, address: &str, old: &Affiliated, new: Affiliation) -> Result<Option<String>, Bounce> {
        if new < Affiliation::Member {
            return Ok(None);
        }
        let Some(wanted) = item.attr("nick").filter(|_| item.attr("jid").is_some()) else { return Ok(old.nick.clone()) };
        if wanted.is_empty() {
            return Ok(None);
        }
        if !nick::is_one(&wanted, self.service.settings.nick_bytes_max) {
            return Err(nick::refused(&wanted, self.service.settings.nick_bytes_max, Condition::NotAcceptable));
        }
        let is_others = self.affiliations.owner_of_nick(&wanted).is_some_and(|owner| **owner != *address)
            || self.occupants.by_nick(&wanted).is_some_and(|it| *it.person != *address);
        if is_others { Err(Bounce::new(Condition::Conflict)) } else { Ok(Some(wanted.into_owned())) }
    }

    /// 10.4: after all of it somebody is still an owner.
    fn keeps_an_owner(&self, changes: &[Change]) -> Result<(), Bounce> {
        let mut owners: Vec<&str> = self.affiliations.having(Affiliation::Owner).map(|(address, _)| &**address).collect();
        for change in changes {
            if let Change::Affiliation { address, affiliated, .. } = change {
                owners.retain(|owner| *owner != address);
                if affiliated.affiliation == Affiliation::Owner {
                    owners.push(address);
                }
            }
        }
        if owners.is_empty() { Err(Bounce::new(Condition::Conflict).text("a room has at least one owner")) } else { Ok(()) }
    }

    fn has_place_for(&self, changes: &[Change]) -> Result<(), Bounce> {
        let is_more = |change: &&Change| {
            matches!(change, Change::Affiliation { address, affiliated, .. }
                if affiliated.affiliation != Affiliation::None && self.affiliations.at(address).is_none())
        };
        self.has_place(changes.iter().filter(is_more).count())?;
        let counts = |change: &Change| match change {
            Change::Affiliation { address, affiliated, .. } => {
                let was = self.affiliations.at(address).is_some_and(|it| it.affiliation >= Affiliation::Member);
                i64::from(affiliated.affiliation >= Affiliation::Member) - i64::from(was)
            }
            Change::Role { .. } => 0,
        };
        self.has_place_for_members(usize::try_from(changes.iter().map(counts).sum::<i64>()).unwrap_or(0))
    }

    /// A bubble has as many members as the plan of who owns it allows.
    pub fn has_place_for_members(&self, more: usize) -> Result<(), Bounce> {
        let Some((plan, most)) = self.config.bubble.as_ref().filter(|_| more > 0) else { return Ok(()) };
        let members = self.affiliations.iter().filter(|(_, it)| it.affiliation >= Affiliation::Member).count();
        if members + more <= *most {
            return Ok(());
        }
        // The plan may be another one since: whoever tries again finds that out.
        self.was_full.set(true);
        Err(bubble::too_many(plan, *most))
    }

    pub fn has_place(&self, more: usize) -> Result<(), Bounce> {
        let most = self.service.settings.affiliations_max;
        if self.affiliations.len() + more <= most {
            return Ok(());
        }
        Err(Bounce::over(format!("a room has at most {most} affiliations"), Changed::ByOperator))
    }
}
