//! What keys the accounts have, counted once at the start, and who wants to be told while away; from then on each account counts
//! itself.

use std::sync::Arc;
use std::time::Duration;

use iris_core::login::{self, Census, HashSet};
use iris_core::store::{Owned, PAGE_ENTRIES_MAX, Read, Rows, Shelf, Store};
use iris_core::{BareJid, Enrolled};
use iris_engine::negotiate::sasl::Credentials;
use iris_engine::{Hosts, Login};

/// And the names of accounts that have ended without everybody being told (`login::FAREWELL`): they have no login any more.
///
/// # Errors
/// The store cannot be read.
pub fn take(store: &dyn Store, domains: &[String]) -> Result<(Census, Vec<BareJid>), String> {
    let census = Census::new(domains.iter().cloned());
    let mut ended = Vec::new();
    for domain in domains {
        let mut partly = 0_u64;
        let mut after = None;
        loop {
            let page = page(store, domain, after, login::SHELF)?;
            after = page.last().map(|owned| owned.name.clone());
            ended.extend(page.iter().filter(|owned| owned.value.is_none()).filter_map(|owned| BareJid::new(&owned.name).ok()));
            for login in page.iter().filter_map(|owned| Login::decode(owned.value.as_ref()?)) {
                let set = Credentials::set_of(&login.credentials);
                partly += u64::from(set != HashSet::ALL);
                census.change(domain, None, Some(set));
            }
            if page.len() < PAGE_ENTRIES_MAX as usize {
                break;
            }
        }
        if partly > 0 {
            tracing::info!(
                domain,
                accounts = partly,
                "accounts that moved in lack keys for newer mechanisms until their next login"
            );
        }
    }
    Ok((census, ended))
}

/// Who wants to hear of what is said in rooms while away (`Doors::enrolled`).
///
/// # Errors
/// The store cannot be read.
pub fn enrolled(store: &dyn Store, hosts: &Hosts) -> Result<Enrolled, String> {
    let mut accounts = Vec::new();
    for doors in hosts.iter() {
        let Some(shelf) = doors.enrolled else { continue };
        let mut after = None;
        loop {
            let page = page(store, &doors.domain, after, shelf)?;
            after = page.last().map(|owned| owned.name.clone());
            accounts.extend(page.iter().filter(|owned| owned.value.is_some()).map(|owned| Box::from(&*owned.name)));
            if page.len() < PAGE_ENTRIES_MAX as usize {
                break;
            }
        }
    }
    Ok(Enrolled::new(accounts))
}

fn page(store: &dyn Store, domain: &str, after: Option<Arc<str>>, shelf: Shelf) -> Result<Vec<Owned>, String> {
    let (sender, receiver) = std::sync::mpsc::sync_channel(1);
    let read = Read::Owners { suffix: Arc::from(format!("@{domain}")), after, max: PAGE_ENTRIES_MAX, shelf };
    store.read(0, read, Box::new(move |rows| drop(sender.send(rows))));
    match receiver.recv_timeout(Duration::from_secs(30)) {
        Ok(Ok(Rows::Owners(owners))) => Ok(owners),
        Ok(Ok(_)) => Err("the store answered something else".into()),
        Ok(Err(error)) => Err(error.to_string()),
        Err(_) => Err("the store does not answer".into()),
    }
}
