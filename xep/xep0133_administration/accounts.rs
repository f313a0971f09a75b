//! 4.1 to 4.7: accounts are made, removed, disabled and enabled, their sessions end, their passwords change.

use iris_core::command::{Command, Done, Note, Stage, Who};
use iris_core::effects::StreamError;
use iris_core::form::{Field, Form, Submitted};
use iris_core::xml::Build;
use iris_core::{Ask, Bounce, Condition, Cx, Jid, Mount, MountError};

use super::{account_of, carried_out, form, node, of_several, too_many};

/// Accounts in one order.
const ACCOUNTS_MAX: usize = 200;

pub(super) fn mount(m: &mut Mount<'_>) -> Result<(), MountError> {
    m.command(Command::form(node!("add-user"), "Add a user", Who::Admin, add_form, add))?;
    m.command(Command::form(
        node!("delete-user"),
        "Delete users",
        Who::Admin,
        || of_accounts("Deleting a User", "Fill out this form to delete a user.", "The Jabber ID(s) to delete"),
        |stage, answers, cx| each(stage, answers, cx, Whom::Others, |_| Ask::Remove),
    ))?;
    m.command(Command::form(
        node!("disable-user"),
        "Disable users",
        Who::Admin,
        || of_accounts("Disabling a User", "Fill out this form to disable a user.", "The Jabber ID(s) to disable"),
        |stage, answers, cx| each(stage, answers, cx, Whom::Others, |_| Ask::SetEnabled(false)),
    ))?;
    m.command(Command::form(
        node!("reenable-user"),
        "Enable users again",
        Who::Admin,
        || of_accounts("Re-Enable a User", "Fill out this form to re-enable a user.", "The Jabber ID(s) to re-enable"),
        |stage, answers, cx| each(stage, answers, cx, Whom::All, |_| Ask::SetEnabled(true)),
    ))?;
    m.command(Command::form(
        node!("end-user-session"),
        "End sessions",
        Who::Admin,
        || {
            let title = "Ending a User Session";
            of_accounts(title, "Fill out this form to end a user's session.", "The Jabber ID(s) for which to end sessions")
        },
        |stage, answers, cx| each(stage, answers, cx, Whom::All, end),
    ))?;
    m.command(Command::form(node!("change-user-password"), "Change a password", Who::Admin, password_form, change_password))
}

fn of_accounts(title: &str, instructions: &str, label: &str) -> Form {
    form(title, instructions).field(Field::jids("accountjids", label).required())
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Whom {
    All,
    /// Who saws at the branch they sit on is asked to have it done by another administrator.
    Others,
}

async fn each(stage: Stage, answers: Submitted, cx: Cx, whom: Whom, ask: fn(&Jid) -> Ask) -> Result<Done, Bounce> {
    let jids = answers.jids("accountjids");
    if jids.len() > ACCOUNTS_MAX {
        return Err(too_many(ACCOUNTS_MAX));
    }
    for jid in &jids {
        let account = account_of(jid, &stage.domain)?;
        if whom == Whom::Others && account == stage.caller.to_bare() {
            return Err(Bounce::new(Condition::NotAllowed).text("not to the account that gives the order"));
        }
    }
    // Asked together, so that all share the waits for the disk.
    let asked: Vec<_> = jids.iter().map(|jid| cx.ask(jid.to_bare(), ask(jid))).collect();
    let mut failed = Vec::new();
    for (jid, answer) in jids.iter().zip(asked) {
        failed.extend(carried_out(answer.await, jid).err());
    }
    of_several(failed, jids.len(), Done::empty())
}

/// 4.5: a bare JID means all sessions, a full one that session only.
fn end(jid: &Jid) -> Ask {
    let resource = jid.resource().map(|resource| resource.as_str().to_owned());
    Ask::End { resource, why: StreamError::new("policy-violation").text("an administrator has ended this session") }
}

fn add_form() -> Form {
    form("Adding a User", "Fill out this form to add a user.").fields([
        Field::jid("accountjid", "The Jabber ID for the account to be added").required(),
        Field::secret("password", "The password for this account"),
        Field::secret("password-verify", "Retype password"),
        Field::text("email", "Email address"),
        Field::text("given_name", "Given name"),
        Field::text("surname", "Family name"),
    ])
}

async fn add(stage: Stage, answers: Submitted, cx: Cx) -> Result<Done, Bounce> {
    let jid = answers.jid("accountjid").ok_or_else(|| Bounce::bad_request("accountjid: is required"))?;
    if jid.resource().is_some() {
        return Err(Bounce::bad_request("accountjid: the address of an account has no resource"));
    }
    let account = account_of(&jid, &stage.domain)?;
    // The text lets a service do without; here nobody logs in without one.
    let password = answers.text("password").ok_or_else(|| Bounce::bad_request("password: is required"))?;
    if answers.text("password-verify").is_some_and(|again| again != password) {
        return Err(Bounce::bad_request("password-verify: is not the same as the password"));
    }
    let credentials = cx.derive(password.to_owned()).await.map_err(|why| Bounce::bad_request(&format!("password: {why}")))?;
    carried_out(cx.ask(account.clone(), Ask::Provision { credentials }).await, &jid)?;
    if let Some(card) = card(&answers) {
        let kept = cx.account(account, move |turn| crate::xep0054_vcard_temp::keep(turn, card)).await;
        if kept.is_err() {
            return Ok(Done::empty().note(Note::Warn, "the account is made, but the names and the address could not be kept"));
        }
    }
    Ok(Done::empty())
}

/// A vCard of the names and the address, if any was given.
fn card(answers: &Submitted) -> Option<Vec<u8>> {
    let (given, family, email) = (answers.text("given_name"), answers.text("surname"), answers.text("email"));
    given.or(family).or(email)?;
    let mut xml = Build::new();
    xml.open_ns("vCard", "vcard-temp");
    let full: Vec<&str> = [given, family].into_iter().flatten().collect();
    if !full.is_empty() {
        xml.leaf("FN", &full.join(" "));
        xml.open("N").leaf("FAMILY", family.unwrap_or_default()).leaf("GIVEN", given.unwrap_or_default()).close();
    }
    if let Some(email) = email {
        xml.open("EMAIL").open("INTERNET").close();
        xml.leaf("USERID", email).close();
    }
    Some(xml.finish())
}

fn password_form() -> Form {
    form("Changing a User Password", "Fill out this form to change a user's password.").fields([
        Field::jid("accountjid", "The Jabber ID for this account").required(),
        Field::secret("password", "The password for this account").required(),
    ])
}

async fn change_password(stage: Stage, answers: Submitted, cx: Cx) -> Result<Done, Bounce> {
    let jid = answers.jid("accountjid").ok_or_else(|| Bounce::bad_request("accountjid: is required"))?;
    let account = account_of(&jid, &stage.domain)?;
    let password = answers.text("password").unwrap_or_default().to_owned();
    let credentials = cx.derive(password).await.map_err(|why| Bounce::bad_request(&format!("password: {why}")))?;
    carried_out(cx.ask(account, Ask::SetCredentials { credentials }).await, &jid)?;
    Ok(Done::empty())
}
