//! XEP-0377: Blocking Command Reports - spam and abuse, told to who runs the server.
//! Spec 0.4.1, https://xmpp.org/extensions/xep-0377.html. Not done: nothing is forwarded to others, whatever the reporter allows
//! (section 5: "Servers MAY ignore processing options"); what was allowed is kept.
//!
//! A report comes inside a block (room 0191 hands it over) and is kept in a log of the domain, for its administrators: by the
//! command below, and by `iris reports`.

use iris_core::command::{Command, Done, Stage, Who};
use iris_core::form::{Field, Form, Submitted};
use iris_core::store::{EntryId, LogQuery, Read, Rows, Shelf, Write};
use iris_core::task::{Cx, Finish};
use iris_core::{At, Bounce, Card, Condition, Jid, Mount, MountError, Reply, Room, Status, Turn};

mod report;
pub use report::Report;

pub const NS: &str = "urn:xmpp:reporting:1";

pub const ROOM: Room = Room {
    card: Card {
        xep: Some(377),
        name: "Blocking Command Reports",
        version: "0.4.1",
        status: Status::Complete,
        needs: &[30, 191],
    },
    mount,
};

/// A log of the domain: what people have reported.
pub const SHELF: Shelf = Shelf::log("reports");
/// Of one block; the block itself may have more addresses.
const REPORTS_PER_BLOCK_MAX: usize = 20;
/// Then a report is forgotten.
const KEPT_US: u64 = 365 * 24 * 3_600 * 1_000_000;
/// Reports of one account in an hour; more are not kept.
const REPORTS_PER_HOUR_MAX: u32 = 60;
const HOUR_US: u64 = 3_600 * 1_000_000;
/// In one answer.
const SHOWN_MAX: u32 = 200;

static RATE: iris_core::StateSlot<Rate> = iris_core::StateSlot::new();

/// How many this account has reported since when.
#[derive(Default)]
struct Rate {
    since_us: u64,
    reports: u32,
}

fn mount(m: &mut Mount<'_>) -> Result<(), MountError> {
    m.feature(At::Host, NS);
    m.shelf(SHELF)?;
    m.state(&RATE, &[], |_| Rate::default())?;
    m.command(Command::form("reports", "Show reports of spam and abuse", Who::Admin, show_form, show))
}

/// Section 6: "Servers that receive a blocking command with a report MUST block the JID [...] just as they would if no report were
/// present": the answer says that it is blocked, when the reports are kept.
pub fn keep(turn: &mut Turn<'_>, mut reports: Vec<Report>) -> Reply {
    reports.truncate(REPORTS_PER_BLOCK_MAX);
    let now_us = turn.now.wall_us;
    let Some(rate) = turn.state(&RATE) else { return Reply::empty() };
    if now_us.saturating_sub(rate.since_us) >= HOUR_US {
        *rate = Rate { since_us: now_us, reports: 0 };
    }
    let left = REPORTS_PER_HOUR_MAX.saturating_sub(rate.reports) as usize;
    reports.truncate(left);
    rate.reports += reports.len() as u32;
    if reports.is_empty() {
        return Reply::empty();
    }
    let (domain, reporter) = (turn.host().to_owned(), turn.me().clone());
    Reply::Task(Box::new(move |cx: Cx| {
        Box::pin(async move {
            let kept = cx.host(&domain, move |turn| {
                for report in reports {
                    turn.append(SHELF, iris_core::hash::stable(&[report.jid.as_str().as_bytes()]), 0, report.encode(&reporter));
                }
                let upto = EntryId(turn.now.wall_us.saturating_sub(KEPT_US));
                turn.write(Write::Trim { owner: turn.owner, shelf: SHELF, upto });
            });
            // The block holds all the same, and is all that was asked for by the letter of 0191.
            let _ = kept.await;
            Finish::Answer { before: Vec::new(), result: String::new() }
        })
    }))
}

fn show_form() -> Form {
    let options = ["25", "50", "100", "200"].map(|number| (number, number));
    Form::new("Reports of spam and abuse", "The newest reports, or those before a certain one.")
        .of_type("urn:iris:reports")
        .field(Field::choice("max_items", "At most", options).value("50"))
        .field(Field::jid("jid", "Only about this address"))
        .field(Field::text("before", "Older than the report of this id"))
}

async fn show(stage: Stage, answers: Submitted, cx: Cx) -> Result<Done, Bounce> {
    let before = match answers.text("before") {
        None => None,
        Some(id) => Some(u64::from_str_radix(id, 16).map(EntryId).map_err(|_| Bounce::bad_request("before: that is no id"))?),
    };
    let max = answers.text("max_items").and_then(|max| max.parse().ok()).unwrap_or(50).min(SHOWN_MAX);
    let peer = answers.jid("jid").map(|jid: Jid| iris_core::hash::stable(&[jid.as_str().as_bytes()]));
    let owner = cx.host(&stage.domain, |turn| turn.owner).await?;
    let query = LogQuery { peer, before, max, last: true, ..LogQuery::default() };
    let Rows::Log(page) = cx.read(Read::Log { owner, shelf: SHELF, query }).await? else {
        return Err(Bounce::new(Condition::InternalServerError));
    };
    let mut table = Form::new("Reports of spam and abuse", "").table([
        Field::text("id", "Id"),
        Field::text("time", "When"),
        Field::jid("reporter", "By whom"),
        Field::jid("jid", "About whom"),
        Field::text("reason", "Reason"),
        Field::text("text", "What they say"),
        Field::text("messages", "Ids of messages"),
    ]);
    for entry in page.entries.iter().rev() {
        let Some((reporter, report)) = Report::decode(&entry.entry) else { continue };
        let messages: Vec<String> = report.messages.iter().map(|(by, id)| format!("{id} by {by}")).collect();
        table = table.row([
            format!("{:x}", entry.id.0),
            iris_core::time::datetime(entry.id.0 - entry.id.0 % 1_000_000),
            reporter.to_string(),
            report.jid.to_string(),
            report.reason,
            report.text,
            messages.join(", "),
        ]);
    }
    Ok(Done::empty().form(&table))
}

#[cfg(test)]
mod tests;
