//! Accounts that move in and out: whole lines of a table, and parts of a file in the format of XEP-0227.

use std::sync::Arc;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use bytes::Bytes;
use iris_core::ask::{MovedEntry, MovingIn};
use iris_core::login;
use iris_core::store::{Item, LogQuery, OwnerId, Read, Rows, Shelf};
use iris_core::task::Finish;
use iris_core::xml::{El, NameTable};
use iris_core::{BareJid, Stanza, ns};
use iris_engine::account::roster;
use iris_engine::negotiate::sasl::{Credentials, ITERATIONS_MIN};
use iris_engine::{Ask, Login};
use iris_xep::xep0227_portable as portable;
use iris_xep::xep0227_portable::PepPart;

use super::HouseAdmin;
use crate::cli::control::{AccountPart, AccountPiece, Secret, UserExport, UserImport, check_served};
use crate::cli::scram;
use crate::ports::derive;

/// Entries of a log in one part: so many, or as many as fit.
const PART_ENTRIES: u32 = 500;
const PART_BYTES: usize = 4 * 1024 * 1024;
/// Five questions, each of which has its own limit.
const SETTLING_TIME_MAX: Duration = Duration::from_secs(30);

const SCRAM: &str = "urn:xmpp:pie:0#scram";

impl HouseAdmin {
    pub(super) fn import(&self, user: &UserImport) -> Result<(), String> {
        let jid = &user.jid.0;
        check_served(jid, &self.domains)?;
        if user.secret == Secret::Keep {
            return self.order(jid, Ask::SetEnabled(user.enabled));
        }
        let created_us = user.created.map_or_else(now_us, |created| created.saturating_mul(1_000_000));
        let login = Login { enabled: user.enabled, created_us, since_us: 0, credentials: self.keys(&user.secret)? };
        let moving = MovingIn { login: Some(login), replaces: user.replace, ..MovingIn::default() };
        self.order(jid, Ask::MoveIn(Box::new(moving)))
    }

    fn keys(&self, secret: &Secret) -> Result<Bytes, String> {
        match secret {
            Secret::Password(password) => derive(password, self.iterations),
            Secret::Generated(password) => derive(password, ITERATIONS_MIN),
            Secret::Scram(text) => {
                let credentials = Credentials::from_records(&scram::parse(text)?).map_err(|why| why.to_string())?;
                Ok(credentials.encode().into())
            }
            Secret::Nobody | Secret::Keep => {
                let mut failed = None;
                let fill = |bytes: &mut [u8]| failed = getrandom::fill(bytes).err().or(failed.take());
                let credentials = Credentials::of_nobody(fill, self.iterations);
                match failed {
                    None => Ok(credentials.encode().into()),
                    Some(error) => Err(format!("the system has no randomness: {error}")),
                }
            }
        }
    }

    pub(super) fn export(&self, domain: Option<&str>, after: Option<&str>, max: u32) -> Result<Vec<UserExport>, String> {
        let behind = after.and_then(|after| after.rsplit_once('@')).map(|(_, domain)| domain);
        let mut wanted: Vec<String> = self.wanted(domain)?.into_iter().cloned().collect();
        // The domains before that of `after` are done.
        let at = behind.and_then(|behind| wanted.iter().position(|it| it == behind));
        wanted.drain(..at.unwrap_or(0));
        for domain in wanted {
            let mut from = after.filter(|_| behind == Some(&*domain)).map(Arc::from);
            loop {
                let page = self.page(&domain, from, max)?;
                let Some(last) = page.last() else { break };
                from = Some(last.name.clone());
                let rows: Vec<UserExport> = page
                    .into_iter()
                    .filter_map(|owned| {
                        let login = Login::decode(&owned.value?)?;
                        let scram = Credentials::decode(&login.credentials).map(|it| scram::format(&it.records()));
                        let (jid, created) = (owned.name.to_string(), login.created_us / 1_000_000);
                        Some(UserExport { jid, scram: scram.unwrap_or_default(), enabled: login.enabled, created })
                    })
                    .collect();
                if !rows.is_empty() {
                    return Ok(rows);
                }
            }
        }
        Ok(Vec::new())
    }

    // --- XEP-0227 -----------------------------------------------------------------------------------------------------

    pub(super) fn take_part(&self, part: &AccountPart) -> Result<Vec<String>, String> {
        let jid = &part.jid.0;
        check_served(jid, &self.domains)?;
        let Converted { mut items, entries, notes } = convert(jid, &part.children, Some(&self.nodes_of(jid)?))?;
        if items.iter().any(|(shelf, ..)| *shelf == roster::SHELF) {
            let mut all = self.woken(jid, &[roster::SHELF])?.map_or(Vec::new(), |(_, there)| there);
            all.extend(roster_of(&items));
            check_roster(jid, roster::portable::contacts(&all), self.roster_items_max)?;
        }
        let waiting = entries.iter().filter(|entry| entry.shelf == portable::OFFLINE).count();
        if waiting > 0 {
            let count = self.waiting(jid)? + waiting as u64;
            items.push((portable::OFFLINE_COUNT, Arc::from(""), count.to_string().into()));
        }
        let login = match &part.secret {
            None => None,
            // Whoever is not there yet has no password to keep.
            Some(Secret::Keep) if self.woken(jid, &[])?.is_some() => None,
            Some(secret) => Some(Login { enabled: true, created_us: now_us(), since_us: 0, credentials: self.keys(secret)? }),
        };
        let settles = items.iter().any(|(shelf, ..)| portable::wants_to_settle(*shelf));
        let moving = MovingIn { login, replaces: part.replace, items, entries };
        self.order(jid, Ask::MoveIn(Box::new(moving)))?;
        if settles {
            self.settle_in(jid)?;
        }
        Ok(notes)
    }

