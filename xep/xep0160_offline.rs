//! XEP-0160: Best Practices for Handling Offline Messages - what was said while nobody listened comes when somebody does.
//! Spec 1.0.1, https://xmpp.org/extensions/xep-0160.html. Not done: nothing. (XEP-0013, flexible retrieval, is another extension.)
//!
//! One log per account, ready to be sent; how many lie there is a record, so that an account that wakes knows it without reading
//! them. One session at a time gets them, a page at a time: the last of a page carries a mark, and when the client has it (or,
//! without XEP-0198, its socket), the page is forgotten and the next one is read. So nothing is lost with a connection; at
//! worst one page comes twice, with the ids the archive gave.

use std::sync::Arc;

use bytes::Bytes;
use iris_core::effects::{Out, To};
use iris_core::store::{Entry, EntryId, Item, LogQuery, Page, Read, Rows, Shelf, Write};
use iris_core::xml::wire::{Hold, Stamps, Wire, render};
use iris_core::xml::{Build, Child, El, NameId};
use iris_core::{
    At, Bounce, Card, Event, Finish, Flow, Mount, MountError, Reply, Room, SessionRef, Stanza, StanzaType, StateSlot, Status,
    Step, Turn, ns, time,
};

use crate::xep0359_stanza_ids::SentAgain;

pub const ROOM: Room = Room {
    card: Card {
        xep: Some(160),
        name: "Best Practices for Handling Offline Messages",
        version: "1.0.1",
        status: Status::Complete,
        needs: &[30, 203, 334],
    },
    mount,
};

/// Entries: byte 0 is the version (1), then the stanza without `to` and without content namespace. Tag: `SentAgain::tag`.
pub const SHELF: Shelf = Shelf::log("offline");
/// How many entries there are: decimal.
pub const COUNT: Shelf = Shelf::record("offline_count");
const VERSION: u8 = 1;
/// A `<message`: behind it stands the `to`.
const TO_AT: u32 = 8;
/// As many are given to a session at once, and have to arrive before there are more.
const PAGE_ENTRIES_MAX: u32 = 50;
const PAGE_BYTES_MAX: usize = 256 * 1024;

const CHAT_STATES: &str = "http://jabber.org/protocol/chatstates";

static STATE: StateSlot<Offline> = StateSlot::new();

/// What is known of an account's messages while it is awake.
#[derive(Debug, PartialEq, Eq)]
struct Offline {
    count: usize,
    /// Who gets them now.
    delivering: Option<Delivering>,
    /// Everything up to here has left.
    passed: EntryId,
    /// Deliveries begun: tells an answer of the store that comes too late.
    begun: u64,
}

#[derive(Debug, PartialEq, Eq)]
struct Delivering {
    to: SessionRef,
    number: u64,
    /// The page underway: its last entry, and how many they are.
    page: Option<(EntryId, usize)>,
}

fn mount(m: &mut Mount<'_>) -> Result<(), MountError> {
    // Section 4.
    m.feature(At::Host, "msgoffline");
    m.shelf(SHELF)?;
    m.shelf(COUNT)?;
    m.recognise_resent(SHELF);
    m.state(&STATE, &[COUNT], |items| Offline {
        count: items.first().map_or(0, count_of),
        delivering: None,
        passed: EntryId(0),
        begun: 0,
    })?;
    let names = Names {
        no_store: m.name(ns::HINTS, "no-store"),
        thread: m.name(ns::CLIENT, "thread"),
        delay: m.name(ns::DELAY, "delay"),
    };
    let again = SentAgain::intern(m);
    m.on(Step::ReceivedGuard, move |turn| {
        strip_forged(turn, names.delay);
        Flow::Go
    });
    m.on(Step::Unseen, move |turn| keep(turn, &names, &again));
    m.on_bind2(leave_to_the_archive);
    m.on_event(Event::SessionAvailable, |turn| begin_for(turn, turn.session));
    m.on_event(Event::MarkPassed, passed);
    m.on_event(Event::SessionEnded, ended);
    m.on_event(Event::Woken, |turn| begin_for(turn, None));
    Ok(())
}

fn count_of(item: &Item) -> usize {
    std::str::from_utf8(&item.value).ok().and_then(|text| text.parse().ok()).unwrap_or(0)
}

#[derive(Clone, Copy)]
struct Names {
    no_store: NameId,
    thread: NameId,
    delay: NameId,
}

