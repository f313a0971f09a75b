//! Service discovery (5.2 to 5.5, XEP-0248 5.2): the nodes of the service, what is in a collection, the items of a leaf.

use std::sync::Arc;

use iris_core::xml::{Build, El};
use iris_core::{Bounce, Condition, HostTurn, Reply};

use super::super::{Asker, Node, NodeType, PAGE_ITEMS_MAX, public};
use super::{CHANNELS, answer, archive, standing};
use crate::{result, xep0030_disco as disco, xep0050_commands as commands, xep0059_rsm as rsm, xep0503_spaces as spaces};

pub(super) fn info(turn: &mut HostTurn<'_>, query: &El<'_>) -> Reply {
    let Some(name) = query.attr("node").filter(|name| !name.is_empty()) else { return disco::info_of(turn.doors) };
    // The names of commands are the service's, whoever makes a node that is called so.
    if let Some(command) = commands::info(turn, &name) {
        return command;
    }
    let node = name.into_owned();
    standing::with_standing(turn, public::subject(&node.clone()), move |turn, who| node_info(turn, &who, &node))
}

fn node_info(turn: &mut HostTurn<'_>, who: &Asker, name: &str) -> Reply {
    let described = turn.state(&CHANNELS).and_then(|it| {
        if public::is_reserved(name) {
            return it.service.describe_list(name, who);
        }
        let config = &it.service.node(name)?.config;
        let is_archived = (config.node_type == NodeType::Leaf).then_some(archive::FEATURES);
        let is_space = (config.payload_type == spaces::NS).then_some(spaces::NS);
        let features: Vec<&str> = is_archived.into_iter().flatten().chain(is_space).collect();
        it.service.describe(name, who, None, &features)
    });
    match described {
        Some(inside) => {
            let mut xml = Build::new();
            xml.open_ns("query", disco::INFO).attr("node", name).raw(inside.as_bytes());
            result(xml)
        }
        None => missing(turn, name).into(),
    }
}

fn missing(turn: &mut HostTurn<'_>, name: &str) -> Bounce {
    turn.state(&CHANNELS).map_or_else(|| Bounce::new(Condition::ItemNotFound), |it| it.service.missing(name))
}

pub(super) fn items(turn: &mut HostTurn<'_>, query: &El<'_>) -> Reply {
    let wanted = match query.child(rsm::NS, "set").map(|set| rsm::Wanted::parse(&set)).transpose() {
        Ok(wanted) => wanted,
        Err(why) => return why.into(),
    };
    let node = query.attr("node").filter(|node| !node.is_empty()).map(|node| node.into_owned());
    if let Some(commands) = node.as_deref().and_then(|name| commands::items(turn, name)) {
        return commands;
    }
    match node {
        Some(name) => standing::with_standing(turn, public::subject(&name.clone()), move |turn, who| {
            list(turn, &who, Some(&name), wanted)
        }),
        None => {
            let who = answer::stranger(turn.from);
            list(turn, &who, None, wanted)
        }
    }
}

fn list(turn: &mut HostTurn<'_>, who: &Asker, node: Option<&str>, wanted: Option<rsm::Wanted>) -> Reply {
    let me = turn.jid.to_string();
    let Some(channels) = turn.state(&CHANNELS) else { return Bounce::new(Condition::InternalServerError).into() };
    let service = &channels.service;
    let shown = |name: &Arc<str>, node: &Node| {
        let title = (!node.config.title.is_empty()).then(|| node.config.title.clone());
        (name.to_string(), title)
    };
    // What they are to the owners of a collection they need not be to those of what is in it.
    let anybody = answer::stranger(&who.jid);
    let is_shown = |node: &&Node| node.may_subscribe(&anybody).is_ok();
    // By the key that pages are sought by: a node's name, an item's id.
    let rows: Vec<(String, Option<String>)> = match node {
        // XEP-0248 5.2: the nodes of the first level.
        None => {
            let first = service.nodes().filter(|(_, node)| node.config.collections.is_empty() && is_shown(node));
            first.map(|(name, node)| shown(name, node)).collect()
        }
        Some(name) if public::is_reserved(name) => {
            match service.listed(name).and_then(|node| node.may_read(who).map(|()| &node.followers)) {
                Ok(followers) => followers.iter().map(|jid| (jid.to_string(), None)).collect(),
                Err(why) => return why.into(),
            }
        }
        Some(name) => match service.node(name) {
            None => return service.missing(name).into(),
            Some(node) if node.may_read(who).is_err() => {
                return node.may_read(who).err().map_or_else(Reply::empty, Reply::Error);
            }
            Some(node) if node.config.is_collection() => {
                let inside = service.children(name).filter_map(|child| Some((child, service.node(child)?)));
                inside.filter(|(_, node)| is_shown(node)).map(|(name, node)| shown(name, node)).collect()
            }
            Some(node) => node.entries.iter().map(|entry| (entry.id.to_string(), None)).collect(),
        },
    };
    let is_collection = |name: &str| service.node(name).is_some_and(|node| node.config.is_collection());
    let are_items = node.is_some_and(|name| !is_collection(name));
    let page = match wanted
        .clone()
        .unwrap_or_default()
        .range(rows.len(), PAGE_ITEMS_MAX, |of| rows.iter().position(|(key, _)| key == of))
    {
        Ok(page) => page,
        Err(why) => return why.into(),
    };
    let mut xml = Build::new();
    xml.open_ns("query", disco::ITEMS).attr_opt("node", node);
    for (key, title) in rows.get(page.clone()).unwrap_or_default() {
        xml.open("item").attr("jid", &me);
        // 5.5: an item is named by its name.
        if are_items {
            xml.attr("name", key);
        } else {
            xml.attr("node", key).attr_opt("name", title.as_deref());
        }
        xml.close();
    }
    if wanted.is_some() || page.len() < rows.len() {
        rsm::Given::of(&page, rows.len(), |at| rows.get(at).map(|(key, _)| key.clone()).unwrap_or_default()).write(&mut xml);
    }
    xml.close();
    result(xml)
}
