//! Where an archive lies and how its entries are read: an account's own, or that of a room (XEP-0045).

use bytes::Bytes;
use iris_core::Jid;
use iris_core::store::Shelf;

use super::query::With;
use super::{SHELF, bare, entry, peer_hash};

/// What leads to the messages with somebody.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Index {
    /// The log's index of peers. `exact`: to no others.
    Peer { hash: u64, exact: bool },
    /// Nothing: all are looked at.
    Unknown,
    /// It means everything.
    All,
    /// There are none that this asker may find.
    Nothing,
}

#[derive(Clone, Copy, Debug)]
pub struct Source {
    pub shelf: Shelf,
    /// By the archive's address, whether real addresses may be told, and whom the messages are to be with.
    pub index: fn(&str, bool, &Jid) -> Index,
    /// Is it an entry at all, and one of those with them?
    pub matches: fn(&str, Option<&With>, &Bytes) -> bool,
    /// Whether `include-groupchat` means something (section 4.1.4): in the archives of people.
    pub groupchat_field: bool,
    /// Appends the message as it stands in `<forwarded/>`, with the sender's real address if that may be told.
    pub write: fn(&Bytes, bool, &mut Vec<u8>),
}

pub const PERSONAL: Source = Source {
    shelf: SHELF,
    index: |_, _, with| Index::Peer { hash: peer_hash(bare(with)), exact: with.resource().is_none() },
    matches: |me, with, kept| {
        let Some(message) = entry::message(kept) else { return false };
        with.is_none_or(|with| entry::ends(message).is_some_and(|(from, to)| with.matches(me, &from, &to)))
    },
    groupchat_field: true,
    write: |kept, _, out| out.extend_from_slice(entry::message(kept).unwrap_or_default()),
};