/// A delay in our name was put there by somebody else (security C3): we say it when the stanza leaves, not when it comes.
fn strip_forged(turn: &mut Turn<'_>, delay: NameId) {
    let Some(envelope) = turn.envelope.as_deref_mut() else { return };
    if !envelope.stanza.has(delay) || envelope.from.as_str() == turn.doors.domain {
        return;
    }
    let stanza = envelope.stanza.clone();
    for (index, child) in stanza.children().iter().enumerate() {
        if child.name == delay && stanza.child_el(child).attr("from").is_some_and(|from| *from == *turn.doors.domain) {
            envelope.stamps.strip.add(index);
        }
    }
}

// --- keeping --------------------------------------------------------------------------------------------------------------

/// Sections 2 and 3.
fn keep(turn: &mut Turn<'_>, names: &Names, again: &SentAgain) -> Flow {
    let Some(envelope) = turn.envelope.as_deref() else { return Flow::Go };
    if !may_wait(&envelope.stanza, names) {
        return Flow::Go;
    }
    let tag = again.tag(&envelope.stanza, envelope.from.to_bare().as_str());
    if tag != 0 && turn.account.kept_before(SHELF, tag).is_some() {
        // Sent again after a restart, and it lies here already.
        return Flow::Go;
    }
    let (kept, host) = (envelope.kept_id, turn.host().to_owned());
    let count = turn.state(&STATE).map_or(0, |state| state.count);
    if count >= turn.house.limits.offline_messages_max {
        return match kept {
            // The archive has it: it is not lost, and its sender need not know how much waits here.
            Some(_) => Flow::Go,
            // Section 2, step 3.
            None => Flow::Bounce(Bounce::nobody()),
        };
    }
    let id = turn.mint();
    // A message that a session took with it to its grave is older than this moment.
    let since = kept.unwrap_or(id);
    let Some(envelope) = turn.envelope.as_deref() else { return Flow::Go };
    let entry = encode(&envelope.stanza, &envelope.stamps, &host, since);
    let owner = turn.account.owner();
    turn.write(Write::Append { owner, shelf: SHELF, id, peer: 0, tag, entry });
    set_count(turn, count + 1);
    Flow::Go
}

/// Section 3: normal and chat, but for chat states alone; XEP-0334 4.2. (`no-permanent-store` lets it wait here.)
fn may_wait(stanza: &Stanza, names: &Names) -> bool {
    if !matches!(stanza.stype().of_message(), StanzaType::Normal | StanzaType::Chat) || stanza.has(names.no_store) {
        return false;
    }
    // Beside a state stand the conversation it belongs to and hints, which are not content either.
    let is_beside = |child: &&Child| child.name == names.thread || stanza.child_ns(child) == ns::HINTS;
    let mut content = stanza.children().iter().filter(|child| !is_beside(child)).peekable();
    content.peek().is_none() || content.any(|child| stanza.child_ns(child) != CHAT_STATES)
}

/// With the time it came, said by us (section 2, XEP-0203).
fn encode(stanza: &Stanza, stamps: &Stamps, host: &str, since: EntryId) -> Bytes {
    let mut stamps = stamps.clone();
    let mut extra = Build::after(stamps.extra.as_deref().unwrap_or_default().to_vec());
    extra
        .open_ns("delay", ns::DELAY)
        .attr("from", host)
        .attr("stamp", &time::datetime(since.0))
        .text("Offline Storage")
        .close();
    stamps.extra = Some(Arc::from(extra.finish()));
    let wire = render(stanza, &stamps);
    let mut out = Vec::with_capacity(wire.bytes.len() + 1);
    out.push(VERSION);
    out.extend_from_slice(&wire.bytes);
    Bytes::from(out)
}

/// The stanza of an entry.
pub fn message(entry: &Bytes) -> Option<&[u8]> {
    entry.strip_prefix(&[VERSION])
}

/// What was taken back (XEP-0424) no longer waits for anybody.
pub fn take_back(turn: &mut Turn<'_>, ids: &[EntryId]) {
    let owner = turn.account.owner();
    let Some(state) = turn.state(&STATE) else { return };
    let gone: Vec<EntryId> = ids.iter().copied().filter(|id| *id > state.passed).collect();
    if gone.is_empty() {
        return;
    }
    let count = state.count.saturating_sub(gone.len());
    let mut again = None;
    match &mut state.delivering {
        // Sent already, but what its client has not got yet it may be sent once more.
        Some(Delivering { page: Some((last, sent)), .. }) => {
            *sent = sent.saturating_sub(gone.iter().filter(|id| *id <= last).count());
        }
        // Read, maybe, but not sent: read anew.
        Some(delivering) => {
            state.begun += 1;
            delivering.number = state.begun;
            again = Some(delivering.number);
        }
        None => {}
    }
    let after = state.passed;
    for id in gone {
        turn.write(Write::Remove { owner, shelf: SHELF, id });
    }
    set_count(turn, count);
    match again {
        Some(_) if count == 0 => stop(turn),
        Some(number) => read_on(turn, number, after),
        None => {}
    }
}

