//! 4.23 to 4.28: announcements to whoever is online, the message of the day for everybody once, the welcome for new users.
//!
//! Also by messages of an administrator to `DOMAIN/announce/online`, `DOMAIN/announce/motd`, `DOMAIN/announce/motd/update` and
//! `DOMAIN/announce/motd/delete`, which no XEP has and many clients do.

use std::sync::Arc;

use iris_core::command::{Command, Done, Next, Stage, Who};
use iris_core::form::{Field, Form, Submitted};
use iris_core::store::{Item, Shelf};
use iris_core::task::Finish;
use iris_core::xml::Build;
use iris_core::{
    Bounce, Changed, Condition, Cx, Event, Fact, HostTurn, Jid, Mount, MountError, SessionRef, Stanza, StanzaType, StateSlot,
    Turn, ns,
};

use super::{form, node};

/// At the domain. Keys: `motd` and `welcome`; value: id, a line feed, the text.
const NOTICES_SHELF: Shelf = Shelf::map("notices");
/// At each account. Keys: the same; value: the id of what was shown.
const SHOWN_SHELF: Shelf = Shelf::map("notices-shown");

const TEXT_SIZE_BYTES_MAX: usize = 16 * 1024;
/// Sent or asked at once, before others get their turn.
const BATCH: usize = 200;

/// `id` is the moment it was set, on the house clock.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Notice {
    id: u64,
    text: String,
}

#[derive(Clone, Debug, Default)]
struct Notices {
    motd: Option<Notice>,
    welcome: Option<Notice>,
}

/// The ids of what an account was shown last.
#[derive(Default)]
struct Shown {
    motd: u64,
    welcome: u64,
}

static NOTICES: StateSlot<Notices> = StateSlot::new();
static PUBLISHED: Fact<Arc<Notices>> = Fact::new();
static SHOWN: StateSlot<Shown> = StateSlot::new();

pub(super) fn mount(m: &mut Mount<'_>) -> Result<(), MountError> {
    m.shelf(NOTICES_SHELF)?;
    m.shelf(SHOWN_SHELF)?;
    m.host_state(&NOTICES, &[NOTICES_SHELF], |items| Notices {
        motd: decode(items, "motd"),
        welcome: decode(items, "welcome"),
    })?;
    m.state(&SHOWN, &[SHOWN_SHELF], |items| Shown { motd: shown(items, "motd"), welcome: shown(items, "welcome") })?;
    m.on_host_woken(publish);
    m.on_event(Event::SessionAvailable, greet);
    m.host_message(by_message);
    m.command(Command::form(node!("announce"), "Announce", Who::Admin, announce_form, announce))?;
    m.command(Command::form(node!("set-motd"), "Set the message of the day", Who::Admin, motd_form, set_motd))?;
    m.command(Command::new(node!("edit-motd"), "Edit the message of the day", Who::Admin, edit_motd))?;
    m.command(Command::plain(
        node!("delete-motd"),
        "Delete the message of the day",
        Who::Admin,
        |stage: Stage, cx| async move { change(&cx, &stage, |notices| notices.motd.take().is_some(), "motd").await },
    ))?;
    m.command(Command::new(node!("set-welcome"), "Set the welcome message", Who::Admin, set_welcome))?;
    m.command(Command::plain(
        node!("delete-welcome"),
        "Delete the welcome message",
        Who::Admin,
        |stage: Stage, cx| async move { change(&cx, &stage, |notices| notices.welcome.take().is_some(), "welcome").await },
    ))
}

fn decode(items: &[Item], key: &str) -> Option<Notice> {
    let item = items.iter().find(|item| &*item.key == key)?;
    let (id, text) = std::str::from_utf8(&item.value).ok()?.split_once('\n')?;
    Some(Notice { id: id.parse().ok()?, text: text.to_owned() })
}

fn shown(items: &[Item], key: &str) -> u64 {
    let item = items.iter().find(|item| &*item.key == key);
    item.and_then(|item| std::str::from_utf8(&item.value).ok()?.parse().ok()).unwrap_or(0)
}

fn publish(turn: &mut HostTurn<'_>) {
    if let Some(notices) = turn.state(&NOTICES) {
        let notices = Arc::new(notices.clone());
        turn.publish(&PUBLISHED, notices);
    }
}

/// Remember, keep and publish one of the two.
fn set(turn: &mut HostTurn<'_>, key: &'static str, notice: Option<Notice>) {
    match &notice {
        Some(Notice { id, text }) => turn.put(NOTICES_SHELF, key, format!("{id}\n{text}")),
        None => turn.delete(NOTICES_SHELF, key),
    }
    if let Some(notices) = turn.state(&NOTICES) {
        let place = if key == "motd" { &mut notices.motd } else { &mut notices.welcome };
        *place = notice;
    }
    publish(turn);
}

