//! What an administrator orders, carried out by the accounts themselves: one way for the control socket and for a command that
//! opens a closed house.

use std::sync::Arc;
use std::time::Duration;

use iris_core::BareJid;
use iris_core::clients::ClientAccess;
use iris_core::login;
use iris_core::store::{LogQuery, Owned, Read, Rows, Store};
use iris_engine::{Ask, AskAnswer, Login};
use iris_net::Net;
use iris_xep::xep0377_reporting::{Report, SHELF as REPORTS};

use crate::cli::control::{
    AccountPart, AccountPiece, Admin, ClientRow, InvitationRow, Invited, PlanRow, ReportRow, UserExport, UserImport, UserRow,
    Wanted, check_served,
};
use crate::config::Config;
use crate::ports::derive;

mod invitations;
mod moving;

pub(crate) use moving::{check_roster, look_through, look_through_pep, pep_part};

pub struct HouseAdmin {
    net: Arc<Net>,
    store: Arc<dyn Store>,
    domains: Vec<String>,
    iterations: u32,
    roster_items_max: usize,
}

/// Instead of the name of a plan: that of the domain. No plan can be called so (`[plans] default`).
const OF_DOMAIN: &str = "default";

/// Accounts read at once.
const PAGE: u32 = 500;

impl HouseAdmin {
    pub fn new(net: Arc<Net>, store: Arc<dyn Store>, config: &Config) -> HouseAdmin {
        let (iterations, roster_items_max) = (config.accounts.scram_iterations, config.limits.roster_items_max);
        HouseAdmin { net, store, domains: config.domains.clone(), iterations, roster_items_max }
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

    fn wanted(&self, domain: Option<&str>) -> Result<Vec<&String>, String> {
        let wanted: Vec<&String> = self.domains.iter().filter(|it| domain.is_none_or(|domain| domain == **it)).collect();
        match (wanted.is_empty(), domain) {
            (true, Some(domain)) => Err(format!("{domain} is not served here; served are: {}", self.domains.join(", "))),
            _ => Ok(wanted),
        }
    }

    fn ask_store(&self, read: Read) -> Result<Rows, String> {
        let (sender, receiver) = std::sync::mpsc::sync_channel(1);
        self.store.read(0, read, Box::new(move |rows| drop(sender.send(rows))));
        match receiver.recv_timeout(Duration::from_secs(30)) {
            Ok(rows) => rows.map_err(|error| error.to_string()),
            Err(_) => Err("the store does not answer".into()),
        }
    }

    fn page(&self, domain: &str, after: Option<Arc<str>>, max: u32) -> Result<Vec<Owned>, String> {
        let suffix = Arc::from(format!("@{domain}"));
        match self.ask_store(Read::Owners { suffix, after, max, shelf: login::SHELF })? {
            Rows::Owners(owners) => Ok(owners),
            _ => Err("the store answered something else".into()),
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
    fn invite(&self, wanted: &Wanted) -> Result<Invited, String> {
        invitations::make(&self.net, &self.domains, wanted)
    }

    fn invite_list(&self, domain: Option<&str>) -> Result<Vec<InvitationRow>, String> {
        invitations::list(&self.net, &self.domains, domain)
    }

    fn invite_revoke(&self, id: &str) -> Result<(), String> {
        invitations::revoke(&self.net, &self.domains, id)
    }

    fn user_add(&self, jid: &BareJid, password: &str) -> Result<(), String> {
        check_served(jid, &self.domains)?;
        self.order(jid, Ask::Provision { credentials: derive(password, self.iterations)? })
    }

    fn user_list(&self, domain: Option<&str>) -> Result<Vec<UserRow>, String> {
        let mut rows = Vec::new();
        for domain in self.wanted(domain)? {
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

    fn reports(&self, domain: Option<&str>, max: u32) -> Result<Vec<ReportRow>, String> {
        let mut rows = Vec::new();
        for domain in self.wanted(domain)? {
            let owner = self.net.host(domain, |turn| turn.owner)?;
            let query = LogQuery { max, last: true, ..LogQuery::default() };
            let Rows::Log(page) = self.ask_store(Read::Log { owner, shelf: REPORTS, query })? else {
                return Err("the store answered something else".into());
            };
            rows.extend(page.entries.iter().filter_map(|entry| {
                let (reporter, report) = Report::decode(&entry.entry)?;
                Some(ReportRow {
                    time: entry.id.0 / 1_000_000,
                    reporter: reporter.to_string(),
                    jid: report.jid.to_string(),
                    reason: report.reason,
                    text: report.text,
                    messages: report.messages.iter().map(|(by, id)| format!("{id} by {by}")).collect(),
                })
            }));
        }
        rows.sort_by_key(|row| std::cmp::Reverse(row.time));
        rows.truncate(max as usize);
        Ok(rows)
    }

    fn user_passwd(&self, jid: &BareJid, password: &str) -> Result<(), String> {
        self.order(jid, Ask::SetCredentials { credentials: derive(password, self.iterations)? })
    }

    fn user_set_enabled(&self, jid: &BareJid, enabled: bool) -> Result<(), String> {
        self.order(jid, Ask::SetEnabled(enabled))
    }

    fn user_plan(&self, jid: &BareJid, to: Option<&str>) -> Result<PlanRow, String> {
        check_served(jid, &self.domains)?;
        if let Some(name) = to {
            let names = self.net.host(jid.domain().as_str(), |turn| turn.doors.entitlements.names())?;
            let plan = names.iter().find(|it| ***it == *name).cloned();
            if plan.is_none() && name != OF_DOMAIN {
                return Err(format!("there is no plan {name:?}; there are: {}, {OF_DOMAIN}", names.join(", ")));
            }
            self.order(jid, Ask::SetPlan(plan))?;
        }
        let own = match self.net.ask(jid, Ask::Account) {
            AskAnswer::Account(facts) => facts.plan,
            AskAnswer::NotFound => return Err(format!("there is no account {jid}")),
            AskAnswer::Failed(why) => return Err(why),
            _ => return Err("the account answered something else".into()),
        };
        let plan = self.net.host(jid.domain().as_str(), move |turn| {
            let plan = turn.doors.plan(own.as_deref());
            PlanRow { own: own.is_some_and(|own| own == plan.name), plan: plan.name.to_string() }
        })?;
        Ok(plan)
    }

    fn user_remove(&self, jid: &BareJid) -> Result<(), String> {
        self.order(jid, Ask::Remove)
    }

    fn user_clients(&self, jid: &BareJid) -> Result<Vec<ClientRow>, String> {
        check_served(jid, &self.domains)?;
        match self.net.ask(jid, Ask::Clients) {
            AskAnswer::Clients(clients) => Ok(clients.into_iter().map(row).collect()),
            AskAnswer::NotFound => Err(format!("there is no account {jid}")),
            AskAnswer::Failed(why) => Err(why),
            _ => Err("the account answered something else".into()),
        }
    }

    fn user_logout(&self, jid: &BareJid, client: Option<&str>) -> Result<(), String> {
        // A client that is not there is not an account that is not there.
        if let Some(client) = client
            && !self.user_clients(jid)?.iter().any(|row| row.id == client)
        {
            return Err(format!("{jid} has no client {client}"));
        }
        self.order(jid, Ask::Revoke { client: client.map(str::to_owned), but: None })
    }

    fn domains(&self) -> Result<Vec<String>, String> {
        Ok(self.domains.clone())
    }

    fn user_import(&self, user: &UserImport) -> Result<(), String> {
        self.import(user)
    }

    fn user_export(&self, domain: Option<&str>, after: Option<&str>, max: u32) -> Result<Vec<UserExport>, String> {
        self.export(domain, after, max)
    }

    fn account_import(&self, part: &AccountPart) -> Result<Vec<String>, String> {
        self.take_part(part)
    }

    fn account_export(&self, jid: &BareJid, at: u64) -> Result<AccountPiece, String> {
        self.give_part(jid, at)
    }

    fn log(&self, filter: Option<&str>) -> Result<String, String> {
        crate::cli::log_filter(filter)
    }
}

fn row(client: ClientAccess) -> ClientRow {
    let ways = [(client.password, "password"), (client.token, "token"), (client.certificate, "certificate")];
    ClientRow {
        id: client.id,
        connected: client.connected,
        first_seen: client.first_seen_us / 1_000_000,
        last_seen: client.last_seen_us / 1_000_000,
        ways: ways.into_iter().filter(|(has, _)| *has).map(|(_, way)| way.to_owned()).collect(),
        software: client.software,
        device: client.device,
    }
}