fn decode(entry: &Bytes) -> Option<Wire> {
    (entry.first() == Some(&VERSION)).then(|| Wire { bytes: entry.slice(1..), to_at: TO_AT, hold: Hold::Flush })
}

/// An entry made of a message that waited elsewhere (XEP-0227): rendered, with its delay in it.
pub(crate) fn keep_rendered(wire: &Wire) -> Bytes {
    let mut out = vec![VERSION];
    out.extend_from_slice(&wire.bytes);
    Bytes::from(out)
}

/// The other way round: a complete message to `owner`. `None`: not an entry that we wrote.
pub(crate) fn kept(entry: &Bytes, owner: &str) -> Option<Vec<u8>> {
    let wire = decode(entry)?;
    let (name, rest) = wire.bytes.split_at_checked(wire.to_at as usize)?;
    let to = format!(" xmlns='{}' to='{}'", ns::CLIENT, iris_core::xml::escape_attr(owner));
    Some([name, to.as_bytes(), rest].concat())
}

/// How many messages lie here.
pub(crate) fn waiting(turn: &mut Turn<'_>) -> usize {
    turn.state(&STATE).map_or(0, |state| state.count)
}

fn set_count(turn: &mut Turn<'_>, count: usize) {
    if let Some(state) = turn.state(&STATE) {
        state.count = count;
    }
    if count == 0 { turn.delete(COUNT, "") } else { turn.put(COUNT, "", count.to_string()) }
}

// --- delivering -----------------------------------------------------------------------------------------------------------

/// Somebody listens: `to`, or whoever does. One session gets what waits; a second one that comes meanwhile gets nothing twice.
fn begin_for(turn: &mut Turn<'_>, to: Option<SessionRef>) {
    let to = to.or_else(|| turn.cards().find(|card| listens(turn, card.this)).map(|card| card.this));
    let Some(to) = to else { return };
    let Some(state) = turn.state(&STATE) else { return };
    if state.count == 0 || state.delivering.is_some() {
        return;
    }
    state.begun += 1;
    let number = state.begun;
    state.delivering = Some(Delivering { to, number, page: None });
    read_on(turn, number, EntryId(0));
}

/// Section 2, step 5: only a resource that is available, and not with a negative priority.
fn listens(turn: &Turn<'_>, session: SessionRef) -> bool {
    let card = turn.account.card(session);
    card.and_then(|card| card.available.as_ref()).is_some_and(|available| available.priority >= 0)
}

fn read_on(turn: &mut Turn<'_>, number: u64, after: EntryId) {
    let counted = turn.state(&STATE).map_or(0, |state| state.count);
    let owner = turn.account.owner();
    // A page is not what fills a session's queue.
    let max = PAGE_ENTRIES_MAX.min(u32::try_from(turn.house.limits.output_stanzas_max / 2).unwrap_or(u32::MAX)).max(1);
    let query = LogQuery { after: Some(after), max, ..LogQuery::default() };
    turn.spawn(move |cx| {
        Box::pin(async move {
            let page = match cx.read(Read::Log { owner, shelf: SHELF, query }).await {
                Ok(Rows::Log(page)) => Some(page),
                // They stay where they are, for the next session.
                Ok(_) | Err(_) => None,
            };
            Finish::Turn(Box::new(move |turn| {
                hand_over(turn, number, page, counted);
                Reply::Sent
            }))
        })
    });
}

/// A page has been read: is the one who was to get it still there?
fn hand_over(turn: &mut Turn<'_>, number: u64, page: Option<Page>, counted: usize) {
    let delivering = turn.state(&STATE).and_then(|state| state.delivering.as_ref());
    let Some(to) = delivering.filter(|it| it.number == number).map(|it| it.to) else { return };
    if !listens(turn, to) {
        stop(turn);
        return begin_for(turn, None);
    }
    let Some(mut page) = page else { return stop(turn) };
    fit(&mut page.entries);
    let Some(last) = page.entries.last().map(|entry| entry.id) else {
        // Nothing is left, whatever the count said; what came since it was read is counted.
        stop(turn);
        let count = turn.state(&STATE).map_or(0, |state| state.count.saturating_sub(counted));
        return set_count(turn, count);
    };
    let sent = page.entries.len();
    for entry in page.entries {
        let Some(wire) = decode(&entry.entry) else { continue };
        let mark = if entry.id == last { last.0 } else { 0 };
        turn.push_out(to, Out { mark, ..Out::new(Arc::new(wire), To::Bare) });
    }
    if let Some(delivering) = turn.state(&STATE).and_then(|state| state.delivering.as_mut()) {
        delivering.page = Some((last, sent));
    }
}

