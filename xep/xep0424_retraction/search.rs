//! What a retraction takes back: sought from its own place backwards through the conversation, newest first, so that corrections
//! come before what they correct.

use bytes::Bytes;
use iris_core::store::{Entry, EntryId, LogQuery, OwnerId, Read, Rows, Shelf};
use iris_core::xml::{Build, El};
use iris_core::{Cx, jids, ns, time};

use super::{NS, Retraction};
use crate::xep0160_offline as offline;
use crate::xep0313_archive::{self as archive, entry};

const PAGE_ENTRIES: u32 = 250;
/// No further back than 100,000 messages.
const PAGES_MAX: usize = 400;
const CORRECTION: &str = "urn:xmpp:message-correct:0";

#[derive(Default)]
pub struct Found {
    /// What takes the place of what.
    pub tombstones: Vec<(EntryId, Bytes)>,
    /// Among the messages that wait.
    pub offline: Vec<EntryId>,
}

/// `None`: the store does not answer.
pub async fn find(owner: OwnerId, retraction: &Retraction, cx: &Cx) -> Option<Found> {
    let mut found = Found::default();
    let peer = Some(archive::peer_hash(&retraction.peer));
    let mut query = LogQuery { peer, before: Some(retraction.at), last: true, max: PAGE_ENTRIES, ..LogQuery::default() };
    for _ in 0..PAGES_MAX {
        let page = read(owner, archive::SHELF, query.clone(), cx).await?;
        let mut original = false;
        for kept in page.entries.iter().rev() {
            let Some(message) = entry::message(&kept.entry) else { continue };
            match takes_back(retraction, message) {
                Some(Taken::Original) => original = true,
                Some(Taken::Correction) => {}
                None => continue,
            }
            found.tombstones.extend(tombstone(retraction, message).map(|entry| (kept.id, entry)));
            if original {
                break;
            }
        }
        query.before = page.entries.first().map(|first| first.id);
        if original || page.complete || query.before.is_none() {
            break;
        }
    }
    found.offline = waiting(owner, retraction, cx).await?;
    Some(found)
}

async fn waiting(owner: OwnerId, retraction: &Retraction, cx: &Cx) -> Option<Vec<EntryId>> {
    let mut ids = Vec::new();
    let mut query = LogQuery { max: PAGE_ENTRIES, ..LogQuery::default() };
    for _ in 0..PAGES_MAX {
        let page = read(owner, offline::SHELF, query.clone(), cx).await?;
        let is_meant = |entry: &&Entry| {
            // To ourselves only what is ours: everything here was sent to this account, so the conversation is the sender's.
            offline::message(&entry.entry).is_some_and(|message| takes_back(retraction, message).is_some())
        };
        ids.extend(page.entries.iter().filter(is_meant).map(|entry| entry.id));
        query.after = page.entries.last().map(|last| last.id);
        if page.complete || query.after.is_none() {
            break;
        }
    }
    Some(ids)
}

async fn read(owner: OwnerId, shelf: Shelf, query: LogQuery, cx: &Cx) -> Option<iris_core::store::Page> {
    match cx.read(Read::Log { owner, shelf, query }).await {
        Ok(Rows::Log(page)) => Some(page),
        _ => None,
    }
}

enum Taken {
    Original,
    Correction,
}

/// Section 5.1: only messages of who sent the retraction. (That they are of the same conversation, the archive's index has said,
/// but two peers may share a hash: `tombstone` looks at both ends.)
fn takes_back(retraction: &Retraction, message: &[u8]) -> Option<Taken> {
    // Most messages do not even have these letters in them; in an attribute they may be written otherwise.
    if !needs_escapes(&retraction.target) && memchr::memmem::find(message, retraction.target.as_bytes()).is_none() {
        return None;
    }
    let message = El::parse(message)?;
    let from = message.attr("from")?;
    if jids::bare(&from) != retraction.sender || message.child(NS, "retract").is_some() {
        return None;
    }
    if message.attr("id").as_deref() == Some(&retraction.target) {
        return Some(Taken::Original);
    }
    let corrected = message.child(CORRECTION, "replace")?.attr("id")?;
    (corrected == retraction.target).then_some(Taken::Correction)
}

fn needs_escapes(id: &str) -> bool {
    id.contains(['&', '<', '>', '\'', '"', '\t', '\r'])
}

/// Section 4: who, whom and when stay; that something was there stays; what it was does not.
fn tombstone(retraction: &Retraction, message: &[u8]) -> Option<Bytes> {
    let message = El::parse(message)?;
    let (from, to) = (message.attr("from")?, message.attr("to")?);
    if jids::bare(&from) != retraction.peer && jids::bare(&to) != retraction.peer {
        return None;
    }
    let mut xml = Build::new();
    xml.open_ns("message", ns::CLIENT).attr("to", &to).attr("from", &from);
    for name in ["type", "id"] {
        xml.attr_opt(name, message.attr(name).as_deref());
    }
    xml.open_ns("retracted", NS).attr("id", &retraction.id).attr("stamp", &time::datetime(retraction.at.0));
    Some(entry::made(&xml.finish()))
}
