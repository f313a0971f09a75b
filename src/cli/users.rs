//! `iris user ...`: to the running server if there is one, to its store if not.

mod clients;
mod export;
pub(super) mod import;
pub(crate) mod scram;

use std::fmt::Write;
use std::fs::File;
use std::io::Read;
use std::path::{Path, PathBuf};

use clap::{Args, Subcommand};
use iris_core::BareJid;

use super::control::{Admin, Client, NewUser, UserRow, check_served, parse_account};
use super::password::PasswordArguments;
use super::{Failure, Place, say};
use crate::config::{Overrides, parse_domain};

/// In the data folder: the domains of its last start, one a line.
pub(super) const DOMAINS_FILE: &str = "domains";

/// Errors of a bulk file that are shown; more are counted.
const SHOWN_MAX: usize = 8;
/// Ten million accounts; a limit for a wrong file.
const BULK_BYTES_MAX: u64 = 512 * 1024 * 1024;

#[derive(Subcommand)]
pub(super) enum UserCommand {
    /// Add an account; asks for the password if it is not given
    Add(AddArguments),
    /// List the accounts
    List(ListArguments),
    /// Change the password of an account
    Passwd(PasswdArguments),
    /// Keep an account from logging in, without losing anything of it
    Disable(JidArguments),
    /// Let a disabled account log in again
    Enable(JidArguments),
    /// Show what plan an account has, or give it another one
    Plan(PlanArguments),
    /// List the clients that have access to an account
    Clients(ClientsArguments),
    /// End the sessions of an account's clients and their tokens; the password stays
    Logout(LogoutArguments),
    /// Remove an account with everything it kept
    Remove(JidArguments),
    /// Make many accounts from a table (CSV), all or none
    Import(import::ImportArguments),
    /// Write all accounts as a table (CSV) that import reads; passwords stay secret and valid
    Export(export::ExportArguments),
}

#[derive(Args)]
pub(super) struct AddArguments {
    /// The new address, such as juliet@example.org
    #[arg(required_unless_present = "bulk", value_parser = parse_account)]
    jid: Option<BareJid>,
    #[command(flatten)]
    password: PasswordArguments,
    /// Add all accounts of a file with lines jid,password (- for standard input)
    #[arg(long, value_name = "FILE", conflicts_with_all = ["jid", "password", "password_stdin"])]
    bulk: Option<PathBuf>,
    #[command(flatten)]
    place: Place,
}

#[derive(Args)]
pub(super) struct ListArguments {
    /// Only the accounts of this domain
    domain: Option<String>,
    /// As JSON: a list of objects with jid, enabled, and created in seconds since 1970
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    place: Place,
}

#[derive(Args)]
pub(super) struct PasswdArguments {
    /// The account's address
    #[arg(value_parser = parse_account)]
    jid: BareJid,
    #[command(flatten)]
    password: PasswordArguments,
    #[command(flatten)]
    place: Place,
}

#[derive(Args)]
pub(super) struct ClientsArguments {
    /// The account's address
    #[arg(value_parser = parse_account)]
    jid: BareJid,
    /// As JSON: a list of objects
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    place: Place,
}

#[derive(Args)]
pub(super) struct LogoutArguments {
    /// The account's address
    #[arg(value_parser = parse_account)]
    jid: BareJid,
    /// Only this client, by the id that iris user clients shows
    #[arg(long, value_name = "ID")]
    client: Option<String>,
    #[command(flatten)]
    place: Place,
}

#[derive(Args)]
pub(super) struct JidArguments {
    /// The account's address
    #[arg(value_parser = parse_account)]
    jid: BareJid,
    #[command(flatten)]
    place: Place,
}

#[derive(Args)]
pub(super) struct PlanArguments {
    /// The account's address
    #[arg(value_parser = parse_account)]
    jid: BareJid,
    /// The name of a plan (the configuration's table [plans]); default for that of its domain
    plan: Option<String>,
    #[command(flatten)]
    place: Place,
}

