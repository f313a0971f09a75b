//! "E-mail the whole conversation to me": a conversation, or what was said in a room, as a text file in a mail to oneself. No XEP describes
//! it: it is an ad-hoc command (XEP-0050) over the archives (XEP-0313), offered where there is a mail server (`[mail]`).
//!
//! Completed means that the mail server has promised to deliver it, so nothing waits on our disk. Whoever keeps the messages says
//! whether they may be read, in its own turn (`conversation`); they are read and written down page by page, in a task.
//!
//! Not done: reactions (XEP-0444) and calls have no line.

use std::sync::Arc;

use bytes::Bytes;
use iris_core::command::{Command, Done, Next, Note, Stage, Who};
use iris_core::conversation::Conversation;
use iris_core::form::{Field, Form};
use iris_core::mailing::{Busy, Mailing};
use iris_core::ports::{Mail, Mailed};
use iris_core::store::{EntryId, LogQuery, OwnerId, Read, Rows, Shelf, StoreError, Write};
use iris_core::xml::El;
use iris_core::{BareJid, Bounce, Card, Condition, Cx, Jid, Mount, MountError, Room, Status, jids, time};

mod address;
mod line;
mod message;
mod transcript;

use transcript::{Head, Transcript};

pub const ROOM: Room = Room {
    card: Card {
        xep: None,
        name: "Conversations by e-mail",
        version: "1.0.0",
        status: Status::Complete,
        needs: &[4, 50, 82, 313],
    },
    mount,
};

const NODE: &str = "urn:iris:mail#conversation";

/// How many an account has had sent, and on which day: eight bytes of days since 1970, four of the number, big-endian. Written when the mail
/// server has answered, so it outlives the process.
const SENT: Shelf = Shelf::record("mailed");

/// Entries of one read: what is made of them is made in one turn of the shard.
const PAGE_ENTRIES: u32 = 200;
/// Of an archive, with those that have no line (receipts, markers).
const ENTRIES_MAX: usize = 500_000;
/// Of whom it was with, in the name of the file: one that every file system takes, and so short that it is not written in pieces (RFC 2231 3),
/// which not every mail program puts together.
const FILE_NAME_CHARS_MAX: usize = 14;
const DAY_US: u64 = 86_400_000_000;

fn mount(m: &mut Mount<'_>) -> Result<(), MountError> {
    m.shelf(SENT)?;
    let Some(mailing) = m.mailing() else { return Ok(()) };
    m.command(Command::new(NODE, "Send a conversation by e-mail", Who::User, move |stage, cx| step(stage, cx, mailing.clone())))
}

async fn step(stage: Stage, cx: Cx, mailing: Arc<Mailing>) -> Result<Next, Bounce> {
    let me = stage.caller.to_bare();
    let Some(answers) = &stage.form else {
        let prefilled = address::own(&cx, &me, &mailing).await?;
        return Ok(Next::ask(form(prefilled, &mailing)));
    };
    let with = answers.jid("with").ok_or_else(|| Bounce::bad_request("with: is required"))?;
    let to = address::checked(answers.text("address").unwrap_or_default(), &mailing)?;
    let period = Period::of(answers.text("first"), answers.text("last"))?;
    let underway = mailing.begin(me.clone()).map_err(|busy| {
        Bounce::new(Condition::ResourceConstraint).text(match busy {
            Busy::Own => "a conversation of yours is being sent; wait until that is done",
            Busy::House => "too many conversations are being sent at once; try again in a minute",
        })
    })?;
    let (owner, id) = myself(&cx, &me).await?;
    let day = stage.now.wall_us / DAY_US;
    let sent = sent_on(&cx, owner, day).await?;
    if sent >= mailing.conversations_per_day_max {
        let why = format!(
            "at most {} conversations are sent to you in a day (UTC); try again tomorrow",
            mailing.conversations_per_day_max
        );
        return Err(Bounce::new(Condition::ResourceConstraint).text(why));
    }
    let conversation = conversation(&cx, &me, &stage.caller, &with).await?;
    let transcript = read(&cx, &conversation, &me, &with, &period, mailing.size_bytes_max).await?;
    if transcript.len() == 0 {
        let why = format!("there are no messages of that time in your conversation with {with}");
        return Err(Bounce::new(Condition::NotAcceptable).text(why));
    }
    let messages = transcript.len();
    let mail = mail(id, to.clone(), &conversation, &transcript, &me, &with, &period, stage.now.wall_us);
    drop(transcript);
    let mailed = cx.mail(mail).await;
    drop(underway);
    if !matches!(mailed, Mailed::Busy | Mailed::Unreachable | Mailed::LoginRefused) {
        // What was tried at the mail server's expense counts. The mail is underway whether or not this can be written.
        let counted = cx.account(me, move |turn| {
            let value: Vec<u8> = day.to_be_bytes().into_iter().chain((sent + 1).to_be_bytes()).collect();
            turn.write(Write::Put { owner: turn.account.owner(), shelf: SENT, key: "".into(), value: value.into() });
        });
        if let Err(why) = counted.await {
            tracing::warn!(%why, "a mail was sent, and not counted");
        }
    }
    outcome(mailed, &mailing)?;
    let note = format!("The conversation with {with} ({messages} messages) is on its way to {to}.");
    Ok(Next::Done(Done::empty().note(Note::Info, note)))
}

