//! XEP-0030: Service Discovery - who are you, what can you do, what else is there?
//! Spec 2.5.0, https://xmpp.org/extensions/xep-0030.html. Not done: nothing. Where section 8 rule 2 wants an empty list of
//! items for accounts that do not exist, RFC 6121 8.5.1 wants `service-unavailable`: that is what strangers and those who ask
//! for nobody get, for items as for info.
//!
//! The only room that answers disco: everything it says stands in the record of the doors.

use iris_core::mount::Doors;
use iris_core::xml::{Build, El};
use iris_core::{
    At, Bounce, Card, Condition, Disco, GetOrSet, HostTurn, Mount, MountError, Relation, Reply, Room, Status, Turn,
};

use crate::result;
use crate::xep0050_commands as commands;
use crate::xep0115_caps as caps;
use crate::xep0390_caps2 as caps2;

pub const INFO: &str = "http://jabber.org/protocol/disco#info";
pub const ITEMS: &str = "http://jabber.org/protocol/disco#items";

pub const ROOM: Room = Room {
    card: Card { xep: Some(30), name: "Service Discovery", version: "2.5.0", status: Status::Complete, needs: &[] },
    mount,
};

fn mount(m: &mut Mount<'_>) -> Result<(), MountError> {
    m.identity(At::Host, "server", "im", Some("Iris"));
    // Section 3.2: what an account is; "registered" in the registry of identities.
    m.identity(At::Account, "account", "registered", None);
    for at in [At::Host, At::Account] {
        m.feature(at, INFO);
        m.feature(at, ITEMS);
    }
    m.host_iq_named(GetOrSet::Get, INFO, "query", host_info)?;
    m.host_iq_named(GetOrSet::Get, ITEMS, "query", host_items)?;
    m.iq_named(At::Account, GetOrSet::Get, INFO, "query", account_info)?;
    m.iq_named(At::Account, GetOrSet::Get, ITEMS, "query", account_items)
}

fn host_info(turn: &mut HostTurn<'_>, query: El<'_>) -> Reply {
    let node = query.attr("node").filter(|node| !node.is_empty());
    match node {
        // XEP-0115 6.2: what stands behind our own hash.
        Some(node)
            if turn.to.node().is_some() || !(caps::is_node_of(turn.doors, &node) || caps2::is_node_of(turn.doors, &node)) =>
        {
            commands::info(turn, &node).unwrap_or_else(|| Bounce::new(Condition::ItemNotFound).into())
        }
        node => info(turn.doors, &[At::Host], node.as_deref()),
    }
}

fn host_items(turn: &mut HostTurn<'_>, query: El<'_>) -> Reply {
    if let Some(node) = query.attr("node").filter(|node| !node.is_empty()) {
        return commands::items(turn, &node).unwrap_or_else(|| Bounce::new(Condition::ItemNotFound).into());
    }
    items(turn.doors.items.iter().map(String::as_str))
}

/// A node of one of the rooms, if this caller may see it.
fn node(turn: &mut Turn<'_>, disco: Disco, query: &El<'_>) -> Option<Reply> {
    let node = query.attr("node").filter(|node| !node.is_empty())?;
    let doors = turn.doors;
    let inside = doors.disco_nodes.iter().find_map(|room| room(turn, disco, &node));
    let ns = if disco == Disco::Info { INFO } else { ITEMS };
    Some(match inside {
        Some(inside) => {
            let mut xml = Build::new();
            xml.open_ns("query", ns).attr("node", &node).raw(inside.as_bytes());
            result(xml)
        }
        None => match turn.caller().map(|caller| caller.relation) {
            // XEP-0050: what one can do here, the domain knows.
            Some(Relation::Own) => Reply::Domain,
            Some(relation) if relation.sees_us() => Bounce::new(Condition::ItemNotFound).into(),
            _ => Bounce::nobody().into(),
        },
    })
}

/// Section 8: whoever does not get the account's presence is told what those are told who ask for nobody.
fn account_info(turn: &mut Turn<'_>, query: El<'_>) -> Reply {
    if turn.account.is_guest() {
        // XEP-0175 5: whoever asks.
        return guest_info();
    }
    if let Some(reply) = node(turn, Disco::Info, &query) {
        return reply;
    }
    let at: &[At] = match turn.caller().map(|caller| caller.relation) {
        Some(Relation::Own) => &[At::Account, At::OwnAccount],
        Some(relation) if relation.sees_us() => &[At::Account],
        _ => return Bounce::nobody().into(),
    };
    info(turn.doors, at, None)
}

