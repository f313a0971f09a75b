//! XEP-0055: Jabber Search - finding people of one's own domain by what stands on their cards.
//! Spec 1.3, https://xmpp.org/extensions/xep-0055.html. Not done: nothing. Whether there is a directory at all is the operator's
//! choice (`[xep.search]`), whether to stand in it is everybody's own (a command at one's own address). Nobody stands in it whose
//! card is not for everybody (XEP-0292's node, `[xep.vcard]`): it would show what whoever searches may not read.
//!
//! The directory is a small map of the domain, kept in step with the cards (room 0054) whether it can be searched or not: four short
//! texts an account, made when a card is published. Searching looks through it in memory; nobody else's store is read.

use std::collections::BTreeMap;
use std::sync::Arc;

use iris_core::command::{Command, Done, Next, Stage, Who};
use iris_core::form::{Field, Form};
use iris_core::store::{Item, Shelf};
use iris_core::task::Finish;
use iris_core::xml::{Build, El};
use iris_core::{
    At, BareJid, Bounce, Card, Changed, Condition, Cx, GetOrSet, HostTurn, Mount, MountError, Reply, Room, StateSlot, Status,
    Turn, ns,
};
use serde::Deserialize;

use crate::result;
use crate::xep0054_vcard_temp as vcard_temp;
use crate::xep0292_vcard4 as vcard4;

mod entry;
use entry::{Entry, FIELDS};

pub const NS: &str = "jabber:iq:search";

pub const ROOM: Room = Room {
    card: Card { xep: Some(55), name: "Jabber Search", version: "1.3", status: Status::Complete, needs: &[4, 30, 54] },
    mount,
};

/// At the domain. Key: the local part; value: the entry.
const DIRECTORY_SHELF: Shelf = Shelf::map("directory");
/// At an account: it does not want to be found.
const HIDDEN_SHELF: Shelf = Shelf::record("directory-hidden");

/// Somebody who wants to know everybody gets this many.
const RESULTS_MAX: usize = 50;
/// Of what is looked for; less finds half of the domain.
const TERM_CHARS_MIN: usize = 2;
/// Searches of one account in a minute: the directory is for finding people, not for copying it.
const SEARCHES_PER_MINUTE_MAX: u32 = 20;
const MINUTE_US: u64 = 60_000_000;
/// Accounts whose searches are counted at once.
const COUNTED_MAX: usize = 10_000;

#[derive(Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
struct Settings {
    visible_to: Audience,
}

#[derive(Clone, Copy, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
enum Audience {
    #[default]
    Nobody,
    Local,
}

impl iris_core::mount::Settings for Settings {
    const TABLE: &'static str = "search";
    const REFERENCE: &'static str = "\
# Who may search the domain's directory of people by the names and addresses on their vCards: \"nobody\", or \"local\" for those who
# have an account of the same domain. Whoever does not want to be found says so with the command \"Be found in the directory\".
# Found are those whose card everybody may read: nobody, where [xep.vcard] shows cards to contacts only.
visible_to = \"nobody\"
";
}

/// The directory, and how often it was searched lately.
#[derive(Default)]
struct Directory {
    entries: BTreeMap<Arc<str>, Entry>,
    searches: BTreeMap<BareJid, (u64, u32)>,
}

static DIRECTORY: StateSlot<Directory> = StateSlot::new();
static HIDDEN: StateSlot<bool> = StateSlot::new();

fn mount(m: &mut Mount<'_>) -> Result<(), MountError> {
    let settings: Settings = m.config()?;
    m.shelf(DIRECTORY_SHELF)?;
    m.shelf(HIDDEN_SHELF)?;
    m.state(&HIDDEN, &[HIDDEN_SHELF], |items| !items.is_empty())?;
    let domain: Arc<str> = Arc::from(m.domain());
    m.on_farewell(move |account, cx| {
        let domain = domain.clone();
        async move {
            let local = account.node().map(|node| node.as_str().to_owned()).unwrap_or_default();
            cx.host(&domain, move |turn| note(turn, &local, None)).await
        }
    });
    // Also where nobody searches: a reload may open it.
    m.host_state(&DIRECTORY, &[DIRECTORY_SHELF], load)?;
    if settings.visible_to == Audience::Nobody {
        return Ok(());
    }
    m.feature(At::Host, NS);
    m.host_iq_named(
        GetOrSet::Get,
        NS,
        "query",
        |turn, _| if turn.may(Who::User) { fields() } else { Bounce::nobody().into() },
    )?;
    m.host_iq_named(GetOrSet::Set, NS, "query", |turn, query| match search(turn, &query) {
        Ok(reply) => reply,
        Err(why) => why.into(),
    })?;
    m.command(Command::new("directory", "Be found in the directory", Who::User, be_found))
}

