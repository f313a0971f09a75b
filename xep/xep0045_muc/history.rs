//! What was said (7.2.13, 7.2.14): the end of it is shown to those who come in.
//!
//! An entry of the log `muc-archive`, and the value of the record `muc-subject` behind eight bytes of its id:
//! ```text
//! byte 0     1: what was said; 2: a tombstone, that something was said and taken back (XEP-0424 4)
//! byte 1, 2  length of the sender's real address, big-endian
//! then       that address, and the <message/> as it stands in <forwarded/>: from the occupant, without a `to`
//! ```

use std::cell::OnceCell;
use std::sync::Arc;

use bytes::Bytes;
use iris_core::store::{Entry, EntryId, Shelf};
use iris_core::xml::wire::{self, Wire, render_unaddressed};
use iris_core::xml::{El, Stamps, Stanza, StanzaId};
use iris_core::{HostTurn, Jid, hash, jids, ns, time};

use super::stanzas;
use crate::xep0313_archive::entry as personal;

const SAID: u8 = 1;
/// The entry's own mark: whatever an element in a message says, its author may have written it.
const TOMBSTONE: u8 = 2;

/// Entries: see above. Peer: the hash of the occupant's address. Tag: `tag`.
pub const ARCHIVE: Shelf = Shelf::log("muc-archive").searchable(text);

pub fn encode(real: &str, stanza: &Stanza, stamps: &Stamps) -> Bytes {
    let mut out = Vec::with_capacity(stanza.size() + real.len() + 192);
    out.push(SAID);
    out.extend_from_slice(&u16::try_from(real.len()).unwrap_or(0).to_be_bytes());
    out.extend_from_slice(real.as_bytes());
    render_unaddressed(stanza, stamps, &mut out);
    Bytes::from(out)
}

/// What is left of a message. `message`: as it is shown from now on.
pub fn tombstone(real: &str, message: &[u8]) -> Bytes {
    let mut out = Vec::with_capacity(message.len() + real.len() + 3);
    out.push(TOMBSTONE);
    out.extend_from_slice(&u16::try_from(real.len()).unwrap_or(0).to_be_bytes());
    out.extend_from_slice(real.as_bytes());
    out.extend_from_slice(message);
    Bytes::from(out)
}

/// The id of an entry, as the room shows it (XEP-0359).
pub fn stanza_id(turn: &HostTurn<'_>, id: EntryId) -> StanzaId {
    StanzaId { by: Arc::from(turn.jid.as_str()), id: Arc::from(turn.house.ids.show(turn.owner, id)) }
}

pub fn is_tombstone(entry: &[u8]) -> bool {
    entry.first() == Some(&TOMBSTONE)
}

/// The sender's real address and the message. `None`: not an entry that we wrote.
pub fn parts(entry: &[u8]) -> Option<(&str, &[u8])> {
    let (_, rest) = entry.split_first().filter(|(mark, _)| [SAID, TOMBSTONE].contains(mark))?;
    let (len, rest) = rest.split_first_chunk::<2>()?;
    let (real, message) = rest.split_at_checked(usize::from(u16::from_be_bytes(*len)))?;
    Some((std::str::from_utf8(real).ok()?, message))
}

fn text(entry: &[u8]) -> Option<String> {
    personal::text_of(parts(entry)?.1)
}