fn guest_info() -> Reply {
    let mut xml = Build::new();
    xml.open_ns("query", INFO);
    xml.open("identity").attr("category", "account").attr("type", "anonymous").close();
    for feature in [INFO, ITEMS] {
        xml.open("feature").attr("var", feature).close();
    }
    xml.close();
    result(xml)
}

/// Section 4.1: the available resources, for those who see them anyway, and what the rooms have for this caller.
fn account_items(turn: &mut Turn<'_>, query: El<'_>) -> Reply {
    if let Some(reply) = node(turn, Disco::Items, &query) {
        return reply;
    }
    let doors = turn.doors;
    let more: String = doors.account_items.iter().map(|room| room(turn)).collect();
    let sees_us = turn.caller().is_some_and(|caller| caller.relation.sees_us());
    if !sees_us && more.is_empty() {
        return Bounce::nobody().into();
    }
    let available = turn.cards().filter(|card| sees_us && card.shown().is_some());
    let mut xml = Build::new();
    xml.open_ns("query", ITEMS);
    for card in available {
        xml.open("item").attr("jid", card.jid.as_str()).close();
    }
    xml.raw(more.as_bytes());
    result(xml)
}

fn info(doors: &Doors, at: &[At], node: Option<&str>) -> Reply {
    let mut xml = Build::new();
    xml.open_ns("query", INFO).attr_opt("node", node);
    for (_, identity) in doors.identities.iter().filter(|(place, _)| at.contains(place)) {
        xml.open("identity")
            .attr("category", identity.category)
            .attr("type", identity.kind)
            .attr_opt("name", identity.name.as_deref());
        xml.close();
    }
    let mut features: Vec<&str> = at.iter().flat_map(|at| doors.features_at(*at)).collect();
    features.sort_unstable();
    features.dedup();
    for feature in features {
        xml.open("feature").attr("var", feature).close();
    }
    for (_, form) in doors.forms.iter().filter(|(place, _)| at.contains(place)) {
        xml.raw(form.as_bytes());
    }
    xml.close();
    result(xml)
}

/// What a service says of itself (its rooms answer for its nodes and items).
pub fn info_of(doors: &Doors) -> Reply {
    info(doors, &[At::Host], None)
}

/// The doors of a service behind which there is nothing that has a name: no nodes, no items.
pub fn plain_service(s: &mut Mount<'_>) -> Result<(), MountError> {
    const PING: &str = "urn:xmpp:ping";
    for feature in [INFO, ITEMS, PING] {
        s.feature(At::Host, feature);
    }
    let has_node = |query: &El<'_>| query.attr("node").is_some_and(|node| !node.is_empty());
    s.host_iq_named(GetOrSet::Get, INFO, "query", move |turn, query| match has_node(&query) {
        true => Bounce::new(Condition::ItemNotFound).into(),
        false => info_of(turn.doors),
    })?;
    s.host_iq_named(GetOrSet::Get, ITEMS, "query", move |_, query| match has_node(&query) {
        true => Bounce::new(Condition::ItemNotFound).into(),
        false => items([].into_iter()),
    })?;
    s.host_iq_named(GetOrSet::Get, PING, "ping", |_, _| Reply::empty())
}

fn items<'a>(jids: impl Iterator<Item = &'a str>) -> Reply {
    let mut xml = Build::new();
    xml.open_ns("query", ITEMS);
    for jid in jids {
        xml.open("item").attr("jid", jid).close();
    }
    xml.close();
    result(xml)
}

#[cfg(test)]
mod tests {
    use crate::ROOMS;
    use crate::testing::anonymous;
    use iris_core::Stanza;
    use iris_engine::testing::House;
    use xmpp_parsers::disco::{DiscoInfoResult, DiscoItemsResult};

    const INFO: &str = "<query xmlns='http://jabber.org/protocol/disco#info'/>";
    const ITEMS: &str = "<query xmlns='http://jabber.org/protocol/disco#items'/>";

    fn info(answer: &Stanza) -> DiscoInfoResult {
        let child = answer.children().first().unwrap_or_else(|| panic!("no payload: {}", answer.as_str()));
        answer.parse_child(child).expect("a disco#info result")
    }

