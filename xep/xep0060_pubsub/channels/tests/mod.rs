//! Plays: the service of a domain, with people on two shards.

mod access;
mod archive;
mod below;
mod collections;
mod d3_hostile;
mod lists;
mod moved;
mod nodes;
mod plans;
mod presence;
mod root;
mod social_feed;
mod subscriptions;

use stage::*;

/// What several plays need.
mod stage {
    use iris_core::Stanza;
    use iris_engine::testing::{Client, House};

    use crate::ROOMS;

    pub const X: &str = "<x xmlns='urn:x'/>";
    pub const SERVICE: &str = "pubsub.house";

    pub fn house() -> House {
        House::with(ROOMS)
    }

    /// Romeo, Juliet and the nurse are there; Romeo has made the channel "n" like this.
    pub fn scene(config: &[(&str, &str)]) -> (House, [Client; 3]) {
        let mut house = house();
        let people = ["romeo@house/orchard", "juliet@house/balcony", "nurse@house/hall"].map(|jid| house.online(jid));
        ok(&create(&mut house, &people[0], "n", config));
        (house, people)
    }

    pub fn create(house: &mut House, who: &Client, node: &str, config: &[(&str, &str)]) -> Stanza {
        let form = form("node_config", config);
        ask(house, who, "set", &format!("<create node='{node}'/><configure>{form}</configure>"))
    }

    pub fn configure(house: &mut House, who: &Client, node: &str, config: &[(&str, &str)]) -> Stanza {
        own(house, who, "set", &format!("<configure node='{node}'>{}</configure>", form("node_config", config)))
    }

    pub fn publish(house: &mut House, who: &Client, node: &str, id: &str, payload: &str) -> Stanza {
        ask(house, who, "set", &format!("<publish node='{node}'><item id='{id}'>{payload}</item></publish>"))
    }

    pub fn subscribe(house: &mut House, who: &Client, node: &str) -> Stanza {
        let jid = who.jid.to_bare();
        ask(house, who, "set", &format!("<subscribe node='{node}' jid='{jid}'/>"))
    }

    pub fn subscribe_with(house: &mut House, who: &Client, node: &str, options: &[(&str, &str)]) -> Stanza {
        let (jid, form) = (who.jid.to_bare(), form("subscribe_options", options));
        ask(house, who, "set", &format!("<subscribe node='{node}' jid='{jid}'/><options>{form}</options>"))
    }

    pub fn affiliate(house: &mut House, who: &Client, node: &str, jid: &str, affiliation: &str) -> Stanza {
        let inside =
            format!("<affiliations node='{node}'><affiliation jid='{jid}' affiliation='{affiliation}'/></affiliations>");
        own(house, who, "set", &inside)
    }

    pub fn ask(house: &mut House, who: &Client, kind: &str, inside: &str) -> Stanza {
        house.iq(who, kind, Some(SERVICE), &format!("<pubsub xmlns='http://jabber.org/protocol/pubsub'>{inside}</pubsub>"))
    }

    pub fn own(house: &mut House, who: &Client, kind: &str, inside: &str) -> Stanza {
        let payload = format!("<pubsub xmlns='http://jabber.org/protocol/pubsub#owner'>{inside}</pubsub>");
        house.iq(who, kind, Some(SERVICE), &payload)
    }

    pub fn info(house: &mut House, who: &Client, node: &str) -> String {
        disco(house, who, "info", node).as_str().to_owned()
    }

    pub fn items_of(house: &mut House, who: &Client, node: &str) -> String {
        disco(house, who, "items", node).as_str().to_owned()
    }

    pub fn disco(house: &mut House, who: &Client, what: &str, node: &str) -> Stanza {
        let node = if node.is_empty() { String::new() } else { format!(" node='{node}'") };
        let query = format!("<query xmlns='http://jabber.org/protocol/disco#{what}'{node}/>");
        house.iq(who, "get", Some(SERVICE), &query)
    }

    pub fn items(house: &mut House, who: &Client, node: &str) -> Vec<String> {
        ids(&ask(house, who, "get", &format!("<items node='{node}'/>")))
    }

    /// The ids of all items in a stanza.
    pub fn ids(stanza: &Stanza) -> Vec<String> {
        let after = stanza.as_str().split("<item id='").skip(1);
        after.filter_map(|text| Some(text.split_once('\'')?.0.to_owned())).collect()
    }

    pub fn form(kind: &str, fields: &[(&str, &str)]) -> String {
        let fields: String = fields
            .iter()
            .map(|(var, value)| {
                let values: String = value.split('|').map(|value| format!("<value>{value}</value>")).collect();
                format!("<field var='pubsub#{var}'>{values}</field>")
            })
            .collect();
        format!(
            "<x xmlns='jabber:x:data' type='submit'><field var='FORM_TYPE' type='hidden'>\
             <value>http://jabber.org/protocol/pubsub#{kind}</value></field>{fields}</x>"
        )
    }

    #[track_caller]
    pub fn ok(answer: &Stanza) {
        assert_eq!(answer.attr("type").as_deref(), Some("result"), "{}", answer.as_str());
    }

    #[track_caller]
    pub fn error(answer: &Stanza, kind: &str, condition: &str, specific: &str) {
        let text = answer.as_str();
        assert_eq!(answer.attr("type").as_deref(), Some("error"), "{text}");
        assert!(text.contains(&format!("<error type='{kind}'")), "{kind}: {text}");
        assert!(text.contains(&format!("<{condition} ")), "{condition}: {text}");
        if !specific.is_empty() {
            assert!(
                text.contains(&format!("<{specific} xmlns='http://jabber.org/protocol/pubsub#errors'")),
                "{specific}: {text}"
            );
        }
    }
}