/// The two texts that people delete.
async fn change(cx: &Cx, stage: &Stage, take: fn(&mut Notices) -> bool, key: &'static str) -> Result<Done, Bounce> {
    let found = cx
        .host(&stage.domain, move |turn| {
            let found = turn.state(&NOTICES).is_some_and(take);
            if found {
                set(turn, key, None);
            }
            found
        })
        .await?;
    match found {
        true => Ok(Done::empty()),
        false => Err(Bounce::new(Condition::ItemNotFound).text("there is none")),
    }
}

fn text_of(answers: &Submitted, var: &str) -> Result<String, Bounce> {
    let text = answers.lines(var);
    match text.len() {
        1..=TEXT_SIZE_BYTES_MAX => Ok(text),
        0 => Err(Bounce::bad_request(&format!("{var}: is required"))),
        _ => Err(too_long(var)),
    }
}

fn too_long(what: &str) -> Bounce {
    let help = Changed::ByNobody("tell it in fewer words, and where to read the rest");
    Bounce::new(Condition::BadRequest).limit(format!("{what}: at most {TEXT_SIZE_BYTES_MAX} bytes"), help)
}

/// A message of the domain, without addresses.
fn message(from: Option<&str>, kind: Option<&str>, subject: &str, text: &str, id: u64) -> String {
    let mut xml = Build::new();
    xml.open("message").attr_opt("from", from).attr_opt("type", kind).attr("id", &format!("notice-{id:x}"));
    xml.leaf("subject", subject).leaf("body", text).close();
    String::from_utf8_lossy(&xml.finish()).into_owned()
}

// --- announcements ---------------------------------------------------------------------------------------------------------

fn announce_form() -> Form {
    form("Making an Announcement", "Fill out this form to make an announcement to all active users of this service.")
        .field(Field::lines("announcement", "Announcement").required())
}

async fn announce(stage: Stage, answers: Submitted, cx: Cx) -> Result<Done, Bounce> {
    let text = text_of(&answers, "announcement")?;
    cx.host(&stage.domain, move |turn| begin_announcement(turn, text)).await?;
    Ok(Done::empty())
}

/// A headline: whoever is there gets it on all devices, and it is kept for nobody.
pub(super) fn begin_announcement(turn: &mut HostTurn<'_>, text: String) {
    let domain = turn.host().to_owned();
    let xml = message(None, Some("headline"), "Announcement", &text, turn.mint().0);
    let Ok(stanza) = Stanza::parse(xml.as_bytes(), &turn.house.names).map(Arc::new) else { return };
    turn.spawn(move |cx| {
        Box::pin(async move {
            let present = cx.present(&domain).await;
            for batch in present.chunks(BATCH) {
                let to: Vec<Jid> = batch.iter().map(|it| Jid::from(it.jid.clone())).collect();
                let stanza = stanza.clone();
                let sent =
                    cx.host(&domain, move |turn| to.into_iter().for_each(|to| turn.send_stanza(to, stanza.clone()))).await;
                if sent.is_err() {
                    break;
                }
            }
            Finish::Done
        })
    });
}

// --- the message of the day ------------------------------------------------------------------------------------------------

fn motd_form() -> Form {
    form("Setting the Message of the Day", "Fill out this form to set the message of the day.")
        .field(Field::lines("motd", "Message of the Day").required())
}

async fn set_motd(stage: Stage, answers: Submitted, cx: Cx) -> Result<Done, Bounce> {
    let text = text_of(&answers, "motd")?;
    cx.host(&stage.domain, move |turn| begin_motd(turn, text)).await?;
    Ok(Done::empty())
}

/// "The announcement is sent immediately to users who are online when the message is set, or after the next session initiation
/// for other users" (4.24).
fn begin_motd(turn: &mut HostTurn<'_>, text: String) {
    let notice = Notice { id: turn.mint().0, text };
    set(turn, "motd", Some(notice.clone()));
    let domain = turn.host().to_owned();
    turn.spawn(move |cx| {
        Box::pin(async move {
            let present = cx.present(&domain).await;
            for batch in present.chunks(BATCH) {
                let show = |jid: &iris_core::BareJid| {
                    let notice = notice.clone();
                    cx.account(jid.clone(), move |turn| show_motd(turn, &notice, None))
                };
                let asked: Vec<_> = batch.iter().map(|it| show(&it.jid)).collect();
                for answer in asked {
                    // Whoever could not be told now is told at the next login.
                    let _ = answer.await;
                }
            }
            Finish::Done
        })
    });
}

/// Once to each account: to one session, or to all that take messages.
fn show_motd(turn: &mut Turn<'_>, motd: &Notice, session: Option<SessionRef>) {
    let listens = |card: &&iris_core::SessionCard| card.available.as_ref().is_some_and(|it| it.priority >= 0);
    let sessions: Vec<SessionRef> = match session {
        Some(session) => vec![session],
        None => turn.cards().filter(listens).map(|card| card.this).collect(),
    };
    let Some(shown) = turn.state(&SHOWN) else { return };
    if sessions.is_empty() || shown.motd >= motd.id {
        return;
    }
    shown.motd = motd.id;
    turn.put(SHOWN_SHELF, "motd", motd.id.to_string());
    let xml = message(Some(turn.host()), Some("headline"), "Message of the day", &motd.text, motd.id);
    sessions.into_iter().for_each(|session| turn.push(session, xml.clone()));
}

