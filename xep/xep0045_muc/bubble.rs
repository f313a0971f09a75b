//! Bubbles: rooms of a team, as the template has them - they stay, only members enter, everybody sees who is who, what is said is
//! kept. Made by command with all members at once; their size is what the plan of who makes one allows; archived before they are
//! deleted.
//!
//! ```text
//! urn:iris:bubbles#create    name, description, members    a bubble; its members are invited
//! urn:iris:bubbles#archive   jid                           nobody writes any more; all are out and are told how many they were; the
//!                                                          history stays. The answer has their number in `members`
//! urn:iris:bubbles#delete    jid                           nothing is left; only of an archived one
//! urn:iris:bubbles#list                                    mine: member of, administered by me, archived; of all domains of the house
//! ```
//!
//! Everybody who belongs to a bubble that is archived gets a message of it with a text, the code 104 (its configuration has changed) and
//! `<archived xmlns='urn:iris:bubbles' members='3' by='romeo@house'/>`; who is in it reads the number in the reason for which they go as
//! well. Later the bubble says of itself that it is archived (disco#info), and the list how many belong to it.

use std::sync::Arc;

use iris_core::command::{Command, Done, Note, Stage, Who};
use iris_core::entitlements::Plan;
use iris_core::form::{Field, Form, Submitted};
use iris_core::xml::Build;
use iris_core::{BareJid, Bounce, Changed, Condition, Cx, Finish, HostTurn, Jid, Mount, MountError, Reply};

use super::affiliations::Affiliated;
use super::association::Affiliation;
use super::config::RoomConfig;
use super::invite::Words;
use super::room::{ROOM, Room, Stage as RoomStage, bare};
use super::service::{self, Admission, REGISTRY, Registry, Service, Summary};
use super::stanzas::Actor;
use super::{ROOM_STATE, stanzas};

const NS: &str = "urn:iris:bubbles";
const CREATE: &str = "urn:iris:bubbles#create";
const ARCHIVE: &str = "urn:iris:bubbles#archive";
const DELETE: &str = "urn:iris:bubbles#delete";
const LIST: &str = "urn:iris:bubbles#list";
/// Members that one command may bring.
const MEMBERS_PER_COMMAND_MAX: usize = 1_000;
const NAME_BYTES_MAX: usize = 512;

pub fn mount(m: &mut Mount<'_>, service: &Arc<Service>, services: &Arc<[String]>) -> Result<(), MountError> {
    let at = format!("{}.{}", service.settings.service, m.domain());
    let house = Arc::new(House { service: service.clone(), at, services: services.clone() });
    let by = house.clone();
    m.command(Command::form(CREATE, "Make a bubble", Who::User, create_form, move |stage, answers, cx| {
        let house = by.clone();
        async move { create(&house, &stage, &answers, &cx).await }
    }))?;
    let by = house.clone();
    m.command(Command::form(ARCHIVE, "Archive a bubble", Who::User, which_form, move |stage, answers, cx| {
        let house = by.clone();
        async move { archive(&house, &stage, &answers, &cx).await }
    }))?;
    let by = house.clone();
    m.command(Command::form(DELETE, "Delete an archived bubble", Who::User, which_form, move |stage, answers, cx| {
        let house = by.clone();
        async move { delete(&house, &stage, &answers, &cx).await }
    }))?;
    m.command(Command::plain(LIST, "My bubbles", Who::User, move |stage, cx| {
        let house = house.clone();
        async move { list(&house, &stage, &cx).await }
    }))
}

struct House {
    service: Arc<Service>,
    /// The address of the service.
    at: String,
    /// Those of all domains of the house: people of one may belong to bubbles of another.
    services: Arc<[String]>,
}

fn create_form() -> Form {
    Form::new("Make a bubble", "Those you name are invited.")
        .field(Field::text("name", "Name").required())
        .field(Field::text("description", "Description"))
        .field(Field::jids("members", "Members"))
}

fn which_form() -> Form {
    Form::new("Which bubble?", "").field(Field::jid("jid", "Address of the bubble").required())
}

