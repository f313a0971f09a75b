//! The messages of a conversation: where they are, and page after page of them.

use iris_core::conversation::Conversation;
use iris_core::store::{LogQuery, Read, Rows, StoreError};
use iris_core::xml::El;
use iris_core::{BareJid, Bounce, Condition, Cx, Jid, jids};

use super::Wish;
use super::transcript::Transcript;

/// Entries of one read: what is made of them is made in one turn of the shard.
pub const PAGE_ENTRIES: u32 = 200;
/// Of an archive, with those that have no line (receipts, markers).
const ENTRIES_MAX: usize = 500_000;

/// What is said behind one of our services is kept there; everything else is in one's own archive, what an occupant of a room has whispered
/// too.
pub async fn conversation(cx: &Cx, wish: &Wish) -> Result<Conversation, Bounce> {
    let Wish { me, reader, with, .. } = wish;
    if with.node().is_some() && with.resource().is_none() {
        let reader = reader.clone();
        let shared = cx.behind(&with.to_bare(), move |turn| {
            let doors = turn.doors;
            let shared = doors.entities.as_ref()?.conversation.as_ref()?;
            Some(shared(turn, &reader))
        });
        if let Some(shared) = shared.await?.flatten() {
            return shared.map_err(|why| refused(&why, with));
        }
    }
    let peer = with.to_bare();
    let own = cx.account(me.clone(), move |turn| {
        let doors = turn.doors;
        doors.conversation.as_ref().map(|own| own(turn, &peer))
    });
    own.await?.flatten().ok_or_else(|| Bounce::new(Condition::ServiceUnavailable).text("nothing is kept here"))
}

/// Whether it is not there, keeps nothing or is not for this reader: the form stays, for another address.
fn refused(why: &Bounce, with: &Jid) -> Bounce {
    Bounce::new(Condition::NotAcceptable).text(match why.condition {
        Condition::Forbidden => format!("{with} lets you read nothing that was said there"),
        _ => format!("there is no room {with} that keeps what is said"),
    })
}

/// All of it that was wanted, written down.
pub async fn transcript(cx: &Cx, of: &Conversation, wish: &Wish, size_bytes_max: usize) -> Result<Transcript, Bounce> {
    let is_room = of.room.is_some();
    let mut transcript = Transcript::new(is_room, size_bytes_max);
    let mut query =
        LogQuery { peer: of.peer, from: wish.period.from, until: wish.period.until, max: PAGE_ENTRIES, ..LogQuery::default() };
    for _ in 0..ENTRIES_MAX / PAGE_ENTRIES as usize {
        let page = match cx.read(Read::Log { owner: of.owner, shelf: of.shelf, query: query.clone() }).await? {
            Rows::Log(page) => page,
            _ => return Err(StoreError::Broken("another answer than was asked for".into()).into()),
        };
        for entry in &page.entries {
            let Some(message) = (of.message)(&entry.entry).and_then(El::parse) else { continue };
            if is_room || is_between(&message, &wish.me, &wish.with) {
                let real = of.sender.and_then(|sender| sender(&entry.entry));
                transcript.add(entry.id.0, &message, real).map_err(|_| too_large(size_bytes_max))?;
            }
        }
        query.after = page.entries.last().map(|entry| entry.id);
        if page.complete || query.after.is_none() {
            return Ok(transcript);
        }
    }
    Err(too_large(size_bytes_max))
}

/// The index is a hash, and knows no resources.
fn is_between(message: &El<'_>, me: &BareJid, with: &Jid) -> bool {
    let (Some(from), Some(to)) = (message.attr("from"), message.attr("to")) else { return false };
    let is = |address: &str| match with.resource() {
        Some(_) => address == with.as_str(),
        None => jids::bare(address) == with.as_str(),
    };
    // Notes to oneself are no conversation with everybody.
    if with.to_bare() == *me { is(&from) && jids::bare(&to) == me.as_str() } else { is(&from) || is(&to) }
}

fn too_large(size_bytes_max: usize) -> Bounce {
    let size = match size_bytes_max / 1024 {
        kib if kib >= 1024 => format!("{} MiB", kib / 1024),
        kib => format!("{kib} KiB"),
    };
    Bounce::new(Condition::NotAcceptable)
        .text(format!("that is more than {size}, the most that is sent in one mail: choose a first and a last day"))
}
