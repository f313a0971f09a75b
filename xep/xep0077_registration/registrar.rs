//! Who makes accounts: asked on streams before authentication, by the page of an invitation, by `iris invite`.
//!
//! An account is made in its own turn, the invitation is used up in the domain's: see `iris_core::invitation` for what becomes of
//! a process that dies between the two.

use iris_core::invitation::{Admission, InvitationId, Purpose, Refusal};
use iris_core::registration::{Answer, Invite, Offer, Presented, Refused, Reply, Request, names};
use iris_core::task::{Cx, TaskFuture};
use iris_core::{Ask, AskAnswer, BareJid, Finish, HostTurn};

use crate::xep0401_invitations::{self as invitations, LEDGER, Settings};

/// How often the end of somebody else's claim is waited for.
const DOUBTS_MAX: usize = 2;

pub(super) fn asked(turn: &mut HostTurn<'_>, offer: &Offer, settings: &Settings, request: Request, reply: Reply) {
    let now_us = turn.now.wall_us;
    match request {
        Request::Show(id) => {
            let shown = turn.state(&LEDGER).ok_or(Refusal::Unknown).and_then(|ledger| ledger.open(&id, now_us).cloned());
            reply(match shown {
                Ok(invitation) => Answer::Shown { invitation: Box::new(invitation), offer: Box::new(offer.clone()) },
                Err(why) => Answer::Refused(why.into()),
            });
        }
        Request::Register { username, password, invitation } => {
            match admissible(turn, offer, &username, &password, invitation.as_ref()) {
                Err(why) => reply(Answer::Refused(why)),
                Ok(jid) => turn.spawn(move |cx| begin(reply, register(cx, jid, password, invitation))),
            }
        }
        Request::SetPassword { password, invitation } => match named(turn, offer, &password, &invitation) {
            Err(why) => reply(Answer::Refused(why)),
            Ok(jid) => turn.spawn(move |cx| begin(reply, set_password(cx, jid, password, invitation))),
        },
        Request::Invite(wanted) => {
            let (domain, offer, settings) = (turn.host().to_owned(), offer.clone(), settings.clone());
            turn.spawn(move |cx| begin(reply, invite(cx, domain, offer, settings, *wanted)));
        }
        Request::List => {
            let all = turn.state(&LEDGER).map(|ledger| ledger.iter().map(|(id, it)| (*id, it.clone())).collect());
            reply(Answer::Listed(all.unwrap_or_default()));
        }
        Request::Revoke(short) => {
            let domain = turn.host().to_owned();
            turn.spawn(move |cx| begin(reply, revoke(cx, domain, short)));
        }
    }
}

/// The reply is the end of the work.
fn begin(reply: Reply, work: impl Future<Output = Result<Answer, Refused>> + 'static) -> TaskFuture {
    Box::pin(async move {
        reply(work.await.unwrap_or_else(Answer::Refused));
        Finish::Done
    })
}

/// Everything that can be said before anybody computes.
fn admissible(
    turn: &mut HostTurn<'_>,
    offer: &Offer,
    username: &str,
    password: &str,
    invitation: Option<&Presented>,
) -> Result<BareJid, Refused> {
    if invitation.is_none() && !offer.open {
        return Err(Refused::Closed);
    }
    let jid = names::address(username, turn.host())?;
    let local = jid.node().map_or("", |node| node.as_str());
    let now_us = turn.now.wall_us;
    let ledger = turn.state(&LEDGER).ok_or(Refusal::Unknown)?;
    let mut is_given = false;
    match invitation {
        Some(Presented { id, checked }) => {
            let it = if *checked { ledger.get(id).ok_or(Refusal::Unknown)? } else { ledger.open(id, now_us)? };
            match &it.purpose {
                Purpose::Account { username: Some(name) } if name != local => return Err(Refused::UsernameIs(name.clone())),
                // Who made the invitation chose the name: the house, or an administrator.
                Purpose::Account { username: Some(_) } => is_given = true,
                Purpose::Account { username: None } | Purpose::Contact => {}
                Purpose::Password { .. } => return Err(Refusal::NotForThis.into()),
            }
        }
        None if ledger.is_reserved(local, None, now_us) => return Err(Refused::UsernameReserved),
        None => {}
    }
    let admins = turn.doors.admins.iter().filter_map(|admin| admin.node().map(|node| node.as_str()));
    // Whole names of domains, not their labels: juliet of juliet.example is a person.
    let domains = turn.doors.house.iter().map(String::as_str);
    if !is_given && names::is_official(local, admins.chain(domains)) {
        return Err(Refused::UsernameReserved);
    }
    long_enough(password, offer)?;
    Ok(jid)
}

