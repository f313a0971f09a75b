//! Plays: accounts as pubsub services, each on its own shard.

mod access;
mod archive;
mod d3_hostile;
mod events;
mod far;
mod items;
mod nodes;
mod strangers;
mod subscriptions;

pub(crate) use stage::*;

/// What several plays need.
mod stage {
    use iris_core::Stanza;
    use iris_engine::testing::{Client, House};

    use crate::ROOMS;
    use crate::xep0115_caps::known::Algo;

    pub const TUNE: &str = "http://jabber.org/protocol/tune";
    pub const SONG: &str = "<tune xmlns='http://jabber.org/protocol/tune'><title>Introduction</title></tune>";

    pub fn house() -> House {
        House::with(ROOMS)
    }

    /// The features of a client that wants news of these nodes, and their XEP-0115 hash.
    pub fn features(nodes: &[&str]) -> (String, String) {
        let mut vars: Vec<String> = nodes.iter().map(|node| format!("{node}+notify")).collect();
        vars.push("http://jabber.org/protocol/disco#info".into());
        vars.sort();
        let text: String = vars.iter().map(|var| format!("{var}<")).collect();
        let ver = Algo::Sha1.digest(format!("client/pc//play<{text}").as_bytes());
        let features: String = vars.iter().map(|var| format!("<feature var='{var}'/>")).collect();
        (format!("<identity category='client' type='pc' name='play'/>{features}"), ver)
    }

    pub fn caps(ver: &str) -> String {
        format!("<c xmlns='http://jabber.org/protocol/caps' hash='sha-1' node='urn:play' ver='{ver}'/>")
    }

    /// Sends presence with caps and answers what it is asked. Everything that came meanwhile.
    pub fn wants(house: &mut House, client: &Client, nodes: &[&str]) -> Vec<Stanza> {
        let (inside, ver) = features(nodes);
        house.send(client, &format!("<presence>{}</presence>", caps(&ver)));
        let mut heard = house.recv(client);
        if answer_disco(house, client, &heard, &inside) {
            heard.extend(house.recv(client));
        }
        heard
    }

    /// Answers the question for the client's capabilities, if there is one.
    pub fn answer_disco(house: &mut House, client: &Client, heard: &[Stanza], inside: &str) -> bool {
        let asks = |it: &&Stanza| it.attr("type").as_deref() == Some("get") && it.as_str().contains("disco#info");
        let Some(question) = heard.iter().find(asks) else { return false };
        let (id, from) = (question.id().expect("an id"), question.from().expect("an asker"));
        let query = format!("<query xmlns='http://jabber.org/protocol/disco#info'>{inside}</query>");
        house.send(client, &format!("<iq type='result' id='{id}' to='{from}'>{query}</iq>"));
        true
    }

    pub fn publish(house: &mut House, client: &Client, node: &str, id: &str, payload: &str) -> Stanza {
        publish_with(house, client, None, node, id, payload, &[])
    }

    #[allow(clippy::too_many_arguments, reason = "what a publication is made of")]
    pub fn publish_with(
        house: &mut House,
        client: &Client,
        to: Option<&str>,
        node: &str,
        id: &str,
        payload: &str,
        options: &[(&str, &str)],
    ) -> Stanza {
        let options = if options.is_empty() {
            String::new()
        } else {
            format!("<publish-options>{}</publish-options>", form("publish-options", options))
        };
        let item = format!("<publish node='{node}'><item id='{id}'>{payload}</item></publish>{options}");
        ask(house, client, "set", to, &item)
    }

    pub fn form(kind: &str, fields: &[(&str, &str)]) -> String {
        let mut xml = format!(
            "<x xmlns='jabber:x:data' type='submit'><field var='FORM_TYPE' type='hidden'>\
             <value>http://jabber.org/protocol/pubsub#{kind}</value></field>"
        );
        for (var, value) in fields {
            xml.push_str(&format!("<field var='pubsub#{var}'><value>{value}</value></field>"));
        }
        xml + "</x>"
    }

    pub fn ask(house: &mut House, client: &Client, kind: &str, to: Option<&str>, inside: &str) -> Stanza {
        house.iq(client, kind, to, &format!("<pubsub xmlns='http://jabber.org/protocol/pubsub'>{inside}</pubsub>"))
    }

    pub fn own(house: &mut House, client: &Client, kind: &str, inside: &str) -> Stanza {
        house.iq(client, kind, None, &format!("<pubsub xmlns='http://jabber.org/protocol/pubsub#owner'>{inside}</pubsub>"))
    }

    pub fn configure(house: &mut House, client: &Client, node: &str, fields: &[(&str, &str)]) -> Stanza {
        own(house, client, "set", &format!("<configure node='{node}'>{}</configure>", form("node_config", fields)))
    }

    pub fn items(house: &mut House, client: &Client, to: Option<&str>, node: &str) -> String {
        ask(house, client, "get", to, &format!("<items node='{node}'/>")).as_str().to_owned()
    }

    /// The ids of items, in the order of an answer or an event.
    pub fn ids(xml: &str) -> Vec<String> {
        xml.split("<item id='").skip(1).filter_map(|rest| Some(rest.split_once('\'')?.0.to_owned())).collect()
    }

    #[track_caller]
    pub fn ok(answer: &Stanza) {
        assert_eq!(answer.attr("type").as_deref(), Some("result"), "{}", answer.as_str());
    }

    /// Exactly this error: its type, its condition, and the pubsub-specific one.
    #[track_caller]
    pub fn error(answer: &Stanza, kind: &str, condition: &str, specific: &str) {
        let text = answer.as_str();
        assert!(text.contains(&format!("<error type='{kind}'><{condition} xmlns=")), "{text}");
        if specific.is_empty() {
            assert!(!text.contains("pubsub#errors"), "{text}");
        } else {
            assert!(text.contains(&format!("<{specific} xmlns='http://jabber.org/protocol/pubsub#errors'")), "{text}");
        }
    }

    /// The events among what was heard.
    pub fn events(heard: &[Stanza]) -> Vec<String> {
        heard.iter().map(|it| it.as_str().to_owned()).filter(|it| it.contains("pubsub#event")).collect()
    }
}
