//! XEP-0503: Server-side spaces - rooms and channels of one theme, under one node that people join.
//! Spec 0.3.0, https://xmpp.org/extensions/xep-0503.html. Not done: nothing that is the server's. A space is a node of type `NS` of the
//! channels (`xep0060_pubsub`), which has everything that one needs; a room says which space it belongs to
//! (`{urn:xmpp:spaces:0}parent` of its configuration, `xep0045_muc/disco_room.rs`). Who may see what is access to the node, and to the room.

use iris_core::{Card, Room, Status};

pub const NS: &str = "urn:xmpp:spaces:0";

pub const ROOM: Room = Room {
    card: Card {
        xep: Some(503),
        name: "Server-side spaces",
        version: "0.3.0",
        status: Status::Complete,
        needs: &[30, 45, 60, 402],
    },
    mount: Room::no_door,
};

/// Is this the address of a node, as XEP-0060 writes it (impl-uri): `xmpp:SERVICE?;node=NODE`?
pub fn is_node(uri: &str) -> bool {
    let node = uri.strip_prefix("xmpp:").and_then(|rest| rest.split_once("?;node="));
    node.is_some_and(|(service, node)| iris_core::jids::address(service).is_ok() && !node.is_empty())
}

#[cfg(test)]
mod tests {
    use iris_core::Stanza;
    use iris_engine::testing::{Client, House};

    use super::NS;
    use crate::ROOMS;

    const SERVICE: &str = "pubsub.house";
    const PUBSUB: &str = "http://jabber.org/protocol/pubsub";

    fn form(fields: &[(&str, &str)]) -> String {
        let fields: String =
            fields.iter().map(|(var, value)| format!("<field var='{var}'><value>{value}</value></field>")).collect();
        format!("<x xmlns='jabber:x:data' type='submit'>{fields}</x>")
    }

    #[track_caller]
    fn ok(answer: &Stanza) {
        assert_eq!(answer.attr("type").as_deref(), Some("result"), "{}", answer.as_str());
    }

    fn info(house: &mut House, who: &Client, at: &str, node: &str) -> String {
        let query = format!("<query xmlns='http://jabber.org/protocol/disco#info'{node}/>");
        house.iq(who, "get", Some(at), &query).as_str().to_owned()
    }

    #[test]
    fn s3_a_node_that_is_configured_as_the_text_wants_it_is_a_space_with_its_rooms() {
        for (access, n) in [("open", 0), ("whitelist", 1), ("authorize", 2)] {
            let mut house = House::with(ROOMS);
            let (romeo, juliet) = (house.online("romeo@house/orchard"), house.online("juliet@house/balcony"));
            let node = format!("verona{n}");
            let wanted = [
                ("FORM_TYPE", "http://jabber.org/protocol/pubsub#node_config"),
                ("pubsub#type", NS),
                ("pubsub#title", "Verona"),
                ("pubsub#notify_retract", "true"),
                ("pubsub#persist_items", "true"),
                ("pubsub#purge_offline", "false"),
                ("pubsub#notify_sub", "true"),
                ("pubsub#notify_config", "true"),
                ("pubsub#notify_delete", "true"),
                ("pubsub#publish_model", "publishers"),
                ("pubsub#access_model", access),
                ("pubsub#max_items", "max"),
            ];
            let create = format!("<create node='{node}'/><configure>{}</configure>", form(&wanted));
            ok(&house.iq(&romeo, "set", Some(SERVICE), &format!("<pubsub xmlns='{PUBSUB}'>{create}</pubsub>")));
            let node_is = format!(" node='{node}'");
            let said = info(&mut house, &romeo, SERVICE, &node_is);
            assert!(
                said.contains(&format!("<feature var='{NS}'/>")) && said.contains(&format!("<value>{NS}</value>")),
                "{said}"
            );
            // Joining is subscribing.
            let subscribe = format!("<subscribe node='{node}' jid='juliet@house'/>");
            let joined = house.iq(&juliet, "set", Some(SERVICE), &format!("<pubsub xmlns='{PUBSUB}'>{subscribe}</pubsub>"));
            assert_eq!(joined.as_str().contains("subscription='subscribed'"), access == "open", "{}", joined.as_str());
            // A room is in it, and says so.
            let room = format!("square{n}@conference.house");
            let item = "<conference xmlns='urn:xmpp:bookmarks:1' name='The square'/>";
            let publish = format!("<publish node='{node}'><item id='{room}'>{item}</item></publish>");
            ok(&house.iq(&romeo, "set", Some(SERVICE), &format!("<pubsub xmlns='{PUBSUB}'>{publish}</pubsub>")));
            house.recv(&juliet);
            house.send(&romeo, &format!("<presence to='{room}/romeo'><x xmlns='http://jabber.org/protocol/muc'/></presence>"));
            house.recv(&romeo);
            let owner = |inside: &str| format!("<query xmlns='http://jabber.org/protocol/muc#owner'>{inside}</query>");
            let parent = format!("xmpp:{SERVICE}?;node={node}");
            for (value, is_one) in [("verona", false), ("xmpp:pubsub.house", false), (parent.as_str(), true)] {
                let set = owner(&form(&[("{urn:xmpp:spaces:0}parent", value)]));
                let answer = house.iq(&romeo, "set", Some(&room), &set);
                assert_eq!(answer.attr("type").as_deref() == Some("result"), is_one, "{value}: {}", answer.as_str());
                let said = info(&mut house, &juliet, &room, "");
                assert_eq!(said.contains(NS), is_one, "{said}");
                assert_eq!(said.contains(&format!("<value>{parent}</value>")), is_one, "{said}");
            }
            let items = format!("<pubsub xmlns='{PUBSUB}'><items node='{node}'/></pubsub>");
            assert!(house.iq(&romeo, "get", Some(SERVICE), &items).as_str().contains(&format!("<item id='{room}'")));
        }
    }

    #[test]
    fn not_applicable_a_node_of_another_type_is_no_space() {
        let mut house = House::with(ROOMS);
        let romeo = house.online("romeo@house/orchard");
        ok(&house.iq(&romeo, "set", Some(SERVICE), &format!("<pubsub xmlns='{PUBSUB}'><create node='n'/></pubsub>")));
        assert!(!info(&mut house, &romeo, SERVICE, " node='n'").contains(NS));
    }
}
