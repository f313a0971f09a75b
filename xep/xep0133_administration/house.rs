//! 4.29 to 4.31: who administrates, and the end of the house or a new beginning.

use std::collections::BTreeSet;
use std::time::Duration;

use iris_core::command::{ADMINS, APPOINTED, Command, Done, Next, Stage, Who};
use iris_core::form::{Field, Form, Submitted};
use iris_core::ports::Stop;
use iris_core::{BareJid, Bounce, Changed, Condition, Cx, Jid, Mount, MountError};

use super::notices::begin_announcement;
use super::{account_of, form, node};

/// Whom administrators may appoint.
const APPOINTED_MAX: usize = 100;

/// The answer to the order leaves before the streams end.
const ANSWER_TIME: Duration = Duration::from_millis(500);

pub(super) fn mount(m: &mut Mount<'_>) -> Result<(), MountError> {
    m.command(Command::new(node!("edit-admin"), "Edit the administrators", Who::Admin, edit_admins))?;
    m.command(Command::form(
        node!("restart"),
        "Restart the server",
        Who::Admin,
        || stop_form("Restarting the Service", "Fill out this form to restart the service.", "Time delay before restarting"),
        |stage, answers, cx| stop(stage, answers, cx, Stop::Restart),
    ))?;
    m.command(Command::form(
        node!("shutdown"),
        "Shut the server down",
        Who::Admin,
        || {
            let title = "Shutting Down the Service";
            stop_form(title, "Fill out this form to shut down the service.", "Time delay before shutting down")
        },
        |stage, answers, cx| stop(stage, answers, cx, Stop::ShutDown),
    ))
}

async fn edit_admins(stage: Stage, cx: Cx) -> Result<Next, Bounce> {
    let Some(answers) = stage.form else {
        let now = cx.host(&stage.domain, |turn| {
            let appointed = turn.state(&APPOINTED).cloned().unwrap_or_default();
            let all: BTreeSet<String> = turn.doors.admins.iter().chain(&appointed).map(ToString::to_string).collect();
            all
        });
        let field = Field::jids("adminjids", "The admin list").values(now.await?);
        let instructions = "Fill out this form to edit the list of entities who have administrative privileges.";
        return Ok(Next::ask(form("Editing the Admin List", instructions).field(field)));
    };
    if !answers.has("adminjids") {
        return Err(Bounce::bad_request("adminjids: is required"));
    }
    let jids = answers.jids("adminjids");
    let wanted: BTreeSet<BareJid> = jids.iter().map(|jid| account_of(jid, &stage.domain)).collect::<Result<_, _>>()?;
    cx.host(&stage.domain, move |turn| {
        if let Some(kept) = turn.doors.admins.iter().find(|admin| !wanted.contains(*admin)) {
            let why = format!("{kept} is an administrator by the server's configuration");
            return Err(Bounce::new(Condition::NotAllowed).text(why));
        }
        let configured = &turn.doors.admins;
        let appointed: BTreeSet<BareJid> = wanted.into_iter().filter(|jid| !configured.contains(jid)).collect();
        if appointed.len() > APPOINTED_MAX {
            let what = format!("adminjids: at most {APPOINTED_MAX} beside those of the configuration");
            let help = Changed::ByNobody("further ones are named in the configuration");
            return Err(Bounce::new(Condition::BadRequest).limit(what, help));
        }
        let Some(state) = turn.state(&APPOINTED) else { return Ok(()) };
        let before = std::mem::replace(state, appointed.clone());
        before.difference(&appointed).for_each(|gone| turn.delete(ADMINS, gone.as_str()));
        appointed.difference(&before).for_each(|new| turn.put(ADMINS, new.as_str(), ""));
        Ok(())
    })
    .await??;
    Ok(Next::Done(Done::empty()))
}

fn stop_form(title: &str, instructions: &str, label: &str) -> Form {
    let seconds = ["0", "30", "60", "90", "120", "180", "240", "300"];
    let options = seconds.map(|seconds| (format!("{seconds} seconds"), seconds));
    form(title, instructions)
        .field(Field::choice("delay", label, options).value("30"))
        .field(Field::lines("announcement", "Announcement"))
}

async fn stop(stage: Stage, answers: Submitted, cx: Cx, what: Stop) -> Result<Done, Bounce> {
    let delay = answers.text("delay").and_then(|seconds| seconds.parse().ok()).unwrap_or(30);
    let text = answers.lines("announcement");
    let caller: Jid = stage.caller.clone();
    cx.host(&stage.domain, move |turn| {
        // The house may have other domains: whoever was appointed for one does not close the others.
        if !turn.doors.is_configured_admin(&caller.to_bare()) {
            let why = "only administrators of the server's configuration may";
            return Err(Bounce::new(Condition::Forbidden).text(why));
        }
        (turn.house.ports.stop)(what, Duration::from_secs(delay).max(ANSWER_TIME))
            .map_err(|why| Bounce::new(Condition::NotAllowed).text(why))?;
        if !text.is_empty() {
            begin_announcement(turn, text);
        }
        Ok(())
    })
    .await??;
    Ok(Done::empty())
}
