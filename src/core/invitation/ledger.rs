//! What a domain knows of its invitations, as a value: every change is one record to be written by whoever has the turn.
//!
//! Using one up takes two turns, the domain's and the new account's, and the process may die between them. So it is *claimed*
//! first, then the account is made, then it is *spent*. A claim that is found after a restart is a doubt: the account named in
//! it says whether it was made.

use std::collections::{BTreeMap, HashSet};
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use jid::BareJid;

use super::{Invitation, InvitationId, Purpose, State, stored};

/// A claim that is older, and whose end nobody has told: whoever made it is gone.
pub const CLAIM_TIME: Duration = Duration::from_secs(60);
/// What is over is remembered for so long, so that a link that was used says "gone" and not "unknown", and lists can tell.
pub const REMEMBERED: Duration = Duration::from_secs(30 * 86_400);

/// How many there may be.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Rules {
    /// Of one user, that can still be used.
    pub live_per_user_max: usize,
    /// Of the domain, all that are remembered.
    pub total_max: usize,
}

impl Default for Rules {
    fn default() -> Rules {
        Rules { live_per_user_max: 20, total_max: 10_000 }
    }
}

/// One record to be written; `None`: to be deleted.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Change {
    pub key: Arc<str>,
    pub value: Option<Bytes>,
}

/// What becomes of somebody who wants to use one.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Admission {
    /// The claim is theirs once this is written.
    Granted(Change),
    /// There is a claim of which nobody knows whether it was carried out: ask whether the account exists and is not older than
    /// that, tell [`Ledger::resolve`], then come again.
    Doubt { username: String, since_us: u64 },
}

/// Why not.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Refusal {
    /// Never heard of.
    Unknown,
    /// Used, expired or taken back.
    Gone,
    /// Somebody is using it at this moment.
    Busy,
    /// It is for something else.
    NotForThis,
    /// It is for another name.
    OtherName,
    /// The name is kept for somebody else.
    Reserved,
    /// So many of this user, or of the domain, can still be used.
    TooMany,
}

#[derive(Clone, Debug, Default)]
pub struct Ledger {
    all: BTreeMap<InvitationId, Invitation>,
    /// Claims that this process has made and not ended.
    underway: HashSet<InvitationId>,
    unreadable: usize,
}

