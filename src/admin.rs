//! What an administrator orders, carried out by the accounts themselves: one way for the control socket and for a command that
//! opens a closed house.

use std::sync::Arc;
use std::time::Duration;

use iris_core::BareJid;
use iris_core::login;
use iris_core::store::{Owned, Read, Rows, Store};
use iris_engine::{Ask, AskAnswer, Login};
use iris_net::Net;

use crate::cli::control::{Admin, UserRow, check_served};
use crate::config::Config;
use crate::ports::derive;

pub struct HouseAdmin {
    net: Arc<Net>,
    store: Arc<dyn Store>,
    domains: Vec<String>,
    iterations: u32,
}

/// Accounts read at once.
const PAGE: u32 = 500;

impl HouseAdmin {
    pub fn new(net: Arc<Net>, store: Arc<dyn Store>, config: &Config) -> HouseAdmin {
        HouseAdmin { net, store, domains: config.domains.clone(), iterations: config.accounts.scram_iterations }
    }

    /// Is there any account in any of the domains?
    pub fn has_accounts(&self) -> Result<bool, String> {
        for domain in &self.domains {
            if !self.page(domain, None, 1)?.is_empty() {
                return Ok(true);
            }
        }
        Ok(false)
    }

    fn page(&self, domain: &str, after: Option<Arc<str>>, max: u32) -> Result<Vec<Owned>, String> {
        let (sender, receiver) = std::sync::mpsc::sync_channel(1);
        let suffix = Arc::from(format!("@{domain}"));
        let read = Read::Owners { suffix, after, max, shelf: login::SHELF };
        self.store.read(0, read, Box::new(move |rows| drop(sender.send(rows))));
        match receiver.recv_timeout(Duration::from_secs(30)) {
            Ok(Ok(Rows::Owners(owners))) => Ok(owners),
            Ok(Ok(_)) => Err("the store answered something else".into()),
            Ok(Err(error)) => Err(error.to_string()),
            Err(_) => Err("the store does not answer".into()),
        }
    }

    fn order(&self, jid: &BareJid, ask: Ask) -> Result<(), String> {
        check_served(jid, &self.domains)?;
        match self.net.ask(jid, ask) {
            AskAnswer::Done => Ok(()),
            AskAnswer::NotFound => Err(format!("there is no account {jid}")),
            AskAnswer::Exists => Err(format!("the account {jid} exists already")),
            AskAnswer::Failed(why) => Err(why),
            _ => Err("the account answered something else".into()),
        }
    }
}

impl Admin for HouseAdmin {
    fn user_add(&self, jid: &BareJid, password: &str) -> Result<(), String> {
        check_served(jid, &self.domains)?;
        self.order(jid, Ask::Provision { credentials: derive(password, self.iterations)? })
    }

    fn user_list(&self, domain: Option<&str>) -> Result<Vec<UserRow>, String> {
        let mut rows = Vec::new();
        let wanted: Vec<&String> = self.domains.iter().filter(|it| domain.is_none_or(|domain| domain == **it)).collect();
        if let (true, Some(domain)) = (wanted.is_empty(), domain) {
            return Err(format!("{domain} is not served here; served are: {}", self.domains.join(", ")));
        }
        for domain in wanted {
            let mut after = None;
            loop {
                let page = self.page(domain, after, PAGE)?;
                after = page.last().map(|owned| owned.name.clone());
                let full = page.len() as u32 == PAGE;
                rows.extend(page.into_iter().filter_map(|owned| {
                    // An owner without a login record is no person (a room, later).
                    let login = Login::decode(&owned.value?)?;
                    let jid = owned.name.to_string();
                    Some(UserRow { jid, enabled: login.enabled, created: login.created_us / 1_000_000 })
                }));
                if !full {
                    break;
                }
            }
        }
        rows.sort_unstable_by(|a, b| a.jid.cmp(&b.jid));
        Ok(rows)
    }

    fn user_passwd(&self, jid: &BareJid, password: &str) -> Result<(), String> {
        self.order(jid, Ask::SetCredentials { credentials: derive(password, self.iterations)? })
    }

    fn user_set_enabled(&self, jid: &BareJid, enabled: bool) -> Result<(), String> {
        self.order(jid, Ask::SetEnabled(enabled))
    }

    fn user_remove(&self, jid: &BareJid) -> Result<(), String> {
        self.order(jid, Ask::Remove)
    }
}
