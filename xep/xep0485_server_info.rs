//! XEP-0485: PubSub Server Information - what this server is, in a node that everybody can read.
//! Spec 1.0.0, https://xmpp.org/extensions/xep-0485.html. Not done: connections to other domains (section 4, `<federation/>`), each
//! of which may be named only if that domain says so itself (section 7). Off unless `[xep.server_info]` says otherwise: a domain that says so lets others name it (section 7).
//!
//! The service of channels publishes it in its own name when the house starts, in the node `serverinfo`, which nobody else can make.

use iris_core::xml::Build;
use iris_core::{At, Card, HostTurn, Mount, MountError, Room, Status};
use serde::Deserialize;

use crate::xep0060_pubsub::channels;

const NS: &str = "urn:xmpp:serverinfo:0";
/// Section 5.
const NODE: &str = "serverinfo";
/// Section 3, in the form of XEP-0157.
pub const FIELD: &str = "serverinfo-pubsub-node";

pub const ROOM: Room = Room {
    card: Card {
        xep: Some(485),
        name: "PubSub Server Information",
        version: "1.0.0",
        status: Status::Partial,
        needs: &[30, 60],
    },
    mount,
};

#[derive(Clone, Copy, Debug, Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
struct Settings {
    publish: bool,
}

impl iris_core::mount::Settings for Settings {
    const TABLE: &'static str = "server_info";
    const REFERENCE: &'static str = "\
# Publish the name of the domain and the version of the server (XEP-0485) in the node \"serverinfo\" of pubsub.DOMAIN, for everybody, and
# say so in service discovery. Sites that draw maps of the network read it, and other servers may then name this one in theirs.
publish = false
";
}

fn mount(m: &mut Mount<'_>) -> Result<(), MountError> {
    if m.config::<Settings>()?.publish {
        m.feature(At::Host, NS);
    }
    Ok(())
}

/// Where it is, if it is published: for the form of XEP-0157, because there is one form of a type (section 8).
pub fn address(m: &mut Mount<'_>) -> Result<Option<String>, MountError> {
    let is_published = m.config::<Settings>()?.publish;
    let service = channels::address(m)?;
    Ok(is_published.then(|| format!("xmpp:{service}?;node={NODE}")))
}

/// Has the service to publish it?
pub fn is_published(m: &mut Mount<'_>) -> Result<bool, MountError> {
    Ok(m.config::<Settings>()?.publish)
}

/// The service of channels was read. What is published no longer is taken back.
pub fn publish(turn: &mut HostTurn<'_>, is_published: bool) {
    if !is_published {
        return channels::withdraw(turn, NODE);
    }
    let mut xml = Build::new();
    xml.open_ns("serverinfo", NS).open("domain").attr("name", turn.doors.home()).close();
    xml.open_ns("query", "jabber:iq:version").leaf("name", "Iris").leaf("version", turn.house.version);
    // Section 5: "an open access model and contain a maximum of 1 item".
    channels::publish(turn, NODE, "current", xml.finish(), &[("access_model", "open"), ("max_items", "1")]);
}

#[cfg(test)]
mod tests {
    use crate::ROOMS;
    use iris_engine::testing::{Client, House};

    const ON: &str = "[xep.server_info]\npublish = true\n";

    fn disco(house: &mut House, who: &Client, to: &str, what: &str) -> String {
        house.iq(who, "get", Some(to), &format!("<query xmlns='http://jabber.org/protocol/disco#{what}'/>")).as_str().to_owned()
    }

    fn items(house: &mut House, who: &Client) -> String {
        let items = "<pubsub xmlns='http://jabber.org/protocol/pubsub'><items node='serverinfo'/></pubsub>";
        house.iq(who, "get", Some("pubsub.house"), items).as_str().to_owned()
    }

    #[test]
    fn s3_and_s5_it_is_published_where_discovery_says() {
        for contact in ["", "[xep.contact]\nadmin = [\"mailto:a@house\"]\n"] {
            let mut house = House::with_config(ROOMS, &format!("{ON}{contact}"));
            let romeo = house.online("romeo@house/orchard");
            let info = disco(&mut house, &romeo, "house", "info");
            assert!(info.contains("<feature var='urn:xmpp:serverinfo:0'/>"), "{info}");
            assert!(info.contains("<value>xmpp:pubsub.house?;node=serverinfo</value>"), "{info}");
            assert_eq!(info.matches("<value>http://jabber.org/network/serverinfo</value>").count(), 1, "one form of a type");
            let got = items(&mut house, &romeo);
            assert!(got.contains("<serverinfo xmlns='urn:xmpp:serverinfo:0'><domain name='house'/>"), "{got}");
            assert!(disco(&mut house, &romeo, "pubsub.house", "items").contains("node='serverinfo'"));
        }
    }

    #[test]
    fn s7_nothing_is_published_unless_somebody_says_so_and_then_no_more() {
        let mut house = House::with(ROOMS);
        let romeo = house.online("romeo@house/orchard");
        assert!(!disco(&mut house, &romeo, "house", "info").contains("serverinfo"));
        assert!(items(&mut house, &romeo).contains("item-not-found"));
        // "under common service configuration, non-administrative users are allowed to create such nodes": not here.
        let create = "<pubsub xmlns='http://jabber.org/protocol/pubsub'><create node='serverinfo'/></pubsub>";
        assert!(house.iq(&romeo, "set", Some("pubsub.house"), create).as_str().contains("<forbidden "));
        let mut house = House::with_config(ROOMS, ON);
        let romeo = house.online("romeo@house/orchard");
        assert!(items(&mut house, &romeo).contains("type='result'"));
        let mut house = house.restart(ROOMS, std::time::Duration::from_secs(1));
        let romeo = house.online("romeo@house/orchard");
        assert!(items(&mut house, &romeo).contains("item-not-found"));
    }

    #[test]
    fn r15_a_reload_publishes_it_and_takes_it_back() {
        let mut house = House::with(ROOMS);
        let romeo = house.online("romeo@house/orchard");
        for (config, is_there) in [(ON, true), ("", false), (ON, true)] {
            house.reload(ROOMS, config);
            assert_eq!(items(&mut house, &romeo).contains("<serverinfo "), is_there);
            assert_eq!(disco(&mut house, &romeo, "house", "info").contains("urn:xmpp:serverinfo:0"), is_there);
        }
    }
}
