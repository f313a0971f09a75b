//! `iris import`: the file is read twice. First it is checked to its end, then the users move in: several at once, each in order.
//!
//! A user's first part (credentials, roster and what else there is little of) is one write: kill -9 leaves it or not. The archive follows
//! in parts, at last the nodes with their items; the same import again puts nothing there twice.

use std::collections::{BTreeMap, HashSet};
use std::path::{Path, PathBuf};
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};
use std::sync::{Mutex, PoisonError};

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use clap::Args;
use iris_core::BareJid;
use iris_core::xml::El;
use iris_engine::negotiate::sasl::{Credentials, ScramRecord, check_password};
use iris_xep::xep0227_portable::PepPart;

use super::reader::{Piece, Place as Spot, read};
use crate::admin::{look_through_pep, pep_part};
use crate::cli::control::{AccountPart, Admin, Client, Secret, check_served};
use crate::cli::users::{open_any, refused, scram};
use crate::cli::{Failure, Place, say};
use crate::config::wrap::wrap;
use crate::config::{Overrides, parse_domain};

const SCRAM: &str = "urn:xmpp:pie:0#scram";
/// A part is sent when it has grown so large.
const PART_BYTES: usize = 1024 * 1024;
/// Users who move in at the same time: each of them waits for the disk.
const WORKERS: usize = 8;
/// Parts that wait for a worker.
const WAITING_PARTS_MAX: usize = 4;
const SHOWN_MAX: usize = 20;
/// A dry run names everything.
const DRY_SHOWN_MAX: usize = usize::MAX;

#[derive(Args)]
pub(in crate::cli) struct ImportArguments {
    /// The file (XEP-0227)
    file: PathBuf,
    /// Only the users of this domain
    #[arg(long, value_name = "DOMAIN")]
    domain: Option<String>,
    /// Check everything, name what is wrong and what would be left out, change nothing
    #[arg(long)]
    dry_run: bool,
    /// Leave users out that cannot be imported, instead of importing nobody
    #[arg(long)]
    skip_bad: bool,
    /// Accounts that exist get what the file has (without: a user that cannot be imported)
    #[arg(long)]
    update: bool,
    #[command(flatten)]
    place: Place,
}

/// What a pass over the file has found.
#[derive(Default)]
struct Found {
    users: usize,
    existing: usize,
    /// Users that cannot be imported, with where they stand.
    bad: Vec<(Spot, String)>,
    /// By the line of their `<user/>`.
    bad_users: HashSet<(PathBuf, u64)>,
    notes: Notes,
}

/// What is left out, each sentence once.
#[derive(Default)]
struct Notes(BTreeMap<String, (usize, Option<Spot>)>);

impl Notes {
    fn add(&mut self, spot: &Spot, note: String) {
        let known = self.0.entry(note).or_insert_with(|| (0, Some(spot.clone())));
        known.0 += 1;
    }

    fn knows(&self, note: &str) -> bool {
        self.0.contains_key(note)
    }

    fn append(&mut self, mut others: Notes) {
        self.0.append(&mut others.0);
    }

    fn text(&self, max: usize) -> String {
        let mut text = String::new();
        for (note, (count, spot)) in self.0.iter().take(max) {
            let spot = spot.as_ref().map_or(String::new(), |spot| format!("{spot}: "));
            let more = if *count > 1 { format!(" ({count} times)") } else { String::new() };
            text += &wrap(&format!("Note: {spot}{note}{more}"), 0, 2);
            text.push('\n');
        }
        if let Some(more @ 1..) = self.0.len().checked_sub(max) {
            text += &format!("and {more} more notes; --dry-run shows them.\n");
        }
        text
    }
}

