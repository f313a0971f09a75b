//! Roles and affiliations (section 5): who is what, and who may make whom what. Tables and nothing else.

use iris_core::{Bounce, Condition};

/// For as long as the room exists, of a bare JID. Ascending.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Affiliation {
    Outcast,
    None,
    Member,
    Admin,
    Owner,
}

/// For as long as somebody is there, of an occupant. Ascending.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Role {
    None,
    Visitor,
    Participant,
    Moderator,
}

impl Affiliation {
    pub const ALL: [Affiliation; 5] =
        [Affiliation::Outcast, Affiliation::None, Affiliation::Member, Affiliation::Admin, Affiliation::Owner];

    pub const fn as_str(self) -> &'static str {
        match self {
            Affiliation::Outcast => "outcast",
            Affiliation::None => "none",
            Affiliation::Member => "member",
            Affiliation::Admin => "admin",
            Affiliation::Owner => "owner",
        }
    }

    pub fn parse(text: &str) -> Option<Affiliation> {
        Affiliation::ALL.into_iter().find(|it| it.as_str() == text)
    }

    /// Section 5.1.2: the role somebody enters with.
    pub const fn role(self, moderated: bool) -> Role {
        match self {
            Affiliation::Outcast => Role::None,
            Affiliation::None if moderated => Role::Visitor,
            Affiliation::None | Affiliation::Member => Role::Participant,
            Affiliation::Admin | Affiliation::Owner => Role::Moderator,
        }
    }

    /// What becomes of an occupant's role with a new affiliation (5.1.3): what is gained is fixed; who is no administrator any more is
    /// what others of the affiliation are, and who was less keeps what they were given.
    pub fn role_after(self, old: Affiliation, role: Role, moderated: bool) -> Role {
        let enters_with = self.role(moderated);
        if old >= Affiliation::Admin && self < Affiliation::Admin { enters_with } else { role.max(enters_with) }
    }
}

impl Role {
    pub const ALL: [Role; 4] = [Role::None, Role::Visitor, Role::Participant, Role::Moderator];

    pub const fn as_str(self) -> &'static str {
        match self {
            Role::None => "none",
            Role::Visitor => "visitor",
            Role::Participant => "participant",
            Role::Moderator => "moderator",
        }
    }

    pub fn parse(text: &str) -> Option<Role> {
        Role::ALL.into_iter().find(|it| it.as_str() == text)
    }
}

/// Section 5.2.2: may somebody of this affiliation change another's? `is_self`: their own.
pub fn may_affiliate(actor: Affiliation, is_self: bool, old: Affiliation, new: Affiliation) -> Result<(), Bounce> {
    let refuse = |condition| Err(Bounce::new(condition));
    if actor < Affiliation::Admin {
        return refuse(Condition::Forbidden);
    }
    // 9.1: "If an admin or owner attempts to ban himself, the service MUST deny the request and return a <conflict/> error".
    if is_self && new == Affiliation::Outcast {
        return refuse(Condition::Conflict);
    }
    if actor == Affiliation::Admin && (old >= Affiliation::Admin || new >= Affiliation::Admin) && old != new {
        // 9.1: a user cannot be banned by an admin with a lower affiliation; 10.5, 10.8: the lists of owners and admins are the owners'.
        let banned = new == Affiliation::Outcast && old > actor;
        return refuse(if banned { Condition::NotAllowed } else { Condition::Forbidden });
    }
    Ok(())
}

/// Somebody who may change roles, or somebody whose role is changed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Standing {
    pub affiliation: Affiliation,
    pub role: Role,
}

