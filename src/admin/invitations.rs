//! `iris invite`, carried out by the domains.

use std::time::Duration;

use iris_core::BareJid;
use iris_core::invitation::{Invitation, InvitationId, Purpose, Refusal, State};
use iris_core::registration::{Answer, Invite, Refused, Request};
use iris_net::Net;

use crate::cli::control::{InvitationRow, Invited, Wanted, check_served, parse_account};

pub(super) fn make(net: &Net, domains: &[String], wanted: &Wanted) -> Result<Invited, String> {
    let domain = match &wanted.domain {
        Some(domain) => served(domains, Some(domain))?.remove(0),
        None => domains.first().cloned().ok_or("no domain is served")?,
    };
    let contact = wanted.contact.as_deref().map(parse_account).transpose()?;
    if let Some(contact) = &contact {
        check_served(contact, domains)?;
    }
    let purpose = match (&wanted.user, wanted.new_password) {
        (Some(username), true) => Purpose::Password { username: username.clone() },
        (None, true) => return Err("a new password is for somebody: name the account".into()),
        (username, false) => Purpose::Account { username: username.clone() },
    };
    let lifetime = wanted.lifetime_seconds.map(Duration::from_secs);
    let invite = Invite { purpose, contact: contact.clone(), lifetime };
    match net.ask_registrar(&domain, Request::Invite(Box::new(invite))) {
        Answer::Invited { token, invitation, link } => Ok(Invited {
            uri: invitation.uri(&domain, &token),
            link,
            id: token.id().short(),
            expires: invitation.expires_us / 1_000_000,
        }),
        Answer::Refused(why) => Err(said(&why, wanted, contact.as_ref())),
        _ => Err(format!("{domain} answered something else")),
    }
}

/// For the operator, who may know more than strangers.
fn said(why: &Refused, wanted: &Wanted, contact: Option<&BareJid>) -> String {
    let user = wanted.user.as_deref().unwrap_or_default();
    match why {
        Refused::Invitation(Refusal::TooMany) => "there are too many open invitations".into(),
        Refused::UsernameTaken => format!("there is an account {user} already"),
        Refused::UsernameReserved => format!("another invitation is for the name {user}"),
        Refused::UsernameInvalid => format!("{user:?} cannot be a user name"),
        Refused::NoAccount if wanted.new_password => format!("there is no account {user}"),
        Refused::NoAccount => match contact {
            Some(contact) => format!("there is no account {contact}"),
            None => "there is no such account".into(),
        },
        Refused::Failed(why) => why.clone(),
        other => other.to_string(),
    }
}

pub(super) fn list(net: &Net, domains: &[String], domain: Option<&str>) -> Result<Vec<InvitationRow>, String> {
    let mut rows = Vec::new();
    for domain in served(domains, domain)? {
        match net.ask_registrar(&domain, Request::List) {
            Answer::Listed(all) => rows.extend(all.iter().map(|(id, it)| row(&domain, id, it))),
            Answer::Refused(Refused::Failed(why)) => return Err(why),
            _ => return Err(format!("{domain} answered something else")),
        }
    }
    rows.sort_unstable_by_key(|row| row.created);
    Ok(rows)
}

fn row(domain: &str, id: &InvitationId, it: &Invitation) -> InvitationRow {
    let what = match &it.purpose {
        Purpose::Contact => "contact or account".to_owned(),
        Purpose::Account { username: Some(name) } => format!("account {name}@{domain}"),
        Purpose::Account { username: None } => format!("account @{domain}"),
        Purpose::Password { username } => format!("password of {username}@{domain}"),
    };
    let state = match &it.state {
        State::Open => "open".to_owned(),
        State::Claimed { username, .. } => format!("being used by {username}"),
        State::Spent { by, .. } => format!("used by {by}"),
        State::Revoked { .. } => "revoked".to_owned(),
    };
    InvitationRow {
        id: id.short(),
        what,
        by: it.inviter.as_ref().map(ToString::to_string),
        contact: it.contact.as_ref().map(ToString::to_string),
        created: it.created_us / 1_000_000,
        expires: it.expires_us / 1_000_000,
        state,
    }
}

pub(super) fn revoke(net: &Net, domains: &[String], id: &str) -> Result<(), String> {
    for domain in domains {
        match net.ask_registrar(domain, Request::Revoke(id.to_owned())) {
            Answer::Done => return Ok(()),
            Answer::Refused(Refused::Invitation(Refusal::Unknown)) => {}
            Answer::Refused(Refused::Invitation(Refusal::Gone)) => return Err(format!("the invitation {id} is over already")),
            Answer::Refused(Refused::Invitation(Refusal::Busy)) => {
                return Err(format!("somebody is using the invitation {id} at this moment"));
            }
            Answer::Refused(why) => return Err(why.to_string()),
            _ => return Err(format!("{domain} answered something else")),
        }
    }
    Err(format!("there is no invitation {id}"))
}

fn served(domains: &[String], wanted: Option<&str>) -> Result<Vec<String>, String> {
    let found: Vec<String> = domains.iter().filter(|it| wanted.is_none_or(|wanted| wanted == **it)).cloned().collect();
    match (found.is_empty(), wanted) {
        (true, Some(domain)) => Err(format!("{domain} is not served here; served are: {}", domains.join(", "))),
        _ => Ok(found),
    }
}