fn form(prefilled: Option<String>, mailing: &Mailing) -> Form {
    let domains: Vec<&str> = mailing.recipients.iter().map(|domain| domain.name.as_str()).collect();
    let address = Field::text("address", "E-mail address").required().desc(&format!("At {}", domains.join(", ")));
    let address = prefilled.into_iter().fold(address, Field::value);
    Form::new("Send a conversation by e-mail", "You get all messages as a text file. Without days: all that are kept.")
        .of_type(NODE)
        .field(Field::jid("with", "Conversation with").required().desc("A contact, or a room that you belong to"))
        .field(Field::day("first", "First day").desc("Like 2026-11-26 (UTC)"))
        .field(Field::day("last", "Last day").desc("Like 2026-11-26 (UTC)"))
        .field(address)
}

/// Days as they were given, and the moments that they are.
struct Period {
    first: Option<String>,
    last: Option<String>,
    from: Option<EntryId>,
    until: Option<EntryId>,
}

impl Period {
    fn of(first: Option<&str>, last: Option<&str>) -> Result<Period, Bounce> {
        // The form has judged them (`Field::day`).
        let begin = |day: Option<&str>| day.and_then(time::parse_day);
        let (from, until) = (begin(first), begin(last).map(|begin| begin + DAY_US - 1));
        if from.zip(until).is_some_and(|(from, until)| from > until) {
            return Err(Bounce::new(Condition::NotAcceptable).text("the first day is after the last"));
        }
        let (first, last) = (first.map(str::to_owned), last.map(str::to_owned));
        Ok(Period { first, last, from: from.map(EntryId), until: until.map(EntryId) })
    }
}

/// The number of the account, and a new id.
async fn myself(cx: &Cx, me: &BareJid) -> Result<(OwnerId, String), Bounce> {
    let found = cx.account(me.clone(), |turn| (turn.account.owner(), turn.house.ports.random_id())).await?;
    found.ok_or_else(|| Bounce::new(Condition::Forbidden))
}

async fn sent_on(cx: &Cx, owner: OwnerId, day: u64) -> Result<u32, Bounce> {
    let Rows::Value(value) = cx.read(Read::Value { owner, shelf: SENT, key: "".into() }).await? else { return Ok(0) };
    let sent = value.as_deref().and_then(|value| {
        let (of, rest) = value.split_first_chunk::<8>()?;
        (u64::from_be_bytes(*of) == day).then(|| rest.first_chunk::<4>().copied().map(u32::from_be_bytes))?
    });
    Ok(sent.unwrap_or(0))
}

/// What is said behind one of our services is kept there; everything else is in one's own archive, what an occupant of a room has whispered
/// too.
async fn conversation(cx: &Cx, me: &BareJid, reader: &Jid, with: &Jid) -> Result<Conversation, Bounce> {
    if with.node().is_some() && with.resource().is_none() {
        let reader = reader.clone();
        let shared = cx.behind(&with.to_bare(), move |turn| {
            let doors = turn.doors;
            let shared = doors.entities.as_ref()?.conversation.as_ref()?;
            Some(shared(turn, &reader))
        });
        if let Some(shared) = shared.await?.flatten() {
            return shared.map_err(|why| refused(&why, with));
        }
    }
    let peer = with.to_bare();
    let own = cx.account(me.clone(), move |turn| {
        let doors = turn.doors;
        doors.conversation.as_ref().map(|own| own(turn, &peer))
    });
    own.await?.flatten().ok_or_else(|| Bounce::new(Condition::ServiceUnavailable).text("nothing is kept here"))
}

/// Whether it is not there, keeps nothing or is not for this reader: the form stays, for another address.
fn refused(why: &Bounce, with: &Jid) -> Bounce {
    Bounce::new(Condition::NotAcceptable).text(match why.condition {
        Condition::Forbidden => format!("{with} lets you read nothing that was said there"),
        _ => format!("there is no room {with} that keeps what is said"),
    })
}