pub(in crate::cli) fn import(arguments: &ImportArguments) -> Result<(), Failure> {
    let ImportArguments { file, domain, dry_run, skip_bad, update, place } = arguments;
    if file == Path::new("-") {
        return Err(Failure::new("the file is read twice, so it cannot be standard input", "Write it to a file first."));
    }
    let only = domain.as_deref().map(parse_domain).transpose();
    let only = only.map_err(|why| Failure::new(why, "A domain looks like example.org."))?;
    let cannot = |why: String| Failure::new(why, "Nothing was imported.");
    // A house that nobody has started yet gets the domains of the file.
    let hosts = hosts(file, only.as_deref()).map_err(cannot)?;
    let jids: Vec<BareJid> = hosts.iter().filter_map(|host| BareJid::new(&format!("x@{host}")).ok()).collect();
    let admin = open_any(place, &jids.iter().collect::<Vec<_>>())?;
    let domains = admin.domains().map_err(|why| refused(why, "import"))?;
    let rows = admin.user_list(None).map_err(|why| refused(why, "import"))?;
    let existing: HashSet<String> = rows.into_iter().map(|row| row.jid).collect();
    let roster_items_max = place.load(Overrides::default())?.limits.roster_items_max;
    let check = Check { only: only.as_deref(), domains: &domains, existing: &existing, update: *update, roster_items_max };
    let mut found = check.run(file).map_err(cannot)?;
    let bad_text = listed(&found.bad, if *dry_run { DRY_SHOWN_MAX } else { SHOWN_MAX });
    if *dry_run {
        let end = summary("would be", &found);
        let text = format!("{bad_text}{}{end}", found.notes.text(DRY_SHOWN_MAX));
        return if found.bad.is_empty() { say(&text) } else { Err(Failure::verbatim(&text)) };
    }
    if !found.bad.is_empty() && !skip_bad {
        let end = "Nothing was imported. Mend the file, or leave these users out: --skip-bad.";
        return Err(Failure::verbatim(&format!("{bad_text}{end}")));
    }
    let doors = Doors::open(admin, place)?;
    let failed = move_in(file, only.as_deref(), &found, *update, &doors)
        .map_err(|why| Failure::new(why, "Some users were imported; the same with --update goes on."))?;
    found.notes.append(failed.notes);
    let text = format!("{bad_text}{}", found.notes.text(SHOWN_MAX));
    if failed.users.is_empty() {
        return say(&format!("{text}{}", summary("were", &found)));
    }
    let failures = listed(&failed.users, SHOWN_MAX);
    let end = format!("{} users were not imported whole. To go on: the same with --update.", failed.users.len());
    Err(Failure::verbatim(&format!("{text}{failures}{end}")))
}

fn summary(verb: &str, found: &Found) -> String {
    let new = found.users - found.existing;
    let existing = if found.existing > 0 { format!(", {} {verb} updated", found.existing) } else { String::new() };
    let bad = if found.bad_users.is_empty() { String::new() } else { format!(", {} left out", found.bad_users.len()) };
    format!("{new} accounts {verb} imported{existing}{bad}.\n")
}

fn listed(bad: &[(Spot, String)], max: usize) -> String {
    let mut text = String::new();
    for (spot, why) in bad.iter().take(max) {
        text += &wrap(&format!("{spot}: {why}"), 0, 2);
        text.push('\n');
    }
    if let Some(more @ 1..) = bad.len().checked_sub(max) {
        text += &format!("and {more} more; --dry-run names them all.\n");
    }
    text
}

fn hosts(file: &Path, only: Option<&str>) -> Result<Vec<String>, String> {
    let mut hosts: Vec<String> = Vec::new();
    read(file, &mut |_, piece| {
        if let Piece::User { host, .. } = piece
            && let Ok(host) = parse_domain(&host)
            && only.is_none_or(|only| *only == host)
            && !hosts.contains(&host)
        {
            hosts.push(host);
        }
    })?;
    Ok(hosts)
}

