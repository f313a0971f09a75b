//! XEP-0424: Message Retraction - what somebody takes back is no longer in the house.
//! Spec 0.4.2, https://xmpp.org/extensions/xep-0424.html. Not done: nothing (rooms are XEP-0045's, moderation is XEP-0425's).
//!
//! The retraction itself is kept like any message, so that devices that were away learn of it (section 5). What it takes back, and
//! every correction (XEP-0308) of that, becomes a tombstone in both archives, is gone from the index of words, and is no longer
//! waiting in the offline messages; for that an archive need not keep the retraction. `search` finds it. Which retractions are
//! still to be done is on disk: a crash forgets none.

use std::collections::VecDeque;

use iris_core::store::{EntryId, Item, Shelf, Write};
use iris_core::xml::NameId;
use iris_core::{
    At, Bounce, Card, Changed, Event, Finish, Flow, Kind, Mount, MountError, Reply, Room, Stanza, StanzaType, StateSlot,
    Status, Step, Turn,
};

use crate::xep0160_offline as offline;
use crate::xep0313_archive as archive;

mod search;
#[cfg(test)]
mod tests;

use search::Found;

pub const NS: &str = "urn:xmpp:message-retract:1";

pub const ROOM: Room = Room {
    card: Card {
        xep: Some(424),
        name: "Message Retraction",
        version: "0.4.2",
        status: Status::Complete,
        needs: &[30, 313, 359],
    },
    mount,
};

/// Retractions that are not yet done. Key: `Retraction::at`, decimal. Value: `Retraction::encode`.
const PENDING: Shelf = Shelf::map("retraction");
/// Who takes back more at once is asked to wait.
const PENDING_MAX: usize = 64;
/// A stanza's id that is longer is nobody's.
const ID_BYTES_MAX: usize = 1_024;

static STATE: StateSlot<Pending> = StateSlot::new();

#[derive(Default)]
struct Pending {
    waiting: VecDeque<Retraction>,
    /// The first of them is being done.
    underway: bool,
}

/// What is to be taken back.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Retraction {
    /// Where the retraction stands in this archive, or would stand.
    at: EntryId,
    /// Who sent it, and only whose messages it takes back (section 5.1): a bare JID.
    sender: String,
    /// Whose conversation it is: the other side's bare JID.
    peer: String,
    /// The id of what is taken back, and that of the retraction, as their sender gave them.
    target: String,
    id: String,
}

impl Retraction {
    /// Parts that have no line breaks: JIDs never have, ids with one are nobody's.
    fn encode(&self) -> String {
        [&self.sender, &self.peer, &self.target, &self.id].map(String::as_str).join("\n")
    }

    fn decode(item: &Item) -> Option<Retraction> {
        let mut parts = std::str::from_utf8(&item.value).ok()?.split('\n').map(str::to_owned);
        let at = EntryId(item.key.parse().ok()?);
        Some(Retraction { at, sender: parts.next()?, peer: parts.next()?, target: parts.next()?, id: parts.next()? })
    }
}

fn mount(m: &mut Mount<'_>) -> Result<(), MountError> {
    m.feature(At::Host, NS);
    m.feature(At::Account, NS);
    // Only where the archive is (section 4).
    m.feature(At::Account, &format!("{NS}#tombstone"));
    m.shelf(PENDING)?;
    m.state(&STATE, &[PENDING], |items| {
        let mut waiting: Vec<Retraction> = items.iter().filter_map(Retraction::decode).collect();
        waiting.sort_by_key(|retraction| retraction.at);
        Pending { waiting: waiting.into(), underway: false }
    })?;
    let retract = m.name(NS, "retract");
    for step in [Step::SentGuard, Step::ReceivedGuard] {
        m.on(step, move |turn| guard(turn, retract));
    }
    m.on(Step::SentArchive, move |turn| note(turn, retract, true));
    m.on(Step::ReceivedArchive, move |turn| note(turn, retract, false));
    m.on_event(Event::Woken, go_on);
    Ok(())
}