/// Tells a message that is sent again, because its sender never got the answer before the house went down: the same person, id and
/// content. 0: without an id it is nobody's copy.
pub fn tag(person: &str, message: &El<'_>) -> u64 {
    let origin = message.child(ns::STANZA_ID, "origin-id").and_then(|it| it.attr("id"));
    let Some(id) = origin.or_else(|| message.attr("id")).filter(|id| !id.is_empty()) else { return 0 };
    // What the room takes out or puts in, and what only says that it comes late.
    let is_content = |child: &El<'_>| {
        let added =
            [super::OCCUPANT_ID, super::USER, super::MUC, super::HATS, super::ADDRESSES, ns::DELAY].contains(&child.ns());
        let is_rooms = [(ns::STANZA_ID, "stanza-id"), (super::RETRACT, "retracted"), (super::MODERATE, "moderated")];
        !added && !is_rooms.iter().any(|(ns, local)| child.is(ns, local))
    };
    let content: Vec<El<'_>> = message.children().filter(is_content).collect();
    let content = content.iter().map(|child| child.bytes().get(..TAG_CHILD_BYTES_MAX).unwrap_or(child.bytes()));
    hash::content([person.as_bytes(), id.as_bytes()].into_iter().chain(content))
}

/// So much of each child goes into a tag.
const TAG_CHILD_BYTES_MAX: usize = 1024;

/// A message that was said.
#[derive(Debug)]
pub struct Past {
    pub id: EntryId,
    pub entry: Bytes,
    /// Made when it is shown for the first time.
    shown: OnceCell<Option<Delayed>>,
}

#[derive(Debug)]
pub struct Delayed {
    pub from: Jid,
    pub stanza: Arc<Stanza>,
    pub stamps: Stamps,
    pub wire: Arc<Wire>,
}

impl Past {
    pub fn new(id: EntryId, entry: Bytes) -> Past {
        Past { id, entry, shown: OnceCell::new() }
    }

    pub fn of_entry(entry: &Entry) -> Past {
        Past::new(entry.id, entry.entry.clone())
    }

    pub fn keep(&self) -> Bytes {
        let mut out = self.id.0.to_be_bytes().to_vec();
        out.extend_from_slice(&self.entry);
        Bytes::from(out)
    }

    pub fn restore(value: &Bytes) -> Option<Past> {
        let (id, _) = value.split_first_chunk::<8>()?;
        Some(Past::new(EntryId(u64::from_be_bytes(*id)), value.slice(8..)))
    }

    fn el(&self) -> Option<El<'_>> {
        El::parse(parts(&self.entry)?.1)
    }

    /// Something that is shown to those who come in: neither a change of the subject nor what was taken back.
    pub fn is_shown(&self) -> bool {
        !self.is_subject() && !is_tombstone(&self.entry)
    }

    /// A message that takes another one back (XEP-0424): who sent it, its id if it has one, and that of the other one as the room
    /// shows it.
    pub fn retraction(&self) -> Option<(String, Option<String>, String)> {
        let (real, message) = parts(&self.entry)?;
        let message = El::parse(message)?;
        let retract = message.child(super::RETRACT, "retract")?;
        // What the room says itself, a moderator's, is buried with what it is about.
        if message.attr("from").is_some_and(|from| *from == *real) {
            return None;
        }
        let person = jids::bare(real);
        Some((person.to_owned(), message.attr("id").map(|it| it.into_owned()), retract.attr("id")?.into_owned()))
    }

    /// 8.1: a subject, and neither a body nor a thread.
    pub fn is_subject(&self) -> bool {
        self.el().is_some_and(|message| {
            let has = |name: &str| message.child(ns::CLIENT, name).is_some();
            has("subject") && !has("body") && !has("thread")
        })
    }

    pub fn subject_text(&self) -> Option<String> {
        Some(self.el()?.child(ns::CLIENT, "subject")?.text().into_owned())
    }

    /// As it is sent to somebody who comes in later.
    pub fn delayed(&self, turn: &HostTurn<'_>) -> Option<&Delayed> {
        self.shown.get_or_init(|| self.make_delayed(turn)).as_ref()
    }

    fn make_delayed(&self, turn: &HostTurn<'_>) -> Option<Delayed> {
        let (_, message) = parts(&self.entry)?;
        let stanza = Arc::new(Stanza::parse(message, &turn.house.names).ok()?);
        let from = stanza.from_jid().ok().flatten()?;
        let room = turn.jid.as_str();
        // 7.2.13: "The 'from' attribute MUST be set to the JID of the room itself."
        let delay = stanzas::delay(room, self.id.0);
        let id = Some(stanza_id(turn, self.id));
        let stamps = stanzas::stamps(&from, iris_core::xml::Strip::default(), delay, id);
        let wire = Arc::new(wire::render(&stanza, &stamps));
        Some(Delayed { from, stanza, stamps, wire })
    }
}

