//! Questions to an account that come from the house (`iris_core::ask`), answered in its turn.

use std::sync::Arc;

use iris_core::ask::{AccountFacts, Ask, AskAnswer, AskReply, MovedEntry, MovingIn, RosterItem, SessionFacts};
use iris_core::clients::{Admission, ClientAccess, TokenRefused};
use iris_core::effects::{Effect, StreamError};
use iris_core::entitlements;
use iris_core::login::{self, Login};
use iris_core::store::{StoreError, Write};
use iris_core::{Event, Jid, Now, ns};

use super::farewell;
use crate::account::subscription::Kind;
use crate::account::{AccountEntity, befriend, clients, presence, push_xml};
use crate::negotiate::sasl::Credentials;
use crate::path::{self, Ctx};
use crate::sessions::Sessions;

pub(super) fn answer(entity: &mut AccountEntity, cx: &mut Ctx<'_>, ask: Ask, reply: AskReply) {
    match ask {
        Ask::Credentials => return reply(AskAnswer::Credentials(entity.login.clone())),
        Ask::Tokens { agent } => return reply(AskAnswer::Tokens(entity.login.clone(), entity.clients.tokens(agent))),
        Ask::Admit(admission) => return admit(entity, cx, *admission, reply),
        Ask::Guest(place) => {
            if !entity.new {
                return reply(AskAnswer::Exists);
            }
            (entity.new, entity.guest, entity.guest_place) = (false, true, place);
            return reply(AskAnswer::Done);
        }
        Ask::Upgrade { was, credentials } => {
            match entity.login.clone().filter(|login| login.credentials == was) {
                Some(login) => keep(entity, cx, Login { credentials, ..login }),
                // The password was changed meanwhile, or somebody else was faster.
                None => return reply(AskAnswer::NotFound),
            }
        }
        Ask::Provision { credentials } => {
            if !entity.new {
                return reply(AskAnswer::Exists);
            }
            entity.new = false;
            let name = entity.bare.clone();
            cx.fx.write.push(Write::Own { owner: entity.owner, name });
            renew(entity, cx, Login { enabled: true, created_us: cx.now.wall_us, since_us: 0, credentials });
        }
        Ask::Register { credentials, contact } => {
            if !entity.new {
                return reply(AskAnswer::Exists);
            }
            entity.new = false;
            let name = entity.bare.clone();
            cx.fx.write.push(Write::Own { owner: entity.owner, name });
            renew(entity, cx, Login { enabled: true, created_us: cx.now.wall_us, since_us: 0, credentials });
            if let Some(contact) = &contact {
                befriend::befriend(entity, cx, contact);
            }
            path::event_about(entity, cx, Event::AccountRegistered, None, contact, 0);
        }
        Ask::ChangePassword { credentials, by } => {
            let Some(login) = entity.login.clone() else { return reply(AskAnswer::NotFound) };
            renew(entity, cx, Login { credentials, ..login });
            // XEP-0484 5: what was given for the old password is worth nothing any more.
            clients::forget_all(entity, cx);
            let stays = entity.session_of(cx, by.as_str());
            let why = StreamError::new("reset").text("the password was changed");
            for at in entity.sessions.clone().into_iter().filter(|at| Some(*at) != stays) {
                entity.end(cx, at, why.clone());
            }
        }
        Ask::Leave { by, answer } => {
            if entity.login.is_none() {
                return reply(AskAnswer::NotFound);
            }
            let asker = entity.session_of(cx, by.as_str());
            remove(entity, cx);
            if let Some(session) = asker.and_then(|at| cx.sessions.get_mut(at)) {
                session.parting = true;
                let at = session.card.this;
                push_xml(cx, at, answer);
            }
        }
        Ask::Befriend(contact) => {
            if entity.login.is_none() {
                return reply(AskAnswer::NotFound);
            }
            if !befriend::befriend(entity, cx, &contact) {
                return reply(AskAnswer::Failed("the roster is full".into()));
            }
        }
        Ask::Approve(contact) => {
            if !befriend::approve(entity, cx, &contact) {
                return reply(AskAnswer::Failed("the roster is full".into()));
            }
        }
        Ask::SetCredentials { credentials } => {
            let Some(login) = entity.login.clone() else { return reply(AskAnswer::NotFound) };
            renew(entity, cx, Login { credentials, ..login });
            clients::forget_all(entity, cx);
            // RFC 6120 4.9.3.16: whoever is logged in with the old password logs in anew.
            end_all(entity, cx, &StreamError::new("reset").text("the password was changed"));
        }
        Ask::SetEnabled(enabled) => {
            let Some(login) = entity.login.clone() else { return reply(AskAnswer::NotFound) };
            renew(entity, cx, Login { enabled, ..login });
            if !enabled {
                clients::forget_all(entity, cx);
                end_all(entity, cx, &StreamError::new("not-authorized").text("the account was disabled"));
            }
        }
        Ask::SetPlan(plan) => {
            if entity.login.is_none() {
                return reply(AskAnswer::NotFound);
            }
            let (owner, shelf, key) = (entity.owner, entitlements::SHELF, Arc::from(""));
            cx.fx.write.push(match &plan {
                Some(plan) => Write::Put { owner, shelf, key, value: plan.as_bytes().to_vec().into() },
                None => Write::Delete { owner, shelf, key },
            });
            entity.plan = plan;
        }
        Ask::Remove => {
            if entity.login.is_none() {
                return reply(AskAnswer::NotFound);
            }
            remove(entity, cx);
        }
        Ask::Account => {
            return reply(facts(entity, cx).map_or(AskAnswer::NotFound, |facts| AskAnswer::Account(Box::new(facts))));
        }
        Ask::Roster => {
            let items = entity.roster.items().map(|contact| RosterItem {
                jid: contact.jid.clone(),
                name: contact.name.as_deref().map(str::to_owned),
                subscription: contact.state.shown().subscription(),
                ask: contact.state.ask,
                groups: contact.groups.iter().map(|group| group.to_string()).collect(),
            });
            return reply(AskAnswer::Roster(items.collect()));
        }
        Ask::End { resource, why } => {
            let is_meant =
                |jid: &iris_core::FullJid| resource.as_deref().is_none_or(|wanted| jid.resource().as_str() == wanted);
            let sessions = entity.sessions.iter().copied();
            let meant = sessions.filter(|at| cx.sessions.get(*at).is_some_and(|session| is_meant(&session.card.jid)));
            let meant: Vec<_> = meant.collect();
            if meant.is_empty() {
                return reply(AskAnswer::NotFound);
            }
            for at in meant {
                entity.end(cx, at, why.clone());
            }
        }
        Ask::Clients => {
            let listed = || AskAnswer::Clients(clients::list(entity, cx.sessions, cx.now.wall_us));
            return reply(if entity.login.is_some() { listed() } else { AskAnswer::NotFound });
        }
        Ask::Revoke { client, but } => {
            if !revoke(entity, cx, client, but.as_deref()) {
                return reply(AskAnswer::NotFound);
            }
        }
        Ask::MoveIn(moving) => {
            if !entity.new && moving.login.is_some() && !moving.replaces {
                return reply(AskAnswer::Exists);
            }
            move_in(entity, cx, *moving);
        }
    }
    let then = Box::new(move |result: Result<(), StoreError>| {
        reply(match result {
            Ok(()) => AskAnswer::Done,
            Err(why) => AskAnswer::Failed(why.to_string()),
        });
    });
    cx.fx.list.push(Effect::AfterCommit(then));
}