/// The address of a user; `None`: of a domain that is not wanted.
fn address(host: &str, name: &str, only: Option<&str>) -> Result<Option<BareJid>, String> {
    let host = parse_domain(host)?;
    if only.is_some_and(|only| *only != host) {
        return Ok(None);
    }
    let jid = BareJid::new(&format!("{name}@{host}")).map_err(|why| format!("{name:?} is no user's name: {why}"))?;
    match jid.node().is_some() && jid.domain().as_str() == host {
        true => Ok(Some(jid)),
        false => Err(format!("{name:?} is no user's name")),
    }
}

// --- checking -------------------------------------------------------------------------------------------------------------

struct Check<'a> {
    only: Option<&'a str>,
    domains: &'a [String],
    existing: &'a HashSet<String>,
    update: bool,
    roster_items_max: usize,
}

/// A user whose end has not been read.
struct Current {
    spot: Spot,
    jid: BareJid,
    records: Vec<ScramRecord>,
    contacts: usize,
    /// Nodes and items, and where the last of them stand.
    pep: Vec<String>,
    pep_spot: Option<Spot>,
}

impl Check<'_> {
    fn run(&self, file: &Path) -> Result<Found, String> {
        let (mut found, mut seen) = (Found::default(), HashSet::new());
        let mut current: Option<Current> = None;
        read(file, &mut |spot, piece| match piece {
            Piece::User { host, name, password } => {
                current = None;
                let checked = address(&host, &name, self.only).and_then(|jid| {
                    let Some(jid) = jid else { return Ok(None) };
                    self.user(&jid, password.as_deref())?;
                    match seen.insert(jid.clone()) {
                        true => Ok(Some(jid)),
                        false => Err(format!("{jid} is there twice")),
                    }
                });
                match checked {
                    Ok(None) => {}
                    Ok(Some(jid)) => {
                        found.users += 1;
                        found.existing += usize::from(self.existing.contains(jid.as_str()));
                        let (records, pep) = (Vec::new(), Vec::new());
                        current = Some(Current { spot: spot.clone(), jid, records, contacts: 0, pep, pep_spot: None });
                    }
                    Err(why) => found.refuse(spot, spot, why),
                }
            }
            Piece::Child(xml) => {
                let Some(user) = &mut current else { return };
                match child(&xml, &mut user.records) {
                    Ok(true) => {}
                    Ok(false) => {
                        let (notes, contacts) = crate::admin::look_through(&user.jid, &xml);
                        user.contacts += contacts;
                        if notes.is_empty() && pep_part(&xml).is_some() {
                            user.pep.push(xml);
                            user.pep_spot = Some(spot.clone());
                        }
                        for note in notes {
                            found.notes.add(spot, note);
                        }
                    }
                    Err(why) => {
                        if let Some(user) = current.take() {
                            self.withdraw(&mut found, spot, &user, why);
                        }
                    }
                }
            }
            Piece::UserEnd => {
                let Some(user) = current.take() else { return };
                if let Some(spot) = &user.pep_spot {
                    look_through_pep(&user.jid, &user.pep).into_iter().for_each(|note| found.notes.add(spot, note));
                }
                if let Err(why) = crate::admin::check_roster(&user.jid, user.contacts, self.roster_items_max) {
                    self.withdraw(&mut found, &user.spot, &user, why);
                }
            }
            Piece::Note(note) => found.notes.add(spot, note),
        })?;
        Ok(found)
    }

    /// A user who was counted cannot be imported after all.
    fn withdraw(&self, found: &mut Found, at: &Spot, user: &Current, why: String) {
        let known = self.existing.contains(user.jid.as_str());
        (found.users, found.existing) = (found.users - 1, found.existing - usize::from(known));
        found.refuse(at, &user.spot, why);
    }

    fn user(&self, jid: &BareJid, password: Option<&str>) -> Result<(), String> {
        check_served(jid, self.domains)?;
        if self.existing.contains(jid.as_str()) && !self.update {
            return Err(format!("the account {jid} exists already. To add to it: --update"));
        }
        password.map_or(Ok(()), |password| check_password(password).map_err(|why| format!("{jid}: {why}")))
    }
}

