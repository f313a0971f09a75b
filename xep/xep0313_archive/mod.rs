//! XEP-0313: Message Archive Management - what was said can be read again, on every device.
//! Spec 1.1.3, https://xmpp.org/extensions/xep-0313.html. Not done: nothing.
//!
//! One log per account: each message once, whoever of the account's devices has it. `policy` says what is kept, `entry` how,
//! `query` what may be asked, `page` answers. The archive of a room is the room's (XEP-0045).

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use iris_core::conversation::Conversation;
use iris_core::mount::Settings;
use iris_core::store::{EntryId, Shelf, Write};
use iris_core::turn::Account;
use iris_core::xml::El;
use iris_core::{
    At, Card, Flow, GetOrSet, HostTurn, Jid, Mount, MountError, Reply, Room, Sent, Status, Step, Turn, hash, jids,
};
use serde::Deserialize;

use crate::xep0163_pep::archive as nodes;
use crate::xep0359_stanza_ids::SentAgain;
use crate::xep0441_archive_preferences as preferences;

pub mod entry;
pub mod listed;
pub mod page;
pub mod policy;
pub mod query;
pub mod source;

use policy::Policy;

pub const NS: &str = "urn:xmpp:mam:2";

pub const ROOM: Room = Room {
    card: Card {
        xep: Some(313),
        name: "Message Archive Management",
        version: "1.1.3",
        status: Status::Complete,
        needs: &[4, 30, 59, 82, 203, 297, 334, 359],
    },
    mount,
};

/// How often what is too old is looked for.
const EXPIRY_PERIOD: Duration = Duration::from_secs(3_600);

/// Entries: see `entry`. Peer: the hash of the other side's bare JID. Tag: `SentAgain::tag`.
pub const SHELF: Shelf = Shelf::log("archive").searchable(entry::text);

#[derive(Clone, Debug, Deserialize, PartialEq)]
#[serde(default, deny_unknown_fields)]
pub struct Config {
    pub page_entries_max: u32,
    pub page_bytes_max: usize,
    pub keep_days: u32,
}

impl Default for Config {
    fn default() -> Config {
        Config { page_entries_max: 50, page_bytes_max: 256 * 1024, keep_days: 0 }
    }
}

impl Settings for Config {
    const TABLE: &'static str = "archive";
    const REFERENCE: &'static str = "\
# The largest page of an archive that is sent at once, in messages; whoever asks for more gets this many and can ask on.
page_entries_max = 50
# The same in bytes; one message is sent in any case.
page_bytes_max = 262144
# Messages older than so many days are forgotten, a few at a time; 0 keeps them for ever.
keep_days = 0
";
}

fn mount(m: &mut Mount<'_>) -> Result<(), MountError> {
    let config = m.config::<Config>()?;
    if config.page_entries_max == 0 || config.page_entries_max > iris_core::store::PAGE_ENTRIES_MAX {
        return Err(m.wrong::<Config>("page_entries_max", "page_entries_max is a number from 1 to 1000"));
    }
    let keep_days = config.keep_days;
    m.shelf(SHELF)?;
    m.recognise_resent(SHELF);
    m.conversations(|turn, with| Conversation {
        owner: turn.account.owner(),
        shelf: SHELF,
        peer: Some(peer_hash(with.as_str())),
        message: entry::message,
        sender: None,
        room: None,
    });
    for feature in [NS, "urn:xmpp:mam:2#extended", "urn:xmpp:mam:2#groupchat-field"] {
        m.feature(At::Account, feature);
    }
    // Some clients (profanity 0.13 is one) look for their archive at the server; they ask it without a `to`, all the same.
    m.feature(At::Host, NS);
    // Only one's own archive: whoever asks for another's hears what those hear who ask for nobody's (security C6, D4).
    // What names a node is about that one (XEP-0442).
    m.iq_named(At::OwnAccount, GetOrSet::Get, NS, "query", |turn, el| match el.attr("node") {
        Some(_) => nodes::form(turn, &el),
        None => query::form(&source::PERSONAL),
    })?;
    m.iq_named(At::OwnAccount, GetOrSet::Set, NS, "query", move |turn, el| match el.attr("node") {
        Some(_) => nodes::query(turn, &el, &config),
        None => ask(turn, &el, &config),
    })?;
    m.iq_named(At::OwnAccount, GetOrSet::Get, NS, "metadata", |turn, el| match el.attr("node") {
        Some(_) => nodes::metadata(turn, &el),
        None => metadata(turn),
    })?;
    m.every(EXPIRY_PERIOD, move |turn| expire(turn, keep_days));
    // XEP-0386 4.2: how much there is to catch up with, in `<bound/>`.
    m.on_bind2(metadata);
    let keeper = Arc::new(Keeper { policy: Policy::intern(m), again: SentAgain::intern(m) });
    let sent = keeper.clone();
    m.on(Step::SentArchive, move |turn| keep_sent(turn, &sent));
    m.on(Step::ReceivedArchive, move |turn| keep_received(turn, &keeper));
    Ok(())
}

