//! Questions to an account that come from the house: who may log in, what there is to know, and the administrator's orders.
//! Asked by a task (`Cx::ask`), by the negotiation and by the house itself; answered in the account's own turn.

use core::any::Any;
use core::net::IpAddr;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use jid::{BareJid, FullJid};

use crate::clients::{Admission, Admitted, ClientAccess, Token, TokenRefused};
use crate::effects::StreamError;
use crate::login::Login;
use crate::store::{EntryId, Shelf};

/// What is asked.
#[derive(Clone, Debug, PartialEq)]
pub enum Ask {
    /// The login record, before anybody has proved anything.
    Credentials,
    /// The same, and the tokens of one client (XEP-0484). -> `AskAnswer::Tokens`
    Tokens {
        agent: u128,
    },
    /// Somebody has proved to be this account: remember the client. -> `AskAnswer::Admitted`, `AskAnswer::TokenRefused`; after the
    /// commit if a token is issued or was used.
    Admit(Box<Admission>),
    /// Somebody without an account comes in by this address: nothing is ever written of it. -> `Done`, `Exists`
    Guest(Option<GuestPlace>),
    /// Other keys for the same password: they take the place of `was` and of nothing else; nobody is logged out.
    Upgrade {
        was: Bytes,
        credentials: Bytes,
    },
    /// Make the account.
    Provision {
        credentials: Bytes,
    },
    SetCredentials {
        credentials: Bytes,
    },
    SetEnabled(bool),
    /// The name of its plan; `None`: that of the domain.
    SetPlan(Option<Arc<str>>),
    Remove,
    /// As `Provision`, for somebody who comes by himself. `contact`: each sees the other from the beginning; the other half is
    /// that one's (`Befriend`).
    Register {
        credentials: Bytes,
        contact: Option<BareJid>,
    },
    /// As `SetCredentials`, by the user: this session stays, the others end.
    ChangePassword {
        credentials: Bytes,
        by: FullJid,
    },
    /// As `Remove`, by the user: this session hears `answer` as the last before its stream ends (XEP-0077 3.2).
    Leave {
        by: FullJid,
        answer: String,
    },
    /// Both want it, as the house knows: this one is a contact, and each sees the other (XEP-0401 4.5).
    Befriend(BareJid),
    /// Somebody asks for a subscription and has shown an invitation of this account: it is granted, and asked for in return
    /// (XEP-0379 3.5).
    Approve(BareJid),
    /// What an administrator may know of the account. -> `AskAnswer::Account`
    Account,
    /// The items of its roster. -> `AskAnswer::Roster`
    Roster,
    /// End the session of this resource, or all of them; it can not be resumed. `NotFound` when there is none.
    End {
        resource: Option<String>,
        why: StreamError,
    },
    /// Who has access to the account (XEP-0494). -> `AskAnswer::Clients`
    Clients,
    /// End the sessions of a client and kill its tokens; `None`: of all clients but the one that has the session of this resource.
    /// -> `NotFound` if there is no such client.
    Revoke {
        client: Option<String>,
        but: Option<String>,
    },
    /// Take in what was kept elsewhere (XEP-0227).
    MoveIn(Box<MovingIn>),
}

impl Ask {
    /// Does it make an account that is not there?
    pub fn makes(&self) -> bool {
        match self {
            Ask::Provision { .. } | Ask::Register { .. } | Ask::Guest(_) => true,
            Ask::MoveIn(moving) => moving.login.is_some(),
            _ => false,
        }
    }
}

/// One of the places that there are for guests: taken until the guest is gone, and this with it. Whoever counts them gives it out.
#[derive(Clone)]
pub struct GuestPlace(Arc<dyn Any + Send + Sync>);

impl GuestPlace {
    pub fn new(place: Arc<dyn Any + Send + Sync>) -> GuestPlace {
        GuestPlace(place)
    }
}

