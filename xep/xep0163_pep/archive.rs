//! XEP-0442 on the nodes of an account: what a node holds, for whoever may read it. What was retracted or replaced is in neither.

use std::collections::HashMap;
use std::sync::Arc;

use bytes::Bytes;
use iris_core::store::{Entry as Kept, EntryId, Read, Rows};
use iris_core::task::{Cx, Finish};
use iris_core::xml::El;
use iris_core::{Bounce, Condition, Jid, Reply, Turn};

use super::{ITEMS, PEP, asker, sweep};
use crate::xep0060_pubsub::{self as pubsub, Config, Entry, ItemReply, Standing, event};
use crate::xep0313_archive as mam;
use mam::query::{Asked, Query};
use mam::source::{Index, Source};
use mam::{listed, page};

/// The entries are made when it is known which: complete messages.
const SOURCE: Source = Source {
    shelf: ITEMS,
    index: |_, _, _| Index::Unknown,
    matches: |_, _, _| true,
    groupchat_field: false,
    write: |message, _, out| out.extend_from_slice(message),
};

/// What is archived of a node, for whoever asks.
struct Archive {
    config: Config,
    /// Ascending.
    entries: Vec<Entry>,
}

fn archive(turn: &mut Turn<'_>, asker_jid: &Jid, name: &str) -> Result<Archive, Bounce> {
    sweep(turn);
    let who = asker(turn, asker_jid);
    let pep = turn.state(&PEP).ok_or_else(Bounce::nobody)?;
    match pep.service.node(name) {
        // Security B10: whether somebody is here a stranger learns only of what is.
        None if who.standing == Standing::Stranger => Err(Bounce::nobody()),
        None => Err(pep.service.missing(name)),
        Some(node) => {
            node.may_read(&who)?;
            Ok(Archive { config: node.config.clone(), entries: node.entries.clone() })
        }
    }
}

/// Of a query or a question for metadata that names a node.
fn of(turn: &mut Turn<'_>, el: &El<'_>) -> Result<(String, Archive), Bounce> {
    let jid = turn.caller().map(|caller| caller.jid).ok_or_else(Bounce::nobody)?;
    let name = el.attr("node").filter(|name| !name.is_empty()).map(|name| name.into_owned());
    // Security C6, D4: an account's own archive is nobody else's, and others cannot tell whether it has one.
    let name = name.ok_or_else(|| match asker(turn, &jid).is_host() {
        true => Bounce::bad_request("the node has no name"),
        false => Bounce::nobody(),
    })?;
    let archive = archive(turn, &jid, &name)?;
    Ok((name, archive))
}

pub(crate) fn form(turn: &mut Turn<'_>, el: &El<'_>) -> Reply {
    match of(turn, el) {
        Ok(_) => mam::query::form(&SOURCE),
        Err(why) => why.into(),
    }
}

/// XEP-0313 5.
pub(crate) fn metadata(turn: &mut Turn<'_>, el: &El<'_>) -> Reply {
    match of(turn, el) {
        Ok((_, archive)) => {
            let id = |entry: Option<&Entry>| entry.map(|entry| EntryId(entry.serial));
            let ends = id(archive.entries.first()).zip(id(archive.entries.last()));
            Reply::Result(page::ends_of(ends, turn.account.owner(), turn.house.ids))
        }
        Err(why) => why.into(),
    }
}

pub(crate) fn query(turn: &mut Turn<'_>, el: &El<'_>, config: &mam::Config) -> Reply {
    match wanted(turn, el, config) {
        Ok((query, page, messages)) => {
            let owner = turn.account.owner();
            Reply::Task(Box::new(move |cx| Box::pin(answer(cx, owner, query, page, messages))))
        }
        Err(why) => why.into(),
    }
}

/// Makes the message of an item (2: "in the same manner as the notifications sent to subscribers").
type Messages = Box<dyn Fn(EntryId, &Bytes) -> Option<Bytes>>;

fn wanted(turn: &mut Turn<'_>, el: &El<'_>, config: &mam::Config) -> Result<(Query, listed::Page, Messages), Bounce> {
    let (name, archive) = of(turn, el)?;
    let me = turn.me().to_string();
    let (owner, ids) = (turn.account.owner(), turn.house.ids);
    let mut query = Query::parse(el, &Asked { source: SOURCE, me: &me, owner, ids, reveal: false, node: Some(0), config })?;
    query.log.max = query.log.max.min(mam::page_max(turn));
    let all: Vec<EntryId> = archive.entries.iter().map(|entry| EntryId(entry.serial)).collect();
    let entry_of = |entries: &[Entry], id: EntryId| {
        let at = entries.binary_search_by_key(&id.0, |entry| entry.serial).ok()?;
        entries.get(at).cloned()
    };
    // XEP-0060 12.14: where the items say who has published them.
    let names = archive.config.item_reply == ItemReply::Publisher;
    let page = listed::page(&query, &all, |id| match &query.with {
        None => true,
        Some(with) => {
            let publisher = entry_of(&archive.entries, id).filter(|_| names && with.full.is_none());
            publisher.is_some_and(|entry| entry.published_by() == with.bare)
        }
    })?;
    let messages: Messages = Box::new(move |id, payload| {
        let payload = archive.config.deliver_payloads.then_some(payload);
        let item = event::item(&name, &entry_of(&archive.entries, id)?, payload, &archive.config, &me);
        let (kind, event) = (archive.config.notification.as_str(), event::message(&item, None));
        Some(Bytes::from(format!("<message xmlns='jabber:client' type='{kind}'>{event}</message>")))
    });
    Ok((query, page, messages))
}

async fn answer(cx: Cx, owner: iris_core::store::OwnerId, query: Query, page: listed::Page, messages: Messages) -> Finish {
    let keys: Arc<[Arc<str>]> = page.ids.iter().map(|id| Arc::from(pubsub::serial_key(id.0))).collect();
    let found: HashMap<Arc<str>, Bytes> = match keys.is_empty() {
        true => HashMap::new(),
        false => match cx.read(Read::Values { owner, shelf: ITEMS, keys }).await {
            Ok(Rows::Map(found)) => found.into_iter().collect(),
            Ok(_) => return Finish::Error(Bounce::new(Condition::InternalServerError)),
            Err(error) => return Finish::Error(error.into()),
        },
    };
    // What was replaced meanwhile is in no archive any more.
    let entries = page.ids.iter().filter_map(|id| {
        let entry = messages(*id, found.get(&*pubsub::serial_key(id.0))?)?;
        Some(Kept { id: *id, entry })
    });
    page::finish(&query, entries.collect(), page.complete, page.count)
}