fn named(turn: &mut HostTurn<'_>, offer: &Offer, password: &str, id: &InvitationId) -> Result<BareJid, Refused> {
    let now_us = turn.now.wall_us;
    let it = turn.state(&LEDGER).ok_or(Refusal::Unknown)?.open(id, now_us)?;
    let Purpose::Password { username } = it.purpose.clone() else { return Err(Refusal::NotForThis.into()) };
    long_enough(password, offer)?;
    names::address(&username, turn.host())
}

fn long_enough(password: &str, offer: &Offer) -> Result<(), Refused> {
    let chars_min = offer.password_chars_min;
    if password.chars().count() < chars_min { Err(Refused::PasswordShort { chars_min }) } else { Ok(()) }
}

async fn register(cx: Cx, jid: BareJid, password: String, invitation: Option<Presented>) -> Result<Answer, Refused> {
    let credentials = cx.derive(password).await.map_err(Refused::Password)?;
    let contact = match &invitation {
        Some(presented) => claim(&cx, &jid, presented).await?,
        None => None,
    };
    let answer = cx.ask(jid.clone(), Ask::Register { credentials, contact: contact.clone() }).await;
    let outcome = match answer {
        AskAnswer::Done => Ok(Answer::Registered { jid: jid.clone(), contact }),
        AskAnswer::Exists => Err(Refused::UsernameTaken),
        AskAnswer::Failed(why) => Err(Refused::Failed(why)),
        _ => Err(Refused::Failed("the account answered something else".into())),
    };
    if let Some(presented) = invitation {
        end_claim(&cx, &jid, presented.id, &outcome).await;
    }
    outcome
}

async fn set_password(cx: Cx, jid: BareJid, password: String, id: InvitationId) -> Result<Answer, Refused> {
    let credentials = cx.derive(password).await.map_err(Refused::Password)?;
    claim(&cx, &jid, &Presented { id, checked: false }).await?;
    let outcome = match cx.ask(jid.clone(), Ask::SetCredentials { credentials }).await {
        AskAnswer::Done => Ok(Answer::PasswordSet(jid.clone())),
        AskAnswer::NotFound => Err(Refused::NoAccount),
        AskAnswer::Failed(why) => Err(Refused::Failed(why)),
        _ => Err(Refused::Failed("the account answered something else".into())),
    };
    end_claim(&cx, &jid, id, &outcome).await;
    outcome
}

/// Make the invitation ours, on disk, before the account is made. Who becomes a contact of the new account.
async fn claim(cx: &Cx, jid: &BareJid, presented: &Presented) -> Result<Option<BareJid>, Refused> {
    let local = jid.node().map_or_else(String::new, |node| node.as_str().to_owned());
    let domain = jid.domain().as_str().to_owned();
    let Presented { id, checked } = *presented;
    for _ in 0..=DOUBTS_MAX {
        let username = local.clone();
        let claimed = cx.host(&domain, move |turn| {
            let now_us = turn.now.wall_us;
            let ledger = turn.state(&LEDGER).ok_or(Refusal::Unknown)?;
            let admission = ledger.claim(&id, &username, checked, now_us)?;
            let contact = ledger.get(&id).and_then(|it| it.contact.clone());
            if let Admission::Granted(change) = &admission {
                invitations::keep(turn, [change.clone()]);
            }
            Ok((admission, contact))
        });
        let claimed: Result<(Admission, Option<BareJid>), Refusal> = claimed.await.map_err(failed)?;
        match claimed? {
            (Admission::Granted(_), contact) => return Ok(contact),
            (Admission::Doubt { username, since_us }, _) => resolve(cx, &domain, id, &username, since_us).await?,
        }
    }
    Err(Refusal::Busy.into())
}

