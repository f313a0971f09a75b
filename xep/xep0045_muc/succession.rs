//! "Every room MUST have at least one owner, and that owner (or a successor) is a long-lived attribute of the room" (section 10): what
//! becomes of a room when the account of an owner ends.
//!
//! The longest-standing admin follows; else the longest-standing of the members whom somebody has let in. Whoever has registered with an
//! open room by themselves does not: an owner sees everybody's address. A room to which nobody belongs any more ends, with its last
//! occupant if somebody is there. What is left is a room with members and no owner: administrators of the domain may take it.

use std::sync::Arc;

use iris_core::xml::{El, Stanza};
use iris_core::{Bounce, Condition, Finish, HostTurn, Reply};

use super::affiliations::Affiliated;
use super::association::Affiliation;
use super::away::Became;
use super::room::{ROOM, Room};
use super::{ADMIN, OWNER, ROOM_STATE, service, stanzas};

impl Room {
    /// The person behind an address is no more. All of it is one set of writes: told again after a crash, there is nothing to do.
    pub fn forget(&mut self, turn: &mut HostTurn<'_>, address: &str) {
        if self.config.creator == address {
            self.config.creator.clear();
            if self.is_kept() {
                turn.put(ROOM, "", self.config.encode());
            }
            service::tell(turn, self);
        }
        self.drop_request(turn, address);
        self.forget_invitations(turn, address);
        self.take_off_hats(turn, address);
        self.forget_voice(turn, address);
        if self.affiliations.at(address).is_some_and(|it| it.affiliation >= Affiliation::Member) {
            self.set_affiliation(turn, address, Affiliated::new(Affiliation::None), None);
            if !self.has_an_owner() {
                self.find_an_owner(turn);
            }
        }
        self.rest(turn);
    }

    fn has_an_owner(&self) -> bool {
        self.affiliations.having(Affiliation::Owner).next().is_some()
    }

    fn find_an_owner(&mut self, turn: &mut HostTurn<'_>) {
        let longest = |of: Affiliation| {
            let chosen = self.affiliations.having(of).filter(|(_, it)| !it.registered || self.config.members_only);
            chosen.min_by_key(|(address, _)| self.versions.since_when(address))
        };
        let successor = longest(Affiliation::Admin).or_else(|| longest(Affiliation::Member));
        if let Some((address, it)) = successor.map(|(address, it)| (address.clone(), it.clone())) {
            let affiliated = Affiliated { affiliation: Affiliation::Owner, reason: None, registered: false, ..it.clone() };
            self.set_affiliation(turn, &address, affiliated, None);
            let name = self.called(turn);
            let became = Became { old: it.affiliation, new: Affiliation::Owner, actor: None, reason: None };
            if !self.is_here(&address) {
                self.tell_became(
                    turn,
                    &address,
                    &became,
                    &format!("The account of the owner of {name} has ended. You own it now."),
                );
            }
            return;
        }
        let belongs_to_nobody = self.affiliations.iter().all(|(_, it)| it.affiliation < Affiliation::Member);
        if belongs_to_nobody && self.occupants.is_empty() {
            self.end(turn, "<destroy/>");
        } else if belongs_to_nobody && self.is_kept() {
            self.config.persistent = false;
            self.keep_nothing(turn);
            self.tell_all(turn, &stanzas::codes_x(&[104]));
            service::tell(turn, self);
        } else if !belongs_to_nobody {
            tracing::warn!(
                room = turn.jid.as_str(),
                "the account of its last owner was removed: an administrator of the domain who configures it becomes its owner"
            );
        }
    }

    /// A room that nobody owns, and somebody who wants to do what owners and admins do. An administrator of the domain becomes its owner
    /// by it.
    pub fn claim(&self, turn: &HostTurn<'_>, stanza: &Arc<Stanza>, el: &El<'_>) -> Option<Reply> {
        let is_of_owners = matches!(el.ns(), OWNER | ADMIN);
        if !is_of_owners || self.has_an_owner() || self.affiliation_of(turn.from) >= Affiliation::Admin {
            return None;
        }
        let (home, who, stanza) = (turn.doors.home().to_owned(), turn.from.to_bare(), stanza.clone());
        Some(Reply::Task(Box::new(move |cx| {
            Box::pin(async move {
                let by = who.clone();
                match cx.host(&home, move |turn| turn.is_admin(&by)).await {
                    Ok(true) => {}
                    Ok(false) => return Finish::Error(Bounce::new(Condition::Forbidden)),
                    Err(why) => return Finish::Error(why.into()),
                }
                Finish::HostTurn(Box::new(move |turn| {
                    let claimed = turn.with_state(&ROOM_STATE, |turn, room| {
                        // Somebody was quicker, or it has ended.
                        if !room.is_there_for(turn.from) || room.has_an_owner() {
                            return Bounce::new(Condition::Forbidden).into();
                        }
                        room.set_affiliation(turn, who.as_str(), Affiliated::new(Affiliation::Owner), None);
                        room.hear_iq(turn, &stanza)
                    });
                    claimed.unwrap_or(Reply::Sent)
                }))
            })
        })))
    }
}
