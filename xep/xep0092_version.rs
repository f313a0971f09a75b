//! XEP-0092: Software Version - what runs here?
//! Spec 1.1, https://xmpp.org/extensions/xep-0092.html. Not done: `<os/>`, which helps nobody but an attacker (section 5).

use iris_core::xml::Build;
use iris_core::{At, Card, GetOrSet, HostTurn, Mount, MountError, Reply, Room, Status};

use crate::result;

const NS: &str = "jabber:iq:version";

pub const ROOM: Room = Room {
    card: Card { xep: Some(92), name: "Software Version", version: "1.1", status: Status::Complete, needs: &[30] },
    mount,
};

fn mount(m: &mut Mount<'_>) -> Result<(), MountError> {
    m.feature(At::Host, NS);
    m.host_iq_named(GetOrSet::Get, NS, "query", |turn, _| version(turn))
}

fn version(turn: &mut HostTurn<'_>) -> Reply {
    let mut xml = Build::new();
    xml.open_ns("query", NS).leaf("name", "Iris").leaf("version", turn.house.version).close();
    result(xml)
}

#[cfg(test)]
mod tests {
    use crate::ROOMS;
    use iris_engine::testing::House;
    use xmpp_parsers::version::VersionResult;

    #[test]
    fn s2_the_server_says_its_name_and_version() {
        let mut house = House::with(ROOMS);
        let romeo = house.online("romeo@house/orchard");
        let answer = house.iq(&romeo, "get", Some("house"), "<query xmlns='jabber:iq:version'/>");
        let version: VersionResult = answer.parse_child(&answer.children()[0]).expect("a version");
        assert_eq!((version.name.as_str(), version.version.as_str(), version.os), ("Iris", "0", None));
    }

    #[test]
    fn not_applicable_an_account_is_no_software() {
        let mut house = House::with(ROOMS);
        let romeo = house.online("romeo@house/orchard");
        let answer = house.iq(&romeo, "get", None, "<query xmlns='jabber:iq:version'/>");
        assert!(answer.as_str().contains("service-unavailable"));
    }
}
