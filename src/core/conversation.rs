//! A conversation that somebody may read, whoever keeps it: what the archive of an account (XEP-0313) and that of a room (XEP-0045) tell
//! others who want to do something with all of it. `Mount::conversations` and `Mount::conversations_behind` are how they say so.

use bytes::Bytes;
use jid::{BareJid, Jid};

use crate::error::Bounce;
use crate::host::HostTurn;
use crate::store::{OwnerId, Shelf};
use crate::turn::Turn;

/// Where the messages lie, and how an entry is a message.
#[derive(Clone, Debug)]
pub struct Conversation {
    pub owner: OwnerId,
    /// A log.
    pub shelf: Shelf,
    /// What the log is filtered by; a hash, so an entry may be of another conversation all the same. `None`: all of it.
    pub peer: Option<u64>,
    /// The complete `<message/>` in an entry; `None`: there is none.
    pub message: fn(&Bytes) -> Option<&[u8]>,
    /// In a room: the real address of whoever sent it, if this reader may know it.
    pub sender: Option<fn(&Bytes) -> Option<&str>>,
    /// Of a room: its name for people, which may be empty. `None`: it is a conversation of two.
    pub room: Option<String>,
}

/// The conversation of an account, in its turn, with somebody.
pub type ConversationFn = Box<dyn Fn(&mut Turn<'_>, &BareJid) -> Conversation + Send + Sync>;

/// That of an entity behind a service, in its turn, for a reader: whether that one may is judged there and then.
pub type SharedConversationFn = Box<dyn Fn(&mut HostTurn<'_>, &Jid) -> Result<Conversation, Bounce> + Send + Sync>;

/// Where an account says something of itself, and the mail addresses in it.
#[derive(Clone, Copy, Debug)]
pub struct MailAddresses {
    /// A record.
    pub shelf: Shelf,
    pub of: fn(&Bytes) -> Vec<String>,
}
