//! How `iris user` and a running server talk: one JSON object a line over the Unix socket `control.sock` in the data folder.
//!
//! ```text
//! {"op":"user.add","jid":"juliet@example.org","password":"…"}      {"ok":true}
//! {"op":"user.list"}                                               {"ok":true,"users":[{"jid":…,"enabled":true,"created":1764…}]}
//! {"op":"user.disable","jid":"nobody@example.org"}                 {"ok":false,"error":"there is no account nobody@example.org"}
//! ```
//! Answers come in the order of the requests, so many may be sent before the first answer is read. Who may write to the
//! socket may do everything: it has mode 0600.

mod client;
mod moving;
mod server;

use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Mutex, PoisonError};

use iris_core::BareJid;
use serde::{Deserialize, Serialize};

pub use client::Client;
pub use moving::{AccountPart, AccountPiece, Secret, UserExport, UserImport};
pub use server::{ControlServer, serve};

/// A request is not longer: a part of an account that is imported is the longest. (Answers may be.)
pub(crate) const LINE_BYTES_MAX: usize = 32 * 1024 * 1024;

/// Most of the time of an addition is PBKDF2, then the wait for the disk: several at once share both.
const THREADS: usize = 16;

/// What can be done to accounts, blocking: by the server for the control socket, and by the command itself with the store of
/// a server that does not run. Errors are for the operator: what is wrong, in one sentence.
pub trait Admin: Send + Sync {
    /// # Errors
    /// The account exists, the domain is not served, the password cannot be one (RFC 8265).
    fn user_add(&self, jid: &BareJid, password: &str) -> Result<(), String>;

    /// Sorted by address; `None`: of all domains.
    ///
    /// # Errors
    /// The domain is not served.
    fn user_list(&self, domain: Option<&str>) -> Result<Vec<UserRow>, String>;

    /// # Errors
    /// There is no such account, the password cannot be one.
    fn user_passwd(&self, jid: &BareJid, password: &str) -> Result<(), String>;

    /// A disabled account keeps everything and cannot log in; its sessions end.
    ///
    /// # Errors
    /// There is no such account.
    fn user_set_enabled(&self, jid: &BareJid, enabled: bool) -> Result<(), String>;

    /// The plan of an account; `to`: it gets another one first, `default` being that of its domain.
    ///
    /// # Errors
    /// There is no such account, or no such plan.
    fn user_plan(&self, jid: &BareJid, to: Option<&str>) -> Result<PlanRow, String>;

    /// With everything that it kept.
    ///
    /// # Errors
    /// There is no such account.
    fn user_remove(&self, jid: &BareJid) -> Result<(), String>;

    /// Who has access to the account (XEP-0494).
    ///
    /// # Errors
    /// There is no such account.
    fn user_clients(&self, jid: &BareJid) -> Result<Vec<ClientRow>, String>;

    /// A client's sessions end and its tokens are worth nothing; `None`: those of all clients. The password stays.
    ///
    /// # Errors
    /// There is no such account, or no such client.
    fn user_logout(&self, jid: &BareJid, client: Option<&str>) -> Result<(), String>;

    /// What was reported as spam and abuse, the newest first; `None`: in all domains.
    ///
    /// # Errors
    /// The domain is not served.
    fn reports(&self, domain: Option<&str>, max: u32) -> Result<Vec<ReportRow>, String>;

    /// A link that lets somebody in.
    ///
    /// # Errors
    /// The domain is not served, the name is taken or none, there is no such contact.
    fn invite(&self, wanted: &Wanted) -> Result<Invited, String>;

    /// Oldest first; `None`: of all domains.
    ///
    /// # Errors
    /// The domain is not served.
    fn invite_list(&self, domain: Option<&str>) -> Result<Vec<InvitationRow>, String>;

    /// By the id that the list shows.
    ///
    /// # Errors
    /// There is none, or it is over.
    fn invite_revoke(&self, id: &str) -> Result<(), String>;
    /// The domains served, the house's own first.
    ///
    /// # Errors
    /// The server does not answer.
    fn domains(&self) -> Result<Vec<String>, String>;

    /// # Errors
    /// As for an addition; and the account is not there for `Secret::Keep`.
    fn user_import(&self, user: &UserImport) -> Result<(), String>;