async fn edit_motd(stage: Stage, cx: Cx) -> Result<Next, Bounce> {
    let none = || Bounce::new(Condition::ItemNotFound).text("there is no message of the day");
    let Some(answers) = stage.form else {
        let motd = cx.host(&stage.domain, |turn| turn.state(&NOTICES).and_then(|notices| notices.motd.clone())).await?;
        let motd = motd.ok_or_else(none)?;
        let field = Field::lines("motd", "Message of the Day").required().lines_of(&motd.text);
        let instructions = "Fill out this form to edit the message of the day.";
        return Ok(Next::ask(form("Editing the Message of the Day", instructions).field(field)));
    };
    let text = text_of(&answers, "motd")?;
    let edited = cx.host(&stage.domain, move |turn| update_motd(turn, text)).await?;
    if edited { Ok(Next::Done(Done::empty())) } else { Err(none()) }
}

/// Corrected for those who have not seen it; whoever has is not told again.
fn update_motd(turn: &mut HostTurn<'_>, text: String) -> bool {
    let Some(id) = turn.state(&NOTICES).and_then(|notices| notices.motd.as_ref()).map(|motd| motd.id) else { return false };
    set(turn, "motd", Some(Notice { id, text }));
    true
}

// --- the welcome -----------------------------------------------------------------------------------------------------------

async fn set_welcome(stage: Stage, cx: Cx) -> Result<Next, Bounce> {
    let Some(answers) = stage.form else {
        let now = cx.host(&stage.domain, |turn| turn.state(&NOTICES).and_then(|notices| notices.welcome.clone())).await?;
        let text = now.map(|notice| notice.text).unwrap_or_default();
        let field = Field::lines("welcome", "Welcome Message").required().lines_of(&text);
        let instructions = "Fill out this form to set the welcome message for this service.";
        return Ok(Next::ask(form("Setting Welcome Message", instructions).field(field)));
    };
    let text = text_of(&answers, "welcome")?;
    cx.host(&stage.domain, move |turn| {
        // A text that is corrected is no new beginning: whoever registered since the first one has their welcome.
        let id = turn.state(&NOTICES).and_then(|notices| notices.welcome.as_ref()).map(|notice| notice.id);
        let id = id.unwrap_or_else(|| turn.mint().0);
        set(turn, "welcome", Some(Notice { id, text }));
    })
    .await?;
    Ok(Next::Done(Done::empty()))
}

/// A session takes messages from now on.
fn greet(turn: &mut Turn<'_>) {
    let Some(notices) = turn.fact(&PUBLISHED) else { return };
    if notices.motd.is_none() && notices.welcome.is_none() {
        return;
    }
    let notices = notices.clone();
    let Some(session) = turn.session else { return };
    if let Some(welcome) = &notices.welcome {
        // An account's owner id is the moment it was made, on the same clock: new is who came after the welcome was set.
        let is_new = turn.account.owner().0 > welcome.id;
        let Some(shown) = turn.state(&SHOWN) else { return };
        if is_new && shown.welcome == 0 {
            shown.welcome = welcome.id;
            turn.put(SHOWN_SHELF, "welcome", welcome.id.to_string());
            let xml = message(Some(turn.host()), None, "Welcome", &welcome.text, welcome.id);
            turn.push(session, xml);
        }
    }
    if let Some(motd) = &notices.motd {
        show_motd(turn, motd, Some(session));
    }
}

// --- by message ------------------------------------------------------------------------------------------------------------

fn by_message(turn: &mut HostTurn<'_>, stanza: &Stanza) -> Option<Result<(), Bounce>> {
    let what = turn.to.resource()?.as_str().strip_prefix("announce/")?.to_owned();
    if stanza.stype() == StanzaType::Error {
        return Some(Ok(()));
    }
    if !turn.may(Who::Admin) {
        return Some(Err(Bounce::new(Condition::Forbidden)));
    }
    let body = stanza.child_named(ns::CLIENT, "body").map(|child| stanza.child_el(child).text().into_owned());
    let body = body.unwrap_or_default();
    if body.len() > TEXT_SIZE_BYTES_MAX {
        return Some(Err(too_long("the body")));
    }
    if body.is_empty() && what != "motd/delete" {
        return Some(Err(Bounce::bad_request("a body is needed")));
    }
    let none = || Err(Bounce::new(Condition::ItemNotFound).text("there is no message of the day"));
    Some(match what.as_str() {
        "online" => {
            begin_announcement(turn, body);
            Ok(())
        }
        "motd" => {
            begin_motd(turn, body);
            Ok(())
        }
        "motd/update" => {
            if update_motd(turn, body) {
                Ok(())
            } else {
                none()
            }
        }
        "motd/delete" => match turn.state(&NOTICES).is_some_and(|notices| notices.motd.is_some()) {
            true => {
                set(turn, "motd", None);
                Ok(())
            }
            false => none(),
        },
        _ => Err(Bounce::new(Condition::ItemNotFound)),
    })
}
