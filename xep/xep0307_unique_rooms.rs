//! XEP-0307: Unique Room Names for Multi-User Chat - an address for a room that nobody else has.
//! Spec 0.1, https://xmpp.org/extensions/xep-0307.html. Not done: nothing. 128 random bits, so nothing is kept for a name, and no
//! number of requests uses anything up. Whether the one who asks may make a room is said when they make it (XEP-0045 10.1.1).

use iris_core::xml::Build;
use iris_core::{At, Card, GetOrSet, HostTurn, Mount, MountError, Reply, Room, Status};

use crate::result;

const NS: &str = "http://jabber.org/protocol/muc#unique";

pub const ROOM: Room = Room {
    card: Card {
        xep: Some(307),
        name: "Unique Room Names for Multi-User Chat",
        version: "0.1",
        status: Status::Complete,
        needs: &[30, 45],
    },
    mount: Room::no_door,
};

/// At the service of rooms (`xep0045_muc`).
pub fn open(s: &mut Mount<'_>) -> Result<(), MountError> {
    s.feature(At::Host, NS);
    s.host_iq_named(GetOrSet::Get, NS, "unique", |turn, _| unique(turn))
}

/// Section 2: "a unique room name as the XML character data of the <unique/> element (but not create the room)".
fn unique(turn: &HostTurn<'_>) -> Reply {
    let mut xml = Build::new();
    xml.open_ns("unique", NS).text(&turn.house.ports.random_id()).close();
    result(xml)
}

#[cfg(test)]
mod tests {
    use iris_core::Jid;
    use iris_engine::testing::House;

    use super::NS;
    use crate::ROOMS;

    #[test]
    fn s2_each_name_is_another_and_one_of_a_room() {
        let mut house = House::with(ROOMS);
        let romeo = house.online("romeo@house/orchard");
        let info = "<query xmlns='http://jabber.org/protocol/disco#info'/>";
        assert!(house.iq(&romeo, "get", Some("conference.house"), info).as_str().contains(&format!("<feature var='{NS}'/>")));
        let mut names = Vec::new();
        for _ in 0..3 {
            let answer = house.iq(&romeo, "get", Some("conference.house"), &format!("<unique xmlns='{NS}'/>"));
            let child = answer.child_named(NS, "unique").unwrap_or_else(|| panic!("{}", answer.as_str()));
            let name = answer.child_el(child).text().into_owned();
            let room = format!("{name}@conference.house");
            assert_eq!(Jid::new(&room).expect("an address").as_str(), room);
            house.send(&romeo, &format!("<presence to='{room}/romeo'><x xmlns='http://jabber.org/protocol/muc'/></presence>"));
            assert!(house.recv(&romeo)[0].as_str().contains("<status code='201'/>"), "nobody has it");
            names.push(name);
        }
        names.dedup();
        assert_eq!(names.len(), 3);
    }

    #[test]
    fn not_applicable_no_other_service_gives_names_of_rooms() {
        let mut house = House::with(ROOMS);
        let romeo = house.online("romeo@house/orchard");
        let answer = house.iq(&romeo, "get", Some("pubsub.house"), &format!("<unique xmlns='{NS}'/>"));
        assert_eq!(answer.attr("type").as_deref(), Some("error"));
    }
}