    /// A page of accounts, ascending by address within each domain: those behind the address `after`, `max` at most.
    ///
    /// # Errors
    /// The domain is not served.
    fn user_export(&self, domain: Option<&str>, after: Option<&str>, max: u32) -> Result<Vec<UserExport>, String>;

    /// One part of an account that moves in (XEP-0227). What could not be kept, in sentences.
    ///
    /// # Errors
    /// Nothing of the part was kept.
    fn account_import(&self, part: &AccountPart) -> Result<Vec<String>, String>;

    /// One part of an account that moves out; the first is asked for with 0, the next with what came.
    ///
    /// # Errors
    /// There is no such account.
    fn account_export(&self, jid: &BareJid, at: u64) -> Result<AccountPiece, String>;

    /// What the log says from now on, such as `debug` or `iris_net=trace`; `None`: only ask. What it says now.
    ///
    /// # Errors
    /// That is no filter.
    fn log(&self, filter: Option<&str>) -> Result<String, String>;

    /// Many imports, one result each, in their order.
    fn user_import_many(&self, users: &[UserImport]) -> Vec<Result<(), String>> {
        in_parallel(users, |user| self.user_import(user))
    }

    /// Many additions, one result each, in their order.
    fn user_add_many(&self, users: &[NewUser]) -> Vec<Result<(), String>> {
        in_parallel(users, |user| self.user_add(&user.jid, &user.password))
    }
}

/// One line of `iris user add --bulk`. Not `Debug`: a password has no place in a log.
#[derive(Clone, PartialEq, Eq)]
pub struct NewUser {
    pub jid: BareJid,
    pub password: String,
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct UserRow {
    pub jid: String,
    pub enabled: bool,
    /// Seconds since 1970.
    pub created: u64,
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct PlanRow {
    pub plan: String,
    /// It is on the account; otherwise it is that of the domain.
    pub own: bool,
}

/// A client that has access to an account.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ClientRow {
    pub id: String,
    pub connected: bool,
    /// Seconds since 1970.
    pub first_seen: u64,
    pub last_seen: u64,
    /// How it has come in: `password`, `token`, `certificate`.
    pub ways: Vec<String>,
    /// What it says itself.
    pub software: Option<String>,
    pub device: Option<String>,
}

/// XEP-0377.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ReportRow {
    /// Seconds since 1970.
    pub time: u64,
    pub reporter: String,
    pub jid: String,
    pub reason: String,
    pub text: String,
    /// Stanza-ids of what is reported, each with who gave it.
    pub messages: Vec<String>,
}

/// What an invitation is to be for.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Wanted {
    /// `None`: the first one.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub domain: Option<String>,
    /// The name of the new account, or of the one that gets a new password.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub user: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub contact: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub lifetime_seconds: Option<u64>,
    pub new_password: bool,
}

/// Not `Debug`: whoever has the link may come in.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Invited {
    /// To its page.
    pub link: Option<String>,
    /// `xmpp:`, for apps.
    pub uri: Option<String>,
    pub id: String,
    /// Seconds since 1970.
    pub expires: u64,
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct InvitationRow {
    pub id: String,
    pub what: String,
    /// `None`: the house.
    pub by: Option<String>,
    pub contact: Option<String>,
    /// Seconds since 1970.
    pub created: u64,
    pub expires: u64,
    pub state: String,
}