/// What a plan says of bubbles.
pub async fn allowance(creator: &BareJid, cx: &Cx) -> Result<Arc<Plan>, Bounce> {
    let plan = cx.plan(creator.clone()).await?.ok_or_else(|| Bounce::new(Condition::NotAllowed))?;
    if plan.bubbles_create {
        return Ok(plan);
    }
    Err(Bounce::new(Condition::NotAllowed).limit("you cannot make bubbles", Changed::ByPlan(&plan.name)))
}

async fn create(house: &House, stage: &Stage, answers: &Submitted, cx: &Cx) -> Result<Done, Bounce> {
    let owner = stage.caller.to_bare();
    let mut members = answers.bare_jids("members");
    members.retain(|member| *member != owner);
    if members.len() > MEMBERS_PER_COMMAND_MAX {
        let what = format!("one command brings at most {MEMBERS_PER_COMMAND_MAX} members");
        return Err(Bounce::new(Condition::BadRequest).limit(what, Changed::ByNobody("invite the others when it is there")));
    }
    let name = answers.text("name").unwrap_or_default().trim().to_owned();
    if name.is_empty() {
        return Err(Bounce::new(Condition::NotAcceptable).text("name: is empty"));
    }
    if name.len() > NAME_BYTES_MAX {
        let what = format!("name: has at most {NAME_BYTES_MAX} bytes");
        return Err(Bounce::new(Condition::NotAcceptable).limit(what, Changed::ByNobody("choose a shorter one")));
    }
    let plan = allowance(&owner, cx).await?;
    if members.len() + 1 > plan.bubble_members_max as usize {
        return Err(too_many(&plan.name, plan.bubble_members_max as usize));
    }
    let node = cx.host(&house.at, |turn| turn.house.ports.random_id()).await?;
    let address = format!("{node}@{}", house.at);
    Admission::by_command(house.at.clone(), stage.domain.to_string(), &address, &owner, &house.service.settings)
        .ask(cx)
        .await?;
    let description = answers.text("description").unwrap_or_default().chars().take(NAME_BYTES_MAX).collect();
    let (invited, at) = (members.len(), address.clone());
    cx.host(&address, move |turn| {
        turn.with_state(&ROOM_STATE, |turn, room| room.found(turn, &owner, Founding { name, description, members, plan }))
    })
    .await?;
    let form = Form::default().field(Field::jid("jid", "Address of the bubble").value(at));
    let note = match invited {
        0 => "Nobody was invited.".to_owned(),
        1 => "One person was invited.".to_owned(),
        more => format!("{more} people were invited."),
    };
    Ok(Done::empty().note(Note::Info, note).form(&form))
}

/// "Members are removed and notified (count shown)" (feature 35).
fn have_left(members: usize) -> String {
    if members == 1 { "its only member has left".to_owned() } else { format!("its {members} members have left") }
}

pub fn too_many(plan: &str, most: usize) -> Bounce {
    Bounce::over(format!("a bubble has at most {most} members"), Changed::ByPlan(plan))
}

/// The address, if it is one of a room of the house.
fn which(house: &House, answers: &Submitted) -> Result<String, Bounce> {
    let jid = answers.jid("jid").ok_or_else(|| Bounce::new(Condition::JidMalformed))?;
    if !house.services.iter().any(|at| at == jid.domain().as_str()) || jid.node().is_none() {
        return Err(Bounce::new(Condition::ItemNotFound).text("there is no such bubble"));
    }
    Ok(bare(&jid).to_owned())
}

async fn archive(house: &House, stage: &Stage, answers: &Submitted, cx: &Cx) -> Result<Done, Bounce> {
    let (address, caller) = (which(house, answers)?, stage.caller.to_bare());
    let archived = cx.host(&address, move |turn| {
        turn.with_state(&ROOM_STATE, |turn, room| {
            room.may_end(&caller)?;
            if room.config.archived {
                return Err(Bounce::new(Condition::Conflict).text("it is archived already"));
            }
            Ok(room.archive_for_good(turn, &caller))
        })
    });
    let members: usize = archived.await?.unwrap_or_else(|| Err(Bounce::new(Condition::ItemNotFound)))?;
    let told = if members == 1 { "has been told so" } else { "have been told so" };
    let note = format!("The bubble is archived: {} and {told}.", have_left(members));
    let form = Form::default().field(Field::text("members", "Members who have left").value(members.to_string()));
    Ok(Done::empty().note(Note::Info, note).form(&form))
}