/// Section 3.2: the oldest go first, so there is never a hole. Every domain says the same, and the store hears it once.
fn expire(turn: &mut HostTurn<'_>, keep_days: u32) {
    let kept_us = u64::from(keep_days) * 86_400_000_000;
    if let Some(upto) = turn.now.wall_us.checked_sub(kept_us).filter(|_| keep_days > 0) {
        turn.write(Write::Expire { shelf: SHELF, upto: EntryId(upto) });
    }
}

fn ask(turn: &mut Turn<'_>, el: &El<'_>, config: &Config) -> Reply {
    let me = turn.me().to_string();
    let (owner, ids) = (turn.account.owner(), turn.house.ids);
    let asked = query::Asked { source: source::PERSONAL, me: &me, owner, ids, reveal: false, node: None, config };
    match query::Query::parse(el, &asked) {
        Ok(mut query) => {
            query.log.max = query.log.max.min(page_max(turn));
            Reply::Task(Box::new(move |cx| Box::pin(page::answer(query, cx))))
        }
        Err(bounce) => Reply::Error(bounce),
    }
}

/// A page is not what fills a session's queue.
pub(crate) fn page_max(turn: &Turn<'_>) -> u32 {
    u32::try_from(turn.house.limits.output_stanzas_max / 2).unwrap_or(u32::MAX).max(1)
}

/// Section 5.
fn metadata(turn: &mut Turn<'_>) -> Reply {
    let (owner, ids) = (turn.account.owner(), turn.house.ids);
    Reply::Task(Box::new(move |cx| Box::pin(page::metadata(SHELF, owner, ids, cx))))
}

struct Keeper {
    policy: Policy,
    again: SentAgain,
}

fn keep_sent(turn: &mut Turn<'_>, keeper: &Keeper) -> Flow {
    let Some(envelope) = turn.envelope.as_deref() else { return Flow::Go };
    if !keeper.policy.keeps(&envelope.stanza) || !preferences::wants(turn.doors, &mut *turn.account, &envelope.to) {
        return Flow::Go;
    }
    let tag = keeper.again.tag(&envelope.stanza, bare(&envelope.from));
    let (peer, strip) = (peer_hash(bare(&envelope.to)), envelope.stamps.strip.clone());
    let sent = match kept_before(turn.account, tag) {
        Some(id) => Sent { id, tag, entry: None, strip },
        None => {
            let entry = entry::encode(&envelope.stanza, &envelope.stamps, envelope.to.as_str());
            Sent { id: append(turn, peer, tag, entry.clone()), tag, entry: Some(entry), strip }
        }
    };
    if let Some(envelope) = turn.envelope.as_deref_mut() {
        envelope.sent = Some(sent);
    }
    Flow::Go
}

fn keep_received(turn: &mut Turn<'_>, keeper: &Keeper) -> Flow {
    let Some(envelope) = turn.envelope.as_deref() else { return Flow::Go };
    let sent = envelope.sent.as_ref();
    let id = if bare(&envelope.from) == turn.account.jid().as_str() {
        // Section 6.1.1: each message once. A note to self is where its sender's half has put it.
        sent.map(|sent| sent.id)
    } else if keeper.policy.keeps(&envelope.stanza) && preferences::wants(turn.doors, &mut *turn.account, &envelope.from) {
        let tag = sent.map_or_else(|| keeper.again.tag(&envelope.stanza, bare(&envelope.from)), |sent| sent.tag);
        match kept_before(turn.account, tag) {
            Some(id) => Some(id),
            None => {
                let theirs = sent.filter(|sent| sent.strip == envelope.stamps.strip).and_then(|sent| sent.entry.clone());
                let entry = theirs.unwrap_or_else(|| entry::encode(&envelope.stanza, &envelope.stamps, envelope.to.as_str()));
                let peer = peer_hash(bare(&envelope.from));
                Some(append(turn, peer, tag, entry))
            }
        }
    } else {
        None
    };
    if let Some(envelope) = turn.envelope.as_deref_mut() {
        envelope.kept_id = id;
    }
    Flow::Go
}

/// The place of a message that is sent again, because its sender never got the answer before the restart.
fn kept_before(account: &mut dyn Account, tag: u64) -> Option<EntryId> {
    if tag == 0 { None } else { account.kept_before(SHELF, tag) }
}

/// Its time is the house's, whatever a `<delay/>` in it claims (security C10).
fn append(turn: &mut Turn<'_>, peer: u64, tag: u64, entry: Bytes) -> EntryId {
    let (id, owner) = (turn.mint(), turn.account.owner());
    turn.write(Write::Append { owner, shelf: SHELF, id, peer, tag, entry });
    id
}

/// An entry made of a message that was archived elsewhere (XEP-0227).
pub(crate) fn keep_rendered(stanza: &iris_core::Stanza, stamps: &iris_core::xml::wire::Stamps, to: &str) -> Bytes {
    entry::encode(stanza, stamps, to)
}

/// The other way round: the complete message. `None`: not an entry that we wrote.
pub(crate) fn kept(entry: &Bytes) -> Option<&[u8]> {
    entry::message(entry)
}

/// Whose messages an entry is among.
pub fn peer_hash(bare: &str) -> u64 {
    hash::stable(&[bare.as_bytes()])
}

/// The bare JID inside a JID, without copying it.
fn bare(jid: &Jid) -> &str {
    jids::bare(jid.as_str())
}

#[cfg(test)]
mod tests;
