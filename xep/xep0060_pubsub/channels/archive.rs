//! XEP-0442: the archive of a node. It is the items themselves, in the order of their publication: what was retracted, replaced or has
//! made room is in neither.

use bytes::Bytes;
use iris_core::store::{Entry as Kept, EntryId};
use iris_core::xml::El;
use iris_core::{Bounce, Condition, HostTurn, Reply};

use super::super::{Asker, Config, Entry, ItemReply, event, public};
use super::{CHANNELS, ITEMS, Rules, items, standing};
use crate::xep0313_archive as mam;
use mam::query::{Asked, Query, With};
use mam::source::{Index, Source};

/// XEP-0313 12: "MUST advertise" both.
pub(super) const FEATURES: [&str; 2] = [mam::NS, "urn:xmpp:mam:2#extended"];

const SOURCE: Source = Source {
    shelf: ITEMS,
    // By whoever has published it, where the items say so.
    index: |_, _, _| Index::Unknown,
    matches: |_, with, entry| {
        let Some(With { bare, .. }) = with else { return true };
        let publisher = items::parts(entry).and_then(|(head, _)| items::named(&head)?.1);
        publisher.is_some_and(|publisher| publisher == *bare)
    },
    groupchat_field: false,
    // They are made when it is known how the node shows them.
    write: |message, _, out| out.extend_from_slice(message),
};

/// 12.14: of a node that does not say who publishes, though it may have said so before.
const NAMELESS: Source = Source { matches: |_, with, _| with.is_none(), ..SOURCE };

/// 3: "in the same manner as the notifications sent to subscribers", as they would be sent now.
fn message(entry: &Kept, node: &str, config: &Config, service: &str) -> Option<Bytes> {
    let (head, payload) = items::parts(&entry.entry)?;
    let (id, publisher) = items::named(&head)?;
    // Published when the node did not say who.
    let is_nameless = publisher.is_none() && config.item_reply == ItemReply::Publisher;
    let nameless = is_nameless.then(|| Config { item_reply: ItemReply::None, ..config.clone() });
    let item = Entry { serial: entry.id.0, id: id.into(), size_bytes: 0, publisher: publisher.unwrap_or_default().into() };
    let payload = config.deliver_payloads.then_some(&payload);
    let item = event::item(node, &item, payload, nameless.as_ref().unwrap_or(config), service);
    let (kind, event) = (config.notification.as_str(), event::message(&item, None));
    Some(Bytes::from(format!("<message xmlns='jabber:client' type='{kind}'>{event}</message>")))
}

pub(super) fn form(turn: &mut HostTurn<'_>, query: &El<'_>) -> Reply {
    let name = match named(query) {
        Ok(name) => name,
        Err(why) => return why.into(),
    };
    standing::with_standing(turn, &name.clone(), move |turn, who| match archived(turn, &who, &name) {
        Ok((_, config)) => mam::query::form(&source(&config)),
        Err(why) => why.into(),
    })
}

fn named(query: &El<'_>) -> Result<String, Bounce> {
    let name = query.attr("node").filter(|name| !name.is_empty()).map(|name| name.into_owned());
    name.ok_or_else(|| Bounce::bad_request("the archives here are those of nodes: which one?"))
}

/// The number of the node, and its options.
fn archived(turn: &mut HostTurn<'_>, who: &Asker, name: &str) -> Result<(u64, Config), Bounce> {
    if public::is_reserved(name) {
        return Err(Bounce::new(Condition::FeatureNotImplemented).text("of who follows there is no archive"));
    }
    let Some(channels) = turn.state(&CHANNELS) else { return Err(Bounce::new(Condition::InternalServerError)) };
    let node = channels.service.node(name).ok_or_else(|| channels.service.missing(name))?;
    if node.config.is_collection() {
        return Err(Bounce::new(Condition::FeatureNotImplemented).text("a collection has no archive"));
    }
    node.may_read(who)?;
    Ok((node.created_us, node.config.clone()))
}

fn source(config: &Config) -> Source {
    if config.item_reply == ItemReply::Publisher { SOURCE } else { NAMELESS }
}

pub(super) fn query(turn: &mut HostTurn<'_>, el: &El<'_>) -> Reply {
    let name = match named(el) {
        Ok(name) => name,
        Err(why) => return why.into(),
    };
    let query = el.closed().into_owned();
    standing::with_standing(turn, &name.clone(), move |turn, who| match El::parse(&query) {
        Some(el) => page(turn, &who, &name, &el),
        None => Bounce::bad_request("that is no query").into(),
    })
}

/// XEP-0313 5, of one node.
pub(super) fn metadata(turn: &mut HostTurn<'_>, asked: &El<'_>) -> Reply {
    let name = match named(asked) {
        Ok(name) => name,
        Err(why) => return why.into(),
    };
    standing::with_standing(turn, &name.clone(), move |turn, who| {
        if let Err(why) = archived(turn, &who, &name) {
            return why.into();
        }
        let (owner, ids) = (turn.owner, turn.house.ids);
        let ends = turn.state(&CHANNELS).and_then(|it| {
            let entries = &it.service.node(&name)?.entries;
            Some((EntryId(entries.first()?.serial), EntryId(entries.last()?.serial)))
        });
        Reply::Result(mam::page::ends_of(ends, owner, ids))
    })
}

fn page(turn: &mut HostTurn<'_>, who: &Asker, name: &str, el: &El<'_>) -> Reply {
    let (number, node) = match archived(turn, who, name) {
        Ok(found) => found,
        Err(why) => return why.into(),
    };
    let (me, owner, ids) = (turn.jid.to_string(), turn.owner, turn.house.ids);
    let Some(rules) = turn.doors.rules::<Rules>() else {
        return Bounce::new(Condition::InternalServerError).into();
    };
    let asked = Asked { source: source(&node), me: &me, owner, ids, reveal: false, node: Some(number), config: &rules.pages };
    match Query::parse(el, &asked) {
        Ok(query) => {
            let name = name.to_owned();
            let shown = move |entry: &Kept| message(entry, &name, &node, &me);
            Reply::Task(Box::new(move |cx| Box::pin(mam::page::answer_as(query, cx, shown))))
        }
        Err(why) => why.into(),
    }
}