    fn items(answer: &Stanza) -> Vec<String> {
        let child = answer.children().first().unwrap_or_else(|| panic!("no payload: {}", answer.as_str()));
        let items: DiscoItemsResult = answer.parse_child(child).expect("a disco#items result");
        items.items.into_iter().map(|item| item.jid.to_string()).collect()
    }

    #[test]
    fn s3_1_the_server_says_what_it_is_and_can() {
        let mut house = House::with(ROOMS);
        let romeo = house.online("romeo@house/orchard");
        let answer = info(&house.iq(&romeo, "get", Some("house"), INFO));
        let identities: Vec<_> = answer.identities.iter().map(|it| (it.category.as_str(), it.type_.as_str())).collect();
        assert_eq!(identities, [("server", "im")]);
        let has = |ns: &str| answer.features.iter().any(|feature| feature == ns);
        for ns in [
            "http://jabber.org/protocol/disco#info",
            "http://jabber.org/protocol/disco#items",
            "urn:xmpp:carbons:2",
            "urn:xmpp:ping",
        ] {
            assert!(has(ns), "{ns}");
        }
        // Section 3.1: "a MUST NOT return multiple features with the same var".
        let mut once: Vec<_> = answer.features.iter().collect();
        once.sort();
        once.dedup();
        assert_eq!(once.len(), answer.features.len());
        let services = ["conference.house", "pubsub.house", "push.house", "upload.house"];
        assert_eq!(items(&house.iq(&romeo, "get", Some("house"), ITEMS)), services);
    }

    #[test]
    fn s3_1_and_s4_1_the_account_answers_those_who_see_it() {
        let mut house = House::with(ROOMS);
        house.friends("romeo@house", "juliet@house");
        let romeo = house.online("romeo@house/orchard");
        let juliet = house.online("juliet@house/balcony");
        let answer = info(&house.iq(&romeo, "get", Some("juliet@house"), INFO));
        let is = |it: &xmpp_parsers::disco::Identity| (it.category.as_str(), it.type_.as_str()) == ("account", "registered");
        assert!(answer.identities.iter().any(is));
        assert!(answer.features.iter().any(|feature| feature == "http://jabber.org/protocol/disco#info"));
        let private = |answer: &DiscoInfoResult| answer.features.iter().any(|feature| feature == "jabber:iq:private");
        assert!(!private(&answer), "what is for oneself is shown to oneself");
        assert!(private(&info(&house.iq(&juliet, "get", None, INFO))));
        let _hidden = house.login("juliet@house/hidden");
        assert_eq!(items(&house.iq(&romeo, "get", Some("juliet@house"), ITEMS)), ["juliet@house/balcony"]);
    }

    #[test]
    fn s8_and_c6_a_stranger_is_told_what_one_is_told_about_nobody() {
        let mut house = House::with(ROOMS);
        let _juliet = house.online("juliet@house/balcony");
        let mallory = house.online("mallory@house/x");
        let with_node = "<query xmlns='http://jabber.org/protocol/disco#info' node='x'/>";
        for ask in [INFO, ITEMS, with_node] {
            let known = anonymous(&house.iq(&mallory, "get", Some("juliet@house"), ask));
            assert!(known.contains("service-unavailable"), "{known}");
            assert_eq!(known, anonymous(&house.iq(&mallory, "get", Some("nobody@house"), ask)));
        }
    }

    #[test]
    fn not_applicable_a_node_that_is_none() {
        let mut house = House::with(ROOMS);
        let romeo = house.online("romeo@house/orchard");
        for (to, ns) in [("house", "info"), ("house", "items"), ("romeo@house", "info"), ("romeo@house", "items")] {
            let ask = format!("<query xmlns='http://jabber.org/protocol/disco#{ns}' node='nowhere'/>");
            let answer = house.iq(&romeo, "get", Some(to), &ask);
            assert!(answer.as_str().contains("item-not-found"), "{to} {ns}: {}", answer.as_str());
        }
    }

    #[test]
    fn not_applicable_a_disco_set_is_nobodys() {
        let mut house = House::with(ROOMS);
        let romeo = house.online("romeo@house/orchard");
        assert!(house.iq(&romeo, "set", Some("house"), INFO).as_str().contains("service-unavailable"));
    }
}