pub(super) fn run(command: UserCommand) -> Result<(), Failure> {
    match command {
        UserCommand::Add(AddArguments { bulk: Some(file), place, .. }) => add_bulk(&file, &place),
        UserCommand::Add(AddArguments { jid: Some(jid), password, place, .. }) => {
            // The house first: nobody wants to type a password twice and then hear that there is no house.
            let admin = open(&place, &[&jid])?;
            let password = password.get(jid.as_str())?;
            admin.user_add(&jid, &password).map_err(|why| refused(why, "user add"))?;
            say(&format!("Added {jid}.\n"))
        }
        // clap insists on one of the two.
        UserCommand::Add(_) => Err(Failure::new("there is no address", "iris user add juliet@example.org")),
        UserCommand::List(ListArguments { domain, json, place }) => list(domain.as_deref(), json, &place),
        UserCommand::Import(arguments) => import::import(&arguments),
        UserCommand::Export(arguments) => export::export(&arguments),
        UserCommand::Passwd(PasswdArguments { jid, password, place }) => {
            let admin = open(&place, &[&jid])?;
            let password = password.get(jid.as_str())?;
            admin.user_passwd(&jid, &password).map_err(|why| refused(why, "user passwd"))?;
            say(&format!("Changed the password of {jid}.\n"))
        }
        UserCommand::Disable(JidArguments { jid, place }) => {
            open(&place, &[&jid])?.user_set_enabled(&jid, false).map_err(|why| refused(why, "user disable"))?;
            say(&format!("Disabled {jid}. It keeps everything and cannot log in.\n"))
        }
        UserCommand::Enable(JidArguments { jid, place }) => {
            open(&place, &[&jid])?.user_set_enabled(&jid, true).map_err(|why| refused(why, "user enable"))?;
            say(&format!("Enabled {jid}.\n"))
        }
        UserCommand::Plan(PlanArguments { jid, plan, place }) => {
            let row = open(&place, &[&jid])?.user_plan(&jid, plan.as_deref()).map_err(|why| refused(why, "user plan"))?;
            let whose = if row.own { "" } else { ", as its domain" };
            say(&format!("{jid} has the plan {}{whose}.\n", row.plan))
        }
        UserCommand::Clients(arguments) => clients::list(&arguments),
        UserCommand::Logout(arguments) => clients::logout(&arguments),
        UserCommand::Remove(JidArguments { jid, place }) => {
            open(&place, &[&jid])?.user_remove(&jid).map_err(|why| refused(why, "user remove"))?;
            say(&format!("Removed {jid}.\n"))
        }
    }
}

pub(super) fn refused(why: String, command: &str) -> Failure {
    let remedy = match command {
        "user add" if why.contains("exist") => "To give it another password: iris user passwd JID.",
        _ if why.contains("no account") || why.contains("no such account") => "To see what there is: iris user list.",
        _ => "",
    };
    Failure::new(why, remedy)
}

/// The running server, or its store if it does not run. `jids`: who will be spoken of.
pub(super) fn open(place: &Place, jids: &[&BareJid]) -> Result<Box<dyn Admin>, Failure> {
    match reach(place, jids)? {
        Reached::Running(client) => Ok(Box::new(client)),
        Reached::Closed(config) => {
            for jid in jids {
                let remedy = "Add the domain to the configuration first.";
                check_served(jid, &config.domains).map_err(|why| Failure::new(why, remedy))?;
            }
            crate::offline_admin(&config).map_err(|why| Failure::verbatim(&why))
        }
    }
}

/// The same without a look at the domains of `jids`, which say what the house will serve if nobody else does.
pub(super) fn open_any(place: &Place, jids: &[&BareJid]) -> Result<Box<dyn Admin>, Failure> {
    match reach(place, jids)? {
        Reached::Running(client) => Ok(Box::new(client)),
        Reached::Closed(config) => crate::offline_admin(&config).map_err(|why| Failure::verbatim(&why)),
    }
}

/// What is there.
pub(super) enum Reached {
    Running(Client),
    /// No server runs; this is its configuration.
    Closed(Box<crate::config::Config>),
}

pub(super) fn reach(place: &Place, jids: &[&BareJid]) -> Result<Reached, Failure> {
    let mut config = place.load(Overrides::default())?;
    if let Some(client) = Client::connect(&config.control_socket()).map_err(|why| Failure::new(why, ""))? {
        return Ok(Reached::Running(client));
    }
    // A folder that the operator did not name is not created here: most likely this is the wrong place.
    if place.config.is_none() && place.data_dir.is_none() && !config.data_dir.is_dir() {
        return Err(Failure::new(
            format!("there is no server's data in ./{} here", config.data_dir.display()),
            "Name it with --data-dir FOLDER or --config FILE, or start the server once: iris serve.",
        ));
    }
    if place.config.is_none() {
        config.domains = match remembered_domains(&config.data_dir) {
            Some(domains) => domains,
            // Nobody has started a server there: the addresses say which domains it will have.
            None => domains_of(jids).unwrap_or(config.domains),
        };
    }
    Ok(Reached::Closed(Box::new(config)))
}

fn domains_of(jids: &[&BareJid]) -> Option<Vec<String>> {
    let mut domains: Vec<String> = jids.iter().map(|jid| jid.domain().as_str().to_owned()).collect();
    domains.sort();
    domains.dedup();
    (!domains.is_empty()).then_some(domains)
}

/// The domains of the last start on this data, if it was started.
pub(super) fn remembered_domains(data_dir: &Path) -> Option<Vec<String>> {
    let text = std::fs::read_to_string(data_dir.join(DOMAINS_FILE)).ok()?;
    let domains: Vec<String> = text.lines().filter_map(|line| parse_domain(line).ok()).collect();
    (!domains.is_empty()).then_some(domains)
}