async fn read(
    cx: &Cx,
    of: &Conversation,
    me: &BareJid,
    with: &Jid,
    period: &Period,
    size_bytes_max: usize,
) -> Result<Transcript, Bounce> {
    let is_room = of.room.is_some();
    let mut transcript = Transcript::new(is_room, size_bytes_max);
    let mut query =
        LogQuery { peer: of.peer, from: period.from, until: period.until, max: PAGE_ENTRIES, ..LogQuery::default() };
    for _ in 0..ENTRIES_MAX / PAGE_ENTRIES as usize {
        let page = match cx.read(Read::Log { owner: of.owner, shelf: of.shelf, query: query.clone() }).await? {
            Rows::Log(page) => page,
            _ => return Err(StoreError::Broken("another answer than was asked for".into()).into()),
        };
        for entry in &page.entries {
            let Some(message) = (of.message)(&entry.entry).and_then(El::parse) else { continue };
            if is_room || is_between(&message, me, with) {
                transcript.add(entry.id.0, &message).map_err(|_| too_large(size_bytes_max))?;
            }
        }
        query.after = page.entries.last().map(|entry| entry.id);
        if page.complete || query.after.is_none() {
            return Ok(transcript);
        }
    }
    Err(too_large(size_bytes_max))
}

/// The index is a hash, and knows no resources.
fn is_between(message: &El<'_>, me: &BareJid, with: &Jid) -> bool {
    let (Some(from), Some(to)) = (message.attr("from"), message.attr("to")) else { return false };
    let is = |address: &str| match with.resource() {
        Some(_) => address == with.as_str(),
        None => jids::bare(address) == with.as_str(),
    };
    // Notes to oneself are no conversation with everybody.
    if with.to_bare() == *me { is(&from) && jids::bare(&to) == me.as_str() } else { is(&from) || is(&to) }
}

fn too_large(size_bytes_max: usize) -> Bounce {
    let size = match size_bytes_max / 1024 {
        kib if kib >= 1024 => format!("{} MiB", kib / 1024),
        kib => format!("{kib} KiB"),
    };
    Bounce::new(Condition::NotAcceptable)
        .text(format!("that is more than {size}, the most that is sent in one mail: choose a first and a last day"))
}

#[expect(clippy::too_many_arguments, reason = "all that stands in the mail")]
fn mail(
    id: String,
    to: String,
    of: &Conversation,
    transcript: &Transcript,
    me: &BareJid,
    with: &Jid,
    period: &Period,
    now_us: u64,
) -> Mail {
    let with_whom = match of.room.as_deref() {
        None => with.to_string(),
        Some(name) if name.trim().is_empty() => format!("the room {with}"),
        Some(name) => format!("the room {} ({with})", line::one(name)),
    };
    let head = Head {
        of: format!("Conversation of {me} with {with_whom}"),
        first: period.first.as_deref(),
        last: period.last.as_deref(),
        made_us: now_us,
    };
    let file = Bytes::from(transcript.write(&head));
    let day = time::datetime(now_us)[..10].to_owned();
    let named = with.node().map_or(with.domain().as_str(), |node| node.as_str());
    let named: String =
        named.chars().take(FILE_NAME_CHARS_MAX).map(|c| if c.is_ascii_alphanumeric() { c } else { '_' }).collect();
    let text = format!(
        "The file beside this text is the conversation of {me} with {with_whom}: {} messages.\r\n\r\n\
         It was asked for at {} UTC with this account. If that was not you, somebody else uses your account: change its password.\r\n",
        transcript.len(),
        line::moment(now_us),
    );
    Mail { id, to, subject: format!("Conversation with {with_whom}"), text, file_name: format!("{named}-{day}.txt"), file }
}

/// In general words; the log of the server has the exact ones.
fn outcome(mailed: Mailed, mailing: &Mailing) -> Result<(), Bounce> {
    let (condition, why) = match mailed {
        Mailed::Taken => return Ok(()),
        Mailed::Busy => (Condition::ResourceConstraint, "too many mails are being sent at once; try again in a minute"),
        Mailed::Unreachable => {
            (Condition::RemoteServerTimeout, "the mail server cannot be reached; try again later, or tell your administrator")
        }
        Mailed::LoginRefused => {
            (Condition::InternalServerError, "the mail server does not let this server in; tell your administrator")
        }
        Mailed::RecipientRefused => (Condition::NotAcceptable, "the mail server does not take mail for that address"),
        Mailed::TooLarge => return Err(too_large_for_server(mailing)),
        Mailed::Refused => (Condition::RemoteServerTimeout, "the mail server does not take the mail; tell your administrator"),
        Mailed::Unknown => (
            Condition::RemoteServerTimeout,
            "the mail server did not say in time whether it has the mail; look whether it comes",
        ),
    };
    Err(Bounce::new(condition).text(why))
}

fn too_large_for_server(_: &Mailing) -> Bounce {
    Bounce::new(Condition::NotAcceptable).text("the mail server takes no mail of that size: choose a first and a last day")
}

#[cfg(test)]
mod tests;
