//! What travels between entities (and, later, between nodes).

use std::sync::Arc;

use bytes::Bytes;
use jid::Jid;

use crate::interest::Interests;
use crate::receipt::Receipt;
use crate::store::{EntryId, Ticket};
use crate::xml::NameTable;
use crate::xml::stanza::Stanza;
use crate::xml::wire::{self, Stamps, Strip, Wire};

/// A stanza on its way. The bytes travel as received; what the server adds stands beside them in the stamps.
#[derive(Debug)]
pub struct Envelope {
    pub stanza: Arc<Stanza>,
    /// The true sender, authenticated; whatever `from` the bytes claim is never read.
    pub from: Jid,
    pub to: Jid,
    pub stamps: Stamps,
    /// Rendered once where many get the same bytes (presence).
    pub wire: Option<Arc<Wire>>,
    /// What the sender's own archive keeps of it.
    pub sent: Option<Sent>,
    /// The id under which the recipient's archive keeps it.
    pub kept_id: Option<EntryId>,
    /// What must be on disk before anything that this causes may be seen.
    pub after: Ticket,
    pub receipt: Option<Receipt>,
    /// News of this node: only for those sessions of the recipient that want them (XEP-0163 4.3).
    pub news_of: Option<Arc<str>>,
    /// A probe: what its sender wants to hear of beside our presence.
    pub interests: Interests,
    /// A probe that asks for nothing but that: our presence is known.
    pub news_only: bool,
    /// Its sender is a guest (XEP-0175): of this domain by its address, and nobody's account.
    pub guest: bool,
    /// It was said in a room of this house: what of that a recipient's account cannot see for itself.
    pub said: Option<Said>,
    /// Entities passed; at [`HOPS_MAX`] it is dropped (security C5: no loop survives).
    pub hops: u8,
}

/// A message in its sender's archive: what it cost to make serves the recipient's too.
#[derive(Debug)]
pub struct Sent {
    pub id: EntryId,
    /// What tells it when it is sent again.
    pub tag: u64,
    /// The entry; none if an earlier one stands for it,
    pub entry: Option<Bytes>,
    /// and the children that are not in it.
    pub strip: Strip,
}

/// What a room knows of what was said in it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Said {
    /// Anybody may come in there (XEP-0045, `muc_open`).
    pub public: bool,
    /// The recipient was mentioned (XEP-0372, or by a nickname that is registered to them).
    pub mentioned: bool,
    /// Whose words they are: `hash::stable` of the bare JID. Nobody is told of their own.
    pub author: u64,
}

pub const HOPS_MAX: u8 = 8;

impl Envelope {
    /// It passes through a dozen hands, and each would copy it.
    pub fn new(stanza: Arc<Stanza>, from: Jid, to: Jid) -> Box<Envelope> {
        let stamps = Stamps { from: Some(Arc::from(from.as_str())), ..Stamps::default() };
        Box::new(Envelope {
            stanza,
            from,
            to,
            stamps,
            wire: None,
            sent: None,
            kept_id: None,
            after: 0,
            receipt: None,
            news_of: None,
            interests: Interests::default(),
            news_only: false,
            guest: false,
            said: None,
            hops: 0,
        })
    }

    /// The same to somebody else. Nobody waits for what becomes of a copy, and no archive has it.
    pub fn copy_to(&self, to: Jid) -> Box<Envelope> {
        Box::new(Envelope {
            stanza: self.stanza.clone(),
            from: self.from.clone(),
            to,
            stamps: self.stamps.clone(),
            wire: self.wire.clone(),
            sent: None,
            kept_id: None,
            after: self.after,
            receipt: None,
            news_of: self.news_of.clone(),
            interests: self.interests.clone(),
            news_only: self.news_only,
            guest: self.guest,
            said: self.said,
            hops: self.hops,
        })
    }

    /// For a recipient who reads the stanza itself: what was put beside it is in it, what was to be left out is not.
    pub fn stamp(&mut self, names: &NameTable) {
        if self.stamps.strip.is_empty() && self.stamps.extra.is_none() {
            return;
        }
        let (strip, extra) = (std::mem::take(&mut self.stamps.strip), self.stamps.extra.take());
        let mut xml = Vec::new();
        let beside = Stamps { from: None, stanza_id: None, strip, extra };
        wire::render(&self.stanza, &beside).write_to(Some(self.to.as_str()), &mut xml);
        let stamped = Stanza::parse_shared(&xml, names);
        debug_assert!(stamped.is_ok(), "a stanza with its stamps is not XML: {}", String::from_utf8_lossy(&xml));
        if let Ok(stamped) = stamped {
            self.stanza = stamped;
        }
    }
}