/// Not `Debug`: a password has no place in a log.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "op", deny_unknown_fields)]
pub enum Request {
    #[serde(rename = "ping")]
    Ping {},
    #[serde(rename = "user.add")]
    UserAdd { jid: BareJidText, password: String },
    #[serde(rename = "domains")]
    Domains {},
    #[serde(rename = "user.import")]
    UserImport { user: UserImport },
    #[serde(rename = "user.export")]
    UserExport {
        #[serde(default, skip_serializing_if = "Option::is_none")]
        domain: Option<String>,
        #[serde(default, skip_serializing_if = "Option::is_none")]
        after: Option<String>,
        max: u32,
    },
    #[serde(rename = "account.import")]
    AccountImport { part: AccountPart },
    #[serde(rename = "account.export")]
    AccountExport { jid: BareJidText, at: u64 },
    #[serde(rename = "log")]
    Log {
        #[serde(default, skip_serializing_if = "Option::is_none")]
        filter: Option<String>,
    },
    #[serde(rename = "user.list")]
    UserList {
        #[serde(default, skip_serializing_if = "Option::is_none")]
        domain: Option<String>,
    },
    #[serde(rename = "reports")]
    Reports {
        #[serde(default, skip_serializing_if = "Option::is_none")]
        domain: Option<String>,
        max: u32,
    },
    #[serde(rename = "user.passwd")]
    UserPasswd { jid: BareJidText, password: String },
    #[serde(rename = "user.disable")]
    UserDisable { jid: BareJidText },
    #[serde(rename = "user.enable")]
    UserEnable { jid: BareJidText },
    #[serde(rename = "user.plan")]
    UserPlan {
        jid: BareJidText,
        #[serde(default, skip_serializing_if = "Option::is_none")]
        to: Option<String>,
    },
    #[serde(rename = "user.clients")]
    UserClients { jid: BareJidText },
    #[serde(rename = "user.logout")]
    UserLogout {
        jid: BareJidText,
        #[serde(default, skip_serializing_if = "Option::is_none")]
        client: Option<String>,
    },
    #[serde(rename = "user.remove")]
    UserRemove { jid: BareJidText },
    #[serde(rename = "invite")]
    Invite { wanted: Wanted },
    #[serde(rename = "invite.list")]
    InviteList {
        #[serde(default, skip_serializing_if = "Option::is_none")]
        domain: Option<String>,
    },
    #[serde(rename = "invite.revoke")]
    InviteRevoke { id: String },
}

impl From<BareJid> for BareJidText {
    fn from(jid: BareJid) -> BareJidText {
        BareJidText(jid)
    }
}

/// An account's address: checked when it is read.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct BareJidText(pub BareJid);

impl TryFrom<String> for BareJidText {
    type Error = String;

    fn try_from(text: String) -> Result<BareJidText, String> {
        parse_account(&text).map(BareJidText)
    }
}

impl From<BareJidText> for String {
    fn from(jid: BareJidText) -> String {
        jid.0.into_inner()
    }
}

/// Not `Debug`: what accounts keep has no place in a log.
#[derive(Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Response {
    pub ok: bool,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub error: Option<String>,
    /// Answer to `user.list`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub users: Option<Vec<UserRow>>,
    /// Answer to `user.plan`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub plan: Option<PlanRow>,
    /// Answer to `user.clients`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub clients: Option<Vec<ClientRow>>,
    /// Answer to `reports`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reports: Option<Vec<ReportRow>>,
    /// Answer to `invite`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub invited: Option<Invited>,
    /// Answer to `invite.list`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub invitations: Option<Vec<InvitationRow>>,
    /// Answer to `user.export`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub accounts: Option<Vec<UserExport>>,
    /// Answer to `account.export`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub piece: Option<AccountPiece>,
    /// Answer to `account.import`: what could not be kept.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub notes: Option<Vec<String>>,
    /// Answer to `domains`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub domains: Option<Vec<String>>,
    /// Answer to `log`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub log: Option<String>,
    /// Answer to `ping`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub version: Option<String>,
}

impl Response {
    fn of(result: Result<(), String>) -> Response {
        match result {
            Ok(()) => Response { ok: true, ..Response::default() },
            Err(error) => Response { ok: false, error: Some(error), ..Response::default() },
        }
    }

    fn with<T>(result: Result<T, String>, answer: impl FnOnce(T) -> Response) -> Response {
        match result {
            Ok(value) => Response { ok: true, ..answer(value) },
            Err(error) => Response::of(Err(error)),
        }
    }

    fn into_result(self) -> Result<Response, String> {
        match self.ok {
            true => Ok(self),
            false => Err(self.error.unwrap_or_else(|| "the server refused without saying why".to_owned())),
        }
    }
}

/// The address of an account: local part and domain.
///
/// # Errors
/// Why it is none, for the operator.
pub fn parse_account(text: &str) -> Result<BareJid, String> {
    match BareJid::new(text) {
        Ok(jid) if jid.node().is_none() => {
            Err(format!("{text:?} is not an account's address: there is nothing before an \"@\""))
        }
        Ok(jid) => Ok(jid),
        Err(error) => Err(format!("{text:?} is not an account's address: {error}")),
    }
}