/// Somebody claimed it and was not heard of again. The account says what became of that: it is younger than the claim, or it was
/// not made by it. (A new password leaves no trace: whoever has that invitation may set one more.)
async fn resolve(cx: &Cx, domain: &str, id: InvitationId, username: &str, since_us: u64) -> Result<(), Refused> {
    let jid = names::address(username, domain)?;
    let made = match cx.ask(jid.clone(), Ask::Credentials).await {
        AskAnswer::Credentials(Some(login)) if login.created_us >= since_us => Some(jid),
        AskAnswer::Credentials(_) => None,
        _ => return Err(Refused::Failed("an account does not answer".into())),
    };
    let resolved = cx.host(domain, move |turn| {
        let now_us = turn.now.wall_us;
        let change = turn.state(&LEDGER).and_then(|ledger| {
            let made = made.filter(|_| ledger.get(&id).is_some_and(|it| !matches!(it.purpose, Purpose::Password { .. })));
            ledger.resolve(&id, made, now_us)
        });
        invitations::keep(turn, change);
    });
    resolved.await.map_err(failed)
}

/// What nobody knows the outcome of stays claimed, and is a doubt for the next one.
async fn end_claim(cx: &Cx, jid: &BareJid, id: InvitationId, outcome: &Result<Answer, Refused>) {
    let made = match outcome {
        Ok(_) => Some(jid.clone()),
        Err(Refused::Failed(_)) => return,
        Err(_) => None,
    };
    let ended = cx.host(jid.domain().as_str(), move |turn| {
        let now_us = turn.now.wall_us;
        let change = turn.state(&LEDGER).and_then(|ledger| ledger.resolve(&id, made, now_us));
        invitations::keep(turn, change);
    });
    if let Err(error) = ended.await {
        tracing::warn!(%error, "the end of an invitation was not kept: it stays claimed");
    }
}

async fn invite(cx: Cx, domain: String, offer: Offer, settings: Settings, wanted: Invite) -> Result<Answer, Refused> {
    let Invite { purpose, contact, lifetime } = wanted;
    if let Some(contact) = &contact
        && !exists(&cx, contact).await?
    {
        return Err(Refused::NoAccount);
    }
    let purpose = match purpose {
        Purpose::Account { username: Some(name) } => {
            let jid = names::address(&name, &domain)?;
            if exists(&cx, &jid).await? {
                return Err(Refused::UsernameTaken);
            }
            Purpose::Account { username: jid.node().map(|node| node.as_str().to_owned()) }
        }
        Purpose::Password { username } => {
            let jid = names::address(&username, &domain)?;
            if !exists(&cx, &jid).await? {
                return Err(Refused::NoAccount);
            }
            Purpose::Password { username: jid.node().map_or_else(String::new, |node| node.as_str().to_owned()) }
        }
        other => other,
    };
    let inviter = if purpose == Purpose::Contact { contact.clone() } else { None };
    if purpose == Purpose::Contact && inviter.is_none() {
        return Err(Refusal::NotForThis.into());
    }
    let made = cx.host(&domain, move |turn| invitations::invite(turn, &settings, purpose, inviter, contact, lifetime));
    let (token, invitation) = made.await.map_err(failed)??;
    Ok(Answer::Invited { link: offer.link(&token), token, invitation: Box::new(invitation) })
}

async fn revoke(cx: Cx, domain: String, short: String) -> Result<Answer, Refused> {
    let revoked = cx.host(&domain, move |turn| {
        let now_us = turn.now.wall_us;
        let ledger = turn.state(&LEDGER).ok_or(Refusal::Unknown)?;
        let id = ledger.by_short(&short).ok_or(Refusal::Unknown)?;
        let change = ledger.revoke(&id, now_us)?;
        invitations::keep(turn, [change]);
        Ok::<(), Refusal>(())
    });
    revoked.await.map_err(failed)??;
    Ok(Answer::Done)
}

async fn exists(cx: &Cx, jid: &BareJid) -> Result<bool, Refused> {
    match cx.ask(jid.clone(), Ask::Credentials).await {
        AskAnswer::Credentials(login) => Ok(login.is_some()),
        _ => Err(Refused::Failed(format!("{jid} does not answer"))),
    }
}

fn failed(error: iris_core::store::StoreError) -> Refused {
    Refused::Failed(error.to_string())
}
