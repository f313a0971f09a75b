//! XEP-0401: Ad-hoc Account Invitation Generation - a link that brings somebody in, and makes two people contacts.
//! Spec 0.6.0, https://xmpp.org/extensions/xep-0401.html. Not done: nothing.
//!
//! Here is the domain's ledger of invitations. Who uses one for an account is met in XEP-0077's room, who uses one for a
//! subscription in XEP-0379's.
//!
//! The commands answer with the form of the text; its link for browsers has its QR code beside it as a picture (XEP-0221), which the
//! web side serves as long as the invitation is open. The page shows the same, and so does `iris invite`.

use std::sync::Arc;
use std::time::Duration;

use iris_core::invitation::{Change, Invitation, Ledger, Purpose, Refusal, Rules, State, Token};
use iris_core::store::{Item, Shelf, StoreError};
use iris_core::task::TaskFuture;
use iris_core::{
    Ask, AskAnswer, BareJid, Card, Cx, Event, Finish, HostTurn, Mount, MountError, Reply, Room, StateSlot, Status, Turn,
};
use serde::Deserialize;

mod commands;
#[cfg(test)]
mod tests;

pub const ROOM: Room = Room {
    card: Card {
        xep: Some(401),
        name: "Ad-hoc Account Invitation Generation",
        version: "0.6.0",
        status: Status::Complete,
        needs: &[4, 50, 77, 221, 379, 445],
    },
    mount,
};

#[derive(Clone, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub(crate) struct Settings {
    users_may_invite: bool,
    lifetime_hours: u64,
    open_per_user_max: usize,
    remembered_max: usize,
}

impl Default for Settings {
    fn default() -> Settings {
        let rules = Rules::default();
        Settings {
            users_may_invite: true,
            lifetime_hours: 7 * 24,
            open_per_user_max: rules.live_per_user_max,
            remembered_max: rules.total_max,
        }
    }
}

impl iris_core::mount::Settings for Settings {
    const TABLE: &'static str = "invitations";
    const REFERENCE: &'static str = "\
# Whether users may invite, or administrators only.
users_may_invite = true
# How long a link works, in hours.
lifetime_hours = 168
# Links of one user that still work.
open_per_user_max = 20
# Links of a domain that are remembered, those that are over too.
remembered_max = 10000
";
}

impl Settings {
    pub(crate) fn rules(&self) -> Rules {
        Rules { live_per_user_max: self.open_per_user_max, total_max: self.remembered_max }
    }

    pub(crate) fn lifetime(&self) -> Duration {
        Duration::from_secs(self.lifetime_hours.saturating_mul(3_600))
    }
}

/// Of the domain: key and value are the ledger's.
const SHELF: Shelf = Shelf::map("invitations");
pub(crate) static LEDGER: StateSlot<Ledger> = StateSlot::new();

/// Of an account that came by an invitation: the one who does not yet know that they are contacts.
const INTRODUCTION: Shelf = Shelf::record("introduction");
static INTRODUCED_TO: StateSlot<Option<BareJid>> = StateSlot::new();

fn mount(m: &mut Mount<'_>) -> Result<(), MountError> {
    let settings: Settings = m.config()?;
    if settings.lifetime_hours == 0 {
        return Err(
            m.wrong::<Settings>("lifetime_hours", "lifetime_hours is a number from 1: a link that is over at once is none")
        );
    }
    let page = page(m);
    commands::mount(m, &settings, &page)?;
    m.shelf(SHELF)?;
    m.host_state(&LEDGER, &[SHELF], |items: &[Item]| {
        let ledger = Ledger::load(items.iter().map(|item| (&*item.key, &item.value)));
        if ledger.unreadable() > 0 {
            tracing::warn!(count = ledger.unreadable(), "invitations cannot be read: they are left out");
        }
        ledger
    })?;
    m.on_host_woken(|turn| {
        let now_us = turn.now.wall_us;
        let changes = turn.state(&LEDGER).map(|ledger| ledger.sweep(now_us, false)).unwrap_or_default();
        keep(turn, changes);
    });
    m.shelf(INTRODUCTION)?;
    m.state(&INTRODUCED_TO, &[INTRODUCTION], |items: &[Item]| {
        let jid = std::str::from_utf8(&items.first()?.value).ok()?;
        BareJid::new(jid).ok()
    })?;
    m.on_event(Event::AccountRegistered, registered);
    m.on_event(Event::SessionBound, introduce);
    let domain: Arc<str> = Arc::from(m.domain());
    m.on_farewell(move |account, cx| farewell(account, domain.clone(), cx));
    Ok(())
}