impl PartialEq for GuestPlace {
    fn eq(&self, other: &GuestPlace) -> bool {
        Arc::ptr_eq(&self.0, &other.0)
    }
}

impl std::fmt::Debug for GuestPlace {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("GuestPlace")
    }
}

/// What an account brings along from elsewhere. All of it is one set of writes.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct MovingIn {
    /// `Some`: the account is made if there is none. `None`: it has to be there. Since when it opens is for the account to say.
    pub login: Option<Login>,
    /// With a login: an account that is there gets it too, instead of being in the way.
    pub replaces: bool,
    /// Records (empty key) and items of maps, as the rooms keep them.
    pub items: Vec<(Shelf, Arc<str>, Bytes)>,
    pub entries: Vec<MovedEntry>,
}

/// One entry of a log, to be put at its own time.
#[derive(Clone, Debug, PartialEq)]
pub struct MovedEntry {
    pub shelf: Shelf,
    pub id: EntryId,
    pub peer: u64,
    pub tag: u64,
    pub entry: Bytes,
}

/// Answers to what changes something come after the commit.
#[derive(Clone, Debug, PartialEq)]
pub enum AskAnswer {
    Credentials(Option<Login>),
    Tokens(Option<Login>, Vec<Token>),
    Admitted(Admitted),
    /// The token that was used opens nothing any more.
    TokenRefused(TokenRefused),
    Account(Box<AccountFacts>),
    Roster(Vec<RosterItem>),
    Clients(Vec<ClientAccess>),
    Done,
    NotFound,
    Exists,
    /// There are as many of them as there may be.
    Full,
    Failed(String),
}

pub type AskReply = Box<dyn FnOnce(AskAnswer) + Send>;

/// An account as its administrator sees it.
#[derive(Clone, Debug, PartialEq)]
pub struct AccountFacts {
    pub jid: BareJid,
    pub enabled: bool,
    /// Microseconds since 1970.
    pub created_us: u64,
    pub sessions: Vec<SessionFacts>,
    /// When it was last here, if it ever was: of an account that is online, the time before.
    pub seen: Option<Seen>,
    pub roster_items: usize,
    /// Stanzas of its clients, in the last minute.
    pub stanzas_per_s: f64,
    /// Sessions begun, in the last hour.
    pub logins_per_min: f64,
    /// The name of the plan that is on the account.
    pub plan: Option<Arc<str>>,
}

/// When the last session of an account that is over began, and when it ended. Microseconds since 1970.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Seen {
    pub login_us: u64,
    pub end_us: u64,
}

#[derive(Clone, Debug, PartialEq)]
pub struct SessionFacts {
    pub jid: FullJid,
    /// Microseconds since 1970.
    pub since_us: u64,
    /// Since the client said anything at all.
    pub idle: Duration,
    /// `None`: no presence was sent.
    pub priority: Option<i8>,
    /// RFC 6121 4.7.2.1 as the client has it now.
    pub show: Option<String>,
    /// Waits to be resumed.
    pub detached: bool,
    /// Nobody looks at this client now (XEP-0352).
    pub inactive: bool,
    pub address: Option<IpAddr>,
}

impl SessionFacts {
    /// Somebody sits there: available, and neither away nor put aside.
    pub fn is_active(&self) -> bool {
        let away = matches!(self.show.as_deref(), Some("away" | "xa"));
        self.priority.is_some() && !self.detached && !self.inactive && !away
    }
}

/// RFC 6121 2.1.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RosterItem {
    pub jid: BareJid,
    pub name: Option<String>,
    /// `none`, `to`, `from`, `both`.
    pub subscription: &'static str,
    /// A request of the user waits for an answer.
    pub ask: bool,
    pub groups: Vec<String>,
}

/// Somebody with a session.
#[derive(Clone, Debug, PartialEq)]
pub struct Present {
    pub jid: BareJid,
    pub sessions: usize,
    /// One of the sessions is available and not away.
    pub active: bool,
}