fn list(domain: Option<&str>, json: bool, place: &Place) -> Result<(), Failure> {
    let domain = domain.map(parse_domain).transpose().map_err(|why| Failure::new(why, "A domain looks like example.org."))?;
    let users = open(place, &[])?.user_list(domain.as_deref()).map_err(|why| refused(why, "user list"))?;
    match json {
        false => say(&table(&users)),
        true => say(&serde_json::to_string(&users).map_err(|error| Failure::new(error, ""))?),
    }
}

pub(super) fn table(users: &[UserRow]) -> String {
    if users.is_empty() {
        return "There are no accounts. Add one: iris user add juliet@example.org\n".to_owned();
    }
    let width = users.iter().map(|user| user.jid.chars().count()).max().unwrap_or(0).max("ACCOUNT".len());
    let mut out = format!("{:width$}  {:8}  CREATED (UTC)\n", "ACCOUNT", "STATE");
    for user in users {
        let created = iris_core::time::datetime(user.created.saturating_mul(1_000_000)).replace('T', " ");
        let created = created.get(..16).unwrap_or(&created);
        let state = if user.enabled { "enabled" } else { "disabled" };
        // Writing to a String cannot fail.
        let _ = writeln!(out, "{:width$}  {state:8}  {created}", user.jid);
    }
    out
}

fn add_bulk(file: &Path, place: &Place) -> Result<(), Failure> {
    let shown = if file == Path::new("-") { "standard input".to_owned() } else { file.display().to_string() };
    let text = read_bulk(file).and_then(|bytes| String::from_utf8(bytes).map_err(std::io::Error::other));
    let text = text.map_err(|error| Failure::new(format!("cannot read {shown}: {error}"), ""))?;
    let users = parse_bulk(&text).map_err(|errors| listed(&shown, &errors, "Nothing was added."))?;
    let jids: Vec<&BareJid> = users.iter().map(|(_, user)| &user.jid).collect();
    let admin = open(place, &jids)?;
    let (lines, users): (Vec<usize>, Vec<NewUser>) = users.into_iter().unzip();
    let results = admin.user_add_many(&users);
    let failed: Vec<OfLine<String>> =
        lines.into_iter().zip(results).filter_map(|(line, result)| Some((line, result.err()?))).collect();
    let added = users.len() - failed.len();
    if failed.is_empty() {
        return say(&format!("Added {added} accounts.\n"));
    }
    Err(listed(&shown, &failed, &format!("Added {added} accounts, {} not.", failed.len())))
}

fn read_bulk(file: &Path) -> std::io::Result<Vec<u8>> {
    let mut bytes = Vec::new();
    match file == Path::new("-") {
        true => std::io::stdin().lock().take(BULK_BYTES_MAX + 1).read_to_end(&mut bytes)?,
        false => File::open(file)?.take(BULK_BYTES_MAX + 1).read_to_end(&mut bytes)?,
    };
    // A part of the accounts would look like all of them.
    match bytes.len() as u64 > BULK_BYTES_MAX {
        true => Err(std::io::Error::other(format!("it has more than {} MiB", BULK_BYTES_MAX >> 20))),
        false => Ok(bytes),
    }
}

/// Something with the number of its line.
type OfLine<T> = (usize, T);

/// Lines `jid,password`; the password may have commas. Blank lines and lines that begin with `#` say nothing.
pub(super) fn parse_bulk(text: &str) -> Result<Vec<OfLine<NewUser>>, Vec<OfLine<String>>> {
    let (mut users, mut errors) = (Vec::new(), Vec::new());
    for (i, line) in text.trim_start_matches('\u{feff}').lines().enumerate() {
        if line.trim().is_empty() || line.starts_with('#') {
            continue;
        }
        match bulk_line(line) {
            Ok(user) => users.push((i + 1, user)),
            Err(why) => errors.push((i + 1, why)),
        }
    }
    if errors.is_empty() { Ok(users) } else { Err(errors) }
}

fn bulk_line(line: &str) -> Result<NewUser, String> {
    let (jid, password) = line.split_once(',').ok_or("there is no comma: a line is jid,password")?;
    let jid = parse_account(jid.trim())?;
    match password.is_empty() {
        true => Err("the password is empty".to_owned()),
        false => Ok(NewUser { jid, password: password.to_owned() }),
    }
}

fn listed(file: &str, errors: &[OfLine<String>], end: &str) -> Failure {
    let mut text = String::new();
    for (line, why) in errors.iter().take(SHOWN_MAX) {
        text += &crate::config::wrap::wrap(&format!("{file}:{line}: {why}"), 0, 2);
        text.push('\n');
    }
    if let Some(more @ 1..) = errors.len().checked_sub(SHOWN_MAX) {
        text += &format!("and {more} more.\n");
    }
    Failure::verbatim(&format!("{text}{end}"))
}