fn load(items: &[Item]) -> Directory {
    let entries = items.iter().filter_map(|item| Some((item.key.clone(), Entry::decode(&item.value)?)));
    Directory { entries: entries.collect(), searches: BTreeMap::new() }
}

// --- who stands in it ------------------------------------------------------------------------------------------------------

/// A card was published, or is no more. It shows to everybody who searches, so it has to be for everybody.
pub fn card_changed(turn: &mut Turn<'_>, card: Option<&[u8]>) {
    let entry = entry(turn, card);
    enter(turn, entry);
}

/// What of the card may stand in the directory. Guests never do.
fn entry(turn: &mut Turn<'_>, card: Option<&[u8]>) -> Option<Entry> {
    let hidden = turn.state(&HIDDEN).is_some_and(|hidden| *hidden) || !vcard4::is_open(turn) || turn.account.is_guest();
    let entry = card.and_then(El::parse).map(|card| Entry::of_card(&card));
    entry.filter(|entry| !hidden && !entry.is_empty())
}

/// The card is as it was, but others may read it now, or no more; or nobody knows whether it is as it was.
pub fn look(turn: &mut Turn<'_>) {
    let account = turn.me().clone();
    turn.spawn(move |cx| {
        Box::pin(async move {
            // A store that does not answer: what stands there stays, and the next card mends it.
            let _ = look_at(&account, &cx).await;
            Finish::Done
        })
    });
}

/// The same, done when this returns.
///
/// # Errors
/// The store, the account or the domain does not answer; or there is no such account.
pub async fn look_at(account: &BareJid, cx: &Cx) -> Result<(), Bounce> {
    let owner = cx.account(account.clone(), |turn| turn.account.owner()).await?;
    let Some(owner) = owner else { return Err(Bounce::new(Condition::ItemNotFound)) };
    let card = vcard_temp::read(cx, owner).await?;
    let entry = cx.account(account.clone(), move |turn| entry(turn, card.as_deref())).await?.flatten();
    let local = account.node().map(|node| node.as_str().to_owned()).unwrap_or_default();
    Ok(cx.host(account.domain().as_str(), move |turn| note(turn, &local, entry)).await?)
}

/// `None`: it stands in the directory no longer.
fn enter(turn: &mut Turn<'_>, entry: Option<Entry>) {
    let Some(local) = turn.me().node().map(|node| node.as_str().to_owned()) else { return };
    let domain = turn.host().to_owned();
    turn.spawn(move |cx| {
        Box::pin(async move {
            // A directory that is one card behind is mended by the next one.
            let _ = cx.host(&domain, move |turn| note(turn, &local, entry)).await;
            Finish::Done
        })
    });
}

fn note(turn: &mut HostTurn<'_>, local: &str, entry: Option<Entry>) {
    let value = entry.as_ref().map(Entry::encode);
    let Some(directory) = turn.state(&DIRECTORY) else { return };
    let before = match entry {
        Some(entry) => directory.entries.insert(Arc::from(local), entry),
        None => directory.entries.remove(local),
    };
    match value {
        Some(value) => turn.put(DIRECTORY_SHELF, local, value),
        None if before.is_some() => turn.delete(DIRECTORY_SHELF, local),
        None => {}
    }
}

/// Everybody decides for themselves.
async fn be_found(stage: Stage, cx: Cx) -> Result<Next, Bounce> {
    let account = stage.caller.to_bare();
    let Some(answers) = stage.form else {
        let hidden = cx.account(account, |turn| turn.state(&HIDDEN).is_some_and(|hidden| *hidden)).await?;
        let field = Field::boolean("listed", "Others of this server may find me by what is on my vCard", hidden != Some(true));
        return Ok(Next::ask(Form::new("Directory", "").of_type("urn:iris:directory").field(field.required())));
    };
    let hide = answers.boolean("listed") == Some(false);
    let told = cx.account(account.clone(), move |turn| {
        match hide {
            true => turn.put(HIDDEN_SHELF, "", ""),
            false => turn.delete(HIDDEN_SHELF, ""),
        }
        if let Some(hidden) = turn.state(&HIDDEN) {
            *hidden = hide;
        }
    });
    told.await?;
    look_at(&account, &cx).await?;
    Ok(Next::Done(Done::empty()))
}

