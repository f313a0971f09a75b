//! 4.8 to 4.10: what an account's roster is, when somebody was last here, and from where they are here now.

use iris_core::ask::{AccountFacts, AskAnswer};
use iris_core::command::{Command, Done, Stage, Who};
use iris_core::form::{Field, Form, Submitted};
use iris_core::time::datetime;
use iris_core::xml::Build;
use iris_core::{Ask, Bounce, Condition, Cx, Jid, Mount, MountError, ns};

use super::{account_of, form, no_account, node, of_several, told, too_many};

/// Accounts in one question.
const ACCOUNTS_MAX: usize = 50;

pub(super) fn mount(m: &mut Mount<'_>) -> Result<(), MountError> {
    m.command(Command::form(node!("get-user-roster"), "Show rosters", Who::Admin, roster_form, rosters))?;
    m.command(Command::form(node!("get-user-lastlogin"), "Show last logins", Who::Admin, last_login_form, last_logins))?;
    m.command(Command::form(node!("user-stats"), "Show a user's statistics", Who::Admin, statistics_form, statistics))
}

fn roster_form() -> Form {
    form("Getting a User's Roster", "Fill out this form to get a user's roster.")
        .field(Field::jids("accountjids", "The Jabber ID(s) for which to retrieve the roster").required())
}

fn asked(stage: &Stage, answers: &Submitted) -> Result<Vec<Jid>, Bounce> {
    let jids = answers.jids("accountjids");
    if jids.len() > ACCOUNTS_MAX {
        return Err(too_many(ACCOUNTS_MAX));
    }
    jids.iter().try_for_each(|jid| account_of(jid, &stage.domain).map(drop))?;
    Ok(jids)
}

/// The example has the roster inside the form; of several accounts each has a form of its own.
async fn rosters(stage: Stage, answers: Submitted, cx: Cx) -> Result<Done, Bounce> {
    let jids = asked(&stage, &answers)?;
    let (mut done, mut failed) = (Done::empty(), Vec::new());
    for jid in &jids {
        let items = match cx.ask(jid.to_bare(), Ask::Roster).await {
            AskAnswer::Roster(items) => items,
            AskAnswer::Failed(why) => return Err(Bounce::new(Condition::InternalServerError).text(why)),
            _ => {
                failed.push(no_account(jid));
                continue;
            }
        };
        let mut query = Build::new();
        query.open_ns("query", ns::ROSTER);
        for item in items {
            query.open("item").attr("jid", item.jid.as_str()).attr_opt("name", item.name.as_deref());
            query.attr("subscription", item.subscription).attr_opt("ask", item.ask.then_some("subscribe"));
            for group in &item.groups {
                query.leaf("group", group);
            }
            query.close();
        }
        query.close();
        let head = told().field(Field::jids("accountjids", "").value(jid.to_bare().as_str())).to_tell();
        let head = head.strip_suffix("</x>").unwrap_or(&head);
        done.payload.push_str(head);
        done.payload.push_str(&String::from_utf8_lossy(&query.finish()));
        done.payload.push_str("</x>");
    }
    of_several(failed, jids.len(), done)
}

fn last_login_form() -> Form {
    form("Getting a User's Last Login Time", "Fill out this form to get a user's last login time.")
        .field(Field::jids("accountjids", "The Jabber ID(s) for which to retrieve the last login time").required())
}

async fn facts_of(cx: &Cx, jid: &Jid) -> Result<AccountFacts, Bounce> {
    match cx.ask(jid.to_bare(), Ask::Account).await {
        AskAnswer::Account(facts) => Ok(*facts),
        AskAnswer::Failed(why) => Err(Bounce::new(Condition::InternalServerError).text(why)),
        _ => Err(no_account(jid)),
    }
}

/// One value of each field an account, in the same order; empty for who was never here.
async fn last_logins(stage: Stage, answers: Submitted, cx: Cx) -> Result<Done, Bounce> {
    let jids = asked(&stage, &answers)?;
    let (mut accounts, mut times, mut failed) = (Vec::new(), Vec::new(), Vec::new());
    for jid in &jids {
        match facts_of(&cx, jid).await {
            Ok(facts) => {
                let online = facts.sessions.iter().map(|session| session.since_us).max();
                let last = online.or(facts.seen.map(|seen| seen.login_us));
                accounts.push(facts.jid.to_string());
                times.push(last.map(|us| datetime(us - us % 1_000_000)).unwrap_or_default());
            }
            Err(why) => failed.push(why),
        }
    }
    let lastlogin = Field::text("lastlogin", "The last login time").values(times);
    let answer = told().field(Field::jids("accountjids", "").values(accounts)).field(lastlogin);
    of_several(failed, jids.len(), Done::empty().form(&answer))
}

fn statistics_form() -> Form {
    form("Get User Statistics", "Fill out this form to gather user statistics.")
        .field(Field::jid("accountjid", "The Jabber ID for statistics").required())
}

async fn statistics(stage: Stage, answers: Submitted, cx: Cx) -> Result<Done, Bounce> {
    let jid = answers.jid("accountjid").ok_or_else(|| Bounce::bad_request("accountjid: is required"))?;
    account_of(&jid, &stage.domain)?;
    let facts = facts_of(&cx, &jid).await?;
    let mut addresses: Vec<String> = facts.sessions.iter().filter_map(|it| it.address).map(|it| it.to_string()).collect();
    addresses.sort_unstable();
    addresses.dedup();
    let resources = facts.sessions.iter().map(|session| session.jid.resource().as_str());
    let answer = told()
        .field(Field::lines("ipaddresses", "The addresses of its sessions").values(addresses))
        .field(Field::text("rostersize", "Roster items").value(facts.roster_items.to_string()))
        .field(Field::lines("onlineresources", "Resources that are online").values(resources))
        .field(Field::text("stanzaspersecond", "Stanzas sent per second, in the last minute").value(rate(facts.stanzas_per_s)))
        .field(Field::text("loginsperminute", "Logins per minute, in the last hour").value(rate(facts.logins_per_min)));
    Ok(Done::empty().form(&answer))
}

/// "3", "0.1": not more digits than it is exact to.
fn rate(rate: f64) -> String {
    let text = format!("{rate:.2}");
    text.trim_end_matches('0').trim_end_matches('.').to_owned()
}
