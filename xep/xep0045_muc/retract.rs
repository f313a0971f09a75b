//! Messages that are taken back: by who said them (XEP-0424), and by moderators (XEP-0425).
//!
//! What is taken back is a tombstone in the archive, and so is every correction (XEP-0308) of it that its author has sent, under whatever
//! nickname; nobody who comes in later is shown it. Corrections are looked for among the next 5,000 messages of the room, and among the
//! next 5,000 of that nickname.

use std::sync::Arc;

use bytes::Bytes;
use iris_core::store::{Entry, EntryId, LogQuery, OwnerId, Read, Rows, Write};
use iris_core::xml::{Build, El, Stanza};
use iris_core::{Bounce, Condition, Cx, Finish, HostTurn, Reply, hash, jids, time};

use super::archive::tombstone;
use super::association::{Affiliation, Role};
use super::history::{self, ARCHIVE, Past};
use super::room::{Room, bare};
use super::{MODERATE, RETRACT, ROOM_STATE, stanzas};

const CORRECTION: &str = "urn:xmpp:message-correct:0";
/// So many pages behind a message are looked through for corrections of it.
const CORRECTION_PAGES_MAX: usize = 10;
const PAGE_ENTRIES: u32 = 500;
const REASON_BYTES_MAX: usize = 1_024;

/// The bare JID and the id that the author gave it.
fn author(entry: &Bytes) -> Option<(String, Option<String>)> {
    let (real, message) = history::parts(entry)?;
    let id = El::parse(message)?.attr("id").map(std::borrow::Cow::into_owned);
    Some((jids::bare(real).to_owned(), id))
}

async fn page(owner: OwnerId, query: LogQuery, cx: &Cx) -> Result<Vec<Entry>, Bounce> {
    match cx.read(Read::Log { owner, shelf: ARCHIVE, query }).await? {
        Rows::Log(page) => Ok(page.entries),
        _ => Err(Bounce::new(Condition::InternalServerError)),
    }
}

/// The message with this id, if it was said by this person (or by whomever), and what its author has made of it since.
async fn find(owner: OwnerId, target: EntryId, person: Option<&str>, cx: &Cx) -> Result<Vec<Entry>, Bounce> {
    let found = page(owner, LogQuery { ids: Some(vec![target]), max: 1, ..LogQuery::default() }, cx).await?;
    let Some(original) = found.into_iter().next() else { return Err(Bounce::new(Condition::ItemNotFound)) };
    let Some((by, id)) = author(&original.entry) else { return Err(Bounce::new(Condition::ItemNotFound)) };
    if person.is_some_and(|person| person != by) {
        return Err(Bounce::new(Condition::Forbidden));
    }
    let from = history::parts(&original.entry)
        .and_then(|(_, message)| El::parse(message)?.attr("from").map(std::borrow::Cow::into_owned))
        .unwrap_or_default();
    let mut all = vec![original];
    let Some(id) = id else { return Ok(all) };
    for peer in [None, Some(hash::stable(&[from.as_bytes()]))] {
        let mut after = target;
        for _ in 0..CORRECTION_PAGES_MAX {
            let query = LogQuery { peer, after: Some(after), max: PAGE_ENTRIES, ..LogQuery::default() };
            let entries = page(owner, query, cx).await?;
            // Nothing more was said, under whatever nickname.
            let Some(last) = entries.last() else { return Ok(all) };
            after = last.id;
            let corrections = entries.into_iter().filter(|entry| corrects(&entry.entry, &by, &id));
            let new: Vec<Entry> = corrections.filter(|entry| all.iter().all(|it| it.id != entry.id)).collect();
            all.extend(new);
        }
    }
    Ok(all)
}

/// The entry knows whose it is, whatever the nickname.
fn corrects(entry: &Bytes, person: &str, id: &str) -> bool {
    let Some((real, message)) = history::parts(entry) else { return false };
    let replaces = |it: El<'_>| it.child(CORRECTION, "replace")?.attr("id").map(|it| it == id);
    jids::bare(real) == person && El::parse(message).and_then(replaces) == Some(true)
}

