//! What administrators of the domain may do with rooms that are not theirs: somebody who owned one has left, or it is abused. Commands of
//! the domain, since it knows who administers it (XEP-0133 4.29), and listed to nobody else.
//!
//! ```text
//! urn:iris:rooms#list      search                 all rooms of the domain, hidden ones too, of which name, address or maker have that in them
//! urn:iris:rooms#own       jid, owner, reason     an account of the house becomes an owner; the administrator, if nobody is named
//! urn:iris:rooms#destroy   jid, reason            nothing is left; of a bubble only when it is archived (`own` it, and archive it)
//! ```
//! Nothing of it is done in silence: whoever owns the room gets a message of the room that says who has done what, those who are there see
//! it as any change, and the log of the server has a line.

use std::sync::Arc;

use iris_core::ask::AskAnswer;
use iris_core::command::{Command, Done, Note, Stage, Who};
use iris_core::form::{Field, Form, Submitted};
use iris_core::xml::Build;
use iris_core::{Ask, BareJid, Bounce, Changed, Condition, Cx, HostTurn, Jid, Mount, MountError};

use super::ROOM_STATE;
use super::affiliations::Affiliated;
use super::association::Affiliation;
use super::room::{Room, Stage as RoomStage, bare};
use super::service::{REGISTRY, Registry};
use super::stanzas::{self, Actor};

const LIST: &str = "urn:iris:rooms#list";
const OWN: &str = "urn:iris:rooms#own";
const DESTROY: &str = "urn:iris:rooms#destroy";
/// Of one answer.
const ROWS_MAX: usize = 500;
const REASON_BYTES_MAX: usize = 1_024;

pub fn mount(m: &mut Mount<'_>, label: &str) -> Result<(), MountError> {
    let at: Arc<str> = format!("{label}.{}", m.domain()).into();
    let service = at.clone();
    m.command(Command::form(LIST, "Rooms of the domain", Who::Admin, list_form, move |_, answers, cx| {
        let service = service.clone();
        async move { list(&service, &answers, &cx).await }
    }))?;
    let service = at.clone();
    m.command(Command::form(OWN, "Give a room another owner", Who::Admin, own_form, move |stage, answers, cx| {
        let service = service.clone();
        async move { own(&service, &stage, &answers, &cx).await }
    }))?;
    m.command(Command::form(DESTROY, "Destroy a room", Who::Admin, destroy_form, move |stage, answers, cx| {
        let service = at.clone();
        async move { destroy(&service, &stage, &answers, &cx).await }
    }))
}

fn list_form() -> Form {
    Form::new("Rooms of the domain", &format!("At most {ROWS_MAX} are shown."))
        .field(Field::text("search", "Part of the name, the address, or the address of who has made it"))
}

fn own_form() -> Form {
    Form::new("Give a room another owner", "Those who own it are told, and stay what they are.")
        .field(Field::jid("jid", "Address of the room").required())
        .field(Field::jid("owner", "Who will own it (you, if this is empty)"))
        .field(Field::text("reason", "Reason"))
}

fn destroy_form() -> Form {
    Form::new("Destroy a room", "Those who own it are told. Nothing of what was said in it is left.")
        .field(Field::jid("jid", "Address of the room").required())
        .field(Field::text("reason", "Reason"))
}

async fn list(service: &str, answers: &Submitted, cx: &Cx) -> Result<Done, Bounce> {
    let search = answers.text("search").unwrap_or_default().trim().to_lowercase();
    let found = cx.host(service, move |turn| turn.state(&REGISTRY).map_or_else(Default::default, |it| found(it, &search)));
    let (rows, more) = found.await?;
    let columns =
        [("jid", "Address"), ("name", "Name"), ("kind", "Kind"), ("creator", "Made by"), ("occupants", "People in it")];
    let table = Form::new("Rooms of the domain", "").table(columns.map(|(var, label)| Field::text(var, label)));
    let table = rows.into_iter().fold(table, |table, row| table.row(row));
    let done = Done::empty().form(&table);
    if more == 0 {
        Ok(done)
    } else {
        Ok(done.note(Note::Warn, format!("{more} more are not shown: search for a part of them.")))
    }
}

/// The first of them, and how many more there are.
fn found(registry: &Registry, search: &str) -> (Vec<[String; 5]>, usize) {
    let mut rows = Vec::new();
    let mut more = 0;
    for (address, room) in registry.rooms() {
        let has = |text: &str| text.to_lowercase().contains(search);
        if !(has(address) || has(&room.name) || has(&room.creator)) {
            continue;
        }
        if rows.len() >= ROWS_MAX {
            more += 1;
            continue;
        }
        let kind = match (room.bubble, room.archived, room.persistent) {
            (true, true, _) => "archived bubble",
            (true, false, _) => "bubble",
            (false, _, true) => "room",
            (false, _, false) => "temporary room",
        };
        rows.push([address.to_string(), room.name.clone(), kind.into(), room.creator.clone(), room.occupants.to_string()]);
    }
    (rows, more)
}

