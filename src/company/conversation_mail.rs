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
use iris_core::store::{EntryId, OwnerId, Read, Rows, Shelf, StoreError};
use iris_core::{BareJid, Bounce, Card, Changed, Condition, Cx, Jid, Mount, MountError, Room, Status, time};

mod address;
mod line;
mod message;
mod reading;
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

/// How many an account has had sent, and on which day: eight bytes of days since 1970, four of the number, big-endian.
const SENT: Shelf = Shelf::record("mailed");

/// Of a room, in a subject.
const ROOM_NAME_CHARS_MAX: usize = 100;
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
    let wish = Wish {
        with: answers.jid("with").ok_or_else(|| Bounce::bad_request("with: is required"))?,
        to: address::checked(answers.text("address").unwrap_or_default(), &mailing)?,
        period: Period::of(answers.text("first"), answers.text("last"))?,
        reader: stage.caller.clone(),
        me,
    };
    // As long as this lives, whatever becomes of it.
    let _underway = mailing.begin(wish.me.clone()).map_err(|busy| {
        let (what, help) = match busy {
            Busy::Own => ("a conversation of yours is being sent", "wait until that is done"),
            Busy::House => ("as many conversations are being sent as may be at once", "try again in a minute"),
        };
        Bounce::over(what, Changed::ByNobody(help))
    })?;
    let day = stage.now.wall_us / DAY_US;
    let before = reserve(&cx, &wish.me, day, mailing.conversations_per_day_max).await?;
    let delivered = deliver(&cx, &wish, &mailing, stage.now.wall_us).await;
    // What was tried at the mail server's expense counts.
    let is_spent = |mailed: &Mailed| !matches!(mailed, Mailed::Busy | Mailed::Unreachable | Mailed::LoginRefused);
    if !delivered.as_ref().is_ok_and(|(mailed, _)| is_spent(mailed))
        && let Err(why) = count(&cx, &wish.me, day, before).await
    {
        tracing::warn!(%why, "a mail was not sent, and counts all the same");
    }
    let (mailed, messages) = delivered?;
    outcome(mailed)?;
    let note = format!("The conversation with {} ({}) is on its way to {}.", wish.with, counted(messages), wish.to);
    Ok(Next::Done(Done::empty().note(Note::Info, note)))
}

/// What somebody wants, checked.
struct Wish {
    me: BareJid,
    /// A full JID.
    reader: Jid,
    with: Jid,
    /// An address that is sent to.
    to: String,
    period: Period,
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

/// Read, written down, handed over; and how many messages that were.
async fn deliver(cx: &Cx, wish: &Wish, mailing: &Mailing, now_us: u64) -> Result<(Mailed, usize), Bounce> {
    let conversation = reading::conversation(cx, wish).await?;
    let transcript = reading::transcript(cx, &conversation, wish, mailing.size_bytes_max).await?;
    let messages = transcript.len();
    if messages == 0 {
        let why = format!("there are no messages of that time in your conversation with {}", wish.with);
        return Err(Bounce::new(Condition::NotAcceptable).text(why));
    }
    let id = cx.account(wish.me.clone(), |turn| turn.house.ports.random_id()).await?.ok_or_else(nobody)?;
    // Who it was: the mails of the house are all from the house.
    tracing::info!(account = %wish.me, id, "a conversation is sent by mail");
    let mail = wish.mail(id, &conversation, &transcript, now_us);
    drop(transcript);
    Ok((cx.mail(mail).await, messages))
}

fn counted(messages: usize) -> String {
    format!("{messages} message{}", if messages == 1 { "" } else { "s" })
}

fn nobody() -> Bounce {
    Bounce::new(Condition::Forbidden)
}

/// One more for this day, if that is allowed: how many there were before. It is written before anything is read: what this user has sent
/// until now is on disk with it, and so in the archive that is read.
async fn reserve(cx: &Cx, me: &BareJid, day: u64, most: u32) -> Result<u32, Bounce> {
    let owner = cx.account(me.clone(), |turn| turn.account.owner()).await?.ok_or_else(nobody)?;
    let sent = sent_on(cx, owner, day).await?;
    if sent >= most {
        let what = format!("at most {most} conversations are sent to you in a day (UTC)");
        return Err(Bounce::over(what, Changed::ByOperator));
    }
    count(cx, me, day, sent + 1).await?;
    Ok(sent)
}

async fn sent_on(cx: &Cx, owner: OwnerId, day: u64) -> Result<u32, Bounce> {
    let Rows::Value(value) = cx.read(Read::Value { owner, shelf: SENT, key: "".into() }).await? else { return Ok(0) };
    let sent = value.as_deref().and_then(|value| {
        let (of, rest) = value.split_first_chunk::<8>()?;
        (u64::from_be_bytes(*of) == day).then(|| rest.first_chunk::<4>().copied().map(u32::from_be_bytes))?
    });
    Ok(sent.unwrap_or(0))
}

async fn count(cx: &Cx, me: &BareJid, day: u64, sent: u32) -> Result<(), StoreError> {
    let value: Vec<u8> = day.to_be_bytes().into_iter().chain(sent.to_be_bytes()).collect();
    cx.account(me.clone(), move |turn| turn.put(SENT, "", value)).await.map(drop)
}

impl Wish {
    fn mail(&self, id: String, of: &Conversation, transcript: &Transcript, now_us: u64) -> Mail {
        let Wish { me, with, period, .. } = self;
        let with_whom = match of.room.as_deref() {
            None => with.to_string(),
            Some(name) if name.trim().is_empty() => format!("the room {with}"),
            Some(name) => {
                let name: String = line::one(name).chars().take(ROOM_NAME_CHARS_MAX).collect();
                format!("the room {name} ({with})")
            }
        };
        let head = Head {
            of: format!("Conversation of {me} with {with_whom}"),
            first: period.first.as_deref(),
            last: period.last.as_deref(),
            made_us: now_us,
        };
        let named = with.node().map_or(with.domain().as_str(), |node| node.as_str());
        let named: String =
            named.chars().take(FILE_NAME_CHARS_MAX).map(|c| if c.is_ascii_alphanumeric() { c } else { '_' }).collect();
        let made = line::moment(now_us);
        let day = made.split(' ').next().unwrap_or_default();
        let text = format!(
            "The file beside this text is the conversation of {me} with {with_whom}: {}.\r\n\r\n\
             It was asked for at {made} UTC with this account. If that was not you, somebody else uses your account: change its \
             password.\r\n",
            counted(transcript.len()),
        );
        Mail {
            id,
            to: self.to.clone(),
            subject: format!("Conversation with {with_whom}"),
            text,
            file_name: format!("{named}-{day}.txt"),
            file: Bytes::from(transcript.write(&head)),
        }
    }
}

/// In general words; the log of the server has the exact ones.
fn outcome(mailed: Mailed) -> Result<(), Bounce> {
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
        Mailed::TooLarge => {
            (Condition::NotAcceptable, "the mail server takes no mail of that size: choose a first and a last day")
        }
        Mailed::Refused => (
            Condition::RemoteServerTimeout,
            "the mail server does not take the mail; try again later, or tell your administrator",
        ),
        Mailed::Unknown => (
            Condition::RemoteServerTimeout,
            "the mail server did not say in time whether it has the mail; look whether it comes",
        ),
    };
    Err(Bounce::new(condition).text(why))
}

#[cfg(test)]
mod tests;