    fn settle_in(&self, jid: &BareJid) -> Result<(), String> {
        let (sender, receiver) = std::sync::mpsc::sync_channel(1);
        let account = jid.clone();
        self.net.host(jid.domain().as_str(), move |turn| {
            turn.spawn(move |cx| {
                Box::pin(async move {
                    let settled = portable::settle_in(account, cx).await;
                    // The command may have given up.
                    let _ = sender.send(settled.map_err(|why| why.condition.as_str().to_owned()));
                    Finish::Done
                })
            });
        })?;
        let settled = receiver.recv_timeout(SETTLING_TIME_MAX).unwrap_or_else(|_| Err("it does not answer".to_owned()));
        settled.map_err(|why| format!("the card and the picture have moved in, but not into step with each other: {why}"))
    }

    /// Its nodes and their items: one that comes again takes the place of the one that is there.
    fn nodes_of(&self, jid: &BareJid) -> Result<Vec<Item>, String> {
        Ok(self.woken(jid, &portable::PEP_THERE)?.map_or(Vec::new(), |(_, items)| items))
    }

    /// Messages that wait for an account already.
    fn waiting(&self, jid: &BareJid) -> Result<u64, String> {
        let Some((owner, _)) = self.woken(jid, &[])? else { return Ok(0) };
        let query = LogQuery { max: 1, count: true, ..LogQuery::default() };
        match self.ask_store(Read::Log { owner, shelf: portable::OFFLINE, query })? {
            Rows::Log(page) => Ok(page.count.unwrap_or(0)),
            _ => Err("the store answered something else".into()),
        }
    }

    fn woken(&self, jid: &BareJid, shelves: &[Shelf]) -> Result<Option<(OwnerId, Vec<Item>)>, String> {
        match self.ask_store(Read::Wake { name: jid.as_str().into(), shelves: shelves.into() })? {
            Rows::Woken(woken) => Ok(woken.map(|woken| (woken.owner, woken.items))),
            _ => Err("the store answered something else".into()),
        }
    }

    /// 0: all but the logs. Then `log << 56 | the id behind which the part begins`.
    pub(super) fn give_part(&self, jid: &BareJid, at: u64) -> Result<AccountPiece, String> {
        check_served(jid, &self.domains)?;
        let mut shelves = vec![login::SHELF, roster::SHELF];
        shelves.extend(portable::ITEMS);
        let nobody = || format!("there is no account {jid}");
        let (owner, items) = self.woken(jid, if at == 0 { &shelves } else { &[] })?.ok_or_else(nobody)?;
        if at == 0 {
            return Ok(AccountPiece { children: first_part(&items), next: Some(first_of(0)) });
        }
        let (number, after) = ((at >> ID_BITS) as usize - 1, at & ID_MASK);
        let Some(shelf) = portable::LOGS.get(number).copied() else { return Ok(AccountPiece::default()) };
        let query = LogQuery { after: Some(iris_core::store::EntryId(after)), max: PART_ENTRIES, ..LogQuery::default() };
        let Rows::Log(page) = self.ask_store(Read::Log { owner, shelf, query })? else {
            return Err("the store answered something else".into());
        };
        let (mut piece, mut bytes, mut last) = (AccountPiece::default(), 0, after);
        let mut whole = page.complete;
        for entry in &page.entries {
            if bytes > PART_BYTES {
                whole = false;
                break;
            }
            last = entry.id.0;
            match portable::entry_out(shelf, jid, entry) {
                Some(child) => {
                    bytes += child.len();
                    piece.children.push(child);
                }
                None => tracing::warn!(shelf = shelf.name, "an entry is not exported: it is not what we wrote"),
            }
        }
        let more = number + 1 < portable::LOGS.len();
        piece.next = match whole {
            false => Some(place(number, last)),
            true => more.then(|| first_of(number + 1)),
        };
        Ok(piece)
    }
}

/// Ids are microseconds: 2^56 of them are two thousand years.
const ID_BITS: u32 = 56;
const ID_MASK: u64 = (1 << ID_BITS) - 1;

fn place(log: usize, after: u64) -> u64 {
    ((log as u64 + 1) << ID_BITS) | (after & ID_MASK)
}

fn first_of(log: usize) -> u64 {
    place(log, 0)
}

