//! What I uploaded: seen, and removed, with any client that knows ad-hoc commands (XEP-0050), at the domain or at one's own address.
//! A program that wants to do more of it gets a pass for the web side (`/files`).

use std::rc::Rc;

use iris_core::blobs::BlobId;
use iris_core::command::{Command, Done, Next, Note, Stage, Who};
use iris_core::form::{Field, Form};
use iris_core::{BareJid, Bounce, Condition, Cx, Mount, MountError};

use super::file::{File, stamp};
use super::shelf::{self, Listed};
use super::url_of;

const LIST: &str = "urn:iris:files#list";
const REMOVE: &str = "urn:iris:files#remove";
const PASS: &str = "urn:iris:files#pass";

/// Files in one answer, and to choose from; the newest.
const SHOWN_MAX: usize = 500;

pub(super) fn mount(m: &mut Mount<'_>, site: &str) -> Result<(), MountError> {
    let (of_list, of_pass) = (site.to_owned(), site.to_owned());
    m.command(Command::plain(LIST, "Show my files", Who::User, move |stage, cx| show(stage, cx, of_list.clone())))?;
    m.command(Command::new(REMOVE, "Remove files of mine", Who::User, remove))?;
    m.command(Command::plain(PASS, "Manage my files with a program", Who::User, move |stage, cx| {
        pass(stage, cx, of_pass.clone())
    }))
}

async fn listed(caller: BareJid, cx: &Cx) -> Result<Listed, Bounce> {
    cx.account(caller, shelf::list).await?.ok_or_else(|| Bounce::new(Condition::Forbidden))
}

async fn show(stage: Stage, cx: Cx, site: String) -> Result<Done, Bounce> {
    let Listed { plan, quota_bytes, used_bytes, files } = listed(stage.caller.to_bare(), &cx).await?;
    let columns = [
        Field::text("url", "Address"),
        Field::text("name", "Name"),
        Field::text("size", "Bytes"),
        Field::text("type", "Type"),
        Field::text("time", "Since"),
        Field::text("purpose", "Purpose"),
        Field::text("expires", "Until"),
    ];
    let form = Form::new("My files", "")
        .of_type(LIST)
        .field(Field::text("plan", "Plan").value(&*plan))
        .field(Field::text("quota", "Bytes that they may take").value(quota_bytes.to_string()))
        .field(Field::text("used", "Bytes that they take").value(used_bytes.to_string()))
        .field(Field::text("files", "Files").value(files.len().to_string()))
        .table(columns);
    let form = files.iter().take(SHOWN_MAX).fold(form, |form, (id, file)| {
        form.row([
            url_of(&site, *id, &file.name),
            file.name.clone(),
            file.size_bytes.to_string(),
            file.content_type().to_owned(),
            stamp(file.time_us),
            file.purpose.as_str().to_owned(),
            stamp(file.expires_us),
        ])
    });
    let done = Done::empty().form(&form);
    Ok(if files.len() > SHOWN_MAX { done.note(Note::Info, format!("The newest {SHOWN_MAX} are shown.")) } else { done })
}

async fn remove(stage: Stage, cx: Cx) -> Result<Next, Bounce> {
    let caller = stage.caller.to_bare();
    let Some(answers) = &stage.form else {
        let files = listed(caller, &cx).await?.files;
        if files.is_empty() {
            return Ok(Next::Done(Done::empty().note(Note::Info, "You have no files here.")));
        }
        let label = |file: &File| format!("{} ({} bytes, {})", file.name, file.size_bytes, stamp(file.time_us));
        let options = files.iter().take(SHOWN_MAX).map(|(id, file)| (label(file), id.to_string()));
        let several = Field::choices("files", "Files", options.collect()).required();
        let form =
            Form::new("Remove files", "They are gone for everybody who has their address.").of_type(REMOVE).field(several);
        return Ok(Next::Ask { form, state: Rc::new(()), more: false });
    };
    let ids: Vec<BlobId> = answers.values("files").iter().filter_map(|id| BlobId::parse(id)).collect();
    let removed = cx.account(caller, move |turn| ids.into_iter().filter(|id| shelf::remove(turn, *id)).count());
    let removed = removed.await?.ok_or_else(|| Bounce::new(Condition::Forbidden))?;
    Ok(Next::Done(Done::empty().note(Note::Info, format!("Removed {removed}."))))
}

async fn pass(stage: Stage, cx: Cx, site: String) -> Result<Done, Bounce> {
    let made = cx.account(stage.caller.to_bare(), |turn| {
        let guest = turn.account.is_guest() || turn.account.login_mark() == 0;
        (!guest).then(|| shelf::pass(turn))
    });
    let (token, until_us) = made.await?.flatten().ok_or_else(|| Bounce::new(Condition::Forbidden))?;
    let form = Form::new("Pass", "Whoever has it can see and remove your files until then.")
        .of_type(PASS)
        .field(Field::text("url", "Address").value(format!("{site}/files")))
        .field(Field::text("token", "Authorization: Bearer").value(token))
        .field(Field::text("expires", "Until").value(stamp(until_us)));
    Ok(Done::empty().form(&form))
}