async fn delete(house: &House, stage: &Stage, answers: &Submitted, cx: &Cx) -> Result<Done, Bounce> {
    let (address, caller) = (which(house, answers)?, stage.caller.to_bare());
    let deleted = cx.host(&address, move |turn| {
        turn.with_state(&ROOM_STATE, |turn, room| {
            room.may_end(&caller)?;
            room.may_be_deleted()?;
            room.leave_tombstone(turn, &caller, None, None);
            room.end(turn, "<destroy/>");
            Ok(())
        })
    });
    deleted.await?.unwrap_or_else(|| Err(Bounce::new(Condition::ItemNotFound)))?;
    Ok(Done::empty().note(Note::Info, "Nothing of the bubble is left."))
}

async fn list(house: &House, stage: &Stage, cx: &Cx) -> Result<Done, Bounce> {
    let caller = stage.caller.to_bare();
    let columns = [("jid", "Address"), ("name", "Name"), ("affiliation", "I am"), ("state", "State"), ("members", "Members")];
    let mut form = Form::new("My bubbles", "").table(columns.map(|(var, label)| Field::text(var, label)));
    // Those of one's own domain first. Each service knows who belongs to its bubbles, and says nothing of others.
    let others = house.services.iter().filter(|at| **at != house.at);
    for at in [&house.at].into_iter().chain(others) {
        let caller = caller.clone();
        let rows = cx.host(at, move |turn| turn.state(&REGISTRY).map_or_else(Vec::new, |registry| rows(registry, &caller)));
        form = rows.await?.into_iter().fold(form, |form, row| form.row(row));
    }
    Ok(Done::empty().form(&form))
}

fn rows(registry: &Registry, caller: &BareJid) -> Vec<[String; 5]> {
    let bubbles = registry.bubbles_of(caller.as_str());
    let row = |(address, summary, affiliation): (&Arc<str>, &Summary, Affiliation)| {
        let state = if summary.archived { "archived" } else { "active" };
        let members = summary.people.len().to_string();
        [address.to_string(), summary.name.clone(), affiliation.as_str().to_owned(), state.to_owned(), members]
    };
    bubbles.map(row).collect()
}

/// What a new bubble is made of.
pub struct Founding {
    pub name: String,
    pub description: String,
    pub members: Vec<BareJid>,
    pub plan: Arc<Plan>,
}

impl RoomConfig {
    /// The template.
    pub fn make_bubble(&mut self, plan: &Plan) {
        (self.persistent, self.members_only, self.non_anonymous, self.archive) = (true, true, true, true);
        (self.public, self.registration) = (false, false);
        self.bubble = Some((plan.name.to_string(), plan.bubble_members_max as usize));
    }

    /// Whatever else its owners set, that makes a bubble one.
    pub fn is_as_a_bubble(&self) -> bool {
        self.persistent && self.members_only && self.non_anonymous && self.archive
    }
}

impl Room {
    fn found(&mut self, turn: &mut HostTurn<'_>, owner: &BareJid, founding: Founding) {
        *self = Room::absent(self.service.clone());
        self.stage = RoomStage::Open;
        self.config.name = founding.name;
        self.config.description = founding.description;
        self.config.creator = owner.to_string();
        self.config.make_bubble(&founding.plan);
        self.affiliations.set(owner.as_str(), Some(Affiliated::new(Affiliation::Owner)));
        for member in &founding.members {
            self.affiliations.set(member.as_str(), Some(Affiliated::new(Affiliation::Member)));
        }
        self.keep_all(turn);
        let inviter = Jid::from(owner.clone());
        let by = Actor { nick: None, jid: owner.to_string() };
        let became = Some((Affiliation::None, Some(by)));
        let words = Words { reason: Some(self.config.name.clone()).filter(|name| !name.is_empty()), continues: None, became };
        for member in founding.members {
            self.invite(turn, &inviter, member.into(), &words);
        }
        service::tell(turn, self);
    }

