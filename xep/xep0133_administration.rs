//! XEP-0133: Service Administration - accounts, sessions, notices and lists of a domain, by commands of its administrators.
//! Spec 1.3.1, https://xmpp.org/extensions/xep-0133.html. All of it; the password of a user cannot be shown (4.6 was retracted).
//! The rates of 4.10 are of the last minute (stanzas) and the last hour (logins): the text does not say over how long.
//!
//! Administrators are those of `accounts.admins` in the configuration, each for the domain of its address, and those whom they
//! appoint (4.29). Only the former may restart or stop the house.

use iris_core::command::{ADMINS, APPOINTED, Done, Note, load_admins};
use iris_core::form::Form;
use iris_core::{AskAnswer, BareJid, Bounce, Card, Changed, Condition, Jid, Mount, MountError, Room, Status};

mod accounts;
mod counts;
mod facts;
mod filter;
mod house;
mod notices;

pub const ROOM: Room = Room {
    card: Card { xep: Some(133), name: "Service Administration", version: "1.3.1", status: Status::Complete, needs: &[4, 50] },
    mount,
};

const ADMIN: &str = "http://jabber.org/protocol/admin";

/// The node of a command.
macro_rules! node {
    ($name:literal) => {
        concat!("http://jabber.org/protocol/admin#", $name)
    };
}
use node;

fn mount(m: &mut Mount<'_>) -> Result<(), MountError> {
    m.shelf(ADMINS)?;
    m.host_state(&APPOINTED, &[ADMINS], load_admins)?;
    accounts::mount(m)?;
    facts::mount(m)?;
    filter::mount(m)?;
    counts::mount(m)?;
    notices::mount(m)?;
    house::mount(m)
}

fn form(title: &str, instructions: &str) -> Form {
    Form::new(title, instructions).of_type(ADMIN)
}

fn told() -> Form {
    Form::default().of_type(ADMIN)
}

/// An account of the domain that is administrated, and of no other.
fn account_of(jid: &Jid, domain: &str) -> Result<BareJid, Bounce> {
    if jid.node().is_none() || jid.domain().as_str() != domain {
        return Err(Bounce::bad_request(&format!("{jid} is not an account of {domain}")));
    }
    Ok(jid.to_bare())
}

fn too_many(accounts_max: usize) -> Bounce {
    let most = format!("an order is for at most {accounts_max} accounts");
    Bounce::new(Condition::BadRequest).limit(most, Changed::ByNobody("give it several times"))
}

fn no_account(jid: &Jid) -> Bounce {
    let of_session = jid.resource().map(|_| format!(", or it has no session {jid}")).unwrap_or_default();
    Bounce::new(Condition::ItemNotFound).text(format!("there is no account {}{of_session}", jid.to_bare()))
}

/// What an order came to.
fn carried_out(answer: AskAnswer, jid: &Jid) -> Result<(), Bounce> {
    match answer {
        AskAnswer::Done => Ok(()),
        AskAnswer::NotFound => Err(no_account(jid)),
        AskAnswer::Exists => {
            Err(Bounce::new(Condition::Conflict).text(format!("the account {} exists already", jid.to_bare())))
        }
        AskAnswer::Failed(why) => Err(Bounce::new(Condition::InternalServerError).text(why)),
        _ => Err(Bounce::new(Condition::InternalServerError)),
    }
}

/// The end of an order to several accounts: to one it is done or refused; of several those that failed are named.
fn of_several(mut failed: Vec<Bounce>, all: usize, done: Done) -> Result<Done, Bounce> {
    if all == 1
        && let Some(why) = failed.pop()
    {
        return Err(why);
    }
    let said = |why: Bounce| why.text.unwrap_or_else(|| why.condition.as_str().to_owned());
    Ok(failed.into_iter().fold(done, |done, why| done.note(Note::Error, said(why))))
}

#[cfg(test)]
mod tests;