impl Ledger {
    /// From keys and values as they are stored. What cannot be read is left out, and stays in the store.
    pub fn load<'a>(items: impl IntoIterator<Item = (&'a str, &'a Bytes)>) -> Ledger {
        let mut ledger = Ledger::default();
        for (key, value) in items {
            match (InvitationId::from_key(key), stored::decode(value)) {
                (Some(id), Some(invitation)) => drop(ledger.all.insert(id, invitation)),
                _ => ledger.unreadable += 1,
            }
        }
        ledger
    }

    /// Values that `load` could not read: worth a warning in the log.
    pub fn unreadable(&self) -> usize {
        self.unreadable
    }

    pub fn iter(&self) -> impl Iterator<Item = (&InvitationId, &Invitation)> {
        self.all.iter()
    }

    pub fn get(&self, id: &InvitationId) -> Option<&Invitation> {
        self.all.get(id)
    }

    /// The one that somebody can use now.
    pub fn open(&self, id: &InvitationId, now_us: u64) -> Result<&Invitation, Refusal> {
        let it = self.all.get(id).ok_or(Refusal::Unknown)?;
        match it.state {
            State::Open if now_us < it.expires_us => Ok(it),
            // Whether it is still good is known when the claim has ended; who looks meanwhile sees it as it was.
            State::Claimed { .. } => Ok(it),
            _ => Err(Refusal::Gone),
        }
    }

    /// By what people call it.
    pub fn by_short(&self, short: &str) -> Option<InvitationId> {
        let mut found = self.all.keys().filter(|id| id.short() == short);
        let id = found.next().copied()?;
        found.next().is_none().then_some(id)
    }

    pub fn invite(&mut self, id: InvitationId, it: Invitation, rules: &Rules, now_us: u64) -> Result<Vec<Change>, Refusal> {
        let mut changes = Vec::new();
        if self.all.len() >= rules.total_max {
            changes = self.sweep(now_us, true);
        }
        if self.all.len() >= rules.total_max || self.all.contains_key(&id) {
            return Err(Refusal::TooMany);
        }
        if let Some(inviter) = &it.inviter
            && self.live_of(inviter, now_us) >= rules.live_per_user_max
        {
            return Err(Refusal::TooMany);
        }
        if let (Some(name), Purpose::Account { .. }) = (it.reserves(), &it.purpose)
            && self.is_reserved(name, None, now_us)
        {
            return Err(Refusal::Reserved);
        }
        changes.push(change(&id, &it));
        self.all.insert(id, it);
        Ok(changes)
    }

    /// How many of this user can still be used.
    pub fn live_of(&self, inviter: &BareJid, now_us: u64) -> usize {
        self.all.values().filter(|it| it.inviter.as_ref() == Some(inviter) && it.is_live(now_us)).count()
    }

    /// XEP-0445 4: is the name kept for whoever has a certain invitation (`except`: the one that is shown)?
    pub fn is_reserved(&self, username: &str, except: Option<&InvitationId>, now_us: u64) -> bool {
        self.all.iter().any(|(id, it)| it.is_live(now_us) && it.reserves() == Some(username) && Some(id) != except)
    }

    /// Somebody wants an account of this name (or, for [`Purpose::Password`], to get back into it). `checked`: its date was
    /// looked at earlier on this stream, and is not looked at again (XEP-0445 3).
    pub fn claim(&mut self, id: &InvitationId, username: &str, checked: bool, now_us: u64) -> Result<Admission, Refusal> {
        let it = self.all.get(id).ok_or(Refusal::Unknown)?;
        match &it.state {
            State::Spent { .. } | State::Revoked { .. } => return Err(Refusal::Gone),
            State::Claimed { at_us, .. } if self.underway.contains(id) && now_us < at_us + CLAIM_TIME.as_micros() as u64 => {
                return Err(Refusal::Busy);
            }
            State::Claimed { username, at_us } => {
                return Ok(Admission::Doubt { username: username.clone(), since_us: *at_us });
            }
            State::Open if !checked && now_us >= it.expires_us => return Err(Refusal::Gone),
            State::Open => {}
        }
        match &it.purpose {
            Purpose::Account { username: Some(name) } | Purpose::Password { username: name } if name != username => {
                return Err(Refusal::OtherName);
            }
            Purpose::Password { .. } => {}
            _ if self.is_reserved(username, Some(id), now_us) => return Err(Refusal::Reserved),
            _ => {}
        }
        self.underway.insert(*id);
        let state = State::Claimed { username: username.to_owned(), at_us: now_us };
        self.set(id, state).map(Admission::Granted).ok_or(Refusal::Unknown)
    }

    /// The end of a doubt. `made`: the account that was made by the claim, if it was.
    pub fn resolve(&mut self, id: &InvitationId, made: Option<BareJid>, now_us: u64) -> Option<Change> {
        match made {
            Some(by) => self.spend(id, by, now_us),
            None => self.release(id),
        }
    }

    /// The account was not made: somebody may try again.
    pub fn release(&mut self, id: &InvitationId) -> Option<Change> {
        self.underway.remove(id);
        matches!(self.all.get(id)?.state, State::Claimed { .. }).then(|| self.set(id, State::Open))?
    }

    pub fn spend(&mut self, id: &InvitationId, by: BareJid, at_us: u64) -> Option<Change> {
        self.underway.remove(id);
        self.set(id, State::Spent { by, at_us })
    }

    /// XEP-0379 3.4: somebody who shows this token asks `inviter` for a subscription. `Ok(None)`: it was this one who used it up
    /// before, and asks again.
    pub fn redeem(
        &mut self,
        id: &InvitationId,
        inviter: &BareJid,
        contact: &BareJid,
        now_us: u64,
    ) -> Result<Option<Change>, Refusal> {
        let it = self.all.get(id).ok_or(Refusal::Unknown)?;
        if it.purpose != Purpose::Contact || it.inviter.as_ref() != Some(inviter) {
            return Err(Refusal::NotForThis);
        }
        match &it.state {
            State::Spent { by, .. } if by == contact => Ok(None),
            State::Open if now_us < it.expires_us => Ok(self.spend(id, contact.clone(), now_us)),
            State::Claimed { .. } => Err(Refusal::Busy),
            _ => Err(Refusal::Gone),
        }
    }

    /// Taken back by who made it, or by the administrator.
    pub fn revoke(&mut self, id: &InvitationId, at_us: u64) -> Result<Change, Refusal> {
        match self.all.get(id).ok_or(Refusal::Unknown)?.state {
            State::Open => self.set(id, State::Revoked { at_us }).ok_or(Refusal::Unknown),
            State::Claimed { .. } => Err(Refusal::Busy),
            State::Spent { .. } | State::Revoked { .. } => Err(Refusal::Gone),
        }
    }

    /// Who made them is gone: nobody comes in by them any more.
    pub fn inviter_gone(&mut self, inviter: &BareJid, at_us: u64) -> Vec<Change> {
        let theirs = |it: &Invitation| it.inviter.as_ref() == Some(inviter) && it.state == State::Open;
        let ids: Vec<InvitationId> = self.all.iter().filter(|(_, it)| theirs(it)).map(|(id, _)| *id).collect();
        ids.iter().filter_map(|id| self.set(id, State::Revoked { at_us })).collect()
    }

    /// Forget what has long been over; with `all`, everything that is over.
    pub fn sweep(&mut self, now_us: u64, all: bool) -> Vec<Change> {
        let remembered = if all { 0 } else { REMEMBERED.as_micros() as u64 };
        let over = |it: &Invitation| {
            let since = match it.state {
                State::Claimed { .. } => return false,
                State::Open => it.expires_us,
                State::Spent { at_us, .. } | State::Revoked { at_us } => at_us,
            };
            now_us >= since.saturating_add(remembered)
        };
        let old: Vec<InvitationId> = self.all.iter().filter(|(_, it)| over(it)).map(|(id, _)| *id).collect();
        old.iter().map(|id| Change { key: self.forget(id), value: None }).collect()
    }

    fn forget(&mut self, id: &InvitationId) -> Arc<str> {
        self.all.remove(id);
        id.key()
    }

    fn set(&mut self, id: &InvitationId, state: State) -> Option<Change> {
        let it = self.all.get_mut(id)?;
        it.state = state;
        Some(change(id, it))
    }
}

fn change(id: &InvitationId, it: &Invitation) -> Change {
    Change { key: id.key(), value: Some(stored::encode(it)) }
}