/// Bytes of what was said that somebody is shown who comes in: all of a join has to find room in their session (`output_bytes_max`), or
/// whoever says much would keep everybody out. So much is in memory, too; the archive has the rest.
pub const SHOWN_BYTES_MAX: usize = 512 * 1024;

/// What somebody wants to be shown (7.2.14).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Wanted {
    pub chars_max: usize,
    pub messages_max: usize,
    /// Nothing from before this moment.
    pub since_us: u64,
}

impl Wanted {
    /// `most`: what the room shows at most. What is no number is as if it had not been said.
    pub fn read(history: Option<&El<'_>>, most: usize, now_us: u64) -> Wanted {
        let number = |name: &str| history.and_then(|it| it.attr(name)).and_then(|text| text.trim().parse::<u64>().ok());
        let clamp = |number: u64| usize::try_from(number).unwrap_or(usize::MAX);
        let seconds = number("seconds").map(|seconds| now_us.saturating_sub(seconds.saturating_mul(1_000_000)));
        let since = history.and_then(|it| it.attr("since")).and_then(|text| time::parse_datetime(&text));
        Wanted {
            chars_max: number("maxchars").map_or(SHOWN_BYTES_MAX, clamp).min(SHOWN_BYTES_MAX),
            messages_max: number("maxstanzas").map_or(most, |wanted| clamp(wanted).min(most)),
            since_us: seconds.max(since).unwrap_or(0),
        }
    }

    /// The newest of these that fit all limits: how many. `size` is that of the complete stanza.
    pub fn take<'a, T: 'a>(
        &self,
        newest_first: impl Iterator<Item = &'a T>,
        at_us: impl Fn(&T) -> u64,
        size: impl Fn(&T) -> usize,
    ) -> usize {
        let mut chars = 0usize;
        newest_first
            .take(self.messages_max)
            .take_while(|past| at_us(past) >= self.since_us)
            .take_while(|past| {
                chars = chars.saturating_add(size(past));
                chars <= self.chars_max
            })
            .count()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn wanted(attributes: &str) -> Wanted {
        let xml = format!("<history {attributes}/>");
        Wanted::read(El::parse(xml.as_bytes()).as_ref(), 20, 1_000_000_000)
    }

    /// Five messages of 100 characters, one a second, the newest now.
    fn count(attributes: &str) -> usize {
        let past: Vec<u64> = (0..5).map(|ago| 1_000_000_000 - ago * 1_000_000).collect();
        wanted(attributes).take(past.iter(), |at| *at, |_| 100)
    }

    #[test]
    fn s7_2_14_every_limit_alone_and_together() {
        for (attributes, expected) in [
            ("", 5),
            ("maxstanzas='2'", 2),
            ("maxstanzas='0'", 0),
            ("maxchars='0'", 0),
            ("maxchars='99'", 0),
            ("maxchars='250'", 2),
            ("seconds='1'", 2),
            ("seconds='0'", 1),
            ("since='1970-01-01T00:16:38Z'", 3),
            ("maxstanzas='4' seconds='2' maxchars='1000'", 3),
            ("maxstanzas='99999999999999999999999'", 5),
            ("maxstanzas='-1' maxchars='x' seconds='' since='yesterday'", 5),
        ] {
            assert_eq!(count(attributes), expected, "{attributes}");
        }
        assert_eq!(wanted("maxstanzas='1000000000'").messages_max, 20, "D2: no more than the room shows");
    }
}