// --- searching -------------------------------------------------------------------------------------------------------------

const INSTRUCTIONS: &str = "Fill in one or more fields to search for people of this server. A part of a name is enough.";

fn form() -> Form {
    let fields = FIELDS.map(|(var, label)| Field::text(var, label));
    Form::new("User Directory Search", INSTRUCTIONS).of_type(NS).fields(fields)
}

/// Section 2.1, and section 3 beside it.
fn fields() -> Reply {
    let mut xml = Build::new();
    xml.open_ns("query", NS).leaf("instructions", INSTRUCTIONS);
    for (name, _) in FIELDS {
        xml.open(name).close();
    }
    xml.raw(form().to_ask().as_bytes()).close();
    result(xml)
}

fn search(turn: &mut HostTurn<'_>, query: &El<'_>) -> Result<Reply, Bounce> {
    // For others there is no directory.
    if !turn.may(Who::User) {
        return Err(Bounce::nobody());
    }
    let x = query.child(ns::DATA_FORMS, "x");
    let wanted: [String; 4] = match &x {
        Some(x) => {
            let answers = form().check(x)?;
            FIELDS.map(|(name, _)| answers.text(name).unwrap_or_default().to_owned())
        }
        None => FIELDS.map(|(name, _)| query.child(NS, name).map(|it| it.text().into_owned()).unwrap_or_default()),
    };
    // Old habits: a star at the end means what is meant anyway.
    let wanted = wanted.map(|term| term.trim().trim_matches('*').to_lowercase());
    if !wanted.iter().any(|term| term.chars().count() >= TERM_CHARS_MIN) {
        let why = format!("at least {TERM_CHARS_MIN} characters of a name or an address are needed");
        return Err(Bounce::new(Condition::NotAcceptable).text(why));
    }
    let (now_us, caller) = (turn.now.wall_us, turn.from.to_bare());
    let domain = turn.host().to_owned();
    // Whether somebody is a contact of those who would be found, only their accounts know.
    let readable = vcard_temp::are_for_everybody(turn.doors);
    let Some(directory) = turn.state(&DIRECTORY) else { return Err(Bounce::new(Condition::InternalServerError)) };
    directory.count(caller, now_us)?;
    let found = directory.entries.iter().filter(|(_, entry)| readable && entry.matches(&wanted)).take(RESULTS_MAX);
    let found = found.map(|(local, entry)| (format!("{local}@{domain}"), entry));
    Ok(match x {
        None => legacy(found),
        Some(_) => in_form(found),
    })
}

impl Directory {
    fn count(&mut self, caller: BareJid, now_us: u64) -> Result<(), Bounce> {
        if self.searches.len() >= COUNTED_MAX {
            self.searches.retain(|_, (since, _)| now_us.saturating_sub(*since) < MINUTE_US);
        }
        let (since, searches) = self.searches.entry(caller).or_insert((now_us, 0));
        if now_us.saturating_sub(*since) >= MINUTE_US {
            (*since, *searches) = (now_us, 0);
        }
        *searches += 1;
        match *searches <= SEARCHES_PER_MINUTE_MAX {
            true => Ok(()),
            false => {
                let what = format!("at most {SEARCHES_PER_MINUTE_MAX} searches in a minute");
                Err(Bounce::over(what, Changed::ByNobody("wait a minute")))
            }
        }
    }
}

/// "If there are no matching directory entries, the service MUST return an empty <query/> element".
fn legacy<'a>(found: impl Iterator<Item = (String, &'a Entry)>) -> Reply {
    let mut xml = Build::new();
    xml.open_ns("query", NS);
    for (jid, entry) in found {
        xml.open("item").attr("jid", &jid);
        for ((name, _), value) in FIELDS.iter().zip(entry.texts()) {
            xml.leaf(name, value);
        }
        xml.close();
    }
    xml.close();
    result(xml)
}

fn in_form<'a>(found: impl Iterator<Item = (String, &'a Entry)>) -> Reply {
    let columns = [Field::jid("jid", "Jabber ID")].into_iter().chain(FIELDS.map(|(var, label)| Field::text(var, label)));
    // The FORM_TYPE stands in the form although it is a table: section 3 shows it so, and clients look for it.
    let mut table = Form::default().of_type(NS).table(columns);
    for (jid, entry) in found {
        table = table.row([jid.as_str()].into_iter().chain(entry.texts()));
    }
    let mut xml = Build::new();
    xml.open_ns("query", NS).raw(table.to_tell().as_bytes()).close();
    result(xml)
}

#[cfg(test)]
mod tests;