impl Found {
    fn refuse(&mut self, spot: &Spot, user: &Spot, why: String) {
        self.bad.push((spot.clone(), why));
        self.bad_users.insert((user.file.clone(), user.line));
    }
}

/// True: it was a record of credentials, and is with the others now.
fn child(xml: &str, records: &mut Vec<ScramRecord>) -> Result<bool, String> {
    let Some(el) = El::parse(xml.as_bytes()).filter(|el| el.is(SCRAM, "scram-credentials")) else { return Ok(false) };
    let text = |name: &str| el.child(SCRAM, name).map(|child| child.text().trim().to_owned());
    let wanted = |name: &str| text(name).ok_or_else(|| format!("<scram-credentials/> has no <{name}/>"));
    let decoded =
        |name: &str| STANDARD.decode(wanted(name)?).map_err(|_| format!("<scram-credentials/>: <{name}/> is not base64"));
    let iterations = wanted("iter-count")?;
    let record = ScramRecord {
        hash: scram::hash(&el.attr("mechanism").unwrap_or_default())?,
        iterations: iterations.parse().map_err(|_| format!("<iter-count/> {iterations:?} is no number"))?,
        salt: decoded("salt")?,
        stored_key: decoded("stored-key")?,
        server_key: decoded("server-key")?,
    };
    records.push(record);
    Credentials::from_records(records).map(|_| true).map_err(|why| why.to_string())
}

// --- moving in ------------------------------------------------------------------------------------------------------------

/// Where the parts go: each worker has a connection of its own, or all share the opened house.
enum Doors {
    Shared(Box<dyn Admin>),
    Many(Vec<Client>),
}

impl Doors {
    fn open(admin: Box<dyn Admin>, place: &Place) -> Result<Doors, Failure> {
        let socket = place.load(Overrides::default())?.control_socket();
        let mut clients = Vec::new();
        for _ in 0..WORKERS {
            match Client::connect(&socket).map_err(|why| Failure::new(why, ""))? {
                Some(client) => clients.push(client),
                // It is the one that is open here.
                None => return Ok(Doors::Shared(admin)),
            }
        }
        Ok(Doors::Many(clients))
    }

    fn at(&self, worker: usize) -> &dyn Admin {
        match self {
            Doors::Shared(admin) => &**admin,
            Doors::Many(clients) => clients.get(worker).map_or(&clients[0], |client| client),
        }
    }
}

#[derive(Default)]
struct Failed {
    users: Vec<(Spot, String)>,
    /// Of which the check knew nothing.
    notes: Notes,
}

type Work = (Spot, AccountPart);

fn move_in(file: &Path, only: Option<&str>, found: &Found, update: bool, doors: &Doors) -> Result<Failed, String> {
    let failed = Mutex::new(Failed::default());
    let read = std::thread::scope(|scope| {
        let mut senders: Vec<SyncSender<Work>> = Vec::new();
        for worker in 0..WORKERS {
            let (sender, receiver) = sync_channel(WAITING_PARTS_MAX);
            senders.push(sender);
            let failed = &failed;
            scope.spawn(move || work(doors.at(worker), &receiver, found, failed));
        }
        let mut moving: Option<Moving> = None;
        let mut number = 0;
        read(file, &mut |spot, piece| match piece {
            Piece::User { host, name, password } => {
                let left_out = found.bad_users.contains(&(spot.file.clone(), spot.line));
                let jid = address(&host, &name, only).ok().flatten().filter(|_| !left_out);
                number += 1;
                moving = jid.map(|jid| Moving::new(spot.clone(), jid, password, update, number % WORKERS));
            }
            Piece::Child(xml) => {
                if let Some(moving) = &mut moving {
                    moving.take(xml, &senders);
                }
            }
            Piece::UserEnd => {
                if let Some(moving) = moving.take() {
                    moving.end(&senders);
                }
            }
            Piece::Note(_) => {}
        })
    });
    read?;
    Ok(failed.into_inner().unwrap_or_else(PoisonError::into_inner))
}