/// What to say when an account's domain is not one of the house's.
///
/// # Errors
/// It is not.
pub fn check_served(jid: &BareJid, domains: &[String]) -> Result<(), String> {
    match domains.iter().any(|domain| domain == jid.domain().as_str()) {
        true => Ok(()),
        false => Err(format!("{} is not served here; served are: {}", jid.domain(), domains.join(", "))),
    }
}

/// The answer to one request.
pub fn answer(admin: &dyn Admin, request: Request) -> Response {
    match request {
        Request::Ping {} => Response { ok: true, version: Some(env!("CARGO_PKG_VERSION").to_owned()), ..Response::default() },
        Request::UserAdd { jid, password } => Response::of(admin.user_add(&jid.0, &password)),
        Request::Reports { domain, max } => match admin.reports(domain.as_deref(), max) {
            Ok(reports) => Response { ok: true, reports: Some(reports), ..Response::default() },
            Err(error) => Response::of(Err(error)),
        },
        Request::Domains {} => {
            Response::with(admin.domains(), |domains| Response { domains: Some(domains), ..Response::default() })
        }
        Request::UserImport { user } => Response::of(admin.user_import(&user)),
        Request::UserExport { domain, after, max } => {
            let accounts = admin.user_export(domain.as_deref(), after.as_deref(), max);
            Response::with(accounts, |accounts| Response { accounts: Some(accounts), ..Response::default() })
        }
        Request::AccountImport { part } => {
            Response::with(admin.account_import(&part), |notes| Response { notes: Some(notes), ..Response::default() })
        }
        Request::AccountExport { jid, at } => {
            let piece = admin.account_export(&jid.0, at);
            Response::with(piece, |piece| Response { piece: Some(piece), ..Response::default() })
        }
        Request::Log { filter } => {
            Response::with(admin.log(filter.as_deref()), |log| Response { log: Some(log), ..Response::default() })
        }
        Request::UserList { domain } => {
            let users = admin.user_list(domain.as_deref());
            Response::with(users, |users| Response { users: Some(users), ..Response::default() })
        }
        Request::UserPasswd { jid, password } => Response::of(admin.user_passwd(&jid.0, &password)),
        Request::UserDisable { jid } => Response::of(admin.user_set_enabled(&jid.0, false)),
        Request::UserEnable { jid } => Response::of(admin.user_set_enabled(&jid.0, true)),
        Request::UserPlan { jid, to } => {
            let plan = admin.user_plan(&jid.0, to.as_deref());
            Response::with(plan, |plan| Response { plan: Some(plan), ..Response::default() })
        }
        Request::UserClients { jid } => {
            Response::with(admin.user_clients(&jid.0), |clients| Response { clients: Some(clients), ..Response::default() })
        }
        Request::UserLogout { jid, client } => Response::of(admin.user_logout(&jid.0, client.as_deref())),
        Request::UserRemove { jid } => Response::of(admin.user_remove(&jid.0)),
        Request::Invite { wanted } => match admin.invite(&wanted) {
            Ok(invited) => Response { ok: true, invited: Some(invited), ..Response::default() },
            Err(error) => Response::of(Err(error)),
        },
        Request::InviteList { domain } => match admin.invite_list(domain.as_deref()) {
            Ok(rows) => Response { ok: true, invitations: Some(rows), ..Response::default() },
            Err(error) => Response::of(Err(error)),
        },
        Request::InviteRevoke { id } => Response::of(admin.invite_revoke(&id)),
    }
}

/// `work` for each, on a few threads; the results in the order of the items. An item whose thread died is an error.
fn in_parallel<T: Sync>(items: &[T], work: impl Fn(&T) -> Result<(), String> + Sync) -> Vec<Result<(), String>> {
    let next = AtomicUsize::new(0);
    let unanswered = || Err("not done: the program failed".to_owned());
    let results = Mutex::new(vec![unanswered(); items.len()]);
    let threads = THREADS.min(items.len());
    std::thread::scope(|scope| {
        for _ in 0..threads {
            scope.spawn(|| {
                loop {
                    let at = next.fetch_add(1, Ordering::Relaxed);
                    let Some(item) = items.get(at) else { break };
                    let result = work(item);
                    if let Some(place) = results.lock().unwrap_or_else(PoisonError::into_inner).get_mut(at) {
                        *place = result;
                    }
                }
            });
        }
    });
    results.into_inner().unwrap_or_else(PoisonError::into_inner)
}