/// Before the token: the address of an invitation's page. Empty: there is none that people could reach.
pub(crate) fn page(m: &Mount<'_>) -> String {
    m.site().map_or_else(String::new, |site| format!("{site}/invite/"))
}

/// What has changed in the ledger, to be written in the same turn.
pub(crate) fn keep(turn: &mut HostTurn<'_>, changes: impl IntoIterator<Item = Change>) {
    for change in changes {
        match change.value {
            Some(value) => turn.put(SHELF, &change.key, value),
            None => turn.delete(SHELF, &change.key),
        }
    }
}

/// A new invitation.
pub(crate) fn invite(
    turn: &mut HostTurn<'_>,
    settings: &Settings,
    purpose: Purpose,
    inviter: Option<BareJid>,
    contact: Option<BareJid>,
    lifetime: Option<Duration>,
) -> Result<(Token, Invitation), Refusal> {
    let mut random = [0; 16];
    (turn.house.ports.random)(&mut random);
    let token = Token::new(random);
    let now_us = turn.now.wall_us;
    let lifetime_us = lifetime.unwrap_or_else(|| settings.lifetime()).as_micros();
    let expires_us = now_us.saturating_add(u64::try_from(lifetime_us).unwrap_or(u64::MAX));
    let invitation = Invitation { purpose, inviter, contact, created_us: now_us, expires_us, state: State::Open };
    let ledger = turn.state(&LEDGER).ok_or(Refusal::TooMany)?;
    let changes = ledger.invite(token.id(), invitation.clone(), &settings.rules(), now_us)?;
    keep(turn, changes);
    Ok((token, invitation))
}

// --- the two become contacts ----------------------------------------------------------------------------------------------

/// A new account has its half of the contact in its first write; the other half is the inviter's. Until that is told, a record
/// says so: a process that dies in between tells it when the new user comes back.
fn registered(turn: &mut Turn<'_>) {
    let Some(contact) = turn.subject.clone() else { return };
    turn.put(INTRODUCTION, "", contact.as_str().as_bytes().to_vec());
    if let Some(slot) = turn.state(&INTRODUCED_TO) {
        *slot = Some(contact);
    }
    introduce(turn);
}

fn introduce(turn: &mut Turn<'_>) {
    let Some(contact) = turn.state(&INTRODUCED_TO).and_then(|slot| slot.clone()) else { return };
    let me = turn.me().clone();
    turn.spawn(move |cx: Cx| -> TaskFuture {
        Box::pin(async move {
            match cx.ask(contact, Ask::Befriend(me)).await {
                // Told, or there is nobody to tell any more.
                AskAnswer::Done | AskAnswer::NotFound => Finish::Turn(Box::new(|turn| {
                    turn.delete(INTRODUCTION, "");
                    if let Some(slot) = turn.state(&INTRODUCED_TO) {
                        *slot = None;
                    }
                    Reply::Sent
                })),
                _ => Finish::Done,
            }
        })
    });
}

/// Nobody comes in by the invitations of somebody who is gone.
async fn farewell(account: BareJid, domain: Arc<str>, cx: Cx) -> Result<(), StoreError> {
    let revoke = move |turn: &mut HostTurn<'_>| {
        let now_us = turn.now.wall_us;
        let changes = turn.state(&LEDGER).map(|ledger| ledger.inviter_gone(&account, now_us)).unwrap_or_default();
        keep(turn, changes);
    };
    cx.host(&domain, revoke).await
}