fn work(admin: &dyn Admin, parts: &Receiver<Work>, found: &Found, failed: &Mutex<Failed>) {
    let mut given_up: Option<BareJid> = None;
    for (spot, part) in parts {
        let jid = part.jid.0.clone();
        // The rest of a user of whom a part could not be kept would only look whole.
        if given_up.as_ref() == Some(&jid) {
            continue;
        }
        let outcome = admin.account_import(&part);
        let mut failed = failed.lock().unwrap_or_else(PoisonError::into_inner);
        match outcome {
            Ok(notes) => {
                notes.into_iter().filter(|note| !found.notes.knows(note)).for_each(|note| failed.notes.add(&spot, note));
            }
            Err(why) => {
                failed.users.push((spot, format!("{jid}: {why}")));
                given_up = Some(jid);
            }
        }
    }
}

/// A user on the way.
struct Moving {
    spot: Spot,
    jid: BareJid,
    password: Option<String>,
    records: Vec<ScramRecord>,
    children: Vec<String>,
    bytes: usize,
    /// They wait for the last child, because parts have an end: items without the options of their node would be left out.
    nodes: Vec<String>,
    items: Vec<String>,
    update: bool,
    /// Records that the account was made with.
    made_with: Option<usize>,
    worker: usize,
}

impl Moving {
    fn new(spot: Spot, jid: BareJid, password: Option<String>, update: bool, worker: usize) -> Moving {
        let (records, children, nodes, items) = (Vec::new(), Vec::new(), Vec::new(), Vec::new());
        Moving { spot, jid, password, records, children, bytes: 0, nodes, items, update, made_with: None, worker }
    }

    fn take(&mut self, xml: String, senders: &[SyncSender<Work>]) {
        if child(&xml, &mut self.records) == Ok(true) {
            return;
        }
        match pep_part(&xml) {
            Some(PepPart::Nodes) => self.nodes.push(xml),
            Some(PepPart::Items) => self.items.push(xml),
            None => self.put(xml, senders),
        }
    }

    fn put(&mut self, xml: String, senders: &[SyncSender<Work>]) {
        self.bytes += xml.len();
        self.children.push(xml);
        if self.bytes >= PART_BYTES {
            self.send(senders);
        }
    }

    fn end(mut self, senders: &[SyncSender<Work>]) {
        let (nodes, items) = (std::mem::take(&mut self.nodes), std::mem::take(&mut self.items));
        self.children.extend(nodes.iter().cloned());
        for xml in items {
            if self.children.is_empty() {
                self.children.extend(nodes.iter().cloned());
            }
            self.put(xml, senders);
        }
        if self.made_with != Some(self.records.len()) || !self.children.is_empty() {
            self.send(senders);
        }
    }

    fn send(&mut self, senders: &[SyncSender<Work>]) {
        let known = self.records.len();
        let secret = match &self.password {
            _ if self.made_with == Some(known) => None,
            // From a password in clear the keys of all mechanisms are made.
            Some(password) => Some(Secret::Password(password.clone())),
            None if known > 0 => Some(Secret::Scram(scram::format(&self.records))),
            // Whoever is there keeps the password.
            None if self.update => Some(Secret::Keep),
            None => Some(Secret::Nobody),
        };
        let replace = self.update || self.made_with.is_some();
        let children = std::mem::take(&mut self.children);
        let part = AccountPart { jid: self.jid.clone().into(), secret, replace, children };
        (self.bytes, self.made_with) = (0, Some(known));
        if let Some(sender) = senders.get(self.worker) {
            // A worker that is gone has panicked; the scope tells.
            let _ = sender.send((self.spot.clone(), part));
        }
    }
}