impl Room {
    /// XEP-0424: somebody has said that they take back what they have said; everybody was told.
    /// `at`: where that stands in the archive.
    pub fn retracted(&mut self, turn: &mut HostTurn<'_>, stanza: &Stanza, at: EntryId) {
        let target = stanza.child_named(RETRACT, "retract").and_then(|it| stanza.child_el(it).attr("id"));
        if let Some(target) = target {
            self.take_back(turn, bare(turn.from).to_owned(), stanza.id().as_deref(), at, &target);
        }
    }

    /// The house may have gone down between a retraction and what follows from it. What was done already is not found again.
    pub fn take_back_again(&mut self, turn: &mut HostTurn<'_>) {
        let again: Vec<_> = self.history.iter().filter_map(|past| Some((past.id, past.retraction()?))).collect();
        for (at, (person, id, target)) in again {
            self.take_back(turn, person, id.as_deref(), at, &target);
        }
    }

    fn take_back(&mut self, turn: &mut HostTurn<'_>, person: String, id: Option<&str>, at: EntryId, target: &str) {
        let Some(target) = turn.house.ids.read(turn.owner, target) else { return };
        self.forget_said(target, Some(&person));
        if !self.config.archive {
            return;
        }
        let mut xml = Build::new();
        // Section 4: "MUST include an 'id' attribute". A retraction without one has that by which the archive shows it.
        let shown = turn.house.ids.show(turn.owner, at);
        xml.open_ns("retracted", RETRACT).attr("id", id.unwrap_or(&shown));
        xml.attr("stamp", &time::datetime(turn.now.wall_us)).close();
        let (owner, retracted) = (turn.owner, stanzas::text(xml));
        turn.spawn(move |cx| {
            Box::pin(async move {
                match find(owner, target, Some(&person), &cx).await {
                    Ok(entries) => Finish::HostTurn(Box::new(move |turn| {
                        bury(turn, owner, &entries, &retracted);
                        Reply::Sent
                    })),
                    // Not theirs, or not there: nobody's client believes it either.
                    Err(_) => Finish::Done,
                }
            })
        });
    }

    /// It and its corrections are not shown to those who come in later, if this person (or whoever) has said it. Where there is no archive
    /// that is all there is of them.
    fn forget_said(&mut self, target: EntryId, person: Option<&str>) {
        let Some((by, id)) = self.history.iter().find(|past| past.id == target).and_then(|past| author(&past.entry)) else {
            return;
        };
        if person.is_none_or(|person| person == by) {
            let is_correction = |past: &Past| id.as_ref().is_some_and(|id| corrects(&past.entry, &by, id));
            self.history.retain(|past| past.id != target && !is_correction(past));
        }
    }

