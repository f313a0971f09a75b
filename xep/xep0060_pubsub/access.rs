//! Who may do what (4.1, 4.5).

use iris_core::{BareJid, Bounce, Jid};

use super::config::{Access, PublishModel};
use super::error;
use super::node::{Entry, Node};
use super::{State, Subscription};

/// 4.1.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Affiliation {
    Owner,
    Publisher,
    PublishOnly,
    Member,
    None,
    Outcast,
}

impl Affiliation {
    pub const fn as_str(self) -> &'static str {
        match self {
            Affiliation::Owner => "owner",
            Affiliation::Publisher => "publisher",
            Affiliation::PublishOnly => "publish-only",
            Affiliation::Member => "member",
            Affiliation::None => "none",
            Affiliation::Outcast => "outcast",
        }
    }

    pub fn parse(word: &str) -> Option<Affiliation> {
        use Affiliation::{Member, None as Nobody, Outcast, Owner, PublishOnly, Publisher};
        [Owner, Publisher, PublishOnly, Member, Nobody, Outcast].into_iter().find(|it| it.as_str() == word)
    }
}

/// Somebody, and what they are to the service.
#[derive(Clone, Debug)]
pub struct Asker {
    /// As they speak: a full JID, or a bare one.
    pub jid: Jid,
    pub bare: BareJid,
    pub standing: Standing,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Standing {
    /// The account whose service it is: owner of every node.
    Host,
    /// Looks after the service: may do what owners may, and is no owner.
    Administrator,
    /// Gets the owner's presence (RFC 6121 3.1), and is in these groups of the owner's roster.
    Watcher {
        groups: Vec<Box<str>>,
    },
    Stranger,
}

impl Asker {
    pub fn is_host(&self) -> bool {
        self.standing == Standing::Host
    }
}

impl Node {
    pub fn affiliation_of(&self, who: &Asker) -> Affiliation {
        if who.is_host() {
            return Affiliation::Owner;
        }
        self.affiliations.get(&who.bare).copied().unwrap_or(Affiliation::None)
    }

    /// 4.5, 6.5.1: the items, and the news, of this node.
    pub fn may_read(&self, who: &Asker) -> Result<(), Bounce> {
        match self.affiliation_of(who) {
            Affiliation::Owner | Affiliation::Publisher => return Ok(()),
            Affiliation::Outcast | Affiliation::PublishOnly => return Err(error::forbidden()),
            Affiliation::Member | Affiliation::None => {}
        }
        match self.config.access {
            Access::Authorize if !self.is_member_or_subscribed(who) => Err(error::not_authorized("not-subscribed")),
            Access::Authorize => Ok(()),
            _ => self.may_come_in(who),
        }
    }

    /// 6.1: `Ok(Pending)`: an owner has to approve.
    pub fn may_subscribe(&self, who: &Asker) -> Result<State, Bounce> {
        match self.affiliation_of(who) {
            Affiliation::Owner | Affiliation::Publisher => return Ok(State::Subscribed),
            Affiliation::Outcast | Affiliation::PublishOnly => return Err(error::forbidden()),
            Affiliation::Member | Affiliation::None => {}
        }
        match self.config.access {
            Access::Authorize if !self.is_member_or_subscribed(who) => Ok(State::Pending),
            Access::Authorize => Ok(State::Subscribed),
            _ => self.may_come_in(who).map(|()| State::Subscribed),
        }
    }

    fn may_come_in(&self, who: &Asker) -> Result<(), Bounce> {
        let is_member = self.affiliation_of(who) == Affiliation::Member;
        match (self.config.access, &who.standing) {
            (Access::Open | Access::Authorize, _) => Ok(()),
            (Access::Presence, Standing::Watcher { .. }) => Ok(()),
            (Access::Presence, _) => Err(error::not_authorized("presence-subscription-required")),
            (Access::Roster, Standing::Watcher { groups })
                if groups.iter().any(|group| self.config.groups.iter().any(|allowed| **allowed == **group)) =>
            {
                Ok(())
            }
            (Access::Roster, _) => Err(error::not_authorized("not-in-roster-group")),
            (Access::Whitelist, _) if is_member => Ok(()),
            (Access::Whitelist, _) => Err(error::closed_node()),
        }
    }

    fn is_member_or_subscribed(&self, who: &Asker) -> bool {
        let is_subscribed = || self.subscriptions.of(&who.bare).iter().any(Subscription::is_active);
        self.affiliation_of(who) == Affiliation::Member || is_subscribed()
    }

    /// Is somebody still to be told, of whom no more is known than what the node itself has? `subscribed`: to this node, and not to a
    /// collection that it belongs to. A roster is asked when somebody subscribes, and when it changes.
    pub fn may_hear(&self, person: &BareJid, subscribed: bool) -> bool {
        match self.affiliations.get(person).unwrap_or(&Affiliation::None) {
            Affiliation::Owner | Affiliation::Publisher => true,
            Affiliation::Outcast | Affiliation::PublishOnly => false,
            Affiliation::Member => self.config.access != Access::Presence && self.config.access != Access::Roster || subscribed,
            Affiliation::None => match self.config.access {
                Access::Open => true,
                Access::Authorize | Access::Presence | Access::Roster => {
                    subscribed || self.subscriptions.of(person).iter().any(Subscription::is_active)
                }
                Access::Whitelist => false,
            },
        }
    }

    /// 7.1.3.1.
    pub fn may_publish(&self, who: &Asker) -> Result<(), Bounce> {
        let allowed = match self.affiliation_of(who) {
            Affiliation::Owner | Affiliation::Publisher | Affiliation::PublishOnly => true,
            Affiliation::Outcast => false,
            Affiliation::Member | Affiliation::None => match self.config.publish_model {
                PublishModel::Publishers => false,
                PublishModel::Subscribers => self.subscriptions.of(&who.bare).iter().any(Subscription::is_active),
                PublishModel::Open => self.may_come_in(who).is_ok(),
            },
        };
        if allowed { Ok(()) } else { Err(error::forbidden()) }
    }

    /// Owners and publishers may touch every item; others what they have published themselves (4.1, note).
    pub fn may_touch(&self, who: &Asker, entry: &Entry) -> Result<(), Bounce> {
        match self.affiliation_of(who) {
            Affiliation::Owner | Affiliation::Publisher => Ok(()),
            _ if entry.published_by() == who.bare.as_str() && self.may_publish(who).is_ok() => Ok(()),
            _ => Err(error::forbidden()),
        }
    }

    pub fn must_own(&self, who: &Asker) -> Result<(), Bounce> {
        let is_owner = self.affiliation_of(who) == Affiliation::Owner || who.standing == Standing::Administrator;
        if is_owner { Ok(()) } else { Err(error::forbidden()) }
    }
}
