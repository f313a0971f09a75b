//! Where payloads lie: each as an entry of one log, with the head that an archive shows (XEP-0442), so that it is kept once.

use std::sync::Arc;

use bytes::Bytes;
use iris_core::store::{EntryId, LogQuery, OwnerId, PAGE_ENTRIES_MAX, Read, Rows};
use iris_core::task::{Cx, Finish};
use iris_core::xml::{El, push_attr};
use iris_core::{Bounce, Condition, HostTurn, Reply};

use super::super::{Asker, Fetch, ItemReply, Kept, Request, event};
use super::{CHANNELS, ITEMS, answer};

/// How often items are read anew because they were replaced while they were read.
pub(super) const FETCHES_MAX: u8 = 3;

/// Between head and payload; no XML has it.
const BORDER: u8 = 0;

/// `<items node='…'><item id='…'>`, a border, the payload.
pub(super) fn encode(turn: &mut HostTurn<'_>, kept: &Kept) -> Bytes {
    let by = turn.state(&CHANNELS).and_then(|it| it.service.node(&kept.node).map(|node| node.config.item_reply));
    let publisher = (by == Some(ItemReply::Publisher)).then_some(kept.entry.published_by());
    let mut entry = b"<items node='".to_vec();
    push_attr(&kept.node, &mut entry);
    entry.extend_from_slice(b"'><item id='");
    push_attr(&kept.entry.id, &mut entry);
    if let Some(publisher) = publisher {
        entry.extend_from_slice(b"' publisher='");
        push_attr(publisher, &mut entry);
    }
    entry.extend_from_slice(b"'>");
    join(&entry, &kept.payload)
}

pub(super) fn join(head: &[u8], payload: &[u8]) -> Bytes {
    [head, &[BORDER], payload].concat().into()
}

/// The head and the payload.
pub(super) fn parts(entry: &Bytes) -> Option<(Bytes, Bytes)> {
    let at = entry.iter().position(|byte| *byte == BORDER)?;
    Some((entry.slice(..at), entry.slice(at + 1..)))
}

/// The id of the item, and whom the head names.
pub(super) fn named(head: &Bytes) -> Option<(String, Option<String>)> {
    let whole = [head, &b"</item></items>"[..]].concat();
    let item = El::parse(&whole)?.children().next()?;
    Some((item.attr("id")?.into_owned(), item.attr("publisher").map(|publisher| publisher.into_owned())))
}

/// The payloads of these items, those that are there.
pub(super) async fn fetch(cx: &Cx, owner: OwnerId, serials: Vec<u64>) -> Result<Vec<(u64, Bytes)>, Bounce> {
    let mut found = Vec::new();
    for serials in serials.chunks(PAGE_ENTRIES_MAX as usize) {
        let mut ids: Vec<EntryId> = serials.iter().map(|serial| EntryId(*serial)).collect();
        ids.sort_unstable();
        let query = LogQuery { ids: Some(ids), max: PAGE_ENTRIES_MAX, ..LogQuery::default() };
        match cx.read(Read::Log { owner, shelf: ITEMS, query }).await? {
            Rows::Log(page) => {
                found.extend(page.entries.iter().filter_map(|entry| Some((entry.id.0, parts(&entry.entry)?.1))));
            }
            _ => return Err(Bounce::new(Condition::InternalServerError)),
        }
    }
    Ok(found)
}

/// The answer to a request for items. What was replaced while they were read is not there any more: then the question is asked
/// again.
pub(super) fn read(turn: &mut HostTurn<'_>, who: Asker, fetched: Fetch, request: Option<Request>, fetches: u8) -> Reply {
    let (me, owner) = (turn.jid.to_string(), turn.owner);
    let serials: Vec<u64> = fetched.entries().map(|entry| entry.serial).collect();
    if serials.is_empty() {
        return Reply::Result(event::items(&fetched, &me, |_| None));
    }
    let count = serials.len();
    Reply::Task(Box::new(move |cx: Cx| {
        Box::pin(async move {
            let found = match fetch(&cx, owner, serials).await {
                Ok(found) => found,
                Err(why) => return Finish::Error(why),
            };
            if let Some(request) = request.filter(|_| found.len() < count && fetches > 1) {
                return Finish::HostTurn(Box::new(move |turn| {
                    let known = answer::Known::no_more(Err(Bounce::new(Condition::Forbidden)));
                    answer::serve(turn, who, known, request, fetches - 1)
                }));
            }
            let payload = |serial: u64| found.iter().find(|(at, _)| *at == serial).map(|(_, payload)| payload.clone());
            let result = event::items(&fetched, &me, |entry| payload(entry.serial));
            Finish::Answer { before: Vec::new(), result }
        })
    }))
}

/// The last item of a node, to one who is newly subscribed (6.1.7), when it has been read.
pub(super) fn read_last(turn: &mut HostTurn<'_>, node: Arc<str>, serial: u64, to: iris_core::Jid) {
    let owner = turn.owner;
    turn.spawn(move |cx: Cx| {
        Box::pin(async move {
            let Ok(found) = fetch(&cx, owner, vec![serial]).await else { return Finish::Done };
            let Some((_, payload)) = found.into_iter().next() else { return Finish::Done };
            Finish::HostTurn(Box::new(move |turn| {
                if turn.state(&CHANNELS).is_some_and(|it| it.service.hold_last(&node, serial, &payload)) {
                    super::deliver::last(turn, &node, &to, &payload);
                }
                Reply::Sent
            }))
        })
    });
}
