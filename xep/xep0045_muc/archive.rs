//! The room's archive (XEP-0313 6.1.2, with XEP-0431): who may read it, and how.

use bytes::Bytes;
use iris_core::conversation::Conversation;
use iris_core::xml::{Build, El};
use iris_core::{Bounce, Condition, HostTurn, Jid, Reply, hash, jids};

use super::association::{Affiliation, Role};
use super::history::{self, ARCHIVE};
use super::room::{Room, bare};
use super::{USER, stanzas};
use crate::xep0313_archive as mam;
use crate::xep0313_archive::query::{self, Asked, Query, With};
use crate::xep0313_archive::source::{Index, Source};

const SOURCE: Source = Source {
    shelf: ARCHIVE,
    index: |room, reveal, with| match with.resource() {
        Some(_) if bare(with) == room => Index::Peer { hash: hash::stable(&[with.as_str().as_bytes()]), exact: true },
        None if with.as_str() == room => Index::All,
        // By a real address only for those who may know it (security D2).
        _ if reveal => Index::Unknown,
        _ => Index::Nothing,
    },
    matches: |room, with, entry| {
        let Some((real, message)) = history::parts(entry) else { return false };
        let Some(With { bare: with, full }) = with else { return true };
        if with == room {
            let from = El::parse(message).and_then(|it| it.attr("from").map(std::borrow::Cow::into_owned));
            return from.is_some_and(|from| full.as_deref().is_none_or(|full| full == from));
        }
        jids::bare(real) == *with && full.as_deref().is_none_or(|full| full == real)
    },
    groupchat_field: false,
    write: |entry, reveal, out| {
        let Some((real, message)) = history::parts(entry) else { return };
        match message.strip_suffix(b"</message>").filter(|_| reveal) {
            Some(open) => {
                out.extend_from_slice(open);
                let mut xml = Build::new();
                xml.open_ns("x", USER).open("item").attr("jid", real).close().close();
                out.extend_from_slice(&xml.finish());
                out.extend_from_slice(b"</message>");
            }
            None => out.extend_from_slice(message),
        }
    },
};

impl Room {
    /// "A MUC archive MUST check that the user requesting the archive has the right to enter it at the time of the query". Beyond that:
    /// whoever is here or belongs to the room; others where its owners let them (`muc#roomconfig_enablelogging`).
    fn may_read_archive(&self, reader: &Jid) -> Result<(), Bounce> {
        let affiliation = self.affiliation_of(reader);
        let is_here = self.occupants.by_session(reader).is_some() || self.occupants.of_person(bare(reader)).next().is_some();
        let may = match affiliation {
            Affiliation::Outcast => false,
            Affiliation::None if self.config.members_only => false,
            Affiliation::None => is_here || (self.config.logging && self.config.password.is_none()),
            _ => true,
        };
        if may { Ok(()) } else { Err(Bounce::new(Condition::Forbidden)) }
    }

    pub fn archive_form(&self, turn: &HostTurn<'_>) -> Reply {
        match self.has_archive(turn.from) {
            Ok(()) => query::form(&SOURCE),
            Err(why) => why.into(),
        }
    }

    /// All that was said here, for whoever may read the archive.
    pub fn conversation(&self, turn: &HostTurn<'_>, reader: &Jid) -> Result<Conversation, Bounce> {
        if !self.is_there_for(reader) {
            return Err(Bounce::nobody());
        }
        self.has_archive(reader)?;
        Ok(Conversation {
            owner: turn.owner,
            shelf: ARCHIVE,
            peer: None,
            message: |entry| history::parts(entry).map(|(_, message)| message),
            sender: self
                .reveals_addresses_to(reader)
                .then_some(|entry| history::parts(entry).map(|(real, _)| jids::bare(real))),
            room: Some(self.config.name.clone()),
        })
    }

    fn has_archive(&self, reader: &Jid) -> Result<(), Bounce> {
        if !self.config.archive {
            return Err(Bounce::nobody());
        }
        self.may_read_archive(reader)
    }

    /// 7.2.3, also for whoever is not here.
    fn reveals_addresses_to(&self, reader: &Jid) -> bool {
        let role = self.occupants.of_person(bare(reader)).map(|(_, it)| it.role).max().unwrap_or(Role::None);
        self.shows_addresses_to(role) || self.affiliation_of(reader) >= Affiliation::Admin
    }

    pub fn archive_query(&self, turn: &HostTurn<'_>, el: &El<'_>) -> Reply {
        if let Err(why) = self.has_archive(turn.from) {
            return why.into();
        }
        let reveal = self.reveals_addresses_to(turn.from);
        let asked = Asked {
            source: SOURCE,
            me: turn.jid.as_str(),
            owner: turn.owner,
            ids: turn.house.ids,
            reveal,
            node: None,
            config: &self.service.pages,
        };
        match Query::parse(el, &asked) {
            Ok(query) => Reply::Task(Box::new(move |cx| Box::pin(mam::page::answer(query, cx)))),
            Err(why) => why.into(),
        }
    }

    pub fn archive_metadata(&self, turn: &HostTurn<'_>) -> Reply {
        if let Err(why) = self.has_archive(turn.from) {
            return why.into();
        }
        let (owner, ids) = (turn.owner, turn.house.ids);
        Reply::Task(Box::new(move |cx| Box::pin(mam::page::metadata(ARCHIVE, owner, ids, cx))))
    }
}

/// What a message is when it was taken back (XEP-0424 4, XEP-0425 5): who and when stay, what it was does not. `retracted`: the
/// attributes and content of the element. `None`: that is no message of ours, or one that was taken back before.
pub fn tombstone(entry: &Bytes, retracted: &str) -> Option<Bytes> {
    if history::is_tombstone(entry) {
        return None;
    }
    let (real, message) = history::parts(entry)?;
    let message = El::parse(message)?;
    let mut xml = Build::new();
    xml.open_ns("message", iris_core::ns::CLIENT);
    for name in ["from", "type", "id"] {
        xml.attr_opt(name, message.attr(name).as_deref());
    }
    if let Some(id) = message.child(super::OCCUPANT_ID, "occupant-id").and_then(|it| it.attr("id")) {
        xml.raw(stanzas::occupant_id(&id).as_bytes());
    }
    xml.raw(retracted.as_bytes()).close();
    Some(history::tombstone(real, &xml.finish()))
}