/// The id that a message takes back.
fn target(stanza: &Stanza, retract: NameId) -> Option<String> {
    if stanza.kind() != Kind::Message || !matches!(stanza.stype().of_message(), StanzaType::Chat | StanzaType::Normal) {
        return None;
    }
    let child = stanza.child(retract)?;
    stanza.child_el(child).attr("id").map(std::borrow::Cow::into_owned).filter(|id| is_id(id))
}

fn is_id(id: &str) -> bool {
    !id.is_empty() && id.len() <= ID_BYTES_MAX && !id.contains('\n')
}

fn guard(turn: &mut Turn<'_>, retract: NameId) -> Flow {
    let is_one = turn.stanza().is_some_and(|stanza| stanza.has(retract) && target(stanza, retract).is_some());
    if is_one && turn.state(&STATE).is_some_and(|state| state.waiting.len() >= PENDING_MAX) {
        let what = format!("at most {PENDING_MAX} retractions at once");
        return Flow::Bounce(Bounce::over(what, Changed::ByNobody("wait a moment")));
    }
    Flow::Go
}

/// It has come, and the archive keeps it if its owner wants that; what it takes back is sought when there is time.
fn note(turn: &mut Turn<'_>, retract: NameId, sent: bool) -> Flow {
    let Some(envelope) = turn.envelope.as_deref() else { return Flow::Go };
    if !envelope.stanza.has(retract) {
        return Flow::Go;
    }
    let (from, to) = (envelope.from.to_bare(), envelope.to.to_bare());
    // A note to oneself is in the archive once, and was taken back when it was sent.
    if !sent && from == *turn.me() {
        return Flow::Go;
    }
    let kept = if sent { envelope.sent.as_ref().map(|sent| sent.id) } else { envelope.kept_id };
    // The schema wants both ids: a tombstone names the retraction.
    let id = envelope.stanza.id().map(std::borrow::Cow::into_owned).filter(|id| is_id(id));
    let (Some(target), Some(id)) = (target(&envelope.stanza, retract), id) else { return Flow::Go };
    // What it takes back may wait, or may have been kept before its owner wanted no archive: this moment is its place then.
    let at = kept.unwrap_or_else(|| turn.mint());
    let peer = if sent { &to } else { &from };
    let retraction = Retraction { at, sender: from.to_string(), peer: peer.to_string(), target, id };
    turn.put(PENDING, &at.0.to_string(), retraction.encode());
    if let Some(state) = turn.state(&STATE) {
        state.waiting.push_back(retraction);
    }
    go_on(turn);
    Flow::Go
}

/// One at a time: looking for what is not there reads a whole conversation.
fn go_on(turn: &mut Turn<'_>) {
    let owner = turn.account.owner();
    let Some(state) = turn.state(&STATE) else { return };
    let Some(retraction) = state.waiting.front().filter(|_| !state.underway).cloned() else { return };
    state.underway = true;
    turn.spawn(move |cx| {
        Box::pin(async move {
            let found = search::find(owner, &retraction, &cx).await;
            Finish::Turn(Box::new(move |turn| {
                done(turn, &retraction, found);
                Reply::Sent
            }))
        })
    });
}

fn done(turn: &mut Turn<'_>, retraction: &Retraction, found: Option<Found>) {
    let Some(state) = turn.state(&STATE) else { return };
    state.underway = false;
    // Not even the store knows: it is tried again when the account wakes the next time.
    let Some(found) = found else { return };
    // The account was read anew meanwhile, and somebody else has done it.
    if state.waiting.front() != Some(retraction) {
        return;
    }
    state.waiting.pop_front();
    let owner = turn.account.owner();
    for (id, entry) in found.tombstones {
        turn.write(Write::Replace { owner, shelf: archive::SHELF, id, entry });
    }
    offline::take_back(turn, &found.offline);
    turn.delete(PENDING, &retraction.at.0.to_string());
    go_on(turn);
}
