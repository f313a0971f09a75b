//! 4.13 to 4.22: how many accounts there are, how many are disabled, online, active and idle; and which.

use std::sync::Arc;

use iris_core::command::{Command, Done, Next, Note, Stage, Who};
use iris_core::form::{Field, Form, Submitted};
use iris_core::login::{self, Login};
use iris_core::store::{Read, Rows};
use iris_core::{Bounce, Condition, Cx, Mount, MountError};

use super::{form, node, told};

/// A list is not longer, whatever is asked for.
const ITEMS_MAX: usize = 5_000;
/// Accounts read at once.
const PAGE: u32 = 1_000;

/// Whom to count.
#[derive(Clone, Copy)]
enum Of {
    Registered,
    Disabled,
    Online,
    /// Online, and somebody sits there.
    Active,
    Idle,
}

pub(super) fn mount(m: &mut Mount<'_>) -> Result<(), MountError> {
    let numbers = [
        (
            node!("get-registered-users-num"),
            "Count users",
            Of::Registered,
            "registeredusersnum",
            "The number of registered users",
        ),
        (
            node!("get-disabled-users-num"),
            "Count disabled users",
            Of::Disabled,
            "disabledusersnum",
            "The number of disabled users",
        ),
        (node!("get-online-users-num"), "Count users online", Of::Online, "onlineusersnum", "The number of online users"),
        (node!("get-active-users-num"), "Count active users", Of::Active, "activeusersnum", "The number of active users"),
        (node!("get-idle-users-num"), "Count idle users", Of::Idle, "idleusersnum", "The number of idle users"),
    ];
    for (node, name, of, var, label) in numbers {
        m.command(Command::plain(node, name, Who::Admin, move |stage: Stage, cx| async move {
            let (_, number) = find(&cx, &stage.domain, of, 0).await?;
            Ok(Done::empty().form(&told().field(Field::text(var, label).value(number.to_string()))))
        }))?;
    }
    // The idle ones come in the field that the text's example has.
    let lists = [
        (node!("get-registered-users-list"), "List users", Of::Registered, "registereduserjids", "The list of all users"),
        (
            node!("get-disabled-users-list"),
            "List disabled users",
            Of::Disabled,
            "disableduserjids",
            "The list of all disabled users",
        ),
        (node!("get-online-users-list"), "List users online", Of::Online, "onlineuserjids", "The list of all online users"),
        (node!("get-active-users"), "List active users", Of::Active, "activeuserjids", "The list of active users"),
        (node!("get-idle-users"), "List idle users", Of::Idle, "activeuserjids", "The list of idle users"),
    ];
    for (node, name, of, var, label) in lists {
        m.command(Command::new(node, name, Who::Admin, move |stage: Stage, cx| async move {
            match stage.form {
                None => Ok(Next::ask(list_form(name))),
                Some(answers) => list(&cx, &stage.domain, of, &answers, var, label).await.map(Next::Done),
            }
        }))?;
    }
    Ok(())
}

fn list_form(title: &str) -> Form {
    let options = ["25", "50", "75", "100", "150", "200", "none"].map(|option| (option, option));
    form(title, "Fill out this form to request the users of this service.")
        .field(Field::choice("max_items", "Maximum number of items to show", options).value("none"))
}

async fn list(cx: &Cx, domain: &Arc<str>, of: Of, answers: &Submitted, var: &str, label: &str) -> Result<Done, Bounce> {
    let wanted = answers.text("max_items").and_then(|number| number.parse().ok()).unwrap_or(ITEMS_MAX);
    let (found, number) = find(cx, domain, of, wanted).await?;
    let done = match number - found.len() {
        0 => Done::empty(),
        left => Done::empty().note(Note::Warn, format!("{left} more are not shown")),
    };
    Ok(done.form(&told().field(Field::jids(var, label).values(found))))
}

/// The first `max` of them, sorted, and how many there are.
async fn find(cx: &Cx, domain: &Arc<str>, of: Of, max: usize) -> Result<(Vec<String>, usize), Bounce> {
    let (mut found, mut number) = (Vec::new(), 0);
    let mut take = |jid: &str| {
        if found.len() < max {
            found.push(jid.to_owned());
        }
        number += 1;
    };
    match of {
        Of::Registered | Of::Disabled => {
            let mut after = None;
            loop {
                let suffix = Arc::from(format!("@{domain}"));
                let read = Read::Owners { suffix, after, max: PAGE, shelf: login::SHELF };
                let Rows::Owners(page) = cx.read(read).await? else {
                    return Err(Bounce::new(Condition::InternalServerError));
                };
                let logins = page.iter().filter_map(|owned| Some((&owned.name, Login::decode(owned.value.as_ref()?)?)));
                let meant = logins.filter(|(_, login)| matches!(of, Of::Registered) || !login.enabled);
                meant.for_each(|(name, _)| take(name));
                if page.len() < PAGE as usize {
                    break;
                }
                after = page.last().map(|owned| owned.name.clone());
            }
        }
        Of::Online | Of::Active | Of::Idle => {
            let mut present = cx.present(domain).await;
            present.retain(|it| match of {
                Of::Active => it.active,
                Of::Idle => !it.active,
                _ => true,
            });
            present.sort_unstable_by(|a, b| a.jid.cmp(&b.jid));
            present.iter().for_each(|it| take(it.jid.as_str()));
        }
    }
    Ok((found, number))
}