/// False: there is no such account or client.
fn revoke(entity: &mut AccountEntity, cx: &mut Ctx<'_>, client: Option<String>, but: Option<&str>) -> bool {
    if entity.login.is_none() {
        return false;
    }
    let now_us = cx.now.wall_us;
    let stays = |client: &ClientAccess| but.is_some_and(|but| client.resources.iter().any(|resource| resource == but));
    let ids = match client {
        Some(id) => vec![id],
        None => {
            let others = clients::list(entity, cx.sessions, now_us).into_iter().filter(|client| !stays(client));
            others.map(|client| client.id).collect()
        }
    };
    for id in ids {
        let Some(revoked) = clients::revoke(entity, cx.sessions, now_us, &id) else { return false };
        if let Some(write) = revoked.write {
            cx.fx.write.push(write);
        }
        for at in revoked.ended {
            entity.end(cx, at, clients::logged_out());
        }
    }
    true
}

fn facts(entity: &AccountEntity, cx: &Ctx<'_>) -> Option<AccountFacts> {
    let login = entity.login.as_ref()?;
    Some(AccountFacts {
        jid: entity.jid.clone(),
        enabled: login.enabled,
        created_us: login.created_us,
        sessions: sessions(entity, cx.sessions, cx.now),
        seen: entity.seen,
        roster_items: entity.roster.len(),
        stanzas_per_s: entity.stanzas.in_last_window(cx.now.mono.0.as_secs()) / 60.0,
        logins_per_min: entity.logins.in_last_window(cx.now.wall_us / 1_000_000) / 60.0,
        plan: entity.plan.clone(),
    })
}

pub(super) fn sessions(entity: &AccountEntity, sessions: &Sessions, now: Now) -> Vec<SessionFacts> {
    let sessions = entity.sessions.iter().filter_map(|at| sessions.get(*at));
    let facts = sessions.map(|session| {
        let available = session.card.available.as_ref();
        let show = available.and_then(|available| {
            let presence = &available.presence;
            let show = presence.child_named(ns::CLIENT, "show")?;
            Some(presence.child_el(show).text().into_owned())
        });
        SessionFacts {
            jid: session.card.jid.clone(),
            since_us: session.since_us,
            idle: now.mono.since(session.heard),
            priority: available.map(|available| available.priority),
            show,
            detached: session.card.detached,
            inactive: session.card.inactive,
            address: session.address,
        }
    });
    facts.collect()
}