    /// What the plans of its owners allow now.
    pub fn look_at_plan(&self, turn: &mut HostTurn<'_>) {
        if self.config.bubble.is_none() {
            return;
        }
        let (house, owner) = (turn.owner, self.affiliations.having(Affiliation::Owner));
        let owners: Vec<BareJid> = owner.filter_map(|(jid, _)| BareJid::new(jid).ok()).collect();
        turn.spawn(move |cx| {
            Box::pin(async move {
                let mut best: Option<Arc<Plan>> = None;
                for owner in owners {
                    let plan = cx.plan(owner).await.ok().flatten();
                    best = best.into_iter().chain(plan).max_by_key(|plan| plan.bubble_members_max);
                }
                let Some(plan) = best else { return Finish::Done };
                Finish::HostTurn(Box::new(move |turn| {
                    turn.with_state(&ROOM_STATE, |turn, room| {
                        let now = Some((plan.name.to_string(), plan.bubble_members_max as usize));
                        if turn.owner == house && room.config.bubble.is_some() && room.config.bubble != now {
                            room.config.bubble = now;
                            turn.put(ROOM, "", room.config.encode());
                        }
                    });
                    Reply::Sent
                }))
            })
        });
    }

    /// The organisers': archiving and deleting.
    fn may_end(&self, who: &BareJid) -> Result<(), Bounce> {
        if self.stage == RoomStage::Absent || self.affiliations.of(who.as_str()) < Affiliation::Member {
            return Err(Bounce::new(Condition::ItemNotFound).text("there is no such bubble"));
        }
        if self.affiliations.of(who.as_str()) != Affiliation::Owner {
            return Err(Bounce::new(Condition::Forbidden).text("only who owns the bubble may do that"));
        }
        if self.config.bubble.is_none() {
            return Err(Bounce::new(Condition::NotAllowed).text("that is a room, and no bubble"));
        }
        Ok(())
    }

    /// Feature 35: "only then delete".
    pub fn may_be_deleted(&self) -> Result<(), Bounce> {
        if self.config.bubble.is_some() && !self.config.archived {
            return Err(Bounce::new(Condition::NotAllowed).text("a bubble is archived before it is deleted"));
        }
        Ok(())
    }

    /// Nobody writes any more; everybody is out, and everybody is told how many they were. That number.
    fn archive_for_good(&mut self, turn: &mut HostTurn<'_>, by: &BareJid) -> usize {
        let called = self.called(turn);
        let members = self.affiliations.iter().filter(|(_, it)| it.affiliation >= Affiliation::Member);
        let members: Vec<Jid> = members.filter_map(|(address, _)| Jid::new(address).ok()).collect();
        let left = have_left(members.len());
        self.config.archived = true;
        turn.put(ROOM, "", self.config.encode());
        let actor = Actor {
            nick: self.occupants.of_person(by.as_str()).next().map(|(_, it)| it.nick.to_string()),
            jid: by.to_string(),
        };
        let reason = format!("The bubble was archived: {left}.");
        for key in self.occupants.keys(|_| true) {
            self.remove(turn, &key, &[307], Some(&actor), Some(&reason));
        }
        let mut xml = Build::new();
        xml.leaf("body", &format!("{} has archived {called}: {left}. What was said can still be read.", by.as_str()));
        xml.raw(stanzas::codes_x(&[104]).as_bytes());
        xml.open_ns("archived", NS).attr("members", &members.len().to_string()).attr("by", by.as_str()).close();
        let inside = stanzas::text(xml);
        for member in &members {
            self.tell_one(turn, member.clone(), &inside);
        }
        service::tell(turn, self);
        members.len()
    }

    /// Somebody has accepted or refused: those who have invited them and are not here to see it.
    pub fn tell_inviters(&self, turn: &mut HostTurn<'_>, inviters: Vec<Jid>, who: &str, what: &str) {
        if self.config.bubble.is_none() {
            return;
        }
        let text = format!("{who} {what} the bubble {}.", self.config.name);
        let inside = format!("<body>{}</body>", iris_core::xml::escape_text(&text));
        for inviter in inviters {
            if self.occupants.of_person(bare(&inviter)).next().is_none() {
                self.tell_one(turn, inviter.to_bare().into(), &inside);
            }
        }
    }
}

/// To whoever wants to come into one.
pub fn is_archived() -> Bounce {
    Bounce::new(Condition::NotAllowed).text("the bubble is archived: what was said can be read, and nobody writes any more")
}
