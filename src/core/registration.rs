//! How people become users of a domain: what is asked of it by somebody who has no account yet (on a stream before
//! authentication, or on the page of an invitation), and by who invites. One room answers, in the domain's turn
//! (`Mount::registrar`).

use std::fmt;
use std::time::Duration;

use jid::BareJid;

use crate::error::{Bounce, Condition, ErrorType};
use crate::host::HostTurn;
use crate::invitation::{Invitation, InvitationId, Purpose, Refusal, Token};

pub mod form;
pub mod names;

/// What a domain offers to strangers: its streams say so, and the network keeps the limit.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Offer {
    /// Without an invitation too.
    pub open: bool,
    /// New accounts, and new passwords by invitation, from one address (IPv6: one /64).
    pub per_address_per_hour_max: u32,
    pub password_chars_min: usize,
    /// Before the token: the address of an invitation's page. Empty: there is no page.
    pub page: String,
}

impl Offer {
    /// The link that people are given.
    pub fn link(&self, token: &Token) -> Option<String> {
        (!self.page.is_empty()).then(|| format!("{}{}", self.page, token.as_str()))
    }
}

/// An invitation that somebody shows.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Presented {
    pub id: InvitationId,
    /// It was found good before on the same stream: its date is not looked at again (XEP-0445 3).
    pub checked: bool,
}

/// Not `Debug`: a password has no place in a log.
pub enum Request {
    /// Is this invitation good, and for what?
    Show(InvitationId),
    /// Make an account.
    Register {
        username: String,
        password: String,
        invitation: Option<Presented>,
    },
    /// A new password for the account that the invitation names.
    SetPassword {
        password: String,
        invitation: InvitationId,
    },
    Invite(Box<Invite>),
    /// All invitations that are remembered.
    List,
    /// By what [`InvitationId::short`] says.
    Revoke(String),
}

impl fmt::Debug for Request {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Request::Show(_) => "Show",
            Request::Register { .. } => "Register",
            Request::SetPassword { .. } => "SetPassword",
            Request::Invite(_) => "Invite",
            Request::List => "List",
            Request::Revoke(_) => "Revoke",
        })
    }
}

/// What the house itself wants an invitation for (`iris invite`).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Invite {
    pub purpose: Purpose,
    pub contact: Option<BareJid>,
    /// `None`: as long as the configuration says.
    pub lifetime: Option<Duration>,
}

pub enum Answer {
    Shown {
        invitation: Box<Invitation>,
        offer: Box<Offer>,
    },
    /// The account, and who is in its contacts.
    Registered {
        jid: BareJid,
        contact: Option<BareJid>,
    },
    PasswordSet(BareJid),
    /// `link`: to its page, if there is one.
    Invited {
        token: Token,
        invitation: Box<Invitation>,
        link: Option<String>,
    },
    Listed(Vec<(InvitationId, Invitation)>),
    Done,
    Refused(Refused),
}

pub type Reply = Box<dyn FnOnce(Answer) + Send>;
/// The reply is called once, on any thread, when everything it tells of is on disk.
pub type Registrar = Box<dyn Fn(&mut HostTurn<'_>, Request, Reply) + Send + Sync>;

/// Why not.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Refused {
    Invitation(Refusal),
    /// There is no way in without an invitation.
    Closed,
    /// What was given is no name (RFC 7622 3.3), or not one that people may choose.
    UsernameInvalid,
    UsernameReserved,
    UsernameTaken,
    /// The invitation is for this name.
    UsernameIs(String),
    PasswordShort {
        chars_min: usize,
    },
    /// RFC 8265: one sentence.
    Password(String),
    /// From this address, in this hour.
    TooMany,
    /// There is no such account.
    NoAccount,
    /// For the log and for administrators.
    Failed(String),
}

impl Refused {
    /// On a stream (XEP-0077 3.1, XEP-0445 3).
    pub fn bounce(&self) -> Bounce {
        let of = |condition| Bounce::new(condition).text(self.to_string());
        match self {
            Refused::Invitation(Refusal::Busy) => of(Condition::ResourceConstraint),
            Refused::Invitation(_) => of(Condition::ItemNotFound),
            Refused::Closed => of(Condition::NotAllowed),
            Refused::UsernameInvalid | Refused::UsernameIs(_) => of(Condition::NotAcceptable),
            Refused::UsernameTaken | Refused::UsernameReserved => of(Condition::Conflict),
            // By these very words Conversations knows what to tell its user, in their language.
            Refused::PasswordShort { .. } => Bounce::new(Condition::NotAcceptable).text("Please use a longer password."),
            Refused::Password(_) => of(Condition::NotAcceptable),
            Refused::TooMany => of(Condition::ResourceConstraint).kind(ErrorType::Wait),
            Refused::NoAccount => of(Condition::ItemNotFound),
            // What is wrong with us is nobody else's business.
            Refused::Failed(_) => Bounce::new(Condition::InternalServerError),
        }
    }
}

/// For whoever is refused: nothing of the inside, nothing about others.
impl fmt::Display for Refused {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Refused::Invitation(Refusal::Busy) => f.write_str("Somebody is using this invitation at this moment."),
            Refused::Invitation(Refusal::TooMany) => f.write_str("There are too many open invitations."),
            Refused::Invitation(_) => f.write_str("The provided token is invalid or expired"),
            Refused::Closed => f.write_str("Accounts are made by invitation only."),
            Refused::UsernameInvalid => {
                write!(f, "That cannot be a name: it has to be 1 to {} letters, digits, dots or dashes.", names::CHARS_MAX)
            }
            Refused::UsernameTaken | Refused::UsernameReserved => f.write_str("This name is taken. Choose another one."),
            Refused::UsernameIs(name) => write!(f, "This invitation is for the name {name}."),
            Refused::PasswordShort { chars_min } => write!(f, "The password has to have {chars_min} characters at least."),
            Refused::Password(why) => f.write_str(why),
            Refused::TooMany => f.write_str("Too many accounts were made from this network. Try again later."),
            Refused::NoAccount => f.write_str("There is no such account."),
            Refused::Failed(_) => f.write_str("The server cannot do that now."),
        }
    }
}

impl From<Refusal> for Refused {
    fn from(refusal: Refusal) -> Refused {
        match refusal {
            Refusal::Reserved => Refused::UsernameReserved,
            other => Refused::Invitation(other),
        }
    }
}