    /// XEP-0425.
    pub fn moderate(&mut self, turn: &mut HostTurn<'_>, el: &El<'_>) -> Reply {
        let occupant = self.occupants.of_person(bare(turn.from)).map(|(_, it)| it).max_by_key(|it| it.role);
        let is_moderator = occupant.is_some_and(|it| it.role == Role::Moderator);
        if !is_moderator && self.affiliation_of(turn.from) < Affiliation::Admin {
            return Bounce::new(Condition::Forbidden).text("only moderators take back what others have said").into();
        }
        if el.child(RETRACT, "retract").is_none() {
            return Bounce::new(Condition::FeatureNotImplemented).text("messages can be retracted, and nothing else").into();
        }
        let shown = el.attr("id").unwrap_or_default().into_owned();
        let Some(target) = turn.house.ids.read(turn.owner, &shown) else {
            return Bounce::new(Condition::ItemNotFound).into();
        };
        let reason = el.child(MODERATE, "reason").map(|it| it.text().into_owned()).filter(|it| !it.is_empty());
        if reason.as_ref().is_some_and(|reason| reason.len() > REASON_BYTES_MAX) {
            return Bounce::new(Condition::NotAcceptable).text("the reason is too long").into();
        }
        let mut xml = Build::new();
        xml.open_ns("moderated", MODERATE).attr_opt("by", occupant.map(|it| it.jid.as_str()));
        if let Some(occupant) = occupant {
            xml.raw(stanzas::occupant_id(&occupant.id).as_bytes());
        }
        xml.close();
        let moderated = stanzas::text(xml);
        if !self.config.archive {
            if !self.history.iter().any(|past| past.id == target) {
                return Bounce::new(Condition::ItemNotFound).into();
            }
            self.tell_of_moderation(turn, target, &shown, &moderated, reason.as_deref());
            return Reply::empty();
        }
        let owner = turn.owner;
        Reply::Task(Box::new(move |cx| {
            Box::pin(async move {
                let entries = match find(owner, target, None, &cx).await {
                    Ok(entries) => entries,
                    Err(why) => return Finish::Error(why),
                };
                Finish::HostTurn(Box::new(move |turn| {
                    let told = turn.with_state(&ROOM_STATE, |turn, room| {
                        let id = room.tell_of_moderation(turn, target, &shown, &moderated, reason.as_deref());
                        retracted_by(turn, &id, &moderated, reason.as_deref())
                    });
                    bury(turn, owner, &entries, &told.unwrap_or_default());
                    Reply::empty()
                }))
            })
        }))
    }

    /// Everybody is told, and it is kept (XEP-0424 5). The id of the message.
    fn tell_of_moderation(
        &mut self,
        turn: &mut HostTurn<'_>,
        target: EntryId,
        shown: &str,
        moderated: &str,
        reason: Option<&str>,
    ) -> String {
        self.forget_said(target, None);
        let at = turn.mint();
        let id = format!("moderation-{}", turn.house.ids.show(turn.owner, at));
        let mut xml = Build::new();
        xml.open("message").attr("type", "groupchat").attr("id", &id);
        xml.open_ns("retract", RETRACT).attr("id", shown).raw(moderated.as_bytes());
        if let Some(reason) = reason {
            xml.leaf("reason", reason);
        }
        xml.close().close();
        let Some(stanza) = stanzas::made(turn, &stanzas::text(xml)) else { return id };
        let from = turn.jid.clone();
        let mut stamps = stanzas::stamps(&from, iris_core::xml::Strip::default(), String::new(), None);
        let entry = history::encode(from.as_str(), &stanza, &stamps);
        if self.config.archive {
            let (owner, peer) = (turn.owner, hash::stable(&[from.as_str().as_bytes()]));
            turn.write(Write::Append { owner, shelf: ARCHIVE, id: at, peer, tag: 0, entry: entry.clone() });
        }
        stamps.stanza_id = Some(history::stanza_id(turn, at));
        self.history.push_back(Past::new(at, entry));
        turn.fan_out_stamped(from, stanza, stamps, self.occupants.everybody());
        id
    }
}

fn retracted_by(turn: &HostTurn<'_>, id: &str, moderated: &str, reason: Option<&str>) -> String {
    let mut xml = Build::new();
    xml.open_ns("retracted", RETRACT).attr("id", id).attr("stamp", &time::datetime(turn.now.wall_us));
    xml.raw(moderated.as_bytes());
    if let Some(reason) = reason {
        xml.leaf("reason", reason);
    }
    xml.close();
    stanzas::text(xml)
}

/// In the place of each of these stands from now on that there was something.
fn bury(turn: &mut HostTurn<'_>, owner: OwnerId, entries: &[Entry], retracted: &str) {
    // The room has ended meanwhile, and another one has its name.
    if turn.owner != owner {
        return;
    }
    for it in entries {
        if let Some(entry) = tombstone(&it.entry, retracted) {
            turn.write(Write::Replace { owner, shelf: ARCHIVE, id: it.id, entry });
        }
    }
    let ids: Arc<[EntryId]> = entries.iter().map(|it| it.id).collect();
    turn.with_state(&ROOM_STATE, |_, room| room.history.retain(|past| !ids.contains(&past.id)));
}