/// As many as fit, but one in any case.
fn fit(entries: &mut Vec<Entry>) {
    let mut bytes = 0;
    let fitting = entries.iter().take_while(|entry| {
        let first = bytes == 0;
        bytes += entry.entry.len();
        first || bytes <= PAGE_BYTES_MAX
    });
    let fitting = fitting.count();
    entries.truncate(fitting);
}

fn stop(turn: &mut Turn<'_>) {
    if let Some(state) = turn.state(&STATE) {
        state.delivering = None;
    }
}

// --- left to the archive --------------------------------------------------------------------------------------------------

/// XEP-0386 4.2: who binds that way reads the archive, so what lies there is not sent a second time. What the archive does not have
/// (the user may not want one) comes with the first presence, as ever: nothing that was acknowledged is lost.
fn leave_to_the_archive(turn: &mut Turn<'_>) -> Reply {
    if turn.state(&STATE).is_none_or(|state| state.count == 0 || state.delivering.is_some()) {
        return Reply::empty();
    }
    let (owner, me) = (turn.account.owner(), turn.me().as_str().to_owned());
    Reply::Task(Box::new(move |cx| {
        Box::pin(async move {
            let mut archived = Vec::new();
            let mut after = None;
            loop {
                let query = LogQuery { after, max: PAGE_ENTRIES_MAX, ..LogQuery::default() };
                let Ok(Rows::Log(page)) = cx.read(Read::Log { owner, shelf: SHELF, query }).await else { break };
                archived.extend(page.entries.iter().filter(|it| is_archived(&it.entry, &me)).map(|it| it.id));
                after = page.entries.last().map(|entry| entry.id);
                if page.complete || after.is_none() {
                    break;
                }
            }
            Finish::Turn(Box::new(move |turn| {
                forget(turn, archived);
                Reply::empty()
            }))
        })
    }))
}

/// It carries the id under which our own archive keeps it; ids in our name that others wrote were taken away (XEP-0359).
fn is_archived(entry: &Bytes, me: &str) -> bool {
    let stanza = entry.get(1..).and_then(El::parse);
    stanza.is_some_and(|it| {
        it.children().any(|child| child.is(ns::STANZA_ID, "stanza-id") && child.attr("by").is_some_and(|by| *by == *me))
    })
}

fn forget(turn: &mut Turn<'_>, entries: Vec<EntryId>) {
    let Some(state) = turn.state(&STATE) else { return };
    if entries.is_empty() || state.delivering.is_some() {
        // Another session is being given them.
        return;
    }
    let left = state.count.saturating_sub(entries.len());
    let owner = turn.account.owner();
    for id in entries {
        turn.write(Write::Remove { owner, shelf: SHELF, id });
    }
    set_count(turn, left);
}

/// A page has left for good: forget it, and read on.
fn passed(turn: &mut Turn<'_>) {
    let (session, mark) = (turn.session, EntryId(turn.mark));
    let Some(state) = turn.state(&STATE) else { return };
    let Some(delivering) = &mut state.delivering else { return };
    // Marks of other rooms, and of deliveries that are over, are not ours to act on.
    let Some((last, sent)) = delivering.page.filter(|(last, _)| Some(delivering.to) == session && *last == mark) else {
        return;
    };
    delivering.page = None;
    state.passed = last;
    let (number, left) = (delivering.number, state.count.saturating_sub(sent));
    let owner = turn.account.owner();
    turn.write(Write::Trim { owner, shelf: SHELF, upto: last });
    set_count(turn, left);
    if left == 0 { stop(turn) } else { read_on(turn, number, last) }
}

/// Who got them is gone: what has not arrived goes to another who listens, or waits on.
fn ended(turn: &mut Turn<'_>) {
    let session = turn.session;
    let delivering = turn.state(&STATE).and_then(|state| state.delivering.as_ref());
    if delivering.is_some_and(|it| Some(it.to) == session) {
        stop(turn);
        begin_for(turn, None);
    }
}

#[cfg(test)]
mod tests;