/// Section 5.1.3, 8.2 to 8.5 and 9.6 to 9.8: may this one make that one's role another?
pub fn may_give_role(actor: Standing, target: Standing, new: Role) -> Result<(), Bounce> {
    let refuse = |condition| Err(Bounce::new(condition));
    if actor.role != Role::Moderator && actor.affiliation < Affiliation::Admin {
        return refuse(Condition::Forbidden);
    }
    if new == target.role {
        return Ok(());
    }
    let administers = actor.affiliation >= Affiliation::Admin;
    match new {
        // 8.2: "A user cannot be kicked by a moderator with a lower affiliation."; 5.1.3: a moderator by admins and owners.
        Role::None if target.affiliation > actor.affiliation => refuse(Condition::NotAllowed),
        Role::None if target.role == Role::Moderator && !administers => refuse(Condition::NotAllowed),
        Role::None => Ok(()),
        // 9.6: the list of moderators is the admins'.
        Role::Moderator if !administers => refuse(Condition::Forbidden),
        Role::Moderator => Ok(()),
        // 9.7, 8.4: from an admin or owner nobody takes it.
        _ if new < target.role && target.affiliation >= Affiliation::Admin => refuse(Condition::NotAllowed),
        _ if target.role == Role::Moderator && !administers => refuse(Condition::Forbidden),
        // 8.4: "from a user whose affiliation is at or above the moderator's level"; "none" is no level.
        Role::Visitor if target.affiliation >= actor.affiliation && target.affiliation > Affiliation::None => {
            refuse(Condition::NotAllowed)
        }
        Role::Visitor | Role::Participant => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use Affiliation::{Admin, Member, None as Nobody, Outcast, Owner};
    use Role::{Moderator, Participant, Visitor};

    fn condition(result: Result<(), Bounce>) -> Option<Condition> {
        result.err().map(|bounce| bounce.condition)
    }

    #[test]
    fn s5_1_2_the_role_somebody_enters_with() {
        for (affiliation, moderated, unmoderated) in [
            (Nobody, Visitor, Participant),
            (Member, Participant, Participant),
            (Admin, Moderator, Moderator),
            (Owner, Moderator, Moderator),
            (Outcast, Role::None, Role::None),
        ] {
            assert_eq!((affiliation.role(true), affiliation.role(false)), (moderated, unmoderated), "{affiliation:?}");
        }
    }

    #[test]
    fn s5_1_3_what_is_gained_with_an_affiliation_is_fixed() {
        assert_eq!(Admin.role_after(Nobody, Visitor, true), Moderator);
        assert_eq!(Member.role_after(Nobody, Visitor, true), Participant);
        assert_eq!(Member.role_after(Nobody, Moderator, true), Moderator, "a moderator stays one");
        assert_eq!(Nobody.role_after(Admin, Moderator, true), Visitor);
        assert_eq!(Member.role_after(Owner, Moderator, false), Participant);
    }

    #[test]
    fn s5_2_2_every_change_of_affiliation_by_everybody() {
        for actor in Affiliation::ALL {
            for old in Affiliation::ALL {
                for new in Affiliation::ALL {
                    let outcome = condition(may_affiliate(actor, false, old, new));
                    let expected = match actor {
                        Owner => None,
                        Admin if old == new || (old < Admin && new < Admin) => None,
                        Admin if old == Owner && new == Outcast => Some(Condition::NotAllowed),
                        _ => Some(Condition::Forbidden),
                    };
                    assert_eq!(outcome, expected, "{actor:?}: {old:?} to {new:?}");
                }
            }
        }
    }

    #[test]
    fn s9_1_nobody_bans_themselves() {
        for actor in [Admin, Owner] {
            assert_eq!(condition(may_affiliate(actor, true, actor, Outcast)), Some(Condition::Conflict));
        }
    }

    #[test]
    fn s8_2_who_may_kick_whom() {
        let standing = |affiliation, role| Standing { affiliation, role };
        let kick = |actor, target| condition(may_give_role(actor, target, Role::None));
        assert_eq!(kick(standing(Member, Participant), standing(Nobody, Visitor)), Some(Condition::Forbidden));
        assert_eq!(kick(standing(Nobody, Moderator), standing(Nobody, Participant)), None);
        assert_eq!(kick(standing(Nobody, Moderator), standing(Member, Participant)), Some(Condition::NotAllowed));
        assert_eq!(kick(standing(Nobody, Moderator), standing(Nobody, Moderator)), Some(Condition::NotAllowed));
        assert_eq!(kick(standing(Admin, Moderator), standing(Owner, Moderator)), Some(Condition::NotAllowed));
        assert_eq!(kick(standing(Admin, Moderator), standing(Admin, Moderator)), None);
        assert_eq!(kick(standing(Owner, Role::None), standing(Admin, Moderator)), None, "an owner need not be there");
    }

    #[test]
    fn s8_4_and_9_7_who_may_take_voice_and_moderation() {
        let standing = |affiliation, role| Standing { affiliation, role };
        let give = |actor, target, new| condition(may_give_role(actor, target, new));
        for actor in [standing(Admin, Moderator), standing(Owner, Moderator)] {
            for target in [standing(Admin, Moderator), standing(Owner, Moderator)] {
                for new in [Visitor, Participant] {
                    assert_eq!(give(actor, target, new), Some(Condition::NotAllowed), "{actor:?} {target:?} {new:?}");
                }
            }
            assert_eq!(give(actor, standing(Member, Moderator), Participant), None);
            assert_eq!(give(actor, standing(Nobody, Visitor), Moderator), None);
        }
        let mere = standing(Nobody, Moderator);
        assert_eq!(give(mere, standing(Nobody, Visitor), Participant), None);
        assert_eq!(give(mere, standing(Nobody, Participant), Visitor), None);
        assert_eq!(give(mere, standing(Member, Participant), Visitor), Some(Condition::NotAllowed));
        assert_eq!(give(mere, standing(Nobody, Participant), Moderator), Some(Condition::Forbidden));
        assert_eq!(give(mere, standing(Nobody, Moderator), Participant), Some(Condition::Forbidden));
    }
}
