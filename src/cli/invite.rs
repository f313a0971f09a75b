//! `iris invite`: a link that lets somebody in, whether the server runs or not.

use std::fmt::Write;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use clap::{Args, Subcommand};
use iris_core::time::datetime;

use super::control::{InvitationRow, Wanted, parse_account};
use super::{Failure, Place, say, users};
use crate::config::{parse_domain, parse_duration};

#[derive(Args)]
#[command(args_conflicts_with_subcommands = true)]
pub(super) struct InviteArguments {
    #[command(subcommand)]
    command: Option<InviteCommand>,
    /// The name of the new account; without it whoever is invited chooses
    #[arg(long, value_name = "NAME")]
    user: Option<String>,
    /// How long the link works, such as 12h or 7d [as configured]
    #[arg(long, value_name = "TIME", value_parser = lifetime)]
    expires: Option<Duration>,
    /// Who is in the contacts of the new account from the beginning
    #[arg(long, value_name = "ADDRESS", value_parser = address)]
    contact: Option<String>,
    /// The domain of the new account [the first one]
    #[arg(long, value_name = "DOMAIN", value_parser = parse_domain)]
    domain: Option<String>,
    /// For an account that is there: a link to set a new password
    #[arg(long, requires = "user", conflicts_with = "contact")]
    new_password: bool,
    #[command(flatten)]
    place: Place,
}

#[derive(Subcommand)]
enum InviteCommand {
    /// List the invitations: those that are open, and those that are over since lately
    List(ListArguments),
    /// Take an invitation back: its link works no longer
    Revoke(RevokeArguments),
}

#[derive(Args)]
struct ListArguments {
    /// Only of this domain
    #[arg(value_parser = parse_domain)]
    domain: Option<String>,
    #[command(flatten)]
    place: Place,
}

#[derive(Args)]
struct RevokeArguments {
    /// As iris invite list shows it
    id: String,
    #[command(flatten)]
    place: Place,
}

fn lifetime(text: &str) -> Result<Duration, String> {
    match parse_duration(text) {
        Some(time) if time >= Duration::from_secs(60) && time <= Duration::from_secs(366 * 86_400) => Ok(time),
        Some(_) => Err("from a minute to a year".to_owned()),
        None => Err("a time looks like 12h or 7d".to_owned()),
    }
}

fn address(text: &str) -> Result<String, String> {
    parse_account(text).map(|jid| jid.to_string())
}

pub(super) fn run(arguments: InviteArguments) -> Result<(), Failure> {
    match arguments.command {
        None => make(arguments),
        Some(InviteCommand::List(ListArguments { domain, place })) => {
            let rows = users::open(&place, &[])?.invite_list(domain.as_deref()).map_err(|why| Failure::new(why, ""))?;
            let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default().as_secs();
            say(&table(&rows, now))
        }
        Some(InviteCommand::Revoke(RevokeArguments { id, place })) => {
            let admin = users::open(&place, &[])?;
            admin.invite_revoke(&id).map_err(|why| Failure::new(why, "To see what there is: iris invite list."))?;
            say(&format!("Revoked {id}. Its link works no longer.\n"))
        }
    }
}

fn make(arguments: InviteArguments) -> Result<(), Failure> {
    let InviteArguments { user, expires, contact, domain, new_password, place, .. } = arguments;
    let lifetime_seconds = expires.map(|time| time.as_secs());
    let wanted = Wanted { domain, user, contact, lifetime_seconds, new_password };
    let made = users::open(&place, &[])?.invite(&wanted).map_err(|why| Failure::new(why, ""))?;
    let mut text = String::new();
    // Writing to a String cannot fail.
    if let Some(link) = &made.link {
        let _ = writeln!(text, "{link}");
    }
    if let Some(uri) = &made.uri {
        let _ = writeln!(text, "{uri}");
    }
    if let Some(code) = made.link.as_ref().or(made.uri.as_ref()).and_then(|text| iris_web::qr::terminal(text)) {
        let _ = write!(text, "\n{code}\n");
    }
    let until = datetime(made.expires.saturating_mul(1_000_000)).replace('T', " ");
    let until = until.get(..16).unwrap_or(&until);
    let _ = writeln!(text, "It works once, until {until} UTC. To take it back: iris invite revoke {}", made.id);
    say(&text)
}

fn table(rows: &[InvitationRow], now: u64) -> String {
    if rows.is_empty() {
        return "There are no invitations. Make one: iris invite\n".to_owned();
    }
    let state =
        |row: &InvitationRow| if row.state == "open" && row.expires <= now { "expired".into() } else { row.state.clone() };
    let width = |of: &dyn Fn(&InvitationRow) -> usize, least: usize| rows.iter().map(of).max().unwrap_or(0).max(least);
    let what_width = width(&|row| row.what.chars().count(), "FOR".len());
    let by = |row: &InvitationRow| row.by.clone().unwrap_or_else(|| "the house".to_owned());
    let by_width = width(&|row| by(row).chars().count(), "BY".len());
    let mut out = format!("ID        {:what_width$}  {:by_width$}  EXPIRES (UTC)     STATE\n", "FOR", "BY");
    for row in rows {
        let expires = datetime(row.expires.saturating_mul(1_000_000)).replace('T', " ");
        let expires = expires.get(..16).unwrap_or(&expires);
        // Writing to a String cannot fail.
        let _ = writeln!(out, "{}  {:what_width$}  {:by_width$}  {expires}  {}", row.id, row.what, by(row), state(row));
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_lifetime_is_a_minute_to_a_year() {
        assert_eq!(lifetime("7d"), Ok(Duration::from_secs(7 * 86_400)));
        assert!(lifetime("1s").is_err() && lifetime("400d").is_err() && lifetime("soon").is_err());
    }

    #[test]
    fn a_list_says_what_has_expired() {
        let row = |state: &str, expires| InvitationRow {
            id: "0a1b2c3d".into(),
            what: "account @house".into(),
            by: None,
            contact: None,
            created: 1,
            expires,
            state: state.into(),
        };
        let text = table(&[row("open", 100), row("open", 10), row("used by juliet@house", 10)], 50);
        let states: Vec<&str> = text.lines().skip(1).filter_map(|line| line.rsplit("  ").next()).collect();
        assert_eq!(states, ["open", "expired", "used by juliet@house"], "{text}");
    }
}