/// Which room, and why.
fn which(service: &str, answers: &Submitted) -> Result<(String, Option<String>), Bounce> {
    let jid = answers.jid("jid").ok_or_else(|| Bounce::new(Condition::JidMalformed))?;
    if jid.domain().as_str() != service || jid.node().is_none() {
        return Err(Bounce::new(Condition::ItemNotFound).text("there is no such room of this domain"));
    }
    let reason = answers.text("reason").map(str::trim).filter(|reason| !reason.is_empty()).map(str::to_owned);
    if reason.as_ref().is_some_and(|reason| reason.len() > REASON_BYTES_MAX) {
        let what = format!("a reason has at most {REASON_BYTES_MAX} bytes");
        return Err(Bounce::new(Condition::NotAcceptable).limit(what, Changed::ByNobody("say less")));
    }
    Ok((bare(&jid).to_owned(), reason))
}

async fn own(service: &str, stage: &Stage, answers: &Submitted, cx: &Cx) -> Result<Done, Bounce> {
    let (address, reason) = which(service, answers)?;
    let by = stage.caller.to_bare();
    let owner = answers.jid("owner").map_or_else(|| by.clone(), |jid| jid.to_bare());
    match cx.ask(owner.clone(), Ask::Account).await {
        AskAnswer::Account(_) => {}
        AskAnswer::Failed(why) => return Err(Bounce::new(Condition::InternalServerError).text(why)),
        _ => return Err(Bounce::new(Condition::ItemNotFound).text(format!("there is no account {owner} here"))),
    }
    let note = format!("{owner} owns the room now.");
    let done =
        cx.host(&address, move |turn| turn.with_state(&ROOM_STATE, |turn, room| room.be_owned_by(turn, &owner, &by, reason)));
    done.await?.unwrap_or_else(|| Err(no_room()))?;
    Ok(Done::empty().note(Note::Info, note))
}

async fn destroy(service: &str, stage: &Stage, answers: &Submitted, cx: &Cx) -> Result<Done, Bounce> {
    let (address, reason) = which(service, answers)?;
    let by = stage.caller.to_bare();
    let done = cx
        .host(&address, move |turn| turn.with_state(&ROOM_STATE, |turn, room| room.be_destroyed(turn, &by, reason.as_deref())));
    done.await?.unwrap_or_else(|| Err(no_room()))?;
    Ok(Done::empty().note(Note::Info, "Nothing of the room is left."))
}

fn no_room() -> Bounce {
    Bounce::new(Condition::ItemNotFound).text("there is no such room")
}

impl Room {
    fn be_owned_by(
        &mut self,
        turn: &mut HostTurn<'_>,
        owner: &BareJid,
        by: &BareJid,
        reason: Option<String>,
    ) -> Result<(), Bounce> {
        if self.stage != RoomStage::Open {
            return Err(no_room());
        }
        let was = self.affiliations.at(owner.as_str()).cloned();
        if was.as_ref().is_some_and(|it| it.affiliation == Affiliation::Owner) {
            return Err(Bounce::new(Condition::Conflict).text(format!("{owner} owns it already")));
        }
        self.tell_owners(turn, by, &format!("made {owner} an owner of"), reason.as_deref());
        tracing::warn!(
            room = turn.jid.as_str(),
            by = by.as_str(),
            owner = owner.as_str(),
            "an administrator of the domain has given a room another owner"
        );
        let was = was.unwrap_or_else(|| Affiliated::new(Affiliation::None));
        let owns = Affiliated { affiliation: Affiliation::Owner, reason, registered: false, ..was };
        self.affiliate(turn, owner.as_str(), owns, Some(&Actor { nick: None, jid: by.to_string() }));
        self.look_at_plan(turn);
        Ok(())
    }

    fn be_destroyed(&mut self, turn: &mut HostTurn<'_>, by: &BareJid, reason: Option<&str>) -> Result<(), Bounce> {
        if self.stage == RoomStage::Absent {
            return Err(no_room());
        }
        self.may_be_deleted()?;
        self.tell_owners(turn, by, "destroyed", reason);
        tracing::warn!(room = turn.jid.as_str(), by = by.as_str(), "an administrator of the domain has destroyed a room");
        let mut xml = Build::new();
        xml.open("destroy");
        if let Some(reason) = reason {
            xml.leaf("reason", reason);
        }
        xml.close();
        self.leave_tombstone(turn, by, None, reason);
        self.end(turn, &stanzas::text(xml));
        Ok(())
    }

    fn tell_owners(&self, turn: &mut HostTurn<'_>, by: &BareJid, what: &str, reason: Option<&str>) {
        let (room, domain) = (self.called(turn), turn.doors.home());
        let text = format!("{by}, who administers {domain}, has {what} {room}.");
        let text = reason.map_or_else(|| text.clone(), |reason| format!("{text} Reason: {reason}"));
        let mut xml = Build::new();
        xml.leaf("body", &text);
        let inside = stanzas::text(xml);
        for (owner, _) in self.affiliations.having(Affiliation::Owner).filter(|(owner, _)| ***owner != *by.as_str()) {
            if let Ok(to) = Jid::new(owner) {
                self.tell_one(turn, to, &inside);
            }
        }
    }
}