/// A token that is told is kept, and one that was used stays used, whatever happens next; everything else about a client can wait.
fn admit(entity: &mut AccountEntity, cx: &mut Ctx<'_>, admission: Admission, reply: AskReply) {
    if entity.login.as_ref().is_none_or(|login| !login.enabled) {
        return reply(AskAnswer::NotFound);
    }
    if !entity.is_open_to(admission.login_us) {
        return reply(AskAnswer::TokenRefused(TokenRefused::Unknown));
    }
    let used = admission.used.is_some();
    let answer = match clients::admit(entity, cx, admission) {
        Ok(admitted) if !used && admitted.token_until_us.is_none() => return reply(AskAnswer::Admitted(admitted)),
        Ok(admitted) => AskAnswer::Admitted(admitted),
        Err(why) => AskAnswer::TokenRefused(why),
    };
    cx.fx.list.push(Effect::AfterCommit(Box::new(move |result: Result<(), StoreError>| {
        reply(match result {
            Ok(()) => answer,
            Err(why) => AskAnswer::Failed(why.to_string()),
        });
    })));
}

/// It opens to something else from now on: whoever has proved what opened it until now begins anew.
fn renew(entity: &mut AccountEntity, cx: &mut Ctx<'_>, login: Login) {
    let since_us = cx.house.clock.mint(cx.now).0;
    keep(entity, cx, Login { since_us, ..login });
}

fn keep(entity: &mut AccountEntity, cx: &mut Ctx<'_>, login: Login) {
    count(entity, cx, Some(&login));
    cx.fx.write.push(Write::Put { owner: entity.owner, shelf: login::SHELF, key: Arc::from(""), value: login.encode() });
    entity.login = Some(login);
}

/// What keys the account has from now on, for those who offer mechanisms.
fn count(entity: &AccountEntity, cx: &mut Ctx<'_>, login: Option<&Login>) {
    let set = |login: &Login| Credentials::set_of(&login.credentials);
    let (before, after) = (entity.login.as_ref().map(set), login.map(set));
    if before == after {
        return;
    }
    let (census, domain) = (cx.house.census.clone(), entity.jid.domain().to_string());
    cx.fx.list.push(Effect::AfterCommit(Box::new(move |kept| {
        if kept.is_ok() {
            census.change(&domain, before, after);
        }
    })));
}

/// Sessions, and those that could be resumed, are over at once.
fn end_all(entity: &mut AccountEntity, cx: &mut Ctx<'_>, error: &StreamError) {
    for at in entity.sessions.clone() {
        entity.end(cx, at, error.clone());
    }
}

/// Rooms keep in memory what now changes under them, so the account sleeps after this turn, and reads itself anew.
fn move_in(entity: &mut AccountEntity, cx: &mut Ctx<'_>, moving: MovingIn) {
    let owner = entity.owner;
    if std::mem::take(&mut entity.new) {
        let name = entity.bare.clone();
        cx.fx.write.push(Write::Own { owner, name });
    }
    if let Some(login) = moving.login {
        let created_us = entity.login.as_ref().map_or(login.created_us, |there| there.created_us.min(login.created_us));
        renew(entity, cx, Login { created_us, ..login });
        // Tokens of the old password.
        clients::forget_all(entity, cx);
    }
    end_all(entity, cx, &StreamError::new("reset").text("the account was imported"));
    for (shelf, key, value) in moving.items {
        cx.fx.write.push(Write::Put { owner, shelf, key, value });
    }
    for MovedEntry { shelf, id, peer, tag, entry } in moving.entries {
        cx.fx.write.push(Write::Insert { owner, shelf, id, peer, tag, entry });
    }
    entity.gone = true;
}

/// Contacts are told that nobody is here any more, then everything is forgotten.
fn remove(entity: &mut AccountEntity, cx: &mut Ctx<'_>) {
    path::event(entity, cx, Event::AccountRemoved, None);
    end_all(entity, cx, &StreamError::new("not-authorized").text("the account was removed"));
    let contacts: Vec<(Jid, bool, bool)> = entity
        .roster
        .contacts()
        .map(|(jid, _)| {
            let state = entity.roster.state(jid);
            (jid.clone().into(), state.to || state.ask, state.from)
        })
        .collect();
    for (contact, ours, theirs) in contacts {
        if ours {
            presence::send_kind(entity, cx, &contact, Kind::Unsubscribe);
        }
        if theirs {
            presence::send_kind(entity, cx, &contact, Kind::Unsubscribed);
        }
    }
    count(entity, cx, None);
    cx.fx.write.push(Write::Disown { owner: entity.owner });
    farewell::owe(entity, cx);
    entity.gone = true;
}
