//! What the text leaves to others: a look at the clients for people whose client has none of its own, all at once, and the
//! administrator's side.

use std::rc::Rc;

use iris_core::clients::ClientAccess;
use iris_core::command::{Command, Done, Next, Note, Stage, Who};
use iris_core::form::{Field, Form, Submitted};
use iris_core::time::datetime;
use iris_core::{Ask, AskAnswer, BareJid, Bounce, Changed, Condition, Cx, Mount, MountError};

use super::in_seconds;

/// The accounts in one order of an administrator.
const ACCOUNTS_MAX: usize = 200;

pub(super) fn mount(m: &mut Mount<'_>) -> Result<(), MountError> {
    m.command(Command::new("clients", "Clients with access to your account", Who::User, own))?;
    m.command(Command::form("clients-of-user", "Log out all clients of a user", Who::Admin, of_user_form, of_user))
}

async fn clients(cx: &Cx, account: BareJid) -> Result<Vec<ClientAccess>, Bounce> {
    match cx.ask(account, Ask::Clients).await {
        AskAnswer::Clients(clients) => Ok(clients),
        AskAnswer::NotFound => Err(Bounce::new(Condition::ItemNotFound)),
        _ => Err(Bounce::new(Condition::InternalServerError)),
    }
}

async fn own(mut stage: Stage, cx: Cx) -> Result<Next, Bounce> {
    let account = stage.caller.to_bare();
    let here = stage.caller.resource().map(|resource| resource.to_string());
    let there = clients(&cx, account.clone()).await?;
    let Some(answers) = stage.form.take() else {
        return Ok(Next::Ask { form: form(&there, here.as_deref()), state: Rc::new(()), more: false });
    };
    let chosen = answers.values("clients").to_vec();
    let all = answers.boolean("others") == Some(true);
    let is_here = |client: &ClientAccess| here.as_ref().is_some_and(|here| client.resources.contains(here));
    let ended: Vec<&ClientAccess> =
        there.iter().filter(|client| chosen.contains(&client.id) || all && !is_here(client)).collect();
    let mut failed = Vec::new();
    // One's own last: with its session the answer is gone.
    for client in ended.iter().filter(|it| !is_here(it)).chain(ended.iter().filter(|it| is_here(it))) {
        match cx.ask(account.clone(), Ask::Revoke { client: Some(client.id.clone()), but: None }).await {
            // Somebody else was quicker.
            AskAnswer::Done | AskAnswer::NotFound => {}
            _ => failed.push(client.id.clone()),
        }
    }
    let done = Done::empty().note(Note::Info, format!("{} clients were logged out.", ended.len() - failed.len()));
    let done = failed.iter().fold(done, |done, id| done.note(Note::Error, format!("{id} could not be logged out.")));
    // XEP-0494 3.2: revoking does not take the password away from whoever has it.
    let knows = ended.iter().any(|client| client.password);
    let warning = "Whoever knows the password can come again: change it if you do not trust a client.";
    Ok(Next::Done(if knows { done.note(Note::Warn, warning) } else { done }))
}

fn form(clients: &[ClientAccess], here: Option<&str>) -> Form {
    let options = clients.iter().map(|client| (described(client, here), client.id.clone())).collect();
    let list = Field::choices("clients", "Log out", options);
    Form::new("Clients with access to your account", "Choose the clients that shall be logged out.")
        .field(list)
        .field(Field::boolean("others", "Log out all but this one", false))
}

fn described(client: &ClientAccess, here: Option<&str>) -> String {
    let named = [client.software.as_deref(), client.device.as_deref()].into_iter().flatten().collect::<Vec<_>>();
    let name = match (named.is_empty(), client.resources.first()) {
        (false, _) => named.join(", "),
        (true, Some(resource)) => resource.clone(),
        (true, None) => "a client that did not say its name".to_owned(),
    };
    let seen = datetime(in_seconds(client.last_seen_us)).replace('T', " ");
    match here.is_some_and(|here| client.resources.iter().any(|resource| resource == here)) {
        true => format!("{name} (this one)"),
        false if client.connected => format!("{name} (connected)"),
        false => format!("{name} (last seen {})", seen.trim_end_matches('Z')),
    }
}

fn of_user_form() -> Form {
    Form::new("Log out all clients of users", "Their sessions end and their tokens are worth nothing; their passwords stay.")
        .field(Field::jids("accountjids", "The Jabber ID(s) to log out").required())
}

async fn of_user(stage: Stage, answers: Submitted, cx: Cx) -> Result<Done, Bounce> {
    let jids = answers.jids("accountjids");
    if jids.len() > ACCOUNTS_MAX {
        let what = format!("an order is for at most {ACCOUNTS_MAX} accounts");
        return Err(Bounce::new(Condition::BadRequest).limit(what, Changed::ByNobody("give it several times")));
    }
    // Asked first: nothing is done to anybody if one of them is another domain's.
    if let Some(jid) = jids.iter().find(|jid| jid.node().is_none() || *jid.domain().as_str() != *stage.domain) {
        return Err(Bounce::bad_request(&format!("{jid} is not an account of {}", stage.domain)));
    }
    let mut done = Done::empty();
    for jid in &jids {
        match cx.ask(jid.to_bare(), Ask::Revoke { client: None, but: None }).await {
            AskAnswer::Done => {}
            AskAnswer::NotFound if jids.len() == 1 => {
                return Err(Bounce::new(Condition::ItemNotFound).text(format!("there is no account {}", jid.to_bare())));
            }
            AskAnswer::NotFound => done = done.note(Note::Error, format!("there is no account {}", jid.to_bare())),
            _ => done = done.note(Note::Error, format!("{} could not be logged out", jid.to_bare())),
        }
    }
    Ok(done.note(Note::Info, "All their clients were logged out."))
}