fn first_part(items: &[Item]) -> Vec<String> {
    let login = items.iter().find(|item| item.shelf == login::SHELF).and_then(|item| Login::decode(&item.value));
    let credentials = login.and_then(|login| Credentials::decode(&login.credentials).ok());
    let mut children: Vec<String> = credentials.iter().flat_map(Credentials::records).map(|it| scram_xml(&it)).collect();
    let rosters: Vec<Item> = items.iter().filter(|item| item.shelf == roster::SHELF).cloned().collect();
    let (query, requests) = roster::portable::move_out(&rosters);
    children.extend(query);
    children.extend(portable::move_out(items));
    children.extend(requests);
    children
}

/// XEP-0227, "SCRAM credentials".
fn scram_xml(record: &iris_engine::negotiate::sasl::ScramRecord) -> String {
    use base64::Engine;
    let base64 = |bytes: &[u8]| base64::engine::general_purpose::STANDARD.encode(bytes);
    format!(
        "<scram-credentials xmlns='{SCRAM}' mechanism='SCRAM-{}'><iter-count>{}</iter-count><salt>{}</salt>\
         <server-key>{}</server-key><stored-key>{}</stored-key></scram-credentials>",
        record.hash.name(),
        record.iterations,
        base64(&record.salt),
        base64(&record.server_key),
        base64(&record.stored_key),
    )
}

struct Converted {
    items: Vec<(Shelf, Arc<str>, Bytes)>,
    entries: Vec<MovedEntry>,
    notes: Vec<String>,
}

/// Children of a `<user/>` as the account will keep them. `there`: which items it has; `None`: not all that belongs together is at hand.
fn convert(jid: &BareJid, children: &[String], there: Option<&[Item]>) -> Result<Converted, String> {
    let parsed = children.iter().map(|child| check(child)).collect::<Result<Vec<_>, String>>()?;
    let now = now_us();
    let mut moving = portable::Moving::default();
    let (mut contacts, mut requests, mut unknown) = (Vec::new(), Vec::new(), Vec::new());
    for child in parsed {
        match (child.ns(), child.local()) {
            (ns::ROSTER, "query") => contacts.extend(child.children().filter(|item| item.is(ns::ROSTER, "item"))),
            (ns::CLIENT, "presence") => requests.push(child),
            _ if moving.take(&child, jid, now) => {}
            _ => unknown.push(format!("<{} xmlns='{}'/> is not known and was left out", child.local(), child.ns())),
        }
    }
    if let Some(there) = there {
        moving.finish(jid, now, there);
    }
    let (kept, mut notes) = roster::portable::move_in(contacts.into_iter(), requests.into_iter(), now);
    notes.append(&mut moving.notes);
    notes.append(&mut unknown);
    let mut items = moving.items;
    items.extend(kept.into_iter().map(|(key, value)| (roster::SHELF, key, value)));
    let moved = |it: portable::MovingEntry| MovedEntry { shelf: it.shelf, id: it.id, peer: it.peer, tag: 0, entry: it.entry };
    Ok(Converted { items, entries: moving.entries.into_iter().map(moved).collect(), notes })
}

fn roster_of(items: &[(Shelf, Arc<str>, Bytes)]) -> impl Iterator<Item = Item> {
    let of_roster = items.iter().filter(|(shelf, ..)| *shelf == roster::SHELF);
    of_roster.map(|(shelf, key, value)| Item { shelf: *shelf, key: key.clone(), value: value.clone() })
}

/// A roster beyond the limit would stay beyond it: its owner could add nobody, and pays with memory at each login.
pub(crate) fn check_roster(jid: &BareJid, contacts: usize, max: usize) -> Result<(), String> {
    match contacts > max {
        true => Err(format!("{jid}: {contacts} contacts, more than roster_items_max = {max} (in [limits]) allows")),
        false => Ok(()),
    }
}

/// What of one child of a `<user/>` will not be kept, and how many contacts it brings. Of those of which only all together say what
/// becomes of them (`pep_part`): see `look_through_pep`.
pub(crate) fn look_through(jid: &BareJid, child: &str) -> (Vec<String>, usize) {
    match convert(jid, std::slice::from_ref(&child.to_owned()), None) {
        Ok(converted) => {
            let roster: Vec<Item> = roster_of(&converted.items).collect();
            (converted.notes, roster::portable::contacts(&roster))
        }
        Err(why) => (vec![why], 0),
    }
}

/// What of a user's nodes and items will not be kept. `children`: all that `pep_part` knows.
pub(crate) fn look_through_pep(jid: &BareJid, children: &[String]) -> Vec<String> {
    convert(jid, children, Some(&[])).map_or_else(|why| vec![why], |converted| converted.notes)
}

/// Is this child about nodes, and on which side?
pub(crate) fn pep_part(child: &str) -> Option<PepPart> {
    El::parse(child.as_bytes()).and_then(|child| portable::pep_part(&child))
}

/// Depth and size, before anybody walks through it.
fn check(child: &str) -> Result<El<'_>, String> {
    Stanza::parse(child.as_bytes(), &NameTable::new()).map_err(|why| format!("not XML as a stream may carry it: {why:?}"))?;
    El::parse(child.as_bytes()).ok_or_else(|| "not XML".to_owned())
}

fn now_us() -> u64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    u64::try_from(since.as_micros()).unwrap_or(u64::MAX)
}
